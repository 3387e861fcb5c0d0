#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/include/kern.h"

struct ops_kern_buf {
    size_t bytes;
    void *p;
};

struct ops_kern_plan {
    ops_kern_shape s;
    size_t n_args;
    size_t bytes[OPS_KERN_ARGS_MAX];
};

typedef struct run {
    ops_kern_plan plan;
    void *args[OPS_KERN_ARGS_MAX];
} run;

struct ops_kern_dev {
    int delayed;
    uint64_t submitted, done;
    ops_kern_status failed;
    run queue[OPS_KERN_QUEUE_MAX];
};

static void gemm(const ops_kern_shape *s, const float *x, const float *w, const float *bias, float *y)
{
    enum { BLOCK = 32 }; /* rows of w that stay in cache while every row of x passes */
    for (int j0 = 0; j0 < s->n; j0 += BLOCK) {
        int j1 = s->n - j0 < BLOCK ? s->n : j0 + BLOCK;
        for (int i = 0; i < s->m; i++) {
            const float *a = x + (size_t)i * s->k;
            for (int j = j0; j < j1; j++) {
                const float *b = w + (size_t)j * s->k;
                float lane[8] = {0}, sum = bias[j];
                int c = 0;
                for (; c + 8 <= s->k; c += 8)
                    for (int l = 0; l < 8; l++)
                        lane[l] += a[c + l] * b[c + l];
                for (; c < s->k; c++)
                    sum += a[c] * b[c];
                for (int l = 0; l < 8; l++)
                    sum += lane[l];
                y[(size_t)i * s->n + j] = sum;
            }
        }
    }
}

static void layernorm(const ops_kern_shape *s, const float *x, const float *gain, const float *shift,
                      float *y)
{
    for (int i = 0; i < s->m; i++, x += s->n, y += s->n) {
        double mean = 0, var = 0;
        for (int j = 0; j < s->n; j++)
            mean += x[j];
        mean /= s->n;
        for (int j = 0; j < s->n; j++)
            var += (x[j] - mean) * (x[j] - mean);
        double scale = 1 / sqrt(var / s->n + s->eps);
        for (int j = 0; j < s->n; j++)
            y[j] = (float)((x[j] - mean) * scale) * gain[j] + shift[j];
    }
}

static int starts_ok(const ops_kern_shape *s, const int32_t *starts)
{
    if (starts[0] != 0 || starts[s->seqs] != s->m)
        return 0;
    for (int i = 0; i < s->seqs; i++)
        if (starts[i] < 0 || starts[i + 1] <= starts[i])
            return 0;
    return 1;
}

/* One query row of one head against the keys [from, to): the usual softmax with the largest score taken out. */
static void attend_row(const ops_kern_shape *s, const float *q, const float *k, const float *v, int from,
                       int to, float *score, float *y)
{
    int width = s->n / s->heads;
    float top = -INFINITY, sum = 0, scale = 1 / sqrtf((float)width);
    for (int t = from; t < to; t++) {
        float dot = 0;
        for (int c = 0; c < width; c++)
            dot += q[c] * k[(size_t)t * s->n + c];
        score[t - from] = dot * scale;
        top = fmaxf(top, dot * scale);
    }
    for (int t = 0; t < to - from; t++)
        sum += score[t] = expf(score[t] - top);
    for (int c = 0; c < width; c++)
        y[c] = 0;
    for (int t = from; t < to; t++)
        for (int c = 0; c < width; c++)
            y[c] += score[t - from] / sum * v[(size_t)t * s->n + c];
}

static ops_kern_status attend(const ops_kern_shape *s, void *const *a)
{
    const int32_t *starts = a[3];
    if (!starts_ok(s, starts))
        return OPS_KERN_EINVAL;
    float *score = malloc((size_t)s->m * sizeof *score);
    if (!score)
        return OPS_KERN_ENOMEM;
    for (int i = 0; i < s->seqs; i++)
        for (int t = starts[i]; t < starts[i + 1]; t++)
            for (int h = 0; h < s->heads; h++) {
                size_t off = (size_t)h * (s->n / s->heads), at = (size_t)t * s->n + off;
                attend_row(s, (float *)a[0] + at, (float *)a[1] + off, (float *)a[2] + off, starts[i],
                           starts[i + 1], score, (float *)a[4] + at);
            }
    free(score);
    return OPS_KERN_OK;
}

static ops_kern_status pool(const ops_kern_shape *s, const float *x, const int32_t *starts, float *y)
{
    if (!starts_ok(s, starts))
        return OPS_KERN_EINVAL;
    for (int i = 0; i < s->seqs; i++, y += s->n) {
        double norm = 0;
        for (int j = 0; j < s->n; j++) {
            double sum = 0;
            for (int t = starts[i]; t < starts[i + 1]; t++)
                sum += x[(size_t)t * s->n + j];
            y[j] = (float)(sum / (starts[i + 1] - starts[i]));
            norm += (double)y[j] * y[j];
        }
        norm = fmax(sqrt(norm), 1e-12);
        for (int j = 0; j < s->n; j++)
            y[j] = (float)(y[j] / norm);
    }
    return OPS_KERN_OK;
}

static ops_kern_status embed(const ops_kern_shape *s, const int32_t *ids, const float *table, float *y)
{
    for (int i = 0; i < s->m; i++)
        if (ids[i] < 0 || ids[i] >= s->k)
            return OPS_KERN_EINVAL;
    for (int i = 0; i < s->m; i++)
        memcpy(y + (size_t)i * s->n, table + (size_t)ids[i] * s->n, (size_t)s->n * sizeof *y);
    return OPS_KERN_OK;
}

static ops_kern_status execute(const run *r)
{
    const ops_kern_shape *s = &r->plan.s;
    void *const *a = r->args;
    size_t all = (size_t)s->m * s->n;
    switch (s->op) {
    case OPS_KERN_GEMM:
        gemm(s, a[0], a[1], a[2], a[3]);
        return OPS_KERN_OK;
    case OPS_KERN_LAYERNORM:
        layernorm(s, a[0], a[1], a[2], a[3]);
        return OPS_KERN_OK;
    case OPS_KERN_GELU:
        for (size_t i = 0; i < all; i++) {
            float x = ((const float *)a[0])[i];
            ((float *)a[1])[i] = 0.5f * x * (1 + erff(x * 0.70710678f));
        }
        return OPS_KERN_OK;
    case OPS_KERN_ADD:
        for (size_t i = 0; i < all; i++)
            ((float *)a[2])[i] = ((const float *)a[0])[i] + ((const float *)a[1])[i];
        return OPS_KERN_OK;
    case OPS_KERN_EMBED:
        return embed(s, a[0], a[1], a[2]);
    case OPS_KERN_ATTEND:
        return attend(s, a);
    case OPS_KERN_POOL:
        return pool(s, a[0], a[1], a[2]);
    }
    return OPS_KERN_EINVAL;
}

static ops_kern_status buf_new(ops_kern_dev *d, size_t bytes, ops_kern_buf **ret)
{
    (void)d;
    *ret = NULL;
    if (bytes == 0)
        return OPS_KERN_EINVAL;
    ops_kern_buf *b = malloc(sizeof *b);
    if (!b || !(b->p = calloc(1, bytes))) {
        free(b);
        return OPS_KERN_ENOMEM;
    }
    b->bytes = bytes;
    *ret = b;
    return OPS_KERN_OK;
}

static void buf_free(ops_kern_dev *d, ops_kern_buf *b)
{
    (void)d;
    if (b)
        free(b->p);
    free(b);
}

static ops_kern_status transfer_ok(const ops_kern_dev *d, const ops_kern_buf *b, size_t at, size_t bytes)
{
    if (at > b->bytes || bytes > b->bytes - at)
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

static int plan_sizes(ops_kern_plan *p)
{
    const ops_kern_shape *s = &p->s;
    size_t m = s->m, n = s->n, k = s->k, seqs = s->seqs;
    size_t count[OPS_KERN_ARGS_MAX] = {m * n, m * n, m * n, m * n, m * n};
    switch (s->op) {
    case OPS_KERN_GEMM:
        count[0] = m * k, count[1] = n * k, count[2] = n, p->n_args = 4;
        break;
    case OPS_KERN_LAYERNORM:
        count[1] = count[2] = n, p->n_args = 4;
        break;
    case OPS_KERN_GELU:
        p->n_args = 2;
        break;
    case OPS_KERN_ADD:
        p->n_args = 3;
        break;
    case OPS_KERN_EMBED:
        count[0] = m, count[1] = k * n, p->n_args = 3;
        break;
    case OPS_KERN_ATTEND:
        count[3] = seqs + 1, p->n_args = 5;
        break;
    case OPS_KERN_POOL:
        count[1] = seqs + 1, count[2] = seqs * n, p->n_args = 3;
        break;
    default:
        return 0;
    }
    for (size_t i = 0; i < p->n_args; i++)
        p->bytes[i] = count[i] * 4;
    return 1;
}

static int extent_ok(int v)
{
    return v > 0 && v <= OPS_KERN_EXTENT_MAX;
}

static ops_kern_status plan_new(ops_kern_dev *d, const ops_kern_shape *s, ops_kern_plan **ret)
{
    (void)d;
    *ret = NULL;
    int packed = s->op == OPS_KERN_ATTEND || s->op == OPS_KERN_POOL;
    int depth = s->op == OPS_KERN_GEMM || s->op == OPS_KERN_EMBED;
    if (!extent_ok(s->m) || !extent_ok(s->n) || (depth && !extent_ok(s->k)) ||
        (packed && !extent_ok(s->seqs)))
        return OPS_KERN_EINVAL;
    if (s->op == OPS_KERN_ATTEND && (s->heads <= 0 || s->n % s->heads != 0))
        return OPS_KERN_EINVAL;
    ops_kern_plan *p = calloc(1, sizeof *p);
    if (!p)
        return OPS_KERN_ENOMEM;
    p->s = *s;
    if (!plan_sizes(p)) {
        free(p);
        return OPS_KERN_EINVAL;
    }
    *ret = p;
    return OPS_KERN_OK;
}

static void plan_free(ops_kern_dev *d, ops_kern_plan *p)
{
    (void)d;
    free(p);
}

static void run_until(ops_kern_dev *d, ops_kern_fence fence)
{
    while (d->done < fence && d->done < d->submitted) {
        ops_kern_status st = execute(&d->queue[d->done++ % OPS_KERN_QUEUE_MAX]);
        if (d->failed == OPS_KERN_OK)
            d->failed = st;
    }
}

static ops_kern_status submit(ops_kern_dev *d, const ops_kern_plan *p, ops_kern_buf *const *args, size_t n,
                              ops_kern_fence *ret)
{
    if (n != p->n_args)
        return OPS_KERN_EINVAL;
    for (size_t i = 0; i < n; i++)
        if (args[i]->bytes < p->bytes[i])
            return OPS_KERN_EINVAL;
    if (d->submitted - d->done == OPS_KERN_QUEUE_MAX)
        return OPS_KERN_EFULL;
    run *r = &d->queue[d->submitted++ % OPS_KERN_QUEUE_MAX];
    r->plan = *p;
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
    free(d);
}

ops_kern_dev *ops_kern_cpu_new(int delayed)
{
    ops_kern_dev *d = calloc(1, sizeof *d);
    if (d)
        d->delayed = delayed;
    return d;
}

const ops_kern *ops_kern_cpu(void)
{
    static const ops_kern table = {"cpu",    buf_new,   buf_free, upload,     download,
                                   plan_new, plan_free, submit,   wait_fence, dev_free};
    return &table;
}
