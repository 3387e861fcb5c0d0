#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "worker/model/bert_config.h"

#define GOOD                                                                                                 \
    "\"vocab_size\":30522,\"hidden_size\":384,\"num_hidden_layers\":6,\"num_attention_heads\":12,"           \
    "\"intermediate_size\":1536,\"max_position_embeddings\":512,\"type_vocab_size\":2"

static void reads_what_a_model_says(void **state)
{
    (void)state;
    ops_bert_config c;
    assert_int_equal(ops_bert_config_parse(OPS_SLICE("{\"model_type\":\"bert\",\"hidden_act\":\"gelu\"," GOOD
                                                     ",\"layer_norm_eps\":1e-12,\"other\":[1,{}]}"),
                                           &c, NULL),
                     OPS_OK);
    assert_int_equal(c.vocab, 30522);
    assert_int_equal(c.hidden, 384);
    assert_int_equal(c.layers, 6);
    assert_int_equal(c.heads, 12);
    assert_int_equal(c.inner, 1536);
    assert_int_equal(c.types, 2);
    assert_int_equal(c.tokens_max, 512);
    assert_true(c.eps > 0.9e-12f && c.eps < 1.1e-12f);
    assert_int_equal(ops_bert_config_sentence(OPS_SLICE("{\"max_seq_length\":256}"), &c, NULL), OPS_OK);
    assert_int_equal(c.tokens_max, 256);
    assert_int_equal(ops_bert_config_sentence(OPS_SLICE("{\"max_seq_length\":null}"), &c, NULL), OPS_OK);
    assert_int_equal(ops_bert_config_sentence(OPS_SLICE("{\"max_seq_length\":100000}"), &c, NULL), OPS_OK);
    assert_int_equal(c.tokens_max, 256);
    assert_int_equal(ops_bert_config_sentence(OPS_SLICE("{\"max_seq_length\":1}"), &c, NULL), OPS_ECORRUPT);
    assert_int_equal(ops_bert_config_sentence(OPS_SLICE("[]"), &c, NULL), OPS_ECORRUPT);
}

static void names_what_it_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
        ops_status want;
    } rows[] = {
        {"", "line", OPS_ECORRUPT},
        {"[]", "no object", OPS_ECORRUPT},
        {"{" GOOD "}", "model_type", OPS_ECORRUPT},
        {"{\"model_type\":\"gpt2\"," GOOD "}", "gpt2", OPS_EUNIMPL},
        {"{\"model_type\":\"bert\",\"hidden_act\":\"relu\"," GOOD "}", "relu", OPS_EUNIMPL},
        {"{\"model_type\":\"bert\",\"position_embedding_type\":\"relative_key\"," GOOD "}", "relative_key",
         OPS_EUNIMPL},
        {"{\"model_type\":\"bert\",\"hidden_act\":7," GOOD "}", "hidden_act", OPS_ECORRUPT},
        {"{\"model_type\":\"bert\"," GOOD ",\"layer_norm_eps\":0}", "layer_norm_eps", OPS_ECORRUPT},
        {"{\"model_type\":\"bert\"," GOOD ",\"layer_norm_eps\":1e-300}", "layer_norm_eps",
         OPS_ECORRUPT}, /* 0 as a float */
        {"{\"model_type\":\"bert\"," GOOD ",\"layer_norm_eps\":\"1\"}", "layer_norm_eps", OPS_ECORRUPT},
        {"{\"model_type\":\"bert\",\"vocab_size\":0}", "vocab_size", OPS_ECORRUPT},
        {"{\"model_type\":\"bert\",\"vocab_size\":4294967297}", "vocab_size", OPS_ECORRUPT},
        {"{\"model_type\":\"bert\",\"vocab_size\":9,\"hidden_size\":-8}", "hidden_size", OPS_ECORRUPT},
        {"{\"model_type\":\"bert\",\"vocab_size\":9,\"hidden_size\":9,\"num_hidden_layers\":1,\"num_"
         "attention_heads\":2,"
         "\"intermediate_size\":1,\"max_position_embeddings\":1,\"type_vocab_size\":1}",
         "multiple", OPS_ECORRUPT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_bert_config c;
        ops_err err = {0};
        assert_int_equal(ops_bert_config_parse(ops_slice_str(rows[i].json), &c, &err), rows[i].want);
        if (strstr(err.msg, rows[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", err.msg, rows[i].says);
    }
}

static void pools_the_mean_or_the_first(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
        ops_status want;
        ops_bert_pooling pooling;
    } rows[] = {
        {"{\"word_embedding_dimension\":384,\"pooling_mode_cls_token\":false,\"pooling_mode_mean_tokens\":"
         "true}",
         "", OPS_OK, OPS_BERT_MEAN},
        {"{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false,\"include_prompt\":true}", "",
         OPS_OK, OPS_BERT_CLS},
        {"{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":true}", "one of them", OPS_EUNIMPL,
         OPS_BERT_MEAN},
        {"{\"pooling_mode_mean_tokens\":false}", "one of them", OPS_EUNIMPL, OPS_BERT_MEAN},
        {"{\"pooling_mode_cls_token\":true,\"pooling_mode_max_tokens\":true}", "pooling_mode_max_tokens",
         OPS_EUNIMPL, OPS_BERT_MEAN},
        {"{", "line 1", OPS_ECORRUPT, OPS_BERT_MEAN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_bert_config c = {.pooling = OPS_BERT_MEAN};
        ops_err err = {0};
        assert_int_equal(ops_bert_config_pooling(ops_slice_str(rows[i].json), &c, &err), rows[i].want);
        assert_int_equal(c.pooling, rows[i].pooling);
        if (strstr(err.msg, rows[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", err.msg, rows[i].says);
    }
}

static void steps_that_are_not_built_are_named(void **state)
{
    (void)state;
    ops_err err = {0};
    assert_int_equal(ops_bert_config_modules(
                         OPS_SLICE("[{\"idx\":0,\"type\":\"sentence_transformers.models.Transformer\"},"
                                   "{\"type\":\"sentence_transformers.models.Pooling\"},"
                                   "{\"type\":\"sentence_transformers.models.Normalize\"}]"),
                         NULL),
                     OPS_OK);
    assert_int_equal(
        ops_bert_config_modules(OPS_SLICE("[{\"type\":\"sentence_transformers.models.Dense\"}]"), &err),
        OPS_EUNIMPL);
    assert_non_null(strstr(err.msg, "models.Dense"));
    assert_int_equal(ops_bert_config_modules(OPS_SLICE("[{}]"), NULL), OPS_EUNIMPL);
    assert_int_equal(ops_bert_config_modules(OPS_SLICE("{}"), NULL), OPS_ECORRUPT);
    assert_int_equal(ops_bert_config_modules(OPS_SLICE("["), NULL), OPS_ECORRUPT);
}

static void heads_come_from_the_architecture(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        ops_bert_head head;
        int labels; /* -1: refused */
    } rows[] = {
        {"", OPS_BERT_NO_HEAD, 0},
        {",\"architectures\":[\"BertModel\"],\"id2label\":{\"0\":\"a\"}", OPS_BERT_NO_HEAD, 0},
        {",\"architectures\":[\"BertForMaskedLM\"]", OPS_BERT_NO_HEAD, 0},
        {",\"architectures\":[\"BertForSequenceClassification\"]", OPS_BERT_SEQUENCE_HEAD, 2},
        {",\"architectures\":[\"BertForSequenceClassification\"],\"id2label\":{\"0\":\"score\"}",
         OPS_BERT_SEQUENCE_HEAD, 1},
        {",\"architectures\":[\"BertForTokenClassification\"],\"num_labels\":9", OPS_BERT_TOKEN_HEAD, 9},
        {",\"architectures\":[\"BertForTokenClassification\"],\"num_labels\":5000", OPS_BERT_NO_HEAD, -1},
        {",\"architectures\":[\"BertForTokenClassification\"],\"id2label\":{}", OPS_BERT_NO_HEAD, -1},
        {",\"architectures\":[\"BertForTokenClassification\"],\"id2label\":7", OPS_BERT_NO_HEAD, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char json[1024];
        ops_bert_config c;
        (void)snprintf(json, sizeof json, "{\"model_type\":\"bert\"," GOOD "%s}", rows[i].fields);
        const ops_status st = ops_bert_config_parse(ops_slice_str(json), &c, NULL);
        assert_int_equal(st, rows[i].labels < 0 ? OPS_ECORRUPT : OPS_OK);
        if (st == OPS_OK)
            assert_true(c.head == rows[i].head && c.labels == rows[i].labels && c.pooling == OPS_BERT_MEAN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_a_model_says),
        cmocka_unit_test(names_what_it_refuses),
        cmocka_unit_test(pools_the_mean_or_the_first),
        cmocka_unit_test(steps_that_are_not_built_are_named),
        cmocka_unit_test(heads_come_from_the_architecture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
