/* Growing text with a maximum. A failure (heap out, maximum reached) is sticky: check `failed` once, at the end.
 * Invariant: p is NULL or NUL-terminated at p[n]. */
#ifndef OPS_BASE_STRBUF_H
#define OPS_BASE_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/text/slice.h"

typedef struct ops_strbuf {
    char *p;
    size_t n, cap, max;
    bool failed;
} ops_strbuf;

void ops_strbuf_init(ops_strbuf *b, size_t max); /* allocates nothing yet */
void ops_strbuf_done(ops_strbuf *b);
void ops_strbuf_clear(ops_strbuf *b); /* empty, not failed, memory kept */
void ops_strbuf_put(ops_strbuf *b, const void *p, size_t n);
void ops_strbuf_char(ops_strbuf *b, char c);
void ops_strbuf_printf(ops_strbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void ops_strbuf_json(ops_strbuf *b, ops_slice s);
/* The text, now the caller's (free with ops_free); NULL when failed. The buffer is empty afterwards. */
char *ops_strbuf_take(ops_strbuf *b);
/* Makes room for n more bytes and returns where they go (caller writes, then adds to b->n); NULL when failed. */
char *ops_strbuf_room(ops_strbuf *b, size_t n);

static inline void ops_strbuf_slice(ops_strbuf *b, ops_slice s)
{
    ops_strbuf_put(b, s.p, s.n);
}
static inline void ops_strbuf_str(ops_strbuf *b, const char *s)
{
    ops_strbuf_put(b, s, strlen(s));
}
static inline ops_slice ops_strbuf_get(const ops_strbuf *b)
{
    return (ops_slice){b->p, b->n};
}

#endif
