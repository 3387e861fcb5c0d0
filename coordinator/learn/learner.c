#include "coordinator/learn/learner.h"

#include <pthread.h>

#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "coordinator/learn/thing.h"

enum { TRAIN_DEADLINE_MS = 600000, SCORE_DEADLINE_MS = 20000 };

/* Things in order. */
typedef struct line {
    thing *head;
    size_t n;
} line;

typedef enum { TRAINS, SCORES, KINDS } kind;

struct ops_learner {
    ops_learner_conf conf;
    pthread_mutex_t lock; /* everything below; never held during a callback or a call of the dispatch */
    line waiting[KINDS];
    size_t bytes;
    bool out[KINDS]; /* a task of it is under way */
    bool stopping;
    ops_learner_stats stats;
};

/* A task under way. */
typedef struct flight {
    ops_learner *l;
    kind kind;
    size_t n;
    thing *all[OPS_LEARNER_GROUPS_MAX];
} flight;

static void pump(ops_learner *l);

/* --- with the lock held --- */

static void append(ops_learner *l, thing *t)
{
    line *w = &l->waiting[t->train ? TRAINS : SCORES];
    thing **at = &w->head;
    while (*at != NULL)
        at = &(*at)->next;
    t->next = NULL;
    *at = t;
    w->n++;
    l->bytes += t->bytes;
}

static thing *take_first(ops_learner *l, kind k)
{
    line *w = &l->waiting[k];
    thing *t = w->head;
    w->head = t->next;
    w->n--;
    l->bytes -= t->bytes;
    return t;
}

static bool has_room(const ops_learner *l)
{
    return !l->stopping && l->waiting[TRAINS].n + l->waiting[SCORES].n < OPS_LEARNER_WAITING_MAX &&
           l->bytes < OPS_LEARNER_WAITING_BYTES_MAX;
}

/* What goes next, as one task; NULL: nothing waits, or one of its kind is under way. */
static flight *next_flight(ops_learner *l)
{
    for (kind k = 0; k < KINDS; k++) {
        if (l->out[k] || l->waiting[k].n == 0 || l->stopping)
            continue;
        flight *f = ops_calloc(1, sizeof *f);
        if (f == NULL)
            return NULL; /* at the next want, perhaps */
        f->l = l;
        f->kind = k;
        size_t bytes = 0;
        do {
            f->all[f->n] = take_first(l, k);
            bytes += f->all[f->n++]->bytes;
        } while (k == SCORES && l->waiting[k].n > 0 && f->n < OPS_LEARNER_GROUPS_MAX &&
                 bytes + l->waiting[k].head->bytes <= OPS_LEARNER_TASK_BYTES_MAX);
        l->out[k] = true;
        return f;
    }
    return NULL;
}

/* --- without it --- */

static void count(ops_learner *l, uint64_t *what, uint64_t n)
{
    (void)pthread_mutex_lock(&l->lock);
    *what += n;
    (void)pthread_mutex_unlock(&l->lock);
}

static void answer(ops_learner *l, thing *t, const ops_session_answer *a)
{
    (void)pthread_mutex_lock(&l->lock);
    const bool stopping = l->stopping;
    l->stats.failed += a == NULL;
    l->stats.trained += a != NULL && t->train;
    l->stats.scored += a != NULL && !t->train ? t->n : 0;
    (void)pthread_mutex_unlock(&l->lock);
    if (!stopping)
        l->conf.answer(l->conf.u, t->part, t->stream, t->ticket, a);
    ops_free(t);
}

static void take_trained(flight *f, const Ops__V1__SequenceAnswer *m)
{
    ops_session_answer a;
    const bool good = learn_trained(m->trained, &a);
    if (!good)
        count(f->l, &f->l->stats.refused, 1);
    answer(f->l, f->all[0], good ? &a : NULL);
}

/* The worker has the model not: once more, with it. */
static bool send_again(ops_learner *l, thing *t)
{
    (void)pthread_mutex_lock(&l->lock);
    const bool again = !t->with_model && has_room(l);
    if (again) {
        t->with_model = true;
        l->stats.models_sent++;
        append(l, t);
    }
    (void)pthread_mutex_unlock(&l->lock);
    return again;
}

static void take_group(ops_learner *l, thing *t, const Ops__V1__SequenceScored *m)
{
    if (m->model_missing && send_again(l, t))
        return;
    ops_session_answer a;
    OPS_AUTO(ops_free) void *block = ops_calloc(t->n > 0 ? t->n : 1, sizeof(ops_session_surprise));
    const bool good = block != NULL && !m->model_missing && learn_scored(t, m, block, &a);
    if (!good && block != NULL) {
        count(l, &l->stats.refused, 1);
        OPS_LOG(OPS_LOG_WARN, "sessions_not_scored", OPS_KV_U64("sessions", t->n),
                OPS_KV_STR("why", m->model_missing        ? "the worker does not keep the model"
                                  : m->message[0] != '\0' ? m->message
                                                          : "an answer to something else"));
    }
    answer(l, t, good ? &a : NULL);
}

static void take_answer(flight *f, ops_slice bytes)
{
    Ops__V1__SequenceAnswer *m = ops__v1__sequence_answer__unpack(NULL, bytes.n, (const uint8_t *)bytes.p);
    const bool fits = m != NULL && (f->kind == TRAINS || m->n_groups == f->n);
    if (!fits)
        count(f->l, &f->l->stats.refused, m != NULL);
    for (size_t i = 0; i < f->n; i++)
        if (!fits)
            answer(f->l, f->all[i], NULL);
        else if (f->kind == TRAINS)
            take_trained(f, m);
        else
            take_group(f->l, f->all[i], m->groups[i]);
    if (m != NULL)
        ops__v1__sequence_answer__free_unpacked(m, NULL);
}

static void end_flight(flight *f)
{
    ops_learner *l = f->l;
    (void)pthread_mutex_lock(&l->lock);
    l->out[f->kind] = false;
    (void)pthread_mutex_unlock(&l->lock);
    ops_free(f);
}

static void drop_all(flight *f)
{
    for (size_t i = 0; i < f->n; i++)
        answer(f->l, f->all[i], NULL);
}

/* On the dispatch's thread. */
static void on_done(void *ctx, const ops_dispatch_result *r)
{
    flight *f = ctx;
    ops_learner *l = f->l;
    if (r->status == OPS_OK)
        take_answer(f, r->sequence);
    else {
        if (r->status != OPS_ECANCELLED)
            OPS_LOG(OPS_LOG_WARN, "sessions_not_done",
                    OPS_KV_STR("what", f->kind == TRAINS ? "train" : "score"), OPS_KV_U64("streams", f->n),
                    OPS_KV_STR("why", r->message));
        drop_all(f);
    }
    end_flight(f);
    pump(l);
}

static bool submit(flight *f)
{
    ops_err err = {.msg = "out of memory"};
    const ops_slice payload = learn_pack(f->all, f->n);
    const ops_dispatch_task task = {.work_class = OPS_DISPATCH_BULK,
                                    .key = OPS_SLICE("sessions"), /* one worker comes to have the models */
                                    .job = OPS_DISPATCH_SEQUENCE,
                                    .payload = payload,
                                    .deadline_ms = f->kind == TRAINS ? TRAIN_DEADLINE_MS : SCORE_DEADLINE_MS,
                                    .done = on_done,
                                    .ctx = f};
    const ops_status st =
        payload.p != NULL ? ops_dispatch_submit(f->l->conf.dispatch, &task, NULL, &err) : OPS_ENOMEM;
    ops_free((void *)(uintptr_t)payload.p);
    if (st != OPS_OK)
        OPS_LOG(OPS_LOG_WARN, "sessions_not_asked", OPS_KV_STR("why", err.msg));
    return st == OPS_OK;
}

/* Sends what can be sent. */
static void pump(ops_learner *l)
{
    for (;;) {
        (void)pthread_mutex_lock(&l->lock);
        flight *f = next_flight(l);
        (void)pthread_mutex_unlock(&l->lock);
        if (f == NULL)
            return;
        if (!submit(f)) {
            drop_all(f);
            end_flight(f);
        }
    }
}

ops_status ops_learner_new(const ops_learner_conf *conf, ops_learner **ret, ops_err *reterr)
{
    ops_learner *l = ops_calloc(1, sizeof *l);
    if (l == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "what sends sessions to workers");
    l->conf = *conf;
    (void)pthread_mutex_init(&l->lock, NULL);
    *ret = l;
    return OPS_OK;
}

void ops_learner_stop(ops_learner *l)
{
    if (l == NULL)
        return;
    (void)pthread_mutex_lock(&l->lock);
    l->stopping = true;
    (void)pthread_mutex_unlock(&l->lock);
}

void ops_learner_free(ops_learner *l)
{
    if (l == NULL)
        return;
    for (kind k = 0; k < KINDS; k++)
        while (l->waiting[k].n > 0)
            ops_free(take_first(l, k));
    (void)pthread_mutex_destroy(&l->lock);
    ops_free(l);
}

bool ops_learner_can(ops_learner *l)
{
    if (ops_dispatch_counts_get(l->conf.dispatch).with_sequences == 0)
        return false;
    (void)pthread_mutex_lock(&l->lock);
    const bool room = has_room(l);
    (void)pthread_mutex_unlock(&l->lock);
    return room;
}

bool ops_learner_want(ops_learner *l, uint32_t part, const ops_pipeline_work *w)
{
    thing *t = learn_thing_new(part, w);
    if (t == NULL)
        return false;
    (void)pthread_mutex_lock(&l->lock);
    const bool room = has_room(l);
    if (room) {
        append(l, t);
        l->stats.trainings += t->train;
    }
    (void)pthread_mutex_unlock(&l->lock);
    if (room)
        pump(l);
    else
        ops_free(t);
    return room;
}

void ops_learner_stats_get(ops_learner *l, ops_learner_stats *ret)
{
    (void)pthread_mutex_lock(&l->lock);
    *ret = l->stats;
    ret->waiting = l->waiting[TRAINS].n + l->waiting[SCORES].n;
    (void)pthread_mutex_unlock(&l->lock);
}
