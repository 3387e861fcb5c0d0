/* Tasks of a test and what became of them. */
#ifndef OPS_TESTS_WORKER_TASKS_H
#define OPS_TESTS_WORKER_TASKS_H

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/dispatch/dispatch.h"

struct task_seen {
    atomic_int times;
    ops_status status;
    uint32_t attempts;
    float first;
    char message[128];
};

static inline void task_done(void *ctx, const ops_dispatch_result *r)
{
    struct task_seen *t = ctx;
    t->status = r->status;
    t->attempts = r->attempts;
    t->first = r->vectors != NULL ? r->vectors[0] : -1;
    (void)snprintf(t->message, sizeof t->message, "%s", r->message);
    atomic_fetch_add(&t->times, 1);
}
static inline int task_times(void *ctx)
{
    return atomic_load(&((struct task_seen *)ctx)->times);
}
static inline ops_status task_submit(ops_dispatch *d, struct task_seen *seen, ops_slice text,
                                     uint32_t deadline_ms)
{
    memset(seen, 0, sizeof *seen);
    const ops_dispatch_task task = {.work_class = OPS_DISPATCH_BULK,
                                    .key = OPS_SLICE("default/web"),
                                    .texts = &text,
                                    .text_count = 1,
                                    .deadline_ms = deadline_ms,
                                    .done = task_done,
                                    .ctx = seen};
    return ops_dispatch_submit(d, &task, NULL, NULL);
}
static inline int task_workers(void *d)
{
    return (int)ops_dispatch_workers(d, NULL, 0);
}

#endif
