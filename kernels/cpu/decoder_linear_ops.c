/* Operations over packed quantised weights: linear map, embedding, head, selection. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/decoder_ops.h"

enum { FEW_ROWS = 8, PART_BYTES = 128 * 1024, PARTS_MAX = 1024 };

/* Maps of the same rows of x; their activations are brought to 8 bits once for each type. */
typedef struct product {
    ops_quant_job job[OPS_KERN_MAPS_MAX];
    int jobs;
    ops_quant_level level;
} product;

static void rows_part(const void *job, int part, int parts)
{
    const product *p = job;
    for (int i = 0; i < p->jobs; i++) {
        const ops_quant_job *j = &p->job[i];
        if (i == 0 || j->rows != p->job[i - 1].rows)
            ops_quant_rows(p->level, j->type, j->m, j->k, j->x, (void *)(uintptr_t)j->rows, part, parts);
    }
}

static size_t weight_bytes(const product *p)
{
    size_t all = 0;
    for (int i = 0; i < p->jobs; i++)
        all += ops_quant_packed_bytes((int)p->job[i].type, p->job[i].n, p->job[i].k);
    return all;
}

/* The panel that begins at byte `at` of all maps' weights or is the next to; a map's bounds where `at` is outside of it. */
static int panel_at(const ops_quant_job *j, size_t first, size_t at)
{
    const int panels = (j->n + OPS_QUANT_COLS - 1) / OPS_QUANT_COLS;
    const size_t one = ops_quant_packed_bytes((int)j->type, 1, j->k);
    const size_t panel = at < first ? 0 : (at - first + one - 1) / one;
    return panel < (size_t)panels ? (int)panel : panels;
}

/* Parts by bytes: how long the weights are on their way from memory is how long it takes. */
static void gemm_part(const void *job, int part, int parts)
{
    const product *p = job;
    const size_t all = weight_bytes(p), from = all / (size_t)parts * (size_t)part;
    size_t first = 0;
    const size_t to = part + 1 == parts ? all : from + all / (size_t)parts;
    for (int i = 0; i < p->jobs; i++) {
        const ops_quant_job *j = &p->job[i];
        ops_quant_panels(p->level, j, panel_at(j, first, from), panel_at(j, first, to));
        first += ops_quant_packed_bytes((int)j->type, j->n, j->k);
    }
}

static void exact_part(const void *job, int part, int parts)
{
    const product *p = job;
    for (int i = 0; i < p->jobs; i++)
        ops_quant_exact(&p->job[i], part, parts);
}

static void multiply(ops_kern_dev *d, const ops_kern_shape *s, const product *p)
{
    size_t columns = 0;
    for (int i = 0; i < p->jobs; i++)
        columns += (size_t)p->job[i].n;
    if (s->decoder.exact) {
        ops_decoder_each(d, exact_part, p, (size_t)s->m * columns * s->k);
        return;
    }
    ops_decoder_each(d, rows_part, p, (size_t)s->m * s->k / 4);
    /* Many rows gain by what a part keeps in the caches, few by parts that are soon done. */
    const size_t parts = s->m <= FEW_ROWS ? weight_bytes(p) / PART_BYTES : 1;
    ops_decoder_each_of(d, gemm_part, p, (size_t)s->m * columns * s->k / 32,
                        parts < PARTS_MAX ? parts : PARTS_MAX);
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

/* One map: w and y, with the scratch of its rows. */
static ops_quant_job job_of(const ops_kern_shape *s, ops_kern_map map, void *const *args, const void *w,
                            void *y, const void *rows)
{
    return (ops_quant_job){
        .type = map.type, .m = s->m, .n = map.n, .k = s->k, .w = w, .x = args[0], .rows = rows, .y = y};
}

static ops_kern_map map_of(const ops_kern_shape *s)
{
    return (ops_kern_map){s->n, s->decoder.type};
}

static ops_kern_status linear_run(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    const product p = {{job_of(s, map_of(s), args, args[1], args[2], d->scratch)}, 1, d->level->quant};
    multiply(d, s, &p);
    return OPS_KERN_OK;
}

const ops_cpu_op ops_decoder_op_qlinear = {.op = OPS_KERN_QLINEAR,
                                           .sizes = linear_sizes,
                                           .scratch = linear_scratch,
                                           .run = linear_run,
                                           .packed_at = 1,
                                           .packed_by = OPS_CPU_QUANT};

static size_t maps_sizes(const ops_kern_shape *s, size_t bytes[OPS_KERN_ARGS_MAX])
{
    const size_t maps = ops_cpu_maps(s);
    bytes[0] = (size_t)s->m * s->k * 4;
    for (size_t i = 0; i < maps; i++) {
        const ops_kern_map *map = &s->decoder.maps[i];
        if (!ops_decoder_extents(s->m, map->n, s->k) ||
            ops_quant_packed_bytes((int)map->type, map->n, s->k) == 0)
            return 0;
        bytes[1 + maps + i] = (size_t)s->m * map->n * 4;
    }
    return maps > 0 ? 1 + 2 * maps : 0;
}

static size_t maps_scratch(const ops_kern_dev *d, const ops_kern_shape *s)
{
    (void)d;
    return ops_cpu_maps(s) * ops_quant_rows_bytes(s->m, s->k);
}

static ops_kern_status maps_run(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    const size_t maps = ops_cpu_maps(s), rows_bytes = ops_quant_rows_bytes(s->m, s->k);
    const ops_kern_map *map = s->decoder.maps;
    product p = {.jobs = (int)maps, .level = d->level->quant};
    char *rows = d->scratch;
    for (size_t i = 0; i < maps; i++) {
        if (i > 0 && map[i].type != map[i - 1].type)
            rows += rows_bytes;
        p.job[i] = job_of(s, map[i], args, args[1 + i], args[1 + maps + i], rows);
    }
    multiply(d, s, &p);
    return OPS_KERN_OK;
}

const ops_cpu_op ops_decoder_op_qlinears = {.op = OPS_KERN_QLINEARS,
                                            .sizes = maps_sizes,
                                            .scratch = maps_scratch,
                                            .run = maps_run,
                                            .packed_at = 1,
                                            .packed_by = OPS_CPU_MAPS};

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

/* Words are all ones (any text) or none (a choice of few) or lack a few bits (what must not stand in a string): each is told
 * at one look or by the bits it lacks. */
static void deny(float *y, int n, const uint32_t *mask)
{
    for (int from = 0; from < n; from += 32) {
        const int left = n - from;
        uint32_t denied = ~mask[from / 32] & (left >= 32 ? UINT32_MAX : (1u << left) - 1);
        if (denied == UINT32_MAX)
            for (int c = 0; c < 32; c++)
                y[from + c] = -INFINITY;
        else
            for (; denied != 0; denied &= denied - 1)
                y[from + __builtin_ctz(denied)] = -INFINITY;
    }
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
    product p = {
        {job_of(s, map_of(s), args, args[1], y, (char *)d->scratch + union_bytes(s))}, 1, d->level->quant};
    p.job[0].mask = any;
    multiply(d, s, &p);
    for (int i = 0; i < s->m; i++, y += s->n, mask += words)
        deny(y, s->n, mask);
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
    if (!ops_decoder_extents(s->m, s->n, s->decoder.top) || s->decoder.top > OPS_KERN_TOP_MAX)
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
