/* Kinds of values: the cases are the examples and the limits of the specifications that value.h names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <math.h>

#include "coordinator/analysis/template/value.h"

static const char *const names[OPS_VALUE_KINDS] = {"other", "num", "digits", "hex",  "uuid", "ip",   "host",
                                                   "path",  "dur", "time",   "date", "url",  "email"};

typedef struct row {
    ops_value_kind kind;
    const char *text;
} row;

static const row rows[] = {
    {OPS_VALUE_DIGITS, "0"},
    {OPS_VALUE_DIGITS, "1764000000"},
    {OPS_VALUE_DIGITS, "1e10"},
    {OPS_VALUE_NUM, "-1"},
    {OPS_VALUE_NUM, "+5"},
    {OPS_VALUE_NUM, "3.14"},
    {OPS_VALUE_NUM, ".5"},
    {OPS_VALUE_NUM, "6.02e+23"},
    {OPS_VALUE_NUM, "1,234"},
    {OPS_VALUE_NUM, "12,345,678.9"},
    {OPS_VALUE_NUM, "50%"},
    {OPS_VALUE_NUM, "\"2.5\""},
    {OPS_VALUE_OTHER, "5."},
    {OPS_VALUE_OTHER, "1,23"},
    {OPS_VALUE_OTHER, "1234,567"},
    {OPS_VALUE_OTHER, ",123"},
    {OPS_VALUE_OTHER, "-"},
    {OPS_VALUE_OTHER, "1e"},
    {OPS_VALUE_OTHER, "1.2.3"},
    {OPS_VALUE_OTHER, "12KB"},
    {OPS_VALUE_OTHER, "1.5e999"},
    /* hex */
    {OPS_VALUE_HEX, "0x1F"},
    {OPS_VALUE_HEX, "0xdeadbeef"},
    {OPS_VALUE_HEX, "1a2b3c"},
    {OPS_VALUE_HEX, "e3b0c44298fc1c149afbf4c8996fb924"},
    {OPS_VALUE_HEX, "00:00:5E:00:53:01"},
    {OPS_VALUE_HEX, "00-00-5e-00-53-01"},
    {OPS_VALUE_OTHER, "0x"},
    {OPS_VALUE_OTHER, "facade"},
    {OPS_VALUE_OTHER, "a3f"},
    {OPS_VALUE_OTHER, "0xg1"},
    {OPS_VALUE_OTHER, "00:00-5e-00-53-01"},
    /* RFC 9562, with the nil UUID of section 5.9 and the example of its appendix A.1 */
    {OPS_VALUE_UUID, "00000000-0000-0000-0000-000000000000"},
    {OPS_VALUE_UUID, "C232AB00-9414-11EC-B3C8-9F6BDECED846"},
    {OPS_VALUE_UUID, "{c232ab00-9414-11ec-b3c8-9f6bdeced846}"},
    {OPS_VALUE_UUID, "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"},
    {OPS_VALUE_OTHER, "c232ab00-9414-11ec-b3c8-9f6bdeced84g"},
    /* RFC 4291 section 2.2, RFC 5952 section 6, RFC 6874 */
    {OPS_VALUE_IP, "192.0.2.1"},
    {OPS_VALUE_IP, "192.0.2.1:8080"},
    {OPS_VALUE_IP, "/198.51.100.7:50010"},
    {OPS_VALUE_IP, "203.0.113.0/24"},
    {OPS_VALUE_IP, "255.255.255.255"},
    {OPS_VALUE_IP, "ABCD:EF01:2345:6789:ABCD:EF01:2345:6789"},
    {OPS_VALUE_IP, "2001:db8::8:800:200c:417a"},
    {OPS_VALUE_IP, "ff01::101"},
    {OPS_VALUE_IP, "::1"},
    {OPS_VALUE_IP, "::"},
    {OPS_VALUE_IP, "::ffff:129.144.52.38"},
    {OPS_VALUE_IP, "0:0:0:0:0:0:13.1.68.3"},
    {OPS_VALUE_IP, "[2001:db8::1]:80"},
    {OPS_VALUE_IP, "[::1]"},
    {OPS_VALUE_IP, "fe80::a%en1"},
    {OPS_VALUE_IP, "[fe80::1%eth0]:443"},
    {OPS_VALUE_IP, "2001:db8::/32"},
    {OPS_VALUE_OTHER, "256.0.0.1"},
    {OPS_VALUE_OTHER, "1.2.3.4.5"},
    {OPS_VALUE_OTHER, "01.2.3.4"},
    {OPS_VALUE_OTHER, "1.2.3.4:65536"},
    {OPS_VALUE_OTHER, "1::2::3"},
    {OPS_VALUE_OTHER, "1:2:3:4:5:6:7"},
    {OPS_VALUE_OTHER, "1:2:3:4:5:6:7:8:9"},
    {OPS_VALUE_OTHER, ":1"},
    {OPS_VALUE_OTHER, ":::"},
    {OPS_VALUE_OTHER, "12345::"},
    {OPS_VALUE_OTHER, "[::1]:99999"},
    {OPS_VALUE_OTHER, "std::vector"},
    /* RFC 1123, 2606, 6761 */
    {OPS_VALUE_HOST, "www.example.com"},
    {OPS_VALUE_HOST, "db-1.internal:5432"},
    {OPS_VALUE_HOST, "localhost"},
    {OPS_VALUE_HOST, "localhost:80"},
    {OPS_VALUE_HOST, "3com.com"},
    {OPS_VALUE_HOST, "www.example.co.uk"},
    {OPS_VALUE_HOST, "a.example.com."},
    {OPS_VALUE_HOST, "kafka-0.kafka.default.svc"},
    {OPS_VALUE_OTHER, "java.lang.NullPointerException"},
    {OPS_VALUE_OTHER, "main.rs"},
    {OPS_VALUE_OTHER, "-a.com"},
    {OPS_VALUE_OTHER, "a..com"},
    {OPS_VALUE_OTHER, "Server.java:123"},
    {OPS_VALUE_OTHER, "worker"},
    {OPS_VALUE_OTHER, "a b.com"},
    /* paths */
    {OPS_VALUE_PATH, "/var/log/syslog"},
    {OPS_VALUE_PATH, "/"},
    {OPS_VALUE_PATH, "C:\\Windows\\System32"},
    {OPS_VALUE_PATH, "\\\\server\\share"},
    {OPS_VALUE_PATH, "./run.sh"},
    {OPS_VALUE_PATH, "../a"},
    {OPS_VALUE_PATH, "~/x"},
    {OPS_VALUE_PATH, "src/main.c"},
    {OPS_VALUE_PATH, "a/b/c"},
    {OPS_VALUE_OTHER, "and/or"},
    {OPS_VALUE_OTHER, "HTTP/1.1"},
    {OPS_VALUE_OTHER, "10/20"},
    {OPS_VALUE_OTHER, "1/2/3/4"},
    {OPS_VALUE_OTHER, "text/html"},
    /* Go's time.ParseDuration, ISO 8601 */
    {OPS_VALUE_DURATION, "300ms"},
    {OPS_VALUE_DURATION, "-1.5h"},
    {OPS_VALUE_DURATION, "2h45m"},
    {OPS_VALUE_DURATION, "1h10m10s"},
    {OPS_VALUE_DURATION, "1\xC2\xB5s"},
    {OPS_VALUE_DURATION, "12 ms"},
    {OPS_VALUE_DURATION, "5 seconds"},
    {OPS_VALUE_DURATION, "P3Y6M4DT12H30M5S"},
    {OPS_VALUE_DURATION, "PT36H"},
    {OPS_VALUE_DURATION, "PT0.5S"},
    {OPS_VALUE_OTHER, "P"},
    {OPS_VALUE_OTHER, "PT"},
    {OPS_VALUE_OTHER, "P1S"},
    {OPS_VALUE_OTHER, "P1D2Y"},
    {OPS_VALUE_OTHER, "3x"},
    {OPS_VALUE_OTHER, "5 apples"},
    {OPS_VALUE_OTHER, "Pod"},
    /* RFC 3339 section 5.8, RFC 3164 section 5.4, Common Log Format */
    {OPS_VALUE_TIME, "1985-04-12T23:20:50.52Z"},
    {OPS_VALUE_TIME, "1996-12-19T16:39:57-08:00"},
    {OPS_VALUE_TIME, "1990-12-31T23:59:60Z"},
    {OPS_VALUE_TIME, "2024-05-06 07:08:09,123"},
    {OPS_VALUE_TIME, "10/Oct/2000:13:55:36 -0700"},
    {OPS_VALUE_TIME, "Oct 11 22:14:15"},
    {OPS_VALUE_TIME, "Oct  1 22:14:15"},
    {OPS_VALUE_TIME, "12:34"},
    {OPS_VALUE_TIME, "7:08:09"},
    {OPS_VALUE_TIME, "00:00:00.000"},
    {OPS_VALUE_DATE, "2024-05-06"},
    {OPS_VALUE_DATE, "2024/05/06"},
    {OPS_VALUE_DATE, "31/12/2024"},
    {OPS_VALUE_DATE, "12/31/2024"},
    {OPS_VALUE_DATE, "6-May-2024"},
    {OPS_VALUE_OTHER, "25:00"},
    {OPS_VALUE_OTHER, "12:60"},
    {OPS_VALUE_OTHER, "1:30"},
    {OPS_VALUE_OTHER, "2024-13-01"},
    {OPS_VALUE_OTHER, "2024-05-32"},
    {OPS_VALUE_OTHER, "31-12-2024x"},
    {OPS_VALUE_OTHER, "2024-05-06T"},
    {OPS_VALUE_OTHER, "Oct 11"},
    /* RFC 3986 section 1.1.2, RFC 5321 */
    {OPS_VALUE_URL, "ftp://ftp.is.co.za/rfc/rfc1808.txt"},
    {OPS_VALUE_URL, "ldap://[2001:db8::7]/c=GB?objectClass?one"},
    {OPS_VALUE_URL, "telnet://192.0.2.16:80/"},
    {OPS_VALUE_URL, "file:///etc/hosts"},
    {OPS_VALUE_OTHER, "://x"},
    {OPS_VALUE_OTHER, "http://a b"},
    {OPS_VALUE_EMAIL, "Smith@example.com"},
    {OPS_VALUE_EMAIL, "first.last+tag@mail.example.org"},
    {OPS_VALUE_OTHER, "user@host"},
    {OPS_VALUE_OTHER, "@example.com"},
    {OPS_VALUE_OTHER, ".a@example.com"},
    /* words, other scripts, nothing */
    {OPS_VALUE_OTHER, ""},
    {OPS_VALUE_OTHER, "up"},
    {OPS_VALUE_OTHER, "\xE4\xB8\xAD\xE6\x96\x87"},
    {OPS_VALUE_OTHER, "\xFF\xFE"},
    {OPS_VALUE_OTHER, "started worker"},
    {OPS_VALUE_OTHER, "\"\""},
};

static void kinds_follow_their_specifications(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_value_kind got = ops_value_kind_of(ops_slice_str(rows[i].text), NULL);
        if (got != rows[i].kind) {
            print_error("\"%s\": %s for %s\n", rows[i].text, names[got], names[rows[i].kind]);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void numbers_and_seconds(void **state)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"-1.5", -1.5},
        {"1,234,567.25", 1234567.25},
        {"50%", 50},
        {"1e-3", 0.001},
        {"6.02e23", 6.02e23},
        {"300ms", 0.3},
        {"1h10m10s", 4210},
        {"PT36H", 129600},
        {"P1DT1S", 86401},
        {"-1.5h", -5400},
        {"250 us", 0.00025},
        {"0.1", 0.1},
        {"99999999999999999999", 1e20},
        {"1e300", 1e300},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double v = NAN;
        (void)ops_value_kind_of(ops_slice_str(cases[i].text), &v);
        if (!(fabs(v - cases[i].value) <= fabs(cases[i].value) * 1e-14))
            fail_msg("%s: %.17g", cases[i].text, v);
    }
}

/* Each value cut anywhere and each with one byte changed: a kind comes back and no byte past the end is read (asan). */
static void any_bytes_have_a_kind(void **state)
{
    (void)state;
    char buf[64];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = strlen(rows[i].text);
        for (size_t cut = 0; cut <= n; cut++)
            for (int c = 0; c < 256; c++) {
                char *at = buf + sizeof buf - cut; /* flush with the end */
                memcpy(at, rows[i].text, cut);
                if (cut > 0)
                    at[cut - 1] = (char)c;
                assert_true(ops_value_kind_of(ops_slice_of(at, cut), NULL) < OPS_VALUE_KINDS);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_follow_their_specifications),
        cmocka_unit_test(numbers_and_seconds),
        cmocka_unit_test(any_bytes_have_a_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
