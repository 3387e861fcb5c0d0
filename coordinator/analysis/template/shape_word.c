/* Which words are variable by their form. */
#include "coordinator/analysis/template/shape_internal.h"

/* init2(...): a few digits at the end of a name that is called are part of the name. */
static bool called(const shape_cutter *c, size_t from, size_t to)
{
    if (to >= c->n || c->s[to] != '(' || (ops_shape_at(c, from) & (C_ALPHA)) == 0)
        return false;
    size_t digits = 0;
    for (size_t i = from; i < to; i++) {
        uint8_t k = ops_shape_class[c->s[i]];
        if ((k & C_ALNUM) == 0 && c->s[i] != '_')
            return false;
        digits += k == C_DIGIT;
    }
    return digits <= 2 && to - from >= 4;
}

/* The last part of a.b.Name: a class, but neither CONSTANT, which names what happened, nor SomeException, which does too. */
static bool is_class(const uint8_t *p, size_t n)
{
    static const char *const told[] = {"Exception", "Error", "Throwable", "Failure"};
    bool lower = false;
    for (size_t i = 0; i < n; i++)
        lower |= ops_shape_class[p[i]] == C_LOWER;
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        size_t k = strlen(told[i]);
        if (n >= k && memcmp(p + n - k, told[i], k) == 0)
            return false;
    }
    return n > 0 && ops_shape_class[p[0]] == C_UPPER && lower;
}

static bool host_or_path(const shape_cutter *c, size_t from, size_t to, unsigned seen)
{
    size_t dots = 0, slashes = 0, label = 0;
    bool empty = false, at = false;
    for (size_t i = from; i < to; i++) {
        uint8_t k = ops_shape_class[c->s[i]];
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
    if ((seen & C_UPPER) != 0)
        return dots >= 2 && !empty && slashes == 0 && is_class(c->s + to - label, label);
    return (seen & C_SLASH) == 0 && dots >= 2 && !empty && label >= 2 && label <= 6 &&
           memchr(c->s + from, '_', to - from) == NULL;
}

static bool hex_letters(const shape_cutter *c, size_t from, size_t to)
{
    if (to - from < 8)
        return false;
    for (size_t i = from; i < to; i++)
        if (strchr("abcdefABCDEF", c->s[i]) == NULL)
            return false;
    return true;
}

/* `key=value`, `key = value` and `key= value`; but of `key= other=value` the first has none. */
static bool assigned(const shape_cutter *c, size_t from, size_t to)
{
    size_t i = from;
    while (i > 0 && from - i < 3 && c->s[i - 1] == ' ')
        i--;
    if (i < 2 || c->s[i - 1] != '=')
        return false;
    if ((ops_shape_class[c->s[i - 2]] & C_WORD) != 0)
        return i == from || to >= c->n || c->s[to] != '=';
    size_t k = i - 1;
    while (k > 0 && i - k < 16 && c->s[k - 1] == ' ')
        k--;
    return i < from && k > 0 && (ops_shape_class[c->s[k - 1]] & C_WORD) != 0;
}

/* After a number: a unit, which may well be another the next time. */
static bool unit(const shape_cutter *c, size_t from, size_t to)
{
    static const char *const all[] = {"B",     "KB",      "kB",      "MB",    "GB",     "TB",  "KiB",
                                      "MiB",   "GiB",     "TiB",     "ns",    "us",     "ms",  "s",
                                      "sec",   "secs",    "second",  "min",   "hour",   "day", "byte",
                                      "bytes", "seconds", "minutes", "hours", "minute", "days"};
    const ops_atom *last = &c->sh->atoms[c->sh->n - (c->sh->n > 0)];
    if (c->sh->n == 0 || last->kind != OPS_ATOM_VAR || from != last->off + last->len + 1u || last->len == 0 ||
        !ops_shape_one_of(c->s[from], "BKkMGTnumshdb") || c->s[from - 1] != ' ' ||
        ops_shape_class[c->s[from - 2]] != C_DIGIT)
        return false;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strlen(all[i]) == to - from && memcmp(all[i], c->s + from, to - from) == 0)
            return true;
    return false;
}

bool ops_shape_variable(const shape_cutter *c, size_t from, size_t to, unsigned seen)
{
    if (to - from > OPS_SHAPE_ATOM_BYTES_MAX)
        return true;
    if ((seen & C_DIGIT) != 0)
        return !called(c, from, to);
    if (assigned(c, from, to) || (to - from <= 7 && unit(c, from, to)))
        return true;
    if ((seen & C_SLASH) != 0 && ops_shape_class[c->s[from]] == C_SLASH && to - from > 1)
        return true;
    if ((seen & (C_SLASH | C_DOT | C_JOIN)) != 0 && host_or_path(c, from, to, seen))
        return true;
    return hex_letters(c, from, to);
}

/* Words that stand for a value in the notations of programs. */
bool ops_shape_literal(const uint8_t *p, size_t n)
{
    static const char *const all[] = {"true", "false", "null", "None", "True", "False", "nil", "NaN", "nan"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strlen(all[i]) == n && memcmp(p, all[i], n) == 0)
            return true;
    return false;
}
