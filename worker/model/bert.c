/* The graph of one batch. Plans depend on the rows of the batch, so they are made anew each time; the device keeps the
 * memory of those that were freed. A full queue is waited out, so any number of layers runs on any
 * device. */
#include "worker/model/bert.h"

#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/model/bert_internal.h"

enum { NORM, QKV, MIX, UP, DOWN, ADD, WORDS, POSITIONS, TYPES, ATTEND, POOL, PLANS };

typedef struct batch {
    ops_bert *b;
    ops_kern_plan *plan[PLANS];
    ops_kern_fence last;
    int m, seqs;
    ops_status st; /* the first failure; nothing is submitted after it */
    ops_err *reterr;
} batch;

static void run(batch *t, int plan, ops_kern_buf *const *args, size_t n)
{
    if (t->st != OPS_OK)
        return;
    const ops_kern *k = t->b->kern;
    ops_kern_fence fence = 0;
    ops_kern_status st = k->submit(t->b->dev, t->plan[plan], args, n, &fence);
    if (st == OPS_KERN_EFULL && (st = k->wait(t->b->dev, t->last)) == OPS_KERN_OK)
        st = k->submit(t->b->dev, t->plan[plan], args, n, &fence);
    if (st == OPS_KERN_OK)
        t->last = fence;
    t->st = ops_bert_kern(st, "a batch", t->reterr);
}

static void wait_all(batch *t)
{
    const ops_kern_status st = t->last > 0 ? t->b->kern->wait(t->b->dev, t->last) : OPS_KERN_OK;
    if (t->st == OPS_OK)
        t->st = ops_bert_kern(st, "a batch", t->reterr);
}

#define RUN(t, plan, ...)                                                                                    \
    run(t, plan, (ops_kern_buf *const[]){__VA_ARGS__},                                                       \
        sizeof((ops_kern_buf *const[]){__VA_ARGS__}) / sizeof(void *))

static void show(batch *t, const char *stage, ops_bert_rows rows, int m, int n)
{
    if (t->b->watch == NULL)
        return;
    wait_all(t);
    const size_t bytes = (size_t)m * (size_t)n * sizeof(float);
    OPS_AUTO(ops_free) void *copy = t->st == OPS_OK ? ops_malloc(bytes) : NULL;
    if (copy != NULL && t->b->kern->download(t->b->dev, t->b->rows[rows], 0, copy, bytes) == OPS_KERN_OK)
        t->b->watch(t->b->watch_ctx, stage, copy, m, n);
}

static void show_layer(batch *t, int layer, const char *stage, ops_bert_rows rows)
{
    char name[64];
    (void)snprintf(name, sizeof name, "layer.%d.%s", layer, stage);
    show(t, name, rows, t->m, t->b->c.hidden);
}

static ops_status make_plans(batch *t)
{
    const ops_bert_config *c = &t->b->c;
    const int m = t->m, h = c->hidden;
    const ops_kern_type type = t->b->weights;
    const ops_kern_shape shapes[PLANS] = {
        [NORM] = {.op = OPS_KERN_LAYERNORM, .m = m, .n = h, .eps = c->eps},
        [QKV] = {.op = OPS_KERN_LINEAR, .m = m, .n = 3 * h, .k = h, .type = type},
        [MIX] = {.op = OPS_KERN_LINEAR_ADD, .m = m, .n = h, .k = h, .type = type},
        [UP] = {.op = OPS_KERN_LINEAR, .m = m, .n = c->inner, .k = h, .type = type, .act = OPS_KERN_ACT_GELU},
        [DOWN] = {.op = OPS_KERN_LINEAR_ADD, .m = m, .n = h, .k = c->inner, .type = type},
        [ADD] = {.op = OPS_KERN_ADD, .m = m, .n = h},
        [WORDS] = {.op = OPS_KERN_EMBED, .m = m, .n = h, .k = c->vocab},
        [POSITIONS] = {.op = OPS_KERN_EMBED, .m = m, .n = h, .k = c->positions},
        [TYPES] = {.op = OPS_KERN_EMBED, .m = m, .n = h, .k = c->types},
        [ATTEND] = {.op = OPS_KERN_ATTEND_QKV, .m = m, .n = h, .heads = c->heads, .seqs = t->seqs},
        [POOL] = {.op = OPS_KERN_POOL, .m = m, .n = h, .seqs = t->seqs},
    };
    for (int i = 0; i < PLANS; i++) {
        const ops_status st = ops_bert_kern(t->b->kern->plan_new(t->b->dev, &shapes[i], &t->plan[i]),
                                            "planning a batch", t->reterr);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

static void free_plans(batch *t)
{
    for (int i = 0; i < PLANS; i++)
        if (t->plan[i] != NULL)
            t->b->kern->plan_free(t->b->dev, t->plan[i]);
}

ops_status ops_bert_warm(ops_bert *b, ops_err *reterr)
{
    batch t = {.b = b, .m = b->tokens_max, .seqs = b->seqs_max, .reterr = reterr};
    const ops_status st = make_plans(&t);
    free_plans(&t);
    return st;
}

static ops_status upload(batch *t, ops_bert_rows rows, const int32_t *v, int n)
{
    return ops_bert_kern(t->b->kern->upload(t->b->dev, t->b->rows[rows], 0, v, (size_t)n * sizeof *v),
                         "a batch", t->reterr);
}

static ops_status upload_input(batch *t, const int32_t *ids, const int32_t *starts)
{
    int32_t *scratch = t->b->scratch;
    ops_status st = upload(t, OPS_BERT_IDS, ids, t->m);
    if (st == OPS_OK)
        st = upload(t, OPS_BERT_STARTS, starts, t->seqs + 1);
    for (int i = 0; i < t->seqs; i++)
        for (int32_t at = starts[i]; at < starts[i + 1]; at++)
            scratch[at] = at - starts[i];
    if (st == OPS_OK)
        st = upload(t, OPS_BERT_POSITIONS, scratch, t->m);
    memset(scratch, 0, (size_t)t->m * sizeof *scratch);
    return st == OPS_OK ? upload(t, OPS_BERT_TYPES, scratch, t->m) : st;
}

static void embed_tokens(batch *t)
{
    ops_bert *b = t->b;
    ops_kern_buf **r = b->rows;
    RUN(t, WORDS, r[OPS_BERT_IDS], b->words, r[OPS_BERT_X]);
    RUN(t, TYPES, r[OPS_BERT_TYPES], b->types, r[OPS_BERT_Y]);
    RUN(t, ADD, r[OPS_BERT_X], r[OPS_BERT_Y], r[OPS_BERT_SUM]);
    RUN(t, POSITIONS, r[OPS_BERT_POSITIONS], b->positions, r[OPS_BERT_X]);
    RUN(t, ADD, r[OPS_BERT_SUM], r[OPS_BERT_X], r[OPS_BERT_Y]);
    RUN(t, NORM, r[OPS_BERT_Y], b->norm.w, b->norm.b, r[OPS_BERT_X]);
    show(t, "embeddings", OPS_BERT_X, t->m, b->c.hidden);
}

/* X to X. */
static void encode_layer(batch *t, int i)
{
    const ops_bert_layer *y = &t->b->layers[i];
    ops_kern_buf **r = t->b->rows;
    RUN(t, QKV, r[OPS_BERT_X], y->qkv.w, y->qkv.b, r[OPS_BERT_QKV]);
    RUN(t, ATTEND, r[OPS_BERT_QKV], r[OPS_BERT_STARTS], r[OPS_BERT_Y]);
    show_layer(t, i, "attention", OPS_BERT_Y);
    RUN(t, MIX, r[OPS_BERT_Y], y->mix.w, y->mix.b, r[OPS_BERT_X], r[OPS_BERT_SUM]);
    RUN(t, NORM, r[OPS_BERT_SUM], y->mix_norm.w, y->mix_norm.b, r[OPS_BERT_Y]);
    show_layer(t, i, "attended", OPS_BERT_Y);
    RUN(t, UP, r[OPS_BERT_Y], y->up.w, y->up.b, r[OPS_BERT_UP]);
    RUN(t, DOWN, r[OPS_BERT_UP], y->down.w, y->down.b, r[OPS_BERT_Y], r[OPS_BERT_SUM]);
    RUN(t, NORM, r[OPS_BERT_SUM], y->norm.w, y->norm.b, r[OPS_BERT_X]);
    show_layer(t, i, "output", OPS_BERT_X);
}

static ops_status check(const ops_bert *b, const int32_t *ids, const int32_t *starts, int seqs,
                        ops_err *reterr)
{
    if (seqs < 1 || seqs > b->seqs_max)
        return ops_fail(reterr, seqs < 1 ? OPS_EINVAL : OPS_ETOOBIG, "%d texts in a batch of at most %d",
                        seqs, b->seqs_max);
    if (starts[0] != 0)
        return ops_fail(reterr, OPS_EINVAL, "the first text starts at token %d", starts[0]);
    for (int i = 0; i < seqs; i++) {
        if (starts[i + 1] <= starts[i] || starts[i + 1] - starts[i] > b->c.positions)
            return ops_fail(reterr, OPS_EINVAL, "text %d has tokens %d to %d: none, or more than %d", i,
                            starts[i], starts[i + 1], b->c.positions);
        if (starts[i + 1] > b->tokens_max)
            return ops_fail(reterr, OPS_ETOOBIG, "%d tokens in a batch of at most %d", starts[i + 1],
                            b->tokens_max);
    }
    for (int32_t t = 0; t < starts[seqs]; t++)
        if (ids[t] < 0 || ids[t] >= b->c.vocab)
            return ops_fail(reterr, OPS_EINVAL, "token %d has id %d, the vocabulary %d", t, ids[t],
                            b->c.vocab);
    return OPS_OK;
}

ops_status ops_bert_embed(ops_bert *b, const int32_t *ids, const int32_t *starts, int seqs, float *ret,
                          ops_err *reterr)
{
    ops_status st = check(b, ids, starts, seqs, reterr);
    if (st != OPS_OK)
        return st;
    batch t = {.b = b, .m = starts[seqs], .seqs = seqs, .reterr = reterr};
    st = make_plans(&t);
    if (st == OPS_OK)
        st = upload_input(&t, ids, starts);
    t.st = st;
    if (st == OPS_OK) {
        embed_tokens(&t);
        for (int i = 0; i < b->c.layers; i++)
            encode_layer(&t, i);
        RUN(&t, POOL, b->rows[OPS_BERT_X], b->rows[OPS_BERT_STARTS], b->rows[OPS_BERT_POOLED]);
        wait_all(&t);
        show(&t, "pooled", OPS_BERT_POOLED, seqs, b->c.hidden);
        st = t.st;
    }
    if (st == OPS_OK)
        st = ops_bert_kern(b->kern->download(b->dev, b->rows[OPS_BERT_POOLED], 0, ret,
                                             (size_t)seqs * (size_t)b->c.hidden * sizeof *ret),
                           "a batch", reterr);
    free_plans(&t);
    return st;
}

void ops_bert_watch(ops_bert *b, ops_bert_watch_fn *fn, void *ctx)
{
    b->watch = fn;
    b->watch_ctx = ctx;
}
