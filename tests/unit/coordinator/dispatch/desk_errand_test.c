/* Models that workers are asked to load and unload, and what they say they have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/dispatch/desk.h"

enum { MINUTE_MS = 60000 };

typedef struct worker {
    uint64_t attachment, errand;
    size_t errands, orders;
    ops_status says;
} worker;

static ops_status on_send(void *ctx, const ops_dispatch_order *o)
{
    (void)o;
    ((worker *)ctx)->orders++;
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
static ops_status on_errand(void *ctx, uint64_t id, const ops_dispatch_errand *e)
{
    worker *w = ctx;
    if (w->says != OPS_OK)
        return w->says;
    assert_string_equal(e->path, "a/path");
    w->errand = id;
    w->errands++;
    return OPS_OK;
}

static void attach(ops_desk *k, worker *w, const char *id, ops_dispatch_class c, bool loads)
{
    static uint64_t attachments;
    memset(w, 0, sizeof *w);
    w->attachment = ++attachments;
    ops_dispatch_hello h = {.work_class = c, .credits = 100}; /* without a model */
    (void)snprintf(h.worker_id, sizeof h.worker_id, "%s", id);
    const ops_dispatch_port port = {.send = on_send,
                                    .cancel = on_cancel,
                                    .drain = on_drain,
                                    .end = on_end,
                                    .ctx = w,
                                    .errand = loads ? on_errand : NULL};
    assert_int_equal(ops_desk_attach(k, w->attachment, &h, &port, 0, 0, NULL), OPS_OK);
}

typedef struct outcome {
    size_t times;
    ops_status status;
    char message[128];
} outcome;
static void on_outcome(void *ctx, ops_status st, const char *message)
{
    outcome *o = ctx;
    o->times++;
    o->status = st;
    (void)snprintf(o->message, sizeof o->message, "%s", message);
}
static void run(ops_desk *k, outcome *o, const char *worker_id, uint64_t id)
{
    memset(o, 0, sizeof *o);
    const ops_dispatch_errand e = {
        .worker_id = worker_id, .path = "a/path", .name = "", .done = on_outcome, .ctx = o};
    ops_desk_errand(k, &e, id, 0);
}

static ops_desk *open_desk(void)
{
    ops_desk *k = NULL;
    const ops_dispatch_conf conf = {.lost_after_ms = 1000 * MINUTE_MS};
    assert_int_equal(ops_desk_new(&conf, &k, NULL), OPS_OK);
    return k;
}
static void close_desk(ops_desk *k)
{
    ops_desk_stop(k);
    ops_desk_free(k);
    assert_int_equal(ops_alloc_live(), 0);
}

static void it_goes_by_the_stream_where_nobody_waits(void **state)
{
    (void)state;
    worker bulk, chat;
    outcome o;
    ops_desk *k = open_desk();
    attach(k, &bulk, "w", OPS_DISPATCH_BULK, true);
    attach(k, &chat, "w", OPS_DISPATCH_INTERACTIVE, true);
    run(k, &o, "w", 7);
    assert_int_equal(bulk.errands, 1);
    assert_int_equal(chat.errands, 0);
    assert_int_equal(bulk.errand, 7);
    ops_desk_errand_answered(k, bulk.attachment, 8, OPS_OK, "", 0); /* another one, */
    ops_desk_errand_answered(k, chat.attachment, 7, OPS_OK, "", 0); /* another stream: not its answer */
    assert_int_equal(o.times, 0);
    ops_desk_errand_answered(k, bulk.attachment, 7, OPS_ECORRUPT, "no model", 0);
    ops_desk_errand_answered(k, bulk.attachment, 7, OPS_OK, "", 0);
    assert_int_equal(o.times, 1);
    assert_int_equal(o.status, OPS_ECORRUPT);
    assert_string_equal(o.message, "no model");
    close_desk(k);
}

static void it_ends_whatever_becomes_of_the_worker(void **state)
{
    (void)state;
    worker w, still, full;
    outcome lost, late, stopped, o;
    ops_desk *k = open_desk();
    run(k, &o, "nobody", 1);
    assert_int_equal(o.status, OPS_ENOTFOUND);
    attach(k, &still, "still", OPS_DISPATCH_ANY, false);
    run(k, &o, "still", 2);
    assert_int_equal(o.status, OPS_EUNIMPL);
    attach(k, &full, "full", OPS_DISPATCH_ANY, true);
    full.says = OPS_EAGAIN;
    run(k, &o, "full", 3);
    assert_int_equal(o.status, OPS_EAGAIN);
    attach(k, &w, "w", OPS_DISPATCH_ANY, true);
    run(k, &late, "w", 4);
    (void)ops_desk_tick(k, 10 * MINUTE_MS - 1);
    assert_int_equal(late.times, 0);
    (void)ops_desk_tick(k, 10 * MINUTE_MS);
    assert_int_equal(late.status, OPS_ETIMEOUT);
    run(k, &lost, "w", 5);
    ops_desk_detach(k, w.attachment, "killed", 0);
    assert_int_equal(lost.status, OPS_EUNAVAILABLE);
    attach(k, &w, "w", OPS_DISPATCH_ANY, true);
    run(k, &stopped, "w", 6);
    close_desk(k);
    assert_int_equal(stopped.status, OPS_ECANCELLED);
    assert_int_equal(late.times + lost.times + stopped.times, 3);
}

static void so_many_and_no_more(void **state)
{
    (void)state;
    worker w;
    outcome o[OPS_DISPATCH_ERRANDS_MAX + 1];
    ops_desk *k = open_desk();
    attach(k, &w, "w", OPS_DISPATCH_ANY, true);
    for (uint64_t i = 0; i <= OPS_DISPATCH_ERRANDS_MAX; i++)
        run(k, &o[i], "w", i + 1);
    assert_int_equal(w.errands, OPS_DISPATCH_ERRANDS_MAX);
    assert_int_equal(o[OPS_DISPATCH_ERRANDS_MAX].status, OPS_EAGAIN);
    close_desk(k);
    for (size_t i = 0; i <= OPS_DISPATCH_ERRANDS_MAX; i++)
        assert_int_equal(o[i].times, 1);
}

static void on_done(void *ctx, const ops_dispatch_result *r)
{
    (void)r;
    ++*(int *)ctx;
}

/* A task waits for a model that comes, and is not sent where it went. */
static void tasks_follow_the_models(void **state)
{
    (void)state;
    worker w;
    int dones = 0;
    ops_desk *k = open_desk();
    attach(k, &w, "w", OPS_DISPATCH_ANY, true);
    assert_int_equal(ops_desk_counts(k).with_models, 0);
    const ops_slice text = OPS_SLICE("x");
    const ops_dispatch_task task = {
        .work_class = OPS_DISPATCH_BULK, .texts = &text, .text_count = 1, .done = on_done, .ctx = &dones};
    ops_desk_task *t = NULL;
    for (uint64_t id = 1; id <= 2; id++) {
        assert_int_equal(ops_desk_task_new(&task, id, &t, NULL), OPS_OK);
        assert_int_equal(ops_desk_submit(k, t, 0, NULL), OPS_OK);
        if (id == 1) {
            assert_int_equal(w.orders, 0);
            ops_dispatch_model m = {.name = "m", .content_hash = "aa", .job = "embed", .dim = 1};
            assert_true(ops_desk_models(k, w.attachment, &m, 1, 0));
            m.use.running = 3;
            assert_false(ops_desk_models(k, w.attachment, &m, 1, 0)); /* the same, in another state */
            assert_int_equal(ops_desk_counts(k).with_models, 1);
            assert_int_equal(w.orders, 1);
            assert_true(ops_desk_models(k, w.attachment, NULL, 0, 0));
        }
    }
    assert_int_equal(w.orders, 1);
    const float v = 1; /* what it computes is judged by the model it was sent for */
    const ops_dispatch_answer a = {
        .task_id = 1, .outcome = OPS_DISPATCH_DONE, .vectors = &v, .rows = 1, .dim = 1};
    ops_desk_answered(k, w.attachment, &a, 0);
    assert_int_equal(ops_desk_counts(k).done, 1);
    const ops_dispatch_model bad[] = {{.name = "", .job = "embed", .dim = 1},
                                      {.name = "m", .job = "embed"},
                                      {.name = "m", .job = "generate", .dim = 65537}};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ops_desk_check_models(&bad[i], 1, NULL), OPS_EINVAL);
    close_desk(k);
    assert_int_equal(dones, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_by_the_stream_where_nobody_waits),
        cmocka_unit_test(it_ends_whatever_becomes_of_the_worker),
        cmocka_unit_test(so_many_and_no_more),
        cmocka_unit_test(tasks_follow_the_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
