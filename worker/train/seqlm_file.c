/* The model as a safetensors file (https://github.com/huggingface/safetensors) and GPT-2's config.json. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/model/safetensors.h"
#include "worker/train/seqlm_internal.h"

static size_t count_of(const seqlm_slot *s)
{
    return (size_t)s->dim[0] * (size_t)(s->rank == 2 ? s->dim[1] : 1);
}

static void put_header(const ops_seqlm *m, ops_strbuf *out)
{
    ops_strbuf_str(out, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < m->slots; i++) {
        const seqlm_slot *s = &m->slot[i];
        ops_strbuf_printf(out, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[%d", s->name, s->dim[0]);
        if (s->rank == 2)
            ops_strbuf_printf(out, ",%d", s->dim[1]);
        ops_strbuf_printf(out, "],\"data_offsets\":[%zu,%zu]}", s->at * 4, (s->at + count_of(s)) * 4);
    }
    ops_strbuf_char(out, '}');
}

static void put_floats(const ops_seqlm *m, ops_strbuf *out)
{
    for (size_t i = 0; i < m->weights && !out->failed; i++) {
        uint32_t bits;
        memcpy(&bits, &m->w[i], sizeof bits);
        const char bytes[4] = {(char)bits, (char)(bits >> 8), (char)(bits >> 16), (char)(bits >> 24)};
        ops_strbuf_put(out, bytes, sizeof bytes);
    }
}

ops_status ops_seqlm_save(const ops_seqlm *m, ops_strbuf *out, ops_err *reterr)
{
    ops_strbuf header;
    ops_strbuf_init(&header, OPS_SAFETENSORS_HEADER_MAX);
    put_header(m, &header);
    while (header.n % 8 != 0 && !header.failed)
        ops_strbuf_char(&header, ' ');
    for (int i = 0; i < 8; i++)
        ops_strbuf_char(out, (char)((uint64_t)header.n >> 8 * i));
    ops_strbuf_slice(out, ops_strbuf_get(&header));
    bool failed = header.failed;
    ops_strbuf_done(&header);
    put_floats(m, out);
    return failed || out->failed
               ? ops_fail(reterr, OPS_ENOMEM, "sequence model: %zu weights to save", m->weights)
               : OPS_OK;
}

ops_status ops_seqlm_save_config(const ops_seqlm *m, ops_strbuf *out, ops_err *reterr)
{
    ops_strbuf_printf(
        out,
        "{\"model_type\": \"gpt2\", \"architectures\": [\"GPT2LMHeadModel\"], \"vocab_size\": %d, "
        "\"n_positions\": %d, \"n_embd\": %d, \"n_layer\": %d, \"n_head\": %d, "
        "\"activation_function\": \"gelu_new\", \"layer_norm_epsilon\": 1e-05, "
        "\"tie_word_embeddings\": true, \"bos_token_id\": null, \"eos_token_id\": null}\n",
        m->c.kinds, m->c.context, m->c.dim, m->c.layers, m->c.heads);
    return out->failed ? ops_fail(reterr, OPS_ENOMEM, "sequence model: its config.json") : OPS_OK;
}

static ops_status shape(const ops_safetensors *f, const char *name, int ret[2], ops_err *reterr)
{
    const ops_safetensor *t = ops_safetensors_find(f, name);
    if (t == NULL || t->rank != 2 || t->dim[0] > OPS_SEQLM_KINDS_MAX || t->dim[1] > OPS_SEQLM_DIM_MAX)
        return ops_fail(reterr, OPS_ECORRUPT, "tensor '%s': %s", name, t == NULL ? "missing" : "its extents");
    ret[0] = (int)t->dim[0];
    ret[1] = (int)t->dim[1];
    return OPS_OK;
}

static ops_status take(ops_seqlm *m, const seqlm_slot *s, const ops_safetensors *f, ops_err *reterr)
{
    const ops_safetensor *t = ops_safetensors_find(f, s->name);
    if (t == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "tensor '%s': missing", s->name);
    bool fits = t->rank == s->rank && t->dim[0] == (uint64_t)s->dim[0] &&
                (s->rank == 1 || t->dim[1] == (uint64_t)s->dim[1]);
    if (!fits)
        return ops_fail(reterr, OPS_ECORRUPT, "tensor '%s': its extents are not those of the others",
                        s->name);
    ops_status st = ops_safetensors_f32(t, m->w + s->at, reterr);
    for (size_t i = 0; st == OPS_OK && i < count_of(s); i++)
        if (!isfinite(m->w[s->at + i]))
            st = ops_fail(reterr, OPS_ECORRUPT, "tensor '%s': element %zu is no number", s->name, i);
    return st;
}

static ops_status read_config(const ops_safetensors *f, int heads, ops_seqlm_config *ret, ops_err *reterr)
{
    int table[2], place[2];
    ops_status st = shape(f, "transformer.wte.weight", table, reterr);
    if (st == OPS_OK)
        st = shape(f, "transformer.wpe.weight", place, reterr);
    if (st != OPS_OK)
        return st;
    int layers = 0;
    for (char name[SEQLM_NAME_MAX]; layers <= OPS_SEQLM_LAYERS_MAX; layers++) {
        (void)snprintf(name, sizeof name, "transformer.h.%d.ln_1.weight", layers);
        if (ops_safetensors_find(f, name) == NULL)
            break;
    }
    *ret = (ops_seqlm_config){
        .kinds = table[0], .dim = table[1], .heads = heads, .layers = layers, .context = place[0]};
    return OPS_OK;
}

static ops_status load(const ops_safetensors *f, int heads, ops_seqlm **ret, ops_err *reterr)
{
    ops_seqlm_config c;
    OPS_AUTO(ops_seqlm_free) ops_seqlm *m = NULL;
    ops_status st = read_config(f, heads, &c, reterr);
    if (st == OPS_OK)
        st = ops_seqlm_new(&c, 0, &m, reterr);
    for (size_t i = 0; st == OPS_OK && i < m->slots; i++)
        st = take(m, &m->slot[i], f, reterr);
    if (st != OPS_OK)
        return st;
    if (ops_safetensors_count(f) != m->slots)
        return ops_fail(reterr, OPS_ECORRUPT, "%zu tensors where the model has %zu", ops_safetensors_count(f),
                        m->slots);
    *ret = OPS_STEAL(m);
    return OPS_OK;
}

ops_status ops_seqlm_load(ops_slice file, int heads, ops_seqlm **ret, ops_err *reterr)
{
    OPS_AUTO(ops_safetensors_free) ops_safetensors *f = NULL;
    ops_status st = ops_safetensors_parse(file, &f, reterr);
    return st == OPS_OK ? load(f, heads, ret, reterr) : st;
}
