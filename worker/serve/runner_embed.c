/* Jobs of texts, to embed or for a head, computed in pieces. A job stays the head of its line until its last piece: only the engine's
 * thread takes it off. */
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/serve/runner_internal.h"

enum { BYTES_A_TOKEN = 3, TOKENS_A_TEXT = 2 /* [CLS] and [SEP] */ };

struct ops_runner_job {
    ops_runner_job *next;
    ops_runner *r;
    runner_slot *slot;
    int64_t deadline_ns;
    bool cancelled; /* under the runner's lock */
    void (*done)(void *ctx, const ops_runner_result *result);
    void *ctx;
    ops_runner_does does;
    bool begun;  /* its first piece; it waits no more */
    float *rows; /* n * width, from the first piece on */
    ops_engine_spans spans;
    size_t at; /* texts computed */
    uint64_t tokens;
    size_t n;
    ops_slice query;
    ops_slice texts[]; /* then their bytes, and the query's */
};

static bool is_over(ops_runner_job *j, ops_status *ret)
{
    pthread_mutex_lock(&j->r->lock);
    const bool cancelled = j->cancelled || j->r->stopping || j->slot->leaving;
    pthread_mutex_unlock(&j->r->lock);
    *ret = cancelled ? OPS_ECANCELLED : OPS_ETIMEOUT;
    return cancelled || ops_clock_mono_ns(j->r->clock) >= j->deadline_ns;
}

static bool asked(void *ctx)
{
    ops_status why;
    return is_over(ctx, &why);
}

static void unlink_job(ops_runner *r, ops_runner_job *j)
{
    pthread_mutex_lock(&r->lock);
    for (unsigned i = 0; i < OPS_RUNNER_CLASSES; i++)
        for (ops_runner_job **at = &r->lines[i].head; *at != NULL; at = &(*at)->next)
            if (*at == j) {
                *at = j->next;
                if (*at == NULL)
                    r->lines[i].tail = at;
                r->jobs -= !j->begun;
                pthread_mutex_unlock(&r->lock);
                return;
            }
    pthread_mutex_unlock(&r->lock);
}

/* Floats that a text brings. */
static size_t width_of(const ops_engine_info *info)
{
    return info->does == OPS_ENGINE_EMBEDS ? info->dim
           : info->does == OPS_ENGINE_TAGS ? 0
                                           : info->label_count;
}

static void finish(ops_runner *r, ops_runner_job *j, ops_status st, const ops_err *err)
{
    const bool ok = st == OPS_OK;
    const ops_engine_info *info = &j->slot->engine->info;
    const ops_runner_result result = {.status = st,
                                      .message = ok                    ? ""
                                                 : err->msg[0] != '\0' ? err->msg
                                                                       : ops_status_text(st),
                                      .vectors = ok ? j->rows : NULL,
                                      .rows = ok ? j->n : 0,
                                      .dim = ok ? width_of(info) : 0,
                                      .tokens = j->tokens,
                                      .labels = info->labels,
                                      .label_count = info->label_count,
                                      .spans = ok ? j->spans.v : NULL,
                                      .span_count = ok ? j->spans.n : 0};
    unlink_job(r, j);
    j->done(j->ctx, &result);
    ops_free(j->rows);
    ops_free(j->spans.v);
    ops_free(j);
}

/* So many texts from j->at as have about `tokens` in all, at least one; *tokens becomes what they are taken to have. An
 * estimate: counting would read each text twice. */
static size_t cut_piece(const ops_runner_job *j, uint64_t *tokens)
{
    const uint64_t most = *tokens, one_max = j->slot->engine->info.tokens_max;
    uint64_t sum = 0;
    size_t n = 0;
    for (; j->at + n < j->n; n++) {
        const uint64_t guess = (j->texts[j->at + n].n + j->query.n) / BYTES_A_TOKEN + TOKENS_A_TEXT;
        const uint64_t here = guess < one_max ? guess : one_max;
        if (n > 0 && sum + here > most)
            break;
        sum += here;
    }
    *tokens = sum;
    return n;
}

static ops_status begin(ops_runner *r, ops_runner_job *j, ops_err *reterr)
{
    const size_t width = width_of(&j->slot->engine->info);
    float *rows = width > 0 ? ops_calloc(j->n, width * sizeof *rows) : NULL;
    if (width > 0 && rows == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "out of memory for %zu vectors", j->n);
    pthread_mutex_lock(&r->lock);
    j->rows = rows;
    j->begun = true;
    r->jobs--;
    pthread_mutex_unlock(&r->lock);
    return OPS_OK;
}

static ops_status compute(ops_runner_job *j, size_t n, uint64_t *ret_tokens, ops_err *reterr)
{
    const ops_engine_stop stop = {asked, j};
    ops_engine *e = j->slot->engine;
    float *rows = j->rows != NULL ? j->rows + j->at * width_of(&e->info) : NULL;
    if (j->does == OPS_RUNNER_EMBEDS)
        return ops_engine_embed(e, j->texts + j->at, n, rows, ret_tokens, &stop, reterr);
    const ops_engine_question q = {.query = j->does == OPS_RUNNER_RERANKS ? &j->query : NULL,
                                   .texts = j->texts + j->at,
                                   .n = n,
                                   .first = (uint32_t)j->at};
    return ops_engine_score(e, &q, rows, &j->spans, ret_tokens, &stop, reterr);
}

/* Returns the tokens it took. */
static uint64_t run_piece(ops_runner *r, ops_runner_job *j, uint64_t tokens)
{
    ops_err err = {.msg = ""};
    ops_status why = OPS_ECANCELLED;
    uint64_t did = 0;
    ops_status st = is_over(j, &why) ? OPS_ECANCELLED : OPS_OK;
    if (st == OPS_OK && !j->begun)
        st = begin(r, j, &err);
    if (st == OPS_OK) {
        const size_t n = cut_piece(j, &tokens);
        st = compute(j, n, &did, &err);
        j->at += n;
        j->tokens += did;
        did = tokens;
    }
    if (st == OPS_ECANCELLED) {
        (void)is_over(j, &why);
        st = why;
    }
    if (st != OPS_OK || j->at == j->n)
        finish(r, j, st, &err);
    return did;
}

bool runner_embed_waits(const ops_runner *r)
{
    for (unsigned i = 0; i < OPS_RUNNER_CLASSES; i++)
        if (r->lines[i].head != NULL)
            return true;
    return false;
}

/* The first line with work, or one that was passed over too often. */
static ops_runner_job *choose(ops_runner *r, unsigned lines)
{
    unsigned best = OPS_RUNNER_CLASSES;
    pthread_mutex_lock(&r->lock);
    for (unsigned i = 0; i < lines; i++)
        if (r->lines[i].head != NULL &&
            (best == OPS_RUNNER_CLASSES ||
             (r->lines[i].passed >= OPS_RUNNER_PASSED_MAX && r->lines[i].passed > r->lines[best].passed)))
            best = i;
    ops_runner_job *j = best < OPS_RUNNER_CLASSES ? r->lines[best].head : NULL;
    for (unsigned i = 0; i < lines; i++)
        r->lines[i].passed = i == best || r->lines[i].head == NULL ? 0 : r->lines[i].passed + 1;
    pthread_mutex_unlock(&r->lock);
    return j;
}

uint64_t runner_embed(ops_runner *r, unsigned lines, uint64_t tokens)
{
    uint64_t used = 0;
    while (used < tokens) {
        ops_runner_job *j = choose(r, lines);
        if (j == NULL)
            break;
        used += run_piece(r, j, tokens - used);
    }
    return used;
}

void runner_embed_drop(ops_runner *r, const runner_slot *slot)
{
    for (;;) {
        ops_runner_job *j = NULL;
        pthread_mutex_lock(&r->lock);
        for (unsigned i = 0; i < OPS_RUNNER_CLASSES && j == NULL; i++)
            for (j = r->lines[i].head; j != NULL && slot != NULL && j->slot != slot;)
                j = j->next;
        pthread_mutex_unlock(&r->lock);
        if (j == NULL)
            return;
        ops_err err = {.msg = ""};
        finish(r, j, OPS_ECANCELLED, &err);
    }
}

static ops_slice put_bytes(char **at, ops_slice s)
{
    const ops_slice copy = ops_slice_of(*at, s.n);
    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

static ops_runner_job *copy_job(const ops_slice *texts, size_t n, ops_slice query)
{
    size_t bytes = sizeof(ops_runner_job) + n * sizeof *texts + query.n;
    for (size_t i = 0; i < n; i++)
        if (__builtin_add_overflow(bytes, texts[i].n, &bytes))
            return NULL;
    ops_runner_job *j = ops_malloc(bytes);
    if (j == NULL)
        return NULL;
    *j = (ops_runner_job){.n = n};
    char *at = (char *)(j->texts + n);
    for (size_t i = 0; i < n; i++)
        j->texts[i] = put_bytes(&at, texts[i]);
    j->query = put_bytes(&at, query);
    return j;
}

/* With the lock held. */
static ops_status put(ops_runner *r, unsigned line, ops_slice model, ops_runner_job *j,
                      ops_runner_job **ret_job, ops_err *reterr)
{
    if (r->stopping)
        return ops_fail(reterr, OPS_ECANCELLED, "the worker stops");
    if (r->jobs >= r->jobs_max)
        return ops_fail(reterr, OPS_EAGAIN, "%zu jobs wait, the most", r->jobs_max);
    j->slot = runner_find(r, model, j->does);
    if (j->slot == NULL)
        return ops_fail(reterr, OPS_ENOTFOUND, "no model '" OPS_SLICE_FMT "' that %s is loaded here",
                        OPS_SLICE_ARG(model),
                        j->does == OPS_RUNNER_EMBEDS    ? "embeds"
                        : j->does == OPS_RUNNER_RERANKS ? "reranks"
                                                        : "classifies");
    *ret_job = j;
    *r->lines[line].tail = j;
    r->lines[line].tail = &j->next;
    r->jobs++;
    pthread_cond_signal(&r->work);
    return OPS_OK;
}

ops_status ops_runner_score(ops_runner *r, unsigned line, ops_runner_does does, ops_slice model,
                            ops_slice query, const ops_slice *texts, size_t n, uint32_t deadline_ms,
                            void (*done)(void *ctx, const ops_runner_result *result), void *ctx,
                            ops_runner_job **ret_job, ops_err *reterr)
{
    if (line >= OPS_RUNNER_CLASSES || n == 0)
        return ops_fail(reterr, OPS_EINVAL, "a job in line %u with %zu texts", line, n);
    if (n > OPS_RUNNER_TEXTS_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "a job of %zu texts, at most %d", n, OPS_RUNNER_TEXTS_MAX);
    ops_runner_job *j = copy_job(texts, n, query);
    if (j == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a job of %zu texts", n);
    j->r = r;
    j->does = does;
    j->deadline_ns = ops_clock_mono_ns(r->clock) + (int64_t)deadline_ms * 1000000;
    j->done = done;
    j->ctx = ctx;
    pthread_mutex_lock(&r->lock);
    const ops_status st = put(r, line, model, j, ret_job, reterr);
    pthread_mutex_unlock(&r->lock);
    if (st != OPS_OK)
        ops_free(j);
    return st;
}

ops_status ops_runner_submit(ops_runner *r, unsigned line, ops_slice model, const ops_slice *texts, size_t n,
                             uint32_t deadline_ms, void (*done)(void *ctx, const ops_runner_result *result),
                             void *ctx, ops_runner_job **ret_job, ops_err *reterr)
{
    return ops_runner_score(r, line, OPS_RUNNER_EMBEDS, model, ops_slice_of(NULL, 0), texts, n, deadline_ms,
                            done, ctx, ret_job, reterr);
}

void ops_runner_cancel(ops_runner *r, ops_runner_job *job)
{
    pthread_mutex_lock(&r->lock);
    job->cancelled = true;
    pthread_mutex_unlock(&r->lock);
}
