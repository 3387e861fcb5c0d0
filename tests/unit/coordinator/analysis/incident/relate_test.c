/* Grouping: what nearness says in a quiet and in a busy fleet, what service, topology, meaning and people add. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "tests/unit/coordinator/analysis/incident/live_world.h"

static const ops_slice shop = {"shop", 4}, redis = {"redis", 5}, tape = {"tape", 4};
static const ops_slice all[] = {{"shop", 4}, {"redis", 5}, {"tape", 4}};

typedef struct told {
    double bits;
    ops_relate_term terms[OPS_RELATE_KINDS]; /* their words are gone */
    char said[128];
} told;

static told ask(const ops_relate_case *c, const ops_sign *s)
{
    static ops_arena a;
    told r;
    ops_arena_init(&a, 1 << 20);
    assert_int_equal(ops_relate(c, s, &a, r.terms, &r.bits), OPS_OK);
    double sum = 0;
    for (size_t k = 0; k < OPS_RELATE_KINDS; k++) {
        sum += r.terms[k].bits;
        assert_int_equal(r.terms[k].bits != 0, r.terms[k].text.n > 0); /* no term without words */
    }
    assert_true(fabs(sum - r.bits) < 1e-9);
    (void)snprintf(r.said, sizeof r.said, OPS_SLICE_FMT, OPS_SLICE_ARG(r.terms[OPS_RELATE_SAID].text));
    ops_arena_done(&a);
    return r;
}

static void nearness_is_judged_by_how_often_incidents_come(void **state)
{
    (void)state;
    ops_topology *t = topology_of(all, 3);
    const ops_sign member = sign("f-1", &shop, 0, "a");
    ops_relate_case c = {.topology = t, .members = &member, .member_count = 1};
    const ops_sign near = sign("f-2", &tape, 20, "b"), far = sign("f-3", &tape, 3600, "b");
    /* Six a day: within 30 s one in 480 begins by chance. */
    assert_true(fabs(ask(&c, &near).terms[OPS_RELATE_TIME].bits -
                     fmin(8, log2(1 / -expm1(-6 * 30.0 / 86400)))) < 1e-6);
    assert_true(ask(&c, &near).bits >= OPS_RELATE_JOINS_BITS);
    assert_true(ask(&c, &far).bits < OPS_RELATE_JOINS_BITS);
    c.incidents_per_day = 2000; /* a busy fleet: one comes every 43 s anyhow */
    assert_true(ask(&c, &near).bits < 1.1);
    ops_topology_free(t);
}

static void a_service_and_its_neighbours_are_nearer(void **state)
{
    (void)state;
    ops_topology *t = topology_of(all, 3);
    assert_int_equal(ops_topology_hear(t, shop, OPS_SLICE("connect to redis:6379 failed"), NULL, NULL),
                     OPS_OK);
    const ops_sign member = sign("f-1", &shop, 0, "a");
    const ops_relate_case c = {
        .topology = t, .members = &member, .member_count = 1, .incidents_per_day = 200};
    const ops_sign same = sign("f-2", &shop, 120, "b"), next = sign("f-3", &redis, 120, "b"),
                   other = sign("f-4", &tape, 120, "b");
    assert_true(ask(&c, &same).terms[OPS_RELATE_SERVICE].bits == 3);
    assert_true(ask(&c, &next).terms[OPS_RELATE_TOPOLOGY].bits == 2);
    assert_true(ask(&c, &same).bits > ask(&c, &next).bits && ask(&c, &next).bits > ask(&c, &other).bits);
    ops_topology_free(t);
}

static void meaning_is_a_template_or_the_words(void **state)
{
    (void)state;
    ops_topology *t = topology_of(all, 3);
    const ops_slice templates[] = {{"00000000000000aa", 16}};
    ops_sign member = sign("f-1", &shop, 0, "the disk of node 7 is full"),
             s = sign("f-2", &tape, 7200, "disk full on node 12");
    const ops_relate_case c = {.topology = t, .members = &member, .member_count = 1};
    const told words = ask(&c, &s);
    assert_true(words.terms[OPS_RELATE_MEANING].bits > 0.8 && words.terms[OPS_RELATE_MEANING].bits < 2);
    s.text = OPS_SLICE("certificate expired");
    assert_true(ask(&c, &s).terms[OPS_RELATE_MEANING].bits == 0);
    member.templates = s.templates = templates;
    member.template_count = s.template_count = 1;
    assert_true(ask(&c, &s).terms[OPS_RELATE_MEANING].bits == 3);
    ops_topology_free(t);
}

static void what_people_split_or_merged_counts(void **state)
{
    (void)state;
    ops_topology *t = topology_of(all, 3);
    const ops_sign member = sign("f-1", &shop, 0, "a"), s = sign("f-2", &tape, 60, "b");
    ops_lesson lessons[] = {
        {.kind = OPS_LESSON_APART, .first = tape, .second = shop, .who = OPS_SLICE("ann")},
        {.kind = OPS_LESSON_TOGETHER, .first = shop, .second = tape, .who = OPS_SLICE("bob")}};
    ops_relate_case c = {
        .topology = t, .members = &member, .member_count = 1, .lessons = lessons, .lesson_count = 1};
    const told apart = ask(&c, &s);
    assert_true(apart.terms[OPS_RELATE_SAID].bits == -3);
    assert_string_equal(apart.said, "ann split tape and shop");
    c.lesson_count = 2; /* the newest word holds */
    assert_true(ask(&c, &s).terms[OPS_RELATE_SAID].bits == 3);
    const ops_sign of_shop = sign("f-3", &shop, 60, "b");
    assert_true(ask(&c, &of_shop).terms[OPS_RELATE_SAID].bits == 0);
    ops_topology_free(t);
}

static void odd_signs_do_no_harm(void **state)
{
    (void)state;
    ops_topology *t = topology_of(all, 0);
    ops_sign none = {.id = OPS_SLICE("f-1"), .start_ns = INT64_MAX}, member = {.start_ns = INT64_MIN / 2};
    ops_relate_case c = {.topology = t};
    assert_true(ask(&c, &none).bits == 0);
    c.members = &member;
    c.member_count = 1;
    assert_true(isfinite(ask(&c, &none).bits));
    ops_topology_free(t);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    ops_topology *t = topology_of(all, 3);
    const ops_sign member = sign("f-1", &shop, 0, "a"), s = sign("f-2", &shop, 5, "b");
    const ops_relate_case c = {.topology = t, .members = &member, .member_count = 1};
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_relate_term terms[OPS_RELATE_KINDS];
        double bits = -1;
        ops_arena a;
        ops_arena_init(&a, 1 << 20);
        ops_alloc_fail_at(nth);
        st = ops_relate(&c, &s, &a, terms, &bits);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK ? bits > 0 : st == OPS_ENOMEM && bits == -1);
        ops_arena_done(&a);
    }
    ops_topology_free(t);
    assert_int_equal(ops_alloc_live(), 0);
}

static void a_topology_is_bounded_and_learns_by_name(void **state)
{
    (void)state;
    ops_topology *t = topology_of(all, 3);
    char name[32];
    bool fresh = true;
    ops_err err;
    assert_int_equal(ops_topology_hear(t, tape, OPS_SLICE("reshopping the shop-front"), &fresh, NULL),
                     OPS_OK);
    assert_true(fresh); /* "shop" stands in shop-front as a word */
    assert_true(ops_topology_near(t, ops_topology_find(t, shop), ops_topology_find(t, tape)));
    assert_false(ops_topology_near(t, ops_topology_find(t, redis), ops_topology_find(t, tape)));
    assert_int_equal(ops_topology_hear(t, OPS_SLICE("unknown"), OPS_SLICE("redis"), &fresh, NULL), OPS_OK);
    assert_false(fresh);
    for (size_t i = 3; i < OPS_TOPOLOGY_COMPONENTS_MAX; i++) {
        (void)snprintf(name, sizeof name, "component%zu", i);
        assert_int_equal(ops_topology_add(t, ops_slice_str(name), &fresh, &err), OPS_OK);
    }
    assert_int_equal(ops_topology_add(t, OPS_SLICE("one-too-many"), NULL, &err), OPS_EAGAIN);
    assert_int_equal(ops_topology_add(t, shop, &fresh, &err), OPS_OK); /* known ones pass */
    assert_false(fresh);
    assert_int_equal(ops_topology_add(t, OPS_SLICE(""), NULL, &err), OPS_EINVAL);
    for (uint32_t i = 0; i < OPS_TOPOLOGY_CALLS_MAX + 5; i++)
        assert_int_equal(ops_topology_add_call(t, i % 500, (i % 500 + 3 + i / 500) % 512, 2, &err), OPS_OK);
    assert_int_equal(ops_topology_call_count(t), OPS_TOPOLOGY_CALLS_MAX);
    /* The call heard once was the least seen, so it gave way. */
    assert_false(ops_topology_near(t, ops_topology_find(t, shop), ops_topology_find(t, tape)));
    assert_int_equal(ops_topology_add_call(t, 1, 1, 1, &err), OPS_EINVAL);
    ops_topology_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearness_is_judged_by_how_often_incidents_come),
        cmocka_unit_test(a_service_and_its_neighbours_are_nearer),
        cmocka_unit_test(meaning_is_a_template_or_the_words),
        cmocka_unit_test(what_people_split_or_merged_counts),
        cmocka_unit_test(odd_signs_do_no_harm),
        cmocka_unit_test(every_allocation_fails_once),
        cmocka_unit_test(a_topology_is_bounded_and_learns_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
