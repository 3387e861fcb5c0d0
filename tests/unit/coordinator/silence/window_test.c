/* Weekly windows in a time zone, over changes of the clock. The times were worked out with Python's zoneinfo. The zone of the
 * tests is written here byte by byte (RFC 8536), so that no zone files are needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text/codec.h"
#include "base/text/strbuf.h"
#include "base/time/rfc3339.h"
#include "coordinator/silence/window.h"

static int64_t at(const char *text)
{
    int64_t ns = 0;
    assert_true(ops_rfc3339_parse(ops_slice_str(text), &ns));
    return ns / 1000000000;
}

static void header(ops_strbuf *b, uint32_t times, uint32_t types)
{
    uint8_t head[44] = "TZif2";
    const uint32_t counts[] = {0, 0, 0, times, types, 1};
    for (size_t i = 0; i < 6; i++)
        ops_put_be32(head + 20 + 4 * i, counts[i]);
    ops_strbuf_put(b, head, sizeof head);
}

/* Central Europe in 2026 and 2027: clocks change at 01:00 UTC on the last Sundays of March and October. */
static void zone_file(ops_strbuf *b, const char *rule)
{
    static const char *const when[] = {"2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2027-03-28T01:00:00Z",
                                       "2027-10-31T01:00:00Z"};
    static const uint8_t types[] = {0, 0, 0x0e, 0x10, 0, 0, 0, 0, 0x1c, 0x20, 1, 0}, index[] = {1, 0, 1, 0};
    uint8_t word[8];
    ops_strbuf_init(b, 4096);
    header(b, 0, 1);
    ops_strbuf_put(b, types, 6);
    ops_strbuf_char(b, '\0');
    header(b, 4, 2);
    for (size_t i = 0; i < 4; i++) {
        ops_put_be64(word, (uint64_t)at(when[i]));
        ops_strbuf_put(b, word, 8);
    }
    ops_strbuf_put(b, index, 4);
    ops_strbuf_put(b, types, sizeof types);
    ops_strbuf_char(b, '\0');
    ops_strbuf_printf(b, "\n%s\n", rule);
}

#define CENTRAL "CET-1CEST,M3.5.0,M10.5.0/3"

static void a_zone_file_says_the_offset(void **state)
{
    (void)state;
    ops_strbuf b;
    zone_file(&b, CENTRAL);
    OPS_AUTO(ops_zone_free) ops_zone *z = NULL;
    assert_int_equal(ops_zone_parse(ops_strbuf_get(&b), at("2026-01-01T00:00:00Z"), &z, NULL), OPS_OK);
    assert_int_equal(ops_zone_offset(z, at("2026-01-01T00:00:00Z")), 3600);
    assert_int_equal(ops_zone_offset(z, at("2026-03-29T00:59:59Z")), 3600);
    assert_int_equal(ops_zone_offset(z, at("2026-03-29T01:00:00Z")), 7200);
    assert_int_equal(ops_zone_offset(z, at("2026-10-25T01:00:00Z")), 3600);
    ops_strbuf_done(&b);
}

static void damaged_zone_files_are_refused(void **state)
{
    (void)state;
    ops_strbuf b;
    ops_err err = {0};
    ops_zone *z = NULL;
    const int64_t now = at("2026-01-01T00:00:00Z");
    zone_file(&b, CENTRAL);
    for (size_t n = 0; n + sizeof CENTRAL + 1 < b.n; n++) /* cut anywhere before the rule */
        assert_int_equal(ops_zone_parse(ops_slice_of(b.p, n), now, &z, &err), OPS_EINVAL);
    /* A file whose list ends while clocks go on changing. */
    assert_int_equal(ops_zone_parse(ops_strbuf_get(&b), at("2027-06-01T00:00:00Z"), &z, &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "slim"));
    b.p[44 + 7 + 44 + 32] = 9; /* the first transition's type: there are two */
    assert_int_equal(ops_zone_parse(ops_strbuf_get(&b), now, &z, &err), OPS_EINVAL);
    b.p[44 + 7 + 44 + 32] = 1;
    b.p[44 + 7 + 44 + 32 + 4] = 0x7f; /* the first type: centuries from UTC */
    assert_int_equal(ops_zone_parse(ops_strbuf_get(&b), now, &z, &err), OPS_EINVAL);
    ops_strbuf_done(&b);
    static const char *const names[] = {
        "/etc/passwd", "../../etc/passwd", "Europe/../../x", "", "Nowhere/AtAll", "+8", "+15:00"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(ops_zone_new(ops_slice_str(names[i]), now, &z, &err), OPS_EINVAL);
}

static void expect(const ops_window *w, const char *now, const char *from, const char *to)
{
    int64_t f = 0, t = 0;
    ops_window_next(w, at(now), &f, &t);
    if (f != at(from) || t != at(to))
        fail_msg("%s at %s: %lld to %lld", w->line, now, (long long)f, (long long)t);
}

static void a_window_comes_back_every_week(void **state)
{
    (void)state;
    ops_window w;
    assert_int_equal(ops_window_parse(OPS_SLICE("backup sat,sun 02:00-04:30 +08:00 service=db"), 0, &w, NULL),
                     OPS_OK);
    /* 2026-01-03 is a Saturday; 02:00 there is 18:00 UTC of Friday. */
    expect(&w, "2026-01-01T00:00:00Z", "2026-01-02T18:00:00Z", "2026-01-02T20:30:00Z");
    expect(&w, "2026-01-02T18:00:00Z", "2026-01-02T18:00:00Z", "2026-01-02T20:30:00Z");
    expect(&w, "2026-01-02T20:29:59Z", "2026-01-02T18:00:00Z", "2026-01-02T20:30:00Z");
    expect(&w, "2026-01-02T20:30:00Z", "2026-01-03T18:00:00Z", "2026-01-03T20:30:00Z");
    expect(&w, "2026-01-04T00:00:00Z", "2026-01-09T18:00:00Z", "2026-01-09T20:30:00Z");
    ops_window_done(&w);
}

static void a_window_may_pass_midnight(void **state)
{
    (void)state;
    ops_window w;
    assert_int_equal(ops_window_parse(OPS_SLICE("night fri 22:00-02:00 UTC service=db"), 0, &w, NULL),
                     OPS_OK);
    expect(&w, "2026-01-03T01:59:59Z", "2026-01-02T22:00:00Z", "2026-01-03T02:00:00Z");
    expect(&w, "2026-01-03T02:00:00Z", "2026-01-09T22:00:00Z", "2026-01-10T02:00:00Z");
    ops_window_done(&w);
    assert_int_equal(ops_window_parse(OPS_SLICE("day mon-fri 00:00-24:00 UTC service=db"), 0, &w, NULL),
                     OPS_OK);
    expect(&w, "2026-01-02T23:59:59Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z");
    expect(&w, "2026-01-03T00:00:00Z", "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z");
    ops_window_done(&w);
}

static void clocks_that_change_are_followed(void **state)
{
    (void)state;
    ops_window w;
    ops_strbuf b;
    assert_int_equal(ops_window_parse(OPS_SLICE("w sun 01:30-05:00 UTC service=db"), 0, &w, NULL), OPS_OK);
    zone_file(&b, CENTRAL);
    ops_zone_free(w.zone);
    assert_int_equal(ops_zone_parse(ops_strbuf_get(&b), at("2026-01-01T00:00:00Z"), &w.zone, NULL), OPS_OK);
    ops_strbuf_done(&b);
    expect(&w, "2026-03-21T12:00:00Z", "2026-03-22T00:30:00Z", "2026-03-22T04:00:00Z"); /* winter: UTC+1 */
    expect(&w, "2026-03-28T12:00:00Z", "2026-03-29T00:30:00Z",
           "2026-03-29T03:00:00Z"); /* an hour is missing */
    expect(&w, "2026-10-24T12:00:00Z", "2026-10-24T23:30:00Z", "2026-10-25T04:00:00Z"); /* one comes twice */
    ops_window_done(&w);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } rows[] = {
        {"", "a window begins with its name"},
        {"a/b sat 01:00-02:00 UTC a=b", "a window begins with its name"},
        {"w someday 01:00-02:00 UTC a=b", "window w: days as sat,sun"},
        {"w sat 1-2 UTC a=b", "window w: a time as 02:00-04:30 expected, not '1-2'"},
        {"w sat 24:00-25:00 UTC a=b", "window w: a time"},
        {"w sat 01:00-02:60 UTC a=b", "window w: a time"},
        {"w sat 01:00-02:00 Mars/Olympus a=b",
         "window w: zone /usr/share/zoneinfo/Mars/Olympus: No such file"},
        {"w sat 01:00-02:00 UTC", "window w: 0 matchers"},
        {"w sat 01:00-02:00 UTC a=b c", "window w: matcher 'c'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_err err = {0};
        ops_window w = {.days = 77};
        assert_int_equal(ops_window_parse(ops_slice_str(rows[i].line), 0, &w, &err), OPS_EINVAL);
        if (strstr(err.msg, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].line, err.msg);
        assert_int_equal(w.days, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zone_file_says_the_offset),     cmocka_unit_test(damaged_zone_files_are_refused),
        cmocka_unit_test(a_window_comes_back_every_week),  cmocka_unit_test(a_window_may_pass_midnight),
        cmocka_unit_test(clocks_that_change_are_followed), cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
