/* Tools in prompts: beside what Jinja says (chat_test.c), the form for templates without tools, what is refused, and what
 * becomes a token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/mem/alloc.h"
#include "worker/model/chat.h"
#include "worker/model/mapped.h"

static ops_chat *chat_of(const char *jinja)
{
    ops_chat *c = NULL;
    ops_err err;
    if (ops_chat_new(ops_slice_str(jinja), OPS_SLICE("<s>"), OPS_SLICE("</s>"), &c, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return c;
}

/* The template of this name among those of make_chat.py. */
static ops_chat *golden_chat(const char *name)
{
    ops_chat *c = NULL;
    json_t *all = json_load_file("tests/golden/chat/cases.json", JSON_ALLOW_NUL, NULL);
    for (size_t i = 0; i < json_array_size(all) && c == NULL; i++) {
        const json_t *kind = json_array_get(all, i);
        if (strcmp(json_string_value(json_object_get(kind, "name")), name) == 0)
            c = chat_of(json_string_value(json_object_get(kind, "template")));
    }
    json_decref(all);
    assert_non_null(c);
    return c;
}

static const ops_chat_tool tools[] = {
    {OPS_SLICE("disk"), OPS_SLICE("how full"), OPS_SLICE("{\"type\":\"object\"}")},
    {OPS_SLICE("now"), OPS_SLICE(""), OPS_SLICE("")},
};
static const ops_chat_call calls[] = {
    {OPS_SLICE("call_1"), OPS_SLICE("disk"), OPS_SLICE("{\"host\":\"a\"}")},
    {OPS_SLICE("call_2"), OPS_SLICE("now"), OPS_SLICE("")},
};
static const ops_chat_message talk[] = {
    {.role = OPS_CHAT_USER, .text = OPS_SLICE("q")},
    {.role = OPS_CHAT_ASSISTANT, .text = OPS_SLICE("look"), .calls = calls, .n_calls = 2},
    {.role = OPS_CHAT_TOOL, .text = OPS_SLICE("97"), .call_id = OPS_SLICE("call_1")},
    {.role = OPS_CHAT_TOOL, .text = OPS_SLICE("noon"), .call_id = OPS_SLICE("call_2")},
    {.role = OPS_CHAT_ASSISTANT, .text = OPS_SLICE("full")},
};

#define PREFACE                                                                                              \
    "You can call these tools. Each line describes one as JSON:\n"                                           \
    "{\"type\": \"function\", \"function\": {\"name\": \"disk\", \"description\": \"how full\", "            \
    "\"parameters\": {\"type\": \"object\"}}}\n"                                                             \
    "{\"type\": \"function\", \"function\": {\"name\": \"now\"}}\n\n"                                        \
    "To call one, write its name and arguments as a JSON object between tags:\n<tool_call>\n"                \
    "{\"name\": \"...\", \"arguments\": {...}}\n</tool_call>\n"                                              \
    "Its answer follows between <tool_response> and </tool_response>."
#define CALLED                                                                                               \
    "look\n<tool_call>\n{\"name\": \"disk\", \"arguments\": {\"host\": \"a\"}}\n</tool_call>\n<tool_call>\n" \
    "{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"
#define ANSWERED "<tool_response>\n97\n</tool_response>\n<tool_response>\nnoon\n</tool_response>"

static void describes_tools_where_the_template_does_not(void **state)
{
    (void)state;
    static const struct {
        const char *name, *want;
    } rows[] = {
        {"chatml", "<|im_start|>system\n" PREFACE "<|im_end|>\n<|im_start|>user\nq<|im_end|>\n"
                   "<|im_start|>assistant\n" CALLED "<|im_end|>\n<|im_start|>user\n" ANSWERED "<|im_end|>\n"
                   "<|im_start|>assistant\nfull<|im_end|>\n"},
        {"gemma-2",
         "<s><start_of_turn>user\n" PREFACE "\n\nq<end_of_turn>\n<start_of_turn>model\n" CALLED
         "<end_of_turn>\n<start_of_turn>user\n" ANSWERED "<end_of_turn>\n<start_of_turn>model\nfull"
         "<end_of_turn>\n"},
        {"gemma-3",
         "<s><start_of_turn>user\n" PREFACE "\n\nq<end_of_turn>\n<start_of_turn>model\n" CALLED
         "<end_of_turn>\n<start_of_turn>user\n" ANSWERED "<end_of_turn>\n<start_of_turn>model\nfull"
         "<end_of_turn>\n"},
        {"mistral-v1", "<s>[INST] " PREFACE "\n\nq [/INST]" CALLED "</s>[INST] " ANSWERED " [/INST]full</s>"},
        {"smollm2",
         "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
         "Face\n\n" PREFACE "<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n" CALLED
         "<|im_end|>\n<|im_start|>user\n" ANSWERED "<|im_end|>\n<|im_start|>assistant\nfull<|im_end|>\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        OPS_AUTO(ops_chat_free) ops_chat *c = golden_chat(rows[i].name);
        assert_false(ops_chat_native_tools(c));
        assert_int_equal(ops_chat_calls_form(c), OPS_CHAT_CALLS_TAGGED);
        ops_chat_prompt p;
        ops_chat_prompt_init(&p);
        ops_err err = {.msg = ""};
        assert_int_equal(
            ops_chat_render(c, talk, 5, (ops_chat_options){.tools = tools, .n_tools = 2}, &p, &err), OPS_OK);
        if (strcmp(p.text.p, rows[i].want) != 0)
            fail_msg("%s: '%s', wanted '%s'", rows[i].name, p.text.p, rows[i].want);
        ops_chat_prompt_done(&p);
    }
}

static void begins_a_call(void **state)
{
    (void)state;
    static const struct {
        const char *name, *end;
        ops_chat_calls form;
    } rows[] = {
        {"qwen2.5", "<|im_start|>assistant\n<tool_call>\n", OPS_CHAT_CALLS_TAGGED},
        {"qwen3", "<|im_start|>assistant\n<think>\n\n</think>\n\n<tool_call>\n", OPS_CHAT_CALLS_TAGGED},
        {"chatml", "<|im_start|>assistant\n<tool_call>\n", OPS_CHAT_CALLS_TAGGED},
        {"gemma-3", "<start_of_turn>model\n<tool_call>\n", OPS_CHAT_CALLS_TAGGED},
        {"llama-3.1", "<|start_header_id|>assistant<|end_header_id|>\n\n", OPS_CHAT_CALLS_OBJECT},
        {"mistral-nemo", "[/INST][TOOL_CALLS]", OPS_CHAT_CALLS_LIST},
        {"devstral", "[/INST][TOOL_CALLS]now[ARGS]", OPS_CHAT_CALLS_ARGS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        OPS_AUTO(ops_chat_free) ops_chat *c = golden_chat(rows[i].name);
        assert_int_equal(ops_chat_calls_form(c), rows[i].form);
        ops_chat_prompt p;
        ops_chat_prompt_init(&p);
        const ops_chat_options options = {
            .answer = true, .call = true, .call_name = OPS_SLICE("now"), .tools = tools, .n_tools = 2};
        assert_int_equal(ops_chat_render(c, talk, 1, options, &p, NULL), OPS_OK);
        if (!ops_slice_ends(ops_strbuf_get(&p.text), ops_slice_str(rows[i].end)))
            fail_msg("%s: '%s' does not end with '%s'", rows[i].name, p.text.p, rows[i].end);
        ops_chat_prompt_done(&p);
    }
    OPS_AUTO(ops_chat_free) ops_chat *c = golden_chat("mistral-small");
    ops_chat_prompt p;
    ops_chat_prompt_init(&p);
    const ops_chat_options unnamed = {.answer = true, .call = true, .tools = tools, .n_tools = 2};
    assert_int_equal(ops_chat_render(c, talk, 1, unnamed, &p, NULL), OPS_EINVAL);
    ops_chat_prompt_done(&p);
}

/* Nine letters or digits stay; others are the same nine in the call and in its answer. */
static void maps_ids_that_mistral_would_refuse(void **state)
{
    (void)state;
    OPS_AUTO(ops_chat_free) ops_chat *c = golden_chat("mistral-nemo");
    ops_chat_prompt p;
    ops_chat_prompt_init(&p);
    assert_int_equal(ops_chat_render(c, talk, 4, (ops_chat_options){.answer = true}, &p, NULL), OPS_OK);
    const ops_slice text = ops_strbuf_get(&p.text);
    for (int i = 0; i < 2; i++) {
        static const char *const before[] = {"{\"host\": \"a\"}, \"id\": \"",
                                             "\"arguments\": {}, \"id\": \""};
        static const char *const answer[] = {"97, \"call_id\": \"", "noon, \"call_id\": \""};
        const ptrdiff_t a = ops_slice_find(text, ops_slice_str(before[i])),
                        b = ops_slice_find(text, ops_slice_str(answer[i]));
        assert_true(a > 0 && b > 0);
        const ops_slice id = ops_slice_sub(text, (size_t)a + strlen(before[i]), 10),
                        same = ops_slice_sub(text, (size_t)b + strlen(answer[i]), 10);
        assert_true(ops_slice_eq(id, same) && id.p[9] == '"' && ops_slice_find_char(id, '"') == 9);
        assert_int_equal(ops_slice_find_char(id, '_'), -1);
    }
    ops_chat_prompt_done(&p);
}

static void refuses_by_name(void **state)
{
    (void)state;
    static const ops_chat_tool bad_tools[] = {
        {OPS_SLICE("a\"b"), OPS_SLICE(""), OPS_SLICE("")},
        {OPS_SLICE(""), OPS_SLICE(""), OPS_SLICE("")},
        {OPS_SLICE("disk"), OPS_SLICE(""), OPS_SLICE("{\"type\":}")},
        {OPS_SLICE("disk"), OPS_SLICE(""), OPS_SLICE("true")},
    };
    static const char *const told[] = {"tool 0: a name is", "tool 0: a name is",
                                       "tool 0: 'disk': parameters: no JSON at line 1 column 9",
                                       "tool 0: 'disk': parameters: "};
    OPS_AUTO(ops_chat_free) ops_chat *c = golden_chat("qwen3");
    ops_chat_prompt p;
    ops_chat_prompt_init(&p);
    ops_err err;
    for (size_t i = 0; i < 4; i++) {
        const ops_chat_options options = {.tools = &bad_tools[i], .n_tools = 1};
        assert_int_equal(ops_chat_render(c, talk, 1, options, &p, &err), OPS_EINVAL);
        if (strncmp(err.msg, told[i], strlen(told[i])) != 0)
            fail_msg("\"%s\" is not \"%s\"", err.msg, told[i]);
    }
    ops_chat_message m[] = {talk[0], talk[1]};
    const ops_chat_call broken = {OPS_SLICE("x"), OPS_SLICE("disk"), OPS_SLICE("{")};
    m[1].calls = &broken;
    m[1].n_calls = 1;
    assert_int_equal(ops_chat_render(c, m, 2, (ops_chat_options){.answer = true}, &p, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "message 1: call 0: 'disk': arguments: no JSON"));
    m[1].role = OPS_CHAT_USER;
    assert_int_equal(ops_chat_render(c, m, 2, (ops_chat_options){.answer = true}, &p, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "message 1: only an assistant"));
    m[1].role = OPS_CHAT_ASSISTANT;
    m[1].n_calls = OPS_CHAT_TOOLS_MAX + 1;
    assert_int_equal(ops_chat_render(c, m, 2, (ops_chat_options){.answer = true}, &p, &err), OPS_EINVAL);
    const ops_chat_options many = {.tools = tools, .n_tools = OPS_CHAT_TOOLS_MAX + 1};
    assert_int_equal(ops_chat_render(c, talk, 1, many, &p, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "129 tools, at most 128"));
    const ops_chat_tool large = {OPS_SLICE("disk"), ops_slice_of("", OPS_CHAT_PROMPT_MAX + 1), OPS_SLICE("")};
    assert_int_equal(ops_chat_render(c, talk, 1, (ops_chat_options){.tools = &large, .n_tools = 1}, &p, &err),
                     OPS_ETOOBIG);
    assert_non_null(strstr(err.msg, "tool 0"));
    assert_int_equal(p.text.n, 0);
    ops_chat_prompt_done(&p);
}

/* Qwen's <tool_call> is a piece that texts are searched for; the template's becomes it, that of a message does not. */
static void keeps_texts_out_of_marks(void **state)
{
    (void)state;
    ops_mapped *file = NULL;
    OPS_AUTO(ops_tokenizer_free) ops_tokenizer *t = NULL;
    OPS_AUTO(ops_chat_free) ops_chat *c = golden_chat("qwen2.5");
    assert_int_equal(ops_mapped_open("tests/golden/tokenizers/qwen2.json", 1 << 20, &file, NULL), OPS_OK);
    assert_int_equal(ops_tokenizer_from_json(ops_mapped_bytes(file), &t, NULL), OPS_OK);
    ops_mapped_free(file);
    const int32_t open = ops_tokenizer_find(t, OPS_SLICE("<tool_call>")),
                  close = ops_tokenizer_find(t, OPS_SLICE("</tool_call>"));
    assert_true(open >= 0 && close >= 0);
    const ops_chat_tool tool = {OPS_SLICE("a"), OPS_SLICE("</tool_call>"),
                                OPS_SLICE("{\"x\":\"<tool_call>\"}")};
    const ops_chat_call call = {OPS_SLICE(""), OPS_SLICE("a"),
                                OPS_SLICE("{\"x\":\"</tool_call><tool_call>\"}")};
    const ops_chat_message m[] = {
        {.role = OPS_CHAT_USER, .text = OPS_SLICE("<tool_call>{}</tool_call>")},
        {.role = OPS_CHAT_ASSISTANT, .text = OPS_SLICE("<tool_call>"), .calls = &call, .n_calls = 1},
        {.role = OPS_CHAT_TOOL, .text = OPS_SLICE("</tool_call><tool_call>")}};
    ops_chat_prompt p;
    ops_chat_prompt_init(&p);
    ops_tokens ids;
    ops_tokens_init(&ids, 10000);
    assert_int_equal(ops_chat_render(c, m, 3, (ops_chat_options){.tools = &tool, .n_tools = 1}, &p, NULL),
                     OPS_OK);
    assert_int_equal(ops_chat_encode(&p, t, &ids, NULL), OPS_OK);
    size_t opens = 0, closes = 0;
    for (size_t i = 0; i < ids.n; i++) {
        opens += ids.v[i] == open;
        closes += ids.v[i] == close;
    }
    assert_int_equal(opens, 3); /* two in the words about tools, and the call */
    assert_int_equal(closes, 3);
    ids.n = 0;
    assert_int_equal(ops_tokenizer_encode(t, OPS_SLICE("<tool_call>"), 0, &ids, NULL), OPS_OK);
    assert_true(ids.n == 1 && ids.v[0] == open);
    ops_tokens_done(&ids);
    ops_chat_prompt_done(&p);
}

static void survives_failed_allocations(void **state)
{
    (void)state;
    static const char *const names[] = {"chatml", "qwen3", "llama-3.1", "mistral-nemo", "mistral-small"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        OPS_AUTO(ops_chat_free) ops_chat *c = golden_chat(names[i]);
        const long live = ops_alloc_live();
        ops_status st = OPS_ENOMEM;
        ops_chat_message m[] = {talk[0], talk[1], talk[2]};
        m[1].n_calls = 1;
        const ops_chat_options options = {.answer = true, .tools = tools, .n_tools = 2};
        for (long nth = 1; st != OPS_OK; nth++) {
            assert_true(nth < 200);
            ops_chat_prompt p;
            ops_chat_prompt_init(&p);
            ops_alloc_fail_at(nth);
            st = ops_chat_render(c, m, 3, options, &p, NULL);
            ops_alloc_fail_at(0);
            assert_true(st == OPS_OK || (st == OPS_ENOMEM && p.n == 0 && p.text.n == 0));
            ops_chat_prompt_done(&p);
            assert_int_equal(ops_alloc_live(), live);
        }
    }
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(describes_tools_where_the_template_does_not),
        cmocka_unit_test(begins_a_call),
        cmocka_unit_test(maps_ids_that_mistral_would_refuse),
        cmocka_unit_test(refuses_by_name),
        cmocka_unit_test(keeps_texts_out_of_marks),
        cmocka_unit_test(survives_failed_allocations),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
