/* A candidate: one thing that one detector found odd in one stream. The finding book turns candidates into findings.
 *
 * All slices and arrays of a candidate handed to a callback live until the callback returns. */
#ifndef OPS_ANALYSIS_CANDIDATE_H
#define OPS_ANALYSIS_CANDIDATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/text/slice.h"

#define OPS_CANDIDATE_EVIDENCE_MAX  5
#define OPS_CANDIDATE_TEMPLATES_MAX 16
#define OPS_EVIDENCE_BYTES_MAX      512

typedef enum ops_candidate_kind {
    OPS_CANDIDATE_NEW_TEMPLATE =
        1,                    /* messages of a form never seen in this stream, and they speak of failure */
    OPS_CANDIDATE_RATE_UP,    /* far more records than the baseline allows, for a minute or more */
    OPS_CANDIDATE_RATE_DOWN,  /* far fewer */
    OPS_CANDIDATE_SILENT,     /* none at all, from a stream that is never silent this long */
    OPS_CANDIDATE_RARE_BURST, /* a known but rare message in numbers */
    OPS_CANDIDATE_SEVERITY_SHIFT, /* the share of error records rose */
    OPS_CANDIDATE_CHANGE,         /* many new templates at once, no rise of errors: a deploy, a new role */
    OPS_CANDIDATE_METRIC =
        9, /* a series of numbers left what is usual for it; 8 is what the API calls alerts */
    OPS_CANDIDATE_SEQUENCE, /* sessions are unlike those of normal traffic: other lines, another order, other numbers */
    OPS_CANDIDATE_RUNOUT, /* something is on its way into a limit: full, used up */
    OPS_CANDIDATE_KIND_COUNT
} ops_candidate_kind;

typedef enum ops_level {
    OPS_LEVEL_INFO = 1,
    OPS_LEVEL_WARNING,
    OPS_LEVEL_ERROR,
    OPS_LEVEL_CRITICAL,
    OPS_LEVEL_COUNT
} ops_level;

typedef struct ops_evidence {
    ops_slice service;
    ops_slice text; /* at most OPS_EVIDENCE_BYTES_MAX bytes */
    int64_t time_ns;
    uint64_t template_id;
    uint64_t log_offset;
    uint32_t index;
} ops_evidence;

typedef struct ops_candidate {
    ops_candidate_kind kind;
    ops_level severity;
    ops_slice tenant, service;
    uint64_t template_ids[OPS_CANDIDATE_TEMPLATES_MAX];
    size_t template_count;
    const char *statistic; /* name, e.g. "records per 10 s" */
    double value;          /* what was seen */
    double expected_low, expected_high;
    double p_value;           /* of at least this much under the baseline; floored at 1e-300 */
    double score;             /* -log10(p_value), the currency of the false-alert budget */
    ops_slice words;          /* one plain sentence */
    int64_t start_ns, end_ns; /* event time of the first and last odd moment */
    size_t evidence_count;
    ops_evidence evidence[OPS_CANDIDATE_EVIDENCE_MAX];
} ops_candidate;

/* Stable lower-case names for people and for the store: "new_template", "rate_up", ... ; "unknown" otherwise. */
const char *ops_candidate_kind_name(ops_candidate_kind kind);
const char *ops_level_name(ops_level level);

#endif
