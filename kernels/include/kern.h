#ifndef OPS_KERNELS_INCLUDE_KERN_H
#define OPS_KERNELS_INCLUDE_KERN_H
/* The table of functions a compute device offers. Buffers are opaque: the host reaches their bytes only through
 * upload and download, so a device with its own memory needs no other port. Work is planned once (shapes are checked,
 * byte counts worked out) and run many times: submit queues a run and returns a fence; wait blocks until that fence.
 * All runs of one device complete in the order of their submission. All numbers are row-major f32, ids are int32.
 * @thread one device belongs to one thread. This room leans on nothing outside itself. */
#include <stddef.h>
#include <stdint.h>

typedef enum ops_kern_status {
    OPS_KERN_OK = 0,
    OPS_KERN_EINVAL, /* a shape, a buffer too small for it, or an id or offset inside the data out of range */
    OPS_KERN_ENOMEM,
    OPS_KERN_EFULL, /* the queue holds OPS_KERN_QUEUE_MAX runs: wait for a fence first */
    OPS_KERN_EBUSY, /* a transfer touched the device while runs are queued: wait first */
} ops_kern_status;

enum { OPS_KERN_QUEUE_MAX = 256, OPS_KERN_ARGS_MAX = 5 };
/* No extent of a plan may pass this; with it no product of two extents and a size overflows 64 bits. */
#define OPS_KERN_EXTENT_MAX (1 << 28)

/* Arguments in the order of `args` of submit; the last is always written, the others are only read. */
typedef enum ops_kern_op {
    OPS_KERN_GEMM, /* x[m,k], w[n,k], bias[n], y[m,n]: y = x w^T + bias */
    OPS_KERN_LAYERNORM, /* x[m,n], gain[n], shift[n], y[m,n]: over each row, biased variance, eps inside the root */
    OPS_KERN_GELU,  /* x[m,n], y[m,n]: x (1 + erf(x / sqrt 2)) / 2 */
    OPS_KERN_ADD,   /* a[m,n], b[m,n], y[m,n] */
    OPS_KERN_EMBED, /* ids[m], table[k,n], y[m,n]: row ids[i] of the table */
    OPS_KERN_ATTEND, /* q[m,n], k[m,n], v[m,n], starts[seqs+1], y[m,n]: softmax(q k^T / sqrt(n / heads)) v within
                         each sequence [starts[i], starts[i+1]), every token seeing every token of its own sequence */
    OPS_KERN_POOL, /* x[m,n], starts[seqs+1], y[seqs,n]: mean over each sequence, then divided by its l2 norm */
} ops_kern_op;

typedef struct ops_kern_shape {
    ops_kern_op op;
    int m, n, k;
    int heads, seqs;
    float eps; /* LAYERNORM only */
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
} ops_kern;

/* The reference in plain C. `delayed`: runs stay queued until waited for, as on a device with a queue of its own;
 * otherwise each is done when submit returns. NULL when out of memory. The table lives as long as the program. */
ops_kern_dev *ops_kern_cpu_new(int delayed);
const ops_kern *ops_kern_cpu(void);
#endif
