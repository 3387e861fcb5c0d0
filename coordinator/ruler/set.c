/* Rule files as one set; which series of a tenant its rules look at. */
#include "coordinator/ruler/set.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text/hash.h"
#include "coordinator/ruler/ruler_internal.h"

ops_status ops_ruler_set_new(int64_t interval_ms, int64_t keep_max_ms, ops_ruler_set **ret)
{
    ops_ruler_set *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return OPS_ENOMEM;
    s->interval_ms = interval_ms;
    s->keep_max_ms = keep_max_ms;
    *ret = s;
    return OPS_OK;
}

static void tenant_free(ruler_tenant *t)
{
    size_t iter = 0;
    ops_slice name;
    void *v;
    if (t == NULL)
        return;
    while (ops_map_next(t->by_name, &iter, &name, &v)) {
        ops_vec_done((ruler_selectors *)v);
        ops_free(v);
    }
    ops_map_free(t->by_name);
    ops_vec_done(&t->any);
    ops_free(t->name);
    ops_free(t);
}

void ops_ruler_set_free(ops_ruler_set *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->groups.n; i++) {
        ops_free(s->groups.v[i].rules);
        ops_arena_done(&s->groups.v[i].shown);
        ops_free(s->groups.v[i].fresh);
    }
    for (size_t i = 0; i < s->files.n; i++) {
        ops_rulefile_free(s->files.v[i].f);
        ops_free(s->files.v[i].path);
    }
    for (size_t i = 0; i < s->tenants.n; i++)
        tenant_free(s->tenants.v[i]);
    ops_vec_done(&s->groups);
    ops_vec_done(&s->files);
    ops_vec_done(&s->tenants);
    ops_free(s);
}

size_t ops_ruler_set_groups(const ops_ruler_set *s)
{
    return s->groups.n;
}

ruler_tenant *ruler_set_tenant(const ops_ruler_set *s, ops_slice name)
{
    for (size_t i = 0; s != NULL && i < s->tenants.n; i++)
        if (ops_slice_eq(ops_slice_str(s->tenants.v[i]->name), name))
            return s->tenants.v[i];
    return NULL;
}

ruler_group *ruler_set_group(const ops_ruler_set *s, ops_slice tenant, ops_slice id)
{
    for (size_t i = 0; s != NULL && i < s->groups.n; i++)
        if (ops_slice_eq(ops_slice_str(s->groups.v[i].id), id) &&
            ops_slice_eq(ops_slice_str(s->groups.v[i].tenant->name), tenant))
            return &s->groups.v[i];
    return NULL;
}

static ruler_tenant *tenant_new(ops_ruler_set *s, ops_slice name)
{
    ruler_tenant *t = ops_calloc(1, sizeof *t);
    if (t != NULL && (t->name = ops_strndup(name.p, name.n)) != NULL &&
        (t->by_name = ops_map_new()) != NULL && ops_vec_push(&s->tenants, t))
        return t;
    tenant_free(t);
    return NULL;
}

bool ruler_tenant_names(const ruler_tenant *t, ops_slice name)
{
    return t->any.n > 0 || ops_map_has(t->by_name, name);
}

/* A regex that meets its limit is no reason to look away. */
static bool selected(const ruler_selectors *list, const ops_rules_labels *l)
{
    for (size_t i = 0; list != NULL && i < list->n; i++) {
        bool yes = true;
        if (ops_rules_match(&ops_ruleset_regex, list->v[i].m, list->v[i].n, l, &yes, NULL) != OPS_OK || yes)
            return true;
    }
    return false;
}

bool ruler_tenant_wants(const ruler_tenant *t, const ops_rules_labels *l)
{
    return selected(ops_map_get(t->by_name, ops_rules_labels_get(l, OPS_RULES_NAME)), l) ||
           selected(&t->any, l);
}

typedef struct adding {
    ruler_tenant *t;
    bool failed;
} adding;

static void add_selector(void *u, const ops_rules_matcher *m, size_t n)
{
    adding *a = u;
    const ruler_selector x = {m, n};
    ruler_selectors *list = &a->t->any;
    for (size_t i = 0; i < n && list == &a->t->any; i++) {
        if (m[i].op != OPS_RULES_EQ || !ops_slice_eq(m[i].name, OPS_RULES_NAME))
            continue;
        list = ops_map_get(a->t->by_name, m[i].value);
        if (list == NULL && ((list = ops_calloc(1, sizeof *list)) == NULL ||
                             ops_map_put(a->t->by_name, m[i].value, list, NULL) != OPS_OK)) {
            ops_free(list);
            a->failed = true;
            return;
        }
    }
    a->failed = !ops_vec_push(list, x) || a->failed;
}

/* What its rules look at, and how far back. */
static ops_status add_rules(const ops_ruler_set *s, ruler_tenant *t, const ruler_file *file, size_t at,
                            const ops_rules_group *g, size_t n, ops_err *reterr)
{
    adding a = {t, false};
    for (size_t i = 0; i < n; i++) {
        ops_rules_rule_info rule;
        ops_rules_group_rule(g, i, &rule);
        int64_t reach = ops_rules_query_reach_ms(rule.query, NULL);
        if (reach > s->keep_max_ms)
            return ops_fail(
                reterr, OPS_ETOOBIG,
                "%s:%lu: rule '" OPS_SLICE_FMT "' looks back %s rules.keep_max (%" PRId64 " s)", file->path,
                ops_rulefile_line(file->f, at, i), OPS_SLICE_ARG(ops_slice_sub(rule.name, 0, 128)),
                reach == INT64_MAX ? "to a time of its own, which may be further than" : "further than",
                s->keep_max_ms / 1000);
        if (reach > t->keep_ms)
            t->keep_ms = reach;
        ops_rules_query_selectors(rule.query, add_selector, &a);
    }
    return a.failed ? ops_fail(reterr, OPS_ENOMEM, "%s: out of memory", file->path) : OPS_OK;
}

static ops_status add_group(ops_ruler_set *s, ruler_tenant *t, const ruler_file *file, size_t at,
                            ops_err *reterr)
{
    ops_rules_group *g = ops_rulefile_group(file->f, at);
    ops_slice name = ops_rules_group_name(g);
    size_t alerts;
    ruler_group x = {.tenant = t,
                     .file = file->path,
                     .g = g,
                     .interval_ms = ops_rules_group_interval_ms(g),
                     .n = ops_rules_group_rules(g, &alerts),
                     .next_ms = INT64_MIN,
                     .last_ms = INT64_MIN};
    uint64_t h = ops_hash64(file->path, strlen(file->path), 0x72756c6572);
    (void)snprintf(x.id, sizeof x.id, "%016" PRIx64, ops_hash64(name.p, name.n, h));
    if (s->groups.n == OPS_RULER_GROUPS_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "%s: more than %d groups in all", file->path,
                        OPS_RULER_GROUPS_MAX);
    if (x.interval_ms <= 0)
        x.interval_ms = s->interval_ms;
    x.rules = ops_calloc(x.n + 1, sizeof *x.rules);
    x.fresh = ops_calloc(x.n + 1, sizeof *x.fresh);
    if (x.rules != NULL && x.fresh != NULL && ops_vec_push(&s->groups, x))
        return add_rules(s, t, file, at, g, x.n, reterr);
    ops_free(x.rules);
    ops_free(x.fresh);
    return ops_fail(reterr, OPS_ENOMEM, "%s: out of memory", file->path);
}

ops_status ops_ruler_set_add(ops_ruler_set *s, ops_slice tenant, ops_slice yaml, const char *path,
                             ops_err *reterr)
{
    ruler_file f = {0};
    ruler_tenant *t = ruler_set_tenant(s, tenant);
    for (size_t i = 0; t != NULL && i < s->files.n; i++)
        if (s->files.v[i].tenant == t && strcmp(s->files.v[i].path, path) == 0)
            return OPS_OK;
    if (t == NULL && s->tenants.n == OPS_RULER_TENANTS_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "%s: rules of more than %d tenants", path,
                        OPS_RULER_TENANTS_MAX);
    ops_status st = ops_rulefile_parse(yaml, path, s->interval_ms, &f.f, reterr);
    if (st != OPS_OK)
        return st;
    f.path = ops_strdup(path);
    if (t == NULL && f.path != NULL)
        t = tenant_new(s, tenant);
    f.tenant = t;
    if (t == NULL || !ops_vec_push(&s->files, f)) {
        ops_rulefile_free(f.f);
        ops_free(f.path);
        return ops_fail(reterr, OPS_ENOMEM, "%s: out of memory", path);
    }
    for (size_t i = 0; st == OPS_OK && i < ops_rulefile_count(f.f); i++)
        st = add_group(s, t, &f, i, reterr);
    return st;
}
