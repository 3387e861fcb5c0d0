/* tests/support/fake_writer.h: a model that says back what it is asked, four bytes a step, to all who ask at once; behind a
 * gate, it computes and gets nowhere. "bad" can never be done. Tokens are numbered by their place in the answer, and stand
 * for one letter. */
#ifndef OPS_TESTS_FAKE_WRITER_H
#define OPS_TESTS_FAKE_WRITER_H

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem/alloc.h"
#include "worker/serve/writer.h"

enum {
    FAKE_WRITER_BLOCKS = 64,
    FAKE_WRITER_WINDOW_BLOCKS = 16,
    FAKE_WRITER_WINDOW_CACHED = 3,
    FAKE_WRITER_BLOCK_TOKENS = 32
};

typedef struct fake_generation {
    struct fake_generation *next;
    ops_generator_request q;
    char text[256];
    size_t n, at;
    uint32_t tokens;
    bool cancelled;
} fake_generation;

struct fake_writer {
    ops_writer base;
    ops_generator_info info;
    pthread_mutex_t lock;
    bool open;
    fake_generation *all;
    ops_generator_counts counts;
    uint32_t budget_min; /* the least it was given in a step */
    void (*wake)(void *ctx);
    void *wake_ctx;
    bool *freed;
    long slow_ns; /* how long a step takes */
};

static inline ops_status fake_writer_submit(ops_writer *base, const ops_generator_request *q,
                                            ops_generation **ret, ops_err *reterr)
{
    struct fake_writer *w = (struct fake_writer *)base;
    const ops_slice asked = q->n_messages > 0 ? q->messages[q->n_messages - 1].text : q->prompt;
    if (ops_slice_eq(asked, OPS_SLICE("bad")))
        return ops_fail(reterr, OPS_ETOOBIG, "a bad request of 3 bytes");
    fake_generation *g = ops_calloc(1, sizeof *g);
    if (g == NULL || asked.n >= sizeof g->text) {
        ops_free(g);
        return ops_fail(reterr, OPS_ENOMEM, "a request");
    }
    g->q = *q;
    g->n = asked.n;
    memcpy(g->text, asked.p, asked.n);
    pthread_mutex_lock(&w->lock);
    *ret = (ops_generation *)(void *)g;
    g->next = w->all;
    w->all = g;
    w->counts.submitted++;
    w->counts.running++;
    w->counts.blocks_used++;
    pthread_mutex_unlock(&w->lock);
    w->wake(w->wake_ctx);
    return OPS_OK;
}

static inline void fake_writer_cancel(ops_writer *base, ops_generation *r)
{
    struct fake_writer *w = (struct fake_writer *)base;
    pthread_mutex_lock(&w->lock);
    ((fake_generation *)(void *)r)->cancelled = true;
    pthread_mutex_unlock(&w->lock);
    w->wake(w->wake_ctx);
}

static inline void fake_writer_end(struct fake_writer *w, fake_generation *g, ops_status st)
{
    pthread_mutex_lock(&w->lock);
    for (fake_generation **at = &w->all; *at != NULL; at = &(*at)->next)
        if (*at == g) {
            *at = g->next;
            break;
        }
    w->counts.running--;
    w->counts.blocks_used--;
    w->counts.done += st == OPS_OK;
    w->counts.cancelled += st == OPS_ECANCELLED;
    pthread_mutex_unlock(&w->lock);
    const ops_generator_result r = {.status = st,
                                    .message = "",
                                    .end = g->at < g->n ? OPS_GENERATOR_LENGTH : OPS_GENERATOR_STOP,
                                    .prompt_tokens = (uint32_t)g->n,
                                    .cached_tokens = 1,
                                    .tokens = g->tokens,
                                    .seed = g->q.sample.seed};
    g->q.done(g->q.ctx, &r);
    ops_free(g);
}

static inline void fake_writer_write(struct fake_writer *w, fake_generation *g)
{
    ops_sample_choice top[OPS_GENERATOR_TOP_MAX];
    for (uint32_t i = 0; i < OPS_GENERATOR_TOP_MAX; i++)
        top[i] = (ops_sample_choice){i < 2 ? (int32_t)(g->tokens + i) : -1, -(float)i};
    const size_t n = g->n - g->at < 4 ? g->n - g->at : 4;
    const ops_generator_token token = {{(int32_t)g->tokens, -0.5F}, top};
    const ops_generator_piece piece = {ops_slice_of(g->text + g->at, n), &token};
    g->at += n;
    g->tokens++;
    g->q.tell(g->q.ctx, &piece);
    if (g->at == g->n || (g->q.tokens_max > 0 && g->tokens >= g->q.tokens_max))
        fake_writer_end(w, g, OPS_OK);
}

static inline uint32_t fake_writer_step(ops_writer *base, uint32_t budget)
{
    struct fake_writer *w = (struct fake_writer *)base;
    const struct timespec nap = {0, w->slow_ns > 0 ? w->slow_ns : 1000000};
    fake_generation *turn[64];
    uint32_t n = 0;
    pthread_mutex_lock(&w->lock);
    const bool open = w->open;
    if (w->budget_min == 0 || budget < w->budget_min)
        w->budget_min = budget;
    for (fake_generation *g = w->all; g != NULL && n < 64; g = g->next)
        turn[n++] = g;
    w->counts.steps++;
    pthread_mutex_unlock(&w->lock);
    for (uint32_t i = 0; i < n; i++) {
        pthread_mutex_lock(&w->lock);
        const bool cancelled = turn[i]->cancelled;
        pthread_mutex_unlock(&w->lock);
        if (cancelled)
            fake_writer_end(w, turn[i], OPS_ECANCELLED);
        else if (open)
            fake_writer_write(w, turn[i]);
    }
    if (n > 0 && (!open || w->slow_ns > 0))
        (void)nanosleep(&nap, NULL);
    return n;
}

static inline void fake_writer_on_work(ops_writer *base, void (*wake)(void *ctx), void *ctx)
{
    struct fake_writer *w = (struct fake_writer *)base;
    w->wake = wake;
    w->wake_ctx = ctx;
}

static inline ops_generator_counts fake_writer_counts(ops_writer *base)
{
    struct fake_writer *w = (struct fake_writer *)base;
    pthread_mutex_lock(&w->lock);
    const ops_generator_counts c = w->counts;
    pthread_mutex_unlock(&w->lock);
    return c;
}

static inline ops_slice fake_writer_token_text(const ops_writer *base, int32_t id)
{
    (void)base;
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    return id >= 0 ? ops_slice_of(&letters[id % 26], 1) : (ops_slice){0};
}

static inline const ops_chat *fake_writer_chat(const ops_writer *base)
{
    (void)base;
    return NULL;
}

static inline const ops_tokenizer *fake_writer_tokenizer(const ops_writer *base)
{
    (void)base;
    return NULL;
}

static inline void fake_writer_free(ops_writer *base)
{
    struct fake_writer *w = (struct fake_writer *)base;
    while (w->all != NULL)
        fake_writer_end(w, w->all, OPS_ECANCELLED);
    if (w->freed != NULL)
        *w->freed = true;
    pthread_mutex_destroy(&w->lock);
    ops_free(w);
}

static inline struct fake_writer *fake_writer_new(const char *name, bool open)
{
    static const ops_writer_ops ops = {fake_writer_submit,  fake_writer_cancel,    fake_writer_step,
                                       fake_writer_on_work, fake_writer_counts,    fake_writer_token_text,
                                       fake_writer_chat,    fake_writer_tokenizer, fake_writer_free};
    struct fake_writer *w = ops_calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->base = (ops_writer){&ops, &w->info};
    w->info = (ops_generator_info){.content_hash = "ff",
                                   .context = 512,
                                   .blocks = FAKE_WRITER_BLOCKS,
                                   .window_blocks = FAKE_WRITER_WINDOW_BLOCKS,
                                   .block_tokens = FAKE_WRITER_BLOCK_TOKENS};
    (void)snprintf(w->info.model, sizeof w->info.model, "%s", name);
    w->counts.window_cached = FAKE_WRITER_WINDOW_CACHED;
    w->open = open;
    pthread_mutex_init(&w->lock, NULL);
    return w;
}

static inline void fake_writer_open(struct fake_writer *w, bool open)
{
    pthread_mutex_lock(&w->lock);
    w->open = open;
    pthread_mutex_unlock(&w->lock);
}
static inline int fake_writer_running(void *w)
{
    return (int)fake_writer_counts(w).running;
}

#endif
