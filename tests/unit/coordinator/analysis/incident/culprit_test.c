/* Ranking over signs: the end of a chain, who was first, what changed, what people said; every score the sum of its terms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "tests/unit/coordinator/analysis/incident/live_world.h"

static const ops_slice proxy = {"proxy", 5}, shop = {"shop", 4}, redis = {"redis", 5};
static const ops_slice all[] = {{"proxy", 5}, {"shop", 4}, {"redis", 5}};

static struct world {
    ops_arena text;
    ops_culprit v[OPS_CULPRITS_MAX];
    size_t n;
} w;

static void rank(const ops_topology *t, const ops_sign *signs, size_t n, const ops_lesson *lessons,
                 size_t lesson_count)
{
    const ops_culprit_case c = {.topology = t,
                                .signs = signs,
                                .sign_count = n,
                                .lessons = lessons,
                                .lesson_count = lesson_count,
                                .incident_id = OPS_SLICE("i-1")};
    ops_arena_clear(&w.text);
    assert_int_equal(ops_culprits_rank(&c, &w.text, w.v, &w.n, NULL), OPS_OK);
    for (size_t i = 0; i < w.n; i++) {
        double sum = 0;
        for (size_t k = 0; k < OPS_CULPRIT_KINDS; k++) {
            sum += w.v[i].terms[k].bits;
            assert_int_equal(w.v[i].terms[k].bits != 0, w.v[i].terms[k].text.n > 0);
        }
        assert_true(fabs(sum - w.v[i].score) < 1e-9 && w.v[i].score > 0 && w.v[i].reason.n > 0);
        assert_true(i == 0 || w.v[i - 1].score >= w.v[i].score);
    }
}

static void expect_first(ops_slice component)
{
    assert_true(w.n > 0);
    if (!ops_slice_eq(w.v[0].component, component))
        fail_msg(OPS_SLICE_FMT " is first", OPS_SLICE_ARG(w.v[0].component));
}

static int set_up(void **state)
{
    ops_arena_init(&w.text, 4 << 20);
    *state = topology_of(all, 3);
    return 0;
}

static int tear_down(void **state)
{
    ops_topology_free(*state);
    ops_arena_done(&w.text);
    return 0;
}

static void the_end_of_a_chain_is_the_cause(void **state)
{
    const ops_sign signs[] = {sign("f-1", &proxy, 0, "upstream shop timed out"),
                              sign("f-2", &shop, 0, "connection to redis refused"),
                              sign("f-3", &redis, 0, "out of memory")};
    rank(*state, signs, 3, NULL, 0);
    expect_first(redis);
    assert_true(w.v[1].terms[OPS_CULPRIT_EXPLAINED].bits < 0 || w.v[2].terms[OPS_CULPRIT_EXPLAINED].bits < 0);
    assert_true(ops_slice_find(w.v[0].terms[OPS_CULPRIT_NAMED].text, OPS_SLICE("shop names it")) == 0);
}

static void a_server_that_names_its_clients_complains_of_nobody(void **state)
{
    ops_sign signs[] = {
        sign("f-1", &shop, 0, "redis GET failed: no space | ERROR shop: POST /orders failed: no space"),
        sign("f-2", &redis, 0, "[17] shop@shop ERROR: no space left")};
    signs[0].score = 300;
    rank(*state, signs, 2, NULL, 0);
    expect_first(redis);
    assert_true(w.v[0].terms[OPS_CULPRIT_EXPLAINED].bits == 0);
    signs[0].text = OPS_SLICE("ERROR shop: redis has no space"); /* words alone do not say who called */
    rank(*state, signs, 2, NULL, 0);
    assert_true(w.v[0].terms[OPS_CULPRIT_EXPLAINED].bits < 0 && w.v[1].terms[OPS_CULPRIT_EXPLAINED].bits < 0);
    signs[0].text =
        OPS_SLICE("what the shop asked of a machine that is called redis by those who keep it has failed");
    assert_false(ops_sign_calls(&signs[0], redis)); /* a sentence, no call */
}

/* An access log names nobody; spans know whom it asks. */
static void a_quiet_caller_passes_on_to_whom_spans_say_it_calls(void **state)
{
    ops_topology *t = *state;
    const ops_sign signs[] = {sign("f-1", &proxy, 0, "GET / 504"),
                              sign("f-2", &shop, 0, "no worker became free")};
    const uint32_t a = ops_topology_find(t, proxy), b = ops_topology_find(t, shop);
    bool fresh = false;
    rank(t, signs, 2, NULL, 0);
    assert_true(w.v[0].score == w.v[1].score); /* nothing to tell them apart */
    assert_int_equal(ops_topology_add_call(t, a, b, 9, NULL), OPS_OK);
    rank(t, signs, 2, NULL, 0);
    assert_true(w.v[0].score == w.v[1].score); /* words alone do not say which way */
    assert_int_equal(ops_topology_add_sure(t, a, b, &fresh, NULL), OPS_OK);
    assert_true(fresh && ops_topology_calls(t, a, b) && !ops_topology_calls(t, b, a));
    assert_int_equal(ops_topology_add_sure(t, a, b, &fresh, NULL), OPS_OK);
    assert_false(fresh);
    rank(t, signs, 2, NULL, 0);
    expect_first(shop);
    assert_true(fabs(w.v[0].score + w.v[1].score - 6) < 1e-9); /* blame moves, none is lost */
    rank(t, signs, 1, NULL, 0);
    expect_first(proxy); /* who is called is fine */
    assert_true(w.n == 1);
}

static void who_is_named_by_many_needs_no_signs_of_its_own(void **state)
{
    const ops_sign signs[] = {sign("f-1", &proxy, 0, "redis: no route to host"),
                              sign("f-2", &shop, 0, "lost redis")};
    rank(*state, signs, 2, NULL, 0);
    expect_first(redis);
    assert_true(w.v[0].terms[OPS_CULPRIT_SIGNS].bits == 0);
}

static void how_unusual_it_is_counts_and_more_of_it_counts_less(void **state)
{
    ops_sign signs[] = {sign("f-1", &shop, 0, "a"), sign("f-2", &redis, 0, "b"), sign("f-3", &redis, 0, "c")};
    signs[0].score = 300;
    rank(*state, signs, 2, NULL, 0);
    expect_first(shop);
    assert_true(fabs(w.v[0].score - log2(301)) < 1e-9 && fabs(w.v[1].score - 3) < 1e-9);
    rank(*state, signs, 3, NULL, 0);
    assert_true(fabs(w.v[1].score - 4.5) < 1e-9); /* the second in half */
    signs[0].score = NAN;
    rank(*state, signs, 1, NULL, 0);
    assert_true(fabs(w.v[0].score - 3) < 1e-9);
}

static void the_first_is_a_bit_likelier(void **state)
{
    const ops_sign signs[] = {sign("f-1", &shop, 30, "a"), sign("f-2", &redis, 0, "b"),
                              sign("f-3", &proxy, 15, "c")};
    rank(*state, signs, 3, NULL, 0);
    expect_first(redis);
    assert_true(w.v[0].terms[OPS_CULPRIT_ONSET].bits == 1 &&
                fabs(w.v[1].terms[OPS_CULPRIT_ONSET].bits - 0.5) < 1e-9);
}

static void a_change_shortly_before_speaks_against_who_changed(void **state)
{
    ops_sign signs[] = {sign("f-1", &shop, 0, "a"), sign("f-2", &redis, 0, "b"),
                        sign("f-3", &shop, -120, "release 2")};
    signs[2].kind = OPS_CANDIDATE_CHANGE;
    signs[2].level = OPS_LEVEL_INFO;
    rank(*state, signs, 3, NULL, 0);
    expect_first(shop);
    assert_true(ops_slice_find(w.v[0].terms[OPS_CULPRIT_CHANGE].text, OPS_SLICE("120 s before")) > 0);
    signs[2].start_ns = NOON - 7200 * SECOND; /* too long ago */
    rank(*state, signs, 3, NULL, 0);
    assert_true(w.v[0].terms[OPS_CULPRIT_CHANGE].bits == 0 && w.v[1].terms[OPS_CULPRIT_CHANGE].bits == 0);
}

static void what_people_say_is_a_term_of_its_own(void **state)
{
    const ops_sign signs[] = {sign("f-1", &shop, 0, "a"), sign("f-2", &redis, 0, "b")};
    ops_lesson lessons[5] = {{.kind = OPS_LESSON_RIGHT_CAUSE,
                              .first = shop,
                              .second = shop,
                              .who = OPS_SLICE("ann"),
                              .incident_id = OPS_SLICE("i-1")}};
    rank(*state, signs, 2, lessons, 1);
    expect_first(shop);
    assert_true(w.v[0].terms[OPS_CULPRIT_SAID].bits == 8);
    /* Of other incidents each word counts one, three at most; and only where they looked like this one. */
    for (size_t i = 0; i < 5; i++)
        lessons[i] = (ops_lesson){.kind = OPS_LESSON_WRONG_CAUSE,
                                  .first = shop,
                                  .second = redis,
                                  .who = OPS_SLICE("bob"),
                                  .incident_id = OPS_SLICE("i-0")};
    rank(*state, signs, 2, lessons, 5);
    expect_first(redis);
    assert_true(w.n == 1); /* 3 - 3: nothing speaks for the shop any more */
    lessons[0].second = OPS_SLICE("mail");
    rank(*state, signs, 2, lessons, 1);
    assert_true(w.v[0].terms[OPS_CULPRIT_SAID].bits == 0 && w.v[1].terms[OPS_CULPRIT_SAID].bits == 0);
}

static void noise_is_known_by_service_kind_and_level(void **state)
{
    (void)state;
    ops_sign s = sign("f-1", &shop, 0, "a");
    const ops_lesson noise = {.kind = OPS_LESSON_NOISE,
                              .first = shop,
                              .sign_kind = OPS_CANDIDATE_RATE_UP,
                              .level = OPS_LEVEL_ERROR};
    assert_ptr_equal(ops_lesson_of_noise(&noise, 1, &s), &noise);
    s.level = OPS_LEVEL_CRITICAL; /* graver than what was called noise */
    assert_null(ops_lesson_of_noise(&noise, 1, &s));
    s.level = OPS_LEVEL_WARNING;
    s.kind = OPS_CANDIDATE_SILENT;
    assert_null(ops_lesson_of_noise(&noise, 1, &s));
    s = sign("f-1", &redis, 0, "a");
    assert_null(ops_lesson_of_noise(&noise, 1, &s));
    s.service_count = 0;
    assert_null(ops_lesson_of_noise(&noise, 1, &s));
}

static void every_allocation_fails_once(void **state)
{
    const ops_sign signs[] = {sign("f-1", &proxy, 0, "upstream shop timed out"),
                              sign("f-2", &shop, 9, "lost redis")};
    const ops_culprit_case c = {.topology = *state, .signs = signs, .sign_count = 2};
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        const long live = ops_alloc_live();
        ops_arena a;
        size_t n = 77;
        ops_arena_init(&a, 1 << 20);
        ops_alloc_fail_at(nth);
        st = ops_culprits_rank(&c, &a, w.v, &n, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK ? n == 3 : st == OPS_ENOMEM && n == 77);
        ops_arena_done(&a);
        assert_int_equal(ops_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_end_of_a_chain_is_the_cause, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_that_names_its_clients_complains_of_nobody, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_quiet_caller_passes_on_to_whom_spans_say_it_calls, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(who_is_named_by_many_needs_no_signs_of_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(how_unusual_it_is_counts_and_more_of_it_counts_less, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_first_is_a_bit_likelier, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_change_shortly_before_speaks_against_who_changed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_people_say_is_a_term_of_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(noise_is_known_by_service_kind_and_level, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_allocation_fails_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
