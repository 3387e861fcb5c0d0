/* The transport-free half of a server. */
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "rpc/internal.h"

enum { KEEPALIVE_S_MAX = 86400, THREADS_MAX = 256 };

static void defaults(ops_rpc_server_conf *c)
{
    if (c->threads == 0)
        c->threads = 2;
    if (c->message_bytes_max == 0)
        c->message_bytes_max = 4 << 20;
    if (c->send_queue_max == 0)
        c->send_queue_max = 64;
    if (c->send_queue_bytes_max == 0)
        c->send_queue_bytes_max = 8 << 20;
    if (c->calls_max == 0)
        c->calls_max = 1024;
    if (c->keepalive_s == 0)
        c->keepalive_s = 30;
}

/* gRPC core takes int, and milliseconds. */
static ops_status check(const ops_rpc_server_conf *c, ops_err *reterr)
{
    if (c->message_bytes_max > INT32_MAX || c->calls_max > INT32_MAX || c->keepalive_s > KEEPALIVE_S_MAX ||
        c->threads > THREADS_MAX)
        return ops_fail(
            reterr, OPS_EINVAL,
            "rpc server %s: at most %d bytes a message, %d calls, %d s between pings and %d threads",
            c->address != NULL ? c->address : "", INT32_MAX, INT32_MAX, KEEPALIVE_S_MAX, THREADS_MAX);
    return OPS_OK;
}

ops_status rpc_table_init(rpc_table *t, const ops_rpc_server_conf *conf, ops_err *reterr)
{
    memset(t, 0, sizeof *t);
    t->conf = *conf;
    defaults(&t->conf);
    (void)pthread_mutex_init(&t->health_lock, NULL);
    t->methods = ops_map_new();
    t->serving = ops_map_new();
    ops_status st = check(&t->conf, reterr);
    if (st == OPS_OK && (t->methods == NULL || t->serving == NULL))
        st = ops_fail(reterr, OPS_ENOMEM, "rpc server");
    if (st == OPS_OK)
        st = rpc_health_add(t, reterr);
    if (st == OPS_OK && conf->protoset.n > 0)
        st = rpc_reflection_add(t, reterr);
    return st;
}

void rpc_table_done(rpc_table *t)
{
    rpc_health_done(t);
    rpc_reflection_free(t->reflection);
    ops_map_free(t->methods);
    (void)pthread_mutex_destroy(&t->health_lock);
}

ops_status rpc_table_add(rpc_table *t, const ops_rpc_method *m, ops_err *reterr)
{
    ops_slice path = ops_slice_str(m->path);
    if (path.n < 3 || path.p[0] != '/' || m->message == NULL)
        return ops_fail(reterr, OPS_EINVAL, "rpc method %s: a path and a message callback are needed",
                        m->path);
    if (ops_map_has(t->methods, path))
        return ops_fail(reterr, OPS_EEXIST, "rpc method %s is there already", m->path);
    /* The map hands values out as they came in; the rows are never written. */
    if (ops_map_put(t->methods, path, (void *)(uintptr_t)m, NULL) != OPS_OK)
        return ops_fail(reterr, OPS_ENOMEM, "rpc method %s", m->path);
    const char *slash = strrchr(m->path, '/');
    char service[128];
    (void)snprintf(service, sizeof service, "%.*s", (int)(slash - m->path - 1), m->path + 1);
    rpc_health_set(t, service, false);
    return OPS_OK;
}

static ops_slice bearer(ops_slice authorization)
{
    const ops_slice head = OPS_SLICE("bearer ");
    if (authorization.n <= head.n || !ops_slice_eq_nocase(ops_slice_sub(authorization, 0, head.n), head))
        return (ops_slice){"", 0};
    return ops_slice_trim(ops_slice_sub(authorization, head.n, authorization.n));
}

static void nobody(const ops_rpc_server_conf *conf, ops_rpc_identity *ret)
{
    *ret = (ops_rpc_identity){.name = "anonymous", .tenant = "default", .role = conf->role_open};
}

ops_status rpc_table_admit(rpc_table *t, ops_rpc_call *c, ops_slice path, ops_slice authorization,
                           ops_rpc_details *ret_details, ops_err *reterr)
{
    *ret_details = (ops_rpc_details){0};
    const ops_rpc_method *m = ops_map_get(t->methods, path);
    if (m == NULL)
        return ops_fail(reterr, OPS_EUNIMPL, "no method " OPS_SLICE_FMT,
                        OPS_SLICE_ARG(ops_slice_sub(path, 0, 128)));
    nobody(&t->conf, &c->identity);
    if (!m->open && t->conf.authenticate != NULL) {
        ops_status st = t->conf.authenticate(t->conf.authenticate_u, bearer(authorization), m->role,
                                             &c->identity, reterr);
        if (st != OPS_OK)
            return st;
    }
    if (atomic_fetch_add(&t->calls, 1) >= t->conf.calls_max) {
        atomic_fetch_sub(&t->calls, 1);
        *ret_details = (ops_rpc_details){.retry_ms = 1000, .reason = "CALLS_MAX", .domain = "opsd"};
        return ops_fail(reterr, OPS_EAGAIN, "%u calls are under way, no more fit", t->conf.calls_max);
    }
    c->table = t;
    c->method = m;
    return OPS_OK;
}

void rpc_call_over(ops_rpc_call *c)
{
    if (c->method == NULL)
        return;
    if (c->user != NULL && c->method->done != NULL)
        c->method->done(c->user, c->method->svc);
    atomic_fetch_sub(&c->table->calls, 1);
}

ops_rpc_call *ops_rpc_call_ref(ops_rpc_call *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void ops_rpc_call_unref(ops_rpc_call *c)
{
    if (atomic_fetch_sub(&c->refs, 1) == 1)
        c->transport->destroy(c);
}

void ops_rpc_call_set_user(ops_rpc_call *c, void *user)
{
    c->user = user;
}

void *ops_rpc_call_user(const ops_rpc_call *c)
{
    return c->user;
}

const ops_rpc_identity *ops_rpc_call_identity(const ops_rpc_call *c)
{
    return &c->identity;
}

const char *ops_rpc_call_peer(const ops_rpc_call *c)
{
    return c->peer != NULL ? c->peer : "";
}

ops_slice ops_rpc_call_metadata(const ops_rpc_call *c, const char *key)
{
    return c->transport->metadata(c, key);
}

int64_t ops_rpc_call_left_ms(const ops_rpc_call *c)
{
    return c->transport->left_ms(c);
}

bool ops_rpc_call_is_cancelled(ops_rpc_call *c)
{
    return c->transport->is_cancelled(c);
}

ops_status ops_rpc_send(ops_rpc_call *c, ops_slice msg)
{
    return c->transport->send(c, msg);
}

void ops_rpc_read(ops_rpc_call *c)
{
    c->transport->read(c);
}

void ops_rpc_reply(ops_rpc_call *c, ops_slice msg)
{
    if (msg.p == NULL)
        msg.p = "";
    if (!atomic_exchange(&c->ended, true))
        c->transport->finish(c, 0, "", (ops_slice){0}, msg);
}

void rpc_call_refuse(ops_rpc_call *c, ops_status st, const char *message, const ops_rpc_details *details)
{
    ops_strbuf b;
    int code = ops_status_grpc_code(st);
    char text[RPC_MESSAGE_TEXT_MAX];
    (void)snprintf(text, sizeof text, "%s", message != NULL ? message : "");
    ops_strbuf_init(&b, RPC_DETAILS_BYTES_MAX);
    if (details != NULL && code != 0)
        ops_rpc_status_put(code, ops_slice_str(text), details, &b);
    c->transport->finish(c, code, text, b.failed ? (ops_slice){0} : ops_strbuf_get(&b), (ops_slice){0});
    ops_strbuf_done(&b);
}

void ops_rpc_finish(ops_rpc_call *c, ops_status st, const char *message, const ops_rpc_details *details)
{
    if (!atomic_exchange(&c->ended, true))
        rpc_call_refuse(c, st, message, details);
}
