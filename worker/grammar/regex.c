/* Patterns of JSON Schema: the part of ECMA-262 that names a regular set. Where dialects differ the smaller reading is taken:
 * \d \w \s and their opposites are of ASCII, and so is [^...] with one of them, and what a class or a point leaves open is no control character. */
#include <stdlib.h>

#include "base/text/utf8.h"
#include "worker/grammar/build_internal.h"

enum { RANGES = 256 };

typedef struct parser {
    ops_gb *b;
    ops_slice s;
    size_t at;
    int depth;
    ops_err *err;
    ops_status st;
} parser;

static const ops_gb_range open_to_all[] = {{0x20, 0x7e}, {0x80, 0xd7ff}, {0xe000, 0x10ffff}};

static ops_gb_ref fail_at(parser *p, ops_status st, const char *what)
{
    if (p->st == OPS_OK)
        p->st = ops_fail(p->err, st, "pattern, byte %zu: %s", p->at, what);
    return OPS_GB_NEVER;
}
static bool more(const parser *p)
{
    return p->st == OPS_OK && p->at < p->s.n;
}
static char peek(const parser *p)
{
    return p->at < p->s.n ? p->s.p[p->at] : '\0';
}
static bool next_is(parser *p, const char *text)
{
    const size_t n = strlen(text);
    if (p->at + n > p->s.n || memcmp(p->s.p + p->at, text, n) != 0)
        return false;
    p->at += n;
    return true;
}

static uint32_t code_point(parser *p)
{
    const ops_slice rest = ops_slice_sub(p->s, p->at, p->s.n);
    const size_t n = ops_utf8_len(rest);
    if (n == 0) {
        (void)fail_at(p, OPS_EINVAL, "no UTF-8");
        return 0;
    }
    static const uint8_t keep[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (uint8_t)rest.p[0] & keep[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((uint8_t)rest.p[i] & 0x3f);
    p->at += n;
    return c;
}

static uint32_t hex(parser *p, int digits)
{
    uint32_t v = 0;
    for (int i = 0; i < digits; i++, p->at++) {
        const char c = peek(p);
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint32_t)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            v = v << 4 | (uint32_t)((c | 32) - 'a' + 10);
        else {
            (void)fail_at(p, OPS_EINVAL, "an escape wants hexadecimal digits");
            return 0;
        }
    }
    return v;
}

typedef struct set {
    ops_gb_range r[RANGES];
    size_t n;
    bool ascii; /* a shorthand is in it, of which dialects say different things past ASCII */
} set;

static void put(parser *p, set *s, uint32_t lo, uint32_t hi)
{
    if (s->n == RANGES) {
        (void)fail_at(p, OPS_ETOOBIG, "a class of more than 256 ranges");
        return;
    }
    s->r[s->n++] = (ops_gb_range){lo, hi};
}

/* \d \w \s \D \W \S into the set; false: another letter. */
static bool shorthand(parser *p, set *s, char c)
{
    static const ops_gb_range digit[] = {{'0', '9'}},
                              word[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
                              space[] = {{'\t', '\r'}, {' ', ' '}};
    static const ops_gb_range no_digit[] = {{' ', '0' - 1}, {'9' + 1, '~'}},
                              no_word[] = {{' ', '0' - 1},
                                           {'9' + 1, 'A' - 1},
                                           {'Z' + 1, '^'},
                                           {'`', '`'},
                                           {'z' + 1, '~'}},
                              no_space[] = {{'!', '~'}};
    static const struct {
        char c;
        const ops_gb_range *r;
        size_t n;
    } all[] = {{'d', digit, 1},    {'w', word, 4},    {'s', space, 2},
               {'D', no_digit, 2}, {'W', no_word, 5}, {'S', no_space, 1}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].c == c) {
            s->ascii = true;
            for (size_t k = 0; k < all[i].n; k++)
                put(p, s, all[i].r[k].lo, all[i].r[k].hi);
            return true;
        }
    return false;
}

/* After a backslash: a class into *s (true), or one code point. */
static bool escape(parser *p, set *s, uint32_t *ret)
{
    const char c = peek(p);
    static const char from[] = "tnrfv0", to[] = "\t\n\r\f\v\0";
    if (!more(p)) {
        (void)fail_at(p, OPS_EINVAL, "ends in a backslash");
        return false;
    }
    if (shorthand(p, s, c)) {
        p->at++;
        return true;
    }
    const char *found = memchr(from, c, sizeof from - 1);
    if (found != NULL) {
        p->at++;
        *ret = (uint8_t)to[found - from];
    } else if (next_is(p, "x"))
        *ret = hex(p, 2);
    else if (next_is(p, "u"))
        *ret = hex(p, 4);
    else if ((c >= '1' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'))
        (void)fail_at(p, OPS_EUNIMPL, "this escape is not built (references, \\b, \\B, \\p, \\k, \\c)");
    else
        *ret = code_point(p);
    return false;
}

static int by_low(const void *a, const void *b)
{
    const ops_gb_range *x = a, *y = b;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

/* What `open_to_all` has and the set has not. */
static void invert(parser *p, set *s)
{
    set out = {.n = 0};
    const size_t wide = sizeof open_to_all / sizeof *open_to_all;
    qsort(s->r, s->n, sizeof *s->r, by_low);
    for (size_t i = 0; i < (s->ascii ? 1 : wide); i++) {
        uint32_t at = open_to_all[i].lo;
        for (size_t k = 0; k < s->n && at <= open_to_all[i].hi; k++) {
            if (s->r[k].hi < at)
                continue;
            if (s->r[k].lo > open_to_all[i].hi)
                break;
            if (s->r[k].lo > at)
                put(p, &out, at, s->r[k].lo - 1);
            at = s->r[k].hi + 1;
        }
        if (at <= open_to_all[i].hi)
            put(p, &out, at, open_to_all[i].hi);
    }
    *s = out;
}

static ops_gb_ref class(parser *p)
{
    set s = {.n = 0};
    const bool not = next_is(p, "^");
    while (more(p) && peek(p) != ']') {
        uint32_t lo = 0, hi = 0;
        bool many = next_is(p, "\\") ? escape(p, &s, &lo) : (lo = code_point(p), false);
        if (many)
            continue;
        hi = lo;
        if (peek(p) == '-' && p->at + 1 < p->s.n && p->s.p[p->at + 1] != ']') {
            p->at++;
            many = next_is(p, "\\") ? escape(p, &s, &hi) : (hi = code_point(p), false);
            if (many || hi < lo)
                return fail_at(p, OPS_EINVAL, "a range of a class runs backwards or ends in a class");
        }
        put(p, &s, lo, hi);
    }
    if (!next_is(p, "]"))
        return fail_at(p, OPS_EINVAL, "a class without its ]");
    if (not )
        invert(p, &s);
    return p->st == OPS_OK ? ops_gb_set(p->b, s.r, s.n, true) : OPS_GB_NEVER;
}

static ops_gb_ref alternatives(parser *p, bool outermost);

static ops_gb_ref group(parser *p) // NOLINT(misc-no-recursion): OPS_GRAMMAR_NESTING_MAX
{
    if (peek(p) == '?' && !next_is(p, "?:"))
        return fail_at(p, OPS_EUNIMPL, "groups other than ( ) and (?: ) are not built");
    if (++p->depth > OPS_GRAMMAR_NESTING_MAX)
        return fail_at(p, OPS_ETOOBIG, "groups nested deeper than 64");
    const ops_gb_ref x = alternatives(p, false);
    p->depth--;
    return next_is(p, ")") ? x : fail_at(p, OPS_EINVAL, "a group without its )");
}

static ops_gb_ref atom(parser *p) // NOLINT(misc-no-recursion)
{
    static const ops_gb_range point[] = {{0x20, 0x7e}, {0x80, 0x2027}, {0x202a, 0xd7ff}, {0xe000, 0x10ffff}};
    if (next_is(p, "("))
        return group(p);
    if (next_is(p, "["))
        return class(p);
    if (next_is(p, "."))
        return ops_gb_set(p->b, point, 4, true);
    if ((peek(p) == '^' || peek(p) == '$'))
        return fail_at(p, OPS_EUNIMPL, "^ and $ are built at the ends of the outermost alternatives only");
    if ((peek(p) != '\0' && strchr("*+?{}])", peek(p)) != NULL))
        return fail_at(p, OPS_EINVAL, "nothing stands before this");
    set s = {.n = 0};
    uint32_t c = 0;
    if (!next_is(p, "\\"))
        c = code_point(p);
    else if (escape(p, &s, &c))
        return p->st == OPS_OK ? ops_gb_set(p->b, s.r, s.n, true) : OPS_GB_NEVER;
    const ops_gb_range r = {c, c};
    return p->st == OPS_OK ? ops_gb_set(p->b, &r, 1, true) : OPS_GB_NEVER;
}

static uint32_t number(parser *p)
{
    uint32_t v = 0;
    if (peek(p) < '0' || peek(p) > '9')
        (void)fail_at(p, OPS_EINVAL, "a number is missing");
    for (; peek(p) >= '0' && peek(p) <= '9' && v <= OPS_GRAMMAR_REPEAT_MAX; p->at++)
        v = v * 10 + (uint32_t)(peek(p) - '0');
    if (v > OPS_GRAMMAR_REPEAT_MAX)
        (void)fail_at(p, OPS_ETOOBIG, "a count above 65536");
    return v;
}

static ops_gb_ref counted(parser *p, ops_gb_ref x)
{
    uint32_t min = 0, max = OPS_GB_NO_MAX;
    if (next_is(p, "+"))
        min = 1;
    else if (next_is(p, "?"))
        max = 1;
    else if (next_is(p, "{")) {
        min = max = number(p);
        if (next_is(p, ","))
            max = peek(p) == '}' ? OPS_GB_NO_MAX : number(p);
        if (!next_is(p, "}") || max < min)
            return fail_at(p, OPS_EINVAL, "a count is not {m}, {m,} or {m,n}");
    } else if (!next_is(p, "*"))
        return x;
    (void)next_is(p, "?"); /* which of several readings is tried first says nothing here */
    return p->st == OPS_OK ? ops_gb_repeat(p->b, x, min, max) : OPS_GB_NEVER;
}

static ops_gb_ref anything(ops_gb *b)
{
    return ops_gb_repeat(b, ops_gb_set(b, open_to_all, 3, true), 0, OPS_GB_NO_MAX);
}

static ops_gb_ref sequence(parser *p, bool outermost) // NOLINT(misc-no-recursion)
{
    ops_gb_ref x = outermost && !next_is(p, "^") ? anything(p->b) : OPS_GB_EMPTY;
    while (more(p) && peek(p) != '|' && peek(p) != ')') {
        if (outermost && peek(p) == '$' && (p->at + 1 == p->s.n || p->s.p[p->at + 1] == '|')) {
            p->at++;
            return x;
        }
        const ops_gb_ref y = counted(p, atom(p));
        x = ops_gb_pair(p->b, OPS_GB_KIND_SEQ, x, y);
    }
    return outermost ? ops_gb_pair(p->b, OPS_GB_KIND_SEQ, x, anything(p->b)) : x;
}

static ops_gb_ref alternatives(parser *p, bool outermost) // NOLINT(misc-no-recursion)
{
    ops_gb_ref x = sequence(p, outermost);
    while (next_is(p, "|"))
        x = ops_gb_pair(p->b, OPS_GB_KIND_ALT, x, sequence(p, outermost));
    return x;
}

ops_status ops_gb_pattern(ops_gb *b, ops_slice pattern, ops_gb_ref *ret, ops_err *reterr)
{
    if (pattern.n > OPS_GB_PATTERN_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "pattern of %zu bytes, more than %d", pattern.n,
                        OPS_GB_PATTERN_MAX);
    parser p = {.b = b, .s = pattern, .err = reterr};
    const ops_gb_ref x = alternatives(&p, true);
    if (p.st == OPS_OK && p.at < pattern.n)
        (void)fail_at(&p, OPS_EINVAL, "a ) without its (");
    if (p.st == OPS_OK)
        *ret = x;
    return p.st;
}
