/* WorkerService.Attach over gRPC. */
#ifndef OPS_COORDINATOR_ATTACH_RPC_H
#define OPS_COORDINATOR_ATTACH_RPC_H

#include "coordinator/dispatch/dispatch.h"
#include "rpc/server.h"

typedef struct ops_attach_rpc ops_attach_rpc;

/* Adds the method to a server that was not started. `role`: what a worker's token must allow. Order of ending: stop the
 * server, then free the dispatch, then this. OPS_ENOMEM, OPS_EEXIST. */
OPS_MUST_USE ops_status ops_attach_rpc_add(ops_rpc_server *s, ops_dispatch *d, const char *coordinator_id,
                                           int role, ops_attach_rpc **ret, ops_err *reterr);
void ops_attach_rpc_free(ops_attach_rpc *r);
OPS_AUTO_DEFINE(ops_attach_rpc, ops_attach_rpc_free)

#endif
