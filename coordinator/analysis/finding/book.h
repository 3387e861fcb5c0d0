/* Candidates in, findings out: one book per tenant.
 *
 * Grouping: a candidate joins an open finding of its service, or one that shares a template or a meaning (cosine of the
 * template vectors >= 0.80) and was last touched within group_gap_ns; else it opens a finding, if the budget admits it.
 * A candidate below score_min opens nothing; in want of the above it joins the youngest open finding of errors that began
 * within 60 s of it: a service that falls silent while others fail is part of the same.
 *
 * Budget, fixed per tenant and day of event time: quiet_per_day findings (default 6) are admitted on any score of at least score_min
 * (default 6, p <= 1e-6); past that a finding must score score_burst (default 12, p <= 1e-12) or more: true faults are
 * exempt by their strength, chance is not. At most open_max findings are open; the one longest untouched is closed to
 * make room. What was refused is counted.
 *
 * A finding closes when nothing joined it for close_after_ns (default 5 min of event time).
 * Ids are content-derived: hash of tenant, kind, service, first template and start, as 16 hex digits prefixed "f-".
 *
 * @thread: one owner at a time. Pure: no clock, no I/O. */
#ifndef OPS_ANALYSIS_BOOK_H
#define OPS_ANALYSIS_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "coordinator/analysis/detect/candidate.h"
#include "coordinator/analysis/template/miner.h"

#define OPS_FINDING_ID_LEN        18 /* without the NUL */
#define OPS_FINDING_SERVICES_MAX  8
#define OPS_FINDING_TEMPLATES_MAX 16
#define OPS_FINDING_EVIDENCE_MAX  8
#define OPS_FINDING_DIM_MAX       1024

typedef struct ops_finding_book ops_finding_book;

typedef enum ops_finding_state {
    OPS_FINDING_OPEN = 1,
    OPS_FINDING_CLOSED,
    OPS_FINDING_STATE_COUNT
} ops_finding_state;
typedef enum ops_finding_change {
    OPS_FINDING_OPENED = 1,
    OPS_FINDING_UPDATED,
    OPS_FINDING_WAS_CLOSED
} ops_finding_change;

/* Lives until the callback returns, or, from _next, until the book changes. */
typedef struct ops_finding {
    char id[OPS_FINDING_ID_LEN + 1];
    ops_slice tenant;
    ops_candidate_kind kind; /* of the strongest candidate */
    ops_level severity;
    ops_finding_state state;
    uint32_t revision;   /* 1 at birth, one more at every change */
    uint32_t candidates; /* how many joined */
    size_t service_count;
    ops_slice services[OPS_FINDING_SERVICES_MAX]; /* first one first */
    ops_slice summary;                            /* what, where, since when, how unusual */
    ops_slice words;                              /* of the strongest candidate */
    int64_t start_ns, last_ns;
    ops_slice statistic;
    double value, expected_low, expected_high, p_value, score;
    size_t template_count;
    uint64_t template_ids[OPS_FINDING_TEMPLATES_MAX];
    size_t evidence_count;
    ops_evidence evidence[OPS_FINDING_EVIDENCE_MAX];
} ops_finding;

typedef void (*ops_finding_on_change)(void *u, ops_finding_change change, const ops_finding *f);

/* Zero in any field takes the default. */
typedef struct ops_finding_limits {
    ops_slice tenant;   /* copied */
    size_t open_max;    /* default 64 */
    size_t vectors_max; /* template vectors kept, oldest dropped; default 4,096 */
    uint32_t quiet_per_day;
    double score_min, score_burst;
    int64_t group_gap_ns;   /* default 120 s */
    int64_t close_after_ns; /* default 300 s */
    ops_finding_on_change on_change;
    void *u;
} ops_finding_limits;

typedef struct ops_finding_stats {
    uint64_t candidates, joined, opened, closed, refused_budget, refused_weak;
    size_t open;
} ops_finding_stats;

OPS_MUST_USE ops_status ops_finding_book_new(const ops_finding_limits *limits, ops_finding_book **ret,
                                             ops_err *reterr);
void ops_finding_book_free(ops_finding_book *b);
OPS_AUTO_DEFINE(ops_finding_book, ops_finding_book_free)

/* now_ns: event time. The candidate is copied as far as needed. */
OPS_MUST_USE ops_status ops_finding_book_add(ops_finding_book *b, const ops_candidate *c, int64_t now_ns,
                                             ops_err *reterr);
OPS_MUST_USE ops_status ops_finding_book_tick(ops_finding_book *b, int64_t now_ns, ops_err *reterr);
/* The meaning of a template; findings whose templates mean the same are joined from here on, and open ones at once (the younger
 * closes into the elder). OPS_EINVAL for a dim of 0, above OPS_FINDING_DIM_MAX or other than before, or values not finite. */
OPS_MUST_USE ops_status ops_finding_book_vector(ops_finding_book *b, uint64_t template_id, const float *v,
                                                size_t dim, ops_err *reterr);

bool ops_finding_book_has_vector(const ops_finding_book *b, uint64_t template_id);

/* Open findings, eldest first; start with *iter = 0. */
bool ops_finding_book_next(const ops_finding_book *b, size_t *iter, ops_finding *ret);
void ops_finding_book_stats_get(const ops_finding_book *b, ops_finding_stats *ret);

/* As ops_miner_save_dirty and ops_pipeline_load. */
OPS_MUST_USE ops_status ops_finding_book_save_dirty(ops_finding_book *b, ops_miner_emit emit, void *u,
                                                    ops_err *reterr);
OPS_MUST_USE ops_status ops_finding_book_load(ops_finding_book *b, ops_slice key, ops_slice val,
                                              ops_err *reterr);
OPS_MUST_USE ops_status ops_finding_book_load_done(ops_finding_book *b, ops_err *reterr);

#endif
