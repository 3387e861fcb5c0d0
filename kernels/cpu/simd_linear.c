#include "kernels/cpu/level.h"
#include "kernels/cpu/simd_finish.h"
#include "kernels/cpu/simd_tile.h"

OPS_TILE_ROWS(OPS_TILE_ROW, f32, OPS_KERN_F32)
OPS_TILE_ROWS(OPS_TILE_ROW, f16, OPS_KERN_F16)
OPS_TILE_ROWS(OPS_TILE_ROW, bf16, OPS_KERN_BF16)

void OPS_SIMD(linear)(const ops_ref_linear *l, int m, int panel_from, int panel_to);
void OPS_SIMD(linear)(const ops_ref_linear *l, int m, int panel_from, int panel_to)
{
    static ops_tile_fn *const tiles[][TILE + 1] = {[OPS_KERN_F32] = OPS_TILE_NAMES(f32),
                                                   [OPS_KERN_F16] = OPS_TILE_NAMES(f16),
                                                   [OPS_KERN_BF16] = OPS_TILE_NAMES(bf16)};
    const ops_ref_packed *p = l->p;
    const size_t step = (size_t)p->k * PANEL * (p->type == OPS_KERN_F32 ? 4 : 2);
    for (int panel = panel_from; panel < panel_to; panel++) {
        const char *w = (const char *)p->w + (size_t)panel * step;
        for (int i = 0, rows; i < m; i += rows) {
            vf sums[2 * TILE];
            rows = tile_rows(m - i);
            tiles[p->type][rows](l->x + (size_t)i * p->k, (size_t)p->k, w, p->k, sums);
            for (int r = 0; r < rows; r++) {
                finish_half(l, (size_t)(i + r), panel * PANEL, sums[2 * r]);
                finish_half(l, (size_t)(i + r), panel * PANEL + LANES, sums[2 * r + 1]);
            }
        }
    }
}
