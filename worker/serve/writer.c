#include "worker/serve/writer.h"

#include "base/mem/alloc.h"

typedef struct over_generator {
    ops_writer base;
    ops_generator *g;
} over_generator;

static ops_generator *generator_of(const ops_writer *w)
{
    return ((const over_generator *)w)->g;
}

static ops_status submit(ops_writer *w, const ops_generator_request *q, ops_generation **ret, ops_err *reterr)
{
    return ops_generator_submit(generator_of(w), q, ret, reterr);
}

static void cancel(ops_writer *w, ops_generation *r)
{
    ops_generator_cancel(generator_of(w), r);
}

static uint32_t step(ops_writer *w, uint32_t budget)
{
    return ops_generator_step(generator_of(w), budget);
}

static void on_work(ops_writer *w, void (*wake)(void *ctx), void *ctx)
{
    ops_generator_on_work(generator_of(w), wake, ctx);
}

static ops_generator_counts counts(ops_writer *w)
{
    return ops_generator_counts_get(generator_of(w));
}

static ops_slice token_text(const ops_writer *w, int32_t id)
{
    return ops_generator_token_text(generator_of(w), id);
}

static const ops_chat *chat(const ops_writer *w)
{
    return ops_generator_chat(generator_of(w));
}

static const ops_tokenizer *tokenizer(const ops_writer *w)
{
    return ops_generator_tokenizer(generator_of(w));
}

static void free_over(ops_writer *w)
{
    ops_generator_free(generator_of(w));
    ops_free(w);
}

ops_writer *ops_writer_over(ops_generator *g)
{
    static const ops_writer_ops ops = {submit,     cancel, step,      on_work,  counts,
                                       token_text, chat,   tokenizer, free_over};
    over_generator *w = ops_calloc(1, sizeof *w);
    if (w == NULL) {
        ops_generator_free(g);
        return NULL;
    }
    w->base = (ops_writer){&ops, ops_generator_info_get(g)};
    w->g = g;
    return &w->base;
}

void ops_writer_free(ops_writer *w)
{
    if (w != NULL)
        w->ops->free(w);
}
