/* Eight floats: AVX2 with FMA and F16C. Included by simd.h. */
#ifndef OPS_KERNELS_CPU_SIMD_256_H
#define OPS_KERNELS_CPU_SIMD_256_H

enum { LANES = 8 };
typedef __m256 vf;
typedef __m256i vi;

OPS_INLINE vf v_set(float x)
{
    return _mm256_set1_ps(x);
}
OPS_INLINE vf v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
OPS_INLINE void v_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}
OPS_INLINE vi v_first(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
OPS_INLINE vf v_load_n(const float *p, int n)
{
    return _mm256_maskload_ps(p, v_first(n));
} /* 0 <= n < LANES */
OPS_INLINE void v_store_n(float *p, int n, vf v)
{
    _mm256_maskstore_ps(p, v_first(n), v);
}
OPS_INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
OPS_INLINE vf v_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
OPS_INLINE vf v_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
OPS_INLINE vf v_abs(vf a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
OPS_INLINE vi v_round(vf a)
{
    return _mm256_cvtps_epi32(a);
}
OPS_INLINE vf v_float(vi a)
{
    return _mm256_cvtepi32_ps(a);
}
OPS_INLINE vf v_if_above(vf a, vf limit, vf yes, vf no)
{
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, limit, _CMP_GT_OQ));
}
OPS_INLINE vf v_with_sign(vf magnitude, vf sign)
{
    return _mm256_or_ps(magnitude, _mm256_and_ps(_mm256_set1_ps(-0.0f), sign));
}
OPS_INLINE vf v_times_power(vf a, vi n)
{
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(n, 23)));
}
OPS_INLINE vf v_of_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
}
OPS_INLINE vf v_of_bf16(const uint16_t *p)
{
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)), 16));
}
OPS_INLINE vi v_iset(int32_t x)
{
    return _mm256_set1_epi32(x);
}
OPS_INLINE vi v_iload(const void *p)
{
    return _mm256_loadu_si256(p);
}
OPS_INLINE vi v_iadd(vi a, vi b)
{
    return _mm256_add_epi32(a, b);
}
OPS_INLINE vi v_isub(vi a, vi b)
{
    return _mm256_sub_epi32(a, b);
}
OPS_INLINE vi v_imul(vi a, vi b)
{
    return _mm256_mullo_epi32(a, b);
}
OPS_INLINE void v_store_bytes(uint8_t *p, vi v)
{
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storel_epi64((void *)p, _mm_packus_epi16(words, words));
}
OPS_INLINE vi v_dot4(vi sum, vi u, vi w)
{
    const vi even = _mm256_madd_epi16(_mm256_and_si256(u, _mm256_set1_epi16(255)),
                                      _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8));
    const vi odd = _mm256_madd_epi16(_mm256_srli_epi16(u, 8), _mm256_srai_epi16(w, 8));
    return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}

#endif
