/* The owner of incidents over an in-memory store: once each, over lives and failed allocations; bounds and their answers; acts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/incident/correlator.h"
#include "proto/ops/v1/incident.pb-c.h"
#include "storage/kv/kv_sim.h"
#include "tests/support/fake_clock.h"

#define SECOND 1000000000ll
#define NOON   (1764000000 * SECOND)

static struct world {
    ops_kv *kv;
    ops_repo *repo;
    struct fake_clock clock;
    ops_correlator_conf conf;
    ops_correlator_stats stats; /* of the last life */
} w;

static int64_t event_ns(void *u)
{
    (void)u;
    return w.clock.wall_ns;
}

static int set_up(void **state)
{
    (void)state;
    w = (struct world){.clock = FAKE_CLOCK(NOON)};
    assert_int_equal(ops_kv_open_memory(OPS_REPO_FAMILIES, &w.kv, NULL), OPS_OK);
    assert_int_equal(ops_repo_open(w.kv, 4, &w.repo, NULL), OPS_OK);
    w.conf =
        (ops_correlator_conf){.repo = w.repo, .clock = &w.clock.base, .notices = true, .event_ns = event_ns};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ops_repo_free(w.repo);
    ops_kv_close(w.kv);
    return 0;
}

/* One life of the daemon: all that is due is done, and it ends. */
static ops_status live(void)
{
    ops_correlator *c = NULL;
    ops_status st = ops_correlator_new(&w.conf, &c, NULL);
    if (st == OPS_OK)
        st = ops_correlator_start(c, NULL);
    if (st == OPS_OK) {
        ops_correlator_stop(c);
        ops_correlator_stats_get(c, &w.stats);
    }
    ops_correlator_free(c);
    return st;
}

typedef struct what {
    const char *tenant, *id, *service, *text;
    int severity, kind;
    int64_t after_s;
    bool closed;
} what;

/* The finder's commit: a finding as it now stands. */
static void happens(what x)
{
    Ops__V1__Finding f = OPS__V1__FINDING__INIT;
    Ops__V1__Evidence e = OPS__V1__EVIDENCE__INIT, *list[] = {&e};
    char *services[] = {(char *)(uintptr_t)x.service};
    uint8_t body[2048];
    f.id = (char *)(uintptr_t)x.id;
    f.kind = x.kind != 0 ? (Ops__V1__FindingKind)x.kind : OPS__V1__FINDING_KIND__FINDING_KIND_RATE_UP;
    f.severity = x.severity != 0 ? (Ops__V1__Level)x.severity : OPS__V1__LEVEL__LEVEL_ERROR;
    f.state =
        x.closed ? OPS__V1__FINDING_STATE__FINDING_STATE_CLOSED : OPS__V1__FINDING_STATE__FINDING_STATE_OPEN;
    f.services = services;
    f.n_services = 1;
    f.summary = (char *)(uintptr_t)(x.text != NULL ? x.text : x.id);
    f.start_time_unix_nano = NOON + x.after_s * SECOND;
    f.last_time_unix_nano = f.start_time_unix_nano + (x.closed ? SECOND : 0);
    e.service = services[0];
    e.text = f.summary;
    e.template_id = (char *)(uintptr_t) "00000000000000aa";
    f.evidence = list;
    f.n_evidence = 1;
    const ops_repo_finding row = {ops_slice_str(x.id), ops_slice_of(body, ops__v1__finding__pack(&f, body))};
    const ops_tenant_commit c = {
        .tenant = ops_slice_str(x.tenant != NULL ? x.tenant : "acme"), .findings = &row, .finding_count = 1};
    assert_int_equal(ops_repo_commit_tenant(w.repo, &c, NULL, NULL), OPS_OK);
}

static ops_status add_incident(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                               ops_err *reterr)
{
    static const char *const states[] = {"?", "open", "acked", "resolved", "merged"};
    (void)revision;
    (void)reterr;
    Ops__V1__Incident *m = ops__v1__incident__unpack(NULL, f->body.n, (const uint8_t *)f->body.p);
    assert_non_null(m);
    ops_strbuf_printf(u, OPS_SLICE_FMT ":%s:", OPS_SLICE_ARG(tenant), states[m->state]);
    for (size_t i = 0; i < m->n_findings; i++)
        ops_strbuf_printf(u, "%s%s", i > 0 ? "+" : "", m->findings[i]->finding_id);
    ops_strbuf_char(u, ' ');
    ops__v1__incident__free_unpacked(m, NULL);
    return OPS_OK;
}

/* "TENANT:STATE:FINDING+FINDING ..." in the order in which they changed last. */
static void expect(const char *want)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 20);
    ops_strbuf_str(&b, "");
    assert_int_equal(ops_repo_incidents_since(w.repo, 0, add_incident, &b, NULL), OPS_OK);
    assert_string_equal(b.p, want);
    ops_strbuf_done(&b);
}

static ops_status keep_newest(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                              ops_err *reterr)
{
    Ops__V1__Incident **m = u;
    (void)tenant;
    (void)revision;
    (void)reterr;
    if (*m != NULL)
        ops__v1__incident__free_unpacked(*m, NULL);
    *m = ops__v1__incident__unpack(NULL, f->body.n, (const uint8_t *)f->body.p);
    return OPS_OK;
}

/* The caller's to free. */
static Ops__V1__Incident *newest(void)
{
    Ops__V1__Incident *m = NULL;
    assert_int_equal(ops_repo_incidents_since(w.repo, 0, keep_newest, &m, NULL), OPS_OK);
    assert_non_null(m);
    return m;
}

static void findings_are_grouped_once_over_lives(void **state)
{
    (void)state;
    happens((what){.id = "f-1", .service = "shop", .text = "lost redis"});
    happens((what){.id = "f-2", .service = "redis", .after_s = 9});
    assert_int_equal(live(), OPS_OK);
    expect("acme:open:f-1+f-2 ");
    assert_int_equal(w.stats.position, 2);
    const uint64_t revision = ops_repo_incident_revision(w.repo);
    for (int i = 0; i < 3; i++)
        assert_int_equal(live(), OPS_OK);
    assert_int_equal(ops_repo_incident_revision(w.repo), revision); /* nothing new, nothing written */
    assert_int_equal(ops_repo_notice_last(w.repo), 1);
    happens((what){.id = "f-3", .service = "redis", .after_s = 20});
    assert_int_equal(live(), OPS_OK);
    expect("acme:open:f-1+f-2+f-3 ");
    Ops__V1__Incident *m = newest();
    assert_string_equal(m->causes[0]->component, "redis");
    assert_int_equal(m->version, 2);
    assert_int_equal(m->start_time_unix_nano, NOON);
    ops__v1__incident__free_unpacked(m, NULL);
}

static void what_closed_before_the_first_start_is_history(void **state)
{
    (void)state;
    happens((what){.id = "f-1", .service = "shop", .closed = true});
    happens((what){.id = "f-2", .service = "redis"});
    assert_int_equal(live(), OPS_OK);
    expect("acme:open:f-2 ");
    /* From then on what came and went while nobody looked counts. */
    w.clock.wall_ns = NOON + 86400 * SECOND;
    happens((what){.id = "f-3", .service = "tape", .after_s = 86400, .closed = true});
    assert_int_equal(live(), OPS_OK);
    expect("acme:open:f-2 acme:open:f-3 ");
}

static void it_resolves_and_comes_back_with_its_findings(void **state)
{
    (void)state;
    happens((what){.id = "f-1", .service = "shop"});
    assert_int_equal(live(), OPS_OK);
    happens((what){.id = "f-1", .service = "shop", .closed = true});
    w.clock.wall_ns += 200 * SECOND;
    assert_int_equal(live(), OPS_OK);
    expect("acme:open:f-1 "); /* not yet */
    w.clock.wall_ns += 200 * SECOND;
    assert_int_equal(live(), OPS_OK);
    expect("acme:resolved:f-1 ");
    assert_int_equal(ops_repo_notice_last(w.repo), 2);
    happens((what){.id = "f-2", .service = "shop", .after_s = 500});
    assert_int_equal(live(), OPS_OK);
    expect("acme:open:f-1+f-2 ");
    Ops__V1__Incident *m = newest();
    assert_int_equal(m->reopened, 1);
    ops__v1__incident__free_unpacked(m, NULL);
    /* Long after it is another one. */
    happens((what){.id = "f-2", .service = "shop", .after_s = 500, .closed = true});
    w.clock.wall_ns = NOON + 90000 * SECOND;
    assert_int_equal(live(), OPS_OK);
    happens((what){.id = "f-3", .service = "shop", .after_s = 90000});
    assert_int_equal(live(), OPS_OK);
    expect("acme:resolved:f-1+f-2 acme:open:f-3 ");
}

static void too_little_opens_nothing_but_may_belong(void **state)
{
    (void)state;
    happens((what){.id = "f-1",
                   .service = "shop",
                   .severity = OPS__V1__LEVEL__LEVEL_INFO,
                   .kind = OPS__V1__FINDING_KIND__FINDING_KIND_CHANGE});
    happens(
        (what){.id = "f-2", .service = "tape", .severity = OPS__V1__LEVEL__LEVEL_INFO, .after_s = -86400});
    assert_int_equal(live(), OPS_OK);
    expect("");
    happens((what){.id = "f-3", .service = "shop", .after_s = 30});
    assert_int_equal(live(), OPS_OK);
    expect("acme:open:f-3+f-1 "); /* what came a day before is not part of it */
    Ops__V1__Incident *m = newest();
    assert_int_equal(m->start_time_unix_nano,
                     NOON + 30 * SECOND); /* the change is a cause, not the beginning */
    ops__v1__incident__free_unpacked(m, NULL);
}

static void the_longest_untouched_makes_room(void **state)
{
    (void)state;
    w.conf.open_max = 2;
    for (int i = 0; i < 3; i++) {
        char id[16], service[16];
        (void)snprintf(id, sizeof id, "f-%d", i);
        (void)snprintf(service, sizeof service, "app%d", i);
        happens((what){.id = id,
                       .service = service,
                       .after_s = i * 86400,
                       .text = i == 0   ? "alpha"
                               : i == 1 ? "beta"
                                        : "gamma"});
        w.clock.wall_ns = NOON + i * 86400 * SECOND;
        assert_int_equal(live(), OPS_OK);
    }
    expect("acme:open:f-1 acme:resolved:f-0 acme:open:f-2 ");
}

static void members_and_timeline_are_bounded_and_counted(void **state)
{
    (void)state;
    for (int i = 0; i < OPS_INCIDENT_FINDINGS_MAX + 10; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "f-%d", i);
        happens((what){.id = id, .service = "shop"});
    }
    assert_int_equal(live(), OPS_OK);
    for (int i = 0; i < OPS_INCIDENT_FINDINGS_MAX + 10; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "f-%d", i);
        happens((what){.id = id, .service = "shop", .closed = true});
        if (i % 50 == 0)
            assert_int_equal(live(), OPS_OK);
    }
    assert_int_equal(live(), OPS_OK);
    Ops__V1__Incident *m = newest();
    assert_int_equal(m->n_findings, OPS_INCIDENT_FINDINGS_MAX);
    assert_true(m->findings_left_out >= 10);
    assert_int_equal(m->n_timeline, OPS_INCIDENT_TIMELINE_MAX);
    assert_true(m->timeline_left_out > 0);
    assert_int_equal(m->timeline[0]->kind,
                     OPS__V1__INCIDENT_ENTRY_KIND__INCIDENT_ENTRY_KIND_OPENED); /* the head stays */
    ops__v1__incident__free_unpacked(m, NULL);
}

static void tenants_are_apart_and_bounded(void **state)
{
    (void)state;
    w.conf.tenants_max = 2;
    happens((what){.tenant = "acme", .id = "f-1", .service = "shop"});
    happens((what){.tenant = "beta", .id = "f-1", .service = "shop"});
    happens((what){.tenant = "gamma", .id = "f-1", .service = "shop"});
    happens((what){.tenant = "acme", .id = "f-2", .service = "shop"});
    assert_int_equal(live(), OPS_OK);
    expect("acme:open:f-1+f-2 beta:open:f-1 ");
    assert_int_equal(w.stats.refused, 1);
    assert_int_equal(w.stats.position, 4); /* the others are not held up */
}

static ops_status count_one(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                            ops_err *reterr)
{
    (void)tenant;
    (void)revision;
    (void)f;
    (void)reterr;
    ++*(size_t *)u;
    return OPS_OK;
}

/* The in-memory store may keep half a batch when the heap is out (it says so); that is no owner's fault. */
static bool store_broke(void)
{
    size_t n = 0;
    return ops_repo_incident_revision(w.repo) == 0 &&
           (ops_repo_incidents_since(w.repo, 0, count_one, &n, NULL) != OPS_OK || n > 0);
}

/* Whichever allocation fails: what a life could not write the next one does, and once. */
static void a_failed_allocation_loses_and_doubles_nothing(void **state)
{
    size_t tried = 0;
    (void)state;
    for (long nth = 1; nth < 400; nth += nth < 60 ? 1 : 7) {
        (void)tear_down(NULL);
        (void)set_up(NULL);
        happens((what){.id = "f-1", .service = "shop", .text = "lost redis"});
        happens((what){.id = "f-2", .service = "redis", .after_s = 9});
        ops_alloc_fail_at(nth);
        (void)!live();
        ops_alloc_fail_at(0);
        if (store_broke())
            continue;
        tried++;
        assert_int_equal(live(), OPS_OK);
        expect("acme:open:f-1+f-2 ");
        assert_int_equal(ops_repo_notice_last(w.repo), 1);
    }
    assert_true(tried > 80);
}

/* Whichever write of the store fails, whole or lost in a crash: the same. */
static void a_failed_write_loses_and_doubles_nothing(void **state)
{
    (void)state;
    for (int fault = OPS_KV_SIM_ERROR; fault <= OPS_KV_SIM_TORN; fault++)
        for (unsigned after = 0; after < 3; after++) {
            const ops_kv_sim_conf sim = {.seed = 7 + after};
            (void)tear_down(NULL);
            (void)set_up(NULL);
            ops_repo_free(w.repo);
            ops_kv_close(w.kv);
            assert_int_equal(ops_kv_open_sim(OPS_REPO_FAMILIES, &sim, &w.kv, NULL), OPS_OK);
            assert_int_equal(ops_repo_open(w.kv, 4, &w.repo, NULL), OPS_OK);
            w.conf.repo = w.repo;
            happens((what){.id = "f-1", .service = "shop", .text = "lost redis"});
            assert_int_equal(live(), OPS_OK);
            happens((what){.id = "f-2", .service = "redis", .after_s = 9});
            ops_kv_sim_fail_write(w.kv, after, (enum ops_kv_sim_fault)fault, OPS_EIO);
            (void)!live();
            ops_repo_free(w.repo);
            ops_kv_sim_crash(w.kv, OPS_KV_SIM_POWER);
            assert_int_equal(ops_kv_sim_restart(w.kv, NULL), OPS_OK);
            assert_int_equal(ops_repo_open(w.kv, 4, &w.repo, NULL), OPS_OK);
            w.conf.repo = w.repo;
            assert_int_equal(live(), OPS_OK);
            expect("acme:open:f-1+f-2 ");
            assert_int_equal(ops_repo_notice_last(w.repo), 1);
        }
}

/* A running owner, for acts. */
static ops_correlator *begin(void)
{
    ops_correlator *c = NULL;
    assert_int_equal(ops_correlator_new(&w.conf, &c, NULL), OPS_OK);
    assert_int_equal(ops_correlator_start(c, NULL), OPS_OK);
    return c;
}

static ops_status act(ops_correlator *c, ops_incident_act x, ops_err *reterr)
{
    ops_strbuf id;
    ops_strbuf_init(&id, 256);
    x.tenant = x.tenant.n > 0 ? x.tenant : OPS_SLICE("acme");
    x.who = OPS_SLICE("ann");
    ops_status st = ops_correlator_act(c, &x, &id, reterr);
    ops_strbuf_done(&id);
    return st;
}

static void acts_are_kept_with_who_did_them(void **state)
{
    (void)state;
    ops_err err;
    happens((what){.id = "f-1", .service = "shop"});
    happens((what){.id = "f-2", .service = "tape"});
    assert_int_equal(live(), OPS_OK);
    Ops__V1__Incident *m = newest();
    char name[32];
    (void)snprintf(name, sizeof name, "%s", m->id);
    const ops_slice id = ops_slice_str(name), half[] = {OPS_SLICE("f-2")};
    ops_correlator *c = begin();
    assert_int_equal(act(c, (ops_incident_act){.kind = OPS_INCIDENT_REOPEN, .id = id}, &err), OPS_ECONFLICT);
    assert_non_null(strstr(err.msg, "is open, not resolved"));
    assert_int_equal(
        act(c, (ops_incident_act){.kind = OPS_INCIDENT_ACKNOWLEDGE, .id = id, .tenant = OPS_SLICE("beta")},
            &err),
        OPS_ENOTFOUND);
    assert_int_equal(act(c, (ops_incident_act){.kind = OPS_INCIDENT_ACKNOWLEDGE, .id = id}, &err), OPS_OK);
    expect("acme:acked:f-1+f-2 ");
    const ops_incident_act split = {.kind = OPS_INCIDENT_SPLIT,
                                    .id = id,
                                    .findings = half,
                                    .finding_count = 1,
                                    .request_id = OPS_SLICE("r-1")};
    assert_int_equal(act(c, split, &err), OPS_OK);
    expect("acme:acked:f-1 acme:acked:f-2 ");
    assert_int_equal(act(c, split, &err), OPS_OK); /* the very same request */
    expect("acme:acked:f-1 acme:acked:f-2 ");
    ops__v1__incident__free_unpacked(m, NULL);
    m = newest();
    assert_int_equal(
        act(c, (ops_incident_act){.kind = OPS_INCIDENT_MERGE, .id = id, .other = ops_slice_str(m->id)}, &err),
        OPS_OK);
    ops__v1__incident__free_unpacked(m, NULL);
    expect("acme:acked:f-1+f-2 acme:merged:f-2 ");
    assert_int_equal(act(c, (ops_incident_act){.kind = OPS_INCIDENT_RESOLVE, .id = id}, &err), OPS_OK);
    ops_correlator_stop(c);
    ops_correlator_free(c);
    /* Its findings go on; a person's word holds. */
    happens((what){.id = "f-1", .service = "shop", .severity = OPS__V1__LEVEL__LEVEL_CRITICAL});
    assert_int_equal(live(), OPS_OK);
    expect("acme:merged:f-2 acme:resolved:f-1+f-2 ");
}

/* An act that fails for want of memory changes nothing, and done again it is done. */
static void an_act_that_fails_leaves_no_half(void **state)
{
    (void)state;
    happens((what){.id = "f-1", .service = "shop"});
    assert_int_equal(live(), OPS_OK);
    Ops__V1__Incident *m = newest();
    const ops_slice id = ops_slice_str(m->id);
    const ops_incident_act say = {.kind = OPS_INCIDENT_SAY,
                                  .id = id,
                                  .verdict = OPS__V1__INCIDENT_VERDICT__INCIDENT_VERDICT_WRONG_CAUSE,
                                  .request_id = OPS_SLICE("r-1")};
    ops_correlator *c = begin();
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK && nth < 200; nth++) {
        ops_alloc_fail_at(nth);
        st = act(c, say, NULL);
        ops_alloc_fail_at(0);
    }
    st = act(c, say, NULL);
    assert_int_equal(st, OPS_OK);
    ops_correlator_stop(c);
    ops_correlator_free(c);
    ops__v1__incident__free_unpacked(m, NULL);
    m = newest();
    assert_int_equal(m->n_feedback, 1);
    assert_int_equal(m->n_request_ids, 1);
    assert_true(m->n_causes == 0); /* the only one was wrong */
    ops__v1__incident__free_unpacked(m, NULL);
}

/* Spans told of a call; it is remembered over lives, and decides between two that say nothing of each other. */
static void calls_that_spans_showed_are_kept(void **state)
{
    (void)state;
    ops_correlator *c = begin();
    for (int i = 0; i < 3; i++)
        ops_correlator_call(c, OPS_SLICE("acme"), OPS_SLICE("proxy"), OPS_SLICE("zebra"));
    ops_correlator_call(c, OPS_SLICE("acme"), OPS_SLICE("self"), OPS_SLICE("self"));
    ops_correlator_call(c, OPS_SLICE("acme"), OPS_SLICE(""), OPS_SLICE("zebra"));
    ops_correlator_stop(c);
    ops_correlator_free(c);
    happens((what){.id = "f-1", .service = "proxy", .text = "504"});
    happens((what){.id = "f-2", .service = "zebra", .text = "no worker"});
    assert_int_equal(live(), OPS_OK);
    Ops__V1__Incident *m = newest();
    assert_string_equal(m->causes[0]->component, "zebra"); /* by name the other would be first */
    assert_true(m->causes[0]->score > m->causes[1]->score);
    ops__v1__incident__free_unpacked(m, NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(findings_are_grouped_once_over_lives),
        TEST(what_closed_before_the_first_start_is_history),
        TEST(it_resolves_and_comes_back_with_its_findings),
        TEST(too_little_opens_nothing_but_may_belong),
        TEST(the_longest_untouched_makes_room),
        TEST(members_and_timeline_are_bounded_and_counted),
        TEST(tenants_are_apart_and_bounded),
        TEST(a_failed_allocation_loses_and_doubles_nothing),
        TEST(a_failed_write_loses_and_doubles_nothing),
        TEST(acts_are_kept_with_who_did_them),
        TEST(an_act_that_fails_leaves_no_half),
        TEST(calls_that_spans_showed_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
