/* Sessions that want to break the model: endless, all alike, all different, with every allocation failing once; and the
 * offline command over hostile files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/sequence/offline.h"
#include "coordinator/analysis/sequence/sequence.h"
#include "tests/support/flows.h"

typedef struct text {
    const char *p;
    size_t n, at;
} text;

static ops_status read_text(void *u, ops_slice *ret, ops_err *reterr)
{
    (void)reterr;
    text *t = u;
    if (t->at >= t->n)
        return OPS_ENOTFOUND;
    const char *line = t->p + t->at, *end = memchr(line, '\n', t->n - t->at);
    size_t n = end != NULL ? (size_t)(end - line) : t->n - t->at;
    *ret = ops_slice_of(line, n);
    t->at += n + 1;
    return OPS_OK;
}

typedef struct sheet {
    char p[8192];
    size_t n;
} sheet;

static ops_status write_text(void *u, ops_slice rows, ops_err *reterr)
{
    (void)reterr;
    sheet *s = u;
    assert_true(s->n + rows.n < sizeof s->p);
    memcpy(s->p + s->n, rows.p, rows.n);
    s->n += rows.n;
    s->p[s->n] = '\0';
    return OPS_OK;
}

static ops_status run(ops_slice train, ops_slice test, bool explain, sheet *out, ops_err *reterr)
{
    text a = {train.p, train.n, 0}, b = {test.p, test.n, 0};
    out->n = 0;
    out->p[0] = '\0';
    const ops_sequences_io io = {
        .read = read_text, .train = &a, .test = &b, .write = write_text, .out = out, .explain = explain};
    return ops_sequences_offline(&io, reterr);
}

#define TRAIN OPS_SLICE("n1\ta b c\nn2\ta b c\nn3\ta b b c\nn4\ta b c\nn5\ta c b\nn6\ta b c\nn7\ta b c\n")

static void every_allocation_fails_once(void **state)
{
    (void)state;
    static sheet out, want;
    const ops_slice test = OPS_SLICE("s1\ta b c\ns2\tz z a\ns3\t\n");
    assert_int_equal(run(TRAIN, test, true, &want, NULL), OPS_OK);
    assert_true(want.n > 0);
    long live = ops_alloc_live();
    for (long nth = 1;; nth++) {
        ops_err err = {0};
        ops_alloc_fail_at(nth);
        ops_status st = run(TRAIN, test, true, &out, &err);
        ops_alloc_fail_at(0);
        assert_int_equal(ops_alloc_live(), live);
        if (st == OPS_OK) {
            assert_string_equal(out.p, want.p);
            break;
        }
        assert_int_equal(st, OPS_ENOMEM);
        assert_true(err.msg[0] != '\0');
    }
}

static void rows_answer_in_order(void **state)
{
    (void)state;
    static sheet out;
    ops_err err;
    assert_int_equal(run(TRAIN,
                         OPS_SLICE("s 1\ta b c\n\nt\x80\tq\n"
                                   "u\t a  b\tc\r\nlast\t"),
                         false, &out, &err),
                     OPS_OK);
    char *row = out.p, *next;
    static const char *const ids[] = {"s 1\t", "t\x80\t", "u\t", "last\t"};
    for (size_t i = 0; i < 4; i++, row = next + 1) {
        next = strchr(row, '\n');
        assert_non_null(next);
        assert_memory_equal(row, ids[i], strlen(ids[i]));
        assert_true(next[-2] == '\t' && (i == 3 || next[-1] == (i == 1 ? '1' : '0')));
    }
    assert_string_equal(row, "");
}

static void bad_files_are_named(void **state)
{
    (void)state;
    static sheet out;
    ops_err err;
    assert_int_equal(run(OPS_SLICE("n1\ta\n\nno tab here\n"), TRAIN, false, &out, &err), OPS_ECORRUPT);
    assert_non_null(strstr(err.msg, "training file, line 3"));
    assert_int_equal(run(TRAIN, OPS_SLICE("x\ty\nz\n"), false, &out, &err), OPS_ECORRUPT);
    assert_non_null(strstr(err.msg, "test file, line 2"));
    assert_int_equal(run(OPS_SLICE("\n\n"), TRAIN, false, &out, &err), OPS_ECORRUPT);
}

static void order_of_calls(void **state)
{
    (void)state;
    ops_sequence *s = NULL;
    ops_sequence_verdict v;
    const uint64_t ev[3] = {1, 2, 3};
    assert_int_equal(ops_sequence_new(-1, &s, NULL), OPS_EINVAL);
    assert_int_equal(ops_sequence_new(NAN, &s, NULL), OPS_EINVAL);
    assert_int_equal(ops_sequence_new(1, &s, NULL), OPS_EINVAL);
    assert_null(s);
    assert_int_equal(ops_sequence_new(0, &s, NULL), OPS_OK);
    assert_int_equal(ops_sequence_fit(s, NULL), OPS_ECONFLICT);
    assert_int_equal(ops_sequence_judge(s, ev, 3, &v, NULL), OPS_ECONFLICT);
    assert_int_equal(ops_sequence_learn(s, ev, 3, NULL), OPS_OK);
    assert_int_equal(ops_sequence_fit(s, NULL), OPS_OK);
    assert_int_equal(ops_sequence_learn(s, ev, 3, NULL), OPS_ECONFLICT);
    assert_int_equal(ops_sequence_fit(s, NULL), OPS_ECONFLICT);
    assert_int_equal(ops_sequence_judge(s, ev, 3, &v, NULL), OPS_OK);
    assert_true(isfinite(v.score));
    ops_sequence_free(s);
}

static double score_of(ops_sequence *s, const uint64_t *ev, size_t n)
{
    ops_sequence_verdict v;
    assert_int_equal(ops_sequence_judge(s, ev, n, &v, NULL), OPS_OK);
    assert_true(isfinite(v.score) && v.score >= 0);
    return v.score;
}

static void long_and_wild_sessions(void **state)
{
    (void)state;
    const size_t n = OPS_SEQUENCE_EVENTS_MAX + 5000;
    uint64_t *ev = (malloc)(n * sizeof *ev);
    assert_non_null(ev);
    flow rng = {.rng = 5};
    ops_sequence *s = NULL;
    assert_int_equal(ops_sequence_new(0, &s, NULL), OPS_OK);
    for (int session = 0; session < 8; session++) { /* every event another, most sessions empty or short */
        for (size_t i = 0; i < n; i++)
            ev[i] = session == 1 ? UINT64_MAX : (uint64_t)flow_random(&rng, UINT32_MAX) << 32 | i;
        assert_int_equal(ops_sequence_learn(s, ev, session < 3 ? n : (size_t)session - 3, NULL), OPS_OK);
    }
    assert_int_equal(ops_sequence_fit(s, NULL), OPS_OK);
    ops_sequence_info info;
    ops_sequence_get_info(s, &info);
    assert_int_equal(info.sessions, 8);
    assert_int_equal(info.sessions_cut, 3);
    assert_int_equal(info.kinds, OPS_SEQUENCE_KINDS_MAX);
    assert_true(info.events_over_kinds > 0);
    score_of(s, ev, 0);
    score_of(s, ev, n);
    for (size_t i = 0; i < n; i++)
        ev[i] = 7;
    score_of(s, ev, n);
    ops_sequence_free(s);
    (free)(ev);
}

static void the_same_sessions_give_the_same_model(void **state)
{
    (void)state;
    static flow f[2];
    static flow_session x, y;
    ops_sequence *s[2];
    for (int k = 0; k < 2; k++) {
        flow_init(&f[k], 3);
        assert_int_equal(ops_sequence_new(0, &s[k], NULL), OPS_OK);
        for (int i = 0; i < 300; i++) {
            flow_play(&f[k], &x);
            assert_int_equal(ops_sequence_learn(s[k], x.ev, x.n, NULL), OPS_OK);
        }
        assert_int_equal(ops_sequence_fit(s[k], NULL), OPS_OK);
    }
    for (int i = 0; i < 200; i++) {
        flow_play(&f[0], &x);
        flow_break(&f[0], &x, (flow_fault)(i % FLOW_FAULTS));
        y = x;
        double first = score_of(s[0], x.ev, x.n);
        assert_true(first == score_of(s[1], y.ev, y.n));
        assert_true(first == score_of(s[0], x.ev, x.n)); /* judging changes nothing */
    }
    ops_sequence_free(s[0]);
    ops_sequence_free(s[1]);
}

/* More distinct sessions than vectors are kept: the later ones still teach, and nothing grows past its bound. */
static void more_kinds_of_sessions_than_are_kept(void **state)
{
    (void)state;
    ops_sequence *s = NULL;
    assert_int_equal(ops_sequence_new(0, &s, NULL), OPS_OK);
    flow rng = {.rng = 9};
    uint64_t ev[40];
    for (int i = 0; i < 3000; i++) {
        size_t n = 30 + flow_random(&rng, 10);
        for (size_t k = 0; k < n; k++)
            ev[k] = 1 + flow_random(&rng, 20);
        assert_int_equal(ops_sequence_learn(s, ev, n, NULL), OPS_OK);
    }
    assert_int_equal(ops_sequence_fit(s, NULL), OPS_OK);
    ops_sequence_info info;
    ops_sequence_get_info(s, &info);
    int flagged = 0;
    for (int i = 0; i < 1000; i++) {
        for (size_t k = 0; k < 35; k++)
            ev[k] = 1 + flow_random(&rng, 20);
        flagged += score_of(s, ev, 35) > info.threshold;
    }
    assert_true(flagged <= 10);
    ops_sequence_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_fails_once),
        cmocka_unit_test(rows_answer_in_order),
        cmocka_unit_test(bad_files_are_named),
        cmocka_unit_test(order_of_calls),
        cmocka_unit_test(long_and_wild_sessions),
        cmocka_unit_test(the_same_sessions_give_the_same_model),
        cmocka_unit_test(more_kinds_of_sessions_than_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
