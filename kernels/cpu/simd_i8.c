/* The 8-bit product: sums are whole numbers and exact, so every level comes to the same bits. */
#include <string.h>

#include "kernels/cpu/level.h"
#include "kernels/cpu/simd_finish.h"

typedef void tile_i8_fn(const uint8_t *u, size_t ldu, const int8_t *w, int k4, vi *ret);

OPS_INLINE void tile_i8(const int rows, const uint8_t *u, size_t ldu, const int8_t *w, int k4, vi *ret)
{
    vi s0[WIDE_TILE], s1[WIDE_TILE], s2[WIDE_TILE];
    OPS_UNROLL for (int r = 0; r < rows; r++) s0[r] = s1[r] = s2[r] = v_iset(0);
    for (int c = 0; c < k4; c++) {
        const int8_t *at = w + (size_t)c * 4 * WIDE;
        const vi w0 = v_iload(at), w1 = v_iload(at + 4 * LANES), w2 = v_iload(at + 8 * LANES);
        OPS_UNROLL for (int r = 0; r < rows; r++)
        {
            int32_t four;
            memcpy(&four, u + (size_t)r * ldu + (size_t)c * 4, sizeof four);
            const vi v = v_iset(four);
            s0[r] = v_dot4(s0[r], v, w0);
            s1[r] = v_dot4(s1[r], v, w1);
            s2[r] = v_dot4(s2[r], v, w2);
        }
    }
    OPS_UNROLL for (int r = 0; r < rows; r++)
    {
        ret[3 * r] = s0[r];
        ret[3 * r + 1] = s1[r];
        ret[3 * r + 2] = s2[r];
    }
}

#define TILE_ROW(name, rows)                                                                                 \
    static void name##_##rows(const uint8_t *u, size_t ldu, const int8_t *w, int k4, vi *ret)                \
    {                                                                                                        \
        tile_i8(rows, u, ldu, w, k4, ret);                                                                   \
    }
OPS_WIDE_ROWS(TILE_ROW, i8)

void OPS_SIMD(linear_i8)(const ops_ref_linear *l, int m, int panel_from, int panel_to);
void OPS_SIMD(linear_i8)(const ops_ref_linear *l, int m, int panel_from, int panel_to)
{
    static tile_i8_fn *const tiles[WIDE_TILE + 1] = OPS_WIDE_NAMES(i8);
    const ops_ref_packed *p = l->p;
    const size_t deep = (size_t)ops_ref_up(p->k, 4);
    for (int panel = panel_from; panel < panel_to; panel++) {
        const int8_t *w = (const int8_t *)p->w + (size_t)panel * WIDE * deep;
        for (int i = 0, rows; i < m; i += rows) {
            vi sums[3 * WIDE_TILE];
            rows = tile_rows(m - i, WIDE_TILE);
            tiles[rows](l->u + (size_t)i * deep, deep, w, (int)(deep / 4), sums);
            finish(l, &(finish_sums){(size_t)i, rows, NULL, sums}, panel);
        }
    }
}
