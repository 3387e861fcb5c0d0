/* Models with a head as engines: what the reference's logits make, in any company and however they are cut into batches. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/mem/alloc.h"
#include "tests/support/head_folder.h"
#include "worker/engine/engine_bert.h"

enum { TEXTS_MAX = 16, LABELS_MAX = 8 };

/* With 24 tokens a text, as the fixtures were made. */
static ops_engine *open_head(const head_folder *f, uint32_t batch)
{
    ops_engine *e = NULL;
    ops_err err;
    char side[128];
    (void)snprintf(side, sizeof side, "%s/sentence_bert_config.json", f->path);
    FILE *out = fopen(side, "w");
    assert_non_null(out);
    assert_true(fputs("{\"max_seq_length\":24}", out) >= 0);
    assert_int_equal(fclose(out), 0);
    const ops_engine_bert_conf conf = {.path = f->path, .batch_tokens_max = batch};
    if (ops_engine_bert_open(&conf, &e, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(unlink(side), 0);
    return e;
}

static json_t *cases_of(const char *head)
{
    char path[128];
    (void)snprintf(path, sizeof path, "tests/golden/bert_heads/%s/expect.json", head);
    json_t *j = json_load_file(path, 0, NULL);
    assert_in_range(json_array_size(j), 4, TEXTS_MAX);
    return j;
}

static ops_slice text_of(const json_t *cases, size_t i, size_t which)
{
    return ops_slice_str(
        json_string_value(json_array_get(json_object_get(json_array_get(cases, i), "texts"), which)));
}

static double logit(const json_t *cases, size_t i, size_t k)
{
    return json_number_value(json_array_get(json_object_get(json_array_get(cases, i), "logits"), k));
}

static void a_text_has_labels(void **state)
{
    (void)state;
    static const char *const old = "\"hidden_act\": \"gelu\"";
    static const struct {
        const char *new;
        bool multi;
    } rows[] = {{"\"hidden_act\": \"gelu\"", false},
                {"\"hidden_act\": \"gelu\", \"problem_type\": \"multi_label_classification\"", true}};
    json_t *cases = cases_of("sequence");
    const size_t n = json_array_size(cases);
    ops_slice texts[TEXTS_MAX];
    for (size_t i = 0; i < n; i++)
        texts[i] = text_of(cases, i, 0);
    for (size_t r = 0; r < 4; r++) {
        const head_folder f = head_folder_make("sequence", old, rows[r / 2].new);
        ops_engine *e = open_head(&f, r % 2 == 0 ? 1 : 0); /* one text a batch, nearly, or all */
        const ops_engine_info *info = ops_engine_info_get(e);
        float got[TEXTS_MAX * LABELS_MAX];
        uint64_t tokens = 0;
        assert_int_equal(info->does, OPS_ENGINE_CLASSIFIES);
        assert_int_equal(info->label_count, 3);
        assert_int_equal(info->dim, 0);
        assert_memory_equal(info->labels, "LABEL_0\0LABEL_1\0LABEL_2", 24);
        const ops_engine_question q = {.texts = texts, .n = n};
        assert_int_equal(ops_engine_score(e, &q, got, NULL, &tokens, NULL, NULL), OPS_OK);
        size_t ids = 0;
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            ids += json_array_size(json_object_get(json_array_get(cases, i), "ids"));
            for (size_t k = 0; k < 3; k++)
                sum += exp(logit(cases, i, k));
            for (size_t k = 0; k < 3; k++) {
                const double z = logit(cases, i, k);
                const double want = rows[r / 2].multi ? 1 / (1 + exp(-z)) : exp(z) / sum;
                assert_true(fabs(want - (double)got[i * 3 + k]) < 1e-5);
            }
        }
        assert_int_equal(tokens, ids);
        ops_engine_free(e);
        head_folder_remove(&f);
    }
    json_decref(cases);
}

static void a_pair_has_one_number(void **state)
{
    (void)state;
    json_t *cases = cases_of("pair");
    const head_folder f = head_folder_make("pair", NULL, NULL);
    ops_engine *e = open_head(&f, 0);
    assert_int_equal(ops_engine_info_get(e)->does, OPS_ENGINE_RERANKS);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const ops_slice query = text_of(cases, i, 0), other = OPS_SLICE("of"), doc = text_of(cases, i, 1);
        const ops_slice docs[] = {other, doc, other};
        const ops_engine_question q = {.query = &query, .texts = docs, .n = 3};
        float got[3];
        assert_int_equal(ops_engine_score(e, &q, got, NULL, NULL, NULL, NULL), OPS_OK);
        assert_true(fabs(1 / (1 + exp(-logit(cases, i, 0))) - (double)got[1]) < 1e-5);
        assert_memory_equal(&got[0], &got[2], sizeof *got);
    }
    ops_engine_free(e);
    head_folder_remove(&f);
    json_decref(cases);
}

static void words_have_labels(void **state)
{
    (void)state;
    json_t *cases = cases_of("tokens"),
           *want = json_load_file("tests/golden/bert_heads/tokens/spans.json", 0, NULL);
    const json_t *spans = json_object_get(want, "spans");
    const head_folder f = head_folder_make("tokens", HEAD_LABELS, HEAD_TAGS);
    const size_t n = json_array_size(cases);
    ops_slice texts[TEXTS_MAX];
    for (size_t i = 0; i < n; i++)
        texts[i] = text_of(cases, i, 0);
    for (uint32_t batch = 0; batch < 2; batch++) {
        ops_engine *e = open_head(&f, batch);
        ops_engine_spans got = {0};
        const ops_engine_question q = {.texts = texts, .n = n, .first = 7};
        assert_int_equal(ops_engine_info_get(e)->does, OPS_ENGINE_TAGS);
        assert_int_equal(ops_engine_score(e, &q, NULL, &got, NULL, NULL, NULL), OPS_OK);
        size_t at = 0;
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < json_array_size(json_array_get(spans, i)); k++, at++) {
                const json_t *s = json_array_get(json_array_get(spans, i), k);
                assert_true(at < got.n);
                assert_int_equal(got.v[at].text, 7 + i);
                assert_string_equal(got.v[at].label, json_string_value(json_array_get(s, 0)));
                assert_int_equal(got.v[at].begin, json_integer_value(json_array_get(s, 1)));
                assert_int_equal(got.v[at].end, json_integer_value(json_array_get(s, 2)));
                assert_true(fabs((double)got.v[at].probability - json_number_value(json_array_get(s, 3))) <
                            1e-5);
            }
        assert_int_equal(at, got.n);
        assert_true(at > 8);
        ops_free(got.v);
        ops_engine_free(e);
    }
    head_folder_remove(&f);
    json_decref(cases);
    json_decref(want);
}

static void what_does_not_go_together_is_refused(void **state)
{
    (void)state;
    const ops_slice text = OPS_SLICE("a");
    float got[LABELS_MAX];
    const head_folder f = head_folder_make("pair", NULL, NULL),
                      bad = head_folder_make("tokens", "\"LABEL_2\"", "7");
    ops_engine *e = open_head(&f, 0), *tiny = NULL;
    ops_err err = {.msg = ""};
    const ops_engine_question alone = {.texts = &text, .n = 1}, none = {.query = &text, .texts = &text},
                              many = {.query = &text, .texts = &text, .n = OPS_ENGINE_TEXTS_MAX + 1};
    assert_int_equal(ops_engine_score(e, &alone, got, NULL, NULL, NULL, &err), OPS_EINVAL);
    assert_int_equal(ops_engine_score(e, &none, got, NULL, NULL, NULL, &err), OPS_EINVAL);
    assert_int_equal(ops_engine_score(e, &many, got, NULL, NULL, NULL, &err), OPS_ETOOBIG);
    assert_int_equal(ops_engine_embed(e, &text, 1, got, NULL, NULL, &err), OPS_EINVAL);
    ops_engine_free(e);
    const ops_engine_bert_conf conf = {.path = "tests/golden/bert_tiny"}, wrong = {.path = bad.path};
    assert_int_equal(ops_engine_bert_open(&conf, &tiny, &err), OPS_OK);
    assert_int_equal(ops_engine_score(tiny, &alone, got, NULL, NULL, NULL, &err), OPS_EINVAL);
    ops_engine_free(tiny);
    assert_int_equal(ops_engine_bert_open(&wrong, &e, &err), OPS_ECORRUPT);
    assert_non_null(strstr(err.msg, "id2label.2"));
    head_folder_remove(&f);
    head_folder_remove(&bad);
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    const head_folder f = head_folder_make("tokens", HEAD_LABELS, HEAD_TAGS);
    const ops_engine_bert_conf conf = {.path = f.path};
    const ops_slice text = OPS_SLICE("the database connection timed out");
    const ops_engine_question q = {.texts = &text, .n = 1};
    const long live = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_engine *e = NULL;
        ops_engine_spans spans = {0};
        ops_alloc_fail_at(nth);
        st = ops_engine_bert_open(&conf, &e, NULL);
        if (st == OPS_OK)
            st = ops_engine_score(e, &q, NULL, &spans, NULL, NULL, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        ops_free(spans.v);
        ops_engine_free(e);
        assert_int_equal(ops_alloc_live(), live);
    }
    head_folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_has_labels),
        cmocka_unit_test(a_pair_has_one_number),
        cmocka_unit_test(words_have_labels),
        cmocka_unit_test(what_does_not_go_together_is_refused),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
