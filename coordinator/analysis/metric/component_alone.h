/* Each column of a component against what the others let expect of it.
 *
 * What is left of a column when the others are known (its conditional residual, from the inverse of their correlations) is a
 * series of its own, in mean distances from a level that follows it. Two sums with a memory (CUSUM, E. S. Page 1954) collect
 * what speaks for a change and let go of what does not: has it moved to one side, has its noise grown. A column that goes its
 * own way within its own range is told by that and by nothing else, the sooner the further it goes. Each sum has its own tail
 * for each column, so that a column whose residual is never calm tells little. Inside the room. */
#ifndef OPS_METRIC_COMPONENT_ALONE_H
#define OPS_METRIC_COMPONENT_ALONE_H

#include "coordinator/analysis/metric/level.h"
#include "coordinator/analysis/metric/tail.h"

typedef struct ops_alone {
    uint64_t asked, rows; /* rows: that taught */
    ops_level level;
    ops_settling settling;
    double late;             /* mean of the last few */
    double up, down, noise;  /* the sums */
    ops_tail moved, noisier; /* theirs */
} ops_alone;

/* Judges the residual `r` of a column and learns it: -log10 of the chance of the most unusual answer. */
float ops_alone_add(ops_alone *a, double r);

#endif
