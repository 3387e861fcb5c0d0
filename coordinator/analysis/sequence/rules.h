/* What holds of two events in normal sessions, whatever else happens: both occur or neither, as often, one before the
 * other. Such invariants survive interleaving, which neither order nor whole count vectors do (mined from logs as in
 * Lou et al., USENIX ATC 2010, and Beschastnikh et al., FSE 2011; here counted, not decided).
 *
 * A rule that held in all but v of n sessions costs log((n + 1) / (v + 0.5)) to break; a session costs the sum of the
 * SEQ_BROKEN_MAX dearest rules that it breaks. Taking a session out again subtracts its own votes.
 *
 * Bounds: pairs of the SEQ_RULE_KINDS kinds that occur in most sessions: 1.6 MB. */
#ifndef OPS_ANALYSIS_SEQUENCE_RULES_H
#define OPS_ANALYSIS_SEQUENCE_RULES_H

#include "coordinator/analysis/sequence/session.h"

enum { SEQ_RULE_KINDS = 256, SEQ_BROKEN_MAX = 3 };

typedef enum seq_rule {
    SEQ_RULE_SAME_COUNT, /* a as often as b */
    SEQ_RULE_FIRST,      /* the first a before the first b */
    SEQ_RULE_LAST,       /* the last a before the last b */
    SEQ_RULE_AT_MOST,    /* a at most as often as b */
    SEQ_RULE_ALL_BEFORE, /* every a before every b */
    SEQ_RULE_COUNT,
    SEQ_RULE_WITH = SEQ_RULE_COUNT /* no a without b */
} seq_rule;

typedef struct seq_cell {
    uint32_t both; /* sessions with a and b */
    uint32_t broken[SEQ_RULE_COUNT];
} seq_cell;

typedef struct seq_rules {
    uint32_t *rank; /* by dense id: 1 .. kinds, 0 for none */
    size_t ids;
    uint32_t id_of[SEQ_RULE_KINDS];
    uint32_t sessions[SEQ_RULE_KINDS];
    size_t kinds;
    seq_cell *cell; /* [a][b] */
} seq_rules;

typedef struct seq_broken {
    seq_rule rule;
    uint32_t a, b; /* dense ids */
    uint32_t held; /* sessions it was tried on */
    double ratio;  /* (n + 1) / (v + 0.5) */
} seq_broken;

/* Chooses the kinds; all sessions must be counted in v. False when the heap is out. */
bool seq_rules_init(seq_rules *r, const seq_vocab *v);
void seq_rules_done(seq_rules *r);
void seq_rules_add(seq_rules *r, const seq_session *s, bool out);
/* Fills `ret` dearest first, *ret_n how many; returns their summed cost. */
double seq_rules_judge(const seq_rules *r, const seq_session *s, seq_broken ret[SEQ_BROKEN_MAX],
                       size_t *ret_n);

#endif
