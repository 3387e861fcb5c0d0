/* OTLP JSON requests, from any bytes. */
#include <stdlib.h>

#include "base/text/utf8.h"
#include "coordinator/ingest/otlp_logs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ops_status keep(void *u, const ops_record *r, ops_err *reterr)
{
    (void)u;
    (void)reterr;
    if (!ops_utf8_valid(r->message) || !ops_utf8_valid(r->service))
        abort();
    return OPS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_ingest_limits limits;
    ops_ingest_counters c = {0};
    ops_err err;

    ops_ingest_limits_default(&limits);
    if (ops_otlp_logs_decode_json(data, size, &limits, 1764000000000000000, keep, NULL, NULL, &c, &err) ==
            OPS_OK &&
        c.received != c.accepted + c.rejected)
        abort();
    return 0;
}
