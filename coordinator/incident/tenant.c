/* What is in memory of each tenant: incidents that may still change, and what is remembered. */
#include <string.h>

#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "coordinator/incident/correlator_internal.h"

enum { ARENA_BYTES_MAX = 256 << 20, AUDIT_BYTES_MAX = 16 << 10 };

bool incident_is_live(const Ops__V1__Incident *m)
{
    return m->state == OPS__V1__INCIDENT_STATE__INCIDENT_STATE_OPEN ||
           m->state == OPS__V1__INCIDENT_STATE__INCIDENT_STATE_ACKNOWLEDGED;
}

void incident_tenant_turn_clear(incident_tenant *t)
{
    t->drafts.n = t->rows.n = t->notices.n = 0;
    t->new_memory = NULL;
    t->topology_changed = t->names_known = false;
    t->audit = NULL;
    t->packed_memory = t->packed_audit = (ops_slice){0};
    ops_arena_clear(&t->arena);
}

static void tenant_free(incident_tenant *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->live.n; i++)
        ops__v1__incident__free_unpacked(t->live.v[i], NULL);
    ops_vec_done(&t->live);
    ops_vec_done(&t->drafts);
    ops_vec_done(&t->rows);
    ops_vec_done(&t->notices);
    ops_topology_free(t->topology);
    if (t->memory != NULL)
        ops__v1__incident_memory__free_unpacked(t->memory, NULL);
    ops_arena_done(&t->arena);
    ops_free(t->name);
    ops_free(t);
}

void incident_tenants_forget(ops_correlator *c)
{
    size_t iter = 0;
    ops_slice name;
    void *t;
    while (ops_map_next(c->tenants, &iter, &name, &t))
        tenant_free(t);
    ops_map_free(c->tenants);
    c->tenants = NULL;
}

static ops_status tenant_new(ops_correlator *c, ops_slice name, incident_tenant **ret, ops_err *reterr)
{
    incident_tenant *t = ops_calloc(1, sizeof *t);
    if (t == NULL || (t->name = ops_strndup(name.p, name.n)) == NULL) {
        ops_free(t);
        return ops_fail(reterr, OPS_ENOMEM, "tenant " OPS_SLICE_FMT ": incidents", OPS_SLICE_ARG(name));
    }
    t->c = c;
    ops_arena_init(&t->arena, ARENA_BYTES_MAX);
    ops_status st = incident_memory_load(t, reterr);
    if (st == OPS_OK && (st = ops_map_put(c->tenants, name, t, NULL)) != OPS_OK)
        (void)ops_fail(reterr, st, "tenant %s: incidents", t->name);
    if (st == OPS_OK)
        *ret = t;
    else
        tenant_free(t);
    return st;
}

ops_status incident_tenant_open(ops_correlator *c, ops_slice name, incident_tenant **ret, ops_err *reterr)
{
    incident_tenant *t = ops_map_get(c->tenants, name);
    if (t != NULL) {
        *ret = t;
        return OPS_OK;
    }
    if (ops_map_count(c->tenants) >= c->conf.tenants_max)
        return ops_fail(reterr, OPS_EAGAIN,
                        "tenant " OPS_SLICE_FMT ": %zu tenants have incidents, no more fit",
                        OPS_SLICE_ARG(name), c->conf.tenants_max);
    return tenant_new(c, name, ret, reterr);
}

static ops_status read_one(ops_slice id, ops_slice body, uint64_t revision, Ops__V1__Incident **ret,
                           ops_err *reterr)
{
    *ret = ops__v1__incident__unpack(NULL, body.n, (const uint8_t *)body.p);
    if (*ret == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "incident " OPS_SLICE_FMT " does not read", OPS_SLICE_ARG(id));
    (*ret)->revision = revision;
    return OPS_OK;
}

/* May findings still reach it? */
static bool may_change(const ops_correlator *c, const Ops__V1__Incident *m)
{
    if (incident_is_live(m))
        return true;
    if (m->state == OPS__V1__INCIDENT_STATE__INCIDENT_STATE_MERGED)
        return false;
    for (size_t i = 0; i < m->n_findings; i++)
        if (m->findings[i]->state == OPS__V1__FINDING_STATE__FINDING_STATE_OPEN)
            return true;
    return ops_time_after(c->newest_ns, m->last_time_unix_nano) <=
           c->conf.resolve_after_ns + c->conf.reopen_within_ns;
}

static ops_status keep(incident_tenant *t, Ops__V1__Incident *take_m, ops_err *reterr)
{
    if (ops_vec_push(&t->live, take_m))
        return OPS_OK;
    ops__v1__incident__free_unpacked(take_m, NULL);
    return ops_fail(reterr, OPS_ENOMEM, "tenant %s: incidents", t->name);
}

/* The newest event time comes first, since it decides what is kept. */
static ops_status look_at(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                          ops_err *reterr)
{
    ops_correlator *c = u;
    Ops__V1__Incident *m = NULL;
    (void)tenant;
    ops_status st = read_one(f->id, f->body, revision, &m, reterr);
    if (st != OPS_OK)
        return st;
    c->newest_ns = m->last_time_unix_nano > c->newest_ns ? m->last_time_unix_nano : c->newest_ns;
    ops__v1__incident__free_unpacked(m, NULL);
    return OPS_OK;
}

static ops_status load_one(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                           ops_err *reterr)
{
    ops_correlator *c = u;
    incident_tenant *t = NULL;
    Ops__V1__Incident *m = NULL;
    ops_status st = read_one(f->id, f->body, revision, &m, reterr);
    if (st == OPS_OK && !may_change(c, m)) {
        ops__v1__incident__free_unpacked(m, NULL);
        return OPS_OK;
    }
    if (st == OPS_OK)
        st = incident_tenant_open(c, tenant, &t, reterr);
    if (st == OPS_OK)
        return keep(t, m, reterr);
    if (m != NULL)
        ops__v1__incident__free_unpacked(m, NULL);
    return st == OPS_EAGAIN ? OPS_OK : st;
}

ops_status incident_tenants_load(ops_correlator *c, ops_err *reterr)
{
    incident_tenants_forget(c);
    if ((c->tenants = ops_map_new()) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "incidents");
    ops_status st = ops_repo_incidents_position(c->conf.repo, &c->position, reterr);
    c->catching_up = c->position == 0;
    if (st == OPS_OK)
        st = ops_repo_incidents_since(c->conf.repo, 0, look_at, c, reterr);
    if (st == OPS_OK)
        st = ops_repo_incidents_since(c->conf.repo, 0, load_one, c, reterr);
    if (st != OPS_OK)
        incident_tenants_forget(c);
    return st;
}

struct fetching {
    incident_tenant *t;
};

static ops_status fetch_one(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                            ops_err *reterr)
{
    incident_tenant *t = ((struct fetching *)u)->t;
    Ops__V1__Incident *m = NULL;
    (void)tenant;
    ops_status st = read_one(f->id, f->body, revision, &m, reterr);
    return st == OPS_OK ? keep(t, m, reterr) : st;
}

ops_status incident_tenant_fetch(incident_tenant *t, ops_slice id, size_t *ret_place, ops_err *reterr)
{
    struct fetching x = {t};
    for (size_t i = 0; i < t->live.n; i++)
        if (ops_slice_eq(ops_slice_str(t->live.v[i]->id), id)) {
            *ret_place = i;
            return OPS_OK;
        }
    if (id.n == 0 || id.n > OPS_REPO_NAME_BYTES_MAX)
        return ops_fail(reterr, OPS_ENOTFOUND, "no incident '" OPS_SLICE_FMT "'",
                        OPS_SLICE_ARG(ops_slice_sub(id, 0, 64)));
    ops_status st = ops_repo_incident_get(t->c->conf.repo, ops_slice_str(t->name), id, fetch_one, &x, reterr);
    if (st == OPS_OK)
        *ret_place = t->live.n - 1;
    return st;
}

void incident_tenant_drop(incident_tenant *t, size_t place)
{
    ops__v1__incident__free_unpacked(t->live.v[place], NULL);
    t->live.v[place] = t->live.v[--t->live.n];
}

bool incident_tenant_changed(const incident_tenant *t)
{
    return t->drafts.n > 0 || t->new_memory != NULL || t->topology_changed;
}

static ops_status pack_draft(incident_tenant *t, incident_draft *d, ops_err *reterr)
{
    d->m.revision = 0;
    const size_t n = ops__v1__incident__get_packed_size(&d->m);
    if (n > INCIDENT_BODY_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "incident %s of %zu bytes", d->m.id, n);
    uint8_t *to = ops_arena_alloc(&t->arena, n + 1);
    if (to == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "incident %s of %zu bytes", d->m.id, n);
    const ops_repo_finding row = {ops_slice_str(d->m.id),
                                  ops_slice_of(to, ops__v1__incident__pack(&d->m, to))};
    return ops_vec_push(&t->rows, row) ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "incident %s", d->m.id);
}

static ops_status pack_notice(incident_tenant *t, const incident_draft *d, ops_err *reterr)
{
    ops_strbuf b;
    if (!t->c->conf.notices || !d->tell)
        return OPS_OK;
    ops_strbuf_init(&b, INCIDENT_BODY_MAX);
    ops_status st = incident_notice(&d->m, &b, reterr);
    const ops_slice kept = st == OPS_OK ? ops_arena_dup(&t->arena, ops_strbuf_get(&b)) : (ops_slice){0};
    ops_strbuf_done(&b);
    if (st != OPS_OK)
        return st;
    return kept.p != NULL && ops_vec_push(&t->notices, kept)
               ? OPS_OK
               : ops_fail(reterr, OPS_ENOMEM, "incident %s", d->m.id);
}

static ops_status pack_audit(incident_tenant *t, ops_err *reterr)
{
    if (t->audit == NULL)
        return OPS_OK;
    const size_t n = ops__v1__incident_act__get_packed_size(t->audit);
    uint8_t *to = n <= AUDIT_BYTES_MAX ? ops_arena_alloc(&t->arena, n + 1) : NULL;
    if (to == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "audit of %zu bytes", n);
    t->packed_audit = ops_slice_of(to, ops__v1__incident_act__pack(t->audit, to));
    return OPS_OK;
}

ops_status incident_tenant_pack(incident_tenant *t, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < t->drafts.n; i++) {
        st = incident_draft_finish(t, t->drafts.v[i], reterr);
        if (st == OPS_OK)
            st = pack_draft(t, t->drafts.v[i], reterr);
        if (st == OPS_OK)
            st = pack_notice(t, t->drafts.v[i], reterr);
    }
    if (st == OPS_OK)
        st = incident_memory_pack(t, reterr);
    return st == OPS_OK ? pack_audit(t, reterr) : st;
}

ops_status incident_tenant_adopt(incident_tenant *t, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < t->drafts.n; i++) {
        const incident_draft *d = t->drafts.v[i];
        Ops__V1__Incident *m = NULL;
        st = read_one(t->rows.v[i].id, t->rows.v[i].body, 0, &m, reterr);
        if (st == OPS_OK && d->before == NULL) {
            st = keep(t, m, reterr);
        } else if (st == OPS_OK) {
            ops__v1__incident__free_unpacked(t->live.v[d->place], NULL);
            t->live.v[d->place] = m;
        }
    }
    if (st == OPS_OK && t->packed_memory.p != NULL) {
        Ops__V1__IncidentMemory *m =
            ops__v1__incident_memory__unpack(NULL, t->packed_memory.n, (const uint8_t *)t->packed_memory.p);
        if (m == NULL)
            return ops_fail(reterr, OPS_ENOMEM, "tenant %s: incidents", t->name);
        ops__v1__incident_memory__free_unpacked(t->memory, NULL);
        t->memory = m;
    }
    return st;
}
