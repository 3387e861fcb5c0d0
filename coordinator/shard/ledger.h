/* What the coordinator counts: the two ledgers of records per tenant, requests per door, redactions, findings.
 *
 *   received = acked + refused + rejected (+ in flight)      acked = analysed + behind
 *
 * Counters start at 0 with the process. @thread any */
#ifndef OPS_SHARD_LEDGER_H
#define OPS_SHARD_LEDGER_H

#include "base/metric/metric.h"
#include "coordinator/redact/redact.h"

typedef enum ops_fate {
    OPS_FATE_RECEIVED, /* in a request that could be read */
    OPS_FATE_ACKED,    /* durable, and the client was told so */
    OPS_FATE_REFUSED,  /* not now: the client was told to come again */
    OPS_FATE_REJECTED, /* can not be kept: a dead letter, and partial success to the client */
    OPS_FATE_ANALYSED,
    OPS_FATE_COUNT
} ops_fate;
const char *ops_fate_name(ops_fate fate);

typedef enum ops_ledger_row {
    OPS_LEDGER_RECORDS,    /* tenant, fate */
    OPS_LEDGER_REQUESTS,   /* door, code: status name */
    OPS_LEDGER_ACK,        /* seconds from a whole request to its answer, per door */
    OPS_LEDGER_REDACTIONS, /* kind */
    OPS_LEDGER_FLAGS,      /* records kept with a flaw, by flaw */
    OPS_LEDGER_SAMPLES,    /* tenant, fate */
    OPS_LEDGER_REFUSALS,   /* samples that can not be kept: tenant, reason */
    OPS_LEDGER_JUDGED,     /* samples at the partition's owner, by what became of them there */
    OPS_LEDGER_SIGNALS,    /* metrics points and spans kept */
    OPS_LEDGER_DEAD,       /* dead letters by reason */
    OPS_LEDGER_CANDIDATES, /* kind */
    OPS_LEDGER_FINDINGS,   /* change */
    OPS_LEDGER_COMMITS,    /* partition state written */
    OPS_LEDGER_ROWS
} ops_ledger_row;

typedef struct ops_ledger ops_ledger;
OPS_MUST_USE ops_status ops_ledger_new(ops_ledger **ret, ops_err *reterr);
void ops_ledger_free(ops_ledger *l);
OPS_AUTO_DEFINE(ops_ledger, ops_ledger_free)

void ops_ledger_records(ops_ledger *l, ops_slice tenant, ops_fate fate, uint64_t n);
/* The same two ledgers for samples of metrics. */
void ops_ledger_samples(ops_ledger *l, ops_slice tenant, ops_fate fate, uint64_t n);
void ops_ledger_refusals(ops_ledger *l, ops_slice tenant, const char *reason, uint64_t n);
uint64_t ops_ledger_samples_total(ops_ledger *l, ops_fate fate);
void ops_ledger_request(ops_ledger *l, const char *door, ops_status st, double seconds);
void ops_ledger_redactions(ops_ledger *l, const uint32_t counts[OPS_REDACT_KIND_COUNT]);
/* Any row with one label. */
void ops_ledger_count(ops_ledger *l, ops_ledger_row row, const char *label, uint64_t n);

/* Sums over all tenants. */
uint64_t ops_ledger_total(ops_ledger *l, ops_fate fate);
/* Prometheus text. */
void ops_ledger_text(ops_ledger *l, ops_strbuf *out);

#endif
