/* The routes of a custom container. */
#ifndef OPS_COORDINATOR_VERTEX_ROUTES_H
#define OPS_COORDINATOR_VERTEX_ROUTES_H

#include "coordinator/dispatch/dispatch.h"
#include "coordinator/http/server.h"

enum {
    OPS_VERTEX_BODY_MAX = 1500000,
    OPS_VERTEX_DEADLINE_MS = 60 * 1000,           /* of vectors */
    OPS_VERTEX_WRITE_DEADLINE_MS = 10 * 60 * 1000 /* of text */
};

/* Health at `health` (200 once a worker is attached, else 503; no token needed), predictions at `predict` (OPS_ROLE_VIEWER).
 * Paths begin with '/' and are copied; the dispatch must outlive the server. Before ops_http_start(). */
OPS_MUST_USE ops_status ops_vertex_routes(ops_http *h, ops_dispatch *d, const char *health,
                                          const char *predict, ops_err *reterr);

#endif
