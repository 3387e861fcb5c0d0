#include "coordinator/silence/matcher.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

#include "base/mem/alloc.h"
#include "base/text/utf8.h"

enum { STEPS_MAX = 20000, HEAP_KIB_MAX = 1024 };
typedef enum op { OP_EQ, OP_NE, OP_MATCH, OP_NOT_MATCH } op;

typedef struct matcher {
    char *name, *value;
    op op;
    pcre2_code *code;
} matcher;

struct ops_matchers {
    matcher v[OPS_MATCHERS_MAX];
    size_t n;
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

static const char *lower(const ProtobufCEnumDescriptor *d, int value, const char *prefix, char buf[64])
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(d, value);
    const char *name = v != NULL ? v->name : "";
    const size_t n = strlen(prefix);
    size_t i = 0;
    if (strncmp(name, prefix, n) == 0)
        name += n;
    for (; name[i] != '\0' && i < 63; i++)
        buf[i] = (name[i] >= 'A' && name[i] <= 'Z') ? (char)(name[i] - 'A' + 'a') : name[i];
    buf[i] = '\0';
    return buf;
}

static ops_slice own_label(const Ops__V1__Finding *f, ops_slice name)
{
    for (size_t i = 0; i < f->n_labels; i++)
        if (ops_slice_eq(ops_slice_str(f->labels[i]->name), name))
            return ops_slice_str(f->labels[i]->value);
    return (ops_slice){0};
}

ops_slice ops_finding_label(const Ops__V1__Finding *f, ops_slice name, char buf[64])
{
    if (ops_slice_eq(name, OPS_SLICE("finding")))
        return ops_slice_str(f->id);
    if (ops_slice_eq(name, OPS_SLICE("tenant")))
        return ops_slice_str(f->tenant);
    if (ops_slice_eq(name, OPS_SLICE("kind")))
        return ops_slice_str(lower(&ops__v1__finding_kind__descriptor, (int)f->kind, "FINDING_KIND_", buf));
    if (ops_slice_eq(name, OPS_SLICE("severity")))
        return ops_slice_str(lower(&ops__v1__level__descriptor, (int)f->severity, "LEVEL_", buf));
    if (ops_slice_eq(name, OPS_SLICE("service")))
        return f->n_services > 0 ? ops_slice_str(f->services[0]) : (ops_slice){0};
    if (ops_slice_eq(name, OPS_SLICE("alertname")) && f->kind != OPS__V1__FINDING_KIND__FINDING_KIND_ALERT &&
        f->kind != OPS__V1__FINDING_KIND__FINDING_KIND_RULE)
        return OPS_SLICE("opsd");
    return own_label(f, name);
}

/* Cuts "name OP value"; false when there is no operator. */
static bool split(ops_slice s, ops_slice *ret_name, op *ret_op, ops_slice *ret_value)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '=' && s.p[i] != '!')
            continue;
        const char next = i + 1 < s.n ? s.p[i + 1] : '\0';
        const bool not = s.p[i] == '!';
        if (not &&next != '=' && next != '~')
            return false;
        const bool two = not || next == '~';
        *ret_op = not ? (next == '~' ? OP_NOT_MATCH : OP_NE) : (next == '~' ? OP_MATCH : OP_EQ);
        *ret_name = ops_slice_trim(ops_slice_sub(s, 0, i));
        *ret_value = ops_slice_trim(ops_slice_sub(s, i + (two ? 2 : 1), s.n));
        return true;
    }
    return false;
}

/* The value without its quotes; \" and \\ stand for themselves inside. NULL: heap out, or a quote that does not end. */
static char *unquoted(ops_slice s, bool *ret_open)
{
    char *out = ops_malloc(s.n + 1);
    size_t n = 0;
    *ret_open = false;
    if (out == NULL)
        return NULL;
    if (s.n == 0 || s.p[0] != '"') {
        if (s.n > 0)
            memcpy(out, s.p, s.n);
        out[s.n] = '\0';
        return out;
    }
    size_t i = 1;
    for (; i < s.n && s.p[i] != '"'; i++) {
        if (s.p[i] == '\\' && i + 1 < s.n && (s.p[i + 1] == '"' || s.p[i + 1] == '\\'))
            i++;
        out[n++] = s.p[i];
    }
    out[n] = '\0';
    if (i + 1 == s.n)
        return out;
    *ret_open = true;
    ops_free(out);
    return NULL;
}

static ops_status compile(matcher *m, ops_slice text, ops_err *reterr)
{
    int code;
    PCRE2_SIZE at;
    m->code = pcre2_compile((PCRE2_SPTR)m->value, PCRE2_ZERO_TERMINATED,
                            PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NO_AUTO_CAPTURE |
                                PCRE2_NEVER_BACKSLASH_C | PCRE2_ANCHORED | PCRE2_ENDANCHORED,
                            &code, &at, NULL);
    if (m->code != NULL)
        return OPS_OK;
    PCRE2_UCHAR why[160];
    (void)pcre2_get_error_message(code, why, sizeof why);
    return ops_fail(reterr, code == PCRE2_ERROR_NOMEMORY ? OPS_ENOMEM : OPS_EINVAL,
                    "matcher '" OPS_SLICE_FMT "': at byte %zu of the regex: %s", OPS_SLICE_ARG(text),
                    (size_t)at, (const char *)why);
}

static ops_status add(ops_matchers *x, ops_slice text, ops_err *reterr)
{
    matcher *m = &x->v[x->n];
    ops_slice name, value;
    bool open_quote;
    if (text.n > OPS_MATCHER_BYTES_MAX || !ops_utf8_valid(text) || memchr(text.p, '\0', text.n) != NULL)
        return ops_fail(reterr, OPS_EINVAL, "a matcher of %zu bytes: at most %d of UTF-8", text.n,
                        OPS_MATCHER_BYTES_MAX);
    if (!split(text, &name, &m->op, &value) || name.n == 0)
        return ops_fail(reterr, OPS_EINVAL,
                        "matcher '" OPS_SLICE_FMT
                        "': name=\"value\" is expected, or !=, =~, !~ in place of =",
                        OPS_SLICE_ARG(text));
    x->n++;
    m->name = ops_strndup(name.p, name.n);
    m->value = unquoted(value, &open_quote);
    if (open_quote)
        return ops_fail(reterr, OPS_EINVAL,
                        "matcher '" OPS_SLICE_FMT "': the quotes do not end where it does",
                        OPS_SLICE_ARG(text));
    if (m->name == NULL || m->value == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a matcher of %zu bytes", text.n);
    return m->op == OP_MATCH || m->op == OP_NOT_MATCH ? compile(m, text, reterr) : OPS_OK;
}

static bool matches_value(const ops_matchers *x, const matcher *m, ops_slice value)
{
    if (m->op == OP_EQ || m->op == OP_NE)
        return ops_slice_eq(value, ops_slice_str(m->value)) == (m->op == OP_EQ);
    const int rc =
        pcre2_match(m->code, (PCRE2_SPTR)(value.p != NULL ? value.p : ""), value.n, 0, 0, x->data, x->limits);
    if (rc == PCRE2_ERROR_NOMATCH)
        return m->op == OP_NOT_MATCH;
    return rc >= 0 && m->op == OP_MATCH;
}

static ops_status open_regexes(ops_matchers *x, ops_err *reterr)
{
    x->data = pcre2_match_data_create(1, NULL);
    x->limits = pcre2_match_context_create(NULL);
    if (x->data == NULL || x->limits == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "matchers");
    (void)pcre2_set_match_limit(x->limits, STEPS_MAX);
    (void)pcre2_set_depth_limit(x->limits, STEPS_MAX);
    (void)pcre2_set_heap_limit(x->limits, HEAP_KIB_MAX);
    return OPS_OK;
}

ops_status ops_matchers_new(const ops_slice *texts, size_t count, ops_matchers **ret, ops_err *reterr)
{
    if (count == 0 || count > OPS_MATCHERS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%zu matchers: 1 to %d are expected", count, OPS_MATCHERS_MAX);
    OPS_AUTO(ops_matchers_free) ops_matchers *x = ops_calloc(1, sizeof *x);
    ops_status st = x != NULL ? open_regexes(x, reterr) : ops_fail(reterr, OPS_ENOMEM, "matchers");
    bool all_empty = true;
    for (size_t i = 0; st == OPS_OK && i < count; i++) {
        st = add(x, texts[i], reterr);
        if (st == OPS_OK)
            all_empty = all_empty && matches_value(x, &x->v[i], (ops_slice){0});
    }
    if (st == OPS_OK && all_empty)
        st = ops_fail(reterr, OPS_EINVAL, "the matchers take whatever there is: one must ask for a label");
    if (st == OPS_OK)
        *ret = OPS_STEAL(x);
    return st;
}

void ops_matchers_free(ops_matchers *x)
{
    if (x == NULL)
        return;
    for (size_t i = 0; i < x->n; i++) {
        ops_free(x->v[i].name);
        ops_free(x->v[i].value);
        pcre2_code_free(x->v[i].code);
    }
    pcre2_match_data_free(x->data);
    pcre2_match_context_free(x->limits);
    ops_free(x);
}

bool ops_matchers_match(const ops_matchers *x, const Ops__V1__Finding *f)
{
    bool all = true;
    char buf[64];
    for (size_t i = 0; all && i < x->n; i++)
        all = matches_value(x, &x->v[i], ops_finding_label(f, ops_slice_str(x->v[i].name), buf));
    return all;
}

bool ops_matchers_may_concern(const ops_matchers *x, ops_slice tenant)
{
    bool may = true;
    for (size_t i = 0; may && i < x->n; i++)
        may = strcmp(x->v[i].name, "tenant") != 0 || matches_value(x, &x->v[i], tenant);
    return may;
}
