/* Requests and answers of a custom container's prediction route. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "coordinator/vertex/predict.h"

static void the_three_forms_of_an_instance(void **state)
{
    (void)state;
    OPS_AUTO(ops_predict_free) ops_predict *p = NULL;
    ops_err err;
    size_t n = 0;
    const char body[] = "{\"instances\":[\"a\",{\"content\":\"b\",\"task_type\":\"X\"},{\"text\":\"c\"}],"
                        "\"parameters\":{\"k\":1}}";
    assert_int_equal(ops_predict_read(ops_slice_str(body), &p, &err), OPS_OK);
    const ops_slice *t = ops_predict_texts(p, &n);
    assert_int_equal(n, 3);
    assert_true(ops_slice_eq(t[0], OPS_SLICE("a")) && ops_slice_eq(t[1], OPS_SLICE("b")) &&
                ops_slice_eq(t[2], OPS_SLICE("c")));
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"", "no JSON"},
                                          {"[]", "'instances'"},
                                          {"{\"instances\":{}}", "'instances'"},
                                          {"{\"instances\":[]}", "has 0"},
                                          {"{\"instances\":[\"a\",7]}", "instance 1"},
                                          {"{\"instances\":[\"\"]}", "instance 0"},
                                          {"{\"instances\":[{\"content\":[]}]}", "instance 0"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_predict *p = NULL;
        ops_err err = {0};
        assert_int_equal(ops_predict_read(ops_slice_str(rows[i][0]), &p, &err), OPS_EINVAL);
        assert_null(p);
        assert_non_null(strstr(err.msg, rows[i][1]));
    }
}

static void instances_may_ask_for_text(void **state)
{
    (void)state;
    OPS_AUTO(ops_predict_free) ops_predict *p = NULL;
    ops_err err = {0};
    size_t n = 0;
    const char body[] =
        "{\"instances\":[{\"prompt\":\"a\"},{\"messages\":[{\"role\":\"user\",\"content\":\"b\"}]}],"
        "\"parameters\":{\"temperature\":0.25,\"maxOutputTokens\":7,\"topP\":0.5,\"topK\":3,\"seed\":9,"
        "\"stopSequences\":[\"x\"],\"candidateCount\":1,\"responseMimeType\":\"application/json\"}}";
    if (ops_predict_read(ops_slice_str(body), &p, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    (void)ops_predict_texts(p, &n);
    assert_int_equal(n, 0);
    const ops_ask *a = ops_predict_asks(p, &n);
    assert_int_equal(n, 2);
    assert_string_equal(a[0].prompts[0], "a");
    assert_string_equal(a[1].task.messages[0]->content, "b");
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(ops_ask_tasks(&a[i]), 1);
        assert_true(a[i].sampling.temperature == 0.25f && a[i].sampling.top_p == 0.5f);
        assert_true(a[i].sampling.top_k == 3 && a[i].sampling.seeded && a[i].sampling.seed == 9);
        assert_int_equal(a[i].task.tokens_max, 7);
        assert_string_equal(a[i].task.stop[0], "x");
        assert_int_equal(a[i].task.form->form_case, OPS__V1__ANSWER_FORM__FORM_JSON_OBJECT);
    }
}

static void what_is_wrong_with_an_ask_is_named(void **state)
{
    (void)state;
#define ASK(more) "{\"instances\":[{\"prompt\":\"a\"}],\"parameters\":" more "}"
    static const char *const rows[][2] = {
        {"{\"instances\":[{\"prompt\":\"a\"},\"b\"]}", "instance 1 asks for a vector"},
        {"{\"instances\":[\"b\",{\"prompt\":\"a\"}]}", "instance 1 asks for text"},
        {"{\"instances\":[{\"prompt\":7}]}", "'instances[0].prompt'"},
        {"{\"instances\":[{\"prompt\":[\"a\",\"b\"]}]}", "'instances[0].prompt'"},
        {"{\"instances\":[{\"prompt\":\"a\",\"messages\":[]}]}", "'instances[0]' must have either"},
        {"{\"instances\":[{\"messages\":[{\"role\":\"x\"}]}]}", "'instances[0].messages[0].role'"},
        {"{\"instances\":[{\"prompt\":\"a\\u0000b\"}]}", "no JSON"},
        {ASK("7"), "'parameters' must be an object"},
        {ASK("{\"temperature\":3}"), "'parameters.temperature'"},
        {ASK("{\"maxOutputTokens\":0}"), "'parameters.maxOutputTokens'"},
        {ASK("{\"candidateCount\":2}"), "'parameters.candidateCount'"},
        {ASK("{\"stopSequences\":[]}"), "'parameters.stopSequences'"},
        {ASK("{\"responseMimeType\":\"text/x.enum\"}"), "'parameters.responseMimeType'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_predict *p = NULL;
        ops_err err = {0};
        assert_int_equal(ops_predict_read(ops_slice_str(rows[i][0]), &p, &err), OPS_EINVAL);
        assert_null(p);
        if (strstr(err.msg, rows[i][1]) == NULL)
            fail_msg("'%s' does not say %s", err.msg, rows[i][1]);
    }
}

static void text_is_a_prediction(void **state)
{
    (void)state;
    ops_strbuf b;
    ops_predict_written v[2] = {
        {.finish = OPS__V1__FINISH_REASON__FINISH_REASON_STOP, .prompt_tokens = 3, .tokens = 2},
        {.finish = OPS__V1__FINISH_REASON__FINISH_REASON_LENGTH, .prompt_tokens = 4, .tokens = 5}};
    ops_strbuf_init(&b, 4096);
    ops_strbuf_init(&v[0].text, 100);
    ops_strbuf_str(&v[0].text, "say \"x\"");
    ops_predict_answer_text(v, 2, &b);
    assert_string_equal(
        b.p, "{\"predictions\":[{\"content\":\"say \\\"x\\\"\",\"finishReason\":\"STOP\"},{"
             "\"content\":\"\",\"finishReason\":\"MAX_TOKENS\"}],\"metadata\":{\"tokenMetadata\":{"
             "\"inputTokenCount\":{\"totalTokens\":7},\"outputTokenCount\":{\"totalTokens\":7}}}}");
    ops_strbuf_done(&v[0].text);
    ops_strbuf_done(&b);
}

static void bounds_hold(void **state)
{
    (void)state;
    ops_predict *p = NULL;
    ops_err err;
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 20);
    ops_strbuf_str(&b, "{\"instances\":[\"x\"");
    for (int i = 0; i < OPS_PREDICT_INSTANCES_MAX; i++)
        ops_strbuf_str(&b, ",\"x\"");
    ops_strbuf_str(&b, "]}");
    assert_int_equal(ops_predict_read(ops_strbuf_get(&b), &p, &err), OPS_ETOOBIG);
    ops_strbuf_clear(&b);
    ops_strbuf_str(&b, "{\"instances\":[\"");
    for (int i = 0; i <= OPS_PREDICT_TEXT_BYTES_MAX; i++)
        ops_strbuf_char(&b, 'x');
    ops_strbuf_str(&b, "\"]}");
    assert_int_equal(ops_predict_read(ops_strbuf_get(&b), &p, &err), OPS_ETOOBIG);
    ops_strbuf_done(&b);
}

static void an_answer_has_a_prediction_an_instance(void **state)
{
    (void)state;
    const float v[] = {1, -0.5f, 2, 3};
    ops_strbuf b;
    ops_strbuf_init(&b, 4096);
    ops_predict_answer(v, 2, 2, &b);
    assert_string_equal(
        b.p,
        "{\"predictions\":[{\"embeddings\":{\"values\":[1,-0.5]}},{\"embeddings\":{\"values\":[2,3]}}]}");
    ops_strbuf_clear(&b);
    ops_predict_error("no \"x\"", &b);
    assert_string_equal(b.p, "{\"error\":\"no \\\"x\\\"\"}");
    ops_strbuf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_forms_of_an_instance),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(instances_may_ask_for_text),
        cmocka_unit_test(what_is_wrong_with_an_ask_is_named),
        cmocka_unit_test(text_is_a_prediction),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(an_answer_has_a_prediction_an_instance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
