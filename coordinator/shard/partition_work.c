/* Sessions of a partition's streams and the workers that learn and score them: what is wanted goes out by the conf's port, what
 * comes back waits here until the owner takes it up. */
#include <string.h>

#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "coordinator/shard/owner_internal.h"

enum { AT_ONCE = 4 /* handed out in a round */ };

struct work_answer {
    work_answer *next;
    uint64_t stream, ticket;
    bool any;             /* false: nobody could */
    ops_session_answer a; /* what it points to is behind it */
};

static work_answer *copy(uint64_t stream, uint64_t ticket, const ops_session_answer *a)
{
    const ops_session_answer none = {0};
    const ops_session_answer *from = a != NULL ? a : &none;
    const size_t tail = from->tail_n * sizeof *from->tail, scores = from->n * sizeof *from->scores;
    work_answer *w = ops_malloc(sizeof *w + tail + scores + from->model.n + from->model_hash.n);
    if (w == NULL)
        return NULL;
    *w = (work_answer){.stream = stream, .ticket = ticket, .any = a != NULL, .a = *from};
    char *at = (char *)(w + 1);
    if (tail > 0)
        w->a.tail = memcpy(at, from->tail, tail);
    if (scores > 0)
        w->a.scores = memcpy(at + tail, from->scores, scores);
    at += tail + scores;
    if (from->model.n > 0)
        memcpy(at, from->model.p, from->model.n);
    w->a.model = ops_slice_of(at, from->model.n);
    at += from->model.n;
    if (from->model_hash.n > 0)
        memcpy(at, from->model_hash.p, from->model_hash.n);
    w->a.model_hash = ops_slice_of(at, from->model_hash.n);
    return w;
}

ops_status ops_owners_answer(ops_owners *o, uint32_t part, uint64_t stream, uint64_t ticket,
                             const ops_session_answer *a, ops_err *reterr)
{
    if (part >= o->conf.partitions)
        return ops_fail(reterr, OPS_ENOTFOUND, "partition %u of %u", part, o->conf.partitions);
    if (a != NULL && (a->n > OPS_OWNERS_SCORES_MAX || a->tail_n > OPS_OWNERS_TAIL_MAX ||
                      a->model.n > OPS_SESSION_MODEL_MAX || a->model_hash.n >= OPS_SESSION_HASH_MAX))
        return ops_fail(
            reterr, OPS_ETOOBIG,
            "an answer of %zu scores, %zu surprises held out, a model of %zu bytes: at most %d, %d, %d", a->n,
            a->tail_n, a->model.n, OPS_OWNERS_SCORES_MAX, OPS_OWNERS_TAIL_MAX, OPS_SESSION_MODEL_MAX);
    partition *p = &o->parts[part];
    work_answer *w = copy(stream, ticket, a);
    if (w == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "an answer about sessions");
    (void)pthread_mutex_lock(&p->answers_lock);
    const bool room = p->answers_n < OPS_OWNERS_ANSWERS_MAX;
    if (room) {
        work_answer **at = &p->answers;
        while (*at != NULL)
            at = &(*at)->next;
        *at = w;
        p->answers_n++;
    }
    (void)pthread_mutex_unlock(&p->answers_lock);
    if (room)
        return OPS_OK;
    ops_free(w);
    return ops_fail(reterr, OPS_EAGAIN, "%d answers about sessions wait, the most", OPS_OWNERS_ANSWERS_MAX);
}

static work_answer *take_answers(partition *p)
{
    (void)pthread_mutex_lock(&p->answers_lock);
    work_answer *all = p->answers;
    p->answers = NULL;
    p->answers_n = 0;
    (void)pthread_mutex_unlock(&p->answers_lock);
    return all;
}

/* Under the partition's lock. */
static void take_up(partition *p, const work_answer *w)
{
    const ops_status st = ops_pipeline_answer(p->pipeline, w->stream, w->ticket, w->any ? &w->a : NULL);
    p->unsaved |= st == OPS_OK;
    if (st != OPS_EINVAL)
        return; /* taken; or nobody wants it any more, or memory is short: as if it never came */
    atomic_fetch_add(&p->answers_refused, 1);
    OPS_LOG(OPS_LOG_WARN, "session_answer_refused", OPS_KV_INT("partition", p->part),
            OPS_KV_U64("scores", w->a.n), OPS_KV_U64("model_bytes", w->a.model.n));
}

static void hand_out(partition *p)
{
    const ops_owners_conf *c = &p->owners->conf;
    ops_pipeline_work w;
    for (int i = 0; i < AT_ONCE && c->can_work(c->u) && ops_pipeline_next_work(p->pipeline, &p->work_at, &w);
         i++)
        if (!c->on_work(c->u, p->part, &w))
            (void)(ops_pipeline_answer(p->pipeline, w.stream, w.work.ticket, NULL) == OPS_OK);
}

void ops_partition_work(partition *p)
{
    if (p->owners->conf.can_work == NULL || p->pending)
        return;
    (void)pthread_mutex_lock(&p->lock);
    hand_out(p);
    (void)pthread_mutex_unlock(&p->lock);
}

void ops_partition_answers(partition *p)
{
    work_answer *all = p->pending ? NULL : take_answers(p); /* while a DELTA waits the state does not move */
    if (all == NULL)
        return;
    (void)pthread_mutex_lock(&p->lock);
    for (const work_answer *w = all; w != NULL; w = w->next)
        take_up(p, w);
    (void)pthread_mutex_unlock(&p->lock);
    while (all != NULL) {
        work_answer *next = all->next;
        ops_free(all);
        all = next;
    }
}

void ops_partition_work_free(partition *p)
{
    for (work_answer *w = take_answers(p); w != NULL;) {
        work_answer *next = w->next;
        ops_free(w);
        w = next;
    }
}
