/* GELU on a vector: x (1 + erf(x / sqrt 2)) / 2. Up to 3.92 erf(t) is taken as t times a polynomial in t^2 mapped to
 * [-1, 1], whose coefficients come from a weighted least-squares fit driven towards equal error; from there on it is 1 to
 * 3e-8. */
#ifndef OPS_KERNELS_CPU_SIMD_MATH_H
#define OPS_KERNELS_CPU_SIMD_MATH_H

#include "kernels/cpu/simd.h"

OPS_INLINE vf gelu_by(vf x, const float *p, const int degree)
{
    const vf limit = v_set(3.92f), t = v_abs(x) * v_set(0.70710678f), in = v_min(t, limit);
    const vf u = v_fma(in * in, v_set(2.0f / (3.92f * 3.92f)), v_set(-1.0f));
    vf e = v_set(p[degree]);
    OPS_UNROLL for (int i = degree - 1; i >= 0; i--) e = v_fma(e, u, v_set(p[i]));
    e = v_if_above(t, limit, v_set(1.0f), e * in);
    const vf half = v_set(0.5f) * x;
    return v_fma(half, v_with_sign(e, x), half);
}

/* erf to 6e-7. */
OPS_INLINE vf v_gelu(vf x)
{
    static const float p[] = {3.607369621e-01f, -1.801079403e-01f, 1.340683086e-01f, -1.091971948e-01f,
                              9.088046910e-02f, -7.390942483e-02f, 5.655344919e-02f, -4.356260833e-02f,
                              3.536698495e-02f, -2.066808472e-02f, 5.300202174e-03f, -5.493004845e-03f,
                              8.832572255e-03f, -3.698763822e-03f};
    return gelu_by(x, p, 13);
}

/* erf to 1e-4: behind sums of 8-bit values, whose own error is a hundred times that. */
OPS_INLINE vf v_gelu_rough(vf x)
{
    static const float p[] = {3.607705066e-01f, -1.800438719e-01f, 1.322438733e-01f, -1.096171530e-01f,
                              1.062766017e-01f, -7.614478123e-02f, 1.332416241e-02f, -2.913279138e-02f,
                              7.883893971e-02f, -4.143790963e-02f};
    return gelu_by(x, p, 9);
}

#endif
