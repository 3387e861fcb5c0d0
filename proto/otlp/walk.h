/* proto/otlp/walk.h: zero-copy walkers over the OTLP protobuf export requests.
 *
 * A walker reads foreign bytes in one pass without recursion on the stack beyond `depth_max` and without
 * allocating: all it needs (attribute tables and a text scratch for rendered values) is taken once in
 * ops_walk_new(). Slices it hands out point into the message or into the walker's scratch and die with the callback
 * (resource and scope slices: with the next resource or scope).
 *
 * Wire rules: unknown fields are skipped; groups, field number 0, a known field with another wire type, a varint
 * longer than 10 bytes and a length that leaves its message are refused with the byte offset and the field path.
 * Fields may come in any order; a repeated singular sub-message is merged as protobuf says.
 * Field numbers: opentelemetry-proto v1 (common, resource, logs, metrics, trace and their collector services). */
#ifndef OPS_PROTO_OTLP_WALK_H
#define OPS_PROTO_OTLP_WALK_H

#include "base/status/status.h"
#include "base/text/slice.h"
#include "proto/codec/record.h"

#include <stddef.h>
#include <stdint.h>

typedef struct ops_walk ops_walk;

typedef struct ops_walk_limits {
    uint32_t depth_max;       /* nesting of AnyValue inside one attribute or body; default 32 */
    uint32_t attrs_max;       /* attributes of one resource, scope or record; default 128 */
    size_t message_bytes_max; /* one export request; default 64 MiB */
    size_t render_bytes_max;  /* rendered text of one record (and of one resource); default 64 KiB */
    uint64_t items_max;       /* records, points or spans in one request; default 1,000,000 */
} ops_walk_limits;

/* Why a single record cannot be kept; the wire itself was sound. */
typedef enum ops_walk_flaw {
    OPS_WALK_FLAW_NONE = 0,
    OPS_WALK_FLAW_DEPTH,   /* an AnyValue nests deeper than depth_max */
    OPS_WALK_FLAW_ATTRS,   /* more than attrs_max attributes */
    OPS_WALK_FLAW_RENDER,  /* rendered values exceed render_bytes_max */
    OPS_WALK_FLAW_BUCKETS, /* more than OPS_WALK_BUCKETS_MAX buckets or quantiles */
    OPS_WALK_FLAW_SHAPE,   /* parts of a histogram or a label list that do not belong together */
} ops_walk_flaw;
const char *ops_walk_flaw_text(ops_walk_flaw flaw);

typedef enum ops_walk_kind {
    OPS_WALK_KIND_NONE = 0, /* AnyValue without a value */
    OPS_WALK_KIND_STRING,
    OPS_WALK_KIND_BOOL,
    OPS_WALK_KIND_INT,
    OPS_WALK_KIND_DOUBLE,
    OPS_WALK_KIND_ARRAY,  /* rendered as JSON text */
    OPS_WALK_KIND_KVLIST, /* rendered as JSON text */
    OPS_WALK_KIND_BYTES,  /* rendered as base64 text */
} ops_walk_kind;

typedef struct ops_walk_log {
    uint64_t time_ns, observed_ns;
    int32_t severity_number;
    uint32_t flags, dropped_attrs;
    ops_slice severity_text, body, event_name;
    ops_slice trace_id, span_id; /* raw bytes as sent, any length */
    const ops_attr *attrs;
    uint32_t attr_count;
    ops_walk_kind body_kind;
    ops_walk_flaw flaw; /* not NONE: body and attrs are incomplete, reject the record */
    size_t offset;      /* of the record in the request */
} ops_walk_log;

typedef struct ops_walk_group { /* a resource or a scope */
    ops_slice name, version;    /* scopes only */
    const ops_attr *attrs;
    uint32_t attr_count;
    ops_walk_flaw flaw;
    size_t offset;
} ops_walk_group;

/* Callbacks may be NULL. One that does not return OPS_OK stops the walk, which returns that status. */
typedef struct ops_walk_log_visitor {
    ops_status (*resource)(void *u, const ops_walk_group *resource, ops_err *reterr);
    ops_status (*scope)(void *u, const ops_walk_group *scope, ops_err *reterr);
    ops_status (*log)(void *u, const ops_walk_log *log, ops_err *reterr);
} ops_walk_log_visitor;

/* One ResourceMetrics or ResourceSpans message, validated whole. */
typedef struct ops_walk_batch {
    const ops_walk_group *resource;
    ops_slice raw;        /* bytes of the ResourceMetrics / ResourceSpans, without tag and length */
    uint64_t entries;     /* metrics, or spans */
    uint64_t points;      /* data points, or spans again */
    uint64_t time_min_ns; /* over points or span starts; 0 with none */
    uint64_t time_max_ns;
} ops_walk_batch;
typedef ops_status (*ops_walk_batch_fn)(void *u, const ops_walk_batch *batch, ops_err *reterr);

void ops_walk_limits_default(ops_walk_limits *ret);

/* A walker is for one thread at a time and may be used for any number of requests. */
OPS_MUST_USE ops_status ops_walk_new(const ops_walk_limits *limits, ops_walk **ret, ops_err *reterr);
void ops_walk_free(ops_walk *w);

/* ExportLogsServiceRequest. OPS_ETOOBIG above a limit of the whole request, OPS_EINVAL on a broken wire: the caller
 * drops what the callbacks gathered. */
OPS_MUST_USE ops_status ops_walk_logs(ops_walk *w, ops_slice msg, const ops_walk_log_visitor *visitor,
                                      void *u, ops_err *reterr);
/* ExportMetricsServiceRequest and ExportTraceServiceRequest: one call per resource. */
OPS_MUST_USE ops_status ops_walk_metrics(ops_walk *w, ops_slice msg, ops_walk_batch_fn fn, void *u,
                                         ops_err *reterr);
OPS_MUST_USE ops_status ops_walk_traces(ops_walk *w, ops_slice msg, ops_walk_batch_fn fn, void *u,
                                        ops_err *reterr);

/* One sign of an exponential histogram. Bucket i holds what lies in (base^i, base^(i+1)], base = 2^(2^-scale). */
typedef struct ops_walk_exp {
    const int32_t *index; /* ascending */
    const double *count;  /* of each bucket by itself */
    uint32_t n;
} ops_walk_exp;

enum { OPS_WALK_BUCKETS_MAX = 1024 };

typedef enum ops_walk_point_kind {
    OPS_WALK_POINT_GAUGE = 1,
    OPS_WALK_POINT_SUM,
    OPS_WALK_POINT_HISTOGRAM,
    OPS_WALK_POINT_EXP_HISTOGRAM,
    OPS_WALK_POINT_SUMMARY
} ops_walk_point_kind;

enum { OPS_WALK_TEMPORALITY_DELTA = 1, OPS_WALK_TEMPORALITY_CUMULATIVE = 2 };

typedef struct ops_walk_point {
    ops_walk_point_kind kind;
    ops_slice metric;
    uint32_t temporality; /* 0: not told */
    bool monotonic, no_value, has_sum;
    uint64_t start_ns, time_ns;
    double value;         /* gauge and sum */
    double count, sum;    /* the others */
    const double *bounds; /* histogram: upper bounds; summary: quantiles */
    const double
        *counts; /* histogram: of each bucket by itself, one more than bounds or none; summary: values */
    uint32_t bound_count, count_count;
    double zero_count, zero_threshold;
    int32_t scale; /* exponential: with zero_count, positive and negative */
    ops_walk_exp positive, negative;
    const ops_attr *attrs;
    uint32_t attr_count;
    ops_walk_flaw flaw; /* not NONE: attrs or buckets are incomplete, reject the point */
    size_t offset;      /* of the point in the request */
} ops_walk_point;

typedef struct ops_walk_point_visitor {
    ops_status (*resource)(void *u, const ops_walk_group *resource, ops_err *reterr);
    ops_status (*point)(void *u, const ops_walk_point *point, ops_err *reterr);
} ops_walk_point_visitor;
/* ExportMetricsServiceRequest, point by point. The whole request is checked before the first callback. */
OPS_MUST_USE ops_status ops_walk_points(ops_walk *w, ops_slice msg, const ops_walk_point_visitor *visitor,
                                        void *u, ops_err *reterr);

/* io.prometheus.write.v2.Metadata.MetricType; 0 also when the message can not tell. */
typedef enum ops_walk_metric_type {
    OPS_WALK_METRIC_UNKNOWN,
    OPS_WALK_METRIC_COUNTER,
    OPS_WALK_METRIC_GAUGE,
    OPS_WALK_METRIC_HISTOGRAM,
    OPS_WALK_METRIC_GAUGEHISTOGRAM,
    OPS_WALK_METRIC_SUMMARY,
    OPS_WALK_METRIC_INFO,
    OPS_WALK_METRIC_STATESET
} ops_walk_metric_type;

typedef struct ops_walk_series {
    const ops_attr *labels; /* as sent, __name__ among them */
    uint32_t label_count;
    ops_walk_metric_type type;
    ops_walk_flaw flaw;
    uint64_t exemplars; /* stepped over */
    size_t offset;      /* of the series in the request */
} ops_walk_series;

/* A series, then its samples and histograms. */
typedef struct ops_walk_write_visitor {
    ops_status (*series)(void *u, const ops_walk_series *series, ops_err *reterr);
    ops_status (*sample)(void *u, double value, int64_t time_ms, ops_err *reterr);
    ops_status (*histogram)(void *u, const ops_walk_point *point, ops_err *reterr); /* attrs are not set */
    ops_status (*end)(void *u, ops_err *reterr);                                    /* of the series */
} ops_walk_write_visitor;
/* Prometheus' remote write: prometheus.WriteRequest (version 1) or io.prometheus.write.v2.Request (version 2), as
 * prompb/remote.proto, prompb/types.proto and prompb/io/prometheus/write/v2/types.proto have them. */
OPS_MUST_USE ops_status ops_walk_write(ops_walk *w, ops_slice msg, unsigned version,
                                       const ops_walk_write_visitor *visitor, void *u, ops_err *reterr);

/* A span. */
typedef struct ops_walk_span {
    uint64_t start_ns, end_ns;
    uint32_t kind;                          /* SpanKind: 0 unspecified .. 5 consumer */
    ops_slice trace_id, span_id, parent_id; /* raw bytes as sent, any length */
    ops_slice name, status_message;
    ops_slice exception_type, exception_message; /* of its last event that is an exception */
    const ops_attr *attrs;
    uint32_t attr_count;
    ops_walk_flaw flaw; /* not NONE: attrs are incomplete */
    size_t offset;      /* of the span in the request */
} ops_walk_span;

typedef struct ops_walk_span_visitor {
    ops_status (*resource)(void *u, const ops_walk_group *resource, ops_err *reterr);
    ops_status (*span)(void *u, const ops_walk_span *span, ops_err *reterr);
} ops_walk_span_visitor;
/* ExportTraceServiceRequest; spans that did not fail are stepped over. */
OPS_MUST_USE ops_status ops_walk_failed_spans(ops_walk *w, ops_slice msg,
                                              const ops_walk_span_visitor *visitor, void *u, ops_err *reterr);
/* The same with every span. */
OPS_MUST_USE ops_status ops_walk_spans(ops_walk *w, ops_slice msg, const ops_walk_span_visitor *visitor,
                                       void *u, ops_err *reterr);

/* Every text (and every other leaf of bytes) of one batch.raw that a walk handed out, `key` being the attribute's for the
 * values of attributes. Slices point into raw. OPS_EINVAL: raw is not what such a walk handed out. */
typedef void (*ops_walk_text_fn)(void *u, ops_slice key, ops_slice text);
OPS_MUST_USE ops_status ops_walk_texts(ops_walk *w, ops_slice raw, bool traces, ops_walk_text_fn fn, void *u,
                                       ops_err *reterr);

#endif
