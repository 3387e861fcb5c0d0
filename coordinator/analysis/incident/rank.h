/* Which component is most likely the cause, and why. No model: every score is a sum of named terms.
 *
 * A term is a number of bits: how many doublings of the component's own normal state (or of its noise) the change
 * after `at` amounts to. So terms of different kinds add up, whatever the units of what was measured. docs/decisions
 * holds the method and what it was measured against.
 *
 * @thread: any, over a sealed bundle. Pure: no clock, no I/O. */
#ifndef OPS_INCIDENT_RANK_H
#define OPS_INCIDENT_RANK_H

#include "coordinator/analysis/incident/bundle.h"

typedef enum ops_rank_kind {
    OPS_RANK_METRICS,  /* metrics left their own past */
    OPS_RANK_OWN_TIME, /* its operations take longer by themselves, calls to others not counted */
    OPS_RANK_WIRE,     /* time between a call's two ends, or in a callee that has no spans of its own */
    OPS_RANK_ERRORS,   /* spans end with another status than before, or calls get no answer */
    OPS_RANK_CALLS,    /* its operations make other calls than before */
    OPS_RANK_LOGS,     /* log templates that are new, or far more frequent */
    OPS_RANK_SILENCE,  /* series or logs that stopped */
    OPS_RANK_ONSET,    /* its metrics changed before those of the others */
    OPS_RANK_KINDS
} ops_rank_kind;

const char *ops_rank_kind_name(ops_rank_kind kind); /* "metrics", "own time", ... */

typedef struct ops_rank_term {
    double bits;    /* 0: nothing to say */
    ops_slice text; /* in plain words; empty when bits is 0 */
    double since_s; /* when it was first seen; 0: not known */
} ops_rank_term;

typedef struct ops_rank_cause {
    ops_slice component;
    double score; /* the sum of the terms */
    ops_rank_term terms[OPS_RANK_KINDS];
    ops_slice reason; /* one sentence: the strongest terms in words */
} ops_rank_cause;

typedef struct ops_rank ops_rank;

/* at_s: when the fault was first seen; what was before counts as normal. The bundle must outlive the answer. */
OPS_MUST_USE ops_status ops_rank_new(const ops_bundle *b, double at_s, ops_rank **ret, ops_err *reterr);
void ops_rank_free(ops_rank *r);
OPS_AUTO_DEFINE(ops_rank, ops_rank_free)

/* Every component of the bundle, most likely cause first; equal scores in order of their names. */
size_t ops_rank_count(const ops_rank *r);
const ops_rank_cause *ops_rank_at(const ops_rank *r, size_t i);

#endif
