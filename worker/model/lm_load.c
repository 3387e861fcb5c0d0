/* Weights from file to device, and the memory of the largest step. */
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/model/lm_internal.h"

typedef struct loader {
    ops_lm *m;
    const ops_gguf *g;
    ops_err *reterr;
} loader;

ops_status ops_lm_kern(ops_kern_status st, const char *what, ops_err *reterr)
{
    if (st == OPS_KERN_OK)
        return OPS_OK;
    if (st == OPS_KERN_ENOMEM)
        return ops_fail(reterr, OPS_ENOMEM, "%s: the device is out of memory", what);
    return ops_fail(reterr, OPS_EINTERNAL, "%s: the device refuses a shape, an id or a block (%d)", what,
                    (int)st);
}

static ops_status new_buf(loader *l, size_t bytes, const char *what, ops_kern_buf **ret)
{
    return ops_lm_kern(l->m->kern->buf_new(l->m->dev, bytes, ret), what, l->reterr);
}

/* A vector, as f32. */
static ops_status load_vector(loader *l, const ops_lm_want *w, const ops_gguf_tensor *t, ops_kern_buf **ret)
{
    const size_t bytes = (size_t)w->k * sizeof(float);
    OPS_AUTO(ops_free) void *values = ops_malloc(bytes);
    if (values == NULL)
        return ops_fail(l->reterr, OPS_ENOMEM, "tensor '%s'", w->name);
    ops_kern_quant_decode((ops_kern_quant_type)t->type, t->bytes.p, (size_t)w->k, values);
    const ops_status st = new_buf(l, bytes, w->name, ret);
    return st == OPS_OK
               ? ops_lm_kern(l->m->kern->upload(l->m->dev, *ret, 0, values, bytes), w->name, l->reterr)
               : st;
}

/* Stays empty where the tensor may be absent and is. */
static ops_status load_one(loader *l, const ops_lm_want *w, ops_lm_weight *ret)
{
    const ops_gguf_tensor *t = ops_gguf_tensor_find(l->g, w->name);
    if (t == NULL)
        return OPS_OK;
    ret->type = (ops_kern_quant_type)t->type;
    if (w->n == 0)
        return load_vector(l, w, t, &ret->buf);
    if (strcmp(w->name, "token_embd.weight") != 0)
        l->m->step_bytes += t->bytes.n;
    return ops_lm_kern(
        l->m->kern->pack_quant(l->m->dev, (int)t->type, w->n, w->k, t->bytes.p, t->bytes.n, &ret->buf),
        w->name, l->reterr);
}

static ops_status load_factors(loader *l)
{
    const int n = l->m->c.rotary / 2;
    const size_t bytes = (size_t)n * sizeof(float);
    OPS_AUTO(ops_free) void *memory = ops_malloc(bytes);
    float *const f = memory;
    if (f == NULL)
        return ops_fail(l->reterr, OPS_ENOMEM, "factors of the rotation");
    ops_kern_buf **const to[] = {&l->m->slower, &l->m->one};
    for (int i = 0; i < 2; i++) {
        for (int p = 0; p < n; p++)
            f[p] = i == 0 ? l->m->c.rope_slower : 1;
        ops_status st = *to[i] != NULL ? OPS_OK : new_buf(l, bytes, "factors of the rotation", to[i]);
        if (st == OPS_OK && !(i == 0 && ops_gguf_tensor_find(l->g, "rope_freqs.weight") != NULL))
            st = ops_lm_kern(l->m->kern->upload(l->m->dev, *to[i], 0, f, bytes), "factors of the rotation",
                             l->reterr);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

static ops_status load_globals(loader *l)
{
    ops_lm *m = l->m;
    ops_lm_weight factors = {NULL, OPS_KERN_QUANT_F32};
    ops_lm_weight *const to[OPS_LM_GLOBALS] = {[OPS_LM_EMBED] = &m->embed,
                                               [OPS_LM_NORM] = &m->norm,
                                               [OPS_LM_HEAD] = &m->head,
                                               [OPS_LM_FACTORS] = &factors};
    ops_status st = OPS_OK;
    ops_lm_want w;
    for (int i = 0; st == OPS_OK && i < OPS_LM_GLOBALS; i++)
        if (ops_lm_want_global(&m->c, i, &w))
            st = load_one(l, &w, to[i]);
    m->slower = factors.buf;
    if (st == OPS_OK && m->head.buf == NULL) {
        m->head = m->embed;
        m->step_bytes += ops_gguf_tensor_find(l->g, "token_embd.weight")->bytes.n;
    }
    return st == OPS_OK ? load_factors(l) : st;
}

static ops_kern_decoder cache_shape(const ops_lm *m)
{
    return (ops_kern_decoder){.kv_heads = m->c.kv_heads,
                              .width = m->c.width,
                              .half = !m->limits.cache_f32,
                              .block = m->limits.block,
                              .blocks = m->limits.blocks,
                              .table = m->table};
}

static ops_status load_layers(loader *l)
{
    ops_lm *m = l->m;
    const ops_kern_decoder shape = cache_shape(m);
    const size_t cache = ops_kern_cache_bytes(&shape);
    ops_lm_want w;
    for (int i = 0; i < m->c.layers; i++) {
        ops_status st = new_buf(l, cache, "the cache of keys and values", &m->layers[i].cache);
        for (int p = 0; st == OPS_OK && p < OPS_LM_PARTS; p++)
            if (ops_lm_want_part(&m->c, i, (ops_lm_part)p, &w))
                st = load_one(l, &w, &m->layers[i].part[p]);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

static size_t row_count(const ops_lm *m, ops_lm_rows rows)
{
    const ops_lm_config *c = &m->c;
    const size_t tokens = (size_t)m->limits.tokens, outputs = (size_t)m->limits.outputs;
    const size_t q = (size_t)c->heads * (size_t)c->width, kv = (size_t)c->kv_heads * (size_t)c->width;
    switch (rows) {
    case OPS_LM_ROW_Q:
    case OPS_LM_CONTEXT:
        return tokens * q;
    case OPS_LM_ROW_K:
    case OPS_LM_ROW_V:
    case OPS_LM_ROW_K2:
        return tokens * kv;
    case OPS_LM_ROW_GATE:
    case OPS_LM_ROW_UP:
        return tokens * (size_t)c->inner;
    case OPS_LM_TURNS:
    case OPS_LM_TURNS_WINDOW:
        return tokens * (size_t)c->rotary;
    case OPS_LM_LOGITS:
        return outputs * (size_t)c->vocab;
    case OPS_LM_MASK:
        return outputs * (((size_t)c->vocab + 31) / 32);
    case OPS_LM_IDS:
        return tokens;
    case OPS_LM_ROWS:
        return tokens * 2;
    case OPS_LM_TABLE:
        return (size_t)m->limits.seqs * (size_t)m->table;
    case OPS_LM_PICKED:
        return outputs;
    default:
        return tokens * (size_t)c->hidden;
    }
}

static ops_status make_rows(loader *l)
{
    for (int i = 0; i < OPS_LM_ROWS_COUNT; i++) {
        const ops_status st =
            new_buf(l, row_count(l->m, (ops_lm_rows)i) * 4, "rows of a step", &l->m->rows[i]);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

static ops_status set_limits(ops_lm *m, const ops_lm_limits *limits, ops_err *reterr)
{
    ops_lm_limits t = *limits;
    if (t.positions == 0)
        t.positions = m->c.context;
    if (t.tokens < 1 || t.tokens > OPS_LM_TOKENS_MAX || t.outputs < 1 || t.outputs > t.tokens || t.seqs < 1 ||
        t.seqs > t.tokens)
        return ops_fail(reterr, OPS_EINVAL, "a step of %d tokens (at most %d), %d outputs, %d sequences",
                        t.tokens, OPS_LM_TOKENS_MAX, t.outputs, t.seqs);
    if (t.positions < 1 || t.positions > m->c.context)
        return ops_fail(reterr, OPS_EINVAL, "sequences of %d tokens, the model's context is %d", t.positions,
                        m->c.context);
    if (t.block < 1 || t.block > OPS_KERN_EXTENT_MAX || t.blocks < 1 || t.blocks > OPS_KERN_EXTENT_MAX)
        return ops_fail(reterr, OPS_EINVAL, "a cache of %d blocks of %d tokens", t.blocks, t.block);
    m->limits = t;
    m->table = (t.positions + t.block - 1) / t.block;
    const ops_kern_decoder shape = cache_shape(m);
    return ops_kern_cache_bytes(&shape) > 0
               ? OPS_OK
               : ops_fail(reterr, OPS_EINVAL, "a cache of %d blocks of %d tokens", t.blocks, t.block);
}

ops_status ops_lm_load(const ops_gguf *g, const ops_kern *kern, ops_kern_dev *dev,
                       const ops_lm_limits *limits, ops_lm **ret, ops_err *reterr)
{
    ops_lm_config c;
    ops_status st = ops_lm_config_read(g, &c, reterr);
    if (st == OPS_OK)
        st = ops_lm_check_tensors(g, &c, reterr);
    if (st != OPS_OK)
        return st;
    OPS_AUTO(ops_lm_free) ops_lm *m = ops_calloc(1, sizeof *m);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a model");
    m->c = c;
    m->kern = kern;
    m->dev = dev;
    st = set_limits(m, limits, reterr);
    if (st != OPS_OK)
        return st;
    m->layers = ops_calloc((size_t)c.layers, sizeof *m->layers);
    if (m->layers == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a model of %d layers", c.layers);
    loader l = {m, g, reterr};
    st = load_globals(&l);
    if (st == OPS_OK)
        st = load_layers(&l);
    if (st == OPS_OK)
        st = make_rows(&l);
    if (st == OPS_OK)
        st = ops_lm_warm(m, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(m);
    return st;
}

void ops_lm_free(ops_lm *m)
{
    if (m == NULL)
        return;
    if (m->head.buf != m->embed.buf)
        m->kern->buf_free(m->dev, m->head.buf);
    ops_kern_buf *const globals[] = {m->embed.buf, m->norm.buf, m->slower, m->one};
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++)
        m->kern->buf_free(m->dev, globals[i]);
    for (int l = 0; m->layers != NULL && l < m->c.layers; l++) {
        m->kern->buf_free(m->dev, m->layers[l].cache);
        for (int p = 0; p < OPS_LM_PARTS; p++)
            m->kern->buf_free(m->dev, m->layers[l].part[p].buf);
    }
    for (int i = 0; i < OPS_LM_ROWS_COUNT; i++)
        m->kern->buf_free(m->dev, m->rows[i]);
    ops_free(m->layers);
    ops_free(m);
}

const ops_lm_config *ops_lm_config_of(const ops_lm *m)
{
    return &m->c;
}

const ops_lm_limits *ops_lm_limits_of(const ops_lm *m)
{
    return &m->limits;
}

int ops_lm_table(const ops_lm *m)
{
    return m->table;
}

size_t ops_lm_step_bytes(const ops_lm *m)
{
    return m->step_bytes;
}
