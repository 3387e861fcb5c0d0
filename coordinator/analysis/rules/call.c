/* Calls: families that share a loop, and the small functions that need more than a number. */
#include <math.h>
#include <stdlib.h>

#include "coordinator/analysis/rules/eval.h"

static ops_status call_math(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    ops_status st = rules_eval_node(e, n->args[0], t, ret);
    if (st == OPS_OK)
        rules_only_numbers(ret);
    for (size_t i = 0; st == OPS_OK && i < ret->n; i++) {
        ret->v[i].v = n->func->math(ret->v[i].v);
        st = rules_drop_name(e, n, &ret->v[i]);
    }
    return st;
}

/* What the function says of one window; false in *ret_some: nothing. */
static ops_status over_one(rules_eval *e, const rules_node *n, const rules_window *w, rules_elem *x,
                           bool *ret_some)
{
    const rules_func *f = n->func;
    rules_window numbers;
    if (w->hists > 0 && f->over_hist != NULL)
        return f->over_hist(e, n, w, x, ret_some);
    ops_status st = f->any ? OPS_OK : rules_numbers_of(e, n, w, &numbers);
    const rules_window *over = f->any ? w : &numbers;
    *ret_some = st == OPS_OK && over->n > 0 && f->over(over, &x->v);
    return st;
}

static ops_status call_over(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    rules_value m;
    ops_status st = rules_eval_node(e, n->args[0], t, &m);
    if (st == OPS_OK)
        st = rules_vector(e, n, m.n, ret);
    for (size_t i = 0; st == OPS_OK && i < m.n; i++) {
        rules_elem x = {.labels = m.w[i].labels, .drop = m.w[i].drop};
        bool some = false;
        st = over_one(e, n, &m.w[i], &x, &some);
        if (st != OPS_OK || !some)
            continue;
        if (n->func->over != rules_over_last)
            st = rules_drop_name(e, n, &x);
        ret->v[ret->n++] = x;
    }
    return st;
}

static int64_t seconds(double v)
{
    return isnan(v) || fabs(v) > 1e15 ? 0 : (int64_t)v;
}

static ops_status call_date(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    static const ops_rules_labels none = {0};
    if (n->arg_n == 0) {
        ops_status st = rules_vector(e, n, 1, ret);
        if (st == OPS_OK)
            ret->v[ret->n++] = (rules_elem){.labels = &none, .v = n->func->date(seconds((double)t / 1000))};
        return st;
    }
    ops_status st = rules_eval_node(e, n->args[0], t, ret);
    if (st == OPS_OK)
        rules_only_numbers(ret);
    for (size_t i = 0; st == OPS_OK && i < ret->n; i++) {
        if (isnan(ret->v[i].v) || fabs(ret->v[i].v) > 1e15)
            return RULES_FAIL(e, n, OPS_ERANGE, "%s() of a time that no calendar has", n->func->name);
        ret->v[i].v = n->func->date(seconds(ret->v[i].v));
        st = rules_drop_name(e, n, &ret->v[i]);
    }
    return st;
}

ops_status rules_eval_call(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    ops_status st = OPS_OK;
    switch (n->func->kind) {
    case FN_MATH:
        st = call_math(e, n, t, ret);
        break;
    case FN_OVER:
        st = call_over(e, n, t, ret);
        break;
    case FN_DATE:
        st = call_date(e, n, t, ret);
        break;
    case FN_SPECIAL:
        st = n->func->special(e, n, t, ret);
        break;
    }
    return st == OPS_OK ? rules_unique(e, n, ret) : st;
}

ops_status rules_fn_time(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    (void)e;
    (void)n;
    *ret = (rules_value){.type = OPS_RULES_SCALAR, .num = (double)t / 1000};
    return OPS_OK;
}

ops_status rules_fn_pi(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    (void)e;
    (void)n;
    (void)t;
    *ret = (rules_value){.type = OPS_RULES_SCALAR, .num = M_PI};
    return OPS_OK;
}

ops_status rules_fn_scalar(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    rules_value v;
    ops_status st = rules_eval_node(e, n->args[0], t, &v);
    if (st == OPS_OK) {
        rules_only_numbers(&v);
        *ret = (rules_value){.type = OPS_RULES_SCALAR, .num = v.n == 1 ? v.v[0].v : (double)NAN};
    }
    return st;
}

ops_status rules_fn_vector(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    static const ops_rules_labels none = {0};
    double v = 0;
    ops_status st = rules_scalar_arg(e, n, 0, t, &v);
    if (st == OPS_OK)
        st = rules_vector(e, n, 1, ret);
    if (st == OPS_OK)
        ret->v[ret->n++] = (rules_elem){.labels = &none, .v = v};
    return st;
}

/* NaN wins, as in Go's math.Max and math.Min. */
static double larger(double a, double b)
{
    return isnan(a) || isnan(b) ? (double)NAN : a > b ? a : b;
}
static double smaller(double a, double b)
{
    return isnan(a) || isnan(b) ? (double)NAN : a < b ? a : b;
}

ops_status rules_fn_clamp(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    double low = (double)-INFINITY, high = (double)INFINITY;
    bool max_only = strcmp(n->func->name, "clamp_max") == 0;
    ops_status st = rules_eval_node(e, n->args[0], t, ret);
    if (st == OPS_OK)
        st = rules_scalar_arg(e, n, 1, t, max_only ? &high : &low);
    if (st == OPS_OK && n->arg_n == 3)
        st = rules_scalar_arg(e, n, 2, t, &high);
    if (st == OPS_OK && high < low)
        ret->n = 0;
    if (st == OPS_OK)
        rules_only_numbers(ret);
    for (size_t i = 0; st == OPS_OK && i < ret->n; i++) {
        ret->v[i].v = larger(low, smaller(high, ret->v[i].v));
        st = rules_drop_name(e, n, &ret->v[i]);
    }
    return st;
}

ops_status rules_fn_round(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    double to = 1;
    ops_status st = rules_eval_node(e, n->args[0], t, ret);
    if (st == OPS_OK && n->arg_n == 2)
        st = rules_scalar_arg(e, n, 1, t, &to);
    double inverse = 1 / to;
    if (st == OPS_OK)
        rules_only_numbers(ret);
    for (size_t i = 0; st == OPS_OK && i < ret->n; i++) {
        ret->v[i].v = floor(ret->v[i].v * inverse + 0.5) / inverse;
        st = rules_drop_name(e, n, &ret->v[i]);
    }
    return st;
}

ops_status rules_fn_timestamp(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    bool own = n->args[0]->kind == NODE_SELECTOR;
    ops_status st = rules_eval_node(e, n->args[0], t, ret);
    for (size_t i = 0; st == OPS_OK && i < ret->n; i++) {
        ret->v[i].v = (double)(own ? ret->v[i].t_ms : t) / 1000;
        ret->v[i].h = NULL;
        st = rules_drop_name(e, n, &ret->v[i]);
    }
    return st;
}

static int by_value(const void *a, const void *b)
{
    double x = ((const rules_elem *)a)->v, y = ((const rules_elem *)b)->v;
    if (isnan(x) || isnan(y))
        return isnan(x) - isnan(y);
    return x != y ? (x > y) - (x < y)
                  : ops_rules_labels_cmp(((const rules_elem *)a)->labels, ((const rules_elem *)b)->labels);
}
static int by_value_desc(const void *a, const void *b)
{
    double x = ((const rules_elem *)a)->v, y = ((const rules_elem *)b)->v;
    return isnan(x) || isnan(y) || x == y ? by_value(a, b) : -by_value(a, b);
}

ops_status rules_fn_sort(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    ops_status st = rules_eval_node(e, n->args[0], t, ret);
    if (st == OPS_OK)
        rules_only_numbers(ret);
    if (st == OPS_OK)
        qsort(ret->v, ret->n, sizeof *ret->v, n->func->name[4] == '\0' ? by_value : by_value_desc);
    return st;
}
