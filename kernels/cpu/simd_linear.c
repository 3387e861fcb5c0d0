#include "kernels/cpu/level.h"
#include "kernels/cpu/simd_finish.h"

#define TILE_ROW(name, type, rows)                                                                           \
    static void name##_##rows(const float *x, size_t ldx, const void *w, int k, vf *ret)                     \
    {                                                                                                        \
        wide_tile(rows, type, x, ldx, w, k, ret);                                                            \
    }
OPS_WIDE_ROWS(TILE_ROW, f32, OPS_KERN_F32)
OPS_WIDE_ROWS(TILE_ROW, f16, OPS_KERN_F16)
OPS_WIDE_ROWS(TILE_ROW, bf16, OPS_KERN_BF16)

void OPS_SIMD(linear)(const ops_ref_linear *l, int m, int panel_from, int panel_to);
void OPS_SIMD(linear)(const ops_ref_linear *l, int m, int panel_from, int panel_to)
{
    static ops_tile_fn *const tiles[][WIDE_TILE + 1] = {[OPS_KERN_F32] = OPS_WIDE_NAMES(f32),
                                                        [OPS_KERN_F16] = OPS_WIDE_NAMES(f16),
                                                        [OPS_KERN_BF16] = OPS_WIDE_NAMES(bf16)};
    const ops_ref_packed *p = l->p;
    const size_t step = (size_t)p->k * WIDE * (p->type == OPS_KERN_F32 ? 4 : 2);
    for (int panel = panel_from; panel < panel_to; panel++) {
        const char *w = (const char *)p->w + (size_t)panel * step;
        for (int i = 0, rows; i < m; i += rows) {
            vf sums[3 * WIDE_TILE];
            rows = tile_rows(m - i, WIDE_TILE);
            tiles[p->type][rows](l->x + (size_t)i * p->k, (size_t)p->k, w, p->k, sums);
            finish(l, &(finish_sums){(size_t)i, rows, sums, NULL}, panel);
        }
    }
}
