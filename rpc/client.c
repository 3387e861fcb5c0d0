/* The transport-free half of a client. */
#include "rpc/client.h"

#include <pthread.h>

#include "rpc/internal.h"

typedef struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool finished;
    ops_status st;
    ops_strbuf *ret;
    ops_rpc_details *details;
    ops_err *err;
} waiter;

static void on_told(void *u, const ops_rpc_answer *a)
{
    waiter *w = u;
    (void)pthread_mutex_lock(&w->lock);
    w->st = a->st;
    if (w->details != NULL)
        *w->details = a->details;
    if (a->st != OPS_OK)
        (void)ops_fail(w->err, a->st, "%s", a->message);
    else if (w->ret != NULL) {
        ops_strbuf_slice(w->ret, a->reply);
        if (w->ret->failed)
            w->st = ops_fail(w->err, OPS_ETOOBIG, "an answer of %zu bytes", a->reply.n);
    }
    w->finished = true;
    (void)pthread_cond_signal(&w->done);
    (void)pthread_mutex_unlock(&w->lock);
}

ops_status ops_rpc_unary(ops_rpc_channel *ch, const char *path, ops_slice req, int64_t timeout_ms,
                         ops_strbuf *ret, ops_rpc_details *ret_details, ops_err *reterr)
{
    waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER,
                .done = PTHREAD_COND_INITIALIZER,
                .ret = ret,
                .details = ret_details,
                .err = reterr};
    ops_status st = ops_rpc_unary_async(ch, path, req, timeout_ms, on_told, &w, reterr);
    if (st != OPS_OK)
        return st;
    (void)pthread_mutex_lock(&w.lock);
    while (!w.finished)
        (void)pthread_cond_wait(&w.done, &w.lock);
    (void)pthread_mutex_unlock(&w.lock);
    (void)pthread_cond_destroy(&w.done);
    (void)pthread_mutex_destroy(&w.lock);
    return w.st;
}

ops_status ops_rpc_unary_async(ops_rpc_channel *ch, const char *path, ops_slice req, int64_t timeout_ms,
                               ops_rpc_told told, void *u, ops_err *reterr)
{
    return ch->ops->unary_async(ch, path, req, timeout_ms, told, u, reterr);
}

ops_status ops_rpc_stream_open(ops_rpc_channel *ch, const char *path, int64_t timeout_ms,
                               ops_rpc_stream **ret, ops_err *reterr)
{
    return ch->ops->stream_open(ch, path, timeout_ms, ret, reterr);
}

void ops_rpc_channel_free(ops_rpc_channel *ch)
{
    if (ch != NULL)
        ch->ops->free(ch);
}

ops_status ops_rpc_stream_send(ops_rpc_stream *st, ops_slice msg, ops_err *reterr)
{
    return st->ops->send(st, msg, reterr);
}

ops_status ops_rpc_stream_close_send(ops_rpc_stream *st, ops_err *reterr)
{
    return st->ops->close_send(st, reterr);
}

ops_status ops_rpc_stream_recv(ops_rpc_stream *st, int64_t wait_ms, ops_strbuf *ret, bool *ret_end,
                               ops_err *reterr)
{
    return st->ops->recv(st, wait_ms, ret, ret_end, reterr);
}

void ops_rpc_stream_cancel(ops_rpc_stream *st)
{
    st->ops->cancel(st);
}

void ops_rpc_stream_free(ops_rpc_stream *st)
{
    if (st != NULL)
        st->ops->free(st);
}
