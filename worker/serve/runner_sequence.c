/* Sessions to be learnt and scored, one task after the other on a thread of its own that steps aside for the engine's. The
 * trained models that were used last stay; a coordinator sends one again when it is not among them. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/mem/alloc.h"
#include "worker/serve/runner_internal.h"
#include "worker/train/seqfit.h"

enum {
    NICE = 19,
    ASIDE_MS = 5,     /* at a time */
    ASIDE_TIMES = 20, /* before a step; then it is made beside the engine's work */
    TAIL_TOLD = OPS_SEQFIT_TAIL_MAX
};

struct ops_runner_sequence {
    ops_runner_sequence *next;
    ops_runner *r;
    int64_t deadline_ns;
    bool cancelled; /* under the runner's lock */
    void (*done)(void *ctx, const ops_runner_sequenced *result);
    void *ctx;
    size_t n;
    uint8_t bytes[]; /* the task, packed */
};

typedef struct known_model {
    char hash[OPS_SEQFIT_HASH_MAX];
    ops_seqlm *model; /* NULL: nothing is here */
    uint64_t used;
} known_model;

/* The thread's own. */
typedef struct sequencer {
    ops_runner *r;
    known_model known[OPS_RUNNER_SEQUENCE_MODELS];
    uint64_t uses, tokens;
} sequencer;

/* --- models --- */

static ops_seqlm *find_model(sequencer *q, const char *hash)
{
    for (size_t i = 0; i < OPS_RUNNER_SEQUENCE_MODELS; i++)
        if (q->known[i].model != NULL && strcmp(q->known[i].hash, hash) == 0) {
            q->known[i].used = ++q->uses;
            return q->known[i].model;
        }
    return NULL;
}

static void keep_model(sequencer *q, const char *hash, ops_seqlm *take_model)
{
    known_model *at = &q->known[0];
    for (size_t i = 1; i < OPS_RUNNER_SEQUENCE_MODELS && at->model != NULL; i++)
        if (q->known[i].model == NULL || q->known[i].used < at->used)
            at = &q->known[i];
    ops_seqlm_free(at->model);
    *at = (known_model){.model = take_model, .used = ++q->uses};
    (void)snprintf(at->hash, sizeof at->hash, "%s", hash);
}

/* A model that came with its bytes. */
static ops_status read_model(sequencer *q, const char *hash, ProtobufCBinaryData bytes, ops_seqlm **ret,
                             ops_err *reterr)
{
    char is[OPS_SEQFIT_HASH_MAX];
    const ops_slice file = ops_slice_of((const char *)bytes.data, bytes.len);
    if (file.n > OPS_SEQFIT_MODEL_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "a sequence model of %zu bytes, at most %d", file.n,
                        OPS_SEQFIT_MODEL_MAX);
    ops_seqfit_hash(file, is);
    if (strcmp(is, hash) != 0)
        return ops_fail(reterr, OPS_EINVAL, "a sequence model of hash %.32s that was called %.40s", is, hash);
    const ops_status st = ops_seqfit_load(file, ret, reterr);
    if (st == OPS_OK)
        keep_model(q, hash, *ret);
    return st;
}

/* --- between two steps --- */

static bool engine_works(ops_runner *r)
{
    pthread_mutex_lock(&r->lock);
    const bool works = !r->stopping && (r->engine_works || runner_engine_waits(r));
    pthread_mutex_unlock(&r->lock);
    return works;
}

static void step_aside(ops_runner *r)
{
    const struct timespec a_while = {.tv_nsec = ASIDE_MS * 1000000};
    for (int i = 0; i < ASIDE_TIMES && engine_works(r); i++)
        (void)nanosleep(&a_while, NULL);
}

static ops_status still_wanted(ops_runner_sequence *t)
{
    ops_runner *r = t->r;
    pthread_mutex_lock(&r->lock);
    const bool cancelled = t->cancelled || r->stopping;
    pthread_mutex_unlock(&r->lock);
    return cancelled ? OPS_ECANCELLED : ops_clock_mono_ns(r->clock) >= t->deadline_ns ? OPS_ETIMEOUT : OPS_OK;
}

static ops_status between(ops_runner_sequence *t, ops_err *reterr)
{
    step_aside(t->r);
    const ops_status st = still_wanted(t);
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "%s", ops_status_text(st));
}

static void finish(ops_runner_sequence *t, ops_status st, const char *message,
                   const Ops__V1__SequenceAnswer *answer, uint64_t tokens)
{
    const ops_runner_sequenced result = {
        .status = st, .message = message, .answer = st == OPS_OK ? answer : NULL, .tokens = tokens};
    t->done(t->ctx, &result);
    ops_free(t);
}

/* --- the two kinds of work --- */

static ops_seqfit_sessions sessions_of(const Ops__V1__Sessions *s)
{
    return s == NULL ? (ops_seqfit_sessions){0}
                     : (ops_seqfit_sessions){s->ids, s->n_ids, s->lengths, s->n_lengths, s->kinds};
}

static ops_status learn(ops_runner_sequence *t, const Ops__V1__SequenceTrain *m, ops_seqfit **ret,
                        ops_err *reterr)
{
    OPS_AUTO(ops_seqfit_free) ops_seqfit *f = NULL;
    const ops_seqfit_sessions s = sessions_of(m->sessions);
    ops_status st = ops_seqfit_new(&s, m->seed, m->steps, &f, reterr);
    for (bool done = false; st == OPS_OK && !done;) {
        st = between(t, reterr);
        if (st == OPS_OK)
            st = ops_seqfit_step(f, &done, reterr);
    }
    if (st == OPS_OK)
        *ret = OPS_STEAL(f);
    return st;
}

static void train(sequencer *q, ops_runner_sequence *t, const Ops__V1__SequenceTrain *m)
{
    OPS_AUTO(ops_seqfit_free) ops_seqfit *f = NULL;
    ops_err err = {.msg = ""};
    ops_strbuf file;
    ops_strbuf_init(&file, OPS_SEQFIT_MODEL_MAX);
    ops_status st = learn(t, m, &f, &err);
    if (st == OPS_OK)
        st = ops_seqfit_save(f, &file, &err);
    char hash[OPS_SEQFIT_HASH_MAX] = "";
    double tail[TAIL_TOLD];
    Ops__V1__SequenceTrained trained = OPS__V1__SEQUENCE_TRAINED__INIT;
    Ops__V1__SequenceAnswer answer = OPS__V1__SEQUENCE_ANSWER__INIT;
    if (st == OPS_OK) {
        const double *from;
        ops_seqlm *m2 = NULL;
        ops_seqfit_hash(ops_strbuf_get(&file), hash);
        trained.n_tail = ops_seqfit_tail(f, &from);
        memcpy(tail, from, trained.n_tail * sizeof *tail);
        trained.allowance = ops_seqfit_allowance(f);
        if (find_model(q, hash) == NULL && ops_seqfit_load(ops_strbuf_get(&file), &m2, NULL) == OPS_OK)
            keep_model(q, hash, m2); /* when not, it comes back with the first sessions */
    }
    trained.model_hash = hash;
    trained.model.data = (uint8_t *)file.p;
    trained.model.len = file.n;
    trained.tail = tail;
    answer.trained = &trained;
    finish(t, st, err.msg, &answer, f != NULL ? ops_seqfit_tokens(f) : 0);
    ops_strbuf_done(&file);
}

/* What is told of one group, in its own block. */
typedef struct scored {
    Ops__V1__SequenceScored message;
    char why[160];
    ops_seqfit_score *score;
    Ops__V1__SequenceSurprise *surprise, **at;
} scored;

static bool make_room(scored *g, size_t n)
{
    g->score = ops_calloc(n, sizeof *g->score);
    g->surprise = ops_calloc(n, sizeof *g->surprise);
    g->at = ops_calloc(n, sizeof *g->at);
    return g->score != NULL && g->surprise != NULL && g->at != NULL;
}

static void tell(scored *g, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        Ops__V1__SequenceSurprise *m = g->at[i] = &g->surprise[i];
        ops_seqfit_score *s = &g->score[i];
        ops__v1__sequence_surprise__init(m);
        m->surprise = s->surprise;
        m->place = s->place;
        m->seen = s->seen;
        m->n_expected = m->n_chance = s->expected_n;
        m->expected = s->expected;
        m->chance = s->chance;
    }
    g->message.n_sessions = n;
    g->message.sessions = g->at;
}

/* A group that cannot be scored says why, and the others are. OPS_ENOMEM fails the task. */
static ops_status score_group(sequencer *q, const Ops__V1__SequenceGroup *m, scored *g, ops_err *reterr)
{
    const ops_seqfit_sessions s = sessions_of(m->sessions);
    ops_err err = {.msg = ""};
    ops_status st = OPS_OK;
    ops_seqlm *model = find_model(q, m->model_hash);
    ops__v1__sequence_scored__init(&g->message);
    if (model == NULL && m->model.len == 0) {
        g->message.model_missing = 1;
        return OPS_OK;
    }
    if (model == NULL)
        st = read_model(q, m->model_hash, m->model, &model, &err);
    if (st == OPS_OK && s.n > OPS_SEQFIT_SESSIONS_MAX)
        st = ops_fail(&err, OPS_EINVAL, "%zu sessions, at most %d", s.n, OPS_SEQFIT_SESSIONS_MAX);
    if (st == OPS_OK && !make_room(g, s.n > 0 ? s.n : 1))
        st = ops_fail(&err, OPS_ENOMEM, "out of memory for %zu sessions", s.n);
    if (st == OPS_OK)
        st = ops_seqfit_score_all(model, &s, m->allowance, g->score, &err);
    q->tokens += st == OPS_OK ? s.id_n : 0;
    if (st == OPS_ENOMEM)
        return ops_fail(reterr, st, "%s", err.msg);
    if (st == OPS_OK)
        tell(g, s.n);
    (void)snprintf(g->why, sizeof g->why, "%.150s", st == OPS_OK ? "" : err.msg);
    g->message.message = g->why;
    return OPS_OK;
}

static void score(sequencer *q, ops_runner_sequence *t, const Ops__V1__SequenceScore *m)
{
    ops_err err = {.msg = ""};
    ops_status st = m->n_groups >= 1 && m->n_groups <= OPS_RUNNER_SEQUENCE_GROUPS
                        ? OPS_OK
                        : ops_fail(&err, OPS_EINVAL, "%zu groups of sessions: 1 to %d", m->n_groups,
                                   OPS_RUNNER_SEQUENCE_GROUPS);
    scored groups[OPS_RUNNER_SEQUENCE_GROUPS] = {0};
    Ops__V1__SequenceScored *at[OPS_RUNNER_SEQUENCE_GROUPS];
    Ops__V1__SequenceAnswer answer = OPS__V1__SEQUENCE_ANSWER__INIT;
    q->tokens = 0;
    for (size_t i = 0; st == OPS_OK && i < m->n_groups; i++) {
        st = between(t, &err);
        if (st == OPS_OK)
            st = score_group(q, m->groups[i], &groups[i], &err);
        at[i] = &groups[i].message;
        answer.n_groups = i + 1;
    }
    answer.groups = at;
    finish(t, st, err.msg, &answer, q->tokens);
    for (size_t i = 0; i < answer.n_groups; i++) {
        ops_free(groups[i].score);
        ops_free(groups[i].surprise);
        ops_free(groups[i].at);
    }
}

static void work_on(sequencer *q, ops_runner_sequence *t)
{
    const ops_status st = still_wanted(t);
    if (st != OPS_OK) {
        finish(t, st, ops_status_text(st), NULL, 0);
        return;
    }
    Ops__V1__SequenceTask *m = ops__v1__sequence_task__unpack(NULL, t->n, t->bytes);
    if (m == NULL)
        finish(t, OPS_ENOMEM, "out of memory for the task", NULL, 0);
    else if (m->work_case == OPS__V1__SEQUENCE_TASK__WORK_TRAIN)
        train(q, t, m->train);
    else if (m->work_case == OPS__V1__SEQUENCE_TASK__WORK_SCORE)
        score(q, t, m->score);
    else
        finish(t, OPS_EINVAL, "sessions to do something with that this worker does not know", NULL, 0);
    if (m != NULL)
        ops__v1__sequence_task__free_unpacked(m, NULL);
}

/* --- the queue --- */

static ops_runner_sequence *next_task(ops_runner *r)
{
    pthread_mutex_lock(&r->lock);
    while (!r->stopping && r->sequences == NULL)
        pthread_cond_wait(&r->sequenced, &r->lock);
    ops_runner_sequence *t = r->sequences;
    if (t != NULL) {
        r->sequences = t->next;
        r->sequence_count--;
    }
    pthread_mutex_unlock(&r->lock);
    return t;
}

void runner_sequences(void *runner)
{
    ops_runner *r = runner;
    /* A thread has a nice value of its own here. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
    sequencer q = {.r = r};
    for (ops_runner_sequence *t;
         (t = next_task(r)) != NULL;) /* stopping: what waits is cancelled one by one */
        work_on(&q, t);
    for (size_t i = 0; i < OPS_RUNNER_SEQUENCE_MODELS; i++)
        ops_seqlm_free(q.known[i].model);
}

ops_status ops_runner_sequence_submit(ops_runner *r, const Ops__V1__SequenceTask *task, uint32_t deadline_ms,
                                      void (*done)(void *ctx, const ops_runner_sequenced *result), void *ctx,
                                      ops_runner_sequence **ret, ops_err *reterr)
{
    const size_t n = ops__v1__sequence_task__get_packed_size(task);
    if (n > OPS_RUNNER_REQUEST_BYTES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "a task of %zu bytes of sessions, at most %d", n,
                        OPS_RUNNER_REQUEST_BYTES_MAX);
    ops_runner_sequence *t = ops_malloc(sizeof *t + n);
    if (t == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a task of %zu bytes", n);
    *t = (ops_runner_sequence){.r = r,
                               .deadline_ns = ops_clock_mono_ns(r->clock) + (int64_t)deadline_ms * 1000000,
                               .done = done,
                               .ctx = ctx,
                               .n = ops__v1__sequence_task__pack(task, t->bytes)};
    pthread_mutex_lock(&r->lock);
    ops_status st =
        r->stopping ? ops_fail(reterr, OPS_ECANCELLED, "the worker stops")
        : r->sequence_count >= OPS_RUNNER_SEQUENCES_MAX
            ? ops_fail(reterr, OPS_EAGAIN, "%d tasks of sessions wait, the most", OPS_RUNNER_SEQUENCES_MAX)
            : OPS_OK;
    if (st == OPS_OK) {
        ops_runner_sequence **at = &r->sequences;
        while (*at != NULL)
            at = &(*at)->next;
        *at = *ret = t;
        r->sequence_count++;
        pthread_cond_signal(&r->sequenced);
    }
    pthread_mutex_unlock(&r->lock);
    if (st != OPS_OK)
        ops_free(t);
    return st;
}

void ops_runner_sequence_cancel(ops_runner *r, ops_runner_sequence *t)
{
    pthread_mutex_lock(&r->lock);
    t->cancelled = true;
    pthread_mutex_unlock(&r->lock);
}
