/* Workers that take jobs from one mailbox until it is closed and empty. */
#include "base/sched/pool.h"

#include <stdio.h>

#include "base/mem/alloc.h"
#include "base/sched/mailbox.h"
#include "base/sched/thread.h"

typedef struct job {
    void (*fn)(void *arg);
    void *arg;
} job;

struct ops_pool {
    ops_mailbox *jobs;
    ops_thread **threads;
    unsigned count;
};

static void work(void *arg)
{
    ops_pool *p = arg;
    void *msg;
    while (ops_mailbox_take(p->jobs, -1, &msg) == OPS_OK) {
        job j = *(job *)msg;
        ops_free(msg);
        j.fn(j.arg);
    }
}

ops_status ops_pool_new(const char *name, unsigned threads, size_t queue_max, ops_pool **ret, ops_err *reterr)
{
    if (threads == 0 || threads > OPS_POOL_THREADS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "pool %s: %u threads, allowed are 1 to %d", name, threads,
                        OPS_POOL_THREADS_MAX);
    OPS_AUTO(ops_pool_free) ops_pool *p = ops_calloc(1, sizeof *p);
    if (p == NULL || (p->threads = ops_calloc(threads, sizeof *p->threads)) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "pool %s: out of memory", name);
    ops_status st = ops_mailbox_new(queue_max, 0, &p->jobs, reterr);
    for (unsigned i = 0; st == OPS_OK && i < threads; i++) {
        char label[32];
        (void)snprintf(label, sizeof label, "%.11s/%u", name, i);
        st = ops_thread_start(work, p, label, &p->threads[i], reterr);
        if (st == OPS_OK)
            p->count++;
    }
    if (st == OPS_OK)
        *ret = OPS_STEAL(p);
    return st;
}

ops_status ops_pool_post(ops_pool *p, void (*fn)(void *arg), void *arg)
{
    job *j = ops_malloc(sizeof *j);
    if (j == NULL)
        return OPS_ENOMEM;
    *j = (job){fn, arg};
    ops_status st = ops_mailbox_post(p->jobs, j, 0);
    if (st != OPS_OK)
        ops_free(j);
    return st;
}

void ops_pool_free(ops_pool *p)
{
    if (p == NULL)
        return;
    if (p->jobs != NULL)
        ops_mailbox_close(p->jobs);
    for (unsigned i = 0; i < p->count; i++)
        ops_thread_join(p->threads[i]);
    ops_mailbox_free(p->jobs);
    ops_free(p->threads);
    ops_free(p);
}
