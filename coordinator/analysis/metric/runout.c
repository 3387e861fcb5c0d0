#include "coordinator/analysis/metric/runout.h"

#include <math.h>
#include <string.h>

#include "coordinator/analysis/metric/episode.h"

#define MEMORY    240.0
#define Z95       1.96
#define VALUE_MAX 1e30
/* More alike than this, neighbours tell nothing of their own: the interval would need no end. */
#define ALIKE_MAX 0.99
/* Beyond ten years nothing is told. */
#define AHEAD_MAX_S (10 * 365.25 * 86400)

void ops_runout_init(ops_runout *r, double memory)
{
    memset(r, 0, sizeof *r);
    r->memory = memory >= OPS_RUNOUT_SAMPLES_MIN ? memory : MEMORY;
}

typedef struct line {
    double at, slope; /* at the newest sample, per second */
    /* Of one leftover's variance: that of the slope, of the value, and of both together. */
    double var_slope, var_at, cov;
} line;

static bool fit(const ops_runout *r, line *ret)
{
    if (r->n <= 0)
        return false;
    double mt = r->t / r->n, mx = r->x / r->n, tt = r->tt - r->n * mt * mt;
    if (!(tt > 0))
        return false;
    ret->slope = (r->tx - r->n * mt * mx) / tt;
    ret->at = mx - ret->slope * mt;
    double t2 = r->t2 - mt * r->n2, tt2 = r->tt2 - mt * (2 * r->t2 - mt * r->n2);
    ret->var_slope = fmax(tt2, 0) / (tt * tt);
    ret->var_at = r->n2 / (r->n * r->n) - 2 * mt * t2 / (r->n * tt) + mt * mt * ret->var_slope;
    ret->cov = t2 / (r->n * tt) - mt * ret->var_slope;
    return true;
}

/* Moves the zero of time to the newest sample and fades the past. */
static void fade(ops_runout *r, double step_s)
{
    double keep = 1 - 1 / r->memory;
    r->tx -= step_s * r->x;
    r->tt += step_s * (step_s * r->n - 2 * r->t);
    r->t -= step_s * r->n;
    r->tt2 += step_s * (step_s * r->n2 - 2 * r->t2);
    r->t2 -= step_s * r->n2;
    double *const sums[] = {&r->n, &r->t, &r->x, &r->tt, &r->tx, &r->left_sq, &r->left_next};
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
        *sums[i] *= keep;
    double *const squares[] = {&r->n2, &r->t2, &r->tt2};
    for (size_t i = 0; i < sizeof squares / sizeof squares[0]; i++)
        *squares[i] *= keep * keep;
}

void ops_runout_add(ops_runout *r, int64_t time_ns, double value)
{
    if (!isfinite(value) || fabs(value) > VALUE_MAX || (r->samples > 0 && time_ns <= r->last_ns))
        return;
    if (r->samples == 0) {
        r->base = value;
    } else {
        fade(r, (double)ops_since(time_ns, r->last_ns) / 1e9);
    }
    double x = value - r->base;
    line l;
    /* What the line expected of this sample, before it bends towards it. */
    if (r->samples >= OPS_RUNOUT_SAMPLES_MIN / 2 && fit(r, &l)) {
        double left = x - l.at;
        r->left_next += left * r->last_left;
        r->left_sq += left * left;
        r->last_left = left;
    }
    r->n += 1;
    r->n2 += 1;
    r->x += x;
    r->last_ns = time_ns;
    r->samples++;
}

/* Variance of a leftover, and how many samples one that stands alone is worth. */
static double variance(const ops_runout *r, double *ret_alike)
{
    double alike = r->left_sq > 0 ? r->left_next / r->left_sq : 0;
    alike = alike < 0 ? 0 : alike > ALIKE_MAX ? ALIKE_MAX : alike;
    *ret_alike = (1 + alike) / (1 - alike);
    double n = r->n < (double)r->samples - OPS_RUNOUT_SAMPLES_MIN / 2.0
                   ? r->n
                   : (double)r->samples - OPS_RUNOUT_SAMPLES_MIN / 2.0;
    return r->left_sq / fmax(n, 1);
}

/* Fieller: all s at which at + slope * s may still be the limit, within z standard errors. */
static void interval(const line *l, double limit, double var, ops_runout_forecast *ret)
{
    double z2 = Z95 * Z95, gap = limit - l->at;
    double vs = var * l->var_slope, va = var * l->var_at, cov = var * l->cov;
    double a = l->slope * l->slope - z2 * vs;
    double b = gap * l->slope + z2 * cov;
    double c = gap * gap - z2 * va;
    double d = b * b - a * c;
    double root = d > 0 ? sqrt(d) : 0;
    ret->low_s = fmax(0, a > 0 ? (b - root) / a : 0);
    ret->high_s = a > 0 ? fmax(ret->low_s, (b + root) / a) : INFINITY;
}

void ops_runout_ask(const ops_runout *r, double limit, bool falling, ops_runout_forecast *ret)
{
    line l;
    double alike = 1;
    memset(ret, 0, sizeof *ret);
    if (r->samples < OPS_RUNOUT_SAMPLES_MIN || !isfinite(limit) || !fit(r, &l))
        return;
    double sign = falling ? -1 : 1, to = sign * (limit - r->base);
    l.at *= sign;
    l.slope *= sign;
    ret->per_s = sign * l.slope;
    ret->reached = l.at >= to;
    double var = variance(r, &alike) * alike, error = sqrt(fmax(var * l.var_slope, 0));
    ret->sure = error > 0 ? l.slope / error : 0;
    if (ret->reached || !(l.slope > Z95 * sqrt(var * l.var_slope)))
        return;
    ret->in_s = (to - l.at) / l.slope;
    interval(&l, to, var, ret);
    ret->low_s = fmin(ret->low_s, ret->in_s);
    ret->high_s = fmax(ret->high_s, ret->in_s);
    ret->certain = ret->in_s < AHEAD_MAX_S;
}

static void put_time(ops_strbuf *b, double s)
{
    if (!(s < AHEAD_MAX_S))
        ops_strbuf_str(b, "years");
    else if (s < 120)
        ops_strbuf_printf(b, "%.0f s", s);
    else if (s < 7200)
        ops_strbuf_printf(b, "%.0f min", s / 60);
    else if (s < 2 * 86400)
        ops_strbuf_printf(b, "%.0f h %.0f min", floor(s / 3600), floor(fmod(s, 3600) / 60));
    else
        ops_strbuf_printf(b, "%.1f days", s / 86400);
}

void ops_runout_words(const ops_runout_forecast *f, ops_strbuf *ret)
{
    if (f->reached) {
        ops_strbuf_str(ret, "full now");
    } else if (!f->certain) {
        ops_strbuf_str(ret, "not filling");
    } else {
        ops_strbuf_str(ret, "full in ");
        put_time(ret, f->in_s);
        ops_strbuf_str(ret, ", between ");
        put_time(ret, f->low_s);
        ops_strbuf_str(ret, " and ");
        put_time(ret, f->high_s);
    }
}
