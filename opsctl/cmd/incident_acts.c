/* ack, resolve, reopen, merge, split, feedback incident: each ends with the incident as it then stands. */
#include <string.h>

#include "opsctl/cmd/incident_show.h"

enum { OWN_COMMENT = REMOTE_OPTIONS, OWN_REQUEST_ID, OWN_CAUSE };

static const ops_conf_row own[] = {
    {"comment", OPS_CONF_STR, "", .help = "Why."},
    {"request_id", OPS_CONF_STR, "", .help = "The same again changes nothing, for scripts that try twice."},
    {"cause", OPS_CONF_STR, "",
     .help = "The component that was, or was not, the cause; else the leading one."},
};

static char *text_of(const ops_remote *r, size_t row)
{
    return (char *)(uintptr_t)ops_conf_str(r->conf, row);
}

static ops_status call(ops_remote *r, const char *path, const ProtobufCMessage *q, ops_err *reterr)
{
    ProtobufCMessage *m = NULL;
    ops_status st = ops_remote_call(r, path, q, &ops__v1__incident__descriptor, &m, reterr);
    if (st != OPS_OK)
        return st;
    ops_incident_show_line(r, (const Ops__V1__Incident *)m);
    protobuf_c_message_free_unpacked(m, NULL);
    return OPS_OK;
}

/* The same act on each incident named. */
static ops_status act_on(ops_verb_ctx *ctx, const char *path, ops_err *reterr)
{
    ops_remote r;
    ops_status st = ops_remote_open(ctx, own, 2, &r, reterr);
    if (st != OPS_OK)
        return st;
    if (ctx->argc == 0)
        st = ops_fail(reterr, OPS_EINVAL, "which incident? 'opsctl get incidents' lists them");
    for (int i = 0; i < ctx->argc && st == OPS_OK; i++) {
        Ops__V1__ActOnIncidentRequest q = OPS__V1__ACT_ON_INCIDENT_REQUEST__INIT;
        q.id = ops_incident_id(ctx->argv[i]);
        q.comment = text_of(&r, OWN_COMMENT);
        q.request_id = text_of(&r, OWN_REQUEST_ID);
        st = call(&r, path, &q.base, reterr);
    }
    ops_remote_close(&r);
    return st;
}

ops_status ops_cmd_ack_incident(ops_verb_ctx *ctx, ops_err *reterr)
{
    return act_on(ctx, "/ops.v1.IncidentService/AcknowledgeIncident", reterr);
}

ops_status ops_cmd_resolve_incident(ops_verb_ctx *ctx, ops_err *reterr)
{
    return act_on(ctx, "/ops.v1.IncidentService/ResolveIncident", reterr);
}

ops_status ops_cmd_reopen_incident(ops_verb_ctx *ctx, ops_err *reterr)
{
    return act_on(ctx, "/ops.v1.IncidentService/ReopenIncident", reterr);
}

ops_status ops_cmd_merge_incident(ops_verb_ctx *ctx, ops_err *reterr)
{
    ops_remote r;
    ops_status st = ops_remote_open(ctx, own, 2, &r, reterr);
    if (st != OPS_OK)
        return st;
    if (ctx->argc < 2)
        st = ops_fail(reterr, OPS_EINVAL, "an incident and those that are to go into it are needed");
    for (int i = 1; i < ctx->argc && st == OPS_OK; i++) {
        Ops__V1__MergeIncidentsRequest q = OPS__V1__MERGE_INCIDENTS_REQUEST__INIT;
        q.id = ops_incident_id(ctx->argv[0]);
        q.other = ops_incident_id(ctx->argv[i]);
        q.comment = text_of(&r, OWN_COMMENT);
        q.request_id = ctx->argc == 2 ? text_of(&r, OWN_REQUEST_ID) : q.request_id;
        st = call(&r, "/ops.v1.IncidentService/MergeIncidents", &q.base, reterr);
    }
    ops_remote_close(&r);
    return st;
}

ops_status ops_cmd_split_incident(ops_verb_ctx *ctx, ops_err *reterr)
{
    Ops__V1__SplitIncidentRequest q = OPS__V1__SPLIT_INCIDENT_REQUEST__INIT;
    ops_remote r;
    ops_status st = ops_remote_open(ctx, own, 2, &r, reterr);
    if (st != OPS_OK)
        return st;
    if (ctx->argc < 2)
        st = ops_fail(reterr, OPS_EINVAL, "an incident and the findings that are to leave it are needed");
    for (int i = 1; i < ctx->argc; i++)
        if (strncmp(ctx->argv[i], "finding/", 8) == 0)
            ctx->argv[i] += 8;
    if (st == OPS_OK) {
        q.id = ops_incident_id(ctx->argv[0]);
        q.finding_ids = ctx->argv + 1;
        q.n_finding_ids = (size_t)ctx->argc - 1;
        q.comment = text_of(&r, OWN_COMMENT);
        q.request_id = text_of(&r, OWN_REQUEST_ID);
        st = call(&r, "/ops.v1.IncidentService/SplitIncident", &q.base, reterr);
    }
    ops_remote_close(&r);
    return st;
}

ops_status ops_cmd_feedback_incident(ops_verb_ctx *ctx, ops_err *reterr)
{
    static const char *const words[] = {"right-cause", "wrong-cause", "noise"};
    Ops__V1__GiveIncidentFeedbackRequest q = OPS__V1__GIVE_INCIDENT_FEEDBACK_REQUEST__INIT;
    ops_remote r;
    ops_status st = ops_remote_open(ctx, own, sizeof own / sizeof *own, &r, reterr);
    if (st != OPS_OK)
        return st;
    for (int i = 0; ctx->argc == 2 && i < 3; i++)
        if (strcmp(ctx->argv[1], words[i]) == 0)
            q.verdict = (Ops__V1__IncidentVerdict)(i + 1);
    if (q.verdict == 0)
        st =
            ops_fail(reterr, OPS_EINVAL, "an incident and one of right-cause, wrong-cause, noise are needed");
    else {
        q.id = ops_incident_id(ctx->argv[0]);
        q.component = text_of(&r, OWN_CAUSE);
        q.comment = text_of(&r, OWN_COMMENT);
        q.request_id = text_of(&r, OWN_REQUEST_ID);
        st = call(&r, "/ops.v1.IncidentService/GiveIncidentFeedback", &q.base, reterr);
    }
    ops_remote_close(&r);
    return st;
}
