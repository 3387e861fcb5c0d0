/* AVX-512 VNNI: 16 columns a register, the activations broadcast by vpdpbusd itself. One inlined tile serves all formats
 * and shapes; format, rows and panels are constants wherever it is used. */
#include <immintrin.h>
#include <string.h>

#include "kernels/cpu/quant_internal.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

enum { AHEAD_FLOATS = 1024, ROWS_AT_ONCE = 4 };

/* Vector v of the 32 elements at p; x holds the nibble vectors and h the planes of extra bits. */
INLINE __m512i quant_vector(quant_plane plane, const uint8_t *p, const __m512i x[4], const __m512i h[2],
                            int v)
{
    if (plane == PLANE_8)
        return _mm512_loadu_si512(p + 64 * v);
    __m512i q = v < 4 ? x[v] : _mm512_srli_epi16(x[v - 4], 4);
    q = _mm512_and_si512(q, _mm512_set1_epi8(15));
    if (plane == PLANE_4)
        return q;
    int shift = plane == PLANE_5 ? 4 - v : 4 - 2 * (v % 4);
    __m512i e = h[plane == PLANE_6 ? v / 4 : 0];
    if (shift > 0)
        e = _mm512_slli_epi16(e, (unsigned)(shift > 0 ? shift : 0));
    else if (shift < 0)
        e = _mm512_srli_epi16(e, (unsigned)(shift < 0 ? -shift : 0));
    /* q | (e & mask) */
    return _mm512_ternarylogic_epi32(q, e, _mm512_set1_epi8(plane == PLANE_5 ? 0x10 : 0x30), 0xf8);
}

INLINE __m512 halves(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
}

INLINE __m512 small(const uint8_t *p, int is_signed)
{
    __m128i b = _mm_loadu_si128((const void *)p);
    return _mm512_cvtepi32_ps(is_signed ? _mm512_cvtepi8_epi32(b) : _mm512_cvtepu8_epi32(b));
}

/* scale[0], scale[1] of the two halves of a group, and the shift (subtracted for SCALE_K). */
INLINE void group_scales(quant_scale kind, const uint8_t *p, const uint8_t *super, __m512 scale[2],
                         __m512 *shift)
{
    if (kind == SCALE_D || kind == SCALE_DM) {
        scale[0] = scale[1] = halves(p);
        *shift = kind == SCALE_DM ? halves(p + 32) : _mm512_setzero_ps();
        return;
    }
    __m512 d = halves(super);
    scale[0] = scale[1] = _mm512_mul_ps(d, small(p, kind == SCALE_K6));
    if (kind == SCALE_K6)
        scale[1] = _mm512_mul_ps(d, small(p + 16, 1));
    *shift = kind == SCALE_K ? _mm512_mul_ps(halves(super + 32), small(p + 16, 0)) : _mm512_setzero_ps();
}

INLINE __m512i four(const int8_t *q)
{
    int32_t v;
    memcpy(&v, q, sizeof v);
    return _mm512_set1_epi32(v);
}

/* `n` unpacked vectors by the rows' activations, times scale, onto acc. Rows in fours: that many chains keep the multiplier
 * busy, and the vectors of a group, the sums and they just fit the registers, so that a group is unpacked once for 16 rows. */
INLINE void rows_of(quant_scale kind, int half, int n, int rows, const __m512i *q, const quant_cell *cell,
                    __m512 scale, __m512 shift, __m512 *acc)
{
    UNROLL for (int from = 0; from < rows; from += ROWS_AT_ONCE)
    {
        const int count = rows - from < ROWS_AT_ONCE ? rows - from : ROWS_AT_ONCE;
        __m512i dot[ROWS_AT_ONCE];
        UNROLL for (int r = 0; r < count; r++) dot[r] = kind == SCALE_D || kind == SCALE_K6
                                                            ? _mm512_set1_epi32(cell[from + r].z[half])
                                                            : _mm512_setzero_si512();
        UNROLL for (int v = 0; v < n; v++) UNROLL for (int r = 0; r < count; r++) dot[r] =
            _mm512_dpbusd_epi32(dot[r], q[v], four(cell[from + r].q + 4 * (n * half + v)));
        UNROLL for (int r = 0; r < count; r++)
        {
            const quant_cell *c = cell + from + r;
            __m512 *to = acc + from + r;
            *to =
                _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(dot[r]), _mm512_set1_ps(c->s)), scale, *to);
            if (kind == SCALE_DM)
                *to = _mm512_fmadd_ps(_mm512_set1_ps(c->bs), shift, *to);
            else if (kind == SCALE_K)
                *to = _mm512_fnmadd_ps(_mm512_set1_ps(c->bs), shift, *to);
        }
    }
}

/* One group of one panel for `rows` rows. */
INLINE void group(quant_plane plane, quant_scale kind, int rows, const uint8_t *p, const uint8_t *scales,
                  const uint8_t *super, const quant_cell *cell, __m512 *acc)
{
    __m512i x[4], h[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()}, q[8];
    __m512 scale[2], shift;
    if (plane != PLANE_8)
        UNROLL for (int i = 0; i < 4; i++) x[i] = _mm512_loadu_si512(p + 64 * i);
    if (plane == PLANE_5 || plane == PLANE_6)
        h[0] = _mm512_loadu_si512(p + 256);
    if (plane == PLANE_6)
        h[1] = _mm512_loadu_si512(p + 320);
    UNROLL for (int v = 0; v < 8; v++) q[v] = quant_vector(plane, p, x, h, v);
    group_scales(kind, scales, super, scale, &shift);
    if (kind == SCALE_K6) {
        rows_of(kind, 0, 4, rows, q, cell, scale[0], shift, acc);
        rows_of(kind, 1, 4, rows, q + 4, cell, scale[1], shift, acc);
    } else {
        rows_of(kind, 0, 8, rows, q, cell, scale[0], shift, acc);
    }
}

INLINE void put(const ops_quant_job *j, int row, int p, int rows, const __m512 *acc)
{
    int left = j->n - p * OPS_QUANT_COLS;
    __mmask16 keep = (__mmask16)(left >= OPS_QUANT_COLS ? 0xffff : (1u << left) - 1);
    UNROLL for (int r = 0; r < rows; r++)
        _mm512_mask_storeu_ps(j->y + (size_t)(row + r) * j->n + p * OPS_QUANT_COLS, keep, acc[r]);
}

/* Rows [row, row + rows) of panel p; row is a multiple of what makes the rows lie in one tile. Groups come in pairs also in
 * the code, so that every load goes on by the same step: only then does the processor fetch ahead of all of them. */
INLINE void tile(quant_plane plane, quant_scale kind, int rows, const ops_quant_job *j, int row, int p)
{
    int groups = j->k / OPS_KERN_QUANT_GROUP;
    size_t plane_bytes = quant_plane_bytes(plane);
    const uint8_t *at =
        (const uint8_t *)j->w + quant_panel_bytes((quant_format){plane, kind, 0}, j->k) * (size_t)p;
    const uint8_t *super = at;
    const quant_cell *cell = (const quant_cell *)j->rows + quant_cell_at(groups, row, 0);
    __m512 acc[QUANT_TILE];
    UNROLL for (int i = 0; i < rows; i++) acc[i] = _mm512_setzero_ps();
    if (kind == SCALE_DM) {
        for (int g = 0; g < groups; g++, cell += QUANT_TILE, at += plane_bytes + 64) {
            quant_ask(at, plane_bytes + 64);
            group(plane, kind, rows, at, at + plane_bytes, NULL, cell, acc);
        }
        groups = 0;
    }
    for (int g = 0; g < groups; g += 2, cell += 2 * QUANT_TILE, at += quant_pair_bytes(plane)) {
        if (kind != SCALE_D && g % 8 == 0) {
            super = at;
            at += 64;
        }
        const uint8_t *scales = at + 2 * plane_bytes;
        quant_ask(at, quant_pair_bytes(plane));
        group(plane, kind, rows, at, scales, super, cell, acc);
        if (kind != SCALE_D || g + 1 < groups)
            group(plane, kind, rows, at + plane_bytes, scales + 32, super, cell + QUANT_TILE, acc);
    }
    put(j, row, p, rows, acc);
}

INLINE __m512 float_vector(quant_plane plane, const uint8_t *p)
{
    if (plane == PLANE_F32)
        return _mm512_loadu_ps(p);
    __m256i half = _mm256_loadu_si256((const void *)p);
    if (plane == PLANE_F16)
        return _mm512_cvtph_ps(half);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

INLINE void float_tile(quant_plane plane, int rows, int panels, const ops_quant_job *j, int row, int p)
{
    size_t step = quant_plane_bytes(plane),
           panel_bytes = quant_panel_bytes((quant_format){plane, SCALE_D, 0}, j->k);
    const uint8_t *w = (const uint8_t *)j->w + panel_bytes * (size_t)p;
    const float *x = j->x + (size_t)row * j->k;
    __m512 acc[16];
    UNROLL for (int i = 0; i < rows * panels; i++) acc[i] = _mm512_setzero_ps();
    for (int c = 0; c < j->k; c++)
        UNROLL for (int i = 0; i < panels; i++)
        {
            const uint8_t *at = w + panel_bytes * (size_t)i + step * (size_t)c;
            if (rows == 1 && c % 2 == 0)
                _mm_prefetch((const void *)(at + AHEAD_FLOATS), _MM_HINT_T0);
            __m512 v = float_vector(plane, at);
            UNROLL for (int r = 0; r < rows; r++) acc[rows * i + r] =
                _mm512_fmadd_ps(_mm512_set1_ps(x[(size_t)r * j->k + c]), v, acc[rows * i + r]);
        }
    UNROLL for (int i = 0; i < panels; i++) put(j, row, p + i, rows, acc + rows * i);
}

INLINE void panel_rows(quant_plane plane, quant_scale kind, const ops_quant_job *j, int row, int to, int p)
{
    for (int left; (left = to - row) > 0;)
        if (left >= QUANT_TILE) {
            tile(plane, kind, QUANT_TILE, j, row, p);
            row += QUANT_TILE;
        } else if (left >= 8) {
            tile(plane, kind, 8, j, row, p);
            row += 8;
        } else if (left >= 4) {
            tile(plane, kind, 4, j, row, p);
            row += 4;
        } else if (left > 1) {
            tile(plane, kind, 2, j, row, p);
            row += 2;
        } else {
            tile(plane, kind, 1, j, row, p);
            row++;
        }
}

/* Row blocks whose activations stay in the second cache while the panels pass. */
INLINE int block_rows(const ops_quant_job *j)
{
    size_t rows = (size_t)384 * 1024 / (sizeof(quant_cell) * (size_t)(j->k / OPS_KERN_QUANT_GROUP));
    return rows < QUANT_TILE ? QUANT_TILE : (int)(rows / QUANT_TILE) * QUANT_TILE;
}

INLINE void run(quant_plane plane, quant_scale kind, const ops_quant_job *j, int from, int to)
{
    int step = block_rows(j);
    for (int row = 0; row < j->m; row += step)
        for (int p = from; p < to; p++)
            if (quant_wanted(j, p))
                panel_rows(plane, kind, j, row, j->m - row < step ? j->m : row + step, p);
}

INLINE void float_panels(quant_plane plane, int panels, const ops_quant_job *j, int row, int to, int p)
{
    int tall = row + (to - row) / 8 * 8;
    for (int at = row; at < tall; at += 8)
        if (panels == 4) {
            for (int i = 0; i < 4; i += 2)
                float_tile(plane, 8, 2, j, at, p + i);
        } else {
            float_tile(plane, 8, 1, j, at, p);
        }
    for (int at = tall; at < to; at++)
        if (panels == 4)
            float_tile(plane, 1, 4, j, at, p);
        else
            float_tile(plane, 1, 1, j, at, p);
}

INLINE void float_run(quant_plane plane, const ops_quant_job *j, int from, int to)
{
    int step =
        96 * 1024 / j->k < 8 ? 8 : 96 * 1024 / j->k / 8 * 8; /* rows of x that stay in the second cache */
    for (int row = 0; row < j->m; row += step)
        for (int p = from, panels; p < to; p += panels) {
            panels = !j->mask && p + 4 <= to ? 4 : 1;
            if (quant_wanted(j, p))
                float_panels(plane, panels, j, row, j->m - row < step ? j->m : row + step, p);
        }
}

void ops_quant_avx512(const ops_quant_job *j, int from, int to)
{
    switch (j->type) {
    case OPS_KERN_QUANT_Q4_0:
        run(PLANE_4, SCALE_D, j, from, to);
        return;
    case OPS_KERN_QUANT_Q4_1:
        run(PLANE_4, SCALE_DM, j, from, to);
        return;
    case OPS_KERN_QUANT_Q5_0:
        run(PLANE_5, SCALE_D, j, from, to);
        return;
    case OPS_KERN_QUANT_Q5_1:
        run(PLANE_5, SCALE_DM, j, from, to);
        return;
    case OPS_KERN_QUANT_Q8_0:
        run(PLANE_8, SCALE_D, j, from, to);
        return;
    case OPS_KERN_QUANT_Q4_K:
        run(PLANE_4, SCALE_K, j, from, to);
        return;
    case OPS_KERN_QUANT_Q5_K:
        run(PLANE_5, SCALE_K, j, from, to);
        return;
    case OPS_KERN_QUANT_Q6_K:
        run(PLANE_6, SCALE_K6, j, from, to);
        return;
    case OPS_KERN_QUANT_F16:
        float_run(PLANE_F16, j, from, to);
        return;
    case OPS_KERN_QUANT_BF16:
        float_run(PLANE_BF16, j, from, to);
        return;
    case OPS_KERN_QUANT_F32:
        float_run(PLANE_F32, j, from, to);
        return;
    }
}
