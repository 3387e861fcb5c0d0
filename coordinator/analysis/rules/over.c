/* What is computed of the samples of one series within a range. */
#include <math.h>

#include "coordinator/analysis/rules/eval.h"

/* Rates as Prometheus extrapolates them: to the range's edges when samples come within 1.1 of their mean distance of them, else by
 * half of that distance; a counter not below where it would have been zero. */
double rules_rate_factor(const rules_window *w, double to_zero_s, bool rate)
{
    const ops_rules_sample *a = &w->v[0], *z = &w->v[w->n - 1];
    double span = (double)(z->t_ms - a->t_ms) / 1000, mean = span / (double)(w->n - 1);
    double before = (double)(a->t_ms - w->from_ms) / 1000, behind = (double)(w->to_ms - z->t_ms) / 1000;
    if (before >= mean * 1.1)
        before = mean / 2;
    if (to_zero_s < before)
        before = to_zero_s;
    if (behind >= mean * 1.1)
        behind = mean / 2;
    double factor = (span + before + behind) / span;
    return rate ? factor / ((double)(w->to_ms - w->from_ms) / 1000) : factor;
}

bool rules_extrapolated(const rules_window *w, bool counter, bool rate, double *ret)
{
    if (w->n < 2)
        return false;
    const ops_rules_sample *a = &w->v[0], *z = &w->v[w->n - 1];
    double gain = z->v - a->v, to_zero = (double)INFINITY;
    for (size_t i = 1; counter && i < w->n; i++)
        if (w->v[i].v < w->v[i - 1].v)
            gain += w->v[i - 1].v;
    if (counter && gain > 0 && a->v >= 0)
        to_zero = (double)(z->t_ms - a->t_ms) / 1000 * (a->v / gain);
    *ret = gain * rules_rate_factor(w, to_zero, rate);
    return true;
}

ops_status rules_numbers_of(rules_eval *e, const rules_node *n, const rules_window *w, rules_window *ret)
{
    *ret = *w;
    if (w->hists == 0)
        return OPS_OK;
    ops_rules_sample *v = ops_arena_alloc(e->a, (w->n + 1) * sizeof *v);
    if (v == NULL)
        return rules_no_memory(e, n);
    ret->v = v;
    ret->n = ret->hists = 0;
    for (size_t i = 0; i < w->n; i++)
        if (w->v[i].h == NULL)
            v[ret->n++] = w->v[i];
    return OPS_OK;
}

bool rules_over_rate(const rules_window *w, double *ret)
{
    return rules_extrapolated(w, true, true, ret);
}
bool rules_over_increase(const rules_window *w, double *ret)
{
    return rules_extrapolated(w, true, false, ret);
}
bool rules_over_delta(const rules_window *w, double *ret)
{
    return rules_extrapolated(w, false, false, ret);
}

bool rules_over_irate(const rules_window *w, double *ret)
{
    if (w->n < 2)
        return false;
    const ops_rules_sample *a = &w->v[w->n - 2], *z = &w->v[w->n - 1];
    *ret = (z->v < a->v ? z->v : z->v - a->v) / ((double)(z->t_ms - a->t_ms) / 1000);
    return true;
}
bool rules_over_idelta(const rules_window *w, double *ret)
{
    if (w->n < 2)
        return false;
    *ret = w->v[w->n - 1].v - w->v[w->n - 2].v;
    return true;
}

/* Least squares, x in seconds from at_ms. */
bool rules_linear(const rules_window *w, int64_t at_ms, double *ret_slope, double *ret_intercept)
{
    rules_sum sx = {0}, sy = {0}, sxy = {0}, sxx = {0};
    double n = (double)w->n;
    bool constant = true;
    if (w->n < 2)
        return false;
    for (size_t i = 0; i < w->n; i++) {
        double x = (double)(w->v[i].t_ms - at_ms) / 1000, y = w->v[i].v;
        constant = constant && y == w->v[0].v;
        rules_sum_add(&sx, x);
        rules_sum_add(&sy, y);
        rules_sum_add(&sxy, x * y);
        rules_sum_add(&sxx, x * x);
    }
    if (constant) {
        *ret_slope = isinf(w->v[0].v) ? (double)NAN : 0;
        *ret_intercept = isinf(w->v[0].v) ? (double)NAN : w->v[0].v;
        return true;
    }
    double x = rules_sum_get(&sx), y = rules_sum_get(&sy);
    double cov = rules_sum_get(&sxy) - x * y / n, var = rules_sum_get(&sxx) - x * x / n;
    *ret_slope = cov / var;
    *ret_intercept = y / n - *ret_slope * x / n;
    return true;
}

bool rules_over_deriv(const rules_window *w, double *ret)
{
    double unused;
    return w->n >= 2 && rules_linear(w, w->v[0].t_ms, ret, &unused);
}

bool rules_over_sum(const rules_window *w, double *ret)
{
    rules_sum s = {0};
    for (size_t i = 0; i < w->n; i++)
        rules_sum_add(&s, w->v[i].v);
    *ret = rules_sum_get(&s);
    return true;
}
bool rules_over_avg(const rules_window *w, double *ret)
{
    rules_sum s = {0}, m = {0};
    bool finite = true;
    for (size_t i = 0; i < w->n; i++) {
        rules_sum_add(&s, w->v[i].v);
        finite = finite && isfinite(w->v[i].v);
    }
    *ret = s.s / (double)w->n + s.c / (double)w->n;
    if (!isinf(s.s) || !finite)
        return true;
    for (size_t i = 0; i < w->n; i++)
        rules_sum_add(&m, w->v[i].v / (double)w->n);
    *ret = rules_sum_get(&m);
    return true;
}
static bool extreme(const rules_window *w, bool max, double *ret)
{
    *ret = w->v[0].v;
    for (size_t i = 1; i < w->n; i++)
        if (isnan(*ret) || (max ? w->v[i].v > *ret : w->v[i].v < *ret))
            *ret = w->v[i].v;
    return true;
}
bool rules_over_min(const rules_window *w, double *ret)
{
    return extreme(w, false, ret);
}
bool rules_over_max(const rules_window *w, double *ret)
{
    return extreme(w, true, ret);
}
bool rules_over_count(const rules_window *w, double *ret)
{
    *ret = (double)w->n;
    return true;
}
bool rules_over_present(const rules_window *w, double *ret)
{
    (void)w;
    *ret = 1;
    return true;
}
bool rules_over_last(const rules_window *w, double *ret)
{
    *ret = w->v[w->n - 1].v;
    return true;
}
bool rules_over_stdvar(const rules_window *w, double *ret)
{
    rules_sum mean = {0}, m2 = {0};
    for (size_t i = 0; i < w->n; i++) {
        double d = w->v[i].v - rules_sum_get(&mean);
        rules_sum_add(&mean, d / (double)(i + 1));
        rules_sum_add(&m2, d * (w->v[i].v - rules_sum_get(&mean)));
    }
    *ret = (m2.s + m2.c) / (double)w->n;
    return true;
}
bool rules_over_stddev(const rules_window *w, double *ret)
{
    bool some = rules_over_stdvar(w, ret);
    *ret = sqrt(*ret);
    return some;
}
bool rules_over_changes(const rules_window *w, double *ret)
{
    *ret = 0;
    for (size_t i = 1; i < w->n; i++)
        *ret += w->v[i].v != w->v[i - 1].v && !(isnan(w->v[i].v) && isnan(w->v[i - 1].v));
    return true;
}
bool rules_over_resets(const rules_window *w, double *ret)
{
    *ret = 0;
    for (size_t i = 1; i < w->n; i++)
        *ret += w->v[i].v < w->v[i - 1].v;
    return true;
}

bool rules_over_ts_of_last(const rules_window *w, double *ret)
{
    *ret = (double)w->v[w->n - 1].t_ms / 1000;
    return true;
}
/* Of equal ones the last. */
static bool time_of(const rules_window *w, bool max, double *ret)
{
    size_t at = 0;
    for (size_t i = 1; i < w->n; i++)
        if (isnan(w->v[at].v) || (max ? w->v[i].v >= w->v[at].v : w->v[i].v <= w->v[at].v))
            at = i;
    *ret = (double)w->v[at].t_ms / 1000;
    return true;
}
bool rules_over_ts_of_min(const rules_window *w, double *ret)
{
    return time_of(w, false, ret);
}
bool rules_over_ts_of_max(const rules_window *w, double *ret)
{
    return time_of(w, true, ret);
}
