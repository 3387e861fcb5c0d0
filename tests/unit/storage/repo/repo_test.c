/* The repository: state, position and outbox move together; stale owners are refused; findings keep their newest revision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "storage/repo/repo.h"

struct world {
    ops_kv *kv;
    ops_repo *repo;
};

static int set_up(void **state)
{
    static struct world w;
    assert_int_equal(ops_kv_open_memory(OPS_REPO_FAMILIES, &w.kv, NULL), OPS_OK);
    assert_int_equal(ops_repo_open(w.kv, 4, &w.repo, NULL), OPS_OK);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    ops_repo_free(w->repo);
    ops_kv_close(w->kv);
    return 0;
}

static void reopen(struct world *w)
{
    ops_repo_free(w->repo);
    assert_int_equal(ops_repo_open(w->kv, 4, &w->repo, NULL), OPS_OK);
}

static ops_status join(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    (void)reterr;
    ops_strbuf_printf(u, OPS_SLICE_FMT "=" OPS_SLICE_FMT ";", OPS_SLICE_ARG(key), OPS_SLICE_ARG(val));
    return OPS_OK;
}

static ops_status join_effect(void *u, ops_effect_id id, ops_slice effect, ops_err *reterr)
{
    (void)reterr;
    ops_strbuf_printf(u, "%u.%llu.%u=" OPS_SLICE_FMT ";", id.part, (unsigned long long)id.seq, id.ordinal,
                      OPS_SLICE_ARG(effect));
    return OPS_OK;
}

static ops_status join_finding(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                               ops_err *reterr)
{
    (void)reterr;
    ops_strbuf_printf(u, "%llu:" OPS_SLICE_FMT "/" OPS_SLICE_FMT "=" OPS_SLICE_FMT ";",
                      (unsigned long long)revision, OPS_SLICE_ARG(tenant), OPS_SLICE_ARG(f->id),
                      OPS_SLICE_ARG(f->body));
    return OPS_OK;
}

#define EXPECT_TEXT(call, want)                                                                              \
    do {                                                                                                     \
        ops_strbuf b_;                                                                                       \
        ops_strbuf_init(&b_, 4096);                                                                          \
        ops_strbuf_str(&b_, "");                                                                             \
        assert_int_equal(call, OPS_OK);                                                                      \
        assert_string_equal(b_.p, want);                                                                     \
        ops_strbuf_done(&b_);                                                                                \
    } while (0)

static ops_status join_notice(void *u, const ops_repo_notice *n, ops_err *reterr)
{
    (void)reterr;
    ops_strbuf_printf(u, "%llu@%lld=" OPS_SLICE_FMT ";", (unsigned long long)n->number, (long long)n->time_ns,
                      OPS_SLICE_ARG(n->body));
    return OPS_OK;
}

static void notices_are_one_with_their_commit(void **state)
{
    struct world *w = *state;
    const ops_slice two[] = {OPS_SLICE("opened"), OPS_SLICE("closed")};
    const ops_repo_finding f = {OPS_SLICE("f-1"), OPS_SLICE("body")};
    ops_tenant_commit c = {.tenant = OPS_SLICE("acme"),
                           .findings = &f,
                           .finding_count = 1,
                           .notices = two,
                           .notice_count = 2,
                           .notice_ns = 77};
    uint64_t at = 0;
    assert_true(ops_repo_notice_last(w->repo) == 0);
    assert_int_equal(ops_repo_commit_tenant(w->repo, &c, NULL, NULL), OPS_OK);
    c.notice_count = 1;
    c.tenant = OPS_SLICE("");
    assert_int_equal(ops_repo_commit_tenant(w->repo, &c, NULL, NULL), OPS_EINVAL);
    EXPECT_TEXT(ops_repo_notices_since(w->repo, 0, join_notice, &b_, NULL), "1@77=opened;2@77=closed;");
    assert_int_equal(ops_repo_cursor_get(w->repo, OPS_SLICE("am"), &at, NULL), OPS_ENOTFOUND);
    assert_int_equal(ops_repo_cursor_put(w->repo, OPS_SLICE("am"), 1, NULL), OPS_OK);
    assert_int_equal(ops_repo_notices_trim(w->repo, 1, NULL), OPS_OK);
    EXPECT_TEXT(ops_repo_notices_since(w->repo, 0, join_notice, &b_, NULL), "2@77=closed;");
    assert_int_equal(ops_repo_notices_trim(w->repo, 2, NULL), OPS_OK);
    reopen(w);
    assert_int_equal(ops_repo_cursor_get(w->repo, OPS_SLICE("am"), &at, NULL), OPS_OK);
    assert_true(at == 1);
    /* Numbers go on although nothing is left. */
    c.tenant = OPS_SLICE("acme");
    assert_int_equal(ops_repo_commit_tenant(w->repo, &c, NULL, NULL), OPS_OK);
    EXPECT_TEXT(ops_repo_notices_since(w->repo, at, join_notice, &b_, NULL), "3@77=opened;");
}

static void state_position_and_effects_are_one(void **state)
{
    struct world *w = *state;
    ops_fold_state at;
    assert_int_equal(ops_repo_fence(w->repo, 2, &at, NULL), OPS_OK);
    assert_true(at.epoch == 1 && at.pos == 0);
    const ops_delta_write first[] = {{OPS_SLICE("a"), OPS_SLICE("1")}, {OPS_SLICE("b"), OPS_SLICE("2")}};
    const ops_slice effects[] = {OPS_SLICE("x"), OPS_SLICE("y")};
    ops_delta d = {.part = 2,
                   .epoch = at.epoch,
                   .from = 0,
                   .to = 10,
                   .prev_hash = at.hash,
                   .writes = first,
                   .write_count = 2,
                   .effects = effects,
                   .effect_count = 2};
    assert_int_equal(ops_repo_commit(w->repo, &d, true, &at, NULL), OPS_OK);
    const ops_delta_write second[] = {{OPS_SLICE("a"), OPS_SLICE("")}, {OPS_SLICE("c"), OPS_SLICE("3")}};
    ops_delta e = {.part = 2,
                   .epoch = at.epoch,
                   .from = 10,
                   .to = 11,
                   .prev_hash = at.hash,
                   .writes = second,
                   .write_count = 2};
    assert_int_equal(ops_repo_commit(w->repo, &e, false, &at, NULL), OPS_OK);
    reopen(w);
    ops_fold_state again;
    assert_int_equal(ops_repo_position(w->repo, 2, &again, NULL), OPS_OK);
    assert_memory_equal(&again, &at, sizeof at);
    EXPECT_TEXT(ops_repo_state_scan(w->repo, 2, join, &b_, NULL), "b=2;c=3;");
    EXPECT_TEXT(ops_repo_state_scan(w->repo, 1, join, &b_, NULL), "");
    EXPECT_TEXT(ops_repo_outbox_scan(w->repo, join_effect, &b_, NULL), "2.1.0=x;2.1.1=y;");
}

static void what_does_not_count_changes_nothing_and_says_why(void **state)
{
    struct world *w = *state;
    ops_fold_state mine, theirs;
    assert_int_equal(ops_repo_fence(w->repo, 0, &mine, NULL), OPS_OK);
    assert_int_equal(ops_repo_fence(w->repo, 0, &theirs, NULL), OPS_OK);
    const ops_delta_write write = {OPS_SLICE("k"), OPS_SLICE("v")};
    ops_err err;
    ops_delta d = {.part = 0, .epoch = mine.epoch, .to = 1, .writes = &write, .write_count = 1};
    assert_int_equal(ops_repo_commit(w->repo, &d, true, NULL, &err), OPS_ECONFLICT);
    assert_non_null(strstr(err.msg, "another owner"));
    d.epoch = theirs.epoch;
    d.from = 1;
    assert_int_equal(ops_repo_commit(w->repo, &d, true, NULL, &err), OPS_ECONFLICT);
    assert_non_null(strstr(err.msg, "does not start"));
    d.from = 0;
    d.prev_hash = 99;
    assert_int_equal(ops_repo_commit(w->repo, &d, true, NULL, &err), OPS_ECONFLICT);
    assert_non_null(strstr(err.msg, "another history"));
    EXPECT_TEXT(ops_repo_state_scan(w->repo, 0, join, &b_, NULL), "");
    d.part = 4;
    assert_int_equal(ops_repo_commit(w->repo, &d, true, NULL, &err), OPS_EINVAL);
}

static void a_tenants_turn_is_one_batch(void **state)
{
    struct world *w = *state;
    ops_fold_state at;
    const ops_slice effects[] = {OPS_SLICE("x"), OPS_SLICE("y")};
    assert_int_equal(ops_repo_fence(w->repo, 1, &at, NULL), OPS_OK);
    ops_delta d = {.part = 1, .epoch = at.epoch, .to = 5, .effects = effects, .effect_count = 2};
    assert_int_equal(ops_repo_commit(w->repo, &d, true, NULL, NULL), OPS_OK);
    const ops_delta_write write = {OPS_SLICE("book"), OPS_SLICE("1")};
    const ops_repo_finding f[] = {{OPS_SLICE("f-1"), OPS_SLICE("one")}, {OPS_SLICE("f-2"), OPS_SLICE("two")}};
    const ops_effect_id taken = {1, 1, 0};
    ops_tenant_commit c = {.tenant = OPS_SLICE("acme"),
                           .writes = &write,
                           .write_count = 1,
                           .findings = f,
                           .finding_count = 2,
                           .taken = &taken,
                           .taken_count = 1};
    uint64_t revision;
    assert_int_equal(ops_repo_commit_tenant(w->repo, &c, &revision, NULL), OPS_OK);
    assert_true(revision == 2);
    const ops_repo_finding newer = {OPS_SLICE("f-1"), OPS_SLICE("one, again")};
    ops_tenant_commit next = {.tenant = OPS_SLICE("acme"), .findings = &newer, .finding_count = 1};
    assert_int_equal(ops_repo_commit_tenant(w->repo, &next, NULL, NULL), OPS_OK);
    reopen(w);
    assert_true(ops_repo_revision(w->repo) == 3);
    EXPECT_TEXT(ops_repo_outbox_scan(w->repo, join_effect, &b_, NULL), "1.1.1=y;");
    EXPECT_TEXT(ops_repo_tenant_scan(w->repo, OPS_SLICE("acme"), join, &b_, NULL), "book=1;");
    EXPECT_TEXT(ops_repo_tenant_scan(w->repo, OPS_SLICE("acm"), join, &b_, NULL), "");
    EXPECT_TEXT(ops_repo_findings_since(w->repo, 0, join_finding, &b_, NULL),
                "2:acme/f-2=two;3:acme/f-1=one, again;");
    EXPECT_TEXT(ops_repo_findings_since(w->repo, 2, join_finding, &b_, NULL), "3:acme/f-1=one, again;");
    EXPECT_TEXT(ops_repo_finding_get(w->repo, OPS_SLICE("acme"), OPS_SLICE("f-2"), join_finding, &b_, NULL),
                "2:acme/f-2=two;");
    ops_err err;
    assert_int_equal(
        ops_repo_finding_get(w->repo, OPS_SLICE("other"), OPS_SLICE("f-2"), join_finding, NULL, &err),
        OPS_ENOTFOUND);
    assert_non_null(strstr(err.msg, "f-2"));
    const ops_repo_finding twice[] = {newer, newer};
    next.findings = twice;
    next.finding_count = 2;
    assert_int_equal(ops_repo_commit_tenant(w->repo, &next, NULL, &err), OPS_EINVAL);
}

static ops_fold_state commit(struct world *w, ops_fold_state at, uint64_t to, bool sync)
{
    ops_delta d = {.part = 1, .epoch = at.epoch, .from = at.pos, .to = to, .prev_hash = at.hash};
    assert_int_equal(ops_repo_commit(w->repo, &d, sync, &at, NULL), OPS_OK);
    return at;
}

static void expect_durable(struct world *w, uint64_t pos)
{
    ops_fold_state s;
    assert_int_equal(ops_repo_durable(w->repo, 1, &s, NULL), OPS_OK);
    assert_true(s.pos == pos);
}

static void input_is_needed_until_its_position_is_durable(void **state)
{
    struct world *w = *state;
    ops_fold_state at, other;
    assert_int_equal(ops_repo_fence(w->repo, 1, &at, NULL), OPS_OK);
    at = commit(w, at, 5, false);
    expect_durable(w, 0);
    at = commit(w, at, 7, true);
    expect_durable(w, 7);
    at = commit(w, at, 9, false);
    assert_int_equal(ops_repo_fence(w->repo, 2, &other, NULL),
                     OPS_OK); /* any synced write carries it along */
    expect_durable(w, 9);
    at = commit(w, at, 11, false);
    assert_int_equal(ops_repo_sync(w->repo, NULL), OPS_OK);
    expect_durable(w, 11);
    (void)commit(w, at, 12, false);
    const ops_tenant_commit c = {.tenant = OPS_SLICE("acme")};
    assert_int_equal(ops_repo_commit_tenant(w->repo, &c, NULL, NULL), OPS_OK);
    expect_durable(w, 12);
    assert_int_equal(ops_repo_durable(w->repo, 4, &other, NULL), OPS_EINVAL);
}

static void damage_and_foreign_schemas_are_refused(void **state)
{
    struct world *w = *state;
    ops_fold_state at;
    ops_err err;
    ops_repo *second;
    assert_int_equal(ops_repo_fence(w->repo, 3, &at, NULL), OPS_OK);
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    ops_kv_batch_put(b, 0, ops_slice_of("\0\0\0\3h", 5), OPS_SLICE("nonsense"));
    assert_int_equal(ops_kv_write(w->kv, b, true, NULL), OPS_OK);
    assert_int_equal(ops_repo_open(w->kv, 4, &second, &err), OPS_ECORRUPT);
    assert_non_null(strstr(err.msg, "partition 3"));
    ops_kv_batch_clear(b);
    ops_kv_batch_put(b, 4, OPS_SLICE("schema"), ops_slice_of("\0\0\0\0\0\0\0\x63", 8));
    assert_int_equal(ops_kv_write(w->kv, b, true, NULL), OPS_OK);
    assert_int_equal(ops_repo_open(w->kv, 4, &second, &err), OPS_ECONFLICT);
    assert_non_null(strstr(err.msg, "99"));
}

static ops_status join_audit(void *u, uint64_t number, ops_slice body, ops_err *reterr)
{
    (void)reterr;
    ops_strbuf_printf(u, "%llu=" OPS_SLICE_FMT ";", (unsigned long long)number, OPS_SLICE_ARG(body));
    return number == 2 ? OPS_ECANCELLED : OPS_OK;
}

static void the_audit_is_numbered_and_newest_first(void **state)
{
    struct world *w = *state;
    uint64_t number = 0;
    ops_strbuf b;
    ops_strbuf_init(&b, 4096);
    assert_int_equal(ops_repo_audit_add(w->repo, OPS_SLICE("pins"), OPS_SLICE("a"), &number, NULL), OPS_OK);
    assert_int_equal(number, 1);
    assert_int_equal(ops_repo_audit_add(w->repo, OPS_SLICE("pin"), OPS_SLICE("x"), &number, NULL), OPS_OK);
    assert_int_equal(number, 1); /* another topic, though one begins like the other */
    assert_int_equal(ops_repo_audit_add(w->repo, OPS_SLICE("pins"), OPS_SLICE("b"), NULL, NULL), OPS_OK);
    reopen(w);
    assert_int_equal(ops_repo_audit_add(w->repo, OPS_SLICE("pins"), OPS_SLICE("c"), &number, NULL), OPS_OK);
    assert_int_equal(number, 3);
    assert_int_equal(ops_repo_audit_scan(w->repo, OPS_SLICE("pins"), 0, join_audit, &b, NULL), OPS_OK);
    assert_string_equal(b.p, "3=c;2=b;");
    ops_strbuf_clear(&b);
    assert_int_equal(ops_repo_audit_scan(w->repo, OPS_SLICE("pins"), 2, join_audit, &b, NULL), OPS_OK);
    assert_string_equal(b.p, "1=a;");
    assert_int_equal(ops_repo_audit_add(w->repo, OPS_SLICE(""), OPS_SLICE("a"), NULL, NULL), OPS_EINVAL);
    ops_strbuf_done(&b);
}

static ops_status count_audit(void *u, uint64_t number, ops_slice body, ops_err *reterr)
{
    uint64_t *v = u; /* how many, the least number */
    (void)body;
    (void)reterr;
    v[0]++;
    v[1] = number;
    return OPS_OK;
}

static void the_audit_keeps_the_newest(void **state)
{
    struct world *w = *state;
    uint64_t v[2] = {0, 0};
    for (int i = 0; i < OPS_REPO_AUDIT_MAX + 5; i++)
        assert_int_equal(ops_repo_audit_add(w->repo, OPS_SLICE("t"), OPS_SLICE("a"), NULL, NULL), OPS_OK);
    assert_int_equal(ops_repo_audit_scan(w->repo, OPS_SLICE("t"), 0, count_audit, v, NULL), OPS_OK);
    assert_int_equal(v[0], OPS_REPO_AUDIT_MAX);
    assert_int_equal(v[1], 6);
}

/* Two tenants in one batch: incidents with revisions of their own, memory, audit, notices and the position in the findings. */
static ops_status commit_two(struct world *w, uint64_t position, uint64_t *ret_revision)
{
    const ops_repo_finding a[] = {{OPS_SLICE("i-1"), OPS_SLICE("one")}, {OPS_SLICE("i-2"), OPS_SLICE("two")}};
    const ops_repo_finding b[] = {{OPS_SLICE("i-1"), OPS_SLICE("uno")}};
    const ops_slice notices[] = {OPS_SLICE("n1"), OPS_SLICE("n2")}, act = OPS_SLICE("ann acked");
    const ops_incident_commit v[] = {{.tenant = OPS_SLICE("acme"),
                                      .incidents = a,
                                      .incident_count = 2,
                                      .memory = OPS_SLICE("mem"),
                                      .audit = &act,
                                      .notices = notices,
                                      .notice_count = 2,
                                      .notice_ns = 7},
                                     {.tenant = OPS_SLICE("beta"),
                                      .incidents = b,
                                      .incident_count = 1,
                                      .notices = notices,
                                      .notice_count = 1,
                                      .notice_ns = 8}};
    return ops_repo_commit_incidents(w->repo, v, 2, position, ret_revision, NULL);
}

static void incidents_and_their_position_are_one(void **state)
{
    struct world *w = *state;
    uint64_t revision = 0, position = 1;
    ops_strbuf b;
    ops_strbuf_init(&b, 4096);
    assert_int_equal(ops_repo_incidents_position(w->repo, &position, NULL), OPS_OK);
    assert_int_equal(position, 0);
    assert_int_equal(commit_two(w, 17, &revision), OPS_OK);
    assert_int_equal(revision, 3);
    reopen(w);
    EXPECT_TEXT(ops_repo_incidents_since(w->repo, 0, join_finding, &b_, NULL),
                "1:acme/i-1=one;2:acme/i-2=two;3:beta/i-1=uno;");
    EXPECT_TEXT(ops_repo_incident_get(w->repo, OPS_SLICE("beta"), OPS_SLICE("i-1"), join_finding, &b_, NULL),
                "3:beta/i-1=uno;");
    EXPECT_TEXT(ops_repo_notices_since(w->repo, 0, join_notice, &b_, NULL), "1@7=n1;2@7=n2;3@8=n1;");
    EXPECT_TEXT(ops_repo_incident_memory(w->repo, OPS_SLICE("acme"), &b_, NULL), "mem");
    EXPECT_TEXT(ops_repo_incident_memory(w->repo, OPS_SLICE("beta"), &b_, NULL), "");
    EXPECT_TEXT(ops_repo_audit_scan(w->repo, OPS_SLICE("incidents/acme"), 0, join_audit, &b_, NULL),
                "1=ann acked;");
    assert_int_equal(commit_two(w, 3, &revision), OPS_OK); /* behind: the position stays */
    assert_int_equal(revision, 6);
    assert_int_equal(ops_repo_incidents_position(w->repo, &position, NULL), OPS_OK);
    assert_int_equal(position, 17);
    EXPECT_TEXT(ops_repo_incidents_since(w->repo, 4, join_finding, &b_, NULL),
                "5:acme/i-2=two;6:beta/i-1=uno;");
    assert_int_equal(
        ops_repo_incident_get(w->repo, OPS_SLICE("beta"), OPS_SLICE("i-2"), join_finding, &b, NULL),
        OPS_ENOTFOUND);
    assert_int_equal(ops_repo_revision(w->repo), 0); /* findings count for themselves */
    ops_strbuf_done(&b);
}

static void a_commit_of_incidents_that_fails_leaves_nothing(void **state)
{
    struct world *w = *state;
    ops_status st = OPS_ENOMEM;
    for (long nth = 1; st != OPS_OK; nth++) {
        ops_alloc_fail_at(nth);
        st = commit_two(w, 5, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        assert_int_equal(ops_repo_incident_revision(w->repo), st == OPS_OK ? 3 : 0);
        assert_int_equal(ops_repo_notice_last(w->repo), st == OPS_OK ? 3 : 0);
    }
    const ops_repo_finding twice[] = {{OPS_SLICE("i-1"), OPS_SLICE("")}, {OPS_SLICE("i-1"), OPS_SLICE("")}};
    const ops_incident_commit bad = {.tenant = OPS_SLICE("acme"), .incidents = twice, .incident_count = 2};
    assert_int_equal(ops_repo_commit_incidents(w->repo, &bad, 1, 6, NULL, NULL), OPS_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(notices_are_one_with_their_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(state_position_and_effects_are_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_count_changes_nothing_and_says_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tenants_turn_is_one_batch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(input_is_needed_until_its_position_is_durable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_and_foreign_schemas_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_audit_is_numbered_and_newest_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_audit_keeps_the_newest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(incidents_and_their_position_are_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_commit_of_incidents_that_fails_leaves_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
