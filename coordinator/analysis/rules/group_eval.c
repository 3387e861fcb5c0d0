/* One evaluation of a group. */
#include "coordinator/analysis/rules/group_internal.h"

#include <stdlib.h>

#include "coordinator/analysis/rules/template.h"

enum { VALUE_BYTES_MAX = 64 * 1024, EVAL_BYTES_MAX = 256 << 20 };

typedef struct turn {
    rules_rule *r;
    const ops_rules_context *c;
    const ops_rules_sink *sink;
    size_t limit;
    int64_t t_ms;
    ops_arena a;
    ops_err *err;
} turn;

/* A sample of this evaluation; what the last one made and this one does not gets its stale mark later. */
static ops_status give(turn *x, const ops_rules_labels *l, double v, const ops_rules_hist *h)
{
    const ops_rules_sample made = {x->t_ms, v, h};
    rules_rule *r = x->r;
    const ops_rules_labels *own = ops_rules_labels_copy(&r->made[r->turn], l->v, l->n);
    if (own == NULL || !ops_vec_push(&r->made_labels[r->turn], own))
        return ops_fail(x->err, OPS_ENOMEM, "out of memory");
    return x->sink->sample(x->sink->u, own, &made, x->err);
}

static ops_status mark_stale(turn *x)
{
    rules_rule *r = x->r;
    unsigned before = !r->turn;
    const ops_rules_sample end = {.t_ms = x->t_ms, .v = ops_rules_of_bits(OPS_RULES_STALE_BITS)};
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < r->made_labels[before].n; i++) {
        const ops_rules_labels *l = r->made_labels[before].v[i];
        bool again = false;
        /* Mostly in the same place. */
        if (i < r->made_labels[r->turn].n)
            again = ops_rules_labels_eq(l, r->made_labels[r->turn].v[i]);
        for (size_t k = 0; !again && k < r->made_labels[r->turn].n; k++)
            again = ops_rules_labels_eq(l, r->made_labels[r->turn].v[k]);
        if (!again)
            st = x->sink->sample(x->sink->u, l, &end, x->err);
    }
    return st;
}

static ops_slice expanded(turn *x, ops_slice text, const ops_rules_template_data *d)
{
    ops_strbuf b;
    ops_err why = {0};
    ops_strbuf_init(&b, VALUE_BYTES_MAX);
    if (ops_rules_template_expand(text, d, &b, &why) != OPS_OK) {
        ops_strbuf_clear(&b);
        ops_strbuf_printf(&b, "<error expanding template: %s>", why.msg);
    }
    ops_slice s = ops_arena_dup(&x->a, ops_strbuf_get(&b));
    ops_strbuf_done(&b);
    return s;
}

static const ops_rules_labels *with_all(turn *x, const ops_rules_labels *l, const ops_rules_label *v,
                                        size_t n, const ops_rules_template_data *d)
{
    for (size_t i = 0; l != NULL && i < n; i++) {
        ops_slice value = d != NULL ? expanded(x, v[i].value, d) : v[i].value;
        l = value.p != NULL ? ops_rules_labels_with(&x->a, l, v[i].name, value) : NULL;
    }
    return l;
}

static int by_labels(const void *a, const void *b)
{
    return ops_rules_labels_cmp(*(const ops_rules_labels *const *)a, *(const ops_rules_labels *const *)b);
}

static bool twice(turn *x, const ops_rules_labels *const *v, size_t n)
{
    const ops_rules_labels **sorted = ops_arena_alloc(&x->a, (n + 1) * sizeof(*sorted));
    if (sorted == NULL || n == 0)
        return n > 0;
    memcpy((void *)sorted, (const void *)v, n * sizeof(*sorted));
    qsort((void *)sorted, n, sizeof(*sorted), by_labels);
    for (size_t i = 1; i < n; i++)
        if (ops_rules_labels_eq(sorted[i - 1], sorted[i]))
            return true;
    return false;
}

static ops_status record(turn *x, const ops_rules_series *s, size_t n)
{
    const ops_rules_labels **made = ops_arena_alloc(&x->a, (n + 1) * sizeof(*made));
    if (x->limit > 0 && n > x->limit)
        return ops_fail(x->err, OPS_ETOOBIG, "exceeded limit of %zu with %zu series", x->limit, n);
    for (size_t i = 0; made != NULL && i < n; i++) {
        made[i] = ops_rules_labels_with(&x->a, s[i].labels, OPS_RULES_NAME, x->r->name);
        made[i] = with_all(x, made[i], x->r->labels, x->r->label_n, NULL);
        if (made[i] == NULL)
            made = NULL;
    }
    if (made == NULL)
        return ops_fail(x->err, OPS_ENOMEM, "out of memory");
    if (twice(x, made, n))
        return ops_fail(x->err, OPS_EINVAL,
                        "vector contains metrics with the same labelset after applying rule labels");
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < n; i++)
        st = give(x, made[i], s[i].v[0].v, s[i].v[0].h);
    return st;
}

static rules_active *find(const rules_rule *r, const ops_rules_labels *l)
{
    for (size_t i = 0; i < r->active.n; i++)
        if (ops_rules_labels_eq(r->active.v[i]->a.labels, l))
            return r->active.v[i];
    return NULL;
}

static ops_status annotate(turn *x, rules_active *a, const ops_rules_template_data *d)
{
    static const ops_rules_labels none = {0};
    const ops_rules_labels *l = with_all(x, &none, x->r->annotations, x->r->annotation_n, d);
    ops_arena fresh;
    ops_arena_init(&fresh, 1 << 20);
    const ops_rules_labels *own = l != NULL ? ops_rules_labels_copy(&fresh, l->v, l->n) : NULL;
    if (own == NULL) {
        ops_arena_done(&fresh);
        return ops_fail(x->err, OPS_ENOMEM, "annotations are too long, or out of memory");
    }
    ops_arena_done(&a->texts);
    a->texts = fresh;
    a->a.annotations = own;
    return OPS_OK;
}

/* One result: a new alert, or one that goes on. */
static ops_status see(turn *x, const ops_rules_series *s)
{
    const ops_rules_labels *bare = ops_rules_labels_drop(&x->a, s->labels, NULL, 0, OPS_RULES_META_NAME);
    if (bare == NULL)
        return ops_fail(x->err, OPS_ENOMEM, "out of memory");
    const ops_rules_template_data d = {bare, x->c->external, s->v[0].v};
    const ops_rules_labels *l = with_all(x, bare, x->r->labels, x->r->label_n, &d);
    l = l != NULL ? ops_rules_labels_with(&x->a, l, OPS_SLICE("alertname"), x->r->name) : NULL;
    if (l == NULL)
        return ops_fail(x->err, OPS_ENOMEM, "out of memory");
    rules_active *a = find(x->r, l);
    if (a != NULL && a->seen)
        return ops_fail(x->err, OPS_EINVAL,
                        "vector contains metrics with the same labelset after applying alert labels");
    if (a == NULL) {
        if (x->r->active.n >= OPS_RULES_ALERTS_MAX)
            return ops_fail(x->err, OPS_ETOOBIG, "more than %d alerts of one rule", OPS_RULES_ALERTS_MAX);
        a = rules_active_new(l);
        if (a == NULL || !ops_vec_push(&x->r->active, a)) {
            rules_active_free(a);
            return ops_fail(x->err, OPS_ENOMEM, "out of memory");
        }
    }
    if (a->a.state == OPS_RULES_INACTIVE) {
        a->a.state = OPS_RULES_PENDING;
        a->a.active_ms = x->t_ms;
        a->a.fired_ms = a->a.resolved_ms = INT64_MIN;
    }
    a->seen = true;
    a->a.keep_since_ms = INT64_MIN;
    a->a.value = s->v[0].v;
    return annotate(x, a, &d);
}

/* False: forget it. */
static bool step(const turn *x, rules_active *a)
{
    ops_rules_alert *s = &a->a;
    if (!a->seen) {
        bool keep = false;
        if (s->state == OPS_RULES_FIRING && x->r->keep_ms > 0) {
            if (s->keep_since_ms == INT64_MIN)
                s->keep_since_ms = x->t_ms;
            keep = x->t_ms - s->keep_since_ms < x->r->keep_ms;
        }
        if (keep)
            return true;
        if (s->state == OPS_RULES_PENDING ||
            (s->state == OPS_RULES_INACTIVE && x->t_ms - s->resolved_ms > OPS_RULES_RESOLVED_KEPT_MS))
            return false;
        if (s->state != OPS_RULES_INACTIVE) {
            s->state = OPS_RULES_INACTIVE;
            s->resolved_ms = x->t_ms;
        }
        return true;
    }
    if (s->state == OPS_RULES_PENDING && x->t_ms - s->active_ms >= x->r->for_ms) {
        s->state = OPS_RULES_FIRING;
        s->fired_ms = x->t_ms;
    }
    return true;
}

static ops_status give_alert(turn *x, const ops_rules_alert *s)
{
    const ops_rules_labels *l = ops_rules_labels_with(&x->a, s->labels, OPS_RULES_NAME, OPS_SLICE("ALERTS"));
    ops_slice state = s->state == OPS_RULES_FIRING ? OPS_SLICE("firing") : OPS_SLICE("pending");
    l = l != NULL ? ops_rules_labels_with(&x->a, l, OPS_SLICE("alertstate"), state) : NULL;
    const ops_rules_labels *f =
        ops_rules_labels_with(&x->a, s->labels, OPS_RULES_NAME, OPS_SLICE("ALERTS_FOR_STATE"));
    if (l == NULL || f == NULL)
        return ops_fail(x->err, OPS_ENOMEM, "out of memory");
    int64_t since_s = s->active_ms / 1000;
    ops_status st = give(x, l, 1, NULL);
    return st == OPS_OK ? give(x, f, (double)since_s, NULL) : st;
}

static void forget_all(rules_rule *r)
{
    for (size_t i = 0; i < r->active.n; i++)
        rules_active_free(r->active.v[i]);
    r->active.n = 0;
}

static ops_status alerts(turn *x, const ops_rules_series *s, size_t n)
{
    rules_rule *r = x->r;
    size_t kept = 0, live = 0;
    ops_status st = OPS_OK;
    for (size_t i = 0; i < r->active.n; i++)
        r->active.v[i]->seen = false;
    for (size_t i = 0; st == OPS_OK && i < n; i++)
        st = see(x, &s[i]);
    if (st != OPS_OK)
        return st;
    for (size_t i = 0; i < r->active.n; i++)
        if (step(x, r->active.v[i])) {
            live += r->active.v[i]->a.state != OPS_RULES_INACTIVE;
            r->active.v[kept++] = r->active.v[i];
        } else {
            rules_active_free(r->active.v[i]);
        }
    r->active.n = kept;
    if (x->limit > 0 && live > x->limit) {
        forget_all(r);
        return ops_fail(x->err, OPS_ETOOBIG, "exceeded limit of %zu with %zu alerts", x->limit, live);
    }
    for (size_t i = 0; st == OPS_OK && i < r->active.n; i++)
        if (r->active.v[i]->a.state != OPS_RULES_INACTIVE)
            st = give_alert(x, &r->active.v[i]->a);
    return st;
}

static ops_status eval_rule(turn *x)
{
    OPS_AUTO(ops_rules_result_free) ops_rules_result *res = NULL;
    rules_rule *r = x->r;
    size_t n = 0;
    ops_status st = ops_rules_query_instant(r->query, x->c->source, x->c->limits, x->t_ms, &res, x->err);
    if (st != OPS_OK)
        return st;
    ops_rules_type type = ops_rules_result_type(res);
    if (type != OPS_RULES_VECTOR && type != OPS_RULES_SCALAR)
        return ops_fail(x->err, OPS_EINVAL, "rule result is not a vector or scalar");
    const ops_rules_series *s = ops_rules_result_series(res, &n);
    r->turn = !r->turn;
    r->made_labels[r->turn].n = 0;
    ops_arena_clear(&r->made[r->turn]);
    st = r->alerts ? alerts(x, s, n) : record(x, s, n);
    ops_status marked = mark_stale(x);
    return st != OPS_OK ? st : marked;
}

ops_status ops_rules_group_eval(ops_rules_group *g, const ops_rules_context *c, int64_t t_ms,
                                const ops_rules_sink *sink, ops_err *reterr)
{
    for (size_t i = 0; i < g->n; i++) {
        ops_err why = {0};
        turn x = {.r = &g->rules[i], .c = c, .sink = sink, .limit = g->limit, .t_ms = t_ms, .err = &why};
        ops_arena_init(&x.a, EVAL_BYTES_MAX);
        ops_status st = eval_rule(&x);
        ops_arena_done(&x.a);
        if (st == OPS_ENOMEM)
            return ops_fail(reterr, st, "%s", why.msg);
        if (st != OPS_OK && sink->failed != NULL)
            sink->failed(sink->u, i, &why);
    }
    return OPS_OK;
}
