/* Inside: order statistics over sorted and unsorted doubles. */
#ifndef OPS_INCIDENT_STATS_H
#define OPS_INCIDENT_STATS_H

#include <stddef.h>

void ops_stats_sort(double *v, size_t n);
/* Of sorted values, linear between places; 0 without any. */
double ops_stats_quantile(const double *sorted, size_t n, double q);
/* 1.4826 times the median distance from `about`: bears up to half of the values being something else. `scratch` takes n
 * values. */
double ops_stats_mad(const double *v, size_t n, double about, double *scratch);
/* Robust standard deviation of sorted values about their median: the larger of 1.4826 MAD and 0.7413 IQR (both equal
 * the standard deviation of a normal distribution). `scratch` takes n values. */
double ops_stats_spread(const double *sorted, size_t n, double *scratch);
/* Mean of sorted values without the top twentieth (at least one of ten or more). */
double ops_stats_trimmed_mean(const double *sorted, size_t n);

#endif
