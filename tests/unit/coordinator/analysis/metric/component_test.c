/* Several columns together: what no column shows alone, what a day explains, what the normal stretch decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/analysis/metric/component.h"
#include "tests/unit/coordinator/analysis/metric/synth.h"

enum { COLUMNS = 6, TRAIN = 3000, STEP_S = 300 };

/* Load drives columns 0 to 3, columns 4 and 5 are their own; all follow the day but column 5, which never moves. */
static void quiet_row(synth *s, int64_t i, double *row)
{
    int64_t t = START_NS + i * STEP_S * SECOND_NS;
    double load = 10 * synth_noise(s);
    for (int j = 0; j < 4; j++)
        row[j] = 200 + 50 * synth_day(t) + load * (j + 1) + synth_noise(s);
    row[4] = 70 + 30 * synth_day(t) + 3 * synth_noise(s);
    row[5] = 42;
}

static ops_component *taught(synth *s, int64_t *ret_rows)
{
    ops_component *c = NULL;
    assert_int_equal(ops_component_new(COLUMNS, TRAIN, &c, NULL), OPS_OK);
    for (*ret_rows = 0; *ret_rows < TRAIN + 200; ++*ret_rows) {
        double row[COLUMNS];
        ops_component_verdict v;
        quiet_row(s, *ret_rows, row);
        assert_int_equal(ops_component_add(c, START_NS + *ret_rows * STEP_S * SECOND_NS, row, &v), OPS_OK);
    }
    return c;
}

/* Adds `n` rows with `spoil` applied; answers the mean score and the alerts. */
static double play(ops_component *c, synth *s, int64_t *i, int n, void (*spoil)(double *row), int *ret_alerts,
                   ops_component_verdict *ret_last)
{
    double sum = 0;
    *ret_alerts = 0;
    for (int k = 0; k < n; k++, ++*i) {
        double row[COLUMNS];
        quiet_row(s, *i, row);
        if (spoil != NULL)
            spoil(row);
        assert_int_equal(ops_component_add(c, START_NS + *i * STEP_S * SECOND_NS, row, ret_last), OPS_OK);
        sum += ret_last->score;
        *ret_alerts += ret_last->alert;
    }
    return sum / n;
}

static void against_the_others(double *row)
{
    row[2] = 400 - row[2]; /* in its own range, but it moves the wrong way */
}

static void away(double *row)
{
    row[4] += 40;
}

static void moved(double *row)
{
    row[5] = 43;
}

static void lost(double *row)
{
    row[1] = NAN;
}

static void faults_stand_out_and_are_told(void **state)
{
    (void)state;
    void (*const faults[])(double *) = {against_the_others, away, moved};
    const size_t columns[] = {2, 4, 5};
    for (size_t f = 0; f < 3; f++) {
        synth s = {.state = 21};
        int64_t i;
        int alerts, none;
        ops_component_verdict v;
        OPS_AUTO(ops_component_free) ops_component *c = taught(&s, &i);
        double quiet = play(c, &s, &i, 300, NULL, &none, &v);
        assert_true(v.fitted && none <= 1);
        double ill = play(c, &s, &i, 30, faults[f], &alerts, &v);
        assert_true(ill >
                    (f == 0 ? 1.2 : 2) * quiet); /* the ridge makes little of what only moves the wrong way */
        assert_true(alerts >= 1);
        assert_true(f == 0 || v.column == columns[f]);
        if (f == 1)
            assert_true(v.value > v.high && v.low < v.high);
        play(c, &s, &i, 700, NULL, &none, &v);
        assert_true(v.score < 1.5 * quiet + 0.5); /* and is over when it is over */
    }
}

/* What is no number says nothing and breaks nothing. */
static void a_lost_column_is_borne(void **state)
{
    (void)state;
    synth s = {.state = 5};
    int64_t i;
    int alerts;
    ops_component_verdict v;
    OPS_AUTO(ops_component_free) ops_component *c = taught(&s, &i);
    double quiet = play(c, &s, &i, 300, NULL, &alerts, &v);
    double ill = play(c, &s, &i, 300, lost, &alerts, &v);
    assert_true(isfinite(ill) && ill < 3 * quiet && alerts <= 1);
    const double nothing[COLUMNS] = {NAN, INFINITY, -INFINITY, NAN, NAN, NAN};
    assert_int_equal(ops_component_add(c, START_NS + i * STEP_S * SECOND_NS, nothing, &v), OPS_OK);
    assert_true(isfinite(v.score));
}

/* With no normal stretch known it learns from 256 rows on. */
static void it_learns_by_itself(void **state)
{
    (void)state;
    OPS_AUTO(ops_component_free) ops_component *c = NULL;
    synth s = {.state = 6};
    ops_component_verdict v;
    assert_int_equal(ops_component_new(COLUMNS, 0, &c, NULL), OPS_OK);
    for (int64_t i = 0; i < 700; i++) {
        double row[COLUMNS];
        quiet_row(&s, i, row);
        if (i == 699)
            away(row);
        assert_int_equal(ops_component_add(c, START_NS + i * STEP_S * SECOND_NS, row, &v), OPS_OK);
        assert_int_equal(v.fitted, i >= 256);
    }
    assert_int_equal(v.column, 4);
}

static void late_and_repeated_rows_change_nothing(void **state)
{
    (void)state;
    synth s = {.state = 7}, s2 = {.state = 7};
    int64_t i, i2;
    OPS_AUTO(ops_component_free) ops_component *a = taught(&s, &i), *b = taught(&s2, &i2);
    for (int k = 0; k < 50; k++, i++) {
        double row[COLUMNS], wild[COLUMNS] = {1e9, 1e9, 1e9, 1e9, 1e9, 1e9};
        ops_component_verdict va, vb, vc;
        int64_t t = START_NS + i * STEP_S * SECOND_NS;
        quiet_row(&s, i, row);
        assert_int_equal(ops_component_add(a, t, row, &va), OPS_OK);
        assert_int_equal(ops_component_add(b, t, row, &vb), OPS_OK);
        assert_true(va.score == vb.score && va.alert == vb.alert);
        assert_int_equal(ops_component_add(b, t, wild, &vc), OPS_OK);
        assert_true(vc.score == vb.score && !vc.alert);
        assert_int_equal(ops_component_add(b, 5, wild, &vc), OPS_OK);
    }
}

static void any_bits_are_survived(void **state)
{
    (void)state;
    synth s = {.state = 77};
    OPS_AUTO(ops_component_free) ops_component *c = NULL;
    assert_int_equal(ops_component_new(COLUMNS, 300, &c, NULL), OPS_OK);
    for (int64_t i = 0; i < 3000; i++) {
        double row[COLUMNS];
        ops_component_verdict v;
        for (int j = 0; j < COLUMNS; j++) {
            uint64_t bits = synth_next(&s);
            memcpy(&row[j], &bits, sizeof bits);
        }
        assert_int_equal(ops_component_add(c, START_NS + i * STEP_S * SECOND_NS, row, &v), OPS_OK);
        assert_true(isfinite(v.score) && v.score >= 0 && v.unusual >= 0 && v.column < COLUMNS);
    }
}

static void columns_are_bounded(void **state)
{
    (void)state;
    ops_component *c = NULL;
    ops_err err;
    assert_int_equal(ops_component_new(0, 0, &c, &err), OPS_EINVAL);
    assert_int_equal(ops_component_new(OPS_COMPONENT_COLUMNS_MAX + 1, 0, &c, &err), OPS_EINVAL);
    assert_null(c);
    assert_non_null(strstr(err.msg, "257"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_stand_out_and_are_told),
        cmocka_unit_test(a_lost_column_is_borne),
        cmocka_unit_test(it_learns_by_itself),
        cmocka_unit_test(late_and_repeated_rows_change_nothing),
        cmocka_unit_test(any_bits_are_survived),
        cmocka_unit_test(columns_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
