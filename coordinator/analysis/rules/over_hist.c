/* What is computed of histograms within a range. Where numbers and histograms mix, most have no result. */
#include <math.h>

#include "coordinator/analysis/rules/eval.h"
#include "coordinator/analysis/rules/hist_internal.h"

static ops_status settled(rules_eval *e, const rules_node *n, ops_status st)
{
    return st == OPS_ENOMEM ? rules_no_memory(e, n) : OPS_OK;
}

static bool reset(rules_eval *e, const ops_rules_hist *now, const ops_rules_hist *before, ops_status *st)
{
    bool full = false, yes = rules_hist_reset(e->a, now, before, &full);
    if (full)
        *st = OPS_ENOMEM;
    return yes;
}

/* Are all of one kind, exponential or with custom bounds, and what is the coarsest resolution? The first sample counts only when
 * counting did not begin anew behind it. */
static bool fit(const rules_window *w, const ops_rules_hist *first, bool counter, int32_t *ret_schema)
{
    const bool custom = ops_rules_hist_custom(first);
    *ret_schema = first->schema;
    for (size_t i = 1; i < w->n; i++) {
        if (!counter && i + 1 < w->n)
            continue;
        if (ops_rules_hist_custom(w->v[i].h) != custom)
            return false;
        if (w->v[i].h->schema < *ret_schema)
            *ret_schema = w->v[i].h->schema;
    }
    return true;
}

/* The growth from the first to the last; *ret NULL: they do not fit each other. */
static ops_status growth(rules_eval *e, const rules_window *w, bool counter, const ops_rules_hist **ret)
{
    const ops_rules_hist *last = w->v[w->n - 1].h, *before = w->v[0].h, *h;
    ops_rules_hist none;
    int32_t schema;
    ops_status st = OPS_OK;
    *ret = NULL;
    if (counter && reset(e, w->v[1].h, before, &st)) {
        none = (ops_rules_hist){
            .schema = w->v[1].h->schema, .bounds = w->v[1].h->bounds, .bound_n = w->v[1].h->bound_n};
        before = &none;
    }
    if (st != OPS_OK || !fit(w, before, counter, &schema))
        return st;
    if ((h = rules_hist_lower(e->a, last, schema)) == NULL)
        return OPS_ENOMEM;
    st = ops_rules_hist_add(e->a, h, before, -1, &h);
    for (size_t i = 1; counter && st == OPS_OK && i < w->n; i++) {
        if (reset(e, w->v[i].h, before, &st))
            st = ops_rules_hist_add(e->a, h, before, 1, &h);
        before = w->v[i].h;
    }
    if (st == OPS_OK)
        *ret = h;
    return st;
}

ops_status rules_hist_over_rate(rules_eval *e, const rules_node *n, const rules_window *w, rules_elem *x,
                                bool *ret_some)
{
    const bool delta = n->func->over == rules_over_delta, rate = n->func->over == rules_over_rate;
    if (w->hists < w->n || w->n < 2)
        return OPS_OK;
    ops_status st = growth(e, w, !delta, &x->h);
    if (st != OPS_OK || x->h == NULL)
        return settled(e, n, st);
    ops_rules_hist *h = (ops_rules_hist *)(uintptr_t)rules_hist_times(
        e->a, x->h, rules_rate_factor(w, (double)INFINITY, rate));
    if (h == NULL)
        return rules_no_memory(e, n);
    h->hint = OPS_RULES_HINT_GAUGE;
    x->h = h;
    *ret_some = true;
    return OPS_OK;
}

ops_status rules_hist_over_irate(rules_eval *e, const rules_node *n, const rules_window *w, rules_elem *x,
                                 bool *ret_some)
{
    const bool rate = n->func->over == rules_over_irate;
    if (w->n < 2)
        return OPS_OK;
    const ops_rules_sample *a = &w->v[w->n - 2], *z = &w->v[w->n - 1];
    const rules_window two = {.v = a, .n = 2};
    if (a->h == NULL && z->h == NULL) {
        *ret_some = n->func->over(&two, &x->v);
        return OPS_OK;
    }
    if (a->h == NULL || z->h == NULL)
        return OPS_OK;
    ops_status st = OPS_OK;
    x->h = z->h;
    if (!rate || !reset(e, z->h, a->h, &st))
        st = ops_rules_hist_add(e->a, z->h, a->h, -1, &x->h);
    if (st != OPS_OK)
        return settled(e, n, st);
    x->h = rules_hist_divide(e->a, x->h, rate ? (double)(z->t_ms - a->t_ms) / 1000 : 1);
    if (x->h == NULL)
        return rules_no_memory(e, n);
    ((ops_rules_hist *)(uintptr_t)x->h)->hint = OPS_RULES_HINT_GAUGE;
    *ret_some = true;
    return OPS_OK;
}

/* The mean as it moves with each histogram: sums of many large ones would leave the numbers' range. */
static ops_status move_mean(rules_eval *e, const ops_rules_hist *mean, const ops_rules_hist *h, double count,
                            const ops_rules_hist **ret)
{
    const ops_rules_hist *left = rules_hist_divide(e->a, h, count),
                         *right = rules_hist_divide(e->a, mean, count), *step = NULL;
    if (left == NULL || right == NULL)
        return OPS_ENOMEM;
    ops_status st = ops_rules_hist_add(e->a, left, right, -1, &step);
    return st == OPS_OK ? ops_rules_hist_add(e->a, mean, step, 1, ret) : st;
}

ops_status rules_hist_sum(rules_eval *e, const rules_node *n, const ops_rules_hist *const *v, size_t count,
                          bool mean, const ops_rules_hist **ret)
{
    const ops_rules_hist *h = v[0];
    ops_status st = OPS_OK;
    for (size_t i = 1; st == OPS_OK && i < count; i++)
        st = mean ? move_mean(e, h, v[i], (double)(i + 1), &h) : ops_rules_hist_add(e->a, h, v[i], 1, &h);
    if (st == OPS_OK && (h = ops_rules_hist_compact(e->a, h)) == NULL)
        st = OPS_ENOMEM;
    *ret = st == OPS_OK ? h : NULL;
    return settled(e, n, st);
}

ops_status rules_hist_over_sum(rules_eval *e, const rules_node *n, const rules_window *w, rules_elem *x,
                               bool *ret_some)
{
    if (w->hists < w->n)
        return OPS_OK;
    const ops_rules_hist **v = ops_arena_alloc(e->a, w->n * sizeof(*v));
    if (v == NULL)
        return rules_no_memory(e, n);
    for (size_t i = 0; i < w->n; i++)
        v[i] = w->v[i].h;
    ops_status st = rules_hist_sum(e, n, v, w->n, n->func->over == rules_over_avg, &x->h);
    *ret_some = st == OPS_OK && x->h != NULL;
    return st;
}

ops_status rules_hist_over_last(rules_eval *e, const rules_node *n, const rules_window *w, rules_elem *x,
                                bool *ret_some)
{
    (void)e;
    (void)n;
    x->v = w->v[w->n - 1].v;
    x->h = w->v[w->n - 1].h;
    *ret_some = true;
    return OPS_OK;
}

ops_status rules_hist_over_changes(rules_eval *e, const rules_node *n, const rules_window *w, rules_elem *x,
                                   bool *ret_some)
{
    const bool resets = n->func->over == rules_over_resets;
    ops_status st = OPS_OK;
    x->v = 0;
    for (size_t i = 1; st == OPS_OK && i < w->n; i++) {
        const ops_rules_sample *a = &w->v[i - 1], *b = &w->v[i];
        double one = 0;
        if (a->h == NULL && b->h == NULL)
            (void)n->func->over(&(rules_window){.v = a, .n = 2}, &one);
        else if (a->h == NULL || b->h == NULL)
            one = 1;
        else
            one = resets ? reset(e, b->h, a->h, &st) : !ops_rules_hist_eq(a->h, b->h);
        x->v += one;
    }
    *ret_some = st == OPS_OK;
    return settled(e, n, st);
}
