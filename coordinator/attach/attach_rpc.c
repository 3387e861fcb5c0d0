/* A link per call. It ends the call once, whoever wants it first, and holds a reference of it until the dispatch has let
 * go; so rpc's `done`, which frees the link, comes after both. */
#include "coordinator/attach/attach_rpc.h"

#include <pthread.h>
#include <stdio.h>

#include "base/mem/alloc.h"
#include "coordinator/attach/attach.h"

struct ops_attach_rpc {
    ops_dispatch *d;
    char coordinator_id[OPS_DISPATCH_NAME_MAX];
    ops_rpc_method method;
};

typedef struct link {
    ops_rpc_call *call;
    ops_attach *attach;
    pthread_mutex_t lock;
    bool finished;
} link_;

static void finish(link_ *l, ops_status why, const char *message)
{
    pthread_mutex_lock(&l->lock);
    const bool first = !l->finished;
    l->finished = true;
    pthread_mutex_unlock(&l->lock);
    if (first)
        ops_rpc_finish(l->call, why, message, NULL);
}

static ops_status wire_send(void *ctx, const Ops__V1__CoordinatorMessage *m)
{
    link_ *l = ctx;
    const size_t n = ops__v1__coordinator_message__get_packed_size(m);
    OPS_AUTO(ops_free) void *bytes = ops_malloc(n > 0 ? n : 1);
    if (bytes == NULL)
        return OPS_EAGAIN;
    (void)ops__v1__coordinator_message__pack(m, bytes);
    return ops_rpc_send(l->call, ops_slice_of(bytes, n));
}

static void wire_hang_up(void *ctx, ops_status why, const char *message)
{
    link_ *l = ctx;
    finish(l, why == OPS_OK ? OPS_OK : why, message);
    ops_attach_ended(l->attach, message);
}

static void wire_released(void *ctx)
{
    link_ *l = ctx;
    ops_rpc_call_unref(l->call);
}

static void on_done(void *user, void *svc)
{
    (void)svc;
    link_ *l = user;
    ops_attach_free(l->attach);
    pthread_mutex_destroy(&l->lock);
    ops_free(l);
}

static link_ *link_of(ops_rpc_call *c, const ops_attach_rpc *r)
{
    link_ *l = ops_rpc_call_user(c);
    if (l != NULL)
        return l;
    l = ops_calloc(1, sizeof *l);
    const ops_attach_wire wire = {wire_send, wire_hang_up, wire_released, l};
    if (l == NULL ||
        ops_attach_new(r->d, r->coordinator_id, ops_rpc_call_peer(c), &wire, &l->attach, NULL) != OPS_OK) {
        ops_free(l);
        return NULL;
    }
    pthread_mutex_init(&l->lock, NULL);
    l->call = ops_rpc_call_ref(c);
    ops_rpc_call_set_user(c, l);
    return l;
}

static bool on_message(ops_rpc_call *c, ops_slice bytes, void *svc)
{
    link_ *l = link_of(c, svc);
    if (l == NULL) {
        ops_rpc_finish(c, OPS_ENOMEM, "out of memory", NULL);
        return false;
    }
    ops_err err;
    Ops__V1__WorkerMessage *m = ops__v1__worker_message__unpack(NULL, bytes.n, (const uint8_t *)bytes.p);
    const ops_status st =
        m != NULL ? ops_attach_received(l->attach, m, &err)
                  : ops_fail(&err, OPS_EINVAL, "a message of %zu bytes is no WorkerMessage", bytes.n);
    if (m != NULL)
        ops__v1__worker_message__free_unpacked(m, NULL);
    if (st == OPS_OK)
        return true;
    finish(l, st, err.msg);
    ops_attach_ended(l->attach, err.msg);
    return false;
}

static void end_call(ops_rpc_call *c, ops_status st, const char *reason)
{
    link_ *l = ops_rpc_call_user(c);
    if (l == NULL) {
        ops_rpc_finish(c, st, reason, NULL);
        return;
    }
    finish(l, st, reason);
    ops_attach_ended(l->attach, reason);
}

static void on_half_close(ops_rpc_call *c, void *svc)
{
    (void)svc;
    end_call(c, OPS_OK, "the worker closed its stream");
}

static void on_cancelled(ops_rpc_call *c, void *svc)
{
    (void)svc;
    end_call(c, OPS_ECANCELLED, "the connection of the worker broke");
}

ops_status ops_attach_rpc_add(ops_rpc_server *s, ops_dispatch *d, const char *coordinator_id, int role,
                              ops_attach_rpc **ret, ops_err *reterr)
{
    OPS_AUTO(ops_attach_rpc_free) ops_attach_rpc *r = ops_calloc(1, sizeof *r);
    if (r == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "WorkerService");
    r->d = d;
    (void)snprintf(r->coordinator_id, sizeof r->coordinator_id, "%s", coordinator_id);
    r->method = (ops_rpc_method){.path = "/ops.v1.WorkerService/Attach",
                                 .kind = OPS_RPC_BIDI,
                                 .role = role,
                                 .message = on_message,
                                 .half_close = on_half_close,
                                 .cancelled = on_cancelled,
                                 .done = on_done,
                                 .svc = r};
    const ops_status st = ops_rpc_server_add(s, &r->method, 1, reterr);
    if (st != OPS_OK)
        return st;
    *ret = OPS_STEAL(r);
    return OPS_OK;
}

void ops_attach_rpc_free(ops_attach_rpc *r)
{
    ops_free(r);
}
