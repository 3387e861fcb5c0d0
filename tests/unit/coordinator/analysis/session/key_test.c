/* Keys of sessions in messages: names and notations; what only looks like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/analysis/session/key.h"

static void keys_are_found_in_their_notations(void **state)
{
    (void)state;
    static const struct {
        const char *message, *key;
    } cases[] = {
        {"request_id=9f2c01 GET /a", "9f2c01"},
        {"took 5 ms, trace_id=4bf92f3577b34da6a3ce929d0e0e4736 done", "4bf92f3577b34da6a3ce929d0e0e4736"},
        {"{\"level\":\"info\",\"traceId\": \"4bf92f35\",\"msg\":\"x\"}", "4bf92f35"},
        {"X-Request-ID: 7d1f-22, next", "7d1f-22"},
        {"correlation.id='ab12cd' ok", "ab12cd"},
        {"[job id = nightly/2026-08-01] began", "nightly/2026-08-01"},
        {"requestid=abcd sessionid=efgh", "abcd"},
        {"a=1 b=2 reqId=zz-9_.x", "zz-9_.x"},
        {"request_id=abc", ""}, /* too short to tell sessions apart */
        {"bid=123456", ""},     /* no session's */
        {"user_id=12345678", ""},
        {"prerequest_id=12345678", ""},
        {"request_id 12345678", ""},
        {"request_id=", ""},
        {"id=12345678", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ops_slice key = ops_session_key(ops_slice_str(cases[i].message));
        if (key.n != strlen(cases[i].key) || memcmp(key.p, cases[i].key, key.n) != 0)
            fail_msg("%s: found '" OPS_SLICE_FMT "'", cases[i].message, OPS_SLICE_ARG(key));
    }
}

static void names_of_attributes(void **state)
{
    (void)state;
    assert_true(ops_session_key_name(OPS_SLICE("http.request_id")));
    assert_true(ops_session_key_name(OPS_SLICE("TraceID")));
    assert_false(ops_session_key_name(OPS_SLICE("request_ids")));
    assert_false(ops_session_key_name(OPS_SLICE("uuid")));
    assert_false(ops_session_key_name(ops_slice_of("", 0)));
}

static void looks_and_keys_are_bounded(void **state)
{
    (void)state;
    static char text[4 * OPS_SESSION_KEY_LOOK_MAX];
    static const char late[] = "request_id=12345678", begun[] = "request_id=";
    memset(text, ' ', sizeof text);
    memcpy(text + OPS_SESSION_KEY_LOOK_MAX, late, sizeof late - 1);
    assert_int_equal(ops_session_key(ops_slice_of(text, sizeof text)).n, 0);
    memset(text, 'x', sizeof text);
    memcpy(text, begun, sizeof begun - 1);
    assert_int_equal(ops_session_key(ops_slice_of(text, sizeof text)).n, OPS_SESSION_KEY_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_found_in_their_notations),
        cmocka_unit_test(names_of_attributes),
        cmocka_unit_test(looks_and_keys_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
