/* A step of a decoder allocates nothing, whatever it holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/counted_heap.h"
#include "tests/unit/worker/lm_golden.h"

static float logits[LM_TOKENS * LM_VOCAB];
static ops_greatest greatest[LM_TOKENS * (OPS_GREATEST_MAX + 1)];
static int32_t ids[LM_TOKENS], rows[LM_TOKENS * 2], out[LM_TOKENS], table[LM_SEQS * LM_TABLE];

static ops_lm_batch empty(void)
{
    lm_table(table);
    return (ops_lm_batch){.seqs = LM_SEQS, .ids = ids, .rows = rows, .out = out, .table = table};
}

static void step(lm_world *w, const ops_lm_batch *b)
{
    const long before = counted;
    assert_int_equal(ops_lm_step(w->m, b, logits, NULL), OPS_OK);
    if (b->outputs > 0)
        assert_int_equal(ops_lm_step_greatest(w->m, b, OPS_GREATEST_MAX, greatest, logits, NULL), OPS_OK);
    assert_int_equal(counted, before);
}

static void steps_of_all_kinds(lm_world *w)
{
    uint32_t mask[LM_TOKENS * (LM_VOCAB / 32)];
    for (size_t i = 0; i < sizeof mask / sizeof *mask; i++)
        mask[i] = 0x55555555;
    ops_lm_batch b = empty();
    lm_add(w, 0, 0, 1, &b, ids, rows, out); /* the smallest */
    step(w, &b);
    b = empty();
    for (int s = 0; s < LM_SEQS; s++)
        lm_add(w, s, 0, lm_lengths[s], &b, ids, rows, out);
    step(w, &b); /* the largest, all rows of logits */
    b.mask = mask;
    step(w, &b);
    b.mask = NULL;
    b.outputs = 0;
    step(w, &b);
    for (int at = 0; at < lm_lengths[LM_SEQS - 1]; at++) {
        b = empty();
        lm_add(w, LM_SEQS - 1, at, at + 1, &b, ids, rows, out);
        b.mask = at % 2 == 0 ? mask : NULL;
        step(w, &b);
    }
}

static void a_step_allocates_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {"llama", "qwen2", "gemma3", "llama_q4_1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int kind = 0; kind < 4; kind++) {
            lm_world w = {.m = NULL};
            const ops_kern_cpu_conf conf = {.threads = 2, .delayed = kind % 2};
            const long before = counted;
            lm_open(&w, names[i], &conf, kind / 2 != 0);
            assert_true(counted > before); /* it does count */
            steps_of_all_kinds(&w);
            lm_close(&w);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_step_allocates_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
