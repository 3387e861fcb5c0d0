/* Matrix product: b is packed into panels of 16 columns, tiles of rows are kept in registers over the whole depth. One body
 * for three instruction sets, chosen once. */
#include <string.h>

#include "worker/train/prim.h"

typedef float lane __attribute__((vector_size(64), aligned(4), may_alias));
enum { WIDTH = 16 };

static void pack(int n, int k, ops_prim_matrix b, int from, float *work)
{
    int width = n - from < WIDTH ? n - from : WIDTH;
    for (int p = 0; p < k; p++) {
        const float *row = b.at + (size_t)p * b.row + (size_t)from * b.col;
        float *to = work + (size_t)p * WIDTH;
        for (int j = 0; j < width; j++)
            to[j] = row[(size_t)j * b.col];
        for (int j = width; j < WIDTH; j++)
            to[j] = 0;
    }
}

static inline __attribute__((always_inline)) void tile(int rows, int width, int k, const float *a,
                                                       size_t a_row, size_t a_col, const float *panel,
                                                       float *c, size_t c_row, int add)
{
    lane sum[12];
    for (int r = 0; r < rows; r++)
        sum[r] = (lane){0};
    for (int p = 0; p < k; p++) {
        const lane b = *(const lane *)(panel + (size_t)p * WIDTH);
        const float *col = a + (size_t)p * a_col;
        for (int r = 0; r < rows; r++)
            sum[r] += col[(size_t)r * a_row] * b;
    }
    for (int r = 0; r < rows; r++) {
        float *to = c + (size_t)r * c_row;
        if (width == WIDTH) {
            if (add)
                sum[r] += *(const lane *)to;
            *(lane *)to = sum[r];
            continue;
        }
        for (int j = 0; j < width; j++)
            to[j] = (add ? to[j] : 0) + sum[r][j];
    }
}

static inline __attribute__((always_inline)) void product(const int rows, int m, int n, int k,
                                                          ops_prim_matrix a, ops_prim_matrix b, float *c,
                                                          size_t c_row, int add, float *work)
{
    for (int j = 0; j < n; j += WIDTH) {
        int width = n - j < WIDTH ? n - j : WIDTH, i = 0;
        pack(n, k, b, j, work);
        for (; i + rows <= m; i += rows)
            tile(rows, width, k, a.at + (size_t)i * a.row, a.row, a.col, work, c + (size_t)i * c_row + j,
                 c_row, add);
        for (; i < m; i++)
            tile(1, width, k, a.at + (size_t)i * a.row, a.row, a.col, work, c + (size_t)i * c_row + j, c_row,
                 add);
    }
}

#define FORM(name, attribute, rows)                                                                          \
    attribute static void name(int m, int n, int k, ops_prim_matrix a, ops_prim_matrix b, float *c,          \
                               size_t c_row, int add, float *work)                                           \
    {                                                                                                        \
        product(rows, m, n, k, a, b, c, c_row, add, work);                                                   \
    }

FORM(plain, , 2)
#if defined(__x86_64__)
FORM(avx2, __attribute__((target("avx2,fma"))), 6)
FORM(avx512, __attribute__((target("avx512f,fma"))), 12)
#endif

void ops_prim_gemm(int m, int n, int k, ops_prim_matrix a, ops_prim_matrix b, float *c, size_t c_row, int add,
                   float *work)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        avx512(m, n, k, a, b, c, c_row, add, work);
        return;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        avx2(m, n, k, a, b, c, c_row, add, work);
        return;
    }
#endif
    plain(m, n, k, a, b, c, c_row, add, work);
}

void ops_prim_linear(int m, int n, int k, const float *x, const float *w, const float *b, float *y,
                     float *work)
{
    for (int i = 0; b != NULL && i < m; i++)
        memcpy(y + (size_t)i * n, b, (size_t)n * sizeof *y);
    ops_prim_gemm(m, n, k, (ops_prim_matrix){x, (size_t)k, 1}, (ops_prim_matrix){w, (size_t)n, 1}, y,
                  (size_t)n, b != NULL, work);
}

void ops_prim_linear_back(int m, int n, int k, const float *x, const float *w, const float *dy, float *dx,
                          float *dw, float *db, float *work)
{
    ops_prim_gemm(m, k, n, (ops_prim_matrix){dy, (size_t)n, 1}, (ops_prim_matrix){w, 1, (size_t)n}, dx,
                  (size_t)k, 1, work);
    ops_prim_gemm(k, n, m, (ops_prim_matrix){x, 1, (size_t)k}, (ops_prim_matrix){dy, (size_t)n, 1}, dw,
                  (size_t)n, 1, work);
    for (int i = 0; db != NULL && i < m; i++)
        for (int j = 0; j < n; j++)
            db[j] += dy[(size_t)i * n + j];
}
