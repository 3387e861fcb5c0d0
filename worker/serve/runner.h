/* One engine, one thread, three lines of jobs: the interactive first, then triage, then bulk. Shared by all sessions. */
#ifndef OPS_WORKER_RUNNER_H
#define OPS_WORKER_RUNNER_H

#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/time/clock.h"
#include "worker/engine/engine.h"

enum { OPS_RUNNER_CLASSES = 3, OPS_RUNNER_JOBS_DEFAULT = 256, OPS_RUNNER_TEXTS_MAX = 256 };

typedef struct ops_runner ops_runner;
typedef struct ops_runner_job ops_runner_job;

/* What became of a job; borrowed for the call. OPS_OK: rows * dim floats. OPS_ECANCELLED, OPS_ETIMEOUT: not computed, or
 * not to the end. Anything else: what the engine said. */
typedef struct ops_runner_result {
    ops_status status;
    const char *message;
    const float *vectors;
    size_t rows, dim;
    uint64_t tokens;
} ops_runner_result;

/* Takes the engine on OPS_OK and starts the thread "engine". jobs_max waiting; 0: OPS_RUNNER_JOBS_DEFAULT. `clock` NULL:
 * the system's. OPS_ENOMEM, OPS_EAGAIN. */
OPS_MUST_USE ops_status ops_runner_new(ops_engine *take_engine, size_t jobs_max, ops_clock *clock,
                                       ops_runner **ret, ops_err *reterr);
/* Cancels every job (each `done` is called), joins, frees the engine. NULL is fine. @thread not the engine's */
void ops_runner_free(ops_runner *r);
OPS_AUTO_DEFINE(ops_runner, ops_runner_free)
const ops_engine_info *ops_runner_info(const ops_runner *r);

/* Queues the texts (copied) in line `line` (0 interactive .. 2 bulk). `done` is called exactly once, from the engine's
 * thread, under no lock; afterwards *ret_job is gone. OPS_EAGAIN: full; OPS_ETOOBIG, OPS_EINVAL; OPS_ECANCELLED: stopping;
 * OPS_ENOMEM. *ret_job is set before `done` can be called. @thread any */
OPS_MUST_USE ops_status ops_runner_submit(ops_runner *r, unsigned line, const ops_slice *texts, size_t n,
                                          uint32_t deadline_ms,
                                          void (*done)(void *ctx, const ops_runner_result *result), void *ctx,
                                          ops_runner_job **ret_job, ops_err *reterr);
/* The job ends soon with OPS_ECANCELLED. Only while its `done` was not called: the caller sees to that. @thread any */
void ops_runner_cancel(ops_runner *r, ops_runner_job *job);

#endif
