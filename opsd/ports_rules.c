/* The API's question for groups of rules, answered by the ruler. */
#include "base/mem/arena.h"
#include "opsd/daemon.h"

enum { GROUP_BYTES_MAX = 256 << 20, NS_PER_MS = 1000000 };

struct asking {
    bool (*fn)(void *fu, const Ops__V1__RuleGroup *m);
    void *fu;
    ops_arena a;
    bool failed;
};

static char *text(struct asking *x, ops_slice s)
{
    const ops_slice copy = ops_arena_dup(&x->a, s);
    x->failed = x->failed || copy.p == NULL;
    return (char *)(uintptr_t)copy.p;
}

static Ops__V1__Rule *rule_of(struct asking *x, const ops_ruler_rule_view *v)
{
    Ops__V1__Rule *m = ops_arena_alloc(&x->a, sizeof *m);
    if (m == NULL) {
        x->failed = true;
        return NULL;
    }
    ops__v1__rule__init(m);
    m->name = text(x, v->rule.name);
    m->type = text(x, v->rule.alerts ? OPS_SLICE("alerting") : OPS_SLICE("recording"));
    m->expr = text(x, v->rule.expr);
    m->health = text(x, ops_slice_str(!v->evaluated ? "unknown" : v->error[0] != '\0' ? "failed" : "ok"));
    m->last_error = text(x, ops_slice_str(v->error));
    m->pending = v->pending;
    m->firing = v->firing;
    return m;
}

static bool on_group(void *u, const ops_ruler_group_view *g)
{
    struct asking *x = u;
    Ops__V1__RuleGroup m = OPS__V1__RULE_GROUP__INIT;
    ops_arena_clear(&x->a);
    m.id = text(x, ops_slice_str(g->id));
    m.tenant = text(x, g->tenant);
    m.file = text(x, g->file);
    m.name = text(x, g->name);
    m.interval_nano = g->interval_ms * NS_PER_MS;
    m.last_time_unix_nano = g->last_ms != INT64_MIN ? g->last_ms * NS_PER_MS : 0;
    m.duration_nano = g->duration_ns;
    m.evaluations = g->evaluations;
    m.missed = g->missed;
    m.rules = ops_arena_alloc(&x->a, (g->n + 1) * sizeof(Ops__V1__Rule *));
    x->failed = x->failed || m.rules == NULL;
    for (size_t i = 0; !x->failed && i < g->n; i++)
        m.rules[m.n_rules++] = rule_of(x, &g->rules[i]);
    return !x->failed && x->fn(x->fu, &m);
}

ops_status opsd_port_rule_groups(void *u, ops_slice tenant, bool (*fn)(void *fu, const Ops__V1__RuleGroup *m),
                                 void *fu, ops_err *reterr)
{
    const opsd_daemon *d = u;
    struct asking x = {.fn = fn, .fu = fu};
    ops_arena_init(&x.a, GROUP_BYTES_MAX);
    ops_ruler_groups(opsd_rules_ruler(d->rules), tenant, on_group, &x);
    ops_arena_done(&x.a);
    return x.failed ? ops_fail(reterr, OPS_ENOMEM, "groups of rules") : OPS_OK;
}
