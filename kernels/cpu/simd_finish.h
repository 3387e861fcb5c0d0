/* What follows the sums of a linear map: bias, activation, residual, store. */
#ifndef OPS_KERNELS_CPU_SIMD_FINISH_H
#define OPS_KERNELS_CPU_SIMD_FINISH_H

#include <string.h>

#include "kernels/cpu/simd_math.h"
#include "kernels/cpu/simd_tile.h"
#include "kernels/ref/ref.h"

/* The sums of `rows` rows from `row` on, three vectors a row: numbers, or whole numbers of bytes (the other is NULL). */
typedef struct finish_sums {
    size_t row;
    int rows;
    const vf *number;
    const vi *whole;
} finish_sums;

/* Columns from j on of row r of the tile, brought to numbers: zeros out, both steps in. */
OPS_INLINE vf finish_number(const ops_ref_linear *l, const finish_sums *s, int r, int c, vi column_sum,
                            vf column_step)
{
    if (s->number != NULL)
        return s->number[3 * r + c];
    const vi sum = v_isub(s->whole[3 * r + c], v_imul(v_iset(l->zero[s->row + (size_t)r]), column_sum));
    return v_float(sum) * (v_set(l->step[s->row + (size_t)r]) * column_step);
}

OPS_INLINE vf finish_gelu(const finish_sums *s, vf v)
{
    return s->whole != NULL ? v_gelu_rough(v) : v_gelu(v);
}

/* Vector c of a panel where something is rare: not all columns are there, or both an activation and a residual. */
OPS_INLINE void finish_rare(const ops_ref_linear *l, const finish_sums *s, int at, int c, vi column_sum,
                            vf column_step)
{
    const int left = l->p->n - at < LANES ? l->p->n - at : LANES;
    float bias[LANES], v[LANES];
    v_store(bias, v_set(0));
    memcpy(bias, l->bias + at, (size_t)left * sizeof *bias);
    for (int r = 0; r < s->rows; r++) {
        const size_t first = (s->row + (size_t)r) * (size_t)l->p->n + (size_t)at;
        const vf sum = finish_number(l, s, r, c, column_sum, column_step) + v_load(bias);
        if (l->act == OPS_KERN_ACT_GELU)
            v_store(v, finish_gelu(s, sum));
        else
            v_store(v, sum);
        for (int i = 0; i < left; i++)
            l->y[first + (size_t)i] = l->add != NULL ? v[i] + l->add[first + (size_t)i] : v[i];
    }
}

OPS_INLINE void finish_vector(const ops_ref_linear *l, const finish_sums *s, int at, int c)
{
    const vi column_sum = s->whole != NULL ? v_iload(l->p->sum + at) : v_iset(0);
    const vf column_step = s->whole != NULL ? v_load(l->p->step + at) : v_set(0);
    const size_t n = (size_t)l->p->n, first = s->row * n + (size_t)at;
    const int gelu = l->act == OPS_KERN_ACT_GELU;
    if (l->p->n - at < LANES || (gelu && l->add != NULL)) {
        finish_rare(l, s, at, c, column_sum, column_step);
        return;
    }
    const vf bias = v_load(l->bias + at);
    float *y = l->y + first;
    if (gelu) {
        for (int r = 0; r < s->rows; r++)
            v_store(y + (size_t)r * n,
                    finish_gelu(s, finish_number(l, s, r, c, column_sum, column_step) + bias));
    } else if (l->add != NULL) {
        const float *add = l->add + first;
        for (int r = 0; r < s->rows; r++)
            v_store(y + (size_t)r * n,
                    finish_number(l, s, r, c, column_sum, column_step) + bias + v_load(add + (size_t)r * n));
    } else {
        for (int r = 0; r < s->rows; r++)
            v_store(y + (size_t)r * n, finish_number(l, s, r, c, column_sum, column_step) + bias);
    }
}

OPS_INLINE void finish(const ops_ref_linear *l, const finish_sums *s, int panel)
{
    for (int c = 0; c < 3; c++)
        if (panel * WIDE + c * LANES < l->p->n)
            finish_vector(l, s, panel * WIDE + c * LANES, c);
}

#endif
