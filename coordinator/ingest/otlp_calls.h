/* coordinator/ingest/otlp_calls.h: who calls whom, by spans whose parent is another service's.
 *
 * Parent and child must stand in one request, as they do when a collector gathers spans of several services; what an SDK sends
 * by itself tells of one service and so of no call. */
#ifndef OPS_COORDINATOR_INGEST_OTLP_CALLS_H
#define OPS_COORDINATOR_INGEST_OTLP_CALLS_H

#include "base/status/status.h"
#include "coordinator/ingest/normal.h"

enum { OPS_OTLP_CALLS_MAX = 256, OPS_OTLP_CALL_SPANS_MAX = 20000 };

/* Slices live until the call returns. */
typedef void (*ops_otlp_call_fn)(void *u, ops_slice caller, ops_slice callee);

/* Of one ExportTraceServiceRequest: each pair of services once, OPS_OTLP_CALLS_MAX pairs at most, from the first
 * OPS_OTLP_CALL_SPANS_MAX spans. @thread any */
OPS_MUST_USE ops_status ops_otlp_calls(const uint8_t *p, size_t n, const ops_ingest_limits *limits,
                                       ops_otlp_call_fn fn, void *u, ops_err *reterr);

#endif
