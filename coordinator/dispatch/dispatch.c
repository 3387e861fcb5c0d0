/* The owner thread around the desk. Tasks, hellos and answers come by mailbox; signs of life, credits, draining and the
 * end of a stream are flags at a gate per attachment, so that none of them can be lost to a full mailbox. The owner reads
 * the gates first, then empties the mailbox, then acts on what the gates said: an answer posted before the end of
 * its stream is therefore counted before that end. */
#include "coordinator/dispatch/dispatch.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/sched/mailbox.h"
#include "base/sched/thread.h"
#include "coordinator/dispatch/desk.h"

enum {
    MAILBOX_EXTRA = 8192,
    MAILBOX_BYTES_MAX = 256 << 20, /* of answers and pieces of them */
    ANSWER_FLOATS_MAX = 1 << 24,
    SNAPSHOT_MS = 50,
    REASON_MAX = 128
};

typedef enum {
    MESSAGE_TASK,
    MESSAGE_ATTACH,
    MESSAGE_DELTA,
    MESSAGE_ANSWER,
    MESSAGE_MODELS,
    MESSAGE_ERRAND,
    MESSAGE_ERRAND_ANSWER,
    MESSAGE_WAKE
} message_kind;

typedef struct gate {
    struct gate *next;
    ops_dispatch *d;
    uint64_t attachment;
    ops_dispatch_port port; /* the caller's */
    char worker_id[OPS_DISPATCH_NAME_MAX];
    /* under d->lock until the owner takes them */
    struct gate_signs {
        bool seen, draining, gone, drain;
        uint32_t credits;
        char reason[REASON_MAX], drain_reason[REASON_MAX];
    } signs;
} gate;

typedef struct message {
    message_kind kind;
    ops_desk_task *task;
    gate *g; /* ATTACH */
    ops_dispatch_hello *hello;
    uint64_t attachment; /* DELTA, ANSWER, MODELS, ERRAND_ANSWER */
    ops_dispatch_answer answer;
    uint64_t task_id; /* DELTA; of an errand, ERRAND and ERRAND_ANSWER */
    ops_slice delta;
    ops_dispatch_model *models; /* MODELS */
    size_t model_count;
    ops_dispatch_errand errand;
    ops_status status; /* ERRAND_ANSWER */
    const char *text;
} message;

struct ops_dispatch {
    ops_dispatch_conf conf;
    ops_clock *clock;
    ops_mailbox *box;
    ops_thread *thread;
    ops_desk *desk;
    size_t queue_max, queue_bytes_max;
    struct noted *signs;  /* the owner's */
    message wake;         /* shared by every waker: it carries nothing */
    pthread_mutex_t lock; /* gates, ids, snapshot; never held during a callback */
    gate *gates;
    size_t gate_count;
    size_t posted, posted_bytes; /* tasks in the mailbox */
    size_t open, open_bytes;     /* of the desk, when last told */
    uint64_t next_task, next_attachment, next_errand;
    bool wake_posted;
    uint64_t *cancels; /* ids, [cancels_max]: more than can be open at once */
    size_t cancel_n, cancels_max;
    uint64_t *cancels_taken;       /* the owner's, as many */
    ops_dispatch_worker *snapshot; /* OPS_DISPATCH_WORKERS_MAX */
    size_t snapshot_n;
    ops_dispatch_counts counts;
    int64_t snapshot_at;
};

static int64_t now_ms(ops_dispatch *d)
{
    return ops_clock_mono_ns(d->clock) / 1000000;
}

static void free_message(message *m)
{
    ops_free(m->hello);
    ops_free(m);
}

/* --- the port given to the desk: finds the caller's, and forgets the gate at the end --- */

static ops_status port_errand(void *ctx, uint64_t id, const ops_dispatch_errand *errand)
{
    gate *g = ctx;
    return g->port.errand(g->port.ctx, id, errand);
}

static ops_status port_send(void *ctx, const ops_dispatch_order *order)
{
    gate *g = ctx;
    return g->port.send(g->port.ctx, order);
}

static void port_cancel(void *ctx, uint64_t task_id)
{
    gate *g = ctx;
    g->port.cancel(g->port.ctx, task_id);
}

static void port_drain(void *ctx, const char *reason)
{
    gate *g = ctx;
    g->port.drain(g->port.ctx, reason);
}

static void port_end(void *ctx, ops_status why, const char *text)
{
    gate *g = ctx;
    ops_dispatch *d = g->d;
    pthread_mutex_lock(&d->lock);
    for (gate **at = &d->gates; *at != NULL; at = &(*at)->next)
        if (*at == g) {
            *at = g->next;
            d->gate_count--;
            break;
        }
    pthread_mutex_unlock(&d->lock);
    g->port.end(g->port.ctx, why, text);
    ops_free(g);
}

/* --- the owner --- */

/* The sum of both pairs is never below what is open, so a post that passes it finds room at the desk. */
static void tell_open(ops_dispatch *d, size_t taken, size_t taken_bytes)
{
    pthread_mutex_lock(&d->lock);
    d->open = ops_desk_open(d->desk);
    d->open_bytes = ops_desk_bytes(d->desk);
    d->posted -= taken;
    d->posted_bytes -= taken_bytes;
    pthread_mutex_unlock(&d->lock);
}

static void publish(ops_dispatch *d, bool all)
{
    const int64_t now = now_ms(d);
    const ops_dispatch_counts counts = ops_desk_counts(d->desk);
    pthread_mutex_lock(&d->lock);
    if (all || counts.workers != d->snapshot_n || now - d->snapshot_at >= SNAPSHOT_MS) {
        d->snapshot_n = ops_desk_workers(d->desk, d->snapshot, OPS_DISPATCH_WORKERS_MAX);
        d->snapshot_at = now;
    }
    d->counts = counts;
    pthread_mutex_unlock(&d->lock);
    tell_open(d, 0, 0);
}

static void take_task(ops_dispatch *d, ops_desk_task *t)
{
    const size_t bytes = ops_desk_task_bytes(t);
    ops_err err;
    const ops_status st = ops_desk_submit(d->desk, t, now_ms(d), &err);
    if (st != OPS_OK)
        ops_desk_task_refuse(t, OPS_EUNAVAILABLE, err.msg);
    tell_open(d, 1, bytes);
}

static void take_attach(ops_dispatch *d, const message *m)
{
    const ops_dispatch_port port = {.send = port_send,
                                    .cancel = port_cancel,
                                    .drain = port_drain,
                                    .end = port_end,
                                    .ctx = m->g,
                                    .errand = m->g->port.errand != NULL ? port_errand : NULL};
    ops_err err;
    const ops_status st = ops_desk_attach(d->desk, m->g->attachment, m->hello, &port, now_ms(d),
                                          ops_clock_wall_ns(d->clock), &err);
    if (st != OPS_OK)
        port_end(m->g, st, err.msg);
}

static void take_message(ops_dispatch *d, message *m)
{
    const int64_t now = now_ms(d);
    switch (m->kind) {
    case MESSAGE_TASK:
        take_task(d, m->task);
        break;
    case MESSAGE_ATTACH:
        take_attach(d, m);
        break;
    case MESSAGE_DELTA:
        ops_desk_delta(d->desk, m->attachment, m->task_id, m->delta, now);
        break;
    case MESSAGE_ANSWER:
        ops_desk_answered(d->desk, m->attachment, &m->answer, now);
        break;
    case MESSAGE_MODELS:
        if (ops_desk_models(d->desk, m->attachment, m->models, m->model_count, now))
            publish(d, true); /* before whoever asked for it hears of it */
        break;
    case MESSAGE_ERRAND:
        ops_desk_errand(d->desk, &m->errand, m->task_id, now);
        break;
    case MESSAGE_ERRAND_ANSWER:
        ops_desk_errand_answered(d->desk, m->attachment, m->task_id, m->status, m->text, now);
        break;
    case MESSAGE_WAKE:
        return;
    }
    free_message(m);
}

typedef struct noted {
    uint64_t attachment;
    char worker_id[OPS_DISPATCH_NAME_MAX];
    struct gate_signs signs;
} noted;

/* Takes what the gates say. At most `cap` of them: there are no more gates than that. */
static size_t read_gates(ops_dispatch *d, noted *ret, size_t cap)
{
    size_t n = 0;
    pthread_mutex_lock(&d->lock);
    d->wake_posted = false;
    for (gate *g = d->gates; g != NULL && n < cap; g = g->next) {
        if (!g->signs.seen && !g->signs.draining && !g->signs.gone && !g->signs.drain &&
            g->signs.credits == 0)
            continue;
        ret[n].attachment = g->attachment;
        ret[n].signs = g->signs;
        (void)snprintf(ret[n].worker_id, sizeof ret[n].worker_id, "%s", g->worker_id);
        memset(&g->signs, 0, sizeof g->signs);
        n++;
    }
    pthread_mutex_unlock(&d->lock);
    return n;
}

/* Before the mailbox is emptied: whatever is named here was posted before. */
static size_t read_cancels(ops_dispatch *d)
{
    pthread_mutex_lock(&d->lock);
    const size_t n = d->cancel_n;
    memcpy(d->cancels_taken, d->cancels, n * sizeof *d->cancels);
    d->cancel_n = 0;
    pthread_mutex_unlock(&d->lock);
    return n;
}

static void act_on(ops_dispatch *d, const noted *n)
{
    const int64_t now = now_ms(d);
    if (n->signs.seen)
        ops_desk_heartbeat(d->desk, n->attachment, now, ops_clock_wall_ns(d->clock));
    if (n->signs.credits > 0)
        ops_desk_credits(d->desk, n->attachment, n->signs.credits, now);
    if (n->signs.draining)
        ops_desk_draining(d->desk, n->attachment, now);
    if (n->signs.drain)
        (void)(ops_desk_drain(d->desk, n->worker_id, n->signs.drain_reason, NULL) ==
               OPS_OK); /* it may have just left */
    if (n->signs.gone)
        ops_desk_detach(d->desk, n->attachment, n->signs.reason, now);
}

static void own(void *arg)
{
    ops_dispatch *d = arg;
    int64_t wait = 1;
    for (bool closed = false; !closed;) {
        void *m = NULL;
        ops_status st = ops_mailbox_take(d->box, wait, &m);
        const size_t n = read_gates(d, d->signs, OPS_DISPATCH_WORKERS_MAX), cancels = read_cancels(d);
        for (size_t budget = ops_mailbox_count(d->box) + 1; st == OPS_OK; budget--) {
            take_message(d, m);
            if (budget == 0)
                break;
            st = ops_mailbox_take(d->box, 0, &m);
        }
        closed = st == OPS_ECANCELLED;
        for (size_t i = 0; i < cancels; i++)
            ops_desk_cancel(d->desk, d->cancels_taken[i], now_ms(d));
        for (size_t i = 0; i < n; i++)
            act_on(d, &d->signs[i]);
        wait = ops_desk_tick(d->desk, now_ms(d));
        if (wait > SNAPSHOT_MS)
            wait = SNAPSHOT_MS;
        publish(d, false);
    }
    ops_desk_stop(d->desk);
}

/* --- everybody else --- */

static void wake(ops_dispatch *d, bool post)
{
    if (post)
        (void)(ops_mailbox_post(d->box, &d->wake, 0) == OPS_OK); /* a full box is awake already */
}

ops_status ops_dispatch_new(const ops_dispatch_conf *conf, ops_dispatch **ret, ops_err *reterr)
{
    ops_dispatch *d = ops_calloc(1, sizeof *d);
    if (d == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "dispatch");
    d->conf = *conf;
    d->clock = conf->clock != NULL ? conf->clock : ops_clock_system();
    d->queue_max = conf->queue_max != 0 ? conf->queue_max : 4096;
    d->queue_bytes_max = conf->queue_bytes_max != 0 ? conf->queue_bytes_max : 64u << 20;
    d->conf.heartbeat_ms = conf->heartbeat_ms != 0 ? conf->heartbeat_ms : 2000;
    d->wake.kind = MESSAGE_WAKE;
    pthread_mutex_init(&d->lock, NULL);
    ops_status st = ops_desk_new(conf, &d->desk, reterr);
    if (st == OPS_OK)
        st = ops_mailbox_new(d->queue_max + MAILBOX_EXTRA, MAILBOX_BYTES_MAX, &d->box, reterr);
    d->snapshot = ops_calloc(OPS_DISPATCH_WORKERS_MAX, sizeof *d->snapshot);
    d->signs = ops_calloc(OPS_DISPATCH_WORKERS_MAX, sizeof *d->signs);
    d->cancels_max = 2 * d->queue_max + 1; /* open now, and submitted since the owner looked */
    d->cancels = ops_calloc(d->cancels_max, sizeof *d->cancels);
    d->cancels_taken = ops_calloc(d->cancels_max, sizeof *d->cancels_taken);
    if (st == OPS_OK &&
        (d->snapshot == NULL || d->signs == NULL || d->cancels == NULL || d->cancels_taken == NULL))
        st = ops_fail(reterr, OPS_ENOMEM, "dispatch");
    if (st == OPS_OK)
        st = ops_thread_start(own, d, "dispatch", &d->thread, reterr);
    if (st != OPS_OK) {
        ops_dispatch_free(d);
        return st;
    }
    *ret = d;
    return OPS_OK;
}

void ops_dispatch_free(ops_dispatch *d)
{
    if (d == NULL)
        return;
    if (d->box != NULL)
        ops_mailbox_close(d->box);
    ops_thread_join(d->thread);
    ops_mailbox_free(d->box);
    ops_desk_free(d->desk);
    ops_free(d->snapshot);
    ops_free(d->signs);
    ops_free(d->cancels);
    ops_free(d->cancels_taken);
    pthread_mutex_destroy(&d->lock);
    ops_free(d);
}

static ops_status post_task(ops_dispatch *d, message *m, size_t bytes, ops_err *reterr)
{
    pthread_mutex_lock(&d->lock);
    const size_t n = d->posted + d->open, held = d->posted_bytes + d->open_bytes;
    const bool full = n >= d->queue_max || bytes > d->queue_bytes_max || held > d->queue_bytes_max - bytes;
    const ops_status st = full ? OPS_EAGAIN : ops_mailbox_post(d->box, m, 0);
    if (st == OPS_OK) {
        d->posted++;
        d->posted_bytes += bytes;
    }
    pthread_mutex_unlock(&d->lock);
    if (st == OPS_OK || st == OPS_ECANCELLED)
        return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "the dispatch stops");
    return ops_fail(reterr, st, "the dispatch holds %zu tasks of %zu bytes: at most %zu of %zu", n, held,
                    d->queue_max, d->queue_bytes_max);
}

ops_status ops_dispatch_submit(ops_dispatch *d, const ops_dispatch_task *task, uint64_t *ret_id,
                               ops_err *reterr)
{
    message *m = ops_calloc(1, sizeof *m);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a task");
    pthread_mutex_lock(&d->lock);
    const uint64_t id = ++d->next_task;
    pthread_mutex_unlock(&d->lock);
    m->kind = MESSAGE_TASK;
    ops_desk_task *t = NULL;
    ops_status st = ops_desk_task_new(task, id, &t, reterr);
    if (st == OPS_OK) {
        m->task = t;
        if (ret_id != NULL)
            *ret_id = id; /* before it is posted: `done` may come at once */
        st = post_task(d, m, ops_desk_task_bytes(t), reterr);
    }
    if (st == OPS_OK)
        return OPS_OK;
    ops_desk_task_free(t);
    free_message(m);
    return st;
}

ops_status ops_dispatch_attach(ops_dispatch *d, const ops_dispatch_hello *hello,
                               const ops_dispatch_port *port, uint64_t *ret_attachment, ops_err *reterr)
{
    const ops_status checked = ops_desk_check_hello(hello, reterr);
    if (checked != OPS_OK)
        return checked;
    message *m = ops_calloc(1, sizeof *m);
    gate *g = ops_calloc(1, sizeof *g);
    ops_dispatch_hello *copy = ops_memdup(hello, sizeof *hello);
    if (m == NULL || g == NULL || copy == NULL) {
        ops_free(m);
        ops_free(g);
        ops_free(copy);
        return ops_fail(reterr, OPS_ENOMEM, "worker '%s'", hello->worker_id);
    }
    *g = (gate){.d = d, .port = *port};
    (void)snprintf(g->worker_id, sizeof g->worker_id, "%s", hello->worker_id);
    *m = (message){.kind = MESSAGE_ATTACH, .g = g, .hello = copy};
    pthread_mutex_lock(&d->lock);
    ops_status st = d->gate_count < OPS_DISPATCH_WORKERS_MAX ? OPS_OK : OPS_EAGAIN;
    if (st == OPS_OK) {
        *ret_attachment = g->attachment = ++d->next_attachment;
        st = ops_mailbox_post(d->box, m, 0); /* under the lock: the owner sees the gate before it can end */
    }
    if (st == OPS_OK) {
        g->next = d->gates;
        d->gates = g;
        d->gate_count++;
    }
    pthread_mutex_unlock(&d->lock);
    if (st == OPS_OK)
        return OPS_OK;
    free_message(m);
    ops_free(g);
    return ops_fail(reterr, st, st == OPS_ECANCELLED ? "the dispatch stops" : "no room for the worker '%s'",
                    hello->worker_id);
}

typedef enum { SIGN_SEEN, SIGN_CREDITS, SIGN_DRAINING, SIGN_GONE } sign;

static void put_sign(ops_dispatch *d, uint64_t attachment, sign what, uint32_t tokens, const char *reason)
{
    bool post = false;
    pthread_mutex_lock(&d->lock);
    for (gate *g = d->gates; g != NULL; g = g->next) {
        if (g->attachment != attachment)
            continue;
        g->signs.seen = true;
        g->signs.draining |= what == SIGN_DRAINING;
        g->signs.gone |= what == SIGN_GONE;
        if (what == SIGN_CREDITS)
            g->signs.credits =
                tokens <= UINT32_MAX - g->signs.credits ? g->signs.credits + tokens : UINT32_MAX;
        if (what == SIGN_GONE)
            (void)snprintf(g->signs.reason, sizeof g->signs.reason, "%s", reason != NULL ? reason : "");
        post = !d->wake_posted;
        d->wake_posted = true;
        break;
    }
    pthread_mutex_unlock(&d->lock);
    wake(d, post);
}

void ops_dispatch_detach(ops_dispatch *d, uint64_t attachment, const char *reason)
{
    put_sign(d, attachment, SIGN_GONE, 0, reason);
}

void ops_dispatch_heartbeat(ops_dispatch *d, uint64_t attachment, uint32_t tasks_running)
{
    (void)tasks_running; /* what a worker says of itself is not what the desk goes by */
    put_sign(d, attachment, SIGN_SEEN, 0, NULL);
}

void ops_dispatch_credits(ops_dispatch *d, uint64_t attachment, uint32_t tokens)
{
    put_sign(d, attachment, SIGN_CREDITS, tokens, NULL);
}

void ops_dispatch_draining(ops_dispatch *d, uint64_t attachment, const char *reason)
{
    put_sign(d, attachment, SIGN_DRAINING, 0, reason);
}

ops_status ops_dispatch_answered(ops_dispatch *d, uint64_t attachment, const ops_dispatch_answer *a,
                                 ops_err *reterr)
{
    const size_t text = a->message != NULL ? strnlen(a->message, 511) : 0;
    size_t floats = 0, bytes = 0;
    if (a->vectors == NULL)
        floats = 0;
    else if (__builtin_mul_overflow(a->rows, a->dim, &floats) || floats > ANSWER_FLOATS_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "an answer of %zu vectors of %zu floats", a->rows, a->dim);
    const size_t end_max = a->scored ? OPS_DISPATCH_SCORED_MAX : OPS_DISPATCH_END_MAX;
    if (a->end.n > end_max)
        return ops_fail(reterr, OPS_ETOOBIG, "an end of %zu bytes, at most %zu", a->end.n, end_max);
    if (a->sequence.n > OPS_DISPATCH_SEQUENCE_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "an answer about sessions of %zu bytes, at most %d",
                        a->sequence.n, OPS_DISPATCH_SEQUENCE_MAX);
    bytes = floats * sizeof(float);
    message *m = ops_calloc(1, sizeof *m + bytes + text + 1 + a->end.n + a->sequence.n);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "an answer of %zu bytes", bytes);
    *m = (message){.kind = MESSAGE_ANSWER, .attachment = attachment, .answer = *a};
    char *at = (char *)(m + 1);
    if (bytes > 0) {
        memcpy(at, a->vectors, bytes);
        m->answer.vectors = (const float *)at;
    }
    if (text > 0)
        memcpy(at + bytes, a->message, text);
    m->answer.message = at + bytes; /* zeroed: it ends */
    m->answer.end = ops_slice_of(at + bytes + text + 1, a->end.n);
    if (a->end.n > 0)
        memcpy(at + bytes + text + 1, a->end.p, a->end.n);
    m->answer.sequence = ops_slice_of(at + bytes + text + 1 + a->end.n, a->sequence.n);
    if (a->sequence.n > 0)
        memcpy(at + bytes + text + 1 + a->end.n, a->sequence.p, a->sequence.n);
    const ops_status st = ops_mailbox_post(d->box, m, bytes + a->end.n + a->sequence.n);
    if (st == OPS_OK)
        return OPS_OK;
    free_message(m);
    return ops_fail(reterr, st, "the dispatch does not take the answer: %s", ops_status_text(st));
}

ops_status ops_dispatch_delta(ops_dispatch *d, uint64_t attachment, uint64_t task_id, ops_slice delta,
                              ops_err *reterr)
{
    if (delta.n > OPS_DISPATCH_DELTA_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "a piece of %zu bytes of the answer to task %llu, at most %d",
                        delta.n, (unsigned long long)task_id, OPS_DISPATCH_DELTA_MAX);
    message *m = ops_malloc(sizeof *m + delta.n);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a piece of %zu bytes", delta.n);
    *m = (message){.kind = MESSAGE_DELTA,
                   .attachment = attachment,
                   .task_id = task_id,
                   .delta = ops_slice_of((char *)(m + 1), delta.n)};
    if (delta.n > 0)
        memcpy(m + 1, delta.p, delta.n);
    const ops_status st = ops_mailbox_post(d->box, m, sizeof *m + delta.n);
    if (st == OPS_OK)
        return OPS_OK;
    free_message(m);
    return ops_fail(reterr, st, "the dispatch does not take a piece of an answer: %s", ops_status_text(st));
}

void ops_dispatch_cancel(ops_dispatch *d, uint64_t task_id)
{
    bool post = false;
    pthread_mutex_lock(&d->lock);
    if (d->cancel_n < d->cancels_max) {
        d->cancels[d->cancel_n++] = task_id;
        post = !d->wake_posted;
        d->wake_posted = true;
    }
    pthread_mutex_unlock(&d->lock);
    wake(d, post);
}

ops_status ops_dispatch_models(ops_dispatch *d, uint64_t attachment, const ops_dispatch_model *models,
                               size_t n, ops_err *reterr)
{
    ops_status st = ops_desk_check_models(models, n, reterr);
    if (st != OPS_OK)
        return st;
    message *m = ops_calloc(1, sizeof *m + n * sizeof *models);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%zu models", n);
    *m = (message){.kind = MESSAGE_MODELS,
                   .attachment = attachment,
                   .models = (ops_dispatch_model *)(m + 1),
                   .model_count = n};
    memcpy(m->models, models, n * sizeof *models);
    st = ops_mailbox_post(d->box, m, sizeof *m + n * sizeof *models);
    if (st == OPS_OK)
        return OPS_OK;
    free_message(m);
    return ops_fail(reterr, st, "the dispatch does not take a list of models: %s", ops_status_text(st));
}

ops_status ops_dispatch_run_errand(ops_dispatch *d, const ops_dispatch_errand *e, ops_err *reterr)
{
    const size_t id_n = strlen(e->worker_id) + 1, path_n = strlen(e->path) + 1, name_n = strlen(e->name) + 1;
    if (e->done == NULL || id_n > OPS_DISPATCH_NAME_MAX || name_n > OPS_DISPATCH_NAME_MAX ||
        path_n > OPS_DISPATCH_PATH_MAX)
        return ops_fail(reterr, OPS_EINVAL,
                        "a worker's id of %zu bytes, a model's name of %zu, a path of %zu", id_n - 1,
                        name_n - 1, path_n - 1);
    message *m = ops_calloc(1, sizeof *m + id_n + path_n + name_n);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a model to load");
    char *at = (char *)(m + 1);
    *m = (message){.kind = MESSAGE_ERRAND, .errand = *e};
    m->errand.worker_id = memcpy(at, e->worker_id, id_n);
    m->errand.path = memcpy(at + id_n, e->path, path_n);
    m->errand.name = memcpy(at + id_n + path_n, e->name, name_n);
    pthread_mutex_lock(&d->lock);
    m->task_id = ++d->next_errand;
    pthread_mutex_unlock(&d->lock);
    const ops_status st = ops_mailbox_post(d->box, m, 0);
    if (st == OPS_OK)
        return OPS_OK;
    free_message(m);
    return ops_fail(reterr, st, "the dispatch does not take it: %s", ops_status_text(st));
}

ops_status ops_dispatch_errand_answered(ops_dispatch *d, uint64_t attachment, uint64_t id, ops_status status,
                                        const char *text, ops_err *reterr)
{
    const size_t n = strnlen(text, 511);
    message *m = ops_calloc(1, sizeof *m + n + 1);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "what became of a model");
    *m = (message){.kind = MESSAGE_ERRAND_ANSWER,
                   .attachment = attachment,
                   .task_id = id,
                   .status = status,
                   .text = memcpy(m + 1, text, n)};
    const ops_status st = ops_mailbox_post(d->box, m, sizeof *m + n);
    if (st == OPS_OK)
        return OPS_OK;
    free_message(m);
    return ops_fail(reterr, st, "the dispatch does not take what became of a model: %s", ops_status_text(st));
}

ops_status ops_dispatch_drain(ops_dispatch *d, const char *worker_id, const char *reason, ops_err *reterr)
{
    bool found = false;
    pthread_mutex_lock(&d->lock);
    for (gate *g = d->gates; g != NULL && !found; g = g->next)
        if (strcmp(g->worker_id, worker_id) == 0) { /* the desk drains every attachment of that worker */
            g->signs.drain = found = true;
            (void)snprintf(g->signs.drain_reason, sizeof g->signs.drain_reason, "%s",
                           reason != NULL ? reason : "");
        }
    pthread_mutex_unlock(&d->lock);
    wake(d, found);
    return found ? OPS_OK : ops_fail(reterr, OPS_ENOTFOUND, "no worker '%.100s' is attached", worker_id);
}

size_t ops_dispatch_workers(ops_dispatch *d, ops_dispatch_worker *ret, size_t cap)
{
    pthread_mutex_lock(&d->lock);
    const size_t n = d->snapshot_n;
    if (ret != NULL && cap > 0)
        memcpy(ret, d->snapshot, (n < cap ? n : cap) * sizeof *ret);
    pthread_mutex_unlock(&d->lock);
    return n;
}

ops_dispatch_counts ops_dispatch_counts_get(ops_dispatch *d)
{
    pthread_mutex_lock(&d->lock);
    const ops_dispatch_counts c = d->counts;
    pthread_mutex_unlock(&d->lock);
    return c;
}

uint32_t ops_dispatch_heartbeat_ms(const ops_dispatch *d)
{
    return d->conf.heartbeat_ms;
}
