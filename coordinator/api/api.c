/* The method table, and getting off the transport's threads. */
#include "coordinator/api/api.h"

#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/api/internal.h"

typedef struct job {
    ops_api *api;
    ops_rpc_call *call;
    ops_slice req;
    api_work work;
} job;

static void run_job(void *u)
{
    job *j = u;
    if (atomic_load(&j->api->stopping))
        ops_rpc_finish(j->call, OPS_EUNAVAILABLE, "opsd is stopping", NULL);
    else
        j->work(j->api, j->call, j->req);
    ops_free(j);
}

/* Hands the call to a pool; the request's bytes live until the call is ended. */
static bool hand_over(ops_api *a, ops_rpc_call *c, ops_slice req, ops_pool *pool, api_work work)
{
    job *j = ops_malloc(sizeof *j);
    ops_status st = OPS_ENOMEM;
    if (j != NULL) {
        *j = (job){a, c, req, work};
        st = ops_pool_post(pool, run_job, j);
    }
    if (st != OPS_OK) {
        const ops_rpc_details d = {.retry_ms = 1000, .reason = "API_BUSY", .domain = "opsd"};
        ops_free(j);
        ops_rpc_finish(c, st == OPS_ECANCELLED ? OPS_EUNAVAILABLE : st, "too many requests wait", &d);
    }
    return false;
}

#define HANDLER(name, pool_of)                                                                               \
    static bool on_##name(ops_rpc_call *c, ops_slice req, void *svc)                                         \
    {                                                                                                        \
        ops_api *a = svc;                                                                                    \
        return hand_over(a, c, req, a->pool_of, api_##name);                                                 \
    }
HANDLER(list_findings, pool)
HANDLER(get_finding, pool)
HANDLER(give_feedback, pool)
HANDLER(get_status, pool)
HANDLER(list_partitions, pool)
HANDLER(list_workers, pool)
HANDLER(list_streams, pool)
HANDLER(list_series, pool)
HANDLER(list_rule_groups, pool)
HANDLER(list_templates, pool)
HANDLER(get_template, pool)
HANDLER(list_pin_changes, pool)
HANDLER(list_deadletters, pool)
HANDLER(create_silence, pool)
HANDLER(list_silences, pool)
HANDLER(expire_silence, pool)
HANDLER(list_incidents, pool)
HANDLER(get_incident, pool)
HANDLER(acknowledge_incident, pool)
HANDLER(resolve_incident, pool)
HANDLER(reopen_incident, pool)
HANDLER(merge_incidents, pool)
HANDLER(split_incident, pool)
HANDLER(give_incident_feedback, pool)
HANDLER(list_incident_acts, pool)
HANDLER(check_storage, record_pool)
HANDLER(query_records, record_pool)

static void ignore_cancel(ops_rpc_call *c, void *svc)
{
    (void)c; /* whoever works on the call sees it and ends it */
    (void)svc;
}

static void fill_rows(ops_api *a)
{
    const int view = a->conf.role_view, operate = a->conf.role_operate, admin = a->conf.role_admin;
    const ops_rpc_method rows[] = {
        {"/ops.v1.FindingService/ListFindings", OPS_RPC_UNARY, .role = view, .message = on_list_findings},
        {"/ops.v1.FindingService/GetFinding", OPS_RPC_UNARY, .role = view, .message = on_get_finding},
        {"/ops.v1.FindingService/GiveFeedback", OPS_RPC_UNARY, .role = operate, .message = on_give_feedback},
        {"/ops.v1.FindingService/WatchFindings", OPS_RPC_SERVER_STREAM, .role = view,
         .message = api_on_watch_findings, .writable = api_on_watch_room, .cancelled = api_on_watch_gone,
         .done = api_watch_done},
        {"/ops.v1.ClusterService/GetStatus", OPS_RPC_UNARY, .role = view, .message = on_get_status},
        {"/ops.v1.ClusterService/ListPartitions", OPS_RPC_UNARY, .role = view, .message = on_list_partitions},
        {"/ops.v1.ClusterService/ListWorkers", OPS_RPC_UNARY, .role = view, .message = on_list_workers},
        {"/ops.v1.ClusterService/ListStreams", OPS_RPC_UNARY, .role = view, .message = on_list_streams},
        {"/ops.v1.ClusterService/ListSeries", OPS_RPC_UNARY, .role = view, .message = on_list_series},
        {"/ops.v1.ClusterService/ListRuleGroups", OPS_RPC_UNARY, .role = view,
         .message = on_list_rule_groups},
        {"/ops.v1.ClusterService/ListTemplates", OPS_RPC_UNARY, .role = view, .message = on_list_templates},
        {"/ops.v1.ClusterService/GetTemplate", OPS_RPC_UNARY, .role = view, .message = on_get_template},
        {"/ops.v1.ClusterService/ListPinChanges", OPS_RPC_UNARY, .role = view,
         .message = on_list_pin_changes},
        {"/ops.v1.ClusterService/ListDeadLetters", OPS_RPC_UNARY, .role = view,
         .message = on_list_deadletters},
        {"/ops.v1.SilenceService/CreateSilence", OPS_RPC_UNARY, .role = operate,
         .message = on_create_silence},
        {"/ops.v1.SilenceService/ListSilences", OPS_RPC_UNARY, .role = view, .message = on_list_silences},
        {"/ops.v1.SilenceService/ExpireSilence", OPS_RPC_UNARY, .role = operate,
         .message = on_expire_silence},
        {"/ops.v1.IncidentService/ListIncidents", OPS_RPC_UNARY, .role = view, .message = on_list_incidents},
        {"/ops.v1.IncidentService/GetIncident", OPS_RPC_UNARY, .role = view, .message = on_get_incident},
        {"/ops.v1.IncidentService/AcknowledgeIncident", OPS_RPC_UNARY, .role = operate,
         .message = on_acknowledge_incident},
        {"/ops.v1.IncidentService/ResolveIncident", OPS_RPC_UNARY, .role = operate,
         .message = on_resolve_incident},
        {"/ops.v1.IncidentService/ReopenIncident", OPS_RPC_UNARY, .role = operate,
         .message = on_reopen_incident},
        {"/ops.v1.IncidentService/MergeIncidents", OPS_RPC_UNARY, .role = operate,
         .message = on_merge_incidents},
        {"/ops.v1.IncidentService/SplitIncident", OPS_RPC_UNARY, .role = operate,
         .message = on_split_incident},
        {"/ops.v1.IncidentService/GiveIncidentFeedback", OPS_RPC_UNARY, .role = operate,
         .message = on_give_incident_feedback},
        {"/ops.v1.IncidentService/ListIncidentActs", OPS_RPC_UNARY, .role = view,
         .message = on_list_incident_acts},
        {"/ops.v1.IncidentService/WatchIncidents", OPS_RPC_SERVER_STREAM, .role = view,
         .message = api_on_watch_incidents, .writable = api_on_watch_room, .cancelled = api_on_watch_gone,
         .done = api_watch_done},
        {"/ops.v1.ClusterService/CheckStorage", OPS_RPC_UNARY, .role = admin, .message = on_check_storage},
        {"/ops.v1.ClusterService/QueryRecords", OPS_RPC_SERVER_STREAM, .role = view,
         .message = on_query_records, .cancelled = ignore_cancel},
    };
    _Static_assert(sizeof rows / sizeof *rows <= API_ROWS, "rows fit");
    a->method_count = sizeof rows / sizeof *rows;
    memcpy(a->methods, rows, sizeof rows);
    for (size_t i = 0; i < a->method_count; i++)
        a->methods[i].svc = a;
}

ops_status ops_api_new(const ops_api_conf *conf, ops_api **ret, ops_err *reterr)
{
    ops_api *a = ops_calloc(1, sizeof *a);
    if (a == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "api");
    a->conf = *conf;
    a->ports = *conf->ports;
    if (a->conf.threads == 0)
        a->conf.threads = 2;
    if (a->conf.record_threads == 0)
        a->conf.record_threads = 4;
    if (a->conf.queue_max == 0)
        a->conf.queue_max = 256;
    if (a->conf.watchers_max == 0)
        a->conf.watchers_max = 256;
    if (a->conf.heartbeat_ms == 0)
        a->conf.heartbeat_ms = 15000;
    pthread_condattr_t mono;
    (void)pthread_condattr_init(&mono);
    (void)pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&a->lock, NULL);
    (void)pthread_cond_init(&a->changed, &mono);
    (void)pthread_condattr_destroy(&mono);
    fill_rows(a);
    ops_status st = ops_pool_new("api", a->conf.threads, a->conf.queue_max, &a->pool, reterr);
    if (st == OPS_OK)
        st = ops_pool_new("api-records", a->conf.record_threads, 16, &a->record_pool, reterr);
    if (st == OPS_OK)
        st = ops_thread_start(api_watch_run, a, "api-watch", &a->watch_thread, reterr);
    if (st != OPS_OK) {
        ops_api_free(a);
        return st;
    }
    *ret = a;
    return OPS_OK;
}

ops_status ops_api_register(ops_api *a, ops_rpc_server *s, ops_err *reterr)
{
    return ops_rpc_server_add(s, a->methods, a->method_count, reterr);
}

void ops_api_notify(ops_api *a)
{
    (void)pthread_mutex_lock(&a->lock);
    a->news++;
    (void)pthread_cond_broadcast(&a->changed);
    (void)pthread_mutex_unlock(&a->lock);
}

void ops_api_stop(ops_api *a)
{
    atomic_store(&a->stopping, true);
    ops_api_notify(a);
    ops_thread_join(OPS_STEAL(a->watch_thread));
}

void ops_api_free(ops_api *a)
{
    if (a == NULL)
        return;
    ops_api_stop(a);
    ops_pool_free(a->pool);
    ops_pool_free(a->record_pool);
    ops_vec_done(&a->watches);
    (void)pthread_cond_destroy(&a->changed);
    (void)pthread_mutex_destroy(&a->lock);
    ops_free(a);
}

bool api_pack(const ProtobufCMessage *m, ops_strbuf *out)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    char *to = ops_strbuf_room(out, n);
    if (to == NULL)
        return false;
    out->n += protobuf_c_message_pack(m, (uint8_t *)to);
    out->p[out->n] = '\0';
    return true;
}

void api_reply(ops_rpc_call *c, const ProtobufCMessage *m)
{
    ops_strbuf b;
    ops_strbuf_init(&b, API_REPLY_BYTES_MAX);
    if (api_pack(m, &b))
        ops_rpc_reply(c, ops_strbuf_get(&b));
    else
        ops_rpc_finish(c, OPS_ETOOBIG, "the answer is too large: ask for smaller pages", NULL);
    ops_strbuf_done(&b);
}

void api_bad_field(ops_rpc_call *c, const char *field, const char *problem)
{
    ops_rpc_details d = {.reason = "BAD_FIELD", .domain = "opsd"};
    char words[512];
    (void)snprintf(d.field, sizeof d.field, "%s", field);
    (void)snprintf(d.problem, sizeof d.problem, "%s", problem);
    (void)snprintf(words, sizeof words, "%s: %s", field, problem);
    ops_rpc_finish(c, OPS_EINVAL, words, &d);
}

void api_fail(ops_rpc_call *c, ops_status st, const ops_err *err)
{
    ops_rpc_finish(c, st, err->msg, NULL);
}

void api_fail_field(ops_rpc_call *c, ops_status st, const ops_err *err)
{
    const char *colon = strstr(err->msg, ": ");
    char field[64];
    if (st != OPS_EINVAL || colon == NULL || (size_t)(colon - err->msg) >= sizeof field) {
        api_fail(c, st, err);
        return;
    }
    (void)snprintf(field, sizeof field, "%.*s", (int)(colon - err->msg), err->msg);
    api_bad_field(c, field, colon + 2);
}

ops_slice api_tenant(const ops_rpc_call *c)
{
    return ops_slice_str(ops_rpc_call_identity(c)->tenant);
}

bool api_page_size(ops_rpc_call *c, int32_t asked, size_t usual, size_t most, size_t *ret)
{
    if (asked < 0) {
        api_bad_field(c, "page_size", "must not be negative");
        return false;
    }
    *ret = asked == 0 ? usual : (size_t)asked < most ? (size_t)asked : most;
    return true;
}

bool api_page_token(ops_rpc_call *c, const char *token, uint64_t *ret)
{
    *ret = 0;
    if (token[0] == '\0' || ops_slice_to_u64(ops_slice_str(token), ret))
        return true;
    api_bad_field(c, "page_token", "is none that a page ended with");
    return false;
}
