/* The expanding notation: documentation of Prometheus, "Unit testing for rules". */
#include "coordinator/analysis/rules/series.h"

#include "base/coll/vec.h"
#include "coordinator/analysis/rules/lex.h"

static ops_status next(rules_lex *l, rules_tok *t, ops_err *reterr)
{
    return rules_lex_next(l, t, reterr);
}
static bool is(const rules_tok *t, const char *punct)
{
    return t->kind == TOK_PUNCT && ops_slice_eq(t->text, ops_slice_str(punct));
}

static ops_status braces(rules_lex *l, rules_tok *t, ops_rules_label *v, size_t *n, ops_err *reterr)
{
    ops_status st = next(l, t, reterr);
    while (st == OPS_OK && !is(t, "}")) {
        rules_tok name = *t;
        if ((t->kind != TOK_WORD && t->kind != TOK_STRING) || *n == OPS_RULES_LABELS_MAX)
            return rules_fail_at(l->q, t->at, OPS_EINVAL, reterr, "a label name is expected");
        st = next(l, t, reterr);
        if (st == OPS_OK && name.kind == TOK_STRING && (is(t, ",") || is(t, "}"))) {
            v[(*n)++] = (ops_rules_label){OPS_RULES_NAME, name.text};
        } else if (st == OPS_OK) {
            if (!is(t, "="))
                return rules_fail_at(l->q, t->at, OPS_EINVAL, reterr, "'=' is expected after a label name");
            st = next(l, t, reterr);
            if (st == OPS_OK && t->kind != TOK_STRING)
                return rules_fail_at(l->q, t->at, OPS_EINVAL, reterr,
                                     "a label's value is expected in quotes");
            v[(*n)++] = (ops_rules_label){name.text, t->text};
            if (st == OPS_OK)
                st = next(l, t, reterr);
        }
        if (st == OPS_OK && is(t, ","))
            st = next(l, t, reterr);
        else if (st == OPS_OK && !is(t, "}"))
            return rules_fail_at(l->q, t->at, OPS_EINVAL, reterr, "',' or '}' is expected");
    }
    return st;
}

ops_status ops_rules_series_labels(ops_slice text, ops_arena *a, const ops_rules_labels **ret,
                                   size_t *ret_used, ops_err *reterr)
{
    ops_rules_query q = {.text = text};
    rules_lex l = {.q = &q};
    rules_tok t;
    ops_rules_label v[OPS_RULES_LABELS_MAX + 1];
    size_t n = 0, used = 0;
    ops_arena_init(&q.arena, 1 << 20);
    ops_status st = next(&l, &t, reterr);
    if (st == OPS_OK && t.kind == TOK_WORD) {
        v[n++] = (ops_rules_label){OPS_RULES_NAME, t.text};
        used = t.end;
        if (used < text.n && text.p[used] == '{')
            st = next(&l, &t, reterr);
    } else if (st == OPS_OK && !is(&t, "{")) {
        st = rules_fail_at(&q, t.at, OPS_EINVAL, reterr, "a series is expected: name{label=\"value\"}");
    }
    if (st == OPS_OK && is(&t, "{")) {
        st = braces(&l, &t, v, &n, reterr);
        used = t.end;
    }
    const ops_rules_labels *made = st == OPS_OK ? ops_rules_labels_copy(a, v, n) : NULL;
    if (st == OPS_OK && made == NULL)
        st = rules_fail_at(&q, 0, OPS_ETOOBIG, reterr, "too many labels, or out of memory");
    ops_arena_done(&q.arena);
    if (st != OPS_OK)
        return st;
    *ret = made;
    *ret_used = used;
    return OPS_OK;
}

typedef OPS_VEC(ops_rules_series_value) values;

static bool add(values *out, ops_rules_series_value v)
{
    return out->n < OPS_RULES_SERIES_VALUES_MAX && ops_vec_push(out, v);
}

/* A number at the start of `s`, with its sign; bytes used, 0: none. */
static size_t number(ops_slice s, double *ret)
{
    size_t n = 0, from = n < s.n && (s.p[0] == '-' || s.p[0] == '+');
    n = from;
    if (s.n >= from + 3 && (ops_slice_eq_nocase(ops_slice_sub(s, from, 3), OPS_SLICE("inf")) ||
                            ops_slice_eq_nocase(ops_slice_sub(s, from, 3), OPS_SLICE("nan"))))
        n = from + 3;
    else if (n + 1 < s.n && s.p[n] == '0' && (s.p[n + 1] | 32) == 'x')
        for (n += 2;
             n < s.n && ((s.p[n] >= '0' && s.p[n] <= '9') || ((s.p[n] | 32) >= 'a' && (s.p[n] | 32) <= 'f'));)
            n++;
    else
        while (n < s.n && ((s.p[n] >= '0' && s.p[n] <= '9') || s.p[n] == '.' || (s.p[n] | 32) == 'e' ||
                           ((s.p[n] == '-' || s.p[n] == '+') && n > from && (s.p[n - 1] | 32) == 'e')))
            n++;
    /* "0x5" after the first number is "zero, five times more", not hexadecimal. */
    if (n == from || !rules_number(ops_slice_sub(s, from, n - from), ret))
        return 0;
    if (from == 1 && s.p[0] == '-')
        *ret = -*ret;
    return n;
}

static size_t plain(ops_slice s, double *ret)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == 'x') {
            s.n = i;
            break;
        }
    return number(s, ret);
}

static ops_status item(ops_slice s, values *out, ops_err *reterr)
{
    double v = 0, step = 0;
    uint64_t times = 0;
    ops_rules_series_value x = {.present = false};
    ops_slice rest;
    size_t used = 0;
    bool stepped = false;
    if (s.p[0] == '_') {
        used = 1;
    } else if (ops_slice_starts(s, OPS_SLICE("stale"))) {
        used = 5;
        x = (ops_rules_series_value){.present = true, .v = ops_rules_of_bits(OPS_RULES_STALE_BITS)};
    } else {
        used = plain(s, &v);
        x = (ops_rules_series_value){.present = true, .v = v};
    }
    rest = ops_slice_sub(s, used, s.n);
    if (used > 0 && rest.n > 0 && x.present && (rest.p[0] == '+' || rest.p[0] == '-')) {
        size_t k = plain(rest, &step);
        stepped = k > 0;
        used = k > 0 ? used : 0;
        rest = ops_slice_sub(rest, k, rest.n);
    }
    if (used > 0 && rest.n > 0) {
        if (rest.p[0] != 'x' || !ops_slice_to_u64(ops_slice_sub(rest, 1, rest.n), &times))
            used = 0;
    } else if (stepped) {
        used = 0;
    }
    if (used == 0 || times > OPS_RULES_SERIES_VALUES_MAX)
        return ops_fail(reterr, OPS_EINVAL, "'" OPS_SLICE_FMT "' is no value of a series",
                        OPS_SLICE_ARG(ops_slice_sub(s, 0, 64)));
    /* "_x3" is three gaps, "1x3" the value and three more. */
    uint64_t total = rest.n == 0 ? 1 : x.present ? times + 1 : times;
    for (uint64_t i = 0; i < total; i++) {
        if (!add(out, x))
            return ops_fail(reterr, OPS_ETOOBIG, "more than %d values in a series",
                            OPS_RULES_SERIES_VALUES_MAX);
        if (stepped)
            x.v += step;
    }
    return OPS_OK;
}

/* How often, after an 'x'; *used grows past it. */
static ops_status times_of(ops_slice s, size_t *used, uint64_t *ret, ops_err *reterr)
{
    size_t b = *used + 1;
    while (b < s.n && s.p[b] >= '0' && s.p[b] <= '9')
        b++;
    if (!ops_slice_to_u64(ops_slice_sub(s, *used + 1, b - *used - 1), ret) ||
        *ret > OPS_RULES_SERIES_VALUES_MAX)
        return ops_fail(reterr, OPS_EINVAL, "a histogram is repeated how often?");
    *used = b;
    return OPS_OK;
}

/* A native histogram with its steps: {{...}}+{{...}}x5, {{...}}x3. */
static ops_status histogram(ops_slice s, ops_arena *a, size_t *used, values *out, ops_err *reterr)
{
    const ops_rules_hist *h = NULL, *step = NULL;
    size_t more = 0;
    uint64_t times = 0;
    double sign = 0;
    ops_status st = ops_rules_hist_parse(s, a, &h, used, reterr);
    if (st == OPS_OK && *used + 2 < s.n && (s.p[*used] == '+' || s.p[*used] == '-') &&
        s.p[*used + 1] == '{') {
        sign = s.p[*used] == '+' ? 1 : -1;
        st = ops_rules_hist_parse(ops_slice_sub(s, *used + 1, s.n), a, &step, &more, reterr);
        *used += 1 + more;
        if (st == OPS_OK && step->schema < h->schema)
            return ops_fail(reterr, OPS_EINVAL, "a histogram's step has a coarser schema than itself");
    }
    if (st == OPS_OK && *used < s.n && s.p[*used] == 'x')
        st = times_of(s, used, &times, reterr);
    for (uint64_t i = 0; st == OPS_OK && i <= times; i++) {
        if (!add(out, (ops_rules_series_value){.present = true, .h = h}))
            return ops_fail(reterr, OPS_ETOOBIG, "more than %d values in a series",
                            OPS_RULES_SERIES_VALUES_MAX);
        if (step != NULL && i < times && ops_rules_hist_add(a, h, step, sign, &h) != OPS_OK)
            return ops_fail(reterr, OPS_EINVAL, "a histogram's step does not fit it, or no memory is left");
    }
    return st;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

ops_status ops_rules_series_values(ops_slice text, ops_arena *a, ops_rules_series_value **ret, size_t *ret_n,
                                   ops_err *reterr)
{
    values out = {0};
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < text.n;) {
        size_t n = 0;
        if (blank(text.p[i])) {
            i++;
            continue;
        }
        if (text.p[i] == '{') {
            st = histogram(ops_slice_sub(text, i, text.n), a, &n, &out, reterr);
        } else {
            while (i + n < text.n && !blank(text.p[i + n]))
                n++;
            st = item(ops_slice_sub(text, i, n), &out, reterr);
        }
        i += n;
    }
    ops_rules_series_value *v = st == OPS_OK ? ops_arena_alloc(a, (out.n + 1) * sizeof *v) : NULL;
    if (st == OPS_OK && v == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "out of memory");
    if (st == OPS_OK) {
        if (out.n > 0)
            memcpy(v, out.v, out.n * sizeof *v);
        *ret = v;
        *ret_n = out.n;
    }
    ops_vec_done(&out);
    return st;
}
