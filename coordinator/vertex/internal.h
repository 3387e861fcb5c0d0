/* Inside of the vertex room: what routes.c (routes, vectors) and write.c (text) share. */
#ifndef OPS_COORDINATOR_VERTEX_INTERNAL_H
#define OPS_COORDINATOR_VERTEX_INTERNAL_H

#include "coordinator/vertex/predict.h"
#include "coordinator/vertex/routes.h"

#define VERTEX_JSON "application/json"
enum { VERTEX_ANSWER_BYTES_MAX = 64 << 20 };

void vertex_refuse(ops_http_req *req, ops_status st, const char *message);
/* Submits what take_asked asks to be written, and answers. */
void vertex_write(ops_http_req *req, ops_dispatch *d, ops_predict *take_asked);

#endif
