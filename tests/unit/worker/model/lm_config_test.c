/* config.json of decoders: what is read, and what is refused with the name of the field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/golden.h"
#include "worker/model/lm.h"

#define LLAMA                                                                                                \
    "\"model_type\":\"llama\",\"vocab_size\":96,\"max_position_embeddings\":64,\"num_hidden_layers\":7,"     \
    "\"hidden_size\":32,\"intermediate_size\":64,\"num_attention_heads\":4"
#define GEMMA                                                                                                \
    "\"model_type\":\"gemma3_text\",\"vocab_size\":96,\"max_position_embeddings\":64,"                       \
    "\"num_hidden_layers\":7,\"hidden_size\":32,\"intermediate_size\":64,\"num_attention_heads\":4"
#define GPT2                                                                                                 \
    "\"model_type\":\"gpt2\",\"vocab_size\":96,\"n_positions\":64,\"n_layer\":2,\"n_embd\":32,\"n_head\":4"

static ops_lm_config config(const char *fields)
{
    char json[2048];
    ops_lm_config c = {.layers = 0};
    ops_err err;
    (void)snprintf(json, sizeof json, "{%s}", fields);
    if (ops_lm_config_parse(ops_slice_str(json), &c, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return c;
}

static void refused(const char *fields, ops_status want, const char *part)
{
    char json[2048];
    ops_lm_config c = {.layers = 42};
    ops_err err = {.msg = ""};
    (void)snprintf(json, sizeof json, "{%s}", fields);
    assert_int_equal(ops_lm_config_parse(ops_slice_str(json), &c, &err), want);
    if (strstr(err.msg, part) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.msg, part);
    assert_int_equal(c.layers, 42);
}

static void reads_what_transformers_wrote(void **state)
{
    (void)state;
    ops_slice json = golden_read("tests/golden/lm/hf/llama3/config.json");
    ops_lm_config c = {.layers = 0};
    assert_int_equal(ops_lm_config_parse(json, &c, NULL), OPS_OK);
    assert_true(c.arch == OPS_LM_LLAMA && c.layout == OPS_LM_HF && c.half_split && !c.tied);
    assert_int_equal(c.vocab, 96);
    assert_int_equal(c.layers, 2);
    assert_int_equal(c.kv_heads, 2);
    assert_int_equal(c.width, 8);
    assert_true(c.theta == 500 && c.rope_slower == 4 && c.rope_low == 1 && c.rope_high == 4);
    assert_int_equal(c.rope_context, 16);
    golden_free(json);
}

/* What an absent field means differs between the architectures. */
static void absent_fields_are_the_architectures_own(void **state)
{
    (void)state;
    ops_lm_config c = config(LLAMA ",\"rope_scaling\":null,\"head_dim\":null");
    assert_true(c.kv_heads == 4 && c.width == 8 && c.theta == 1e4F && c.eps == 1e-6F && !c.tied);
    assert_true(c.window == 0 && c.rope_context == 0 && c.rope_slower == 1);
    c = config(GEMMA);
    assert_true(c.width == 256 && c.theta == 1e6F && c.theta_window == 1e4F && c.tied && c.window == 4096);
    assert_true(c.period == 6 && c.scale == 0.0625F && c.embed_scale == sqrtf(32));
    c = config(GPT2 ",\"n_inner\":null");
    assert_true(c.inner == 128 && c.width == 8 && c.eps == 1e-5F && c.tied && c.rotary == 0 && c.layer_norm);
}

static void the_newer_way_to_say_it_is_the_same(void **state)
{
    (void)state;
    ops_lm_config c =
        config(LLAMA ",\"rope_parameters\":{\"rope_theta\":5e5,\"rope_type\":\"llama3\",\"factor\":8.0,"
                     "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                     "\"original_max_position_embeddings\":32}");
    assert_true(c.theta == 5e5F && c.rope_slower == 8 && c.rope_high == 4 && c.rope_context == 32);
    c = config(GEMMA ",\"layer_types\":[\"sliding_attention\",\"sliding_attention\",\"full_attention\","
                     "\"sliding_attention\",\"sliding_attention\",\"full_attention\",\"sliding_attention\"],"
                     "\"rope_parameters\":{\"full_attention\":{\"rope_theta\":2e6,\"rope_type\":\"linear\","
                     "\"factor\":2},\"sliding_attention\":{\"rope_theta\":3e4}}");
    assert_true(c.period == 3 && c.theta == 2e6F && c.theta_window == 3e4F && c.rope_slower == 2);
    c = config(GEMMA
               ",\"layer_types\":[\"sliding_attention\",\"sliding_attention\",\"sliding_attention\","
               "\"sliding_attention\",\"sliding_attention\",\"sliding_attention\",\"sliding_attention\"]");
    assert_int_equal(c.period, 8); /* none of the seven sees all */
}

static void refuses_what_is_not_built_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *part;
    } rows[] = {
        {"\"model_type\":\"mamba\"", "'mamba'"},
        {"\"model_type\":\"gemma3\"", "gemma3_text"},
        {LLAMA ",\"attention_bias\":true", "attention_bias"},
        {LLAMA ",\"mlp_bias\":true", "mlp_bias"},
        {LLAMA ",\"hidden_act\":\"relu\"", "hidden_act 'relu'"},
        {LLAMA ",\"hidden_act\":7", "hidden_act"},
        {LLAMA ",\"partial_rotary_factor\":0.5", "partial_rotary_factor"},
        {LLAMA ",\"quantization_config\":{\"bits\":4}", "quantization_config"},
        {LLAMA ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4}", "rope_type 'yarn'"},
        {LLAMA ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":4}", "rope_type 'dynamic'"},
        {LLAMA ",\"use_sliding_window\":true", "use_sliding_window"},
        {GEMMA ",\"final_logit_softcapping\":30.0", "final_logit_softcapping"},
        {GEMMA ",\"use_bidirectional_attention\":true", "use_bidirectional_attention"},
        {GEMMA ",\"hidden_activation\":\"gelu\"", "hidden_activation 'gelu'"},
        {GEMMA ",\"layer_types\":[\"full_attention\",\"sliding_attention\",\"full_attention\","
               "\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\"]",
         "no even turn"},
        {GPT2 ",\"activation_function\":\"relu\"", "activation_function 'relu'"},
        {GPT2 ",\"scale_attn_weights\":false", "scale_attn_weights"},
        {GPT2 ",\"scale_attn_by_inverse_layer_idx\":true", "inverse_layer_idx"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refused(rows[i].fields, OPS_EUNIMPL, rows[i].part);
}

static void refuses_numbers_that_lie(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *part;
    } rows[] = {
        {"", "model_type"},
        {"\"model_type\":\"llama\"", "vocab_size"},
        {LLAMA ",\"model_type\":\"qwen2\"", "line"}, /* a key twice */
        {LLAMA ",\"num_key_value_heads\":3", "do not divide"},
        {LLAMA ",\"num_key_value_heads\":0", "num_key_value_heads"},
        {LLAMA ",\"head_dim\":513", "head_dim"},
        {LLAMA ",\"head_dim\":7", "not even"},
        {LLAMA ",\"rms_norm_eps\":-1", "rms_norm_eps"},
        {LLAMA ",\"rms_norm_eps\":1e-300", "rms_norm_eps"},
        {LLAMA ",\"rope_theta\":\"x\"", "rope_theta"},
        {LLAMA ",\"tie_word_embeddings\":1", "tie_word_embeddings"},
        {LLAMA ",\"rope_scaling\":{\"rope_type\":\"linear\"}", "factor"},
        {LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":2,\"low_freq_factor\":4,"
               "\"high_freq_factor\":4,\"original_max_position_embeddings\":16}",
         "not above"},
        {GEMMA ",\"layer_types\":[\"full_attention\"]", "7 layers"},
        {GEMMA ",\"sliding_window\":0", "sliding_window"},
        {"\"model_type\":\"gpt2\",\"vocab_size\":96,\"n_positions\":64,\"n_layer\":2,\"n_embd\":32,\"n_"
         "head\":5",
         "stream of 32"},
        {"\"model_type\":\"gpt2\",\"vocab_size\":96,\"n_positions\":64,\"n_layer\":2,\"n_embd\":32,\"n_"
         "head\":64",
         "0 wide"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refused(rows[i].fields, OPS_ECORRUPT, rows[i].part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_transformers_wrote),
        cmocka_unit_test(absent_fields_are_the_architectures_own),
        cmocka_unit_test(the_newer_way_to_say_it_is_the_same),
        cmocka_unit_test(refuses_what_is_not_built_by_name),
        cmocka_unit_test(refuses_numbers_that_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
