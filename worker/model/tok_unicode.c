/* Code points as the reference tokenizers see them. Their tables are those of Unicode 16 (and 17 for digits that stand
 * alone), the installed library's may be older: what was assigned since Unicode 15.0 is listed here, from
 * https://www.unicode.org/Public/16.0.0/ucd/extracted/DerivedGeneralCategory.txt. */
#include <stdlib.h>
#include <utf8proc.h>

#include "base/mem/alloc.h"
#include "base/text/utf8.h"
#include "worker/model/tok_internal.h"

static const struct range {
    uint32_t from, to;
} letters[] = {{0x1c89, 0x1c8a},   {0xa7cb, 0xa7cd},   {0xa7da, 0xa7dc},   {0x105c0, 0x105f3},
               {0x10d4a, 0x10d65}, {0x10d6f, 0x10d85}, {0x10ec2, 0x10ec4}, {0x11380, 0x11389},
               {0x1138b, 0x1138b}, {0x1138e, 0x1138e}, {0x11390, 0x113b5}, {0x113b7, 0x113b7},
               {0x113d1, 0x113d1}, {0x113d3, 0x113d3}, {0x11bc0, 0x11be0}, {0x13460, 0x143fa},
               {0x16100, 0x1611d}, {0x16d40, 0x16d6c}, {0x18cff, 0x18cff}, {0x1e5d0, 0x1e5ed},
               {0x1e5f0, 0x1e5f0}, {0x2ebf0, 0x2ee5d}},
  numbers[] = {{0x10d40, 0x10d49}, {0x116d0, 0x116e3}, {0x11bf0, 0x11bf9}, {0x16130, 0x16139},
               {0x16d70, 0x16d79}, {0x1ccf0, 0x1ccf9}, {0x1e5f1, 0x1e5fa}};

static bool within(const struct range *r, size_t n, uint32_t c)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (c > r[mid].to)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && c >= r[lo].from;
}

/* The property White_Space without CR and LF. */
static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 12) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

static ops_tok_class ascii(unsigned char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return OPS_TOK_LETTER;
    if (c >= '0' && c <= '9')
        return OPS_TOK_NUMBER;
    if (c == '\r' || c == '\n')
        return OPS_TOK_LINE;
    return is_space(c) ? OPS_TOK_SPACE : OPS_TOK_OTHER;
}

size_t ops_tok_bytes(unsigned char lead)
{
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

uint32_t ops_tok_code(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    switch (ops_tok_bytes(u[0])) {
    case 1:
        return u[0];
    case 2:
        return (u[0] & 31u) << 6 | (u[1] & 63u);
    case 3:
        return (u[0] & 15u) << 12 | (u[1] & 63u) << 6 | (u[2] & 63u);
    default:
        return (u[0] & 7u) << 18 | (u[1] & 63u) << 12 | (u[2] & 63u) << 6 | (u[3] & 63u);
    }
}

ops_tok_class ops_tok_class_at(ops_slice text, size_t at, size_t *ret_bytes)
{
    *ret_bytes = 0;
    if (at >= text.n)
        return OPS_TOK_END;
    const unsigned char lead = (unsigned char)text.p[at];
    *ret_bytes = ops_tok_bytes(lead);
    if (lead < 0x80)
        return ascii(lead);
    const uint32_t c = ops_tok_code(text.p + at);
    if (is_space(c))
        return OPS_TOK_SPACE;
    const utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    if (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO)
        return OPS_TOK_LETTER;
    if (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO)
        return OPS_TOK_NUMBER;
    if (k != UTF8PROC_CATEGORY_CN)
        return OPS_TOK_OTHER;
    return within(letters, sizeof letters / sizeof *letters, c)   ? OPS_TOK_LETTER
           : within(numbers, sizeof numbers / sizeof *numbers, c) ? OPS_TOK_NUMBER
                                                                  : OPS_TOK_OTHER;
}

/* Bytes of the broken code point at the start of `s`: as many as a whole one could start with, at least one. *ret_open:
 * the text ended before it could be told (RFC 3629 has the ranges of the second byte). */
static size_t broken(ops_slice s, bool *ret_open)
{
    const unsigned char *u = (const unsigned char *)s.p;
    *ret_open = false;
    if (u[0] < 0xc2 || u[0] > 0xf4)
        return 1;
    const unsigned char low = u[0] == 0xe0 ? 0xa0 : u[0] == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = u[0] == 0xed ? 0x9f : u[0] == 0xf4 ? 0x8f : 0xbf;
    const size_t whole = ops_tok_bytes(u[0]);
    size_t n = 1;
    for (; n < whole && n < s.n; n++)
        if (n == 1 ? u[1] < low || u[1] > high : (u[n] & 0xc0) != 0x80)
            return n;
    *ret_open = true;
    return n;
}

void ops_tok_clean(ops_strbuf *out, ops_slice text, size_t *keep)
{
    if (keep != NULL)
        *keep = 0;
    size_t from = 0, at = 0;
    while (at < text.n) {
        const ops_slice rest = ops_slice_sub(text, at, text.n);
        const size_t n = (unsigned char)text.p[at] < 0x80 ? 1 : ops_utf8_len(rest);
        if (n > 0) {
            at += n;
            continue;
        }
        ops_strbuf_put(out, text.p + from, at - from);
        bool open;
        const size_t bad = broken(rest, &open);
        from = at += bad;
        if (open && keep != NULL) {
            *keep = bad;
            return;
        }
        ops_strbuf_put(out, "\xef\xbf\xbd", 3);
    }
    ops_strbuf_put(out, text.p + from, at - from);
}

/* No code point below U+0300 is changed by NFC or composes with another one below. */
bool ops_tok_nfc_inert(ops_slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] >= 0xcc) /* the lead byte of U+0300 */
            return false;
    return true;
}

/* Canonical order of a run of combining marks: stable by class. A counting sort, for the library's own is quadratic and a
 * text may be nothing but marks. */
static bool order_marks(utf8proc_int32_t *c, size_t n, utf8proc_int32_t *spare)
{
    size_t count[257] = {0};
    bool sorted = true;
    for (size_t i = 0; i < n; i++) {
        const int k = utf8proc_get_property(c[i])->combining_class;
        count[k + 1]++;
        sorted = sorted && (i == 0 || utf8proc_get_property(c[i - 1])->combining_class <= k);
    }
    if (sorted)
        return false;
    for (size_t k = 1; k < 257; k++)
        count[k] += count[k - 1];
    for (size_t i = 0; i < n; i++)
        spare[count[utf8proc_get_property(c[i])->combining_class]++] = c[i];
    return true;
}

static size_t decompose(ops_slice text, utf8proc_int32_t *c, size_t room)
{
    size_t n = 0;
    for (size_t at = 0; at < text.n; at += ops_tok_bytes((unsigned char)text.p[at])) {
        int boundary = 0;
        const utf8proc_ssize_t parts =
            utf8proc_decompose_char((utf8proc_int32_t)ops_tok_code(text.p + at), c + n,
                                    (utf8proc_ssize_t)(room - n), UTF8PROC_DECOMPOSE, &boundary);
        if (parts < 0 || (size_t)parts > room - n)
            return SIZE_MAX;
        n += (size_t)parts;
    }
    return n;
}

ops_status ops_tok_nfc(ops_slice text, ops_strbuf *out, ops_err *reterr)
{
    const size_t room = 4 * text.n + 4; /* a code point has four canonical parts at most */
    OPS_AUTO(ops_free) void *block = ops_malloc(2 * room * sizeof(utf8proc_int32_t));
    if (block == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "normalizing %zu bytes", text.n);
    utf8proc_int32_t *c = block, *spare = c + room;
    const size_t n = decompose(text, c, room);
    if (n == SIZE_MAX)
        return ops_fail(reterr, OPS_EINTERNAL, "normalizing %zu bytes: more parts than there can be", text.n);
    for (size_t i = 0; i < n;) {
        size_t j = i;
        while (j < n && utf8proc_get_property(c[j])->combining_class != 0)
            j++;
        if (j > i + 1 && order_marks(c + i, j - i, spare))
            memcpy(c + i, spare, (j - i) * sizeof *c);
        i = j + 1;
    }
    const utf8proc_ssize_t composed =
        utf8proc_normalize_utf32(c, (utf8proc_ssize_t)n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    for (utf8proc_ssize_t i = 0; i < composed; i++) {
        char b[4];
        ops_strbuf_put(out, b, (size_t)utf8proc_encode_char(c[i], (utf8proc_uint8_t *)b));
    }
    return out->failed ? ops_fail(reterr, OPS_ENOMEM, "normalizing %zu bytes", text.n) : OPS_OK;
}
