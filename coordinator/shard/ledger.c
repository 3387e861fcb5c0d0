#include "coordinator/shard/ledger.h"

#include <stdatomic.h>

#include "base/mem/alloc.h"

static const double ack_seconds[] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

static const ops_metric_desc rows[OPS_LEDGER_ROWS] = {
    [OPS_LEDGER_RECORDS] = {"opsd_records_total", "Log records by what became of them.", OPS_METRIC_COUNTER,
                            .labels = {"tenant", "fate"}, .series_max = 64 * OPS_FATE_COUNT},
    [OPS_LEDGER_SAMPLES] = {"opsd_samples_total", "Samples of metrics by what became of them.",
                            OPS_METRIC_COUNTER, .labels = {"tenant", "fate"},
                            .series_max = 64 * OPS_FATE_COUNT},
    [OPS_LEDGER_REFUSALS] = {"opsd_samples_refused_total", "Samples that could not be kept, by reason.",
                             OPS_METRIC_COUNTER, .labels = {"tenant", "reason"}, .series_max = 1024},
    [OPS_LEDGER_JUDGED] = {"opsd_samples_judged_total",
                           "Samples that reached their series, by what became of them.", OPS_METRIC_COUNTER,
                           .labels = {"result"}},
    [OPS_LEDGER_REQUESTS] = {"opsd_ingest_requests_total", "Requests and batches by door and status.",
                             OPS_METRIC_COUNTER, .labels = {"door", "code"}, .series_max = 256},
    [OPS_LEDGER_ACK] = {"opsd_ingest_ack_seconds", "Time from a whole request to its answer.",
                        OPS_METRIC_HISTOGRAM, .labels = {"door"}, .bounds = ack_seconds,
                        .bound_count = sizeof ack_seconds / sizeof *ack_seconds},
    [OPS_LEDGER_REDACTIONS] = {"opsd_redactions_total", "Secrets and personal data taken out, by kind.",
                               OPS_METRIC_COUNTER, .labels = {"kind"}},
    [OPS_LEDGER_FLAGS] = {"opsd_records_flagged_total", "Records kept with a flaw.", OPS_METRIC_COUNTER,
                          .labels = {"flaw"}},
    [OPS_LEDGER_SIGNALS] = {"opsd_signals_total", "Metric points and spans kept.", OPS_METRIC_COUNTER,
                            .labels = {"signal"}},
    [OPS_LEDGER_DEAD] = {"opsd_deadletters_total", "What could not be kept, by reason.", OPS_METRIC_COUNTER,
                         .labels = {"reason"}},
    [OPS_LEDGER_CANDIDATES] = {"opsd_candidates_total", "What detectors noticed, by kind.",
                               OPS_METRIC_COUNTER, .labels = {"kind"}},
    [OPS_LEDGER_FINDINGS] = {"opsd_findings_total", "Changes of findings.", OPS_METRIC_COUNTER,
                             .labels = {"change"}},
    [OPS_LEDGER_COMMITS] = {"opsd_state_commits_total", "Partition states written, by result.",
                            OPS_METRIC_COUNTER, .labels = {"result"}},
};

struct ops_ledger {
    ops_metrics *metrics;
    _Atomic uint64_t totals[OPS_FATE_COUNT], samples[OPS_FATE_COUNT];
};

const char *ops_fate_name(ops_fate fate)
{
    static const char *const names[OPS_FATE_COUNT] = {"received", "acked", "refused", "rejected", "analysed"};
    return fate < OPS_FATE_COUNT ? names[fate] : "unknown";
}

ops_status ops_ledger_new(ops_ledger **ret, ops_err *reterr)
{
    OPS_AUTO(ops_ledger_free) ops_ledger *l = ops_calloc(1, sizeof *l);
    if (l == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "ledger");
    ops_status st = ops_metrics_new(rows, OPS_LEDGER_ROWS, &l->metrics, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(l);
    return st;
}

void ops_ledger_free(ops_ledger *l)
{
    if (l == NULL)
        return;
    ops_metrics_free(l->metrics);
    ops_free(l);
}

void ops_ledger_records(ops_ledger *l, ops_slice tenant, ops_fate fate, uint64_t n)
{
    if (n == 0)
        return;
    const ops_slice labels[2] = {tenant, ops_slice_str(ops_fate_name(fate))};
    ops_metric_add(ops_metric_at_n(l->metrics, OPS_LEDGER_RECORDS, labels, 2), n);
    atomic_fetch_add(&l->totals[fate], n);
}

void ops_ledger_samples(ops_ledger *l, ops_slice tenant, ops_fate fate, uint64_t n)
{
    if (n == 0)
        return;
    const ops_slice labels[2] = {tenant, ops_slice_str(ops_fate_name(fate))};
    ops_metric_add(ops_metric_at_n(l->metrics, OPS_LEDGER_SAMPLES, labels, 2), n);
    atomic_fetch_add(&l->samples[fate], n);
}

void ops_ledger_refusals(ops_ledger *l, ops_slice tenant, const char *reason, uint64_t n)
{
    const ops_slice labels[2] = {tenant, ops_slice_str(reason)};
    if (n > 0)
        ops_metric_add(ops_metric_at_n(l->metrics, OPS_LEDGER_REFUSALS, labels, 2), n);
}

uint64_t ops_ledger_samples_total(ops_ledger *l, ops_fate fate)
{
    return atomic_load(&l->samples[fate]);
}

void ops_ledger_request(ops_ledger *l, const char *door, ops_status st, double seconds)
{
    const ops_slice labels[2] = {ops_slice_str(door), ops_slice_str(ops_status_name(st))};
    ops_metric_add(ops_metric_at_n(l->metrics, OPS_LEDGER_REQUESTS, labels, 2), 1);
    ops_metric_observe(ops_metric_at(l->metrics, OPS_LEDGER_ACK, door), seconds);
}

void ops_ledger_redactions(ops_ledger *l, const uint32_t counts[OPS_REDACT_KIND_COUNT])
{
    for (unsigned k = 0; k < OPS_REDACT_KIND_COUNT; k++)
        if (counts[k] > 0)
            ops_ledger_count(l, OPS_LEDGER_REDACTIONS, ops_redact_kind_name((ops_redact_kind)k), counts[k]);
}

void ops_ledger_count(ops_ledger *l, ops_ledger_row row, const char *label, uint64_t n)
{
    if (n > 0)
        ops_metric_add(ops_metric_at(l->metrics, row, label), n);
}

uint64_t ops_ledger_total(ops_ledger *l, ops_fate fate)
{
    return atomic_load(&l->totals[fate]);
}

void ops_ledger_text(ops_ledger *l, ops_strbuf *out)
{
    ops_metrics_text(l->metrics, out);
}
