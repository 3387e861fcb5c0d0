/* PromQL, the store of samples, groups and their states. Values are from Prometheus' documentation or worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/rules/group.h"
#include "coordinator/analysis/rules/series.h"
#include "coordinator/analysis/rules/store.h"
#include "coordinator/analysis/rules/template.h"
#include "coordinator/ruleset/regex.h"
#include "coordinator/ruleset/rulefile.h"

enum { MINUTE = 60000 };

static ops_rules_store *store_of(const char *const *lines, size_t n)
{
    ops_rules_store *s = NULL;
    assert_int_equal(ops_rules_store_new(NULL, &s), OPS_OK);
    for (size_t i = 0; i < n; i++) {
        ops_arena a;
        const ops_rules_labels *l;
        ops_rules_series_value *v;
        size_t used, count;
        ops_slice text = ops_slice_str(lines[i]);
        ops_arena_init(&a, 1 << 22);
        assert_int_equal(ops_rules_series_labels(text, &a, &l, &used, NULL), OPS_OK);
        assert_int_equal(ops_rules_series_values(ops_slice_sub(text, used, text.n), &a, &v, &count, NULL),
                         OPS_OK);
        for (size_t k = 0; k < count; k++)
            if (v[k].present)
                assert_int_equal(ops_rules_store_append(s, l->v, l->n, (int64_t)k * MINUTE, v[k].v), OPS_OK);
        ops_arena_done(&a);
    }
    return s;
}

static ops_status ask(ops_rules_store *s, const char *expr, const ops_rules_limits *limits, int64_t t,
                      ops_rules_result **ret, ops_err *err)
{
    OPS_AUTO(ops_rules_query_free) ops_rules_query *q = NULL;
    ops_rules_source source;
    ops_rules_store_source(s, &ops_ruleset_regex, &source);
    ops_status st = ops_rules_query_parse(ops_slice_str(expr), &ops_ruleset_regex, &q, err);
    return st == OPS_OK ? ops_rules_query_instant(q, &source, limits, t, ret, err) : st;
}

/* The answer as text: series with their values, one a line. */
static void assert_answer(ops_rules_store *s, const char *expr, int64_t t, const char *want)
{
    OPS_AUTO(ops_rules_result_free) ops_rules_result *r = NULL;
    ops_err err = {0};
    ops_strbuf b;
    size_t n;
    if (ask(s, expr, NULL, t, &r, &err) != OPS_OK)
        fail_msg("%s: %s", expr, err.msg);
    const ops_rules_series *v = ops_rules_result_series(r, &n);
    ops_strbuf_init(&b, 1 << 20);
    for (size_t i = 0; i < n; i++) {
        ops_rules_labels_print(v[i].labels, &b);
        for (size_t k = 0; k < v[i].n; k++) {
            ops_strbuf_char(&b, ' ');
            ops_rules_number(v[i].v[k].v, false, &b);
        }
        ops_strbuf_char(&b, '\n');
    }
    assert_string_equal(b.p != NULL ? b.p : "", want);
    ops_strbuf_done(&b);
}

static const char *const http[] = {"http_requests_total{job=\"api\", code=\"200\"} 0+60x10",
                                   "http_requests_total{job=\"api\", code=\"500\"} 0+6x10",
                                   "http_requests_total{job=\"web\", code=\"200\"} 0 60 120 0 60 120",
                                   "up{job=\"api\"} 1 _x2 1 stale"};

static void expressions_have_prometheus_answers(void **state)
{
    static const struct {
        const char *expr, *want;
    } cases[] = {
        {"sum by (job) (rate(http_requests_total[5m]))", "{job=\"api\"} 1.1\n"},
        {"1 + 2 * 3 ^ 2", "{} 19\n"},
        {"-1 ^ 2", "{} -1\n"},
        {"up", ""}, /* stale at 4 min */
        {"up @ 200", "up{job=\"api\"} 1\n"},
        {"up offset 6m30s", "up{job=\"api\"} 1\n"},
        {"absent(up)", "{} 1\n"},
        {"absent(up{job=\"db\"})", "{job=\"db\"} 1\n"},
        {"count_over_time(up[10m])", "{job=\"api\"} 1\n"}, /* the one at 0 is outside of (0, 10m] */
        {"topk(1, http_requests_total{job=\"api\"})", "http_requests_total{code=\"200\", job=\"api\"} 600\n"},
        {"http_requests_total{code=~\"5..\"} / ignoring(code) http_requests_total{code=\"200\"}",
         "{job=\"api\"} 0.1\n"},
        {"http_requests_total{code=~\"5\"}", ""}, /* anchored */
        {"label_replace(vector(1), \"a\", \"$1-${n}\", \"b\", \"(?P<n>)\")", "{a=\"-\"} 1\n"},
        {"max_over_time(rate(http_requests_total{code=\"500\"}[2m])[5m:1m])",
         "{code=\"500\", job=\"api\"} 0.1\n"},
        {"clamp(vector(7), 1, 5)", "{} 5\n"},
        {"day_of_week(vector(0))", "{} 4\n"},
        {"scalar(vector(3)) == bool 3", "{} 1\n"},
    };
    (void)state;
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = store_of(http, 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_answer(s, cases[i].expr, 10 * MINUTE, cases[i].want);
    /* A counter that went back to 0: 120 before, 120 after, over 5 intervals of 300 s, from 0 on. */
    assert_answer(s, "resets(http_requests_total{job=\"web\"}[6m])", 5 * MINUTE,
                  "{code=\"200\", job=\"web\"} 1\n");
    assert_answer(s, "increase(http_requests_total{job=\"web\"}[5m1s])", 5 * MINUTE,
                  "{code=\"200\", job=\"web\"} 240\n");
}

static void buckets_have_quantiles(void **state)
{
    static const char *const lines[] = {"d_bucket{le=\"0.1\"} 10", "d_bucket{le=\"1\"} 30",
                                        "d_bucket{le=\"+Inf\"} 40"};
    (void)state;
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = store_of(lines, 3);
    assert_answer(s, "histogram_quantile(0.5, d_bucket)", 0, "{} 0.55\n"); /* 0.1 + 0.9 * (20 - 10) / 20 */
    assert_answer(s, "histogram_quantile(0.99, d_bucket)", 0, "{} 1\n");
    assert_answer(s, "histogram_quantile(2, d_bucket)", 0, "{} +Inf\n");
}

static void what_is_wrong_or_not_taken_is_named_with_its_place(void **state)
{
    static const struct {
        const char *expr;
        ops_status st;
        const char *words;
    } cases[] = {
        {"", OPS_EINVAL, "1:1: the expression ends"},
        {"sum(\n  up", OPS_EINVAL, "2:5: the expression ends"},
        {"rate(up)", OPS_EINVAL, "1:6: expected type range vector in rate, got instant vector"},
        {"nosuch(up)", OPS_EINVAL, "1:1: unknown function 'nosuch'"},
        {"1 + info(up)", OPS_EUNIMPL, "1:5: info() is not taken: experimental"},
        {"up[5m+step()]", OPS_EUNIMPL, "1:7: step() as a duration is not taken"},
        {"up[1m/0]", OPS_EINVAL, "1:6: division by zero"},
        {"up[5m-5m]", OPS_EINVAL, "longer than 0"},
        {"up[(((5m]", OPS_EINVAL, "1:9: unexpected text ']'"},
        {"up[9e99]", OPS_EINVAL, "1:4: duration out of range"},
        {"up offset (1m", OPS_EINVAL, "the expression ends in a duration"},
        {"{a=\"\"}", OPS_EINVAL, "1:1: a selector must contain"},
        {"up{a=~\"(\"}", OPS_EINVAL, "regex"},
        {"up{a=~\"(?=x)\"}", OPS_EINVAL, "(?= is not taken"},
        {"1 == 1", OPS_EINVAL, "bool"},
        {"up and 1", OPS_EINVAL, "set operators"},
        {"\"a", OPS_EINVAL, "1:1: a string is not closed"},
        {"up offset 5m offset 5m", OPS_EINVAL, "multiple times"},
    };
    (void)state;
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = store_of(NULL, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        OPS_AUTO(ops_rules_result_free) ops_rules_result *r = NULL;
        ops_err err = {0};
        assert_int_equal(ask(s, cases[i].expr, NULL, 0, &r, &err), cases[i].st);
        if (strstr(err.msg, cases[i].words) == NULL)
            fail_msg("%s: '%s' is not in '%s'", cases[i].expr, cases[i].words, err.msg);
    }
}

static void bounds_hold(void **state)
{
    static char deep[2000], wide[40000];
    (void)state;
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = store_of(http, 4);
    OPS_AUTO(ops_rules_result_free) ops_rules_result *r = NULL;
    ops_err err = {0};
    memset(deep, '(', sizeof deep - 1);
    assert_int_equal(ask(s, deep, NULL, 0, &r, &err), OPS_ETOOBIG);
    memset(deep, '-', sizeof deep - 1);
    assert_int_equal(ask(s, deep, NULL, 0, &r, &err), OPS_ETOOBIG);
    for (size_t i = 0; i + 2 < sizeof wide; i += 2)
        memcpy(wide + i, "1+", 3);
    assert_int_equal(ask(s, wide, NULL, 0, &r, &err), OPS_ETOOBIG);
    assert_int_equal(
        ask(s, "http_requests_total[10m]", &(ops_rules_limits){.samples_max = 5}, 10 * MINUTE, &r, &err),
        OPS_ETOOBIG);
    assert_non_null(strstr(err.msg, "5 samples"));
    assert_int_equal(
        ask(s, "http_requests_total", &(ops_rules_limits){.series_max = 1}, 10 * MINUTE, &r, &err),
        OPS_ETOOBIG);
    assert_non_null(strstr(err.msg, "1 series"));
    assert_int_equal(ask(s, "up", &(ops_rules_limits){.bytes_max = 64}, 10 * MINUTE, &r, &err), OPS_ETOOBIG);
    assert_int_equal(ask(s, "rate(up[1m])[1d:1ms]", NULL, 0, &r, &err), OPS_ETOOBIG);
    assert_null(r);
}

static void samples_come_back_as_they_went_in(void **state)
{
    enum { N = 1000 };
    static double v[N];
    static int64_t t[N];
    ops_rules_label l[] = {{OPS_RULES_NAME, OPS_SLICE("m")}};
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = NULL;
    OPS_AUTO(ops_rules_result_free) ops_rules_result *r = NULL;
    uint64_t x = 88172645463325252ull;
    size_t n;
    (void)state;
    assert_int_equal(ops_rules_store_new(NULL, &s), OPS_OK);
    for (size_t i = 0; i < N; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        /* Every width of step and of change, also bits of every pattern that is no mark. */
        t[i] = i == 0 ? 1 : t[i - 1] + 1 + (int64_t)(x >> (24 + x % 40));
        v[i] = x % 3 == 0            ? (double)(x % 1000)
               : x % 3 == 1 && i > 0 ? v[i - 1]
                                     : ops_rules_of_bits(x << 2 >> 2);
        assert_int_equal(ops_rules_store_append(s, l, 1, t[i], v[i]), OPS_OK);
    }
    ops_arena a;
    ops_arena_init(&a, 1 << 22);
    ops_rules_source source;
    ops_rules_series *got = NULL;
    ops_rules_store_source(s, &ops_ruleset_regex, &source);
    const ops_rules_matcher m = {.op = OPS_RULES_EQ, .name = OPS_RULES_NAME, .value = OPS_SLICE("m")};
    assert_int_equal(source.select(source.u, &m, 1, INT64_MIN, INT64_MAX, 1 << 20, &a, &got, &n, NULL),
                     OPS_OK);
    assert_int_equal(n, 1);
    assert_int_equal(got[0].n, N);
    for (size_t i = 0; i < N; i++)
        assert_true(got[0].v[i].t_ms == t[i] && ops_rules_bits(got[0].v[i].v) == ops_rules_bits(v[i]));
    ops_arena_done(&a);
}

static void late_and_doubled_samples_are_refused_and_old_ones_forgotten(void **state)
{
    ops_rules_label l[] = {{OPS_RULES_NAME, OPS_SLICE("m")}, {OPS_SLICE("a"), OPS_SLICE("b")}};
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = NULL;
    OPS_AUTO(ops_rules_store_free) ops_rules_store *small = NULL;
    ops_rules_store_stats st;
    (void)state;
    assert_int_equal(ops_rules_store_new(NULL, &s), OPS_OK);
    for (int64_t i = 0; i < 240; i++)
        assert_int_equal(ops_rules_store_append(s, l, 2, i * 1000, 1), OPS_OK);
    assert_int_equal(ops_rules_store_append(s, l, 2, 239000, 1), OPS_OK);
    assert_int_equal(ops_rules_store_append(s, l, 2, 239000, 2), OPS_ECONFLICT);
    assert_int_equal(ops_rules_store_append(s, l, 2, 238000, 1), OPS_ERANGE);
    ops_rules_store_stats_get(s, &st);
    assert_true(st.samples == 240 && st.series == 1 && st.late == 1 && st.duplicate == 1);
    assert_true(st.bytes < 240 * 16);
    ops_rules_store_trim(s, 120000);
    ops_rules_store_stats_get(s, &st);
    assert_int_equal(st.samples, 120);
    ops_rules_store_trim(s, 1000000);
    ops_rules_store_stats_get(s, &st);
    assert_true(st.samples == 0 && st.series == 0 && st.bytes == 0);
    assert_int_equal(ops_rules_store_new(&(ops_rules_store_limits){.series_max = 1}, &small), OPS_OK);
    assert_int_equal(ops_rules_store_append(small, l, 1, 0, 1), OPS_OK);
    assert_int_equal(ops_rules_store_append(small, l, 2, 0, 1), OPS_ENOSPC);
}

static ops_status into_store(void *u, const ops_rules_labels *l, const ops_rules_sample *s, ops_err *reterr)
{
    (void)reterr;
    return ops_rules_store_append(u, l->v, l->n, s->t_ms, s->v);
}
static void see_state(void *u, const ops_rules_alert *a)
{
    *(ops_rules_state *)u = a->state;
}
static ops_rules_state state_at(ops_rules_group *g, ops_rules_store *s, int64_t t)
{
    ops_rules_state st = OPS_RULES_INACTIVE;
    ops_rules_source source;
    ops_rules_store_source(s, &ops_ruleset_regex, &source);
    const ops_rules_context c = {.source = &source};
    const ops_rules_sink sink = {into_store, NULL, s};
    assert_int_equal(ops_rules_group_eval(g, &c, t, &sink, NULL), OPS_OK);
    ops_rules_group_alerts(g, OPS_SLICE("Down"), see_state, &st);
    return st;
}

static const char down[] = "groups:\n- name: g\n  rules:\n  - alert: Down\n    expr: up == 0\n    for: 2m\n  "
                           "  keep_firing_for: 2m\n";

static ops_rulefile *parse(const char *text)
{
    ops_rulefile *f = NULL;
    ops_err err = {0};
    if (ops_rulefile_parse(ops_slice_str(text), "r.yml", MINUTE, &f, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return f;
}

static void an_alert_waits_fires_lingers_and_survives_a_restart(void **state)
{
    static const char *const lines[] = {"up 1 0 0 0 1 1 1 1"};
    static const ops_rules_state want[] = {OPS_RULES_INACTIVE, OPS_RULES_PENDING, OPS_RULES_PENDING,
                                           OPS_RULES_FIRING,   OPS_RULES_FIRING,  OPS_RULES_FIRING,
                                           OPS_RULES_INACTIVE};
    (void)state;
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = store_of(lines, 1);
    OPS_AUTO(ops_rulefile_free) ops_rulefile *f = parse(down);
    for (int64_t i = 0; i < 7; i++) {
        /* Each evaluation by a new group with the old one's state, as after a restart. */
        OPS_AUTO(ops_rulefile_free) ops_rulefile *next = parse(down);
        ops_strbuf b;
        ops_strbuf_init(&b, 1 << 20);
        assert_int_equal(state_at(ops_rulefile_group(f, 0), s, i * MINUTE), want[i]);
        assert_int_equal(ops_rules_group_save(ops_rulefile_group(f, 0), &b), OPS_OK);
        for (size_t cut = 0; cut + 1 < b.n; cut++)
            if (cut != 1)
                assert_int_equal(
                    ops_rules_group_load(ops_rulefile_group(next, 0), ops_slice_of(b.p, cut), NULL),
                    OPS_ECORRUPT);
        assert_int_equal(ops_rules_group_load(ops_rulefile_group(next, 0), ops_strbuf_get(&b), NULL), OPS_OK);
        ops_strbuf_done(&b);
        ops_rulefile_free(f);
        f = OPS_STEAL(next);
    }
    assert_answer(s, "ALERTS{alertstate=\"firing\"}", 3 * MINUTE,
                  "ALERTS{alertname=\"Down\", alertstate=\"firing\"} 1\n");
    assert_answer(s, "ALERTS_FOR_STATE", 3 * MINUTE, "ALERTS_FOR_STATE{alertname=\"Down\"} 60\n");
}

static void templates_say_values(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"a {{ $labels.x }} {{- .Labels.y -}} b", "a XYb"},
        {"{{ $value }} {{ .Value | humanize }}", "1234.5 1.234k"},
        {"{{ printf \"%.1f%%|%s|%q\" $value $labels.x \"q\" }}", "1234.5%|X|\"q\""},
        {"{{ 0.00012 | humanizeDuration }} {{ 90061.0 | humanizeDuration }}", "120us 1d 1h 1m 1s"},
        {"{{ 2048.0 | humanize1024 }} {{ 0.5 | humanizePercentage }}", "2ki 50%"},
        {"{{ 1435065584.128 | humanizeTimestamp }}", "2015-06-23 13:19:44.128 +0000 UTC"},
        {"{{ $labels.x | toLower }}{{ $labels.none }}", "x"},
    };
    static const char *const bad[] = {
        "{{", "{{ if .x }}", "{{ query \"up\" }}", "{{ $labels }}", "{{ printf \"%d\" $value }}", "{{ }}"};
    ops_rules_label l[] = {{OPS_SLICE("x"), OPS_SLICE("X")}, {OPS_SLICE("y"), OPS_SLICE("Y")}};
    ops_arena a;
    (void)state;
    ops_arena_init(&a, 1 << 16);
    const ops_rules_template_data d = {.labels = ops_rules_labels_make(&a, l, 2), .value = 1234.5};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ops_strbuf b;
        ops_err err = {0};
        ops_strbuf_init(&b, 1 << 16);
        if (ops_rules_template_expand(ops_slice_str(cases[i].text), &d, &b, &err) != OPS_OK)
            fail_msg("%s: %s", cases[i].text, err.msg);
        assert_string_equal(b.p, cases[i].want);
        ops_strbuf_done(&b);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_not_equal(ops_rules_template_check(ops_slice_str(bad[i]), NULL), OPS_OK);
    ops_arena_done(&a);
}

static bool all_once(long fail_at)
{
    OPS_AUTO(ops_rulefile_free) ops_rulefile *f = NULL;
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = NULL;
    ops_rules_label l[] = {{OPS_RULES_NAME, OPS_SLICE("up")}};
    ops_rules_source source;
    ops_alloc_fail_at(fail_at);
    ops_status st = ops_rules_store_new(NULL, &s);
    if (st == OPS_OK)
        st = ops_rules_store_append(s, l, 1, 0, 0);
    if (st == OPS_OK)
        st = ops_rulefile_parse(OPS_SLICE(down), "r.yml", MINUTE, &f, NULL);
    if (st == OPS_OK) {
        ops_rules_store_source(s, &ops_ruleset_regex, &source);
        const ops_rules_context c = {.source = &source};
        const ops_rules_sink sink = {into_store, NULL, s};
        st = ops_rules_group_eval(ops_rulefile_group(f, 0), &c, 0, &sink, NULL);
    }
    ops_alloc_fail_at(0);
    return st == OPS_OK;
}

static void every_allocation_may_fail(void **state)
{
    long before = ops_alloc_live();
    (void)state;
    for (long i = 1; i < 400; i++) {
        (void)all_once(i);
        assert_int_equal(ops_alloc_live(), before);
    }
    assert_true(all_once(0));
    assert_int_equal(ops_alloc_live(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_have_prometheus_answers),
        cmocka_unit_test(buckets_have_quantiles),
        cmocka_unit_test(what_is_wrong_or_not_taken_is_named_with_its_place),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(samples_come_back_as_they_went_in),
        cmocka_unit_test(late_and_doubled_samples_are_refused_and_old_ones_forgotten),
        cmocka_unit_test(an_alert_waits_fires_lingers_and_survives_a_restart),
        cmocka_unit_test(templates_say_values),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
