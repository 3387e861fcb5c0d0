/* Shares: ops_run_start() has one until everything is submitted, each task has one until it is done. Who gives back the
 * last says that all is done. No hook is called under the lock. */
#include "coordinator/generate/run.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/mem/alloc.h"

typedef struct slot {
    ops_run *run;
    size_t index;
    uint64_t id;
    bool open; /* in the dispatch, and not cancelled */
} slot;

struct ops_run {
    ops_dispatch *d;
    ops_run_hooks hooks;
    atomic_size_t shares;
    pthread_mutex_t
        lock; /* guards what follows; the dispatch's is taken under it, never the other way round */
    bool cancelled;
    ops_status st; /* the first failure */
    char message[512];
    size_t n;
    slot slots[];
};

ops_status ops_run_new(ops_dispatch *d, size_t tasks, const ops_run_hooks *hooks, ops_run **ret,
                       ops_err *reterr)
{
    ops_run *r = ops_calloc(1, sizeof *r + tasks * sizeof *r->slots);
    if (r == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a run of %zu tasks", tasks);
    r->d = d;
    r->hooks = *hooks;
    r->n = tasks;
    atomic_init(&r->shares, 1);
    pthread_mutex_init(&r->lock, NULL);
    for (size_t i = 0; i < tasks; i++)
        r->slots[i] = (slot){.run = r, .index = i};
    *ret = r;
    return OPS_OK;
}

static void give_back(ops_run *r)
{
    if (atomic_fetch_sub_explicit(&r->shares, 1, memory_order_acq_rel) != 1)
        return;
    r->hooks.done(r->hooks.ctx, r->st, r->message);
    pthread_mutex_destroy(&r->lock);
    ops_free(r);
}

static void cancel_open(ops_run *r)
{
    r->cancelled = true;
    for (size_t i = 0; i < r->n; i++)
        if (r->slots[i].open) {
            r->slots[i].open = false;
            ops_dispatch_cancel(r->d, r->slots[i].id);
        }
}

static void fail(ops_run *r, ops_status st, const char *message)
{
    pthread_mutex_lock(&r->lock);
    if (r->st == OPS_OK) {
        r->st = st;
        (void)snprintf(r->message, sizeof r->message, "%s", message);
    }
    cancel_open(r);
    pthread_mutex_unlock(&r->lock);
}

void ops_run_cancel(ops_run *r)
{
    fail(r, OPS_ECANCELLED, "nobody waits for the answer");
}

static bool failed(ops_run *r)
{
    pthread_mutex_lock(&r->lock);
    const bool is = r->st != OPS_OK;
    pthread_mutex_unlock(&r->lock);
    return is;
}

static void on_delta(void *ctx, ops_slice bytes)
{
    const slot *s = ctx;
    if (failed(s->run))
        return;
    Ops__V1__GenerateDelta *delta = ops__v1__generate_delta__unpack(NULL, bytes.n, (const uint8_t *)bytes.p);
    if (delta == NULL) {
        fail(s->run, OPS_ECORRUPT, "a worker's piece of an answer can not be read");
        return;
    }
    s->run->hooks.delta(s->run->hooks.ctx, s->index, delta);
    ops__v1__generate_delta__free_unpacked(delta, NULL);
}

static void take_end(const slot *s, ops_slice bytes)
{
    if (failed(s->run))
        return;
    Ops__V1__GenerateEnd *end = ops__v1__generate_end__unpack(NULL, bytes.n, (const uint8_t *)bytes.p);
    if (end == NULL) {
        fail(s->run, OPS_ECORRUPT, "a worker's end of an answer can not be read");
        return;
    }
    s->run->hooks.end(s->run->hooks.ctx, s->index, end);
    ops__v1__generate_end__free_unpacked(end, NULL);
}

static void on_done(void *ctx, const ops_dispatch_result *result)
{
    slot *s = ctx;
    pthread_mutex_lock(&s->run->lock);
    s->open = false;
    pthread_mutex_unlock(&s->run->lock);
    if (result->status != OPS_OK)
        fail(s->run, result->status, result->message);
    else
        take_end(s, result->end);
    give_back(s->run);
}

/* False: no more need be submitted. */
static bool submit(slot *s, const ops_ask *ask, size_t i, uint32_t deadline_ms)
{
    char key[OPS_DISPATCH_KEY_MAX];
    ops_run *r = s->run;
    ops_err err = {0};
    ops_strbuf b;
    ops_strbuf_init(&b, OPS_DISPATCH_PAYLOAD_MAX);
    ops_ask_pack(ask, i, &b);
    const int key_n = snprintf(key, sizeof key, "%.128s/%016" PRIx64, ask->task.salt, ops_ask_affinity(ask));
    const ops_dispatch_task task = {.work_class = OPS_DISPATCH_INTERACTIVE,
                                    .key = ops_slice_of(key, (size_t)key_n),
                                    .model = ops_slice_str(ask->task.model),
                                    .job = OPS_DISPATCH_GENERATE,
                                    .payload = ops_strbuf_get(&b),
                                    .delta = on_delta,
                                    .deadline_ms = deadline_ms,
                                    .done = on_done,
                                    .ctx = s};
    /* Under the lock, so that who cancels sees every task that is in the dispatch. */
    pthread_mutex_lock(&r->lock);
    ops_status st = r->st;
    if (!r->cancelled && b.failed)
        st = ops_fail(&err, OPS_ETOOBIG, "the request has more than %d bytes, or memory is out",
                      OPS_DISPATCH_PAYLOAD_MAX);
    else if (!r->cancelled) {
        atomic_fetch_add(&r->shares, 1);
        st = ops_dispatch_submit(r->d, &task, &s->id, &err);
        s->open = st == OPS_OK;
        if (st != OPS_OK)
            atomic_fetch_sub(&r->shares, 1); /* not the last: the start's is there */
    }
    pthread_mutex_unlock(&r->lock);
    ops_strbuf_done(&b);
    if (st != OPS_OK)
        fail(r, st, err.msg);
    return st == OPS_OK;
}

void ops_run_start(ops_run *r, const ops_ask *asks, size_t n, uint32_t deadline_ms)
{
    slot *next = r->slots;
    bool go_on = true;
    for (size_t k = 0; go_on && k < n; k++)
        for (size_t i = 0; go_on && i < ops_ask_tasks(&asks[k]); i++)
            go_on = submit(next++, &asks[k], i, deadline_ms);
    give_back(r);
}
