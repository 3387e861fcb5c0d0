#include "coordinator/api/otlp.h"

#include "base/mem/alloc.h"

enum { SIGNALS = 3, REPLY_BYTES_MAX = 8192 };

struct ops_otlp_service {
    ops_otlp_port port;
    ops_rpc_method methods[SIGNALS];
};

static void on_done(void *u, ops_status st, uint32_t retry_ms, uint64_t rejected, const char *message)
{
    ops_rpc_call *c = u;
    if (st != OPS_OK) {
        const ops_rpc_details d = {.retry_ms = retry_ms, .domain = "opsd"};
        /* No room on the disk is a passing state: the specification asks for RESOURCE_EXHAUSTED with RetryInfo. */
        ops_rpc_finish(c, st == OPS_ENOSPC ? OPS_EAGAIN : st, message, &d);
        return;
    }
    ops_strbuf b;
    ops_strbuf_init(&b, REPLY_BYTES_MAX);
    ops_otlp_reply(rejected, ops_slice_str(message), &b);
    ops_rpc_reply(c, ops_strbuf_get(&b));
    ops_strbuf_done(&b);
}

static bool on_export(ops_rpc_call *c, ops_slice msg, void *svc, ops_otlp_signal signal)
{
    const ops_otlp_service *o = svc;
    o->port.export_signal(o->port.u, signal, ops_slice_str(ops_rpc_call_identity(c)->tenant), msg, on_done,
                          c);
    return false;
}

static bool on_logs(ops_rpc_call *c, ops_slice msg, void *svc)
{
    return on_export(c, msg, svc, OPS_OTLP_LOGS);
}

static bool on_metrics(ops_rpc_call *c, ops_slice msg, void *svc)
{
    return on_export(c, msg, svc, OPS_OTLP_METRICS);
}

static bool on_traces(ops_rpc_call *c, ops_slice msg, void *svc)
{
    return on_export(c, msg, svc, OPS_OTLP_TRACES);
}

ops_status ops_otlp_service_new(const ops_otlp_port *port, ops_rpc_server *s, ops_otlp_service **ret,
                                ops_err *reterr)
{
    ops_otlp_service *o = ops_calloc(1, sizeof *o);
    if (o == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "OTLP service");
    o->port = *port;
    const ops_rpc_method rows[SIGNALS] = {
        {.path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export", .message = on_logs},
        {.path = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", .message = on_metrics},
        {.path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export", .message = on_traces},
    };
    for (int i = 0; i < SIGNALS; i++) {
        o->methods[i] = rows[i];
        o->methods[i].kind = OPS_RPC_UNARY;
        o->methods[i].role = port->role;
        o->methods[i].svc = o;
    }
    ops_status st = ops_rpc_server_add(s, o->methods, SIGNALS, reterr);
    if (st == OPS_OK)
        *ret = o;
    else
        ops_free(o);
    return st;
}

void ops_otlp_service_free(ops_otlp_service *o)
{
    ops_free(o);
}
