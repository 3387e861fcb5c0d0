/* Native histograms in PromQL: read, kept, added, asked. Expected values are worked out by hand, or are those of the documentation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/rules/group.h"
#include "coordinator/analysis/rules/series.h"
#include "coordinator/ruleset/regex.h"

#define MINUTE 60000

static ops_status fill(ops_rules_store *s, const char *line, ops_err *err)
{
    const ops_rules_labels *l;
    ops_rules_series_value *v;
    size_t used, n;
    ops_arena a;
    ops_slice text = ops_slice_str(line);
    ops_arena_init(&a, 1 << 22);
    ops_status st = ops_rules_series_labels(text, &a, &l, &used, err);
    if (st == OPS_OK)
        st = ops_rules_series_values(ops_slice_sub(text, used, text.n), &a, &v, &n, err);
    for (size_t i = 0; st == OPS_OK && i < n; i++)
        if (v[i].present)
            st = v[i].h != NULL ? ops_rules_store_append_hist(s, l->v, l->n, (int64_t)i * MINUTE, v[i].h)
                                : ops_rules_store_append(s, l->v, l->n, (int64_t)i * MINUTE, v[i].v);
    ops_arena_done(&a);
    return st;
}

static ops_rules_store *store_of(const char *const *lines, size_t n)
{
    ops_rules_store *s = NULL;
    ops_err err = {0};
    assert_int_equal(ops_rules_store_new(NULL, &s), OPS_OK);
    for (size_t i = 0; i < n; i++)
        if (fill(s, lines[i], &err) != OPS_OK)
            fail_msg("%s: %s", lines[i], err.msg);
    return s;
}

static ops_status ask(ops_rules_store *s, const char *expr, int64_t t, ops_rules_result **ret, ops_err *err)
{
    OPS_AUTO(ops_rules_query_free) ops_rules_query *q = NULL;
    ops_rules_source source;
    ops_rules_store_source(s, &ops_ruleset_regex, &source);
    ops_status st = ops_rules_query_parse(ops_slice_str(expr), &ops_ruleset_regex, &q, err);
    return st == OPS_OK ? ops_rules_query_instant(q, &source, NULL, t, ret, err) : st;
}

static void assert_answer(ops_rules_store *s, const char *expr, int64_t t, const char *want)
{
    OPS_AUTO(ops_rules_result_free) ops_rules_result *r = NULL;
    ops_err err = {0};
    ops_strbuf b;
    size_t n;
    if (ask(s, expr, t, &r, &err) != OPS_OK)
        fail_msg("%s: %s", expr, err.msg);
    const ops_rules_series *v = ops_rules_result_series(r, &n);
    ops_strbuf_init(&b, 1 << 20);
    ops_strbuf_str(&b, "");
    for (size_t i = 0; i < n; i++) {
        ops_rules_labels_print(v[i].labels, &b);
        ops_strbuf_char(&b, ' ');
        if (v[i].v[0].h != NULL)
            ops_rules_hist_print(v[i].v[0].h, &b);
        else
            ops_rules_number(v[i].v[0].v, false, &b);
        ops_strbuf_char(&b, '\n');
    }
    if (strcmp(b.p, want) != 0)
        fail_msg("%s: %s, not %s", expr, b.p, want);
    ops_strbuf_done(&b);
}

/* h: four observations up to 1, four in (1, 2], two in (2, 4]; then ten times that. f: numbers. */
static const char *const lines[] = {
    "h{a=\"x\"} {{schema:0 count:10 sum:16 buckets:[4 4 2]}} {{schema:0 count:100 sum:160 buckets:[40 40 "
    "20]}}",
    "h{a=\"y\"} {{schema:1 count:4 sum:6 buckets:[1 1 1 1]}} {{schema:1 count:4 sum:6 buckets:[1 1 1 1]}}",
    "z {{schema:0 count:6 sum:0 z_bucket:2 z_bucket_w:0.5 buckets:[1 1] n_buckets:[1 1]}}x1",
    "c {{schema:-53 count:4 sum:10 custom_values:[1 5] buckets:[1 2 1]}}x1",
    "f{a=\"x\"} 2x1",
    "m {{count:1 sum:1}} 3",
};

static ops_rules_store *usual(void)
{
    return store_of(lines, sizeof lines / sizeof *lines);
}

static void histograms_are_values(void **state)
{
    static const struct {
        const char *expr, *want;
    } cases[] = {
        {"h{a=\"x\"}", "h{a=\"x\"} {count:100, sum:160, (0.5,1]:40, (1,2]:40, (2,4]:20}\n"},
        {"-c", "{} {count:-4, sum:-10, (-Inf,1]:-1, (1,5]:-2, (5,+Inf]:-1}\n"},
        {"h{a=\"x\"} * 0.5", "{a=\"x\"} {count:50, sum:80, (0.5,1]:20, (1,2]:20, (2,4]:10}\n"},
        {"2 * h{a=\"x\"} / 4", "{a=\"x\"} {count:50, sum:80, (0.5,1]:20, (1,2]:20, (2,4]:10}\n"},
        {"h * on(a) f", "{a=\"x\"} {count:200, sum:320, (0.5,1]:80, (1,2]:80, (2,4]:40}\n"},
        {"histogram_count(h{a=\"x\"} / 0)", "{a=\"x\"} +Inf\n"},
        {"1 / h", ""},
        {"h + 1", ""},
        {"h > h", ""},
        {"h == h{a=\"x\"}", "h{a=\"x\"} {count:100, sum:160, (0.5,1]:40, (1,2]:40, (2,4]:20}\n"},
        {"h != bool h offset 1m", "{a=\"x\"} 1\n{a=\"y\"} 0\n"},
        {"h{a=\"x\"} - h{a=\"x\"} offset 1m",
         "{a=\"x\"} {count:90, sum:144, (0.5,1]:36, (1,2]:36, (2,4]:18}\n"},
        /* Of two resolutions the coarser one. */
        {"sum(h)", "{} {count:104, sum:166, (0.5,1]:41, (1,2]:42, (2,4]:21}\n"},
        {"avg(h)", "{} {count:52, sum:83, (0.5,1]:20.5, (1,2]:21, (2,4]:10.5}\n"},
        {"sum({__name__=~\"c|z\"})", ""}, /* of two kinds */
        {"sum({__name__=~\"f|z\"})", ""}, /* a number among them */
        {"count({__name__=~\"h|f\"})", "{} 3\n"},
        {"max({__name__=~\"h|f\"})", "{} 2\n"},
        {"topk(1, {__name__=~\"h|f\"})", "f{a=\"x\"} 2\n"},
        {"abs(h)", ""},
        {"count_values(\"v\", c)", "{v=\"{count:4, sum:10, (-Inf,1]:1, (1,5]:2, (5,+Inf]:1}\"} 1\n"},
        {"h or f", "h{a=\"x\"} {count:100, sum:160, (0.5,1]:40, (1,2]:40, (2,4]:20}\n"
                   "h{a=\"y\"} {count:4, sum:6, (0.7071067811865476,1]:1, (1,1.4142135623730951]:1, "
                   "(1.4142135623730951,2]:1, (2,2.8284271247461903]:1}\n"},
    };
    (void)state;
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = usual();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_answer(s, cases[i].expr, MINUTE, cases[i].want);
}

static void what_is_asked_of_them(void **state)
{
    static const struct {
        const char *expr, *want;
    } cases[] = {
        {"histogram_count(h{a=\"x\"})", "{a=\"x\"} 100\n"},
        {"histogram_sum(h{a=\"x\"})", "{a=\"x\"} 160\n"},
        {"histogram_avg(h{a=\"x\"})", "{a=\"x\"} 1.6\n"},
        {"histogram_count(f)", ""},
        /* Half of the observations at 1 and 10 of the 40 in (1, 2]: 2^(10/40). */
        {"round(histogram_quantile(0.5, h{a=\"x\"}) * 1e9)", "{a=\"x\"} 1189207115\n"},
        {"histogram_quantile(0.4, h{a=\"x\"})", "{a=\"x\"} 1\n"},
        {"histogram_quantile(1, h{a=\"x\"})", "{a=\"x\"} 4\n"},
        {"histogram_quantile(1.1, h{a=\"x\"})", "{a=\"x\"} +Inf\n"},
        {"histogram_fraction(1, 2, h{a=\"x\"})", "{a=\"x\"} 0.4\n"},
        {"histogram_fraction(2, 1, h{a=\"x\"})", "{a=\"x\"} 0\n"},
        {"histogram_fraction(-Inf, +Inf, h{a=\"x\"})", "{a=\"x\"} 1\n"},
        /* The zero bucket by equal steps: a quarter of it is 0.5 of 6. */
        {"round(histogram_fraction(0, 0.25, z) * 1e9)", "{} 83333333\n"},
        {"histogram_quantile(0.5, z)", "{} 0\n"},
        {"histogram_quantile(0.5, c)", "{} 3\n"},  /* 1 + (5 - 1) / 2 */
        {"histogram_quantile(0.99, c)", "{} 5\n"}, /* nothing is known above */
        {"histogram_stdvar(c)", "{} +Inf\n"},      /* some may lie at the infinities */
        {"quantile(0.5, h)", ""},
        {"timestamp(c)", "{} 60\n"},
    };
    (void)state;
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = usual();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_answer(s, cases[i].expr, MINUTE, cases[i].want);
}

static void ranges_of_them(void **state)
{
    static const char *const counting[] = {
        /* It grows by 10 a minute, and begins anew at 3 min. */
        "g {{count:10 sum:20 buckets:[10]}}+{{count:10 sum:20 buckets:[10]}}x2 {{count:5 sum:10 "
        "buckets:[5]}}",
        "n {{count:5 sum:5 buckets:[5]}} {{count:5 sum:5 buckets:[3 2]}}", /* as many, but a bucket fell */
        "said {{count:1 sum:1 buckets:[1]}} {{count:2 sum:2 buckets:[2] counter_reset_hint:reset}}",
        "mixed 1 {{count:1 sum:1}} 2",
    };
    static const struct {
        const char *expr, *want;
    } cases[] = {
        {"increase(g[3m1s])", "{} {count:25.13888888888889, sum:50.27777777777778, "
                              "(0.5,1]:25.13888888888889}\n"}, /* 25 * 181 / 180 */
        {"resets(g[4m])", "{} 1\n"},
        {"resets(n[4m])", "{} 1\n"},
        {"resets(said[4m])", "{} 1\n"},
        {"changes(g[4m])", "{} 3\n"},
        {"idelta(g[4m])", "{} {count:-25, sum:-50, (0.5,1]:-25}\n"},
        {"irate(g[4m]) * 60", "{} {count:5, sum:10, (0.5,1]:5}\n"},
        {"sum_over_time(g[4m])", "{} {count:65, sum:130, (0.5,1]:65}\n"},
        {"avg_over_time(g[4m])", "{} {count:16.25, sum:32.5, (0.5,1]:16.25}\n"},
        {"last_over_time(g[4m])", "g {count:5, sum:10, (0.5,1]:5}\n"},
        {"count_over_time(mixed[4m])", "{} 3\n"},
        {"max_over_time(mixed[4m])", "{} 2\n"},
        {"rate(mixed[4m])", ""},
        {"resets(mixed[4m])", "{} 2\n"},
        {"sum_over_time(g[4m:1m])", "{} {count:65, sum:130, (0.5,1]:65}\n"},
        {"max_over_time(g[4m])", ""},
    };
    (void)state;
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = store_of(counting, 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_answer(s, cases[i].expr, 3 * MINUTE + 500, cases[i].want);
}

/* The zero bucket of the one covers buckets of the other: they go into it. */
static void zero_buckets_become_one(void **state)
{
    static const char *const two[] = {
        "w {{schema:0 count:2 sum:2 z_bucket:1 z_bucket_w:1 buckets:[1] offset:1}}",
        "v {{schema:0 count:3 sum:3 buckets:[1 1 1] offset:-1}}",
        "odd {{schema:0 count:2 sum:2 z_bucket:1 z_bucket_w:0.75 buckets:[1] offset:1}}"};
    (void)state;
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = store_of(two, 3);
    assert_answer(s, "w + v", 0, "{} {count:5, sum:5, [-1,1]:3, (1,2]:2}\n");
    assert_answer(s, "v + w", 0, "{} {count:5, sum:5, [-1,1]:3, (1,2]:2}\n");
    assert_answer(
        s, "odd + v", 0,
        "{} {count:5, sum:5, [-1,1]:3, (1,2]:2}\n"); /* 0.75 lies within a bucket that is not empty */
}

static void experimental_functions(void **state)
{
    static const char *const some[] = {"m{i=\"node10\"} 4 6 2 1 999 1 2", "m{i=\"node9\"} 1 2 3 4 5 6 7"};
    (void)state;
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = store_of(some, 2);
    assert_answer(s, "mad_over_time(m{i=\"node10\"}[7m])", 6 * MINUTE, "{i=\"node10\"} 1\n");
    assert_answer(s, "ts_of_max_over_time(m{i=\"node10\"}[7m])", 6 * MINUTE, "{i=\"node10\"} 240\n");
    assert_answer(s, "ts_of_min_over_time(m{i=\"node10\"}[7m])", 6 * MINUTE, "{i=\"node10\"} 300\n");
    assert_answer(s, "ts_of_last_over_time(m{i=\"node10\"}[7m])", 6 * MINUTE, "{i=\"node10\"} 360\n");
    assert_answer(s, "sort_by_label(m, \"i\")", 6 * MINUTE, "m{i=\"node9\"} 7\nm{i=\"node10\"} 2\n");
    assert_answer(s, "sort_by_label_desc(m, \"i\")", 6 * MINUTE, "m{i=\"node10\"} 2\nm{i=\"node9\"} 7\n");
    assert_answer(s, "double_exponential_smoothing(m{i=\"node9\"}[7m], 0.5, 0.5)", 6 * MINUTE,
                  "{i=\"node9\"} 7\n");
    assert_answer(s, "count(limitk(1, m))", 6 * MINUTE, "{} 1\n");
    assert_answer(s, "count(limit_ratio(0.3, m) or limit_ratio(-0.7, m))", 6 * MINUTE, "{} 2\n");
    assert_answer(s, "limit_ratio(0.3, m) and limit_ratio(-0.7, m)", 6 * MINUTE, "");
    assert_answer(s, "sum_over_time(m{i=\"node9\"}[2m * (1 + 0.5)])", 6 * MINUTE, "{i=\"node9\"} 18\n");
    assert_answer(s, "m{i=\"node9\"} offset (1m + 60)", 6 * MINUTE, "m{i=\"node9\"} 5\n");
    assert_answer(s, "m{i=\"node9\"} offset -60 + 1", 5 * MINUTE, "{i=\"node9\"} 8\n");
}

/* Classic buckets beside native ones of the same labels: neither is answered. */
static void classic_and_native_in_doubt(void **state)
{
    static const char *const both[] = {
        "d{le=\"1\"} 3", "d{le=\"+Inf\"} 4", "d {{count:4 sum:4 buckets:[3 1]}}",
        "e{le=\"1\"} 1", "e{le=\"3\"} 3",    "e{le=\"+Inf\"} 4"};
    (void)state;
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = store_of(both, 6);
    assert_answer(s, "histogram_quantile(0.5, d)", 0, "");
    assert_answer(s, "histogram_fraction(0, 1, d)", 0, "");
    assert_answer(s, "histogram_fraction(1, 2, e)", 0, "{} 0.25\n");
    assert_answer(s, "histogram_fraction(-Inf, +Inf, e)", 0, "{} 1\n");
}

static void what_is_no_histogram_is_said(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{{count:1", "'}}' is expected"},
        {"{{count:x}}", "a number is expected"},
        {"{{colour:1}}", "an unknown key"},
        {"{{schema:9}}", "a schema is -4 to 8, or -53"},
        {"{{schema:1.5}}", "small whole number"},
        {"{{custom_values:[1]}}", "go with schema -53"},
        {"{{schema:-53 custom_values:[2 1]}}", "bounds do not rise"},
        {"{{schema:-53 custom_values:[1] buckets:[1 2 3]}}", "more buckets than bounds"},
        {"{{schema:-53 n_buckets:[1]}}", "neither negative buckets"},
        {"{{z_bucket_w:NaN}}", "not below 0"},
        {"{{z_bucket_w:-1}}", "not below 0"},
        {"{{buckets:[1 2}}", "a number is expected"},
        {"{{buckets:1}}", "'[' is expected"},
        {"{{counter_reset_hint:maybe}}", "unknown, reset, not_reset or gauge"},
        {"{{schema:1 count:1}}+{{count:1}}x2", "coarser schema"},
        {"{{count:1}}x99999999", "how often"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ops_rules_series_value *v;
        size_t n;
        ops_arena a;
        ops_err err = {0};
        ops_arena_init(&a, 1 << 20);
        assert_int_equal(ops_rules_series_values(ops_slice_str(cases[i].text), &a, &v, &n, &err), OPS_EINVAL);
        if (strstr(err.msg, cases[i].says) == NULL)
            fail_msg("%s: %s", cases[i].text, err.msg);
        ops_arena_done(&a);
    }
}

/* The store gives back what it has been given, counts its bytes, and forgets it with its chunk. */
static void the_store_keeps_and_forgets_them(void **state)
{
    ops_rules_store_stats before, full, after;
    ops_rules_label l[] = {{OPS_RULES_NAME, OPS_SLICE("s")}};
    const ops_rules_bucket b[] = {{1, 2}};
    ops_rules_hist h = {.count = 2, .sum = 3, .pos = b, .pos_n = 1};
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = NULL;
    (void)state;
    assert_int_equal(ops_rules_store_new(&(ops_rules_store_limits){.bytes_max = 64 * 1024}, &s), OPS_OK);
    ops_rules_store_stats_get(s, &before);
    ops_status st = OPS_OK;
    int64_t t = 0;
    for (; st == OPS_OK && t < 10000; t++) {
        h.sum = (double)t;
        st = ops_rules_store_append_hist(s, l, 1, t * MINUTE, &h);
    }
    assert_int_equal(st, OPS_ENOSPC); /* the bound holds */
    ops_rules_store_stats_get(s, &full);
    assert_true(full.bytes <= 64 * 1024 && full.samples == (uint64_t)t - 1 && full.full == 1);
    char want[32];
    (void)snprintf(want, sizeof want, "{} %d\n", (int)t - 2);
    assert_answer(s, "histogram_sum(s)", (t - 2) * MINUTE, want);
    ops_rules_store_trim(s, (t + 1) * MINUTE);
    ops_rules_store_stats_get(s, &after);
    assert_true(after.series == 0 && after.samples == 0 && after.bytes == before.bytes);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (long nth = 1, done = 0; !done; nth++) {
        OPS_AUTO(ops_rules_store_free) ops_rules_store *s = NULL;
        ops_rules_result *r = NULL;
        ops_err err = {0};
        ops_alloc_fail_at(nth);
        ops_status st = ops_rules_store_new(NULL, &s);
        for (size_t i = 0; st == OPS_OK && i < sizeof lines / sizeof *lines; i++)
            st = fill(s, lines[i], &err);
        if (st == OPS_OK)
            st = ask(s, "histogram_quantile(0.9, sum(rate(h[3m])))", 2 * MINUTE, &r, &err);
        ops_alloc_fail_at(0);
        done = st == OPS_OK;
        assert_true(st == OPS_OK || st == OPS_ENOMEM || st == OPS_ETOOBIG || st == OPS_EINVAL ||
                    st == OPS_ENOSPC);
        ops_rules_result_free(r);
        assert_true(nth < 100000);
    }
    assert_int_equal(ops_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histograms_are_values),
        cmocka_unit_test(what_is_asked_of_them),
        cmocka_unit_test(ranges_of_them),
        cmocka_unit_test(zero_buckets_become_one),
        cmocka_unit_test(experimental_functions),
        cmocka_unit_test(classic_and_native_in_doubt),
        cmocka_unit_test(what_is_no_histogram_is_said),
        cmocka_unit_test(the_store_keeps_and_forgets_them),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
