/* Made-up systems with one known fault: how often the cause is named first, and among the first three. The floors are
 * what is promised; the figures are printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/analysis/incident/rank.h"
#include "tests/unit/coordinator/analysis/incident/world.h"

enum { WORLDS = 5 }; /* of each kind; OPS_WORLDS: another number, for measuring */

static size_t place_of(const ops_rank *r, const char *component)
{
    for (size_t i = 0; i < ops_rank_count(r); i++)
        if (ops_slice_eq(ops_rank_at(r, i)->component, ops_slice_str(component)))
            return i + 1;
    return 0;
}

static void print_first(const ops_rank *r, const char *truth)
{
    for (size_t i = 0; i < ops_rank_count(r); i++) {
        const ops_rank_cause *c = ops_rank_at(r, i);
        if (i > 1 && !ops_slice_eq(c->component, ops_slice_str(truth)))
            continue;
        print_message("   %zu " OPS_SLICE_FMT " %.2f\n", i + 1, OPS_SLICE_ARG(c->component), c->score);
        for (size_t k = 0; k < OPS_RANK_KINDS; k++)
            if (c->terms[k].bits > 0.05)
                print_message("       %5.2f " OPS_SLICE_FMT "\n", c->terms[k].bits,
                              OPS_SLICE_ARG(c->terms[k].text));
    }
}

typedef struct score {
    double first, third, chance;
} score;

static score run(world_fault fault, int with, double step_s, double past_s, double rest_s)
{
    score s = {0};
    const char *more = getenv("OPS_WORLDS");
    uint64_t worlds = more != NULL ? strtoull(more, NULL, 10) : WORLDS;
    for (uint64_t seed = 1; seed <= worlds; seed++) {
        const world_options o = {.seed = seed + 1000 * (uint64_t)fault,
                                 .fault = fault,
                                 .with = with,
                                 .step_s = step_s,
                                 .past_s = past_s,
                                 .rest_s = rest_s};
        ops_bundle *b = NULL;
        ops_rank *r = NULL;
        world_truth truth;
        assert_int_equal(world_make(&o, &b, &truth), OPS_OK);
        assert_int_equal(ops_rank_new(b, truth.at_s, &r, NULL), OPS_OK);
        assert_int_equal(ops_rank_count(r), truth.components);
        size_t place = place_of(r, truth.component);
        assert_int_not_equal(place, 0);
        s.first += place <= 1;
        s.third += place <= 3;
        s.chance += 1 / (double)truth.components;
        if (place > 1 && getenv("WORLD_SHOW") != NULL) {
            print_message("%s seed %d with %d: %s is %zu\n", world_fault_name(fault), (int)seed, with,
                          truth.component, place);
            print_first(r, truth.component);
        }
        ops_rank_free(r);
        ops_bundle_free(b);
    }
    s.first /= (double)worlds;
    s.third /= (double)worlds;
    s.chance /= (double)worlds;
    return s;
}

typedef struct want {
    const char *what;
    int with;
    double step_s, past_s, rest_s;
    score floor[WORLD_FAULTS]; /* at least */
} want;

static void check(const want *x)
{
    bool fine = true;
    for (int f = 0; f < WORLD_FAULTS; f++) {
        score s = run((world_fault)f, x->with, x->step_s, x->past_s, x->rest_s);
        print_message("%-28s  %-12s  first %.3f  first three %.3f  chance %.3f\n", x->what,
                      world_fault_name((world_fault)f), s.first, s.third, s.chance);
        fine = fine && s.first >= x->floor[f].first && s.third >= x->floor[f].third;
    }
    assert_true(fine);
}

#define ANY                                                                                                  \
    {                                                                                                        \
        0, 0                                                                                                 \
    }

static void everything_each_five_seconds(void **state)
{
    (void)state;
    check(&(want){"all, each 5 s",
                  WORLD_METRICS | WORLD_SPANS | WORLD_LINES,
                  5,
                  300,
                  120,
                  {[WORLD_CPU_HOG] = {0.9, 1, 0},
                   [WORLD_MEMORY_LEAK] = {0.9, 1, 0},
                   [WORLD_SLOW_CALLEE] = {0.9, 1, 0},
                   [WORLD_ERROR_STORM] = {0.9, 1, 0},
                   [WORLD_PACKET_LOSS] = {0.8, 1, 0},
                   [WORLD_CRASH] = {0.9, 1, 0},
                   [WORLD_BUSY_DISK] = {0.9, 1, 0}}});
}

/* Without spans nothing tells who called whom: what only shows in callers (late packets, errors that travel up) can not
 * be found, and is not promised. */
static void metrics_alone_each_second(void **state)
{
    (void)state;
    check(&(want){"metrics, each 1 s",
                  WORLD_METRICS,
                  1,
                  300,
                  120,
                  {[WORLD_CPU_HOG] = {0.9, 1, 0},
                   [WORLD_MEMORY_LEAK] = {0.9, 1, 0},
                   [WORLD_SLOW_CALLEE] = ANY,
                   [WORLD_ERROR_STORM] = ANY,
                   [WORLD_PACKET_LOSS] = ANY,
                   [WORLD_CRASH] = {0.9, 1, 0},
                   [WORLD_BUSY_DISK] = {0.9, 1, 0}}});
}

static void few_samples_each_minute(void **state)
{
    (void)state;
    check(&(want){"metrics and spans, each 60 s",
                  WORLD_METRICS | WORLD_SPANS,
                  60,
                  360,
                  240,
                  {[WORLD_CPU_HOG] = {0.9, 1, 0},
                   [WORLD_MEMORY_LEAK] = {0.9, 1, 0},
                   [WORLD_SLOW_CALLEE] = {0.9, 1, 0},
                   [WORLD_ERROR_STORM] = {0.9, 1, 0},
                   [WORLD_PACKET_LOSS] = {0.8, 1, 0},
                   [WORLD_CRASH] = {0.6, 1, 0},
                   [WORLD_BUSY_DISK] = {0.9, 1, 0}}});
}

static void spans_alone(void **state)
{
    (void)state;
    check(&(want){"spans",
                  WORLD_SPANS,
                  5,
                  300,
                  120,
                  {[WORLD_CPU_HOG] = {0.9, 1, 0},
                   [WORLD_MEMORY_LEAK] = {0.8, 1, 0},
                   [WORLD_SLOW_CALLEE] = {0.9, 1, 0},
                   [WORLD_ERROR_STORM] = {0.9, 1, 0},
                   [WORLD_PACKET_LOSS] = {0.8, 1, 0},
                   [WORLD_CRASH] = {0.6, 1, 0},
                   [WORLD_BUSY_DISK] = {0.9, 1, 0}}});
}

/* Lines alone show what writes of itself. */
static void lines_alone(void **state)
{
    (void)state;
    check(&(want){"lines", WORLD_LINES, 5, 300, 120, {[WORLD_ERROR_STORM] = {0.9, 1, 0}}});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_each_five_seconds),
        cmocka_unit_test(metrics_alone_each_second),
        cmocka_unit_test(few_samples_each_minute),
        cmocka_unit_test(spans_alone),
        cmocka_unit_test(lines_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
