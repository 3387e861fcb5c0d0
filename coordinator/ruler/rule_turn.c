/* One evaluation of a group: what its rules make goes into the store, and what its alerts amount to is told. */
#include <inttypes.h>
#include <stdio.h>

#include "base/log/log.h"
#include "base/text/hash.h"
#include "coordinator/ruler/ruler_internal.h"

enum { TEXTS_MIN_MS = 60000, STATE_BYTES_MAX = 64 << 20, SHOWN_BYTES_MAX = 16 << 20 };

typedef struct evaluating {
    ops_ruler *r;
    ruler_group *g;
    ops_rules_store *store;
} evaluating;

static ops_status on_sample(void *u, const ops_rules_labels *l, const ops_rules_sample *s, ops_err *reterr)
{
    evaluating *x = u;
    (void)reterr;
    /* What nobody looks at is not kept, as with samples that come in. */
    if (ruler_tenant_names(x->g->tenant, ops_rules_labels_get(l, OPS_RULES_NAME)) &&
        ruler_tenant_wants(x->g->tenant, l))
        ruler_append(x->r, x->store, l->v, l->n, s, true);
    return OPS_OK;
}

static void on_failed(void *u, size_t number, const ops_err *err)
{
    evaluating *x = u;
    (void)snprintf(x->g->fresh[number].error, sizeof x->g->fresh[number].error, "%.255s", err->msg);
}

static void count_alert(void *u, const ops_rules_alert *a)
{
    ruler_rule *rule = u;
    rule->pending += a->state == OPS_RULES_PENDING;
    rule->firing += a->state == OPS_RULES_FIRING;
}

typedef struct showing {
    ops_arena *a;
    ruler_rule *rule;
} showing;

static void show_alert(void *u, const ops_rules_alert *a)
{
    const showing *x = u;
    if (a->state == OPS_RULES_INACTIVE || x->rule->alerts == NULL)
        return;
    const ops_ruler_alert_view v = {ops_rules_labels_copy(x->a, a->labels->v, a->labels->n),
                                    ops_rules_labels_copy(x->a, a->annotations->v, a->annotations->n),
                                    a->state == OPS_RULES_FIRING, a->value, a->active_ms};
    if (v.labels != NULL && v.annotations != NULL)
        x->rule->alerts[x->rule->alert_n++] = v;
}

static void show(ops_ruler *r, ruler_group *g, int64_t t_ms, int64_t duration_ns)
{
    ops_arena fresh, old;
    ops_arena_init(&fresh, SHOWN_BYTES_MAX);
    for (size_t i = 0; i < g->n; i++) {
        ruler_rule *rule = &g->fresh[i];
        showing x = {&fresh, rule};
        if (rule->pending + rule->firing > 0)
            rule->alerts = ops_arena_alloc(&fresh, (rule->pending + rule->firing) * sizeof *rule->alerts);
        ops_rules_group_rule_alerts(g->g, i, show_alert, &x);
    }
    (void)pthread_mutex_lock(&r->lock);
    old = g->shown;
    g->shown = fresh;
    memcpy(g->rules, g->fresh, g->n * sizeof *g->rules);
    g->last_ms = t_ms;
    g->duration_ns = duration_ns;
    g->evaluations++;
    (void)pthread_mutex_unlock(&r->lock);
    ops_arena_done(&old);
}

static void evaluate(ops_ruler *r, ruler_group *g, int64_t t_ms)
{
    ops_err err = {0};
    ops_rules_source source;
    evaluating x = {r, g, ruler_store_of(r, ops_slice_str(g->tenant->name))};
    const ops_rules_context c = {.source = &source};
    const ops_rules_sink sink = {on_sample, on_failed, &x};
    const int64_t began = ops_clock_mono_ns(r->clock);
    size_t failed = 0;
    ops_rules_store_source(x.store, &ops_ruleset_regex, &source);
    memset(g->fresh, 0, g->n * sizeof *g->fresh);
    ops_status st = ops_rules_group_eval(g->g, &c, t_ms, &sink, &err);
    for (size_t i = 0; i < g->n; i++) {
        g->fresh[i].evaluated = true;
        if (st != OPS_OK)
            on_failed(&x, i, &err);
        ops_rules_group_rule_alerts(g->g, i, count_alert, &g->fresh[i]);
        failed += g->fresh[i].error[0] != '\0';
        if (g->fresh[i].error[0] != '\0')
            OPS_LOG(OPS_LOG_WARN, "rule_failed", OPS_KV_STR("tenant", g->tenant->name),
                    OPS_KV_SLICE("group", ops_rules_group_name(g->g)), OPS_KV_U64("rule", i),
                    OPS_KV_STR("why", g->fresh[i].error));
    }
    const int64_t took = ops_clock_mono_ns(r->clock) - began;
    ruler_count(r, RULER_ROW_EVALUATIONS, "ok", g->n - failed);
    ruler_count(r, RULER_ROW_EVALUATIONS, "failed", failed);
    ops_metric_observe(ops_metric_at(r->metrics, RULER_ROW_SECONDS, NULL), (double)took / 1e9);
    show(r, g, t_ms, took);
}

typedef struct digesting {
    uint64_t states, texts;
    size_t rule;
} digesting;

/* A sum, because the order of alerts says nothing. */
static void digest(void *u, const ops_rules_alert *a)
{
    digesting *d = u;
    const int64_t state[] = {
        (int64_t)d->rule, (int64_t)a->labels->hash,     (int64_t)a->state, a->active_ms, a->fired_ms,
        a->resolved_ms,   a->keep_since_ms != INT64_MIN};
    const uint64_t texts[] = {a->labels->hash, a->annotations->hash};
    d->states += ops_hash64(state, sizeof state, 1);
    if (a->state == OPS_RULES_FIRING)
        d->texts += ops_hash64(texts, sizeof texts, 2);
}

static digesting digest_of(const ops_rules_group *g)
{
    digesting d = {0};
    size_t alerts, n = ops_rules_group_rules(g, &alerts);
    for (d.rule = 0; d.rule < n; d.rule++)
        ops_rules_group_rule_alerts(g, d.rule, digest, &d);
    return d;
}

uint64_t ruler_states_digest(const ops_rules_group *g)
{
    return digest_of(g).states;
}

typedef struct gathering {
    OPS_VEC(ops_ruler_firing) firing;
    const char *group;
    size_t alerts;
    bool failed;
} gathering;

static void gather(void *u, const ops_rules_alert *a)
{
    gathering *x = u;
    ops_ruler_firing f = {.alert = a};
    x->alerts++;
    if (a->state != OPS_RULES_FIRING)
        return;
    (void)snprintf(f.fingerprint, sizeof f.fingerprint, "%s-%016" PRIx64, x->group, a->labels->hash);
    x->failed = !ops_vec_push(&x->firing, f) || x->failed;
}

static ops_status tell(ops_ruler *r, const ruler_group *g, int64_t t_ms, ops_err *reterr)
{
    gathering x = {.group = g->id};
    ops_strbuf state;
    ops_strbuf_init(&state, STATE_BYTES_MAX);
    for (size_t i = 0; i < g->n; i++)
        ops_rules_group_rule_alerts(g->g, i, gather, &x);
    ops_status st = x.failed ? OPS_ENOMEM : OPS_OK;
    if (st == OPS_OK && x.alerts > 0)
        st = ops_rules_group_save(g->g, &state);
    if (st != OPS_OK)
        (void)ops_fail(reterr, st, "states of %zu alerts", x.alerts);
    const ops_ruler_word w = {ops_slice_str(g->tenant->name),
                              ops_slice_str(g->id),
                              x.firing.v,
                              x.firing.n,
                              ops_strbuf_get(&state),
                              t_ms};
    if (st == OPS_OK)
        st = r->ports.tell(r->ports.u, &w, reterr);
    ops_strbuf_done(&state);
    ops_vec_done(&x.firing);
    return st;
}

static void count_told(ops_ruler *r, ops_slice tenant, ops_slice group, ops_status st, const ops_err *err)
{
    ruler_count(r, RULER_ROW_TOLD, st == OPS_OK ? "ok" : "again", 1);
    if (st != OPS_OK)
        OPS_LOG(OPS_LOG_WARN, "alerts_not_told", OPS_KV_SLICE("tenant", tenant), OPS_KV_SLICE("group", group),
                OPS_KV_STR("why", err->msg));
}

void ruler_tell_gone(ops_ruler *r, ops_slice tenant, ops_slice group, int64_t t_ms)
{
    ops_err err = {0};
    const ops_ruler_word w = {.tenant = tenant, .group = group, .t_ms = t_ms};
    count_told(r, tenant, group, r->ports.tell(r->ports.u, &w, &err), &err);
}

void ruler_turn(ops_ruler *r, ruler_group *g, int64_t t_ms)
{
    ops_err err = {0};
    evaluate(r, g, t_ms);
    const digesting d = digest_of(g->g);
    const uint64_t failures = atomic_load(&r->failures);
    const bool texts = d.texts != g->told_texts && t_ms - g->told_ms >= TEXTS_MIN_MS;
    if (g->told && d.states == g->told_states && failures == g->told_failures && !texts)
        return;
    ops_status st = tell(r, g, t_ms, &err);
    count_told(r, ops_slice_str(g->tenant->name), ops_slice_str(g->id), st, &err);
    g->told = st == OPS_OK;
    g->told_states = d.states;
    g->told_texts = d.texts;
    g->told_failures = failures;
    g->told_ms = t_ms;
}
