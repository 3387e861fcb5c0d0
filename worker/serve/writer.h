/* A model that writes, as the runner sees it: worker/engine/generator.h behind a table, so that the way of a request can be
 * tried without a model. @thread as generator.h has it: step and free belong to the engine's thread */
#ifndef OPS_WORKER_WRITER_H
#define OPS_WORKER_WRITER_H

#include "worker/engine/generator.h"

typedef struct ops_writer ops_writer;

typedef struct ops_writer_ops { /* each as the function of generator.h of that name */
    ops_status (*submit)(ops_writer *w, const ops_generator_request *request, ops_generation **ret,
                         ops_err *reterr);
    void (*cancel)(ops_writer *w, ops_generation *g);
    uint32_t (*step)(ops_writer *w, uint32_t budget);
    void (*on_work)(ops_writer *w, void (*wake)(void *ctx), void *ctx);
    ops_generator_counts (*counts)(ops_writer *w);
    ops_slice (*token_text)(const ops_writer *w, int32_t id);
    const ops_chat *(*chat)(const ops_writer *w); /* NULL: prompts only */
    const ops_tokenizer *(*tokenizer)(const ops_writer *w);
    void (*free)(ops_writer *w);
} ops_writer_ops;

struct ops_writer { /* the head of every implementation */
    const ops_writer_ops *ops;
    const ops_generator_info *info;
};

/* Takes the generator in any case; NULL: the heap is out. */
ops_writer *ops_writer_over(ops_generator *take_g);
void ops_writer_free(ops_writer *w); /* NULL is fine */
OPS_AUTO_DEFINE(ops_writer, ops_writer_free)

#endif
