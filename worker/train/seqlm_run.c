/* Forward and backward through the whole model. */
#include <math.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/train/seqlm_internal.h"

/* One run over a batch. */
typedef struct run {
    ops_seqlm *m;
    const ops_seqlm_batch *b;
    int tokens, n; /* n: dim */
    size_t row;    /* of logits: kinds, rounded up to a lane */
    seqlm_trace *trace;
    float *out, *last, *stat, *logits; /* after the layers: m n, m n, 2 m, m row */
    float *work, *rows;
    float *d, *d_wide, *d_part; /* backward: m n, 4 m n, m n */
} run;

static ops_status check(const ops_seqlm *m, const ops_seqlm_batch *b, ops_err *reterr)
{
    if (b->seqs < 1 || b->starts[0] != 0)
        return ops_fail(reterr, OPS_EINVAL, "batch: %d sequences", b->seqs);
    for (int s = 0; s < b->seqs; s++) {
        int64_t n = (int64_t)b->starts[s + 1] - b->starts[s];
        if (n < 1 || n > m->c.context || b->starts[s + 1] > OPS_SEQLM_TOKENS_MAX)
            return ops_fail(reterr, OPS_EINVAL, "batch: sequence %d has %lld ids, %d in all so far", s,
                            (long long)n, b->starts[s + 1]);
    }
    for (int i = 0; i < b->starts[b->seqs]; i++)
        if (b->ids[i] < 0 || b->ids[i] >= m->c.kinds || b->target[i] < 0 || b->target[i] >= m->c.kinds)
            return ops_fail(reterr, OPS_EINVAL, "batch: id %d is %d with target %d, there are %d kinds", i,
                            b->ids[i], b->target[i], m->c.kinds);
    return OPS_OK;
}

/* Cuts the scratch into pieces; with base == NULL only counts. */
typedef struct cutter {
    float *base;
    size_t at;
} cutter;

static float *cut(cutter *c, size_t n)
{
    float *p = c->base != NULL ? c->base + c->at : NULL;
    c->at += (n + 15) / 16 * 16;
    return p;
}

static void cut_layer(cutter *c, seqlm_trace *t, size_t m, size_t n, size_t shares, bool back)
{
    t->normed1 = cut(c, m * n);
    t->stat1 = cut(c, 2 * m);
    t->qkv = cut(c, 3 * m * n);
    t->share = shares > 0 ? cut(c, shares) : NULL;
    t->mixed = cut(c, m * n);
    t->normed2 = cut(c, m * n);
    t->stat2 = cut(c, 2 * m);
    t->up = cut(c, 4 * m * n);
    t->gelu = back ? cut(c, 4 * m * n) : t->up;
    t->mid = cut(c, m * n);
}

/* Without the backward pass all layers share one trace, and the stream flows through two buffers. */
static void cut_all(run *r, cutter *c, bool back)
{
    const size_t m = (size_t)r->tokens, n = (size_t)r->n;
    const size_t shares = back ? ops_prim_attend_shares(r->b->starts, r->b->seqs, r->m->c.heads) : 0;
    r->work = cut(c, OPS_PRIM_WORK);
    r->rows = cut(c, OPS_PRIM_ROWS * ((size_t)r->m->c.context + OPS_PRIM_LANE));
    for (int i = 0; i < r->m->c.layers; i++) {
        if (back || i == 0)
            cut_layer(c, &r->trace[i], m, n, shares, back);
        else
            r->trace[i] = r->trace[0];
        r->trace[i].in = back || i < 2 ? cut(c, m * n) : r->trace[i - 2].in;
    }
    r->out = cut(c, m * n);
    r->last = cut(c, m * n);
    r->stat = cut(c, 2 * m);
    r->logits = cut(c, m * r->row);
    if (back) {
        r->d = cut(c, m * n);
        r->d_part = cut(c, m * n);
        r->d_wide = cut(c, 4 * m * n);
    }
}

static ops_status reserve(run *r, bool back, ops_err *reterr)
{
    cutter c = {0};
    cut_all(r, &c, back);
    size_t need = c.at + 16;
    if (need > r->m->room_n) {
        float *room = ops_malloc(need * sizeof *room);
        if (room == NULL)
            return ops_fail(reterr, OPS_ENOMEM, "sequence model: room for %d tokens", r->tokens);
        ops_free(r->m->room);
        r->m->room = room;
        r->m->room_n = need;
    }
    c = (cutter){.base = r->m->room};
    cut_all(r, &c, back);
    return OPS_OK;
}

static float *weight(const run *r, int layer, int tensor)
{
    return seqlm_weight(r->m, seqlm_layer_slot(layer, tensor));
}

static float *grad(const run *r, int layer, int tensor)
{
    return seqlm_grad(r->m, seqlm_layer_slot(layer, tensor));
}

static void add(size_t n, const float *a, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a[i];
}

static void layer_forward(run *r, int l, float *out)
{
    const seqlm_trace *t = &r->trace[l];
    const int m = r->tokens, n = r->n;
    ops_prim_norm(m, n, t->in, weight(r, l, NORM1_W), weight(r, l, NORM1_B), t->normed1, t->stat1);
    ops_prim_linear(m, 3 * n, n, t->normed1, weight(r, l, QKV_W), weight(r, l, QKV_B), t->qkv, r->work);
    ops_prim_attend(n, r->m->c.heads, r->b->starts, r->b->seqs, t->qkv, t->mixed, t->share, r->rows, r->work);
    ops_prim_linear(m, n, n, t->mixed, weight(r, l, PROJ_W), weight(r, l, PROJ_B), t->mid, r->work);
    add((size_t)m * (size_t)n, t->in, t->mid);
    ops_prim_norm(m, n, t->mid, weight(r, l, NORM2_W), weight(r, l, NORM2_B), t->normed2, t->stat2);
    ops_prim_linear(m, 4 * n, n, t->normed2, weight(r, l, UP_W), weight(r, l, UP_B), t->up, r->work);
    ops_prim_gelu(4 * (size_t)m * (size_t)n, t->up, t->gelu);
    ops_prim_linear(m, n, 4 * n, t->gelu, weight(r, l, DOWN_W), weight(r, l, DOWN_B), out, r->work);
    add((size_t)m * (size_t)n, t->mid, out);
}

static void forward(run *r)
{
    const int m = r->tokens, n = r->n, layers = r->m->c.layers;
    const size_t end = r->m->slots - 2;
    ops_prim_embed(n, r->b->ids, r->b->starts, r->b->seqs, seqlm_weight(r->m, TABLE),
                   seqlm_weight(r->m, PLACE), r->trace[0].in);
    for (int l = 0; l < layers; l++)
        layer_forward(r, l, l + 1 < layers ? r->trace[l + 1].in : r->out);
    ops_prim_norm(m, n, r->out, seqlm_weight(r->m, end), seqlm_weight(r->m, end + 1), r->last, r->stat);
    ops_prim_gemm(m, r->m->c.kinds, n, (ops_prim_matrix){r->last, (size_t)n, 1},
                  (ops_prim_matrix){seqlm_weight(r->m, TABLE), 1, (size_t)n}, r->logits, r->row, 0, r->work);
}

static void zero(float *p, size_t n)
{
    for (size_t i = 0; p != NULL && i < n; i++)
        p[i] = 0;
}

/* r->d holds the gradient of what leaves the layer and then of what enters it. */
static void layer_back(run *r, int l)
{
    const seqlm_trace *t = &r->trace[l];
    const int m = r->tokens, n = r->n;
    const size_t mn = (size_t)m * (size_t)n;
    float *gelu = t->gelu; /* its values are used up by the first line */
    zero(r->d_wide, 4 * mn);
    ops_prim_linear_back(m, n, 4 * n, gelu, weight(r, l, DOWN_W), r->d, r->d_wide, grad(r, l, DOWN_W),
                         grad(r, l, DOWN_B), r->work);
    zero(gelu, 4 * mn);
    ops_prim_gelu_back(4 * mn, t->up, r->d_wide, gelu);
    zero(r->d_part, mn);
    ops_prim_linear_back(m, 4 * n, n, t->normed2, weight(r, l, UP_W), gelu, r->d_part, grad(r, l, UP_W),
                         grad(r, l, UP_B), r->work);
    ops_prim_norm_back(m, n, t->mid, weight(r, l, NORM2_W), t->stat2, r->d_part, r->d, grad(r, l, NORM2_W),
                       grad(r, l, NORM2_B));
    zero(r->d_part, mn);
    ops_prim_linear_back(m, n, n, t->mixed, weight(r, l, PROJ_W), r->d, r->d_part, grad(r, l, PROJ_W),
                         grad(r, l, PROJ_B), r->work);
    zero(r->d_wide, 3 * mn);
    ops_prim_attend_back(n, r->m->c.heads, r->b->starts, r->b->seqs, t->qkv, t->share, r->d_part, r->d_wide,
                         r->work);
    zero(r->d_part, mn);
    ops_prim_linear_back(m, 3 * n, n, t->normed1, weight(r, l, QKV_W), r->d_wide, r->d_part,
                         grad(r, l, QKV_W), grad(r, l, QKV_B), r->work);
    ops_prim_norm_back(m, n, t->in, weight(r, l, NORM1_W), t->stat1, r->d_part, r->d, grad(r, l, NORM1_W),
                       grad(r, l, NORM1_B));
}

static void backward(run *r)
{
    const int m = r->tokens, n = r->n, kinds = r->m->c.kinds;
    const size_t end = r->m->slots - 2, mn = (size_t)m * (size_t)n;
    const float *table = seqlm_weight(r->m, TABLE);
    zero(r->m->grad, r->m->weights);
    ops_prim_gemm(m, n, kinds, (ops_prim_matrix){r->logits, r->row, 1},
                  (ops_prim_matrix){table, (size_t)n, 1}, r->d_part, (size_t)n, 0, r->work);
    ops_prim_gemm(kinds, n, m, (ops_prim_matrix){r->logits, 1, r->row},
                  (ops_prim_matrix){r->last, (size_t)n, 1}, seqlm_grad(r->m, TABLE), (size_t)n, 1, r->work);
    zero(r->d, mn);
    ops_prim_norm_back(m, n, r->out, seqlm_weight(r->m, end), r->stat, r->d_part, r->d, seqlm_grad(r->m, end),
                       seqlm_grad(r->m, end + 1));
    for (int l = r->m->c.layers - 1; l >= 0; l--)
        layer_back(r, l);
    ops_prim_embed_back(n, r->b->ids, r->b->starts, r->b->seqs, r->d, seqlm_grad(r->m, TABLE),
                        seqlm_grad(r->m, PLACE));
}

static ops_status begin(run *r, ops_seqlm *m, const ops_seqlm_batch *b, seqlm_trace *trace, bool back,
                        ops_err *reterr)
{
    ops_status st = check(m, b, reterr);
    if (st != OPS_OK)
        return st;
    *r = (run){.m = m, .b = b, .tokens = b->starts[b->seqs], .n = m->c.dim, .trace = trace};
    r->row = ((size_t)m->c.kinds + OPS_PRIM_LANE - 1) / OPS_PRIM_LANE * OPS_PRIM_LANE;
    return reserve(r, back, reterr);
}

/* The chances of what follows each of the batch's ids, in r->logits, and the surprise at what did. */
static ops_status look(run *r, ops_seqlm *m, const ops_seqlm_batch *b, float *ret_surprise, ops_err *reterr)
{
    seqlm_trace trace[OPS_SEQLM_LAYERS_MAX] = {0};
    ops_status st = begin(r, m, b, trace, false, reterr);
    if (st != OPS_OK)
        return st;
    forward(r);
    r->trace = NULL;
    ops_prim_surprise(r->tokens, m->c.kinds, r->row, r->logits, b->target, ret_surprise, 0);
    return OPS_OK;
}

/* A batch is scored in parts whose numbers stay in the processor's cache from one operation to the next; no part is
 * larger than a sequence more than PART tokens. */
enum { PART = 128 };

ops_status ops_seqlm_score(ops_seqlm *m, const ops_seqlm_batch *b, float *ret_surprise, ops_err *reterr)
{
    run r;
    int32_t starts[PART + 1] = {0};
    ops_status st = check(m, b, reterr);
    for (int s = 0; st == OPS_OK && s < b->seqs;) {
        const int32_t at = b->starts[s];
        ops_seqlm_batch part = {b->ids + at, b->target + at, starts, 0};
        while (s < b->seqs && starts[part.seqs] < PART)
            starts[++part.seqs] = b->starts[++s] - at;
        st = look(&r, m, &part, ret_surprise + at, reterr);
    }
    return st;
}

ops_status ops_seqlm_expect(ops_seqlm *m, const ops_seqlm_batch *b, int at, float *ret, ops_err *reterr)
{
    run r;
    float surprise[OPS_SEQLM_CONTEXT_MAX];
    ops_status st = check(m, b, reterr);
    if (st != OPS_OK)
        return st;
    if (at < 0 || at >= b->starts[b->seqs])
        return ops_fail(reterr, OPS_EINVAL, "batch: place %d of %d", at, b->starts[b->seqs]);
    int s = 0;
    while (b->starts[s + 1] <= at)
        s++;
    const int32_t from = b->starts[s], starts[2] = {0, b->starts[s + 1] - from};
    st = look(&r, m, &(ops_seqlm_batch){b->ids + from, b->target + from, starts, 1}, surprise, reterr);
    if (st == OPS_OK)
        memcpy(ret, r.logits + (size_t)(at - from) * r.row, (size_t)m->c.kinds * sizeof *ret);
    return st;
}

static ops_status ready_to_train(ops_seqlm *m, ops_err *reterr)
{
    float **const need[] = {&m->grad, &m->m1, &m->m2};
    for (size_t i = 0; i < 3; i++)
        if (*need[i] == NULL && (*need[i] = ops_calloc(m->weights, sizeof(float))) == NULL)
            return ops_fail(reterr, OPS_ENOMEM, "sequence model: training %zu weights", m->weights);
    return OPS_OK;
}

ops_status ops_seqlm_gradient(ops_seqlm *m, const ops_seqlm_batch *b, double *ret_mean, ops_err *reterr)
{
    run r;
    seqlm_trace trace[OPS_SEQLM_LAYERS_MAX] = {0};
    ops_status st = ready_to_train(m, reterr);
    if (st == OPS_OK)
        st = begin(&r, m, b, trace, true, reterr);
    if (st != OPS_OK)
        return st;
    forward(&r);
    ops_prim_surprise(r.tokens, m->c.kinds, r.row, r.logits, b->target, r.d_wide, 1);
    double sum = 0;
    for (int i = 0; i < r.tokens; i++)
        sum += r.d_wide[i];
    backward(&r);
    *ret_mean = sum / r.tokens;
    return OPS_OK;
}

ops_status ops_seqlm_train(ops_seqlm *m, const ops_seqlm_batch *b, const ops_seqlm_step *how,
                           double *ret_mean, ops_err *reterr)
{
    ops_status st = ops_seqlm_gradient(m, b, ret_mean, reterr);
    if (st != OPS_OK)
        return st;
    double square = 0;
    for (size_t i = 0; i < m->weights; i++)
        square += (double)m->grad[i] * m->grad[i];
    if (how->norm_max > 0 && square > (double)how->norm_max * how->norm_max) {
        float scale = how->norm_max / ((float)sqrt(square) + 1e-6f);
        for (size_t i = 0; i < m->weights; i++)
            m->grad[i] *= scale;
    }
    m->steps++;
    for (size_t i = 0; i < m->slots; i++) {
        const seqlm_slot *s = &m->slot[i];
        size_t n = (size_t)s->dim[0] * (size_t)(s->rank == 2 ? s->dim[1] : 1);
        const ops_prim_adamw adam = {how->rate, 0.9f, 0.999f, 1e-8f, s->rank == 2 ? how->decay : 0};
        ops_prim_update(&adam, m->steps, n, m->w + s->at, m->grad + s->at, m->m1 + s->at, m->m2 + s->at);
    }
    return OPS_OK;
}
