/* Operations on keys and values: the cache's and those of packed sequences. */
#include "kernels/cpu/decoder_ops.h"

size_t ops_kern_cache_bytes(const ops_kern_decoder *d)
{
    const int extents[] = {d->blocks, d->kv_heads, d->width, d->block, d->half ? 4 : 8};
    size_t bytes = 1;
    for (size_t i = 0; i < sizeof extents / sizeof *extents; i++)
        if (extents[i] <= 0 || __builtin_mul_overflow(bytes, (size_t)extents[i], &bytes))
            return 0;
    return bytes;
}

static size_t kv_bytes(const ops_kern_shape *s)
{
    return (size_t)s->m * (size_t)s->decoder.kv_heads * (size_t)s->decoder.width * 4;
}

static int heads_ok(const ops_kern_shape *s)
{
    const ops_kern_decoder *d = &s->decoder;
    return ops_decoder_extents(d->kv_heads, d->width, 1) && d->width <= OPS_DECODER_WIDTH_MAX &&
           d->kv_heads <= OPS_KERN_EXTENT_MAX / d->width && d->window >= 0;
}

static int queries_ok(const ops_kern_shape *s)
{
    const ops_kern_decoder *d = &s->decoder;
    return heads_ok(s) && ops_decoder_extents(s->m, s->n, s->heads) && s->heads % d->kv_heads == 0 &&
           s->n % d->width == 0 && s->n / d->width == s->heads;
}

static int cache_ok(const ops_kern_shape *s)
{
    const ops_kern_decoder *d = &s->decoder;
    return ops_decoder_extents(d->block, d->blocks, d->table) && ops_decoder_extents(s->m, s->seqs, 1) &&
           ops_kern_cache_bytes(d) > 0;
}

static size_t append_sizes(const ops_kern_shape *s, size_t bytes[OPS_KERN_ARGS_MAX])
{
    if (!heads_ok(s) || !cache_ok(s))
        return 0;
    bytes[0] = bytes[1] = kv_bytes(s);
    bytes[2] = (size_t)s->m * 8;
    bytes[3] = (size_t)s->seqs * s->decoder.table * 4;
    bytes[4] = ops_kern_cache_bytes(&s->decoder);
    return 5;
}

static size_t paged_sizes(const ops_kern_shape *s, size_t bytes[OPS_KERN_ARGS_MAX])
{
    if (!queries_ok(s) || !cache_ok(s))
        return 0;
    bytes[0] = bytes[4] = (size_t)s->m * s->n * 4;
    bytes[1] = ops_kern_cache_bytes(&s->decoder);
    bytes[2] = (size_t)s->m * 8;
    bytes[3] = (size_t)s->seqs * s->decoder.table * 4;
    return 5;
}

/* Is every block that a row reads or writes one of the cache? `behind`: how many tokens before its own a row sees. A
 * table may be longer than any sequence: positions are extents too, so nothing lies behind `behind`. */
static int rows_ok(const ops_kern_shape *s, const int32_t *rows, const int32_t *table, int behind)
{
    const ops_kern_decoder *d = &s->decoder;
    for (int i = 0; i < s->m; i++, rows += 2) {
        if (rows[0] < 0 || rows[0] >= s->seqs || rows[1] < 0 || rows[1] >= OPS_KERN_EXTENT_MAX ||
            rows[1] / d->block >= d->table)
            return 0;
        /* A row that follows the one before looks at one more block at most. */
        int same = i > 0 && rows[0] == rows[-2] && rows[1] == rows[-1] + 1;
        int first = same ? rows[1] : rows[1] > behind ? rows[1] - behind : 0;
        for (int b = first / d->block; b <= rows[1] / d->block; b++) {
            int32_t id = table[(size_t)rows[0] * d->table + b];
            if (id < 0 || id >= d->blocks)
                return 0;
        }
    }
    return 1;
}

typedef struct append_job {
    const ops_decoder_level *level;
    ops_decoder_append a;
} append_job;

static void append_part(const void *job, int part, int parts)
{
    const append_job *j = job;
    j->level->append(&j->a, part, parts);
}

static ops_kern_status append_run(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    const ops_kern_decoder *c = &s->decoder;
    if (!rows_ok(s, args[2], args[3], 0))
        return OPS_KERN_EINVAL;
    append_job j = {ops_decoder_level_of(d, s),
                    {s->m, c->kv_heads, c->width, c->table, c->block, c->half, args[0], args[1], args[2],
                     args[3], args[4]}};
    ops_decoder_each(d, append_part, &j, kv_bytes(s) * 2);
    return OPS_KERN_OK;
}

const ops_cpu_op ops_decoder_op_append = {
    .op = OPS_KERN_KV_APPEND, .sizes = append_sizes, .scratch = NULL, .run = append_run};

typedef struct attend_job {
    const ops_decoder_level *level;
    ops_decoder_attend a;
} attend_job;

static void attend_part(const void *job, int part, int parts)
{
    const attend_job *j = job;
    j->level->attend(&j->a, part, parts);
}

static void turn_part(const void *job, int part, int parts)
{
    const attend_job *j = job;
    j->level->turn_keys(&j->a, part, parts);
}

/* Two multiplications for each element of each key a row sees, sixteen at a time, and what turns scores to weights, which
 * for few rows is twice as much again; packed rows see half of m or so. */
static size_t attend_cost(const ops_kern_shape *s, const int32_t *rows)
{
    size_t keys = rows ? 0 : (size_t)s->m * s->m / (size_t)s->seqs / 2;
    for (int i = 0; rows && i < s->m; i++)
        keys += s->decoder.window > 0 && rows[2 * i + 1] >= s->decoder.window ? (size_t)s->decoder.window
                                                                              : (size_t)rows[2 * i + 1] + 1;
    return keys * (size_t)s->n / 8 * 3;
}

static attend_job job_of(const ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    const ops_kern_decoder *c = &s->decoder;
    return (attend_job){ops_decoder_level_of(d, s),
                        {.m = s->m,
                         .heads = s->heads,
                         .kv_heads = c->kv_heads,
                         .width = c->width,
                         .window = c->window,
                         .scale = c->scale,
                         .seqs = s->seqs,
                         .q = args[0],
                         .y = args[4]}};
}

static ops_kern_status paged_run(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    const ops_kern_decoder *c = &s->decoder;
    if (!rows_ok(s, args[2], args[3], c->window > 0 ? c->window - 1 : OPS_KERN_EXTENT_MAX))
        return OPS_KERN_EINVAL;
    attend_job j = job_of(d, s, args);
    if (c->block % OPS_DECODER_PAGE != 0)
        j.level = &ops_decoder_exact;
    j.a.cache = args[1];
    j.a.rows = args[2];
    j.a.table = args[3];
    j.a.table_n = c->table;
    j.a.block = c->block;
    j.a.half = c->half;
    ops_decoder_each(d, attend_part, &j, attend_cost(s, args[2]));
    return OPS_KERN_OK;
}

const ops_cpu_op ops_decoder_op_paged = {
    .op = OPS_KERN_ATTEND_PAGED, .sizes = paged_sizes, .scratch = NULL, .run = paged_run};

static size_t causal_sizes(const ops_kern_shape *s, size_t bytes[OPS_KERN_ARGS_MAX])
{
    if (!queries_ok(s) || !ops_decoder_extents(s->seqs, 1, 1) || s->seqs > s->m)
        return 0;
    bytes[0] = bytes[4] = (size_t)s->m * s->n * 4;
    bytes[1] = bytes[2] = kv_bytes(s);
    bytes[3] = ((size_t)s->seqs + 1) * 4;
    return 5;
}

static size_t causal_scratch(const ops_kern_dev *d, const ops_kern_shape *s)
{
    (void)d;
    return ops_decoder_turned(s->m, s->seqs, s->decoder.kv_heads, s->decoder.width) * 4;
}

static ops_kern_status causal_run(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    const int32_t *starts = args[3];
    if (!ops_cpu_starts_ok(starts, s->seqs, s->m))
        return OPS_KERN_EINVAL;
    attend_job j = job_of(d, s, args);
    j.a.starts = starts;
    j.a.k = args[1];
    j.a.v = args[2];
    j.a.turned = d->scratch;
    ops_decoder_each(d, turn_part, &j, kv_bytes(s) / 4);
    ops_decoder_each(d, attend_part, &j, attend_cost(s, NULL));
    return OPS_KERN_OK;
}

const ops_cpu_op ops_decoder_op_causal = {
    .op = OPS_KERN_ATTEND_CAUSAL, .sizes = causal_sizes, .scratch = causal_scratch, .run = causal_run};
