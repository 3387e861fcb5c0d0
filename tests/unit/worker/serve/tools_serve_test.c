/* Calls of tools, from the request to what is told, with a model that writes nonsense: where a form leaves it no choice it calls
 * all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "tests/support/gate_engine.h"
#include "worker/serve/request.h"
#include "worker/serve/runner.h"

#define TEXT(s) ((char *)(uintptr_t)(s))
enum { TOOLS = 2 };

/* Short, all of it: a context of the model has 512 tokens, most of them of one letter. */
static const char schema[] = "{\"enum\":[{\"u\":1},{\"u\":2}]}";

typedef struct asked {
    atomic_int dones;
    int calls, tells;
    char name[64], arguments[256], id[64], text[4096], message[256];
    ops_status status;
    Ops__V1__FinishReason reason;
} asked;

static void on_tell(void *ctx, const Ops__V1__GenerateDelta *d)
{
    asked *a = ctx;
    a->tells++;
    const size_t n = strlen(a->text);
    (void)snprintf(a->text + n, sizeof a->text - n, "%s", d->text);
    for (size_t i = 0; i < d->n_tool_calls; i++) {
        a->calls++;
        (void)snprintf(a->name, sizeof a->name, "%s", d->tool_calls[i]->name);
        (void)snprintf(a->arguments, sizeof a->arguments, "%s", d->tool_calls[i]->arguments);
        (void)snprintf(a->id, sizeof a->id, "%s", d->tool_calls[i]->id);
    }
}
static void on_done(void *ctx, const ops_runner_generated *r)
{
    asked *a = ctx;
    a->status = r->status;
    a->reason = r->end != NULL ? r->end->finish_reason : OPS__V1__FINISH_REASON__FINISH_REASON_UNSPECIFIED;
    (void)snprintf(a->message, sizeof a->message, "%s", r->message);
    atomic_fetch_add(&a->dones, 1);
}
static int dones(void *a)
{
    return atomic_load(&((asked *)a)->dones);
}

typedef struct conversation {
    Ops__V1__GenerateTask task;
    Ops__V1__ChatMessage m[3], *messages[3];
    Ops__V1__ToolCall call, *calls[1];
    Ops__V1__Tool tool[TOOLS], *tools[TOOLS];
} conversation;

/* Asked, called before, answered. */
static void make(conversation *c)
{
    static const char *const roles[] = {"user", "assistant", "tool"}, *const says[] = {"t?", "", "9"};
    ops__v1__generate_task__init(&c->task);
    for (int i = 0; i < 3; i++) {
        ops__v1__chat_message__init(c->messages[i] = &c->m[i]);
        c->m[i].role = TEXT(roles[i]);
        c->m[i].content = TEXT(says[i]);
    }
    ops__v1__tool_call__init(c->calls[0] = &c->call);
    c->call.id = c->m[2].tool_call_id = TEXT("call_1");
    c->call.name = TEXT("t");
    c->call.arguments = TEXT("{}");
    c->m[1].n_tool_calls = 1;
    c->m[1].tool_calls = c->calls;
    for (int i = 0; i < TOOLS; i++) {
        ops__v1__tool__init(c->tools[i] = &c->tool[i]);
        c->tool[i].name = TEXT(i == 0 ? "t" : "go");
        c->tool[i].parameters = TEXT(schema);
    }
    c->task.n_messages = 3;
    c->task.messages = c->messages;
    c->task.n_tools = TOOLS;
    c->task.tools = c->tools;
    c->task.tokens_max = 0; /* what the context leaves */
}

static ops_runner *open_runner(void)
{
    ops_runner *r = NULL;
    ops_generator *g = NULL;
    ops_err err;
    const ops_generator_conf conf = {.path = "tests/golden/lm/writer.gguf", .threads = 1, .seqs_max = 2};
    if (ops_generator_open(&conf, &g, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    ops_writer *w = ops_writer_over(g);
    assert_non_null(w);
    assert_int_equal(ops_runner_new(NULL, 0, NULL, &r, NULL), OPS_OK);
    assert_int_equal(ops_runner_add(r, NULL, w, NULL), OPS_OK);
    return r;
}
static void ask(ops_runner *r, asked *a, const conversation *c)
{
    ops_runner_writing *writing;
    memset(a, 0, sizeof *a);
    const ops_runner_listener l = {on_tell, on_done, NULL, a};
    assert_int_equal(ops_runner_generate(r, 0, &c->task, 60000, &l, &writing, NULL), OPS_OK);
    assert_true(gate_until(dones, a, 1));
}

static void a_call_that_must_come_comes_whole(void **state)
{
    (void)state;
    conversation c;
    asked a;
    ops_runner *r = open_runner();
    make(&c);
    c.task.tool_choice = OPS__V1__TOOL_CHOICE__TOOL_CHOICE_REQUIRED;
    c.task.tool = TEXT("go");
    for (int stream = 0; stream < 2; stream++) {
        c.task.stream = stream;
        ask(r, &a, &c);
        if (a.status != OPS_OK)
            fail_msg("%s", a.message);
        assert_int_equal(a.reason, OPS__V1__FINISH_REASON__FINISH_REASON_TOOL_CALLS);
        assert_true(a.calls >= 1);
        assert_string_equal(a.name, "go");
        assert_true(strstr(a.arguments, "\"u\"") != NULL);
        assert_int_equal(strncmp(a.id, "call_", 5), 0);
        assert_string_equal(a.text, "");
    }
    char first[64];
    memcpy(first, a.id, sizeof first);
    ask(r, &a, &c);
    assert_string_not_equal(a.id, first); /* ids of a conversation differ, whatever the seed */
    ops_runner_free(r);
    assert_int_equal(ops_alloc_live(), 0);
}

/* The form of the answer has room for more calls, or not. */
static void one_call_is_all_where_one_is_wanted(void **state)
{
    (void)state;
    conversation c;
    ops_generator *g = NULL;
    const ops_generator_conf conf = {.path = "tests/golden/lm/writer.gguf", .threads = 1, .seqs_max = 2};
    assert_int_equal(ops_generator_open(&conf, &g, NULL), OPS_OK);
    ops_writer *w = ops_writer_over(g);
    assert_non_null(w);
    make(&c);
    c.task.tool_choice = OPS__V1__TOOL_CHOICE__TOOL_CHOICE_REQUIRED;
    for (int one = 0; one < 2; one++) {
        ops_request q;
        c.task.one_call = one;
        assert_int_equal(ops_request_read(&c.task, w, &q, NULL), OPS_OK);
        assert_int_equal(strstr(q.plan.ebnf.p, "){0,") == NULL, one);
        ops_request_done(&q);
    }
    ops_writer_free(w);
    assert_int_equal(ops_alloc_live(), 0);
}

static void no_call_where_none_is_wanted(void **state)
{
    (void)state;
    conversation c;
    asked none, plain;
    ops_runner *r = open_runner();
    make(&c);
    c.task.tool_choice = OPS__V1__TOOL_CHOICE__TOOL_CHOICE_NONE;
    ask(r, &none, &c);
    assert_int_equal(none.status, OPS_OK);
    assert_int_equal(none.calls, 0);
    assert_true(none.reason != OPS__V1__FINISH_REASON__FINISH_REASON_TOOL_CALLS);
    c.task.n_tools = 0;
    ask(r, &plain, &c);
    assert_string_equal(none.text, plain.text); /* the prompt does not speak of tools */
    c.task.n_tools = TOOLS;
    c.task.tool_choice = OPS__V1__TOOL_CHOICE__TOOL_CHOICE_AUTO;
    ask(r, &none, &c);
    assert_int_equal(none.status, OPS_OK);
    assert_true(none.calls == 0 &&
                strlen(none.text) > 0); /* nonsense is text, and is not held back for good */
    ops_runner_free(r);
    assert_int_equal(ops_alloc_live(), 0);
}

static void what_can_not_be_called_is_refused(void **state)
{
    (void)state;
    conversation c;
    asked a;
    ops_runner *r = open_runner();
    Ops__V1__AnswerForm form = OPS__V1__ANSWER_FORM__INIT;
    form.form_case = OPS__V1__ANSWER_FORM__FORM_JSON_OBJECT;
    form.json_object = true;
    make(&c);
    c.task.tool_choice = OPS__V1__TOOL_CHOICE__TOOL_CHOICE_REQUIRED;
    c.task.tool = TEXT("explode");
    ask(r, &a, &c);
    assert_int_equal(a.status, OPS_EINVAL);
    assert_non_null(strstr(a.message, "explode"));
    c.task.tool = TEXT("");
    c.task.form = &form;
    ask(r, &a, &c);
    assert_int_equal(a.status, OPS_EINVAL);
    assert_non_null(strstr(a.message, "form"));
    c.task.form = NULL;
    c.tool[1].name = TEXT("t");
    ask(r, &a, &c);
    assert_int_equal(a.status, OPS_EINVAL); /* two of one name */
    make(&c);
    c.task.n_tools = 0;
    c.task.tool_choice = OPS__V1__TOOL_CHOICE__TOOL_CHOICE_REQUIRED;
    ask(r, &a, &c);
    assert_int_equal(a.status, OPS_EINVAL);
    ops_runner_free(r);
    assert_int_equal(ops_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_must_come_comes_whole),
        cmocka_unit_test(one_call_is_all_where_one_is_wanted),
        cmocka_unit_test(no_call_where_none_is_wanted),
        cmocka_unit_test(what_can_not_be_called_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
