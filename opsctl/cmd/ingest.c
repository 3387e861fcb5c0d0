/* ingest FILE...|-: raw lines as OTLP to the daemon's gRPC door, which recognises their shapes. Stack traces are joined here,
 * where the lines of one file still stand together. */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "base/text/utf8.h"
#include "base/time/clock.h"
#include "coordinator/ingest/multiline.h"
#include "coordinator/source/source.h"
#include "opsctl/cmd/reader.h"
#include "opsctl/remote/remote.h"

enum { OWN_SERVICE = REMOTE_OPTIONS, OWN_ENDPOINT, OWN_FOLLOW, OWN_FROM_START };
enum { BATCH_EVENTS = 1000, BATCH_BYTES = 512 * 1024, REQUEST_BYTES_MAX = 32 << 20, RETRIES_MAX = 60 };

static const ops_conf_row own[] = {
    {"service", OPS_CONF_STR, "", .help = "Service of lines that name none; empty: the file's name."},
    {"endpoint", OPS_CONF_STR, "127.0.0.1:4317", .help = "Address of the daemon's OTLP gRPC port."},
    {"follow", OPS_CONF_BOOL, "false", .help = "Go on with what is written to the files (-f)."},
    {"from_start", OPS_CONF_BOOL, "true", .help = "With --follow: send what is there already."},
};

typedef struct sending {
    ops_remote r;
    ops_rpc_channel *door;
    ops_strbuf records; /* LogRecords of the batch, each as field 2 of ScopeLogs */
    size_t events;
    char service[256];
    uint64_t lines, sent, rejected, bytes;
    int64_t start_ns, told_ns;
    ops_status st;
    ops_err err;
    bool bar;
} sending;

static void put_varint(ops_strbuf *b, uint64_t v)
{
    uint8_t tmp[OPS_VARINT_BYTES_MAX];
    ops_strbuf_put(b, tmp, ops_varint_put(tmp, v));
}

static void put_field(ops_strbuf *b, unsigned number, ops_slice s)
{
    put_varint(b, (uint64_t)number << 3 | 2);
    put_varint(b, s.n);
    ops_strbuf_slice(b, s);
}

/* A message of one field. */
static void wrap(ops_strbuf *b, unsigned number)
{
    ops_strbuf out;
    ops_strbuf_init(&out, REQUEST_BYTES_MAX);
    put_field(&out, number, ops_strbuf_get(b));
    if (out.failed)
        b->failed = true;
    ops_strbuf_clear(b);
    ops_strbuf_slice(b, ops_strbuf_get(&out));
    ops_strbuf_done(&out);
}

/* Field numbers: opentelemetry-proto logs/v1, common/v1, resource/v1. */
static void build(const sending *s, ops_strbuf *out)
{
    ops_strbuf attr, any;
    ops_strbuf_init(&attr, 4096);
    ops_strbuf_init(&any, 4096);
    put_field(&any, 1, ops_slice_str(s->service)); /* AnyValue.string_value */
    put_field(&attr, 1, OPS_SLICE("service.name"));
    put_field(&attr, 2, ops_strbuf_get(&any));
    wrap(&attr, 1);                                 /* Resource.attributes */
    put_field(out, 1, ops_strbuf_get(&attr));       /* ResourceLogs.resource */
    put_field(out, 2, ops_strbuf_get(&s->records)); /* ResourceLogs.scope_logs */
    wrap(out, 1);                                   /* ExportLogsServiceRequest.resource_logs */
    ops_strbuf_done(&attr);
    ops_strbuf_done(&any);
}

/* partial_success { rejected_log_records = 1 } */
static uint64_t rejected_of(ops_slice reply)
{
    const uint8_t *p = (const uint8_t *)reply.p, *end = p + reply.n;
    uint64_t tag, n = 0;
    if (reply.n == 0 || !ops_varint_get(&p, end, &tag) || tag != (1 << 3 | 2) ||
        !ops_varint_get(&p, end, &n) || !ops_varint_get(&p, end, &tag) || tag != 1 << 3 ||
        !ops_varint_get(&p, end, &n))
        return 0;
    return n;
}

static void nap(uint32_t ms)
{
    const struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};
    (void)nanosleep(&ts, NULL);
}

/* Sends the batch, coming again as long as the daemon asks for it. */
static ops_status flush(sending *s, ops_err *reterr)
{
    ops_strbuf out, in;
    ops_status st = OPS_OK;
    if (s->events == 0)
        return OPS_OK;
    ops_strbuf_init(&out, REQUEST_BYTES_MAX);
    ops_strbuf_init(&in, 1 << 16);
    build(s, &out);
    if (out.failed)
        st = ops_fail(reterr, OPS_ENOMEM, "a batch of %zu events", s->events);
    for (int tries = 0; st == OPS_OK; tries++) {
        ops_rpc_details d;
        ops_strbuf_clear(&in);
        st = ops_rpc_unary(s->door, "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
                           ops_strbuf_get(&out), (int64_t)ops_conf_uint(s->r.conf, REMOTE_TIMEOUT), &in, &d,
                           reterr);
        if (st == OPS_OK) {
            uint64_t bad = rejected_of(ops_strbuf_get(&in));
            s->sent += s->events - bad;
            s->rejected += bad;
            break;
        }
        if (!ops_status_retriable(st) || tries >= RETRIES_MAX) {
            ops_err_prefix(reterr, "%s", ops_conf_str(s->r.conf, OWN_ENDPOINT));
            break;
        }
        nap(d.retry_ms > 0 ? d.retry_ms : 1000);
        st = OPS_OK;
    }
    ops_strbuf_done(&out);
    ops_strbuf_done(&in);
    ops_strbuf_clear(&s->records);
    s->events = 0;
    return st;
}

static void on_event(void *u, const ops_multiline_event *e)
{
    sending *s = u;
    ops_strbuf record, any, clean;
    if (s->st != OPS_OK)
        return;
    ops_strbuf_init(&record, 4 << 20);
    ops_strbuf_init(&any, 4 << 20);
    ops_strbuf_init(&clean, 4 << 20);
    ops_slice text = e->text;
    if (!ops_utf8_valid(text)) {
        ops_utf8_clean(&clean, text);
        text = ops_strbuf_get(&clean);
    }
    put_field(&any, 1, text);
    put_field(&record, 5, ops_strbuf_get(&any)); /* LogRecord.body */
    put_field(&s->records, 2, ops_strbuf_get(&record));
    s->events++;
    if (record.failed || any.failed || clean.failed || s->records.failed)
        s->st = ops_fail(&s->err, OPS_ENOMEM, "an event of %zu bytes", e->text.n);
    ops_strbuf_done(&record);
    ops_strbuf_done(&any);
    ops_strbuf_done(&clean);
    if (s->st == OPS_OK && (s->events >= BATCH_EVENTS || s->records.n >= BATCH_BYTES))
        s->st = flush(s, &s->err);
}

/* "  41%  12.3 MiB  81,000 lines/s  ETA 12 s", redrawn in place on a terminal. */
static void draw(sending *s, const ops_reader *reader, bool last)
{
    uint64_t done = 0, total = 0;
    int64_t now = ops_clock_mono_ns(ops_clock_system());
    if (!s->bar || (!last && now - s->told_ns < 200000000))
        return;
    s->told_ns = now;
    double spent = (double)(now - s->start_ns) / 1e9, rate = spent > 0 ? (double)s->lines / spent : 0;
    ops_reader_progress(reader, &done, &total);
    if (total > 0 && done > 0)
        (void)fprintf(s->r.ctx->err, "\r%3.0f%%  %.1f MiB  %.0f lines/s  ETA %.0f s   ",
                      100.0 * (double)done / (double)total, (double)done / 1048576.0, rate,
                      spent * (double)(total - done) / (double)done);
    else
        (void)fprintf(s->r.ctx->err, "\r%.1f MiB  %.0f lines/s   ", (double)done / 1048576.0, rate);
    if (last)
        (void)fputc('\n', s->r.ctx->err);
}

static void name_service(sending *s, const char *path)
{
    const char *given = ops_conf_str(s->r.conf, OWN_SERVICE), *base = strrchr(path, '/');
    if (given[0] != '\0' || strcmp(path, "-") == 0) {
        (void)snprintf(s->service, sizeof s->service, "%s", given[0] != '\0' ? given : "stdin");
        return;
    }
    (void)snprintf(s->service, sizeof s->service, "%.255s", base != NULL ? base + 1 : path);
    char *dot = strchr(s->service + 1, '.');
    if (dot != NULL)
        *dot = '\0';
}

static ops_status send_file(sending *s, const char *path, ops_err *reterr)
{
    OPS_AUTO(ops_reader_close) ops_reader *reader = NULL;
    ops_multiline_conf mc;
    ops_multiline *m = NULL;
    bool end = false;
    ops_slice line;
    ops_multiline_conf_default(&mc);
    ops_status st = ops_reader_open(path, &reader, reterr);
    if (st == OPS_OK)
        st = ops_multiline_new(&mc, on_event, s, &m, reterr);
    name_service(s, path);
    while (st == OPS_OK && s->st == OPS_OK) {
        st = ops_reader_line(reader, &line, &end, reterr);
        if (st != OPS_OK || end)
            break;
        s->lines++;
        if (line.n > 0)
            st = ops_multiline_push(m, OPS_SLICE("file"), line, false, ops_clock_mono_ns(ops_clock_system()),
                                    reterr);
        if (s->lines % 1024 == 0)
            draw(s, reader, false);
    }
    if (m != NULL)
        ops_multiline_flush(m);
    ops_multiline_free(m);
    if (st == OPS_OK && s->st == OPS_OK)
        s->st = flush(s, &s->err);
    if (reader != NULL)
        draw(s, reader, true);
    if (st == OPS_OK && s->st != OPS_OK) {
        st = s->st;
        *reterr = s->err;
    }
    return st;
}

static ops_status on_lines(void *user, const ops_source_batch *b)
{
    sending *s = user;
    char path[1024];
    ops_multiline_conf mc;
    ops_multiline *m = NULL;
    (void)snprintf(path, sizeof path, OPS_SLICE_FMT, OPS_SLICE_ARG(b->source));
    name_service(s, path);
    ops_multiline_conf_default(&mc);
    ops_status st = ops_multiline_new(&mc, on_event, s, &m, NULL);
    for (size_t i = 0; st == OPS_OK && i < b->line_count; i++)
        st = ops_multiline_push(m, b->source, b->lines[i].text, false, ops_clock_mono_ns(ops_clock_system()),
                                NULL);
    if (st == OPS_OK)
        ops_multiline_flush(m);
    ops_multiline_free(m);
    if (st == OPS_OK && s->st == OPS_OK)
        s->st = flush(s, &s->err);
    s->lines += b->line_count;
    if (s->st != OPS_OK) {
        (void)fprintf(s->r.ctx->err, "opsctl ingest: %s\n", s->err.msg);
        s->st = OPS_OK; /* offered again */
        return OPS_EAGAIN;
    }
    return st == OPS_OK ? OPS_OK : OPS_EAGAIN;
}

static ops_status follow(sending *s, ops_err *reterr)
{
    const char *globs[64];
    char full[64][1024];
    size_t n = 0;
    sigset_t signals;
    int got = 0;
    for (int i = 0; i < s->r.ctx->argc; i++, n++) {
        if (n == 64)
            return ops_fail(reterr, OPS_EINVAL, "at most 64 files are followed");
        if (s->r.ctx->argv[i][0] == '/')
            (void)snprintf(full[n], sizeof full[n], "%s", s->r.ctx->argv[i]);
        else if (getcwd(full[n], sizeof full[n] / 2) != NULL) {
            size_t at = strlen(full[n]);
            (void)snprintf(full[n] + at, sizeof full[n] - at, "/%s", s->r.ctx->argv[i]);
        }
        globs[n] = full[n];
    }
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    const ops_source_conf sc = {
        .globs = globs, .glob_count = n, .from_start = ops_conf_bool(s->r.conf, OWN_FROM_START)};
    const ops_source_sink sink = {.user = s, .lines = on_lines};
    ops_source *source = NULL;
    ops_status st = ops_source_new(&sc, &sink, &source, reterr);
    if (st == OPS_OK)
        st = ops_source_start(source, reterr);
    if (st == OPS_OK)
        (void)sigwait(&signals, &got);
    ops_source_free(source);
    s->r.ctx->exit_code = got == SIGINT ? 130 : 0;
    return st;
}

ops_status ops_cmd_ingest(ops_verb_ctx *ctx, ops_err *reterr)
{
    sending s = {.start_ns = ops_clock_mono_ns(ops_clock_system())};
    ops_status st = ops_remote_options(ctx, own, sizeof own / sizeof *own, &s.r, reterr);
    if (st != OPS_OK)
        return st;
    ops_strbuf_init(&s.records, REQUEST_BYTES_MAX);
    s.bar = isatty(fileno(ctx->err)) != 0;
    st = ctx->argc == 0 ? ops_fail(reterr, OPS_EINVAL, "a file, or - for standard input, is needed")
                        : ops_remote_dial(&s.r, ops_conf_str(s.r.conf, OWN_ENDPOINT), &s.door, reterr);
    if (st == OPS_OK && ops_conf_bool(s.r.conf, OWN_FOLLOW))
        st = follow(&s, reterr);
    else
        for (int i = 0; st == OPS_OK && i < ctx->argc; i++)
            st = send_file(&s, ctx->argv[i], reterr);
    double spent = (double)(ops_clock_mono_ns(ops_clock_system()) - s.start_ns) / 1e9;
    (void)fprintf(ctx->err,
                  s.r.zh ? "已发送 %" PRIu64 " 条事件（%" PRIu64 " 行），拒绝 %" PRIu64 " 条，用时 %.1f 秒\n"
                         : "%" PRIu64 " events of %" PRIu64 " lines sent, %" PRIu64 " rejected, in %.1f s\n",
                  s.sent, s.lines, s.rejected, spent);
    ops_rpc_channel_free(s.door);
    ops_strbuf_done(&s.records);
    ops_remote_close(&s.r);
    return st;
}
