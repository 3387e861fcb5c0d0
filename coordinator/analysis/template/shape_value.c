/* Values that are more than a word: dates, addresses in groups, quoted text, brackets full of values. */
#include "coordinator/analysis/template/shape_internal.h"

enum { QUOTED_BYTES_MAX = 256, BRACKET_BYTES_MAX = 2048, BRACKET_DEPTH_MAX = 8 };

static bool three(const uint8_t *p, const char *names)
{
    for (; *names != '\0'; names += 3)
        if (p[0] == (uint8_t)names[0] && p[1] == (uint8_t)names[1] && p[2] == (uint8_t)names[2])
            return true;
    return false;
}

/* The end of the word at i. */
static size_t word_end(const shape_cutter *c, size_t i)
{
    while ((ops_shape_at(c, i) & (C_WORD | C_HIGH)) != 0)
        i++;
    return i;
}

/* A clock: digits and colons, with a colon. */
static size_t clock_end(const shape_cutter *c, size_t i)
{
    size_t from = i, colons = 0;
    while (ops_shape_at(c, i) == C_DIGIT || (i < c->n && i > from && (c->s[i] == ':' || c->s[i] == '.'))) {
        colons += c->s[i] == ':';
        i++;
    }
    return colons > 0 && (ops_shape_at(c, i) & C_WORD) == 0 ? i : 0;
}

static bool zone(const shape_cutter *c, size_t from, size_t to)
{
    if (to - from < 3 || to - from > 4)
        return false;
    for (size_t i = from; i < to; i++)
        if (ops_shape_at(c, i) != C_UPPER)
            return false;
    return true;
}

size_t ops_shape_date(const shape_cutter *c, size_t from)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec", days[] = "MonTueWedThuFriSatSun";
    size_t i = from, end = 0, clock;
    bool month = false, number = false, timed = false;
    for (size_t parts = 0; parts < 7; parts++) {
        size_t to = word_end(c, i);
        bool name = to - i == 3;
        if (name && three(c->s + i, months) && !month)
            month = true;
        else if (name && three(c->s + i, days) && !month)
            ;
        else if ((clock = clock_end(c, i)) != 0)
            to = clock, timed = true;
        else if (ops_shape_at(c, i) == C_DIGIT && to - i <= 4 && month)
            number = true;
        else if (!(timed && zone(c, i, to)))
            break;
        if (timed || number)
            end = to;
        i = to;
        if (i < c->n && c->s[i] == ',')
            i++;
        while (ops_shape_at(c, i) == C_BLANK && i < c->n)
            i++;
        if (i == to)
            break;
    }
    /* a zone at the end belongs to the date only when a year follows */
    return month && number ? end : 0;
}

size_t ops_shape_groups(const shape_cutter *c, size_t from)
{
    size_t i = from, colons = 0, group = 0, digits = 0;
    bool empty = false;
    for (; i < c->n && i - from < 64; i++) {
        uint8_t ch = c->s[i], k = ops_shape_class[ch];
        bool hex = k == C_DIGIT || (ch >= 'a' && ch <= 'f') || (ch >= 'A' && ch <= 'F');
        if (hex && ++group > 4)
            return 0;
        digits += k == C_DIGIT;
        if (ch == ':') {
            empty |= group == 0 || (i + 1 < c->n && c->s[i + 1] == ':');
            colons++;
            group = 0;
        } else if (!hex) {
            break;
        }
    }
    while (i > from && c->s[i - 1] == ':')
        i--;
    if ((ops_shape_at(c, i) & (C_WORD | C_HIGH)) != 0 && !(i < c->n && c->s[i] == '.'))
        return 0;
    return digits > 0 && (colons >= 5 || (empty && colons >= 2)) ? i : 0;
}

size_t ops_shape_less_than(const shape_cutter *c, size_t from)
{
    static const char *const units[] = {"ms", "us", "s", "sec", "secs", "second", "seconds", "min", "minute"};
    if (from > 0 && ops_shape_at(c, from - 1) != C_BLANK)
        return 0;
    size_t i = from + 1, digits = i;
    while (ops_shape_at(c, i) == C_DIGIT)
        i++;
    if (i == digits || (ops_shape_at(c, i) != C_BLANK && (ops_shape_at(c, i) & C_ALPHA) == 0))
        return 0;
    size_t unit = i < c->n && c->s[i] == ' ' ? i + 1 : i, to = word_end(c, unit);
    for (size_t k = 0; k < sizeof units / sizeof units[0]; k++)
        if (strlen(units[k]) == to - unit && memcmp(c->s + unit, units[k], to - unit) == 0)
            return to;
    return 0;
}

/* Where the quote that opens at c->i closes, 0 when it does not. */
static size_t quote_end(const shape_cutter *c)
{
    uint8_t q = c->s[c->i];
    size_t from = c->i + 1, to = from;
    if (c->i > 0 && ops_shape_at(c, c->i - 1) != C_BLANK && !ops_shape_one_of(c->s[c->i - 1], "=:,([{<"))
        return 0;
    while (to < c->n && c->s[to] != q && to - from < QUOTED_BYTES_MAX) {
        if (q == '\'' && ops_shape_class[c->s[to]] == C_BLANK)
            return 0;
        to++;
    }
    if (to >= c->n || c->s[to] != q || to == from || (ops_shape_at(c, to + 1) & (C_WORD | C_HIGH)) != 0)
        return 0;
    return to;
}

/* The length of an HTTP method that begins a quoted request line (RFC 9110), 0 when there is none. */
static size_t method_of(const uint8_t *s, size_t n)
{
    size_t k = 0;
    while (k < n && k < 8 && ops_shape_class[s[k]] == C_UPPER)
        k++;
    return k >= 3 && k + 1 < n && s[k] == ' ' && ops_shape_one_of(s[k + 1], "/h*<") ? k : 0;
}

/* At a quote that opens: takes what stands in it as one variable. */
bool ops_shape_quoted(shape_cutter *c)
{
    size_t from = c->i + 1, to = quote_end(c);
    if (to == 0 || (c->braces > 0 && to + 1 < c->n && c->s[to + 1] == ':'))
        return false; /* no quote, or the name of a field */
    for (size_t i = from; i < to; i++)
        c->sh->high |= ops_shape_class[c->s[i]] == C_HIGH;
    size_t method = method_of(c->s + from, to - from);
    if (method > 0) {
        ops_shape_push(c, from, from + method, OPS_ATOM_FIXED);
        from += method + 1;
    }
    ops_shape_push(c, from, to, OPS_ATOM_VAR);
    if (!c->full)
        c->i = to + 1; /* the closing quote is glue */
    return true;
}

/* The end of the bracketed text that opens at c->i when all it holds is values: quoted text, numbers, words that a
 * comma parts from others; 0 when it is something else. */
static size_t values_end(const shape_cutter *c)
{
    uint8_t stack[BRACKET_DEPTH_MAX];
    size_t depth = 0, items = 0, words = 0, blanks = 0;
    bool comma = false, in_word = false;
    for (size_t i = c->i; i < c->n && i - c->i < BRACKET_BYTES_MAX; i++) {
        uint8_t ch = c->s[i], k = ops_shape_class[ch];
        if (ch == '[' || ch == '{' || ch == '(') {
            if (depth == BRACKET_DEPTH_MAX)
                return 0;
            stack[depth++] = ch == '(' ? ')' : (uint8_t)(ch + 2);
        } else if (ch == ']' || ch == '}' || ch == ')') {
            if (depth == 0 || stack[depth - 1] != ch)
                return 0;
            if (--depth == 0)
                return words == 0 || (comma && blanks == 0) ? (items + words > 0 ? i : 0) : 0;
        } else if (ch == '"' || ch == '\'') {
            size_t to = i + 1;
            while (to < c->n && c->s[to] != ch && to - i < QUOTED_BYTES_MAX)
                to += c->s[to] == '\\' ? 2 : 1;
            if (to >= c->n || c->s[to] != ch)
                return 0;
            items++;
            i = to;
        } else if (ch == ',') {
            comma = true;
        } else if (ch == '=' || ch == '<' || ch == '>' || ch == ';') {
            return 0; /* named fields, objects: their words say what they are */
        } else if ((k & (C_WORD | C_HIGH)) != 0) {
            bool digit = false;
            size_t to = i;
            for (; to < c->n && (ops_shape_class[c->s[to]] & (C_WORD | C_HIGH)) != 0; to++)
                digit |= ops_shape_class[c->s[to]] == C_DIGIT;
            bool constant = ops_shape_literal(c->s + i, to - i);
            if (digit || constant)
                items++;
            else
                words++;
            blanks += in_word && !digit && !constant; /* two words with a blank between: prose */
            in_word = !digit && !constant;
            i = to - 1;
            continue;
        }
        if (k != C_BLANK)
            in_word = false;
    }
    return 0;
}

/* At a bracket: lists and dumped objects are one variable however much they hold. */
bool ops_shape_values(shape_cutter *c)
{
    uint8_t ch = c->s[c->i];
    bool after_word = c->i > 0 && (ops_shape_class[c->s[c->i - 1]] & (C_WORD | C_HIGH)) != 0;
    if ((ch != '[' && after_word) || (ch == '{' && c->sh->n == 0) || c->full)
        return false;
    size_t to = values_end(c);
    if (to == 0)
        return false;
    for (size_t i = c->i; i < to; i++)
        c->sh->high |= ops_shape_class[c->s[i]] == C_HIGH;
    ops_shape_push(c, c->i + 1, to, OPS_ATOM_VAR);
    return true;
}

size_t ops_shape_path(const shape_cutter *c, size_t to)
{
    size_t end = 0;
    if (to < c->n && c->s[to] == '?') { /* a query (RFC 3986) */
        while (to < c->n && ops_shape_class[c->s[to]] != C_BLANK && !ops_shape_one_of(c->s[to], "\"'<>)]},"))
            to++;
        return to;
    }
    while (to + 3 < c->n && c->s[to] == ' ' && ops_shape_class[c->s[to + 1]] == C_UPPER &&
           ops_shape_class[c->s[to + 2]] == C_LOWER) {
        size_t next = word_end(c, to + 1);
        if (memchr(c->s + to + 1, '/', next - to - 1) == NULL)
            break;
        end = to = next;
    }
    return end;
}

size_t ops_shape_mark(const shape_cutter *c, size_t i)
{
    const uint8_t *s = c->s + i;
    if (i + 1 < c->n && s[0] == 0xc2 && (s[1] == 0xab || s[1] == 0xbb)) /* guillemets */
        return 2;
    if (i + 2 >= c->n)
        return 0;
    if (s[0] == 0xe2 && s[1] == 0x80) /* dashes, quotes, ellipsis: U+2013 to U+201F, U+2026 */
        return (s[2] >= 0x93 && s[2] <= 0x9f) || s[2] == 0xa6 ? 3 : 0;
    if (s[0] == 0xe3 && s[1] == 0x80) /* CJK symbols and punctuation, U+3000 to U+301F */
        return s[2] <= 0x9f && s[2] != 0x85 && s[2] != 0x86 && s[2] != 0x87 ? 3 : 0;
    if (s[0] == 0xef && s[1] == 0xbc) /* full-width punctuation, U+FF01 to U+FF20 and U+FF3B to U+FF3F */
        return (s[2] >= 0x81 && s[2] <= 0x8f) || (s[2] >= 0x9a && s[2] <= 0xa0) || s[2] >= 0xbb ? 3 : 0;
    return 0;
}

bool ops_shape_quoted_high(shape_cutter *c, size_t mark)
{
    static const char pairs[][2][4] = {
        {"\xe2\x80\x9c", "\xe2\x80\x9d"}, {"\xe2\x80\x98", "\xe2\x80\x99"}, {"\xe3\x80\x8c", "\xe3\x80\x8d"},
        {"\xe3\x80\x8e", "\xe3\x80\x8f"}, {"\xe3\x80\x8a", "\xe3\x80\x8b"}, {"\xc2\xab", "\xc2\xbb"},
    };
    size_t from = c->i + mark,
           last = c->n < QUOTED_BYTES_MAX || from < c->n - QUOTED_BYTES_MAX ? from + QUOTED_BYTES_MAX : c->n;
    for (size_t k = 0; k < sizeof pairs / sizeof pairs[0]; k++) {
        if (strlen(pairs[k][0]) != mark || memcmp(c->s + c->i, pairs[k][0], mark) != 0)
            continue;
        for (size_t to = from; to + mark <= c->n && to < last; to++) {
            if (memcmp(c->s + to, pairs[k][0], mark) == 0)
                return false; /* another opens: no byte is looked at twice */
            if (memcmp(c->s + to, pairs[k][1], mark) != 0)
                continue;
            ops_shape_push(c, from, to, OPS_ATOM_VAR);
            if (!c->full)
                c->i = to + mark;
            return true;
        }
    }
    return false;
}
