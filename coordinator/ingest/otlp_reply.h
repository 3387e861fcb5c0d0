/* coordinator/ingest/otlp_reply.h: Export{Logs,Metrics,Trace}ServiceResponse and google.rpc.Status bodies.
 * The three responses have one wire shape: partial_success = 1 { rejected_* = 1, error_message = 2 }. */
#ifndef OPS_COORDINATOR_INGEST_OTLP_REPLY_H
#define OPS_COORDINATOR_INGEST_OTLP_REPLY_H

#include "base/status/status.h"
#include "base/text/strbuf.h"

typedef enum ops_otlp_signal { OPS_OTLP_LOGS, OPS_OTLP_METRICS, OPS_OTLP_TRACES } ops_otlp_signal;

/* Full success (rejected 0 and message empty) is the empty message, as the specification asks. A message with
 * rejected 0 is a warning. Writes to `out`; check out->failed. */
void ops_otlp_reply(uint64_t rejected, ops_slice message, ops_strbuf *out);
void ops_otlp_reply_json(ops_otlp_signal signal, uint64_t rejected, ops_slice message, ops_strbuf *out);

/* google.rpc.Status for a refused OTLP/HTTP request (the body of a 4xx or 5xx). `code` is a gRPC code. */
void ops_otlp_reply_status(int code, ops_slice message, ops_strbuf *out);
void ops_otlp_reply_status_json(int code, ops_slice message, ops_strbuf *out);

#endif
