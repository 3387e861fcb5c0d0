/* Attention in tiles with a running softmax (Milakov and Gimelshein 2018, arXiv:1805.02867; Dao et al. 2022,
 * arXiv:2205.14135): keys come in blocks of KEYS; beside the sum of weighted values each query keeps its largest score so
 * far and the sum of its weights, and when a block brings a larger score both sums are scaled down to it. Blocks begin at
 * the start of the sequence and have one size, so a row's result depends on its sequence alone. docs/attention.md derives
 * it. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/level.h"
#include "kernels/cpu/simd_tile.h"

enum { KEYS = 64 };

#define TILE_ROW(name, rows)                                                                                 \
    static void name##_##rows(const float *x, size_t ldx, const void *w, int k, vf *ret)                     \
    {                                                                                                        \
        tile(rows, x, ldx, w, k, ret);                                                                       \
    }
OPS_TILE_ROWS(TILE_ROW, f32)
static ops_tile_fn *const tiles[TILE + 1] = OPS_TILE_NAMES(f32);

typedef struct block {
    int width, panels; /* of a head; panels that cover it */
    float *keys;       /* panels of keys: [KEYS / PANEL][width][PANEL] */
    float *values;     /* panels of the width: [panels][KEYS][PANEL] */
    float *out;        /* [OPS_CPU_QUERIES][panels * PANEL] */
    float *weights;    /* [TILE][KEYS] */
    float *top, *sum;  /* [OPS_CPU_QUERIES] */
} block;

size_t OPS_SIMD(attend_scratch)(int len, int width);
void OPS_SIMD(attend)(const ops_cpu_attend_job *j);

static size_t lay_out(int width, float *at, block *b)
{
    const int panels = (width + PANEL - 1) / PANEL;
    const size_t padded = (size_t)panels * PANEL;
    const size_t sizes[] = {(size_t)KEYS * width, padded * KEYS,   OPS_CPU_QUERIES * padded,
                            (size_t)TILE * KEYS,  OPS_CPU_QUERIES, OPS_CPU_QUERIES};
    float **const fields[] = {&b->keys, &b->values, &b->out, &b->weights, &b->top, &b->sum};
    size_t floats = 0;
    b->width = width;
    b->panels = panels;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (at != NULL)
            *fields[i] = at + floats;
        floats += (sizes[i] + 15) / 16 * 16;
    }
    return floats;
}

size_t OPS_SIMD(attend_scratch)(int len, int width)
{
    (void)len;
    block b;
    return lay_out(width, NULL, &b);
}

/* Four keys' four columns at a time, turned. Missing keys are zero. */
static void load_keys(const block *b, const ops_ref_head *h, int from, int count)
{
    for (int key = 0; key < ops_ref_up(count, PANEL); key += 4) {
        float *to = b->keys + (size_t)(key / PANEL) * PANEL * b->width + key % PANEL;
        const float *k = h->k + (size_t)(from + key) * h->in;
        int c = 0;
        if (key + 4 <= count)
            for (; c + 4 <= b->width; c += 4) {
                __m128 r0 = _mm_loadu_ps(k + c), r1 = _mm_loadu_ps(k + h->in + c);
                __m128 r2 = _mm_loadu_ps(k + 2 * (size_t)h->in + c),
                       r3 = _mm_loadu_ps(k + 3 * (size_t)h->in + c);
                _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
                _mm_storeu_ps(to + (size_t)c * PANEL, r0);
                _mm_storeu_ps(to + (size_t)(c + 1) * PANEL, r1);
                _mm_storeu_ps(to + (size_t)(c + 2) * PANEL, r2);
                _mm_storeu_ps(to + (size_t)(c + 3) * PANEL, r3);
            }
        for (; c < b->width; c++)
            for (int i = 0; i < 4; i++)
                to[(size_t)c * PANEL + i] = key + i < count ? k[(size_t)i * h->in + c] : 0;
    }
}

static void load_values(const block *b, const ops_ref_head *h, int from, int count)
{
    for (int key = 0; key < count; key++) {
        const float *v = h->v + (size_t)(from + key) * h->in;
        for (int c = 0; c < b->panels * PANEL; c += LANES) {
            float *to = b->values + ((size_t)(c / PANEL) * KEYS + key) * PANEL + c % PANEL;
            const int left = b->width - c;
            v_store(to, left >= LANES ? v_load(v + c) : v_load_n(v + c, left > 0 ? left : 0));
        }
    }
}

/* Scores of `rows` queries against the block into b->weights, scaled; beyond the last key minus infinity. */
static void score(const block *b, const ops_ref_head *h, int query, int rows, int count)
{
    const vf scale = v_set(1 / sqrtf((float)b->width));
    for (int p = 0; p * PANEL < count; p++) {
        vf sums[2 * TILE];
        tiles[rows](h->q + (size_t)query * h->in, (size_t)h->in, b->keys + (size_t)p * PANEL * b->width,
                    b->width, sums);
        for (int i = 0; i < 2 * rows; i++)
            v_store(b->weights + (size_t)(i / 2) * KEYS + p * PANEL + i % 2 * LANES, sums[i] * scale);
    }
    const int end = ops_ref_up(count, PANEL);
    for (int r = 0; r < rows; r++)
        for (int key = count; key < end; key++)
            b->weights[r * KEYS + key] = -INFINITY;
}

/* Scores to weights for one query; the factor by which what it has summed so far shrinks. */
static float soften(const block *b, int local, int r, int count)
{
    float *w = b->weights + (size_t)r * KEYS;
    const int end = ops_ref_up(count, PANEL);
    vf best = v_load(w);
    for (int key = LANES; key < end; key += LANES)
        best = v_max(best, v_load(w + key));
    const float before = b->top[local], now = v_top(best), top = now > before ? now : before;
    vf sum = v_set(0);
    for (int key = 0; key < end; key += LANES) {
        const vf e = v_exp(v_load(w + key) - v_set(top));
        v_store(w + key, e);
        sum = sum + e;
    }
    const float shrink = before == -INFINITY ? 0 : expf(before - top);
    b->top[local] = top;
    b->sum[local] = b->sum[local] * shrink + v_sum(sum);
    return shrink;
}

static void gather(const block *b, int local, int rows, int count, const float *shrink)
{
    for (int p = 0; p < b->panels; p++) {
        vf sums[2 * TILE];
        tiles[rows](b->weights, KEYS, b->values + (size_t)p * KEYS * PANEL, count, sums);
        for (int i = 0; i < 2 * rows; i++) {
            float *out = b->out + ((size_t)(local + i / 2) * b->panels + p) * PANEL + i % 2 * LANES;
            v_store(out, v_fma(v_load(out), v_set(shrink[i / 2]), sums[i]));
        }
    }
}

static void write_out(const block *b, const ops_cpu_attend_job *j)
{
    for (int t = j->from; t < j->to; t++) {
        const float *out = b->out + (size_t)(t - j->from) * b->panels * PANEL;
        float *y = j->head.y + (size_t)t * j->head.out;
        const vf inverse = v_set(1 / b->sum[t - j->from]);
        for (int c = 0; c < b->width; c += LANES) {
            if (b->width - c >= LANES)
                v_store(y + c, v_load(out + c) * inverse);
            else
                v_store_n(y + c, b->width - c, v_load(out + c) * inverse);
        }
    }
}

void OPS_SIMD(attend)(const ops_cpu_attend_job *j)
{
    block b;
    (void)lay_out(j->head.width, j->scratch, &b);
    const int queries = j->to - j->from;
    memset(b.out, 0, (size_t)queries * b.panels * PANEL * sizeof *b.out);
    for (int i = 0; i < queries; i++) {
        b.top[i] = -INFINITY;
        b.sum[i] = 0;
    }
    for (int key = 0; key < j->head.len; key += KEYS) {
        const int count = j->head.len - key < KEYS ? j->head.len - key : KEYS;
        load_keys(&b, &j->head, key, count);
        load_values(&b, &j->head, key, count);
        for (int i = 0, rows; i < queries; i += rows) {
            float shrink[TILE];
            rows = tile_rows(queries - i, TILE);
            score(&b, &j->head, j->from + i, rows, count);
            for (int r = 0; r < rows; r++)
                shrink[r] = soften(&b, i + r, r, count);
            gather(&b, i, rows, count, shrink);
        }
    }
    write_out(&b, j);
}
