/* Sketches against plain counting: the bounds are those of the papers that the headers name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>

#include "base/mem/alloc.h"
#include "base/sketch/hll.h"
#include "base/sketch/quant.h"
#include "base/sketch/topk.h"
#include "base/text/codec.h"
#include "base/text/hash.h"

static uint64_t seed = 1;

static uint64_t next(void)
{
    return ops_hash_mix(seed += 0x9e3779b97f4a7c15ull);
}

static double unit(void)
{
    return (double)(next() >> 11) * 0x1p-53;
}

/* ---- distinct ---- */

static void few_distinct_values_are_counted_exactly(void **state)
{
    (void)state;
    ops_hll h;
    ops_hll_init(&h);
    assert_int_equal(ops_hll_count(&h), 0);
    for (uint64_t round = 0; round < 3; round++)
        for (uint64_t i = 0; i < OPS_HLL_LIST_MAX; i++)
            assert_int_equal(ops_hll_add(&h, ops_hash_mix(i + 1)), OPS_OK);
    assert_int_equal(ops_hll_count(&h), OPS_HLL_LIST_MAX);
    ops_hll_done(&h);
}

/* Relative root mean square error over many streams against 1.04 / sqrt(256), one tenth allowed on top. */
static void the_distinct_error_is_that_of_the_paper(void **state)
{
    (void)state;
    static const size_t sizes[] = {40, 100, 300, 1000, 10000, 100000};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t runs = sizes[s] > 20000 ? 40 : 400;
        double squares = 0, bias = 0;
        for (size_t r = 0; r < runs; r++) {
            ops_hll h;
            ops_hll_init(&h);
            for (size_t i = 0; i < sizes[s]; i++)
                assert_int_equal(ops_hll_add(&h, next()), OPS_OK);
            double e = (double)ops_hll_count(&h) / (double)sizes[s] - 1;
            squares += e * e;
            bias += e;
            ops_hll_done(&h);
        }
        double rms = sqrt(squares / (double)runs), allowed = 1.04 / 16 * (runs < 100 ? 1.4 : 1.1);
        if (rms > allowed || fabs(bias / (double)runs) > 4 * allowed / sqrt((double)runs))
            fail_msg("%zu distinct: error %.3f of %.3f, bias %.4f", sizes[s], rms, allowed,
                     bias / (double)runs);
    }
}

static void merged_distinct_counts_are_those_of_one_stream(void **state)
{
    (void)state;
    for (size_t na = 0; na < 100; na += 7) {
        for (size_t nb = 0; nb < 100; nb += 11) {
            ops_hll a, b, both;
            ops_hll_init(&a);
            ops_hll_init(&b);
            ops_hll_init(&both);
            for (size_t i = 0; i < na; i++) {
                assert_int_equal(ops_hll_add(&a, ops_hash_mix(i + 1)), OPS_OK);
                assert_int_equal(ops_hll_add(&both, ops_hash_mix(i + 1)), OPS_OK);
            }
            for (size_t i = 0; i < nb; i++) {
                assert_int_equal(ops_hll_add(&b, ops_hash_mix(i + 50)), OPS_OK);
                assert_int_equal(ops_hll_add(&both, ops_hash_mix(i + 50)), OPS_OK);
            }
            assert_int_equal(ops_hll_merge(&a, &b), OPS_OK);
            assert_int_equal(ops_hll_count(&a), ops_hll_count(&both));
            ops_hll_done(&a);
            ops_hll_done(&b);
            ops_hll_done(&both);
        }
    }
}

/* ---- commonest ---- */

static void add_word(ops_topk *t, const char *w, uint64_t weight)
{
    ops_slice s = ops_slice_str(w);
    assert_int_equal(ops_topk_add(t, s, ops_hash64(s.p, s.n, 0), weight), OPS_OK);
}

static void up_to_eight_values_are_exact_and_in_order(void **state)
{
    (void)state;
    static const char *const words[] = {"h", "g", "f", "e", "d", "c", "b", "a"};
    ops_topk t;
    ops_topk_init(&t);
    for (size_t i = 0; i < 8; i++)
        add_word(&t, words[i], i < 2 ? 5 : i);
    ops_topk_entry e[OPS_TOPK_ENTRIES_MAX];
    assert_int_equal(ops_topk_get(&t, e), 8);
    assert_true(ops_slice_eq(e[0].value, OPS_SLICE("a")) && e[0].count == 7 && e[0].error == 0);
    assert_true(ops_slice_eq(e[2].value, OPS_SLICE("c")) && e[2].count == 5); /* c, g, h: equal, by value */
    assert_true(ops_slice_eq(e[4].value, OPS_SLICE("h")) && e[4].count == 5);
    ops_topk_done(&t);
}

static void long_values_are_cut_between_code_points(void **state)
{
    (void)state;
    char text[80];
    ops_topk t;
    ops_topk_init(&t);
    memset(text, 'x', sizeof text);
    for (size_t i = 47; i + 2 < sizeof text; i += 3)
        memcpy(text + i, "\xE4\xB8\xAD", 3);
    assert_int_equal(ops_topk_add(&t, ops_slice_of(text, 77), 1, 1), OPS_OK);
    assert_int_equal(ops_topk_add(&t, ops_slice_of(text, 74), 2, 1),
                     OPS_OK); /* another value with the same head */
    ops_topk_entry e[OPS_TOPK_ENTRIES_MAX];
    assert_int_equal(ops_topk_get(&t, e), 2);
    assert_int_equal(e[0].value.n, 47);
    ops_topk_done(&t);
}

/* Zipf over 500 values in two sketches, merged: no count below the truth, none above it by more than its error, errors
 * within total / 8, and every value above total / 8 present. */
static void commonest_values_keep_their_promises_through_merges(void **state)
{
    (void)state;
    for (unsigned run = 0; run < 40; run++) {
        ops_topk part[4];
        uint64_t truth[500] = {0}, total = 0;
        for (size_t i = 0; i < 4; i++)
            ops_topk_init(&part[i]);
        for (size_t i = 0; i < 4000; i++) {
            size_t v = (size_t)(1 / (unit() * 0.997 + 0.002)) - 1;
            char name[16];
            (void)snprintf(name, sizeof name, "v%zu", v);
            add_word(&part[next() % 4], name, 1 + v % 3);
            truth[v] += 1 + v % 3;
            total += 1 + v % 3;
        }
        for (size_t i = 1; i < 4; i++)
            assert_int_equal(ops_topk_merge(&part[0], &part[i]), OPS_OK);
        ops_topk_entry e[OPS_TOPK_ENTRIES_MAX];
        size_t n = ops_topk_get(&part[0], e);
        bool present[500] = {0};
        for (size_t i = 0; i < n; i++) {
            uint64_t v;
            assert_true(ops_slice_to_u64(ops_slice_sub(e[i].value, 1, e[i].value.n - 1), &v) && v < 500);
            present[v] = true;
            assert_true(e[i].count >= truth[v]);
            assert_true(e[i].count - e[i].error <= truth[v]);
            assert_true(e[i].error <= total / 8);
        }
        for (size_t v = 0; v < 500; v++)
            assert_true(present[v] || truth[v] <= total / 8);
        for (size_t i = 0; i < 4; i++)
            ops_topk_done(&part[i]);
    }
}

/* ---- quantiles ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double draw(unsigned kind)
{
    double u = unit();
    switch (kind) {
    case 0:
        return u * 100; /* even */
    case 1:
        return pow(1 - u, -1.5); /* heavy tail */
    case 2:
        return (u - 0.5) * 1e6; /* both signs */
    case 3:
        return floor(u * 5) - 2; /* few values, zero among them */
    case 4:
        return -exp(u * 40); /* negative over many orders */
    default:
        return (u < 0.5 ? -1 : 1) * exp((unit() - 0.5) * 1400); /* all doubles there are */
    }
}

static void check_quantiles(const ops_quant *q, double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    assert_true(q->min == v[0] && q->max == v[n - 1]);
    for (double p = 0; p <= 1; p += 0.01) {
        double truth = v[(size_t)floor(p * (double)(n - 1))], got = ops_quant_at(q, p);
        if (fabs(got - truth) > fabs(truth) * ops_quant_error(q) * (1 + 1e-9))
            fail_msg("p %.2f: %g for %g, promised %.3f", p, got, truth, ops_quant_error(q));
    }
}

static void quantiles_keep_the_error_they_name(void **state)
{
    (void)state;
    enum { N = 5000 };
    static double v[N];
    for (unsigned kind = 0; kind < 6; kind++) {
        ops_quant q, part;
        ops_quant_init(&q);
        ops_quant_init(&part);
        for (size_t i = 0; i < N; i++) {
            v[i] = draw(kind);
            assert_int_equal(ops_quant_add(i % 3 == 0 ? &part : &q, v[i], 1), OPS_OK);
        }
        assert_int_equal(ops_quant_merge(&q, &part), OPS_OK);
        assert_int_equal(q.total, N);
        assert_true(q.bins <= OPS_QUANT_BINS_MAX);
        check_quantiles(&q, v, N);
        ops_quant_done(&q);
        ops_quant_done(&part);
    }
}

static void within_a_factor_of_three_the_error_is_one_percent(void **state)
{
    (void)state;
    ops_quant q;
    ops_quant_init(&q);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(ops_quant_add(&q, 100 + i * 0.2, 1), OPS_OK);
    assert_true(ops_quant_error(&q) < 0.0101);
    ops_quant_done(&q);
}

static void what_is_no_number_is_refused(void **state)
{
    (void)state;
    ops_quant q;
    ops_quant_init(&q);
    assert_true(isnan(ops_quant_at(&q, 0.5)));
    assert_int_equal(ops_quant_add(&q, NAN, 1), OPS_EINVAL);
    assert_int_equal(ops_quant_add(&q, INFINITY, 1), OPS_EINVAL);
    assert_int_equal(ops_quant_add(&q, 1, 0), OPS_EINVAL);
    assert_int_equal(q.total, 0);
    static const double odd[] = {DBL_MAX, -DBL_MAX, DBL_TRUE_MIN, -DBL_TRUE_MIN, DBL_MIN, 0.0, -0.0};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        assert_int_equal(ops_quant_add(&q, odd[i], 1), OPS_OK);
    assert_true(ops_quant_at(&q, 0) == -DBL_MAX && ops_quant_at(&q, 1) == DBL_MAX);
    assert_true(ops_quant_at(&q, 0.5) == 0);
    ops_quant_done(&q);
}

/* Counts past 32 bits a bin are halved together; the median stays where three quarters of the weight are. */
static void weights_past_32_bits_keep_their_ratios(void **state)
{
    (void)state;
    ops_quant q;
    ops_quant_init(&q);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(ops_quant_add(&q, 10, UINT64_C(3) << 34), OPS_OK);
        assert_int_equal(ops_quant_add(&q, 20, UINT64_C(1) << 34), OPS_OK);
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(ops_quant_add(&q, 15, 1), OPS_OK);
    assert_int_equal(q.total, (UINT64_C(256) << 34) + 1000);
    assert_true(fabs(ops_quant_at(&q, 0.74) - 10) < 0.11);
    assert_true(fabs(ops_quant_at(&q, 0.76) - 20) < 0.21);
    assert_int_equal(ops_quant_add(&q, 1, UINT64_MAX), OPS_OK);
    assert_int_equal(q.total, UINT64_MAX);
    ops_quant_done(&q);
}

/* ---- records ---- */

typedef struct trio {
    ops_hll h;
    ops_topk t;
    ops_quant q;
} trio;

static void trio_init(trio *x)
{
    ops_hll_init(&x->h);
    ops_topk_init(&x->t);
    ops_quant_init(&x->q);
}

static void trio_done(trio *x)
{
    ops_hll_done(&x->h);
    ops_topk_done(&x->t);
    ops_quant_done(&x->q);
}

static ops_status trio_add(trio *x, uint64_t v)
{
    char text[24];
    int n = snprintf(text, sizeof text, "value %llu", (unsigned long long)v);
    ops_status st = ops_hll_add(&x->h, ops_hash_mix(v));
    if (st == OPS_OK)
        st = ops_topk_add(&x->t, ops_slice_of(text, (size_t)n), ops_hash_mix(v), 1);
    return st == OPS_OK ? ops_quant_add(&x->q, (double)v - 30, 1) : st;
}

static void trio_save(const trio *x, ops_strbuf *b)
{
    ops_hll_save(&x->h, b);
    ops_topk_save(&x->t, b);
    ops_quant_save(&x->q, b);
    assert_false(b->failed);
}

static ops_status trio_load(trio *x, ops_slice *rest)
{
    ops_status st = ops_hll_load(&x->h, rest);
    if (st == OPS_OK)
        st = ops_topk_load(&x->t, rest);
    return st == OPS_OK ? ops_quant_load(&x->q, rest) : st;
}

static void records_come_back_as_they_were(void **state)
{
    (void)state;
    for (uint64_t n = 0; n < 300; n = n * 2 + 1) {
        trio x, y;
        ops_strbuf a, b;
        ops_strbuf_init(&a, 4096);
        ops_strbuf_init(&b, 4096);
        trio_init(&x);
        trio_init(&y);
        for (uint64_t i = 0; i < n; i++)
            assert_int_equal(trio_add(&x, i), OPS_OK);
        trio_save(&x, &a);
        ops_strbuf_str(&a, "rest");
        ops_slice rest = ops_strbuf_get(&a);
        assert_int_equal(trio_load(&y, &rest), OPS_OK);
        assert_true(ops_slice_eq(rest, OPS_SLICE("rest")));
        for (uint64_t i = n; i < n + 50; i++) { /* and go on alike */
            assert_int_equal(trio_add(&x, i * 7), OPS_OK);
            assert_int_equal(trio_add(&y, i * 7), OPS_OK);
        }
        ops_strbuf_clear(&a);
        trio_save(&x, &a);
        trio_save(&y, &b);
        assert_true(ops_slice_eq(ops_strbuf_get(&a), ops_strbuf_get(&b)));
        trio_done(&x);
        trio_done(&y);
        ops_strbuf_done(&a);
        ops_strbuf_done(&b);
    }
}

/* Every cut and every changed byte: loads or is refused, and what loads can be used. */
static void bad_records_are_refused(void **state)
{
    (void)state;
    trio x;
    ops_strbuf a, b;
    ops_strbuf_init(&a, 4096);
    ops_strbuf_init(&b, 4096);
    trio_init(&x);
    for (uint64_t i = 0; i < 70; i++)
        assert_int_equal(trio_add(&x, i), OPS_OK);
    trio_save(&x, &a);
    for (size_t cut = 0; cut < a.n; cut++) {
        OPS_AUTO(ops_free_str) char *copy = ops_memdup(a.p, cut + 1);
        trio y;
        trio_init(&y);
        ops_slice rest = ops_slice_of(copy, cut);
        assert_int_equal(trio_load(&y, &rest), OPS_ECORRUPT);
        trio_done(&y);
    }
    for (size_t i = 0; i < 40 * a.n; i++) {
        OPS_AUTO(ops_free_str) char *copy = ops_memdup(a.p, a.n);
        copy[i % a.n] = (char)next();
        trio y;
        trio_init(&y);
        ops_slice rest = ops_slice_of(copy, a.n);
        if (trio_load(&y, &rest) == OPS_OK) {
            assert_int_equal(trio_add(&y, 1000), OPS_OK);
            ops_strbuf_clear(&b);
            trio_save(&y, &b);
            assert_true(ops_quant_at(&y.q, 0.5) >= y.q.min && ops_quant_at(&y.q, 0.5) <= y.q.max);
        }
        trio_done(&y);
    }
    trio_done(&x);
    ops_strbuf_done(&a);
    ops_strbuf_done(&b);
}

static void without_memory_a_sketch_stays_whole(void **state)
{
    (void)state;
    long live = ops_alloc_live();
    for (long nth = 1; nth < 40; nth++) {
        trio x, y;
        trio_init(&x);
        trio_init(&y);
        ops_alloc_fail_at(nth);
        for (uint64_t i = 0; i < 60; i++)
            (void)trio_add(i % 2 == 0 ? &x : &y, i);
        ops_status merged[] = {ops_hll_merge(&x.h, &y.h), ops_topk_merge(&x.t, &y.t),
                               ops_quant_merge(&x.q, &y.q)};
        for (size_t i = 0; i < 3; i++)
            assert_true(merged[i] == OPS_OK || merged[i] == OPS_ENOMEM);
        ops_alloc_fail_at(0);
        for (uint64_t i = 0; i < 60; i++)
            assert_int_equal(trio_add(&x, i), OPS_OK);
        assert_true(ops_hll_count(&x.h) > 40);
        assert_int_equal(ops_hll_bytes(&x.h), 256);
        assert_true(ops_topk_bytes(&x.t) <= 600 && ops_quant_bytes(&x.q) <= 512);
        trio_done(&x);
        trio_done(&y);
    }
    assert_int_equal(ops_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_distinct_values_are_counted_exactly),
        cmocka_unit_test(the_distinct_error_is_that_of_the_paper),
        cmocka_unit_test(merged_distinct_counts_are_those_of_one_stream),
        cmocka_unit_test(up_to_eight_values_are_exact_and_in_order),
        cmocka_unit_test(long_values_are_cut_between_code_points),
        cmocka_unit_test(commonest_values_keep_their_promises_through_merges),
        cmocka_unit_test(quantiles_keep_the_error_they_name),
        cmocka_unit_test(within_a_factor_of_three_the_error_is_one_percent),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(weights_past_32_bits_keep_their_ratios),
        cmocka_unit_test(records_come_back_as_they_were),
        cmocka_unit_test(bad_records_are_refused),
        cmocka_unit_test(without_memory_a_sketch_stays_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
