#include "worker/serve/runner_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"

enum { SHARE_MIN = OPS_RUNNER_ROUND_TOKENS / 8 /* of a round that whoever comes last still gets */ };

static uint64_t left_of_round(uint64_t used)
{
    return used + SHARE_MIN < OPS_RUNNER_ROUND_TOKENS ? OPS_RUNNER_ROUND_TOKENS - used : SHARE_MIN;
}

static runner_slot *busy_slot(ops_runner *r, unsigned i)
{
    runner_slot *s = &r->slots[(r->turn + i) % OPS_RUNNER_MODELS_MAX];
    pthread_mutex_lock(&r->lock);
    const bool busy = s->used && !s->leaving && s->busy;
    if (busy)
        s->busy = false; /* before the step: a request that comes meanwhile sets it again */
    pthread_mutex_unlock(&r->lock);
    return busy ? s : NULL;
}

static uint64_t step_writers(ops_runner *r, uint64_t used)
{
    for (unsigned i = 0; i < OPS_RUNNER_MODELS_MAX; i++) {
        runner_slot *s = busy_slot(r, i);
        if (s == NULL)
            continue;
        const uint32_t did = s->writer->ops->step(s->writer, (uint32_t)left_of_round(used));
        used += did;
        if (did == 0)
            continue;
        pthread_mutex_lock(&r->lock);
        s->busy = true;
        pthread_mutex_unlock(&r->lock);
    }
    r->turn = (r->turn + 1) % OPS_RUNNER_MODELS_MAX; /* the first of this round is the last of the next */
    return used;
}

/* With the lock held. */
static bool writer_waits(const ops_runner *r)
{
    for (size_t i = 0; i < OPS_RUNNER_MODELS_MAX; i++)
        if (r->slots[i].used && !r->slots[i].leaving && r->slots[i].busy)
            return true;
    return false;
}

bool runner_engine_waits(const ops_runner *r)
{
    return writer_waits(r) || runner_embed_waits(r);
}

static void work_round(ops_runner *r, bool writers)
{
    if (!writers) {
        (void)runner_embed(r, OPS_RUNNER_CLASSES, OPS_RUNNER_ROUND_TOKENS);
        return;
    }
    uint64_t used = runner_embed(r, 1, OPS_RUNNER_ROUND_TOKENS / 2);
    used = step_writers(r, used);
    (void)runner_embed(r, OPS_RUNNER_CLASSES, left_of_round(used));
}

static void free_slot(ops_runner *r, runner_slot *s)
{
    runner_embed_drop(r, s);
    ops_engine_free(s->engine);
    ops_writer_free(s->writer); /* ends what it has under way */
    pthread_mutex_lock(&r->lock);
    *s = (runner_slot){.r = r};
    pthread_cond_broadcast(&r->left);
    pthread_mutex_unlock(&r->lock);
}

/* With the lock held. */
static runner_slot *leaving_slot(ops_runner *r)
{
    for (size_t i = 0; i < OPS_RUNNER_MODELS_MAX; i++)
        if (r->slots[i].used && r->slots[i].leaving && r->slots[i].holds == 0)
            return &r->slots[i];
    return NULL;
}

static void work(void *arg)
{
    ops_runner *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->stopping) {
        runner_slot *gone = leaving_slot(r);
        const bool writers = writer_waits(r);
        if (gone == NULL && !writers && !runner_embed_waits(r)) {
            pthread_cond_wait(&r->work, &r->lock);
            continue;
        }
        r->engine_works = true;
        pthread_mutex_unlock(&r->lock);
        if (gone != NULL)
            free_slot(r, gone);
        else
            work_round(r, writers);
        pthread_mutex_lock(&r->lock);
        r->engine_works = false;
    }
    pthread_mutex_unlock(&r->lock);
    runner_embed_drop(r, NULL);
}

/* A writer's, from any thread. */
static void wake(void *ctx)
{
    runner_slot *s = ctx;
    pthread_mutex_lock(&s->r->lock);
    s->busy = true;
    pthread_cond_signal(&s->r->work);
    pthread_mutex_unlock(&s->r->lock);
}

ops_status ops_runner_new(ops_engine *engine, size_t jobs_max, ops_clock *clock, ops_runner **ret,
                          ops_err *reterr)
{
    ops_runner *r = ops_calloc(1, sizeof *r);
    if (r == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "runner");
    r->clock = clock != NULL ? clock : ops_clock_system();
    r->jobs_max = jobs_max != 0 ? jobs_max : OPS_RUNNER_JOBS_DEFAULT;
    for (unsigned i = 0; i < OPS_RUNNER_CLASSES; i++) {
        r->lines[i].tail = &r->lines[i].head;
        r->requests[i].tail = &r->requests[i].head;
    }
    for (size_t i = 0; i < OPS_RUNNER_MODELS_MAX; i++)
        r->slots[i].r = r;
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->watch_lock, NULL);
    pthread_cond_init(&r->work, NULL);
    pthread_cond_init(&r->requested, NULL);
    pthread_cond_init(&r->sequenced, NULL);
    pthread_cond_init(&r->left, NULL);
    ops_status st = ops_thread_start(work, r, "engine", &r->engine_thread, reterr);
    if (st == OPS_OK)
        st = ops_thread_start(runner_read_requests, r, "requests", &r->request_thread, reterr);
    if (st == OPS_OK)
        st = ops_thread_start(runner_sequences, r, "sequences", &r->sequence_thread, reterr);
    if (st == OPS_OK && engine != NULL)
        st = ops_runner_add(r, engine, NULL, reterr);
    if (st != OPS_OK) {
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
    runner_end_loads(r);
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_broadcast(&r->work);
    pthread_cond_broadcast(&r->requested);
    pthread_cond_broadcast(&r->sequenced);
    pthread_mutex_unlock(&r->lock);
    ops_thread_join(r->sequence_thread);
    ops_thread_join(r->request_thread); /* it cancels what was not read */
    ops_thread_join(r->engine_thread);  /* and this what waits; the writers' thread is now this one */
    for (size_t i = 0; i < OPS_RUNNER_MODELS_MAX; i++) {
        ops_engine_free(r->slots[i].engine);
        ops_writer_free(r->slots[i].writer);
    }
    pthread_cond_destroy(&r->left);
    pthread_cond_destroy(&r->sequenced);
    pthread_cond_destroy(&r->requested);
    pthread_cond_destroy(&r->work);
    pthread_mutex_destroy(&r->watch_lock);
    pthread_mutex_destroy(&r->lock);
    ops_free(r);
}

static void tell_watchers(ops_runner *r)
{
    pthread_mutex_lock(&r->watch_lock);
    for (size_t i = 0; i < r->watcher_count; i++)
        r->watchers[i].changed(r->watchers[i].ctx);
    pthread_mutex_unlock(&r->watch_lock);
}

/* With the lock held. */
static ops_status add(ops_runner *r, ops_engine *engine, ops_writer *writer, const char *name,
                      ops_err *reterr)
{
    runner_slot *free_one = NULL;
    for (size_t i = 0; i < OPS_RUNNER_MODELS_MAX; i++) {
        runner_slot *s = &r->slots[i];
        if (s->used && strcmp(s->name, name) == 0)
            return ops_fail(reterr, OPS_EEXIST, "a model '%s' is loaded already", name);
        if (!s->used && free_one == NULL)
            free_one = s;
    }
    if (free_one == NULL)
        return ops_fail(reterr, OPS_EAGAIN, "%d models are loaded, the most", OPS_RUNNER_MODELS_MAX);
    free_one->engine = engine;
    free_one->writer = writer;
    free_one->used = true;
    free_one->order = ++r->added;
    (void)snprintf(free_one->name, sizeof free_one->name, "%s", name);
    if (writer != NULL)
        writer->ops->on_work(writer, wake, free_one);
    return OPS_OK;
}

ops_status ops_runner_add(ops_runner *r, ops_engine *engine, ops_writer *writer, ops_err *reterr)
{
    const char *name = engine != NULL ? engine->info.model : writer->info->model;
    pthread_mutex_lock(&r->lock);
    const ops_status st = add(r, engine, writer, name, reterr);
    pthread_mutex_unlock(&r->lock);
    if (st == OPS_OK)
        tell_watchers(r);
    return st;
}

ops_status ops_runner_remove(ops_runner *r, const char *name, ops_err *reterr)
{
    runner_slot *s = NULL;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < OPS_RUNNER_MODELS_MAX && s == NULL; i++)
        if (r->slots[i].used && !r->slots[i].leaving && strcmp(r->slots[i].name, name) == 0)
            s = &r->slots[i];
    if (s != NULL) {
        const uint64_t order = s->order;
        s->leaving = true;
        pthread_cond_broadcast(&r->work);
        pthread_cond_broadcast(&r->requested);
        while (!r->stopping && s->used && s->order == order)
            pthread_cond_wait(&r->left, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOTFOUND, "no model '%.100s' is loaded", name);
    tell_watchers(r);
    return OPS_OK;
}

static ops_runner_does does_of(const runner_slot *s)
{
    if (s->writer != NULL)
        return OPS_RUNNER_WRITES;
    return s->engine->info.does == OPS_ENGINE_EMBEDS    ? OPS_RUNNER_EMBEDS
           : s->engine->info.does == OPS_ENGINE_RERANKS ? OPS_RUNNER_RERANKS
                                                        : OPS_RUNNER_CLASSIFIES;
}

runner_slot *runner_find(ops_runner *r, ops_slice name, ops_runner_does does)
{
    runner_slot *first = NULL;
    for (size_t i = 0; i < OPS_RUNNER_MODELS_MAX; i++) {
        runner_slot *s = &r->slots[i];
        if (s->used && !s->leaving && does_of(s) == does &&
            (name.n == 0 || ops_slice_eq(ops_slice_str(s->name), name)) &&
            (first == NULL || s->order < first->order))
            first = s;
    }
    return first;
}

static ops_runner_model describe(const runner_slot *s)
{
    ops_runner_model m = {.does = does_of(s)};
    memcpy(m.name, s->name, sizeof m.name);
    if (s->writer != NULL) {
        const ops_generator_info *info = s->writer->info;
        memcpy(m.content_hash, info->content_hash, sizeof m.content_hash);
        m.tokens_max = info->context;
        m.blocks = info->blocks;
        m.window_blocks = info->window_blocks;
        m.cache_tokens = (uint64_t)info->blocks * info->block_tokens;
        m.made = s->writer->ops->counts(s->writer);
        return m;
    }
    (void)snprintf(m.content_hash, sizeof m.content_hash, "%s", s->engine->info.content_hash);
    m.dim = s->engine->info.dim;
    m.tokens_max = s->engine->info.tokens_max;
    return m;
}

size_t ops_runner_models(ops_runner *r, ops_runner_model ret[OPS_RUNNER_MODELS_MAX])
{
    size_t n = 0;
    pthread_mutex_lock(&r->lock);
    for (uint64_t after = 0;;) {
        const runner_slot *next = NULL;
        for (size_t i = 0; i < OPS_RUNNER_MODELS_MAX; i++) {
            const runner_slot *s = &r->slots[i];
            if (s->used && !s->leaving && s->order > after && (next == NULL || s->order < next->order))
                next = s;
        }
        if (next == NULL)
            break;
        after = next->order;
        ret[n++] = describe(next);
    }
    pthread_mutex_unlock(&r->lock);
    return n;
}

ops_status ops_runner_watch(ops_runner *r, void (*changed)(void *ctx), void *ctx, ops_err *reterr)
{
    pthread_mutex_lock(&r->watch_lock);
    const bool room = r->watcher_count < OPS_RUNNER_WATCHERS_MAX;
    if (room) {
        r->watchers[r->watcher_count].changed = changed;
        r->watchers[r->watcher_count++].ctx = ctx;
    }
    pthread_mutex_unlock(&r->watch_lock);
    return room ? OPS_OK
                : ops_fail(reterr, OPS_EAGAIN, "%d watch the models, the most", OPS_RUNNER_WATCHERS_MAX);
}

void ops_runner_unwatch(ops_runner *r, void *ctx)
{
    pthread_mutex_lock(&r->watch_lock);
    for (size_t i = 0; i < r->watcher_count; i++)
        if (r->watchers[i].ctx == ctx) {
            r->watchers[i] = r->watchers[--r->watcher_count];
            break;
        }
    pthread_mutex_unlock(&r->watch_lock);
}
