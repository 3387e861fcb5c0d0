/* Sixteen floats: AVX-512 F, BW, DQ, VL and, where OPS_SIMD_VNNI is set, VNNI. Included by simd.h. */
#ifndef OPS_KERNELS_CPU_SIMD_512_H
#define OPS_KERNELS_CPU_SIMD_512_H

enum { LANES = 16 };
typedef __m512 vf;
typedef __m512i vi;

OPS_INLINE vf v_set(float x)
{
    return _mm512_set1_ps(x);
}
OPS_INLINE vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
OPS_INLINE void v_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}
OPS_INLINE __mmask16 v_first(int n)
{
    return (__mmask16)((1U << n) - 1);
}
OPS_INLINE vf v_load_n(const float *p, int n)
{
    return _mm512_maskz_loadu_ps(v_first(n), p);
} /* 0 <= n < LANES */
OPS_INLINE void v_store_n(float *p, int n, vf v)
{
    _mm512_mask_storeu_ps(p, v_first(n), v);
}
OPS_INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
OPS_INLINE vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
OPS_INLINE vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
OPS_INLINE vf v_abs(vf a)
{
    return _mm512_abs_ps(a);
}
OPS_INLINE vi v_round(vf a)
{
    return _mm512_cvtps_epi32(a);
}
OPS_INLINE vf v_float(vi a)
{
    return _mm512_cvtepi32_ps(a);
}
OPS_INLINE vf v_if_above(vf a, vf limit, vf yes, vf no)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, limit, _CMP_GT_OQ), no, yes);
}
OPS_INLINE vf v_with_sign(vf magnitude, vf sign)
{
    const vi bit = _mm512_set1_epi32(INT32_MIN);
    return _mm512_castsi512_ps(
        _mm512_or_si512(_mm512_castps_si512(magnitude), _mm512_and_si512(bit, _mm512_castps_si512(sign))));
}
OPS_INLINE vf v_times_power(vf a, vi n) /* a 2^n, both in the normal range */
{
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_slli_epi32(n, 23)));
}
OPS_INLINE vf v_of_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
}
OPS_INLINE vf v_of_bf16(const uint16_t *p)
{
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p)), 16));
}
OPS_INLINE vi v_iset(int32_t x)
{
    return _mm512_set1_epi32(x);
}
OPS_INLINE vi v_iload(const void *p)
{
    return _mm512_loadu_si512(p);
}
OPS_INLINE vi v_iadd(vi a, vi b)
{
    return _mm512_add_epi32(a, b);
}
OPS_INLINE vi v_isub(vi a, vi b)
{
    return _mm512_sub_epi32(a, b);
}
OPS_INLINE vi v_imul(vi a, vi b)
{
    return _mm512_mullo_epi32(a, b);
}
OPS_INLINE void v_store_bytes(uint8_t *p, vi v) /* each clamped to 0..255 */
{
    _mm_storeu_si128((void *)p, _mm512_cvtusepi32_epi8(_mm512_max_epi32(v, _mm512_setzero_si512())));
}
#if defined(OPS_SIMD_VNNI)
/* sum + the four products of bytes, u unsigned, w signed, in each 32 bits. */
OPS_INLINE vi v_dot4(vi sum, vi u, vi w)
{
    return _mm512_dpbusd_epi32(sum, u, w);
}
#else
OPS_INLINE vi v_dot4(vi sum, vi u, vi w)
{
    const vi even = _mm512_madd_epi16(_mm512_and_si512(u, _mm512_set1_epi16(255)),
                                      _mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8));
    const vi odd = _mm512_madd_epi16(_mm512_srli_epi16(u, 8), _mm512_srai_epi16(w, 8));
    return _mm512_add_epi32(sum, _mm512_add_epi32(even, odd));
}
#endif

#endif
