/* The Journal Export Format: entries as its page shows them, binary fields, and what is broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/ingest/journal.h"

#define RECV     INT64_C(1764000060000000000)
#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

struct seen {
    unsigned n, rejects;
    char message[256], service[64], attrs[1024], detail[256];
    int64_t time_ns;
    uint8_t severity;
    uint32_t flags;
};

static ops_status keep(void *u, const ops_record *r, ops_err *reterr)
{
    struct seen *s = u;
    size_t at = 0;
    (void)reterr;
    s->n++;
    snprintf(s->message, sizeof s->message, OPS_SLICE_FMT, OPS_SLICE_ARG(r->message));
    snprintf(s->service, sizeof s->service, OPS_SLICE_FMT, OPS_SLICE_ARG(r->service));
    s->attrs[0] = '\0';
    for (uint32_t i = 0; i < r->attr_count && at < sizeof s->attrs; i++)
        at += (size_t)snprintf(s->attrs + at, sizeof s->attrs - at, OPS_SLICE_FMT "=" OPS_SLICE_FMT ";",
                               OPS_SLICE_ARG(r->attrs[i].key), OPS_SLICE_ARG(r->attrs[i].val));
    s->time_ns = r->time_ns;
    s->severity = r->severity;
    s->flags = r->flags;
    return OPS_OK;
}

static void refused(void *u, ops_ingest_reason reason, const char *detail)
{
    struct seen *s = u;
    (void)reason;
    s->rejects++;
    snprintf(s->detail, sizeof s->detail, "%s", detail);
}

static ops_status decode(const uint8_t *p, size_t n, uint64_t records_max, struct seen *s,
                         ops_ingest_counters *c, ops_err *err)
{
    ops_ingest_limits limits;
    ops_ingest_limits_default(&limits);
    limits.records_max = records_max;
    *s = (struct seen){0};
    *c = (ops_ingest_counters){0};
    return ops_journal_decode(p, n, &limits, RECV, keep, refused, s, c, err);
}

static void an_entry_becomes_a_record(void **state)
{
    static const char text[] = "__CURSOR=s=739ad463;i=4ece7\n"
                               "__REALTIME_TIMESTAMP=1764000000000001\n"
                               "__MONOTONIC_TIMESTAMP=1415\n"
                               "_BOOT_ID=6c7c6013\n"
                               "PRIORITY=3\n"
                               "_HOSTNAME=node-17\n"
                               "_PID=812\n"
                               "_SYSTEMD_UNIT=shop.service\n"
                               "_COMM=python3\n"
                               "SYSLOG_FACILITY=3\n"
                               "MESSAGE=payment failed: a=b\n"
                               "_SOURCE_REALTIME_TIMESTAMP=1764000000000000\n"
                               "\n";
    struct seen s;
    ops_ingest_counters c;
    (void)state;
    assert_int_equal(decode(BYTES(text), 10, &s, &c, NULL), OPS_OK);
    assert_true(s.n == 1 && c.received == 1 && c.accepted == 1 && c.rejected == 0);
    assert_string_equal(s.message, "payment failed: a=b");
    assert_string_equal(s.service, "shop");
    assert_true(s.time_ns == INT64_C(1764000000000000000) && s.severity == 17 && s.flags == 0);
    assert_string_equal(
        s.attrs, "__cursor=s=739ad463;i=4ece7;host.name=node-17;process.pid=812;systemd.unit=shop.service;"
                 "process.command=python3;syslog_facility=3;");
}

static void the_service_is_the_best_name_there_is(void **state)
{
    static const struct {
        const char *text, *service;
    } rows[] = {
        {"_COMM=bash\n_SYSTEMD_UNIT=a.service\nSYSLOG_IDENTIFIER=sshd\nMESSAGE=x\n\n", "sshd"},
        {"_COMM=bash\n_SYSTEMD_UNIT=session-2.scope\nMESSAGE=x\n\n", "session-2.scope"},
        {"_COMM=bash\nMESSAGE=x\n\n", "bash"},
        {"MESSAGE=x\n\n", "unknown_service"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct seen s;
        ops_ingest_counters c;
        assert_int_equal(decode((const uint8_t *)rows[i].text, strlen(rows[i].text), 10, &s, &c, NULL),
                         OPS_OK);
        assert_string_equal(s.service, rows[i].service);
        assert_int_equal(s.flags, OPS_RECORD_NO_TIME);
        assert_int_equal(s.severity, 0);
    }
}

static void binary_fields_hold_any_bytes(void **state)
{
    static const char lines[] = "MESSAGE\n\x0b\0\0\0\0\0\0\0one\n\ntwo\n=3\n_COMM=a\n\n";
    static const char empty[] = "MESSAGE\n\0\0\0\0\0\0\0\0\nDATA\n\x01\0\0\0\0\0\0\0\n\n\n";
    struct seen s;
    ops_ingest_counters c;
    (void)state;
    assert_int_equal(decode(BYTES(lines), 10, &s, &c, NULL), OPS_OK);
    assert_int_equal(c.accepted, 1);
    assert_string_equal(s.message, "one\n\ntwo\n=3");
    assert_int_equal(decode(BYTES(empty), 10, &s, &c, NULL), OPS_OK);
    assert_int_equal(c.accepted, 1); /* no words, but an attribute */
    assert_string_equal(s.attrs, "data=\n;");
}

static void several_entries_and_a_last_one_without_its_empty_line(void **state)
{
    struct seen s;
    ops_ingest_counters c;
    ops_err err = {0};
    (void)state;
    assert_int_equal(decode(BYTES("\n\nMESSAGE=a\n\n\n\nMESSAGE=b\n"), 10, &s, &c, NULL), OPS_OK);
    assert_true(c.accepted == 2 && strcmp(s.message, "b") == 0);
    assert_int_equal(decode(BYTES(""), 10, &s, &c, NULL), OPS_OK);
    assert_int_equal(decode(BYTES("MESSAGE=a\n\nMESSAGE=b\n\n"), 1, &s, &c, &err), OPS_ETOOBIG);
    assert_int_equal(c.received, 0);
}

static void a_bad_entry_is_rejected_alone(void **state)
{
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"PRIORITY=3\n\nMESSAGE=good\n\n", "entry at byte 0: no MESSAGE"},
        {"MESSAGE=good\n\nMESSAGE=x\nPRIORITY=8\n\n", "entry at byte 14: PRIORITY is not 0 to 7"},
        {"MESSAGE=good\n\nMESSAGE=x\nPRIORITY=err\n\n", "PRIORITY"},
        {"MESSAGE=good\n\nMESSAGE=x\n__REALTIME_TIMESTAMP=soon\n\n", "no number of microseconds"},
        {"MESSAGE=good\n\nMESSAGE=x\n__REALTIME_TIMESTAMP=18446744073709551615\n\n",
         "no number of microseconds"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct seen s;
        ops_ingest_counters c;
        assert_int_equal(decode((const uint8_t *)rows[i].text, strlen(rows[i].text), 10, &s, &c, NULL),
                         OPS_OK);
        assert_true(c.accepted == 1 && c.rejected == 1 && s.rejects == 1 && strcmp(s.message, "good") == 0);
        if (strstr(s.detail, rows[i].words) == NULL)
            fail_msg("'%s' has no '%s'", s.detail, rows[i].words);
    }
}

static void what_is_broken_fails_with_its_byte(void **state)
{
    static const struct {
        const char *text;
        size_t n;
        const char *words;
    } rows[] = {
        {"MESSAGE=a", 9, "a field without its newline at byte 0"},
        {"MESSAGE=a\n\nmessage=b\n", 21, "no field name at byte 11"},
        {"=a\n", 3, "no field name at byte 0"},
        {"9A=a\n", 5, "no field name at byte 0"},
        {"MESSAGE\n\x05\0\0", 11, "a binary field is cut short at byte 0"},
        {"MESSAGE\n\x05\0\0\0\0\0\0\0abc\n", 20, "a binary field does not end where it says at byte 0"},
        {"MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff"
         "abc\n",
         20, "a binary field does not end where it says"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct seen s;
        ops_ingest_counters c;
        ops_err err = {0};
        assert_int_equal(decode((const uint8_t *)rows[i].text, rows[i].n, 10, &s, &c, &err), OPS_EINVAL);
        if (strstr(err.msg, rows[i].words) == NULL)
            fail_msg("'%s' has no '%s'", err.msg, rows[i].words);
        assert_int_equal(c.received, 0);
    }
}

static void survives_every_failed_allocation(void **state)
{
    static const char text[] = "MESSAGE=a\nFIELD=\xff\n\n";
    const long live = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    struct seen s;
    ops_ingest_counters c;
    (void)state;
    for (long nth = 1; nth < 40; nth++) {
        ops_alloc_fail_at(nth);
        st = decode(BYTES(text), 10, &s, &c, NULL);
        ops_alloc_fail_at(0);
        /* without memory for the name of its attributes a record is rejected, as one with too many would be */
        assert_true(st == OPS_ENOMEM || (st == OPS_OK && c.received == 1));
        assert_int_equal(ops_alloc_live(), live);
    }
    assert_true(st == OPS_OK && c.accepted == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_becomes_a_record),
        cmocka_unit_test(the_service_is_the_best_name_there_is),
        cmocka_unit_test(binary_fields_hold_any_bytes),
        cmocka_unit_test(several_entries_and_a_last_one_without_its_empty_line),
        cmocka_unit_test(a_bad_entry_is_rejected_alone),
        cmocka_unit_test(what_is_broken_fails_with_its_byte),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
