/* Text over HTTP: a real server, a real dispatch, and a worker that says back what it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/mem/alloc.h"
#include "base/text/strbuf.h"
#include "coordinator/openai/routes.h"
#include "tests/support/http_dial.h"
#include "tests/support/writing_worker.h"

typedef struct world {
    ops_http *http;
    ops_dispatch *d;
    struct writing_worker writer;
} world;

static void open_world(world *w, const ops_dispatch_conf *dc)
{
    const ops_http_conf hc = {.address = "127.0.0.1:0"};
    *w = (world){0};
    assert_int_equal(ops_dispatch_new(dc, &w->d, NULL), OPS_OK);
    assert_int_equal(ops_http_new(&hc, &w->http, NULL), OPS_OK);
    assert_int_equal(ops_openai_routes(w->http, w->d, NULL), OPS_OK);
    assert_int_equal(ops_http_start(w->http, NULL), OPS_OK);
    assert_int_equal(writing_worker_attach(&w->writer, w->d), OPS_OK);
}

static void close_world(world *w)
{
    ops_http_free(w->http);
    ops_dispatch_free(w->d);
    writing_worker_done(&w->writer);
}

typedef struct answer {
    long code;
    char *type;
    ops_strbuf body, headers;
} answer;

static size_t collect(char *p, size_t size, size_t n, void *u)
{
    ops_strbuf_put(u, p, size * n);
    return size * n;
}

static void ask(const world *w, const char *path, const char *body, answer *a)
{
    char url[128];
    *a = (answer){0};
    ops_strbuf_init(&a->body, 1 << 20);
    ops_strbuf_init(&a->headers, 1 << 16);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", ops_http_port(w->http), path);
    CURL *c = curl_easy_init();
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &a->body);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, collect);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, &a->headers);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, 30L);
    if (body != NULL)
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
    assert_int_equal(curl_easy_perform(c), CURLE_OK);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a->code);
    curl_easy_cleanup(c);
    ops_strbuf_char(&a->body, '\0');
    ops_strbuf_char(&a->headers, '\0');
}

static void answer_done(answer *a)
{
    ops_strbuf_done(&a->body);
    ops_strbuf_done(&a->headers);
}

/* The answer's JSON, to be given up by json_decref(). */
static json_t *ask_json(const world *w, const char *path, const char *body, long want_code)
{
    answer a;
    ask(w, path, body, &a);
    json_t *j = json_loads(a.body.p, 0, NULL);
    if (a.code != want_code || j == NULL)
        fail_msg("%ld, not %ld: %s", a.code, want_code, a.body.p);
    answer_done(&a);
    return j;
}

#define CHAT_PATH "/v1/chat/completions"
#define TEXT_PATH "/v1/completions"
#define SAY(text, more)                                                                                      \
    "{\"model\":\"own/writer\",\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]" more "}"
#define PROMPT(text, more) "{\"model\":\"own/writer\",\"prompt\":" text more "}"

static const char *text_at(const json_t *j, const char *fmt, size_t i)
{
    const json_t *choice = json_array_get(json_object_get(j, "choices"), i);
    const json_t *from = strcmp(fmt, "message") == 0 ? json_object_get(choice, "message") : choice;
    return json_string_value(json_object_get(from, strcmp(fmt, "message") == 0 ? "content" : fmt));
}

static json_int_t usage_of(const json_t *j, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(j, "usage"), name));
}

static void a_chat_is_answered(void **state)
{
    (void)state;
    world w;
    open_world(&w, &(ops_dispatch_conf){0});
    w.writer.cached_tokens = 4;
    json_t *j = ask_json(&w, CHAT_PATH, SAY("one two three", ",\"seed\":5,\"temperature\":0.5"), 200);
    assert_string_equal(text_at(j, "message", 0), "one two three");
    assert_string_equal(text_at(j, "finish_reason", 0), "stop");
    assert_int_equal(usage_of(j, "prompt_tokens"), 10);
    assert_int_equal(usage_of(j, "completion_tokens"), 3);
    assert_int_equal(usage_of(j, "total_tokens"), 13);
    const json_t *details = json_object_get(json_object_get(j, "usage"), "prompt_tokens_details");
    assert_int_equal(json_integer_value(json_object_get(details, "cached_tokens")), 4);
    assert_int_equal(strncmp(json_string_value(json_object_get(j, "id")), "chatcmpl-", 9), 0);
    json_decref(j);
    pthread_mutex_lock(&w.writer.lock);
    assert_string_equal(w.writer.task->model, "own/writer");
    assert_string_equal(w.writer.task->salt,
                        "default"); /* the tenant: prompts of others share nothing with it */
    assert_true(w.writer.task->sampling->seeded && w.writer.task->sampling->seed == 5);
    assert_false(w.writer.task->stream);
    pthread_mutex_unlock(&w.writer.lock);
    j = ask_json(&w, CHAT_PATH, SAY("one two three", ",\"max_tokens\":2"), 200);
    assert_string_equal(text_at(j, "finish_reason", 0), "length");
    json_decref(j);
    close_world(&w);
}

static void several_answers_are_one_request(void **state)
{
    (void)state;
    world w;
    open_world(&w, &(ops_dispatch_conf){0});
    json_t *j = ask_json(&w, CHAT_PATH, SAY("one two", ",\"n\":3"), 200);
    assert_int_equal(json_array_size(json_object_get(j, "choices")), 3);
    assert_int_equal(usage_of(j, "prompt_tokens"), 10); /* once */
    assert_int_equal(usage_of(j, "completion_tokens"), 6);
    json_decref(j);
    j = ask_json(&w, TEXT_PATH, PROMPT("[\"a b\",\"c\"]", ",\"n\":2,\"echo\":true"), 200);
    assert_int_equal(json_array_size(json_object_get(j, "choices")), 4);
    assert_string_equal(text_at(j, "text", 0), "a ba b");
    assert_string_equal(text_at(j, "text", 2), "cc");
    assert_int_equal(usage_of(j, "prompt_tokens"), 20);
    json_decref(j);
    close_world(&w);
}

static void tools_and_logprobs_come(void **state)
{
    (void)state;
    world w;
    open_world(&w, &(ops_dispatch_conf){0});
    json_t *j = ask_json(&w, CHAT_PATH, SAY("call f", ""), 200);
    const json_t *message = json_object_get(json_array_get(json_object_get(j, "choices"), 0), "message");
    assert_int_equal(json_array_size(json_object_get(message, "tool_calls")), 2);
    assert_true(json_is_null(json_object_get(message, "content")));
    json_decref(j);
    j = ask_json(&w, CHAT_PATH, SAY("one two", ",\"logprobs\":true,\"top_logprobs\":2"), 200);
    const json_t *content = json_object_get(
        json_object_get(json_array_get(json_object_get(j, "choices"), 0), "logprobs"), "content");
    assert_int_equal(json_array_size(content), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(content, 0), "token")), "one ");
    assert_int_equal(json_array_size(json_object_get(json_array_get(content, 0), "top_logprobs")), 2);
    json_decref(j);
    close_world(&w);
}

/* The events of a stream, as JSON; the last must be [DONE]. */
static json_t *events_of(const answer *a)
{
    json_t *all = json_array();
    ops_slice rest = ops_slice_of(a->body.p, a->body.n - 1), part;
    bool done = false;
    while (ops_slice_split(&rest, '\n', &part)) {
        if (part.n == 0)
            continue;
        assert_false(done);
        assert_true(ops_slice_starts(part, OPS_SLICE("data: ")));
        part = ops_slice_sub(part, 6, part.n);
        done = ops_slice_eq(part, OPS_SLICE("[DONE]"));
        if (!done)
            assert_int_equal(json_array_append_new(all, json_loadb(part.p, part.n, 0, NULL)), 0);
    }
    assert_true(done);
    return all;
}

static void a_stream_comes_in_events(void **state)
{
    (void)state;
    world w;
    answer a;
    open_world(&w, &(ops_dispatch_conf){0});
    ask(&w, CHAT_PATH, SAY("one two", ",\"stream\":true,\"stream_options\":{\"include_usage\":true}"), &a);
    assert_int_equal(a.code, 200);
    assert_non_null(strstr(a.headers.p, "text/event-stream"));
    json_t *all = events_of(&a);
    assert_int_equal(json_array_size(all), 5); /* role, two words, the finish, usage */
    ops_strbuf text;
    ops_strbuf_init(&text, 1000);
    for (size_t i = 0; i < 4; i++) {
        const json_t *e = json_array_get(all, i);
        const json_t *choice = json_array_get(json_object_get(e, "choices"), 0);
        const char *piece = json_string_value(json_object_get(json_object_get(choice, "delta"), "content"));
        assert_true(json_is_null(json_object_get(e, "usage")));
        assert_true((i == 3) == json_is_string(json_object_get(choice, "finish_reason")));
        ops_strbuf_str(&text, piece != NULL ? piece : "");
    }
    assert_string_equal(text.p, "one two");
    assert_int_equal(usage_of(json_array_get(all, 4), "completion_tokens"), 2);
    assert_int_equal(json_array_size(json_object_get(json_array_get(all, 4), "choices")), 0);
    ops_strbuf_done(&text);
    json_decref(all);
    answer_done(&a);
    ask(&w, TEXT_PATH, PROMPT("\"one two\"", ",\"stream\":true,\"n\":2"), &a);
    all = events_of(&a);
    assert_int_equal(json_array_size(all), 6); /* twice: two words, the finish */
    json_decref(all);
    answer_done(&a);
    close_world(&w);
}

static void refused(const world *w, const char *path, const char *body, long code, const char *api_code,
                    const char *says)
{
    json_t *j = ask_json(w, path, body, code);
    const json_t *e = json_object_get(j, "error");
    const char *got = json_string_value(json_object_get(e, "code"));
    const char *message = json_string_value(json_object_get(e, "message"));
    assert_non_null(message);
    if (strstr(message, says) == NULL)
        fail_msg("'%s' does not say '%s'", message, says);
    assert_string_equal(got != NULL ? got : "", api_code);
    json_decref(j);
}

static void what_can_not_be_is_refused_with_its_code(void **state)
{
    (void)state;
    world w;
    open_world(&w, &(ops_dispatch_conf){0});
    refused(&w, CHAT_PATH, SAY("fail the context is 8 tokens, this needs 9", ""), 400, "",
            "context is 8 tokens, this needs 9");
    refused(&w, CHAT_PATH, SAY("fail early", ",\"stream\":true"), 400, "",
            "early"); /* before the first piece */
    refused(&w, CHAT_PATH, SAY("x", ",\"temperature\":9"), 400, "", "'temperature' is 9");
    refused(&w, CHAT_PATH, "{\"model\":\"none\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", 404,
            "model_not_found", "'none'");
    refused(&w, "/v1/embeddings", "{\"model\":\"own/writer\",\"input\":\"x\"}", 400, "model_not_supported",
            "makes no vectors");
    json_t *j = ask_json(&w, "/v1/models", NULL, 200);
    const json_t *first = json_array_get(json_object_get(j, "data"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "id")), "own/writer");
    json_decref(j);
    close_world(&w);
}

static void a_full_queue_says_when_to_come_again(void **state)
{
    (void)state;
    world w;
    answer a;
    open_world(&w, &(ops_dispatch_conf){.queue_max = 1});
    ask(&w, CHAT_PATH, SAY("one", ",\"n\":2,\"stream\":true"), &a);
    /* the first may be done before the second is submitted: then both are */
    if (a.code == 429)
        assert_non_null(strstr(a.headers.p, "Retry-After: 1"));
    else
        assert_int_equal(a.code, 200);
    answer_done(&a);
    refused(&w, CHAT_PATH, SAY("silent", ",\"n\":2"), 429, "rate_limit_exceeded", "");
    close_world(&w);
}

static int dial(const world *w, const char *body)
{
    const int fd = http_dial(ops_http_port(w->http), CHAT_PATH, body);
    assert_true(fd >= 0);
    return fd;
}

static void who_hangs_up_is_not_written_for(void **state)
{
    (void)state;
    static const char *const bodies[] = {SAY("silent", ",\"n\":2"), SAY("silent", ",\"n\":2,\"stream\":true"),
                                         SAY("wait here", ",\"n\":2,\"stream\":true")};
    world w;
    open_world(&w, &(ops_dispatch_conf){0});
    for (unsigned i = 0; i < 3; i++) {
        const int fd = dial(&w, bodies[i]);
        writing_worker_wait(&w.writer, 2 * i + 2, 0);
        close(fd);
        writing_worker_wait(&w.writer, 2 * i + 2, 2 * i + 2);
    }
    close_world(&w);
}

static void *hear_all(void *fd)
{
    char *text = calloc(1, 1 << 16);
    for (size_t n = 0;;) {
        const ssize_t got = read((int)(intptr_t)fd, text + n, (1 << 16) - 1 - n);
        if (got <= 0)
            return text;
        n += (size_t)got;
    }
}

static void the_end_of_a_worker_is_an_event(void **state)
{
    (void)state;
    world w;
    pthread_t t;
    void *text = NULL;
    open_world(&w, &(ops_dispatch_conf){0});
    const int fd = dial(&w, SAY("wait here", ",\"stream\":true"));
    writing_worker_wait(&w.writer, 1, 0);
    assert_int_equal(pthread_create(&t, NULL, hear_all, (void *)(intptr_t)fd), 0);
    ops_dispatch_detach(w.d, w.writer.attachment, "gone");
    while (ops_dispatch_workers(w.d, NULL, 0) > 0)
        usleep(1000);
    ops_http_drain(w.http, 10000); /* the stream ended */
    shutdown(fd, SHUT_RD);
    pthread_join(t, &text);
    close(fd);
    assert_non_null(strstr(text, "\"content\":\"wait \""));
    assert_non_null(strstr(text, "data: {\"error\":{"));
    assert_null(strstr(text, "[DONE]"));
    free(text);
    close_world(&w);
}

static void a_stream_that_waits_survives_the_end(void **state)
{
    (void)state;
    world w;
    open_world(&w, &(ops_dispatch_conf){0});
    const int fd = dial(&w, SAY("wait here", ",\"stream\":true,\"n\":4"));
    writing_worker_wait(&w.writer, 4, 0);
    close_world(&w);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_is_answered),
        cmocka_unit_test(several_answers_are_one_request),
        cmocka_unit_test(tools_and_logprobs_come),
        cmocka_unit_test(a_stream_comes_in_events),
        cmocka_unit_test(what_can_not_be_is_refused_with_its_code),
        cmocka_unit_test(a_full_queue_says_when_to_come_again),
        cmocka_unit_test(who_hangs_up_is_not_written_for),
        cmocka_unit_test(the_end_of_a_worker_is_an_event),
        cmocka_unit_test(a_stream_that_waits_survives_the_end),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return rc;
}
