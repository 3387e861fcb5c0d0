/* get silences, create silence, expire silence. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/time/clock.h"
#include "base/time/rfc3339.h"
#include "opsctl/remote/remote.h"
#include "proto/ops/v1/silence.pb-c.h"

enum { OWN_EXPIRED = REMOTE_OPTIONS };
enum { OWN_FOR = REMOTE_OPTIONS, OWN_UNTIL, OWN_START, OWN_COMMENT };
enum { PAGE = 100, MATCHERS_MAX = 16, MATCHERS_COLUMNS = 60, COMMENT_COLUMNS = 40, NS_PER_MS = 1000000 };

static const ops_conf_row get_own[] = {
    {"expired", OPS_CONF_BOOL, "false", .help = "Also those that have ended, for a week."}};
static const ops_conf_row create_own[] = {
    {"for", OPS_CONF_DURATION, "0s", .help = "How long, from the start: 2h."},
    {"until", OPS_CONF_STR, "", .help = "Until when (RFC 3339); in place of --for."},
    {"start", OPS_CONF_STR, "", .help = "From when (RFC 3339); now without it."},
    {"comment", OPS_CONF_STR, "", .help = "Why."}};

static void join(const Ops__V1__Silence *m, ops_strbuf *b)
{
    for (size_t i = 0; i < m->n_matchers; i++) {
        if (i > 0)
            ops_strbuf_char(b, ' ');
        ops_strbuf_str(b, m->matchers[i]);
    }
    ops_strbuf_str(b, "");
}

static void row(const ops_remote *r, ops_table *table, const Ops__V1__Silence *m)
{
    char state[64], from[OPS_RFC3339_BYTES], to[OPS_RFC3339_BYTES], fit[512], why[512];
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 20);
    if (r->mode > OPS_PRINT_WIDE) {
        if (r->mode == OPS_PRINT_JSON)
            ops_print_json(&m->base, &b);
        else if (r->mode == OPS_PRINT_YAML)
            ops_print_yaml(&m->base, &b);
        else
            ops_strbuf_printf(&b, "silence/%s\n", m->id);
        (void)fwrite(b.p != NULL ? b.p : "", 1, b.n, r->ctx->out);
        ops_strbuf_done(&b);
        return;
    }
    join(m, &b);
    const char *matchers = b.p != NULL ? b.p : "";
    const char *comment = m->schedule[0] != '\0' ? m->schedule : m->comment;
    const bool wide = r->mode == OPS_PRINT_WIDE;
    const char *cells[] = {m->id,
                           ops_text_enum(&ops__v1__silence_state__descriptor, (int)m->state, "SILENCE_STATE_",
                                         state, sizeof state),
                           ops_rfc3339_format(m->start_time_unix_nano, 0, from),
                           ops_rfc3339_format(m->end_time_unix_nano, 0, to),
                           m->creator[0] != '\0' ? m->creator : "-",
                           wide ? matchers : ops_text_fit(matchers, MATCHERS_COLUMNS, fit, sizeof fit),
                           wide ? comment : ops_text_fit(comment, COMMENT_COLUMNS, why, sizeof why)};
    ops_table_row(table, cells);
    ops_strbuf_done(&b);
}

static void head(const ops_remote *r, ops_table *table)
{
    static const char *const en[] = {"ID", "STATE", "FROM", "UNTIL", "BY", "MATCHERS", "WHY"};
    static const char *const zh[] = {"编号", "状态", "开始", "结束", "创建者", "匹配", "原因"};
    ops_table_begin(table, r->ctx->out, r->zh ? zh : en, 7);
}

static void tail(const ops_remote *r, ops_table *table, ops_status st)
{
    table->headed |= r->mode > OPS_PRINT_WIDE || (st != OPS_OK && table->cell_count == 0);
    ops_table_end(table);
}

static ops_status list(ops_remote *r, ops_err *reterr)
{
    char token[32] = "";
    ops_table table;
    ops_status st = OPS_OK;
    head(r, &table);
    do {
        Ops__V1__ListSilencesRequest q = OPS__V1__LIST_SILENCES_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        q.page_size = PAGE;
        q.page_token = token;
        q.expired = ops_conf_bool(r->conf, OWN_EXPIRED);
        st = ops_remote_call(r, "/ops.v1.SilenceService/ListSilences", &q.base,
                             &ops__v1__list_silences_response__descriptor, &m, reterr);
        if (st != OPS_OK)
            break;
        const Ops__V1__ListSilencesResponse *a = (const Ops__V1__ListSilencesResponse *)m;
        for (size_t i = 0; i < a->n_silences; i++)
            row(r, &table, a->silences[i]);
        (void)snprintf(token, sizeof token, "%s", a->next_page_token);
        protobuf_c_message_free_unpacked(m, NULL);
    } while (token[0] != '\0');
    tail(r, &table, st);
    return st;
}

ops_status ops_cmd_get_silences(ops_verb_ctx *ctx, ops_err *reterr)
{
    ops_remote r;
    ops_status st = ops_remote_open(ctx, get_own, sizeof get_own / sizeof *get_own, &r, reterr);
    if (st != OPS_OK)
        return st;
    st = ctx->argc > 0 ? ops_fail(reterr, OPS_EINVAL, "'%s' is one word too many", ctx->argv[0])
                       : list(&r, reterr);
    ops_remote_close(&r);
    return st;
}

static ops_status time_of(const char *flag, const char *text, int64_t *ret, ops_err *reterr)
{
    if (text[0] == '\0' || ops_rfc3339_parse(ops_slice_str(text), ret))
        return OPS_OK;
    return ops_fail(reterr, OPS_EINVAL, "--%s: a time as 2026-01-02T15:04:05Z is expected, not '%s'", flag,
                    text);
}

static ops_status times(const ops_remote *r, Ops__V1__CreateSilenceRequest *q, ops_err *reterr)
{
    const int64_t for_ns = (int64_t)ops_conf_uint(r->conf, OWN_FOR) * NS_PER_MS;
    int64_t start = 0, until = 0;
    ops_status st = time_of("start", ops_conf_str(r->conf, OWN_START), &start, reterr);
    if (st == OPS_OK)
        st = time_of("until", ops_conf_str(r->conf, OWN_UNTIL), &until, reterr);
    if (st == OPS_OK && (for_ns == 0) == (until == 0))
        st = ops_fail(reterr, OPS_EINVAL, "one of --for and --until is needed");
    if (st != OPS_OK)
        return st;
    q->start_time_unix_nano = start;
    q->end_time_unix_nano =
        until != 0 ? until : (start != 0 ? start : ops_clock_wall_ns(ops_clock_system())) + for_ns;
    return OPS_OK;
}

static ops_status show(ops_remote *r, const char *path, const ProtobufCMessage *q, ops_err *reterr)
{
    ProtobufCMessage *m = NULL;
    ops_table table;
    ops_status st = ops_remote_call(r, path, q, &ops__v1__silence__descriptor, &m, reterr);
    if (st != OPS_OK)
        return st;
    head(r, &table);
    row(r, &table, (const Ops__V1__Silence *)m);
    tail(r, &table, OPS_OK);
    protobuf_c_message_free_unpacked(m, NULL);
    return OPS_OK;
}

ops_status ops_cmd_create_silence(ops_verb_ctx *ctx, ops_err *reterr)
{
    Ops__V1__CreateSilenceRequest q = OPS__V1__CREATE_SILENCE_REQUEST__INIT;
    char comment[1100];
    ops_remote r;
    ops_status st = ops_remote_open(ctx, create_own, sizeof create_own / sizeof *create_own, &r, reterr);
    if (st != OPS_OK)
        return st;
    if (ctx->argc == 0 || ctx->argc > MATCHERS_MAX)
        st = ops_fail(reterr, OPS_EINVAL,
                      "1 to %d matchers are needed, as service=\"db\" or severity!=critical", MATCHERS_MAX);
    if (st == OPS_OK)
        st = times(&r, &q, reterr);
    (void)snprintf(comment, sizeof comment, "%s", ops_conf_str(r.conf, OWN_COMMENT));
    q.comment = comment;
    q.matchers = ctx->argv;
    q.n_matchers = (size_t)ctx->argc;
    if (st == OPS_OK)
        st = show(&r, "/ops.v1.SilenceService/CreateSilence", &q.base, reterr);
    ops_remote_close(&r);
    return st;
}

ops_status ops_cmd_expire_silence(ops_verb_ctx *ctx, ops_err *reterr)
{
    ops_remote r;
    ops_status st = ops_remote_open(ctx, NULL, 0, &r, reterr);
    if (st != OPS_OK)
        return st;
    if (ctx->argc == 0)
        st = ops_fail(reterr, OPS_EINVAL, "which silence? 'opsctl get silences' lists them");
    for (int i = 0; i < ctx->argc && st == OPS_OK; i++) {
        Ops__V1__ExpireSilenceRequest q = OPS__V1__EXPIRE_SILENCE_REQUEST__INIT;
        q.id = strncmp(ctx->argv[i], "silence/", 8) == 0 ? ctx->argv[i] + 8 : ctx->argv[i];
        st = show(&r, "/ops.v1.SilenceService/ExpireSilence", &q.base, reterr);
    }
    ops_remote_close(&r);
    return st;
}
