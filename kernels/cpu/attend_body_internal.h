/* Attention in tiles with the softmax taken online (docs/attention.md), over 16 lanes; included by each level's file.
 *
 * A tile is up to TILE rows (a query token and head) of one sequence and one key head. Keys pass in spans of 64, aligned
 * to positions, 16 to a register; what a row does with a span is fixed by its own position alone, so it does not matter
 * with which others it shares a tile: keys out of its range have weight 0 and change nothing. */
#ifndef OPS_KERNELS_CPU_ATTEND_BODY_INTERNAL_H
#define OPS_KERNELS_CPU_ATTEND_BODY_INTERNAL_H

#include "kernels/cpu/decoder_internal.h"
#include "kernels/cpu/lanes_internal.h"

/* So many sums, of a tile's rows and some vectors side by side, that they and what is multiplied stay in the registers: FEW
 * rows or fewer go with COLUMNS vectors, TILE rows with what SUMS leaves them. */
#ifdef __AVX512F__
enum { FEW = 4, TILE = 8, SUMS = 16 };
#else
enum { FEW = 4, TILE = FEW, SUMS = 8 };
#endif
enum { COLUMNS = SUMS / FEW };
/* APART: floats from row to row, such that not all rows lie in the same few sets of the first cache */
enum { SPAN = 64, PAGES = SPAN / LANES, APART = OPS_DECODER_WIDTH_MAX + LANES };

typedef struct attend_tile {
    const ops_decoder_keys *keys;
    int rows, width;
    int from[TILE], to[TILE]; /* keys [from, to] */
    float *y[TILE];
    float q[TILE][APART]; /* scaled */
    float acc[TILE][APART];
    float top[TILE], weight[TILE][SPAN], decay[TILE];
    v16 sum[TILE];
    /* of the span */
    int first, pages; /* position of the first key, a multiple of 16; pages from there */
    const char *k[PAGES], *v[PAGES];
} attend_tile;

INLINE v16 element(int half, const char *base, size_t at)
{
    return half ? v16_halves((const uint16_t *)(const void *)base + at)
                : v16_load((const float *)(const void *)base + at);
}

INLINE v16 element_n(int half, const char *base, size_t at, int n)
{
    if (!half)
        return v16_load_n((const float *)(const void *)base + at, n);
    uint16_t h[LANES] = {0};
    memcpy(h, (const uint16_t *)(const void *)base + at, (size_t)n * sizeof *h);
    return v16_halves(h);
}

static void find_pages(attend_tile *t, int last)
{
    const ops_decoder_keys *keys = t->keys;
    size_t size = keys->half ? 2 : 4;
    t->pages = last / LANES - t->first / LANES + 1;
    for (int i = 0; i < t->pages; i++) {
        size_t at = (size_t)t->first + (size_t)i * LANES, block = 0;
        if (keys->table) {
            block = (size_t)keys->table[at / (size_t)keys->block] * keys->stride;
            at %= (size_t)keys->block;
        }
        t->k[i] = (const char *)keys->k + (block + at) * size;
        t->v[i] = (const char *)keys->v + (block + at * keys->v_step) * size;
    }
}

/* Scores of `pages` pages from `page` on for all rows, into weight. */
INLINE void scores(attend_tile *t, int half, int rows, int pages, int page)
{
    v16 s[TILE][COLUMNS];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int i = 0; i < pages; i++) s[r][i] = v16_set(0);
    size_t step = t->keys->k_step;
    for (int c = 0; c < t->width; c++)
        UNROLL for (int i = 0; i < pages; i++)
        {
            v16 k = element(half, t->k[page + i], step * (size_t)c);
            UNROLL for (int r = 0; r < rows; r++) s[r][i] = v16_fma(v16_set(t->q[r][c]), k, s[r][i]);
        }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int i = 0; i < pages; i++)
        v16_store(t->weight[r] + (size_t)(page + i) * LANES, s[r][i]);
}

/* The scores of row r that are out of its range become minus infinity. Returns the greatest so far. */
INLINE float limit(attend_tile *t, int r)
{
    float *w = t->weight[r];
    const int last = t->first + t->pages * LANES - 1, whole = t->from[r] <= t->first && t->to[r] >= last;
    const v16 from = v16_set((float)(t->from[r] - t->first)), to = v16_set((float)(t->to[r] - t->first));
    const v16 low = v16_set(-INFINITY);
    v16 top = low;
    for (int i = 0; i < t->pages; i++) {
        v16 s = v16_load(w + (size_t)i * LANES);
        if (!whole) {
            v16 at = v16_add(v16_count(), v16_set((float)(i * LANES)));
            s = v16_less(at, from, low, v16_less(to, at, low, s));
            v16_store(w + (size_t)i * LANES, s);
        }
        top = v16_max(s, top);
    }
    const float most = v16_top(top);
    return most > t->top[r] ? most : t->top[r];
}

/* Scores become weights relative to the greatest of their row so far; what was gathered before decays to it. */
INLINE void soften(attend_tile *t, int rows)
{
    const int last = t->first + t->pages * LANES - 1;
    float decay[LANES] = {0}; /* at first e^(-infinity), 0 */
    int seen[TILE];
    for (int r = 0; r < rows; r++) {
        seen[r] = t->to[r] >= t->first && t->from[r] <= last;
        if (!seen[r])
            continue;
        const float most = limit(t, r);
        decay[r] = t->top[r] - most;
        t->top[r] = most;
    }
    v16_store(decay, v16_exp(v16_load(decay)));
    for (int r = 0; r < rows; r++) {
        float *w = t->weight[r];
        t->decay[r] = decay[r];
        if (!seen[r]) {
            memset(w, 0, (size_t)t->pages * LANES * sizeof *w);
            continue;
        }
        v16 sum = v16_mul(t->sum[r], v16_set(decay[r]));
        for (int i = 0; i < t->pages; i++) {
            const v16 s = v16_exp(v16_sub(v16_load(w + (size_t)i * LANES), v16_set(t->top[r])));
            sum = v16_add(sum, s);
            v16_store(w + (size_t)i * LANES, s);
        }
        t->sum[r] = sum;
    }
}

/* 16 * `columns` elements of the values from c on, `n` of the last sixteen, weighted and added to what was gathered. */
INLINE void gather(attend_tile *t, int half, int rows, int columns, int n, int c, int from, int to)
{
    v16 a[TILE][COLUMNS];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int i = 0; i < columns; i++) a[r][i] =
        v16_mul(v16_load(t->acc[r] + c + (size_t)i * LANES), v16_set(t->decay[r]));
    size_t step = t->keys->v_step;
    for (int at = from; at <= to; at++) {
        const char *v = t->v[at / LANES];
        size_t row = step * (size_t)(at % LANES) + (size_t)c;
        UNROLL for (int i = 0; i < columns; i++)
        {
            v16 x = n == LANES ? element(half, v, row + (size_t)i * LANES) : element_n(half, v, row, n);
            UNROLL for (int r = 0; r < rows; r++) a[r][i] = v16_fma(v16_set(t->weight[r][at]), x, a[r][i]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int i = 0; i < columns; i++)
        v16_store(t->acc[r] + c + (size_t)i * LANES, a[r][i]);
}

INLINE void span(attend_tile *t, int half, int rows, int first, int last)
{
    t->first = first / LANES * LANES;
    find_pages(t, last);
    const int wide = rows > FEW ? SUMS / TILE : COLUMNS;
    int page = 0;
    for (; page + wide <= t->pages; page += wide)
        scores(t, half, rows, wide, page);
    for (; page < t->pages; page++)
        scores(t, half, rows, 1, page);
    soften(t, rows);
    int c = 0, from = first - t->first, to = last - t->first;
    for (; c + wide * LANES <= t->width; c += wide * LANES)
        gather(t, half, rows, wide, LANES, c, from, to);
    for (; c + LANES <= t->width; c += LANES)
        gather(t, half, rows, 1, LANES, c, from, to);
    if (c < t->width)
        gather(t, half, rows, 1, t->width - c, c, from, to);
}

INLINE void tile_of(attend_tile *t, int half, int rows)
{
    int from = t->from[0], to = t->to[0];
    for (int r = 0; r < rows; r++) {
        from = t->from[r] < from ? t->from[r] : from;
        to = t->to[r] > to ? t->to[r] : to;
        t->top[r] = -INFINITY;
        t->sum[r] = v16_set(0);
        t->decay[r] = 0;
        memset(t->acc[r], 0, ((size_t)t->width + LANES - 1) / LANES * LANES * sizeof(float));
    }
    for (int at = from / SPAN * SPAN; at <= to; at += SPAN)
        span(t, half, rows, at < from ? from : at, at + SPAN - 1 < to ? at + SPAN - 1 : to);
    for (int r = 0; r < rows; r++) {
        float sum = v16_sum(t->sum[r]);
        for (int c = 0; c < t->width; c++)
            t->y[r][c] = t->acc[r][c] / sum;
    }
}

static void tile_do(attend_tile *t)
{
    int half = t->keys->half;
    switch (t->rows) {
    case 1:
        half ? tile_of(t, 1, 1) : tile_of(t, 0, 1);
        return;
    case 2:
        half ? tile_of(t, 1, 2) : tile_of(t, 0, 2);
        return;
    case 3:
        half ? tile_of(t, 1, 3) : tile_of(t, 0, 3);
        return;
    default:
        if (FEW < TILE && t->rows == FEW)
            half ? tile_of(t, 1, FEW) : tile_of(t, 0, FEW);
        else
            half ? tile_of(t, 1, TILE) : tile_of(t, 0, TILE);
        return;
    }
}

/* How many of so many rows make a tile. */
INLINE int tile_rows(int left)
{
    return left >= TILE ? TILE : left > FEW ? FEW : left;
}

/* The rows (token, head of the group) of one key head from `at` on that make a tile. */
static void tile_fill(attend_tile *t, const ops_decoder_attend *a, int row, int pos, int kv, int at, int end)
{
    int group = a->heads / a->kv_heads;
    t->rows = tile_rows(end - at);
    t->width = a->width;
    for (int r = 0; r < t->rows; r++) {
        int token = (at + r) / group, head = kv * group + (at + r) % group;
        size_t off = ((size_t)(row + token) * a->heads + head) * a->width;
        t->y[r] = a->y + off;
        t->to[r] = pos + token;
        t->from[r] = a->window > 0 && t->to[r] >= a->window ? t->to[r] - a->window + 1 : 0;
        for (int c = 0; c < a->width; c++)
            t->q[r][c] = a->q[off + c] * a->scale;
    }
}

static void attend(const ops_decoder_attend *a, int part, int parts)
{
    attend_tile t;
    int group = a->heads / a->kv_heads, unit = 0;
    for (int row = 0, len; row < a->m; row += len) {
        int seq, pos;
        len = ops_decoder_run_of(a, row, &seq, &pos);
        for (int kv = 0; kv < a->kv_heads; kv++) {
            ops_decoder_keys keys = ops_decoder_keys_of(a, seq, kv);
            t.keys = &keys;
            for (int at = 0; at < len * group; at += tile_rows(len * group - at), unit++) {
                if (unit % parts != part)
                    continue;
                tile_fill(&t, a, row, pos, kv, at, len * group);
                tile_do(&t);
            }
        }
    }
}

/* `n` elements at x into the cache's own: contiguous at `to`, or `step` elements apart. */
INLINE void append_some(int half, const float *x, int n, char *to, size_t step)
{
    float f[LANES];
    uint16_t h[LANES];
    const v16 v = v16_load_upto(x, n);
    if (half)
        v16_store_halves(h, v);
    else
        v16_store(f, v);
    const size_t size = half ? sizeof *h : sizeof *f;
    const char *from = half ? (const char *)h : (const char *)f;
    if (step == 1)
        memcpy(to, from, (size_t)n * size);
    else
        for (int c = 0; c < n; c++)
            memcpy(to + step * (size_t)c * size, from + (size_t)c * size, size);
}

INLINE void append_row(const ops_decoder_append *a, int half, int i)
{
    const size_t plane = (size_t)a->width * a->block, size = half ? 2 : 4;
    const size_t in = (size_t)a->rows[2 * i + 1] % (size_t)a->block, place = ops_decoder_place_of(a, i);
    for (int h = 0; h < a->kv_heads; h++) {
        const size_t from = ((size_t)i * a->kv_heads + h) * a->width, head = place + 2 * plane * h;
        char *k = (char *)a->cache + head * size;
        char *v = (char *)a->cache + (head - in + plane + in * (size_t)a->width) * size;
        for (int c = 0; c < a->width; c += LANES) {
            const int n = a->width - c < LANES ? a->width - c : LANES;
            append_some(half, a->k + from + c, n, k + (size_t)c * a->block * size, (size_t)a->block);
            append_some(half, a->v + from + c, n, v + (size_t)c * size, 1);
        }
    }
}

static void append(const ops_decoder_append *a, int part, int parts)
{
    int to = decoder_from(a->m, part + 1, parts);
    for (int i = decoder_from(a->m, part, parts); i < to; i++)
        if (a->half)
            append_row(a, 1, i);
        else
            append_row(a, 0, i);
}
#endif
