/* Silences: made, found to hold, ended, kept over restarts, bounded, apart by tenant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem/alloc.h"
#include "coordinator/silence/silences.h"
#include "tests/support/fake_clock.h"

/* Messages have no const; nothing writes to these. */
#define TEXT(s) ((char *)(uintptr_t)(s))
#define SECOND  1000000000ll
#define START   (1767225600 * SECOND) /* 2026-01-01, a Thursday */

struct world {
    ops_kv *kv;
    ops_repo *repo;
    struct fake_clock clock;
    ops_silences *s;
    Ops__V1__Finding f;
    char *services[1];
    char id[64];
    int state;
};

static void open_silences(struct world *w)
{
    ops_window window;
    assert_int_equal(
        ops_window_parse(OPS_SLICE("thu thu 12:00-13:00 UTC tenant=acme service=db"), 0, &window, NULL),
        OPS_OK);
    assert_int_equal(ops_silences_new(w->repo, &w->clock.base, &window, 1, &w->s, NULL), OPS_OK);
}

static int set_up(void **state)
{
    static struct world w;
    w = (struct world){.clock = FAKE_CLOCK(START)};
    assert_int_equal(ops_kv_open_memory(OPS_REPO_FAMILIES, &w.kv, NULL), OPS_OK);
    assert_int_equal(ops_repo_open(w.kv, 1, &w.repo, NULL), OPS_OK);
    open_silences(&w);
    ops__v1__finding__init(&w.f);
    w.f.tenant = TEXT("acme");
    w.f.id = TEXT("f-1");
    w.services[0] = TEXT("db");
    w.f.services = w.services;
    w.f.n_services = 1;
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    ops_silences_free(w->s);
    ops_repo_free(w->repo);
    ops_kv_close(w->kv);
    return 0;
}

static bool note(void *u, const Ops__V1__Silence *m)
{
    struct world *w = u;
    (void)snprintf(w->id, sizeof w->id, "%s", m->id);
    w->state = (int)m->state;
    return true;
}

static ops_status create(struct world *w, const char *matcher, int64_t from_s, int64_t to_s,
                         const char *request, ops_err *err)
{
    Ops__V1__CreateSilenceRequest q = OPS__V1__CREATE_SILENCE_REQUEST__INIT;
    char *matchers[] = {TEXT(matcher)};
    q.matchers = matchers;
    q.n_matchers = 1;
    q.start_time_unix_nano = from_s == 0 ? 0 : START + from_s * SECOND;
    q.end_time_unix_nano = START + to_s * SECOND;
    q.comment = TEXT("works");
    q.request_id = TEXT(request);
    return ops_silences_create(w->s, OPS_SLICE("acme"), OPS_SLICE("anna"), &q, note, w, err);
}

static bool silent(struct world *w)
{
    return ops_silences_match(w->s, &w->f, w->clock.wall_ns, NULL);
}

static void a_silence_holds_from_its_start_to_its_end(void **state)
{
    struct world *w = *state;
    assert_int_equal(create(w, "service=db", 10, 20, "", NULL), OPS_OK);
    assert_int_equal(w->state, OPS__V1__SILENCE_STATE__SILENCE_STATE_PENDING);
    assert_false(silent(w));
    fake_clock_advance(&w->clock, 10 * SECOND);
    assert_true(silent(w));
    w->f.tenant = TEXT("other");
    assert_false(silent(w));
    w->f.tenant = TEXT("acme");
    ops_silences_free(w->s); /* kept over a restart */
    open_silences(w);
    ops_strbuf ids;
    ops_strbuf_init(&ids, 1000);
    assert_true(ops_silences_match(w->s, &w->f, w->clock.wall_ns, &ids));
    assert_string_equal(ids.p, w->id);
    ops_strbuf_done(&ids);
    fake_clock_advance(&w->clock, 10 * SECOND);
    assert_false(silent(w));
}

static void expiring_ends_it_now(void **state)
{
    struct world *w = *state;
    char id[64];
    assert_int_equal(create(w, "service=db", 0, 1000, "", NULL), OPS_OK);
    (void)snprintf(id, sizeof id, "%s", w->id);
    assert_true(silent(w));
    assert_int_equal(ops_silences_expire(w->s, OPS_SLICE("other"), ops_slice_str(id), note, w, NULL),
                     OPS_ENOTFOUND);
    assert_int_equal(ops_silences_expire(w->s, OPS_SLICE("acme"), ops_slice_str(id), note, w, NULL), OPS_OK);
    assert_int_equal(w->state, OPS__V1__SILENCE_STATE__SILENCE_STATE_EXPIRED);
    assert_false(silent(w));
    assert_int_equal(ops_silences_expire(w->s, OPS_SLICE("acme"), ops_slice_str(id), note, w, NULL), OPS_OK);
    assert_int_equal(ops_silences_expire(w->s, OPS_SLICE("acme"), OPS_SLICE("w-thu"), note, w, NULL),
                     OPS_EINVAL);
    ops_silences_free(w->s);
    open_silences(w);
    assert_false(silent(w));
}

static void the_same_request_again_is_the_same_silence(void **state)
{
    struct world *w = *state;
    char id[64];
    assert_int_equal(create(w, "service=db", 0, 1000, "r1", NULL), OPS_OK);
    (void)snprintf(id, sizeof id, "%s", w->id);
    assert_int_equal(create(w, "service=db", 0, 2000, "r1", NULL), OPS_OK);
    assert_string_equal(id, w->id);
    assert_int_equal(create(w, "service=db", 0, 2000, "r2", NULL), OPS_OK);
    assert_string_not_equal(id, w->id);
    assert_int_equal(create(w, "service=db", 0, 2000, "", NULL), OPS_OK);
    (void)snprintf(id, sizeof id, "%s", w->id);
    assert_int_equal(create(w, "service=db", 0, 2000, "", NULL),
                     OPS_OK); /* at the same moment, yet another */
    assert_string_not_equal(id, w->id);
}

static void a_window_silences_while_it_lasts(void **state)
{
    struct world *w = *state;
    ops_strbuf ids;
    assert_false(silent(w));
    fake_clock_advance(&w->clock, 12 * 3600 * SECOND);
    ops_strbuf_init(&ids, 1000);
    assert_true(ops_silences_match(w->s, &w->f, w->clock.wall_ns, &ids));
    assert_string_equal(ids.p, "w-thu");
    ops_strbuf_done(&ids);
    fake_clock_advance(&w->clock, 3600 * SECOND);
    assert_false(silent(w));
}

static bool count(void *u, const Ops__V1__Silence *m)
{
    (void)m;
    ++*(int *)u;
    return true;
}

static int listed(struct world *w, const char *tenant, bool expired)
{
    int n = 0;
    assert_int_equal(ops_silences_list(w->s, ops_slice_str(tenant), expired, count, &n, NULL), OPS_OK);
    return n;
}

static void lists_are_of_the_tenant_and_forget_after_a_week(void **state)
{
    struct world *w = *state;
    assert_int_equal(listed(w, "acme", false), 1); /* the window */
    assert_int_equal(listed(w, "other", true), 0);
    assert_int_equal(create(w, "service=db", 0, 10, "", NULL), OPS_OK);
    assert_int_equal(listed(w, "acme", false), 2);
    fake_clock_advance(&w->clock, 10 * SECOND);
    assert_int_equal(listed(w, "acme", false), 1);
    assert_int_equal(listed(w, "acme", true), 2);
    fake_clock_advance(&w->clock, (OPS_SILENCE_KEEP_S + 1) * SECOND);
    assert_int_equal(create(w, "service=db", 0, OPS_SILENCE_KEEP_S + 1000, "", NULL), OPS_OK);
    assert_int_equal(listed(w, "acme", true), 2);
    ops_silences_free(w->s);
    open_silences(w);
    assert_int_equal(listed(w, "acme", true), 2);
}

static void what_is_wrong_is_named(void **state)
{
    struct world *w = *state;
    ops_err err;
    assert_int_equal(create(w, "service", 0, 10, "", &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "matchers: matcher 'service'"));
    assert_int_equal(create(w, "service=db", 20, 10, "", &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "end_time_unix_nano: must be after the start"));
    assert_int_equal(create(w, "service=db", -20, -10, "", &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "is over already"));
    assert_int_equal(create(w, "service=db", 0, 400ll * 86400, "", &err), OPS_EINVAL);
    assert_non_null(strstr(err.msg, "more than a year"));
    assert_int_equal(listed(w, "acme", true), 1);
}

static void a_tenant_has_so_many_and_no_more(void **state)
{
    struct world *w = *state;
    ops_err err;
    for (int i = 0; i < OPS_SILENCES_TENANT_MAX; i++)
        assert_int_equal(create(w, "service=db", 0, 10, "", NULL), OPS_OK);
    assert_int_equal(create(w, "service=db", 0, 10, "", &err), OPS_EAGAIN);
    assert_non_null(strstr(err.msg, "500 silences hold or wait"));
    fake_clock_advance(&w->clock, 10 * SECOND);
    assert_int_equal(create(w, "service=db", 0, 20, "", NULL), OPS_OK);
}

static void every_allocation_may_fail(void **state)
{
    struct world *w = *state;
    for (long nth = 1;; nth++) {
        ops_err err = {0};
        ops_alloc_fail_at(nth);
        ops_status st = create(w, "service=~d.", 0, 1000, "r", &err);
        ops_alloc_fail_at(0);
        if (st == OPS_OK)
            break;
        assert_int_equal(st, OPS_ENOMEM);
        assert_false(silent(w));
    }
    assert_true(silent(w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        T(a_silence_holds_from_its_start_to_its_end),
        T(expiring_ends_it_now),
        T(the_same_request_again_is_the_same_silence),
        T(a_window_silences_while_it_lasts),
        T(lists_are_of_the_tenant_and_forget_after_a_week),
        T(what_is_wrong_is_named),
        T(a_tenant_has_so_many_and_no_more),
        T(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
