/* coordinator/ingest/otlp_logs.h: OTLP log export requests, protobuf and JSON, to ops_record; and the responses.
 *
 * The whole message fails (OPS_EINVAL broken wire or JSON, OPS_ETOOBIG, OPS_ENOMEM, or what the sink returned): drop
 * what the sink gathered. A single record that cannot be kept is told to `reject`, counted, and the rest kept: answer
 * with partial success. Records carry their resource's attributes first, then their own. */
#ifndef OPS_COORDINATOR_INGEST_OTLP_LOGS_H
#define OPS_COORDINATOR_INGEST_OTLP_LOGS_H

#include "base/status/status.h"
#include "base/text/strbuf.h"
#include "coordinator/ingest/normal.h"

/* `counters` is added to (never cleared); on failure it is left as it was. `reject` may be NULL. @thread any */
OPS_MUST_USE ops_status ops_otlp_logs_decode(const uint8_t *p, size_t n, const ops_ingest_limits *limits,
                                             int64_t recv_ns, ops_ingest_sink sink, ops_ingest_reject reject,
                                             void *u, ops_ingest_counters *counters, ops_err *reterr);

/* The same for the JSON encoding of OTLP/HTTP: lowerCamelCase names, hex ids, base64 bytes, 64-bit integers as
 * strings or numbers, enums as numbers (names are taken too), unknown names skipped. */
OPS_MUST_USE ops_status ops_otlp_logs_decode_json(const uint8_t *p, size_t n, const ops_ingest_limits *limits,
                                                  int64_t recv_ns, ops_ingest_sink sink,
                                                  ops_ingest_reject reject, void *u,
                                                  ops_ingest_counters *counters, ops_err *reterr);

#endif
