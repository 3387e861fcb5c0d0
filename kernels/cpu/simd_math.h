/* GELU on a vector: x (1 + erf(x / sqrt 2)) / 2. Up to a limit erf(t) is taken as t times a polynomial in t^2 mapped to
 * [-1, 1], whose coefficients come from a weighted least-squares fit driven towards equal error; from there on as 1. */
#ifndef OPS_KERNELS_CPU_SIMD_MATH_H
#define OPS_KERNELS_CPU_SIMD_MATH_H

#include "kernels/cpu/simd.h"

OPS_INLINE vf gelu_by(vf x, const float end, const float *p, const int degree)
{
    const vf limit = v_set(end), t = v_abs(x) * v_set(0.70710678f), in = v_min(t, limit);
    const vf u = v_fma(in * in, v_set(2.0f / (end * end)), v_set(-1.0f));
    vf e = v_set(p[degree]);
    OPS_UNROLL for (int i = degree - 1; i >= 0; i--) e = v_fma(e, u, v_set(p[i]));
    e = v_if_above(t, limit, v_set(1.0f), e * in);
    const vf half = v_set(0.5f) * x;
    return v_fma(half, v_with_sign(e, x), half);
}

/* erf to 6e-7; beyond the limit to 3e-8. */
OPS_INLINE vf v_gelu(vf x)
{
    static const float p[] = {3.607369621e-01f, -1.801079403e-01f, 1.340683086e-01f, -1.091971948e-01f,
                              9.088046910e-02f, -7.390942483e-02f, 5.655344919e-02f, -4.356260833e-02f,
                              3.536698495e-02f, -2.066808472e-02f, 5.300202174e-03f, -5.493004845e-03f,
                              8.832572255e-03f, -3.698763822e-03f};
    return gelu_by(x, 3.92f, p, 13);
}

/* erf to 4e-5, beyond the limit to 1e-4: behind sums of 8-bit values, whose own error is a hundred times that. */
OPS_INLINE vf v_gelu_rough(vf x)
{
    static const float p[] = {5.094195115e-01f, -2.422570309e-01f, 1.583885806e-01f, -1.009015113e-01f,
                              5.666097496e-02f, -3.217306605e-02f, 2.075293597e-02f, -7.617601941e-03f};
    return gelu_by(x, 2.76f, p, 7);
}

#endif
