/* What rules fire in the finder: findings, notices and the states of alerts in one write; what is told no more ends. */
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
}

static ops_finder_conf conf_of(struct world *w)
{
    return (ops_finder_conf){.repo = w->repo,
                             .ledger = w->ledger,
                             .clock = &w->clock.base,
                             .partitions = 4,
                             .notices = true,
                             .alerts_open_max = 3,
                             .alerts_stale_ns = 60 * SECOND};
}

/* One life of the daemon in which a group's word is taken. */
static void live(struct world *w, const char *group, const ops_finder_alert *firing, size_t count,
                 const char *rule_state)
{
    const ops_finder_conf conf = conf_of(w);
    ops_finder *f = NULL;
    w->answers = 0;
    assert_int_equal(ops_finder_new(&conf, &f, NULL), OPS_OK);
    if (group != NULL)
        assert_int_equal(ops_finder_rules(f, OPS_SLICE("acme"), ops_slice_str(group), firing, count,
                                          ops_slice_str(rule_state), on_done, w, NULL),
                         OPS_OK);
    assert_int_equal(ops_finder_start(f, NULL), OPS_OK);
    ops_finder_stop(f);
    ops_finder_free(f);
    assert_int_equal(w->answers, group != NULL ? 1 : 0);
}

static ops_finder_alert firing(const char *id, const char *fingerprint, uint8_t buf[512])
{
    Ops__V1__Finding f = OPS__V1__FINDING__INIT;
    ops_finder_alert a = {.firing = true};
    (void)snprintf(a.id, sizeof a.id, "r-%s", id);
    f.id = a.id;
    f.fingerprint = (char *)(uintptr_t)fingerprint;
    f.kind = OPS__V1__FINDING_KIND__FINDING_KIND_RULE;
    f.state = OPS__V1__FINDING_STATE__FINDING_STATE_OPEN;
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

static void list_state(void *u, ops_slice group, ops_slice state)
{
    ops_strbuf_printf(u, OPS_SLICE_FMT "=" OPS_SLICE_FMT " ", OPS_SLICE_ARG(group), OPS_SLICE_ARG(state));
}

static void expect(struct world *w, const char *findings, const char *states, uint64_t notices)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 4096);
    ops_strbuf_str(&b, "");
    assert_int_equal(ops_repo_findings_since(w->repo, 0, list_one, &b, NULL), OPS_OK);
    assert_string_equal(b.p, findings);
    ops_strbuf_clear(&b);
    ops_strbuf_str(&b, "");
    assert_int_equal(ops_finder_rule_states(w->repo, OPS_SLICE("acme"), list_state, &b, NULL), OPS_OK);
    assert_string_equal(b.n > 0 ? b.p : "", states);
    assert_true(ops_repo_notice_last(w->repo) == notices);
    ops_strbuf_done(&b);
}

static void a_group_is_told_whole(void **state)
{
    struct world *w = *state;
    uint8_t buf[3][512];
    const ops_finder_alert v[] = {firing("1", "g1-a", buf[0]), firing("2", "g1-b", buf[1]),
                                  firing("3", "g2-a", buf[2])};
    live(w, "g1", NULL, 0, "pending"); /* nothing fires yet */
    expect(w, "", "g1=pending ", 0);
    live(w, "g1", v, 2, "both");
    assert_true(w->answer.st == OPS_OK && w->answer.opened == 2);
    live(w, "g2", v + 2, 1, "one");
    expect(w, "r-1:open:1 r-2:open:1 r-3:open:1 ", "g1=both g2=one ", 3);
    live(w, "g1", v, 2, "both"); /* the same again */
    assert_true(w->answer.repeated == 2);
    live(w, "g1", v + 1, 1, "one left"); /* over a restart: the other one ended */
    assert_true(w->answer.resolved == 1);
    expect(w, "r-2:open:1 r-3:open:1 r-1:closed:2 ", "g1=one left g2=one ", 4);
    live(w, "g1", NULL, 0, ""); /* the group is gone: what others have open stays */
    expect(w, "r-3:open:1 r-1:closed:2 r-2:closed:2 ", "g2=one ", 5);
}

static void they_do_not_end_by_age(void **state)
{
    struct world *w = *state;
    uint8_t buf[1][512];
    const ops_finder_alert a = firing("1", "g1-a", buf[0]);
    live(w, "g1", &a, 1, "s");
    fake_clock_advance(&w->clock, 3600 * SECOND);
    live(w, NULL, NULL, 0, "");
    expect(w, "r-1:open:1 ", "g1=s ", 1);
}

static void they_have_a_bound(void **state)
{
    struct world *w = *state;
    uint8_t buf[4][512];
    const ops_finder_alert v[] = {firing("1", "g-a", buf[0]), firing("2", "g-b", buf[1]),
                                  firing("3", "g-c", buf[2]), firing("4", "g-d", buf[3])};
    live(w, "g", v, 4, "s");
    assert_true(w->answer.st == OPS_EAGAIN && w->answer.full == 1 && w->answer.opened == 3);
    live(w, "g", v + 1, 3, "s"); /* one ended, but it goes with this word: the next one has its room */
    live(w, "g", v + 1, 3, "s");
    assert_true(w->answer.st == OPS_OK && w->answer.opened == 1);
    expect(w, "r-2:open:1 r-3:open:1 r-1:closed:2 r-4:open:1 ", "g=s ", 5);
}

/* Whichever allocation fails: findings and states are both as before or both as told. */
static void an_allocation_that_fails_leaves_both_or_neither(void **state)
{
    struct world *w = *state;
    uint8_t buf[1][512];
    const ops_finder_alert a = firing("1", "g-a", buf[0]);
    const ops_finder_conf conf = conf_of(w);
    for (long nth = 1; nth < 90; nth++) {
        ops_finder *f = NULL;
        w->answers = 0;
        assert_int_equal(ops_finder_new(&conf, &f, NULL), OPS_OK);
        ops_alloc_fail_at(nth);
        const ops_status st =
            ops_finder_rules(f, OPS_SLICE("acme"), OPS_SLICE("g"), &a, 1, OPS_SLICE("s"), on_done, w, NULL);
        if (st == OPS_OK && ops_finder_start(f, NULL) == OPS_OK)
            ops_finder_stop(f);
        ops_alloc_fail_at(0);
        ops_finder_free(f);
        assert_int_equal(w->answers, st == OPS_OK ? 1 : 0);
        if (w->answers == 1 && w->answer.st == OPS_OK)
            expect(w, "r-1:open:1 ", "g=s ", 1);
    }
    live(w, "g", &a, 1, "s");
    expect(w, "r-1:open:1 ", "g=s ", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_group_is_told_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(they_do_not_end_by_age, set_up, tear_down),
        cmocka_unit_test_setup_teardown(they_have_a_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_allocation_that_fails_leaves_both_or_neither, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
