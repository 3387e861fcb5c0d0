/* The line's two formats, hostile values, the limit per call site, and what is lost is counted. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log/log.h"
#include "base/mem/alloc.h"

static int64_t now_ns;
static int64_t read_now(ops_clock *self)
{
    (void)self;
    return now_ns;
}
static ops_clock still = {read_now, read_now};
static int ends[2];
static char text[65536];

static const char *drain(void)
{
    ssize_t n = read(ends[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static int set_up(void **state)
{
    (void)state;
    ops_log_set_clock(&still);
    now_ns = 1000000000;
    return pipe2(ends, O_NONBLOCK);
}

static int tear_down(void **state)
{
    (void)state;
    ops_log_init(OPS_LOG_INFO, -1, OPS_LOG_LOGFMT);
    ops_log_set_clock(NULL);
    return close(ends[0]) | close(ends[1]);
}

static void both_formats(void **state)
{
    (void)state;
    ops_log_init(OPS_LOG_INFO, ends[1], OPS_LOG_LOGFMT);
    OPS_LOG(OPS_LOG_DEBUG, "hidden");
    OPS_LOG(OPS_LOG_WARN, "port_busy", OPS_KV_STR("addr", "127.0.0.1:4317"), OPS_KV_INT("pid", -7),
            OPS_KV_U64("n", UINT64_MAX), OPS_KV_F64("x", 0.5), OPS_KV_BOOL("ok", false));
    assert_string_equal(drain(), "time=1970-01-01T00:00:01.000Z level=warn event=port_busy "
                                 "addr=127.0.0.1:4317 pid=-7 n=18446744073709551615 x=0.5 ok=false\n");
    ops_log(OPS_LOG_ERROR, "lost", "a \"b\"\nlevel=info %d", 5);
    assert_string_equal(
        drain(), "time=1970-01-01T00:00:01.000Z level=error event=lost msg=\"a \\\"b\\\"\\nlevel=info 5\"\n");
    ops_log_init(OPS_LOG_INFO, ends[1], OPS_LOG_JSON);
    OPS_LOG(OPS_LOG_INFO, "ready", OPS_KV_SLICE("s", OPS_SLICE("q\"")), OPS_KV_F64("nan", 0.0 / 0.0));
    assert_string_equal(drain(), "{\"time\":\"1970-01-01T00:00:01.000Z\",\"level\":\"info\",\"event\":"
                                 "\"ready\",\"s\":\"q\\\"\",\"nan\":null}\n");
}

static void one_site(int i)
{
    OPS_LOG(OPS_LOG_INFO, "again", OPS_KV_INT("i", i));
}

static void a_loud_site_is_held_back(void **state)
{
    (void)state;
    ops_log_init(OPS_LOG_INFO, ends[1], OPS_LOG_LOGFMT);
    ops_log_counts before = ops_log_counts_get();
    for (int i = 0; i < 100; i++)
        one_site(i);
    assert_int_equal(ops_log_counts_get().written - before.written, OPS_LOG_BURST);
    assert_int_equal(ops_log_counts_get().suppressed - before.suppressed, 100 - OPS_LOG_BURST);
    OPS_LOG(OPS_LOG_INFO, "another_site");
    assert_non_null(strstr(drain(), "event=another_site"));
    now_ns += 1000000000; /* OPS_LOG_PER_S more */
    for (int i = 0; i < 100; i++)
        one_site(i);
    assert_int_equal(ops_log_counts_get().written - before.written, OPS_LOG_BURST + 1 + OPS_LOG_PER_S);
    assert_non_null(strstr(drain(), "event=again i=0 suppressed=80\n"));
}

static void what_is_lost_is_counted(void **state)
{
    (void)state;
    static char big[100000];
    memset(big, 'x', sizeof big - 1);
    ops_log_init(OPS_LOG_INFO, ends[1], OPS_LOG_LOGFMT);
    ops_log_counts before = ops_log_counts_get();
    ops_alloc_fail_at(1);
    OPS_LOG(OPS_LOG_INFO, "no_heap");
    ops_alloc_fail_at(0);
    assert_int_equal(ops_log_counts_get().lost - before.lost, 1);
    OPS_LOG(OPS_LOG_INFO, "big", OPS_KV_STR("v", big));
    assert_int_equal(strlen(strstr(drain(), "v=")), 2 + 2 + OPS_LOG_LINE_MAX / 8 + 1); /* cut, quoted */
    int shut = open("/dev/full", O_WRONLY | O_CLOEXEC);
    ops_log_init(OPS_LOG_INFO, shut, OPS_LOG_LOGFMT);
    OPS_LOG(OPS_LOG_INFO, "no_room");
    assert_int_equal(ops_log_counts_get().lost - before.lost, 2);
    (void)close(shut);
}

static void levels_have_words(void **state)
{
    (void)state;
    ops_log_level l;
    assert_true(ops_log_level_parse(OPS_SLICE("WARN"), &l));
    assert_int_equal(l, OPS_LOG_WARN);
    assert_false(ops_log_level_parse(OPS_SLICE("loud"), &l));
    ops_log_init(OPS_LOG_OFF, ends[1], OPS_LOG_LOGFMT);
    OPS_LOG(OPS_LOG_ERROR, "quiet");
    assert_string_equal(drain(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_formats, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_loud_site_is_held_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_lost_is_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(levels_have_words, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
