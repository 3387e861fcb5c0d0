/* Which tensors an architecture has, by name and shape, and whether a file holds just those. */
#include <stdio.h>
#include <string.h>

#include "worker/model/lm_internal.h"

/* In a GGUF file; in transformers: Llama and Qwen, Gemma where it differs, GPT-2. */
static const struct {
    const char *gguf, *hf, *gemma, *gpt2;
} part_names[OPS_LM_PARTS] = {
    [OPS_LM_ATTN_NORM] = {"attn_norm.weight", "input_layernorm.weight", NULL, "ln_1.weight"},
    [OPS_LM_Q] = {"attn_q.weight", "self_attn.q_proj.weight", NULL, "attn.c_attn.weight"},
    [OPS_LM_K] = {"attn_k.weight", "self_attn.k_proj.weight", NULL, "attn.c_attn.weight"},
    [OPS_LM_V] = {"attn_v.weight", "self_attn.v_proj.weight", NULL, "attn.c_attn.weight"},
    [OPS_LM_Q_BIAS] = {"attn_q.bias", "self_attn.q_proj.bias", NULL, "attn.c_attn.bias"},
    [OPS_LM_K_BIAS] = {"attn_k.bias", "self_attn.k_proj.bias", NULL, "attn.c_attn.bias"},
    [OPS_LM_V_BIAS] = {"attn_v.bias", "self_attn.v_proj.bias", NULL, "attn.c_attn.bias"},
    [OPS_LM_Q_NORM] = {"attn_q_norm.weight", "self_attn.q_norm.weight", NULL, NULL},
    [OPS_LM_K_NORM] = {"attn_k_norm.weight", "self_attn.k_norm.weight", NULL, NULL},
    [OPS_LM_OUT] = {"attn_output.weight", "self_attn.o_proj.weight", NULL, "attn.c_proj.weight"},
    [OPS_LM_ATTN_POST] = {"post_attention_norm.weight", NULL, "post_attention_layernorm.weight", NULL},
    [OPS_LM_FFN_NORM] = {"ffn_norm.weight", "post_attention_layernorm.weight",
                         "pre_feedforward_layernorm.weight", "ln_2.weight"},
    [OPS_LM_GATE] = {"ffn_gate.weight", "mlp.gate_proj.weight", NULL, NULL},
    [OPS_LM_UP] = {"ffn_up.weight", "mlp.up_proj.weight", NULL, "mlp.c_fc.weight"},
    [OPS_LM_DOWN] = {"ffn_down.weight", "mlp.down_proj.weight", NULL, "mlp.c_proj.weight"},
    [OPS_LM_FFN_POST] = {"post_ffw_norm.weight", NULL, "post_feedforward_layernorm.weight", NULL},
    [OPS_LM_ATTN_NORM_SHIFT] = {"attn_norm.bias", NULL, NULL, "ln_1.bias"},
    [OPS_LM_OUT_BIAS] = {"attn_output.bias", NULL, NULL, "attn.c_proj.bias"},
    [OPS_LM_FFN_NORM_SHIFT] = {"ffn_norm.bias", NULL, NULL, "ln_2.bias"},
    [OPS_LM_UP_BIAS] = {"ffn_up.bias", NULL, NULL, "mlp.c_fc.bias"},
    [OPS_LM_DOWN_BIAS] = {"ffn_down.bias", NULL, NULL, "mlp.c_proj.bias"},
};
static const struct {
    const char *gguf, *hf, *gpt2;
} global_names[OPS_LM_GLOBALS] = {
    [OPS_LM_EMBED] = {"token_embd.weight", "model.embed_tokens.weight", "transformer.wte.weight"},
    [OPS_LM_NORM] = {"output_norm.weight", "model.norm.weight", "transformer.ln_f.weight"},
    [OPS_LM_HEAD] = {"output.weight", "lm_head.weight", "lm_head.weight"},
    [OPS_LM_FACTORS] = {"rope_freqs.weight", NULL, NULL},
    [OPS_LM_NORM_SHIFT] = {"output_norm.bias", NULL, "transformer.ln_f.bias"},
    [OPS_LM_POSITIONS] = {"position_embd.weight", NULL, "transformer.wpe.weight"},
};

static bool joined(const ops_lm_config *c, ops_lm_part part)
{
    return c->layer_norm && part >= OPS_LM_Q && part <= OPS_LM_V_BIAS;
}

static void name_part(const ops_lm_config *c, int layer, ops_lm_part part, char ret[OPS_LM_NAME_MAX])
{
    const char *name = part_names[part].gguf, *before = "blk";
    if (c->layout == OPS_LM_GGUF && joined(c, part))
        name = part < OPS_LM_Q_BIAS ? "attn_qkv.weight" : "attn_qkv.bias";
    if (c->layout != OPS_LM_GGUF) {
        const bool bare = c->layout == OPS_LM_HF_BARE,
                   gemma = c->post_norms && part_names[part].gemma != NULL;
        before = c->layer_norm ? (bare ? "h" : "transformer.h") : bare ? "layers" : "model.layers";
        name = c->layer_norm ? part_names[part].gpt2 : gemma ? part_names[part].gemma : part_names[part].hf;
    }
    (void)snprintf(ret, OPS_LM_NAME_MAX, "%s.%d.%s", before, layer, name);
}

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
        [OPS_LM_GATE] = {c->inner, c->hidden, !c->layer_norm},
        [OPS_LM_UP] = {c->inner, c->hidden, true},
        [OPS_LM_DOWN] = {c->hidden, c->inner, true},
        [OPS_LM_FFN_POST] = {0, c->hidden, c->post_norms},
        [OPS_LM_ATTN_NORM_SHIFT] = {0, c->hidden, c->layer_norm},
        [OPS_LM_OUT_BIAS] = {0, c->hidden, c->layer_norm},
        [OPS_LM_FFN_NORM_SHIFT] = {0, c->hidden, c->layer_norm},
        [OPS_LM_UP_BIAS] = {0, c->inner, c->layer_norm},
        [OPS_LM_DOWN_BIAS] = {0, c->hidden, c->layer_norm},
    };
    if (!shape[part].has)
        return false;
    *ret = (ops_lm_want){.n = shape[part].n, .k = shape[part].k};
    if (joined(c, part)) {
        ret->from = (part - (part < OPS_LM_Q_BIAS ? OPS_LM_Q : OPS_LM_Q_BIAS)) * q;
        ret->of = 3 * q;
    }
    ret->crossed = c->layer_norm && c->layout != OPS_LM_GGUF && ret->n > 0;
    ret->plus = c->post_norms && c->layout != OPS_LM_GGUF && ret->n == 0 ? 1 : 0; /* Gemma's are all norms */
    name_part(c, layer, part, ret->name);
    return true;
}

bool ops_lm_want_global(const ops_lm_config *c, int which, ops_lm_want *ret)
{
    const bool gguf = c->layout == OPS_LM_GGUF;
    const ops_lm_want rows[OPS_LM_GLOBALS] = {
        [OPS_LM_EMBED] = {.n = c->vocab, .k = c->hidden},
        [OPS_LM_NORM] = {.k = c->hidden, .plus = c->post_norms && !gguf ? 1 : 0},
        [OPS_LM_HEAD] = {.n = c->vocab, .k = c->hidden, .maybe = gguf || c->tied},
        [OPS_LM_FACTORS] = {.k = c->rotary / 2, .maybe = true},
        [OPS_LM_NORM_SHIFT] = {.k = c->hidden},
        [OPS_LM_POSITIONS] = {.n = c->context, .k = c->hidden},
    };
    const char *name = gguf            ? global_names[which].gguf
                       : c->layer_norm ? global_names[which].gpt2
                                       : global_names[which].hf;
    if (name == NULL || (which == OPS_LM_FACTORS && c->arch != OPS_LM_LLAMA) ||
        (which >= OPS_LM_NORM_SHIFT && !c->layer_norm))
        return false;
    *ret = rows[which];
    if (c->layout == OPS_LM_HF_BARE && which != OPS_LM_HEAD)
        name = strchr(name, '.') + 1;
    (void)snprintf(ret->name, sizeof ret->name, "%s", name);
    return true;
}

/* Adds 1 to *found when the tensor is there and as it should be. */
static ops_status check_one(const ops_lm_source *s, const ops_lm_want *w, size_t *found, ops_err *reterr)
{
    ops_lm_tensor t;
    if (!s->find(s->from, w->name, &t))
        return w->maybe ? OPS_OK : ops_fail(reterr, OPS_ECORRUPT, "the model lacks the tensor '%s'", w->name);
    const int rank = w->n > 0 ? 2 : 1, whole = w->of > 0 ? w->of : rank == 2 ? w->n : w->k;
    const int n = rank == 1 ? 1 : w->crossed ? w->k : whole;
    const int k = rank == 1 || w->crossed ? whole : w->k;
    if (t.rank != rank || t.n != (uint64_t)n || t.k != (uint64_t)k)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "tensor '%s' has rank %d and %llu rows of %llu, the hyperparameters say %d of %d",
                        w->name, t.rank, (unsigned long long)t.n, (unsigned long long)t.k, n, k);
    if (t.type < 0)
        return ops_fail(reterr, OPS_EUNIMPL, "tensor '%s' is of the type %s, which is not built", w->name,
                        t.type_name);
    if ((w->n == 0 || w->crossed) && ops_kern_quant_block(t.type) != 1)
        return ops_fail(reterr, OPS_EUNIMPL, "the vector '%s' is of the type %s, built are F32, F16 and BF16",
                        w->name, t.type_name);
    *found += w->from == 0;
    return OPS_OK;
}

/* N of a name "... .N. ...", in which N is the first part of digits alone; -1: none below the layers. */
static int layer_of(const ops_lm_config *c, ops_slice name)
{
    ops_slice part;
    uint64_t n;
    while (ops_slice_split(&name, '.', &part))
        if (ops_slice_to_u64(part, &n))
            return n < (uint64_t)c->layers ? (int)n : -1;
    return -1;
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

/* What older versions of transformers wrote beside the weights: constants that follow from the config. */
static bool constant(const ops_lm_config *c, ops_slice name)
{
    if (c->layout == OPS_LM_GGUF || layer_of(c, name) < 0)
        return false;
    return c->layer_norm ? ops_slice_ends(name, OPS_SLICE(".attn.bias")) ||
                               ops_slice_ends(name, OPS_SLICE(".attn.masked_bias"))
                         : ops_slice_ends(name, OPS_SLICE(".self_attn.rotary_emb.inv_freq"));
}

/* Is there a head of its own? A tied one may be in the file a second time, but no other. */
static ops_status check_head(const ops_lm_source *s, ops_lm_config *c, ops_err *reterr)
{
    ops_lm_want w[2];
    ops_lm_tensor embed, head;
    (void)ops_lm_want_global(c, OPS_LM_EMBED, &w[0]);
    (void)ops_lm_want_global(c, OPS_LM_HEAD, &w[1]);
    if (!s->find(s->from, w[1].name, &head)) {
        c->tied = true;
        return OPS_OK;
    }
    if (c->tied && s->find(s->from, w[0].name, &embed) &&
        (embed.type != head.type || !ops_slice_eq(embed.bytes, head.bytes)))
        return ops_fail(reterr, OPS_ECORRUPT, "the config ties the head to the table, but '%s' is not '%s'",
                        w[1].name, w[0].name);
    return OPS_OK;
}

static ops_status check_wanted(const ops_lm_source *s, const ops_lm_config *c, size_t *found, ops_err *reterr)
{
    ops_lm_want w;
    ops_status st = OPS_OK;
    for (int i = 0; st == OPS_OK && i < OPS_LM_GLOBALS; i++)
        if (ops_lm_want_global(c, i, &w))
            st = check_one(s, &w, found, reterr);
    for (int l = 0; st == OPS_OK && l < c->layers; l++)
        for (int p = 0; st == OPS_OK && p < OPS_LM_PARTS; p++)
            if (ops_lm_want_part(c, l, (ops_lm_part)p, &w))
                st = check_one(s, &w, found, reterr);
    return st;
}

/* A model that was saved without its head has its tensors' names without the prefix. */
static void find_layout(const ops_lm_source *s, ops_lm_config *c)
{
    ops_lm_config bare = *c;
    ops_lm_want w;
    ops_lm_tensor t;
    bare.layout = OPS_LM_HF_BARE;
    if (c->layout == OPS_LM_HF && ops_lm_want_global(&bare, OPS_LM_EMBED, &w) && s->find(s->from, w.name, &t))
        c->layout = OPS_LM_HF_BARE;
}

ops_status ops_lm_check_tensors(const ops_lm_source *s, ops_lm_config *c, ops_err *reterr)
{
    size_t found = 0;
    find_layout(s, c);
    ops_status st = check_wanted(s, c, &found, reterr);
    if (st == OPS_OK)
        st = check_head(s, c, reterr);
    if (st != OPS_OK || found == s->count)
        return st;
    ops_lm_tensor t;
    for (size_t i = 0; i < s->count && s->at(s->from, i, &t);
         i++) /* names are distinct, so some are not wanted */
        if (!wanted(c, t.name) && !constant(c, t.name))
            return ops_fail(reterr, OPS_ECORRUPT, "the tensor '" OPS_SLICE_FMT "' is none of %s's",
                            OPS_SLICE_ARG(t.name), ops_lm_arch_name(c->arch));
    return OPS_OK;
}
