/* The server's life, its routes and what microhttpd calls. A request passes: headers (route, token, length: refused
 * here without looking at the body), body (bounded), decoding, handler, answer. */
#include "coordinator/http/internal.h"

#include "base/mem/alloc.h"
#include "coordinator/listen/listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DROP_BYTES_MAX                                                                                       \
    (1u << 20) /* of a refused request's body that is read so that the client sees the answer */
#define METRICS_BYTES_MAX (16u << 20)

static bool path_matches(const char *pattern, const char *path)
{
    size_t n = strlen(pattern);
    if (n >= 2 && pattern[n - 1] == '*' && pattern[n - 2] == '/')
        return strncmp(pattern, path, n - 1) == 0;
    return strcmp(pattern, path) == 0;
}

static bool method_matches(const char *route, const char *method)
{
    return strcmp(route, method) == 0 || (strcmp(route, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static void refuse(ops_http_req *req, unsigned code, ops_status st, const char *text)
{
    if (req->early_code != 0)
        return;
    req->early_code = code;
    req->early_status = st;
    snprintf(req->early_text, sizeof req->early_text, "%s", text);
}

static void find_route(ops_http *h, ops_http_req *req)
{
    char allow[256] = "";
    for (size_t i = 0; i < h->route_count; i++) {
        if (!path_matches(h->routes[i].path, req->path))
            continue;
        if (method_matches(h->routes[i].method, req->method)) {
            req->route = &h->routes[i];
            return;
        }
        size_t n = strlen(allow);
        snprintf(allow + n, sizeof allow - n, "%s%s", n > 0 ? ", " : "", h->routes[i].method);
    }
    atomic_fetch_add(&h->unknown_route, 1);
    if (allow[0] != '\0') {
        (void)!ops_http_reply_header(req, "Allow", allow);
        refuse(req, 405, OPS_EINVAL, "method not allowed here");
        return;
    }
    char text[200];
    snprintf(text, sizeof text, "nothing at '%.128s'", req->path);
    refuse(req, 404, OPS_ENOTFOUND, text);
}

static void check_token(ops_http *h, ops_http_req *req)
{
    if (req->route->role == OPS_ROLE_NONE)
        return;
    if (atomic_load(&h->asks_clients) && !ops_http_peer_is_known(req->conn)) {
        atomic_fetch_add(&h->refused_auth, 1);
        refuse(req, 401, OPS_EAUTH, "a client certificate that this server's authority signed is needed");
        return;
    }
    if (h->conf.access == NULL) {
        req->who = (ops_identity){.name = "anonymous", .tenant = "default", .role = OPS_ROLE_ADMIN};
        return;
    }
    ops_err err = {0};
    ops_slice token = ops_access_bearer(ops_http_header(req, "Authorization"));
    ops_status st = ops_access_require(h->conf.access, token, req->route->role, &req->who, &err);
    if (st == OPS_OK)
        return;
    atomic_fetch_add(&h->refused_auth, 1);
    if (st == OPS_EAUTH)
        (void)!ops_http_reply_header(req, "WWW-Authenticate", "Bearer");
    refuse(req, ops_http_code(st), st, err.msg);
}

/* Before the body: *ret_drop says whether the body is worth reading before the refusal. */
static void on_headers(ops_http *h, ops_http_req *req, bool *ret_drop)
{
    atomic_fetch_add(&h->requests, 1);
    *ret_drop = true;
    find_route(h, req);
    if (req->early_code == 0)
        check_token(h, req);
    uint64_t length = 0;
    ops_slice given = ops_http_header(req, "Content-Length");
    bool known = given.p != NULL && ops_slice_to_u64(given, &length);
    *ret_drop = !known || length <= DROP_BYTES_MAX;
    if (req->early_code != 0)
        return;
    if (atomic_load(&h->stopping)) {
        refuse(req, 503, OPS_EUNAVAILABLE, "shutting down");
    } else if (known && length > req->route->body_max) {
        atomic_fetch_add(&h->refused_size, 1);
        char text[128];
        snprintf(text, sizeof text, "body of %llu bytes, at most %zu", (unsigned long long)length,
                 req->route->body_max);
        refuse(req, 413, OPS_ETOOBIG, text);
    }
    ops_strbuf_init(&req->body, req->route->body_max + 1);
}

/* False: a refused client goes on sending without end; hang up. */
static bool on_body(ops_http *h, ops_http_req *req, const char *p, size_t n)
{
    if (req->early_code != 0) {
        req->dropped_bytes += n;
        return req->dropped_bytes <= DROP_BYTES_MAX;
    }
    if (n > req->route->body_max - req->body.n) {
        atomic_fetch_add(&h->refused_size, 1);
        char text[128];
        snprintf(text, sizeof text, "body longer than %zu bytes", req->route->body_max);
        refuse(req, 413, OPS_ETOOBIG, text);
        return true;
    }
    size_t before = atomic_fetch_add(&h->inflight_bytes, n);
    req->body_counted += n;
    if (before + n > h->conf.inflight_bytes_max) {
        atomic_fetch_add(&h->refused_busy, 1);
        refuse(req, 429, OPS_EAGAIN, "too many bytes in flight, try again later");
        return true;
    }
    ops_strbuf_put(&req->body, p, n);
    if (req->body.failed)
        refuse(req, 503, OPS_ENOMEM, "no memory for the body");
    return true;
}

/* A body with Content-Encoding becomes the decoded one. */
static void decode_body(ops_http *h, ops_http_req *req)
{
    ops_slice encoding = ops_slice_trim(ops_http_header(req, "Content-Encoding"));
    if (encoding.n == 0 || ops_slice_eq_nocase(encoding, OPS_SLICE("identity")) || req->body.n == 0)
        return;
    ops_err err = {0};
    ops_strbuf plain;
    ops_strbuf_init(&plain, req->route->body_max + 1);
    ops_status st =
        h->conf.inflate == NULL
            ? ops_fail(&err, OPS_EUNIMPL, "Content-Encoding is not supported here")
            : h->conf.inflate(h->conf.inflate_user, encoding, ops_strbuf_get(&req->body), &plain, &err);
    if (st == OPS_OK && plain.failed)
        st = ops_fail(&err, OPS_ETOOBIG, "decoded body longer than %zu bytes", req->route->body_max);
    if (st != OPS_OK) {
        atomic_fetch_add(&h->refused_decode, 1);
        refuse(req, st == OPS_EUNIMPL ? 415 : st == OPS_ETOOBIG ? 413 : 400, st, err.msg);
        ops_strbuf_done(&plain);
        return;
    }
    ops_strbuf_done(&req->body);
    req->body = plain;
    if (plain.n > req->body_counted) {
        atomic_fetch_add(&h->inflight_bytes, plain.n - req->body_counted);
        req->body_counted = plain.n;
    }
}

static enum MHD_Result queue_answer(ops_http_req *req)
{
    pthread_mutex_lock(&req->lock);
    struct MHD_Response *res = req->response;
    req->response = NULL;
    req->queued = true;
    pthread_mutex_unlock(&req->lock);
    enum MHD_Result ok = res != NULL ? MHD_queue_response(req->conn, req->code, res) : MHD_NO;
    if (res != NULL)
        MHD_destroy_response(res);
    return ok;
}

static enum MHD_Result answer_early(ops_http_req *req)
{
    ops_http_req_answer_error(req, req->early_code, req->early_status, req->early_text);
    return queue_answer(req);
}

/* The server stops: whoever works at the answer hears of it, and the client too as far as it can. */
static void give_up(ops_http_req *req)
{
    pthread_mutex_lock(&req->lock);
    ops_http_req_tell_gone(req);
    if (req->out_max > 0)
        ops_http_stream_cut(req);
    pthread_mutex_unlock(&req->lock);
    ops_http_req_answer(req, 503, NULL, (ops_slice){0});
}

static enum MHD_Result hand_over(ops_http *h, ops_http_req *req)
{
    decode_body(h, req);
    if (req->early_code != 0)
        return answer_early(req);
    req->handed = true;
    atomic_fetch_add(&req->refs, 1);
    req->route->handler(req, req->route->user);
    bool answered = true;
    pthread_mutex_lock(&req->lock);
    if (req->response == NULL) {
        answered = false;
        req->suspended = true;
        MHD_suspend_connection(req->conn);
    }
    pthread_mutex_unlock(&req->lock);
    if (answered)
        return queue_answer(req);
    if (atomic_load(&h->stopping)) /* ops_http_free may have passed by before we suspended */
        give_up(req);
    return MHD_YES;
}

static void live_add(ops_http *h, ops_http_req *req)
{
    pthread_mutex_lock(&h->lock);
    req->next = h->live;
    if (h->live != NULL)
        h->live->prev = req;
    h->live = req;
    h->live_count++;
    pthread_mutex_unlock(&h->lock);
}

enum MHD_Result ops_http_on_request(void *user, struct MHD_Connection *conn, const char *url,
                                    const char *method, const char *version, const char *upload,
                                    size_t *upload_bytes, void **slot)
{
    (void)version;
    ops_http *h = user;
    ops_http_req *req = *slot;
    if (req == NULL) {
        req = ops_http_req_new(h, conn, method, url);
        if (req == NULL)
            return MHD_NO;
        *slot = req;
        live_add(h, req);
        bool drop = true;
        on_headers(h, req, &drop);
        return req->early_code != 0 && !drop ? answer_early(req) : MHD_YES;
    }
    if (*upload_bytes > 0) {
        bool go_on = on_body(h, req, upload, *upload_bytes);
        *upload_bytes = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    if (req->early_code != 0)
        return answer_early(req);
    return req->handed ? queue_answer(req) : hand_over(h, req);
}

const char *ops_http_outcome_name(ops_http_outcome o)
{
    static const char *const names[] = {"done", "refused", "failed", "gone", "cut"};
    return names[o];
}

/* With the request's lock held. */
static ops_http_outcome outcome_of(const ops_http_req *req, enum MHD_RequestTerminationCode why)
{
    if (req->left)
        return OPS_HTTP_GONE;
    /* Of a stream the client may hang up on the last piece, before the end of the framing. */
    const bool whole = req->ended && !req->cut && req->out_at == req->out.n;
    if (why != MHD_REQUEST_TERMINATED_COMPLETED_OK && !whole)
        return req->cut ? OPS_HTTP_CUT : OPS_HTTP_GONE;
    if (req->failed || req->code >= 500)
        return OPS_HTTP_FAILED;
    return req->code >= 400 ? OPS_HTTP_REFUSED : OPS_HTTP_DONE;
}

void ops_http_on_completed(void *user, struct MHD_Connection *conn, void **slot,
                           enum MHD_RequestTerminationCode why)
{
    (void)conn;
    ops_http *h = user;
    ops_http_req *req = *slot;
    if (req == NULL)
        return;
    *slot = NULL;
    pthread_mutex_lock(&req->lock);
    if (req->route != NULL)
        atomic_fetch_add(&h->tallies[req->route - h->routes].n[outcome_of(req, why)], 1);
    ops_http_req_tell_gone(req);
    if (req->watch_id != 0)
        ops_http_unwatch(req);
    req->conn = NULL;
    struct MHD_Response *unsent = req->response; /* a streamed one holds a share of the request */
    req->response = NULL;
    pthread_mutex_unlock(&req->lock);
    if (unsent != NULL)
        MHD_destroy_response(unsent);
    atomic_fetch_sub(&h->inflight_bytes, req->body_counted);
    pthread_mutex_lock(&h->lock);
    if (req->prev != NULL)
        req->prev->next = req->next;
    else
        h->live = req->next;
    if (req->next != NULL)
        req->next->prev = req->prev;
    h->live_count--;
    pthread_cond_broadcast(&h->gone);
    pthread_mutex_unlock(&h->lock);
    ops_http_req_unref(req);
}

static void serve_health(ops_http_req *req, void *user)
{
    (void)user;
    ops_http_reply(req, 200, "text/plain; charset=utf-8", OPS_SLICE("ok\n"));
}

static void serve_ready(ops_http_req *req, void *user)
{
    ops_http *h = user;
    ops_strbuf why;
    ops_strbuf_init(&why, 4096);
    bool ready = h->conf.ready == NULL || h->conf.ready(h->conf.probe_user, &why);
    if (atomic_load(&h->draining)) {
        ready = false;
        ops_strbuf_clear(&why);
        ops_strbuf_str(&why, "draining");
    }
    ops_strbuf_char(&why, '\n');
    ops_http_reply(req, ready ? 200 : 503, "text/plain; charset=utf-8",
                   ready ? OPS_SLICE("ok\n") : ops_strbuf_get(&why));
    ops_strbuf_done(&why);
}

static void serve_metrics(ops_http_req *req, void *user)
{
    ops_http *h = user;
    ops_strbuf text;
    ops_strbuf_init(&text, METRICS_BYTES_MAX);
    h->conf.metrics(h->conf.probe_user, &text);
    if (text.failed)
        ops_http_reply_error(req, OPS_ENOMEM, "metrics text too large");
    else
        ops_http_reply(req, 200, "text/plain; version=0.0.4; charset=utf-8", ops_strbuf_get(&text));
    ops_strbuf_done(&text);
}

static ops_status built_in_routes(ops_http *h, ops_err *reterr)
{
    const ops_http_route health = {.method = "GET", .path = "/healthz", .handler = serve_health, .user = h};
    const ops_http_route ready = {.method = "GET", .path = "/readyz", .handler = serve_ready, .user = h};
    const ops_http_route metrics = {.method = "GET", .path = "/metrics", .handler = serve_metrics, .user = h};
    ops_status st = ops_http_route_add(h, &health, reterr);
    if (st == OPS_OK)
        st = ops_http_route_add(h, &ready, reterr);
    if (st == OPS_OK && h->conf.metrics != NULL)
        st = ops_http_route_add(h, &metrics, reterr);
    return st;
}

static void set_defaults(ops_http_conf *c)
{
    c->threads = c->threads == 0 ? 1 : c->threads > 64 ? 64 : c->threads;
    c->connections_max = c->connections_max == 0 ? 1024 : c->connections_max;
    if (c->connections_max < c->threads)
        c->connections_max = c->threads;
    c->inflight_bytes_max = c->inflight_bytes_max == 0 ? 64u << 20 : c->inflight_bytes_max;
    c->idle_timeout_s = c->idle_timeout_s == 0 ? 30 : c->idle_timeout_s;
    c->routes_max = c->routes_max == 0 ? 64 : c->routes_max;
}

ops_status ops_http_new(const ops_http_conf *conf, ops_http **ret, ops_err *reterr)
{
    if ((conf->cert_pem == NULL) != (conf->key_pem == NULL))
        return ops_fail(reterr, OPS_EINVAL, "http %s: TLS needs both a certificate and a key", conf->address);
    OPS_AUTO(ops_http_free) ops_http *h = ops_calloc(1, sizeof *h);
    if (h == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "http server");
    h->fd = h->watch_fd = h->watch_stop_fd = -1;
    h->conf = *conf;
    set_defaults(&h->conf);
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->gone, &attr);
    pthread_condattr_destroy(&attr);
    h->routes = ops_calloc(h->conf.routes_max, sizeof *h->routes);
    h->tallies = ops_calloc(h->conf.routes_max, sizeof *h->tallies);
    if (h->routes == NULL || h->tallies == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "http routes");
    if (conf->cert_pem != NULL) {
        h->cert = ops_strdup(conf->cert_pem);
        h->key = ops_strdup(conf->key_pem);
        if (conf->client_ca_pem != NULL)
            h->client_ca = ops_strdup(conf->client_ca_pem);
        atomic_store(&h->asks_clients, conf->client_ca_pem != NULL);
        if (h->cert == NULL || h->key == NULL || (conf->client_ca_pem != NULL && h->client_ca == NULL))
            return ops_fail(reterr, OPS_ENOMEM, "http certificate");
    }
    ops_status st = built_in_routes(h, reterr);
    if (st == OPS_OK)
        st = ops_listen_open(conf->address, SOCK_STREAM, &h->fd, &h->port, reterr);
    if (st != OPS_OK) {
        ops_err_prefix(reterr, "http");
        return st;
    }
    *ret = OPS_STEAL(h);
    return OPS_OK;
}

ops_status ops_http_route_add(ops_http *h, const ops_http_route *route, ops_err *reterr)
{
    for (size_t i = 0; i < h->route_count; i++)
        if (strcmp(h->routes[i].method, route->method) == 0 && strcmp(h->routes[i].path, route->path) == 0)
            return ops_fail(reterr, OPS_EEXIST, "http route %s %s is there already", route->method,
                            route->path);
    if (h->route_count == h->conf.routes_max)
        return ops_fail(reterr, OPS_EAGAIN, "http: more than %zu routes", h->conf.routes_max);
    ops_http_route *to = &h->routes[h->route_count];
    *to = *route;
    to->method = ops_strdup(route->method);
    to->path = ops_strdup(route->path);
    if (to->method == NULL || to->path == NULL) {
        ops_free((void *)(uintptr_t)to->method);
        ops_free((void *)(uintptr_t)to->path);
        return ops_fail(reterr, OPS_ENOMEM, "http route");
    }
    h->route_count++;
    return OPS_OK;
}

ops_status ops_http_start(ops_http *h, ops_err *reterr)
{
    const ops_status st = ops_http_watch_start(h, reterr);
    if (st != OPS_OK)
        return st;
    h->daemon = ops_http_daemon_start(h, h->cert, h->key, h->client_ca);
    if (h->daemon == NULL)
        return ops_fail(reterr, OPS_EIO, "http port %u: cannot start%s", h->port,
                        h->cert != NULL ? " (is the certificate and its key good PEM?)" : "");
    return OPS_OK;
}

uint16_t ops_http_port(const ops_http *h)
{
    return h->port;
}

void ops_http_stats_get(ops_http *h, ops_http_stats *ret)
{
    ret->requests = atomic_load(&h->requests);
    ret->refused_auth = atomic_load(&h->refused_auth);
    ret->refused_size = atomic_load(&h->refused_size);
    ret->refused_busy = atomic_load(&h->refused_busy);
    ret->refused_decode = atomic_load(&h->refused_decode);
    ret->unknown_route = atomic_load(&h->unknown_route);
    ret->clients_gone = atomic_load(&h->clients_gone);
    ret->streams_cut = atomic_load(&h->streams_cut);
    ret->inflight_bytes = atomic_load(&h->inflight_bytes);
    pthread_mutex_lock(&h->lock);
    ret->inflight_requests = h->live_count;
    pthread_mutex_unlock(&h->lock);
}

bool ops_http_route_stats_get(const ops_http *h, size_t i, ops_http_route_stats *ret)
{
    if (i >= h->route_count)
        return false;
    ret->method = h->routes[i].method;
    ret->path = h->routes[i].path;
    for (int o = 0; o < OPS_HTTP_OUTCOME_COUNT; o++)
        ret->requests[o] = atomic_load(&h->tallies[i].n[o]);
    return true;
}

static void wait_gone(ops_http *h, unsigned grace_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += grace_ms / 1000;
    until.tv_nsec += (long)(grace_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&h->lock);
    while (h->live_count > 0 && pthread_cond_timedwait(&h->gone, &h->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&h->lock);
}

void ops_http_drain(ops_http *h, unsigned grace_ms)
{
    atomic_store(&h->draining, true);
    if (h->daemon == NULL)
        return;
    wait_gone(h, grace_ms);
}

static void answer_the_rest(ops_http *h)
{
    atomic_store(&h->stopping, true);
    pthread_mutex_lock(&h->lock);
    for (ops_http_req *req = h->live; req != NULL; req = req->next)
        if (req->handed)
            give_up(req);
    pthread_mutex_unlock(&h->lock);
    wait_gone(h, 500);
}

void ops_http_free(ops_http *h)
{
    if (h == NULL)
        return;
    if (h->daemon != NULL) {
        ops_http_drain(h, 500);
        (void)MHD_quiesce_daemon(h->daemon);
        answer_the_rest(h);
        ops_http_daemons_stop(h);
    }
    ops_http_watch_stop(h);
    if (h->fd >= 0)
        close(h->fd);
    for (size_t i = 0; i < h->route_count; i++) {
        ops_free((void *)(uintptr_t)h->routes[i].method);
        ops_free((void *)(uintptr_t)h->routes[i].path);
    }
    ops_free(h->routes);
    ops_free(h->tallies);
    ops_free(h->cert);
    ops_free(h->key);
    ops_free(h->client_ca);
    pthread_cond_destroy(&h->gone);
    pthread_mutex_destroy(&h->lock);
    ops_free(h);
}
