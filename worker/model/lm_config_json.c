/* Hyperparameters from config.json of a Hugging Face folder. What a field means and what it is when absent: the configuration
 * classes of transformers (LlamaConfig, Qwen2Config, Qwen3Config, Gemma3TextConfig, GPT2Config), whose version 5 puts what says
 * how positions turn into `rope_parameters`. */
#include <math.h>
#include <string.h>

#include "worker/model/json_fields.h"
#include "worker/model/lm_internal.h"

static const char file[] = "config.json";

static ops_status whole(const json_t *j, const char *key, int max, int otherwise, int *ret, ops_err *reterr)
{
    return ops_json_whole(j, file, key, max, otherwise, ret, reterr);
}

static ops_status number(const json_t *j, const char *key, double max, double otherwise, float *ret,
                         ops_err *reterr)
{
    return ops_json_number(j, file, key, max, otherwise, ret, reterr);
}

static ops_status unbuilt(const char *key, const json_t *v, ops_err *reterr)
{
    const char *text = json_string_value(v);
    return ops_fail(reterr, OPS_EUNIMPL, "%s: %s%s%.60s%s is not built", file, key, text != NULL ? " '" : "",
                    text != NULL ? text : "", text != NULL ? "'" : "");
}

/* Fields that change what is computed, in the one form that is built (or absent). */
static ops_status refuse_unbuilt(const json_t *j, ops_err *reterr)
{
    static const struct {
        const char *key;
        bool built; /* what a switch must say; others must be null */
    } rows[] = {{"attention_bias", false},          {"mlp_bias", false},
                {"use_sliding_window", false},      {"use_bidirectional_attention", false},
                {"add_cross_attention", false},     {"scale_attn_by_inverse_layer_idx", false},
                {"scale_attn_weights", true},       {"attn_logit_softcapping", false},
                {"final_logit_softcapping", false}, {"quantization_config", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const json_t *v = json_object_get(j, rows[i].key);
        if (!ops_json_absent(j, rows[i].key) && !(json_is_boolean(v) && json_is_true(v) == rows[i].built))
            return unbuilt(rows[i].key, v, reterr);
    }
    const json_t *part = json_object_get(j, "partial_rotary_factor");
    if (!ops_json_absent(j, "partial_rotary_factor") &&
        !(json_is_number(part) && json_number_value(part) == 1))
        return unbuilt("partial_rotary_factor", part, reterr);
    return OPS_OK;
}

/* One of two names of the same function. */
static ops_status check_activation(const json_t *j, const char *key, const char *want, const char *alias,
                                   ops_err *reterr)
{
    const json_t *v = json_object_get(j, key);
    const char *is = json_string_value(v);
    if (ops_json_absent(j, key) || (is != NULL && (strcmp(is, want) == 0 || strcmp(is, alias) == 0)))
        return OPS_OK;
    return unbuilt(key, v, reterr);
}

/* --- how positions turn --- */
static ops_status read_llama3(const json_t *j, ops_lm_config *c, ops_err *reterr)
{
    ops_status st = number(j, "low_freq_factor", 65536, 0, &c->rope_low, reterr);
    if (st == OPS_OK)
        st = number(j, "high_freq_factor", 65536, 0, &c->rope_high, reterr);
    if (st == OPS_OK)
        st = whole(j, "original_max_position_embeddings", OPS_LM_CONTEXT_MAX, 0, &c->rope_context, reterr);
    if (st == OPS_OK && !(c->rope_high > c->rope_low))
        st = ops_fail(reterr, OPS_ECORRUPT, "%s: high_freq_factor %g is not above low_freq_factor %g", file,
                      (double)c->rope_high, (double)c->rope_low);
    return st;
}

static ops_status read_scaling(const json_t *j, ops_lm_config *c, ops_err *reterr)
{
    const json_t *kind = json_object_get(j, ops_json_absent(j, "rope_type") ? "type" : "rope_type");
    const char *name = json_string_value(kind);
    if (j == NULL || json_is_null(j) || kind == NULL || (name != NULL && strcmp(name, "default") == 0))
        return OPS_OK;
    const bool llama3 = name != NULL && strcmp(name, "llama3") == 0;
    if (!llama3 && (name == NULL || strcmp(name, "linear") != 0))
        return unbuilt("rope_type", kind, reterr);
    const ops_status st = number(j, "factor", 65536, 0, &c->rope_slower, reterr);
    return st == OPS_OK && llama3 ? read_llama3(j, c, reterr) : st;
}

static ops_status read_rope(const json_t *j, ops_lm_config *c, ops_err *reterr)
{
    const json_t *all = json_object_get(j, "rope_parameters"), *full = json_object_get(all, "full_attention");
    const json_t *local = json_object_get(all, "sliding_attention");
    const bool newer = json_is_object(all), gemma = c->post_norms;
    const json_t *rope = full != NULL ? full : all;
    ops_status st = number(newer ? rope : j, "rope_theta", 1e12, gemma ? 1e6 : 1e4, &c->theta, reterr);
    if (st == OPS_OK)
        st = read_scaling(newer ? rope : json_object_get(j, "rope_scaling"), c, reterr);
    if (st != OPS_OK || !gemma)
        return st;
    return local != NULL ? number(local, "rope_theta", 1e12, 1e4, &c->theta_window, reterr)
                         : number(j, "rope_local_base_freq", 1e12, 1e4, &c->theta_window, reterr);
}

/* --- which layers have a window --- */
static ops_status read_layer_types(const json_t *types, ops_lm_config *c, ops_err *reterr)
{
    c->period = c->layers + 1;
    if (!json_is_array(types) || json_array_size(types) != (size_t)c->layers)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: layer_types does not list %d layers", file, c->layers);
    for (int i = 0; i < c->layers; i++) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        const bool full = type != NULL && strcmp(type, "full_attention") == 0;
        if (!full && (type == NULL || strcmp(type, "sliding_attention") != 0))
            return unbuilt("layer_types", json_array_get(types, (size_t)i), reterr);
        if (full && c->period > c->layers)
            c->period = i + 1;
        if (full == ((i + 1) % c->period != 0))
            return unbuilt("layer_types of no even turn", NULL, reterr);
    }
    return OPS_OK;
}

static ops_status read_gemma(const json_t *j, ops_lm_config *c, ops_err *reterr)
{
    enum { PERIOD = 6, WINDOW = 4096, SCALE = 256 };
    float scalar = 0;
    c->embed_scale = sqrtf((float)c->hidden);
    ops_status st = number(j, "query_pre_attn_scalar", 65536, SCALE, &scalar, reterr);
    c->scale = 1 / sqrtf(scalar);
    if (st == OPS_OK)
        st = whole(j, "sliding_window", OPS_LM_CONTEXT_MAX, WINDOW, &c->window, reterr);
    if (st == OPS_OK && !ops_json_absent(j, "layer_types"))
        return read_layer_types(json_object_get(j, "layer_types"), c, reterr);
    return st == OPS_OK ? whole(j, "sliding_window_pattern", OPS_LM_LAYERS_MAX, PERIOD, &c->period, reterr)
                        : st;
}

/* --- sizes --- */
typedef struct size_field {
    const char *key;
    int max, *to;
} size_field;

static ops_status read_sizes(const json_t *j, const size_field *f, size_t n, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < n; i++)
        st = whole(j, f[i].key, f[i].max, 0, f[i].to, reterr);
    return st;
}

static ops_status read_llama(const json_t *j, ops_lm_config *c, ops_err *reterr)
{
    enum { WIDTH_QWEN3 = 128, WIDTH_GEMMA = 256 };
    const size_field sizes[] = {{"vocab_size", OPS_KERN_EXTENT_MAX, &c->vocab},
                                {"max_position_embeddings", OPS_LM_CONTEXT_MAX, &c->context},
                                {"num_hidden_layers", OPS_LM_LAYERS_MAX, &c->layers},
                                {"hidden_size", OPS_LM_HIDDEN_MAX, &c->hidden},
                                {"intermediate_size", OPS_LM_INNER_MAX, &c->inner},
                                {"num_attention_heads", OPS_LM_HEADS_MAX, &c->heads}};
    ops_status st = read_sizes(j, sizes, sizeof sizes / sizeof *sizes, reterr);
    if (st == OPS_OK)
        st = whole(j, "num_key_value_heads", OPS_LM_HEADS_MAX, c->heads, &c->kv_heads, reterr);
    if (st != OPS_OK)
        return st;
    const int even = c->hidden % c->heads == 0 ? c->hidden / c->heads : 0;
    const int width = c->post_norms ? WIDTH_GEMMA : c->head_norms ? WIDTH_QWEN3 : even;
    st = whole(j, "head_dim", OPS_LM_WIDTH_MAX, width, &c->width, reterr);
    c->rotary = c->width;
    if (st == OPS_OK)
        st = number(j, "rms_norm_eps", 1, 1e-6, &c->eps, reterr);
    if (st == OPS_OK)
        st = c->post_norms ? check_activation(j, "hidden_activation", "gelu_pytorch_tanh", "gelu_new", reterr)
                           : check_activation(j, "hidden_act", "silu", "swish", reterr);
    if (st == OPS_OK)
        st = read_rope(j, c, reterr);
    c->scale = 1 / sqrtf((float)c->width);
    return st == OPS_OK && c->post_norms ? read_gemma(j, c, reterr) : st;
}

static ops_status read_gpt2(const json_t *j, ops_lm_config *c, ops_err *reterr)
{
    enum { INNER = 4 }; /* times the width of the stream */
    const size_field sizes[] = {{"vocab_size", OPS_KERN_EXTENT_MAX, &c->vocab},
                                {"n_positions", OPS_LM_CONTEXT_MAX, &c->context},
                                {"n_layer", OPS_LM_LAYERS_MAX, &c->layers},
                                {"n_embd", OPS_LM_HIDDEN_MAX, &c->hidden},
                                {"n_head", OPS_LM_HEADS_MAX, &c->heads}};
    ops_status st = read_sizes(j, sizes, sizeof sizes / sizeof *sizes, reterr);
    if (st == OPS_OK)
        st = whole(j, "n_inner", OPS_LM_INNER_MAX, INNER * c->hidden, &c->inner, reterr);
    if (st == OPS_OK)
        st = number(j, "layer_norm_epsilon", 1, 1e-5, &c->eps, reterr);
    if (st == OPS_OK)
        st = check_activation(j, "activation_function", "gelu_new", "gelu_pytorch_tanh", reterr);
    if (st != OPS_OK)
        return st;
    c->kv_heads = c->heads;
    c->width = c->hidden / c->heads;
    c->scale = 1 / sqrtf((float)c->width);
    return OPS_OK;
}

static ops_status find_arch(const json_t *j, ops_lm_arch *ret, ops_err *reterr)
{
    static const char *const types[OPS_LM_ARCHS] = {[OPS_LM_LLAMA] = "llama",
                                                    [OPS_LM_QWEN2] = "qwen2",
                                                    [OPS_LM_QWEN3] = "qwen3",
                                                    [OPS_LM_GEMMA3] = "gemma3_text",
                                                    [OPS_LM_GPT2] = "gpt2"};
    const char *name = json_string_value(json_object_get(j, "model_type"));
    if (name == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: no model_type", file);
    for (int i = 0; i < OPS_LM_ARCHS; i++)
        if (strcmp(name, types[i]) == 0) {
            *ret = (ops_lm_arch)i;
            return OPS_OK;
        }
    return ops_fail(reterr, OPS_EUNIMPL,
                    "%s: the model_type '%.60s' is not built: " OPS_LM_ARCH_NAMES
                    " are (of Gemma 3 the text model, gemma3_text)",
                    file, name);
}

static ops_status read_config(const json_t *j, ops_lm_config *c, ops_err *reterr)
{
    ops_lm_arch arch = OPS_LM_LLAMA;
    ops_status st = find_arch(j, &arch, reterr);
    if (st == OPS_OK)
        st = refuse_unbuilt(j, reterr);
    if (st != OPS_OK)
        return st;
    *c = ops_lm_config_of_arch(arch);
    c->layout = OPS_LM_HF;
    c->half_split = true;
    const bool tied = arch == OPS_LM_GPT2 || arch == OPS_LM_GEMMA3;
    st = ops_json_bool(j, file, "tie_word_embeddings", tied, &c->tied, reterr);
    if (st == OPS_OK)
        st = arch == OPS_LM_GPT2 ? read_gpt2(j, c, reterr) : read_llama(j, c, reterr);
    return st == OPS_OK ? ops_lm_config_finish(c, reterr) : st;
}

ops_status ops_lm_config_parse(ops_slice json, ops_lm_config *ret, ops_err *reterr)
{
    json_t *j = NULL;
    ops_lm_config c;
    ops_status st = ops_json_load(json, file, &j, reterr);
    if (st != OPS_OK)
        return st;
    st = read_config(j, &c, reterr);
    json_decref(j);
    if (st == OPS_OK)
        *ret = c;
    return st;
}
