#include "worker/serve/session.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/serve/catalogue.h"
#include "worker/serve/score_message.h"

enum { NAME_BYTES = 128, REASON_BYTES = 256, HEARTBEAT_MS_DEFAULT = 2000, HEARTBEAT_MS_MIN = 10 };

typedef struct task {
    struct task *next;
    ops_session *s;
    uint64_t id;
    ops_runner_job *job;         /* NULL: `done` came, or */
    ops_runner_writing *writing; /* it generates; NULL: as job */
    ops_runner_sequence *sequence;
} task;

/* A model to be loaded or unloaded; keeps the session. */
typedef struct errand {
    ops_session *s;
    uint64_t id;
} errand;

struct ops_session {
    ops_runner *runner;
    ops_session_wire wire;
    unsigned line;
    char worker_id[NAME_BYTES];
    pthread_mutex_t lock;
    task *tasks;
    size_t n, senders, errands; /* senders: calls of wire.send under way */
    bool draining, ended, hung_up;
    uint64_t granted; /* credits, in all */
    uint32_t credits; /* of those, beside what caches hold */
    uint32_t heartbeat_ms;
    int64_t beat_at;
    uint64_t beats;
};

static void free_session(ops_session *s)
{
    pthread_mutex_destroy(&s->lock);
    ops_free(s);
}

/* Called with the lock held; lets it go. Whoever takes the last thing away closes. */
static void unlock_and_close(ops_session *s)
{
    const bool last = s->ended && s->n == 0 && s->errands == 0 && s->senders == 0;
    if (last)
        s->ended = false; /* nobody else comes to this */
    pthread_mutex_unlock(&s->lock);
    if (last) {
        s->wire.close(s->wire.ctx);
        free_session(s);
    }
}

/* Sends unless the stream is over, and hangs up when that fails. `s` may be gone afterwards unless the caller keeps it. */
static ops_status send_message(ops_session *s, const Ops__V1__WorkerMessage *m)
{
    pthread_mutex_lock(&s->lock);
    if (s->ended || s->hung_up) {
        pthread_mutex_unlock(&s->lock);
        return OPS_ECANCELLED;
    }
    s->senders++;
    pthread_mutex_unlock(&s->lock);
    const ops_status st = s->wire.send(s->wire.ctx, m);
    pthread_mutex_lock(&s->lock);
    /* ECANCELLED: it is on its way down already. */
    const bool hang_up = st != OPS_OK && st != OPS_ECANCELLED && !s->hung_up && !s->ended;
    s->hung_up |= hang_up;
    pthread_mutex_unlock(&s->lock);
    if (hang_up)
        s->wire.hang_up(s->wire.ctx, st, "the stream does not take a message");
    pthread_mutex_lock(&s->lock);
    s->senders--;
    unlock_and_close(s);
    return st;
}

/* What it takes at once: as many tokens as the caches hold, and some texts. */
static uint64_t credits_for(const ops_session *s, const ops_catalogue *c)
{
    const uint64_t sum = s->credits + c->cache_tokens;
    return sum < INT32_MAX ? sum : INT32_MAX;
}

static ops_status send_hello(ops_session *s, Ops__V1__WorkClass work_class, char *version)
{
    ops_catalogue c;
    ops_catalogue_read(s->runner, &c);
    s->granted = credits_for(s, &c); /* nobody else is here */
    Ops__V1__Hello hello = OPS__V1__HELLO__INIT;
    hello.protocol = 1;
    hello.worker_id = s->worker_id;
    hello.version = version;
    hello.work_class = work_class;
    hello.n_models = c.n;
    hello.models = c.messages;
    hello.credits = (uint32_t)s->granted;
    hello.sequences = 1;
    Ops__V1__WorkerMessage m = OPS__V1__WORKER_MESSAGE__INIT;
    m.kind_case = OPS__V1__WORKER_MESSAGE__KIND_HELLO;
    m.hello = &hello;
    return s->wire.send(s->wire.ctx, &m);
}

static void send_credits(ops_session *s, const ops_catalogue *c)
{
    const uint64_t want = credits_for(s, c);
    pthread_mutex_lock(&s->lock);
    const uint64_t more = want > s->granted ? want - s->granted : 0; /* none are taken back */
    s->granted += more;
    pthread_mutex_unlock(&s->lock);
    if (more == 0)
        return;
    Ops__V1__Credits credits = OPS__V1__CREDITS__INIT;
    credits.tokens = (uint32_t)more;
    Ops__V1__WorkerMessage m = OPS__V1__WORKER_MESSAGE__INIT;
    m.kind_case = OPS__V1__WORKER_MESSAGE__KIND_CREDITS;
    m.credits = &credits;
    (void)(send_message(s, &m) == OPS_OK); /* when not, it hung up */
}

static void send_models(ops_session *s, ops_catalogue *c)
{
    Ops__V1__Models models = OPS__V1__MODELS__INIT;
    models.n_models = c->n;
    models.models = c->messages;
    Ops__V1__WorkerMessage m = OPS__V1__WORKER_MESSAGE__INIT;
    m.kind_case = OPS__V1__WORKER_MESSAGE__KIND_MODELS;
    m.models = &models;
    (void)(send_message(s, &m) == OPS_OK); /* when not, it hung up */
}

/* The runner's watcher, by whoever changed the models; the session unwatches before it ends. */
static void models_changed(void *ctx)
{
    ops_session *s = ctx;
    ops_catalogue c;
    ops_catalogue_read(s->runner, &c);
    send_models(s, &c);
    send_credits(s, &c);
}

ops_status ops_session_new(ops_runner *runner, const ops_session_conf *conf, const ops_session_wire *wire,
                           ops_session **ret, ops_err *reterr)
{
    if (conf->worker_id == NULL || conf->worker_id[0] == '\0' || strlen(conf->worker_id) >= NAME_BYTES)
        return ops_fail(reterr, OPS_EINVAL, "a worker id has 1 to %d bytes", NAME_BYTES - 1);
    ops_session *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "session");
    s->runner = runner;
    s->wire = *wire;
    s->line = conf->work_class == OPS__V1__WORK_CLASS__WORK_CLASS_INTERACTIVE ? 0
              : conf->work_class == OPS__V1__WORK_CLASS__WORK_CLASS_TRIAGE    ? 1
                                                                              : 2;
    s->heartbeat_ms = HEARTBEAT_MS_DEFAULT;
    s->credits = conf->credits != 0 ? conf->credits : OPS_SESSION_CREDITS_DEFAULT;
    (void)snprintf(s->worker_id, sizeof s->worker_id, "%s", conf->worker_id);
    pthread_mutex_init(&s->lock, NULL);
    *ret = s; /* before the hello: an answer to it may come at once */
    char version[] = OPS_VERSION;
    ops_status st = send_hello(s, conf->work_class, version);
    if (st != OPS_OK)
        st = ops_fail(reterr, st, "the hello of '%s' could not be sent: %s", conf->worker_id,
                      ops_status_text(st));
    else
        st = ops_runner_watch(runner, models_changed, s, reterr);
    if (st == OPS_OK) {
        models_changed(s); /* perhaps they did, between the hello and the watch */
        return OPS_OK;
    }
    *ret = NULL;
    free_session(s);
    return st;
}

static void send_result(ops_session *s, uint64_t id, Ops__V1__TaskOutcome outcome, const ops_runner_result *r)
{
    char message[REASON_BYTES];
    (void)snprintf(message, sizeof message, "%s", r->message);
    Ops__V1__Result result = OPS__V1__RESULT__INIT;
    result.task_id = id;
    result.outcome = outcome;
    result.message = message;
    result.tokens_used = r->tokens < UINT32_MAX ? (uint32_t)r->tokens : UINT32_MAX;
    Ops__V1__Vector rows[OPS_RUNNER_TEXTS_MAX], *at[OPS_RUNNER_TEXTS_MAX];
    OPS_AUTO(ops_free) void *copy = NULL;
    if (r->vectors != NULL && (copy = ops_memdup(r->vectors, r->rows * r->dim * sizeof(float))) == NULL) {
        result.outcome = OPS__V1__TASK_OUTCOME__TASK_OUTCOME_REFUSED;
        (void)snprintf(message, sizeof message, "out of memory for the answer");
    }
    for (size_t i = 0; copy != NULL && i < r->rows; i++) {
        ops__v1__vector__init(&rows[i]);
        rows[i].n_values = r->dim;
        rows[i].values = (float *)copy + i * r->dim;
        at[i] = &rows[i];
        result.n_vectors = i + 1;
        result.vectors = at;
    }
    Ops__V1__WorkerMessage m = OPS__V1__WORKER_MESSAGE__INIT;
    m.kind_case = OPS__V1__WORKER_MESSAGE__KIND_RESULT;
    m.result = &result;
    (void)(send_message(s, &m) == OPS_OK); /* when not, it hung up */
}

static Ops__V1__TaskOutcome outcome_of(ops_status st)
{
    if (st == OPS_OK)
        return OPS__V1__TASK_OUTCOME__TASK_OUTCOME_DONE;
    return st == OPS_EINVAL || st == OPS_ETOOBIG || st == OPS_EUNIMPL || st == OPS_ECONTEXT
               ? OPS__V1__TASK_OUTCOME__TASK_OUTCOME_FAILED
               : OPS__V1__TASK_OUTCOME__TASK_OUTCOME_REFUSED;
}

/* From here on nobody cancels it; the task in the list keeps the session. */
static void task_is_done(task *t)
{
    pthread_mutex_lock(&t->s->lock);
    t->job = NULL;
    t->writing = NULL;
    t->sequence = NULL;
    pthread_mutex_unlock(&t->s->lock);
}

static void forget_task(task *t)
{
    ops_session *s = t->s;
    pthread_mutex_lock(&s->lock);
    for (task **at = &s->tasks; *at != NULL; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            break;
        }
    s->n--;
    ops_free(t);
    unlock_and_close(s);
}

static void embedded(void *ctx, const ops_runner_result *r)
{
    task *t = ctx;
    task_is_done(t);
    send_result(t->s, t->id, outcome_of(r->status), r);
    forget_task(t);
}

static void scored(void *ctx, const ops_runner_result *r)
{
    task *t = ctx;
    ops_score_message m;
    task_is_done(t);
    if (r->status != OPS_OK) {
        send_result(t->s, t->id, outcome_of(r->status), r);
    } else if (!ops_score_message_make(r, &m)) {
        const ops_runner_result why = {.status = OPS_ENOMEM, .message = "out of memory for the answer"};
        send_result(t->s, t->id, OPS__V1__TASK_OUTCOME__TASK_OUTCOME_REFUSED, &why);
    } else {
        m.result.task_id = t->id;
        (void)(send_message(t->s, &m.message) == OPS_OK); /* when not, it hung up */
        ops_score_message_done(&m);
    }
    forget_task(t);
}

static void told(void *ctx, const Ops__V1__GenerateDelta *piece)
{
    const task *t = ctx;
    Ops__V1__Delta delta = OPS__V1__DELTA__INIT;
    delta.task_id = t->id;
    delta.delta = (Ops__V1__GenerateDelta *)(uintptr_t)piece; /* only packed from */
    Ops__V1__WorkerMessage m = OPS__V1__WORKER_MESSAGE__INIT;
    m.kind_case = OPS__V1__WORKER_MESSAGE__KIND_DELTA;
    m.delta = &delta;
    (void)(send_message(t->s, &m) == OPS_OK); /* when not, it hung up */
}

static bool behind(void *ctx)
{
    const task *t = ctx;
    return t->s->wire.behind(t->s->wire.ctx);
}

static void generated(void *ctx, const ops_runner_generated *r)
{
    task *t = ctx;
    char message[REASON_BYTES];
    task_is_done(t);
    (void)snprintf(message, sizeof message, "%s", r->message);
    Ops__V1__Result result = OPS__V1__RESULT__INIT;
    result.task_id = t->id;
    result.outcome = outcome_of(r->status);
    result.context_exceeded = r->status == OPS_ECONTEXT;
    result.message = message;
    if (r->end != NULL) {
        result.generated = (Ops__V1__GenerateEnd *)(uintptr_t)r->end; /* only packed from */
        result.tokens_used = r->end->prompt_tokens - r->end->cached_tokens + r->end->completion_tokens;
    }
    Ops__V1__WorkerMessage m = OPS__V1__WORKER_MESSAGE__INIT;
    m.kind_case = OPS__V1__WORKER_MESSAGE__KIND_RESULT;
    m.result = &result;
    (void)(send_message(t->s, &m) == OPS_OK); /* when not, it hung up */
    forget_task(t);
}

static void sequenced(void *ctx, const ops_runner_sequenced *r)
{
    task *t = ctx;
    char message[REASON_BYTES];
    task_is_done(t);
    (void)snprintf(message, sizeof message, "%s", r->message);
    Ops__V1__Result result = OPS__V1__RESULT__INIT;
    result.task_id = t->id;
    result.outcome = outcome_of(r->status);
    result.message = message;
    result.tokens_used = r->tokens < UINT32_MAX ? (uint32_t)r->tokens : UINT32_MAX;
    result.sequence = (Ops__V1__SequenceAnswer *)(uintptr_t)r->answer; /* only packed from */
    Ops__V1__WorkerMessage m = OPS__V1__WORKER_MESSAGE__INIT;
    m.kind_case = OPS__V1__WORKER_MESSAGE__KIND_RESULT;
    m.result = &result;
    (void)(send_message(t->s, &m) == OPS_OK); /* when not, it hung up */
    forget_task(t);
}

static void refuse(ops_session *s, uint64_t id, ops_status why, const char *message)
{
    send_result(s, id, outcome_of(why), &(ops_runner_result){.status = why, .message = message});
}

static const Ops__V1__ScoreTask *score_of(const Ops__V1__Task *m)
{
    return m->job_case == OPS__V1__TASK__JOB_RERANK     ? m->rerank
           : m->job_case == OPS__V1__TASK__JOB_CLASSIFY ? m->classify
                                                        : NULL;
}

static ops_status submit(task *t, const Ops__V1__Task *m, ops_err *reterr)
{
    ops_session *s = t->s;
    if (m->job_case == OPS__V1__TASK__JOB_GENERATE) {
        const ops_runner_listener listener = {told, generated, s->wire.behind != NULL ? behind : NULL, t};
        return ops_runner_generate(s->runner, s->line, m->generate, m->deadline_ms, &listener, &t->writing,
                                   reterr);
    }
    if (m->job_case == OPS__V1__TASK__JOB_SEQUENCE)
        return ops_runner_sequence_submit(s->runner, m->sequence, m->deadline_ms, sequenced, t, &t->sequence,
                                          reterr);
    ops_slice texts[OPS_RUNNER_TEXTS_MAX];
    const Ops__V1__ScoreTask *score = score_of(m);
    if (score != NULL) {
        for (size_t i = 0; i < score->n_texts; i++)
            texts[i] = ops_slice_str(score->texts[i]);
        return ops_runner_score(s->runner, s->line,
                                m->job_case == OPS__V1__TASK__JOB_RERANK ? OPS_RUNNER_RERANKS
                                                                         : OPS_RUNNER_CLASSIFIES,
                                ops_slice_str(score->model), ops_slice_str(score->query), texts,
                                score->n_texts, m->deadline_ms, scored, t, &t->job, reterr);
    }
    for (size_t i = 0; i < m->embed->n_texts; i++)
        texts[i] = ops_slice_str(m->embed->texts[i]);
    return ops_runner_submit(s->runner, s->line, ops_slice_str(m->embed->model), texts, m->embed->n_texts,
                             m->deadline_ms, embedded, t, &t->job, reterr);
}

static ops_status start(ops_session *s, const Ops__V1__Task *m, ops_err *reterr)
{
    task *t = ops_calloc(1, sizeof *t);
    if (t == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a task");
    t->s = s;
    t->id = m->task_id;
    /* The lock is held over the submit: `done` waits for it, so the task is in the list before it is taken out. */
    pthread_mutex_lock(&s->lock);
    ops_status st = s->draining ? ops_fail(reterr, OPS_ECANCELLED, "the worker drains")
                    : s->n >= OPS_SESSION_TASKS_MAX
                        ? ops_fail(reterr, OPS_EAGAIN, "%zu tasks run, the most", s->n)
                        : submit(t, m, reterr);
    if (st == OPS_OK) {
        t->next = s->tasks;
        s->tasks = t;
        s->n++;
    }
    pthread_mutex_unlock(&s->lock);
    if (st != OPS_OK)
        ops_free(t);
    return st;
}

static void take_task(ops_session *s, const Ops__V1__Task *m)
{
    ops_err err;
    const Ops__V1__ScoreTask *score = score_of(m);
    const bool embeds = m->job_case == OPS__V1__TASK__JOB_EMBED && m->embed != NULL;
    const bool writes = m->job_case == OPS__V1__TASK__JOB_GENERATE && m->generate != NULL,
               sequences = m->job_case == OPS__V1__TASK__JOB_SEQUENCE && m->sequence != NULL;
    const size_t texts = embeds ? m->embed->n_texts : score != NULL ? score->n_texts : 1;
    if (!embeds && !writes && !sequences && score == NULL)
        refuse(s, m->task_id, OPS_EINVAL, "a job of a kind that this worker does not know");
    else if (texts < 1 || texts > OPS_RUNNER_TEXTS_MAX)
        refuse(s, m->task_id, OPS_EINVAL, "a task has 1 to 256 texts");
    else {
        const ops_status st = start(s, m, &err);
        if (st != OPS_OK)
            refuse(s, m->task_id, st, err.msg);
    }
}

static void stop_task(ops_session *s, const task *t)
{
    if (t->job != NULL)
        ops_runner_cancel(s->runner, t->job);
    if (t->writing != NULL)
        ops_runner_stop_writing(t->writing);
    if (t->sequence != NULL)
        ops_runner_sequence_cancel(s->runner, t->sequence);
}

static void cancel(ops_session *s, uint64_t id)
{
    pthread_mutex_lock(&s->lock);
    for (task *t = s->tasks; t != NULL; t = t->next)
        if (t->id == id)
            stop_task(s, t);
    pthread_mutex_unlock(&s->lock);
}

/* --- models come and go --- */

static void send_outcome(ops_session *s, uint64_t id, ops_status st, const char *text)
{
    char message[REASON_BYTES];
    (void)snprintf(message, sizeof message, "%s", text != NULL ? text : "");
    Ops__V1__ModelOutcome outcome = OPS__V1__MODEL_OUTCOME__INIT;
    outcome.request_id = id;
    outcome.done = st == OPS_OK;
    outcome.message = message;
    outcome.status = (uint32_t)ops_status_grpc_code(st);
    Ops__V1__WorkerMessage m = OPS__V1__WORKER_MESSAGE__INIT;
    m.kind_case = OPS__V1__WORKER_MESSAGE__KIND_MODEL_OUTCOME;
    m.model_outcome = &outcome;
    (void)(send_message(s, &m) == OPS_OK); /* when not, it hung up */
}

static void errand_done(void *ctx, ops_status st, const char *message)
{
    errand *e = ctx;
    ops_session *s = e->s;
    send_outcome(s, e->id, st, message);
    ops_free(e);
    pthread_mutex_lock(&s->lock);
    s->errands--;
    unlock_and_close(s);
}

static ops_status run_errand(ops_session *s, const Ops__V1__CoordinatorMessage *m, errand *e, ops_err *reterr)
{
    return m->kind_case == OPS__V1__COORDINATOR_MESSAGE__KIND_LOAD_MODEL
               ? ops_runner_load(s->runner, m->load_model->path, m->load_model->name, errand_done, e, reterr)
               : ops_runner_unload(s->runner, m->unload_model->name, errand_done, e, reterr);
}

static void take_errand(ops_session *s, const Ops__V1__CoordinatorMessage *m, uint64_t id)
{
    ops_err err = {.msg = "out of memory"};
    errand *e = ops_calloc(1, sizeof *e);
    pthread_mutex_lock(&s->lock);
    const bool room = s->errands < OPS_SESSION_ERRANDS_MAX;
    s->errands += room && e != NULL;
    pthread_mutex_unlock(&s->lock);
    ops_status st = e == NULL ? OPS_ENOMEM
                    : room    ? OPS_OK
                              : ops_fail(&err, OPS_EAGAIN, "%d models are being loaded or unloaded, the most",
                                         OPS_SESSION_ERRANDS_MAX);
    if (st == OPS_OK) {
        *e = (errand){s, id};
        st = run_errand(s, m, e, &err);
        if (st == OPS_OK)
            return;
        pthread_mutex_lock(&s->lock);
        s->errands--;
        pthread_mutex_unlock(&s->lock);
    }
    ops_free(e);
    send_outcome(s, id, st, err.msg);
}

ops_status ops_session_received(ops_session *s, const Ops__V1__CoordinatorMessage *m, ops_err *reterr)
{
    switch ((int)m->kind_case) {
    case OPS__V1__COORDINATOR_MESSAGE__KIND_WELCOME:
        pthread_mutex_lock(&s->lock);
        s->heartbeat_ms =
            m->welcome->heartbeat_ms >= HEARTBEAT_MS_MIN ? m->welcome->heartbeat_ms : HEARTBEAT_MS_MIN;
        s->beat_at = 0;
        pthread_mutex_unlock(&s->lock);
        return OPS_OK;
    case OPS__V1__COORDINATOR_MESSAGE__KIND_TASK:
        take_task(s, m->task);
        return OPS_OK;
    case OPS__V1__COORDINATOR_MESSAGE__KIND_CANCEL:
        cancel(s, m->cancel->task_id);
        return OPS_OK;
    case OPS__V1__COORDINATOR_MESSAGE__KIND_DRAIN:
        (void)ops_session_drain(s, m->drain->reason);
        return OPS_OK;
    case OPS__V1__COORDINATOR_MESSAGE__KIND_LOAD_MODEL:
        take_errand(s, m, m->load_model->request_id);
        return OPS_OK;
    case OPS__V1__COORDINATOR_MESSAGE__KIND_UNLOAD_MODEL:
        take_errand(s, m, m->unload_model->request_id);
        return OPS_OK;
    case OPS__V1__COORDINATOR_MESSAGE__KIND__NOT_SET:
        return OPS_OK; /* of a newer coordinator */
    default:
        return ops_fail(reterr, OPS_EINVAL, "a message of kind %d", (int)m->kind_case);
    }
}

int64_t ops_session_tick(ops_session *s, int64_t now_ms)
{
    pthread_mutex_lock(&s->lock);
    const int64_t every = s->heartbeat_ms;
    const bool due = now_ms >= s->beat_at;
    if (due)
        s->beat_at = now_ms + every;
    const int64_t in = s->beat_at - now_ms;
    Ops__V1__Heartbeat beat = OPS__V1__HEARTBEAT__INIT;
    beat.sequence = due ? ++s->beats : s->beats;
    beat.tasks_running = (uint32_t)s->n;
    pthread_mutex_unlock(&s->lock);
    if (!due)
        return in;
    Ops__V1__WorkerMessage m = OPS__V1__WORKER_MESSAGE__INIT;
    m.kind_case = OPS__V1__WORKER_MESSAGE__KIND_HEARTBEAT;
    m.heartbeat = &beat;
    (void)(send_message(s, &m) == OPS_OK); /* when not, it hung up */
    ops_catalogue c;
    ops_catalogue_read(s->runner, &c);
    if (c.writes)
        send_models(s, &c);
    return in;
}

bool ops_session_drain(ops_session *s, const char *reason)
{
    char text[REASON_BYTES];
    (void)snprintf(text, sizeof text, "%s", reason != NULL ? reason : "");
    pthread_mutex_lock(&s->lock);
    const bool first = !s->draining;
    s->draining = true;
    for (task *t = first ? s->tasks : NULL; t != NULL; t = t->next)
        if (t->sequence != NULL) /* nobody waits for it long enough to hold up a drain */
            ops_runner_sequence_cancel(s->runner, t->sequence);
    pthread_mutex_unlock(&s->lock);
    if (first) {
        Ops__V1__Draining draining = OPS__V1__DRAINING__INIT;
        draining.reason = text;
        Ops__V1__WorkerMessage m = OPS__V1__WORKER_MESSAGE__INIT;
        m.kind_case = OPS__V1__WORKER_MESSAGE__KIND_DRAINING;
        m.draining = &draining;
        (void)(send_message(s, &m) == OPS_OK); /* when not, it hung up */
    }
    pthread_mutex_lock(&s->lock);
    const bool idle = s->n == 0;
    pthread_mutex_unlock(&s->lock);
    return idle;
}

void ops_session_ended(ops_session *s)
{
    ops_runner_unwatch(s->runner, s);
    pthread_mutex_lock(&s->lock);
    s->ended = true;
    for (task *t = s->tasks; t != NULL; t = t->next)
        stop_task(s, t);
    unlock_and_close(s);
}
