/* A worker in the process of its coordinator: the same messages, no stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "opsd/local/local_worker.h"
#include "opsd/local/workers.h"
#include "tests/component/worker/tasks.h"
#include "tests/support/gate_engine.h"
#include "worker/engine/engine_bert.h"

static ops_dispatch *new_dispatch(uint32_t heartbeat_ms)
{
    ops_dispatch *d = NULL;
    const ops_dispatch_conf conf = {.heartbeat_ms = heartbeat_ms, .lost_after_ms = 60000};
    assert_int_equal(ops_dispatch_new(&conf, &d, NULL), OPS_OK);
    return d;
}

static void texts_become_vectors(void **state)
{
    (void)state;
    struct gate g = GATE(true);
    struct task_seen t[3];
    ops_dispatch *d = new_dispatch(0);
    ops_local_worker *w = NULL;
    assert_int_equal(task_submit(d, &t[0], OPS_SLICE("before the worker"), 0), OPS_OK);
    assert_int_equal(ops_local_worker_new(d, "here", 0, gate_engine_new(&g), &w, NULL), OPS_OK);
    assert_int_equal(task_submit(d, &t[1], OPS_SLICE("bad"), 0), OPS_OK);
    assert_int_equal(task_submit(d, &t[2], OPS_SLICE("\0\xff"), 0), OPS_OK);
    for (int i = 0; i < 3; i++)
        assert_true(gate_until(task_times, &t[i], 1));
    assert_int_equal(t[0].status, OPS_OK);
    assert_true(t[0].first == 17);
    assert_int_equal(t[1].status, OPS_EINVAL);
    assert_string_equal(t[1].message, "a bad text");
    assert_int_equal(t[2].status, OPS_OK);
    assert_true(t[2].first == 6); /* two replacement characters */
    ops_dispatch_worker seen;
    assert_true(gate_until(task_workers, d, 1));
    assert_int_equal(ops_dispatch_workers(d, &seen, 1), 1);
    assert_string_equal(seen.worker_id, "here");
    assert_string_equal(seen.address, "local");
    assert_string_equal(seen.models[0].name, "gate");
    ops_local_worker_free(w, 1000);
    assert_true(gate_until(task_workers, d, 0));
    assert_int_equal(ops_dispatch_counts_get(d).workers_lost, 0); /* it drained */
    ops_dispatch_free(d);
    assert_int_equal(ops_alloc_live(), 0);
}

static void heartbeats_go_on_while_it_computes(void **state)
{
    (void)state;
    struct gate g = GATE(false);
    struct task_seen t;
    ops_dispatch *d = new_dispatch(10);
    ops_local_worker *w = NULL;
    assert_int_equal(ops_local_worker_new(d, "here", 0, gate_engine_new(&g), &w, NULL), OPS_OK);
    assert_int_equal(task_submit(d, &t, OPS_SLICE("long"), 0), OPS_OK);
    assert_true(gate_until(gate_inside, &g, 1));
    int64_t last = 0;
    ops_dispatch_worker seen = {.heartbeat_unix_ns = 0};
    for (int beats = 0; beats < 10;) { /* ten signs of life, one after the other */
        assert_true(gate_until(task_workers, d, 1));
        assert_int_equal(ops_dispatch_workers(d, &seen, 1), 1);
        beats += seen.heartbeat_unix_ns > last;
        last = seen.heartbeat_unix_ns;
    }
    assert_int_equal(task_times(&t), 0);
    gate_open(&g, true);
    assert_true(gate_until(task_times, &t, 1));
    assert_int_equal(t.status, OPS_OK);
    assert_int_equal(t.attempts, 1);
    ops_local_worker_free(w, 1000);
    ops_dispatch_free(d);
    assert_int_equal(ops_alloc_live(), 0);
}

/* Stopping without patience drops what runs: no blame, the task waits for the next worker. */
static void a_deadline_reaches_the_engine_and_a_stop_gives_back(void **state)
{
    (void)state;
    struct gate g = GATE(false), other = GATE(true);
    struct task_seen t;
    ops_dispatch *d = new_dispatch(0);
    ops_local_worker *w = NULL;
    assert_int_equal(ops_local_worker_new(d, "one", 0, gate_engine_new(&g), &w, NULL), OPS_OK);
    assert_int_equal(task_submit(d, &t, OPS_SLICE("x"), 50), OPS_OK);
    assert_true(gate_until(task_times, &t, 1));
    assert_int_equal(t.status, OPS_ETIMEOUT);
    assert_true(gate_until(gate_inside, &g, 0)); /* it stopped computing */
    assert_int_equal(task_submit(d, &t, OPS_SLICE("y"), 0), OPS_OK);
    assert_true(gate_until(gate_inside, &g, 1));
    ops_local_worker_free(w, 0);
    assert_int_equal(task_times(&t), 0);
    assert_int_equal(ops_local_worker_new(d, "two", 0, gate_engine_new(&other), &w, NULL), OPS_OK);
    assert_true(gate_until(task_times, &t, 1));
    assert_int_equal(t.status, OPS_OK);
    assert_int_equal(ops_dispatch_counts_get(d).retried, 0);
    ops_local_worker_free(w, 0);
    ops_dispatch_free(d);
    assert_int_equal(ops_alloc_live(), 0);
}

/* The whole way with a real (if tiny) model: what comes back is what the engine computes, and the list shows it. */
struct kept {
    atomic_int n;
    float v[16];
    char hash[65];
};
static void keep(void *ctx, const ops_dispatch_result *r)
{
    struct kept *k = ctx;
    if (r->status == OPS_OK && r->rows == 1 && r->dim == 16) {
        memcpy(k->v, r->vectors, sizeof k->v);
        (void)snprintf(k->hash, sizeof k->hash, "%s", r->content_hash);
    }
    atomic_fetch_add(&k->n, 1);
}
static int kept_n(void *ctx)
{
    return atomic_load(&((struct kept *)ctx)->n);
}
static bool see(void *u, const Ops__V1__Worker *m)
{
    assert_string_equal(m->id, "here");
    assert_string_equal(m->state, "ready");
    assert_string_equal(m->address, "local");
    assert_int_equal(m->n_models, 1);
    assert_string_equal(m->models[0], "bert_tiny");
    assert_true(m->attached_time_unix_nano > 0);
    ++*(int *)u;
    return true;
}

static void a_model_answers_through_the_dispatch(void **state)
{
    (void)state;
    const ops_engine_bert_conf conf = {.path = "tests/golden/bert_tiny"};
    ops_engine *there = NULL, *here = NULL;
    assert_int_equal(ops_engine_bert_open(&conf, &there, NULL), OPS_OK);
    assert_int_equal(ops_engine_bert_open(&conf, &here, NULL), OPS_OK);
    ops_dispatch *d = new_dispatch(0);
    ops_local_worker *w = NULL;
    assert_int_equal(ops_local_worker_new(d, "here", 0, there, &w, NULL), OPS_OK);
    struct kept k = {.hash = ""};
    const ops_slice text = OPS_SLICE("connection to <*> lost");
    const ops_dispatch_task task = {.work_class = OPS_DISPATCH_BULK,
                                    .model = OPS_SLICE("bert_tiny"),
                                    .texts = &text,
                                    .text_count = 1,
                                    .done = keep,
                                    .ctx = &k};
    assert_int_equal(ops_dispatch_submit(d, &task, NULL, NULL), OPS_OK);
    assert_true(gate_until(kept_n, &k, 1));
    float want[16];
    assert_int_equal(ops_engine_embed(here, &text, 1, want, NULL, NULL, NULL), OPS_OK);
    assert_memory_equal(k.v, want, sizeof want);
    assert_string_equal(k.hash, ops_engine_info_get(here)->content_hash);
    int seen = 0;
    assert_true(gate_until(task_workers, d, 1));
    assert_int_equal(ops_workers_tell(d, see, &seen, NULL), OPS_OK);
    assert_int_equal(seen, 1);
    ops_local_worker_free(w, 1000);
    ops_dispatch_free(d);
    ops_engine_free(here);
    assert_int_equal(ops_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_become_vectors),
        cmocka_unit_test(heartbeats_go_on_while_it_computes),
        cmocka_unit_test(a_deadline_reaches_the_engine_and_a_stop_gives_back),
        cmocka_unit_test(a_model_answers_through_the_dispatch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
