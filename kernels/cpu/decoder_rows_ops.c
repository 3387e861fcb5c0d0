/* Operations on rows: norm, rotation, gates, a row added to all. */
#include <math.h>

#include "kernels/cpu/decoder_ops.h"

typedef struct rows_job {
    void (*fn)(const ops_decoder_rows *, int part, int parts);
    ops_decoder_rows rows;
} rows_job;

static void rows_part(const void *job, int part, int parts)
{
    const rows_job *j = job;
    j->fn(&j->rows, part, parts);
}

static size_t norm_sizes(const ops_kern_shape *s, size_t bytes[OPS_KERN_ARGS_MAX])
{
    if (!ops_decoder_extents(s->m, s->n, 1))
        return 0;
    bytes[0] = bytes[2] = (size_t)s->m * s->n * 4;
    bytes[1] = (size_t)s->n * 4;
    return 3;
}

static ops_kern_status norm_run(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    rows_job j = {ops_decoder_level_of(d, s)->rmsnorm,
                  {.m = s->m, .n = s->n, .eps = s->eps, .shift = s->decoder.shift}};
    j.rows.a = args[0];
    j.rows.b = args[1];
    j.rows.y = args[2];
    ops_decoder_each(d, rows_part, &j, (size_t)s->m * s->n / 4);
    return OPS_KERN_OK;
}

const ops_cpu_op ops_decoder_op_rmsnorm = {
    .op = OPS_KERN_RMSNORM, .sizes = norm_sizes, .scratch = NULL, .run = norm_run};

static int rotary_ok(const ops_kern_shape *s)
{
    return s->decoder.rotary > 0 && s->decoder.rotary % 2 == 0 && s->decoder.rotary <= OPS_KERN_EXTENT_MAX;
}

static size_t table_sizes(const ops_kern_shape *s, size_t bytes[OPS_KERN_ARGS_MAX])
{
    if (!ops_decoder_extents(s->m, 1, 1) || !rotary_ok(s) || !(s->decoder.theta > 0))
        return 0;
    bytes[0] = (size_t)s->m * 8;
    bytes[1] = (size_t)s->decoder.rotary / 2 * 4;
    bytes[2] = (size_t)s->m * s->decoder.rotary * 4;
    return 3;
}

static ops_kern_status table_run(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    (void)d;
    ops_decoder_rope_table(s->m, s->decoder.rotary, s->decoder.theta, args[0], args[1], args[2]);
    return OPS_KERN_OK;
}

const ops_cpu_op ops_decoder_op_rope_table = {
    .op = OPS_KERN_ROPE_TABLE, .sizes = table_sizes, .scratch = NULL, .run = table_run};

static size_t rope_sizes(const ops_kern_shape *s, size_t bytes[OPS_KERN_ARGS_MAX])
{
    if (!ops_decoder_extents(s->m, s->n, s->heads) || !rotary_ok(s) || s->n % s->heads != 0 ||
        s->decoder.rotary > s->n / s->heads)
        return 0;
    bytes[0] = bytes[2] = (size_t)s->m * s->n * 4;
    bytes[1] = (size_t)s->m * s->decoder.rotary * 4;
    return 3;
}

static ops_kern_status rope_run(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    rows_job j = {ops_decoder_level_of(d, s)->rope,
                  {.m = s->m,
                   .n = s->n,
                   .heads = s->heads,
                   .rotary = s->decoder.rotary,
                   .half_split = s->decoder.half_split}};
    j.rows.a = args[0];
    j.rows.b = args[1];
    j.rows.y = args[2];
    ops_decoder_each(d, rows_part, &j, (size_t)s->m * s->n / 4);
    return OPS_KERN_OK;
}

const ops_cpu_op ops_decoder_op_rope = {
    .op = OPS_KERN_ROPE, .sizes = rope_sizes, .scratch = NULL, .run = rope_run};

static size_t two_sizes(const ops_kern_shape *s, size_t bytes[OPS_KERN_ARGS_MAX])
{
    if (!ops_decoder_extents(s->m, s->n, 1))
        return 0;
    bytes[0] = bytes[1] = (size_t)s->m * s->n * 4;
    return 2;
}

static size_t three_sizes(const ops_kern_shape *s, size_t bytes[OPS_KERN_ARGS_MAX])
{
    if (!two_sizes(s, bytes))
        return 0;
    bytes[2] = bytes[0];
    return 3;
}

static ops_kern_status gate_run(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    int two = s->op == OPS_KERN_GELU_TANH;
    rows_job j = {ops_decoder_level_of(d, s)->gate, {.m = s->m, .n = s->n, .gelu = two || s->decoder.gelu}};
    j.rows.a = args[0];
    j.rows.b = two ? NULL : args[1];
    j.rows.y = args[two ? 1 : 2];
    ops_decoder_each(d, rows_part, &j, (size_t)s->m * s->n / 4);
    return OPS_KERN_OK;
}

const ops_cpu_op ops_decoder_op_gate = {
    .op = OPS_KERN_GATE, .sizes = three_sizes, .scratch = NULL, .run = gate_run};
const ops_cpu_op ops_decoder_op_gelu_tanh = {
    .op = OPS_KERN_GELU_TANH, .sizes = two_sizes, .scratch = NULL, .run = gate_run};

static ops_kern_status add_row_run(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    (void)d;
    const float *x = args[0], *b = args[1];
    float *y = args[2];
    for (int i = 0; i < s->m; i++)
        for (int c = 0; c < s->n; c++, x++, y++)
            *y = *x + b[c];
    return OPS_KERN_OK;
}

const ops_cpu_op ops_decoder_op_add_row = {
    .op = OPS_KERN_ADD_ROW, .sizes = norm_sizes, .scratch = NULL, .run = add_row_run};

void ops_kern_rope_factors(int rotary, float theta, float factor, float low, float high, int context,
                           float *ret)
{
    for (int i = 0; i < rotary / 2; i++) {
        double wave = 2 * acos(-1) * pow(theta, 2.0 * i / rotary), turns = context / wave;
        double part = (turns - low) / (high - low); /* 0: slowed wholly, 1: not at all */
        part = turns < low ? 0 : turns > high ? 1 : part;
        ret[i] = (float)(1 / ((1 - part) / factor + part));
    }
}
