/* Journal exports from any bytes; the ledger of entries must add up and all text be UTF-8. */
#include <stdlib.h>

#include "base/text/utf8.h"
#include "coordinator/ingest/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ops_status keep(void *u, const ops_record *r, ops_err *reterr)
{
    (void)u;
    (void)reterr;
    if (!ops_utf8_valid(r->message) || !ops_utf8_valid(r->service))
        abort();
    for (uint32_t i = 0; i < r->attr_count; i++) {
        if (!ops_utf8_valid(r->attrs[i].key) || !ops_utf8_valid(r->attrs[i].val))
            abort();
    }
    return OPS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_ingest_limits limits;
    ops_err err;

    ops_ingest_limits_default(&limits);
    limits.line_bytes_max = 64;
    limits.render_bytes_max = 512;
    limits.request_bytes_max = 1 << 16;
    limits.records_max = 100;
    ops_ingest_counters c = {0};
    if (ops_journal_decode(data, size, &limits, 1764000000000000000, keep, NULL, NULL, &c, &err) == OPS_OK &&
        (c.received != c.accepted + c.rejected || c.received > limits.records_max))
        abort();
    return 0;
}
