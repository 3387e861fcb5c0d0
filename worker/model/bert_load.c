/* Weights from file to device, one tensor at a time. A layer norm's weights are called weight and bias, in the oldest
 * files gamma and beta. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/model/bert_internal.h"

/* What the tensors of the encoder are called in either kind of file; those of a layer below it. */
typedef struct tensor_names {
    const char *words, *positions, *types, *norm, *layer;
    const char *qkv[3], *mix[1], *mix_norm, *up[1], *down[1], *layer_norm;
} tensor_names;

static const tensor_names in_folder = {
    .words = "embeddings.word_embeddings.weight",
    .positions = "embeddings.position_embeddings.weight",
    .types = "embeddings.token_type_embeddings.weight",
    .norm = "embeddings.LayerNorm",
    .layer = "encoder.layer",
    .qkv = {"attention.self.query", "attention.self.key", "attention.self.value"},
    .mix = {"attention.output.dense"},
    .mix_norm = "attention.output.LayerNorm",
    .up = {"intermediate.dense"},
    .down = {"output.dense"},
    .layer_norm = "output.LayerNorm"};
static const tensor_names in_gguf = {.words = "token_embd.weight",
                                     .positions = "position_embd.weight",
                                     .types = "token_types.weight",
                                     .norm = "token_embd_norm",
                                     .layer = "blk",
                                     .qkv = {"attn_q", "attn_k", "attn_v"},
                                     .mix = {"attn_output"},
                                     .mix_norm = "attn_output_norm",
                                     .up = {"ffn_up"},
                                     .down = {"ffn_down"},
                                     .layer_norm = "layer_output_norm"};

typedef struct loader {
    ops_bert *b;
    const ops_lm_source *s;
    const tensor_names *names;
    const char *prefix; /* "" or "bert." */
    ops_kern_type type; /* that matrices are packed as */
    size_t found;       /* tensors */
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

/* The tensor `name`, which must have this shape (columns 0: a vector). OPS_ECORRUPT; OPS_EUNIMPL: its element type. */
static ops_status find(loader *l, const char *name, const char *old_name, int rows, int columns,
                       ops_lm_tensor *ret)
{
    char full[160];
    (void)snprintf(full, sizeof full, "%s%s", l->prefix, name);
    bool there = l->s->find(l->s->from, full, ret);
    if (!there && old_name != NULL) {
        (void)snprintf(full, sizeof full, "%s%s", l->prefix, old_name);
        there = l->s->find(l->s->from, full, ret);
    }
    if (!there)
        return ops_fail(l->reterr, OPS_ECORRUPT, "the model lacks the tensor '%s%s'", l->prefix, name);
    const int rank = columns > 0 ? 2 : 1;
    const uint64_t n = columns > 0 ? (uint64_t)rows : 1, k = (uint64_t)(columns > 0 ? columns : rows);
    if (ret->rank != rank || ret->n != n || ret->k != k)
        return ops_fail(l->reterr, OPS_ECORRUPT,
                        "tensor '%s' is %llu x %llu (rank %d), the model says %llu x %llu (rank %d)", full,
                        (unsigned long long)ret->n, (unsigned long long)ret->k, ret->rank,
                        (unsigned long long)n, (unsigned long long)k, rank);
    if (ret->type < 0)
        return ops_fail(l->reterr, OPS_EUNIMPL, "tensor '%s': element type %s is not built", full,
                        ret->type_name);
    l->found++;
    return OPS_OK;
}

/* Up to three tensors of one shape, one under the other, to *ret: packed, or as they are. */
static ops_status load_joined(loader *l, const char *const *names, int n_names, const char *old_name,
                              int rows, int columns, bool packed, ops_kern_buf **ret)
{
    ops_lm_tensor t[3];
    size_t count = 0;
    for (int i = 0; i < n_names; i++) {
        const ops_status found = find(l, names[i], old_name, rows, columns, &t[i]);
        if (found != OPS_OK)
            return found;
        count += (size_t)t[i].count;
    }
    OPS_AUTO(ops_free) void *memory = ops_calloc(count, sizeof(float));
    float *const values = memory;
    if (values == NULL)
        return ops_fail(l->reterr, OPS_ENOMEM, "tensor '%s%s': %zu floats", l->prefix, names[0], count);
    size_t at = 0;
    for (int i = 0; i < n_names; i++) {
        ops_kern_quant_decode((ops_kern_quant_type)t[i].type, t[i].bytes.p, (size_t)t[i].count, values + at);
        at += (size_t)t[i].count;
    }
    const ops_kern *k = l->b->kern;
    ops_kern_status st;
    if (packed) {
        st = k->pack(l->b->dev, l->type, n_names * rows, columns, values, ret);
    } else {
        st = k->buf_new(l->b->dev, count * sizeof *values, ret);
        if (st == OPS_KERN_OK)
            st = k->upload(l->b->dev, *ret, 0, values, count * sizeof *values);
    }
    return ops_bert_kern(st, names[0], l->reterr);
}

static ops_status load(loader *l, const char *name, const char *old_name, int rows, int columns,
                       ops_kern_buf **ret)
{
    return load_joined(l, &name, 1, old_name, rows, columns, false, ret);
}

static ops_status load_linear(loader *l, const char *prefix, const char *const *names, int n_names, int rows,
                              int columns, ops_bert_linear *ret)
{
    char w[3][128], b[3][128];
    const char *ws[3] = {w[0], w[1], w[2]}, *bs[3] = {b[0], b[1], b[2]};
    for (int i = 0; i < n_names; i++) {
        (void)snprintf(w[i], sizeof w[i], "%s.%s.weight", prefix, names[i]);
        (void)snprintf(b[i], sizeof b[i], "%s.%s.bias", prefix, names[i]);
    }
    const ops_status st = load_joined(l, ws, n_names, NULL, rows, columns, true, &ret->w);
    return st == OPS_OK ? load_joined(l, bs, n_names, NULL, rows, 0, false, &ret->b) : st;
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
    const tensor_names *n = l->names;
    const struct {
        const char *const *names;
        int n_names, rows, columns; /* 0 columns: a layer norm */
        ops_bert_linear *at;
    } parts[] = {{n->qkv, 3, hidden, hidden, &y->qkv},       {n->mix, 1, hidden, hidden, &y->mix},
                 {&n->mix_norm, 1, hidden, 0, &y->mix_norm}, {n->up, 1, inner, hidden, &y->up},
                 {n->down, 1, hidden, inner, &y->down},      {&n->layer_norm, 1, hidden, 0, &y->norm}};
    char layer[32], norm[96];
    (void)snprintf(layer, sizeof layer, "%s.%d", n->layer, i);
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        (void)snprintf(norm, sizeof norm, "%s.%s", layer, parts[p].names[0]);
        const ops_status st = parts[p].columns > 0 ? load_linear(l, layer, parts[p].names, parts[p].n_names,
                                                                 parts[p].rows, parts[p].columns, parts[p].at)
                                                   : load_norm(l, norm, parts[p].at);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

/* A head is small: its matrices stay f32. The classifier never has the prefix. */
static ops_status load_head(const loader *l)
{
    static const char *const dense[] = {"dense"};
    const ops_bert_config *c = &l->b->c;
    loader own = *l;
    own.type = OPS_KERN_F32;
    ops_status st = OPS_OK;
    if (c->head == OPS_BERT_SEQUENCE_HEAD)
        st = load_linear(&own, "pooler", dense, 1, c->hidden, c->hidden, &l->b->pooler);
    if (st != OPS_OK || c->head == OPS_BERT_NO_HEAD)
        return st;
    const char *w = "classifier.weight";
    own.prefix = "";
    st = load_joined(&own, &w, 1, NULL, c->labels, c->hidden, true, &l->b->classifier.w);
    return st == OPS_OK ? load(&own, "classifier.bias", NULL, c->labels, 0, &l->b->classifier.b) : st;
}

static ops_status load_weights(loader *l)
{
    const ops_bert_config *c = &l->b->c;
    const tensor_names *n = l->names;
    ops_status st = load(l, n->words, NULL, c->vocab, c->hidden, &l->b->words);
    if (st == OPS_OK)
        st = load(l, n->positions, NULL, c->positions, c->hidden, &l->b->positions);
    if (st == OPS_OK)
        st = load(l, n->types, NULL, c->types, c->hidden, &l->b->types);
    if (st == OPS_OK)
        st = load_norm(l, n->norm, &l->b->norm);
    for (int i = 0; st == OPS_OK && i < c->layers; i++)
        st = load_layer(l, i);
    return st == OPS_OK ? load_head(l) : st;
}

static bool is_norm_of(ops_slice name, const char *norm)
{
    const ops_slice n = ops_slice_str(norm);
    return ops_slice_starts(name, n) &&
           (ops_slice_eq(ops_slice_sub(name, n.n, name.n), OPS_SLICE(".weight")) ||
            ops_slice_eq(ops_slice_sub(name, n.n, name.n), OPS_SLICE(".bias")));
}

/* Is it one of the encoder's in a GGUF file? */
static bool is_wanted(const ops_bert_config *c, ops_slice name)
{
    const tensor_names *n = &in_gguf;
    const char *const tables[] = {n->words, n->positions, n->types};
    const char *const parts[] = {n->qkv[0],   n->qkv[1], n->qkv[2],  n->mix[0],
                                 n->mix_norm, n->up[0],  n->down[0], n->layer_norm};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (ops_slice_eq(name, ops_slice_str(tables[i])))
            return true;
    ops_slice rest = name, layer, number;
    uint64_t at;
    if (!ops_slice_split(&rest, '.', &layer) || !ops_slice_eq(layer, ops_slice_str(n->layer)))
        return is_norm_of(name, n->norm);
    if (!ops_slice_split(&rest, '.', &number) || !ops_slice_to_u64(number, &at) || at >= (uint64_t)c->layers)
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (is_norm_of(rest, parts[i]))
            return true;
    return false;
}

/* A GGUF file is made of one encoder, so another tensor in it means that it is another's: what it would change is not known.
 * Folders may hold more: what a model was trained under, a pooler, the numbers of the positions. */
static ops_status refuse_strangers(const loader *l)
{
    ops_lm_tensor t;
    if (l->names != &in_gguf || l->found == l->s->count)
        return OPS_OK;
    for (size_t i = 0; i < l->s->count && l->s->at(l->s->from, i, &t); i++)
        if (!is_wanted(&l->b->c, t.name))
            return ops_fail(l->reterr, OPS_ECORRUPT, "the tensor '" OPS_SLICE_FMT "' is none of an encoder's",
                            OPS_SLICE_ARG(t.name));
    return OPS_OK;
}

static ops_status make_rows(ops_bert *b, ops_err *reterr)
{
    const size_t tokens = (size_t)b->tokens_max, hidden = (size_t)b->c.hidden, inner = (size_t)b->c.inner;
    for (int i = 0; i < OPS_BERT_ROWS_COUNT; i++) {
        size_t count = tokens * hidden;
        if (i == OPS_BERT_UP)
            count = tokens * inner;
        else if (i == OPS_BERT_QKV)
            count = tokens * hidden * 3;
        else if (i == OPS_BERT_POOLED)
            count = (size_t)b->seqs_max * hidden;
        else if (i == OPS_BERT_IDS || i == OPS_BERT_POSITIONS || i == OPS_BERT_TYPES)
            count = tokens;
        else if (i == OPS_BERT_STARTS || i == OPS_BERT_FIRSTS)
            count = (size_t)b->seqs_max + 1;
        else if (i == OPS_BERT_LOGITS)
            count = (size_t)b->c.labels * (b->c.head == OPS_BERT_TOKEN_HEAD ? tokens : (size_t)b->seqs_max);
        if (count == 0)
            continue; /* logits without a head */
        const ops_status st =
            ops_bert_kern(b->kern->buf_new(b->dev, count * 4, &b->rows[i]), "rows of a batch", reterr);
        if (st != OPS_OK)
            return st;
    }
    b->scratch = ops_calloc(tokens + 1, sizeof *b->scratch);
    if (b->c.head == OPS_BERT_SEQUENCE_HEAD)
        b->firsts = ops_calloc((size_t)b->seqs_max * hidden, sizeof *b->firsts);
    return b->scratch != NULL && (b->firsts != NULL || b->c.head != OPS_BERT_SEQUENCE_HEAD)
               ? OPS_OK
               : ops_fail(reterr, OPS_ENOMEM, "rows of a batch");
}

static ops_status load_all(ops_bert *b, const ops_lm_source *s, ops_kern_type weights, ops_err *reterr)
{
    static const char prefix[] = "bert.";
    char prefixed[96];
    ops_lm_tensor t;
    loader l = {.b = b, .s = s, .names = &in_folder, .prefix = "", .type = weights, .reterr = reterr};
    (void)snprintf(prefixed, sizeof prefixed, "%s%s", prefix, in_folder.words);
    if (s->find(s->from, in_gguf.words, &t))
        l.names = &in_gguf;
    else if (s->find(s->from, prefixed, &t))
        l.prefix = prefix;
    ops_status st = load_weights(&l);
    if (st == OPS_OK)
        st = refuse_strangers(&l);
    if (st == OPS_OK)
        st = make_rows(b, reterr);
    return st == OPS_OK ? ops_bert_warm(b, reterr) : st;
}

ops_status ops_bert_load_from(const ops_bert_config *config, const ops_lm_source *source,
                              const ops_kern *kern, ops_kern_dev *dev, ops_kern_type weights, int tokens_max,
                              int seqs_max, ops_bert **ret, ops_err *reterr)
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
    b->weights = weights;
    b->tokens_max = tokens_max;
    b->seqs_max = seqs_max;
    b->layers = ops_calloc((size_t)config->layers, sizeof *b->layers);
    if (b->layers == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "model of %d layers", config->layers);
    const ops_status st = load_all(b, source, weights, reterr);
    if (st != OPS_OK)
        return st;
    *ret = OPS_STEAL(b);
    return OPS_OK;
}

ops_status ops_bert_load(const ops_bert_config *config, const ops_safetensors *st, const ops_kern *kern,
                         ops_kern_dev *dev, ops_kern_type weights, int tokens_max, int seqs_max,
                         ops_bert **ret, ops_err *reterr)
{
    const ops_lm_source s = ops_lm_source_safetensors(st);
    return ops_bert_load_from(config, &s, kern, dev, weights, tokens_max, seqs_max, ret, reterr);
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
    free_linear(b, &b->pooler);
    free_linear(b, &b->classifier);
    for (int i = 0; b->layers != NULL && i < b->c.layers; i++) {
        ops_bert_layer *y = &b->layers[i];
        ops_bert_linear *parts[] = {&y->qkv, &y->mix, &y->mix_norm, &y->up, &y->down, &y->norm};
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
            free_linear(b, parts[p]);
    }
    for (int i = 0; i < OPS_BERT_ROWS_COUNT; i++)
        b->kern->buf_free(b->dev, b->rows[i]);
    ops_free(b->layers);
    ops_free(b->scratch);
    ops_free(b->firsts);
    ops_free(b);
}
