/* Is a session of log events like the sessions seen in normal traffic?
 *
 * A session is a sequence of template ids: the events of one request, block, instance or window, in order. Learning takes
 * sessions without anomalies. Four detectors look at a session, each in its own currency:
 *   counts  how often each event occurs, against the nearest learnt session; the price of a difference is how rarely
 *           normal sessions differ from their nearest neighbour in that event, that direction and that much
 *   order   the surprise of each event after the three before it, and of the end, summed up while it stays high (CUSUM)
 *   rules   what always holds of two events: both or neither, as often, before
 *   rare    in how few sessions the rarest event occurs; a new one in none
 * Fitting judges every learnt session as if it had not been learnt (leave one out). That gives the distribution of each
 * detector over normal sessions, by which a value becomes a level: -log10 of the share of normal sessions that reach it.
 * The score is the norm of the levels, (sum of level^1.5)^(2/3), and the threshold is what a share `false_alarms` of the
 * held-out sessions exceeds. A kind of event never seen before is reported whatever the score, as long as fewer than one
 * normal session in 20 brings one.
 *
 * Bounds: OPS_SEQUENCE_*_MAX. What goes beyond is counted in ops_sequence_info and named there; it never fails a call.
 * The same sessions in the same order give the same model. @thread: one owner at a time. Pure: no clock, no I/O. */
#ifndef OPS_ANALYSIS_SEQUENCE_H
#define OPS_ANALYSIS_SEQUENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"

#define OPS_SEQUENCE_EVENTS_MAX   65536u     /* of one session; the rest of it is not looked at */
#define OPS_SEQUENCE_KINDS_MAX    65536u     /* distinct events; later ones share one place */
#define OPS_SEQUENCE_SESSIONS_MAX 131072u    /* learnt; later ones are ignored */
#define OPS_SEQUENCE_LEARNT_MAX   (1u << 24) /* events of all learnt sessions together */
#define OPS_SEQUENCE_FALSE_ALARMS 0.002      /* default share: one normal session in 500 */

typedef struct ops_sequence ops_sequence;

typedef enum ops_sequence_part {
    OPS_SEQUENCE_COUNTS,
    OPS_SEQUENCE_ORDER,
    OPS_SEQUENCE_RULES,
    OPS_SEQUENCE_RARE,
    OPS_SEQUENCE_PARTS
} ops_sequence_part;

typedef struct ops_sequence_verdict {
    double score;   /* >= 0; higher is odder */
    bool anomalous; /* score above the model's threshold, or an event never seen before */
    double level
        [OPS_SEQUENCE_PARTS]; /* -log10 of the share of normal sessions at least this odd; 0: nothing odd */
    size_t place;             /* of the event that surprised most, of an anomalous one; n: the end */
    size_t new_kinds;         /* distinct events never learnt */
    bool cut;                 /* longer than OPS_SEQUENCE_EVENTS_MAX */
} ops_sequence_verdict;

typedef struct ops_sequence_info {
    size_t sessions, kinds;
    size_t sessions_ignored, sessions_cut, events_over_kinds; /* what met a bound */
    double threshold;
    double new_share; /* of held-out normal sessions with an event no other session has */
    bool new_alone;   /* an event never seen before suffices */
} ops_sequence_info;

/* `false_alarms`: wanted share, in (0, 1); 0 takes the default. */
OPS_MUST_USE ops_status ops_sequence_new(double false_alarms, ops_sequence **ret, ops_err *reterr);
void ops_sequence_free(ops_sequence *s);
OPS_AUTO_DEFINE(ops_sequence, ops_sequence_free)

/* Takes in one normal session, before the fit. OPS_ECONFLICT after it. On OPS_ENOMEM the model is as before. */
OPS_MUST_USE ops_status ops_sequence_learn(ops_sequence *s, const uint64_t *events, size_t n,
                                           ops_err *reterr);
/* Ends learning, once. OPS_ECONFLICT when nothing was learnt. After OPS_ENOMEM the model can only be freed. */
OPS_MUST_USE ops_status ops_sequence_fit(ops_sequence *s, ops_err *reterr);
OPS_MUST_USE ops_status ops_sequence_judge(ops_sequence *s, const uint64_t *events, size_t n,
                                           ops_sequence_verdict *ret, ops_err *reterr);
void ops_sequence_get_info(const ops_sequence *s, ops_sequence_info *ret);

/* How an event is called in words. The slice lives until the next call. */
typedef ops_slice (*ops_sequence_name)(void *u, uint64_t event);
/* Appends what is odd about a session, oddest first, at most a few clauses: "after A expected B or C, saw D; D occurred
 * 3 times where 2 are usual". Empty text when nothing is odd. */
OPS_MUST_USE ops_status ops_sequence_explain(ops_sequence *s, const uint64_t *events, size_t n,
                                             ops_sequence_name name, void *u, ops_strbuf *out,
                                             ops_err *reterr);
/* As ops_sequence_explain(), but for what followed what: somebody else has said it better. */
OPS_MUST_USE ops_status ops_sequence_explain_rest(ops_sequence *s, const uint64_t *events, size_t n,
                                                  ops_sequence_name name, void *u, ops_strbuf *out,
                                                  ops_err *reterr);

#endif
