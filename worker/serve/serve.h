/* A worker: its models, attached to coordinators over gRPC, one stream per class of work to each. It dials, says hello,
 * works, and dials again when the stream ends, waiting longer each time (0.2 s to 10 s). */
#ifndef OPS_WORKER_SERVE_H
#define OPS_WORKER_SERVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "rpc/client.h"
#include "worker/engine/engine.h"
#include "worker/serve/runner.h"

enum { OPS_WORKER_COORDINATORS_MAX = 16 };

typedef struct ops_worker_conf {
    const char *const *coordinators; /* "host:port" */
    size_t coordinator_count;        /* up to OPS_WORKER_COORDINATORS_MAX; 0: only its own process asks it */
    const char *bearer;              /* token; NULL: none */
    const ops_rpc_tls *tls;          /* NULL: plain */
    const char *worker_id;           /* NULL: "<host name>-<pid>" */
    uint32_t credits;                /* tokens per stream; 0: the default of session.h */
    size_t jobs_max;                 /* waiting for the engine; 0: the default of runner.h */
} ops_worker_conf;

typedef struct ops_worker ops_worker;

/* Takes the engine in any case. Does not wait for a connection: what goes wrong with one is logged, and tried again.
 * OPS_EINVAL, OPS_ENOMEM, OPS_EAGAIN (no thread left). */
OPS_MUST_USE ops_status ops_worker_new(const ops_worker_conf *conf, ops_engine *take_engine, ops_worker **ret,
                                       ops_err *reterr);
/* The same over a runner that may have models already, which is taken in any case; conf->jobs_max is not used. */
OPS_MUST_USE ops_status ops_worker_over(const ops_worker_conf *conf, ops_runner *take_runner,
                                        ops_worker **ret, ops_err *reterr);
/* Takes no new tasks and waits up to drain_ms for those that run. */
void ops_worker_drain(ops_worker *w, const char *reason, uint32_t drain_ms);
/* Drops what still runs. NULL is fine. */
void ops_worker_free(ops_worker *w);
OPS_AUTO_DEFINE(ops_worker, ops_worker_free)

ops_runner *
ops_worker_runner(ops_worker *w); /* borrowed: for others in this process, as long as they end first */
size_t ops_worker_streams(ops_worker *w); /* that were welcomed and stand. @thread any */

#endif
