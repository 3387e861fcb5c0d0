#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/cpu/decoder.h"

enum { SEQS = 4, LEN = 150, LEVELS = OPS_QUANT_LEVELS + 1 };

static uint32_t seed = 3;

static float deviate(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)((int)(seed >> 8 & 0xffff) - 0x8000) * (1.f / 0x4000);
}

static float *floats(size_t n)
{
    float *p = aligned_alloc(64, (n * 4 + 127) & ~(size_t)63);
    assert_non_null(p);
    return p;
}

static const ops_decoder_level *level(int l)
{
    if (l == OPS_QUANT_LEVELS)
        return &ops_decoder_exact;
    return ops_quant_has((ops_quant_level)l) ? ops_decoder_at((ops_quant_level)l) : NULL;
}

typedef struct shape {
    int heads, kv_heads, width, window, block, half;
} shape;

/* Sequences of LEN tokens whose keys and values lie plainly in k and v, and in a cache with shuffled blocks. */
typedef struct world {
    shape s;
    int table_n, blocks;
    float *k, *v; /* [SEQS][LEN][kv_heads * width] */
    int32_t *table;
    void *cache;
} world;

static world made(shape s)
{
    world w = {.s = s, .table_n = (LEN + s.block - 1) / s.block};
    size_t kv = (size_t)s.kv_heads * s.width, all = SEQS * LEN * kv;
    w.blocks = SEQS * w.table_n + 3;
    w.k = floats(all);
    w.v = floats(all);
    for (size_t i = 0; i < all; i++) {
        w.k[i] = deviate();
        w.v[i] = deviate();
        if (s.half) {
            w.k[i] = ops_kern_quant_from_half(ops_kern_quant_to_half(w.k[i]));
            w.v[i] = ops_kern_quant_from_half(ops_kern_quant_to_half(w.v[i]));
        }
    }
    w.table = malloc(sizeof(int32_t) * SEQS * w.table_n);
    assert_non_null(w.table);
    for (int i = 0; i < SEQS * w.table_n; i++)
        w.table[i] = (i * 7 + 2) % (SEQS * w.table_n + (SEQS * w.table_n % 7 == 0 ? 1 : 0));
    /* What no token was written to is no number: it must not matter. */
    size_t bytes = (size_t)w.blocks * s.block * kv * 2 * (s.half ? 2 : 4);
    w.cache = floats(bytes / 4 + 1);
    memset(w.cache, 0xff, bytes);
    int32_t *rows = malloc(sizeof(int32_t) * 2 * SEQS * LEN);
    assert_non_null(rows);
    for (int i = 0; i < SEQS * LEN; i++) {
        rows[2 * i] = i / LEN;
        rows[2 * i + 1] = i % LEN;
    }
    ops_decoder_append job = {SEQS * LEN, s.kv_heads, s.width, w.table_n, s.block, s.half,
                              w.k,        w.v,        rows,    w.table,   w.cache};
    for (int p = 0; p < 3; p++)
        ops_decoder_exact.append(&job, p, 3);
    free(rows);
    return w;
}

static void drop(world *w)
{
    free(w->k);
    free(w->v);
    free(w->table);
    free(w->cache);
}

static ops_decoder_attend paged(const world *w, int m, const float *q, const int32_t *rows, float *y)
{
    return (ops_decoder_attend){.m = m,
                                .heads = w->s.heads,
                                .kv_heads = w->s.kv_heads,
                                .width = w->s.width,
                                .window = w->s.window,
                                .scale = 1 / sqrtf((float)w->s.width),
                                .q = q,
                                .y = y,
                                .rows = rows,
                                .seqs = SEQS,
                                .cache = w->cache,
                                .table = w->table,
                                .table_n = w->table_n,
                                .block = w->s.block,
                                .half = w->s.half};
}

/* softmax(q k^T / sqrt d) v, written out. */
static double twin(const world *w, int seq, int pos, int head, const float *q, int c)
{
    const shape *s = &w->s;
    size_t kv = (size_t)s->kv_heads * s->width, at = (size_t)(head / (s->heads / s->kv_heads)) * s->width;
    double sum = 0, y = 0;
    for (int t = s->window && pos >= s->window ? pos - s->window + 1 : 0; t <= pos; t++) {
        double dot = 0;
        for (int e = 0; e < s->width; e++)
            dot += (double)q[e] * w->k[((size_t)seq * LEN + t) * kv + at + e];
        double weight = exp(dot / sqrt(s->width));
        sum += weight;
        y += weight * w->v[((size_t)seq * LEN + t) * kv + at + c];
    }
    return y / sum;
}

static void check_twin(const world *w, const ops_decoder_attend *a)
{
    int width = w->s.width;
    for (int i = 0; i < a->m; i++)
        for (int h = 0; h < w->s.heads; h++)
            for (int c = 0; c < width; c += 3) {
                size_t off = ((size_t)i * w->s.heads + h) * width;
                double want = twin(w, a->rows[2 * i], a->rows[2 * i + 1], h, a->q + off, c);
                assert_true(fabs(a->y[off + c] - want) <
                            1e-5); /* scores reach some tens: their roundings count */
            }
}

static const shape shapes[] = {{4, 4, 16, 0, 16, 0},   {9, 3, 64, 0, 16, 1},  {4, 1, 64, 70, 32, 1},
                               {2, 2, 8, 5, 16, 0},    {6, 2, 20, 33, 48, 1}, {5, 1, 80, 1, 16, 0},
                               {2, 1, 256, 64, 16, 1}, {7, 7, 12, 0, 64, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* A chunk of one sequence, single tokens of others, and a first token, as one step of an engine brings them. */
static const int32_t rows[][2] = {{1, 149}, {0, 20}, {0, 21}, {0, 22}, {0, 23},  {0, 24},  {0, 25},
                                  {2, 0},   {3, 64}, {3, 63}, {1, 15}, {2, 100}, {2, 101}, {2, 127}};
enum { ROWS = sizeof rows / sizeof *rows };

static void test_paged(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        world w = made(shapes[i]);
        size_t n = (size_t)w.s.heads * w.s.width;
        float *q = floats(ROWS * n), *first = floats(ROWS * n), *y = floats(ROWS * n);
        for (size_t c = 0; c < ROWS * n; c++)
            q[c] = deviate() * 3;
        for (int l = 0; l < LEVELS; l++) {
            if (!level(l))
                continue;
            ops_decoder_attend a = paged(&w, ROWS, q, &rows[0][0], y);
            for (int p = 0; p < l + 1; p++)
                level(l)->attend(&a, p, l + 1);
            check_twin(&w, &a);
            if (l == 0)
                memcpy(first, y, ROWS * n * 4);
            else if (l < OPS_QUANT_LEVELS)
                assert_memory_equal(y, first, ROWS * n * 4);
            for (int r = 0; r < ROWS; r++) { /* alone */
                a = paged(&w, 1, q + r * n, rows[r], y);
                level(l)->attend(&a, 0, 1);
                if (l < OPS_QUANT_LEVELS)
                    assert_memory_equal(y, first + r * n, n * 4);
            }
        }
        free(q);
        free(y);
        free(first);
        drop(&w);
    }
}

/* Whole sequences, packed and as rows over a cache of f32: the same bits. */
static void test_packed(void **state)
{
    (void)state;
    static const int32_t starts[] = {0, 1, 48, 115, 132};
    for (int i = 0; i < SHAPES; i++) {
        shape s = shapes[i];
        s.half = 0;
        world w = made(s);
        int m = starts[SEQS];
        size_t n = (size_t)s.heads * s.width, kv = (size_t)s.kv_heads * s.width;
        float *q = floats(m * n), *k = floats(m * kv), *v = floats(m * kv), *y = floats(m * n),
              *want = floats(m * n);
        float *turned = floats(ops_decoder_turned(m, SEQS, s.kv_heads, s.width));
        memset(turned, 0xff, ops_decoder_turned(m, SEQS, s.kv_heads, s.width) * 4);
        int32_t *r = malloc(sizeof *r * 2 * (size_t)m);
        assert_non_null(r);
        for (int seq = 0; seq < SEQS; seq++)
            for (int t = starts[seq]; t < starts[seq + 1]; t++) {
                r[2 * t] = seq;
                r[2 * t + 1] = t - starts[seq];
                memcpy(k + t * kv, w.k + ((size_t)seq * LEN + t - starts[seq]) * kv, kv * 4);
                memcpy(v + t * kv, w.v + ((size_t)seq * LEN + t - starts[seq]) * kv, kv * 4);
            }
        for (size_t c = 0; c < m * n; c++)
            q[c] = deviate();
        for (int l = 0; l < LEVELS; l++) {
            if (!level(l))
                continue;
            ops_decoder_attend a = paged(&w, m, q, r, want), b = a;
            level(l)->attend(&a, 0, 1);
            b.rows = NULL;
            b.cache = NULL;
            b.table = NULL;
            b.starts = starts;
            b.k = k;
            b.v = v;
            b.turned = turned;
            b.y = y;
            for (int p = 0; p < 3; p++)
                level(l)->turn_keys(&b, p, 3);
            for (int p = 0; p < 3; p++)
                level(l)->attend(&b, p, 3);
            check_twin(&w, &a);
            assert_memory_equal(y, want, m * n * 4);
        }
        free(q);
        free(k);
        free(v);
        free(y);
        free(want);
        free(turned);
        free(r);
        drop(&w);
    }
}

/* Blocks behind the window may be given away: nothing of them is read. */
static void test_freed_blocks(void **state)
{
    (void)state;
    world w = made((shape){4, 2, 32, 20, 16, 1});
    int32_t row[] = {1, 140}; /* sees 121..140, blocks 7 and 8 */
    float q[128], y[128];
    for (int c = 0; c < 128; c++)
        q[c] = deviate();
    for (int b = 0; b < w.table_n; b++)
        if (b != 7 && b != 8)
            w.table[w.table_n + b] = 1 << 28;
    for (int l = 0; l < LEVELS; l++) {
        if (!level(l))
            continue;
        ops_decoder_attend a = paged(&w, 1, q, row, y);
        level(l)->attend(&a, 0, 1);
        check_twin(&w, &a);
    }
    drop(&w);
}

/* Wherever a chunk begins, nothing is read before the block that the window of its first token begins in. */
static void check_chunk(world *w, int from, int n, const float *q, float *y)
{
    int32_t at[8][2], *table = w->table + w->table_n, kept[LEN];
    int window = w->s.window, block = w->s.block;
    int first = from >= window ? (from - window + 1) / block : 0, last = (from + n - 1) / block;
    for (int i = 0; i < n; i++) {
        at[i][0] = 1;
        at[i][1] = from + i;
    }
    for (int b = 0; b < w->table_n; b++) {
        kept[b] = table[b];
        if (b < first || b > last)
            table[b] = 1 << 28;
    }
    for (int l = block % 16 ? OPS_QUANT_LEVELS : 0; l < LEVELS; l++) {
        if (!level(l))
            continue;
        ops_decoder_attend a = paged(w, n, q, &at[0][0], y);
        level(l)->attend(&a, 0, 1);
        check_twin(w, &a);
    }
    memcpy(table, kept, sizeof *table * (size_t)w->table_n);
}

static void test_every_window_stays_in_its_blocks(void **state)
{
    (void)state;
    static const int windows[] = {1, 2, 15, 16, 17, 20, 33, 64, 65};
    static const int blocks[] = {16, 32, 4};
    float q[8 * 32], y[8 * 32];
    for (int c = 0; c < 8 * 32; c++)
        q[c] = deviate();
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++)
        for (int b = 0; b < 3; b++) {
            world w = made((shape){2, 1, 16, windows[i], blocks[b], 1});
            for (int from = 0; from + 8 <= LEN; from += 5)
                for (int n = 1; n <= 8; n += 7)
                    check_chunk(&w, from, n, q, y);
            drop(&w);
        }
}

/* Every level writes what the exact one writes, and nothing else, whatever the numbers are. */
static void test_append(void **state)
{
    (void)state;
    enum { TOKENS = 37, KV = 3, BLOCKS = 9, TABLE = 4 };
    static const int widths[] = {1, 7, 16, 33, 80, 512}, blocks[] = {16, 10, 1};
    static const float odd[] = {0,     -0.f,  1e9f,   -1e9f,  65504,   65519.9f,
                                65520, 6e-8f, -3e-8f, 1e-30f, INFINITY};
    static const int32_t table[2][TABLE] = {{4, 1, 8, 0}, {7, 2, 3, 5}};
    for (size_t i = 0; i < 2 * sizeof widths / sizeof *widths * sizeof blocks / sizeof *blocks; i++) {
        int width = widths[i / 2 % 6], block = blocks[i / 12], half = (int)i % 2;
        size_t all = (size_t)TOKENS * KV * width,
               bytes = (size_t)BLOCKS * 2 * KV * width * block * (half ? 2 : 4);
        float *k = floats(all), *v = floats(all);
        for (size_t c = 0; c < all; c++) {
            k[c] = c % 5 == 0 ? odd[c / 5 % 11] : deviate();
            v[c] = c % 7 == 0 ? odd[c / 7 % 11] : deviate();
        }
        int32_t places[TOKENS][2];
        for (int r = 0; r < TOKENS; r++) {
            places[r][0] = r % 2;
            places[r][1] = r / 2 % (TABLE * block);
        }
        char *want = (char *)floats(bytes / 4 + 1), *got = (char *)floats(bytes / 4 + 1);
        ops_decoder_append job = {TOKENS, KV, width, TABLE, block, half, k, v, places[0], table[0], want};
        memset(want, 0xee, bytes);
        ops_decoder_exact.append(&job, 0, 1);
        job.cache = got;
        for (int l = 0; l < OPS_QUANT_LEVELS; l++) {
            if (level(l) == NULL)
                continue;
            memset(got, 0xee, bytes);
            for (int p = 0; p < 3; p++)
                level(l)->append(&job, p, 3);
            assert_memory_equal(got, want, bytes);
        }
        free(k);
        free(v);
        free(want);
        free(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_append), cmocka_unit_test(test_paged),
                                       cmocka_unit_test(test_packed), cmocka_unit_test(test_freed_blocks),
                                       cmocka_unit_test(test_every_window_stays_in_its_blocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
