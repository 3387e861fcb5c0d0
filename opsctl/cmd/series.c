/* get series: what metrics arrived, the newest value of each, and what is usual for it. */
#include <inttypes.h>
#include <string.h>

#include "base/time/clock.h"
#include "opsctl/remote/remote.h"
#include "proto/ops/v1/cluster.pb-c.h"

enum { OWN_LIMIT = REMOTE_OPTIONS, OWN_SERVICE, OWN_CONTAINS, OWN_BUCKETS };
enum { PAGE = 500, SERIES_COLUMNS = 72, COLUMNS = 8 };

static const ops_conf_row own[] = {
    {"limit", OPS_CONF_UINT, "1000", .help = "At most so many rows; 0: all."},
    {"service", OPS_CONF_STR, "", .help = "Only of this service."},
    {"contains", OPS_CONF_STR, "", .help = "Only those whose name and labels have this text."},
    {"buckets", OPS_CONF_BOOL, "false", .help = "The buckets of histograms too."},
};

typedef struct listing {
    ops_remote r;
    ops_table table;
    int64_t now_ns;
    uint64_t shown, limit;
} listing;

static bool print_other(listing *l, const Ops__V1__Series *s)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 20);
    if (l->r.mode == OPS_PRINT_JSON)
        ops_print_json(&s->base, &b);
    else if (l->r.mode == OPS_PRINT_YAML)
        ops_print_yaml(&s->base, &b);
    else if (l->r.mode == OPS_PRINT_NAME)
        ops_strbuf_printf(&b, "series/%s\n", s->series);
    const bool other = b.n > 0;
    if (other)
        (void)fwrite(b.p, 1, b.n, l->r.ctx->out);
    ops_strbuf_done(&b);
    return other;
}

static void row(listing *l, const Ops__V1__Series *s)
{
    char fit[512], text[3][32], usual[64], age[16];
    if (print_other(l, s))
        return;
    (void)snprintf(text[0], sizeof text[0], "%.6g", s->last_value);
    (void)snprintf(text[1], sizeof text[1], "%.6g", s->judged_value);
    (void)snprintf(text[2], sizeof text[2], "%" PRIu64, s->samples);
    if (s->learning)
        (void)snprintf(usual, sizeof usual, "%s", l->r.zh ? "学习中" : "learning");
    else
        (void)snprintf(usual, sizeof usual, "%.4g .. %.4g", s->expected_low, s->expected_high);
    const bool rate = strcmp(s->kind, "counter") == 0 || strcmp(s->kind, "delta") == 0;
    const char *cells[COLUMNS] = {
        l->r.mode == OPS_PRINT_WIDE ? s->series : ops_text_fit(s->series, SERIES_COLUMNS, fit, sizeof fit),
        s->service,
        s->kind,
        text[0],
        rate ? text[1] : "-",
        strcmp(s->kind, "bucket") == 0 ? "-" : usual,
        text[2],
        s->stale ? (l->r.zh ? "已结束" : "ended")
                 : ops_text_age(s->last_time_unix_nano, l->now_ns, age, sizeof age)};
    ops_table_row(&l->table, cells);
}

static ops_status list(listing *l, ops_err *reterr)
{
    static const char *const en[] = {"SERIES",     "SERVICE", "KIND",    "VALUE",
                                     "PER SECOND", "USUAL",   "SAMPLES", "LAST"};
    static const char *const zh[] = {"序列", "服务", "类型", "最新值", "每秒", "常态", "样本数", "最近"};
    char token[32] = "", service[512], contains[1024];
    ops_status st = OPS_OK;
    (void)snprintf(service, sizeof service, "%s", ops_conf_str(l->r.conf, OWN_SERVICE));
    (void)snprintf(contains, sizeof contains, "%s", ops_conf_str(l->r.conf, OWN_CONTAINS));
    ops_table_begin(&l->table, l->r.ctx->out, l->r.zh ? zh : en, COLUMNS);
    do {
        Ops__V1__ListSeriesRequest q = OPS__V1__LIST_SERIES_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        q.page_size = PAGE;
        q.page_token = token;
        q.service = service;
        q.contains = contains;
        q.buckets = ops_conf_bool(l->r.conf, OWN_BUCKETS);
        st = ops_remote_call(&l->r, "/ops.v1.ClusterService/ListSeries", &q.base,
                             &ops__v1__list_series_response__descriptor, &m, reterr);
        if (st != OPS_OK)
            break;
        const Ops__V1__ListSeriesResponse *a = (const Ops__V1__ListSeriesResponse *)m;
        for (size_t i = 0; i < a->n_series && (l->limit == 0 || l->shown < l->limit); i++, l->shown++)
            row(l, a->series[i]);
        (void)snprintf(token, sizeof token, "%s", a->next_page_token);
        protobuf_c_message_free_unpacked(m, NULL);
    } while (token[0] != '\0' && (l->limit == 0 || l->shown < l->limit));
    if (l->r.mode > OPS_PRINT_WIDE || (st != OPS_OK && l->table.cell_count == 0))
        l->table.headed = true; /* no heads over nothing */
    ops_table_end(&l->table);
    return st;
}

ops_status ops_cmd_get_series(ops_verb_ctx *ctx, ops_err *reterr)
{
    listing l = {.now_ns = ops_clock_wall_ns(ops_clock_system())};
    ops_status st = ops_remote_open(ctx, own, sizeof own / sizeof *own, &l.r, reterr);
    if (st != OPS_OK)
        return st;
    l.limit = ops_conf_uint(l.r.conf, OWN_LIMIT);
    st = ctx->argc > 0 ? ops_fail(reterr, OPS_EINVAL, "'%s' is one word too many", ctx->argv[0])
                       : list(&l, reterr);
    ops_remote_close(&l.r);
    return st;
}
