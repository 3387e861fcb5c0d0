/* Who lives how long: a pair (session and attachment) is made by the keeper thread and taken down by it. The dispatch's
 * thread calls into the session only between the attach and `released`; the engine's thread calls into the attachment only
 * until the session's `close`. So: end the attachment, wait for `released`; end the session, wait for `close`; free. */
#include "opsd/local/local_worker.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "base/sched/thread.h"
#include "base/time/clock.h"
#include "coordinator/attach/attach.h"
#include "worker/serve/session.h"

enum { AGAIN_MS = 1000 };

struct ops_local_worker {
    ops_dispatch *d;
    ops_runner *runner, *owned; /* owned: the runner when it goes with this */
    ops_thread *keeper;
    char id[OPS_DISPATCH_NAME_MAX];
    uint32_t credits;
    ops_session *session;
    ops_attach *attach;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping, over, released, closed; /* over: somebody hung up */
    uint32_t drain_ms;
};

static void set_flag(ops_local_worker *w, bool *flag)
{
    pthread_mutex_lock(&w->lock);
    *flag = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

/* Waits for *flag up to ms (negative: for ever); what it is then. */
static bool wait_flag(ops_local_worker *w, const bool *flag, const bool *or_flag, int64_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&w->lock);
    for (int rc = 0; !*flag && (or_flag == NULL || !*or_flag) && rc == 0;)
        rc = ms < 0 ? pthread_cond_wait(&w->changed, &w->lock)
                    : pthread_cond_timedwait(&w->changed, &w->lock, &until);
    const bool is = *flag || (or_flag != NULL && *or_flag);
    pthread_mutex_unlock(&w->lock);
    return is;
}

/* worker -> coordinator */
static ops_status session_send(void *ctx, const Ops__V1__WorkerMessage *m)
{
    ops_local_worker *w = ctx;
    return ops_attach_received(w->attach, m, NULL);
}
static void session_hang_up(void *ctx, ops_status why, const char *message)
{
    ops_local_worker *w = ctx;
    OPS_LOG(OPS_LOG_WARN, "local_worker_hangs_up", OPS_KV_STR("status", ops_status_name(why)),
            OPS_KV_STR("why", message));
    set_flag(w, &w->over);
}
static void session_close(void *ctx)
{
    ops_local_worker *w = ctx;
    set_flag(w, &w->closed);
}

/* coordinator -> worker. ops_session_new() sets w->session before it says hello, so it is there for the answer. */
static ops_status attach_send(void *ctx, const Ops__V1__CoordinatorMessage *m)
{
    ops_local_worker *w = ctx;
    return ops_session_received(w->session, m, NULL);
}
static void attach_hang_up(void *ctx, ops_status why, const char *message)
{
    ops_local_worker *w = ctx;
    if (why != OPS_OK && why != OPS_ECANCELLED)
        OPS_LOG(OPS_LOG_WARN, "local_worker_detached", OPS_KV_STR("status", ops_status_name(why)),
                OPS_KV_STR("why", message));
    set_flag(w, &w->over);
}
static void attach_released(void *ctx)
{
    ops_local_worker *w = ctx;
    set_flag(w, &w->released);
}

/* The pair comes up; false: it did not, and nothing of it is left. */
static bool bring_up(ops_local_worker *w)
{
    const ops_attach_wire down = {attach_send, attach_hang_up, attach_released, w};
    const ops_session_wire up = {session_send, session_hang_up, session_close, w, NULL};
    const ops_session_conf conf = {
        .worker_id = w->id, .work_class = OPS__V1__WORK_CLASS__WORK_CLASS_UNSPECIFIED, .credits = w->credits};
    ops_err err = {.msg = ""};
    w->over = w->released = w->closed = false; /* nobody else is here */
    ops_status st = ops_attach_new(w->d, "local", "local", &down, &w->attach, &err);
    if (st == OPS_OK) {
        st = ops_session_new(w->runner, &conf, &up, &w->session, &err);
        if (st != OPS_OK) {
            ops_attach_ended(w->attach, "no session");
            (void)wait_flag(w, &w->released, NULL, -1);
            ops_attach_free(w->attach);
        }
    }
    if (st != OPS_OK)
        OPS_LOG(OPS_LOG_WARN, "local_worker_not_attached", OPS_KV_STR("status", ops_status_name(st)),
                OPS_KV_STR("why", err.msg));
    return st == OPS_OK;
}

static void take_down(ops_local_worker *w)
{
    ops_attach_ended(w->attach, "the local worker stops");
    (void)wait_flag(w, &w->released, NULL, -1);
    ops_session_ended(w->session);
    (void)wait_flag(w, &w->closed, NULL, -1);
    ops_attach_free(w->attach);
}

static int64_t mono_ms(void)
{
    return ops_clock_mono_ns(ops_clock_system()) / 1000000;
}

static void keep(void *arg)
{
    ops_local_worker *w = arg;
    bool stopping = false;
    while (!stopping) {
        if (bring_up(w)) {
            bool over = false;
            while (!over && !stopping) {
                over = wait_flag(w, &w->over, &w->stopping, ops_session_tick(w->session, mono_ms()));
                stopping = wait_flag(w, &w->stopping, NULL, 0);
            }
            const int64_t until = mono_ms() + w->drain_ms;
            while (stopping && !ops_session_drain(w->session, "the daemon stops") && mono_ms() < until)
                (void)wait_flag(w, &w->over, NULL, 10);
            take_down(w);
        }
        stopping = stopping || wait_flag(w, &w->stopping, NULL, AGAIN_MS);
    }
}

ops_status ops_local_worker_over(ops_dispatch *d, const char *worker_id, uint32_t credits, ops_runner *runner,
                                 ops_local_worker **ret, ops_err *reterr)
{
    if (worker_id[0] == '\0' || strlen(worker_id) >= OPS_DISPATCH_NAME_MAX)
        return ops_fail(reterr, OPS_EINVAL, "a worker id has 1 to %d bytes", OPS_DISPATCH_NAME_MAX - 1);
    ops_local_worker *w = ops_calloc(1, sizeof *w);
    if (w == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "local worker");
    w->d = d;
    w->runner = runner;
    w->credits = credits;
    (void)snprintf(w->id, sizeof w->id, "%s", worker_id);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, &attr);
    pthread_condattr_destroy(&attr);
    const ops_status st = ops_thread_start(keep, w, "local-worker", &w->keeper, reterr);
    if (st != OPS_OK) {
        ops_local_worker_free(w, 0);
        return st;
    }
    *ret = w;
    return OPS_OK;
}

ops_status ops_local_worker_new(ops_dispatch *d, const char *worker_id, uint32_t credits, ops_engine *engine,
                                ops_local_worker **ret, ops_err *reterr)
{
    OPS_AUTO(ops_engine_free) ops_engine *owned = engine;
    OPS_AUTO(ops_runner_free) ops_runner *runner = NULL;
    ops_status st = ops_runner_new(owned, 0, NULL, &runner, reterr);
    if (st != OPS_OK)
        return st;
    (void)OPS_STEAL(owned);
    ops_local_worker *w = NULL;
    st = ops_local_worker_over(d, worker_id, credits, runner, &w, reterr);
    if (st != OPS_OK)
        return st;
    w->owned = OPS_STEAL(runner);
    *ret = w;
    return OPS_OK;
}

void ops_local_worker_free(ops_local_worker *w, uint32_t drain_ms)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->drain_ms = drain_ms;
    w->stopping = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    ops_thread_join(w->keeper);
    ops_runner_free(w->owned);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    ops_free(w);
}
