/* Causal attention as products of blocks of rows. */
#include <math.h>
#include <string.h>

#include "worker/train/prim.h"
#include "worker/train/prim_lanes_internal.h"

size_t ops_prim_attend_shares(const int32_t *starts, int seqs, int heads)
{
    size_t sum = 0;
    for (int s = 0; s < seqs; s++) {
        size_t n = (size_t)(starts[s + 1] - starts[s]);
        sum += n * (n + 1) / 2;
    }
    return sum * (size_t)heads;
}

/* Rows from.. of scores become shares: row i sees the keys up to its own, later ones get 0. */
LANES void shares_body(int rows, int from, size_t row, float scale, float *p)
{
    for (int i = 0; i < rows; i++, p += row) {
        const size_t seen = (size_t)(from + i) + 1;
        float top, sum;
        for (size_t j = 0; j < seen; j += WIDTH)
            *(lane *)(p + j) *= scale;
        softmax_lanes(seen, p, &top, &sum);
        for (size_t j = 0; j < seen; j += WIDTH)
            *(lane *)(p + j) *= 1 / sum;
        for (size_t j = UPTO(seen, WIDTH); j < row; j += WIDTH)
            *(lane *)(p + j) = (lane){0};
    }
}
BY_LEVEL(shares, (int rows, int from, size_t row, float scale, float *p), (rows, from, row, scale, p))

/* One head of one sequence. qkv, y: its first row; `row` of qkv. Returns where the next shares go. */
static float *attend_head(int n, int width, int tokens, const float *qkv, float *y, float *share, float *rows,
                          float *work)
{
    const size_t row = 3 * (size_t)n;
    for (int from = 0; from < tokens; from += OPS_PRIM_ROWS) {
        const int m = tokens - from < OPS_PRIM_ROWS ? tokens - from : OPS_PRIM_ROWS, keys = from + m;
        const size_t padded = UPTO((size_t)keys, WIDTH);
        ops_prim_gemm(m, keys, width, (ops_prim_matrix){qkv + (size_t)from * row, row, 1},
                      (ops_prim_matrix){qkv + n, 1, row}, rows, padded, 0, work);
        shares(m, from, padded, 1 / sqrtf((float)width), rows);
        ops_prim_gemm(m, width, keys, (ops_prim_matrix){rows, padded, 1},
                      (ops_prim_matrix){qkv + 2 * (size_t)n, row, 1}, y + (size_t)from * (size_t)n, (size_t)n,
                      0, work);
        for (int i = 0; share != NULL && i < m; share += from + ++i)
            memcpy(share, rows + (size_t)i * padded, (size_t)(from + i + 1) * sizeof *share);
    }
    return share;
}

void ops_prim_attend(int n, int heads, const int32_t *starts, int seqs, const float *qkv, float *y,
                     float *share, float *rows, float *work)
{
    const int width = n / heads;
    for (int s = 0; s < seqs; s++)
        for (int h = 0; h < heads; h++) {
            const size_t at = (size_t)starts[s], column = (size_t)h * (size_t)width;
            share = attend_head(n, width, starts[s + 1] - starts[s], qkv + at * 3 * (size_t)n + column,
                                y + at * (size_t)n + column, share, rows, work);
        }
}

static float dot(int n, const float *a, const float *b)
{
    float sum[4] = {0};
    int i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++)
            sum[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        sum[0] += a[i] * b[i];
    return sum[0] + sum[1] + sum[2] + sum[3];
}

static void add_scaled(int n, float scale, const float *x, float *y)
{
    for (int i = 0; i < n; i++)
        y[i] += scale * x[i];
}

void ops_prim_attend_back(int n, int heads, const int32_t *starts, int seqs, const float *qkv,
                          const float *share, const float *dy, float *dqkv, float *work)
{
    const int width = n / heads;
    const size_t row = 3 * (size_t)n;
    const float scale = 1 / sqrtf((float)width);
    for (int s = 0; s < seqs; s++)
        for (int h = 0; h < heads; h++)
            for (int i = 0; i < starts[s + 1] - starts[s]; i++) {
                const size_t at = (size_t)starts[s] * row + (size_t)h * width;
                const float *first = qkv + at, *d = dy + (size_t)(starts[s] + i) * n + (size_t)h * width;
                float *dfirst = dqkv + at, mean = 0;
                for (int j = 0; j <= i; j++) {
                    work[j] = dot(width, d, first + (size_t)j * row + 2 * n);
                    mean += share[j] * work[j];
                    add_scaled(width, share[j], d, dfirst + (size_t)j * row + 2 * n);
                }
                for (int j = 0; j <= i; j++) {
                    float g = share[j] * (work[j] - mean) * scale;
                    add_scaled(width, g, first + (size_t)j * row + n, dfirst + (size_t)i * row);
                    add_scaled(width, g, first + (size_t)i * row, dfirst + (size_t)j * row + n);
                }
                share += i + 1;
            }
}
