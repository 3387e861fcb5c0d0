/* Many answers at once are those that each would get alone. Over tests/golden/lm/writer.gguf, whose answers have no meaning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "tests/support/golden.h"
#include "worker/engine/generator.h"
#include "worker/model/generate.h"

#define MODEL "tests/golden/lm/writer.gguf"
enum { ASKERS = 24, TEXT_BYTES = 1 << 14 };

typedef struct asker {
    char text[TEXT_BYTES];
    size_t n;
    int32_t ids[600];
    float logprobs[600];
    uint32_t tokens;
    unsigned dones;
    ops_generator_result r;
    ops_generation *job;
} asker;

static void on_piece(void *ctx, const ops_generator_piece *p)
{
    asker *a = ctx;
    assert_int_equal(a->dones, 0);
    assert_true(a->n + p->text.n < TEXT_BYTES);
    if (p->text.n > 0)
        memcpy(a->text + a->n, p->text.p, p->text.n);
    a->n += p->text.n;
    a->text[a->n] = '\0';
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

static ops_generator *open_model(const ops_generator_conf *more)
{
    ops_generator *g = NULL;
    ops_err err;
    ops_generator_conf conf = *more;
    conf.path = MODEL;
    conf.threads = 2;
    if (ops_generator_open(&conf, &g, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return g;
}

static ops_generator_request plain(const char *prompt, uint32_t tokens, asker *a)
{
    memset(a, 0, sizeof *a);
    return (ops_generator_request){.prompt = ops_slice_str(prompt),
                                   .sample = ops_sample_defaults(),
                                   .tokens_max = tokens,
                                   .tell = on_piece,
                                   .done = on_done,
                                   .ctx = a};
}

static void submit(ops_generator *g, const ops_generator_request *q)
{
    ops_err err;
    asker *a = q->ctx;
    if (ops_generator_submit(g, q, &a->job, &err) != OPS_OK)
        fail_msg("%s", err.msg);
}

static void run(ops_generator *g)
{
    int steps = 0;
    while (ops_generator_step(g, 0) > 0)
        assert_true(++steps < 20000);
}

static void check_same(const asker *a, const asker *b)
{
    assert_int_equal(a->dones, 1);
    assert_int_equal(a->r.status, OPS_OK);
    assert_int_equal(a->r.tokens, b->r.tokens);
    assert_int_equal(a->r.end, b->r.end);
    assert_memory_equal(a->ids, b->ids, a->tokens * sizeof *a->ids);
    assert_memory_equal(a->logprobs, b->logprobs, a->tokens * sizeof *a->logprobs); /* to the bit */
    assert_string_equal(a->text, b->text);
}

/* What the loop of one sequence writes with the same file. */
typedef struct reference {
    ops_slice file;
    ops_gguf *g;
    ops_kern_dev *dev;
    ops_tokenizer *t;
    ops_lm *m;
    ops_strbuf text;
} reference;

static void open_reference(reference *r)
{
    const ops_kern_cpu_conf conf = {.threads = 1};
    const ops_lm_limits limits = {
        .tokens = 7, .outputs = 1, .seqs = 1, .positions = 400, .block = 16, .blocks = 25};
    ops_err err;
    memset(r, 0, sizeof *r);
    r->file = golden_read(MODEL);
    assert_int_equal(ops_gguf_parse(r->file, &r->g, NULL), OPS_OK);
    assert_int_equal(ops_tokenizer_from_gguf(r->g, &r->t, NULL), OPS_OK);
    assert_int_equal(ops_kern_cpu_open(&conf, &r->dev), OPS_KERN_OK);
    if (ops_lm_load(r->g, ops_kern_cpu(), r->dev, &limits, &r->m, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    ops_strbuf_init(&r->text, TEXT_BYTES);
}

static void close_reference(reference *r)
{
    ops_strbuf_done(&r->text);
    ops_lm_free(r->m);
    ops_kern_cpu()->dev_free(r->dev);
    ops_tokenizer_free(r->t);
    ops_gguf_free(r->g);
    golden_free(r->file);
}

static bool note(void *ctx, const ops_generate_token *t)
{
    reference *r = ctx;
    ops_strbuf_slice(&r->text, t->text);
    return true;
}

static const char *write_alone(reference *r, const ops_generator_request *q)
{
    ops_tokens ids;
    ops_generate_result result;
    const ops_generate_params p = {
        .sample = q->sample, .tokens_max = (int)q->tokens_max, .stop = q->stop, .n_stop = q->n_stop};
    ops_err err;
    ops_tokens_init(&ids, 400);
    ops_strbuf_clear(&r->text);
    assert_int_equal(ops_tokenizer_encode(r->t, q->prompt, OPS_TOKENIZER_BOS, &ids, NULL), OPS_OK);
    if (ops_generate(r->m, r->t, ids.v, ids.n, &p, note, r, &result, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    ops_tokens_done(&ids);
    return r->text.n > 0 ? r->text.p : "";
}

static const char *const PROMPTS[] = {"disk is full on node 7", "a",
                                      "connection refused: connection refused: connection",
                                      "GET /healthz 200 12ms\nGET /healthz 500 3ms\n", "磁盘已满"};
enum { N_PROMPTS = sizeof PROMPTS / sizeof *PROMPTS };

static void answers_are_those_of_one_sequence_alone(void **state)
{
    (void)state;
    const ops_generator_conf conf = {.step_tokens = 9, .seqs_max = 4};
    ops_generator *g = open_model(&conf);
    static asker a[N_PROMPTS];
    ops_generator_request q[N_PROMPTS];
    reference r;
    open_reference(&r);
    for (int i = 0; i < N_PROMPTS; i++) {
        q[i] = plain(PROMPTS[i], 40, &a[i]);
        q[i].sample.temperature = i % 2 == 0 ? 0 : 0.8F;
        q[i].sample.repeat = 1.2F;
        q[i].sample.seed = 5;
        submit(g, &q[i]);
    }
    run(g);
    for (int i = 0; i < N_PROMPTS; i++) {
        assert_int_equal(a[i].dones, 1);
        assert_int_equal(a[i].r.status, OPS_OK);
        assert_string_equal(a[i].text, write_alone(&r, &q[i]));
    }
    close_reference(&r);
    ops_generator_free(g);
}

static const char SCHEMA[] =
    "{\"type\":\"object\",\"properties\":{\"component\":{\"enum\":[\"redis\",\"postgres\",\"proxy\"]},"
    "\"severity\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":5},\"evidence\":{\"type\":\"array\","
    "\"items\":{\"enum\":[\"E1\",\"E2\",\"E3\"]},\"maxItems\":3}},\"required\":[\"component\",\"severity\","
    "\"evidence\"],"
    "\"additionalProperties\":false}";

/* Every kind of request there is, by number. */
static ops_generator_request request(int i, asker *a)
{
    static const ops_slice choices[] = {OPS_SLICE("restart"), OPS_SLICE("roll back"),
                                        OPS_SLICE("ask a person")};
    static const ops_slice stop[] = {OPS_SLICE("e"), OPS_SLICE("\n\n")};
    static const ops_chat_message chat[] = {
        {.role = OPS_CHAT_SYSTEM, .text = OPS_SLICE("You explain incidents to people.")},
        {.role = OPS_CHAT_USER, .text = OPS_SLICE("Why is <|im_end|> checkout slow?")}};
    ops_generator_request q = plain(PROMPTS[i % N_PROMPTS], (uint32_t)(5 + i * 17 % 130), a);
    if (i % 3 == 0) {
        q.prompt = (ops_slice){0};
        q.messages = chat;
        q.n_messages = 2;
    }
    q.sample.temperature = i % 4 == 0 ? 0 : 1;
    q.sample.seed = (uint64_t)i;
    q.line = (unsigned)i % OPS_GENERATOR_LINES;
    q.n_top = (uint32_t)i % 3;
    if (i % 5 == 1) {
        q.stop = stop;
        q.n_stop = 2;
    }
    if (i % 5 == 2) {
        q.form = OPS_GENERATOR_SCHEMA;
        q.form_text = ops_slice_str(SCHEMA);
        q.tokens_max = 200;
    }
    if (i % 5 == 3) {
        q.form = OPS_GENERATOR_CHOICES;
        q.choices = choices;
        q.n_choices = 3;
        q.tokens_max = 40;
    }
    if (i % 5 == 4) {
        q.form = OPS_GENERATOR_EBNF;
        q.form_text = OPS_SLICE("root ::= ([a-z]{2,5} \"-\")+ [0-9]");
    }
    return q;
}

static void ask_alone(asker a[ASKERS])
{
    const ops_generator_conf conf = {.seqs_max = 1, .no_guesses = true};
    for (int i = 0; i < ASKERS; i++) {
        ops_generator *g = open_model(&conf); /* nothing of the others */
        const ops_generator_request q = request(i, &a[i]);
        submit(g, &q);
        run(g);
        ops_generator_free(g);
    }
}

/* Small budgets, few places, little room: they are cut, share, give way and come back, and nobody can tell. */
static void company_changes_nothing(void **state)
{
    (void)state;
    static asker alone[ASKERS], together[ASKERS];
    static const ops_generator_conf confs[] = {
        {.seqs_max = 32},
        {.seqs_max = 5, .step_tokens = 40, .reading_tokens = 3},
        {.seqs_max = 12, .step_tokens = 50, .context_max = 300, .cache_bytes = 1},
        {.seqs_max = 12, .step_tokens = 50, .delayed = true}};
    ask_alone(alone);
    for (size_t k = 0; k < sizeof confs / sizeof *confs; k++) {
        ops_generator *g = open_model(&confs[k]);
        for (int i = 0; i < ASKERS; i++) {
            const ops_generator_request q = request(i, &together[i]);
            submit(g, &q);
            if (i % 3 == 0)
                (void)ops_generator_step(g, 0);
        }
        run(g);
        for (int i = 0; i < ASKERS; i++)
            check_same(&together[i], &alone[i]);
        const ops_generator_counts c = ops_generator_counts_get(g);
        assert_int_equal(c.done, ASKERS);
        assert_int_equal(c.submitted, ASKERS);
        assert_int_equal(c.blocks_used, 0);
        assert_true(k != 2 || c.preempted > 0);
        ops_generator_free(g);
    }
}

/* What is guessed is only kept where it would have been chosen. */
static void guesses_change_nothing(void **state)
{
    (void)state;
    static asker with[N_PROMPTS], without[N_PROMPTS];
    for (int k = 0; k < 2; k++) {
        const ops_generator_conf conf = {.seqs_max = 4, .no_guesses = k == 1, .context_max = 400};
        ops_generator *g = open_model(&conf);
        for (int i = 0; i < N_PROMPTS; i++) {
            ops_generator_request q = plain(PROMPTS[i], 300, k == 0 ? &with[i] : &without[i]);
            q.sample.temperature = i % 2 == 0 ? 0.05F : 1;
            q.sample.presence = i % 3 == 0 ? -100 : -2; /* so that it says again what was said */
            q.n_top = 2;
            submit(g, &q);
        }
        run(g);
        const ops_generator_counts c = ops_generator_counts_get(g);
        assert_true(k == 0 ? c.confirmed > 0 && c.confirmed < c.guessed : c.guessed == 0);
        ops_generator_free(g);
    }
    for (int i = 0; i < N_PROMPTS; i++)
        check_same(&with[i], &without[i]);
}

static void forms_hold(void **state)
{
    (void)state;
    const ops_generator_conf conf = {.seqs_max = 8};
    ops_generator *g = open_model(&conf);
    static asker a[20];
    for (int i = 0; i < 20; i++) {
        ops_generator_request q = plain("cause:", i < 10 ? 200 : (uint32_t)(3 + 2 * i), &a[i]);
        q.form = i < 10 ? OPS_GENERATOR_SCHEMA : OPS_GENERATOR_JSON_OBJECT;
        q.form_text = ops_slice_str(SCHEMA);
        q.sample.temperature = 1;
        q.sample.seed = (uint64_t)i;
        submit(g, &q);
    }
    run(g);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(a[i].r.status, OPS_OK);
        json_t *j = json_loads(a[i].text, JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_is_object(j)); /* also where there was no room for what it would have been */
        assert_true(i < 10 || a[i].r.tokens <= (uint32_t)(3 + 2 * i));
        if (i < 10) {
            assert_int_equal(a[i].r.end, OPS_GENERATOR_STOP);
            assert_int_equal(json_object_size(j), 3);
            assert_in_range(json_integer_value(json_object_get(j, "severity")), 1, 5);
        }
        json_decref(j);
    }
    /* names and quotes that must come cost no step */
    assert_true(ops_generator_counts_get(g).jumped > 0);
    ops_generator_free(g);
}

/* Many names that must come, and strings in code points of several bytes: told in fewer tokens than bytes, and whole. */
static void an_end_that_is_long_has_its_room(void **state)
{
    (void)state;
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"say\":{\"type\":\"string\"},\"interException\":{\"const\":"
        "\"interException inter\"},\"connection refused\":{\"const\":\"connection refused: connection\"}},"
        "\"required\":[\"say\",\"interException\",\"connection refused\"],\"additionalProperties\":false}";
    const ops_generator_conf conf = {.seqs_max = 16};
    ops_generator *g = open_model(&conf);
    static asker a[40];
    int ended_short = 0;
    for (int i = 0; i < 40; i++) {
        ops_generator_request q = plain("磁盘已满 🙂🙂", (uint32_t)(70 + i), &a[i]);
        q.form = OPS_GENERATOR_SCHEMA;
        q.form_text = ops_slice_str(schema);
        q.sample.temperature = 1;
        q.sample.seed = (uint64_t)i;
        submit(g, &q);
    }
    run(g);
    for (int i = 0; i < 40; i++) {
        json_t *j = json_loads(a[i].text, 0, NULL);
        assert_int_equal(json_object_size(j), 3);
        json_decref(j);
        assert_true(a[i].r.tokens <= (uint32_t)(70 + i));
        ended_short += a[i].r.end == OPS_GENERATOR_LENGTH;
    }
    assert_true(ended_short > 0);
    ops_generator_free(g);
}

static void what_was_asked_before_is_not_computed_again(void **state)
{
    (void)state;
    const ops_generator_conf conf = {.seqs_max = 32};
    ops_generator *g = open_model(&conf);
    static asker a[32], b;
    char prompt[1024] = "";
    for (int i = 0; i < 24; i++)
        (void)snprintf(prompt + strlen(prompt), sizeof prompt - strlen(prompt), "service %d is up. ", i);
    for (int i = 0; i < 32; i++) {
        char own[1100];
        (void)snprintf(own, sizeof own, "%s Is %d?", prompt, i);
        const ops_generator_request q = plain(own, 4, &a[i]);
        submit(g, &q);
    }
    run(g);
    const ops_generator_counts c = ops_generator_counts_get(g);
    const uint64_t whole = a[0].r.prompt_tokens, shared = whole / 32 * 32 - 32;
    assert_true(whole > 128);
    assert_true(c.prompt_tokens <= whole + 31 * (whole - shared)); /* the start once */
    for (int i = 1; i < 32; i++)
        assert_true(a[i].r.cached_tokens >= shared);
    ops_generator_request q = plain(prompt, 4, &b);
    q.salt = OPS_SLICE("another tenant");
    submit(g, &q);
    run(g);
    assert_int_equal(b.r.cached_tokens, 0);
    ops_generator_free(g);
}

typedef struct fixed_clock {
    ops_clock base;
    int64_t now;
} fixed_clock;
static int64_t fixed_now(ops_clock *c)
{
    return ((fixed_clock *)c)->now;
}

static void who_leaves_frees_its_blocks_within_a_step(void **state)
{
    (void)state;
    fixed_clock clock = {{fixed_now, fixed_now}, 1000};
    const ops_generator_conf conf = {.seqs_max = 4, .clock = &clock.base};
    ops_generator *g = open_model(&conf);
    static asker a, b;
    ops_generator_request q = plain("one", 400, &a);
    submit(g, &q);
    q = plain("two", 400, &b);
    q.deadline_ms = 5;
    submit(g, &q);
    (void)ops_generator_step(g, 0);
    assert_int_equal(ops_generator_counts_get(g).running, 2);
    ops_generator_cancel(g, a.job);
    clock.now += 5 * 1000000;
    assert_int_equal(ops_generator_step(g, 0), 0);
    assert_int_equal(a.r.status, OPS_ECANCELLED);
    assert_int_equal(b.r.status, OPS_ETIMEOUT);
    const ops_generator_counts c = ops_generator_counts_get(g);
    assert_int_equal(c.blocks_used, 0);
    assert_int_equal(c.cancelled, 1);
    assert_int_equal(c.expired, 1);
    q = plain("three", 400, &a); /* still open when the model goes */
    submit(g, &q);
    ops_generator_free(g);
    assert_int_equal(a.dones, 1);
    assert_int_equal(a.r.status, OPS_ECANCELLED);
}

static ops_status refused(ops_generator *g, const ops_generator_request *q, const char *why)
{
    ops_generation *job = NULL;
    ops_err err = {.msg = ""};
    const ops_status st = ops_generator_submit(g, q, &job, &err);
    if (strstr(err.msg, why) == NULL)
        fail_msg("'%s' does not say '%s'", err.msg, why);
    return st;
}

static void what_cannot_be_is_refused_with_the_numbers(void **state)
{
    (void)state;
    const ops_generator_conf conf = {.seqs_max = 1, .waiting_max = 1, .context_max = 64};
    ops_generator *g = open_model(&conf);
    static asker a, b, c;
    static char long_prompt[300000];
    memset(long_prompt, 'q', sizeof long_prompt - 1);
    ops_generator_request q = plain(long_prompt, 4, &a);
    assert_int_equal(refused(g, &q, "more than 64 tokens: this model's maximum context length is 64 tokens"),
                     OPS_ECONTEXT);
    q = plain("hello", 64, &a);
    assert_int_equal(refused(g, &q, "the answer up to 64: this model's maximum context length is 64"),
                     OPS_ECONTEXT);
    q = plain("", 4, &a);
    assert_int_equal(refused(g, &q, "empty"), OPS_EINVAL);
    q = plain("hello", 4, &a);
    q.sample.temperature = -1;
    assert_int_equal(refused(g, &q, "temperature -1"), OPS_EINVAL);
    q = plain("hello", 4, &a);
    q.form = OPS_GENERATOR_SCHEMA;
    q.form_text = OPS_SLICE("{\"not\":{}}");
    assert_int_equal(refused(g, &q, "not"), OPS_EUNIMPL);
    q.form = OPS_GENERATOR_CHOICES;
    assert_int_equal(refused(g, &q, "0 choices"), OPS_EINVAL);
    q = plain("hello", 4, &a);
    q.n_stop = 1;
    q.stop = &(const ops_slice){"", 0};
    assert_int_equal(refused(g, &q, "stop text 0"), OPS_EINVAL);
    q = plain("hello", 4, &a);
    submit(g, &q);
    q = plain("hello", 4, &b);
    submit(g, &q);
    q = plain("hello", 4, &c);
    assert_int_equal(refused(g, &q, "2 requests under way or waiting"), OPS_EAGAIN);
    run(g);
    submit(g, &q);
    run(g);
    assert_int_equal(c.r.status, OPS_OK);
    assert_int_equal(ops_generator_counts_get(g).refused, 1);
    ops_generator_free(g);
}

/* Bytes that are no UTF-8, and names of control tokens, are text. */
static void prompts_are_data(void **state)
{
    (void)state;
    const ops_generator_conf conf = {.seqs_max = 2};
    ops_generator *g = open_model(&conf);
    static asker a, b;
    ops_generator_request q = plain("<|im_end|>", 4, &a);
    submit(g, &q);
    q = plain("x", 4, &b);
    q.prompt = ops_slice_of("\xff\xfe\x00\x80 x", 6);
    submit(g, &q);
    run(g);
    assert_true(a.r.prompt_tokens > 3);
    assert_int_equal(a.r.status, OPS_OK);
    assert_int_equal(b.r.status, OPS_OK);
    ops_generator_free(g);
}

/* Text that grows as it is told, plans and forms aside: what a step needs was taken before. */
static void a_step_takes_no_memory(void **state)
{
    (void)state;
    const ops_generator_conf conf = {.seqs_max = 8};
    ops_generator *g = open_model(&conf);
    static asker a[8];
    for (int i = 0; i < 8; i++) {
        ops_generator_request q = plain(PROMPTS[i % N_PROMPTS], 100, &a[i]);
        q.sample.temperature = 1;
        submit(g, &q);
    }
    (void)ops_generator_step(g, 0);
    for (int i = 0; i < 40; i++) {
        ops_alloc_fail_at(1);
        (void)ops_generator_step(g, 0);
    }
    ops_alloc_fail_at(0);
    run(g);
    for (int i = 0; i < 8; i++)
        assert_int_equal(a[i].r.status, OPS_OK);
    ops_generator_free(g);
}

static void survives_the_heap(void **state)
{
    (void)state;
    const ops_generator_conf conf = {.path = MODEL, .threads = 1, .seqs_max = 2, .context_max = 128};
    const long live = ops_alloc_live();
    ops_generator *g = NULL;
    for (long nth = 1;; nth++) {
        ops_alloc_fail_at(nth);
        const ops_status st = ops_generator_open(&conf, &g, NULL);
        ops_alloc_fail_at(0);
        if (st == OPS_OK)
            break;
        assert_int_equal(st, OPS_ENOMEM);
        assert_int_equal(ops_alloc_live(), live);
    }
    for (int i = 0; i < 5; i++) {
        static asker a;
        bool whole = false;
        for (long nth = 1; !whole; nth++) {
            ops_generator_request q = request(i, &a);
            q.tokens_max = 20;
            ops_alloc_fail_at(nth);
            const ops_status st = ops_generator_submit(g, &q, &a.job, NULL);
            if (st == OPS_OK) {
                run(g);
                assert_true(a.r.status == OPS_OK || a.r.status == OPS_ENOMEM);
                whole = a.r.status == OPS_OK && nth > 30;
            } else
                assert_int_equal(st, OPS_ENOMEM);
            ops_alloc_fail_at(0);
        }
    }
    ops_generator_free(g);
    assert_int_equal(ops_alloc_live(), live);
}

/* GPT-2 and Qwen 2 as transformers write them; the second has a template for conversations. */
static void folders_write_too(void **state)
{
    (void)state;
    static const char *const folders[] = {"tests/golden/lm/hf/gpt2", "tests/golden/lm/hf/qwen2/"};
    for (int i = 0; i < 2; i++) {
        static asker a;
        ops_generator *g = NULL;
        ops_err err;
        const ops_generator_conf conf = {.path = folders[i], .threads = 1, .seqs_max = 2};
        if (ops_generator_open(&conf, &g, &err) != OPS_OK)
            fail_msg("%s", err.msg);
        assert_string_equal(ops_generator_info_get(g)->model, i == 0 ? "gpt2" : "qwen2");
        const ops_generator_request q = plain("the disk", 8, &a);
        submit(g, &q);
        run(g);
        assert_int_equal(a.r.status, OPS_OK);
        assert_in_range(a.r.tokens, 1, 8);
        ops_generator_free(g);
    }
}

static void what_is_no_model_is_refused(void **state)
{
    (void)state;
    ops_generator *g = NULL;
    ops_err err;
    ops_generator_conf conf = {.path = "tests/golden/lm/none.gguf"};
    assert_int_equal(ops_generator_open(&conf, &g, &err), OPS_ENOTFOUND);
    conf.path = "tests/golden/lm"; /* many */
    assert_int_equal(ops_generator_open(&conf, &g, &err), OPS_EINVAL);
    conf.path = "tests/golden/lm/ids.json";
    assert_int_equal(ops_generator_open(&conf, &g, &err), OPS_ECORRUPT);
    conf.path = "tests/golden/chat"; /* no model at all */
    assert_int_equal(ops_generator_open(&conf, &g, &err), OPS_ENOTFOUND);
    conf.path = "tests/golden/lm/llama.gguf"; /* no tokenizer in it */
    assert_int_not_equal(ops_generator_open(&conf, &g, &err), OPS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_one_sequence_alone),
        cmocka_unit_test(company_changes_nothing),
        cmocka_unit_test(guesses_change_nothing),
        cmocka_unit_test(forms_hold),
        cmocka_unit_test(an_end_that_is_long_has_its_room),
        cmocka_unit_test(what_was_asked_before_is_not_computed_again),
        cmocka_unit_test(who_leaves_frees_its_blocks_within_a_step),
        cmocka_unit_test(what_cannot_be_is_refused_with_the_numbers),
        cmocka_unit_test(prompts_are_data),
        cmocka_unit_test(a_step_takes_no_memory),
        cmocka_unit_test(survives_the_heap),
        cmocka_unit_test(folders_write_too),
        cmocka_unit_test(what_is_no_model_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
