/* coordinator/ingest/otlp_spans.h: failed spans as records.
 *
 * A service often says that a call failed without saying of whom it was; its span knows. Each span whose status is ERROR
 * becomes one record of the calling service: `NAME failed at PEER (ADDRESS): REASON`, severity ERROR, at the end of the
 * span, with the span's trace and span id and attributes, and `event.name` = `span.failed`. A failure is passed up a chain
 * of calls: a span with a failed child in the same request is left out, its child tells more.
 *
 *   PEER     peer.service, db.system.name, db.system, messaging.system, rpc.service   (left out when NAME holds it)
 *   ADDRESS  server.address, net.peer.name, network.peer.address
 *   REASON   the status message, else the last exception event, else error.type, else http.response.status_code
 *
 * Names: OpenTelemetry semantic conventions (general, database, messaging, rpc, exceptions). */
#ifndef OPS_COORDINATOR_INGEST_OTLP_SPANS_H
#define OPS_COORDINATOR_INGEST_OTLP_SPANS_H

#include "base/status/status.h"
#include "coordinator/ingest/normal.h"

enum { OPS_OTLP_SPAN_MESSAGE_MAX = 1024 };

/* Of one ExportTraceServiceRequest; an ops_ingest_decoder. No span is rejected: attributes that can not be kept are
 * left out. @thread any */
OPS_MUST_USE ops_status ops_otlp_failed_spans(const uint8_t *p, size_t n, const ops_ingest_limits *limits,
                                              int64_t recv_ns, ops_ingest_sink sink, ops_ingest_reject reject,
                                              void *u, ops_ingest_counters *counters, ops_err *reterr);

#endif
