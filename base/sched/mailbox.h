/* Bounded mailbox of pointers: many senders, one or more takers, first in first out.
 * Two bounds: a number of messages and, when bytes_max is not 0, the sum of the sizes the senders declare. */
#ifndef OPS_BASE_MAILBOX_H
#define OPS_BASE_MAILBOX_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"

typedef struct ops_mailbox ops_mailbox;

/* count_max >= 1 messages (memory for all of them is taken here); bytes_max 0: no byte budget. OPS_EINVAL, OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_mailbox_new(size_t count_max, size_t bytes_max, ops_mailbox **ret,
                                        ops_err *reterr);
/* Frees the box. Messages still in it are the caller's loss: take them first. NULL is fine. */
void ops_mailbox_free(ops_mailbox *m);
OPS_AUTO_DEFINE(ops_mailbox, ops_mailbox_free)

/* Puts `msg` (not NULL) at the end; it is the taker's once OPS_OK is returned. OPS_EAGAIN: full by count or bytes
 * (a message larger than the whole budget passes only through an empty box); OPS_ECANCELLED: closed. Never waits.
 * @thread any */
OPS_MUST_USE ops_status ops_mailbox_post(ops_mailbox *m, void *msg, size_t bytes);
/* Same, but waits up to timeout_ms (-1: for ever) for room. OPS_ETIMEOUT, OPS_ECANCELLED. @thread any but the taker */
OPS_MUST_USE ops_status ops_mailbox_post_wait(ops_mailbox *m, void *msg, size_t bytes, int64_t timeout_ms);
/* Takes the oldest, waiting up to timeout_ms (0: not at all, -1: for ever). OPS_ETIMEOUT: nothing came;
 * OPS_ECANCELLED: closed and empty, nothing will come. @thread any */
OPS_MUST_USE ops_status ops_mailbox_take(ops_mailbox *m, int64_t timeout_ms, void **ret);
/* Refuses further posts and wakes everyone; what is inside can still be taken. Idempotent. @thread any */
void ops_mailbox_close(ops_mailbox *m);
size_t ops_mailbox_count(ops_mailbox *m); /* a snapshot, for metrics */
size_t ops_mailbox_bytes(ops_mailbox *m);

#endif
