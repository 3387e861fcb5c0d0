/* grpc.health.v1: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 * HealthCheckRequest { string service = 1 }, HealthCheckResponse { ServingStatus status = 1 }. */
#include "base/mem/alloc.h"
#include "rpc/internal.h"
#include "rpc/wire.h"

enum { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3, WATCHERS_MAX = 256 };

/* Values of the map: a status as a pointer-sized number. */
static int status_of(rpc_table *t, ops_slice service)
{
    return ops_map_has(t->serving, service) ? (int)(intptr_t)ops_map_get(t->serving, service)
                                            : SERVICE_UNKNOWN;
}

static bool parse(ops_slice msg, ops_slice *ret_service)
{
    wire_field f;
    bool bad = false;
    *ret_service = OPS_SLICE("");
    while (wire_next(&msg, &f, &bad))
        if (f.number == 1 && f.type == 2)
            *ret_service = f.bytes;
    return !bad;
}

static ops_slice response(int status, char buf[2])
{
    buf[0] = 1 << 3;
    buf[1] = (char)status;
    return ops_slice_of(buf, 2);
}

static bool on_check(ops_rpc_call *c, ops_slice msg, void *svc)
{
    rpc_table *t = c->table;
    ops_slice service;
    char buf[2];
    (void)svc;
    if (!parse(msg, &service)) {
        ops_rpc_finish(c, OPS_EINVAL, "HealthCheckRequest does not read", NULL);
        return false;
    }
    (void)pthread_mutex_lock(&t->health_lock);
    int status = status_of(t, service);
    (void)pthread_mutex_unlock(&t->health_lock);
    if (status == SERVICE_UNKNOWN)
        ops_rpc_finish(c, OPS_ENOTFOUND, "no such service", NULL);
    else
        ops_rpc_reply(c, response(status, buf));
    return false;
}

typedef struct watcher {
    char *service;
    int told;
} watcher;

static void watcher_free(void *user, void *svc)
{
    watcher *w = user;
    (void)svc;
    ops_free(w->service);
    ops_free(w);
}

/* Under the health lock. */
static void tell(rpc_table *t, ops_rpc_call *c)
{
    watcher *w = ops_rpc_call_user(c);
    char buf[2];
    int status = status_of(t, ops_slice_str(w->service));
    if (status != w->told && ops_rpc_send(c, response(status, buf)) == OPS_OK)
        w->told = status;
}

static void drop_watcher(rpc_table *t, ops_rpc_call *c)
{
    bool found = false;
    (void)pthread_mutex_lock(&t->health_lock);
    for (size_t i = 0; i < t->watchers.n && !found; i++)
        if (t->watchers.v[i] == c) {
            t->watchers.v[i] = t->watchers.v[--t->watchers.n];
            found = true;
        }
    (void)pthread_mutex_unlock(&t->health_lock);
    if (found)
        ops_rpc_call_unref(c);
}

static bool on_watch(ops_rpc_call *c, ops_slice msg, void *svc)
{
    rpc_table *t = c->table;
    ops_slice service;
    watcher *w = ops_calloc(1, sizeof *w);
    (void)svc;
    if (w == NULL || !parse(msg, &service) || (w->service = ops_strndup(service.p, service.n)) == NULL) {
        ops_free(w);
        ops_rpc_finish(c, w == NULL ? OPS_ENOMEM : OPS_EINVAL, "HealthCheckRequest does not read", NULL);
        return false;
    }
    ops_rpc_call_set_user(c, w);
    (void)pthread_mutex_lock(&t->health_lock);
    bool room = t->watchers.n < WATCHERS_MAX && ops_vec_push(&t->watchers, c);
    if (room) {
        (void)ops_rpc_call_ref(c);
        tell(t, c);
    }
    (void)pthread_mutex_unlock(&t->health_lock);
    if (!room)
        ops_rpc_finish(c, OPS_EAGAIN, "too many watch the health", NULL);
    return false;
}

static void on_gone(ops_rpc_call *c, void *svc)
{
    (void)svc;
    drop_watcher(c->table, c);
    ops_rpc_finish(c, OPS_ECANCELLED, "", NULL);
}

static const ops_rpc_method methods[] = {
    {.path = "/grpc.health.v1.Health/Check", .kind = OPS_RPC_UNARY, .open = true, .message = on_check},
    {.path = "/grpc.health.v1.Health/Watch",
     .kind = OPS_RPC_SERVER_STREAM,
     .open = true,
     .message = on_watch,
     .cancelled = on_gone,
     .done = watcher_free},
};

ops_status rpc_health_add(rpc_table *t, ops_err *reterr)
{
    ops_status st = OPS_OK;
    rpc_health_set(t, "", false);
    for (size_t i = 0; st == OPS_OK && i < sizeof methods / sizeof *methods; i++)
        st = rpc_table_add(t, &methods[i], reterr);
    return st;
}

void rpc_health_set(rpc_table *t, const char *service, bool serving)
{
    (void)pthread_mutex_lock(&t->health_lock);
    /* Out of memory: the service stays unknown, which reads as not serving. */
    (void)!ops_map_put(t->serving, ops_slice_str(service),
                       (void *)(intptr_t)(serving ? SERVING : NOT_SERVING), NULL);
    for (size_t i = 0; i < t->watchers.n; i++)
        tell(t, t->watchers.v[i]);
    (void)pthread_mutex_unlock(&t->health_lock);
}

void rpc_health_done(rpc_table *t)
{
    ops_vec_done(&t->watchers);
    ops_map_free(t->serving);
}
