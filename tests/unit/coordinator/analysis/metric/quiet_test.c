/* The promise: on quiet series of every kind, false alerts stay within twice the budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "coordinator/analysis/metric/baseline.h"
#include "coordinator/analysis/metric/component.h"
#include "tests/unit/coordinator/analysis/metric/synth.h"

enum { SAMPLES = 20000, SEEDS = 4 };

static uint64_t alerts_of(quiet_kind kind, int64_t interval_ns, const ops_baseline_budget *budget)
{
    uint64_t alerts = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        OPS_AUTO(ops_baseline_free) ops_baseline *b = NULL;
        synth s = {.state = seed * 1000 + (uint64_t)kind};
        assert_int_equal(ops_baseline_new(budget, &b, NULL), OPS_OK);
        for (int64_t i = 0; i < SAMPLES; i++) {
            ops_baseline_verdict v;
            int64_t t = START_NS + i * interval_ns;
            assert_int_equal(ops_baseline_add(b, t, synth_quiet(&s, kind, t, i), &v), OPS_OK);
            alerts += v.alert;
        }
    }
    return alerts;
}

/* `promised` alerts in all that a kind of series showed. */
static void within_twice(double promised, int64_t interval_ns, const ops_baseline_budget *budget)
{
    double sum = 0;
    for (quiet_kind kind = 0; kind < QUIET_KINDS; kind++) {
        double alerts = (double)alerts_of(kind, interval_ns, budget);
        sum += alerts;
        if (alerts > 2 * promised)
            fail_msg("kind %d: %.0f false alerts, %.0f are promised", (int)kind, alerts, promised);
    }
    assert_true(sum <= promised * QUIET_KINDS);
}

static void five_minutes_keep_the_budget_in_samples(void **state)
{
    (void)state;
    within_twice(SAMPLES * SEEDS / 1000.0, 300 * SECOND_NS, NULL);
}

static void minutes_keep_the_budget_in_time(void **state)
{
    (void)state;
    within_twice(SAMPLES * SEEDS / 2880.0, 60 * SECOND_NS, NULL); /* minutes of two days */
}

static void a_tighter_budget_is_kept_too(void **state)
{
    (void)state;
    ops_baseline_budget budget = {.samples_per_false_alert = 8000};
    within_twice(SAMPLES * SEEDS / 8000.0, 300 * SECOND_NS, &budget);
}

static void nothing_is_told_while_learning(void **state)
{
    (void)state;
    for (quiet_kind kind = 0; kind < QUIET_KINDS; kind++) {
        OPS_AUTO(ops_baseline_free) ops_baseline *b = NULL;
        synth s = {.state = 5};
        assert_int_equal(ops_baseline_new(NULL, &b, NULL), OPS_OK);
        for (int64_t i = 0; i < 150; i++) {
            ops_baseline_verdict v;
            double x = synth_quiet(&s, kind, START_NS, i);
            assert_int_equal(ops_baseline_add(b, START_NS + i * SECOND_NS, i == 100 ? x * 50 : x, &v),
                             OPS_OK);
            assert_false(v.alert);
            assert_true(v.score == 0);
        }
    }
}

/* Twelve columns that share a day and a load: one budget for the component, not one each. */
static void a_component_has_one_budget(void **state)
{
    (void)state;
    enum { COLUMNS = 12, ROWS = 8000 };
    double promised = 2 * ROWS / 1000.0, alerts = 0;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        OPS_AUTO(ops_component_free) ops_component *c = NULL;
        synth s = {.state = seed};
        assert_int_equal(ops_component_new(COLUMNS, 2000, &c, NULL), OPS_OK);
        for (int64_t i = 0; i < ROWS; i++) {
            double row[COLUMNS], load = 2 * synth_noise(&s);
            int64_t t = START_NS + i * 300 * SECOND_NS;
            for (int j = 0; j < COLUMNS; j++)
                row[j] = 100 + 20 * synth_day(t) + load + synth_noise(&s);
            ops_component_verdict v;
            assert_int_equal(ops_component_add(c, t, row, &v), OPS_OK);
            alerts += v.alert;
        }
    }
    assert_true(alerts <= 2 * promised);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_minutes_keep_the_budget_in_samples),
        cmocka_unit_test(minutes_keep_the_budget_in_time),
        cmocka_unit_test(a_tighter_budget_is_kept_too),
        cmocka_unit_test(nothing_is_told_while_learning),
        cmocka_unit_test(a_component_has_one_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
