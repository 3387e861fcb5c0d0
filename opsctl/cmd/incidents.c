/* get incidents, get acts, describe incident, watch incidents. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/time/clock.h"
#include "base/time/rfc3339.h"
#include "opsctl/cmd/incident_show.h"
#include "opsctl/remote/watch.h"

enum { OWN_LIMIT = REMOTE_OPTIONS, OWN_FILTER, OWN_FAIL_ON };
enum { OWN_FROM = REMOTE_OPTIONS, OWN_WATCH_FILTER, OWN_FOR, OWN_UNTIL_FOUND };
enum { PAGE = 200, EXIT_FOUND = 3, SUMMARY_COLUMNS = 80 };

static const ops_conf_row get_own[] = {
    {"limit", OPS_CONF_UINT, "1000", .help = "At most so many rows; 0: all."},
    {"filter", OPS_CONF_STR, "", .help = "state=open severity>=warning service=... since=... until=..."},
    {"fail_on", OPS_CONF_STR, "", .help = "incidents: exit with 3 when there are any."},
};
static const ops_conf_row watch_own[] = {
    {"from_revision", OPS_CONF_UINT, "0", .help = "Changes after this revision; 0: all there are."},
    {"filter", OPS_CONF_STR, "", .help = "state=open severity>=warning service=..."},
    {"for", OPS_CONF_DURATION, "0s", .help = "End after this long; 0: never."},
    {"until_found", OPS_CONF_BOOL, "false", .help = "End with the first incident."},
};

typedef struct listing {
    ops_remote r;
    ops_table table;
    int64_t now_ns;
    uint64_t shown, limit;
} listing;

static bool full(const listing *l)
{
    return l->limit > 0 && l->shown >= l->limit;
}

static void incident_row(listing *l, const Ops__V1__Incident *m)
{
    char age[16], severity[16], findings[16], summary[512];
    if (l->r.mode > OPS_PRINT_WIDE) {
        ops_incident_show(&l->r, m);
        return;
    }
    (void)snprintf(findings, sizeof findings, "%zu", m->n_findings + m->findings_left_out);
    const char *cells[] = {
        m->id,
        ops_text_age(m->start_time_unix_nano, l->now_ns, age, sizeof age),
        ops_text_enum(&ops__v1__level__descriptor, (int)m->severity, "LEVEL_", severity, sizeof severity),
        ops_incident_state(&l->r, m),
        findings,
        m->n_services > 0 ? m->services[0] : "-",
        m->n_causes > 0 ? m->causes[0]->component : "-",
        l->r.mode == OPS_PRINT_WIDE ? m->summary
                                    : ops_text_fit(m->summary, SUMMARY_COLUMNS, summary, sizeof summary)};
    ops_table_row(&l->table, cells);
}

static void act_row(listing *l, const Ops__V1__IncidentAct *m)
{
    char number[24], when[OPS_RFC3339_BYTES];
    ops_strbuf b;
    (void)snprintf(number, sizeof number, "%" PRIu64, m->number);
    if (l->r.mode > OPS_PRINT_WIDE) {
        ops_strbuf_init(&b, 1 << 20);
        if (l->r.mode == OPS_PRINT_JSON)
            ops_print_json(&m->base, &b);
        else if (l->r.mode == OPS_PRINT_YAML)
            ops_print_yaml(&m->base, &b);
        else
            ops_strbuf_printf(&b, "act/%s\n", number);
        (void)fwrite(b.p != NULL ? b.p : "", 1, b.n, l->r.ctx->out);
        ops_strbuf_done(&b);
        return;
    }
    const char *cells[] = {
        number, ops_rfc3339_format(m->time_unix_nano, 0, when), m->who, m->act, m->incident_id, m->text};
    ops_table_row(&l->table, cells);
}

/* A table of nothing has its heads; other forms of nothing, and failures, have nothing. */
static void end(listing *l, ops_status st)
{
    if (l->r.mode > OPS_PRINT_WIDE || (st != OPS_OK && l->table.cell_count == 0))
        l->table.headed = true;
    ops_table_end(&l->table);
}

static ops_status get_incidents(listing *l, ops_err *reterr)
{
    static const char *const en[] = {"ID",       "SINCE",   "SEVERITY", "STATE",
                                     "FINDINGS", "SERVICE", "CAUSE",    "SUMMARY"};
    static const char *const zh[] = {"编号", "起始", "级别", "状态", "发现", "服务", "原因", "摘要"};
    char token[32] = "";
    ops_status st = OPS_OK;
    ops_table_begin(&l->table, l->r.ctx->out, l->r.zh ? zh : en, 8);
    do {
        Ops__V1__ListIncidentsRequest q = OPS__V1__LIST_INCIDENTS_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        q.page_size = PAGE;
        q.page_token = token;
        q.filter = (char *)(uintptr_t)ops_conf_str(l->r.conf, OWN_FILTER);
        st = ops_remote_call(&l->r, "/ops.v1.IncidentService/ListIncidents", &q.base,
                             &ops__v1__list_incidents_response__descriptor, &m, reterr);
        if (st != OPS_OK)
            break;
        const Ops__V1__ListIncidentsResponse *a = (const Ops__V1__ListIncidentsResponse *)m;
        for (size_t i = 0; i < a->n_incidents && !full(l); i++, l->shown++)
            incident_row(l, a->incidents[i]);
        (void)snprintf(token, sizeof token, "%s", a->next_page_token);
        protobuf_c_message_free_unpacked(m, NULL);
    } while (token[0] != '\0' && !full(l));
    end(l, st);
    if (st == OPS_OK && l->shown > 0 && strcmp(ops_conf_str(l->r.conf, OWN_FAIL_ON), "incidents") == 0)
        l->r.ctx->exit_code = EXIT_FOUND;
    return st;
}

static ops_status get_acts(listing *l, ops_err *reterr)
{
    static const char *const en[] = {"NUMBER", "TIME", "WHO", "ACT", "INCIDENT", "TEXT"};
    static const char *const zh[] = {"编号", "时间", "操作者", "操作", "事件", "内容"};
    char token[32] = "";
    ops_status st = OPS_OK;
    ops_table_begin(&l->table, l->r.ctx->out, l->r.zh ? zh : en, 6);
    do {
        Ops__V1__ListIncidentActsRequest q = OPS__V1__LIST_INCIDENT_ACTS_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        q.page_size = PAGE;
        q.page_token = token;
        st = ops_remote_call(&l->r, "/ops.v1.IncidentService/ListIncidentActs", &q.base,
                             &ops__v1__list_incident_acts_response__descriptor, &m, reterr);
        if (st != OPS_OK)
            break;
        const Ops__V1__ListIncidentActsResponse *a = (const Ops__V1__ListIncidentActsResponse *)m;
        for (size_t i = 0; i < a->n_acts && !full(l); i++, l->shown++)
            act_row(l, a->acts[i]);
        (void)snprintf(token, sizeof token, "%s", a->next_page_token);
        protobuf_c_message_free_unpacked(m, NULL);
    } while (token[0] != '\0' && !full(l));
    end(l, st);
    return st;
}

static ops_status run(ops_verb_ctx *ctx, ops_status (*list)(listing *l, ops_err *reterr), ops_err *reterr)
{
    listing l = {.now_ns = ops_clock_wall_ns(ops_clock_system())};
    ops_status st = ops_remote_open(ctx, get_own, sizeof get_own / sizeof *get_own, &l.r, reterr);
    if (st != OPS_OK)
        return st;
    l.limit = ops_conf_uint(l.r.conf, OWN_LIMIT);
    const char *fail_on = ops_conf_str(l.r.conf, OWN_FAIL_ON);
    if (ctx->argc > 0)
        st = ops_fail(reterr, OPS_EINVAL, "'%s' is one word too many", ctx->argv[0]);
    else if (fail_on[0] != '\0' && strcmp(fail_on, "incidents") != 0)
        st = ops_fail(reterr, OPS_EINVAL, "--fail-on '%s': only 'incidents' is known", fail_on);
    else
        st = list(&l, reterr);
    ops_remote_close(&l.r);
    return st;
}

ops_status ops_cmd_get_incidents(ops_verb_ctx *ctx, ops_err *reterr)
{
    return run(ctx, get_incidents, reterr);
}

ops_status ops_cmd_get_acts(ops_verb_ctx *ctx, ops_err *reterr)
{
    return run(ctx, get_acts, reterr);
}

ops_status ops_cmd_describe_incident(ops_verb_ctx *ctx, ops_err *reterr)
{
    ops_remote r;
    ops_status st = ops_remote_open(ctx, NULL, 0, &r, reterr);
    if (st != OPS_OK)
        return st;
    if (ctx->argc == 0)
        st = ops_fail(reterr, OPS_EINVAL, "which incident? 'opsctl get incidents' lists them");
    for (int i = 0; i < ctx->argc && st == OPS_OK; i++) {
        Ops__V1__GetIncidentRequest q = OPS__V1__GET_INCIDENT_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        q.id = ops_incident_id(ctx->argv[i]);
        st = ops_remote_call(&r, "/ops.v1.IncidentService/GetIncident", &q.base,
                             &ops__v1__incident__descriptor, &m, reterr);
        if (st == OPS_OK) {
            ops_incident_show(&r, (const Ops__V1__Incident *)m);
            protobuf_c_message_free_unpacked(m, NULL);
        }
    }
    ops_remote_close(&r);
    return st;
}

static void show_row(ops_remote *r, const ProtobufCMessage *m)
{
    ops_incident_show_line(r, (const Ops__V1__Incident *)m);
}

ops_status ops_cmd_watch_incidents(ops_verb_ctx *ctx, ops_err *reterr)
{
    ops_remote r;
    ops_status st = ops_remote_open(ctx, watch_own, sizeof watch_own / sizeof *watch_own, &r, reterr);
    if (st != OPS_OK)
        return st;
    const ops_watch w = {.path = "/ops.v1.IncidentService/WatchIncidents",
                         .response = &ops__v1__watch_incidents_response__descriptor,
                         .from_revision = ops_conf_uint(r.conf, OWN_FROM),
                         .for_ms = ops_conf_uint(r.conf, OWN_FOR),
                         .filter = ops_conf_str(r.conf, OWN_WATCH_FILTER),
                         .until_first = ops_conf_bool(r.conf, OWN_UNTIL_FOUND),
                         .show = show_row};
    st = ctx->argc > 0 ? ops_fail(reterr, OPS_EINVAL, "'%s' is one word too many", ctx->argv[0])
                       : ops_remote_watch(&r, &w, reterr);
    ops_remote_close(&r);
    return st;
}
