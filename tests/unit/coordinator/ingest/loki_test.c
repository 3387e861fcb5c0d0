#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/ingest/inflate.h"
#include "coordinator/ingest/loki.h"

#define T0   INT64_C(1764000000000000000)
#define RECV (T0 + INT64_C(60000000000))
/* Bytes of a string literal with holes. */
#define BYTES(lit) (const uint8_t *)(lit), sizeof(lit) - 1

struct seen {
    uint32_t n, rejects, flags, attr_count;
    int64_t time_ns;
    uint8_t severity;
    char message[64], service[64], attrs[512], detail[256];
};

static ops_status keep(void *u, const ops_record *r, ops_err *reterr)
{
    struct seen *s = u;
    size_t n = 0;
    (void)reterr;
    s->n++;
    s->flags = r->flags;
    s->time_ns = r->time_ns;
    s->severity = r->severity;
    s->attr_count = r->attr_count;
    snprintf(s->message, sizeof s->message, OPS_SLICE_FMT, OPS_SLICE_ARG(r->message));
    snprintf(s->service, sizeof s->service, OPS_SLICE_FMT, OPS_SLICE_ARG(r->service));
    s->attrs[0] = '\0';
    for (uint32_t i = 0; i < r->attr_count && n < sizeof s->attrs; i++)
        n += (size_t)snprintf(s->attrs + n, sizeof s->attrs - n, OPS_SLICE_FMT "=" OPS_SLICE_FMT ";",
                              OPS_SLICE_ARG(r->attrs[i].key), OPS_SLICE_ARG(r->attrs[i].val));
    return OPS_OK;
}

static void refused(void *u, ops_ingest_reason reason, const char *detail)
{
    struct seen *s = u;
    (void)reason;
    s->rejects++;
    snprintf(s->detail, sizeof s->detail, "%s", detail);
}

static ops_status run_as(ops_ingest_decoder decode, const uint8_t *p, size_t n, uint64_t records_max,
                         struct seen *s, ops_ingest_counters *c, ops_err *err)
{
    ops_ingest_limits limits;
    ops_ingest_limits_default(&limits);
    limits.records_max = records_max;
    *s = (struct seen){0};
    *c = (ops_ingest_counters){0};
    return decode(p, n, &limits, RECV, keep, refused, s, c, err);
}

static ops_status json(const char *text, struct seen *s, ops_ingest_counters *c, ops_err *err)
{
    return run_as(ops_loki_decode_json, (const uint8_t *)text, strlen(text), 1000, s, c, err);
}

static void json_labels_become_service_and_attributes(void **state)
{
    struct seen s;
    ops_ingest_counters c;
    ops_err err;
    (void)state;
    assert_int_equal(
        json("{\"streams\":[{\"stream\":{\"job\":\"varlogs\",\"env\":\"prod\",\"app\":\"shop\"},"
             "\"values\":[[\"1764000000000000005\",\"order 41 lost\"],"
             "[\"1764000000000000007\",\"order 42 lost\",{\"trace\":\"ab\",\"level\":\"error\"}]]}]}",
             &s, &c, &err),
        OPS_OK);
    assert_true(c.received == 2 && c.accepted == 2 && c.rejected == 0);
    assert_int_equal(s.n, 2);
    assert_true(s.time_ns == T0 + 7);
    assert_int_equal(s.severity, 17);
    assert_string_equal(s.message, "order 42 lost");
    assert_string_equal(s.service, "shop"); /* app wins over job */
    assert_string_equal(s.attrs, "trace=ab;level=error;job=varlogs;env=prod;");
}

static void the_service_is_the_best_label_that_is_not_empty(void **state)
{
    static const struct {
        const char *labels, *want;
    } rows[] = {{"\"job\":\"j\",\"app\":\"a\",\"service\":\"s\",\"service_name\":\"n\"", "n"},
                {"\"job\":\"j\",\"app\":\"a\",\"service\":\"s\"", "s"},
                {"\"job\":\"j\",\"app\":\"\"", "j"},
                {"\"env\":\"prod\"", "unknown_service"},
                {"", "unknown_service"}};
    struct seen s;
    ops_ingest_counters c;
    ops_err err;
    char text[256];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "{\"streams\":[{\"stream\":{%s},\"values\":[[\"1\",\"x\"]]}]}",
                 rows[i].labels);
        assert_int_equal(json(text, &s, &c, &err), OPS_OK);
        assert_string_equal(s.service, rows[i].want);
    }
}

static void a_bad_json_entry_is_rejected_alone(void **state)
{
    struct seen s;
    ops_ingest_counters c;
    ops_err err;
    (void)state;
    /* A timestamp as a number is refused by Loki too. */
    assert_int_equal(
        json("{\"streams\":[{\"stream\":{},\"values\":[[1764000000000000005,\"a\"],[\"soon\",\"b\"],"
             "[\"1\",7],[\"1\"],9,[\"1\",\"c\",{\"k\":2}],[\"1\",\"\"],"
             "[\"1764000000000000009\",\"kept\",null]]}]}",
             &s, &c, &err),
        OPS_OK);
    assert_true(c.received == 8 && c.accepted == 1 && c.rejected == 7);
    assert_true(c.rejected_by[OPS_INGEST_REASON_FIELD] == 6 && c.rejected_by[OPS_INGEST_REASON_EMPTY] == 1);
    assert_int_equal(s.rejects, 7);
    assert_string_equal(s.message, "kept");
    assert_int_equal(
        json("{\"streams\":[{\"stream\":{},\"values\":[[\"1\",\"c\",{\"k\":2}]]}]}", &s, &c, &err), OPS_OK);
    assert_non_null(strstr(s.detail, "streams[0].values[0].[2].k"));
}

static void broken_json_fails_with_its_place(void **state)
{
    static const struct {
        const char *text, *place;
    } rows[] = {{"{\"streams\":[{]}", "at byte "},
                {"[]", "request: not a JSON object"},
                {"{}", "request.streams: missing"},
                {"{\"streams\":{}}", "request.streams: not an array"},
                {"{\"streams\":[{},7]}", "streams[1]: not a JSON object"},
                {"{\"streams\":[{\"stream\":[]}]}", "streams[0].stream: not a JSON object"},
                {"{\"streams\":[{\"stream\":{\"a\":1}}]}", "streams[0].stream.a: not a string"},
                {"{\"streams\":[{\"values\":{}}]}", "streams[0].values: not an array"}};
    struct seen s;
    ops_ingest_counters c;
    ops_err err;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(json(rows[i].text, &s, &c, &err), OPS_EINVAL);
        assert_non_null(strstr(err.msg, rows[i].place));
        assert_true(c.received == 0);
    }
    assert_int_equal(json("{\"streams\":[]}", &s, &c, &err), OPS_OK);
}

/* {app="shop", env="a\"b"} and one entry: T0 s + 5 ns, "hi", metadata k=v. Written by hand from push.proto. */
#define LABELS "{app=\"shop\", env=\"a\\\"b\"}"
#define ENTRY                                                                                                \
    "\x0a\x08\x08\x80\xc0\x92\xc9\x06\x10\x05" /* timestamp { seconds 1764008960, nanos 5 } */               \
    "\x12\x02hi"                                                                                             \
    "\x1a\x06\x0a\x01k\x12\x01v"
#define PUSH                                                                                                 \
    "\x0a\x34"                                                                                               \
    "\x0a\x18" LABELS "\x12\x16" ENTRY "\x18\x07" /* hash 7: unknown to us */
_Static_assert(sizeof(LABELS) - 1 == 0x18, "length byte of the labels");
_Static_assert(sizeof(ENTRY) - 1 == 0x16, "length byte of the entry");
_Static_assert(sizeof(PUSH) - 1 == 0x36, "length byte of the stream");

static void check_push(const struct seen *s, const ops_ingest_counters *c)
{
    assert_true(c->received == 1 && c->accepted == 1);
    assert_string_equal(s->service, "shop");
    assert_string_equal(s->message, "hi");
    assert_string_equal(s->attrs, "k=v;env=a\"b;");
}

static void protobuf_by_hand(void **state)
{
    struct seen s;
    ops_ingest_counters c;
    ops_err err;
    (void)state;
    assert_int_equal(run_as(ops_loki_decode, BYTES(PUSH), 10, &s, &c, &err), OPS_OK);
    check_push(&s, &c);
    /* 1764008960 s lies hours ahead of receive time: ten minutes are allowed */
    assert_true(s.flags == OPS_RECORD_TIME_CLAMPED && s.time_ns == RECV + INT64_C(600000000000));
    /* labels after the entries read the same */
    assert_int_equal(
        run_as(ops_loki_decode, BYTES("\x0a\x32\x12\x16" ENTRY "\x0a\x18" LABELS), 10, &s, &c, &err), OPS_OK);
    check_push(&s, &c);
}

static void protobuf_time_is_seconds_and_nanos(void **state)
{
    /* 1764000000 seconds and 128 nanos, as varints */
    static const char in_time[] = "\x0a\x14\x0a\x02{}\x12\x0e"
                                  "\x0a\x09\x08\x80\x82\x92\xc9\x06\x10\x80\x01\x12\x01x";
    /* nanos = 1000000000, one too many */
    static const char bad_nanos[] = "\x0a\x13\x0a\x02{}\x12\x0d"
                                    "\x0a\x06\x10\x80\x94\xeb\xdc\x03\x12\x03xyz";
    struct seen s;
    ops_ingest_counters c;
    ops_err err;
    (void)state;
    assert_int_equal(run_as(ops_loki_decode, BYTES(in_time), 10, &s, &c, &err), OPS_OK);
    assert_int_equal(s.n, 1);
    assert_true(s.time_ns == T0 + 128 && s.flags == 0);
    assert_int_equal(run_as(ops_loki_decode, BYTES(bad_nanos), 10, &s, &c, &err), OPS_OK);
    assert_true(c.accepted == 0 && c.rejected == 1);
    assert_non_null(strstr(s.detail, "streams[0].entries[0].timestamp"));
    /* no timestamp at all: receive time */
    assert_int_equal(run_as(ops_loki_decode, BYTES("\x0a\x05\x12\x03\x12\x01y"), 10, &s, &c, &err), OPS_OK);
    assert_true(c.rejected == 1); /* labels missing: Loki's own text is never empty */
    assert_int_equal(run_as(ops_loki_decode, BYTES("\x0a\x09\x0a\x02{}\x12\x03\x12\x01y"), 10, &s, &c, &err),
                     OPS_OK);
    assert_true(s.n == 1 && s.flags == OPS_RECORD_NO_TIME && s.time_ns == RECV);
}

static ops_status labelled(const char *labels, struct seen *s, ops_ingest_counters *c)
{
    uint8_t m[256] = {0x0a, 0, 0x0a, (uint8_t)strlen(labels)};
    const size_t n = strlen(labels);
    memcpy(m + 4, labels, n);
    memcpy(m + 4 + n, "\x12\x03\x12\x01x", 5);
    m[1] = (uint8_t)(n + 7);
    return run_as(ops_loki_decode, m, n + 9, 10, s, c, NULL);
}

static void label_text(void **state)
{
    static const struct {
        const char *text, *attrs; /* NULL: does not parse */
    } rows[] = {
        {"{}", ""},
        {" { a = \"1\" , } ", "a=1;"},
        {"{_a9=`raw\\n`,B='q'}", "_a9=raw\\n;B=q;"},
        {"{a=\"\\t\\\\\\x41\\101\\u4f60\\U0001F600\"}", "a=\t\\AA\xe4\xbd\xa0\xf0\x9f\x98\x80;"},
        {"{a=\"}\"}", "a=};"},
        {"", NULL},
        {"{a=\"1\"", NULL},
        {"{a=\"1\"} x", NULL},
        {"{a=1}", NULL},
        {"{a}", NULL},
        {"{9a=\"1\"}", NULL},
        {"{a=\"1\" b=\"2\"}", NULL},
        {"{a=\"\\ud800\"}", NULL},
        {"{a=\"\\400\"}", NULL},
        {"{a=\"\\q\"}", NULL},
        {"{a=\"\\", NULL},
        {"{a=\"\\\"}", NULL},
    };
    struct seen s;
    ops_ingest_counters c;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(labelled(rows[i].text, &s, &c), OPS_OK);
        assert_true(c.received == 1);
        assert_int_equal(c.accepted, rows[i].attrs != NULL);
        if (rows[i].attrs != NULL)
            assert_string_equal(s.attrs, rows[i].attrs);
        else
            assert_non_null(strstr(s.detail, "streams[0].entries[0].labels at its byte "));
    }
}

static void broken_protobuf_fails_as_a_whole(void **state)
{
    struct seen s;
    ops_ingest_counters c;
    ops_err err;
    (void)state;
    /* the entry's line leaves its entry; a varint where a message should be; a group; field number 0 */
    assert_int_equal(run_as(ops_loki_decode, BYTES("\x0a\x09\x0a\x02{}\x12\x03\x12\x7fy"), 10, &s, &c, &err),
                     OPS_EINVAL);
    assert_non_null(strstr(err.msg, "streams[0].entries[0] is broken near byte 10"));
    assert_int_equal(run_as(ops_loki_decode, BYTES("\x08\x01"), 10, &s, &c, &err), OPS_EINVAL);
    assert_int_equal(run_as(ops_loki_decode, BYTES("\x0b"), 10, &s, &c, &err), OPS_EINVAL);
    assert_int_equal(run_as(ops_loki_decode, BYTES("\x02\x00"), 10, &s, &c, &err), OPS_EINVAL);
    for (size_t cut = 1; cut < sizeof(PUSH) - 1; cut++)
        assert_int_equal(run_as(ops_loki_decode, (const uint8_t *)PUSH, cut, 10, &s, &c, &err), OPS_EINVAL);
    assert_int_equal(run_as(ops_loki_decode, BYTES(PUSH PUSH), 1, &s, &c, &err), OPS_ETOOBIG);
    assert_non_null(strstr(err.msg, "more than 1 entries"));
}

static void snappy_blocks(void **state)
{
    /* length 54, one literal: tag (54 - 1) << 2 = 0xd4. Format: google/snappy format_description.txt */
    static const char block[] = "\x36\xd4" PUSH;
    /* "abc", then a copy of 6 bytes from 3 back: tag 01 | (6 - 4) << 2 */
    static const char copy[] = "\x09\x08"
                               "abc\x09\x03";
    struct seen s;
    ops_ingest_counters c;
    ops_err err;
    char *out;
    size_t n;
    (void)state;
    assert_int_equal(run_as(ops_loki_decode_snappy, BYTES(block), 10, &s, &c, &err), OPS_OK);
    check_push(&s, &c);
    assert_int_equal(ops_inflate(OPS_INFLATE_SNAPPY, copy, sizeof copy - 1, 9, &out, &n, &err), OPS_OK);
    assert_true(n == 9 && memcmp(out, "abcabcabc", 9) == 0);
    ops_free(out);
    assert_int_equal(ops_inflate(OPS_INFLATE_SNAPPY, copy, sizeof copy - 1, 8, &out, &n, &err), OPS_ETOOBIG);
    for (size_t cut = 0; cut < sizeof copy - 1; cut++)
        assert_int_equal(ops_inflate(OPS_INFLATE_SNAPPY, copy, cut, 100, &out, &n, &err), OPS_EINVAL);
    /* five bytes that say they are 32 MiB */
    assert_int_equal(ops_inflate(OPS_INFLATE_SNAPPY, "\x80\x80\x80\x10\x00", 5, 64 << 20, &out, &n, &err),
                     OPS_EINVAL);
    assert_non_null(strstr(err.msg, "declares 33554432 bytes"));
    assert_int_equal(run_as(ops_loki_decode_snappy, BYTES(PUSH), 10, &s, &c, &err), OPS_EINVAL);
}

static void many_labels_are_cut_and_many_metadata_refused(void **state)
{
    static char text[16384];
    struct seen s;
    ops_ingest_counters c;
    ops_err err;
    (void)state;
    for (int meta = 0; meta < 2; meta++) {
        size_t n = (size_t)sprintf(text, "{\"streams\":[{\"stream\":{%s",
                                   meta ? "},\"values\":[[\"1\",\"x\",{" : "");
        for (int i = 0; i < 200; i++)
            n += (size_t)sprintf(text + n, "%s\"l%d\":\"v\"", i > 0 ? "," : "", i);
        sprintf(text + n, meta ? "}]]}]}" : "},\"values\":[[\"1\",\"x\"]]}]}");
        assert_int_equal(json(text, &s, &c, &err), OPS_OK);
        assert_int_equal(c.accepted, !meta);
        if (meta)
            assert_true(c.rejected_by[OPS_INGEST_REASON_ATTRS] == 1);
        else
            assert_true(s.attr_count == OPS_RECORD_ATTRS_MAX && (s.flags & OPS_RECORD_TRUNCATED) != 0);
    }
}

static void a_flood_of_empty_objects_is_refused_unread(void **state)
{
    static char text[300001];
    ops_ingest_limits limits;
    ops_ingest_counters c = {0};
    struct seen s = {0};
    ops_err err;
    (void)state;
    for (size_t i = 0; i < 300000; i += 3)
        memcpy(text + i, "{},", 3);
    ops_ingest_limits_default(&limits);
    limits.request_bytes_max = 300000;
    assert_int_equal(
        ops_loki_decode_json((const uint8_t *)text, 300000, &limits, RECV, keep, refused, &s, &c, &err),
        OPS_ETOOBIG);
    assert_non_null(strstr(err.msg, "too many objects"));
    limits.request_bytes_max = 1 << 20; /* the same text is only wrong where there is room for it */
    assert_int_equal(
        ops_loki_decode_json((const uint8_t *)text, 3000, &limits, RECV, keep, refused, &s, &c, &err),
        OPS_EINVAL);
}

static void survives_every_failed_allocation(void **state)
{
    static const char text[] = "{\"streams\":[{\"stream\":{\"app\":\"a\"},\"values\":[[\"1\",\"x\"]]}]}";
    static const char block[] = "\x36\xd4" PUSH;
    const long live = ops_alloc_live();
    struct seen s;
    ops_ingest_counters c;
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        ops_status st = OPS_ENOMEM;
        for (long nth = 1; nth < 40; nth++) {
            ops_alloc_fail_at(nth);
            st = kind == 0 ? run_as(ops_loki_decode_json, BYTES(text), 10, &s, &c, NULL)
                           : run_as(ops_loki_decode_snappy, BYTES(block), 10, &s, &c, NULL);
            ops_alloc_fail_at(0);
            /* without memory for its labels' text a stream is rejected, as one too long would be */
            assert_true(st == OPS_ENOMEM || (st == OPS_OK && c.received == 1));
        }
        assert_int_equal(st, OPS_OK);
        assert_true(c.accepted == 1);
        assert_int_equal(ops_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_labels_become_service_and_attributes),
        cmocka_unit_test(the_service_is_the_best_label_that_is_not_empty),
        cmocka_unit_test(a_bad_json_entry_is_rejected_alone),
        cmocka_unit_test(broken_json_fails_with_its_place),
        cmocka_unit_test(protobuf_by_hand),
        cmocka_unit_test(protobuf_time_is_seconds_and_nanos),
        cmocka_unit_test(label_text),
        cmocka_unit_test(broken_protobuf_fails_as_a_whole),
        cmocka_unit_test(snappy_blocks),
        cmocka_unit_test(many_labels_are_cut_and_many_metadata_refused),
        cmocka_unit_test(a_flood_of_empty_objects_is_refused_unread),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
