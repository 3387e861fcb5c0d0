/* Expected values: FIPS 180-4 examples and an independent keyed BLAKE2b (Python's hashlib). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text/codec.h"
#include "coordinator/digest/digest.h"

static void expect_hex(const uint8_t *got, const char *want)
{
    char hex[2 * OPS_DIGEST_BYTES + 1];
    ops_hex_put(hex, got, OPS_DIGEST_BYTES);
    assert_string_equal(hex, want);
}

static void sha256_known(void **state)
{
    (void)state;
    uint8_t d[OPS_DIGEST_BYTES];
    assert_int_equal(ops_digest_sha256(OPS_SLICE("abc"), d), OPS_OK);
    expect_hex(d, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(ops_digest_sha256((ops_slice){0}, d), OPS_OK);
    expect_hex(d, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void keyed_known(void **state)
{
    (void)state;
    uint8_t d[OPS_DIGEST_BYTES];
    assert_int_equal(ops_digest_keyed(OPS_SLICE("0123456789abcdef"), OPS_SLICE("joe@example.com"), d),
                     OPS_OK);
    expect_hex(d, "945969a73ebca63ce01bdb93a3ba702bd376ee9f7a20410e6b349e03ea73f7fc");
    assert_int_equal(ops_digest_keyed(OPS_SLICE("short"), OPS_SLICE("x"), d), OPS_EINVAL);
}

static void equal_compares_all_bytes(void **state)
{
    (void)state;
    uint8_t a[4] = {1, 2, 3, 4}, b[4] = {1, 2, 3, 5};
    assert_true(ops_digest_equal(a, a, 4));
    assert_false(ops_digest_equal(a, b, 4));
    assert_true(ops_digest_equal(a, b, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_known),
        cmocka_unit_test(keyed_known),
        cmocka_unit_test(equal_compares_all_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
