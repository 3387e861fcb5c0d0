/* coordinator/ingest/samples.h: the rules that every door of metrics shares.
 *
 * A decoder tells a series and its samples as the wire has them; what comes out is a series with sorted labels and samples
 * that can be judged, or a refusal with a named reason. One sample that can not be kept is refused alone.
 *
 * Rules
 * - No number and the infinities are refused; Prometheus' staleness marker (a NaN of one bit pattern) is kept as OPS_SAMPLE_STALE.
 * - Times outside [received - past_ns_max, received + future_ns_max] are refused and not moved: two moved samples would
 *   meet. No time at all: receive time (OPS_SAMPLE_NO_TIME).
 * - Two samples of one series at one time: the same value is told once, another value is refused.
 * - Labels with an empty value are as good as absent, and are left out.
 *
 * How histograms become series (H is the metric, with its labels):
 *   H_count, H_sum      counters (or what was added, when the temporality is delta)
 *   H_bucket{le="U"}    how many were at most U, cumulative over the buckets as in Prometheus, le="+Inf" last
 * An exponential histogram is first merged down to scale 0 when it is finer (its bounds are then powers of two, and the
 * same whatever scale the sender is at); buckets that are empty have no series.
 * Summaries: H{quantile="Q"} gauges, H_count, H_sum. */
#ifndef OPS_COORDINATOR_INGEST_SAMPLES_H
#define OPS_COORDINATOR_INGEST_SAMPLES_H

#include <stdbool.h>

#include "base/status/status.h"
#include "coordinator/ingest/normal.h"
#include "proto/codec/sample.h"
#include "proto/otlp/walk.h"

typedef enum ops_sample_reason {
    OPS_SAMPLE_NOT_A_NUMBER,
    OPS_SAMPLE_INFINITE,
    OPS_SAMPLE_TOO_OLD,
    OPS_SAMPLE_TOO_NEW,
    OPS_SAMPLE_DUPLICATE,          /* another value at the same time, in one request */
    OPS_SAMPLE_NAME,               /* none, too long, or no UTF-8 */
    OPS_SAMPLE_LABEL_COUNT,        /* too many labels */
    OPS_SAMPLE_LABEL_LENGTH,       /* a label's name or value is too long */
    OPS_SAMPLE_LABEL_FORM,         /* a label without a name, twice, or no UTF-8 */
    OPS_SAMPLE_TEMPORALITY,        /* a sum that does not say what it sums over */
    OPS_SAMPLE_HISTOGRAM_NEGATIVE, /* a negative count */
    OPS_SAMPLE_HISTOGRAM_FORM,     /* buckets, bounds and count do not agree */
    OPS_SAMPLE_HISTOGRAM_SIZE,     /* too many buckets */
    OPS_SAMPLE_SERIES_LIMIT,       /* the tenant has as many series as it may have */
    OPS_SAMPLE_SIZE,               /* larger than a batch may be */
    OPS_SAMPLE_REASON_COUNT
} ops_sample_reason;
/* "not_a_number", "series_limit", ...: label values of counters, and the reason of dead letters. */
const char *ops_sample_reason_name(ops_sample_reason reason);
/* For people. */
const char *ops_sample_reason_text(ops_sample_reason reason);

typedef struct ops_sample_limits {
    uint32_t labels_max;    /* of a series; at most and by default OPS_SERIES_LABELS_MAX (64) */
    size_t name_bytes_max;  /* of a metric's or label's name; default 256 */
    size_t value_bytes_max; /* of a label's value; default 1,024 */
} ops_sample_limits;
void ops_sample_limits_default(ops_sample_limits *ret);

typedef struct ops_sample_counters {
    uint64_t received; /* = accepted + refused + repeated */
    uint64_t accepted, refused;
    uint64_t repeated; /* the same sample once more in one request */
    uint64_t refused_by[OPS_SAMPLE_REASON_COUNT];
    uint64_t points;                /* as the wire counts them: a histogram is one */
    uint64_t histograms, exemplars; /* among the points; beside them */
} ops_sample_counters;

/* Takes one series with its samples; slices die when the call returns. *ret_reason other than OPS_SAMPLE_REASON_COUNT: it
 * was refused as a whole for that reason. Not OPS_OK: decoding stops with that status. */
typedef ops_status (*ops_series_sink)(void *u, const ops_series_id *id, const ops_sample *samples, size_t n,
                                      ops_sample_reason *ret_reason, ops_err *reterr);

/* One request on its way through. @thread one owner */
typedef struct ops_samples ops_samples;

OPS_MUST_USE ops_status ops_samples_new(const ops_ingest_limits *limits, const ops_sample_limits *own,
                                        int64_t recv_ns, ops_series_sink sink, void *u, ops_samples **ret,
                                        ops_err *reterr);
void ops_samples_free(ops_samples *s);
OPS_AUTO_DEFINE(ops_samples, ops_samples_free)
const ops_sample_counters *ops_samples_counters(const ops_samples *s);
/* The first refusal of a reason in words that name the metric; empty: none. */
const char *ops_samples_detail(const ops_samples *s, ops_sample_reason reason);

/* A series begins. Labels in any order; `service` and all slices must live until the end of the series. Faults of the
 * series are its samples' faults: they are counted as those come. */
OPS_MUST_USE ops_status ops_samples_begin(ops_samples *s, ops_series_kind kind, ops_slice service,
                                          ops_slice name, const ops_attr *labels, size_t label_count,
                                          ops_err *reterr);
/* time_ns 0: none given. */
OPS_MUST_USE ops_status ops_samples_add(ops_samples *s, int64_t time_ns, double value, bool stale,
                                        ops_err *reterr);
/* Hands the series to the sink. */
OPS_MUST_USE ops_status ops_samples_end(ops_samples *s, ops_err *reterr);
/* A point that can not even be begun. */
void ops_samples_refuse(ops_samples *s, ops_sample_reason reason, ops_slice name, const char *why);
void ops_samples_point(ops_samples *s, bool histogram); /* counts one */
void ops_samples_exemplars(ops_samples *s, uint64_t n);

/* A histogram or summary as its series (above). */
OPS_MUST_USE ops_status ops_samples_histogram(ops_samples *s, ops_slice service, ops_slice name,
                                              const ops_attr *labels, size_t label_count,
                                              const ops_walk_point *p, ops_err *reterr);

/* True for Prometheus' staleness marker (model/value: 0x7ff0000000000002). */
bool ops_sample_is_stale(double value);
/* `service_name`, `service`, `app`, `job`, else `unknown_service`. An empty value counts as absent. */
ops_slice ops_samples_service(const ops_attr *labels, size_t count);
/* What a name says of its series where nothing else does: the suffixes of Prometheus' naming conventions. */
ops_series_kind ops_samples_kind_of_name(ops_slice name, bool has_le);

#endif
