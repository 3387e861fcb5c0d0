#ifndef OPS_KERNELS_CPU_LANES_INTERNAL_H
#define OPS_KERNELS_CPU_LANES_INTERNAL_H
/* Sixteen f32 at a time, written once and compiled per level: one register with AVX-512, two with AVX2, an array without.
 * Every function rounds alike at every level, sums across lanes included, so the levels give the same bits. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/include/kern_quant.h"

#if defined(__AVX2__)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#else /* arrays gain nothing by it, and a sanitized build would take minutes */
#define INLINE static inline
#define UNROLL
#endif

enum { LANES = 16 };

#if defined(__AVX512F__)
#include <immintrin.h>
typedef __m512 v16;

INLINE v16 v16_set(float x)
{
    return _mm512_set1_ps(x);
}
INLINE v16 v16_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
INLINE v16 v16_load_n(const float *p, int n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
INLINE void v16_store(float *p, v16 x)
{
    _mm512_storeu_ps(p, x);
}
INLINE void v16_store_n(float *p, v16 x, int n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), x);
}
INLINE v16 v16_halves(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
}
INLINE void v16_store_halves(uint16_t *p, v16 x)
{
    _mm256_storeu_si256((void *)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
INLINE v16 v16_add(v16 a, v16 b)
{
    return _mm512_add_ps(a, b);
}
INLINE v16 v16_sub(v16 a, v16 b)
{
    return _mm512_sub_ps(a, b);
}
INLINE v16 v16_mul(v16 a, v16 b)
{
    return _mm512_mul_ps(a, b);
}
INLINE v16 v16_div(v16 a, v16 b)
{
    return _mm512_div_ps(a, b);
}
INLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
    return _mm512_fmadd_ps(a, b, c);
}
/* a where a > b, else b */
INLINE v16 v16_max(v16 a, v16 b)
{
    return _mm512_max_ps(a, b);
}
INLINE v16 v16_round(v16 a)
{
    return _mm512_roundscale_ps(a, 8);
}
/* 2^n of whole n in [-126, 127] */
INLINE v16 v16_power(v16 n)
{
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtps_epi32(_mm512_add_ps(n, _mm512_set1_ps(127))), 23));
}
/* x where a < b, else y */
INLINE v16 v16_less(v16 a, v16 b, v16 x, v16 y)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
INLINE v16 v16_count(void)
{
    return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
/* Eight floats, each twice */
INLINE v16 v16_twice(const float *p)
{
    return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7),
                                 _mm512_castps256_ps512(_mm256_loadu_ps(p)));
}
/* Neighbours change places */
INLINE v16 v16_swap(v16 a)
{
    return _mm512_permute_ps(a, 0xb1);
}
INLINE __m256 v16_low(v16 a)
{
    return _mm512_castps512_ps256(a);
}
INLINE __m256 v16_high(v16 a)
{
    return _mm512_extractf32x8_ps(a, 1);
}
#elif defined(__AVX2__)
#include <immintrin.h>
typedef struct v16 {
    __m256 a, b;
} v16;

INLINE v16 v16_set(float x)
{
    return (v16){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
INLINE v16 v16_load(const float *p)
{
    return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
INLINE v16 v16_load_n(const float *p, int n)
{
    float t[LANES] = {0};
    memcpy(t, p, (size_t)n * sizeof *t);
    return v16_load(t);
}
INLINE void v16_store(float *p, v16 x)
{
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}
INLINE void v16_store_n(float *p, v16 x, int n)
{
    float t[LANES];
    v16_store(t, x);
    memcpy(p, t, (size_t)n * sizeof *t);
}
INLINE v16 v16_halves(const uint16_t *p)
{
    return (v16){_mm256_cvtph_ps(_mm_loadu_si128((const void *)p)),
                 _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p + 8)))};
}
INLINE void v16_store_halves(uint16_t *p, v16 x)
{
    _mm_storeu_si128((void *)p, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((void *)(p + 8), _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}
INLINE v16 v16_add(v16 x, v16 y)
{
    return (v16){_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
INLINE v16 v16_sub(v16 x, v16 y)
{
    return (v16){_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
INLINE v16 v16_mul(v16 x, v16 y)
{
    return (v16){_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
INLINE v16 v16_div(v16 x, v16 y)
{
    return (v16){_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
INLINE v16 v16_fma(v16 x, v16 y, v16 z)
{
    return (v16){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
INLINE v16 v16_max(v16 x, v16 y)
{
    return (v16){_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
INLINE v16 v16_round(v16 x)
{
    return (v16){_mm256_round_ps(x.a, 8), _mm256_round_ps(x.b, 8)};
}
INLINE __m256 power8(__m256 n)
{
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtps_epi32(_mm256_add_ps(n, _mm256_set1_ps(127))), 23));
}
INLINE v16 v16_power(v16 n)
{
    return (v16){power8(n.a), power8(n.b)};
}
INLINE v16 v16_less(v16 a, v16 b, v16 x, v16 y)
{
    return (v16){_mm256_blendv_ps(y.a, x.a, _mm256_cmp_ps(a.a, b.a, _CMP_LT_OQ)),
                 _mm256_blendv_ps(y.b, x.b, _mm256_cmp_ps(a.b, b.b, _CMP_LT_OQ))};
}
INLINE v16 v16_count(void)
{
    return (v16){_mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7), _mm256_setr_ps(8, 9, 10, 11, 12, 13, 14, 15)};
}
INLINE v16 v16_twice(const float *p)
{
    const __m256 v = _mm256_loadu_ps(p);
    return (v16){_mm256_permutevar8x32_ps(v, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3)),
                 _mm256_permutevar8x32_ps(v, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7))};
}
INLINE v16 v16_swap(v16 x)
{
    return (v16){_mm256_permute_ps(x.a, 0xb1), _mm256_permute_ps(x.b, 0xb1)};
}
INLINE __m256 v16_low(v16 x)
{
    return x.a;
}
INLINE __m256 v16_high(v16 x)
{
    return x.b;
}
#else
typedef struct v16 {
    float x[LANES];
} v16;
#define V16_EACH(expression)                                                                                 \
    v16 ret;                                                                                                 \
    for (int i = 0; i < LANES; i++)                                                                          \
        ret.x[i] = (expression);                                                                             \
    return ret

INLINE v16 v16_set(float x)
{
    V16_EACH(x);
}
INLINE v16 v16_load(const float *p)
{
    V16_EACH(p[i]);
}
INLINE v16 v16_load_n(const float *p, int n)
{
    V16_EACH(i < n ? p[i] : 0);
}
INLINE void v16_store(float *p, v16 x)
{
    memcpy(p, x.x, sizeof x.x);
}
INLINE void v16_store_n(float *p, v16 x, int n)
{
    memcpy(p, x.x, (size_t)n * sizeof *p);
}
INLINE v16 v16_halves(const uint16_t *p)
{
    V16_EACH(ops_kern_quant_from_half(p[i]));
}
INLINE void v16_store_halves(uint16_t *p, v16 x)
{
    for (int i = 0; i < LANES; i++)
        p[i] = ops_kern_quant_to_half(x.x[i]);
}
INLINE v16 v16_add(v16 a, v16 b)
{
    V16_EACH(a.x[i] + b.x[i]);
}
INLINE v16 v16_sub(v16 a, v16 b)
{
    V16_EACH(a.x[i] - b.x[i]);
}
INLINE v16 v16_mul(v16 a, v16 b)
{
    V16_EACH(a.x[i] * b.x[i]);
}
INLINE v16 v16_div(v16 a, v16 b)
{
    V16_EACH(a.x[i] / b.x[i]);
}
INLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
    V16_EACH(fmaf(a.x[i], b.x[i], c.x[i]));
}
INLINE v16 v16_max(v16 a, v16 b)
{
    V16_EACH(a.x[i] > b.x[i] ? a.x[i] : b.x[i]);
}
INLINE v16 v16_round(v16 a)
{
    V16_EACH(rintf(a.x[i]));
}
INLINE float power1(float n)
{
    uint32_t bits = (uint32_t)(int32_t)(n + 127) << 23;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}
INLINE v16 v16_power(v16 n)
{
    V16_EACH(power1(n.x[i]));
}
INLINE v16 v16_less(v16 a, v16 b, v16 x, v16 y)
{
    V16_EACH(a.x[i] < b.x[i] ? x.x[i] : y.x[i]);
}
INLINE v16 v16_count(void)
{
    V16_EACH((float)i);
}
INLINE v16 v16_twice(const float *p)
{
    V16_EACH(p[i / 2]);
}
INLINE v16 v16_swap(v16 a)
{
    V16_EACH(a.x[i ^ 1]);
}
#endif

/* The first n elements at p, or all sixteen where there are more; zeros in the other lanes. */
INLINE v16 v16_load_upto(const float *p, int n)
{
    return n >= LANES ? v16_load(p) : v16_load_n(p, n);
}
INLINE void v16_store_upto(float *p, v16 x, int n)
{
    if (n >= LANES)
        v16_store(p, x);
    else
        v16_store_n(p, x, n);
}

/* -1, 1, -1, 1, ... */
INLINE v16 v16_signs(void)
{
    static const float signs[LANES] = {-1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1};
    return v16_load(signs);
}

/* The upper half of the lanes onto the lower, and again, until one is left. */
#ifdef __AVX2__
#define V16_FOLD(name, op8, op4)                                                                             \
    INLINE float name(v16 v)                                                                                 \
    {                                                                                                        \
        const __m256 e = op8(v16_low(v), v16_high(v));                                                       \
        __m128 q = op4(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));                              \
        q = op4(q, _mm_movehl_ps(q, q));                                                                     \
        return _mm_cvtss_f32(op4(q, _mm_movehdup_ps(q)));                                                    \
    }
V16_FOLD(v16_sum, _mm256_add_ps, _mm_add_ps)
V16_FOLD(v16_top, _mm256_max_ps, _mm_max_ps)
#undef V16_FOLD
#else
#define V16_FOLD(name, value)                                                                                \
    INLINE float name(v16 v)                                                                                 \
    {                                                                                                        \
        for (int half = LANES / 2; half > 0; half /= 2)                                                      \
            for (int i = 0; i < half; i++)                                                                   \
                v.x[i] = value;                                                                              \
        return v.x[0];                                                                                       \
    }
V16_FOLD(v16_sum, v.x[i] + v.x[i + half])
V16_FOLD(v16_top, v.x[i] > v.x[i + half] ? v.x[i] : v.x[i + half])
#undef V16_FOLD
#endif

/* e^x. With n = round(x / ln 2) and r = x - n ln 2 (in two parts, |r| <= ln 2 / 2), e^x = 2^n e^r, and the Taylor series
 * of e^r up to r^7 / 7! leaves less than 6e-9. Below -87 it is 0, above 88 infinite; a NaN stays one. */
INLINE v16 v16_exp(v16 x)
{
    static const float term[] = {1.f / 5040, 1.f / 720, 1.f / 120, 1.f / 24, 1.f / 6, 0.5f, 1, 1};
    v16 low = v16_set(-87), high = v16_set(88);
    v16 safe = v16_less(x, low, low, v16_less(high, x, high, v16_less(x, v16_set(INFINITY), x, v16_set(0))));
    v16 n = v16_round(v16_mul(safe, v16_set(1.44269504f)));
    v16 r = v16_fma(n, v16_set(-0.693145752f), safe);
    r = v16_fma(n, v16_set(-1.42860682e-6f), r);
    v16 p = v16_set(term[0]);
    UNROLL for (int i = 1; i < 8; i++) p = v16_fma(p, r, v16_set(term[i]));
    p = v16_mul(p, v16_power(n));
    /* x + x is NaN for a NaN and infinite for what is too large. */
    v16 rest = v16_add(v16_less(high, x, v16_set(INFINITY), x), x);
    return v16_less(x, low, v16_set(0), v16_less(x, v16_set(88.0000076f), p, rest));
}
#endif
