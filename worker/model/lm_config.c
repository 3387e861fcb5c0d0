/* Hyperparameters from the metadata of a GGUF file: "general.architecture" names the prefix of the other keys. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "worker/model/lm_internal.h"

static const struct {
    const char *name;
    bool bias, head_norms, gemma, half_split, gpt2;
} archs[OPS_LM_ARCHS] = {[OPS_LM_LLAMA] = {"llama", false, false, false, false, false},
                         [OPS_LM_QWEN2] = {"qwen2", true, false, false, true, false},
                         [OPS_LM_QWEN3] = {"qwen3", false, true, false, true, false},
                         [OPS_LM_GEMMA3] = {"gemma3", false, true, true, true, false},
                         [OPS_LM_GPT2] = {"gpt2", true, false, false, false, true}};
enum { KEY_MAX = 96 };

const char *ops_lm_arch_name(ops_lm_arch arch)
{
    return archs[arch].name;
}

ops_lm_config ops_lm_config_of_arch(ops_lm_arch arch)
{
    return (ops_lm_config){.arch = arch,
                           .embed_scale = 1,
                           .rope_slower = 1,
                           .theta = 1,
                           .bias = archs[arch].bias,
                           .head_norms = archs[arch].head_norms,
                           .post_norms = archs[arch].gemma,
                           .gelu = archs[arch].gemma || archs[arch].gpt2,
                           .half_split = archs[arch].half_split,
                           .layer_norm = archs[arch].gpt2};
}

ops_status ops_lm_config_finish(ops_lm_config *c, ops_err *reterr)
{
    if (c->heads % c->kv_heads != 0)
        return ops_fail(reterr, OPS_ECORRUPT, "%d heads of queries do not divide over %d of keys", c->heads,
                        c->kv_heads);
    if (c->width < 1 || c->width > OPS_LM_WIDTH_MAX)
        return ops_fail(reterr, OPS_ECORRUPT, "heads %d wide, not 1 to %d", c->width, OPS_LM_WIDTH_MAX);
    if (c->rotary % 2 != 0)
        return ops_fail(reterr, OPS_ECORRUPT, "%d elements of a head are turned, which is not even",
                        c->rotary);
    /* GPT-2 has one map for all three, so as many keys as queries, as wide as the stream */
    if (c->layer_norm && (c->kv_heads != c->heads || c->heads * c->width != c->hidden))
        return ops_fail(reterr, OPS_ECORRUPT, "%d heads of %d, %d of keys, in a stream of %d", c->heads,
                        c->width, c->kv_heads, c->hidden);
    return OPS_OK;
}

typedef struct reader {
    const ops_gguf *g;
    const char *arch;
    ops_err *reterr;
} reader;

static const char *key_of(const reader *r, const char *name, char key[KEY_MAX])
{
    (void)snprintf(key, KEY_MAX, "%s.%s", r->arch, name);
    return key;
}

/* A whole number in [1, max]; absent: `otherwise`, which 0 makes an error. */
static ops_status whole(const reader *r, const char *name, int max, int otherwise, int *ret)
{
    char key[KEY_MAX];
    uint64_t v = 0;
    if (ops_gguf_find(r->g, key_of(r, name, key)) == NULL && otherwise > 0) {
        *ret = otherwise;
        return OPS_OK;
    }
    if (!ops_gguf_u64(r->g, key, &v))
        return ops_fail(r->reterr, OPS_ECORRUPT, "the key '%s' is missing or no whole number", key);
    if (v < 1 || v > (uint64_t)max)
        return ops_fail(r->reterr, OPS_ECORRUPT, "the key '%s' is %llu, not between 1 and %d", key,
                        (unsigned long long)v, max);
    *ret = (int)v;
    return OPS_OK;
}

/* A number in (0, max]; absent: `otherwise`, which 0 makes an error. */
static ops_status number(const reader *r, const char *name, double max, double otherwise, float *ret)
{
    char key[KEY_MAX];
    double v = otherwise;
    if (ops_gguf_find(r->g, key_of(r, name, key)) == NULL ? !(otherwise > 0) : !ops_gguf_f64(r->g, key, &v))
        return ops_fail(r->reterr, OPS_ECORRUPT, "the key '%s' is missing or no number", key);
    if (!(v > 0 && v <= max))
        return ops_fail(r->reterr, OPS_ECORRUPT, "the key '%s' is %g, not between 0 and %g", key, v, max);
    *ret = (float)v;
    return OPS_OK;
}

/* Keys that change what is computed and are not built. */
static ops_status refuse_unbuilt(const reader *r, ops_lm_config *c)
{
    static const char *const unbuilt[] = {"expert_count",
                                          "attn_logit_softcapping",
                                          "final_logit_softcapping",
                                          "attention.clamp_kqv",
                                          "attention.value_length_mla",
                                          "logit_scale",
                                          "residual_scale",
                                          "embedding_scale",
                                          "attention.scale"};
    char key[KEY_MAX];
    for (size_t i = 0; i < sizeof unbuilt / sizeof *unbuilt; i++) {
        double f = 0;
        uint64_t u = 0;
        if (ops_gguf_find(r->g, key_of(r, unbuilt[i], key)) == NULL)
            continue;
        if ((ops_gguf_f64(r->g, key, &f) && f == 0) || (ops_gguf_u64(r->g, key, &u) && u == 0))
            continue;
        return ops_fail(r->reterr, OPS_EUNIMPL, "the key '%s' is not built", key);
    }
    ops_slice kind;
    if (!ops_gguf_text(r->g, key_of(r, "rope.scaling.type", key), &kind) ||
        ops_slice_eq(kind, OPS_SLICE("none")))
        return OPS_OK;
    if (!ops_slice_eq(kind, OPS_SLICE("linear")))
        return ops_fail(r->reterr, OPS_EUNIMPL, "the key '%s' is '" OPS_SLICE_FMT "', built is linear", key,
                        OPS_SLICE_ARG(ops_slice_sub(kind, 0, 40)));
    return number(r, "rope.scaling.factor", 65536, 0, &c->rope_slower);
}

static ops_status read_heads(const reader *r, ops_lm_config *c)
{
    int value_width = 0;
    ops_status st = whole(r, "attention.head_count", OPS_LM_HEADS_MAX, 0, &c->heads);
    if (st == OPS_OK)
        st = whole(r, "attention.head_count_kv", OPS_LM_HEADS_MAX, c->heads, &c->kv_heads);
    if (st != OPS_OK)
        return st;
    const int even = c->hidden % c->heads == 0 ? c->hidden / c->heads : 0;
    st = whole(r, "attention.key_length", OPS_LM_WIDTH_MAX, even, &c->width);
    if (st == OPS_OK)
        st = whole(r, "attention.value_length", OPS_LM_WIDTH_MAX, c->width, &value_width);
    if (st == OPS_OK && value_width != c->width)
        st = ops_fail(r->reterr, OPS_EUNIMPL, "keys %d wide and values %d wide are not built", c->width,
                      value_width);
    if (st == OPS_OK && !c->layer_norm)
        st = whole(r, "rope.dimension_count", c->width, c->width, &c->rotary);
    return st;
}

static ops_status read_gemma(const reader *r, ops_lm_config *c)
{
    enum { PERIOD = 6, LAYERS_27B = 62 };
    c->embed_scale = sqrtf((float)c->hidden);
    c->period = PERIOD;
    if (c->layers == LAYERS_27B) /* the one size whose scale is not that of its heads' width */
        c->scale = 1 / sqrtf((float)c->hidden / (float)c->heads);
    ops_status st = whole(r, "attention.sliding_window", OPS_LM_CONTEXT_MAX, 0, &c->window);
    if (st == OPS_OK)
        st = number(r, "rope.freq_base_swa", 1e12, 1e4, &c->theta_window);
    return st;
}

static ops_status find_arch(const ops_gguf *g, ops_lm_arch *ret, ops_err *reterr)
{
    ops_slice name;
    if (!ops_gguf_text(g, "general.architecture", &name))
        return ops_fail(reterr, OPS_ECORRUPT, "the key 'general.architecture' is missing");
    for (int i = 0; i < OPS_LM_ARCHS; i++)
        if (ops_slice_eq(name, ops_slice_str(archs[i].name))) {
            *ret = (ops_lm_arch)i;
            return OPS_OK;
        }
    return ops_fail(reterr, OPS_EUNIMPL,
                    "the architecture '" OPS_SLICE_FMT "' is not built: " OPS_LM_ARCH_NAMES " are",
                    OPS_SLICE_ARG(ops_slice_sub(name, 0, 64)));
}

static ops_status read_vocab(const reader *r, ops_lm_config *c)
{
    const ops_gguf_tensor *t = ops_gguf_tensor_find(r->g, "token_embd.weight");
    if (t == NULL)
        return ops_fail(r->reterr, OPS_ECORRUPT, "the model lacks the tensor 'token_embd.weight'");
    if (t->rank != 2 || t->dim[1] > OPS_KERN_EXTENT_MAX)
        return ops_fail(r->reterr, OPS_ECORRUPT, "tensor 'token_embd.weight' has rank %d and %llu rows",
                        t->rank, (unsigned long long)t->dim[1]);
    c->vocab = (int)t->dim[1];
    return OPS_OK;
}

ops_status ops_lm_config_read(const ops_gguf *g, ops_lm_config *ret, ops_err *reterr)
{
    ops_lm_arch arch = OPS_LM_LLAMA;
    ops_status st = find_arch(g, &arch, reterr);
    if (st != OPS_OK)
        return st;
    const reader r = {g, archs[arch].name, reterr};
    ops_lm_config c = ops_lm_config_of_arch(arch);
    const struct {
        const char *name;
        int max, *to;
    } sizes[] = {{"context_length", OPS_LM_CONTEXT_MAX, &c.context},
                 {"block_count", OPS_LM_LAYERS_MAX, &c.layers},
                 {"embedding_length", OPS_LM_HIDDEN_MAX, &c.hidden},
                 {"feed_forward_length", OPS_LM_INNER_MAX, &c.inner}};
    for (size_t i = 0; st == OPS_OK && i < sizeof sizes / sizeof *sizes; i++)
        st = whole(&r, sizes[i].name, sizes[i].max, 0, sizes[i].to);
    if (st == OPS_OK)
        st = refuse_unbuilt(&r, &c);
    if (st == OPS_OK)
        st = read_heads(&r, &c);
    if (st == OPS_OK)
        st = number(&r, c.layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 1,
                    0, &c.eps);
    if (st == OPS_OK && c.rotary > 0)
        st = number(&r, "rope.freq_base", 1e12, archs[c.arch].gemma ? 1e6 : 1e4, &c.theta);
    if (st == OPS_OK)
        st = read_vocab(&r, &c);
    if (st == OPS_OK)
        st = ops_lm_config_finish(&c, reterr);
    if (st != OPS_OK)
        return st;
    c.scale = 1 / sqrtf((float)c.width);
    if (archs[c.arch].gemma)
        st = read_gemma(&r, &c);
    if (st == OPS_OK)
        *ret = c;
    return st;
}
