/* Time passes: incidents whose findings are over resolve, those that nothing can reach leave memory. */
#include <stdio.h>

#include "coordinator/incident/correlator_internal.h"

static bool any_open(const Ops__V1__Incident *m)
{
    for (size_t i = 0; i < m->n_findings; i++)
        if (m->findings[i]->state == OPS__V1__FINDING_STATE__FINDING_STATE_OPEN)
            return true;
    return false;
}

static ops_status resolve(incident_tenant *t, size_t place, int64_t now_ns, const char *why, ops_err *reterr)
{
    incident_draft *d = incident_draft_of(t, place);
    if (d == NULL || !incident_note(t, d, now_ns, OPS__V1__INCIDENT_ENTRY_KIND__INCIDENT_ENTRY_KIND_RESOLVED,
                                    "", NULL, why))
        return ops_fail(reterr, OPS_ENOMEM, "tenant %s: incidents", t->name);
    incident_resolve(t, d, now_ns, "");
    return OPS_OK;
}

static bool out_of_reach(const incident_tenant *t, const Ops__V1__Incident *m, int64_t now_ns)
{
    if (incident_is_live(m))
        return false;
    if (m->state == OPS__V1__INCIDENT_STATE__INCIDENT_STATE_MERGED)
        return true;
    return !any_open(m) && ops_time_after(now_ns, m->last_time_unix_nano) >
                               t->c->conf.resolve_after_ns + t->c->conf.reopen_within_ns;
}

/* Of what is in memory only because its findings are still open, the oldest gives way. */
static void bound_memory(incident_tenant *t)
{
    while (t->live.n > INCIDENT_LIVE_MAX) {
        size_t oldest = t->live.n;
        for (size_t i = 0; i < t->live.n; i++)
            if (!incident_is_live(t->live.v[i]) &&
                (oldest == t->live.n ||
                 t->live.v[i]->last_time_unix_nano < t->live.v[oldest]->last_time_unix_nano))
                oldest = i;
        if (oldest == t->live.n)
            return;
        incident_tenant_drop(t, oldest);
    }
}

ops_status incident_tick(incident_tenant *t, int64_t now_ns, ops_err *reterr)
{
    ops_status st = OPS_OK;
    if (t->drafts.n == 0) { /* places hold still while there are drafts */
        for (size_t i = 0; i < t->live.n;)
            if (out_of_reach(t, t->live.v[i], now_ns))
                incident_tenant_drop(t, i);
            else
                i++;
        bound_memory(t);
    }
    for (size_t i = 0; st == OPS_OK && i < t->live.n; i++) {
        const Ops__V1__Incident *m = incident_now(t, i);
        if (incident_is_live(m) && m->reopened_by[0] == '\0' && !any_open(m) &&
            ops_time_after(now_ns, m->last_time_unix_nano) >= t->c->conf.resolve_after_ns)
            st = resolve(t, i, now_ns, "all of its findings are over", reterr);
    }
    return st;
}

ops_status incident_make_room(incident_tenant *t, int64_t now_ns, ops_err *reterr)
{
    size_t open = 0, oldest = 0, n = t->live.n;
    int64_t longest = INT64_MAX;
    for (size_t i = 0; i < t->drafts.n; i++)
        n += t->drafts.v[i]->before == NULL;
    for (size_t i = 0; i < n; i++) {
        const Ops__V1__Incident *m = incident_now(t, i);
        if (!incident_is_live(m))
            continue;
        open++;
        if (m->last_time_unix_nano < longest) {
            longest = m->last_time_unix_nano;
            oldest = i;
        }
    }
    if (open < t->c->conf.open_max)
        return OPS_OK;
    return resolve(t, oldest, now_ns, "to make room: too many are open, and this one was untouched longest",
                   reterr);
}
