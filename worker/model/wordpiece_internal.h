#ifndef OPS_WORKER_WORDPIECE_INTERNAL_H
#define OPS_WORKER_WORDPIECE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text/slice.h"

typedef struct ops_wordpiece_rules {
    bool clean, cjk, strip, lower;
} ops_wordpiece_rules;

/* What one code point of the text becomes: up to OPS_WORDPIECE_OUT_MAX code points. */
enum { OPS_WORDPIECE_OUT_MAX = 40 };
size_t ops_wordpiece_normalize(const ops_wordpiece_rules *rules, int32_t c, int32_t *ret);
/* The next code point of *rest, U+FFFD for a byte that is part of none. *rest must not be empty. */
int32_t ops_wordpiece_next(ops_slice *rest);
bool ops_wordpiece_blank(int32_t c);
bool ops_wordpiece_punct(int32_t c);
size_t ops_wordpiece_put(int32_t c, char *ret); /* as UTF-8, at most 4 bytes */

#endif
