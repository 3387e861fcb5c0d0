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
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(an_answer_has_a_prediction_an_instance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
