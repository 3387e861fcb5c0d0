/* The coordinator's side of one WorkerService.Attach stream, whatever carries it: from messages of ops/v1/worker.proto to
 * the dispatch and back. The gRPC carrier is attach_rpc.h. */
#ifndef OPS_COORDINATOR_ATTACH_H
#define OPS_COORDINATOR_ATTACH_H

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "coordinator/dispatch/dispatch.h"
#include "proto/ops/v1/worker.pb-c.h"

typedef struct ops_attach ops_attach;

/* How messages leave; what they are given is borrowed. None of them may block. */
typedef struct ops_attach_wire {
    /* OPS_OK; OPS_EAGAIN: full, perhaps later; else: gone. From the dispatch's thread, and from ops_attach_received(). */
    ops_status (*send)(void *ctx, const Ops__V1__CoordinatorMessage *message);
    /* Please end the stream with this; ops_attach_ended() may follow at once or later. At most once. */
    void (*hang_up)(void *ctx, ops_status why, const char *message);
    /* Neither of the above will be called any more. Exactly once. */
    void (*released)(void *ctx);
    void *ctx;
} ops_attach_wire;

/* `address`: where the worker is, for people. Strings are copied. OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_attach_new(ops_dispatch *d, const char *coordinator_id, const char *address,
                                       const ops_attach_wire *wire, ops_attach **ret, ops_err *reterr);
/* A message of the worker. A failure (OPS_EINVAL and the reason; OPS_EAGAIN: too many workers, or the dispatch is behind;
 * OPS_ECANCELLED: over) is what the stream shall be ended with. @thread any once the hello was
 * handed in */
OPS_MUST_USE ops_status ops_attach_received(ops_attach *a, const Ops__V1__WorkerMessage *m, ops_err *reterr);
/* The stream is over; again is ignored. `released` comes, perhaps before this returns. @thread any */
void ops_attach_ended(ops_attach *a, const char *reason);
/* After `released`, when no other call runs. NULL is fine. */
void ops_attach_free(ops_attach *a);

#endif
