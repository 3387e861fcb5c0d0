/* What happens to tasks and attachments. Every public call ends in desk_pump(), so nothing that can be sent waits. */
#include "coordinator/dispatch/desk.h"

#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/dispatch/desk_internal.h"

enum {
    UNANSWERED_MS = 60000, /* a task given up and still not answered by then: the worker is stuck */
    REFUSED_WAIT_MS = 50,  /* doubled with every "not now" */
    TICK_MS = 1000,
    WINDOW_MAX = 1 << 30
};

ops_status ops_desk_new(const ops_dispatch_conf *conf, ops_desk **ret, ops_err *reterr)
{
    ops_desk *k = ops_calloc(1, sizeof *k);
    if (k == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "dispatch");
    k->conf = *conf;
    if (k->conf.queue_max == 0)
        k->conf.queue_max = 4096;
    if (k->conf.queue_bytes_max == 0)
        k->conf.queue_bytes_max = 64u << 20;
    if (k->conf.deadline_default_ms == 0)
        k->conf.deadline_default_ms = 60000;
    if (k->conf.heartbeat_ms == 0)
        k->conf.heartbeat_ms = 2000;
    if (k->conf.lost_after_ms == 0)
        k->conf.lost_after_ms = k->conf.heartbeat_ms * 7 / 2;
    k->next_deadline = INT64_MAX;
    *ret = k;
    return OPS_OK;
}

void ops_desk_free(ops_desk *k)
{
    ops_free(k);
}

/* Calls `done`; the task is then the caller's to free or to leave with its worker. */
static void finish(ops_desk *k, ops_desk_task *t, const ops_dispatch_result *with)
{
    ops_dispatch_result r = *with;
    r.task_id = t->id;
    r.attempts = t->sent;
    r.message = r.message != NULL ? r.message : "";
    r.model = r.model != NULL ? r.model : "";
    r.content_hash = r.content_hash != NULL ? r.content_hash : "";
    desk_free_reservation(k, t);
    k->open--;
    k->bytes -= t->bytes;
    t->finished = true;
    t->done(t->ctx, &r);
}

static void bury(ops_desk *k, ops_desk_task *t, ops_status status, const char *reason, const char *detail)
{
    const ops_dispatch_dead dead = {t->id, t->key, t->texts, t->text_count, reason, detail};
    if (k->conf.dead != NULL)
        k->conf.dead(k->conf.dead_ctx, &dead);
    finish(k, t, &(ops_dispatch_result){.status = status, .message = detail});
}

/* What a stream brought is a dead letter; sessions are asked about again by who has them. */
static void give_up(ops_desk *k, ops_desk_task *t, const char *reason, const char *detail)
{
    if (t->job != OPS_DISPATCH_SEQUENCE)
        bury(k, t, OPS_EUNAVAILABLE, reason, detail);
    else
        finish(k, t, &(ops_dispatch_result){.status = OPS_EUNAVAILABLE, .message = detail});
    ops_desk_task_free(t);
}

void desk_free_reservation(ops_desk *k, const ops_desk_task *t)
{
    for (desk_worker *w = k->first; w != NULL; w = w->next)
        if (w->reserved == t)
            w->reserved = NULL;
}

void desk_requeue(ops_desk *k, ops_desk_task *t)
{
    desk_list_push(t->losses > 0 ? &k->suspects[desk_line_of(t)] : &k->fresh[desk_line_of(t)], t);
}

ops_status ops_desk_submit(ops_desk *k, ops_desk_task *t, int64_t now, ops_err *reterr)
{
    if (k->open >= k->conf.queue_max)
        return ops_fail(reterr, OPS_EAGAIN, "the dispatch holds %zu tasks, its most", k->open);
    if (t->bytes > k->conf.queue_bytes_max || k->bytes > k->conf.queue_bytes_max - t->bytes)
        return ops_fail(reterr, OPS_EAGAIN,
                        "the dispatch holds %zu bytes of tasks and has no room for %zu: at most %zu",
                        k->bytes, t->bytes, k->conf.queue_bytes_max);
    t->deadline_at = now + (t->deadline_ms != 0 ? t->deadline_ms : k->conf.deadline_default_ms);
    if (t->deadline_at < k->next_deadline)
        k->next_deadline = t->deadline_at;
    k->open++;
    k->bytes += t->bytes;
    k->counts.submitted++;
    desk_list_append(&k->fresh[desk_line_of(t)], t);
    desk_pump(k, now);
    return OPS_OK;
}

desk_worker *desk_find(const ops_desk *k, uint64_t attachment)
{
    for (desk_worker *w = k->first; w != NULL; w = w->next)
        if (w->attachment == attachment)
            return w;
    return NULL;
}

/* Its answer broke off: whoever was told the beginning must not be told another one. Or it is of a kind that its asker had
 * rather hear of than see tried again. */
static void break_off(ops_desk *k, ops_desk_task *t, const char *worker_id, const char *message)
{
    char detail[256];
    (void)snprintf(detail, sizeof detail,
                   t->told ? "worker %.100s broke the answer off: %.100s" : "lost with worker %.100s: %.100s",
                   worker_id, message);
    k->counts.failed++;
    finish(k, t, &(ops_dispatch_result){.status = OPS_EUNAVAILABLE, .message = detail});
    ops_desk_task_free(t);
}

static void lost_task(ops_desk *k, desk_worker *w, ops_desk_task *t, const char *message, bool blame)
{
    char detail[256];
    if (t->finished) {
        ops_desk_task_free(t);
        return;
    }
    if (t->told || (blame && t->job == OPS_DISPATCH_SEQUENCE)) {
        break_off(k, t, w->hello.worker_id, message);
        return;
    }
    if (blame) {
        t->losses++;
        k->counts.retried += t->losses < OPS_DISPATCH_ATTEMPTS_MAX;
    } else
        t->refusals++;
    if (t->losses >= OPS_DISPATCH_ATTEMPTS_MAX) {
        (void)snprintf(detail, sizeof detail,
                       "lost with two workers, the second time alone with %.100s: %.80s", w->hello.worker_id,
                       message);
        k->counts.poisoned++;
        bury(k, t, OPS_EINTERNAL, "poison", detail);
        ops_desk_task_free(t);
    } else if (t->refusals > OPS_DISPATCH_REFUSALS_MAX) {
        k->counts.failed++;
        give_up(k, t, "refused", "its workers drained too often");
    } else
        desk_requeue(k, t);
}

void desk_lose(ops_desk *k, desk_worker *w, ops_status why, const char *message, bool blame)
{
    *(w->prev != NULL ? &w->prev->next : &k->first) = w->next;
    *(w->next != NULL ? &w->next->prev : &k->last) = w->prev;
    k->workers--;
    if (blame)
        k->counts.workers_lost++;
    while (w->running.n > 0) { /* from the back, so that the oldest comes to stand in front of its line */
        ops_desk_task *t = w->running.tail;
        desk_list_remove(&w->running, t);
        lost_task(k, w, t, message, blame);
    }
    desk_errands_end(k, w->attachment, OPS_EUNAVAILABLE, "the worker went");
    w->port.end(w->port.ctx, why, message);
    ops_free(w);
}

ops_status ops_desk_check_hello(const ops_dispatch_hello *h, ops_err *reterr)
{
    if (h->worker_id[0] == '\0' || memchr(h->worker_id, 0, sizeof h->worker_id) == NULL)
        return ops_fail(reterr, OPS_EINVAL, "hello: a worker id of 1 to %d bytes is wanted",
                        OPS_DISPATCH_NAME_MAX - 1);
    if ((int)h->work_class < 0 || h->work_class >= OPS_DISPATCH_CLASS_COUNT)
        return ops_fail(reterr, OPS_EINVAL, "hello of '%s': work class %d", h->worker_id, (int)h->work_class);
    if (ops_desk_check_models(h->models, h->model_count, reterr) != OPS_OK) {
        ops_err_prefix(reterr, "hello of '%s'", h->worker_id);
        return OPS_EINVAL;
    }
    if (h->credits == 0)
        return ops_fail(reterr, OPS_EINVAL, "hello of '%s': no credits", h->worker_id);
    return OPS_OK;
}

ops_status ops_desk_attach(ops_desk *k, uint64_t attachment, const ops_dispatch_hello *hello,
                           const ops_dispatch_port *port, int64_t now, int64_t wall_ns, ops_err *reterr)
{
    const ops_status st = ops_desk_check_hello(hello, reterr);
    if (st != OPS_OK)
        return st;
    if (k->workers >= OPS_DISPATCH_WORKERS_MAX)
        return ops_fail(reterr, OPS_EAGAIN, "%zu workers are attached, the most", k->workers);
    desk_worker *w = ops_calloc(1, sizeof *w);
    if (w == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "worker '%s'", hello->worker_id);
    for (desk_worker *old = k->first; old != NULL; old = old->next)
        if (strcmp(old->hello.worker_id, hello->worker_id) == 0 &&
            old->hello.work_class == hello->work_class) {
            desk_lose(k, old, OPS_ECONFLICT, "the same worker attached anew", !old->draining);
            break;
        }
    w->attachment = attachment;
    w->hello = *hello;
    w->port = *port;
    w->window = hello->credits < WINDOW_MAX ? hello->credits : WINDOW_MAX;
    w->seen_at = now;
    w->attached_wall = w->heartbeat_wall = wall_ns;
    w->prev = k->last;
    *(k->last != NULL ? &k->last->next : &k->first) = w;
    k->last = w;
    k->workers++;
    desk_pump(k, now);
    return OPS_OK;
}

void ops_desk_detach(ops_desk *k, uint64_t attachment, const char *reason, int64_t now)
{
    desk_worker *w = desk_find(k, attachment);
    if (w == NULL)
        return;
    desk_lose(k, w, OPS_OK, reason, !w->draining);
    desk_pump(k, now);
}

void ops_desk_heartbeat(ops_desk *k, uint64_t attachment, int64_t now, int64_t wall_ns)
{
    desk_worker *w = desk_find(k, attachment);
    if (w == NULL)
        return;
    w->seen_at = now;
    w->heartbeat_wall = wall_ns;
}

void ops_desk_credits(ops_desk *k, uint64_t attachment, uint32_t tokens, int64_t now)
{
    desk_worker *w = desk_find(k, attachment);
    if (w == NULL)
        return;
    w->seen_at = now;
    w->window = w->window + tokens < WINDOW_MAX ? w->window + tokens : WINDOW_MAX;
    desk_pump(k, now);
}

void ops_desk_draining(ops_desk *k, uint64_t attachment, int64_t now)
{
    desk_worker *w = desk_find(k, attachment);
    if (w == NULL)
        return;
    w->seen_at = now;
    w->draining = true;
    w->reserved = NULL;
    desk_pump(k, now);
}

/* "Not now", and an answer that does not fit its task: tried again after a while, but not for ever. */
static void refused(ops_desk *k, ops_desk_task *t, const char *message, int64_t now)
{
    k->counts.refused++;
    if (++t->refusals > OPS_DISPATCH_REFUSALS_MAX) {
        char detail[256];
        (void)snprintf(detail, sizeof detail, "refused %u times, at last: %.180s", t->refusals, message);
        k->counts.failed++;
        give_up(k, t, "refused", detail);
        return;
    }
    t->not_before = now + ((int64_t)REFUSED_WAIT_MS << t->refusals);
    desk_requeue(k, t);
}

static bool fits(const ops_desk_task *t, const ops_dispatch_answer *a)
{
    if (t->job == OPS_DISPATCH_EMBED)
        return a->rows == t->text_count && a->dim == t->given.dim && a->vectors != NULL;
    if (t->job == OPS_DISPATCH_SEQUENCE)
        return a->vectors == NULL && a->sequence.n > 0;
    return a->vectors == NULL && a->end.n > 0 && a->scored == (t->job != OPS_DISPATCH_GENERATE);
}

static void settle(ops_desk *k, desk_worker *w, ops_desk_task *t, const ops_dispatch_answer *a, int64_t now)
{
    const char *message = a->message != NULL ? a->message : "";
    if (a->outcome == OPS_DISPATCH_DONE && fits(t, a)) {
        w->tasks_done++;
        k->counts.done++;
        k->counts.tokens_in += a->tokens_in;
        k->counts.tokens_cached += a->tokens_cached;
        k->counts.tokens_out += a->tokens_out;
        finish(k, t,
               &(ops_dispatch_result){.status = OPS_OK,
                                      .vectors = a->vectors,
                                      .rows = a->rows,
                                      .dim = a->dim,
                                      .tokens = a->tokens,
                                      .end = a->end,
                                      .sequence = a->sequence,
                                      .model = t->given.name,
                                      .content_hash = t->given.content_hash});
        ops_desk_task_free(t);
        return;
    }
    w->tasks_failed++;
    if (a->outcome == OPS_DISPATCH_FAILED) {
        k->counts.failed++;
        if (t->job == OPS_DISPATCH_EMBED)
            bury(k, t, OPS_EINVAL, "failed", message);
        else /* what a client asked for, not what a stream brought: the client hears of it */
            finish(k, t,
                   &(ops_dispatch_result){.status = a->context_exceeded ? OPS_ECONTEXT : OPS_EINVAL,
                                          .message = message});
        ops_desk_task_free(t);
    } else if (t->told)
        break_off(k, t, w->hello.worker_id, message);
    else
        refused(k, t, a->outcome == OPS_DISPATCH_REFUSED ? message : "an answer that does not fit the task",
                now);
}

static ops_desk_task *in_line(const desk_list *line, uint64_t id)
{
    ops_desk_task *t = line->head;
    while (t != NULL && t->id != id)
        t = t->next;
    return t;
}

void ops_desk_delta(ops_desk *k, uint64_t attachment, uint64_t task_id, ops_slice delta, int64_t now)
{
    desk_worker *w = desk_find(k, attachment);
    if (w == NULL)
        return;
    w->seen_at = now;
    ops_desk_task *t = in_line(&w->running, task_id);
    if (t == NULL || t->finished || t->job != OPS_DISPATCH_GENERATE)
        return;
    t->told = true;
    if (t->delta != NULL)
        t->delta(t->ctx, delta);
}

static void cancel_running(ops_desk *k, desk_worker *w, ops_desk_task *t, int64_t now)
{
    k->counts.cancelled++;
    t->deadline_at = now; /* from here on its worker has a minute to let go of it */
    finish(k, t, &(ops_dispatch_result){.status = OPS_ECANCELLED, .message = "cancelled"});
    w->port.cancel(w->port.ctx, t->id);
}

static void cancel_waiting(ops_desk *k, desk_list *line, ops_desk_task *t)
{
    k->counts.cancelled++;
    desk_list_remove(line, t);
    finish(k, t, &(ops_dispatch_result){.status = OPS_ECANCELLED, .message = "cancelled"});
    ops_desk_task_free(t);
}

void ops_desk_cancel(ops_desk *k, uint64_t task_id, int64_t now)
{
    ops_desk_task *t = NULL;
    for (desk_worker *w = k->first; w != NULL && t == NULL; w = w->next)
        if ((t = in_line(&w->running, task_id)) != NULL && !t->finished)
            cancel_running(k, w, t, now);
    for (int i = 0; i < 2 * DESK_LINES && t == NULL; i++) {
        desk_list *line = i % 2 == 0 ? &k->suspects[i / 2] : &k->fresh[i / 2];
        if ((t = in_line(line, task_id)) != NULL)
            cancel_waiting(k, line, t);
    }
    desk_pump(k, now);
}

void ops_desk_answered(ops_desk *k, uint64_t attachment, const ops_dispatch_answer *a, int64_t now)
{
    desk_worker *w = desk_find(k, attachment);
    ops_desk_task *t = w != NULL ? in_line(&w->running, a->task_id) : NULL;
    if (w != NULL)
        w->seen_at = now;
    if (t == NULL) {
        k->counts.late_answers++;
        return;
    }
    desk_list_remove(&w->running, t);
    w->used -= t->tokens;
    if (t->finished) {
        k->counts.late_answers++;
        ops_desk_task_free(t);
    } else
        settle(k, w, t, a, now);
    desk_pump(k, now);
}

ops_status ops_desk_drain(ops_desk *k, const char *worker_id, const char *reason, ops_err *reterr)
{
    size_t found = 0;
    for (desk_worker *w = k->first; w != NULL; w = w->next)
        if (strcmp(w->hello.worker_id, worker_id) == 0) {
            w->draining = true;
            w->reserved = NULL;
            w->port.drain(w->port.ctx, reason);
            found++;
        }
    return found > 0 ? OPS_OK : ops_fail(reterr, OPS_ENOTFOUND, "no worker '%.100s' is attached", worker_id);
}

static void expire(ops_desk *k, ops_desk_task *t)
{
    k->counts.expired++;
    finish(k, t,
           &(ops_dispatch_result){.status = OPS_ETIMEOUT,
                                  .message =
                                      t->sent > 0 ? "its deadline passed while a worker had it or had lost it"
                                      : k->workers > 0 ? "its deadline passed before a worker had room"
                                                       : "its deadline passed and no worker is attached"});
}

static void expire_line(ops_desk *k, desk_list *line, int64_t now)
{
    for (ops_desk_task *t = line->head, *next; t != NULL; t = next) {
        next = t->next;
        if (t->deadline_at <= now) {
            desk_list_remove(line, t);
            expire(k, t);
            ops_desk_task_free(t);
        } else if (t->deadline_at < k->next_deadline)
            k->next_deadline = t->deadline_at;
    }
}

static void expire_all(ops_desk *k, int64_t now)
{
    k->next_deadline = INT64_MAX;
    for (int c = 0; c < DESK_LINES; c++) {
        expire_line(k, &k->suspects[c], now);
        expire_line(k, &k->fresh[c], now);
    }
    for (desk_worker *w = k->first; w != NULL; w = w->next)
        for (ops_desk_task *t = w->running.head; t != NULL; t = t->next) {
            if (t->finished)
                continue;
            if (t->deadline_at <= now) {
                expire(k, t);
                w->port.cancel(w->port.ctx, t->id);
            } else if (t->deadline_at < k->next_deadline)
                k->next_deadline = t->deadline_at;
        }
}

static bool stuck(const desk_worker *w, int64_t now)
{
    for (const ops_desk_task *t = w->running.head; t != NULL; t = t->next)
        if (t->finished && now - t->deadline_at > UNANSWERED_MS)
            return true;
    return false;
}

int64_t ops_desk_tick(ops_desk *k, int64_t now)
{
    if (now >= k->next_deadline)
        expire_all(k, now);
    desk_errands_expire(k, now);
    for (desk_worker *w = k->first, *next; w != NULL; w = next) {
        next = w->next;
        if (now - w->seen_at > k->conf.lost_after_ms)
            desk_lose(k, w, OPS_ETIMEOUT, "no heartbeat", !w->draining);
        else if (stuck(w, now))
            desk_lose(k, w, OPS_ETIMEOUT, "it does not answer a cancelled task", !w->draining);
    }
    desk_pump(k, now);
    size_t waiting = 0;
    for (int c = 0; c < DESK_LINES; c++)
        waiting += k->fresh[c].n + k->suspects[c].n;
    int64_t in = waiting > 0 && k->workers > 0 ? REFUSED_WAIT_MS : TICK_MS;
    if (in > (int64_t)k->conf.lost_after_ms)
        in = k->conf.lost_after_ms;
    if (k->next_deadline - now < in)
        in = k->next_deadline - now;
    return in > 1 ? in : 1;
}

void ops_desk_stop(ops_desk *k)
{
    const ops_dispatch_result r = {.status = OPS_ECANCELLED, .message = "the dispatch stops"};
    for (int c = 0; c < DESK_LINES; c++)
        for (int s = 0; s < 2; s++) {
            desk_list *line = s == 0 ? &k->suspects[c] : &k->fresh[c];
            while (line->n > 0) {
                ops_desk_task *t = line->head;
                desk_list_remove(line, t);
                k->counts.cancelled++;
                finish(k, t, &r);
                ops_desk_task_free(t);
            }
        }
    desk_errands_end(k, 0, OPS_ECANCELLED, "the dispatch stops");
    while (k->first != NULL) {
        for (ops_desk_task *t = k->first->running.head; t != NULL; t = t->next)
            if (!t->finished) {
                k->counts.cancelled++;
                finish(k, t, &r);
            }
        desk_lose(k, k->first, OPS_ECANCELLED, "the dispatch stops", false);
    }
}

size_t ops_desk_open(const ops_desk *k)
{
    return k->open;
}

size_t ops_desk_bytes(const ops_desk *k)
{
    return k->bytes;
}

size_t ops_desk_workers(const ops_desk *k, ops_dispatch_worker *ret, size_t cap)
{
    size_t n = 0;
    for (const desk_worker *w = k->first; w != NULL; w = w->next, n++) {
        if (n >= cap)
            continue;
        ops_dispatch_worker *r = &ret[n];
        *r = (ops_dispatch_worker){.model_count = w->hello.model_count,
                                   .work_class = w->hello.work_class,
                                   .draining = w->draining,
                                   .tasks_running = (uint32_t)w->running.n,
                                   .tasks_done = w->tasks_done,
                                   .tasks_failed = w->tasks_failed,
                                   .credits = (uint32_t)(w->used < w->window ? w->window - w->used : 0),
                                   .attached_unix_ns = w->attached_wall,
                                   .heartbeat_unix_ns = w->heartbeat_wall};
        (void)snprintf(r->worker_id, sizeof r->worker_id, "%s", w->hello.worker_id);
        (void)snprintf(r->address, sizeof r->address, "%s", w->hello.address);
        for (size_t i = 0; i < w->hello.model_count; i++)
            r->models[i] = w->hello.models[i];
    }
    return n;
}

ops_dispatch_counts ops_desk_counts(const ops_desk *k)
{
    ops_dispatch_counts c = k->counts;
    c.workers = k->workers;
    c.queued = c.running = c.with_models = c.with_sequences = 0;
    for (int i = 0; i < DESK_LINES; i++)
        c.queued += k->fresh[i].n + k->suspects[i].n;
    for (const desk_worker *w = k->first; w != NULL; w = w->next) {
        c.with_models += w->hello.model_count > 0;
        c.with_sequences +=
            w->hello.sequences && !w->draining &&
            (w->hello.work_class == OPS_DISPATCH_ANY || w->hello.work_class == OPS_DISPATCH_BULK);
        for (const ops_desk_task *t = w->running.head; t != NULL; t = t->next)
            c.running += !t->finished;
    }
    return c;
}
