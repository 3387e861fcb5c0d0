#include "worker/model/json_text.h"

#include <jansson.h>

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static ops_slice skip_blanks(ops_slice s)
{
    while (s.n > 0 && blank(s.p[0]))
        s = ops_slice_sub(s, 1, s.n);
    return s;
}

/* --- scanning --- */

static bool opens(ops_json_scan *s, bool object)
{
    if (s->depth == OPS_JSON_DEPTH_MAX)
        return false;
    const uint64_t bit = UINT64_C(1) << (s->depth % 64);
    uint64_t *word = &s->objects[s->depth++ / 64];
    *word = object ? *word | bit : *word & ~bit;
    return true;
}

static bool closes(ops_json_scan *s, bool object)
{
    if (s->depth == 0)
        return false;
    s->depth--;
    return (s->objects[s->depth / 64] >> (s->depth % 64) & 1) == object;
}

static ops_json_step in_string(ops_json_scan *s, char c)
{
    if ((unsigned char)c < 0x20)
        return OPS_JSON_BROKEN;
    s->string = s->escape || c != '"';
    s->escape = !s->escape && c == '\\';
    return s->string || s->depth > 0 ? OPS_JSON_GOES_ON : OPS_JSON_ENDS;
}

ops_json_step ops_json_scan_put(ops_json_scan *s, char c)
{
    if (s->string)
        return in_string(s, c);
    switch (c) {
    case '"':
        s->string = true;
        return OPS_JSON_GOES_ON;
    case '{':
    case '[':
        return opens(s, c == '{') ? OPS_JSON_GOES_ON : OPS_JSON_BROKEN;
    case '}':
    case ']':
        return !closes(s, c == '}') ? OPS_JSON_BROKEN : s->depth > 0 ? OPS_JSON_GOES_ON : OPS_JSON_ENDS;
    default: /* blanks, commas, colons, numbers, true, false, null */
        return s->depth > 0 && strchr(" \t\n\r,:0123456789+-.eEtrufalsn", c) != NULL && c != '\0'
                   ? OPS_JSON_GOES_ON
                   : OPS_JSON_BROKEN;
    }
}

static size_t value_bytes(ops_slice s)
{
    ops_json_scan scan = {0};
    size_t n = 0;
    if (s.n > 0 && strchr("{[\"", s.p[0]) != NULL) {
        while (n < s.n && ops_json_scan_put(&scan, s.p[n]) == OPS_JSON_GOES_ON)
            n++;
        return n < s.n ? n + 1 : n;
    }
    while (n < s.n && !blank(s.p[n]) && strchr(",]}", s.p[n]) == NULL)
        n++;
    return n;
}

/* --- checking --- */

static bool too_deep(ops_slice json)
{
    unsigned depth = 0, most = 0;
    bool string = false;
    for (size_t i = 0; i < json.n; i++) {
        const char c = json.p[i];
        if (string && c == '\\')
            i++;
        else if (c == '"')
            string = !string;
        else if (!string) {
            depth += c == '{' || c == '[';
            most = depth > most ? depth : most;
            depth -= (c == '}' || c == ']') && depth > 0;
        }
    }
    return most > OPS_JSON_DEPTH_MAX;
}

ops_status ops_json_text_check(ops_slice json, ops_err *reterr)
{
    if (json.n > OPS_JSON_TEXT_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "%zu bytes of JSON, at most %d are read", json.n,
                        OPS_JSON_TEXT_MAX);
    if (too_deep(json))
        return ops_fail(reterr, OPS_ETOOBIG, "JSON nested deeper than %d", OPS_JSON_DEPTH_MAX);
    json_error_t bad;
    json_t *j = json_loadb(json.p != NULL ? json.p : "", json.n, JSON_ALLOW_NUL, &bad);
    const bool object = json_is_object(j);
    if (j == NULL)
        (void)ops_fail(reterr, OPS_EINVAL, "no JSON at line %d column %d: %s", bad.line, bad.column,
                       bad.text);
    else if (!object)
        (void)ops_fail(reterr, OPS_EINVAL, "a JSON object is wanted");
    json_decref(j);
    return object ? OPS_OK : OPS_EINVAL;
}

/* --- strings --- */

static void put_code(ops_strbuf *out, uint32_t c)
{
    char b[4];
    size_t n = 1;
    if (c < 0x80)
        b[0] = (char)c;
    else {
        n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
        for (size_t i = n; i-- > 1; c >>= 6)
            b[i] = (char)(0x80 | (c & 0x3f));
        b[0] = (char)(lead[n] | c);
    }
    ops_strbuf_put(out, b, n);
}

static uint32_t hex4(ops_slice s)
{
    uint32_t v = 0;
    for (size_t i = 0; i < 4 && i < s.n; i++) {
        const char c = s.p[i];
        v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return v;
}

/* \uXXXX at the start of s; the bytes it takes, the second half of a pair included. */
static size_t put_escaped_code(ops_strbuf *out, ops_slice s)
{
    uint32_t c = hex4(ops_slice_sub(s, 2, 4));
    size_t n = 6;
    if (c >= 0xd800 && c < 0xdc00 && s.n >= 12) {
        c = 0x10000 + ((c - 0xd800) << 10) + ((hex4(ops_slice_sub(s, 8, 4)) - 0xdc00) & 0x3ff);
        n = 12;
    }
    put_code(out, c);
    return n;
}

void ops_json_text_unquote(ops_strbuf *out, ops_slice literal)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const ops_slice s = literal.n >= 2 ? ops_slice_sub(literal, 1, literal.n - 2) : (ops_slice){0};
    for (size_t i = 0; i < s.n;) {
        if (s.p[i] != '\\' || i + 1 >= s.n) {
            ops_strbuf_char(out, s.p[i++]);
        } else if (s.p[i + 1] == 'u') {
            i += put_escaped_code(out, ops_slice_sub(s, i, s.n));
        } else {
            const char *found = memchr(from, s.p[i + 1], sizeof from - 1);
            ops_strbuf_char(out, found != NULL ? to[found - from] : s.p[i + 1]);
            i += 2;
        }
    }
}

void ops_json_text_quote(ops_strbuf *out, ops_slice s)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    ops_strbuf_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        const char *found = memchr(from, s.p[i], sizeof from - 1);
        if (found != NULL) {
            ops_strbuf_char(out, '\\');
            ops_strbuf_char(out, to[found - from]);
        } else if ((unsigned char)s.p[i] < 0x20)
            ops_strbuf_printf(out, "\\u%04x", (unsigned char)s.p[i]);
        else
            ops_strbuf_char(out, s.p[i]);
    }
    ops_strbuf_char(out, '"');
}

static void requote(ops_strbuf *out, ops_slice literal)
{
    if (memchr(literal.p, '\\', literal.n) == NULL) {
        ops_strbuf_slice(out, literal);
        return;
    }
    ops_strbuf said;
    ops_strbuf_init(&said, literal.n);
    ops_json_text_unquote(&said, literal);
    ops_json_text_quote(out, ops_strbuf_get(&said));
    out->failed = out->failed || said.failed;
    ops_strbuf_done(&said);
}

/* --- writing --- */

static void new_line(ops_strbuf *out, unsigned indent, unsigned depth)
{
    if (indent > 0)
        ops_strbuf_printf(out, "\n%*s", (int)(indent * depth), "");
}

void ops_json_text_write(ops_strbuf *out, ops_slice json, unsigned indent)
{
    unsigned depth = 0;
    for (ops_slice rest = skip_blanks(json); rest.n > 0;) {
        const char c = rest.p[0];
        const size_t n = c == '"' ? value_bytes(rest) : 1;
        const ops_slice part = ops_slice_sub(rest, 0, n);
        rest = skip_blanks(ops_slice_sub(rest, n, rest.n));
        if (c == '}' || c == ']')
            new_line(out, indent, --depth);
        if (c == '"')
            requote(out, part);
        else
            ops_strbuf_slice(out, part);
        if ((c == '{' || c == '[') && rest.n > 0 && (rest.p[0] == '}' || rest.p[0] == ']')) {
            ops_strbuf_char(out, rest.p[0]); /* nothing inside: no line of its own */
            rest = skip_blanks(ops_slice_sub(rest, 1, rest.n));
        } else if (c == '{' || c == '[')
            new_line(out, indent, ++depth);
        else if (c == ',' && indent > 0)
            new_line(out, indent, depth);
        else if (c == ',' || c == ':')
            ops_strbuf_char(out, ' ');
    }
}

/* --- looking into --- */

static ops_slice take_value(ops_slice *s)
{
    const ops_slice value = ops_slice_sub(*s, 0, value_bytes(*s));
    *s = skip_blanks(ops_slice_sub(*s, value.n, s->n));
    return value;
}

bool ops_json_text_next(ops_slice *rest, ops_slice *ret_key, ops_slice *ret_value)
{
    ops_slice s = skip_blanks(*rest);
    if (s.n > 0 && s.p[0] != '}' && s.p[0] != ']')
        s = skip_blanks(ops_slice_sub(s, 1, s.n)); /* the bracket or the comma before it */
    *rest = s;
    if (s.n == 0 || s.p[0] == '}' || s.p[0] == ']')
        return false;
    ops_slice key = {0}, value = take_value(&s);
    if (s.n > 0 && s.p[0] == ':') {
        key = value;
        s = skip_blanks(ops_slice_sub(s, 1, s.n));
        value = take_value(&s);
    }
    *rest = s;
    *ret_key = key;
    *ret_value = value;
    return true;
}

bool ops_json_text_member(ops_slice object, const char *name, ops_slice *ret_value)
{
    ops_slice rest = object, key, value;
    while (ops_json_text_next(&rest, &key, &value))
        if (key.n >= 2 && ops_slice_eq(ops_slice_sub(key, 1, key.n - 2), ops_slice_str(name))) {
            *ret_value = value;
            return true;
        }
    return false;
}
