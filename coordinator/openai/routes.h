/* The routes of the OpenAI API on an HTTP server. */
#ifndef OPS_COORDINATOR_OPENAI_ROUTES_H
#define OPS_COORDINATOR_OPENAI_ROUTES_H

#include "coordinator/dispatch/dispatch.h"
#include "coordinator/http/server.h"

enum {
    OPS_OPENAI_BODY_MAX = 4 << 20,
    OPS_OPENAI_DEADLINE_MS = 60 * 1000,           /* of vectors */
    OPS_OPENAI_WRITE_DEADLINE_MS = 10 * 60 * 1000 /* of a text: what the official clients wait */
};

/* Adds them; the dispatch must outlive the server. Needs OPS_ROLE_VIEWER. Before ops_http_start(). */
OPS_MUST_USE ops_status ops_openai_routes(ops_http *h, ops_dispatch *d, ops_err *reterr);

#endif
