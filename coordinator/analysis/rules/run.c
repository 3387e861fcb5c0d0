/* A query run: at one instant, or step by step over a range, and what comes out. */
#include "coordinator/analysis/rules/eval.h"

#include <stdlib.h>

struct ops_rules_result {
    ops_arena arena;
    ops_rules_type type;
    ops_rules_series *v;
    size_t n;
    ops_slice str;
};

ops_status ops_rules_match(const ops_rules_regex *regex, const ops_rules_matcher *m, size_t n,
                           const ops_rules_labels *l, bool *ret, ops_err *reterr)
{
    for (size_t i = 0; i < n; i++) {
        ops_slice v = ops_rules_labels_get(l, m[i].name);
        bool yes = ops_slice_eq(v, m[i].value);
        if (m[i].op >= OPS_RULES_RE) {
            ops_status st = regex->match(regex->u, m[i].re, v, &yes, NULL, reterr);
            if (st != OPS_OK)
                return st;
        }
        if (yes == (m[i].op == OPS_RULES_NE || m[i].op == OPS_RULES_NRE)) {
            *ret = false;
            return OPS_OK;
        }
    }
    *ret = true;
    return OPS_OK;
}

static ops_rules_limits defaults(const ops_rules_limits *l)
{
    ops_rules_limits r = l != NULL ? *l : (ops_rules_limits){0};
    r.lookback_ms = r.lookback_ms > 0 ? r.lookback_ms : 300000;
    r.default_step_ms = r.default_step_ms > 0 ? r.default_step_ms : 60000;
    r.samples_max = r.samples_max > 0 ? r.samples_max : 50000000;
    r.evals_max = r.evals_max > 0 ? r.evals_max : 50000000;
    r.steps_max = r.steps_max > 0 ? r.steps_max : 11000;
    r.series_max = r.series_max > 0 ? r.series_max : 200000;
    r.bytes_max = r.bytes_max > 0 ? r.bytes_max : (size_t)256 << 20;
    return r;
}

/* The working state of one run; the step's arena is cleared between steps. */
typedef struct run {
    rules_eval e;
    ops_arena step;
    ops_rules_result *out;
} run;

static ops_status run_init(run *r, ops_rules_query *q, const ops_rules_source *source,
                           const ops_rules_limits *limits, int64_t from_ms, int64_t to_ms, ops_err *reterr)
{
    *r = (run){.e = {.q = q,
                     .source = source,
                     .lim = defaults(limits),
                     .start_ms = from_ms,
                     .end_ms = to_ms,
                     .err = reterr}};
    ops_arena_init(&r->step, r->e.lim.bytes_max);
    r->out = ops_calloc(1, sizeof *r->out);
    if (r->out == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "1:1: out of memory");
    ops_arena_init(&r->out->arena, r->e.lim.bytes_max);
    r->e.a = &r->step;
    r->e.keep = &r->out->arena;
    r->e.slots = ops_arena_alloc(r->e.keep, (q->slots + 1) * sizeof *r->e.slots);
    if (r->e.slots == NULL)
        return rules_no_memory(&r->e, q->root);
    memset(r->e.slots, 0, (q->slots + 1) * sizeof *r->e.slots);
    return rules_plan(&r->e, q->root, from_ms, to_ms);
}

static void run_done(run *r)
{
    ops_arena_done(&r->step);
    ops_rules_result_free(r->out);
}

/* Late names go now, and what then has one name is refused. */
static ops_status settle(run *r, rules_value *v)
{
    bool late = r->e.lim.late_names;
    if (!late || v->type != OPS_RULES_VECTOR)
        return OPS_OK;
    ops_status st = OPS_OK;
    r->e.lim.late_names = false;
    for (size_t i = 0; st == OPS_OK && i < v->n; i++)
        if (v->v[i].drop)
            st = rules_drop_name(&r->e, r->e.q->root, &v->v[i]);
    if (st == OPS_OK)
        st = rules_unique(&r->e, r->e.q->root, v);
    r->e.lim.late_names = late;
    return st;
}

static ops_status as_vector(run *r, rules_value *v)
{
    static const ops_rules_labels none = {0};
    if (v->type != OPS_RULES_SCALAR)
        return OPS_OK;
    double num = v->num;
    ops_status st = rules_vector(&r->e, r->e.q->root, 1, v);
    if (st == OPS_OK)
        v->v[v->n++] = (rules_elem){.labels = &none, .v = num};
    return st;
}

static const ops_rules_labels *kept(run *r, const ops_rules_labels *l)
{
    return ops_rules_labels_copy(&r->out->arena, l->v, l->n);
}

static ops_status keep_instant(run *r, const rules_value *v, int64_t t)
{
    ops_rules_result *o = r->out;
    o->v = ops_arena_alloc(&o->arena, (v->n + 1) * sizeof *o->v);
    for (size_t i = 0; o->v != NULL && i < v->n; i++) {
        bool matrix = v->type == OPS_RULES_MATRIX;
        size_t n = matrix ? v->w[i].n : 1;
        ops_rules_sample one = {t, matrix ? 0 : v->v[i].v, matrix ? NULL : v->v[i].h};
        ops_rules_sample *s = ops_arena_alloc(&o->arena, n * sizeof *s);
        o->v[i] = (ops_rules_series){kept(r, matrix ? v->w[i].labels : v->v[i].labels), s, n};
        if (s == NULL || o->v[i].labels == NULL)
            return rules_no_memory(&r->e, r->e.q->root);
        memcpy(s, matrix ? v->w[i].v : &one, n * sizeof *s);
        for (size_t k = 0; k < n; k++)
            if (s[k].h != NULL && (s[k].h = ops_rules_hist_copy(&o->arena, s[k].h)) == NULL)
                return rules_no_memory(&r->e, r->e.q->root);
        o->n++;
    }
    return o->v != NULL ? OPS_OK : rules_no_memory(&r->e, r->e.q->root);
}

ops_status ops_rules_query_instant(ops_rules_query *q, const ops_rules_source *source,
                                   const ops_rules_limits *limits, int64_t t_ms, ops_rules_result **ret,
                                   ops_err *reterr)
{
    run r;
    rules_value v;
    ops_status st = run_init(&r, q, source, limits, t_ms, t_ms, reterr);
    if (st == OPS_OK)
        st = rules_eval_node(&r.e, q->root, t_ms, &v);
    if (st == OPS_OK)
        st = settle(&r, &v);
    if (st == OPS_OK) {
        r.out->type = v.type;
        if (v.type == OPS_RULES_STRING)
            r.out->str = ops_arena_dup(&r.out->arena, v.str);
        else if ((st = as_vector(&r, &v)) == OPS_OK)
            st = keep_instant(&r, &v, t_ms);
    }
    if (st == OPS_OK)
        *ret = OPS_STEAL(r.out);
    run_done(&r);
    return st;
}

/* Series of a range while they grow; in the result's arena. */
typedef struct growing {
    rules_table table;
    OPS_VEC(const ops_rules_labels *) labels;
    OPS_VEC(size_t) count;
    OPS_VEC(ops_rules_sample *) samples;
    size_t max;
} growing;

static ops_status grow(run *r, growing *g, size_t more)
{
    if (g->labels.n + more <= g->max)
        return OPS_OK;
    g->max = (g->labels.n + more) * 2;
    if (g->max > 2 * r->e.lim.series_max)
        return ops_fail(r->e.err, OPS_ETOOBIG, "1:1: more than %zu series", r->e.lim.series_max);
    if (!rules_table_init(&g->table, &r->out->arena, g->max))
        return rules_no_memory(&r->e, r->e.q->root);
    for (size_t i = 0; i < g->labels.n; i++) {
        bool fresh;
        (void)rules_table_put(&g->table, g->labels.v[i], i, &fresh);
    }
    return OPS_OK;
}

static ops_status add_step(run *r, growing *g, const rules_value *v, int64_t t, size_t steps)
{
    ops_status st = grow(r, g, v->n);
    for (size_t i = 0; st == OPS_OK && i < v->n; i++) {
        size_t at;
        if (!rules_table_get(&g->table, v->v[i].labels, &at)) {
            bool fresh;
            const ops_rules_labels *l = kept(r, v->v[i].labels);
            ops_rules_sample *s = ops_arena_alloc(&r->out->arena, steps * sizeof *s);
            at = g->labels.n;
            if (l == NULL || s == NULL || !ops_vec_push(&g->labels, l) || !ops_vec_push(&g->samples, s) ||
                !ops_vec_push(&g->count, (size_t)0))
                return rules_no_memory(&r->e, r->e.q->root);
            (void)rules_table_put(&g->table, l, at, &fresh);
        }
        size_t k = g->count.v[at];
        if (k > 0 && g->samples.v[at][k - 1].t_ms == t)
            return ops_fail(r->e.err, OPS_EINVAL,
                            "1:1: vector cannot contain metrics with the same labelset");
        const ops_rules_hist *h = v->v[i].h != NULL ? ops_rules_hist_copy(&r->out->arena, v->v[i].h) : NULL;
        if (h == NULL && v->v[i].h != NULL)
            return rules_no_memory(&r->e, r->e.q->root);
        g->samples.v[at][k] = (ops_rules_sample){t, v->v[i].v, h};
        g->count.v[at]++;
    }
    return st;
}

static int by_labels(const void *a, const void *b)
{
    return ops_rules_labels_cmp(((const ops_rules_series *)a)->labels, ((const ops_rules_series *)b)->labels);
}

static ops_status finish_range(run *r, const growing *g)
{
    ops_rules_result *o = r->out;
    o->type = OPS_RULES_MATRIX;
    o->n = g->labels.n;
    o->v = ops_arena_alloc(&o->arena, (o->n + 1) * sizeof *o->v);
    if (o->v == NULL || (o->n > 0 && (g->labels.v == NULL || g->samples.v == NULL || g->count.v == NULL)))
        return rules_no_memory(&r->e, r->e.q->root);
    for (size_t i = 0; i < o->n; i++)
        o->v[i] = (ops_rules_series){g->labels.v[i], g->samples.v[i], g->count.v[i]};
    qsort(o->v, o->n, sizeof *o->v, by_labels);
    return OPS_OK;
}

static ops_status check_range(const ops_rules_query *q, const ops_rules_limits *limits, int64_t from,
                              int64_t to, int64_t step, ops_err *reterr)
{
    size_t most = defaults(limits).steps_max;
    if (step <= 0 || to < from)
        return ops_fail(reterr, OPS_EINVAL, "a range needs a positive step and an end not before its start");
    if ((uint64_t)(to - from) / (uint64_t)step >= most)
        return ops_fail(reterr, OPS_ETOOBIG, "the range has more than %zu steps", most);
    if (q->root->type != OPS_RULES_SCALAR && q->root->type != OPS_RULES_VECTOR)
        return rules_fail_at(q, q->root->at, OPS_EINVAL, reterr,
                             "a range is asked of a scalar or a vector, not a %s",
                             rules_type_name(q->root->type));
    return OPS_OK;
}

ops_status ops_rules_query_range(ops_rules_query *q, const ops_rules_source *source,
                                 const ops_rules_limits *limits, int64_t from_ms, int64_t to_ms,
                                 int64_t step_ms, ops_rules_result **ret, ops_err *reterr)
{
    run r;
    growing g = {0};
    ops_status st = check_range(q, limits, from_ms, to_ms, step_ms, reterr);
    if (st != OPS_OK)
        return st;
    size_t steps = (size_t)((to_ms - from_ms) / step_ms) + 1;
    st = run_init(&r, q, source, limits, from_ms, to_ms, reterr);
    for (int64_t t = from_ms; st == OPS_OK && t <= to_ms; t += step_ms) {
        rules_value v;
        ops_arena_clear(&r.step);
        st = rules_eval_node(&r.e, q->root, t, &v);
        if (st == OPS_OK)
            st = settle(&r, &v);
        if (st == OPS_OK)
            st = as_vector(&r, &v);
        if (st == OPS_OK)
            st = add_step(&r, &g, &v, t, steps);
    }
    if (st == OPS_OK)
        st = finish_range(&r, &g);
    if (st == OPS_OK)
        *ret = OPS_STEAL(r.out);
    ops_vec_done(&g.labels);
    ops_vec_done(&g.count);
    ops_vec_done(&g.samples);
    run_done(&r);
    return st;
}

void ops_rules_result_free(ops_rules_result *r)
{
    if (r == NULL)
        return;
    ops_arena_done(&r->arena);
    ops_free(r);
}
ops_rules_type ops_rules_result_type(const ops_rules_result *r)
{
    return r->type;
}
const ops_rules_series *ops_rules_result_series(const ops_rules_result *r, size_t *ret_n)
{
    *ret_n = r->n;
    return r->v;
}
ops_slice ops_rules_result_string(const ops_rules_result *r)
{
    return r->str;
}
