/* Calls taken out of an answer, however it is cut into pieces. Expected values are what the model families' own documents call a
 * call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "tests/support/tool_kinds.h"

static const ops_chat_tool tools[] = {{OPS_SLICE("disk"), OPS_SLICE(""), OPS_SLICE("")},
                                      {OPS_SLICE("a.b/c"), OPS_SLICE(""), OPS_SLICE("{}")}};

/* An answer: text, and where a control token came in braces of its own: \1 open, \2 close, \3 id, \4 args. */
static const char *const marked[] = {NULL, "<tool_call>", "</tool_call>", "[CALL_ID]", "[ARGS]"};

typedef struct heard {
    ops_strbuf text, calls; /* name(arguments); */
} heard;

static void hear(heard *h, const ops_tool_found *f)
{
    ops_strbuf_slice(&h->text, f->text);
    for (size_t i = 0; i < f->n_calls; i++)
        ops_strbuf_printf(&h->calls, OPS_SLICE_FMT "(" OPS_SLICE_FMT ");", OPS_SLICE_ARG(f->calls[i].name),
                          OPS_SLICE_ARG(f->calls[i].arguments));
}

static ops_tool_finder *finder(tool_kind k, const ops_tokenizer *t, bool call)
{
    OPS_AUTO(ops_chat_free) ops_chat *c = tool_chat(k);
    const ops_tools_plan p = {.tools = tools, .n_tools = 2, .call = call, .call_name = OPS_SLICE("disk")};
    ops_tool_finder *f = NULL;
    assert_int_equal(ops_tool_finder_new(c, t, &p, &f, NULL), OPS_OK);
    return f;
}

static int32_t control(tool_kind k, const ops_tokenizer *t, char c)
{
    const char *name = c != 1                          ? marked[(int)c]
                       : k == TOOL_KIND_OBJECT         ? "<|python_tag|>"
                       : k <= TOOL_KIND_TAGGED_CONTROL ? "<tool_call>"
                                                       : "[TOOL_CALLS]";
    const int32_t id = ops_tokenizer_find(t, ops_slice_str(name));
    assert_true(id >= 0);
    return id;
}

static void feed(ops_tool_finder *f, tool_kind k, const ops_tokenizer *t, ops_slice s, size_t step, heard *h)
{
    ops_tool_found found;
    while (s.n > 0) {
        size_t n = 0;
        while (n < s.n && n < step && (unsigned char)s.p[n] > 4)
            n++;
        const bool mark = n < s.n && (unsigned char)s.p[n] <= 4;
        const int32_t id = mark ? control(k, t, s.p[n]) : -1;
        assert_int_equal(ops_tool_finder_put(f, id, ops_slice_sub(s, 0, n), &found, NULL), OPS_OK);
        hear(h, &found);
        s = ops_slice_sub(s, n + mark, s.n);
    }
    assert_int_equal(ops_tool_finder_end(f, &found, NULL), OPS_OK);
    hear(h, &found);
}

typedef struct row {
    tool_kind kind;
    bool call; /* the prompt has begun one */
    const char *said, *text, *calls;
} row;

#define DISK "{\"name\": \"disk\", \"arguments\": {\"n\": [1, \"}]\"]}}"
#define ARGS "{\"n\": [1, \"}]\"]}"
static const row rows[] = {
    /* tagged */
    {TOOL_KIND_TAGGED, false, "<tool_call>\n" DISK "\n</tool_call>", "", "disk(" ARGS ");"},
    {TOOL_KIND_TAGGED, false,
     "Let me see.\n<tool_call>\n" DISK "\n</tool_call>\n<tool_call>" DISK "</tool_call>\n", "Let me see.",
     "disk(" ARGS ");disk(" ARGS ");"},
    {TOOL_KIND_TAGGED, false, "<tool_call>{\"name\":\"a.b/c\"}</tool_call> Done.\n", "Done.\n", "a.b/c({});"},
    {TOOL_KIND_TAGGED, false, "plain < text <tool_ no <tool_call> no\n",
     "plain < text <tool_ no <tool_call> no\n", ""},
    {TOOL_KIND_TAGGED, false, "<<tool_call><tool_call>\n" DISK, "<<tool_call>", "disk(" ARGS ");"},
    {TOOL_KIND_TAGGED, false, "<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>",
     "<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>", ""},
    {TOOL_KIND_TAGGED, false, "x<tool_call>{\"name\": \"disk\", \"arguments\": {\"a\": \"b}}\n</tool_call> y",
     "x<tool_call>{\"name\": \"disk\", \"arguments\": {\"a\": \"b}}\n</tool_call> y", ""},
    {TOOL_KIND_TAGGED, false, "<tool_call>{\"name\": \"disk\", <tool_call>" DISK "</tool_call>",
     "<tool_call>{\"name\": \"disk\", ", "disk(" ARGS ");"},
    {TOOL_KIND_TAGGED, false, "<tool_call>{\"name\": \"disk\", \"arguments\": [1]}</tool_call>",
     "<tool_call>{\"name\": \"disk\", \"arguments\": [1]}</tool_call>", ""},
    {TOOL_KIND_TAGGED, false, "<tool_call>{\"name\": \"disk\", \"arguments\": \"{\\\"a\\\":1}\"}</tool_call>",
     "", "disk({\"a\":1});"},
    {TOOL_KIND_TAGGED, false, "<tool_call>{\"name\": \"disk\", \"arguments\": \"{\\\"a\\\":\"}</tool_call>",
     "<tool_call>{\"name\": \"disk\", \"arguments\": \"{\\\"a\\\":\"}</tool_call>", ""},
    {TOOL_KIND_TAGGED, false,
     "<tool_call>{\"name\": \"disk\", \"arguments\": {\"a\":1,\"a\":\"\\u0000\"}}</tool_call>", "",
     "disk({\"a\":1,\"a\":\"\\u0000\"});"},
    {TOOL_KIND_TAGGED, false, "<tool_call>{\"name\": \"di", "<tool_call>{\"name\": \"di", ""},
    {TOOL_KIND_TAGGED, false, "<tool_call>" DISK "</tool", "", "disk(" ARGS ");"},
    {TOOL_KIND_TAGGED, false, "end  \n", "end  \n", ""},
    {TOOL_KIND_TAGGED, false,
     "<tool_call>{\"name\":\"disk\",\"arguments\":{\"t\":\"</tool_call>\xc3\xa9\"}}</tool_call>", "",
     "disk({\"t\":\"</tool_call>\xc3\xa9\"});"},
    {TOOL_KIND_TAGGED, true, DISK "\n</tool_call>\n<tool_call>\n" DISK "\n</tool_call>", "",
     "disk(" ARGS ");disk(" ARGS ");"},
    {TOOL_KIND_TAGGED, true, "I can not.", "I can not.", ""},
    /* the same marks as control tokens: their text says nothing */
    {TOOL_KIND_TAGGED_CONTROL, false, "Hm.\n\1\n" DISK "\n\2\n\1" DISK "\2", "Hm.",
     "disk(" ARGS ");disk(" ARGS ");"},
    {TOOL_KIND_TAGGED_CONTROL, false, "<tool_call>" DISK "</tool_call>", "<tool_call>" DISK "</tool_call>",
     ""},
    {TOOL_KIND_TAGGED_CONTROL, false,
     "a\1b\2c \1{\"name\": \2"
     "d\1" DISK,
     "abc{\"name\": d", "disk(" ARGS ");"},
    /* an object, the whole answer */
    {TOOL_KIND_OBJECT, false, "{\"name\": \"disk\", \"parameters\": {\"a\": 1}}", "", "disk({\"a\": 1});"},
    {TOOL_KIND_OBJECT, false, "\n {\"type\": \"function\", \"name\": \"disk\", \"parameters\": {}}\n", "",
     "disk({});"},
    {TOOL_KIND_OBJECT, false,
     "\1{\"name\": \"disk\", \"arguments\": {}}; {\"name\": \"a.b/c\", \"parameters\": {}}", "",
     "disk({});a.b/c({});"},
    {TOOL_KIND_OBJECT, false, "It is {\"name\": \"disk\", \"parameters\": {}}",
     "It is {\"name\": \"disk\", \"parameters\": {}}", ""},
    {TOOL_KIND_OBJECT, false, "{\"answer\": {\"name\": \"disk\"}} more",
     "{\"answer\": {\"name\": \"disk\"}} more", ""},
    {TOOL_KIND_OBJECT, false, "{\"name\": \"disk\"}", "{\"name\": \"disk\"}", ""},
    {TOOL_KIND_OBJECT, false, "{\"name\": \"other\", \"parameters\": {}}",
     "{\"name\": \"other\", \"parameters\": {}}", ""},
    {TOOL_KIND_OBJECT, false, "{ not JSON", "{ not JSON", ""},
    {TOOL_KIND_OBJECT, true, "{\"name\": \"disk\", \"parameters\": {}}", "", "disk({});"},
    /* a list */
    {TOOL_KIND_LIST, false,
     "Wait. \1 [" DISK ", {\"name\": \"a.b/c\", \"arguments\": {}, \"id\": \"123456789\"}]", "Wait.",
     "disk(" ARGS ");a.b/c({});"},
    {TOOL_KIND_LIST, false, "\1" DISK, "", "disk(" ARGS ");"},
    {TOOL_KIND_LIST, false, "\1[]", "[]", ""},
    {TOOL_KIND_LIST, false, "\1[" DISK ", {\"name\": \"other\"}] x", "[" DISK ", {\"name\": \"other\"}] x",
     ""},
    {TOOL_KIND_LIST, false, "\1[" DISK " " DISK "]", "[" DISK " " DISK "]", ""},
    {TOOL_KIND_LIST, false, "[TOOL_CALLS][" DISK "]", "[TOOL_CALLS][" DISK "]", ""},
    {TOOL_KIND_LIST, true, "[" DISK "]", "", "disk(" ARGS ");"},
    {TOOL_KIND_LIST, true, " [" DISK, " [" DISK, ""},
    {TOOL_KIND_LIST, false, "\1disk\4{\"a\":1}", "", "disk({\"a\":1});"},
    /* name and arguments apart */
    {TOOL_KIND_ARGS, false,
     "Ok.\1disk\4{\"a\":1}\1a.b/c\3"
     "abcDEF123\4 {}",
     "Ok.", "disk({\"a\":1});a.b/c({});"},
    {TOOL_KIND_ARGS, false, "\1other\4{\"a\":1}", "other{\"a\":1}", ""},
    {TOOL_KIND_ARGS, false, "\1disk {}\4", "disk {}", ""},
    {TOOL_KIND_ARGS, false, "\1disk\4[1]", "disk[1]", ""},
    {TOOL_KIND_ARGS, false, "\1disk\3x y\4{}", "diskx y{}", ""},
    {TOOL_KIND_ARGS, true, "{\"a\":1}", "", "disk({\"a\":1});"},
    {TOOL_KIND_ARGS, true, "sorry", "sorry", ""},
};

static void finds_calls_however_the_text_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        OPS_AUTO(ops_tokenizer_free) ops_tokenizer *t = tool_tokenizer(rows[i].kind);
        assert_non_null(t);
        for (size_t step = 1; step < 100; step++) {
            OPS_AUTO(ops_tool_finder_free) ops_tool_finder *f = finder(rows[i].kind, t, rows[i].call);
            heard h;
            ops_strbuf_init(&h.text, 10000);
            ops_strbuf_init(&h.calls, 10000);
            feed(f, rows[i].kind, t, ops_slice_str(rows[i].said), step, &h);
            const ops_slice text = ops_strbuf_get(&h.text), calls = ops_strbuf_get(&h.calls);
            if (!ops_slice_eq(text, ops_slice_str(rows[i].text)) ||
                !ops_slice_eq(calls, ops_slice_str(rows[i].calls)))
                fail_msg("row %zu (%s), %zu bytes at a time: text '" OPS_SLICE_FMT "', calls '" OPS_SLICE_FMT
                         "'",
                         i, rows[i].said, step, OPS_SLICE_ARG(text), OPS_SLICE_ARG(calls));
            ops_strbuf_done(&h.text);
            ops_strbuf_done(&h.calls);
        }
    }
}

/* What can not be part of a call is shown with the piece it came in. */
static void shows_text_at_once(void **state)
{
    (void)state;
    OPS_AUTO(ops_tokenizer_free) ops_tokenizer *t = tool_tokenizer(TOOL_KIND_TAGGED);
    OPS_AUTO(ops_tool_finder_free) ops_tool_finder *f = finder(TOOL_KIND_TAGGED, t, false);
    static const struct {
        const char *piece, *text;
    } steps[] = {{"Hello ", "Hello"},     {"you", " you"}, {"\n<tool", ""},
                 {"box>", "\n<toolbox>"}, {"<", ""},       {"=", "<="}};
    ops_tool_found found;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(ops_tool_finder_put(f, -1, ops_slice_str(steps[i].piece), &found, NULL), OPS_OK);
        assert_true(ops_slice_eq(found.text, ops_slice_str(steps[i].text)));
    }
    OPS_AUTO(ops_tool_finder_free) ops_tool_finder *o = finder(TOOL_KIND_OBJECT, t, false);
    assert_int_equal(ops_tool_finder_put(o, -1, OPS_SLICE("{\"disk"), &found, NULL), OPS_OK);
    assert_true(ops_slice_eq(found.text, OPS_SLICE("{\"disk")));
    /* a call is told when it is whole, not when its mark closes */
    assert_int_equal(ops_tool_finder_put(f, -1, OPS_SLICE("<tool_call>" DISK), &found, NULL), OPS_OK);
    assert_int_equal(found.n_calls, 1);
    assert_int_equal(ops_tool_finder_calls(f), 1);
}

static void is_bounded(void **state)
{
    (void)state;
    OPS_AUTO(ops_tokenizer_free) ops_tokenizer *t = tool_tokenizer(TOOL_KIND_TAGGED);
    OPS_AUTO(ops_tool_finder_free) ops_tool_finder *f = finder(TOOL_KIND_TAGGED, t, false);
    ops_tool_found found;
    size_t shown = 0, put = 0;
    static char much[5000];
    memset(much, 'x', sizeof much);
    assert_int_equal(ops_tool_finder_put(f, -1, OPS_SLICE("<tool_call>{\"name\":\""), &found, NULL), OPS_OK);
    for (; put < (size_t)4 * OPS_TOOLS_CALL_BYTES_MAX; put += sizeof much) {
        assert_int_equal(ops_tool_finder_put(f, -1, ops_slice_of(much, sizeof much), &found, NULL), OPS_OK);
        shown += found.text.n;
        assert_true(put - shown <= OPS_TOOLS_CALL_BYTES_MAX + 10000 || put < shown);
    }
    assert_int_equal(ops_tool_finder_end(f, &found, NULL), OPS_OK);
    assert_int_equal(shown + found.text.n, put + strlen("<tool_call>{\"name\":\""));
    /* calls without end, and blanks without end */
    size_t calls = 0;
    for (int i = 0; i < OPS_TOOLS_CALLS_MAX + 5; i++) {
        assert_int_equal(
            ops_tool_finder_put(f, -1, OPS_SLICE("<tool_call>" DISK "</tool_call>"), &found, NULL), OPS_OK);
        calls += found.n_calls;
        assert_true(i < OPS_TOOLS_CALLS_MAX || found.text.n > 0);
    }
    assert_int_equal(calls, OPS_TOOLS_CALLS_MAX);
    memset(much, ' ', sizeof much);
    assert_int_equal(ops_tool_finder_put(f, -1, OPS_SLICE("x"), &found, NULL), OPS_OK);
    assert_int_equal(ops_tool_finder_put(f, -1, ops_slice_of(much, sizeof much), &found, NULL), OPS_OK);
    assert_true(found.text.n >= sizeof much - 100);
}

static void without_tools_all_is_text(void **state)
{
    (void)state;
    OPS_AUTO(ops_tokenizer_free) ops_tokenizer *t = tool_tokenizer(TOOL_KIND_TAGGED);
    OPS_AUTO(ops_chat_free) ops_chat *c = tool_chat(TOOL_KIND_TAGGED);
    OPS_AUTO(ops_tool_finder_free) ops_tool_finder *f = NULL;
    const ops_tools_plan p = {.n_tools = 0};
    assert_int_equal(ops_tool_finder_new(c, t, &p, &f, NULL), OPS_OK);
    ops_tool_found found;
    assert_int_equal(ops_tool_finder_put(f, -1, OPS_SLICE("<tool_call>" DISK "\n"), &found, NULL), OPS_OK);
    assert_true(ops_slice_eq(found.text, OPS_SLICE("<tool_call>" DISK "\n")));
    assert_int_equal(found.n_calls, 0);
}

static void survives_failed_allocations(void **state)
{
    (void)state;
    OPS_AUTO(ops_tokenizer_free) ops_tokenizer *t = tool_tokenizer(TOOL_KIND_LIST);
    OPS_AUTO(ops_chat_free) ops_chat *c = tool_chat(TOOL_KIND_LIST);
    const ops_tools_plan p = {.tools = tools, .n_tools = 2, .call = true};
    const long live = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        assert_true(nth < 100);
        ops_tool_finder *f = NULL;
        ops_tool_found found;
        ops_alloc_fail_at(nth);
        st = ops_tool_finder_new(c, t, &p, &f, NULL);
        if (st == OPS_OK)
            st = ops_tool_finder_put(
                f, -1, OPS_SLICE("[{\"name\":\"disk\",\"arguments\":\"{}\"}, " DISK "] text"), &found, NULL);
        if (st == OPS_OK)
            assert_int_equal(found.n_calls, 2);
        if (st == OPS_OK)
            st = ops_tool_finder_end(f, &found, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        ops_tool_finder_free(f);
        assert_int_equal(ops_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(finds_calls_however_the_text_is_cut),
        cmocka_unit_test(shows_text_at_once),
        cmocka_unit_test(is_bounded),
        cmocka_unit_test(without_tools_all_is_text),
        cmocka_unit_test(survives_failed_allocations),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
