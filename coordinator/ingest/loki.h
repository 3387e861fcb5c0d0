/* coordinator/ingest/loki.h: Loki push requests (POST /loki/api/v1/push), JSON and protobuf, to ops_record.
 *
 * A stream's labels become the service (`service_name`, else `service`, `app`, `job`) and attributes; the structured
 * metadata of an entry are its own attributes. `level`, `detected_level` or `severity`, of the entry or of the stream,
 * gives the severity. Timestamps are Unix nanoseconds, in JSON as a string.
 *
 * As with OTLP logs the whole request fails on a broken wire or JSON, or above a limit; an entry that cannot be kept (bad
 * timestamp, no line) is rejected alone, and all entries of a stream whose label text does not parse are.
 * Sources: Loki's HTTP API page for the JSON form; logproto's push.proto for field numbers; the label text is what
 * Prometheus writes between braces. */
#ifndef OPS_COORDINATOR_INGEST_LOKI_H
#define OPS_COORDINATOR_INGEST_LOKI_H

#include "base/status/status.h"
#include "coordinator/ingest/normal.h"

/* All three are ops_ingest_decoder: see otlp_logs.h for the rules of `counters`, `sink` and `reject`. @thread any */
OPS_MUST_USE ops_status ops_loki_decode_json(const uint8_t *p, size_t n, const ops_ingest_limits *limits,
                                             int64_t recv_ns, ops_ingest_sink sink, ops_ingest_reject reject,
                                             void *u, ops_ingest_counters *counters, ops_err *reterr);
/* logproto.PushRequest as it is. */
OPS_MUST_USE ops_status ops_loki_decode(const uint8_t *p, size_t n, const ops_ingest_limits *limits,
                                        int64_t recv_ns, ops_ingest_sink sink, ops_ingest_reject reject,
                                        void *u, ops_ingest_counters *counters, ops_err *reterr);
/* The same inside one snappy block, as Loki's clients send it without naming a content encoding. */
OPS_MUST_USE ops_status ops_loki_decode_snappy(const uint8_t *p, size_t n, const ops_ingest_limits *limits,
                                               int64_t recv_ns, ops_ingest_sink sink,
                                               ops_ingest_reject reject, void *u,
                                               ops_ingest_counters *counters, ops_err *reterr);

#endif
