#include <math.h>
#include <string.h>

#include "coordinator/analysis/metric/component_state.h"

/* A column follows the day when knowing the time halves its mean distance from what is expected, measured on days that
 * came after the ones the profile was learnt on. */
#define DAY_GAIN 0.5
#define DAY_DAYS 2
/* In the moments and in the distance a column counts for at most so many standard deviations. */
#define FAR 20.0
/* Rows before the spread is known well enough to cut what is far. */
#define CUT_AFTER 100
/* In the comparison of day and mean one far row does not decide. */
#define FAR_COMPARED 10.0
/* Rows after which the moments are halved, so that the component follows a change in weeks of minutes. */
#define TAUGHT_MAX 131072.0
/* A column that barely moved in the normal stretch still has a spread: a thousandth of what it had with the day in it,
 * and the last digits of a float. */
#define SPREAD_OF_TOTAL 1e-3
#define SPREAD_OF_VALUE 1e-6
#define SPREAD_LEAST    1e-12
/* Noise of its own that every column is given, in its own variance. */
#define RIDGE 1.0

static double spread_before(const ops_component *c, size_t j)
{
    double mean = c->sum[j] / c->taught;
    double variance = c->cross[j * c->columns + j] / c->taught - mean * mean;
    return variance > 0 ? sqrt(variance) : 0;
}

static void halve(ops_component *c)
{
    size_t m = c->columns;
    c->taught /= 2;
    for (size_t j = 0; j < m; j++) {
        c->sum[j] /= 2;
        c->off_mean[j] /= 2;
        c->off_day[j] /= 2;
    }
    for (size_t j = 0; j < m * m; j++)
        c->cross[j] /= 2;
    for (size_t j = 0; j < m * DAY_BINS; j++)
        c->bin_sum[j] /= 2;
    for (size_t b = 0; b < DAY_BINS; b++)
        c->bin_rows[b] /= 2;
}

/* Cuts a value to what counts; compares day and mean as predictions on the way. */
static double compare_and_cut(ops_component *c, size_t j, int b, bool days, double v)
{
    double mean = c->sum[j] / c->taught, sd = spread_before(c, j);
    if (!(sd > 0))
        return v;
    if (days && c->bin_rows[b] > 0) {
        double day = c->bin_sum[(size_t)b * c->columns + j] / c->bin_rows[b];
        c->off_mean[j] += fmin(fabs(v - mean) / sd, FAR_COMPARED);
        c->off_day[j] += fmin(fabs(v - day) / sd, FAR_COMPARED);
    }
    return fmax(mean - FAR * sd, fmin(mean + FAR * sd, v));
}

void ops_component_teach(ops_component *c, int64_t time_ns, const double *row)
{
    size_t m = c->columns;
    int b = ops_component_bin(time_ns);
    bool days = ops_since(time_ns, c->first_ns) >= DAY_DAYS * OPS_DAY_NS;
    double *d = c->solved;
    for (size_t j = 0; j < m; j++)
        d[j] = c->taught > CUT_AFTER ? compare_and_cut(c, j, b, days, row[j]) : row[j];
    c->taught++;
    c->since_fit++;
    c->bin_rows[b]++;
    for (size_t j = 0; j < m; j++) {
        c->sum[j] += d[j];
        c->bin_sum[(size_t)b * m + j] += d[j];
        double *cross = c->cross + j * m, dj = d[j];
        for (size_t k = 0; k <= j; k++)
            cross[k] += dj * d[k];
    }
    if (c->taught >= TAUGHT_MAX)
        halve(c);
}

static void fit_profile(ops_component *c)
{
    size_t m = c->columns;
    for (size_t j = 0; j < m; j++) {
        double mean = c->sum[j] / c->taught;
        bool follows = c->off_day[j] < DAY_GAIN * c->off_mean[j];
        for (size_t b = 0; b < DAY_BINS; b++)
            c->profile[b * m + j] =
                follows && c->bin_rows[b] > 0 ? c->bin_sum[b * m + j] / c->bin_rows[b] : mean;
    }
}

/* Sum of the products of two columns' residuals, from the moments: sum (x-p)(y-q) over the bins, in which p, q are fixed. */
static double scatter(const ops_component *c, size_t j, size_t k)
{
    size_t m = c->columns;
    double s = c->cross[j * m + k];
    for (size_t b = 0; b < DAY_BINS; b++) {
        double p = c->profile[b * m + j], q = c->profile[b * m + k];
        s += c->bin_rows[b] * p * q - p * c->bin_sum[b * m + k] - q * c->bin_sum[b * m + j];
    }
    return s;
}

static void fit_spread(ops_component *c)
{
    for (size_t j = 0; j < c->columns; j++) {
        double s = scatter(c, j, j) / c->taught;
        double least = fmax(SPREAD_OF_TOTAL * spread_before(c, j),
                            SPREAD_OF_VALUE * fabs(c->origin[j] + c->sum[j] / c->taught) + SPREAD_LEAST);
        c->sd[j] = fmax(s > 0 ? sqrt(s) : 0, least);
    }
}

/* Cholesky factor of correlation + ridge; the ridge keeps every pivot at RIDGE or above but for rounding. */
static void fit_factor(ops_component *c)
{
    size_t m = c->columns;
    for (size_t j = 0; j < m; j++)
        for (size_t k = 0; k <= j; k++) {
            double s = scatter(c, j, k) / (c->taught * c->sd[j] * c->sd[k]) + (j == k ? RIDGE : 0);
            const double *rj = c->factor + j * m, *rk = c->factor + k * m;
            for (size_t i = 0; i < k; i++)
                s -= rj[i] * rk[i];
            c->factor[j * m + k] = j == k ? sqrt(fmax(s, RIDGE / 2)) : s / rk[k];
        }
}

/* Solves factor * x = z in place and answers |x|^2. */
static double solve(const ops_component *c, double *z)
{
    size_t m = c->columns;
    double sum = 0;
    for (size_t j = 0; j < m; j++) {
        const double *row = c->factor + j * m;
        double s = z[j];
        for (size_t k = 0; k < j; k++)
            s -= row[k] * z[k];
        z[j] = s / row[j];
        sum += z[j] * z[j];
    }
    return sum;
}

/* Mean distance of a row as taught: trace of (C + ridge)^-1 C = columns - ridge * trace of (C + ridge)^-1. */
static double typical(ops_component *c)
{
    double trace = 0;
    for (size_t j = 0; j < c->columns; j++) {
        memset(c->solved, 0, c->columns * sizeof *c->solved);
        c->solved[j] = 1;
        trace += solve(c, c->solved);
    }
    return fmax((double)c->columns - RIDGE * trace, SPREAD_OF_TOTAL);
}

void ops_component_fit(ops_component *c)
{
    fit_profile(c);
    fit_spread(c);
    fit_factor(c);
    c->typical = typical(c);
    if (!c->fitted)
        c->brief = c->lasting = c->typical;
    c->fitted = true;
    c->fit_rows = c->taught;
    c->since_fit = 0;
}

double ops_component_distance(ops_component *c, int64_t time_ns, const double *row, size_t *ret_column)
{
    const double *expected = c->profile + (size_t)ops_component_bin(time_ns) * c->columns;
    double most = -1;
    for (size_t j = 0; j < c->columns; j++) {
        double z = (row[j] - expected[j]) / c->sd[j];
        if (fabs(z) > most) {
            most = fabs(z);
            *ret_column = j;
        }
        c->solved[j] = fmax(-FAR, fmin(FAR, z));
    }
    return solve(c, c->solved);
}
