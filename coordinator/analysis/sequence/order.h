/* How surprising the order of a session's events is.
 *
 * P(event | the last three) by Witten-Bell interpolation down to P(event) (Witten and Bell, IEEE Trans. Inf. Theory 37,
 * 1991): P_k = (n(context, event) + kinds(context) P_{k-1}) / (n(context) + kinds(context)). What often has new
 * followers, as where threads interleave, is not surprised by one more. A session begins and ends with marks of its own,
 * so a session that stops early is surprised by its end.
 *
 * The surprise -log P of a whole session grows with its length and its maximum forgets all but one event. So the sum is
 * taken while it stays high: S = max(0, S + surprise - allowance), the CUSUM of Page 1954, whose greatest value is told.
 * The allowance lies half way between the mean surprise of normal events and that of events in no order at all.
 *
 * Bounds: SEQ_GRAMS_MAX stored sequences of up to four events; what finds no place counts as never seen again. */
#ifndef OPS_ANALYSIS_SEQUENCE_ORDER_H
#define OPS_ANALYSIS_SEQUENCE_ORDER_H

#include "coordinator/analysis/sequence/session.h"

enum { SEQ_CONTEXT = 3, SEQ_GRAMS_MAX = 1 << 20, SEQ_EXPECTED_MAX = 2 };

typedef struct seq_gram {
    uint64_t key;   /* 0: empty */
    uint32_t n;     /* times seen */
    uint32_t after; /* events seen after it */
    uint32_t kinds; /* distinct ones */
} seq_gram;

typedef struct seq_order {
    seq_gram *table;
    size_t cap, used; /* cap is a power of two */
    double allowance;
    double sum, sum_free, events; /* surprise, surprise without context, events: over held-out sessions */
} seq_order;

/* Where the sum was greatest: event `worst` (n: the end) of it surprised most. */
typedef struct seq_peak {
    double sum;
    size_t worst;
    double surprise;
} seq_peak;

bool seq_order_init(seq_order *o);
void seq_order_done(seq_order *o);
/* Takes in a session, or takes it out again. False when the heap is out (only when taking in). */
bool seq_order_add(seq_order *o, const uint32_t *ev, size_t n);
void seq_order_drop(seq_order *o, const uint32_t *ev, size_t n);
/* Adds a held-out session to the means; then sets the allowance from them. */
void seq_order_measure(seq_order *o, const uint32_t *ev, size_t n);
void seq_order_settle(seq_order *o);
seq_peak seq_order_judge(const seq_order *o, const uint32_t *ev, size_t n);
/* The likeliest events at place i, likeliest first, at most SEQ_EXPECTED_MAX that came there in at least a tenth of the
 * cases, after the longest context that was ever seen. Returns how many. */
size_t seq_order_expected(const seq_order *o, const uint32_t *ev, size_t i, uint32_t kinds,
                          uint32_t ret[SEQ_EXPECTED_MAX]);

#endif
