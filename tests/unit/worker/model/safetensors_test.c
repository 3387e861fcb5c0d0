#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "tests/support/golden.h"
#include "worker/model/safetensors.h"

static char file[1 << 16];

/* A file with this header and `data` bytes counting up. */
static ops_slice make(const char *header, size_t data)
{
    const size_t n = strlen(header);
    for (int i = 0; i < 8; i++)
        file[i] = (char)((uint64_t)n >> (8 * i));
    memcpy(file + 8, header, n);
    for (size_t i = 0; i < data; i++)
        file[8 + n + i] = (char)i;
    return ops_slice_of(file, 8 + n + data);
}

static void reads_tensors_by_name(void **state)
{
    (void)state;
    OPS_AUTO(ops_safetensors_free) ops_safetensors *s = NULL;
    ops_slice f = make("{\"__metadata__\":{\"format\":\"pt\"},"
                       "\"b\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[24,40]},"
                       "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                       "\"none\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[7,7]}}  ",
                       40);
    assert_int_equal(ops_safetensors_parse(f, &s, NULL), OPS_OK);
    assert_int_equal(ops_safetensors_count(s), 3);
    const ops_safetensor *a = ops_safetensors_find(s, "a");
    assert_non_null(a);
    assert_int_equal(a->type, OPS_SAFETENSORS_F32);
    assert_int_equal(a->rank, 2);
    assert_int_equal(a->dim[1], 3);
    assert_int_equal(a->count, 6);
    assert_int_equal(a->bytes.n, 24);
    assert_int_equal(a->bytes.p[5], 5);
    assert_int_equal(ops_safetensors_find(s, "none")->count, 0);
    assert_null(ops_safetensors_find(s, "c"));
    assert_null(ops_safetensors_find(s, "__metadata__"));
}

/* Bit patterns and values from IEEE 754 and the definition of bfloat16 (the upper half of an f32). */
static void converts_to_f32(void **state)
{
    (void)state;
    static const struct {
        const char *dtype;
        unsigned char bytes[8];
        size_t n, count;
        float want[4];
    } rows[] = {
        {"F32", {0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc1}, 8, 2, {1, -10}},
        {"F16", {0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x01, 0x00}, 8, 4, {1, -2, 65504, 5.9604645e-8f}},
        {"F16",
         {0x00, 0x04, 0x00, 0x80, 0x00, 0x7c, 0x55, 0x35},
         8,
         4,
         {6.1035156e-5f, -0.0f, INFINITY, 0.33325195f}},
        {"BF16", {0x80, 0x3f, 0x49, 0xc0, 0, 0, 0x80, 0x7f}, 8, 4, {1, -3.140625f, 0, INFINITY}},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        char header[256];
        (void)snprintf(header, sizeof header,
                       "{\"t\":{\"dtype\":\"%s\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}}", rows[r].dtype,
                       rows[r].count, rows[r].n);
        ops_slice f = make(header, 8);
        memcpy(file + f.n - 8, rows[r].bytes, 8);
        OPS_AUTO(ops_safetensors_free) ops_safetensors *s = NULL;
        assert_int_equal(ops_safetensors_parse(f, &s, NULL), OPS_OK);
        float got[4];
        assert_int_equal(ops_safetensors_f32(ops_safetensors_at(s, 0), got, NULL), OPS_OK);
        assert_memory_equal(got, rows[r].want, rows[r].count * sizeof(float));
    }
    OPS_AUTO(ops_safetensors_free) ops_safetensors *s = NULL;
    ops_err err;
    float got[1];
    assert_int_equal(
        ops_safetensors_parse(make("{\"w\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8), &s,
                              NULL),
        OPS_OK);
    assert_int_equal(ops_safetensors_f32(ops_safetensors_at(s, 0), got, &err), OPS_EUNIMPL);
    assert_non_null(strstr(err.msg, "'w'"));
    assert_non_null(strstr(err.msg, "I64"));
}

static void refuses_hostile_files(void **state)
{
    (void)state;
#define T(shape, from, to) "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"
    static const struct {
        const char *header;
        size_t data;
        ops_status want;
        const char *says;
    } rows[] = {
        {"", 0, OPS_ECORRUPT, "byte"},
        {"[]", 0, OPS_ECORRUPT, "no object"},
        {"{\"a\":1}", 0, OPS_ECORRUPT, "'a'"},
        {"{\"a\":" T("[1]", "0", "4") ",\"a\":" T("[1]", "0", "4") "}", 4, OPS_ECORRUPT, "duplicate"},
        {"{\"a\":{\"dtype\":\"F4\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, OPS_EUNIMPL, "'F4'"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, OPS_ECORRUPT, "dtype"},
        {"{\"a\":" T("[-1]", "0", "4") "}", 4, OPS_ECORRUPT, "extent 0"},
        {"{\"a\":" T("[1.0]", "0", "4") "}", 4, OPS_ECORRUPT, "extent 0"},
        {"{\"a\":" T("{}", "0", "4") "}", 4, OPS_ECORRUPT, "shape"},
        {"{\"a\":" T("[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, OPS_ECORRUPT, "shape"},
        {"{\"a\":" T("[4294967296,4294967296,4294967296]", "0", "4") "}", 4, OPS_ECORRUPT, "overflows"},
        {"{\"a\":" T("[4611686018427387905]", "0", "4") "}", 4, OPS_ECORRUPT, "elements"},
        {"{\"a\":" T("[1]", "0", "8") "}", 8, OPS_ECORRUPT, "8 bytes for 1 elements"},
        {"{\"a\":" T("[1]", "4", "0") "}", 8, OPS_ECORRUPT, "outside"},
        {"{\"a\":" T("[1]", "-4", "0") "}", 8, OPS_ECORRUPT, "outside"},
        {"{\"a\":" T("[1]", "2", "6") "}", 4, OPS_ECORRUPT, "outside"},
        {"{\"a\":" T("[1]", "9223372036854775804", "9223372036854775807") "}", 4, OPS_ECORRUPT, "outside"},
        {"{\"a\":" T("[2]", "0", "8") ",\"b\":" T("[2]", "4", "12") "}", 12, OPS_ECORRUPT, "overlaps"},
        {"{\"a\":" T("[1]", "0", "4") ",\"b\":" T("[1]", "8", "12") "}", 12, OPS_ECORRUPT, "gap"},
        {"{\"a\":" T("[1]", "4", "8") "}", 8, OPS_ECORRUPT, "gap"},
        {"{\"a\":" T("[1]", "0", "4") "}", 8, OPS_ECORRUPT, "belong to none"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_safetensors *s = NULL;
        ops_err err = {0};
        assert_int_equal(ops_safetensors_parse(make(rows[i].header, rows[i].data), &s, &err), rows[i].want);
        assert_null(s);
        if (strstr(err.msg, rows[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", err.msg, rows[i].says);
    }
}

static void refuses_lengths_that_lie(void **state)
{
    (void)state;
    ops_safetensors *s = NULL;
    ops_slice f = make("{}", 0);
    for (size_t n = 0; n < f.n; n++)
        assert_int_equal(ops_safetensors_parse(ops_slice_sub(f, 0, n), &s, NULL), OPS_ECORRUPT);
    memset(file, 0xff, 8);
    assert_int_equal(ops_safetensors_parse(f, &s, NULL), OPS_ETOOBIG);
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    ops_slice f = golden_read("tests/golden/bert_tiny/model.safetensors");
    assert_non_null(f.p);
    const long live = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_safetensors *s = NULL;
        ops_alloc_fail_at(nth);
        st = ops_safetensors_parse(f, &s, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || (st == OPS_ENOMEM && s == NULL));
        ops_safetensors_free(s);
        assert_int_equal(ops_alloc_live(), live);
    }
    union {
        const char *in;
        void *out;
    } own = {f.p};
    free(own.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_tensors_by_name),
        cmocka_unit_test(converts_to_f32),
        cmocka_unit_test(refuses_hostile_files),
        cmocka_unit_test(refuses_lengths_that_lie),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
