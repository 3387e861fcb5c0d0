/* get KIND: lists, a page at a time until all is shown or --limit is reached. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/time/clock.h"
#include "base/time/rfc3339.h"
#include "opsctl/remote/remote.h"
#include "proto/ops/v1/cluster.pb-c.h"
#include "proto/ops/v1/finding.pb-c.h"

enum { OWN_LIMIT = REMOTE_OPTIONS, OWN_FILTER, OWN_FAIL_ON };
enum { PAGE = 500, EXIT_FINDINGS = 3, SUMMARY_COLUMNS = 90 };

static const ops_conf_row own[] = {
    {"limit", OPS_CONF_UINT, "1000", .help = "At most so many rows; 0: all."},
    {"filter", OPS_CONF_STR, "", .help = "findings: state=open severity>=warning kind=... service=..."},
    {"fail_on", OPS_CONF_STR, "", .help = "findings: exit with 3 when there are any."},
};

typedef struct listing {
    ops_remote r;
    ops_table table;
    int64_t now_ns;
    uint64_t shown, limit;
} listing;

/* A row as JSON, YAML or its name; true when it was none of a table. */
static bool print_other(listing *l, const ProtobufCMessage *m, const char *kind, const char *name)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 64 << 20);
    if (l->r.mode == OPS_PRINT_JSON)
        ops_print_json(m, &b);
    else if (l->r.mode == OPS_PRINT_YAML)
        ops_print_yaml(m, &b);
    else if (l->r.mode == OPS_PRINT_NAME)
        ops_strbuf_printf(&b, "%s/%s\n", kind, name);
    bool other = b.n > 0;
    if (other)
        (void)fwrite(b.p, 1, b.n, l->r.ctx->out);
    ops_strbuf_done(&b);
    return other;
}

static void begin(listing *l, const char *const *en, const char *const *zh, size_t columns)
{
    ops_table_begin(&l->table, l->r.ctx->out, l->r.zh ? zh : en, columns);
}

/* Prints what is held; after a failure only when there is something. */
static void end(listing *l, ops_status st)
{
    if (l->r.mode > OPS_PRINT_WIDE)
        l->table.headed = true;
    if (st != OPS_OK && l->table.cell_count == 0)
        l->table.headed = true;
    ops_table_end(&l->table);
}

static bool full(const listing *l)
{
    return l->limit > 0 && l->shown >= l->limit;
}

static void finding_row(listing *l, const Ops__V1__Finding *f)
{
    char age[16], kind[32], severity[16], state[16], score[16], summary[512];
    if (print_other(l, &f->base, "finding", f->id))
        return;
    (void)snprintf(score, sizeof score, "%.0f", f->statistic != NULL ? f->statistic->score : 0);
    const char *cells[] = {
        f->id,
        ops_text_age(f->start_time_unix_nano, l->now_ns, age, sizeof age),
        ops_text_enum(&ops__v1__level__descriptor, (int)f->severity, "LEVEL_", severity, sizeof severity),
        f->n_silenced_by > 0 ? (l->r.zh ? "已静默" : "silenced")
                             : ops_text_enum(&ops__v1__finding_state__descriptor, (int)f->state,
                                             "FINDING_STATE_", state, sizeof state),
        ops_text_enum(&ops__v1__finding_kind__descriptor, (int)f->kind, "FINDING_KIND_", kind, sizeof kind),
        f->n_services > 0 ? f->services[0] : "-",
        score,
        l->r.mode == OPS_PRINT_WIDE ? f->summary
                                    : ops_text_fit(f->summary, SUMMARY_COLUMNS, summary, sizeof summary)};
    ops_table_row(&l->table, cells);
}

static ops_status get_findings(listing *l, ops_err *reterr)
{
    static const char *const en[] = {"ID",   "SINCE",   "SEVERITY", "STATE",
                                     "KIND", "SERVICE", "SCORE",    "SUMMARY"};
    static const char *const zh[] = {"编号", "起始", "级别", "状态", "类型", "服务", "分数", "摘要"};
    char token[32] = "", filter[1024];
    ops_status st = OPS_OK;
    (void)snprintf(filter, sizeof filter, "%s", ops_conf_str(l->r.conf, OWN_FILTER));
    begin(l, en, zh, 8);
    do {
        Ops__V1__ListFindingsRequest q = OPS__V1__LIST_FINDINGS_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        q.page_size = PAGE;
        q.page_token = token;
        q.filter = filter;
        st = ops_remote_call(&l->r, "/ops.v1.FindingService/ListFindings", &q.base,
                             &ops__v1__list_findings_response__descriptor, &m, reterr);
        if (st != OPS_OK)
            break;
        const Ops__V1__ListFindingsResponse *a = (const Ops__V1__ListFindingsResponse *)m;
        for (size_t i = 0; i < a->n_findings && !full(l); i++, l->shown++)
            finding_row(l, a->findings[i]);
        (void)snprintf(token, sizeof token, "%s", a->next_page_token);
        protobuf_c_message_free_unpacked(m, NULL);
    } while (token[0] != '\0' && !full(l));
    end(l, st);
    if (st == OPS_OK && l->shown > 0 && strcmp(ops_conf_str(l->r.conf, OWN_FAIL_ON), "findings") == 0)
        l->r.ctx->exit_code = EXIT_FINDINGS;
    return st;
}

static void stream_row(listing *l, const Ops__V1__Stream *s)
{
    char records[24], errors[24], templates[16], part[16], age[16];
    if (print_other(l, &s->base, "stream", s->service))
        return;
    (void)snprintf(records, sizeof records, "%" PRIu64, s->records);
    (void)snprintf(errors, sizeof errors, "%" PRIu64, s->errors);
    (void)snprintf(templates, sizeof templates, "%u", s->templates);
    (void)snprintf(part, sizeof part, "%u", s->partition);
    const char *cells[] = {s->service,
                           records,
                           errors,
                           templates,
                           s->learning ? (l->r.zh ? "是" : "yes") : (l->r.zh ? "否" : "no"),
                           ops_text_age(s->last_time_unix_nano, l->now_ns, age, sizeof age),
                           part};
    ops_table_row(&l->table, cells);
}

static ops_status get_streams(listing *l, ops_err *reterr)
{
    static const char *const en[] = {"SERVICE",  "RECORDS", "ERRORS",   "TEMPLATES",
                                     "LEARNING", "LAST",    "PARTITION"};
    static const char *const zh[] = {"服务", "记录数", "错误数", "模板数", "学习中", "最近", "分区"};
    char token[32] = "";
    ops_status st = OPS_OK;
    begin(l, en, zh, 7);
    do {
        Ops__V1__ListStreamsRequest q = OPS__V1__LIST_STREAMS_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        q.page_size = PAGE;
        q.page_token = token;
        st = ops_remote_call(&l->r, "/ops.v1.ClusterService/ListStreams", &q.base,
                             &ops__v1__list_streams_response__descriptor, &m, reterr);
        if (st != OPS_OK)
            break;
        const Ops__V1__ListStreamsResponse *a = (const Ops__V1__ListStreamsResponse *)m;
        for (size_t i = 0; i < a->n_streams && !full(l); i++, l->shown++)
            stream_row(l, a->streams[i]);
        (void)snprintf(token, sizeof token, "%s", a->next_page_token);
        protobuf_c_message_free_unpacked(m, NULL);
    } while (token[0] != '\0' && !full(l));
    end(l, st);
    return st;
}

static ops_status get_partitions(listing *l, ops_err *reterr)
{
    static const char *const en[] = {"PARTITION", "FIRST",   "NEXT",      "POSITION", "EPOCH",
                                     "RECORDS",   "STREAMS", "TEMPLATES", "LAG"};
    static const char *const zh[] = {"分区", "起点", "终点", "位置", "纪元", "记录数", "流", "模板", "滞后"};
    Ops__V1__ListPartitionsRequest q = OPS__V1__LIST_PARTITIONS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    ops_status st = ops_remote_call(&l->r, "/ops.v1.ClusterService/ListPartitions", &q.base,
                                    &ops__v1__list_partitions_response__descriptor, &m, reterr);
    if (st != OPS_OK)
        return st;
    const Ops__V1__ListPartitionsResponse *a = (const Ops__V1__ListPartitionsResponse *)m;
    begin(l, en, zh, 9);
    for (size_t i = 0; i < a->n_partitions; i++) {
        const Ops__V1__Partition *p = a->partitions[i];
        char text[9][24];
        (void)snprintf(text[0], sizeof text[0], "%u", p->number);
        if (print_other(l, &p->base, "partition", text[0]))
            continue;
        (void)snprintf(text[1], sizeof text[1], "%" PRIu64, p->first_offset);
        (void)snprintf(text[2], sizeof text[2], "%" PRIu64, p->next_offset);
        (void)snprintf(text[3], sizeof text[3], "%" PRIu64, p->position);
        (void)snprintf(text[4], sizeof text[4], "%" PRIu64, p->epoch);
        (void)snprintf(text[5], sizeof text[5], "%" PRIu64, p->records);
        (void)snprintf(text[6], sizeof text[6], "%u", p->streams);
        (void)snprintf(text[7], sizeof text[7], "%u", p->templates);
        (void)snprintf(text[8], sizeof text[8], "%.1fs", p->lag_seconds);
        const char *cells[9];
        for (size_t k = 0; k < 9; k++)
            cells[k] = text[k];
        ops_table_row(&l->table, cells);
    }
    end(l, OPS_OK);
    protobuf_c_message_free_unpacked(m, NULL);
    return OPS_OK;
}

static ops_status get_workers(listing *l, ops_err *reterr)
{
    static const char *const en[] = {"WORKER", "STATE", "MODELS", "RUNNING", "DONE", "FAILED", "HEARTBEAT"};
    static const char *const zh[] = {"工作进程", "状态", "模型", "运行中", "完成", "失败", "心跳"};
    Ops__V1__ListWorkersRequest q = OPS__V1__LIST_WORKERS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    ops_status st = ops_remote_call(&l->r, "/ops.v1.ClusterService/ListWorkers", &q.base,
                                    &ops__v1__list_workers_response__descriptor, &m, reterr);
    if (st != OPS_OK)
        return st;
    const Ops__V1__ListWorkersResponse *a = (const Ops__V1__ListWorkersResponse *)m;
    begin(l, en, zh, 7);
    for (size_t i = 0; i < a->n_workers; i++) {
        const Ops__V1__Worker *w = a->workers[i];
        char text[3][24], age[16];
        if (print_other(l, &w->base, "worker", w->id))
            continue;
        ops_strbuf models;
        ops_strbuf_init(&models, 4096);
        for (size_t k = 0; k < w->n_models; k++)
            ops_strbuf_printf(&models, "%s%s", k > 0 ? "," : "", w->models[k]);
        (void)snprintf(text[0], sizeof text[0], "%u", w->tasks_running);
        (void)snprintf(text[1], sizeof text[1], "%" PRIu64, w->tasks_done);
        (void)snprintf(text[2], sizeof text[2], "%" PRIu64, w->tasks_failed);
        const char *cells[] = {w->id,
                               w->state,
                               models.n > 0 ? models.p : "-",
                               text[0],
                               text[1],
                               text[2],
                               ops_text_age(w->heartbeat_time_unix_nano, l->now_ns, age, sizeof age)};
        ops_table_row(&l->table, cells);
        ops_strbuf_done(&models);
    }
    end(l, OPS_OK);
    if (l->r.mode <= OPS_PRINT_WIDE)
        (void)fprintf(l->r.ctx->out, l->r.zh ? "模式：%s\n" : "mode: %s\n", a->mode);
    protobuf_c_message_free_unpacked(m, NULL);
    return OPS_OK;
}

static void letter_row(listing *l, const Ops__V1__DeadLetter *d)
{
    char number[24], age[16];
    (void)snprintf(number, sizeof number, "%" PRIu64, d->number);
    if (print_other(l, &d->base, "deadletter", number))
        return;
    const char *cells[] = {number, ops_text_age(d->time_unix_nano, l->now_ns, age, sizeof age), d->door,
                           d->reason, d->detail};
    ops_table_row(&l->table, cells);
}

static ops_status get_deadletters(listing *l, ops_err *reterr)
{
    static const char *const en[] = {"NUMBER", "AGE", "DOOR", "REASON", "DETAIL"};
    static const char *const zh[] = {"编号", "时间", "入口", "原因", "详情"};
    char token[32] = "";
    ops_status st = OPS_OK;
    begin(l, en, zh, 5);
    do {
        Ops__V1__ListDeadLettersRequest q = OPS__V1__LIST_DEAD_LETTERS_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        q.page_size = PAGE;
        q.page_token = token;
        st = ops_remote_call(&l->r, "/ops.v1.ClusterService/ListDeadLetters", &q.base,
                             &ops__v1__list_dead_letters_response__descriptor, &m, reterr);
        if (st != OPS_OK)
            break;
        const Ops__V1__ListDeadLettersResponse *a = (const Ops__V1__ListDeadLettersResponse *)m;
        for (size_t i = 0; i < a->n_dead_letters && !full(l); i++, l->shown++)
            letter_row(l, a->dead_letters[i]);
        (void)snprintf(token, sizeof token, "%s", a->next_page_token);
        protobuf_c_message_free_unpacked(m, NULL);
    } while (token[0] != '\0' && !full(l));
    end(l, st);
    return st;
}

static ops_status get_status(listing *l, ops_err *reterr)
{
    static const char *const en[] = {"VERSION", "READY",   "UP",       "RECEIVED",
                                     "ACKED",   "REFUSED", "REJECTED", "ANALYSED"};
    static const char *const zh[] = {"版本", "就绪", "运行", "收到", "确认", "拒收", "无效", "已分析"};
    Ops__V1__GetStatusRequest q = OPS__V1__GET_STATUS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    ops_status st = ops_remote_call(&l->r, "/ops.v1.ClusterService/GetStatus", &q.base,
                                    &ops__v1__status__descriptor, &m, reterr);
    if (st != OPS_OK)
        return st;
    const Ops__V1__Status *s = (const Ops__V1__Status *)m;
    begin(l, en, zh, 8);
    if (!print_other(l, m, "status", s->version)) {
        char n[5][24], age[16];
        const uint64_t v[5] = {s->records_received, s->records_acked, s->records_refused, s->records_rejected,
                               s->records_analysed};
        for (size_t i = 0; i < 5; i++)
            (void)snprintf(n[i], sizeof n[i], "%" PRIu64, v[i]);
        const char *cells[] = {s->version,
                               s->ready ? (l->r.zh ? "是" : "yes") : s->why_not_ready,
                               ops_text_age(s->start_time_unix_nano, l->now_ns, age, sizeof age),
                               n[0],
                               n[1],
                               n[2],
                               n[3],
                               n[4]};
        ops_table_row(&l->table, cells);
    }
    end(l, OPS_OK);
    protobuf_c_message_free_unpacked(m, NULL);
    return OPS_OK;
}

static ops_status run(ops_verb_ctx *ctx, ops_status (*list)(listing *l, ops_err *reterr), ops_err *reterr)
{
    listing l = {.now_ns = ops_clock_wall_ns(ops_clock_system())};
    ops_status st = ops_remote_open(ctx, own, sizeof own / sizeof *own, &l.r, reterr);
    if (st != OPS_OK)
        return st;
    l.limit = ops_conf_uint(l.r.conf, OWN_LIMIT);
    if (ctx->argc > 0)
        st = ops_fail(reterr, OPS_EINVAL, "'%s' is one word too many", ctx->argv[0]);
    else
        st = list(&l, reterr);
    ops_remote_close(&l.r);
    return st;
}

#define GET(name)                                                                                            \
    ops_status ops_cmd_get_##name(ops_verb_ctx *ctx, ops_err *reterr)                                        \
    {                                                                                                        \
        return run(ctx, get_##name, reterr);                                                                 \
    }
GET(findings)
GET(streams)
GET(partitions)
GET(workers)
GET(deadletters)
GET(status)
