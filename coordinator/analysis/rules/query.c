/* Queries: made, freed, words of errors, numbers and durations. */
#include "coordinator/analysis/rules/query.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "coordinator/analysis/rules/ast.h"

enum { PARSE_BYTES_MAX = 64 << 20, REGEXES_MAX = 256, REGEX_BYTES_MAX = 4096 };

ops_status(rules_fail_at)(const ops_rules_query *q, size_t at, ops_status code, ops_err *reterr,
                          const char *fmt, ...)
{
    char words[400];
    size_t line = 1, column = 1;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    for (size_t i = 0; i < at && i < q->text.n; i++, column++)
        if (q->text.p[i] == '\n') {
            line++;
            column = 0;
        }
    return ops_fail(reterr, code, "%zu:%zu: %s", line, column, words);
}

const char *rules_type_name(ops_rules_type t)
{
    static const char *const names[] = {"scalar", "instant vector", "range vector", "string"};
    return names[t];
}

ops_status rules_regex(ops_rules_query *q, size_t at, ops_slice pattern, void **ret, ops_err *reterr)
{
    ops_err why = {0};
    void *re = NULL;
    if (q->regexes.n >= REGEXES_MAX || pattern.n > REGEX_BYTES_MAX)
        return rules_fail_at(q, at, OPS_ETOOBIG, reterr, "more than %d regexes or %d bytes of one",
                             REGEXES_MAX, REGEX_BYTES_MAX);
    ops_status st = q->regex->compile(q->regex->u, pattern, &re, &why);
    if (st != OPS_OK)
        return rules_fail_at(q, at, st, reterr, "regex: %s", why.msg);
    if (!ops_vec_push(&q->regexes, re)) {
        q->regex->free(q->regex->u, re);
        return rules_fail_at(q, at, OPS_ENOMEM, reterr, "out of memory");
    }
    *ret = re;
    return OPS_OK;
}

ops_status ops_rules_query_parse(ops_slice text, const ops_rules_regex *regex, ops_rules_query **ret,
                                 ops_err *reterr)
{
    if (text.n > OPS_RULES_EXPR_BYTES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "1:1: the expression is longer than %d bytes",
                        OPS_RULES_EXPR_BYTES_MAX);
    OPS_AUTO(ops_rules_query_free) ops_rules_query *q = ops_calloc(1, sizeof *q);
    if (q == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "1:1: out of memory");
    q->regex = regex;
    ops_arena_init(&q->arena, PARSE_BYTES_MAX);
    q->text = ops_arena_dup(&q->arena, text);
    if (q->text.p == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "1:1: out of memory");
    ops_status st = rules_parse(q, reterr);
    if (st != OPS_OK)
        return st;
    *ret = OPS_STEAL(q);
    return OPS_OK;
}

void ops_rules_query_free(ops_rules_query *q)
{
    if (q == NULL)
        return;
    for (size_t i = 0; i < q->regexes.n; i++)
        q->regex->free(q->regex->u, q->regexes.v[i]);
    ops_vec_done(&q->regexes);
    ops_arena_done(&q->arena);
    ops_free(q);
}

ops_rules_type ops_rules_query_type(const ops_rules_query *q)
{
    return q->root->type;
}

static int64_t reach(const rules_node *n, int64_t lookback_ms)
{
    int64_t deepest = 0;
    for (size_t i = 0; i < n->arg_n; i++) {
        int64_t r = reach(n->args[i], lookback_ms);
        deepest = r > deepest ? r : deepest;
    }
    if (n->kind != NODE_SELECTOR && n->kind != NODE_SUBQUERY)
        return deepest;
    if (n->at_kind == AT_TIME || deepest == INT64_MAX) /* start() and end() of an instant are the instant */
        return INT64_MAX;
    int64_t own = n->offset_ms + (n->range_ms > 0 ? n->range_ms : lookback_ms);
    return own > 0 ? deepest + own : deepest;
}

int64_t ops_rules_query_reach_ms(const ops_rules_query *q, const ops_rules_limits *limits)
{
    return reach(q->root, limits != NULL && limits->lookback_ms > 0 ? limits->lookback_ms : 300000);
}

static void selectors(const rules_node *n, void (*fn)(void *u, const ops_rules_matcher *m, size_t n), void *u)
{
    if (n->kind == NODE_SELECTOR)
        fn(u, n->matchers, n->matcher_n);
    for (size_t i = 0; i < n->arg_n; i++)
        selectors(n->args[i], fn, u);
}

void ops_rules_query_selectors(const ops_rules_query *q,
                               void (*fn)(void *u, const ops_rules_matcher *m, size_t n), void *u)
{
    selectors(q->root, fn, u);
}

bool ops_rules_duration(ops_slice s, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"y", 31536000000}, {"w", 604800000}, {"d", 86400000}, {"h", 3600000},
                 {"m", 60000},       {"s", 1000},      {"ms", 1}};
    int64_t total = 0;
    size_t at = 0, from = 0;
    if (ops_slice_eq(s, OPS_SLICE("0"))) {
        *ret_ms = 0;
        return true;
    }
    while (at < s.n) {
        uint64_t v = 0;
        size_t k = at, u;
        while (k < s.n && s.p[k] >= '0' && s.p[k] <= '9')
            k++;
        if (k == at || k - at > 15 || !ops_slice_to_u64(ops_slice_sub(s, at, k - at), &v))
            return false;
        size_t e = k;
        while (e < s.n && s.p[e] >= 'a' && s.p[e] <= 'z')
            e++;
        for (u = from; u < sizeof units / sizeof *units; u++)
            if (ops_slice_eq(ops_slice_sub(s, k, e - k), ops_slice_str(units[u].unit)))
                break;
        if (u == sizeof units / sizeof *units || v > (uint64_t)((INT64_MAX / 4 - total) / units[u].ms))
            return false;
        total += (int64_t)v * units[u].ms;
        from = u + 1; /* units fall, each at most once */
        at = e;
    }
    if (s.n == 0 || total > 9000000000000000)
        return false;
    *ret_ms = total;
    return true;
}

bool rules_number(ops_slice s, double *ret)
{
    char text[64], *end;
    if (ops_slice_eq_nocase(s, OPS_SLICE("nan")) || ops_slice_eq_nocase(s, OPS_SLICE("inf"))) {
        *ret = (s.p[0] | 32) == 'n' ? (double)NAN : (double)INFINITY;
        return true;
    }
    if (s.n == 0 || s.n >= sizeof text || !((s.p[0] >= '0' && s.p[0] <= '9') || s.p[0] == '.'))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    bool hex = s.n > 2 && text[0] == '0' && (text[1] | 32) == 'x';
    bool octal = !hex && s.n > 1 && text[0] == '0' && strspn(text, "01234567") == s.n;
    if (hex || octal) {
        errno = 0;
        unsigned long long v = strtoull(text, &end, hex ? 16 : 8);
        *ret = (double)v;
        return *end == '\0' && errno == 0;
    }
    return ops_slice_to_f64(s, ret);
}

void ops_rules_number(double v, bool plain, ops_strbuf *out)
{
    char text[40] = "", *e;
    if (isnan(v) || isinf(v)) {
        ops_strbuf_str(out, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 0; digits < 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*e", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    e = strchr(text, 'e');
    if (e == NULL)
        return; /* %e always writes one */
    int exp = (int)strtol(e + 1, NULL, 10);
    size_t n = 0;
    char d[24] = "";
    for (const char *p = text; p < e; p++)
        if (*p >= '0' && *p <= '9' && n < sizeof d)
            d[n++] = *p;
    if (v < 0 || (v == 0 && signbit(v)))
        ops_strbuf_char(out, '-');
    if (!plain && v != 0 && (exp < -4 || exp >= 21)) {
        ops_strbuf_char(out, d[0]);
        if (n > 1)
            ops_strbuf_char(out, '.');
        ops_strbuf_put(out, d + 1, n - 1);
        ops_strbuf_printf(out, "e%+03d", exp);
        return;
    }
    if (exp < 0)
        ops_strbuf_str(out, "0.");
    for (int i = exp + 1; i < 0; i++)
        ops_strbuf_char(out, '0');
    for (int i = 0; i < (int)n || i <= exp; i++) {
        if (i > 0 && i == exp + 1)
            ops_strbuf_char(out, '.');
        ops_strbuf_char(out, i < (int)n ? d[i] : '0');
    }
}
