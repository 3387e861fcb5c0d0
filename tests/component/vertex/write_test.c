/* Predictions that are text: a real server, a real dispatch, and a worker that says back what it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>

#include "base/text/strbuf.h"
#include "coordinator/vertex/routes.h"
#include "tests/support/http_dial.h"
#include "tests/support/writing_worker.h"

typedef struct world {
    ops_http *http;
    ops_dispatch *d;
    struct writing_worker writer;
} world;

static void open_world(world *w)
{
    const ops_http_conf hc = {.address = "127.0.0.1:0"};
    *w = (world){0};
    assert_int_equal(ops_dispatch_new(&(ops_dispatch_conf){0}, &w->d, NULL), OPS_OK);
    assert_int_equal(ops_http_new(&hc, &w->http, NULL), OPS_OK);
    assert_int_equal(ops_vertex_routes(w->http, w->d, "/health", "/predict", NULL), OPS_OK);
    assert_int_equal(ops_http_start(w->http, NULL), OPS_OK);
    assert_int_equal(writing_worker_attach(&w->writer, w->d), OPS_OK);
}

static void close_world(world *w)
{
    ops_http_free(w->http);
    ops_dispatch_free(w->d);
    writing_worker_done(&w->writer);
}

static size_t collect(char *p, size_t size, size_t n, void *u)
{
    ops_strbuf_put(u, p, size * n);
    return size * n;
}

static json_t *predict(const world *w, const char *body, long want_code)
{
    char url[64];
    long code = 0;
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 20);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/predict", ops_http_port(w->http));
    CURL *c = curl_easy_init();
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &b);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, 30L);
    assert_int_equal(curl_easy_perform(c), CURLE_OK);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_cleanup(c);
    json_t *j = json_loadb(b.p, b.n, 0, NULL);
    ops_strbuf_done(&b);
    assert_int_equal(code, want_code);
    return j;
}

static void a_prediction_an_instance(void **state)
{
    (void)state;
    world w;
    open_world(&w);
    json_t *j =
        predict(&w,
                "{\"instances\":[{\"prompt\":\"one two\"},{\"messages\":[{\"role\":\"user\",\"content\":"
                "\"three\"}]}],\"parameters\":{\"maxOutputTokens\":1}}",
                200);
    const json_t *all = json_object_get(j, "predictions");
    assert_int_equal(json_array_size(all), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(all, 0), "content")), "one ");
    assert_string_equal(json_string_value(json_object_get(json_array_get(all, 0), "finishReason")),
                        "MAX_TOKENS");
    assert_string_equal(json_string_value(json_object_get(json_array_get(all, 1), "content")), "three");
    assert_string_equal(json_string_value(json_object_get(json_array_get(all, 1), "finishReason")), "STOP");
    json_decref(j);
    close_world(&w);
}

static void what_can_not_be_is_said(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{\"instances\":[\"a text\"]}", "no model here makes vectors"},
        {"{\"instances\":[{\"prompt\":\"fail it has 9 tokens\"},{\"prompt\":\"silent\"}]}",
         "it has 9 tokens"}};
    world w;
    open_world(&w);
    for (size_t i = 0; i < 2; i++) {
        json_t *j = predict(&w, rows[i][0], 400);
        const char *says = json_string_value(json_object_get(j, "error"));
        assert_non_null(says);
        assert_non_null(strstr(says, rows[i][1]));
        json_decref(j);
    }
    close_world(&w);
}

static void who_hangs_up_is_not_written_for(void **state)
{
    (void)state;
    world w;
    open_world(&w);
    const int fd = http_dial(ops_http_port(w.http), "/predict",
                             "{\"instances\":[{\"prompt\":\"silent\"},{\"prompt\":\"wait here\"}]}");
    assert_true(fd >= 0);
    writing_worker_wait(&w.writer, 2, 0);
    close(fd);
    writing_worker_wait(&w.writer, 2, 2);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prediction_an_instance),
        cmocka_unit_test(what_can_not_be_is_said),
        cmocka_unit_test(who_hangs_up_is_not_written_for),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return rc;
}
