/* Named threads. A thread belongs to whoever started it and must be joined once. */
#ifndef OPS_BASE_THREAD_H
#define OPS_BASE_THREAD_H

#include "base/mem/auto.h"
#include "base/status/status.h"

typedef struct ops_thread ops_thread;

/* Runs fn(arg) in a thread called `name` (cut to 15 bytes), with every signal blocked: signals belong to main.
 * OPS_EAGAIN: the system has no thread left; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_thread_start(void (*fn)(void *arg), void *arg, const char *name, ops_thread **ret,
                                         ops_err *reterr);
/* Waits for the thread and frees it; NULL is fine. Never from the thread itself. */
void ops_thread_join(ops_thread *t);
OPS_AUTO_DEFINE(ops_thread, ops_thread_join)

#endif
