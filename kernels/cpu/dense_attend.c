/* Operations on packed sequences: one task is up to OPS_CPU_QUERIES rows of one head of one sequence. */
#include "kernels/cpu/cpu_internal.h"

typedef struct attend_job {
    const ops_cpu_level *level;
    const ops_kern_shape *s;
    const float *q, *k, *v;
    const int32_t *starts;
    float *y;
    int in; /* floats from one row of q, k, v to the next */
    float *scratch;
    size_t scratch_floats; /* of one thread */
    int parts;             /* tasks of one head, for the longest sequence */
} attend_job;

/* On a line of the cache for each thread. */
static size_t thread_floats(const ops_kern_dev *d, const ops_kern_shape *s)
{
    return (d->level->attend_scratch(s->m, s->n / s->heads) + 15) / 16 * 16;
}

static size_t scratch(const ops_kern_dev *d, const ops_kern_shape *s)
{
    return thread_floats(d, s) * sizeof(float) * (size_t)ops_cpu_threads_count(d->threads);
}

static void attend_task(void *ctx, size_t task, int thread)
{
    const attend_job *j = ctx;
    const int heads = j->s->heads, width = j->s->n / heads;
    const size_t head = task / (size_t)j->parts, seq = head / (size_t)heads;
    const int from = (int)(task % (size_t)j->parts) * OPS_CPU_QUERIES;
    const int start = j->starts[seq], len = j->starts[seq + 1] - start;
    if (from >= len)
        return;
    const size_t column = head % (size_t)heads * width, row = (size_t)start * j->in + column;
    const ops_cpu_attend_job part = {
        .head = {.len = len,
                 .width = width,
                 .in = j->in,
                 .out = j->s->n,
                 .q = j->q + row,
                 .k = j->k + row,
                 .v = j->v + row,
                 .y = j->y + (size_t)start * j->s->n + column},
        .from = from,
        .to = len - from < OPS_CPU_QUERIES ? len : from + OPS_CPU_QUERIES,
        .scratch = j->scratch + (size_t)thread * j->scratch_floats,
    };
    j->level->attend(&part);
}

static ops_kern_status attend(ops_kern_dev *d, attend_job *j)
{
    const ops_kern_shape *s = j->s;
    if (!ops_cpu_starts_ok(j->starts, s->seqs, s->m))
        return OPS_KERN_EINVAL;
    int longest = 0;
    for (int i = 0; i < s->seqs; i++)
        if (j->starts[i + 1] - j->starts[i] > longest)
            longest = j->starts[i + 1] - j->starts[i];
    j->level = d->level;
    j->scratch = d->scratch;
    j->scratch_floats = thread_floats(d, s);
    j->parts = (longest + OPS_CPU_QUERIES - 1) / OPS_CPU_QUERIES;
    const size_t cost = (size_t)longest * (longest < OPS_CPU_QUERIES ? longest : OPS_CPU_QUERIES) *
                        ((size_t)s->n / s->heads) / 8;
    ops_cpu_each(d->threads, (size_t)s->seqs * s->heads * j->parts, cost, attend_task, j);
    return OPS_KERN_OK;
}

static ops_kern_status run_attend(ops_kern_dev *d, const ops_kern_shape *s, void *const *a)
{
    attend_job j = {.s = s, .q = a[0], .k = a[1], .v = a[2], .starts = a[3], .y = a[4], .in = s->n};
    return attend(d, &j);
}

static ops_kern_status run_attend_qkv(ops_kern_dev *d, const ops_kern_shape *s, void *const *a)
{
    const float *qkv = a[0];
    attend_job j = {.s = s,
                    .q = qkv,
                    .k = qkv + s->n,
                    .v = qkv + (size_t)2 * s->n,
                    .starts = a[1],
                    .y = a[2],
                    .in = 3 * s->n};
    return attend(d, &j);
}

static int packed_ok(const ops_kern_shape *s)
{
    return ops_cpu_extent_ok(s->m) && ops_cpu_extent_ok(s->n) && ops_cpu_extent_ok(s->seqs);
}

static size_t sizes_attend(const ops_kern_shape *s, size_t *bytes)
{
    if (!packed_ok(s) || s->heads <= 0 || s->n % s->heads != 0)
        return 0;
    bytes[0] = bytes[1] = bytes[2] = bytes[4] = (size_t)s->m * s->n * 4;
    bytes[3] = ((size_t)s->seqs + 1) * 4;
    return 5;
}

static size_t sizes_attend_qkv(const ops_kern_shape *s, size_t *bytes)
{
    if (!packed_ok(s) || s->heads <= 0 || s->n % s->heads != 0 || s->n > OPS_KERN_EXTENT_MAX / 3)
        return 0;
    bytes[0] = (size_t)s->m * s->n * 12;
    bytes[1] = ((size_t)s->seqs + 1) * 4;
    bytes[2] = (size_t)s->m * s->n * 4;
    return 3;
}

static void pool_task(void *ctx, size_t task, int thread)
{
    (void)thread;
    const attend_job *j = ctx;
    const int n = j->s->n, start = j->starts[task];
    j->level->pool(j->starts[task + 1] - start, n, j->q + (size_t)start * n, j->y + task * n);
}

static ops_kern_status run_pool(ops_kern_dev *d, const ops_kern_shape *s, void *const *a)
{
    attend_job j = {.level = d->level, .s = s, .q = a[0], .starts = a[1], .y = a[2]};
    if (!ops_cpu_starts_ok(j.starts, s->seqs, s->m))
        return OPS_KERN_EINVAL;
    ops_cpu_each(d->threads, (size_t)s->seqs, (size_t)s->m / s->seqs * s->n / 8, pool_task, &j);
    return OPS_KERN_OK;
}

static size_t sizes_pool(const ops_kern_shape *s, size_t *bytes)
{
    if (!packed_ok(s))
        return 0;
    bytes[0] = (size_t)s->m * s->n * 4;
    bytes[1] = ((size_t)s->seqs + 1) * 4;
    bytes[2] = (size_t)s->seqs * s->n * 4;
    return 3;
}

const ops_cpu_op ops_cpu_attend = {OPS_KERN_ATTEND, sizes_attend, scratch, run_attend, 0, OPS_CPU_BYTES};
const ops_cpu_op ops_cpu_attend_qkv = {OPS_KERN_ATTEND_QKV, sizes_attend_qkv, scratch, run_attend_qkv, 0,
                                       OPS_CPU_BYTES};
const ops_cpu_op ops_cpu_pool = {OPS_KERN_POOL, sizes_pool, NULL, run_pool, 0, OPS_CPU_BYTES};
