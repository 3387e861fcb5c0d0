/* Which component is the likeliest cause of an incident's signs, and why: the live form of `rank`. No model: every score is a
 * sum of named terms in bits.
 *
 *   signs      how unusual its own signs are; the strongest in full, each next one half of the one before
 *   named      others name it while they are in trouble; of each such edge it has a callee's share of the blame
 *   onset      its signs began before those of the others, by more than a window; a bit at most
 *   change     it changed (new templates at once, without errors) shortly before
 *   explained  below 0: what of its signs and of what is said of it those answer for that it complains of
 *   answers    the same at their end, and so on along the chain: blame moves, none is lost
 *   said       somebody said that it was, or was not, the cause: of this incident, or of one that looked like it
 *
 * Pure. */
#ifndef OPS_INCIDENT_CULPRIT_H
#define OPS_INCIDENT_CULPRIT_H

#include "base/mem/arena.h"
#include "base/status/status.h"
#include "coordinator/analysis/incident/sign.h"
#include "coordinator/analysis/incident/topology.h"

enum { OPS_CULPRITS_MAX = 8 };
/* A cause below this many bits is what quiet systems show too; `incidents` has the same bar. */
#define OPS_CULPRIT_CLEAR_BITS 4.0

typedef enum ops_culprit_kind {
    OPS_CULPRIT_SIGNS,
    OPS_CULPRIT_NAMED,
    OPS_CULPRIT_ONSET,
    OPS_CULPRIT_CHANGE,
    OPS_CULPRIT_EXPLAINED,
    OPS_CULPRIT_ANSWERS,
    OPS_CULPRIT_SAID,
    OPS_CULPRIT_KINDS
} ops_culprit_kind;

const char *ops_culprit_kind_name(ops_culprit_kind kind);

typedef struct ops_culprit_term {
    double bits;
    ops_slice text; /* of the strongest part; in the arena */
    int64_t since_ns;
} ops_culprit_term;

typedef struct ops_culprit {
    ops_slice component; /* of the topology */
    double score;
    ops_culprit_term terms[OPS_CULPRIT_KINDS];
    ops_slice reason;
} ops_culprit;

typedef struct ops_culprit_case {
    const ops_topology *topology; /* knows the services of all signs, or they are not ranked */
    const ops_sign *signs;
    size_t sign_count;
    const ops_lesson *lessons;
    size_t lesson_count;
    ops_slice incident_id;
} ops_culprit_case;

/* Likeliest first, equal scores in order of their names; those above 0 alone. */
OPS_MUST_USE ops_status ops_culprits_rank(const ops_culprit_case *c, ops_arena *text,
                                          ops_culprit ret[OPS_CULPRITS_MAX], size_t *ret_count,
                                          ops_err *reterr);

#endif
