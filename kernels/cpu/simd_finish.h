/* What follows the sums of a linear map: bias, activation, residual, store. */
#ifndef OPS_KERNELS_CPU_SIMD_FINISH_H
#define OPS_KERNELS_CPU_SIMD_FINISH_H

#include "kernels/cpu/simd_math.h"
#include "kernels/ref/ref.h"

/* One row's sums for columns from j on, in y's row at `row`. */
OPS_INLINE void finish_half(const ops_ref_linear *l, size_t row, int j, vf v)
{
    const int left = l->p->n - j, part = left < LANES;
    const size_t at = row * (size_t)l->p->n + (size_t)j;
    if (left <= 0)
        return;
    v = v + (part ? v_load_n(l->bias + j, left) : v_load(l->bias + j));
    if (l->act == OPS_KERN_ACT_GELU)
        v = v_gelu(v);
    if (l->add)
        v = v + (part ? v_load_n(l->add + at, left) : v_load(l->add + at));
    if (part)
        v_store_n(l->y + at, left, v);
    else
        v_store(l->y + at, v);
}

#endif
