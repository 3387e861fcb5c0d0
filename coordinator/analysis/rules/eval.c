/* A tree at one instant. Every node is asked per instant; a range asks the tree once a step, a subquery once a step of its own. */
#include "coordinator/analysis/rules/eval.h"
#include "coordinator/analysis/rules/hist_internal.h"

ops_status rules_no_memory(rules_eval *e, const rules_node *n)
{
    return RULES_FAIL(e, n, OPS_ETOOBIG, "the query needs more than its %zu bytes of working memory",
                      e->lim.bytes_max);
}

ops_status rules_vector(rules_eval *e, const rules_node *n, size_t count, rules_value *ret)
{
    if (count > e->lim.series_max)
        return RULES_FAIL(e, n, OPS_ETOOBIG, "more than %zu series", e->lim.series_max);
    rules_elem *v = ops_arena_alloc(e->a, (count + 1) * sizeof *v);
    if (v == NULL)
        return rules_no_memory(e, n);
    *ret = (rules_value){.type = OPS_RULES_VECTOR, .v = v};
    return OPS_OK;
}

ops_status rules_drop_name(rules_eval *e, const rules_node *n, rules_elem *x)
{
    if (e->lim.late_names) {
        x->drop = true;
        return OPS_OK;
    }
    x->labels = ops_rules_labels_drop(e->a, x->labels, NULL, 0, rules_meta(e));
    return x->labels != NULL ? OPS_OK : rules_no_memory(e, n);
}

bool rules_table_init(rules_table *t, ops_arena *a, size_t count_max)
{
    size_t cap = 8;
    while (cap < count_max * 2)
        cap *= 2;
    *t = (rules_table){.cap = cap};
    t->keys = ops_arena_alloc(a, cap * sizeof(*t->keys));
    t->values = ops_arena_alloc(a, cap * sizeof *t->values);
    if (t->keys == NULL || t->values == NULL)
        return false;
    memset((void *)t->keys, 0, cap * sizeof(*t->keys));
    return true;
}

static size_t place(const rules_table *t, const ops_rules_labels *l)
{
    size_t at = l->hash & (t->cap - 1);
    while (t->keys[at] != NULL && !ops_rules_labels_eq(t->keys[at], l))
        at = (at + 1) & (t->cap - 1);
    return at;
}

size_t rules_table_put(rules_table *t, const ops_rules_labels *l, size_t value, bool *ret_new)
{
    size_t at = place(t, l);
    *ret_new = t->keys[at] == NULL;
    if (*ret_new) {
        t->keys[at] = l;
        t->values[at] = value;
        t->n++;
    }
    return t->values[at];
}

bool rules_table_get(const rules_table *t, const ops_rules_labels *l, size_t *ret)
{
    size_t at = place(t, l);
    if (t->keys[at] == NULL)
        return false;
    *ret = t->values[at];
    return true;
}

ops_status rules_unique(rules_eval *e, const rules_node *n, const rules_value *v)
{
    rules_table t;
    bool fresh = true;
    if (e->lim.late_names || v->type != OPS_RULES_VECTOR || v->n < 2)
        return OPS_OK;
    if (!rules_table_init(&t, e->a, v->n))
        return rules_no_memory(e, n);
    for (size_t i = 0; i < v->n; i++) {
        (void)rules_table_put(&t, v->v[i].labels, i, &fresh);
        if (!fresh)
            return RULES_FAIL(e, n, OPS_EINVAL, "vector cannot contain metrics with the same labelset");
    }
    return OPS_OK;
}

ops_status rules_scalar_arg(rules_eval *e, const rules_node *n, size_t i, int64_t t, double *ret)
{
    rules_value v;
    ops_status st = rules_eval_node(e, n->args[i], t, &v);
    if (st == OPS_OK)
        *ret = v.num;
    return st;
}

void rules_only_numbers(rules_value *v)
{
    size_t kept = 0;
    for (size_t i = 0; i < v->n; i++)
        if (v->v[i].h == NULL)
            v->v[kept++] = v->v[i];
    v->n = kept;
}

static ops_status unary(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    ops_status st = rules_eval_node(e, n->args[0], t, ret);
    if (st != OPS_OK)
        return st;
    if (ret->type == OPS_RULES_SCALAR) {
        ret->num = -ret->num;
        return OPS_OK;
    }
    for (size_t i = 0; st == OPS_OK && i < ret->n; i++) {
        ret->v[i].v = -ret->v[i].v;
        if (ret->v[i].h != NULL && (ret->v[i].h = rules_hist_times(e->a, ret->v[i].h, -1)) == NULL)
            return rules_no_memory(e, n);
        st = rules_drop_name(e, n, &ret->v[i]);
    }
    return st == OPS_OK ? rules_unique(e, n, ret) : st;
}

ops_status rules_eval_node(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    if (++e->evals > e->lim.evals_max)
        return RULES_FAIL(e, n, OPS_ETOOBIG, "the query needs more than %llu evaluations",
                          (unsigned long long)e->lim.evals_max);
    switch (n->kind) {
    case NODE_NUMBER:
        *ret = (rules_value){.type = OPS_RULES_SCALAR, .num = n->num};
        return OPS_OK;
    case NODE_STRING:
        *ret = (rules_value){.type = OPS_RULES_STRING, .str = n->str};
        return OPS_OK;
    case NODE_SELECTOR:
        return n->range_ms > 0 ? rules_windows(e, n, t, ret) : rules_select(e, n, t, ret);
    case NODE_SUBQUERY:
        return rules_windows(e, n, t, ret);
    case NODE_UNARY:
        return unary(e, n, t, ret);
    case NODE_BINARY:
        return rules_eval_binary(e, n, t, ret);
    case NODE_AGGREGATE:
        return rules_eval_aggregate(e, n, t, ret);
    case NODE_CALL:
        return rules_eval_call(e, n, t, ret);
    }
    return RULES_FAIL(e, n, OPS_EINTERNAL, "a node of no kind");
}
