/* Code points: what the normalizer makes of one, and which kinds there are. One code point at a time is enough: with
 * accents stripped (category Mn, after canonical decomposition) nothing is left whose order the canonical ordering of
 * NFD could change, save a handful of spacing marks that never meet in a word. */
#include <utf8proc.h>

#include "base/text/utf8.h"
#include "worker/model/wordpiece_internal.h"

int32_t ops_wordpiece_next(ops_slice *rest)
{
    const size_t n = ops_utf8_len(*rest);
    int32_t c = 0xfffd;
    if (n > 0)
        (void)utf8proc_iterate((const utf8proc_uint8_t *)rest->p, (utf8proc_ssize_t)n, &c);
    *rest = ops_slice_sub(*rest, n > 0 ? n : 1, rest->n);
    return c;
}

size_t ops_wordpiece_put(int32_t c, char *ret)
{
    return (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)ret);
}

/* The property White_Space. */
bool ops_wordpiece_blank(int32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

/* All of ASCII that is no letter, digit, blank or control, as BERT has it, and the categories P*. */
bool ops_wordpiece_punct(int32_t c)
{
    if (c < 128)
        return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
    const utf8proc_category_t k = utf8proc_category(c);
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

/* Control, format and private use, but tab and line ends; unassigned code points stay. */
static bool is_control(int32_t c)
{
    if (c == '\t' || c == '\n' || c == '\r')
        return false;
    const utf8proc_category_t k = utf8proc_category(c);
    return k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO;
}

/* The CJK ideograph blocks, with the lower bound 2B920 that the reference tokenizer has (the block starts at 2B820). */
static bool is_cjk(int32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) ||
           (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static size_t put_lower(const ops_wordpiece_rules *rules, int32_t c, int32_t *ret)
{
    if (rules->lower && c == 0x130) { /* the one code point whose lower case is two */
        ret[0] = 'i';
        ret[1] = 0x307;
        return 2;
    }
    ret[0] = rules->lower ? utf8proc_tolower(c) : c;
    return 1;
}

size_t ops_wordpiece_normalize(const ops_wordpiece_rules *rules, int32_t c, int32_t *ret)
{
    if (c < 128 && c > 32) { /* nearly everything in a log */
        ret[0] = rules->lower && c >= 'A' && c <= 'Z' ? c + 32 : c;
        return c != 127 || !rules->clean;
    }
    if (rules->clean) {
        if (c == 0 || c == 0xfffd || is_control(c))
            return 0;
        if (ops_wordpiece_blank(c))
            c = ' ';
    }
    enum { PARTS_MAX = 18 };
    int32_t part[PARTS_MAX] = {c};
    utf8proc_ssize_t parts = 1;
    if (rules->strip) {
        int boundary = 0;
        parts = utf8proc_decompose_char(c, part, PARTS_MAX, UTF8PROC_DECOMPOSE, &boundary);
        if (parts < 1 || parts > PARTS_MAX) { /* no code point decomposes so far */
            part[0] = c;
            parts = 1;
        }
    }
    const bool apart = rules->cjk && is_cjk(c);
    size_t n = 0;
    if (apart)
        ret[n++] = ' ';
    for (utf8proc_ssize_t i = 0; i < parts; i++)
        if (!rules->strip || utf8proc_category(part[i]) != UTF8PROC_CATEGORY_MN)
            n += put_lower(rules, part[i], ret + n);
    if (apart)
        ret[n++] = ' ';
    return n;
}
