/* Growing text: doubling up to the maximum. */
#include "base/text/strbuf.h"

#include <stdint.h>
#include <stdio.h>

#include "base/mem/alloc.h"
#include "base/text/utf8.h"

void ops_strbuf_init(ops_strbuf *b, size_t max)
{
    *b = (ops_strbuf){.max = max};
}

void ops_strbuf_done(ops_strbuf *b)
{
    ops_free(b->p);
    *b = (ops_strbuf){.max = b->max};
}

void ops_strbuf_clear(ops_strbuf *b)
{
    b->n = 0;
    b->failed = false;
    if (b->p != NULL)
        b->p[0] = '\0';
}

char *ops_strbuf_room(ops_strbuf *b, size_t n)
{
    if (b->failed || n > b->max - b->n) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->n + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap > 0 ? b->cap : 64;
        while (cap < need)
            cap *= 2;
        char *p = ops_realloc(b->p, cap);
        if (p == NULL) {
            b->failed = true;
            return NULL;
        }
        b->p = p;
        b->cap = cap;
    }
    return b->p + b->n;
}

void ops_strbuf_put(ops_strbuf *b, const void *p, size_t n)
{
    char *at = ops_strbuf_room(b, n);
    if (at == NULL)
        return;
    if (n > 0)
        memcpy(at, p, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void ops_strbuf_char(ops_strbuf *b, char c)
{
    ops_strbuf_put(b, &c, 1);
}

void ops_strbuf_printf(ops_strbuf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *at = n >= 0 ? ops_strbuf_room(b, (size_t)n) : NULL;
    if (at != NULL) {
        (void)vsnprintf(at, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

static void json_escape(ops_strbuf *b, unsigned char c)
{
    switch (c) {
    case '"':
        ops_strbuf_str(b, "\\\"");
        break;
    case '\\':
        ops_strbuf_str(b, "\\\\");
        break;
    case '\n':
        ops_strbuf_str(b, "\\n");
        break;
    case '\r':
        ops_strbuf_str(b, "\\r");
        break;
    case '\t':
        ops_strbuf_str(b, "\\t");
        break;
    default:
        ops_strbuf_printf(b, "\\u%04x", c);
    }
}

void ops_strbuf_json(ops_strbuf *b, ops_slice s)
{
    ops_strbuf_char(b, '"');
    size_t i = 0;
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x80) {
            size_t len = ops_utf8_len(ops_slice_sub(s, i, s.n));
            if (len == 0)
                ops_strbuf_str(b, "\xEF\xBF\xBD");
            else
                ops_strbuf_put(b, s.p + i, len);
            i += len > 0 ? len : 1;
            continue;
        }
        size_t run = i;
        while (run < s.n && (unsigned char)s.p[run] >= 0x20 && (unsigned char)s.p[run] < 0x7F &&
               s.p[run] != '"' && s.p[run] != '\\')
            run++;
        if (run > i) {
            ops_strbuf_put(b, s.p + i, run - i);
            i = run;
        } else {
            json_escape(b, c);
            i++;
        }
    }
    ops_strbuf_char(b, '"');
}

char *ops_strbuf_take(ops_strbuf *b)
{
    char *p = NULL;
    if (!b->failed && (b->p != NULL || ops_strbuf_room(b, 0) != NULL)) {
        p = b->p;
        p[b->n] = '\0';
        b->p = NULL;
    }
    ops_strbuf_done(b);
    return p;
}
