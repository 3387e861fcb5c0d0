/* Bounded pool of worker threads over one mailbox of jobs. */
#ifndef OPS_BASE_POOL_H
#define OPS_BASE_POOL_H

#include <stddef.h>

#include "base/mem/auto.h"
#include "base/status/status.h"

typedef struct ops_pool ops_pool;

enum { OPS_POOL_THREADS_MAX = 256 };

/* `threads` workers named "name/0".., at most `queue_max` jobs waiting. OPS_EINVAL, OPS_ENOMEM, OPS_EAGAIN. */
OPS_MUST_USE ops_status ops_pool_new(const char *name, unsigned threads, size_t queue_max, ops_pool **ret,
                                     ops_err *reterr);
/* Runs fn(arg) on some worker. OPS_EAGAIN: the queue is full; OPS_ECANCELLED: stopping; OPS_ENOMEM. Never waits.
 * @thread any */
OPS_MUST_USE ops_status ops_pool_post(ops_pool *p, void (*fn)(void *arg), void *arg);
/* Takes no more jobs, runs the ones that wait, joins the workers, frees. NULL is fine. @thread not a worker */
void ops_pool_free(ops_pool *p);
OPS_AUTO_DEFINE(ops_pool, ops_pool_free)

#endif
