/* Sums, means and quantiles that functions and aggregations share. */
#include <math.h>
#include <stdlib.h>

#include "coordinator/analysis/rules/eval.h"

void rules_sum_add(rules_sum *x, double v)
{
    double t = x->s + v;
    if (isinf(t))
        x->c = 0;
    else if (fabs(x->s) >= fabs(v))
        x->c += (x->s - t) + v;
    else
        x->c += (v - t) + x->s;
    x->s = t;
}

double rules_sum_get(const rules_sum *x)
{
    return isinf(x->s) ? x->s : x->s + x->c;
}

/* The mean by its sum; where that overflows, step by step. */
double rules_mean(const double *v, size_t n)
{
    rules_sum s = {0};
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        rules_sum_add(&s, v[i]);
        finite = finite && isfinite(v[i]);
    }
    if (!isinf(s.s) || !finite)
        return s.s / (double)n + s.c / (double)n;
    rules_sum m = {0};
    for (size_t i = 0; i < n; i++)
        rules_sum_add(&m, v[i] / (double)n);
    return rules_sum_get(&m);
}

int rules_double_cmp(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y))
        return isnan(y) - isnan(x);
    return (x > y) - (x < y);
}

double rules_quantile(double q, double *v, size_t n)
{
    if (n == 0 || isnan(q))
        return (double)NAN;
    if (q < 0 || q > 1)
        return q < 0 ? (double)-INFINITY : (double)INFINITY;
    qsort(v, n, sizeof *v, rules_double_cmp);
    double rank = q * (double)(n - 1), low = floor(rank);
    size_t i = (size_t)low, k = i + 1 < n ? i + 1 : n - 1;
    double w = rank - low;
    return v[i] * (1 - w) + v[k] * w;
}
