/* One suite for both implementations of the port: the fake of the other tests, and libcurl against a server on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "coordinator/http/server.h"
#include "tests/unit/coordinator/notify/script.h"

struct world {
    script script;
    pthread_mutex_t lock; /* the script, while a server plays it */
    atomic_bool stop;
    ops_http *http;
    size_t elsewhere;
    ops_notify_curl *curl;
    ops_notify_port port;
    char url[256];
};

static void on_hook(ops_http_req *req, void *u)
{
    struct world *w = u;
    char heads[1024] = "", number[32];
    static const char *const names[] = {"Authorization", "X-Opsd-Dedupe", "X-Other", "Content-Type"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ops_slice v = ops_http_header(req, names[i]);
        size_t n = strlen(heads);
        if (v.p != NULL)
            (void)snprintf(heads + n, sizeof heads - n, "%s: " OPS_SLICE_FMT "\n", names[i],
                           OPS_SLICE_ARG(v));
    }
    (void)pthread_mutex_lock(&w->lock);
    const script_answer a = *script_next(&w->script);
    script_keep(&w->script, ops_http_body(req), heads);
    (void)pthread_mutex_unlock(&w->lock);
    if (a.retry_s > 0) {
        (void)snprintf(number, sizeof number, "%ld", a.retry_s);
        assert_int_equal(ops_http_reply_header(req, "Retry-After", number), OPS_OK);
    }
    if (a.status >= 300 && a.status < 400)
        assert_int_equal(ops_http_reply_header(req, "Location", "/elsewhere"), OPS_OK);
    ops_http_reply(req, (unsigned)a.status, "text/plain", ops_slice_str(a.words != NULL ? a.words : ""));
}

static void on_elsewhere(ops_http_req *req, void *u)
{
    ((struct world *)u)->elsewhere++;
    ops_http_reply(req, 200, "text/plain", OPS_SLICE("no one should come here"));
}

static int fake_world(void **state)
{
    static struct world w;
    w = (struct world){.url = "http://receiver.invalid/hook"};
    w.script.stop = &w.stop;
    w.port = (ops_notify_port){.u = &w.script, .post = script_post};
    *state = &w;
    return 0;
}

static void add_route(struct world *w, const char *method, const char *path, ops_http_handler handler)
{
    const ops_http_route route = {
        .method = method, .path = path, .body_max = 1 << 20, .handler = handler, .user = w};
    assert_int_equal(ops_http_route_add(w->http, &route, NULL), OPS_OK);
}

static int curl_world(void **state)
{
    static struct world w;
    w = (struct world){.elsewhere = 0};
    (void)pthread_mutex_init(&w.lock, NULL);
    const ops_http_conf hc = {.address = "127.0.0.1:0"};
    assert_int_equal(ops_http_new(&hc, &w.http, NULL), OPS_OK);
    add_route(&w, "POST", "/hook", on_hook);
    add_route(&w, "POST", "/elsewhere", on_elsewhere);
    add_route(&w, "GET", "/elsewhere", on_elsewhere);
    assert_int_equal(ops_http_start(w.http, NULL), OPS_OK);
    (void)snprintf(w.url, sizeof w.url, "http://127.0.0.1:%u/hook", ops_http_port(w.http));
    assert_int_equal(ops_notify_curl_new(&w.stop, &w.curl, NULL), OPS_OK);
    w.port = ops_notify_curl_port(w.curl);
    *state = &w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    ops_notify_curl_free(w->curl);
    ops_http_free(w->http);
    return 0;
}

static void play(struct world *w, script_answer a)
{
    w->script.answers[0] = a;
    w->script.answer_count = 1;
}

static ops_status post(struct world *w, ops_notify_answer *a, ops_err *err)
{
    const ops_notify_request q = {.url = w->url,
                                  .token = "t0ken",
                                  .headers = {"X-Opsd-Dedupe: acme/f-1 7", "X-Other: two"},
                                  .body = OPS_SLICE("{\"a\":1}"),
                                  .timeout_ms = 20000};
    return w->port.post(w->port.u, &q, a, err);
}

static void what_is_sent_arrives(void **state)
{
    struct world *w = *state;
    ops_notify_answer a;
    play(w, (script_answer){.status = 200, .words = "ok"});
    assert_int_equal(post(w, &a, NULL), OPS_OK);
    assert_int_equal(a.status, 200);
    assert_true(a.retry_ms == -1);
    assert_string_equal(a.words, "ok");
    assert_string_equal(w->script.bodies[0], "{\"a\":1}");
    assert_non_null(strstr(w->script.heads[0], "Authorization: Bearer t0ken\n"));
    assert_non_null(strstr(w->script.heads[0], "X-Opsd-Dedupe: acme/f-1 7\n"));
    assert_non_null(strstr(w->script.heads[0], "X-Other: two\n"));
}

static void an_answer_is_an_answer_whatever_it_says(void **state)
{
    struct world *w = *state;
    ops_notify_answer a;
    play(w, (script_answer){.status = 429, .retry_s = 7, .words = "slow down"});
    assert_int_equal(post(w, &a, NULL), OPS_OK);
    assert_int_equal(a.status, 429);
    assert_true(a.retry_ms == 7000);
    assert_string_equal(a.words, "slow down");
    play(w, (script_answer){.status = 500});
    assert_int_equal(post(w, &a, NULL), OPS_OK);
    assert_true(a.status == 500 && a.retry_ms == -1);
    assert_string_equal(a.words, "");
}

static void redirects_are_not_followed(void **state)
{
    struct world *w = *state;
    ops_notify_answer a;
    static const long codes[] = {301, 302, 303, 307, 308};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        play(w, (script_answer){.status = codes[i]});
        assert_int_equal(post(w, &a, NULL), OPS_OK);
        assert_int_equal(a.status, codes[i]);
    }
    assert_int_equal(w->elsewhere, 0);
    assert_int_equal(w->script.asked, 5);
}

static void nobody_there_is_unavailable(void **state)
{
    struct world *w = *state;
    ops_notify_answer a = {.status = 77};
    ops_err err = {0};
    play(w, (script_answer){.status = 0});
    ops_http_free(w->http);
    w->http = NULL;
    assert_int_equal(post(w, &a, &err), OPS_EUNAVAILABLE);
    assert_true(err.msg[0] != '\0' && strstr(err.msg, w->url) == NULL);
    assert_int_equal(a.status, 77);
}

static void asked_to_stop_it_ends(void **state)
{
    struct world *w = *state;
    ops_notify_answer a;
    play(w, (script_answer){.status = 200});
    atomic_store(&w->stop, true);
    assert_int_equal(post(w, &a, NULL), OPS_ECANCELLED);
}

/* What only libcurl can get wrong. */
static void other_schemes_are_refused(void **state)
{
    struct world *w = *state;
    static const char *const urls[] = {"file:///etc/passwd", "gopher://127.0.0.1:1/", "ftp://127.0.0.1/x"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        ops_notify_answer a;
        (void)snprintf(w->url, sizeof w->url, "%s", urls[i]);
        assert_int_equal(post(w, &a, NULL), OPS_EUNAVAILABLE);
    }
}

static void a_long_answer_is_cut_and_made_printable(void **state)
{
    struct world *w = *state;
    ops_notify_answer a;
    static char words[60000];
    memset(words, 'x', sizeof words - 1);
    memcpy(words, "a\n\x1b[31mb", 8);
    play(w, (script_answer){.status = 400, .words = words});
    assert_int_equal(post(w, &a, NULL), OPS_OK);
    assert_int_equal(strlen(a.words), OPS_NOTIFY_WORDS_MAX - 1);
    assert_memory_equal(a.words, "a  [31mb", 8);
}

#define BOTH(test)                                                                                           \
    {#test " (fake)", test, fake_world, end_world, NULL},                                                    \
    {                                                                                                        \
#test " (libcurl)", test, curl_world, end_world, NULL                                                \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(what_is_sent_arrives),
        BOTH(an_answer_is_an_answer_whatever_it_says),
        BOTH(redirects_are_not_followed),
        BOTH(nobody_there_is_unavailable),
        BOTH(asked_to_stop_it_ends),
        cmocka_unit_test_setup_teardown(other_schemes_are_refused, curl_world, end_world),
        cmocka_unit_test_setup_teardown(a_long_answer_is_cut_and_made_printable, curl_world, end_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
