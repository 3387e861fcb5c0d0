/* Metrics of a request: decoded, held to the tenant's limits, packed. */
#include <inttypes.h>
#include <stdio.h>

#include "coordinator/ingest/otlp_metrics.h"
#include "coordinator/ingest/remote_write.h"
#include "coordinator/shard/intake_internal.h"

bool ops_intake_is_samples(ops_intake_kind kind)
{
    return kind == OPS_INTAKE_METRICS_PROTOBUF || kind == OPS_INTAKE_METRICS_JSON ||
           kind == OPS_INTAKE_REMOTE_WRITE_1 || kind == OPS_INTAKE_REMOTE_WRITE_2 ||
           kind == OPS_INTAKE_SAMPLES;
}

size_t ops_intake_series(ops_intake *in)
{
    return ops_cardinality_count(in->series);
}

typedef struct packing {
    request *q;
    ops_packer *packer;
} packing;

static ops_status on_series(void *u, const ops_series_id *id, const ops_sample *samples, size_t n,
                            ops_sample_reason *ret_reason, ops_err *reterr)
{
    const packing *x = u;
    if (!ops_cardinality_admit(x->q->in->series, ops_slice_str(x->q->tenant), id, x->q->start_mono_ns)) {
        *ret_reason = OPS_SAMPLE_SERIES_LIMIT;
        return OPS_OK;
    }
    return ops_packer_add_samples(x->packer, id, samples, n, ret_reason, reterr);
}

/* Each reason is one dead letter and a part of the answer. But for quantiles of nothing, which healthy programs send all the
 * time: they would leave no room for what is wrong. */
static void tell_refusals(request *q, const ops_samples *s)
{
    const ops_sample_counters *c = ops_samples_counters(s);
    size_t at = 0;
    for (unsigned r = 0; r < OPS_SAMPLE_REASON_COUNT; r++) {
        char text[sizeof q->message];
        if (c->refused_by[r] == 0)
            continue;
        const char *name = ops_sample_reason_name((ops_sample_reason)r);
        (void)snprintf(text, sizeof text, "%s: %" PRIu64 " samples; %s", name, c->refused_by[r],
                       ops_samples_detail(s, (ops_sample_reason)r));
        ops_ledger_refusals(q->in->conf.ledger, ops_slice_str(q->tenant), name, c->refused_by[r]);
        if (r != OPS_SAMPLE_NOT_A_NUMBER)
            ops_request_dead_letter(q, name, ops_slice_str(text));
        if (at < sizeof q->message - 1) {
            const int n = snprintf(q->message + at, sizeof q->message - at, "%s%s", at > 0 ? ". " : "", text);
            at += n > 0 ? (size_t)n : 0;
        }
    }
}

static ops_status decode(request *q, ops_samples *s, ops_err *reterr)
{
    const ops_ingest_limits *limits = &q->in->conf.limits;
    if (q->kind == OPS_INTAKE_REMOTE_WRITE_1 || q->kind == OPS_INTAKE_REMOTE_WRITE_2)
        return ops_remote_write_decode(q->body, q->kind == OPS_INTAKE_REMOTE_WRITE_1 ? 1 : 2, limits, s,
                                       reterr);
    return q->kind == OPS_INTAKE_SAMPLES ? q->fill(q->fill_u, s, reterr)
                                         : ops_otlp_metrics_decode(q->body, limits, s, reterr);
}

ops_status ops_request_decode_samples(request *q, ops_packer *p, ops_err *reterr)
{
    OPS_AUTO(ops_samples_free) ops_samples *s = NULL;
    packing x = {q, p};
    ops_status st = ops_samples_new(&q->in->conf.limits, &q->in->conf.sample_limits, q->recv_ns, on_series,
                                    &x, &s, reterr);
    if (st == OPS_OK)
        st = decode(q, s, reterr);
    if (st != OPS_OK)
        return st;
    q->samples = *ops_samples_counters(s);
    q->accepted = q->samples.accepted + q->samples.repeated;
    q->rejected = q->samples.refused;
    ops_ledger_count(q->in->conf.ledger, OPS_LEDGER_SIGNALS, "metric_points", q->samples.points);
    tell_refusals(q, s);
    return OPS_OK;
}

ops_status ops_intake_samples(ops_intake *in, ops_slice tenant, const char *door, ops_intake_fill fill,
                              void *fill_u, ops_intake_done done, void *u, ops_err *reterr)
{
    ops_err err = {0};
    request *q = ops_request_new(in, tenant, door, done, u, &err);
    if (q == NULL) {
        if (reterr != NULL)
            *reterr = err;
        return err.code;
    }
    q->kind = OPS_INTAKE_SAMPLES;
    q->is_samples = true;
    q->fill = fill;
    q->fill_u = fill_u;
    ops_request_run(q, ops_request_decode_samples, false);
    return OPS_OK;
}
