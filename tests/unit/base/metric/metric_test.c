/* The exposition text against the format's own rules (Prometheus text format 0.0.4), bounds of series, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "base/metric/metric.h"
#include "base/sched/thread.h"

enum { LINES, DEPTH, DELAY, REFUSED, ROWS };
static const double bounds[] = {0.5, 1, 2.5};
static const ops_metric_desc rows[ROWS] = {
    [LINES] = {"t_lines_total", "Lines.", OPS_METRIC_COUNTER, .labels = {NULL}},
    [DEPTH] = {"t_depth", "Back\\slash and\nline.", OPS_METRIC_GAUGE, .labels = {"queue"}, .series_max = 2},
    [DELAY] = {"t_delay_seconds", "Delay.", OPS_METRIC_HISTOGRAM, .bounds = bounds, .bound_count = 3},
    [REFUSED] = {"t_refused_total", "Refused.", OPS_METRIC_COUNTER, .labels = {"tenant", "reason"}},
};

static void text_is(ops_metrics *m, const char *want)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 20);
    ops_metrics_text(m, &b);
    assert_false(b.failed);
    assert_string_equal(b.p, want);
    ops_strbuf_done(&b);
}

static void text_of_all_kinds(void **state)
{
    (void)state;
    ops_metrics *m;
    assert_int_equal(ops_metrics_new(rows, ROWS, &m, NULL), OPS_OK);
    ops_metric_add(ops_metric_at(m, LINES, NULL), 41);
    ops_metric_add(ops_metric_at(m, LINES, NULL), 1);
    ops_metric_set(ops_metric_at(m, DEPTH, "a\"b\\c\nd\xff"), 2.5);
    ops_metric_shift(ops_metric_at(m, DEPTH, "a\"b\\c\nd\xff"), -1);
    ops_metric *h = ops_metric_at(m, DELAY, NULL);
    ops_metric_observe(h, 0.5); /* a bound is inclusive */
    ops_metric_observe(h, 0.75);
    ops_metric_observe(h, 7);
    ops_metric_observe(h, 0.0 / 0.0);
    ops_slice two[] = {OPS_SLICE("acme"), OPS_SLICE("full")};
    ops_metric_add(ops_metric_at_n(m, REFUSED, two, 2), 3);
    text_is(m, "# HELP t_lines_total Lines.\n# TYPE t_lines_total counter\nt_lines_total 42\n"
               "# HELP t_depth Back\\\\slash and\\nline.\n# TYPE t_depth gauge\n"
               "t_depth{queue=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\"} 1.5\n"
               "# HELP t_delay_seconds Delay.\n# TYPE t_delay_seconds histogram\n"
               "t_delay_seconds_bucket{le=\"0.5\"} 1\nt_delay_seconds_bucket{le=\"1\"} 2\n"
               "t_delay_seconds_bucket{le=\"2.5\"} 2\nt_delay_seconds_bucket{le=\"+Inf\"} 3\n"
               "t_delay_seconds_sum 8.25\nt_delay_seconds_count 3\n"
               "# HELP t_refused_total Refused.\n# TYPE t_refused_total counter\n"
               "t_refused_total{tenant=\"acme\",reason=\"full\"} 3\n");
    ops_metrics_free(m);
}

static void series_are_bounded(void **state)
{
    (void)state;
    ops_metrics *m;
    assert_int_equal(ops_metrics_new(rows, ROWS, &m, NULL), OPS_OK);
    ops_metric *a = ops_metric_at(m, DEPTH, "a"), *b = ops_metric_at(m, DEPTH, "b");
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(ops_metric_at(m, DEPTH, "a"), a);
    ops_metric *c = ops_metric_at(m, DEPTH, "c");
    assert_ptr_equal(ops_metric_at(m, DEPTH, "d"), c);
    ops_metric_set(c, 9);
    text_is(m, "# HELP t_lines_total Lines.\n# TYPE t_lines_total counter\nt_lines_total 0\n"
               "# HELP t_depth Back\\\\slash and\\nline.\n# TYPE t_depth gauge\n"
               "t_depth{queue=\"other\"} 9\nt_depth{queue=\"a\"} 0\nt_depth{queue=\"b\"} 0\n"
               "# HELP t_delay_seconds Delay.\n# TYPE t_delay_seconds histogram\n"
               "t_delay_seconds_bucket{le=\"0.5\"} 0\nt_delay_seconds_bucket{le=\"1\"} 0\n"
               "t_delay_seconds_bucket{le=\"2.5\"} 0\nt_delay_seconds_bucket{le=\"+Inf\"} 0\n"
               "t_delay_seconds_sum 0\nt_delay_seconds_count 0\n");
    ops_metrics_free(m);
}

static void bad_rows_are_named(void **state)
{
    (void)state;
    ops_metrics *m;
    ops_err err;
    const ops_metric_desc counter = {"t_lines", "x", OPS_METRIC_COUNTER, .labels = {NULL}};
    assert_int_equal(ops_metrics_new(&counter, 1, &m, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "t_lines"));
    const ops_metric_desc space = {"t lines_total", "x", OPS_METRIC_COUNTER, .labels = {NULL}};
    assert_int_equal(ops_metrics_new(&space, 1, &m, &err), OPS_EINVAL);
    static const double down[] = {2, 1};
    const ops_metric_desc h = {"t_h", "x", OPS_METRIC_HISTOGRAM, .bounds = down, .bound_count = 2};
    assert_int_equal(ops_metrics_new(&h, 1, &m, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "bound 1"));
}

static void no_memory_at_any_step(void **state)
{
    (void)state;
    long live = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    for (int nth = 1; st != OPS_OK; nth++) {
        ops_metrics *m = NULL;
        ops_alloc_fail_at(nth);
        st = ops_metrics_new(rows, ROWS, &m, NULL);
        ops_alloc_fail_at(0);
        if (st == OPS_OK) {
            ops_alloc_fail_at(1);
            ops_metric *other = ops_metric_at(m, DEPTH, "no heap for this");
            ops_alloc_fail_at(0);
            assert_ptr_not_equal(ops_metric_at(m, DEPTH, "a"), other);
        }
        ops_metrics_free(m);
        assert_int_equal(ops_alloc_live(), live);
        assert_true(nth < 100);
    }
}

static void add_many(void *arg)
{
    ops_metrics *m = arg;
    for (int i = 0; i < 10000; i++) {
        ops_metric_add(ops_metric_at(m, LINES, NULL), 1);
        ops_metric_shift(ops_metric_at(m, DEPTH, "q"), 1);
    }
}

static void nothing_is_lost_between_threads(void **state)
{
    (void)state;
    ops_metrics *m;
    ops_thread *t[3];
    assert_int_equal(ops_metrics_new(rows, ROWS, &m, NULL), OPS_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ops_thread_start(add_many, m, "adder", &t[i], NULL), OPS_OK);
    for (int i = 0; i < 3; i++)
        ops_thread_join(t[i]);
    assert_int_equal(ops_metric_count(ops_metric_at(m, LINES, NULL)), 30000);
    assert_true(ops_metric_value(ops_metric_at(m, DEPTH, "q")) == 30000.0);
    ops_metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_all_kinds),
        cmocka_unit_test(series_are_bounded),
        cmocka_unit_test(bad_rows_are_named),
        cmocka_unit_test(no_memory_at_any_step),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
