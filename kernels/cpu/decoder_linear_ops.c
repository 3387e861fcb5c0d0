/* Operations over packed quantised weights: linear map, embedding, head, selection. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/decoder_ops.h"

typedef struct product {
    ops_quant_job job;
    ops_quant_level level;
    void *rows;
} product;

static void rows_part(const void *job, int part, int parts)
{
    const product *p = job;
    ops_quant_rows(p->level, p->job.type, p->job.m, p->job.k, p->job.x, p->rows, part, parts);
}

static void gemm_part(const void *job, int part, int parts)
{
    const product *p = job;
    ops_quant_gemm(p->level, &p->job, part, parts);
}

static void exact_part(const void *job, int part, int parts)
{
    const product *p = job;
    ops_quant_exact(&p->job, part, parts);
}

static void multiply(ops_kern_dev *d, const ops_kern_shape *s, void *const *args, float *y, void *rows,
                     const uint32_t *mask)
{
    product p = {{s->decoder.type, s->m, s->n, s->k, args[1], args[0], rows, y, mask}, d->level->quant, rows};
    if (s->decoder.exact) {
        ops_decoder_each(d, exact_part, &p, (size_t)s->m * s->n * s->k);
        return;
    }
    ops_decoder_each(d, rows_part, &p, (size_t)s->m * s->k / 4);
    ops_decoder_each(d, gemm_part, &p, (size_t)s->m * s->n * s->k / 32);
}

static int weights_ok(const ops_kern_shape *s)
{
    return ops_decoder_extents(s->m, s->n, s->k) &&
           ops_quant_packed_bytes((int)s->decoder.type, s->n, s->k) > 0;
}

static size_t linear_sizes(const ops_kern_shape *s, size_t bytes[OPS_KERN_ARGS_MAX])
{
    if (!weights_ok(s))
        return 0;
    bytes[0] = (size_t)s->m * s->k * 4;
    bytes[2] = (size_t)s->m * s->n * 4;
    return 3;
}

static size_t linear_scratch(const ops_kern_dev *d, const ops_kern_shape *s)
{
    (void)d;
    return ops_quant_rows_bytes(s->m, s->k);
}

static ops_kern_status linear_run(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    multiply(d, s, args, args[2], d->scratch, NULL);
    return OPS_KERN_OK;
}

const ops_cpu_op ops_decoder_op_qlinear = {.op = OPS_KERN_QLINEAR,
                                           .sizes = linear_sizes,
                                           .scratch = linear_scratch,
                                           .run = linear_run,
                                           .packed_at = 1,
                                           .packed_by = OPS_CPU_QUANT};

static size_t embed_sizes(const ops_kern_shape *s, size_t bytes[OPS_KERN_ARGS_MAX])
{
    if (!weights_ok(s))
        return 0;
    bytes[0] = (size_t)s->m * 4;
    bytes[2] = (size_t)s->m * s->k * 4;
    return 3;
}

static ops_kern_status embed_run(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    (void)d;
    const int32_t *ids = args[0];
    float *y = args[2];
    for (int i = 0; i < s->m; i++)
        if (ids[i] < 0 || ids[i] >= s->n)
            return OPS_KERN_EINVAL;
    for (int i = 0; i < s->m; i++, y += s->k) {
        ops_quant_unpack(s->decoder.type, s->k, args[1], ids[i], 0, s->k, y);
        for (int c = 0; c < s->k; c++)
            y[c] *= s->decoder.scale;
    }
    return OPS_KERN_OK;
}

const ops_cpu_op ops_decoder_op_qembed = {.op = OPS_KERN_QEMBED,
                                          .sizes = embed_sizes,
                                          .scratch = NULL,
                                          .run = embed_run,
                                          .packed_at = 1,
                                          .packed_by = OPS_CPU_QUANT};

static size_t mask_words(int n)
{
    return ((size_t)n + 31) / 32;
}

static size_t head_sizes(const ops_kern_shape *s, size_t bytes[OPS_KERN_ARGS_MAX])
{
    if (!weights_ok(s))
        return 0;
    bytes[0] = (size_t)s->m * s->k * 4;
    bytes[2] = (size_t)s->m * mask_words(s->n) * 4;
    bytes[3] = (size_t)s->m * s->n * 4;
    return 4;
}

/* The union of the masks comes first, the rows on the next line of the cache. */
static size_t union_bytes(const ops_kern_shape *s)
{
    return (mask_words(s->n) * 4 + 63) & ~(size_t)63;
}

static size_t head_scratch(const ops_kern_dev *d, const ops_kern_shape *s)
{
    (void)d;
    return union_bytes(s) + ops_quant_rows_bytes(s->m, s->k);
}

static ops_kern_status head_run(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    size_t words = mask_words(s->n);
    const uint32_t *mask = args[2];
    uint32_t *any = d->scratch;
    float *y = args[3];
    memset(any, 0, words * 4);
    for (int i = 0; i < s->m; i++)
        for (size_t w = 0; w < words; w++)
            any[w] |= mask[(size_t)i * words + w];
    multiply(d, s, args, y, (char *)d->scratch + union_bytes(s), any);
    for (int i = 0; i < s->m; i++, y += s->n, mask += words)
        for (int c = 0; c < s->n; c++)
            y[c] = mask[c / 32] >> c % 32 & 1 ? y[c] : -INFINITY;
    return OPS_KERN_OK;
}

const ops_cpu_op ops_decoder_op_head = {.op = OPS_KERN_HEAD,
                                        .sizes = head_sizes,
                                        .scratch = head_scratch,
                                        .run = head_run,
                                        .packed_at = 1,
                                        .packed_by = OPS_CPU_QUANT};

static size_t topk_sizes(const ops_kern_shape *s, size_t bytes[OPS_KERN_ARGS_MAX])
{
    if (!ops_decoder_extents(s->m, s->n, s->decoder.top) || s->decoder.top > OPS_DECODER_TOP_MAX)
        return 0;
    bytes[0] = (size_t)s->m * s->n * 4;
    bytes[1] = (size_t)s->m * (s->decoder.top + 1) * sizeof(ops_decoder_pair);
    return 2;
}

typedef struct select_job {
    const ops_decoder_level *level;
    ops_decoder_top top;
} select_job;

static void topk_part(const void *job, int part, int parts)
{
    const select_job *j = job;
    j->level->top(&j->top, part, parts);
}

static ops_kern_status topk_run(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    select_job j = {ops_decoder_level_of(d, s), {s->m, s->n, s->decoder.top, args[0], args[1]}};
    ops_decoder_each(d, topk_part, &j, (size_t)s->m * s->n);
    return OPS_KERN_OK;
}

const ops_cpu_op ops_decoder_op_topk = {
    .op = OPS_KERN_TOPK, .sizes = topk_sizes, .scratch = NULL, .run = topk_run};
