/* coordinator/ingest/otlp_logs_internal.h: what the protobuf and the JSON decoder share: an item to a record. */
#ifndef OPS_COORDINATOR_INGEST_OTLP_LOGS_INTERNAL_H
#define OPS_COORDINATOR_INGEST_OTLP_LOGS_INTERNAL_H

#include "base/mem/arena.h"
#include "coordinator/ingest/otlp_logs.h"
#include "proto/otlp/walk.h"

typedef struct otlp_decode {
    const ops_ingest_limits *limits;
    int64_t recv_ns;
    ops_ingest_sink sink;
    ops_ingest_reject reject;
    void *u;
    ops_ingest_counters counters; /* of this request; added to the caller's at its end */
    uint32_t mark;                /* flags that every record gets */
    ops_slice service;
    const ops_attr *resource_attrs;
    uint32_t resource_count;
    bool resource_cut; /* its attributes are not complete */
    ops_arena arena;   /* cleaned copies of one record */
    ops_attr attrs[OPS_RECORD_ATTRS_MAX];
} otlp_decode;

OPS_MUST_USE ops_status otlp_decode_new(const ops_ingest_limits *limits, int64_t recv_ns,
                                        ops_ingest_sink sink, ops_ingest_reject reject, void *u,
                                        otlp_decode **ret, ops_err *reterr);
void otlp_decode_free(otlp_decode *d);
OPS_AUTO_DEFINE(otlp_decode, otlp_decode_free)

void otlp_resource(otlp_decode *d, const ops_walk_group *resource);
void otlp_reject(otlp_decode *d, ops_ingest_reason reason, const char *detail);
/* `place` names the record in a reject's detail. Counts it as received and as accepted or rejected. */
OPS_MUST_USE ops_status otlp_emit(otlp_decode *d, const ops_walk_log *log, const char *place,
                                  ops_err *reterr);
void otlp_count(const otlp_decode *d, ops_ingest_counters *counters);

#endif
