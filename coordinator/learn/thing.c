#include "coordinator/learn/thing.h"

#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"

enum { SESSIONS_MAX = 512, LINES_MAX = SESSIONS_MAX * 64, TAIL_MAX = 512 };

thing *learn_thing_new(uint32_t part, const ops_pipeline_work *pw)
{
    const ops_session_work *w = &pw->work;
    if (w->n > SESSIONS_MAX || w->id_n > LINES_MAX || w->model.n > OPS_SESSION_MODEL_MAX ||
        w->model_hash.n >= OPS_SESSION_HASH_MAX)
        return NULL;
    const size_t numbers = w->id_n + w->n;
    const size_t bytes = sizeof(thing) + numbers * sizeof(uint32_t) + w->model.n;
    thing *t = ops_malloc(bytes);
    if (t == NULL)
        return NULL;
    *t = (thing){.part = part,
                 .stream = pw->stream,
                 .ticket = w->ticket,
                 .seed = w->seed,
                 .train = w->train,
                 .kinds = w->kinds,
                 .ids = (uint32_t *)(t + 1),
                 .id_n = w->id_n,
                 .n = w->n,
                 .allowance = w->allowance,
                 .bytes = bytes};
    t->lengths = t->ids + t->id_n;
    char *model = (char *)(t->lengths + t->n);
    t->model = ops_slice_of(model, w->model.n);
    if (t->id_n > 0)
        memcpy(t->ids, w->ids, t->id_n * sizeof *t->ids);
    if (t->n > 0)
        memcpy(t->lengths, w->lengths, t->n * sizeof *t->lengths);
    if (w->model.n > 0)
        memcpy(model, w->model.p, w->model.n);
    (void)snprintf(t->hash, sizeof t->hash, OPS_SLICE_FMT, OPS_SLICE_ARG(w->model_hash));
    return t;
}

static void put_sessions(const thing *t, Ops__V1__Sessions *m)
{
    ops__v1__sessions__init(m);
    m->kinds = t->kinds;
    m->n_ids = t->id_n;
    m->ids = t->ids;
    m->n_lengths = t->n;
    m->lengths = t->lengths;
}

static ops_slice pack(const Ops__V1__SequenceTask *m)
{
    const size_t n = ops__v1__sequence_task__get_packed_size(m);
    uint8_t *bytes = ops_malloc(n > 0 ? n : 1);
    if (bytes == NULL)
        return (ops_slice){0};
    return ops_slice_of((char *)bytes, ops__v1__sequence_task__pack(m, bytes));
}

static ops_slice pack_train(const thing *t)
{
    Ops__V1__Sessions sessions;
    Ops__V1__SequenceTrain train = OPS__V1__SEQUENCE_TRAIN__INIT;
    Ops__V1__SequenceTask m = OPS__V1__SEQUENCE_TASK__INIT;
    put_sessions(t, &sessions);
    train.sessions = &sessions;
    train.seed = t->seed;
    m.work_case = OPS__V1__SEQUENCE_TASK__WORK_TRAIN;
    m.train = &train;
    return pack(&m);
}

ops_slice learn_pack(thing *const *all, size_t n)
{
    if (n == 1 && all[0]->train)
        return pack_train(all[0]);
    Ops__V1__Sessions sessions[OPS_LEARNER_GROUPS_MAX];
    Ops__V1__SequenceGroup group[OPS_LEARNER_GROUPS_MAX], *groups[OPS_LEARNER_GROUPS_MAX];
    for (size_t i = 0; i < n; i++) {
        thing *t = all[i];
        ops__v1__sequence_group__init(groups[i] = &group[i]);
        put_sessions(t, &sessions[i]);
        group[i].sessions = &sessions[i];
        group[i].model_hash = t->hash;
        group[i].allowance = t->allowance;
        if (t->with_model) {
            group[i].model.data = (uint8_t *)(uintptr_t)t->model.p; /* only packed from */
            group[i].model.len = t->model.n;
        }
    }
    Ops__V1__SequenceScore score = OPS__V1__SEQUENCE_SCORE__INIT;
    Ops__V1__SequenceTask m = OPS__V1__SEQUENCE_TASK__INIT;
    score.n_groups = n;
    score.groups = groups;
    m.work_case = OPS__V1__SEQUENCE_TASK__WORK_SCORE;
    m.score = &score;
    return pack(&m);
}

bool learn_trained(const Ops__V1__SequenceTrained *m, ops_session_answer *ret)
{
    if (m == NULL || m->n_tail > TAIL_MAX || m->model.len > OPS_SESSION_MODEL_MAX ||
        strlen(m->model_hash) >= OPS_SESSION_HASH_MAX)
        return false;
    *ret = (ops_session_answer){.model_hash = ops_slice_str(m->model_hash),
                                .model = ops_slice_of((const char *)m->model.data, m->model.len),
                                .allowance = m->allowance,
                                .tail = m->tail,
                                .tail_n = m->n_tail};
    return true;
}

bool learn_scored(const thing *t, const Ops__V1__SequenceScored *m, ops_session_surprise *scores,
                  ops_session_answer *ret)
{
    if (m->n_sessions != t->n)
        return false;
    for (size_t i = 0; i < t->n; i++) {
        const Ops__V1__SequenceSurprise *s = m->sessions[i];
        if (s->n_expected > OPS_SESSION_EXPECTED_MAX || s->n_chance != s->n_expected)
            return false;
        scores[i] = (ops_session_surprise){.surprise = s->surprise,
                                           .place = s->place,
                                           .seen = s->seen,
                                           .expected_n = (uint32_t)s->n_expected};
        for (size_t k = 0; k < s->n_expected; k++) {
            scores[i].expected[k] = s->expected[k];
            scores[i].chance[k] = s->chance[k];
        }
    }
    *ret = (ops_session_answer){.scores = scores, .n = t->n};
    return true;
}
