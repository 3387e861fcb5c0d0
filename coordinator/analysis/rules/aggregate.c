/* Aggregations over the elements of a vector. */
#include <math.h>
#include <stdlib.h>

#include "base/text/utf8.h"
#include "coordinator/analysis/rules/aggregate_internal.h"

static double fold_variance(const double *v, size_t n)
{
    double mean = 0, m2 = 0;
    for (size_t i = 0; i < n; i++) { /* Welford 1962 */
        if (!isfinite(v[i]))
            return (double)NAN;
        double d = v[i] - mean;
        mean += d / (double)(i + 1);
        m2 += d * (v[i] - mean);
    }
    return m2 / (double)n;
}

static double fold_extreme(const double *v, size_t n, bool max)
{
    double r = v[0];
    for (size_t i = 1; i < n; i++)
        if (isnan(r) || (max ? v[i] > r : v[i] < r))
            r = v[i];
    return r;
}

static double fold(const rules_node *node, double *v, size_t n, double q)
{
    rules_sum s = {0};
    switch (node->agg) {
    case AGG_SUM:
        for (size_t i = 0; i < n; i++)
            rules_sum_add(&s, v[i]);
        return rules_sum_get(&s);
    case AGG_AVG:
        return rules_mean(v, n);
    case AGG_MIN:
    case AGG_MAX:
        return fold_extreme(v, n, node->agg == AGG_MAX);
    case AGG_COUNT:
        return (double)n;
    case AGG_GROUP:
        return 1;
    case AGG_STDDEV:
        return sqrt(fold_variance(v, n));
    case AGG_STDVAR:
        return fold_variance(v, n);
    case AGG_QUANTILE:
        return rules_quantile(q, v, n);
    default:
        return (double)NAN;
    }
}

/* Puts elements of one group beside each other, groups in the order of their first element. */
static ops_status split(rules_eval *e, const rules_node *n, rules_value *v, rules_group **ret, size_t *ret_n)
{
    rules_table t;
    size_t *of = ops_arena_alloc(e->a, (v->n + 1) * sizeof *of), count = 0, at = 0;
    rules_group *g = ops_arena_alloc(e->a, (v->n + 1) * sizeof *g);
    rules_elem *sorted = ops_arena_alloc(e->a, (v->n + 1) * sizeof *sorted);
    if (of == NULL || g == NULL || sorted == NULL || !rules_table_init(&t, e->a, v->n))
        return rules_no_memory(e, n);
    for (size_t i = 0; i < v->n; i++) {
        bool fresh = true;
        const ops_rules_labels *l =
            n->without ? ops_rules_labels_drop(e->a, v->v[i].labels, n->labels.v, n->labels.n, rules_meta(e))
                       : ops_rules_labels_keep(e->a, v->v[i].labels, n->labels.v, n->labels.n);
        if (l == NULL)
            return rules_no_memory(e, n);
        of[i] = rules_table_put(&t, l, count, &fresh);
        if (fresh)
            g[count++] = (rules_group){.labels = l, .drop = v->v[i].drop};
        g[of[i]].n++;
    }
    for (size_t i = 0; i < count; i++) {
        g[i].from = at;
        at += g[i].n;
        g[i].n = 0;
    }
    for (size_t i = 0; i < v->n; i++)
        sorted[g[of[i]].from + g[of[i]].n++] = v->v[i];
    v->v = sorted;
    *ret = g;
    *ret_n = count;
    return OPS_OK;
}

static int best_first(const void *a, const void *b)
{
    double x = ((const rules_elem *)a)->v, y = ((const rules_elem *)b)->v;
    if (isnan(x) || isnan(y))
        return isnan(x) - isnan(y);
    return x != y ? (x > y ? -1 : 1)
                  : ops_rules_labels_cmp(((const rules_elem *)a)->labels, ((const rules_elem *)b)->labels);
}
static int worst_first(const void *a, const void *b)
{
    double x = ((const rules_elem *)a)->v, y = ((const rules_elem *)b)->v;
    return isnan(x) || isnan(y) || x == y ? best_first(a, b) : -best_first(a, b);
}

ops_status rules_agg_check_k(rules_eval *e, const rules_node *n, double k)
{
    static const char *const names[] = {
        [AGG_TOPK] = "topk", [AGG_BOTTOMK] = "bottomk", [AGG_LIMITK] = "limitk"};
    if (!(isnan(k) || k >= 9223372036854775808.0 || k <= -9223372036854775808.0))
        return OPS_OK;
    return RULES_FAIL(e, n, OPS_EINVAL, "%s of how many: the number does not fit", names[n->agg]);
}

static ops_status pick(rules_eval *e, const rules_node *n, const rules_value *v, const rules_group *g,
                       size_t groups, double k, rules_value *ret)
{
    ops_status st = rules_vector(e, n, v->n, ret);
    if (st != OPS_OK)
        return st;
    st = rules_agg_check_k(e, n, k);
    if (st != OPS_OK)
        return st;
    for (size_t i = 0; i < groups && k >= 1; i++) {
        size_t most = k < (double)g[i].n ? (size_t)k : g[i].n;
        qsort(v->v + g[i].from, g[i].n, sizeof *v->v, n->agg == AGG_TOPK ? best_first : worst_first);
        memcpy(ret->v + ret->n, v->v + g[i].from, most * sizeof *v->v);
        ret->n += most;
    }
    return OPS_OK;
}

static bool label_ok(ops_slice s)
{
    return s.n > 0 && ops_slice_find_char(s, '\0') < 0 && ops_utf8_valid(s);
}

static ops_status count_values(rules_eval *e, const rules_node *n, const rules_value *v, const rules_group *g,
                               size_t groups, ops_slice label, rules_value *ret)
{
    rules_table t;
    ops_status st = rules_vector(e, n, v->n, ret);
    if (st != OPS_OK)
        return st;
    if (!label_ok(label))
        return RULES_FAIL(e, n, OPS_EINVAL, "invalid label name \"" OPS_SLICE_FMT "\" in count_values",
                          OPS_SLICE_ARG(label));
    if (!rules_table_init(&t, e->a, v->n))
        return rules_no_memory(e, n);
    for (size_t i = 0; i < groups; i++)
        for (size_t k = 0; k < g[i].n; k++) {
            ops_strbuf b;
            bool fresh = true;
            ops_strbuf_init(&b, 1 << 20);
            const rules_elem *x = &v->v[g[i].from + k];
            if (x->h != NULL)
                ops_rules_hist_print(x->h, &b);
            else
                ops_rules_number(x->v, true, &b);
            ops_slice text = ops_arena_dup(e->a, ops_strbuf_get(&b));
            ops_strbuf_done(&b);
            const ops_rules_labels *l =
                text.p != NULL ? ops_rules_labels_with(e->a, g[i].labels, label, text) : NULL;
            if (l == NULL)
                return rules_no_memory(e, n);
            size_t at = rules_table_put(&t, l, ret->n, &fresh);
            if (fresh)
                ret->v[ret->n++] = (rules_elem){.labels = l, .drop = g[i].drop};
            ret->v[at].v += 1;
        }
    return OPS_OK;
}

/* Sum and mean of histograms; a group of both kinds, or of bounds that do not fit each other, has none. */
static ops_status fold_hists(rules_eval *e, const rules_node *n, const rules_elem *v, size_t count,
                             rules_value *ret, const rules_group *g)
{
    const ops_rules_hist **h = ops_arena_alloc(e->a, count * sizeof(*h)), *sum = NULL;
    if (h == NULL)
        return rules_no_memory(e, n);
    for (size_t i = 0; i < count; i++) {
        if (v[i].h == NULL)
            return OPS_OK;
        h[i] = v[i].h;
    }
    ops_status st = rules_hist_sum(e, n, h, count, n->agg == AGG_AVG, &sum);
    if (st == OPS_OK && sum != NULL)
        ret->v[ret->n++] = (rules_elem){.labels = g->labels, .drop = g->drop, .h = sum};
    return st;
}

static ops_status fold_group(rules_eval *e, const rules_node *n, const rules_elem *v, const rules_group *g,
                             double q, double *values, rules_value *ret)
{
    const bool hists_too = n->agg == AGG_COUNT || n->agg == AGG_GROUP;
    size_t count = 0, hists = 0;
    for (size_t k = 0; k < g->n; k++) {
        hists += v[k].h != NULL;
        if (v[k].h == NULL || hists_too)
            values[count++] = v[k].v;
    }
    if (hists > 0 && (n->agg == AGG_SUM || n->agg == AGG_AVG))
        return fold_hists(e, n, v, g->n, ret, g);
    if (count > 0) /* the others leave histograms out */
        ret->v[ret->n++] = (rules_elem){.labels = g->labels, .v = fold(n, values, count, q), .drop = g->drop};
    return OPS_OK;
}

ops_status rules_eval_aggregate(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    rules_value v, p = {0};
    rules_group *g = NULL;
    size_t groups = 0;
    ops_status st = n->arg_n == 2 ? rules_eval_node(e, n->args[0], t, &p) : OPS_OK;
    if (st == OPS_OK)
        st = rules_eval_node(e, n->args[n->arg_n - 1], t, &v);
    if (st == OPS_OK && (n->agg == AGG_TOPK || n->agg == AGG_BOTTOMK))
        rules_only_numbers(&v);
    if (st == OPS_OK)
        st = split(e, n, &v, &g, &groups);
    if (st != OPS_OK)
        return st;
    if (n->agg == AGG_TOPK || n->agg == AGG_BOTTOMK)
        return pick(e, n, &v, g, groups, p.num, ret);
    if (n->agg == AGG_LIMITK || n->agg == AGG_LIMIT_RATIO)
        return rules_agg_limit(e, n, &v, g, groups, p.num, ret);
    if (n->agg == AGG_COUNT_VALUES)
        return count_values(e, n, &v, g, groups, p.str, ret);
    double *values = ops_arena_alloc(e->a, (v.n + 1) * sizeof *values);
    st = rules_vector(e, n, groups, ret);
    if (st != OPS_OK || values == NULL)
        return st != OPS_OK ? st : rules_no_memory(e, n);
    for (size_t i = 0; st == OPS_OK && i < groups; i++)
        st = fold_group(e, n, v.v + g[i].from, &g[i], p.num, values, ret);
    return st;
}
