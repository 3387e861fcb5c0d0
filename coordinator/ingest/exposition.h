/* coordinator/ingest/exposition.h: what a /metrics page says: Prometheus' text format 0.0.4 and OpenMetrics 1.0.
 *
 * A page is read whole or not at all: what breaks the format fails it with the line. Types come from `# TYPE` for the
 * samples that follow it, else from the name's suffix (samples.h). Exemplars are stepped over. OpenMetrics ends with `# EOF`
 * and has its times in seconds, 0.0.4 in milliseconds. Names in quotes inside the braces are read too.
 * Sources: prometheus.io/docs/instrumenting/exposition_formats; the OpenMetrics 1.0 specification. */
#ifndef OPS_COORDINATOR_INGEST_EXPOSITION_H
#define OPS_COORDINATOR_INGEST_EXPOSITION_H

#include <stdbool.h>

#include "base/status/status.h"
#include "proto/codec/sample.h"

enum { OPS_EXPOSITION_LABELS_MAX = 128 };

typedef struct ops_exposition_sample {
    ops_series_kind kind;
    ops_slice name;
    const ops_attr *labels; /* as written, unescaped */
    size_t label_count;
    double value; /* may be no number or infinite */
    bool timed;
    int64_t time_ns; /* when timed */
} ops_exposition_sample;

/* Slices die when the call returns. Not OPS_OK: reading stops with that status. */
typedef ops_status (*ops_exposition_fn)(void *u, const ops_exposition_sample *s, ops_err *reterr);

/* fn may be NULL: the page is only checked. OPS_EINVAL names the line; OPS_ETOOBIG above samples_max. @thread any */
OPS_MUST_USE ops_status ops_exposition_read(ops_slice page, bool openmetrics, uint64_t samples_max,
                                            ops_exposition_fn fn, void *u, uint64_t *ret_samples,
                                            ops_err *reterr);

#endif
