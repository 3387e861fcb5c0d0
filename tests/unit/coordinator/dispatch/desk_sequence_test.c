/* Tasks of sessions: who gets them and when, and that a lost one is told and not tried again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/dispatch/desk.h"

enum { ORDERS_MAX = 16, TASKS_MAX = 16 };

typedef struct worker {
    uint64_t attachment, order[ORDERS_MAX];
    ops_dispatch_job job[ORDERS_MAX];
    uint32_t tokens;
    size_t orders, ends;
} worker;

static ops_status on_send(void *ctx, const ops_dispatch_order *o)
{
    worker *w = ctx;
    assert_true(w->orders < ORDERS_MAX);
    w->job[w->orders] = o->job;
    w->tokens = o->tokens;
    w->order[w->orders++] = o->task_id;
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
    (void)why;
    (void)message;
    ((worker *)ctx)->ends++;
}

typedef struct outcome {
    size_t times;
    ops_status status;
    char sequence[16], message[256];
} outcome;

typedef struct bench {
    ops_desk *k;
    int64_t now;
    uint64_t next;
    size_t dead;
    outcome out[TASKS_MAX];
} bench;

static void on_done(void *ctx, const ops_dispatch_result *r)
{
    outcome *o = ctx;
    o->times++;
    o->status = r->status;
    (void)snprintf(o->sequence, sizeof o->sequence, OPS_SLICE_FMT, OPS_SLICE_ARG(r->sequence));
    (void)snprintf(o->message, sizeof o->message, "%s", r->message);
}
static void on_dead(void *ctx, const ops_dispatch_dead *d)
{
    (void)d;
    ((bench *)ctx)->dead++;
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
    assert_int_equal(b->dead, 0); /* never, of these */
    ops_desk_free(b->k);
    assert_int_equal(ops_alloc_live(), 0);
}

static ops_dispatch_task sessions(bench *b, uint64_t id)
{
    return (ops_dispatch_task){.work_class = OPS_DISPATCH_BULK,
                               .job = OPS_DISPATCH_SEQUENCE,
                               .payload = OPS_SLICE("sessions"),
                               .deadline_ms = 10000000,
                               .done = on_done,
                               .ctx = &b->out[id]};
}
static uint64_t submit(bench *b, ops_dispatch_job job)
{
    static const ops_slice text = {"text", 4};
    ops_dispatch_task task = sessions(b, ++b->next);
    ops_desk_task *t = NULL;
    if (job == OPS_DISPATCH_EMBED) {
        task.job = job;
        task.payload = (ops_slice){0};
        task.texts = &text;
        task.text_count = 1;
    }
    assert_int_equal(ops_desk_task_new(&task, b->next, &t, NULL), OPS_OK);
    assert_int_equal(ops_desk_submit(b->k, t, b->now, NULL), OPS_OK);
    return b->next;
}

static void attach(bench *b, worker *w, const char *id, bool sequences, uint32_t credits)
{
    static uint64_t attachments;
    memset(w, 0, sizeof *w);
    w->attachment = ++attachments;
    ops_dispatch_hello h = {.model_count = 1, .credits = credits, .sequences = sequences};
    (void)snprintf(h.worker_id, sizeof h.worker_id, "%s", id);
    (void)snprintf(h.models[0].name, sizeof h.models[0].name, "m");
    (void)snprintf(h.models[0].job, sizeof h.models[0].job, "embed");
    h.models[0].dim = 2;
    const ops_dispatch_port port = {
        .send = on_send, .cancel = on_cancel, .drain = on_drain, .end = on_end, .ctx = w};
    assert_int_equal(ops_desk_attach(b->k, w->attachment, &h, &port, b->now, 0, NULL), OPS_OK);
}
static void answer(bench *b, worker *w, uint64_t id, ops_dispatch_outcome how, const char *sequence)
{
    const ops_dispatch_answer a = {
        .task_id = id, .outcome = how, .message = "so", .sequence = ops_slice_str(sequence)};
    ops_desk_answered(b->k, w->attachment, &a, b->now);
}

static void only_a_worker_that_takes_sessions_gets_them(void **state)
{
    (void)state;
    bench b;
    worker old, new;
    open_bench(&b);
    attach(&b, &old, "old", false, 1000);
    const uint64_t id = submit(&b, OPS_DISPATCH_SEQUENCE);
    assert_int_equal(old.orders, 0);
    assert_int_equal(ops_desk_counts(b.k).with_sequences, 0);
    attach(&b, &new, "new", true, 1000);
    assert_int_equal(ops_desk_counts(b.k).with_sequences, 1);
    assert_int_equal(new.orders, 1);
    assert_int_equal(new.job[0], OPS_DISPATCH_SEQUENCE);
    assert_int_equal(new.tokens, 64); /* whatever its size */
    answer(&b, &new, id, OPS_DISPATCH_DONE, "scores");
    assert_int_equal(b.out[id].status, OPS_OK);
    assert_string_equal(b.out[id].sequence, "scores");
    close_bench(&b);
}

static void everything_else_goes_first(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b);
    const uint64_t late = submit(&b, OPS_DISPATCH_SEQUENCE);
    for (int i = 0; i < 3; i++)
        (void)submit(&b, OPS_DISPATCH_EMBED);
    attach(&b, &w, "w", true, 1000);
    assert_int_equal(w.orders, 4);
    assert_int_equal(w.order[3], late);
    close_bench(&b);
}

static void a_lost_one_is_told_and_not_tried_again(void **state)
{
    (void)state;
    bench b;
    worker w, other;
    open_bench(&b);
    attach(&b, &w, "w", true, 1000);
    const uint64_t id = submit(&b, OPS_DISPATCH_SEQUENCE);
    attach(&b, &other, "other", true, 1000);
    ops_desk_detach(b.k, w.attachment, "killed", b.now);
    assert_int_equal(b.out[id].times, 1);
    assert_int_equal(b.out[id].status, OPS_EUNAVAILABLE);
    assert_non_null(strstr(b.out[id].message, "lost with worker w: killed"));
    assert_int_equal(other.orders, 0);
    const uint64_t next = submit(&b, OPS_DISPATCH_SEQUENCE);
    assert_int_equal(other.orders, 1); /* nothing is kept free for a suspect */
    ops_desk_draining(b.k, other.attachment, b.now);
    attach(&b, &w, "w", true, 1000);
    ops_desk_detach(b.k, other.attachment, "drained", b.now);
    assert_int_equal(w.orders, 1); /* a drain is nobody's fault: it moves */
    answer(&b, &w, next, OPS_DISPATCH_DONE, "scores");
    assert_int_equal(b.out[next].status, OPS_OK);
    close_bench(&b);
}

static void failures_and_refusals_end_without_a_dead_letter(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b);
    attach(&b, &w, "w", true, 1000);
    uint64_t id = submit(&b, OPS_DISPATCH_SEQUENCE);
    answer(&b, &w, id, OPS_DISPATCH_FAILED, "");
    assert_int_equal(b.out[id].status, OPS_EINVAL);
    id = submit(&b, OPS_DISPATCH_SEQUENCE);
    for (size_t n = 0; b.out[id].times == 0 && n < 2 * OPS_DISPATCH_REFUSALS_MAX; n++) {
        answer(&b, &w, id, OPS_DISPATCH_DONE, ""); /* without one it does not fit: as if refused */
        b.now += 60000;
        ops_desk_heartbeat(b.k, w.attachment, b.now, 0);
        (void)ops_desk_tick(b.k, b.now);
    }
    assert_int_equal(w.orders, 2 + OPS_DISPATCH_REFUSALS_MAX);
    assert_int_equal(b.out[id].status, OPS_EUNAVAILABLE);
    close_bench(&b);
}

static void what_is_no_such_task_is_refused(void **state)
{
    (void)state;
    bench b = {0};
    ops_desk_task *t = NULL;
    ops_dispatch_task task = sessions(&b, 1);
    task.work_class = OPS_DISPATCH_INTERACTIVE;
    assert_int_equal(ops_desk_task_new(&task, 1, &t, NULL), OPS_EINVAL);
    task = sessions(&b, 1);
    task.payload = (ops_slice){0};
    assert_int_equal(ops_desk_task_new(&task, 1, &t, NULL), OPS_EINVAL);
    task.payload = ops_slice_of("x", OPS_DISPATCH_PAYLOAD_MAX + 1u); /* its bytes are not read */
    assert_int_equal(ops_desk_task_new(&task, 1, &t, NULL), OPS_ETOOBIG);
    task.job = OPS_DISPATCH_JOB_COUNT;
    assert_int_equal(ops_desk_task_new(&task, 1, &t, NULL), OPS_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_worker_that_takes_sessions_gets_them),
        cmocka_unit_test(everything_else_goes_first),
        cmocka_unit_test(a_lost_one_is_told_and_not_tried_again),
        cmocka_unit_test(failures_and_refusals_end_without_a_dead_letter),
        cmocka_unit_test(what_is_no_such_task_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
