#ifndef OPS_KERNELS_CPU_QUANT_H
#define OPS_KERNELS_CPU_QUANT_H
/* Products with quantised weights on the CPU, y[m,n] = x[m,k] w[n,k]^T.
 *
 * Weights are packed once: 16 rows of w (columns of y) lie interleaved, four elements of each in a dword, so that one
 * vector register holds 16 columns and nothing is ever summed across a register. Scales and quants lie in planes of
 * their own within such a panel, every quant plane on whole cache lines.
 *
 * Two definitions. `ops_quant_exact`: weights dequantised, f32 products; what "correct" means. The fast path quantises
 * each 32 activations of a row to int8 first (as the formats' own project does); its definition is OPS_QUANT_PLAIN,
 * and every other level gives the same bits: integer sums are exact, and the floats are combined per column in the
 * order of the blocks by the same roundings. A row's result therefore depends neither on the other rows, nor on the
 * level, nor on how columns are parted among threads. Float formats keep f32 activations and one fma a element.
 *
 * Threads: rows (ops_quant_rows) and column panels (ops_quant_gemm) may be done by `parts` threads, each with its part;
 * all parts of the first must be done before any of the second begins. */
#include "kernels/include/kern_quant.h"

typedef enum ops_quant_level {
    OPS_QUANT_PLAIN,
    OPS_QUANT_AVX2,
    OPS_QUANT_AVX512,
    OPS_QUANT_LEVELS
} ops_quant_level;

enum { OPS_QUANT_COLS = 16 };

/* The highest level this processor runs; `ops_quant_has` tells of any. */
ops_quant_level ops_quant_best(void);
int ops_quant_has(ops_quant_level level);

/* Bytes of n rows of k weights when packed; 0 when k is no whole number of blocks or the type is unknown. */
size_t ops_quant_packed_bytes(int type, int n, int k);
/* `to` is aligned to 64. Parts by panels. */
void ops_quant_pack(ops_kern_quant_type type, int n, int k, const void *from, void *to, int part, int parts);
/* The f32 values [from, from + count) of one row, the same as ops_kern_quant_decode gives for the file's bytes; from and
 * count are whole groups of 32 for the formats of blocks. */
void ops_quant_unpack(ops_kern_quant_type type, int k, const void *packed, int row, int from, int count,
                      float *ret);

/* Scratch for m rows of k activations; aligned to 64. */
size_t ops_quant_rows_bytes(int m, int k);
/* Float formats need no quantised rows: it then does nothing. Activations below 1e-30 throughout a group count as 0; a
 * group with a NaN or an infinity makes every product of its row non-finite. */
void ops_quant_rows(ops_quant_level level, ops_kern_quant_type type, int m, int k, const float *x, void *rows,
                    int part, int parts);

typedef struct ops_quant_job {
    ops_kern_quant_type type;
    int m, n, k;
    const void *w;    /* packed */
    const float *x;   /* what ops_quant_rows was given */
    const void *rows; /* what it made */
    float *y;         /* row stride n */
    /* NULL, or one bit a column, 32 to a word: columns of a panel without any bit are left untouched. */
    const uint32_t *mask;
} ops_quant_job;

/* Columns of panels [from, to) of OPS_QUANT_COLS each. */
void ops_quant_panels(ops_quant_level level, const ops_quant_job *job, int from, int to);
void ops_quant_gemm(ops_quant_level level, const ops_quant_job *job, int part, int parts);
void ops_quant_exact(const ops_quant_job *job, int part, int parts); /* job->rows is not used */
#endif
