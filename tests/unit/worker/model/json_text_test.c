/* JSON as text. What is written is what Python 3.11 says: json.dumps(json.loads(t), ensure_ascii=False[, indent=4]). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "worker/model/json_text.h"

static void writes_as_python_does(void **state)
{
    (void)state;
    static const struct {
        const char *json, *line, *four;
    } rows[] = {
        {"{}", "{}", "{}"},
        {" { \"a\" : [ ] , \"b\":{ } }\n", "{\"a\": [], \"b\": {}}", "{\n    \"a\": [],\n    \"b\": {}\n}"},
        {"{\"a\":[1,-2,true,null,\"x, y: {z}\"]}", "{\"a\": [1, -2, true, null, \"x, y: {z}\"]}",
         "{\n    \"a\": [\n        1,\n        -2,\n        true,\n        null,\n        \"x, y: {z}\"\n    "
         "]\n}"},
        {"{\"\\u00e9\\ud83d\\udd25\\/\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u001f\\u007f\"}",
         "{\"\xc3\xa9\xf0\x9f\x94\xa5/\": \"\\\"\\\\\\b\\f\\n\\r\\t\\u001f\x7f\"}",
         "{\n    \"\xc3\xa9\xf0\x9f\x94\xa5/\": \"\\\"\\\\\\b\\f\\n\\r\\t\\u001f\x7f\"\n}"},
        {"{\"a\":{\"b\":{\"c\":[[1]]}}}", "{\"a\": {\"b\": {\"c\": [[1]]}}}",
         "{\n    \"a\": {\n        \"b\": {\n            \"c\": [\n                [\n                    "
         "1\n        "
         "        ]\n            ]\n        }\n    }\n}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (unsigned indent = 0; indent <= 4; indent += 4) {
            ops_strbuf b;
            ops_strbuf_init(&b, 1000);
            assert_int_equal(ops_json_text_check(ops_slice_str(rows[i].json), NULL), OPS_OK);
            ops_json_text_write(&b, ops_slice_str(rows[i].json), indent);
            assert_string_equal(b.p, indent == 0 ? rows[i].line : rows[i].four);
            ops_strbuf_done(&b);
        }
}

/* A model may write them, and what it wrote comes back with the next request. */
static void takes_keys_twice_and_escaped_nul(void **state)
{
    (void)state;
    const ops_slice json = OPS_SLICE("{\"a\":\"\\u0000\",\"a\":2}");
    ops_slice value;
    ops_strbuf b;
    ops_strbuf_init(&b, 1000);
    assert_int_equal(ops_json_text_check(json, NULL), OPS_OK);
    assert_true(ops_json_text_member(json, "a", &value) && value.n == 8);
    ops_json_text_write(&b, json, 0);
    assert_string_equal(b.p, "{\"a\": \"\\u0000\", \"a\": 2}");
    ops_strbuf_done(&b);
}

static void leaves_numbers_as_they_are(void **state)
{
    (void)state;
    ops_strbuf b;
    ops_strbuf_init(&b, 1000);
    ops_json_text_write(&b, OPS_SLICE("{\"a\":1.50,\"b\":1E2,\"c\":0.1}"), 0);
    assert_string_equal(b.p, "{\"a\": 1.50, \"b\": 1E2, \"c\": 0.1}");
    ops_strbuf_done(&b);
}

static void refuses_what_is_no_object(void **state)
{
    (void)state;
    char deep[2 * OPS_JSON_DEPTH_MAX + 16] = "{\"a\":";
    size_t n = strlen(deep);
    memset(deep + n, '[', OPS_JSON_DEPTH_MAX);
    memset(deep + n + OPS_JSON_DEPTH_MAX, ']', OPS_JSON_DEPTH_MAX);
    n += (size_t)2 * OPS_JSON_DEPTH_MAX;
    deep[n++] = '}';
    const struct {
        ops_slice json;
        ops_status st;
        const char *part;
    } rows[] = {
        {OPS_SLICE(""), OPS_EINVAL, "no JSON at line 1"},
        {OPS_SLICE("[]"), OPS_EINVAL, "a JSON object is wanted"},
        {OPS_SLICE("{\"a\":1,}"), OPS_EINVAL, "line 1 column 8"},
        {OPS_SLICE("{\"a\":1,\n\"a\" 2}"), OPS_EINVAL, "line 2"},
        {OPS_SLICE("{\"a\":\"\xff\"}"), OPS_EINVAL, "no JSON"},
        {OPS_SLICE("{\"\\u0000\":1}"), OPS_EINVAL, "no JSON"},
        {OPS_SLICE("{} x"), OPS_EINVAL, "no JSON"},
        {ops_slice_of(deep, n), OPS_ETOOBIG, "deeper than 128"},
        {ops_slice_of(deep, OPS_JSON_TEXT_MAX + 1), OPS_ETOOBIG, "at most 1048576"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_err err;
        assert_int_equal(ops_json_text_check(rows[i].json, &err), rows[i].st);
        if (strstr(err.msg, rows[i].part) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", err.msg, rows[i].part);
    }
    deep[n - 2] = '}';
    assert_int_equal(ops_json_text_check(ops_slice_of(deep + 5, OPS_JSON_DEPTH_MAX * 2), NULL), OPS_EINVAL);
}

static void looks_into_objects_and_arrays(void **state)
{
    (void)state;
    ops_slice value = {0}, key = {0},
              rest = OPS_SLICE(" { \"a\" : \"x\\\"},\" ,\"b\":[1, {\"c\":2}], \"d\" :null }");
    static const char *const want[] = {"\"a\"", "\"x\\\"},\"", "\"b\"", "[1, {\"c\":2}]", "\"d\"", "null"};
    const ops_slice object = rest;
    size_t n = 0;
    for (; n + 1 < 6 && ops_json_text_next(&rest, &key, &value); n += 2) {
        assert_true(ops_slice_eq(key, ops_slice_str(want[n])));
        assert_true(ops_slice_eq(value, ops_slice_str(want[n + 1])));
    }
    assert_int_equal(n, 6);
    assert_false(ops_json_text_next(&rest, &key, &value));
    assert_true(ops_json_text_member(object, "d", &value) && ops_slice_eq(value, OPS_SLICE("null")));
    assert_false(ops_json_text_member(object, "c", &value));
    rest = OPS_SLICE("[ \"a\" , 12,[] ]");
    static const char *const items[] = {"\"a\"", "12", "[]"};
    for (n = 0; n < 3 && ops_json_text_next(&rest, &key, &value); n++)
        assert_true(key.n == 0 && ops_slice_eq(value, ops_slice_str(items[n])));
    assert_int_equal(n, 3);
    assert_false(ops_json_text_next(&rest, &key, &value));
    rest = OPS_SLICE("{ }");
    assert_false(ops_json_text_next(&rest, &key, &value));
    rest = OPS_SLICE("[]");
    assert_false(ops_json_text_next(&rest, &key, &value));
}

static void finds_the_end_as_bytes_come(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        ops_json_step last;
        size_t at; /* of the byte that decides */
    } rows[] = {
        {"{}x", OPS_JSON_ENDS, 1},       {"[{\"a\":\"]}\\\"}\"}]]", OPS_JSON_ENDS, 14},
        {"\"a\\\\\"", OPS_JSON_ENDS, 4}, {"{\"a\":1", OPS_JSON_GOES_ON, 5},
        {"{]", OPS_JSON_BROKEN, 1},      {"{\"a\n", OPS_JSON_BROKEN, 3},
        {"{<", OPS_JSON_BROKEN, 1},      {"x", OPS_JSON_BROKEN, 0},
        {"}", OPS_JSON_BROKEN, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_json_scan s = {0};
        ops_json_step step = OPS_JSON_GOES_ON;
        size_t at = 0;
        while (rows[i].text[at] != '\0' &&
               (step = ops_json_scan_put(&s, rows[i].text[at])) == OPS_JSON_GOES_ON)
            at++;
        assert_int_equal(step, rows[i].last);
        assert_int_equal(at - (rows[i].text[at] == '\0'), rows[i].at);
    }
    ops_json_scan s = {0};
    for (int i = 0; i < OPS_JSON_DEPTH_MAX; i++)
        assert_int_equal(ops_json_scan_put(&s, '['), OPS_JSON_GOES_ON);
    assert_int_equal(ops_json_scan_put(&s, '['), OPS_JSON_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_as_python_does),
        cmocka_unit_test(leaves_numbers_as_they_are),
        cmocka_unit_test(takes_keys_twice_and_escaped_nul),
        cmocka_unit_test(refuses_what_is_no_object),
        cmocka_unit_test(looks_into_objects_and_arrays),
        cmocka_unit_test(finds_the_end_as_bytes_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
