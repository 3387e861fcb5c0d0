/* An answer in pieces. What the handler writes waits here until microhttpd asks for it; when there is nothing to ask for,
 * the connection is suspended, and the next piece, the end or a cut resumes it. */
#include "coordinator/http/internal.h"

#include <sys/socket.h>

enum { BLOCK_BYTES = 8 << 10 /* for clients of HTTP/1.0; chunks are cut from the connection's own memory */ };

static void forget_sent(ops_http_req *req)
{
    if (req->out_at == req->out.n)
        ops_strbuf_clear(&req->out);
    else
        memmove(req->out.p, req->out.p + req->out_at, req->out.n -= req->out_at);
    req->out_at = 0;
}

static size_t take(ops_http_req *req, char *to, size_t max)
{
    const size_t have = req->out.n - req->out_at, n = have < max ? have : max;
    memcpy(to, req->out.p + req->out_at, n);
    req->out_at += n;
    if (2 * req->out_at >= req->out.n) /* so that a byte is moved once at most */
        forget_sent(req);
    return n;
}

/* microhttpd wants more. @thread the connection's */
static ssize_t on_more(void *ctx, uint64_t at, char *to, size_t max)
{
    (void)at;
    ops_http_req *req = ctx;
    ssize_t n = 0;
    pthread_mutex_lock(&req->lock);
    if (req->cut || atomic_load(&req->h->stopping)) {
        n = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (req->out.n > 0) {
        n = (ssize_t)take(req, to, max);
    } else if (req->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        req->suspended = true;
        MHD_suspend_connection(req->conn);
    }
    pthread_mutex_unlock(&req->lock);
    return n;
}

static void on_response_freed(void *ctx)
{
    ops_http_req_unref(ctx);
}

ops_status ops_http_stream_begin(ops_http_req *req, unsigned code, const char *content_type, size_t bytes_max)
{
    struct MHD_Response *res =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_more, req, on_response_freed);
    if (res == NULL)
        return OPS_ENOMEM;
    atomic_fetch_add(&req->refs, 1);
    if (!ops_http_req_headers(req, content_type, res)) {
        MHD_destroy_response(res);
        return OPS_ENOMEM;
    }
    pthread_mutex_lock(&req->lock);
    req->out_max = bytes_max > 0 ? bytes_max : 1;
    ops_strbuf_init(&req->out, 2 * req->out_max + 1);
    pthread_mutex_unlock(&req->lock);
    if (!ops_http_req_set(req, code, res)) {
        pthread_mutex_lock(&req->lock);
        ops_http_stream_cut(req);
        pthread_mutex_unlock(&req->lock);
    }
    return OPS_OK;
}

void ops_http_stream_cut(ops_http_req *req)
{
    if (req->cut)
        return;
    req->cut = true;
    ops_strbuf_done(&req->out);
    req->out_at = 0;
    if (req->conn == NULL)
        return;
    atomic_fetch_add(&req->h->streams_cut, 1);
    /* A client that does not read would hold the connection for the idle time. */
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(req->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info != NULL)
        (void)shutdown(info->connect_fd, SHUT_RDWR);
    ops_http_req_resume(req);
}

ops_status ops_http_stream_write(ops_http_req *req, ops_slice piece)
{
    ops_status st = OPS_OK;
    pthread_mutex_lock(&req->lock);
    if (req->cut || req->conn == NULL)
        st = OPS_ECANCELLED;
    else if (piece.n > req->out_max - (req->out.n - req->out_at))
        st = OPS_EAGAIN;
    else {
        ops_strbuf_slice(&req->out, piece);
        st = req->out.failed ? OPS_ENOMEM : OPS_OK;
    }
    if (st != OPS_OK)
        ops_http_stream_cut(req);
    else if (piece.n > 0)
        ops_http_req_resume(req);
    pthread_mutex_unlock(&req->lock);
    return st;
}

void ops_http_stream_end(ops_http_req *req)
{
    pthread_mutex_lock(&req->lock);
    req->ended = true;
    req->gone = NULL;
    ops_http_req_resume(req);
    pthread_mutex_unlock(&req->lock);
    ops_http_req_unref(req);
}
