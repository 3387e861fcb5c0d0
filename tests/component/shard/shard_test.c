/* The way of a record through the shard: intake to log, owners to state and effects, finder to findings; over a store in
 * memory, so that a restart is a second set of owners over the same bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/ops/v1/finding.pb-c.h"

#include "tests/component/shard/world.h"

static bool add_template(void *u, ops_slice tenant, const ops_template_info *t)
{
    (void)tenant;
    *(uint64_t *)u += t->count;
    return true;
}

static uint64_t template_sum(struct world *w)
{
    uint64_t sum = 0;
    for (uint32_t p = 0; p < PARTITIONS; p++)
        ops_owners_templates(w->owners, p, add_template, &sum);
    return sum;
}

static void counts_are_exact_also_over_a_restart(void **state)
{
    struct world *w = *state;
    uint64_t sent = 0;
    for (int round = 0; round < 3; round++) {
        for (int s = 0; s < 10; s++) {
            char service[32];
            (void)snprintf(service, sizeof service, "svc-%d", s);
            send_records(w, service, 1000 + 30 * round, 100, "request", "done in 5 ms", 9);
            sent += 100;
        }
        wait_analysed(w, sent);
        assert_int_equal(template_sum(w), sent);
        stop_readers(w);
        start_readers(w);
        assert_int_equal(template_sum(w), sent);
    }
    assert_int_equal(w->accepted, sent);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        ops_partition_info info;
        ops_err err;
        ok(ops_owners_partition(w->owners, p, &info, &err), &err);
        assert_int_equal(info.position, info.next);
        assert_int_equal(info.epoch, 4);
        assert_string_equal(info.failure, "");
    }
}

static void the_same_request_again_is_stored_once(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 3; i++)
        send_records(w, "pay", 1000, 50, "order", "paid", 9);
    assert_int_equal(w->accepted, 150); /* every client is told yes */
    wait_analysed(w, 50);
    assert_int_equal(template_sum(w), 50);
}

static void an_owner_that_was_replaced_writes_nothing(void **state)
{
    struct world *w = *state;
    send_records(w, "pay", 1000, 10, "order", "paid", 9);
    wait_analysed(w, 10);
    ops_owners *old = w->owners;
    /* Only the owners are doubled: this world has one finder. */
    ops_finder_stop(w->finder);
    ops_finder_free(OPS_STEAL(w->finder));
    start_readers(w);
    send_records(w, "pay", 1001, 10, "order", "paid", 9);
    /* Both read it, one counts. */
    for (int i = 0; i < 10000; i++) {
        bool stopped = false;
        for (uint32_t p = 0; p < PARTITIONS && !stopped; p++) {
            ops_partition_info info;
            assert_int_equal(ops_owners_partition(old, p, &info, NULL), OPS_OK);
            stopped = info.failure[0] != '\0';
        }
        if (stopped)
            break;
        assert_true(i < 9999);
        nap();
    }
    for (int i = 0; i < 10000 && template_sum(w) < 20; i++)
        nap();
    ops_owners_free(old);
    stop_readers(w);
    start_readers(w);
    assert_int_equal(template_sum(w), 20);
}

static void what_can_not_be_kept_is_told(void **state)
{
    struct world *w = *state;
    send_json(w, "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{},{\"timeUnixNano\":\"1\",\"body\":"
                 "{\"stringValue\":\"kept\"}}]}]}]}");
    assert_int_equal(w->last_st, OPS_OK);
    assert_int_equal(w->accepted, 1);
    assert_int_equal(w->rejected, 1);
    assert_true(w->message[0] != '\0');
    send_json(w, "{\"resourceLogs\":");
    assert_int_equal(w->last_st, OPS_EINVAL);
    assert_int_equal(ops_ledger_total(w->ledger, OPS_FATE_REJECTED), 1);
    uint64_t received = ops_ledger_total(w->ledger, OPS_FATE_RECEIVED);
    assert_int_equal(received, ops_ledger_total(w->ledger, OPS_FATE_ACKED) +
                                   ops_ledger_total(w->ledger, OPS_FATE_REFUSED) +
                                   ops_ledger_total(w->ledger, OPS_FATE_REJECTED));
    wait_analysed(w, 1);
}

static bool take_letter(void *u, const ops_deadletter *letter)
{
    ops_strbuf *b = u;
    ops_strbuf_printf(b, "%llu %s|", (unsigned long long)letter->number, letter->door);
    return true;
}

static void dead_letters_are_bounded_and_newest_first(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 103; i++)
        send_json(w, "[");
    ops_strbuf b;
    ops_strbuf_init(&b, 65536);
    assert_int_equal(ops_deadletters_each(w->dead, 0, take_letter, &b), 3);
    assert_int_equal(strncmp(b.p, "103 otlp-http|102 otlp-http|", 28), 0);
    assert_non_null(strstr(b.p, "|4 otlp-http|"));
    assert_null(strstr(b.p, "|3 otlp-http|"));
    ops_strbuf_clear(&b);
    assert_int_equal(ops_deadletters_each(w->dead, 6, take_letter, &b), 3);
    assert_string_equal(b.p, "5 otlp-http|4 otlp-http|");
    ops_strbuf_done(&b);
}

static ops_status find_text(void *u, uint64_t offset, const ops_streamlog_entry *e, ops_err *reterr)
{
    (void)offset;
    (void)reterr;
    assert_true(ops_slice_find(e->payload, OPS_SLICE("hunter2")) < 0);
    *(int *)u += ops_slice_find(e->payload, OPS_SLICE("<redacted:secret>")) >= 0;
    return OPS_OK;
}

static void secrets_do_not_reach_the_log(void **state)
{
    struct world *w = *state;
    send_json(
        w,
        "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"timeUnixNano\":\"1\",\"severityNumber\":9,"
        "\"body\":{\"stringValue\":\"login password=hunter2 done\"},\"attributes\":[{\"key\":\"db.password\","
        "\"value\":{\"stringValue\":\"hunter2\"}}]}]}]}]}");
    int hits = 0;
    for (uint32_t p = 0; p < PARTITIONS; p++)
        assert_int_equal(ops_streamlog_read(w->log, p, 0, 1 << 20, find_text, &hits, NULL), OPS_OK);
    assert_int_equal(hits, 1);
}

static ops_status find_masked(void *u, uint64_t offset, const ops_streamlog_entry *e, ops_err *reterr)
{
    (void)offset;
    (void)reterr;
    assert_int_equal(e->payload.p[0], 'T');
    assert_true(ops_slice_find(e->payload, OPS_SLICE("hunter2")) < 0);
    assert_true(ops_slice_find(e->payload, OPS_SLICE("*******")) >= 0);
    assert_true(ops_slice_find(e->payload, OPS_SLICE("GET /pay")) >= 0);
    *(int *)u += 1;
    return OPS_OK;
}

static void secrets_in_spans_are_masked(void **state)
{
    struct world *w = *state;
    /* resource_spans { resource { service.name = pay } scope_spans { spans { name, start, attributes { db.password } } } } */
    static const char body[] = "\x0a\x52"
                               "\x0a\x17\x0a\x15\x0a\x0cservice.name\x12\x05\x0a\x03pay"
                               "\x12\x37\x12\x35"
                               "\x2a\x10GET /pay?p=hello"
                               "\x39\x01\x00\x00\x00\x00\x00\x00\x00"
                               "\x4a\x18\x0a\x0b"
                               "db.password\x12\x09\x0a\x07"
                               "hunter2";
    ops_err err = {0};
    int before = w->answers, hits = 0;
    ok(ops_intake_request(w->intake, OPS_SLICE("default"), "otlp-http", OPS_INTAKE_TRACES_PROTOBUF,
                          ops_slice_of(body, sizeof body - 1), on_answer, w, &err),
       &err);
    wait_answers(w, before + 1);
    if (w->last_st != OPS_OK)
        fail_msg("%s", w->message);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        assert_int_equal(ops_streamlog_read(w->log, p, 0, 1 << 20, find_masked, &hits, NULL), OPS_OK);
    assert_int_equal(hits, 1);
}

struct found {
    int count;
    char service[64], id[32];
    uint64_t revision;
    size_t feedback;
};

static ops_status take_finding(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                               ops_err *reterr)
{
    struct found *found = u;
    (void)reterr;
    Ops__V1__Finding *m = ops__v1__finding__unpack(NULL, f->body.n, (const uint8_t *)f->body.p);
    assert_non_null(m);
    assert_true(ops_slice_eq(tenant, ops_slice_str(m->tenant)));
    assert_true(m->n_evidence > 0 && m->n_services > 0);
    found->count++;
    found->revision = revision;
    found->feedback = m->n_feedback;
    (void)snprintf(found->service, sizeof found->service, "%s", m->services[0]);
    (void)snprintf(found->id, sizeof found->id, "%s", m->id);
    ops__v1__finding__free_unpacked(m, NULL);
    return OPS_OK;
}

static void a_failure_becomes_a_finding_and_takes_feedback(void **state)
{
    struct world *w = *state;
    struct found found = {0};
    for (int s = 0; s < 60; s++)
        send_records(w, "pay", 1000 + 10 * s, 100, "order", "paid", 9);
    for (int s = 60; s < 72; s++) {
        send_records(w, "pay", 1000 + 10 * s, 100, "order", "failed: connection to database refused", 17);
        for (int i = 0; i < 100 && found.count == 0; i++) {
            assert_int_equal(ops_repo_findings_since(w->repo, 0, take_finding, &found, NULL), OPS_OK);
            nap();
        }
    }
    assert_true(found.count > 0);
    assert_string_equal(found.service, "pay");
    ops_err err = {0};
    const ops_finding_feedback fb = {OPS_SLICE("anna"), OPS_SLICE("true"), 1, 5};
    ok(ops_finder_feedback(w->finder, OPS_SLICE("default"), ops_slice_str(found.id), &fb, &err), &err);
    struct found after = {0};
    assert_int_equal(ops_repo_finding_get(w->repo, OPS_SLICE("default"), ops_slice_str(found.id),
                                          take_finding, &after, NULL),
                     OPS_OK);
    assert_int_equal(after.feedback, 1);
    assert_true(after.revision > found.revision);
    assert_int_equal(
        ops_finder_feedback(w->finder, OPS_SLICE("default"), OPS_SLICE("f-0000000000000000"), &fb, &err),
        OPS_ENOTFOUND);
    /* What was found is there after a restart, and feedback stays when the finding goes on. */
    stop_readers(w);
    start_readers(w);
    for (int s = 72; s < 76; s++)
        send_records(w, "pay", 1000 + 10 * s, 100, "order", "failed: connection to database refused", 17);
    wait_analysed(w, 7600);
    struct found again = {0};
    assert_int_equal(ops_repo_finding_get(w->repo, OPS_SLICE("default"), ops_slice_str(found.id),
                                          take_finding, &again, NULL),
                     OPS_OK);
    assert_int_equal(again.feedback, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts_are_exact_also_over_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_same_request_again_is_stored_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_owner_that_was_replaced_writes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_can_not_be_kept_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dead_letters_are_bounded_and_newest_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(secrets_do_not_reach_the_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(secrets_in_spans_are_masked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failure_becomes_a_finding_and_takes_feedback, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
