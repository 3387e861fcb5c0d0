/* Whole sessions to a trained model and back: learns a stream's sessions in steps, then says of others how surprising they
 * are, where most, and what it would have expected there.
 *
 * Sessions are lists of small numbers, one behind the other: 0 .. kinds - 1 as the caller has numbered kinds of line, and
 * `kinds` itself for one that has no number. Of those learnt every OPS_SEQFIT_HELD_ONE_IN-th is held out of the training;
 * their surprise tells what is normal. A session's surprise is summed while it stays above an allowance (CUSUM), which
 * lies half way between the mean surprise of an event in order and that of one drawn blindly.
 *
 * A step is one batch: whoever calls can do something else between two of them, or give up. The same sessions and seed give the
 * same model on one machine. @thread one owner at a time. */
#ifndef OPS_TRAIN_SEQFIT_H
#define OPS_TRAIN_SEQFIT_H

#include <stdbool.h>

#include "worker/train/seqlm.h"

enum {
    OPS_SEQFIT_KINDS_MAX = 1024,
    OPS_SEQFIT_EVENTS_MAX = 64,    /* of a session */
    OPS_SEQFIT_SESSIONS_MAX = 512, /* of a call */
    OPS_SEQFIT_SESSIONS_MIN = 16,  /* to learn from */
    OPS_SEQFIT_STEPS_MAX = 2048,
    OPS_SEQFIT_MODEL_MAX = 1 << 20, /* bytes of a saved model */
    OPS_SEQFIT_HELD_ONE_IN = 8,
    OPS_SEQFIT_TAIL_MAX = 64, /* held-out sessions whose surprise is told, the greatest */
    OPS_SEQFIT_EXPECTED_MAX = 2,
    OPS_SEQFIT_HASH_MAX = 33,
};

typedef struct ops_seqfit_sessions {
    const uint32_t *ids;
    size_t id_n;
    const uint32_t *lengths; /* n of them, 1 .. OPS_SEQFIT_EVENTS_MAX, id_n in all */
    size_t n;
    uint32_t kinds;
} ops_seqfit_sessions;

typedef struct ops_seqfit ops_seqfit;

/* Copies the sessions. `steps`: batches of training, 0 takes as many as forty rounds need. OPS_EINVAL says what is wrong
 * with them, in numbers; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_seqfit_new(const ops_seqfit_sessions *sessions, uint64_t seed, uint32_t steps,
                                       ops_seqfit **ret, ops_err *reterr);
void ops_seqfit_free(ops_seqfit *f);
OPS_AUTO_DEFINE(ops_seqfit, ops_seqfit_free)
/* One batch more. True in *ret_done: it is learnt, and the next ones may be called; no step is to follow. */
OPS_MUST_USE ops_status ops_seqfit_step(ops_seqfit *f, bool *ret_done, ops_err *reterr);
uint64_t ops_seqfit_tokens(const ops_seqfit *f); /* that it went through so far */

/* Of one that is done; both live as long as it. */
double ops_seqfit_allowance(const ops_seqfit *f);
size_t ops_seqfit_tail(const ops_seqfit *f, const double **ret); /* descending */
/* The model's, owned by the fit. */
ops_seqlm *ops_seqfit_model(ops_seqfit *f);
/* Appends its saved form, at most OPS_SEQFIT_MODEL_MAX bytes. */
OPS_MUST_USE ops_status ops_seqfit_save(const ops_seqfit *f, ops_strbuf *out, ops_err *reterr);

/* A saved model. OPS_ECORRUPT and OPS_EINVAL also for one of extents that no fit has; OPS_ETOOBIG. */
OPS_MUST_USE ops_status ops_seqfit_load(ops_slice file, ops_seqlm **ret, ops_err *reterr);
uint32_t ops_seqfit_kinds(const ops_seqlm *m);
/* Which saved model it is, as hex. No defence against who makes two of one hash: they would fool themselves. */
void ops_seqfit_hash(ops_slice file, char ret[OPS_SEQFIT_HASH_MAX]);

typedef struct ops_seqfit_score {
    double surprise; /* the highest that the sum became */
    uint32_t place;  /* of the event that surprised most; the session's length: its end */
    float seen;      /* chance of what came there */
    /* What was likeliest there, most likely first: a number, or `kinds + 1` for the end. None where what came had a chance of
     * 1 in 20 or more. */
    uint32_t expected[OPS_SEQFIT_EXPECTED_MAX];
    float chance[OPS_SEQFIT_EXPECTED_MAX];
    uint32_t expected_n;
} ops_seqfit_score;

/* ret[sessions->n]; `kinds` as the model has. The result does not hang on which sessions go together. */
OPS_MUST_USE ops_status ops_seqfit_score_all(ops_seqlm *m, const ops_seqfit_sessions *sessions,
                                             double allowance, ops_seqfit_score *ret, ops_err *reterr);

#endif
