/* The device: buffers, plans, the queue. What an operation does is in the table of ops.c. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/cpu_internal.h"
#include "kernels/cpu/quant.h"

static ops_kern_status buf_new(ops_kern_dev *d, size_t bytes, ops_kern_buf **ret)
{
    *ret = NULL;
    if (bytes == 0)
        return OPS_KERN_EINVAL;
    ops_kern_buf *b = calloc(1, sizeof *b);
    if (!b || !(b->p = ops_cpu_memory_take(&d->memory, bytes, &b->region))) {
        free(b);
        return OPS_KERN_ENOMEM;
    }
    b->bytes = bytes;
    *ret = b;
    return OPS_KERN_OK;
}

static void buf_free(ops_kern_dev *d, ops_kern_buf *b)
{
    if (b)
        ops_cpu_memory_give(&d->memory, b->p, b->region);
    free(b);
}

static ops_kern_status pack(ops_kern_dev *d, ops_kern_type type, int n, int k, const float *w,
                            ops_kern_buf **ret)
{
    *ret = NULL;
    if (!ops_cpu_extent_ok(n) || !ops_cpu_extent_ok(k) || type < OPS_KERN_F32 || type > OPS_KERN_I8 ||
        (type == OPS_KERN_I8 && k > OPS_KERN_I8_K_MAX))
        return OPS_KERN_EINVAL;
    ops_ref_packed p;
    ops_ref_packed_over(type, n, k, d->level->panel, NULL, &p);
    const ops_kern_status st = buf_new(d, p.bytes, ret);
    if (st != OPS_KERN_OK)
        return st;
    (*ret)->packed = OPS_CPU_DENSE;
    (*ret)->type = type;
    (*ret)->n = n;
    (*ret)->k = k;
    ops_ref_pack(&p, w, (*ret)->p);
    return OPS_KERN_OK;
}

typedef struct quant_source {
    ops_kern_quant_type type;
    int n, k, parts;
    const void *from;
    void *to;
} quant_source;

static void pack_part(void *ctx, size_t task, int thread)
{
    const quant_source *q = ctx;
    (void)thread;
    ops_quant_pack(q->type, q->n, q->k, q->from, q->to, (int)task, q->parts);
}

static ops_kern_status pack_quant(ops_kern_dev *d, int type, int n, int k, const void *from, size_t bytes,
                                  ops_kern_buf **ret)
{
    *ret = NULL;
    if (!ops_cpu_extent_ok(n) || !ops_cpu_extent_ok(k) || ops_quant_packed_bytes(type, n, k) == 0 ||
        bytes != ops_kern_quant_bytes(type, (size_t)n * (size_t)k))
        return OPS_KERN_EINVAL;
    ops_kern_status st = buf_new(d, ops_quant_packed_bytes(type, n, k), ret);
    if (st != OPS_KERN_OK)
        return st;
    quant_source q = {(ops_kern_quant_type)type, n, k, ops_cpu_threads_count(d->threads), from, (*ret)->p};
    ops_cpu_each(d->threads, (size_t)q.parts, bytes / (size_t)q.parts, pack_part, &q);
    (*ret)->packed = OPS_CPU_QUANT;
    (*ret)->type = type;
    (*ret)->n = n;
    (*ret)->k = k;
    return OPS_KERN_OK;
}

static ops_kern_status transfer_ok(const ops_kern_dev *d, const ops_kern_buf *b, size_t at, size_t bytes)
{
    if (b->packed || at > b->bytes || bytes > b->bytes - at)
        return OPS_KERN_EINVAL;
    return d->done == d->submitted ? OPS_KERN_OK : OPS_KERN_EBUSY;
}

static ops_kern_status upload(ops_kern_dev *d, ops_kern_buf *b, size_t at, const void *from, size_t bytes)
{
    ops_kern_status st = transfer_ok(d, b, at, bytes);
    if (st == OPS_KERN_OK)
        memcpy((char *)b->p + at, from, bytes);
    return st;
}

static ops_kern_status download(ops_kern_dev *d, const ops_kern_buf *b, size_t at, void *to, size_t bytes)
{
    ops_kern_status st = transfer_ok(d, b, at, bytes);
    if (st == OPS_KERN_OK)
        memcpy(to, (const char *)b->p + at, bytes);
    return st;
}

/* The scratch may move: what is queued finds it when it runs. */
static ops_kern_status reserve(ops_kern_dev *d, size_t bytes)
{
    if (bytes <= d->scratch_bytes)
        return OPS_KERN_OK;
    ops_cpu_region *region;
    void *p = ops_cpu_memory_take(&d->memory, bytes, &region);
    if (!p)
        return OPS_KERN_ENOMEM;
    ops_cpu_memory_give(&d->memory, d->scratch, d->scratch_region);
    d->scratch = p;
    d->scratch_region = region;
    d->scratch_bytes = bytes;
    return OPS_KERN_OK;
}

static ops_kern_status plan_new(ops_kern_dev *d, const ops_kern_shape *s, ops_kern_plan **ret)
{
    *ret = NULL;
    const ops_cpu_op *op = ops_cpu_op_find(s->op);
    ops_kern_plan made = {.op = op, .s = *s};
    if (!op || (made.n_args = op->sizes(s, made.bytes)) == 0)
        return OPS_KERN_EINVAL;
    if (op->scratch && reserve(d, op->scratch(d, s)) != OPS_KERN_OK)
        return OPS_KERN_ENOMEM;
    ops_kern_plan *p = d->spare;
    if (p)
        d->spare = p->next;
    else if (!(p = malloc(sizeof *p)))
        return OPS_KERN_ENOMEM;
    *p = made;
    *ret = p;
    return OPS_KERN_OK;
}

static void plan_free(ops_kern_dev *d, ops_kern_plan *p)
{
    if (!p)
        return;
    p->next = d->spare;
    d->spare = p;
}

static void run_until(ops_kern_dev *d, ops_kern_fence fence)
{
    while (d->done < fence && d->done < d->submitted) {
        const ops_cpu_run *r = &d->queue[d->done++ % OPS_KERN_QUEUE_MAX];
        ops_kern_status st = r->op->run(d, &r->s, r->args);
        if (d->failed == OPS_KERN_OK)
            d->failed = st;
    }
}

static int packed_ok(const ops_kern_buf *b, ops_cpu_packed by, int n, int k, int type)
{
    return b->packed == by && b->n == n && b->k == k && b->type == type;
}

static int arg_ok(const ops_kern_plan *p, size_t i, const ops_kern_buf *b)
{
    const ops_kern_shape *s = &p->s;
    const ops_cpu_packed by = p->op->packed_by;
    const size_t at = i - p->op->packed_at; /* wraps for those before */
    if (by == OPS_CPU_MAPS && at < ops_cpu_maps(s))
        return packed_ok(b, OPS_CPU_QUANT, s->decoder.maps[at].n, s->k, (int)s->decoder.maps[at].type);
    if ((by == OPS_CPU_DENSE || by == OPS_CPU_QUANT) && at == 0)
        return packed_ok(b, by, s->n, s->k, by == OPS_CPU_QUANT ? (int)s->decoder.type : (int)s->type);
    return !b->packed && b->bytes >= p->bytes[i];
}

static ops_kern_status submit(ops_kern_dev *d, const ops_kern_plan *p, ops_kern_buf *const *args, size_t n,
                              ops_kern_fence *ret)
{
    if (n != p->n_args)
        return OPS_KERN_EINVAL;
    for (size_t i = 0; i < n; i++)
        if (!arg_ok(p, i, args[i]))
            return OPS_KERN_EINVAL;
    if (d->submitted - d->done == OPS_KERN_QUEUE_MAX)
        return OPS_KERN_EFULL;
    ops_cpu_run *r = &d->queue[d->submitted++ % OPS_KERN_QUEUE_MAX];
    r->op = p->op;
    r->s = p->s;
    for (size_t i = 0; i < n; i++)
        r->args[i] = args[i]->p;
    *ret = d->submitted;
    if (!d->delayed)
        run_until(d, d->submitted);
    return OPS_KERN_OK;
}

static ops_kern_status wait_fence(ops_kern_dev *d, ops_kern_fence fence)
{
    if (fence > d->submitted)
        return OPS_KERN_EINVAL;
    run_until(d, fence);
    ops_kern_status st = d->failed;
    d->failed = OPS_KERN_OK;
    return st;
}

static void dev_free(ops_kern_dev *d)
{
    if (!d)
        return;
    ops_cpu_threads_free(d->threads);
    while (d->spare) {
        ops_kern_plan *p = d->spare;
        d->spare = p->next;
        free(p);
    }
    ops_cpu_memory_give(&d->memory, d->scratch, d->scratch_region);
    free(d);
}

ops_kern_status ops_kern_cpu_open(const ops_kern_cpu_conf *conf, ops_kern_dev **ret)
{
    *ret = NULL;
    const ops_cpu_level *level = ops_cpu_level_find(conf->level);
    if (!level || conf->threads < 0 || conf->threads > OPS_KERN_THREADS_MAX)
        return OPS_KERN_EINVAL;
    ops_kern_dev *d = calloc(1, sizeof *d);
    if (!d)
        return OPS_KERN_ENOMEM;
    d->delayed = conf->delayed;
    d->level = level;
    d->threads = ops_cpu_threads_new(conf->threads > 0 ? conf->threads : ops_cpu_threads_default());
    if (!d->threads) {
        dev_free(d);
        return OPS_KERN_ENOMEM;
    }
    *ret = d;
    return OPS_KERN_OK;
}

ops_kern_dev *ops_kern_cpu_new(int delayed)
{
    ops_kern_dev *d = NULL;
    const ops_kern_cpu_conf conf = {.delayed = delayed};
    return ops_kern_cpu_open(&conf, &d) == OPS_KERN_OK ? d : NULL;
}

const char *ops_kern_cpu_level(const ops_kern_dev *d)
{
    return d->level->name;
}

int ops_kern_cpu_threads(const ops_kern_dev *d)
{
    return ops_cpu_threads_count(d->threads);
}

const ops_kern *ops_kern_cpu(void)
{
    static const ops_kern table = {.name = "cpu",
                                   .buf_new = buf_new,
                                   .buf_free = buf_free,
                                   .upload = upload,
                                   .download = download,
                                   .plan_new = plan_new,
                                   .plan_free = plan_free,
                                   .submit = submit,
                                   .wait = wait_fence,
                                   .dev_free = dev_free,
                                   .pack = pack,
                                   .pack_quant = pack_quant};
    return &table;
}
