/* Functions of a range and a number, and the ranks within a range. */
#include <math.h>

#include "coordinator/analysis/rules/eval.h"

/* The window's numbers; NULL: no memory. */
static double *numbers(rules_eval *e, const rules_window *w, size_t *ret_n)
{
    double *v = ops_arena_alloc(e->a, (w->n + 1) * sizeof *v);
    for (size_t i = 0; v != NULL && i < w->n; i++)
        if (w->v[i].h == NULL)
            v[(*ret_n)++] = w->v[i].v;
    return v;
}

ops_status rules_fn_mad_over_time(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    rules_value m;
    ops_status st = rules_eval_node(e, n->args[0], t, &m);
    if (st == OPS_OK)
        st = rules_vector(e, n, m.n, ret);
    for (size_t i = 0; st == OPS_OK && i < m.n; i++) {
        size_t count = 0;
        double *v = numbers(e, &m.w[i], &count);
        if (v == NULL)
            return rules_no_memory(e, n);
        if (count == 0)
            continue;
        const double median = rules_quantile(0.5, v, count);
        for (size_t k = 0; k < count; k++)
            v[k] = fabs(v[k] - median);
        ret->v[ret->n] =
            (rules_elem){.labels = m.w[i].labels, .v = rules_quantile(0.5, v, count), .drop = m.w[i].drop};
        st = rules_drop_name(e, n, &ret->v[ret->n++]);
    }
    return st;
}

/* Holt's linear method: a level and a trend, each a weighted mean of what is new and what was. */
static double smooth(const rules_window *w, double level_share, double trend_share)
{
    double level = w->v[0].v, trend = w->v[1].v - w->v[0].v;
    for (size_t i = 1; i < w->n; i++) {
        const double before = level;
        level = level_share * w->v[i].v + (1 - level_share) * (level + trend);
        trend = trend_share * (level - before) + (1 - trend_share) * trend;
    }
    return level;
}

ops_status rules_fn_smooth(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    rules_value m;
    double level = 0, trend = 0;
    ops_status st = rules_eval_node(e, n->args[0], t, &m);
    if (st == OPS_OK)
        st = rules_scalar_arg(e, n, 1, t, &level);
    if (st == OPS_OK)
        st = rules_scalar_arg(e, n, 2, t, &trend);
    if (st == OPS_OK && !(level > 0 && level < 1))
        return RULES_FAIL(e, n, OPS_EINVAL, "invalid smoothing factor. Expected: 0 < sf < 1, got: %f", level);
    if (st == OPS_OK && !(trend > 0 && trend < 1))
        return RULES_FAIL(e, n, OPS_EINVAL, "invalid trend factor. Expected: 0 < tf < 1, got: %f", trend);
    if (st == OPS_OK)
        st = rules_vector(e, n, m.n, ret);
    for (size_t i = 0; st == OPS_OK && i < m.n; i++) {
        rules_window w;
        st = rules_numbers_of(e, n, &m.w[i], &w);
        if (st != OPS_OK || w.n < 2)
            continue;
        ret->v[ret->n] = (rules_elem){.labels = w.labels, .v = smooth(&w, level, trend), .drop = w.drop};
        st = rules_drop_name(e, n, &ret->v[ret->n++]);
    }
    return st;
}

ops_status rules_fn_quantile_over_time(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    rules_value m;
    double q = 0;
    ops_status st = rules_scalar_arg(e, n, 0, t, &q);
    if (st == OPS_OK)
        st = rules_eval_node(e, n->args[1], t, &m);
    if (st == OPS_OK)
        st = rules_vector(e, n, m.n, ret);
    for (size_t i = 0; st == OPS_OK && i < m.n; i++) {
        size_t count = 0;
        double *v = numbers(e, &m.w[i], &count);
        if (v == NULL)
            return rules_no_memory(e, n);
        if (count == 0)
            continue;
        ret->v[ret->n] =
            (rules_elem){.labels = m.w[i].labels, .v = rules_quantile(q, v, count), .drop = m.w[i].drop};
        st = rules_drop_name(e, n, &ret->v[ret->n++]);
    }
    return st;
}

ops_status rules_fn_predict_linear(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    rules_value m;
    double ahead = 0, slope, start;
    ops_status st = rules_eval_node(e, n->args[0], t, &m);
    if (st == OPS_OK)
        st = rules_scalar_arg(e, n, 1, t, &ahead);
    if (st == OPS_OK)
        st = rules_vector(e, n, m.n, ret);
    for (size_t i = 0; st == OPS_OK && i < m.n; i++) {
        rules_window w;
        st = rules_numbers_of(e, n, &m.w[i], &w);
        if (st != OPS_OK || !rules_linear(&w, t, &slope, &start))
            continue;
        ret->v[ret->n] =
            (rules_elem){.labels = m.w[i].labels, .v = slope * ahead + start, .drop = m.w[i].drop};
        st = rules_drop_name(e, n, &ret->v[ret->n++]);
    }
    return st;
}
