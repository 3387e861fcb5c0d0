#include "coordinator/analysis/template/shape.h"

#include <string.h>

enum {
    C_DIGIT = 1,
    C_LOWER = 2,
    C_UPPER = 4,
    C_SLASH = 8,
    C_DOT = 16,
    C_JOIN = 32, /* _ - + % $ ~ * @ */
    C_HIGH = 64,
    C_BLANK = 128,
    C_ALNUM = C_DIGIT | C_LOWER | C_UPPER,
    C_WORD = C_ALNUM | C_SLASH | C_DOT | C_JOIN
};

/* clang-format off */
static const uint8_t class_of[256] = {
    [0x00 ... 0x20] = C_BLANK, [0x7f] = C_BLANK,
    ['0' ... '9'] = C_DIGIT, ['a' ... 'z'] = C_LOWER, ['A' ... 'Z'] = C_UPPER,
    ['/'] = C_SLASH, ['\\'] = C_SLASH, ['.'] = C_DOT,
    ['_'] = C_JOIN, ['-'] = C_JOIN, ['+'] = C_JOIN, ['%'] = C_JOIN, ['$'] = C_JOIN, ['~'] = C_JOIN, ['*'] = C_JOIN, ['@'] = C_JOIN,
    [0x80 ... 0xff] = C_HIGH,
};
/* clang-format on */

typedef struct cutter {
    const uint8_t *s;
    size_t n, i;
    size_t glue; /* where the glue in work begins */
    ops_shape *sh;
    bool full;
} cutter;

static uint8_t class_at(const cutter *c, size_t i)
{
    return i < c->n ? class_of[c->s[i]] : C_BLANK;
}

static size_t glue_normal(ops_slice glue, bool first, bool last,
                          char buf[static OPS_SHAPE_GLUE_BYTES_MAX + 2])
{
    size_t n = 0;
    bool blank = false;
    for (size_t i = 0; i < glue.n && n < OPS_SHAPE_GLUE_BYTES_MAX; i++) {
        if (class_of[(uint8_t)glue.p[i]] == C_BLANK) {
            blank = true;
            continue;
        }
        if (blank && !(first && n == 0))
            buf[n++] = ' ';
        blank = false;
        buf[n++] = glue.p[i];
    }
    if (blank && !last && !(first && n == 0))
        buf[n++] = ' ';
    return n;
}

void ops_shape_glue(ops_strbuf *b, ops_slice glue, bool first, bool last)
{
    char buf[OPS_SHAPE_GLUE_BYTES_MAX + 2];
    ops_strbuf_put(b, buf, glue_normal(glue, first, last, buf));
}

static uint64_t glue_hash(ops_slice glue, bool first, bool last)
{
    if (glue.n == 1 && !first && !last) /* by far the most: one blank or one delimiter */
        return class_of[(uint8_t)glue.p[0]] == C_BLANK ? ' ' : (uint8_t)glue.p[0];
    char buf[OPS_SHAPE_GLUE_BYTES_MAX + 2];
    size_t n = glue_normal(glue, first, last, buf);
    if (n == 1)
        return (uint8_t)buf[0];
    return n == 0 ? 0 : ops_hash64(buf, n, 7);
}

static bool glue_joins(const cutter *c, size_t from, size_t to)
{
    if (to - from > 3)
        return false;
    for (size_t i = from; i < to; i++)
        if (strchr(":.,/#-|;", c->s[i]) == NULL &&
            !(c->s[i] == ' ' && i == to - 1 && i > from && c->s[i - 1] == ','))
            return false;
    return true;
}

/* Adds the atom [from, to) after the glue that ends at `from`. */
static void push(cutter *c, size_t from, size_t to, ops_atom_kind kind)
{
    ops_shape *sh = c->sh;
    if (kind == OPS_ATOM_VAR && sh->n > 0 && sh->atoms[sh->n - 1].kind == OPS_ATOM_VAR &&
        glue_joins(c, c->glue, from)) {
        sh->atoms[sh->n - 1].len =
            (uint32_t)to - sh->atoms[sh->n - 1].off; /* lists and address:port are one variable */
        c->glue = c->i = to;
        return;
    }
    if (sh->n == OPS_SHAPE_ATOMS_MAX) {
        c->full = true;
        return;
    }
    if (sh->n == OPS_SHAPE_ATOMS_MAX - 1) { /* the last place takes all that is left */
        kind = OPS_ATOM_VAR;
        to = c->n;
    }
    sh->atoms[sh->n++] = (ops_atom){
        .glue_off = (uint32_t)c->glue,
        .glue_len = (uint32_t)(from - c->glue),
        .off = (uint32_t)from,
        .len = (uint32_t)(to - from),
        .hash = kind == OPS_ATOM_VAR ? OPS_SHAPE_VAR_HASH : ops_hash64(c->s + from, to - from, 1),
        .kind = (uint8_t)kind,
    };
    c->glue = c->i = to;
}

static bool three(const uint8_t *p, const char *names)
{
    for (; *names != '\0'; names += 3)
        if (p[0] == (uint8_t)names[0] && p[1] == (uint8_t)names[1] && p[2] == (uint8_t)names[2])
            return true;
    return false;
}

/* "Sat Jun 18": names of days and months that stand before a number are part of a date. */
static bool in_date(const cutter *c, size_t from, size_t to)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec", days[] = "MonTueWedThuFriSatSun";
    if (to - from != 3)
        return false;
    size_t i = to;
    while (i < c->n && (c->s[i] == ' ' || c->s[i] == ','))
        i++;
    if (i == to)
        return false;
    if (three(c->s + from, months))
        return class_at(c, i) == C_DIGIT;
    return three(c->s + from, days) &&
           (class_at(c, i) == C_DIGIT || (i + 3 < c->n && three(c->s + i, months)));
}

/* init2(...): a few digits at the end of a name that is called are part of the name. */
static bool called(const cutter *c, size_t from, size_t to)
{
    if (to >= c->n || c->s[to] != '(' || (class_at(c, from) & (C_LOWER | C_UPPER)) == 0)
        return false;
    size_t digits = 0;
    for (size_t i = from; i < to; i++) {
        uint8_t k = class_of[c->s[i]];
        if ((k & C_ALNUM) == 0 && c->s[i] != '_')
            return false;
        digits += k == C_DIGIT;
    }
    return digits <= 2 && to - from >= 4;
}

static bool host_or_path(const cutter *c, size_t from, size_t to, unsigned seen)
{
    size_t dots = 0, slashes = 0, label = 0;
    bool empty = false, at = false;
    for (size_t i = from; i < to; i++) {
        uint8_t k = class_of[c->s[i]];
        if (k == C_DOT) {
            empty |= label == 0;
            dots++;
            label = 0;
        } else {
            label++;
        }
        slashes += k == C_SLASH;
        at |= c->s[i] == '@' && i > from && i + 1 < to;
    }
    if (at || slashes >= 2)
        return true;
    return (seen & (C_UPPER | C_SLASH)) == 0 && dots >= 2 && !empty && label >= 2 && label <= 6 &&
           memchr(c->s + from, '_', to - from) == NULL;
}

static bool hex_letters(const cutter *c, size_t from, size_t to)
{
    if (to - from < 8)
        return false;
    for (size_t i = from; i < to; i++)
        if (strchr("abcdefABCDEF", c->s[i]) == NULL)
            return false;
    return true;
}

static bool variable(const cutter *c, size_t from, size_t to, unsigned seen)
{
    if (to - from > OPS_SHAPE_ATOM_BYTES_MAX)
        return true;
    if ((seen & C_DIGIT) != 0)
        return !called(c, from, to);
    if (from >= 2 && c->s[from - 1] == '=' && (class_of[c->s[from - 2]] & C_WORD) != 0)
        return true;
    if ((seen & C_SLASH) != 0 && class_of[c->s[from]] == C_SLASH && to - from > 1)
        return true;
    if ((seen & (C_SLASH | C_DOT | C_JOIN)) != 0 && host_or_path(c, from, to, seen))
        return true;
    return in_date(c, from, to) || hex_letters(c, from, to);
}

static void cut_url(cutter *c, size_t from)
{
    size_t to = c->i + 3;
    while (to < c->n && class_of[c->s[to]] != C_BLANK && strchr("\"'<>)]},", c->s[to]) == NULL)
        to++;
    push(c, from, to, OPS_ATOM_VAR);
}

static void cut_word(cutter *c)
{
    size_t from = c->i, to = from;
    unsigned seen = 0;
    for (uint8_t k; to < c->n && ((k = class_of[c->s[to]]) & C_WORD) != 0; to++) {
        if (k == C_DOT && to + 1 < c->n && c->s[to + 1] == '.')
            break; /* a leader of dots is glue */
        seen |= k;
    }
    while (to > from + 1 && class_of[c->s[to - 1]] == C_DOT)
        to--;
    if (to == from) {
        c->i++;
        return; /* a dot of a leader */
    }
    c->i = to;
    if (to + 3 < c->n && c->s[to] == ':' && c->s[to + 1] == '/' && c->s[to + 2] == '/' &&
        (seen & C_LOWER) != 0)
        cut_url(c, from);
    else if ((seen & C_ALNUM) == 0)
        push(c, from, to, OPS_ATOM_FIXED);
    else
        push(c, from, to, variable(c, from, to, seen) ? OPS_ATOM_VAR : OPS_ATOM_WORD);
}

static void cut_high(cutter *c)
{
    size_t from = c->i, to = from;
    while (to < c->n && class_of[c->s[to]] == C_HIGH)
        to++;
    c->sh->high = true;
    bool value = from >= 2 && c->s[from - 1] == '=' && (class_of[c->s[from - 2]] & (C_WORD | C_HIGH)) != 0;
    push(c, from, to, value || to - from > OPS_SHAPE_ATOM_BYTES_MAX ? OPS_ATOM_VAR : OPS_ATOM_WORD);
}

/* At a quote that opens: takes what stands in it as one variable. */
static bool cut_quoted(cutter *c)
{
    char q = (char)c->s[c->i];
    size_t from = c->i + 1, to = from;
    if (c->i > 0 && class_at(c, c->i - 1) != C_BLANK && strchr("=:,([{<", c->s[c->i - 1]) == NULL)
        return false;
    while (to < c->n && c->s[to] != (uint8_t)q && to - from < 256) {
        if (q == '\'' && class_of[c->s[to]] == C_BLANK)
            return false;
        to++;
    }
    if (to >= c->n || c->s[to] != (uint8_t)q || to == from)
        return false;
    if ((class_at(c, to + 1) & (C_WORD | C_HIGH)) != 0 || (to + 1 < c->n && c->s[to + 1] == ':'))
        return false; /* not a closing quote, or the name of a field */
    for (size_t i = from; i < to; i++)
        c->sh->high |= class_of[c->s[i]] == C_HIGH;
    push(c, from, to, OPS_ATOM_VAR);
    if (!c->full)
        c->i = to + 1; /* the closing quote is glue */
    return true;
}

/* `key=` without a value, `()` and `[]` on their own: a variable that is empty this time. */
static void cut_delimiter(cutter *c)
{
    uint8_t ch = c->s[c->i];
    if ((ch == '"' || ch == '\'') && cut_quoted(c))
        return;
    size_t next = c->i + 1;
    uint8_t after = next < c->n ? c->s[next] : ' ';
    bool empty = ch == '=' && c->i > 0 && (class_of[c->s[c->i - 1]] & C_WORD) != 0 &&
                 (class_of[after] == C_BLANK || after == ',' || after == ';' || after == ')');
    empty |= ((ch == '(' && after == ')') || (ch == '[' && after == ']')) &&
             (c->i == 0 || class_at(c, c->i - 1) == C_BLANK);
    c->i = next;
    if (empty)
        push(c, next, next, OPS_ATOM_VAR);
}

void ops_shape_cut(ops_slice line, ops_shape *sh)
{
    cutter c = {.s = (const uint8_t *)line.p, .n = line.n, .sh = sh};
    sh->n = 0;
    sh->high = false;
    while (c.i < c.n && !c.full) {
        uint8_t k = class_of[c.s[c.i]];
        if (k == C_BLANK)
            c.i++;
        else if ((k & C_WORD) != 0)
            cut_word(&c);
        else if (k == C_HIGH)
            cut_high(&c);
        else
            cut_delimiter(&c);
    }
    sh->tail_off = (uint32_t)c.glue;
    sh->tail_len = c.full ? 0 : (uint32_t)(c.n - c.glue);
    uint64_t h = ops_hash_mix(sh->n + 1);
    for (size_t i = 0; i < sh->n; i++) {
        const ops_atom *a = &sh->atoms[i];
        uint64_t g = glue_hash(ops_slice_of(line.p + a->glue_off, a->glue_len), i == 0, false);
        h += ops_shape_place(a->hash, i) + ops_hash_mix(g * 0xff51afd7ed558ccdull + i);
    }
    uint64_t g = glue_hash(ops_slice_of(line.p + sh->tail_off, sh->tail_len), sh->n == 0, true);
    sh->hash = h + ops_hash_mix(g * 0xff51afd7ed558ccdull + sh->n + 0x1000);
}
