/* The loop of one owner, over a random model with the vocabulary of tests/golden/tokenizers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem/alloc.h"
#include "tests/unit/worker/lm_golden.h"
#include "worker/model/generate.h"

/* Byte-level BPE with 256 bytes and merges; the model knows the first 96 ids of it. */
typedef struct pen {
    lm_world w;
    ops_slice vocabulary;
    ops_gguf *g;
    ops_tokenizer *t;
    ops_strbuf text;
    int tokens, calls, end_after;
    int32_t ids[64];
} pen;

static void open_pen(pen *p)
{
    memset(p, 0, sizeof *p);
    const ops_kern_cpu_conf conf = {.threads = 2};
    lm_open(&p->w, "llama", &conf, false);
    p->vocabulary = golden_read("tests/golden/tokenizers/gpt-2.gguf");
    assert_int_equal(ops_gguf_parse(p->vocabulary, &p->g, NULL), OPS_OK);
    assert_int_equal(ops_tokenizer_from_gguf(p->g, &p->t, NULL), OPS_OK);
    ops_strbuf_init(&p->text, 1 << 16);
    p->end_after = 1000;
}

static void close_pen(pen *p)
{
    ops_strbuf_done(&p->text);
    ops_tokenizer_free(p->t);
    ops_gguf_free(p->g);
    golden_free(p->vocabulary);
    lm_close(&p->w);
}

static bool note(void *ctx, const ops_generate_token *token)
{
    pen *p = ctx;
    ops_strbuf_slice(&p->text, token->text);
    if (token->choice.id >= 0 && p->tokens < 64)
        p->ids[p->tokens++] = token->choice.id;
    return ++p->calls < p->end_after;
}

static ops_generate_result write_some(pen *p, const ops_generate_params *g)
{
    ops_generate_result r = {OPS_GENERATE_CALLED_OFF, -1};
    ops_err err;
    ops_strbuf_clear(&p->text);
    p->tokens = p->calls = 0;
    if (ops_generate(p->w.m, p->t, p->w.ids, 5, g, note, p, &r, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return r;
}

static ops_generate_params greedy(int tokens)
{
    return (ops_generate_params){.sample = ops_sample_defaults(), .tokens_max = tokens};
}

/* Each token is the greatest of what a step over all before it says. */
static void writes_what_steps_say(void **state)
{
    (void)state;
    pen p;
    open_pen(&p);
    const ops_generate_params g = greedy(20);
    const ops_generate_result r = write_some(&p, &g);
    assert_true(r.end == OPS_GENERATE_LENGTH || r.end == OPS_GENERATE_EOG);
    assert_in_range(p.tokens, 1, 20);
    int32_t all[64], rows[128], table[LM_SEQS * LM_TABLE];
    static float logits[LM_VOCAB];
    lm_table(table);
    memcpy(all, p.w.ids, 5 * sizeof *all);
    memcpy(all + 5, p.ids, (size_t)p.tokens * sizeof *all);
    for (int n = 5; n < 5 + p.tokens; n++) {
        for (int i = 0; i < n; i++) {
            rows[2 * i] = 0;
            rows[2 * i + 1] = i;
        }
        const int32_t out = n - 1;
        const ops_lm_batch b = {
            .tokens = n, .seqs = 1, .outputs = 1, .ids = all, .rows = rows, .table = table, .out = &out};
        assert_int_equal(ops_lm_step(p.w.m, &b, logits, NULL), OPS_OK);
        int best = 0;
        for (int i = 1; i < LM_VOCAB; i++)
            best = logits[i] > logits[best] ? i : best;
        assert_int_equal(best, all[n]);
    }
    ops_detok d;
    ops_strbuf want;
    ops_strbuf_init(&want, 1 << 16);
    ops_detok_init(&d, p.t);
    for (int i = 0; i < p.tokens; i++)
        ops_detok_put(&d, p.ids[i], &want);
    ops_detok_end(&d, &want);
    assert_true(ops_slice_eq(ops_strbuf_get(&want), ops_strbuf_get(&p.text)));
    ops_strbuf_done(&want);
    close_pen(&p);
}

/* Cut before a stop text that lies across tokens; what only looks like the start of one is shown in the end. */
static void stops_at_a_text(void **state)
{
    (void)state;
    pen p;
    open_pen(&p);
    ops_generate_params g = greedy(20);
    g.sample.temperature = 1;
    g.sample.seed = 4;
    (void)write_some(&p, &g);
    char whole[4096];
    const size_t n = p.text.n;
    const int tokens = p.tokens;
    assert_in_range(n, 8, sizeof whole - 1);
    memcpy(whole, p.text.p, n);
    const ops_slice stop[] = {{whole + 4, 3}};
    const size_t first = (size_t)ops_slice_find(ops_slice_of(whole, n), stop[0]);
    g.stop = stop;
    g.n_stop = 1;
    ops_generate_result r = write_some(&p, &g);
    assert_int_equal(r.end, OPS_GENERATE_STOPPED);
    assert_int_equal(p.text.n, first);
    assert_memory_equal(p.text.p, whole, first);
    assert_true(p.tokens < tokens);
    char almost[8];
    for (size_t i = 0; i < 3; i++) /* the end, and more that never comes */
        almost[i] = whole[n - 3 + i];
    almost[3] = 1;
    almost[4] = 2;
    const ops_slice never[] = {{almost, 5}};
    g.stop = never;
    r = write_some(&p, &g);
    assert_int_not_equal(r.end, OPS_GENERATE_STOPPED);
    assert_int_equal(p.text.n, n);
    assert_memory_equal(p.text.p, whole, n);
    close_pen(&p);
}

static void ends_when_called_off(void **state)
{
    (void)state;
    pen p;
    open_pen(&p);
    p.end_after = 3;
    const ops_generate_params g = greedy(20);
    const ops_generate_result r = write_some(&p, &g);
    assert_int_equal(r.end, OPS_GENERATE_CALLED_OFF);
    assert_int_equal(r.tokens, 3);
    close_pen(&p);
}

static void refuses_what_can_not_fit(void **state)
{
    (void)state;
    pen p;
    open_pen(&p);
    static int32_t many[65];
    ops_generate_result r;
    ops_err err;
    ops_generate_params g = greedy(0);
    assert_int_equal(ops_generate(p.w.m, p.t, many, 65, &g, note, &p, &r, &err), OPS_ETOOBIG);
    assert_non_null(
        strstr(err.msg, "the prompt has 65 tokens and the answer up to 1: a sequence has at most 64"));
    g = greedy(60);
    assert_int_equal(ops_generate(p.w.m, p.t, many, 5, &g, note, &p, &r, &err), OPS_ETOOBIG);
    assert_int_equal(ops_generate(p.w.m, p.t, many, 0, &g, note, &p, &r, &err), OPS_EINVAL);
    const ops_slice stop[] = {{"", 0}};
    g = greedy(1);
    g.stop = stop;
    g.n_stop = 1;
    assert_int_equal(ops_generate(p.w.m, p.t, many, 5, &g, note, &p, &r, &err), OPS_EINVAL);
    assert_int_equal(p.calls, 0);
    close_pen(&p);
}

static void fails_whole_when_memory_ends(void **state)
{
    (void)state;
    pen p;
    open_pen(&p);
    const ops_generate_params g = greedy(3);
    const long before = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_generate_result r = {OPS_GENERATE_EOG, -7};
        ops_strbuf_done(&p.text);
        ops_strbuf_init(&p.text, 1 << 16);
        assert_int_equal(ops_alloc_live(), before);
        ops_alloc_fail_at(nth);
        st = ops_generate(p.w.m, p.t, p.w.ids, 5, &g, note, &p, &r, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || (st == OPS_ENOMEM && r.tokens == -7));
        assert_true(nth < 100);
    }
    close_pen(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_steps_say),        cmocka_unit_test(stops_at_a_text),
        cmocka_unit_test(ends_when_called_off),         cmocka_unit_test(refuses_what_can_not_fit),
        cmocka_unit_test(fails_whole_when_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
