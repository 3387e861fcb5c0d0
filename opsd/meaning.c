#include "opsd/meaning.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/coll/map.h"
#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "base/sched/mailbox.h"
#include "base/sched/thread.h"
#include "base/text/hash.h"

enum { TEXT_BYTES_MAX = 2048, DEADLINE_MS = 120000, RETRY_MS = 1000 };

typedef struct wanted {
    char *tenant, *service, *text;
    uint64_t id, hash;
} wanted;

/* Vectors by the hash of their text, in a ring so that the oldest goes first. */
typedef struct cached {
    uint64_t hash;
    size_t dim;
    float *v;
} cached;

struct opsd_meaning {
    ops_dispatch *dispatch;
    ops_finder *finder;
    ops_mailbox *box;
    ops_thread *thread;
    atomic_bool stopping;
    _Atomic uint64_t asked, embedded, from_cache, dropped, failed;
    pthread_mutex_t lock; /* everything below */
    pthread_cond_t room;
    unsigned tasks;
    ops_map64 *known; /* hash -> cached */
    cached *ring;
    size_t ring_at;
};

typedef struct batch {
    opsd_meaning *m;
    wanted *items[MEANING_TEXTS];
    size_t count;
} batch;

static void wanted_free(wanted *w)
{
    if (w == NULL)
        return;
    ops_free(w->tenant);
    ops_free(w->service);
    ops_free(w->text);
    ops_free(w);
}

static void batch_free(batch *b)
{
    for (size_t i = 0; i < b->count; i++)
        wanted_free(b->items[i]);
    ops_free(b);
}

void opsd_meaning_want(opsd_meaning *m, ops_slice tenant, ops_slice service, uint64_t template_id,
                       ops_slice text)
{
    ops_slice head = text;
    while (head.n > TEXT_BYTES_MAX ||
           (head.n < text.n && head.n > 0 && ((uint8_t)text.p[head.n] & 0xC0) == 0x80))
        head.n = head.n > TEXT_BYTES_MAX ? TEXT_BYTES_MAX : head.n - 1;
    wanted *w = ops_calloc(1, sizeof *w);
    if (w != NULL)
        *w = (wanted){.tenant = ops_strndup(tenant.p, tenant.n),
                      .service = ops_strndup(service.p, service.n),
                      .text = ops_strndup(head.p, head.n),
                      .id = template_id,
                      .hash = ops_hash64(head.p, head.n, 0)};
    if (w == NULL || w->tenant == NULL || w->service == NULL || w->text == NULL ||
        ops_mailbox_post(m->box, w, 0) != OPS_OK) {
        wanted_free(w);
        atomic_fetch_add(&m->dropped, 1);
    } else
        atomic_fetch_add(&m->asked, 1);
}

/* Under the lock. Out of memory: the text is embedded again some day. */
static void keep(opsd_meaning *m, uint64_t hash, const float *v, size_t dim)
{
    cached *c = &m->ring[m->ring_at];
    float *copy = ops_memdup(v, dim * sizeof *v);
    if (copy == NULL || ops_map64_has(m->known, hash)) {
        ops_free(copy);
        return;
    }
    if (c->v != NULL) {
        (void)ops_map64_del(m->known, c->hash);
        ops_free(c->v);
    }
    *c = (cached){hash, dim, copy};
    if (ops_map64_put(m->known, hash, c, NULL) != OPS_OK) {
        ops_free(copy);
        *c = (cached){0};
        return;
    }
    m->ring_at = (m->ring_at + 1) % MEANING_CACHE_MAX;
}

static void hand_on(opsd_meaning *m, const wanted *w, const float *v, size_t dim)
{
    ops_err err;
    if (ops_finder_vector(m->finder, ops_slice_str(w->tenant), w->id, v, dim, &err) != OPS_OK) {
        atomic_fetch_add(&m->dropped, 1);
        OPS_LOG(OPS_LOG_WARN, "meaning_dropped", OPS_KV_STR("why", err.msg));
    }
}

/* On the dispatch's thread. */
static void on_vectors(void *ctx, const ops_dispatch_result *r)
{
    batch *b = ctx;
    opsd_meaning *m = b->m;
    bool good = r->status == OPS_OK && r->rows == b->count;
    for (size_t i = 0; good && i < b->count; i++)
        hand_on(m, b->items[i], r->vectors + i * r->dim, r->dim);
    (void)pthread_mutex_lock(&m->lock);
    for (size_t i = 0; good && i < b->count; i++)
        keep(m, b->items[i]->hash, r->vectors + i * r->dim, r->dim);
    m->tasks--;
    (void)pthread_cond_broadcast(&m->room);
    (void)pthread_mutex_unlock(&m->lock);
    atomic_fetch_add(good ? &m->embedded : &m->failed, b->count);
    if (!good && r->status != OPS_ECANCELLED)
        OPS_LOG(OPS_LOG_WARN, "meaning_failed", OPS_KV_U64("templates", b->count),
                OPS_KV_STR("why", r->message));
    batch_free(b);
}

static bool from_cache(opsd_meaning *m, const wanted *w)
{
    float v[OPS_FINDING_DIM_MAX];
    size_t dim = 0;
    (void)pthread_mutex_lock(&m->lock);
    const cached *c = ops_map64_get(m->known, w->hash);
    if (c != NULL && c->dim <= OPS_FINDING_DIM_MAX) {
        dim = c->dim;
        memcpy(v, c->v, dim * sizeof *v);
    }
    (void)pthread_mutex_unlock(&m->lock);
    if (dim > 0)
        hand_on(m, w, v, dim);
    atomic_fetch_add(&m->from_cache, dim > 0);
    return dim > 0;
}

static struct timespec in_ms(int64_t ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* Until a worker is there and has room; false when stopping. */
static bool wait_room(opsd_meaning *m)
{
    (void)pthread_mutex_lock(&m->lock);
    while (!atomic_load(&m->stopping) &&
           (m->tasks >= MEANING_TASKS_MAX || ops_dispatch_counts_get(m->dispatch).workers == 0)) {
        struct timespec until = in_ms(RETRY_MS);
        (void)pthread_cond_timedwait(&m->room, &m->lock, &until);
    }
    (void)pthread_mutex_unlock(&m->lock);
    return !atomic_load(&m->stopping);
}

static void submit(opsd_meaning *m, batch *b)
{
    ops_slice texts[MEANING_TEXTS];
    ops_err err;
    for (size_t i = 0; i < b->count; i++)
        texts[i] = ops_slice_str(b->items[i]->text);
    const ops_dispatch_task task = {.work_class = OPS_DISPATCH_BULK,
                                    .key = ops_slice_str(b->items[0]->service),
                                    .texts = texts,
                                    .text_count = b->count,
                                    .deadline_ms = DEADLINE_MS,
                                    .done = on_vectors,
                                    .ctx = b};
    (void)pthread_mutex_lock(&m->lock);
    m->tasks++;
    (void)pthread_mutex_unlock(&m->lock);
    if (ops_dispatch_submit(m->dispatch, &task, NULL, &err) == OPS_OK)
        return;
    OPS_LOG(OPS_LOG_WARN, "meaning_not_asked", OPS_KV_STR("why", err.msg));
    (void)pthread_mutex_lock(&m->lock);
    m->tasks--;
    (void)pthread_mutex_unlock(&m->lock);
    atomic_fetch_add(&m->failed, b->count);
    batch_free(b);
}

/* Fills the batch from the box, the known ones answered at once; waits for the first only. */
static ops_status gather(opsd_meaning *m, batch *b)
{
    ops_status st = OPS_OK;
    while (b->count < MEANING_TEXTS) {
        void *item = NULL;
        st = ops_mailbox_take(m->box, b->count == 0 ? -1 : 0, &item);
        if (st != OPS_OK)
            break;
        if (from_cache(m, item))
            wanted_free(item);
        else
            b->items[b->count++] = item;
    }
    return b->count > 0 ? OPS_OK : st;
}

static void run(void *u)
{
    opsd_meaning *m = u;
    while (!atomic_load(&m->stopping)) {
        batch *b = ops_calloc(1, sizeof *b);
        if (b == NULL) {
            const struct timespec second = {1, 0};
            (void)nanosleep(&second, NULL);
            continue;
        }
        b->m = m;
        if (gather(m, b) != OPS_OK || !wait_room(m)) {
            batch_free(b);
            return;
        }
        submit(m, b);
    }
}

ops_status opsd_meaning_new(ops_dispatch *d, ops_finder *f, opsd_meaning **ret, ops_err *reterr)
{
    opsd_meaning *m = ops_calloc(1, sizeof *m);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "meanings");
    m->dispatch = d;
    m->finder = f;
    (void)pthread_mutex_init(&m->lock, NULL);
    (void)pthread_cond_init(&m->room, NULL);
    m->known = ops_map64_new();
    m->ring = ops_calloc(MEANING_CACHE_MAX, sizeof *m->ring);
    ops_status st = m->known != NULL && m->ring != NULL ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "meanings");
    if (st == OPS_OK)
        st = ops_mailbox_new(MEANING_QUEUE_MAX, 0, &m->box, reterr);
    if (st == OPS_OK)
        st = ops_thread_start(run, m, "meaning", &m->thread, reterr);
    if (st != OPS_OK) {
        opsd_meaning_free(m);
        return st;
    }
    *ret = m;
    return OPS_OK;
}

void opsd_meaning_stop(opsd_meaning *m)
{
    if (m == NULL || m->box == NULL)
        return;
    atomic_store(&m->stopping, true);
    ops_mailbox_close(m->box);
    (void)pthread_mutex_lock(&m->lock);
    (void)pthread_cond_broadcast(&m->room);
    (void)pthread_mutex_unlock(&m->lock);
    ops_thread_join(OPS_STEAL(m->thread));
}

void opsd_meaning_free(opsd_meaning *m)
{
    if (m == NULL)
        return;
    opsd_meaning_stop(m);
    void *item;
    while (m->box != NULL && ops_mailbox_take(m->box, 0, &item) == OPS_OK)
        wanted_free(item);
    ops_mailbox_free(m->box);
    for (size_t i = 0; m->ring != NULL && i < MEANING_CACHE_MAX; i++)
        ops_free(m->ring[i].v);
    ops_free(m->ring);
    ops_map64_free(m->known);
    (void)pthread_cond_destroy(&m->room);
    (void)pthread_mutex_destroy(&m->lock);
    ops_free(m);
}

void opsd_meaning_stats_get(opsd_meaning *m, opsd_meaning_stats *ret)
{
    *ret = (opsd_meaning_stats){.asked = atomic_load(&m->asked),
                                .embedded = atomic_load(&m->embedded),
                                .cached = atomic_load(&m->from_cache),
                                .dropped = atomic_load(&m->dropped),
                                .failed = atomic_load(&m->failed),
                                .waiting = ops_mailbox_count(m->box)};
}
