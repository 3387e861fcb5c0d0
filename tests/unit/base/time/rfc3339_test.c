/* RFC 3339: the examples of its section 5.8, limits, refusals, and a round trip over the calendar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/status/status.h"
#include "base/time/rfc3339.h"

static void examples_of_the_rfc(void **state)
{
    (void)state;
    int64_t ns;
    assert_true(ops_rfc3339_parse(OPS_SLICE("1985-04-12T23:20:50.52Z"), &ns));
    assert_true(ns == 482196050520000000);
    assert_true(ops_rfc3339_parse(OPS_SLICE("1996-12-19T16:39:57-08:00"), &ns));
    assert_true(ns == 851042397000000000);
    assert_true(ops_rfc3339_parse(OPS_SLICE("1990-12-31T23:59:60Z"), &ns));
    assert_true(ns == 662687999000000000);
    assert_true(ops_rfc3339_parse(OPS_SLICE("1937-01-01T12:00:27.87+00:20"), &ns));
    assert_true(ns == -1041337172130000000);
}

static void refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "2026-02-29T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:00:00",
                                      "2026-01-01T00:00:00.Z",
                                      "2026-01-01T00:00:00+0800",
                                      "2026-01-01T00:00:00Zx",
                                      "1600-01-01T00:00:00Z"};
    int64_t ns;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(ops_rfc3339_parse(ops_slice_str(bad[i]), &ns));
}

static void every_day_of_three_centuries_round_trips(void **state)
{
    (void)state;
    for (int64_t day = -50000; day < 60000; day++) {
        int64_t year;
        unsigned month, dom;
        ops_civil_from_days(day, &year, &month, &dom);
        assert_true(ops_days_from_civil(year, month, dom) == day);
    }
    char buf[OPS_RFC3339_BYTES];
    int64_t ns;
    assert_string_equal(ops_rfc3339_format(-1, 9, buf), "1969-12-31T23:59:59.999999999Z");
    assert_true(ops_rfc3339_parse(ops_slice_str(buf), &ns) && ns == -1);
    assert_string_equal(ops_rfc3339_format(1700000000123000000, 3, buf), "2023-11-14T22:13:20.123Z");
}

static void errors_carry_their_context(void **state)
{
    (void)state;
    ops_err err;
    assert_int_equal(ops_fail(&err, OPS_ENOTFOUND, "no finding '%s'", "f1"), OPS_ENOTFOUND);
    ops_err_prefix(&err, "describe");
    assert_string_equal(err.msg, "describe: no finding 'f1'");
    assert_int_equal(ops_status_exit_code(OPS_ENOTFOUND), 5);
    assert_int_equal(ops_status_grpc_code(OPS_EAGAIN), 8);
    assert_true(ops_status_retriable(OPS_EAGAIN));
    for (int st = 0; st < OPS_STATUS_COUNT; st++)
        assert_int_equal(ops_status_grpc_code(ops_status_from_grpc(ops_status_grpc_code((ops_status)st))),
                         ops_status_grpc_code((ops_status)st));
    char longer[600];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    (void)ops_fail(&err, OPS_EINVAL, "%s", longer);
    ops_err_prefix(&err, "%s", longer);
    assert_true(strlen(err.msg) == sizeof err.msg - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_rfc),
        cmocka_unit_test(refusals),
        cmocka_unit_test(every_day_of_three_centuries_round_trips),
        cmocka_unit_test(errors_carry_their_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
