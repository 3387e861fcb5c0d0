/* The gRPC doors: OTLP on one port, ops.v1 with health and reflection on another. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/listen/holder.h"
#include "opsd/daemon.h"
#include "proto/ops/v1/protoset.h"

static ops_status authenticate(void *u, ops_slice token, int role, ops_rpc_identity *ret, ops_err *reterr)
{
    opsd_daemon *d = u;
    ops_identity who;
    ops_status st = ops_access_require(d->access, token, (ops_role)role, &who, reterr);
    if (st != OPS_OK)
        return st;
    _Static_assert(sizeof ret->name == sizeof who.name && sizeof ret->tenant == sizeof who.tenant,
                   "one limit");
    memcpy(ret->name, who.name, sizeof ret->name);
    memcpy(ret->tenant, who.tenant, sizeof ret->tenant);
    ret->role = (int)who.role;
    return OPS_OK;
}

static ops_status open_server(opsd_daemon *d, size_t key, size_t message_max, unsigned calls_max,
                              ops_slice protoset, ops_rpc_server **ret, ops_err *reterr)
{
    const char *address = ops_conf_str(d->conf, key), *colon = strrchr(address, ':');
    const ops_rpc_tls tls = {.cert = d->tls.cert, .key = d->tls.key, .client_ca = d->tls.ca};
    const ops_rpc_server_conf sc = {.address = address,
                                    .threads = (unsigned)ops_conf_uint(d->conf, KEY_RPC_THREADS),
                                    .message_bytes_max = message_max,
                                    .calls_max = calls_max,
                                    .tls = d->tls.cert != NULL ? &tls : NULL,
                                    .authenticate = authenticate,
                                    .authenticate_u = d,
                                    .protoset = protoset};
    ops_status st = ops_rpc_server_new(&sc, ret, reterr);
    if (st != OPS_EEXIST || colon == NULL)
        return st;
    return ops_port_in_use(address, (uint16_t)strtoul(colon + 1, NULL, 10), reterr);
}

/* What the answer of an export needs. */
typedef struct exporting {
    ops_otlp_done done;
    void *du;
} exporting;

static void on_answer(void *u, const ops_intake_answer *a)
{
    exporting *e = u;
    e->done(e->du, a->st, a->retry_ms, a->rejected, a->message);
    ops_free(e);
}

static void export_signal(void *u, ops_otlp_signal signal, ops_slice tenant, ops_slice body,
                          ops_otlp_done done, void *du)
{
    static const ops_intake_kind kinds[] = {[OPS_OTLP_LOGS] = OPS_INTAKE_LOGS_PROTOBUF,
                                            [OPS_OTLP_METRICS] = OPS_INTAKE_METRICS_PROTOBUF,
                                            [OPS_OTLP_TRACES] = OPS_INTAKE_TRACES_PROTOBUF};
    opsd_daemon *d = u;
    ops_err err = {.msg = "out of memory"};
    exporting *e = ops_malloc(sizeof *e);
    ops_status st = OPS_ENOMEM;
    if (e != NULL) {
        *e = (exporting){done, du};
        st = ops_intake_request(d->intake, tenant, "otlp-grpc", kinds[signal], body, on_answer, e, &err);
    }
    if (st != OPS_OK) {
        ops_free(e);
        done(du, st, ops_status_retriable(st) ? 1000 : 0, 0, err.msg);
    }
}

ops_status opsd_door_otlp_rpc(opsd_daemon *d, ops_err *reterr)
{
    const ops_otlp_port port = {.u = d, .export_signal = export_signal, .role = OPS_ROLE_INGEST};
    if (opsd_is_off(ops_conf_str(d->conf, KEY_OTLP_GRPC)))
        return OPS_OK;
    ops_status st = open_server(d, KEY_OTLP_GRPC, ops_conf_uint(d->conf, KEY_INGEST_REQUEST_MAX), 4096,
                                ops_v1_protoset(), &d->otlp_rpc, reterr);
    return st == OPS_OK ? ops_otlp_service_new(&port, d->otlp_rpc, &d->otlp_service, reterr) : st;
}

ops_status opsd_door_api(opsd_daemon *d, ops_err *reterr)
{
    ops_api_ports ports;
    opsd_api_ports(d, &ports);
    if (opsd_is_off(ops_conf_str(d->conf, KEY_API)))
        return OPS_OK;
    const ops_api_conf ac = {.ports = &ports,
                             .role_view = OPS_ROLE_VIEWER,
                             .role_operate = OPS_ROLE_OPERATOR,
                             .role_admin = OPS_ROLE_ADMIN};
    ops_status st = open_server(d, KEY_API, 4 << 20, 1024, ops_v1_protoset(), &d->api_rpc, reterr);
    if (st == OPS_OK)
        st = ops_api_new(&ac, &d->api, reterr);
    if (st == OPS_OK)
        st = ops_api_register(d->api, d->api_rpc, reterr);
    if (st == OPS_OK)
        st = ops_model_service_add(d->api_rpc, d->dispatch, OPS_ROLE_VIEWER, OPS_ROLE_OPERATOR,
                                   &d->model_service, reterr);
    return st == OPS_OK
               ? ops_attach_rpc_add(d->api_rpc, d->dispatch, "opsd", OPS_ROLE_OPERATOR, &d->attach, reterr)
               : st;
}

/* Every service of a server, and the server itself. */
void opsd_rpc_serving(opsd_daemon *d, bool serving)
{
    static const char *const otlp[] = {"", "opentelemetry.proto.collector.logs.v1.LogsService",
                                       "opentelemetry.proto.collector.metrics.v1.MetricsService",
                                       "opentelemetry.proto.collector.trace.v1.TraceService"};
    static const char *const api[] = {"",
                                      "ops.v1.FindingService",
                                      "ops.v1.ClusterService",
                                      "ops.v1.SilenceService",
                                      "ops.v1.IncidentService",
                                      "ops.v1.WorkerService",
                                      "ops.v1.ModelService"};
    for (size_t i = 0; d->otlp_rpc != NULL && i < sizeof otlp / sizeof *otlp; i++)
        ops_rpc_server_set_serving(d->otlp_rpc, otlp[i], serving);
    for (size_t i = 0; d->api_rpc != NULL && i < sizeof api / sizeof *api; i++)
        ops_rpc_server_set_serving(d->api_rpc, api[i], serving);
}
