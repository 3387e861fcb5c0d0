/* Tasks whose answer comes in pieces: what is told, what is tried again, what a cancel does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/dispatch/desk.h"

enum { ORDERS_MAX = 16, TASKS_MAX = 16, CROWD = 1000 };

typedef struct worker {
    uint64_t attachment;
    uint64_t order[ORDERS_MAX], cancelled;
    ops_dispatch_job job[ORDERS_MAX];
    char payload[ORDERS_MAX][32];
    uint32_t tokens;
    size_t orders, cancels, ends;
} worker;

static ops_status on_send(void *ctx, const ops_dispatch_order *o)
{
    worker *w = ctx;
    assert_true(w->orders < ORDERS_MAX);
    w->job[w->orders] = o->job;
    w->tokens = o->tokens;
    (void)snprintf(w->payload[w->orders], sizeof w->payload[0], OPS_SLICE_FMT, OPS_SLICE_ARG(o->payload));
    w->order[w->orders++] = o->task_id;
    return OPS_OK;
}
static void on_cancel(void *ctx, uint64_t id)
{
    worker *w = ctx;
    w->cancels++;
    w->cancelled = id;
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
    ((worker *)ctx)->ends++;
}

typedef struct outcome {
    size_t times, deltas;
    char told[64], end[16], message[256], model[16];
    ops_status status;
    uint32_t attempts;
} outcome;

static void on_delta(void *ctx, ops_slice delta)
{
    outcome *o = ctx;
    assert_int_equal(o->times, 0); /* before `done` */
    o->deltas++;
    const size_t n = strlen(o->told);
    (void)snprintf(o->told + n, sizeof o->told - n, OPS_SLICE_FMT, OPS_SLICE_ARG(delta));
}
static void on_done(void *ctx, const ops_dispatch_result *r)
{
    outcome *o = ctx;
    o->times++;
    o->status = r->status;
    o->attempts = r->attempts;
    assert_null(r->vectors);
    (void)snprintf(o->end, sizeof o->end, OPS_SLICE_FMT, OPS_SLICE_ARG(r->end));
    (void)snprintf(o->message, sizeof o->message, "%s", r->message);
    (void)snprintf(o->model, sizeof o->model, "%s", r->model);
}

typedef struct bench {
    ops_desk *k;
    int64_t now;
    uint64_t next;
    size_t dead;
    outcome out[TASKS_MAX];
} bench;

static void on_dead(void *ctx, const ops_dispatch_dead *d)
{
    ((bench *)ctx)->dead++;
    assert_int_equal(d->text_count, 0);
}

static void open_bench(bench *b)
{
    memset(b, 0, sizeof *b);
    const ops_dispatch_conf conf = {.lost_after_ms = 1000000, .dead = on_dead, .dead_ctx = b};
    assert_int_equal(ops_desk_new(&conf, &b->k, NULL), OPS_OK);
}
static void close_bench(bench *b)
{
    ops_desk_stop(b->k);
    for (uint64_t i = 1; i <= b->next; i++)
        assert_int_equal(b->out[i].times, 1);
    assert_int_equal(ops_desk_open(b->k), 0);
    assert_int_equal(ops_desk_bytes(b->k), 0);
    ops_desk_free(b->k);
    assert_int_equal(ops_alloc_live(), 0);
}

static ops_dispatch_task generation(bench *b, uint64_t id, const char *model)
{
    return (ops_dispatch_task){.work_class = OPS_DISPATCH_INTERACTIVE,
                               .job = OPS_DISPATCH_GENERATE,
                               .model = ops_slice_str(model),
                               .payload = OPS_SLICE("a request"),
                               .deadline_ms = 10000,
                               .delta = on_delta,
                               .done = on_done,
                               .ctx = &b->out[id]};
}
static uint64_t submit(bench *b, const char *model)
{
    const ops_dispatch_task task = generation(b, ++b->next, model);
    ops_desk_task *t = NULL;
    assert_int_equal(ops_desk_task_new(&task, b->next, &t, NULL), OPS_OK);
    assert_int_equal(ops_desk_submit(b->k, t, b->now, NULL), OPS_OK);
    return b->next;
}

static void attach(bench *b, worker *w, const char *id, const char *job, uint32_t credits)
{
    static uint64_t attachments;
    memset(w, 0, sizeof *w);
    w->attachment = ++attachments;
    ops_dispatch_hello h = {.model_count = 1, .credits = credits};
    (void)snprintf(h.worker_id, sizeof h.worker_id, "%s", id);
    (void)snprintf(h.models[0].name, sizeof h.models[0].name, "m");
    (void)snprintf(h.models[0].job, sizeof h.models[0].job, "%s", job);
    h.models[0].dim = strcmp(job, "embed") == 0 ? 2 : 0;
    const ops_dispatch_port port = {
        .send = on_send, .cancel = on_cancel, .drain = on_drain, .end = on_end, .ctx = w};
    assert_int_equal(ops_desk_attach(b->k, w->attachment, &h, &port, b->now, 7, NULL), OPS_OK);
}
static void tell(bench *b, const worker *w, uint64_t id, const char *text)
{
    ops_desk_delta(b->k, w->attachment, id, ops_slice_str(text), b->now);
}
static void answer(bench *b, const worker *w, uint64_t id, ops_dispatch_outcome how, const char *end)
{
    const ops_dispatch_answer a = {
        .task_id = id, .outcome = how, .message = "because", .end = ops_slice_str(end)};
    ops_desk_answered(b->k, w->attachment, &a, b->now);
}

static void pieces_come_in_order_and_then_the_end(void **state)
{
    (void)state;
    bench b;
    worker embeds, w;
    open_bench(&b);
    attach(&b, &embeds, "embeds", "embed", 10000);
    const uint64_t id = submit(&b, "m"); /* both have a model of that name: the job decides */
    assert_int_equal(embeds.orders, 0);
    attach(&b, &w, "writes", "generate", 10000);
    assert_int_equal(w.orders, 1);
    assert_int_equal(w.job[0], OPS_DISPATCH_GENERATE);
    assert_string_equal(w.payload[0], "a request");
    assert_int_equal(w.tokens, 9 / 4 + 256);
    tell(&b, &w, id, "one ");
    tell(&b, &embeds, id, "of another worker ");
    tell(&b, &w, id + 1, "of another task ");
    tell(&b, &w, id, "two");
    answer(&b, &w, id, OPS_DISPATCH_DONE, "the end");
    tell(&b, &w, id, "too late");
    assert_string_equal(b.out[id].told, "one two");
    assert_int_equal(b.out[id].status, OPS_OK);
    assert_string_equal(b.out[id].end, "the end");
    assert_string_equal(b.out[id].model, "m");
    close_bench(&b);
}

/* Heads: each job to a model that does it, and only an answer of its kind fits. */
static void scores_go_to_models_with_a_head(void **state)
{
    (void)state;
    static const struct {
        ops_dispatch_job job;
        const char *name;
    } rows[] = {{OPS_DISPATCH_RERANK, "rerank"}, {OPS_DISPATCH_CLASSIFY, "classify"}};
    for (size_t i = 0; i < 2; i++) {
        bench b;
        worker writes, other, w;
        open_bench(&b);
        attach(&b, &writes, "writes", "generate", 10000);
        attach(&b, &other, "other", rows[1 - i].name, 10000);
        ops_dispatch_task task = generation(&b, ++b.next, "m");
        ops_desk_task *t = NULL;
        task.job = rows[i].job;
        assert_int_equal(ops_desk_task_new(&task, b.next, &t, NULL), OPS_OK);
        assert_int_equal(ops_desk_submit(b.k, t, b.now, NULL), OPS_OK);
        assert_int_equal(writes.orders + other.orders, 0);
        attach(&b, &w, "w", rows[i].name, 10000);
        assert_int_equal(w.orders, 1);
        assert_int_equal(w.job[0], rows[i].job);
        assert_string_equal(w.payload[0], "a request");
        assert_int_equal(w.tokens, 9 / 4);
        answer(&b, &w, b.next, OPS_DISPATCH_DONE,
               "the end of a text"); /* of another job: not now, later again */
        assert_int_equal(b.out[b.next].times, 0);
        for (int k = 0; k < 100 && w.orders == 1; k++)
            (void)ops_desk_tick(b.k, b.now += 100);
        assert_int_equal(w.orders, 2);
        const ops_dispatch_answer scored = {.task_id = b.next,
                                            .outcome = OPS_DISPATCH_DONE,
                                            .end = OPS_SLICE("scores"),
                                            .scored = true,
                                            .tokens_in = 7};
        ops_desk_answered(b.k, w.attachment, &scored, b.now);
        assert_int_equal(b.out[b.next].status, OPS_OK);
        assert_string_equal(b.out[b.next].end, "scores");
        assert_int_equal(ops_desk_counts(b.k).tokens_in, 7);
        close_bench(&b);
    }
}

static void a_context_that_is_passed_is_told(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b);
    attach(&b, &w, "w", "generate", 10000);
    const uint64_t id = submit(&b, "m");
    const ops_dispatch_answer a = {
        .task_id = id, .outcome = OPS_DISPATCH_FAILED, .message = "9 of 8", .context_exceeded = true};
    ops_desk_answered(b.k, w.attachment, &a, b.now);
    assert_int_equal(b.out[id].status, OPS_ECONTEXT);
    assert_string_equal(b.out[id].message, "9 of 8");
    close_bench(&b);
}

static void what_was_told_is_not_tried_again(void **state)
{
    (void)state;
    bench b;
    worker w, other;
    open_bench(&b);
    attach(&b, &w, "w", "generate", 10000);
    const uint64_t told = submit(&b, ""), silent = submit(&b, "");
    tell(&b, &w, told, "half an ans");
    ops_desk_detach(b.k, w.attachment, "killed", b.now);
    assert_int_equal(b.out[told].status, OPS_EUNAVAILABLE);
    assert_non_null(strstr(b.out[told].message, "killed"));
    assert_int_equal(b.out[silent].times, 0);
    attach(&b, &other, "other", "generate", 10000);
    assert_int_equal(other.orders, 1);
    assert_int_equal(other.order[0], silent);
    ops_desk_detach(b.k, other.attachment, "killed", b.now); /* as any task: two losses are poison */
    assert_int_equal(b.out[silent].status, OPS_EINTERNAL);
    assert_int_equal(b.dead, 1);
    const ops_dispatch_counts c = ops_desk_counts(b.k);
    assert_int_equal(c.failed, 1);
    assert_int_equal(c.poisoned, 1);
    assert_int_equal(c.retried, 1);
    close_bench(&b);
}

/* A drain, a refusal, an end that is none: no second beginning either. */
static void nor_when_nobody_is_to_blame(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b);
    attach(&b, &w, "w", "generate", 10000);
    const uint64_t refused = submit(&b, ""), no_end = submit(&b, ""), drained = submit(&b, "");
    for (uint64_t id = refused; id <= drained; id++)
        tell(&b, &w, id, "x");
    answer(&b, &w, refused, OPS_DISPATCH_REFUSED, "");
    assert_int_equal(b.out[refused].status, OPS_EUNAVAILABLE);
    answer(&b, &w, no_end, OPS_DISPATCH_DONE, "");
    assert_int_equal(b.out[no_end].status, OPS_EUNAVAILABLE);
    ops_desk_draining(b.k, w.attachment, b.now);
    ops_desk_detach(b.k, w.attachment, "restarts", b.now);
    assert_int_equal(b.out[drained].status, OPS_EUNAVAILABLE);
    assert_int_equal(w.orders, 3);
    assert_int_equal(b.dead, 0);
    close_bench(&b);
}

static void a_request_that_cannot_be_done_is_no_dead_letter(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b);
    attach(&b, &w, "w", "generate", 10000);
    const uint64_t id = submit(&b, "");
    answer(&b, &w, id, OPS_DISPATCH_FAILED, "");
    assert_int_equal(b.out[id].status, OPS_EINVAL);
    assert_string_equal(b.out[id].message, "because");
    assert_int_equal(b.dead, 0);
    close_bench(&b);
}

static void cancelled_wherever_it_is(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b);
    const uint64_t waits = submit(&b, "");
    ops_desk_cancel(b.k, waits, b.now);
    assert_int_equal(b.out[waits].status, OPS_ECANCELLED);
    assert_int_equal(b.out[waits].attempts, 0);
    attach(&b, &w, "w", "generate", 100);
    const uint64_t runs = submit(&b, ""), behind = submit(&b, "");
    assert_int_equal(w.orders, 1); /* costlier than the credits: alone */
    tell(&b, &w, runs, "x");
    ops_desk_cancel(b.k, runs, b.now);
    assert_int_equal(b.out[runs].status, OPS_ECANCELLED);
    assert_int_equal(w.cancels, 1);
    assert_int_equal(w.cancelled, runs);
    tell(&b, &w, runs, "still on its way");
    assert_string_equal(b.out[runs].told, "x");
    assert_int_equal(w.orders, 1);     /* it holds its credits until the worker let go */
    ops_desk_cancel(b.k, runs, b.now); /* twice, and one that never was */
    ops_desk_cancel(b.k, 99, b.now);
    assert_int_equal(w.cancels, 1);
    answer(&b, &w, runs, OPS_DISPATCH_REFUSED, "");
    assert_int_equal(w.orders, 2);
    answer(&b, &w, behind, OPS_DISPATCH_DONE, "the end");
    assert_int_equal(ops_desk_counts(b.k).cancelled, 2);
    close_bench(&b);
}

/* A minute after the cancel, not after the deadline that it had. */
static void a_worker_that_ignores_a_cancel_is_ended(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b);
    attach(&b, &w, "w", "generate", 1000);
    const uint64_t id = submit(&b, "");
    ops_desk_cancel(b.k, id, b.now);
    b.now += 60000;
    (void)ops_desk_tick(b.k, b.now);
    assert_int_equal(w.ends, 0);
    b.now++;
    (void)ops_desk_tick(b.k, b.now);
    assert_int_equal(w.ends, 1);
    close_bench(&b);
}

/* However many wait for a model of the other job, in the same class. */
static void one_job_does_not_wait_for_the_other(void **state)
{
    (void)state;
    bench b;
    worker w;
    static outcome crowd[CROWD];
    memset(crowd, 0, sizeof crowd);
    open_bench(&b);
    for (uint64_t i = 0; i < CROWD; i++) {
        const ops_slice text = OPS_SLICE("x");
        const ops_dispatch_task task = {.work_class = OPS_DISPATCH_INTERACTIVE,
                                        .texts = &text,
                                        .text_count = 1,
                                        .done = on_done,
                                        .ctx = &crowd[i]};
        ops_desk_task *t = NULL;
        assert_int_equal(ops_desk_task_new(&task, 1000 + i, &t, NULL), OPS_OK);
        assert_int_equal(ops_desk_submit(b.k, t, b.now, NULL), OPS_OK);
    }
    attach(&b, &w, "w", "generate", 10000);
    const uint64_t id = submit(&b, "");
    assert_int_equal(w.orders, 1);
    assert_int_equal(w.order[0], id);
    answer(&b, &w, id, OPS_DISPATCH_DONE, "the end");
    close_bench(&b);
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(crowd[i].times, 1);
}

static void payloads_are_checked(void **state)
{
    (void)state;
    bench b;
    open_bench(&b);
    static char big[OPS_DISPATCH_PAYLOAD_MAX + 1];
    ops_desk_task *t = NULL;
    ops_err err;
    ops_dispatch_task task = generation(&b, 1, "");
    task.payload = ops_slice_of(big, sizeof big);
    assert_int_equal(ops_desk_task_new(&task, 1, &t, &err), OPS_ETOOBIG);
    assert_non_null(strstr(err.msg, "4194305"));
    task.payload.n--;
    assert_int_equal(ops_desk_task_new(&task, 1, &t, NULL), OPS_OK);
    assert_true(ops_desk_task_bytes(t) > OPS_DISPATCH_PAYLOAD_MAX);
    ops_desk_task_free(t);
    task.payload.n = 0;
    assert_int_equal(ops_desk_task_new(&task, 1, &t, NULL), OPS_EINVAL);
    task = generation(&b, 1, "");
    task.texts = &task.payload;
    task.text_count = 1;
    assert_int_equal(ops_desk_task_new(&task, 1, &t, NULL), OPS_EINVAL);
    task = generation(&b, 1, "");
    task.job = (ops_dispatch_job)7;
    assert_int_equal(ops_desk_task_new(&task, 1, &t, NULL), OPS_EINVAL);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_come_in_order_and_then_the_end),
        cmocka_unit_test(scores_go_to_models_with_a_head),
        cmocka_unit_test(a_context_that_is_passed_is_told),
        cmocka_unit_test(what_was_told_is_not_tried_again),
        cmocka_unit_test(nor_when_nobody_is_to_blame),
        cmocka_unit_test(a_request_that_cannot_be_done_is_no_dead_letter),
        cmocka_unit_test(cancelled_wherever_it_is),
        cmocka_unit_test(a_worker_that_ignores_a_cancel_is_ended),
        cmocka_unit_test(one_job_does_not_wait_for_the_other),
        cmocka_unit_test(payloads_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
