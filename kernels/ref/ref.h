/* The reference: each operation in plain C, the definition of correct for every device and level. Shapes and meanings are
 * those of kern.h; sizes were checked by the caller. A function on rows takes a pointer to the first of `m`. */
#ifndef OPS_KERNELS_REF_H
#define OPS_KERNELS_REF_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/include/kern.h"

void ops_ref_gemm(int m, int n, int k, const float *x, const float *w, const float *bias, float *y);
void ops_ref_layernorm(int m, int n, float eps, const float *x, const float *gain, const float *shift,
                       float *y);
void ops_ref_gelu(size_t count, const float *x, float *y);
void ops_ref_add(size_t count, const float *a, const float *b, float *y);
void ops_ref_embed(int m, int n, const int32_t *ids, const float *table, float *y);

/* The query rows [from, to) of one head in the sequence of rows [0, len). q, k, v and y point at this head's first
 * column in the sequence's first row; rows are `in` apart in q, k, v and `out` apart in y. score: len floats. */
typedef struct ops_ref_head {
    int len, width, in, out;
    const float *q, *k, *v;
    float *y;
} ops_ref_head;
void ops_ref_attend(const ops_ref_head *h, int from, int to, float *score);

void ops_ref_pool(int len, int n, const float *x, float *y); /* one sequence */

/* Packed weights: panels of P rows of w (P: three vectors of the level; 1 for the plain one), with the same step of k of all
 * rows of a panel side by side: element (j, c) of f32, f16 and bf16 lies at (j / P) k P + c P + j % P, of i8 (four
 * steps of k together) at (j / P) K P + (c / 4) 4 P + (j % P) 4 + c % 4, K being k rounded up to 4. What lies beyond n
 * or k is zero. An i8 matrix is preceded by the n (rounded up to P) steps t and as many sums of rows. */
typedef struct ops_ref_packed {
    ops_kern_type type;
    int n, k, panel;
    size_t bytes;
    const float *step;  /* i8 only */
    const int32_t *sum; /* i8 only */
    const void *w;
} ops_ref_packed;
/* *ret over the memory at `at` (may be NULL: only the size is wanted). */
void ops_ref_packed_over(ops_kern_type type, int n, int k, int panel, const void *at, ops_ref_packed *ret);
void ops_ref_pack(const ops_ref_packed *p, const float *w, void *at);

/* One row of k floats to bytes (k rounded up to 4, the rest zero), its step and zero. */
void ops_ref_quantise(int k, const float *x, uint8_t *ret_u, float *ret_step, int32_t *ret_zero);

/* Columns [from, to) of `m` rows of y = act(x w^T + bias) + add, over weights packed with a panel of 1. Rows of y and add
 * are p->n apart. For i8, u (rows of k rounded up to 4), step and zero stand in for x. add may be NULL. */
typedef struct ops_ref_linear {
    const ops_ref_packed *p;
    ops_kern_act act;
    const float *x, *bias, *add;
    const uint8_t *u;
    const float *step;
    const int32_t *zero;
    float *y;
} ops_ref_linear;
void ops_ref_linear_run(const ops_ref_linear *l, int m, int from, int to);

#define OPS_REF_TINY 1e-30f /* a range below this counts as zero: its inverse would not be finite */

static inline int ops_ref_up(int v, int to)
{
    return (v + to - 1) / to * to;
}

uint16_t ops_ref_to_bf16(float v); /* the upper half of binary32, nearest even; binary16: kern_quant.h */
float ops_ref_of_bf16(uint16_t v);
#endif
