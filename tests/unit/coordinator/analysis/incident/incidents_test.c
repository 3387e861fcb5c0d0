/* Incidents of made-up systems: found where there is one, soon, with the right cause; and quiet where there is none. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/incident/incidents.h"
#include "tests/unit/coordinator/analysis/incident/world.h"

enum { WORLDS = 5 };

static world_options options(uint64_t seed, world_fault fault)
{
    return (world_options){.seed = seed,
                           .fault = fault,
                           .with = WORLD_METRICS | WORLD_SPANS | WORLD_LINES,
                           .step_s = 5,
                           .past_s = 400,
                           .rest_s = 150};
}

static size_t worlds(void)
{
    const char *more = getenv("OPS_WORLDS");
    return more != NULL ? strtoull(more, NULL, 10) : WORLDS;
}

static void faults_are_found_soon_and_named(void **state)
{
    (void)state;
    size_t all = 0, soon = 0, named = 0, incidents = 0, of_fault[WORLD_FAULTS] = {0};
    for (int f = 0; f < WORLD_FAULTS; f++)
        for (uint64_t seed = 1; seed <= worlds(); seed++, all++) {
            world_options o = options(seed + 500 * (uint64_t)f, (world_fault)f);
            ops_bundle *b = NULL;
            ops_incidents *l = NULL;
            world_truth truth;
            assert_int_equal(world_make(&o, &b, &truth), OPS_OK);
            assert_int_equal(ops_incidents_new(b, &l, NULL), OPS_OK);
            incidents += ops_incidents_count(l);
            for (size_t i = 0; i < ops_incidents_count(l); i++) {
                const ops_incident *x = ops_incidents_at(l, i);
                assert_true(x->summary.n > 0 && x->severity[0] != '\0');
                assert_true(x->end_s == 0 || x->end_s > x->start_s);
                if (fabs(x->start_s - truth.at_s) > 60)
                    continue;
                soon++;
                of_fault[f]++;
                named += ops_slice_eq(ops_rank_at(x->causes, 0)->component, ops_slice_str(truth.component));
                break;
            }
            ops_incidents_free(l);
            ops_bundle_free(b);
        }
    for (int f = 0; f < WORLD_FAULTS; f++)
        print_message("%-12s found %zu of %zu\n", world_fault_name((world_fault)f), of_fault[f], worlds());
    print_message("faults: %zu, found within a minute %.3f, cause first %.3f, incidents per fault %.3f\n",
                  all, (double)soon / (double)all, (double)named / (double)all,
                  (double)incidents / (double)all);
    /* A leak takes longer than a minute to show, and work within what is usual for a machine is no incident: of those two
     * kinds nothing is promised. */
    assert_true((double)soon >= 0.55 * (double)all);
    assert_true(soon - of_fault[WORLD_CPU_HOG] - of_fault[WORLD_MEMORY_LEAK] >= 3 * worlds());
    assert_int_equal(named, soon);
    assert_true((double)incidents <= 1.2 * (double)all);
}

static void quiet_systems_have_none(void **state)
{
    (void)state;
    size_t incidents = 0;
    for (uint64_t seed = 1; seed <= 4 * worlds(); seed++) {
        world_options o = options(seed, WORLD_CPU_HOG);
        o.quiet = true;
        ops_bundle *b = NULL;
        ops_incidents *l = NULL;
        world_truth truth;
        assert_int_equal(world_make(&o, &b, &truth), OPS_OK);
        assert_int_equal(ops_incidents_new(b, &l, NULL), OPS_OK);
        incidents += ops_incidents_count(l);
        ops_incidents_free(l);
        ops_bundle_free(b);
    }
    print_message("quiet systems: %zu of 550 s each, incidents %zu\n", (size_t)(4 * worlds()), incidents);
    assert_int_equal(incidents, 0);
}

static void nothing_is_no_incident(void **state)
{
    (void)state;
    ops_bundle *b = NULL;
    ops_incidents *l = NULL;
    assert_int_equal(ops_bundle_new(NULL, &b, NULL), OPS_OK);
    assert_int_equal(ops_incidents_new(b, &l, NULL), OPS_EINVAL); /* not sealed */
    assert_int_equal(ops_bundle_seal(b, NULL), OPS_OK);
    assert_int_equal(ops_incidents_new(b, &l, NULL), OPS_OK);
    assert_int_equal(ops_incidents_count(l), 0);
    ops_incidents_free(l);
    ops_bundle_free(b);
}

/* Times a century apart must not make a table of a century. */
static void time_may_be_absurd(void **state)
{
    (void)state;
    ops_bundle *b = NULL;
    ops_incidents *l = NULL;
    assert_int_equal(ops_bundle_new(NULL, &b, NULL), OPS_OK);
    const double times[] = {-9e10, -1, 0, 1, 2, 3, 4, 5, 9e10};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        assert_int_equal(ops_bundle_add_sample(b, OPS_SLICE("a"), OPS_SLICE("m"), times[i], (double)i, NULL),
                         OPS_OK);
    assert_int_equal(ops_bundle_seal(b, NULL), OPS_OK);
    assert_int_equal(ops_incidents_new(b, &l, NULL), OPS_OK);
    ops_incidents_free(l);
    ops_bundle_free(b);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    world_options o = options(3, WORLD_ERROR_STORM);
    o.step_s = 10;
    o.past_s = 200;
    o.rest_s = 60;
    ops_bundle *b = NULL;
    world_truth truth;
    assert_int_equal(world_make(&o, &b, &truth), OPS_OK);
    long live = ops_alloc_live();
    bool done = false, some = false;
    for (long nth = 1; !done; nth++) {
        ops_incidents *l = NULL;
        ops_alloc_fail_at(nth);
        ops_status st = ops_incidents_new(b, &l, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        done = st == OPS_OK;
        some = done && ops_incidents_count(l) > 0;
        ops_incidents_free(l);
        assert_int_equal(ops_alloc_live(), live);
        assert_true(nth < 100000);
    }
    assert_true(some); /* the ranking's allocations were among them */
    ops_bundle_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_are_found_soon_and_named), cmocka_unit_test(quiet_systems_have_none),
        cmocka_unit_test(nothing_is_no_incident),          cmocka_unit_test(time_may_be_absurd),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
