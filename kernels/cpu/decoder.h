#ifndef OPS_KERNELS_CPU_DECODER_H
#define OPS_KERNELS_CPU_DECODER_H
/* The inner functions of the decoder group: attention, norms, rotations, gates, selection. Each does the part `part` of
 * `parts` of one job, so that any number of threads can share it; what a part computes does not depend on how many there
 * are. A level is a table of them; all levels give the same bits. `ops_decoder_exact` is the same functions by their
 * formula, in double, and the definition of correct. */
#include <stddef.h>
#include <stdint.h>

#include "kernels/cpu/quant.h"

enum {
    OPS_DECODER_WIDTH_MAX = 512, /* elements of a head */
    OPS_DECODER_PAGE =
        16, /* the levels read keys 16 at a time: a block is a multiple of it, or `exact` does the work */
};

/* Where the keys and values of one sequence and one head lie: element c of key t at k[c * k_step + t], of value t at
 * v[t * v_step + c], counted from the block that holds it; block b begins `stride` elements times its id further on. */
typedef struct ops_decoder_keys {
    const void *k, *v;
    const int32_t *table; /* ids of the sequence's blocks; NULL: everything is in one */
    size_t stride, k_step, v_step;
    int block; /* tokens a block */
    int half;  /* elements are f16; otherwise f32 */
} ops_decoder_keys;

typedef struct ops_decoder_attend {
    int m, heads, kv_heads, width,
        window; /* window 0: every earlier token; w: the token itself and w - 1 before it */
    float scale;
    const float *q;        /* [m, heads * width] */
    float *y;              /* the same */
    const int32_t *rows;   /* [m,2]: sequence, position; NULL with `starts` */
    const int32_t *starts; /* [seqs + 1] of packed sequences, or NULL */
    int seqs;
    /* Paged: the cache [blocks][kv_heads]{k[width][block], v[block][width]} and its table [seqs][table_n]. */
    const void *cache;
    const int32_t *table;
    int table_n, block, half;
    /* Packed: keys and values [m, kv_heads * width], and the keys turned by `turn` to [kv_heads][width] runs of tokens,
     * each sequence's padded to whole pages: ops_decoder_turned floats. */
    const float *k, *v;
    float *turned;
} ops_decoder_attend;

typedef struct ops_decoder_append {
    int m, kv_heads, width, table_n, block, half;
    const float *k, *v; /* [m, kv_heads * width] */
    const int32_t *rows, *table;
    void *cache;
} ops_decoder_append;

typedef struct ops_decoder_rows {
    int m, n;
    const float *a, *b;
    float *y;
    float eps, shift; /* norm */
    int heads, rotary,
        half_split; /* turn: rotary elements of each of n / heads, b[m, rotary] from ops_decoder_rope_table */
    int gelu;       /* gate: GELU by tanh instead of SiLU; with b NULL nothing is multiplied */
} ops_decoder_rows;

typedef struct ops_decoder_pair {
    int32_t id;  /* of the last pair of a row: how many columns took part */
    float value; /* of the last pair: the logarithm of the sum of e^x over all that took part */
} ops_decoder_pair;

typedef struct ops_decoder_top {
    int m, n, top;
    const float *x; /* [m,n]; a column with minus infinity or a NaN takes no part */
    ops_decoder_pair
        *y; /* [m, top + 1], greatest first, the lower id first among equals; -1 where there are no more */
} ops_decoder_top;

typedef struct ops_decoder_level {
    void (*append)(const ops_decoder_append *, int part, int parts);
    void (*turn_keys)(const ops_decoder_attend *, int part,
                      int parts); /* packed: before attend, all parts of it */
    void (*attend)(const ops_decoder_attend *, int part, int parts);
    void (*rmsnorm)(const ops_decoder_rows *, int part, int parts);
    void (*rope)(const ops_decoder_rows *, int part, int parts);
    void (*gate)(const ops_decoder_rows *, int part, int parts);
    void (*top)(const ops_decoder_top *, int part, int parts);
} ops_decoder_level;

extern const ops_decoder_level ops_decoder_exact, ops_decoder_plain;
#ifdef __x86_64__
extern const ops_decoder_level ops_decoder_avx2, ops_decoder_avx512;
#endif
/* exact when `level` has none for these shapes (attention over blocks that are no multiple of a page). */
const ops_decoder_level *ops_decoder_at(ops_quant_level level);

size_t ops_decoder_turned(int m, int seqs, int kv_heads, int width); /* floats */

/* For each row the cosines, then the sines, of position * theta^(-2i / rotary) / factors[i], i < rotary / 2. */
void ops_decoder_rope_table(int m, int rotary, float theta, const int32_t *rows, const float *factors,
                            float *y);

#endif
