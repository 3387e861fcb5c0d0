#include "coordinator/analysis/template/shape_internal.h"

/* clang-format off */
const uint8_t ops_shape_class[256] = {
    [0x00 ... 0x20] = C_BLANK, [0x7f] = C_BLANK,
    ['0' ... '9'] = C_DIGIT, ['a' ... 'z'] = C_LOWER, ['A' ... 'Z'] = C_UPPER,
    ['/'] = C_SLASH, ['\\'] = C_SLASH, ['.'] = C_DOT,
    ['_'] = C_JOIN, ['-'] = C_JOIN, ['+'] = C_JOIN, ['%'] = C_JOIN, ['$'] = C_JOIN, ['~'] = C_JOIN, ['*'] = C_JOIN, ['@'] = C_JOIN,
    [0x80 ... 0xff] = C_HIGH,
};
/* clang-format on */

static size_t glue_normal(ops_slice glue, bool first, bool last,
                          char buf[static OPS_SHAPE_GLUE_BYTES_MAX + 2])
{
    size_t n = 0;
    bool blank = false;
    for (size_t i = 0; i < glue.n && n < OPS_SHAPE_GLUE_BYTES_MAX; i++) {
        if (ops_shape_class[(uint8_t)glue.p[i]] == C_BLANK) {
            blank = true;
            continue;
        }
        if (blank && !(first && n == 0))
            buf[n++] = ' ';
        if (first && last && !blank && n >= 3 && glue.p[i] == buf[n - 1] && glue.p[i] == buf[n - 2] &&
            glue.p[i] == buf[n - 3])
            continue; /* a line of marks only, however long: ^^^^^^ under a piece of code */
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

uint32_t ops_shape_glue_hash(ops_slice glue, bool first, bool last)
{
    if (glue.n == 1 && !first && !last) /* by far the most: one blank or one delimiter */
        return ops_shape_class[(uint8_t)glue.p[0]] == C_BLANK ? ' ' : (uint8_t)glue.p[0];
    char buf[OPS_SHAPE_GLUE_BYTES_MAX + 2];
    size_t n = glue_normal(glue, first, last, buf);
    if (n == 1)
        return (uint8_t)buf[0];
    return n == 0 ? 0 : (uint32_t)ops_hash64(buf, n, 7) | 0x100;
}

static bool glue_joins(const shape_cutter *c, size_t from, size_t to)
{
    if (to - from > 3)
        return false;
    for (size_t i = from; i < to; i++)
        if (!ops_shape_one_of(c->s[i], ":.,/#-|;") &&
            !(c->s[i] == ' ' && i == to - 1 && i > from && c->s[i - 1] == ','))
            return false;
    return true;
}

/* Names of one kind, a blank between them: blk_17 blk_25. */
static bool alike(const shape_cutter *c, size_t from, size_t to)
{
    const ops_atom *last = &c->sh->atoms[c->sh->n - 1];
    if (from - c->glue != 1 || c->s[c->glue] != ' ' || last->len < 4 || to - from < 4)
        return false;
    for (size_t i = 0; i < 3; i++)
        if ((ops_shape_class[c->s[from + i]] & C_ALPHA) == 0 || c->s[from + i] != c->s[last->off + i])
            return false;
    return true;
}

/* Adds the atom [from, to) after the glue that ends at `from`. */
void ops_shape_push(shape_cutter *c, size_t from, size_t to, ops_atom_kind kind)
{
    ops_shape *sh = c->sh;
    if (kind == OPS_ATOM_VAR && sh->n > 0 && sh->atoms[sh->n - 1].kind == OPS_ATOM_VAR &&
        (glue_joins(c, c->glue, from) || alike(c, from, to))) {
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

static void cut_url(shape_cutter *c, size_t from)
{
    size_t to = c->i + 3;
    while (to < c->n && ops_shape_class[c->s[to]] != C_BLANK && !ops_shape_one_of(c->s[to], "\"'<>)]},"))
        to++;
    ops_shape_push(c, from, to, OPS_ATOM_VAR);
}

/* The end of a value of several words that begins with the word [from, to), 0 when none does. */
static size_t several(const shape_cutter *c, size_t from, size_t to, unsigned seen)
{
    if (to < c->n && c->s[to] == ':' && to - from <= 4 && (seen & ~(unsigned)C_ALNUM) == 0)
        return ops_shape_groups(c, from);
    if (to - from == 3 && seen == C_ALPHA)
        return ops_shape_date(c, from);
    if ((seen & C_SLASH) != 0 && ops_shape_class[c->s[from]] == C_SLASH)
        return ops_shape_path(c, to);
    return 0;
}

static void cut_word(shape_cutter *c)
{
    size_t from = c->i, to = from;
    unsigned seen = 0;
    if (c->s[from] == '.' && from > 0 && c->s[from - 1] == '.') {
        c->i++;
        return; /* the last dot of a leader */
    }
    for (uint8_t k; to < c->n && ((k = ops_shape_class[c->s[to]]) & C_WORD) != 0; to++) {
        if (k == C_DOT && to + 1 < c->n && c->s[to + 1] == '.')
            break; /* a leader of dots is glue */
        seen |= k;
    }
    while (to > from + 1 && ops_shape_class[c->s[to - 1]] == C_DOT)
        to--;
    if (to == from) {
        c->i++;
        return; /* a dot of a leader */
    }
    c->i = to;
    size_t value = several(c, from, to, seen);
    if (value > 0)
        ops_shape_push(c, from, value, OPS_ATOM_VAR);
    else if (to + 3 < c->n && c->s[to] == ':' && c->s[to + 1] == '/' && c->s[to + 2] == '/' &&
             (seen & C_LOWER) != 0)
        cut_url(c, from);
    else if ((seen & C_ALNUM) == 0)
        ops_shape_push(c, from, to, OPS_ATOM_FIXED);
    else
        ops_shape_push(c, from, to, ops_shape_variable(c, from, to, seen) ? OPS_ATOM_VAR : OPS_ATOM_WORD);
}

static void cut_high(shape_cutter *c)
{
    size_t from = c->i, to = from, mark = ops_shape_mark(c, from);
    c->sh->high = true;
    if (mark > 0) {
        if (!ops_shape_quoted_high(c, mark))
            c->i += mark;
        return;
    }
    while (to < c->n && ops_shape_class[c->s[to]] == C_HIGH && ops_shape_mark(c, to) == 0)
        to++;
    bool value =
        from >= 2 && c->s[from - 1] == '=' && (ops_shape_class[c->s[from - 2]] & (C_WORD | C_HIGH)) != 0;
    ops_shape_push(c, from, to, value || to - from > OPS_SHAPE_ATOM_BYTES_MAX ? OPS_ATOM_VAR : OPS_ATOM_WORD);
}

/* Is what follows `key=` and a blank no value of it: nothing, punctuation, or the next key? */
static bool valueless(const shape_cutter *c, size_t i)
{
    while (i < c->n && ops_shape_class[c->s[i]] == C_BLANK)
        i++;
    size_t from = i;
    while ((ops_shape_at(c, i) & (C_WORD | C_HIGH)) != 0)
        i++;
    return i == from || (i < c->n && c->s[i] == '=');
}

/* `key=` without a value, `()` and `[]` on their own: a variable that is empty this time. */
static void cut_delimiter(shape_cutter *c)
{
    uint8_t ch = c->s[c->i];
    if ((ch == '"' || ch == '\'') && ops_shape_quoted(c))
        return;
    if ((ch == '[' || ch == '{' || ch == '(') && ops_shape_values(c))
        return;
    if (ch == '<' && c->n - c->i >= 3 && c->s[c->i + 1] == '*' && c->s[c->i + 2] == '>') {
        ops_shape_push(c, c->i, c->i + 3, OPS_ATOM_VAR); /* a template, or text that looks like one */
        return;
    }
    size_t less = ch == '<' ? ops_shape_less_than(c, c->i) : 0;
    if (less > 0) {
        ops_shape_push(c, c->i, less, OPS_ATOM_VAR);
        return;
    }
    c->braces += ch == '{' ? 1 : ch == '}' && c->braces > 0 ? -1 : 0;
    size_t next = c->i + 1;
    uint8_t after = next < c->n ? c->s[next] : ' ';
    bool empty = ch == '=' && c->i > 0 && (ops_shape_class[c->s[c->i - 1]] & C_WORD) != 0 &&
                 ((ops_shape_class[after] == C_BLANK && valueless(c, next)) || after == ',' || after == ';' ||
                  after == ')');
    empty |=
        ((ch == '(' && after == ')') || (ch == '[' && after == ']') || (ch == '{' && after == '}')) &&
        (c->i == 0 || ops_shape_at(c, c->i - 1) == C_BLANK || ops_shape_one_of(c->s[c->i - 1], "=:,(\"'"));
    c->i = next;
    if (empty)
        ops_shape_push(c, next, next, OPS_ATOM_VAR);
}

/* Letters and one digit: ssh2, IPv4. */
static bool numbered_name(ops_slice v)
{
    if (v.n < 3 || ops_shape_class[(uint8_t)v.p[v.n - 1]] != C_DIGIT)
        return false;
    for (size_t i = 0; i + 1 < v.n; i++)
        if ((ops_shape_class[(uint8_t)v.p[i]] & C_ALPHA) == 0)
            return false;
    return true;
}

bool ops_shape_plain(ops_slice value)
{
    if (value.n > OPS_SHAPE_PLAIN_BYTES_MAX ||
        (value.n > 0 && ops_shape_class[(uint8_t)value.p[0]] == C_SLASH))
        return false;
    for (size_t i = 0; i < value.n; i++) {
        uint8_t ch = (uint8_t)value.p[i];
        if (ch < ' ' || ch == 0x7f || (ops_shape_class[ch] == C_DIGIT && !numbered_name(value)))
            return false;
    }
    return true;
}

static void cut_to(shape_cutter *c, size_t end)
{
    c->n = end;
    while (c->i < c->n && !c->full) {
        uint8_t k = ops_shape_class[c->s[c->i]];
        if (k == C_BLANK)
            c->i++;
        else if ((k & C_WORD) != 0)
            cut_word(c);
        else if (k == C_HIGH)
            cut_high(c);
        else
            cut_delimiter(c);
    }
}

void ops_shape_cut(ops_slice line, ops_shape *sh)
{
    ops_shape_cut_around(line, NULL, 0, sh);
}

void ops_shape_cut_around(ops_slice line, const ops_shape_span *spans, size_t n, ops_shape *sh)
{
    shape_cutter c = {.s = (const uint8_t *)line.p, .sh = sh};
    sh->n = 0;
    sh->high = false;
    for (size_t i = 0; i < n && !c.full; i++) {
        if (spans[i].off < c.i || spans[i].len == 0 || spans[i].len > line.n - spans[i].off)
            continue;
        cut_to(&c, spans[i].off);
        c.n = line.n;
        if (!c.full)
            ops_shape_push(&c, spans[i].off, spans[i].off + spans[i].len, OPS_ATOM_VAR);
    }
    if (!c.full)
        cut_to(&c, line.n);
    c.n = line.n;
    for (size_t i = 0; n > 0 && i < line.n; i++)
        sh->high |= (uint8_t)line.p[i] >= 0x80; /* a span was not looked into */
    sh->tail_off = (uint32_t)c.glue;
    sh->tail_len = c.full ? 0 : (uint32_t)(c.n - c.glue);
    uint64_t h = ops_shape_start(sh->n);
    sh->exact = 0;
    for (size_t i = 0; i < sh->n; i++) {
        ops_atom *a = &sh->atoms[i];
        a->glue = ops_shape_glue_hash(ops_slice_of(line.p + a->glue_off, a->glue_len), i == 0, false);
        h += ops_shape_place(a->hash, i) + ops_shape_glue_at(a->glue, i);
        if (a->kind == OPS_ATOM_VAR && ops_shape_plain(ops_slice_of(line.p + a->off, a->len)))
            sh->exact += ops_shape_place(ops_hash64(line.p + a->off, a->len, 1), i);
    }
    sh->tail_glue = ops_shape_glue_hash(ops_slice_of(line.p + sh->tail_off, sh->tail_len), sh->n == 0, true);
    sh->hash = h + ops_shape_glue_at(sh->tail_glue, sh->n + 0x1000);
}
