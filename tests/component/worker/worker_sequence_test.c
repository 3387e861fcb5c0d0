/* Sessions learnt and scored by a worker in the same process, by the messages that go over a stream. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "opsd/local/local_worker.h"
#include "proto/ops/v1/worker.pb-c.h"
#include "tests/component/worker/tasks.h"
#include "tests/support/gate_engine.h"

enum { A, B, C, D, KINDS, SESSIONS = 32, PATIENCE_MS = 120000 };

typedef struct outcome {
    atomic_int times;
    ops_status status;
    char message[256];
    Ops__V1__SequenceAnswer *answer;
} outcome;

static void on_done(void *ctx, const ops_dispatch_result *r)
{
    outcome *o = ctx;
    o->status = r->status;
    (void)snprintf(o->message, sizeof o->message, "%s", r->message);
    if (r->sequence.n > 0)
        o->answer = ops__v1__sequence_answer__unpack(NULL, r->sequence.n, (const uint8_t *)r->sequence.p);
    atomic_fetch_add(&o->times, 1);
}
static int outcome_times(void *ctx)
{
    return atomic_load(&((outcome *)ctx)->times);
}
static void forget(outcome *o)
{
    if (o->answer != NULL)
        ops__v1__sequence_answer__free_unpacked(o->answer, NULL);
    memset(o, 0, sizeof *o);
}

static uint64_t submit(ops_dispatch *d, const Ops__V1__SequenceTask *m, outcome *o)
{
    static uint8_t bytes[OPS_DISPATCH_PAYLOAD_MAX];
    uint64_t id = 0;
    memset(o, 0, sizeof *o);
    const ops_dispatch_task task = {.work_class = OPS_DISPATCH_BULK,
                                    .job = OPS_DISPATCH_SEQUENCE,
                                    .payload =
                                        ops_slice_of((char *)bytes, ops__v1__sequence_task__pack(m, bytes)),
                                    .deadline_ms = PATIENCE_MS,
                                    .done = on_done,
                                    .ctx = o};
    assert_int_equal(ops_dispatch_submit(d, &task, &id, NULL), OPS_OK);
    return id;
}

typedef struct work {
    Ops__V1__Sessions sessions;
    Ops__V1__SequenceTrain train;
    Ops__V1__SequenceTask task;
    uint32_t ids[SESSIONS * 3], lengths[SESSIONS];
} work;

/* A, then B or one time in four C, then D. */
static void training(work *w, uint32_t steps)
{
    ops__v1__sessions__init(&w->sessions);
    ops__v1__sequence_train__init(&w->train);
    ops__v1__sequence_task__init(&w->task);
    for (uint32_t i = 0; i < SESSIONS; i++) {
        const uint32_t one[] = {A, i % 4 == 3 ? C : B, D};
        memcpy(w->ids + 3 * (size_t)i, one, sizeof one);
        w->lengths[i] = 3;
    }
    w->sessions.kinds = KINDS;
    w->sessions.n_ids = SESSIONS * 3;
    w->sessions.ids = w->ids;
    w->sessions.n_lengths = SESSIONS;
    w->sessions.lengths = w->lengths;
    w->train.sessions = &w->sessions;
    w->train.seed = 1;
    w->train.steps = steps;
    w->task.work_case = OPS__V1__SEQUENCE_TASK__WORK_TRAIN;
    w->task.train = &w->train;
}

/* One group of two sessions: as learnt, and without its middle. */
static void scoring(ops_dispatch *d, const char *hash, ProtobufCBinaryData model, double allowance,
                    outcome *o)
{
    uint32_t ids[] = {A, B, D, A, D}, lengths[] = {3, 2};
    char name[80];
    (void)snprintf(name, sizeof name, "%s", hash);
    Ops__V1__Sessions s = OPS__V1__SESSIONS__INIT;
    s.kinds = KINDS;
    s.n_ids = 5;
    s.ids = ids;
    s.n_lengths = 2;
    s.lengths = lengths;
    Ops__V1__SequenceGroup g = OPS__V1__SEQUENCE_GROUP__INIT, *gs[] = {&g};
    g.model_hash = name;
    g.model = model;
    g.allowance = allowance;
    g.sessions = &s;
    Ops__V1__SequenceScore score = OPS__V1__SEQUENCE_SCORE__INIT;
    score.n_groups = 1;
    score.groups = gs;
    Ops__V1__SequenceTask m = OPS__V1__SEQUENCE_TASK__INIT;
    m.work_case = OPS__V1__SEQUENCE_TASK__WORK_SCORE;
    m.score = &score;
    (void)submit(d, &m, o);
    assert_true(gate_until(outcome_times, o, 1));
}

typedef struct place {
    ops_dispatch *d;
    ops_local_worker *w;
    struct gate g;
} place;

static void start_worker(place *p, const char *id)
{
    p->g = (struct gate)GATE(true);
    assert_int_equal(ops_local_worker_new(p->d, id, 0, gate_engine_new(&p->g), &p->w, NULL), OPS_OK);
}
static void open_place(place *p)
{
    const ops_dispatch_conf conf = {.lost_after_ms = 600000};
    assert_int_equal(ops_dispatch_new(&conf, &p->d, NULL), OPS_OK);
    start_worker(p, "one");
}
static void close_place(place *p)
{
    ops_local_worker_free(p->w, 1000);
    ops_dispatch_free(p->d);
}

static void a_model_is_trained_and_scores(void **state)
{
    (void)state;
    place p;
    work w;
    outcome trained, scored;
    const ProtobufCBinaryData none = {0};
    open_place(&p);
    training(&w, 60);
    (void)submit(p.d, &w.task, &trained);
    assert_true(gate_until(outcome_times, &trained, 1));
    assert_int_equal(trained.status, OPS_OK);
    const Ops__V1__SequenceTrained *t = trained.answer->trained;
    assert_non_null(t);
    assert_true(t->model.len > 1000 && t->n_tail == 4 && t->allowance > 0);
    scoring(p.d, t->model_hash, none, t->allowance, &scored); /* the worker has it: it made it */
    assert_int_equal(scored.status, OPS_OK);
    assert_int_equal(scored.answer->n_groups, 1);
    assert_false(scored.answer->groups[0]->model_missing);
    assert_int_equal(scored.answer->groups[0]->n_sessions, 2);
    const Ops__V1__SequenceSurprise *odd = scored.answer->groups[0]->sessions[1];
    assert_true(odd->surprise > scored.answer->groups[0]->sessions[0]->surprise);
    assert_int_equal(odd->place, 1);
    assert_int_equal(odd->n_expected, 2);
    assert_int_equal(odd->expected[0], B);
    forget(&scored);
    /* Another worker has not, says so, and takes it. */
    ops_local_worker_free(p.w, 1000);
    start_worker(&p, "two");
    scoring(p.d, t->model_hash, none, t->allowance, &scored);
    assert_true(scored.answer->groups[0]->model_missing);
    assert_int_equal(scored.answer->groups[0]->n_sessions, 0);
    forget(&scored);
    scoring(p.d, t->model_hash, t->model, t->allowance, &scored);
    assert_int_equal(scored.answer->groups[0]->n_sessions, 2);
    assert_int_equal(scored.answer->groups[0]->sessions[1]->place, 1);
    forget(&scored);
    /* A model under another's name is not taken. */
    scoring(p.d, "00000000000000000000000000000000", t->model, t->allowance, &scored);
    assert_int_equal(scored.answer->groups[0]->n_sessions, 0);
    assert_non_null(strstr(scored.answer->groups[0]->message, t->model_hash));
    forget(&scored);
    forget(&trained);
    close_place(&p);
}

static void what_no_worker_can_do_fails_with_numbers(void **state)
{
    (void)state;
    place p;
    work w;
    outcome o;
    open_place(&p);
    training(&w, 1);
    w.ids[7] = KINDS + 1;
    (void)submit(p.d, &w.task, &o);
    assert_true(gate_until(outcome_times, &o, 1));
    assert_int_equal(o.status, OPS_EINVAL);
    assert_non_null(strstr(o.message, "line 7 is of kind 5"));
    forget(&o);
    training(&w, 1000000);
    (void)submit(p.d, &w.task, &o);
    assert_true(gate_until(outcome_times, &o, 1));
    assert_int_equal(o.status, OPS_EINVAL);
    forget(&o);
    training(&w, 1);
    Ops__V1__SequenceScore nothing = OPS__V1__SEQUENCE_SCORE__INIT;
    w.task.work_case = OPS__V1__SEQUENCE_TASK__WORK_SCORE;
    w.task.score = &nothing;
    (void)submit(p.d, &w.task, &o);
    assert_true(gate_until(outcome_times, &o, 1));
    assert_int_equal(o.status, OPS_EINVAL);
    assert_non_null(strstr(o.message, "0 groups"));
    forget(&o);
    close_place(&p);
}

/* While a training runs, texts are embedded, and a cancel ends it long before its steps are done. */
static void a_training_holds_nothing_up_and_can_be_cancelled(void **state)
{
    (void)state;
    place p;
    work w;
    outcome o;
    struct task_seen text;
    open_place(&p);
    training(&w, 2048);
    const uint64_t id = submit(p.d, &w.task, &o);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(task_submit(p.d, &text, OPS_SLICE("a text"), 0), OPS_OK);
        assert_true(gate_until(task_times, &text, 1));
        assert_int_equal(text.status, OPS_OK);
    }
    ops_dispatch_cancel(p.d, id);
    assert_true(gate_until(outcome_times, &o, 1));
    assert_int_equal(o.status, OPS_ECANCELLED);
    /* A drain does not wait for one either: it goes to who comes next. */
    (void)submit(p.d, &w.task, &o);
    ops_local_worker_free(p.w, 60000);
    assert_int_equal(outcome_times(&o), 0);
    start_worker(&p, "two");
    close_place(&p);
    assert_int_equal(outcome_times(&o), 1);
    forget(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_trained_and_scores),
        cmocka_unit_test(what_no_worker_can_do_fails_with_numbers),
        cmocka_unit_test(a_training_holds_nothing_up_and_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
