/* GELU on a vector. */
#ifndef OPS_KERNELS_CPU_SIMD_MATH_H
#define OPS_KERNELS_CPU_SIMD_MATH_H

#include "kernels/cpu/simd.h"

/* x (1 + erf(x / sqrt 2)) / 2. Up to 3.92 erf(t) is t times a polynomial in t^2 mapped to [-1, 1], from a weighted
 * least-squares fit driven towards equal error (6e-7 in f32); from there on it is 1 to 3e-8. */
OPS_INLINE vf v_gelu(vf x)
{
    static const float p[] = {3.607369621e-01f, -1.801079403e-01f, 1.340683086e-01f, -1.091971948e-01f,
                              9.088046910e-02f, -7.390942483e-02f, 5.655344919e-02f, -4.356260833e-02f,
                              3.536698495e-02f, -2.066808472e-02f, 5.300202174e-03f, -5.493004845e-03f,
                              8.832572255e-03f, -3.698763822e-03f};
    const vf limit = v_set(3.92f), t = v_abs(x) * v_set(0.70710678f), in = v_min(t, limit);
    const vf u = v_fma(in * in, v_set(2.0f / (3.92f * 3.92f)), v_set(-1.0f));
    vf e = v_set(p[13]);
    OPS_UNROLL for (int i = 12; i >= 0; i--) e = v_fma(e, u, v_set(p[i]));
    e = v_if_above(t, limit, v_set(1.0f), e * in);
    return v_set(0.5f) * x * (v_set(1.0f) + v_with_sign(e, x));
}

#endif
