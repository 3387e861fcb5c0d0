/* Verdicts on texts, pairs and tokens against the reference, and vectors of the first token alone. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "tests/support/golden.h"
#include "tests/unit/worker/bert_golden.h"
#include "worker/model/bert.h"
#include "worker/model/wordpiece.h"

enum { TOKENS_MAX = 24, BATCH_MAX = 256, SEQS_MAX = 8, LABELS_MAX = 5, HIDDEN = 16 };
#define FOLDER "tests/golden/bert_heads/"

typedef struct fixture {
    ops_kern_dev *dev;
    ops_bert_config c;
    ops_slice config, weights;
    ops_safetensors *st;
    ops_bert *b;
    json_t *cases;
    ops_wordpiece *words;
} fixture;

static fixture open_head(const char *name, bool delayed, ops_bert_pooling pooling)
{
    char path[128];
    fixture f = {.dev = ops_kern_cpu_new(delayed)};
    (void)snprintf(path, sizeof path, FOLDER "%s/config.json", name);
    f.config = golden_read(path);
    (void)snprintf(path, sizeof path, FOLDER "%s/model.safetensors", name);
    f.weights = golden_read(path);
    (void)snprintf(path, sizeof path, FOLDER "%s/expect.json", name);
    f.cases = json_load_file(path, 0, NULL);
    assert_non_null(f.cases);
    ops_slice tokenizer = golden_read(FOLDER "tokenizer.json");
    assert_int_equal(ops_wordpiece_parse(tokenizer, &f.words, NULL), OPS_OK);
    golden_free(tokenizer);
    assert_int_equal(ops_bert_config_parse(f.config, &f.c, NULL), OPS_OK);
    f.c.pooling = pooling;
    assert_int_equal(ops_safetensors_parse(f.weights, &f.st, NULL), OPS_OK);
    ops_err err;
    if (ops_bert_load(&f.c, f.st, ops_kern_cpu(), f.dev, OPS_KERN_F32, BATCH_MAX, SEQS_MAX, &f.b, &err) !=
        OPS_OK)
        fail_msg("%s", err.msg);
    return f;
}

static void close_head(fixture *f)
{
    ops_bert_free(f->b);
    ops_safetensors_free(f->st);
    ops_wordpiece_free(f->words);
    ops_kern_cpu()->dev_free(f->dev);
    json_decref(f->cases);
    golden_free(f->config);
    golden_free(f->weights);
}

/* Ids and types of a case, from its texts; they must be the reference's. */
static size_t encode(const fixture *f, const json_t *one, int32_t *ids, int32_t *types)
{
    const json_t *texts = json_object_get(one, "texts"), *want = json_object_get(one, "ids");
    const ops_slice a = ops_slice_str(json_string_value(json_array_get(texts, 0)));
    size_t n;
    if (json_array_size(texts) == 2) {
        const ops_slice b = ops_slice_str(json_string_value(json_array_get(texts, 1)));
        n = ops_wordpiece_encode_pair(f->words, a, b, TOKENS_MAX, ids, types);
    } else {
        n = ops_wordpiece_encode(f->words, a, TOKENS_MAX, ids);
        memset(types, 0, n * sizeof *types);
    }
    assert_int_equal(n, json_array_size(want));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(ids[i], json_integer_value(json_array_get(want, i)));
        assert_int_equal(types[i], json_integer_value(json_array_get(json_object_get(one, "types"), i)));
    }
    return n;
}

/* All cases in one batch: each as the reference says, and bit for bit as alone. */
static void verdicts(const char *name, int labels, bool each, bool delayed)
{
    fixture f = open_head(name, delayed, OPS_BERT_MEAN);
    static int32_t ids[BATCH_MAX], types[BATCH_MAX];
    static float all[BATCH_MAX * LABELS_MAX], alone[TOKENS_MAX * LABELS_MAX];
    int32_t starts[SEQS_MAX + 1] = {0};
    const int seqs = (int)json_array_size(f.cases);
    assert_in_range(seqs, 5, SEQS_MAX);
    assert_int_equal(f.c.labels, labels);
    for (int i = 0; i < seqs; i++)
        starts[i + 1] = starts[i] + (int32_t)encode(&f, json_array_get(f.cases, (size_t)i), ids + starts[i],
                                                    types + starts[i]);
    assert_int_equal(ops_bert_classify(f.b, ids, types, starts, seqs, all, NULL), OPS_OK);
    for (int i = 0; i < seqs; i++) {
        const json_t *want = json_object_get(json_array_get(f.cases, (size_t)i), "logits");
        const float *got = all + (each ? starts[i] : i) * labels;
        const int32_t one[2] = {0, starts[i + 1] - starts[i]};
        const size_t n = (size_t)(each ? one[1] : 1) * (size_t)labels;
        assert_int_equal(json_array_size(want), n);
        assert_int_equal(ops_bert_classify(f.b, ids + starts[i], types + starts[i], one, 1, alone, NULL),
                         OPS_OK);
        assert_memory_equal(alone, got, n * sizeof *got);
        for (size_t k = 0; k < n; k++)
            if (!(fabs(json_number_value(json_array_get(want, k)) - (double)got[k]) < 1e-5))
                fail_msg("%s, case %d, logit %zu: %g", name, i, k, (double)got[k]);
    }
    close_head(&f);
}

static void verdicts_are_the_references(void **state)
{
    (void)state;
    for (int delayed = 0; delayed < 2; delayed++) {
        verdicts("sequence", 3, false, delayed);
        verdicts("pair", 1, false, delayed);
        verdicts("tokens", 5, true, delayed);
    }
}

/* Rows of the last layer, as the watcher of a batch of one text sees them. */
static void keep_first(void *ctx, const char *stage, const float *rows, int m, int n)
{
    (void)m;
    if (strcmp(stage, "layer.1.output") == 0)
        memcpy(ctx, rows, (size_t)n * sizeof *rows);
}

static void the_vector_of_the_first_token_has_length_one(void **state)
{
    (void)state;
    for (int delayed = 0; delayed < 2; delayed++) {
        fixture f = open_head("tokens", delayed, OPS_BERT_CLS);
        static int32_t ids[BATCH_MAX], types[BATCH_MAX];
        static float all[SEQS_MAX * HIDDEN], first[HIDDEN], alone[HIDDEN];
        int32_t starts[SEQS_MAX + 1] = {0};
        const int seqs = (int)json_array_size(f.cases);
        for (int i = 0; i < seqs; i++)
            starts[i + 1] = starts[i] + (int32_t)encode(&f, json_array_get(f.cases, (size_t)i),
                                                        ids + starts[i], types + starts[i]);
        assert_int_equal(ops_bert_embed(f.b, ids, starts, seqs, all, NULL), OPS_OK);
        for (int i = 0; i < seqs; i++) {
            const int32_t one[2] = {0, starts[i + 1] - starts[i]};
            double norm = 0;
            ops_bert_watch(f.b, keep_first, first);
            assert_int_equal(ops_bert_embed(f.b, ids + starts[i], one, 1, alone, NULL), OPS_OK);
            ops_bert_watch(f.b, NULL, NULL);
            assert_memory_equal(alone, all + i * HIDDEN, sizeof alone);
            for (int k = 0; k < HIDDEN; k++)
                norm += (double)first[k] * (double)first[k];
            for (int k = 0; k < HIDDEN; k++)
                assert_true(fabs((double)first[k] / sqrt(norm) - (double)alone[k]) < 1e-6);
        }
        close_head(&f);
    }
}

static void refuses_what_has_no_head_or_another_shape(void **state)
{
    (void)state;
    fixture f = open_head("sequence", false, OPS_BERT_MEAN);
    const int32_t ids[] = {2, 5, 3}, types[] = {0, 1, 2}, negative[] = {0, -1, 0}, starts[] = {0, 3};
    float got[LABELS_MAX];
    ops_err err = {0};
    assert_int_equal(ops_bert_classify(f.b, ids, types, starts, 1, got, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "token 2 has type 2 of 2"));
    assert_int_equal(ops_bert_classify(f.b, ids, negative, starts, 1, got, &err), OPS_EINVAL);
    assert_int_equal(ops_bert_classify(f.b, ids, NULL, starts, 0, got, &err), OPS_EINVAL);
    assert_int_equal(ops_bert_classify(f.b, ids, NULL, starts, 1, got, &err), OPS_OK);
    ops_bert *b = NULL;
    ops_bert_config c = f.c;
    c.labels = 4;
    assert_int_equal(ops_bert_load(&c, f.st, ops_kern_cpu(), f.dev, OPS_KERN_F32, 8, 2, &b, &err),
                     OPS_ECORRUPT);
    assert_non_null(strstr(err.msg, "'classifier.weight'"));
    c.head = OPS_BERT_NO_HEAD;
    c.labels = 0;
    assert_int_equal(ops_bert_load(&c, f.st, ops_kern_cpu(), f.dev, OPS_KERN_F32, 8, 2, &b, &err), OPS_OK);
    assert_int_equal(ops_bert_classify(b, ids, NULL, starts, 1, got, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "no head"));
    ops_bert_free(b);
    close_head(&f);
}

static void pairs_need_a_template_and_room(void **state)
{
    (void)state;
    fixture f = open_head("pair", false, OPS_BERT_MEAN);
    int32_t ids[8], types[8];
    assert_true(ops_wordpiece_pairs(f.words));
    assert_int_equal(ops_wordpiece_encode_pair(f.words, OPS_SLICE("a"), OPS_SLICE("a"), 2, ids, types), 0);
    assert_int_equal(ops_wordpiece_encode_pair(f.words, OPS_SLICE("a"), OPS_SLICE("a"), 3, ids, types), 3);
    assert_int_equal(ops_wordpiece_encode_pair(f.words, OPS_SLICE("a"), OPS_SLICE("a"), 4, ids, types), 4);
    close_head(&f);
    ops_slice tokenizer =
        golden_read("tests/golden/bert_tiny/tokenizer.json"); /* its template of pairs is empty */
    ops_wordpiece *w = NULL;
    assert_int_equal(ops_wordpiece_parse(tokenizer, &w, NULL), OPS_OK);
    assert_false(ops_wordpiece_pairs(w));
    assert_int_equal(ops_wordpiece_encode_pair(w, OPS_SLICE("a"), OPS_SLICE("a"), 8, ids, types), 0);
    ops_wordpiece_free(w);
    golden_free(tokenizer);
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    fixture f = open_head("sequence", false, OPS_BERT_CLS);
    const long live = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_bert *b = NULL;
        ops_alloc_fail_at(nth);
        st = ops_bert_load(&f.c, f.st, ops_kern_cpu(), f.dev, OPS_KERN_F32, 8, 2, &b, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || (st == OPS_ENOMEM && b == NULL));
        ops_bert_free(b);
        assert_int_equal(ops_alloc_live(), live);
    }
    close_head(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_are_the_references),
        cmocka_unit_test(the_vector_of_the_first_token_has_length_one),
        cmocka_unit_test(refuses_what_has_no_head_or_another_shape),
        cmocka_unit_test(pairs_need_a_template_and_room),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
