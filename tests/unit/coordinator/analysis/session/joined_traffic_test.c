/* Traffic of random workflows with a model trained for real beside the detectors: nothing is told of hours of normal traffic,
 * and what goes wrong is told no later than without it, with what was expected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "tests/unit/coordinator/analysis/session/traffic.h"
#include "worker/train/seqfit.h"

enum { SEEDS = 1, SCORES_MAX = 128, NORMAL_S = 1000 };

typedef struct worker {
    ops_seqlm *model;
    size_t trainings;
} worker;

static ops_seqfit_sessions sessions_of(const ops_session_work *w)
{
    return (ops_seqfit_sessions){w->ids, w->id_n, w->lengths, w->n, w->kinds};
}

static void train(traffic *t, worker *k, const ops_session_work *w, const ops_session_view *view)
{
    ops_seqfit *f = NULL;
    ops_strbuf file;
    bool done = false;
    const double *tail;
    char hash[OPS_SEQFIT_HASH_MAX];
    const ops_seqfit_sessions s = sessions_of(w);
    assert_int_equal(ops_seqfit_new(&s, w->seed, 300, &f, NULL), OPS_OK);
    while (!done)
        assert_int_equal(ops_seqfit_step(f, &done, NULL), OPS_OK);
    ops_strbuf_init(&file, OPS_SEQFIT_MODEL_MAX);
    assert_int_equal(ops_seqfit_save(f, &file, NULL), OPS_OK);
    ops_seqfit_hash(ops_strbuf_get(&file), hash);
    const size_t n = ops_seqfit_tail(f, &tail);
    const ops_session_answer a = {.model_hash = ops_slice_str(hash),
                                  .model = ops_strbuf_get(&file),
                                  .allowance = ops_seqfit_allowance(f),
                                  .tail = tail,
                                  .tail_n = n};
    assert_int_equal(ops_session_watch_answer(t->watch, w->ticket, &a, view), OPS_OK);
    k->trainings++;
    ops_strbuf_done(&file);
    ops_seqfit_free(f);
}

static void score(traffic *t, worker *k, const ops_session_work *w, const ops_session_view *view)
{
    static ops_seqfit_score from[SCORES_MAX];
    static ops_session_surprise to[SCORES_MAX];
    const ops_seqfit_sessions s = sessions_of(w);
    assert_true(w->n <= SCORES_MAX);
    if (k->model == NULL) /* it is trained once */
        assert_int_equal(ops_seqfit_load(w->model, &k->model, NULL), OPS_OK);
    assert_int_equal(ops_seqfit_score_all(k->model, &s, w->allowance, from, NULL), OPS_OK);
    for (size_t i = 0; i < w->n; i++) {
        to[i] = (ops_session_surprise){.surprise = from[i].surprise,
                                       .place = from[i].place,
                                       .seen = from[i].seen,
                                       .expected_n = from[i].expected_n};
        memcpy(to[i].expected, from[i].expected, sizeof to[i].expected);
        memcpy(to[i].chance, from[i].chance, sizeof to[i].chance);
    }
    const ops_session_answer a = {.scores = to, .n = w->n};
    assert_int_equal(ops_session_watch_answer(t->watch, w->ticket, &a, view), OPS_OK);
}

/* A window at a time, with the worker after each; k NULL: without one. */
static void run(traffic *t, worker *k, double seconds)
{
    for (const int64_t end = t->now_ns + (int64_t)(seconds * 1e9); t->now_ns < end;) {
        const ops_session_view view = {traffic_resolve, traffic_name, t, t->folds, t->ill};
        ops_session_work w;
        traffic_run(t, 10);
        if (k == NULL || !ops_session_watch_work(t->watch, &view, &w))
            continue;
        if (w.train)
            train(t, k, &w, &view);
        else
            score(t, k, &w, &view);
    }
}

static bool judges(const traffic *t)
{
    ops_session_info i;
    ops_session_watch_info(t->watch, &i);
    return i.joined && i.phase == OPS_SESSION_WATCHING;
}

static void nothing_is_told_of_normal_traffic_and_faults_are_no_later_than_without(void **state)
{
    (void)state;
    static traffic t, twin;
    for (uint64_t seed = 11; seed < 11 + SEEDS; seed++) {
        worker k = {0};
        traffic_start(&t, seed);
        traffic_start(&twin, seed);
        t.per_s = twin.per_s = 2;
        run(&t, &k, NORMAL_S);
        run(&twin, NULL, NORMAL_S);
        assert_true(judges(&t));
        assert_int_equal(k.trainings, 1);
        assert_int_equal(t.told + twin.told, 0);
        t.fault = twin.fault = FLOW_MISSING;
        t.fault_share = twin.fault_share = 0.25;
        run(&t, &k, 120);
        run(&twin, NULL, 120);
        assert_true(t.told > 0);
        assert_true(twin.told == 0 || t.told_ns <= twin.told_ns);
        if (strstr(t.words, " %)") == NULL)
            fail_msg("%zu told: %s", t.told, t.words);
        assert_true(t.last.odd <= t.last.judged);
        ops_seqlm_free(k.model);
        traffic_done(&t);
        traffic_done(&twin);
    }
    assert_int_equal(ops_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_told_of_normal_traffic_and_faults_are_no_later_than_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
