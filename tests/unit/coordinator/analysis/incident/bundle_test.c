/* What a bundle and its ranking do with odd input: order, limits, rubbish, a heap that runs out. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/incident/names.h"
#include "coordinator/analysis/incident/rank.h"
#include "tests/unit/coordinator/analysis/incident/world.h"

static const world_options small = {.seed = 5,
                                    .fault = WORLD_ERROR_STORM,
                                    .with = WORLD_METRICS | WORLD_SPANS | WORLD_LINES,
                                    .step_s = 10,
                                    .past_s = 200,
                                    .rest_s = 100};

static void same(const ops_rank *a, const ops_rank *b)
{
    assert_int_equal(ops_rank_count(a), ops_rank_count(b));
    for (size_t i = 0; i < ops_rank_count(a); i++) {
        const ops_rank_cause *x = ops_rank_at(a, i), *y = ops_rank_at(b, i);
        assert_true(ops_slice_eq(x->component, y->component));
        assert_true(x->score == y->score);
        assert_true(ops_slice_eq(x->reason, y->reason));
    }
}

static void the_order_of_rows_does_not_matter(void **state)
{
    (void)state;
    for (int f = 0; f < WORLD_FAULTS; f++) {
        world_options there = small, back = small;
        there.fault = back.fault = (world_fault)f;
        back.reversed = true;
        ops_bundle *b[2];
        ops_rank *r[2];
        world_truth truth;
        assert_int_equal(world_make(&there, &b[0], &truth), OPS_OK);
        assert_int_equal(world_make(&back, &b[1], &truth), OPS_OK);
        for (int i = 0; i < 2; i++)
            assert_int_equal(ops_rank_new(b[i], truth.at_s, &r[i], NULL), OPS_OK);
        same(r[0], r[1]);
        for (int i = 0; i < 2; i++) {
            ops_rank_free(r[i]);
            ops_bundle_free(b[i]);
        }
    }
}

static void the_score_is_the_sum_of_its_terms_and_every_term_has_words(void **state)
{
    (void)state;
    ops_bundle *b = NULL;
    ops_rank *r = NULL;
    world_truth truth;
    assert_int_equal(world_make(&small, &b, &truth), OPS_OK);
    assert_int_equal(ops_rank_new(b, truth.at_s, &r, NULL), OPS_OK);
    double last = HUGE_VAL;
    for (size_t i = 0; i < ops_rank_count(r); i++) {
        const ops_rank_cause *c = ops_rank_at(r, i);
        double sum = 0;
        for (size_t k = 0; k < OPS_RANK_KINDS; k++) {
            sum += c->terms[k].bits;
            assert_true(c->terms[k].bits >= 0 && isfinite(c->terms[k].bits));
            assert_int_equal(c->terms[k].bits > 0, c->terms[k].text.n > 0);
        }
        assert_true(fabs(sum - c->score) < 1e-9);
        assert_true(c->score <= last);
        assert_true(c->reason.n > 0);
        last = c->score;
    }
    ops_rank_free(r);
    ops_bundle_free(b);
}

static ops_bundle *fresh(const ops_bundle_limits *lim)
{
    ops_bundle *b = NULL;
    assert_int_equal(ops_bundle_new(lim, &b, NULL), OPS_OK);
    return b;
}

static void put(ops_bundle *b, const char *component, const char *metric, double t, double v)
{
    assert_int_equal(ops_bundle_add_sample(b, ops_slice_str(component), ops_slice_str(metric), t, v, NULL),
                     OPS_OK);
}

static ops_rank *ranked(ops_bundle *b, double at)
{
    ops_rank *r = NULL;
    assert_int_equal(ops_bundle_seal(b, NULL), OPS_OK);
    assert_int_equal(ops_rank_new(b, at, &r, NULL), OPS_OK);
    return r;
}

static void rubbish_is_counted_and_left_out(void **state)
{
    (void)state;
    const double odd[] = {NAN, INFINITY, -INFINITY, 1e308};
    ops_bundle *b = fresh(NULL);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        put(b, "a", "m", odd[i], 1);
        put(b, "a", "m", 1, odd[i]);
        const ops_bundle_span s = {.component = OPS_SLICE("a"), .start_s = 1, .duration_s = odd[i]};
        assert_int_equal(ops_bundle_add_span(b, &s, NULL), OPS_OK);
        assert_int_equal(ops_bundle_add_line(b, OPS_SLICE("a"), OPS_SLICE("x"), odd[i], NULL), OPS_OK);
    }
    put(b, "", "m", 1, 1);
    ops_bundle_stats s;
    ops_bundle_stats_get(b, &s);
    assert_int_equal(s.refused, 17);
    assert_int_equal(s.samples + s.lines + s.spans, 0);
    ops_rank *r = ranked(b, 1);
    assert_int_equal(ops_rank_count(r), 0);
    ops_rank_free(r);
    ops_bundle_free(b);
}

static void limits_drop_and_count(void **state)
{
    (void)state;
    const ops_bundle_limits lim = {.components_max = 2, .samples_max = 5, .lines_max = 1, .spans_max = 1};
    ops_bundle *b = fresh(&lim);
    for (int i = 0; i < 9; i++)
        put(b, i % 3 == 0 ? "a" : i % 3 == 1 ? "b" : "c", "m", i, i);
    const ops_bundle_span span = {.component = OPS_SLICE("a"), .start_s = 1, .duration_s = 1};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ops_bundle_add_span(b, &span, NULL), OPS_OK);
        assert_int_equal(ops_bundle_add_line(b, OPS_SLICE("a"), OPS_SLICE("x"), 1, NULL), OPS_OK);
    }
    ops_bundle_stats s;
    ops_bundle_stats_get(b, &s);
    assert_int_equal(s.samples, 5);
    assert_int_equal(s.components, 2);
    assert_int_equal(s.lines, 1);
    assert_int_equal(s.spans, 1);
    assert_int_equal(s.dropped, 6);
    ops_bundle_free(b);
}

static void spans_may_be_their_own_parents_and_share_ids(void **state)
{
    (void)state;
    ops_bundle *b = fresh(NULL);
    const char *const ids[] = {"1", "2", "3"};
    for (int i = 0; i < 60; i++) {
        const ops_bundle_span s = {.trace = OPS_SLICE("t"),
                                   .span = ops_slice_str(ids[i % 3]),
                                   .parent = ops_slice_str(ids[(i + i / 20) % 3]),
                                   .component = ops_slice_str(i % 2 ? "a" : "b"),
                                   .operation = OPS_SLICE("o"),
                                   .start_s = i,
                                   .duration_s = 50};
        assert_int_equal(ops_bundle_add_span(b, &s, NULL), OPS_OK);
    }
    ops_rank *r = ranked(b, 30);
    assert_int_equal(ops_rank_count(r), 2);
    ops_rank_free(r);
    ops_bundle_free(b);
}

/* One component alone, nothing after, nothing before: a ranking all the same. */
static void there_may_be_nothing_to_compare(void **state)
{
    (void)state;
    for (double at = -100; at <= 200; at += 100) {
        ops_bundle *b = fresh(NULL);
        for (int i = 0; i < 50; i++)
            put(b, "only", "m", i, i % 7);
        ops_rank *r = ranked(b, at);
        assert_int_equal(ops_rank_count(r), 1);
        assert_true(isfinite(ops_rank_at(r, 0)->score));
        ops_rank_free(r);
        ops_bundle_free(b);
    }
}

/* A counter of busy work grows by itself; only a change of its rate is news. */
static void counters_are_judged_by_their_rate(void **state)
{
    (void)state;
    ops_bundle *b = fresh(NULL);
    for (int i = 0; i < 200; i++) {
        put(b, "steady", "events_total", i, i < 150 ? 10.0 * i : 10.0 * (i - 150)); /* restarted at 150 */
        put(b, "hurried", "events_total", i, i < 150 ? 10.0 * i : 1500 + 80.0 * (i - 150));
    }
    ops_rank *r = ranked(b, 150);
    assert_true(ops_slice_eq(ops_rank_at(r, 0)->component, OPS_SLICE("hurried")));
    assert_true(ops_rank_at(r, 0)->score > 1);
    assert_true(ops_rank_at(r, 1)->score < 0.5);
    ops_rank_free(r);
    ops_bundle_free(b);
}

/* What is told of two components alike is told of their machine. */
static void what_all_share_blames_nobody(void **state)
{
    (void)state;
    ops_bundle *b = fresh(NULL);
    const char *const names[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 120; i++)
        for (int c = 0; c < 4; c++)
            put(b, names[c], "machine", i, i < 60 ? 10 + i % 3 : 100 + i % 3);
    ops_rank *r = ranked(b, 60);
    assert_true(ops_rank_at(r, 0)->score < 0.1);
    ops_rank_free(r);
    ops_bundle_free(b);
}

static void stems_and_names(void **state)
{
    (void)state;
    static const struct {
        const char *component, *stem;
    } rows[] = {{"shop", "shop"},
                {"shop-579b9bff58-t2dbm", "shop"},
                {"ts-order-service", "ts-order-service"},
                {"order-service-7d4b9-abcde", "order-service"},
                {"db-2", "db-2"},
                {"node4711", "node4711"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(
            ops_slice_eq(ops_name_stem(ops_slice_str(rows[i].component)), ops_slice_str(rows[i].stem)));
    ops_bundle *b = fresh(NULL);
    put(b, "cache", "m", 1, 1);
    put(b, "cache-store-5f6585d649-x", "m", 1, 1);
    put(b, "ab", "m", 1, 1);
    assert_int_equal(ops_bundle_seal(b, NULL), OPS_OK);
    assert_int_equal(ops_name_find(b, OPS_SLICE("CACHE get"), OPS_NAMED_NONE), 1);
    assert_int_equal(ops_name_find(b, OPS_SLICE("api.Cache-Store/Get"), OPS_NAMED_NONE), 2);
    assert_int_equal(ops_name_find(b, OPS_SLICE("a CacheError"), OPS_NAMED_NONE), 1);
    assert_int_equal(ops_name_find(b, OPS_SLICE("cached"), OPS_NAMED_NONE), OPS_NAMED_NONE);
    assert_int_equal(ops_name_find(b, OPS_SLICE("cache get"), 1), OPS_NAMED_NONE);
    assert_int_equal(ops_name_find(b, OPS_SLICE("ab get"), OPS_NAMED_NONE), OPS_NAMED_NONE);
    ops_bundle_free(b);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    world_options o = small;
    o.past_s = 60;
    o.rest_s = 30;
    world_truth truth;
    long live = ops_alloc_live();
    bool done = false;
    for (long nth = 1; !done; nth++) {
        ops_bundle *b = NULL;
        ops_rank *r = NULL;
        ops_alloc_fail_at(nth);
        ops_status st = world_make(&o, &b, &truth);
        if (st == OPS_OK)
            st = ops_rank_new(b, truth.at_s, &r, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        done = st == OPS_OK;
        ops_rank_free(r);
        ops_bundle_free(b);
        assert_int_equal(ops_alloc_live(), live);
        assert_true(nth < 100000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_of_rows_does_not_matter),
        cmocka_unit_test(the_score_is_the_sum_of_its_terms_and_every_term_has_words),
        cmocka_unit_test(rubbish_is_counted_and_left_out),
        cmocka_unit_test(limits_drop_and_count),
        cmocka_unit_test(spans_may_be_their_own_parents_and_share_ids),
        cmocka_unit_test(there_may_be_nothing_to_compare),
        cmocka_unit_test(counters_are_judged_by_their_rate),
        cmocka_unit_test(what_all_share_blames_nobody),
        cmocka_unit_test(stems_and_names),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
