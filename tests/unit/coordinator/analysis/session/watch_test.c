/* Traffic of random workflows: nothing is told of hours of it, of deploys, folds and loads; what goes wrong is; and what is
 * saved, lost, full or spoilt on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "tests/unit/coordinator/analysis/session/traffic.h"

enum { SEEDS = 2, LONG_S = 1800 };
static const double a_while = LONG_S;

static ops_session_info info_of(const traffic *t)
{
    ops_session_info i;
    ops_session_watch_info(t->watch, &i);
    return i;
}

static void nothing_is_told_of_normal_traffic(void **state)
{
    (void)state;
    static traffic t;
    const double rates[] = {0.5, 4, 40}; /* the last one leaves no room for all sessions */
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (size_t i = 0; i < 3; i++) {
            traffic_start(&t, seed);
            t.per_s = rates[i];
            traffic_run(&t, a_while / (rates[i] > 10 ? 2 : 1));
            assert_int_equal(t.told, 0);
            assert_int_equal(info_of(&t).phase, OPS_SESSION_WATCHING);
            assert_true(info_of(&t).keyed && info_of(&t).open <= 64);
            traffic_done(&t);
        }
}

/* What goes wrong with one session in three is told within a minute and a half, with words and lines. */
static void faults_are_told(void **state)
{
    (void)state;
    static traffic t;
    const flow_fault faults[] = {FLOW_CUT, FLOW_EXTRA, FLOW_MOVED, FLOW_RETRIES, FLOW_MISSING};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        traffic_start(&t, 7 + i);
        traffic_run(&t, a_while);
        assert_int_equal(t.told, 0);
        const int64_t began = t.now_ns;
        t.fault = (int)faults[i];
        t.fault_share = 1.0 / 3;
        traffic_run(&t, 120);
        if (t.told == 0 || t.told_ns - began > 90 * SECOND)
            fail_msg("%s: told %zu times, after %lld s", flow_fault_name[faults[i]], t.told,
                     (long long)((t.told_ns - began) / SECOND));
        assert_non_null(strstr(t.words, "event "));
        assert_non_null(strstr(t.line, "of session "));
        assert_true(t.last.odd >= 3 && t.last.odd <= t.last.judged && t.last.p_value <= 1e-6);
        assert_true(t.last.start_ns >= began - 30 * SECOND && t.last.last_ns <= t.now_ns);
        traffic_done(&t);
    }
}

static void a_transition_is_told_as_expected_and_seen(void **state)
{
    (void)state;
    static traffic t;
    traffic_start(&t, 10);
    traffic_run(&t, a_while);
    t.fault = FLOW_MISSING;
    t.fault_share = 0.3;
    traffic_run(&t, 120);
    assert_true(t.told > 0);
    const char *expected = strstr(t.words, " expected ");
    assert_non_null(expected);
    assert_non_null(strstr(expected, ", saw "));
    traffic_done(&t);
}

static void deploys_folds_and_loads_are_no_oddity(void **state)
{
    (void)state;
    static traffic t;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        traffic_start(&t, seed);
        traffic_run(&t, a_while / 2);
        t.extra = 777777; /* a kind of line that every session has from now on */
        traffic_run(&t, a_while);
        assert_int_equal(t.told, 0);
        assert_int_equal(info_of(&t).phase, OPS_SESSION_WATCHING);
        t.fold_from = t.flow.events / 2; /* two kinds become one */
        t.fold_to = 4242;
        t.folds++;
        traffic_run(&t, a_while / 2);
        t.per_s = 20;
        traffic_run(&t, a_while / 4);
        t.per_s = 0.2;
        traffic_run(&t, a_while / 2);
        assert_int_equal(t.told, 0);
        traffic_done(&t);
    }
}

static void without_keys_windows_are_sessions_and_load_does_not_count(void **state)
{
    (void)state;
    static traffic t;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        traffic_start(&t, seed);
        t.keyed = false;
        t.per_s = 1;
        traffic_run(&t, a_while);
        assert_false(info_of(&t).keyed);
        assert_int_equal(info_of(&t).phase, OPS_SESSION_WATCHING);
        for (size_t i = 0; i < 4; i++) {
            t.per_s = i % 2 == 0 ? 10 : 0.1;
            traffic_run(&t, a_while / 4);
        }
        assert_int_equal(t.told, 0);
        traffic_done(&t);
    }
}

/* A line that every window has, and then none has: its windows are told although no line has a key. */
static void windows_that_lack_a_line_are_told(void **state)
{
    (void)state;
    static traffic t;
    traffic_start(&t, 1);
    for (int64_t second = 0; t.told == 0 && second < 3 * LONG_S; second++) {
        t.now_ns += SECOND;
        if (t.now_ns / WINDOW > t.window)
            traffic_close(&t);
        const bool ill = second > 2 * LONG_S;
        for (uint64_t event = 1; event <= 3; event++) {
            const ops_session_line l = {.event = ill && event == 2 ? 1 : event,
                                        .window = t.window,
                                        .time_ns = t.now_ns,
                                        .text = OPS_SLICE("beat")};
            ops_session_watch_add(t.watch, &l);
        }
    }
    assert_int_equal(t.told, 1);
    assert_false(t.last.keyed);
    assert_non_null(strstr(t.words, "event 2 is missing"));
    traffic_done(&t);
}

/* A stream whose sessions have nothing in common is never told of. */
static void noise_is_never_told(void **state)
{
    (void)state;
    static traffic t;
    traffic_start(&t, 3);
    for (int64_t second = 0; second < 2 * LONG_S; second++) {
        t.now_ns += SECOND;
        if (t.now_ns / WINDOW > t.window)
            traffic_close(&t);
        const uint64_t key = ++t.keys;
        for (uint32_t i = flow_random(&t.flow, 12) + 1; i > 0; i--) {
            const ops_session_line l = {
                .key = key, .event = flow_random(&t.flow, 40), .window = t.window, .time_ns = t.now_ns};
            ops_session_watch_add(t.watch, &l);
        }
    }
    assert_int_equal(t.told, 0);
    traffic_done(&t);
}

static void an_ill_stream_teaches_nothing(void **state)
{
    (void)state;
    static traffic t;
    traffic_start(&t, 2);
    t.ill = true;
    traffic_run(&t, a_while);
    assert_int_equal(info_of(&t).learnt, 0);
    t.ill = false;
    traffic_run(&t, a_while);
    assert_int_equal(info_of(&t).phase, OPS_SESSION_WATCHING);
    traffic_done(&t);
}

typedef struct record {
    char key[OPS_SESSION_RECORD_KEY_MAX], *val;
    size_t key_n, val_n;
} record;
typedef struct records {
    OPS_VEC(record) v;
} records;

/* As a store: the latest value of a key, none for an empty one. */
static ops_status keep(void *u, ops_slice key, ops_slice val)
{
    records *r = u;
    size_t i = 0;
    while (i < r->v.n && !ops_slice_eq(ops_slice_of(r->v.v[i].key, r->v.v[i].key_n), key))
        i++;
    if (i == r->v.n && !ops_vec_push(&r->v, (record){0}))
        return OPS_ENOMEM;
    record *x = &r->v.v[i];
    char *copy = ops_strndup(val.n > 0 ? val.p : "", val.n);
    if (copy == NULL)
        return OPS_ENOMEM;
    ops_free(x->val);
    memcpy(x->key, key.p, key.n);
    x->key_n = key.n;
    x->val = copy;
    x->val_n = val.n;
    return OPS_OK;
}

static void records_done(records *r)
{
    for (size_t i = 0; i < r->v.n; i++)
        ops_free(r->v.v[i].val);
    ops_vec_done(&r->v);
}

static ops_status load(const records *r, ops_session_watch **ret)
{
    OPS_AUTO(ops_session_watch_free) ops_session_watch *w = NULL;
    ops_status st = ops_session_watch_new(0, &w, NULL);
    for (size_t i = r->v.n; i-- > 0 && st == OPS_OK;) /* in any order: here backwards */
        if (r->v.v[i].val_n > 0)
            st = ops_session_watch_load(w, ops_slice_of(r->v.v[i].key, r->v.v[i].key_n),
                                        ops_slice_of(r->v.v[i].val, r->v.v[i].val_n));
    if (st == OPS_OK)
        st = ops_session_watch_load_done(w);
    if (st == OPS_OK)
        *ret = OPS_STEAL(w);
    return st;
}

/* Saved and loaded every few minutes, over all phases, a deploy and a fault: told of the same at the same time. */
static void a_loaded_watch_goes_on_as_the_saved_one(void **state)
{
    (void)state;
    static traffic a, b;
    records saved = {0};
    traffic_start(&a, 12);
    traffic_start(&b, 12);
    for (int step = 0; step < 60; step++) {
        a.extra = b.extra = step >= 20 ? 777777 : 0;
        a.fault = b.fault = step >= 50 ? FLOW_MISSING : -1;
        a.fault_share = b.fault_share = 0.2;
        traffic_run(&a, 131);
        traffic_run(&b, 131);
        assert_int_equal(ops_session_watch_save(b.watch, keep, &saved), OPS_OK);
        ops_session_watch_free(b.watch);
        b.watch = NULL;
        assert_int_equal(load(&saved, &b.watch), OPS_OK);
        const ops_session_info x = info_of(&a), y = info_of(&b);
        assert_int_equal(x.phase, y.phase);
        assert_true(x.open == y.open && x.learnt == y.learnt && x.kinds == y.kinds && x.share == y.share);
        assert_int_equal(a.told, b.told);
    }
    assert_true(a.told > 0);
    assert_int_equal(a.told_ns, b.told_ns);
    assert_string_equal(a.words, b.words);
    assert_true(a.last.odd == b.last.odd && a.last.judged == b.last.judged &&
                a.last.p_value == b.last.p_value);
    traffic_done(&a);
    traffic_done(&b);
    records_done(&saved);
}

static void spoilt_records_are_refused_or_read(void **state)
{
    (void)state;
    static traffic t;
    records saved = {0};
    traffic_start(&t, 12);
    traffic_run(&t, a_while);
    t.fault = FLOW_CUT;
    t.fault_share = 0.3;
    traffic_run(&t, 60);
    assert_int_equal(ops_session_watch_save(t.watch, keep, &saved), OPS_OK);
    size_t refused = 0;
    for (size_t i = 0; i < saved.v.n; i++) {
        record *x = &saved.v.v[i];
        for (size_t round = 0; round < 60 && x->val_n > 0; round++) {
            ops_session_watch *w = NULL;
            const size_t at = flow_random(&t.flow, (uint32_t)x->val_n), whole = x->val_n;
            const char was = x->val[at];
            if (round % 2 == 0)
                x->val[at] = (char)flow_random(&t.flow, 256);
            else
                x->val_n = at;
            const ops_status st = load(&saved, &w);
            assert_true(st == OPS_OK || st == OPS_ECORRUPT);
            refused += st != OPS_OK;
            if (w != NULL) { /* what was taken does no harm */
                ops_session_watch_free(t.watch);
                t.watch = w;
                traffic_run(&t, 30);
            }
            x->val_n = whole;
            x->val[at] = was;
        }
    }
    assert_true(refused > 30);
    traffic_done(&t);
    records_done(&saved);
}

static ops_status whole_life(void)
{
    static traffic t;
    records saved = {0};
    t = (traffic){.per_s = 1, .keyed = true, .fault = -1, .now_ns = BEGIN_W * WINDOW, .window = BEGIN_W};
    ops_status st = ops_session_watch_new(BEGIN_W, &t.watch, NULL);
    for (int64_t second = 0; st == OPS_OK && second < 1100; second++) {
        t.now_ns += SECOND;
        if (t.now_ns / WINDOW > t.window)
            traffic_close(&t);
        for (uint64_t event = 1; event <= 3; event++) {
            const ops_session_line l = {.key = (uint64_t)second + 1,
                                        .event = second > 1000 && event == 2 ? 3 : event,
                                        .window = t.window,
                                        .time_ns = t.now_ns,
                                        .text = OPS_SLICE("text")};
            ops_session_watch_add(t.watch, &l);
        }
    }
    if (st == OPS_OK)
        st = ops_session_watch_save(t.watch, keep, &saved);
    ops_session_watch_free(t.watch);
    t.watch = NULL;
    if (st == OPS_OK)
        st = load(&saved, &t.watch);
    ops_session_watch_free(t.watch);
    records_done(&saved);
    return st;
}

static void allocations_fail(void **state)
{
    (void)state;
    assert_int_equal(whole_life(), OPS_OK);
    const long live = ops_alloc_live();
    long failed = 0;
    for (long nth = 1; nth < 6000; nth += 1 + nth / 6) {
        ops_alloc_fail_at(nth);
        const ops_status st = whole_life();
        ops_alloc_fail_at(0);
        assert_int_equal(ops_alloc_live(), live);
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        failed += st != OPS_OK;
    }
    assert_true(failed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_told_of_normal_traffic),
        cmocka_unit_test(faults_are_told),
        cmocka_unit_test(a_transition_is_told_as_expected_and_seen),
        cmocka_unit_test(deploys_folds_and_loads_are_no_oddity),
        cmocka_unit_test(without_keys_windows_are_sessions_and_load_does_not_count),
        cmocka_unit_test(windows_that_lack_a_line_are_told),
        cmocka_unit_test(noise_is_never_told),
        cmocka_unit_test(an_ill_stream_teaches_nothing),
        cmocka_unit_test(a_loaded_watch_goes_on_as_the_saved_one),
        cmocka_unit_test(spoilt_records_are_refused_or_read),
        cmocka_unit_test(allocations_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
