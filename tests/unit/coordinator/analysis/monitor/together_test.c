/* Series of a service seen together: what only the others tell is told, quiet weeks are quiet, and nothing that comes late, odd,
 * or not at all upsets it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/monitor/monitor.h"
#include "tests/unit/coordinator/analysis/metric/synth.h"
#include "tests/unit/coordinator/analysis/monitor/records.h"

enum { COLUMNS = 6, STEP_S = 60, DAY_STEPS = 1440 };

struct world {
    ops_monitor *m;
    size_t together, alone;
    int64_t first_ns, since_ns;
    size_t evidence_n;
    char words[4096], evidence[3][256];
    uint64_t hash; /* of all that was told */
    kept_records store;
    size_t views_written;
};

static void on_candidate(void *u, const ops_candidate *c)
{
    struct world *w = u;
    for (size_t i = 0; i < c->words.n; i++)
        w->hash = (w->hash ^ (uint8_t)c->words.p[i]) * UINT64_C(1099511628211);
    if (strcmp(c->statistic, "together") != 0) {
        w->alone++;
        return;
    }
    if (w->together++ > 0)
        return;
    assert_int_equal(c->kind, OPS_CANDIDATE_METRIC);
    assert_true(c->score >= 6 && c->p_value <= 1.1e-6);
    w->first_ns = c->end_ns;
    w->since_ns = c->start_ns;
    w->evidence_n = c->evidence_count;
    (void)snprintf(w->words, sizeof w->words, "%.*s", (int)c->words.n, c->words.p);
    for (size_t i = 0; i < c->evidence_count && i < 3; i++)
        (void)snprintf(w->evidence[i], sizeof w->evidence[i], "%.*s", (int)c->evidence[i].text.n,
                       c->evidence[i].text.p);
}

static void open_world(struct world *w, size_t views_max)
{
    const ops_monitor_limits limits = {.views_max = views_max, .on_candidate = on_candidate, .u = w};
    assert_int_equal(ops_monitor_new(&limits, &w->m, NULL), OPS_OK);
}

static void close_world(struct world *w)
{
    ops_monitor_free(w->m);
    records_done(&w->store);
}

static ops_monitor_stats stats(const struct world *w)
{
    ops_monitor_stats s;
    ops_monitor_stats_get(w->m, &s);
    return s;
}

static ops_status emit(void *u, ops_slice key, ops_slice val)
{
    struct world *w = u;
    w->views_written += key.p[1] == 'C' && val.n > 0;
    return records_put(&w->store, key, val);
}

static void reopen(struct world *w, size_t views_max)
{
    assert_int_equal(ops_monitor_save_dirty(w->m, emit, w, NULL), OPS_OK);
    ops_monitor_free(w->m);
    open_world(w, views_max);
    assert_int_equal(records_load(&w->store, w->m, NULL), OPS_OK);
}

static ops_monitor_fate add(struct world *w, const char *service, const char *name, ops_monitor_kind kind,
                            int64_t time_ns, double value, bool stale)
{
    const ops_monitor_sample x = {.tenant = OPS_SLICE("t"),
                                  .service = ops_slice_str(service),
                                  .series = ops_slice_str(name),
                                  .kind = kind,
                                  .stale = stale,
                                  .time_ns = time_ns,
                                  .recv_ns = time_ns + SECOND_NS,
                                  .value = value,
                                  .log_offset = 7};
    ops_monitor_fate fate;
    assert_int_equal(ops_monitor_add(w->m, &x, &fate, NULL), OPS_OK);
    return fate;
}

/* A day, a load that clings to itself, and what each column adds: the last two are their own. */
static void row_of(synth *s, int64_t i, double *row)
{
    s->walk = 0.9 * s->walk + 3 * synth_noise(s);
    const double load = 100 + 40 * synth_day(START_NS + i * STEP_S * SECOND_NS) + s->walk;
    for (int j = 0; j < 4; j++)
        row[j] = load * (j + 1) + 2 * (j + 1) * synth_noise(s);
    row[4] = 50 + 4 * synth_noise(s);
    row[5] = 20 + synth_noise(s);
}

static const char *const names[COLUMNS] = {"a", "b", "c{x=\"1\"}", "d", "e", "f"};

static void put_row(struct world *w, const char *service, int64_t i, const double *row)
{
    for (int j = 0; j < COLUMNS; j++)
        (void)add(w, service, names[j], OPS_MONITOR_GAUGE, START_NS + i * STEP_S * SECOND_NS + j * SECOND_NS,
                  row[j], false);
}

static void play(struct world *w, synth *s, int64_t *i, int64_t to)
{
    for (; *i < to; ++*i) {
        double row[COLUMNS];
        row_of(s, *i, row);
        put_row(w, "shop", *i, row);
    }
}

/* As `play`, but column c is that of another world like this one. */
static void play_apart(struct world *w, synth *s, synth *other, int64_t *i, int64_t to)
{
    for (; *i < to; ++*i) {
        double row[COLUMNS], elsewhere[COLUMNS];
        row_of(s, *i, row);
        row_of(other, *i, elsewhere);
        row[2] = elsewhere[2];
        put_row(w, "shop", *i, row);
    }
}

static void a_pair_that_parts_is_told_though_no_series_is_odd(void **state)
{
    (void)state;
    struct world w = {0};
    synth s = {.state = 11}, other = {.state = 12};
    int64_t i = 0;
    open_world(&w, 0);
    play(&w, &s, &i, 3 * DAY_STEPS);
    assert_true(stats(&w).views == 1 && stats(&w).view_bytes > 10000 && stats(&w).rows > 2 * DAY_STEPS);
    assert_int_equal(w.together + w.alone, 0);
    const int64_t broke_ns = START_NS + i * STEP_S * SECOND_NS;
    play_apart(&w, &s, &other, &i, i + 120);
    assert_int_equal(w.alone, 0);
    assert_in_range(w.together, 1, 2);
    assert_true(w.first_ns > broke_ns && w.first_ns < broke_ns + 3600 * SECOND_NS);
    assert_true(w.since_ns > broke_ns - 1800 * SECOND_NS && w.since_ns <= w.first_ns);
    assert_non_null(strstr(w.words, "6 series of shop seen together"));
    assert_non_null(strstr(w.words, "c{x=\"1\"} is "));
    assert_non_null(strstr(w.words, " goes with the others"));
    assert_non_null(strstr(w.words, ", since 2023-11-1"));
    assert_int_equal(w.evidence_n, 3);
    assert_memory_equal(w.evidence[0], "c{x=\"1\"} ", 9);
    for (int k = 0; k < 3; k++) { /* a name and a number each, and nothing of the next */
        const char *value = strrchr(w.evidence[k], ' ');
        double number;
        assert_true(value != NULL && value == strchr(w.evidence[k], ' '));
        assert_true(ops_slice_to_f64(ops_slice_str(value + 1), &number) && number > 0);
    }
    assert_int_equal(stats(&w).rows_told, w.together);
    close_world(&w);
}

/* The budget of one in a million rows, of weeks with a day and a load in them. */
static void quiet_weeks_tell_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct world w = {0};
        synth s = {.state = 100 * seed};
        int64_t i = 0;
        open_world(&w, 0);
        play(&w, &s, &i, 14 * DAY_STEPS);
        assert_true(stats(&w).rows > 13 * DAY_STEPS);
        assert_int_equal(w.together, 0);
        close_world(&w);
    }
}

/* Saved and loaded again and again, it says the same as one that never was. */
static void a_restart_in_the_middle_changes_no_verdict(void **state)
{
    (void)state;
    struct world plain = {0}, w = {0};
    struct world *const both[] = {&plain, &w};
    open_world(&plain, 0);
    open_world(&w, 0);
    synth s[2] = {{.state = 11}, {.state = 11}}, other[2] = {{.state = 12}, {.state = 12}};
    for (int64_t at = 0; at < 2 * DAY_STEPS + 200;) {
        const int64_t to = at + 17 + at % 61;
        for (int k = 0; k < 2; k++) {
            int64_t i = at;
            if (at < 2 * DAY_STEPS)
                play(both[k], &s[k], &i, to);
            else
                play_apart(both[k], &s[k], &other[k], &i, to);
        }
        at = to;
        reopen(&w, 0);
    }
    assert_true(plain.together > 0);
    assert_true(w.together == plain.together && w.alone == plain.alone && w.hash == plain.hash);
    assert_true(stats(&w).views == 1);
    assert_int_equal(stats(&w).view_bytes, stats(&plain).view_bytes);
    /* What a view knows is written once in 32 rows or a restart, whichever is later. */
    assert_true(w.views_written <= (2 * DAY_STEPS + 300) / 32 + 2);
    close_world(&plain);
    close_world(&w);
}

/* Within a step the order of samples says nothing; a step late they are left out, and no number is none. */
static void late_disordered_and_no_numbers_are_borne(void **state)
{
    (void)state;
    struct world w = {0};
    synth s = {.state = 21};
    open_world(&w, 0);
    for (int64_t i = 0; i < 2 * DAY_STEPS; i++) {
        const int64_t t = START_NS + i * STEP_S * SECOND_NS;
        double row[COLUMNS];
        row_of(&s, i, row);
        for (int k = 0; k < COLUMNS; k++) {
            const int j = (int)((k + i) % COLUMNS); /* another first each time */
            const bool lost = synth_share(&s) < 0.02;
            const double value = i % 97 == 3 && j == 1 ? NAN : i % 89 == 5 && j == 2 ? INFINITY : row[j];
            if (!lost)
                (void)add(&w, "shop", names[j], OPS_MONITOR_GAUGE, t - (j == 4 ? 40 * SECOND_NS : 0), value,
                          false);
        }
        /* Of ten minutes ago, in a series of its own. */
        (void)add(&w, "shop", "late", OPS_MONITOR_GAUGE, t - 600 * SECOND_NS, row[0], false);
    }
    assert_int_equal(w.together, 0);
    assert_true(stats(&w).rows > DAY_STEPS);
    assert_true(stats(&w).rows_late > 0);
    close_world(&w);
}

/* An ended column stands for nothing; where most have ended there are no rows. */
static void an_end_ends_a_column(void **state)
{
    (void)state;
    struct world w = {0};
    synth s = {.state = 31};
    int64_t i = 0;
    open_world(&w, 0);
    play(&w, &s, &i, 2 * DAY_STEPS);
    for (int j = 0; j < 4; j++)
        assert_int_equal(
            add(&w, "shop", names[j], OPS_MONITOR_GAUGE, START_NS + i * STEP_S * SECOND_NS, 0, true),
            OPS_MONITOR_ENDED);
    const uint64_t rows = stats(&w).rows;
    for (int64_t to = i + 30; i < to; i++) {
        double row[COLUMNS];
        row_of(&s, i, row);
        for (int j = 4; j < COLUMNS; j++)
            (void)add(&w, "shop", names[j], OPS_MONITOR_GAUGE, START_NS + (i + 1) * STEP_S * SECOND_NS,
                      row[j], false);
    }
    assert_true(stats(&w).rows <= rows + 2);
    /* They come back, and it goes on. */
    i++;
    play(&w, &s, &i, i + 60);
    assert_true(stats(&w).rows >= rows + 50);
    assert_int_equal(w.together, 0);
    close_world(&w);
}

/* Series that come and go beside those that stay do not set back what was learnt. */
static void churn_does_not_move_the_columns(void **state)
{
    (void)state;
    struct world w = {0};
    synth s = {.state = 41}, other = {.state = 42};
    char pod[32];
    open_world(&w, 0);
    for (int64_t i = 0; i < 3 * DAY_STEPS + 120; i++) {
        double row[COLUMNS], elsewhere[COLUMNS];
        row_of(&s, i, row);
        row_of(&other, i, elsewhere);
        if (i >= 3 * DAY_STEPS)
            row[2] = elsewhere[2];
        put_row(&w, "shop", i, row);
        for (int p = 0; p < 3; p++) { /* each lives for five hours */
            (void)snprintf(pod, sizeof pod, "g{pod=\"%d\"}", (int)(i / 300) * 3 + p);
            (void)add(&w, "shop", pod, OPS_MONITOR_GAUGE, START_NS + i * STEP_S * SECOND_NS,
                      5 + synth_noise(&s), false);
        }
    }
    assert_true(stats(&w).views == 1);
    assert_true(w.together >= 1);
    assert_non_null(strstr(w.words, "c{x=\"1\"} is "));
    close_world(&w);
}

/* Once all its columns are gone for an hour others take their place. */
static void a_new_generation_gets_a_view(void **state)
{
    (void)state;
    struct world w = {0};
    synth s = {.state = 51};
    int64_t i = 0;
    open_world(&w, 0);
    play(&w, &s, &i, DAY_STEPS);
    const uint64_t rows = stats(&w).rows;
    char name[16];
    for (int64_t to = i + DAY_STEPS; i < to; i++) {
        double row[COLUMNS];
        row_of(&s, i, row);
        for (int j = 0; j < COLUMNS; j++) {
            (void)snprintf(name, sizeof name, "new%d", j);
            (void)add(&w, "shop", name, OPS_MONITOR_GAUGE, START_NS + i * STEP_S * SECOND_NS, row[j], false);
        }
        if (i % 100 == 0)
            reopen(&w, 0);
    }
    assert_true(stats(&w).views == 1 && stats(&w).rows > 0 && rows > 0);
    play(&w, &s, &i, i + 300);
    assert_int_equal(w.together, 0);
    close_world(&w);
}

/* What a single series told is not told once more by the row of its component. */
static void a_single_alert_covers_its_stretch(void **state)
{
    (void)state;
    struct world w = {0};
    synth s = {.state = 61};
    int64_t i = 0;
    open_world(&w, 0);
    play(&w, &s, &i, 3 * DAY_STEPS);
    for (int64_t to = i + 60; i < to; i++) {
        double row[COLUMNS];
        row_of(&s, i, row);
        row[5] += 40; /* far out at once; the sums take their time */
        put_row(&w, "shop", i, row);
    }
    assert_true(w.alone >= 1);
    assert_true(stats(&w).rows_covered + stats(&w).rows_told >= 1);
    assert_true(w.together == 0 ||
                w.first_ns - START_NS - 3 * DAY_STEPS * STEP_S * SECOND_NS <= 300 * SECOND_NS);
    close_world(&w);
}

static void views_are_bounded_and_make_room(void **state)
{
    (void)state;
    struct world w = {0};
    synth s[3] = {{.state = 71}, {.state = 72}, {.state = 73}};
    static const char *const services[] = {"one", "two", "three"};
    open_world(&w, 2);
    for (int64_t i = 0; i < 400; i++)
        for (int k = 0; k < 3; k++) {
            double row[COLUMNS];
            row_of(&s[k], i, row);
            put_row(&w, services[k], i, row);
        }
    assert_int_equal(stats(&w).views, 2);
    assert_true(stats(&w).views_full > 0);
    /* The first falls silent; two hours later the third takes its place, also when they are loaded. */
    for (int64_t i = 400; i < 700; i++)
        for (int k = 1; k < 3; k++) {
            double row[COLUMNS];
            row_of(&s[k], i, row);
            put_row(&w, services[k], i, row);
            if (i % 50 == 0)
                reopen(&w, 2);
        }
    assert_int_equal(stats(&w).views, 2);
    const uint64_t full = stats(&w).views_full;
    for (int64_t i = 700; i < 1000; i++) {
        double row[COLUMNS];
        row_of(&s[2], i, row);
        put_row(&w, services[2], i, row);
    }
    assert_int_equal(stats(&w).views_full, full);
    close_world(&w);
}

static void it_can_be_left_out(void **state)
{
    (void)state;
    struct world w = {0};
    synth s = {.state = 81};
    int64_t i = 0;
    const ops_monitor_limits limits = {.views_off = true, .on_candidate = on_candidate, .u = &w};
    assert_int_equal(ops_monitor_new(&limits, &w.m, NULL), OPS_OK);
    play(&w, &s, &i, 400);
    assert_true(stats(&w).views == 0 && stats(&w).rows == 0);
    close_world(&w);
}

/* A record that is cut is refused; one that another could not have written is too. */
static void damaged_records_are_told(void **state)
{
    (void)state;
    struct world w = {0};
    synth s = {.state = 91};
    int64_t i = 0;
    open_world(&w, 0);
    play(&w, &s, &i, 600);
    assert_int_equal(ops_monitor_save_dirty(w.m, emit, &w, NULL), OPS_OK);
    size_t seen = 0;
    for (size_t k = 0; k < w.store.all.n; k++) {
        kept_record *r = &w.store.all.v[k];
        if (r->key[1] != 'G' && r->key[1] != 'C')
            continue;
        seen++;
        const size_t whole = r->val_n;
        for (size_t n = 0; n < whole; n += 1 + whole / 200) {
            ops_monitor_free(w.m);
            open_world(&w, 0);
            r->val_n = n;
            assert_int_equal(records_load(&w.store, w.m, NULL), OPS_ECORRUPT);
        }
        r->val_n = whole;
        /* Of another id, it has lost its other half. */
        r->key[9] ^= 0x40;
        ops_monitor_free(w.m);
        open_world(&w, 0);
        assert_int_equal(records_load(&w.store, w.m, NULL), OPS_ECORRUPT);
        r->key[9] ^= 0x40;
    }
    assert_int_equal(seen, 2);
    close_world(&w);
}

/* An allocation that fails costs a view at most, and what it leaves can be saved and loaded. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (long nth = 1;; nth++) {
        struct world w = {0};
        const long live = ops_alloc_live();
        synth s = {.state = 95};
        int64_t i = 0;
        open_world(&w, 0);
        play(&w, &s, &i, 150);
        ops_alloc_fail_at(nth);
        ops_status st = OPS_OK;
        for (; i < 220 && st == OPS_OK; i++) {
            double row[COLUMNS];
            row_of(&s, i, row);
            for (int j = 0; j < COLUMNS && st == OPS_OK; j++) {
                ops_monitor_fate fate;
                const ops_monitor_sample x = {.tenant = OPS_SLICE("t"),
                                              .service = OPS_SLICE("shop"),
                                              .series = ops_slice_str(names[j]),
                                              .kind = OPS_MONITOR_GAUGE,
                                              .time_ns = START_NS + i * STEP_S * SECOND_NS + j * SECOND_NS,
                                              .recv_ns = START_NS + i * STEP_S * SECOND_NS,
                                              .value = row[j]};
                st = ops_monitor_add(w.m, &x, &fate, NULL);
            }
        }
        ops_alloc_fail_at(0);
        assert_true(st == OPS_OK || st == OPS_ENOMEM);
        const bool whole = st == OPS_OK && stats(&w).views == 1;
        reopen(&w, 0);
        close_world(&w);
        assert_int_equal(ops_alloc_live(), live);
        if (whole && nth > 40)
            return;
        assert_true(nth < 400);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_that_parts_is_told_though_no_series_is_odd),
        cmocka_unit_test(quiet_weeks_tell_nothing),
        cmocka_unit_test(a_restart_in_the_middle_changes_no_verdict),
        cmocka_unit_test(late_disordered_and_no_numbers_are_borne),
        cmocka_unit_test(an_end_ends_a_column),
        cmocka_unit_test(churn_does_not_move_the_columns),
        cmocka_unit_test(a_new_generation_gets_a_view),
        cmocka_unit_test(a_single_alert_covers_its_stretch),
        cmocka_unit_test(views_are_bounded_and_make_room),
        cmocka_unit_test(it_can_be_left_out),
        cmocka_unit_test(damaged_records_are_told),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
