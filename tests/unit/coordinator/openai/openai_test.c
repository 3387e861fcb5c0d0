/* Requests as the API's reference has them and as nobody should write them; the routes over a real server and dispatch
 * with a worker that counts bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem/alloc.h"
#include "coordinator/openai/answer.h"
#include "coordinator/openai/embeddings.h"
#include "coordinator/openai/routes.h"

static void a_request_is_read(void **state)
{
    (void)state;
    size_t n = 0;
    const char *param;
    ops_err err;
    OPS_AUTO(ops_embeddings_free) ops_embeddings *e = NULL;
    const char body[] = "{\"model\":\"m\",\"input\":[\"a\",\"b\\u0000c\"],\"encoding_format\":\"base64\","
                        "\"dimensions\":3,\"user\":7}";
    assert_int_equal(ops_embeddings_read(ops_slice_str(body), &e, &param, &err), OPS_OK);
    const ops_slice *texts = ops_embeddings_texts(e, &n);
    assert_int_equal(n, 2);
    assert_true(ops_slice_eq(texts[1], ops_slice_of("b\0c", 3)));
    assert_true(ops_slice_eq(ops_embeddings_model(e), OPS_SLICE("m")));
    assert_true(ops_embeddings_base64(e));
    assert_int_equal(ops_embeddings_dimensions(e), 3);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *says;
        ops_status st;
    } rows[] = {
        {"", "", "no JSON", OPS_EINVAL},
        {"[]", "", "no JSON object", OPS_EINVAL},
        {"{\"input\":\"x\"}", "model", "'model'", OPS_EINVAL},
        {"{\"model\":7,\"input\":\"x\"}", "model", "'model'", OPS_EINVAL},
        {"{\"model\":\"m\"}", "input", "missing", OPS_EINVAL},
        {"{\"model\":\"m\",\"input\":[]}", "input", "0 texts", OPS_EINVAL},
        {"{\"model\":\"m\",\"input\":\"\"}", "input", "text 0 of 'input' is empty", OPS_EINVAL},
        {"{\"model\":\"m\",\"input\":[\"a\",\"\"]}", "input", "text 1 of 'input' is empty", OPS_EINVAL},
        {"{\"model\":\"m\",\"input\":[1,2]}", "input", "token ids", OPS_EINVAL},
        {"{\"model\":\"m\",\"input\":[[1]]}", "input", "token ids", OPS_EINVAL},
        {"{\"model\":\"m\",\"input\":{}}", "input", "a text or an array", OPS_EINVAL},
        {"{\"model\":\"m\",\"input\":\"x\",\"encoding_format\":\"hex\"}", "encoding_format", "base64",
         OPS_EINVAL},
        {"{\"model\":\"m\",\"input\":\"x\",\"dimensions\":0}", "dimensions", "positive", OPS_EINVAL},
        {"{\"model\":\"m\",\"input\":\"\xff\"}", "", "no JSON", OPS_EINVAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_embeddings *e = NULL;
        const char *param = NULL;
        ops_err err = {0};
        assert_int_equal(ops_embeddings_read(ops_slice_str(rows[i].body), &e, &param, &err), rows[i].st);
        assert_null(e);
        assert_string_equal(param, rows[i].param);
        assert_non_null(strstr(err.msg, rows[i].says));
    }
}

static void bounds_hold(void **state)
{
    (void)state;
    const char *param;
    ops_err err;
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 20);
    ops_strbuf_str(&b, "{\"model\":\"m\",\"input\":[\"x\"");
    for (int i = 0; i < OPS_EMBEDDINGS_TEXTS_MAX; i++)
        ops_strbuf_str(&b, ",\"x\"");
    ops_strbuf_str(&b, "]}");
    ops_embeddings *e = NULL;
    assert_int_equal(ops_embeddings_read(ops_strbuf_get(&b), &e, &param, &err), OPS_ETOOBIG);
    assert_non_null(strstr(err.msg, "257 texts"));
    ops_strbuf_clear(&b);
    ops_strbuf_str(&b, "{\"model\":\"m\",\"input\":\"");
    for (int i = 0; i <= OPS_EMBEDDINGS_TEXT_BYTES_MAX; i++)
        ops_strbuf_char(&b, 'x');
    ops_strbuf_str(&b, "\"}");
    assert_int_equal(ops_embeddings_read(ops_strbuf_get(&b), &e, &param, &err), OPS_ETOOBIG);
    ops_strbuf_done(&b);
}

/* Expected texts: Python's base64 and struct of the same floats. */
static void vectors_are_written(void **state)
{
    (void)state;
    const float v[] = {1.0f, -0.5f, 0.1f, 2.0f};
    ops_strbuf b;
    ops_strbuf_init(&b, 4096);
    ops_openai_embeddings(v, 1, 4, OPS_SLICE("m"), 9, true, &b);
    assert_string_equal(
        b.p,
        "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":"
        "\"AACAPwAAAL/NzMw9AAAAQA==\"}],\"model\":\"m\",\"usage\":{\"prompt_tokens\":9,\"total_tokens\":9}}");
    ops_strbuf_clear(&b);
    ops_openai_embeddings(v, 2, 2, OPS_SLICE("m"), 9, false, &b);
    assert_non_null(strstr(b.p, "\"index\":1,\"embedding\":[0.100000001,2]"));
    ops_strbuf_clear(&b);
    ops_openai_embeddings(v, 1, 3, OPS_SLICE("m"), 9, true, &b);
    assert_non_null(strstr(b.p, "\"AACAPwAAAL/NzMw9\""));
    ops_strbuf_done(&b);
}

static void errors_have_the_apis_form(void **state)
{
    (void)state;
    ops_strbuf b;
    ops_strbuf_init(&b, 4096);
    ops_openai_error(OPS_ENOTFOUND, "no \"x\"", "model", "model_not_found", &b);
    assert_string_equal(b.p, "{\"error\":{\"message\":\"no \\\"x\\\"\",\"type\":\"invalid_request_error\","
                             "\"param\":\"model\",\"code\":\"model_not_found\"}}");
    ops_strbuf_clear(&b);
    ops_openai_error(OPS_EAGAIN, "full", "", NULL, &b);
    assert_string_equal(b.p, "{\"error\":{\"message\":\"full\",\"type\":\"rate_limit_error\",\"param\":null,"
                             "\"code\":\"rate_limit_exceeded\"}}");
    static const struct {
        ops_status st;
        const char *type, *code; /* as it is written */
    } rows[] = {{OPS_ECONTEXT, "invalid_request_error", "\"context_length_exceeded\""},
                {OPS_EAUTH, "authentication_error", "\"invalid_api_key\""},
                {OPS_EPERM, "permission_error", "null"},
                {OPS_EUNIMPL, "invalid_request_error", "\"unsupported_parameter\""},
                {OPS_EINVAL, "invalid_request_error", "null"},
                {OPS_EINTERNAL, "server_error", "null"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char want[160];
        ops_strbuf_clear(&b);
        ops_openai_error(rows[i].st, "m", "p", NULL, &b);
        (void)snprintf(want, sizeof want,
                       "{\"error\":{\"message\":\"m\",\"type\":\"%s\",\"param\":\"p\",\"code\":%s}}",
                       rows[i].type, rows[i].code);
        assert_string_equal(b.p, want);
    }
    ops_strbuf_done(&b);
}

/* A server with a dispatch; `attach` gives it a worker that answers {bytes of the text, 1}, or holds its tongue. */
typedef struct world {
    ops_http *http;
    ops_dispatch *d;
    uint64_t attachment;
    bool silent;
} world;

static ops_status on_send(void *ctx, const ops_dispatch_order *order)
{
    world *w = ctx;
    float v[2 * OPS_DISPATCH_TEXTS_MAX];
    uint32_t tokens = 0;
    if (w->silent)
        return OPS_OK;
    for (size_t i = 0; i < order->text_count; i++) {
        v[2 * i] = (float)order->texts[i].n;
        v[2 * i + 1] = 1;
        tokens += 3;
    }
    const ops_dispatch_answer a = {.task_id = order->task_id,
                                   .outcome = OPS_DISPATCH_DONE,
                                   .vectors = v,
                                   .rows = order->text_count,
                                   .dim = 2,
                                   .tokens = tokens};
    return ops_dispatch_answered(w->d, w->attachment, &a, NULL);
}
static void on_cancel(void *ctx, uint64_t task_id)
{
    (void)ctx;
    (void)task_id;
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

static void attach(world *w)
{
    const ops_dispatch_port port = {
        .send = on_send, .cancel = on_cancel, .drain = on_drain, .end = on_end, .ctx = w};
    ops_dispatch_hello hello = {.worker_id = "w", .address = "test", .model_count = 1, .credits = 100000};
    hello.models[0] = (ops_dispatch_model){
        .name = "own/small", .content_hash = "ab", .job = "embed", .dim = 2, .tokens_max = 99};
    assert_int_equal(ops_dispatch_attach(w->d, &hello, &port, &w->attachment, NULL), OPS_OK);
    ops_dispatch_worker seen;
    for (int i = 0; i < 1000 && ops_dispatch_workers(w->d, &seen, 1) == 0; i++)
        usleep(1000);
}

static void open_world(world *w, const ops_dispatch_conf *dc)
{
    ops_err err;
    const ops_http_conf hc = {.address = "127.0.0.1:0"};
    *w = (world){0};
    assert_int_equal(ops_dispatch_new(dc, &w->d, &err), OPS_OK);
    assert_int_equal(ops_http_new(&hc, &w->http, &err), OPS_OK);
    assert_int_equal(ops_openai_routes(w->http, w->d, &err), OPS_OK);
    assert_int_equal(ops_http_start(w->http, &err), OPS_OK);
}

static void close_world(world *w)
{
    ops_http_free(w->http);
    ops_dispatch_free(w->d);
}

static size_t collect(char *p, size_t size, size_t n, void *u)
{
    ops_strbuf_put(u, p, size * n);
    return size * n;
}

/* The code; *ret_json is the answer's JSON, NULL when it is none. */
static long ask(const world *w, const char *path, const char *body, json_t **ret_json)
{
    char url[256];
    long code = 0;
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 20);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", ops_http_port(w->http), path);
    CURL *c = curl_easy_init();
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &b);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, 20L);
    if (body != NULL)
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
    assert_int_equal(curl_easy_perform(c), CURLE_OK);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_cleanup(c);
    *ret_json = json_loadb(b.p != NULL ? b.p : "", b.n, 0, NULL);
    ops_strbuf_done(&b);
    return code;
}

static const char *code_of(const json_t *j)
{
    return json_string_value(json_object_get(json_object_get(j, "error"), "code"));
}

static void without_a_worker_it_says_so_at_once(void **state)
{
    (void)state;
    world w;
    json_t *j;
    open_world(&w, &(ops_dispatch_conf){0});
    assert_int_equal(ask(&w, "/v1/models", NULL, &j), 200);
    assert_int_equal(json_array_size(json_object_get(j, "data")), 0);
    json_decref(j);
    assert_int_equal(ask(&w, "/v1/embeddings", "{\"model\":\"own/small\",\"input\":\"x\"}", &j), 503);
    assert_string_equal(code_of(j), "no_worker");
    json_decref(j);
    close_world(&w);
}

static void a_worker_answers(void **state)
{
    (void)state;
    world w;
    json_t *j;
    open_world(&w, &(ops_dispatch_conf){0});
    attach(&w);
    assert_int_equal(ask(&w, "/v1/models", NULL, &j), 200);
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(json_object_get(j, "data"), 0), "id")), "own/small");
    json_decref(j);
    assert_int_equal(ask(&w, "/v1/models/own/small", NULL, &j), 200);
    assert_true(json_integer_value(json_object_get(j, "created")) > 1500000000);
    json_decref(j);
    assert_int_equal(ask(&w, "/v1/models/other", NULL, &j), 404);
    json_decref(j);
    assert_int_equal(ask(&w, "/v1/embeddings", "{\"model\":\"own/small\",\"input\":[\"abc\",\"de\"]}", &j),
                     200);
    const json_t *data = json_object_get(j, "data");
    assert_int_equal(json_array_size(data), 2);
    const json_t *second = json_object_get(json_array_get(data, 1), "embedding");
    assert_true(json_number_value(json_array_get(second, 0)) == 2.0);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "usage"), "prompt_tokens")), 6);
    json_decref(j);
    assert_int_equal(ask(&w, "/v1/embeddings", "{\"model\":\"other\",\"input\":\"x\"}", &j), 404);
    assert_string_equal(code_of(j), "model_not_found");
    json_decref(j);
    assert_int_equal(
        ask(&w, "/v1/embeddings", "{\"model\":\"own/small\",\"input\":\"x\",\"dimensions\":1}", &j), 400);
    json_decref(j);
    close_world(&w);
}

static void nothing(void *ctx, const ops_dispatch_result *r)
{
    (void)ctx;
    (void)r;
}

static void a_full_queue_says_when_to_come_again(void **state)
{
    (void)state;
    world w;
    json_t *j;
    open_world(&w, &(ops_dispatch_conf){.queue_max = 1});
    attach(&w);
    w.silent = true;
    uint64_t id;
    const ops_slice text = OPS_SLICE("x");
    const ops_dispatch_task task = {.work_class = OPS_DISPATCH_BULK,
                                    .key = OPS_SLICE("k"),
                                    .texts = &text,
                                    .text_count = 1,
                                    .done = nothing};
    assert_int_equal(ops_dispatch_submit(w.d, &task, &id, NULL), OPS_OK);
    assert_int_equal(ask(&w, "/v1/embeddings", "{\"model\":\"own/small\",\"input\":\"x\"}", &j), 429);
    assert_string_equal(code_of(j), "rate_limit_exceeded");
    json_decref(j);
    close_world(&w);
}

/* A request is in the dispatch when both end. */
static void *ask_in_background(void *u)
{
    json_t *j = NULL;
    long code = ask(u, "/v1/embeddings", "{\"model\":\"own/small\",\"input\":\"x\"}", &j);
    json_decref(j);
    return (void *)(intptr_t)code;
}

static void a_request_that_waits_survives_the_end(void **state)
{
    (void)state;
    world w;
    void *code = NULL;
    pthread_t t;
    open_world(&w, &(ops_dispatch_conf){0});
    attach(&w);
    w.silent = true;
    assert_int_equal(pthread_create(&t, NULL, ask_in_background, &w), 0);
    for (int i = 0; i < 5000 && ops_dispatch_counts_get(w.d).submitted == 0; i++)
        usleep(1000);
    close_world(&w);
    assert_int_equal(pthread_join(t, &code), 0);
    assert_int_equal((intptr_t)code, 503);
}

int main(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_read),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(vectors_are_written),
        cmocka_unit_test(errors_have_the_apis_form),
        cmocka_unit_test(without_a_worker_it_says_so_at_once),
        cmocka_unit_test(a_worker_answers),
        cmocka_unit_test(a_full_queue_says_when_to_come_again),
        cmocka_unit_test(a_request_that_waits_survives_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
