/* Seeded schedules: workers come, work, drain and are killed. Some tasks kill whatever runs them. Whatever the schedule,
 * a task is done once, is sent at most twice without blame to drains, and only killers and bad luck end as poison. An answer that was begun is never begun again, and a
 * cancelled task is done at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "coordinator/dispatch/desk.h"

enum { WORKERS = 6, TASKS = 300, STEPS = 4000, SEEDS = 200 };

typedef struct sim sim;
typedef struct sim_worker {
    sim *s;
    uint64_t attachment;
    bool up, draining;
    uint64_t held[TASKS + 1];
    size_t n;
} sim_worker;

struct sim {
    ops_desk *k;
    uint64_t rng, attachments;
    int64_t now;
    sim_worker w[WORKERS];
    uint32_t times[TASKS + 1], losses[TASKS + 1], dead[TASKS + 1];
    uint32_t told[TASKS + 1], heard[TASKS + 1];
    bool ok[TASKS + 1], killer[TASKS + 1], writes[TASKS + 1], cancelled[TASKS + 1];
    uint64_t retries_due, poison_due, broken_due, cancels_due;
};

static uint64_t next(sim *s, uint64_t below)
{
    s->rng += 0x9e3779b97f4a7c15u;
    return ops_hash_mix(s->rng) % below;
}

static ops_status on_send(void *ctx, const ops_dispatch_order *o)
{
    sim_worker *w = ctx;
    assert_true(w->up && !w->draining);
    assert_int_equal(o->attempt, w->s->losses[o->task_id] + 1);
    assert_in_range(o->attempt, 1, OPS_DISPATCH_ATTEMPTS_MAX);
    assert_int_equal(w->s->times[o->task_id], 0);
    assert_int_equal(w->s->told[o->task_id], 0); /* an answer begins once */
    assert_int_equal(o->job == OPS_DISPATCH_GENERATE, w->s->writes[o->task_id]);
    for (size_t i = 0; i < w->n; i++) { /* whoever was lost once runs alone */
        assert_int_equal(w->s->losses[w->held[i]], 0);
        assert_int_equal(w->s->losses[o->task_id], 0);
    }
    w->held[w->n++] = o->task_id;
    return OPS_OK;
}
static void on_cancel(void *ctx, uint64_t id)
{
    sim_worker *w = ctx;
    assert_true(w->s->cancelled[id]); /* no deadline is near */
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
    sim_worker *w = ctx;
    assert_true(w->up);
    w->up = false;
    w->n = 0;
}
static void on_delta(void *ctx, ops_slice delta)
{
    sim *s = ctx;
    uint64_t id;
    assert_int_equal(delta.n, sizeof id);
    memcpy(&id, delta.p, sizeof id);
    assert_int_equal(s->times[id], 0);
    s->heard[id]++;
}
static void on_done(void *ctx, const ops_dispatch_result *r)
{
    sim *s = ctx;
    s->times[r->task_id]++;
    s->ok[r->task_id] = r->status == OPS_OK;
}
static void on_dead(void *ctx, const ops_dispatch_dead *d)
{
    sim *s = ctx;
    if (strcmp(d->reason, "poison") == 0)
        s->dead[d->task_id]++;
}

static void attach(sim *s, sim_worker *w)
{
    ops_dispatch_hello h = {.model_count = 2, .credits = (uint32_t)(50 + next(s, 200))};
    (void)snprintf(h.worker_id, sizeof h.worker_id, "w%d", (int)(w - s->w));
    (void)snprintf(h.models[0].name, sizeof h.models[0].name, "m");
    (void)snprintf(h.models[0].job, sizeof h.models[0].job, "embed");
    h.models[0].dim = 1;
    h.models[1] = h.models[0];
    (void)snprintf(h.models[1].job, sizeof h.models[1].job, "generate");
    *w = (sim_worker){.s = s, .attachment = ++s->attachments, .up = true};
    const ops_dispatch_port port = {
        .send = on_send, .cancel = on_cancel, .drain = on_drain, .end = on_end, .ctx = w};
    assert_int_equal(ops_desk_attach(s->k, w->attachment, &h, &port, s->now, 0, NULL), OPS_OK);
}

/* What the desk must make of it is worked out before it hears of it. */
static void kill_worker(sim *s, sim_worker *w)
{
    for (size_t i = 0; i < w->n; i++) {
        if (s->cancelled[w->held[i]])
            continue;
        if (s->told[w->held[i]] > 0) {
            s->broken_due++;
            continue;
        }
        if (w->draining)
            continue;
        s->losses[w->held[i]]++;
        *(s->losses[w->held[i]] == 1 ? &s->retries_due : &s->poison_due) += 1;
    }
    ops_desk_detach(s->k, w->attachment, "killed", s->now);
}

static void step(sim *s, uint64_t *submitted)
{
    sim_worker *w = &s->w[next(s, WORKERS)];
    const uint64_t what = next(s, 100);
    s->now += (int64_t)next(s, 5);
    if (what < 25 && *submitted < TASKS) {
        const ops_slice text = OPS_SLICE("x");
        char key[16];
        const uint64_t id = ++*submitted;
        (void)snprintf(key, sizeof key, "k%d", (int)next(s, 10));
        ops_dispatch_task task = {.work_class = (ops_dispatch_class)(1 + next(s, 3)),
                                  .key = ops_slice_str(key),
                                  .texts = &text,
                                  .text_count = 1,
                                  .tokens = (uint32_t)(1 + next(s, 60)),
                                  .deadline_ms = 100000000,
                                  .done = on_done,
                                  .ctx = s};
        s->killer[id] = next(s, 60) == 0;
        if ((s->writes[id] = next(s, 3) == 0)) {
            task.job = OPS_DISPATCH_GENERATE;
            task.payload = text;
            task.delta = on_delta;
            task.text_count = 0;
        }
        ops_desk_task *t = NULL;
        assert_int_equal(ops_desk_task_new(&task, id, &t, NULL), OPS_OK);
        assert_int_equal(ops_desk_submit(s->k, t, s->now, NULL), OPS_OK);
    } else if (!w->up) {
        if (what < 60)
            attach(s, w);
    } else if (what < 90 && w->n > 0) {
        const size_t i = (size_t)next(s, w->n);
        const uint64_t id = w->held[i];
        if (s->writes[id] && next(s, 2) == 0) {
            s->told[id] += !s->cancelled[id];
            ops_desk_delta(s->k, w->attachment, id, ops_slice_of((const char *)&id, sizeof id), s->now);
            return;
        }
        if (s->killer[id]) {
            kill_worker(s, w);
            return;
        }
        w->held[i] = w->held[--w->n];
        const float v = 1;
        ops_dispatch_answer a = {
            .task_id = id, .outcome = OPS_DISPATCH_DONE, .vectors = &v, .rows = 1, .dim = 1, .tokens = 7};
        if (s->writes[id])
            a = (ops_dispatch_answer){.task_id = id, .outcome = OPS_DISPATCH_DONE, .end = OPS_SLICE("end")};
        ops_desk_answered(s->k, w->attachment, &a, s->now);
    } else if (what < 92 && !w->draining) {
        w->draining = true;
        ops_desk_draining(s->k, w->attachment, s->now);
    } else if (what == 92 && *submitted > 0) {
        const uint64_t id = 1 + next(s, *submitted);
        if (s->times[id] == 0) {
            s->cancelled[id] = true;
            s->cancels_due++;
        }
        ops_desk_cancel(s->k, id, s->now);
        assert_int_equal(s->times[id], 1);
    } else if (what < 94 || (w->draining && w->n == 0))
        kill_worker(s, w);
    (void)ops_desk_tick(s->k, s->now);
}

static void run_seed(uint64_t seed, uint64_t *ret_poisoned)
{
    static sim s;
    memset(&s, 0, sizeof s);
    s.rng = seed;
    const ops_dispatch_conf conf = {.lost_after_ms = 1000000000, .dead = on_dead, .dead_ctx = &s};
    assert_int_equal(ops_desk_new(&conf, &s.k, NULL), OPS_OK);
    uint64_t submitted = 0;
    for (int i = 0; i < STEPS; i++)
        step(&s, &submitted);
    /* From here on nobody dies but by a killer, and everyone works: all must come to an end. */
    for (int i = 0; i < 20 * STEPS && ops_desk_open(s.k) > 0; i++)
        step(&s, &submitted);
    const ops_dispatch_counts c = ops_desk_counts(s.k);
    assert_int_equal(submitted, TASKS);
    assert_int_equal(ops_desk_open(s.k), 0);
    assert_int_equal(c.retried, s.retries_due);
    assert_int_equal(c.poisoned, s.poison_due);
    assert_int_equal(c.cancelled, s.cancels_due);
    assert_true(c.failed >= s.broken_due);
    assert_int_equal(c.done + c.poisoned + c.failed + c.cancelled, TASKS);
    for (uint64_t id = 1; id <= TASKS; id++) {
        assert_int_equal(s.times[id], 1);
        assert_int_equal(s.heard[id], s.told[id]);
        assert_int_equal(s.dead[id], s.losses[id] == 2);
        assert_true(s.losses[id] <= 2);
        assert_true(s.ok[id] || s.losses[id] == 2 || s.cancelled[id] || c.failed > 0);
        assert_true(!s.killer[id] || !s.ok[id]);
    }
    *ret_poisoned += c.poisoned;
    ops_desk_stop(s.k);
    ops_desk_free(s.k);
    assert_int_equal(ops_alloc_live(), 0);
}

static void any_schedule_keeps_the_promises(void **state)
{
    (void)state;
    uint64_t poisoned = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        print_message(seed % 50 == 0 ? "seed %llu\n" : "", (unsigned long long)seed);
        run_seed(seed, &poisoned);
    }
    assert_true(poisoned > SEEDS); /* the schedules do contain killers */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_schedule_keeps_the_promises)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
