#include "coordinator/analysis/window/series.h"

#include <math.h>

static const double week_windows = 60480;

void ops_series_learn(ops_series *s, double count)
{
    if (count > 0) {
        if (s->gap > s->gap_max)
            s->gap_max = s->gap;
        s->gap = 0;
    } else if (s->gap < UINT32_MAX) {
        s->gap++;
    }
    double x = count;
    if (s->windows >= 12) {
        double roof = s->mean + 5 * sqrt(s->var + s->mean + 1);
        x = x > roof ? roof : x;
    }
    double w = 1.0 / (s->windows + 1.0);
    w = w < OPS_SERIES_WEIGHT ? OPS_SERIES_WEIGHT : w;
    double d = x - s->mean;
    s->mean += w * d;
    s->var = (1 - w) * (s->var + w * d * d);
    s->peak *= exp2(-1 / week_windows);
    s->peak = count > s->peak ? count : s->peak;
    s->windows += s->windows < UINT32_MAX;
}

void ops_series_learn_empty(ops_series *s, uint64_t windows)
{
    while (windows > 0 &&
           s->windows < 1 / OPS_SERIES_WEIGHT) { /* the weight is still falling: at most 34 steps */
        ops_series_learn(s, 0);
        windows--;
    }
    if (windows == 0)
        return;
    /* (1-w)^k in closed form: the second moment and the mean both decay by it */
    double k = pow(1 - OPS_SERIES_WEIGHT, (double)windows);
    double square = k * (s->var + s->mean * s->mean);
    s->mean *= k;
    s->var = square - s->mean * s->mean;
    s->var = s->var < 0 ? 0 : s->var;
    s->peak *= exp2(-(double)windows / week_windows);
    uint64_t n = s->windows + windows, gap = s->gap + windows;
    s->windows = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
    s->gap = gap > UINT32_MAX ? UINT32_MAX : (uint32_t)gap;
}

void ops_series_put(ops_strbuf *b, const ops_series *s)
{
    ops_record_f(b, s->mean);
    ops_record_f(b, s->var);
    ops_record_f(b, s->peak);
    ops_record_u(b, s->windows);
    ops_record_u(b, s->gap);
    ops_record_u(b, s->gap_max);
}

ops_series ops_series_get(ops_record_reader *r)
{
    ops_series s;
    s.mean = ops_record_get_f(r);
    s.var = ops_record_get_f(r);
    s.peak = ops_record_get_f(r);
    s.windows = (uint32_t)ops_record_get_u(r);
    s.gap = (uint32_t)ops_record_get_u(r);
    s.gap_max = (uint32_t)ops_record_get_u(r);
    return s;
}
