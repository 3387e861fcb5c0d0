/* X_p99 out of buckets: in any order, over resets, ends and restarts, and not out of what is not known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/monitor/monitor.h"
#include "tests/unit/coordinator/analysis/metric/synth.h"
#include "tests/unit/coordinator/analysis/monitor/records.h"

struct world {
    ops_monitor *m;
    size_t alerts;
    char words[512];
    kept_records store;
};

static void on_candidate(void *u, const ops_candidate *c)
{
    struct world *w = u;
    if (w->alerts++ == 0)
        (void)snprintf(w->words, sizeof w->words, "%.*s", (int)c->words.n, c->words.p);
}

static void open_world(struct world *w, size_t series_max)
{
    const ops_monitor_limits limits = {.series_max = series_max, .on_candidate = on_candidate, .u = w};
    assert_int_equal(ops_monitor_new(&limits, &w->m, NULL), OPS_OK);
}

static void close_world(struct world *w)
{
    ops_monitor_free(w->m);
    records_done(&w->store);
}

static ops_status add(struct world *w, const char *name, ops_monitor_kind kind, int64_t at_s, double value,
                      bool stale)
{
    const ops_monitor_sample x = {.tenant = OPS_SLICE("t"),
                                  .service = OPS_SLICE("shop"),
                                  .series = ops_slice_str(name),
                                  .kind = kind,
                                  .stale = stale,
                                  .time_ns = START_NS + at_s * SECOND_NS,
                                  .recv_ns = START_NS + at_s * SECOND_NS,
                                  .value = value,
                                  .log_offset = 7};
    ops_monitor_fate fate;
    return ops_monitor_add(w->m, &x, &fate, NULL);
}

static bool find(struct world *w, const char *name, ops_monitor_info *ret)
{
    size_t iter = 0;
    while (ops_monitor_next(w->m, &iter, ret))
        if (ops_slice_eq(ret->series, ops_slice_str(name)))
            return true;
    return false;
}

static double p99(struct world *w, const char *name, int64_t at_s)
{
    ops_monitor_info i;
    if (!find(w, name, &i) || i.last_ns != START_NS + at_s * SECOND_NS)
        return NAN;
    assert_int_equal(i.kind, OPS_MONITOR_GAUGE);
    return i.judged;
}

static ops_monitor_stats stats(const struct world *w)
{
    ops_monitor_stats s;
    ops_monitor_stats_get(w->m, &s);
    return s;
}

static ops_status emit(void *u, ops_slice key, ops_slice val)
{
    return records_put(&((struct world *)u)->store, key, val);
}

static void reopen(struct world *w)
{
    assert_int_equal(ops_monitor_save_dirty(w->m, emit, w, NULL), OPS_OK);
    ops_monitor_free(w->m);
    open_world(w, 0);
    assert_int_equal(records_load(&w->store, w->m, NULL), OPS_OK);
}

static const char *const buckets[] = {"h_bucket{a=\"x\",le=\"+Inf\"}", "h_bucket{a=\"x\",le=\"0.1\"}",
                                      "h_bucket{a=\"x\",le=\"0.5\"}", "h_bucket{a=\"x\",le=\"1\"}"};

/* Each grows by `by`, in the order of `buckets` from `first` on. */
static void grow(struct world *w, ops_monitor_kind kind, int64_t at_s, const double *by, double *sum,
                 int first)
{
    for (int k = 0; k < 4; k++) {
        const int j = (first + k) % 4;
        sum[j] += by[j];
        assert_int_equal(add(w, buckets[j], kind, at_s, kind == OPS_MONITOR_BUCKET ? sum[j] : by[j], false),
                         OPS_OK);
    }
}

/* 50 up to 0.1, 45 more up to 0.5, 5 more up to 1: the 99th of 100 lies four fifths into the last. */
static const double by[] = {100, 50, 95, 100};

static void it_lies_within_its_bucket_whatever_the_order(void **state)
{
    (void)state;
    for (int kind = OPS_MONITOR_BUCKET; kind <= OPS_MONITOR_BUCKET_DELTA; kind++)
        for (int first = 0; first < 4; first++) {
            struct world w = {0};
            double sum[4] = {7000, 100, 800, 6000};
            open_world(&w, 0);
            grow(&w, (ops_monitor_kind)kind, 0, by, sum, first);
            assert_true(isnan(p99(&w, "h_p99{a=\"x\"}", 0)));
            for (int i = 1; i < 4; i++) {
                grow(&w, (ops_monitor_kind)kind, 15 * i, by, sum, first);
                assert_true(fabs(p99(&w, "h_p99{a=\"x\"}", 15 * i) - 0.9) < 1e-12);
            }
            assert_int_equal(stats(&w).quantiles, 3);
            close_world(&w);
        }
}

static void edges_of_the_distribution(void **state)
{
    (void)state;
    static const struct {
        double by[4], want;
    } cases[] = {
        {{100, 100, 100, 100}, 0.099}, /* all in the first: from 0 */
        {{100, 0, 0, 0}, 1},           /* all beyond the last bound: at it */
        {{100, 0, 100, 100}, 0.496},   /* all in the second */
        {{100, 99, 99, 99}, 0.1},      /* just at a bound */
        {{0, 0, 0, 0}, NAN},           /* nothing was seen */
        {{100, 50, 49, 100}, 0.99},    /* read at two moments: no bucket is less than nothing */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w = {0};
        double sum[4] = {0};
        open_world(&w, 0);
        grow(&w, OPS_MONITOR_BUCKET, 0, cases[i].by, sum, 0);
        grow(&w, OPS_MONITOR_BUCKET, 15, cases[i].by, sum, 0);
        const double got = p99(&w, "h_p99{a=\"x\"}", 15);
        if (isnan(cases[i].want) ? !isnan(got) : !(fabs(got - cases[i].want) < 1e-12))
            fail_msg("case %zu: %.17g, not %g", i, got, cases[i].want);
        close_world(&w);
    }
}

/* After a new start there is nothing to take a difference to; a bucket that missed a time says nothing of the next. */
static void what_is_not_known_is_left_out(void **state)
{
    (void)state;
    struct world w = {0};
    double sum[4] = {7000, 100, 800, 6000}, fresh[4] = {0};
    open_world(&w, 0);
    grow(&w, OPS_MONITOR_BUCKET, 0, by, sum, 0);
    grow(&w, OPS_MONITOR_BUCKET, 15, by, fresh, 0); /* began anew */
    assert_true(isnan(p99(&w, "h_p99{a=\"x\"}", 15)));
    grow(&w, OPS_MONITOR_BUCKET, 30, by, fresh, 0);
    assert_true(fabs(p99(&w, "h_p99{a=\"x\"}", 30) - 0.9) < 1e-12);
    /* Without the second at one time: it is told when the next comes, by the others, and of that time too. */
    for (int j = 0; j < 4; j++) {
        fresh[j] += by[j];
        if (j != 2)
            assert_int_equal(add(&w, buckets[j], OPS_MONITOR_BUCKET, 45, fresh[j], false), OPS_OK);
    }
    assert_true(isnan(p99(&w, "h_p99{a=\"x\"}", 45)));
    assert_int_equal(add(&w, buckets[0], OPS_MONITOR_BUCKET, 60, fresh[0] + 100, false), OPS_OK);
    /* 0.1 to 1 holds 50 of 100. */
    assert_true(fabs(p99(&w, "h_p99{a=\"x\"}", 45) - (0.1 + 0.9 * 49 / 50)) < 1e-12);
    close_world(&w);
}

static void it_ends_with_its_buckets(void **state)
{
    (void)state;
    struct world w = {0};
    ops_monitor_info i;
    double sum[4] = {0};
    open_world(&w, 0);
    grow(&w, OPS_MONITOR_BUCKET, 0, by, sum, 0);
    grow(&w, OPS_MONITOR_BUCKET, 15, by, sum, 0);
    for (int j = 0; j < 4; j++) {
        assert_true(find(&w, "h_p99{a=\"x\"}", &i) && !i.stale);
        assert_int_equal(add(&w, buckets[j], OPS_MONITOR_BUCKET, 30, 0, true), OPS_OK);
    }
    assert_true(find(&w, "h_p99{a=\"x\"}", &i) && i.stale);
    grow(&w, OPS_MONITOR_BUCKET, 45, by, sum, 0);
    assert_true(find(&w, "h_p99{a=\"x\"}", &i) && i.stale);
    grow(&w, OPS_MONITOR_BUCKET, 60, by, sum, 0);
    assert_true(fabs(p99(&w, "h_p99{a=\"x\"}", 60) - 0.9) < 1e-12);
    close_world(&w);
}

/* Saved and loaded between any two buckets. */
static void a_restart_in_the_middle_changes_nothing(void **state)
{
    (void)state;
    struct world plain = {0}, w = {0};
    double sum[4] = {0};
    synth s = {.state = 3};
    open_world(&plain, 0);
    open_world(&w, 0);
    for (int i = 0; i < 40; i++)
        for (int j = 0; j < 4; j++) {
            sum[j] += by[j];
            if (synth_share(&s) < 0.1)
                continue;
            const bool stale = synth_share(&s) < 0.02;
            assert_int_equal(add(&plain, buckets[j], OPS_MONITOR_BUCKET, 15 * i, sum[j], stale), OPS_OK);
            assert_int_equal(add(&w, buckets[j], OPS_MONITOR_BUCKET, 15 * i, sum[j], stale), OPS_OK);
            reopen(&w);
            ops_monitor_info a, b;
            const bool have = find(&plain, "h_p99{a=\"x\"}", &a);
            assert_true(have == find(&w, "h_p99{a=\"x\"}", &b));
            assert_true(!have || (a.samples == b.samples && a.last_ns == b.last_ns && a.judged == b.judged &&
                                  a.stale == b.stale));
        }
    assert_true(stats(&plain).quantiles > 10);
    close_world(&plain);
    close_world(&w);
}

/* The mean stays where it is and one request in fifty becomes ten times slower. */
static void a_slower_tail_is_told(void **state)
{
    (void)state;
    struct world w = {0};
    double sum[4] = {0};
    synth s = {.state = 5};
    open_world(&w, 0);
    for (int64_t i = 0; i < 600; i++) {
        const double n = 1000 + floor(20 * synth_noise(&s)), slow = i < 590 ? 2 : 30,
                     some = 40 + floor(4 * synth_noise(&s));
        const double grown[4] = {n, n - some - slow, n - slow, n};
        grow(&w, OPS_MONITOR_BUCKET, 15 * i, grown, sum, 0);
    }
    assert_true(w.alerts >= 1);
    assert_memory_equal(w.words, "h_p99{a=\"x\"} ", 13);
    close_world(&w);
}

static void odd_names_and_bounds_are_no_buckets(void **state)
{
    (void)state;
    static const char *const odd[] = {"bucket{le=\"1\"}",
                                      "_bucket{le=\"1\"}",
                                      "h_bucket",
                                      "h_bucket{}",
                                      "h_bucket{le=\"\"}",
                                      "h_bucket{le=\"NaN\"}",
                                      "h_bucket{le=\"1x\"}",
                                      "h_bucket{le=\"1",
                                      "h_bucket{xle=\"1\"}",
                                      "h_bucket{le=1}",
                                      "h_bucket{a=\"\\\",le=\"1\"}",
                                      "h_bucket{le=\"1111111111111111111111111111111111111111\"}"};
    struct world w = {0};
    ops_monitor_info i;
    open_world(&w, 0);
    for (int t = 0; t < 3; t++)
        for (size_t k = 0; k < sizeof odd / sizeof *odd; k++)
            assert_int_equal(add(&w, odd[k], OPS_MONITOR_BUCKET, 15 * t, 5 * t, false), OPS_OK);
    assert_int_equal(stats(&w).series, sizeof odd / sizeof *odd);
    /* A quote and a brace inside of a label. */
    static const char *const good[] = {"h_bucket{a=\"}\\\",le=\\\"7\",le=\"1\",z=\"y\"}",
                                       "h_bucket{a=\"}\\\",le=\\\"7\",le=\"+Inf\",z=\"y\"}"};
    for (int t = 0; t < 3; t++)
        for (size_t k = 0; k < 2; k++)
            assert_int_equal(add(&w, good[k], OPS_MONITOR_BUCKET, 15 * t, 10 * t, false), OPS_OK);
    assert_true(find(&w, "h_p99{a=\"}\\\",le=\\\"7\",z=\"y\"}", &i));
    assert_true(fabs(i.judged - 0.99) < 1e-12);
    close_world(&w);
}

/* Of a histogram with more bounds than are read, the first to come are. When all is gone nothing is left of it. */
static void bounds_are_bounded(void **state)
{
    (void)state;
    struct world w = {0};
    char name[64];
    const int n = OPS_MONITOR_BUCKETS_MAX + 40;
    open_world(&w, (size_t)n + 1);
    for (int t = 0; t < 3; t++) {
        assert_int_equal(add(&w, "h_bucket{le=\"+Inf\"}", OPS_MONITOR_BUCKET, 15 * t, 1e3 * n * t, false),
                         OPS_OK);
        for (int k = 1; k < n; k++) {
            (void)snprintf(name, sizeof name, "h_bucket{le=\"%d\"}", k);
            assert_int_equal(add(&w, name, OPS_MONITOR_BUCKET, 15 * t, 1e3 * k * t, false), OPS_OK);
        }
    }
    assert_int_equal(stats(&w).buckets_full, 40);
    assert_true(stats(&w).quantiles >= 1);
    /* Hours later their room is taken by others. */
    assert_int_equal(add(&w, "g", OPS_MONITOR_GAUGE, 9000, 1, false), OPS_OK);
    assert_int_equal(add(&w, "g2", OPS_MONITOR_GAUGE, 9000, 1, false), OPS_OK);
    assert_int_equal(stats(&w).series, 2);
    close_world(&w);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (long nth = 1;; nth++) {
        const long live = ops_alloc_live();
        struct world w = {0};
        ops_status st = OPS_OK;
        open_world(&w, 0);
        ops_alloc_fail_at(nth);
        for (int t = 0; t < 3; t++)
            for (int j = 0; j < 4 && st == OPS_OK; j++)
                st = add(&w, buckets[j], OPS_MONITOR_BUCKET, 15 * t, 100.0 * t, false);
        ops_alloc_fail_at(0);
        const bool whole = st == OPS_OK && stats(&w).quantiles == 2;
        reopen(&w);
        close_world(&w);
        assert_int_equal(ops_alloc_live(), live);
        if (whole && nth > 60)
            return;
        assert_true(nth < 300);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_lies_within_its_bucket_whatever_the_order),
        cmocka_unit_test(edges_of_the_distribution),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(it_ends_with_its_buckets),
        cmocka_unit_test(a_restart_in_the_middle_changes_nothing),
        cmocka_unit_test(a_slower_tail_is_told),
        cmocka_unit_test(odd_names_and_bounds_are_no_buckets),
        cmocka_unit_test(bounds_are_bounded),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
