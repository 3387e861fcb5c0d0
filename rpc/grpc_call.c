/* One call on the server. Core's rules: one batch of each kind at a time; every batch comes back through the queue once.
 *
 * References: one for the close tag, one for each batch under way, one for the handler, which ends with the finish. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "rpc/grpc_internal.h"

static grpc_server_call *of(ops_rpc_call *c)
{
    return (grpc_server_call *)(void *)c;
}

/* A batch that core does not take is a mistake of ours: its state is unknown from there on. */
static void start(grpc_server_call *c, const grpc_op *ops, size_t n, grpc_tag_fn *tag)
{
    (void)ops_rpc_call_ref(&c->base);
    TAG_GIVE(tag);
    if (grpc_call_start_batch(c->core, ops, n, tag, NULL) != GRPC_CALL_OK)
        abort();
}

static void put_headers(grpc_server_call *c, grpc_op *ops, size_t *n)
{
    if (c->headers_sent)
        return;
    c->headers_sent = true;
    ops[(*n)++].op = GRPC_OP_SEND_INITIAL_METADATA;
}

static void put_message(grpc_server_call *c, grpc_op *ops, size_t *n)
{
    grpc_out *o = c->head;
    c->head = o->next;
    if (c->head == NULL)
        c->tail = &c->head;
    c->queued--;
    c->queued_bytes -= o->n;
    c->out = o->bytes;
    ops_free(o);
    ops[*n].op = GRPC_OP_SEND_MESSAGE;
    ops[(*n)++].data.send_message.send_message = c->out;
}

static void put_status(grpc_server_call *c, grpc_op *ops, size_t *n, grpc_metadata *trailer)
{
    c->status_sent = true;
    ops[*n].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[*n].data.send_status_from_server.status = (grpc_status_code)c->code;
    ops[*n].data.send_status_from_server.status_details = &c->message;
    if (c->has_status_bytes) {
        trailer->key = grpc_slice_from_static_string("grpc-status-details-bin");
        trailer->value = c->status_bytes;
        ops[*n].data.send_status_from_server.trailing_metadata_count = 1;
        ops[*n].data.send_status_from_server.trailing_metadata = trailer;
    }
    (*n)++;
}

/* Starts the next write when none is under way. Under the lock. */
static void pump(grpc_server_call *c)
{
    grpc_op ops[3];
    grpc_metadata trailer;
    size_t n = 0;
    if (c->writing || c->status_sent || (c->head == NULL && !c->finishing))
        return;
    memset(ops, 0, sizeof ops);
    memset(&trailer, 0, sizeof trailer);
    put_headers(c, ops, &n);
    if (c->head != NULL)
        put_message(c, ops, &n);
    if (c->finishing && c->head == NULL)
        put_status(c, ops, &n, &trailer);
    c->writing = true;
    start(c, ops, n, &c->write_tag);
}

static void drop_queue(grpc_server_call *c)
{
    for (grpc_out *o = c->head, *next; o != NULL; o = next) {
        next = o->next;
        grpc_byte_buffer_destroy(o->bytes);
        ops_free(o);
    }
    c->head = NULL;
    c->tail = &c->head;
    c->queued = c->queued_bytes = 0;
}

static void on_written(grpc_tag_fn *t, bool ok)
{
    grpc_server_call *c = TAG_OWNER(t, grpc_server_call, write_tag);
    const ops_rpc_method *m = c->base.method;
    (void)pthread_mutex_lock(&c->lock);
    c->writing = false;
    if (c->out != NULL)
        grpc_byte_buffer_destroy(c->out);
    c->out = NULL;
    if (!ok) { /* nobody listens any more */
        c->closed = true;
        drop_queue(c);
    }
    pump(c);
    bool room = c->want_writable && !c->finishing && c->queued * 2 <= c->host->base.table.conf.send_queue_max;
    if (room)
        c->want_writable = false;
    (void)pthread_mutex_unlock(&c->lock);
    if (room && m != NULL && m->writable != NULL)
        m->writable(&c->base, m->svc);
    ops_rpc_call_unref(&c->base);
}

static ops_status enqueue(grpc_server_call *c, ops_slice msg)
{
    grpc_out *o = ops_malloc(sizeof *o);
    if (o == NULL)
        return OPS_ENOMEM;
    *o = (grpc_out){.bytes = rpc_bytes_of(msg), .n = msg.n};
    *c->tail = o;
    c->tail = &o->next;
    c->queued++;
    c->queued_bytes += msg.n;
    return OPS_OK;
}

static ops_status call_send(ops_rpc_call *base, ops_slice msg)
{
    grpc_server_call *c = of(base);
    const ops_rpc_server_conf *conf = &c->host->base.table.conf;
    (void)pthread_mutex_lock(&c->lock);
    ops_status st = OPS_OK;
    if (c->finishing || c->closed)
        st = OPS_ECANCELLED;
    else if (c->queued >= conf->send_queue_max ||
             (c->queued > 0 && c->queued_bytes + msg.n > conf->send_queue_bytes_max)) {
        c->want_writable = true;
        st = OPS_EAGAIN;
    } else
        st = enqueue(c, msg);
    if (st == OPS_OK)
        pump(c);
    (void)pthread_mutex_unlock(&c->lock);
    return st;
}

static void call_finish(ops_rpc_call *base, int code, const char *message, ops_slice details, ops_slice reply)
{
    grpc_server_call *c = of(base);
    (void)pthread_mutex_lock(&c->lock);
    c->code = code;
    if (reply.p != NULL && enqueue(c, reply) != OPS_OK) {
        c->code = GRPC_STATUS_RESOURCE_EXHAUSTED;
        message = "out of memory";
    }
    c->message = grpc_slice_from_copied_string(message);
    if (details.n > 0) {
        c->status_bytes = grpc_slice_from_copied_buffer(details.p, details.n);
        c->has_status_bytes = true;
    }
    c->finishing = true;
    pump(c);
    (void)pthread_mutex_unlock(&c->lock);
    ops_rpc_call_unref(base); /* the handler's */
}

static void call_read(ops_rpc_call *base)
{
    grpc_server_call *c = of(base);
    grpc_op op;
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_RECV_MESSAGE;
    (void)pthread_mutex_lock(&c->lock);
    if (!c->reading && !c->finishing) {
        c->reading = true;
        op.data.recv_message.recv_message = &c->in;
        start(c, &op, 1, &c->read_tag);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

static ops_slice call_metadata(const ops_rpc_call *base, const char *key)
{
    return rpc_metadata_find(&((const grpc_server_call *)(const void *)base)->metadata, key);
}

static int64_t call_left_ms(const ops_rpc_call *base)
{
    const grpc_server_call *c = (const grpc_server_call *)(const void *)base;
    if (gpr_time_cmp(c->deadline, gpr_inf_future(c->deadline.clock_type)) == 0)
        return INT64_MAX;
    gpr_timespec left = gpr_time_sub(c->deadline, gpr_now(c->deadline.clock_type));
    int64_t ms = left.tv_sec * 1000 + left.tv_nsec / 1000000;
    return ms > 0 ? ms : 0;
}

static bool call_is_cancelled(ops_rpc_call *base)
{
    grpc_server_call *c = of(base);
    (void)pthread_mutex_lock(&c->lock);
    bool gone = c->closed;
    (void)pthread_mutex_unlock(&c->lock);
    return gone;
}

static void call_destroy(ops_rpc_call *base)
{
    grpc_server_call *c = of(base);
    grpc_host *h = c->host;
    rpc_call_over(base);
    drop_queue(c);
    if (c->out != NULL)
        grpc_byte_buffer_destroy(c->out);
    if (c->in != NULL)
        grpc_byte_buffer_destroy(c->in);
    if (c->in_held)
        grpc_slice_unref(c->in_slice);
    if (c->has_status_bytes)
        grpc_slice_unref(c->status_bytes);
    grpc_slice_unref(c->message);
    grpc_metadata_array_destroy(&c->metadata);
    grpc_call_details_destroy(&c->details);
    if (c->core != NULL)
        grpc_call_unref(c->core);
    if (base->peer != NULL)
        gpr_free(base->peer);
    (void)pthread_mutex_destroy(&c->lock);
    ops_free(c);
    atomic_fetch_sub(&h->live, 1);
}

const rpc_transport grpc_call_transport = {
    .send = call_send,
    .read = call_read,
    .finish = call_finish,
    .metadata = call_metadata,
    .left_ms = call_left_ms,
    .is_cancelled = call_is_cancelled,
    .destroy = call_destroy,
};

/* The client closed, was cancelled, or got its status. */
static void on_closed(grpc_tag_fn *t, bool ok)
{
    grpc_server_call *c = TAG_OWNER(t, grpc_server_call, close_tag);
    const ops_rpc_method *m = c->base.method;
    (void)ok;
    (void)pthread_mutex_lock(&c->lock);
    bool gone = c->cancelled_by_client != 0 && !c->finishing;
    if (c->cancelled_by_client != 0)
        c->closed = true;
    (void)pthread_mutex_unlock(&c->lock);
    if (gone && m != NULL) {
        if (m->cancelled != NULL)
            m->cancelled(&c->base, m->svc);
        else if (m->kind != OPS_RPC_UNARY)
            ops_rpc_finish(&c->base, OPS_ECANCELLED, "", NULL);
    }
    ops_rpc_call_unref(&c->base);
}

static void half_closed(grpc_server_call *c, const ops_rpc_method *m)
{
    if (!c->streaming)
        ops_rpc_finish(&c->base, OPS_EINVAL, "the request is missing", NULL);
    else if (m->half_close != NULL)
        m->half_close(&c->base, m->svc);
    else
        ops_rpc_finish(&c->base, OPS_OK, "", NULL);
}

static void on_message(grpc_tag_fn *t, bool ok)
{
    grpc_server_call *c = TAG_OWNER(t, grpc_server_call, read_tag);
    const ops_rpc_method *m = c->base.method;
    (void)pthread_mutex_lock(&c->lock);
    c->reading = false;
    bool over = c->finishing;
    grpc_byte_buffer *in = c->in;
    c->in = NULL;
    (void)pthread_mutex_unlock(&c->lock);
    if (in == NULL) {
        /* A failed read of a unary call (a message too large) is a cancel to come; it must still be ended. */
        if (!over && (ok || !c->streaming))
            half_closed(c, m);
    } else {
        grpc_slice bytes = rpc_slice_of(in);
        grpc_byte_buffer_destroy(in);
        if (!c->streaming) {
            c->in_slice = bytes;
            c->in_held = true;
            if (!over)
                (void)m->message(&c->base, rpc_view(&c->in_slice), m->svc);
        } else {
            bool more = !over && m->message(&c->base, rpc_view(&bytes), m->svc);
            grpc_slice_unref(bytes);
            if (more)
                call_read(&c->base);
        }
    }
    ops_rpc_call_unref(&c->base);
}

static void admit(grpc_server_call *c)
{
    ops_err err = {0};
    ops_rpc_details details;
    ops_slice path = rpc_view(&c->details.method), token = rpc_metadata_find(&c->metadata, "authorization");
    ops_status st = rpc_table_admit(&c->host->base.table, &c->base, path, token, &details, &err);
    if (st != OPS_OK) {
        atomic_store(&c->base.ended, true);
        rpc_call_refuse(&c->base, st, err.msg, &details);
        return;
    }
    c->streaming = c->base.method->kind == OPS_RPC_BIDI;
    call_read(&c->base);
}

static void on_new(grpc_tag_fn *t, bool ok)
{
    grpc_server_call *c = TAG_OWNER(t, grpc_server_call, new_tag);
    grpc_op op;
    if (!ok) { /* the server stops */
        ops_rpc_call_unref(&c->base);
        return;
    }
    grpc_call_arm(c->host, c->queue);
    c->deadline = c->details.deadline;
    c->base.peer = grpc_call_get_peer(c->core);
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    op.data.recv_close_on_server.cancelled = &c->cancelled_by_client;
    start(c, &op, 1, &c->close_tag);
    admit(c); /* the reference this call was made with is the handler's now */
}

void grpc_call_arm(grpc_host *h, grpc_queue *q)
{
    if (atomic_load(&h->base.stopping))
        return;
    grpc_server_call *c = ops_calloc(1, sizeof *c);
    if (c == NULL)
        return; /* one slot less until the heap has room again; the others go on */
    c->base.transport = &grpc_call_transport;
    atomic_store(&c->base.refs, 1);
    c->host = h;
    c->queue = q;
    c->new_tag.fn = on_new;
    c->close_tag.fn = on_closed;
    c->read_tag.fn = on_message;
    c->write_tag.fn = on_written;
    c->tail = &c->head;
    c->message = grpc_empty_slice();
    (void)pthread_mutex_init(&c->lock, NULL);
    grpc_metadata_array_init(&c->metadata);
    grpc_call_details_init(&c->details);
    atomic_fetch_add(&h->live, 1);
    TAG_GIVE(&c->new_tag);
    if (grpc_server_request_call(h->core, &c->core, &c->details, &c->metadata, q->cq, q->cq, &c->new_tag) !=
        GRPC_CALL_OK)
        ops_rpc_call_unref(&c->base);
}
