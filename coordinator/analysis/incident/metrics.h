/* Inside: the series of a bundle as they are judged. */
#ifndef OPS_INCIDENT_METRICS_H
#define OPS_INCIDENT_METRICS_H

#include "coordinator/analysis/incident/board.h"

typedef struct ops_series {
    uint32_t component, metric;
    size_t from, n; /* in the bundle's samples */
    size_t before, after;
    bool counter;                /* judged by its rate */
    bool whole;                  /* counts of things: every value a whole number, none below 0 */
    double level, spread, reach; /* median and noise before; largest absolute value at all */
    double high, low;            /* upper and lower value after the fault */
    double since_s;
    double same;   /* series of the metric with the very same values, itself included */
    uint64_t hash; /* of its values: equal where one thing is told of several components */
    double bits;
    bool fell;
} ops_series;

typedef OPS_VEC(ops_series) ops_series_list;

typedef struct ops_metrics {
    ops_board *d;
    ops_series_list all;
    double *t, *v, *sorted, *scratch; /* room for the longest series, or one value of each */
    uint64_t *hashes;                 /* room for one of each ops_series */
} ops_metrics;

/* The middle over n series, by the lower middle, of what `of` says; 0 without any. Uses x->sorted. */
double ops_metrics_middle(ops_metrics *x, const ops_series *s, size_t n, double (*of)(const ops_series *));
/* Parts of ops_judge_metrics, after the series are judged. */
OPS_MUST_USE ops_status ops_metrics_silence(ops_metrics *x);
OPS_MUST_USE ops_status ops_metrics_onset(ops_metrics *x);

#endif
