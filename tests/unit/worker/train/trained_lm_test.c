/* What was trained here is a GPT-2 like any other: saved, it loads as a decoder that gives the same chances. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "worker/model/lm.h"
#include "worker/train/seqlm.h"

enum { KINDS = 7, DIM = 12, HEADS = 3, LAYERS = 2, CONTEXT = 9, BLOCK = 16 };
static const int32_t ids[CONTEXT] = {0, 1, 2, 3, 4, 5, 6, 3, 1}, next[CONTEXT] = {1, 2, 3, 4, 5, 6, 3, 1, 5};
static const int32_t starts[] = {0, CONTEXT};
static const ops_seqlm_batch lesson = {ids, next, starts, 1};

static ops_seqlm *trained(void)
{
    const ops_seqlm_config c = {
        .kinds = KINDS, .dim = DIM, .heads = HEADS, .layers = LAYERS, .context = CONTEXT};
    const ops_seqlm_step how = {.rate = 0.01f, .norm_max = 1};
    ops_seqlm *m = NULL;
    double mean = 0;
    assert_int_equal(ops_seqlm_new(&c, 5, &m, NULL), OPS_OK);
    for (int i = 0; i < 60; i++)
        assert_int_equal(ops_seqlm_train(m, &lesson, &how, &mean, NULL), OPS_OK);
    assert_true(mean < 1); /* it learnt: the chances are far from even */
    return m;
}

static void logits_of(const ops_seqlm *m, float ret[CONTEXT * KINDS])
{
    ops_strbuf file, config;
    ops_shards *weights = NULL;
    ops_kern_dev *dev = NULL;
    ops_lm *lm = NULL;
    ops_lm_config c;
    ops_err err;
    ops_strbuf_init(&file, 1 << 20);
    ops_strbuf_init(&config, 4096);
    assert_int_equal(ops_seqlm_save(m, &file, NULL), OPS_OK);
    assert_int_equal(ops_seqlm_save_config(m, &config, NULL), OPS_OK);
    if (ops_lm_config_parse(ops_strbuf_get(&config), &c, &err) != OPS_OK ||
        ops_shards_parse(ops_strbuf_get(&file), &weights, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    const ops_lm_source s = ops_lm_source_shards(weights);
    const ops_kern_cpu_conf conf = {.threads = 1};
    const ops_lm_limits limits = {
        .tokens = CONTEXT, .outputs = CONTEXT, .seqs = 1, .block = BLOCK, .blocks = 1, .cache_f32 = true};
    assert_int_equal(ops_kern_cpu_open(&conf, &dev), OPS_KERN_OK);
    if (ops_lm_load_from(&c, &s, ops_kern_cpu(), dev, &limits, &lm, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    int32_t rows[2 * CONTEXT], out[CONTEXT];
    for (int i = 0; i < CONTEXT; i++) {
        rows[2 * i] = 0;
        rows[2 * i + 1] = out[i] = i;
    }
    const int32_t table[1] = {0};
    const ops_lm_batch b = {.tokens = CONTEXT,
                            .seqs = 1,
                            .outputs = CONTEXT,
                            .ids = ids,
                            .rows = rows,
                            .table = table,
                            .out = out};
    assert_int_equal(ops_lm_step(lm, &b, ret, &err), OPS_OK);
    ops_lm_free(lm);
    ops_kern_cpu()->dev_free(dev);
    ops_shards_free(weights);
    ops_strbuf_done(&file);
    ops_strbuf_done(&config);
}

static void gives_the_same_chances(void **state)
{
    (void)state;
    ops_seqlm *m = trained();
    float logits[CONTEXT * KINDS], chance[KINDS];
    logits_of(m, logits);
    for (int i = 0; i < CONTEXT; i++) {
        double sum = 0;
        assert_int_equal(ops_seqlm_expect(m, &lesson, i, chance, NULL), OPS_OK);
        for (int k = 0; k < KINDS; k++)
            sum += exp((double)logits[i * KINDS + k]);
        for (int k = 0; k < KINDS; k++)
            assert_true(fabs(exp((double)logits[i * KINDS + k]) / sum - (double)chance[k]) < 1e-5);
    }
    ops_seqlm_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gives_the_same_chances)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
