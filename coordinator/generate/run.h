/* The tasks of one ask under way in the dispatch, as one thing: the first that fails fails all, and who does not wait any
 * more cancels all. */
#ifndef OPS_COORDINATOR_RUN_H
#define OPS_COORDINATOR_RUN_H

#include "coordinator/dispatch/dispatch.h"
#include "coordinator/generate/ask.h"

typedef struct ops_run ops_run;

/* `delta` and `end` come from the dispatch's owner thread, one at a time, and borrow what they tell. `done` comes last, once,
 * from that thread or from within ops_run_start(); the run is gone when it returns. */
typedef struct ops_run_hooks {
    void (*delta)(void *ctx, size_t task, const Ops__V1__GenerateDelta *delta);
    void (*end)(void *ctx, size_t task, const Ops__V1__GenerateEnd *end); /* of a task that went well */
    /* OPS_OK: every task ended. Else the first failure and its reason: a status of ops_dispatch_result or of
     * ops_dispatch_submit(), or OPS_ECORRUPT when what a worker sent can not be read. */
    void (*done)(void *ctx, ops_status st, const char *message);
    void *ctx;
} ops_run_hooks;

/* Submits nothing yet. OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_run_new(ops_dispatch *d, size_t tasks, const ops_run_hooks *hooks, ops_run **ret,
                                    ops_err *reterr);
/* Submits the tasks of asks[n], which are `tasks` in all and numbered in their order; `model` and `salt` of an ask say which
 * model and whose prompts. `done` will be called, perhaps before this returns. Once. */
void ops_run_start(ops_run *r, const ops_ask *asks, size_t n, uint32_t deadline_ms);
/* Nobody waits: no task goes on, `done` comes soon. Not once `done` has returned. @thread any, also before the start */
void ops_run_cancel(ops_run *r);

#endif
