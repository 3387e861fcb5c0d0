/* Expressions in the place of a duration: [5m * 2], offset (1h - 30s). Numbers are seconds. */
#include <math.h>

#include "coordinator/analysis/rules/parse_internal.h"

#define TIME_MS_MAX 9.0e15

static ops_status sum(rules_parse_state *p, int prec_min, const char *where, double *ret);

static ops_status literal(rules_parse_state *p, const char *where, double *ret)
{
    int64_t ms = 0;
    static const char *const functions[] = {"step", "range", "min", "max", "min_of", "max_of"};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (rules_parse_word(p, functions[i]))
            return PARSE_FAIL(p, p->tok.at, OPS_EUNIMPL, "%s() as a duration is not taken (experimental)",
                              functions[i]);
    if (p->tok.kind != TOK_NUMBER)
        return rules_parse_unexpected(p, where);
    if (ops_rules_duration(p->tok.text, &ms))
        *ret = (double)ms / 1000;
    else if (!rules_number(p->tok.text, ret))
        return PARSE_FAIL(p, p->tok.at, OPS_EINVAL, "bad duration '" OPS_SLICE_FMT "'",
                          OPS_SLICE_ARG(ops_slice_sub(p->tok.text, 0, 64)));
    return rules_parse_next(p);
}

static ops_status parenthesised(rules_parse_state *p, const char *where, double *ret)
{
    if (!rules_parse_is(p, "("))
        return literal(p, where, ret);
    ops_status st = rules_parse_next(p);
    if (st == OPS_OK)
        st = sum(p, 1, where, ret);
    return st == OPS_OK ? rules_parse_expect(p, ")", "in a duration") : st;
}

enum { PREC_ADD = 1, PREC_MUL, PREC_POW };

static ops_status signed_one(rules_parse_state *p, const char *where, double *ret)
{
    const bool minus = rules_parse_is(p, "-");
    if (!minus && !rules_parse_is(p, "+"))
        return parenthesised(p, where, ret);
    if (++p->nesting > OPS_RULES_DEPTH_MAX)
        return PARSE_FAIL(p, p->tok.at, OPS_ETOOBIG, "the expression is nested deeper than %d",
                          OPS_RULES_DEPTH_MAX);
    ops_status st = rules_parse_next(p);
    if (st == OPS_OK)
        st = sum(p, PREC_POW, where, ret); /* -2 ^ 2 is -(2 ^ 2) */
    p->nesting--;
    *ret = minus ? -*ret : *ret;
    return st;
}

static int operator_of(const rules_parse_state *p, char *ret)
{
    static const struct {
        const char *text;
        int prec;
    } ops[] = {{"+", PREC_ADD}, {"-", PREC_ADD}, {"*", PREC_MUL},
               {"/", PREC_MUL}, {"%", PREC_MUL}, {"^", PREC_POW}};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (rules_parse_is(p, ops[i].text)) {
            *ret = ops[i].text[0];
            return ops[i].prec;
        }
    return 0;
}

static double apply(char op, double a, double b)
{
    switch (op) {
    case '+':
        return a + b;
    case '-':
        return a - b;
    case '*':
        return a * b;
    case '/':
        return a / b;
    case '%':
        return fmod(a, b);
    default:
        return pow(a, b);
    }
}

static ops_status sum(rules_parse_state *p, int prec_min, const char *where, double *ret)
{
    char op = 0;
    int prec;
    if (++p->nesting > OPS_RULES_DEPTH_MAX)
        return PARSE_FAIL(p, p->tok.at, OPS_ETOOBIG, "the expression is nested deeper than %d",
                          OPS_RULES_DEPTH_MAX);
    ops_status st = signed_one(p, where, ret);
    while (st == OPS_OK && (prec = operator_of(p, &op)) >= prec_min && prec > 0) {
        double right = 0;
        const size_t at = p->tok.at;
        st = rules_parse_next(p);
        if (st == OPS_OK)
            st = sum(p, prec == PREC_POW ? prec : prec + 1, where, &right);
        if (st == OPS_OK && right == 0 && (op == '/' || op == '%'))
            return PARSE_FAIL(p, at, OPS_EINVAL, "%s by zero", op == '/' ? "division" : "modulo");
        *ret = apply(op, *ret, right);
    }
    p->nesting--;
    return st;
}

static ops_status as_ms(rules_parse_state *p, size_t at, double s, int64_t *ret)
{
    if (!(fabs(s) * 1000 < TIME_MS_MAX))
        return PARSE_FAIL(p, at, OPS_EINVAL, "duration out of range");
    *ret = (int64_t)(round(s * 1e9) / 1e6); /* whole milliseconds, of what is exact to the nanosecond */
    return OPS_OK;
}

ops_status rules_parse_duration(rules_parse_state *p, const char *where, int64_t *ret_ms)
{
    const size_t at = p->tok.at;
    double s = 0;
    ops_status st = sum(p, 1, where, &s);
    return st == OPS_OK ? as_ms(p, at, s, ret_ms) : st;
}

ops_status rules_parse_offset(rules_parse_state *p, const char *where, int64_t *ret_ms)
{
    const size_t at = p->tok.at;
    const bool minus = rules_parse_is(p, "-");
    double s = 0;
    ops_status st = minus || rules_parse_is(p, "+") ? rules_parse_next(p) : OPS_OK;
    if (st == OPS_OK)
        st = parenthesised(p, where, &s);
    return st == OPS_OK ? as_ms(p, at, minus ? -s : s, ret_ms) : st;
}
