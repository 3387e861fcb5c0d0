/* The rules of dispatch as a state machine: no thread, no clock, no lock. Every call says what time it is (monotonic
 * milliseconds, never going back) and may call back: a port's functions, a task's `done`, `dead`. None of those may call
 * the desk again; dispatch.h puts a mailbox between.
 *
 * Placing: a task goes to the attached worker of highest rendezvous weight for its key (Thaler and Ravishankar 1998)
 * whose tokens in flight stay within 1.25 of the mean (bounded load: Mirrokni et al. 2016, arXiv:1608.01350), else to
 * the least loaded one with credits. A task costlier than all of a worker's credits goes to it when it is idle.
 * Losing: every task of a lost worker is tried once more, alone on a worker: that worker is kept free for it and takes
 * nothing beside it. So the second loss is the task's own doing: it is poison. A worker that was draining when it went,
 * and one that never got the task, leave no mark on it. A task whose answer has begun to be told is never tried again: a
 * second answer would begin anew in the middle of the first. @thread one at a time */
#ifndef OPS_COORDINATOR_DESK_H
#define OPS_COORDINATOR_DESK_H

#include "coordinator/dispatch/dispatch.h"

typedef struct ops_desk ops_desk;
typedef struct ops_desk_task ops_desk_task;

/* Defaults of `conf` as in dispatch.h; its clock is not used. */
OPS_MUST_USE ops_status ops_desk_new(const ops_dispatch_conf *conf, ops_desk **ret, ops_err *reterr);
void ops_desk_free(ops_desk *k); /* only after ops_desk_stop() */
OPS_AUTO_DEFINE(ops_desk, ops_desk_free)

/* A copy of a task that the desk can take; checks everything about it. Any thread. */
OPS_MUST_USE ops_status ops_desk_task_new(const ops_dispatch_task *task, uint64_t id, ops_desk_task **ret,
                                          ops_err *reterr);
void ops_desk_task_free(ops_desk_task *t);
/* Calls `done` of a task that no desk took, and frees it. */
void ops_desk_task_refuse(ops_desk_task *take_task, ops_status status, const char *message);
/* What ops_desk_attach() wants of a hello. Any thread. */
OPS_MUST_USE ops_status ops_desk_check_hello(const ops_dispatch_hello *hello, ops_err *reterr);
OPS_MUST_USE ops_status ops_desk_check_models(const ops_dispatch_model *models, size_t n, ops_err *reterr);
size_t ops_desk_task_bytes(const ops_desk_task *t);

/* Takes a task whose id it has not seen before; now its `done` will be called once. OPS_EAGAIN: full; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_desk_submit(ops_desk *k, ops_desk_task *take_task, int64_t now_ms,
                                        ops_err *reterr);

/* `wall_ns` is for people only. The port's `end` may be called for an older attachment of the same worker and class. */
OPS_MUST_USE ops_status ops_desk_attach(ops_desk *k, uint64_t attachment, const ops_dispatch_hello *hello,
                                        const ops_dispatch_port *port, int64_t now_ms, int64_t wall_ns,
                                        ops_err *reterr);
void ops_desk_detach(ops_desk *k, uint64_t attachment, const char *reason, int64_t now_ms);
void ops_desk_heartbeat(ops_desk *k, uint64_t attachment, int64_t now_ms, int64_t wall_ns);
void ops_desk_credits(ops_desk *k, uint64_t attachment, uint32_t tokens, int64_t now_ms);
void ops_desk_draining(ops_desk *k, uint64_t attachment, int64_t now_ms);
/* A piece of a task's answer; of a task that the attachment does not run: nothing. */
void ops_desk_delta(ops_desk *k, uint64_t attachment, uint64_t task_id, ops_slice delta, int64_t now_ms);
void ops_desk_cancel(ops_desk *k, uint64_t task_id, int64_t now_ms);
void ops_desk_answered(ops_desk *k, uint64_t attachment, const ops_dispatch_answer *answer, int64_t now_ms);
/* Checked with ops_desk_check_models(). True: others than before, not only in another state. */
bool ops_desk_models(ops_desk *k, uint64_t attachment, const ops_dispatch_model *models, size_t n,
                     int64_t now_ms);
/* Calls `done` in any case, at once or later. `id` is a new one. */
void ops_desk_errand(ops_desk *k, const ops_dispatch_errand *errand, uint64_t id, int64_t now_ms);
void ops_desk_errand_answered(ops_desk *k, uint64_t attachment, uint64_t id, ops_status st,
                              const char *message, int64_t now_ms);
OPS_MUST_USE ops_status ops_desk_drain(ops_desk *k, const char *worker_id, const char *reason,
                                       ops_err *reterr);

/* Deadlines, lost workers, tasks that waited. Returns in how many ms it wants to be called again, at most 1,000. */
int64_t ops_desk_tick(ops_desk *k, int64_t now_ms);
/* Ends every task with OPS_ECANCELLED and every attachment. */
void ops_desk_stop(ops_desk *k);

size_t ops_desk_open(const ops_desk *k);  /* tasks taken and not done */
size_t ops_desk_bytes(const ops_desk *k); /* of those */
size_t ops_desk_workers(const ops_desk *k, ops_dispatch_worker *ret, size_t cap);
ops_dispatch_counts ops_desk_counts(const ops_desk *k);

#endif
