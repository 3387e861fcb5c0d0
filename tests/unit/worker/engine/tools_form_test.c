/* Forms of calls: what a grammar made from them takes and refuses, and that whatever is written under one is found again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "tests/support/tool_kinds.h"
#include "tests/unit/worker/grammar/walk.h"
#include "worker/model/json_text.h"

#define WHERE                                                                                                \
    "{\"type\":\"object\",\"properties\":{\"host\":{\"enum\":[\"a\",\"b\\\"\"]},\"n\":{\"type\":"            \
    "\"integer\","                                                                                           \
    "\"minimum\":0,\"maximum\":99}},\"required\":[\"host\"],\"additionalProperties\":false}"
static const ops_chat_tool tools[] = {{OPS_SLICE("disk"), OPS_SLICE(""), OPS_SLICE(WHERE)},
                                      {OPS_SLICE("now"), OPS_SLICE(""), OPS_SLICE("")},
                                      {OPS_SLICE("a.b:c/d-e"), OPS_SLICE(""), OPS_SLICE("{}")}};

typedef struct setting {
    ops_chat *c;
    ops_tokenizer *t;
    ops_grammar_vocab *v;
    ops_tools_plan p;
    ops_grammar *g;
} setting;

static void begin(setting *s, tool_kind k)
{
    *s = (setting){.c = tool_chat(k), .t = tool_tokenizer(k)};
    assert_non_null(s->c);
    assert_non_null(s->t);
    assert_int_equal(ops_grammar_vocab_new(s->t, &s->v, NULL), OPS_OK);
}

static ops_status plan(setting *s, const ops_tools_request *q, ops_err *reterr)
{
    return ops_tools_plan_make(s->c, s->t, q, &s->p, reterr);
}

static ops_status compile(setting *s, ops_err *reterr)
{
    return ops_grammar_from_ebnf(s->v, ops_strbuf_get(&s->p.ebnf), &s->g, reterr);
}

static void end(setting *s)
{
    ops_tools_plan_done(&s->p);
    ops_grammar_free(s->g);
    ops_grammar_vocab_free(s->v);
    ops_tokenizer_free(s->t);
    ops_chat_free(s->c);
}

static ops_tools_request request(ops_tools_choice choice, size_t n, bool parallel)
{
    return (ops_tools_request){
        .tools = tools, .n = n, .choice = choice, .parallel = parallel, .strict = true};
}

/* --- what is taken --- */

static bool takes(const setting *s, const char *text)
{
    OPS_AUTO(ops_matcher_free) ops_matcher *m = NULL;
    ops_tokens ids;
    ops_tokens_init(&ids, 10000);
    assert_int_equal(ops_matcher_new(s->g, &m, NULL), OPS_OK);
    assert_int_equal(ops_tokenizer_encode(s->t, ops_slice_str(text), OPS_TOKENIZER_INSIDE, &ids, NULL),
                     OPS_OK);
    bool ok = true;
    for (size_t i = 0; i < ids.n && ok; i++)
        ok = ops_matcher_accept(m, ids.v[i], NULL) == OPS_OK;
    ops_tokens_done(&ids);
    return ok && ops_matcher_complete(m);
}

#define A(host) "{\"host\": \"" host "\"}"
static void takes_calls_that_fit_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        tool_kind kind;
        ops_tools_choice choice;
        bool parallel, taken;
        const char *text;
    } rows[] = {
        {TOOL_KIND_TAGGED, OPS_TOOLS_REQUIRED, false, true,
         "{\"name\": \"disk\", \"arguments\": " A("a") "}\n</tool_call>"},
        {TOOL_KIND_TAGGED, OPS_TOOLS_REQUIRED, false, true,
         "{\"name\": \"disk\", \"arguments\": {\"host\":\"b\\\"\",\"n\":7}}\n</tool_call>"},
        {TOOL_KIND_TAGGED, OPS_TOOLS_REQUIRED, false, true,
         "{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"},
        {TOOL_KIND_TAGGED, OPS_TOOLS_REQUIRED, false, true,
         "{\"name\": \"a.b:c/d-e\", \"arguments\": {\"any\": [1]}}\n</tool_call>"},
        {TOOL_KIND_TAGGED, OPS_TOOLS_REQUIRED, false, false,
         "{\"name\": \"a.b:c/d-e\", \"arguments\": [1]}\n</tool_call>"},
        {TOOL_KIND_TAGGED, OPS_TOOLS_REQUIRED, false, false,
         "{\"name\": \"now\", \"arguments\": {\"x\":1}}\n</tool_call>"},
        {TOOL_KIND_TAGGED, OPS_TOOLS_REQUIRED, false, false,
         "{\"name\": \"disk\", \"arguments\": " A("c") "}\n</tool_call>"},
        {TOOL_KIND_TAGGED, OPS_TOOLS_REQUIRED, false, false,
         "{\"name\": \"other\", \"arguments\": {}}\n</tool_call>"},
        {TOOL_KIND_TAGGED, OPS_TOOLS_REQUIRED, false, false, "Sure."},
        {TOOL_KIND_TAGGED, OPS_TOOLS_REQUIRED, false, false,
         "{\"name\": \"now\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": \"now\", "
         "\"arguments\": {}}\n"
         "</tool_call>"},
        {TOOL_KIND_TAGGED, OPS_TOOLS_REQUIRED, true, true,
         "{\"name\": \"now\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": \"disk\", "
         "\"arguments\": " A("a") "}\n</tool_call>"},
        {TOOL_KIND_TAGGED_CONTROL, OPS_TOOLS_REQUIRED, true, true, "{\"name\": \"now\", \"arguments\": {}}"},
        {TOOL_KIND_TAGGED_CONTROL, OPS_TOOLS_REQUIRED, true, false,
         "{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"},
        {TOOL_KIND_TAGGED, OPS_TOOLS_AUTO, false, true, ""},
        {TOOL_KIND_TAGGED, OPS_TOOLS_AUTO, false, true, "a < b <<tool_cal <tool_call\n\xc3\xa9"},
        {TOOL_KIND_TAGGED, OPS_TOOLS_AUTO, false, true,
         "See:\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"},
        {TOOL_KIND_TAGGED, OPS_TOOLS_AUTO, false, true,
         "<<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"},
        {TOOL_KIND_TAGGED, OPS_TOOLS_AUTO, false, false, "I write <tool_call> now"},
        {TOOL_KIND_TAGGED, OPS_TOOLS_AUTO, false, false,
         "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}"},
        {TOOL_KIND_TAGGED, OPS_TOOLS_AUTO, false, false,
         "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call> and"},
        {TOOL_KIND_OBJECT, OPS_TOOLS_REQUIRED, true, true,
         "{\"name\": \"disk\", \"parameters\": " A("a") "}"},
        {TOOL_KIND_OBJECT, OPS_TOOLS_REQUIRED, true, false,
         "{\"name\": \"disk\", \"arguments\": " A("a") "}"},
        {TOOL_KIND_OBJECT, OPS_TOOLS_AUTO, false, true, "Hello {\"name\""},
        {TOOL_KIND_OBJECT, OPS_TOOLS_AUTO, false, true, "\n\n"},
        {TOOL_KIND_OBJECT, OPS_TOOLS_AUTO, false, true, "{\"name\": \"now\", \"parameters\": {}}"},
        {TOOL_KIND_OBJECT, OPS_TOOLS_AUTO, false, false, " {\"answer\": 1}"},
        {TOOL_KIND_LIST, OPS_TOOLS_REQUIRED, true, true,
         " [{\"name\": \"now\", \"arguments\": {}}, {\"name\": \"disk\", \"arguments\": " A("a") "}]"},
        {TOOL_KIND_LIST, OPS_TOOLS_REQUIRED, false, true, "[{\"name\": \"now\", \"arguments\": {}}]"},
        {TOOL_KIND_LIST, OPS_TOOLS_REQUIRED, false, false,
         "[{\"name\": \"now\", \"arguments\": {}}, {\"name\": \"now\", \"arguments\": {}}]"},
        {TOOL_KIND_LIST, OPS_TOOLS_REQUIRED, true, false, "[]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        setting s;
        begin(&s, rows[i].kind);
        const ops_tools_request q = request(rows[i].choice, 3, rows[i].parallel);
        ops_err err = {.msg = ""};
        if (plan(&s, &q, &err) != OPS_OK || compile(&s, &err) != OPS_OK)
            fail_msg("row %zu: %s in %s", i, err.msg, s.p.ebnf.p);
        assert_int_equal(s.p.call, rows[i].choice == OPS_TOOLS_REQUIRED);
        if (takes(&s, rows[i].text) != rows[i].taken)
            fail_msg("row %zu: '%s' is %s\n%s", i, rows[i].text, rows[i].taken ? "refused" : "taken",
                     s.p.ebnf.p);
        end(&s);
    }
}

static void a_named_tool_is_the_only_one(void **state)
{
    (void)state;
    for (int k = 0; k < TOOL_KINDS; k++) {
        setting s;
        begin(&s, (tool_kind)k);
        ops_tools_request q = request(OPS_TOOLS_REQUIRED, 3, false);
        q.named = OPS_SLICE("disk");
        assert_int_equal(plan(&s, &q, NULL), OPS_OK);
        assert_int_equal(compile(&s, NULL), OPS_OK);
        assert_int_equal(s.p.n_tools, 3); /* the prompt speaks of all */
        assert_true(ops_slice_eq(s.p.call_name, q.named));
        static const char *const good[TOOL_KINDS] = {
            "{\"name\": \"disk\", \"arguments\": " A("a") "}\n</tool_call>",
            "{\"name\": \"disk\", \"arguments\": " A("a") "}",
            "{\"name\": \"disk\", \"parameters\": " A("a") "}",
            "[{\"name\": \"disk\", \"arguments\": " A("a") "}]", A("a")};
        static const char *const bad[TOOL_KINDS] = {
            "{\"name\": \"now\", \"arguments\": {}}\n</tool_call>", "{\"name\": \"now\", \"arguments\": {}}",
            "{\"name\": \"now\", \"parameters\": {}}", "[{\"name\": \"now\", \"arguments\": {}}]", "{}"};
        assert_true(takes(&s, good[k]));
        assert_false(takes(&s, bad[k]));
        end(&s);
    }
}

/* --- what is written under a form is found --- */

static void hear(ops_tool_found *found, ops_strbuf *text, size_t *calls)
{
    ops_strbuf_slice(text, found->text);
    for (size_t i = 0; i < found->n_calls; i++, (*calls)++) {
        const ops_tool_call *call = &found->calls[i];
        ops_slice host;
        assert_int_equal(ops_json_text_check(call->arguments, NULL), OPS_OK);
        if (ops_slice_eq(call->name, OPS_SLICE("disk")))
            assert_true(
                ops_json_text_member(call->arguments, "host", &host) &&
                (ops_slice_eq(host, OPS_SLICE("\"a\"")) || ops_slice_eq(host, OPS_SLICE("\"b\\\"\""))));
        else if (ops_slice_eq(call->name, OPS_SLICE("now")))
            assert_true(ops_slice_eq(call->arguments, OPS_SLICE("{}")));
    }
}

/* A token by chance; towards the end, what closes. */
static int32_t choose(const setting *s, const uint32_t *words, uint64_t *seed, bool closing)
{
    static const char out[] = "\"}]\n:,1a";
    const size_t n = ops_tokenizer_count(s->t);
    for (size_t id = 0; closing && id < n; id++)
        if (ops_tokenizer_ends(s->t, (int32_t)id) && walk_bit(words, id))
            return (int32_t)id;
    for (size_t i = 0; closing && walk_random(seed) % 8 != 0 && i + 1 < sizeof out; i++)
        for (size_t id = 0; id < 256; id++)
            if (walk_bit(words, id) &&
                ops_slice_eq(ops_tokenizer_piece(s->t, (int32_t)id), ops_slice_of(&out[i], 1)))
                return (int32_t)id;
    const size_t from = walk_random(seed) % n;
    for (size_t i = 0; i < n; i++)
        if (walk_bit(words, (from + i) % n))
            return (int32_t)((from + i) % n);
    fail_msg("a dead end");
    return -1;
}

static void write_one(const setting *s, uint64_t seed, ops_strbuf *text, size_t *calls)
{
    OPS_AUTO(ops_matcher_free) ops_matcher *m = NULL;
    OPS_AUTO(ops_tool_finder_free) ops_tool_finder *f = NULL;
    assert_int_equal(ops_matcher_new(s->g, &m, NULL), OPS_OK);
    assert_int_equal(ops_tool_finder_new(s->c, s->t, &s->p, &f, NULL), OPS_OK);
    ops_detok d;
    ops_detok_init(&d, s->t);
    ops_strbuf piece;
    ops_strbuf_init(&piece, 1 << 16);
    ops_tool_found found;
    for (int i = 0; !ops_matcher_finished(m); i++) {
        uint32_t words[16];
        assert_true(i < 5000);
        assert_int_equal(ops_matcher_mask(m, NULL, words, 16, NULL), OPS_OK);
        const int32_t id = choose(s, words, &seed, i > 40);
        assert_int_equal(ops_matcher_accept(m, id, NULL), OPS_OK);
        ops_strbuf_clear(&piece);
        ops_detok_put(&d, id, &piece);
        assert_int_equal(ops_tool_finder_put(f, id, ops_strbuf_get(&piece), &found, NULL), OPS_OK);
        hear(&found, text, calls);
    }
    assert_int_equal(ops_tool_finder_end(f, &found, NULL), OPS_OK);
    hear(&found, text, calls);
    ops_strbuf_done(&piece);
}

static void what_is_written_under_a_form_is_found(void **state)
{
    (void)state;
    size_t texts = 0, with_calls = 0, several = 0;
    for (int k = 0; k < TOOL_KINDS; k++)
        for (int how = 0; how < 3; how++) { /* one call, several, as it likes */
            const ops_tools_request q =
                request(how < 2 ? OPS_TOOLS_REQUIRED : OPS_TOOLS_AUTO, k == TOOL_KIND_ARGS ? 1 : 3, how != 0);
            setting s;
            begin(&s, (tool_kind)k);
            if (plan(&s, &q, NULL) == OPS_EUNIMPL) {
                assert_true(how == 2 && k != TOOL_KIND_TAGGED && k != TOOL_KIND_OBJECT);
                end(&s);
                continue;
            }
            assert_int_equal(compile(&s, NULL), OPS_OK);
            for (uint64_t seed = 1; seed <= 60; seed++) {
                ops_strbuf text;
                size_t calls = 0;
                ops_strbuf_init(&text, 1 << 16);
                write_one(&s, seed * 0x9e3779b97f4a7c15u, &text, &calls);
                assert_true(how == 2 || (text.n == 0 && calls > 0));
                assert_true(how != 0 || calls == 1);
                if (k == TOOL_KIND_TAGGED &&
                    ops_slice_find(ops_strbuf_get(&text), OPS_SLICE("<tool_call>")) >= 0)
                    fail_msg("no call: %s", text.p);
                texts++;
                with_calls += calls > 0;
                several += calls > 1;
                ops_strbuf_done(&text);
            }
            end(&s);
        }
    assert_true(texts > 500 && with_calls > 300 && several > 5);
}

/* --- what is refused --- */

static void refuses_by_name(void **state)
{
    (void)state;
    static const ops_chat_tool twice[] = {{OPS_SLICE("a"), OPS_SLICE(""), OPS_SLICE("")},
                                          {OPS_SLICE("b"), OPS_SLICE(""), OPS_SLICE("")},
                                          {OPS_SLICE("a"), OPS_SLICE(""), OPS_SLICE("")}};
    static const ops_chat_tool bad[] = {{OPS_SLICE("x y"), OPS_SLICE(""), OPS_SLICE("")},
                                        {OPS_SLICE("x"), OPS_SLICE(""), OPS_SLICE("{\"a\"}")},
                                        {OPS_SLICE("x"), OPS_SLICE(""), OPS_SLICE("{\"type\":\"string\"}")},
                                        {OPS_SLICE("x"), OPS_SLICE(""), OPS_SLICE("{\"type\":[\"null\"]}")}};
    static const struct {
        ops_tools_request q;
        tool_kind kind;
        ops_status st;
        const char *said;
    } rows[] = {
        {{.choice = OPS_TOOLS_REQUIRED}, TOOL_KIND_TAGGED, OPS_EINVAL, "there are no tools"},
        {{tools, 3, OPS_TOOLS_REQUIRED, OPS_SLICE("nope"), false, false},
         TOOL_KIND_TAGGED,
         OPS_EINVAL,
         "no tool 'nope'"},
        {{twice, 3, OPS_TOOLS_AUTO, {NULL, 0}, false, false},
         TOOL_KIND_TAGGED,
         OPS_EINVAL,
         "tool 2: 'a' is tool 0 already"},
        {{&bad[0], 1, OPS_TOOLS_AUTO, {NULL, 0}, false, false},
         TOOL_KIND_TAGGED,
         OPS_EINVAL,
         "tool 0: a name is"},
        {{&bad[1], 1, OPS_TOOLS_NONE, {NULL, 0}, false, false},
         TOOL_KIND_TAGGED,
         OPS_EINVAL,
         "tool 0: 'x': parameters: no JSON at line 1 column 5"},
        {{&bad[2], 1, OPS_TOOLS_REQUIRED, {NULL, 0}, false, false},
         TOOL_KIND_TAGGED,
         OPS_EINVAL,
         "tool 'x': parameters: the schema's type is not object"},
        {{&bad[3], 1, OPS_TOOLS_REQUIRED, {NULL, 0}, false, false},
         TOOL_KIND_TAGGED,
         OPS_EINVAL,
         "tool 'x': parameters: the schema's type is not object"},
        {{tools, 3, OPS_TOOLS_REQUIRED, {NULL, 0}, false, false},
         TOOL_KIND_ARGS,
         OPS_EUNIMPL,
         "name the tool"},
        {{tools, 3, OPS_TOOLS_AUTO, {NULL, 0}, false, true}, TOOL_KIND_LIST, OPS_EUNIMPL, "control token"},
        {{tools, 3, OPS_TOOLS_AUTO, {NULL, 0}, false, true}, TOOL_KIND_ARGS, OPS_EUNIMPL, "control token"},
        {{tools, 3, OPS_TOOLS_AUTO, {NULL, 0}, false, true},
         TOOL_KIND_TAGGED_CONTROL,
         OPS_EUNIMPL,
         "control token"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        setting s;
        begin(&s, rows[i].kind);
        ops_err err = {.msg = ""};
        assert_int_equal(plan(&s, &rows[i].q, &err), rows[i].st);
        if (strstr(err.msg, rows[i].said) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", err.msg, rows[i].said);
        assert_true(s.p.n_tools == 0 && s.p.ebnf.n == 0);
        end(&s);
    }
}

static void names_a_keyword_that_is_not_built(void **state)
{
    (void)state;
    static const ops_chat_tool t[] = {
        {OPS_SLICE("now"), OPS_SLICE(""), OPS_SLICE("")},
        {OPS_SLICE("my.tool"), OPS_SLICE(""), OPS_SLICE("{\"properties\":{\"n\":{\"multipleOf\":2}}}")}};
    const ops_tools_request q = {.tools = t, .n = 2, .choice = OPS_TOOLS_REQUIRED};
    setting s;
    begin(&s, TOOL_KIND_LIST);
    ops_err err = {.msg = ""};
    assert_int_equal(plan(&s, &q, NULL), OPS_OK);
    assert_int_equal(compile(&s, &err), OPS_EUNIMPL);
    if (strstr(err.msg, "in 'tool-1-my-tool': schema at '#/properties/n': multipleOf") == NULL)
        fail_msg("%s", err.msg);
    end(&s);
}

/* Schemas that leave open, or say otherwise, that arguments are an object; references that start at their own root. */
static void arguments_are_an_object(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *good, *bad;
    } rows[] = {
        {"{}", "{\"a\": 1}", "1"},
        {" {\"properties\":{\"a\":{\"type\":\"null\"}}}", "{\"a\":null}", "[]"},
        {"{\"type\" : [\"null\",\"object\"]}", "{}", "null"},
        {"{\"$ref\":\"#/$defs/p\",\"$defs\":{\"p\":{\"type\":\"object\",\"properties\":{\"k\":{\"$ref\":\"#/"
         "$defs/q\"}},"
         "\"required\":[\"k\"]},\"q\":{\"const\":\"v\"}}}",
         "{\"k\":\"v\"}", "{\"k\":\"w\"}"},
        {"{\"anyOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}],\"additionalProperties\":{\"type\":"
         "\"boolean\"}}",
         "{\"b\":true}", "\"b\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const ops_chat_tool t = {OPS_SLICE("t"), OPS_SLICE(""), ops_slice_str(rows[i].schema)};
        const ops_tools_request q = {.tools = &t, .n = 1, .choice = OPS_TOOLS_REQUIRED};
        setting s;
        begin(&s, TOOL_KIND_ARGS);
        ops_err err = {.msg = ""};
        assert_int_equal(plan(&s, &q, NULL), OPS_OK);
        if (compile(&s, &err) != OPS_OK)
            fail_msg("row %zu: %s\n%s", i, err.msg, s.p.ebnf.p);
        assert_true(takes(&s, rows[i].good));
        assert_false(takes(&s, rows[i].bad));
        end(&s);
    }
}

static void a_choice_of_none_says_nothing_of_tools(void **state)
{
    (void)state;
    setting s;
    begin(&s, TOOL_KIND_TAGGED);
    ops_tools_request q = request(OPS_TOOLS_NONE, 3, false);
    assert_int_equal(plan(&s, &q, NULL), OPS_OK);
    assert_true(s.p.n_tools == 0 && !s.p.call && s.p.ebnf.n == 0);
    ops_tools_plan_done(&s.p);
    q.choice = OPS_TOOLS_AUTO;
    q.strict = false;
    assert_int_equal(plan(&s, &q, NULL), OPS_OK);
    assert_true(s.p.n_tools == 3 && !s.p.call && s.p.ebnf.n == 0);
    end(&s);
}

static void survives_failed_allocations(void **state)
{
    (void)state;
    for (int k = 0; k < TOOL_KINDS; k++) {
        setting s;
        begin(&s, (tool_kind)k);
        const ops_tools_request q = request(OPS_TOOLS_REQUIRED, 1, true);
        const long live = ops_alloc_live();
        ops_status st = OPS_ENOMEM;
        for (long nth = 1; st != OPS_OK; nth++) {
            assert_true(nth < 100);
            ops_alloc_fail_at(nth);
            st = plan(&s, &q, NULL);
            ops_alloc_fail_at(0);
            assert_true(st == OPS_OK || (st == OPS_ENOMEM && s.p.n_tools == 0 && s.p.ebnf.p == NULL));
            ops_tools_plan_done(&s.p);
            assert_int_equal(ops_alloc_live(), live);
        }
        end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(takes_calls_that_fit_and_nothing_else),
        cmocka_unit_test(a_named_tool_is_the_only_one),
        cmocka_unit_test(what_is_written_under_a_form_is_found),
        cmocka_unit_test(refuses_by_name),
        cmocka_unit_test(names_a_keyword_that_is_not_built),
        cmocka_unit_test(arguments_are_an_object),
        cmocka_unit_test(a_choice_of_none_says_nothing_of_tools),
        cmocka_unit_test(survives_failed_allocations),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
