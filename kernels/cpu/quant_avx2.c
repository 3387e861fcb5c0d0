/* AVX2: 8 columns a register, products by vpmaddubsw. Bytes of up to 6 bits are summed in 16 bits for as long as no sum
 * of 127 * (2^bits - 1) * 2 can pass 32,767; whole bytes are multiplied as |w| and sign(w) a, which can not pass it
 * either (128 * 127 * 2 = 32,512). */
#include <immintrin.h>
#include <string.h>

#include "kernels/cpu/quant_internal.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

enum { TALL = 4 };

static int32_t sum8(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtsi128_si32(s);
}

static float top8(__m256i v)
{
    __m128i s = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtss_f32(_mm_castsi128_ps(s));
}

void ops_quant_cell_avx2(quant_format f, const float x[32], quant_cell *ret)
{
    __m256i abs = _mm256_set1_epi32(0x7fffffff), top = _mm256_setzero_si256(), q[4];
    __m256 v[4];
    UNROLL for (int i = 0; i < 4; i++)
    {
        v[i] = _mm256_loadu_ps(x + 8 * i);
        top = _mm256_max_epi32(top, _mm256_and_si256(_mm256_castps_si256(v[i]), abs));
    }
    float most = top8(top);
    __m256 inverse = _mm256_set1_ps(most < 1e-30f ? 0 : 127 / most);
    UNROLL for (int i = 0; i < 4; i++) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
    int first = sum8(_mm256_add_epi32(q[0], q[1])), second = sum8(_mm256_add_epi32(q[2], q[3]));
    /* The packs work within 128-bit lanes; the permutation puts their dwords back in order. */
    __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    packed = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((void *)ret->q, packed);
    int all = (int)((unsigned)first + (unsigned)second);
    ret->s = most < 1e-30f ? 0 : most / 127;
    ret->bs = ret->s * (float)all;
    ret->z[0] = (int)(-(unsigned)f.offset * (unsigned)(f.scale == SCALE_K6 ? first : all));
    ret->z[1] = (int)(-(unsigned)f.offset * (unsigned)second);
}

/* Vector v, columns 8c.. of the 32 elements at p. */
INLINE __m256i quant_vector(quant_plane plane, const uint8_t *p, int c, int v)
{
    if (plane == PLANE_8)
        return _mm256_xor_si256(_mm256_loadu_si256((const void *)(p + 64 * v + 32 * c)),
                                _mm256_set1_epi8(-128));
    __m256i q = _mm256_loadu_si256((const void *)(p + 64 * (v % 4) + 32 * c));
    q = _mm256_and_si256(v < 4 ? q : _mm256_srli_epi16(q, 4), _mm256_set1_epi8(15));
    if (plane == PLANE_4)
        return q;
    int shift = plane == PLANE_5 ? 4 - v : 4 - 2 * (v % 4);
    __m256i e = _mm256_loadu_si256((const void *)(p + 256 + (plane == PLANE_6 ? 64 * (v / 4) : 0) + 32 * c));
    if (shift > 0)
        e = _mm256_slli_epi16(e, shift > 0 ? shift : 0);
    else if (shift < 0)
        e = _mm256_srli_epi16(e, shift < 0 ? -shift : 0);
    return _mm256_or_si256(q, _mm256_and_si256(e, _mm256_set1_epi8(plane == PLANE_5 ? 0x10 : 0x30)));
}

INLINE __m256 halves(const uint8_t *p, int c)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p + 16 * c)));
}

INLINE __m256 small(const uint8_t *p, int c, int is_signed)
{
    __m128i b = _mm_loadl_epi64((const void *)(p + 8 * c));
    return _mm256_cvtepi32_ps(is_signed ? _mm256_cvtepi8_epi32(b) : _mm256_cvtepu8_epi32(b));
}

INLINE void group_scales(quant_scale kind, const uint8_t *p, const uint8_t *super, int c, __m256 scale[2],
                         __m256 *shift)
{
    if (kind == SCALE_D || kind == SCALE_DM) {
        scale[0] = scale[1] = halves(p, c);
        *shift = kind == SCALE_DM ? halves(p + 32, c) : _mm256_setzero_ps();
        return;
    }
    __m256 d = halves(super, c);
    scale[0] = scale[1] = _mm256_mul_ps(d, small(p, c, kind == SCALE_K6));
    if (kind == SCALE_K6)
        scale[1] = _mm256_mul_ps(d, small(p + 16, c, 1));
    *shift =
        kind == SCALE_K ? _mm256_mul_ps(halves(super + 32, c), small(p + 16, c, 0)) : _mm256_setzero_ps();
}

/* Four products a dword, in 16-bit pairs. */
INLINE __m256i pairs(quant_plane plane, __m256i w, const int8_t *q)
{
    int32_t v;
    memcpy(&v, q, sizeof v);
    __m256i a = _mm256_set1_epi32(v);
    if (plane == PLANE_8)
        return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
    return _mm256_maddubs_epi16(w, a);
}

INLINE void half_group(quant_plane plane, int rows, const uint8_t *p, int c, int half, const quant_cell *cell,
                       __m256i *dot)
{
    int room = plane == PLANE_8 ? 1 : plane == PLANE_6 ? 2 : 4;
    __m256i wide[TALL];
    UNROLL for (int v = 0; v < 4; v++)
    {
        __m256i w = quant_vector(plane, p, c, 4 * half + v);
        UNROLL for (int r = 0; r < rows; r++)
        {
            __m256i now = pairs(plane, w, cell[r].q + 16 * half + 4 * v);
            wide[r] = v % room == 0 ? now : _mm256_add_epi16(wide[r], now);
            if (v % room == room - 1)
                dot[r] = _mm256_add_epi32(dot[r], _mm256_madd_epi16(wide[r], _mm256_set1_epi16(1)));
        }
    }
}

INLINE void half_columns(quant_plane plane, quant_scale kind, int rows, const uint8_t *p,
                         const uint8_t *scales, const uint8_t *super, int c, const quant_cell *cell,
                         __m256 *acc)
{
    __m256i dot[TALL];
    __m256 scale[2], shift;
    int offset = plane != PLANE_8 && (kind == SCALE_D || kind == SCALE_K6);
    UNROLL for (int r = 0; r < rows; r++) dot[r] =
        offset ? _mm256_set1_epi32(cell[r].z[0]) : _mm256_setzero_si256();
    half_group(plane, rows, p, c, 0, cell, dot);
    group_scales(kind, scales, super, c, scale, &shift);
    if (kind == SCALE_K6)
        UNROLL for (int r = 0; r < rows; r++)
        {
            acc[r] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(dot[r]), _mm256_set1_ps(cell[r].s)),
                                     scale[0], acc[r]);
            dot[r] = _mm256_set1_epi32(cell[r].z[1]);
        }
    half_group(plane, rows, p, c, 1, cell, dot);
    UNROLL for (int r = 0; r < rows; r++)
    {
        acc[r] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(dot[r]), _mm256_set1_ps(cell[r].s)),
                                 scale[1], acc[r]);
        if (kind == SCALE_DM)
            acc[r] = _mm256_fmadd_ps(_mm256_set1_ps(cell[r].bs), shift, acc[r]);
        else if (kind == SCALE_K)
            acc[r] = _mm256_fnmadd_ps(_mm256_set1_ps(cell[r].bs), shift, acc[r]);
    }
}

/* A group for the 16 columns. */
INLINE void group(quant_plane plane, quant_scale kind, int rows, const uint8_t *p, const uint8_t *scales,
                  const uint8_t *super, const quant_cell *cell, __m256 acc[2][TALL])
{
    UNROLL for (int c = 0; c < 2; c++) half_columns(plane, kind, rows, p, scales, super, c, cell, acc[c]);
}

/* Eight columns of `rows` rows; the last columns of the last panel may lie beyond n. */
INLINE void put(const ops_quant_job *j, int row, int col, int rows, const __m256 *acc)
{
    int left = j->n - col;
    UNROLL for (int r = 0; r < rows; r++)
    {
        float *y = j->y + (size_t)(row + r) * j->n + col;
        if (left >= 8) {
            _mm256_storeu_ps(y, acc[r]);
        } else if (left > 0) {
            float tail[8];
            _mm256_storeu_ps(tail, acc[r]);
            memcpy(y, tail, (size_t)left * sizeof *y);
        }
    }
}

INLINE void tile(quant_plane plane, quant_scale kind, int rows, const ops_quant_job *j, int row, int p)
{
    int groups = j->k / OPS_KERN_QUANT_GROUP;
    size_t plane_bytes = quant_plane_bytes(plane);
    const uint8_t *at =
        (const uint8_t *)j->w + quant_panel_bytes((quant_format){plane, kind, 0}, j->k) * (size_t)p;
    const uint8_t *super = at;
    const quant_cell *cell = (const quant_cell *)j->rows + quant_cell_at(groups, row, 0);
    __m256 acc[2][TALL];
    UNROLL for (int r = 0; r < rows; r++) acc[0][r] = acc[1][r] = _mm256_setzero_ps();
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
    UNROLL for (int c = 0; c < 2; c++) put(j, row, p * OPS_QUANT_COLS + 8 * c, rows, acc[c]);
}

INLINE void run(quant_plane plane, quant_scale kind, const ops_quant_job *j, int from, int to)
{
    for (int p = from; p < to; p++) {
        if (!quant_wanted(j, p))
            continue;
        int row = 0;
        for (; row + TALL <= j->m; row += TALL)
            tile(plane, kind, TALL, j, row, p);
        for (; row < j->m; row++)
            tile(plane, kind, 1, j, row, p);
    }
}

INLINE __m256 float_vector(quant_plane plane, const uint8_t *p, int c)
{
    if (plane == PLANE_F32)
        return _mm256_loadu_ps((const float *)(const void *)p + 8 * c);
    __m128i half = _mm_loadu_si128((const void *)(p + 16 * c));
    if (plane == PLANE_F16)
        return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

INLINE void float_tile(quant_plane plane, int rows, const ops_quant_job *j, int row, int p)
{
    size_t step = quant_plane_bytes(plane),
           panel_bytes = quant_panel_bytes((quant_format){plane, SCALE_D, 0}, j->k);
    const uint8_t *w = (const uint8_t *)j->w + panel_bytes * (size_t)p;
    const float *x = j->x + (size_t)row * j->k;
    __m256 acc[2][TALL];
    UNROLL for (int r = 0; r < rows; r++) acc[0][r] = acc[1][r] = _mm256_setzero_ps();
    for (int i = 0; i < j->k; i++)
        UNROLL for (int c = 0; c < 2; c++)
        {
            __m256 v = float_vector(plane, w + step * (size_t)i, c);
            UNROLL for (int r = 0; r < rows; r++) acc[c][r] =
                _mm256_fmadd_ps(_mm256_set1_ps(x[(size_t)r * j->k + i]), v, acc[c][r]);
        }
    UNROLL for (int c = 0; c < 2; c++) put(j, row, p * OPS_QUANT_COLS + 8 * c, rows, acc[c]);
}

INLINE void float_run(quant_plane plane, const ops_quant_job *j, int from, int to)
{
    for (int p = from; p < to; p++) {
        if (!quant_wanted(j, p))
            continue;
        int row = 0;
        for (; row + TALL <= j->m; row += TALL)
            float_tile(plane, TALL, j, row, p);
        for (; row < j->m; row++)
            float_tile(plane, 1, j, row, p);
    }
}

void ops_quant_avx2(const ops_quant_job *j, int from, int to)
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
