/* Series for selectors: read once for the whole query, then looked at per instant; ranges and subqueries. */
#include "coordinator/analysis/rules/eval.h"

static int64_t base_time(const rules_eval *e, const rules_node *n, int64_t t)
{
    return n->at_kind == AT_TIME    ? n->at_ms
           : n->at_kind == AT_START ? e->start_ms
           : n->at_kind == AT_END   ? e->end_ms
                                    : t;
}

static ops_status fill(rules_eval *e, const rules_node *n, int64_t lo, int64_t hi)
{
    rules_slot *s = &e->slots[n->slot];
    ops_err why = {0};
    uint64_t left = e->lim.samples_max - e->samples;
    ops_status st =
        e->source->select(e->source->u, n->matchers, n->matcher_n, lo, hi, left, e->keep, &s->v, &s->n, &why);
    if (st == OPS_ETOOBIG && why.msg[0] == '\0')
        return RULES_FAIL(e, n, st, "the query reads more than %llu samples",
                          (unsigned long long)e->lim.samples_max);
    if (st != OPS_OK)
        return RULES_FAIL(e, n, st, "%s", why.msg);
    if (s->n > e->lim.series_max)
        return RULES_FAIL(e, n, OPS_ETOOBIG, "more than %zu series", e->lim.series_max);
    for (size_t i = 0; i < s->n; i++) {
        e->samples += s->v[i].n;
    }
    s->filled = true;
    return OPS_OK;
}

/* lo and hi: the instants at which `n` will be asked. */
ops_status rules_plan(rules_eval *e, const rules_node *n, int64_t lo, int64_t hi)
{
    if (n->kind == NODE_SELECTOR || n->kind == NODE_SUBQUERY) {
        int64_t back = n->range_ms > 0 ? n->range_ms : e->lim.lookback_ms;
        lo = base_time(e, n, lo) - n->offset_ms - back;
        hi = base_time(e, n, hi) - n->offset_ms;
        if (n->kind == NODE_SELECTOR)
            return fill(e, n, lo + 1, hi);
    }
    for (size_t i = 0; i < n->arg_n; i++) {
        ops_status st = rules_plan(e, n->args[i], lo, hi);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

/* First sample later than t. */
static size_t after(const ops_rules_series *s, int64_t t)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->v[mid].t_ms > t)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

ops_status rules_select(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    const rules_slot *s = &e->slots[n->slot];
    int64_t at = base_time(e, n, t) - n->offset_ms;
    ops_status st = rules_vector(e, n, s->n, ret);
    for (size_t i = 0; st == OPS_OK && i < s->n; i++) {
        size_t k = after(&s->v[i], at);
        if (k == 0 || s->v[i].v[k - 1].t_ms <= at - e->lim.lookback_ms ||
            ops_rules_is_stale(s->v[i].v[k - 1].v))
            continue;
        const ops_rules_sample *x = &s->v[i].v[k - 1];
        ret->v[ret->n++] = (rules_elem){.labels = s->v[i].labels, .v = x->v, .t_ms = x->t_ms, .h = x->h};
    }
    return st;
}

static ops_status windows_of_series(rules_eval *e, const rules_node *n, int64_t from, int64_t to,
                                    rules_value *ret)
{
    const rules_slot *s = &e->slots[n->slot];
    for (size_t i = 0; i < s->n; i++) {
        size_t a = after(&s->v[i], from), b = after(&s->v[i], to), stale = 0, hists = 0;
        if (a == b)
            continue;
        const ops_rules_sample *v = s->v[i].v + a;
        for (size_t k = 0; k < b - a; k++)
            hists += v[k].h != NULL;
        for (size_t k = 0; k < b - a; k++)
            stale += ops_rules_is_stale(v[k].v);
        if (stale == b - a)
            continue;
        rules_window *w = &ret->w[ret->n++];
        *w = (rules_window){s->v[i].labels, v, b - a, from, to, false, hists};
        e->evals += (b - a) / 64;
        if (stale == 0)
            continue;
        ops_rules_sample *own = ops_arena_alloc(e->a, (b - a - stale) * sizeof *own);
        if (own == NULL)
            return rules_no_memory(e, n);
        w->n = 0;
        for (size_t k = 0; k < b - a; k++)
            if (!ops_rules_is_stale(v[k].v))
                own[w->n++] = v[k];
        w->v = own;
    }
    return OPS_OK;
}

/* What a subquery gathers: one list of samples a series, grown by doubling within the arena. */
typedef struct gather {
    rules_table table;
    rules_window *w;
    ops_rules_sample **v;
    const ops_rules_hist **seen; /* the last sample's */
    size_t *cap, n, max;
} gather;

static bool gather_grow(rules_eval *e, gather *g, size_t more)
{
    if (g->n + more <= g->max)
        return true;
    gather old = *g;
    g->max = (g->n + more) * 2;
    g->w = ops_arena_alloc(e->a, g->max * sizeof *g->w);
    g->v = ops_arena_alloc(e->a, g->max * sizeof(*g->v));
    g->cap = ops_arena_alloc(e->a, g->max * sizeof *g->cap);
    g->seen = ops_arena_alloc(e->a, g->max * sizeof(*g->seen));
    if (g->seen == NULL || g->w == NULL || g->v == NULL || g->cap == NULL ||
        !rules_table_init(&g->table, e->a, g->max))
        return false;
    for (size_t i = 0; i < old.n; i++) {
        bool fresh;
        g->w[i] = old.w[i];
        g->v[i] = old.v[i];
        g->cap[i] = old.cap[i];
        g->seen[i] = old.seen[i];
        (void)rules_table_put(&g->table, g->w[i].labels, i, &fresh);
    }
    return true;
}

static bool gather_put(rules_eval *e, gather *g, const rules_elem *x, int64_t t)
{
    bool fresh = false;
    size_t i = rules_table_put(&g->table, x->labels, g->n, &fresh);
    if (fresh) {
        g->w[g->n] = (rules_window){.labels = x->labels, .drop = x->drop};
        g->v[g->n] = NULL;
        g->cap[g->n++] = 0;
    }
    rules_window *w = &g->w[i];
    if (w->n == g->cap[i]) {
        size_t cap = g->cap[i] > 0 ? g->cap[i] * 2 : 8;
        ops_rules_sample *v = ops_arena_alloc(e->a, cap * sizeof *v);
        if (v == NULL)
            return false;
        if (w->n > 0)
            memcpy(v, g->v[i], w->n * sizeof *v);
        g->v[i] = v;
        g->cap[i] = cap;
    }
    const ops_rules_hist *h = x->h;
    /* The same sample seen again is no reset, whatever its sender said of it. */
    if (h != NULL && w->n > 0 && g->seen[i] == h) {
        ops_rules_hist *again = ops_arena_alloc(e->a, sizeof *again);
        if (again == NULL)
            return false;
        *again = *h;
        again->hint = OPS_RULES_HINT_NO_RESET;
        h = again;
    }
    g->seen[i] = x->h;
    w->hists += h != NULL;
    g->v[i][w->n++] = (ops_rules_sample){t, x->v, h};
    return true;
}

static ops_status windows_of_subquery(rules_eval *e, const rules_node *n, int64_t from, int64_t to,
                                      rules_value *ret)
{
    int64_t step = n->step_ms > 0 ? n->step_ms : e->lim.default_step_ms;
    int64_t t = from / step * step; /* instants are multiples of the step, whatever the query's own */
    gather g = {0};
    if (t <= from)
        t += step;
    if ((to - from) / step > (int64_t)e->lim.steps_max * 10)
        return RULES_FAIL(e, n, OPS_ETOOBIG, "the subquery has more than %zu steps", e->lim.steps_max * 10);
    for (; t <= to; t += step) {
        rules_value v;
        ops_status st = rules_eval_node(e, n->args[0], t, &v);
        if (st != OPS_OK)
            return st;
        if (!gather_grow(e, &g, v.n))
            return rules_no_memory(e, n);
        for (size_t i = 0; i < v.n; i++)
            if (!gather_put(e, &g, &v.v[i], t))
                return rules_no_memory(e, n);
    }
    if (g.n > e->lim.series_max)
        return RULES_FAIL(e, n, OPS_ETOOBIG, "more than %zu series", e->lim.series_max);
    for (size_t i = 0; i < g.n; i++) {
        g.w[i].v = g.v[i];
        g.w[i].from_ms = from;
        g.w[i].to_ms = to;
    }
    *ret = (rules_value){.type = OPS_RULES_MATRIX, .w = g.w, .n = g.n};
    return OPS_OK;
}

ops_status rules_windows(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    int64_t to = base_time(e, n, t) - n->offset_ms, from = to - n->range_ms;
    if (n->kind == NODE_SUBQUERY)
        return windows_of_subquery(e, n, from, to, ret);
    *ret = (rules_value){.type = OPS_RULES_MATRIX};
    ret->w = ops_arena_alloc(e->a, (e->slots[n->slot].n + 1) * sizeof *ret->w);
    return ret->w != NULL ? windows_of_series(e, n, from, to, ret) : rules_no_memory(e, n);
}
