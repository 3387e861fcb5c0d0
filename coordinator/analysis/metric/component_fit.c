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
/* And a view of live series in two weeks, but not in less rows than a fit needs. */
#define TAUGHT_NS  (14 * OPS_DAY_NS)
#define TAUGHT_MIN 4096.0
/* A column that barely moved in the normal stretch still has a spread: a thousandth of what it had with the day in it,
 * and the last digits of a float. */
#define SPREAD_OF_TOTAL 1e-3
#define SPREAD_OF_VALUE 1e-6
#define SPREAD_LEAST    1e-12
/* Noise of its own that every column is given, in its own variance. */
#define RIDGE 1.0
/* Where columns are asked one by one, those that repeat each other are what tells most. */
#define RIDGE_ALONE 0.05

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
    for (size_t j = 0; j < m * c->bins; j++)
        c->bin_sum[j] /= 2;
    for (size_t b = 0; b < c->bins; b++)
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
    int b = ops_component_bin(c, time_ns);
    bool days = c->bins > 1 && ops_since(time_ns, c->first_ns) >= DAY_DAYS * OPS_DAY_NS;
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
    double most = TAUGHT_MAX;
    if (c->conf.step_ns > 0)
        most = fmin(TAUGHT_MAX, fmax(TAUGHT_MIN, (double)TAUGHT_NS / (double)c->conf.step_ns));
    if (c->taught >= most)
        halve(c);
}

static void fit_profile(ops_component *c)
{
    size_t m = c->columns;
    for (size_t j = 0; j < m; j++) {
        double mean = c->sum[j] / c->taught;
        bool follows = c->off_day[j] < DAY_GAIN * c->off_mean[j];
        for (size_t b = 0; b < c->bins; b++)
            c->profile[b * m + j] =
                follows && c->bin_rows[b] > 0 ? c->bin_sum[b * m + j] / c->bin_rows[b] : mean;
    }
}

/* Sum of the products of two columns' residuals, from the moments: sum (x-p)(y-q) over the bins, in which p, q are fixed. */
static double scatter(const ops_component *c, size_t j, size_t k)
{
    size_t m = c->columns;
    double s = c->cross[j * m + k];
    for (size_t b = 0; b < c->bins; b++) {
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

/* The ridge keeps every pivot at its own size or above but for rounding. */
void ops_component_factor(const ops_component *c, double ridge, double *ret)
{
    size_t m = c->columns;
    for (size_t j = 0; j < m; j++)
        for (size_t k = 0; k <= j; k++) {
            double s = scatter(c, j, k) / (c->taught * c->sd[j] * c->sd[k]) + (j == k ? ridge : 0);
            const double *rj = ret + j * m, *rk = ret + k * m;
            for (size_t i = 0; i < k; i++)
                s -= rj[i] * rk[i];
            ret[j * m + k] = j == k ? sqrt(fmax(s, ridge / 2)) : s / rk[k];
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
    ops_component_factor(c, c->column == NULL ? RIDGE_ALONE : RIDGE, c->factor);
    if (c->column == NULL)
        ops_component_invert(c, c->inverse);
    else
        c->typical = typical(c);
    if (!c->fitted)
        c->brief = c->lasting = c->typical;
    c->fitted = true;
    c->fit_rows = c->taught;
    c->since_fit = 0;
}

double ops_component_distance(ops_component *c, int64_t time_ns, const double *row, size_t *ret_column)
{
    const double *expected = c->profile + (size_t)ops_component_bin(c, time_ns) * c->columns;
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

void ops_component_invert(ops_component *c, double *ret)
{
    const size_t m = c->columns;
    double *x = c->solved;
    for (size_t j = 0; j < m; j++) {
        memset(x, 0, m * sizeof *x);
        x[j] = 1;
        (void)solve(c, x);
        for (size_t i = m; i-- > 0;) {
            x[i] /= c->factor[i * m + i];
            for (size_t k = 0; k < i; k++)
                x[k] -= c->factor[i * m + k] * x[i];
        }
        const double unit = sqrt(fmax(x[j], 1e-9));
        for (size_t k = 0; k < m; k++)
            ret[j * m + k] = x[k] / unit;
    }
}

/* In four sums, which do not wait for each other. */
static double dot(const double *a, const double *b, size_t n)
{
    double s[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; k++)
            s[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        s[0] += a[i] * b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

float ops_component_ask_alone(ops_component *c, int64_t time_ns, size_t *ret_column)
{
    const size_t m = c->columns;
    const double *expected = c->profile + (size_t)ops_component_bin(c, time_ns) * m;
    float best = 0;
    for (size_t j = 0; j < m; j++)
        c->solved[j] = fmax(-FAR, fmin(FAR, (c->row[j] - expected[j]) / c->sd[j]));
    for (size_t j = 0; j < m; j++) {
        const float score = ops_alone_add(&c->alone[j], dot(c->inverse + j * m, c->solved, m));
        if (score > best) {
            best = score;
            *ret_column = j;
        }
    }
    return best;
}
