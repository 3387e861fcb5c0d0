/* Lines as the named programs print them; expected times were worked out with date(1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/ingest/line.h"

#define SEC  INT64_C(1000000000)
#define RECV (INT64_C(1767258000) * SEC) /* 2026-01-01T09:00:00Z */

struct row {
    const char *line;
    ops_line_shape shape, inner;
    int64_t time_ns; /* 0: none */
    uint8_t severity;
    const char *service, *message;
    const char *attrs; /* key=value;... in order */
};

static const struct row rows[] = {
    {"just words", OPS_LINE_PLAIN, OPS_LINE_PLAIN, 0, 0, "", "just words", ""},
    {"ERROR: disk full", OPS_LINE_PLAIN, OPS_LINE_PLAIN, 0, 17, "", "disk full", ""},
    {"{\"time\":\"2026-01-01T08:59:59.5Z\",\"level\":\"warn\",\"msg\":\"slow "
     "\\u4f60\",\"service\":\"pay\",\"n\":3,"
     "\"o\":{\"a\":[1,true]}}",
     OPS_LINE_JSON, OPS_LINE_JSON, 1767257999500000000, 13, "pay", "slow \u4f60", "n=3;o={\"a\":[1,true]}"},
    {"{\"level\":50,\"time\":1767257999123,\"pid\":7,\"msg\":\"pino\"}", OPS_LINE_JSON, OPS_LINE_JSON,
     1767257999123000000, 17, "", "pino", "pid=7"},
    {"{\"@timestamp\":\"2026-01-01T10:00:00.000+02:00\",\"log\":{\"level\":\"ERROR\"},\"message\":\"ecs\","
     "\"service\":{\"name\":\"api\"}}",
     OPS_LINE_JSON, OPS_LINE_JSON, 1767254400000000000, 17, "api", "ecs", ""},
    {"{\"broken\":", OPS_LINE_PLAIN, OPS_LINE_PLAIN, 0, 0, "", "{\"broken\":", ""},
    {"ts=2026-01-01T08:59:58Z level=info msg=\"opened \\\"db\\\"\" app=prom took=3ms", OPS_LINE_LOGFMT,
     OPS_LINE_LOGFMT, 1767257998000000000, 9, "prom", "opened \"db\"", "took=3ms"},
    {"a=1 b=2", OPS_LINE_PLAIN, OPS_LINE_PLAIN, 0, 0, "", "a=1 b=2", ""},
    /* RFC 5424 section 6.5, example 1 and 3, the year moved into the clamp window by the test's limits */
    {"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf'su root' failed",
     OPS_LINE_RFC5424, OPS_LINE_RFC5424, 1065910455003000000, 18, "su", "'su root' failed",
     "host.name=mymachine.example.com;syslog.msgid=ID47;syslog.facility=auth"},
    {"<165>1 2003-10-11T22:14:15.003Z h evntslog - ID47 [exampleSDID@32473 iut=\"3\" src=\"A\\\"p\"] An "
     "event",
     OPS_LINE_RFC5424, OPS_LINE_RFC5424, 1065910455003000000, 10, "evntslog", "An event",
     "host.name=h;syslog.msgid=ID47;syslog.facility=local4;iut=3;src=A\"p"},
    {"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time", OPS_LINE_RFC5424,
     OPS_LINE_RFC5424, 1061727255000003000, 10, "myproc", "%% It's time",
     "host.name=192.0.2.1;process.pid=8710;syslog.facility=local4"},
    /* New Year: 31 December received on 1 January is last year's */
    {"Dec 31 23:59:59 web sshd[812]: Accepted key", OPS_LINE_RFC3164, OPS_LINE_RFC3164, 1767225599000000000,
     0, "sshd", "Accepted key", "host.name=web;process.pid=812"},
    {"<11>Jan  1 08:00:00 web app: {\"msg\":\"in\",\"level\":\"debug\"}", OPS_LINE_RFC3164, OPS_LINE_RFC3164,
     1767254400000000000, 5, "app", "in", "syslog.facility=user;host.name=web"},
    {"2026-01-01T08:00:00.5+00:00 web systemd[1]: Started x.", OPS_LINE_RFC3164, OPS_LINE_RFC3164,
     1767254400500000000, 0, "systemd", "Started x.", "host.name=web;process.pid=1"},
    {"2026-01-01T08:00:00.123456789Z stderr F {\"level\":\"error\",\"msg\":\"inner\"}", OPS_LINE_CRI,
     OPS_LINE_JSON, 1767254400123456789, 17, "", "inner", "log.iostream=stderr"},
    {"2026-01-01T08:00:00Z stdout P part of", OPS_LINE_CRI, OPS_LINE_PLAIN, 1767254400000000000, 0, "",
     "part of", "log.iostream=stdout"},
    {"{\"log\":\"2026-01-01 07:00:00,250 INFO  [main] c.x.App - up\\n\",\"stream\":\"stdout\",\"time\":"
     "\"2026-01-01T08:00:00.25Z\"}",
     OPS_LINE_DOCKER, OPS_LINE_TIMED, 1767250800250000000, 9, "", "up",
     "log.iostream=stdout;thread.name=main;log.logger=c.x.App"},
    {"127.0.0.1 - frank [01/Jan/2026:00:55:36 -0700] \"GET /a.gif HTTP/1.0\" 503 2326 \"http://e/s\" "
     "\"Moz/4\"",
     OPS_LINE_ACCESS, OPS_LINE_ACCESS, 1767254136000000000, 17, "",
     "127.0.0.1 - frank \"GET /a.gif HTTP/1.0\" 503 2326 \"http://e/s\" \"Moz/4\"",
     "client.address=127.0.0.1;user.name=frank;http.request.method=GET;url.path=/"
     "a.gif;http.response.status_code=503;"
     "http.response.body.size=2326;http.request.header.referer=http://e/s;user_agent.original=Moz/4"},
    {"10.0.0.1 - - \"POST /orders HTTP/1.1\" 504 30 \"-\" \"curl\" rt=2.0", OPS_LINE_ACCESS, OPS_LINE_ACCESS,
     0, 17, "", "10.0.0.1 - - \"POST /orders HTTP/1.1\" 504 30 \"-\" \"curl\" rt=2.0",
     "client.address=10.0.0.1;http.request.method=POST;url.path=/orders;http.response.status_code=504;"
     "http.response.body.size=30;user_agent.original=curl"},
    {"he said - - \"well then\" 504 30", OPS_LINE_PLAIN, OPS_LINE_PLAIN, 0, 0, "",
     "he said - - \"well then\" 504 30", ""},
    /* redis.conf: the roles are X sentinel, C child, S replica, M master; the levels . debug, - verbose, * notice, # warning */
    {"34:M 01 Jan 2026 08:00:00.123 # Failed opening the RDB file", OPS_LINE_REDIS, OPS_LINE_REDIS,
     1767254400123000000, 13, "", "Failed opening the RDB file", "process.pid=34;redis.role=M"},
    {"7:C * DB saved on disk", OPS_LINE_REDIS, OPS_LINE_REDIS, 0, 9, "", "DB saved on disk",
     "process.pid=7;redis.role=C"},
    {"12:34 # of items", OPS_LINE_PLAIN, OPS_LINE_PLAIN, 0, 0, "", "12:34 # of items", ""},
    {"2026/01/01 08:00:00 [error] 29#30: *5 open() \"/x\" failed (2: No such file)", OPS_LINE_NGINX_ERROR,
     OPS_LINE_NGINX_ERROR, 1767254400000000000, 17, "", "open() \"/x\" failed (2: No such file)",
     "process.pid=29;connection=5"},
    {"2026-01-01 08:00:00.123 UTC [77] ERROR:  relation \"t\" does not exist", OPS_LINE_POSTGRES,
     OPS_LINE_POSTGRES, 1767254400123000000, 17, "", "relation \"t\" does not exist", "process.pid=77"},
    {"2026-01-01 08:00:00.123 UTC [77] bob@shop STATEMENT:  SELECT 1", OPS_LINE_POSTGRES, OPS_LINE_POSTGRES,
     1767254400123000000, 9, "", "SELECT 1", "process.pid=77;db.user=bob;db.namespace=shop"},
    {"E0101 08:00:00.000250   12345 server.go:42] it broke", OPS_LINE_KLOG, OPS_LINE_KLOG,
     1767254400000250000, 17, "", "it broke", "thread.id=12345;code.location=server.go:42"},
    {"2026-01-01 08:00:00.000 [http-1] WARN  com.acme.Shop - low stock", OPS_LINE_TIMED, OPS_LINE_TIMED,
     1767254400000000000, 13, "", "low stock", "thread.name=http-1;log.logger=com.acme.Shop"},
    {"2026-01-01T08:00:00.000Z  INFO 4242 --- [  main] c.a.Shop      : Started in 3 s", OPS_LINE_TIMED,
     OPS_LINE_TIMED, 1767254400000000000, 9, "", "Started in 3 s",
     "process.pid=4242;thread.name=main;log.logger=c.a.Shop"},
    {"2026-01-01 08:00:00,001 - my.mod - ERROR - no: way", OPS_LINE_TIMED, OPS_LINE_TIMED,
     1767254400001000000, 17, "", "no: way", "log.logger=my.mod"},
    {"26/01/01 08:00:00 INFO executor.Executor: Running task", OPS_LINE_TIMED, OPS_LINE_TIMED,
     1767254400000000000, 9, "", "Running task", "log.logger=executor.Executor"},
    {"[Thu Jan 01 08:00:00.000001 2026] [core:error] [pid 9] AH00001: nope", OPS_LINE_TIMED, OPS_LINE_TIMED,
     1767254400000001000, 17, "", "AH00001: nope", "thread.name=pid 9"},
    {"2026/01/01 08:00:00 listening on :80", OPS_LINE_TIMED, OPS_LINE_TIMED, 1767254400000000000, 0, "",
     "listening on :80", ""},
    {"2026-01-01 08:00:00 error opening file", OPS_LINE_TIMED, OPS_LINE_TIMED, 1767254400000000000, 0, "",
     "error opening file", ""},
    {"[2026-01-01 08:00:00] [warning] hot", OPS_LINE_TIMED, OPS_LINE_TIMED, 1767254400000000000, 13, "",
     "hot", ""},
    {"2026-02-30 08:00:00 no such day", OPS_LINE_PLAIN, OPS_LINE_PLAIN, 0, 0, "",
     "2026-02-30 08:00:00 no such day", ""},
};

static void limits_of(ops_ingest_limits *limits)
{
    ops_ingest_limits_default(limits);
    limits->past_ns_max = -1;
    limits->future_ns_max = -1;
}

static void join(const ops_record *r, char *buf, size_t cap)
{
    size_t n = 0;
    buf[0] = '\0';
    for (uint32_t i = 0; i < r->attr_count && n < cap; i++)
        n += (size_t)snprintf(buf + n, cap - n, "%s%.*s=%.*s", i > 0 ? ";" : "", (int)r->attrs[i].key.n,
                              r->attrs[i].key.p, (int)r->attrs[i].val.n, r->attrs[i].val.p);
}

static void every_shape_gives_its_fields(void **state)
{
    ops_ingest_limits limits;
    ops_arena arena;
    (void)state;

    limits_of(&limits);
    const ops_line_ctx ctx = {.limits = &limits, .recv_ns = RECV};
    ops_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *w = &rows[i];
        ops_line_shape inner;
        ops_record r;
        char attrs[1024];
        const ops_line_shape shape = ops_line_parse(&ctx, ops_slice_str(w->line), &arena, &r, &inner, NULL);
        join(&r, attrs, sizeof attrs);
        const bool same =
            shape == w->shape && inner == w->inner && r.severity == w->severity &&
            r.time_ns == (w->time_ns != 0 ? w->time_ns : RECV) &&
            (r.flags & ~(uint32_t)OPS_RECORD_NO_TIME) == 0 &&
            ops_slice_eq(r.message, ops_slice_str(w->message)) && strcmp(attrs, w->attrs) == 0 &&
            ops_slice_eq(r.service, ops_slice_str(*w->service ? w->service : "unknown_service"));
        if (!same)
            fail_msg("%s\n -> %s/%s time %lld severity %d flags %u service '%.*s' message '%.*s' attrs '%s'",
                     w->line, ops_line_shape_name(shape), ops_line_shape_name(inner), (long long)r.time_ns,
                     r.severity, r.flags, (int)r.service.n, r.service.p, (int)r.message.n, r.message.p,
                     attrs);
        ops_arena_clear(&arena);
    }
    ops_arena_done(&arena);
}

static void zones_years_and_partial_lines(void **state)
{
    ops_ingest_limits limits;
    ops_arena arena;
    ops_record r;
    bool partial;
    (void)state;

    limits_of(&limits);
    ops_arena_init(&arena, 1 << 20);
    ops_line_ctx ctx = {
        .limits = &limits, .recv_ns = RECV, .zone_offset_s = 8 * 3600, .service = OPS_SLICE("svc")};
    ops_line_parse(&ctx, OPS_SLICE("2026-01-01 16:00:00 INFO x"), &arena, &r, NULL, NULL);
    assert_true(r.time_ns == 1767254400 * SEC);
    assert_true(ops_slice_eq(r.service, OPS_SLICE("svc")));
    ops_line_parse(&ctx, OPS_SLICE("2026-01-01 08:00:00Z INFO x"), &arena, &r, NULL, NULL);
    assert_true(r.time_ns == 1767254400 * SEC);
    ops_line_parse(&ctx, OPS_SLICE("Jan  1 16:00:00 h t: x"), &arena, &r, NULL, NULL);
    assert_true(r.time_ns == 1767254400 * SEC);
    /* received 2025-12-31T23:00Z, stamped just after midnight: next year */
    ctx = (ops_line_ctx){.limits = &limits, .recv_ns = 1767222000 * SEC};
    ops_line_parse(&ctx, OPS_SLICE("Jan  1 00:00:01 h t: x"), &arena, &r, NULL, NULL);
    assert_true(r.time_ns == 1767225601 * SEC);
    /* 29 February is in 2024 */
    ops_line_parse(&ctx, OPS_SLICE("Feb 29 00:00:00 h t: x"), &arena, &r, NULL, NULL);
    assert_true(r.time_ns == 1709164800 * SEC);

    ops_line_parse(&ctx, OPS_SLICE("2026-01-01T08:00:00Z stdout P a"), &arena, &r, NULL, &partial);
    assert_true(partial);
    ops_line_parse(&ctx, OPS_SLICE("2026-01-01T08:00:00Z stdout F a"), &arena, &r, NULL, &partial);
    assert_false(partial);
    ops_line_parse(&ctx, OPS_SLICE("{\"log\":\"a\",\"stream\":\"stdout\",\"time\":\"2026-01-01T08:00:00Z\"}"),
                   &arena, &r, NULL, &partial);
    assert_true(partial);
    ops_arena_done(&arena);
}

static void ids_bad_bytes_and_limits(void **state)
{
    ops_ingest_limits limits;
    ops_arena arena;
    ops_record r;
    (void)state;

    limits_of(&limits);
    limits.line_bytes_max = 200;
    const ops_line_ctx ctx = {.limits = &limits, .recv_ns = RECV};
    ops_arena_init(&arena, 1 << 20);
    ops_line_parse(&ctx,
                   OPS_SLICE("{\"msg\":\"m\",\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"span_id\":"
                             "\"b7ad6b7169203331\"}"),
                   &arena, &r, NULL, NULL);
    assert_int_equal(r.trace_id.n, 16);
    assert_int_equal((uint8_t)r.trace_id.p[15], 0x9c);
    assert_int_equal(r.span_id.n, 8);
    assert_int_equal(r.attr_count, 0);
    ops_line_parse(&ctx, OPS_SLICE("bad \xff byte\r\n"), &arena, &r, NULL, NULL);
    assert_true(ops_slice_eq(r.message, OPS_SLICE("bad \xef\xbf\xbd byte")));
    assert_int_equal(r.flags, OPS_RECORD_BAD_UTF8 | OPS_RECORD_NO_TIME);
    char longer[300];
    memset(longer, 'x', sizeof longer);
    ops_line_parse(&ctx, ops_slice_of(longer, sizeof longer), &arena, &r, NULL, NULL);
    assert_int_equal(r.message.n, 200);
    assert_true(r.flags & OPS_RECORD_TRUNCATED);
    ops_line_parse(&ctx, OPS_SLICE(""), &arena, &r, NULL, NULL);
    assert_int_equal(r.message.n, 0);
    ops_arena_done(&arena);

    /* an arena too small: the line itself is the message, and it says so */
    ops_arena_init(&arena, 8);
    ops_line_parse(&ctx, OPS_SLICE("{\"msg\":\"a message that does not fit\"}"), &arena, &r, NULL, NULL);
    assert_true(r.message.n > 30);
    assert_true(r.flags & OPS_RECORD_TRUNCATED);
    ops_arena_done(&arena);
}

static void every_line_cut_anywhere_is_still_a_record(void **state)
{
    ops_ingest_limits limits;
    ops_arena arena;
    ops_record r;
    (void)state;

    limits_of(&limits);
    const ops_line_ctx ctx = {.limits = &limits, .recv_ns = RECV};
    ops_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t n = 0; n < strlen(rows[i].line); n++) {
            char *tight = malloc(n > 0 ? n : 1);
            memcpy(tight, rows[i].line, n);
            const ops_line_shape shape = ops_line_parse(&ctx, ops_slice_of(tight, n), &arena, &r, NULL, NULL);
            assert_true(shape < OPS_LINE_SHAPE_COUNT);
            if (shape == OPS_LINE_PLAIN && r.severity == 0 && (r.flags & OPS_RECORD_BAD_UTF8) == 0)
                assert_int_equal(r.message.n, n);
            free(tight);
            ops_arena_clear(&arena);
        }
    }
    ops_arena_done(&arena);
}

static void survives_every_failed_allocation(void **state)
{
    const long live = ops_alloc_live();
    ops_ingest_limits limits;
    ops_record r;
    (void)state;

    limits_of(&limits);
    const ops_line_ctx ctx = {.limits = &limits, .recv_ns = RECV};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (long nth = 1; nth < 8; nth++) {
            ops_arena arena;
            ops_arena_init(&arena, 1 << 20);
            ops_alloc_fail_at(nth);
            ops_line_parse(&ctx, ops_slice_str(rows[i].line), &arena, &r, NULL, NULL);
            ops_alloc_fail_at(0);
            assert_true(r.message.n > 0);
            ops_arena_done(&arena);
        }
    }
    assert_int_equal(ops_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_gives_its_fields),
        cmocka_unit_test(zones_years_and_partial_lines),
        cmocka_unit_test(ids_bad_bytes_and_limits),
        cmocka_unit_test(every_line_cut_anywhere_is_still_a_record),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
