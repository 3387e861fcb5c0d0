/* A vocabulary as grammars need it: the bytes of every token in one trie, and which ids end a generation.
 * @thread immutable once made; shared by every grammar, cache and matcher made from it, which it must outlive */
#ifndef OPS_WORKER_GRAMMAR_VOCAB_H
#define OPS_WORKER_GRAMMAR_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "worker/model/tokenizer.h"

enum {
    OPS_GRAMMAR_VOCAB_BYTES_MAX = 64 << 20, /* of all pieces together */
    OPS_GRAMMAR_ENDS_MAX = 16
};

typedef struct ops_grammar_vocab ops_grammar_vocab;

/* Normal, user-defined and byte pieces may be chosen; control, unknown and unused ones never. The ends are the ids that
 * ops_tokenizer_ends() names. The tokenizer need not outlive *ret. OPS_EINVAL: no id ends a text; OPS_ETOOBIG;
 * OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_grammar_vocab_new(const ops_tokenizer *t, ops_grammar_vocab **ret,
                                              ops_err *reterr);
/* The same from bare pieces: pieces[id], an empty one is never chosen. Errors as above. */
OPS_MUST_USE ops_status ops_grammar_vocab_from_pieces(const ops_slice *pieces, size_t n, const int32_t *ends,
                                                      size_t n_ends, ops_grammar_vocab **ret,
                                                      ops_err *reterr);
void ops_grammar_vocab_free(ops_grammar_vocab *v);
OPS_AUTO_DEFINE(ops_grammar_vocab, ops_grammar_vocab_free)

size_t ops_grammar_vocab_count(const ops_grammar_vocab *v); /* ids are below */
/* Words of a mask over `columns` ids (the head of a model may have more than the tokenizer has ids). */
static inline size_t ops_grammar_mask_words(size_t columns)
{
    return (columns + 31) / 32;
}

#endif
