/* Several tasks as one thing, over a real dispatch with a worker that says back what it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem/alloc.h"
#include "coordinator/generate/run.h"
#include "tests/support/writing_worker.h"

enum { TASKS = 3 };

/* What the hooks said. */
typedef struct heard {
    pthread_mutex_t lock;
    pthread_cond_t more;
    char text[TASKS][128];
    unsigned deltas, ends, dones;
    ops_status st;
    char message[512];
} heard;

static void on_delta(void *ctx, size_t i, const Ops__V1__GenerateDelta *delta)
{
    heard *h = ctx;
    pthread_mutex_lock(&h->lock);
    const size_t n = strlen(h->text[i]);
    (void)snprintf(h->text[i] + n, sizeof h->text[i] - n, "%s", delta->text);
    h->deltas++;
    assert_int_equal(h->dones, 0);
    pthread_cond_broadcast(&h->more);
    pthread_mutex_unlock(&h->lock);
}

static void on_end(void *ctx, size_t i, const Ops__V1__GenerateEnd *end)
{
    heard *h = ctx;
    (void)i;
    pthread_mutex_lock(&h->lock);
    assert_int_equal(end->prompt_tokens, 10);
    h->ends++;
    pthread_mutex_unlock(&h->lock);
}

static void on_done(void *ctx, ops_status st, const char *message)
{
    heard *h = ctx;
    pthread_mutex_lock(&h->lock);
    h->dones++;
    h->st = st;
    (void)snprintf(h->message, sizeof h->message, "%s", message);
    pthread_cond_broadcast(&h->more);
    pthread_mutex_unlock(&h->lock);
}

typedef struct world {
    ops_dispatch *d;
    struct writing_worker writer;
    ops_ask ask;
    heard h;
} world;

static world w;

static void open_world(const char *const *prompts, size_t n, const ops_dispatch_conf *dc)
{
    static char *all[TASKS];
    w = (world){.h = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER}};
    assert_int_equal(ops_dispatch_new(dc, &w.d, NULL), OPS_OK);
    assert_int_equal(writing_worker_attach(&w.writer, w.d), OPS_OK);
    ops_ask_init(&w.ask);
    w.ask.task.model = (char *)(uintptr_t) "own/writer";
    w.ask.task.salt = (char *)(uintptr_t) "acme";
    for (size_t i = 0; i < n; i++)
        all[i] = (char *)(uintptr_t)prompts[i];
    w.ask.prompts = all;
    w.ask.prompt_count = n;
}

static void close_world(void)
{
    ops_ask_done(&w.ask);
    ops_dispatch_free(w.d);
    writing_worker_done(&w.writer);
}

static ops_run *run_new(void)
{
    ops_run *r = NULL;
    const ops_run_hooks hooks = {on_delta, on_end, on_done, &w.h};
    assert_int_equal(ops_run_new(w.d, ops_ask_tasks(&w.ask), &hooks, &r, NULL), OPS_OK);
    return r;
}

static void wait_for(const unsigned *count, unsigned n)
{
    pthread_mutex_lock(&w.h.lock);
    while (*count < n)
        pthread_cond_wait(&w.h.more, &w.h.lock);
    pthread_mutex_unlock(&w.h.lock);
}

static void all_tasks_come_back(void **state)
{
    (void)state;
    open_world((const char *const[]){"one two", "three", "four five six"}, 3, &(ops_dispatch_conf){0});
    ops_run_start(run_new(), &w.ask, 1, 10000);
    wait_for(&w.h.dones, 1);
    assert_int_equal(w.h.st, OPS_OK);
    assert_int_equal(w.h.ends, 3);
    assert_int_equal(w.h.deltas, 6);
    assert_string_equal(w.h.text[0], "one two");
    assert_string_equal(w.h.text[2], "four five six");
    assert_string_equal(w.writer.task->salt, "acme");
    close_world();
    assert_int_equal(w.h.dones, 1);
}

static void the_first_failure_fails_all(void **state)
{
    (void)state;
    open_world((const char *const[]){"silent", "fail the context is 8 tokens, this has 9", "silent"}, 3,
               &(ops_dispatch_conf){0});
    ops_run_start(run_new(), &w.ask, 1, 10000);
    wait_for(&w.h.dones, 1);
    assert_int_equal(w.h.st, OPS_EINVAL);
    assert_non_null(strstr(w.h.message, "the context is 8 tokens, this has 9"));
    assert_int_equal(w.h.ends, 0);
    close_world();
}

static void who_does_not_wait_cancels_all(void **state)
{
    (void)state;
    open_world((const char *const[]){"wait a", "silent", "silent"}, 3, &(ops_dispatch_conf){0});
    ops_run *r = run_new();
    ops_run_start(r, &w.ask, 1, 10000);
    writing_worker_wait(&w.writer, 3, 0);
    ops_run_cancel(r);
    wait_for(&w.h.dones, 1);
    assert_int_equal(w.h.st, OPS_ECANCELLED);
    writing_worker_wait(&w.writer, 3, 3);
    close_world();
}

static void cancelled_before_the_start_nothing_is_asked(void **state)
{
    (void)state;
    open_world((const char *const[]){"one"}, 1, &(ops_dispatch_conf){0});
    ops_run *r = run_new();
    ops_run_cancel(r);
    ops_run_start(r, &w.ask, 1, 10000);
    assert_int_equal(w.h.dones, 1);
    assert_int_equal(w.h.st, OPS_ECANCELLED);
    assert_int_equal(ops_dispatch_counts_get(w.d).submitted, 0);
    close_world();
}

static void a_full_queue_takes_back_what_it_had_taken(void **state)
{
    (void)state;
    open_world((const char *const[]){"silent", "silent", "silent"}, 3, &(ops_dispatch_conf){.queue_max = 2});
    ops_run_start(run_new(), &w.ask, 1, 10000);
    wait_for(&w.h.dones, 1);
    assert_int_equal(w.h.st, OPS_EAGAIN);
    assert_true(w.h.message[0] != '\0');
    close_world();
}

static void what_can_not_be_read_is_a_failure(void **state)
{
    (void)state;
    open_world((const char *const[]){"silent"}, 1, &(ops_dispatch_conf){0});
    ops_run_start(run_new(), &w.ask, 1, 10000);
    writing_worker_wait(&w.writer, 1, 0);
    assert_int_equal(ops_dispatch_delta(w.d, w.writer.attachment, 1, OPS_SLICE("\xff\xff"), NULL), OPS_OK);
    wait_for(&w.h.dones, 1);
    assert_int_equal(w.h.st, OPS_ECORRUPT);
    close_world();
}

static void the_dispatchs_end_is_the_runs(void **state)
{
    (void)state;
    open_world((const char *const[]){"silent", "wait"}, 2, &(ops_dispatch_conf){0});
    ops_run_start(run_new(), &w.ask, 1, 10000);
    close_world();
    assert_int_equal(w.h.dones, 1);
    assert_int_equal(w.h.st, OPS_ECANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_tasks_come_back),
        cmocka_unit_test(the_first_failure_fails_all),
        cmocka_unit_test(who_does_not_wait_cancels_all),
        cmocka_unit_test(cancelled_before_the_start_nothing_is_asked),
        cmocka_unit_test(a_full_queue_takes_back_what_it_had_taken),
        cmocka_unit_test(what_can_not_be_read_is_a_failure),
        cmocka_unit_test(the_dispatchs_end_is_the_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
