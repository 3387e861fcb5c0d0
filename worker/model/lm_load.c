/* Weights from file to device, and the memory of the largest step. */
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/model/lm_internal.h"

typedef struct loader {
    ops_lm *m;
    const ops_lm_source *s;
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
static ops_status load_vector(loader *l, const ops_lm_want *w, const ops_lm_tensor *t, ops_kern_buf **ret)
{
    const size_t bytes = (size_t)w->k * sizeof(float);
    OPS_AUTO(ops_free) void *memory = ops_malloc(bytes);
    float *const values = memory;
    if (values == NULL)
        return ops_fail(l->reterr, OPS_ENOMEM, "tensor '%s'", w->name);
    const char *from = t->bytes.p + ops_kern_quant_bytes(t->type, (size_t)w->from);
    ops_kern_quant_decode((ops_kern_quant_type)t->type, from, (size_t)w->k, values);
    for (int i = 0; i < w->k; i++)
        values[i] += w->plus;
    const ops_status st = new_buf(l, bytes, w->name, ret);
    return st == OPS_OK
               ? ops_lm_kern(l->m->kern->upload(l->m->dev, *ret, 0, values, bytes), w->name, l->reterr)
               : st;
}

/* The rows of w in memory of their own, out of a tensor that has them as columns. NULL: the heap is out. */
static void *uncross(const ops_lm_want *w, const ops_lm_tensor *t)
{
    const size_t size = ops_kern_quant_bytes(t->type, 1);
    const size_t n = (size_t)w->n, k = (size_t)w->k, columns = (size_t)t->k;
    char *to = ops_malloc(n * k * size);
    for (size_t i = 0; to != NULL && i < n; i++)
        for (size_t j = 0; j < k; j++)
            memcpy(to + (i * k + j) * size, t->bytes.p + (j * columns + (size_t)w->from + i) * size, size);
    return to;
}

static ops_status load_matrix(loader *l, const ops_lm_want *w, const ops_lm_tensor *t, ops_kern_buf **ret)
{
    const size_t row = ops_kern_quant_bytes(t->type, (size_t)w->k);
    OPS_AUTO(ops_free) void *own = w->crossed ? uncross(w, t) : NULL;
    if (w->crossed && own == NULL)
        return ops_fail(l->reterr, OPS_ENOMEM, "tensor '%s'", w->name);
    const void *from = w->crossed ? own : t->bytes.p + (size_t)w->from * row;
    const size_t bytes = (size_t)w->n * row;
    return ops_lm_kern(l->m->kern->pack_quant(l->m->dev, t->type, w->n, w->k, from, bytes, ret), w->name,
                       l->reterr);
}

/* Stays empty where the tensor may be absent and is. */
static ops_status load_one(loader *l, const ops_lm_want *w, ops_lm_weight *ret)
{
    ops_lm_tensor t;
    if (!l->s->find(l->s->from, w->name, &t))
        return OPS_OK;
    ret->type = (ops_kern_quant_type)t.type;
    return w->n == 0 ? load_vector(l, w, &t, &ret->buf) : load_matrix(l, w, &t, &ret->buf);
}

/* Bytes of a matrix in the source's own form. */
static size_t read_bytes(const ops_lm_want *w, const ops_lm_weight *loaded)
{
    return w->n > 0 && loaded->buf != NULL
               ? (size_t)w->n * ops_kern_quant_bytes((int)loaded->type, (size_t)w->k)
               : 0;
}

/* Factors of the rotation: the file's own, or what the config says, for layers without a window; 1 for those with one. */
static ops_status load_factors(loader *l)
{
    const ops_lm_config *c = &l->m->c;
    const int n = l->m->c.rotary / 2;
    const size_t bytes = (size_t)n * sizeof(float);
    OPS_AUTO(ops_free) void *memory = ops_malloc(bytes);
    float *const f = memory;
    if (f == NULL)
        return ops_fail(l->reterr, OPS_ENOMEM, "factors of the rotation");
    ops_kern_buf **const to[] = {&l->m->slower, &l->m->one};
    for (int i = 0; i < 2; i++) {
        if (*to[i] != NULL)
            continue;
        for (int p = 0; p < n; p++)
            f[p] = i == 0 ? c->rope_slower : 1;
        if (i == 0 && c->rope_context > 0)
            ops_kern_rope_factors(c->rotary, c->theta, c->rope_slower, c->rope_low, c->rope_high,
                                  c->rope_context, f);
        ops_status st = new_buf(l, bytes, "factors of the rotation", to[i]);
        if (st == OPS_OK)
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
                                               [OPS_LM_FACTORS] = &factors,
                                               [OPS_LM_NORM_SHIFT] = &m->norm_shift,
                                               [OPS_LM_POSITIONS] = &m->positions};
    ops_status st = OPS_OK;
    ops_lm_want w;
    for (int i = 0; st == OPS_OK && i < OPS_LM_GLOBALS; i++)
        if (ops_lm_want_global(&m->c, i, &w) && !(i == OPS_LM_HEAD && m->c.tied))
            st = load_one(l, &w, to[i]);
    m->slower = factors.buf;
    if (st != OPS_OK)
        return st;
    if (m->c.tied)
        m->head = m->embed;
    if (ops_lm_want_global(&m->c, OPS_LM_HEAD, &w))
        m->step_bytes += read_bytes(&w, &m->head);
    return m->c.rotary > 0 ? load_factors(l) : OPS_OK;
}

static ops_kern_decoder cache_shape(const ops_lm *m, bool windowed)
{
    return (ops_kern_decoder){.kv_heads = m->c.kv_heads,
                              .width = m->c.width,
                              .half = !m->limits.cache_f32,
                              .block = m->limits.block,
                              .blocks = windowed && m->limits.window_blocks > 0 ? m->limits.window_blocks
                                                                                : m->limits.blocks,
                              .table = m->table};
}

static ops_status load_layers(loader *l)
{
    ops_lm *m = l->m;
    ops_lm_want w;
    for (int i = 0; i < m->c.layers; i++) {
        const ops_kern_decoder shape = cache_shape(m, ops_lm_windowed(&m->c, i));
        ops_status st =
            new_buf(l, ops_kern_cache_bytes(&shape), "the cache of keys and values", &m->layers[i].cache);
        for (int p = 0; st == OPS_OK && p < OPS_LM_PARTS; p++)
            if (ops_lm_want_part(&m->c, i, (ops_lm_part)p, &w)) {
                st = load_one(l, &w, &m->layers[i].part[p]);
                m->step_bytes += read_bytes(&w, &m->layers[i].part[p]);
            }
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

static bool alike(const ops_lm_layer *a, const ops_lm_layer *b)
{
    for (int p = 0; p < OPS_LM_PARTS; p++)
        if (a->part[p].type != b->part[p].type)
            return false;
    return true;
}

static void find_alike(ops_lm *m)
{
    for (int i = 0; i < m->c.layers; i++)
        while (!alike(&m->layers[m->layers[i].like], &m->layers[i]))
            m->layers[i].like++;
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
        return tokens * (size_t)c->rotary;
    case OPS_LM_TURNS_WINDOW:
        return c->window > 0 ? tokens * (size_t)c->rotary : 0;
    case OPS_LM_PLACES:
        return c->layer_norm ? tokens : 0;
    case OPS_LM_LOGITS:
        return outputs * (size_t)c->vocab;
    case OPS_LM_GREATEST:
        return outputs * 2 * (OPS_GREATEST_MAX + 1);
    case OPS_LM_MASK:
        return outputs * (((size_t)c->vocab + 31) / 32);
    case OPS_LM_IDS:
        return tokens;
    case OPS_LM_ROWS:
        return tokens * 2;
    case OPS_LM_TABLE:
        return (size_t)m->limits.seqs * (size_t)m->table;
    case OPS_LM_TABLE_WINDOW:
        return m->limits.window_blocks > 0 ? (size_t)m->limits.seqs * (size_t)m->table : 0;
    case OPS_LM_PICKED:
        return outputs;
    default:
        return tokens * (size_t)c->hidden;
    }
}

static ops_status make_rows(loader *l)
{
    ops_status st = OPS_OK;
    for (int i = 0; st == OPS_OK && i < OPS_LM_ROWS_COUNT; i++) {
        const size_t count = row_count(l->m, (ops_lm_rows)i);
        if (count > 0)
            st = new_buf(l, count * 4, "rows of a step", &l->m->rows[i]);
    }
    if (st != OPS_OK || !l->m->c.layer_norm)
        return st;
    l->m->places = ops_calloc((size_t)l->m->limits.tokens, sizeof *l->m->places);
    return l->m->places != NULL ? OPS_OK : ops_fail(l->reterr, OPS_ENOMEM, "positions of a step");
}

static bool cache_fits(const ops_lm *m)
{
    const ops_kern_decoder all = cache_shape(m, false), window = cache_shape(m, true);
    return ops_kern_cache_bytes(&all) > 0 && ops_kern_cache_bytes(&window) > 0;
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
    if (ops_lm_window_layers(&m->c) == 0)
        t.window_blocks = 0;
    m->limits = t;
    if (t.block < 1 || t.block > OPS_KERN_EXTENT_MAX || t.blocks < 1 || t.blocks > OPS_KERN_EXTENT_MAX ||
        t.window_blocks < 0 || t.window_blocks > OPS_KERN_EXTENT_MAX || !cache_fits(m))
        return ops_fail(reterr, OPS_EINVAL, "a cache of %d blocks of %d tokens, %d with a window", t.blocks,
                        t.block, t.window_blocks);
    m->table = (t.positions + t.block - 1) / t.block;
    return OPS_OK;
}

ops_status ops_lm_load(const ops_gguf *g, const ops_kern *kern, ops_kern_dev *dev,
                       const ops_lm_limits *limits, ops_lm **ret, ops_err *reterr)
{
    ops_lm_config c;
    const ops_lm_source s = ops_lm_source_gguf(g);
    const ops_status st = ops_lm_config_read(g, &c, reterr);
    return st == OPS_OK ? ops_lm_load_from(&c, &s, kern, dev, limits, ret, reterr) : st;
}

ops_status ops_lm_load_from(const ops_lm_config *config, const ops_lm_source *source, const ops_kern *kern,
                            ops_kern_dev *dev, const ops_lm_limits *limits, ops_lm **ret, ops_err *reterr)
{
    ops_lm_config c = *config;
    ops_status st = ops_lm_check_tensors(source, &c, reterr);
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
    loader l = {m, source, reterr};
    st = load_globals(&l);
    if (st == OPS_OK)
        st = load_layers(&l);
    if (st == OPS_OK) {
        find_alike(m);
        st = make_rows(&l);
    }
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
    ops_kern_buf *const globals[] = {m->embed.buf,     m->norm.buf, m->norm_shift.buf,
                                     m->positions.buf, m->slower,   m->one};
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
    ops_free(m->places);
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

int ops_lm_window_layers(const ops_lm_config *c)
{
    int n = 0;
    for (int i = 0; i < c->layers; i++)
        n += ops_lm_windowed(c, i);
    return n;
}

int ops_lm_table(const ops_lm *m)
{
    return m->table;
}

size_t ops_lm_step_bytes(const ops_lm *m)
{
    return m->step_bytes;
}
