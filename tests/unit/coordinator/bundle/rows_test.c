/* Rows of a case as the contract writes them, and as they should not be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/bundle/rows.h"

typedef ops_status (*row_fn)(ops_bundle *b, ops_slice line, ops_err *reterr);

static ops_bundle *fresh(void)
{
    ops_bundle *b = NULL;
    assert_int_equal(ops_bundle_new(NULL, &b, NULL), OPS_OK);
    return b;
}

static ops_bundle_stats stats_of(const ops_bundle *b)
{
    ops_bundle_stats s;
    ops_bundle_stats_get(b, &s);
    return s;
}

static void fine(row_fn row, ops_bundle *b, const char *line)
{
    ops_err e = {0};
    assert_int_equal(row(b, ops_slice_str(line), &e), OPS_OK);
}

static void wrong(row_fn row, ops_bundle *b, const char *line)
{
    ops_err e = {0};
    assert_int_equal(row(b, ops_slice_str(line), &e), OPS_EINVAL);
    assert_true(e.msg[0] != '\0');
}

static void metrics(void **state)
{
    (void)state;
    ops_bundle *b = fresh();
    fine(ops_rows_metric, b, "time,component,metric,value");
    fine(ops_rows_metric, b, "");
    fine(ops_rows_metric, b, "1700000000,shop,cpu,0.5");
    fine(ops_rows_metric, b, "1700000000.25,shop,cpu,1e-3\r");
    fine(ops_rows_metric, b, "1700000001,shop,\"hits{a=\"\"1\"\",b=\"\"2\"\"}\",4");
    fine(ops_rows_metric, b, "1700000001,\"shop, east\",hits{a=1,b=2},4");
    assert_int_equal(stats_of(b).samples, 4);
    assert_int_equal(stats_of(b).components, 2);
    fine(ops_rows_metric, b, "1700000002,shop,cpu,");
    fine(ops_rows_metric, b, "1700000002,shop,cpu,NaN");
    assert_int_equal(stats_of(b).samples, 4);
    assert_true(stats_of(b).last_s == 1700000001);
    wrong(ops_rows_metric, b, "1700000002,shop,cpu");
    wrong(ops_rows_metric, b, "1700000002,shop");
    wrong(ops_rows_metric, b, "yesterday,shop,cpu,1");
    wrong(ops_rows_metric, b, "1700000002,shop,cpu,much");
    wrong(ops_rows_metric, b, "1700000002,\"shop,cpu,1");
    wrong(ops_rows_metric, b, "1700000002,shop,\"cpu,1");
    wrong(ops_rows_metric, b, "1700000002,\"shop\"s,cpu,1");
    wrong(ops_rows_metric, b, "1700000002,shop,\"cpu\"x,1");
    assert_int_equal(stats_of(b).samples, 4);
    ops_bundle_free(b);
}

static void lines(void **state)
{
    (void)state;
    ops_bundle *b = fresh();
    fine(ops_rows_line, b, "{\"time\": 1700000000.5, \"component\": \"shop\", \"message\": \"up\"}");
    fine(ops_rows_line, b,
         "{\"message\": \"\\u0000\\ud83d\\ude00\", \"component\": \"shop\", \"time\": \"1700000001\", \"x\": "
         "[1]}");
    fine(ops_rows_line, b, "{\"time\": 1, \"component\": \"\xff\xfe\", \"message\": \"\x80\"}");
    fine(ops_rows_line, b, "  ");
    assert_int_equal(stats_of(b).lines, 3);
    wrong(ops_rows_line, b, "{\"component\": \"shop\", \"message\": \"no time\"}");
    wrong(ops_rows_line, b, "[1]");
    wrong(ops_rows_line, b, "{\"time\": 1");
    wrong(ops_rows_line, b, "{\"time\": 1e999, \"component\": \"shop\"}");
    fine(ops_rows_line, b, "{\"time\": 1, \"component\": 7.5, \"message\": \"\"}");
    assert_int_equal(stats_of(b).lines, 3);
    assert_int_equal(stats_of(b).refused, 1);
    ops_bundle_free(b);
}

static void spans(void **state)
{
    (void)state;
    ops_bundle *b = fresh();
    fine(ops_rows_span, b,
         "{\"trace\":\"t\",\"span\":\"s\",\"parent\":\"\",\"component\":\"shop\",\"operation\":\"o\","
         "\"start\":1700000000.1,"
         "\"duration\":0.25,\"status\":\"\"}");
    fine(ops_rows_span, b,
         "{\"trace\":1,\"span\":2,\"parent\":1,\"component\":\"shop\",\"start\":1,\"duration\":0,\"status\":"
         "500}");
    assert_int_equal(stats_of(b).spans, 2);
    wrong(ops_rows_span, b, "{\"trace\":\"t\",\"span\":\"s\",\"component\":\"shop\",\"start\":1}");
    wrong(ops_rows_span, b,
          "{\"trace\":\"t\",\"span\":\"s\",\"component\":\"shop\",\"start\":true,\"duration\":1}");
    fine(ops_rows_span, b, "{\"component\":\"shop\",\"start\":1,\"duration\":-1}");
    assert_int_equal(stats_of(b).spans, 2);
    assert_int_equal(stats_of(b).refused, 1);
    ops_bundle_free(b);
}

static void deep_rows_are_refused(void **state)
{
    (void)state;
    enum { DEEP = 100000 };
    static char line[DEEP + 1];
    memset(line, '[', DEEP);
    ops_bundle *b = fresh();
    wrong(ops_rows_span, b, line);
    wrong(ops_rows_line, b, line);
    ops_bundle_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics),
        cmocka_unit_test(lines),
        cmocka_unit_test(spans),
        cmocka_unit_test(deep_rows_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
