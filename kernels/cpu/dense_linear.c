/* Products with packed weights, cut into blocks of rows times groups of panels. How it is cut changes no result: an
 * element is one chain of sums over k, whoever computes it. */
#include "kernels/cpu/cpu_internal.h"

/* A block of rows stays in the second-level cache while the panels pass over it. */
enum { ROWS = 96, QUANT_ROWS = 8, TASK_COST = 30000 };

typedef struct linear_job {
    const ops_cpu_level *level;
    ops_ref_linear l; /* pointers to row 0 */
    ops_ref_packed p;
    int m, panels, group, groups; /* panels of a task; groups of panels */
    uint8_t *u;
    float *step;
    int32_t *zero;
} linear_job;

static void linear_task(void *ctx, size_t task, int thread)
{
    (void)thread;
    const linear_job *j = ctx;
    const int block = (int)(task / (size_t)j->groups), first = (int)(task % (size_t)j->groups) * j->group;
    const int row = block * ROWS, rows = j->m - row < ROWS ? j->m - row : ROWS;
    const size_t at = (size_t)row * j->p.n;
    ops_ref_linear l = j->l;
    l.x += (size_t)row * j->p.k;
    l.y += at;
    if (l.add)
        l.add += at;
    if (j->p.type == OPS_KERN_I8) {
        l.u = j->u + (size_t)row * ops_ref_up(j->p.k, 4);
        l.step = j->step + row;
        l.zero = j->zero + row;
    }
    const int last = first + j->group < j->panels ? first + j->group : j->panels;
    (j->p.type == OPS_KERN_I8 ? j->level->linear_i8 : j->level->linear)(&l, rows, first, last);
}

static void quantise_task(void *ctx, size_t task, int thread)
{
    (void)thread;
    const linear_job *j = ctx;
    const int from = (int)task * QUANT_ROWS, to = from + QUANT_ROWS < j->m ? from + QUANT_ROWS : j->m;
    const int k = j->p.k, deep = ops_ref_up(k, 4);
    for (int i = from; i < to; i++)
        j->level->quantise(k, j->l.x + (size_t)i * k, j->u + (size_t)i * deep, &j->step[i], &j->zero[i]);
}

/* Steps and zeros first, then the bytes. */
static size_t scratch(const ops_kern_dev *d, const ops_kern_shape *s)
{
    (void)d;
    return s->type == OPS_KERN_I8 ? (size_t)s->m * (8 + (size_t)ops_ref_up(s->k, 4)) : 0;
}

/* Enough tasks for an even share, each large enough to be worth taking. */
static void divide(linear_job *j, int threads)
{
    const int blocks = (j->m + ROWS - 1) / ROWS, rows = j->m < ROWS ? j->m : ROWS;
    const size_t cost = (size_t)rows * j->p.k * j->p.panel / 16 + 1;
    const int worth = (int)(TASK_COST / cost) + 1,
              fair = (int)((size_t)j->panels * blocks / (4 * (size_t)threads)) + 1;
    j->group = worth < fair ? worth : fair;
    j->groups = (j->panels + j->group - 1) / j->group;
}

static ops_kern_status run(ops_kern_dev *d, const ops_kern_shape *s, void *const *a, const float *add,
                           float *y)
{
    linear_job j = {.level = d->level, .m = s->m};
    ops_ref_packed_over(s->type, s->n, s->k, d->level->panel, a[1], &j.p);
    j.panels = ops_ref_up(s->n, j.p.panel) / j.p.panel;
    j.l = (ops_ref_linear){.p = &j.p, .act = s->act, .x = a[0], .bias = a[2], .add = add, .y = y};
    if (s->type == OPS_KERN_I8) {
        j.step = d->scratch;
        j.zero = (int32_t *)d->scratch + s->m;
        j.u = (uint8_t *)d->scratch + (size_t)s->m * 8;
        ops_cpu_each(d->threads, ((size_t)s->m + QUANT_ROWS - 1) / QUANT_ROWS, (size_t)s->k * QUANT_ROWS / 8,
                     quantise_task, &j);
    }
    divide(&j, ops_cpu_threads_count(d->threads));
    const size_t blocks = ((size_t)s->m + ROWS - 1) / ROWS;
    const size_t cost = (size_t)(s->m < ROWS ? s->m : ROWS) * s->k * j.p.panel * j.group / 16;
    ops_cpu_each(d->threads, blocks * j.groups, cost, linear_task, &j);
    return OPS_KERN_OK;
}

static ops_kern_status run_linear(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    return run(d, s, args, NULL, args[3]);
}

static ops_kern_status run_linear_add(ops_kern_dev *d, const ops_kern_shape *s, void *const *args)
{
    return run(d, s, args, args[3], args[4]);
}

static size_t sizes_linear(const ops_kern_shape *s, size_t *bytes)
{
    if (!ops_cpu_extent_ok(s->m) || !ops_cpu_extent_ok(s->n) || !ops_cpu_extent_ok(s->k) ||
        s->type < OPS_KERN_F32 || s->type > OPS_KERN_I8 ||
        (s->type == OPS_KERN_I8 && s->k > OPS_KERN_I8_K_MAX) ||
        (s->act != OPS_KERN_ACT_NONE && s->act != OPS_KERN_ACT_GELU))
        return 0;
    bytes[0] = (size_t)s->m * s->k * 4;
    bytes[1] = 0;
    bytes[2] = (size_t)s->n * 4;
    bytes[3] = bytes[4] = (size_t)s->m * s->n * 4;
    return 4;
}

static size_t sizes_linear_add(const ops_kern_shape *s, size_t *bytes)
{
    return sizes_linear(s, bytes) != 0 ? 5 : 0;
}

const ops_cpu_op ops_cpu_linear = {OPS_KERN_LINEAR, sizes_linear, scratch, run_linear, 1, OPS_CPU_DENSE};
const ops_cpu_op ops_cpu_linear_add = {OPS_KERN_LINEAR_ADD, sizes_linear_add, scratch, run_linear_add, 1,
                                       OPS_CPU_DENSE};
