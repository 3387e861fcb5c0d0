#ifndef OPS_KERNELS_CPU_INTERNAL_H
#define OPS_KERNELS_CPU_INTERNAL_H

#include "kernels/cpu/level.h"
#include "kernels/cpu/memory.h"
#include "kernels/cpu/threads.h"
#include "kernels/include/kern.h"

/* Which function of the table packed a buffer, or must have. */
typedef enum ops_cpu_packed {
    OPS_CPU_BYTES,
    OPS_CPU_DENSE,
    OPS_CPU_QUANT,
    OPS_CPU_MAPS /* of an operation: from packed_at on as many QUANT as the shape has maps */
} ops_cpu_packed;

struct ops_kern_buf {
    size_t bytes;
    void *p;
    ops_cpu_region *region;
    ops_cpu_packed packed; /* as this: */
    int type, n, k;
};

typedef struct ops_cpu_op ops_cpu_op;

struct ops_kern_plan {
    const ops_cpu_op *op;
    ops_kern_shape s;
    size_t n_args;
    size_t bytes[OPS_KERN_ARGS_MAX];
    ops_kern_plan *next; /* among the spare ones */
};

typedef struct ops_cpu_run {
    const ops_cpu_op *op;
    ops_kern_shape s;
    void *args[OPS_KERN_ARGS_MAX];
} ops_cpu_run;

struct ops_kern_dev {
    int delayed;
    const ops_cpu_level *level;
    ops_cpu_threads *threads;
    uint64_t submitted, done;
    ops_kern_status failed;
    ops_kern_plan
        *spare; /* freed plans, taken again: a device that has warmed up allocates nothing per batch */
    ops_cpu_memory memory;
    void *scratch; /* what the operations planned so far need at most */
    size_t scratch_bytes;
    ops_cpu_region *scratch_region;
    ops_cpu_run queue[OPS_KERN_QUEUE_MAX];
};

/* How one operation is done here: a row of the table in ops.c. */
struct ops_cpu_op {
    ops_kern_op op;
    /* Checks the extents this operation uses, writes the bytes each argument must have at least and the count of
     * arguments; 0: the shape is refused. A packed argument has no bytes of its own here. */
    size_t (*sizes)(const ops_kern_shape *, size_t bytes[OPS_KERN_ARGS_MAX]);
    size_t (*scratch)(const ops_kern_dev *, const ops_kern_shape *); /* NULL: none */
    ops_kern_status (*run)(ops_kern_dev *, const ops_kern_shape *, void *const *args);
    size_t packed_at;         /* the argument that must come packed; 0: none (the first is never one) */
    ops_cpu_packed packed_by; /* and by what */
};
const ops_cpu_op *ops_cpu_op_find(ops_kern_op op); /* NULL: unknown */

/* The rows of the dense group. */
extern const ops_cpu_op ops_cpu_gemm, ops_cpu_layernorm, ops_cpu_gelu, ops_cpu_add, ops_cpu_embed,
    ops_cpu_attend, ops_cpu_pool, ops_cpu_linear, ops_cpu_linear_add, ops_cpu_attend_qkv;

/* Those of the decoder group. */
extern const ops_cpu_op ops_decoder_op_qlinear, ops_decoder_op_qlinears, ops_decoder_op_qembed,
    ops_decoder_op_head, ops_decoder_op_topk;
extern const ops_cpu_op ops_decoder_op_rmsnorm, ops_decoder_op_rope_table, ops_decoder_op_rope,
    ops_decoder_op_gate, ops_decoder_op_gelu_tanh, ops_decoder_op_add_row;
extern const ops_cpu_op ops_decoder_op_append, ops_decoder_op_paged, ops_decoder_op_causal;

/* Are the sequences [starts[i], starts[i+1]) of one row at least, and all m rows theirs? */
static inline int ops_cpu_starts_ok(const int32_t *starts, int seqs, int m)
{
    if (starts[0] != 0 || starts[seqs] != m)
        return 0;
    for (int i = 0; i < seqs; i++)
        if (starts[i + 1] <= starts[i])
            return 0;
    return 1;
}

static inline size_t ops_cpu_maps(const ops_kern_shape *s)
{
    size_t n = 0;
    while (n < OPS_KERN_MAPS_MAX && s->decoder.maps[n].n != 0)
        n++;
    return n;
}

static inline int ops_cpu_extent_ok(int v)
{
    return v > 0 && v <= OPS_KERN_EXTENT_MAX;
}

#endif
