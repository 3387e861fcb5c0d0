/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, at most U+10FFFF. */
#ifndef OPS_BASE_UTF8_H
#define OPS_BASE_UTF8_H

#include "base/text/slice.h"

struct ops_strbuf;

/* Bytes of the code point at the start of `s`; 0 when they are no valid UTF-8 (or `s` is empty). */
size_t ops_utf8_len(ops_slice s);
bool ops_utf8_valid(ops_slice s);
/* Appends `s` with each byte that is part of no valid code point replaced by U+FFFD; NUL too, for who takes a text for
 * a C string would lose the rest. */
void ops_utf8_clean(struct ops_strbuf *b, ops_slice s);

#endif
