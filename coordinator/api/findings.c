/* FindingService: what findings are to lists and watches, and GiveFeedback. */
#include "coordinator/api/revised.h"

enum { COMMENT_BYTES_MAX = 4096 };

Ops__V1__Finding *api_finding(ops_slice body, uint64_t revision)
{
    Ops__V1__Finding *m = ops__v1__finding__unpack(NULL, body.n, (const uint8_t *)body.p);
    if (m != NULL)
        m->revision = revision;
    return m;
}

static ops_status since(ops_api *a, uint64_t after, ops_api_finding_fn fn, void *fu, ops_err *reterr)
{
    return a->ports.findings_since(a->ports.u, after, fn, fu, reterr);
}

static ops_status get(ops_api *a, ops_slice tenant, ops_slice id, ops_api_finding_fn fn, void *fu,
                      ops_err *reterr)
{
    return a->ports.finding_get(a->ports.u, tenant, id, fn, fu, reterr);
}

static uint64_t newest(ops_api *a)
{
    return a->ports.revision(a->ports.u);
}

static ProtobufCMessage *read_one(ops_api *a, ops_slice body, uint64_t revision)
{
    Ops__V1__Finding *m = api_finding_silenced(a, body, revision);
    return m != NULL ? &m->base : NULL;
}

static bool match(const api_filter *f, const ProtobufCMessage *m)
{
    return api_filter_finding(f, (const Ops__V1__Finding *)m);
}

static uint64_t revision_of(const ProtobufCMessage *m)
{
    return ((const Ops__V1__Finding *)m)->revision;
}

const api_revised api_findings = {.noun = "finding",
                                  .words = {.state = &ops__v1__finding_state__descriptor,
                                            .state_prefix = "FINDING_STATE_",
                                            .states = "open or closed",
                                            .kinds = true},
                                  .since = since,
                                  .get = get,
                                  .newest = newest,
                                  .read = read_one,
                                  .match = match,
                                  .revision_of = revision_of};

void api_list_findings(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    api_revised_list(a, &api_findings, c, req);
}

void api_get_finding(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    api_revised_get(a, &api_findings, c, req);
}

void api_give_feedback(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__GiveFeedbackRequest *q =
        ops__v1__give_feedback_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "GiveFeedbackRequest does not read", NULL);
        return;
    }
    const ops_api_feedback fb = {.tenant = api_tenant(c),
                                 .id = ops_slice_str(q->id),
                                 .author = ops_slice_str(ops_rpc_call_identity(c)->name),
                                 .comment = ops_slice_str(q->comment),
                                 .verdict = (int)q->verdict};
    ops_err err = {0};
    if (q->id[0] == '\0')
        api_bad_field(c, "id", "is empty");
    else if (q->verdict < OPS__V1__VERDICT__VERDICT_USEFUL || q->verdict > OPS__V1__VERDICT__VERDICT_WRONG)
        api_bad_field(c, "verdict", "useful, not useful or wrong");
    else if (fb.comment.n > COMMENT_BYTES_MAX)
        api_bad_field(c, "comment", "is longer than 4096 bytes");
    else {
        /* The same author saying the same again leaves the same state, so request_id needs no memory. */
        ops_status st = a->ports.feedback(a->ports.u, &fb, &err);
        if (st == OPS_OK)
            api_revised_reply(a, &api_findings, c, ops_slice_str(q->id));
        else
            api_fail(c, st, &err);
    }
    ops__v1__give_feedback_request__free_unpacked(q, NULL);
}
