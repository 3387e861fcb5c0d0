#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/fake_clock.h"
#include "tests/support/gate_engine.h"
#include "worker/serve/runner.h"

enum { JOBS = 8 };

typedef struct log {
    atomic_int n;
    int order[JOBS];
} log_;
typedef struct ticket {
    log_ *log;
    int i;
    ops_status status;
    float first;
    char message[64];
    atomic_int times;
} ticket;

static void done(void *ctx, const ops_runner_result *r)
{
    ticket *t = ctx;
    t->status = r->status;
    t->first = r->vectors != NULL ? r->vectors[r->rows - 1] : -1;
    (void)snprintf(t->message, sizeof t->message, "%s", r->message);
    atomic_fetch_add(&t->times, 1);
    t->log->order[atomic_load(&t->log->n)] = t->i;
    atomic_fetch_add(&t->log->n, 1);
}
static int logged(void *ctx)
{
    return atomic_load(&((log_ *)ctx)->n);
}

static ops_status submit(ops_runner *r, ticket *t, unsigned line, const char *text, uint32_t ms,
                         ops_runner_job **ret)
{
    const ops_slice texts[2] = {OPS_SLICE("x"), ops_slice_str(text)};
    return ops_runner_submit(r, line, OPS_SLICE(""), texts, 2, ms, done, t, ret, NULL);
}

static void the_interactive_line_goes_first(void **state)
{
    (void)state;
    struct gate g = GATE(false);
    ops_runner *r = NULL;
    ops_runner_job *job;
    log_ log = {0};
    ticket t[JOBS];
    memset(t, 0, sizeof t);
    assert_int_equal(ops_runner_new(gate_engine_new(&g), 4, NULL, &r, NULL), OPS_OK);
    ops_runner_model models[OPS_RUNNER_MODELS_MAX];
    assert_int_equal(ops_runner_models(r, models), 1);
    assert_string_equal(models[0].name, "gate");
    for (int i = 0; i < JOBS; i++)
        t[i] = (ticket){.log = &log, .i = i};
    assert_int_equal(submit(r, &t[0], 2, "busy", 60000, &job), OPS_OK);
    assert_true(gate_until(gate_inside, &g, 1));
    assert_int_equal(submit(r, &t[1], 2, "bulk", 60000, &job), OPS_OK);
    assert_int_equal(submit(r, &t[2], 1, "triage", 60000, &job), OPS_OK);
    assert_int_equal(submit(r, &t[3], 0, "chat", 60000, &job), OPS_OK);
    assert_int_equal(submit(r, &t[4], 2, "bad", 60000, &job), OPS_OK);
    assert_int_equal(submit(r, &t[5], 0, "full", 60000, &job), OPS_EAGAIN);
    gate_open(&g, true);
    assert_true(gate_until(logged, &log, 5));
    const int want[] = {0, 3, 2, 1, 4};
    assert_memory_equal(log.order, want, sizeof want);
    assert_true(t[2].status == OPS_OK && t[2].first == 6);
    assert_int_equal(t[4].status, OPS_EINVAL);
    assert_string_equal(t[4].message, "a bad text");
    ops_runner_free(r);
    assert_int_equal(ops_alloc_live(), 0);
}

static void cancelled_late_and_stopped_jobs_are_told_so(void **state)
{
    (void)state;
    struct fake_clock clock = FAKE_CLOCK(0);
    struct gate g = GATE(false);
    ops_runner *r = NULL;
    ops_runner_job *first, *second, *job;
    log_ log = {0};
    ticket t[4];
    memset(t, 0, sizeof t);
    for (int i = 0; i < 4; i++)
        t[i] = (ticket){.log = &log, .i = i};
    assert_int_equal(ops_runner_new(gate_engine_new(&g), 0, &clock.base, &r, NULL), OPS_OK);
    assert_int_equal(submit(r, &t[0], 0, "runs", 60000, &first), OPS_OK);
    assert_true(gate_until(gate_inside, &g, 1));
    assert_int_equal(submit(r, &t[1], 0, "waits", 60000, &second), OPS_OK);
    ops_runner_cancel(r, second);
    ops_runner_cancel(r, first);
    assert_true(gate_until(logged, &log, 2));
    assert_int_equal(t[0].status, OPS_ECANCELLED);
    assert_int_equal(t[1].status, OPS_ECANCELLED);
    assert_int_equal(gate_came(&g), 1); /* the second never reached the engine */
    assert_int_equal(submit(r, &t[2], 0, "late", 0, &job), OPS_OK);
    assert_true(gate_until(logged, &log, 3));
    assert_int_equal(t[2].status, OPS_ETIMEOUT);
    assert_int_equal(submit(r, &t[3], 0, "runs", 60000, &job), OPS_OK);
    assert_true(gate_until(gate_inside, &g, 1));
    ops_runner_free(r);
    assert_int_equal(t[3].status, OPS_ECANCELLED);
    for (int i = 0; i < 4; i++)
        assert_int_equal(atomic_load(&t[i].times), 1);
    assert_int_equal(ops_alloc_live(), 0);
}

static void bounds_are_told(void **state)
{
    (void)state;
    struct gate g = GATE(true);
    ops_runner *r = NULL;
    ops_runner_job *job;
    ops_slice many[OPS_RUNNER_TEXTS_MAX + 1] = {{NULL, 0}};
    assert_int_equal(ops_runner_new(gate_engine_new(&g), 0, NULL, &r, NULL), OPS_OK);
    assert_int_equal(ops_runner_submit(r, 0, OPS_SLICE(""), many, 0, 1, done, NULL, &job, NULL), OPS_EINVAL);
    assert_int_equal(
        ops_runner_submit(r, OPS_RUNNER_CLASSES, OPS_SLICE(""), many, 1, 1, done, NULL, &job, NULL),
        OPS_EINVAL);
    assert_int_equal(
        ops_runner_submit(r, 0, OPS_SLICE(""), many, OPS_RUNNER_TEXTS_MAX + 1, 1, done, NULL, &job, NULL),
        OPS_ETOOBIG);
    ops_runner_free(r);
    assert_int_equal(ops_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_interactive_line_goes_first),
        cmocka_unit_test(cancelled_late_and_stopped_jobs_are_told_so),
        cmocka_unit_test(bounds_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
