/* Conversations, tools and forms as the API's reference has them and as nobody should write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/generate/ask.h"

typedef ops_status (*reader)(ops_ask *a, ops_reading *r, const json_t *object);

static ops_status read_stop(ops_ask *a, ops_reading *r, const json_t *object)
{
    return ops_ask_stop(a, r, object, "stop");
}
static ops_status read_prompt(ops_ask *a, ops_reading *r, const json_t *object)
{
    return ops_ask_prompt(a, r, object, "prompt");
}
static ops_status read_choices(ops_ask *a, ops_reading *r, const json_t *object)
{
    return ops_ask_choices(a, r, object, "choice");
}

static ops_status read_with(reader read, const char *body, ops_ask *a, ops_reading *r, ops_err *err)
{
    *r = (ops_reading){.err = err};
    ops_ask_init(a);
    const ops_status st = ops_field_body(r, ops_slice_str(body), &a->root);
    return st == OPS_OK ? read(a, r, a->root) : st;
}

static void a_conversation_is_read(void **state)
{
    (void)state;
    ops_ask a;
    ops_reading r;
    ops_err err;
    const char body[] = "{\"messages\":[{\"role\":\"system\",\"content\":\"be brief\"},"
                        "{\"role\":\"user\",\"name\":\"ann\",\"content\":[{\"type\":\"text\",\"text\":"
                        "\"one\"},{\"type\":\"text\",\"text\":\"\"},"
                        "{\"type\":\"text\",\"text\":\"two\"}]},"
                        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":"
                        "\"function\",\"function\":{\"name\":"
                        "\"f\",\"arguments\":\"{\\\"x\\\":1}\"}}]},"
                        "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"7\"},{\"role\":"
                        "\"developer\",\"content\":\"\"}]}";
    if (read_with(ops_ask_messages, body, &a, &r, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(a.task.n_messages, 5);
    assert_string_equal(a.task.messages[0]->role, "system");
    assert_string_equal(a.task.messages[0]->content, "be brief");
    assert_string_equal(a.task.messages[1]->content, "one\n\ntwo");
    assert_string_equal(a.task.messages[1]->name, "ann");
    assert_string_equal(a.task.messages[2]->content, "");
    assert_int_equal(a.task.messages[2]->n_tool_calls, 1);
    assert_string_equal(a.task.messages[2]->tool_calls[0]->id, "c1");
    assert_string_equal(a.task.messages[2]->tool_calls[0]->name, "f");
    assert_string_equal(a.task.messages[2]->tool_calls[0]->arguments, "{\"x\":1}");
    assert_string_equal(a.task.messages[3]->tool_call_id, "c1");
    assert_string_equal(a.task.messages[4]->role, "developer");
    ops_ask_done(&a);
}

#define MESSAGE(m)  "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}," m "]}"
#define FUNCTION(f) "{\"tools\":[{\"type\":\"function\",\"function\":" f "}]}"

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        reader read;
        const char *body, *param, *says;
    } rows[] = {
        {ops_ask_messages, "{}", "messages", "with a message"},
        {ops_ask_messages, "{\"messages\":[]}", "messages", "with a message"},
        {ops_ask_messages, "{\"messages\":{}}", "messages", "array"},
        {ops_ask_messages, MESSAGE("7"), "messages[1]", "object"},
        {ops_ask_messages, MESSAGE("{}"), "messages[1].role", "is \"\""},
        {ops_ask_messages, MESSAGE("{\"role\":3}"), "messages[1].role", "text"},
        {ops_ask_messages, MESSAGE("{\"role\":\"function\",\"content\":\"x\"}"), "messages[1].role",
         "\"function\""},
        {ops_ask_messages, MESSAGE("{\"role\":\"user\"}"), "messages[1].content", "missing"},
        {ops_ask_messages, MESSAGE("{\"role\":\"assistant\"}"), "messages[1].content", "missing"},
        {ops_ask_messages, MESSAGE("{\"role\":\"user\",\"content\":7}"), "messages[1].content", "parts"},
        {ops_ask_messages, MESSAGE("{\"role\":\"user\",\"content\":[7]}"), "messages[1].content[0]",
         "object"},
        {ops_ask_messages, MESSAGE("{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}"),
         "messages[1].content[0].text", "missing"},
        {ops_ask_messages,
         MESSAGE(
             "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image_url\"}]}"),
         "messages[1].content[1].type", "image_url"},
        {ops_ask_messages, MESSAGE("{\"role\":\"tool\",\"content\":\"x\"}"), "messages[1].tool_call_id",
         "missing"},
        {ops_ask_messages, MESSAGE("{\"role\":\"assistant\",\"audio\":{}}"), "messages[1].audio",
         "not taken"},
        {ops_ask_messages, MESSAGE("{\"role\":\"assistant\",\"tool_calls\":7}"), "messages[1].tool_calls",
         "array"},
        {ops_ask_messages, MESSAGE("{\"role\":\"assistant\",\"tool_calls\":[{}]}"),
         "messages[1].tool_calls[0].function", "missing"},
        {ops_ask_messages, MESSAGE("{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{}}]}"),
         "messages[1].tool_calls[0].function", "name"},
        {ops_ask_messages, MESSAGE("{\"role\":\"user\",\"content\":\"a\\u0000b\"}"), "", "no JSON"},
        {ops_ask_tools, "{\"tools\":[{\"type\":\"retrieval\"}]}", "tools[0].type", "function"},
        {ops_ask_tools, FUNCTION("7"), "tools[0].function", "object"},
        {ops_ask_tools, FUNCTION("{}"), "tools[0].function.name", "letters"},
        {ops_ask_tools, FUNCTION("{\"name\":\"a b\"}"), "tools[0].function.name", "letters"},
        {ops_ask_tools, FUNCTION("{\"name\":\"a\",\"parameters\":[]}"), "tools[0].function.parameters",
         "object"},
        {ops_ask_tools,
         "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}},{\"type\":\"function\","
         "\"function\":{"
         "\"name\":\"a\"}}]}",
         "tools[1]", "second time"},
        {ops_ask_tools, "{\"tool_choice\":\"required\"}", "tool_choice", "no 'tools'"},
        {ops_ask_tools, "{\"tool_choice\":\"any\"}", "tool_choice", "required"},
        {ops_ask_tools, "{\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"x\"}}}",
         "tool_choice.function", "names no function"},
        {read_stop, "{\"stop\":[]}", "stop", "0 texts"},
        {read_stop, "{\"stop\":\"\"}", "stop", "0 bytes"},
        {read_stop, "{\"stop\":[\"a\",5]}", "stop", "token ids"},
        {read_prompt, "{\"prompt\":[1,2]}", "prompt", "token ids"},
        {read_prompt, "{\"prompt\":[[1,2]]}", "prompt", "token ids"},
        {read_prompt, "{\"prompt\":{}}", "prompt", "a text or an array"},
        {read_choices, "{\"choice\":[]}", "choice", "0 texts"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_ask a;
        ops_reading r;
        ops_err err = {0};
        assert_int_equal(read_with(rows[i].read, rows[i].body, &a, &r, &err), OPS_EINVAL);
        assert_string_equal(r.param, rows[i].param);
        if (strstr(err.msg, rows[i].says) == NULL)
            fail_msg("row %zu: '%s' does not say '%s'", i, err.msg, rows[i].says);
        ops_ask_done(&a);
    }
}

static void bounds_hold(void **state)
{
    (void)state;
    ops_ask a;
    ops_reading r;
    ops_err err;
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 20);
    ops_strbuf_str(&b, "{\"messages\":[");
    for (int i = 0; i <= OPS_ASK_MESSAGES_MAX; i++)
        ops_strbuf_str(&b, i > 0 ? ",{\"role\":\"user\",\"content\":\"x\"}"
                                 : "{\"role\":\"user\",\"content\":\"x\"}");
    ops_strbuf_str(&b, "]}");
    assert_int_equal(read_with(ops_ask_messages, b.p, &a, &r, &err), OPS_ETOOBIG);
    assert_non_null(strstr(err.msg, "4097 entries, at most 4096"));
    ops_ask_done(&a);
    ops_strbuf_clear(&b);
    ops_strbuf_str(&b, "{\"stop\":[\"a\"");
    for (int i = 0; i < OPS_ASK_STOPS_MAX; i++)
        ops_strbuf_str(&b, ",\"b\"");
    ops_strbuf_str(&b, "]}");
    assert_int_equal(read_with(read_stop, b.p, &a, &r, &err), OPS_ETOOBIG);
    assert_non_null(strstr(err.msg, "17 texts, 1 to 16"));
    ops_ask_done(&a);
    ops_strbuf_clear(&b);
    ops_strbuf_str(&b, "{\"stop\":\"");
    for (int i = 0; i <= OPS_ASK_STOP_BYTES_MAX; i++)
        ops_strbuf_char(&b, 'x');
    ops_strbuf_str(&b, "\"}");
    assert_int_equal(read_with(read_stop, b.p, &a, &r, &err), OPS_ETOOBIG);
    ops_ask_done(&a);
    ops_strbuf_done(&b);
}

static void tools_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *choice, *tool;
        Ops__V1__ToolChoice want;
    } rows[] = {
        {"null", "", OPS__V1__TOOL_CHOICE__TOOL_CHOICE_AUTO},
        {"\"auto\"", "", OPS__V1__TOOL_CHOICE__TOOL_CHOICE_AUTO},
        {"\"none\"", "", OPS__V1__TOOL_CHOICE__TOOL_CHOICE_NONE},
        {"\"required\"", "", OPS__V1__TOOL_CHOICE__TOOL_CHOICE_REQUIRED},
        {"{\"type\":\"function\",\"function\":{\"name\":\"g\"}}", "g",
         OPS__V1__TOOL_CHOICE__TOOL_CHOICE_REQUIRED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[512];
        ops_ask a;
        ops_reading r;
        ops_err err;
        (void)snprintf(
            body, sizeof body,
            "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
            "\"parameters\":{\"type\":\"object\",\"properties\":{\"z\":{},\"a\":{}}}}},"
            "{\"type\":\"function\",\"function\":{\"name\":\"g\"}}],\"tool_choice\":%s}",
            rows[i].choice);
        if (read_with(ops_ask_tools, body, &a, &r, &err) != OPS_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(a.task.n_tools, 2);
        assert_string_equal(a.task.tools[0]->name, "f");
        assert_string_equal(a.task.tools[0]->description, "d");
        /* members stay in their order: the model writes them in it */
        assert_string_equal(a.task.tools[0]->parameters,
                            "{\"type\":\"object\",\"properties\":{\"z\":{},\"a\":{}}}");
        assert_string_equal(a.task.tools[1]->parameters, "");
        assert_int_equal(a.task.tool_choice, rows[i].want);
        assert_string_equal(a.task.tool, rows[i].tool);
        ops_ask_done(&a);
    }
}

static Ops__V1__GenerateTask *packed(const ops_ask *a, size_t i)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 20);
    ops_ask_pack(a, i, &b);
    Ops__V1__GenerateTask *task = ops__v1__generate_task__unpack(NULL, b.n, (const uint8_t *)b.p);
    ops_strbuf_done(&b);
    assert_non_null(task);
    return task;
}

static void tasks_are_each_prompt_n_times(void **state)
{
    (void)state;
    ops_ask a;
    ops_reading r;
    ops_err err;
    uint64_t seeds[6];
    assert_int_equal(read_with(read_prompt, "{\"prompt\":[\"one\",\"two\"]}", &a, &r, &err), OPS_OK);
    a.n = 3;
    a.sampling.seeded = 1;
    a.sampling.seed = 42;
    assert_int_equal(ops_ask_tasks(&a), 6);
    for (size_t i = 0; i < 6; i++) {
        Ops__V1__GenerateTask *task = packed(&a, i);
        assert_string_equal(task->prompt, i < 3 ? "one" : "two");
        seeds[i] = task->sampling->seed;
        ops__v1__generate_task__free_unpacked(task, NULL);
    }
    assert_int_equal(seeds[0], 42);
    assert_true(seeds[1] != seeds[0] && seeds[2] != seeds[1] && seeds[2] != seeds[0]);
    assert_int_equal(seeds[3], 42); /* a prompt's answers hang on it and on the seed, not on its neighbours */
    assert_int_equal(seeds[4], seeds[1]);
    ops_ask_done(&a);
}

static void prompts_that_begin_alike_belong_together(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"a\"}]}",
        "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"b\"}]}",
        "{\"messages\":[{\"role\":\"system\",\"content\":\"t\"},{\"role\":\"user\",\"content\":\"a\"}]}"};
    uint64_t affinity[3];
    for (size_t i = 0; i < 3; i++) {
        ops_ask a;
        ops_reading r;
        assert_int_equal(read_with(ops_ask_messages, bodies[i], &a, &r, NULL), OPS_OK);
        affinity[i] = ops_ask_affinity(&a);
        ops_ask_done(&a);
    }
    assert_true(affinity[0] == affinity[1] && affinity[0] != affinity[2]);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    const char body[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},"
        "{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}],"
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{}}}]}";
    ops_status st = OPS_ENOMEM;
    const long live = ops_alloc_live();
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_ask a;
        ops_reading r;
        ops_alloc_fail_at(nth);
        st = read_with(ops_ask_messages, body, &a, &r, NULL);
        if (st == OPS_OK)
            st = ops_ask_tools(&a, &r, a.root);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || st == OPS_ENOMEM || st == OPS_ETOOBIG);
        ops_ask_done(&a);
        assert_int_equal(ops_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conversation_is_read),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(tools_are_read),
        cmocka_unit_test(tasks_are_each_prompt_n_times),
        cmocka_unit_test(prompts_that_begin_alike_belong_together),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
