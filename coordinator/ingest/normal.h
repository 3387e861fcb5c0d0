/* coordinator/ingest/normal.h: the rules every door shares: limits, event time, severity, service name. */
#ifndef OPS_COORDINATOR_INGEST_NORMAL_H
#define OPS_COORDINATOR_INGEST_NORMAL_H

#include "base/text/slice.h"
#include "proto/codec/record.h"

#include <stddef.h>
#include <stdint.h>

typedef struct ops_ingest_limits {
    size_t request_bytes_max; /* after decompression; default 64 MiB */
    uint64_t records_max;     /* in one request; default 1,000,000 */
    uint32_t depth_max;       /* nesting of values; default 32 */
    uint32_t attrs_max;       /* resource and record attributes together, each; default 128 */
    size_t render_bytes_max;  /* rendered values of a record; default 64 KiB */
    size_t line_bytes_max;    /* longer messages are cut there and flagged; default 256 KiB */
    int64_t past_ns_max;   /* clamp of event time before receive time; default 24 h; negative: never clamp */
    int64_t future_ns_max; /* clamp after receive time; default 10 min; negative: never clamp */
} ops_ingest_limits;
void ops_ingest_limits_default(ops_ingest_limits *ret);

typedef enum ops_ingest_reason {
    OPS_INGEST_REASON_DEPTH,
    OPS_INGEST_REASON_ATTRS,
    OPS_INGEST_REASON_RENDER,
    OPS_INGEST_REASON_EMPTY, /* no body, no event name and no attributes: nothing to analyse */
    OPS_INGEST_REASON_FIELD, /* a JSON field of the wrong type or out of range */
    OPS_INGEST_REASON_COUNT
} ops_ingest_reason;
const char *ops_ingest_reason_text(ops_ingest_reason reason);

typedef struct ops_ingest_counters {
    uint64_t received; /* = accepted + rejected */
    uint64_t accepted;
    uint64_t rejected;
    uint64_t rejected_by[OPS_INGEST_REASON_COUNT];
    uint64_t clamped, no_time, bad_utf8, truncated; /* among the accepted */
} ops_ingest_counters;

/* Takes one record; its slices die when the call returns. Not OPS_OK: decoding stops with that status. */
typedef ops_status (*ops_ingest_sink)(void *u, const ops_record *record, ops_err *reterr);
/* Tells of one record that was not kept; `detail` names the place. */
typedef void (*ops_ingest_reject)(void *u, ops_ingest_reason reason, const char *detail);

/* The shape of every decoder of log requests. `counters` is added to, never cleared, and left as it was on failure;
 * `reject` may be NULL. */
typedef ops_status (*ops_ingest_decoder)(const uint8_t *p, size_t n, const ops_ingest_limits *limits,
                                         int64_t recv_ns, ops_ingest_sink sink, ops_ingest_reject reject,
                                         void *u, ops_ingest_counters *counters, ops_err *reterr);

/* The time rule: event time, else observed time, else receive time (NO_TIME); then clamped into
 * [recv - past_ns_max, recv + future_ns_max] (TIME_CLAMPED). 0 means absent. Sets flags in *flags. */
int64_t ops_ingest_time(const ops_ingest_limits *limits, uint64_t event_ns, uint64_t observed_ns,
                        int64_t recv_ns, uint32_t *flags);

/* Severity word (`error`, `WARN`, `I`, `emerg`, `notice`, `E0102` is not one) to the OTel number 1..24, 0 unknown. */
uint8_t ops_ingest_severity(ops_slice word);
/* Syslog severity 0..7 to the OTel number, by the table of the OTel logs data model appendix. */
uint8_t ops_ingest_severity_syslog(unsigned sev);

/* service.name, else k8s.deployment.name, k8s.container.name, host.name, else `unknown_service`. An empty value
 * counts as absent. */
ops_slice ops_ingest_service(const ops_attr *attrs, size_t count);

#endif
