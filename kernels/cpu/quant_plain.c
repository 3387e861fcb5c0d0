/* The definitions: the exact product, the quantisation of activations, and the product the fast levels must reproduce. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/quant_internal.h"

/* One column for all rows: its weights decoded piece by piece, sums in double, rounded once. */
static void exact_column(const ops_quant_job *j, int col)
{
    enum { PIECE = 256, ROWS = 64 };
    for (int i0 = 0; i0 < j->m; i0 += ROWS) {
        int rows = j->m - i0 < ROWS ? j->m - i0 : ROWS;
        double sum[ROWS] = {0};
        for (int at = 0; at < j->k; at += PIECE) {
            int len = j->k - at < PIECE ? j->k - at : PIECE;
            float w[PIECE];
            ops_quant_unpack(j->type, j->k, j->w, col, at, len, w);
            for (int i = 0; i < rows; i++) {
                const float *x = j->x + (size_t)(i0 + i) * j->k + at;
                for (int c = 0; c < len; c++)
                    sum[i] += (double)x[c] * w[c];
            }
        }
        for (int i = 0; i < rows; i++)
            j->y[(size_t)(i0 + i) * j->n + col] = (float)sum[i];
    }
}

void ops_quant_exact(const ops_quant_job *j, int part, int parts)
{
    int panels = quant_panels(j->n), to = (int)((long)panels * (part + 1) / parts);
    for (int p = (int)((long)panels * part / parts); p < to; p++)
        for (int c = p * OPS_QUANT_COLS; c < (p + 1) * OPS_QUANT_COLS && c < j->n; c++)
            if (quant_wanted(j, p))
                exact_column(j, c);
}

/* The largest magnitude as an integer compare of the bits, so that a NaN is the largest of all. */
static float largest(const float *x)
{
    uint32_t top = 0;
    for (int i = 0; i < OPS_KERN_QUANT_GROUP; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= 0x7fffffff;
        top = bits > top ? bits : top;
    }
    float v;
    memcpy(&v, &top, sizeof v);
    return v;
}

void ops_quant_cell_plain(quant_format f, const float x[32], quant_cell *ret)
{
    float top = largest(x), inverse = top < 1e-30f ? 0 : 127 / top;
    int sum[2] = {0, 0};
    for (int i = 0; i < 32; i++) {
        float v = x[i] * inverse;
        ret->q[i] = (int8_t)(isfinite(v) ? lrintf(v) : 0);
        sum[i / 16] += ret->q[i];
    }
    int all = sum[0] + sum[1];
    ret->s = top < 1e-30f ? 0 : top / 127;
    ret->bs = ret->s * (float)all;
    ret->z[0] = -f.offset * (f.scale == SCALE_K6 ? sum[0] : all);
    ret->z[1] = -f.offset * sum[1];
}

static int quant_at(quant_plane plane, const uint8_t *p, int v, int in)
{
    if (plane == PLANE_8)
        return p[64 * v + in];
    int q = p[64 * (v % 4) + in] >> (v < 4 ? 0 : 4) & 15;
    if (plane == PLANE_5)
        q |= (p[256 + in] >> v & 1) << 4;
    else if (plane == PLANE_6)
        q |= (p[256 + 64 * (v / 4) + in] >> 2 * (v % 4) & 3) << 4;
    return q;
}

static float half_at(const uint8_t *p, int col)
{
    uint16_t h;
    memcpy(&h, p + (ptrdiff_t)2 * col, sizeof h);
    return ops_kern_quant_from_half(h);
}

/* acc + s * dot * scale, then + bs * shift, each one fma: the order and the roundings every level keeps. */
static float group_plain(quant_format f, const uint8_t *panel, int g, int col, const quant_cell *x, float acc)
{
    const quant_place at = quant_place_of(f.plane, f.scale, (size_t)g);
    int dot[2] = {x->z[0], f.scale == SCALE_K6 ? x->z[1] : 0};
    for (int e = 0; e < 32; e++)
        dot[e / 16] += quant_at(f.plane, panel + at.quants, e / 4, 4 * col + e % 4) * x->q[e];
    float s = x->s, bs = x->bs;
    const uint8_t *scales = panel + at.scales, *super = panel + at.super;
    switch (f.scale) {
    case SCALE_D:
        return fmaf((float)(dot[0] + dot[1]) * s, half_at(scales, col), acc);
    case SCALE_DM:
        acc = fmaf((float)(dot[0] + dot[1]) * s, half_at(scales, col), acc);
        return fmaf(bs, half_at(scales + 32, col), acc);
    case SCALE_K:
        acc = fmaf((float)(dot[0] + dot[1]) * s, half_at(super, col) * scales[col], acc);
        return fmaf(-bs, half_at(super + 32, col) * scales[16 + col], acc);
    case SCALE_K6:
        break;
    }
    float d = half_at(super, col);
    acc = fmaf((float)dot[0] * s, d * (float)(int8_t)scales[col], acc);
    return fmaf((float)dot[1] * s, d * (float)(int8_t)scales[16 + col], acc);
}

static float float_column(const ops_quant_job *j, int i, int col)
{
    enum { PIECE = 256 };
    float acc = 0, w[PIECE];
    for (int at = 0; at < j->k; at += PIECE) {
        int len = j->k - at < PIECE ? j->k - at : PIECE;
        ops_quant_unpack(j->type, j->k, j->w, col, at, len, w);
        for (int c = 0; c < len; c++)
            acc = fmaf(j->x[(size_t)i * j->k + at + c], w[c], acc);
    }
    return acc;
}

static float quant_column(const ops_quant_job *j, quant_format f, int i, int col)
{
    int groups = j->k / OPS_KERN_QUANT_GROUP;
    const uint8_t *panel =
        (const uint8_t *)j->w + quant_panel_bytes(f, j->k) * (size_t)(col / OPS_QUANT_COLS);
    float acc = 0;
    for (int g = 0; g < groups; g++)
        acc = group_plain(f, panel, g, col % OPS_QUANT_COLS,
                          (const quant_cell *)j->rows + quant_cell_at(groups, i, g), acc);
    return acc;
}

void ops_quant_plain(const ops_quant_job *j, int from, int to)
{
    quant_format f = quant_format_of(j->type);
    for (int p = from; p < to; p++) {
        if (!quant_wanted(j, p))
            continue;
        for (int i = 0; i < j->m; i++)
            for (int col = p * OPS_QUANT_COLS; col < (p + 1) * OPS_QUANT_COLS && col < j->n; col++)
                j->y[(size_t)i * j->n + col] =
                    quant_is_float(f) ? float_column(j, i, col) : quant_column(j, f, i, col);
    }
}
