/* Requests on their way from a door to the log: who decodes them, and when the answer goes out. */
#include "coordinator/shard/intake.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "coordinator/ingest/journal.h"
#include "coordinator/ingest/line.h"
#include "coordinator/ingest/loki.h"
#include "coordinator/ingest/otlp_calls.h"
#include "coordinator/ingest/otlp_logs.h"
#include "coordinator/ingest/otlp_signals_json.h"
#include "coordinator/ingest/otlp_spans.h"
#include "coordinator/shard/intake_internal.h"
#include "proto/otlp/walk.h"

enum { RETRY_MS = 1000, RETRY_FULL_DISK_MS = 30000 };

/* Payload tag of what is kept as it came; a record batch starts with its version, 1. */
enum { TAG_TRACES = 'T', CALLS_EVERY_NS = 250000000 };

ops_status ops_intake_new(const ops_intake_conf *conf, ops_intake **ret, ops_err *reterr)
{
    ops_intake *in = ops_calloc(1, sizeof *in);
    if (in == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "intake");
    in->conf = *conf;
    if (in->conf.threads == 0)
        in->conf.threads = 2;
    if (in->conf.queue_max == 0)
        in->conf.queue_max = 256;
    if (in->conf.inline_bytes_max == 0)
        in->conf.inline_bytes_max = 1 << 20;
    in->clock = conf->clock != NULL ? conf->clock : ops_clock_system();
    (void)pthread_mutex_init(&in->lock, NULL);
    (void)pthread_cond_init(&in->idle, NULL);
    in->redactor = conf->redactor != NULL ? ops_redactor_ref(conf->redactor) : NULL;
    if (in->conf.series_max == 0)
        in->conf.series_max = 20000;
    if (in->conf.sample_limits.labels_max == 0)
        ops_sample_limits_default(&in->conf.sample_limits);
    ops_status st = ops_cardinality_new(in->conf.series_max, &in->series, reterr);
    if (st == OPS_OK)
        st = ops_pool_new("intake", in->conf.threads, in->conf.queue_max, &in->pool, reterr);
    if (st != OPS_OK) {
        ops_intake_free(in);
        return st;
    }
    *ret = in;
    return OPS_OK;
}

void ops_intake_free(ops_intake *in)
{
    if (in == NULL)
        return;
    ops_pool_free(in->pool);
    (void)pthread_mutex_lock(&in->lock);
    while (in->under_way > 0)
        (void)pthread_cond_wait(&in->idle, &in->lock);
    (void)pthread_mutex_unlock(&in->lock);
    for (size_t i = 0; i < in->packer_count; i++)
        ops_packer_free(in->packers[i]);
    ops_cardinality_free(in->series);
    if (in->redactor != NULL)
        ops_redactor_unref(in->redactor);
    (void)pthread_cond_destroy(&in->idle);
    (void)pthread_mutex_destroy(&in->lock);
    ops_free(in);
}

void ops_intake_set_redactor(ops_intake *in, ops_redactor *r)
{
    if (r != NULL)
        r = ops_redactor_ref(r);
    (void)pthread_mutex_lock(&in->lock);
    ops_redactor *old = in->redactor;
    in->redactor = r;
    (void)pthread_mutex_unlock(&in->lock);
    if (old != NULL)
        ops_redactor_unref(old);
}

static ops_packer *packer_take(ops_intake *in, ops_err *reterr)
{
    ops_packer *p = NULL;
    (void)pthread_mutex_lock(&in->lock);
    if (in->packer_count > 0)
        p = in->packers[--in->packer_count];
    (void)pthread_mutex_unlock(&in->lock);
    if (p == NULL &&
        ops_packer_new(in->conf.partitions, &in->conf.limits, in->conf.zone_offset_s, &p, reterr) != OPS_OK)
        return NULL;
    return p;
}

static void packer_give(ops_intake *in, ops_packer *p)
{
    (void)pthread_mutex_lock(&in->lock);
    bool room = in->packer_count < PACKERS_MAX;
    if (room)
        in->packers[in->packer_count++] = p;
    (void)pthread_mutex_unlock(&in->lock);
    if (!room)
        ops_packer_free(p);
}

request *ops_request_new(ops_intake *in, ops_slice tenant, const char *door, ops_intake_done done, void *u,
                         ops_err *reterr)
{
    if (tenant.n == 0 || tenant.n >= TENANT_MAX) {
        (void)ops_fail(reterr, OPS_EINVAL, "a tenant's name of %zu bytes", tenant.n);
        return NULL;
    }
    request *q = ops_calloc(1, sizeof *q);
    if (q == NULL) {
        (void)ops_fail(reterr, OPS_ENOMEM, "intake: a request");
        return NULL;
    }
    q->in = in;
    memcpy(q->tenant, tenant.p, tenant.n);
    q->door = door;
    q->done = done;
    q->done_u = u;
    ops_strbuf_init(&q->plain, in->conf.limits.request_bytes_max);
    q->start_mono_ns = ops_clock_mono_ns(in->clock);
    q->recv_ns = ops_clock_wall_ns(in->clock);
    (void)pthread_mutex_lock(&in->lock);
    in->under_way++;
    q->redactor = in->redactor != NULL ? ops_redactor_ref(in->redactor) : NULL;
    (void)pthread_mutex_unlock(&in->lock);
    return q;
}

static void request_free(request *q)
{
    ops_intake *in = q->in;
    if (q->redactor != NULL)
        ops_redactor_unref(q->redactor);
    ops_strbuf_done(&q->plain);
    ops_free(q);
    (void)pthread_mutex_lock(&in->lock);
    if (--in->under_way == 0)
        (void)pthread_cond_broadcast(&in->idle);
    (void)pthread_mutex_unlock(&in->lock);
}

static void count_fates(request *q, ops_status st)
{
    ops_ledger *l = q->in->conf.ledger;
    ops_slice tenant = ops_slice_str(q->tenant);
    void (*const count)(ops_ledger *, ops_slice, ops_fate, uint64_t) =
        q->is_samples ? ops_ledger_samples : ops_ledger_records;
    count(l, tenant, OPS_FATE_RECEIVED, q->accepted + q->rejected);
    count(l, tenant, st == OPS_OK ? OPS_FATE_ACKED : OPS_FATE_REFUSED, q->accepted);
    count(l, tenant, st == OPS_OK ? OPS_FATE_REJECTED : OPS_FATE_REFUSED, q->rejected);
    ops_ledger_request(l, q->door, st, (double)(ops_clock_mono_ns(q->in->clock) - q->start_mono_ns) / 1e9);
}

static void answer(request *q, ops_status st)
{
    count_fates(q, st);
    const ops_intake_answer a = {.st = st,
                                 .accepted = st == OPS_OK ? q->accepted : 0,
                                 .rejected = st == OPS_OK ? q->rejected : 0,
                                 .samples = q->is_samples && st == OPS_OK ? &q->samples : NULL,
                                 .retry_ms = !ops_status_retriable(st) ? 0
                                             : st == OPS_ENOSPC        ? RETRY_FULL_DISK_MS
                                                                       : RETRY_MS,
                                 .message = q->message};
    q->done(q->done_u, &a);
    request_free(q);
}

/* On the log's commit thread, once per entry. */
static void on_durable(void *u, ops_status st, uint64_t offset)
{
    request *q = u;
    (void)offset;
    if (st != OPS_OK)
        atomic_store(&q->worst, (int)OPS_EUNAVAILABLE);
    if (atomic_fetch_sub(&q->open_entries, 1) != 1)
        return;
    ops_status worst = (ops_status)atomic_load(&q->worst);
    if (worst != OPS_OK)
        (void)snprintf(q->message, sizeof q->message, "the stream log could not be written");
    answer(q, worst);
}

/* Appends what is packed; on OPS_OK the answer comes by itself. */
static ops_status append(request *q, ops_packer *p, const uint8_t *seed, ops_slice note_key, ops_slice note,
                         ops_err *reterr)
{
    const ops_streamlog_entry *entries;
    size_t count;
    ops_status st = ops_packer_finish(p, seed, note_key, note, &entries, &count, reterr);
    if (st != OPS_OK)
        return st;
    ops_ledger_redactions(q->in->conf.ledger, ops_packer_redactions(p));
    if (count == 0) {
        answer(q, OPS_OK);
        return OPS_OK;
    }
    atomic_store(&q->open_entries, count);
    return ops_streamlog_append_all(q->in->conf.log, entries, count, on_durable, q, reterr);
}

void ops_request_dead_letter(request *q, const char *reason, ops_slice detail)
{
    const ops_deadletter letter = {.time_ns = q->recv_ns,
                                   .tenant = ops_slice_str(q->tenant),
                                   .door = q->door,
                                   .reason = reason,
                                   .detail = detail};
    ops_deadletters_add(q->in->conf.dead, &letter);
    ops_ledger_count(q->in->conf.ledger, OPS_LEDGER_DEAD, reason, 1);
}

/* Decoders know one user pointer; the sink needs the packer, the rejects the request. */
typedef struct decoding {
    ops_packer *packer;
    request *q;
} decoding;

static ops_status on_record(void *u, const ops_record *r, ops_err *reterr)
{
    return ops_packer_add(((decoding *)u)->packer, r, reterr);
}

static void on_reject(void *u, ops_ingest_reason reason, const char *detail)
{
    request *q = ((decoding *)u)->q;
    if (q->message[0] == '\0')
        (void)snprintf(q->message, sizeof q->message, "%s: %s", ops_ingest_reason_text(reason), detail);
    ops_request_dead_letter(q, ops_ingest_reason_text(reason), ops_slice_str(detail));
}

static void count_flags(ops_ledger *l, const ops_ingest_counters *c)
{
    ops_ledger_count(l, OPS_LEDGER_FLAGS, "time_clamped", c->clamped);
    ops_ledger_count(l, OPS_LEDGER_FLAGS, "no_time", c->no_time);
    ops_ledger_count(l, OPS_LEDGER_FLAGS, "bad_utf8", c->bad_utf8);
    ops_ledger_count(l, OPS_LEDGER_FLAGS, "truncated", c->truncated);
}

/* NULL: no logs. */
static ops_ingest_decoder decoder_of(ops_intake_kind kind)
{
    switch (kind) {
    case OPS_INTAKE_LOGS_PROTOBUF:
        return ops_otlp_logs_decode;
    case OPS_INTAKE_LOGS_JSON:
        return ops_otlp_logs_decode_json;
    case OPS_INTAKE_LOKI_JSON:
        return ops_loki_decode_json;
    case OPS_INTAKE_LOKI_PROTOBUF:
        return ops_loki_decode;
    case OPS_INTAKE_LOKI_SNAPPY:
        return ops_loki_decode_snappy;
    case OPS_INTAKE_JOURNAL:
        return ops_journal_decode;
    case OPS_INTAKE_METRICS_PROTOBUF:
    case OPS_INTAKE_METRICS_JSON:
    case OPS_INTAKE_REMOTE_WRITE_1:
    case OPS_INTAKE_REMOTE_WRITE_2:
    case OPS_INTAKE_SAMPLES:
    case OPS_INTAKE_TRACES_PROTOBUF:
    case OPS_INTAKE_TRACES_JSON:
        return NULL;
    }
    return NULL;
}

static ops_status decode_logs(request *q, ops_packer *p, ops_ingest_decoder decode, ops_err *reterr)
{
    decoding d = {p, q};
    ops_ingest_counters c = {0};
    ops_status st = decode((const uint8_t *)q->body.p, q->body.n, &q->in->conf.limits, q->recv_ns, on_record,
                           on_reject, &d, &c, reterr);
    if (st != OPS_OK)
        return st;
    uint64_t oversized = ops_packer_oversized(p);
    if (oversized > 0) {
        ops_request_dead_letter(q, "record too large",
                                OPS_SLICE("a record with its attributes exceeds 4 MiB"));
        if (q->message[0] == '\0')
            (void)snprintf(q->message, sizeof q->message, "%" PRIu64 " records exceed 4 MiB", oversized);
    }
    q->accepted = c.accepted - oversized;
    q->rejected = c.rejected + oversized;
    count_flags(q->in->conf.ledger, &c);
    return OPS_OK;
}

static ops_status on_resource(void *u, const ops_walk_batch *b, ops_err *reterr)
{
    decoding *d = u;
    ops_slice service = ops_ingest_service(b->resource->attrs, b->resource->attr_count);
    d->q->signals += b->points;
    return ops_packer_add_opaque(d->packer, TAG_TRACES, service, b->raw, b->points, (int64_t)b->time_min_ns,
                                 (int64_t)b->time_max_ns, reterr);
}

static ops_status decode_failed_spans(request *q, ops_packer *p, ops_err *reterr)
{
    decoding d = {p, q};
    ops_ingest_counters c = {0};
    ops_status st = ops_otlp_failed_spans((const uint8_t *)q->body.p, q->body.n, &q->in->conf.limits,
                                          q->recv_ns, on_record, NULL, &d, &c, reterr);
    if (st != OPS_OK)
        return st;
    q->accepted = c.accepted - ops_packer_oversized(p); /* the span itself is kept all the same */
    count_flags(q->in->conf.ledger, &c);
    return OPS_OK;
}

static void on_call(void *u, ops_slice caller, ops_slice callee)
{
    const request *q = u;
    q->in->conf.on_call(q->in->conf.u, ops_slice_str(q->tenant), caller, callee);
}

/* A few requests tell who calls whom; all of them would tell no more, at twice the cost. */
static ops_status learn_calls(request *q, ops_err *reterr)
{
    int_least64_t due = atomic_load(&q->in->calls_due_ns);
    const int64_t now = ops_clock_mono_ns(q->in->clock);
    if (q->in->conf.on_call == NULL || now < due ||
        !atomic_compare_exchange_strong(&q->in->calls_due_ns, &due, now + CALLS_EVERY_NS))
        return OPS_OK;
    return ops_otlp_calls((const uint8_t *)q->body.p, q->body.n, &q->in->conf.limits, on_call, q, reterr);
}

static ops_status decode_traces(request *q, ops_packer *p, ops_err *reterr)
{
    ops_walk_limits limits;
    ops_walk *w = NULL;
    decoding d = {p, q};
    ops_walk_limits_default(&limits);
    limits.message_bytes_max = q->in->conf.limits.request_bytes_max;
    limits.items_max = q->in->conf.limits.records_max;
    ops_status st = ops_walk_new(&limits, &w, reterr);
    if (st != OPS_OK)
        return st;
    st = ops_walk_traces(w, q->body, on_resource, &d, reterr);
    ops_walk_free(w);
    if (st == OPS_OK && q->in->conf.failed_spans)
        st = decode_failed_spans(q, p, reterr);
    if (st == OPS_OK)
        st = learn_calls(q, reterr);
    if (st == OPS_OK)
        ops_ledger_count(q->in->conf.ledger, OPS_LEDGER_SIGNALS, "spans", q->signals);
    return st;
}

/* 128 bits over tenant, kind and bytes: what makes a request the same request. */
static void body_seed(const request *q, uint8_t seed[OPS_STREAMLOG_DEDUPE_BYTES])
{
    uint64_t who = ops_hash64(q->tenant, strlen(q->tenant), (uint64_t)q->kind);
    uint64_t halves[2] = {ops_hash64(q->body.p, q->body.n, who), ops_hash64(q->body.p, q->body.n, ~who)};
    memcpy(seed, halves, sizeof halves);
}

/* Fails the request with the words of `err`; a content that can not be read is a dead letter too. */
static void give_up(request *q, ops_status st, const ops_err *err)
{
    (void)snprintf(q->message, sizeof q->message, "%s", err->msg);
    if (!ops_status_retriable(st))
        ops_request_dead_letter(q, ops_status_text(st), ops_slice_str(err->msg));
    answer(q, st);
}

/* Metrics and traces in JSON, written over. */
static ops_status as_protobuf(request *q, ops_err *reterr)
{
    if (q->kind != OPS_INTAKE_METRICS_JSON && q->kind != OPS_INTAKE_TRACES_JSON)
        return OPS_OK;
    ops_status st = ops_otlp_signals_from_json(
        q->kind == OPS_INTAKE_METRICS_JSON ? OPS_OTLP_JSON_METRICS : OPS_OTLP_JSON_TRACES,
        (const uint8_t *)q->body.p, q->body.n, &q->in->conf.limits, &q->plain, reterr);
    if (st == OPS_OK)
        q->body = ops_strbuf_get(&q->plain);
    return st;
}

static ops_status pack_body(request *q, ops_packer *p, ops_err *reterr)
{
    const ops_ingest_decoder logs = decoder_of(q->kind);
    ops_status st = as_protobuf(q, reterr);
    if (st != OPS_OK)
        return st;
    if (logs != NULL)
        return decode_logs(q, p, logs, reterr);
    return q->kind == OPS_INTAKE_TRACES_PROTOBUF || q->kind == OPS_INTAKE_TRACES_JSON
               ? decode_traces(q, p, reterr)
               : ops_request_decode_samples(q, p, reterr);
}

void ops_request_run(request *q, ops_status (*pack)(request *q, ops_packer *p, ops_err *reterr), bool keyed)
{
    ops_err err = {0};
    uint8_t seed[OPS_STREAMLOG_DEDUPE_BYTES];
    ops_intake *in = q->in;
    ops_status st = OPS_ENOMEM;
    ops_packer *p = packer_take(in, &err);
    if (p != NULL) {
        st = ops_packer_begin(p, q->redactor, ops_slice_str(q->tenant), q->recv_ns, &err);
        if (st == OPS_OK)
            st = pack(q, p, &err);
        if (keyed)
            body_seed(q, seed);
        if (st == OPS_OK)
            st = append(q, p, keyed ? seed : NULL, (ops_slice){0}, (ops_slice){0}, &err);
    }
    if (st != OPS_OK)
        give_up(q, st, &err);
    if (p != NULL)
        packer_give(in, p);
}

static void handle(request *q)
{
    ops_request_run(q, pack_body, true);
}

static void handle_job(void *u)
{
    handle(u);
}

ops_status ops_intake_request(ops_intake *in, ops_slice tenant, const char *door, ops_intake_kind kind,
                              ops_slice body, ops_intake_done done, void *u, ops_err *reterr)
{
    ops_err err = {0};
    request *q = ops_request_new(in, tenant, door, done, u, &err);
    if (q == NULL) {
        if (reterr != NULL)
            *reterr = err;
        return err.code;
    }
    q->kind = kind;
    q->body = body;
    q->is_samples = ops_intake_is_samples(kind);
    if (body.n <= in->conf.inline_bytes_max) {
        handle(q);
        return OPS_OK;
    }
    ops_status st = ops_pool_post(in->pool, handle_job, q);
    if (st == OPS_OK)
        return OPS_OK;
    ops_ledger_request(in->conf.ledger, door, OPS_EAGAIN, 0);
    request_free(q);
    return ops_fail(reterr, OPS_EAGAIN, "%zu requests wait to be read", in->conf.queue_max);
}

static ops_status parse_lines(request *q, ops_packer *p, const ops_intake_lines_batch *b, ops_err *reterr)
{
    ops_arena arena;
    ops_ingest_counters c = {0};
    ops_status st = OPS_OK;
    const ops_line_ctx ctx = {.limits = &q->in->conf.limits,
                              .recv_ns = q->recv_ns,
                              .zone_offset_s = q->in->conf.zone_offset_s,
                              .service = b->service};
    ops_arena_init(&arena, 16 << 20);
    for (size_t i = 0; i < b->count && st == OPS_OK; i++) {
        ops_record r;
        ops_arena_clear(&arena);
        (void)ops_line_parse(&ctx, b->lines[i].text, &arena, &r, NULL, NULL);
        r.flags |= b->lines[i].flags;
        c.no_time += (r.flags & OPS_RECORD_NO_TIME) != 0;
        c.clamped += (r.flags & OPS_RECORD_TIME_CLAMPED) != 0;
        c.bad_utf8 += (r.flags & OPS_RECORD_BAD_UTF8) != 0;
        c.truncated += (r.flags & OPS_RECORD_TRUNCATED) != 0;
        st = ops_packer_add(p, &r, reterr);
    }
    ops_arena_done(&arena);
    if (st == OPS_OK) {
        q->rejected = ops_packer_oversized(p);
        q->accepted = b->count - q->rejected;
        count_flags(q->in->conf.ledger, &c);
    }
    return st;
}

ops_status ops_intake_lines(ops_intake *in, const ops_intake_lines_batch *batch, ops_intake_done done,
                            void *u, ops_err *reterr)
{
    ops_err err = {0};
    request *q = ops_request_new(in, batch->tenant, batch->door, done, u, &err);
    ops_packer *p = q != NULL ? packer_take(in, &err) : NULL;
    ops_status st =
        p != NULL ? ops_packer_begin(p, q->redactor, ops_slice_str(q->tenant), q->recv_ns, &err) : err.code;
    if (st == OPS_OK)
        st = parse_lines(q, p, batch, &err);
    if (st == OPS_OK)
        st = append(q, p, batch->dedupe, batch->note_key, batch->note, &err);
    if (p != NULL)
        packer_give(in, p);
    if (st != OPS_OK) {
        if (q != NULL) {
            ops_ledger_request(in->conf.ledger, batch->door, st, 0);
            request_free(q);
        }
        if (reterr != NULL)
            *reterr = err;
    }
    return st;
}
