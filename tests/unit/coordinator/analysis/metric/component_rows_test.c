/* A component whose columns others judge: what goes its own way within its own range, what stays quiet, saved and loaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/metric/component.h"
#include "tests/unit/coordinator/analysis/metric/synth.h"

enum { COLUMNS = 6, STEP_S = 60, DAY_ROWS = 1440, SAVED_MAX = 1 << 20 };

static const ops_component_rows conf = {
    .samples_per_false_alert = 1e6, .quiet_ns = 86400 * SECOND_NS, .step_ns = STEP_S * SECOND_NS};

/* A load that clings to itself drives four columns; two are their own. */
static void quiet_row(synth *s, double *row)
{
    s->walk = 0.8 * s->walk + synth_noise(s);
    for (int j = 0; j < 4; j++)
        row[j] = s->walk + 0.3 * synth_noise(s);
    row[4] = synth_noise(s);
    row[5] = synth_noise(s);
}

static ops_component_verdict add(ops_component *c, int64_t i, const double *row)
{
    ops_component_verdict v;
    assert_int_equal(ops_component_add(c, START_NS + i * STEP_S * SECOND_NS, row, &v), OPS_OK);
    return v;
}

/* Quiet rows up to row `to`; answers the alerts. */
static int play(ops_component *c, synth *s, int64_t *i, int64_t to)
{
    int alerts = 0;
    for (; *i < to; ++*i) {
        double row[COLUMNS];
        quiet_row(s, row);
        alerts += add(c, *i, row).alert;
    }
    return alerts;
}

static ops_component *make(void)
{
    ops_component *c = NULL;
    assert_int_equal(ops_component_new_rows(COLUMNS, &conf, &c, NULL), OPS_OK);
    return c;
}

/* Column 2 keeps its values and moves with another load: nothing but what it does beside the others tells it. */
static void a_column_that_goes_its_own_way_is_told(void **state)
{
    (void)state;
    OPS_AUTO(ops_component_free) ops_component *c = make();
    synth s = {.state = 3}, other = {.state = 4};
    int64_t i = 0;
    int alerts = 0;
    assert_int_equal(play(c, &s, &i, 3 * DAY_ROWS), 0);
    const int64_t from = i;
    for (; i < from + 120; i++) {
        double row[COLUMNS], elsewhere[COLUMNS];
        quiet_row(&s, row);
        quiet_row(&other, elsewhere);
        row[2] = elsewhere[2];
        const ops_component_verdict v = add(c, i, row);
        alerts += v.alert;
        if (!v.alert)
            continue;
        ops_component_pull pull[COLUMNS + 1];
        assert_int_equal(ops_component_pulls(c, pull, COLUMNS + 1), COLUMNS);
        assert_int_equal(v.column, 2);
        assert_int_equal(pull[0].column, 2);
        assert_true(pull[0].seen == row[2]);
        /* The others let expect about their own load of it. */
        assert_true(fabs(pull[0].expected - s.walk) < 0.6 && pull[0].sd > 0.1 && pull[0].sd < 0.6);
        assert_true(pull[0].share > 0.3 && pull[0].share >= pull[1].share);
        assert_true(v.unusual >= 6);
        assert_true(v.since_ns >= START_NS + (from - 30) * STEP_S * SECOND_NS &&
                    v.since_ns <= START_NS + i * STEP_S * SECOND_NS);
    }
    assert_in_range(alerts, 1, 2); /* again when it is a thousand times more unusual */
}

/* And when it stays so, that becomes the usual: a day later it is quiet. */
static void what_lasts_becomes_the_usual(void **state)
{
    (void)state;
    OPS_AUTO(ops_component_free) ops_component *c = make();
    synth s = {.state = 5};
    int64_t i = 0;
    int alerts = 0;
    (void)play(c, &s, &i, 3 * DAY_ROWS);
    for (int64_t to = i + 3 * DAY_ROWS; i < to; i++) {
        double row[COLUMNS];
        quiet_row(&s, row);
        row[1] += 3;
        const ops_component_verdict v = add(c, i, row);
        alerts += v.alert;
        assert_true(to - i > 2 * DAY_ROWS || !v.alert);
    }
    assert_true(alerts >= 1);
}

static void nothing_is_told_in_the_first_day(void **state)
{
    (void)state;
    OPS_AUTO(ops_component_free) ops_component *c = make();
    synth s = {.state = 6};
    int64_t i = 0;
    assert_int_equal(play(c, &s, &i, DAY_ROWS - 60), 0);
    for (; i < DAY_ROWS; i++) {
        double row[COLUMNS];
        quiet_row(&s, row);
        row[0] = -row[0] + 4;
        assert_false(add(c, i, row).alert);
    }
}

/* One in a million rows is promised, and ten columns' worth of samples are judged a row. */
static void quiet_weeks_stay_quiet(void **state)
{
    (void)state;
    int alerts = 0;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        OPS_AUTO(ops_component_free) ops_component *c = make();
        synth s = {.state = seed};
        int64_t i = 0;
        alerts += play(c, &s, &i, 14 * DAY_ROWS);
    }
    assert_int_equal(alerts, 0);
}

static ops_component *again(ops_component *c, ops_strbuf *text)
{
    ops_component *loaded = NULL;
    ops_strbuf_clear(text);
    ops_component_save(c, text);
    assert_false(text->failed);
    assert_int_equal(ops_component_load(ops_strbuf_get(text), &loaded, NULL), OPS_OK);
    return loaded;
}

static void saved_and_loaded_it_goes_on(void **state)
{
    (void)state;
    ops_strbuf text;
    ops_strbuf_init(&text, SAVED_MAX);
    OPS_AUTO(ops_component_free) ops_component *a = make(), *b = make();
    synth s = {.state = 7};
    int alerts = 0;
    for (int64_t i = 0; i < 2 * DAY_ROWS; i++) {
        double row[COLUMNS];
        quiet_row(&s, row);
        row[3] = i > 2 * DAY_ROWS - 100 ? -row[3] : i % 91 == 0 ? NAN : row[3];
        const ops_component_verdict va = add(a, i, row), vb = add(b, i, row);
        assert_true(va.alert == vb.alert && va.unusual == vb.unusual && va.score == vb.score &&
                    va.column == vb.column && va.since_ns == vb.since_ns);
        alerts += va.alert;
        if (i % 37 != 0)
            continue;
        ops_component *loaded = again(b, &text);
        ops_component_free(b);
        b = loaded;
    }
    assert_true(alerts > 0);
    assert_int_equal(ops_component_columns(b), COLUMNS);
    ops_strbuf_done(&text);
}

/* Cut bytes are refused; a byte that is another is refused or harmless. */
static void spoilt_bytes_do_no_harm(void **state)
{
    (void)state;
    ops_strbuf text;
    ops_strbuf_init(&text, SAVED_MAX);
    OPS_AUTO(ops_component_free) ops_component *c = make();
    synth s = {.state = 8};
    int64_t i = 0;
    (void)play(c, &s, &i, 600);
    ops_component_save(c, &text);
    for (size_t n = 0; n < text.n; n += 7) {
        ops_component *got = NULL;
        assert_int_equal(ops_component_load(ops_slice_of(text.p, n), &got, NULL), OPS_ECORRUPT);
    }
    for (size_t at = 0; at < text.n; at += 5) {
        OPS_AUTO(ops_component_free) ops_component *got = NULL;
        text.p[at] = (char)(text.p[at] ^ 0x55);
        if (ops_component_load(ops_strbuf_get(&text), &got, NULL) == OPS_OK) {
            const double row[COLUMNS] = {1, -1, 2, 0, 3, NAN};
            ops_component_verdict v;
            ops_component_pull pull[3];
            assert_int_equal(ops_component_add(got, START_NS + 601 * STEP_S * SECOND_NS, row, &v), OPS_OK);
            (void)ops_component_pulls(got, pull, 3);
        }
        text.p[at] = (char)(text.p[at] ^ 0x55);
    }
    ops_strbuf_done(&text);
}

static void failed_allocations_leave_nothing_behind(void **state)
{
    (void)state;
    for (long nth = 1; nth < 20; nth++) {
        const long live = ops_alloc_live();
        ops_component *c = NULL;
        ops_alloc_fail_at(nth);
        const ops_status st = ops_component_new_rows(COLUMNS, &conf, &c, NULL);
        ops_alloc_fail_at(0);
        ops_component_free(c);
        assert_int_equal(ops_alloc_live(), live);
        if (st == OPS_OK)
            return;
        assert_int_equal(st, OPS_ENOMEM);
    }
    fail_msg("never made");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_column_that_goes_its_own_way_is_told),
        cmocka_unit_test(what_lasts_becomes_the_usual),
        cmocka_unit_test(nothing_is_told_in_the_first_day),
        cmocka_unit_test(quiet_weeks_stay_quiet),
        cmocka_unit_test(saved_and_loaded_it_goes_on),
        cmocka_unit_test(spoilt_bytes_do_no_harm),
        cmocka_unit_test(failed_allocations_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
