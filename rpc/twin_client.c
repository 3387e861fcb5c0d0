/* The twin's clients. */
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "rpc/twin_internal.h"

enum { CODE_CANCELLED = 1, CODE_EXHAUSTED = 8, REPLY_BYTES_DEFAULT = 64 << 20 };

typedef struct twin_channel {
    ops_rpc_channel base;
    twin_host *host;
    char *bearer;
    size_t reply_bytes_max;
} twin_channel;

typedef struct twin_stream {
    ops_rpc_stream base;
    twin_call *call;
} twin_stream;

static twin_channel *channel_of(ops_rpc_channel *ch)
{
    return (twin_channel *)(void *)ch;
}

static twin_call *call_of(ops_rpc_stream *st)
{
    return ((twin_stream *)(void *)st)->call;
}

/* Of nobody yet. */
static twin_call *call_new(const twin_channel *ch, const char *path, int64_t timeout_ms)
{
    twin_call *c = ops_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->holders = 1;
    twin_queue_init(&c->in);
    twin_queue_init(&c->out);
    c->path = ops_strdup(path);
    c->base.peer = ops_strdup("twin:0");
    c->authorization = ch->bearer != NULL ? ops_strdup(ch->bearer) : NULL;
    c->reply_bytes_max = ch->reply_bytes_max;
    c->deadline_ns = timeout_ms < 0 ? INT64_MAX : twin_now_ns() + timeout_ms * 1000000;
    if (c->path == NULL || c->base.peer == NULL || (ch->bearer != NULL && c->authorization == NULL)) {
        twin_call_release(c);
        return NULL;
    }
    return c;
}

static void begin(twin_channel *ch, twin_call *c)
{
    (void)pthread_mutex_lock(&ch->host->lock);
    twin_call_begin(ch->host, c);
    (void)pthread_mutex_unlock(&ch->host->lock);
}

static ops_status channel_unary_async(ops_rpc_channel *base, const char *path, ops_slice req,
                                      int64_t timeout_ms, ops_rpc_told told, void *u, ops_err *reterr)
{
    twin_call *c = call_new(channel_of(base), path, timeout_ms);
    if (c == NULL || !twin_put(&c->in, req)) {
        if (c != NULL)
            twin_call_release(c);
        return ops_fail(reterr, OPS_ENOMEM, "%s", path);
    }
    c->send_closed = true;
    c->told = told;
    c->told_u = u;
    begin(channel_of(base), c);
    return OPS_OK;
}

static ops_status stream_send(ops_rpc_stream *st, ops_slice msg, ops_err *reterr)
{
    twin_call *c = call_of(st);
    ops_status result = OPS_OK;
    (void)pthread_mutex_lock(&c->host->lock);
    while (c->in.count >= TWIN_WINDOW && !twin_call_ended(c))
        twin_wait(c->host, INT64_MAX);
    if (twin_call_ended(c) || c->send_closed)
        result = ops_fail(reterr, OPS_ECANCELLED, "the stream is over");
    else if (!twin_put(&c->in, msg))
        result = ops_fail(reterr, OPS_ENOMEM, "a message of %zu bytes", msg.n);
    (void)pthread_cond_broadcast(&c->host->changed);
    (void)pthread_mutex_unlock(&c->host->lock);
    return result;
}

static ops_status stream_close_send(ops_rpc_stream *st, ops_err *reterr)
{
    twin_call *c = call_of(st);
    (void)pthread_mutex_lock(&c->host->lock);
    const bool twice = c->send_closed;
    c->send_closed = true;
    (void)pthread_cond_broadcast(&c->host->changed);
    (void)pthread_mutex_unlock(&c->host->lock);
    return twice ? ops_fail(reterr, OPS_EINVAL, "the sending side was closed before") : OPS_OK;
}

static ops_status hand_over(twin_call *c, ops_strbuf *ret, ops_err *reterr)
{
    ops_status result = OPS_OK;
    twin_message *m = twin_take(&c->out);
    if (m->n > c->reply_bytes_max) {
        result =
            ops_fail(reterr, OPS_EAGAIN, "a message of %zu bytes, %zu are allowed", m->n, c->reply_bytes_max);
        twin_call_close(c, CODE_EXHAUSTED);
    } else {
        ops_strbuf_put(ret, m->bytes, m->n);
        if (ret->failed)
            result = ops_fail(reterr, OPS_ETOOBIG, "a message that does not fit");
    }
    ops_free(m);
    (void)pthread_cond_broadcast(&c->host->changed);
    return result;
}

static ops_status stream_recv(ops_rpc_stream *st, int64_t wait_ms, ops_strbuf *ret, bool *ret_end,
                              ops_err *reterr)
{
    twin_call *c = call_of(st);
    ops_status result;
    const int64_t until_ns = wait_ms < 0 ? INT64_MAX : twin_now_ns() + wait_ms * 1000000;
    *ret_end = false;
    (void)pthread_mutex_lock(&c->host->lock);
    while (c->out.count == 0 && !twin_call_ended(c) && twin_now_ns() < until_ns)
        twin_wait(c->host, until_ns);
    if (c->out.count > 0) {
        result = hand_over(c, ret, reterr);
    } else if (twin_call_ended(c)) {
        result = twin_call_ending(c, NULL, reterr);
        *ret_end = result == OPS_OK;
    } else {
        result = ops_fail(reterr, OPS_ETIMEOUT, "no message within %lld ms", (long long)wait_ms);
    }
    (void)pthread_mutex_unlock(&c->host->lock);
    return result;
}

static void stream_cancel(ops_rpc_stream *st)
{
    twin_call *c = call_of(st);
    (void)pthread_mutex_lock(&c->host->lock);
    twin_call_close(c, CODE_CANCELLED);
    (void)pthread_mutex_unlock(&c->host->lock);
}

static void stream_free(ops_rpc_stream *st)
{
    twin_call *c = call_of(st);
    pthread_mutex_t *lock = &c->host->lock;
    (void)pthread_mutex_lock(lock);
    twin_call_close(c, CODE_CANCELLED);
    twin_call_release(c);
    (void)pthread_mutex_unlock(lock);
    ops_free(st);
}

static ops_status channel_stream_open(ops_rpc_channel *base, const char *path, int64_t timeout_ms,
                                      ops_rpc_stream **ret, ops_err *reterr)
{
    static const rpc_stream_ops ops = {.send = stream_send,
                                       .close_send = stream_close_send,
                                       .recv = stream_recv,
                                       .cancel = stream_cancel,
                                       .free = stream_free};
    twin_stream *st = ops_calloc(1, sizeof *st);
    if (st != NULL)
        st->call = call_new(channel_of(base), path, timeout_ms);
    if (st == NULL || st->call == NULL) {
        ops_free(st);
        return ops_fail(reterr, OPS_ENOMEM, "%s", path);
    }
    st->base.ops = &ops;
    begin(channel_of(base), st->call);
    *ret = &st->base;
    return OPS_OK;
}

static void channel_free(ops_rpc_channel *base)
{
    ops_free(channel_of(base)->bearer);
    ops_free(base);
}

ops_status ops_rpc_twin_channel_new(ops_rpc_server *server, const ops_rpc_channel_conf *conf,
                                    ops_rpc_channel **ret, ops_err *reterr)
{
    static const rpc_channel_ops ops = {
        .unary_async = channel_unary_async, .stream_open = channel_stream_open, .free = channel_free};
    const bool token = conf->bearer != NULL && conf->bearer[0] != '\0';
    const size_t n = token ? strlen(conf->bearer) + sizeof "Bearer " : 0;
    twin_channel *ch = ops_calloc(1, sizeof *ch);
    if (ch != NULL && token)
        ch->bearer = ops_malloc(n);
    if (ch == NULL || (token && ch->bearer == NULL)) {
        ops_free(ch);
        return ops_fail(reterr, OPS_ENOMEM, "rpc twin: a channel");
    }
    if (token)
        (void)snprintf(ch->bearer, n, "Bearer %s", conf->bearer);
    ch->base.ops = &ops;
    ch->host = (twin_host *)(void *)server;
    ch->reply_bytes_max = conf->message_bytes_max > 0 ? conf->message_bytes_max : REPLY_BYTES_DEFAULT;
    *ret = &ch->base;
    return OPS_OK;
}
