/* The owner threads, and what others may ask about partitions. */
#include "coordinator/shard/owner.h"

#include <stdio.h>
#include <string.h>

#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "coordinator/shard/owner_internal.h"

enum { IDLE_WAIT_MS = 100 };

ops_status ops_owners_new(const ops_owners_conf *conf, ops_owners **ret, ops_err *reterr)
{
    OPS_AUTO(ops_owners_free) ops_owners *o = ops_calloc(1, sizeof *o);
    if (o == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "partition owners");
    o->conf = *conf;
    if (o->conf.threads == 0 || o->conf.threads > conf->partitions)
        o->conf.threads = conf->partitions;
    if (o->conf.commit_interval_ns == 0)
        o->conf.commit_interval_ns = 1000000000;
    o->clock = conf->clock != NULL ? conf->clock : ops_clock_system();
    atomic_store(&o->event_ns, INT64_MIN);
    atomic_store(&o->sample_event_ns, INT64_MIN);
    (void)pthread_mutex_init(&o->pins_lock, NULL);
    o->parts = ops_calloc(conf->partitions, sizeof *o->parts);
    o->threads = ops_calloc(o->conf.threads, sizeof(ops_thread *));
    o->args = ops_calloc(o->conf.threads, sizeof *o->args);
    if (o->parts == NULL || o->threads == NULL || o->args == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "owners of %u partitions", conf->partitions);
    for (uint32_t i = 0; i < conf->partitions; i++) {
        ops_status st = ops_partition_open(&o->parts[i], o, i, reterr);
        if (st != OPS_OK)
            return st;
        int64_t event_ns = atomic_load(&o->parts[i].shown_event_ns);
        if (event_ns > atomic_load(&o->event_ns))
            atomic_store(&o->event_ns, event_ns);
    }
    *ret = OPS_STEAL(o);
    return OPS_OK;
}

/* The partition stops for good; the others go on. */
static void set_aside(partition *p, const ops_err *err)
{
    (void)snprintf(p->failure, sizeof p->failure, "%.255s", err->msg);
    atomic_store(&p->failed, true);
    OPS_LOG(OPS_LOG_ERROR, "partition_stopped", OPS_KV_INT("partition", p->part),
            OPS_KV_STR("why", err->msg));
}

/* One round over a partition; true when there may be more to read at once. */
static bool work_on(partition *p)
{
    ops_err err = {0};
    bool more = false;
    if (atomic_load(&p->failed))
        return false;
    ops_status st = ops_partition_pins(p, &err);
    if (st != OPS_OK) {
        OPS_LOG(OPS_LOG_WARN, "pins_not_taken_up", OPS_KV_INT("partition", p->part),
                OPS_KV_STR("why", err.msg));
        err = (ops_err){0};
    }
    ops_partition_answers(p);
    st = ops_partition_step(p, &more, &err);
    if (st == OPS_OK && !more)
        st = ops_partition_tick(p, &err);
    if (st != OPS_OK) {
        set_aside(p, &err);
        return false;
    }
    ops_partition_work(p);
    st = ops_partition_commit(p, false, &err);
    if (st == OPS_OK)
        return more;
    if (st == OPS_ECONFLICT || st == OPS_ECORRUPT || st == OPS_ETOOBIG)
        set_aside(p, &err);
    else /* a full disk, no memory: tried again at the next round */
        OPS_LOG(OPS_LOG_WARN, "state_not_written", OPS_KV_INT("partition", p->part),
                OPS_KV_STR("why", err.msg));
    return false;
}

static void run(void *u)
{
    const struct owner_thread *me = u;
    ops_owners *o = me->owners;
    uint64_t change = 0;
    while (!atomic_load(&o->stopping)) {
        bool more = false;
        for (uint32_t i = me->number; i < o->conf.partitions && !atomic_load(&o->stopping);
             i += o->conf.threads)
            more = work_on(&o->parts[i]) || more;
        if (!more)
            (void)ops_streamlog_wait_any(o->conf.log, &change, IDLE_WAIT_MS);
    }
    for (uint32_t i = me->number; i < o->conf.partitions; i += o->conf.threads) {
        ops_err err = {0};
        if (!atomic_load(&o->parts[i].failed) && ops_partition_commit(&o->parts[i], true, &err) != OPS_OK)
            OPS_LOG(OPS_LOG_WARN, "state_not_written", OPS_KV_INT("partition", i),
                    OPS_KV_STR("why", err.msg));
    }
}

ops_status ops_owners_start(ops_owners *o, ops_err *reterr)
{
    o->started = true;
    for (unsigned i = 0; i < o->conf.threads; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "owner/%u", i % 1000);
        o->args[i] = (struct owner_thread){o, i};
        ops_status st = ops_thread_start(run, &o->args[i], name, &o->threads[i], reterr);
        if (st != OPS_OK) {
            ops_owners_stop(o);
            return st;
        }
    }
    return OPS_OK;
}

void ops_owners_stop(ops_owners *o)
{
    atomic_store(&o->stopping, true);
    for (unsigned i = 0; o->started && i < o->conf.threads; i++)
        ops_thread_join(OPS_STEAL(o->threads[i]));
    o->started = false;
}

void ops_owners_free(ops_owners *o)
{
    if (o == NULL)
        return;
    ops_owners_stop(o);
    for (uint32_t i = 0; o->parts != NULL && i < o->conf.partitions; i++)
        if (o->parts[i].owners != NULL)
            ops_partition_close(&o->parts[i]);
    ops_free(o->parts);
    ops_free(o->threads);
    ops_free(o->args);
    ops_pinset_unref(o->pins);
    (void)pthread_mutex_destroy(&o->pins_lock);
    ops_free(o);
}

void ops_owners_pins_set(ops_owners *o, ops_pinset *s)
{
    (void)pthread_mutex_lock(&o->pins_lock);
    ops_pinset *before = o->pins;
    o->pins = ops_pinset_ref(s);
    atomic_fetch_add(&o->pins_posted, 1);
    (void)pthread_mutex_unlock(&o->pins_lock);
    ops_pinset_unref(before);
}

uint32_t ops_owners_pins_pending(ops_owners *o)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->conf.partitions; i++)
        n += atomic_load(&o->parts[i].shown_pins) != atomic_load(&o->pins_posted) &&
             !atomic_load(&o->parts[i].failed);
    return n;
}

int64_t ops_owners_event_ns(ops_owners *o)
{
    const int64_t records = atomic_load(&o->event_ns), samples = atomic_load(&o->sample_event_ns);
    return records > samples ? records : samples;
}

ops_status ops_owners_partition(ops_owners *o, uint32_t part, ops_partition_info *ret, ops_err *reterr)
{
    if (part >= o->conf.partitions)
        return ops_fail(reterr, OPS_ENOTFOUND, "partition %u of %u", part, o->conf.partitions);
    partition *p = &o->parts[part];
    *ret = (ops_partition_info){.part = part,
                                .position = atomic_load(&p->shown_position),
                                .read = atomic_load(&p->shown_read),
                                .epoch = atomic_load(&p->shown_epoch),
                                .event_ns = atomic_load(&p->shown_event_ns)};
    ops_status st = ops_streamlog_bounds(o->conf.log, part, &ret->first, &ret->next, reterr);
    if (st != OPS_OK)
        return st;
    int64_t recv_ns = atomic_load(&p->shown_recv_ns);
    if (ret->read < ret->next && recv_ns != 0)
        ret->lag_ns = ops_clock_wall_ns(o->clock) - recv_ns;
    if (atomic_load(&p->failed))
        memcpy(ret->failure, p->failure, sizeof ret->failure);
    (void)pthread_mutex_lock(&p->lock);
    ops_pipeline_stats_get(p->pipeline, &ret->stats);
    ops_monitor_stats_get(p->monitor, &ret->series);
    ret->records = p->records;
    ret->samples = p->samples;
    ret->answers_refused = atomic_load(&p->answers_refused);
    if (p->finder != NULL)
        ops_pin_finder_stats_get(p->finder, &ret->pins);
    (void)pthread_mutex_unlock(&p->lock);
    return OPS_OK;
}

void ops_owners_streams(ops_owners *o, uint32_t part, bool (*fn)(void *u, const ops_stream_info *s), void *u)
{
    if (part >= o->conf.partitions)
        return;
    partition *p = &o->parts[part];
    ops_stream_info info;
    size_t iter = 0;
    (void)pthread_mutex_lock(&p->lock);
    while (ops_pipeline_next_stream(p->pipeline, &iter, &info) && fn(u, &info))
        ;
    (void)pthread_mutex_unlock(&p->lock);
}

void ops_owners_series(ops_owners *o, uint32_t part, bool (*fn)(void *u, const ops_monitor_info *s), void *u)
{
    if (part >= o->conf.partitions)
        return;
    partition *p = &o->parts[part];
    ops_monitor_info info;
    size_t iter = 0;
    (void)pthread_mutex_lock(&p->lock);
    while (ops_monitor_next(p->monitor, &iter, &info) && fn(u, &info))
        ;
    (void)pthread_mutex_unlock(&p->lock);
}

void ops_owners_templates(ops_owners *o, uint32_t part,
                          bool (*fn)(void *u, ops_slice tenant, const ops_template_info *t), void *u)
{
    if (part >= o->conf.partitions)
        return;
    partition *p = &o->parts[part];
    ops_pipeline_template_iter iter = {0};
    ops_slice tenant;
    ops_template_info info;
    (void)pthread_mutex_lock(&p->lock);
    while (ops_pipeline_next_template(p->pipeline, &iter, &tenant, &info) && fn(u, tenant, &info))
        ;
    (void)pthread_mutex_unlock(&p->lock);
}

bool ops_owners_look(ops_owners *o, uint32_t part, void (*fn)(void *u, uint32_t part, const ops_pipeline *p),
                     void *u)
{
    if (part >= o->conf.partitions)
        return false;
    partition *p = &o->parts[part];
    (void)pthread_mutex_lock(&p->lock);
    fn(u, part, p->pipeline);
    (void)pthread_mutex_unlock(&p->lock);
    return true;
}
