/* Matrix product: b is packed into panels of a few lanes of columns and a few hundred rows, tiles of c are kept in
 * registers over that depth. One body for three instruction sets, chosen once. */
#include <string.h>

#include "worker/train/prim.h"
#include "worker/train/prim_lanes_internal.h"

enum { PANEL = 4, TILE_MAX = 24, DEEP = OPS_PRIM_WORK / (PANEL * WIDTH) };
#define UNROLL _Pragma("GCC unroll 32")

typedef struct product {
    int m, n, k;
    ops_prim_matrix a, b;
    const float *bias; /* NULL: none */
    float *c;
    size_t c_row;
    int add;
    float *work;
} product;

/* Columns from.., rows p.. of b; zeros where b has no more columns. */
static void pack(const product *o, int from, int columns, int p, int depth)
{
    const int width = o->n - from < columns ? o->n - from : columns;
    for (int i = 0; i < depth; i++) {
        const float *row = o->b.at + (size_t)(p + i) * o->b.row + (size_t)from * o->b.col;
        float *to = o->work + (size_t)i * (size_t)columns;
        if (o->b.col == 1 && width == columns)
            memcpy(to, row, (size_t)columns * sizeof *to);
        else
            for (int j = 0; j < columns; j++)
                to[j] = j < width ? row[(size_t)j * o->b.col] : 0;
    }
}

/* `lanes` lanes, of which the last has `width` numbers. */
LANES void put(const int lanes, const lane *sum, float *to, int width, int add)
{
    UNROLL for (int l = 0; l < lanes; l++, to += WIDTH)
    {
        if (l + 1 < lanes || width == WIDTH) {
            lane all = sum[l];
            if (add)
                all += *(const lane *)to;
            *(lane *)to = all;
        } else
            for (int j = 0; j < width; j++)
                to[j] = (add ? to[j] : 0) + sum[l][j];
    }
}

/* rows x lanes sums; `begin` is what each row's start from. */
LANES void tile(const int rows, const int lanes, const product *o, int depth, const float *a,
                const lane *begin, float *c, int width, int add)
{
    const float *panel = o->work;
    const size_t down = o->a.row, along = o->a.col;
    lane sum[TILE_MAX];
    UNROLL for (int i = 0; i < rows * lanes; i++) sum[i] = begin[i % lanes];
    for (int p = 0; p < depth; p++, panel += lanes * WIDTH, a += along) {
        lane b[PANEL];
        UNROLL for (int l = 0; l < lanes; l++) b[l] = *(const lane *)(panel + (size_t)l * WIDTH);
        UNROLL for (int r = 0; r < rows; r++)
        {
            const float x = a[(size_t)r * down];
            UNROLL for (int l = 0; l < lanes; l++) sum[r * lanes + l] += x * b[l];
        }
    }
    UNROLL for (int r = 0; r < rows; r++) put(lanes, sum + r * lanes, c + (size_t)r * o->c_row, width, add);
}

/* One panel against all rows: as many at a time as registers hold, what is left by a few and one by one. */
LANES void panel(const int rows, const int few, const int lanes, const product *o, int from, int p, int depth)
{
    const int left = o->n - from, width = left < lanes * WIDTH ? left - (lanes - 1) * WIDTH : WIDTH;
    const int add = o->add || p > 0;
    lane begin[PANEL] = {{0}};
    if (o->bias != NULL && p == 0)
        memcpy(begin, o->bias + from, (size_t)((lanes - 1) * WIDTH + width) * sizeof(float));
    pack(o, from, lanes * WIDTH, p, depth);
    const float *a = o->a.at + (size_t)p * o->a.col;
    float *c = o->c + from;
    int i = 0;
    for (; i + rows <= o->m; i += rows)
        tile(rows, lanes, o, depth, a + (size_t)i * o->a.row, begin, c + (size_t)i * o->c_row, width, add);
    for (; i + few <= o->m; i += few)
        tile(few, lanes, o, depth, a + (size_t)i * o->a.row, begin, c + (size_t)i * o->c_row, width, add);
    for (; i < o->m; i++)
        tile(1, lanes, o, depth, a + (size_t)i * o->a.row, begin, c + (size_t)i * o->c_row, width, add);
}

/* Over all panels `lanes` lanes wide, from column `from` on; returns where it stopped. */
LANES int panels(const int rows, const int few, const int lanes, const product *o, int from)
{
    for (; o->n - from > (lanes - 1) * WIDTH; from += lanes * WIDTH)
        for (int p = 0; p < o->k; p += DEEP)
            panel(rows, few, lanes, o, from, p, o->k - p < DEEP ? o->k - p : DEEP);
    return from;
}

static void plain(const product *o)
{
    (void)panels(2, 1, 1, o, 0);
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void avx2(const product *o)
{
    (void)panels(6, 2, 1, o, 0);
}

__attribute__((target("avx512f,fma"))) static void avx512(const product *o)
{
    const int at = panels(6, 2, 4, o, 0);
    (void)panels(12, 4, 1, o, panels(10, 2, 2, o, at));
}
#endif

static void multiply(const product *o)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        avx512(o);
        return;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        avx2(o);
        return;
    }
#endif
    plain(o);
}

void ops_prim_gemm(int m, int n, int k, ops_prim_matrix a, ops_prim_matrix b, float *c, size_t c_row, int add,
                   float *work)
{
    multiply(&(product){m, n, k, a, b, NULL, c, c_row, add, work});
}

void ops_prim_linear(int m, int n, int k, const float *x, const float *w, const float *b, float *y,
                     float *work)
{
    const ops_prim_matrix a = {x, (size_t)k, 1}, bw = {w, (size_t)n, 1};
    multiply(&(product){m, n, k, a, bw, b, y, (size_t)n, 0, work});
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
