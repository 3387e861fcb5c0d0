/* What every grammar of JSON is made of: any value, blanks, numbers in a range. */
#include <stdio.h>

#include "worker/grammar/build_internal.h"

enum { DIGITS = 18, EXPONENT = 2, INDENT = 16 };
static const int64_t most = 999999999999999999; /* DIGITS of them */

static ops_gb_ref seq(ops_gb *b, const ops_gb_ref *kids, size_t n)
{
    return ops_gb_list(b, OPS_GB_KIND_SEQ, kids, n);
}
static ops_gb_ref digits(ops_gb *b, uint32_t lo, uint32_t hi, uint32_t min, uint32_t max)
{
    const ops_gb_range r = {'0' + lo, '0' + hi};
    return lo > hi ? OPS_GB_NEVER : ops_gb_repeat(b, ops_gb_set(b, &r, 1, false), min, max);
}
static ops_gb_ref sign(ops_gb *b)
{
    return ops_gb_maybe(b, ops_gb_text(b, "-"));
}

ops_gb_ref ops_gb_blank(ops_gb *b)
{
    return b->spaced ? ops_gb_call(b, OPS_GB_BLANK) : OPS_GB_EMPTY;
}

/* (0|[1-9][0-9]*), at most DIGITS */
static ops_gb_ref whole(ops_gb *b)
{
    return ops_gb_pair(
        b, OPS_GB_KIND_ALT, ops_gb_text(b, "0"),
        ops_gb_pair(b, OPS_GB_KIND_SEQ, digits(b, 1, 9, 1, 1), digits(b, 0, 9, 0, DIGITS - 1)));
}
static ops_gb_ref fraction(ops_gb *b, uint32_t digit_max)
{
    return ops_gb_maybe(
        b, ops_gb_pair(b, OPS_GB_KIND_SEQ, ops_gb_text(b, "."), digits(b, 0, digit_max, 1, DIGITS)));
}

ops_gb_ref ops_gb_integer(ops_gb *b)
{
    return ops_gb_pair(b, OPS_GB_KIND_SEQ, sign(b), whole(b));
}

ops_gb_ref ops_gb_number(ops_gb *b)
{
    const ops_gb_ref e[] = {
        ops_gb_pair(b, OPS_GB_KIND_ALT, ops_gb_text(b, "e"), ops_gb_text(b, "E")),
        ops_gb_maybe(b, ops_gb_pair(b, OPS_GB_KIND_ALT, ops_gb_text(b, "+"), ops_gb_text(b, "-"))),
        digits(b, 0, 9, 1, EXPONENT)};
    const ops_gb_ref all[] = {sign(b), whole(b), fraction(b, 9), ops_gb_maybe(b, seq(b, e, 3))};
    return seq(b, all, 4);
}

/* --- decimals in a range. Texts of n digits, compared from the left --- */

static ops_gb_ref digit(ops_gb *b, char c)
{
    return ops_gb_bytes(b, ops_slice_of(&c, 1));
}

/* n digits that are at least (up) or at most those of s, from place i on */
static ops_gb_ref side(ops_gb *b, const char *s, size_t i, size_t n, bool up)
{
    ops_gb_ref x = OPS_GB_EMPTY;
    for (size_t k = n; k-- > i;) {
        const uint32_t d = (uint32_t)(s[k] - '0');
        const uint32_t left = (uint32_t)(n - k - 1);
        const ops_gb_ref other = up      ? digits(b, d + 1, 9, 1, 1)
                                 : d > 0 ? digits(b, 0, d - 1, 1, 1)
                                         : OPS_GB_NEVER;
        const ops_gb_ref rest = ops_gb_repeat(b, digits(b, 0, 9, 1, 1), left, left);
        x = ops_gb_pair(b, OPS_GB_KIND_ALT, ops_gb_pair(b, OPS_GB_KIND_SEQ, digit(b, s[k]), x),
                        other == OPS_GB_NEVER ? OPS_GB_NEVER : ops_gb_pair(b, OPS_GB_KIND_SEQ, other, rest));
    }
    return x;
}

static ops_gb_ref same_length(ops_gb *b, const char *lo, const char *hi, size_t n)
{
    size_t i = 0;
    while (i < n && lo[i] == hi[i])
        i++;
    const ops_gb_ref head = ops_gb_bytes(b, ops_slice_of(lo, i));
    if (i == n)
        return head;
    const uint32_t left = (uint32_t)(n - i - 1);
    const uint32_t from = (uint32_t)(lo[i] - '0') + 1, to = (uint32_t)(hi[i] - '0') - 1;
    const ops_gb_ref middle = digits(b, from, to, 1, 1);
    const ops_gb_ref rest = ops_gb_repeat(b, digits(b, 0, 9, 1, 1), left, left);
    const ops_gb_ref three[] = {
        ops_gb_pair(b, OPS_GB_KIND_SEQ, digit(b, lo[i]), side(b, lo, i + 1, n, true)),
        ops_gb_pair(b, OPS_GB_KIND_SEQ, digit(b, hi[i]), side(b, hi, i + 1, n, false)),
        middle == OPS_GB_NEVER ? OPS_GB_NEVER : ops_gb_pair(b, OPS_GB_KIND_SEQ, middle, rest)};
    return ops_gb_pair(b, OPS_GB_KIND_SEQ, head, ops_gb_list(b, OPS_GB_KIND_ALT, three, 3));
}

/* Whole numbers from lo to hi without a sign; nothing when lo > hi. */
static ops_gb_ref natural_between(ops_gb *b, uint64_t lo, uint64_t hi)
{
    char from[24], to[24];
    ops_gb_ref x = OPS_GB_NEVER;
    while (lo <= hi) {
        const size_t n = (size_t)snprintf(from, sizeof from, "%llu", (unsigned long long)lo);
        uint64_t end = 9;
        for (size_t i = 1; i < n; i++)
            end = end * 10 + 9;
        end = n >= 20 || end > hi ? hi : end; /* of 20 digits there are none longer */
        (void)snprintf(to, sizeof to, "%llu", (unsigned long long)end);
        x = ops_gb_pair(b, OPS_GB_KIND_ALT, x, same_length(b, from, to, n));
        if (end == UINT64_MAX)
            break;
        lo = end + 1;
    }
    return x;
}

static uint64_t magnitude(int64_t v)
{
    return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

ops_gb_ref ops_gb_integer_between(ops_gb *b, int64_t lo, int64_t hi)
{
    ops_gb_ref x = OPS_GB_NEVER;
    if (hi >= 0)
        x = natural_between(b, lo > 0 ? (uint64_t)lo : 0, (uint64_t)hi);
    if (lo < 0 && lo <= hi)
        x = ops_gb_pair(b, OPS_GB_KIND_ALT, x,
                        ops_gb_pair(b, OPS_GB_KIND_SEQ, ops_gb_text(b, "-"),
                                    natural_between(b, hi < 0 ? magnitude(hi) : 1, magnitude(lo))));
    return x;
}

/* Decimals from lo to hi without a sign: what lies below hi may have any fraction, hi itself none but zeros. */
static ops_gb_ref decimal_between(ops_gb *b, uint64_t lo, uint64_t hi)
{
    if (lo > hi)
        return OPS_GB_NEVER;
    char top[24];
    (void)snprintf(top, sizeof top, "%llu", (unsigned long long)hi);
    const ops_gb_ref last = ops_gb_pair(b, OPS_GB_KIND_SEQ, ops_gb_text(b, top), fraction(b, 0));
    if (lo == hi)
        return last;
    return ops_gb_pair(b, OPS_GB_KIND_ALT, last,
                       ops_gb_pair(b, OPS_GB_KIND_SEQ, natural_between(b, lo, hi - 1), fraction(b, 9)));
}

ops_gb_ref ops_gb_number_between(ops_gb *b, bool has_lo, int64_t lo, bool has_hi, int64_t hi)
{
    lo = has_lo ? lo : has_hi && hi < -most ? INT64_MIN : -most;
    hi = has_hi ? hi : lo > most ? INT64_MAX : most;
    ops_gb_ref x = OPS_GB_NEVER;
    if (hi >= 0)
        x = decimal_between(b, lo > 0 ? (uint64_t)lo : 0, (uint64_t)hi);
    if (lo < 0 && lo <= hi)
        x = ops_gb_pair(b, OPS_GB_KIND_ALT, x,
                        ops_gb_pair(b, OPS_GB_KIND_SEQ, ops_gb_text(b, "-"),
                                    decimal_between(b, hi < 0 ? magnitude(hi) : 0, magnitude(lo))));
    return x;
}

/* --- any value --- */

/* open blank (x (, blank x)* blank)? close */
static ops_gb_ref bracketed(ops_gb *b, const char *open, ops_gb_ref x, const char *close)
{
    const ops_gb_ref comma[] = {ops_gb_text(b, ","), ops_gb_blank(b), x};
    const ops_gb_ref some[] = {x, ops_gb_repeat(b, seq(b, comma, 3), 0, OPS_GB_NO_MAX), ops_gb_blank(b)};
    const ops_gb_ref all[] = {ops_gb_text(b, open), ops_gb_blank(b), ops_gb_maybe(b, seq(b, some, 3)),
                              ops_gb_text(b, close)};
    return seq(b, all, 4);
}

void ops_gb_make_common(ops_gb *b)
{
    for (int i = 0; i < OPS_GB_COMMON; i++)
        (void)ops_gb_rule(b);
    if (!ops_gb_ok(b))
        return;
    ops_gb_make_string(b, OPS_GB_STRING, 0, OPS_GB_NO_MAX);
    const ops_gb_ref line = ops_gb_pair(b, OPS_GB_KIND_SEQ, ops_gb_text(b, "\n"),
                                        ops_gb_repeat(b, ops_gb_text(b, " "), 0, INDENT));
    const ops_gb_ref blanks[] = {OPS_GB_EMPTY, ops_gb_text(b, " "), line};
    ops_gb_make(b, OPS_GB_BLANK, ops_gb_list(b, OPS_GB_KIND_ALT, blanks, 3));
    const ops_gb_ref any = ops_gb_call(b, OPS_GB_ANY);
    const ops_gb_ref values[] = {ops_gb_call(b, OPS_GB_STRING), ops_gb_number(b),
                                 ops_gb_text(b, "true"),        ops_gb_text(b, "false"),
                                 ops_gb_text(b, "null"),        ops_gb_call(b, OPS_GB_OBJECT),
                                 ops_gb_call(b, OPS_GB_ARRAY)};
    ops_gb_make(b, OPS_GB_ANY, ops_gb_list(b, OPS_GB_KIND_ALT, values, 7));
    const ops_gb_ref member[] = {ops_gb_call(b, OPS_GB_STRING), ops_gb_text(b, ":"), ops_gb_blank(b), any};
    ops_gb_make(b, OPS_GB_OBJECT, bracketed(b, "{", seq(b, member, 4), "}"));
    ops_gb_make(b, OPS_GB_ARRAY, bracketed(b, "[", any, "]"));
}
