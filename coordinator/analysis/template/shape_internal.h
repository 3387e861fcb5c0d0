/* What the files that cut a message share. Private to shape*.c. */
#ifndef OPS_ANALYSIS_SHAPE_INTERNAL_H
#define OPS_ANALYSIS_SHAPE_INTERNAL_H

#include <string.h>

#include "coordinator/analysis/template/shape.h"

enum {
    C_DIGIT = 1,
    C_LOWER = 2,
    C_UPPER = 4,
    C_SLASH = 8,
    C_DOT = 16,
    C_JOIN = 32, /* _ - + % $ ~ * @ */
    C_HIGH = 64,
    C_BLANK = 128,
    C_ALPHA = C_LOWER | C_UPPER,
    C_ALNUM = C_DIGIT | C_ALPHA,
    C_WORD = C_ALNUM | C_SLASH | C_DOT | C_JOIN
};
extern const uint8_t ops_shape_class[256];

typedef struct shape_cutter {
    const uint8_t *s;
    size_t n, i;
    size_t glue; /* where the glue in work begins */
    ops_shape *sh;
    int braces; /* how many { are open */
    bool full;
} shape_cutter;

static inline uint8_t ops_shape_at(const shape_cutter *c, size_t i)
{
    return i < c->n ? ops_shape_class[c->s[i]] : C_BLANK;
}
static inline bool ops_shape_one_of(uint8_t ch, const char *set)
{
    return ch != 0 && strchr(set, ch) != NULL;
}

/* shape.c: adds the atom [from, to) after the glue that ends at `from`, and goes on at `to`. */
void ops_shape_push(shape_cutter *c, size_t from, size_t to, ops_atom_kind kind);

/* shape_word.c: is the word [from, to), which holds characters of the classes `seen`, variable by its form? */
bool ops_shape_variable(const shape_cutter *c, size_t from, size_t to, unsigned seen);
/* true, null and their like. */
bool ops_shape_literal(const uint8_t *p, size_t n);

/* shape_value.c: values of several words. Each returns where the value ends that begins at `from`, 0 when none does. */
size_t ops_shape_date(const shape_cutter *c, size_t from);      /* Sat Jun 18 02:08:12 2005 */
size_t ops_shape_groups(const shape_cutter *c, size_t from);    /* 00:1b:21:3c:9d:f8, fe80::1 */
size_t ops_shape_less_than(const shape_cutter *c, size_t from); /* <1 sec */
size_t ops_shape_path(const shape_cutter *c,
                      size_t to); /* a path that ends at `to` goes on: a query, a blank */
/* The length of a mark that is not ASCII (quotes, CJK punctuation) at i, 0 when there is none. */
size_t ops_shape_mark(const shape_cutter *c, size_t i);
/* At a mark of that length: takes what it quotes as one variable; false when it opens no quote. */
bool ops_shape_quoted_high(shape_cutter *c, size_t mark);
bool ops_shape_quoted(shape_cutter *c);
bool ops_shape_values(shape_cutter *c);

#endif
