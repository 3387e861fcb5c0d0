/* The inner loop of every f32 product: TILE rows of x against one panel. Each sum is one chain of fused products over k in
 * order, so it does not depend on how rows are grouped into tiles. */
#ifndef OPS_KERNELS_CPU_SIMD_TILE_H
#define OPS_KERNELS_CPU_SIMD_TILE_H

#include "kernels/cpu/simd.h"
#include "kernels/include/kern.h"

enum { TILE = LANES == 16 ? 12 : 6 }; /* as many sums as registers hold beside the weights */

/* ret[2 r] and ret[2 r + 1]: the two halves of row r. */
typedef void ops_tile_fn(const float *x, size_t ldx, const void *w, int k, vf *ret);

OPS_INLINE vf tile_weights(ops_kern_type type, const void *w, size_t at)
{
    if (type == OPS_KERN_F32)
        return v_load((const float *)w + at);
    const uint16_t *half = (const uint16_t *)w + at;
    return type == OPS_KERN_F16 ? v_of_f16(half) : v_of_bf16(half);
}

OPS_INLINE void tile(const int rows, const ops_kern_type type, const float *x, size_t ldx, const void *w,
                     int k, vf *ret)
{
    vf low[TILE], high[TILE];
    OPS_UNROLL for (int r = 0; r < rows; r++) low[r] = high[r] = v_set(0);
    for (int c = 0; c < k; c++) {
        const vf a = tile_weights(type, w, (size_t)c * PANEL),
                 b = tile_weights(type, w, (size_t)c * PANEL + LANES);
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

#define OPS_TILE_ROW(name, type, rows)                                                                       \
    static void name##_##rows(const float *x, size_t ldx, const void *w, int k, vf *ret)                     \
    {                                                                                                        \
        tile(rows, type, x, ldx, w, k, ret);                                                                 \
    }
#if defined(__AVX512F__)
#define OPS_TILE_ROWS(X, ...)                                                                                \
    X(__VA_ARGS__, 1)                                                                                        \
    X(__VA_ARGS__, 2) X(__VA_ARGS__, 3) X(__VA_ARGS__, 4) X(__VA_ARGS__, 5) X(__VA_ARGS__, 6)                \
        X(__VA_ARGS__, 7) X(__VA_ARGS__, 8) X(__VA_ARGS__, 9) X(__VA_ARGS__, 10) X(__VA_ARGS__, 11)          \
            X(__VA_ARGS__, 12)
#define OPS_TILE_NAMES(name)                                                                                 \
    {                                                                                                        \
        NULL, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8, name##_9,      \
            name##_10, name##_11, name##_12                                                                  \
    }
#else
#define OPS_TILE_ROWS(X, ...)                                                                                \
    X(__VA_ARGS__, 1)                                                                                        \
    X(__VA_ARGS__, 2) X(__VA_ARGS__, 3) X(__VA_ARGS__, 4) X(__VA_ARGS__, 5) X(__VA_ARGS__, 6)
#define OPS_TILE_NAMES(name)                                                                                 \
    {                                                                                                        \
        NULL, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6                                     \
    }
#endif

/* Rows of the next tile of `left`: as even as can be, since a thin tile uses the machine badly. */
OPS_INLINE int tile_rows(int left)
{
    const int tiles = (left + TILE - 1) / TILE;
    return (left + tiles - 1) / tiles;
}

#endif
