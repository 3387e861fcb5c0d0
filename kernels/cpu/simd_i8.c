/* The 8-bit product: sums are whole numbers and exact, so every level comes to the same bits. */
#include <string.h>

#include "kernels/cpu/level.h"
#include "kernels/cpu/simd_finish.h"
#include "kernels/cpu/simd_tile.h"

typedef void tile_i8_fn(const uint8_t *u, size_t ldu, const int8_t *w, int k4, vi *ret);

OPS_INLINE void tile_i8(const int rows, const uint8_t *u, size_t ldu, const int8_t *w, int k4, vi *ret)
{
    vi low[TILE], high[TILE];
    OPS_UNROLL for (int r = 0; r < rows; r++) low[r] = high[r] = v_iset(0);
    for (int c = 0; c < k4; c++) {
        const vi a = v_iload(w + (size_t)c * 4 * PANEL), b = v_iload(w + (size_t)c * 4 * PANEL + 4 * LANES);
        OPS_UNROLL for (int r = 0; r < rows; r++)
        {
            int32_t four;
            memcpy(&four, u + (size_t)r * ldu + (size_t)c * 4, sizeof four);
            const vi v = v_iset(four);
            low[r] = v_dot4(low[r], v, a);
            high[r] = v_dot4(high[r], v, b);
        }
    }
    OPS_UNROLL for (int r = 0; r < rows; r++)
    {
        ret[2 * r] = low[r];
        ret[2 * r + 1] = high[r];
    }
}

#define TILE_I8(rows)                                                                                        \
    static void i8_##rows(const uint8_t *u, size_t ldu, const int8_t *w, int k4, vi *ret)                    \
    {                                                                                                        \
        tile_i8(rows, u, ldu, w, k4, ret);                                                                   \
    }
#define TILE_I8_ROW(unused, rows) TILE_I8(rows)
OPS_TILE_ROWS(TILE_I8_ROW, i8)

void OPS_SIMD(linear_i8)(const ops_ref_linear *l, int m, int panel_from, int panel_to);
void OPS_SIMD(linear_i8)(const ops_ref_linear *l, int m, int panel_from, int panel_to)
{
    static tile_i8_fn *const tiles[TILE + 1] = OPS_TILE_NAMES(i8);
    const ops_ref_packed *p = l->p;
    const size_t deep = (size_t)ops_ref_up(p->k, 4);
    for (int panel = panel_from; panel < panel_to; panel++) {
        const int8_t *w = (const int8_t *)p->w + (size_t)panel * PANEL * deep;
        for (int i = 0, rows; i < m; i += rows) {
            vi sums[2 * TILE];
            rows = tile_rows(m - i);
            tiles[rows](l->u + (size_t)i * deep, deep, w, (int)(deep / 4), sums);
            for (int half = 0; half < 2 * rows; half++) {
                const int j = panel * PANEL + half % 2 * LANES, row = i + half / 2;
                const vi sum = v_isub(sums[half], v_imul(v_iset(l->zero[row]), v_iload(p->sum + j)));
                finish_half(l, (size_t)row, j, v_float(sum) * (v_set(l->step[row]) * v_load(p->step + j)));
            }
        }
    }
}
