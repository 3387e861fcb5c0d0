/* Matchers: Alertmanager's four forms over the labels of a finding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/silence/matcher.h"

/* Messages have no const; nothing writes to these. */
#define TEXT(s) ((char *)(uintptr_t)(s))

static void make(Ops__V1__Finding *f, char *services[1])
{
    ops__v1__finding__init(f);
    f->id = TEXT("f-1");
    f->tenant = TEXT("acme");
    f->kind = OPS__V1__FINDING_KIND__FINDING_KIND_RATE_UP;
    f->severity = OPS__V1__LEVEL__LEVEL_ERROR;
    services[0] = TEXT("db-main");
    f->services = services;
    f->n_services = 1;
}

static bool matches(const char *a, const char *b)
{
    Ops__V1__Finding f;
    char *services[1];
    ops_err err = {0};
    OPS_AUTO(ops_matchers_free) ops_matchers *m = NULL;
    const ops_slice texts[] = {ops_slice_str(a), ops_slice_str(b)};
    make(&f, services);
    if (ops_matchers_new(texts, b != NULL ? 2 : 1, &m, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return ops_matchers_match(m, &f);
}

static void four_forms(void **state)
{
    (void)state;
    assert_true(matches("service=\"db-main\"", NULL));
    assert_true(matches("service=db-main", NULL));
    assert_true(matches(" service = \"db-main\" ", NULL));
    assert_false(matches("service=db", NULL));
    assert_true(matches("service=~db-.*", NULL));
    assert_false(matches("service=~\"db\"", NULL)); /* the whole value */
    assert_false(matches("service=~db|other", NULL));
    assert_true(matches("service=~\"db-main|other\"", NULL));
    assert_true(matches("service=db-main", "severity!=critical"));
    assert_false(matches("service=db-main", "severity!=error"));
    assert_true(matches("service=db-main", "kind!~\"silent|change\""));
    assert_false(matches("service=db-main", "kind!~rate_.*"));
    assert_true(matches("alertname=opsd", "finding=f-1"));
    assert_true(matches("tenant=acme", "nothing=\"\"")); /* what is not there is empty */
    assert_true(matches("tenant=acme", "nothing!=x"));
    assert_false(matches("nothing=x", NULL));
}

static void labels_of_an_alert_count(void **state)
{
    (void)state;
    Ops__V1__Finding f;
    Ops__V1__Label a = OPS__V1__LABEL__INIT, b = a, *labels[] = {&a, &b};
    char *services[1], buf[64];
    make(&f, services);
    f.kind = OPS__V1__FINDING_KIND__FINDING_KIND_ALERT;
    a.name = TEXT("alertname");
    a.value = TEXT("DiskFull");
    b.name = TEXT("tenant"); /* may not pass itself off as another's */
    b.value = TEXT("other");
    f.labels = labels;
    f.n_labels = 2;
    assert_true(ops_slice_eq(ops_finding_label(&f, OPS_SLICE("alertname"), buf), OPS_SLICE("DiskFull")));
    assert_true(ops_slice_eq(ops_finding_label(&f, OPS_SLICE("tenant"), buf), OPS_SLICE("acme")));
    f.kind =
        OPS__V1__FINDING_KIND__FINDING_KIND_RULE; /* what a rule of the operators' fired goes by its own name too */
    assert_true(ops_slice_eq(ops_finding_label(&f, OPS_SLICE("alertname"), buf), OPS_SLICE("DiskFull")));
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"service", "matcher 'service': name=\"value\" is expected"},
        {"=x", "name=\"value\" is expected"},
        {"a!b", "name=\"value\" is expected"},
        {"a=\"b", "the quotes do not end"},
        {"a=\"b\"c", "the quotes do not end"},
        {"a=~(", "at byte 1 of the regex"},
        {"a=\"\"", "take whatever there is"},
        {"a=~.*", "take whatever there is"},
        {"a!=x", "take whatever there is"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_err err = {0};
        ops_matchers *m = NULL;
        const ops_slice text = ops_slice_str(rows[i].text);
        assert_int_equal(ops_matchers_new(&text, 1, &m, &err), OPS_EINVAL);
        if (strstr(err.msg, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].text, err.msg);
    }
    ops_matchers *m = NULL;
    assert_int_equal(ops_matchers_new(NULL, 0, &m, NULL), OPS_EINVAL);
}

/* Catastrophic backtracking meets the limit, and then silences nothing, whichever way it was asked. */
static void a_regex_that_runs_away_matches_nothing(void **state)
{
    (void)state;
    static char long_name[200];
    Ops__V1__Finding f;
    char *services[1];
    make(&f, services);
    memset(long_name, 'a', sizeof long_name - 3);
    memcpy(long_name + sizeof long_name - 3, "!b", 3);
    services[0] = long_name;
    const char *texts[] = {"service=~(a|aa)*(a|aa)*b", "service!~(a|aa)*(a|aa)*b"};
    for (size_t i = 0; i < 2; i++) {
        OPS_AUTO(ops_matchers_free) ops_matchers *m = NULL;
        const ops_slice both[] = {OPS_SLICE("tenant=acme"), ops_slice_str(texts[i])};
        assert_int_equal(ops_matchers_new(both, 2, &m, NULL), OPS_OK);
        assert_false(ops_matchers_match(m, &f));
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    const ops_slice texts[] = {OPS_SLICE("a=\"b\""), OPS_SLICE("c=~d")};
    const long live = ops_alloc_live();
    for (long nth = 1;; nth++) {
        ops_matchers *m = NULL;
        ops_err err = {0};
        ops_alloc_fail_at(nth);
        ops_status st = ops_matchers_new(texts, 2, &m, &err);
        ops_alloc_fail_at(0);
        ops_matchers_free(m);
        assert_true(ops_alloc_live() == live);
        if (st == OPS_OK)
            break;
        assert_int_equal(st, OPS_ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_forms),
        cmocka_unit_test(labels_of_an_alert_count),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(a_regex_that_runs_away_matches_nothing),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
