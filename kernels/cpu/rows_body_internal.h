/* What is done to rows one at a time: norm, rotation, gate, selection; included by each level's file. */
#ifndef OPS_KERNELS_CPU_ROWS_BODY_INTERNAL_H
#define OPS_KERNELS_CPU_ROWS_BODY_INTERNAL_H

#include "kernels/cpu/decoder_internal.h"
#include "kernels/cpu/lanes_internal.h"

static void rmsnorm(const ops_decoder_rows *j, int part, int parts)
{
    int to = decoder_from(j->m, part + 1, parts);
    for (int i = decoder_from(j->m, part, parts); i < to; i++) {
        const float *x = j->a + (size_t)i * j->n;
        float *y = j->y + (size_t)i * j->n;
        v16 squares = v16_set(0), shift = v16_set(j->shift);
        for (int c = 0; c < j->n; c += LANES) {
            const v16 v = v16_load_upto(x + c, j->n - c);
            squares = v16_fma(v, v, squares);
        }
        v16 scale = v16_set(1 / sqrtf(v16_sum(squares) / (float)j->n + j->eps));
        for (int c = 0, n; (n = j->n - c) > 0; c += LANES) {
            const v16 gain = v16_add(v16_load_upto(j->b + c, n), shift);
            v16_store_upto(y + c, v16_mul(v16_mul(v16_load_upto(x + c, n), scale), gain), n);
        }
    }
}

/* Pairs of elements i and i + pairs; x and y may be the same. Products and sums are rounded one by one in both forms. */
INLINE void rope_halves(const float *turn, const float *x, float *y, int pairs)
{
    for (int p = 0; p < pairs; p += LANES) {
        const int n = pairs - p;
        const float *at[] = {x + p, x + pairs + p, turn + p, turn + pairs + p};
        v16 v[4];
        UNROLL for (int i = 0; i < 4; i++) v[i] = v16_load_upto(at[i], n);
        const v16 a = v16_sub(v16_mul(v[0], v[2]), v16_mul(v[1], v[3]));
        const v16 b = v16_add(v16_mul(v[0], v[3]), v16_mul(v[1], v[2]));
        v16_store_upto(y + p, a, n);
        v16_store_upto(y + pairs + p, b, n);
    }
}

/* Pairs of neighbours. */
INLINE void rope_neighbours(const float *turn, const float *x, float *y, int pairs)
{
    const v16 signs = v16_signs();
    int p = 0;
    for (; p + LANES / 2 <= pairs; p += LANES / 2) {
        const v16 v = v16_load(x + (size_t)2 * p), sine = v16_mul(v16_twice(turn + pairs + p), signs);
        v16_store(y + (size_t)2 * p, v16_add(v16_mul(v, v16_twice(turn + p)), v16_mul(v16_swap(v), sine)));
    }
    for (; p < pairs; p++) {
        const float a = x[2 * p], b = x[2 * p + 1];
        y[2 * p] = a * turn[p] - b * turn[pairs + p];
        y[2 * p + 1] = a * turn[pairs + p] + b * turn[p];
    }
}

static void rope_head(const ops_decoder_rows *j, const float *turn, const float *x, float *y, int width)
{
    if (j->half_split)
        rope_halves(turn, x, y, j->rotary / 2);
    else
        rope_neighbours(turn, x, y, j->rotary / 2);
    if (y != x)
        memcpy(y + j->rotary, x + j->rotary, (size_t)(width - j->rotary) * sizeof *y);
}

static void rope(const ops_decoder_rows *j, int part, int parts)
{
    int to = decoder_from(j->m, part + 1, parts), width = j->n / j->heads;
    for (int i = decoder_from(j->m, part, parts); i < to; i++)
        for (int h = 0; h < j->heads; h++) {
            size_t at = (size_t)i * j->n + (size_t)h * width;
            rope_head(j, j->b + (size_t)i * j->rotary, j->a + at, j->y + at, width);
        }
}

/* x / (1 + e^-t): t = x is SiLU; t = 2 sqrt(2 / pi) (x + 0.044715 x^3) is GELU's form by tanh. */
INLINE v16 act(v16 x, int gelu)
{
    v16 t = x;
    if (gelu) {
        v16 square = v16_mul(x, x);
        t = v16_mul(v16_mul(x, v16_set(1.595769122f)), v16_fma(square, v16_set(0.044715f), v16_set(1)));
    }
    return v16_div(x, v16_add(v16_set(1), v16_exp(v16_sub(v16_set(0), t))));
}

static void gate(const ops_decoder_rows *j, int part, int parts)
{
    size_t from = (size_t)decoder_from(j->m, part, parts) * j->n;
    size_t to = (size_t)decoder_from(j->m, part + 1, parts) * j->n;
    for (size_t at = from; at < to; at += LANES) {
        int n = to - at < LANES ? (int)(to - at) : LANES;
        v16 y = act(v16_load_upto(j->a + at, n), j->gelu);
        if (j->b)
            y = v16_mul(y, v16_load_upto(j->b + at, n));
        v16_store_upto(j->y + at, y, n);
    }
}

/* A heap with the pair that goes next at its root. Ids come in order, so a later equal never displaces an earlier. */
static int before(ops_decoder_pair a, ops_decoder_pair b)
{
    return a.value > b.value || (a.value == b.value && a.id < b.id);
}

static void sink(ops_decoder_pair *heap, int n, int at)
{
    for (int child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(heap[child], heap[child + 1]))
            child++;
        if (!before(heap[at], heap[child]))
            return;
        ops_decoder_pair t = heap[at];
        heap[at] = heap[child];
        heap[child] = t;
    }
}

static int keep(ops_decoder_pair *heap, int n, int top, ops_decoder_pair now)
{
    if (n < top) {
        heap[n++] = now;
        for (int i = n == top ? n / 2 : 0; i-- > 0;)
            sink(heap, n, i);
        return n;
    }
    if (before(now, heap[0])) {
        heap[0] = now;
        sink(heap, n, 0);
    }
    return n;
}

enum { RUNS = 4096, MANY = 32, HALVINGS = 20 };

INLINE int reaching(const float *v, int n, float bound)
{
    v16 count = v16_set(0);
    for (int i = 0; i < n; i += LANES)
        count = v16_add(count, v16_less(v16_load(v + i), v16_set(bound), v16_set(0), v16_set(1)));
    return (int)v16_sum(count);
}

/* A value that at least `top` of the elements reach, and few more: one that so many of the greatest elements of runs reach, found
 * by halving. Minus infinity: not so many runs have a number, or one has an infinite one. */
static float bound_of(const float *x, int n, int top)
{
    float best[RUNS];
    const v16 none = v16_set(-INFINITY);
    const int run = (n / LANES + RUNS - 1) / RUNS * LANES, runs = run > 0 ? n / run : 0;
    float low = INFINITY, high = -INFINITY;
    int numbers = 0;
    for (int r = 0; r < runs; r++) {
        v16 most = none;
        for (int c = 0; c < run; c += LANES) {
            const v16 v = v16_load(x + (size_t)r * run + c);
            most = v16_max(most, v16_less(none, v, v, none)); /* a NaN is none */
        }
        best[r] = v16_top(most);
        if (!(best[r] > -INFINITY))
            continue;
        numbers++;
        low = best[r] < low ? best[r] : low;
        high = best[r] > high ? best[r] : high;
    }
    if (numbers < top || high == INFINITY)
        return -INFINITY;
    int padded = runs;
    while (padded % LANES != 0)
        best[padded++] = -INFINITY;
    for (int i = 0; i < HALVINGS; i++) {
        const float middle = low + (high - low) / 2;
        if (reaching(best, padded, middle) >= top)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int pick(const float *x, int n, int top, ops_decoder_pair *heap)
{
    const float least = top >= MANY ? bound_of(x, n, top) : -INFINITY;
    const v16 zero = v16_set(0), one = v16_set(1);
    int have = 0;
    for (int at = 0; at < n; at += LANES) {
        int len = n - at < LANES ? n - at : LANES;
        if (len == LANES) {
            const v16 v = v16_load(x + at);
            const v16 wanted = have == top ? v16_less(v16_set(heap[0].value), v, one, zero)
                                           : v16_less(v, v16_set(least), zero, one);
            if (v16_sum(wanted) == 0)
                continue;
        }
        for (int c = at; c < at + len; c++)
            if (x[c] > -INFINITY && x[c] >= least)
                have = keep(heap, have, top, (ops_decoder_pair){c, x[c]});
    }
    for (int i = have / 2; i-- > 0;) /* a heap that never filled is none yet */
        sink(heap, have, i);
    for (int i = have; i-- > 1;) {
        ops_decoder_pair t = heap[0];
        heap[0] = heap[i];
        heap[i] = t;
        sink(heap, i, 0);
    }
    return have;
}

static ops_decoder_pair all_of(const float *x, int n, float most)
{
    v16 sum = v16_set(0), count = sum, low = v16_set(-INFINITY), one = v16_set(1);
    for (int at = 0; at < n; at += LANES) {
        v16 v = v16_load_upto(x + at, n - at);
        if (n - at < LANES)
            v = v16_less(v16_count(), v16_set((float)(n - at)), v, low);
        count = v16_add(count, v16_less(low, v, one, v16_set(0)));
        v = v16_less(low, v, v, low);
        sum = v16_add(sum, v16_exp(v16_sub(v, v16_set(most))));
    }
    int took = (int)v16_sum(count);
    float log_sum = took == 0 ? -INFINITY : most == INFINITY ? INFINITY : most + logf(v16_sum(sum));
    return (ops_decoder_pair){took, log_sum};
}

static void top(const ops_decoder_top *j, int part, int parts)
{
    int to = decoder_from(j->m, part + 1, parts);
    for (int i = decoder_from(j->m, part, parts); i < to; i++) {
        const float *x = j->x + (size_t)i * j->n;
        ops_decoder_pair *y = j->y + (size_t)i * (j->top + 1);
        int have = pick(x, j->n, j->top, y);
        for (int r = have; r < j->top; r++)
            y[r] = (ops_decoder_pair){-1, -INFINITY};
        y[j->top] = all_of(x, j->n, y[0].value);
    }
}
#endif
