/* Groups made and freed; one evaluation of a rule. */
#include "coordinator/analysis/rules/group_internal.h"

#include "coordinator/analysis/rules/template.h"

enum { TEXT_BYTES_MAX = 8 << 20, EVAL_BYTES_MAX = 256 << 20, VALUE_BYTES_MAX = 64 * 1024 };

rules_active *rules_active_new(const ops_rules_labels *labels)
{
    rules_active *x = ops_calloc(1, sizeof *x);
    if (x == NULL)
        return NULL;
    ops_arena_init(&x->arena, 1 << 20);
    ops_arena_init(&x->texts, 1 << 20);
    x->a = (ops_rules_alert){
        .active_ms = INT64_MIN, .fired_ms = INT64_MIN, .resolved_ms = INT64_MIN, .keep_since_ms = INT64_MIN};
    x->a.labels = ops_rules_labels_copy(&x->arena, labels->v, labels->n);
    x->a.annotations = ops_rules_labels_copy(&x->texts, NULL, 0);
    if (x->a.labels != NULL && x->a.annotations != NULL)
        return x;
    rules_active_free(x);
    return NULL;
}

void rules_active_free(rules_active *x)
{
    if (x == NULL)
        return;
    ops_arena_done(&x->arena);
    ops_arena_done(&x->texts);
    ops_free(x);
}

static ops_status copy_labels(ops_rules_group *g, const ops_rules_label *v, size_t n, ops_rules_label **ret,
                              ops_err *reterr)
{
    ops_rules_label *own = ops_arena_alloc(&g->arena, (n + 1) * sizeof *own);
    for (size_t i = 0; own != NULL && i < n; i++) {
        own[i] = (ops_rules_label){ops_arena_dup(&g->arena, v[i].name), ops_arena_dup(&g->arena, v[i].value)};
        if (own[i].name.p == NULL || own[i].value.p == NULL)
            own = NULL;
    }
    if (own == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "out of memory");
    *ret = own;
    return OPS_OK;
}

static ops_status check_templates(const rules_rule *r, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && r->alerts && i < r->label_n + r->annotation_n; i++) {
        const ops_rules_label *l = i < r->label_n ? &r->labels[i] : &r->annotations[i - r->label_n];
        st = ops_rules_template_check(l->value, reterr);
        if (st != OPS_OK)
            ops_err_prefix(reterr, "%s " OPS_SLICE_FMT, i < r->label_n ? "label" : "annotation",
                           OPS_SLICE_ARG(l->name));
    }
    return st;
}

static ops_status make_rule(ops_rules_group *g, rules_rule *r, const ops_rules_rule_def *d,
                            const ops_rules_regex *regex, ops_err *reterr)
{
    ops_slice name = d->alert.n > 0 ? d->alert : d->record;
    if ((d->alert.n > 0) == (d->record.n > 0))
        return ops_fail(reterr, OPS_EINVAL, "a rule has one of 'record' and 'alert'");
    if (d->expr.n == 0)
        return ops_fail(reterr, OPS_EINVAL, "field 'expr' must be set in rule");
    if (d->label_n > OPS_RULES_LABELS_MAX / 2 || d->annotation_n > OPS_RULES_LABELS_MAX / 2)
        return ops_fail(reterr, OPS_ETOOBIG, "more than %d labels or annotations", OPS_RULES_LABELS_MAX / 2);
    r->alerts = d->alert.n > 0;
    r->for_ms = d->for_ms;
    r->keep_ms = d->keep_ms;
    for (int i = 0; i < 2; i++)
        ops_arena_init(&r->made[i], EVAL_BYTES_MAX);
    r->name = ops_arena_dup(&g->arena, name);
    r->expr = ops_arena_dup(&g->arena, d->expr);
    if (r->name.p == NULL || r->expr.p == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "out of memory");
    ops_status st = copy_labels(g, d->labels, d->label_n, &r->labels, reterr);
    if (st == OPS_OK)
        st = copy_labels(g, d->annotations, d->annotation_n, &r->annotations, reterr);
    r->label_n = d->label_n;
    r->annotation_n = d->annotation_n;
    if (st == OPS_OK)
        st = check_templates(r, reterr);
    if (st == OPS_OK) {
        st = ops_rules_query_parse(d->expr, regex, &r->query, reterr);
        if (st != OPS_OK)
            ops_err_prefix(reterr, "expr");
    }
    return st;
}

ops_status ops_rules_group_new(ops_slice name, int64_t interval_ms, size_t limit,
                               const ops_rules_rule_def *defs, size_t n, const ops_rules_regex *regex,
                               ops_rules_group **ret, size_t *ret_rule, ops_err *reterr)
{
    OPS_AUTO(ops_rules_group_free) ops_rules_group *g = ops_calloc(1, sizeof *g);
    if (g == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "out of memory");
    if (n > OPS_RULES_RULES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "more than %d rules in a group", OPS_RULES_RULES_MAX);
    ops_arena_init(&g->arena, TEXT_BYTES_MAX);
    g->interval_ms = interval_ms;
    g->limit = limit;
    g->name = ops_arena_dup(&g->arena, name);
    g->rules = ops_calloc(n + 1, sizeof *g->rules);
    if (g->name.p == NULL || g->rules == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        g->n = i + 1;
        ops_status st = make_rule(g, &g->rules[i], &defs[i], regex, reterr);
        if (st != OPS_OK) {
            if (ret_rule != NULL)
                *ret_rule = i;
            return st;
        }
    }
    *ret = OPS_STEAL(g);
    return OPS_OK;
}

void ops_rules_group_free(ops_rules_group *g)
{
    if (g == NULL)
        return;
    for (size_t i = 0; g->rules != NULL && i < g->n; i++) {
        rules_rule *r = &g->rules[i];
        ops_rules_query_free(r->query);
        for (size_t k = 0; k < r->active.n; k++)
            rules_active_free(r->active.v[k]);
        ops_vec_done(&r->active);
        for (int k = 0; k < 2; k++) {
            ops_arena_done(&r->made[k]);
            ops_vec_done(&r->made_labels[k]);
        }
    }
    ops_free(g->rules);
    ops_arena_done(&g->arena);
    ops_free(g);
}

ops_slice ops_rules_group_name(const ops_rules_group *g)
{
    return g->name;
}
int64_t ops_rules_group_interval_ms(const ops_rules_group *g)
{
    return g->interval_ms;
}
size_t ops_rules_group_rules(const ops_rules_group *g, size_t *ret_alerts)
{
    *ret_alerts = 0;
    for (size_t i = 0; i < g->n; i++)
        *ret_alerts += g->rules[i].alerts;
    return g->n;
}

void ops_rules_group_rule(const ops_rules_group *g, size_t i, ops_rules_rule_info *ret)
{
    const rules_rule *r = &g->rules[i];
    *ret = (ops_rules_rule_info){r->name,  r->expr,   r->alerts,      r->for_ms,  r->keep_ms,
                                 r->query, r->labels, r->annotations, r->label_n, r->annotation_n};
}

void ops_rules_group_rule_alerts(const ops_rules_group *g, size_t i,
                                 void (*fn)(void *u, const ops_rules_alert *a), void *u)
{
    for (size_t k = 0; g->rules[i].alerts && k < g->rules[i].active.n; k++)
        fn(u, &g->rules[i].active.v[k]->a);
}

void ops_rules_group_alerts(const ops_rules_group *g, ops_slice alert_name,
                            void (*fn)(void *u, const ops_rules_alert *a), void *u)
{
    for (size_t i = 0; i < g->n; i++)
        if (ops_slice_eq(g->rules[i].name, alert_name))
            ops_rules_group_rule_alerts(g, i, fn, u);
}
