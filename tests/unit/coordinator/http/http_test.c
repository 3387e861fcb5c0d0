/* The server seen by libcurl: routes, bounds, tokens, late answers from another thread, shutting down with work open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem/alloc.h"
#include "coordinator/http/server.h"

struct answer {
    long code;
    char body[8192], headers[4096];
};

static size_t collect(char *p, size_t size, size_t n, void *user)
{
    char *to = user;
    size_t have = strlen(to), add = size * n;
    if (have + add < 4096) {
        memcpy(to + have, p, add);
        to[have + add] = '\0';
    }
    return add;
}

static struct answer ask(const ops_http *h, const char *method, const char *path, const char *body, size_t n,
                         const char *header)
{
    struct answer a = {0};
    char url[256];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", ops_http_port(h), path);
    CURL *c = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    if (header != NULL)
        headers = curl_slist_append(headers, header);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, a.body);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, collect);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, a.headers);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, 20L);
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    if (body != NULL) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)n);
    }
    CURLcode e = curl_easy_perform(c);
    if (e == CURLE_OK)
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a.code);
    else
        snprintf(a.body, sizeof a.body, "curl: %s", curl_easy_strerror(e));
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    return a;
}

static void echo(ops_http_req *req, void *user)
{
    (void)user;
    ops_slice q = ops_http_query(req, "q");
    char text[512];
    snprintf(text, sizeof text,
             OPS_SLICE_FMT " " OPS_SLICE_FMT " q=" OPS_SLICE_FMT " by=%s body=" OPS_SLICE_FMT,
             OPS_SLICE_ARG(ops_http_method(req)), OPS_SLICE_ARG(ops_http_path(req)), OPS_SLICE_ARG(q),
             ops_http_identity(req)->name, OPS_SLICE_ARG(ops_http_body(req)));
    assert_int_equal(ops_http_reply_header(req, "X-Test", "yes"), OPS_OK);
    assert_int_equal(ops_http_reply_header(req, "X-Bad", "a\r\nb"), OPS_EINVAL);
    ops_http_reply(req, 200, "text/plain", ops_slice_str(text));
}

static void full(ops_http_req *req, void *user)
{
    (void)user;
    ops_http_retry_after(req, 2500);
    ops_http_reply_error(req, OPS_EAGAIN, "the \"queue\" is full");
}

/* One waiting request, answered by a thread of the test's own. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    ops_http_req *req[8];
    size_t n;
} parked = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void park(ops_http_req *req, void *user)
{
    (void)user;
    pthread_mutex_lock(&parked.lock);
    parked.req[parked.n++] = req;
    pthread_cond_broadcast(&parked.more);
    pthread_mutex_unlock(&parked.lock);
}

static ops_http_req *unpark(void)
{
    pthread_mutex_lock(&parked.lock);
    while (parked.n == 0)
        pthread_cond_wait(&parked.more, &parked.lock);
    ops_http_req *req = parked.req[--parked.n];
    pthread_mutex_unlock(&parked.lock);
    return req;
}

static void *answer_later(void *user)
{
    size_t count = *(size_t *)user;
    for (size_t i = 0; i < count; i++) {
        ops_http_req *req = unpark();
        ops_slice body = ops_http_body(req);
        ops_http_reply(req, 202, "text/plain", body);
    }
    return NULL;
}

/* Stands in for a decoder: "x2" doubles each byte. */
static ops_status doubling(void *user, ops_slice encoding, ops_slice body, ops_strbuf *ret_body,
                           ops_err *reterr)
{
    (void)user;
    if (!ops_slice_eq(encoding, OPS_SLICE("x2")))
        return ops_fail(reterr, OPS_EUNIMPL, "encoding '" OPS_SLICE_FMT "' is unknown",
                        OPS_SLICE_ARG(encoding));
    for (size_t i = 0; i < body.n; i++) {
        if (body.p[i] == '!')
            return ops_fail(reterr, OPS_EINVAL, "corrupt at offset %zu", i);
        ops_strbuf_char(ret_body, body.p[i]);
        ops_strbuf_char(ret_body, body.p[i]);
    }
    return OPS_OK;
}

static bool is_ready = true;

static bool ready(void *user, ops_strbuf *why)
{
    (void)user;
    ops_strbuf_str(why, "replaying the log");
    return is_ready;
}

static void metrics(void *user, ops_strbuf *text)
{
    (void)user;
    ops_strbuf_str(text, "opsd_up 1\n");
}

static ops_http *serve(ops_access *access, size_t inflight_max, unsigned threads)
{
    const ops_http_conf conf = {.address = "127.0.0.1:0",
                                .access = access,
                                .inflate = doubling,
                                .inflight_bytes_max = inflight_max,
                                .threads = threads,
                                .ready = ready,
                                .metrics = metrics};
    const ops_http_route routes[] = {
        {.method = "GET", .path = "/echo", .handler = echo},
        {.method = "POST", .path = "/echo", .body_max = 1000, .role = OPS_ROLE_INGEST, .handler = echo},
        {.method = "GET", .path = "/tree/*", .handler = echo},
        {.method = "POST", .path = "/full", .body_max = 1000, .handler = full},
        {.method = "POST", .path = "/park", .body_max = 1 << 20, .handler = park},
    };
    ops_http *h = NULL;
    ops_err err = {0};
    if (ops_http_new(&conf, &h, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        assert_int_equal(ops_http_route_add(h, &routes[i], &err), OPS_OK);
    assert_int_equal(ops_http_route_add(h, &routes[0], &err), OPS_EEXIST);
    if (ops_http_start(h, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return h;
}

static void routes_and_probes(void **state)
{
    (void)state;
    OPS_AUTO(ops_http_free) ops_http *h = serve(NULL, 0, 1);
    struct answer a = ask(h, "GET", "/echo?q=a%20b", NULL, 0, NULL);
    assert_int_equal(a.code, 200);
    assert_string_equal(a.body, "GET /echo q=a b by= body=");
    assert_non_null(strstr(a.headers, "X-Test: yes"));
    a = ask(h, "POST", "/echo", "hello", 5, NULL);
    assert_string_equal(a.body, "POST /echo q= by=anonymous body=hello");
    assert_string_equal(ask(h, "GET", "/tree/a/b", NULL, 0, NULL).body, "GET /tree/a/b q= by= body=");
    assert_int_equal(ask(h, "HEAD", "/echo", NULL, 0, NULL).code, 200);
    a = ask(h, "GET", "/none", NULL, 0, NULL);
    assert_int_equal(a.code, 404);
    assert_string_equal(a.body, "{\"code\":5,\"message\":\"nothing at '/none'\"}\n");
    a = ask(h, "DELETE", "/echo", NULL, 0, NULL);
    assert_int_equal(a.code, 405);
    assert_non_null(strstr(a.headers, "Allow: GET, POST"));
    assert_string_equal(ask(h, "GET", "/healthz", NULL, 0, NULL).body, "ok\n");
    assert_string_equal(ask(h, "GET", "/metrics", NULL, 0, NULL).body, "opsd_up 1\n");
    assert_int_equal(ask(h, "GET", "/readyz", NULL, 0, NULL).code, 200);
    is_ready = false;
    a = ask(h, "GET", "/readyz", NULL, 0, NULL);
    is_ready = true;
    assert_int_equal(a.code, 503);
    assert_string_equal(a.body, "replaying the log\n");
    ops_http_drain(h, 100);
    assert_string_equal(ask(h, "GET", "/readyz", NULL, 0, NULL).body, "draining\n");
}

static void bodies_are_bounded(void **state)
{
    (void)state;
    OPS_AUTO(ops_http_free) ops_http *h = serve(NULL, 3000, 1);
    static char big[4 << 20];
    memset(big, 'x', sizeof big);
    assert_int_equal(ask(h, "POST", "/echo", big, 1000, NULL).code, 200);
    struct answer a = ask(h, "POST", "/echo", big, 1001, NULL);
    assert_int_equal(a.code, 413);
    assert_string_equal(a.body, "{\"code\":3,\"message\":\"body of 1001 bytes, at most 1000\"}\n");
    a = ask(h, "POST", "/echo", big, 1001, "Transfer-Encoding: chunked");
    assert_int_equal(a.code, 413);
    assert_string_equal(a.body, "{\"code\":3,\"message\":\"body longer than 1000 bytes\"}\n");
    a = ask(h, "POST", "/park", big, 100000, NULL); /* allowed by the route, not by what may be in flight */
    assert_int_equal(a.code, 429);
    assert_non_null(strstr(a.headers, "Retry-After: 1"));
    a = ask(h, "POST", "/full", "x", 1, NULL);
    assert_int_equal(a.code, 429);
    assert_non_null(strstr(a.headers, "Retry-After: 3"));
    assert_string_equal(a.body, "{\"code\":8,\"message\":\"the \\\"queue\\\" is full\"}\n");
    ops_http_stats s;
    ops_http_stats_get(h, &s);
    assert_int_equal(s.refused_size, 2);
    assert_int_equal(s.refused_busy, 1);
}

static void encoded_bodies(void **state)
{
    (void)state;
    OPS_AUTO(ops_http_free) ops_http *h = serve(NULL, 0, 1);
    static char many[600];
    memset(many, 'y', sizeof many);
    assert_string_equal(ask(h, "POST", "/echo", "ab", 2, "Content-Encoding: x2").body,
                        "POST /echo q= by=anonymous body=aabb");
    struct answer a = ask(h, "POST", "/echo", "ab", 2, "Content-Encoding: br");
    assert_int_equal(a.code, 415);
    assert_non_null(strstr(a.body, "encoding 'br' is unknown"));
    a = ask(h, "POST", "/echo", "a!", 2, "Content-Encoding: x2");
    assert_int_equal(a.code, 400);
    assert_non_null(strstr(a.body, "corrupt at offset 1"));
    assert_int_equal(ask(h, "POST", "/echo", many, sizeof many, "Content-Encoding: x2").code, 413);
}

static void tokens(void **state)
{
    (void)state;
    char path[] = "/tmp/opsd-http-XXXXXX";
    int fd = mkstemp(path);
    const char *text = "c ingest acme token:writes-only\nv viewer acme token:reads-only\n";
    assert_true(write(fd, text, strlen(text)) > 0);
    close(fd);
    OPS_AUTO(ops_access_free) ops_access *access = NULL;
    assert_int_equal(ops_access_new(path, &access, NULL), OPS_OK);
    unlink(path);
    OPS_AUTO(ops_http_free) ops_http *h = serve(access, 0, 1);
    struct answer a = ask(h, "POST", "/echo", "x", 1, NULL);
    assert_int_equal(a.code, 401);
    assert_non_null(strstr(a.headers, "WWW-Authenticate: Bearer"));
    a = ask(h, "POST", "/echo", "x", 1, "Authorization: Bearer reads-only");
    assert_int_equal(a.code, 403);
    assert_non_null(strstr(a.body, "'v' has role viewer, this needs ingest"));
    a = ask(h, "POST", "/echo", "x", 1, "Authorization: Bearer writes-only");
    assert_string_equal(a.body, "POST /echo q= by=c body=x");
    assert_int_equal(ask(h, "GET", "/healthz", NULL, 0, NULL).code, 200);
}

struct client {
    pthread_t thread;
    const ops_http *h;
    struct answer a;
    unsigned number;
};

static void *client_run(void *user)
{
    struct client *c = user;
    char body[32];
    int n = snprintf(body, sizeof body, "body-%u", c->number);
    c->a = ask(c->h, "POST", "/park", body, (size_t)n, NULL);
    return NULL;
}

static void answers_come_later_from_another_thread(void **state)
{
    (void)state;
    OPS_AUTO(ops_http_free) ops_http *h = serve(NULL, 0, 2);
    struct client clients[6];
    size_t count = sizeof clients / sizeof clients[0];
    pthread_t later;
    assert_int_equal(pthread_create(&later, NULL, answer_later, &count), 0);
    for (unsigned i = 0; i < count; i++) {
        clients[i] = (struct client){.h = h, .number = i};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, client_run, &clients[i]), 0);
    }
    for (unsigned i = 0; i < count; i++) {
        char want[32];
        pthread_join(clients[i].thread, NULL);
        snprintf(want, sizeof want, "body-%u", i);
        assert_int_equal(clients[i].a.code, 202);
        assert_string_equal(clients[i].a.body, want);
    }
    pthread_join(later, NULL);
}

static void a_late_reply_after_the_end_is_harmless(void **state)
{
    (void)state;
    long live = ops_alloc_live();
    ops_http *h = serve(NULL, 0, 1);
    struct client c = {.h = h, .number = 7};
    assert_int_equal(pthread_create(&c.thread, NULL, client_run, &c), 0);
    ops_http_req *req = unpark();
    ops_http_free(h);
    pthread_join(c.thread, NULL);
    assert_int_equal(c.a.code, 503);
    ops_http_reply(req, 200, "text/plain", OPS_SLICE("too late"));
    assert_int_equal(ops_alloc_live(), live);
}

static void a_taken_port_is_said(void **state)
{
    (void)state;
    OPS_AUTO(ops_http_free) ops_http *h = serve(NULL, 0, 1);
    char address[32], want[96];
    snprintf(address, sizeof address, "127.0.0.1:%u", ops_http_port(h));
    snprintf(want, sizeof want, "in use by http_test (pid %d)", (int)getpid());
    const ops_http_conf conf = {.address = address};
    ops_http *second = NULL;
    ops_err err = {0};
    assert_int_equal(ops_http_new(&conf, &second, &err), OPS_EEXIST);
    assert_non_null(strstr(err.msg, want));
    const ops_http_conf half = {.address = "127.0.0.1:0", .cert_pem = "x"};
    assert_int_equal(ops_http_new(&half, &second, &err), OPS_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_and_probes),
        cmocka_unit_test(bodies_are_bounded),
        cmocka_unit_test(encoded_bodies),
        cmocka_unit_test(tokens),
        cmocka_unit_test(a_taken_port_is_said),
        cmocka_unit_test(answers_come_later_from_another_thread),
        cmocka_unit_test(a_late_reply_after_the_end_is_harmless),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return rc;
}
