/* Syslog over real sockets of this host: framings of RFC 6587, datagrams, a full sink, too long frames, bad frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "coordinator/source/source.h"

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    char got[65536];
    unsigned refuse, truncated;
} sunk = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static ops_status take(void *user, const ops_source_batch *b)
{
    (void)user;
    ops_status st = OPS_OK;
    pthread_mutex_lock(&sunk.lock);
    if (sunk.refuse > 0) {
        sunk.refuse--;
        st = OPS_EAGAIN;
    }
    for (size_t i = 0; st == OPS_OK && i < b->line_count; i++) {
        size_t n = strlen(sunk.got);
        snprintf(sunk.got + n, sizeof sunk.got - n, OPS_SLICE_FMT "|", OPS_SLICE_ARG(b->lines[i].text));
        sunk.truncated += b->lines[i].truncated;
    }
    pthread_cond_broadcast(&sunk.more);
    pthread_mutex_unlock(&sunk.lock);
    return st;
}

static void expect(const char *want)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    pthread_mutex_lock(&sunk.lock);
    while (strlen(sunk.got) < strlen(want) && pthread_cond_timedwait(&sunk.more, &sunk.lock, &until) == 0)
        ;
    assert_string_equal(sunk.got, want);
    sunk.got[0] = '\0';
    pthread_mutex_unlock(&sunk.lock);
}

static ops_source *serve(void)
{
    const ops_source_conf conf = {
        .syslog_tcp = "127.0.0.1:0", .syslog_udp = "127.0.0.1:0", .line_bytes_max = 64, .connections_max = 2};
    const ops_source_sink sink = {.lines = take};
    ops_source *s = NULL;
    ops_err err = {0};
    sunk.got[0] = '\0';
    sunk.truncated = 0;
    if (ops_source_new(&conf, &sink, &s, &err) != OPS_OK || ops_source_start(s, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return s;
}

static int dial(int type, uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (int)strlen(text));
}

static void tcp_lines(void **state)
{
    (void)state;
    OPS_AUTO(ops_source_free) ops_source *s = serve();
    int fd = dial(SOCK_STREAM, ops_source_tcp_port(s));
    say(fd, "<13>one\n<13>tw");
    expect("<13>one|");
    say(fd, "o\r\n\n<13>no end");
    expect("<13>two|");
    close(fd);
    expect("<13>no end|");
}

static void tcp_counted(void **state)
{
    (void)state;
    OPS_AUTO(ops_source_free) ops_source *s = serve();
    int fd = dial(SOCK_STREAM, ops_source_tcp_port(s));
    say(fd, "7 <13>one11 <13>a\nb\nc\nd9 <13>th");
    expect("<13>one|<13>a\nb\nc\nd|");
    say(fd, "ree");
    expect("<13>three|");
    char big[512] = "100 <13>";
    memset(big + 8, 'x', 96);
    snprintf(big + 104, sizeof big - 104, "5 <1>yz <bad");
    say(fd, big);
    char want[128];
    snprintf(want, sizeof want, "%.64s|<1>yz|", big + 4);
    expect(want);
    assert_int_equal(sunk.truncated, 1);
    char end;
    assert_true(recv(fd, &end, 1, 0) <= 0); /* a frame without a length ends the connection */
    close(fd);
    ops_source_stats st;
    ops_source_stats_get(s, &st);
    assert_int_equal(st.framing_errors, 1);
    assert_int_equal(st.lines, 5);
}

static void tcp_is_bounded(void **state)
{
    (void)state;
    OPS_AUTO(ops_source_free) ops_source *s = serve();
    int a = dial(SOCK_STREAM, ops_source_tcp_port(s)), b = dial(SOCK_STREAM, ops_source_tcp_port(s));
    say(a, "<1>a\n");
    expect("<1>a|");
    say(b, "<1>b\n");
    expect("<1>b|");
    int c = dial(SOCK_STREAM, ops_source_tcp_port(s));
    char end;
    assert_true(recv(c, &end, 1, 0) <= 0);
    close(c);
    close(b);
    close(a);
}

static void a_full_sink_holds_back(void **state)
{
    (void)state;
    OPS_AUTO(ops_source_free) ops_source *s = serve();
    int fd = dial(SOCK_STREAM, ops_source_tcp_port(s)), u = dial(SOCK_DGRAM, ops_source_udp_port(s));
    pthread_mutex_lock(&sunk.lock);
    sunk.refuse = 3;
    pthread_mutex_unlock(&sunk.lock);
    say(fd, "<1>a\n<1>b\n");
    expect("<1>a|<1>b|");
    pthread_mutex_lock(&sunk.lock);
    sunk.refuse = 3;
    pthread_mutex_unlock(&sunk.lock);
    say(u, "<1>c");
    expect("<1>c|");
    close(fd);
    close(u);
}

static void datagrams(void **state)
{
    (void)state;
    OPS_AUTO(ops_source_free) ops_source *s = serve();
    int u = dial(SOCK_DGRAM, ops_source_udp_port(s));
    say(u, "<13>one\n");
    expect("<13>one|");
    say(u, "<13>two\nlines");
    expect("<13>two\nlines|");
    char big[101], want[70];
    memset(big, 'z', 100);
    big[100] = '\0';
    say(u, big);
    snprintf(want, sizeof want, "%.64s|", big);
    expect(want);
    close(u);
}

static void taken_ports_are_said(void **state)
{
    (void)state;
    OPS_AUTO(ops_source_free) ops_source *s = serve();
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", ops_source_tcp_port(s));
    const ops_source_conf conf = {.syslog_tcp = address};
    const ops_source_sink sink = {.lines = take};
    ops_source *other = NULL;
    ops_err err = {0};
    assert_int_equal(ops_source_new(&conf, &sink, &other, &err), OPS_EEXIST);
    assert_non_null(strstr(err.msg, "in use by syslog_test"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_lines),      cmocka_unit_test(tcp_counted),
        cmocka_unit_test(tcp_is_bounded), cmocka_unit_test(a_full_sink_holds_back),
        cmocka_unit_test(datagrams),      cmocka_unit_test(taken_ports_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
