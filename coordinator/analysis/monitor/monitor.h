/* The series of one partition, each with its baseline: samples in, candidates out.
 *
 * What is judged of a series: a gauge's value; a counter's growth per second between two samples, where a value below the
 * one before is a new start from 0; of a delta series what was added per second since the sample before. Buckets of
 * histograms are not judged singly: their count and sum are series of their own, and X_p99, the 99th percentile of what they
 * saw between two samples, is a gauge (quantile.c). After a staleness marker a counter
 * starts anew. When X_sum and X_count of equal labels were judged at the same time, X_mean, the mean of what was observed between, is a
 * gauge of its own: how long requests took is told by it. A sample before the newest of its series (late), or at its time (repeated), is counted and changes nothing.
 *
 * Alerts are those of the baseline (analysis/metric/baseline.h) under a budget of one false alert in
 * OPS_MONITOR_SAMPLES_PER_FALSE_ALERT samples of a series: the chance that a finding needs (analysis/finding/book.h).
 *
 * The series of a service are seen together too (metric/component.h): up to 32 of them make a row every 15 s to 10 min, at the
 * pace they come at, and what a series does that does not go with the others is told as a candidate of its own, though each is in
 * its range. Its budget is that of a series. Of a stretch of which a single series told, the row says no more unless within 120 s
 * (the finding book joins it). choose.c says which series; views_max components a tenant, 51 KiB each; when there is no room the
 * series are judged singly, and it is counted.
 *
 * Limits: series_max series a tenant; when full, those that had no sample for two hours of receive time make room, else
 * the sample is counted as full. Names are cut at 256 and 8,192 bytes.
 *
 * State: a baseline is written whole every OPS_MONITOR_TAIL samples and else not at all; between, the record of a series
 * holds what was judged since, and loading judges it again. The same calls in the same order give the same candidates, also over
 * a snapshot. @thread: one owner at a time. Pure: no clock, no I/O. */
#ifndef OPS_ANALYSIS_MONITOR_H
#define OPS_ANALYSIS_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "coordinator/analysis/detect/candidate.h"

enum { OPS_MONITOR_TAIL = 32, OPS_MONITOR_VIEWS_MAX = 256, OPS_MONITOR_BUCKETS_MAX = 512 };
#define OPS_MONITOR_SAMPLES_PER_FALSE_ALERT 1e6

typedef struct ops_monitor ops_monitor;

typedef enum ops_monitor_kind {
    OPS_MONITOR_GAUGE = 1,
    OPS_MONITOR_COUNTER,
    OPS_MONITOR_DELTA,
    OPS_MONITOR_BUCKET,       /* cumulative over bounds and time */
    OPS_MONITOR_BUCKET_DELTA, /* over bounds only */
    OPS_MONITOR_KIND_COUNT
} ops_monitor_kind;
/* "gauge", "counter", "delta", "bucket" for both. */
const char *ops_monitor_kind_name(ops_monitor_kind kind);

typedef enum ops_monitor_fate {
    OPS_MONITOR_JUDGED,
    OPS_MONITOR_FIRST, /* nothing before it to take a rate against */
    OPS_MONITOR_KEPT,  /* a bucket */
    OPS_MONITOR_ENDED, /* a staleness marker */
    OPS_MONITOR_LATE,
    OPS_MONITOR_REPEATED,
    OPS_MONITOR_FULL, /* no room for one more series */
    OPS_MONITOR_FATE_COUNT
} ops_monitor_fate;
/* "judged", "first", ...; labels of a counter. */
const char *ops_monitor_fate_name(ops_monitor_fate fate);

typedef struct ops_monitor_sample {
    ops_slice tenant, service;
    ops_slice series; /* name and labels as one text: what tells series of a service apart */
    ops_monitor_kind kind;
    bool stale;
    int64_t time_ns, recv_ns; /* Unix ns */
    double value;
    uint64_t log_offset; /* handed through to evidence */
} ops_monitor_sample;

/* Slices live until the monitor changes. */
typedef struct ops_monitor_info {
    ops_slice tenant, service, series;
    ops_monitor_kind kind;
    bool stale, learning; /* ended; nothing is told yet */
    uint64_t samples, late, repeated, resets, alerts;
    int64_t first_ns, last_ns, interval_ns;
    double last;              /* as it came */
    double judged, low, high; /* of the newest judged sample: value or rate, and what is usual */
    double score;             /* of it: -log10 of its chance */
} ops_monitor_info;

typedef struct ops_monitor_limits {
    size_t series_max; /* of a tenant; 0: 40,000 */
    size_t views_max;  /* components of a tenant that are seen together; 0: OPS_MONITOR_VIEWS_MAX */
    bool views_off;    /* no series are seen together */
    void (*on_candidate)(void *u, const ops_candidate *c);
    void *u;
} ops_monitor_limits;

typedef struct ops_monitor_stats {
    size_t series, baseline_bytes;
    uint64_t samples, alerts, dropped; /* dropped: series that made room */
    uint64_t means;                    /* samples of X_mean that came of X_sum and X_count */
    uint64_t quantiles;                /* of X_p99, out of buckets */
    uint64_t buckets_full;             /* buckets beyond those that a histogram is read by */
    size_t views, view_bytes;          /* components seen together */
    uint64_t rows;                     /* judged of them */
    uint64_t rows_told, rows_covered;  /* covered: a single series had told of the stretch */
    uint64_t rows_late;                /* samples of a step that was closed */
    uint64_t views_full;               /* times a component found no room */
} ops_monitor_stats;

OPS_MUST_USE ops_status ops_monitor_new(const ops_monitor_limits *limits, ops_monitor **ret, ops_err *reterr);
void ops_monitor_free(ops_monitor *m);
OPS_AUTO_DEFINE(ops_monitor, ops_monitor_free)

/* May call on_candidate before it returns. On OPS_ENOMEM the sample may be sent again. */
OPS_MUST_USE ops_status ops_monitor_add(ops_monitor *m, const ops_monitor_sample *s, ops_monitor_fate *ret,
                                        ops_err *reterr);
/* The greatest event time seen, no later than its receive time; INT64_MIN before the first sample. */
int64_t ops_monitor_event_ns(const ops_monitor *m);
/* Bytes that the next save will emit, about. */
size_t ops_monitor_dirty_bytes(const ops_monitor *m);

/* Start with *iter = 0. */
bool ops_monitor_next(const ops_monitor *m, size_t *iter, ops_monitor_info *ret);
void ops_monitor_stats_get(const ops_monitor *m, ops_monitor_stats *ret);

/* What changed since the last save; an empty value: the key is gone. Keys begin with "m". */
typedef ops_status (*ops_monitor_emit)(void *u, ops_slice key, ops_slice val);
OPS_MUST_USE ops_status ops_monitor_save_dirty(ops_monitor *m, ops_monitor_emit emit, void *u,
                                               ops_err *reterr);
/* Into a fresh monitor: every record in any order, then load_done once. OPS_ECORRUPT names the key. */
OPS_MUST_USE ops_status ops_monitor_load(ops_monitor *m, ops_slice key, ops_slice val, ops_err *reterr);
OPS_MUST_USE ops_status ops_monitor_load_done(ops_monitor *m, ops_err *reterr);

#endif
