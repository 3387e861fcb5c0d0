/* Distance of a session's counts to the nearest learnt counts, in units of how rare such a difference is.
 *
 * Learnt count vectors are kept once each with how many sessions have them. The price of a difference in event e, up or
 * down, of at least 2^b is log((sessions + 1) / (such differences among normal sessions + 0.5)): differences are those of
 * each normal session to its nearest other one. An event whose count wanders freely is cheap, one that never moved is
 * dear, without a weight to tune. Kinds never seen are one more such event.
 *
 * Bounds: SEQ_NEAREST_MAX distinct vectors (the first ones seen; later ones only teach prices). */
#ifndef OPS_ANALYSIS_SEQUENCE_NEAREST_H
#define OPS_ANALYSIS_SEQUENCE_NEAREST_H

#include "coordinator/analysis/sequence/session.h"

enum { SEQ_NEAREST_MAX = 2048, SEQ_STEPS = 8, SEQ_NO_VECTOR = UINT32_MAX };

typedef struct seq_edit {
    uint32_t id;         /* SEQ_NONE: kinds never seen */
    uint32_t seen, near; /* counts here and in the nearest vector */
    double price;
} seq_edit;

typedef struct seq_vector {
    size_t at; /* first item in the pool */
    uint32_t items, sessions;
    size_t edit_at; /* its own differences to the nearest other vector, if it is of one session only */
    uint32_t edits;
} seq_vector;

typedef struct seq_nearest {
    OPS_VEC(seq_vector) vectors;
    OPS_VEC(seq_item) pool;
    OPS_VEC(uint32_t) edit_pool; /* cells of `seen` */
    ops_map64 *by_hash;          /* hash of the items -> vector + 1 */
    uint32_t *seen;              /* [id][up][step]: normal sessions that differ so much */
    float *price;                /* of each cell */
    size_t cells;
    double sessions;
} seq_nearest;

bool seq_nearest_init(seq_nearest *nn);
void seq_nearest_done(seq_nearest *nn);
/* Takes in a learnt session. *ret is its vector, or SEQ_NO_VECTOR beyond the bound. False when the heap is out. */
bool seq_nearest_add(seq_nearest *nn, const seq_session *s, uint32_t *ret);
/* Learns the prices, once all sessions are in. */
bool seq_nearest_settle(seq_nearest *nn, const seq_vocab *v);
/* Price of the session with `new_kinds` kinds never seen. `out` (may be NULL) gets the dearest differences, dearest
 * first, at most `out_max`; *ret_out how many. */
double seq_nearest_price(const seq_nearest *nn, const seq_vocab *v, const seq_session *s, size_t new_kinds,
                         uint32_t but_vector, seq_edit *out, size_t out_max, size_t *ret_out);
/* Price of the session with vector `own` as if it had not been learnt; v->sessions must be without it already. */
double seq_nearest_held_out(seq_nearest *nn, const seq_vocab *v, const seq_session *s, size_t new_kinds,
                            uint32_t own);

#endif
