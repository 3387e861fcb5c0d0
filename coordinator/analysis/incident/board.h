/* Inside: where the judges of this room write what they found. */
#ifndef OPS_INCIDENT_BOARD_H
#define OPS_INCIDENT_BOARD_H

#include "coordinator/analysis/incident/bundle_in.h"
#include "coordinator/analysis/incident/rank.h"

typedef struct ops_board {
    const ops_bundle *b;
    double at_s;
    size_t n;                            /* components */
    ops_rank_cause *causes;              /* one a component, by id */
    double (*strongest)[OPS_RANK_KINDS]; /* bits of the addition whose text a term keeps */
    double *
        explained; /* share of a component's added span time, or failures, that its callees answer for, 0 to 1 */
    ops_arena *text;
} ops_board;

/* Adds bits to a term; the text and time of the strongest addition are kept (that which alone has most bits). */
OPS_MUST_USE ops_status ops_board_say(ops_board *d, uint32_t component, ops_rank_kind kind, double bits,
                                      double since_s, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

/* What of a component's symptoms in metrics and logs counts: all, or a part where its callees explain them, or another
 * thing does to the share `also`. */
double ops_board_unexplained(const ops_board *d, uint32_t component, double also);

struct ops_traces;
/* Parts of ops_judge_spans. */
OPS_MUST_USE ops_status ops_judge_times(ops_board *d, const struct ops_traces *t);
OPS_MUST_USE ops_status ops_judge_answers(ops_board *d, const struct ops_traces *t);
OPS_MUST_USE ops_status ops_judge_calls(ops_board *d, const struct ops_traces *t);

/* The judges. Each reads the bundle and may read what those before it wrote, in this order. */
OPS_MUST_USE ops_status ops_judge_spans(ops_board *d);
OPS_MUST_USE ops_status ops_judge_metrics(ops_board *d);
OPS_MUST_USE ops_status ops_judge_lines(ops_board *d);

/* log2(1 + x), 0 for what is not above 0. */
double ops_bits(double x);

#endif
