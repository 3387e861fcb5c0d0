/* Vectors of the level a file is compiled for: 8 or 16 floats. The functions on levels are written once on top of this.
 * Nothing here is contracted by the compiler (the room is built with -ffp-contract=off): where a fused product is
 * wanted, it is written. */
#ifndef OPS_KERNELS_CPU_SIMD_H
#define OPS_KERNELS_CPU_SIMD_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define OPS_SIMD_PASTE2(level, name) ops_##level##_##name
#define OPS_SIMD_PASTE(level, name)  OPS_SIMD_PASTE2(level, name)
#define OPS_SIMD(name)               OPS_SIMD_PASTE(OPS_SIMD_LEVEL, name)
#define OPS_INLINE                   static inline __attribute__((always_inline))
#define OPS_UNROLL                   _Pragma("GCC unroll 32")

#if defined(__AVX512F__)
#include "kernels/cpu/simd_512.h"
#else
#include "kernels/cpu/simd_256.h"
#endif

enum { PANEL = 2 * LANES };

/* Folded in halves: the same order at every call. */
OPS_INLINE float v_fold(vf v, int max)
{
    float a[LANES];
    v_store(a, v);
    OPS_UNROLL for (int half = LANES / 2; half > 0; half /= 2) OPS_UNROLL for (int i = 0; i < half; i++)
        a[i] = max ? (a[i] > a[i + half] ? a[i] : a[i + half]) : a[i] + a[i + half];
    return a[0];
}
OPS_INLINE float v_sum(vf v)
{
    return v_fold(v, 0);
}
OPS_INLINE float v_top(vf v)
{
    return v_fold(v, 1);
}

/* e^x for x <= 0, to 2e-7 of it; below -87 it is no more than e^-87. x = n ln 2 + r, |r| <= ln 2 / 2, and a polynomial for
 * e^r whose coefficients come from a weighted least-squares fit driven towards equal error (3e-9). */
OPS_INLINE vf v_exp(vf x)
{
    x = v_max(x, v_set(-87.0f));
    const vi n = v_round(x * v_set(1.44269504f));
    const vf nf = v_float(n);
    vf r = v_fma(nf, v_set(-0.693359375f), x);
    r = v_fma(nf, v_set(2.12194440e-4f), r);
    vf p = v_fma(v_set(1.381460007e-3f), r, v_set(8.368715633e-3f));
    p = v_fma(p, r, v_set(4.166838794e-2f));
    p = v_fma(p, r, v_set(1.666652064e-1f));
    p = v_fma(p, r, v_set(4.999999345e-1f));
    p = v_fma(p, r, v_set(1.0f));
    p = v_fma(p, r, v_set(1.0f));
    return v_times_power(p, n);
}

#endif
