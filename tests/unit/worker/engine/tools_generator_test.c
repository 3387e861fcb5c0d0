/* A conversation with tools through the generator. Over tests/golden/lm/writer.gguf, whose answers have no meaning: what they are is
 * the form's doing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/engine/generator.h"
#include "worker/engine/tools.h"
#include "worker/model/json_text.h"

/* Short: the model's context is 512 tokens of hardly more than a byte. */
static const ops_chat_tool tools[] = {
    {OPS_SLICE("disk"), OPS_SLICE(""),
     OPS_SLICE("{\"properties\":{\"n\":{\"enum\":[1,2]}},\"required\":[\"n\"]}")},
    {OPS_SLICE("now"), OPS_SLICE(""), OPS_SLICE("")}};

typedef struct asker {
    ops_tool_finder *f;
    ops_strbuf text;
    size_t calls;
    unsigned dones;
    ops_generator_result r;
} asker;

static void hear(asker *a, const ops_tool_found *found)
{
    ops_strbuf_slice(&a->text, found->text);
    for (size_t i = 0; i < found->n_calls; i++, a->calls++) {
        ops_slice value;
        if (ops_slice_eq(found->calls[i].name, OPS_SLICE("disk")))
            assert_true(ops_json_text_member(found->calls[i].arguments, "n", &value) &&
                        (ops_slice_eq(value, OPS_SLICE("1")) || ops_slice_eq(value, OPS_SLICE("2"))));
        else
            assert_true(ops_slice_eq(found->calls[i].arguments, OPS_SLICE("{}")));
    }
}

static void on_piece(void *ctx, const ops_generator_piece *p)
{
    asker *a = ctx;
    ops_tool_found found;
    assert_int_equal(
        ops_tool_finder_put(a->f, p->token != NULL ? p->token->choice.id : -1, p->text, &found, NULL),
        OPS_OK);
    hear(a, &found);
}

static void on_done(void *ctx, const ops_generator_result *r)
{
    asker *a = ctx;
    ops_tool_found found;
    assert_int_equal(ops_tool_finder_end(a->f, &found, NULL), OPS_OK);
    hear(a, &found);
    a->dones++;
    a->r = *r;
}

static void ask(ops_generator *g, const ops_tools_request *tools_of, const ops_chat_message *m, size_t n,
                uint64_t seed, asker *a)
{
    ops_tools_plan p;
    ops_generation *job = NULL;
    ops_err err;
    *a = (asker){.f = NULL};
    ops_strbuf_init(&a->text, 1 << 16);
    if (ops_tools_plan_make(ops_generator_chat(g), ops_generator_tokenizer(g), tools_of, &p, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(ops_tool_finder_new(ops_generator_chat(g), ops_generator_tokenizer(g), &p, &a->f, NULL),
                     OPS_OK);
    ops_generator_request q = {.messages = m,
                               .n_messages = n,
                               .tools = p.tools,
                               .n_tools = p.n_tools,
                               .call = p.call,
                               .call_name = p.call_name,
                               .sample = ops_sample_defaults(),
                               .tokens_max = 60,
                               .tell = on_piece,
                               .done = on_done,
                               .ctx = a};
    q.sample.seed = seed;
    q.sample.temperature = 1;
    if (p.ebnf.n > 0) {
        q.form = OPS_GENERATOR_EBNF;
        q.form_text = ops_strbuf_get(&p.ebnf);
    }
    if (ops_generator_submit(g, &q, &job, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    ops_tools_plan_done(&p); /* everything was copied */
    for (int steps = 0; ops_generator_step(g, 0) > 0; steps++)
        assert_true(steps < 20000);
    assert_int_equal(a->dones, 1);
    assert_int_equal(a->r.status, OPS_OK);
}

static void end(asker *a)
{
    ops_tool_finder_free(a->f);
    ops_strbuf_done(&a->text);
}

static ops_generator *open_model(void)
{
    const ops_generator_conf conf = {.path = "tests/golden/lm/writer.gguf", .threads = 2};
    ops_generator *g = NULL;
    ops_err err;
    if (ops_generator_open(&conf, &g, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return g;
}

static const ops_chat_message question[] = {{.role = OPS_CHAT_USER, .text = OPS_SLICE("q")}};

static void a_call_that_is_required_comes(void **state)
{
    (void)state;
    OPS_AUTO(ops_generator_free) ops_generator *g = open_model();
    const ops_tools_request any = {.tools = tools, .n = 2, .choice = OPS_TOOLS_REQUIRED};
    for (uint64_t seed = 1; seed <= 12; seed++) {
        asker a;
        ask(g, &any, question, 1, seed, &a);
        assert_int_equal(a.calls, 1);
        assert_int_equal(a.text.n, 0);
        assert_int_equal(ops_tool_finder_calls(a.f), 1);
        end(&a);
    }
}

static void without_a_form_the_answer_is_free(void **state)
{
    (void)state;
    OPS_AUTO(ops_generator_free) ops_generator *g = open_model();
    const ops_tools_request free_choice = {.tools = tools, .n = 2, .choice = OPS_TOOLS_AUTO};
    const ops_tools_request none = {.tools = tools, .n = 2, .choice = OPS_TOOLS_NONE};
    asker a, b;
    ask(g, &free_choice, question, 1, 1, &a);
    ask(g, &none, question, 1, 1, &b);
    assert_true(a.r.prompt_tokens > b.r.prompt_tokens + 50); /* the tools are described */
    assert_true(a.calls == 0 && a.text.n > 0);
    end(&a);
    end(&b);
}

static void what_was_called_and_answered_goes_back(void **state)
{
    (void)state;
    OPS_AUTO(ops_generator_free) ops_generator *g = open_model();
    const ops_chat_call call = {OPS_SLICE("call_1"), OPS_SLICE("disk"), OPS_SLICE("{\"n\":1}")};
    const ops_chat_message m[] = {
        question[0],
        {.role = OPS_CHAT_ASSISTANT, .calls = &call, .n_calls = 1},
        {.role = OPS_CHAT_TOOL, .text = OPS_SLICE("97%"), .call_id = OPS_SLICE("call_1")}};
    const ops_tools_request again = {
        .tools = tools, .n = 1, .choice = OPS_TOOLS_REQUIRED, .named = OPS_SLICE("disk")};
    asker a;
    ask(g, &again, m, 3, 7, &a);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.text.n, 0);
    end(&a);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(a_call_that_is_required_comes),
        cmocka_unit_test(without_a_form_the_answer_is_free),
        cmocka_unit_test(what_was_called_and_answered_goes_back),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
