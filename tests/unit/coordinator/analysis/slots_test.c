/* Slots: types from values, statistics, shifting, merging, records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <math.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "coordinator/analysis/template/slots.h"

static void note(ops_slots *s, size_t ordinal, const char *v)
{
    ops_slots_note(s, ordinal, ops_slice_str(v), 1);
}

static ops_slot_info info(const ops_slots *s, size_t ordinal)
{
    ops_slot_info i;
    assert_true(ops_slots_info(s, ordinal, &i));
    return i;
}

static void types_are_what_all_values_have(void **state)
{
    static const struct {
        ops_slot_type type;
        const char *values[5];
    } cases[] = {
        {OPS_SLOT_NUM, {"1", "-2.5", "300"}},
        {OPS_SLOT_HEX, {"1a2b3c", "123456", "00ff00aa"}}, /* plain digits are hex too */
        {OPS_SLOT_ANY, {"1a2b3c", "-5", "00ff00aa"}},     /* a sign is not */
        {OPS_SLOT_HOST, {"a.example.com", "192.0.2.1"}},  /* an address names a host */
        {OPS_SLOT_IP, {"192.0.2.1", "[::1]:80"}},
        {OPS_SLOT_ANY, {"5", "5s"}}, /* numbers and durations stay apart */
        {OPS_SLOT_DURATION, {"5ms", "1h2m"}},
        {OPS_SLOT_ANY, {"5", "five"}},
        {OPS_SLOT_PATH, {"/a", "/b/c"}},
        {OPS_SLOT_ANY, {"2024-05-06", "12:34"}},
        {OPS_SLOT_ANY, {"up", "down"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        OPS_AUTO(ops_slots_free) ops_slots *s = ops_slots_new();
        for (size_t k = 0; k < 5 && cases[i].values[k] != NULL; k++)
            note(s, 0, cases[i].values[k]);
        ops_slot_type got = info(s, 0).type;
        if (got != cases[i].type)
            fail_msg("%s: %s for %s", cases[i].values[0], ops_slot_type_name(got),
                     ops_slot_type_name(cases[i].type));
    }
}

static void one_odd_value_among_many_does_not_take_the_type(void **state)
{
    (void)state;
    OPS_AUTO(ops_slots_free) ops_slots *s = ops_slots_new();
    note(s, 0, "unknown");
    for (int i = 0; i < 48; i++)
        note(s, 0, "17");
    assert_int_equal(info(s, 0).type, OPS_SLOT_ANY);
    note(s, 0, "18");
    assert_int_equal(info(s, 0).type, OPS_SLOT_NUM);
    assert_int_equal(info(s, 0).seen, 50);
}

static void statistics_of_a_numeric_slot(void **state)
{
    (void)state;
    OPS_AUTO(ops_slots_free) ops_slots *s = ops_slots_new();
    char text[32];
    for (int i = 1; i <= 1000; i++) {
        (void)snprintf(text, sizeof text, "%dms", i);
        note(s, 0, text);
    }
    ops_slots_note(s, 0, OPS_SLICE("7ms"), 500);
    ops_slot_info x = info(s, 0);
    assert_true(x.type == OPS_SLOT_DURATION && x.numeric && x.seen == 1500);
    assert_true(x.min == 0.001 && x.max == 1.0);
    assert_true(fabs(x.p50 - 0.25) <= 0.25 * x.error * 1.001);
    assert_true(fabs(x.p99 - 0.985) <= 0.985 * x.error * 1.001);
    assert_true(x.distinct > 750 && x.distinct < 1250); /* 4 standard errors */
    assert_true(ops_slice_eq(x.top[0].value, OPS_SLICE("7ms")) && x.top[0].count >= 501);
}

static void a_slot_of_words_has_no_quantiles(void **state)
{
    (void)state;
    OPS_AUTO(ops_slots_free) ops_slots *s = ops_slots_new();
    for (int i = 0; i < 200; i++)
        note(s, 0, i % 2 == 0 ? "12" : "word");
    size_t before = ops_slots_bytes(s);
    for (int i = 0; i < 200; i++)
        note(s, 0, i % 2 == 0 ? "12" : "word");
    assert_true(ops_slots_bytes(s) < before); /* given back once it is clear */
    assert_false(info(s, 0).numeric);
    assert_int_equal(info(s, 0).seen, 400);
}

static void a_new_slot_moves_the_others(void **state)
{
    (void)state;
    OPS_AUTO(ops_slots_free) ops_slots *s = ops_slots_new();
    note(s, 0, "a");
    note(s, 1, "b");
    assert_int_equal(ops_slots_insert(s, 1), OPS_OK);
    assert_int_equal(ops_slots_insert(s, 9), OPS_OK); /* past the end: nothing to move */
    assert_int_equal(ops_slots_count(s), 3);
    assert_true(ops_slice_eq(info(s, 0).top[0].value, OPS_SLICE("a")));
    assert_int_equal(info(s, 1).seen, 0);
    assert_true(ops_slice_eq(info(s, 2).top[0].value, OPS_SLICE("b")));
    for (size_t i = 0; i < OPS_SLOTS_MAX; i++)
        note(s, i, "c");
    note(s, OPS_SLOTS_MAX, "d");
    note(s, 1000, "e");
    assert_int_equal(ops_slots_further(s), 2);
    assert_int_equal(ops_slots_insert(s, 0), OPS_OK);
    assert_int_equal(ops_slots_count(s), OPS_SLOTS_MAX);
    assert_int_equal(ops_slots_further(s), 3); /* the last one fell off */
    assert_true(ops_slice_eq(info(s, 1).top[0].value, OPS_SLICE("a")));
}

static void merging_follows_the_map(void **state)
{
    (void)state;
    OPS_AUTO(ops_slots_free) ops_slots *a = ops_slots_new();
    OPS_AUTO(ops_slots_free) ops_slots *b = ops_slots_new();
    note(a, 0, "1");
    note(b, 0, "x");
    note(b, 1, "2");
    note(b, 2, "y");
    static const size_t map[] = {OPS_SLOTS_NONE, 0, 99};
    assert_int_equal(ops_slots_merge(a, b, map), OPS_OK);
    assert_int_equal(ops_slots_count(a), 1);
    assert_int_equal(info(a, 0).seen, 2);
    assert_int_equal(info(a, 0).distinct, 2);
    assert_true(info(a, 0).max == 2 && info(a, 0).min == 1);
    assert_int_equal(ops_slots_further(a), 1);
    assert_int_equal(ops_slots_merge(a, b, NULL), OPS_OK);
    assert_int_equal(ops_slots_count(a), 3);
}

static void templates_are_shown_with_their_types(void **state)
{
    (void)state;
    OPS_AUTO(ops_slots_free) ops_slots *s = ops_slots_new();
    note(s, 0, "192.0.2.1");
    note(s, 1, "open");
    note(s, 2, "5ms");
    note(s, 3, "/tmp");
    ops_strbuf b;
    ops_strbuf_init(&b, 1000);
    ops_slots_render(OPS_SLICE("from <*>: state=<*> after <*> and <*> and <*>"), s, &b);
    assert_string_equal(b.p,
                        "from <ip>: state=open after <duration> and <path> and <*>"); /* one word so far */
    ops_strbuf_clear(&b);
    note(s, 1, "closed");
    ops_slots_render(OPS_SLICE("from <*>: state=<*>"), s, &b);
    assert_string_equal(b.p, "from <ip>: state=<*>");
    ops_strbuf_clear(&b);
    ops_slots_render(OPS_SLICE("<*>"), NULL, &b);
    assert_string_equal(b.p, "<*>");
    ops_strbuf_done(&b);
}

static ops_slots *filled(size_t slots, size_t values)
{
    ops_slots *s = ops_slots_new();
    char text[48];
    assert_non_null(s);
    for (size_t i = 0; i < values; i++)
        for (size_t k = 0; k < slots; k++) {
            uint64_t v = ops_hash_mix(i * 31 + k);
            int n = k % 3 == 0   ? snprintf(text, sizeof text, "%llu", (unsigned long long)(v >> (v & 63)))
                    : k % 3 == 1 ? snprintf(text, sizeof text, "/srv/%llx", (unsigned long long)(v & 15))
                                 : snprintf(text, sizeof text, "%llums", (unsigned long long)(v & 1023));
            ops_slots_note(s, k, ops_slice_of(text, (size_t)n), 1);
        }
    return s;
}

static void the_bound_of_memory_holds(void **state)
{
    (void)state;
    OPS_AUTO(ops_slots_free) ops_slots *s = filled(OPS_SLOTS_MAX + 5, 3000);
    assert_true(ops_slots_bytes(s) <= OPS_SLOTS_MAX * 1536 + 64);
    assert_int_equal(ops_slots_lost(s), 0);
    OPS_AUTO(ops_slots_free) ops_slots *one = filled(1, 1);
    assert_true(ops_slots_bytes(one) <= 416);
}

static void records_come_back_and_bad_ones_are_refused(void **state)
{
    (void)state;
    OPS_AUTO(ops_slots_free) ops_slots *s = filled(3, 100);
    ops_strbuf a, b;
    ops_strbuf_init(&a, 1 << 16);
    ops_strbuf_init(&b, 1 << 16);
    ops_slots_save(s, &a);
    ops_err err;
    ops_slots *back = NULL;
    assert_int_equal(ops_slots_load(ops_strbuf_get(&a), &back, &err), OPS_OK);
    ops_slots_save(back, &b);
    assert_true(ops_slice_eq(ops_strbuf_get(&a), ops_strbuf_get(&b)));
    ops_slots_free(back);
    for (size_t cut = 0; cut < a.n; cut++) {
        ops_slots *none = NULL;
        assert_int_equal(ops_slots_load(ops_slice_of(a.p, cut), &none, &err), OPS_ECORRUPT);
        assert_null(none);
    }
    for (size_t i = 0; i < a.n * 8; i++) {
        OPS_AUTO(ops_free_str) char *copy = ops_memdup(a.p, a.n);
        copy[i / 8] ^= (char)(1 << (i & 7));
        ops_slots *got = NULL;
        if (ops_slots_load(ops_slice_of(copy, a.n), &got, &err) == OPS_OK) {
            note(got, 0, "5");
            (void)info(got, 0);
        }
        ops_slots_free(got);
    }
    ops_strbuf_done(&a);
    ops_strbuf_done(&b);
}

static void without_memory_the_count_goes_on(void **state)
{
    (void)state;
    long live = ops_alloc_live();
    for (long nth = 1; nth < 60; nth++) {
        ops_slots *s = ops_slots_new(), *t = filled(2, 40);
        ops_alloc_fail_at(nth);
        for (int i = 0; i < 50; i++) {
            char text[16];
            (void)snprintf(text, sizeof text, "%d", i);
            note(s, (size_t)i % 3, text);
        }
        ops_status st = ops_slots_insert(s, 0);
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        st = ops_slots_merge(s, t, NULL);
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        ops_strbuf b;
        ops_strbuf_init(&b, 1 << 16);
        ops_slots_save(s, &b);
        ops_slots *back = NULL;
        if (!b.failed && ops_slots_load(ops_strbuf_get(&b), &back, NULL) == OPS_OK)
            assert_int_equal(ops_slots_count(back), ops_slots_count(s));
        ops_alloc_fail_at(0);
        ops_strbuf_done(&b);
        assert_true(ops_slots_lost(s) <= 1);
        ops_slots_free(back);
        ops_slots_free(s);
        ops_slots_free(t);
    }
    assert_int_equal(ops_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_what_all_values_have),
        cmocka_unit_test(one_odd_value_among_many_does_not_take_the_type),
        cmocka_unit_test(statistics_of_a_numeric_slot),
        cmocka_unit_test(a_slot_of_words_has_no_quantiles),
        cmocka_unit_test(a_new_slot_moves_the_others),
        cmocka_unit_test(merging_follows_the_map),
        cmocka_unit_test(templates_are_shown_with_their_types),
        cmocka_unit_test(the_bound_of_memory_holds),
        cmocka_unit_test(records_come_back_and_bad_ones_are_refused),
        cmocka_unit_test(without_memory_the_count_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
