#include "worker/serve/runner.h"

#include <pthread.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/sched/thread.h"

struct ops_runner_job {
    ops_runner_job *next;
    ops_runner *r;
    int64_t deadline_ns;
    bool cancelled; /* under the runner's lock */
    void (*done)(void *ctx, const ops_runner_result *result);
    void *ctx;
    size_t n;
    ops_slice texts[]; /* then their bytes */
};

typedef struct line {
    ops_runner_job *head, **tail;
} line;

struct ops_runner {
    ops_engine *engine;
    ops_clock *clock;
    ops_thread *thread;
    float *rows; /* OPS_RUNNER_TEXTS_MAX */
    size_t jobs_max;
    pthread_mutex_t lock;
    pthread_cond_t work;
    line lines[OPS_RUNNER_CLASSES];
    size_t jobs;
    bool stopping;
};

static bool is_over(ops_runner_job *j, ops_status *ret)
{
    pthread_mutex_lock(&j->r->lock);
    const bool cancelled = j->cancelled || j->r->stopping;
    pthread_mutex_unlock(&j->r->lock);
    *ret = cancelled ? OPS_ECANCELLED : OPS_ETIMEOUT;
    return cancelled || ops_clock_mono_ns(j->r->clock) >= j->deadline_ns;
}

static bool asked(void *ctx)
{
    ops_status why;
    return is_over(ctx, &why);
}

static void run(ops_runner *r, ops_runner_job *j)
{
    ops_runner_result result = {.message = "", .vectors = r->rows, .rows = j->n, .dim = r->engine->info.dim};
    ops_err err = {.msg = ""};
    const ops_engine_stop stop = {asked, j};
    ops_status why = OPS_ECANCELLED;
    result.status = is_over(j, &why)
                        ? OPS_ECANCELLED
                        : ops_engine_embed(r->engine, j->texts, j->n, r->rows, &result.tokens, &stop, &err);
    if (result.status == OPS_ECANCELLED) {
        (void)is_over(j, &why);
        result.status = why;
    }
    if (result.status != OPS_OK) {
        result.vectors = NULL;
        result.rows = result.dim = 0;
        result.message = err.msg[0] != '\0' ? err.msg : ops_status_text(result.status);
    }
    j->done(j->ctx, &result);
    ops_free(j);
}

static ops_runner_job *take(ops_runner *r)
{
    for (unsigned i = 0; i < OPS_RUNNER_CLASSES; i++) {
        line *l = &r->lines[i];
        ops_runner_job *j = l->head;
        if (j == NULL)
            continue;
        l->head = j->next;
        if (l->head == NULL)
            l->tail = &l->head;
        r->jobs--;
        return j;
    }
    return NULL;
}

static void work(void *arg)
{
    ops_runner *r = arg;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        ops_runner_job *j = take(r);
        if (j == NULL) {
            if (r->stopping)
                break;
            pthread_cond_wait(&r->work, &r->lock);
            continue;
        }
        pthread_mutex_unlock(&r->lock);
        run(r, j);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
}

ops_status ops_runner_new(ops_engine *engine, size_t jobs_max, ops_clock *clock, ops_runner **ret,
                          ops_err *reterr)
{
    ops_runner *r = ops_calloc(1, sizeof *r);
    float *rows = ops_calloc(OPS_RUNNER_TEXTS_MAX, engine->info.dim * sizeof *rows);
    if (r == NULL || rows == NULL) {
        ops_free(r);
        ops_free(rows);
        return ops_fail(reterr, OPS_ENOMEM, "runner");
    }
    r->rows = rows;
    r->engine = engine;
    r->clock = clock != NULL ? clock : ops_clock_system();
    r->jobs_max = jobs_max != 0 ? jobs_max : OPS_RUNNER_JOBS_DEFAULT;
    for (unsigned i = 0; i < OPS_RUNNER_CLASSES; i++)
        r->lines[i].tail = &r->lines[i].head;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->work, NULL);
    const ops_status st = ops_thread_start(work, r, "engine", &r->thread, reterr);
    if (st != OPS_OK) {
        r->engine = NULL; /* still the caller's */
        ops_runner_free(r);
        return st;
    }
    *ret = r;
    return OPS_OK;
}

void ops_runner_free(ops_runner *r)
{
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_signal(&r->work);
    pthread_mutex_unlock(&r->lock);
    ops_thread_join(r->thread); /* it cancels what waits */
    ops_engine_free(r->engine);
    pthread_cond_destroy(&r->work);
    pthread_mutex_destroy(&r->lock);
    ops_free(r->rows);
    ops_free(r);
}

const ops_engine_info *ops_runner_info(const ops_runner *r)
{
    return ops_engine_info_get(r->engine);
}

static ops_runner_job *copy_job(const ops_slice *texts, size_t n)
{
    size_t bytes = sizeof(ops_runner_job) + n * sizeof *texts;
    for (size_t i = 0; i < n; i++)
        if (__builtin_add_overflow(bytes, texts[i].n, &bytes))
            return NULL;
    ops_runner_job *j = ops_malloc(bytes);
    if (j == NULL)
        return NULL;
    *j = (ops_runner_job){.n = n};
    char *at = (char *)(j->texts + n);
    for (size_t i = 0; i < n; i++) {
        j->texts[i] = ops_slice_of(at, texts[i].n);
        if (texts[i].n > 0)
            memcpy(at, texts[i].p, texts[i].n);
        at += texts[i].n;
    }
    return j;
}

ops_status ops_runner_submit(ops_runner *r, unsigned line_no, const ops_slice *texts, size_t n,
                             uint32_t deadline_ms, void (*done)(void *ctx, const ops_runner_result *result),
                             void *ctx, ops_runner_job **ret_job, ops_err *reterr)
{
    if (line_no >= OPS_RUNNER_CLASSES || n == 0)
        return ops_fail(reterr, OPS_EINVAL, "a job in line %u with %zu texts", line_no, n);
    if (n > OPS_RUNNER_TEXTS_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "a job of %zu texts, at most %d", n, OPS_RUNNER_TEXTS_MAX);
    ops_runner_job *j = copy_job(texts, n);
    if (j == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a job of %zu texts", n);
    j->r = r;
    j->deadline_ns = ops_clock_mono_ns(r->clock) + (int64_t)deadline_ms * 1000000;
    j->done = done;
    j->ctx = ctx;
    pthread_mutex_lock(&r->lock);
    const ops_status st = r->stopping ? OPS_ECANCELLED : r->jobs >= r->jobs_max ? OPS_EAGAIN : OPS_OK;
    if (st == OPS_OK) {
        *ret_job = j;
        *r->lines[line_no].tail = j;
        r->lines[line_no].tail = &j->next;
        r->jobs++;
        pthread_cond_signal(&r->work);
    }
    pthread_mutex_unlock(&r->lock);
    if (st == OPS_OK)
        return OPS_OK;
    ops_free(j);
    return st == OPS_EAGAIN ? ops_fail(reterr, st, "%zu jobs wait, the most", r->jobs_max)
                            : ops_fail(reterr, st, "the worker stops");
}

void ops_runner_cancel(ops_runner *r, ops_runner_job *job)
{
    pthread_mutex_lock(&r->lock);
    job->cancelled = true;
    pthread_mutex_unlock(&r->lock);
}
