/* Texts to token ids and back, for models that generate: byte-level BPE, SentencePiece BPE and Unigram behind one port.
 * A tokenizer comes from the metadata of a GGUF file or from a tokenizer.json; what the file asks for and is not built
 * is refused by name, never guessed.
 *
 * Control tokens (bos, eos, the marks of a chat) never come out of ops_tokenizer_encode(): "<|im_end|>" in a text is ten
 * ordinary characters. Only chat templates and ops_tokenizer_find() give them. Pieces that the file calls user-defined are
 * matched in the text before everything else, as the references do, unless they look like a mark ("<|...|>").
 * @thread immutable once made */
#ifndef OPS_WORKER_TOKENIZER_H
#define OPS_WORKER_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"
#include "worker/model/gguf.h"

enum {
    OPS_TOKENIZER_JSON_MAX = 64 << 20,
    OPS_TOKENIZER_VOCAB_MAX = 1 << 20,
    OPS_TOKENIZER_PIECE_MAX = 1024, /* bytes of a piece */
    OPS_TOKENIZER_MERGES_MAX = 1 << 21,
    OPS_TOKENIZER_USER_MAX = 16384,    /* user-defined pieces */
    OPS_TOKENIZER_TEXT_MAX = 16 << 20, /* bytes of one text */
    OPS_TOKENIZER_EOG_MAX = 16
};

typedef struct ops_tokenizer ops_tokenizer;

typedef enum ops_piece_kind {                     /* the numbers are those of tokenizer.ggml.token_type */
                              OPS_PIECE_NONE = 0, /* an id without a piece */
                              OPS_PIECE_NORMAL = 1,
                              OPS_PIECE_UNKNOWN = 2,
                              OPS_PIECE_CONTROL = 3,
                              OPS_PIECE_USER = 4,
                              OPS_PIECE_UNUSED = 5,
                              OPS_PIECE_BYTE = 6
} ops_piece_kind;

/* Ids, growing up to a maximum. */
typedef struct ops_tokens {
    int32_t *v;
    size_t n, cap, max;
} ops_tokens;

void ops_tokens_init(ops_tokens *t, size_t max); /* allocates nothing yet */
void ops_tokens_done(ops_tokens *t);
/* OPS_ETOOBIG at the maximum, with the number; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_tokens_put(ops_tokens *t, int32_t id, ops_err *reterr);

/* From tokenizer.ggml.* of a GGUF file, which need not outlive *ret. OPS_EUNIMPL names the model or pre-tokenizer;
 * OPS_ECORRUPT the key or the piece; OPS_ETOOBIG; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_tokenizer_from_gguf(const ops_gguf *g, ops_tokenizer **ret, ops_err *reterr);
/* From a tokenizer.json of the kinds BPE and Unigram. The post-processor is ignored but for whether it puts a token
 * before a text (add_bos). Errors as above. */
OPS_MUST_USE ops_status ops_tokenizer_from_json(ops_slice json, ops_tokenizer **ret, ops_err *reterr);
/* Files of a Hugging Face folder; p NULL: it is not there. */
typedef struct ops_tokenizer_files {
    ops_slice tokenizer; /* tokenizer.json */
    ops_slice
        config; /* tokenizer_config.json: bos_token, eos_token, add_bos_token and add_eos_token, which prevail */
    ops_slice generation; /* generation_config.json: eos_token_id, one or several, end a generation */
    ops_slice model;      /* config.json: the same, where there is no generation_config.json */
} ops_tokenizer_files;
/* As from tokenizer.json, with what the files beside it say. OPS_ECORRUPT names the file and the field. */
OPS_MUST_USE ops_status ops_tokenizer_from_folder(const ops_tokenizer_files *files, ops_tokenizer **ret,
                                                  ops_err *reterr);
void ops_tokenizer_free(ops_tokenizer *t);
OPS_AUTO_DEFINE(ops_tokenizer, ops_tokenizer_free)

const char *ops_tokenizer_name(const ops_tokenizer *t); /* "bpe/llama-bpe", "spm", "unigram": for people */
size_t ops_tokenizer_count(const ops_tokenizer *t);     /* ids are below */
ops_piece_kind ops_tokenizer_kind(const ops_tokenizer *t,
                                  int32_t id); /* OPS_PIECE_NONE outside the vocabulary */
/* Bytes that the token stands for (a control token: its name), often no whole UTF-8. Empty outside the vocabulary. */
ops_slice ops_tokenizer_piece(const ops_tokenizer *t, int32_t id);
/* Id of the control, unknown, byte or user-defined token of this name, -1 when there is none. */
int32_t ops_tokenizer_find(const ops_tokenizer *t, ops_slice name);
int32_t ops_tokenizer_bos(const ops_tokenizer *t); /* -1: none */
int32_t ops_tokenizer_eos(const ops_tokenizer *t);
int32_t ops_tokenizer_unk(const ops_tokenizer *t);
bool ops_tokenizer_add_bos(const ops_tokenizer *t); /* what a plain prompt starts with, says the file */
bool ops_tokenizer_add_eos(const ops_tokenizer *t);
bool ops_tokenizer_ends(const ops_tokenizer *t, int32_t id); /* eos, end of turn: a generation stops at it */

enum ops_tokenizer_flags {
    OPS_TOKENIZER_BOS = 1,    /* bos first, and eos last, where the file asks for them */
    OPS_TOKENIZER_INSIDE = 2, /* not the start of a prompt: no space goes before the text */
    OPS_TOKENIZER_PLAIN =
        4 /* the marks of tools (<tool_call>, <tool_response> and what closes them) are no pieces
                                 in it, though user-defined: a chat's template alone writes them */
};

/* Appends the ids of `text` to *out. Bytes that are no UTF-8 read as U+FFFD, one for each maximal part of a code point
 * (Unicode 15, section 3.9, as Python and WHATWG do). Time is O(n log n) in the bytes and linear where the text falls
 * into words; nothing is cut silently: OPS_ETOOBIG (a text past OPS_TOKENIZER_TEXT_MAX, or more ids than out->max; told
 * from the length alone, before any work, where even the longest pieces would not do) and OPS_ENOMEM leave *out as it
 * was. */
OPS_MUST_USE ops_status ops_tokenizer_encode(const ops_tokenizer *t, ops_slice text, unsigned flags,
                                             ops_tokens *out, ops_err *reterr);

/* Ids to text as they come. Appends whole UTF-8 only: bytes of a code point that has not ended are held back, and bytes
 * that can be part of none become U+FFFD. Control tokens give nothing. Invariant: n_held < 4. */
typedef struct ops_detok {
    const ops_tokenizer *t;
    bool started;
    size_t n_held;
    char held[4];
} ops_detok;

void ops_detok_init(ops_detok *d, const ops_tokenizer *t);
void ops_detok_put(ops_detok *d, int32_t id, ops_strbuf *out);
void ops_detok_end(ops_detok *d,
                   ops_strbuf *out); /* what is held back is broken now; ready for another text */

#endif
