/* Trace exports, once as protobuf and once as JSON. Whatever the JSON form is written over to must read as protobuf;
 * records of failed spans must be UTF-8 and add up, calls go from one service to another. */
#include <stdlib.h>

#include "base/text/utf8.h"
#include "coordinator/ingest/otlp_calls.h"
#include "coordinator/ingest/otlp_signals_json.h"
#include "coordinator/ingest/otlp_spans.h"
#include "proto/otlp/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ops_status keep(void *u, const ops_record *r, ops_err *reterr)
{
    (void)u;
    (void)reterr;
    if (!ops_utf8_valid(r->message) || r->message.n == 0 || !ops_utf8_valid(r->service))
        abort();
    return OPS_OK;
}

static void on_call(void *u, ops_slice caller, ops_slice callee)
{
    (void)u;
    if (caller.n == 0 || callee.n == 0 || ops_slice_eq(caller, callee))
        abort();
}

static void records_of(ops_slice request, const ops_ingest_limits *limits, bool must)
{
    ops_ingest_counters c = {0};
    ops_err err;
    const ops_status st = ops_otlp_failed_spans((const uint8_t *)request.p, request.n, limits,
                                                1764000000000000000, keep, NULL, NULL, &c, &err);
    if (must && st == OPS_EINVAL)
        abort();
    const ops_status calls =
        ops_otlp_calls((const uint8_t *)request.p, request.n, limits, on_call, NULL, &err);
    if (must && calls == OPS_EINVAL)
        abort();
    if (st == OPS_OK && (c.received != c.accepted || c.rejected != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_ingest_limits limits;
    ops_err err;
    ops_walk *w = NULL;
    ops_walk_limits walk_limits;

    ops_ingest_limits_default(&limits);
    limits.render_bytes_max = 512;
    limits.request_bytes_max = 1 << 16;
    records_of(ops_slice_of(data, size), &limits, false);
    ops_walk_limits_default(&walk_limits);
    if (ops_walk_new(&walk_limits, &w, NULL) != OPS_OK)
        return 0;
    for (int traces = 0; traces < 2; traces++) {
        ops_strbuf b;
        ops_strbuf_init(&b, limits.request_bytes_max);
        if (ops_otlp_signals_from_json(traces ? OPS_OTLP_JSON_TRACES : OPS_OTLP_JSON_METRICS, data, size,
                                       &limits, &b, &err) == OPS_OK) {
            const ops_slice request = ops_strbuf_get(&b);
            if ((traces ? ops_walk_traces(w, request, NULL, NULL, &err)
                        : ops_walk_metrics(w, request, NULL, NULL, &err)) != OPS_OK)
                abort();
            if (traces)
                records_of(request, &limits, true);
        }
        ops_strbuf_done(&b);
    }
    ops_walk_free(w);
    return 0;
}
