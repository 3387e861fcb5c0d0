/* OTLP protobuf requests of all three signals, from any bytes; the ledger of records must add up. */
#include <stdlib.h>

#include "coordinator/ingest/otlp_logs.h"
#include "proto/otlp/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink_sum;

static ops_status keep(void *u, const ops_record *r, ops_err *reterr)
{
    uint64_t sum = r->severity;
    (void)u;
    (void)reterr;
    for (size_t i = 0; i < r->message.n; i++)
        sum += (unsigned char)r->message.p[i];
    for (uint32_t a = 0; a < r->attr_count; a++) {
        for (size_t i = 0; i < r->attrs[a].val.n; i++)
            sum += (unsigned char)r->attrs[a].val.p[i];
    }
    sink_sum += sum;
    return OPS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_ingest_limits limits;
    ops_walk_limits walk_limits;
    ops_ingest_counters c = {0};
    ops_walk *w;
    ops_err err;

    ops_ingest_limits_default(&limits);
    limits.render_bytes_max = 512;
    limits.line_bytes_max = 256;
    if (ops_otlp_logs_decode(data, size, &limits, 1764000000000000000, keep, NULL, NULL, &c, &err) ==
            OPS_OK &&
        c.received != c.accepted + c.rejected)
        abort();
    ops_walk_limits_default(&walk_limits);
    if (ops_walk_new(&walk_limits, &w, &err) == OPS_OK) {
        (void)ops_walk_metrics(w, ops_slice_of(data, size), NULL, NULL, &err);
        (void)ops_walk_traces(w, ops_slice_of(data, size), NULL, NULL, &err);
        ops_walk_free(w);
    }
    return 0;
}
