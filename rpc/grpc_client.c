/* The client on gRPC core: one queue and one thread a channel; calls that wait do so on a condition of their own. */
#include "rpc/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem/alloc.h"
#include "rpc/grpc_internal.h"

typedef struct grpc_link {
    ops_rpc_channel base;
    grpc_channel *core;
    grpc_completion_queue *cq;
    ops_thread *thread;
    char *bearer; /* "Bearer TOKEN" or NULL */
} grpc_link;

static grpc_link *link_of(ops_rpc_channel *ch)
{
    return (grpc_link *)(void *)ch;
}

static grpc_channel_credentials *channel_credentials(const ops_rpc_tls *tls)
{
    if (tls == NULL)
        return grpc_insecure_credentials_create();
    grpc_ssl_pem_key_cert_pair pair = {tls->key, tls->cert};
    return grpc_ssl_credentials_create(tls->client_ca, tls->cert != NULL ? &pair : NULL, NULL, NULL);
}

static grpc_channel *make_channel(const ops_rpc_channel_conf *conf)
{
    grpc_arg args[5];
    size_t n = 0;
    args[n++] =
        (grpc_arg){.type = GRPC_ARG_INTEGER,
                   .key = (char *)(uintptr_t)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
                   .value.integer = conf->message_bytes_max > 0 ? (int)conf->message_bytes_max : 64 << 20};
    args[n++] = (grpc_arg){.type = GRPC_ARG_INTEGER,
                           .key = (char *)(uintptr_t)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
                           .value.integer = 1};
    args[n++] = (grpc_arg){.type = GRPC_ARG_INTEGER,
                           .key = (char *)(uintptr_t)GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
                           .value.integer = 5000};
    if (conf->server_name != NULL)
        args[n++] = (grpc_arg){.type = GRPC_ARG_STRING,
                               .key = (char *)(uintptr_t)GRPC_SSL_TARGET_NAME_OVERRIDE_ARG,
                               .value.string = (char *)(uintptr_t)conf->server_name};
    const grpc_channel_args all = {.num_args = n, .args = args};
    grpc_channel_credentials *creds = channel_credentials(conf->tls);
    if (creds == NULL)
        return NULL;
    grpc_channel *core = grpc_channel_create(conf->target, creds, &all);
    grpc_channel_credentials_release(creds);
    return core;
}

static void run_channel(void *u)
{
    grpc_link *ch = u;
    for (;;) {
        grpc_event e = grpc_completion_queue_next(ch->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (e.type == GRPC_QUEUE_SHUTDOWN)
            return;
        grpc_tag_fn *t = e.tag;
        TAG_TAKE(t);
        t->fn(t, e.success != 0);
    }
}

static void link_free(ops_rpc_channel *base)
{
    grpc_link *ch = link_of(base);
    if (ch->core != NULL)
        grpc_channel_destroy(ch->core);
    grpc_completion_queue_shutdown(ch->cq);
    if (ch->thread != NULL)
        ops_thread_join(ch->thread);
    else
        while (grpc_completion_queue_next(ch->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
               GRPC_QUEUE_SHUTDOWN)
            ;
    grpc_completion_queue_destroy(ch->cq);
    ops_free(ch->bearer);
    ops_free(ch);
    rpc_core_unref();
}

/* What the end of any call says. */
typedef struct ending {
    grpc_metadata_array headers, trailers;
    grpc_status_code code;
    grpc_slice message;
} ending;

static void ending_init(ending *e)
{
    grpc_metadata_array_init(&e->headers);
    grpc_metadata_array_init(&e->trailers);
    e->message = grpc_empty_slice();
}

static void ending_done(ending *e)
{
    grpc_metadata_array_destroy(&e->headers);
    grpc_metadata_array_destroy(&e->trailers);
    grpc_slice_unref(e->message);
}

static void status_op(ending *e, grpc_op *op)
{
    op->op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    op->data.recv_status_on_client.trailing_metadata = &e->trailers;
    op->data.recv_status_on_client.status = &e->code;
    op->data.recv_status_on_client.status_details = &e->message;
}

static ops_status ending_status(const ending *e, ops_rpc_details *ret_details, ops_err *reterr)
{
    if (ret_details != NULL)
        *ret_details = (ops_rpc_details){0};
    if (e->code == GRPC_STATUS_OK)
        return OPS_OK;
    ops_slice bytes = rpc_metadata_find(&e->trailers, "grpc-status-details-bin"),
              text = rpc_view(&e->message);
    if (bytes.p != NULL && ret_details != NULL && !ops_rpc_status_get(bytes, ret_details))
        *ret_details = (ops_rpc_details){0};
    ops_status st = ops_status_from_grpc((int)e->code);
    return ops_fail(reterr, st, OPS_SLICE_FMT,
                    OPS_SLICE_ARG(text.n > 0 ? text : ops_slice_str(ops_status_text(st))));
}

static size_t headers(const grpc_link *ch, grpc_metadata *md)
{
    memset(md, 0, sizeof *md);
    if (ch->bearer == NULL)
        return 0;
    md->key = grpc_slice_from_static_string("authorization");
    md->value = grpc_slice_from_static_string(ch->bearer);
    return 1;
}

static grpc_call *make_call(grpc_link *ch, const char *path, int64_t timeout_ms)
{
    grpc_slice method = grpc_slice_from_copied_string(path);
    grpc_call *call = grpc_channel_create_call(ch->core, NULL, GRPC_PROPAGATE_DEFAULTS, ch->cq, method, NULL,
                                               rpc_deadline(timeout_ms), NULL);
    grpc_slice_unref(method);
    return call;
}

typedef struct unary {
    grpc_tag_fn tag;
    grpc_call *core;
    ending end;
    grpc_byte_buffer *out, *in;
    ops_rpc_told told;
    void *u;
} unary;

static void on_unary(grpc_tag_fn *t, bool ok)
{
    unary *q = TAG_OWNER(t, unary, tag);
    ops_err err = {0};
    ops_rpc_answer a = {0};
    grpc_slice reply = grpc_empty_slice();
    (void)ok; /* the status says it all */
    a.st = ending_status(&q->end, &a.details, &err);
    a.message = err.msg;
    if (a.st == OPS_OK && q->in != NULL) {
        reply = rpc_slice_of(q->in);
        a.reply = rpc_view(&reply);
    } else if (a.st == OPS_OK)
        a.st = ops_fail(&err, OPS_EINTERNAL, "the server answered OK without an answer");
    q->told(q->u, &a);
    grpc_slice_unref(reply);
    if (q->in != NULL)
        grpc_byte_buffer_destroy(q->in);
    grpc_byte_buffer_destroy(q->out);
    ending_done(&q->end);
    grpc_call_unref(q->core);
    ops_free(q);
}

static ops_status link_unary_async(ops_rpc_channel *base, const char *path, ops_slice req, int64_t timeout_ms,
                                   ops_rpc_told told, void *u, ops_err *reterr)
{
    unary *q = ops_calloc(1, sizeof *q);
    if (q == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", path);
    q->tag.fn = on_unary;
    q->told = told;
    q->u = u;
    q->core = make_call(link_of(base), path, timeout_ms);
    q->out = rpc_bytes_of(req);
    ending_init(&q->end);
    grpc_metadata md;
    grpc_op ops[6];
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.count = headers(link_of(base), &md);
    ops[0].data.send_initial_metadata.metadata = &md;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = q->out;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &q->end.headers;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &q->in;
    status_op(&q->end, &ops[5]);
    TAG_GIVE(&q->tag);
    if (grpc_call_start_batch(q->core, ops, 6, &q->tag, NULL) != GRPC_CALL_OK)
        abort(); /* a mistake of ours: core would be in an unknown state */
    return OPS_OK;
}

typedef struct grpc_stream {
    ops_rpc_stream base;
    grpc_tag_fn begin_tag, read_tag, write_tag, close_tag, status_tag;
    grpc_call *core;
    ending end;
    pthread_mutex_t lock; /* everything below */
    pthread_cond_t changed;
    unsigned batches; /* under way */
    bool writing, write_ok, reading, have_message, read_over, ended, send_closed;
    grpc_byte_buffer *in, *out, *message;
} grpc_stream;

static grpc_stream *stream_of(ops_rpc_stream *st)
{
    return (grpc_stream *)(void *)st;
}

static void stream_start(grpc_stream *st, const grpc_op *ops, size_t n, grpc_tag_fn *tag)
{
    st->batches++;
    TAG_GIVE(tag);
    if (grpc_call_start_batch(st->core, ops, n, tag, NULL) != GRPC_CALL_OK)
        abort(); /* a mistake of ours */
}

/* Under the lock. */
static void stream_read(grpc_stream *st)
{
    grpc_op op;
    if (st->reading || st->read_over || st->have_message)
        return;
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = &st->in;
    st->reading = true;
    stream_start(st, &op, 1, &st->read_tag);
}

static void tell(grpc_stream *st)
{
    st->batches--;
    (void)pthread_cond_broadcast(&st->changed);
    (void)pthread_mutex_unlock(&st->lock);
}

static void on_begun(grpc_tag_fn *t, bool ok)
{
    grpc_stream *st = TAG_OWNER(t, grpc_stream, begin_tag);
    (void)ok;
    (void)pthread_mutex_lock(&st->lock);
    tell(st);
}

static void on_read(grpc_tag_fn *t, bool ok)
{
    grpc_stream *st = TAG_OWNER(t, grpc_stream, read_tag);
    (void)pthread_mutex_lock(&st->lock);
    st->reading = false;
    st->have_message = ok && st->in != NULL;
    st->read_over = !st->have_message;
    st->message = st->have_message ? st->in : NULL;
    st->in = NULL;
    tell(st);
}

static void on_sent(grpc_tag_fn *t, bool ok)
{
    grpc_stream *st = TAG_OWNER(t, grpc_stream, write_tag);
    (void)pthread_mutex_lock(&st->lock);
    st->writing = false;
    st->write_ok = ok;
    if (st->out != NULL)
        grpc_byte_buffer_destroy(st->out);
    st->out = NULL;
    tell(st);
}

static void on_send_closed(grpc_tag_fn *t, bool ok)
{
    grpc_stream *st = TAG_OWNER(t, grpc_stream, close_tag);
    (void)ok;
    (void)pthread_mutex_lock(&st->lock);
    tell(st);
}

static void on_ended(grpc_tag_fn *t, bool ok)
{
    grpc_stream *st = TAG_OWNER(t, grpc_stream, status_tag);
    (void)ok;
    (void)pthread_mutex_lock(&st->lock);
    st->ended = true;
    tell(st);
}

static ops_status stream_send(ops_rpc_stream *base, ops_slice msg, ops_err *reterr)
{
    grpc_stream *st = stream_of(base);
    grpc_op op;
    memset(&op, 0, sizeof op);
    (void)pthread_mutex_lock(&st->lock);
    while (st->writing)
        (void)pthread_cond_wait(&st->changed, &st->lock);
    bool open = !st->ended && !st->send_closed;
    if (open) {
        st->out = rpc_bytes_of(msg);
        op.op = GRPC_OP_SEND_MESSAGE;
        op.data.send_message.send_message = st->out;
        st->writing = true;
        stream_start(st, &op, 1, &st->write_tag);
        while (st->writing)
            (void)pthread_cond_wait(&st->changed, &st->lock);
        open = st->write_ok;
    }
    (void)pthread_mutex_unlock(&st->lock);
    return open ? OPS_OK : ops_fail(reterr, OPS_ECANCELLED, "the stream is over");
}

static ops_status stream_close_send(ops_rpc_stream *base, ops_err *reterr)
{
    grpc_stream *st = stream_of(base);
    grpc_op op;
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    (void)pthread_mutex_lock(&st->lock);
    bool twice = st->send_closed;
    if (!twice && !st->ended)
        stream_start(st, &op, 1, &st->close_tag);
    st->send_closed = true;
    (void)pthread_mutex_unlock(&st->lock);
    return twice ? ops_fail(reterr, OPS_EINVAL, "the sending side was closed before") : OPS_OK;
}

static ops_status stream_recv(ops_rpc_stream *base, int64_t wait_ms, ops_strbuf *ret, bool *ret_end,
                              ops_err *reterr)
{
    grpc_stream *st = stream_of(base);
    struct timespec until;
    ops_status result = OPS_OK;
    int rc = 0;
    *ret_end = false;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_mutex_lock(&st->lock);
    while (!st->have_message && !(st->read_over && st->ended) && rc == 0)
        rc = wait_ms < 0 ? pthread_cond_wait(&st->changed, &st->lock)
                         : pthread_cond_timedwait(&st->changed, &st->lock, &until);
    if (st->have_message) {
        grpc_slice bytes = rpc_slice_of(st->message);
        ops_strbuf_slice(ret, rpc_view(&bytes));
        grpc_slice_unref(bytes);
        grpc_byte_buffer_destroy(st->message);
        st->message = NULL;
        st->have_message = false;
        stream_read(st);
        if (ret->failed)
            result = ops_fail(reterr, OPS_ETOOBIG, "a message that does not fit");
    } else if (st->read_over && st->ended) {
        result = ending_status(&st->end, NULL, reterr);
        *ret_end = result == OPS_OK;
    } else
        result = ops_fail(reterr, OPS_ETIMEOUT, "no message within %lld ms", (long long)wait_ms);
    (void)pthread_mutex_unlock(&st->lock);
    return result;
}

static void stream_cancel(ops_rpc_stream *base)
{
    grpc_stream *st = stream_of(base);
    (void)grpc_call_cancel(st->core, NULL);
}

static void stream_free(ops_rpc_stream *base)
{
    grpc_stream *st = stream_of(base);
    (void)grpc_call_cancel(st->core, NULL);
    (void)pthread_mutex_lock(&st->lock);
    while (st->batches > 0)
        (void)pthread_cond_wait(&st->changed, &st->lock);
    (void)pthread_mutex_unlock(&st->lock);
    if (st->message != NULL)
        grpc_byte_buffer_destroy(st->message);
    ending_done(&st->end);
    grpc_call_unref(st->core);
    (void)pthread_cond_destroy(&st->changed);
    (void)pthread_mutex_destroy(&st->lock);
    ops_free(st);
}

static const rpc_stream_ops stream_ops = {.send = stream_send,
                                          .close_send = stream_close_send,
                                          .recv = stream_recv,
                                          .cancel = stream_cancel,
                                          .free = stream_free};

static ops_status link_stream_open(ops_rpc_channel *base, const char *path, int64_t timeout_ms,
                                   ops_rpc_stream **ret, ops_err *reterr)
{
    grpc_stream *st = ops_calloc(1, sizeof *st);
    if (st == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%s", path);
    pthread_condattr_t mono;
    (void)pthread_condattr_init(&mono);
    (void)pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&st->lock, NULL);
    (void)pthread_cond_init(&st->changed, &mono);
    (void)pthread_condattr_destroy(&mono);
    st->begin_tag.fn = on_begun;
    st->read_tag.fn = on_read;
    st->write_tag.fn = on_sent;
    st->close_tag.fn = on_send_closed;
    st->status_tag.fn = on_ended;
    st->base.ops = &stream_ops;
    st->core = make_call(link_of(base), path, timeout_ms);
    ending_init(&st->end);
    grpc_metadata md;
    grpc_op ops[2];
    memset(ops, 0, sizeof ops);
    (void)pthread_mutex_lock(&st->lock);
    status_op(&st->end, &ops[0]);
    stream_start(st, ops, 1, &st->status_tag);
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.count = headers(link_of(base), &md);
    ops[0].data.send_initial_metadata.metadata = &md;
    ops[1].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &st->end.headers;
    stream_start(st, ops, 2, &st->begin_tag);
    stream_read(st);
    (void)pthread_mutex_unlock(&st->lock);
    *ret = &st->base;
    return OPS_OK;
}

static const rpc_channel_ops link_ops = {
    .unary_async = link_unary_async, .stream_open = link_stream_open, .free = link_free};

ops_status ops_rpc_channel_new(const ops_rpc_channel_conf *conf, ops_rpc_channel **ret, ops_err *reterr)
{
    if (conf->message_bytes_max > INT32_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%s: messages of %zu bytes are more than gRPC can bound",
                        conf->target, conf->message_bytes_max);
    ops_status st = conf->tls != NULL ? rpc_pem_check(conf->tls, false, reterr) : OPS_OK;
    if (st != OPS_OK) {
        ops_err_prefix(reterr, "%s", conf->target);
        return st;
    }
    grpc_link *ch = ops_calloc(1, sizeof *ch);
    if (ch == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "rpc channel");
    ch->base.ops = &link_ops;
    rpc_core_ref();
    if (conf->bearer != NULL && conf->bearer[0] != '\0') {
        size_t n = strlen(conf->bearer) + sizeof "Bearer ";
        ch->bearer = ops_malloc(n);
        if (ch->bearer == NULL)
            st = ops_fail(reterr, OPS_ENOMEM, "rpc channel");
        else
            (void)snprintf(ch->bearer, n, "Bearer %s", conf->bearer);
    }
    ch->cq = grpc_completion_queue_create_for_next(NULL);
    if (st == OPS_OK && (ch->core = make_channel(conf)) == NULL)
        st = ops_fail(reterr, OPS_EINVAL, "%s: bad address or certificates", conf->target);
    if (st == OPS_OK)
        st = ops_thread_start(run_channel, ch, "rpc-client", &ch->thread, reterr);
    if (st != OPS_OK) {
        ops_rpc_channel_free(&ch->base);
        return st;
    }
    *ret = &ch->base;
    return OPS_OK;
}
