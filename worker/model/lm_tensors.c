/* Which tensors an architecture has, by name and shape, and whether a file holds just those. */
#include <stdio.h>
#include <string.h>

#include "worker/model/lm_internal.h"

static const char *const part_names[OPS_LM_PARTS] = {
    [OPS_LM_ATTN_NORM] = "attn_norm.weight",
    [OPS_LM_Q] = "attn_q.weight",
    [OPS_LM_K] = "attn_k.weight",
    [OPS_LM_V] = "attn_v.weight",
    [OPS_LM_Q_BIAS] = "attn_q.bias",
    [OPS_LM_K_BIAS] = "attn_k.bias",
    [OPS_LM_V_BIAS] = "attn_v.bias",
    [OPS_LM_Q_NORM] = "attn_q_norm.weight",
    [OPS_LM_K_NORM] = "attn_k_norm.weight",
    [OPS_LM_OUT] = "attn_output.weight",
    [OPS_LM_ATTN_POST] = "post_attention_norm.weight",
    [OPS_LM_FFN_NORM] = "ffn_norm.weight",
    [OPS_LM_GATE] = "ffn_gate.weight",
    [OPS_LM_UP] = "ffn_up.weight",
    [OPS_LM_DOWN] = "ffn_down.weight",
    [OPS_LM_FFN_POST] = "post_ffw_norm.weight",
};

bool ops_lm_want_part(const ops_lm_config *c, int layer, ops_lm_part part, ops_lm_want *ret)
{
    const int q = c->heads * c->width, kv = c->kv_heads * c->width;
    const struct {
        int n, k;
        bool has;
    } shape[OPS_LM_PARTS] = {
        [OPS_LM_ATTN_NORM] = {0, c->hidden, true},
        [OPS_LM_Q] = {q, c->hidden, true},
        [OPS_LM_K] = {kv, c->hidden, true},
        [OPS_LM_V] = {kv, c->hidden, true},
        [OPS_LM_Q_BIAS] = {0, q, c->bias},
        [OPS_LM_K_BIAS] = {0, kv, c->bias},
        [OPS_LM_V_BIAS] = {0, kv, c->bias},
        [OPS_LM_Q_NORM] = {0, c->width, c->head_norms},
        [OPS_LM_K_NORM] = {0, c->width, c->head_norms},
        [OPS_LM_OUT] = {c->hidden, q, true},
        [OPS_LM_ATTN_POST] = {0, c->hidden, c->post_norms},
        [OPS_LM_FFN_NORM] = {0, c->hidden, true},
        [OPS_LM_GATE] = {c->inner, c->hidden, true},
        [OPS_LM_UP] = {c->inner, c->hidden, true},
        [OPS_LM_DOWN] = {c->hidden, c->inner, true},
        [OPS_LM_FFN_POST] = {0, c->hidden, c->post_norms},
    };
    if (!shape[part].has)
        return false;
    *ret = (ops_lm_want){.n = shape[part].n, .k = shape[part].k};
    (void)snprintf(ret->name, sizeof ret->name, "blk.%d.%s", layer, part_names[part]);
    return true;
}

bool ops_lm_want_global(const ops_lm_config *c, int which, ops_lm_want *ret)
{
    const ops_lm_want rows[OPS_LM_GLOBALS] = {
        [OPS_LM_EMBED] = {"token_embd.weight", c->vocab, c->hidden, false},
        [OPS_LM_NORM] = {"output_norm.weight", 0, c->hidden, false},
        [OPS_LM_HEAD] = {"output.weight", c->vocab, c->hidden, true},
        [OPS_LM_FACTORS] = {"rope_freqs.weight", 0, c->rotary / 2, true},
    };
    *ret = rows[which];
    return which != OPS_LM_FACTORS || c->arch == OPS_LM_LLAMA;
}

/* Adds 1 to *found when the tensor is there and as it should be. */
static ops_status check_one(const ops_gguf *g, const ops_lm_want *w, size_t *found, ops_err *reterr)
{
    const ops_gguf_tensor *t = ops_gguf_tensor_find(g, w->name);
    if (t == NULL)
        return w->maybe ? OPS_OK : ops_fail(reterr, OPS_ECORRUPT, "the model lacks the tensor '%s'", w->name);
    const int rank = w->n > 0 ? 2 : 1;
    const uint64_t rows = w->n > 0 ? (uint64_t)w->n : 1;
    if (t->rank != rank || t->dim[0] != (uint64_t)w->k || t->dim[1] != rows)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "tensor '%s' has rank %d and %llu rows of %llu, the hyperparameters say %llu of %d",
                        w->name, t->rank, (unsigned long long)t->dim[1], (unsigned long long)t->dim[0],
                        (unsigned long long)rows, w->k);
    if (ops_kern_quant_bytes((int)t->type, (size_t)t->count) != t->bytes.n)
        return ops_fail(reterr, OPS_EUNIMPL, "tensor '%s' is of the type %s, which is not built", w->name,
                        ops_gguf_type_name(t->type));
    if (w->n == 0 && t->type != OPS_GGUF_TENSOR_F32 && t->type != OPS_GGUF_TENSOR_F16 &&
        t->type != OPS_GGUF_TENSOR_BF16)
        return ops_fail(reterr, OPS_EUNIMPL, "the vector '%s' is of the type %s, built are F32, F16 and BF16",
                        w->name, ops_gguf_type_name(t->type));
    (*found)++;
    return OPS_OK;
}

/* N of a name "blk.N. ..."; -1: none below the layers. */
static int layer_of(const ops_lm_config *c, ops_slice name)
{
    ops_slice part, digits;
    uint64_t n;
    const bool numbered = ops_slice_split(&name, '.', &part) && ops_slice_eq(part, OPS_SLICE("blk")) &&
                          ops_slice_split(&name, '.', &digits) && ops_slice_to_u64(digits, &n);
    return numbered && n < (uint64_t)c->layers ? (int)n : -1;
}

static bool wanted(const ops_lm_config *c, ops_slice name)
{
    ops_lm_want w;
    for (int i = 0; i < OPS_LM_GLOBALS; i++)
        if (ops_lm_want_global(c, i, &w) && ops_slice_eq(name, ops_slice_str(w.name)))
            return true;
    const int layer = layer_of(c, name);
    for (int p = 0; layer >= 0 && p < OPS_LM_PARTS; p++)
        if (ops_lm_want_part(c, layer, (ops_lm_part)p, &w) && ops_slice_eq(name, ops_slice_str(w.name)))
            return true;
    return false;
}

ops_status ops_lm_check_tensors(const ops_gguf *g, const ops_lm_config *c, ops_err *reterr)
{
    ops_lm_want w;
    size_t found = 0;
    ops_status st = OPS_OK;
    for (int i = 0; st == OPS_OK && i < OPS_LM_GLOBALS; i++)
        if (ops_lm_want_global(c, i, &w))
            st = check_one(g, &w, &found, reterr);
    for (int l = 0; st == OPS_OK && l < c->layers; l++)
        for (int p = 0; st == OPS_OK && p < OPS_LM_PARTS; p++)
            if (ops_lm_want_part(c, l, (ops_lm_part)p, &w))
                st = check_one(g, &w, &found, reterr);
    if (st != OPS_OK || found == ops_gguf_tensors(g))
        return st;
    for (size_t i = 0; i < ops_gguf_tensors(g); i++) { /* names are distinct, so one of them is not wanted */
        const ops_slice name = ops_gguf_tensor_at(g, i)->name;
        if (!wanted(c, name))
            return ops_fail(reterr, OPS_ECORRUPT, "the tensor '" OPS_SLICE_FMT "' is none of %s's",
                            OPS_SLICE_ARG(name), ops_lm_arch_name(c->arch));
    }
    return ops_fail(reterr, OPS_ECORRUPT, "the file has %zu tensors, %s takes %zu", ops_gguf_tensors(g),
                    ops_lm_arch_name(c->arch), found);
}
