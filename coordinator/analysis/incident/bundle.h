/* What is known about one stretch of time of one system: metric samples, log lines and spans by component.
 * Filled in any order, then sealed; what is made of it does not depend on the order it was filled in, as long as
 * nothing was left out for want of room.
 *
 * Hostile input: samples and times that are no finite numbers are counted and left out; names and texts are bytes, cut
 * to their limits. When a limit is reached further rows are counted as dropped; that is no failure.
 *
 * @thread: one owner at a time. Pure: no clock, no I/O. */
#ifndef OPS_INCIDENT_BUNDLE_H
#define OPS_INCIDENT_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

typedef struct ops_bundle ops_bundle;

/* Zero in any field takes the default. */
typedef struct ops_bundle_limits {
    size_t components_max; /* 4,096 */
    size_t names_max;      /* metrics, operations and statuses together: 65,536 */
    size_t samples_max;    /* 4 Mi, 24 bytes each */
    size_t lines_max;      /* 1 Mi */
    size_t spans_max;      /* 2 Mi, 64 bytes each */
    size_t text_bytes_max; /* names and messages: 256 MiB */
    size_t name_bytes_max; /* 512; longer ones are cut */
    size_t line_bytes_max; /* 2,048; longer messages are cut */
} ops_bundle_limits;

/* Times are Unix seconds. A span's parent is empty for a root. */
typedef struct ops_bundle_span {
    ops_slice trace, span, parent, component, operation, status;
    double start_s, duration_s;
} ops_bundle_span;

typedef struct ops_bundle_stats {
    uint64_t samples, lines, spans; /* kept */
    uint64_t dropped;               /* a limit was reached */
    uint64_t refused;               /* not a finite number, a negative duration, or no component */
    size_t components;
    double first_s, last_s; /* of the samples; both 0 without any */
} ops_bundle_stats;

OPS_MUST_USE ops_status ops_bundle_new(const ops_bundle_limits *limits, ops_bundle **ret, ops_err *reterr);
void ops_bundle_free(ops_bundle *b);
OPS_AUTO_DEFINE(ops_bundle, ops_bundle_free)

/* Each fails with OPS_ENOMEM only, and then nothing was added. Not after ops_bundle_seal. */
OPS_MUST_USE ops_status ops_bundle_add_sample(ops_bundle *b, ops_slice component, ops_slice metric,
                                              double time_s, double value, ops_err *reterr);
OPS_MUST_USE ops_status ops_bundle_add_line(ops_bundle *b, ops_slice component, ops_slice message,
                                            double time_s, ops_err *reterr);
OPS_MUST_USE ops_status ops_bundle_add_span(ops_bundle *b, const ops_bundle_span *span, ops_err *reterr);

/* Sorts what was added; needed once, before anything is asked of the bundle. */
OPS_MUST_USE ops_status ops_bundle_seal(ops_bundle *b, ops_err *reterr);

/* One series of a sealed bundle; its samples in order of time. */
typedef struct ops_bundle_series {
    ops_slice component, metric;
    size_t first, count; /* samples, for ops_bundle_sample_at */
} ops_bundle_series;

/* Series by component, then metric; start with *iter = 0. */
bool ops_bundle_next_series(const ops_bundle *b, size_t *iter, ops_bundle_series *ret);
void ops_bundle_sample_at(const ops_bundle *b, size_t i, double *ret_time_s, double *ret_value);
void ops_bundle_stats_get(const ops_bundle *b, ops_bundle_stats *ret);

#endif
