/* Opening, closing and appending. */
#include "storage/streamlog/streamlog.h"

#include <errno.h>
#include <time.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "storage/streamlog/streamlog_internal.h"

const char *const ops_streamlog_families[] = {"log", "dedupe", "footer", "notes"};

static void set_defaults(ops_streamlog_conf *c)
{
    if (c->pending_bytes_max == 0)
        c->pending_bytes_max = (size_t)32 << 20;
    if (c->dedupe_window_ns == 0)
        c->dedupe_window_ns = (int64_t)15 * 60 * 1000000000;
    if (c->dedupe_max == 0)
        c->dedupe_max = (size_t)1 << 20;
    if (c->refuse_percent == 0)
        c->refuse_percent = 5;
    if (c->refuse_bytes == 0)
        c->refuse_bytes = (uint64_t)256 << 20;
    if (c->clock == NULL)
        c->clock = ops_clock_system();
}

static void init_sync(ops_streamlog *sl)
{
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&sl->lock, NULL);
    (void)pthread_cond_init(&sl->work, &attr);
    (void)pthread_cond_init(&sl->grown, &attr);
    (void)pthread_condattr_destroy(&attr);
}

ops_status ops_streamlog_open(ops_kv *kv, const ops_streamlog_conf *conf, ops_streamlog **ret,
                              ops_err *reterr)
{
    if (conf->partitions == 0 || conf->partitions > PARTITIONS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "stream log: %u partitions, 1 to %d can be had", conf->partitions,
                        PARTITIONS_MAX);
    ops_streamlog *sl = ops_calloc(1, sizeof *sl);
    if (sl == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "stream log: opening");
    sl->kv = kv;
    sl->conf = *conf;
    set_defaults(&sl->conf);
    sl->tail = &sl->head;
    init_sync(sl);
    sl->dedupe = ops_dedupe_new(sl->conf.dedupe_max);
    ops_status st = sl->dedupe != NULL ? ops_streamlog_recover(sl, reterr)
                                       : ops_fail(reterr, OPS_ENOMEM, "stream log: opening");
    if (st == OPS_OK && !sl->conf.stepped &&
        pthread_create(&sl->committer, NULL, ops_streamlog_commit_loop, sl) != 0)
        st = ops_fail(reterr, OPS_EAGAIN, "stream log: the commit thread did not start");
    sl->started = st == OPS_OK && !sl->conf.stepped;
    if (st != OPS_OK) {
        ops_streamlog_close(sl);
        return st;
    }
    *ret = sl;
    return OPS_OK;
}

void ops_streamlog_close(ops_streamlog *sl)
{
    if (sl == NULL)
        return;
    if (sl->started) {
        (void)pthread_mutex_lock(&sl->lock);
        sl->closing = true;
        (void)pthread_cond_broadcast(&sl->work);
        (void)pthread_cond_broadcast(&sl->grown);
        (void)pthread_mutex_unlock(&sl->lock);
        (void)pthread_join(sl->committer, NULL);
    }
    while (ops_streamlog_step(sl)) {
    }
    (void)pthread_cond_destroy(&sl->work);
    (void)pthread_cond_destroy(&sl->grown);
    (void)pthread_mutex_destroy(&sl->lock);
    ops_dedupe_free(sl->dedupe);
    ops_free(sl);
}

bool ops_streamlog_step(ops_streamlog *sl)
{
    return sl->conf.stepped && ops_streamlog_commit_group(sl, false);
}

static ops_status check_entry(const ops_streamlog *sl, const ops_streamlog_entry *e, ops_err *reterr)
{
    if (e->part >= sl->conf.partitions)
        return ops_fail(reterr, OPS_EINVAL, "stream log: partition %u of %u", e->part, sl->conf.partitions);
    if (e->payload.n > OPS_STREAMLOG_ENTRY_BYTES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "stream log: an entry of %zu bytes, %d at most", e->payload.n,
                        OPS_STREAMLOG_ENTRY_BYTES_MAX);
    if (e->note_key.n > OPS_STREAMLOG_NOTE_KEY_MAX || e->note.n > OPS_STREAMLOG_NOTE_BYTES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "stream log: a note of %zu bytes under a key of %zu", e->note.n,
                        e->note_key.n);
    return OPS_OK;
}

ops_status ops_streamlog_space_left(ops_streamlog *sl, ops_err *reterr)
{
    uint64_t free_bytes, total_bytes;
    if (sl->conf.space == NULL || !sl->conf.space(sl->conf.space_u, &free_bytes, &total_bytes))
        return OPS_OK;
    if (free_bytes >= sl->conf.refuse_bytes && free_bytes >= total_bytes / 100 * sl->conf.refuse_percent)
        return OPS_OK;
    return ops_fail(reterr, OPS_ENOSPC,
                    "stream log: %llu MiB of %llu MiB are free; accepted again above %u %% and %llu MiB",
                    (unsigned long long)(free_bytes >> 20), (unsigned long long)(total_bytes >> 20),
                    sl->conf.refuse_percent, (unsigned long long)(sl->conf.refuse_bytes >> 20));
}

static ops_status check_space(ops_streamlog *sl, ops_err *reterr)
{
    ops_status st = ops_streamlog_space_left(sl, reterr);
    if (st == OPS_OK)
        return OPS_OK;
    (void)pthread_mutex_lock(&sl->lock);
    sl->stats.refused_space++;
    (void)pthread_mutex_unlock(&sl->lock);
    return st;
}

void ops_streamlog_pending_free(struct pending *p)
{
    ops_strbuf_done(&p->value);
    ops_free(p->note);
    ops_free(p);
}

static struct pending *pending_new(const ops_streamlog_entry *e, ops_streamlog_ack ack, void *u)
{
    struct pending *p = ops_calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->part = e->part;
    p->record_count = e->record_count;
    p->recv_ns = e->recv_ns;
    p->payload_bytes = e->payload.n;
    p->ack = ack;
    p->ack_u = u;
    p->has_dedupe = e->dedupe != NULL;
    if (p->has_dedupe)
        memcpy(p->dedupe, e->dedupe, sizeof p->dedupe);
    ops_strbuf_init(&p->value, OPS_KV_BATCH_BYTES_MAX);
    if (e->note_key.n > 0) {
        p->note_key_n = e->note_key.n;
        p->note_n = e->note.n;
        p->note = ops_malloc(e->note_key.n + e->note.n);
        if (p->note != NULL) {
            memcpy(p->note, e->note_key.p, e->note_key.n);
            if (e->note.n > 0)
                memcpy(p->note + e->note_key.n, e->note.p, e->note.n);
        }
    }
    if ((e->note_key.n > 0 && p->note == NULL) || ops_entry_encode(e, &p->value) != OPS_OK) {
        ops_streamlog_pending_free(p);
        return NULL;
    }
    ops_footer_describe(&p->footer, e, p->value.n);
    return p;
}

static void chain_free(struct pending *p)
{
    for (struct pending *following; p != NULL; p = following) {
        following = p->next;
        ops_streamlog_pending_free(p);
    }
}

/* Takes the whole chain on OPS_OK only. */
static ops_status enqueue(ops_streamlog *sl, struct pending *chain, struct pending **end, size_t bytes,
                          ops_err *reterr)
{
    ops_status st = OPS_OK;
    (void)pthread_mutex_lock(&sl->lock);
    if (sl->stats.broken)
        st = ops_fail(reterr, OPS_EIO, "stream log: an earlier write failed; open it again");
    else if (sl->closing)
        st = ops_fail(reterr, OPS_EUNAVAILABLE, "stream log: closing");
    else if (sl->stats.pending_bytes > 0 && sl->stats.pending_bytes + bytes > sl->conf.pending_bytes_max) {
        sl->stats.refused_full++;
        st = ops_fail(reterr, OPS_EAGAIN, "stream log: %zu bytes wait to become durable",
                      sl->stats.pending_bytes);
    }
    if (st == OPS_OK) {
        sl->stats.pending_bytes += bytes;
        *sl->tail = chain;
        sl->tail = end;
        (void)pthread_cond_signal(&sl->work);
    }
    (void)pthread_mutex_unlock(&sl->lock);
    return st;
}

ops_status ops_streamlog_append_all(ops_streamlog *sl, const ops_streamlog_entry *entries, size_t count,
                                    ops_streamlog_ack ack, void *u, ops_err *reterr)
{
    struct pending *chain = NULL, **end = &chain;
    size_t bytes = 0;
    ops_status st = count > 0 ? check_space(sl, reterr) : OPS_OK;
    for (size_t i = 0; i < count && st == OPS_OK; i++) {
        st = check_entry(sl, &entries[i], reterr);
        if (st != OPS_OK)
            break;
        /* Compressed here, on the producer's thread: the commit thread is one for all. */
        *end = pending_new(&entries[i], ack, u);
        if (*end == NULL) {
            st = ops_fail(reterr, OPS_ENOMEM, "stream log: an entry of %zu bytes", entries[i].payload.n);
            break;
        }
        bytes += (*end)->value.n;
        end = &(*end)->next;
    }
    if (st == OPS_OK && count > 0)
        st = enqueue(sl, chain, end, bytes, reterr);
    if (st != OPS_OK)
        chain_free(chain);
    return st;
}

ops_status ops_streamlog_append(ops_streamlog *sl, const ops_streamlog_entry *e, ops_streamlog_ack ack,
                                void *u, ops_err *reterr)
{
    return ops_streamlog_append_all(sl, e, 1, ack, u, reterr);
}

static struct timespec deadline_in(int timeout_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return until;
}

bool ops_streamlog_wait_any(ops_streamlog *sl, uint64_t *change, int timeout_ms)
{
    struct timespec until = deadline_in(timeout_ms);
    (void)pthread_mutex_lock(&sl->lock);
    int rc = 0;
    while (sl->change == *change && !sl->closing && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&sl->grown, &sl->lock, &until);
    bool more = sl->change != *change;
    *change = sl->change;
    (void)pthread_mutex_unlock(&sl->lock);
    return more;
}

bool ops_streamlog_wait(ops_streamlog *sl, uint32_t part, uint64_t next, int timeout_ms)
{
    struct timespec until = deadline_in(timeout_ms);
    (void)pthread_mutex_lock(&sl->lock);
    int rc = 0;
    while (part < sl->conf.partitions && sl->next[part] <= next && !sl->closing && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&sl->grown, &sl->lock, &until);
    bool more = part < sl->conf.partitions && sl->next[part] > next;
    (void)pthread_mutex_unlock(&sl->lock);
    return more;
}

void ops_streamlog_stats_get(ops_streamlog *sl, ops_streamlog_stats *ret)
{
    (void)pthread_mutex_lock(&sl->lock);
    *ret = sl->stats;
    (void)pthread_mutex_unlock(&sl->lock);
}
