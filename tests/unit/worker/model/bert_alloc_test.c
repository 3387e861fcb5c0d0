/* A batch allocates nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/counted_heap.h"
#include "tests/support/golden.h"
#include "worker/model/bert.h"

static void a_batch_allocates_nothing(void **state)
{
    (void)state;
    enum { TOKENS = 96, SEQS = 8 };
    ops_slice config = golden_read("tests/golden/bert_tiny/config.json");
    ops_slice weights = golden_read("tests/golden/bert_tiny/model.safetensors");
    ops_bert_config c;
    ops_safetensors *st = NULL;
    assert_int_equal(ops_bert_config_parse(config, &c, NULL), OPS_OK);
    assert_int_equal(ops_safetensors_parse(weights, &st, NULL), OPS_OK);
    for (int type = OPS_KERN_F32; type <= OPS_KERN_I8; type++)
        for (int delayed = 0; delayed < 2; delayed++) {
            ops_kern_dev *dev = NULL;
            const ops_kern_cpu_conf conf = {.threads = 2, .delayed = delayed};
            assert_int_equal(ops_kern_cpu_open(&conf, &dev), OPS_KERN_OK);
            ops_bert *b = NULL;
            assert_int_equal(
                ops_bert_load(&c, st, ops_kern_cpu(), dev, (ops_kern_type)type, TOKENS, SEQS, &b, NULL),
                OPS_OK);
            assert_true(counted > 0); /* it does count */
            const long before = counted;
            for (int seqs = 1; seqs <= SEQS; seqs++) {
                int32_t ids[TOKENS], starts[SEQS + 1];
                float rows[SEQS * 16];
                for (int i = 0; i <= seqs; i++)
                    starts[i] = i * 12;
                for (int t = 0; t < TOKENS; t++)
                    ids[t] = t % c.vocab;
                assert_int_equal(ops_bert_embed(b, ids, starts, seqs, rows, NULL), OPS_OK);
            }
            assert_int_equal(counted, before);
            ops_bert_free(b);
            ops_kern_cpu()->dev_free(dev);
        }
    ops_safetensors_free(st);
    free((void *)(uintptr_t)config.p);
    free((void *)(uintptr_t)weights.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_batch_allocates_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
