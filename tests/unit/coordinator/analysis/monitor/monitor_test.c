/* Rates, resets, ends, limits, alerts and snapshots of the monitor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <math.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/monitor/monitor.h"
#include "tests/unit/coordinator/analysis/monitor/records.h"

#define SECOND INT64_C(1000000000)
#define START  (1764000000 * SECOND)

struct world {
    ops_monitor *m;
    size_t alerts;
    ops_candidate last; /* slices are gone */
    char words[512];
    kept_records store;
    size_t whole; /* baselines written */
};

static void on_candidate(void *u, const ops_candidate *c)
{
    struct world *w = u;
    w->alerts++;
    w->last = *c;
    (void)snprintf(w->words, sizeof w->words, "%.*s", (int)c->words.n, c->words.p);
}

static void open_world(struct world *w, size_t series_max)
{
    const ops_monitor_limits limits = {.series_max = series_max, .on_candidate = on_candidate, .u = w};
    ops_err err;
    assert_int_equal(ops_monitor_new(&limits, &w->m, &err), OPS_OK);
}

static void close_world(struct world *w)
{
    ops_monitor_free(w->m);
    records_done(&w->store);
}

static ops_monitor_fate add(struct world *w, const char *name, ops_monitor_kind kind, int64_t at_s,
                            double value, bool stale)
{
    const ops_monitor_sample x = {.tenant = OPS_SLICE("t"),
                                  .service = OPS_SLICE("db"),
                                  .series = ops_slice_str(name),
                                  .kind = kind,
                                  .stale = stale,
                                  .time_ns = START + at_s * SECOND,
                                  .recv_ns = START + at_s * SECOND + SECOND,
                                  .value = value,
                                  .log_offset = 7};
    ops_monitor_fate fate;
    ops_err err = {0};
    if (ops_monitor_add(w->m, &x, &fate, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return fate;
}

static ops_monitor_info info(struct world *w, const char *name)
{
    ops_monitor_info i;
    size_t iter = 0;
    while (ops_monitor_next(w->m, &iter, &i))
        if (ops_slice_eq(i.series, ops_slice_str(name)))
            return i;
    fail_msg("no series %s", name);
    return i;
}

static void counters_are_judged_by_their_growth(void **state)
{
    struct world w = {0};
    (void)state;
    open_world(&w, 0);
    assert_int_equal(add(&w, "c", OPS_MONITOR_COUNTER, 0, 100, false), OPS_MONITOR_FIRST);
    assert_int_equal(add(&w, "c", OPS_MONITOR_COUNTER, 10, 130, false), OPS_MONITOR_JUDGED);
    assert_true(info(&w, "c").judged == 3);
    /* Below the value before: it began anew at 0 and grew to 20. */
    assert_int_equal(add(&w, "c", OPS_MONITOR_COUNTER, 20, 20, false), OPS_MONITOR_JUDGED);
    assert_true(info(&w, "c").judged == 2 && info(&w, "c").resets == 1 && info(&w, "c").last == 20);
    assert_int_equal(add(&w, "c", OPS_MONITOR_COUNTER, 15, 21, false), OPS_MONITOR_LATE);
    assert_int_equal(add(&w, "c", OPS_MONITOR_COUNTER, 20, 22, false), OPS_MONITOR_REPEATED);
    assert_true(info(&w, "c").last == 20 && info(&w, "c").late == 1 && info(&w, "c").repeated == 1);
    /* After its end there is nothing to take a rate against. */
    assert_int_equal(add(&w, "c", OPS_MONITOR_COUNTER, 30, 0, true), OPS_MONITOR_ENDED);
    assert_true(info(&w, "c").stale);
    assert_int_equal(add(&w, "c", OPS_MONITOR_COUNTER, 40, 1000, false), OPS_MONITOR_FIRST);
    assert_false(info(&w, "c").stale);
    assert_int_equal(add(&w, "d", OPS_MONITOR_DELTA, 0, 5, false), OPS_MONITOR_FIRST);
    assert_int_equal(add(&w, "d", OPS_MONITOR_DELTA, 2, 5, false), OPS_MONITOR_JUDGED);
    assert_true(info(&w, "d").judged == 2.5);
    assert_int_equal(add(&w, "b", OPS_MONITOR_BUCKET, 0, 5, false), OPS_MONITOR_KEPT);
    assert_int_equal(add(&w, "g", OPS_MONITOR_GAUGE, 0, -5, false), OPS_MONITOR_JUDGED);
    assert_int_equal(ops_monitor_event_ns(w.m), START + 40 * SECOND);
    close_world(&w);
}

/* 30 observations that add up to 6 in ten seconds, whichever of the two comes first; none when nothing was observed. */
static void sum_and_count_have_a_mean(void **state)
{
    struct world w = {0};
    (void)state;
    open_world(&w, 0);
    for (int i = 0; i < 3; i++) {
        const double n = i < 2 ? 30 * i : 30, sum = i < 2 ? 6 * i : 6;
        (void)add(&w, "lat_sum{a=\"1\"}", OPS_MONITOR_COUNTER, 10 * i, sum, false);
        (void)add(&w, "lat_count{a=\"1\"}", OPS_MONITOR_COUNTER, 10 * i, n, false);
        (void)add(&w, "got_count", OPS_MONITOR_DELTA, 10 * i, 4, false);
        (void)add(&w, "got_sum", OPS_MONITOR_DELTA, 10 * i, 8, false);
        (void)add(&w, "odd_sum", OPS_MONITOR_COUNTER, 10 * i, 8, false);
        (void)add(&w, "odd_count", OPS_MONITOR_GAUGE, 10 * i, 8, false);
    }
    const ops_monitor_info lat = info(&w, "lat_mean{a=\"1\"}"), got = info(&w, "got_mean");
    assert_true(fabs(lat.last - 0.2) < 1e-12 && lat.samples == 1 && lat.kind == OPS_MONITOR_GAUGE);
    assert_true(got.last == 2 && got.samples == 2);
    ops_monitor_stats stats;
    ops_monitor_stats_get(w.m, &stats);
    assert_int_equal(stats.means, 3);
    assert_int_equal(stats.series, 8); /* a counter and a gauge are no pair */
    (void)add(&w, "lat_sum{a=\"1\"}", OPS_MONITOR_COUNTER, 40, 0, true);
    assert_true(info(&w, "lat_mean{a=\"1\"}").stale && !info(&w, "got_mean").stale);
    close_world(&w);
}

static void far_numbers_stay_numbers(void **state)
{
    struct world w = {0};
    (void)state;
    open_world(&w, 0);
    assert_int_equal(add(&w, "d", OPS_MONITOR_DELTA, 0, 1.7e308, false), OPS_MONITOR_FIRST);
    const ops_monitor_sample x = {.tenant = OPS_SLICE("t"),
                                  .service = OPS_SLICE("db"),
                                  .series = OPS_SLICE("d"),
                                  .kind = OPS_MONITOR_DELTA,
                                  .time_ns = START + 1,
                                  .recv_ns = START,
                                  .value = 1.7e308};
    ops_monitor_fate fate;
    ops_err err;
    assert_int_equal(ops_monitor_add(w.m, &x, &fate, &err), OPS_OK);
    assert_int_equal(fate, OPS_MONITOR_JUDGED);
    assert_true(isfinite(info(&w, "d").judged));
    close_world(&w);
}

/* Noise that is the same in every run. */
static double noise(uint64_t i)
{
    uint64_t x = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 32;
    return (double)(x >> 11) / (double)(UINT64_C(1) << 53) - 0.5;
}

static void feed(struct world *w, const char *name, uint64_t from, uint64_t to, double level)
{
    for (uint64_t i = from; i < to; i++)
        (void)add(w, name, OPS_MONITOR_GAUGE, (int64_t)i * 15, level + noise(i), false);
}

static void a_jump_is_told_once_and_in_words(void **state)
{
    struct world w = {0};
    (void)state;
    open_world(&w, 0);
    feed(&w, "g{a=\"1\"}", 0, 1500, 10);
    assert_int_equal(w.alerts, 0);
    feed(&w, "g{a=\"1\"}", 1500, 1540, 90);
    assert_int_equal(w.alerts, 1);
    assert_int_equal(w.last.kind, OPS_CANDIDATE_METRIC);
    assert_true(w.last.score >= 6 && w.last.expected_high < 20 && w.last.value > 20);
    assert_true(w.last.start_ns >= START + 1495 * 15 * SECOND && w.last.end_ns <= START + 1540 * 15 * SECOND);
    assert_int_equal(w.last.evidence_count, 1);
    assert_int_equal(w.last.evidence[0].log_offset, 7);
    assert_non_null(strstr(w.words, "g{a=\"1\"} "));
    assert_non_null(strstr(w.words, " is usual"));
    assert_int_equal(info(&w, "g{a=\"1\"}").alerts, 1);
    close_world(&w);
}

static ops_status emit(void *u, ops_slice key, ops_slice val)
{
    struct world *w = u;
    w->whole += key.p[1] == 'B' && val.n > 0;
    return records_put(&w->store, key, val);
}

static void save(struct world *w)
{
    ops_err err = {0};
    if (ops_monitor_save_dirty(w->m, emit, w, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(ops_monitor_dirty_bytes(w->m), 0);
}

static void same(const ops_monitor_info *a, const ops_monitor_info *b)
{
    assert_true(ops_slice_eq(a->series, b->series) && a->kind == b->kind && a->stale == b->stale);
    assert_true(a->samples == b->samples && a->late == b->late && a->resets == b->resets &&
                a->alerts == b->alerts);
    assert_true(a->last == b->last && a->judged == b->judged && a->low == b->low && a->high == b->high);
    assert_true(a->score == b->score && a->last_ns == b->last_ns && a->interval_ns == b->interval_ns);
}

/* A monitor that is saved and loaded after every few samples says what one says that never was. */
static void a_snapshot_goes_on_as_the_one_that_made_it(void **state)
{
    struct world plain = {0}, w = {0};
    (void)state;
    open_world(&plain, 0);
    open_world(&w, 0);
    for (uint64_t i = 0; i < 700; i++) {
        const double v = i < 650 ? 5 + noise(i) : 80;
        for (int k = 0; k < 2; k++) {
            struct world *x = k == 0 ? &plain : &w;
            (void)add(x, "g", OPS_MONITOR_GAUGE, (int64_t)i * 15, v, false);
            (void)add(x, "c", OPS_MONITOR_COUNTER, (int64_t)i * 15, (double)(i % 97) * 3, i % 200 == 199);
            (void)add(x, "b", OPS_MONITOR_BUCKET, (int64_t)i * 15, (double)i, false);
        }
        if (i % 7 != 3 && i % 50 != 0)
            continue;
        save(&w);
        ops_err err = {0};
        ops_monitor_free(w.m);
        open_world(&w, 0);
        if (records_load(&w.store, w.m, &err) != OPS_OK)
            fail_msg("%s", err.msg);
    }
    assert_true(plain.alerts > 0);
    assert_int_equal(w.alerts, plain.alerts); /* none told twice, none lost */
    static const char *const names[] = {"g", "c", "b"};
    for (size_t i = 0; i < 3; i++) {
        const ops_monitor_info a = info(&plain, names[i]), b = info(&w, names[i]);
        same(&a, &b);
    }
    /* A whole baseline is written once in OPS_MONITOR_TAIL samples, not at every save. */
    assert_true(w.whole <= 2 * 700 / OPS_MONITOR_TAIL + 2 && w.whole >= 30);
    close_world(&plain);
    close_world(&w);
}

static void damaged_records_are_told(void **state)
{
    (void)state;
    struct world w = {0};
    ops_err err;
    open_world(&w, 0);
    feed(&w, "g", 0, 100, 5);
    save(&w);
    for (size_t i = 0; i < w.store.all.n; i++)
        for (size_t n = 0; n < w.store.all.v[i].val_n; n++) {
            kept_record *k = &w.store.all.v[i];
            const size_t whole = k->val_n;
            ops_monitor_free(w.m);
            open_world(&w, 0);
            k->val_n = n;
            assert_int_equal(records_load(&w.store, w.m, &err), OPS_ECORRUPT);
            k->val_n = whole;
        }
    /* A series whose baseline is gone, and the other way round. */
    ops_monitor_free(w.m);
    open_world(&w, 0);
    for (size_t i = 0; i < w.store.all.n; i++)
        if (w.store.all.v[i].key[1] == 'S')
            w.store.all.v[i].key[9] ^= 1;
    assert_int_equal(records_load(&w.store, w.m, &err), OPS_ECORRUPT);
    close_world(&w);
}

static void a_full_tenant_makes_room_of_what_is_idle(void **state)
{
    (void)state;
    struct world w = {0};
    char name[16];
    ops_monitor_stats stats;
    open_world(&w, 3);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "g%d", i);
        assert_int_equal(add(&w, name, OPS_MONITOR_GAUGE, i, 1, false), OPS_MONITOR_JUDGED);
    }
    save(&w);
    const size_t records = w.store.all.n;
    assert_int_equal(add(&w, "more", OPS_MONITOR_GAUGE, 10, 1, false), OPS_MONITOR_FULL);
    assert_int_equal(add(&w, "g2", OPS_MONITOR_GAUGE, 7000, 1, false), OPS_MONITOR_JUDGED);
    /* Two hours later g0 and g1 are idle, g2 is not. */
    assert_int_equal(add(&w, "more", OPS_MONITOR_GAUGE, 7300, 1, false), OPS_MONITOR_JUDGED);
    ops_monitor_stats_get(w.m, &stats);
    assert_true(stats.series == 2 && stats.dropped == 2);
    assert_true(stats.baseline_bytes > 0);
    const size_t each = stats.baseline_bytes / 2;
    assert_int_equal(info(&w, "g2").samples, 2);
    save(&w);
    assert_int_equal(w.store.all.n, records - 1); /* two series gone, one came */
    ops_err err = {0};
    ops_monitor_free(w.m);
    open_world(&w, 3);
    if (records_load(&w.store, w.m, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(info(&w, "more").samples, 1);
    ops_monitor_stats_get(w.m, &stats);
    assert_int_equal(stats.baseline_bytes, 2 * each);
    close_world(&w);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (long nth = 1;; nth++) {
        const long live = ops_alloc_live();
        const ops_monitor_limits limits = {0};
        const ops_monitor_sample x = {.tenant = OPS_SLICE("t"),
                                      .service = OPS_SLICE("s"),
                                      .series = OPS_SLICE("g"),
                                      .kind = OPS_MONITOR_GAUGE,
                                      .time_ns = START,
                                      .recv_ns = START,
                                      .value = 1};
        ops_monitor *m = NULL;
        ops_monitor_fate fate;
        ops_err err;
        ops_alloc_fail_at(nth);
        ops_status st = ops_monitor_new(&limits, &m, &err);
        if (st == OPS_OK)
            st = ops_monitor_add(m, &x, &fate, &err);
        ops_alloc_fail_at(0);
        if (st == OPS_ENOMEM && m != NULL) { /* the same sample again is the first one */
            assert_int_equal(ops_monitor_add(m, &x, &fate, &err), OPS_OK);
            assert_int_equal(fate, OPS_MONITOR_JUDGED);
        }
        ops_monitor_free(m);
        assert_int_equal(ops_alloc_live(), live);
        if (st == OPS_OK)
            return;
        assert_int_equal(st, OPS_ENOMEM);
        assert_true(nth < 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_are_judged_by_their_growth),
        cmocka_unit_test(sum_and_count_have_a_mean),
        cmocka_unit_test(far_numbers_stay_numbers),
        cmocka_unit_test(a_jump_is_told_once_and_in_words),
        cmocka_unit_test(a_snapshot_goes_on_as_the_one_that_made_it),
        cmocka_unit_test(damaged_records_are_told),
        cmocka_unit_test(a_full_tenant_makes_room_of_what_is_idle),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
