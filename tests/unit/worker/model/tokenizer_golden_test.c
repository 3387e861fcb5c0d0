/* Ids and words of the reference tokenizers over the corpus: tests/golden/make_tokenizers.py made what is expected. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "base/text/utf8.h"
#include "tests/support/corpus.h"
#include "worker/model/mapped.h"
#include "worker/model/tok_internal.h"

static corpus texts;

static json_t *fixture(const char *name, const char *kind)
{
    char path[200];
    (void)snprintf(path, sizeof path, "tests/golden/tokenizers/%s.%s.json", name, kind);
    json_t *j = json_load_file(path, 0, NULL);
    assert_non_null(j);
    return j;
}

static uint64_t digest_at(const json_t *list, size_t i)
{
    const char *hex = json_string_value(json_array_get(list, i));
    assert_non_null(hex);
    return strtoull(hex, NULL, 16);
}

static void same_ids(const char *name, size_t i, const json_t *want, const ops_tokens *got)
{
    for (size_t k = 0; k < json_array_size(want) || k < got->n; k++) {
        const long long expected =
            k < json_array_size(want) ? (long long)json_integer_value(json_array_get(want, k)) : -1;
        const long long is = k < got->n ? got->v[k] : -1;
        if (expected != is)
            fail_msg("%s: text %zu: id %zu is %lld, the reference has %lld", name, i, k, is, expected);
    }
}

static void same_text(const char *name, const ops_tokenizer *t, size_t i, const json_t *want,
                      const ops_tokens *ids)
{
    char *expected = malloc(json_string_length(want) / 2 + 1);
    assert_true(ops_hex_get(json_string_value(want), json_string_length(want), expected,
                            json_string_length(want) / 2));
    ops_strbuf text;
    ops_strbuf_init(&text, CORPUS_TEXT_MAX);
    ops_detok d;
    ops_detok_init(&d, t);
    for (size_t k = 0; k < ids->n; k++) {
        ops_detok_put(&d, ids->v[k], &text);
        assert_true(ops_utf8_valid(ops_strbuf_get(&text)));
    }
    ops_detok_end(&d, &text);
    if (!ops_slice_eq(ops_strbuf_get(&text), ops_slice_of(expected, json_string_length(want) / 2)))
        fail_msg("%s: text %zu decodes to '%s'", name, i, text.p != NULL ? text.p : "");
    ops_strbuf_done(&text);
    free(expected);
}

/* Every text of the corpus against the fixture `name`. */
static void check(const char *name, const ops_tokenizer *t)
{
    json_t *want = fixture(name, "ids");
    const json_t *full = json_object_get(want, "full"), *decoded = json_object_get(want, "decoded");
    const size_t group = (size_t)json_integer_value(json_object_get(want, "group"));
    uint64_t h = CORPUS_HASH;
    ops_strbuf text;
    ops_strbuf_init(&text, CORPUS_TEXT_MAX);
    ops_tokens ids;
    ops_tokens_init(&ids, CORPUS_TEXT_MAX);
    for (size_t i = 0; i < CORPUS_COUNT; i++) {
        corpus_text(&texts, i, &text);
        ids.n = 0;
        assert_int_equal(ops_tokenizer_encode(t, ops_strbuf_get(&text), 0, &ids, NULL), OPS_OK);
        if (i < json_array_size(full))
            same_ids(name, i, json_array_get(full, i), &ids);
        if (i < json_array_size(decoded))
            same_text(name, t, i, json_array_get(decoded, i), &ids);
        h = corpus_hash(h, (uint32_t)ids.n);
        for (size_t k = 0; k < ids.n; k++)
            h = corpus_hash(h, (uint32_t)ids.v[k]);
        if ((i + 1) % group == 0) {
            if (h != digest_at(json_object_get(want, "digests"), i / group))
                fail_msg("%s: ids of the texts %zu to %zu are not the reference's", name, i + 1 - group, i);
            h = CORPUS_HASH;
        }
    }
    ops_tokens_done(&ids);
    ops_strbuf_done(&text);
    json_decref(want);
}

static ops_mapped *map(const char *path)
{
    ops_mapped *m = NULL;
    ops_err err;
    if (ops_mapped_open(path, (size_t)1 << 30, &m, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return m;
}

static void check_json(const char *name)
{
    char path[200];
    (void)snprintf(path, sizeof path, "tests/golden/tokenizers/%s.json", name);
    OPS_AUTO(ops_mapped_free) ops_mapped *m = map(path);
    OPS_AUTO(ops_tokenizer_free) ops_tokenizer *t = NULL;
    ops_err err;
    if (ops_tokenizer_from_json(ops_mapped_bytes(m), &t, &err) != OPS_OK)
        fail_msg("%s: %s", name, err.msg);
    check(name, t);
}

static void check_gguf(const char *path, const char *name)
{
    OPS_AUTO(ops_mapped_free) ops_mapped *m = map(path);
    OPS_AUTO(ops_gguf_free) ops_gguf *g = NULL;
    OPS_AUTO(ops_tokenizer_free) ops_tokenizer *t = NULL;
    ops_err err;
    if (ops_gguf_parse(ops_mapped_bytes(m), &g, &err) != OPS_OK ||
        ops_tokenizer_from_gguf(g, &t, &err) != OPS_OK)
        fail_msg("%s: %s", name, err.msg);
    check(name, t);
}

static void encodes_as_tokenizer_json_says(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt-2",  "smollm",         "llama-bpe",        "qwen2",
                                        "spaces", "spaces-prepend", "spaces-metaspace", "unigram"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_json(names[i]);
}

static void encodes_as_gguf_says(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt-2", "llama-bpe", "qwen2", "spm", "spm-unigram"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[200];
        (void)snprintf(path, sizeof path, "tests/golden/tokenizers/%s.gguf", names[i]);
        check_gguf(path, names[i]);
    }
}

static bool absent; /* a model was not there */

/* A model that scripts/models.sh brings: skipped where it is not. */
static void check_model(const char *file, const char *name)
{
    const char *models = getenv("OPSD_MODELS"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    char path[600];
    if (models != NULL)
        (void)snprintf(path, sizeof path, "%s/%s", models, file);
    else if (data != NULL)
        (void)snprintf(path, sizeof path, "%s/opsd/models/%s", data, file);
    else
        (void)snprintf(path, sizeof path, "%s/.local/share/opsd/models/%s", home != NULL ? home : "", file);
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        print_message("%s is not there: scripts/models.sh --tests brings it\n", path);
        absent = true;
        skip();
        return;
    }
    (void)fclose(f);
    check_gguf(path, name);
}

static void encodes_as_smollm2(void **state)
{
    (void)state;
    check_model("SmolLM2-135M-Instruct/SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2");
}

static void encodes_as_gemma3(void **state)
{
    (void)state;
    check_model("tests/gemma-3-270m-q4_k_m.gguf", "gemma3");
}

/* One digest a group over the ends of words, as the script makes them. */
static uint64_t words_of(ops_tok_split split, ops_slice raw, uint64_t h)
{
    ops_strbuf clean;
    ops_strbuf_init(&clean, CORPUS_TEXT_MAX * 3);
    ops_tok_clean(&clean, raw, NULL);
    const ops_slice text = ops_strbuf_get(&clean);
    uint32_t n = 0;
    for (size_t at = 0; at < text.n; at = ops_tok_word(split, text, at))
        n++;
    h = corpus_hash(h, n);
    for (size_t at = 0; at < text.n;) {
        at = ops_tok_word(split, text, at);
        h = corpus_hash(h, (uint32_t)at);
    }
    ops_strbuf_done(&clean);
    return h;
}

static void check_splits(const char *name, ops_tok_split split)
{
    json_t *want = fixture(name, "splits");
    const size_t group = (size_t)json_integer_value(json_object_get(want, "group"));
    const size_t code_group = (size_t)json_integer_value(json_object_get(want, "code_group"));
    uint64_t h = CORPUS_HASH;
    ops_strbuf text;
    ops_strbuf_init(&text, CORPUS_TEXT_MAX);
    for (size_t i = 0; i < CORPUS_COUNT; i++) {
        corpus_text(&texts, i, &text);
        h = words_of(split, ops_strbuf_get(&text), h);
        if ((i + 1) % group == 0) {
            if (h != digest_at(json_object_get(want, "digests"), i / group))
                fail_msg("%s: words of the texts %zu to %zu", name, i + 1 - group, i);
            h = CORPUS_HASH;
        }
    }
    uint32_t next = 0;
    size_t block = 0;
    while (corpus_codes(&next, &text)) {
        h = words_of(split, ops_strbuf_get(&text), h);
        if (++block % code_group == 0 || next >= 0x110000) {
            if (h != digest_at(json_object_get(want, "codes"), (block - 1) / code_group))
                fail_msg("%s: words of the code points below %" PRIx32, name, next);
            h = CORPUS_HASH;
        }
    }
    ops_strbuf_done(&text);
    json_decref(want);
}

static void splits_as_the_expressions_do(void **state)
{
    (void)state;
    check_splits("gpt-2", OPS_SPLIT_GPT2);
    check_splits("smollm", OPS_SPLIT_SMOLLM);
    check_splits("llama-bpe", OPS_SPLIT_LLAMA3);
    check_splits("qwen2", OPS_SPLIT_QWEN2);
}

static int load(void **state)
{
    (void)state;
    return corpus_load(&texts) ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    json_decref(texts.json);
    return 0;
}

/* With the argument "models" the tests of real models alone; exits 77 (skipped) where one is not there. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_as_the_expressions_do),
        cmocka_unit_test(encodes_as_tokenizer_json_says),
        cmocka_unit_test(encodes_as_gguf_says),
    };
    const struct CMUnitTest models[] = {
        cmocka_unit_test(encodes_as_smollm2),
        cmocka_unit_test(encodes_as_gemma3),
    };
    if (argc < 2)
        return cmocka_run_group_tests(tests, load, unload);
    (void)argv;
    const int failed = cmocka_run_group_tests(models, load, unload);
    return failed == 0 && absent ? 77 : failed;
}
