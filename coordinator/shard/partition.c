/* One partition: log entries to analysis, analysis to DELTAs. */
#include <stdio.h>
#include <string.h>

#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "coordinator/analysis/session/key.h"
#include "coordinator/shard/candidate_codec.h"
#include "coordinator/shard/owner_internal.h"
#include "proto/codec/sample.h"

enum { STEP_BYTES = 1 << 20, DELTA_BYTES_MAX = OPS_KV_BATCH_BYTES_MAX - (1 << 20), RECORD_BATCH = 1 };
/* Of statistics in the last DELTA: what a stop may take. */
#define LAST_SLOTS_BYTES ((size_t)16 << 20)
/* Of series that changed; one more entry of the log adds at most 30 MiB to it. */
#define UNSAVED_BYTES ((size_t)12 << 20)

static bool put_piece(partition *p, ops_slice s, piece *ret)
{
    *ret = (piece){p->bytes.n, s.n};
    ops_strbuf_slice(&p->bytes, s);
    return !p->bytes.failed;
}

/* Called by the pipeline when a window closes, and by the monitor. */
static void on_candidate(void *u, const ops_candidate *c)
{
    partition *p = u;
    piece effect = {p->bytes.n, 0};
    ops_candidate_put(&p->bytes, c);
    effect.n = p->bytes.n - effect.at;
    if (p->bytes.failed || p->effects.n >= OPS_DELTA_EFFECTS_MAX || !ops_vec_push(&p->effects, effect))
        p->effect_failed = OPS_ENOMEM;
    else
        ops_ledger_count(p->owners->conf.ledger, OPS_LEDGER_CANDIDATES, ops_candidate_kind_name(c->kind), 1);
}

static ops_status load_state(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    partition *p = u;
    return key.n > 0 && key.p[0] == 'm' ? ops_monitor_load(p->monitor, key, val, reterr)
                                        : ops_pipeline_load(p->pipeline, key, val, reterr);
}

ops_status ops_partition_open(partition *p, ops_owners *o, uint32_t part, ops_err *reterr)
{
    p->owners = o;
    p->part = part;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_mutex_init(&p->answers_lock, NULL);
    ops_strbuf_init(&p->bytes, DELTA_BYTES_MAX);
    ops_pipeline_limits limits = o->conf.limits;
    limits.on_candidate = on_candidate;
    limits.u = p;
    ops_status st = ops_repo_fence(o->conf.repo, part, &p->fold, reterr);
    if (st == OPS_OK)
        st = ops_pipeline_new(&limits, &p->pipeline, reterr);
    const ops_monitor_limits monitor = {.series_max = o->conf.series_max,
                                        .views_max = o->conf.views_max,
                                        .views_off = o->conf.views_off,
                                        .on_candidate = on_candidate,
                                        .u = p};
    if (st == OPS_OK)
        st = ops_monitor_new(&monitor, &p->monitor, reterr);
    if (st == OPS_OK)
        st = ops_repo_state_scan(o->conf.repo, part, load_state, p, reterr);
    if (st == OPS_OK)
        st = ops_pipeline_load_done(p->pipeline, reterr);
    if (st == OPS_OK)
        st = ops_monitor_load_done(p->monitor, reterr);
    if (st != OPS_OK) {
        ops_err_prefix(reterr, "partition %u", part);
        return st;
    }
    p->read = p->fold.pos;
    p->committed_mono_ns = p->ticked_mono_ns = ops_clock_mono_ns(o->clock);
    atomic_store(&p->shown_read, p->read);
    atomic_store(&p->shown_position, p->read);
    atomic_store(&p->shown_epoch, p->fold.epoch);
    atomic_store(&p->shown_event_ns, ops_pipeline_event_ns(p->pipeline));
    return OPS_OK;
}

void ops_partition_close(partition *p)
{
    ops_pipeline_free(p->pipeline);
    ops_monitor_free(p->monitor);
    ops_pin_finder_free(p->finder);
    ops_strbuf_done(&p->bytes);
    ops_vec_done(&p->effects);
    ops_vec_done(&p->keys);
    ops_vec_done(&p->vals);
    ops_partition_work_free(p);
    (void)pthread_mutex_destroy(&p->answers_lock);
    (void)pthread_mutex_destroy(&p->lock);
}

struct stretch {
    partition *p;
    uint64_t offset;
    int64_t recv_ns;
    uint32_t count;
    ops_slice tenant;
    ops_err *reterr;
};

static void tell_new_template(partition *p, ops_slice tenant, ops_slice service, const ops_template_hit *hit)
{
    ops_template_info info;
    const ops_owners_conf *c = &p->owners->conf;
    if (c->on_template != NULL && ops_pipeline_template(p->pipeline, tenant, hit->id, &info))
        c->on_template(c->u, tenant, service, hit->id, info.text);
}

/* What the record's lines are one session by, as far as it says so itself. */
static ops_slice session_of(const ops_record *r)
{
    if (r->trace_id.n > 0)
        return r->trace_id;
    for (uint32_t i = 0; i < r->attr_count; i++)
        if (r->attrs[i].val.n > 0 && ops_session_key_name(r->attrs[i].key))
            return r->attrs[i].val;
    return ops_slice_of("", 0);
}

static ops_status analyse(void *u, ops_slice tenant, uint32_t index, const ops_record *r)
{
    struct stretch *s = u;
    ops_template_hit hit = {0};
    const ops_event e = {.tenant = tenant,
                         .service = r->service,
                         .message = r->message,
                         .session = session_of(r),
                         .time_ns = r->time_ns,
                         .recv_ns = r->recv_ns,
                         .severity = r->severity,
                         .echo = (r->flags & OPS_RECORD_SPAN) != 0,
                         .log_offset = s->offset,
                         .index = index};
    ops_status st = ops_pipeline_add(s->p->pipeline, &e, &hit, s->reterr);
    if (st == OPS_OK && hit.is_new)
        tell_new_template(s->p, tenant, r->service, &hit);
    s->count += st == OPS_OK;
    s->tenant = tenant;
    return st;
}

static ops_monitor_kind monitor_kind(ops_series_kind kind)
{
    switch (kind) {
    case OPS_SERIES_COUNTER:
        return OPS_MONITOR_COUNTER;
    case OPS_SERIES_DELTA:
        return OPS_MONITOR_DELTA;
    case OPS_SERIES_BUCKET:
        return OPS_MONITOR_BUCKET;
    case OPS_SERIES_BUCKET_DELTA:
        return OPS_MONITOR_BUCKET_DELTA;
    case OPS_SERIES_GAUGE:
    case OPS_SERIES_KIND_COUNT:
        break;
    }
    return OPS_MONITOR_GAUGE;
}

static ops_status judge(void *u, ops_slice tenant, const ops_series_id *id, const ops_sample *samples,
                        size_t n, ops_err *reterr)
{
    struct stretch *s = u;
    partition *p = s->p;
    uint64_t fates[OPS_MONITOR_FATE_COUNT] = {0};
    ops_strbuf text;
    ops_status st = OPS_OK;
    ops_strbuf_init(&text, OPS_RECORD_BATCH_BYTES_MAX * 2);
    ops_series_text(id, &text);
    if (text.failed)
        st = ops_fail(reterr, OPS_ENOMEM, "the name of a series");
    for (size_t i = 0; st == OPS_OK && i < n; i++) {
        ops_monitor_fate fate;
        const ops_monitor_sample x = {.tenant = tenant,
                                      .service = id->service,
                                      .series = ops_strbuf_get(&text),
                                      .kind = monitor_kind(id->kind),
                                      .stale = (samples[i].flags & OPS_SAMPLE_STALE) != 0,
                                      .time_ns = samples[i].time_ns,
                                      .recv_ns = s->recv_ns,
                                      .value = samples[i].value,
                                      .log_offset = s->offset};
        st = ops_monitor_add(p->monitor, &x, &fate, reterr);
        if (st == OPS_OK)
            fates[fate]++;
    }
    ops_strbuf_done(&text);
    if (st == OPS_OK && p->owners->conf.on_samples != NULL)
        p->owners->conf.on_samples(p->owners->conf.u, tenant, id, samples, n);
    s->count += (uint32_t)n;
    s->tenant = tenant;
    for (unsigned f = 0; f < OPS_MONITOR_FATE_COUNT; f++)
        ops_ledger_count(p->owners->conf.ledger, OPS_LEDGER_JUDGED,
                         ops_monitor_fate_name((ops_monitor_fate)f), fates[f]);
    return st;
}

static ops_status on_samples(struct stretch *s, ops_slice payload)
{
    ops_status st = ops_sample_batch_walk(payload, judge, s, s->reterr);
    if (st != OPS_OK) {
        ops_err_prefix(s->reterr, "log offset %llu", (unsigned long long)s->offset);
        return st;
    }
    s->p->samples += s->count;
    ops_ledger_samples(s->p->owners->conf.ledger, s->tenant, OPS_FATE_ANALYSED, s->count);
    return OPS_OK;
}

static ops_status on_entry(void *u, uint64_t offset, const ops_streamlog_entry *e, ops_err *reterr)
{
    partition *p = u;
    struct stretch s = {.p = p, .offset = offset, .recv_ns = e->recv_ns, .reterr = reterr};
    if (e->payload.n > 0 && e->payload.p[0] == RECORD_BATCH) {
        ops_status st = ops_record_batch_walk(e->payload, analyse, &s, reterr);
        if (st != OPS_OK) {
            ops_err_prefix(reterr, "log offset %llu", (unsigned long long)offset);
            return st;
        }
        p->records += s.count;
        ops_ledger_records(p->owners->conf.ledger, s.tenant, OPS_FATE_ANALYSED, s.count);
    }
    if (e->payload.n > 0 && e->payload.p[0] == OPS_SAMPLE_BATCH_TAG) {
        ops_status st = on_samples(&s, e->payload);
        if (st != OPS_OK)
            return st;
    }
    p->read = offset + 1;
    p->read_recv_ns = e->recv_ns;
    p->unsaved = true;
    /* A DELTA has a largest size: what was judged is written before more is read. */
    return p->effect_failed != OPS_OK                            ? p->effect_failed
           : ops_monitor_dirty_bytes(p->monitor) > UNSAVED_BYTES ? OPS_ECANCELLED
                                                                 : OPS_OK;
}

static void raise_time(_Atomic int64_t *at, int64_t event_ns)
{
    int64_t was = atomic_load(at);
    while (event_ns > was && !atomic_compare_exchange_weak(at, &was, event_ns))
        ;
}

static void show(partition *p)
{
    int64_t event_ns = ops_pipeline_event_ns(p->pipeline);
    atomic_store(&p->shown_read, p->read);
    atomic_store(&p->shown_recv_ns, p->read_recv_ns);
    atomic_store(&p->shown_event_ns, event_ns);
    raise_time(&p->owners->event_ns, event_ns);
    raise_time(&p->owners->sample_event_ns, ops_monitor_event_ns(p->monitor));
}

ops_status ops_partition_step(partition *p, bool *ret_more, ops_err *reterr)
{
    uint64_t first, next, before = p->read;
    *ret_more = false;
    /* While a DELTA waits for a disk that refuses, nothing new is read: the state must not run away from it. */
    if (p->pending)
        return OPS_OK;
    ops_status st = ops_streamlog_bounds(p->owners->conf.log, p->part, &first, &next, reterr);
    if (st != OPS_OK || next == p->read)
        return st;
    (void)pthread_mutex_lock(&p->lock);
    st = ops_streamlog_read(p->owners->conf.log, p->part, p->read, STEP_BYTES, on_entry, p, reterr);
    show(p);
    (void)pthread_mutex_unlock(&p->lock);
    *ret_more = p->read != before;
    return st;
}

/* What miners call: the finder behind it changes under the partition's lock, so that no miner ever holds one that is gone. */
static size_t find_slots(void *u, ops_slice line, ops_pin_span *ret, size_t max)
{
    const partition *p = u;
    return p->pins.find != NULL ? p->pins.find(p->pins.u, line, ret, max) : 0;
}

ops_status ops_partition_pins(partition *p, ops_err *reterr)
{
    ops_owners *o = p->owners;
    OPS_AUTO(ops_pinset_unref) ops_pinset *set = NULL;
    ops_pin_finder *finder = NULL, *before = p->finder;
    ops_pin_set pins = {0};
    if (atomic_load(&o->pins_posted) == p->pins_taken)
        return OPS_OK;
    (void)pthread_mutex_lock(&o->pins_lock);
    set = ops_pinset_ref(o->pins);
    uint64_t posted = atomic_load(&o->pins_posted);
    (void)pthread_mutex_unlock(&o->pins_lock);
    ops_status st = set != NULL ? ops_pin_finder_new(set, &finder, reterr) : OPS_OK;
    if (st != OPS_OK)
        return st;
    if (finder != NULL)
        ops_pin_finder_view(finder, &pins);
    const ops_pin_set shown = {pins.pins, pins.n, pins.find != NULL ? find_slots : NULL, p};
    (void)pthread_mutex_lock(&p->lock);
    st = ops_pipeline_pins_set(p->pipeline, &shown, reterr);
    p->pins = pins; /* also after a failure: the pipeline may hold the new set's */
    p->finder = finder;
    p->unsaved = true; /* templates may have become one */
    (void)pthread_mutex_unlock(&p->lock);
    ops_pin_finder_free(before);
    if (st != OPS_OK && st != OPS_EINVAL)
        return st;
    p->pins_taken =
        posted; /* a set that the miner refuses is refused once: the check of the file should have said so */
    atomic_store(&p->shown_pins, posted);
    return st;
}

ops_status ops_partition_tick(partition *p, ops_err *reterr)
{
    int64_t now = ops_clock_mono_ns(p->owners->clock), all_ns = atomic_load(&p->owners->event_ns);
    uint64_t first, next;
    if (p->pending)
        return OPS_OK;
    /* Looked at after the others' event time: what is older than that has been read here. */
    ops_status st = ops_streamlog_bounds(p->owners->conf.log, p->part, &first, &next, reterr);
    if (st != OPS_OK || next != p->read)
        return st;
    (void)pthread_mutex_lock(&p->lock);
    if (all_ns != INT64_MIN && ops_pipeline_event_ns(p->pipeline) != INT64_MIN)
        st = ops_pipeline_advance(p->pipeline, all_ns, reterr);
    if (st == OPS_OK && now - p->ticked_mono_ns >= 1000000000) {
        p->ticked_mono_ns = now;
        st = ops_pipeline_tick(p->pipeline, now, reterr);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return st != OPS_OK ? st : p->effect_failed;
}

static ops_status save_record(void *u, ops_slice key, ops_slice val)
{
    partition *p = u;
    piece k, v;
    if (!put_piece(p, key, &k) || !put_piece(p, val, &v))
        return OPS_ENOMEM;
    return ops_vec_push(&p->keys, k) && ops_vec_push(&p->vals, v) ? OPS_OK : OPS_ENOMEM;
}

static ops_status build(partition *p, bool last, ops_err *reterr)
{
    (void)pthread_mutex_lock(&p->lock);
    if (last)
        ops_pipeline_slots_due(p->pipeline, LAST_SLOTS_BYTES);
    ops_status st = ops_pipeline_save_dirty(p->pipeline, save_record, p, reterr);
    if (st == OPS_OK)
        st = ops_monitor_save_dirty(p->monitor, save_record, p, reterr);
    (void)pthread_mutex_unlock(&p->lock);
    p->pending = st == OPS_OK;
    return st;
}

static ops_slice piece_of(const partition *p, piece x)
{
    return ops_slice_of(p->bytes.p != NULL ? p->bytes.p + x.at : NULL, x.n);
}

static ops_status fold(partition *p, ops_err *reterr)
{
    ops_delta_write *writes = ops_calloc(p->keys.n + 1, sizeof *writes);
    ops_slice *effects = ops_calloc(p->effects.n + 1, sizeof *effects);
    ops_status st = writes != NULL && effects != NULL ? OPS_OK : OPS_ENOMEM;
    for (size_t i = 0; st == OPS_OK && i < p->keys.n; i++)
        writes[i] = (ops_delta_write){piece_of(p, p->keys.v[i]), piece_of(p, p->vals.v[i])};
    for (size_t i = 0; st == OPS_OK && i < p->effects.n; i++)
        effects[i] = piece_of(p, p->effects.v[i]);
    const ops_delta d = {.part = p->part,
                         .epoch = p->fold.epoch,
                         .from = p->fold.pos,
                         .to = p->read,
                         .prev_hash = p->fold.hash,
                         .writes = writes,
                         .write_count = p->keys.n,
                         .effects = effects,
                         .effect_count = p->effects.n};
    st = st == OPS_OK ? ops_repo_commit(p->owners->conf.repo, &d, p->effects.n > 0, &p->fold, reterr)
                      : ops_fail(reterr, st, "a DELTA of %zu records", p->keys.n);
    ops_free(writes);
    ops_free(effects);
    return st;
}

ops_status ops_partition_commit(partition *p, bool force, ops_err *reterr)
{
    int64_t now = ops_clock_mono_ns(p->owners->clock);
    bool due = force || p->effects.n > 0 || ops_monitor_dirty_bytes(p->monitor) > UNSAVED_BYTES ||
               now - p->committed_mono_ns >= p->owners->conf.commit_interval_ns;
    if (!p->pending && (!due || (!p->unsaved && p->effects.n == 0)))
        return OPS_OK;
    ops_status st = p->pending ? OPS_OK : build(p, force, reterr);
    if (st == OPS_OK)
        st = fold(p, reterr);
    ops_ledger_count(p->owners->conf.ledger, OPS_LEDGER_COMMITS, st == OPS_OK ? "ok" : ops_status_name(st),
                     1);
    if (st != OPS_OK)
        return st;
    bool effects = p->effects.n > 0;
    ops_strbuf_clear(&p->bytes);
    p->effects.n = p->keys.n = p->vals.n = 0;
    p->pending = p->unsaved = false;
    p->committed_mono_ns = now;
    atomic_store(&p->shown_position, p->fold.pos);
    if (effects && p->owners->conf.on_effects != NULL)
        p->owners->conf.on_effects(p->owners->conf.u);
    return OPS_OK;
}
