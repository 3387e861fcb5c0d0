/* UTF-8 checks after table 3-7 of the Unicode Standard (well-formed byte sequences). */
#include "base/text/utf8.h"

#include "base/text/strbuf.h"

static bool cont(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

size_t ops_utf8_len(ops_slice s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    if (s.n == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        return s.n >= 2 && cont(p[1]) ? 2 : 0;
    if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        if (s.n < 3 || !cont(p[1]) || !cont(p[2]))
            return 0;
        if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F))
            return 0;
        return 3;
    }
    if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        if (s.n < 4 || !cont(p[1]) || !cont(p[2]) || !cont(p[3]))
            return 0;
        if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
            return 0;
        return 4;
    }
    return 0;
}

static size_t ascii_run(ops_slice s, size_t i)
{
    while (i + 8 <= s.n) {
        uint64_t w;
        memcpy(&w, s.p + i, 8);
        if (w & 0x8080808080808080ull)
            break;
        i += 8;
    }
    while (i < s.n && (unsigned char)s.p[i] < 0x80)
        i++;
    return i;
}

bool ops_utf8_valid(ops_slice s)
{
    for (size_t i = ascii_run(s, 0); i < s.n; i = ascii_run(s, i)) {
        size_t len = ops_utf8_len((ops_slice){s.p + i, s.n - i});
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

static void clean_piece(ops_strbuf *b, ops_slice s)
{
    size_t from = 0, i = 0;
    while ((i = ascii_run(s, i)) < s.n) {
        size_t len = ops_utf8_len((ops_slice){s.p + i, s.n - i});
        if (len == 0) {
            ops_strbuf_put(b, s.p + from, i - from);
            ops_strbuf_str(b, "\xEF\xBF\xBD");
            i++;
            from = i;
        } else {
            i += len;
        }
    }
    ops_strbuf_put(b, s.p != NULL ? s.p + from : "", s.n - from);
}

void ops_utf8_clean(ops_strbuf *b, ops_slice s)
{
    for (ptrdiff_t at; (at = ops_slice_find_char(s, '\0')) >= 0; s = ops_slice_sub(s, (size_t)at + 1, s.n)) {
        clean_piece(b, ops_slice_sub(s, 0, (size_t)at));
        ops_strbuf_str(b, "\xEF\xBF\xBD");
    }
    clean_piece(b, s);
}
