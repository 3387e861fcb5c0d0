/* coordinator/ingest/otlp_signals_json.h: OTLP metrics and traces in JSON, written over as the protobuf they stand for.
 *
 * What is kept and analysed is protobuf alone (docs/decisions/0008), so the JSON form is a matter of the door. Rules of the
 * OTLP specification, "JSON Protobuf Encoding": lowerCamelCase names, trace and span ids in hex, enums as integers, 64-bit
 * integers as numbers or strings, unknown names skipped, null as absent. */
#ifndef OPS_COORDINATOR_INGEST_OTLP_SIGNALS_JSON_H
#define OPS_COORDINATOR_INGEST_OTLP_SIGNALS_JSON_H

#include "base/status/status.h"
#include "base/text/strbuf.h"
#include "coordinator/ingest/normal.h"

typedef enum ops_otlp_json_request { OPS_OTLP_JSON_METRICS, OPS_OTLP_JSON_TRACES } ops_otlp_json_request;

/* Appends the ExportMetricsServiceRequest or ExportTraceServiceRequest to *ret, whose maximum is the caller's. OPS_EINVAL
 * names the path of the value; OPS_ETOOBIG: the request, its tree or the result. @thread any */
OPS_MUST_USE ops_status ops_otlp_signals_from_json(ops_otlp_json_request request, const uint8_t *p, size_t n,
                                                   const ops_ingest_limits *limits, ops_strbuf *ret,
                                                   ops_err *reterr);

#endif
