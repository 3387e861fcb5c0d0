#include "coordinator/attach/attach.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/strbuf.h"
#include "base/text/utf8.h"

enum { NAME_BYTES = OPS_DISPATCH_NAME_MAX, REASON_BYTES = 256, DIM_MAX = 65536, FLOATS_MAX = 1 << 22 };

struct ops_attach {
    ops_dispatch *d;
    ops_attach_wire wire;
    char coordinator_id[NAME_BYTES], address[NAME_BYTES];
    pthread_mutex_t lock;
    pthread_cond_t settled; /* no longer ATTACHING */
    enum { WAITS_FOR_HELLO, ATTACHING, ATTACHED } state;
    bool ended, port_ended, released, hung_up;
    uint64_t attachment;
};

ops_status ops_attach_new(ops_dispatch *d, const char *coordinator_id, const char *address,
                          const ops_attach_wire *wire, ops_attach **ret, ops_err *reterr)
{
    ops_attach *a = ops_calloc(1, sizeof *a);
    if (a == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "an attachment");
    a->d = d;
    a->wire = *wire;
    (void)snprintf(a->coordinator_id, sizeof a->coordinator_id, "%s", coordinator_id);
    (void)snprintf(a->address, sizeof a->address, "%s", address);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->settled, NULL);
    *ret = a;
    return OPS_OK;
}

void ops_attach_free(ops_attach *a)
{
    if (a == NULL)
        return;
    pthread_cond_destroy(&a->settled);
    pthread_mutex_destroy(&a->lock);
    ops_free(a);
}

/* Called with the lock held; lets it go. */
static void unlock_and_release(ops_attach *a)
{
    const bool now =
        a->ended && !a->released && (a->state == WAITS_FOR_HELLO || (a->state == ATTACHED && a->port_ended));
    a->released |= now;
    pthread_mutex_unlock(&a->lock);
    if (now)
        a->wire.released(a->wire.ctx);
}

/* --- from the dispatch --- */

/* protobuf strings are UTF-8 and end at a NUL: what is neither becomes U+FFFD, which no tokenizer sees. */
static bool clean(ops_strbuf *b, ops_slice text)
{
    ops_slice part;
    for (bool first = true; ops_slice_split(&text, '\0', &part); first = false) {
        if (!first)
            ops_strbuf_str(b, "\xef\xbf\xbd");
        ops_utf8_clean(b, part);
    }
    ops_strbuf_char(b, '\0');
    return !b->failed;
}

static ops_status send_task(ops_attach *a, const ops_dispatch_order *o, Ops__V1__Task *task)
{
    task->task_id = o->task_id;
    task->attempt = o->attempt;
    task->deadline_ms = o->deadline_ms;
    task->tokens = o->tokens;
    Ops__V1__CoordinatorMessage m = OPS__V1__COORDINATOR_MESSAGE__INIT;
    m.kind_case = OPS__V1__COORDINATOR_MESSAGE__KIND_TASK;
    m.task = task;
    return a->wire.send(a->wire.ctx, &m);
}

/* The request as its client wrote it, but for the model: the one that the dispatch chose. */
static ops_status send_generate(ops_attach *a, const ops_dispatch_order *o)
{
    Ops__V1__GenerateTask *generate =
        ops__v1__generate_task__unpack(NULL, o->payload.n, (const uint8_t *)o->payload.p);
    if (generate == NULL)
        return OPS_EAGAIN; /* the heap is out: what is no GenerateTask was refused when it came */
    char model[NAME_BYTES], *theirs = generate->model;
    (void)snprintf(model, sizeof model, OPS_SLICE_FMT, OPS_SLICE_ARG(o->model));
    generate->model = model;
    Ops__V1__Task task = OPS__V1__TASK__INIT;
    task.job_case = OPS__V1__TASK__JOB_GENERATE;
    task.generate = generate;
    const ops_status st = send_task(a, o, &task);
    generate->model = theirs;
    ops__v1__generate_task__free_unpacked(generate, NULL);
    return st;
}

static ops_status send_score(ops_attach *a, const ops_dispatch_order *o)
{
    Ops__V1__ScoreTask *score =
        ops__v1__score_task__unpack(NULL, o->payload.n, (const uint8_t *)o->payload.p);
    if (score == NULL)
        return OPS_EAGAIN; /* as above */
    char model[NAME_BYTES], *theirs = score->model;
    (void)snprintf(model, sizeof model, OPS_SLICE_FMT, OPS_SLICE_ARG(o->model));
    score->model = model;
    Ops__V1__Task task = OPS__V1__TASK__INIT;
    if (o->job == OPS_DISPATCH_RERANK) {
        task.job_case = OPS__V1__TASK__JOB_RERANK;
        task.rerank = score;
    } else {
        task.job_case = OPS__V1__TASK__JOB_CLASSIFY;
        task.classify = score;
    }
    const ops_status st = send_task(a, o, &task);
    score->model = theirs;
    ops__v1__score_task__free_unpacked(score, NULL);
    return st;
}

static ops_status send_embed(ops_attach *a, const ops_dispatch_order *o)
{
    ops_strbuf bytes;
    ops_strbuf_init(&bytes, SIZE_MAX / 4);
    size_t at[OPS_DISPATCH_TEXTS_MAX];
    char *texts[OPS_DISPATCH_TEXTS_MAX], model[NAME_BYTES];
    bool ok = o->text_count <= OPS_DISPATCH_TEXTS_MAX;
    for (size_t i = 0; ok && i < o->text_count; i++) {
        at[i] = bytes.n;
        ok = clean(&bytes, o->texts[i]);
    }
    if (!ok) {
        ops_strbuf_done(&bytes);
        return OPS_EAGAIN; /* the heap is out: later perhaps */
    }
    for (size_t i = 0; i < o->text_count; i++)
        texts[i] = bytes.p + at[i];
    (void)snprintf(model, sizeof model, OPS_SLICE_FMT, OPS_SLICE_ARG(o->model));
    Ops__V1__EmbedTask embed = OPS__V1__EMBED_TASK__INIT;
    embed.model = model;
    embed.n_texts = o->text_count;
    embed.texts = texts;
    Ops__V1__Task task = OPS__V1__TASK__INIT;
    task.job_case = OPS__V1__TASK__JOB_EMBED;
    task.embed = &embed;
    const ops_status st = send_task(a, o, &task);
    ops_strbuf_done(&bytes);
    return st;
}

static ops_status send_sequence(ops_attach *a, const ops_dispatch_order *o)
{
    Ops__V1__Task task = OPS__V1__TASK__INIT;
    task.job_case = OPS__V1__TASK__JOB_SEQUENCE;
    task.sequence = ops__v1__sequence_task__unpack(NULL, o->payload.n, (const uint8_t *)o->payload.p);
    if (task.sequence == NULL)
        return OPS_EAGAIN; /* the heap is out: who asked made it of one */
    const ops_status st = send_task(a, o, &task);
    ops__v1__sequence_task__free_unpacked(task.sequence, NULL);
    return st;
}

static ops_status port_send(void *ctx, const ops_dispatch_order *o)
{
    switch (o->job) {
    case OPS_DISPATCH_GENERATE:
        return send_generate(ctx, o);
    case OPS_DISPATCH_RERANK:
    case OPS_DISPATCH_CLASSIFY:
        return send_score(ctx, o);
    case OPS_DISPATCH_SEQUENCE:
        return send_sequence(ctx, o);
    case OPS_DISPATCH_EMBED:
    case OPS_DISPATCH_JOB_COUNT:
        break;
    }
    return send_embed(ctx, o);
}

static ops_status port_errand(void *ctx, uint64_t id, const ops_dispatch_errand *e)
{
    ops_attach *a = ctx;
    Ops__V1__LoadModel load = OPS__V1__LOAD_MODEL__INIT;
    Ops__V1__UnloadModel unload = OPS__V1__UNLOAD_MODEL__INIT;
    Ops__V1__CoordinatorMessage m = OPS__V1__COORDINATOR_MESSAGE__INIT;
    char path[OPS_DISPATCH_PATH_MAX], name[NAME_BYTES];
    (void)snprintf(path, sizeof path, "%s", e->path);
    (void)snprintf(name, sizeof name, "%s", e->name);
    if (e->unload) {
        m.kind_case = OPS__V1__COORDINATOR_MESSAGE__KIND_UNLOAD_MODEL;
        m.unload_model = &unload;
        unload.request_id = id;
        unload.name = name;
    } else {
        m.kind_case = OPS__V1__COORDINATOR_MESSAGE__KIND_LOAD_MODEL;
        m.load_model = &load;
        load.request_id = id;
        load.path = path;
        load.name = name;
    }
    return a->wire.send(a->wire.ctx, &m);
}

static void port_cancel(void *ctx, uint64_t task_id)
{
    ops_attach *a = ctx;
    Ops__V1__Cancel cancel = OPS__V1__CANCEL__INIT;
    cancel.task_id = task_id;
    Ops__V1__CoordinatorMessage m = OPS__V1__COORDINATOR_MESSAGE__INIT;
    m.kind_case = OPS__V1__COORDINATOR_MESSAGE__KIND_CANCEL;
    m.cancel = &cancel;
    (void)(a->wire.send(a->wire.ctx, &m) == OPS_OK); /* it costs the worker time, nothing else */
}

static void port_drain(void *ctx, const char *reason)
{
    ops_attach *a = ctx;
    char text[REASON_BYTES];
    (void)snprintf(text, sizeof text, "%s", reason);
    Ops__V1__Drain drain = OPS__V1__DRAIN__INIT;
    drain.reason = text;
    Ops__V1__CoordinatorMessage m = OPS__V1__COORDINATOR_MESSAGE__INIT;
    m.kind_case = OPS__V1__COORDINATOR_MESSAGE__KIND_DRAIN;
    m.drain = &drain;
    (void)(a->wire.send(a->wire.ctx, &m) == OPS_OK); /* the desk gives it nothing more anyway */
}

static void port_end(void *ctx, ops_status why, const char *message)
{
    ops_attach *a = ctx;
    pthread_mutex_lock(&a->lock);
    const bool hang_up = !a->ended && !a->hung_up;
    a->hung_up = true;
    pthread_mutex_unlock(&a->lock);
    if (hang_up)
        a->wire.hang_up(a->wire.ctx, why, message);
    pthread_mutex_lock(&a->lock);
    a->port_ended = true;
    unlock_and_release(a);
}

/* --- from the worker --- */

static ops_status put_name(char *to, size_t cap, const char *from, const char *what, ops_err *reterr)
{
    const size_t n = strlen(from);
    if (n >= cap)
        return ops_fail(reterr, OPS_EINVAL, "%s has %zu bytes, at most %zu", what, n, cap - 1);
    memcpy(to, from, n + 1);
    return OPS_OK;
}

static void read_use(const Ops__V1__ModelUse *from, ops_dispatch_use *to)
{
    if (from != NULL)
        *to = (ops_dispatch_use){.running = from->running,
                                 .waiting = from->waiting,
                                 .blocks = from->blocks,
                                 .blocks_used = from->blocks_used,
                                 .blocks_cached = from->blocks_cached,
                                 .done = from->done,
                                 .cancelled = from->cancelled,
                                 .prompt_tokens = from->prompt_tokens,
                                 .cached_tokens = from->cached_tokens,
                                 .completion_tokens = from->completion_tokens,
                                 .preempted = from->preempted,
                                 .window_blocks = from->window_blocks,
                                 .window_blocks_used = from->window_blocks_used,
                                 .window_blocks_cached = from->window_blocks_cached};
}

static ops_status read_models(Ops__V1__Model *const *models, size_t n, ops_dispatch_model *ret,
                              ops_err *reterr)
{
    if (n > OPS_DISPATCH_MODELS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%zu models, at most %d", n, OPS_DISPATCH_MODELS_MAX);
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < n; i++) {
        const Ops__V1__Model *from = models[i];
        ops_dispatch_model *to = &ret[i];
        to->dim = from->dim;
        to->tokens_max = from->tokens_max;
        read_use(from->use, &to->use);
        st = put_name(to->name, sizeof to->name, from->name, "the name of a model", reterr);
        if (st == OPS_OK)
            st = put_name(to->content_hash, sizeof to->content_hash, from->content_hash, "a content_hash",
                          reterr);
        if (st == OPS_OK)
            st = put_name(to->job, sizeof to->job, from->job, "a job", reterr);
    }
    return st;
}

static ops_status read_hello(const ops_attach *a, const Ops__V1__Hello *m, ops_dispatch_hello *h,
                             ops_err *reterr)
{
    if (m->protocol != 1)
        return ops_fail(reterr, OPS_EINVAL, "protocol %u is not known here, only 1", m->protocol);
    h->work_class = (ops_dispatch_class)m->work_class;
    h->credits = m->credits;
    h->sequences = m->sequences;
    h->model_count = m->n_models;
    (void)snprintf(h->address, sizeof h->address, "%s", a->address);
    const ops_status st = put_name(h->worker_id, sizeof h->worker_id, m->worker_id, "worker_id", reterr);
    return st == OPS_OK ? read_models(m->models, m->n_models, h->models, reterr) : st;
}

/* The welcome goes first: after the attach a task may overtake it. */
static ops_status send_welcome(ops_attach *a)
{
    Ops__V1__Welcome welcome = OPS__V1__WELCOME__INIT;
    welcome.coordinator_id = a->coordinator_id;
    welcome.heartbeat_ms = ops_dispatch_heartbeat_ms(a->d);
    Ops__V1__CoordinatorMessage m = OPS__V1__COORDINATOR_MESSAGE__INIT;
    m.kind_case = OPS__V1__COORDINATOR_MESSAGE__KIND_WELCOME;
    m.welcome = &welcome;
    return a->wire.send(a->wire.ctx, &m);
}

static ops_status take_hello(ops_attach *a, const Ops__V1__Hello *m, ops_err *reterr)
{
    OPS_AUTO(ops_free) void *block = ops_calloc(1, sizeof(ops_dispatch_hello));
    ops_dispatch_hello *h = block;
    if (h == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "hello");
    ops_status st = read_hello(a, m, h, reterr);
    if (st != OPS_OK)
        ops_err_prefix(reterr, "hello");
    if (st == OPS_OK && (st = send_welcome(a)) != OPS_OK)
        return ops_fail(reterr, st, "the welcome could not be sent");
    if (st != OPS_OK)
        return st;
    pthread_mutex_lock(&a->lock);
    const bool again = a->state != WAITS_FOR_HELLO, over = a->ended;
    if (!again && !over)
        a->state = ATTACHING;
    pthread_mutex_unlock(&a->lock);
    if (again || over)
        return ops_fail(reterr, over ? OPS_ECANCELLED : OPS_EINVAL,
                        over ? "the stream is over" : "a second hello");
    const ops_dispatch_port port = {.send = port_send,
                                    .cancel = port_cancel,
                                    .drain = port_drain,
                                    .end = port_end,
                                    .ctx = a,
                                    .errand = port_errand};
    uint64_t attachment = 0;
    ops_dispatch *d = a->d;
    st = ops_dispatch_attach(d, h, &port, &attachment, reterr);
    pthread_mutex_lock(&a->lock);
    a->attachment = attachment;
    a->state = st == OPS_OK ? ATTACHED : WAITS_FOR_HELLO;
    pthread_cond_broadcast(&a->settled);
    const bool gone = a->ended; /* it ended meanwhile and could not name the attachment */
    unlock_and_release(a);      /* `a` may be gone now */
    if (st == OPS_OK && gone)
        ops_dispatch_detach(d, attachment, "the stream ended");
    return st;
}

static ops_status take_result(ops_attach *a, uint64_t attachment, const Ops__V1__Result *m, ops_err *reterr)
{
    const size_t rows = m->n_vectors, dim = rows > 0 ? m->vectors[0]->n_values : 0;
    if (rows > OPS_DISPATCH_TEXTS_MAX || dim > DIM_MAX || rows * dim > FLOATS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "result of task %llu: %zu vectors of %zu floats",
                        (unsigned long long)m->task_id, rows, dim);
    OPS_AUTO(ops_free) void *block = rows * dim > 0 ? ops_malloc(rows * dim * sizeof(float)) : NULL;
    float *all = block;
    if (rows * dim > 0 && all == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "result of %zu vectors of %zu floats", rows, dim);
    for (size_t i = 0; i < rows && all != NULL; i++) {
        if (m->vectors[i]->n_values != dim)
            return ops_fail(reterr, OPS_EINVAL,
                            "result of task %llu: vector %zu has %zu floats, the first %zu",
                            (unsigned long long)m->task_id, i, m->vectors[i]->n_values, dim);
        memcpy(all + i * dim, m->vectors[i]->values, dim * sizeof *all);
    }
    uint8_t packed[OPS_DISPATCH_END_MAX];
    OPS_AUTO(ops_free) void *scored = NULL;
    ops_slice end = {0};
    if (m->scored != NULL) {
        const size_t n = ops__v1__score_end__get_packed_size(m->scored);
        if (n > OPS_DISPATCH_SCORED_MAX)
            return ops_fail(reterr, OPS_EINVAL, "result of task %llu: scores of %zu bytes",
                            (unsigned long long)m->task_id, n);
        if ((scored = ops_malloc(n + 1)) == NULL)
            return ops_fail(reterr, OPS_ENOMEM, "scores of %zu bytes", n);
        end = ops_slice_of(scored, ops__v1__score_end__pack(m->scored, scored));
    }
    if (scored == NULL && m->generated != NULL &&
        m->generated->finish_reason != OPS__V1__FINISH_REASON__FINISH_REASON_UNSPECIFIED) {
        const size_t n = ops__v1__generate_end__get_packed_size(m->generated); /* unknown fields and all */
        if (n > sizeof packed)
            return ops_fail(reterr, OPS_EINVAL, "result of task %llu: an end of %zu bytes",
                            (unsigned long long)m->task_id, n);
        end = ops_slice_of((const char *)packed, ops__v1__generate_end__pack(m->generated, packed));
    }
    const Ops__V1__GenerateEnd *g = m->generated;
    const size_t about = m->sequence != NULL ? ops__v1__sequence_answer__get_packed_size(m->sequence) : 0;
    if (about > OPS_DISPATCH_SEQUENCE_MAX)
        return ops_fail(reterr, OPS_EINVAL, "result of task %llu: %zu bytes about sessions, at most %d",
                        (unsigned long long)m->task_id, about, OPS_DISPATCH_SEQUENCE_MAX);
    OPS_AUTO(ops_free) void *sequence = about > 0 ? ops_malloc(about) : NULL;
    if (about > 0 && sequence == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "result of %zu bytes about sessions", about);
    if (about > 0)
        (void)ops__v1__sequence_answer__pack(m->sequence, sequence);
    const ops_dispatch_answer answer = {.task_id = m->task_id,
                                        .outcome = (ops_dispatch_outcome)m->outcome,
                                        .message = m->message,
                                        .vectors = all,
                                        .rows = rows,
                                        .dim = dim,
                                        .tokens = m->tokens_used,
                                        .tokens_in = g != NULL ? g->prompt_tokens : m->tokens_used,
                                        .tokens_cached = g != NULL ? g->cached_tokens : 0,
                                        .tokens_out = g != NULL ? g->completion_tokens : 0,
                                        .end = end,
                                        .sequence = ops_slice_of(sequence, about),
                                        .scored = scored != NULL,
                                        .context_exceeded = m->context_exceeded};
    return ops_dispatch_answered(a->d, attachment, &answer, reterr);
}

static ops_status take_delta(ops_attach *a, uint64_t attachment, const Ops__V1__Delta *m, ops_err *reterr)
{
    if (m->delta == NULL)
        return ops_fail(reterr, OPS_EINVAL, "a piece of the answer to task %llu that holds nothing",
                        (unsigned long long)m->task_id);
    const size_t n = ops__v1__generate_delta__get_packed_size(m->delta);
    if (n > OPS_DISPATCH_DELTA_MAX)
        return ops_fail(reterr, OPS_EINVAL, "a piece of %zu bytes of the answer to task %llu, at most %d", n,
                        (unsigned long long)m->task_id, OPS_DISPATCH_DELTA_MAX);
    OPS_AUTO(ops_free) void *bytes = ops_malloc(n > 0 ? n : 1);
    if (bytes == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a piece of %zu bytes", n);
    (void)ops__v1__generate_delta__pack(m->delta, bytes);
    return ops_dispatch_delta(a->d, attachment, m->task_id, ops_slice_of(bytes, n), reterr);
}

static ops_status take_models(ops_attach *a, uint64_t attachment, const Ops__V1__Models *m, ops_err *reterr)
{
    ops_dispatch_model models[OPS_DISPATCH_MODELS_MAX] = {0};
    const ops_status st = read_models(m->models, m->n_models, models, reterr);
    return st == OPS_OK ? ops_dispatch_models(a->d, attachment, models, m->n_models, reterr) : st;
}

static ops_status take_outcome(ops_attach *a, uint64_t attachment, const Ops__V1__ModelOutcome *m,
                               ops_err *reterr)
{
    const ops_status said = ops_status_from_grpc((int)m->status);
    const ops_status st = m->done ? OPS_OK : said != OPS_OK ? said : OPS_EINTERNAL;
    return ops_dispatch_errand_answered(a->d, attachment, m->request_id, st, m->message, reterr);
}

ops_status ops_attach_received(ops_attach *a, const Ops__V1__WorkerMessage *m, ops_err *reterr)
{
    if (m->kind_case == OPS__V1__WORKER_MESSAGE__KIND_HELLO)
        return take_hello(a, m->hello, reterr);
    pthread_mutex_lock(&a->lock);
    while (a->state ==
           ATTACHING) /* in one process an answer can overtake the return of the hello, by an instant */
        pthread_cond_wait(&a->settled, &a->lock);
    const bool over = a->ended, attached = a->state == ATTACHED;
    const uint64_t attachment = a->attachment;
    pthread_mutex_unlock(&a->lock);
    if (over)
        return ops_fail(reterr, OPS_ECANCELLED, "the stream is over");
    if (!attached)
        return ops_fail(reterr, OPS_EINVAL, "the first message of a worker is its hello");
    switch ((int)m->kind_case) {
    case OPS__V1__WORKER_MESSAGE__KIND_RESULT:
        return take_result(a, attachment, m->result, reterr);
    case OPS__V1__WORKER_MESSAGE__KIND_HEARTBEAT:
        ops_dispatch_heartbeat(a->d, attachment, m->heartbeat->tasks_running);
        return OPS_OK;
    case OPS__V1__WORKER_MESSAGE__KIND_CREDITS:
        ops_dispatch_credits(a->d, attachment, m->credits->tokens);
        return OPS_OK;
    case OPS__V1__WORKER_MESSAGE__KIND_DRAINING:
        ops_dispatch_draining(a->d, attachment, m->draining->reason);
        return OPS_OK;
    case OPS__V1__WORKER_MESSAGE__KIND_DELTA:
        return take_delta(a, attachment, m->delta, reterr);
    case OPS__V1__WORKER_MESSAGE__KIND_MODELS:
        return take_models(a, attachment, m->models, reterr);
    case OPS__V1__WORKER_MESSAGE__KIND_MODEL_OUTCOME:
        return take_outcome(a, attachment, m->model_outcome, reterr);
    default: /* of a newer worker: a sign of life */
        ops_dispatch_heartbeat(a->d, attachment, 0);
        return OPS_OK;
    }
}

void ops_attach_ended(ops_attach *a, const char *reason)
{
    pthread_mutex_lock(&a->lock);
    const bool detach = !a->ended && a->state == ATTACHED && !a->port_ended;
    const uint64_t attachment = a->attachment;
    a->ended = true;
    if (a->state == ATTACHING) { /* take_hello() sees to it */
        pthread_mutex_unlock(&a->lock);
        return;
    }
    if (detach) {
        pthread_mutex_unlock(&a->lock);
        ops_dispatch_detach(a->d, attachment, reason); /* the port's end releases */
        return;
    }
    unlock_and_release(a);
}
