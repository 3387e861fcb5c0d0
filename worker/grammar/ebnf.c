/* A small EBNF, after the notation of the XML 1.0 recommendation (section 6) with counts: worker/grammar/grammar.h says
 * which. */
#include <stdlib.h>

#include "base/coll/map.h"
#include "base/mem/alloc.h"
#include "base/text/utf8.h"
#include "worker/grammar/build_internal.h"
#include "worker/model/json_text.h"

enum { NAME_MAX = 64, RANGES = 256 };

typedef struct rule {
    size_t used_at; /* where its name was met first */
    bool made;
} rule;

typedef struct schema { /* %json */
    ops_slice json, in; /* the rule it stands in */
    size_t at;
    uint32_t rule;
} schema;

typedef struct parser {
    ops_gb *b;
    ops_slice s;
    size_t at;
    int depth;
    ops_map *by_name; /* -> rule's number + 1 */
    OPS_VEC(rule) rules;
    OPS_VEC(ops_slice) names;
    OPS_VEC(schema) schemas;
    ops_slice in; /* the rule being read */
    ops_err *err;
    ops_status st;
} parser;
typedef OPS_VEC(ops_gb_ref) refs;

static void place_of(const parser *p, size_t at, size_t *ret_line, size_t *ret_column)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < p->s.n; i++) {
        column = p->s.p[i] == '\n' ? 1 : column + (((uint8_t)p->s.p[i] & 0xc0) != 0x80);
        line += p->s.p[i] == '\n';
    }
    *ret_line = line;
    *ret_column = column;
}
static ops_status fail_at(parser *p, size_t at, ops_status st, const char *what, ops_slice name)
{
    size_t line, column;
    place_of(p, at, &line, &column);
    if (p->st == OPS_OK && name.n > 0)
        p->st = ops_fail(p->err, st, "grammar %zu:%zu: %s '" OPS_SLICE_FMT "'", line, column, what,
                         OPS_SLICE_ARG(name));
    else if (p->st == OPS_OK)
        p->st = ops_fail(p->err, st, "grammar %zu:%zu: %s", line, column, what);
    return p->st;
}
static ops_gb_ref wrong(parser *p, const char *what)
{
    (void)fail_at(p, p->at, OPS_EINVAL, what, ops_slice_of(NULL, 0));
    return OPS_GB_NEVER;
}
static bool going(const parser *p)
{
    return p->st == OPS_OK && ops_gb_ok(p->b);
}
static char peek(const parser *p)
{
    return p->at < p->s.n ? p->s.p[p->at] : '\0';
}
static bool next_is(parser *p, const char *text)
{
    if (!ops_slice_starts(ops_slice_sub(p->s, p->at, p->s.n), ops_slice_str(text)))
        return false;
    p->at += strlen(text);
    return true;
}
static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
static void skip(parser *p)
{
    for (;;) {
        while (p->at < p->s.n && is_blank(p->s.p[p->at]))
            p->at++;
        if (peek(p) != '#')
            return;
        while (p->at < p->s.n && p->s.p[p->at] != '\n')
            p->at++;
    }
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}
static ops_slice name_at(const parser *p)
{
    size_t n = 0;
    while (p->at + n < p->s.n && is_name(p->s.p[p->at + n]))
        n++;
    return ops_slice_sub(p->s, p->at, n);
}
/* Does a rule begin here? */
static bool at_rule(parser *p)
{
    const size_t at = p->at;
    p->at += name_at(p).n;
    const bool named = p->at > at;
    skip(p);
    const bool yes = named && next_is(p, "::=");
    p->at = at;
    return yes;
}

static uint32_t rule_of(parser *p, ops_slice name, size_t at)
{
    const uintptr_t known = (uintptr_t)ops_map_get(p->by_name, name);
    if (known != 0)
        return (uint32_t)known - 1;
    if (name.n > NAME_MAX) {
        (void)fail_at(p, at, OPS_ETOOBIG, "a name of more than 64 bytes", ops_slice_of(NULL, 0));
        return 0;
    }
    const uint32_t r = ops_gb_rule(p->b);
    if (ops_gb_ok(p->b) &&
        (!ops_vec_push(&p->rules, ((rule){.used_at = at})) || !ops_vec_push(&p->names, name) ||
         ops_map_put(p->by_name, name, (void *)(uintptr_t)(r + 1), NULL) != OPS_OK))
        p->b->st = OPS_ENOMEM;
    return r;
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
        else
            return wrong(p, "an escape wants hexadecimal digits");
    }
    return v;
}

/* One code point of a text or class, escaped or not. */
static uint32_t code_point(parser *p)
{
    static const char from[] = "nrt\\\"'][-^", to[] = "\n\r\t\\\"'][-^";
    if (next_is(p, "\\")) {
        const char *found = p->at < p->s.n ? memchr(from, peek(p), sizeof from - 1) : NULL;
        uint32_t c = 0;
        if (found != NULL) {
            p->at++;
            return (uint8_t)to[found - from];
        }
        const size_t at = p->at;
        if (next_is(p, "x"))
            c = hex(p, 2);
        else if (next_is(p, "u"))
            c = hex(p, 4);
        else if (next_is(p, "U"))
            c = hex(p, 8);
        else
            return wrong(p,
                         "an escape that is none of \\n \\r \\t \\\\ \\\" \\' \\] \\[ \\- \\^ \\x \\u \\U");
        if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            (void)fail_at(p, at, OPS_EINVAL, "an escape that is no code point", ops_slice_of(NULL, 0));
        return c;
    }
    const size_t n = ops_utf8_len(ops_slice_sub(p->s, p->at, p->s.n));
    static const uint8_t keep[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    if (n == 0)
        return wrong(p, "no UTF-8");
    uint32_t c = (uint8_t)p->s.p[p->at] & keep[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((uint8_t)p->s.p[p->at + i] & 0x3f);
    p->at += n;
    return c;
}

static void keep(parser *p, refs *r, ops_gb_ref x)
{
    if (going(p) && !ops_vec_push(r, x))
        p->b->st = OPS_ENOMEM;
}

static ops_gb_ref literal(parser *p, char quote)
{
    refs all = {0};
    while (going(p) && peek(p) != quote) {
        if (p->at >= p->s.n || peek(p) == '\n')
            (void)wrong(p, "a text without its closing quote");
        else {
            const uint32_t c = code_point(p);
            const ops_gb_range r = {c, c};
            keep(p, &all, going(p) ? ops_gb_set(p->b, &r, 1, false) : OPS_GB_NEVER);
        }
    }
    p->at++;
    const ops_gb_ref x = ops_gb_list(p->b, OPS_GB_KIND_SEQ, all.v, all.n);
    ops_vec_done(&all);
    return x;
}

static int by_low(const void *a, const void *b)
{
    const ops_gb_range *x = a, *y = b;
    return (x->lo > y->lo) - (x->lo < y->lo);
}
static ops_gb_ref all_but(parser *p, ops_gb_range *r, size_t n)
{
    ops_gb_range out[RANGES + 1];
    size_t m = 0;
    uint32_t at = 0;
    qsort(r, n, sizeof *r, by_low);
    for (size_t i = 0; i < n; i++) {
        if (r[i].lo > at)
            out[m++] = (ops_gb_range){at, r[i].lo - 1};
        at = r[i].hi + 1 > at ? r[i].hi + 1 : at;
    }
    if (at <= 0x10ffff)
        out[m++] = (ops_gb_range){at, 0x10ffff};
    return ops_gb_set(p->b, out, m, false);
}

static ops_gb_ref class(parser *p)
{
    ops_gb_range r[RANGES];
    size_t n = 0;
    const bool not = next_is(p, "^");
    while (going(p) && peek(p) != ']') {
        if (p->at >= p->s.n || n == RANGES)
            return wrong(p, n == RANGES ? "a class of more than 256 ranges" : "a class without its ]");
        const uint32_t lo = code_point(p);
        uint32_t hi = lo;
        if (going(p) && peek(p) == '-' && p->at + 1 < p->s.n && p->s.p[p->at + 1] != ']') {
            p->at++;
            hi = code_point(p);
        }
        if (going(p) && hi < lo)
            return wrong(p, "a range of a class runs backwards");
        r[n++] = (ops_gb_range){lo, hi};
    }
    p->at++;
    if (!going(p))
        return OPS_GB_NEVER;
    return not ? all_but(p, r, n) : ops_gb_set(p->b, r, n, false);
}

/* A schema is a rule, made when the whole text was read: so the rules of this text are numbered one after another. */
static ops_gb_ref schema_here(parser *p)
{
    ops_json_scan scan = {0};
    const size_t at = p->at;
    skip(p);
    size_t n = 0;
    ops_json_step step = peek(p) == '{' ? OPS_JSON_GOES_ON : OPS_JSON_BROKEN;
    while (step == OPS_JSON_GOES_ON && p->at + n < p->s.n)
        step = ops_json_scan_put(&scan, p->s.p[p->at + n++]);
    if (step != OPS_JSON_ENDS)
        return wrong(p, "after %json a JSON Schema, an object, is missing");
    const schema s = {ops_slice_sub(p->s, p->at, n), p->in, at, ops_gb_rule(p->b)};
    p->at += n;
    if (ops_gb_ok(p->b) && (!ops_vec_push(&p->rules, ((rule){at, true})) ||
                            !ops_vec_push(&p->names, OPS_SLICE("%json")) || !ops_vec_push(&p->schemas, s)))
        p->b->st = OPS_ENOMEM;
    return ops_gb_call(p->b, s.rule);
}

static ops_status make_schemas(parser *p)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; i < p->schemas.n && st == OPS_OK; i++) {
        const schema *s = &p->schemas.v[i];
        st = ops_gb_schema(p->b, s->json, s->rule, p->err);
        size_t line, column;
        place_of(p, s->at, &line, &column);
        if (st != OPS_OK)
            ops_err_prefix(p->err, "grammar %zu:%zu: in '" OPS_SLICE_FMT "'", line, column,
                           OPS_SLICE_ARG(s->in));
    }
    return st;
}

static ops_gb_ref alternatives(parser *p);

static ops_gb_ref atom(parser *p) // NOLINT(misc-no-recursion): OPS_GRAMMAR_NESTING_MAX
{
    const ops_slice name = name_at(p);
    if (name.n > 0) {
        const uint32_t r = rule_of(p, name, p->at);
        p->at += name.n;
        return ops_gb_call(p->b, r);
    }
    if (next_is(p, "\""))
        return literal(p, '"');
    if (next_is(p, "'"))
        return literal(p, '\'');
    if (next_is(p, "["))
        return class(p);
    if (next_is(p, ".")) {
        static const ops_gb_range point[] = {{0, '\n' - 1}, {'\n' + 1, 0x10ffff}};
        return ops_gb_set(p->b, point, 2, false);
    }
    if (next_is(p, "%json"))
        return schema_here(p);
    if (!next_is(p, "("))
        return wrong(p, "a name, a text, a class or a group is missing");
    if (++p->depth > OPS_GRAMMAR_NESTING_MAX)
        return wrong(p, "groups nested deeper than 64");
    const ops_gb_ref x = alternatives(p);
    p->depth--;
    skip(p);
    return !going(p) || next_is(p, ")") ? x : wrong(p, "a group without its )");
}

static uint32_t number(parser *p)
{
    uint32_t v = 0;
    if (peek(p) < '0' || peek(p) > '9')
        return wrong(p, "a count is missing");
    for (; peek(p) >= '0' && peek(p) <= '9' && v <= OPS_GRAMMAR_REPEAT_MAX; p->at++)
        v = v * 10 + (uint32_t)(peek(p) - '0');
    return v <= OPS_GRAMMAR_REPEAT_MAX ? v : wrong(p, "a count above 65536");
}

static ops_gb_ref counted(parser *p, ops_gb_ref x)
{
    for (int n = 0; going(p); n++) {
        uint32_t min = 0, max = OPS_GB_NO_MAX;
        skip(p);
        if (next_is(p, "+"))
            min = 1;
        else if (next_is(p, "?"))
            max = 1;
        else if (next_is(p, "{")) {
            min = max = number(p);
            if (next_is(p, ","))
                max = peek(p) == '}' ? OPS_GB_NO_MAX : number(p);
            if (going(p) && (!next_is(p, "}") || max < min))
                return wrong(p, "a count is not {m}, {m,} or {m,n}");
        } else if (!next_is(p, "*"))
            return x;
        if (n >= OPS_GRAMMAR_NESTING_MAX)
            return wrong(p, "more than 64 counts in a row");
        x = ops_gb_repeat(p->b, x, min, max);
    }
    return OPS_GB_NEVER;
}

static ops_gb_ref sequence(parser *p) // NOLINT(misc-no-recursion)
{
    refs all = {0};
    for (skip(p); going(p) && p->at < p->s.n && peek(p) != '|' && peek(p) != ')' && !at_rule(p); skip(p))
        keep(p, &all, counted(p, atom(p)));
    const ops_gb_ref x = ops_gb_list(p->b, OPS_GB_KIND_SEQ, all.v, all.n);
    ops_vec_done(&all);
    return x;
}

static ops_gb_ref alternatives(parser *p) // NOLINT(misc-no-recursion)
{
    refs all = {0};
    do
        keep(p, &all, sequence(p));
    while (going(p) && next_is(p, "|"));
    const ops_gb_ref x = ops_gb_list(p->b, OPS_GB_KIND_ALT, all.v, all.n);
    ops_vec_done(&all);
    return x;
}

static void read_rule(parser *p)
{
    const ops_slice name = name_at(p);
    if (!at_rule(p)) {
        (void)wrong(p, "a rule 'name ::= ...' is missing");
        return;
    }
    const size_t at = p->at;
    const uint32_t r = rule_of(p, name, at);
    p->at += name.n;
    p->in = name;
    skip(p);
    (void)next_is(p, "::=");
    if (going(p) && p->rules.v[r - OPS_GB_COMMON].made)
        (void)fail_at(p, at, OPS_EINVAL, "a second rule", name);
    const ops_gb_ref x = going(p) ? alternatives(p) : OPS_GB_NEVER;
    skip(p);
    if (going(p) && p->at < p->s.n && !at_rule(p))
        (void)wrong(p, "a ) without its (");
    if (!going(p))
        return;
    p->rules.v[r - OPS_GB_COMMON].made = true;
    ops_gb_make(p->b, r, x);
}

static ops_status read_all(parser *p, uint32_t *ret_root)
{
    for (skip(p); going(p) && p->at < p->s.n; skip(p))
        read_rule(p);
    for (size_t i = 0; going(p) && i < p->rules.n; i++)
        if (!p->rules.v[i].made)
            (void)fail_at(p, p->rules.v[i].used_at, OPS_EINVAL, "no rule", p->names.v[i]);
    const uintptr_t root = (uintptr_t)ops_map_get(p->by_name, OPS_SLICE("root"));
    if (going(p) && root == 0)
        (void)wrong(p, "there is no rule 'root'");
    *ret_root = root != 0 ? (uint32_t)root - 1 : 0;
    const ops_status st = p->st != OPS_OK ? p->st : ops_gb_told(p->b, p->err);
    return st == OPS_OK ? make_schemas(p) : st;
}

ops_status ops_grammar_from_ebnf(const ops_grammar_vocab *v, ops_slice text, ops_grammar **ret,
                                 ops_err *reterr)
{
    if (text.n > OPS_GRAMMAR_TEXT_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "grammar of %zu bytes, more than %d", text.n,
                        OPS_GRAMMAR_TEXT_MAX);
    ops_gb b;
    parser p = {.b = &b, .s = text, .err = reterr};
    const unsigned flags = ops_slice_find(text, OPS_SLICE("%json")) >= 0 ? OPS_GRAMMAR_SPACED : 0;
    ops_status st = ops_gb_init(&b, v, flags, reterr);
    p.by_name = ops_map_new();
    if (st == OPS_OK && p.by_name == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "grammar: out of memory");
    uint32_t root = 0;
    if (st == OPS_OK)
        st = read_all(&p, &root);
    b.names = p.names.v;
    b.n_names = p.names.n;
    if (st == OPS_OK)
        st = ops_gb_finish(&b, root, ret, reterr);
    ops_map_free(p.by_name);
    ops_vec_done(&p.rules);
    ops_vec_done(&p.names);
    ops_vec_done(&p.schemas);
    ops_gb_done(&b);
    return st;
}
