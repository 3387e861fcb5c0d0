/* How far out a value lies: the tail of a drifting distribution of magnitudes, in 216 bytes.
 *
 * Magnitudes are counted in a histogram of quarter octaves. Beyond the point that one in a hundred passed, the tail is
 * taken as a Pareto law whose slope is the mean excess of what passed (Hill's estimator, B. M. Hill 1975), shrunk
 * towards a quarter octave while little was seen; what was seen outright bounds it from below. When the histogram is full
 * all counts are halved, so that it follows a distribution that drifts. Nothing is assumed of its shape but the tail.
 *
 * @thread: one owner at a time. Inside the room. */
#ifndef OPS_METRIC_TAIL_H
#define OPS_METRIC_TAIL_H

#include <stdint.h>

enum {
    OPS_TAIL_BINS = 96,     /* 2^-6 to 2^18 */
    OPS_TAIL_OCTAVE = 4,    /* bins */
    OPS_TAIL_FIRST = -6,    /* log2 of the least magnitude told apart */
    OPS_TAIL_UNIT = 4,      /* what one value adds to its bin: two halvings before it is forgotten */
    OPS_TAIL_FULL = 8192,   /* values; then all counts are halved */
    OPS_TAIL_WARM = 150,    /* values before it says anything */
    OPS_TAIL_SCORE_MAX = 12 /* one in 10^12 */
};

typedef struct ops_tail {
    uint16_t bin[OPS_TAIL_BINS];
    uint32_t n;      /* sum of bin */
    float from;      /* where the tail starts, in bins */
    float base;      /* score there */
    float per_bin;   /* score of one bin more */
    uint32_t unseen; /* values added since the tail was last looked at */
} ops_tail;

/* Position of a magnitude on the scale of the bins, 0 to OPS_TAIL_BINS - 1; 0 for what is smaller or no number. */
float ops_tail_place(float magnitude);
/* The magnitude at a position. */
float ops_tail_magnitude(float place);

void ops_tail_add(ops_tail *t, float place);
/* Takes the outermost `values` back, none below `least`: they were one event and not so many errors. */
void ops_tail_forget(ops_tail *t, uint32_t values, float least);
/* -log10 of the chance of a value at least this far out, 0 to OPS_TAIL_SCORE_MAX; 0 before `warm` values. Positions
 * below `least` are never in the tail. */
float ops_tail_score(const ops_tail *t, float place, float least, uint32_t warm);
/* The position at which the extrapolated score reaches `score`. */
float ops_tail_at(const ops_tail *t, float score, float least);

#endif
