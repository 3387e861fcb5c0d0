#include "base/sched/reply.h"

#include <pthread.h>
#include <time.h>

#include "base/mem/alloc.h"

struct ops_reply {
    pthread_mutex_t lock;
    pthread_cond_t given;
    bool done;
    int refs;
    ops_status st;
    ops_err err;
    ops_strbuf out;
};

ops_status ops_reply_new(size_t bytes_max, ops_reply **ret, ops_err *reterr)
{
    ops_reply *r = ops_calloc(1, sizeof *r);
    pthread_condattr_t mono;
    if (r == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a reply");
    (void)pthread_condattr_init(&mono);
    (void)pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->given, &mono);
    (void)pthread_condattr_destroy(&mono);
    r->refs = 1;
    ops_strbuf_init(&r->out, bytes_max);
    *ret = r;
    return OPS_OK;
}

ops_reply *ops_reply_ref(ops_reply *r)
{
    (void)pthread_mutex_lock(&r->lock);
    r->refs++;
    (void)pthread_mutex_unlock(&r->lock);
    return r;
}

void ops_reply_unref(ops_reply *r)
{
    if (r == NULL)
        return;
    (void)pthread_mutex_lock(&r->lock);
    const bool last = --r->refs == 0;
    (void)pthread_mutex_unlock(&r->lock);
    if (!last)
        return;
    (void)pthread_cond_destroy(&r->given);
    (void)pthread_mutex_destroy(&r->lock);
    ops_strbuf_done(&r->out);
    ops_free(r);
}

ops_strbuf *ops_reply_out(ops_reply *r)
{
    return &r->out;
}

void ops_reply_give(ops_reply *r, ops_status st, const ops_err *err)
{
    (void)pthread_mutex_lock(&r->lock);
    r->st = st;
    if (err != NULL)
        r->err = *err;
    r->done = true;
    (void)pthread_cond_broadcast(&r->given);
    (void)pthread_mutex_unlock(&r->lock);
}

ops_status ops_reply_wait(ops_reply *r, int64_t timeout_ms, ops_err *reterr)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int rc = 0;
    (void)pthread_mutex_lock(&r->lock);
    while (!r->done && rc == 0)
        rc = pthread_cond_timedwait(&r->given, &r->lock, &until);
    const bool done = r->done;
    ops_status st = done ? r->st : OPS_ETIMEOUT;
    if (done && st != OPS_OK && reterr != NULL)
        *reterr = r->err;
    (void)pthread_mutex_unlock(&r->lock);
    return done ? st : ops_fail(reterr, st, "no answer within %lld ms", (long long)timeout_ms);
}
