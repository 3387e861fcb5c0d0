/* IncidentService: what incidents are to lists and watches, and what people do to them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/api/revised.h"
#include "coordinator/api/rows.h"

enum { COMMENT_BYTES_MAX = 4096, REQUEST_ID_MAX = 256, COMPONENT_MAX = 256, FINDINGS_MAX = 128 };

static ops_status since(ops_api *a, uint64_t after, ops_api_finding_fn fn, void *fu, ops_err *reterr)
{
    return a->ports.incidents_since(a->ports.u, after, fn, fu, reterr);
}

static ops_status get(ops_api *a, ops_slice tenant, ops_slice id, ops_api_finding_fn fn, void *fu,
                      ops_err *reterr)
{
    return a->ports.incident_get(a->ports.u, tenant, id, fn, fu, reterr);
}

static uint64_t newest(ops_api *a)
{
    return a->ports.incident_revision(a->ports.u);
}

static ProtobufCMessage *read_one(ops_api *a, ops_slice body, uint64_t revision)
{
    Ops__V1__Incident *m = ops__v1__incident__unpack(NULL, body.n, (const uint8_t *)body.p);
    (void)a;
    if (m == NULL)
        return NULL;
    m->revision = revision;
    return &m->base;
}

static bool match(const api_filter *f, const ProtobufCMessage *m)
{
    return api_filter_incident(f, (const Ops__V1__Incident *)m);
}

static uint64_t revision_of(const ProtobufCMessage *m)
{
    return ((const Ops__V1__Incident *)m)->revision;
}

const api_revised api_incidents = {.noun = "incident",
                                   .words = {.state = &ops__v1__incident_state__descriptor,
                                             .state_prefix = "INCIDENT_STATE_",
                                             .states = "open, acknowledged, resolved or merged"},
                                   .since = since,
                                   .get = get,
                                   .newest = newest,
                                   .read = read_one,
                                   .match = match,
                                   .revision_of = revision_of};

void api_list_incidents(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    api_revised_list(a, &api_incidents, c, req);
}

void api_get_incident(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    api_revised_get(a, &api_incidents, c, req);
}

/* Checks what all acts have, does it, and answers with the incident as it then stands. */
static void act(ops_api *a, ops_rpc_call *c, ops_api_incident_act *x)
{
    ops_err err = {0};
    ops_strbuf id;
    x->tenant = api_tenant(c);
    x->who = ops_slice_str(ops_rpc_call_identity(c)->name);
    if (x->id.n == 0) {
        api_bad_field(c, "id", "is empty");
        return;
    }
    if (x->comment.n > COMMENT_BYTES_MAX) {
        api_bad_field(c, "comment", "is longer than 4096 bytes");
        return;
    }
    if (x->request_id.n > REQUEST_ID_MAX) {
        api_bad_field(c, "request_id", "is longer than 256 bytes");
        return;
    }
    ops_strbuf_init(&id, REQUEST_ID_MAX);
    ops_status st = a->ports.incident_act(a->ports.u, x, &id, &err);
    if (st == OPS_OK && id.failed)
        st = ops_fail(&err, OPS_ENOMEM, "an answer");
    if (st == OPS_OK)
        api_revised_reply(a, &api_incidents, c, ops_strbuf_get(&id));
    else
        api_fail_field(c, st, &err);
    ops_strbuf_done(&id);
}

static void act_on(ops_api *a, ops_rpc_call *c, ops_slice req, ops_api_incident_act_kind kind)
{
    Ops__V1__ActOnIncidentRequest *q =
        ops__v1__act_on_incident_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "ActOnIncidentRequest does not read", NULL);
        return;
    }
    ops_api_incident_act x = {.kind = kind,
                              .id = ops_slice_str(q->id),
                              .comment = ops_slice_str(q->comment),
                              .request_id = ops_slice_str(q->request_id)};
    act(a, c, &x);
    ops__v1__act_on_incident_request__free_unpacked(q, NULL);
}

void api_acknowledge_incident(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    act_on(a, c, req, OPS_API_ACKNOWLEDGE);
}

void api_resolve_incident(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    act_on(a, c, req, OPS_API_RESOLVE);
}

void api_reopen_incident(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    act_on(a, c, req, OPS_API_REOPEN);
}

void api_merge_incidents(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__MergeIncidentsRequest *q =
        ops__v1__merge_incidents_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "MergeIncidentsRequest does not read", NULL);
        return;
    }
    ops_api_incident_act x = {.kind = OPS_API_MERGE,
                              .id = ops_slice_str(q->id),
                              .other = ops_slice_str(q->other),
                              .comment = ops_slice_str(q->comment),
                              .request_id = ops_slice_str(q->request_id)};
    if (x.other.n == 0)
        api_bad_field(c, "other", "is empty");
    else
        act(a, c, &x);
    ops__v1__merge_incidents_request__free_unpacked(q, NULL);
}

void api_split_incident(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__SplitIncidentRequest *q =
        ops__v1__split_incident_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    ops_slice ids[FINDINGS_MAX];
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "SplitIncidentRequest does not read", NULL);
        return;
    }
    ops_api_incident_act x = {.kind = OPS_API_SPLIT,
                              .id = ops_slice_str(q->id),
                              .findings = ids,
                              .finding_count = q->n_finding_ids,
                              .comment = ops_slice_str(q->comment),
                              .request_id = ops_slice_str(q->request_id)};
    for (size_t i = 0; i < q->n_finding_ids && i < FINDINGS_MAX; i++)
        ids[i] = ops_slice_str(q->finding_ids[i]);
    if (q->n_finding_ids == 0 || q->n_finding_ids > FINDINGS_MAX)
        api_bad_field(c, "finding_ids", "1 to 128 are expected");
    else
        act(a, c, &x);
    ops__v1__split_incident_request__free_unpacked(q, NULL);
}

void api_give_incident_feedback(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__GiveIncidentFeedbackRequest *q =
        ops__v1__give_incident_feedback_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "GiveIncidentFeedbackRequest does not read", NULL);
        return;
    }
    ops_api_incident_act x = {.kind = OPS_API_SAY,
                              .id = ops_slice_str(q->id),
                              .verdict = (int)q->verdict,
                              .component = ops_slice_str(q->component),
                              .comment = ops_slice_str(q->comment),
                              .request_id = ops_slice_str(q->request_id)};
    if (x.verdict < OPS__V1__INCIDENT_VERDICT__INCIDENT_VERDICT_RIGHT_CAUSE ||
        x.verdict > OPS__V1__INCIDENT_VERDICT__INCIDENT_VERDICT_NOISE)
        api_bad_field(c, "verdict", "right cause, wrong cause or noise");
    else if (x.component.n > COMPONENT_MAX)
        api_bad_field(c, "component", "is longer than 256 bytes");
    else
        act(a, c, &x);
    ops__v1__give_incident_feedback_request__free_unpacked(q, NULL);
}

static bool add_act(void *u, const Ops__V1__IncidentAct *m)
{
    api_rows *rows = u;
    const bool more = api_rows_add(rows, &m->base);
    if (more)
        rows->last = m->number;
    return more;
}

void api_list_incident_acts(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ListIncidentActsRequest *q =
        ops__v1__list_incident_acts_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    Ops__V1__ListIncidentActsResponse tail = OPS__V1__LIST_INCIDENT_ACTS_RESPONSE__INIT;
    ops_err err = {0};
    uint64_t before = 0;
    size_t size = 0;
    char token[32];
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "ListIncidentActsRequest does not read", NULL);
        return;
    }
    if (api_page_size(c, q->page_size, API_ROWS_USUAL, API_ROWS_MAX, &size) &&
        api_page_token(c, q->page_token, &before)) {
        api_rows rows;
        api_rows_init(&rows, 0, size);
        ops_status st = a->ports.incident_acts(a->ports.u, api_tenant(c), before, add_act, &rows, &err);
        if (rows.more) {
            (void)snprintf(token, sizeof token, "%" PRIu64, rows.last);
            tail.next_page_token = token;
        }
        api_rows_reply(&rows, c, st, &err, &tail.base);
        api_rows_done(&rows);
    }
    ops__v1__list_incident_acts_request__free_unpacked(q, NULL);
}
