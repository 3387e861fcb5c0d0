#ifndef OPS_WORKER_WORDPIECE_INTERNAL_H
#define OPS_WORKER_WORDPIECE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/coll/map.h"
#include "worker/model/wordpiece.h"

typedef struct ops_wordpiece_rules {
    bool clean, cjk, strip, lower;
} ops_wordpiece_rules;

typedef struct ops_wordpiece_affix {
    size_t n;
    int32_t id[OPS_WORDPIECE_AFFIX_MAX];
} ops_wordpiece_affix;

struct ops_wordpiece {
    ops_wordpiece_rules rules;
    ops_map *first, *more; /* piece -> id + 1; `more` holds those with the continuing prefix, without it */
    size_t piece_max;      /* bytes of the longest */
    size_t word_chars_max;
    int32_t unk, id_max;
    ops_wordpiece_affix head, tail;
    bool pairs;
};

/* Empty, without an unknown piece; NULL: the heap is out. */
ops_wordpiece *ops_wordpiece_new(void);
/* Puts a piece of the vocabulary into one of the maps of `w`. OPS_ENOMEM. */
ops_status ops_wordpiece_put_piece(ops_map *m, ops_wordpiece *w, ops_slice piece, int32_t id);
int32_t ops_wordpiece_id_of(const ops_map *m, ops_slice piece); /* -1: none */

/* What one code point of the text becomes: up to OPS_WORDPIECE_OUT_MAX code points. */
enum { OPS_WORDPIECE_OUT_MAX = 40 };
size_t ops_wordpiece_normalize(const ops_wordpiece_rules *rules, int32_t c, int32_t *ret);
/* The next code point of *rest, U+FFFD for a byte that is part of none. *rest must not be empty. */
int32_t ops_wordpiece_next(ops_slice *rest);
bool ops_wordpiece_blank(int32_t c);
bool ops_wordpiece_punct(int32_t c);
size_t ops_wordpiece_put(int32_t c, char *ret); /* as UTF-8, at most 4 bytes */

#endif
