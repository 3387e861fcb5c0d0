/* The inner loops of f32 products: some rows of x against one panel. Each sum is one chain of fused products over k in
 * order, so it does not depend on how rows are grouped into tiles. Two shapes: two vectors wide for attention, whose heads
 * are narrow, and three for packed weights, which asks less of the loads. Sums are in one array a vector, which the
 * compilers keep in registers. */
#ifndef OPS_KERNELS_CPU_SIMD_TILE_H
#define OPS_KERNELS_CPU_SIMD_TILE_H

#include "kernels/cpu/simd.h"
#include "kernels/include/kern.h"

/* As many sums as registers hold beside the weights. */
enum { TILE = LANES == 16 ? 12 : 6, WIDE_TILE = LANES == 16 ? 8 : 4, WIDE = 3 * LANES };

/* ret[V r + i]: vector i of row r, V being 2 or 3. */
typedef void ops_tile_fn(const float *x, size_t ldx, const void *w, int k, vf *ret);

OPS_INLINE void tile(const int rows, const float *x, size_t ldx, const float *w, int k, vf *ret)
{
    vf low[TILE], high[TILE];
    OPS_UNROLL for (int r = 0; r < rows; r++) low[r] = high[r] = v_set(0);
    for (int c = 0; c < k; c++) {
        const vf a = v_load(w + (size_t)c * PANEL), b = v_load(w + (size_t)c * PANEL + LANES);
        OPS_UNROLL for (int r = 0; r < rows; r++)
        {
            const vf v = v_set(x[(size_t)r * ldx + c]);
            low[r] = v_fma(v, a, low[r]);
            high[r] = v_fma(v, b, high[r]);
        }
    }
    OPS_UNROLL for (int r = 0; r < rows; r++)
    {
        ret[2 * r] = low[r];
        ret[2 * r + 1] = high[r];
    }
}

OPS_INLINE vf tile_weights(ops_kern_type type, const void *w, size_t at)
{
    if (type == OPS_KERN_F32)
        return v_load((const float *)w + at);
    const uint16_t *half = (const uint16_t *)w + at;
    return type == OPS_KERN_F16 ? v_of_f16(half) : v_of_bf16(half);
}

OPS_INLINE void wide_tile(const int rows, const ops_kern_type type, const float *x, size_t ldx, const void *w,
                          int k, vf *ret)
{
    vf s0[WIDE_TILE], s1[WIDE_TILE], s2[WIDE_TILE];
    OPS_UNROLL for (int r = 0; r < rows; r++) s0[r] = s1[r] = s2[r] = v_set(0);
    for (int c = 0; c < k; c++) {
        const size_t at = (size_t)c * WIDE;
        const vf w0 = tile_weights(type, w, at), w1 = tile_weights(type, w, at + LANES);
        const vf w2 = tile_weights(type, w, at + 2 * LANES);
        OPS_UNROLL for (int r = 0; r < rows; r++)
        {
            const vf v = v_set(x[(size_t)r * ldx + c]);
            s0[r] = v_fma(v, w0, s0[r]);
            s1[r] = v_fma(v, w1, s1[r]);
            s2[r] = v_fma(v, w2, s2[r]);
        }
    }
    OPS_UNROLL for (int r = 0; r < rows; r++)
    {
        ret[3 * r] = s0[r];
        ret[3 * r + 1] = s1[r];
        ret[3 * r + 2] = s2[r];
    }
}

/* Applies X(..., rows) for the rows a tile of that shape may have, and names what X made. */
#if defined(__AVX512F__)
#define OPS_WIDE_ROWS(X, ...)                                                                                \
    X(__VA_ARGS__, 1)                                                                                        \
    X(__VA_ARGS__, 2)                                                                                        \
    X(__VA_ARGS__, 3)                                                                                        \
    X(__VA_ARGS__, 4) X(__VA_ARGS__, 5) X(__VA_ARGS__, 6) X(__VA_ARGS__, 7) X(__VA_ARGS__, 8)
#define OPS_WIDE_NAMES(name)                                                                                 \
    {                                                                                                        \
        NULL, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8                 \
    }
#define OPS_TILE_ROWS(X, ...)                                                                                \
    OPS_WIDE_ROWS(X, __VA_ARGS__) X(__VA_ARGS__, 9) X(__VA_ARGS__, 10) X(__VA_ARGS__, 11) X(__VA_ARGS__, 12)
#define OPS_TILE_NAMES(name)                                                                                 \
    {                                                                                                        \
        NULL, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8, name##_9,      \
            name##_10, name##_11, name##_12                                                                  \
    }
#else
#define OPS_WIDE_ROWS(X, ...) X(__VA_ARGS__, 1) X(__VA_ARGS__, 2) X(__VA_ARGS__, 3) X(__VA_ARGS__, 4)
#define OPS_WIDE_NAMES(name)                                                                                 \
    {                                                                                                        \
        NULL, name##_1, name##_2, name##_3, name##_4                                                         \
    }
#define OPS_TILE_ROWS(X, ...) OPS_WIDE_ROWS(X, __VA_ARGS__) X(__VA_ARGS__, 5) X(__VA_ARGS__, 6)
#define OPS_TILE_NAMES(name)                                                                                 \
    {                                                                                                        \
        NULL, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6                                     \
    }
#endif

/* Rows of the next tile of `left`: as even as can be, since a thin tile uses the machine badly. */
OPS_INLINE int tile_rows(int left, int most)
{
    const int tiles = (left + most - 1) / most;
    return (left + tiles - 1) / tiles;
}

#endif
