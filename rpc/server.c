/* What a server does whatever its transport. */
#include "rpc/internal.h"

ops_status ops_rpc_server_add(ops_rpc_server *s, const ops_rpc_method *methods, size_t count, ops_err *reterr)
{
    ops_status st = s->started ? ops_fail(reterr, OPS_EINVAL, "rpc server: started already") : OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < count; i++)
        st = rpc_table_add(&s->table, &methods[i], reterr);
    return st;
}

ops_status ops_rpc_server_start(ops_rpc_server *s, ops_err *reterr)
{
    s->started = true;
    return s->ops->start(s, reterr);
}

uint16_t ops_rpc_server_port(const ops_rpc_server *s)
{
    return s->port;
}

void ops_rpc_server_stop(ops_rpc_server *s, unsigned grace_ms)
{
    if (!s->started || s->stopped)
        return;
    s->stopped = true;
    atomic_store(&s->stopping, true);
    s->ops->stop(s, grace_ms);
}

void ops_rpc_server_free(ops_rpc_server *s)
{
    if (s == NULL)
        return;
    ops_rpc_server_stop(s, 0);
    s->ops->free(s);
}

ops_status ops_rpc_server_reload_tls(ops_rpc_server *s, const ops_rpc_tls *tls, ops_err *reterr)
{
    return s->ops->reload_tls(s, tls, reterr);
}

void ops_rpc_server_set_serving(ops_rpc_server *s, const char *service, bool serving)
{
    rpc_health_set(&s->table, service, serving);
}

unsigned ops_rpc_server_calls(ops_rpc_server *s)
{
    return atomic_load(&s->table.calls);
}
