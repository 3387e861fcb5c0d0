/* The model's insides, shared by the files of this room. */
#ifndef OPS_ANALYSIS_SEQUENCE_STATE_H
#define OPS_ANALYSIS_SEQUENCE_STATE_H

#include "coordinator/analysis/sequence/nearest.h"
#include "coordinator/analysis/sequence/order.h"
#include "coordinator/analysis/sequence/rules.h"
#include "coordinator/analysis/sequence/sequence.h"
#include "coordinator/analysis/sequence/tail.h"

typedef struct seq_learnt {
    uint32_t *ev;
    uint32_t n;
    uint32_t vector;
} seq_learnt;

struct ops_sequence {
    double false_alarms;
    seq_vocab vocab;
    seq_nearest nearest;
    seq_order order;
    seq_rules rules;
    OPS_VEC(seq_learnt) learnt; /* freed by the fit */
    size_t learnt_events;
    double *held[OPS_SEQUENCE_PARTS]; /* what tail[] looks into */
    seq_tail tail[OPS_SEQUENCE_PARTS];
    ops_sequence_info info;
    bool fitted;
    seq_session now; /* scratch */
};

/* Counts one session in the vocabulary, or takes it out. */
void seq_count_kinds(ops_sequence *s, const seq_session *x, bool out);
/* What the detectors say of the session in s->now, whose dense ids are ev. `own` is its vector, if it was learnt. */
void seq_measure(ops_sequence *s, const uint32_t *ev, size_t n, uint32_t own, size_t new_kinds,
                 double ret_raw[OPS_SEQUENCE_PARTS]);
/* The levels of that and the score. `held_out`: the values are among those that the tails were fitted to. */
double seq_combine(const ops_sequence *s, const double raw[OPS_SEQUENCE_PARTS], bool held_out,
                   double ret_level[OPS_SEQUENCE_PARTS]);

#endif
