/* Requests on their way to a model that writes. The thread "requests" reads them, one at a time, interactive ones first; the
 * model's own thread tells what becomes of them. */
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/serve/answer.h"
#include "worker/serve/request.h"
#include "worker/serve/runner_internal.h"

struct ops_runner_writing {
    ops_runner_writing *next;
    ops_runner *r;
    runner_slot *slot; /* held until the model has it; then only while it writes */
    unsigned line;
    int64_t deadline_ns;
    ops_runner_listener listener;
    pthread_mutex_t lock; /* the next four; taken before the runner's, which a model takes to wake it */
    bool cancelled, over;
    ops_generation *generation; /* while the model has it and `over` is not */
    unsigned refs;              /* of whoever reads it, and of its end */
    ops_answer answer;
    size_t n;
    uint8_t bytes[]; /* a packed GenerateTask */
};

static void free_writing(ops_runner_writing *w)
{
    ops_answer_done(&w->answer);
    pthread_mutex_destroy(&w->lock);
    ops_free(w);
}

static void unref(ops_runner_writing *w)
{
    pthread_mutex_lock(&w->lock);
    const bool last = --w->refs == 0;
    pthread_mutex_unlock(&w->lock);
    if (last)
        free_writing(w);
}

/* The end, told once; `w` may be gone afterwards. */
static void tell_end(ops_runner_writing *w, ops_status st, const char *message,
                     const Ops__V1__GenerateEnd *end)
{
    const ops_runner_generated result = {.status = st,
                                         .message = message != NULL && message[0] != '\0' ? message
                                                    : st == OPS_OK                        ? ""
                                                                   : ops_status_text(st),
                                         .end = st == OPS_OK ? end : NULL};
    w->listener.done(w->listener.ctx, &result);
    unref(w);
}

/* --- the model's thread --- */

static void on_piece(void *ctx, const ops_generator_piece *piece)
{
    ops_runner_writing *w = ctx;
    const bool behind = w->listener.behind != NULL && w->listener.behind(w->listener.ctx);
    if (ops_answer_add(&w->answer, piece, behind))
        ops_answer_tell(&w->answer, w->listener.tell, w->listener.ctx);
}

static void on_result(void *ctx, const ops_generator_result *r)
{
    ops_runner_writing *w = ctx;
    pthread_mutex_lock(&w->lock);
    w->over = true; /* nobody may cancel it from here on */
    w->generation = NULL;
    pthread_mutex_unlock(&w->lock);
    const bool called = r->status == OPS_OK && ops_answer_end(&w->answer);
    if (r->status == OPS_OK)
        ops_answer_tell(&w->answer, w->listener.tell, w->listener.ctx);
    Ops__V1__GenerateEnd end = OPS__V1__GENERATE_END__INIT;
    end.finish_reason = called                           ? OPS__V1__FINISH_REASON__FINISH_REASON_TOOL_CALLS
                        : r->end == OPS_GENERATOR_LENGTH ? OPS__V1__FINISH_REASON__FINISH_REASON_LENGTH
                                                         : OPS__V1__FINISH_REASON__FINISH_REASON_STOP;
    end.prompt_tokens = r->prompt_tokens;
    end.cached_tokens = r->cached_tokens;
    end.completion_tokens = r->tokens;
    end.seed = r->seed;
    if (w->answer.failed)
        tell_end(w, OPS_ENOMEM, "out of memory for the answer", NULL);
    else
        tell_end(w, r->status, r->message, &end);
}

/* --- the thread "requests" --- */

static void let_go(ops_runner *r, runner_slot *s)
{
    pthread_mutex_lock(&r->lock);
    if (--s->holds == 0 && s->leaving)
        pthread_cond_broadcast(&r->work);
    pthread_mutex_unlock(&r->lock);
}

static ops_status hand_over(ops_runner_writing *w, const Ops__V1__GenerateTask *task, int64_t left_ms,
                            ops_err *reterr)
{
    ops_request q;
    ops_generation *g = NULL;
    ops_status st = ops_request_read(task, w->slot->writer, &q, reterr);
    if (st != OPS_OK)
        return st;
    ops_answer_init(&w->answer, task);
    w->answer.writer = w->slot->writer;
    st = ops_answer_find_calls(&w->answer, &q.plan, reterr);
    if (st != OPS_OK) {
        ops_request_done(&q);
        return st;
    }
    if (task->echo && task->prompt[0] != '\0')
        (void)ops_answer_add(&w->answer, &(ops_generator_piece){.text = ops_slice_str(task->prompt)}, true);
    q.to.line = w->line;
    q.to.deadline_ms = (uint32_t)left_ms;
    q.to.tell = on_piece;
    q.to.done = on_result;
    q.to.ctx = w;
    w->refs++; /* its end may come before the submit is back; until then it is this thread's alone */
    st = w->slot->writer->ops->submit(w->slot->writer, &q.to, &g, reterr);
    ops_request_done(&q);
    pthread_mutex_lock(&w->lock);
    if (st == OPS_OK && !w->over) {
        w->generation = g;
        if (w->cancelled)
            w->slot->writer->ops->cancel(w->slot->writer, g);
    }
    pthread_mutex_unlock(&w->lock);
    unref(w);
    return st;
}

static bool is_over(ops_runner_writing *w, int64_t *ret_left_ms, ops_status *ret)
{
    const int64_t left = (w->deadline_ns - ops_clock_mono_ns(w->r->clock)) / 1000000;
    pthread_mutex_lock(&w->lock);
    bool cancelled = w->cancelled;
    pthread_mutex_unlock(&w->lock);
    pthread_mutex_lock(&w->r->lock);
    cancelled |= w->r->stopping || w->slot->leaving;
    pthread_mutex_unlock(&w->r->lock);
    *ret = cancelled ? OPS_ECANCELLED : OPS_ETIMEOUT;
    *ret_left_ms = left;
    return cancelled || left <= 0;
}

static void read_one(ops_runner_writing *w)
{
    ops_runner *r = w->r;
    runner_slot *slot = w->slot;
    ops_err err = {.msg = ""};
    int64_t left_ms = 0;
    ops_status st = OPS_OK;
    if (!is_over(w, &left_ms, &st)) {
        Ops__V1__GenerateTask *task = ops__v1__generate_task__unpack(NULL, w->n, w->bytes);
        st = task != NULL ? hand_over(w, task, left_ms, &err)
                          : ops_fail(&err, OPS_ENOMEM, "out of memory for a request of %zu bytes", w->n);
        if (task != NULL)
            ops__v1__generate_task__free_unpacked(task, NULL);
    }
    if (st != OPS_OK)
        tell_end(w, st, err.msg, NULL);
    let_go(r, slot);
}

/* With the lock held. */
static ops_runner_writing *take(ops_runner *r)
{
    for (unsigned i = 0; i < OPS_RUNNER_CLASSES; i++) {
        runner_requests *q = &r->requests[i];
        ops_runner_writing *w = q->head;
        if (w == NULL)
            continue;
        q->head = w->next;
        if (q->head == NULL)
            q->tail = &q->head;
        r->request_count--;
        r->request_bytes -= w->n;
        return w;
    }
    return NULL;
}

void runner_read_requests(void *runner)
{
    ops_runner *r = runner;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        ops_runner_writing *w = take(r);
        if (w == NULL && r->stopping)
            break;
        if (w == NULL) {
            pthread_cond_wait(&r->requested, &r->lock);
            continue;
        }
        pthread_mutex_unlock(&r->lock);
        read_one(w);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
}

/* --- anybody --- */

/* With the lock held. */
static ops_status put(ops_runner *r, ops_slice model, ops_runner_writing *w, ops_runner_writing **ret,
                      ops_err *reterr)
{
    if (r->stopping)
        return ops_fail(reterr, OPS_ECANCELLED, "the worker stops");
    if (r->request_count >= r->jobs_max || r->request_bytes + w->n > OPS_RUNNER_REQUESTS_BYTES_MAX)
        return ops_fail(reterr, OPS_EAGAIN, "%zu requests of %zu bytes wait to be read: at most %zu of %d",
                        r->request_count, r->request_bytes, r->jobs_max, OPS_RUNNER_REQUESTS_BYTES_MAX);
    w->slot = runner_find(r, model, OPS_RUNNER_WRITES);
    if (w->slot == NULL)
        return ops_fail(reterr, OPS_ENOTFOUND, "no model '" OPS_SLICE_FMT "' that writes is loaded here",
                        OPS_SLICE_ARG(model));
    w->slot->holds++;
    *ret = w;
    *r->requests[w->line].tail = w;
    r->requests[w->line].tail = &w->next;
    r->request_count++;
    r->request_bytes += w->n;
    pthread_cond_signal(&r->requested);
    return OPS_OK;
}

ops_status ops_runner_generate(ops_runner *r, unsigned line, const Ops__V1__GenerateTask *task,
                               uint32_t deadline_ms, const ops_runner_listener *listener,
                               ops_runner_writing **ret, ops_err *reterr)
{
    const size_t n = ops__v1__generate_task__get_packed_size(task);
    if (line >= OPS_RUNNER_CLASSES)
        return ops_fail(reterr, OPS_EINVAL, "a request in line %u", line);
    if (n > OPS_RUNNER_REQUEST_BYTES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "a request of %zu bytes, at most %d", n,
                        OPS_RUNNER_REQUEST_BYTES_MAX);
    ops_runner_writing *w = ops_malloc(sizeof *w + n);
    if (w == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request of %zu bytes", n);
    *w = (ops_runner_writing){.r = r,
                              .line = line,
                              .deadline_ns = ops_clock_mono_ns(r->clock) + (int64_t)deadline_ms * 1000000,
                              .listener = *listener,
                              .refs = 1,
                              .n = n};
    (void)ops__v1__generate_task__pack(task, w->bytes);
    pthread_mutex_init(&w->lock, NULL);
    pthread_mutex_lock(&r->lock);
    const ops_status st = put(r, ops_slice_str(task->model), w, ret, reterr);
    pthread_mutex_unlock(&r->lock);
    if (st != OPS_OK)
        free_writing(w);
    return st;
}

void ops_runner_stop_writing(ops_runner_writing *w)
{
    pthread_mutex_lock(&w->lock);
    w->cancelled = true;
    if (w->generation != NULL)
        w->slot->writer->ops->cancel(w->slot->writer, w->generation);
    pthread_mutex_unlock(&w->lock);
}
