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

enum { TOKENS_MAX = 700, SEQS_MAX = 64 };
#define FOLDER "tests/golden/bert_tiny/"

typedef struct fixture {
    const ops_kern *kern;
    ops_kern_dev *dev;
    ops_bert_config c;
    ops_slice config, weights;
    ops_safetensors *st;
    ops_bert *b;
    json_t *cases;
} fixture;

static void free_slice(ops_slice s)
{
    union {
        const char *in;
        void *out;
    } own = {s.p};
    free(own.out);
}

static fixture open_tiny(int delayed)
{
    fixture f = {.kern = ops_kern_cpu(), .dev = ops_kern_cpu_new(delayed)};
    f.config = golden_read(FOLDER "config.json");
    f.weights = golden_read(FOLDER "model.safetensors");
    f.cases = json_load_file(FOLDER "expect.json", 0, NULL);
    assert_non_null(f.cases);
    assert_int_equal(ops_bert_config_parse(f.config, &f.c, NULL), OPS_OK);
    assert_int_equal(ops_safetensors_parse(f.weights, &f.st, NULL), OPS_OK);
    ops_err err;
    if (ops_bert_load(&f.c, f.st, f.kern, f.dev, OPS_KERN_F32, TOKENS_MAX, SEQS_MAX, &f.b, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return f;
}

static void close_tiny(fixture *f)
{
    ops_bert_free(f->b);
    ops_safetensors_free(f->st);
    f->kern->dev_free(f->dev);
    json_decref(f->cases);
    free_slice(f->config);
    free_slice(f->weights);
}

/* Holds the rows of each stage against the reference's. */
typedef struct watcher {
    const json_t *stages;
    size_t seen;
    double worst;
} watcher;

static void watch(void *ctx, const char *stage, const float *rows, int m, int n)
{
    watcher *w = ctx;
    const json_t *want = json_object_get(w->stages, stage);
    assert_int_equal(json_array_size(want), m * n);
    for (size_t i = 0; i < json_array_size(want); i++)
        w->worst = fmax(w->worst, fabs(json_number_value(json_array_get(want, i)) - (double)rows[i]));
    w->seen++;
}

static void every_stage_matches_the_reference(void **state)
{
    (void)state;
    for (int delayed = 0; delayed < 2; delayed++) {
        fixture f = open_tiny(delayed);
        size_t whole = 0;
        for (size_t i = 0; i < json_array_size(f.cases); i++) {
            const json_t *one = json_array_get(f.cases, i), *stages = json_object_get(one, "stages");
            if (json_object_size(stages) < 2)
                continue;
            int32_t ids[TOKENS_MAX], starts[2] = {0, 0};
            float row[16];
            starts[1] = (int32_t)golden_ids(one, ids, TOKENS_MAX);
            watcher w = {.stages = stages};
            ops_bert_watch(f.b, watch, &w);
            assert_int_equal(ops_bert_embed(f.b, ids, starts, 1, row, NULL), OPS_OK);
            assert_int_equal(w.seen, json_object_size(stages));
            if (w.worst > 1e-5)
                fail_msg("case %zu is off by %g", i, w.worst);
            whole++;
        }
        assert_int_equal(whole, 3);
        close_tiny(&f);
    }
}

/* All texts in one packed batch: each as the reference has it, and bit for bit as alone. */
static void batch_mates_do_not_matter(void **state)
{
    (void)state;
    for (int delayed = 0; delayed < 2; delayed++) {
        fixture f = open_tiny(delayed);
        static int32_t ids[TOKENS_MAX];
        static float rows[SEQS_MAX * 16];
        int32_t starts[SEQS_MAX + 1] = {0};
        const int seqs = (int)json_array_size(f.cases);
        for (int i = 0; i < seqs; i++) {
            const json_t *one = json_array_get(f.cases, (size_t)i);
            starts[i + 1] =
                starts[i] + (int32_t)golden_ids(one, ids + starts[i], (size_t)(TOKENS_MAX - starts[i]));
        }
        assert_int_equal(ops_bert_embed(f.b, ids, starts, seqs, rows, NULL), OPS_OK);
        for (int i = 0; i < seqs; i++) {
            const json_t *want =
                json_object_get(json_object_get(json_array_get(f.cases, (size_t)i), "stages"), "pooled");
            float alone[16];
            const int32_t one[2] = {0, starts[i + 1] - starts[i]};
            assert_int_equal(ops_bert_embed(f.b, ids + starts[i], one, 1, alone, NULL), OPS_OK);
            assert_memory_equal(alone, rows + i * 16, sizeof alone);
            for (size_t j = 0; j < 16; j++)
                assert_true(fabs(json_number_value(json_array_get(want, j)) - (double)alone[j]) < 1e-5);
        }
        close_tiny(&f);
    }
}

static void refuses_bad_batches(void **state)
{
    (void)state;
    fixture f = open_tiny(0);
    float rows[16 * 4];
    int32_t ids[TOKENS_MAX + 40] = {2, 5, 3};
    const struct {
        int32_t starts[4];
        int seqs;
        ops_status want;
    } bad[] = {
        {{0, 3}, 0, OPS_EINVAL},       {{0}, SEQS_MAX + 1, OPS_ETOOBIG},
        {{1, 3}, 1, OPS_EINVAL},       {{0, 0}, 1, OPS_EINVAL},
        {{0, 2, 1}, 2, OPS_EINVAL},    {{0, 33}, 1, OPS_EINVAL}, /* 32 positions */
        {{0, 2, 2, 3}, 3, OPS_EINVAL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ops_bert_embed(f.b, ids, bad[i].starts, bad[i].seqs, rows, NULL), bad[i].want);
    int32_t starts[SEQS_MAX + 1];
    for (int i = 0; i <= SEQS_MAX; i++)
        starts[i] = i * 30;
    assert_int_equal(ops_bert_embed(f.b, ids, starts, SEQS_MAX, rows, NULL), OPS_ETOOBIG);
    const int32_t one[2] = {0, 3};
    ids[1] = -1;
    assert_int_equal(ops_bert_embed(f.b, ids, one, 1, rows, NULL), OPS_EINVAL);
    ids[1] = f.c.vocab;
    assert_int_equal(ops_bert_embed(f.b, ids, one, 1, rows, NULL), OPS_EINVAL);
    ids[1] = 5;
    assert_int_equal(ops_bert_embed(f.b, ids, one, 1, rows, NULL), OPS_OK);
    close_tiny(&f);
}

static void names_the_tensor_that_is_wrong(void **state)
{
    (void)state;
    fixture f = open_tiny(0);
    ops_bert *b = NULL;
    ops_err err = {0};
    ops_bert_config c = f.c;
    c.layers = 3;
    assert_int_equal(ops_bert_load(&c, f.st, f.kern, f.dev, OPS_KERN_F32, 8, 2, &b, &err), OPS_ECORRUPT);
    assert_non_null(strstr(err.msg, "encoder.layer.2.attention.self.query.weight"));
    c = f.c;
    c.inner = 29;
    assert_int_equal(ops_bert_load(&c, f.st, f.kern, f.dev, OPS_KERN_F32, 8, 2, &b, &err), OPS_ECORRUPT);
    assert_non_null(strstr(err.msg, "intermediate.dense.weight"));
    assert_int_equal(ops_bert_load(&f.c, f.st, f.kern, f.dev, OPS_KERN_F32, 8, 9, &b, &err), OPS_EINVAL);
    assert_int_equal(
        ops_bert_load(&f.c, f.st, f.kern, f.dev, OPS_KERN_F32, OPS_BERT_TOKENS_MAX + 1, 9, &b, &err),
        OPS_EINVAL);
    assert_null(b);
    close_tiny(&f);
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    fixture f = open_tiny(0);
    const long live = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_bert *b = NULL;
        ops_alloc_fail_at(nth);
        st = ops_bert_load(&f.c, f.st, f.kern, f.dev, OPS_KERN_F32, 8, 2, &b, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || (st == OPS_ENOMEM && b == NULL));
        ops_bert_free(b);
        assert_int_equal(ops_alloc_live(), live);
    }
    close_tiny(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stage_matches_the_reference),
        cmocka_unit_test(batch_mates_do_not_matter),
        cmocka_unit_test(refuses_bad_batches),
        cmocka_unit_test(names_the_tensor_that_is_wrong),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
