/* A worker beside the detectors, played by this test: what it is asked, what its answers do, and that nothing needs it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "coordinator/analysis/session/watch.h"

#define SECOND ((int64_t)1000000000)
enum { BEGIN_W = 1000, PER_WINDOW = 24, SCORES_MAX = 128 };

typedef struct stage {
    ops_session_watch *watch;
    int64_t window;
    uint64_t keys, folds;
    uint32_t broken_in;  /* of so many sessions one lacks its third line; 0: none */
    uint32_t strange_in; /* of so many scores one is high; 0: none */
    uint64_t scored, seen;
    /* what was asked, and what was told */
    size_t trainings, scorings, told;
    bool answers;
    char words[512];
    ops_session_work work; /* the last, its pointers gone */
} stage;

static uint64_t resolve(void *u, uint64_t event)
{
    const stage *t = u;
    return t->folds > 0 && event == 6 ? 5 : event;
}

static ops_slice name(void *u, uint64_t event)
{
    static char text[32];
    (void)u;
    (void)snprintf(text, sizeof text, "event %llu", (unsigned long long)event);
    return ops_slice_str(text);
}

static ops_session_view view_of(stage *t)
{
    return (ops_session_view){resolve, name, t, t->folds, false};
}

static void start(stage *t)
{
    *t = (stage){.window = BEGIN_W, .answers = true};
    assert_int_equal(ops_session_watch_new(BEGIN_W, &t->watch, NULL), OPS_OK);
}

static void line(stage *t, uint64_t key, uint64_t event, int64_t at)
{
    char text[48];
    (void)snprintf(text, sizeof text, "line %llu of session %llu", (unsigned long long)event,
                   (unsigned long long)key);
    const ops_session_line l = {.key = key,
                                .event = event,
                                .window = t->window,
                                .time_ns = t->window * 10 * SECOND + at,
                                .log_offset = key,
                                .text = ops_slice_str(text)};
    ops_session_watch_add(t->watch, &l);
}

/* 1 2 3 4, then 5 or 6, with 4 and 3 the other way round in one of four; drawn, for of many sessions every second is learnt. */
static void session(stage *t, int64_t at)
{
    const uint64_t key = ++t->keys;
    const uint64_t drawn = ops_hash_mix(key);
    const bool swapped = drawn % 4 == 0, broken = t->broken_in > 0 && key % t->broken_in == 0;
    const uint64_t all[] = {1, 2, swapped ? 4 : 3, swapped ? 3 : 4, drawn / 4 % 3 == 0 ? 6 : 5};
    for (size_t i = 0; i < 5; i++)
        if (!broken || i != 2)
            line(t, key, all[i], at + (int64_t)i);
}

static ops_status train(stage *t, ops_session_answer *with)
{
    static const double tail[] = {3, 2, 1};
    ops_session_answer a = {.model_hash = OPS_SLICE("0123abcd"),
                            .model = OPS_SLICE("a model"),
                            .allowance = 1.5,
                            .tail = tail,
                            .tail_n = 3};
    const ops_session_view view = view_of(t);
    return ops_session_watch_answer(t->watch, t->work.ticket, with != NULL ? with : &a, &view);
}

static void fill_scores(stage *t, const ops_session_work *w, ops_session_surprise *s)
{
    for (size_t i = 0; i < w->n; i++) {
        const bool strange = t->strange_in > 0 && ++t->seen % t->strange_in == 0;
        s[i] = (ops_session_surprise){.surprise = strange ? 100 : 1.0 + (double)(++t->scored % 7) / 10,
                                      .place = 2,
                                      .seen = 0.001F,
                                      .expected = {2, w->kinds + 1},
                                      .chance = {0.75F, 0.125F},
                                      .expected_n = 2};
    }
}

static void work(stage *t)
{
    ops_session_work w;
    const ops_session_view view = view_of(t);
    if (!t->answers || !ops_session_watch_work(t->watch, &view, &w))
        return;
    t->work = w;
    if (w.train) {
        t->trainings++;
        assert_int_equal(train(t, NULL), OPS_OK);
        return;
    }
    ops_session_surprise s[SCORES_MAX];
    t->scorings++;
    assert_true(w.n <= SCORES_MAX && ops_slice_eq(w.model, OPS_SLICE("a model")));
    fill_scores(t, &w, s);
    const ops_session_answer a = {.scores = s, .n = w.n};
    assert_int_equal(ops_session_watch_answer(t->watch, w.ticket, &a, &view), OPS_OK);
}

static void close_window(stage *t)
{
    ops_session_odd odd;
    const ops_session_view view = view_of(t);
    if (ops_session_watch_close(t->watch, t->window++, &view, &odd)) {
        t->told++;
        assert_true(odd.odd <= odd.judged);
        (void)snprintf(t->words, sizeof t->words, OPS_SLICE_FMT, OPS_SLICE_ARG(odd.words));
    }
}

static void run(stage *t, size_t windows)
{
    for (size_t i = 0; i < windows; i++) {
        for (int64_t k = 0; k < PER_WINDOW; k++)
            session(t, k * (SECOND / 4));
        close_window(t);
        work(t);
    }
}

static ops_session_info info_of(const stage *t)
{
    ops_session_info i;
    ops_session_watch_info(t->watch, &i);
    return i;
}

/* Up to the phase that proves, where a training is due. */
static void run_until_learnt(stage *t)
{
    t->answers = false;
    for (size_t i = 0; i < 400 && info_of(t).phase < OPS_SESSION_PROVING; i++)
        run(t, 1);
    assert_int_equal(info_of(t).phase, OPS_SESSION_PROVING);
    t->answers = true;
}

static bool ask(stage *t)
{
    const ops_session_view view = view_of(t);
    return ops_session_watch_work(t->watch, &view, &t->work);
}

static void what_was_learnt_is_trained_once(void **state)
{
    (void)state;
    stage t;
    start(&t);
    assert_false(ask(&t));
    run_until_learnt(&t);
    assert_true(ask(&t));
    assert_true(t.work.train && t.work.kinds == 6 && t.work.n >= 200 && t.work.n <= 512);
    size_t lines = 0;
    for (size_t i = 0; i < t.work.n; i++)
        lines += t.work.lengths[i];
    assert_int_equal(lines, t.work.id_n);
    for (size_t i = 0; i < t.work.id_n; i++)
        assert_true(t.work.ids[i] < t.work.kinds);
    const uint64_t first = t.work.ticket;
    assert_false(ask(&t)); /* one at a time */
    const ops_session_view view = view_of(&t);
    assert_int_equal(ops_session_watch_answer(t.watch, first, NULL, &view), OPS_OK); /* nobody could */
    assert_int_equal(ops_session_watch_answer(t.watch, first, NULL, &view), OPS_ENOTFOUND);
    t.answers = false;
    assert_false(ask(&t)); /* not at once */
    run(&t, 6);
    assert_true(ask(&t));
    assert_true(t.work.train && t.work.ticket != first);
    assert_int_equal(train(&t, NULL), OPS_OK);
    assert_true(info_of(&t).trained && !info_of(&t).joined);
    t.folds = 1; /* and anew, whose answer is lost */
    run(&t, 6);
    assert_true(ask(&t) && t.work.train);
    run(&t, 119);
    assert_false(ask(&t));
    run(&t, 6);
    assert_true(ask(&t) && t.work.train);
    assert_int_equal(train(&t, NULL), OPS_OK);
    t.answers = true;
    run(&t, 60);
    assert_int_equal(t.trainings, 0);
    assert_true(t.scorings > 0 && info_of(&t).joined);
    ops_session_watch_free(t.watch);
}

/* Sessions in which no detector finds anything and the model does are told, in its words. */
static void what_only_the_model_finds_is_told(void **state)
{
    (void)state;
    stage t, twin;
    start(&t);
    start(&twin);
    twin.answers = false;
    run(&t, 200);
    run(&twin, 200);
    assert_true(info_of(&t).joined && info_of(&t).phase == OPS_SESSION_WATCHING);
    assert_int_equal(t.told + twin.told, 0);
    t.strange_in = 4;
    run(&t, 10);
    run(&twin, 10);
    assert_true(t.told > 0);
    assert_int_equal(twin.told, 0);
    assert_non_null(strstr(t.words, "after event 2 expected event 3 (75 %) or the end (12 %), saw event "));
    ops_session_watch_free(t.watch);
    ops_session_watch_free(twin.watch);
}

/* One surprise in 500 is what was promised: as often is usual, and nobody is told. */
static void surprises_as_often_as_promised_are_not_told(void **state)
{
    (void)state;
    stage t;
    start(&t);
    run(&t, 200);
    assert_true(info_of(&t).joined);
    t.strange_in = 500;
    run(&t, 400);
    assert_int_equal(t.told, 0);
    ops_session_watch_free(t.watch);
}

static void what_the_detectors_find_is_told_in_its_words_and_as_soon_without_it(void **state)
{
    (void)state;
    stage t, twin;
    size_t told_at[2] = {0};
    start(&t);
    start(&twin);
    twin.answers = false;
    run(&t, 200);
    run(&twin, 200);
    t.broken_in = twin.broken_in = 5;
    for (size_t i = 1; i <= 20; i++) {
        run(&t, 1);
        run(&twin, 1);
        told_at[0] = told_at[0] == 0 && t.told > 0 ? i : told_at[0];
        told_at[1] = told_at[1] == 0 && twin.told > 0 ? i : told_at[1];
    }
    assert_true(told_at[1] > 0);
    assert_true(told_at[0] > 0 && told_at[0] <= told_at[1]);
    assert_non_null(strstr(t.words, " expected event 3 (75 %)"));
    assert_null(strstr(twin.words, "%)"));
    assert_non_null(strstr(twin.words, "event "));
    ops_session_watch_free(t.watch);
    ops_session_watch_free(twin.watch);
}

static void a_worker_that_goes_silent_costs_nothing(void **state)
{
    (void)state;
    stage t, twin;
    start(&t);
    start(&twin);
    twin.answers = false;
    run(&t, 200);
    run(&twin, 200);
    t.answers = false;
    run(&t, 2);
    run(&twin, 2);
    assert_true(ask(&t)); /* and this is never answered */
    const uint64_t lost = t.work.ticket;
    assert_true(t.work.n > 0 && t.work.n <= SCORES_MAX);
    t.broken_in = twin.broken_in = 5;
    run(&t, 20);
    run(&twin, 20);
    assert_true(t.told > 0 && t.told == twin.told);
    assert_string_equal(t.words, twin.words);
    const ops_session_view view = view_of(&t);
    assert_int_equal(ops_session_watch_answer(t.watch, lost, NULL, &view), OPS_ENOTFOUND); /* given up */
    assert_true(ask(&t)); /* what ended since; no more than has room */
    assert_true(t.work.n <= SCORES_MAX && t.work.ticket != lost);
    ops_session_watch_free(t.watch);
    ops_session_watch_free(twin.watch);
}

static void templates_that_become_one_are_trained_anew(void **state)
{
    (void)state;
    stage t;
    start(&t);
    run(&t, 100);
    assert_int_equal(t.trainings, 1);
    t.answers = false;
    run(&t, 1);
    assert_true(ask(&t));
    ops_session_surprise s[SCORES_MAX];
    fill_scores(&t, &t.work, s);
    const ops_session_answer a = {.scores = s, .n = t.work.n};
    t.folds = 1;
    const ops_session_view view = view_of(&t);
    assert_int_equal(ops_session_watch_answer(t.watch, t.work.ticket, &a, &view), OPS_ENOTFOUND);
    t.answers = true;
    run(&t, 10);
    assert_int_equal(t.trainings, 2);
    assert_int_equal(t.work.kinds, 5);
    ops_session_watch_free(t.watch);
}

static void answers_to_something_else_are_refused(void **state)
{
    (void)state;
    stage t;
    start(&t);
    run_until_learnt(&t);
    static const double good[] = {3, 2, 1}, rising[] = {1, 2}, none[] = {NAN};
    static char big[OPS_SESSION_MODEL_MAX + 1], hash[OPS_SESSION_HASH_MAX + 1];
    memset(hash, 'a', OPS_SESSION_HASH_MAX);
    const ops_session_answer fine = {.model_hash = OPS_SLICE("0123abcd"),
                                     .model = OPS_SLICE("a model"),
                                     .allowance = 1.5,
                                     .tail = good,
                                     .tail_n = 3};
    ops_session_answer a[8] = {fine, fine, fine, fine, fine, fine, fine, fine};
    a[0].model = ops_slice_of(big, sizeof big);
    a[1].model = (ops_slice){0};
    a[2].model_hash = OPS_SLICE("none of hex");
    a[3].model_hash = ops_slice_of(hash, OPS_SESSION_HASH_MAX);
    a[4].tail = rising;
    a[5].tail = none;
    a[5].tail_n = 1;
    a[6].tail_n = 0;
    a[7].allowance = INFINITY;
    t.answers = false;
    for (size_t i = 0; i < 8; i++, run(&t, 6)) {
        assert_true(ask(&t) && t.work.train);
        assert_int_equal(train(&t, &a[i]), OPS_EINVAL);
        assert_false(info_of(&t).trained);
    }
    assert_true(ask(&t));
    assert_int_equal(train(&t, NULL), OPS_OK);
    for (size_t i = 0; i < 8; i++) {
        run(&t, 1);
        assert_true(ask(&t) && !t.work.train);
        ops_session_surprise s[SCORES_MAX];
        fill_scores(&t, &t.work, s);
        ops_session_answer bad = {.scores = s, .n = i == 0 ? t.work.n - 1 : t.work.n};
        s[1].surprise = i == 1 ? NAN : i == 2 ? -1 : 1;
        s[1].place = i == 3 ? t.work.lengths[1] + 1 : 0;
        s[1].expected[0] = i == 4 ? t.work.kinds : i == 5 ? t.work.kinds + 2 : 0;
        s[1].chance[1] = i == 6 ? 1.5F : 0;
        s[1].expected_n = i == 7 ? 3 : 2;
        const ops_session_view view = view_of(&t);
        assert_int_equal(ops_session_watch_answer(t.watch, t.work.ticket, &bad, &view), OPS_EINVAL);
    }
    assert_false(info_of(&t).joined);
    ops_session_watch_free(t.watch);
}

typedef struct record {
    char key[OPS_SESSION_RECORD_KEY_MAX], *val;
    size_t key_n, val_n;
} record;

typedef struct records {
    OPS_VEC(record) all;
} records;

static ops_status emit(void *u, ops_slice key, ops_slice val)
{
    records *r = u;
    record *at = NULL;
    for (size_t i = 0; i < r->all.n; i++)
        if (ops_slice_eq(ops_slice_of(r->all.v[i].key, r->all.v[i].key_n), key))
            at = &r->all.v[i];
    if (at == NULL) {
        const record fresh = {.key_n = key.n};
        assert_true(ops_vec_push(&r->all, fresh));
        at = &r->all.v[r->all.n - 1];
        memcpy(at->key, key.p, key.n);
    }
    ops_free(at->val);
    at->val = ops_strndup(val.n > 0 ? val.p : "", val.n);
    at->val_n = val.n;
    return OPS_OK;
}

static void a_trained_model_is_kept_over_a_restart(void **state)
{
    (void)state;
    stage t, next;
    records r = {0};
    start(&t);
    run(&t, 200);
    assert_true(info_of(&t).joined);
    assert_int_equal(ops_session_watch_save(t.watch, emit, &r), OPS_OK);
    next = t;
    assert_int_equal(ops_session_watch_new(0, &next.watch, NULL), OPS_OK);
    for (size_t i = 0; i < r.all.n; i++)
        if (r.all.v[i].val_n > 0)
            assert_int_equal(ops_session_watch_load(next.watch,
                                                    ops_slice_of(r.all.v[i].key, r.all.v[i].key_n),
                                                    ops_slice_of(r.all.v[i].val, r.all.v[i].val_n)),
                             OPS_OK);
    assert_int_equal(ops_session_watch_load_done(next.watch), OPS_OK);
    assert_true(info_of(&next).trained && info_of(&next).joined);
    t.strange_in = next.strange_in = 4;
    run(&t, 10);
    run(&next, 10);
    assert_int_equal(next.trainings, 1); /* the first one's */
    assert_true(next.told > 0 && next.told == t.told);
    assert_string_equal(next.words, t.words);
    /* What is learnt anew takes the records with it. */
    next.folds = 1;
    next.answers = false;
    run(&next, 1);
    assert_int_equal(ops_session_watch_save(next.watch, emit, &r), OPS_OK);
    size_t gone = 0;
    for (size_t i = 0; i < r.all.n; i++)
        gone += r.all.v[i].key_n == 1 && strchr("jm", r.all.v[i].key[0]) != NULL && r.all.v[i].val_n == 0;
    assert_int_equal(gone, 2);
    for (size_t i = 0; i < r.all.n; i++)
        ops_free(r.all.v[i].val);
    ops_vec_done(&r.all);
    ops_session_watch_free(t.watch);
    ops_session_watch_free(next.watch);
    assert_int_equal(ops_alloc_live(), 0);
}

/* Whatever allocation fails, the traffic goes on, and the model is there in the end. */
static void allocations_may_fail(void **state)
{
    (void)state;
    for (long nth = 1; nth < 4000; nth += 97) {
        stage t;
        start(&t);
        run_until_learnt(&t);
        t.answers = false;
        ops_alloc_fail_at(nth);
        for (size_t i = 0; i < 60; i++) {
            run(&t, 1);
            if (!ask(&t))
                continue;
            ops_session_surprise s[SCORES_MAX];
            if (t.work.train) {
                (void)(train(&t, NULL) == OPS_OK);
                continue;
            }
            fill_scores(&t, &t.work, s);
            const ops_session_answer a = {.scores = s, .n = t.work.n};
            const ops_session_view view = view_of(&t);
            (void)(ops_session_watch_answer(t.watch, t.work.ticket, &a, &view) == OPS_OK);
        }
        ops_alloc_fail_at(0);
        assert_true(info_of(&t).trained);
        ops_session_watch_free(t.watch);
        assert_int_equal(ops_alloc_live(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_learnt_is_trained_once),
        cmocka_unit_test(what_only_the_model_finds_is_told),
        cmocka_unit_test(surprises_as_often_as_promised_are_not_told),
        cmocka_unit_test(what_the_detectors_find_is_told_in_its_words_and_as_soon_without_it),
        cmocka_unit_test(a_worker_that_goes_silent_costs_nothing),
        cmocka_unit_test(templates_that_become_one_are_trained_anew),
        cmocka_unit_test(answers_to_something_else_are_refused),
        cmocka_unit_test(a_trained_model_is_kept_over_a_restart),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
