/* A test run: input series into a store, groups evaluated step by step, checks in their time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "coordinator/ruleset/regex.h"
#include "coordinator/ruleset/rulefile.h"
#include "coordinator/ruleset/testfile_internal.h"

enum { TEXT_BYTES_MAX = 64 << 20, SAID_BYTES_MAX = 1 << 20, STEPS_MAX = 1000000 };

typedef struct test_run {
    const ruletest_file *file;
    const ruletest *test;
    const char *name;
    const ops_ruletest_io *io;
    ops_ruletest_counts *counts;
    OPS_VEC(ops_slice) rules; /* texts of the rule files */
    OPS_VEC(ops_rulefile *) files;
    OPS_VEC(ops_rules_group *) groups; /* in the order of evaluation */
    const ops_rules_group *group;      /* that is evaluated */
    ops_rules_store *store;
    ops_rules_source source;
    ops_err *err;
} test_run;

static void say(test_run *r, const ruletest_check *c, const char *what, const ops_strbuf *want,
                const ops_strbuf *got)
{
    ops_strbuf b;
    ops_strbuf_init(&b, SAID_BYTES_MAX);
    ops_strbuf_printf(&b, "%s:%lu: ", r->name, c != NULL ? c->line : r->test->line);
    if (r->test->name.n > 0) {
        ops_strbuf_str(&b, "test '");
        ops_strbuf_slice(&b, r->test->name);
        ops_strbuf_str(&b, "', ");
    }
    ops_strbuf_str(&b, what);
    if (c != NULL) {
        ops_strbuf_char(&b, ' ');
        ops_rules_quote(c->text, &b);
        ops_strbuf_printf(&b, " at %lld s", (long long)(c->at_ms / 1000));
    }
    if (want != NULL) {
        ops_strbuf_str(&b, "\n    expected:");
        ops_strbuf_slice(&b, ops_strbuf_get(want));
    }
    ops_strbuf_str(&b, "\n    got:");
    ops_strbuf_slice(&b, ops_strbuf_get(got));
    ops_strbuf_char(&b, '\n');
    r->io->say(r->io->u, ops_strbuf_get(&b));
    ops_strbuf_done(&b);
}

static void put_sample(ops_strbuf *b, const ruletest_sample *s)
{
    ops_strbuf_str(b, "\n        ");
    ops_rules_labels_print(s->labels, b);
    ops_strbuf_char(b, ' ');
    if (s->h != NULL)
        ops_rules_hist_print(s->h, b);
    else
        ops_rules_number(s->value, false, b);
}
static void put_alert(ops_strbuf *b, const ops_rules_labels *l, const ops_rules_labels *annotations)
{
    ops_strbuf_str(b, "\n        ");
    ops_rules_labels_print(l, b);
    ops_strbuf_str(b, " annotations ");
    ops_rules_labels_print(annotations, b);
}

static int by_labels(const void *a, const void *b)
{
    const ruletest_sample *x = a, *y = b;
    int c = ops_rules_labels_cmp(x->labels, y->labels);
    return c != 0 || x->annotations == NULL ? c : ops_rules_labels_cmp(x->annotations, y->annotations);
}

static bool same_value(const ruletest_sample *x, const ruletest_sample *y, bool fuzzy)
{
    const double a = x->value, b = y->value;
    if (x->h != NULL || y->h != NULL)
        return x->h != NULL && y->h != NULL && ops_rules_hist_eq(x->h, y->h);
    return a == b || (isnan(a) && isnan(b)) || (fuzzy && (nextafter(a, b) == b || nextafter(b, a) == a));
}

/* Both in order; says what differs. */
static void compare(test_run *r, const ruletest_check *c, ruletest_sample *want, size_t want_n,
                    ruletest_sample *got, size_t got_n)
{
    bool same = want_n == got_n;
    if (want_n > 1)
        qsort(want, want_n, sizeof *want, by_labels);
    if (got_n > 1)
        qsort(got, got_n, sizeof *got, by_labels);
    for (size_t i = 0; same && i < want_n; i++)
        same = ops_rules_labels_eq(want[i].labels, got[i].labels) &&
               (c->alert ? ops_rules_labels_eq(want[i].annotations, got[i].annotations)
                         : same_value(&want[i], &got[i], r->file->fuzzy));
    r->counts->checks++;
    if (same)
        return;
    r->counts->failed++;
    ops_strbuf w, g;
    ops_strbuf_init(&w, SAID_BYTES_MAX);
    ops_strbuf_init(&g, SAID_BYTES_MAX);
    for (size_t i = 0; i < want_n; i++)
        c->alert ? put_alert(&w, want[i].labels, want[i].annotations) : put_sample(&w, &want[i]);
    for (size_t i = 0; i < got_n; i++)
        c->alert ? put_alert(&g, got[i].labels, got[i].annotations) : put_sample(&g, &got[i]);
    if (want_n == 0)
        ops_strbuf_str(&w, " nothing");
    if (got_n == 0)
        ops_strbuf_str(&g, " nothing");
    say(r, c, c->alert ? "alert" : "expression", &w, &g);
    ops_strbuf_done(&w);
    ops_strbuf_done(&g);
}

typedef OPS_VEC(ruletest_sample) samples;

typedef struct gathering {
    samples got;
    bool failed;
} gathering;

static void gather(void *u, const ops_rules_alert *a)
{
    gathering *g = u;
    const ruletest_sample s = {.labels = a->labels, .annotations = a->annotations, .value = a->value};
    if (a->state == OPS_RULES_FIRING && !ops_vec_push(&g->got, s))
        g->failed = true;
}

/* Expected alerts carry their name, and the rule's alertname, whether the file says so or not. */
static ops_status check_alert(test_run *r, const ruletest_check *c, ops_arena *a)
{
    gathering g = {0};
    ruletest_sample *want = ops_arena_alloc(a, (c->want.n + 1) * sizeof *want);
    for (size_t i = 0; i < r->groups.n; i++)
        ops_rules_group_alerts(r->groups.v[i], c->text, gather, &g);
    for (size_t i = 0; want != NULL && i < c->want.n; i++) {
        want[i] = c->want.v[i];
        want[i].labels = ops_rules_labels_with(a, want[i].labels, OPS_SLICE("alertname"), c->text);
        if (want[i].labels == NULL)
            want = NULL;
    }
    bool ok = want != NULL && !g.failed;
    if (ok)
        compare(r, c, want, c->want.n, g.got.v, g.got.n);
    ops_vec_done(&g.got);
    return ok ? OPS_OK : ops_fail(r->err, OPS_ENOMEM, "%s: out of memory", r->name);
}

static bool answer_of(const ops_rules_series *s, ops_arena *a, ruletest_sample *ret)
{
    const ops_rules_sample none = {0}, *last = s->n > 0 ? &s->v[s->n - 1] : &none;
    *ret = (ruletest_sample){.labels = s->labels, .value = last->v};
    if (last->h != NULL)
        ret->h = ops_rules_hist_compact(a, last->h);
    return last->h == NULL || ret->h != NULL;
}

static ops_status check_expr(test_run *r, const ruletest_check *c, ops_arena *a)
{
    OPS_AUTO(ops_rules_query_free) ops_rules_query *q = NULL;
    OPS_AUTO(ops_rules_result_free) ops_rules_result *res = NULL;
    ops_err why = {0};
    size_t n = 0;
    ops_status st = ops_rules_query_parse(c->text, &ops_ruleset_regex, &q, &why);
    if (st == OPS_OK)
        st = ops_rules_query_instant(q, &r->source, NULL, c->at_ms, &res, &why);
    if (st == OPS_ENOMEM)
        return ops_fail(r->err, st, "%s: out of memory", r->name);
    if (st != OPS_OK) {
        ops_strbuf b;
        ops_strbuf_init(&b, SAID_BYTES_MAX);
        ops_strbuf_printf(&b, " error: %s", why.msg);
        r->counts->checks++;
        r->counts->failed++;
        say(r, c, "expression", NULL, &b);
        ops_strbuf_done(&b);
        return OPS_OK;
    }
    const ops_rules_series *s = ops_rules_result_series(res, &n);
    ruletest_sample *got = ops_arena_alloc(a, (n + 1) * sizeof *got);
    if (got == NULL)
        return ops_fail(r->err, OPS_ENOMEM, "%s: out of memory", r->name);
    for (size_t i = 0; i < n; i++)
        if (!answer_of(&s[i], a, &got[i]))
            return ops_fail(r->err, OPS_ENOMEM, "%s: out of memory", r->name);
    ruletest_sample *want = ops_arena_alloc(a, (c->want.n + 1) * sizeof *want);
    if (want == NULL)
        return ops_fail(r->err, OPS_ENOMEM, "%s: out of memory", r->name);
    for (size_t i = 0; i < c->want.n; i++)
        want[i] = (ruletest_sample){
            .labels = c->want.v[i].labels, .value = c->want.v[i].value, .h = c->want.v[i].h};
    compare(r, c, want, c->want.n, got, n);
    return OPS_OK;
}

static ops_status append(ops_rules_store *store, const ops_rules_labels *l, const ops_rules_sample *s)
{
    return s->h != NULL ? ops_rules_store_append_hist(store, l->v, l->n, s->t_ms, s->h)
                        : ops_rules_store_append(store, l->v, l->n, s->t_ms, s->v);
}

static ops_status take_sample(void *u, const ops_rules_labels *l, const ops_rules_sample *s, ops_err *reterr)
{
    test_run *r = u;
    ops_status st = append(r->store, l, s);
    /* What input series say already stands. */
    return st == OPS_ENOMEM ? ops_fail(reterr, st, "out of memory") : OPS_OK;
}

static void rule_failed(void *u, size_t number, const ops_err *err)
{
    test_run *r = u;
    ops_rules_rule_info rule;
    ops_strbuf what, got;
    ops_rules_group_rule(r->group, number, &rule);
    ops_strbuf_init(&what, 4096);
    ops_strbuf_init(&got, 4096);
    ops_strbuf_str(&what, "rule ");
    ops_strbuf_slice(&what, rule.name);
    ops_strbuf_printf(&got, " error: %s", err->msg);
    r->counts->checks++;
    r->counts->failed++;
    say(r, NULL, what.p != NULL ? what.p : "rule", NULL, &got);
    ops_strbuf_done(&what);
    ops_strbuf_done(&got);
}

static ops_status load_series(test_run *r)
{
    int64_t step = r->test->interval_ms > 0 ? r->test->interval_ms : r->file->interval_ms;
    for (size_t i = 0; i < r->test->series.n; i++) {
        const ruletest_series *s = &r->test->series.v[i];
        for (size_t k = 0; k < s->n; k++) {
            const ops_rules_sample x = {(int64_t)k * step, s->v[k].v, s->v[k].h};
            if (s->v[k].present && append(r->store, s->labels, &x) != OPS_OK)
                return ops_fail(r->err, OPS_EINVAL,
                                "%s:%lu: input series %zu is not taken: given twice, or too large", r->name,
                                r->test->line, i + 1);
        }
    }
    return OPS_OK;
}

static size_t rank(const test_run *r, const ops_rules_group *g)
{
    for (size_t i = 0; i < r->file->order.n; i++)
        if (ops_slice_eq(r->file->order.v[i], ops_rules_group_name(g)))
            return i;
    return r->file->order.n;
}

static ops_status load_rules(test_run *r)
{
    for (size_t i = 0; i < r->rules.n; i++) {
        char name[256];
        ops_rulefile *f = NULL;
        (void)snprintf(name, sizeof name, OPS_SLICE_FMT,
                       OPS_SLICE_ARG(ops_slice_sub(r->file->rule_files.v[i], 0, 200)));
        ops_status st = ops_rulefile_parse(r->rules.v[i], name, r->file->interval_ms, &f, r->err);
        if (st != OPS_OK)
            return st;
        if (!ops_vec_push(&r->files, f)) {
            ops_rulefile_free(f);
            return ops_fail(r->err, OPS_ENOMEM, "%s: out of memory", r->name);
        }
    }
    for (size_t k = 0; k <= r->file->order.n; k++)
        for (size_t i = 0; i < r->files.n; i++)
            for (size_t j = 0; j < ops_rulefile_count(r->files.v[i]); j++) {
                ops_rules_group *g = ops_rulefile_group(r->files.v[i], j);
                if (rank(r, g) == k && !ops_vec_push(&r->groups, g))
                    return ops_fail(r->err, OPS_ENOMEM, "%s: out of memory", r->name);
            }
    return OPS_OK;
}

/* Alerts are looked at after the last evaluation not later than their time, expressions when all is evaluated. */
static ops_status steps(test_run *r, ops_arena *a)
{
    const ops_rules_context c = {.source = &r->source, .external = r->test->external};
    const ops_rules_sink sink = {take_sample, rule_failed, r};
    int64_t last = 0, step = r->file->interval_ms;
    ops_status st = OPS_OK;
    for (size_t i = 0; i < r->test->checks.n; i++)
        last = r->test->checks.v[i].at_ms > last ? r->test->checks.v[i].at_ms : last;
    if (last / step > STEPS_MAX)
        return ops_fail(r->err, OPS_ETOOBIG, "%s:%lu: more than %d evaluations", r->name, r->test->line,
                        STEPS_MAX);
    for (int64_t t = 0; st == OPS_OK && t <= last; t += step) {
        for (size_t i = 0; st == OPS_OK && i < r->groups.n; i++) {
            r->group = r->groups.v[i];
            st = ops_rules_group_eval(r->groups.v[i], &c, t, &sink, r->err);
        }
        for (size_t i = 0; st == OPS_OK && i < r->test->checks.n; i++) {
            const ruletest_check *k = &r->test->checks.v[i];
            if (k->alert && k->at_ms >= t && k->at_ms < t + step)
                st = check_alert(r, k, a);
        }
    }
    for (size_t i = 0; st == OPS_OK && i < r->test->checks.n; i++)
        if (!r->test->checks.v[i].alert)
            st = check_expr(r, &r->test->checks.v[i], a);
    return st;
}

static ops_status one_test(test_run *r)
{
    ops_arena a;
    ops_arena_init(&a, TEXT_BYTES_MAX);
    ops_status st = ops_rules_store_new(NULL, &r->store);
    if (st != OPS_OK)
        st = ops_fail(r->err, st, "%s: out of memory", r->name);
    else
        ops_rules_store_source(r->store, &ops_ruleset_regex, &r->source);
    if (st == OPS_OK)
        st = load_rules(r);
    if (st == OPS_OK)
        st = load_series(r);
    if (st == OPS_OK)
        st = steps(r, &a);
    for (size_t i = 0; i < r->files.n; i++)
        ops_rulefile_free(r->files.v[i]);
    ops_vec_done(&r->files);
    ops_vec_done(&r->groups);
    ops_rules_store_free(r->store);
    r->store = NULL;
    ops_arena_done(&a);
    return st;
}

ops_status ops_ruletest_run(ops_slice yaml, const char *name, const ops_ruletest_io *io,
                            ops_ruletest_counts *ret, ops_err *reterr)
{
    ruletest_file f = {0};
    ops_ruletest_counts counts = {0};
    ops_arena arena;
    test_run r = {.file = &f, .name = name, .io = io, .counts = &counts, .err = reterr};
    ops_arena_init(&arena, TEXT_BYTES_MAX);
    ops_status st = ruletest_read(&f, yaml, name, &arena, reterr);
    for (size_t i = 0; st == OPS_OK && i < f.rule_files.n; i++) {
        ops_slice text = {0};
        st = io->read(io->u, f.rule_files.v[i], &arena, &text, reterr);
        if (st == OPS_OK && !ops_vec_push(&r.rules, text))
            st = ops_fail(reterr, OPS_ENOMEM, "%s: out of memory", name);
    }
    for (size_t i = 0; st == OPS_OK && i < f.tests.n; i++) {
        r.test = &f.tests.v[i];
        st = one_test(&r);
        counts.tests++;
    }
    ops_vec_done(&r.rules);
    ruletest_done(&f);
    ops_arena_done(&arena);
    if (st == OPS_OK)
        *ret = counts;
    return st;
}
