/* The offline command: a row an answer, the same for every prefix, and errors that name the line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/metric/csv.h"
#include "coordinator/analysis/metric/offline.h"
#include "tests/unit/coordinator/analysis/metric/synth.h"

enum { ROWS = 1200, LINE_MAX = 128 };

typedef struct io {
    size_t at, n;
    char (*line)[LINE_MAX];
    char *out; /* outside the heap under test */
    size_t out_n;
    bool broken;
} io;

static ops_status read_line(void *u, ops_slice *ret, ops_err *reterr)
{
    io *f = u;
    (void)reterr;
    if (f->at == f->n)
        return OPS_ENOTFOUND;
    *ret = ops_slice_str(f->line[f->at++]);
    return OPS_OK;
}

static ops_status write_rows(void *u, ops_slice rows, ops_err *reterr)
{
    io *f = u;
    if (f->broken)
        return ops_fail(reterr, OPS_EIO, "no room");
    f->out = (realloc)(f->out, f->out_n + rows.n + 1);
    assert_non_null(f->out);
    memcpy(f->out + f->out_n, rows.p, rows.n);
    f->out_n += rows.n;
    f->out[f->out_n] = '\0';
    return OPS_OK;
}

static char lines[ROWS + 1][LINE_MAX];

static void write_lines(int columns)
{
    synth s = {.state = 9};
    snprintf(lines[0], LINE_MAX, "timestamp,value%s", columns > 1 ? ",b,c" : "");
    for (int i = 0; i < ROWS; i++) {
        double x = 100 + 5 * synth_noise(&s) + (i == 1000 ? 90 : 0), y = 2 * x + synth_noise(&s);
        if (columns > 1)
            snprintf(lines[i + 1], LINE_MAX, "%d,%.6g,%.6g,%.6g", 1700000000 + i * 60, x, y,
                     i == 500 ? NAN : 7);
        else
            snprintf(lines[i + 1], LINE_MAX, "%d,%.6g\r", 1700000000 + i * 60, x);
    }
}

static ops_status run(io *f, size_t rows, uint64_t train, ops_err *reterr)
{
    *f = (io){.n = rows + 1, .line = lines};
    return ops_metric_offline(read_line, f, write_rows, f, train, reterr);
}

static void every_prefix_has_the_same_answers(void **state)
{
    (void)state;
    for (int columns = 1; columns <= 3; columns += 2) {
        io whole, part;
        write_lines(columns);
        assert_int_equal(run(&whole, ROWS, 300, NULL), OPS_OK);
        size_t rows = 0, alerts = 0;
        for (char *p = whole.out; *p != '\0'; p = strchr(p, '\n') + 1, rows++) {
            double score;
            int alert;
            assert_int_equal(sscanf(p, "%lf,%d", &score, &alert), 2);
            assert_true(isfinite(score) && (alert == 0 || alert == 1));
            if (rows == 1000)
                assert_int_equal(alert, 1);
            alerts += (size_t)alert;
        }
        assert_int_equal(rows, ROWS);
        assert_true(alerts <= 3);
        for (size_t n = 1; n < ROWS; n += 97) {
            assert_int_equal(run(&part, n, 300, NULL), OPS_OK);
            assert_memory_equal(part.out, whole.out, part.out_n);
            (free)(part.out);
        }
        (free)(whole.out);
    }
}

static void errors_name_the_line(void **state)
{
    (void)state;
    const struct {
        const char *head, *row, *said;
    } all[] = {{"time,value", "1,2", "'timestamp'"},
               {"timestamp", "1", "no value"},
               {"timestamp,value", "soon,2", "line 2: 'soon'"},
               {"timestamp,value", "1e300,2", "line 2"},
               {"timestamp,value", "1,2,3", "line 2: 3 columns where the header has 2"},
               {"timestamp,value", "", "line 2"}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        io f;
        ops_err err;
        snprintf(lines[0], LINE_MAX, "%s", all[i].head);
        snprintf(lines[1], LINE_MAX, "%s", all[i].row);
        assert_int_equal(run(&f, 1, 0, &err), OPS_EINVAL);
        if (strstr(err.msg, all[i].said) == NULL)
            fail_msg("'%s' does not say '%s'", err.msg, all[i].said);
        (free)(f.out);
    }
    io f = {.n = 0, .line = lines};
    assert_int_equal(ops_metric_offline(read_line, &f, write_rows, &f, 0, NULL), OPS_EINVAL);
    write_lines(1);
    f = (io){.n = 10, .line = lines, .broken = true};
    assert_int_equal(ops_metric_offline(read_line, &f, write_rows, &f, 0, NULL), OPS_EIO);
}

static void times_and_values_are_read(void **state)
{
    (void)state;
    int64_t t = 0;
    double v[3];
    assert_int_equal(ops_metric_csv_row(OPS_SLICE("1700000000.5,1e3, -2 ,\r"), 2, 3, &t, v, NULL), OPS_OK);
    assert_true(t == START_NS + SECOND_NS / 2 && v[0] == 1000 && v[1] == -2 && isnan(v[2]));
    assert_int_equal(ops_metric_csv_row(OPS_SLICE("-1.5,nan"), 2, 1, &t, v, NULL), OPS_OK);
    assert_true(t == -SECOND_NS - SECOND_NS / 2 && isnan(v[0]));
}

static void failed_allocations_are_told(void **state)
{
    (void)state;
    for (int columns = 1; columns <= 3; columns += 2) {
        write_lines(columns);
        ops_status st = OPS_ENOMEM;
        long live = ops_alloc_live(), n = 0;
        while (st == OPS_ENOMEM) {
            io f;
            ops_alloc_fail_at(++n);
            st = run(&f, ROWS, 300, NULL);
            ops_alloc_fail_at(0);
            assert_int_equal(ops_alloc_live(), live);
            (free)(f.out);
        }
        assert_int_equal(st, OPS_OK);
        assert_true(n > 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_prefix_has_the_same_answers),
        cmocka_unit_test(errors_name_the_line),
        cmocka_unit_test(times_and_values_are_read),
        cmocka_unit_test(failed_allocations_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
