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

/* RFC 4231, test cases 2 and 3. */
static void hmac_known(void **state)
{
    (void)state;
    uint8_t d[OPS_DIGEST_BYTES];
    char key[20], data[50];
    memset(key, 0xaa, sizeof key);
    memset(data, 0xdd, sizeof data);
    assert_int_equal(ops_digest_hmac_sha256(OPS_SLICE("Jefe"), OPS_SLICE("what do ya want for nothing?"), d),
                     OPS_OK);
    expect_hex(d, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_int_equal(
        ops_digest_hmac_sha256(ops_slice_of(key, sizeof key), ops_slice_of(data, sizeof data), d), OPS_OK);
    expect_hex(d, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    assert_int_equal(ops_digest_hmac_sha256((ops_slice){0}, OPS_SLICE("x"), d), OPS_EINVAL);
}

static void equal_compares_all_bytes(void **state)
{
    (void)state;
    uint8_t a[4] = {1, 2, 3, 4}, b[4] = {1, 2, 3, 5};
    assert_true(ops_digest_equal(a, a, 4));
    assert_false(ops_digest_equal(a, b, 4));
    assert_true(ops_digest_equal(a, b, 3));
}

static void pieces_make_the_same_hash(void **state)
{
    (void)state;
    char hex[2 * OPS_DIGEST_BYTES + 1];
    OPS_AUTO(ops_digest_free) ops_digest_stream *s = NULL;
    assert_int_equal(ops_digest_open(OPS_DIGEST_SHA256, &s), OPS_OK);
    assert_int_equal(ops_digest_add(s, OPS_SLICE("a")), OPS_OK);
    assert_int_equal(ops_digest_add(s, (ops_slice){0}), OPS_OK);
    assert_int_equal(ops_digest_add(s, OPS_SLICE("bc")), OPS_OK);
    assert_int_equal(ops_digest_end_hex(s, hex), OPS_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void sha1_known(void **state)
{
    (void)state;
    char hex[2 * OPS_DIGEST_BYTES + 1];
    OPS_AUTO(ops_digest_free) ops_digest_stream *s = NULL;
    assert_int_equal(ops_digest_open(OPS_DIGEST_SHA1, &s), OPS_OK);
    assert_int_equal(ops_digest_add(s, OPS_SLICE("abc")), OPS_OK);
    assert_int_equal(ops_digest_end_hex(s, hex), OPS_OK);
    assert_string_equal(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_known), cmocka_unit_test(keyed_known),
        cmocka_unit_test(hmac_known),   cmocka_unit_test(pieces_make_the_same_hash),
        cmocka_unit_test(sha1_known),   cmocka_unit_test(equal_compares_all_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
