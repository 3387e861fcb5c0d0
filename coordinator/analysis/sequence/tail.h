/* How rare a value is among values seen in normal traffic.
 *
 * Inside the values seen: the share that reaches it. Beyond the greatest 5 % an exponential tail with their mean excess,
 * so that two values that nobody reached still differ (the exponential is the generalised Pareto tail of shape 0:
 * Pickands 1975). What is measured is a log of probabilities, whose excess has mean 1 where the probabilities are right;
 * one such observation is added to the mean, which a handful of values would else make of nothing. */
#ifndef OPS_ANALYSIS_SEQUENCE_TAIL_H
#define OPS_ANALYSIS_SEQUENCE_TAIL_H

#include <stddef.h>

typedef struct seq_tail {
    double *x; /* ascending; owned by whoever filled it */
    size_t n;
    double from;       /* where the tail starts */
    double sum, above; /* of the excesses over it, and how many */
} seq_tail;

/* Sorts x. */
void seq_tail_fit(seq_tail *t, double *x, size_t n);
/* -log10 P(X >= v), at least 0. */
double seq_tail_level(const seq_tail *t, double v);
/* The same for a value that is one of x, as if it were not: else an odd one among few vouches for itself. */
double seq_tail_level_held_out(const seq_tail *t, double v);
/* The least value that at most share x (n + 1) of the n values exceed: of an exchangeable next value at most `share`
 * exceeds it, or 1 in n + 1 where n is too small for that (the split-conformal bound, Vovk et al. 2005). Sorts x. */
double seq_tail_threshold(double *x, size_t n, double share);

#endif
