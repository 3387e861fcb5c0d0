/* Answers of a model with a window (Gemma 3, 8 tokens, contexts of many windows) are those of one table for all layers, bit for bit,
 * whatever is shared, given back, lost and called off; and the window's blocks are bounded. Its tokenizer is GPT-2's fixture's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem/alloc.h"
#include "tests/support/golden.h"
#include "worker/engine/generator.h"
#include "worker/engine/kv_window.h"

enum { ASKERS = 16, FEW = 6, CONTEXT = 320, WINDOW = 8, TEXT_BYTES = 1 << 12 };

typedef struct asker {
    char text[TEXT_BYTES];
    size_t n;
    int32_t ids[CONTEXT];
    float logprobs[CONTEXT];
    uint32_t tokens;
    unsigned dones;
    ops_generator_result r;
    ops_generation *job;
} asker;

static void on_piece(void *ctx, const ops_generator_piece *p)
{
    asker *a = ctx;
    assert_true(a->n + p->text.n < TEXT_BYTES);
    if (p->text.n > 0)
        memcpy(a->text + a->n, p->text.p, p->text.n);
    a->n += p->text.n;
    if (p->token == NULL)
        return;
    a->ids[a->tokens] = p->token->choice.id;
    a->logprobs[a->tokens++] = p->token->choice.logprob;
}

static void on_done(void *ctx, const ops_generator_result *r)
{
    asker *a = ctx;
    a->dones++;
    a->r = *r;
}

typedef struct how {
    int block, blocks, window_blocks; /* window_blocks 0: one table */
    ops_generator_conf conf;
} how;

/* The fixture with a longer context than it was made with: nothing else depends on that. */
static ops_slice longer_file(void)
{
    static const char key[] = "gemma3.context_length";
    const uint32_t context = CONTEXT;
    const ops_slice file = golden_read("tests/golden/lm/gemma3.gguf");
    const ptrdiff_t at = ops_slice_find(file, ops_slice_str(key));
    assert_true(file.p != NULL && at >= 0);
    memcpy((char *)(uintptr_t)file.p + at + strlen(key) + 4, &context, 4); /* behind the kind of the value */
    return file;
}

static ops_tokenizer *open_tokenizer(void)
{
    const ops_slice file = golden_read("tests/golden/lm/gpt2.gguf");
    ops_gguf *g = NULL;
    ops_tokenizer *t = NULL;
    assert_int_equal(ops_gguf_parse(file, &g, NULL), OPS_OK);
    assert_int_equal(ops_tokenizer_from_gguf(g, &t, NULL), OPS_OK);
    ops_gguf_free(g);
    golden_free(file);
    return t;
}

static ops_generator *open_model(const how *h)
{
    ops_generator_parts p = {.tokenizer = open_tokenizer()};
    const ops_lm_limits l = {.tokens = 64,
                             .outputs = 48,
                             .seqs = 16,
                             .positions = CONTEXT,
                             .block = h->block,
                             .blocks = h->blocks,
                             .window_blocks = h->window_blocks};
    const ops_kern_cpu_conf device = {.threads = 2, .delayed = h->conf.delayed};
    ops_generator_conf conf = h->conf;
    ops_generator *g = NULL;
    ops_gguf *file = NULL;
    ops_err err;
    const ops_slice bytes = longer_file();
    conf.seqs_max = conf.seqs_max > 0 ? conf.seqs_max : 16;
    conf.step_tokens = conf.step_tokens > 0 ? conf.step_tokens : 64;
    assert_int_equal(ops_gguf_parse(bytes, &file, NULL), OPS_OK);
    assert_int_equal(ops_kern_cpu_open(&device, &p.dev), OPS_KERN_OK);
    if (ops_lm_load(file, ops_kern_cpu(), p.dev, &l, &p.lm, &err) != OPS_OK ||
        ops_generator_new(&conf, &p, &g, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    ops_gguf_free(file);
    golden_free(bytes);
    return g;
}

static const char LONG[] =
    "the disk of the other node is in use and the one in the rack is not, so the error is on the "
    "node in the other rack or in the disk; the end of the log is here. ";
static const char *const PROMPTS[] = {"the disk is full",
                                      "is it on or is it the other one, on and on and on and on and on",
                                      "one", "one two one two one two one two one two one two one two"};

/* Every kind by number: prompts of many windows with the same start and with several answers each, answers of many windows. */
static ops_generator_request request(int i, asker *a)
{
    static char prompts[ASKERS][512];
    memset(a, 0, sizeof *a);
    (void)snprintf(prompts[i], sizeof prompts[i], "%s%s", i % 2 == 0 ? LONG : "", PROMPTS[i / 3 % 4]);
    ops_generator_request q = {.prompt = ops_slice_str(prompts[i]),
                               .sample = ops_sample_defaults(),
                               .tokens_max = (uint32_t)(3 + i * 23 % 140),
                               .tell = on_piece,
                               .done = on_done,
                               .ctx = a};
    q.sample.temperature = i % 4 == 0 ? 0 : 0.7F;
    q.sample.presence = i % 5 == 0 ? -10 : 0; /* so that it says again what was said, and is guessed */
    q.sample.seed = (uint64_t)i;
    q.line = (unsigned)i % OPS_GENERATOR_LINES;
    if (i % 7 == 6) {
        q.form = OPS_GENERATOR_EBNF;
        q.form_text = OPS_SLICE("root ::= ([a-e]{2,5} \"-\")+ [0-9]");
    }
    return q;
}

static void submit(ops_generator *g, const ops_generator_request *q)
{
    ops_err err;
    asker *a = q->ctx;
    if (ops_generator_submit(g, q, &a->job, &err) != OPS_OK)
        fail_msg("%s", err.msg);
}

static void check_same(const asker *a, const asker *b)
{
    assert_int_equal(a->dones, 1);
    assert_int_equal(a->r.status, OPS_OK);
    assert_int_equal(b->r.status, OPS_OK);
    assert_int_equal(a->r.tokens, b->r.tokens);
    assert_int_equal(a->r.end, b->r.end);
    assert_memory_equal(a->ids, b->ids, a->tokens * sizeof *a->ids);
    assert_memory_equal(a->logprobs, b->logprobs, a->tokens * sizeof *a->logprobs); /* to the bit */
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->text, b->text, a->n);
}

static void ask_alone(asker a[ASKERS], int n, int block)
{
    const how h = {
        .block = block, .blocks = (CONTEXT + block - 1) / block, .conf = {.seqs_max = 1, .no_guesses = true}};
    for (int i = 0; i < n; i++) {
        ops_generator *g = open_model(&h); /* nothing of the others */
        const ops_generator_request q = request(i, &a[i]);
        submit(g, &q);
        while (ops_generator_step(g, 0) > 0)
            ;
        ops_generator_free(g);
    }
}

/* All of them, one in four beside a twin that is called off on its way. */
static ops_generator_counts ask_together(const how *h, asker a[ASKERS], int n)
{
    static asker gone[ASKERS];
    ops_generator *g = open_model(h);
    int steps = 0;
    for (int i = 0; i < n; i++) {
        ops_generator_request q = request(i, &a[i]);
        submit(g, &q);
        if (i % 4 == 1) {
            q = request(i, &gone[i]);
            submit(g, &q);
        }
        (void)ops_generator_step(g, 0);
    }
    do {
        for (int i = 1; i < n; i += 4)
            if (steps == i && gone[i].dones == 0)
                ops_generator_cancel(g, gone[i].job);
        assert_true(++steps < 20000);
    } while (ops_generator_step(g, 0) > 0 || steps < n);
    const ops_generator_counts c = ops_generator_counts_get(g);
    assert_int_equal(c.blocks_used, 0);
    assert_int_equal(c.window_used, 0);
    ops_generator_free(g);
    return c;
}

static void answers_are_those_of_one_table(void **state)
{
    (void)state;
    static asker alone[ASKERS], together[ASKERS];
    const int needs = ops_kv_window_needs(WINDOW, 16), one = CONTEXT / 16;
    const how hows[] = {{16, 8 * one, 60, {.seqs_max = 16}},
                        {16, 8 * one, 0, {.seqs_max = 16}}, /* one table in company, too */
                        {16, 8 * one, needs, {.seqs_max = 16}},
                        {16, one, needs + 1, {.seqs_max = 9, .step_tokens = 40, .reading_tokens = 20}},
                        {16, 3 * one, 8, {.seqs_max = 3, .step_tokens = 21, .reading_tokens = 5}},
                        {16, 2 * one, 7, {.seqs_max = 5, .delayed = true, .no_guesses = true}}};
    uint64_t preempted = 0, confirmed = 0, cached = 0, cancelled = 0;
    ask_alone(alone, ASKERS, 16);
    for (size_t k = 0; k < sizeof hows / sizeof *hows; k++) {
        const ops_generator_counts c = ask_together(&hows[k], together, ASKERS);
        for (int i = 0; i < ASKERS; i++)
            check_same(&together[i], &alone[i]);
        if (hows[k].window_blocks == 0)
            continue;
        preempted += c.preempted;
        confirmed += c.confirmed;
        cached += c.cached_tokens;
        cancelled += c.cancelled;
    }
    assert_true(preempted > 0 && confirmed > 0 && cached > 0 && cancelled > 0); /* all of it came to pass */
}

/* Blocks of half a window, which the kernels compute by the formula. */
static void small_blocks_are_the_same(void **state)
{
    (void)state;
    static asker alone[ASKERS], together[ASKERS];
    const int needs = ops_kv_window_needs(WINDOW, 4), one = CONTEXT / 4;
    const how hows[] = {{4, 4 * one, 2 * needs, {.seqs_max = 8, .step_tokens = 30}},
                        {4, one + 8, 24, {.seqs_max = 5, .step_tokens = 13, .reading_tokens = 6}}};
    ask_alone(alone, FEW, 4);
    for (size_t k = 0; k < sizeof hows / sizeof *hows; k++) {
        (void)ask_together(&hows[k], together, FEW);
        for (int i = 0; i < FEW; i++)
            check_same(&together[i], &alone[i]);
    }
}

/* However long it gets. */
static void a_long_answer_holds_a_window(void **state)
{
    (void)state;
    static asker a;
    const how h = {.block = 16, .blocks = CONTEXT / 16, .window_blocks = CONTEXT / 16};
    ops_generator *g = open_model(&h);
    ops_generator_request q = request(0, &a);
    q.tokens_max = 0;
    q.form = OPS_GENERATOR_EBNF; /* it goes on to the end of the context */
    q.form_text = OPS_SLICE("root ::= [a-z ]+ \"|\"");
    submit(g, &q);
    const uint32_t needs = (uint32_t)ops_kv_window_needs(WINDOW, 16), step = 64 / 16;
    uint32_t most = 0, all = 0;
    while (ops_generator_step(g, 0) > 0) {
        const ops_generator_counts c = ops_generator_counts_get(g);
        assert_true(c.window_used <= needs + step);
        if (a.tokens > 1)
            most = c.window_used > most ? c.window_used : most;
        all = c.blocks_used > all ? c.blocks_used : all;
    }
    assert_int_equal(a.r.status, OPS_OK);
    assert_int_equal(a.r.prompt_tokens + a.r.tokens, CONTEXT);
    assert_int_equal(all, CONTEXT / 16);
    assert_int_equal(most, needs);
    const ops_generator_info *info = ops_generator_info_get(g);
    assert_int_equal(info->blocks, CONTEXT / 16);
    assert_int_equal(info->window_blocks, CONTEXT / 16);
    /* 7 layers, 1 of which looks at everything: keys and values of 2 heads of 16 elements, of 2 bytes */
    assert_int_equal(info->cache_bytes, 7 * CONTEXT * 2 * 2 * 16 * 2);
    ops_generator_free(g);
}

/* A prompt of many windows, asked again while the window's end is there, and when it is not. */
static void a_prompt_is_found_again_where_its_window_is(void **state)
{
    (void)state;
    static asker first, again, other;
    const how h = {.block = 16, .blocks = 4 * CONTEXT / 16, .window_blocks = 6};
    ops_generator *g = open_model(&h);
    ops_generator_request q = request(0, &first);
    submit(g, &q);
    while (ops_generator_step(g, 0) > 0)
        ;
    q = request(0, &again);
    submit(g, &q);
    while (ops_generator_step(g, 0) > 0)
        ;
    check_same(&again, &first);
    assert_int_equal(again.r.cached_tokens, (first.r.prompt_tokens - 1) / 16 * 16);
    q = request(9, &other);
    q.tokens_max = 150;
    q.form = OPS_GENERATOR_EBNF;
    q.form_text = OPS_SLICE("root ::= [a-z ]+ \"|\"");
    submit(g, &q); /* takes the blocks of the window, but not those of the other layers */
    while (ops_generator_step(g, 0) > 0)
        ;
    q = request(0, &again);
    submit(g, &q);
    while (ops_generator_step(g, 0) > 0)
        ;
    check_same(&again, &first);
    assert_int_equal(again.r.cached_tokens, 0);
    ops_generator_free(g);
}

static void a_step_takes_no_memory(void **state)
{
    (void)state;
    static asker a[4];
    const how h = {.block = 16, .blocks = CONTEXT / 16 + 4, .window_blocks = 5};
    ops_generator *g = open_model(&h);
    for (int i = 0; i < 4; i++) {
        ops_generator_request q = request(2 * i, &a[i]);
        q.form = OPS_GENERATOR_TEXT;
        q.tokens_max = 100;
        submit(g, &q);
    }
    while (a[0].n == 0 || a[1].n == 0 || a[2].n == 0 || a[3].n == 0) /* text has what it needs by then */
        assert_true(ops_generator_step(g, 0) > 0);
    for (int i = 0; i < 60; i++) {
        ops_alloc_fail_at(1);
        (void)ops_generator_step(g, 0);
    }
    ops_alloc_fail_at(0);
    while (ops_generator_step(g, 0) > 0)
        ;
    for (int i = 0; i < 4; i++)
        assert_int_equal(a[i].r.status, OPS_OK);
    ops_generator_free(g);
}

static void a_cache_without_a_window_is_refused(void **state)
{
    (void)state;
    const ops_kern_cpu_conf device = {.threads = 1};
    ops_generator_parts p = {.tokenizer = open_tokenizer()};
    const ops_lm_limits l = {.tokens = 8,
                             .outputs = 8,
                             .seqs = 1,
                             .positions = CONTEXT,
                             .block = 4,
                             .blocks = CONTEXT / 4,
                             .window_blocks = 2};
    const ops_slice bytes = longer_file();
    const ops_generator_conf conf = {.seqs_max = 1, .step_tokens = 8};
    ops_gguf *file = NULL;
    ops_generator *g = NULL;
    ops_err err = {.msg = ""};
    assert_int_equal(ops_gguf_parse(bytes, &file, NULL), OPS_OK);
    assert_int_equal(ops_kern_cpu_open(&device, &p.dev), OPS_KERN_OK);
    assert_int_equal(ops_lm_load(file, ops_kern_cpu(), p.dev, &l, &p.lm, NULL), OPS_OK);
    assert_int_equal(ops_generator_new(&conf, &p, &g, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "a window of 8 tokens needs 3 blocks, there are 2"));
    ops_generator_parts_done(&p);
    ops_gguf_free(file);
    golden_free(bytes);
}

static void copy(const char *from, const char *folder, const char *name, const char *old, const char *new)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", from, name);
    const ops_slice bytes = golden_read(path);
    assert_non_null(bytes.p);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    const ptrdiff_t at = old != NULL ? ops_slice_find(bytes, ops_slice_str(old)) : 0;
    assert_true(at >= 0);
    const size_t skip = old != NULL ? (size_t)at + strlen(old) : 0;
    assert_int_equal(fwrite(bytes.p, 1, (size_t)at, f), (size_t)at);
    if (new != NULL)
        assert_int_equal(fwrite(new, 1, strlen(new), f), strlen(new));
    assert_int_equal(fwrite(bytes.p + skip, 1, bytes.n - skip, f), bytes.n - skip);
    assert_int_equal(fclose(f), 0);
    golden_free(bytes);
}

/* A folder as somebody would have it: the bytes of the cache are shared out when it is opened. */
static void a_folder_is_opened_with_both_caches(void **state)
{
    (void)state;
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json",
                                        "tokenizer_config.json"};
    static asker a, b;
    char folder[] = "/tmp/ops_window_XXXXXX";
    assert_non_null(mkdtemp(folder));
    copy("tests/golden/lm/hf/gemma3", folder, names[0], "\"max_position_embeddings\": 64",
         "\"max_position_embeddings\": 320");
    copy("tests/golden/lm/hf/gemma3", folder, names[1], NULL, NULL);
    copy("tests/golden/lm/hf/qwen2", folder, names[2], NULL, NULL);
    copy("tests/golden/lm/hf/qwen2", folder, names[3], NULL, NULL);
    ops_generator_conf conf = {.path = folder, .threads = 1, .seqs_max = 4, .step_tokens = 64};
    for (int i = 0; i < 2; i++) {
        ops_generator *g = NULL;
        ops_err err;
        conf.cache_bytes = i == 0 ? 0 : 1; /* all that four contexts need, or just one */
        if (ops_generator_open(&conf, &g, &err) != OPS_OK)
            fail_msg("%s", err.msg);
        const ops_generator_info *info = ops_generator_info_get(g);
        assert_int_equal(info->blocks, i == 0 ? 40 : 10);
        assert_int_equal(info->window_blocks, i == 0 ? 4 * 2 + 2 : 2 + 2);
        ops_generator_request q = request(0, i == 0 ? &a : &b);
        q.tokens_max = 100;
        submit(g, &q);
        while (ops_generator_step(g, 0) > 0)
            ;
        ops_generator_free(g);
    }
    check_same(&a, &b);
    for (int i = 0; i < 4; i++) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_one_table),
        cmocka_unit_test(small_blocks_are_the_same),
        cmocka_unit_test(a_long_answer_holds_a_window),
        cmocka_unit_test(a_prompt_is_found_again_where_its_window_is),
        cmocka_unit_test(a_step_takes_no_memory),
        cmocka_unit_test(a_cache_without_a_window_is_refused),
        cmocka_unit_test(a_folder_is_opened_with_both_caches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
