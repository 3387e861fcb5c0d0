/* Saved analysis state that was cut or flipped is refused or harmless; an allocation that fails costs the call, never the
 * state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/finding/book.h"
#include "coordinator/analysis/pipeline/pipeline.h"

#define SECOND ((int64_t)1000000000)
#define START  (1700000000 * SECOND)
enum { RECORDS_MAX = 256, KEY_MAX = 64 };

typedef struct saved { /* outside the heap under test */
    size_t n;
    struct {
        char key[KEY_MAX], *val;
        size_t key_n, val_n;
    } v[RECORDS_MAX];
} saved;

static ops_status keep(void *u, ops_slice key, ops_slice val)
{
    saved *s = u;
    if (val.n == 0)
        return OPS_OK;
    assert_true(s->n < RECORDS_MAX && key.n <= KEY_MAX);
    char *copy = (malloc)(val.n);
    assert_non_null(copy);
    memcpy(copy, val.p, val.n);
    memcpy(s->v[s->n].key, key.p, key.n);
    s->v[s->n].key_n = key.n;
    s->v[s->n].val = copy;
    s->v[s->n++].val_n = val.n;
    return OPS_OK;
}

static void forget(saved *s)
{
    for (size_t i = 0; i < s->n; i++)
        (free)(s->v[i].val);
    s->n = 0;
}

static ops_slice key_of(const saved *s, size_t i)
{
    return ops_slice_of(s->v[i].key, s->v[i].key_n);
}

static void to_book(void *u, const ops_candidate *c)
{
    if (u != NULL) {
        ops_status st = ops_finding_book_add(u, c, c->end_ns, NULL);
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
    }
}

static ops_pipeline *fresh(ops_finding_book *book)
{
    ops_pipeline *p = NULL;
    const ops_pipeline_limits lim = {
        .on_candidate = to_book, .u = book, .tenants_max = 4, .templates_per_tenant_max = 256};
    return ops_pipeline_new(&lim, &p, NULL) == OPS_OK ? p : NULL;
}

static ops_status say(ops_pipeline *p, const char *service, uint8_t severity, int64_t at, const char *text)
{
    const ops_event e = {.tenant = OPS_SLICE("t"),
                         .service = ops_slice_str(service),
                         .message = ops_slice_str(text),
                         .time_ns = at,
                         .severity = severity};
    return ops_pipeline_add(p, &e, NULL, NULL);
}

/* Second i of a small world: two services, one of them ill from `ill` on. `each` is called for every record. */
static ops_status second(ops_pipeline *p, int i, int ill)
{
    char text[96];
    int64_t now = START + i * SECOND;
    ops_status st = OPS_OK;
    for (int k = 0; st == OPS_OK && k < 3; k++) {
        snprintf(text, sizeof text, "GET /items/%d answered in %d ms", i * 3 + k, k);
        st = say(p, "web", 9, now + k, text);
    }
    if (st == OPS_OK)
        st = i < ill ? say(p, "app", 9, now + 5, "order stored")
                     : say(p, "app", 17, now + 5, "order lost: connection to database refused");
    return st;
}

static void grow(ops_pipeline *p, int from, int to, int ill)
{
    for (int i = from; i < to; i++)
        assert_int_equal(second(p, i, ill), OPS_OK);
}

/* Loads all records with number `at` replaced, and lives on with what came of it. */
static ops_status live_on(const saved *s, size_t at, ops_slice spoilt)
{
    ops_pipeline *p = fresh(NULL);
    ops_err err = {0};
    ops_status st = OPS_OK;
    assert_non_null(p);
    for (size_t i = 0; st == OPS_OK && i < s->n; i++)
        st = ops_pipeline_load(p, key_of(s, i), i == at ? spoilt : ops_slice_of(s->v[i].val, s->v[i].val_n),
                               &err);
    if (st == OPS_OK)
        st = ops_pipeline_load_done(p, &err);
    if (st == OPS_OK) {
        saved again = {0};
        grow(p, 500, 530, 0);
        assert_int_equal(ops_pipeline_tick(p, SECOND, NULL), OPS_OK);
        assert_int_equal(ops_pipeline_tick(p, 90 * SECOND, NULL), OPS_OK);
        assert_int_equal(ops_pipeline_advance(p, START + 700 * SECOND, NULL), OPS_OK);
        assert_int_equal(ops_pipeline_save_dirty(p, keep, &again, NULL), OPS_OK);
        forget(&again);
    } else {
        assert_true(err.msg[0] != '\0');
    }
    ops_pipeline_free(p);
    return st;
}

static ops_status book_live_on(const saved *s, size_t at, ops_slice spoilt)
{
    ops_finding_book *b = NULL;
    ops_err err = {0};
    ops_status st = OPS_OK;
    assert_int_equal(ops_finding_book_new(NULL, &b, NULL), OPS_OK);
    for (size_t i = 0; st == OPS_OK && i < s->n; i++)
        st = ops_finding_book_load(b, key_of(s, i),
                                   i == at ? spoilt : ops_slice_of(s->v[i].val, s->v[i].val_n), &err);
    if (st == OPS_OK)
        st = ops_finding_book_load_done(b, &err);
    if (st == OPS_OK) {
        const ops_candidate c = {.kind = OPS_CANDIDATE_SILENT,
                                 .severity = OPS_LEVEL_ERROR,
                                 .tenant = OPS_SLICE("t"),
                                 .service = OPS_SLICE("app"),
                                 .statistic = "x",
                                 .score = 20,
                                 .words = OPS_SLICE("words"),
                                 .start_ns = START + 400 * SECOND,
                                 .end_ns = START + 410 * SECOND};
        assert_int_equal(ops_finding_book_add(b, &c, c.end_ns, NULL), OPS_OK);
        assert_int_equal(ops_finding_book_tick(b, START + 9999 * SECOND, NULL), OPS_OK);
    } else {
        assert_true(err.msg[0] != '\0');
    }
    ops_finding_book_free(b);
    return st;
}

typedef ops_status (*survivor)(const saved *s, size_t at, ops_slice spoilt);

/* Every record cut at every length (long ones at every seventh) and with bits of every byte flipped. */
static void spoil_all(const saved *s, survivor live)
{
    size_t refused = 0;
    for (size_t r = 0; r < s->n; r++) {
        size_t n = s->v[r].val_n, step = n > 600 ? 7 : 1;
        for (size_t cut = 0; cut < n; cut += step) {
            char *part = (malloc)(cut > 0 ? cut : 1); /* its own block: a read past the end shows */
            memcpy(part, s->v[r].val, cut);
            assert_int_equal(live(s, r, ops_slice_of(part, cut)), OPS_ECORRUPT);
            (free)(part);
        }
        for (size_t at = 0; at < n; at += step)
            for (int bit = 0; bit < 8; bit += 7) {
                s->v[r].val[at] = (char)(s->v[r].val[at] ^ (1 << bit));
                ops_status st = live(s, r, ops_slice_of(s->v[r].val, n));
                assert_true(st == OPS_OK || st == OPS_ECORRUPT);
                refused += st == OPS_ECORRUPT;
                s->v[r].val[at] = (char)(s->v[r].val[at] ^ (1 << bit));
            }
        assert_int_equal(live(s, r, ops_slice_of(s->v[r].val, n)), OPS_OK);
    }
    assert_true(refused > 0);
}

static void a_world(saved *pipeline, saved *findings)
{
    ops_finding_book *b = NULL;
    assert_int_equal(ops_finding_book_new(NULL, &b, NULL), OPS_OK);
    ops_pipeline *p = fresh(b);
    assert_non_null(p);
    grow(p, 0, 420, 370);
    ops_finding_stats st;
    ops_finding_book_stats_get(b, &st);
    assert_true(st.opened > 0 && st.open > 0);
    if (pipeline != NULL)
        assert_int_equal(ops_pipeline_save_dirty(p, keep, pipeline, NULL), OPS_OK);
    if (findings != NULL)
        assert_int_equal(ops_finding_book_save_dirty(b, keep, findings, NULL), OPS_OK);
    ops_pipeline_free(p);
    ops_finding_book_free(b);
}

static void spoilt_state_is_refused_or_harmless(void **state)
{
    (void)state;
    saved s = {0};
    a_world(&s, NULL);
    assert_true(s.n > 4);
    spoil_all(&s, live_on);
    forget(&s);
}

static void spoilt_findings_are_refused_or_harmless(void **state)
{
    (void)state;
    saved s = {0};
    a_world(NULL, &s);
    assert_true(s.n > 1);
    spoil_all(&s, book_live_on);
    forget(&s);
}

static void a_lineage_in_a_circle_is_refused(void **state)
{
    (void)state;
    saved s = {0};
    ops_pipeline *p = fresh(NULL);
    static const char *const users[] = {"root", "admin", "guest", "alice"};
    char text[96];
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof text, "the session of user %s was closed by hand", users[i]);
        assert_int_equal(say(p, "sshd", 9, START + i, text), OPS_OK);
    }
    assert_int_equal(ops_pipeline_save_dirty(p, keep, &s, NULL), OPS_OK);
    ops_pipeline_free(p);
    size_t rows[RECORDS_MAX], n = 0;
    for (size_t i = 0; i < s.n; i++)
        if (s.v[i].key[0] == 'k' && s.v[i].key[5] == 'f')
            rows[n++] = i;
    assert_true(n >= 2);
    /* the first two rows: old id -> new id, each now the other's */
    memcpy(s.v[rows[0]].val, s.v[rows[1]].key + 6, 8);
    memcpy(s.v[rows[1]].val, s.v[rows[0]].key + 6, 8);
    assert_int_equal(live_on(&s, SIZE_MAX, (ops_slice){"", 0}), OPS_ECORRUPT);
    forget(&s);
}

/* The nth allocation of adding fails: the record is refused or taken, and taken when it comes again. */
static void adding_survives_every_failed_allocation(void **state)
{
    (void)state;
    long live = ops_alloc_live();
    for (long nth = 1; nth < 160; nth++) {
        ops_finding_book *b = NULL;
        assert_int_equal(ops_finding_book_new(NULL, &b, NULL), OPS_OK);
        ops_pipeline *p = fresh(b);
        uint64_t taken = 0;
        ops_alloc_fail_at(nth);
        for (int i = 0; i < 30; i++) {
            char text[96];
            snprintf(text, sizeof text, "message %c%c about thing number %d", 'a' + i % 26, 'b' + i / 5, i);
            for (int again = 0; again < 2; again++) {
                ops_status st =
                    say(p, i % 3 == 0 ? "web" : "app", i % 2 == 0 ? 17 : 9, START + i * SECOND, text);
                assert_true(st == OPS_OK || st == OPS_ENOMEM);
                taken += st == OPS_OK;
                if (st == OPS_OK)
                    break;
                assert_int_equal(again, 0); /* one allocation fails once */
            }
        }
        ops_alloc_fail_at(0);
        assert_int_equal(taken, 30);
        ops_pipeline_stats st;
        ops_pipeline_stats_get(p, &st);
        assert_int_equal(st.records, 30);
        ops_pipeline_free(p);
        ops_finding_book_free(b);
        assert_int_equal(ops_alloc_live(), live);
    }
}

static void telling_survives_every_failed_allocation(void **state)
{
    (void)state;
    long live = ops_alloc_live();
    for (long nth = 1; nth < 120; nth++) {
        ops_finding_book *b = NULL;
        assert_int_equal(ops_finding_book_new(NULL, &b, NULL), OPS_OK);
        ops_pipeline *p = fresh(b);
        grow(p, 0, 370, 370);
        ops_alloc_fail_at(nth);
        for (int i = 370; i < 420; i++) {
            ops_status st = second(p, i, 370);
            assert_true(st == OPS_OK || st == OPS_ENOMEM);
        }
        ops_alloc_fail_at(0);
        size_t iter = 0;
        for (ops_finding f; ops_finding_book_next(b, &iter, &f);)
            for (size_t i = 0; i < f.evidence_count; i++)
                assert_true(f.evidence[i].text.p != NULL && f.evidence[i].service.p != NULL);
        ops_pipeline_free(p);
        ops_finding_book_free(b);
        assert_int_equal(ops_alloc_live(), live);
    }
}

static void saving_and_loading_survive_every_failed_allocation(void **state)
{
    (void)state;
    saved whole = {0}, found = {0};
    a_world(&whole, &found);
    long live = ops_alloc_live();
    bool refused = true;
    for (long nth = 1; refused; nth++) {
        ops_finding_book *b = NULL;
        ops_alloc_fail_at(nth);
        ops_pipeline *p = fresh(NULL);
        ops_status st = p != NULL ? OPS_OK : OPS_ENOMEM;
        for (size_t i = 0; st == OPS_OK && i < whole.n; i++)
            st =
                ops_pipeline_load(p, key_of(&whole, i), ops_slice_of(whole.v[i].val, whole.v[i].val_n), NULL);
        if (st == OPS_OK)
            st = ops_pipeline_load_done(p, NULL);
        if (st == OPS_OK)
            st = ops_finding_book_new(NULL, &b, NULL);
        for (size_t i = 0; st == OPS_OK && i < found.n; i++)
            st = ops_finding_book_load(b, key_of(&found, i), ops_slice_of(found.v[i].val, found.v[i].val_n),
                                       NULL);
        if (st == OPS_OK)
            st = second(p, 500, 0);
        saved out = {0};
        if (st == OPS_OK)
            st = ops_pipeline_save_dirty(p, keep, &out, NULL);
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || st == OPS_ENOMEM); /* a heap that is out is no corruption */
        refused = nth < 2000 && (st == OPS_ENOMEM || nth < 40);
        forget(&out);
        ops_pipeline_free(p);
        ops_finding_book_free(b);
        assert_int_equal(ops_alloc_live(), live);
    }
    forget(&whole);
    forget(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spoilt_state_is_refused_or_harmless),
        cmocka_unit_test(spoilt_findings_are_refused_or_harmless),
        cmocka_unit_test(a_lineage_in_a_circle_is_refused),
        cmocka_unit_test(adding_survives_every_failed_allocation),
        cmocka_unit_test(telling_survives_every_failed_allocation),
        cmocka_unit_test(saving_and_loading_survive_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
