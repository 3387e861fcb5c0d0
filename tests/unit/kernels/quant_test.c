#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/cpu/quant.h"

static const ops_kern_quant_type types[] = {OPS_KERN_QUANT_F32,  OPS_KERN_QUANT_F16,  OPS_KERN_QUANT_BF16,
                                            OPS_KERN_QUANT_Q4_0, OPS_KERN_QUANT_Q4_1, OPS_KERN_QUANT_Q5_0,
                                            OPS_KERN_QUANT_Q5_1, OPS_KERN_QUANT_Q8_0, OPS_KERN_QUANT_Q4_K,
                                            OPS_KERN_QUANT_Q5_K, OPS_KERN_QUANT_Q6_K};
enum { TYPES = sizeof types / sizeof *types };

static uint32_t seed = 7;

static uint32_t draw(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static float deviate(void)
{
    return (float)((int)(draw() % 20001) - 10000) * 1e-4f;
}

static void *grab(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 64) & ~(size_t)63);
    assert_non_null(p);
    return p;
}

/* Random bytes whose scales are small finite halves. */
static uint8_t *blocks(ops_kern_quant_type type, size_t count)
{
    size_t bytes = ops_kern_quant_bytes(type, count), elems = ops_kern_quant_block(type),
           size = bytes / (count / elems);
    uint8_t *b = grab(bytes);
    for (size_t i = 0; i < bytes; i++)
        b[i] = (uint8_t)draw();
    for (size_t i = 0; i < count / elems; i++) {
        uint8_t *at = b + i * size;
        float v = deviate();
        uint32_t bits;
        memcpy(&bits, &v, 4);
        uint16_t half = ops_kern_quant_to_half(v * 0.1f), other = ops_kern_quant_to_half(deviate() * 0.1f);
        if (type == OPS_KERN_QUANT_F32)
            memcpy(at, &v, 4);
        else if (type == OPS_KERN_QUANT_BF16)
            memcpy(at, (char *)&bits + 2, 2);
        else
            memcpy(at + (type == OPS_KERN_QUANT_Q6_K ? 208 : 0), &half, 2);
        if (type == OPS_KERN_QUANT_Q4_1 || type == OPS_KERN_QUANT_Q5_1 || type == OPS_KERN_QUANT_Q4_K ||
            type == OPS_KERN_QUANT_Q5_K)
            memcpy(at + 2, &other, 2);
    }
    return b;
}

static void test_golden(void **state)
{
    (void)state;
    for (int t = 1; t < TYPES; t++) {
        char path[64];
        snprintf(path, sizeof path, "tests/golden/quant/%s.bin", ops_kern_quant_name(types[t]));
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        int32_t count;
        assert_int_equal(fread(&count, 4, 1, f), 1);
        size_t bytes = ops_kern_quant_bytes(types[t], (size_t)count);
        uint8_t *raw = grab(bytes);
        float *want = grab((size_t)count * 4), *got = grab((size_t)count * 4);
        assert_int_equal(fread(raw, 1, bytes, f), bytes);
        assert_int_equal(fread(want, 4, (size_t)count, f), count);
        fclose(f);
        ops_kern_quant_decode(types[t], raw, (size_t)count, got);
        for (int i = 0; i < count; i++) /* by value: the sign of a zero and the payload of a NaN are free */
            assert_true(got[i] == want[i] || (isnan(got[i]) && isnan(want[i])));
        free(raw);
        free(want);
        free(got);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(ops_kern_quant_bytes(OPS_KERN_QUANT_Q4_K, 512), 288);
    assert_int_equal(ops_kern_quant_bytes(OPS_KERN_QUANT_Q6_K, 256), 210);
    assert_int_equal(ops_kern_quant_bytes(OPS_KERN_QUANT_Q5_0, 64), 44);
    assert_int_equal(ops_kern_quant_bytes(OPS_KERN_QUANT_Q8_0, 33), 0);
    assert_int_equal(ops_kern_quant_bytes(OPS_KERN_QUANT_Q4_K, 32), 0);
    assert_int_equal(ops_kern_quant_bytes(4, 32), 0);
    assert_int_equal(ops_kern_quant_bytes(OPS_KERN_QUANT_F32, SIZE_MAX / 2), 0);
    assert_null(ops_kern_quant_name(10));
    assert_string_equal(ops_kern_quant_name(OPS_KERN_QUANT_BF16), "BF16");
    assert_int_equal(ops_quant_packed_bytes(OPS_KERN_QUANT_Q4_0, 17, 64), 2 * 2 * 288);
    assert_int_equal(ops_quant_packed_bytes(OPS_KERN_QUANT_Q4_0, 17, 33), 0);
    assert_int_equal(ops_quant_packed_bytes(OPS_KERN_QUANT_Q4_0, 0, 32), 0);
    assert_int_equal(ops_quant_packed_bytes(99, 1, 32), 0);
}

static void test_halves(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float v = ops_kern_quant_from_half((uint16_t)h);
        if (isnan(v)) {
            assert_true(isnan(ops_kern_quant_from_half(ops_kern_quant_to_half(v))));
            continue;
        }
        assert_int_equal(ops_kern_quant_to_half(v), h);
        if ((h & 0x7fff) >= 0x7bff)
            continue;
        /* Half way to the next: to the even one; a little beyond: to the next. */
        float next = ops_kern_quant_from_half((uint16_t)(h + 1)), mid = (v + next) / 2;
        assert_int_equal(ops_kern_quant_to_half(mid), h + (h & 1));
        assert_int_equal(ops_kern_quant_to_half(nextafterf(mid, next)), h + 1);
        assert_int_equal(ops_kern_quant_to_half(nextafterf(mid, v)), h);
    }
    assert_int_equal(ops_kern_quant_to_half(65519.996f), 0x7bff);
    assert_int_equal(ops_kern_quant_to_half(65520.f), 0x7c00);
    assert_int_equal(ops_kern_quant_to_half(-1e30f), 0xfc00);
    assert_true(ops_kern_quant_from_half(0x3c00) == 1.f && ops_kern_quant_from_half(1) == 0x1p-24f);
}

static void test_pack(void **state)
{
    (void)state;
    for (int t = 0; t < TYPES; t++) {
        size_t elems = ops_kern_quant_block(types[t]);
        int k = elems == 1 ? 37 : elems == 32 ? 96 : 512, n = 37;
        uint8_t *raw = blocks(types[t], (size_t)(n * k));
        float *want = grab((size_t)(n * k) * 4), *got = grab((size_t)k * 4);
        uint8_t *w = grab(ops_quant_packed_bytes(types[t], n, k));
        for (int part = 0; part < 2; part++)
            ops_quant_pack(types[t], n, k, raw, w, part, 2);
        ops_kern_quant_decode(types[t], raw, (size_t)(n * k), want);
        for (int row = 0; row < n; row++) {
            ops_quant_unpack(types[t], k, w, row, 0, k, got);
            for (int i = 0; i < k; i++)
                assert_true(got[i] == want[row * k + i] || isnan(got[i]));
        }
        free(raw);
        free(want);
        free(got);
        free(w);
    }
}

typedef struct bench {
    ops_quant_job job;
    float *w; /* dequantised */
    float *y[OPS_QUANT_LEVELS], *exact;
} bench;

static bench made(ops_kern_quant_type type, int m, int n, int k)
{
    bench b = {.job = {.type = type, .m = m, .n = n, .k = k}};
    uint8_t *raw = blocks(type, (size_t)n * k);
    uint8_t *packed = grab(ops_quant_packed_bytes(type, n, k));
    float *x = grab((size_t)m * k * 4);
    b.w = grab((size_t)n * k * 4);
    ops_quant_pack(type, n, k, raw, packed, 0, 1);
    ops_kern_quant_decode(type, raw, (size_t)n * k, b.w);
    free(raw);
    for (int i = 0; i < m * k; i++)
        x[i] = deviate() * (i / 32 % 3 == 0 ? 10.f : 1.f);
    b.job.w = packed;
    b.job.x = x;
    for (int l = 0; l < OPS_QUANT_LEVELS; l++)
        b.y[l] = grab((size_t)m * n * 4);
    b.exact = grab((size_t)m * n * 4);
    return b;
}

static void product(bench *b, ops_quant_level level, int parts)
{
    ops_quant_job j = b->job;
    void *rows = grab(ops_quant_rows_bytes(j.m, j.k));
    j.rows = rows;
    j.y = b->y[level];
    memset(rows, 0, ops_quant_rows_bytes(j.m, j.k));
    memset(j.y, 0x7f, (size_t)j.m * j.n * 4);
    for (int p = parts; p-- > 0;)
        ops_quant_rows(level, j.type, j.m, j.k, j.x, rows, p, parts);
    for (int p = parts; p-- > 0;)
        ops_quant_gemm(level, &j, p, parts);
    free(rows);
}

static void drop(bench *b)
{
    free((void *)(uintptr_t)b->job.w);
    free((void *)(uintptr_t)b->job.x);
    free(b->w);
    free(b->exact);
    for (int l = 0; l < OPS_QUANT_LEVELS; l++)
        free(b->y[l]);
}

/* An activation is moved by at most half a step of its group, so a product by at most the sum of |w| half steps; the
 * rest is the rounding of the floats that are summed. */
static double allowed(const bench *b, int i, int col)
{
    double move = 0, size = 0;
    for (int g = 0; g < b->job.k; g += 32) {
        double top = 0, sum = 0;
        int end = g + 32 < b->job.k ? g + 32 : b->job.k;
        for (int c = g; c < end; c++) {
            double x = b->job.x[(size_t)i * b->job.k + c], w = b->w[(size_t)col * b->job.k + c];
            top = fmax(top, fabs(x));
            sum += fabs(w);
            size += fabs(x * w);
        }
        move += top / 127 * 0.5 * sum;
    }
    /* Formats with a shift sum two larger terms per group than their difference. */
    return (ops_kern_quant_block(b->job.type) == 1 ? 0 : move * 1.001) + size * 1e-4;
}

static void check_exact(bench *b)
{
    ops_quant_job j = b->job;
    j.y = b->exact;
    for (int p = 0; p < 3; p++)
        ops_quant_exact(&j, p, 3);
    for (int i = 0; i < j.m; i++)
        for (int c = 0; c < j.n; c++) {
            double sum = 0, size = 0;
            for (int e = 0; e < j.k; e++) {
                double t = (double)j.x[(size_t)i * j.k + e] * b->w[(size_t)c * j.k + e];
                sum += t;
                size += fabs(t);
            }
            assert_true(fabs(b->exact[(size_t)i * j.n + c] - sum) <= 1e-7 * size);
            assert_true(fabs(b->y[OPS_QUANT_PLAIN][(size_t)i * j.n + c] - sum) <= allowed(b, i, c));
        }
}

static void test_levels(void **state)
{
    (void)state;
    static const int shapes[][3] = {{1, 1, 1},   {1, 130, 2}, {2, 16, 1},  {3, 17, 3},
                                    {4, 15, 2},  {5, 70, 1},  {11, 33, 2}, {12, 64, 1},
                                    {13, 48, 2}, {16, 81, 1}, {25, 20, 3}, {40, 5, 1}};
    for (int t = 0; t < TYPES; t++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            size_t elems = ops_kern_quant_block(types[t]);
            int k = shapes[s][2] * (elems == 1 ? 35 : (int)elems);
            bench b = made(types[t], shapes[s][0], shapes[s][1], k);
            product(&b, OPS_QUANT_PLAIN, 1);
            check_exact(&b);
            for (int l = 1; l < OPS_QUANT_LEVELS; l++) {
                if (!ops_quant_has((ops_quant_level)l))
                    continue;
                product(&b, (ops_quant_level)l, 1 + (int)(s % 3));
                assert_memory_equal(b.y[l], b.y[0], (size_t)b.job.m * b.job.n * 4);
            }
            drop(&b);
        }
}

/* More rows than a row block holds, and a long k: every row as if it were alone. */
static void test_row_alone(void **state)
{
    (void)state;
    for (int t = 0; t < TYPES; t++) {
        bench b = made(types[t], 61, 40, 4096);
        for (int l = 0; l < OPS_QUANT_LEVELS; l++) {
            if (!ops_quant_has((ops_quant_level)l) || l == OPS_QUANT_PLAIN)
                continue;
            product(&b, (ops_quant_level)l, 2);
            for (int i = 0; i < b.job.m; i += 6) {
                bench one = b;
                one.job.m = 1;
                one.job.x = b.job.x + (size_t)i * b.job.k;
                one.y[l] = grab((size_t)b.job.n * 4);
                product(&one, (ops_quant_level)l, 1);
                assert_memory_equal(one.y[l], b.y[l] + (size_t)i * b.job.n, (size_t)b.job.n * 4);
                free(one.y[l]);
            }
        }
        drop(&b);
    }
}

static void test_mask(void **state)
{
    (void)state;
    uint32_t mask[] = {0x00010000, 0, 0x00000004};
    for (int t = 0; t < TYPES; t++) {
        bench b = made(types[t], 3, 75, 256);
        product(&b, OPS_QUANT_PLAIN, 1);
        b.job.mask = mask;
        for (int l = 1; l < OPS_QUANT_LEVELS; l++) {
            if (!ops_quant_has((ops_quant_level)l))
                continue;
            product(&b, (ops_quant_level)l, 1);
            for (int i = 0; i < 3; i++)
                for (int c = 0; c < 75; c++) {
                    float untouched;
                    memset(&untouched, 0x7f, 4);
                    float want = c / 16 == 1 || c / 16 == 4 ? b.y[0][i * 75 + c] : untouched;
                    assert_memory_equal(&b.y[l][i * 75 + c], &want, 4);
                }
        }
        drop(&b);
    }
}

static void test_not_finite(void **state)
{
    (void)state;
    for (int t = 0; t < TYPES; t++) {
        bench b = made(types[t], 2, 20, 256);
        float *x = (float *)(uintptr_t)b.job.x;
        x[300] = t % 2 ? NAN : INFINITY;
        for (int l = 0; l < OPS_QUANT_LEVELS; l++) {
            if (!ops_quant_has((ops_quant_level)l))
                continue;
            product(&b, (ops_quant_level)l, 1);
            for (int c = 0; c < 20; c++) {
                assert_true(isfinite(b.y[l][c]));
                if (ops_kern_quant_block(types[t]) > 1)
                    assert_false(isfinite(b.y[l][20 + c]));
            }
        }
        drop(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_sizes),      cmocka_unit_test(test_halves),
        cmocka_unit_test(test_pack),   cmocka_unit_test(test_levels),     cmocka_unit_test(test_row_alone),
        cmocka_unit_test(test_mask),   cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
