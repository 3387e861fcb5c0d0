/* Slices, buffers, UTF-8, hashes, codecs: expected values from the RFCs named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "base/text/hash.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"
#include "base/text/utf8.h"

static void split_keeps_empty_parts(void **state)
{
    (void)state;
    ops_slice rest = OPS_SLICE("a,,b"), part;
    assert_true(ops_slice_split(&rest, ',', &part) && ops_slice_eq(part, OPS_SLICE("a")));
    assert_true(ops_slice_split(&rest, ',', &part) && part.n == 0);
    assert_true(ops_slice_split(&rest, ',', &part) && ops_slice_eq(part, OPS_SLICE("b")));
    assert_false(ops_slice_split(&rest, ',', &part));
}

static void numbers_at_their_limits(void **state)
{
    (void)state;
    uint64_t u;
    int64_t i;
    double d;
    assert_true(ops_slice_to_u64(OPS_SLICE("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_false(ops_slice_to_u64(OPS_SLICE("18446744073709551616"), &u));
    assert_false(ops_slice_to_u64(OPS_SLICE(""), &u));
    assert_false(ops_slice_to_u64(OPS_SLICE("1 "), &u));
    assert_true(ops_slice_to_i64(OPS_SLICE("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_false(ops_slice_to_i64(OPS_SLICE("9223372036854775808"), &i));
    assert_true(ops_slice_to_f64(OPS_SLICE("-1.5e3"), &d));
    assert_true(d > -1500.1 && d < -1499.9);
    assert_false(ops_slice_to_f64(OPS_SLICE("nan"), &d));
    assert_false(ops_slice_to_f64(OPS_SLICE("1.5x"), &d));
}

static void a_buffer_stops_at_its_maximum(void **state)
{
    (void)state;
    ops_strbuf b;
    ops_strbuf_init(&b, 5);
    ops_strbuf_str(&b, "hello");
    assert_false(b.failed);
    ops_strbuf_char(&b, '!');
    assert_true(b.failed);
    assert_null(ops_strbuf_take(&b));
    ops_strbuf_printf(&b, "%d", 42);
    OPS_AUTO(ops_free_str) char *s = ops_strbuf_take(&b);
    assert_string_equal(s, "42");
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    ops_strbuf b;
    ops_strbuf_init(&b, 1000);
    ops_strbuf_json(&b, ops_slice_of("a\"\\\n\x01\xFFz\xE4\xB8\xAD", 10));
    OPS_AUTO(ops_free_str) char *s = ops_strbuf_take(&b);
    assert_string_equal(s, "\"a\\\"\\\\\\n\\u0001\xEF\xBF\xBDz\xE4\xB8\xAD\"");
}

/* RFC 3629 section 4 and its security considerations: overlong, surrogate, past U+10FFFF. */
static void utf8_follows_rfc3629(void **state)
{
    (void)state;
    assert_true(ops_utf8_valid(OPS_SLICE("plain \xC2\xA2 \xE2\x82\xAC \xF0\x9F\x98\x80")));
    assert_false(ops_utf8_valid(OPS_SLICE("\xC0\x80")));
    assert_false(ops_utf8_valid(OPS_SLICE("\xE0\x80\xAF")));
    assert_false(ops_utf8_valid(OPS_SLICE("\xED\xA0\x80")));
    assert_false(ops_utf8_valid(OPS_SLICE("\xF4\x90\x80\x80")));
    assert_false(ops_utf8_valid(OPS_SLICE("12345678\xE2\x82")));
    ops_strbuf b;
    ops_strbuf_init(&b, 100);
    ops_utf8_clean(&b, OPS_SLICE("a\xFF\xE2\x82"
                                 "b"));
    OPS_AUTO(ops_free_str) char *s = ops_strbuf_take(&b);
    assert_string_equal(s, "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
                           "b");
    ops_utf8_clean(&b, ops_slice_of("\0a\0", 3));
    OPS_AUTO(ops_free_str) char *t = ops_strbuf_take(&b);
    assert_string_equal(t, "\xEF\xBF\xBD"
                           "a\xEF\xBF\xBD");
}

/* RFC 3720 appendix B.4: CRC-32C of 32 zero bytes and of 0..31. */
static void crc32c_matches_rfc3720(void **state)
{
    (void)state;
    unsigned char zeros[32] = {0}, up[32];
    for (unsigned i = 0; i < 32; i++)
        up[i] = (unsigned char)i;
    assert_int_equal(ops_crc32c(zeros, 32, 0), 0x8A9136AA);
    assert_int_equal(ops_crc32c(up, 32, 0), 0x46DD794E);
    assert_int_equal(ops_crc32c(up + 7, 25, ops_crc32c(up, 7, 0)), 0x46DD794E);
}

static void hashes_depend_on_every_byte_length_and_seed(void **state)
{
    (void)state;
    char text[40] = "the quick brown fox jumps over the lazy";
    uint64_t h = ops_hash64(text, 39, 0);
    assert_true(h == ops_hash64(text, 39, 0));
    assert_true(h != ops_hash64(text, 38, 0));
    assert_true(h != ops_hash64(text, 39, 1));
    for (int i = 0; i < 39; i++) {
        text[i] ^= 1;
        assert_true(h != ops_hash64(text, 39, 0));
        text[i] ^= 1;
    }
}

static void varints_round_trip_and_refuse_overflow(void **state)
{
    (void)state;
    const uint64_t values[] = {0, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint8_t buf[OPS_VARINT_BYTES_MAX];
        size_t n = ops_varint_put(buf, values[i]);
        const uint8_t *p = buf;
        uint64_t v = 0;
        assert_true(ops_varint_get(&p, buf + n, &v) && v == values[i] && p == buf + n);
        p = buf;
        assert_false(ops_varint_get(&p, buf + n - 1, &v));
    }
    const uint8_t over[] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02};
    const uint8_t *p = over;
    uint64_t v = 0;
    assert_false(ops_varint_get(&p, over + sizeof over, &v));
    assert_true(ops_unzigzag(ops_zigzag(INT64_MIN)) == INT64_MIN);
    char hex[9];
    ops_hex_put(hex, "\x00\xAB\x10\xFF", 4);
    assert_string_equal(hex, "00ab10ff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_keeps_empty_parts),
        cmocka_unit_test(numbers_at_their_limits),
        cmocka_unit_test(a_buffer_stops_at_its_maximum),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(utf8_follows_rfc3629),
        cmocka_unit_test(crc32c_matches_rfc3720),
        cmocka_unit_test(hashes_depend_on_every_byte_length_and_seed),
        cmocka_unit_test(varints_round_trip_and_refuse_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
