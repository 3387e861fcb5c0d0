/* What a client may write into a GenerateTask, and what becomes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "tests/support/fake_writer.h"
#include "worker/serve/answer.h"
#include "worker/serve/request.h"

#define TEXT(s) ((char *)(uintptr_t)(s))

/* Of requests, only its chat is looked at: it has none. */
static const ops_writer_ops no_chat_ops = {.chat = fake_writer_chat, .tokenizer = fake_writer_tokenizer};
static const ops_generator_info no_chat_info = {.model = "m"};
static const ops_writer no_chat = {&no_chat_ops, &no_chat_info};

typedef struct conversation {
    Ops__V1__GenerateTask task;
    Ops__V1__ChatMessage m[2], *messages[2];
    Ops__V1__Sampling sampling;
    Ops__V1__AnswerForm form;
    Ops__V1__AnswerForm__Choices choices;
    char *texts[2], *stops[1];
} conversation;

static void make(conversation *c)
{
    ops__v1__generate_task__init(&c->task);
    for (int i = 0; i < 2; i++) {
        ops__v1__chat_message__init(&c->m[i]);
        c->messages[i] = &c->m[i];
        c->m[i].role = TEXT(i == 0 ? "developer" : "user");
        c->m[i].content = TEXT(i == 0 ? "be brief" : "why?");
    }
    c->task.n_messages = 2;
    c->task.messages = c->messages;
    ops__v1__sampling__init(&c->sampling);
    c->sampling.temperature = 0.5F;
    c->sampling.presence_penalty = 1;
    c->sampling.seeded = true;
    c->sampling.seed = 7;
    c->task.sampling = &c->sampling;
    ops__v1__answer_form__init(&c->form);
    ops__v1__answer_form__choices__init(&c->choices);
    c->texts[0] = TEXT("yes");
    c->texts[1] = TEXT("no");
    c->choices.n_text = 2;
    c->choices.text = c->texts;
    c->form.form_case = OPS__V1__ANSWER_FORM__FORM_CHOICES;
    c->form.choices = &c->choices;
    c->task.form = &c->form;
    c->stops[0] = TEXT("\n\n");
    c->task.n_stop = 1;
    c->task.stop = c->stops;
    c->task.salt = TEXT("tenant");
    c->task.top_logprobs = 3; /* without logprobs: nobody asked for them */
    c->task.tokens_max = 9;
}

static void everything_is_taken_over(void **state)
{
    (void)state;
    conversation c;
    ops_request q;
    make(&c);
    assert_int_equal(ops_request_read(&c.task, &no_chat, &q, NULL), OPS_OK);
    assert_int_equal(q.to.n_messages, 2);
    assert_int_equal(q.to.messages[0].role, OPS_CHAT_SYSTEM);
    assert_int_equal(q.to.messages[1].role, OPS_CHAT_USER);
    assert_true(ops_slice_eq(q.to.messages[1].text, OPS_SLICE("why?")));
    assert_true(q.to.sample.temperature == 0.5F && q.to.sample.presence == 1);
    assert_true(q.to.sample.top_p == 1 && q.to.sample.repeat == 1);
    assert_true(q.to.sample.window > ops_sample_defaults().window);
    assert_int_equal(q.to.sample.seed, 7);
    assert_int_equal(q.to.form, OPS_GENERATOR_CHOICES);
    assert_int_equal(q.to.n_choices, 2);
    assert_true(ops_slice_eq(q.to.choices[1], OPS_SLICE("no")));
    assert_int_equal(q.to.n_stop, 1);
    assert_true(ops_slice_eq(q.to.stop[0], OPS_SLICE("\n\n")));
    assert_true(ops_slice_eq(q.to.salt, OPS_SLICE("tenant")));
    assert_int_equal(q.to.n_top, 0);
    assert_int_equal(q.to.tokens_max, 9);
    ops_request_done(&q);
    c.task.sampling = NULL;
    c.task.form = NULL;
    c.task.logprobs = true;
    assert_int_equal(ops_request_read(&c.task, &no_chat, &q, NULL), OPS_OK);
    assert_true(q.to.sample.temperature == 0);
    assert_int_equal(q.to.form, OPS_GENERATOR_TEXT);
    assert_int_equal(q.to.n_top, 3);
    const uint64_t seed = q.to.sample.seed;
    ops_request_done(&q);
    assert_int_equal(ops_request_read(&c.task, &no_chat, &q, NULL), OPS_OK);
    assert_true(q.to.sample.seed != seed); /* drawn */
    ops_request_done(&q);
    assert_int_equal(ops_alloc_live(), 0);
}

static void forms_are_told_apart(void **state)
{
    (void)state;
    conversation c;
    ops_request q;
    make(&c);
    const struct {
        Ops__V1__AnswerForm__FormCase is;
        ops_generator_form want;
    } rows[] = {{OPS__V1__ANSWER_FORM__FORM_JSON_OBJECT, OPS_GENERATOR_JSON_OBJECT},
                {OPS__V1__ANSWER_FORM__FORM_JSON_SCHEMA, OPS_GENERATOR_SCHEMA},
                {OPS__V1__ANSWER_FORM__FORM_EBNF, OPS_GENERATOR_EBNF},
                {OPS__V1__ANSWER_FORM__FORM__NOT_SET, OPS_GENERATOR_TEXT}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        c.form.form_case = rows[i].is;
        if (rows[i].is == OPS__V1__ANSWER_FORM__FORM_JSON_OBJECT)
            c.form.json_object = true;
        else
            c.form.json_schema = TEXT("some text");
        assert_int_equal(ops_request_read(&c.task, &no_chat, &q, NULL), OPS_OK);
        assert_int_equal(q.to.form, rows[i].want);
        if (rows[i].want == OPS_GENERATOR_SCHEMA || rows[i].want == OPS_GENERATOR_EBNF)
            assert_true(ops_slice_eq(q.to.form_text, OPS_SLICE("some text")));
        ops_request_done(&q);
    }
}

static void refused_by_name(void **state)
{
    (void)state;
    for (int how = 0; how < 10; how++) {
        static const struct {
            ops_status st;
            const char *says;
        } want[] = {{OPS_EINVAL, "messages[1].role: 'robot'"},
                    {OPS_EINVAL, "messages and prompt"},
                    {OPS_EINVAL, "top_logprobs: 21"},
                    {OPS_EINVAL, "sampling.top_k: 1025"},
                    {OPS_ETOOBIG, "stop: 65"},
                    {OPS_ETOOBIG, "form.choices: 4097"},
                    {OPS_EUNIMPL, "takes prompts only"},
                    {OPS_EINVAL, "with messages"},
                    {OPS_ETOOBIG, "tools: 129"},
                    {OPS_ETOOBIG, "messages[1].tool_calls: 129"}};
        conversation c;
        ops_request q;
        ops_err err = {.msg = ""};
        make(&c);
        if (how == 0)
            c.m[1].role = TEXT("robot");
        if (how == 1)
            c.task.prompt = TEXT("text");
        if (how == 2)
            c.task.top_logprobs = 21;
        if (how == 3)
            c.sampling.top_k = 1025;
        if (how == 4)
            c.task.n_stop = 65;
        if (how == 5)
            c.choices.n_text = 4097;
        if (how == 6 || how == 7)
            c.task.n_tools = 1;
        if (how == 7)
            c.task.n_messages = 0;
        if (how == 8)
            c.task.n_tools = 129;
        if (how == 9)
            c.m[1].n_tool_calls = 129;
        assert_int_equal(ops_request_read(&c.task, &no_chat, &q, &err), want[how].st);
        if (strstr(err.msg, want[how].says) == NULL)
            fail_msg("%d: '%s' does not say '%s'", how, err.msg, want[how].says);
    }
    assert_int_equal(ops_alloc_live(), 0);
}

static size_t told_bytes, told_tokens;
static void on_tell(void *ctx, const Ops__V1__GenerateDelta *d)
{
    (void)ctx;
    told_bytes += strlen(d->text);
    told_tokens += d->n_tokens;
}

/* Nothing is lost, whatever is gathered, and text that no string can hold is cleaned. */
static void answers_are_gathered_within_bounds(void **state)
{
    (void)state;
    struct fake_writer *w = fake_writer_new("w", true);
    Ops__V1__GenerateTask t = OPS__V1__GENERATE_TASK__INIT;
    t.logprobs = true;
    t.top_logprobs = 2;
    ops_answer a;
    ops_answer_init(&a, &t);
    a.writer = &w->base;
    told_bytes = told_tokens = 0;
    const ops_sample_choice top[2] = {{1, -1}, {2, -2}};
    const ops_generator_token token = {{1, -1}, top};
    const int n = 3 * OPS_ANSWER_TOKENS_MAX + 5;
    int told_times = 0;
    for (int i = 0; i < n; i++)
        if (ops_answer_add(&a, &(ops_generator_piece){OPS_SLICE("a\0b"), &token}, false)) {
            ops_answer_tell(&a, on_tell, NULL);
            told_times++;
        }
    ops_answer_tell(&a, on_tell, NULL);
    ops_answer_tell(&a, on_tell, NULL); /* nothing is left */
    assert_int_equal(told_times, 3);
    assert_int_equal(told_tokens, n);
    assert_int_equal(told_bytes, n * 5); /* U+0000 became U+FFFD */
    assert_false(a.failed);
    ops_answer_done(&a);
    ops_writer_free(&w->base);
    assert_int_equal(ops_alloc_live(), 0);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    conversation c;
    make(&c);
    struct fake_writer *w = fake_writer_new("w", true);
    c.task.logprobs = true;
    const ops_sample_choice top[3] = {{1, -1}, {2, -2}, {-1, 0}};
    const ops_generator_token token = {{1, -1}, top};
    const long live = ops_alloc_live();
    bool ok = false;
    for (long nth = 1; !ok; nth++) {
        ops_request q = {.block = NULL};
        ops_answer a;
        ops_answer_init(&a, &c.task);
        a.writer = &w->base;
        told_tokens = 0;
        ops_alloc_fail_at(nth);
        const ops_status st = ops_request_read(&c.task, &no_chat, &q, NULL);
        (void)ops_answer_add(&a, &(ops_generator_piece){OPS_SLICE("text"), &token}, false);
        ops_answer_tell(&a, on_tell, NULL);
        ops_alloc_fail_at(0);
        ok = st == OPS_OK && !a.failed;
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        assert_int_equal(told_tokens, !a.failed);
        ops_request_done(&q);
        ops_answer_done(&a);
        assert_int_equal(ops_alloc_live(), live);
        assert_true(nth < 20);
    }
    ops_writer_free(&w->base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_taken_over),
        cmocka_unit_test(forms_are_told_apart),
        cmocka_unit_test(refused_by_name),
        cmocka_unit_test(answers_are_gathered_within_bounds),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
