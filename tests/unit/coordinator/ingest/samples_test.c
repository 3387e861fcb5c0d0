/* OTLP metrics and remote write to series: what is kept, what is refused and under which name. Requests are written field
 * by field from the published field numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "base/text/strbuf.h"
#include "coordinator/ingest/otlp_metrics.h"
#include "coordinator/ingest/remote_write.h"
#include "tests/support/golden.h"

#define RECV INT64_C(1764000000000000000)

struct seen {
    ops_strbuf text; /* one line a series: kind service name{labels} time:value[!] ... */
    ops_sample_reason refuse_with;
};

static ops_status keep(void *u, const ops_series_id *id, const ops_sample *samples, size_t n,
                       ops_sample_reason *ret_reason, ops_err *reterr)
{
    struct seen *s = u;
    (void)reterr;
    *ret_reason = s->refuse_with;
    ops_strbuf_printf(&s->text, "%d %.*s ", (int)id->kind, (int)id->service.n, id->service.p);
    ops_series_text(id, &s->text);
    for (size_t i = 0; i < n; i++)
        ops_strbuf_printf(&s->text, " %lld:%g%s", (long long)(samples[i].time_ns - RECV), samples[i].value,
                          (samples[i].flags & OPS_SAMPLE_STALE) != 0 ? "!" : "");
    ops_strbuf_char(&s->text, '\n');
    return s->text.failed ? OPS_ENOMEM : OPS_OK;
}

static void begin(struct seen *s, ops_samples **ret)
{
    ops_ingest_limits limits;
    ops_sample_limits own;
    ops_err err;
    ops_ingest_limits_default(&limits);
    ops_sample_limits_default(&own);
    own.value_bytes_max = 20;
    own.labels_max = 4;
    s->refuse_with = OPS_SAMPLE_REASON_COUNT;
    ops_strbuf_init(&s->text, 1 << 20);
    ops_strbuf_str(&s->text, "");
    assert_int_equal(ops_samples_new(&limits, &own, RECV, keep, s, ret, &err), OPS_OK);
}

static void end(struct seen *s, ops_samples *x)
{
    const ops_sample_counters *c = ops_samples_counters(x);
    uint64_t sum = 0;
    for (unsigned r = 0; r < OPS_SAMPLE_REASON_COUNT; r++)
        sum += c->refused_by[r];
    assert_int_equal(sum, c->refused);
    assert_int_equal(c->received, c->accepted + c->refused + c->repeated);
    ops_samples_free(x);
    ops_strbuf_done(&s->text);
}

/* protobuf, written */
static void put_u(ops_strbuf *b, uint64_t v)
{
    uint8_t tmp[OPS_VARINT_BYTES_MAX];
    ops_strbuf_put(b, tmp, ops_varint_put(tmp, v));
}
static void f_u(ops_strbuf *b, unsigned num, uint64_t v)
{
    put_u(b, num << 3);
    put_u(b, v);
}
static void f_8(ops_strbuf *b, unsigned num, uint64_t v)
{
    put_u(b, num << 3 | 1);
    ops_strbuf_put(b, &v, 8);
}
static void f_d(ops_strbuf *b, unsigned num, double d)
{
    uint64_t v;
    memcpy(&v, &d, 8);
    f_8(b, num, v);
}
static void f_s(ops_strbuf *b, unsigned num, ops_slice s)
{
    put_u(b, num << 3 | 2);
    put_u(b, s.n);
    ops_strbuf_slice(b, s);
}
#define MESSAGE(name)                                                                                        \
    ops_strbuf name;                                                                                         \
    ops_strbuf_init(&(name), 1 << 20);                                                                       \
    ops_strbuf_str(&(name), "")

static void nest(ops_strbuf *outer, unsigned num, ops_strbuf *inner)
{
    f_s(outer, num, ops_strbuf_get(inner));
    ops_strbuf_clear(inner);
}

static void the_reference_classes(void **state)
{
    (void)state;
    struct seen s;
    ops_samples *x;
    ops_ingest_limits limits;
    ops_err err = {0};
    const ops_slice pb = golden_read("tests/golden/otlp/metrics.pb");
    assert_non_null(pb.p);
    begin(&s, &x);
    ops_ingest_limits_default(&limits);
    if (ops_otlp_metrics_decode(pb, &limits, x, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_true(ops_samples_counters(x)->points > 0);
    end(&s, x);
    free((void *)(uintptr_t)pb.p);
}

/* One series of remote write 1 with (value, ms after RECV) pairs. */
static void series(ops_strbuf *request, const char *const *labels, size_t pairs, const double *values,
                   const int64_t *ms, size_t n)
{
    MESSAGE(ts);
    MESSAGE(part);
    for (size_t i = 0; i < pairs; i++) {
        f_s(&part, 1, ops_slice_str(labels[2 * i]));
        f_s(&part, 2, ops_slice_str(labels[2 * i + 1]));
        nest(&ts, 1, &part);
    }
    for (size_t i = 0; i < n; i++) {
        f_d(&part, 1, values[i]);
        f_u(&part, 2, (uint64_t)(RECV / 1000000 + ms[i]));
        nest(&ts, 2, &part);
    }
    nest(request, 1, &ts);
    ops_strbuf_done(&ts);
    ops_strbuf_done(&part);
}

static ops_status write_1(ops_strbuf *request, ops_samples *x, ops_err *err)
{
    ops_ingest_limits limits;
    ops_ingest_limits_default(&limits);
    return ops_remote_write_decode(ops_strbuf_get(request), 1, &limits, x, err);
}

static void remote_write_1(void **state)
{
    (void)state;
    static const char *const counter[] = {"__name__", "req_total", "job", "web", "a", "1", "empty", ""};
    static const char *const bucket[] = {"le", "0.5", "__name__", "lat_bucket", "app", "shop", "job", "web"};
    static const char *const gauge[] = {"__name__", "temp"};
    uint64_t bits = UINT64_C(0x7ff0000000000002);
    double stale;
    memcpy(&stale, &bits, 8);
    const double values[] = {1, 1, 5, stale};
    const int64_t ms[] = {-1000, -1000, -500, 0};
    struct seen s;
    ops_samples *x;
    ops_err err = {0};
    MESSAGE(request);
    begin(&s, &x);
    series(&request, counter, 4, values, ms, 4);
    series(&request, bucket, 4, values, ms, 1);
    series(&request, gauge, 1, values + 2, ms + 2, 1);
    if (write_1(&request, x, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_string_equal(s.text.p, "2 web req_total{a=\"1\",job=\"web\"} -1000000000:1 -500000000:5 0:0!\n"
                                  "4 shop lat_bucket{app=\"shop\",job=\"web\",le=\"0.5\"} -1000000000:1\n"
                                  "1 unknown_service temp -500000000:5\n");
    assert_int_equal(ops_samples_counters(x)->repeated, 1);
    assert_int_equal(ops_samples_counters(x)->accepted, 5);
    ops_strbuf_done(&request);
    end(&s, x);
}

static void refusals_have_names(void **state)
{
    (void)state;
    static const char *const good[] = {"__name__", "m", "job", "w"};
    static const char *const nameless[] = {"job", "w"};
    static const char *const twice[] = {"__name__", "m", "a", "1", "a", "2"};
    static const char *const bad[] = {"__name__", "m", "a", "\xff"};
    static const char *const lengthy[] = {"__name__", "m", "a", "123456789012345678901"};
    static const char *const many[] = {"__name__", "m", "a", "1", "b", "1", "c", "1", "d", "1", "e", "1"};
    const double values[] = {NAN, INFINITY, 3, 4, 5, 6};
    const int64_t ms[] = {1, 2, 3, 3, -25 * 3600 * 1000, 11 * 60 * 1000};
    static const struct {
        const char *const *labels;
        size_t pairs, from, n, kept;
        ops_sample_reason reason;
    } rows[] = {
        {good, 2, 0, 1, 0, OPS_SAMPLE_NOT_A_NUMBER},    {good, 2, 1, 1, 0, OPS_SAMPLE_INFINITE},
        {good, 2, 2, 2, 1, OPS_SAMPLE_DUPLICATE},       {good, 2, 4, 1, 0, OPS_SAMPLE_TOO_OLD},
        {good, 2, 5, 1, 0, OPS_SAMPLE_TOO_NEW},         {nameless, 1, 2, 1, 0, OPS_SAMPLE_NAME},
        {twice, 3, 2, 1, 0, OPS_SAMPLE_LABEL_FORM},     {bad, 2, 2, 1, 0, OPS_SAMPLE_LABEL_FORM},
        {lengthy, 2, 2, 1, 0, OPS_SAMPLE_LABEL_LENGTH}, {many, 6, 2, 1, 0, OPS_SAMPLE_LABEL_COUNT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct seen s;
        ops_samples *x;
        ops_err err = {0};
        MESSAGE(request);
        begin(&s, &x);
        series(&request, rows[i].labels, rows[i].pairs, values + rows[i].from, ms + rows[i].from, rows[i].n);
        assert_int_equal(write_1(&request, x, &err), OPS_OK);
        assert_int_equal(ops_samples_counters(x)->refused_by[rows[i].reason], 1);
        assert_int_equal(ops_samples_counters(x)->accepted, rows[i].kept);
        assert_true(ops_samples_detail(x, rows[i].reason)[0] != '\0');
        ops_strbuf_done(&request);
        end(&s, x);
    }
}

static void what_the_sink_refuses_is_counted(void **state)
{
    (void)state;
    static const char *const good[] = {"__name__", "m", "job", "w"};
    const double values[] = {1, 2};
    const int64_t ms[] = {1, 2};
    struct seen s;
    ops_samples *x;
    ops_err err = {0};
    MESSAGE(request);
    begin(&s, &x);
    s.refuse_with = OPS_SAMPLE_SERIES_LIMIT;
    series(&request, good, 2, values, ms, 2);
    assert_int_equal(write_1(&request, x, &err), OPS_OK);
    assert_int_equal(ops_samples_counters(x)->refused_by[OPS_SAMPLE_SERIES_LIMIT], 2);
    assert_non_null(strstr(ops_samples_detail(x, OPS_SAMPLE_SERIES_LIMIT), "m: "));
    ops_strbuf_done(&request);
    end(&s, x);
}

/* Version 2: labels by number; a number beyond the symbols, and a half pair, are the series' own fault. */
static void remote_write_2(void **state)
{
    (void)state;
    static const char *const symbols[] = {"", "__name__", "up", "job", "web"};
    static const uint64_t refs[][4] = {{1, 2, 3, 4}, {1, 2, 3, 9}};
    struct seen s;
    ops_samples *x;
    ops_ingest_limits limits;
    ops_err err = {0};
    MESSAGE(request);
    MESSAGE(ts);
    MESSAGE(part);
    ops_ingest_limits_default(&limits);
    begin(&s, &x);
    for (size_t i = 0; i < 5; i++)
        f_s(&request, 4, ops_slice_str(symbols[i]));
    for (size_t r = 0; r < 2; r++) {
        for (size_t i = 0; i < 4; i++)
            put_u(&part, refs[r][i]);
        f_d(&ts, 99, 1); /* a field of a time to come */
        nest(&ts, 1, &part);
        f_d(&part, 1, 1);
        f_u(&part, 2, RECV / 1000000);
        nest(&ts, 2, &part);
        f_s(&ts, 4, OPS_SLICE("")); /* an exemplar */
        f_u(&part, 1, 1);           /* a counter */
        nest(&ts, 5, &part);
        nest(&request, 5, &ts);
    }
    if (ops_remote_write_decode(ops_strbuf_get(&request), 2, &limits, x, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_string_equal(s.text.p, "2 web up{job=\"web\"} 0:1\n");
    assert_int_equal(ops_samples_counters(x)->refused_by[OPS_SAMPLE_LABEL_FORM], 1);
    assert_int_equal(ops_samples_counters(x)->exemplars, 2);
    end(&s, x);
    begin(&s, &x);
    /* The same bytes as version 1 hold nothing: its fields are reserved there. */
    assert_int_equal(ops_remote_write_decode(ops_strbuf_get(&request), 1, &limits, x, &err), OPS_OK);
    assert_int_equal(ops_samples_counters(x)->received, 0);
    end(&s, x);
    ops_strbuf_done(&request);
    ops_strbuf_done(&ts);
    ops_strbuf_done(&part);
}

static void histogram_is(const ops_walk_point *p, const char *want, ops_sample_reason reason)
{
    struct seen s;
    ops_samples *x;
    ops_err err = {0};
    const ops_attr labels[] = {{OPS_SLICE("a"), OPS_SLICE("1")}};
    begin(&s, &x);
    if (ops_samples_histogram(x, OPS_SLICE("svc"), OPS_SLICE("h"), labels, 1, p, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_string_equal(s.text.p, want);
    if (reason != OPS_SAMPLE_REASON_COUNT)
        assert_int_equal(ops_samples_counters(x)->refused_by[reason], 1);
    assert_int_equal(ops_samples_counters(x)->histograms, 1);
    end(&s, x);
}

static void histograms_become_series(void **state)
{
    (void)state;
    const double bounds[] = {0.1, 1}, counts[] = {1, 0, 2}, lies[] = {1, 5, 2}, below[] = {1, -1, 2},
                 falling[] = {1, 0.1};
    ops_walk_point p = {.kind = OPS_WALK_POINT_HISTOGRAM,
                        .temporality = 2,
                        .time_ns = RECV,
                        .count = 3,
                        .sum = 7,
                        .has_sum = true,
                        .bounds = bounds,
                        .counts = counts,
                        .bound_count = 2,
                        .count_count = 3};
    histogram_is(
        &p,
        "2 svc h_count{a=\"1\"} 0:3\n2 svc h_sum{a=\"1\"} 0:7\n4 svc h_bucket{a=\"1\",le=\"0.1\"} 0:1\n"
        "4 svc h_bucket{a=\"1\",le=\"1\"} 0:1\n4 svc h_bucket{a=\"1\",le=\"+Inf\"} 0:3\n",
        OPS_SAMPLE_REASON_COUNT);
    p.temporality = 1;
    p.count_count = p.bound_count = 0;
    histogram_is(&p, "3 svc h_count{a=\"1\"} 0:3\n3 svc h_sum{a=\"1\"} 0:7\n", OPS_SAMPLE_REASON_COUNT);
    p.temporality = 0;
    histogram_is(&p, "", OPS_SAMPLE_TEMPORALITY);
    p.temporality = 2;
    p.bound_count = 2;
    p.count_count = 3;
    p.counts = lies;
    histogram_is(&p, "", OPS_SAMPLE_HISTOGRAM_FORM);
    p.counts = below;
    histogram_is(&p, "", OPS_SAMPLE_HISTOGRAM_NEGATIVE);
    p.counts = counts;
    p.bounds = falling;
    histogram_is(&p, "", OPS_SAMPLE_HISTOGRAM_FORM);
    p.flaw = OPS_WALK_FLAW_BUCKETS;
    histogram_is(&p, "", OPS_SAMPLE_HISTOGRAM_SIZE);
}

/* Bucket i at scale s holds (2^(i/2^s), 2^((i+1)/2^s)]: OTLP data model, "Exponential buckets". */
static void exponential_histograms_are_merged_to_powers_of_two(void **state)
{
    (void)state;
    const int32_t at[] = {-5, -4, -1, 0, 3, 4}; /* scale 2: 2^-1.25.. 2^-1, 2^-1..2^-0.75, .., 2^1..2^1.25 */
    const double n[] = {1, 2, 0, 4, 5, 6};
    const int32_t neg_at[] = {0, 4};
    const double neg[] = {1, 2};
    ops_walk_point p = {.kind = OPS_WALK_POINT_EXP_HISTOGRAM,
                        .temporality = 2,
                        .time_ns = RECV,
                        .count = 24,
                        .scale = 2,
                        .zero_count = 3,
                        .positive = {at, n, 6},
                        .negative = {neg_at, neg, 2}};
    histogram_is(&p,
                 "2 svc h_count{a=\"1\"} 0:24\n"
                 "4 svc h_bucket{a=\"1\",le=\"-2\"} 0:2\n4 svc h_bucket{a=\"1\",le=\"-1\"} 0:3\n"
                 "4 svc h_bucket{a=\"1\",le=\"0\"} 0:6\n"
                 "4 svc h_bucket{a=\"1\",le=\"0.5\"} 0:7\n4 svc h_bucket{a=\"1\",le=\"1\"} 0:9\n"
                 "4 svc h_bucket{a=\"1\",le=\"2\"} 0:18\n4 svc h_bucket{a=\"1\",le=\"4\"} 0:24\n"
                 "4 svc h_bucket{a=\"1\",le=\"+Inf\"} 0:24\n",
                 OPS_SAMPLE_REASON_COUNT);
    /* Coarser than powers of two stays as it is: scale -1, bucket 1 is (4, 16]. */
    const int32_t coarse[] = {1};
    const double three[] = {3};
    p = (ops_walk_point){.kind = OPS_WALK_POINT_EXP_HISTOGRAM,
                         .temporality = 2,
                         .time_ns = RECV,
                         .count = 3,
                         .scale = -1,
                         .positive = {coarse, three, 1}};
    histogram_is(&p,
                 "2 svc h_count{a=\"1\"} 0:3\n4 svc h_bucket{a=\"1\",le=\"16\"} 0:3\n"
                 "4 svc h_bucket{a=\"1\",le=\"+Inf\"} 0:3\n",
                 OPS_SAMPLE_REASON_COUNT);
    const int32_t far[] = {INT32_MIN, INT32_MAX};
    const double ones[] = {1, 1};
    p = (ops_walk_point){.kind = OPS_WALK_POINT_EXP_HISTOGRAM,
                         .temporality = 2,
                         .time_ns = RECV,
                         .count = 2,
                         .scale = INT32_MIN,
                         .positive = {far, ones, 2}};
    histogram_is(&p,
                 "2 svc h_count{a=\"1\"} 0:2\n4 svc h_bucket{a=\"1\",le=\"0\"} 0:1\n"
                 "4 svc h_bucket{a=\"1\",le=\"+Inf\"} 0:2\n",
                 OPS_SAMPLE_REASON_COUNT);
}

static void summaries_become_gauges(void **state)
{
    (void)state;
    const double q[] = {0.5, 0.99}, v[] = {2, NAN};
    const ops_walk_point p = {.kind = OPS_WALK_POINT_SUMMARY,
                              .time_ns = RECV,
                              .count = 4,
                              .sum = 9,
                              .has_sum = true,
                              .bounds = q,
                              .counts = v,
                              .bound_count = 2,
                              .count_count = 2};
    histogram_is(
        &p, "2 svc h_count{a=\"1\"} 0:4\n2 svc h_sum{a=\"1\"} 0:9\n1 svc h{a=\"1\",quantile=\"0.5\"} 0:2\n",
        OPS_SAMPLE_REASON_COUNT);
}

static void broken_wires_name_the_place(void **state)
{
    (void)state;
    struct seen s;
    ops_samples *x;
    ops_ingest_limits limits;
    ops_err err = {0};
    ops_ingest_limits_default(&limits);
    begin(&s, &x);
    assert_int_equal(ops_remote_write_decode(OPS_SLICE("\x0a\x05\x12\x03\x09\x01"), 1, &limits, x, &err),
                     OPS_EINVAL);
    assert_non_null(strstr(err.msg, "at byte "));
    assert_int_equal(ops_remote_write_decode(OPS_SLICE("\x0a\x04\x12\x02\x08\x01"), 1, &limits, x, &err),
                     OPS_EINVAL);
    assert_non_null(strstr(err.msg, "wrong wire type"));
    assert_int_equal(ops_otlp_metrics_decode(OPS_SLICE("\x0a\x05\x12\x03\x12\x09"), &limits, x, &err),
                     OPS_EINVAL);
    limits.records_max = 2;
    MESSAGE(request);
    static const char *const good[] = {"__name__", "m", "job", "w"};
    const double values[] = {1, 2, 3};
    const int64_t ms[] = {1, 2, 3};
    series(&request, good, 2, values, ms, 3);
    assert_int_equal(ops_remote_write_decode(ops_strbuf_get(&request), 1, &limits, x, &err), OPS_ETOOBIG);
    ops_strbuf_done(&request);
    ops_samples_free(x);
    ops_strbuf_done(&s.text);
}

static void content_types(void **state)
{
    (void)state;
    assert_int_equal(ops_remote_write_version(OPS_SLICE("application/x-protobuf")), 1);
    assert_int_equal(
        ops_remote_write_version(OPS_SLICE("application/x-protobuf;proto=prometheus.WriteRequest")), 1);
    assert_int_equal(ops_remote_write_version(
                         OPS_SLICE("application/x-protobuf; proto=\"io.prometheus.write.v2.Request\"")),
                     2);
    assert_int_equal(
        ops_remote_write_version(OPS_SLICE("application/x-protobuf;proto=io.prometheus.write.v3.Request")),
        0);
    assert_int_equal(ops_remote_write_version(OPS_SLICE("application/json")), 0);
    assert_int_equal(ops_remote_write_version((ops_slice){0}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_classes),
        cmocka_unit_test(remote_write_1),
        cmocka_unit_test(refusals_have_names),
        cmocka_unit_test(what_the_sink_refuses_is_counted),
        cmocka_unit_test(remote_write_2),
        cmocka_unit_test(histograms_become_series),
        cmocka_unit_test(exponential_histograms_are_merged_to_powers_of_two),
        cmocka_unit_test(summaries_become_gauges),
        cmocka_unit_test(broken_wires_name_the_place),
        cmocka_unit_test(content_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
