#include "worker/train/seqfit.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"

enum { A, B, C, D, KINDS, SESSIONS = 64 };

typedef struct sessions {
    uint32_t ids[SESSIONS * 4], lengths[SESSIONS];
    ops_seqfit_sessions view;
} sessions;

/* A, then B three times in four or else C, then D. */
static void fill(sessions *s)
{
    size_t n = 0;
    for (uint32_t i = 0; i < SESSIONS; i++) {
        const uint32_t one[] = {A, i % 4 == 3 ? C : B, D};
        memcpy(s->ids + n, one, sizeof one);
        s->lengths[i] = 3;
        n += 3;
    }
    s->view = (ops_seqfit_sessions){s->ids, n, s->lengths, SESSIONS, KINDS};
}

static ops_seqfit *fit_of(const sessions *s, uint64_t seed)
{
    ops_seqfit *f = NULL;
    bool done = false;
    assert_int_equal(ops_seqfit_new(&s->view, seed, 0, &f, NULL), OPS_OK);
    for (int i = 0; i < 4096 && !done; i++)
        assert_int_equal(ops_seqfit_step(f, &done, NULL), OPS_OK);
    assert_true(done);
    return f;
}

static ops_seqfit_score score(ops_seqfit *f, const uint32_t *ids, uint32_t n)
{
    ops_seqfit_score r;
    const ops_seqfit_sessions one = {ids, n, &n, 1, KINDS};
    assert_int_equal(ops_seqfit_score_all(ops_seqfit_model(f), &one, ops_seqfit_allowance(f), &r, NULL),
                     OPS_OK);
    return r;
}

static void it_learns_what_follows_what(void **state)
{
    (void)state;
    sessions s;
    fill(&s);
    ops_seqfit *f = fit_of(&s, 1);
    const double *tail;
    const size_t n = ops_seqfit_tail(f, &tail);
    assert_int_equal(n, SESSIONS / OPS_SEQFIT_HELD_ONE_IN);
    for (size_t i = 1; i < n; i++)
        assert_true(tail[i] <= tail[i - 1]);
    const uint32_t usual[] = {A, B, D}, without[] = {A, D}, cut[] = {A, B};
    assert_true(score(f, usual, 3).surprise <= tail[0]);
    ops_seqfit_score r = score(f, without, 2);
    assert_true(r.surprise > tail[0]);
    assert_int_equal(r.place, 1);
    assert_int_equal(r.expected_n, 2);
    assert_int_equal(r.expected[0], B);
    assert_int_equal(r.expected[1], C);
    assert_true(r.chance[0] > 0.5f && r.chance[0] > r.chance[1] && r.seen < 0.1f);
    r = score(f, cut, 2);
    assert_int_equal(r.place, 2); /* the end */
    assert_int_equal(r.expected[0], D);
    const uint32_t longer[] = {A, B, D, D};
    r = score(f, longer, 4);
    assert_int_equal(r.place, 3);
    assert_int_equal(r.expected[0], KINDS + 1); /* the end was expected */
    const uint32_t unknown[] = {A, KINDS, D};
    assert_int_equal(score(f, unknown, 3).place, 1);
    ops_seqfit_free(f);
}

static void a_session_scores_the_same_in_any_company(void **state)
{
    (void)state;
    sessions s;
    fill(&s);
    ops_seqfit *f = fit_of(&s, 1);
    ops_seqfit_score together[SESSIONS];
    assert_int_equal(
        ops_seqfit_score_all(ops_seqfit_model(f), &s.view, ops_seqfit_allowance(f), together, NULL), OPS_OK);
    for (size_t i = 0; i < SESSIONS; i++) {
        const ops_seqfit_score alone = score(f, s.ids + 3 * i, 3);
        assert_true(fabs(alone.surprise - together[i].surprise) < 1e-4);
        assert_int_equal(alone.place, together[i].place);
    }
    ops_seqfit_free(f);
}

static void a_saved_model_scores_as_the_fit(void **state)
{
    (void)state;
    sessions s;
    fill(&s);
    ops_seqfit *f = fit_of(&s, 7), *twin = fit_of(&s, 7);
    ops_strbuf file, other;
    ops_strbuf_init(&file, OPS_SEQFIT_MODEL_MAX);
    ops_strbuf_init(&other, OPS_SEQFIT_MODEL_MAX);
    assert_int_equal(ops_seqfit_save(f, &file, NULL), OPS_OK);
    assert_int_equal(ops_seqfit_save(twin, &other, NULL), OPS_OK);
    char hash[OPS_SEQFIT_HASH_MAX], same[OPS_SEQFIT_HASH_MAX];
    ops_seqfit_hash(ops_strbuf_get(&file), hash);
    ops_seqfit_hash(ops_strbuf_get(&other), same);
    assert_string_equal(hash, same);
    ops_seqlm *m = NULL;
    assert_int_equal(ops_seqfit_load(ops_strbuf_get(&file), &m, NULL), OPS_OK);
    assert_int_equal(ops_seqfit_kinds(m), KINDS);
    const uint32_t without[] = {A, D}, n = 2;
    const ops_seqfit_sessions one = {without, 2, &n, 1, KINDS};
    ops_seqfit_score r;
    assert_int_equal(ops_seqfit_score_all(m, &one, ops_seqfit_allowance(f), &r, NULL), OPS_OK);
    assert_true(fabs(r.surprise - score(f, without, 2).surprise) < 1e-6);
    ops_seqlm_free(m);
    /* A model of another shape is none of these, nor is half a file. */
    const ops_seqlm_config c = {.kinds = 7, .dim = 16, .heads = 4, .layers = 1, .context = 8};
    assert_int_equal(ops_seqlm_new(&c, 1, &m, NULL), OPS_OK);
    ops_strbuf_clear(&other);
    assert_int_equal(ops_seqlm_save(m, &other, NULL), OPS_OK);
    ops_seqlm_free(m);
    assert_int_equal(ops_seqfit_load(ops_strbuf_get(&other), &m, NULL), OPS_EINVAL);
    assert_int_equal(ops_seqfit_load(ops_slice_sub(ops_strbuf_get(&file), 0, file.n / 2), &m, NULL),
                     OPS_ECORRUPT);
    ops_strbuf_done(&file);
    ops_strbuf_done(&other);
    ops_seqfit_free(f);
    ops_seqfit_free(twin);
}

static void what_is_out_of_bounds_is_refused_with_numbers(void **state)
{
    (void)state;
    sessions s;
    ops_seqfit *f = NULL;
    ops_err err;
    fill(&s);
    s.view.kinds = OPS_SEQFIT_KINDS_MAX + 1;
    assert_int_equal(ops_seqfit_new(&s.view, 1, 0, &f, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "1025 kinds"));
    fill(&s);
    s.ids[5] = KINDS + 1;
    assert_int_equal(ops_seqfit_new(&s.view, 1, 0, &f, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "line 5 is of kind 5"));
    fill(&s);
    s.lengths[3] = OPS_SEQFIT_EVENTS_MAX + 1;
    assert_int_equal(ops_seqfit_new(&s.view, 1, 0, &f, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "session 3 has 65 lines"));
    fill(&s);
    s.view.id_n--;
    assert_int_equal(ops_seqfit_new(&s.view, 1, 0, &f, &err), OPS_EINVAL);
    fill(&s);
    s.view.n = OPS_SEQFIT_SESSIONS_MAX + 1; /* refused before the lengths are looked at */
    assert_int_equal(ops_seqfit_new(&s.view, 1, 0, &f, &err), OPS_EINVAL);
    fill(&s);
    assert_int_equal(ops_seqfit_new(&s.view, 1, OPS_SEQFIT_STEPS_MAX + 1, &f, &err), OPS_EINVAL);
    s.view.n = OPS_SEQFIT_SESSIONS_MIN - 1;
    s.view.id_n = 3 * s.view.n;
    assert_int_equal(ops_seqfit_new(&s.view, 1, 0, &f, &err), OPS_EINVAL);
}

static void every_failed_allocation_is_survived(void **state)
{
    (void)state;
    sessions s;
    ops_status st = OPS_ENOMEM;
    fill(&s);
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_seqfit *f = NULL;
        bool done = false;
        ops_alloc_fail_at(nth);
        st = ops_seqfit_new(&s.view, 1, 2, &f, NULL);
        while (st == OPS_OK && !done)
            st = ops_seqfit_step(f, &done, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        ops_seqfit_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_learns_what_follows_what),
        cmocka_unit_test(a_session_scores_the_same_in_any_company),
        cmocka_unit_test(a_saved_model_scores_as_the_fit),
        cmocka_unit_test(what_is_out_of_bounds_is_refused_with_numbers),
        cmocka_unit_test(every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
