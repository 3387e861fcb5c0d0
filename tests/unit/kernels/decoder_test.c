#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/include/kern.h"

/* The decoder group through the table of the device, at once and late. */
typedef struct rig {
    const ops_kern *t;
    ops_kern_dev *d;
    int late;
    ops_kern_status run; /* of the last run */
} rig;

static uint32_t seed = 5;

static float deviate(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)((int)(seed >> 8 & 0xffff) - 0x8000) * (1.f / 0x8000);
}

static ops_kern_buf *buffer(rig *r, const void *from, size_t bytes)
{
    ops_kern_buf *b;
    assert_int_equal(r->t->buf_new(r->d, bytes, &b), OPS_KERN_OK);
    if (from)
        assert_int_equal(r->t->upload(r->d, b, 0, from, bytes), OPS_KERN_OK);
    return b;
}

/* Plans, submits with the given buffers, waits; the last buffer's first bytes come back when it went well. */
static ops_kern_status apply(rig *r, ops_kern_shape s, ops_kern_buf *const *args, size_t n, void *ret,
                             size_t bytes)
{
    ops_kern_plan *p;
    ops_kern_fence f;
    ops_kern_status st = r->t->plan_new(r->d, &s, &p);
    if (st != OPS_KERN_OK)
        return st;
    st = r->t->submit(r->d, p, args, n, &f);
    if (st == OPS_KERN_OK)
        st = r->t->wait(r->d, f);
    if (st == OPS_KERN_OK)
        assert_int_equal(r->t->download(r->d, args[n - 1], 0, ret, bytes), OPS_KERN_OK);
    r->t->plan_free(r->d, p);
    return st;
}

static int open_rig(void **state)
{
    rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->t = ops_kern_cpu();
    r->late = *state != NULL;
    r->d = ops_kern_cpu_new(r->late);
    assert_non_null(r->d);
    *state = r;
    return 0;
}

static int close_rig(void **state)
{
    rig *r = *state;
    r->t->dev_free(r->d);
    free(r);
    return 0;
}

enum { N = 50, K = 64, M = 3 };

/* Q8_0 rows whose elements are whole numbers: scale 1. */
static void whole_blocks(int8_t values[N][K], uint8_t raw[N * K / 32 * 34])
{
    uint8_t *at = raw;
    for (int i = 0; i < N; i++)
        for (int b = 0; b < K / 32; b++, at += 34) {
            at[0] = 0;
            at[1] = 0x3c; /* 1 as a half */
            for (int c = 0; c < 32; c++) {
                values[i][b * 32 + c] = (int8_t)(deviate() * 100);
                at[2 + c] = (uint8_t)values[i][b * 32 + c];
            }
        }
}

/* Activations of -127..127 with 127 in each group are their own 8-bit form, so that even the fast way is exact. */
static void whole_rows(float x[M][K])
{
    for (int i = 0; i < M; i++)
        for (int c = 0; c < K; c++)
            x[i][c] = c % 32 == 5 ? 127 : floorf(deviate() * 127);
}

static void test_linear(void **state)
{
    rig *r = *state;
    static int8_t w[N][K];
    static uint8_t raw[N * K / 32 * 34];
    float x[M][K], y[M * N], scale = 0;
    whole_blocks(w, raw);
    whole_rows(x);
    ops_kern_buf *b[4] = {buffer(r, x, sizeof x), NULL, buffer(r, NULL, sizeof y)};
    assert_int_equal(r->t->pack_quant(r->d, OPS_KERN_QUANT_Q8_0, N, K, raw, sizeof raw, &b[1]), OPS_KERN_OK);
    assert_int_equal(r->t->download(r->d, b[1], 0, &scale, 4), OPS_KERN_EINVAL);
    ops_kern_shape s = {.op = OPS_KERN_QLINEAR, .m = M, .n = N, .k = K, .decoder.type = OPS_KERN_QUANT_Q8_0};
    for (s.decoder.exact = 0; s.decoder.exact < 2; s.decoder.exact++) {
        assert_int_equal(apply(r, s, b, 3, y, sizeof y), OPS_KERN_OK);
        for (int i = 0; i < M; i++)
            for (int c = 0; c < N; c++) {
                int sum = 0;
                for (int e = 0; e < K; e++)
                    sum += (int)x[i][e] * w[c][e];
                assert_true(y[i * N + c] == (float)sum);
            }
    }
    /* Head: columns 3, 17 and 49 for the first row, none for the second, all for the third. */
    uint32_t mask[M][2] = {{1u << 3 | 1u << 17, 1u << 17}, {0, 0}, {~0u, ~0u}};
    float head[M * N];
    ops_kern_buf *h[4] = {b[0], b[1], buffer(r, mask, sizeof mask), b[2]};
    s.op = OPS_KERN_HEAD;
    s.decoder.exact = 0;
    for (int rows = M; rows >= 1; rows -= 2) {
        s.m = rows;
        assert_int_equal(apply(r, s, h, 4, head, sizeof head), OPS_KERN_OK);
        for (int i = 0; i < rows * N; i++)
            assert_true(head[i] == (mask[i / N][i % N / 32] >> i % N % 32 & 1 ? y[i] : -INFINITY));
    }
    /* The same matrix as a table of rows. */
    int32_t ids[] = {49, 0, 16};
    ops_kern_buf *e[3] = {buffer(r, ids, sizeof ids), b[1], buffer(r, NULL, sizeof x)};
    ops_kern_shape q = {.op = OPS_KERN_QEMBED,
                        .m = M,
                        .n = N,
                        .k = K,
                        .decoder = {.type = OPS_KERN_QUANT_Q8_0, .scale = 0.5f}};
    assert_int_equal(apply(r, q, e, 3, x, sizeof x), OPS_KERN_OK);
    for (int i = 0; i < M; i++)
        for (int c = 0; c < K; c++)
            assert_true(x[i][c] == 0.5f * w[ids[i]][c]);
    ids[1] = N;
    assert_int_equal(r->t->upload(r->d, e[0], 0, ids, sizeof ids), OPS_KERN_OK);
    assert_int_equal(apply(r, q, e, 3, x, sizeof x), OPS_KERN_EINVAL);
    /* Weights of another shape or type, or none, are refused. */
    s.m = M;
    s.op = OPS_KERN_QLINEAR;
    s.n = N - 1;
    assert_int_equal(apply(r, s, b, 3, y, sizeof y), OPS_KERN_EINVAL);
    s.n = N;
    s.decoder.type = OPS_KERN_QUANT_Q4_0;
    assert_int_equal(apply(r, s, b, 3, y, sizeof y), OPS_KERN_EINVAL);
    s.decoder.type = OPS_KERN_QUANT_Q8_0;
    assert_int_equal(apply(r, s, (ops_kern_buf *[]){b[0], b[0], b[2]}, 3, y, sizeof y), OPS_KERN_EINVAL);
    for (int i = 0; i < 3; i++)
        r->t->buf_free(r->d, b[i]);
    r->t->buf_free(r->d, h[2]);
    r->t->buf_free(r->d, e[0]);
    r->t->buf_free(r->d, e[2]);
}

/* Weights of random quants, scales of 1/16. */
static ops_kern_buf *packed_map(rig *r, ops_kern_map map, int k)
{
    const size_t bytes = ops_kern_quant_bytes((int)map.type, (size_t)map.n * (size_t)k);
    const size_t block = ops_kern_quant_block((int)map.type);
    const size_t size = bytes / ((size_t)map.n * (size_t)k / block);
    uint8_t *raw = malloc(bytes);
    assert_non_null(raw);
    for (size_t i = 0; i < bytes; i++)
        raw[i] = (uint8_t)(int)(deviate() * 127);
    for (size_t at = 0; at < bytes; at += size) {
        const uint8_t half[] = {0, 0x2c, 0, 0x2c};
        if (map.type == OPS_KERN_QUANT_Q6_K)
            memcpy(raw + at + 208, half, 2);
        else if (map.type == OPS_KERN_QUANT_Q4_1 || map.type == OPS_KERN_QUANT_Q4_K)
            memcpy(raw + at, half, 4);
        else if (map.type != OPS_KERN_QUANT_F32)
            memcpy(raw + at, half, 2);
        else
            memset(raw + at, 0x3c, 4);
    }
    ops_kern_buf *b;
    assert_int_equal(r->t->pack_quant(r->d, (int)map.type, map.n, k, raw, bytes, &b), OPS_KERN_OK);
    free(raw);
    return b;
}

enum { MAPS_K = 512, MAPS_M = 14, MAPS_N = 130 };

/* Each map's y is what it is alone, bit for bit, whatever lies beside it. */
static void check_maps(rig *r, const ops_kern_map maps[3], int m, int exact)
{
    static float x[MAPS_M * MAPS_K], alone[MAPS_M * MAPS_N], joined[MAPS_M * MAPS_N];
    for (int i = 0; i < m * MAPS_K; i++)
        x[i] = deviate();
    int count = 0;
    ops_kern_buf *args[7] = {buffer(r, x, sizeof x)}, *one[3] = {args[0]};
    while (count < 3 && maps[count].n > 0)
        count++;
    ops_kern_shape s = {.op = OPS_KERN_QLINEARS, .m = m, .k = MAPS_K, .decoder.exact = exact};
    memcpy(s.decoder.maps, maps, 3 * sizeof *maps);
    for (int i = 0; i < count; i++) {
        args[1 + i] = packed_map(r, maps[i], MAPS_K);
        args[1 + count + i] = buffer(r, NULL, (size_t)m * (size_t)maps[i].n * 4);
    }
    const size_t n = 1 + 2 * (size_t)count;
    assert_int_equal(apply(r, s, args, n, joined, (size_t)m * (size_t)maps[count - 1].n * 4), OPS_KERN_OK);
    for (int i = 0; i < count; i++) {
        const size_t bytes = (size_t)m * (size_t)maps[i].n * 4;
        one[1] = args[1 + i];
        one[2] = buffer(r, NULL, bytes);
        const ops_kern_shape q = {.op = OPS_KERN_QLINEAR,
                                  .m = m,
                                  .n = maps[i].n,
                                  .k = MAPS_K,
                                  .decoder = {.type = maps[i].type, .exact = exact}};
        assert_int_equal(apply(r, q, one, 3, alone, bytes), OPS_KERN_OK);
        assert_int_equal(r->t->download(r->d, args[1 + count + i], 0, joined, bytes), OPS_KERN_OK);
        assert_memory_equal(joined, alone, bytes);
        r->t->buf_free(r->d, one[2]);
    }
    /* Another type, another width, one argument short, a y that is too small. */
    s.decoder.maps[count - 1].type = OPS_KERN_QUANT_BF16;
    assert_int_equal(apply(r, s, args, n, joined, 4), OPS_KERN_EINVAL);
    s.decoder.maps[count - 1] = maps[count - 1];
    s.decoder.maps[0].n++;
    assert_int_equal(apply(r, s, args, n, joined, 4), OPS_KERN_EINVAL);
    s.decoder.maps[0].n--;
    assert_int_equal(apply(r, s, args, n - 1, joined, 4), OPS_KERN_EINVAL);
    s.m = m + 1;
    assert_int_equal(apply(r, s, args, n, joined, 4), OPS_KERN_EINVAL);
    for (size_t i = 0; i < n; i++)
        r->t->buf_free(r->d, args[i]);
}

static void test_maps(void **state)
{
    static const ops_kern_map cases[][3] = {
        {{1, OPS_KERN_QUANT_Q8_0}},
        {{130, OPS_KERN_QUANT_Q4_1}, {33, OPS_KERN_QUANT_Q4_1}},
        {{100, OPS_KERN_QUANT_Q5_0}, {31, OPS_KERN_QUANT_Q5_0}, {32, OPS_KERN_QUANT_Q8_0}},
        {{16, OPS_KERN_QUANT_Q8_0}, {1, OPS_KERN_QUANT_Q6_K}, {48, OPS_KERN_QUANT_Q8_0}},
        {{47, OPS_KERN_QUANT_F32}, {64, OPS_KERN_QUANT_Q4_K}, {5, OPS_KERN_QUANT_Q4_0}},
    };
    static const int rows[] = {1, 3, MAPS_M};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t m = 0; m < sizeof rows / sizeof *rows; m++)
            for (int exact = 0; exact < 2; exact++)
                check_maps(*state, cases[i], rows[m], exact);
}

/* A matrix that is done in more parts than there are threads: each of its columns is what it is in a small matrix. */
static void test_many_parts(void **state)
{
    rig *r = *state;
    enum { WIDE = 9001, SLICE = 17, DEEP = 512, ROW = DEEP / 32 * 34, TAKES = 3 };
    static float x[TAKES * DEEP], whole[TAKES * WIDE], slice[TAKES * SLICE];
    uint8_t *raw = malloc((size_t)WIDE * ROW);
    assert_non_null(raw);
    for (size_t i = 0; i < (size_t)WIDE * ROW; i++)
        raw[i] = i % 34 == 0 ? 0 : i % 34 == 1 ? 0x2c : (uint8_t)(int)(deviate() * 127);
    for (int i = 0; i < TAKES * DEEP; i++)
        x[i] = deviate();
    ops_kern_buf *b[3] = {buffer(r, x, sizeof x), NULL, buffer(r, NULL, sizeof whole)};
    ops_kern_shape s = {.op = OPS_KERN_QLINEAR, .k = DEEP, .decoder.type = OPS_KERN_QUANT_Q8_0};
    assert_int_equal(r->t->pack_quant(r->d, OPS_KERN_QUANT_Q8_0, WIDE, DEEP, raw, (size_t)WIDE * ROW, &b[1]),
                     OPS_KERN_OK);
    for (s.m = 1; s.m <= TAKES; s.m += 2) {
        s.n = WIDE;
        assert_int_equal(apply(r, s, b, 3, whole, sizeof whole), OPS_KERN_OK);
        s.n = SLICE;
        for (int step = 0; step < 24; step++) {
            const int at = step < 23 ? step * 390 : WIDE - SLICE;
            ops_kern_buf *c[3] = {b[0], NULL, b[2]};
            assert_int_equal(r->t->pack_quant(r->d, OPS_KERN_QUANT_Q8_0, SLICE, DEEP, raw + (size_t)at * ROW,
                                              (size_t)SLICE * ROW, &c[1]),
                             OPS_KERN_OK);
            assert_int_equal(apply(r, s, c, 3, slice, sizeof slice), OPS_KERN_OK);
            for (int i = 0; i < s.m; i++)
                assert_memory_equal(slice + i * SLICE, whole + i * WIDE + at, SLICE * sizeof *slice);
            r->t->buf_free(r->d, c[1]);
        }
    }
    for (int i = 0; i < 3; i++)
        r->t->buf_free(r->d, b[i]);
    free(raw);
}

static void test_maps_refused(void **state)
{
    rig *r = *state;
    ops_kern_plan *p;
    const ops_kern_shape bad[] = {
        {.op = OPS_KERN_QLINEARS, .m = 1, .k = 32},
        {.op = OPS_KERN_QLINEARS, .m = 0, .k = 32, .decoder.maps = {{1, OPS_KERN_QUANT_Q8_0}}},
        {.op = OPS_KERN_QLINEARS, .m = 1, .k = 33, .decoder.maps = {{1, OPS_KERN_QUANT_Q8_0}}},
        {.op = OPS_KERN_QLINEARS,
         .m = 1,
         .k = 32,
         .decoder.maps = {{1, OPS_KERN_QUANT_Q8_0}, {-1, OPS_KERN_QUANT_Q8_0}}},
        {.op = OPS_KERN_QLINEARS, .m = 1, .k = 32, .decoder.maps = {{1, (ops_kern_quant_type)99}}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(r->t->plan_new(r->d, &bad[i], &p), OPS_KERN_EINVAL);
}

static void test_pack_refuses(void **state)
{
    rig *r = *state;
    uint8_t raw[144] = {0};
    ops_kern_buf *b = (ops_kern_buf *)raw;
    static const struct {
        int type, n, k;
        size_t bytes;
    } bad[] = {{OPS_KERN_QUANT_Q4_K, 1, 128, 72},
               {OPS_KERN_QUANT_Q4_K, 1, 256, 143},
               {OPS_KERN_QUANT_Q4_0, 0, 32, 0},
               {OPS_KERN_QUANT_Q4_0, -1, 32, 18},
               {10, 1, 256, 84},
               {OPS_KERN_QUANT_Q4_0, 1 << 30, 32, 18},
               {OPS_KERN_QUANT_F32, 1, 0, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(r->t->pack_quant(r->d, bad[i].type, bad[i].n, bad[i].k, raw, bad[i].bytes, &b),
                         OPS_KERN_EINVAL);
        assert_null(b);
    }
}

static void test_rows(void **state)
{
    rig *r = *state;
    float x[] = {3, 4, 6, 8}, gain[] = {1, 2}, y[4] = {0};
    ops_kern_buf *b[3] = {buffer(r, x, sizeof x), buffer(r, gain, sizeof gain), buffer(r, NULL, sizeof y)};
    ops_kern_shape s = {.op = OPS_KERN_RMSNORM, .m = 2, .n = 2, .decoder.shift = 1};
    assert_int_equal(apply(r, s, b, 3, y, sizeof y), OPS_KERN_OK);
    for (int i = 0; i < 4; i++) /* 3 / sqrt(12.5) * 2, 4 / sqrt(12.5) * 3 in both rows */
        assert_true(fabs(y[i] - (i % 2 ? 12 : 6) / sqrt(12.5)) < 1e-6);
    s.op = OPS_KERN_ADD_ROW;
    assert_int_equal(apply(r, s, b, 3, y, sizeof y), OPS_KERN_OK);
    assert_memory_equal(y, ((float[]){4, 6, 7, 10}), sizeof y);
    s.op = OPS_KERN_GELU_TANH;
    assert_int_equal(apply(r, s, (ops_kern_buf *[]){b[0], b[2]}, 2, y, sizeof y), OPS_KERN_OK);
    assert_true(fabs(y[0] - 2.9963627) < 1e-5); /* 3 (1 + tanh(sqrt(2/pi) (3 + 0.044715 27))) / 2 */
    s.op = OPS_KERN_GATE;
    s.m = 1;
    assert_int_equal(apply(r, s, b, 3, y, sizeof y), OPS_KERN_OK);
    assert_true(fabs(y[0] - 3 / (1 + exp(-3))) < 1e-6 && fabs(y[1] - 8 / (1 + exp(-4))) < 1e-6);
    s.decoder.gelu = 1;
    assert_int_equal(apply(r, s, b, 3, y, sizeof y), OPS_KERN_OK);
    assert_true(fabs(y[0] - 2.9963627) < 1e-5);
    s = (ops_kern_shape){.op = OPS_KERN_TOPK, .m = 1, .n = 4, .decoder.top = 1};
    int32_t got[4];
    ops_kern_buf *top[2] = {b[0], buffer(r, NULL, sizeof got)};
    assert_int_equal(apply(r, s, top, 2, got, sizeof got), OPS_KERN_OK);
    float value;
    memcpy(&value, &got[1], 4);
    assert_true(got[0] == 3 && value == 8 && got[2] == 4);
    s.decoder.top = 1025;
    assert_int_equal(apply(r, s, top, 2, got, sizeof got), OPS_KERN_EINVAL);
    for (int i = 0; i < 3; i++)
        r->t->buf_free(r->d, b[i]);
    r->t->buf_free(r->d, top[1]);
}

static void test_rope(void **state)
{
    rig *r = *state;
    int32_t rows[] = {0, 0, 4, 2};
    float factors[] = {1}, turns[4], x[] = {1, 0, 1, 0}, y[4] = {0};
    ops_kern_buf *b[5] = {buffer(r, rows, sizeof rows), buffer(r, factors, sizeof factors),
                          buffer(r, NULL, sizeof turns), buffer(r, x, sizeof x), buffer(r, NULL, sizeof y)};
    ops_kern_shape s = {.op = OPS_KERN_ROPE_TABLE, .m = 2, .decoder = {.rotary = 2, .theta = 100}};
    assert_int_equal(apply(r, s, b, 3, turns, sizeof turns), OPS_KERN_OK);
    s.op = OPS_KERN_ROPE;
    s.n = 2;
    s.heads = 1;
    assert_int_equal(apply(r, s, (ops_kern_buf *[]){b[3], b[2], b[4]}, 3, y, sizeof y), OPS_KERN_OK);
    assert_true(y[0] == 1 && y[1] == 0 && fabs(y[2] - cos(2)) < 1e-6 && fabs(y[3] - sin(2)) < 1e-6);
    s.decoder.rotary = 4; /* wider than the head */
    assert_int_equal(apply(r, s, (ops_kern_buf *[]){b[3], b[2], b[4]}, 3, y, sizeof y), OPS_KERN_EINVAL);
    s.decoder.rotary = 1;
    assert_int_equal(apply(r, s, (ops_kern_buf *[]){b[3], b[2], b[4]}, 3, y, sizeof y), OPS_KERN_EINVAL);
    for (int i = 0; i < 5; i++)
        r->t->buf_free(r->d, b[i]);
    /* Base 10,000 and 64 elements: pair 0 turns often, the last pair's wave is some 47,000 tokens long. */
    float f[32];
    ops_kern_rope_factors(64, 10000, 8, 1, 4, 8192, f);
    assert_true(f[0] == 1 && f[31] == 8);
    for (int i = 1; i < 32; i++)
        assert_true(f[i] >= f[i - 1]);
}

enum { HEADS = 4, KV = 2, WIDTH = 16, LEN = 40 };

static ops_kern_shape attention(ops_kern_op op, int m, int block)
{
    return (ops_kern_shape){.op = op,
                            .m = m,
                            .n = HEADS * WIDTH,
                            .heads = HEADS,
                            .seqs = 1,
                            .decoder = {.kv_heads = KV,
                                        .width = WIDTH,
                                        .scale = 0.25f,
                                        .block = block,
                                        .blocks = 64,
                                        .table = (LEN + block - 1) / block}};
}

/* A sequence in three chunks over the cache, for several sizes of block, is the packed sequence. */
static void test_attention(void **state)
{
    rig *r = *state;
    static float q[LEN][HEADS * WIDTH], k[LEN][KV * WIDTH], v[LEN][KV * WIDTH], want[LEN][HEADS * WIDTH],
        y[LEN][HEADS * WIDTH];
    for (int i = 0; i < LEN; i++)
        for (int c = 0; c < HEADS * WIDTH; c++) {
            q[i][c] = deviate();
            if (c < KV * WIDTH) {
                k[i][c] = deviate();
                v[i][c] = deviate();
            }
        }
    int32_t starts[] = {0, LEN};
    ops_kern_buf *p[5] = {buffer(r, q, sizeof q), buffer(r, k, sizeof k), buffer(r, v, sizeof v),
                          buffer(r, starts, sizeof starts), buffer(r, NULL, sizeof y)};
    assert_int_equal(apply(r, attention(OPS_KERN_ATTEND_CAUSAL, LEN, 16), p, 5, want, sizeof want),
                     OPS_KERN_OK);
    static const int sizes[] = {16, 32, 1, 5}, chunks[] = {0, 1, 30, LEN};
    for (int z = 0; z < 4; z++) {
        ops_kern_shape s = attention(OPS_KERN_KV_APPEND, LEN, sizes[z]);
        int32_t table[LEN], rows[LEN][2];
        for (int i = 0; i < s.decoder.table; i++)
            table[i] = 63 - 3 * i % 64 + (3 * i >= 64 ? i / 22 - 1 : 0); /* scattered, each once */
        ops_kern_buf *t = buffer(r, table, sizeof table),
                     *cache = buffer(r, NULL, ops_kern_cache_bytes(&s.decoder));
        for (int c = 0; c < 3; c++) {
            int m = chunks[c + 1] - chunks[c];
            for (int i = 0; i < m; i++) {
                rows[i][0] = 0;
                rows[i][1] = chunks[c] + i;
            }
            ops_kern_buf *b[5] = {buffer(r, k[chunks[c]], sizeof *k * (size_t)m),
                                  buffer(r, v[chunks[c]], sizeof *v * (size_t)m),
                                  buffer(r, rows, sizeof rows),
                                  buffer(r, q[chunks[c]], sizeof *q * (size_t)m), buffer(r, NULL, sizeof y)};
            s.m = m;
            s.op = OPS_KERN_KV_APPEND;
            uint8_t byte;
            assert_int_equal(apply(r, s, (ops_kern_buf *[]){b[0], b[1], b[2], t, cache}, 5, &byte, 1),
                             OPS_KERN_OK);
            s.op = OPS_KERN_ATTEND_PAGED;
            assert_int_equal(apply(r, s, (ops_kern_buf *[]){b[3], cache, b[2], t, b[4]}, 5, y[chunks[c]],
                                   sizeof *y * (size_t)m),
                             OPS_KERN_OK);
            for (int i = 0; i < 5; i++)
                r->t->buf_free(r->d, b[i]);
        }
        for (int i = 0; i < LEN; i++)
            for (int c = 0; c < HEADS * WIDTH; c++)
                assert_true(sizes[z] % 16 ? fabs(y[i][c] - want[i][c]) < 1e-6 : y[i][c] == want[i][c]);
        r->t->buf_free(r->d, t);
        r->t->buf_free(r->d, cache);
    }
    for (int i = 0; i < 5; i++)
        r->t->buf_free(r->d, p[i]);
}

static void test_attention_refuses(void **state)
{
    rig *r = *state;
    float q[HEADS * WIDTH] = {0}, y[HEADS * WIDTH];
    int32_t rows[] = {0, 20}, table[3] = {1, 2, 3};
    ops_kern_shape s = attention(OPS_KERN_ATTEND_PAGED, 1, 16);
    ops_kern_buf *b[5] = {buffer(r, q, sizeof q), buffer(r, NULL, ops_kern_cache_bytes(&s.decoder)),
                          buffer(r, rows, sizeof rows), buffer(r, table, sizeof table),
                          buffer(r, NULL, sizeof y)};
    assert_int_equal(apply(r, s, b, 5, y, sizeof y), OPS_KERN_OK);
    static const int32_t bad[][5] = {{1, 20, 1, 2, 3},       {-1, 20, 1, 2, 3}, {0, -1, 1, 2, 3},
                                     {0, 48, 1, 2, 3},       {0, 20, -1, 2, 3}, {0, 20, 1, 64, 3},
                                     {0, INT32_MAX, 1, 2, 3}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(r->t->upload(r->d, b[2], 0, bad[i], 8), OPS_KERN_OK);
        assert_int_equal(r->t->upload(r->d, b[3], 0, bad[i] + 2, 12), OPS_KERN_OK);
        assert_int_equal(apply(r, s, b, 5, y, sizeof y), OPS_KERN_EINVAL);
        ops_kern_shape w = s; /* writing looks at the block of the row itself only */
        w.op = OPS_KERN_KV_APPEND;
        uint8_t byte;
        assert_int_equal(apply(r, w, (ops_kern_buf *[]){b[0], b[0], b[2], b[3], b[1]}, 5, &byte, 1),
                         i == 4 ? OPS_KERN_OK : OPS_KERN_EINVAL);
    }
    /* Blocks behind the window need not be there. */
    s.decoder.window = 5;
    assert_int_equal(r->t->upload(r->d, b[2], 0, bad[4], 8), OPS_KERN_OK);
    assert_int_equal(r->t->upload(r->d, b[3], 0, bad[4] + 2, 12), OPS_KERN_OK);
    assert_int_equal(apply(r, s, b, 5, y, sizeof y), OPS_KERN_OK);
    ops_kern_shape t = s;
    ops_kern_plan *p;
    t.decoder.kv_heads = 3;
    assert_int_equal(r->t->plan_new(r->d, &t, &p), OPS_KERN_EINVAL);
    t = s;
    t.decoder.width = 1024;
    assert_int_equal(r->t->plan_new(r->d, &t, &p), OPS_KERN_EINVAL);
    t = s;
    t.decoder.block = 0;
    assert_int_equal(r->t->plan_new(r->d, &t, &p), OPS_KERN_EINVAL);
    t = s;
    t.decoder.blocks = t.decoder.block = t.decoder.table = OPS_KERN_EXTENT_MAX;
    assert_int_equal(r->t->plan_new(r->d, &t, &p), OPS_KERN_EINVAL);
    int32_t starts[] = {0, 2, 1};
    ops_kern_buf *c = buffer(r, starts, sizeof starts);
    t = attention(OPS_KERN_ATTEND_CAUSAL, 1, 16);
    assert_int_equal(apply(r, t, (ops_kern_buf *[]){b[0], b[0], b[0], c, b[4]}, 5, y, sizeof y),
                     OPS_KERN_EINVAL);
    r->t->buf_free(r->d, c);
    for (int i = 0; i < 5; i++)
        r->t->buf_free(r->d, b[i]);
}

/* A table that is longer than any sequence may be does not make its far positions real. */
static void test_far_position(void **state)
{
    rig *r = *state;
    enum { BLOCK = 1 << 20, TABLE = OPS_KERN_EXTENT_MAX / BLOCK + 1 };
    const ops_kern_shape s = {
        .op = OPS_KERN_KV_APPEND,
        .m = 1,
        .seqs = 1,
        .decoder = {.kv_heads = 1, .width = 1, .block = BLOCK, .blocks = 1, .table = TABLE}};
    const float one = 1;
    float first;
    ops_kern_buf *b[5] = {buffer(r, &one, 4), buffer(r, &one, 4), buffer(r, NULL, 8),
                          buffer(r, NULL, TABLE * sizeof(int32_t)),
                          buffer(r, NULL, ops_kern_cache_bytes(&s.decoder))};
    int32_t rows[] = {0, OPS_KERN_EXTENT_MAX - 1};
    assert_int_equal(r->t->upload(r->d, b[2], 0, rows, sizeof rows), OPS_KERN_OK);
    assert_int_equal(apply(r, s, b, 5, &first, sizeof first), OPS_KERN_OK);
    rows[1]++;
    assert_int_equal(r->t->upload(r->d, b[2], 0, rows, sizeof rows), OPS_KERN_OK);
    assert_int_equal(apply(r, s, b, 5, &first, sizeof first), OPS_KERN_EINVAL);
    for (int i = 0; i < 5; i++)
        r->t->buf_free(r->d, b[i]);
}

int main(void)
{
    static int late = 1;
#define BOTH(test)                                                                                           \
    cmocka_unit_test_prestate_setup_teardown(test, open_rig, close_rig, NULL),                               \
        cmocka_unit_test_prestate_setup_teardown(test, open_rig, close_rig, &late)
    const struct CMUnitTest tests[] = {
        BOTH(test_maps),        BOTH(test_many_parts),   BOTH(test_maps_refused),
        BOTH(test_linear),      BOTH(test_pack_refuses), BOTH(test_rows),
        BOTH(test_rope),        BOTH(test_attention),    BOTH(test_attention_refuses),
        BOTH(test_far_position)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
