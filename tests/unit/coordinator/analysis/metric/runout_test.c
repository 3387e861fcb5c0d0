/* Forecasts of what runs out: right, with an interval that holds what it says, and silent when nothing is certain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/analysis/metric/runout.h"
#include "tests/unit/coordinator/analysis/metric/synth.h"

/* A use that starts at 100 and grows by `per_s`, with noise; asked after `n` samples of 60 s. */
static void grow(ops_runout *r, uint64_t seed, double per_s, double noise, double alike, int n)
{
    synth s = {.state = seed};
    double e = 0;
    ops_runout_init(r, 0);
    for (int i = 0; i < n; i++) {
        e = alike * e + sqrt(1 - alike * alike) * synth_noise(&s);
        ops_runout_add(r, START_NS + (int64_t)i * 60 * SECOND_NS, 100 + per_s * 60 * i + noise * e);
    }
}

static void a_straight_line_is_told_exactly(void **state)
{
    (void)state;
    ops_runout r;
    ops_runout_forecast f;
    grow(&r, 1, 0.01, 0, 0, 100);
    double now = 100 + 0.6 * 99;
    ops_runout_ask(&r, now + 108, false, &f);
    assert_true(f.certain && !f.reached);
    assert_true(fabs(f.in_s - 10800) < 1 && f.high_s - f.low_s < 1);
    assert_true(fabs(f.per_s - 0.01) < 1e-9);
    ops_runout_ask(&r, now - 1, false, &f);
    assert_true(f.reached && !f.certain);
    ops_runout_ask(&r, 0, true, &f); /* free space that grows never ends */
    assert_true(!f.certain && !f.reached);
}

static void free_space_falls_to_nothing(void **state)
{
    (void)state;
    ops_runout r;
    ops_runout_forecast f;
    grow(&r, 1, -0.005, 0.5, 0, 200);
    double left = 100 - 0.3 * 199;
    ops_runout_ask(&r, 0, true, &f);
    assert_true(f.certain && f.per_s < 0);
    assert_true(f.low_s <= left / 0.005 && left / 0.005 <= f.high_s);
}

/* 95 % says the interval: of 400 worlds at least 88 % hold the truth, with noise alone and with noise that clings. */
static void intervals_hold_what_they_say(void **state)
{
    (void)state;
    const double alike[] = {0, 0.7};
    const int samples[] = {40, 240, 1500};
    for (int a = 0; a < 2; a++)
        for (int k = 0; k < 3; k++) {
            int n = samples[k], held = 0, certain = 0;
            double width = 0, truth = 500 / (0.05 * 60) * 60;
            for (uint64_t seed = 1; seed <= 400; seed++) {
                ops_runout r;
                ops_runout_forecast f;
                grow(&r, seed, 0.05, 10, alike[a], n);
                ops_runout_ask(&r, 100 + 3.0 * (n - 1) + 500, false, &f);
                certain += f.certain;
                held += f.certain && f.low_s <= truth && truth <= f.high_s;
                width += f.certain && isfinite(f.high_s) ? (f.high_s - f.low_s) / truth : 0;
            }
            assert_true(certain >= (n > 40 ? 400 : 200));
            assert_true(held >= 0.88 * certain);
            assert_true(n == 40 || width / certain < 0.6); /* and is of use */
        }
}

static void nothing_is_told_of_what_does_not_grow(void **state)
{
    (void)state;
    int told = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        ops_runout r;
        ops_runout_forecast f;
        grow(&r, seed, 0, 5, 0, 500);
        ops_runout_ask(&r, 200, false, &f);
        told += f.certain;
    }
    assert_true(told <= 12); /* one side of 95 %: 5 are expected */
    ops_runout r;
    ops_runout_forecast f;
    grow(&r, 1, 1, 0, 0, OPS_RUNOUT_SAMPLES_MIN - 1);
    ops_runout_ask(&r, 1e9, false, &f);
    assert_false(f.certain);
}

static void a_new_slope_is_followed(void **state)
{
    (void)state;
    ops_runout r;
    ops_runout_forecast f;
    synth s = {.state = 3};
    ops_runout_init(&r, 60);
    double x = 0;
    for (int i = 0; i < 1000; i++) {
        x += i < 600 ? 0.1 : 2;
        ops_runout_add(&r, START_NS + (int64_t)i * 60 * SECOND_NS, x + synth_noise(&s));
    }
    ops_runout_ask(&r, x + 200, false, &f);
    assert_true(f.certain && fabs(f.in_s - 6000) < 300);
}

static void hostile_samples_are_left_out(void **state)
{
    (void)state;
    ops_runout a, b;
    ops_runout_forecast fa, fb;
    grow(&a, 1, 0.01, 1, 0, 100);
    b = a;
    ops_runout_add(&b, START_NS, 5);
    ops_runout_add(&b, INT64_MAX, NAN);
    ops_runout_add(&b, INT64_MAX, INFINITY);
    ops_runout_add(&b, INT64_MAX, 1e300);
    ops_runout_ask(&a, 300, false, &fa);
    ops_runout_ask(&b, 300, false, &fb);
    assert_memory_equal(&fa, &fb, sizeof fa);
    ops_runout_ask(&a, NAN, false, &fa);
    assert_false(fa.certain || fa.reached);
    ops_runout_add(&b, INT64_MAX, 1e29);
    for (int i = 0; i < 100; i++)
        ops_runout_add(&b, INT64_MAX - 100 + i, -1e29);
    ops_runout_ask(&b, 300, false, &fb);
    assert_false(isnan(fb.in_s) || isnan(fb.low_s) || isnan(fb.high_s));
}

static void a_forecast_has_words(void **state)
{
    (void)state;
    ops_strbuf text;
    ops_strbuf_init(&text, 200);
    ops_runout_forecast f = {.certain = true, .in_s = 10800, .low_s = 9600, .high_s = 12000};
    ops_runout_words(&f, &text);
    assert_string_equal(text.p, "full in 3 h 0 min, between 2 h 40 min and 3 h 20 min");
    ops_strbuf_clear(&text);
    f = (ops_runout_forecast){.certain = true, .in_s = 90, .low_s = 30, .high_s = INFINITY};
    ops_runout_words(&f, &text);
    assert_string_equal(text.p, "full in 90 s, between 30 s and years");
    ops_strbuf_clear(&text);
    f = (ops_runout_forecast){.reached = true};
    ops_runout_words(&f, &text);
    ops_strbuf_char(&text, ' ');
    f.reached = false;
    ops_runout_words(&f, &text);
    assert_string_equal(text.p, "full now not filling");
    ops_strbuf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_straight_line_is_told_exactly),
        cmocka_unit_test(free_space_falls_to_nothing),
        cmocka_unit_test(intervals_hold_what_they_say),
        cmocka_unit_test(nothing_is_told_of_what_does_not_grow),
        cmocka_unit_test(a_new_slope_is_followed),
        cmocka_unit_test(hostile_samples_are_left_out),
        cmocka_unit_test(a_forecast_has_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
