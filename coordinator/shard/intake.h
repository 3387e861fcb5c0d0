/* From a door to the stream log: decode, redact, route, pack, append; the answer when everything is durable.
 *
 * A request is kept whole or refused whole: its entries go into the log together. Records that can not be kept are told as
 * dead letters and counted in the answer (partial success). A client that sends the same bytes again, because the answer
 * was lost, doubles nothing: entries carry the hash of the request as their dedupe key, unless a record in it has no
 * time of its own (then two equal requests may well be two events).
 *
 * A record without severity whose body is text is looked at as a raw log line: what collectors send that tail files.
 *
 * Metrics become series with samples (coordinator/ingest/samples.h), within the tenant's series_max; the samples that are
 * refused are counted by reason, and each reason of a request (but no number) is one dead letter. Traces are kept as they came. With failed_spans each span that failed is also a record of its service
 * (coordinator/ingest/otlp_spans.h): counted, stored and analysed as any other, in the same append as its trace.
 *
 * @thread any; see each call for who calls `done` */
#ifndef OPS_SHARD_INTAKE_H
#define OPS_SHARD_INTAKE_H

#include "base/time/clock.h"
#include "coordinator/ingest/normal.h"
#include "coordinator/ingest/samples.h"
#include "coordinator/redact/redact.h"
#include "coordinator/shard/deadletter.h"
#include "coordinator/shard/ledger.h"
#include "storage/streamlog/streamlog.h"

typedef struct ops_intake ops_intake;

typedef struct ops_intake_conf {
    ops_streamlog *log; /* this and the next ones are borrowed */
    ops_ledger *ledger;
    ops_deadletters *dead;
    ops_clock *clock;       /* NULL: the system's */
    ops_redactor *redactor; /* a reference is taken; NULL: nothing is redacted */
    ops_ingest_limits limits;
    uint32_t partitions;
    unsigned threads;        /* 1..64; default 2 */
    size_t queue_max;        /* requests waiting for a thread; default 256; beyond: OPS_EAGAIN */
    size_t inline_bytes_max; /* bodies up to this are decoded on the caller's thread; default 1 MiB */
    bool failed_spans;       /* failed spans become records too */
    /* Who calls whom, learnt from some of the requests of traces (four a second at most). NULL: nobody asks. Must not block.
     * @thread any */
    void (*on_call)(void *u, ops_slice tenant, ops_slice caller, ops_slice callee);
    void *u;
    int32_t zone_offset_s;           /* for raw lines without a zone */
    size_t series_max;               /* of a tenant, those of the last one to two hours; default 20,000 */
    ops_sample_limits sample_limits; /* labels_max 0: the defaults */
} ops_intake_conf;

typedef enum ops_intake_kind {
    OPS_INTAKE_LOGS_PROTOBUF,
    OPS_INTAKE_LOGS_JSON,
    OPS_INTAKE_LOKI_JSON,
    OPS_INTAKE_LOKI_PROTOBUF,
    OPS_INTAKE_LOKI_SNAPPY, /* the protobuf inside one snappy block */
    OPS_INTAKE_JOURNAL,     /* systemd's export format */
    OPS_INTAKE_METRICS_PROTOBUF,
    OPS_INTAKE_METRICS_JSON,
    OPS_INTAKE_REMOTE_WRITE_1, /* out of its snappy block */
    OPS_INTAKE_REMOTE_WRITE_2,
    OPS_INTAKE_SAMPLES, /* of ops_intake_samples() */
    OPS_INTAKE_TRACES_PROTOBUF,
    OPS_INTAKE_TRACES_JSON
} ops_intake_kind;

typedef struct ops_intake_answer {
    ops_status st; /* OPS_OK: durable, all but the rejected */
    uint64_t accepted, rejected;
    const ops_sample_counters
        *samples;        /* of metrics that were kept: what accepted and rejected count; else NULL */
    uint32_t retry_ms;   /* for retriable failures */
    const char *message; /* empty when all is well; lives until the callback returns */
} ops_intake_answer;
/* Exactly once per call that returned OPS_OK, on any thread, possibly before that call returns. Must not block. */
typedef void (*ops_intake_done)(void *u, const ops_intake_answer *a);

OPS_MUST_USE ops_status ops_intake_new(const ops_intake_conf *conf, ops_intake **ret, ops_err *reterr);
/* Waits for every answer under way. The log must still be open. @thread not from `done` */
void ops_intake_free(ops_intake *in);
OPS_AUTO_DEFINE(ops_intake, ops_intake_free)

/* `body` is borrowed until `done`; tenant (1..63 bytes) is copied; `door` is static text for counters. Failures of the
 * content come through `done`; OPS_EAGAIN and OPS_ENOMEM are returned and `done` is not called. */
OPS_MUST_USE ops_status ops_intake_request(ops_intake *in, ops_slice tenant, const char *door,
                                           ops_intake_kind kind, ops_slice body, ops_intake_done done,
                                           void *u, ops_err *reterr);

/* Raw lines of one origin, in order: joined ones hold newlines. All borrowed until the call returns. Parsed, redacted and
 * appended on the caller's thread; returns when the log took them (done comes later) or says why not (done does
 * not come). */
typedef struct ops_intake_line {
    ops_slice text;
    uint32_t flags; /* OPS_RECORD_TRUNCATED, OPS_RECORD_MULTILINE */
} ops_intake_line;
typedef struct ops_intake_lines_batch {
    ops_slice tenant, service; /* service: when the line names none */
    const char *door;
    const ops_intake_line *lines;
    size_t count;
    const uint8_t *dedupe;    /* OPS_STREAMLOG_DEDUPE_BYTES that name this batch, or NULL */
    ops_slice note_key, note; /* written in the same batch as the records; empty key: none */
} ops_intake_lines_batch;
OPS_MUST_USE ops_status ops_intake_lines(ops_intake *in, const ops_intake_lines_batch *batch,
                                         ops_intake_done done, void *u, ops_err *reterr);

/* Samples of opsd's own making: `fill` tells them and is called on the caller's thread, once, before the call returns.
 * Failures as ops_intake_request(). */
typedef ops_status (*ops_intake_fill)(void *u, ops_samples *s, ops_err *reterr);
OPS_MUST_USE ops_status ops_intake_samples(ops_intake *in, ops_slice tenant, const char *door,
                                           ops_intake_fill fill, void *fill_u, ops_intake_done done, void *u,
                                           ops_err *reterr);
bool ops_intake_is_samples(ops_intake_kind kind);
/* Series of all tenants within series_max. @thread any */
size_t ops_intake_series(ops_intake *in);

/* For a reload; requests under way finish with the old one. */
void ops_intake_set_redactor(ops_intake *in, ops_redactor *r);

#endif
