/* tests/support/gate_engine.h: an engine that computes nothing until its gate opens, and counts who came. Vectors have one
 * float: the number of bytes of the text. Texts "bad" can not be done. */
#ifndef OPS_TESTS_GATE_ENGINE_H
#define OPS_TESTS_GATE_ENGINE_H

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/mem/alloc.h"
#include "worker/engine/engine.h"

struct gate {
    pthread_mutex_t lock;
    bool open;
    int inside, came;
};
#define GATE(is_open)                                                                                        \
    {                                                                                                        \
        .lock = PTHREAD_MUTEX_INITIALIZER, .open = (is_open)                                                 \
    }

struct gate_engine {
    ops_engine base;
    struct gate *gate;
};

static inline void gate_open(struct gate *g, bool open)
{
    pthread_mutex_lock(&g->lock);
    g->open = open;
    pthread_mutex_unlock(&g->lock);
}
static inline int gate_inside(void *g)
{
    pthread_mutex_lock(&((struct gate *)g)->lock);
    const int n = ((struct gate *)g)->inside;
    pthread_mutex_unlock(&((struct gate *)g)->lock);
    return n;
}
static inline int gate_came(void *g)
{
    pthread_mutex_lock(&((struct gate *)g)->lock);
    const int n = ((struct gate *)g)->came;
    pthread_mutex_unlock(&((struct gate *)g)->lock);
    return n;
}

static inline bool gate_step(struct gate *g, int enter)
{
    pthread_mutex_lock(&g->lock);
    g->inside += enter;
    g->came += enter > 0;
    const bool open = g->open;
    pthread_mutex_unlock(&g->lock);
    return open;
}

static inline ops_status gate_embed(ops_engine *e, const ops_slice *texts, size_t n, float *ret,
                                    uint64_t *ret_tokens, const ops_engine_stop *stop, ops_err *reterr)
{
    struct gate *g = ((struct gate_engine *)e)->gate;
    const struct timespec nap = {0, 1000000};
    bool stopped = false;
    for (bool open = gate_step(g, 1); !open && !stopped; open = gate_step(g, 0)) {
        (void)nanosleep(&nap, NULL);
        stopped = stop != NULL && stop->asked(stop->ctx);
    }
    (void)gate_step(g, -1);
    if (stopped)
        return ops_fail(reterr, OPS_ECANCELLED, "stopped at the gate");
    for (size_t i = 0; i < n; i++) {
        if (ops_slice_eq(texts[i], OPS_SLICE("bad")))
            return ops_fail(reterr, OPS_EINVAL, "a bad text");
        ret[i] = (float)texts[i].n;
        (*ret_tokens)++;
    }
    return OPS_OK;
}
static inline uint32_t gate_tokens(ops_engine *e, ops_slice text)
{
    (void)e;
    return (uint32_t)text.n;
}
static inline void gate_free(ops_engine *e)
{
    ops_free(e);
}

static inline ops_engine *gate_engine_new(struct gate *g)
{
    static const ops_engine_ops ops = {.embed = gate_embed, .tokens = gate_tokens, .free = gate_free};
    struct gate_engine *e = ops_calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->gate = g;
    e->base.ops = &ops;
    e->base.info = (ops_engine_info){
        .model = "gate", .content_hash = "00", .dim = 1, .tokens_max = 9, .batch_tokens_max = 9};
    return &e->base;
}

/* Polls fn(ctx) for up to ten seconds until it is `want`. */
static inline bool gate_until(int (*fn)(void *), void *ctx, int want)
{
    const struct timespec nap = {0, 2000000};
    for (int i = 0; i < 5000; i++) {
        if (fn(ctx) == want)
            return true;
        (void)nanosleep(&nap, NULL);
    }
    return false;
}

#endif
