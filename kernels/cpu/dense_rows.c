/* Operations on rows and single elements, and the unpacked product: each cut into rows. */
#include "kernels/cpu/cpu_internal.h"

enum { ROWS = 16 }; /* of a task */

typedef struct rows_job {
    const ops_cpu_level *level;
    const ops_kern_shape *s;
    void *const *a;
} rows_job;

static int rows_of(const ops_kern_shape *s, size_t task)
{
    const int from = (int)task * ROWS;
    return s->m - from < ROWS ? s->m - from : ROWS;
}

static void each_rows(ops_kern_dev *d, const ops_kern_shape *s, void *const *args, size_t row_cost,
                      ops_cpu_task_fn *fn)
{
    rows_job j = {d->level, s, args};
    ops_cpu_each(d->threads, ((size_t)s->m + ROWS - 1) / ROWS, row_cost * ROWS, fn, &j);
}

static void gemm_task(void *ctx, size_t task, int thread)
{
    (void)thread;
    const rows_job *j = ctx;
    const ops_kern_shape *s = j->s;
    const size_t at = task * ROWS;
    ops_ref_gemm(rows_of(s, task), s->n, s->k, (const float *)j->a[0] + at * s->k, j->a[1], j->a[2],
                 (float *)j->a[3] + at * s->n);
}

static ops_kern_status run_gemm(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    each_rows(d, s, args, (size_t)s->n * s->k / 8, gemm_task);
    return OPS_KERN_OK;
}

static void layernorm_task(void *ctx, size_t task, int thread)
{
    (void)thread;
    const rows_job *j = ctx;
    const size_t at = task * ROWS * j->s->n;
    j->level->layernorm(rows_of(j->s, task), j->s->n, j->s->eps, (const float *)j->a[0] + at, j->a[1],
                        j->a[2], (float *)j->a[3] + at);
}

static ops_kern_status run_layernorm(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    each_rows(d, s, args, (size_t)s->n / 4, layernorm_task);
    return OPS_KERN_OK;
}

static void gelu_task(void *ctx, size_t task, int thread)
{
    (void)thread;
    const rows_job *j = ctx;
    const size_t at = task * ROWS * j->s->n;
    j->level->gelu((size_t)rows_of(j->s, task) * j->s->n, (const float *)j->a[0] + at, (float *)j->a[1] + at);
}

static ops_kern_status run_gelu(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    each_rows(d, s, args, (size_t)s->n, gelu_task);
    return OPS_KERN_OK;
}

static void add_task(void *ctx, size_t task, int thread)
{
    (void)thread;
    const rows_job *j = ctx;
    const size_t at = task * ROWS * j->s->n;
    j->level->add((size_t)rows_of(j->s, task) * j->s->n, (const float *)j->a[0] + at,
                  (const float *)j->a[1] + at, (float *)j->a[2] + at);
}

static ops_kern_status run_add(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    each_rows(d, s, args, (size_t)s->n / 16, add_task);
    return OPS_KERN_OK;
}

static void embed_task(void *ctx, size_t task, int thread)
{
    (void)thread;
    const rows_job *j = ctx;
    const size_t at = task * ROWS;
    ops_ref_embed(rows_of(j->s, task), j->s->n, (const int32_t *)j->a[0] + at, j->a[1],
                  (float *)j->a[2] + at * j->s->n);
}

static ops_kern_status run_embed(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    const int32_t *ids = args[0];
    for (int i = 0; i < s->m; i++)
        if (ids[i] < 0 || ids[i] >= s->k)
            return OPS_KERN_EINVAL;
    each_rows(d, s, args, (size_t)s->n / 8, embed_task);
    return OPS_KERN_OK;
}

/* Every argument m x n. */
static size_t sizes_flat(const ops_kern_shape *s, size_t *bytes, size_t n_args)
{
    if (!ops_cpu_extent_ok(s->m) || !ops_cpu_extent_ok(s->n))
        return 0;
    for (size_t i = 0; i < n_args; i++)
        bytes[i] = (size_t)s->m * s->n * 4;
    return n_args;
}

static size_t sizes_gemm(const ops_kern_shape *s, size_t *bytes)
{
    if (!ops_cpu_extent_ok(s->k) || sizes_flat(s, bytes, 4) == 0)
        return 0;
    bytes[0] = (size_t)s->m * s->k * 4;
    bytes[1] = (size_t)s->n * s->k * 4;
    bytes[2] = (size_t)s->n * 4;
    return 4;
}

static size_t sizes_layernorm(const ops_kern_shape *s, size_t *bytes)
{
    if (sizes_flat(s, bytes, 4) == 0)
        return 0;
    bytes[1] = bytes[2] = (size_t)s->n * 4;
    return 4;
}

static size_t sizes_gelu(const ops_kern_shape *s, size_t *bytes)
{
    return sizes_flat(s, bytes, 2);
}

static size_t sizes_add(const ops_kern_shape *s, size_t *bytes)
{
    return sizes_flat(s, bytes, 3);
}

static size_t sizes_embed(const ops_kern_shape *s, size_t *bytes)
{
    if (!ops_cpu_extent_ok(s->k) || sizes_flat(s, bytes, 3) == 0)
        return 0;
    bytes[0] = (size_t)s->m * 4;
    bytes[1] = (size_t)s->k * s->n * 4;
    return 3;
}

const ops_cpu_op ops_cpu_gemm = {OPS_KERN_GEMM, sizes_gemm, NULL, run_gemm, 0, OPS_CPU_BYTES};
const ops_cpu_op ops_cpu_layernorm = {OPS_KERN_LAYERNORM, sizes_layernorm, NULL, run_layernorm, 0,
                                      OPS_CPU_BYTES};
const ops_cpu_op ops_cpu_gelu = {OPS_KERN_GELU, sizes_gelu, NULL, run_gelu, 0, OPS_CPU_BYTES};
const ops_cpu_op ops_cpu_add = {OPS_KERN_ADD, sizes_add, NULL, run_add, 0, OPS_CPU_BYTES};
const ops_cpu_op ops_cpu_embed = {OPS_KERN_EMBED, sizes_embed, NULL, run_embed, 0, OPS_CPU_BYTES};
