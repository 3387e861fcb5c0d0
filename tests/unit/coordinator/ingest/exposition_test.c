/* Pages of the text format and of OpenMetrics, with examples in the manner of their specifications. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text/strbuf.h"
#include "coordinator/ingest/exposition.h"

static ops_status keep(void *u, const ops_exposition_sample *s, ops_err *reterr)
{
    ops_strbuf *b = u;
    const ops_series_id id = {.name = s->name, .labels = s->labels, .label_count = (uint32_t)s->label_count};
    (void)reterr;
    ops_strbuf_printf(b, "%d ", (int)s->kind);
    ops_series_text(&id, b);
    ops_strbuf_printf(b, " %g", s->value);
    if (s->timed)
        ops_strbuf_printf(b, " @%lld", (long long)s->time_ns);
    ops_strbuf_char(b, '\n');
    return b->failed ? OPS_ENOMEM : OPS_OK;
}

static void reads(const char *page, bool openmetrics, const char *want, uint64_t samples)
{
    ops_err err = {0};
    uint64_t n = 0;
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    if (ops_exposition_read(ops_slice_str(page), openmetrics, 100, keep, &b, &n, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(n, samples);
    assert_string_equal(b.p, want);
    ops_strbuf_done(&b);
}

static void the_text_format(void **state)
{
    (void)state;
    reads("# HELP http_requests_total How many.\n"
          "# TYPE http_requests_total counter\n"
          "http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n"
          "http_requests_total { method = \"a\\\\b\\\"c\\n\" , } 3\n"
          "# just words\n"
          "\n"
          "# TYPE odd counter\r\n"
          "odd 7\r\n"
          "no_type -Inf -3982045\n"
          "something_total +1.5e3\n"
          "# TYPE lat histogram\n"
          "lat_bucket{le=\"0.05\"} 24054\n"
          "lat_bucket{le=\"+Inf\"} 144320\n"
          "lat_sum 53423\n"
          "lat_count 144320\n"
          "# TYPE rpc summary\n"
          "rpc{quantile=\"0.5\"} NaN\n"
          "rpc_sum 1.7560473e+07\n",
          false,
          "2 http_requests_total{method=\"post\",code=\"200\"} 1027 @1395066363000000000\n"
          "2 http_requests_total{method=\"a\\\\b\\\"c\\n\"} 3\n"
          "2 odd 7\n"
          "1 no_type -inf @-3982045000000\n"
          "2 something_total 1500\n"
          "4 lat_bucket{le=\"0.05\"} 24054\n4 lat_bucket{le=\"+Inf\"} 144320\n2 lat_sum 53423\n2 lat_count "
          "144320\n"
          "1 rpc{quantile=\"0.5\"} nan\n2 rpc_sum 1.75605e+07\n",
          11);
}

static void openmetrics(void **state)
{
    (void)state;
    reads("# TYPE foo counter\n"
          "# UNIT foo seconds\n"
          "foo_total{a=\"1\"} 17.0 1520879607.789 # {trace_id=\"KOO5S4vxi0o\"} 0.67\n"
          "foo_created{a=\"1\"} 1520430000.123\n"
          "# TYPE bar info\n"
          "bar_info{name=\"x\"} 1\n"
          "{\"quoted name\",\"l l\"=\"v\"} 2\n"
          "# EOF\n",
          true,
          "2 foo_total{a=\"1\"} 17 @1520879607789000000\n1 foo_created{a=\"1\"} 1.52043e+09\n"
          "1 bar_info{name=\"x\"} 1\n1 quoted name{l l=\"v\"} 2\n",
          4);
}

static void breaks(const char *page, bool is_openmetrics, const char *place)
{
    ops_err err = {0};
    uint64_t n = 0;
    assert_int_equal(ops_exposition_read(ops_slice_str(page), is_openmetrics, 100, NULL, NULL, &n, &err),
                     OPS_EINVAL);
    assert_non_null(strstr(err.msg, place));
}

static void what_breaks_names_the_line(void **state)
{
    (void)state;
    breaks("a 1\nb{x=\"1\" 2\n", false, "line 2: ");
    breaks("a{x=\"1} 2\n", false, "line 1: a quote that does not end");
    breaks("a{x=1} 2\n", false, "without quotes");
    breaks("a{x=\"\\q\"} 2\n", false, "an escape");
    breaks("a x\n", false, "no number");
    breaks("a 0x1p3\n", false, "no number");
    breaks("a\n", false, "no number");
    breaks("{} 1\n", false, "without a name");
    {
        ops_err err = {0};
        uint64_t n = 0;
        assert_int_equal(ops_exposition_read(OPS_SLICE("a{b=\"\0\"} 1\n"), false, 9, NULL, NULL, &n, &err),
                         OPS_EINVAL);
        assert_non_null(strstr(err.msg, "a NUL"));
    }
    breaks("{\"\"} 1\n", false, "without a name");
    breaks("{\"a\",\"b\"} 1\n", false, "a second name");
    breaks("a 1 2 3\n", false, "something after");
    breaks("a 1 1e300\n", false, "a time");
    breaks("# TYPE a nonsense\n", false, "line 1: a type");
    breaks("a 1\n", true, "no # EOF");
    breaks("# EOF\na 1\n", true, "line 2: something after # EOF");
    breaks("<html>", false, "line 1: ");
}

static void samples_are_bounded(void **state)
{
    (void)state;
    ops_err err = {0};
    uint64_t n = 0;
    assert_int_equal(ops_exposition_read(OPS_SLICE("a 1\nb 2\nc 3\n"), false, 2, NULL, NULL, &n, &err),
                     OPS_ETOOBIG);
    assert_int_equal(ops_exposition_read(OPS_SLICE("a 1\nb 2\n"), false, 2, NULL, NULL, &n, &err), OPS_OK);
    assert_int_equal(n, 2);
    assert_int_equal(ops_exposition_read((ops_slice){0}, false, 2, NULL, NULL, &n, &err), OPS_OK);
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_format),
        cmocka_unit_test(openmetrics),
        cmocka_unit_test(what_breaks_names_the_line),
        cmocka_unit_test(samples_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
