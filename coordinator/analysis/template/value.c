/* Kinds of values: one pass to see which characters there are, then only the recognisers that those leave possible. */
#include "coordinator/analysis/template/value_internal.h"

enum {
    C_DIGIT = 1,
    C_HEX = 2, /* a to f */
    C_ALPHA = 4,
    C_DOT = 8,
    C_COLON = 16,
    C_SLASH = 32, /* either way */
    C_AT = 64,
    C_SIGN = 128,
    C_ODD = 256 /* blanks, brackets, the rest of ASCII, beyond ASCII */
};

static const uint16_t classes[256] = {
    ['0'] = C_DIGIT, ['1'] = C_DIGIT,  ['2'] = C_DIGIT, ['3'] = C_DIGIT, ['4'] = C_DIGIT, ['5'] = C_DIGIT,
    ['6'] = C_DIGIT, ['7'] = C_DIGIT,  ['8'] = C_DIGIT, ['9'] = C_DIGIT, ['a'] = C_HEX,   ['b'] = C_HEX,
    ['c'] = C_HEX,   ['d'] = C_HEX,    ['e'] = C_HEX,   ['f'] = C_HEX,   ['A'] = C_HEX,   ['B'] = C_HEX,
    ['C'] = C_HEX,   ['D'] = C_HEX,    ['E'] = C_HEX,   ['F'] = C_HEX,   ['.'] = C_DOT,   [':'] = C_COLON,
    ['/'] = C_SLASH, ['\\'] = C_SLASH, ['@'] = C_AT,    ['-'] = C_SIGN,  ['+'] = C_SIGN,  ['g'] = C_ALPHA,
    ['h'] = C_ALPHA, ['i'] = C_ALPHA,  ['j'] = C_ALPHA, ['k'] = C_ALPHA, ['l'] = C_ALPHA, ['m'] = C_ALPHA,
    ['n'] = C_ALPHA, ['o'] = C_ALPHA,  ['p'] = C_ALPHA, ['q'] = C_ALPHA, ['r'] = C_ALPHA, ['s'] = C_ALPHA,
    ['t'] = C_ALPHA, ['u'] = C_ALPHA,  ['v'] = C_ALPHA, ['w'] = C_ALPHA, ['x'] = C_ALPHA, ['y'] = C_ALPHA,
    ['z'] = C_ALPHA, ['G'] = C_ALPHA,  ['H'] = C_ALPHA, ['I'] = C_ALPHA, ['J'] = C_ALPHA, ['K'] = C_ALPHA,
    ['L'] = C_ALPHA, ['M'] = C_ALPHA,  ['N'] = C_ALPHA, ['O'] = C_ALPHA, ['P'] = C_ALPHA, ['Q'] = C_ALPHA,
    ['R'] = C_ALPHA, ['S'] = C_ALPHA,  ['T'] = C_ALPHA, ['U'] = C_ALPHA, ['V'] = C_ALPHA, ['W'] = C_ALPHA,
    ['X'] = C_ALPHA, ['Y'] = C_ALPHA,  ['Z'] = C_ALPHA,
};

static bool all_hex(ops_slice v)
{
    for (size_t i = 0; i < v.n; i++)
        if (!ops_value_hexdigit(v.p[i]))
            return false;
    return v.n > 0;
}

static bool uuid(ops_slice v)
{
    if (v.n == 45 && ops_slice_eq_nocase(ops_slice_sub(v, 0, 9), OPS_SLICE("urn:uuid:")))
        v = ops_slice_sub(v, 9, 36);
    else if (v.n == 38 && v.p[0] == '{' && v.p[37] == '}')
        v = ops_slice_sub(v, 1, 36);
    if (v.n != 36)
        return false;
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? v.p[i] != '-' : !ops_value_hexdigit(v.p[i]))
            return false;
    }
    return true;
}

/* Six or eight pairs between colons or dashes: IEEE 802 hardware addresses. */
static bool hardware(ops_slice v)
{
    if (v.n != 17 && v.n != 23)
        return false;
    for (size_t i = 0; i < v.n; i++)
        if (i % 3 == 2 ? v.p[i] != v.p[2] || (v.p[2] != ':' && v.p[2] != '-') : !ops_value_hexdigit(v.p[i]))
            return false;
    return true;
}

/* Without a digit it takes more than a word of six letters to be one. */
static bool hex(ops_slice v, unsigned seen)
{
    if (v.n > 2 && v.p[0] == '0' && (v.p[1] == 'x' || v.p[1] == 'X'))
        return all_hex(ops_slice_sub(v, 2, v.n - 2));
    if ((seen & ~(unsigned)(C_DIGIT | C_HEX)) == 0)
        return v.n >= ((seen & C_DIGIT) != 0 ? 6 : 16);
    return hardware(v);
}

static bool path_byte(char c)
{
    return ops_value_alpha(c) || ops_value_digit(c) || strchr("/._-+~%@=,#:$", c) != NULL;
}

/* A name with slashes inside is a path when it has two of them or ends like a file: "and/or" is none. */
static bool relative(ops_slice v)
{
    size_t slashes = 0, last = 0;
    bool letter = false;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '\0' || !path_byte(v.p[i]))
            return false;
        letter |= ops_value_alpha(v.p[i]);
        if (v.p[i] == '/') {
            if (i > 0 && last == i && slashes > 0)
                return false; /* an empty segment */
            slashes++;
            last = i + 1;
        }
    }
    ops_slice name = ops_slice_sub(v, last, v.n - last);
    size_t dot = name.n;
    while (dot > 0 && name.p[dot - 1] != '.')
        dot--;
    bool ending = dot > 1 && dot < name.n && ops_value_alpha(name.p[dot]);
    return letter && (slashes >= 2 || (slashes == 1 && ending));
}

static bool path(ops_slice v)
{
    for (size_t i = 0; i < v.n; i++)
        if ((uint8_t)v.p[i] < ' ')
            return false;
    if (v.p[0] == '/')
        return v.n == 1 || v.p[1] != ' ';
    if (v.n > 2 && ops_value_alpha(v.p[0]) && v.p[1] == ':' && (v.p[2] == '\\' || v.p[2] == '/'))
        return true;
    if (ops_slice_starts(v, OPS_SLICE("\\\\")))
        return v.n > 2;
    if (ops_slice_starts(v, OPS_SLICE("./")) || ops_slice_starts(v, OPS_SLICE("../")) ||
        ops_slice_starts(v, OPS_SLICE("~/")))
        return true;
    return relative(v);
}

static ops_value_kind of_number(ops_slice v, unsigned seen, double *number)
{
    bool hexable = (seen & ~(unsigned)(C_DIGIT | C_HEX)) == 0;
    if (ops_value_number(v, number))
        return hexable ? OPS_VALUE_DIGITS : OPS_VALUE_NUM;
    if (hexable && v.n >= 6)
        return OPS_VALUE_HEX;
    if ((seen & (C_ALPHA | C_HEX)) != 0 && ops_value_duration(v, number))
        return OPS_VALUE_DURATION;
    return OPS_VALUE_OTHER;
}

static ops_value_kind of_structured(ops_slice v, unsigned seen)
{
    bool date_only;
    if ((seen & C_AT) != 0 && ops_value_email(v))
        return OPS_VALUE_EMAIL;
    if ((seen & (C_COLON | C_SLASH)) == (C_COLON | C_SLASH) && ops_value_url(v))
        return OPS_VALUE_URL;
    if ((seen & C_SIGN) != 0 && uuid(v))
        return OPS_VALUE_UUID;
    if ((seen & C_DIGIT) != 0 &&
        (ops_value_digit(v.p[0]) ? (seen & (C_COLON | C_SIGN | C_SLASH)) != 0 : (seen & C_COLON) != 0) &&
        ops_value_time(v, &date_only))
        return date_only ? OPS_VALUE_DATE : OPS_VALUE_TIME;
    if ((seen & (C_DOT | C_COLON)) != 0 && ops_value_ip(v))
        return OPS_VALUE_IP;
    if (hex(v, seen))
        return OPS_VALUE_HEX;
    if ((seen & C_SLASH) != 0 && path(v))
        return OPS_VALUE_PATH;
    bool named = (seen & C_DOT) != 0 || v.p[0] == 'l' || v.p[0] == 'L'; /* several labels, or localhost */
    return named && (seen & (C_ALPHA | C_HEX)) != 0 && ops_value_host(v) ? OPS_VALUE_HOST : OPS_VALUE_OTHER;
}

static bool short_digits(ops_slice v, double *ret_number)
{
    uint64_t m = 0;
    for (size_t i = 0; i < v.n; i++) {
        if (!ops_value_digit(v.p[i]))
            return false;
        m = m * 10 + (uint64_t)(v.p[i] - '0');
    }
    if (ret_number != NULL)
        *ret_number = (double)m;
    return true;
}

ops_value_kind ops_value_kind_of(ops_slice v, double *ret_number)
{
    double number = 0;
    unsigned seen = 0;
    if (v.n > 2 && (v.p[0] == '"' || v.p[0] == '\'') && v.p[v.n - 1] == v.p[0])
        v = ops_slice_sub(v, 1, v.n - 2);
    if (v.n == 0 || v.n > OPS_VALUE_BYTES_MAX)
        return OPS_VALUE_OTHER;
    if (v.n <= 18 && short_digits(v, ret_number))
        return OPS_VALUE_DIGITS; /* by far the commonest */
    for (size_t i = 0; i < v.n; i++) {
        unsigned c = classes[(uint8_t)v.p[i]];
        seen |= c == 0 ? (unsigned)C_ODD : c;
    }
    if ((seen & ~(unsigned)(C_ALPHA | C_HEX | C_ODD)) == 0 && v.p[0] != 'P' && (v.n < 9 || seen & C_ODD))
        return OPS_VALUE_OTHER; /* a word, or words */
    ops_value_kind kind = OPS_VALUE_OTHER;
    if ((seen & (C_DIGIT | C_DOT)) == (C_DIGIT | C_DOT) &&
        (seen & ~(unsigned)(C_DIGIT | C_DOT | C_COLON | C_SLASH)) == 0 && ops_value_ip(v))
        return OPS_VALUE_IP;
    if (ops_value_digit(v.p[0]) || v.p[0] == '-' || v.p[0] == '+' || v.p[0] == '.' || v.p[0] == 'P')
        kind = of_number(v, seen, &number);
    if (kind == OPS_VALUE_OTHER)
        kind = of_structured(v, seen);
    else if (ret_number != NULL && kind != OPS_VALUE_HEX)
        *ret_number = number;
    return kind;
}
