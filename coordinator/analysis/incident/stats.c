#include "coordinator/analysis/incident/stats.h"

#include <math.h>
#include <stdlib.h>

static int ascending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

void ops_stats_sort(double *v, size_t n)
{
    if (n > 1)
        qsort(v, n, sizeof *v, ascending);
}

double ops_stats_quantile(const double *sorted, size_t n, double q)
{
    if (n == 0)
        return 0;
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    if (i + 1 >= n)
        return sorted[n - 1];
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

double ops_stats_mad(const double *v, size_t n, double about, double *scratch)
{
    for (size_t i = 0; i < n; i++)
        scratch[i] = fabs(v[i] - about);
    ops_stats_sort(scratch, n);
    return 1.4826 * ops_stats_quantile(scratch, n, 0.5);
}

double ops_stats_spread(const double *sorted, size_t n, double *scratch)
{
    double mad = ops_stats_mad(sorted, n, ops_stats_quantile(sorted, n, 0.5), scratch);
    double iqr = 0.7413 * (ops_stats_quantile(sorted, n, 0.75) - ops_stats_quantile(sorted, n, 0.25));
    return mad > iqr ? mad : iqr;
}

double ops_stats_trimmed_mean(const double *sorted, size_t n)
{
    size_t keep = n - (n >= 10 ? (n + 19) / 20 : 0);
    double sum = 0;
    for (size_t i = 0; i < keep; i++)
        sum += sorted[i];
    return keep > 0 ? sum / (double)keep : 0;
}
