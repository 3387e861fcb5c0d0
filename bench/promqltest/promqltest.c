/* Runs one case file of Prometheus' promqltest language: load, clear, eval. Prints one JSON line a case:
 * {"line", "verdict": "pass"|"refused"|"wrong", "why"}. A case is refused when our error says that something is not taken; warnings and
 * infos that a case expects are not compared, its values are. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/rules/query.h"
#include "coordinator/analysis/rules/series.h"
#include "coordinator/ruleset/regex.h"

enum { LINES_MAX = 20000, EXPECT_MAX = 2048 };

typedef struct expected {
    const ops_rules_labels *labels;
    const ops_rules_series_value *v;
    size_t n;
    bool hit;
} expected;

typedef struct test {
    ops_rules_store *store;
    ops_slice lines[LINES_MAX];
    size_t n, at;
} test;

typedef struct eval_case {
    size_t line;
    bool range, fail, ordered, string;
    int64_t from, to, step;
    ops_slice expr, text;
    expected v[EXPECT_MAX];
    size_t n;
    double scalar;
    bool has_scalar;
} eval_case;

static ops_slice word(ops_slice *rest)
{
    *rest = ops_slice_trim(*rest);
    size_t n = 0;
    while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t')
        n++;
    ops_slice w = ops_slice_sub(*rest, 0, n);
    *rest = ops_slice_trim(ops_slice_sub(*rest, n, rest->n));
    return w;
}

static bool is(ops_slice s, const char *w)
{
    return ops_slice_eq(s, ops_slice_str(w));
}

static int64_t duration(ops_slice s)
{
    int64_t ms = 0;
    double v = 0;
    bool minus = s.n > 0 && s.p[0] == '-';
    s = ops_slice_sub(s, minus, s.n);
    if (!ops_rules_duration(s, &ms) && ops_slice_to_f64(s, &v))
        ms = (int64_t)llround(v * 1000);
    return minus ? -ms : ms;
}

static void say(size_t line, const char *verdict, const char *why)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    ops_strbuf_json(&b, ops_slice_str(why));
    (void)printf("{\"line\": %zu, \"verdict\": \"%s\", \"why\": %s}\n", line, verdict,
                 b.p != NULL ? b.p : "\"\"");
    ops_strbuf_done(&b);
}

static bool comment(ops_slice s)
{
    s = ops_slice_trim(s);
    return s.n > 0 && s.p[0] == '#';
}

static bool body(const test *t)
{
    /* Up to an empty line; a comment counts as one. */
    return t->at < t->n && ops_slice_trim(t->lines[t->at]).n > 0 && !comment(t->lines[t->at]);
}

typedef struct loaded {
    const ops_rules_labels *labels;
    ops_rules_series_value *v;
    size_t n;
} loaded;

static void append(test *t, const ops_rules_labels *l, int64_t at_ms, const ops_rules_series_value *v)
{
    ops_status st = v->h != NULL ? ops_rules_store_append_hist(t->store, l->v, l->n, at_ms, v->h)
                                 : ops_rules_store_append(t->store, l->v, l->n, at_ms, v->v);
    if (st != OPS_OK) {
        (void)fprintf(stderr, "line %zu: a sample is not taken: %s\n", t->at, ops_status_text(st));
        exit(2);
    }
}

typedef struct bound {
    double upper;
    const loaded *x;
} bound;

static int by_upper(const void *a, const void *b)
{
    double x = ((const bound *)a)->upper, y = ((const bound *)b)->upper;
    return (x > y) - (x < y);
}

static double value_at(const loaded *x, size_t k)
{
    return x != NULL && k < x->n && x->v[k].present ? x->v[k].v : (double)NAN;
}

static const loaded *find(const loaded *all, size_t count, const ops_rules_labels *l)
{
    for (size_t i = 0; i < count; i++)
        if (ops_rules_labels_eq(all[i].labels, l))
            return &all[i];
    return NULL;
}

static ops_slice join(ops_arena *a, ops_slice base, const char *end)
{
    size_t n = strlen(end);
    char *p = ops_arena_alloc(a, base.n + n + 1);
    if (p == NULL)
        exit(2);
    memcpy(p, base.p, base.n);
    memcpy(p + base.n, end, n + 1);
    return ops_slice_of(p, base.n + n);
}

/* load_with_nhcb: beside classic buckets the native histogram with their bounds, once all of them are known of an instant. */
static void append_native(test *t, ops_arena *a, const loaded *all, size_t count, const bound *b, size_t n,
                          const ops_rules_labels *l, int64_t step)
{
    ops_slice name = ops_rules_labels_get(l, OPS_RULES_NAME);
    const loaded *sum = find(all, count, ops_rules_labels_with(a, l, OPS_RULES_NAME, join(a, name, "_sum"))),
                 *total =
                     find(all, count, ops_rules_labels_with(a, l, OPS_RULES_NAME, join(a, name, "_count")));
    double *bounds = ops_arena_alloc(a, (n + 1) * sizeof *bounds);
    size_t bound_n = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(b[i].upper))
            bounds[bound_n++] = b[i].upper;
        most = b[i].x->n > most ? b[i].x->n : most;
    }
    for (size_t k = 0; k < most; k++) {
        ops_rules_bucket *v = ops_arena_alloc(a, (n + 1) * sizeof *v);
        double before = 0;
        bool whole = true;
        for (size_t i = 0; i < n; i++) {
            double c = value_at(b[i].x, k);
            whole = whole && !isnan(c);
            v[i] = (ops_rules_bucket){(int32_t)i, c - before};
            before = c;
        }
        double c = value_at(total, k), s = value_at(sum, k);
        if (!whole)
            continue;
        const ops_rules_hist h = {.schema = OPS_RULES_HIST_CUSTOM,
                                  .count = isnan(c) ? before : c,
                                  .sum = isnan(s) ? 0 : s,
                                  .pos = v,
                                  .pos_n = n,
                                  .bounds = bounds,
                                  .bound_n = bound_n};
        const ops_rules_series_value x = {.present = true, .h = ops_rules_hist_compact(a, &h)};
        append(t, l, (int64_t)k * step, &x);
    }
}

static const ops_rules_labels *native_of(ops_arena *a, const ops_rules_labels *l)
{
    ops_slice name = ops_rules_labels_get(l, OPS_RULES_NAME), le = OPS_SLICE("le");
    if (!ops_slice_ends(name, OPS_SLICE("_bucket")) || ops_rules_labels_get(l, le).n == 0)
        return NULL;
    l = ops_rules_labels_drop(a, l, &le, 1, OPS_RULES_META_NONE);
    return ops_rules_labels_with(a, l, OPS_RULES_NAME, ops_slice_sub(name, 0, name.n - 7));
}

static void append_natives(test *t, ops_arena *a, const loaded *all, size_t count, int64_t step)
{
    static bound b[EXPECT_MAX];
    for (size_t i = 0; i < count; i++) {
        const ops_rules_labels *l = native_of(a, all[i].labels);
        size_t n = 0;
        bool first = l != NULL;
        for (size_t k = 0; l != NULL && k < count; k++) {
            const ops_rules_labels *other = native_of(a, all[k].labels);
            if (other == NULL || !ops_rules_labels_eq(other, l))
                continue;
            first = first && k >= i;
            ops_slice le = ops_rules_labels_get(all[k].labels, OPS_SLICE("le"));
            char text[64], *end = text;
            (void)snprintf(text, sizeof text, OPS_SLICE_FMT, OPS_SLICE_ARG(le));
            b[n].upper = strtod(text, &end);
            if (*end != '\0')
                continue;
            b[n++].x = &all[k];
        }
        if (!first)
            continue;
        qsort(b, n, sizeof *b, by_upper);
        append_native(t, a, all, count, b, n, l, step);
    }
}

static void load(test *t, ops_slice head, bool native)
{
    static loaded all[EXPECT_MAX];
    int64_t step = duration(word(&head));
    size_t count = 0, k;
    ops_arena a;
    ops_arena_init(&a, 256 << 20);
    for (t->at++; body(t); t->at++) {
        loaded x;
        size_t used;
        ops_err err = {0};
        ops_slice line = ops_slice_trim(t->lines[t->at]);
        if (count == EXPECT_MAX || ops_rules_series_labels(line, &a, &x.labels, &used, &err) != OPS_OK ||
            ops_rules_series_values(ops_slice_sub(line, used, line.n), &a, &x.v, &x.n, &err) != OPS_OK) {
            (void)fprintf(stderr, "line %zu: %s\n", t->at + 1, err.msg);
            exit(2);
        }
        for (k = 0; k < count && !ops_rules_labels_eq(all[k].labels, x.labels); k++)
            ;
        all[k] = x; /* of one series given twice the last counts */
        count += k == count;
    }
    for (size_t i = 0; i < count; i++) {
        for (k = 0; k < all[i].n; k++)
            if (all[i].v[k].present)
                append(t, all[i].labels, (int64_t)k * step, &all[i].v[k]);
    }
    if (native)
        append_natives(t, &a, all, count, step);
    ops_arena_done(&a);
}

static ops_arena arena;

static void expectation(eval_case *c, ops_slice line)
{
    ops_err err = {0};
    size_t used = 0;
    if (ops_slice_starts(line, OPS_SLICE("expect "))) {
        ops_slice rest = line;
        (void)word(&rest);
        ops_slice what = word(&rest);
        c->fail |= is(what, "fail");
        c->ordered |= is(what, "ordered");
        if (is(what, "string")) {
            c->string = true;
            c->text = rest.n >= 2 ? ops_slice_sub(rest, 1, rest.n - 2) : rest;
        }
        return;
    }
    if (ops_slice_starts(line, OPS_SLICE("expected_fail")) || c->n == EXPECT_MAX)
        return;
    expected *x = &c->v[c->n];
    ops_rules_series_value *v;
    if (ops_slice_to_f64(line, &c->scalar) || is(line, "NaN") || is(line, "Inf") || is(line, "-Inf") ||
        is(line, "+Inf")) {
        if (!ops_slice_to_f64(line, &c->scalar))
            c->scalar = is(line, "NaN")    ? (double)NAN
                        : line.p[0] == '-' ? (double)-INFINITY
                                           : (double)INFINITY;
        c->has_scalar = true;
        return;
    }
    if (ops_rules_series_labels(line, &arena, &x->labels, &used, &err) != OPS_OK ||
        ops_rules_series_values(ops_slice_sub(line, used, line.n), &arena, &v, &x->n, &err) != OPS_OK) {
        ops_slice bare = line;
        if (ops_rules_series_values(bare, &arena, &v, &x->n, &err) == OPS_OK && x->n == 1) {
            c->scalar = v[0].v;
            c->has_scalar = true;
            return;
        }
        (void)fprintf(stderr, "expectation '%.*s': %s\n", OPS_SLICE_ARG(line), err.msg);
        exit(2);
    }
    x->v = v;
    c->n++;
}

static bool near(double want, double got)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    if (want == got)
        return true;
    double sum = fabs(want) + fabs(got), diff = fabs(want - got);
    if (want == 0 || got == 0 || sum < 2.2250738585072014e-308)
        return diff < 1e-6 * 2.2250738585072014e-308;
    return diff / fmin(sum, 1.7976931348623157e308) < 1e-6;
}

static bool same_side(const ops_rules_bucket *a, size_t an, const ops_rules_bucket *b, size_t bn)
{
    bool same = an == bn;
    for (size_t i = 0; same && i < an; i++)
        same = a[i].index == b[i].index && near(a[i].count, b[i].count);
    return same;
}

static bool near_hist(const ops_rules_hist *want, const ops_rules_hist *got)
{
    if (want == NULL || got == NULL)
        return want == got;
    want = ops_rules_hist_compact(&arena, want);
    got = ops_rules_hist_compact(&arena, got);
    bool same = want->schema == got->schema && near(want->count, got->count) && near(want->sum, got->sum) &&
                want->zero_threshold == got->zero_threshold && near(want->zero_count, got->zero_count) &&
                want->bound_n == got->bound_n && same_side(want->pos, want->pos_n, got->pos, got->pos_n) &&
                same_side(want->neg, want->neg_n, got->neg, got->neg_n);
    for (size_t i = 0; same && i < want->bound_n; i++)
        same = want->bounds[i] == got->bounds[i];
    return same;
}

static const char *other_hist(size_t at, const ops_rules_hist *want, const ops_rules_hist *got)
{
    static char why[600];
    ops_strbuf b;
    ops_strbuf_init(&b, sizeof why);
    for (int i = 0; i < 2; i++) {
        const ops_rules_hist *h = i == 0 ? want : got;
        ops_strbuf_str(&b, i == 0 ? "expected " : ", got ");
        if (h != NULL)
            ops_rules_hist_print(h, &b);
    }
    (void)snprintf(why, sizeof why, "value %zu: %s", at, b.p != NULL ? b.p : "");
    ops_strbuf_done(&b);
    return why;
}

static const char *compare_series(const eval_case *c, expected *x, const ops_rules_series *s)
{
    static char why[200];
    size_t k = 0;
    for (size_t i = 0; i < x->n; i++) {
        int64_t at = c->from + (int64_t)i * c->step;
        bool got = k < s->n && (!c->range || s->v[k].t_ms == at);
        if (x->v[i].present != got || (got && x->v[i].h == NULL && !near(x->v[i].v, s->v[k].v))) {
            (void)snprintf(why, sizeof why, "value %zu: expected %s%.17g, got %s%.17g", i,
                           x->v[i].present ? "" : "none ", x->v[i].v, got ? "" : "none ",
                           got ? s->v[k].v : 0);
            return why;
        }
        if (got && !near_hist(x->v[i].h, s->v[k].h))
            return other_hist(i, x->v[i].h, s->v[k].h);
        k += got;
    }
    return k == s->n ? NULL : "more samples than expected";
}

static const char *compare(eval_case *c, const ops_rules_result *r)
{
    size_t n;
    const ops_rules_series *s = ops_rules_result_series(r, &n);
    if (ops_rules_result_type(r) == OPS_RULES_STRING || c->string)
        return ops_slice_eq(ops_rules_result_string(r), c->text) ? NULL : "another string";
    if (c->has_scalar)
        return ops_rules_result_type(r) == OPS_RULES_SCALAR && near(c->scalar, s[0].v[0].v)
                   ? NULL
                   : "another scalar";
    if (n != c->n)
        return n > c->n ? "more series than expected" : "fewer series than expected";
    for (size_t i = 0; i < n; i++) {
        expected *x = NULL;
        for (size_t k = 0; k < c->n && x == NULL; k++)
            if (ops_rules_labels_eq(c->v[k].labels, s[i].labels) && (!c->ordered || k == i))
                x = &c->v[k];
        if (x == NULL)
            return "a series that is not expected, or not in order";
        const char *why = compare_series(c, x, &s[i]);
        if (why != NULL)
            return why;
    }
    return NULL;
}

static void judge(test *t, eval_case *c)
{
    const ops_rules_limits limits = {.late_names = true, .type_and_unit = true};
    OPS_AUTO(ops_rules_query_free) ops_rules_query *q = NULL;
    OPS_AUTO(ops_rules_result_free) ops_rules_result *r = NULL;
    ops_rules_source source;
    ops_err err = {0};
    ops_rules_store_source(t->store, &ops_ruleset_regex, &source);
    ops_status st = ops_rules_query_parse(c->expr, &ops_ruleset_regex, &q, &err);
    if (st == OPS_OK)
        st = c->range ? ops_rules_query_range(q, &source, &limits, c->from, c->to, c->step, &r, &err)
                      : ops_rules_query_instant(q, &source, &limits, c->from, &r, &err);
    if (st == OPS_EUNIMPL) {
        say(c->line, "refused", err.msg);
        return;
    }
    if (c->fail || st != OPS_OK) {
        say(c->line, c->fail && st != OPS_OK ? "pass" : "wrong",
            st != OPS_OK ? err.msg : "an error is expected");
        return;
    }
    const char *why = compare(c, r);
    say(c->line, why == NULL ? "pass" : "wrong", why != NULL ? why : "");
}

static void eval(test *t, ops_slice head, ops_slice kind)
{
    static eval_case c;
    memset(&c, 0, sizeof c);
    ops_arena_clear(&arena);
    c.line = t->at + 1;
    c.fail = is(kind, "eval_fail");
    c.ordered = is(kind, "eval_ordered");
    c.range = is(word(&head), "range");
    if (c.range) {
        (void)word(&head);
        c.from = duration(word(&head));
        (void)word(&head);
        c.to = duration(word(&head));
        (void)word(&head);
        c.step = duration(word(&head));
    } else if (ops_slice_starts(head, OPS_SLICE("at "))) {
        (void)word(&head);
        c.from = duration(word(&head));
    }
    c.expr = head;
    for (t->at++; body(t); t->at++)
        expectation(&c, ops_slice_trim(t->lines[t->at]));
    judge(t, &c);
}

static void reset(test *t)
{
    ops_rules_store_free(t->store);
    t->store = NULL;
    if (ops_rules_store_new(NULL, &t->store) != OPS_OK)
        exit(2);
}

int main(int argc, char **argv)
{
    static test t;
    FILE *f = argc == 2 ? fopen(argv[1], "re") : NULL;
    static char text[1 << 20];
    if (f == NULL) {
        (void)fprintf(stderr, "usage: bench_promqltest FILE\n");
        return 2;
    }
    ops_slice rest = {text, fread(text, 1, sizeof text, f)}, line;
    (void)fclose(f);
    while (t.n < LINES_MAX && ops_slice_split(&rest, '\n', &line))
        t.lines[t.n++] = line;
    ops_arena_init(&arena, 256 << 20);
    reset(&t);
    while (t.at < t.n) {
        ops_slice head = ops_slice_trim(t.lines[t.at]);
        ops_slice kind = head.n > 0 && head.p[0] != '#' ? word(&head) : (ops_slice){0};
        if (is(kind, "load"))
            load(&t, head, false);
        else if (is(kind, "load_with_nhcb"))
            load(&t, head, true);
        else if (ops_slice_starts(kind, OPS_SLICE("eval")))
            eval(&t, head, kind);
        else {
            if (is(kind, "clear"))
                reset(&t);
            t.at++;
        }
    }
    ops_rules_store_free(t.store);
    ops_arena_done(&arena);
    return 0;
}
