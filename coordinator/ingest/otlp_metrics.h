/* coordinator/ingest/otlp_metrics.h: OTLP metric export requests to series and samples.
 *
 * What a point becomes: a gauge, or a cumulative sum that is not monotonic: a gauge; a monotonic cumulative sum: a
 * counter; a delta sum: a delta; histograms and summaries: see samples.h. Metrics keep the names they were sent with.
 *
 * Labels of a series: the point's attributes, and those of its resource that tell one instance from another
 * (service.namespace, service.instance.id, host.name, deployment.environment[.name], k8s.namespace.name, k8s.pod.name,
 * k8s.container.name, k8s.node.name); the point's own win. The service is that of log records (normal.h). */
#ifndef OPS_COORDINATOR_INGEST_OTLP_METRICS_H
#define OPS_COORDINATOR_INGEST_OTLP_METRICS_H

#include "coordinator/ingest/samples.h"

/* ExportMetricsServiceRequest. OPS_EINVAL on a broken wire, OPS_ETOOBIG above a limit of the request, or what the sink
 * returned: the caller drops what the sink gathered. A point that can not be kept is counted in `s`. @thread any */
OPS_MUST_USE ops_status ops_otlp_metrics_decode(ops_slice msg, const ops_ingest_limits *limits,
                                                ops_samples *s, ops_err *reterr);

#endif
