/* Binding, and that a taken port is named with its holder (this very process). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coordinator/listen/holder.h"
#include "coordinator/listen/listen.h"

static void a_taken_port_names_its_holder(void **state)
{
    (void)state;
    int fd = -1, other = -1;
    uint16_t port = 0, none = 0;
    ops_err err = {0};
    assert_int_equal(ops_listen_open("127.0.0.1:0", SOCK_STREAM, &fd, &port, &err), OPS_OK);
    assert_true(port > 0);
    ops_port_holder_info who = {0};
    assert_int_equal(ops_port_holder(port, &who), OPS_OK);
    assert_int_equal(who.pid, getpid());
    assert_string_equal(who.name, "listen_test");
    char address[32], want[96];
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    snprintf(want, sizeof want, "%s is in use by listen_test (pid %d)", address, (int)getpid());
    assert_int_equal(ops_listen_open(address, SOCK_STREAM, &other, &none, &err), OPS_EEXIST);
    assert_string_equal(err.msg, want);
    close(fd);
    assert_int_equal(ops_port_holder(port, &who), OPS_ENOTFOUND);
}

static void bad_addresses_are_named(void **state)
{
    (void)state;
    const char *const bad[] = {"",           "1234",        ":1234",  "127.0.0.1",
                               "127.0.0.1:", "127.0.0.1:x", "::1:80", "127.0.0.1:123456"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int fd = -1;
        uint16_t port = 0;
        ops_err err = {0};
        assert_int_equal(ops_listen_open(bad[i], SOCK_STREAM, &fd, &port, &err), OPS_EINVAL);
        assert_non_null(strstr(err.msg, bad[i]));
        assert_int_equal(fd, -1);
    }
}

static void datagrams_bind_too(void **state)
{
    (void)state;
    int fd = -1;
    uint16_t port = 0;
    assert_int_equal(ops_listen_open("localhost:0", SOCK_DGRAM, &fd, &port, NULL), OPS_OK);
    assert_true(port > 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_taken_port_names_its_holder),
        cmocka_unit_test(bad_addresses_are_named),
        cmocka_unit_test(datagrams_bind_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
