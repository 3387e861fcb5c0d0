/* The owner thread around the desk, with real threads: many submitters, workers that answer from threads of their own. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "base/sched/mailbox.h"
#include "base/sched/thread.h"
#include "coordinator/dispatch/dispatch.h"

enum { TASKS = 400, DIM = 3 };

/* A worker whose thread answers every order with its id, or keeps silent after `dies_after` of them. */
typedef struct worker {
    ops_dispatch *d;
    uint64_t attachment;
    ops_mailbox *orders;
    ops_thread *thread;
    int dies_after;
    atomic_int killed, ended;
} worker;

static ops_status on_send(void *ctx, const ops_dispatch_order *o)
{
    worker *w = ctx;
    uint64_t *id = ops_memdup(&o->task_id, sizeof o->task_id);
    const ops_status st = id != NULL ? ops_mailbox_post(w->orders, id, 0) : OPS_EAGAIN;
    if (st != OPS_OK)
        ops_free(id);
    return st;
}
static void on_cancel(void *ctx, uint64_t id)
{
    (void)ctx;
    (void)id;
}
static void on_drain(void *ctx, const char *reason)
{
    worker *w = ctx;
    ops_dispatch_draining(w->d, w->attachment, reason);
}
static void on_end(void *ctx, ops_status why, const char *message)
{
    (void)why;
    (void)message;
    worker *w = ctx;
    ops_mailbox_close(w->orders);
    atomic_fetch_add(&w->ended, 1);
}

static void work(void *arg)
{
    worker *w = arg;
    void *m;
    for (int n = 0; ops_mailbox_take(w->orders, -1, &m) == OPS_OK; n++) {
        const uint64_t id = *(uint64_t *)m;
        ops_free(m);
        if (w->dies_after > 0 && n >= w->dies_after) {
            ops_dispatch_detach(w->d, w->attachment, "killed");
            atomic_store(&w->killed, 1);
            continue;
        }
        const float v[DIM] = {(float)id, 0, 0};
        const ops_dispatch_answer a = {
            .task_id = id, .outcome = OPS_DISPATCH_DONE, .vectors = v, .rows = 1, .dim = DIM, .tokens = 7};
        ops_dispatch_heartbeat(w->d, w->attachment, 1);
        (void)(ops_dispatch_answered(w->d, w->attachment, &a, NULL) == OPS_OK);
    }
}

static void start_worker(ops_dispatch *d, worker *w, const char *id, int dies_after)
{
    memset(w, 0, sizeof *w);
    w->d = d;
    w->dies_after = dies_after;
    assert_int_equal(ops_mailbox_new(TASKS, 0, &w->orders, NULL), OPS_OK);
    ops_dispatch_hello h = {.model_count = 1, .credits = 50};
    (void)snprintf(h.worker_id, sizeof h.worker_id, "%s", id);
    (void)snprintf(h.models[0].name, sizeof h.models[0].name, "m");
    (void)snprintf(h.models[0].job, sizeof h.models[0].job, "embed");
    h.models[0].dim = DIM;
    const ops_dispatch_port port = {
        .send = on_send, .cancel = on_cancel, .drain = on_drain, .end = on_end, .ctx = w};
    assert_int_equal(ops_dispatch_attach(d, &h, &port, &w->attachment, NULL), OPS_OK);
    assert_int_equal(ops_thread_start(work, w, "worker", &w->thread, NULL), OPS_OK);
}
static void stop_worker(worker *w) /* after the dispatch ended it */
{
    ops_thread_join(w->thread);
    void *m;
    while (ops_mailbox_take(w->orders, 0, &m) == OPS_OK)
        ops_free(m);
    ops_mailbox_free(w->orders);
    assert_int_equal(atomic_load(&w->ended), 1);
}

typedef struct tally {
    atomic_int times[TASKS], ok, bad, cancelled;
} tally;
typedef struct ticket {
    tally *t;
    int i;
} ticket;

static void on_done(void *ctx, const ops_dispatch_result *r)
{
    ticket *k = ctx;
    atomic_fetch_add(&k->t->times[k->i], 1);
    if (r->status == OPS_OK && r->vectors[0] == (float)r->task_id && r->rows == 1 && r->dim == DIM)
        atomic_fetch_add(&k->t->ok, 1);
    else if (r->status == OPS_ECANCELLED)
        atomic_fetch_add(&k->t->cancelled, 1);
    else
        atomic_fetch_add(&k->t->bad, 1);
}

static ops_status submit(ops_dispatch *d, ticket *k)
{
    char key[16];
    (void)snprintf(key, sizeof key, "k%d", k->i % 7);
    const ops_slice text = OPS_SLICE("a text");
    const ops_dispatch_task task = {.work_class = OPS_DISPATCH_BULK,
                                    .key = ops_slice_str(key),
                                    .texts = &text,
                                    .text_count = 1,
                                    .tokens = 5,
                                    .done = on_done,
                                    .ctx = k};
    return ops_dispatch_submit(d, &task, NULL, NULL);
}

typedef struct crowd {
    ops_dispatch *d;
    ticket *k;
    int from, to;
    atomic_int refused;
} crowd;
static void submit_all(void *arg)
{
    crowd *c = arg;
    for (int i = c->from; i < c->to; i++)
        if (submit(c->d, &c->k[i]) != OPS_OK)
            atomic_fetch_add(&c->refused, 1);
}

static bool eventually(int (*fn)(void *), void *ctx, int want)
{
    const struct timespec nap = {0, 2000000};
    for (int i = 0; i < 5000; i++) { /* ten seconds at most */
        if (fn(ctx) == want)
            return true;
        (void)nanosleep(&nap, NULL);
    }
    return false;
}
static int finished(void *ctx)
{
    tally *t = ctx;
    return atomic_load(&t->ok) + atomic_load(&t->bad) + atomic_load(&t->cancelled);
}
static int killed(void *ctx)
{
    worker *w = ctx;
    return atomic_load(&w->killed);
}
static int workers(void *ctx)
{
    return (int)ops_dispatch_workers(ctx, NULL, 0);
}

static void every_task_is_done_once_while_a_worker_is_killed(void **state)
{
    (void)state;
    static tally t;
    static ticket k[TASKS];
    memset(&t, 0, sizeof t);
    ops_dispatch *d = NULL;
    const ops_dispatch_conf conf = {.queue_max = TASKS};
    assert_int_equal(ops_dispatch_new(&conf, &d, NULL), OPS_OK);
    worker w[3];
    start_worker(d, &w[1], "w1", 20); /* alone at first, so that it surely sees its end */
    for (int i = 0; i < TASKS; i++)
        k[i] = (ticket){&t, i};
    crowd c[2] = {{.d = d, .k = k, .from = 0, .to = TASKS / 2},
                  {.d = d, .k = k, .from = TASKS / 2, .to = TASKS}};
    ops_thread *th[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(ops_thread_start(submit_all, &c[i], "submit", &th[i], NULL), OPS_OK);
    assert_true(eventually(killed, &w[1], 1));
    start_worker(d, &w[0], "w0", 0);
    start_worker(d, &w[2], "w2", 0);
    for (int i = 0; i < 2; i++)
        ops_thread_join(th[i]);
    assert_int_equal(c[0].refused + c[1].refused, 0);
    assert_true(eventually(finished, &t, TASKS));
    assert_int_equal(atomic_load(&t.ok), TASKS);
    assert_true(eventually(workers, d, 2));
    ops_dispatch_worker seen[OPS_DISPATCH_MODELS_MAX];
    assert_int_equal(ops_dispatch_workers(d, seen, OPS_DISPATCH_MODELS_MAX), 2);
    assert_string_equal(seen[0].worker_id, "w0");
    assert_string_equal(seen[0].models[0].name, "m");
    const ops_dispatch_counts n = ops_dispatch_counts_get(d);
    assert_int_equal(n.done, TASKS);
    assert_int_equal(n.workers_lost, 1);
    assert_true(n.retried >= 1 && n.retried <= 10); /* what fits in 50 credits of 5 */
    assert_int_equal(n.poisoned, 0);
    ops_dispatch_free(d);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(atomic_load(&t.times[i]), 1);
    for (int i = 0; i < 3; i++)
        stop_worker(&w[i]);
    assert_int_equal(ops_alloc_live(), 0);
}

static void full_is_told_and_stopping_answers_everyone(void **state)
{
    (void)state;
    static tally t;
    static ticket k[TASKS];
    memset(&t, 0, sizeof t);
    ops_dispatch *d = NULL;
    const ops_dispatch_conf conf = {.queue_max = 10};
    assert_int_equal(ops_dispatch_new(&conf, &d, NULL), OPS_OK);
    for (int i = 0; i < 20; i++) {
        k[i] = (ticket){&t, i};
        assert_int_equal(submit(d, &k[i]), i < 10 ? OPS_OK : OPS_EAGAIN);
    }
    worker w;
    assert_int_equal(ops_dispatch_drain(d, "w", "why", NULL), OPS_ENOTFOUND);
    start_worker(d, &w, "w", 0);
    assert_true(eventually(finished, &t, 10));
    assert_int_equal(ops_dispatch_drain(d, "w", "why", NULL), OPS_OK);
    for (int tries = 0; tries < 2000; tries++) {
        ops_dispatch_worker seen;
        if (ops_dispatch_workers(d, &seen, 1) == 1 && seen.draining)
            break;
        const struct timespec nap = {0, 5000000};
        (void)nanosleep(&nap, NULL);
    }
    k[0] = (ticket){&t, 0};
    assert_int_equal(submit(d, &k[0]), OPS_OK); /* nobody takes it */
    ops_dispatch_free(d);
    assert_int_equal(atomic_load(&t.cancelled), 1);
    assert_int_equal(atomic_load(&t.ok), 10);
    stop_worker(&w);
    assert_int_equal(ops_alloc_live(), 0);
}

static void bad_hellos_are_refused_at_once(void **state)
{
    (void)state;
    ops_dispatch *d = NULL;
    const ops_dispatch_conf conf = {0};
    assert_int_equal(ops_dispatch_new(&conf, &d, NULL), OPS_OK);
    assert_int_equal(ops_dispatch_heartbeat_ms(d), 2000);
    ops_dispatch_hello h = {.worker_id = "w", .credits = 1, .model_count = OPS_DISPATCH_MODELS_MAX + 1};
    const ops_dispatch_port port = {
        .send = on_send, .cancel = on_cancel, .drain = on_drain, .end = on_end, .ctx = NULL};
    uint64_t a;
    ops_err err;
    assert_int_equal(ops_dispatch_attach(d, &h, &port, &a, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "models"));
    const float v[1] = {0};
    const ops_dispatch_answer huge = {
        .task_id = 1, .outcome = OPS_DISPATCH_DONE, .vectors = v, .rows = SIZE_MAX / 2, .dim = 4};
    assert_int_equal(ops_dispatch_answered(d, 1, &huge, &err), OPS_ETOOBIG);
    ops_dispatch_detach(d, 99, "unknown"); /* ignored */
    ops_dispatch_free(d);
    assert_int_equal(ops_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_is_done_once_while_a_worker_is_killed),
        cmocka_unit_test(full_is_told_and_stopping_answers_everyone),
        cmocka_unit_test(bad_hellos_are_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
