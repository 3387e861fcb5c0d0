/* Samples: from the partitions' threads into an arena, from there into the tenants' stores. */
#include "base/log/log.h"
#include "coordinator/ruler/ruler_internal.h"

enum { NS_PER_MS = 1000000 };

void ruler_append(ops_ruler *r, ops_rules_store *s, const ops_rules_label *l, size_t n,
                  const ops_rules_sample *x, bool counted)
{
    ops_status st = x->h != NULL ? ops_rules_store_append_hist(s, l, n, x->t_ms, x->h)
                                 : ops_rules_store_append(s, l, n, x->t_ms, x->v);
    if (!counted)
        return;
    ruler_count(r, RULER_ROW_SAMPLES,
                st == OPS_OK          ? "kept"
                : st == OPS_ERANGE    ? "late"
                : st == OPS_ECONFLICT ? "duplicate"
                : st == OPS_ENOSPC    ? "full"
                                      : "failed",
                1);
}

ops_rules_store *ruler_store_of(ops_ruler *r, ops_slice tenant)
{
    return ops_map_get(r->stores, tenant);
}

static bool has_job(const ops_series_id *id)
{
    for (uint32_t i = 0; i < id->label_count; i++)
        if (ops_slice_eq(id->labels[i].key, OPS_SLICE("job")))
            return true;
    return false;
}

/* The series as Prometheus would have it: what OTLP calls the service is its job. Room for label_count + 2. */
static size_t labels_of(const ops_series_id *id, ops_rules_label *v)
{
    size_t n = 0;
    v[n++] = (ops_rules_label){OPS_RULES_NAME, id->name};
    for (uint32_t i = 0; i < id->label_count; i++)
        v[n++] = (ops_rules_label){id->labels[i].key, id->labels[i].val};
    if (!has_job(id) && id->service.n > 0 && !ops_slice_eq(id->service, OPS_SLICE("unknown_service")))
        v[n++] = (ops_rules_label){OPS_SLICE("job"), id->service};
    return n;
}

static ops_rules_sample sample_of(const ops_sample *s)
{
    const bool stale = (s->flags & OPS_SAMPLE_STALE) != 0;
    return (ops_rules_sample){.t_ms = s->time_ns / NS_PER_MS,
                              .v = stale ? ops_rules_of_bits(OPS_RULES_STALE_BITS) : s->value};
}

/* NULL: no room. */
static ruler_letter *letter_of(ops_arena *a, ops_slice tenant, const ops_series_id *id,
                               const ops_sample *samples, size_t n)
{
    ruler_letter *x = ops_arena_alloc(a, sizeof *x);
    ops_rules_label *l = ops_arena_alloc(a, (id->label_count + 2) * sizeof *l);
    ops_rules_sample *v = ops_arena_alloc(a, (n + 1) * sizeof *v);
    const ops_slice name = ops_arena_dup(a, tenant);
    if (x == NULL || l == NULL || v == NULL || name.p == NULL)
        return NULL;
    *x = (ruler_letter){NULL, name, l, labels_of(id, l), v, n};
    for (size_t i = 0; i < n; i++)
        v[i] = sample_of(&samples[i]);
    for (size_t i = 0; i < x->label_n; i++) {
        l[i].name = ops_arena_dup(a, l[i].name);
        l[i].value = ops_arena_dup(a, l[i].value);
        if (l[i].name.p == NULL || l[i].value.p == NULL)
            return NULL;
    }
    return x;
}

void ops_ruler_samples(ops_ruler *r, ops_slice tenant, const ops_series_id *id, const ops_sample *samples,
                       size_t n)
{
    if (!atomic_load(&r->active))
        return;
    (void)pthread_mutex_lock(&r->lock);
    const ruler_tenant *t = ruler_set_tenant(r->set, tenant);
    const bool wanted = t != NULL && ruler_tenant_names(t, id->name);
    ops_arena *a = &r->inbox[r->inbox_now];
    ruler_letter *x = wanted ? letter_of(a, tenant, id, samples, n) : NULL;
    if (x != NULL) {
        if (r->last != NULL)
            r->last->next = x;
        else
            r->first = x;
        r->last = x;
        if (ops_arena_bytes(a) > r->conf.inbox_bytes_max / 2)
            (void)pthread_cond_signal(&r->wake);
    }
    (void)pthread_mutex_unlock(&r->lock);
    if (wanted && x == NULL)
        ruler_count(r, RULER_ROW_SAMPLES, "dropped", n);
}

static void deliver(ops_ruler *r, const ruler_letter *x, ops_arena *a, bool counted)
{
    const ruler_tenant *t = ruler_set_tenant(r->set, x->tenant);
    ops_rules_store *s = ruler_store_of(r, x->tenant);
    ops_arena_clear(a);
    const ops_rules_labels *l =
        t != NULL && s != NULL ? ops_rules_labels_make(a, x->labels, x->label_n) : NULL;
    if (l == NULL || !ruler_tenant_wants(t, l))
        return;
    for (size_t i = 0; i < x->n; i++)
        ruler_append(r, s, l->v, l->n, &x->v[i], counted);
}

void ruler_drain(ops_ruler *r, bool counted)
{
    ops_arena a;
    ops_arena_init(&a, 1 << 20);
    (void)pthread_mutex_lock(&r->lock);
    const ruler_letter *x = r->first;
    ops_arena *taken = &r->inbox[r->inbox_now];
    r->first = r->last = NULL;
    r->inbox_now ^= 1;
    (void)pthread_mutex_unlock(&r->lock);
    for (; x != NULL; x = x->next)
        deliver(r, x, &a, counted);
    ops_arena_clear(taken); /* the others fill the other one */
    ops_arena_done(&a);
}

typedef struct reading {
    ops_ruler *r;
    ops_arena a;
} reading;

static ops_status on_stored(void *u, ops_slice tenant, const ops_series_id *id, const ops_sample *samples,
                            size_t n, ops_err *reterr)
{
    reading *x = u;
    const ruler_tenant *t = ruler_set_tenant(x->r->set, tenant);
    ops_rules_store *s = ruler_store_of(x->r, tenant);
    (void)reterr;
    if (atomic_load(&x->r->stopping))
        return OPS_ECANCELLED;
    if (t == NULL || s == NULL || !ruler_tenant_names(t, id->name) || id->label_count > OPS_SERIES_LABELS_MAX)
        return OPS_OK;
    ops_rules_label v[OPS_SERIES_LABELS_MAX + 2];
    ops_arena_clear(&x->a);
    const ops_rules_labels *l = ops_rules_labels_make(&x->a, v, labels_of(id, v));
    for (size_t i = 0; l != NULL && ruler_tenant_wants(t, l) && i < n; i++) {
        const ops_rules_sample one = sample_of(&samples[i]);
        ruler_append(x->r, s, l->v, l->n, &one, false);
    }
    return OPS_OK;
}

void ruler_history(ops_ruler *r, int64_t now_ms)
{
    int64_t keep_ms = 0;
    ops_err err = {0};
    for (size_t i = 0; i < r->set->tenants.n; i++)
        if (r->set->tenants.v[i]->keep_ms > keep_ms)
            keep_ms = r->set->tenants.v[i]->keep_ms;
    if (r->ports.history == NULL || keep_ms == 0)
        return;
    reading x = {.r = r};
    ops_arena_init(&x.a, 1 << 20);
    ops_status st = r->ports.history(r->ports.u, (now_ms - keep_ms) * NS_PER_MS, on_stored, &x, &err);
    ops_arena_done(&x.a);
    if (st != OPS_OK && !atomic_load(&r->stopping))
        OPS_LOG(OPS_LOG_WARN, "rules_without_history", OPS_KV_STR("why", err.msg));
}
