/* Weights from file to device, one tensor at a time. A layer norm's weights are called weight and bias, in the oldest
 * files gamma and beta. */
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/model/bert_internal.h"

typedef struct loader {
    ops_bert *b;
    const ops_safetensors *st;
    const char *prefix; /* "" or "bert." */
    ops_err *reterr;
} loader;

ops_status ops_bert_kern(ops_kern_status st, const char *what, ops_err *reterr)
{
    static const struct {
        ops_status status;
        const char *words;
    } means[] = {[OPS_KERN_OK] = {OPS_OK, ""},
                 [OPS_KERN_EINVAL] = {OPS_EINVAL, "a shape or an id out of range"},
                 [OPS_KERN_ENOMEM] = {OPS_ENOMEM, "out of memory"},
                 [OPS_KERN_EFULL] = {OPS_EINTERNAL, "queue full"},
                 [OPS_KERN_EBUSY] = {OPS_EINTERNAL, "transfer while runs are queued"}};
    if (st == OPS_KERN_OK)
        return OPS_OK;
    return ops_fail(reterr, means[st].status, "%s: the device says: %s", what, means[st].words);
}

/* The tensor `name`, which must have this shape (columns 0: a vector), as f32 in a buffer of its own. */
static ops_status load(loader *l, const char *name, const char *old_name, int rows, int columns,
                       ops_kern_buf **ret)
{
    char full[160];
    (void)snprintf(full, sizeof full, "%s%s", l->prefix, name);
    const ops_safetensor *t = ops_safetensors_find(l->st, full);
    if (t == NULL && old_name != NULL) {
        (void)snprintf(full, sizeof full, "%s%s", l->prefix, old_name);
        t = ops_safetensors_find(l->st, full);
    }
    if (t == NULL)
        return ops_fail(l->reterr, OPS_ECORRUPT, "the model lacks the tensor '%s%s'", l->prefix, name);
    const int rank = columns > 0 ? 2 : 1;
    if (t->rank != rank || t->dim[0] != (uint64_t)rows || (rank == 2 && t->dim[1] != (uint64_t)columns))
        return ops_fail(l->reterr, OPS_ECORRUPT,
                        "tensor '%s' has rank %d and starts %llu x %llu, config.json says %d x %d", t->name,
                        t->rank, (unsigned long long)(t->rank > 0 ? t->dim[0] : 1),
                        (unsigned long long)(t->rank > 1 ? t->dim[1] : 1), rows, columns > 0 ? columns : 1);
    const size_t bytes = (size_t)t->count * sizeof(float);
    OPS_AUTO(ops_free) void *values = ops_malloc(bytes);
    if (values == NULL)
        return ops_fail(l->reterr, OPS_ENOMEM, "tensor '%s': %zu bytes", t->name, bytes);
    ops_status st = ops_safetensors_f32(t, values, l->reterr);
    if (st != OPS_OK)
        return st;
    st = ops_bert_kern(l->b->kern->buf_new(l->b->dev, bytes, ret), t->name, l->reterr);
    return st == OPS_OK
               ? ops_bert_kern(l->b->kern->upload(l->b->dev, *ret, 0, values, bytes), t->name, l->reterr)
               : st;
}

static ops_status load_linear(loader *l, const char *name, int rows, int columns, ops_bert_linear *ret)
{
    char w[128], b[128];
    (void)snprintf(w, sizeof w, "%s.weight", name);
    (void)snprintf(b, sizeof b, "%s.bias", name);
    const ops_status st = load(l, w, NULL, rows, columns, &ret->w);
    return st == OPS_OK ? load(l, b, NULL, rows, 0, &ret->b) : st;
}

static ops_status load_norm(loader *l, const char *name, ops_bert_linear *ret)
{
    char w[128], b[128], old_w[128], old_b[128];
    (void)snprintf(w, sizeof w, "%s.weight", name);
    (void)snprintf(b, sizeof b, "%s.bias", name);
    (void)snprintf(old_w, sizeof old_w, "%s.gamma", name);
    (void)snprintf(old_b, sizeof old_b, "%s.beta", name);
    const ops_status st = load(l, w, old_w, l->b->c.hidden, 0, &ret->w);
    return st == OPS_OK ? load(l, b, old_b, l->b->c.hidden, 0, &ret->b) : st;
}

static ops_status load_layer(loader *l, int i)
{
    const int hidden = l->b->c.hidden, inner = l->b->c.inner;
    ops_bert_layer *y = &l->b->layers[i];
    const struct {
        const char *name;
        int rows, columns; /* 0: a layer norm */
        ops_bert_linear *at;
    } parts[] = {{"attention.self.query", hidden, hidden, &y->q},
                 {"attention.self.key", hidden, hidden, &y->k},
                 {"attention.self.value", hidden, hidden, &y->v},
                 {"attention.output.dense", hidden, hidden, &y->mix},
                 {"attention.output.LayerNorm", hidden, 0, &y->mix_norm},
                 {"intermediate.dense", inner, hidden, &y->up},
                 {"output.dense", hidden, inner, &y->down},
                 {"output.LayerNorm", hidden, 0, &y->norm}};
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        char name[96];
        (void)snprintf(name, sizeof name, "encoder.layer.%d.%s", i, parts[p].name);
        const ops_status st = parts[p].columns > 0
                                  ? load_linear(l, name, parts[p].rows, parts[p].columns, parts[p].at)
                                  : load_norm(l, name, parts[p].at);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

static ops_status load_weights(loader *l)
{
    const ops_bert_config *c = &l->b->c;
    ops_status st = load(l, "embeddings.word_embeddings.weight", NULL, c->vocab, c->hidden, &l->b->words);
    if (st == OPS_OK)
        st =
            load(l, "embeddings.position_embeddings.weight", NULL, c->positions, c->hidden, &l->b->positions);
    if (st == OPS_OK)
        st = load(l, "embeddings.token_type_embeddings.weight", NULL, c->types, c->hidden, &l->b->types);
    if (st == OPS_OK)
        st = load_norm(l, "embeddings.LayerNorm", &l->b->norm);
    for (int i = 0; st == OPS_OK && i < c->layers; i++)
        st = load_layer(l, i);
    return st;
}

static ops_status make_rows(ops_bert *b, ops_err *reterr)
{
    const size_t tokens = (size_t)b->tokens_max, hidden = (size_t)b->c.hidden, inner = (size_t)b->c.inner;
    for (int i = 0; i < OPS_BERT_ROWS_COUNT; i++) {
        size_t count = tokens * hidden;
        if (i == OPS_BERT_UP || i == OPS_BERT_ACT)
            count = tokens * inner;
        else if (i == OPS_BERT_POOLED)
            count = (size_t)b->seqs_max * hidden;
        else if (i == OPS_BERT_IDS || i == OPS_BERT_POSITIONS || i == OPS_BERT_TYPES)
            count = tokens;
        else if (i == OPS_BERT_STARTS)
            count = (size_t)b->seqs_max + 1;
        const ops_status st =
            ops_bert_kern(b->kern->buf_new(b->dev, count * 4, &b->rows[i]), "rows of a batch", reterr);
        if (st != OPS_OK)
            return st;
    }
    b->scratch = ops_calloc(tokens + 1, sizeof *b->scratch);
    return b->scratch != NULL ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "rows of a batch");
}

ops_status ops_bert_load(const ops_bert_config *config, const ops_safetensors *file, const ops_kern *kern,
                         ops_kern_dev *dev, int tokens_max, int seqs_max, ops_bert **ret, ops_err *reterr)
{
    if (tokens_max < 1 || tokens_max > OPS_BERT_TOKENS_MAX || seqs_max < 1 || seqs_max > tokens_max)
        return ops_fail(reterr, OPS_EINVAL,
                        "a batch of %d tokens in %d texts: at most %d tokens and no empty text", tokens_max,
                        seqs_max, OPS_BERT_TOKENS_MAX);
    OPS_AUTO(ops_bert_free) ops_bert *b = ops_calloc(1, sizeof *b);
    if (b == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "model");
    b->c = *config;
    b->kern = kern;
    b->dev = dev;
    b->tokens_max = tokens_max;
    b->seqs_max = seqs_max;
    b->layers = ops_calloc((size_t)config->layers, sizeof *b->layers);
    if (b->layers == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "model of %d layers", config->layers);
    const bool prefixed = ops_safetensors_find(file, "bert.embeddings.word_embeddings.weight") != NULL;
    loader l = {b, file, prefixed ? "bert." : "", reterr};
    ops_status st = load_weights(&l);
    if (st == OPS_OK)
        st = make_rows(b, reterr);
    if (st != OPS_OK)
        return st;
    *ret = OPS_STEAL(b);
    return OPS_OK;
}

static void free_linear(ops_bert *b, ops_bert_linear *l)
{
    b->kern->buf_free(b->dev, l->w);
    b->kern->buf_free(b->dev, l->b);
}

void ops_bert_free(ops_bert *b)
{
    if (b == NULL)
        return;
    ops_kern_buf *tables[] = {b->words, b->positions, b->types};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        b->kern->buf_free(b->dev, tables[i]);
    free_linear(b, &b->norm);
    for (int i = 0; b->layers != NULL && i < b->c.layers; i++) {
        ops_bert_layer *y = &b->layers[i];
        ops_bert_linear *parts[] = {&y->q, &y->k, &y->v, &y->mix, &y->mix_norm, &y->up, &y->down, &y->norm};
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
            free_linear(b, parts[p]);
    }
    for (int i = 0; i < OPS_BERT_ROWS_COUNT; i++)
        b->kern->buf_free(b->dev, b->rows[i]);
    ops_free(b->layers);
    ops_free(b->scratch);
    ops_free(b);
}
