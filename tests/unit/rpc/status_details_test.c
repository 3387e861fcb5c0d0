/* google.rpc.Status: golden bytes by hand from the field numbers, back and forth, and broken input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rpc/status_details.h"

static void the_bytes_are_the_protos(void **state)
{
    (void)state;
    /* code = 8, message = "full", details { type_url, value { retry_delay { seconds: 1, nanos: 500000000 } } } */
    static const char want[] =
        "\x08\x08\x12\x04"
        "full"
        "\x1a\x36\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x0a\x0a\x08\x08\x01\x10"
        "\x80\xca\xb5\xee\x01";
    const ops_rpc_details d = {.retry_ms = 1500};
    ops_strbuf b;
    ops_strbuf_init(&b, 4096);
    ops_rpc_status_put(8, OPS_SLICE("full"), &d, &b);
    assert_false(b.failed);
    assert_int_equal(b.n, sizeof want - 1);
    assert_memory_equal(b.p, want, b.n);
    ops_strbuf_done(&b);
}

static void what_is_put_is_got(void **state)
{
    (void)state;
    const ops_rpc_details d = {.retry_ms = 86400001,
                               .reason = "INGEST_FULL",
                               .domain = "opsd",
                               .field = "page_size",
                               .problem = "must not be negative"};
    ops_rpc_details got;
    ops_strbuf b;
    ops_strbuf_init(&b, 4096);
    ops_rpc_status_put(3, OPS_SLICE("no"), &d, &b);
    assert_true(ops_rpc_status_get(ops_strbuf_get(&b), &got));
    assert_memory_equal(&d, &got, sizeof d);
    /* Every cut of it is read or refused, and never reads beyond its end (the sanitizers watch). */
    for (size_t n = 0; n < b.n; n++)
        (void)ops_rpc_status_get(ops_slice_of(b.p, n), &got);
    for (size_t i = 0; i < b.n; i++) {
        b.p[i] = (char)(b.p[i] ^ 0x80);
        (void)ops_rpc_status_get(ops_strbuf_get(&b), &got);
        b.p[i] = (char)(b.p[i] ^ 0x80);
    }
    ops_strbuf_done(&b);
    assert_false(ops_rpc_status_get(OPS_SLICE("\x1a\x05xx"), &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_bytes_are_the_protos),
                                       cmocka_unit_test(what_is_put_is_got)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
