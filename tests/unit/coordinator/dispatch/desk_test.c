#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/dispatch/desk.h"

enum { ORDERS_MAX = 64, TASKS_MAX = 64, DIM = 2 };

/* A worker that only writes down what it is told. */
typedef struct worker {
    uint64_t attachment;
    ops_status send_says;
    uint64_t order[ORDERS_MAX];
    uint32_t attempt[ORDERS_MAX], deadline_ms[ORDERS_MAX];
    char model[ORDERS_MAX][16];
    size_t orders, cancels, drains, ends;
    uint64_t cancelled;
    ops_status why;
} worker;

static ops_status on_send(void *ctx, const ops_dispatch_order *o)
{
    worker *w = ctx;
    assert_int_equal(w->ends, 0);
    if (w->send_says != OPS_OK)
        return w->send_says;
    assert_true(w->orders < ORDERS_MAX);
    w->attempt[w->orders] = o->attempt;
    w->deadline_ms[w->orders] = o->deadline_ms;
    (void)snprintf(w->model[w->orders], sizeof w->model[0], OPS_SLICE_FMT, OPS_SLICE_ARG(o->model));
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
    worker *w = ctx;
    assert_string_equal(reason, "please");
    w->drains++;
}
static void on_end(void *ctx, ops_status why, const char *message)
{
    worker *w = ctx;
    assert_non_null(message);
    w->ends++;
    w->why = why;
}

typedef struct outcome {
    size_t times;
    ops_status status;
    char message[256], model[16], hash[16];
    float first;
    uint32_t attempts;
} outcome;

static void on_done(void *ctx, const ops_dispatch_result *r)
{
    outcome *o = ctx;
    o->times++;
    o->status = r->status;
    o->attempts = r->attempts;
    o->first = r->vectors != NULL ? r->vectors[0] : -1;
    (void)snprintf(o->message, sizeof o->message, "%s", r->message);
    (void)snprintf(o->model, sizeof o->model, "%s", r->model);
    (void)snprintf(o->hash, sizeof o->hash, "%s", r->content_hash);
}

typedef struct bench {
    ops_desk *k;
    int64_t now;
    uint64_t next;
    size_t dead;
    char dead_reason[16], dead_detail[256], dead_key[16];
    outcome out[TASKS_MAX]; /* by task id */
} bench;

static void on_dead(void *ctx, const ops_dispatch_dead *d)
{
    bench *b = ctx;
    b->dead++;
    (void)snprintf(b->dead_reason, sizeof b->dead_reason, "%s", d->reason);
    (void)snprintf(b->dead_detail, sizeof b->dead_detail, "%s", d->detail);
    (void)snprintf(b->dead_key, sizeof b->dead_key, OPS_SLICE_FMT, OPS_SLICE_ARG(d->key));
    assert_int_equal(d->text_count, 1);
    assert_int_equal(b->out[d->task_id].times, 0); /* just before its done */
}

static void open_bench(bench *b, ops_dispatch_conf conf)
{
    memset(b, 0, sizeof *b);
    conf.dead = on_dead;
    conf.dead_ctx = b;
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

static ops_status try_submit(bench *b, ops_dispatch_class c, const char *key, uint32_t tokens,
                             const char *model)
{
    const ops_slice text = OPS_SLICE("some text");
    const ops_dispatch_task task = {.work_class = c,
                                    .key = ops_slice_str(key),
                                    .model = ops_slice_str(model),
                                    .texts = &text,
                                    .text_count = 1,
                                    .tokens = tokens,
                                    .deadline_ms = 10000,
                                    .done = on_done,
                                    .ctx = &b->out[b->next + 1]};
    ops_desk_task *t = NULL;
    assert_int_equal(ops_desk_task_new(&task, b->next + 1, &t, NULL), OPS_OK);
    const ops_status st = ops_desk_submit(b->k, t, b->now, NULL);
    if (st == OPS_OK)
        b->next++;
    else
        ops_desk_task_free(t);
    return st;
}
static uint64_t submit(bench *b, uint32_t tokens)
{
    assert_int_equal(try_submit(b, OPS_DISPATCH_BULK, "key", tokens, ""), OPS_OK);
    return b->next;
}

static ops_status try_attach(bench *b, worker *w, const char *id, ops_dispatch_class c, uint32_t credits,
                             const char *model)
{
    static uint64_t attachments;
    memset(w, 0, sizeof *w);
    w->attachment = ++attachments;
    ops_dispatch_hello h = {.work_class = c, .model_count = 1, .credits = credits};
    (void)snprintf(h.worker_id, sizeof h.worker_id, "%s", id);
    (void)snprintf(h.models[0].name, sizeof h.models[0].name, "%s", model);
    (void)snprintf(h.models[0].content_hash, sizeof h.models[0].content_hash, "hash-%s", model);
    (void)snprintf(h.models[0].job, sizeof h.models[0].job, "embed");
    h.models[0].dim = DIM;
    h.models[0].tokens_max = 256;
    const ops_dispatch_port port = {
        .send = on_send, .cancel = on_cancel, .drain = on_drain, .end = on_end, .ctx = w};
    return ops_desk_attach(b->k, w->attachment, &h, &port, b->now, 7, NULL);
}
static void attach(bench *b, worker *w, const char *id, uint32_t credits)
{
    assert_int_equal(try_attach(b, w, id, OPS_DISPATCH_ANY, credits, "m"), OPS_OK);
}
static void answer(bench *b, const worker *w, uint64_t id, ops_dispatch_outcome how)
{
    const float v[DIM] = {(float)id, 1};
    const bool done = how == OPS_DISPATCH_DONE;
    const ops_dispatch_answer a = {.task_id = id,
                                   .outcome = how,
                                   .message = "because",
                                   .vectors = done ? v : NULL,
                                   .rows = done,
                                   .dim = done ? DIM : 0,
                                   .tokens = done ? 7 : 0};
    ops_desk_answered(b->k, w->attachment, &a, b->now);
}
static void pass(bench *b, int64_t ms)
{
    b->now += ms;
    assert_in_range(ops_desk_tick(b->k, b->now), 1, 1000);
}

static void a_task_is_sent_and_done_once(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b, (ops_dispatch_conf){0});
    attach(&b, &w, "w1", 100);
    const uint64_t id = submit(&b, 10);
    assert_int_equal(w.orders, 1);
    assert_int_equal(w.order[0], id);
    assert_int_equal(w.attempt[0], 1);
    assert_int_equal(w.deadline_ms[0], 10000);
    assert_string_equal(w.model[0], "m");
    ops_dispatch_worker seen[2];
    assert_int_equal(ops_desk_workers(b.k, seen, 2), 1);
    assert_int_equal(seen[0].credits, 90);
    assert_int_equal(seen[0].tasks_running, 1);
    assert_int_equal(seen[0].attached_unix_ns, 7);
    answer(&b, &w, id, OPS_DISPATCH_DONE);
    answer(&b, &w, id, OPS_DISPATCH_DONE); /* twice: dropped and counted */
    assert_int_equal(b.out[id].times, 1);
    assert_int_equal(b.out[id].status, OPS_OK);
    assert_true(b.out[id].first == (float)id);
    assert_string_equal(b.out[id].model, "m");
    assert_string_equal(b.out[id].hash, "hash-m");
    assert_int_equal(b.out[id].attempts, 1);
    assert_int_equal(ops_desk_counts(b.k).late_answers, 1);
    assert_int_equal(ops_desk_counts(b.k).done, 1);
    assert_int_equal(ops_desk_workers(b.k, seen, 1), 1);
    assert_int_equal(seen[0].credits, 100);
    close_bench(&b);
}

static void without_a_worker_tasks_wait_and_expire(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b, (ops_dispatch_conf){.queue_max = 2});
    const uint64_t id = submit(&b, 1);
    pass(&b, 5000);
    submit(&b, 1);
    assert_int_equal(try_submit(&b, OPS_DISPATCH_BULK, "k", 1, ""), OPS_EAGAIN);
    pass(&b, 4999);
    assert_int_equal(b.out[id].times, 0);
    pass(&b, 1);
    assert_int_equal(b.out[id].status, OPS_ETIMEOUT);
    assert_non_null(strstr(b.out[id].message, "no worker"));
    assert_int_equal(b.dead, 0);
    assert_int_equal(ops_desk_counts(b.k).expired, 1);
    attach(&b, &w, "late", 10); /* the other one was still waiting */
    assert_int_equal(w.orders, 1);
    assert_int_equal(w.deadline_ms[0], 5000);
    close_bench(&b);
}

static void bytes_are_bounded_too(void **state)
{
    (void)state;
    bench b;
    open_bench(&b, (ops_dispatch_conf){.queue_bytes_max = 1000});
    size_t taken = 0;
    while (taken < 50 && try_submit(&b, OPS_DISPATCH_BULK, "k", 1, "") == OPS_OK)
        taken++;
    assert_in_range(taken, 1, 20);
    assert_true(ops_desk_bytes(b.k) <= 1000);
    close_bench(&b);
}

/* Three tasks in flight, their worker is killed: each is tried once more, one at a time, on the other. */
static void a_lost_worker_costs_each_task_one_retry_alone(void **state)
{
    (void)state;
    bench b;
    worker w, other;
    open_bench(&b, (ops_dispatch_conf){0});
    attach(&b, &w, "w1", 100);
    for (int i = 0; i < 3; i++)
        submit(&b, 10);
    assert_int_equal(w.orders, 3);
    attach(&b, &other, "w2", 100);
    ops_desk_detach(b.k, w.attachment, "connection reset", b.now);
    assert_int_equal(w.ends, 1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(other.orders, i + 1);   /* never two beside each other */
        assert_int_equal(other.order[i], i + 1); /* the oldest first */
        assert_int_equal(other.attempt[i], 2);
        if (i == 0)
            submit(&b, 1); /* a fresh one does not go beside a suspect */
        answer(&b, &other, other.order[i], OPS_DISPATCH_DONE);
    }
    assert_int_equal(other.orders, 4);
    answer(&b, &other, 4, OPS_DISPATCH_DONE);
    answer(&b, &w, 1, OPS_DISPATCH_DONE); /* from the dead: ignored */
    for (uint64_t i = 1; i <= 4; i++)
        assert_int_equal(b.out[i].status, OPS_OK);
    assert_int_equal(b.out[1].attempts, 2);
    const ops_dispatch_counts c = ops_desk_counts(b.k);
    assert_int_equal(c.retried, 3);
    assert_int_equal(c.workers_lost, 1);
    assert_int_equal(c.poisoned, 0);
    assert_int_equal(b.dead, 0);
    close_bench(&b);
}

static void a_busy_worker_is_kept_free_for_a_suspect(void **state)
{
    (void)state;
    bench b;
    worker w, busy;
    open_bench(&b, (ops_dispatch_conf){0});
    attach(&b, &busy, "busy", 100);
    const uint64_t first = submit(&b, 10), second = submit(&b, 10);
    assert_int_equal(busy.orders, 2);
    assert_int_equal(try_attach(&b, &w, "w", OPS_DISPATCH_INTERACTIVE, 100, "m"), OPS_OK);
    assert_int_equal(try_submit(&b, OPS_DISPATCH_INTERACTIVE, "k", 1, ""), OPS_OK);
    const uint64_t suspect = b.next;
    const bool went_to_w = w.orders == 1;
    worker *loser = went_to_w ? &w : &busy;
    if (went_to_w) {
        ops_desk_detach(b.k, loser->attachment, "killed", b.now);
        const uint64_t later = submit(&b, 10);
        assert_int_equal(busy.orders, 2); /* room for it, but the place is kept */
        answer(&b, &busy, first, OPS_DISPATCH_DONE);
        assert_int_equal(busy.orders, 2);
        answer(&b, &busy, second, OPS_DISPATCH_DONE);
        assert_int_equal(busy.orders, 3);
        assert_int_equal(busy.order[2], suspect);
        answer(&b, &busy, suspect, OPS_DISPATCH_DONE);
        assert_int_equal(busy.order[3], later);
    }
    assert_true(went_to_w); /* the idle one is lighter */
    close_bench(&b);
}

static void two_killed_workers_make_poison(void **state)
{
    (void)state;
    bench b;
    worker w1, w2, w3;
    open_bench(&b, (ops_dispatch_conf){0});
    attach(&b, &w1, "w1", 100);
    const uint64_t bad = submit(&b, 10), good = submit(&b, 10);
    ops_desk_detach(b.k, w1.attachment, "killed", b.now);
    attach(&b, &w2, "w2", 100);
    assert_int_equal(w2.order[0], bad);
    ops_desk_detach(b.k, w2.attachment, "killed", b.now);
    assert_int_equal(b.out[bad].status, OPS_EINTERNAL);
    assert_int_equal(b.dead, 1);
    assert_string_equal(b.dead_reason, "poison");
    assert_non_null(strstr(b.dead_detail, "w2"));
    assert_string_equal(b.dead_key, "key");
    assert_int_equal(ops_desk_counts(b.k).poisoned, 1);
    attach(&b, &w3, "w3", 100);
    assert_int_equal(w3.orders, 1);
    assert_int_equal(w3.order[0], good);
    answer(&b, &w3, good, OPS_DISPATCH_DONE);
    assert_int_equal(b.out[good].status, OPS_OK);
    close_bench(&b);
}

static void drains_are_nobodys_fault(void **state)
{
    (void)state;
    bench b;
    worker both[2], w;
    open_bench(&b, (ops_dispatch_conf){0});
    const uint64_t id = submit(&b, 10);
    for (int i = 0; i < 4; i++) {
        worker *one = &both[i % 2]; /* every other time the new one comes before the old one left */
        attach(&b, one, "w", 100);
        assert_int_equal(one->orders, 1);
        assert_int_equal(one->attempt[0], 1);
        ops_desk_draining(b.k, one->attachment, b.now);
        if (i % 2 == 0)
            ops_desk_detach(b.k, one->attachment, "restart", b.now);
    }
    assert_int_equal(b.out[id].times, 0);
    assert_int_equal(ops_desk_counts(b.k).workers_lost, 0);
    attach(&b, &w, "w", 100);
    ops_desk_draining(b.k, w.attachment, b.now);
    submit(&b, 1);
    assert_int_equal(w.orders, 1);         /* takes nothing new */
    answer(&b, &w, id, OPS_DISPATCH_DONE); /* but finishes what it has */
    assert_int_equal(b.out[id].status, OPS_OK);
    ops_desk_detach(b.k, w.attachment, "restart", b.now);
    for (int i = 0; i < 20 && b.out[2].times == 0; i++) { /* drained for ever: an end all the same */
        attach(&b, &w, "w", 100);
        ops_desk_draining(b.k, w.attachment, b.now);
        ops_desk_detach(b.k, w.attachment, "restart", b.now);
    }
    assert_int_equal(b.out[2].status, OPS_EUNAVAILABLE);
    close_bench(&b);
}

static void the_same_worker_anew_takes_the_place(void **state)
{
    (void)state;
    bench b;
    worker old, fresh;
    open_bench(&b, (ops_dispatch_conf){0});
    attach(&b, &old, "w", 100);
    submit(&b, 10);
    attach(&b, &fresh, "w", 100);
    assert_int_equal(old.ends, 1);
    assert_int_equal(old.why, OPS_ECONFLICT);
    assert_int_equal(fresh.orders, 1);
    assert_int_equal(fresh.attempt[0], 2);
    assert_int_equal(ops_desk_counts(b.k).workers, 1);
    close_bench(&b);
}

static void silence_is_loss(void **state)
{
    (void)state;
    bench b;
    worker quiet, loud;
    open_bench(&b, (ops_dispatch_conf){.heartbeat_ms = 100, .lost_after_ms = 350});
    attach(&b, &quiet, "quiet", 100);
    submit(&b, 1);
    attach(&b, &loud, "loud", 100);
    for (int i = 0; i < 3; i++) {
        pass(&b, 100);
        ops_desk_heartbeat(b.k, loud.attachment, b.now, 0);
    }
    pass(&b, 50);
    assert_int_equal(quiet.ends, 0);
    pass(&b, 1);
    assert_int_equal(quiet.ends, 1);
    assert_int_equal(quiet.why, OPS_ETIMEOUT);
    assert_int_equal(loud.ends, 0);
    assert_int_equal(loud.orders, 1);
    close_bench(&b);
}

static void refusals_wait_longer_each_time_and_end(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b, (ops_dispatch_conf){.lost_after_ms = 1000000});
    attach(&b, &w, "w", 100);
    const uint64_t id = submit(&b, 1);
    for (size_t i = 1; i <= OPS_DISPATCH_REFUSALS_MAX; i++) {
        answer(&b, &w, id, OPS_DISPATCH_REFUSED);
        pass(&b, (50 << i) - 1);
        assert_int_equal(w.orders, i);
        if (b.out[id].times > 0)
            break;
        pass(&b, 1);
        if (b.out[id].times > 0)
            break;
        assert_int_equal(w.orders, i + 1);
        assert_int_equal(w.attempt[i], 1);
    }
    assert_int_equal(b.out[id].status, OPS_ETIMEOUT); /* 10 s are over before eight refusals */
    const uint64_t stubborn = submit(&b, 1);
    for (size_t i = 0; i < 2 * OPS_DISPATCH_REFUSALS_MAX && b.out[stubborn].times == 0; i++) {
        ops_desk_detach(b.k, w.attachment, "", b.now);
        attach(&b, &w, "w", 100);
        ops_desk_draining(b.k, w.attachment, b.now);
    }
    assert_int_equal(b.out[stubborn].times, 1);
    close_bench(&b);
}

static void what_can_not_be_done_is_not_retried(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b, (ops_dispatch_conf){0});
    attach(&b, &w, "w", 100);
    const uint64_t id = submit(&b, 1);
    answer(&b, &w, id, OPS_DISPATCH_FAILED);
    assert_int_equal(b.out[id].status, OPS_EINVAL);
    assert_string_equal(b.out[id].message, "because");
    assert_string_equal(b.dead_reason, "failed");
    assert_int_equal(w.orders, 1);
    close_bench(&b);
}

/* Wrong number of vectors, wrong width, none at all: as if refused. */
static void answers_that_do_not_fit_are_not_believed(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b, (ops_dispatch_conf){0});
    attach(&b, &w, "w", 100);
    const uint64_t id = submit(&b, 1);
    const float v[4] = {0};
    const ops_dispatch_answer bad[] = {
        {.task_id = id, .outcome = OPS_DISPATCH_DONE, .vectors = v, .rows = 2, .dim = DIM},
        {.task_id = id, .outcome = OPS_DISPATCH_DONE, .vectors = v, .rows = 1, .dim = DIM + 1},
        {.task_id = id, .outcome = OPS_DISPATCH_DONE, .rows = 1, .dim = DIM},
        {.task_id = id, .outcome = (ops_dispatch_outcome)77, .vectors = v, .rows = 1, .dim = DIM}};
    for (size_t i = 0; i < 4; i++) {
        ops_desk_answered(b.k, w.attachment, &bad[i], b.now);
        assert_int_equal(b.out[id].times, 0);
        pass(&b, 2000);
        assert_int_equal(w.orders, i + 2);
    }
    answer(&b, &w, id, OPS_DISPATCH_DONE);
    assert_int_equal(b.out[id].status, OPS_OK);
    close_bench(&b);
}

static void credits_are_kept_to(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b, (ops_dispatch_conf){0});
    attach(&b, &w, "w", 25);
    for (int i = 0; i < 4; i++)
        submit(&b, 10);
    assert_int_equal(w.orders, 2);
    ops_desk_credits(b.k, w.attachment, 5, b.now);
    assert_int_equal(w.orders, 3);
    answer(&b, &w, 1, OPS_DISPATCH_DONE);
    assert_int_equal(w.orders, 4);
    const uint64_t huge = submit(&b, 1000);
    answer(&b, &w, 2, OPS_DISPATCH_DONE);
    answer(&b, &w, 3, OPS_DISPATCH_DONE);
    assert_int_equal(w.orders, 4);
    answer(&b, &w, 4, OPS_DISPATCH_DONE);
    assert_int_equal(w.orders, 5); /* costlier than the window: to an idle worker */
    assert_int_equal(w.order[4], huge);
    close_bench(&b);
}

static void classes_have_an_order(void **state)
{
    (void)state;
    bench b;
    worker any, triage;
    open_bench(&b, (ops_dispatch_conf){0});
    assert_int_equal(try_submit(&b, OPS_DISPATCH_BULK, "k", 1, ""), OPS_OK);
    assert_int_equal(try_submit(&b, OPS_DISPATCH_TRIAGE, "k", 1, ""), OPS_OK);
    assert_int_equal(try_submit(&b, OPS_DISPATCH_INTERACTIVE, "k", 1, ""), OPS_OK);
    assert_int_equal(try_attach(&b, &triage, "t", OPS_DISPATCH_TRIAGE, 1, "m"), OPS_OK);
    assert_int_equal(triage.orders, 1);
    assert_int_equal(triage.order[0], 2);
    attach(&b, &any, "any", 10);
    assert_int_equal(any.orders, 2);
    assert_int_equal(any.order[0], 3);
    assert_int_equal(any.order[1], 1);
    close_bench(&b);
}

static void models_are_matched(void **state)
{
    (void)state;
    bench b;
    worker m, n;
    open_bench(&b, (ops_dispatch_conf){0});
    attach(&b, &m, "m1", 100);
    assert_int_equal(try_submit(&b, OPS_DISPATCH_BULK, "k", 1, "n"), OPS_OK);
    assert_int_equal(try_submit(&b, OPS_DISPATCH_BULK, "k", 1, "m"), OPS_OK);
    assert_int_equal(m.orders, 1); /* the one behind passes it */
    assert_int_equal(m.order[0], 2);
    assert_int_equal(try_attach(&b, &n, "n1", OPS_DISPATCH_BULK, 100, "n"), OPS_OK);
    assert_int_equal(n.orders, 1);
    assert_string_equal(n.model[0], "n");
    close_bench(&b);
}

/* One key keeps to one worker while that is not overloaded; keys spread; the loss of a worker moves only its keys. */
static void keys_keep_to_their_worker(void **state)
{
    (void)state;
    bench b;
    worker w[3];
    open_bench(&b, (ops_dispatch_conf){0});
    for (size_t i = 0; i < 3; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "w%zu", i);
        attach(&b, &w[i], id, 100000);
    }
    int home[16];
    size_t used[3] = {0};
    for (int round = 0; round < 3; round++)
        for (int key = 0; key < 16; key++) {
            char name[16];
            (void)snprintf(name, sizeof name, "s%d", key);
            size_t before[3] = {w[0].orders, w[1].orders, w[2].orders};
            assert_int_equal(try_submit(&b, OPS_DISPATCH_BULK, name, 1, ""), OPS_OK);
            int at = -1;
            for (int i = 0; i < 3; i++)
                if (w[i].orders > before[i])
                    at = i;
            assert_in_range(at, 0, 2);
            if (round == 0)
                home[key] = at;
            assert_int_equal(at, home[key]);
            used[at]++;
            answer(&b, &w[at], b.next, OPS_DISPATCH_DONE);
        }
    assert_true(used[0] > 0 && used[1] > 0 && used[2] > 0);
    ops_desk_detach(b.k, w[2].attachment, "gone", b.now);
    for (int key = 0; key < 10; key++) {
        char name[16];
        (void)snprintf(name, sizeof name, "s%d", key);
        size_t before[2] = {w[0].orders, w[1].orders};
        assert_int_equal(try_submit(&b, OPS_DISPATCH_BULK, name, 1, ""), OPS_OK);
        const int at = w[0].orders > before[0] ? 0 : 1;
        assert_int_equal(w[at].orders, before[at] + 1);
        if (home[key] != 2)
            assert_int_equal(at, home[key]);
        answer(&b, &w[at], b.next, OPS_DISPATCH_DONE);
    }
    close_bench(&b);
}

static void a_hot_key_spills_over(void **state)
{
    (void)state;
    bench b;
    worker w[2];
    open_bench(&b, (ops_dispatch_conf){0});
    attach(&b, &w[0], "a", 1000);
    attach(&b, &w[1], "b", 1000);
    for (int i = 0; i < 40; i++)
        submit(&b, 10);
    assert_int_equal(w[0].orders + w[1].orders, 40);
    assert_in_range(w[0].orders, 14, 26); /* within 1.25 of the mean of 20, and one task */
    close_bench(&b);
}

static void a_deadline_while_running_cancels(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b, (ops_dispatch_conf){.lost_after_ms = 1000000});
    attach(&b, &w, "w", 10);
    const uint64_t id = submit(&b, 10);
    pass(&b, 10000);
    assert_int_equal(b.out[id].status, OPS_ETIMEOUT);
    assert_int_equal(w.cancels, 1);
    assert_int_equal(w.cancelled, id);
    submit(&b, 10);
    assert_int_equal(w.orders, 1); /* the cancelled one still holds the credits */
    answer(&b, &w, id, OPS_DISPATCH_REFUSED);
    assert_int_equal(w.orders, 2);
    assert_int_equal(ops_desk_counts(b.k).late_answers, 1);
    pass(&b, 10000); /* never answers this one */
    pass(&b, 60000);
    assert_int_equal(w.ends, 0);
    pass(&b, 1);
    assert_int_equal(w.ends, 1);
    close_bench(&b);
}

static void a_full_way_is_tried_again_and_a_broken_one_ends(void **state)
{
    (void)state;
    bench b;
    worker full, broken, good;
    open_bench(&b, (ops_dispatch_conf){0});
    attach(&b, &full, "full", 100);
    full.send_says = OPS_EAGAIN;
    const uint64_t id = submit(&b, 10);
    pass(&b, 99);
    full.send_says = OPS_OK;
    assert_int_equal(full.orders, 0);
    pass(&b, 1);
    assert_int_equal(full.orders, 1);
    answer(&b, &full, id, OPS_DISPATCH_DONE);
    ops_desk_detach(b.k, full.attachment, "", b.now);

    attach(&b, &broken, "broken", 100);
    broken.send_says = OPS_EIO;
    const uint64_t next = submit(&b, 10);
    assert_int_equal(broken.ends, 1);
    attach(&b, &good, "good", 100);
    assert_int_equal(good.orders, 1);
    assert_int_equal(good.order[0], next);
    assert_int_equal(good.attempt[0], 1); /* it never got there */
    close_bench(&b);
}

static void an_operator_drains(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b, (ops_dispatch_conf){0});
    attach(&b, &w, "w", 100);
    assert_int_equal(ops_desk_drain(b.k, "other", "please", NULL), OPS_ENOTFOUND);
    assert_int_equal(ops_desk_drain(b.k, "w", "please", NULL), OPS_OK);
    assert_int_equal(w.drains, 1);
    submit(&b, 1);
    assert_int_equal(w.orders, 0);
    ops_dispatch_worker seen;
    assert_int_equal(ops_desk_workers(b.k, &seen, 1), 1);
    assert_true(seen.draining);
    close_bench(&b);
}

static void hellos_and_tasks_are_checked(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b, (ops_dispatch_conf){0});
    assert_int_equal(try_attach(&b, &w, "", OPS_DISPATCH_ANY, 1, "m"), OPS_EINVAL);
    assert_int_equal(try_attach(&b, &w, "w", OPS_DISPATCH_CLASS_COUNT, 1, "m"), OPS_EINVAL);
    assert_int_equal(try_attach(&b, &w, "w", OPS_DISPATCH_ANY, 0, "m"), OPS_EINVAL);
    assert_int_equal(try_attach(&b, &w, "w", OPS_DISPATCH_ANY, 1, ""), OPS_EINVAL);
    static char big[OPS_DISPATCH_TEXT_BYTES_MAX + 1];
    ops_slice texts[OPS_DISPATCH_TEXTS_MAX + 1] = {{NULL, 0}};
    ops_desk_task *t = NULL;
    ops_dispatch_task task = {
        .work_class = OPS_DISPATCH_BULK, .texts = texts, .text_count = 1, .done = on_done};
    assert_int_equal(ops_desk_task_new(&task, 1, &t, NULL), OPS_OK);
    ops_desk_task_free(t);
    task.text_count = 0;
    assert_int_equal(ops_desk_task_new(&task, 1, &t, NULL), OPS_EINVAL);
    task.text_count = OPS_DISPATCH_TEXTS_MAX + 1;
    assert_int_equal(ops_desk_task_new(&task, 1, &t, NULL), OPS_ETOOBIG);
    task.text_count = 1;
    texts[0] = ops_slice_of(big, sizeof big);
    assert_int_equal(ops_desk_task_new(&task, 1, &t, NULL), OPS_ETOOBIG);
    texts[0].n = 1;
    task.key = ops_slice_of(big, OPS_DISPATCH_KEY_MAX + 1);
    assert_int_equal(ops_desk_task_new(&task, 1, &t, NULL), OPS_ETOOBIG);
    task.key.n = 0;
    task.work_class = OPS_DISPATCH_ANY;
    assert_int_equal(ops_desk_task_new(&task, 1, &t, NULL), OPS_EINVAL);
    task.work_class = OPS_DISPATCH_BULK;
    task.done = NULL;
    assert_int_equal(ops_desk_task_new(&task, 1, &t, NULL), OPS_EINVAL);
    close_bench(&b);
}

static void stopping_ends_everything_once(void **state)
{
    (void)state;
    bench b;
    worker w;
    open_bench(&b, (ops_dispatch_conf){0});
    attach(&b, &w, "w", 10);
    submit(&b, 10);
    submit(&b, 10);
    ops_desk_stop(b.k);
    assert_int_equal(w.ends, 1);
    assert_int_equal(b.out[1].status, OPS_ECANCELLED);
    assert_int_equal(b.out[2].status, OPS_ECANCELLED);
    assert_int_equal(ops_desk_counts(b.k).cancelled, 2);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_sent_and_done_once),
        cmocka_unit_test(without_a_worker_tasks_wait_and_expire),
        cmocka_unit_test(bytes_are_bounded_too),
        cmocka_unit_test(a_lost_worker_costs_each_task_one_retry_alone),
        cmocka_unit_test(a_busy_worker_is_kept_free_for_a_suspect),
        cmocka_unit_test(two_killed_workers_make_poison),
        cmocka_unit_test(drains_are_nobodys_fault),
        cmocka_unit_test(the_same_worker_anew_takes_the_place),
        cmocka_unit_test(silence_is_loss),
        cmocka_unit_test(refusals_wait_longer_each_time_and_end),
        cmocka_unit_test(what_can_not_be_done_is_not_retried),
        cmocka_unit_test(answers_that_do_not_fit_are_not_believed),
        cmocka_unit_test(credits_are_kept_to),
        cmocka_unit_test(classes_have_an_order),
        cmocka_unit_test(models_are_matched),
        cmocka_unit_test(keys_keep_to_their_worker),
        cmocka_unit_test(a_hot_key_spills_over),
        cmocka_unit_test(a_deadline_while_running_cancels),
        cmocka_unit_test(a_full_way_is_tried_again_and_a_broken_one_ends),
        cmocka_unit_test(an_operator_drains),
        cmocka_unit_test(hellos_and_tasks_are_checked),
        cmocka_unit_test(stopping_ends_everything_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
