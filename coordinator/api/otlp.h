/* OTLP over gRPC: the three collector services, each with Export, on an rpc server. The bytes go to a port as they came.
 * https://opentelemetry.io/docs/specs/otlp/#otlpgrpc */
#ifndef OPS_API_OTLP_H
#define OPS_API_OTLP_H

#include "coordinator/ingest/otlp_reply.h"
#include "rpc/server.h"

typedef void (*ops_otlp_done)(void *u, ops_status st, uint32_t retry_ms, uint64_t rejected,
                              const char *message);

typedef struct ops_otlp_port {
    void *u;
    /* `body` lives until done, which comes exactly once, on any thread, possibly before this returns. Must not block. */
    void (*export_signal)(void *u, ops_otlp_signal signal, ops_slice tenant, ops_slice body,
                          ops_otlp_done done, void *du);
    int role; /* needed to export */
} ops_otlp_port;

typedef struct ops_otlp_service ops_otlp_service;
OPS_MUST_USE ops_status ops_otlp_service_new(const ops_otlp_port *port, ops_rpc_server *s,
                                             ops_otlp_service **ret, ops_err *reterr);
/* The server must be stopped. */
void ops_otlp_service_free(ops_otlp_service *o);

#endif
