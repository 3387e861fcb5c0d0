/* Changes of shares: probabilities from the definition of the binomial distribution, and how often chance alone is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/text/hash.h"
#include "coordinator/analysis/template/compare.h"

static ops_share_change change(uint64_t a, uint64_t n, uint64_t b, uint64_t m, size_t compared, double *p)
{
    double ratio;
    const ops_share s = {a, n, b, m};
    return ops_share_compare(&s, compared, &ratio, p);
}

static void the_p_value_is_the_exact_one(void **state)
{
    double p;
    (void)state;
    (void)change(1, 100, 9, 100, 1, &p); /* 2 * P(X >= 9), X ~ Bin(10, 1/2) = 2 * 11 / 1024 */
    assert_true(fabs(p - 22.0 / 1024) < 1e-12);
    (void)change(0, 300, 4, 100, 1, &p); /* 2 * (1/4)^4 */
    assert_true(fabs(p - 2.0 / 256) < 1e-12);
    (void)change(5, 100, 5, 100, 1, &p);
    assert_true(p == 1);
    (void)change(1000000000, UINT64_C(2000000000), 1000100000, UINT64_C(2000000000), 1, &p);
    assert_true(fabs(p - erfc(100000 / sqrt(2000100000.0) / sqrt(2))) < 1e-3); /* the normal limit */
}

static void the_rule(void **state)
{
    double p;
    (void)state;
    assert_int_equal(change(0, 1000, 1, 1000, 50, &p), OPS_SHARE_NEW);
    assert_int_equal(change(3, 1000, 0, 1000, 50, &p), OPS_SHARE_SAME); /* chance 1/8 */
    assert_int_equal(change(7, 1000, 0, 1000, 50, &p), OPS_SHARE_GONE); /* chance 1/128 */
    assert_int_equal(change(7, 1000, 0, 10, 50, &p), OPS_SHARE_SAME);   /* too few new lines to tell */
    assert_int_equal(change(100, 1000, 300, 1000, 50, &p), OPS_SHARE_UP);
    assert_int_equal(change(300, 1000, 100, 1000, 50, &p), OPS_SHARE_DOWN);
    assert_int_equal(change(3, 1000, 9, 1000, 50, &p), OPS_SHARE_SAME); /* three times, and may be chance */
    assert_int_equal(change(100000, 1000000, 120000, 1000000, 50, &p), OPS_SHARE_SAME); /* sure, and small */
    assert_int_equal(change(100, 1000, 1000, 10000, 50, &p), OPS_SHARE_SAME);           /* the same share */
    assert_int_equal(change(5, 5, 0, 0, 1, &p), OPS_SHARE_SAME);
    assert_int_equal(change(0, 0, 5, 5, 1, &p), OPS_SHARE_NEW);
}

/* 200 comparisons of 40 templates drawn twice from the same shares: by the rule at most 1 in 100 tells of a change. */
static void chance_alone_is_hardly_ever_told(void **state)
{
    uint64_t seed = 7;
    size_t told = 0;
    (void)state;
    for (int run = 0; run < 200; run++) {
        uint64_t count[2][40] = {{0}};
        for (int i = 0; i < 4000; i++) {
            double u = (double)(ops_hash_mix(seed += 0x9e3779b97f4a7c15ull) >> 11) * 0x1p-53;
            count[i & 1][(size_t)(40 * u * u)]++;
        }
        bool any = false;
        for (size_t t = 0; t < 40; t++) {
            double p;
            ops_share_change c = change(count[0][t], 2000, count[1][t], 2000, 40, &p);
            any |= c == OPS_SHARE_UP || c == OPS_SHARE_DOWN;
        }
        told += any;
    }
    assert_true(told <= 4);
}

static void a_pattern_covers_what_it_stands_for(void **state)
{
    (void)state;
    assert_true(ops_template_covers(OPS_SLICE("user <*> logged in"), OPS_SLICE("user bob logged in")));
    assert_true(ops_template_covers(OPS_SLICE("user <*> logged in"), OPS_SLICE("user <*> logged in")));
    assert_true(ops_template_covers(OPS_SLICE("took <*>"), OPS_SLICE("took 5 ms")));
    assert_true(ops_template_covers(OPS_SLICE("<*> a <*>"), OPS_SLICE("x a a a y")));
    assert_false(ops_template_covers(OPS_SLICE("took <*>"), OPS_SLICE("took ")));
    assert_false(ops_template_covers(OPS_SLICE("took <*>"), OPS_SLICE("takes 5")));
    assert_false(ops_template_covers(OPS_SLICE("user bob logged in"), OPS_SLICE("user <*> logged in")));
    assert_false(ops_template_covers(OPS_SLICE("<*>"), OPS_SLICE("anything")));
    assert_false(ops_template_covers(OPS_SLICE("<*>: <*>"), OPS_SLICE("a: b")));
    assert_false(ops_template_covers(OPS_SLICE("a <*> b"), OPS_SLICE("a x c")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_p_value_is_the_exact_one),
        cmocka_unit_test(the_rule),
        cmocka_unit_test(chance_alone_is_hardly_ever_told),
        cmocka_unit_test(a_pattern_covers_what_it_stands_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
