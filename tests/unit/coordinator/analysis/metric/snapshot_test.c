/* Saved and loaded at any sample, a baseline and a component go on as if nothing had happened; spoilt bytes are refused or
 * harmless; an allocation that fails costs the call, never the state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/metric/baseline.h"
#include "coordinator/analysis/metric/component.h"
#include "tests/unit/coordinator/analysis/metric/synth.h"

enum { SAVED_MAX = 1 << 20, COLUMNS = 4 };

/* Hours, so that day, week and a period of 37 samples all come to be in a short test. */
static double sample(synth *s, int64_t i, int64_t *ret_t)
{
    *ret_t = START_NS + i * 3600 * SECOND_NS;
    double x = synth_quiet(s, QUIET_SAWTOOTH, *ret_t, i) + 20 * synth_day(*ret_t);
    return i % 499 == 498 ? x + 300 : i % 1000 > 950 ? floor(x / 1000) : x;
}

static void same(const ops_baseline_verdict *a, const ops_baseline_verdict *b)
{
    assert_int_equal(a->taken, b->taken);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->alert, b->alert);
    assert_true(a->score == b->score && a->value == b->value && a->low == b->low && a->high == b->high);
    assert_true(a->time_ns == b->time_ns && a->since_ns == b->since_ns);
}

static ops_baseline *again(ops_baseline *b, ops_strbuf *text)
{
    ops_baseline *loaded = NULL;
    ops_strbuf_clear(text);
    ops_baseline_save(b, text);
    assert_false(text->failed);
    assert_int_equal(ops_baseline_load(ops_strbuf_get(text), &loaded, NULL), OPS_OK);
    return loaded;
}

/* One lives on, one is saved and loaded at every sample. */
static void a_baseline_goes_on_from_any_sample(void **state)
{
    (void)state;
    ops_strbuf text;
    ops_strbuf_init(&text, SAVED_MAX);
    OPS_AUTO(ops_baseline_free) ops_baseline *a = NULL, *b = NULL;
    synth s = {.state = 2};
    int alerts = 0;
    assert_int_equal(ops_baseline_new(NULL, &a, NULL), OPS_OK);
    assert_int_equal(ops_baseline_new(NULL, &b, NULL), OPS_OK);
    for (int64_t i = 0; i < 3000; i++) {
        ops_baseline_verdict va, vb;
        int64_t t;
        double x = sample(&s, i, &t);
        ops_baseline *next = again(b, &text);
        ops_baseline_free(b);
        b = next;
        assert_int_equal(ops_baseline_add(a, t, x, &va), OPS_OK);
        assert_int_equal(ops_baseline_add(b, t, x, &vb), OPS_OK);
        same(&va, &vb);
        alerts += va.alert;
    }
    assert_true(alerts > 0);
    assert_true(ops_baseline_bytes(a) == ops_baseline_bytes(b));
    ops_strbuf_done(&text);
}

static ops_component *grown(int64_t rows, synth *s)
{
    ops_component *c = NULL;
    assert_int_equal(ops_component_new(COLUMNS, 300, &c, NULL), OPS_OK);
    for (int64_t i = 0; i < rows; i++) {
        double row[COLUMNS];
        ops_component_verdict v;
        int64_t t = 0;
        for (int j = 0; j < COLUMNS; j++)
            row[j] = sample(s, i, &t);
        assert_int_equal(ops_component_add(c, t, row, &v), OPS_OK);
    }
    return c;
}

static void a_component_goes_on_from_any_row(void **state)
{
    (void)state;
    ops_strbuf text;
    ops_strbuf_init(&text, SAVED_MAX);
    synth s = {.state = 3}, s2 = {.state = 3};
    OPS_AUTO(ops_component_free) ops_component *a = grown(200, &s), *b = grown(200, &s2);
    for (int64_t i = 200; i < 900; i++) {
        double row[COLUMNS];
        ops_component_verdict va, vb;
        int64_t t = 0;
        for (int j = 0; j < COLUMNS; j++)
            row[j] = sample(&s, i, &t);
        ops_strbuf_clear(&text);
        ops_component_save(b, &text);
        ops_component *next = NULL;
        assert_int_equal(ops_component_load(ops_strbuf_get(&text), &next, NULL), OPS_OK);
        ops_component_free(b);
        b = next;
        assert_int_equal(ops_component_add(a, t, row, &va), OPS_OK);
        assert_int_equal(ops_component_add(b, t, row, &vb), OPS_OK);
        assert_true(va.score == vb.score && va.alert == vb.alert && va.unusual == vb.unusual);
        assert_true(va.column == vb.column && va.fitted == vb.fitted && va.low == vb.low);
    }
    ops_strbuf_done(&text);
}

static ops_baseline *old_one(ops_strbuf *text)
{
    ops_baseline *b = NULL;
    synth s = {.state = 2};
    assert_int_equal(ops_baseline_new(NULL, &b, NULL), OPS_OK);
    for (int64_t i = 0; i < 700; i++) {
        ops_baseline_verdict v;
        int64_t t;
        double x = sample(&s, i, &t);
        assert_int_equal(ops_baseline_add(b, t, x, &v), OPS_OK);
    }
    ops_baseline_save(b, text);
    assert_false(text->failed);
    return b;
}

/* Lives on with what was loaded; what it answers is not asked, that it answers within bounds is. */
static void live_on(ops_baseline *b)
{
    for (int64_t i = 0; i < 300; i++) {
        ops_baseline_verdict v;
        assert_int_equal(ops_baseline_add(b, INT64_MAX / 2 + i * 3600 * SECOND_NS, (double)(i % 37), &v),
                         OPS_OK);
        assert_true(v.score >= 0 && v.score <= 12);
    }
}

static void spoilt_bytes_are_refused_or_harmless(void **state)
{
    (void)state;
    ops_strbuf text;
    ops_strbuf_init(&text, SAVED_MAX);
    ops_baseline_free(old_one(&text));
    int refused = 0;
    for (size_t n = 0; n < text.n; n++) { /* cut anywhere */
        ops_baseline *b = NULL;
        assert_int_equal(ops_baseline_load(ops_slice_of(text.p, n), &b, NULL), OPS_ECORRUPT);
        assert_null(b);
    }
    for (size_t bit = 0; bit < text.n * 8; bit += 5) { /* a bit flipped */
        OPS_AUTO(ops_baseline_free) ops_baseline *b = NULL;
        text.p[bit / 8] = (char)(text.p[bit / 8] ^ (1 << bit % 8));
        ops_status st = ops_baseline_load(ops_strbuf_get(&text), &b, NULL);
        assert_true(st == OPS_OK || st == OPS_ECORRUPT);
        if (st == OPS_OK)
            live_on(b);
        else
            refused++;
        text.p[bit / 8] = (char)(text.p[bit / 8] ^ (1 << bit % 8));
    }
    assert_true(refused > 0);
    ops_strbuf_done(&text);
}

static void a_spoilt_component_is_refused_or_harmless(void **state)
{
    (void)state;
    ops_strbuf text;
    ops_strbuf_init(&text, SAVED_MAX);
    synth s = {.state = 3};
    ops_component *c = grown(400, &s);
    ops_component_save(c, &text);
    ops_component_free(c);
    for (size_t n = 0; n < text.n; n += 61) {
        ops_component *b = NULL;
        assert_int_equal(ops_component_load(ops_slice_of(text.p, n), &b, NULL), OPS_ECORRUPT);
        assert_null(b);
    }
    for (size_t bit = 0; bit < text.n * 8; bit += 331) {
        OPS_AUTO(ops_component_free) ops_component *b = NULL;
        text.p[bit / 8] = (char)(text.p[bit / 8] ^ (1 << bit % 8));
        ops_status st = ops_component_load(ops_strbuf_get(&text), &b, NULL);
        assert_true(st == OPS_OK || st == OPS_ECORRUPT);
        for (int64_t i = 0; st == OPS_OK && i < 20; i++) {
            const double row[OPS_COMPONENT_COLUMNS_MAX] = {1, 2, 3, 4};
            ops_component_verdict v;
            assert_int_equal(ops_component_add(b, INT64_MAX / 2 + i, row, &v), OPS_OK);
        }
        text.p[bit / 8] = (char)(text.p[bit / 8] ^ (1 << bit % 8));
    }
    ops_strbuf_done(&text);
}

/* Every allocation of a call fails once; the call is made again and nothing was lost. */
static void failed_allocations_cost_the_call(void **state)
{
    (void)state;
    OPS_AUTO(ops_baseline_free) ops_baseline *a = NULL, *b = NULL;
    synth s = {.state = 2};
    int failed = 0;
    long live = ops_alloc_live();
    ops_alloc_fail_at(1);
    assert_int_equal(ops_baseline_new(NULL, &a, NULL), OPS_ENOMEM);
    assert_int_equal(ops_baseline_new(NULL, &a, NULL), OPS_OK);
    assert_int_equal(ops_baseline_new(NULL, &b, NULL), OPS_OK);
    for (int64_t i = 0; i < 1500; i++) {
        ops_baseline_verdict va, vb;
        int64_t t;
        double x = sample(&s, i, &t);
        assert_int_equal(ops_baseline_add(a, t, x, &va), OPS_OK);
        ops_alloc_fail_at(1);
        ops_status st = ops_baseline_add(b, t, x, &vb);
        ops_alloc_fail_at(0);
        while (st == OPS_ENOMEM) {
            failed++;
            st = ops_baseline_add(b, t, x, &vb);
        }
        assert_int_equal(st, OPS_OK);
        same(&va, &vb);
    }
    assert_true(failed >= 3); /* the search, the day, the week */
    ops_baseline_free(OPS_STEAL(a));
    ops_baseline_free(OPS_STEAL(b));
    assert_int_equal(ops_alloc_live(), live);
}

static void a_row_is_not_lost_to_a_failed_allocation(void **state)
{
    (void)state;
    synth s = {.state = 3}, s2 = {.state = 3};
    OPS_AUTO(ops_component_free) ops_component *a = grown(0, &s), *b = grown(0, &s2);
    int failed = 0;
    for (int64_t i = 0; i < 400; i++) {
        double row[COLUMNS];
        ops_component_verdict va, vb;
        int64_t t = 0;
        for (int j = 0; j < COLUMNS; j++)
            row[j] = sample(&s, i, &t);
        assert_int_equal(ops_component_add(a, t, row, &va), OPS_OK);
        for (long n = 1, st = OPS_ENOMEM; st != OPS_OK; n++) {
            ops_alloc_fail_at(n);
            st = ops_component_add(b, t, row, &vb);
            ops_alloc_fail_at(0);
            assert_true(st == OPS_OK || st == OPS_ENOMEM);
            failed += st != OPS_OK;
        }
        assert_true(va.score == vb.score && va.alert == vb.alert && va.column == vb.column);
    }
    assert_true(failed >= 2 * COLUMNS);
}

static void failed_allocations_leave_no_component_behind(void **state)
{
    (void)state;
    ops_strbuf text;
    ops_strbuf_init(&text, SAVED_MAX);
    synth s = {.state = 3};
    ops_component *c = grown(400, &s);
    ops_component_save(c, &text);
    ops_component_free(c);
    long live = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    int tries = 0;
    for (long n = 1; st == OPS_ENOMEM; n++, tries++) {
        c = NULL;
        ops_alloc_fail_at(n);
        st = ops_component_load(ops_strbuf_get(&text), &c, NULL);
        ops_alloc_fail_at(0);
        if (st != OPS_OK)
            assert_int_equal(ops_alloc_live(), live);
    }
    assert_int_equal(st, OPS_OK);
    assert_true(tries > COLUMNS + 2);
    ops_component_free(c);
    for (long n = 1, st2 = OPS_ENOMEM; st2 == OPS_ENOMEM; n++) {
        c = NULL;
        ops_alloc_fail_at(n);
        st2 = ops_component_new(COLUMNS, 0, &c, NULL);
        ops_alloc_fail_at(0);
        ops_component_free(c);
        assert_int_equal(ops_alloc_live(), live);
    }
    ops_strbuf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_baseline_goes_on_from_any_sample),
        cmocka_unit_test(a_component_goes_on_from_any_row),
        cmocka_unit_test(spoilt_bytes_are_refused_or_harmless),
        cmocka_unit_test(a_spoilt_component_is_refused_or_harmless),
        cmocka_unit_test(failed_allocations_cost_the_call),
        cmocka_unit_test(a_row_is_not_lost_to_a_failed_allocation),
        cmocka_unit_test(failed_allocations_leave_no_component_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
