#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "worker/model/gguf.h"

/* A file under construction; the layout is that of the format's own description. */
static char file[1 << 16];
static size_t len;

static void raw(uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        file[len++] = (char)(i < 8 ? v >> (8 * i) : 0);
}

static void text(const char *s)
{
    raw(strlen(s), 8);
    memcpy(file + len, s, strlen(s));
    len += strlen(s);
}

static void start(uint32_t version, uint64_t tensors, uint64_t keys)
{
    len = 0;
    memset(file, 0, sizeof file);
    memcpy(file, "GGUF", 4);
    len = 4;
    raw(version, 4);
    raw(tensors, 8);
    raw(keys, 8);
}

static void key(const char *name, uint32_t kind)
{
    text(name);
    raw(kind, 4);
}

static void tensor(const char *name, uint64_t d0, uint64_t d1, uint32_t type, uint64_t offset)
{
    text(name);
    raw(d1 > 0 ? 2 : 1, 4);
    raw(d0, 8);
    if (d1 > 0)
        raw(d1, 8);
    raw(type, 4);
    raw(offset, 8);
}

static void data(size_t bytes)
{
    len = (len + 31) / 32 * 32;
    for (size_t i = 0; i < bytes; i++)
        file[len++] = (char)i;
}

static void refused(ops_status want, const char *part)
{
    ops_gguf *g = NULL;
    ops_err err;
    const ops_status st = ops_gguf_parse(ops_slice_of(file, len), &g, &err);
    if (st == OPS_OK)
        ops_gguf_free(g);
    assert_int_equal(st, want);
    assert_null(g);
    if (strstr(err.msg, part) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.msg, part);
}

/* Every kind of value, and arrays of texts and of arrays. */
static void sample(uint32_t version)
{
    start(version, 3, 15);
    key("a.u8", 0), raw(200, 1);
    key("a.i8", 1), raw(0xfe, 1);
    key("a.u16", 2), raw(65535, 2);
    key("a.i16", 3), raw(0x8000, 2);
    key("a.u32", 4), raw(4000000000u, 4);
    key("a.i32", 5), raw(0xffffffffu, 4);
    key("a.f32", 6), raw(0x3fc00000u, 4); /* 1.5 */
    key("a.bool", 7), raw(1, 1);
    key("a.text", 8), text("llama");
    key("a.texts", 9), raw(8, 4), raw(3, 8), text("x"), text(""), text("yz");
    key("a.u64", 10), raw(UINT64_MAX, 8);
    key("a.i64", 11), raw((uint64_t)INT64_MIN, 8);
    key("a.f64", 12), raw(0xc000000000000000u, 8); /* -2.0 */
    key("a.nested", 9), raw(9, 4), raw(2, 8), raw(5, 4), raw(2, 8), raw(7, 4), raw(0xfffffff8u, 4), raw(8, 4),
        raw(0, 8);
    key("general.alignment", 4), raw(32, 4);
    tensor("w", 4, 3, 0, 0);      /* 48 bytes of F32 */
    tensor("q", 64, 2, 3, 64);    /* 4 blocks of Q4_1 */
    tensor("k", 256, 0, 14, 160); /* 1 block of Q6_K */
    data(160 + 210);
}

static void reads_values_of_every_kind(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        sample(version);
        OPS_AUTO(ops_gguf_free) ops_gguf *g = NULL;
        assert_int_equal(ops_gguf_parse(ops_slice_of(file, len), &g, NULL), OPS_OK);
        assert_int_equal(ops_gguf_version(g), version);
        assert_int_equal(ops_gguf_keys(g), 15);
        uint64_t u = 0;
        double f = 0;
        bool b = false;
        ops_slice s;
        assert_true(ops_gguf_u64(g, "a.u8", &u) && u == 200);
        assert_true(ops_gguf_u64(g, "a.u16", &u) && u == 65535);
        assert_true(ops_gguf_u64(g, "a.u32", &u) && u == 4000000000u);
        assert_true(ops_gguf_u64(g, "a.u64", &u) && u == UINT64_MAX);
        assert_false(ops_gguf_u64(g, "a.i8", &u)); /* negative */
        assert_int_equal(ops_gguf_find(g, "a.i8")->i, -2);
        assert_int_equal(ops_gguf_find(g, "a.i16")->i, -32768);
        assert_int_equal(ops_gguf_find(g, "a.i32")->i, -1);
        assert_true(ops_gguf_find(g, "a.i64")->i == INT64_MIN);
        assert_true(ops_gguf_f64(g, "a.f32", &f) && f == 1.5);
        assert_true(ops_gguf_f64(g, "a.f64", &f) && f == -2.0);
        assert_true(ops_gguf_bool(g, "a.bool", &b) && b);
        assert_true(ops_gguf_text(g, "a.text", &s) && ops_slice_eq(s, OPS_SLICE("llama")));
        assert_false(ops_gguf_text(g, "a.u8", &s));
        assert_null(ops_gguf_find(g, "a"));
        assert_int_equal(ops_gguf_key_at(g, 0)->offset, 24);
        assert_null(ops_gguf_key_at(g, 15));
    }
}

static void walks_arrays(void **state)
{
    (void)state;
    sample(3);
    OPS_AUTO(ops_gguf_free) ops_gguf *g = NULL;
    assert_int_equal(ops_gguf_parse(ops_slice_of(file, len), &g, NULL), OPS_OK);
    ops_gguf_array a, inner;
    ops_gguf_value v;
    assert_false(ops_gguf_list(g, "a.texts", OPS_GGUF_F32, &a));
    assert_true(ops_gguf_list(g, "a.texts", OPS_GGUF_TEXT, &a));
    assert_int_equal(a.n, 3);
    assert_true(ops_gguf_next(&a, &v) && ops_slice_eq(v.text, OPS_SLICE("x")));
    assert_true(ops_gguf_next(&a, &v) && v.text.n == 0);
    assert_true(ops_gguf_next(&a, &v) && ops_slice_eq(v.text, OPS_SLICE("yz")));
    assert_false(ops_gguf_next(&a, &v));
    assert_true(ops_gguf_list(g, "a.nested", OPS_GGUF_ARRAY, &a));
    assert_true(ops_gguf_next(&a, &v));
    inner = v.array;
    assert_true(ops_gguf_next(&inner, &v) && v.i == 7);
    assert_true(ops_gguf_next(&inner, &v) && v.i == -8);
    assert_false(ops_gguf_next(&inner, &v));
    assert_true(ops_gguf_next(&a, &v) && v.array.n == 0 && v.array.of == OPS_GGUF_TEXT);
    assert_false(ops_gguf_next(&a, &v));
}

static void places_tensors(void **state)
{
    (void)state;
    sample(3);
    OPS_AUTO(ops_gguf_free) ops_gguf *g = NULL;
    assert_int_equal(ops_gguf_parse(ops_slice_of(file, len), &g, NULL), OPS_OK);
    const size_t base = len - 160 - 210;
    assert_int_equal(ops_gguf_tensors(g), 3);
    const ops_gguf_tensor *q = ops_gguf_tensor_find(g, "q");
    assert_non_null(q);
    assert_int_equal(q->type, OPS_GGUF_TENSOR_Q4_1);
    assert_int_equal(q->rank, 2);
    assert_int_equal(q->dim[0], 64);
    assert_int_equal(q->dim[1], 2);
    assert_int_equal(q->dim[2], 1);
    assert_int_equal(q->count, 128);
    assert_int_equal(q->offset, base + 64);
    assert_int_equal(q->bytes.n, 80);
    assert_int_equal(q->bytes.p[0], 64);
    assert_int_equal(ops_gguf_tensor_find(g, "k")->bytes.n, 210);
    assert_int_equal(ops_gguf_tensor_at(g, 0)->bytes.n, 48);
    assert_null(ops_gguf_tensor_at(g, 3));
    assert_null(ops_gguf_tensor_find(g, "v"));
}

static void refuses_bad_headers(void **state)
{
    (void)state;
    start(3, 0, 0);
    file[0] = 'g';
    refused(OPS_ECORRUPT, "do not start with a GGUF header");
    start(3, 0, 0), len = 23;
    refused(OPS_ECORRUPT, "23 bytes");
    start(1, 0, 0);
    refused(OPS_EUNIMPL, "byte 4: version 1");
    start(4, 0, 0);
    refused(OPS_EUNIMPL, "version 4");
    start(0x03000000, 0, 0);
    refused(OPS_EUNIMPL, "big-endian");
    start(3, 0, UINT64_MAX);
    refused(OPS_ECORRUPT, "byte 8");
    start(3, UINT64_MAX / 2, 0);
    refused(OPS_ECORRUPT, "do not fit a file of 24 bytes");
    start(3, 0, OPS_GGUF_KEYS_MAX / 16), len = sizeof file;
    refused(OPS_ECORRUPT, "a key of 0 bytes");
}

static void refuses_bad_values(void **state)
{
    (void)state;
    start(3, 0, 1), key("k", 13), raw(0, 8);
    refused(OPS_ECORRUPT, "no kind of value has the number 13");
    start(3, 0, 1), key("k", 7), raw(2, 1), raw(0, 8);
    refused(OPS_ECORRUPT, "a bool of value 2");
    start(3, 0, 1), key("k", 8), raw(5, 8), raw(0, 2);
    refused(OPS_ECORRUPT, "byte 37: a text of 5 bytes, the file has 2 left");
    start(3, 0, 1), key("k", 9), raw(8, 4), raw(UINT64_MAX, 8);
    refused(OPS_ECORRUPT, "an array of 18446744073709551615 text");
    start(3, 0, 1), key("k", 9), raw(10, 4), raw(2, 8), raw(0, 15);
    refused(OPS_ECORRUPT, "an array of 2 u64, the file has 15 bytes left");
    start(3, 0, 1), key("k", 9);
    for (int i = 0; i < OPS_GGUF_DEPTH_MAX; i++)
        raw(9, 4), raw(1, 8);
    raw(0, 32);
    refused(OPS_ECORRUPT, "arrays nest deeper than 4");
    start(3, 0, 2), key("k", 0), raw(1, 1), key("k", 0), raw(1, 1), raw(0, 8);
    refused(OPS_ECORRUPT, "byte 38: the key 'k' comes twice");
    start(3, 0, 1), key("a\nb", 0), raw(1, 1);
    refused(OPS_ECORRUPT, "byte 24: a key of 3 bytes is no name");
    start(3, 0, 1), key("split.count", 2), raw(3, 2);
    refused(OPS_EUNIMPL, "split.count is 3");
    start(3, 0, 1), key("general.alignment", 4), raw(24, 4);
    refused(OPS_ECORRUPT, "power of two");
    start(3, 0, 1), key("general.alignment", 8), text("32");
    refused(OPS_ECORRUPT, "power of two");
}

static void refuses_bad_tensors(void **state)
{
    (void)state;
    start(3, 1, 0), tensor("t", 32, 0, 39, 0), data(64);
    refused(OPS_EUNIMPL, "tensor 't': element type 39 (MXFP4) is not built");
    start(3, 1, 0), tensor("t", 32, 0, 99, 0), data(64);
    refused(OPS_EUNIMPL, "element type 99 (unknown)");
    start(3, 1, 0), tensor("t", 48, 0, 8, 0), data(64);
    refused(OPS_ECORRUPT, "rows of 48 are no whole blocks of 32 (Q8_0)");
    start(3, 1, 0), tensor("t", (uint64_t)1 << 62, 4, 0, 0), data(64);
    refused(OPS_ECORRUPT, "overflows the shape");
    start(3, 1, 0), tensor("t", (uint64_t)1 << 62, 0, 0, 0), data(64);
    refused(OPS_ECORRUPT, "more than the file holds");
    start(3, 1, 0), tensor("t", 0, 0, 0, 0), data(64);
    refused(OPS_ECORRUPT, "is zero or overflows");
    start(3, 1, 0), text("t"), raw(5, 4), raw(0, 64);
    refused(OPS_ECORRUPT, "rank 5");
    start(3, 1, 0), tensor("t", 8, 0, 0, 16), data(64);
    refused(OPS_ECORRUPT, "offset 16 is not aligned to 32");
    start(3, 1, 0), tensor("t", 8, 0, 0, 64), data(64);
    refused(OPS_ECORRUPT, "end past the file's");
    start(3, 1, 0), tensor("t", 8, 0, 0, UINT64_MAX - 31), data(64);
    refused(OPS_ECORRUPT, "end past the file's");
    start(3, 2, 0), tensor("t", 16, 0, 0, 0), tensor("s", 8, 0, 0, 32), data(64);
    refused(OPS_ECORRUPT, "tensor 's' overlaps tensor 't' of 64 bytes");
    start(3, 2, 0), tensor("t", 8, 0, 0, 0), tensor("t", 8, 0, 0, 32), data(64);
    refused(OPS_ECORRUPT, "the tensor 't' comes twice");
}

/* Every shorter file is refused, and none reads past its end (the sanitizers watch an exact copy). */
static void refuses_every_cut(void **state)
{
    (void)state;
    sample(3);
    for (size_t n = 0; n < len; n++) {
        OPS_AUTO(ops_free) void *cut = ops_memdup(file, n + 1);
        ops_gguf *g = NULL;
        const ops_status st = ops_gguf_parse(ops_slice_of(cut, n), &g, NULL);
        assert_int_not_equal(st, OPS_OK);
        assert_null(g);
    }
}

static void survives_failed_allocations(void **state)
{
    (void)state;
    sample(3);
    const long live = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        assert_true(nth < 1000);
        ops_gguf *g = NULL;
        ops_alloc_fail_at(nth);
        st = ops_gguf_parse(ops_slice_of(file, len), &g, NULL);
        ops_alloc_fail_at(0);
        assert_int_equal(st, g != NULL ? OPS_OK : OPS_ENOMEM);
        ops_gguf_free(g);
        assert_int_equal(ops_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_values_of_every_kind),
        cmocka_unit_test(walks_arrays),
        cmocka_unit_test(places_tensors),
        cmocka_unit_test(refuses_bad_headers),
        cmocka_unit_test(refuses_bad_values),
        cmocka_unit_test(refuses_bad_tensors),
        cmocka_unit_test(refuses_every_cut),
        cmocka_unit_test(survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
