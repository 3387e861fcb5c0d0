/* From a file's blocks to panels of 16 columns and back; the layout is drawn in quant_internal.h. */
#include <string.h>

#include "kernels/cpu/quant_group_internal.h"

size_t ops_quant_packed_bytes(int type, int n, int k)
{
    if (n <= 0 || k <= 0 || ops_kern_quant_bytes(type, (size_t)k) == 0)
        return 0;
    return quant_panel_bytes(quant_format_of((ops_kern_quant_type)type), k) * (size_t)quant_panels(n);
}

static void half_put(uint8_t *at, int col, uint16_t half)
{
    at[2 * col] = (uint8_t)half;
    at[2 * col + 1] = (uint8_t)(half >> 8);
}

static uint16_t half_get(const uint8_t *at, int col)
{
    return (uint16_t)(at[2 * col] | at[2 * col + 1] << 8);
}

static void scales_put(quant_scale kind, uint8_t *panel, quant_place at, int col, const quant_group *v)
{
    uint8_t *scales = panel + at.scales;
    if (kind == SCALE_D || kind == SCALE_DM) {
        half_put(scales, col, v->d);
        if (kind == SCALE_DM)
            half_put(scales + 32, col, v->m);
        return;
    }
    half_put(panel + at.super, col, v->d);
    if (kind == SCALE_K)
        half_put(panel + at.super + 32, col, v->m);
    scales[col] = v->s;
    scales[16 + col] = v->t;
}

static void scales_get(quant_scale kind, const uint8_t *panel, quant_place at, int col, quant_group *ret)
{
    const uint8_t *scales = panel + at.scales, *halves = scales;
    if (kind == SCALE_K || kind == SCALE_K6) {
        halves = panel + at.super;
        ret->s = scales[col];
        ret->t = scales[16 + col];
    }
    ret->d = half_get(halves, col);
    ret->m = kind == SCALE_DM || kind == SCALE_K ? half_get(halves + 32, col) : 0;
}

/* Of element e: byte `at` of the nibbles, shifted by `shift`; for the planes of extra bits see the drawing. */
static void quants_put(quant_plane plane, uint8_t *p, int col, const uint8_t q[32])
{
    for (int e = 0; e < 32; e++) {
        int v = e / 4, in = 4 * col + e % 4;
        if (plane == PLANE_8) {
            p[64 * v + in] = q[e];
            continue;
        }
        p[64 * (v % 4) + in] = (uint8_t)(p[64 * (v % 4) + in] | (q[e] & 15) << (v < 4 ? 0 : 4));
        if (plane == PLANE_5)
            p[256 + in] = (uint8_t)(p[256 + in] | (q[e] >> 4) << v);
        else if (plane == PLANE_6)
            p[256 + 64 * (v / 4) + in] = (uint8_t)(p[256 + 64 * (v / 4) + in] | (q[e] >> 4) << 2 * (v % 4));
    }
}

static void quants_get(quant_plane plane, const uint8_t *p, int col, uint8_t q[32])
{
    for (int e = 0; e < 32; e++) {
        int v = e / 4, in = 4 * col + e % 4;
        if (plane == PLANE_8) {
            q[e] = p[64 * v + in];
            continue;
        }
        q[e] = p[64 * (v % 4) + in] >> (v < 4 ? 0 : 4) & 15;
        if (plane == PLANE_5)
            q[e] = (uint8_t)(q[e] | (p[256 + in] >> v & 1) << 4);
        else if (plane == PLANE_6)
            q[e] = (uint8_t)(q[e] | (p[256 + 64 * (v / 4) + in] >> 2 * (v % 4) & 3) << 4);
    }
}

static void pack_floats(int bytes, int k, const uint8_t *row, uint8_t *panel, int col)
{
    for (int i = 0; i < k; i++)
        memcpy(panel + ((size_t)i * OPS_QUANT_COLS + col) * bytes, row + (size_t)i * bytes, (size_t)bytes);
}

void ops_quant_pack(ops_kern_quant_type type, int n, int k, const void *from, void *to, int part, int parts)
{
    quant_format f = quant_format_of(type);
    size_t panel_bytes = quant_panel_bytes(f, k), row_bytes = ops_kern_quant_bytes(type, (size_t)k);
    int elems = (int)ops_kern_quant_block(type), panels = quant_panels(n);
    int p0 = (int)((long)panels * part / parts), p1 = (int)((long)panels * (part + 1) / parts);
    for (int p = p0; p < p1; p++) {
        uint8_t *panel = (uint8_t *)to + panel_bytes * p;
        memset(panel, 0, panel_bytes);
        for (int col = 0; col < OPS_QUANT_COLS && p * OPS_QUANT_COLS + col < n; col++) {
            const uint8_t *row = (const uint8_t *)from + row_bytes * (size_t)(p * OPS_QUANT_COLS + col);
            if (quant_is_float(f)) {
                pack_floats(f.plane == PLANE_F32 ? 4 : 2, k, row, panel, col);
                continue;
            }
            for (int g = 0; g < k / 32; g++) {
                quant_group v;
                ops_quant_group_read(type, row + (size_t)(g * 32 / elems) * (row_bytes / (size_t)(k / elems)),
                                     g * 32 % elems / 32, &v);
                const quant_place at = quant_place_of(f.plane, f.scale, (size_t)g);
                quants_put(f.plane, panel + at.quants, col, v.q);
                scales_put(f.scale, panel, at, col, &v);
            }
        }
    }
}

void ops_quant_unpack(ops_kern_quant_type type, int k, const void *packed, int row, int from, int count,
                      float *ret)
{
    quant_format f = quant_format_of(type);
    int col = row % OPS_QUANT_COLS;
    const uint8_t *panel = (const uint8_t *)packed + quant_panel_bytes(f, k) * (size_t)(row / OPS_QUANT_COLS);
    if (quant_is_float(f)) {
        size_t bytes = f.plane == PLANE_F32 ? 4 : 2;
        for (int i = 0; i < count; i++)
            ops_kern_quant_decode(type, panel + ((size_t)(from + i) * OPS_QUANT_COLS + col) * bytes, 1,
                                  ret + i);
        return;
    }
    for (int i = 0; i < count; i += 32) {
        const quant_place at = quant_place_of(f.plane, f.scale, (size_t)(from + i) / 32);
        quant_group v;
        quants_get(f.plane, panel + at.quants, col, v.q);
        scales_get(f.scale, panel, at, col, &v);
        ops_quant_group_value(type, &v, ret + i);
    }
}
