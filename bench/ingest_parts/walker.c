/* Records per CPU-second of the OTLP decoder and lines per CPU-second of the line shapes, on one thread.
 * Usage: bench_part_walker [seconds]. Requests hold 1000 records: a body of about 100 bytes and six attributes, a
 * resource of four. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/text/codec.h"
#include "base/text/strbuf.h"
#include "coordinator/ingest/line.h"
#include "coordinator/ingest/otlp_logs.h"
#include "proto/otlp/walk.h"

enum { RECORDS = 1000 };
#define T0 INT64_C(1764000000000000000)

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put_bytes(ops_strbuf *b, uint8_t tag, ops_slice s)
{
    uint8_t buf[OPS_VARINT_BYTES_MAX];
    ops_strbuf_char(b, (char)tag);
    ops_strbuf_put(b, buf, ops_varint_put(buf, s.n));
    ops_strbuf_slice(b, s);
}

static void put_attr(ops_strbuf *b, uint8_t tag, const char *key, const char *val)
{
    ops_strbuf kv, any;
    ops_strbuf_init(&kv, 4096);
    ops_strbuf_init(&any, 4096);
    put_bytes(&any, 0x0a, ops_slice_str(val));
    put_bytes(&kv, 0x0a, ops_slice_str(key));
    put_bytes(&kv, 0x12, ops_strbuf_get(&any));
    put_bytes(b, tag, ops_strbuf_get(&kv));
    ops_strbuf_done(&kv);
    ops_strbuf_done(&any);
}

static void record(ops_strbuf *b, int i)
{
    char body[160];
    ops_strbuf any;
    const uint64_t t = (uint64_t)(T0 + i);

    snprintf(body, sizeof body,
             "request %d from 10.0.%d.%d finished with status 200 in %d ms, 5312 bytes sent to client", i,
             i % 256, i % 199, i % 977);
    ops_strbuf_char(b, 0x09);
    ops_strbuf_put(b, &t, 8);
    ops_strbuf_put(b, "\x10\x09", 2);
    put_bytes(b, 0x1a, OPS_SLICE("INFO"));
    ops_strbuf_init(&any, 4096);
    put_bytes(&any, 0x0a, ops_slice_str(body));
    put_bytes(b, 0x2a, ops_strbuf_get(&any));
    ops_strbuf_done(&any);
    put_attr(b, 0x32, "http.request.method", "GET");
    put_attr(b, 0x32, "url.path", "/api/v1/orders/list");
    put_attr(b, 0x32, "client.address", "10.0.3.7");
    put_attr(b, 0x32, "thread.name", "http-nio-8080-exec-4");
    put_attr(b, 0x32, "code.function.name", "com.acme.shop.OrderController.list");
    put_attr(b, 0x32, "user.id", "u-3018842");
    put_bytes(b, 0x4a, ops_slice_of("0123456789abcdef", 16));
    put_bytes(b, 0x52, ops_slice_of("01234567", 8));
}

static void request(ops_strbuf *out)
{
    ops_strbuf resource, scope, rec, rl;
    ops_strbuf_init(&resource, 1 << 16);
    ops_strbuf_init(&scope, 1 << 24);
    ops_strbuf_init(&rec, 1 << 16);
    ops_strbuf_init(&rl, 1 << 24);
    put_attr(&resource, 0x0a, "service.name", "orders");
    put_attr(&resource, 0x0a, "k8s.pod.name", "orders-6d4f9c8b7-x2x9k");
    put_attr(&resource, 0x0a, "k8s.namespace.name", "shop");
    put_attr(&resource, 0x0a, "host.name", "node-17");
    for (int i = 0; i < RECORDS; i++) {
        ops_strbuf_clear(&rec);
        record(&rec, i);
        put_bytes(&scope, 0x12, ops_strbuf_get(&rec));
    }
    put_bytes(&rl, 0x0a, ops_strbuf_get(&resource));
    put_bytes(&rl, 0x12, ops_strbuf_get(&scope));
    put_bytes(out, 0x0a, ops_strbuf_get(&rl));
    ops_strbuf_done(&resource);
    ops_strbuf_done(&scope);
    ops_strbuf_done(&rec);
    ops_strbuf_done(&rl);
}

static ops_status keep(void *u, const ops_record *r, ops_err *reterr)
{
    uint64_t *sum = u;
    (void)reterr;
    *sum += r->message.n + r->attr_count;
    return OPS_OK;
}

static ops_status on_log(void *u, const ops_walk_log *log, ops_err *reterr)
{
    uint64_t *sum = u;
    (void)reterr;
    *sum += log->body.n + log->attr_count;
    return OPS_OK;
}

static void report(const char *what, uint64_t items, uint64_t bytes, double cpu)
{
    printf("%-28s %8.2f M/s per core  %7.0f MB/s\n", what, (double)items / cpu / 1e6,
           (double)bytes / cpu / 1e6);
}

static void bench_otlp(double seconds)
{
    static const ops_walk_log_visitor visitor = {.log = on_log};
    ops_walk_limits walk_limits;
    ops_ingest_limits limits;
    ops_ingest_counters c = {0};
    ops_strbuf msg;
    ops_walk *w;
    ops_err err;
    uint64_t sum = 0, n = 0;

    ops_strbuf_init(&msg, 1 << 24);
    request(&msg);
    ops_walk_limits_default(&walk_limits);
    ops_ingest_limits_default(&limits);
    if (msg.failed || ops_walk_new(&walk_limits, &w, &err) != OPS_OK)
        exit(1);
    double from = cpu_s(), used;
    do {
        if (ops_walk_logs(w, ops_strbuf_get(&msg), &visitor, &sum, &err) != OPS_OK)
            exit(1);
        n++;
    } while ((used = cpu_s() - from) < seconds);
    report("OTLP walk", n * RECORDS, n * msg.n, used);
    ops_walk_free(w);

    n = 0;
    from = cpu_s();
    do {
        if (ops_otlp_logs_decode((const uint8_t *)msg.p, msg.n, &limits, T0 + 1000, keep, NULL, &sum, &c,
                                 &err) != OPS_OK)
            exit(1);
        n++;
    } while ((used = cpu_s() - from) < seconds);
    report("OTLP decode to records", n * RECORDS, n * msg.n, used);
    ops_strbuf_done(&msg);
}

static void bench_lines(double seconds)
{
    static const struct {
        const char *name, *line;
    } lines[] = {
        {"line plain",
         "request 5 from 10.0.3.7 finished with status 200 in 17 ms, 5312 bytes sent to client"},
        {"line time level logger",
         "2026-01-01 08:00:00.123 [exec-4] INFO  com.acme.Shop - request 5 finished in 17 ms"},
        {"line rfc3164",
         "<13>Jan  1 08:00:00 node-17 sshd[812]: Accepted publickey for root from 10.0.3.7 port 22"},
        {"line CRI", "2026-01-01T08:00:00.123456789Z stdout F request 5 from 10.0.3.7 finished in 17 ms"},
        {"line logfmt",
         "ts=2026-01-01T08:59:58Z level=info msg=\"request done\" app=orders took=17ms status=200"},
        {"line JSON",
         "{\"time\":\"2026-01-01T08:00:00Z\",\"level\":\"info\",\"msg\":\"request done\",\"took\":17,"
         "\"status\":200,\"path\":\"/api/v1/orders\"}"},
        {"line access",
         "10.0.3.7 - - [01/Jan/2026:08:00:00 +0000] \"GET /api HTTP/1.1\" 200 5312 \"-\" \"curl/8\""},
    };
    ops_ingest_limits limits;
    ops_arena arena;
    ops_record r;

    ops_ingest_limits_default(&limits);
    const ops_line_ctx ctx = {.limits = &limits, .recv_ns = INT64_C(1767258000000000000)};
    ops_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const ops_slice line = ops_slice_str(lines[i].line);
        const double from = cpu_s();
        uint64_t n = 0;
        double used;
        do {
            for (int k = 0; k < 1000; k++) {
                ops_line_parse(&ctx, line, &arena, &r, NULL, NULL);
                ops_arena_clear(&arena);
            }
            n += 1000;
        } while ((used = cpu_s() - from) < seconds);
        report(lines[i].name, n, n * line.n, used);
    }
    ops_arena_done(&arena);
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;

    bench_otlp(seconds);
    bench_lines(seconds);
    return 0;
}
