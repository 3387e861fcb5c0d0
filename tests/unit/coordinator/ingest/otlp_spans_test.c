/* Failed spans as records, and the JSON form of metrics and traces. The one is the other's input here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/ingest/otlp_calls.h"
#include "coordinator/ingest/otlp_signals_json.h"
#include "coordinator/ingest/otlp_spans.h"
#include "proto/otlp/walk.h"

#define RECV INT64_C(1764000060000000000)
#define SPANS(resource, spans)                                                                               \
    "{\"resourceSpans\":[{\"resource\":{\"attributes\":[" resource "]},\"scopeSpans\":[{\"spans\":[" spans   \
    "]}]}]}"
#define SHOP "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"shop\"}}"
#define SPAN(id, parent, name, rest)                                                                         \
    "{\"traceId\":\"0102030405060708090a0b0c0d0e0f10\",\"spanId\":\"" id "\",\"parentSpanId\":\"" parent     \
    "\",\"name\":\"" name "\",\"startTimeUnixNano\":\"1764000000000000000\","                                \
    "\"endTimeUnixNano\":\"1764000000250000000\"" rest "}"
#define FAILED          ",\"status\":{\"code\":2}"
#define ATTR(key, text) "{\"key\":\"" key "\",\"value\":{\"stringValue\":\"" text "\"}}"

struct seen {
    unsigned n;
    char message[1100], service[64], event[32];
    int64_t time_ns;
    uint8_t severity, span_id;
    size_t trace_bytes;
    uint32_t attr_count;
};

static ops_status keep(void *u, const ops_record *r, ops_err *reterr)
{
    struct seen *s = u;
    (void)reterr;
    s->n++;
    snprintf(s->message, sizeof s->message, OPS_SLICE_FMT, OPS_SLICE_ARG(r->message));
    snprintf(s->service, sizeof s->service, OPS_SLICE_FMT, OPS_SLICE_ARG(r->service));
    s->event[0] = '\0';
    for (uint32_t i = 0; i < r->attr_count; i++)
        if (ops_slice_eq(r->attrs[i].key, OPS_SLICE("event.name")))
            snprintf(s->event, sizeof s->event, OPS_SLICE_FMT, OPS_SLICE_ARG(r->attrs[i].val));
    s->time_ns = r->time_ns;
    s->severity = r->severity;
    s->trace_bytes = r->trace_id.n;
    s->span_id = r->span_id.n == 8 ? (uint8_t)r->span_id.p[7] : 0;
    s->attr_count = r->attr_count;
    return OPS_OK;
}

static ops_status records_of(const char *json, struct seen *s, ops_ingest_counters *c, ops_err *err)
{
    ops_ingest_limits limits;
    ops_strbuf b;
    ops_ingest_limits_default(&limits);
    ops_strbuf_init(&b, 1 << 20);
    *s = (struct seen){0};
    *c = (ops_ingest_counters){0};
    ops_status st = ops_otlp_signals_from_json(OPS_OTLP_JSON_TRACES, (const uint8_t *)json, strlen(json),
                                               &limits, &b, err);
    if (st == OPS_OK)
        st = ops_otlp_failed_spans((const uint8_t *)b.p, b.n, &limits, RECV, keep, NULL, s, c, err);
    ops_strbuf_done(&b);
    return st;
}

static void a_failed_span_names_whom_it_called(void **state)
{
    static const struct {
        const char *json, *message;
    } rows[] = {
        {SPANS(SHOP, SPAN("00000000000000a1", "", "redis INCR", FAILED)), "redis INCR failed"},
        {SPANS(SHOP, SPAN("00000000000000a1", "", "INCR",
                          FAILED ",\"attributes\":[" ATTR("db.system", "redis") "," ATTR("server.address",
                                                                                         "cache-1") "]")),
         "INCR failed at redis (cache-1)"},
        {SPANS(SHOP, SPAN("00000000000000a1", "", "redis INCR",
                          FAILED ",\"attributes\":[" ATTR("db.system", "redis") "]")),
         "redis INCR failed"},
        {SPANS(SHOP, SPAN("00000000000000a1", "", "GET",
                          ",\"status\":{\"code\":2,\"message\":\"connection refused\"},\"attributes\":[" ATTR(
                              "peer.service", "pricing") "]")),
         "GET failed at pricing: connection refused"},
        {SPANS(SHOP,
               SPAN("00000000000000a1", "", "pay",
                    FAILED ",\"events\":[{\"name\":\"exception\",\"attributes\":[" ATTR(
                        "exception.type", "TimeoutError") "," ATTR("exception.message", "after 2 s") "]}]")),
         "pay failed: TimeoutError: after 2 s"},
        {SPANS(SHOP, SPAN("00000000000000a1", "", "GET",
                          FAILED ",\"attributes\":[{\"key\":\"http.response.status_code\",\"value\":{"
                                 "\"intValue\":\"503\"}}]")),
         "GET failed: status 503"},
        {SPANS(SHOP, SPAN("00000000000000a1", "", "", FAILED)), "a span without a name failed"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct seen s;
        ops_ingest_counters c;
        ops_err err = {0};
        assert_int_equal(records_of(rows[i].json, &s, &c, &err), OPS_OK);
        assert_int_equal(s.n, 1);
        assert_string_equal(s.message, rows[i].message);
        assert_string_equal(s.service, "shop");
        assert_string_equal(s.event, "span.failed");
        assert_true(s.time_ns == INT64_C(1764000000250000000));
        assert_true(s.severity == 17 && s.span_id == 0xa1 && s.trace_bytes == 16);
        assert_true(c.received == 1 && c.accepted == 1 && c.rejected == 0);
    }
}

static void what_did_not_fail_is_no_record(void **state)
{
    struct seen s;
    ops_ingest_counters c;
    (void)state;
    assert_int_equal(
        records_of(SPANS(SHOP, SPAN("00000000000000a1", "", "fine", ",\"status\":{\"code\":1}") "," SPAN(
                                   "00000000000000a2", "", "unset", "")),
                   &s, &c, NULL),
        OPS_OK);
    assert_int_equal(s.n, 0);
    assert_int_equal(records_of("{}", &s, &c, NULL), OPS_OK);
    assert_int_equal(s.n, 0);
}

static void of_a_chain_the_deepest_failure_is_told(void **state)
{
    struct seen s;
    ops_ingest_counters c;
    (void)state;
    /* the parent comes first, and in another resource; an ok span beneath does not count */
    assert_int_equal(records_of(
                         "{\"resourceSpans\":[{\"resource\":{\"attributes\":[" ATTR("service.name", "proxy") "]},\"scopeSpans\":[{\"spans\":[" SPAN(
                             "00000000000000a1", "", "POST /orders",
                             FAILED) "]}]},{\"resource\":{\"attributes\":[" SHOP
                                     "]},\"scopeSpans\":[{\"spans\":[" SPAN(
                                         "00000000000000a3", "00000000000000a2", "redis INCR",
                                         FAILED) "," SPAN("00000000000000a2", "00000000000000a1", "order",
                                                          FAILED) "," SPAN("00000000000000a4",
                                                                           "00000000000000a3", "inside",
                                                                           "") "]}]}]}",
                         &s, &c, NULL),
                     OPS_OK);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.message, "redis INCR failed");
    /* one that says it is its own parent is not lost */
    assert_int_equal(
        records_of(SPANS(SHOP, SPAN("00000000000000a1", "00000000000000a1", "odd", FAILED)), &s, &c, NULL),
        OPS_OK);
    assert_int_equal(s.n, 1);
}

static void attributes_that_do_not_fit_cost_the_attributes_only(void **state)
{
    ops_strbuf b;
    struct seen s;
    ops_ingest_counters c;
    (void)state;
    ops_strbuf_init(&b, 1 << 20);
    ops_strbuf_str(
        &b, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"name\":\"wide\",\"status\":{\"code\":2},"
            "\"attributes\":[");
    for (int i = 0; i < 200; i++)
        ops_strbuf_printf(&b, "%s{\"key\":\"k%d\",\"value\":{\"intValue\":%d}}", i > 0 ? "," : "", i, i);
    ops_strbuf_str(&b, "]}]}]}]}");
    assert_int_equal(records_of(b.p, &s, &c, NULL), OPS_OK);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.message, "wide failed");
    assert_true(s.attr_count <= 1 && c.accepted == 1);
    ops_strbuf_done(&b);
}

static ops_status points_of(void *u, const ops_walk_batch *b, ops_err *reterr)
{
    (void)reterr;
    *(uint64_t *)u += b->points;
    return OPS_OK;
}

static void every_kind_of_metric_in_json(void **state)
{
    static const char json[] =
        "{\"resourceMetrics\":[{\"resource\":{\"attributes\":[" SHOP "],\"droppedAttributesCount\":1},"
        "\"unknown\":{\"a\":[1]},\"scopeMetrics\":[{\"scope\":{\"name\":\"m\",\"version\":\"1\"},\"metrics\":"
        "["
        "{\"name\":\"g\",\"unit\":\"By\",\"gauge\":{\"dataPoints\":[{\"timeUnixNano\":\"5\",\"asInt\":\"-7\"}"
        ","
        "{\"timeUnixNano\":9,\"asDouble\":\"NaN\",\"flags\":1}]}},"
        "{\"name\":\"s\",\"sum\":{\"isMonotonic\":true,\"aggregationTemporality\":2,\"dataPoints\":[{"
        "\"asDouble\":1.5,"
        "\"attributes\":[{\"key\":\"b\",\"value\":{\"bytesValue\":\"AAH_\"}},{\"key\":\"l\",\"value\":{"
        "\"arrayValue\":{"
        "\"values\":[{\"boolValue\":true},{\"kvlistValue\":{\"values\":[{\"key\":\"x\",\"value\":{}}]}}]}}}],"
        "\"exemplars\":[{\"asInt\":3,\"traceId\":\"0102030405060708090A0B0C0D0E0F10\",\"spanId\":\"\"}]}]}},"
        "{\"name\":\"h\",\"histogram\":{\"dataPoints\":[{\"count\":\"3\",\"sum\":4,\"bucketCounts\":[\"1\",2]"
        ","
        "\"explicitBounds\":[0.5],\"min\":0,\"max\":null}]}},"
        "{\"name\":\"e\",\"exponentialHistogram\":{\"dataPoints\":[{\"scale\":-3,\"zeroCount\":1,"
        "\"positive\":{"
        "\"offset\":-1,\"bucketCounts\":[300,\"2\"]}}]}},"
        "{\"name\":\"q\",\"summary\":{\"dataPoints\":[{\"quantileValues\":[{\"quantile\":0.5,\"value\":1}]}]}"
        "}]}]}]}";
    ops_ingest_limits limits;
    ops_strbuf b;
    ops_walk *w;
    uint64_t points = 0;
    ops_err err = {0};
    (void)state;
    ops_ingest_limits_default(&limits);
    ops_strbuf_init(&b, 1 << 20);
    assert_int_equal(ops_otlp_signals_from_json(OPS_OTLP_JSON_METRICS, (const uint8_t *)json, sizeof json - 1,
                                                &limits, &b, &err),
                     OPS_OK);
    ops_walk_limits walk_limits;
    ops_walk_limits_default(&walk_limits);
    assert_int_equal(ops_walk_new(&walk_limits, &w, NULL), OPS_OK);
    assert_int_equal(ops_walk_metrics(w, ops_strbuf_get(&b), points_of, &points, &err), OPS_OK);
    assert_int_equal(points, 6);
    ops_walk_free(w);
    ops_strbuf_done(&b);
}

static void the_bytes_are_the_published_ones(void **state)
{
    static const char json[] =
        "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":\"g\",\"gauge\":{"
        "\"dataPoints\":[{\"asInt\":\"-1\"}]}}]}]}]}";
    static const char want[] =
        "\x0a\x14\x12\x12\x12\x10\x0a\x01g\x2a\x0b\x0a\x09\x31\xff\xff\xff\xff\xff\xff\xff\xff";
    ops_ingest_limits limits;
    ops_strbuf b;
    (void)state;
    ops_ingest_limits_default(&limits);
    ops_strbuf_init(&b, 1 << 20);
    assert_int_equal(ops_otlp_signals_from_json(OPS_OTLP_JSON_METRICS, (const uint8_t *)json, sizeof json - 1,
                                                &limits, &b, NULL),
                     OPS_OK);
    /* 0x0a len 0x12: lengths from the inside: point 9, gauge 11, metric 3 + 13, scope 18, resource 20 */
    assert_int_equal(b.n, sizeof want - 1);
    assert_memory_equal(b.p, want, b.n);
    ops_strbuf_done(&b);
}

static void what_is_wrong_is_named_by_its_path(void **state)
{
    static const struct {
        const char *json, *words;
        ops_status st;
    } rows[] = {
        {"[]", "the request is not an object", OPS_EINVAL},
        {"{\"resourceSpans\":{}}", "resourceSpans is not an array", OPS_EINVAL},
        {SPANS(SHOP, "{\"name\":\"a\"},{\"name\":7}"),
         "resourceSpans[0].scopeSpans[0].spans[1].name is not a string", OPS_EINVAL},
        {SPANS(SHOP, "{\"traceId\":\"xyz\"}"), "spans[0].traceId is not an id in hex", OPS_EINVAL},
        {SPANS(SHOP, "{\"startTimeUnixNano\":-1}"), "startTimeUnixNano is not a whole number", OPS_EINVAL},
        {SPANS(SHOP, "{\"kind\":\"SPAN_KIND_CLIENT\"}"), "kind is not a whole number", OPS_EINVAL},
        {SPANS(SHOP, "{\"flags\":4294967296}"), "flags is not a whole number", OPS_EINVAL},
        {"{\"resourceSpans\":[", "JSON", OPS_EINVAL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct seen s;
        ops_ingest_counters c;
        ops_err err = {0};
        assert_int_equal(records_of(rows[i].json, &s, &c, &err), rows[i].st);
        if (strstr(err.msg, rows[i].words) == NULL)
            fail_msg("'%s' has no '%s'", err.msg, rows[i].words);
    }
}

static void values_nest_as_deep_as_allowed(void **state)
{
    (void)state;
    for (int over = 0; over < 2; over++) {
        ops_strbuf b;
        struct seen s;
        ops_ingest_counters c;
        ops_err err = {0};
        ops_strbuf_init(&b, 1 << 20);
        ops_strbuf_str(&b, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"k\",\"value\":");
        for (int i = 0; i < 31 + over; i++)
            ops_strbuf_str(&b, "{\"arrayValue\":{\"values\":[");
        ops_strbuf_str(&b, "{\"intValue\":1}");
        for (int i = 0; i < 31 + over; i++)
            ops_strbuf_str(&b, "]}}");
        ops_strbuf_str(&b, "}]}}]}");
        assert_int_equal(records_of(b.p, &s, &c, &err), over ? OPS_EINVAL : OPS_OK);
        assert_true(!over || strstr(err.msg, "nests too deep") != NULL);
        ops_strbuf_done(&b);
    }
}

static void survives_every_failed_allocation(void **state)
{
    static const char json[] = SPANS(SHOP, SPAN("00000000000000a1", "", "POST", FAILED) "," SPAN(
                                               "00000000000000a2", "00000000000000a1", "redis INCR", FAILED));
    ops_status st = OPS_ENOMEM;
    (void)state;
    for (uint64_t at = 1; st != OPS_OK && at < 1000; at++) {
        struct seen s;
        ops_ingest_counters c;
        ops_err err = {0};
        ops_alloc_fail_at(at);
        st = records_of(json, &s, &c, &err);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || (st == OPS_ENOMEM && err.msg[0] != '\0'));
        assert_int_equal(ops_alloc_live(), 0);
    }
    assert_int_equal(st, OPS_OK);
}

#define OF(service, spans)                                                                                   \
    "{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"" service         \
    "\"}}]},\"scopeSpans\":[{\"spans\":[" spans "]}]}"

static void on_call(void *u, ops_slice caller, ops_slice callee)
{
    ops_strbuf_printf(u, OPS_SLICE_FMT ">" OPS_SLICE_FMT " ", OPS_SLICE_ARG(caller), OPS_SLICE_ARG(callee));
}

static void calls_are_spans_under_those_of_others(void **state)
{
    static const struct {
        const char *json, *want;
    } rows[] = {
        {"{\"resourceSpans\":[" OF(
             "shop", SPAN("00000000000000b1", "00000000000000a1", "POST", "") "," SPAN(
                         "00000000000000b2", "00000000000000a1", "GET",
                         "")) "," OF("proxy", SPAN("00000000000000a1", "", "POST",
                                                   "")) "," OF("redis",
                                                               SPAN("00000000000000c1", "00000000000000b2",
                                                                    "SET", FAILED)) "]}",
         "proxy>shop shop>redis "},
        {"{\"resourceSpans\":[" OF("shop", SPAN("00000000000000b1", "00000000000000a1", "POST", "")) "]}",
         ""},
        {"{\"resourceSpans\":[" OF(
             "shop", SPAN("00000000000000b1", "", "POST", "") "," SPAN(
                         "00000000000000b2", "00000000000000b1", "GET",
                         "")) "," OF("shop", SPAN("00000000000000b3", "00000000000000b1", "GET", "")) "]}",
         ""}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_ingest_limits limits;
        ops_strbuf in, got;
        ops_status st = OPS_ENOMEM;
        ops_ingest_limits_default(&limits);
        ops_strbuf_init(&in, 1 << 20);
        assert_int_equal(ops_otlp_signals_from_json(OPS_OTLP_JSON_TRACES, (const uint8_t *)rows[i].json,
                                                    strlen(rows[i].json), &limits, &in, NULL),
                         OPS_OK);
        for (long nth = 1; st != OPS_OK; nth++) {
            ops_strbuf_init(&got, 1 << 16);
            ops_strbuf_str(&got, "");
            ops_alloc_fail_at(nth);
            st = ops_otlp_calls((const uint8_t *)in.p, in.n, &limits, on_call, &got, NULL);
            ops_alloc_fail_at(0);
            assert_true(st == OPS_OK || st == OPS_ENOMEM);
            if (st == OPS_OK && !got.failed)
                assert_string_equal(got.p, rows[i].want);
            else if (st == OPS_OK)
                st = OPS_ENOMEM; /* it was ours that failed */
            ops_strbuf_done(&got);
        }
        assert_int_equal(
            ops_otlp_calls((const uint8_t *)in.p, in.n > 3 ? in.n - 3 : 0, &limits, on_call, NULL, NULL),
            OPS_EINVAL); /* cut short */
        ops_strbuf_done(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_spans_under_those_of_others),
        cmocka_unit_test(a_failed_span_names_whom_it_called),
        cmocka_unit_test(what_did_not_fail_is_no_record),
        cmocka_unit_test(of_a_chain_the_deepest_failure_is_told),
        cmocka_unit_test(attributes_that_do_not_fit_cost_the_attributes_only),
        cmocka_unit_test(every_kind_of_metric_in_json),
        cmocka_unit_test(the_bytes_are_the_published_ones),
        cmocka_unit_test(what_is_wrong_is_named_by_its_path),
        cmocka_unit_test(values_nest_as_deep_as_allowed),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
