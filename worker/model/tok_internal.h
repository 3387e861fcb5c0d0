/* Inside of the tokenizers; worker/model/tokenizer.h is the port. */
#ifndef OPS_WORKER_TOK_INTERNAL_H
#define OPS_WORKER_TOK_INTERNAL_H

#include "base/coll/map.h"
#include "worker/model/tokenizer.h"

/* --- code points (tok_unicode.c); every function here takes valid UTF-8 --- */
typedef enum ops_tok_class {
    OPS_TOK_OTHER,
    OPS_TOK_LETTER, /* \p{L} */
    OPS_TOK_NUMBER, /* \p{N} */
    OPS_TOK_SPACE,  /* White_Space but CR and LF */
    OPS_TOK_LINE,   /* CR and LF */
    OPS_TOK_END     /* past the text */
} ops_tok_class;

ops_tok_class ops_tok_class_at(ops_slice text, size_t at, size_t *ret_bytes); /* OPS_TOK_END: *ret_bytes 0 */
size_t ops_tok_bytes(unsigned char lead); /* of the code point that starts with this byte */
uint32_t ops_tok_code(const char *p);     /* the code point at p */
/* Appends `text`, each maximal part that is no UTF-8 as U+FFFD. Where *keep is given, a part that may still become whole at
 * the end of the text is left out and its bytes counted there. */
void ops_tok_clean(ops_strbuf *out, ops_slice text, size_t *keep);
bool ops_tok_nfc_inert(ops_slice text); /* nothing in it that NFC could change */
OPS_MUST_USE ops_status ops_tok_nfc(ops_slice text, ops_strbuf *out, ops_err *reterr);

/* Bytes of the mark of tools at the start of `text`, 0 for none (tok_vocab.c). */
size_t ops_tok_tool_mark(ops_slice text);

/* --- splitters (tok_split.c) --- */
typedef enum ops_tok_split {
    OPS_SPLIT_NONE,
    OPS_SPLIT_GPT2,
    OPS_SPLIT_SMOLLM,
    OPS_SPLIT_LLAMA3,
    OPS_SPLIT_QWEN2
} ops_tok_split;
/* End of the word that starts at `at` (below text.n), above `at`. Linear over a whole text. */
size_t ops_tok_word(ops_tok_split split, ops_slice text, size_t at);

/* --- a trie over pieces (tok_trie.c) --- */
typedef struct ops_trie ops_trie;
typedef struct ops_trie_key {
    ops_slice text; /* not empty */
    int32_t id;
} ops_trie_key;
ops_trie *ops_trie_new(ops_trie_key *keys,
                       size_t n); /* sorts the keys; of equal ones the first given wins; NULL: heap out */
void ops_trie_free(ops_trie *t);
OPS_AUTO_DEFINE(ops_trie, ops_trie_free)
/* Walks down from *node (0: the root) by one byte; false when no piece goes that way. *ret_id: the piece that ends here, or -1. */
bool ops_trie_step(const ops_trie *t, uint32_t *node, unsigned char byte, int32_t *ret_id);
/* The longest piece at the start of `text`: its bytes, 0 for none. */
size_t ops_trie_longest(const ops_trie *t, ops_slice text, int32_t *ret_id);

/* --- merges by rank (tok_pairs.c) --- */
typedef struct ops_pairs ops_pairs;
ops_pairs *ops_pairs_new(size_t n_max); /* NULL: heap out */
void ops_pairs_free(ops_pairs *p);
OPS_AUTO_DEFINE(ops_pairs, ops_pairs_free)
/* The last of a pair wins. False when too many pairs have one place: no file of a real model is like that. */
bool ops_pairs_put(ops_pairs *p, int32_t left, int32_t right, uint32_t rank, int32_t id);
bool ops_pairs_get(const ops_pairs *p, int32_t left, int32_t right, uint32_t *ret_rank, int32_t *ret_id);

/* --- the tokenizer --- */
typedef enum ops_tok_model { OPS_TOK_BPE, OPS_TOK_SPM, OPS_TOK_UNIGRAM } ops_tok_model;

typedef struct ops_piece {
    uint32_t at, n; /* in text */
    uint8_t kind;
} ops_piece;

struct ops_tokenizer {
    ops_tok_model model;
    ops_tok_split split;
    char name[48];
    bool byte_level; /* symbols are bytes, else code points */
    bool nfc;
    bool ignore_merges; /* a word that is a piece is that piece */
    bool spaces;        /* U+2581 stands for a space: pieces hold spaces, texts have theirs replaced */
    bool prefix;        /* a space goes before the text ("a" and " a" differ), */
    bool prefix_if;     /* ... or does so where there is none */
    bool prefix_each;   /* before each stretch between user-defined pieces, not only the first */
    bool split_spaces;  /* words start at every space */
    bool raw_user;      /* user-defined pieces are matched before spaces are replaced */
    bool byte_fallback, fuse_unk;
    bool add_bos, add_eos;
    int32_t bos, eos, unk;
    int32_t byte_id[256]; /* byte-level: of the symbol; else of <0xXX>; -1 where there is none */
    size_t n_eog;
    int32_t eog[OPS_TOKENIZER_EOG_MAX];

    size_t n;
    ops_piece *piece;
    float *score;   /* SPM */
    double *weight; /* Unigram */
    double unk_weight;
    ops_strbuf text;
    size_t piece_max; /* bytes of the longest that can come out of a text */
    ops_map *by_text; /* pieces that come out of texts -> id + 1 */
    ops_map *by_name; /* the others, and user-defined ones */
    ops_pairs *pairs; /* BPE */
    ops_trie *user;   /* user-defined pieces; NULL when there is none */
    ops_trie *trie;   /* Unigram */
    uint64_t *inside; /* a filter of code point pairs that stand side by side in a piece; NULL: byte-level */
};

/* --- making one (tok_vocab.c). Errors start with `where`. --- */
typedef struct ops_tok_maker {
    const char *where;
    ops_tokenizer *t;
} ops_tok_maker;

ops_status ops_tok_vocab_room(ops_tok_maker *m, size_t n, ops_err *reterr);
/* Texts as the file has them; the maker turns them into bytes. An id twice is OPS_ECORRUPT. */
ops_status ops_tok_vocab_put(ops_tok_maker *m, int32_t id, ops_slice text, ops_piece_kind kind, double score,
                             ops_err *reterr);
/* rank: place in the file. OPS_ECORRUPT names a part that is no piece. */
ops_status ops_tok_merge_put(ops_tok_maker *m, ops_slice left, ops_slice right, uint32_t rank,
                             ops_err *reterr);
/* After the last piece: tables, tries, ids by name. */
ops_status ops_tok_vocab_done(ops_tok_maker *m, ops_err *reterr);
int32_t ops_tok_lookup(const ops_tokenizer *t, ops_slice text); /* -1 */
/* May a piece hold these two code points side by side? */
bool ops_tok_inside(const ops_tokenizer *t, uint32_t a, uint32_t b);

/* --- one word (tok_merge.c, tok_unigram.c) --- */
typedef struct ops_tok_out {
    ops_tokens *to;
    bool after_unk; /* the last id is the unknown one: another fuses with it */
} ops_tok_out;
ops_status ops_tok_put_unknown(const ops_tokenizer *t, ops_slice text, ops_tok_out *out, ops_err *reterr);
ops_status ops_tok_put(ops_tok_out *out, int32_t id, ops_err *reterr);
/* scan_max: symbols up to which the quadratic scan is used (OPS_TOK_SCAN_MAX; a test asks for others). */
enum { OPS_TOK_SCAN_MAX = 48 };
ops_status ops_tok_merge(const ops_tokenizer *t, ops_slice word, size_t scan_max, ops_tok_out *out,
                         ops_err *reterr);
ops_status ops_tok_unigram(const ops_tokenizer *t, ops_slice word, ops_tok_out *out, ops_err *reterr);

#endif
