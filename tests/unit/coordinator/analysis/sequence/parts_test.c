/* The detectors beside plain twins: Witten-Bell by counting, rules by looking, the conformal threshold by its promise; and
 * held-out judging beside a model that never saw the session. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/analysis/sequence/order.h"
#include "coordinator/analysis/sequence/rules.h"
#include "coordinator/analysis/sequence/tail.h"
#include "tests/support/flows.h"

enum { SESSIONS = 60, LENGTH_MAX = 12 };

static uint32_t data[SESSIONS][LENGTH_MAX + 2]; /* with both marks */
static size_t length[SESSIONS];                 /* with both marks */
static flow rng = {.rng = 11};

static void make_data(void)
{
    for (size_t i = 0; i < SESSIONS; i++) {
        size_t n = 1 + flow_random(&rng, LENGTH_MAX);
        data[i][0] = SEQ_BEGIN;
        for (size_t k = 1; k <= n; k++)
            data[i][k] = SEQ_FIRST + flow_random(&rng, 1 + flow_random(&rng, 6));
        data[i][n + 1] = SEQ_END;
        length[i] = n + 2;
    }
}

static void count(const uint32_t *context, size_t d, uint32_t event, size_t but, double *ret_n,
                  double *ret_after, double *ret_kinds)
{
    bool seen[64] = {0};
    *ret_n = *ret_after = *ret_kinds = 0;
    for (size_t i = 0; i < SESSIONS; i++)
        for (size_t k = 1; i != but && k < length[i]; k++)
            if (k >= d && memcmp(data[i] + k - d, context, d * sizeof *context) == 0) {
                *ret_n += data[i][k] == event;
                ++*ret_after;
                *ret_kinds += !seen[data[i][k]];
                seen[data[i][k]] = true;
            }
}

static double plain_p(const uint32_t *y, size_t at, size_t d, size_t but)
{
    double n, after, kinds;
    count(y + at - d, d, y[at], but, &n, &after, &kinds);
    if (d == 0)
        return (n + 0.5) / (after + 0.5 * (kinds + 1));
    double lower = plain_p(y, at, d - 1, but);
    return after > 0 ? (n + kinds * lower) / (after + kinds) : lower;
}

static double plain_surprise(const uint32_t *y, size_t n, size_t but)
{
    double sum = 0;
    for (size_t at = 1; at < n; at++)
        sum -= log(plain_p(y, at, at < SEQ_CONTEXT ? at : SEQ_CONTEXT, but));
    return sum;
}

static void order_is_witten_bell(void **state)
{
    (void)state;
    seq_order o = {0};
    make_data();
    assert_true(seq_order_init(&o));
    for (size_t i = 0; i < SESSIONS; i++)
        assert_true(seq_order_add(&o, data[i] + 1, length[i] - 2));
    for (size_t i = 0; i < SESSIONS; i++) {
        o.sum = 0;
        seq_order_measure(&o, data[i] + 1, length[i] - 2);
        assert_true(fabs(o.sum - plain_surprise(data[i], length[i], SESSIONS)) < 1e-9);
        o.sum = 0;
        seq_order_drop(&o, data[i] + 1, length[i] - 2);
        seq_order_measure(&o, data[i] + 1, length[i] - 2);
        assert_true(fabs(o.sum - plain_surprise(data[i], length[i], i)) < 1e-9);
        assert_true(seq_order_add(&o, data[i] + 1, length[i] - 2));
    }
    seq_order_done(&o);
}

static void order_points_at_the_place(void **state)
{
    (void)state;
    static const uint32_t normal[] = {3, 4, 5, 6, 3, 4, 5, 6}, odd[] = {3, 4, 5, 6, 3, 6, 5, 6};
    seq_order o = {0};
    assert_true(seq_order_init(&o));
    for (int i = 0; i < 200; i++)
        assert_true(seq_order_add(&o, normal, 8));
    seq_order_measure(&o, normal, 8);
    seq_order_settle(&o);
    assert_true(seq_order_judge(&o, normal, 8).sum == 0);
    assert_int_equal(seq_order_judge(&o, odd, 8).worst, 5);
    assert_int_equal(seq_order_judge(&o, normal, 6).worst, 6);
    uint32_t expected[SEQ_EXPECTED_MAX];
    assert_int_equal(seq_order_expected(&o, odd, 5, 7, expected), 1);
    assert_int_equal(expected[0], 4);
    seq_order_done(&o);
}

static void item(seq_session *s, uint32_t id, uint32_t times, uint32_t first, uint32_t last)
{
    assert_true(ops_vec_push(&s->items, ((seq_item){id, times, first, last})));
}

static void rules_count_and_forget(void **state)
{
    (void)state;
    seq_vocab v = {0};
    assert_int_equal(seq_vocab_init(&v), OPS_OK);
    const uint64_t events[] = {100, 200, 300};
    seq_session normal = {0}, odd = {0}, names = {0};
    assert_true(seq_session_map(&names, &v, events, 3, true));
    for (size_t i = SEQ_FIRST; i < v.sessions.n; i++)
        v.sessions.v[i] = 40;
    seq_rules r = {0};
    assert_true(seq_rules_init(&r, &v));
    item(&normal, 3, 2, 0, 2);
    item(&normal, 4, 2, 1, 3);
    item(&odd, 3, 1, 0, 0);
    seq_broken b[SEQ_BROKEN_MAX];
    size_t n;
    for (int i = 0; i < 39; i++)
        seq_rules_add(&r, &normal, false);
    assert_true(seq_rules_judge(&r, &odd, b, &n) > log(40 / 0.5) - 1e-9);
    assert_int_equal(b[0].rule, SEQ_RULE_WITH);
    assert_int_equal(b[0].a, 3);
    assert_int_equal(b[0].b, 4);
    seq_rules_add(&r, &odd, false);
    seq_rules_judge(&r, &odd, b, &n);
    assert_true(fabs(b[0].ratio - 41 / 1.5) < 1e-9);
    seq_rules_add(&r, &odd, true);
    seq_rules_judge(&r, &odd, b, &n);
    assert_true(fabs(b[0].ratio - 40 / 0.5) < 1e-9);
    seq_rules_done(&r);
    seq_session_done(&normal);
    seq_session_done(&odd);
    seq_session_done(&names);
    seq_vocab_done(&v);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void threshold_keeps_its_share(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 400; n++)
        for (int k = 0; k < 3; k++) {
            const double share = k == 0 ? 0.002 : k == 1 ? 0.01 : 0.2;
            double x[400];
            for (size_t i = 0; i < n; i++)
                x[i] = flow_random(&rng, 50);
            double t = seq_tail_threshold(x, n, share), above = 0;
            for (size_t i = 0; i < n; i++)
                above += x[i] > t;
            assert_true(above <= share * ((double)n + 1));
        }
}

static void levels_rise_with_the_value(void **state)
{
    (void)state;
    double x[1000], sorted[1000];
    for (size_t i = 0; i < 1000; i++)
        x[i] = -log(1 - flow_share(&rng)); /* exponential: the tail's own shape */
    memcpy(sorted, x, sizeof x);
    qsort(sorted, 1000, sizeof *sorted, ascending);
    seq_tail t;
    seq_tail_fit(&t, x, 1000);
    assert_true(seq_tail_level(&t, -1) == 0);
    assert_true(fabs(seq_tail_level(&t, sorted[500]) - log10(2)) < 0.01);
    double before = 0;
    for (double v = 0; v < 30; v += 0.05) {
        assert_true(seq_tail_level(&t, v) >= before - 0.05);
        before = seq_tail_level(&t, v);
    }
    assert_true(fabs(seq_tail_level(&t, 14) - 14 / log(10)) < 1.5); /* P(X > 14) = e^-14 */
    /* held out means fitted without it; values below the tail take no part in its shape */
    double odd[100], rest[99];
    for (size_t i = 0; i < 99; i++)
        odd[i] = rest[i] = (double)i;
    odd[99] = 400;
    seq_tail with, without;
    seq_tail_fit(&with, odd, 100);
    seq_tail_fit(&without, rest, 99);
    assert_true(seq_tail_level(&with, 400) < 4 && seq_tail_level(&without, 400) > 30);
    assert_true(seq_tail_level_held_out(&with, 400) > 30);
    assert_true(fabs(seq_tail_level_held_out(&with, 20) - seq_tail_level(&without, 20)) < 0.02);
    double flat[10] = {0};
    seq_tail_fit(&t, flat, 10);
    assert_true(seq_tail_level(&t, 0) == 0);
    assert_true(seq_tail_level(&t, 1) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_witten_bell),       cmocka_unit_test(order_points_at_the_place),
        cmocka_unit_test(rules_count_and_forget),     cmocka_unit_test(threshold_keeps_its_share),
        cmocka_unit_test(levels_rise_with_the_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
