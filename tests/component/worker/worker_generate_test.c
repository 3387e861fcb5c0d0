/* Answers that come in pieces, over gRPC on loopback and inside a process: told, called off, broken off; models that come and
 * go at run time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/attach/attach_rpc.h"
#include "opsd/local/local_worker.h"
#include "proto/ops/v1/generate.pb-c.h"
#include "tests/component/worker/tasks.h"
#include "tests/support/fake_writer.h"
#include "tests/support/gate_engine.h"
#include "worker/serve/serve.h"

enum { STREAMS = 3 };

/* --- an answer as the coordinator's own rooms see it --- */

typedef struct heard {
    atomic_int dones, pieces;
    char text[512], message[256], model[32];
    ops_status status;
    uint32_t attempts, completion_tokens;
    uint64_t id;
} heard;

static void on_delta(void *ctx, ops_slice bytes)
{
    heard *h = ctx;
    Ops__V1__GenerateDelta *d = ops__v1__generate_delta__unpack(NULL, bytes.n, (const uint8_t *)bytes.p);
    assert_non_null(d);
    const size_t n = strlen(h->text);
    (void)snprintf(h->text + n, sizeof h->text - n, "%s", d->text);
    ops__v1__generate_delta__free_unpacked(d, NULL);
    atomic_fetch_add(&h->pieces, 1);
}
static void on_done(void *ctx, const ops_dispatch_result *r)
{
    heard *h = ctx;
    h->status = r->status;
    h->attempts = r->attempts;
    (void)snprintf(h->message, sizeof h->message, "%s", r->message);
    (void)snprintf(h->model, sizeof h->model, "%s", r->model);
    if (r->status == OPS_OK) {
        Ops__V1__GenerateEnd *e = ops__v1__generate_end__unpack(NULL, r->end.n, (const uint8_t *)r->end.p);
        assert_non_null(e);
        h->completion_tokens = e->completion_tokens;
        ops__v1__generate_end__free_unpacked(e, NULL);
    }
    atomic_fetch_add(&h->dones, 1);
}
static int dones(void *h)
{
    return atomic_load(&((heard *)h)->dones);
}
static int some_pieces(void *h)
{
    return atomic_load(&((heard *)h)->pieces) > 0;
}

static void ask(ops_dispatch *d, heard *h, const char *text)
{
    memset(h, 0, sizeof *h);
    Ops__V1__GenerateTask t = OPS__V1__GENERATE_TASK__INIT;
    t.prompt = (char *)(uintptr_t)text;
    t.stream = true;
    uint8_t bytes[1024];
    const size_t n = ops__v1__generate_task__pack(&t, bytes);
    const ops_dispatch_task task = {.work_class = OPS_DISPATCH_INTERACTIVE,
                                    .job = OPS_DISPATCH_GENERATE,
                                    .key = OPS_SLICE("default"),
                                    .payload = ops_slice_of((const char *)bytes, n),
                                    .delta = on_delta,
                                    .done = on_done,
                                    .ctx = h};
    assert_int_equal(ops_dispatch_submit(d, &task, &h->id, NULL), OPS_OK);
}

/* --- a coordinator and workers --- */

typedef struct coordinator {
    ops_dispatch *d;
    ops_rpc_server *server;
    ops_attach_rpc *attach;
    char address[32];
} coordinator;

static coordinator open_coordinator(void)
{
    coordinator c = {0};
    const ops_dispatch_conf conf = {.heartbeat_ms = 100, .lost_after_ms = 20000};
    const ops_rpc_server_conf sc = {.address = "127.0.0.1:0"};
    assert_int_equal(ops_dispatch_new(&conf, &c.d, NULL), OPS_OK);
    assert_int_equal(ops_rpc_server_new(&sc, &c.server, NULL), OPS_OK);
    assert_int_equal(ops_attach_rpc_add(c.server, c.d, "c1", 0, &c.attach, NULL), OPS_OK);
    assert_int_equal(ops_rpc_server_start(c.server, NULL), OPS_OK);
    (void)snprintf(c.address, sizeof c.address, "127.0.0.1:%u", ops_rpc_server_port(c.server));
    return c;
}
static void close_coordinator(coordinator *c)
{
    ops_rpc_server_stop(c->server, 0);
    ops_rpc_server_free(c->server);
    ops_dispatch_free(c->d);
    ops_attach_rpc_free(c->attach);
}

/* "none" holds nothing; other paths are fakes of that name. */
static ops_status open_fake(void *ctx, const char *path, const char *name, ops_engine **ret_engine,
                            ops_writer **ret_writer, ops_err *reterr)
{
    (void)ctx;
    (void)ret_engine;
    if (strcmp(path, "none") == 0)
        return ops_fail(reterr, OPS_ENOTFOUND, "none: no such file");
    *ret_writer = &fake_writer_new(name[0] != '\0' ? name : path, true)->base;
    return OPS_OK;
}

static ops_worker *start_worker(const coordinator *c, const char *id, struct fake_writer *writer)
{
    const char *addresses[] = {c->address};
    const ops_worker_conf conf = {.coordinators = addresses, .coordinator_count = 1, .worker_id = id};
    const ops_runner_opener opener = {open_fake, NULL};
    ops_runner *r = NULL;
    ops_worker *w = NULL;
    assert_int_equal(ops_runner_new(NULL, 0, NULL, &r, NULL), OPS_OK);
    if (writer != NULL)
        assert_int_equal(ops_runner_add(r, NULL, &writer->base, NULL), OPS_OK);
    assert_int_equal(ops_runner_open_with(r, &opener, NULL), OPS_OK);
    assert_int_equal(ops_worker_over(&conf, r, &w, NULL), OPS_OK);
    return w;
}

static void an_answer_comes_over_the_wire(void **state)
{
    (void)state;
    coordinator c = open_coordinator();
    heard h;
    ops_worker *w = start_worker(&c, "w", fake_writer_new("m", true));
    ask(c.d, &h, "over the wire");
    assert_true(gate_until(dones, &h, 1));
    assert_int_equal(h.status, OPS_OK);
    assert_string_equal(h.text, "over the wire");
    assert_int_equal(h.pieces, 4);
    assert_int_equal(h.completion_tokens, 4);
    assert_string_equal(h.model, "m");
    ask(c.d, &h, "bad");
    assert_true(gate_until(dones, &h, 1));
    assert_int_equal(h.status, OPS_EINVAL);
    assert_string_equal(h.message, "a bad request of 3 bytes");
    assert_int_equal(h.attempts, 1);
    ops_worker_free(w);
    close_coordinator(&c);
}

static void who_goes_away_frees_the_worker(void **state)
{
    (void)state;
    coordinator c = open_coordinator();
    heard h[3];
    struct fake_writer *writer = fake_writer_new("m", false);
    ops_worker *w = start_worker(&c, "w", writer);
    for (int i = 0; i < 3; i++)
        ask(c.d, &h[i], "some text");
    assert_true(gate_until(fake_writer_running, writer, 3));
    for (int i = 0; i < 3; i++)
        ops_dispatch_cancel(c.d, h[i].id);
    for (int i = 0; i < 3; i++) {
        assert_true(gate_until(dones, &h[i], 1));
        assert_int_equal(h[i].status, OPS_ECANCELLED);
    }
    assert_true(gate_until(fake_writer_running, writer, 0));
    ops_worker_free(w);
    close_coordinator(&c);
}

/* What was told is broken off, what was not goes to the other worker. */
static void a_worker_dies_in_the_middle_of_an_answer(void **state)
{
    (void)state;
    coordinator c = open_coordinator();
    heard told, silent;
    struct fake_writer *writer = fake_writer_new("m", true), *other = fake_writer_new("m", true);
    char text[200];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    writer->slow_ns = 20000000; /* a step: a second in all */
    ops_worker *doomed = start_worker(&c, "doomed", writer);
    ask(c.d, &told, text);
    assert_true(gate_until(some_pieces, &told, 1));
    fake_writer_open(writer, false);
    ask(c.d, &silent, "some text");
    assert_true(gate_until(fake_writer_running, writer, 2));
    ops_worker *alive = start_worker(&c, "alive", other);
    assert_true(gate_until(task_workers, c.d, 2 * STREAMS));
    ops_worker_free(doomed); /* no drain: its connection breaks */
    assert_true(gate_until(dones, &told, 1));
    assert_int_equal(told.status, OPS_EUNAVAILABLE);
    assert_true(strlen(told.text) > 0 && strlen(told.text) < strlen(text));
    assert_true(gate_until(dones, &silent, 1));
    assert_int_equal(silent.status, OPS_OK);
    assert_string_equal(silent.text, "some text");
    assert_int_equal(silent.attempts, 2);
    ops_worker_free(alive);
    close_coordinator(&c);
}

/* --- models at run time --- */

typedef struct outcome {
    atomic_int dones;
    ops_status status;
    char message[128];
} outcome;
static void on_outcome(void *ctx, ops_status st, const char *message)
{
    outcome *o = ctx;
    o->status = st;
    (void)snprintf(o->message, sizeof o->message, "%s", message);
    atomic_fetch_add(&o->dones, 1);
}
static int outcomes(void *o)
{
    return atomic_load(&((outcome *)o)->dones);
}
static void errand(ops_dispatch *d, outcome *o, const char *worker, bool unload, const char *path,
                   const char *name)
{
    memset(o, 0, sizeof *o);
    const ops_dispatch_errand e = {
        .worker_id = worker, .unload = unload, .path = path, .name = name, .done = on_outcome, .ctx = o};
    assert_int_equal(ops_dispatch_run_errand(d, &e, NULL), OPS_OK);
    assert_true(gate_until(outcomes, o, 1));
}

/* Models over all streams. */
static int models(void *d)
{
    ops_dispatch_worker w[2 * STREAMS];
    const size_t there = ops_dispatch_workers(d, w, 2 * STREAMS);
    int n = 0;
    for (size_t i = 0; i < there && i < 2 * STREAMS; i++)
        n += (int)w[i].model_count;
    return n;
}

static void models_come_and_go_at_run_time(void **state)
{
    (void)state;
    coordinator c = open_coordinator();
    heard h;
    outcome o;
    ops_worker *w = start_worker(&c, "w", NULL);
    assert_true(gate_until(task_workers, c.d, STREAMS));
    ask(c.d, &h, "before there is a model");
    errand(c.d, &o, "w", false, "none", "");
    assert_int_equal(o.status, OPS_ENOTFOUND);
    assert_string_equal(o.message, "none: no such file");
    errand(c.d, &o, "nobody", false, "m", "");
    assert_int_equal(o.status, OPS_ENOTFOUND);
    errand(c.d, &o, "w", false, "m", "");
    assert_int_equal(o.status, OPS_OK);
    assert_true(gate_until(dones, &h, 1));
    assert_string_equal(h.text, "before there is a model");
    assert_true(gate_until(models, c.d, STREAMS)); /* every stream was told */
    errand(c.d, &o, "w", false, "m", "");
    assert_int_equal(o.status, OPS_EEXIST);
    errand(c.d, &o, "w", false, "m", "again");
    assert_int_equal(o.status, OPS_OK);
    assert_true(gate_until(models, c.d, 2 * STREAMS));
    errand(c.d, &o, "w", true, "", "m");
    assert_int_equal(o.status, OPS_OK);
    assert_true(gate_until(models, c.d, STREAMS));
    errand(c.d, &o, "w", true, "", "m");
    assert_int_equal(o.status, OPS_ENOTFOUND);
    ask(c.d, &h, "by the other");
    assert_true(gate_until(dones, &h, 1));
    assert_string_equal(h.model, "again");
    ops_worker_free(w);
    close_coordinator(&c);
}

static uint64_t requests_done; /* of the first model, as heard last */
static int use_is_told(void *d)
{
    ops_dispatch_worker w;
    if (ops_dispatch_workers(d, &w, 1) < 1 || w.model_count < 1)
        return 0;
    requests_done = w.models[0].use.done;
    return w.models[0].use.blocks == FAKE_WRITER_BLOCKS &&
           w.models[0].use.window_blocks == FAKE_WRITER_WINDOW_BLOCKS &&
           w.models[0].use.window_blocks_cached == FAKE_WRITER_WINDOW_CACHED && w.models[0].use.done == 1 &&
           w.models[0].use.running == 0;
}

static void how_a_model_is_doing_comes_with_heartbeats(void **state)
{
    (void)state;
    coordinator c = open_coordinator();
    heard h;
    ops_worker *w = start_worker(&c, "w", fake_writer_new("m", true));
    ask(c.d, &h, "some text");
    assert_true(gate_until(dones, &h, 1));
    assert_true(gate_until(use_is_told, c.d, 1));
    assert_int_equal(requests_done, 1);
    ops_worker_free(w);
    close_coordinator(&c);
}

static void inside_a_process_it_is_the_same(void **state)
{
    (void)state;
    ops_dispatch *d = NULL;
    const ops_dispatch_conf conf = {.heartbeat_ms = 50, .lost_after_ms = 60000};
    const ops_runner_opener opener = {open_fake, NULL};
    ops_runner *r = NULL;
    ops_local_worker *w = NULL;
    heard h;
    outcome o;
    assert_int_equal(ops_dispatch_new(&conf, &d, NULL), OPS_OK);
    assert_int_equal(ops_runner_new(NULL, 0, NULL, &r, NULL), OPS_OK);
    assert_int_equal(ops_runner_open_with(r, &opener, NULL), OPS_OK);
    assert_int_equal(ops_local_worker_over(d, "here", 0, r, &w, NULL), OPS_OK);
    assert_true(gate_until(task_workers, d, 1));
    errand(d, &o, "here", false, "m", "");
    assert_int_equal(o.status, OPS_OK);
    ask(d, &h, "inside");
    assert_true(gate_until(dones, &h, 1));
    assert_string_equal(h.text, "inside");
    errand(d, &o, "here", true, "", "m");
    assert_int_equal(o.status, OPS_OK);
    ask(d, &h, "nobody");
    ops_dispatch_cancel(d, h.id);
    assert_true(gate_until(dones, &h, 1));
    assert_int_equal(h.status, OPS_ECANCELLED);
    ops_local_worker_free(w, 1000);
    ops_dispatch_free(d);
    ops_runner_free(r);
    assert_int_equal(ops_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_over_the_wire),
        cmocka_unit_test(who_goes_away_frees_the_worker),
        cmocka_unit_test(a_worker_dies_in_the_middle_of_an_answer),
        cmocka_unit_test(models_come_and_go_at_run_time),
        cmocka_unit_test(how_a_model_is_doing_comes_with_heartbeats),
        cmocka_unit_test(inside_a_process_it_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
