/* Sessions to workers and back, over a real dispatch with a worker that this test plays. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/learn/learner.h"
#include "proto/ops/v1/worker.pb-c.h"

enum { ORDERS_MAX = 64, ANSWERS_MAX = 128, PATIENCE_S = 30 };

typedef struct order {
    uint64_t id;
    Ops__V1__SequenceTask *task;
} order;

typedef struct told {
    uint32_t part;
    uint64_t stream, ticket;
    bool any;
    size_t scores;
    ops_session_surprise last;
    char hash[OPS_SESSION_HASH_MAX];
    size_t model_n, tail_n;
} told;

typedef struct world {
    ops_dispatch *d;
    ops_learner *l;
    uint64_t attachment;
    pthread_mutex_t lock;
    pthread_cond_t more;
    order orders[ORDERS_MAX];
    told answers[ANSWERS_MAX];
    size_t order_n, answer_n;
} world;

static world w;

/* --- the worker --- */

static ops_status on_send(void *ctx, const ops_dispatch_order *o)
{
    (void)ctx;
    assert_int_equal(o->job, OPS_DISPATCH_SEQUENCE);
    pthread_mutex_lock(&w.lock);
    assert_true(w.order_n < ORDERS_MAX);
    w.orders[w.order_n++] = (order){
        o->task_id, ops__v1__sequence_task__unpack(NULL, o->payload.n, (const uint8_t *)o->payload.p)};
    assert_non_null(w.orders[w.order_n - 1].task);
    pthread_cond_broadcast(&w.more);
    pthread_mutex_unlock(&w.lock);
    return OPS_OK;
}
static void on_cancel(void *ctx, uint64_t id)
{
    (void)ctx;
    (void)id;
}
static void on_drain(void *ctx, const char *reason)
{
    (void)ctx;
    (void)reason;
}
static void on_end(void *ctx, ops_status why, const char *message)
{
    (void)ctx;
    (void)why;
    (void)message;
}
static void attach(void)
{
    const ops_dispatch_hello h = {
        .worker_id = "w", .work_class = OPS_DISPATCH_BULK, .credits = 1000, .sequences = true};
    const ops_dispatch_port port = {.send = on_send, .cancel = on_cancel, .drain = on_drain, .end = on_end};
    assert_int_equal(ops_dispatch_attach(w.d, &h, &port, &w.attachment, NULL), OPS_OK);
}

/* --- the owner --- */

static void on_answer(void *u, uint32_t part, uint64_t stream, uint64_t ticket, const ops_session_answer *a)
{
    (void)u;
    pthread_mutex_lock(&w.lock);
    assert_true(w.answer_n < ANSWERS_MAX);
    told *t = &w.answers[w.answer_n++];
    *t = (told){.part = part, .stream = stream, .ticket = ticket, .any = a != NULL};
    if (a != NULL) {
        t->scores = a->n;
        t->last = a->n > 0 ? a->scores[a->n - 1] : t->last;
        (void)snprintf(t->hash, sizeof t->hash, OPS_SLICE_FMT, OPS_SLICE_ARG(a->model_hash));
        t->model_n = a->model.n;
        t->tail_n = a->tail_n;
    }
    pthread_cond_broadcast(&w.more);
    pthread_mutex_unlock(&w.lock);
}

static void wait_for(const size_t *what, size_t n)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&w.lock);
    int rc = 0;
    while (*what < n && rc == 0)
        rc = pthread_cond_timedwait(&w.more, &w.lock, &until);
    assert_true(*what >= n);
    pthread_mutex_unlock(&w.lock);
}

static void open_world(void)
{
    w = (world){.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};
    const ops_dispatch_conf dc = {.lost_after_ms = 1000000};
    assert_int_equal(ops_dispatch_new(&dc, &w.d, NULL), OPS_OK);
    const ops_learner_conf lc = {.dispatch = w.d, .answer = on_answer};
    assert_int_equal(ops_learner_new(&lc, &w.l, NULL), OPS_OK);
}
static void close_world(void)
{
    ops_learner_stop(w.l);
    ops_dispatch_free(w.d);
    ops_learner_free(w.l);
    for (size_t i = 0; i < w.order_n; i++)
        ops__v1__sequence_task__free_unpacked(w.orders[i].task, NULL);
    assert_int_equal(ops_alloc_live(), 0);
}
static ops_learner_stats stats(void)
{
    ops_learner_stats s;
    ops_learner_stats_get(w.l, &s);
    return s;
}
static void wait_until_it_can(void)
{
    const struct timespec a_while = {.tv_nsec = 5000000};
    for (int i = 0; i < PATIENCE_S * 200 && !ops_learner_can(w.l); i++)
        (void)nanosleep(&a_while, NULL);
    assert_true(ops_learner_can(w.l));
}

static bool want(uint64_t stream, bool train)
{
    static const uint32_t ids[] = {0, 1, 2, 3}, lengths[] = {3, 1};
    const ops_pipeline_work work = {.stream = stream,
                                    .work = {.ticket = 100 + stream,
                                             .train = train,
                                             .kinds = 3,
                                             .ids = ids,
                                             .id_n = 4,
                                             .lengths = lengths,
                                             .n = 2,
                                             .seed = 7,
                                             .model_hash = train ? (ops_slice){0} : OPS_SLICE("abc0"),
                                             .model = train ? (ops_slice){0} : OPS_SLICE("model bytes"),
                                             .allowance = 1.5}};
    return ops_learner_want(w.l, (uint32_t)stream % 4, &work);
}

static void say(const order *o, const Ops__V1__SequenceAnswer *m)
{
    static uint8_t bytes[1 << 16];
    const ops_dispatch_answer a = {.task_id = o->id,
                                   .outcome = OPS_DISPATCH_DONE,
                                   .message = "",
                                   .sequence =
                                       ops_slice_of((char *)bytes, ops__v1__sequence_answer__pack(m, bytes))};
    assert_int_equal(ops_dispatch_answered(w.d, w.attachment, &a, NULL), OPS_OK);
}

typedef enum { SCORES, MISSING, TOO_FEW } manner;

/* Every group of the order in one manner. */
static void say_groups(const order *o, manner how)
{
    float chance[] = {0.75F};
    uint32_t expected[] = {2};
    Ops__V1__SequenceSurprise one = OPS__V1__SEQUENCE_SURPRISE__INIT, *two[] = {&one, &one};
    one.surprise = 4.5;
    one.place = 1;
    one.seen = 0.25F;
    one.n_expected = one.n_chance = 1;
    one.expected = expected;
    one.chance = chance;
    Ops__V1__SequenceScored groups[OPS_LEARNER_GROUPS_MAX], *at[OPS_LEARNER_GROUPS_MAX];
    const size_t n = o->task->score->n_groups;
    for (size_t i = 0; i < n; i++) {
        ops__v1__sequence_scored__init(at[i] = &groups[i]);
        groups[i].model_missing = how == MISSING;
        groups[i].n_sessions = how == SCORES ? 2 : how == TOO_FEW ? 1 : 0;
        groups[i].sessions = two;
    }
    Ops__V1__SequenceAnswer m = OPS__V1__SEQUENCE_ANSWER__INIT;
    m.n_groups = n;
    m.groups = at;
    say(o, &m);
}

static void a_training_comes_back_as_a_model(void **state)
{
    (void)state;
    open_world();
    assert_false(ops_learner_can(w.l)); /* nobody is there */
    attach();
    wait_until_it_can();
    assert_true(want(1, true));
    wait_for(&w.order_n, 1);
    const Ops__V1__SequenceTask *t = w.orders[0].task;
    assert_int_equal(t->work_case, OPS__V1__SEQUENCE_TASK__WORK_TRAIN);
    assert_int_equal(t->train->sessions->kinds, 3);
    assert_int_equal(t->train->sessions->n_ids, 4);
    assert_int_equal(t->train->sessions->lengths[0], 3);
    assert_int_equal(t->train->seed, 7);
    char hash[] = "00ff";
    double tail[] = {3, 2};
    Ops__V1__SequenceTrained trained = OPS__V1__SEQUENCE_TRAINED__INIT;
    Ops__V1__SequenceAnswer m = OPS__V1__SEQUENCE_ANSWER__INIT;
    trained.model_hash = hash;
    trained.model = (ProtobufCBinaryData){5, (uint8_t *)hash};
    trained.n_tail = 2;
    trained.tail = tail;
    m.trained = &trained;
    say(&w.orders[0], &m);
    wait_for(&w.answer_n, 1);
    assert_true(w.answers[0].any && w.answers[0].stream == 1 && w.answers[0].ticket == 101);
    assert_string_equal(w.answers[0].hash, "00ff");
    assert_true(w.answers[0].model_n == 5 && w.answers[0].tail_n == 2);
    assert_int_equal(stats().trained, 1);
    /* What is no answer to a training. */
    assert_true(want(2, true));
    wait_for(&w.order_n, 2);
    m.trained = NULL;
    Ops__V1__SequenceScored none = OPS__V1__SEQUENCE_SCORED__INIT, *groups[] = {&none};
    m.n_groups = 1;
    m.groups = groups;
    say(&w.orders[1], &m);
    wait_for(&w.answer_n, 2);
    assert_false(w.answers[1].any);
    assert_int_equal(stats().refused, 1);
    close_world();
}

/* While one scoring is under way others gather, and go together; a training goes beside them. */
static void streams_share_a_task(void **state)
{
    (void)state;
    open_world();
    attach();
    wait_until_it_can();
    for (uint64_t stream = 1; stream <= 5; stream++)
        assert_true(want(stream, false));
    assert_true(want(6, true));
    wait_for(&w.order_n, 2);
    const size_t score = w.orders[0].task->work_case == OPS__V1__SEQUENCE_TASK__WORK_SCORE ? 0 : 1;
    assert_int_equal(w.orders[score].task->score->n_groups, 1);
    assert_int_equal(w.orders[score].task->score->groups[0]->model.len, 0); /* by its hash alone */
    assert_string_equal(w.orders[score].task->score->groups[0]->model_hash, "abc0");
    say_groups(&w.orders[score], SCORES);
    wait_for(&w.answer_n, 1);
    assert_int_equal(w.answers[0].scores, 2);
    assert_true(w.answers[0].last.surprise > 4 && w.answers[0].last.expected[0] == 2 &&
                w.answers[0].last.place == 1);
    wait_for(&w.order_n, 3);
    assert_int_equal(w.orders[2].task->score->n_groups, 4);
    say_groups(&w.orders[2], SCORES);
    wait_for(&w.answer_n, 5);
    for (size_t i = 0; i < 5; i++)
        assert_true(w.answers[i].any && w.answers[i].ticket == 100 + w.answers[i].stream &&
                    w.answers[i].part == w.answers[i].stream % 4);
    assert_int_equal(stats().scored, 10);
    close_world();
}

static void a_missing_model_is_sent_once(void **state)
{
    (void)state;
    open_world();
    attach();
    wait_until_it_can();
    assert_true(want(1, false));
    wait_for(&w.order_n, 1);
    say_groups(&w.orders[0], MISSING);
    wait_for(&w.order_n, 2);
    assert_int_equal(w.answer_n, 0);
    assert_int_equal(w.orders[1].task->score->groups[0]->model.len, 11);
    say_groups(&w.orders[1], SCORES);
    wait_for(&w.answer_n, 1);
    assert_true(w.answers[0].any);
    assert_int_equal(stats().models_sent, 1);
    /* A worker that never has it is not asked for ever. */
    assert_true(want(2, false));
    wait_for(&w.order_n, 3);
    say_groups(&w.orders[2], MISSING);
    wait_for(&w.order_n, 4);
    say_groups(&w.orders[3], MISSING);
    wait_for(&w.answer_n, 2);
    assert_false(w.answers[1].any);
    assert_int_equal(w.order_n, 4);
    /* Nor is half an answer one. */
    assert_true(want(3, false));
    wait_for(&w.order_n, 5);
    say_groups(&w.orders[4], TOO_FEW);
    wait_for(&w.answer_n, 3);
    assert_false(w.answers[2].any);
    assert_int_equal(stats().refused, 2);
    close_world();
}

static void a_lost_worker_is_told_and_what_is_too_much_is_not_taken(void **state)
{
    (void)state;
    open_world();
    attach();
    wait_until_it_can();
    assert_true(want(1, true));
    assert_true(want(1, false));
    wait_for(&w.order_n, 2);
    size_t taken = 0;
    while (taken < 200 && want(taken + 2, false))
        taken++;
    assert_int_equal(taken, OPS_LEARNER_WAITING_MAX);
    assert_false(ops_learner_can(w.l));
    ops_dispatch_detach(w.d, w.attachment, "killed");
    wait_for(&w.answer_n, 2); /* those that it had; the others wait for another */
    assert_false(w.answers[0].any || w.answers[1].any);
    assert_int_equal(stats().failed, 2);
    attach();
    wait_for(&w.order_n, 3);
    assert_int_equal(w.orders[2].task->score->n_groups, OPS_LEARNER_GROUPS_MAX);
    close_world(); /* with things waiting and under way */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_training_comes_back_as_a_model),
        cmocka_unit_test(streams_share_a_task),
        cmocka_unit_test(a_missing_model_is_sent_once),
        cmocka_unit_test(a_lost_worker_is_told_and_what_is_too_much_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
