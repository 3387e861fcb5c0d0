/* Metrics declared as a table, written as Prometheus text (exposition format 0.0.4).
 *
 *   enum { M_RECORDS, M_COUNT };
 *   static const ops_metric_desc rows[M_COUNT] = {
 *       [M_RECORDS] = {"opsd_records_total", "Records by fate.", OPS_METRIC_COUNTER, .labels = {"fate"}}};
 *   ops_metrics_new(rows, M_COUNT, &m, &err);
 *   ops_metric_add(ops_metric_at(m, M_RECORDS, "acked"), 1);
 *
 * Series are made at first use, bounded per row; beyond the bound every new label set shares one series whose values
 * are "other". A series lives as long as its ops_metrics, so hot paths keep the pointer. Updates are lock-free. */
#ifndef OPS_BASE_METRIC_H
#define OPS_BASE_METRIC_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/strbuf.h"

enum { OPS_METRIC_LABELS_MAX = 4, OPS_METRIC_BOUNDS_MAX = 32, OPS_METRIC_SERIES_DEFAULT = 64 };

typedef enum ops_metric_kind { OPS_METRIC_COUNTER, OPS_METRIC_GAUGE, OPS_METRIC_HISTOGRAM } ops_metric_kind;

typedef struct ops_metric_desc {
    const char *name, *help; /* name: [a-zA-Z_:][a-zA-Z0-9_:]*, counters end in _total */
    ops_metric_kind kind;
    const char *labels[OPS_METRIC_LABELS_MAX]; /* NULL after the last */
    const double *bounds;                      /* histogram: ascending upper bounds, +Inf is added */
    size_t bound_count;
    size_t series_max; /* 0: OPS_METRIC_SERIES_DEFAULT */
} ops_metric_desc;

/* Upper bounds in seconds that suit requests: 1 ms to 10 s. */
#define OPS_METRIC_SECONDS_COUNT 13
extern const double ops_metric_seconds[OPS_METRIC_SECONDS_COUNT];

typedef struct ops_metrics ops_metrics;
typedef struct ops_metric ops_metric; /* one series */

/* `rows` must outlive the result. Rows without labels show from the start, as 0. OPS_EINVAL names a bad row. */
OPS_MUST_USE ops_status ops_metrics_new(const ops_metric_desc *rows, size_t count, ops_metrics **ret,
                                        ops_err *reterr);
void ops_metrics_free(ops_metrics *m);
OPS_AUTO_DEFINE(ops_metrics, ops_metrics_free)

/* The series of `row` with these label values, made when it is not there. Never NULL: with the row full or the heap
 * out it is the row's "other". `value` is the first label's; the _n form takes as many as the row has labels.
 * @thread any */
ops_metric *ops_metric_at(ops_metrics *m, size_t row, const char *value);
ops_metric *ops_metric_at_n(ops_metrics *m, size_t row, const ops_slice *values, size_t count);

void ops_metric_add(ops_metric *s, uint64_t n);       /* counter */
void ops_metric_set(ops_metric *s, double value);     /* gauge */
void ops_metric_shift(ops_metric *s, double by);      /* gauge, up or down */
void ops_metric_observe(ops_metric *s, double value); /* histogram; NaN is ignored */
uint64_t ops_metric_count(const ops_metric *s);       /* counter's value, histogram's observations */
double ops_metric_value(const ops_metric *s);         /* gauge's value, histogram's sum */

/* Appends all rows in table order, the series of a row in order of first use. @thread any */
void ops_metrics_text(ops_metrics *m, ops_strbuf *out);

#endif
