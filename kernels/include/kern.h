#ifndef OPS_KERNELS_INCLUDE_KERN_H
#define OPS_KERNELS_INCLUDE_KERN_H
/* The table of functions a compute device offers. Buffers are opaque: the host reaches their bytes only through
 * upload and download, so a device with its own memory needs no other port. Work is planned once (shapes are checked,
 * byte counts worked out) and run many times: submit queues a run and returns a fence; wait blocks until that fence.
 * All runs of one device complete in the order of their submission. All numbers are row-major f32, ids are int32.
 * @thread one device belongs to one thread. This room leans on nothing outside itself. */
#include <stddef.h>
#include <stdint.h>

#include "kernels/include/kern_quant.h"

typedef enum ops_kern_status {
    OPS_KERN_OK = 0,
    OPS_KERN_EINVAL, /* a shape, a buffer too small for it, or an id or offset inside the data out of range */
    OPS_KERN_ENOMEM,
    OPS_KERN_EFULL, /* the queue holds OPS_KERN_QUEUE_MAX runs: wait for a fence first */
    OPS_KERN_EBUSY, /* a transfer touched the device while runs are queued: wait first */
} ops_kern_status;

enum { OPS_KERN_QUEUE_MAX = 256, OPS_KERN_ARGS_MAX = 7, OPS_KERN_MAPS_MAX = 3, OPS_KERN_TOP_MAX = 1024 };
/* No extent of a plan may pass this; with it no product of two extents and a size overflows 64 bits. */
#define OPS_KERN_EXTENT_MAX (1 << 28)

/* Arguments in the order of `args` of submit; the last is always written (of QLINEARS as many as it has maps), the others are
 * only read. */
typedef enum ops_kern_op {
    OPS_KERN_GEMM, /* x[m,k], w[n,k], bias[n], y[m,n]: y = x w^T + bias */
    OPS_KERN_LAYERNORM, /* x[m,n], gain[n], shift[n], y[m,n]: over each row, biased variance, eps inside the root */
    OPS_KERN_GELU,  /* x[m,n], y[m,n]: x (1 + erf(x / sqrt 2)) / 2 */
    OPS_KERN_ADD,   /* a[m,n], b[m,n], y[m,n] */
    OPS_KERN_EMBED, /* ids[m], table[k,n], y[m,n]: row ids[i] of the table */
    OPS_KERN_ATTEND, /* q[m,n], k[m,n], v[m,n], starts[seqs+1], y[m,n]: softmax(q k^T / sqrt(n / heads)) v within
                         each sequence [starts[i], starts[i+1]), every token seeing every token of its own sequence */
    OPS_KERN_POOL, /* x[m,n], starts[seqs+1], y[seqs,n]: mean over each sequence, then divided by its l2 norm */

    /* Dense group. `w` comes from `pack` with the shape's n, k and type; `act` is applied where it is named. */
    OPS_KERN_LINEAR,     /* x[m,k], w, bias[n], y[m,n]: act(x w^T + bias) */
    OPS_KERN_LINEAR_ADD, /* x[m,k], w, bias[n], r[m,n], y[m,n]: act(x w^T + bias) + r */
    OPS_KERN_ATTEND_QKV, /* qkv[m,3n], starts[seqs+1], y[m,n]: ATTEND with q, k and v side by side in each row */

    /* Decoder group; its parameters are in shape.decoder, called d here. Weights w come from pack_quant with the shape's
     * n, k and d.type. rows[m,2] says of each token which sequence (row of the table) it belongs to and its position. */
    OPS_KERN_QLINEAR, /* x[m,k], w, y[m,n]: x w^T, activations brought to 8 bits per 32 of them unless d.exact or the type
                         is of floats; a row's result depends on nothing else in the batch */
    OPS_KERN_QLINEARS, /* x[m,k], w of each of d.maps, y[m,n] of each of d.maps: QLINEAR of each, the same bits, in one go */
    OPS_KERN_QEMBED, /* ids[m], w, y[m,k]: d.scale times row ids[i] of the table w[n,k] */
    OPS_KERN_HEAD, /* x[m,k], w, mask[m, (n+31)/32], y[m,n]: as QLINEAR; minus infinity where the column's bit is 0,
                         and rows of w that no token of the batch may choose are not computed */
    OPS_KERN_TOPK, /* x[m,n], y[m, d.top+1] of {int32 id; f32 value}: the greatest d.top, lower ids first among equals,
                         id -1 where there are no more; then {how many took part, ln of the sum of their e^x}. Minus
                         infinity and NaN take no part. With d.top 1 it is the argmax */
    OPS_KERN_RMSNORM, /* x[m,n], gain[n], y[m,n]: x / sqrt(mean(x^2) + eps) * (gain + d.shift) */
    OPS_KERN_ROPE_TABLE, /* rows[m,2], factors[d.rotary/2], y[m,d.rotary]: for pair i the cosines, then the sines, of
                            position * d.theta^(-2i / d.rotary) / factors[i] */
    OPS_KERN_ROPE, /* x[m,n], turns[m,d.rotary], y[m,n]: the first d.rotary elements of each of `heads` heads turned in
                        pairs: neighbours, or halves apart with d.half_split; y may be x */
    OPS_KERN_GATE, /* a[m,n], b[m,n], y[m,n]: act(a) b, act SiLU, or GELU by tanh with d.gelu; y may be a or b */
    OPS_KERN_GELU_TANH, /* x[m,n], y[m,n] */
    OPS_KERN_ADD_ROW,   /* x[m,n], b[n], y[m,n]: b to every row; y may be x */
    OPS_KERN_KV_APPEND, /* k[m,kv], v[m,kv], rows[m,2], table[seqs,d.table], cache; kv = d.kv_heads * d.width: each row to
                           the place of its position: block table[seq][position / d.block] of the cache */
    OPS_KERN_ATTEND_PAGED, /* q[m,n], cache, rows[m,2], table[seqs,d.table], y[m,n]: each row over its sequence's keys up to
                              its own position, the last d.window of them unless that is 0: softmax(q k^T d.scale) v per
                              head, n = heads * d.width, heads / d.kv_heads queries to a key head */
    OPS_KERN_ATTEND_CAUSAL, /* q[m,n], k[m,kv], v[m,kv], starts[seqs+1], y[m,n]: the same over packed sequences */
} ops_kern_op;

/* How `pack` keeps weights. F16 and BF16 are rounded to nearest even when packed and computed in f32. I8: each row w of
 * the matrix becomes round(w / t), t = max |w| / 127; each row of x is then brought, when run, to 8 bits u with a step s
 * and a zero z over the range [min(x, 0), max(x, 0)], and y = s t (sum u w8 - z sum w8) + bias with exact sums; erf in its
 * activation is good to 1e-4. */
typedef enum ops_kern_type { OPS_KERN_F32, OPS_KERN_F16, OPS_KERN_BF16, OPS_KERN_I8 } ops_kern_type;
enum { OPS_KERN_I8_K_MAX = 65536 }; /* the sums stay within 32 bits */

typedef enum ops_kern_act { OPS_KERN_ACT_NONE, OPS_KERN_ACT_GELU } ops_kern_act;

/* One of several linear maps of the same rows: columns of y, type of its weights. */
typedef struct ops_kern_map {
    int n;
    ops_kern_quant_type type;
} ops_kern_map;

/* What the decoder group needs beside the extents. */
typedef struct ops_kern_decoder {
    ops_kern_quant_type type; /* of the weights */
    int exact; /* by the formula in double, from dequantised weights: slow, what the other way is judged by */
    int top;   /* at most OPS_KERN_TOP_MAX */
    float scale, shift, theta;
    int rotary, half_split, gelu;
    int kv_heads, width, window; /* width at most 512 */
    int half;                    /* the cache holds f16, else f32 */
    int block, blocks,
        table; /* tokens a block (any, fastest in multiples of 16), blocks of the cache, entries a sequence */
    ops_kern_map maps[OPS_KERN_MAPS_MAX]; /* n 0: no more */
} ops_kern_decoder;

typedef struct ops_kern_shape {
    ops_kern_op op;
    int m, n, k;
    int heads, seqs;
    float eps;          /* LAYERNORM, RMSNORM */
    ops_kern_type type; /* dense group */
    ops_kern_act act;
    ops_kern_decoder decoder;
} ops_kern_shape;

typedef struct ops_kern_dev ops_kern_dev;
typedef struct ops_kern_buf ops_kern_buf;
typedef struct ops_kern_plan ops_kern_plan;
typedef uint64_t ops_kern_fence; /* counts runs from 1 */

typedef struct ops_kern {
    const char *name;
    ops_kern_status (*buf_new)(ops_kern_dev *, size_t bytes, ops_kern_buf **ret); /* zeroed; bytes > 0 */
    void (*buf_free)(ops_kern_dev *, ops_kern_buf *); /* none of its runs may be queued */
    ops_kern_status (*upload)(ops_kern_dev *, ops_kern_buf *, size_t at, const void *from, size_t bytes);
    ops_kern_status (*download)(ops_kern_dev *, const ops_kern_buf *, size_t at, void *to, size_t bytes);
    ops_kern_status (*plan_new)(ops_kern_dev *, const ops_kern_shape *, ops_kern_plan **ret);
    void (*plan_free)(ops_kern_dev *, ops_kern_plan *);
    ops_kern_status (*submit)(ops_kern_dev *, const ops_kern_plan *, ops_kern_buf *const *args, size_t n,
                              ops_kern_fence *ret);
    /* The first failure among the runs up to the fence, reported once. */
    ops_kern_status (*wait)(ops_kern_dev *, ops_kern_fence);
    void (*dev_free)(ops_kern_dev *);
    /* A weight matrix w[n,k], f32 in the host's memory, laid out as this device computes best: once, at load. The buffer
     * goes to the `w` of the dense group only; its bytes can not be transferred. */
    ops_kern_status (*pack)(ops_kern_dev *, ops_kern_type, int n, int k, const float *w, ops_kern_buf **ret);
    /* A matrix w[n,k] in a file's own blocks (kern_quant.h), in the host's memory, laid out as this device computes best.
     * The buffer goes to the `w` of the decoder group only; its bytes can not be transferred. EINVAL: no such type, k no
     * whole number of blocks, or `bytes` not what n rows of k take. */
    ops_kern_status (*pack_quant)(ops_kern_dev *, int quant_type, int n, int k, const void *from,
                                  size_t bytes, ops_kern_buf **ret);
} ops_kern;

/* Bytes of a cache of keys and values as KV_APPEND and ATTEND_PAGED use it: [blocks][kv_heads]{k[width][block],
 * v[block][width]}; 0 when it passes what a size can say. */
size_t ops_kern_cache_bytes(const ops_kern_decoder *d);
/* The factors[rotary / 2] of Llama 3's longer contexts, from its published rule: a pair whose wave is longer than
 * context / low turns `factor` times slower, one shorter than context / high as before, those between in proportion. */
void ops_kern_rope_factors(int rotary, float theta, float factor, float low, float high, int context,
                           float *ret);

/* The processor as a device. Levels: "plain" is the reference in plain C and the definition of correct; "avx2" (with FMA
 * and F16C), "avx512" (F, BW, DQ, VL) and "vnni" are the same functions for processors that have these. A result depends
 * on the level, never on the number of threads nor on what else is in the batch. */
enum { OPS_KERN_THREADS_MAX = 64 };
typedef struct ops_kern_cpu_conf {
    int delayed; /* runs stay queued until waited for, as on a device with a queue of its own; otherwise each is done when
                    submit returns */
    int threads; /* 0: one per processor this process may use; the caller's counts as one */
    const char
        *level; /* NULL: what OPS_KERN_LEVEL says in the environment, else the best the processor has */
} ops_kern_cpu_conf;

/* OPS_KERN_EINVAL: threads out of range, or a level unknown or not had by this processor; OPS_KERN_ENOMEM: also when no
 * thread can be started. */
ops_kern_status ops_kern_cpu_open(const ops_kern_cpu_conf *, ops_kern_dev **ret);
ops_kern_dev *ops_kern_cpu_new(int delayed); /* by default; NULL when it fails */
const char *ops_kern_cpu_level(const ops_kern_dev *);
int ops_kern_cpu_threads(const ops_kern_dev *);
const ops_kern *ops_kern_cpu(void); /* lives as long as the program */
#endif
