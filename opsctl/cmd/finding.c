/* describe finding, watch findings, feedback: one finding at a time, with its evidence. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/time/rfc3339.h"
#include "opsctl/remote/watch.h"
#include "proto/ops/v1/finding.pb-c.h"

enum { OWN_FROM = REMOTE_OPTIONS, OWN_FILTER, OWN_FOR, OWN_UNTIL_FOUND };
enum { OWN_COMMENT = REMOTE_OPTIONS };
enum { LINE_COLUMNS = 160 };

static const ops_conf_row watch_own[] = {
    {"from_revision", OPS_CONF_UINT, "0", .help = "Changes after this revision; 0: all there are."},
    {"filter", OPS_CONF_STR, "", .help = "state=open severity>=warning kind=... service=..."},
    {"for", OPS_CONF_DURATION, "0s", .help = "End after this long; 0: never."},
    {"until_found", OPS_CONF_BOOL, "false", .help = "End with the first finding."},
};
static const ops_conf_row feedback_own[] = {{"comment", OPS_CONF_STR, "", .help = "Why."}};

static void print_other(ops_remote *r, const ProtobufCMessage *m, const char *name)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 64 << 20);
    if (r->mode == OPS_PRINT_JSON)
        ops_print_json(m, &b);
    else if (r->mode == OPS_PRINT_YAML)
        ops_print_yaml(m, &b);
    else
        ops_strbuf_printf(&b, "finding/%s\n", name);
    (void)fwrite(b.p != NULL ? b.p : "", 1, b.n, r->ctx->out);
    ops_strbuf_done(&b);
}

static void line(ops_remote *r, const char *en, const char *zh, const char *text)
{
    const char *name = r->zh ? zh : en;
    (void)fprintf(r->ctx->out, "%s", name);
    for (size_t w = ops_text_width(name); w < 13; w++)
        (void)fputc(' ', r->ctx->out);
    ops_print_safe(r->ctx->out, text, false);
    (void)fputc('\n', r->ctx->out);
}

static void describe(ops_remote *r, const Ops__V1__Finding *f)
{
    char buf[64], start[OPS_RFC3339_BYTES], last[OPS_RFC3339_BYTES], text[512];
    line(r, "finding", "发现", f->id);
    line(r, "what", "内容", f->summary);
    (void)snprintf(
        text, sizeof text, "%s",
        ops_text_enum(&ops__v1__finding_kind__descriptor, (int)f->kind, "FINDING_KIND_", buf, sizeof buf));
    line(r, "kind", "类型", text);
    line(r, "severity", "级别",
         ops_text_enum(&ops__v1__level__descriptor, (int)f->severity, "LEVEL_", buf, sizeof buf));
    line(
        r, "state", "状态",
        ops_text_enum(&ops__v1__finding_state__descriptor, (int)f->state, "FINDING_STATE_", buf, sizeof buf));
    for (size_t i = 0; i < f->n_services; i++)
        line(r, i == 0 ? "where" : "", i == 0 ? "位置" : "", f->services[i]);
    (void)snprintf(text, sizeof text, "%s … %s", ops_rfc3339_format(f->start_time_unix_nano, 3, start),
                   ops_rfc3339_format(f->last_time_unix_nano, 3, last));
    line(r, "when", "时间", text);
    line(r, "in words", "说明", f->words);
    if (f->statistic != NULL) {
        (void)snprintf(text, sizeof text,
                       r->zh ? "%s：%.4g，预期 %.4g 至 %.4g，p = %.2g（分数 %.1f）"
                             : "%s: %.4g, expected %.4g to %.4g, p = %.2g (score %.1f)",
                       f->statistic->name, f->statistic->value, f->statistic->expected_low,
                       f->statistic->expected_high, f->statistic->p_value, f->statistic->score);
        line(r, "how unusual", "异常程度", text);
    }
    for (size_t i = 0; i < f->n_labels; i++) {
        (void)snprintf(text, sizeof text, "%s=\"%s\"", f->labels[i]->name, f->labels[i]->value);
        line(r, i == 0 ? "labels" : "", i == 0 ? "标签" : "", text);
    }
    for (size_t i = 0; i < f->n_silenced_by; i++)
        line(r, i == 0 ? "silenced by" : "", i == 0 ? "静默者" : "", f->silenced_by[i]);
    for (size_t i = 0; i < f->n_evidence; i++) {
        const Ops__V1__Evidence *e = f->evidence[i];
        (void)fprintf(r->ctx->out, "%s  %s  ", i == 0 ? (r->zh ? "证据\n" : "evidence\n") : "",
                      ops_rfc3339_format(e->time_unix_nano, 3, start));
        ops_print_safe(r->ctx->out, e->service, false);
        (void)fputs("  ", r->ctx->out);
        ops_print_safe(r->ctx->out, e->text, false);
        (void)fprintf(r->ctx->out, "  [%u/%" PRIu64 "/%u]\n", e->partition, e->log_offset, e->log_index);
    }
    for (size_t i = 0; i < f->n_feedback; i++) {
        (void)snprintf(text, sizeof text, "%s: %s %s", f->feedback[i]->author,
                       ops_text_enum(&ops__v1__verdict__descriptor, (int)f->feedback[i]->verdict, "VERDICT_",
                                     buf, sizeof buf),
                       f->feedback[i]->comment);
        line(r, "feedback", "反馈", text);
    }
}

static void show(ops_remote *r, const Ops__V1__Finding *f)
{
    if (r->mode <= OPS_PRINT_WIDE)
        describe(r, f);
    else
        print_other(r, &f->base, f->id);
}

ops_status ops_cmd_describe_finding(ops_verb_ctx *ctx, ops_err *reterr)
{
    ops_remote r;
    ProtobufCMessage *m = NULL;
    ops_status st = ops_remote_open(ctx, NULL, 0, &r, reterr);
    if (st != OPS_OK)
        return st;
    if (ctx->argc == 0)
        st = ops_fail(reterr, OPS_EINVAL, "which finding? 'opsctl get findings' lists them");
    for (int i = 0; i < ctx->argc && st == OPS_OK; i++) {
        Ops__V1__GetFindingRequest q = OPS__V1__GET_FINDING_REQUEST__INIT;
        q.id = strncmp(ctx->argv[i], "finding/", 8) == 0 ? ctx->argv[i] + 8 : ctx->argv[i];
        st = ops_remote_call(&r, "/ops.v1.FindingService/GetFinding", &q.base, &ops__v1__finding__descriptor,
                             &m, reterr);
        if (st == OPS_OK) {
            show(&r, (const Ops__V1__Finding *)m);
            protobuf_c_message_free_unpacked(m, NULL);
        }
    }
    ops_remote_close(&r);
    return st;
}

/* One line a change; the whole finding when it is new to this watch. */
static void show_change(ops_remote *r, const Ops__V1__Finding *f)
{
    char when[OPS_RFC3339_BYTES], state[16], severity[16];
    if (r->mode > OPS_PRINT_WIDE) {
        print_other(r, &f->base, f->id);
        return;
    }
    (void)fprintf(
        r->ctx->out, "%s%s  %s  %s  %s%s  ", r->colour && f->version == 1 ? "\033[1m" : "",
        ops_rfc3339_format(f->last_time_unix_nano, 0, when), f->id,
        f->version == 1 ? (r->zh ? "新发现" : "new")
                        : ops_text_enum(&ops__v1__finding_state__descriptor, (int)f->state, "FINDING_STATE_",
                                        state, sizeof state),
        ops_text_enum(&ops__v1__level__descriptor, (int)f->severity, "LEVEL_", severity, sizeof severity),
        r->colour && f->version == 1 ? "\033[0m" : "");
    char text[1024];
    ops_print_safe(r->ctx->out, ops_text_fit(f->summary, LINE_COLUMNS, text, sizeof text), false);
    (void)fputc('\n', r->ctx->out);
    for (size_t i = 0; f->version == 1 && i < f->n_evidence && i < 3; i++) {
        (void)fputs("    ", r->ctx->out);
        ops_print_safe(r->ctx->out, f->evidence[i]->service, false);
        (void)fputs(": ", r->ctx->out);
        ops_print_safe(r->ctx->out, ops_text_fit(f->evidence[i]->text, LINE_COLUMNS, text, sizeof text),
                       false);
        (void)fputc('\n', r->ctx->out);
    }
}

static void show_row(ops_remote *r, const ProtobufCMessage *m)
{
    show_change(r, (const Ops__V1__Finding *)m);
}

static ops_status watch(ops_remote *r, ops_err *reterr)
{
    const ops_watch w = {.path = "/ops.v1.FindingService/WatchFindings",
                         .response = &ops__v1__watch_findings_response__descriptor,
                         .from_revision = ops_conf_uint(r->conf, OWN_FROM),
                         .for_ms = ops_conf_uint(r->conf, OWN_FOR),
                         .filter = ops_conf_str(r->conf, OWN_FILTER),
                         .until_first = ops_conf_bool(r->conf, OWN_UNTIL_FOUND),
                         .show = show_row};
    return ops_remote_watch(r, &w, reterr);
}

ops_status ops_cmd_watch_findings(ops_verb_ctx *ctx, ops_err *reterr)
{
    ops_remote r;
    ops_status st = ops_remote_open(ctx, watch_own, sizeof watch_own / sizeof *watch_own, &r, reterr);
    if (st != OPS_OK)
        return st;
    st = ctx->argc > 0 ? ops_fail(reterr, OPS_EINVAL, "'%s' is one word too many", ctx->argv[0])
                       : watch(&r, reterr);
    ops_remote_close(&r);
    return st;
}

ops_status ops_cmd_feedback(ops_verb_ctx *ctx, ops_err *reterr)
{
    static const char *const words[] = {"useful", "not-useful", "wrong"};
    Ops__V1__GiveFeedbackRequest q = OPS__V1__GIVE_FEEDBACK_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    char comment[4200];
    ops_remote r;
    ops_status st = ops_remote_open(ctx, feedback_own, 1, &r, reterr);
    if (st != OPS_OK)
        return st;
    for (int i = 0; ctx->argc == 2 && i < 3; i++)
        if (strcmp(ctx->argv[1], words[i]) == 0)
            q.verdict = (Ops__V1__Verdict)(i + 1);
    if (q.verdict == 0)
        st = ops_fail(reterr, OPS_EINVAL, "a finding's id and one of useful, not-useful, wrong are needed");
    else {
        (void)snprintf(comment, sizeof comment, "%s", ops_conf_str(r.conf, OWN_COMMENT));
        q.id = ctx->argv[0];
        q.comment = comment;
        st = ops_remote_call(&r, "/ops.v1.FindingService/GiveFeedback", &q.base,
                             &ops__v1__finding__descriptor, &m, reterr);
    }
    if (st == OPS_OK) {
        show(&r, (const Ops__V1__Finding *)m);
        protobuf_c_message_free_unpacked(m, NULL);
    }
    ops_remote_close(&r);
    return st;
}
