/* The shape of a message: its atoms and the glue between them (see miner.h). Private to the room. */
#ifndef OPS_ANALYSIS_SHAPE_H
#define OPS_ANALYSIS_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text/hash.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"

enum {
    OPS_SHAPE_ATOMS_MAX = 96,
    OPS_SHAPE_ATOM_BYTES_MAX = 128,
    OPS_SHAPE_GLUE_BYTES_MAX = 64,
    OPS_SHAPE_PLAIN_BYTES_MAX = 64
};

#define OPS_SHAPE_VAR_HASH 0x9e3779b97f4a7c15ull
#define OPS_SHAPE_GAP_HASH 0xd1b54a32d192ed03ull

typedef enum ops_atom_kind {
    OPS_ATOM_WORD = 0, /* constant so far, may turn out to be variable */
    OPS_ATOM_FIXED,    /* constant for good: punctuation */
    OPS_ATOM_VAR,      /* variable */
    OPS_ATOM_HELD,     /* a word that is constant for good: it tells how something went */
    OPS_ATOM_GAP       /* of templates only: one or more atoms of any kind and the glue between them */
} ops_atom_kind;

typedef struct ops_atom {
    uint32_t glue_off, glue_len; /* what stands before it */
    uint32_t off, len;
    uint32_t glue; /* hash of the glue before it */
    uint8_t kind;
    uint64_t hash; /* OPS_SHAPE_VAR_HASH for a variable */
} ops_atom;

/* Offsets are into the text that was cut. */
typedef struct ops_shape {
    size_t n;
    ops_atom atoms[OPS_SHAPE_ATOMS_MAX];
    uint32_t tail_off, tail_len; /* glue after the last atom */
    uint32_t tail_glue;
    uint64_t hash;
    uint64_t
        exact; /* of the values that ops_shape_plain() says may be shown; lines of one hash differ in it */
    bool high; /* some byte is not ASCII */
} ops_shape;

/* Cuts `line` (at most 4 GiB). Time: one pass. */
void ops_shape_cut(ops_slice line, ops_shape *ret);

typedef struct ops_shape_span {
    uint32_t off, len;
} ops_shape_span;
/* The same where spans of the line, ascending and apart, are variables for somebody else's reasons. */
void ops_shape_cut_around(ops_slice line, const ops_shape_span *spans, size_t n, ops_shape *ret);

/* The hash of the atom at place p; sums of these make the hash of a shape, so one atom is exchanged in O(1). */
static inline uint64_t ops_shape_place(uint64_t hash, size_t p)
{
    return ops_hash_mix(hash + (p + 1) * 0xc2b2ae3d27d4eb4full);
}
/* The part of a shape's hash that the glue before place p makes; the glue after the last of n atoms stands at place n. */
static inline uint64_t ops_shape_glue_at(uint32_t glue, size_t p)
{
    return ops_hash_mix(glue * 0xff51afd7ed558ccdull + p);
}
static inline uint64_t ops_shape_start(size_t n)
{
    return ops_hash_mix(n + 1);
}
uint32_t ops_shape_glue_hash(ops_slice glue, bool first, bool last);
/* What to add to a shape's hash to make its atom at place p a variable. */
static inline uint64_t ops_shape_delta(uint64_t hash, size_t p)
{
    return ops_shape_place(OPS_SHAPE_VAR_HASH, p) - ops_shape_place(hash, p);
}
/* Words that tell how something went become HELD; the hashes stay as they are. */
void ops_shape_hold(ops_slice line, ops_shape *sh);
/* May the value of a variable be shown while it is the only one seen? Text without a digit, and no path. */
bool ops_shape_plain(ops_slice value);
/* Appends glue as it is hashed: blanks as one space, at most OPS_SHAPE_GLUE_BYTES_MAX bytes. `first` and `last`: no blank at
 * that end. */
void ops_shape_glue(ops_strbuf *b, ops_slice glue, bool first, bool last);

#endif
