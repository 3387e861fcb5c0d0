/* ModelService between the in-memory twin of gRPC and a dispatch whose workers are this test. */
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
#include "coordinator/api/model_service.h"
#include "proto/ops/v1/model.pb-c.h"
#include "rpc/twin.h"

enum { QUEUE_MAX = 3, PIECE = 64 << 10 };

typedef struct worker {
    uint64_t attachment;
    _Atomic uint64_t order, cancelled, errand;
    atomic_int orders, errands;
    ops_dispatch_class work_class;
    bool unload;
    char salt[32], path[32], name[32];
} worker;

static struct world {
    ops_dispatch *d;
    ops_rpc_server *server;
    ops_rpc_channel *channel, *admin;
    ops_model_service *service;
    worker w[2];
} w;

static ops_status on_send(void *ctx, const ops_dispatch_order *o)
{
    worker *me = ctx;
    if (o->job == OPS_DISPATCH_GENERATE) {
        Ops__V1__GenerateTask *t =
            ops__v1__generate_task__unpack(NULL, o->payload.n, (const uint8_t *)o->payload.p);
        assert_non_null(t);
        (void)snprintf(me->salt, sizeof me->salt, "%s", t->salt);
        ops__v1__generate_task__free_unpacked(t, NULL);
    }
    atomic_store(&me->order, o->task_id);
    atomic_fetch_add(&me->orders, 1);
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
    (void)ctx;
    (void)why;
    (void)message;
}
static ops_status on_errand(void *ctx, uint64_t id, const ops_dispatch_errand *e)
{
    worker *me = ctx;
    me->unload = e->unload;
    (void)snprintf(me->path, sizeof me->path, "%s", e->path);
    (void)snprintf(me->name, sizeof me->name, "%s", e->name);
    atomic_store(&me->errand, id);
    atomic_fetch_add(&me->errands, 1);
    return OPS_OK;
}

static void nap(void)
{
    const struct timespec ts = {0, 1000000};
    (void)nanosleep(&ts, NULL);
}
static void await_count(atomic_int *at, int want)
{
    for (int i = 0; i < 10000 && atomic_load(at) != want; i++)
        nap();
    assert_int_equal(atomic_load(at), want);
}

static void attach(int i)
{
    ops_dispatch_hello h = {.model_count = 2, .credits = 100000};
    (void)snprintf(h.worker_id, sizeof h.worker_id, "w%d", i);
    h.models[0] =
        (ops_dispatch_model){.name = "m", .content_hash = "aa", .job = "generate", .tokens_max = 512};
    h.models[0].use = (ops_dispatch_use){.running = 2,
                                         .blocks = 8,
                                         .blocks_used = (uint32_t)i + 1,
                                         .window_blocks = 6,
                                         .window_blocks_used = 2,
                                         .window_blocks_cached = (uint32_t)i};
    h.models[1] = (ops_dispatch_model){.name = "e", .job = "embed", .dim = 2, .tokens_max = 64};
    const ops_dispatch_port port = {.send = on_send,
                                    .cancel = on_cancel,
                                    .drain = on_drain,
                                    .end = on_end,
                                    .ctx = &w.w[i],
                                    .errand = on_errand};
    assert_int_equal(ops_dispatch_attach(w.d, &h, &port, &w.w[i].attachment, NULL), OPS_OK);
    for (int k = 0; k < 10000 && ops_dispatch_workers(w.d, NULL, 0) < (size_t)i + 1; k++)
        nap();
}

static ops_status authenticate(void *u, ops_slice token, int role, ops_rpc_identity *ret, ops_err *reterr)
{
    (void)u;
    const int have = ops_slice_eq(token, OPS_SLICE("admin")) ? 2 : 1;
    *ret = (ops_rpc_identity){.name = "ann", .tenant = "acme", .role = have};
    return role <= have ? OPS_OK : ops_fail(reterr, OPS_EPERM, "ann may not");
}

static int set_up(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    const ops_dispatch_conf dc = {.queue_max = QUEUE_MAX, .lost_after_ms = 600000};
    const ops_rpc_server_conf sc = {
        .message_bytes_max = 8 << 20, .send_queue_max = 4, .authenticate = authenticate};
    const ops_rpc_channel_conf cc = {.bearer = "viewer"}, ac = {.bearer = "admin"};
    assert_int_equal(ops_dispatch_new(&dc, &w.d, NULL), OPS_OK);
    assert_int_equal(ops_rpc_twin_new(&sc, &w.server, NULL), OPS_OK);
    assert_int_equal(ops_model_service_add(w.server, w.d, 1, 2, &w.service, NULL), OPS_OK);
    assert_int_equal(ops_rpc_server_start(w.server, NULL), OPS_OK);
    assert_int_equal(ops_rpc_twin_channel_new(w.server, &cc, &w.channel, NULL), OPS_OK);
    assert_int_equal(ops_rpc_twin_channel_new(w.server, &ac, &w.admin, NULL), OPS_OK);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    ops_rpc_channel_free(w.channel);
    ops_rpc_channel_free(w.admin);
    ops_rpc_server_stop(w.server, 0);
    ops_dispatch_free(w.d);
    ops_model_service_free(w.service);
    ops_rpc_server_free(w.server);
    assert_int_equal(ops_alloc_live(), 0);
    return 0;
}

/* --- Generate --- */

static ops_rpc_stream *ask(Ops__V1__GenerateTask *t, int64_t timeout_ms)
{
    Ops__V1__GenerateRequest q = OPS__V1__GENERATE_REQUEST__INIT;
    uint8_t bytes[1024];
    ops_rpc_stream *s = NULL;
    q.task = t;
    const size_t n = ops__v1__generate_request__pack(&q, bytes);
    assert_int_equal(ops_rpc_stream_open(w.channel, "/ops.v1.ModelService/Generate", timeout_ms, &s, NULL),
                     OPS_OK);
    assert_int_equal(ops_rpc_stream_send(s, ops_slice_of((const char *)bytes, n), NULL), OPS_OK);
    assert_int_equal(ops_rpc_stream_close_send(s, NULL), OPS_OK);
    return s;
}
static Ops__V1__GenerateTask some_task(void)
{
    Ops__V1__GenerateTask t = OPS__V1__GENERATE_TASK__INIT;
    static char prompt[] = "some text", theirs[] = "another tenant";
    t.prompt = prompt;
    t.salt = theirs;
    return t;
}
static ops_status tell(worker *me, uint64_t id, const char *text)
{
    Ops__V1__GenerateDelta delta = OPS__V1__GENERATE_DELTA__INIT;
    delta.text = (char *)(uintptr_t)text;
    OPS_AUTO(ops_free) void *bytes = ops_malloc(ops__v1__generate_delta__get_packed_size(&delta));
    const size_t n = ops__v1__generate_delta__pack(&delta, bytes);
    return ops_dispatch_delta(w.d, me->attachment, id, ops_slice_of(bytes, n), NULL);
}
static void end(worker *me, uint64_t id, ops_dispatch_outcome how)
{
    Ops__V1__GenerateEnd e = OPS__V1__GENERATE_END__INIT;
    e.finish_reason = OPS__V1__FINISH_REASON__FINISH_REASON_STOP;
    e.completion_tokens = 7;
    uint8_t bytes[64];
    const size_t n = ops__v1__generate_end__pack(&e, bytes);
    const ops_dispatch_answer a = {.task_id = id,
                                   .outcome = how,
                                   .message = "the prompt has 900 tokens: a context has 512",
                                   .end =
                                       ops_slice_of((const char *)bytes, how == OPS_DISPATCH_DONE ? n : 0)};
    assert_int_equal(ops_dispatch_answered(w.d, me->attachment, &a, NULL), OPS_OK);
}

typedef struct heard {
    size_t bytes, pieces, ends;
    char model[16], text[64];
    uint32_t completion_tokens;
    ops_status status;
    ops_err err;
} heard;

/* Reads to the end of the stream. */
static void read_all(ops_rpc_stream *s, heard *h)
{
    ops_strbuf b;
    bool over = false;
    memset(h, 0, sizeof *h);
    ops_strbuf_init(&b, 8 << 20);
    while (h->status == OPS_OK && !over) {
        ops_strbuf_clear(&b);
        h->status = ops_rpc_stream_recv(s, 20000, &b, &over, &h->err);
        if (h->status != OPS_OK || over)
            break;
        Ops__V1__GenerateResponse *m = ops__v1__generate_response__unpack(NULL, b.n, (const uint8_t *)b.p);
        assert_non_null(m);
        assert_int_equal(h->ends, 0);
        if (m->kind_case == OPS__V1__GENERATE_RESPONSE__KIND_DELTA) {
            h->pieces++;
            h->bytes += strlen(m->delta->text);
            if (h->bytes < sizeof h->text)
                (void)strncat(h->text, m->delta->text, sizeof h->text - 1 - strlen(h->text));
        } else {
            h->ends++;
            h->completion_tokens = m->end->completion_tokens;
            (void)snprintf(h->model, sizeof h->model, "%s", m->model);
        }
        ops__v1__generate_response__free_unpacked(m, NULL);
    }
    ops_strbuf_done(&b);
    ops_rpc_stream_free(s);
}

static void an_answer_is_streamed(void **state)
{
    (void)state;
    heard h;
    attach(0);
    Ops__V1__GenerateTask t = some_task();
    ops_rpc_stream *s = ask(&t, 20000);
    await_count(&w.w[0].orders, 1);
    const uint64_t id = atomic_load(&w.w[0].order);
    assert_string_equal(w.w[0].salt, "acme"); /* not what the client wrote */
    assert_int_equal(tell(&w.w[0], id, "one "), OPS_OK);
    assert_int_equal(tell(&w.w[0], id, "two"), OPS_OK);
    end(&w.w[0], id, OPS_DISPATCH_DONE);
    read_all(s, &h);
    assert_int_equal(h.status, OPS_OK);
    assert_string_equal(h.text, "one two");
    assert_int_equal(h.ends, 1);
    assert_int_equal(h.completion_tokens, 7);
    assert_string_equal(h.model, "m");
}

static void what_can_never_be_done_is_an_invalid_argument(void **state)
{
    (void)state;
    heard h;
    attach(0);
    Ops__V1__GenerateTask t = some_task();
    ops_rpc_stream *s = ask(&t, 20000);
    await_count(&w.w[0].orders, 1);
    end(&w.w[0], atomic_load(&w.w[0].order), OPS_DISPATCH_FAILED);
    read_all(s, &h);
    assert_int_equal(h.status, OPS_EINVAL);
    assert_non_null(strstr(h.err.msg, "900 tokens: a context has 512"));
    char other[] = "other";
    t.model = other;
    read_all(ask(&t, 20000), &h);
    assert_int_equal(h.status, OPS_ENOTFOUND);
    read_all(ask(NULL, 20000), &h);
    assert_int_equal(h.status, OPS_EINVAL);
}

static void a_client_that_goes_away_cancels(void **state)
{
    (void)state;
    attach(0);
    Ops__V1__GenerateTask t = some_task();
    ops_rpc_stream *s = ask(&t, -1);
    await_count(&w.w[0].orders, 1);
    const uint64_t id = atomic_load(&w.w[0].order);
    assert_int_equal(tell(&w.w[0], id, "one "), OPS_OK);
    ops_rpc_stream_free(s);
    for (int i = 0; i < 10000 && atomic_load(&w.w[0].cancelled) != id; i++)
        nap();
    assert_int_equal(atomic_load(&w.w[0].cancelled), id);
    end(&w.w[0], id, OPS_DISPATCH_REFUSED);
}

/* What a reader leaves waits within a bound: it all comes when it reads on, or the answer is broken off. */
static void slow_readers(void **state)
{
    (void)state;
    heard h;
    char *piece = ops_malloc(PIECE + 1);
    memset(piece, 'x', PIECE);
    piece[PIECE] = '\0';
    attach(0);
    for (int much = 0; much < 2; much++) {
        const size_t n = much ? 100 : 30; /* of 64 KiB, into 4 MiB */
        Ops__V1__GenerateTask t = some_task();
        ops_rpc_stream *s = ask(&t, -1);
        await_count(&w.w[0].orders, 1 + much);
        const uint64_t id = atomic_load(&w.w[0].order);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(tell(&w.w[0], id, piece), OPS_OK);
        if (much) { /* it is called off while nobody reads */
            for (int i = 0; i < 10000 && atomic_load(&w.w[0].cancelled) != id; i++)
                nap();
            assert_int_equal(atomic_load(&w.w[0].cancelled), id);
        }
        end(&w.w[0], id, OPS_DISPATCH_DONE);
        read_all(s, &h);
        assert_int_equal(h.status, much ? OPS_EAGAIN : OPS_OK);
        assert_int_equal(h.ends, !much);
        if (!much)
            assert_int_equal(h.bytes, n * PIECE);
        if (much)
            assert_non_null(strstr(h.err.msg, "more slowly"));
    }
    ops_free(piece);
}

/* --- unary calls --- */

static ops_status call(ops_rpc_channel *ch, const char *method, const ProtobufCMessage *q,
                       const ProtobufCMessageDescriptor *type, void *ret, ops_rpc_details *d, ops_err *err)
{
    char path[64];
    ops_strbuf in, out;
    ops_strbuf_init(&in, 1 << 16);
    ops_strbuf_init(&out, 1 << 20);
    (void)snprintf(path, sizeof path, "/ops.v1.ModelService/%s", method);
    char *to = ops_strbuf_room(&in, protobuf_c_message_get_packed_size(q));
    assert_non_null(to);
    in.n += protobuf_c_message_pack(q, (uint8_t *)to);
    const ops_status st = ops_rpc_unary(ch, path, ops_strbuf_get(&in), 20000, &out, d, err);
    if (st == OPS_OK) {
        *(ProtobufCMessage **)ret = protobuf_c_message_unpack(type, NULL, out.n, (const uint8_t *)out.p);
        assert_non_null(*(ProtobufCMessage **)ret);
    }
    ops_strbuf_done(&in);
    ops_strbuf_done(&out);
    return st;
}

static void models_are_listed_once(void **state)
{
    (void)state;
    Ops__V1__ListModelsRequest q = OPS__V1__LIST_MODELS_REQUEST__INIT;
    Ops__V1__ListModelsResponse *a = NULL;
    attach(0);
    attach(1);
    assert_int_equal(
        call(w.channel, "ListModels", &q.base, &ops__v1__list_models_response__descriptor, &a, NULL, NULL),
        OPS_OK);
    assert_int_equal(a->n_models, 2);
    assert_string_equal(a->models[0]->name, "m");
    assert_int_equal(a->models[0]->n_places, 2);
    assert_string_equal(a->models[0]->places[1]->worker_id, "w1");
    assert_int_equal(a->models[0]->places[1]->use->blocks_used, 2);
    assert_int_equal(a->models[0]->use->blocks_used, 3);
    assert_int_equal(a->models[0]->use->running, 4);
    assert_int_equal(a->models[0]->places[0]->use->window_blocks, 6);
    assert_int_equal(a->models[0]->use->window_blocks, 12);
    assert_int_equal(a->models[0]->use->window_blocks_used, 4);
    assert_int_equal(a->models[0]->use->window_blocks_cached, 1);
    assert_string_equal(a->models[1]->job, "embed");
    assert_null(a->models[1]->use);
    ops__v1__list_models_response__free_unpacked(a, NULL);
    char job[] = "embed", name[] = "m", other[] = "other";
    q.job = job;
    assert_int_equal(
        call(w.channel, "ListModels", &q.base, &ops__v1__list_models_response__descriptor, &a, NULL, NULL),
        OPS_OK);
    assert_int_equal(a->n_models, 1);
    ops__v1__list_models_response__free_unpacked(a, NULL);
    Ops__V1__GetModelRequest g = OPS__V1__GET_MODEL_REQUEST__INIT;
    Ops__V1__ServedModel *m = NULL;
    g.name = name;
    assert_int_equal(call(w.channel, "GetModel", &g.base, &ops__v1__served_model__descriptor, &m, NULL, NULL),
                     OPS_OK);
    assert_int_equal(m->n_places, 2);
    ops__v1__served_model__free_unpacked(m, NULL);
    g.name = other;
    assert_int_equal(call(w.channel, "GetModel", &g.base, &ops__v1__served_model__descriptor, &m, NULL, NULL),
                     OPS_ENOTFOUND);
    g.name[0] = '\0';
    assert_int_equal(call(w.channel, "GetModel", &g.base, &ops__v1__served_model__descriptor, &m, NULL, NULL),
                     OPS_EINVAL);
}

static Ops__V1__EmbedRequest two_texts(void)
{
    static char a[] = "a", b[] = "b", *texts[] = {a, b};
    Ops__V1__EmbedRequest q = OPS__V1__EMBED_REQUEST__INIT;
    q.n_texts = 2;
    q.texts = texts;
    return q;
}

static void *answer_vectors(void *arg)
{
    (void)arg;
    await_count(&w.w[0].orders, 1);
    const float v[4] = {1, 2, 3, 4};
    const ops_dispatch_answer a = {.task_id = atomic_load(&w.w[0].order),
                                   .outcome = OPS_DISPATCH_DONE,
                                   .vectors = v,
                                   .rows = 2,
                                   .dim = 2,
                                   .tokens = 5};
    assert_int_equal(ops_dispatch_answered(w.d, w.w[0].attachment, &a, NULL), OPS_OK);
    return NULL;
}

static void texts_become_vectors(void **state)
{
    (void)state;
    Ops__V1__EmbedRequest q = two_texts();
    Ops__V1__EmbedResponse *a = NULL;
    ops_rpc_details d;
    ops_err err;
    assert_int_equal(call(w.channel, "Embed", &q.base, &ops__v1__embed_response__descriptor, &a, &d, &err),
                     OPS_EUNAVAILABLE);
    assert_true(d.retry_ms > 0);
    attach(0);
    pthread_t th;
    assert_int_equal(pthread_create(&th, NULL, answer_vectors, NULL), 0);
    assert_int_equal(call(w.channel, "Embed", &q.base, &ops__v1__embed_response__descriptor, &a, NULL, &err),
                     OPS_OK);
    (void)pthread_join(th, NULL);
    assert_int_equal(a->n_vectors, 2);
    assert_true(a->vectors[1]->n_values == 2 && a->vectors[1]->values[0] == 3);
    assert_string_equal(a->model, "e");
    assert_int_equal(a->tokens, 5);
    ops__v1__embed_response__free_unpacked(a, NULL);
    q.n_texts = 0;
    assert_int_equal(call(w.channel, "Embed", &q.base, &ops__v1__embed_response__descriptor, &a, NULL, &err),
                     OPS_EINVAL);
}

/* As many as the dispatch takes, and one more. */
static void full_is_told_with_a_time_to_come_again(void **state)
{
    (void)state;
    ops_rpc_stream *s[QUEUE_MAX];
    Ops__V1__EmbedRequest q = two_texts();
    Ops__V1__EmbedResponse *a = NULL;
    ops_rpc_details d;
    ops_err err;
    attach(0);
    for (int i = 0; i < QUEUE_MAX; i++) {
        Ops__V1__GenerateTask t = some_task();
        s[i] = ask(&t, -1);
        await_count(&w.w[0].orders, i + 1);
    }
    assert_int_equal(call(w.channel, "Embed", &q.base, &ops__v1__embed_response__descriptor, &a, &d, &err),
                     OPS_EAGAIN);
    assert_true(d.retry_ms > 0);
    assert_string_equal(d.reason, "MODELS_BUSY");
    assert_non_null(strstr(err.msg, "at most 3"));
    for (int i = 0; i < QUEUE_MAX; i++)
        ops_rpc_stream_free(s[i]);
}

/* --- models come and go --- */

static const ops_status says[2][2] = {{OPS_OK, OPS_ENOTFOUND}, {OPS_ECORRUPT, OPS_ENOTFOUND}};

static void *answer_errands(void *round)
{
    for (int i = 0; i < 2; i++) {
        await_count(&w.w[i].errands, *(int *)round + 1);
        assert_int_equal(ops_dispatch_errand_answered(w.d, w.w[i].attachment, atomic_load(&w.w[i].errand),
                                                      says[*(int *)round][i], "why", NULL),
                         OPS_OK);
    }
    return NULL;
}

static void every_worker_is_asked(void **state)
{
    (void)state;
    Ops__V1__LoadModelRequest q = OPS__V1__LOAD_MODEL_REQUEST__INIT;
    Ops__V1__LoadModelResponse *a = NULL;
    ops_err err;
    char path[] = "some/model", other[] = "w7";
    q.path = path;
    assert_int_equal(
        call(w.channel, "LoadModel", &q.base, &ops__v1__load_model_response__descriptor, &a, NULL, &err),
        OPS_EPERM);
    assert_int_equal(
        call(w.admin, "LoadModel", &q.base, &ops__v1__load_model_response__descriptor, &a, NULL, &err),
        OPS_EUNAVAILABLE);
    attach(0);
    attach(1);
    for (int round = 0; round < 2; round++) {
        pthread_t th;
        assert_int_equal(pthread_create(&th, NULL, answer_errands, &round), 0);
        const ops_status st =
            call(w.admin, "LoadModel", &q.base, &ops__v1__load_model_response__descriptor, &a, NULL, &err);
        (void)pthread_join(th, NULL);
        assert_int_equal(st,
                         round == 0 ? OPS_OK : OPS_ECORRUPT); /* nobody could: the reason that says most */
        if (round == 1)
            assert_string_equal(err.msg, "w0: why");
        if (round == 0) {
            assert_int_equal(a->n_changes, 2);
            assert_true(a->changes[0]->done && !a->changes[1]->done);
            assert_int_equal(a->changes[1]->status, 5);
            assert_string_equal(a->changes[1]->message, "why");
            ops__v1__load_model_response__free_unpacked(a, NULL);
        }
    }
    assert_string_equal(w.w[1].path, "some/model");
    q.worker_id = other;
    assert_int_equal(
        call(w.admin, "LoadModel", &q.base, &ops__v1__load_model_response__descriptor, &a, NULL, &err),
        OPS_ENOTFOUND);
    q.path[0] = '\0';
    assert_int_equal(
        call(w.admin, "LoadModel", &q.base, &ops__v1__load_model_response__descriptor, &a, NULL, &err),
        OPS_EINVAL);
    Ops__V1__UnloadModelRequest u = OPS__V1__UNLOAD_MODEL_REQUEST__INIT;
    u.name = other;
    assert_int_equal(
        call(w.admin, "UnloadModel", &u.base, &ops__v1__unload_model_response__descriptor, &a, NULL, &err),
        OPS_ENOTFOUND);
    assert_non_null(strstr(err.msg, "no worker has a model 'w7'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_is_streamed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_can_never_be_done_is_an_invalid_argument, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_goes_away_cancels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slow_readers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(models_are_listed_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_become_vectors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_is_told_with_a_time_to_come_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_worker_is_asked, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
