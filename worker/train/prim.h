/* The primitive operations that training needs, each with its forward and its backward pass. Plain f32 on one core.
 *
 * All matrices are row-major. A backward pass adds to the gradients it is handed (dx, dw, db), so that values used twice
 * gather both. Sequences of a batch stand packed one behind the other, `starts` has seqs + 1 entries; nothing is padded.
 * The same input gives the same bits on one machine; vector units differ, so between machines the last bits may.
 * @thread any; no state but the caller's buffers. */
#ifndef OPS_TRAIN_PRIM_H
#define OPS_TRAIN_PRIM_H

#include <stddef.h>
#include <stdint.h>

/* c[m,n] (+)= a b, where a[i,p] is a[i * a_row + p * a_col] and b[p,j] is b[p * b_row + j * b_col]. `work`, here and
 * below, has room for OPS_PRIM_WORK floats. */
enum { OPS_PRIM_WORK = 32768, OPS_PRIM_LANE = 16, OPS_PRIM_ROWS = 64 };
typedef struct ops_prim_matrix {
    const float *at;
    size_t row, col;
} ops_prim_matrix;
void ops_prim_gemm(int m, int n, int k, ops_prim_matrix a, ops_prim_matrix b, float *c, size_t c_row, int add,
                   float *work);

/* y[m,n] = x[m,k] w[k,n] + b[n]; b may be NULL. */
void ops_prim_linear(int m, int n, int k, const float *x, const float *w, const float *b, float *y,
                     float *work);
void ops_prim_linear_back(int m, int n, int k, const float *x, const float *w, const float *dy, float *dx,
                          float *dw, float *db, float *work);

/* y = (x - mean) / sqrt(var + 1e-5) * gain + shift over each row of n; keeps mean and 1/sqrt in stat[2 m]. */
void ops_prim_norm(int m, int n, const float *x, const float *gain, const float *shift, float *y,
                   float *stat);
void ops_prim_norm_back(int m, int n, const float *x, const float *gain, const float *stat, const float *dy,
                        float *dx, float *dgain, float *dshift);

/* y = x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3): the tanh form of GELU (Hendrycks and Gimpel 2016), as
 * GPT-2 has it; y may be x. */
void ops_prim_gelu(size_t n, const float *x, float *y);
void ops_prim_gelu_back(size_t n, const float *x, const float *dy, float *dx);

/* y[i] = table[ids[i]] + place[position of i in its sequence]. */
void ops_prim_embed(int n, const int32_t *ids, const int32_t *starts, int seqs, const float *table,
                    const float *place, float *y);
void ops_prim_embed_back(int n, const int32_t *ids, const int32_t *starts, int seqs, const float *dy,
                         float *dtable, float *dplace);

/* Causal attention within each sequence. qkv[m, 3n] holds q, k, v side by side; y[m,n]. `share` keeps the softmax: for
 * each sequence and head a lower triangle, ops_prim_attend_shares() floats in all; NULL when no backward pass follows.
 * `rows`: OPS_PRIM_ROWS times the longest sequence, rounded up to a lane. */
size_t ops_prim_attend_shares(const int32_t *starts, int seqs, int heads);
void ops_prim_attend(int n, int heads, const int32_t *starts, int seqs, const float *qkv, float *y,
                     float *share, float *rows, float *work);
/* `work`: the longest sequence. */
void ops_prim_attend_back(int n, int heads, const int32_t *starts, int seqs, const float *qkv,
                          const float *share, const float *dy, float *dqkv, float *work);

/* surprise[i] = -log softmax(logits[i])[target[i]]; each row of logits is `row` long, n rounded up to a lane or more. The
 * logits become their chances, or with `grad` != 0 their gradient of the mean; what is beyond n is lost. */
void ops_prim_surprise(int m, int n, size_t row, float *logits, const int32_t *target, float *surprise,
                       int grad);

/* AdamW (Loshchilov and Hutter, ICLR 2019): step counts from 1; decay is decoupled. */
typedef struct ops_prim_adamw {
    float rate, beta1, beta2, eps, decay;
} ops_prim_adamw;
void ops_prim_update(const ops_prim_adamw *how, uint64_t step, size_t n, float *w, const float *grad,
                     float *m1, float *m2);

#endif
