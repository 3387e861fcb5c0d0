/* Workers attached over gRPC on loopback: killed, drained, turned away, coming back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text/strbuf.h"
#include "coordinator/attach/attach_rpc.h"
#include "proto/ops/v1/worker.pb-c.h"
#include "tests/component/worker/tasks.h"
#include "tests/support/gate_engine.h"
#include "worker/serve/serve.h"

enum { STREAMS = 3 }; /* one per class */

typedef struct coordinator {
    ops_dispatch *d;
    ops_rpc_server *server;
    ops_attach_rpc *attach;
    char address[32];
} coordinator;

static void serve_at(coordinator *c, const char *address)
{
    const ops_rpc_server_conf conf = {.address = address};
    assert_int_equal(ops_rpc_server_new(&conf, &c->server, NULL), OPS_OK);
    assert_int_equal(ops_attach_rpc_add(c->server, c->d, "c1", 0, &c->attach, NULL), OPS_OK);
    assert_int_equal(ops_rpc_server_start(c->server, NULL), OPS_OK);
    (void)snprintf(c->address, sizeof c->address, "127.0.0.1:%u", ops_rpc_server_port(c->server));
}
static void stop_serving(coordinator *c)
{
    ops_rpc_server_stop(c->server, 0);
    ops_rpc_server_free(c->server);
}
static coordinator open_coordinator(void)
{
    coordinator c = {0};
    const ops_dispatch_conf conf = {.heartbeat_ms = 200, .lost_after_ms = 20000};
    assert_int_equal(ops_dispatch_new(&conf, &c.d, NULL), OPS_OK);
    serve_at(&c, "127.0.0.1:0");
    return c;
}
static void close_coordinator(coordinator *c)
{
    stop_serving(c);
    ops_dispatch_free(c->d);
    ops_attach_rpc_free(c->attach);
}

static ops_worker *start_worker(const coordinator *c, const char *id, struct gate *g)
{
    const char *addresses[] = {c->address};
    const ops_worker_conf conf = {.coordinators = addresses, .coordinator_count = 1, .worker_id = id};
    ops_worker *w = NULL;
    ops_err err;
    if (ops_worker_new(&conf, gate_engine_new(g), &w, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return w;
}
static int streams(void *w)
{
    return (int)ops_worker_streams(w);
}

/* The promise of the dispatch, end to end: one retry for the task in flight, nothing for the others. */
static void a_killed_worker_costs_one_retry(void **state)
{
    (void)state;
    struct gate shut = GATE(false), open = GATE(true);
    struct task_seen victim, others[20];
    coordinator c = open_coordinator();
    ops_worker *doomed = start_worker(&c, "doomed", &shut);
    assert_true(gate_until(task_workers, c.d, STREAMS));
    assert_int_equal(task_submit(c.d, &victim, OPS_SLICE("victim"), 0), OPS_OK);
    assert_true(gate_until(gate_inside, &shut, 1));
    ops_worker *one = start_worker(&c, "one", &open), *two = start_worker(&c, "two", &open);
    assert_true(gate_until(task_workers, c.d, 3 * STREAMS));
    ops_worker_free(doomed); /* no drain: as far as the coordinator sees, its connection breaks mid-task */
    assert_true(gate_until(task_times, &victim, 1));
    assert_int_equal(victim.status, OPS_OK);
    assert_int_equal(victim.attempts, 2);
    assert_true(victim.first == 6);
    for (int i = 0; i < 20; i++)
        assert_int_equal(task_submit(c.d, &others[i], OPS_SLICE("other"), 0), OPS_OK);
    for (int i = 0; i < 20; i++) {
        assert_true(gate_until(task_times, &others[i], 1));
        assert_int_equal(others[i].status, OPS_OK);
        assert_int_equal(others[i].attempts, 1);
    }
    assert_true(gate_until(task_workers, c.d, 2 * STREAMS));
    const ops_dispatch_counts n = ops_dispatch_counts_get(c.d);
    assert_int_equal(n.retried, 1);
    assert_int_equal(n.done, 21);
    assert_int_equal(n.poisoned, 0);
    ops_worker_free(one);
    ops_worker_free(two);
    close_coordinator(&c);
}

static void a_draining_worker_finishes_what_it_has(void **state)
{
    (void)state;
    struct gate g = GATE(false);
    struct task_seen t;
    coordinator c = open_coordinator();
    ops_worker *w = start_worker(&c, "w", &g);
    assert_true(gate_until(streams, w, STREAMS));
    assert_int_equal(task_submit(c.d, &t, OPS_SLICE("slow"), 0), OPS_OK);
    assert_true(gate_until(gate_inside, &g, 1));
    ops_worker_drain(w, "upgrade", 50); /* not enough for it */
    assert_int_equal(task_times(&t), 0);
    gate_open(&g, true);
    ops_worker_drain(w, "upgrade", 10000);
    assert_true(gate_until(task_times, &t, 1));
    assert_int_equal(t.status, OPS_OK);
    assert_int_equal(t.attempts, 1);
    assert_true(gate_until(task_workers, c.d, 0)); /* the streams ended by themselves */
    const ops_dispatch_counts n = ops_dispatch_counts_get(c.d);
    assert_int_equal(n.retried, 0);
    assert_int_equal(n.workers_lost, 0);
    ops_worker_free(w);
    close_coordinator(&c);
}

static int draining(void *d)
{
    ops_dispatch_worker w[STREAMS];
    int n = 0;
    const size_t there = ops_dispatch_workers(d, w, STREAMS);
    for (size_t i = 0; i < there && i < STREAMS; i++)
        n += w[i].draining;
    return n;
}

static void an_operator_drains_by_name(void **state)
{
    (void)state;
    struct gate g = GATE(true);
    struct task_seen t;
    coordinator c = open_coordinator();
    ops_worker *w = start_worker(&c, "w", &g);
    assert_true(gate_until(task_workers, c.d, STREAMS));
    assert_int_equal(ops_dispatch_drain(c.d, "w", "maintenance", NULL), OPS_OK);
    assert_true(gate_until(draining, c.d, STREAMS));
    assert_int_equal(task_submit(c.d, &t, OPS_SLICE("x"), 100), OPS_OK);
    assert_true(gate_until(task_times, &t, 1));
    assert_int_equal(t.status, OPS_ETIMEOUT);
    assert_int_equal(gate_came(&g), 0);
    ops_worker_free(w);
    close_coordinator(&c);
}

/* The coordinator goes away and comes back at the same address. */
static void a_worker_comes_back(void **state)
{
    (void)state;
    struct gate g = GATE(true);
    struct task_seen t;
    coordinator c = open_coordinator();
    ops_worker *w = start_worker(&c, "w", &g);
    assert_true(gate_until(streams, w, STREAMS));
    ops_attach_rpc *old = c.attach;
    stop_serving(&c);
    assert_true(gate_until(task_workers, c.d, 0));
    assert_true(gate_until(streams, w, 0));
    char address[32];
    memcpy(address, c.address, sizeof address);
    serve_at(&c, address);
    ops_attach_rpc_free(old);
    assert_true(gate_until(task_workers, c.d, STREAMS));
    assert_int_equal(task_submit(c.d, &t, OPS_SLICE("again"), 0), OPS_OK);
    assert_true(gate_until(task_times, &t, 1));
    assert_int_equal(t.status, OPS_OK);
    ops_worker_free(w);
    close_coordinator(&c);
}

static void send_message(ops_rpc_stream *s, const Ops__V1__WorkerMessage *m)
{
    uint8_t bytes[4096];
    const size_t n = ops__v1__worker_message__pack(m, bytes);
    assert_int_equal(ops_rpc_stream_send(s, ops_slice_of(bytes, n), NULL), OPS_OK);
}
static void send_hello(ops_rpc_stream *s, uint32_t protocol, char *id)
{
    char name[] = "m", job[] = "embed";
    Ops__V1__Model model = OPS__V1__MODEL__INIT, *models[] = {&model};
    model.name = name;
    model.job = job;
    model.dim = 1;
    Ops__V1__Hello hello = OPS__V1__HELLO__INIT;
    hello.protocol = protocol;
    hello.worker_id = id;
    hello.n_models = 1;
    hello.models = models;
    hello.credits = 10;
    Ops__V1__WorkerMessage m = OPS__V1__WORKER_MESSAGE__INIT;
    m.kind_case = OPS__V1__WORKER_MESSAGE__KIND_HELLO;
    m.hello = &hello;
    send_message(s, &m);
}
static void send_ragged(ops_rpc_stream *s)
{
    float v[2] = {1, 2};
    Ops__V1__Vector a = OPS__V1__VECTOR__INIT, b = OPS__V1__VECTOR__INIT, *both[] = {&a, &b};
    a.n_values = 2;
    b.n_values = 1;
    a.values = b.values = v;
    Ops__V1__Result result = OPS__V1__RESULT__INIT;
    result.task_id = 1;
    result.n_vectors = 2;
    result.vectors = both;
    Ops__V1__WorkerMessage m = OPS__V1__WORKER_MESSAGE__INIT;
    m.kind_case = OPS__V1__WORKER_MESSAGE__KIND_RESULT;
    m.result = &result;
    send_message(s, &m);
}

enum { DELTA_EMPTY, DELTA_HUGE, MODELS_MANY, MODELS_BAD };
static void send_answers(ops_rpc_stream *s, int how)
{
    Ops__V1__WorkerMessage m = OPS__V1__WORKER_MESSAGE__INIT;
    Ops__V1__Delta delta = OPS__V1__DELTA__INIT;
    Ops__V1__GenerateDelta piece = OPS__V1__GENERATE_DELTA__INIT;
    Ops__V1__Models models = OPS__V1__MODELS__INIT;
    Ops__V1__Model model = OPS__V1__MODEL__INIT, *at[OPS_DISPATCH_MODELS_MAX + 1];
    char name[] = "m", job[] = "embed";
    OPS_AUTO(ops_free) void *text = ops_calloc(1, OPS_DISPATCH_DELTA_MAX + 1), *bytes = NULL;
    memset(text, 'x', OPS_DISPATCH_DELTA_MAX);
    piece.text = text;
    delta.delta = how == DELTA_HUGE ? &piece : NULL;
    for (size_t i = 0; i <= OPS_DISPATCH_MODELS_MAX; i++)
        at[i] = &model;
    model.name = name;
    model.job = job; /* without vectors */
    models.models = at;
    models.n_models = how == MODELS_MANY ? OPS_DISPATCH_MODELS_MAX + 1 : 1;
    if (how == DELTA_EMPTY || how == DELTA_HUGE) {
        m.kind_case = OPS__V1__WORKER_MESSAGE__KIND_DELTA;
        m.delta = &delta;
    } else {
        m.kind_case = OPS__V1__WORKER_MESSAGE__KIND_MODELS;
        m.models = &models;
    }
    bytes = ops_malloc(ops__v1__worker_message__get_packed_size(&m));
    const size_t n = ops__v1__worker_message__pack(&m, bytes);
    assert_int_equal(ops_rpc_stream_send(s, ops_slice_of(bytes, n), NULL), OPS_OK);
}

/* Streams that break the rules end with INVALID_ARGUMENT and say why. */
static void strangers_are_turned_away(void **state)
{
    (void)state;
    coordinator c = open_coordinator();
    const ops_rpc_channel_conf conf = {.target = c.address};
    ops_rpc_channel *ch = NULL;
    assert_int_equal(ops_rpc_channel_new(&conf, &ch, NULL), OPS_OK);
    char id[] = "stranger", none[] = "";
    for (int how = 0; how < 10; how++) {
        static const char *const says[] = {"no WorkerMessage",   "its hello",       "protocol 2",
                                           "worker id",          "second hello",    "vector 1 has 1 floats",
                                           "that holds nothing", "a piece of 1048", "9 models, at most 8",
                                           "vectors of 0 floats"};
        ops_rpc_stream *s = NULL;
        ops_err err = {.msg = ""};
        ops_strbuf got;
        bool end = false;
        ops_strbuf_init(&got, 1 << 20);
        assert_int_equal(ops_rpc_stream_open(ch, "/ops.v1.WorkerService/Attach", 10000, &s, NULL), OPS_OK);
        if (how == 0)
            assert_int_equal(ops_rpc_stream_send(s, OPS_SLICE("\xff\xff\xff"), NULL), OPS_OK);
        else if (how == 1)
            send_ragged(s);
        else if (how == 2)
            send_hello(s, 2, id);
        else if (how == 3)
            send_hello(s, 1, none);
        else {
            send_hello(s, 1, id);
            if (how == 4)
                send_hello(s, 1, id);
            else if (how == 5)
                send_ragged(s);
            else
                send_answers(s, how - 6);
        }
        ops_status st = OPS_OK;
        while (st == OPS_OK && !end) /* a welcome may come first */
            st = ops_rpc_stream_recv(s, 10000, &got, &end, &err);
        if (st != OPS_EINVAL || strstr(err.msg, says[how]) == NULL)
            fail_msg("stranger %d: %s: '%s' does not say '%s'", how, ops_status_name(st), err.msg, says[how]);
        ops_strbuf_done(&got);
        ops_rpc_stream_free(s);
    }
    assert_true(gate_until(task_workers, c.d, 0));
    ops_rpc_channel_free(ch);
    close_coordinator(&c);
}

static void workers_are_checked(void **state)
{
    (void)state;
    struct gate g = GATE(true);
    const char *one[] = {"127.0.0.1:1"};
    ops_worker *w = NULL;
    ops_worker_conf conf = {.coordinators = one, .coordinator_count = 0};
    assert_int_equal(ops_worker_new(&conf, gate_engine_new(&g), &w, NULL),
                     OPS_OK); /* asked from inside only */
    assert_non_null(ops_worker_runner(w));
    ops_worker_drain(w, "over", 100);
    ops_worker_free(w);
    conf.coordinator_count = OPS_WORKER_COORDINATORS_MAX + 1;
    assert_int_equal(ops_worker_new(&conf, gate_engine_new(&g), &w, NULL), OPS_EINVAL);
    conf.coordinator_count = 1;
    conf.worker_id = "";
    assert_int_equal(ops_worker_new(&conf, gate_engine_new(&g), &w, NULL), OPS_EINVAL);
    conf.worker_id = NULL; /* nobody listens there: it tries on, and stops when told */
    assert_int_equal(ops_worker_new(&conf, gate_engine_new(&g), &w, NULL), OPS_OK);
    assert_int_equal(ops_worker_streams(w), 0);
    ops_worker_free(w);
    assert_int_equal(ops_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_are_checked),
        cmocka_unit_test(a_killed_worker_costs_one_retry),
        cmocka_unit_test(a_draining_worker_finishes_what_it_has),
        cmocka_unit_test(an_operator_drains_by_name),
        cmocka_unit_test(a_worker_comes_back),
        cmocka_unit_test(strangers_are_turned_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
