/* Faults of every kind are told in time, told once, and told in words; hostile samples are counted and do no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/analysis/metric/baseline.h"
#include "coordinator/analysis/metric/tail.h"
#include "tests/unit/coordinator/analysis/metric/synth.h"

enum { ONSET = 8000, STEP_S = 300 };

typedef enum fault {
    FAULT_SPIKE,
    FAULT_UP,
    FAULT_DOWN,
    FAULT_DRIFT,
    FAULT_NOISE,
    FAULT_CALM,
    FAULT_STUCK,
    FAULT_ZERO
} fault;

/* What the fault makes of x, `n` samples after its onset; `sd` is the noise of the series. */
static double spoil(fault f, double x, int n, synth *s, double sd, double last)
{
    switch (f) {
    case FAULT_SPIKE:
        return n == 0 ? x + 12 * sd : x;
    case FAULT_UP:
        return x + 6 * sd;
    case FAULT_DOWN:
        return x - 6 * sd;
    case FAULT_DRIFT:
        return x + 0.05 * sd * n;
    case FAULT_NOISE:
        return x + 4 * sd * synth_noise(s);
    case FAULT_CALM:
        return 100 + (x - 100) * 0.05;
    case FAULT_STUCK:
        return last;
    default:
        return 0;
    }
}

typedef struct outcome {
    int delay;  /* samples from the onset to the first alert; -1: none */
    int alerts; /* from the onset on */
    ops_baseline_verdict first;
} outcome;

static outcome run(quiet_kind kind, fault f, double sd, uint64_t seed, int lasts)
{
    outcome got = {.delay = -1};
    OPS_AUTO(ops_baseline_free) ops_baseline *b = NULL;
    synth s = {.state = seed};
    double last = 0;
    assert_int_equal(ops_baseline_new(NULL, &b, NULL), OPS_OK);
    for (int i = 0; i < ONSET + lasts; i++) {
        ops_baseline_verdict v;
        int64_t t = START_NS + (int64_t)i * STEP_S * SECOND_NS;
        double x = synth_quiet(&s, kind, t, i);
        if (i >= ONSET)
            x = spoil(f, x, i - ONSET, &s, sd, last);
        last = x;
        assert_int_equal(ops_baseline_add(b, t, x, &v), OPS_OK);
        if (i < ONSET || !v.alert)
            continue;
        if (got.alerts++ == 0) {
            got.first = v;
            got.delay = i - ONSET;
        }
    }
    return got;
}

/* Of five seeds at most one may miss: it fell into the silence after a false alert. */
static void told_within(quiet_kind kind, fault f, double sd, int samples)
{
    int good = 0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        int delay = run(kind, f, sd, seed * 99, samples + 1).delay;
        good += delay >= 0 && delay <= samples;
    }
    if (good < 4)
        fail_msg("kind %d, fault %d: told in time in %d of 5", (int)kind, (int)f, good);
}

static void spikes_are_told_at_once(void **state)
{
    (void)state;
    const struct {
        quiet_kind kind;
        double sd;
    } all[] = {{QUIET_STEADY, 5},   {QUIET_COUNTS, 2.5}, {QUIET_SPARSE, 1},  {QUIET_DAILY, 5},
               {QUIET_WEEKLY, 5},   {QUIET_HOURLY, 2},   {QUIET_GROWING, 3}, {QUIET_CLINGING, 9},
               {QUIET_SAWTOOTH, 1}, {QUIET_CONSTANT, 1}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        told_within(all[i].kind, FAULT_SPIKE, all[i].sd, 0);
}

static void a_new_level_is_told_soon(void **state)
{
    (void)state;
    told_within(QUIET_STEADY, FAULT_UP, 5, 3);
    told_within(QUIET_STEADY, FAULT_DOWN, 5, 3);
    told_within(QUIET_COUNTS, FAULT_UP, 2.5, 3);
    told_within(QUIET_DAILY, FAULT_UP, 5, 24);
    told_within(QUIET_DAILY, FAULT_DOWN, 5, 24);
    told_within(QUIET_WEEKLY, FAULT_UP, 5, 24);
    told_within(QUIET_HOURLY, FAULT_DOWN, 2, 24);
    told_within(QUIET_GROWING, FAULT_UP, 3, 24);
    told_within(QUIET_CLINGING, FAULT_UP, 9, 24);
    told_within(QUIET_CONSTANT, FAULT_UP, 1, 0);
}

static void what_creeps_and_what_shakes_is_told(void **state)
{
    (void)state;
    told_within(QUIET_STEADY, FAULT_DRIFT, 5, 60);
    told_within(QUIET_DAILY, FAULT_DRIFT, 5, 100);
    told_within(QUIET_STEADY, FAULT_NOISE, 5, 30);
    told_within(QUIET_DAILY, FAULT_NOISE, 5, 30);
    told_within(QUIET_STEADY, FAULT_CALM, 5, 200);
}

static void a_value_that_stands_still_is_told_once(void **state)
{
    (void)state;
    told_within(QUIET_STEADY, FAULT_STUCK, 5, 20);
    told_within(QUIET_HEAVY, FAULT_STUCK, 5, 20);
    told_within(QUIET_DAILY, FAULT_STUCK, 5, 20);
    told_within(QUIET_COUNTS, FAULT_STUCK, 5, 40);
    outcome got = run(QUIET_STEADY, FAULT_STUCK, 5, 99, 1000);
    assert_int_equal(got.alerts, 1);
    assert_int_equal(got.first.kind, OPS_BASELINE_STUCK);
    /* It stands still since the last sample that was good. */
    assert_true(got.first.since_ns == START_NS + (int64_t)(ONSET - 1) * STEP_S * SECOND_NS);
    assert_true(got.first.value == got.delay + 2);
}

static void a_day_that_does_not_come_is_told(void **state)
{
    (void)state;
    told_within(QUIET_DAILY, FAULT_ZERO, 0, 0);
    told_within(QUIET_WEEKLY, FAULT_ZERO, 0, 0);
    told_within(QUIET_HOURLY, FAULT_ZERO, 0, 2);
    told_within(QUIET_SAWTOOTH, FAULT_ZERO, 0, 8);
}

/* A lasting change is one alert, becomes the usual, and a later fault is told again. */
static void a_lasting_change_becomes_the_usual(void **state)
{
    (void)state;
    OPS_AUTO(ops_baseline_free) ops_baseline *b = NULL;
    synth s = {.state = 4};
    int in_change = 0, after = 0, at_end = 0;
    assert_int_equal(ops_baseline_new(NULL, &b, NULL), OPS_OK);
    for (int i = 0; i < 9000; i++) {
        ops_baseline_verdict v;
        double x = synth_quiet(&s, QUIET_STEADY, 0, i) + (i >= 5000 ? 4000 : 0) + (i == 8999 ? 60 : 0);
        assert_int_equal(ops_baseline_add(b, START_NS + (int64_t)i * 60 * SECOND_NS, x, &v), OPS_OK);
        in_change += i >= 5000 && i < 5700 && v.alert;
        after += i >= 5700 && i < 8999 && v.alert;
        at_end += i == 8999 && v.alert;
    }
    ops_baseline_stats st;
    ops_baseline_stats_get(b, &st);
    assert_int_equal(in_change, 1);
    assert_true(after <= 2); /* the budget of 3,299 minutes is 1.1 */
    assert_int_equal(at_end, 1);
    assert_true(fabs(st.level - 4100) < 5);
}

static void periods_are_found(void **state)
{
    (void)state;
    const struct {
        quiet_kind kind;
        double seconds; /* 0: none */
    } all[] = {{QUIET_HOURLY, 7000}, {QUIET_SAWTOOTH, 37 * STEP_S}, {QUIET_STEADY, 0},  {QUIET_SPARSE, 0},
               {QUIET_GROWING, 0},   {QUIET_CLINGING, 0},           {QUIET_CONSTANT, 0}};
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
        OPS_AUTO(ops_baseline_free) ops_baseline *b = NULL;
        synth s = {.state = 12};
        ops_baseline_stats st;
        assert_int_equal(ops_baseline_new(NULL, &b, NULL), OPS_OK);
        for (int i = 0; i < 20000; i++) {
            ops_baseline_verdict v;
            int64_t t = START_NS + (int64_t)i * STEP_S * SECOND_NS;
            assert_int_equal(ops_baseline_add(b, t, synth_quiet(&s, all[k].kind, t, i), &v), OPS_OK);
        }
        ops_baseline_stats_get(b, &st);
        assert_true(fabs((double)st.period_ns / 1e9 - all[k].seconds) <= all[k].seconds * 0.005);
        assert_true(ops_baseline_bytes(b) < 7168);
    }
}

static void hostile_samples_are_counted_and_change_nothing(void **state)
{
    (void)state;
    OPS_AUTO(ops_baseline_free) ops_baseline *clean = NULL, *hurt = NULL;
    synth s = {.state = 8};
    assert_int_equal(ops_baseline_new(NULL, &clean, NULL), OPS_OK);
    assert_int_equal(ops_baseline_new(NULL, &hurt, NULL), OPS_OK);
    for (int i = 0; i < 3000; i++) {
        ops_baseline_verdict a, b, junk;
        int64_t t = START_NS + (int64_t)i * 60 * SECOND_NS;
        double x = synth_quiet(&s, QUIET_DAILY, t, i);
        assert_int_equal(ops_baseline_add(clean, t, x, &a), OPS_OK);
        assert_int_equal(ops_baseline_add(hurt, t, x, &b), OPS_OK);
        assert_true(a.score == b.score && a.alert == b.alert && a.low == b.low && a.high == b.high);
        assert_int_equal(ops_baseline_add(hurt, t + 1, NAN, &junk), OPS_OK);
        assert_int_equal(junk.taken, OPS_BASELINE_NO_NUMBER);
        assert_int_equal(ops_baseline_add(hurt, t + 2, -INFINITY, &junk), OPS_OK);
        assert_int_equal(ops_baseline_add(hurt, t, 1e9, &junk), OPS_OK);
        assert_int_equal(junk.taken, OPS_BASELINE_REPEAT);
        assert_int_equal(ops_baseline_add(hurt, INT64_MIN, 1e9, &junk), OPS_OK);
        assert_int_equal(junk.taken, OPS_BASELINE_LATE);
        assert_true(junk.score == 0 && !junk.alert);
    }
    ops_baseline_stats st;
    ops_baseline_stats_get(hurt, &st);
    assert_int_equal(st.samples, 3000);
    assert_int_equal(st.no_number, 6000);
    assert_int_equal(st.repeated, 3000);
    assert_int_equal(st.late, 3000);
}

/* Any bits as time and value: every answer is finite and in range, and the baseline lives on. */
static void any_bits_are_survived(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        OPS_AUTO(ops_baseline_free) ops_baseline *b = NULL;
        synth s = {.state = seed};
        assert_int_equal(ops_baseline_new(NULL, &b, NULL), OPS_OK);
        for (int i = 0; i < 5000; i++) {
            uint64_t bits = synth_next(&s);
            double x;
            memcpy(&x, &bits, sizeof x);
            int64_t t =
                seed % 2 == 0 ? (int64_t)synth_next(&s) : START_NS + i * (int64_t)(seed * seed * 7919);
            ops_baseline_verdict v;
            assert_int_equal(ops_baseline_add(b, t, x, &v), OPS_OK);
            assert_true(v.score >= 0 && v.score <= OPS_TAIL_SCORE_MAX);
            assert_true(v.taken == OPS_BASELINE_NO_NUMBER || (!isnan(v.low) && !isnan(v.high)));
        }
    }
}

static void a_clock_set_back_is_followed(void **state)
{
    (void)state;
    OPS_AUTO(ops_baseline_free) ops_baseline *b = NULL;
    ops_baseline_verdict v = {0};
    ops_baseline_stats st;
    assert_int_equal(ops_baseline_new(NULL, &b, NULL), OPS_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(ops_baseline_add(b, START_NS + (int64_t)i * SECOND_NS, i, &v), OPS_OK);
    for (int i = 0; i <= OPS_BASELINE_LATE_MAX; i++) {
        assert_int_equal(v.taken, i == 0 ? OPS_BASELINE_TAKEN : OPS_BASELINE_LATE);
        assert_int_equal(ops_baseline_add(b, (int64_t)i * SECOND_NS, i, &v), OPS_OK);
    }
    assert_int_equal(v.taken, OPS_BASELINE_TAKEN);
    ops_baseline_stats_get(b, &st);
    assert_true(st.last_ns == OPS_BASELINE_LATE_MAX * SECOND_NS);
    assert_true(st.interval_ns == SECOND_NS);
    assert_int_equal(st.samples, 101);
}

static void silence_is_noticed(void **state)
{
    (void)state;
    OPS_AUTO(ops_baseline_free) ops_baseline *b = NULL;
    ops_baseline_verdict v;
    assert_int_equal(ops_baseline_new(NULL, &b, NULL), OPS_OK);
    assert_false(ops_baseline_stale(b, START_NS));
    for (int i = 0; i < 100; i++)
        assert_int_equal(ops_baseline_add(b, START_NS + (int64_t)i * 60 * SECOND_NS, i, &v), OPS_OK);
    int64_t last = START_NS + 99 * 60 * SECOND_NS;
    assert_false(ops_baseline_stale(b, last + 299 * SECOND_NS));
    assert_true(ops_baseline_stale(b, last + 306 * SECOND_NS));
    assert_true(ops_baseline_stale(b, INT64_MAX));
    assert_false(ops_baseline_stale(b, INT64_MIN));
}

static void a_verdict_has_words(void **state)
{
    (void)state;
    ops_strbuf text;
    ops_strbuf_init(&text, 1000);
    ops_baseline_verdict v = {
        .kind = OPS_BASELINE_DAY, .score = 4.6F, .value = 812, .low = 300, .high = 420, .since_ns = START_NS};
    ops_baseline_words(&v, OPS_SLICE("requests of web"), &text);
    assert_string_equal(text.p,
                        "requests of web is 812, where 300 to 420 is usual at this time of day, since "
                        "2023-11-14T22:13:20Z; this far out once in 40000 samples");
    ops_strbuf_clear(&text);
    v = (ops_baseline_verdict){.kind = OPS_BASELINE_STUCK, .score = 7.3F, .value = 31, .low = 1, .high = 6.2};
    ops_baseline_words(&v, OPS_SLICE("x"), &text);
    assert_string_equal(text.p, "x has not changed for 31 samples, where at most 7 is usual, since "
                                "1970-01-01T00:00:00Z; this far out once in 20 million samples");
    ops_strbuf_done(&text);
    for (int i = 0; i < OPS_BASELINE_KINDS; i++)
        assert_true(strlen(ops_baseline_kind_name((ops_baseline_kind)i)) > 3);
}

/* The range in a verdict is what the threshold means: samples inside of it are not told. */
static void the_range_is_the_threshold(void **state)
{
    (void)state;
    outcome got = run(QUIET_STEADY, FAULT_SPIKE, 5, 99 * 2, 1);
    assert_int_equal(got.delay, 0);
    assert_true(got.first.low < 100 && got.first.high > 100);
    assert_true(got.first.value > got.first.high);
    assert_true(got.first.high < 100 + 8 * 5 && got.first.high > 100 + 2.5 * 5);
}

static void places_and_magnitudes_are_inverse(void **state)
{
    (void)state;
    float before = -1;
    for (float x = 0.001F; x < 1e9F; x *= 1.07F) {
        float place = ops_tail_place(x);
        assert_true(place >= before && place >= 0 && place < OPS_TAIL_BINS - 1);
        before = place;
        if (x > 0.02F && x < 2e5F)
            assert_true(fabsf(ops_tail_magnitude(place) / x - 1) < 1e-3F);
    }
    assert_true(ops_tail_place(NAN) == 0 && ops_tail_place(-1) == 0);
    assert_true(ops_tail_place(INFINITY) < OPS_TAIL_BINS - 1);
    assert_true(ops_tail_place(1) == 24 && ops_tail_place(2) == 28);
}

/* A Pareto tail with exponent 2: the chance of exceeding x is x^-2. */
static void a_tail_tells_chances(void **state)
{
    (void)state;
    ops_tail t;
    synth s = {.state = 3};
    memset(&t, 0, sizeof t);
    for (int i = 0; i < 50000; i++)
        ops_tail_add(&t, ops_tail_place((float)pow(1 - synth_share(&s), -0.5)));
    assert_true(fabsf(ops_tail_score(&t, ops_tail_place(10), 0, 150) - 2) < 0.2F);
    assert_true(fabsf(ops_tail_score(&t, ops_tail_place(31.6F), 0, 150) - 3) < 0.35F);
    assert_true(fabsf(ops_tail_score(&t, ops_tail_place(1000), 0, 150) - 6) < 1.2F);
    assert_true(fabsf(ops_tail_score(&t, ops_tail_at(&t, 5, 0), 0, 150) - 5) < 0.01F);
    assert_true(ops_tail_score(&t, ops_tail_place(1000), 0, 1000000) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spikes_are_told_at_once),
        cmocka_unit_test(a_new_level_is_told_soon),
        cmocka_unit_test(what_creeps_and_what_shakes_is_told),
        cmocka_unit_test(a_value_that_stands_still_is_told_once),
        cmocka_unit_test(a_day_that_does_not_come_is_told),
        cmocka_unit_test(a_lasting_change_becomes_the_usual),
        cmocka_unit_test(periods_are_found),
        cmocka_unit_test(hostile_samples_are_counted_and_change_nothing),
        cmocka_unit_test(any_bits_are_survived),
        cmocka_unit_test(a_clock_set_back_is_followed),
        cmocka_unit_test(silence_is_noticed),
        cmocka_unit_test(a_verdict_has_words),
        cmocka_unit_test(the_range_is_the_threshold),
        cmocka_unit_test(places_and_magnitudes_are_inverse),
        cmocka_unit_test(a_tail_tells_chances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
