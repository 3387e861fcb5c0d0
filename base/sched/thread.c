/* Threads over pthreads: a name, blocked signals, one join. */
#include "base/sched/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"

struct ops_thread {
    pthread_t id;
    void (*fn)(void *arg);
    void *arg;
    char name[16];
};

static void *thread_main(void *p)
{
    ops_thread *t = p;
    (void)pthread_setname_np(pthread_self(), t->name);
    t->fn(t->arg);
    return NULL;
}

ops_status ops_thread_start(void (*fn)(void *arg), void *arg, const char *name, ops_thread **ret,
                            ops_err *reterr)
{
    ops_thread *t = ops_calloc(1, sizeof *t);
    if (t == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "thread %s: out of memory", name);
    t->fn = fn;
    t->arg = arg;
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&t->id, NULL, thread_main, t);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        ops_free(t);
        return ops_fail(reterr, OPS_EAGAIN, "thread %s: %s", name, strerrorname_np(rc));
    }
    *ret = t;
    return OPS_OK;
}

void ops_thread_join(ops_thread *t)
{
    if (t == NULL)
        return;
    (void)pthread_join(t->id, NULL);
    ops_free(t);
}
