/* Series of tenants: the limit, who it binds, and how room comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/shard/cardinality.h"

#define HOUR (3600 * INT64_C(1000000000))

static bool admit(ops_cardinality *c, const char *tenant, int number, int64_t now_ns)
{
    char name[16];
    (void)snprintf(name, sizeof name, "m%d", number);
    const ops_series_id id = {
        .kind = OPS_SERIES_GAUGE, .service = OPS_SLICE("s"), .name = ops_slice_str(name)};
    return ops_cardinality_admit(c, ops_slice_str(tenant), &id, now_ns);
}

static void the_limit_binds_one_tenant(void **state)
{
    (void)state;
    OPS_AUTO(ops_cardinality_free) ops_cardinality *c = NULL;
    ops_err err;
    assert_int_equal(ops_cardinality_new(10, &c, &err), OPS_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(admit(c, "a", i, i), i < 10);
    for (int i = 0; i < 10; i++) {
        assert_true(admit(c, "a", i, 200)); /* known ones go on */
        assert_true(admit(c, "b", i, 200));
    }
    assert_int_equal(ops_cardinality_count(c), 20);
}

static void room_comes_back_after_one_to_two_hours(void **state)
{
    (void)state;
    OPS_AUTO(ops_cardinality_free) ops_cardinality *c = NULL;
    ops_err err;
    assert_int_equal(ops_cardinality_new(10, &c, &err), OPS_OK);
    for (int i = 0; i < 10; i++)
        assert_true(admit(c, "a", i, 0));
    /* Five go on, five fall silent. */
    for (int64_t t = HOUR / 2; t <= 2 * HOUR; t += HOUR / 2) {
        for (int i = 0; i < 5; i++)
            assert_true(admit(c, "a", i, t));
        if (t < 2 * HOUR)
            assert_false(admit(c, "a", 100, t));
    }
    for (int i = 0; i < 5; i++)
        assert_true(admit(c, "a", 200 + i, 2 * HOUR));
    assert_false(admit(c, "a", 300, 2 * HOUR));
    assert_int_equal(ops_cardinality_count(c), 10);
}

static void labels_and_services_tell_series_apart(void **state)
{
    (void)state;
    OPS_AUTO(ops_cardinality_free) ops_cardinality *c = NULL;
    ops_err err;
    const ops_attr one = {OPS_SLICE("a"), OPS_SLICE("1")}, two = {OPS_SLICE("a"), OPS_SLICE("2")};
    const ops_series_id ids[] = {{OPS_SERIES_GAUGE, OPS_SLICE("s"), OPS_SLICE("m"), &one, 1},
                                 {OPS_SERIES_GAUGE, OPS_SLICE("s"), OPS_SLICE("m"), &two, 1},
                                 {OPS_SERIES_GAUGE, OPS_SLICE("t"), OPS_SLICE("m"), &two, 1}};
    assert_int_equal(ops_cardinality_new(2, &c, &err), OPS_OK);
    for (int again = 0; again < 2; again++)
        for (int i = 0; i < 3; i++)
            assert_int_equal(ops_cardinality_admit(c, OPS_SLICE("x"), &ids[i], 0), i < 2);
}

static void tenants_are_bounded_too(void **state)
{
    (void)state;
    OPS_AUTO(ops_cardinality_free) ops_cardinality *c = NULL;
    ops_err err;
    assert_int_equal(ops_cardinality_new(2, &c, &err), OPS_OK);
    for (int i = 0; i < OPS_CARDINALITY_TENANTS_MAX + 10; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "t%d", i);
        assert_int_equal(admit(c, name, 0, 0), i < OPS_CARDINALITY_TENANTS_MAX);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (long nth = 1;; nth++) {
        const long live = ops_alloc_live();
        ops_cardinality *c = NULL;
        ops_err err;
        ops_alloc_fail_at(nth);
        ops_status st = ops_cardinality_new(10, &c, &err);
        const bool in = st == OPS_OK && admit(c, "a", 1, 0);
        ops_alloc_fail_at(0);
        if (st == OPS_OK)
            assert_true(admit(c, "a", 1, 0));
        ops_cardinality_free(c);
        assert_int_equal(ops_alloc_live(), live);
        if (in)
            return;
        assert_true(nth < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_binds_one_tenant),
        cmocka_unit_test(room_comes_back_after_one_to_two_hours),
        cmocka_unit_test(labels_and_services_tell_series_apart),
        cmocka_unit_test(tenants_are_bounded_too),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
