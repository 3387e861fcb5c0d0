/* Models on a device whose memory is not ours say what they say on the processor, to the bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem/alloc.h"
#include "kernels/fake/far.h"
#include "tests/unit/worker/lm_golden.h"
#include "worker/model/bert.h"

enum { FAR_TOP = 20 };
static float near_row[LM_TOKENS * LM_VOCAB], far_row[LM_TOKENS * LM_VOCAB];
static ops_greatest near_top[LM_TOKENS * (FAR_TOP + 1)], far_top[LM_TOKENS * (FAR_TOP + 1)];

/* `window_blocks`: of layers with a window, in a table of their own; 0: all in one. */
static void run_decoder(const ops_kern *kern, ops_kern_dev *dev, const char *name, int window_blocks,
                        float *ret, ops_greatest *greatest)
{
    lm_world w = {.dev = dev};
    char path[96];
    int32_t ids[LM_TOKENS], rows[LM_TOKENS * 2], out[LM_TOKENS], table[LM_SEQS * LM_TABLE],
        window_table[LM_SEQS * LM_TABLE];
    const ops_lm_limits limits = {.tokens = LM_TOKENS,
                                  .outputs = LM_TOKENS,
                                  .seqs = LM_SEQS,
                                  .block = LM_BLOCK,
                                  .blocks = LM_BLOCKS,
                                  .window_blocks = window_blocks};
    ops_err err;
    (void)snprintf(path, sizeof path, "tests/golden/lm/%s.gguf", name);
    w.file = golden_read(path);
    assert_int_equal(ops_gguf_parse(w.file, &w.g, NULL), OPS_OK);
    if (ops_lm_load(w.g, kern, dev, &limits, &w.m, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    lm_read_ids(w.ids);
    lm_table(table);
    for (int i = 0; i < LM_SEQS * LM_TABLE; i++)
        window_table[i] = LM_SEQS * LM_TABLE - 1 - i;
    for (int half = 0; half < 2; half++) { /* in two steps, so that the cache counts */
        ops_lm_batch b = {.seqs = LM_SEQS,
                          .ids = ids,
                          .rows = rows,
                          .out = out,
                          .table = table,
                          .window_table = window_table};
        for (int s = 0; s < LM_SEQS; s++)
            lm_add(&w, s, half ? lm_lengths[s] / 2 : 0, half ? lm_lengths[s] : lm_lengths[s] / 2, &b, ids,
                   rows, out);
        if (ops_lm_step(w.m, &b, ret, &err) != OPS_OK)
            fail_msg("%s", err.msg);
        if (ops_lm_step_greatest(w.m, &b, FAR_TOP, greatest, NULL, &err) != OPS_OK)
            fail_msg("%s", err.msg);
        ret += (size_t)b.outputs * LM_VOCAB;
        greatest += (size_t)b.outputs * (FAR_TOP + 1);
    }
    ops_lm_free(w.m);
    ops_gguf_free(w.g);
    golden_free(w.file);
}

static void decoders_are_the_same_there(void **state)
{
    (void)state;
    static const char *const names[] = {"llama", "llama_q4_1", "qwen2", "qwen3", "gemma3", "gemma3"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const int window_blocks = i == 5 ? LM_SEQS * LM_TABLE : 0;
        ops_kern_dev *dev = NULL;
        assert_int_equal(ops_kern_far_open(2, &dev), OPS_KERN_OK);
        run_decoder(ops_kern_far(), dev, names[i], window_blocks, far_row, far_top);
        ops_kern_far()->dev_free(dev);
        dev = ops_kern_cpu_new(0);
        run_decoder(ops_kern_cpu(), dev, names[i], 0, near_row, near_top);
        ops_kern_cpu()->dev_free(dev);
        assert_memory_equal(near_row, far_row, sizeof near_row);
        assert_memory_equal(near_top, far_top, sizeof near_top);
    }
}

static void run_encoder(const ops_kern *kern, ops_kern_dev *dev, ops_kern_type weights, float *ret)
{
    static const int32_t ids[] = {2, 5, 9, 3, 2, 7, 7, 8, 11, 3}, starts[] = {0, 4, 10};
    ops_bert_config c;
    ops_safetensors *st = NULL;
    ops_bert *b = NULL;
    ops_err err;
    const ops_slice config = golden_read("tests/golden/bert_tiny/config.json");
    const ops_slice file = golden_read("tests/golden/bert_tiny/model.safetensors");
    assert_int_equal(ops_bert_config_parse(config, &c, NULL), OPS_OK);
    assert_int_equal(ops_safetensors_parse(file, &st, NULL), OPS_OK);
    if (ops_bert_load(&c, st, kern, dev, weights, 64, 4, &b, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    if (ops_bert_embed(b, ids, starts, 2, ret, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    ops_bert_free(b);
    ops_safetensors_free(st);
    golden_free(config);
    golden_free(file);
}

static void encoders_are_the_same_there(void **state)
{
    (void)state;
    static const ops_kern_type types[] = {OPS_KERN_F32, OPS_KERN_F16, OPS_KERN_I8};
    static float near_v[2 * 1024], far_v[2 * 1024];
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        ops_kern_dev *dev = NULL;
        assert_int_equal(ops_kern_far_open(2, &dev), OPS_KERN_OK);
        run_encoder(ops_kern_far(), dev, types[i], far_v);
        ops_kern_far()->dev_free(dev);
        dev = ops_kern_cpu_new(0);
        run_encoder(ops_kern_cpu(), dev, types[i], near_v);
        ops_kern_cpu()->dev_free(dev);
        assert_memory_equal(near_v, far_v, sizeof near_v);
    }
}

/* Nothing is done before it is waited for, and until then nothing can be fetched. */
static void completion_is_delayed(void **state)
{
    (void)state;
    const ops_kern *t = ops_kern_far();
    ops_kern_dev *dev = NULL;
    ops_kern_buf *a = NULL, *b = NULL, *y = NULL;
    ops_kern_plan *p = NULL;
    ops_kern_fence fence = 0;
    const float x[4] = {1, 2, 3, 4};
    float sum[4] = {0};
    assert_int_equal(ops_kern_far_open(1, &dev), OPS_KERN_OK);
    assert_int_equal(t->buf_new(dev, sizeof x, &a), OPS_KERN_OK);
    assert_int_equal(t->buf_new(dev, sizeof x, &b), OPS_KERN_OK);
    assert_int_equal(t->buf_new(dev, sizeof x, &y), OPS_KERN_OK);
    assert_int_equal(t->upload(dev, a, 0, x, sizeof x), OPS_KERN_OK);
    assert_int_equal(t->upload(dev, b, 1, x, sizeof x), OPS_KERN_EINVAL);
    assert_int_equal(t->upload(dev, b, 0, x, sizeof x), OPS_KERN_OK);
    const ops_kern_shape add = {.op = OPS_KERN_ADD, .m = 1, .n = 4};
    assert_int_equal(t->plan_new(dev, &add, &p), OPS_KERN_OK);
    assert_int_equal(t->submit(dev, p, (ops_kern_buf *const[]){a, b, y}, 3, &fence), OPS_KERN_OK);
    assert_int_equal(t->download(dev, y, 0, sum, sizeof sum), OPS_KERN_EBUSY);
    assert_int_equal(t->wait(dev, fence), OPS_KERN_OK);
    assert_int_equal(t->download(dev, y, 0, sum, sizeof sum), OPS_KERN_OK);
    assert_true(sum[0] == 2 && sum[3] == 8);
    t->plan_free(dev, p);
    t->buf_free(dev, a);
    t->buf_free(dev, b);
    t->buf_free(dev, y);
    t->dev_free(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoders_are_the_same_there),
        cmocka_unit_test(encoders_are_the_same_there),
        cmocka_unit_test(completion_is_delayed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
