/* Form: documentation of Prometheus, "Unit testing for rules". */
#include "coordinator/ruleset/testfile_internal.h"

#include "coordinator/analysis/rules/query.h"

enum { TESTS_MAX = 1000, SERIES_MAX = 10000, CHECKS_MAX = 10000, FILES_MAX = 100 };

static ops_status no_memory(const ruleset_doc *d)
{
    return ops_fail(d->err, OPS_ENOMEM, "%s: out of memory", d->name);
}

static ops_status series_of(ruleset_doc *d, yaml_node_t *v, const ops_rules_labels **ret)
{
    ops_slice text = {0};
    size_t used = 0;
    ops_err why = {0};
    ops_status st = ruleset_text(d, v, &text);
    if (st != OPS_OK)
        return st;
    text = ops_slice_trim(text);
    st = ops_rules_series_labels(text, d->arena, ret, &used, &why);
    if (st == OPS_OK && used != text.n)
        return ruleset_wrong(d, v, "something follows the series");
    return st == OPS_OK ? OPS_OK : ruleset_wrong(d, v, "%s", why.msg);
}

static ops_status values_of(ruleset_doc *d, yaml_node_t *v, ops_rules_series_value **ret, size_t *ret_n)
{
    ops_slice text = {0};
    ops_err why = {0};
    ops_status st = ruleset_text(d, v, &text);
    if (st == OPS_OK)
        st = ops_rules_series_values(text, d->arena, ret, ret_n, &why);
    else
        return st;
    return st == OPS_OK ? OPS_OK : ruleset_wrong(d, v, "%s", why.msg);
}

#define SERIES(u) ((ruletest_series *)(u))
static ops_status series_name(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return series_of(d, v, &SERIES(u)->labels);
}
static ops_status series_values(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return values_of(d, v, &SERIES(u)->v, &SERIES(u)->n);
}
static ops_status read_series(ruleset_doc *d, yaml_node_t *n, void *u)
{
    static const ruleset_key keys[] = {{"series", series_name}, {"values", series_values}, {NULL, NULL}};
    ruletest_series s = {0};
    ops_status st = ruleset_map(d, n, keys, &s);
    if (st == OPS_OK && s.labels == NULL)
        return ruleset_wrong(d, n, "an input series needs its series");
    return st != OPS_OK ? st : ops_vec_push(&((ruletest *)u)->series, s) ? OPS_OK : no_memory(d);
}

#define SAMPLE(u) ((ruletest_sample *)(u))
static ops_status sample_labels(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return series_of(d, v, &SAMPLE(u)->labels);
}
static ops_status sample_value(ruleset_doc *d, yaml_node_t *v, void *u)
{
    ops_rules_series_value *x = NULL;
    size_t n = 0;
    ops_status st = values_of(d, v, &x, &n);
    if (st == OPS_OK && (n != 1 || !x[0].present || x[0].h != NULL))
        return ruleset_wrong(d, v, "one number is expected");
    if (st == OPS_OK)
        SAMPLE(u)->value = x[0].v;
    return st;
}
static ops_status sample_histogram(ruleset_doc *d, yaml_node_t *v, void *u)
{
    ops_rules_series_value *x = NULL;
    size_t n = 0;
    ops_status st = values_of(d, v, &x, &n);
    if (st == OPS_OK && (n != 1 || x[0].h == NULL))
        return ruleset_wrong(d, v, "one histogram is expected: {{count:1 sum:2 buckets:[1]}}");
    if (st == OPS_OK && (SAMPLE(u)->h = ops_rules_hist_compact(d->arena, x[0].h)) == NULL)
        return no_memory(d);
    return st;
}
static ops_status labels_of(ruleset_doc *d, yaml_node_t *v, const ops_rules_labels **ret)
{
    ops_rules_label *l = NULL;
    size_t n = 0;
    ops_status st = ruleset_labels(d, v, &l, &n);
    if (st == OPS_OK && (*ret = ops_rules_labels_copy(d->arena, l, n)) == NULL)
        return no_memory(d);
    return st;
}
static ops_status exp_labels(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return labels_of(d, v, &SAMPLE(u)->labels);
}
static ops_status exp_annotations(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return labels_of(d, v, &SAMPLE(u)->annotations);
}

#define CHECK(u) ((ruletest_check *)(u))
static ops_status want(ruleset_doc *d, yaml_node_t *n, ruletest_check *c, const ruleset_key *keys)
{
    ruletest_sample s = {.labels = ops_rules_labels_copy(d->arena, NULL, 0)};
    s.annotations = s.labels;
    if (s.labels == NULL)
        return no_memory(d);
    ops_status st = ruleset_map(d, n, keys, &s);
    return st != OPS_OK ? st : ops_vec_push(&c->want, s) ? OPS_OK : no_memory(d);
}
static ops_status want_sample(ruleset_doc *d, yaml_node_t *n, void *u)
{
    static const ruleset_key keys[] = {
        {"labels", sample_labels}, {"value", sample_value}, {"histogram", sample_histogram}, {NULL, NULL}};
    return want(d, n, CHECK(u), keys);
}
static ops_status want_alert(ruleset_doc *d, yaml_node_t *n, void *u)
{
    static const ruleset_key keys[] = {
        {"exp_labels", exp_labels}, {"exp_annotations", exp_annotations}, {NULL, NULL}};
    return want(d, n, CHECK(u), keys);
}
static ops_status check_at(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_duration(d, v, &CHECK(u)->at_ms);
}
static ops_status check_text(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_text(d, v, &CHECK(u)->text);
}
static ops_status check_samples(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_each(d, v, CHECKS_MAX, want_sample, u);
}
static ops_status check_alerts(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_each(d, v, CHECKS_MAX, want_alert, u);
}
static ops_status read_check(ruleset_doc *d, yaml_node_t *n, ruletest *t, bool alert, const ruleset_key *keys)
{
    ruletest_check c = {.alert = alert, .line = ruleset_line(n)};
    ops_status st = ruleset_map(d, n, keys, &c);
    if (st == OPS_OK && c.text.n == 0)
        st = ruleset_wrong(d, n, alert ? "alertname is missing" : "expr is missing");
    if (st == OPS_OK && !ops_vec_push(&t->checks, c))
        st = no_memory(d);
    if (st != OPS_OK)
        ops_vec_done(&c.want);
    return st;
}
static ops_status read_expr(ruleset_doc *d, yaml_node_t *n, void *u)
{
    static const ruleset_key keys[] = {
        {"expr", check_text}, {"eval_time", check_at}, {"exp_samples", check_samples}, {NULL, NULL}};
    return read_check(d, n, u, false, keys);
}
static ops_status read_alert(ruleset_doc *d, yaml_node_t *n, void *u)
{
    static const ruleset_key keys[] = {
        {"alertname", check_text}, {"eval_time", check_at}, {"exp_alerts", check_alerts}, {NULL, NULL}};
    return read_check(d, n, u, true, keys);
}

#define TEST(u) ((ruletest *)(u))
static ops_status test_name(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_text(d, v, &TEST(u)->name);
}
static ops_status test_interval(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_duration(d, v, &TEST(u)->interval_ms);
}
static ops_status test_series(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_each(d, v, SERIES_MAX, read_series, u);
}
static ops_status test_alerts(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_each(d, v, CHECKS_MAX, read_alert, u);
}
static ops_status test_exprs(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_each(d, v, CHECKS_MAX, read_expr, u);
}
static ops_status test_external(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return labels_of(d, v, &TEST(u)->external);
}
static ops_status ignored(ruleset_doc *d, yaml_node_t *v, void *u)
{
    ops_slice text;
    (void)u;
    return ruleset_text(d, v, &text); /* external_url: no template that is taken shows it */
}

static ops_status read_test(ruleset_doc *d, yaml_node_t *n, void *u)
{
    static const ruleset_key keys[] = {{"name", test_name},
                                       {"interval", test_interval},
                                       {"input_series", test_series},
                                       {"alert_rule_test", test_alerts},
                                       {"promql_expr_test", test_exprs},
                                       {"external_labels", test_external},
                                       {"external_url", ignored},
                                       {NULL, NULL}};
    ruletest_file *f = u;
    ruletest t = {.line = ruleset_line(n)};
    if (!ops_vec_push(&f->tests, t))
        return no_memory(d);
    return ruleset_map(d, n, keys, &f->tests.v[f->tests.n - 1]);
}

#define FILE_OF(u) ((ruletest_file *)(u))
static ops_status put_text(ruleset_doc *d, yaml_node_t *v, void *list)
{
    ruletest_texts *l = list;
    ops_slice s = {0};
    ops_status st = ruleset_text(d, v, &s);
    return st != OPS_OK ? st : ops_vec_push(l, s) ? OPS_OK : no_memory(d);
}
static ops_status file_rules(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_each(d, v, FILES_MAX, put_text, &FILE_OF(u)->rule_files);
}
static ops_status file_order(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_each(d, v, TESTS_MAX, put_text, &FILE_OF(u)->order);
}
static ops_status file_interval(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_duration(d, v, &FILE_OF(u)->interval_ms);
}
static ops_status file_fuzzy(ruleset_doc *d, yaml_node_t *v, void *u)
{
    ops_slice s = {0};
    ops_status st = ruleset_text(d, v, &s);
    FILE_OF(u)->fuzzy = st == OPS_OK && ops_slice_eq(s, OPS_SLICE("true"));
    return st;
}
static ops_status file_tests(ruleset_doc *d, yaml_node_t *v, void *u)
{
    return ruleset_each(d, v, TESTS_MAX, read_test, u);
}

ops_status ruletest_read(ruletest_file *f, ops_slice yaml, const char *name, ops_arena *arena,
                         ops_err *reterr)
{
    static const ruleset_key keys[] = {{"rule_files", file_rules},
                                       {"evaluation_interval", file_interval},
                                       {"group_eval_order", file_order},
                                       {"fuzzy_compare", file_fuzzy},
                                       {"tests", file_tests},
                                       {NULL, NULL}};
    ruleset_doc d;
    yaml_node_t *root = NULL;
    *f = (ruletest_file){.interval_ms = 60000};
    ops_status st = ruleset_doc_open(&d, yaml, name, arena, &root, reterr);
    if (st == OPS_OK && root != NULL)
        st = ruleset_map(&d, root, keys, f);
    if (st == OPS_OK && f->interval_ms <= 0)
        f->interval_ms = 60000;
    ruleset_doc_done(&d);
    return st;
}

void ruletest_done(ruletest_file *f)
{
    for (size_t i = 0; i < f->tests.n; i++) {
        for (size_t k = 0; k < f->tests.v[i].checks.n; k++)
            ops_vec_done(&f->tests.v[i].checks.v[k].want);
        ops_vec_done(&f->tests.v[i].checks);
        ops_vec_done(&f->tests.v[i].series);
    }
    ops_vec_done(&f->tests);
    ops_vec_done(&f->rule_files);
    ops_vec_done(&f->order);
}
