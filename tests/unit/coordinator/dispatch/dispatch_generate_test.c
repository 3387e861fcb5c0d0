/* Pieces of answers and cancels through the owner thread and its mailbox. */
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
#include "coordinator/dispatch/dispatch.h"

enum { PIECES = 500 };

/* A worker that only writes down what it is told. */
typedef struct worker {
    uint64_t attachment;
    _Atomic uint64_t ordered, cancelled;
    atomic_int ended;
} worker;

static ops_status on_send(void *ctx, const ops_dispatch_order *o)
{
    atomic_store(&((worker *)ctx)->ordered, o->task_id);
    return OPS_OK;
}
static void on_cancel(void *ctx, uint64_t id)
{
    atomic_store(&((worker *)ctx)->cancelled, id);
}
static void on_drain(void *ctx, const char *reason)
{
    (void)ctx;
    (void)reason;
}
static void on_end(void *ctx, ops_status why, const char *message)
{
    (void)why;
    (void)message;
    atomic_fetch_add(&((worker *)ctx)->ended, 1);
}

static void attach(ops_dispatch *d, worker *w)
{
    memset(w, 0, sizeof *w);
    ops_dispatch_hello h = {.worker_id = "w", .model_count = 1, .credits = 100000};
    h.models[0] = (ops_dispatch_model){.name = "m", .job = "generate"};
    const ops_dispatch_port port = {
        .send = on_send, .cancel = on_cancel, .drain = on_drain, .end = on_end, .ctx = w};
    assert_int_equal(ops_dispatch_attach(d, &h, &port, &w->attachment, NULL), OPS_OK);
}

typedef struct reader {
    pthread_mutex_t *hold; /* NULL: never behind */
    atomic_int heard, out_of_order, done;
    _Atomic ops_status status;
    char end[8];
} reader;

static void on_delta(void *ctx, ops_slice delta)
{
    reader *r = ctx;
    if (r->hold != NULL) {
        pthread_mutex_lock(r->hold);
        pthread_mutex_unlock(r->hold);
    }
    int i = -1;
    if (delta.n >= sizeof i)
        memcpy(&i, delta.p, sizeof i);
    if (i != atomic_fetch_add(&r->heard, 1) || atomic_load(&r->done) > 0)
        atomic_fetch_add(&r->out_of_order, 1);
}
static void on_done(void *ctx, const ops_dispatch_result *res)
{
    reader *r = ctx;
    (void)snprintf(r->end, sizeof r->end, OPS_SLICE_FMT, OPS_SLICE_ARG(res->end));
    atomic_store(&r->status, res->status);
    atomic_fetch_add(&r->done, 1);
}

static uint64_t submit(ops_dispatch *d, reader *r)
{
    const ops_dispatch_task task = {.work_class = OPS_DISPATCH_INTERACTIVE,
                                    .job = OPS_DISPATCH_GENERATE,
                                    .payload = OPS_SLICE("a request"),
                                    .delta = on_delta,
                                    .done = on_done,
                                    .ctx = r};
    uint64_t id = 0;
    assert_int_equal(ops_dispatch_submit(d, &task, &id, NULL), OPS_OK);
    return id;
}

static void nap(void)
{
    const struct timespec ts = {0, 1000000};
    (void)nanosleep(&ts, NULL);
}
static void await_id(_Atomic uint64_t *at, uint64_t want)
{
    for (int i = 0; i < 10000 && atomic_load(at) != want; i++)
        nap();
    assert_int_equal(atomic_load(at), want);
}
static void await_done(reader *r)
{
    for (int i = 0; i < 10000 && atomic_load(&r->done) == 0; i++)
        nap();
    assert_int_equal(atomic_load(&r->done), 1);
}

static void pieces_are_told_in_order(void **state)
{
    (void)state;
    ops_dispatch *d = NULL;
    const ops_dispatch_conf conf = {0};
    assert_int_equal(ops_dispatch_new(&conf, &d, NULL), OPS_OK);
    worker w;
    attach(d, &w);
    static reader r;
    const uint64_t id = submit(d, &r);
    await_id(&w.ordered, id);
    for (int i = 0; i < PIECES; i++)
        assert_int_equal(
            ops_dispatch_delta(d, w.attachment, id, ops_slice_of((const char *)&i, sizeof i), NULL), OPS_OK);
    const ops_dispatch_answer a = {.task_id = id, .outcome = OPS_DISPATCH_DONE, .end = OPS_SLICE("end")};
    assert_int_equal(ops_dispatch_answered(d, w.attachment, &a, NULL), OPS_OK);
    await_done(&r);
    assert_int_equal(atomic_load(&r.heard), PIECES);
    assert_int_equal(atomic_load(&r.out_of_order), 0);
    assert_int_equal(atomic_load(&r.status), OPS_OK);
    assert_string_equal(r.end, "end");
    ops_dispatch_free(d);
    assert_int_equal(atomic_load(&w.ended), 1);
    assert_int_equal(ops_alloc_live(), 0);
}

/* Posted right behind its task, and more often than there is room to note it. */
static void a_cancel_is_never_lost(void **state)
{
    (void)state;
    ops_dispatch *d = NULL;
    const ops_dispatch_conf conf = {.queue_max = 4};
    assert_int_equal(ops_dispatch_new(&conf, &d, NULL), OPS_OK);
    worker w;
    for (int i = 0; i < 300; i++) {
        reader r = {0};
        ops_dispatch_cancel(d, submit(d, &r));
        await_done(&r);
        assert_int_equal(atomic_load(&r.status), OPS_ECANCELLED);
    }
    attach(d, &w);
    static reader r;
    const uint64_t id = submit(d, &r);
    await_id(&w.ordered, id);
    for (int i = 0; i < 100; i++)
        ops_dispatch_cancel(d, id);
    await_done(&r);
    await_id(&w.cancelled, id);
    ops_dispatch_cancel(d, id);
    ops_dispatch_free(d);
    assert_int_equal(ops_alloc_live(), 0);
}

/* A consumer that is behind: pieces wait within the mailbox's bytes, then the worker's stream is told. */
static void pieces_that_wait_are_bounded(void **state)
{
    (void)state;
    ops_dispatch *d = NULL;
    const ops_dispatch_conf conf = {0};
    assert_int_equal(ops_dispatch_new(&conf, &d, NULL), OPS_OK);
    worker w;
    attach(d, &w);
    static pthread_mutex_t hold = PTHREAD_MUTEX_INITIALIZER;
    static reader r = {.hold = &hold};
    static char piece[OPS_DISPATCH_DELTA_MAX + 1];
    const uint64_t id = submit(d, &r);
    await_id(&w.ordered, id);
    ops_err err;
    assert_int_equal(ops_dispatch_delta(d, w.attachment, id, ops_slice_of(piece, sizeof piece), &err),
                     OPS_ETOOBIG);
    assert_non_null(strstr(err.msg, "1048577"));
    pthread_mutex_lock(&hold);
    ops_status st = OPS_OK;
    int taken = 0;
    for (; st == OPS_OK && taken < 2000; taken++)
        st = ops_dispatch_delta(d, w.attachment, id, ops_slice_of(piece, OPS_DISPATCH_DELTA_MAX), &err);
    assert_int_equal(st, OPS_EAGAIN);
    assert_in_range(taken, 200, 260); /* of a MiB, into 256 MiB and what the owner took out */
    pthread_mutex_unlock(&hold);
    ops_dispatch_detach(d, w.attachment, "the dispatch is behind");
    await_done(&r);
    assert_int_equal(atomic_load(&r.status), OPS_EUNAVAILABLE);
    assert_int_equal(atomic_load(&r.heard), taken - 1); /* what was taken is told, before the end */
    ops_dispatch_free(d);
    assert_int_equal(ops_alloc_live(), 0);
}

static void ends_are_bounded(void **state)
{
    (void)state;
    ops_dispatch *d = NULL;
    const ops_dispatch_conf conf = {0};
    assert_int_equal(ops_dispatch_new(&conf, &d, NULL), OPS_OK);
    static char end[OPS_DISPATCH_END_MAX + 1];
    const ops_dispatch_answer a = {
        .task_id = 1, .outcome = OPS_DISPATCH_DONE, .end = ops_slice_of(end, sizeof end)};
    assert_int_equal(ops_dispatch_answered(d, 1, &a, NULL), OPS_ETOOBIG);
    ops_dispatch_free(d);
    assert_int_equal(ops_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_told_in_order),
        cmocka_unit_test(a_cancel_is_never_lost),
        cmocka_unit_test(pieces_that_wait_are_bounded),
        cmocka_unit_test(ends_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
