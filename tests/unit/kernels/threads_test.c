#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "kernels/cpu/threads.h"

enum { TASKS_MAX = 1000, SHARED_COST = 1 << 20, PATIENCE_S = 60 };

typedef struct record {
    int threads;
    atomic_int times[TASKS_MAX];
    atomic_int strangers; /* tasks with a thread that is none */
} record;

static void count(void *ctx, size_t task, int thread)
{
    record *r = ctx;
    atomic_fetch_add(&r->times[task], 1);
    if (thread < 0 || thread >= r->threads)
        atomic_fetch_add(&r->strangers, 1);
}

static void each_task_is_done_once(void **state)
{
    (void)state;
    const size_t tasks[] = {0, 1, 2, 3, 7, 64, TASKS_MAX};
    for (int n = 1; n <= 5; n++) {
        ops_cpu_threads *t = ops_cpu_threads_new(n);
        assert_non_null(t);
        for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
            for (int round = 0; round < 20; round++) {
                static record r;
                r = (record){.threads = n};
                ops_cpu_each(t, tasks[i], SHARED_COST, count, &r);
                for (size_t task = 0; task < TASKS_MAX; task++)
                    assert_int_equal(r.times[task], task < tasks[i]);
                assert_int_equal(r.strangers, 0);
            }
        ops_cpu_threads_free(t);
    }
}

/* Is it worth waiting on? Past its time everybody stops, and the test fails. */
static bool patient(atomic_int *late, time_t begun)
{
    if (time(NULL) - begun > PATIENCE_S)
        atomic_store(late, 1);
    return !atomic_load(late);
}

typedef struct held {
    size_t task; /* which does not end before all others have */
    atomic_size_t others;
    size_t wanted;
    atomic_int late;
} held;

static void hold(void *ctx, size_t task, int thread)
{
    held *h = ctx;
    (void)thread;
    if (task != h->task) {
        atomic_fetch_add(&h->others, 1);
        return;
    }
    const time_t begun = time(NULL);
    while (atomic_load(&h->others) < h->wanted && patient(&h->late, begun))
        ;
}

/* Whichever thread is held up, at the beginning or in the middle of its share: the others do the rest of it. */
static void a_thread_that_is_held_up_holds_up_no_task(void **state)
{
    (void)state;
    for (int n = 2; n <= 4; n++) {
        ops_cpu_threads *t = ops_cpu_threads_new(n);
        assert_non_null(t);
        for (size_t task = 0; task < 60; task += 7) {
            held h = {.task = task, .wanted = 59};
            ops_cpu_each(t, 60, SHARED_COST, hold, &h);
            assert_int_equal(h.late, 0);
            assert_int_equal(h.others, 59);
        }
        ops_cpu_threads_free(t);
    }
}

typedef struct walk {
    size_t tasks;
    atomic_size_t
        first; /* task + 1 that the second thread began with; it stays in it until all others are done */
    atomic_size_t done;
    size_t order[TASKS_MAX]; /* of the first thread */
    size_t n;
    atomic_int late;
} walk;

static void follow(void *ctx, size_t task, int thread)
{
    walk *w = ctx;
    const time_t begun = time(NULL);
    if (thread == 0) {
        w->order[w->n++] = task;
        while (atomic_load(&w->first) == 0 && patient(&w->late, begun))
            ;
    } else {
        atomic_store(&w->first, task + 1);
        while (atomic_load(&w->done) + 1 < w->tasks && patient(&w->late, begun))
            ;
    }
    atomic_fetch_add(&w->done, 1);
}

/* The first thread does its half in a row, then the other's, whose owner is held up in the first of them. */
static void neighbours_are_done_in_a_row(void **state)
{
    (void)state;
    ops_cpu_threads *t = ops_cpu_threads_new(2);
    assert_non_null(t);
    for (size_t tasks = 2; tasks < 300; tasks += 13) {
        static walk w;
        w = (walk){.tasks = tasks};
        ops_cpu_each(t, tasks, SHARED_COST, follow, &w);
        assert_int_equal(w.late, 0);
        assert_int_equal(w.first, tasks / 2 + 1);
        assert_int_equal(w.n, tasks - 1);
        for (size_t i = 0; i < w.n; i++)
            assert_int_equal(w.order[i], i < tasks / 2 ? i : i + 1);
    }
    ops_cpu_threads_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_task_is_done_once),
        cmocka_unit_test(a_thread_that_is_held_up_holds_up_no_task),
        cmocka_unit_test(neighbours_are_done_in_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
