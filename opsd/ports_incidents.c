/* The API's questions about incidents, and what people do to them. */
#include "opsd/daemon.h"

enum { TOPIC_MAX = 512 };

_Static_assert((int)OPS_API_ACKNOWLEDGE == (int)OPS_INCIDENT_ACKNOWLEDGE &&
                   (int)OPS_API_MERGE == (int)OPS_INCIDENT_MERGE && (int)OPS_API_SAY == (int)OPS_INCIDENT_SAY,
               "the API's acts are the correlator's");

struct hand_on {
    ops_api_finding_fn fn;
    void *fu;
};

static ops_status on_incident(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                              ops_err *reterr)
{
    const struct hand_on *h = u;
    (void)reterr;
    return h->fn(h->fu, tenant, revision, f->body) ? OPS_OK : OPS_ECANCELLED;
}

static ops_status incidents_since(void *u, uint64_t after, ops_api_finding_fn fn, void *fu, ops_err *reterr)
{
    struct hand_on h = {fn, fu};
    return ops_repo_incidents_since(((opsd_daemon *)u)->stores.repo, after, on_incident, &h, reterr);
}

static ops_status incident_get(void *u, ops_slice tenant, ops_slice id, ops_api_finding_fn fn, void *fu,
                               ops_err *reterr)
{
    struct hand_on h = {fn, fu};
    ops_status st =
        ops_repo_incident_get(((opsd_daemon *)u)->stores.repo, tenant, id, on_incident, &h, reterr);
    return st == OPS_ECANCELLED ? OPS_OK : st;
}

static uint64_t incident_revision(void *u)
{
    return ops_repo_incident_revision(((opsd_daemon *)u)->stores.repo);
}

static ops_status incident_act(void *u, const ops_api_incident_act *act, ops_strbuf *ret_id, ops_err *reterr)
{
    const ops_incident_act x = {.kind = (ops_incident_act_kind)act->kind,
                                .tenant = act->tenant,
                                .id = act->id,
                                .who = act->who,
                                .comment = act->comment,
                                .request_id = act->request_id,
                                .other = act->other,
                                .findings = act->findings,
                                .finding_count = act->finding_count,
                                .verdict = act->verdict,
                                .component = act->component};
    return ops_correlator_act(((opsd_daemon *)u)->incidents, &x, ret_id, reterr);
}

struct telling {
    bool (*fn)(void *fu, const Ops__V1__IncidentAct *m);
    void *fu;
};

static ops_status on_act(void *u, uint64_t number, ops_slice body, ops_err *reterr)
{
    const struct telling *t = u;
    Ops__V1__IncidentAct *m = ops__v1__incident_act__unpack(NULL, body.n, (const uint8_t *)body.p);
    if (m == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "audit of incidents: entry %llu does not read",
                        (unsigned long long)number);
    m->number = number;
    const bool more = t->fn(t->fu, m);
    ops__v1__incident_act__free_unpacked(m, NULL);
    return more ? OPS_OK : OPS_ECANCELLED;
}

static ops_status incident_acts(void *u, ops_slice tenant, uint64_t before,
                                bool (*fn)(void *fu, const Ops__V1__IncidentAct *m), void *fu,
                                ops_err *reterr)
{
    struct telling t = {fn, fu};
    ops_strbuf topic;
    ops_strbuf_init(&topic, TOPIC_MAX);
    ops_repo_incident_topic(tenant, &topic);
    ops_status st = topic.failed ? ops_fail(reterr, OPS_ENOMEM, "audit of incidents")
                                 : ops_repo_audit_scan(((opsd_daemon *)u)->stores.repo,
                                                       ops_strbuf_get(&topic), before, on_act, &t, reterr);
    ops_strbuf_done(&topic);
    return st;
}

void opsd_incident_ports(ops_api_ports *ret)
{
    ret->incidents_since = incidents_since;
    ret->incident_get = incident_get;
    ret->incident_revision = incident_revision;
    ret->incident_act = incident_act;
    ret->incident_acts = incident_acts;
}
