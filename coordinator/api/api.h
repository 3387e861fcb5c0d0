/* ops.v1 FindingService, IncidentService, ClusterService and SilenceService on an rpc server.
 *
 * Who asks sees its own tenant only. Lists are paged as AIP-158 says; errors carry google.rpc details. */
#ifndef OPS_API_H
#define OPS_API_H

#include "base/mem/auto.h"
#include "coordinator/api/ports.h"
#include "rpc/server.h"

typedef struct ops_api ops_api;

typedef struct ops_api_conf {
    const ops_api_ports *ports;              /* copied */
    unsigned threads;                        /* for requests, default 2 */
    unsigned record_threads;                 /* record queries at a time, default 4 */
    size_t queue_max;                        /* requests waiting for a thread, default 256 */
    size_t watchers_max;                     /* default 256 */
    unsigned heartbeat_ms;                   /* of a silent watch, default 15 s */
    int role_view, role_operate, role_admin; /* numbers for the server's authenticate */
} ops_api_conf;

OPS_MUST_USE ops_status ops_api_new(const ops_api_conf *conf, ops_api **ret, ops_err *reterr);
/* Before the server starts. */
OPS_MUST_USE ops_status ops_api_register(ops_api *a, ops_rpc_server *s, ops_err *reterr);
/* Findings or incidents changed. Never blocks. @thread any */
void ops_api_notify(ops_api *a);
/* Ends watches and record queries, so that a server can stop. Idempotent. */
void ops_api_stop(ops_api *a);
/* The server must be stopped. */
void ops_api_free(ops_api *a);
OPS_AUTO_DEFINE(ops_api, ops_api_free)

#endif
