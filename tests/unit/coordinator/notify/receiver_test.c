/* Lines of configuration: what they mean, and what is wrong with them, by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coordinator/notify/judge.h"
#include "coordinator/notify/receiver.h"

static ops_notify_receiver r;

static ops_status parse(const char *line, ops_err *err)
{
    *err = (ops_err){0};
    return ops_notify_receiver_parse(ops_slice_str(line), &r, err);
}

static void file_of(char path[64], const char *text)
{
    memcpy(path, "/tmp/notify-secret-XXXXXX", sizeof "/tmp/notify-secret-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static void the_parts_of_a_line(void **state)
{
    (void)state;
    ops_err err;
    char path[64], line[256];
    assert_int_equal(parse("am alertmanager http://127.0.0.1:9093", &err), OPS_OK);
    assert_string_equal(r.url, "http://127.0.0.1:9093/api/v2/alerts");
    assert_int_equal(parse("am alertmanager https://am.example/base/", &err), OPS_OK);
    assert_string_equal(r.url, "https://am.example/base/api/v2/alerts");
    assert_int_equal(parse("am alertmanager http://h/api/v2/alerts", &err), OPS_OK);
    assert_string_equal(r.url, "http://h/api/v2/alerts");
    file_of(path, "  s3cret key\n");
    (void)snprintf(line, sizeof line,
                   "pager webhook https://h/x?y=1 secret_file=%s tenant=a,b severity>=error", path);
    assert_int_equal(parse(line, &err), OPS_OK);
    (void)unlink(path);
    assert_string_equal(r.secret, "s3cret key");
    assert_int_equal(r.kind, OPS_NOTIFY_WEBHOOK);
    assert_true(ops_notify_receiver_wants(&r, OPS_SLICE("b"), 3));
    assert_true(ops_notify_receiver_wants(&r, OPS_SLICE("a"), 4));
    assert_false(ops_notify_receiver_wants(&r, OPS_SLICE("a"), 2));
    assert_false(ops_notify_receiver_wants(&r, OPS_SLICE("c"), 4));
    file_of(path, "https://hooks.example/services/T/B/x\n");
    (void)snprintf(line, sizeof line, "chat slack url_file=%s", path);
    assert_int_equal(parse(line, &err), OPS_OK);
    (void)unlink(path);
    assert_string_equal(r.url, "https://hooks.example/services/T/B/x");
    assert_true(ops_notify_receiver_wants(&r, OPS_SLICE("any"), 1));
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } rows[] = {
        {"", "begins with its name"},
        {"a/b webhook http://h", "begins with its name"},
        {"a", "receiver a: its kind is missing"},
        {"a mail http://h", "'mail' is not alertmanager, webhook or slack"},
        {"a webhook", "receiver a: no URL"},
        {"a webhook ftp://h", "receiver a: 'ftp://h'"},
        {"a webhook http:///x", "names no host"},
        {"a webhook http://u:p@h/x", "user or password"},
        {"a webhook http://h http://k", "two URLs"},
        {"a webhook http://h severity>=loud", "severity>= is followed by"},
        {"a webhook http://h tenant=a,,b", "no tenant is called ''"},
        {"a webhook http://h colour=red", "'colour': webhook takes no such option"},
        {"a slack http://h secret_file=/x", "'secret_file': slack takes no such option"},
        {"a webhook http://h token_file=/nowhere/at/all", "/nowhere/at/all: No such file"},
        {"a alertmanager http://h?x=1", "has no query"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_err err;
        r = (ops_notify_receiver){.name = "untouched"};
        assert_int_equal(parse(rows[i].line, &err), OPS_EINVAL);
        if (strstr(err.msg, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].line, err.msg);
        assert_string_equal(r.name, "untouched");
    }
}

static void secrets_are_never_shown(void **state)
{
    (void)state;
    ops_err err;
    char path[64], line[256];
    file_of(path, "ftp://s3cret.example/x");
    (void)snprintf(line, sizeof line, "a slack url_file=%s", path);
    assert_int_equal(parse(line, &err), OPS_EINVAL);
    (void)unlink(path);
    assert_null(strstr(err.msg, "s3cret"));
}

/* RFC 9110: 408, 429 and 5xx may pass; the other 4xx will not, and a redirect is an answer that delivers nothing. */
static void verdicts(void **state)
{
    (void)state;
    static const struct {
        long status;
        ops_notify_verdict v;
    } rows[] = {{200, OPS_NOTIFY_DELIVERED}, {202, OPS_NOTIFY_DELIVERED}, {204, OPS_NOTIFY_DELIVERED},
                {301, OPS_NOTIFY_REJECTED},  {400, OPS_NOTIFY_REJECTED},  {401, OPS_NOTIFY_REJECTED},
                {404, OPS_NOTIFY_REJECTED},  {408, OPS_NOTIFY_AGAIN},     {413, OPS_NOTIFY_REJECTED},
                {429, OPS_NOTIFY_AGAIN},     {500, OPS_NOTIFY_AGAIN},     {503, OPS_NOTIFY_AGAIN},
                {100, OPS_NOTIFY_REJECTED}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const ops_notify_answer a = {.status = rows[i].status};
        assert_int_equal(ops_notify_judge(OPS_OK, &a), rows[i].v);
        assert_int_equal(ops_notify_judge(OPS_EUNAVAILABLE, &a), OPS_NOTIFY_AGAIN);
    }
}

static void waits_double_to_a_bound_and_never_below_half(void **state)
{
    (void)state;
    int64_t full = OPS_NOTIFY_WAIT_FIRST_MS;
    for (unsigned failures = 1; failures < 200; failures++) {
        const int64_t least = ops_notify_wait_ms(failures, 0, -1);
        assert_true(least == full / 2);
        for (uint64_t x = 0; x < 1000; x++) {
            const int64_t got = ops_notify_wait_ms(failures, x * 7919, -1);
            assert_true(got >= full / 2 && got <= full);
        }
        full = full * 2 < OPS_NOTIFY_WAIT_MAX_MS ? full * 2 : OPS_NOTIFY_WAIT_MAX_MS;
    }
    assert_true(ops_notify_wait_ms(1, 3, 90000) == 90000);
    assert_true(ops_notify_wait_ms(1, 3, INT64_MAX) == OPS_NOTIFY_RETRY_AFTER_MAX_MS);
    assert_true(ops_notify_wait_ms(200, 0, 1) == OPS_NOTIFY_WAIT_MAX_MS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_of_a_line),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(secrets_are_never_shown),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(waits_double_to_a_bound_and_never_below_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
