/* Words, numbers, strings. Grammar: Prometheus' documentation, "Querying basics". */
#include "coordinator/analysis/rules/lex.h"

#include "base/text/strbuf.h"

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static char at(const rules_lex *l, size_t k)
{
    return l->pos + k < l->q->text.n ? l->q->text.p[l->pos + k] : '\0';
}

static void skip_blank(rules_lex *l)
{
    ops_slice t = l->q->text;
    while (l->pos < t.n) {
        char c = t.p[l->pos];
        if (c == '#')
            while (l->pos < t.n && t.p[l->pos] != '\n')
                l->pos++;
        else if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
            l->pos++;
        else
            return;
    }
}

/* Appends one code point as UTF-8. */
static size_t put_rune(char *p, uint32_t r)
{
    if (r < 0x80) {
        p[0] = (char)r;
        return 1;
    }
    size_t n = r < 0x800 ? 2 : r < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, r >>= 6)
        p[i] = (char)(0x80 | (r & 0x3F));
    p[0] = (char)((0xF00 >> n) | r);
    return n;
}

static bool digits(const char *p, size_t n, unsigned base, uint32_t *ret)
{
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned c = (unsigned char)p[i];
        unsigned d = c >= '0' && c <= '9'                 ? c - '0'
                     : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                          : 99;
        if (d >= base)
            return false;
        v = v * base + d;
    }
    *ret = v;
    return true;
}

/* One escape after the backslash at p[0]; bytes used, 0 when it is none. */
static size_t escape(const char *p, size_t n, char quote, char *out, size_t *out_n)
{
    static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
    uint32_t v;
    if (n == 0)
        return 0;
    const char *hit = p[0] != '\0' ? strchr(from, p[0]) : NULL;
    if (hit != NULL || p[0] == quote) {
        out[0] = hit != NULL ? to[hit - from] : quote;
        *out_n = 1;
        return 1;
    }
    size_t len = p[0] == 'x' ? 2 : p[0] == 'u' ? 4 : p[0] == 'U' ? 8 : 0;
    if (len > 0 && n > len && digits(p + 1, len, 16, &v)) {
        if (len > 2 && (v > 0x10FFFF || (v >= 0xD800 && v < 0xE000)))
            return 0;
        *out_n = 1;
        out[0] = (char)v;
        if (len > 2)
            *out_n = put_rune(out, v);
        return len + 1;
    }
    if (n >= 3 && digits(p, 3, 8, &v) && v < 256) {
        out[0] = (char)v;
        *out_n = 1;
        return 3;
    }
    return 0;
}

static ops_status string(rules_lex *l, rules_tok *ret, ops_err *reterr)
{
    ops_slice t = l->q->text;
    char quote = t.p[l->pos];
    size_t from = l->pos, n = 0;
    char *out = ops_arena_alloc(&l->q->arena, t.n - from + 4);
    if (out == NULL)
        return rules_fail_at(l->q, from, OPS_ENOMEM, reterr, "out of memory");
    for (size_t i = from + 1; i < t.n;) {
        char c = t.p[i];
        if (c == quote) {
            *ret = (rules_tok){TOK_STRING, ops_slice_of(out, n), from, i + 1};
            l->pos = i + 1;
            return OPS_OK;
        }
        if (c == '\n' && quote != '`')
            break;
        size_t put = 1, used = 0;
        if (c == '\\' && quote != '`') {
            used = escape(t.p + i + 1, t.n - i - 1, quote, out + n, &put);
            if (used == 0)
                return rules_fail_at(l->q, i, OPS_EINVAL, reterr, "unknown escape in a string");
        } else {
            out[n] = c;
        }
        n += put;
        i += 1 + used;
    }
    return rules_fail_at(l->q, from, OPS_EINVAL, reterr, "a string is not closed");
}

static void number(rules_lex *l)
{
    if (at(l, 0) == '0' && (at(l, 1) | 32) == 'x') {
        l->pos += 2;
        while (is_digit(at(l, 0)) || ((at(l, 0) | 32) >= 'a' && (at(l, 0) | 32) <= 'f'))
            l->pos++;
        return;
    }
    /* Digits, then letters: 1e3, 1h30m, 5m. What is neither a number nor a duration is found when it is read. */
    while (is_digit(at(l, 0)) || at(l, 0) == '.' || is_alpha(at(l, 0))) {
        bool sign = (at(l, 0) | 32) == 'e' && (at(l, 1) == '+' || at(l, 1) == '-') && is_digit(at(l, 2));
        l->pos += sign ? 2 : 1;
    }
}

ops_status rules_lex_next(rules_lex *l, rules_tok *ret, ops_err *reterr)
{
    static const char *const two[] = {"!=", "=~", "!~", "==", "<=", ">="};
    skip_blank(l);
    size_t from = l->pos;
    char c = at(l, 0);
    *ret = (rules_tok){.kind = TOK_END, .at = from, .end = from};
    if (from >= l->q->text.n)
        return OPS_OK;
    if (c == '"' || c == '\'' || c == '`')
        return string(l, ret, reterr);
    if (is_alpha(c) || (c == ':' && !l->in_brackets)) {
        ret->kind = TOK_WORD;
        while (is_alpha(at(l, 0)) || is_digit(at(l, 0)) || (at(l, 0) == ':' && !l->in_brackets))
            l->pos++;
    } else if (is_digit(c) || (c == '.' && is_digit(at(l, 1)))) {
        ret->kind = TOK_NUMBER;
        number(l);
    } else {
        ret->kind = TOK_PUNCT;
        l->pos++;
        for (size_t i = 0; i < sizeof two / sizeof *two; i++)
            if (c == two[i][0] && at(l, 0) == two[i][1]) {
                l->pos++;
                break;
            }
        if (c == '\0' || strchr("(){}[],=!<>+-*/%^@:", c) == NULL || (c == '!' && l->pos == from + 1))
            return rules_fail_at(l->q, from, OPS_EINVAL, reterr,
                                 c >= ' ' && c < 0x7F ? "'%c' is not understood here"
                                                      : "byte 0x%02x is not understood here",
                                 (unsigned char)c);
    }
    ret->text = ops_slice_of(l->q->text.p + from, l->pos - from);
    ret->end = l->pos;
    return OPS_OK;
}
