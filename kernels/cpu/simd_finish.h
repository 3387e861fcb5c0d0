/* What follows the sums of a linear map: bias, activation, residual, store. */
#ifndef OPS_KERNELS_CPU_SIMD_FINISH_H
#define OPS_KERNELS_CPU_SIMD_FINISH_H

#include "kernels/cpu/simd_math.h"
#include "kernels/cpu/simd_tile.h"
#include "kernels/ref/ref.h"

OPS_INLINE vf finish_act(const ops_ref_linear *l, vf v)
{
    if (l->act != OPS_KERN_ACT_GELU)
        return v;
    return l->p->type == OPS_KERN_I8 ? v_gelu_rough(v) : v_gelu(v);
}

static void finish_tail(const ops_ref_linear *l, size_t row, int rows, int j, const vf *sums)
{
    const int left = l->p->n - j;
    for (int r = 0; left > 0 && r < rows; r++) {
        const size_t at = (row + (size_t)r) * (size_t)l->p->n + (size_t)j;
        vf v = finish_act(l, sums[r] + v_load_n(l->bias + j, left));
        if (l->add)
            v = v + v_load_n(l->add + at, left);
        v_store_n(l->y + at, left, v);
    }
}

/* The sums of `rows` rows from `row` on, for the vector of columns from j on. */
OPS_INLINE void finish(const ops_ref_linear *l, size_t row, int rows, int j, const vf *sums)
{
    const size_t n = (size_t)l->p->n;
    if (l->p->n - j < LANES) {
        finish_tail(l, row, rows, j, sums);
        return;
    }
    const vf bias = v_load(l->bias + j);
    float *y = l->y + row * n + (size_t)j;
    if (l->add) {
        const float *add = l->add + row * n + (size_t)j;
        for (int r = 0; r < rows; r++)
            v_store(y + (size_t)r * n, finish_act(l, sums[r] + bias) + v_load(add + (size_t)r * n));
    } else if (l->act == OPS_KERN_ACT_GELU) {
        for (int r = 0; r < rows; r++)
            v_store(y + (size_t)r * n, finish_act(l, sums[r] + bias));
    } else {
        for (int r = 0; r < rows; r++)
            v_store(y + (size_t)r * n, sums[r] + bias);
    }
}

#endif
