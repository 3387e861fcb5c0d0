/* Bounded first-in first-out ring of pointers. Not thread-safe: one owner (base/sched/mailbox.h is the shared one). */
#ifndef OPS_BASE_RING_H
#define OPS_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem/auto.h"
#include "base/status/status.h"

typedef struct ops_ring ops_ring;

ops_ring *ops_ring_new(size_t depth_max); /* NULL when the heap is out or depth_max is 0 */
void ops_ring_free(ops_ring *r);          /* what it still holds is the caller's to have drained */
OPS_MUST_USE ops_status ops_ring_push(ops_ring *r, void *item); /* OPS_EAGAIN when full */
void *ops_ring_pop(ops_ring *r);                                /* NULL when empty */
size_t ops_ring_count(const ops_ring *r);
OPS_AUTO_DEFINE(ops_ring, ops_ring_free)

#endif
