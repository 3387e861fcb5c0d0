/* Requests for text as the API's reference has them and as nobody should write them; answers as it writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/openai/completion.h"
#include "coordinator/openai/written.h"

#define CHAT(more) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" more "}"
#define TEXT(more) "{\"model\":\"m\",\"prompt\":\"hi\"" more "}"

static ops_completion *must_read(const char *body, bool chat)
{
    ops_completion *c = NULL;
    char param[OPS_FIELD_PLACE_MAX];
    ops_err err = {0};
    if (ops_completion_read(ops_slice_str(body), chat, &c, param, &err) != OPS_OK)
        fail_msg("%s: %s", param, err.msg);
    assert_non_null(c);
    return c;
}

static bool is(float a, double b)
{
    return a > b - 1e-6 && a < b + 1e-6;
}

static void what_is_not_said_has_the_apis_default(void **state)
{
    (void)state;
    OPS_AUTO(ops_completion_free) ops_completion *c = must_read(CHAT(""), true);
    assert_true(is(c->ask.sampling.temperature, 1) && is(c->ask.sampling.top_p, 1));
    assert_int_equal(c->ask.task.tokens_max, 0);
    assert_int_equal(ops_ask_tasks(&c->ask), 1);
    assert_false(c->stream || c->stream_usage || c->one_call || c->ask.task.logprobs ||
                 c->ask.sampling.seeded);
    assert_null(c->ask.task.form);
    OPS_AUTO(ops_completion_free) ops_completion *t = must_read(TEXT(""), false);
    assert_int_equal(t->ask.task.tokens_max, 16);
    assert_string_equal(t->ask.prompts[0], "hi");
}

static void everything_that_is_said_is_read(void **state)
{
    (void)state;
    OPS_AUTO(ops_completion_free)
    ops_completion *c = must_read(
        CHAT(",\"temperature\":0,\"top_p\":0.5,\"top_k\":40,\"min_p\":0.1,\"presence_penalty\":-1,"
             "\"frequency_penalty\":1.5,\"repetition_penalty\":1.1,\"seed\":-7,\"max_tokens\":5,"
             "\"max_completion_tokens\":9,\"n\":3,\"stop\":[\"a\",\"b\"],\"logprobs\":true,\"top_logprobs\":"
             "20,"
             "\"stream\":true,\"stream_options\":{\"include_usage\":true},\"parallel_tool_calls\":false,"
             "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"strict\":true,"
             "\"schema\":{\"type\":\"object\",\"properties\":{\"b\":{},\"a\":{}}}}},"
             "\"user\":\"u\",\"metadata\":{\"k\":1},\"store\":false,\"logit_bias\":{},\"modalities\":["
             "\"text\"],"
             "\"whatever\":[1]"),
        true);
    const Ops__V1__Sampling *s = &c->ask.sampling;
    assert_true(is(s->temperature, 0) && is(s->top_p, 0.5) && is(s->min_p, 0.1) &&
                is(s->presence_penalty, -1));
    assert_true(is(s->frequency_penalty, 1.5) && is(s->repeat_penalty, 1.1));
    assert_int_equal(s->top_k, 40);
    assert_true(s->seeded && s->seed == (uint64_t)-7);
    assert_int_equal(c->ask.task.tokens_max, 9);
    assert_int_equal(c->ask.n, 3);
    assert_int_equal(c->ask.task.n_stop, 2);
    assert_string_equal(c->ask.task.stop[1], "b");
    assert_true(c->ask.task.logprobs && c->ask.task.top_logprobs == 20);
    assert_true(c->stream && c->stream_usage && c->one_call && c->ask.task.one_call && c->ask.task.stream);
    assert_string_equal(c->ask.task.form->json_schema,
                        "{\"type\":\"object\",\"properties\":{\"b\":{},\"a\":{}}}");
    OPS_AUTO(ops_completion_free)
    ops_completion *t = must_read(
        "{\"model\":\"m\",\"prompt\":[\"a\",\"b\"],\"n\":2,\"best_of\":2,\"logprobs\":0,\"top_p\":0}", false);
    assert_int_equal(ops_ask_tasks(&t->ask), 4);
    assert_true(t->ask.task.logprobs && t->ask.task.top_logprobs == 0);
    assert_true(t->ask.sampling.top_p > 0); /* 0 would mean: not said */
    OPS_AUTO(ops_completion_free) ops_completion *e = must_read(TEXT(",\"echo\":true,\"stop\":\"x\""), false);
    assert_true(e->ask.task.echo);
}

static void forms_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        Ops__V1__AnswerForm__FormCase form;
    } rows[] = {
        {CHAT(",\"response_format\":{\"type\":\"json_object\"}"), OPS__V1__ANSWER_FORM__FORM_JSON_OBJECT},
        {CHAT(",\"guided_json\":{\"type\":\"object\"}"), OPS__V1__ANSWER_FORM__FORM_JSON_SCHEMA},
        {CHAT(",\"guided_choice\":[\"a\",\"b\"]"), OPS__V1__ANSWER_FORM__FORM_CHOICES},
        {CHAT(",\"guided_grammar\":\"root ::= 'a'\""), OPS__V1__ANSWER_FORM__FORM_EBNF},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        OPS_AUTO(ops_completion_free) ops_completion *c = must_read(rows[i].body, true);
        assert_non_null(c->ask.task.form);
        assert_int_equal(c->ask.task.form->form_case, rows[i].form);
    }
    OPS_AUTO(ops_completion_free)
    ops_completion *c = must_read(CHAT(",\"response_format\":{\"type\":\"text\"}"), true);
    assert_null(c->ask.task.form);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        bool chat;
        const char *body, *param, *says;
    } rows[] = {
        {true, "", "", "no JSON"},
        {true, "[]", "", "no JSON object"},
        {true, "{\"messages\":[]}", "model", "name of a model"},
        {true, "{\"model\":7}", "model", "text"},
        {true, "{\"model\":\"m\"}", "messages", "message"},
        {true, CHAT(",\"temperature\":\"hot\""), "temperature", "number from 0 to 2"},
        {true, CHAT(",\"temperature\":2.5"), "temperature", "is 2.5"},
        {true, CHAT(",\"temperature\":-1"), "temperature", "is -1"},
        {true, CHAT(",\"top_p\":1.1"), "top_p", "from 0 to 1"},
        {true, CHAT(",\"top_k\":2000"), "top_k", "from -1 to 1024"},
        {true, CHAT(",\"top_k\":1.5"), "top_k", "whole"},
        {true, CHAT(",\"repetition_penalty\":0"), "repetition_penalty", "is 0"},
        {true, CHAT(",\"presence_penalty\":3"), "presence_penalty", "from -2 to 2"},
        {true, CHAT(",\"seed\":1.5"), "seed", "whole"},
        {true, CHAT(",\"n\":9"), "n", "from 1 to 8"},
        {true, CHAT(",\"n\":0"), "n", "from 1 to 8"},
        {true, CHAT(",\"max_tokens\":0"), "max_tokens", "from 1"},
        {true, CHAT(",\"max_completion_tokens\":-4"), "max_completion_tokens", "from 1"},
        {true, CHAT(",\"stop\":[[\"a\"]]"), "stop", "texts"},
        {true, CHAT(",\"logprobs\":5"), "logprobs", "true or false"},
        {true, CHAT(",\"top_logprobs\":5"), "top_logprobs", "needs 'logprobs'"},
        {true, CHAT(",\"logprobs\":true,\"top_logprobs\":21"), "top_logprobs", "from 0 to 20"},
        {true, CHAT(",\"stream\":\"yes\""), "stream", "true or false"},
        {true, CHAT(",\"stream_options\":{}"), "stream_options", "needs 'stream'"},
        {true, CHAT(",\"stream\":true,\"stream_options\":{\"include_usage\":1}"),
         "stream_options.include_usage", "true or false"},
        {true, CHAT(",\"response_format\":\"json\""), "response_format", "object"},
        {true, CHAT(",\"response_format\":{\"type\":\"xml\"}"), "response_format.type", "json_object"},
        {true, CHAT(",\"response_format\":{\"type\":\"json_schema\"}"), "response_format.json_schema",
         "missing"},
        {true, CHAT(",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}}"),
         "response_format.json_schema.name", "missing"},
        {true,
         CHAT(
             ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":7}}"),
         "response_format.json_schema.schema", "Schema"},
        {true, CHAT(",\"response_format\":{\"type\":\"json_object\"},\"guided_choice\":[\"a\"]"),
         "guided_choice", "more than one"},
        {true, CHAT(",\"guided_regex\":\"a\""), "guided_regex", "not served"},
        {true, CHAT(",\"logit_bias\":{\"5\":1}"), "logit_bias", "tokenizer"},
        {true, CHAT(",\"functions\":[]"), "functions", "tools"},
        {true, CHAT(",\"audio\":{}"), "audio", "only text"},
        {true, CHAT(",\"modalities\":[\"text\",\"audio\"]"), "modalities", "text"},
        {true, CHAT(",\"parallel_tool_calls\":1"), "parallel_tool_calls", "true or false"},
        {false, "{\"model\":\"m\"}", "prompt", "missing"},
        {false, TEXT(",\"suffix\":\"x\""), "suffix", "middle"},
        {false, TEXT(",\"best_of\":3"), "best_of", "must be 'n'"},
        {false, TEXT(",\"logprobs\":6"), "logprobs", "from 0 to 5"},
        {false, TEXT(",\"logprobs\":true"), "logprobs", "whole"},
        {false, TEXT(",\"logprobs\":1,\"echo\":true"), "echo", "not computed"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_completion *c = NULL;
        char param[OPS_FIELD_PLACE_MAX];
        ops_err err = {0};
        const ops_status st = ops_completion_read(ops_slice_str(rows[i].body), rows[i].chat, &c, param, &err);
        const bool unbuilt = strstr(err.msg, "' is not served") != NULL &&
                             strcmp(rows[i].param, "echo") != 0; /* a name that could be served */
        if (st != (unbuilt ? OPS_EUNIMPL : OPS_EINVAL) || strcmp(param, rows[i].param) != 0 ||
            strstr(err.msg, rows[i].says) == NULL)
            fail_msg("row %zu: status %d, param '%s', '%s'", i, (int)st, param, err.msg);
        assert_null(c);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    const char body[] =
        CHAT(",\"stop\":[\"a\"],\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"
             "\"name\":\"x\",\"schema\":{}}}");
    ops_status st = OPS_ENOMEM;
    const long live = ops_alloc_live();
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_completion *c = NULL;
        char param[OPS_FIELD_PLACE_MAX];
        ops_alloc_fail_at(nth);
        st = ops_completion_read(ops_slice_str(body), true, &c, param, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || ((st == OPS_ENOMEM || st == OPS_ETOOBIG) && c == NULL));
        ops_completion_free(c);
        assert_int_equal(ops_alloc_live(), live);
    }
}

/* --- answers --- */

static Ops__V1__TokenChoice token(int32_t id, float logprob, const char *text)
{
    Ops__V1__TokenChoice t = OPS__V1__TOKEN_CHOICE__INIT;
    t.id = id;
    t.logprob = logprob;
    t.text = (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
    return t;
}

/* "é" in two tokens of a byte each, then "b". */
static void add_text(ops_written *w)
{
    Ops__V1__TokenChoice chosen[] = {token(1, -0.5f, "\xc3"), token(2, -1, "\xa9"), token(3, -2, "b")},
                         other = token(9, -3, "\""), nothing = token(-1, 0, "");
    for (size_t i = 0; i < 3; i++) {
        Ops__V1__GenerateDelta delta = OPS__V1__GENERATE_DELTA__INIT;
        Ops__V1__GeneratedToken t = OPS__V1__GENERATED_TOKEN__INIT, *tokens[] = {&t};
        Ops__V1__TokenChoice *top[] = {&other, &chosen[i], &nothing};
        t.chosen = &chosen[i];
        t.top = top;
        t.n_top = i < 2 ? 3 : 1; /* the last was not among the likeliest */
        delta.tokens = tokens;
        delta.n_tokens = 1;
        delta.text = (char *)(uintptr_t)(i == 0 ? "" : i == 1 ? "\xc3\xa9" : "b");
        ops_written_add(w, &delta);
    }
}

static const ops_written_head chat_head = {
    .chat = true, .id = "chatcmpl-1", .created_s = 7, .model = {"m", 1}};
static const ops_written_head text_head = {.id = "cmpl-1", .created_s = 7, .model = {"m", 1}};
static const ops_written_usage usage = {.prompt = 10, .cached = 4, .completion = 3};

#define USAGE                                                                                                \
    "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":3,\"total_tokens\":13,\"prompt_tokens_details\":" \
    "{"                                                                                                      \
    "\"cached_tokens\":4}}"

static void a_chat_is_written_whole(void **state)
{
    (void)state;
    ops_written w;
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    ops_written_init(&w, 1 << 16);
    w.chat = w.logprobs = true;
    add_text(&w);
    w.finish = OPS__V1__FINISH_REASON__FINISH_REASON_LENGTH;
    ops_written_whole(&chat_head, &w, 1, &usage, &b);
    assert_string_equal(
        b.p,
        "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":7,\"model\":\"m\",\"choices\":[{"
        "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"\xc3\xa9"
        "b\",\"refusal\":null},\"logprobs\":{"
        "\"content\":[{\"token\":\"\xef\xbf\xbd\",\"logprob\":-0.5,\"bytes\":[195],\"top_logprobs\":[{"
        "\"token\":"
        "\"\\\"\",\"logprob\":-3,\"bytes\":[34]},{\"token\":\"\xef\xbf\xbd\",\"logprob\":-0.5,\"bytes\":[195]"
        "}]},"
        "{\"token\":\"\xef\xbf\xbd\",\"logprob\":-1,\"bytes\":[169],\"top_logprobs\":[{\"token\":\"\\\"\","
        "\"logprob\":-3,\"bytes\":[34]},{\"token\":\"\xef\xbf\xbd\",\"logprob\":-1,\"bytes\":[169]}]},"
        "{\"token\":\"b\",\"logprob\":-2,\"bytes\":[98],\"top_logprobs\":[{\"token\":\"\\\"\",\"logprob\":-3,"
        "\"bytes\":[34]}]}],\"refusal\":null},\"finish_reason\":\"length\"}]," USAGE "}");
    ops_written_done(&w);
    ops_strbuf_done(&b);
}

static void a_text_is_written_whole(void **state)
{
    (void)state;
    ops_written w[2];
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    for (int i = 0; i < 2; i++)
        ops_written_init(&w[i], 1 << 16);
    w[0].logprobs = true;
    add_text(&w[0]);
    ops_written_whole(&text_head, w, 2, &usage, &b);
    assert_string_equal(
        b.p,
        "{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":7,\"model\":\"m\",\"choices\":[{"
        "\"index\":0,\"text\":\"\xc3\xa9"
        "b\",\"logprobs\":{\"tokens\":[\"bytes:\\\\xc3\",\"bytes:\\\\xa9\",\"b\"],"
        "\"token_logprobs\":[-0.5,-1,-2],\"top_logprobs\":[{\"\\\"\":-3,\"bytes:\\\\xc3\":-0.5},{\"\\\"\":-3,"
        "\"bytes:\\\\xa9\":-1},{\"\\\"\":-3,\"b\":-2}],\"text_offset\":[0,1,1]},\"finish_reason\":\"stop\"},"
        "{\"index\":1,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"stop\"}]," USAGE "}");
    ops_written_done(&w[0]);
    ops_written_done(&w[1]);
    ops_strbuf_done(&b);
}

static void add_calls(ops_written *w)
{
    Ops__V1__GenerateDelta delta = OPS__V1__GENERATE_DELTA__INIT;
    Ops__V1__ToolCall one = OPS__V1__TOOL_CALL__INIT, two = one, *calls[] = {&one, &two};
    one.id = (char *)(uintptr_t) "c1";
    two.id = (char *)(uintptr_t) "c2";
    one.name = two.name = (char *)(uintptr_t) "f";
    one.arguments = two.arguments = (char *)(uintptr_t) "{\"x\":1}";
    delta.tool_calls = calls;
    delta.n_tool_calls = 2;
    ops_written_add(w, &delta);
}

#define CALL(id)                                                                                             \
    "\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}"

static void calls_are_written(void **state)
{
    (void)state;
    for (int one_call = 0; one_call < 2; one_call++) {
        ops_written w;
        ops_strbuf b;
        ops_strbuf_init(&b, 1 << 16);
        ops_written_init(&w, 1 << 16);
        w.chat = true;
        w.one_call = one_call;
        w.finish = OPS__V1__FINISH_REASON__FINISH_REASON_TOOL_CALLS;
        add_calls(&w);
        ops_written_whole(&chat_head, &w, 1, &usage, &b);
        assert_non_null(strstr(b.p, "\"content\":null,\"refusal\":null,\"tool_calls\":[{" CALL("c1") "}"));
        assert_int_equal(strstr(b.p, ",{" CALL("c2") "}]") != NULL, !one_call);
        assert_non_null(strstr(b.p, "\"finish_reason\":\"tool_calls\""));
        ops_written_done(&w);
        ops_strbuf_done(&b);
    }
}

static void events_are_written(void **state)
{
    (void)state;
#define HEAD                                                                                                 \
    "data: "                                                                                                 \
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":" \
    "["
    ops_written w;
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    ops_written_init(&w, 1 << 16);
    w.chat = w.stream = true;
    ops_written_role(&chat_head, 1, &b);
    assert_string_equal(b.p, HEAD
                        "{\"index\":1,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
                        "\"finish_reason\":null}]}\n\n");
    ops_strbuf_clear(&b);
    add_text(&w);
    ops_written_event(&chat_head, 1, &w, &b);
    assert_string_equal(b.p, HEAD "{\"index\":1,\"delta\":{\"content\":\"\xc3\xa9"
                                  "b\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n");
    ops_strbuf_clear(&b);
    add_calls(&w); /* the text before does not come again */
    ops_written_event(&chat_head, 1, &w, &b);
    assert_string_equal(
        b.p, HEAD "{\"index\":1,\"delta\":{\"tool_calls\":[{\"index\":0," CALL("c1") "},{\"index\":1," CALL(
                 "c2") "}]},\"logprobs\":null,\"finish_reason\":null}]}\n\n");
    ops_strbuf_clear(&b);
    ops_written_head counted = chat_head;
    counted.usage_comes = true;
    ops_written_finish(&counted, 0, OPS__V1__FINISH_REASON__FINISH_REASON_STOP, &b);
    ops_written_usage_event(&counted, &usage, &b);
    ops_written_last(&b);
    assert_string_equal(b.p, HEAD "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
                                  "\"usage\":null}\n\n" HEAD "]," USAGE "}\n\ndata: [DONE]\n\n");
    ops_strbuf_clear(&b);
    ops_written_error(OPS_EUNAVAILABLE, "gone", &b);
    assert_string_equal(b.p,
                        "data: {\"error\":{\"message\":\"gone\",\"type\":\"server_error\",\"param\":null,"
                        "\"code\":null}}\n\n");
    ops_written_done(&w);
    ops_strbuf_done(&b);
}

static void what_does_not_fit_is_said(void **state)
{
    (void)state;
    ops_written w;
    ops_written_init(&w, 2);
    assert_false(ops_written_failed(&w));
    add_text(&w);
    assert_true(ops_written_failed(&w));
    ops_written_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_said_has_the_apis_default),
        cmocka_unit_test(everything_that_is_said_is_read),
        cmocka_unit_test(forms_are_read),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_chat_is_written_whole),
        cmocka_unit_test(a_text_is_written_whole),
        cmocka_unit_test(calls_are_written),
        cmocka_unit_test(events_are_written),
        cmocka_unit_test(what_does_not_fit_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
