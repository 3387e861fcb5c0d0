/* The thread, its turns, and what others may see. */
#include "coordinator/ruler/ruler.h"

#include <errno.h>
#include <time.h>

#include "base/log/log.h"
#include "base/text/hash.h"
#include "coordinator/ruler/ruler_internal.h"

enum { NS_PER_MS = 1000000, WAIT_MS_MAX = 500, TRIM_MS = 60000, INBOX_BYTES = 32 << 20 };

static const ops_metric_desc rows[RULER_ROW_COUNT] = {
    [RULER_ROW_EVALUATIONS] = {"opsd_rule_evaluations_total", "Rules evaluated, by outcome.",
                               OPS_METRIC_COUNTER, .labels = {"outcome"}},
    [RULER_ROW_MISSED] = {"opsd_rule_group_missed_total",
                          "Evaluations of groups left out because an earlier one took too long.",
                          OPS_METRIC_COUNTER},
    [RULER_ROW_SECONDS] = {"opsd_rule_group_seconds", "How long the evaluation of a group takes.",
                           OPS_METRIC_HISTOGRAM, .bounds = ops_metric_seconds,
                           .bound_count = OPS_METRIC_SECONDS_COUNT},
    [RULER_ROW_SAMPLES] =
        {"opsd_rule_samples_total",
         "Samples that rules look at, by fate: kept, late, duplicate, full, dropped, failed.",
         OPS_METRIC_COUNTER, .labels = {"fate"}},
    [RULER_ROW_TOLD] = {"opsd_rule_words_total",
                        "Groups' alerts handed over to become findings; again: not taken, told again later.",
                        OPS_METRIC_COUNTER, .labels = {"outcome"}},
    [RULER_ROW_GROUPS] = {"opsd_rule_groups", "Groups in force.", OPS_METRIC_GAUGE},
    [RULER_ROW_RULES] = {"opsd_rules", "Rules in force, by health: ok, failed, unknown.", OPS_METRIC_GAUGE,
                         .labels = {"health"}},
    [RULER_ROW_ALERTS] = {"opsd_rule_alerts", "Alerts of rules, by state.", OPS_METRIC_GAUGE,
                          .labels = {"state"}},
    [RULER_ROW_SERIES] = {"opsd_rule_series", "Series kept for rules, by tenant.", OPS_METRIC_GAUGE,
                          .labels = {"tenant"}},
    [RULER_ROW_BYTES] = {"opsd_rule_bytes", "Memory of their samples, by tenant.", OPS_METRIC_GAUGE,
                         .labels = {"tenant"}},
    [RULER_ROW_RELOADS] = {"opsd_rule_sets_total", "Sets of rules put in force.", OPS_METRIC_COUNTER},
};

void ruler_count(ops_ruler *r, size_t row, const char *label, uint64_t n)
{
    if (n > 0)
        ops_metric_add(ops_metric_at(r->metrics, row, label), n);
}

ops_status ops_ruler_new(const ops_ruler_conf *conf, const ops_ruler_ports *ports, ops_ruler **ret,
                         ops_err *reterr)
{
    pthread_condattr_t mono;
    OPS_AUTO(ops_ruler_free) ops_ruler *r = ops_calloc(1, sizeof *r);
    if (r == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "rules");
    r->conf = *conf;
    r->ports = *ports;
    r->clock = conf->clock != NULL ? conf->clock : ops_clock_system();
    if (r->conf.inbox_bytes_max == 0)
        r->conf.inbox_bytes_max = INBOX_BYTES;
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_condattr_init(&mono);
    (void)pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&r->wake, &mono);
    (void)pthread_condattr_destroy(&mono);
    for (int i = 0; i < 2; i++)
        ops_arena_init(&r->inbox[i], r->conf.inbox_bytes_max);
    r->stores = ops_map_new();
    if (r->stores == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "rules");
    ops_status st = ops_metrics_new(rows, RULER_ROW_COUNT, &r->metrics, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(r);
    return st;
}

void ops_ruler_free(ops_ruler *r)
{
    size_t iter = 0;
    ops_slice name;
    void *s;
    if (r == NULL)
        return;
    ops_ruler_stop(r);
    while (ops_map_next(r->stores, &iter, &name, &s))
        ops_rules_store_free(s);
    ops_map_free(r->stores);
    ops_ruler_set_free(r->set);
    ops_ruler_set_free(r->next);
    for (int i = 0; i < 2; i++)
        ops_arena_done(&r->inbox[i]);
    ops_metrics_free(r->metrics);
    (void)pthread_cond_destroy(&r->wake);
    (void)pthread_mutex_destroy(&r->lock);
    ops_free(r);
}

void ops_ruler_untold(ops_ruler *r)
{
    atomic_fetch_add(&r->failures, 1);
}

void ops_ruler_use(ops_ruler *r, ops_ruler_set *take_set)
{
    (void)pthread_mutex_lock(&r->lock);
    ops_ruler_set *before = r->next;
    r->next = take_set;
    (void)pthread_cond_signal(&r->wake);
    (void)pthread_mutex_unlock(&r->lock);
    ops_ruler_set_free(before);
}

/* A group that was there before goes on: its alerts, and what people see of it. */
static void go_on(ruler_group *g, const ruler_group *old)
{
    ops_strbuf state;
    ops_err err = {0};
    ops_strbuf_init(&state, SIZE_MAX);
    ops_status st = ops_rules_group_save(old->g, &state);
    if (st == OPS_OK)
        st = ops_rules_group_load(g->g, ops_strbuf_get(&state), &err);
    ops_strbuf_done(&state);
    if (st != OPS_OK)
        OPS_LOG(OPS_LOG_WARN, "alerts_begin_anew", OPS_KV_STR("file", g->file),
                OPS_KV_SLICE("group", ops_rules_group_name(g->g)), OPS_KV_STR("why", err.msg));
    if (g->interval_ms == old->interval_ms)
        g->next_ms = old->next_ms; /* a reload leaves no instant out */
    g->last_ms = old->last_ms;
    g->duration_ns = old->duration_ns;
    g->evaluations = old->evaluations;
    g->missed = old->missed;
    g->told_texts = old->told_texts;
    g->told_ms = old->told_ms;
}

typedef struct beginning {
    ops_ruler *r;
    const ops_ruler_set *set;
    int64_t now_ms;
} beginning;

static void on_state(void *u, ops_slice tenant, ops_slice id, ops_slice state)
{
    const beginning *b = u;
    ops_err err = {0};
    ruler_group *g = ruler_set_group(b->set, tenant, id);
    if (g == NULL) {
        ruler_tell_gone(b->r, tenant, id, b->now_ms);
        return;
    }
    if (ops_rules_group_load(g->g, state, &err) != OPS_OK) {
        OPS_LOG(OPS_LOG_ERROR, "alerts_begin_anew", OPS_KV_STR("file", g->file),
                OPS_KV_SLICE("group", ops_rules_group_name(g->g)), OPS_KV_STR("why", err.msg));
        return;
    }
    g->told = true;
    g->told_states = ruler_states_digest(g->g);
    g->told_failures = atomic_load(&b->r->failures);
}

static void read_states(ops_ruler *r, const ops_ruler_set *set, int64_t now_ms)
{
    beginning b = {r, set, now_ms};
    ops_err err = {0};
    if (r->began || r->ports.states == NULL)
        return;
    if (r->ports.states(r->ports.u, on_state, &b, &err) != OPS_OK)
        OPS_LOG(OPS_LOG_ERROR, "alerts_begin_anew", OPS_KV_STR("why", err.msg));
    r->began = true;
}

static void make_stores(ops_ruler *r, const ops_ruler_set *set)
{
    for (size_t i = 0; i < set->tenants.n; i++) {
        const ops_slice name = ops_slice_str(set->tenants.v[i]->name);
        ops_rules_store *s = NULL;
        if (ops_map_has(r->stores, name))
            continue;
        if (ops_rules_store_new(&r->conf.store, &s) != OPS_OK ||
            ops_map_put(r->stores, name, s, NULL) != OPS_OK) {
            ops_rules_store_free(s);
            OPS_LOG(OPS_LOG_ERROR, "rules_without_samples", OPS_KV_SLICE("tenant", name));
        }
    }
}

static void drop_stores(ops_ruler *r)
{
    for (bool again = true; again;) {
        size_t iter = 0;
        ops_slice name;
        void *s;
        again = false;
        while (!again && ops_map_next(r->stores, &iter, &name, &s))
            if (ruler_set_tenant(r->set, name) == NULL) {
                (void)ops_map_del(r->stores, name);
                ops_rules_store_free(s);
                again = true; /* the map changed under the walk */
            }
    }
}

static void adopt(ops_ruler *r, ops_ruler_set *fresh, int64_t now_ms)
{
    ops_ruler_set *old = r->set;
    read_states(r, fresh, now_ms);
    for (size_t i = 0; old != NULL && i < old->groups.n; i++) {
        const ops_slice tenant = ops_slice_str(old->groups.v[i].tenant->name),
                        id = ops_slice_str(old->groups.v[i].id);
        ruler_group *g = ruler_set_group(fresh, tenant, id);
        if (g != NULL)
            go_on(g, &old->groups.v[i]);
        else
            ruler_tell_gone(r, tenant, id, now_ms);
    }
    (void)pthread_mutex_lock(&r->lock);
    make_stores(r, fresh);
    r->set = fresh;
    atomic_store(&r->active, fresh->groups.n > 0);
    (void)pthread_mutex_unlock(&r->lock);
    ops_ruler_set_free(old);
    drop_stores(r);
    ruler_count(r, RULER_ROW_RELOADS, NULL, 1);
    OPS_LOG(OPS_LOG_INFO, "rules_in_force", OPS_KV_U64("groups", fresh->groups.n));
    /* What came in meanwhile is in the log as well: taken in after it, it is there already. */
    ruler_history(r, now_ms);
    ruler_drain(r, false);
}

/* The latest of the group's instants that is not after now. */
static int64_t slot_of(const ruler_group *g, int64_t now_ms)
{
    int64_t shift = (int64_t)(ops_hash64(g->id, OPS_RULER_ID_LEN, 3) % (uint64_t)g->interval_ms);
    return (now_ms - shift) / g->interval_ms * g->interval_ms + shift;
}

static void ask_group(ops_ruler *r, ruler_group *g, int64_t now_ms)
{
    const int64_t slot = slot_of(g, now_ms);
    /* At first, and when the clock went back: from the next instant on. */
    if (g->next_ms == INT64_MIN || g->next_ms > slot + g->interval_ms) {
        g->next_ms = slot + g->interval_ms;
        return;
    }
    if (now_ms < g->next_ms)
        return;
    const uint64_t missed = (uint64_t)(slot - g->next_ms) / (uint64_t)g->interval_ms;
    ruler_count(r, RULER_ROW_MISSED, NULL, missed);
    (void)pthread_mutex_lock(&r->lock);
    g->missed += missed;
    (void)pthread_mutex_unlock(&r->lock);
    g->next_ms = slot + g->interval_ms;
    if (ruler_store_of(r, ops_slice_str(g->tenant->name)) != NULL)
        ruler_turn(r, g, slot);
}

static void trim(ops_ruler *r, int64_t now_ms)
{
    size_t iter = 0;
    ops_slice name;
    void *s;
    if (now_ms - r->trimmed_ms < TRIM_MS && now_ms >= r->trimmed_ms)
        return;
    r->trimmed_ms = now_ms;
    while (ops_map_next(r->stores, &iter, &name, &s)) {
        const ruler_tenant *t = ruler_set_tenant(r->set, name);
        ops_rules_store_stats stats;
        /* A turn may be late by an interval: what it looks at must still be there. */
        if (t != NULL)
            ops_rules_store_trim(s, now_ms - t->keep_ms - 2 * TRIM_MS);
        ops_rules_store_stats_get(s, &stats);
        ops_metric_set(ops_metric_at_n(r->metrics, RULER_ROW_SERIES, &name, 1), (double)stats.series);
        ops_metric_set(ops_metric_at_n(r->metrics, RULER_ROW_BYTES, &name, 1), (double)stats.bytes);
    }
}

void ops_ruler_step(ops_ruler *r, int64_t now_ms)
{
    (void)pthread_mutex_lock(&r->lock);
    ops_ruler_set *fresh = OPS_STEAL(r->next);
    (void)pthread_mutex_unlock(&r->lock);
    if (fresh != NULL)
        adopt(r, fresh, now_ms);
    if (r->set == NULL)
        return;
    make_stores(r, r->set); /* one may have found no memory */
    ruler_drain(r, true);
    for (size_t i = 0; i < r->set->groups.n && !atomic_load(&r->stopping); i++)
        ask_group(r, &r->set->groups.v[i], now_ms);
    trim(r, now_ms);
}

/* Until the next instant of a group, but not long: samples that wait take room. */
static int64_t wait_ms(const ops_ruler *r, int64_t now_ms)
{
    int64_t ms = WAIT_MS_MAX;
    for (size_t i = 0; r->set != NULL && i < r->set->groups.n; i++) {
        const int64_t until = r->set->groups.v[i].next_ms - now_ms;
        if (r->set->groups.v[i].next_ms != INT64_MIN && until < ms)
            ms = until;
    }
    return ms > 1 ? ms : 1;
}

static void run(void *u)
{
    ops_ruler *r = u;
    while (!atomic_load(&r->stopping)) {
        struct timespec until;
        ops_ruler_step(r, ops_clock_wall_ns(r->clock) / NS_PER_MS);
        const int64_t ms = wait_ms(r, ops_clock_wall_ns(r->clock) / NS_PER_MS);
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += ms * NS_PER_MS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_mutex_lock(&r->lock);
        if (r->next == NULL && !atomic_load(&r->stopping))
            (void)pthread_cond_timedwait(&r->wake, &r->lock, &until);
        (void)pthread_mutex_unlock(&r->lock);
    }
}

ops_status ops_ruler_start(ops_ruler *r, ops_err *reterr)
{
    return ops_thread_start(run, r, "ruler", &r->thread, reterr);
}

void ops_ruler_stop(ops_ruler *r)
{
    (void)pthread_mutex_lock(&r->lock);
    atomic_store(&r->stopping, true);
    (void)pthread_cond_broadcast(&r->wake);
    (void)pthread_mutex_unlock(&r->lock);
    ops_thread_join(OPS_STEAL(r->thread));
}

static bool show_group(const ruler_group *g, bool (*fn)(void *u, const ops_ruler_group_view *g), void *u)
{
    ops_ruler_rule_view *v = ops_calloc(g->n + 1, sizeof *v);
    ops_ruler_group_view view = {.id = g->id,
                                 .tenant = ops_slice_str(g->tenant->name),
                                 .file = ops_slice_str(g->file),
                                 .name = ops_rules_group_name(g->g),
                                 .interval_ms = g->interval_ms,
                                 .last_ms = g->last_ms,
                                 .duration_ns = g->duration_ns,
                                 .evaluations = g->evaluations,
                                 .missed = g->missed,
                                 .rules = v,
                                 .n = v != NULL ? g->n : 0};
    for (size_t i = 0; i < view.n; i++) {
        const ruler_rule *rule = &g->rules[i];
        v[i] = (ops_ruler_rule_view){.evaluated = rule->evaluated,
                                     .error = rule->error,
                                     .pending = rule->pending,
                                     .firing = rule->firing,
                                     .alerts = rule->alerts,
                                     .alert_n = rule->alert_n};
        ops_rules_group_rule(g->g, i, &v[i].rule);
    }
    bool more = fn(u, &view);
    ops_free(v);
    return more;
}

void ops_ruler_groups(ops_ruler *r, ops_slice tenant, bool (*fn)(void *u, const ops_ruler_group_view *g),
                      void *u)
{
    bool more = true;
    (void)pthread_mutex_lock(&r->lock);
    for (size_t i = 0; r->set != NULL && more && i < r->set->groups.n; i++)
        if (tenant.n == 0 || ops_slice_eq(ops_slice_str(r->set->groups.v[i].tenant->name), tenant))
            more = show_group(&r->set->groups.v[i], fn, u);
    (void)pthread_mutex_unlock(&r->lock);
}

void ops_ruler_text(ops_ruler *r, ops_strbuf *out)
{
    double health[3] = {0}, pending = 0, firing = 0;
    (void)pthread_mutex_lock(&r->lock);
    const size_t groups = r->set != NULL ? r->set->groups.n : 0;
    for (size_t i = 0; i < groups; i++)
        for (size_t k = 0; k < r->set->groups.v[i].n; k++) {
            const ruler_rule *x = &r->set->groups.v[i].rules[k];
            health[!x->evaluated ? 2 : x->error[0] != '\0' ? 1 : 0] += 1;
            pending += (double)x->pending;
            firing += (double)x->firing;
        }
    (void)pthread_mutex_unlock(&r->lock);
    ops_metric_set(ops_metric_at(r->metrics, RULER_ROW_GROUPS, NULL), (double)groups);
    ops_metric_set(ops_metric_at(r->metrics, RULER_ROW_RULES, "ok"), health[0]);
    ops_metric_set(ops_metric_at(r->metrics, RULER_ROW_RULES, "failed"), health[1]);
    ops_metric_set(ops_metric_at(r->metrics, RULER_ROW_RULES, "unknown"), health[2]);
    ops_metric_set(ops_metric_at(r->metrics, RULER_ROW_ALERTS, "pending"), pending);
    ops_metric_set(ops_metric_at(r->metrics, RULER_ROW_ALERTS, "firing"), firing);
    ops_metrics_text(r->metrics, out);
}
