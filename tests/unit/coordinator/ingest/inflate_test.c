#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem/alloc.h"
#include "coordinator/ingest/inflate.h"

static size_t gzip(const void *in, size_t n, void *out, size_t cap)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)in;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static size_t zstd(const void *in, size_t n, void *out, size_t cap)
{
    const size_t r = ZSTD_compress(out, cap, in, n, 3);
    assert_false(ZSTD_isError(r));
    return r;
}

/* Text that compresses about three times. */
static char *sample(size_t n)
{
    char *p = malloc(n + 1);
    uint32_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (char)('a' + (x >> 28));
    }
    return p;
}

typedef size_t (*pack_fn)(const void *, size_t, void *, size_t);
static const struct {
    ops_inflate_coding coding;
    pack_fn pack;
} kinds[] = {{OPS_INFLATE_GZIP, gzip}, {OPS_INFLATE_ZSTD, zstd}};

static void round_trips_up_to_the_exact_limit(void **state)
{
    static char packed[1 << 19];
    char *text = sample(300000), *out;
    size_t n;
    ops_err err;
    (void)state;

    for (int k = 0; k < 2; k++) {
        const size_t pn = kinds[k].pack(text, 300000, packed, sizeof packed);
        assert_int_equal(ops_inflate(kinds[k].coding, packed, pn, 300000, &out, &n, &err), OPS_OK);
        assert_true(n == 300000 && memcmp(out, text, n) == 0);
        ops_free(out);
        assert_int_equal(ops_inflate(kinds[k].coding, packed, pn, 299999, &out, &n, &err), OPS_ETOOBIG);
        /* two in a row are one body; an empty one is empty */
        const size_t pn2 = kinds[k].pack("tail", 4, packed + pn, sizeof packed - pn);
        assert_int_equal(ops_inflate(kinds[k].coding, packed, pn + pn2, 1 << 20, &out, &n, &err), OPS_OK);
        assert_true(n == 300004 && memcmp(out + 300000, "tail", 4) == 0);
        ops_free(out);
        const size_t en = kinds[k].pack("", 0, packed, sizeof packed);
        assert_int_equal(ops_inflate(kinds[k].coding, packed, en, 10, &out, &n, &err), OPS_OK);
        assert_int_equal(n, 0);
        assert_non_null(out);
        ops_free(out);
    }
    free(text);
}

static void bombs_stop_at_the_ratio(void **state)
{
    const size_t big = (size_t)32 << 20;
    char *zeros = calloc(1, big), *packed = malloc(1 << 20), *out;
    size_t n;
    ops_err err;
    (void)state;

    for (int k = 0; k < 2; k++) {
        const size_t pn = kinds[k].pack(zeros, big, packed, 1 << 20);
        assert_int_equal(ops_inflate(kinds[k].coding, packed, pn, (size_t)1 << 30, &out, &n, &err),
                         OPS_ETOOBIG);
        assert_non_null(strstr(err.msg, k == 0 ? "100 times" : "declares 33554432 bytes"));
        /* below 1 MiB any ratio is fine */
        const size_t sn = kinds[k].pack(zeros, 1 << 20, packed, 1 << 20);
        assert_int_equal(ops_inflate(kinds[k].coding, packed, sn, (size_t)1 << 30, &out, &n, &err), OPS_OK);
        assert_int_equal(n, 1 << 20);
        ops_free(out);
    }
    free(zeros);
    free(packed);
}

static void cut_and_corrupt_bodies_name_the_offset(void **state)
{
    static char packed[1 << 16];
    char *text = sample(20000), *out;
    size_t n;
    ops_err err;
    (void)state;

    for (int k = 0; k < 2; k++) {
        const size_t pn = kinds[k].pack(text, 20000, packed, sizeof packed);
        for (size_t cut = 1; cut < pn; cut += 97) {
            assert_int_equal(ops_inflate(kinds[k].coding, packed, cut, 1 << 20, &out, &n, &err), OPS_EINVAL);
            assert_non_null(strstr(err.msg, "at input byte "));
        }
        packed[pn] = 'x'; /* bytes after the end */
        assert_int_equal(ops_inflate(kinds[k].coding, packed, pn + 1, 1 << 20, &out, &n, &err), OPS_EINVAL);
        packed[0] ^= 1;
        assert_int_equal(ops_inflate(kinds[k].coding, packed, pn, 1 << 20, &out, &n, &err), OPS_EINVAL);
    }
    assert_int_equal(ops_inflate(OPS_INFLATE_GZIP, "", 0, 1 << 20, &out, &n, &err), OPS_EINVAL);
    assert_int_equal(ops_inflate(OPS_INFLATE_IDENTITY, "abc", 3, 2, &out, &n, &err), OPS_ETOOBIG);
    free(text);
}

static void codings_by_name(void **state)
{
    ops_inflate_coding c;
    ops_err err;
    (void)state;

    assert_int_equal(ops_inflate_coding_of(OPS_SLICE(" GZIP"), &c, &err), OPS_OK);
    assert_int_equal(c, OPS_INFLATE_GZIP);
    assert_int_equal(ops_inflate_coding_of(OPS_SLICE(""), &c, &err), OPS_OK);
    assert_int_equal(c, OPS_INFLATE_IDENTITY);
    assert_int_equal(ops_inflate_coding_of(OPS_SLICE("br"), &c, &err), OPS_EUNIMPL);
    assert_non_null(strstr(err.msg, "'br'"));
}

static void survives_every_failed_allocation(void **state)
{
    static char packed[1 << 16];
    char *text = sample(30000);
    const long live = ops_alloc_live();
    (void)state;

    for (int k = 0; k < 2; k++) {
        const size_t pn = kinds[k].pack(text, 30000, packed, sizeof packed);
        ops_status st = OPS_ENOMEM;
        for (long nth = 1; st != OPS_OK; nth++) {
            char *out = NULL;
            size_t n;
            ops_alloc_fail_at(nth);
            st = ops_inflate(kinds[k].coding, packed, pn, 1 << 20, &out, &n, NULL);
            ops_alloc_fail_at(0);
            assert_true(st == OPS_OK || st == OPS_ENOMEM);
            ops_free(out);
        }
        assert_int_equal(ops_alloc_live(), live);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips_up_to_the_exact_limit),      cmocka_unit_test(bombs_stop_at_the_ratio),
        cmocka_unit_test(cut_and_corrupt_bodies_name_the_offset), cmocka_unit_test(codings_by_name),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
