/* Gauges that run into a limit are told of in time and seldom; those that come and go are not told of at all. */
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
#include "tests/unit/coordinator/analysis/monitor/records.h"

#define SECOND INT64_C(1000000000)
#define START  (1764000000 * SECOND)
#define DAY    86400.0

typedef struct world {
    ops_monitor *m;
    size_t told;
    ops_candidate first, last; /* slices are gone */
    double first_s;            /* when the first was told */
    double now_s;
    char words[512];
    uint64_t random;
    double phase; /* of the day */
    kept_records store;
} world;

static double uniform(world *w)
{
    w->random = w->random * 6364136223846793005ull + 1442695040888963407ull;
    return (double)(w->random >> 11) / (double)(1ull << 53);
}

static double normal(world *w)
{
    return sqrt(-2 * log(1 - uniform(w))) * cos(6.283185307 * uniform(w));
}

static void on_candidate(void *u, const ops_candidate *c)
{
    world *w = u;
    if (c->kind != OPS_CANDIDATE_RUNOUT)
        return;
    if (w->told++ == 0) {
        w->first = *c;
        w->first_s = w->now_s;
    }
    w->last = *c;
    (void)snprintf(w->words, sizeof w->words, "%.*s", (int)c->words.n, c->words.p);
}

static void open_world(world *w, uint64_t seed)
{
    *w = (world){.random = seed * 977 + 1};
    const ops_monitor_limits limits = {.on_candidate = on_candidate, .u = w};
    assert_int_equal(ops_monitor_new(&limits, &w->m, NULL), OPS_OK);
}

static void close_world(world *w)
{
    ops_monitor_free(w->m);
    records_done(&w->store);
}

static void add(world *w, const char *name, double at_s, double value)
{
    const ops_monitor_sample x = {.tenant = OPS_SLICE("t"),
                                  .service = OPS_SLICE("db"),
                                  .series = ops_slice_str(name),
                                  .kind = OPS_MONITOR_GAUGE,
                                  .time_ns = START + (int64_t)(at_s * 1e9),
                                  .recv_ns = START + (int64_t)(at_s * 1e9),
                                  .value = value};
    ops_monitor_fate fate;
    w->now_s = at_s;
    assert_int_equal(ops_monitor_add(w->m, &x, &fate, NULL), OPS_OK);
}

/* 100 GB, of which a service takes some all the time; from `leak_s` on 4 MB a second more. */
static double disk(world *w, double at_s, double leak_s)
{
    const double leak = at_s > leak_s ? 4e6 * (at_s - leak_s) : 0;
    return 1e11 - leak + 2e7 * normal(w);
}

static void a_disk_that_fills_is_told_hours_before(void **state)
{
    (void)state;
    static world w;
    const double leak_s = 40 * 3600, full_s = leak_s + 1e11 / 4e6;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        open_world(&w, seed);
        for (double at = 0; at < full_s - 60; at += 15)
            add(&w, "node_filesystem_avail_bytes{mountpoint=\"/\"}", at, disk(&w, at, leak_s));
        assert_true(w.told >= 1 && w.told <= 8); /* once, and each time that the time left has halved */
        const double left_s = full_s - w.first_s;
        assert_true(left_s > 2 * 3600 && left_s < 4 * 3600);
        assert_true(fabs(w.first.value - left_s) < 0.1 * left_s);
        assert_true(w.first.expected_low <= w.first.value && w.first.expected_high >= w.first.value);
        assert_true(w.first.severity == OPS_LEVEL_WARNING && w.last.severity == OPS_LEVEL_ERROR);
        assert_true(w.first.score >= 6);
        assert_non_null(strstr(w.words, " a second towards 0: full in "));
        close_world(&w);
    }
}

static void what_is_used_grows_towards_what_there_is(void **state)
{
    (void)state;
    static world w;
    open_world(&w, 3);
    for (int i = 0; i < 1490; i++) {
        add(&w, "pool_connections_max{pool=\"a\"}", 15 * i, 500);
        add(&w, "pool_connections_active{pool=\"a\"}", 15 * i,
            20 + 2 * normal(&w) + (i > 300 ? (i - 300) * 0.4 : 0));
    }
    assert_true(w.told >= 1);
    assert_non_null(strstr(w.words, "towards 500"));
    assert_int_equal(w.first.kind, OPS_CANDIDATE_RUNOUT);
    close_world(&w);
    open_world(&w, 4);
    for (int i = 0; i < 1490; i++)
        add(&w, "disk_used_percent", 15 * i, 40 + 0.2 * normal(&w) + (i > 300 ? (i - 300) * 0.05 : 0));
    assert_true(w.told >= 1);
    assert_non_null(strstr(w.words, "towards 100"));
    close_world(&w);
}

typedef double (*shape)(world *w, double at_s, double before);

static double noise(world *w, double at_s, double before)
{
    (void)at_s;
    (void)before;
    return 50 + 5 * normal(w);
}

static double wander(world *w, double at_s, double before)
{
    (void)at_s;
    const double next = before + 0.3 * normal(w);
    return next < 5 ? 5 : next > 95 ? 95 : next;
}

static double pulled_back(world *w, double at_s, double before)
{
    (void)at_s;
    return before + 0.02 * (50 - before) + normal(w);
}

static double day(world *w, double at_s, double before)
{
    (void)before;
    return 50 + 30 * sin(6.283185307 * (at_s / DAY + w->phase)) + normal(w);
}

/* Grows for an hour and 40 min, then is collected. */
static double saw(world *w, double at_s, double before)
{
    (void)before;
    return 30 + 40 * fmod(at_s, 6000) / 6000 + 0.5 * normal(w);
}

static double steps(world *w, double at_s, double before)
{
    (void)at_s;
    return uniform(w) < 0.002 ? 20 + 60 * uniform(w) : before;
}

static double slow(world *w, double at_s, double before)
{
    (void)before;
    return 50 + 10 * at_s / (30 * DAY) + 0.2 * normal(w); /* full in 150 days */
}

static void what_comes_and_goes_is_not_told(void **state)
{
    (void)state;
    static world w;
    static const struct {
        const char *name;
        shape next;
    } kinds[] = {{"noise", noise}, {"wander", wander}, {"pulled back", pulled_back},
                 {"day", day},     {"saw", saw},       {"steps", steps},
                 {"slow", slow}};
    size_t told_in_all = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (uint64_t seed = 1; seed <= 10; seed++) {
            double value = 50;
            open_world(&w, 31 * seed + k);
            w.phase = (double)seed / 10;
            for (double at = 0; at < 4 * DAY; at += 60) {
                value = kinds[k].next(&w, at, value);
                add(&w, "disk_used_percent", at, value);
                add(&w, "node_filesystem_avail_bytes", at, 100 - value);
            }
            if (w.told > 0)
                print_message("%s, seed %d: told %zu times, last %s\n", kinds[k].name, (int)seed, w.told,
                              w.words);
            told_in_all += w.told;
            close_world(&w);
        }
    assert_int_equal(told_in_all, 0);
}

static void only_names_that_tell_of_a_limit_count(void **state)
{
    (void)state;
    static world w;
    static const char *const names[] = {"cpu_percent",     "node_memory_MemFree_bytes", "queue_length",
                                        "cache_hit_ratio", "requests_active",           "disk_used_bytes"};
    open_world(&w, 5);
    for (int i = 0; i < 1500; i++)
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
            add(&w, names[k], 15 * i, k == 1 ? 1000 - i * 0.6 : 0.0006 * i);
    assert_int_equal(w.told, 0);
    close_world(&w);
}

static ops_status keep(void *u, ops_slice key, ops_slice val)
{
    return records_put(&((world *)u)->store, key, val);
}

static void restart(world *w)
{
    const ops_monitor_limits limits = {.on_candidate = on_candidate, .u = w};
    assert_int_equal(ops_monitor_save_dirty(w->m, keep, w, NULL), OPS_OK);
    ops_monitor_free(w->m);
    assert_int_equal(ops_monitor_new(&limits, &w->m, NULL), OPS_OK);
    assert_int_equal(records_load(&w->store, w->m, NULL), OPS_OK);
}

static void restarts_change_nothing(void **state)
{
    (void)state;
    static world a, b;
    open_world(&a, 9);
    open_world(&b, 9);
    for (int i = 0; i < 2500; i++) {
        add(&a, "node_filesystem_avail_bytes", 15 * i, disk(&a, 15 * i, 6000));
        add(&b, "node_filesystem_avail_bytes", 15 * i, disk(&b, 15 * i, 6000));
        if (i % 41 == 40)
            restart(&b);
    }
    assert_true(a.told > 0);
    assert_int_equal(a.told, b.told);
    assert_true(a.first_s == b.first_s && a.first.value == b.first.value && a.last.value == b.last.value);
    assert_string_equal(a.words, b.words);
    close_world(&a);
    close_world(&b);
}

static ops_status load(const world *w, ops_monitor **ret)
{
    const ops_monitor_limits limits = {0};
    OPS_AUTO(ops_monitor_free) ops_monitor *m = NULL;
    ops_status st = ops_monitor_new(&limits, &m, NULL);
    if (st == OPS_OK)
        st = records_load(&w->store, m, NULL);
    if (st == OPS_OK)
        *ret = OPS_STEAL(m);
    return st;
}

static void spoilt_records_are_refused_or_harmless(void **state)
{
    (void)state;
    static world w;
    open_world(&w, 2);
    for (int i = 0; i < 400; i++)
        add(&w, "node_filesystem_avail_bytes", 15 * i, disk(&w, 15 * i, 0));
    assert_int_equal(ops_monitor_save_dirty(w.m, keep, &w, NULL), OPS_OK);
    for (size_t r = 0; r < w.store.all.n; r++) {
        kept_record *k = &w.store.all.v[r];
        if (k->key[1] != 'S')
            continue;
        for (size_t round = 0; round < 600; round++) {
            ops_monitor *m = NULL;
            const size_t whole = k->val_n, at = (size_t)(uniform(&w) * (double)whole);
            const char was = k->val[at];
            if (round % 2 == 0)
                k->val_n = at;
            else
                k->val[at] = (char)(uniform(&w) * 256);
            const ops_status st = load(&w, &m);
            assert_true(st == OPS_ECORRUPT || (st == OPS_OK && round % 2 == 1));
            if (m != NULL) {
                ops_monitor *before = w.m;
                w.m = m;
                for (int i = 400; i < 440; i++)
                    add(&w, "node_filesystem_avail_bytes", 15 * i, 1e9);
                w.m = before;
            }
            ops_monitor_free(m);
            k->val_n = whole;
            k->val[at] = was;
        }
    }
    close_world(&w);
}

static void allocations_fail(void **state)
{
    (void)state;
    const long live = ops_alloc_live();
    for (long nth = 1; nth < 40; nth++) {
        ops_monitor *m = NULL;
        const ops_monitor_limits limits = {0};
        const ops_monitor_sample x = {.tenant = OPS_SLICE("t"),
                                      .service = OPS_SLICE("db"),
                                      .series = OPS_SLICE("disk_used_percent"),
                                      .kind = OPS_MONITOR_GAUGE,
                                      .time_ns = START,
                                      .recv_ns = START,
                                      .value = 3};
        ops_monitor_fate fate;
        ops_alloc_fail_at(nth);
        ops_status st = ops_monitor_new(&limits, &m, NULL);
        if (st == OPS_OK && ops_monitor_add(m, &x, &fate, NULL) == OPS_ENOMEM) {
            ops_alloc_fail_at(0);
            assert_int_equal(ops_monitor_add(m, &x, &fate, NULL), OPS_OK); /* sent again */
            assert_int_equal(fate, OPS_MONITOR_JUDGED);
        }
        ops_alloc_fail_at(0);
        ops_monitor_free(m);
        assert_int_equal(ops_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_that_fills_is_told_hours_before),
        cmocka_unit_test(what_is_used_grows_towards_what_there_is),
        cmocka_unit_test(what_comes_and_goes_is_not_told),
        cmocka_unit_test(only_names_that_tell_of_a_limit_count),
        cmocka_unit_test(restarts_change_nothing),
        cmocka_unit_test(spoilt_records_are_refused_or_harmless),
        cmocka_unit_test(allocations_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
