/* coordinator/ingest/remote_write.h: Prometheus' remote write requests, versions 1.0 and 2.0, to series and samples.
 *
 * The metric's name is the label __name__; times are milliseconds. What kind a series is, version 2 says in its metadata;
 * version 1 does not, and the suffixes of Prometheus' naming conventions decide (samples.h). Native histograms become
 * series as exponential histograms do. Exemplars are stepped over and counted. The service is the label service_name,
 * else service, app, job.
 * Sources: prometheus.io/docs/specs/prw/remote_write_spec and remote_write_spec_2_0. */
#ifndef OPS_COORDINATOR_INGEST_REMOTE_WRITE_H
#define OPS_COORDINATOR_INGEST_REMOTE_WRITE_H

#include "coordinator/ingest/samples.h"

/* `msg`: the protobuf, out of its snappy block; version 1 or 2. Failures as ops_otlp_metrics_decode(). @thread any */
OPS_MUST_USE ops_status ops_remote_write_decode(ops_slice msg, unsigned version,
                                                const ops_ingest_limits *limits, ops_samples *s,
                                                ops_err *reterr);

/* Of a Content-Type: 1 for application/x-protobuf alone or with proto=prometheus.WriteRequest, 2 with
 * proto=io.prometheus.write.v2.Request, 0 for anything else. */
unsigned ops_remote_write_version(ops_slice content_type);

#endif
