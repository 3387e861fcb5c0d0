#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "coordinator/ingest/otlp_logs.h"
#include "coordinator/ingest/otlp_reply.h"
#include "tests/support/golden.h"

#define T0          INT64_C(1764000000000000000)
#define SEC         INT64_C(1000000000)
#define RECV        (T0 + 60 * SEC)
#define IS(s, want) assert_true(ops_slice_eq((s), ops_slice_str(want)))

struct seen {
    uint32_t n, rejects, flags;
    int64_t time_ns;
    uint8_t severity;
    char message[512], service[64], detail[256];
    ops_status answer;
};

static ops_status keep(void *u, const ops_record *r, ops_err *reterr)
{
    struct seen *s = u;
    s->n++;
    s->flags = r->flags;
    s->time_ns = r->time_ns;
    s->severity = r->severity;
    snprintf(s->message, sizeof s->message, OPS_SLICE_FMT, OPS_SLICE_ARG(r->message));
    snprintf(s->service, sizeof s->service, OPS_SLICE_FMT, OPS_SLICE_ARG(r->service));
    return s->answer == OPS_OK ? OPS_OK : ops_fail(reterr, s->answer, "sink");
}

static void refused(void *u, ops_ingest_reason reason, const char *detail)
{
    struct seen *s = u;
    (void)reason;
    s->rejects++;
    snprintf(s->detail, sizeof s->detail, "%s", detail);
}

static ops_status golden(void *u, const ops_record *r, ops_err *reterr)
{
    struct seen *s = u;
    (void)reterr;
    assert_true(r->recv_ns == RECV);
    switch (s->n++) {
    case 0:
        assert_true(r->time_ns == T0);
        assert_int_equal(r->severity, 17);
        IS(r->service, "checkout");
        IS(r->message, "payment failed: card declined");
        assert_int_equal(r->trace_id.n, 16);
        assert_int_equal(r->trace_id.p[15], 16);
        assert_int_equal(r->span_id.n, 8);
        assert_int_equal(r->attr_count, 8);
        IS(r->attrs[0].val, "-5");
        IS(r->attrs[1].val, "0.1");
        IS(r->attrs[2].val, "true");
        IS(r->attrs[3].val, "AAH//g==");
        IS(r->attrs[4].val, "[\"a\",\"b\\\"c\",9007199254740993]");
        IS(r->attrs[6].key, "host.name");
        IS(r->attrs[7].val, "4711");
        assert_int_equal(r->flags, 0);
        break;
    case 1:
        assert_true(r->time_ns == T0 + 7); /* observed */
        assert_int_equal(r->severity, 13); /* from the text "warn" */
        IS(r->message, "{\"msg\":\"caf\u00e9 \u4f60\u597d\",\"n\":{\"empty\":null}}");
        break;
    case 2:
        assert_true(r->time_ns == RECV);
        assert_int_equal(r->flags, OPS_RECORD_NO_TIME);
        IS(r->message, "session.start");
        IS(r->attrs[0].key, "event.name");
        break;
    default:
        IS(r->service, "web"); /* the deployment wins over the container */
        IS(r->message, "ready");
    }
    return OPS_OK;
}

static void both_encodings_give_the_same_records(void **state)
{
    const ops_slice pb = golden_read("tests/golden/otlp/logs.pb"),
                    js = golden_read("tests/golden/otlp/logs.json");
    ops_ingest_limits limits;
    ops_ingest_counters c = {0};
    struct seen s = {0};
    (void)state;

    ops_ingest_limits_default(&limits);
    assert_int_equal(
        ops_otlp_logs_decode((const uint8_t *)pb.p, pb.n, &limits, RECV, golden, NULL, &s, &c, NULL), 0);
    assert_int_equal(s.n, 4);
    assert_true(c.received == 4 && c.accepted == 4 && c.rejected == 0 && c.no_time == 1);
    s.n = 0;
    assert_int_equal(
        ops_otlp_logs_decode_json((const uint8_t *)js.p, js.n, &limits, RECV, golden, NULL, &s, &c, NULL), 0);
    assert_int_equal(s.n, 4);
    assert_true(c.received == 8 && c.accepted == 8);
    free((void *)(uintptr_t)pb.p);
    free((void *)(uintptr_t)js.p);
}

static ops_status json(const char *text, struct seen *s, ops_ingest_counters *c, ops_err *err)
{
    ops_ingest_limits limits;
    ops_ingest_limits_default(&limits);
    return ops_otlp_logs_decode_json((const uint8_t *)text, strlen(text), &limits, RECV, keep, refused, s, c,
                                     err);
}

#define LOGS(records) "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[" records "]}]}]}"

static void a_bad_json_record_is_rejected_alone(void **state)
{
    ops_ingest_counters c = {0};
    struct seen s = {0};
    ops_err err;
    (void)state;

    assert_int_equal(
        json(LOGS("{\"timeUnixNano\":\"soon\",\"body\":{\"stringValue\":\"a\"}},"
                  "{\"timeUnixNano\":1764000000000000001,\"severityNumber\":\"SEVERITY_NUMBER_ERROR2\","
                  "\"body\":{\"stringValue\":\"b\"},\"novel\":[1]},{},7"),
             &s, &c, &err),
        OPS_OK);
    assert_int_equal(s.n, 1);
    assert_true(s.time_ns == T0 + 1);
    assert_int_equal(s.severity, 18);
    IS(ops_slice_str(s.message), "b");
    IS(ops_slice_str(s.service), "unknown_service");
    assert_int_equal(s.rejects, 3);
    assert_true(c.received == 4 && c.accepted == 1 && c.rejected == 3);
    assert_true(c.rejected_by[OPS_INGEST_REASON_FIELD] == 2 && c.rejected_by[OPS_INGEST_REASON_EMPTY] == 1);
    assert_non_null(strstr(s.detail, "resourceLogs[0].scopeLogs[0].logRecords[3]"));
}

static void broken_json_fails_as_a_whole(void **state)
{
    ops_ingest_counters c = {0};
    struct seen s = {0};
    ops_err err;
    (void)state;

    assert_int_equal(json("{\"resourceLogs\":[{]}", &s, &c, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "at byte 1"));
    assert_int_equal(json("{\"resourceLogs\":7}", &s, &c, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "request.resourceLogs: not an array"));
    assert_int_equal(json("{\"resourceLogs\":[{\"scopeLogs\":{}}]}", &s, &c, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "resourceLogs[0].scopeLogs"));
    assert_int_equal(json("[]", &s, &c, &err), OPS_EINVAL);
    assert_int_equal(json("{}", &s, &c, &err), OPS_OK);
    assert_true(c.received == 0);
}

static void json_depth_is_bounded(void **state)
{
    static char text[65536];
    ops_ingest_counters c = {0};
    struct seen s = {0};
    size_t n = 0;
    (void)state;

    n += (size_t)sprintf(text, "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"body\":");
    for (int i = 0; i < 40; i++)
        n += (size_t)sprintf(text + n, "{\"arrayValue\":{\"values\":[");
    n += (size_t)sprintf(text + n, "{\"intValue\":1}");
    for (int i = 0; i < 40; i++)
        n += (size_t)sprintf(text + n, "]}}");
    sprintf(text + n, "}]}]}]}");
    assert_int_equal(json(text, &s, &c, NULL), OPS_OK);
    assert_true(c.rejected == 1 && c.rejected_by[OPS_INGEST_REASON_DEPTH] == 1);
}

/* resource_logs{scope_logs{log_records{time, body}}} with a short body. */
static ops_status one(uint64_t time_ns, const char *body, const ops_ingest_limits *limits, struct seen *s,
                      ops_ingest_counters *c)
{
    uint8_t m[128] = {0x0a, 0, 0x12, 0, 0x12, 0, 0x09};
    const uint8_t n = (uint8_t)strlen(body);
    memcpy(m + 7, &time_ns, 8);
    m[15] = 0x2a;
    m[16] = (uint8_t)(n + 2);
    m[17] = 0x0a;
    m[18] = n;
    memcpy(m + 19, body, n);
    m[5] = (uint8_t)(13 + n);
    m[3] = (uint8_t)(15 + n);
    m[1] = (uint8_t)(17 + n);
    return ops_otlp_logs_decode(m, 19u + n, limits, RECV, keep, refused, s, c, NULL);
}

static void the_time_rule(void **state)
{
    const int64_t low = RECV - 24 * 3600 * SEC, high = RECV + 600 * SEC;
    const struct {
        uint64_t given;
        int64_t want;
        uint32_t flags;
    } rows[] = {{(uint64_t)low, low, 0},
                {(uint64_t)low - 1, low, OPS_RECORD_TIME_CLAMPED},
                {(uint64_t)high, high, 0},
                {(uint64_t)high + 1, high, OPS_RECORD_TIME_CLAMPED},
                {UINT64_MAX, high, OPS_RECORD_TIME_CLAMPED},
                {0, RECV, OPS_RECORD_NO_TIME}};
    ops_ingest_limits limits;
    ops_ingest_counters c = {0};
    struct seen s = {0};
    (void)state;

    ops_ingest_limits_default(&limits);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(one(rows[i].given, "x", &limits, &s, &c), OPS_OK);
        assert_true(s.time_ns == rows[i].want);
        assert_int_equal(s.flags, rows[i].flags);
    }
    assert_true(c.clamped == 3 && c.no_time == 1);
    limits.past_ns_max = -1;
    assert_int_equal(one(1, "x", &limits, &s, &c), OPS_OK);
    assert_true(s.time_ns == 1 && s.flags == 0);
}

static void bad_utf8_and_long_messages_are_flagged(void **state)
{
    ops_ingest_limits limits;
    ops_ingest_counters c = {0};
    struct seen s = {0};
    (void)state;

    ops_ingest_limits_default(&limits);
    assert_int_equal(one(0, "a\xff\xc3z", &limits, &s, &c), OPS_OK);
    assert_string_equal(s.message, "a\xef\xbf\xbd\xef\xbf\xbdz");
    assert_true(s.flags & OPS_RECORD_BAD_UTF8);
    limits.line_bytes_max = 4;
    assert_int_equal(one(0, "ab\u4f60cd", &limits, &s, &c), OPS_OK);
    assert_string_equal(s.message, "ab");
    assert_true(s.flags & OPS_RECORD_TRUNCATED);
    s.answer = OPS_EAGAIN;
    assert_int_equal(one(0, "x", &limits, &s, &c), OPS_EAGAIN);
    assert_true(c.received == 2 && c.bad_utf8 == 1 && c.truncated == 1);
}

static void severity_words(void **state)
{
    (void)state;
    assert_int_equal(ops_ingest_severity(OPS_SLICE("Trace")), 1);
    assert_int_equal(ops_ingest_severity(OPS_SLICE("DEBUG4")), 8);
    assert_int_equal(ops_ingest_severity(OPS_SLICE("Information")), 9);
    assert_int_equal(ops_ingest_severity(OPS_SLICE("WARNING")), 13);
    assert_int_equal(ops_ingest_severity(OPS_SLICE("FATAL")), 21);
    assert_int_equal(ops_ingest_severity(OPS_SLICE("errors")), 0);
    assert_int_equal(ops_ingest_severity(OPS_SLICE("")), 0);
    assert_int_equal(ops_ingest_severity_syslog(0), 21);
    assert_int_equal(ops_ingest_severity_syslog(3), 17);
    assert_int_equal(ops_ingest_severity_syslog(5), 10);
    assert_int_equal(ops_ingest_severity_syslog(8), 0);
}

static void replies_match_the_reference(void **state)
{
    static const uint8_t want[] = {0x0a, 0x0a, 0x08, 0xac, 0x02, 0x12, 0x05, '2', ' ', 'b', 'a', 'd'};
    ops_strbuf b;
    (void)state;

    ops_strbuf_init(&b, 4096);
    ops_otlp_reply(0, ops_slice_of(NULL, 0), &b);
    assert_int_equal(b.n, 0);
    ops_otlp_reply(300, OPS_SLICE("2 bad"), &b);
    assert_true(b.n == sizeof want && memcmp(b.p, want, sizeof want) == 0);
    ops_strbuf_clear(&b);
    ops_otlp_reply_json(OPS_OTLP_LOGS, 0, ops_slice_of(NULL, 0), &b);
    assert_string_equal(b.p, "{}");
    ops_strbuf_clear(&b);
    ops_otlp_reply_json(OPS_OTLP_TRACES, 2, OPS_SLICE("a\"b"), &b);
    assert_string_equal(b.p, "{\"partialSuccess\":{\"rejectedSpans\":\"2\",\"errorMessage\":\"a\\\"b\"}}");
    ops_strbuf_clear(&b);
    ops_otlp_reply_status(8, OPS_SLICE("full"), &b);
    assert_true(b.n == 8 && memcmp(b.p,
                                   "\x08\x08\x12\x04"
                                   "full",
                                   8) == 0);
    ops_strbuf_done(&b);
}

static void survives_every_failed_allocation(void **state)
{
    const ops_slice pb = golden_read("tests/golden/otlp/logs.pb"),
                    js = golden_read("tests/golden/otlp/logs.json");
    const long live = ops_alloc_live();
    ops_ingest_limits limits;
    (void)state;

    ops_ingest_limits_default(&limits);
    for (int kind = 0; kind < 2; kind++) {
        ops_status st = OPS_ENOMEM;
        for (long nth = 1; nth < 200; nth++) {
            ops_ingest_counters c = {0};
            struct seen s = {0};
            ops_alloc_fail_at(nth);
            st = kind == 0 ? ops_otlp_logs_decode((const uint8_t *)pb.p, pb.n, &limits, RECV, keep, NULL, &s,
                                                  &c, NULL)
                           : ops_otlp_logs_decode_json((const uint8_t *)js.p, js.n, &limits, RECV, keep,
                                                       refused, &s, &c, NULL);
            ops_alloc_fail_at(0);
            assert_true(st == OPS_OK || st == OPS_ENOMEM);
            assert_true(st != OPS_OK || c.received == 4);
        }
        assert_int_equal(st, OPS_OK);
        assert_int_equal(ops_alloc_live(), live);
    }
    free((void *)(uintptr_t)pb.p);
    free((void *)(uintptr_t)js.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_encodings_give_the_same_records),
        cmocka_unit_test(a_bad_json_record_is_rejected_alone),
        cmocka_unit_test(broken_json_fails_as_a_whole),
        cmocka_unit_test(json_depth_is_bounded),
        cmocka_unit_test(the_time_rule),
        cmocka_unit_test(bad_utf8_and_long_messages_are_flagged),
        cmocka_unit_test(severity_words),
        cmocka_unit_test(replies_match_the_reference),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
