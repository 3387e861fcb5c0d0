/* Alerts from elsewhere in the finder: one finding an alert, over restarts, with a bound, closed when their sender is silent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem/alloc.h"
#include "coordinator/shard/finder.h"
#include "proto/ops/v1/finding.pb-c.h"
#include "tests/support/fake_clock.h"

#define SECOND 1000000000ll
#define START  (1764000000 * SECOND)

struct world {
    ops_kv *kv;
    ops_repo *repo;
    ops_ledger *ledger;
    struct fake_clock clock;
    int answers;
    ops_finder_alerts_answer answer;
    char message[512];
};

static int set_up(void **state)
{
    static struct world w;
    w = (struct world){.clock = FAKE_CLOCK(START)};
    assert_int_equal(ops_kv_open_memory(OPS_REPO_FAMILIES, &w.kv, NULL), OPS_OK);
    assert_int_equal(ops_repo_open(w.kv, 4, &w.repo, NULL), OPS_OK);
    assert_int_equal(ops_ledger_new(&w.ledger, NULL), OPS_OK);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    ops_ledger_free(w->ledger);
    ops_repo_free(w->repo);
    ops_kv_close(w->kv);
    return 0;
}

static void on_done(void *u, const ops_finder_alerts_answer *a)
{
    struct world *w = u;
    w->answers++;
    w->answer = *a;
    (void)snprintf(w->message, sizeof w->message, "%s", a->message);
}

/* One life of the daemon: the alerts are posted, everything that is due is done, and it ends. */
static void live(struct world *w, const ops_finder_alert *alerts, size_t count)
{
    const ops_finder_conf conf = {.repo = w->repo,
                                  .ledger = w->ledger,
                                  .clock = &w->clock.base,
                                  .partitions = 4,
                                  .notices = true,
                                  .alerts_open_max = 3,
                                  .alerts_stale_ns = 3600 * SECOND};
    ops_finder *f = NULL;
    w->answers = 0;
    assert_int_equal(ops_finder_new(&conf, &f, NULL), OPS_OK);
    if (count > 0)
        assert_int_equal(ops_finder_alerts(f, OPS_SLICE("acme"), alerts, count, on_done, w, NULL), OPS_OK);
    assert_int_equal(ops_finder_start(f, NULL), OPS_OK);
    ops_finder_stop(f);
    ops_finder_free(f);
    assert_int_equal(w->answers, count > 0 ? 1 : 0);
}

static ops_finder_alert alert(const char *id, const char *fingerprint, bool firing, uint8_t buf[512])
{
    Ops__V1__Finding f = OPS__V1__FINDING__INIT;
    ops_finder_alert a = {.firing = firing};
    (void)snprintf(a.id, sizeof a.id, "a-%s", id);
    f.id = a.id;
    f.fingerprint = (char *)(uintptr_t)fingerprint;
    f.kind = OPS__V1__FINDING_KIND__FINDING_KIND_ALERT;
    f.state =
        firing ? OPS__V1__FINDING_STATE__FINDING_STATE_OPEN : OPS__V1__FINDING_STATE__FINDING_STATE_CLOSED;
    f.severity = OPS__V1__LEVEL__LEVEL_WARNING;
    f.version = f.candidates = 1;
    f.start_time_unix_nano = f.last_time_unix_nano = START;
    a.body = ops_slice_of(buf, ops__v1__finding__pack(&f, buf));
    return a;
}

static ops_status list_one(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                           ops_err *reterr)
{
    (void)tenant;
    (void)revision;
    (void)reterr;
    Ops__V1__Finding *m = ops__v1__finding__unpack(NULL, f->body.n, (const uint8_t *)f->body.p);
    assert_non_null(m);
    ops_strbuf_printf(u, "%s:%s:%u ", m->id,
                      m->state == OPS__V1__FINDING_STATE__FINDING_STATE_OPEN ? "open" : "closed", m->version);
    ops__v1__finding__free_unpacked(m, NULL);
    return OPS_OK;
}

static void expect(struct world *w, const char *want, uint64_t notices)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 4096);
    ops_strbuf_str(&b, "");
    assert_int_equal(ops_repo_findings_since(w->repo, 0, list_one, &b, NULL), OPS_OK);
    assert_string_equal(b.p, want);
    assert_true(ops_repo_notice_last(w->repo) == notices);
    ops_strbuf_done(&b);
}

static void one_finding_an_alert_over_restarts(void **state)
{
    struct world *w = *state;
    uint8_t buf[2][512];
    ops_finder_alert a = alert("1", "fp", true, buf[0]);
    live(w, &a, 1);
    assert_true(w->answer.st == OPS_OK && w->answer.opened == 1);
    expect(w, "a-1:open:1 ", 1);
    live(w, &a, 1);
    assert_true(w->answer.repeated == 1);
    expect(w, "a-1:open:1 ", 1);
    /* Its sender moved the start, so the id is another; the fingerprint is not. */
    const ops_finder_alert end[] = {alert("2", "fp", false, buf[1])};
    live(w, end, 1);
    assert_true(w->answer.resolved == 1);
    expect(w, "a-1:closed:2 ", 2);
    live(w, &a, 1); /* again, as it was: the same finding opens again */
    assert_true(w->answer.opened == 1);
    expect(w, "a-1:open:3 ", 3);
}

static void one_request_may_hold_an_alert_twice(void **state)
{
    struct world *w = *state;
    uint8_t buf[3][512];
    const ops_finder_alert v[] = {alert("1", "fp", true, buf[0]), alert("2", "fp", true, buf[1]),
                                  alert("3", "fp", false, buf[2])};
    live(w, v, 3);
    assert_true(w->answer.opened == 1 && w->answer.repeated == 1 && w->answer.resolved == 1);
    expect(w, "a-1:closed:2 ", 2);
}

static void new_ones_wait_when_too_many_are_open(void **state)
{
    struct world *w = *state;
    uint8_t buf[5][512];
    const ops_finder_alert v[] = {alert("1", "1", true, buf[0]), alert("2", "2", true, buf[1]),
                                  alert("3", "3", true, buf[2]), alert("4", "4", true, buf[3]),
                                  alert("1", "1", false, buf[4])};
    live(w, v, 5);
    assert_int_equal(w->answer.st, OPS_EAGAIN);
    assert_true(w->answer.opened == 3 && w->answer.full == 1 && w->answer.resolved == 1);
    assert_non_null(strstr(w->message, "tenant acme has 3 open alerts: 1 new ones were not taken"));
    live(w, v + 3, 1);
    assert_true(w->answer.st == OPS_OK && w->answer.opened == 1);
}

static void an_alert_not_heard_of_is_closed(void **state)
{
    struct world *w = *state;
    uint8_t buf[1][512];
    const ops_finder_alert a = alert("1", "fp", true, buf[0]);
    live(w, &a, 1);
    fake_clock_advance(&w->clock, 3600 * SECOND);
    live(w, NULL, 0);
    expect(w, "a-1:open:1 ", 1);
    fake_clock_advance(&w->clock, 2 * SECOND);
    live(w, NULL, 0);
    expect(w, "a-1:closed:2 ", 2);
}

static void what_says_that_it_is_ours_must_be(void **state)
{
    struct world *w = *state;
    uint8_t buf[2][512];
    ops_finder_alert v[] = {alert("1", "1", true, buf[0]), alert("2", "2", true, buf[1])};
    live(w, v, 1);
    v[0].own_id = OPS_SLICE("f-nothing-of-ours");
    v[1].own_id = OPS_SLICE("a-1");
    live(w, v, 2);
    assert_true(w->answer.own == 1 && w->answer.repeated == 1);
    expect(w, "a-1:open:1 ", 1);
}

/* Whichever allocation fails, the sender gets one answer, and sending again makes it one finding. */
static void an_allocation_that_fails_is_told_and_mends(void **state)
{
    struct world *w = *state;
    uint8_t buf[1][512];
    const ops_finder_alert a = alert("1", "fp", true, buf[0]);
    const ops_finder_conf conf = {
        .repo = w->repo, .ledger = w->ledger, .clock = &w->clock.base, .partitions = 4, .notices = true};
    for (long nth = 1; nth < 80; nth++) {
        ops_finder *f = NULL;
        w->answers = 0;
        assert_int_equal(ops_finder_new(&conf, &f, NULL), OPS_OK);
        ops_alloc_fail_at(nth);
        const ops_status st = ops_finder_alerts(f, OPS_SLICE("acme"), &a, 1, on_done, w, NULL);
        if (st == OPS_OK && ops_finder_start(f, NULL) == OPS_OK)
            ops_finder_stop(f);
        ops_alloc_fail_at(0);
        ops_finder_free(f);
        assert_int_equal(w->answers, st == OPS_OK ? 1 : 0);
    }
    live(w, &a, 1);
    assert_int_equal(w->answer.st, OPS_OK);
    expect(w, "a-1:open:1 ", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_finding_an_alert_over_restarts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_request_may_hold_an_alert_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(new_ones_wait_when_too_many_are_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_alert_not_heard_of_is_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_allocation_that_fails_is_told_and_mends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_says_that_it_is_ours_must_be, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
