/* offline findings: what opsd would have found in these logs, and when. */
#include <stdlib.h>
#include <string.h>

#include "base/text/strbuf.h"
#include "base/time/rfc3339.h"
#include "coordinator/analysis/finding/book.h"
#include "coordinator/analysis/pipeline/pipeline.h"
#include "opsctl/cmd/records.h"
#include "opsctl/verb.h"

static const int64_t second_ns = 1000000000;
enum { EXIT_FINDINGS = 3 };

typedef struct run {
    ops_verb_ctx *ctx;
    ops_records_format format;
    ops_slice service;
    bool json, changes, fail;
    ops_records *records;
    ops_pipeline *pipeline;
    ops_finding_book *book;
    ops_strbuf out;
    uint64_t opened;
    int64_t first_ns, last_ns;
    ops_status st; /* of what happened in a callback */
    ops_err *reterr;
} run;

static void put_time(ops_strbuf *b, int64_t ns)
{
    char buf[OPS_RFC3339_BYTES];
    ops_strbuf_str(b, ops_rfc3339_format(ns, 3, buf));
}

static void put_json(run *x, const ops_finding *f, const char *change)
{
    ops_strbuf *b = &x->out;
    ops_strbuf_printf(b, "{\"id\":\"%s\",\"change\":\"%s\",\"at\":\"", f->id, change);
    put_time(b, x->last_ns);
    ops_strbuf_printf(b, "\",\"kind\":\"%s\",\"severity\":\"%s\",\"services\":[",
                      ops_candidate_kind_name(f->kind), ops_level_name(f->severity));
    for (size_t i = 0; i < f->service_count; i++) {
        ops_strbuf_str(b, i > 0 ? "," : "");
        ops_strbuf_json(b, f->services[i]);
    }
    ops_strbuf_str(b, "],\"start\":\"");
    put_time(b, f->start_ns);
    ops_strbuf_str(b, "\",\"last\":\"");
    put_time(b, f->last_ns);
    ops_strbuf_str(b, "\",\"statistic\":");
    ops_strbuf_json(b, f->statistic);
    ops_strbuf_printf(b,
                      ",\"value\":%.6g,\"expected_low\":%.6g,\"expected_high\":%.6g,\"p_value\":%.3g,"
                      "\"score\":%.1f,\"summary\":",
                      f->value, f->expected_low, f->expected_high, f->p_value, f->score);
    ops_strbuf_json(b, f->summary);
    ops_strbuf_str(b, ",\"evidence\":[");
    for (size_t i = 0; i < f->evidence_count; i++) {
        ops_strbuf_str(b, i > 0 ? ",{\"service\":" : "{\"service\":");
        ops_strbuf_json(b, f->evidence[i].service);
        ops_strbuf_str(b, ",\"time\":\"");
        put_time(b, f->evidence[i].time_ns);
        ops_strbuf_str(b, "\",\"text\":");
        ops_strbuf_json(b, f->evidence[i].text);
        ops_strbuf_char(b, '}');
    }
    ops_strbuf_str(b, "]}\n");
}

/* Log text is somebody else's: no control byte of it reaches a terminal, and a line stays a line. */
static void put_line(ops_strbuf *b, ops_slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = (uint8_t)text.p[i];
        bool c1 = c == 0xc2 && i + 1 < text.n && (uint8_t)text.p[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || c1)
            ops_strbuf_char(b, ' ');
        else
            ops_strbuf_char(b, (char)c);
        i += c1;
    }
    ops_strbuf_char(b, '\n');
}

static void put_table(run *x, const ops_finding *f, const char *change)
{
    ops_strbuf *b = &x->out;
    put_time(b, x->changes ? x->last_ns : f->start_ns);
    ops_strbuf_printf(b, "  %-8s  %-14s  ", ops_level_name(f->severity), ops_candidate_kind_name(f->kind));
    if (x->changes)
        ops_strbuf_printf(b, "%-7s  ", change);
    ops_strbuf_str(b, f->id);
    ops_strbuf_str(b, "\n  ");
    put_line(b, f->summary);
    for (size_t i = 0; i < f->evidence_count; i++) {
        ops_strbuf_str(b, "    ");
        put_time(b, f->evidence[i].time_ns);
        ops_strbuf_printf(b, " " OPS_SLICE_FMT ": ", OPS_SLICE_ARG(f->evidence[i].service));
        put_line(b, f->evidence[i].text);
    }
}

static void show(run *x, const ops_finding *f, const char *change)
{
    ops_strbuf_clear(&x->out);
    if (x->json)
        put_json(x, f, change);
    else
        put_table(x, f, change);
    if (x->st != OPS_OK)
        return;
    if (x->out.failed)
        x->st = ops_fail(x->reterr, OPS_ENOMEM, "printing finding %s", f->id);
    else if (fwrite(x->out.p, 1, x->out.n, x->ctx->out) != x->out.n)
        x->st = ops_fail(x->reterr, OPS_EIO, "standard output");
}

static void on_change(void *u, ops_finding_change change, const ops_finding *f)
{
    static const char *const names[] = {[OPS_FINDING_OPENED] = "opened",
                                        [OPS_FINDING_UPDATED] = "updated",
                                        [OPS_FINDING_WAS_CLOSED] = "closed"};
    run *x = u;
    x->opened += change == OPS_FINDING_OPENED;
    if (x->changes || change == OPS_FINDING_WAS_CLOSED)
        show(x, f, names[change]);
}

static void on_candidate(void *u, const ops_candidate *c)
{
    run *x = u;
    ops_status st = ops_finding_book_add(x->book, c, x->last_ns, x->reterr);
    x->st = x->st == OPS_OK ? st : x->st;
}

static ops_status prepare(run *x, ops_err *reterr)
{
    const ops_pipeline_limits pl = {.on_candidate = on_candidate, .u = x};
    const ops_finding_limits bl = {.tenant = OPS_SLICE("offline"), .on_change = on_change, .u = x};
    ops_status st = ops_pipeline_new(&pl, &x->pipeline, reterr);
    if (st == OPS_OK)
        st = ops_finding_book_new(&bl, &x->book, reterr);
    return st;
}

static ops_status feed(run *x, const ops_records_row *row, ops_err *reterr)
{
    const ops_event e = {.tenant = OPS_SLICE("offline"),
                         .service = row->service,
                         .message = row->message,
                         .time_ns = row->time_ns,
                         .recv_ns = 0,
                         .severity = row->severity};
    int64_t before = x->last_ns;
    x->first_ns = x->first_ns == 0 || row->time_ns < x->first_ns ? row->time_ns : x->first_ns;
    x->last_ns = row->time_ns > x->last_ns ? row->time_ns : x->last_ns;
    ops_status st = ops_pipeline_add(x->pipeline, &e, NULL, reterr);
    if (st == OPS_OK && x->last_ns / second_ns != before / second_ns)
        st = ops_finding_book_tick(x->book, x->last_ns, reterr);
    return st == OPS_OK ? x->st : st;
}

static ops_status analyse(run *x, ops_err *reterr)
{
    ops_records_row row;
    ops_status st;
    while ((st = ops_records_next(x->records, &row, reterr)) == OPS_OK)
        if ((st = feed(x, &row, reterr)) != OPS_OK)
            return st;
    if (st != OPS_ENOTFOUND)
        return st;
    ops_records_stats s;
    ops_records_stats_get(x->records, &s);
    if (s.records == 0)
        return ops_fail(reterr, OPS_EINVAL, "no line with a time stamp among %llu of %zu files",
                        (unsigned long long)s.lines, s.files);
    ops_pipeline_finish(x->pipeline);
    st = x->st;
    size_t iter = 0;
    ops_finding f;
    while (st == OPS_OK && !x->changes && ops_finding_book_next(x->book, &iter, &f))
        show(x, &f, "open");
    (void)fprintf(
        x->ctx->err, "%llu records of %zu files, %llu s, %llu findings", (unsigned long long)s.records,
        s.files, (unsigned long long)((x->last_ns - x->first_ns) / second_ns), (unsigned long long)x->opened);
    if (s.redactions > 0)
        (void)fprintf(x->ctx->err, ", %llu redactions", (unsigned long long)s.redactions);
    if (s.rejected > 0)
        (void)fprintf(x->ctx->err, ", %llu rejected", (unsigned long long)s.rejected);
    if (s.untimed > 0)
        (void)fprintf(x->ctx->err, ", %llu records without any time left out", (unsigned long long)s.untimed);
    (void)fputc('\n', x->ctx->err);
    return st == OPS_OK ? x->st : st;
}

static ops_status set_value(run *x, const char *flag, const char *v, ops_err *reterr)
{
    static const char *const formats[] = {"auto", "lines", "otlp", "case"};
    if (strcmp(flag, "--service") == 0) {
        x->service = ops_slice_str(v);
        return OPS_OK;
    }
    if (strcmp(flag, "--fail-on") == 0) {
        x->fail = true;
        return strcmp(v, "findings") == 0
                   ? OPS_OK
                   : ops_fail(reterr, OPS_EINVAL, "--fail-on '%s': only 'findings' is known", v);
    }
    if (strcmp(flag, "-o") == 0) {
        x->json = strcmp(v, "json") == 0;
        return x->json || strcmp(v, "table") == 0
                   ? OPS_OK
                   : ops_fail(reterr, OPS_EINVAL, "-o '%s': table and json are known", v);
    }
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(v, formats[i]) == 0) {
            x->format = (ops_records_format)i;
            return OPS_OK;
        }
    return ops_fail(reterr, OPS_EINVAL, "--format '%s': auto, lines, otlp and case are known", v);
}

/* Flags first to last; argv keeps the paths in front, *ret_paths of them. */
static ops_status flags(run *x, int *ret_paths, ops_err *reterr)
{
    static const char *const valued[] = {"--service", "--fail-on", "-o", "--format"};
    ops_verb_ctx *ctx = x->ctx;
    *ret_paths = 0;
    for (int i = 0; i < ctx->argc; i++) {
        char *a = ctx->argv[i];
        bool known = false;
        for (size_t k = 0; k < sizeof valued / sizeof valued[0] && !known; k++)
            known = strcmp(a, valued[k]) == 0;
        if (known && i + 1 == ctx->argc)
            return ops_fail(reterr, OPS_EINVAL, "%s needs a value", a);
        if (known) {
            ops_status st = set_value(x, a, ctx->argv[++i], reterr);
            if (st != OPS_OK)
                return st;
        } else if (strcmp(a, "--changes") == 0) {
            x->changes = true;
        } else if (a[0] == '-' && a[1] != '\0') {
            return ops_fail(reterr, OPS_EINVAL, "unknown flag '%s'", a);
        } else {
            ctx->argv[(*ret_paths)++] = a;
        }
    }
    return *ret_paths > 0 ? OPS_OK
                          : ops_fail(reterr, OPS_EINVAL, "name a file or a folder, or - for standard input");
}

ops_status ops_cmd_offline_findings(ops_verb_ctx *ctx, ops_err *reterr)
{
    run x = {.ctx = ctx, .reterr = reterr};
    int paths = 0;
    ops_strbuf_init(&x.out, 1 << 20);
    ops_status st = flags(&x, &paths, reterr);
    if (st == OPS_OK)
        st = ops_records_new(x.format, ctx->in, &x.records, reterr);
    for (int i = 0; st == OPS_OK && i < paths; i++)
        st = ops_records_open(x.records, ctx->argv[i], x.service, reterr);
    if (st == OPS_OK)
        st = prepare(&x, reterr);
    if (st == OPS_OK)
        st = analyse(&x, reterr);
    if (st == OPS_OK && x.fail && x.opened > 0)
        ctx->exit_code = EXIT_FINDINGS;
    ops_finding_book_free(x.book);
    ops_pipeline_free(x.pipeline);
    ops_records_free(x.records);
    ops_strbuf_done(&x.out);
    return st;
}
