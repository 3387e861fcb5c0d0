/* The BERT tokenizer as tokenizer.json or the keys of a GGUF file describe it: BertNormalizer (clean, space out CJK, strip accents, lower case),
 * BertPreTokenizer (blanks and punctuation), WordPiece (longest piece first), then the special tokens around it.
 * Special tokens come from the template only: "[SEP]" in a text is five ordinary characters, whatever added_tokens says.
 * Truncation and padding in the file are ignored: the caller says how many tokens it wants.
 * @thread immutable once parsed */
#ifndef OPS_WORKER_WORDPIECE_H
#define OPS_WORKER_WORDPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "worker/model/gguf.h"

enum {
    OPS_WORDPIECE_JSON_MAX = 64 << 20,
    OPS_WORDPIECE_VOCAB_MAX = 1 << 20,
    OPS_WORDPIECE_AFFIX_MAX = 4,        /* special tokens before, and after */
    OPS_WORDPIECE_WORD_CHARS_MAX = 1000 /* bound on max_input_chars_per_word */
};

typedef struct ops_wordpiece ops_wordpiece;

/* Reads tokenizer.json. OPS_ECORRUPT names the field; OPS_EUNIMPL a kind of normalizer, pre-tokenizer, model or
 * post-processor that is not built; OPS_ETOOBIG; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_wordpiece_parse(ops_slice json, ops_wordpiece **ret, ops_err *reterr);
/* Reads the keys tokenizer.ggml.* of a GGUF file, which may go afterwards. OPS_ENOTFOUND: it brings no tokenizer; OPS_EUNIMPL:
 * one of another model, named; others as above. */
OPS_MUST_USE ops_status ops_wordpiece_from_gguf(const ops_gguf *g, ops_wordpiece **ret, ops_err *reterr);
void ops_wordpiece_free(ops_wordpiece *w);
OPS_AUTO_DEFINE(ops_wordpiece, ops_wordpiece_free)

int32_t ops_wordpiece_id_max(const ops_wordpiece *w);  /* no id is greater */
size_t ops_wordpiece_specials(const ops_wordpiece *w); /* tokens around every text */

/* Ids of `text` (any bytes; what is no UTF-8 reads as U+FFFD) into ret_ids, cut to tokens_max ids, special tokens
 * included. Work is linear in the bytes and ends with the last id that fits. Returns how many ids there are.
 * 0 when tokens_max is below ops_wordpiece_specials(). */
size_t ops_wordpiece_encode(const ops_wordpiece *w, ops_slice text, size_t tokens_max, int32_t *ret_ids);

/* A word of a text: the place of its first id among all ids, and where it stands in the text, in bytes [begin, end). */
typedef struct ops_wordpiece_word {
    uint32_t token, begin, end;
} ops_wordpiece_word;
/* The same, and the words that have an id: up to tokens_max of them into ret_words, *ret_n. */
size_t ops_wordpiece_encode_words(const ops_wordpiece *w, ops_slice text, size_t tokens_max, int32_t *ret_ids,
                                  ops_wordpiece_word *ret_words, size_t *ret_n);

/* Does the file say how two texts stand side by side: the first as if alone with type 0, then the second and what follows a
 * text with type 1? */
bool ops_wordpiece_pairs(const ops_wordpiece *w);
/* Ids of two texts and the type of each. Where they are too long together, the longer one is cut to what the shorter leaves,
 * or both to a half (the references' "longest first"). Returns how many ids there are; 0 when the file knows no pairs or
 * tokens_max is below the special tokens around them. */
size_t ops_wordpiece_encode_pair(const ops_wordpiece *w, ops_slice first, ops_slice second, size_t tokens_max,
                                 int32_t *ret_ids, int32_t *ret_types);

#endif
