/* coordinator/ingest/loki_internal.h: what both forms of a Loki push share: a stream's labels, and an entry to a record. */
#ifndef OPS_COORDINATOR_INGEST_LOKI_INTERNAL_H
#define OPS_COORDINATOR_INGEST_LOKI_INTERNAL_H

#include "coordinator/ingest/loki.h"
#include "coordinator/ingest/otlp_logs_internal.h"

enum { LOKI_SERVICE_NAMES = 4, LOKI_PLACE_BYTES = 96 };

typedef struct loki_labels {
    ops_attr v[OPS_RECORD_ATTRS_MAX];
    uint32_t n;
    bool cut;        /* more than fit */
    ops_slice level; /* severity word, empty: none */
} loki_labels;

typedef struct loki_ctx {
    otlp_decode *d;
    loki_labels stream, entry;
    ops_arena arena; /* values of one stream's label text */
} loki_ctx;

/* Gives back with loki_done(). */
OPS_MUST_USE ops_status loki_new(const ops_ingest_limits *limits, int64_t recv_ns, ops_ingest_sink sink,
                                 ops_ingest_reject reject, void *u, loki_ctx **ret, ops_err *reterr);
void loki_free(loki_ctx *c);
OPS_AUTO_DEFINE(loki_ctx, loki_free)

void loki_labels_clear(loki_labels *l);
void loki_label(const loki_ctx *c, loki_labels *l, ops_slice name, ops_slice value);
/* The stream's labels are complete: its service is known. */
void loki_stream(loki_ctx *c);
/* One entry with c->entry as its metadata. OPS_ETOOBIG: more entries than a request may have. */
OPS_MUST_USE ops_status loki_entry(loki_ctx *c, uint64_t time_ns, ops_slice line, const char *place,
                                   ops_err *reterr);
/* An entry that is not kept; `why` goes into the detail. Same failure. */
OPS_MUST_USE ops_status loki_refuse(loki_ctx *c, const char *place, const char *why, ops_err *reterr);
/* `{name="value", ...}` to c->stream. False: *ret_at is the byte that does not fit. */
bool loki_label_text(loki_ctx *c, ops_slice text, size_t *ret_at);

#endif
