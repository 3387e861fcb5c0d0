#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/cpu/decoder.h"

enum { M = 5, N_MAX = 400 };

static uint32_t seed = 11;
static float a[M * N_MAX], b[M * N_MAX], y[M * N_MAX], first[M * N_MAX], want[M * N_MAX];

static float deviate(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)((int)(seed >> 8 & 0xffff) - 0x8000) * (1.f / 0x1000);
}

static const ops_decoder_level *level(int l)
{
    return ops_quant_has((ops_quant_level)l) ? ops_decoder_at((ops_quant_level)l) : NULL;
}

typedef void rows_fn(const ops_decoder_rows *, int part, int parts);

/* Each level against the formula within `slack` of max(1, |want|), against the others by bits, in three parts. */
static void compare(ops_decoder_rows j, size_t offset, double slack)
{
    size_t all = (size_t)j.m * j.n;
#define PICK(table) (*(rows_fn *const *)(const void *)((const char *)(table) + offset))
    j.y = want;
    PICK (&ops_decoder_exact)(&j, 0, 1);
    for (int l = 0; l < OPS_QUANT_LEVELS; l++) {
        if (!level(l))
            continue;
        memset(y, 0x7f, sizeof y);
        j.y = y;
        for (int p = 3; p-- > 0;)
            PICK(level(l))(&j, p, 3);
        for (size_t i = 0; i < all; i++)
            assert_true(fabs((double)y[i] - want[i]) <= slack * fmax(1, fabs(want[i])));
        if (l == 0)
            memcpy(first, y, sizeof y);
        else
            assert_memory_equal(y, first, sizeof y); /* also: nothing beyond m n is touched */
    }
}

static void fill(void)
{
    for (int i = 0; i < M * N_MAX; i++) {
        a[i] = deviate();
        b[i] = deviate();
    }
}

static void test_rmsnorm(void **state)
{
    (void)state;
    for (int n = 1; n <= N_MAX; n = n * 2 + 3)
        for (int shift = 0; shift < 2; shift++) {
            fill();
            compare((ops_decoder_rows){.m = M, .n = n, .a = a, .b = b, .eps = 1e-5f, .shift = (float)shift},
                    offsetof(ops_decoder_level, rmsnorm), 2e-6);
        }
    float x[] = {3, 4}, gain[] = {1, 2}, out[2]; /* mean of squares 12.5 */
    ops_decoder_rows j = {.m = 1, .n = 2, .a = x, .b = gain, .y = out, .shift = 1};
    ops_decoder_plain.rmsnorm(&j, 0, 1);
    assert_true(fabs(out[0] - 2 * 3 / sqrt(12.5)) < 1e-6 && fabs(out[1] - 3 * 4 / sqrt(12.5)) < 1e-6);
}

static void test_gate(void **state)
{
    (void)state;
    for (int n = 1; n <= N_MAX; n = n * 2 + 5)
        for (int way = 0; way < 4; way++) {
            fill();
            a[0] = way % 2 ? 100 : -100;
            compare((ops_decoder_rows){.m = M, .n = n, .a = a, .b = way < 2 ? b : NULL, .gelu = way % 2},
                    offsetof(ops_decoder_level, gate), 3e-6);
        }
    float x[] = {1, NAN, -INFINITY}, out[3]; /* SiLU(1) = 1 / (1 + 1/e) */
    ops_decoder_rows j = {.m = 1, .n = 3, .a = x, .y = out};
    ops_decoder_plain.gate(&j, 0, 1);
    assert_true(fabs(out[0] - 0.7310585786) < 1e-7 && isnan(out[1]));
}

static void test_rope(void **state)
{
    (void)state;
    int32_t rows[2 * M] = {0, 0, 0, 1, 1, 77, 2, 8191, 3, 5};
    float factors[64], turn[M * 64];
    static const int shapes[][3] = {{24, 3, 8}, {64, 2, 32}, {120, 5, 10}, {400, 5, 64}, {7, 1, 2}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int half_split = 0; half_split < 2; half_split++) {
            fill();
            for (int i = 0; i < 32; i++)
                factors[i] = i < 4 ? 1 : 8;
            ops_decoder_rope_table(M, shapes[s][2], 10000, rows, factors, turn);
            compare((ops_decoder_rows){.m = M,
                                       .n = shapes[s][0],
                                       .a = a,
                                       .b = turn,
                                       .heads = shapes[s][1],
                                       .rotary = shapes[s][2],
                                       .half_split = half_split},
                    offsetof(ops_decoder_level, rope), 2e-6);
        }
    /* Width 4, position 3: the first pair turns by 3 radians, the second by 3 / 100 / 2; the fifth element stays. */
    int32_t row[] = {0, 3};
    float two[] = {1, 2}, t[4], x[] = {1, 2, 3, 4, 5}, out[5];
    ops_decoder_rope_table(1, 4, 10000, row, two, t);
    for (int half_split = 0; half_split < 2; half_split++) {
        int i = half_split ? 2 : 1, k = half_split ? 1 : 2;
        ops_decoder_rows j = {
            .m = 1, .n = 5, .a = x, .b = t, .y = out, .heads = 1, .rotary = 4, .half_split = half_split};
        ops_decoder_plain.rope(&j, 0, 1);
        assert_true(fabs(out[0] - (x[0] * cos(3) - x[i] * sin(3))) < 1e-6);
        assert_true(fabs(out[i] - (x[0] * sin(3) + x[i] * cos(3))) < 1e-6);
        assert_true(fabs(out[k] - (x[k] * cos(0.015) - x[3] * sin(0.015))) < 1e-6);
        assert_true(out[4] == 5);
        float same[5];
        memcpy(same, x, sizeof same);
        j.a = j.y = same; /* in place */
        ops_decoder_plain.rope(&j, 0, 1);
        assert_memory_equal(same, out, sizeof same);
    }
}

/* Every level against `exact`, which `j` was made with; `off`: how far the sums of a row may differ. */
static void compare_top(ops_decoder_top j, const ops_decoder_pair *exact, ops_decoder_pair *got, double off)
{
    const int top = j.top, count = j.m * (top + 1);
    j.y = got;
    for (int l = 0; l < OPS_QUANT_LEVELS; l++) {
        if (!level(l))
            continue;
        memset(got, 0, (size_t)count * sizeof *got);
        level(l)->top(&j, 1, 2);
        level(l)->top(&j, 0, 2);
        for (int i = 0; i < count; i++) {
            assert_int_equal(got[i].id, exact[i].id);
            assert_true(got[i].value == exact[i].value ||
                        (i % (top + 1) == top && fabs(got[i].value - exact[i].value) < off));
        }
    }
}

static void test_top(void **state)
{
    (void)state;
    ops_decoder_pair got[M * 65], exact[M * 65];
    for (int n = 1; n <= N_MAX; n = n * 2 + 1)
        for (int top = 1; top <= 64; top *= 4)
            for (int way = 0; way < 3; way++) {
                for (int i = 0; i < M * n; i++) /* way 0: many equals; 1: few take part; 2: all kinds */
                    a[i] = way == 0 ? floorf(deviate()) : way == 1 && i % 17 != 3 ? -INFINITY : deviate() * 4;
                if (way == 2)
                    a[n / 2] = NAN;
                ops_decoder_top j = {M, n, top, a, exact};
                ops_decoder_exact.top(&j, 0, 1);
                compare_top(j, exact, got, 1e-5);
            }
    /* ln(e^0 + e^0 + e^ln 2) = ln 4 */
    float x[] = {0, -INFINITY, 0.6931472f, 0};
    ops_decoder_top j = {1, 4, 2, x, got};
    ops_decoder_plain.top(&j, 0, 1);
    assert_int_equal(got[0].id, 2);
    assert_int_equal(got[1].id, 0);
    assert_int_equal(got[2].id, 3);
    assert_true(fabs(got[2].value - log(4)) < 1e-6);
}

enum { LONG_MAX = 140000 };

/* Rows in which a bound is hard to find, or wrong if found carelessly. */
static float value_of(int kind, int i, int n, int top)
{
    switch (kind) {
    case 0:
        return deviate() * 4;
    case 1: /* many equals */
        return floorf(deviate() * 3);
    case 2: /* the best come last */
        return (float)i / 8;
    case 3: /* and first */
        return (float)(n - i) / 8;
    case 4: /* just so many take part */
        return i % (n / top) == 0 && i / (n / top) < top ? deviate() : -INFINITY;
    case 5: /* one less, all of them side by side */
        return i < top - 1 ? deviate() : -INFINITY;
    case 6:
        return i % 3 == 0 ? NAN : i % 5 == 0 ? -INFINITY : deviate();
    case 7: /* as far apart as floats are */
        return i % 2 ? 3e38f : -3e38f;
    default:
        return i == n - 3 ? INFINITY : deviate();
    }
}

static void test_top_of_many(void **state)
{
    (void)state;
    static float x[LONG_MAX];
    static ops_decoder_pair got[1025], exact[1025];
    static const int sizes[] = {1040, 4096 + 5, LONG_MAX}, tops[] = {32, 1024};
    for (int size = 0; size < 3; size++)
        for (int which = 0; which < 2; which++)
            for (int kind = 0; kind < 9; kind++) {
                const int n = sizes[size], top = tops[which];
                for (int i = 0; i < n; i++)
                    x[i] = value_of(kind, i, n, top);
                ops_decoder_top j = {1, n, top, x, exact};
                ops_decoder_exact.top(&j, 0, 1);
                compare_top(j, exact, got, 1e-5 * fabs((double)exact[top].value));
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_top_of_many), cmocka_unit_test(test_rmsnorm),
                                       cmocka_unit_test(test_gate), cmocka_unit_test(test_rope),
                                       cmocka_unit_test(test_top)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
