/* One request and its one answer. The answer may come from any thread; the connection is resumed under the request's
 * lock, so it cannot vanish in between. */
#include "coordinator/http/internal.h"

#include "base/mem/alloc.h"

#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>

ops_http_req *ops_http_req_new(ops_http *h, struct MHD_Connection *conn, const char *method, const char *path)
{
    ops_http_req *req = ops_calloc(1, sizeof *req);
    if (req == NULL)
        return NULL;
    req->path_copy = ops_strdup(path);
    if (req->path_copy == NULL) {
        ops_free(req);
        return NULL;
    }
    atomic_init(&req->refs, 1);
    pthread_mutex_init(&req->lock, NULL);
    req->h = h;
    req->conn = conn;
    req->path = req->path_copy;
    req->method = method;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info != NULL && info->client_addr != NULL) {
        socklen_t n = info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                               : sizeof(struct sockaddr_in);
        if (getnameinfo(info->client_addr, n, req->peer, sizeof req->peer, NULL, 0, NI_NUMERICHOST) != 0)
            req->peer[0] = '\0';
    }
    return req;
}

void ops_http_req_unref(ops_http_req *req)
{
    if (atomic_fetch_sub_explicit(&req->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (req->response != NULL)
        MHD_destroy_response(req->response);
    pthread_mutex_destroy(&req->lock);
    ops_strbuf_done(&req->out);
    ops_strbuf_done(&req->body);
    ops_free(req->path_copy);
    ops_free(req);
}

bool ops_http_req_headers(const ops_http_req *req, const char *content_type, struct MHD_Response *res)
{
    bool ok = content_type == NULL || MHD_add_response_header(res, "Content-Type", content_type) == MHD_YES;
    /* Without a type this is the server's own answer, which must not look at what the handler may be writing. */
    for (size_t i = 0; content_type != NULL && i < req->header_count && ok; i++)
        ok = MHD_add_response_header(res, req->headers[i].name, req->headers[i].value) == MHD_YES;
    return ok;
}

static struct MHD_Response *response_new(ops_http_req *req, const char *content_type, ops_slice body)
{
    void *copy = NULL;
    if (body.n > 0 && (copy = ops_malloc(body.n)) == NULL)
        return NULL;
    if (body.n > 0)
        memcpy(copy, body.p, body.n);
    struct MHD_Response *res = MHD_create_response_from_buffer_with_free_callback(body.n, copy, ops_free);
    if (res == NULL) {
        ops_free(copy);
        return NULL;
    }
    if (!ops_http_req_headers(req, content_type, res)) {
        MHD_destroy_response(res);
        return NULL;
    }
    return res;
}

void ops_http_req_resume(ops_http_req *req)
{
    if (!req->suspended || req->conn == NULL)
        return;
    req->suspended = false;
    MHD_resume_connection(req->conn);
}

void ops_http_req_tell_gone(ops_http_req *req)
{
    void (*gone)(void *ctx) = req->gone;
    req->gone = NULL;
    if (gone == NULL)
        return;
    if (!req->cut) { /* a cut shuts the socket down, which looks like a hang-up */
        req->left = true;
        atomic_fetch_add(&req->h->clients_gone, 1);
    }
    gone(req->gone_ctx);
}

bool ops_http_req_set(ops_http_req *req, unsigned code, struct MHD_Response *take_res)
{
    pthread_mutex_lock(&req->lock);
    const bool wanted = req->conn != NULL && req->response == NULL && !req->queued;
    if (wanted) {
        req->response = take_res;
        req->code = code;
        ops_http_req_resume(req);
    }
    pthread_mutex_unlock(&req->lock);
    if (!wanted)
        MHD_destroy_response(take_res);
    return wanted;
}

void ops_http_req_answer(ops_http_req *req, unsigned code, const char *content_type, ops_slice body)
{
    struct MHD_Response *res = response_new(req, content_type, body);
    if (res ==
        NULL) { /* no memory for the answer: an empty one needs next to none; without it the client waits */
        res = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
        code = 500;
    }
    if (res != NULL)
        (void)ops_http_req_set(req, code, res);
}

void ops_http_req_answer_error(ops_http_req *req, unsigned code, ops_status st, const char *message)
{
    bool waits = false;
    for (size_t i = 0; i < req->header_count; i++)
        waits |= ops_slice_eq_nocase(ops_slice_str(req->headers[i].name), OPS_SLICE("Retry-After"));
    if ((code == 429 || code == 503) && !waits)
        ops_http_retry_after(req, 1000);
    ops_strbuf text;
    ops_strbuf_init(&text, 8192);
    if (req->route != NULL && req->route->error != NULL) {
        req->route->error(st, message, &text);
    } else {
        ops_strbuf_printf(&text, "{\"code\":%d,\"message\":", ops_status_grpc_code(st));
        ops_strbuf_json(&text, ops_slice_sub(ops_slice_str(message), 0, 1024));
        ops_strbuf_str(&text, "}\n");
    }
    ops_http_req_answer(req, code, "application/json", text.failed ? (ops_slice){0} : ops_strbuf_get(&text));
    ops_strbuf_done(&text);
}

ops_slice ops_http_method(const ops_http_req *req)
{
    return ops_slice_str(req->method);
}

ops_slice ops_http_path(const ops_http_req *req)
{
    return ops_slice_str(req->path);
}

ops_slice ops_http_body(const ops_http_req *req)
{
    return ops_strbuf_get(&req->body);
}

const ops_identity *ops_http_identity(const ops_http_req *req)
{
    return &req->who;
}

ops_slice ops_http_peer(const ops_http_req *req)
{
    return ops_slice_str(req->peer);
}

ops_slice ops_http_header(const ops_http_req *req, const char *name)
{
    return ops_slice_str(MHD_lookup_connection_value(req->conn, MHD_HEADER_KIND, name));
}

ops_slice ops_http_query(const ops_http_req *req, const char *name)
{
    return ops_slice_str(MHD_lookup_connection_value(req->conn, MHD_GET_ARGUMENT_KIND, name));
}

ops_status ops_http_reply_header(ops_http_req *req, const char *name, const char *value)
{
    size_t n = strlen(name), m = strlen(value), i = 0;
    if (n == 0 || n >= sizeof req->headers[0].name || m >= sizeof req->headers[0].value)
        return OPS_EINVAL;
    if (strpbrk(name, "\r\n: \t") != NULL || strpbrk(value, "\r\n") != NULL)
        return OPS_EINVAL;
    while (i < req->header_count &&
           !ops_slice_eq_nocase(ops_slice_str(req->headers[i].name), ops_slice_str(name)))
        i++;
    if (i == REPLY_HEADERS_MAX)
        return OPS_EINVAL;
    memcpy(req->headers[i].name, name, n + 1);
    memcpy(req->headers[i].value, value, m + 1);
    if (i == req->header_count)
        req->header_count++;
    return OPS_OK;
}

void ops_http_retry_after(ops_http_req *req, uint64_t wait_ms)
{
    char text[32];
    const uint64_t seconds = wait_ms / 1000 + (wait_ms % 1000 != 0);
    snprintf(text, sizeof text, "%" PRIu64, seconds);
    (void)!ops_http_reply_header(req, "Retry-After", text);
}

/* Before the answer: a request that is answered may be over at once, and that is no hang-up. */
static void tell_no_more(ops_http_req *req)
{
    pthread_mutex_lock(&req->lock);
    req->gone = NULL;
    pthread_mutex_unlock(&req->lock);
}

void ops_http_reply(ops_http_req *req, unsigned code, const char *content_type, ops_slice body)
{
    tell_no_more(req);
    ops_http_req_answer(req, code, content_type != NULL ? content_type : "application/octet-stream", body);
    ops_http_req_unref(req);
}

void ops_http_reply_buf(ops_http_req *req, unsigned code, const char *content_type, ops_strbuf *done_b)
{
    if (done_b->failed)
        ops_http_reply_error(req, OPS_ENOMEM, "the answer does not fit");
    else
        ops_http_reply(req, code, content_type, ops_strbuf_get(done_b));
    ops_strbuf_done(done_b);
}

unsigned ops_http_code(ops_status st)
{
    switch (st) {
    case OPS_OK:
        return 200;
    case OPS_EAGAIN:
        return 429;
    case OPS_EINVAL:
    case OPS_ERANGE:
    case OPS_ECONTEXT:
        return 400;
    case OPS_EAUTH:
        return 401;
    case OPS_EPERM:
        return 403;
    case OPS_ENOTFOUND:
        return 404;
    case OPS_EEXIST:
    case OPS_ECONFLICT:
        return 409;
    case OPS_ETOOBIG:
        return 413;
    case OPS_ECANCELLED:
        return 499;
    case OPS_EUNIMPL:
        return 501;
    case OPS_ETIMEOUT:
        return 504;
    case OPS_EUNAVAILABLE:
    case OPS_ENOSPC:
    case OPS_ENOMEM:
    case OPS_EIO:
        return 503;
    default:
        return 500;
    }
}

void ops_http_mark_failed(ops_http_req *req)
{
    pthread_mutex_lock(&req->lock);
    req->failed = true;
    pthread_mutex_unlock(&req->lock);
}

void ops_http_reply_error(ops_http_req *req, ops_status st, const char *message)
{
    tell_no_more(req);
    ops_http_req_answer_error(req, ops_http_code(st), st, message);
    ops_http_req_unref(req);
}
