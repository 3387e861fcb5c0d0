/* OTLP metrics and both versions of remote write from any bytes; the ledger of samples must add up, what comes out must be
 * what samples.h promises, and the stored form must read back. The first byte chooses the format. */
#include <math.h>
#include <stdlib.h>

#include "base/text/utf8.h"
#include "coordinator/ingest/otlp_metrics.h"
#include "coordinator/ingest/remote_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ops_status count(void *u, ops_slice tenant, const ops_series_id *id, const ops_sample *samples,
                        size_t n, ops_err *reterr)
{
    (void)tenant, (void)id, (void)samples, (void)reterr;
    *(size_t *)u += n;
    return OPS_OK;
}

static ops_status keep(void *u, const ops_series_id *id, const ops_sample *samples, size_t n,
                       ops_sample_reason *ret_reason, ops_err *reterr)
{
    ops_sample_writer *w = u;
    size_t back = 0;
    (void)ret_reason;
    if (n == 0 || id->label_count > OPS_SERIES_LABELS_MAX || id->name.n == 0 || !ops_utf8_valid(id->name))
        abort();
    for (uint32_t i = 0; i < id->label_count; i++)
        if (!ops_utf8_valid(id->labels[i].key) || !ops_utf8_valid(id->labels[i].val) ||
            id->labels[i].val.n == 0 ||
            (i > 0 && ops_slice_cmp(id->labels[i - 1].key, id->labels[i].key) >= 0))
            abort();
    for (size_t i = 0; i < n; i++)
        if (!isfinite(samples[i].value))
            abort();
    if (ops_sample_writer_begin(w, OPS_SLICE("t"), 5) != OPS_OK)
        return OPS_ENOMEM;
    if (ops_sample_writer_add(w, id, samples, n) != OPS_OK)
        return OPS_OK;
    if (ops_sample_batch_walk(ops_sample_writer_bytes(w), count, &back, reterr) != OPS_OK || back != n)
        abort();
    return OPS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ops_sample_writer *w;
    ops_ingest_limits limits;
    ops_sample_limits own;
    ops_samples *s = NULL;
    ops_err err;
    size_t back = 0;

    if (size == 0)
        return 0;
    if (w == NULL && (w = ops_sample_writer_new(1 << 20)) == NULL)
        return 0;
    ops_ingest_limits_default(&limits);
    ops_sample_limits_default(&own);
    limits.records_max = 1000;
    limits.past_ns_max = limits.future_ns_max = -1;
    own.value_bytes_max = 64;
    if (ops_samples_new(&limits, &own, 1764000000000000000, keep, w, &s, &err) != OPS_OK)
        return 0;
    const ops_slice body = ops_slice_of(data + 1, size - 1);
    ops_status st = OPS_OK;
    if (data[0] % 4 == 0)
        st = ops_otlp_metrics_decode(body, &limits, s, &err);
    else if (data[0] % 4 < 3)
        st = ops_remote_write_decode(body, data[0] % 4, &limits, s, &err);
    else
        (void)ops_sample_batch_walk(body, count, &back, &err);
    const ops_sample_counters *c = ops_samples_counters(s);
    if (st == OPS_OK && (c->received != c->accepted + c->refused + c->repeated))
        abort();
    ops_samples_free(s);
    return 0;
}
