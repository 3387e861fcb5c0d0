/* A text on its way through a grammar: which tokens may come next, and what has become of those that came.
 * @thread one at a time per matcher; matchers of one grammar may be on different threads. A cache belongs to one thread. */
#ifndef OPS_WORKER_GRAMMAR_MATCHER_H
#define OPS_WORKER_GRAMMAR_MATCHER_H

#include <stdbool.h>

#include "worker/grammar/grammar.h"

enum {
    OPS_MATCHER_ROLLBACK_MAX = 64, /* tokens that can be taken back */
    OPS_MATCHER_WAYS_MAX = 1024,   /* ways of reading a text that are followed at once */
    OPS_MATCHER_FRAMES_MAX = 65536
};

/* Masks of places that are met again, least recently used out first; shared by the matchers of one thread, whatever their
 * grammars. All memory is taken when it is made. */
typedef struct ops_grammar_cache ops_grammar_cache;
typedef struct ops_grammar_cache_counts {
    uint64_t hits, misses; /* of places that were worth keeping */
    uint64_t cheap;        /* that were quicker walked than looked up */
} ops_grammar_cache_counts;

/* OPS_EINVAL: not even one mask fits into bytes_max; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_grammar_cache_new(const ops_grammar_vocab *v, size_t bytes_max,
                                              ops_grammar_cache **ret, ops_err *reterr);
void ops_grammar_cache_free(ops_grammar_cache *c);
OPS_AUTO_DEFINE(ops_grammar_cache, ops_grammar_cache_free)
ops_grammar_cache_counts ops_grammar_cache_counts_get(const ops_grammar_cache *c);

typedef struct ops_matcher ops_matcher;

/* At the start of a text. `g` and its vocabulary must outlive it. OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_matcher_new(const ops_grammar *g, ops_matcher **ret, ops_err *reterr);
/* Another at the same place, with the same past. OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_matcher_fork(const ops_matcher *m, ops_matcher **ret, ops_err *reterr);
void ops_matcher_free(ops_matcher *m);
OPS_AUTO_DEFINE(ops_matcher, ops_matcher_free)
void ops_matcher_restart(ops_matcher *m); /* at the start again, with no past; memory kept */

/* The tokens that may come next, as OPS_KERN_HEAD of kernels/ reads a row of its mask: bit id % 32 of word id / 32, least
 * significant first; bits past the vocabulary are 0. n_words >= ops_grammar_mask_words(ops_grammar_vocab_count()). At least
 * one bit is set unless finished. The ends are set exactly where the text is complete. `c` (may be NULL) saves work and
 * changes nothing. Takes no memory once it has met its like. OPS_ENOMEM, OPS_EINVAL (finished, or too few words). */
OPS_MUST_USE ops_status ops_matcher_mask(ops_matcher *m, ops_grammar_cache *c, uint32_t *words,
                                         size_t n_words, ops_err *reterr);
/* Goes on by a token. OPS_EINVAL: it may not come here, or the text is finished; OPS_ETOOBIG: it can be read in more ways
 * than are followed, or nests more than is kept; OPS_ENOMEM. A failure leaves everything as it was. */
OPS_MUST_USE ops_status ops_matcher_accept(ops_matcher *m, int32_t id, ops_err *reterr);
/* Takes the last n tokens back. OPS_ERANGE: fewer are kept. */
OPS_MUST_USE ops_status ops_matcher_rollback(ops_matcher *m, size_t n, ops_err *reterr);

bool ops_matcher_complete(const ops_matcher *m); /* the text is whole; more may or may not follow */
bool ops_matcher_finished(const ops_matcher *m); /* an end was accepted */
/* Jump-forward: the bytes that must come next whatever is chosen, at most `max` of them, into `to`; how many. 0 where there
 * is a choice, where the text may end, or the heap is out. They may stop inside a code point. */
size_t ops_matcher_forced(ops_matcher *m, char *to, size_t max);
/* The fewest bytes with which the text can be ended from here; 0: it is complete. SIZE_MAX: more than are counted. */
size_t ops_matcher_ending(const ops_matcher *m);
/* Those bytes, at most `max`, into `to`; how many. 0: it is complete, they are more, nothing that short nests as deep as is allowed, or
 * the heap is out. */
size_t ops_matcher_end_bytes(ops_matcher *m, char *to, size_t max);
/* The token that must come next: the only bit of a mask; -1 where there are more. */
int32_t ops_matcher_only(const uint32_t *words, size_t n_words);

#endif
