#ifndef OPS_KERNELS_CPU_INTERNAL_H
#define OPS_KERNELS_CPU_INTERNAL_H

#include "kernels/cpu/level.h"
#include "kernels/cpu/threads.h"
#include "kernels/include/kern.h"

struct ops_kern_buf {
    size_t bytes;
    void *p;
    int packed; /* by `pack`, as this: */
    ops_kern_type type;
    int n, k;
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
        *spare;    /* freed plans, taken again: a device that has warmed up allocates nothing per batch */
    void *scratch; /* what the operations planned so far need at most */
    size_t scratch_bytes;
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
    int packed; /* the argument that comes from `pack`; 0: none (the first is never one) */
};
const ops_cpu_op *ops_cpu_op_find(ops_kern_op op); /* NULL: unknown */

/* The rows of the dense group. */
extern const ops_cpu_op ops_cpu_gemm, ops_cpu_layernorm, ops_cpu_gelu, ops_cpu_add, ops_cpu_embed,
    ops_cpu_attend, ops_cpu_pool, ops_cpu_linear, ops_cpu_linear_add, ops_cpu_attend_qkv;

void *ops_cpu_memory(size_t bytes); /* zeroed, on a line of the cache; free with free; NULL: none left */

static inline int ops_cpu_extent_ok(int v)
{
    return v > 0 && v <= OPS_KERN_EXTENT_MAX;
}

#endif
