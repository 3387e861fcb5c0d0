#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "proto/otlp/walk.h"
#include "tests/support/golden.h"

#define T0          INT64_C(1764000000000000000)
#define BYTES(...)  ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})
#define IS(s, want) assert_true(ops_slice_eq((s), ops_slice_str(want)))

struct seen {
    uint32_t resources, scopes, logs, batches;
    uint64_t entries, points, min_ns, max_ns;
    ops_walk_flaw flaw;
    char body[4096];
    ops_status answer;
};

static ops_status on_resource(void *u, const ops_walk_group *r, ops_err *reterr)
{
    struct seen *s = u;
    (void)reterr;
    if (s->resources++ == 0 && r->attr_count == 3) {
        IS(r->attrs[0].key, "service.name");
        IS(r->attrs[0].val, "checkout");
        IS(r->attrs[2].val, "4711");
    }
    return OPS_OK;
}

static ops_status on_scope(void *u, const ops_walk_group *scope, ops_err *reterr)
{
    struct seen *s = u;
    (void)reterr;
    if (s->scopes++ == 0 && scope->name.n > 0) {
        IS(scope->name, "demo.scope");
        IS(scope->version, "1.2.3");
    }
    return OPS_OK;
}

static ops_status on_log(void *u, const ops_walk_log *log, ops_err *reterr)
{
    struct seen *s = u;
    s->logs++;
    s->flaw = log->flaw;
    snprintf(s->body, sizeof s->body, OPS_SLICE_FMT, OPS_SLICE_ARG(log->body));
    if (s->answer != OPS_OK)
        return ops_fail(reterr, s->answer, "sink says no");
    return OPS_OK;
}

static const ops_walk_log_visitor visitor = {on_resource, on_scope, on_log};

static ops_walk *walker(void)
{
    ops_walk_limits limits;
    ops_walk *w = NULL;

    ops_walk_limits_default(&limits);
    assert_int_equal(ops_walk_new(&limits, &w, NULL), OPS_OK);
    return w;
}

static ops_status golden_log(void *u, const ops_walk_log *log, ops_err *reterr)
{
    static const char trace[] = "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20";
    struct seen *s = u;
    (void)reterr;
    switch (s->logs++) {
    case 0:
        assert_true(log->time_ns == T0 && log->observed_ns == T0 + 5);
        assert_int_equal(log->severity_number, 17);
        IS(log->severity_text, "ERROR");
        IS(log->body, "payment failed: card declined");
        assert_int_equal(log->attr_count, 5);
        IS(log->attrs[0].key, "http.status");
        IS(log->attrs[0].val, "-5");
        IS(log->attrs[1].val, "0.1");
        IS(log->attrs[2].val, "true");
        IS(log->attrs[3].val, "AAH//g==");
        IS(log->attrs[4].val, "[\"a\",\"b\\\"c\",9007199254740993]");
        assert_true(ops_slice_eq(log->trace_id, ops_slice_of(trace, 16)));
        assert_true(ops_slice_eq(log->span_id, ops_slice_of(trace, 8)));
        assert_int_equal(log->flags, 1);
        assert_int_equal(log->dropped_attrs, 2);
        break;
    case 1:
        assert_true(log->time_ns == 0 && log->observed_ns == T0 + 7);
        assert_int_equal(log->body_kind, OPS_WALK_KIND_KVLIST);
        IS(log->body, "{\"msg\":\"caf\u00e9 \u4f60\u597d\",\"n\":{\"empty\":null}}");
        break;
    case 2:
        IS(log->event_name, "session.start");
        assert_int_equal(log->body_kind, OPS_WALK_KIND_NONE);
        break;
    default:
        IS(log->body, "ready");
    }
    return OPS_OK;
}

static void reads_what_the_reference_encoder_wrote(void **state)
{
    static const ops_walk_log_visitor v = {on_resource, on_scope, golden_log};
    const ops_slice msg = golden_read("tests/golden/otlp/logs.pb");
    struct seen s = {0};
    ops_walk *w = walker();
    (void)state;

    assert_true(msg.n > 0);
    assert_int_equal(ops_walk_logs(w, msg, &v, &s, NULL), OPS_OK);
    assert_int_equal(s.resources, 2);
    assert_int_equal(s.scopes, 2);
    assert_int_equal(s.logs, 4);
    ops_walk_free(w);
    free((void *)(uintptr_t)msg.p);
}

/* Every proper prefix is either a shorter valid message or an error that names a byte within it; never a crash. */
static void every_prefix_is_answered(void **state)
{
    const ops_slice msg = golden_read("tests/golden/otlp/logs.pb");
    ops_walk *w = walker();
    uint32_t valid = 0;
    (void)state;

    for (size_t n = 0; n < msg.n; n++) {
        char *copy = malloc(n + 1); /* exact bounds for the address sanitizer */
        struct seen s = {0};
        ops_err err;
        memcpy(copy, msg.p, n);
        char *tight = realloc(copy, n > 0 ? n : 1);
        const ops_status st = ops_walk_logs(w, ops_slice_of(tight, n), &visitor, &s, &err);
        if (st == OPS_OK)
            valid++;
        else
            assert_non_null(strstr(err.msg, "at byte "));
        free(tight);
    }
    assert_int_equal(valid, 2); /* empty, and the first resource alone */
    ops_walk_free(w);
    free((void *)(uintptr_t)msg.p);
}

static void refuse(const uint8_t *p, size_t n, const char *want)
{
    struct seen s = {0};
    ops_walk *w = walker();
    ops_err err = {0};

    assert_int_equal(ops_walk_logs(w, ops_slice_of(p, n), &visitor, &s, &err), OPS_EINVAL);
    if (strstr(err.msg, want) == NULL)
        fail_msg("'%s' lacks '%s'", err.msg, want);
    ops_walk_free(w);
}

static void broken_wires_name_path_field_and_byte(void **state)
{
    (void)state;
    refuse(BYTES(0x0b), "ExportLogsServiceRequest: field 1 is a group at byte 0");
    refuse(BYTES(0x08, 0x01), "field 1 has the wrong wire type");
    refuse(BYTES(0x00, 0x01), "bad field number");
    refuse(BYTES(0x0a, 0x05, 0x0a), "field 1 is longer than its message at byte 0");
    refuse(BYTES(0x0f), "unknown wire type");
    refuse(BYTES(0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01), "bad varint");
    refuse(BYTES(0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02), "bad varint");
    /* resource_logs { scope_logs { log_records { time_unix_nano as varint } } } */
    refuse(BYTES(0x0a, 0x06, 0x12, 0x04, 0x12, 0x02, 0x08, 0x01),
           "resource_logs.scope_logs.log_records: field 1 has the wrong wire type at byte 8");
    refuse(BYTES(0x0a, 0x04, 0x0a, 0x02, 0x08, 0x01), "resource: field 1 has the wrong wire type");
}

static void unknown_fields_are_skipped(void **state)
{
    /* 15: varint, 14: fixed64, 13: fixed32, 12: bytes; then log record with body "x" and unknown field 100. */
    const uint8_t msg[] = {0x78, 0x96, 0x01, 0x71, 1,    2,    3,    4,    5,    6,    7,    8,
                           0x6d, 1,    2,    3,    4,    0x62, 0x01, 'u',  0x0a, 0x0e, 0x12, 0x0c,
                           0x12, 0x0a, 0xa2, 0x06, 0x02, 'z',  'z',  0x2a, 0x03, 0x0a, 0x01, 'x'};
    struct seen s = {0};
    ops_walk *w = walker();
    (void)state;

    assert_int_equal(ops_walk_logs(w, ops_slice_of(msg, sizeof msg), &visitor, &s, NULL), OPS_OK);
    assert_int_equal(s.logs, 1);
    assert_string_equal(s.body, "x");
    ops_walk_free(w);
}

/* Puts tag and length in front of what lies at the end of buf. */
static size_t wrap(uint8_t *buf, size_t at, size_t end, uint8_t tag)
{
    const size_t n = end - at;
    assert_true(n < 16384);
    if (n >= 128)
        buf[--at] = (uint8_t)(n >> 7);
    buf[--at] = (uint8_t)(n >= 128 ? (n & 0x7f) | 0x80 : n);
    buf[--at] = tag;
    return at;
}

/* body = arrays nested `depth` times, around a string. */
static size_t nested(uint8_t *buf, size_t end, int depth)
{
    size_t at = end;
    buf[--at] = 'v';
    at = wrap(buf, at, end, 0x0a);
    for (int i = 0; i < depth; i++) {
        at = wrap(buf, at, end, 0x0a); /* ArrayValue.values */
        at = wrap(buf, at, end, 0x2a); /* AnyValue.array_value */
    }
    at = wrap(buf, at, end, 0x2a); /* LogRecord.body */
    at = wrap(buf, at, end, 0x12);
    at = wrap(buf, at, end, 0x12);
    return wrap(buf, at, end, 0x0a);
}

static void deep_values_flaw_their_record_only(void **state)
{
    static uint8_t buf[16384];
    ops_walk *w = walker();
    (void)state;

    for (int depth = 30; depth <= 34; depth++) {
        struct seen s = {0};
        const size_t at = nested(buf, sizeof buf, depth);
        assert_int_equal(ops_walk_logs(w, ops_slice_of(buf + at, sizeof buf - at), &visitor, &s, NULL),
                         OPS_OK);
        assert_int_equal(s.flaw, depth < 32 ? OPS_WALK_FLAW_NONE : OPS_WALK_FLAW_DEPTH);
    }
    struct seen s = {0};
    const size_t at = nested(buf, sizeof buf, 2000);
    assert_int_equal(ops_walk_logs(w, ops_slice_of(buf + at, sizeof buf - at), &visitor, &s, NULL), OPS_OK);
    assert_int_equal(s.flaw, OPS_WALK_FLAW_DEPTH);
    ops_walk_free(w);
}

static void limits_hold(void **state)
{
    const ops_slice msg = golden_read("tests/golden/otlp/logs.pb");
    ops_walk_limits limits;
    ops_walk *w = NULL;
    struct seen s = {0};
    ops_err err;
    (void)state;

    ops_walk_limits_default(&limits);
    limits.items_max = 3;
    limits.attrs_max = 3;
    assert_int_equal(ops_walk_new(&limits, &w, NULL), OPS_OK);
    assert_int_equal(ops_walk_logs(w, msg, &visitor, &s, &err), OPS_ETOOBIG);
    assert_non_null(strstr(err.msg, "more than 3 log records"));
    ops_walk_free(w);

    ops_walk_limits_default(&limits);
    limits.message_bytes_max = msg.n - 1;
    assert_int_equal(ops_walk_new(&limits, &w, NULL), OPS_OK);
    assert_int_equal(ops_walk_logs(w, msg, &visitor, &s, &err), OPS_ETOOBIG);
    ops_walk_free(w);

    ops_walk_limits_default(&limits);
    limits.depth_max = 1000;
    assert_int_equal(ops_walk_new(&limits, &w, &err), OPS_ERANGE);

    w = walker();
    s = (struct seen){.answer = OPS_EAGAIN};
    assert_int_equal(ops_walk_logs(w, msg, &visitor, &s, &err), OPS_EAGAIN);
    assert_int_equal(s.logs, 1);
    assert_string_equal(err.msg, "sink says no");
    ops_walk_free(w);
    free((void *)(uintptr_t)msg.p);
}

static ops_status on_batch(void *u, const ops_walk_batch *b, ops_err *reterr)
{
    struct seen *s = u;
    (void)reterr;
    s->batches++;
    s->entries = b->entries;
    s->points = b->points;
    s->min_ns = b->time_min_ns;
    s->max_ns = b->time_max_ns;
    assert_int_equal(b->resource->attr_count, 1);
    IS(b->resource->attrs[0].val, "checkout");
    assert_true(b->raw.n > 100);
    return OPS_OK;
}

static void metrics_and_traces_are_counted(void **state)
{
    const ops_slice m = golden_read("tests/golden/otlp/metrics.pb"),
                    t = golden_read("tests/golden/otlp/traces.pb");
    struct seen s = {0};
    ops_walk *w = walker();
    ops_err err;
    (void)state;

    assert_int_equal(ops_walk_metrics(w, m, on_batch, &s, NULL), OPS_OK);
    assert_true(s.batches == 1 && s.entries == 5 && s.points == 6);
    assert_true(s.min_ns == T0 && s.max_ns == T0 + 12);
    s = (struct seen){0};
    assert_int_equal(ops_walk_traces(w, t, on_batch, &s, NULL), OPS_OK);
    assert_true(s.batches == 1 && s.entries == 3 && s.points == 3);
    assert_true(s.min_ns == T0 && s.max_ns == T0 + 2);
    for (size_t n = 1; n < m.n; n++) {
        if (ops_walk_metrics(w, ops_slice_of(m.p, n), on_batch, &s, &err) == OPS_OK)
            fail_msg("prefix of %zu bytes passed", n);
    }
    /* resource_metrics { scope_metrics { metrics { gauge { data_points { time_unix_nano as varint }}}}} */
    const uint8_t bad[] = {0x0a, 0x0a, 0x12, 0x08, 0x12, 0x06, 0x2a, 0x04, 0x0a, 0x02, 0x18, 0x01};
    assert_int_equal(ops_walk_metrics(w, ops_slice_of(bad, sizeof bad), NULL, NULL, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "resource_metrics: field 3 has the wrong wire type at byte 12"));
    ops_walk_free(w);
    free((void *)(uintptr_t)m.p);
    free((void *)(uintptr_t)t.p);
}

static void survives_every_failed_allocation(void **state)
{
    const long live = ops_alloc_live();
    ops_walk_limits limits;
    ops_status st = OPS_ENOMEM;
    long nth = 1;
    (void)state;

    ops_walk_limits_default(&limits);
    for (; st != OPS_OK; nth++) {
        ops_walk *w = NULL;
        ops_alloc_fail_at(nth);
        st = ops_walk_new(&limits, &w, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || (st == OPS_ENOMEM && w == NULL));
        ops_walk_free(w);
    }
    assert_true(nth > 7);
    assert_int_equal(ops_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_reference_encoder_wrote),
        cmocka_unit_test(every_prefix_is_answered),
        cmocka_unit_test(broken_wires_name_path_field_and_byte),
        cmocka_unit_test(unknown_fields_are_skipped),
        cmocka_unit_test(deep_values_flaw_their_record_only),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(metrics_and_traces_are_counted),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
