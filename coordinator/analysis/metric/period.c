#include "coordinator/analysis/metric/period.h"

#include <math.h>
#include <string.h>

#define LAG_MIN 4
#define LAG_MAX (OPS_PERIOD_SAMPLES / 2)
/* A cycle explains at least half of what varies, and the correlation fell by 0.3 and came back: a trend or a slow walk
 * has no such dip. */
#define PEAK 0.5F
#define DIP  0.3F

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

static float correlation(const float *v, int lag)
{
    float sum = 0;
    for (int i = 0; i + lag < OPS_PERIOD_SAMPLES; i++)
        sum += v[i] * v[i + lag];
    return sum / (float)(OPS_PERIOD_SAMPLES - lag);
}

/* The least lag whose peak is within a tenth of the highest: not a multiple of the period. */
static int first_peak(const float *r)
{
    float best = 0, low = 1;
    int at = 0;
    for (int lag = 1; lag < LAG_MAX; lag++) {
        low = fminf(low, r[lag]);
        if (lag >= LAG_MIN && r[lag] >= r[lag - 1] && r[lag] > r[lag + 1] && r[lag] >= PEAK &&
            r[lag] - low >= DIP && r[lag] > best * 1.1F) {
            best = r[lag];
            at = lag;
        }
    }
    return at;
}

static uint32_t search(ops_period *p)
{
    float v[OPS_PERIOD_SAMPLES], r[LAG_MAX + 1];
    memcpy(v, p->v, sizeof v);
    float variance = centre(v);
    if (!(variance > 0))
        return 0;
    r[0] = 1;
    for (int lag = 1; lag <= LAG_MAX; lag++)
        r[lag] = correlation(v, lag) / variance;
    return (uint32_t)first_peak(r) * p->stride;
}

uint32_t ops_period_add(ops_period *p, double x)
{
    if (p->stride > OPS_PERIOD_STRIDE_MAX || ++p->skipped < p->stride)
        return 0;
    p->skipped = 0;
    p->v[p->n++] = (float)(x - p->origin);
    if (p->n < OPS_PERIOD_SAMPLES)
        return 0;
    uint32_t found = search(p);
    for (int i = 0; i < OPS_PERIOD_SAMPLES / 2;
         i++) /* what is kept is what the doubled stride would have kept */
        p->v[i] = p->v[2 * i + 1];
    p->n = OPS_PERIOD_SAMPLES / 2;
    p->stride *= 2;
    return found;
}
