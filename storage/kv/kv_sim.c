/* Two stores in memory, what is seen and what is durable, and between them the journal of what is not synced yet. */
#include "storage/kv/kv_sim.h"

#include <pthread.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "storage/kv/kv_internal.h"

enum { PAGE_BYTES = 64, JOURNAL_BYTES_MAX = 2 * OPS_KV_BATCH_BYTES_MAX, COPY_BYTES_MAX = 1 << 20 };

struct frame_head {
    uint32_t bytes, crc; /* of what follows; never 0 bytes, so that a lost page of zeros is no frame */
};

struct countdown {
    bool set;
    unsigned left;
    enum ops_kv_sim_fault fault;
    ops_status st;
};

struct sim {
    ops_kv base;
    ops_kv_sim_conf conf;
    pthread_mutex_t lock; /* everything below */
    ops_kv *seen, *durable;
    ops_strbuf journal;
    uint64_t random, frames; /* frames: in the journal */
    bool dead;
    struct countdown write_fault, read_fault;
    ops_kv_sim_stats stats;
};

static uint64_t next_random(struct sim *s, uint64_t below)
{
    s->random = ops_hash_mix(s->random + 0x9e3779b97f4a7c15ull);
    return s->random % below;
}

static bool fires(struct countdown *c)
{
    if (!c->set || c->left-- > 0)
        return false;
    c->set = false;
    return true;
}

static void sim_close(ops_kv *kv)
{
    struct sim *s = (struct sim *)kv;
    ops_kv_close(s->seen);
    ops_kv_close(s->durable);
    ops_strbuf_done(&s->journal);
    (void)pthread_mutex_destroy(&s->lock);
    ops_free(s);
}

/* Whether a read may go on. */
static ops_status read_status(struct sim *s, ops_err *reterr)
{
    (void)pthread_mutex_lock(&s->lock);
    ops_status st = s->dead ? OPS_EIO : fires(&s->read_fault) ? s->read_fault.st : OPS_OK;
    (void)pthread_mutex_unlock(&s->lock);
    return st == OPS_OK ? st : ops_fail(reterr, st, "store: simulated failure of a read");
}

static ops_status sim_get(ops_kv *kv, unsigned family, ops_slice key, char **ret, size_t *ret_bytes,
                          ops_err *reterr)
{
    struct sim *s = (struct sim *)kv;
    ops_status st = read_status(s, reterr);
    return st != OPS_OK ? st : ops_kv_get(s->seen, family, key, ret, ret_bytes, reterr);
}

static ops_status sim_scan(ops_kv *kv, unsigned family, ops_slice from, ops_slice to, ops_kv_fn fn, void *u,
                           ops_err *reterr)
{
    struct sim *s = (struct sim *)kv;
    ops_status st = read_status(s, reterr);
    return st != OPS_OK ? st : ops_kv_scan(s->seen, family, from, to, fn, u, reterr);
}

static ops_status sim_last(ops_kv *kv, unsigned family, ops_slice from, ops_slice to, ops_kv_fn fn, void *u,
                           ops_err *reterr)
{
    struct sim *s = (struct sim *)kv;
    ops_status st = read_status(s, reterr);
    return st != OPS_OK ? st : ops_kv_last(s->seen, family, from, to, fn, u, reterr);
}

/* Adds the batch's frame, or its first `part` bytes when that is less. */
static ops_status journal_add(struct sim *s, const ops_kv_batch *b, size_t part, ops_err *reterr)
{
    struct frame_head head = {(uint32_t)b->ops.n, ops_crc32c(b->ops.p, b->ops.n, 0)};
    size_t whole = sizeof head + b->ops.n;
    if (b->ops.n == 0)
        return OPS_OK;
    char *at = ops_strbuf_room(&s->journal, whole);
    if (at == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "store: a journal of %zu bytes", s->journal.n + whole);
    memcpy(at, &head, sizeof head);
    memcpy(at + sizeof head, b->ops.p, b->ops.n);
    s->journal.n += part < whole ? part : whole;
    s->frames++;
    return OPS_OK;
}

/* Hands every whole frame to the durable store, in order, and empties the journal. */
static ops_status journal_replay(struct sim *s, ops_err *reterr)
{
    uint64_t replayed = 0;
    for (size_t at = 0; s->journal.n - at >= sizeof(struct frame_head);) {
        struct frame_head head;
        memcpy(&head, s->journal.p + at, sizeof head);
        char *ops = s->journal.p + at + sizeof head;
        if (head.bytes == 0 || head.bytes > s->journal.n - at - sizeof head ||
            ops_crc32c(ops, head.bytes, 0) != head.crc)
            break;
        const ops_kv_batch b = {.ops = {.p = ops, .n = head.bytes}};
        ops_status st = ops_kv_write(s->durable, &b, false, reterr);
        if (st != OPS_OK)
            return st;
        at += sizeof head + head.bytes;
        replayed++;
    }
    s->stats.dropped += s->frames - replayed;
    s->frames = 0;
    ops_strbuf_clear(&s->journal);
    return OPS_OK;
}

/* A write that fails as asked for; what it leaves behind is in the journal, and nobody sees it before a restart. */
static ops_status fail_write(struct sim *s, const ops_kv_batch *b, ops_err *reterr)
{
    const struct countdown *f = &s->write_fault;
    size_t whole = sizeof(struct frame_head) + b->ops.n;
    ops_status st = OPS_OK;
    if (f->fault == OPS_KV_SIM_LOST_SYNC)
        st = journal_add(s, b, SIZE_MAX, reterr);
    else if (f->fault == OPS_KV_SIM_TORN)
        st = journal_add(s, b, (size_t)next_random(s, whole), reterr);
    s->dead = s->dead || f->fault != OPS_KV_SIM_ERROR;
    return st != OPS_OK ? st : ops_fail(reterr, f->st, "store: simulated failure of a write");
}

static ops_status write_locked(struct sim *s, const ops_kv_batch *b, bool sync, ops_err *reterr)
{
    if (s->dead)
        return ops_fail(reterr, OPS_EIO, "store: refuses until it is opened again");
    if (fires(&s->write_fault))
        return fail_write(s, b, reterr);
    s->stats.writes++;
    ops_status st = journal_add(s, b, SIZE_MAX, reterr);
    if (st == OPS_OK)
        st = ops_kv_write(s->seen, b, false, reterr);
    if (st == OPS_OK && sync && !s->conf.sync_lies)
        st = journal_replay(s, reterr);
    s->stats.syncs += sync;
    s->dead = s->dead || st != OPS_OK;
    return st;
}

static ops_status sim_write(ops_kv *kv, const ops_kv_batch *b, bool sync, ops_err *reterr)
{
    struct sim *s = (struct sim *)kv;
    (void)pthread_mutex_lock(&s->lock);
    int64_t delay_ns = sync && s->conf.delay != NULL && s->conf.delay_ns_max > 0
                           ? (int64_t)next_random(s, (uint64_t)s->conf.delay_ns_max)
                           : 0;
    (void)pthread_mutex_unlock(&s->lock);
    if (delay_ns > 0)
        s->conf.delay(s->conf.delay_u, delay_ns);
    (void)pthread_mutex_lock(&s->lock);
    ops_status st = write_locked(s, b, sync, reterr);
    (void)pthread_mutex_unlock(&s->lock);
    return st;
}

static ops_status sim_sync(ops_kv *kv, ops_err *reterr)
{
    const ops_kv_batch nothing = {0};
    return sim_write(kv, &nothing, true, reterr);
}

ops_status ops_kv_open_sim(unsigned family_count, const ops_kv_sim_conf *conf, ops_kv **ret, ops_err *reterr)
{
    struct sim *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "store: opening a simulation");
    s->base = (ops_kv){family_count, sim_close, sim_get, sim_scan, sim_last, sim_write, sim_sync};
    s->conf = *conf;
    s->random = conf->seed;
    (void)pthread_mutex_init(&s->lock, NULL);
    ops_strbuf_init(&s->journal, JOURNAL_BYTES_MAX);
    ops_status st = ops_kv_open_memory(family_count, &s->seen, reterr);
    if (st == OPS_OK)
        st = ops_kv_open_memory(family_count, &s->durable, reterr);
    if (st != OPS_OK) {
        sim_close(&s->base);
        return st;
    }
    *ret = &s->base;
    return OPS_OK;
}

/* Pages survive each on its own, with a chance drawn for this crash (never and always among them); after that the journal
 * may end anywhere, within a page too. */
static void lose_pages(struct sim *s)
{
    uint64_t keep_percent = next_random(s, 6) * 20;
    for (size_t at = 0; at < s->journal.n; at += PAGE_BYTES) {
        size_t n = s->journal.n - at < PAGE_BYTES ? s->journal.n - at : PAGE_BYTES;
        if (next_random(s, 100) >= keep_percent)
            memset(s->journal.p + at, 0, n);
    }
    if (s->journal.n > 0 && next_random(s, 2) == 0)
        s->journal.n = (size_t)next_random(s, s->journal.n + 1);
}

void ops_kv_sim_crash(ops_kv *kv, enum ops_kv_sim_crash how)
{
    struct sim *s = (struct sim *)kv;
    (void)pthread_mutex_lock(&s->lock);
    s->dead = true;
    s->stats.crashes++;
    if (how == OPS_KV_SIM_POWER)
        lose_pages(s);
    (void)pthread_mutex_unlock(&s->lock);
}

struct copy {
    ops_kv *to;
    unsigned family;
    ops_kv_batch *batch;
};

static ops_status copy_pair(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    struct copy *c = u;
    ops_kv_batch_put(c->batch, c->family, key, val);
    if (ops_kv_batch_bytes(c->batch) < COPY_BYTES_MAX)
        return OPS_OK;
    ops_status st = ops_kv_write(c->to, c->batch, false, reterr);
    ops_kv_batch_clear(c->batch);
    return st;
}

static ops_status copy_store(ops_kv *from, ops_kv *to, ops_err *reterr)
{
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    if (b == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "store: restarting a simulation");
    struct copy c = {to, 0, b};
    ops_status st = OPS_OK;
    for (; st == OPS_OK && c.family < from->family_count; c.family++)
        st = ops_kv_scan(from, c.family, OPS_SLICE(""), OPS_SLICE(""), copy_pair, &c, reterr);
    return st == OPS_OK ? ops_kv_write(to, b, false, reterr) : st;
}

ops_status ops_kv_sim_restart(ops_kv *kv, ops_err *reterr)
{
    struct sim *s = (struct sim *)kv;
    OPS_AUTO(ops_kv_close) ops_kv *fresh = NULL;
    (void)pthread_mutex_lock(&s->lock);
    ops_status st = journal_replay(s, reterr);
    if (st == OPS_OK)
        st = ops_kv_open_memory(s->base.family_count, &fresh, reterr);
    if (st == OPS_OK)
        st = copy_store(s->durable, fresh, reterr);
    if (st == OPS_OK) {
        ops_kv_close(s->seen);
        s->seen = OPS_STEAL(fresh);
        s->dead = false;
        s->write_fault.set = false;
        s->read_fault.set = false;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return st;
}

void ops_kv_sim_fail_write(ops_kv *kv, unsigned after, enum ops_kv_sim_fault fault, ops_status st)
{
    struct sim *s = (struct sim *)kv;
    (void)pthread_mutex_lock(&s->lock);
    s->write_fault = (struct countdown){true, after, fault, st};
    (void)pthread_mutex_unlock(&s->lock);
}

void ops_kv_sim_fail_read(ops_kv *kv, unsigned after, ops_status st)
{
    struct sim *s = (struct sim *)kv;
    (void)pthread_mutex_lock(&s->lock);
    s->read_fault = (struct countdown){true, after, OPS_KV_SIM_ERROR, st};
    (void)pthread_mutex_unlock(&s->lock);
}

void ops_kv_sim_stats_get(ops_kv *kv, ops_kv_sim_stats *ret)
{
    struct sim *s = (struct sim *)kv;
    (void)pthread_mutex_lock(&s->lock);
    *ret = s->stats;
    ret->unsynced_bytes = s->journal.n;
    (void)pthread_mutex_unlock(&s->lock);
}
