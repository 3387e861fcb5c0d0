/* ops.v1.ModelService on an rpc server: a door to the dispatch. Errors carry google.rpc details: a dispatch that is full is
 * RESOURCE_EXHAUSTED with RetryInfo, a request that can never be done INVALID_ARGUMENT with the numbers. */
#ifndef OPS_MODEL_SERVICE_H
#define OPS_MODEL_SERVICE_H

#include "base/mem/auto.h"
#include "coordinator/dispatch/dispatch.h"
#include "rpc/server.h"

typedef struct ops_model_service ops_model_service;

/* Adds the methods to a server that was not started. Roles: numbers for the server's authenticate; `role_operate` loads and
 * unloads. Order of ending: stop the server, then free the dispatch, then this. OPS_ENOMEM, OPS_EEXIST. */
OPS_MUST_USE ops_status ops_model_service_add(ops_rpc_server *s, ops_dispatch *d, int role_view,
                                              int role_operate, ops_model_service **ret, ops_err *reterr);
void ops_model_service_free(ops_model_service *m);
OPS_AUTO_DEFINE(ops_model_service, ops_model_service_free)

#endif
