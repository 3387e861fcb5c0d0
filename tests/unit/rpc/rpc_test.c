/* What rpc/server.h and rpc/client.h promise: gRPC core over a real socket on loopback, and the in-memory twin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/mem/alloc.h"
#include "proto/ops/v1/protoset.h"
#include "rpc/client.h"
#include "rpc/server.h"
#include "rpc/twin.h"

struct world {
    ops_rpc_server *server;
    ops_rpc_channel *channel;
    bool twin;
    char target[32];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    ops_rpc_call *held; /* a call that somebody else will end */
    int cancelled, done, writable, served;
};
static struct world w;

static void change(int *counter)
{
    (void)pthread_mutex_lock(&w.lock);
    (*counter)++;
    (void)pthread_cond_broadcast(&w.changed);
    (void)pthread_mutex_unlock(&w.lock);
}

static ops_rpc_call *held_call(void)
{
    (void)pthread_mutex_lock(&w.lock);
    ops_rpc_call *c = w.held;
    (void)pthread_mutex_unlock(&w.lock);
    return c;
}

static void wait_for(const int *counter, int n)
{
    (void)pthread_mutex_lock(&w.lock);
    while (*counter < n)
        (void)pthread_cond_wait(&w.changed, &w.lock);
    (void)pthread_mutex_unlock(&w.lock);
}

static bool on_echo(ops_rpc_call *c, ops_slice msg, void *svc)
{
    (void)svc;
    ops_rpc_reply(c, msg);
    return false;
}

static bool on_who(ops_rpc_call *c, ops_slice msg, void *svc)
{
    const ops_rpc_identity *id = ops_rpc_call_identity(c);
    char text[256];
    (void)msg;
    (void)svc;
    int n = snprintf(text, sizeof text, "%s %s %d %s", id->name, id->tenant, id->role,
                     strncmp(ops_rpc_call_peer(c), w.twin ? "twin:" : "ipv4:127.0.0.1:", w.twin ? 5 : 15) == 0
                         ? "near"
                         : ops_rpc_call_peer(c));
    ops_rpc_reply(c, ops_slice_of(text, (size_t)n));
    return false;
}

static bool on_fail(ops_rpc_call *c, ops_slice msg, void *svc)
{
    const ops_rpc_details d = {.retry_ms = 2500, .reason = "FULL", .domain = "opsd"};
    (void)msg;
    (void)svc;
    ops_rpc_finish(c, OPS_EAGAIN, "满了 100%", &d);
    return false;
}

/* Kept until a test ends it. */
static bool on_hold(ops_rpc_call *c, ops_slice msg, void *svc)
{
    (void)msg;
    (void)svc;
    (void)pthread_mutex_lock(&w.lock);
    w.held = c;
    (void)pthread_mutex_unlock(&w.lock);
    ops_rpc_call_set_user(c, &w);
    change(&w.served);
    return false;
}

static void on_cancelled(ops_rpc_call *c, void *svc)
{
    (void)c;
    (void)svc;
    change(&w.cancelled);
}

static void on_done(void *user, void *svc)
{
    (void)svc;
    assert_ptr_equal(user, &w);
    change(&w.done);
}

/* Sends as many numbers as asked for, as fast as they are taken. */
static void count_on(ops_rpc_call *c)
{
    uintptr_t *left = ops_rpc_call_user(c);
    char text[32];
    while (*left > 0) {
        int n = snprintf(text, sizeof text, "%ju", (uintmax_t)*left);
        if (ops_rpc_send(c, ops_slice_of(text, (size_t)n)) != OPS_OK)
            return;
        --*left;
    }
    ops_rpc_finish(c, OPS_OK, "", NULL);
}

static void on_room(ops_rpc_call *c, void *svc)
{
    (void)svc;
    change(&w.writable);
    count_on(c);
}

static bool on_count(ops_rpc_call *c, ops_slice msg, void *svc)
{
    uint64_t n = 0;
    (void)svc;
    uintptr_t *left = ops_malloc(sizeof *left);
    (void)ops_slice_to_u64(msg, &n);
    *left = n;
    ops_rpc_call_set_user(c, left);
    count_on(c);
    return false;
}

static void free_user(void *user, void *svc)
{
    (void)svc;
    ops_free(user);
    change(&w.done);
}

static bool on_chat(ops_rpc_call *c, ops_slice msg, void *svc)
{
    (void)svc;
    if (ops_slice_eq(msg, OPS_SLICE("stop"))) {
        ops_rpc_finish(c, OPS_ERANGE, "enough", NULL);
        return false;
    }
    assert_int_equal(ops_rpc_send(c, msg), OPS_OK);
    return true;
}

static void on_chat_closed(ops_rpc_call *c, void *svc)
{
    (void)svc;
    assert_int_equal(ops_rpc_send(c, OPS_SLICE("bye")), OPS_OK);
    ops_rpc_finish(c, OPS_OK, "", NULL);
}

static const ops_rpc_method methods[] = {
    {.path = "/t.T/Echo", .kind = OPS_RPC_UNARY, .open = true, .message = on_echo},
    {.path = "/t.T/Who", .kind = OPS_RPC_UNARY, .role = 3, .message = on_who},
    {.path = "/t.T/Fail", .kind = OPS_RPC_UNARY, .open = true, .message = on_fail},
    {.path = "/t.T/Hold",
     .kind = OPS_RPC_UNARY,
     .open = true,
     .message = on_hold,
     .cancelled = on_cancelled,
     .done = on_done},
    {.path = "/t.T/Count",
     .kind = OPS_RPC_SERVER_STREAM,
     .open = true,
     .message = on_count,
     .writable = on_room,
     .done = free_user},
    {.path = "/t.T/Chat",
     .kind = OPS_RPC_BIDI,
     .open = true,
     .message = on_chat,
     .half_close = on_chat_closed},
};

static ops_status check_token(void *u, ops_slice token, int role, ops_rpc_identity *ret, ops_err *reterr)
{
    (void)u;
    if (!ops_slice_eq(token, OPS_SLICE("good")) && !ops_slice_eq(token, OPS_SLICE("small")))
        return ops_fail(reterr, OPS_EAUTH, "who are you?");
    *ret = (ops_rpc_identity){
        .name = "ann", .tenant = "acme", .role = ops_slice_eq(token, OPS_SLICE("good")) ? 3 : 1};
    return ret->role >= role ? OPS_OK : ops_fail(reterr, OPS_EPERM, "ann may not");
}

static ops_rpc_channel *dial(const char *token)
{
    ops_rpc_channel *ch = NULL;
    const ops_rpc_channel_conf cc = {.target = w.target, .bearer = token};
    assert_int_equal(w.twin ? ops_rpc_twin_channel_new(w.server, &cc, &ch, NULL)
                            : ops_rpc_channel_new(&cc, &ch, NULL),
                     OPS_OK);
    return ch;
}

static int set_up(bool twin)
{
    ops_err err = {0};
    memset(&w, 0, sizeof w);
    w.twin = twin;
    (void)pthread_mutex_init(&w.lock, NULL);
    (void)pthread_cond_init(&w.changed, NULL);
    const ops_rpc_server_conf sc = {.address = "127.0.0.1:0",
                                    .message_bytes_max = 1 << 20,
                                    .send_queue_max = 8,
                                    .calls_max = 4,
                                    .authenticate = check_token,
                                    .protoset = ops_v1_protoset()};
    if ((twin ? ops_rpc_twin_new(&sc, &w.server, &err) : ops_rpc_server_new(&sc, &w.server, &err)) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(ops_rpc_server_add(w.server, methods, sizeof methods / sizeof *methods, &err), OPS_OK);
    assert_int_equal(ops_rpc_server_add(w.server, methods, 1, &err), OPS_EEXIST);
    assert_int_equal(ops_rpc_server_start(w.server, &err), OPS_OK);
    (void)snprintf(w.target, sizeof w.target, "127.0.0.1:%u", ops_rpc_server_port(w.server));
    w.channel = dial(NULL);
    return 0;
}

static int set_up_core(void **state)
{
    (void)state;
    return set_up(false);
}

static int set_up_twin(void **state)
{
    (void)state;
    return set_up(true);
}

static int tear_down(void **state)
{
    (void)state;
    ops_rpc_channel_free(w.channel);
    ops_rpc_server_free(w.server);
    (void)pthread_cond_destroy(&w.changed);
    (void)pthread_mutex_destroy(&w.lock);
    return 0;
}

static ops_status call(ops_rpc_channel *ch, const char *path, ops_slice req, char *reply, size_t max,
                       ops_rpc_details *d, ops_err *err)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 4 << 20);
    ops_status st = ops_rpc_unary(ch, path, req, 10000, &b, d, err);
    if (reply != NULL)
        (void)snprintf(reply, max, OPS_SLICE_FMT, OPS_SLICE_ARG(ops_strbuf_get(&b)));
    ops_strbuf_done(&b);
    return st;
}

static void unary_calls(void **state)
{
    (void)state;
    char reply[64];
    ops_err err = {0};
    ops_rpc_details d;
    assert_int_equal(call(w.channel, "/t.T/Echo", OPS_SLICE("hello"), reply, sizeof reply, NULL, &err),
                     OPS_OK);
    assert_string_equal(reply, "hello");
    assert_int_equal(call(w.channel, "/t.T/Echo", (ops_slice){0}, reply, sizeof reply, NULL, &err), OPS_OK);
    assert_string_equal(reply, "");
    assert_int_equal(call(w.channel, "/t.T/Fail", OPS_SLICE("x"), NULL, 0, &d, &err), OPS_EAGAIN);
    assert_string_equal(err.msg, "满了 100%");
    assert_int_equal(d.retry_ms, 2500);
    assert_string_equal(d.reason, "FULL");
    assert_int_equal(call(w.channel, "/t.T/None", OPS_SLICE("x"), NULL, 0, &d, &err), OPS_EUNIMPL);
}

static void who_may_call_what(void **state)
{
    (void)state;
    char reply[128];
    ops_err err = {0};
    OPS_AUTO(ops_rpc_channel_free) ops_rpc_channel *good = dial("good");
    OPS_AUTO(ops_rpc_channel_free) ops_rpc_channel *small = dial("small");
    assert_int_equal(call(w.channel, "/t.T/Who", OPS_SLICE("x"), NULL, 0, NULL, &err), OPS_EAUTH);
    assert_string_equal(err.msg, "who are you?");
    assert_int_equal(call(small, "/t.T/Who", OPS_SLICE("x"), NULL, 0, NULL, &err), OPS_EPERM);
    assert_int_equal(call(good, "/t.T/Who", OPS_SLICE("x"), reply, sizeof reply, NULL, &err), OPS_OK);
    assert_string_equal(reply, "ann acme 3 near");
}

static void messages_are_bounded(void **state)
{
    (void)state;
    ops_err err = {0};
    char *big = ops_calloc(1, 2 << 20);
    ops_strbuf b;
    ops_strbuf_init(&b, 4 << 20);
    assert_int_equal(
        ops_rpc_unary(w.channel, "/t.T/Echo", ops_slice_of(big, (1 << 20) - 100), 10000, &b, NULL, &err),
        OPS_OK);
    assert_int_equal(b.n, (1 << 20) - 100);
    assert_int_equal(call(w.channel, "/t.T/Echo", ops_slice_of(big, 2 << 20), NULL, 0, NULL, &err),
                     OPS_EAGAIN);
    ops_strbuf_done(&b);
    ops_free(big);
    /* The server goes on. */
    assert_int_equal(call(w.channel, "/t.T/Echo", OPS_SLICE("x"), NULL, 0, NULL, &err), OPS_OK);
}

static void a_deadline_ends_the_call_and_its_handler_hears(void **state)
{
    (void)state;
    ops_err err = {0};
    ops_strbuf b;
    ops_strbuf_init(&b, 1024);
    assert_int_equal(ops_rpc_unary(w.channel, "/t.T/Hold", OPS_SLICE("x"), 50, &b, NULL, &err), OPS_ETIMEOUT);
    ops_strbuf_done(&b);
    wait_for(&w.served, 1);
    wait_for(&w.cancelled, 1);
    assert_true(ops_rpc_call_is_cancelled(held_call()));
    assert_int_equal(ops_rpc_server_calls(w.server), 1);
    ops_rpc_reply(held_call(), OPS_SLICE("too late")); /* from another thread than the handler's */
    wait_for(&w.done, 1);
}

struct told {
    ops_status st;
    int count;
};

static void on_told(void *u, const ops_rpc_answer *a)
{
    struct told *t = u;
    t->st = a->st;
    change(&t->count);
}

static void too_many_calls_are_refused_with_a_time_to_come_again(void **state)
{
    (void)state;
    struct told told[4] = {0};
    ops_rpc_call *held[4];
    ops_rpc_details d;
    ops_err err = {0};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(
            ops_rpc_unary_async(w.channel, "/t.T/Hold", OPS_SLICE("x"), 10000, on_told, &told[i], &err),
            OPS_OK);
        wait_for(&w.served, i + 1);
        held[i] = held_call();
    }
    /* HTTP/2 holds further streams of one connection back; another connection is told. */
    OPS_AUTO(ops_rpc_channel_free) ops_rpc_channel *other = dial(NULL);
    assert_int_equal(call(other, "/t.T/Echo", OPS_SLICE("x"), NULL, 0, &d, &err), OPS_EAGAIN);
    assert_int_equal(d.retry_ms, 1000);
    for (int i = 0; i < 4; i++) {
        ops_rpc_reply(held[i], OPS_SLICE("y"));
        wait_for(&told[i].count, 1);
        assert_int_equal(told[i].st, OPS_OK);
    }
}

static void a_stream_waits_for_its_reader(void **state)
{
    (void)state;
    ops_rpc_stream *st = NULL;
    ops_err err = {0};
    ops_strbuf b;
    bool end = false;
    ops_strbuf_init(&b, 64);
    assert_int_equal(ops_rpc_stream_open(w.channel, "/t.T/Count", 10000, &st, &err), OPS_OK);
    assert_int_equal(ops_rpc_stream_send(st, OPS_SLICE("500"), &err), OPS_OK);
    assert_int_equal(ops_rpc_stream_close_send(st, &err), OPS_OK);
    for (uint64_t want = 500; want > 0; want--) {
        uint64_t got = 0;
        ops_strbuf_clear(&b);
        assert_int_equal(ops_rpc_stream_recv(st, 5000, &b, &end, &err), OPS_OK);
        assert_true(ops_slice_to_u64(ops_strbuf_get(&b), &got) && got == want);
    }
    assert_int_equal(ops_rpc_stream_recv(st, 5000, &b, &end, &err), OPS_OK);
    assert_true(end);
    wait_for(&w.writable, 1);
    ops_strbuf_done(&b);
    ops_rpc_stream_free(st);
    wait_for(&w.done, 1);
}

static void a_stream_that_is_left_is_ended(void **state)
{
    (void)state;
    ops_rpc_stream *st = NULL;
    ops_err err = {0};
    assert_int_equal(ops_rpc_stream_open(w.channel, "/t.T/Count", 10000, &st, &err), OPS_OK);
    assert_int_equal(ops_rpc_stream_send(st, OPS_SLICE("100000000"), &err), OPS_OK);
    ops_strbuf b;
    bool end;
    ops_strbuf_init(&b, 64);
    assert_int_equal(ops_rpc_stream_recv(st, 5000, &b, &end, &err), OPS_OK);
    ops_strbuf_done(&b);
    ops_rpc_stream_free(st);
    wait_for(&w.done, 1);
}

static void both_sides_talk(void **state)
{
    (void)state;
    ops_rpc_stream *st = NULL;
    ops_err err = {0};
    ops_strbuf b;
    bool end;
    ops_strbuf_init(&b, 64);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(ops_rpc_stream_open(w.channel, "/t.T/Chat", -1, &st, &err), OPS_OK);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(ops_rpc_stream_send(st, OPS_SLICE("hi"), &err), OPS_OK);
            ops_strbuf_clear(&b);
            assert_int_equal(ops_rpc_stream_recv(st, 5000, &b, &end, &err), OPS_OK);
            assert_string_equal(b.p, "hi");
        }
        assert_int_equal(ops_rpc_stream_recv(st, 1, &b, &end, &err), OPS_ETIMEOUT);
        ops_strbuf_clear(&b);
        if (round == 0) {
            assert_int_equal(ops_rpc_stream_close_send(st, &err), OPS_OK);
            assert_int_equal(ops_rpc_stream_recv(st, 5000, &b, &end, &err), OPS_OK);
            assert_string_equal(b.p, "bye");
            assert_int_equal(ops_rpc_stream_recv(st, 5000, &b, &end, &err), OPS_OK);
            assert_true(end);
        } else {
            assert_int_equal(ops_rpc_stream_send(st, OPS_SLICE("stop"), &err), OPS_OK);
            assert_int_equal(ops_rpc_stream_recv(st, 5000, &b, &end, &err), OPS_ERANGE);
            assert_string_equal(err.msg, "enough");
            assert_int_equal(ops_rpc_stream_send(st, OPS_SLICE("x"), &err), OPS_ECANCELLED);
        }
        ops_rpc_stream_free(st);
    }
    ops_strbuf_done(&b);
}

static void health_is_told_and_watched(void **state)
{
    (void)state;
    ops_rpc_stream *st = NULL;
    ops_err err = {0};
    ops_strbuf b;
    bool end;
    ops_strbuf_init(&b, 64);
    static const char *const check = "/grpc.health.v1.Health/Check";
    assert_int_equal(ops_rpc_unary(w.channel, check, (ops_slice){0}, 5000, &b, NULL, &err), OPS_OK);
    assert_memory_equal(b.p, "\x08\x02", 2);
    assert_int_equal(call(w.channel, check, OPS_SLICE("\x0a\x03no."), NULL, 0, NULL, &err), OPS_ENOTFOUND);
    assert_int_equal(call(w.channel, check, OPS_SLICE("\x0a\x7f"), NULL, 0, NULL, &err), OPS_EINVAL);
    assert_int_equal(ops_rpc_stream_open(w.channel, "/grpc.health.v1.Health/Watch", -1, &st, &err), OPS_OK);
    assert_int_equal(ops_rpc_stream_send(st, OPS_SLICE("\x0a\x03t.T"), &err), OPS_OK);
    assert_int_equal(ops_rpc_stream_close_send(st, &err), OPS_OK);
    static const bool serving[] = {false, true, false};
    for (int i = 0; i < 3; i++) {
        if (i > 0)
            ops_rpc_server_set_serving(w.server, "t.T", serving[i]);
        ops_strbuf_clear(&b);
        assert_int_equal(ops_rpc_stream_recv(st, 5000, &b, &end, &err), OPS_OK);
        assert_int_equal(b.p[1], serving[i] ? 1 : 2);
    }
    ops_strbuf_done(&b);
    ops_rpc_stream_free(st);
}

static void stopping_ends_what_holds_on(void **state)
{
    (void)state;
    struct told told = {0};
    ops_rpc_stream *st = NULL;
    ops_err err = {0};
    ops_strbuf b;
    bool end;
    ops_strbuf_init(&b, 64);
    assert_int_equal(ops_rpc_stream_open(w.channel, "/t.T/Chat", -1, &st, &err), OPS_OK);
    assert_int_equal(ops_rpc_stream_send(st, OPS_SLICE("hi"), &err), OPS_OK);
    assert_int_equal(ops_rpc_stream_recv(st, 5000, &b, &end, &err), OPS_OK);
    assert_int_equal(ops_rpc_unary_async(w.channel, "/t.T/Hold", OPS_SLICE("x"), 10000, on_told, &told, &err),
                     OPS_OK);
    wait_for(&w.served, 1);
    ops_rpc_reply(held_call(), OPS_SLICE("y"));
    ops_rpc_server_stop(w.server, 50);
    wait_for(&told.count, 1);
    assert_int_equal(told.st, OPS_OK); /* what was under way and answered in time went well */
    assert_true(ops_rpc_stream_recv(st, 5000, &b, &end, &err) != OPS_OK);
    ops_strbuf_done(&b);
    ops_rpc_stream_free(st);
    assert_int_equal(call(w.channel, "/t.T/Echo", OPS_SLICE("x"), NULL, 0, NULL, &err), OPS_EUNAVAILABLE);
}

static void addresses_are_checked(void **state)
{
    (void)state;
    ops_rpc_server *second = NULL;
    ops_err err = {0};
    ops_rpc_server_conf sc = {.address = w.target};
    assert_int_equal(ops_rpc_server_new(&sc, &second, &err), OPS_EEXIST);
    sc.address = "0.0.0.0:0";
    ops_status st = ops_rpc_server_new(&sc, &second, &err);
    assert_true(st == OPS_EPERM || st == OPS_OK); /* by the age of the core */
    ops_rpc_server_free(second);
    const ops_rpc_tls bad = {.cert = "nonsense", .key = "nonsense"};
    sc.address = "127.0.0.1:0";
    sc.tls = &bad;
    second = NULL;
    assert_int_equal(ops_rpc_server_new(&sc, &second, &err), OPS_EINVAL);
    assert_int_equal(ops_rpc_server_reload_tls(w.server, &bad, &err), OPS_EINVAL);
}

static void limits_are_checked(void **state)
{
    (void)state;
    ops_rpc_server *second = NULL;
    ops_err err = {0};
    const ops_rpc_server_conf bad[] = {
        {.address = "127.0.0.1:0", .message_bytes_max = (size_t)INT32_MAX + 1},
        {.address = "127.0.0.1:0", .calls_max = (unsigned)INT32_MAX + 1},
        {.address = "127.0.0.1:0", .keepalive_s = 4000000},
        {.address = "127.0.0.1:0", .threads = 100000},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(w.twin ? ops_rpc_twin_new(&bad[i], &second, &err)
                                : ops_rpc_server_new(&bad[i], &second, &err),
                         OPS_EINVAL);
}

static void a_request_that_never_comes_is_an_error(void **state)
{
    (void)state;
    ops_rpc_stream *st = NULL;
    ops_err err = {0};
    ops_strbuf b;
    bool end;
    ops_strbuf_init(&b, 64);
    assert_int_equal(ops_rpc_stream_open(w.channel, "/t.T/Count", 10000, &st, &err), OPS_OK);
    assert_int_equal(ops_rpc_stream_close_send(st, &err), OPS_OK);
    assert_int_equal(ops_rpc_stream_close_send(st, &err), OPS_EINVAL);
    assert_int_equal(ops_rpc_stream_recv(st, 5000, &b, &end, &err), OPS_EINVAL);
    assert_string_equal(err.msg, "the request is missing");
    ops_strbuf_done(&b);
    ops_rpc_stream_free(st);
}

static void an_answer_is_bounded_by_its_reader(void **state)
{
    (void)state;
    ops_rpc_channel *small = NULL;
    ops_err err = {0};
    char *big = ops_calloc(1, 100000);
    const ops_rpc_channel_conf cc = {.target = w.target, .message_bytes_max = 1000};
    assert_int_equal(w.twin ? ops_rpc_twin_channel_new(w.server, &cc, &small, NULL)
                            : ops_rpc_channel_new(&cc, &small, NULL),
                     OPS_OK);
    assert_int_equal(call(small, "/t.T/Echo", ops_slice_of(big, 100000), NULL, 0, NULL, &err), OPS_EAGAIN);
    assert_int_equal(call(small, "/t.T/Echo", ops_slice_of(big, 500), NULL, 0, NULL, &err), OPS_OK);
    ops_rpc_channel_free(small);
    ops_free(big);
}

int main(void)
{
#define BOTH(name)                                                                                           \
    {#name " (core)", name, set_up_core, tear_down, NULL},                                                   \
    {                                                                                                        \
#name " (twin)", name, set_up_twin, tear_down, NULL                                                  \
    }
    const struct CMUnitTest tests[] = {
        BOTH(unary_calls),
        BOTH(who_may_call_what),
        BOTH(messages_are_bounded),
        BOTH(an_answer_is_bounded_by_its_reader),
        BOTH(a_deadline_ends_the_call_and_its_handler_hears),
        BOTH(too_many_calls_are_refused_with_a_time_to_come_again),
        BOTH(a_stream_waits_for_its_reader),
        BOTH(a_stream_that_is_left_is_ended),
        BOTH(a_request_that_never_comes_is_an_error),
        BOTH(both_sides_talk),
        BOTH(health_is_told_and_watched),
        BOTH(stopping_ends_what_holds_on),
        BOTH(limits_are_checked),
        cmocka_unit_test_setup_teardown(addresses_are_checked, set_up_core, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
