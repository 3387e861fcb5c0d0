/* What the evaluator does with histograms. Private to the room. */
#ifndef OPS_RULES_HIST_INTERNAL_H
#define OPS_RULES_HIST_INTERNAL_H

#include "coordinator/analysis/rules/hist.h"

/* One bucket by its bounds, whichever side it is of. */
typedef struct rules_span {
    double lower, upper, count;
} rules_span;

double rules_hist_bound(const ops_rules_hist *h, int32_t index); /* the upper one of a positive bucket */
/* All buckets in ascending order, the zero bucket among them when it is not empty. NULL: the arena is full. */
rules_span *rules_hist_spans(ops_arena *a, const ops_rules_hist *h, size_t *ret_n);
/* NULL: the arena is full. Division by zero leaves no buckets. */
const ops_rules_hist *rules_hist_times(ops_arena *a, const ops_rules_hist *h, double factor);
const ops_rules_hist *rules_hist_divide(ops_arena *a, const ops_rules_hist *h, double by);
/* At a coarser resolution. */
const ops_rules_hist *rules_hist_lower(ops_arena *a, const ops_rules_hist *h, int32_t schema);
/* Did counting begin anew between the two? *ret_full: the arena is full. */
bool rules_hist_reset(ops_arena *a, const ops_rules_hist *now, const ops_rules_hist *before, bool *ret_full);
/* The buckets of one side with a bound above `from`, merged down to `schema`. */
ops_rules_bucket *rules_hist_side(ops_arena *a, const ops_rules_hist *h, bool pos, double from,
                                  int32_t schema, size_t *ret_n);

double rules_hist_quantile(const ops_rules_hist *h, const rules_span *v, size_t n, double q);
double rules_hist_fraction(const ops_rules_hist *h, const rules_span *v, size_t n, double lower,
                           double upper);
double rules_hist_variance(const ops_rules_hist *h, const rules_span *v, size_t n);

#endif
