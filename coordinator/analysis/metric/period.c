#include "coordinator/analysis/metric/period.h"

#include <math.h>
#include <string.h>

enum { LAG_MIN = 4, LAG_MAX = OPS_PERIOD_SAMPLES / 2 };

/* A cycle explains at least half of what varies, and the correlation fell by 0.3 and came back: a trend or a slow walk
 * has no such dip. Two periods later it is still there. */
#define PEAK  0.5F
#define DIP   0.3F
#define AGAIN 0.4F

void ops_period_init(ops_period *p, double near)
{
    memset(p, 0, sizeof *p);
    p->stride = 1;
    p->origin = near;
}

/* Mean off, and what is beyond three standard deviations cut, so that two spikes make no period. Answers the variance. */
static float centre(float *v)
{
    double sum = 0, sq = 0;
    for (int i = 0; i < OPS_PERIOD_SAMPLES; i++)
        sum += v[i];
    float mean = (float)(sum / OPS_PERIOD_SAMPLES);
    for (int i = 0; i < OPS_PERIOD_SAMPLES; i++)
        sq += (double)(v[i] - mean) * (v[i] - mean);
    float most = 3.0F * (float)sqrt(sq / OPS_PERIOD_SAMPLES);
    sq = 0;
    for (int i = 0; i < OPS_PERIOD_SAMPLES; i++) {
        v[i] = fmaxf(-most, fminf(most, v[i] - mean));
        sq += (double)v[i] * v[i];
    }
    return (float)(sq / OPS_PERIOD_SAMPLES);
}

/* Eight sums side by side: one alone would wait for itself at every step. */
static float correlation(const float *v, int lag)
{
    float sum[8] = {0};
    int n = OPS_PERIOD_SAMPLES - lag, i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++)
            sum[k] += v[i + k] * v[i + lag + k];
    for (; i < n; i++)
        sum[0] += v[i] * v[i + lag];
    return (sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7]) / (float)n;
}

/* The highest correlation around a lag. */
static float around(const float *r, int lag)
{
    float most = r[lag];
    for (int i = lag - lag / 16 - 1; i <= lag + lag / 16 + 1 && i < LAG_MAX; i++)
        most = fmaxf(most, r[i]);
    return most;
}

/* The least lag whose peak is within a tenth of the highest and comes again: not a multiple of the period, and no chance
 * likeness of a few rare events. */
static int first_peak(const float *r)
{
    float best = 0, low = 1;
    int at = 0;
    for (int lag = 1; 2 * lag < LAG_MAX; lag++) {
        low = fminf(low, r[lag]);
        if (lag < LAG_MIN || r[lag] < r[lag - 1] || r[lag] <= r[lag + 1])
            continue;
        if (r[lag] >= PEAK && r[lag] - low >= DIP && r[lag] > best * 1.1F && around(r, 2 * lag) >= AGAIN) {
            best = r[lag];
            at = lag;
        }
    }
    return at;
}

/* Later peaks lie at multiples of the period, so the last of them tells it to a part of a sample. */
static double refine(const float *r, int lag)
{
    if (lag == 0)
        return 0;
    double period = lag;
    for (int k = 2; (k + 0.25) * period < LAG_MAX; k++) {
        int near = (int)(k * period + 0.5), reach = lag / 8 + 1, at = near;
        for (int i = near - reach; i <= near + reach && i < LAG_MAX; i++)
            at = r[i] > r[at] ? i : at;
        if (r[at] < PEAK)
            break;
        period = (double)at / k;
    }
    return period;
}

static double search(ops_period *p)
{
    float v[OPS_PERIOD_SAMPLES], r[LAG_MAX + 1];
    memcpy(v, p->v, sizeof v);
    float variance = centre(v);
    if (!(variance > 0))
        return 0;
    r[0] = 1;
    for (int lag = 1; lag <= LAG_MAX; lag++)
        r[lag] = correlation(v, lag) / variance;
    return refine(r, first_peak(r)) * p->stride;
}

double ops_period_add(ops_period *p, double x)
{
    if (p->stride > OPS_PERIOD_STRIDE_MAX || ++p->skipped < p->stride)
        return 0;
    p->skipped = 0;
    p->v[p->n++] = (float)(x - p->origin);
    if (p->n < OPS_PERIOD_SAMPLES)
        return 0;
    double found = search(p);
    for (int i = 0; i < OPS_PERIOD_SAMPLES / 2;
         i++) /* what is kept is what the doubled stride would have kept */
        p->v[i] = p->v[2 * i + 1];
    p->n = OPS_PERIOD_SAMPLES / 2;
    p->stride *= 2;
    return found;
}
