/* An encoder in a GGUF file is the same encoder: ids and vectors of tests/golden/bert_tiny, which the reference made. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "tests/support/golden.h"
#include "tests/unit/worker/bert_golden.h"
#include "worker/model/bert_file.h"

#define FILES "tests/golden/bert_gguf/"
#define TINY  FILES "tiny-f32.gguf"
enum { TOKENS_MAX = 24, DIM_MAX = 64 };

typedef struct fixture {
    ops_bert_file *file;
    ops_wordpiece *words;
    ops_kern_dev *dev;
    ops_bert *bert;
} fixture;

static fixture open_file(const char *path, ops_kern_type weights)
{
    fixture f = {.dev = ops_kern_cpu_new(0)};
    ops_err err = {0};
    assert_non_null(f.dev);
    if (ops_bert_file_open(path, &f.file, &err) != OPS_OK ||
        ops_bert_file_words(f.file, &f.words, &err) != OPS_OK ||
        ops_bert_file_load(f.file, ops_bert_file_config(f.file), ops_kern_cpu(), f.dev, weights, TOKENS_MAX,
                           1, &f.bert, &err) != OPS_OK)
        fail_msg("%s: %s", path, err.msg);
    return f;
}

static void close_file(fixture *f)
{
    ops_bert_free(f->bert);
    ops_wordpiece_free(f->words);
    ops_bert_file_free(f->file);
    ops_kern_cpu()->dev_free(f->dev);
}

static double cosine(const float *a, const double *b, size_t n)
{
    double dot = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        dot += (double)a[i] * b[i];
        aa += (double)a[i] * (double)a[i];
        bb += b[i] * b[i];
    }
    return dot / sqrt(aa * bb);
}

static void ids_and_vectors_are_the_reference_s(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        double least;
    } rows[] = {{TINY, 0.9999999}, {FILES "tiny-f16.gguf", 0.9999}, {"tests/golden/bert_tiny", 0.9999999}};
    json_t *cases = json_load_file("tests/golden/bert_tiny/expect.json", 0, NULL);
    assert_true(json_array_size(cases) >= 20);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        fixture f = open_file(rows[r].path, OPS_KERN_F32);
        const ops_bert_config *c = ops_bert_file_config(f.file);
        assert_int_equal(c->tokens_max, TOKENS_MAX);
        assert_int_equal(c->positions, 32);
        for (size_t i = 0; i < json_array_size(cases); i++) {
            const json_t *one = json_array_get(cases, i), *row;
            char buf[GOLDEN_TEXT_MAX];
            int32_t want[TOKENS_MAX], got[TOKENS_MAX];
            float v[DIM_MAX];
            double pooled[DIM_MAX];
            const size_t n = golden_ids(one, want, TOKENS_MAX);
            assert_int_equal(ops_wordpiece_encode(f.words, golden_text(one, buf), TOKENS_MAX, got), n);
            assert_memory_equal(got, want, n * sizeof *got);
            const int32_t starts[] = {0, (int32_t)n};
            assert_int_equal(ops_bert_embed(f.bert, got, starts, 1, v, NULL), OPS_OK);
            row = json_object_get(json_object_get(one, "stages"), "pooled");
            assert_int_equal(json_array_size(row), c->hidden);
            for (int j = 0; j < c->hidden; j++)
                pooled[j] = json_number_value(json_array_get(row, (size_t)j));
            assert_true(cosine(v, pooled, (size_t)c->hidden) >= rows[r].least);
        }
        close_file(&f);
    }
    json_decref(cases);
}

static void blocks_of_eight_bits_keep_the_meaning(void **state)
{
    (void)state;
    fixture a = open_file(FILES "wider-f32.gguf", OPS_KERN_F32);
    fixture b = open_file(FILES "wider-q8_0.gguf", OPS_KERN_F32);
    fixture c = open_file(FILES "wider-q8_0.gguf", OPS_KERN_I8);
    static const char *const texts[] = {"connection error", "", "the database is out of memory"};
    for (size_t i = 0; i < 3; i++) {
        int32_t ids[TOKENS_MAX];
        float v[3][DIM_MAX];
        double want[DIM_MAX];
        const size_t n = ops_wordpiece_encode(a.words, ops_slice_str(texts[i]), TOKENS_MAX, ids);
        const int32_t starts[] = {0, (int32_t)n};
        assert_int_equal(ops_bert_embed(a.bert, ids, starts, 1, v[0], NULL), OPS_OK);
        assert_int_equal(ops_bert_embed(b.bert, ids, starts, 1, v[1], NULL), OPS_OK);
        assert_int_equal(ops_bert_embed(c.bert, ids, starts, 1, v[2], NULL), OPS_OK);
        for (int j = 0; j < 32; j++)
            want[j] = (double)v[0][j];
        assert_true(cosine(v[1], want, 32) > 0.9995);
        assert_true(cosine(v[2], want, 32) > 0.99);
    }
    close_file(&a);
    close_file(&b);
    close_file(&c);
}

static void pairs_are_known(void **state)
{
    (void)state;
    fixture f = open_file(TINY, OPS_KERN_F32);
    int32_t ids[8], types[8];
    assert_true(ops_wordpiece_pairs(f.words));
    assert_int_equal(ops_wordpiece_encode_pair(f.words, OPS_SLICE("a"), OPS_SLICE("a"), 8, ids, types), 5);
    const int32_t want[] = {0, 0, 0, 1, 1};
    assert_memory_equal(types, want, sizeof want);
    close_file(&f);
}

/* All of the way from bytes to a model. */
static ops_status take(ops_slice bytes, ops_err *err)
{
    OPS_AUTO(ops_gguf_free) ops_gguf *g = NULL;
    OPS_AUTO(ops_wordpiece_free) ops_wordpiece *w = NULL;
    ops_kern_dev *dev = NULL;
    ops_bert *b = NULL;
    ops_bert_config c;
    ops_status st = ops_gguf_parse(bytes, &g, err);
    if (st == OPS_OK)
        st = ops_bert_config_gguf(g, &c, err);
    if (st == OPS_OK)
        st = ops_wordpiece_from_gguf(g, &w, err);
    if (st == OPS_OK) {
        const ops_lm_source s = ops_lm_source_gguf(g);
        dev = ops_kern_cpu_new(0);
        assert_non_null(dev);
        st = ops_bert_load_from(&c, &s, ops_kern_cpu(), dev, OPS_KERN_F32, 8, 1, &b, err);
        ops_bert_free(b);
        ops_kern_cpu()->dev_free(dev);
    }
    return st;
}

static char *find_bytes(char *in, size_t n, const char *what)
{
    const size_t k = strlen(what);
    for (size_t i = 0; i + k <= n; i++)
        if (memcmp(in + i, what, k) == 0)
            return in + i;
    fail_msg("no '%s' in the file", what);
    return NULL;
}

/* One change of a good file each: so many bytes after the first `at` become `put`. */
static void what_does_not_fit_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *at;
        size_t skip;
        const char *put;
        size_t bytes;
        ops_status want;
        const char *says;
    } rows[] = {
        {"general.architecture", 32, "berd", 4, OPS_EUNIMPL, "'berd'"},
        {"blk.1.ffn_up.weight", 0, "blk.1.ffn_ux", 12, OPS_ECORRUPT,
         "lacks the tensor 'blk.1.ffn_up.weight'"},
        {"blk.1.ffn_up.weight", 23, "\x0e\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\0", 16, OPS_ECORRUPT,
         "tensor 'blk.1.ffn_up.weight' is 32 x 14"},
        {"blk.0.attn_q.bias", 21 + 8, "\x63\0\0\0", 4, OPS_EUNIMPL, "element type 99"},
        {"token_embd.weight", 0, "token_embe", 10, OPS_ECORRUPT, "'token_embd.weight'"},
        {"bert.block_count", 20, "\1\0\0\0", 4, OPS_ECORRUPT, "the tensor 'blk.1."},
        {"bert.block_count", 20, "\3\0\0\0", 4, OPS_ECORRUPT, "lacks the tensor 'blk.2."},
        {"bert.block_count", 20, "\0\0\0\0", 4, OPS_ECORRUPT, "'bert.block_count' is 0"},
        {"bert.embedding_length", 25, "\x14\0\0\0", 4, OPS_ECORRUPT, "'token_embd.weight'"},
        {"bert.attention.head_count", 29, "\3\0\0\0", 4, OPS_ECORRUPT, "3 heads"},
        {"bert.context_length", 23, "\x21\0\0\0", 4, OPS_ECORRUPT, "bert.context_length is 33"},
        {"bert.attention.layer_norm_epsilon", 37, "\0\0\xc0\x7f", 4, OPS_ECORRUPT, "layer_norm_epsilon"},
        {"bert.pooling_type", 21, "\4\0\0\0", 4, OPS_EUNIMPL, "bert.pooling_type 4"},
        {"bert.attention.causal", 25, "\1", 1, OPS_EUNIMPL, "bert.attention.causal"},
        {"tokenizer.ggml.model", 32, "best", 4, OPS_EUNIMPL, "'best'"},
        {"tokenizer.ggml.cls_token_id", 31, "\xff\xff\0\0", 4, OPS_ECORRUPT, "cls_token_id: id 65535"},
        {"tokenizer.ggml.tokens", 0, "tokenizer.ggml.takens", 21, OPS_ECORRUPT, "tokens and token_type"},
        {"tokenizer.ggml.token_type\x09", 41, "\x63\0\0\0", 4, OPS_ECORRUPT, "kind 99 of piece 0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const ops_slice file = golden_read(TINY);
        assert_true(file.n > 10000);
        char *own = malloc(file.n);
        assert_non_null(own);
        memcpy(own, file.p, file.n);
        char *at = find_bytes(own, file.n, rows[i].at) + rows[i].skip;
        memcpy(at, rows[i].put, rows[i].bytes);
        ops_err err = {0};
        const ops_status st = take(ops_slice_of(own, file.n), &err);
        if (st != rows[i].want || strstr(err.msg, rows[i].says) == NULL)
            fail_msg("row %zu: %d '%s' does not say '%s'", i, (int)st, err.msg, rows[i].says);
        free(own);
        golden_free(file);
    }
}

static void a_file_that_ends_early_is_refused(void **state)
{
    (void)state;
    const ops_slice file = golden_read(TINY);
    for (size_t n = 0; n < file.n; n += n < 6000 ? 41 : 997) {
        char *own = malloc(n + 1); /* so that a sanitizer sees a byte past the end */
        assert_non_null(own);
        memcpy(own, file.p, n);
        ops_err err = {0};
        assert_int_equal(take(ops_slice_of(own, n), &err), OPS_ECORRUPT);
        assert_true(err.msg[0] != '\0');
        free(own);
    }
    golden_free(file);
}

static void places_are_told_apart(void **state)
{
    (void)state;
    assert_true(ops_bert_file_is(TINY));
    assert_true(ops_bert_file_is("tests/golden/bert_tiny"));
    assert_false(ops_bert_file_is("tests/golden/bert_gguf")); /* several files */
    assert_false(ops_bert_file_is("tests/golden/tokenizers/spm.gguf"));
    assert_false(ops_bert_file_is("tests/golden/none"));
    ops_bert_file *f = NULL;
    ops_err err = {0};
    assert_int_equal(ops_bert_file_open("tests/golden/tokenizers/spm.gguf", &f, &err), OPS_EUNIMPL);
    assert_non_null(strstr(err.msg, "architecture 'llama'"));
    assert_int_equal(ops_bert_file_open("tests/golden/bert_gguf", &f, &err), OPS_EINVAL);
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    const ops_slice file = golden_read(TINY);
    const long live = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        OPS_AUTO(ops_gguf_free) ops_gguf *g = NULL;
        OPS_AUTO(ops_wordpiece_free) ops_wordpiece *w = NULL;
        assert_int_equal(ops_gguf_parse(file, &g, NULL), OPS_OK);
        ops_alloc_fail_at(nth);
        st = ops_wordpiece_from_gguf(g, &w, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || (st == OPS_ENOMEM && w == NULL));
    }
    assert_int_equal(ops_alloc_live(), live);
    golden_free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_and_vectors_are_the_reference_s),
        cmocka_unit_test(blocks_of_eight_bits_keep_the_meaning),
        cmocka_unit_test(pairs_are_known),
        cmocka_unit_test(what_does_not_fit_is_refused_by_name),
        cmocka_unit_test(a_file_that_ends_early_is_refused),
        cmocka_unit_test(places_are_told_apart),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
