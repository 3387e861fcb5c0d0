/* The graph of one batch. Plans depend on the rows of the batch, so they are made anew each time; the device keeps the
 * memory of those that were freed. A full queue is waited out, so any number of layers runs on any
 * device. */
#include "worker/model/bert.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/model/bert_internal.h"

enum {
    NORM,
    QKV,
    MIX,
    UP,
    DOWN,
    ADD,
    WORDS,
    POSITIONS,
    TYPES,
    ATTEND,
    POOL,
    PICK,
    POOLER,
    CLASSIFIER,
    PLANS
};

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

static bool needed(const ops_bert_config *c, int plan)
{
    switch (plan) {
    case PICK:
        return c->pooling == OPS_BERT_CLS || c->head == OPS_BERT_SEQUENCE_HEAD;
    case POOLER:
        return c->head == OPS_BERT_SEQUENCE_HEAD;
    case CLASSIFIER:
        return c->head != OPS_BERT_NO_HEAD;
    default:
        return true;
    }
}

static ops_status make_plans(batch *t)
{
    const ops_bert_config *c = &t->b->c;
    const int m = t->m, h = c->hidden, judged = c->head == OPS_BERT_TOKEN_HEAD ? m : t->seqs;
    const int pooled = c->pooling == OPS_BERT_CLS ? t->seqs : m;
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
        [POOL] = {.op = OPS_KERN_POOL, .m = pooled, .n = h, .seqs = t->seqs},
        [PICK] = {.op = OPS_KERN_EMBED, .m = t->seqs, .n = h, .k = m},
        [POOLER] = {.op = OPS_KERN_LINEAR, .m = t->seqs, .n = h, .k = h},
        [CLASSIFIER] = {.op = OPS_KERN_LINEAR, .m = judged, .n = c->labels, .k = h},
    };
    for (int i = 0; i < PLANS; i++) {
        if (!needed(c, i))
            continue;
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

static ops_status upload_input(batch *t, const int32_t *ids, const int32_t *types, const int32_t *starts)
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
    for (int i = 0; i <= t->seqs; i++)
        scratch[i] = i;
    if (st == OPS_OK)
        st = upload(t, OPS_BERT_FIRSTS, scratch, t->seqs + 1);
    memset(scratch, 0, (size_t)t->m * sizeof *scratch);
    return st == OPS_OK ? upload(t, OPS_BERT_TYPES, types != NULL ? types : scratch, t->m) : st;
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

/* Plans, inputs, and the rows of the last layer in X. */
static void encode(batch *t, const int32_t *ids, const int32_t *types, const int32_t *starts)
{
    t->st = make_plans(t);
    if (t->st == OPS_OK)
        t->st = upload_input(t, ids, types, starts);
    if (t->st != OPS_OK)
        return;
    embed_tokens(t);
    for (int i = 0; i < t->b->c.layers; i++)
        encode_layer(t, i);
}

static ops_status download(batch *t, ops_bert_rows rows, size_t count, float *ret)
{
    wait_all(t);
    if (t->st == OPS_OK)
        t->st = ops_bert_kern(t->b->kern->download(t->b->dev, t->b->rows[rows], 0, ret, count * sizeof *ret),
                              "a batch", t->reterr);
    return t->st;
}

ops_status ops_bert_embed(ops_bert *b, const int32_t *ids, const int32_t *starts, int seqs, float *ret,
                          ops_err *reterr)
{
    const ops_status st = check(b, ids, starts, seqs, reterr);
    if (st != OPS_OK)
        return st;
    batch t = {.b = b, .m = starts[seqs], .seqs = seqs, .reterr = reterr};
    ops_kern_buf **r = b->rows;
    encode(&t, ids, NULL, starts);
    if (b->c.pooling == OPS_BERT_CLS) {
        RUN(&t, PICK, r[OPS_BERT_STARTS], r[OPS_BERT_X], r[OPS_BERT_Y]);
        RUN(&t, POOL, r[OPS_BERT_Y], r[OPS_BERT_FIRSTS], r[OPS_BERT_POOLED]);
    } else {
        RUN(&t, POOL, r[OPS_BERT_X], r[OPS_BERT_STARTS], r[OPS_BERT_POOLED]);
    }
    show(&t, "pooled", OPS_BERT_POOLED, seqs, b->c.hidden);
    (void)download(&t, OPS_BERT_POOLED, (size_t)seqs * (size_t)b->c.hidden, ret);
    free_plans(&t);
    return t.st;
}

/* tanh(pooler(first row)) of every text, in Y. The device has no tanh, and these are few rows. */
static void pool_firsts(batch *t)
{
    ops_bert *b = t->b;
    ops_kern_buf **r = b->rows;
    const size_t count = (size_t)t->seqs * (size_t)b->c.hidden;
    RUN(t, PICK, r[OPS_BERT_STARTS], r[OPS_BERT_X], r[OPS_BERT_Y]);
    RUN(t, POOLER, r[OPS_BERT_Y], b->pooler.w, b->pooler.b, r[OPS_BERT_POOLED]);
    if (download(t, OPS_BERT_POOLED, count, b->firsts) != OPS_OK)
        return;
    for (size_t i = 0; i < count; i++)
        b->firsts[i] = tanhf(b->firsts[i]);
    t->st = ops_bert_kern(b->kern->upload(b->dev, r[OPS_BERT_Y], 0, b->firsts, count * sizeof *b->firsts),
                          "a batch", t->reterr);
}

ops_status ops_bert_classify(ops_bert *b, const int32_t *ids, const int32_t *types, const int32_t *starts,
                             int seqs, float *ret, ops_err *reterr)
{
    const bool each = b->c.head == OPS_BERT_TOKEN_HEAD;
    if (b->c.head == OPS_BERT_NO_HEAD)
        return ops_fail(reterr, OPS_EINVAL, "the model has no head to classify with");
    const ops_status st = check(b, ids, starts, seqs, reterr);
    if (st != OPS_OK)
        return st;
    for (int32_t i = 0; types != NULL && i < starts[seqs]; i++)
        if (types[i] < 0 || types[i] >= b->c.types)
            return ops_fail(reterr, OPS_EINVAL, "token %d has type %d of %d", i, types[i], b->c.types);
    batch t = {.b = b, .m = starts[seqs], .seqs = seqs, .reterr = reterr};
    encode(&t, ids, types, starts);
    if (!each)
        pool_firsts(&t);
    RUN(&t, CLASSIFIER, b->rows[each ? OPS_BERT_X : OPS_BERT_Y], b->classifier.w, b->classifier.b,
        b->rows[OPS_BERT_LOGITS]);
    (void)download(&t, OPS_BERT_LOGITS, (size_t)(each ? t.m : seqs) * (size_t)b->c.labels, ret);
    free_plans(&t);
    return t.st;
}

void ops_bert_watch(ops_bert *b, ops_bert_watch_fn *fn, void *ctx)
{
    b->watch = fn;
    b->watch_ctx = ctx;
}
