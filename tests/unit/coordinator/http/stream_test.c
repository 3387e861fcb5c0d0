/* Answers in pieces, seen by sockets of the test's own: what comes when, clients that read slowly or hang up, the server's
 * end, TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem/alloc.h"
#include "coordinator/http/server.h"
#include "tests/support/certs.h"

enum { ROOM = 64 << 10, WAIT_MS = 20000 };

/* The one request that the handler passed on. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    ops_http_req *req;
    unsigned gone;
} desk = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void on_gone(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&desk.lock);
    desk.gone++;
    pthread_cond_broadcast(&desk.more);
    pthread_mutex_unlock(&desk.lock);
}

static void park(ops_http_req *req, void *user)
{
    (void)user;
    ops_http_on_gone(req, on_gone, NULL);
    pthread_mutex_lock(&desk.lock);
    desk.req = req;
    pthread_cond_broadcast(&desk.more);
    pthread_mutex_unlock(&desk.lock);
}

static ops_http_req *next_request(void)
{
    pthread_mutex_lock(&desk.lock);
    while (desk.req == NULL)
        pthread_cond_wait(&desk.more, &desk.lock);
    ops_http_req *req = desk.req;
    desk.req = NULL;
    pthread_mutex_unlock(&desk.lock);
    return req;
}

static void wait_gone(void)
{
    pthread_mutex_lock(&desk.lock);
    while (desk.gone == 0)
        pthread_cond_wait(&desk.more, &desk.lock);
    assert_int_equal(desk.gone, 1);
    pthread_mutex_unlock(&desk.lock);
}

/* Counts to the number in the body and ends, all inside the handler. */
static void count_at_once(ops_http_req *req, void *user)
{
    (void)user;
    uint64_t n = 0;
    assert_true(ops_slice_to_u64(ops_http_body(req), &n));
    assert_int_equal(ops_http_reply_header(req, "X-Test", "yes"), OPS_OK);
    assert_int_equal(ops_http_stream_begin(req, 201, "text/plain", ROOM), OPS_OK);
    for (uint64_t i = 0; i < n; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "%u.", (unsigned)i);
        assert_int_equal(ops_http_stream_write(req, ops_slice_str(text)), OPS_OK);
    }
    ops_http_stream_end(req);
}

static ops_http *serve_with(const struct certs *tls, unsigned threads)
{
    const ops_http_conf conf = {.address = "127.0.0.1:0",
                                .threads = threads,
                                .cert_pem = tls != NULL ? tls->cert : NULL,
                                .key_pem = tls != NULL ? tls->key : NULL};
    const ops_http_route routes[] = {
        {.method = "POST", .path = "/park", .body_max = 1000, .handler = park},
        {.method = "POST", .path = "/count", .body_max = 1000, .handler = count_at_once},
    };
    ops_http *h = NULL;
    ops_err err = {0};
    desk.req = NULL;
    desk.gone = 0;
    if (ops_http_new(&conf, &h, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        assert_int_equal(ops_http_route_add(h, &routes[i], &err), OPS_OK);
    if (ops_http_start(h, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return h;
}

static ops_http *serve(void)
{
    return serve_with(NULL, 1);
}

/* A connection and what came over it so far. */
typedef struct client {
    int fd;
    size_t n;
    bool closed;
    char got[256 << 10];
} client;

static client *dial(const ops_http *h)
{
    static client c;
    c = (client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const int little = 4096;
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons(ops_http_port(h)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    (void)setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    assert_int_equal(connect(c.fd, (const struct sockaddr *)&at, sizeof at), 0);
    return &c;
}

static void post(const client *c, const char *path, const char *version, const char *body)
{
    char text[512];
    const int n = snprintf(text, sizeof text, "POST %s HTTP/%s\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
                           path, version, strlen(body), body);
    assert_int_equal(write(c->fd, text, (size_t)n), n);
}

/* Reads once; false: nothing comes any more. */
static bool hear(client *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    assert_true(c->n < sizeof c->got - 1);
    const ssize_t n = read(c->fd, c->got + c->n, sizeof c->got - 1 - c->n);
    c->closed = n <= 0;
    c->n += n > 0 ? (size_t)n : 0;
    c->got[c->n] = '\0';
    return !c->closed;
}

static void hear_until(client *c, const char *text)
{
    while (strstr(c->got, text) == NULL)
        if (!hear(c))
            fail_msg("the connection ended before '%s' came: %s", text, c->got);
}

static void hear_the_end(client *c)
{
    while (hear(c)) {
    }
    close(c->fd);
}

static void pieces_come_when_they_are_written(void **state)
{
    (void)state;
    OPS_AUTO(ops_http_free) ops_http *h = serve();
    client *c = dial(h);
    for (int round = 0; round < 2; round++) { /* over one connection */
        c->n = 0;
        c->got[0] = '\0';
        post(c, "/park", "1.1", "");
        ops_http_req *req = next_request();
        assert_int_equal(ops_http_reply_header(req, "X-Test", "yes"), OPS_OK);
        assert_int_equal(ops_http_stream_begin(req, 200, "text/event-stream", ROOM), OPS_OK);
        hear_until(c, "\r\n\r\n");
        assert_non_null(strstr(c->got, "200 OK"));
        assert_non_null(strstr(c->got, "text/event-stream"));
        assert_non_null(strstr(c->got, "X-Test: yes"));
        assert_int_equal(ops_http_stream_write(req, OPS_SLICE("one")), OPS_OK);
        hear_until(c, "\r\n3\r\none\r\n");
        assert_int_equal(ops_http_stream_write(req, OPS_SLICE("")), OPS_OK); /* no end */
        assert_int_equal(ops_http_stream_write(req, OPS_SLICE("three")), OPS_OK);
        hear_until(c, "\r\n5\r\nthree\r\n");
        assert_null(strstr(c->got, "\r\n0\r\n\r\n"));
        ops_http_stream_end(req);
        hear_until(c, "\r\n0\r\n\r\n");
    }
    close(c->fd);
    assert_int_equal(desk.gone, 0);
}

static void a_handler_may_write_everything_at_once(void **state)
{
    (void)state;
    OPS_AUTO(ops_http_free) ops_http *h = serve();
    client *c = dial(h);
    post(c, "/count", "1.0", "3"); /* HTTP/1.0 has no chunks: the end is the connection's */
    hear_the_end(c);
    assert_non_null(strstr(c->got, "201 Created"));
    assert_non_null(strstr(c->got, "\r\n\r\n0.1.2."));
    c = dial(h);
    post(c, "/count", "1.1", "9999");
    hear_until(c, "\r\n0\r\n\r\n");
    assert_non_null(strstr(c->got, "9998."));
    close(c->fd);
}

static void a_slow_client_is_cut_at_the_bound(void **state)
{
    (void)state;
    static char piece[1000];
    memset(piece, 'x', sizeof piece);
    OPS_AUTO(ops_http_free) ops_http *h = serve();
    client *c = dial(h);
    post(c, "/park", "1.1", "");
    ops_http_req *req = next_request();
    assert_int_equal(ops_http_stream_begin(req, 200, "text/plain", ROOM), OPS_OK);
    hear_until(c, "\r\n\r\n");
    ops_status st = OPS_OK;
    size_t taken = 0;
    while (st == OPS_OK) {
        st = ops_http_stream_write(req, ops_slice_of(piece, sizeof piece));
        taken += st == OPS_OK ? sizeof piece : 0;
    }
    assert_int_equal(st, OPS_EAGAIN);
    assert_true(taken >= ROOM - sizeof piece);
    assert_int_equal(ops_http_stream_write(req, OPS_SLICE("y")), OPS_ECANCELLED);
    wait_gone(); /* the cut's own hang-up has been seen, and is still a cut */
    ops_http_stream_end(req);
    c->n = 0;
    close(c->fd);
    ops_http_stats s;
    ops_http_stats_get(h, &s);
    assert_int_equal(s.streams_cut, 1);
    assert_int_equal(s.clients_gone, 0);
    ops_http_drain(h, WAIT_MS); /* the connection did not outlive the cut */
    ops_http_stats_get(h, &s);
    assert_int_equal(s.inflight_requests, 0);
    ops_http_route_stats r;
    uint64_t cut = 0, all = 0;
    for (size_t i = 0; ops_http_route_stats_get(h, i, &r); i++) {
        cut += r.requests[OPS_HTTP_CUT];
        for (int o = 0; o < OPS_HTTP_OUTCOME_COUNT; o++)
            all += r.requests[o];
    }
    assert_true(cut == 1 && all == 1);
}

static void more_than_the_bound_in_one_piece_is_cut(void **state)
{
    (void)state;
    static char big[ROOM + 1];
    memset(big, 'x', sizeof big);
    OPS_AUTO(ops_http_free) ops_http *h = serve();
    client *c = dial(h);
    post(c, "/park", "1.1", "");
    ops_http_req *req = next_request();
    assert_int_equal(ops_http_stream_begin(req, 200, "text/plain", ROOM), OPS_OK);
    assert_int_equal(ops_http_stream_write(req, ops_slice_of(big, ROOM)), OPS_OK);
    hear_until(c, "xxxx");
    assert_int_equal(ops_http_stream_write(req, ops_slice_of(big, sizeof big)), OPS_EAGAIN);
    hear_the_end(c);
    assert_null(strstr(c->got, "\r\n0\r\n\r\n")); /* so the client knows that the answer is not whole */
    ops_http_stream_end(req);
}

static void no_memory_cuts(void **state)
{
    (void)state;
    OPS_AUTO(ops_http_free) ops_http *h = serve();
    client *c = dial(h);
    post(c, "/park", "1.1", "");
    ops_http_req *req = next_request();
    assert_int_equal(ops_http_stream_begin(req, 200, "text/plain", ROOM), OPS_OK);
    hear_until(c, "\r\n\r\n");
    ops_alloc_fail_at(1);
    const ops_status st = ops_http_stream_write(req, OPS_SLICE("x"));
    ops_alloc_fail_at(0);
    assert_int_equal(st, OPS_ENOMEM);
    hear_the_end(c);
    ops_http_stream_end(req);
}

static void who_hangs_up_is_noticed(void **state)
{
    (void)state;
    static const struct {
        bool streams, half;
    } rows[] = {{false, false}, {true, false}, {true, true}, {false, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        OPS_AUTO(ops_http_free) ops_http *h = serve();
        client *c = dial(h);
        post(c, "/park", "1.1", "");
        ops_http_req *req = next_request();
        if (rows[i].streams) {
            assert_int_equal(ops_http_stream_begin(req, 200, "text/plain", ROOM), OPS_OK);
            hear_until(c, "\r\n\r\n");
        }
        if (rows[i].half)
            shutdown(c->fd, SHUT_WR);
        else
            close(c->fd);
        wait_gone();
        if (rows[i].streams) {
            assert_int_equal(ops_http_stream_write(req, OPS_SLICE("x")), OPS_ECANCELLED);
            ops_http_stream_end(req);
        } else {
            ops_http_reply(req, 200, "text/plain", OPS_SLICE("x"));
        }
        if (rows[i].half)
            hear_the_end(c);
    }
}

static void nobody_is_told_after_the_answer(void **state)
{
    (void)state;
    ops_http *h = serve();
    client *c = dial(h);
    post(c, "/park", "1.1", "");
    ops_http_reply(next_request(), 200, "text/plain", OPS_SLICE("done"));
    hear_until(c, "done");
    close(c->fd);
    ops_http_free(h);
    assert_int_equal(desk.gone, 0);
}

static void the_servers_end_is_told_to_both(void **state)
{
    (void)state;
    const long live = ops_alloc_live();
    for (int streams = 0; streams < 2; streams++) {
        ops_http *h = serve();
        client *c = dial(h);
        post(c, "/park", "1.1", "");
        ops_http_req *req = next_request();
        if (streams) {
            assert_int_equal(ops_http_stream_begin(req, 200, "text/plain", ROOM), OPS_OK);
            assert_int_equal(ops_http_stream_write(req, OPS_SLICE("one")), OPS_OK);
            hear_until(c, "one");
        }
        ops_http_free(h);
        wait_gone();
        hear_the_end(c);
        assert_null(strstr(c->got, "\r\n0\r\n\r\n"));
        if (!streams) { /* the server's own answer stands; a stream that begins now is for nobody */
            assert_non_null(strstr(c->got, "503"));
            assert_int_equal(ops_http_stream_begin(req, 200, "text/plain", ROOM), OPS_OK);
        }
        assert_int_equal(ops_http_stream_write(req, OPS_SLICE("two")), OPS_ECANCELLED);
        ops_http_stream_end(req);
        assert_int_equal(ops_alloc_live(), live);
    }
}

static void *end_soon(void *req)
{
    usleep(50000);
    assert_int_equal(ops_http_stream_write(req, OPS_SLICE("last")), OPS_OK);
    ops_http_stream_end(req);
    return NULL;
}

static void a_drain_waits_for_the_end(void **state)
{
    (void)state;
    pthread_t t;
    ops_http *h = serve();
    client *c = dial(h);
    post(c, "/park", "1.1", "");
    ops_http_req *req = next_request();
    assert_int_equal(ops_http_stream_begin(req, 200, "text/plain", ROOM), OPS_OK);
    assert_int_equal(pthread_create(&t, NULL, end_soon, req), 0);
    ops_http_drain(h, WAIT_MS);
    ops_http_free(h);
    pthread_join(t, NULL);
    hear_the_end(c);
    assert_non_null(strstr(c->got, "last"));
    assert_non_null(strstr(c->got, "\r\n0\r\n\r\n"));
}

/* Over TLS the next piece is written only when the one before has come. */
typedef struct relay {
    ops_http_req *req;
    unsigned seen;
} relay;

static size_t on_piece(char *p, size_t size, size_t n, void *user)
{
    relay *r = user;
    char want[32], next[32];
    if (r->req == NULL)
        r->req = next_request();
    (void)snprintf(want, sizeof want, "piece %u", r->seen);
    assert_true(ops_slice_eq(ops_slice_of(p, size * n), ops_slice_str(want)));
    (void)snprintf(next, sizeof next, "piece %u", ++r->seen);
    if (r->seen < 5)
        assert_int_equal(ops_http_stream_write(r->req, ops_slice_str(next)), OPS_OK);
    else
        ops_http_stream_end(r->req);
    return size * n;
}

static void *begin_first(void *user)
{
    relay *r = user;
    ops_http_req *req = next_request();
    r->req = req;
    assert_int_equal(ops_http_stream_begin(req, 200, "text/plain", ROOM), OPS_OK);
    assert_int_equal(ops_http_stream_write(req, OPS_SLICE("piece 0")), OPS_OK);
    return NULL;
}

static void tls_streams_too(void **state)
{
    (void)state;
    pthread_t t;
    relay r = {0};
    struct certs tls = certs_new("stream");
    OPS_AUTO(ops_http_free) ops_http *h = serve_with(&tls, 1);
    char url[64], resolve[64];
    (void)snprintf(url, sizeof url, "https://localhost:%u/park", ops_http_port(h));
    (void)snprintf(resolve, sizeof resolve, "localhost:%u:127.0.0.1", ops_http_port(h));
    assert_int_equal(pthread_create(&t, NULL, begin_first, &r), 0);
    CURL *c = curl_easy_init();
    const ops_slice pem = ops_slice_str(tls.ca);
    struct curl_blob ca = {.data = tls.ca, .len = pem.n};
    struct curl_slist *at = curl_slist_append(NULL, resolve);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_RESOLVE, at);
    curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &ca);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, "");
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_piece);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &r);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, 20L);
    const CURLcode e = curl_easy_perform(c);
    if (e != CURLE_OK)
        fail_msg("%s", curl_easy_strerror(e));
    curl_easy_cleanup(c);
    curl_slist_free_all(at);
    pthread_join(t, NULL);
    assert_int_equal(r.seen, 5);
    certs_free(&tls);
}

/* Many at once, each answered piece by piece by a thread of its own. */
enum { CROWD = 24, PIECES = 200 };

static void *write_slowly(void *user)
{
    ops_http_req *req = user;
    assert_int_equal(ops_http_stream_begin(req, 200, "text/plain", ROOM), OPS_OK);
    for (int i = 0; i < PIECES; i++)
        assert_int_equal(ops_http_stream_write(req, OPS_SLICE("0123456789")), OPS_OK);
    ops_http_stream_end(req);
    return NULL;
}

static void crowd_handler(ops_http_req *req, void *user)
{
    pthread_t t;
    (void)user;
    ops_http_on_gone(req, on_gone, NULL);
    assert_int_equal(pthread_create(&t, NULL, write_slowly, req), 0);
    pthread_detach(t);
}

static size_t count(char *p, size_t size, size_t n, void *user)
{
    (void)p;
    *(size_t *)user += size * n;
    return size * n;
}

static void *crowd_client(void *user)
{
    const ops_http *h = user;
    size_t got = 0;
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/crowd", ops_http_port(h));
    CURL *c = curl_easy_init();
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, "");
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, count);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &got);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, 60L);
    const CURLcode e = curl_easy_perform(c);
    curl_easy_cleanup(c);
    return (void *)(intptr_t)(e == CURLE_OK ? (long)got : -(long)e);
}

static void many_at_once(void **state)
{
    (void)state;
    pthread_t t[CROWD];
    const ops_http_conf conf = {.address = "127.0.0.1:0", .threads = 2};
    const ops_http_route route = {.method = "POST", .path = "/crowd", .handler = crowd_handler};
    OPS_AUTO(ops_http_free) ops_http *h = NULL;
    assert_int_equal(ops_http_new(&conf, &h, NULL), OPS_OK);
    assert_int_equal(ops_http_route_add(h, &route, NULL), OPS_OK);
    assert_int_equal(ops_http_start(h, NULL), OPS_OK);
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&t[i], NULL, crowd_client, h), 0);
    for (size_t i = 0; i < CROWD; i++) {
        void *got = NULL;
        pthread_join(t[i], &got);
        assert_int_equal((intptr_t)got, PIECES * 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_come_when_they_are_written),
        cmocka_unit_test(a_handler_may_write_everything_at_once),
        cmocka_unit_test(a_slow_client_is_cut_at_the_bound),
        cmocka_unit_test(more_than_the_bound_in_one_piece_is_cut),
        cmocka_unit_test(no_memory_cuts),
        cmocka_unit_test(who_hangs_up_is_noticed),
        cmocka_unit_test(nobody_is_told_after_the_answer),
        cmocka_unit_test(the_servers_end_is_told_to_both),
        cmocka_unit_test(a_drain_waits_for_the_end),
        cmocka_unit_test(tls_streams_too),
        cmocka_unit_test(many_at_once),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return rc;
}
