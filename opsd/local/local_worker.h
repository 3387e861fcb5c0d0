/* A worker in the same process: its session and the coordinator's attachment speak the messages of ops/v1/worker.proto to
 * each other by call instead of by stream. It serves every class of work on one attachment. */
#ifndef OPS_OPSD_LOCAL_WORKER_H
#define OPS_OPSD_LOCAL_WORKER_H

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "coordinator/dispatch/dispatch.h"
#include "worker/engine/engine.h"
#include "worker/serve/runner.h"

typedef struct ops_local_worker ops_local_worker;

/* Takes the engine in any case. Starts the threads "engine" and "local-worker". When the dispatch ends the attachment
 * without being asked, the worker attaches anew after a second. */
OPS_MUST_USE ops_status ops_local_worker_new(ops_dispatch *d, const char *worker_id, uint32_t credits,
                                             ops_engine *take_engine, ops_local_worker **ret,
                                             ops_err *reterr);
/* The same over a runner that is somebody else's and outlives it. */
OPS_MUST_USE ops_status ops_local_worker_over(ops_dispatch *d, const char *worker_id, uint32_t credits,
                                              ops_runner *runner, ops_local_worker **ret, ops_err *reterr);
/* Says it drains, waits up to drain_ms for what runs, detaches. Before ops_dispatch_free(). NULL is fine. */
void ops_local_worker_free(ops_local_worker *w, uint32_t drain_ms);

#endif
