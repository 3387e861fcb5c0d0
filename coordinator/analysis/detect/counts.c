#include "coordinator/analysis/detect/counts.h"

#include <math.h>
#include <stdlib.h>

static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double f = d;
    for (int m = 1; m <= 500; m++) {
        for (int odd = 0; odd < 2; odd++) {
            double t = odd == 0 ? m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
                                : -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
            d = 1 + t * d;
            c = 1 + t / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            f *= c * d;
        }
        if (fabs(c * d - 1) < 1e-12)
            break;
    }
    return f;
}

double ops_counts_beta(double a, double b, double x)
{
    if (x <= 0)
        return 0;
    if (x >= 1)
        return 1;
    double front = log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x);
    if (x < (a + 1) / (a + b + 2))
        return exp(front) * beta_fraction(a, b, x) / a;
    return 1 - exp(front) * beta_fraction(b, a, 1 - x) / b;
}

static double floored(double p)
{
    return p < OPS_P_FLOOR ? OPS_P_FLOOR : p > 1 ? 1 : p;
}

double ops_counts_nb_upper(double count, double mean, double size)
{
    return count <= 0 ? 1 : floored(ops_counts_beta(count, size, mean / (mean + size)));
}

double ops_counts_nb_lower(double count, double mean, double size)
{
    return floored(ops_counts_beta(size, count + 1, size / (mean + size)));
}

double ops_counts_binomial_upper(double hits, double trials, double share)
{
    return hits <= 0 ? 1 : floored(ops_counts_beta(hits, trials - hits + 1, share));
}

static void baseline(const ops_series *s, double *mean, double *size)
{
    double n = s->windows > 33 ? 33 : s->windows;
    double floor_mean = 0.5 / (s->windows + 1.0);
    *mean = s->mean > floor_mean ? s->mean : floor_mean;
    double var = s->var + 0.1 * *mean * *mean + s->var / (n + 1);
    double over = var - *mean;
    double r = over > 1e-9 ? *mean * *mean / over : 1e6;
    *size = r < 0.05 ? 0.05 : r > 10 ? 10 : r; /* never more regular than the tenth of m^2 says */
}

double ops_counts_p_up(const ops_series *s, double count)
{
    double mean, size;
    baseline(s, &mean, &size);
    return ops_counts_nb_upper(count, mean, size);
}

double ops_counts_p_down(const ops_series *s, double count)
{
    double mean, size;
    baseline(s, &mean, &size);
    return ops_counts_nb_lower(count, mean, size);
}

double ops_counts_p_silent(const ops_series *s, double windows)
{
    double mean, size;
    baseline(s, &mean, &size);
    return floored(exp(-windows * size * log1p(mean / size)));
}

void ops_counts_expected(const ops_series *s, double *ret_low, double *ret_high)
{
    double mean, size;
    baseline(s, &mean, &size);
    double sd = sqrt(mean + mean * mean / size);
    *ret_low = mean - 2.33 * sd > 0 ? floor(mean - 2.33 * sd) : 0;
    *ret_high = ceil(mean + 2.33 * sd);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double ops_counts_bh(double *p, size_t n, double q)
{
    if (n == 0)
        return 0;
    qsort(p, n, sizeof *p, ascending);
    for (size_t i = n; i-- > 0;)
        if (p[i] <= q * (double)(i + 1) / (double)n)
            return p[i];
    return 0;
}
