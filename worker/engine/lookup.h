/* Guesses at what a text goes on with, from itself: answers repeat names, numbers and lines of their prompts. The tokens that
 * followed the last ones where these stood before are guessed to follow again (prompt lookup; compare Leviathan et al. 2023,
 * arXiv:2211.17192, for why checking guesses is exact). Guessing wrong costs work, never correctness.
 *
 * All memory is taken when it is made; a token costs a constant. @thread one at a time */
#ifndef OPS_WORKER_LOOKUP_H
#define OPS_WORKER_LOOKUP_H

#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"

enum { OPS_LOOKUP_GRAM = 3 /* tokens that must stand the same */ };

typedef struct ops_lookup ops_lookup;

/* For texts of at most `tokens_max`. OPS_EINVAL, OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_lookup_new(int tokens_max, ops_lookup **ret, ops_err *reterr);
void ops_lookup_free(ops_lookup *l);
OPS_AUTO_DEFINE(ops_lookup, ops_lookup_free)

/* The text is ids[0..n) now: longer than at the last call, and the same up to there. Up to `most` guesses at what follows go to
 * `to`, which may lie behind the text itself; how many. */
int ops_lookup_guess(ops_lookup *l, const int32_t *ids, int n, int32_t *to, int most);

#endif
