/* A generator's parts: the line of requests that came in (under a lock), the sequences under way and what a step is put
 * together in (the engine's thread alone). */
#ifndef OPS_WORKER_GENERATOR_INTERNAL_H
#define OPS_WORKER_GENERATOR_INTERNAL_H

#include <pthread.h>

#include "base/text/strbuf.h"
#include "worker/engine/forms.h"
#include "worker/engine/generator.h"
#include "worker/engine/lookup.h"
#include "worker/engine/schedule.h"
#include "worker/grammar/matcher.h"
#include "worker/model/tokenizer.h"

struct ops_generation {
    ops_generation *prev, *next; /* in the inbox, then among those under way */
    ops_seq seq;
    int32_t *ids;              /* prompt, then answer; room for `last` and guesses */
    int32_t *blocks, *windows; /* of seq; windows NULL: there are none */
    int prompt, last;          /* tokens of the prompt; of both at most */
    ops_sampler *sampler;
    ops_lookup *lookup;        /* NULL: nothing is guessed */
    int guesses, rest, missed; /* how many at once now; steps until the next ones; what that was */
    ops_form *form;            /* NULL: any text */
    ops_matcher *matcher;      /* with a form */
    uint32_t *mask;            /* with a form: what may come next */
    bool closable;             /* with a form: it can be ended within what is left */
    size_t worth; /* while it cannot: bytes of an end that is worth being counted in tokens again */
    ops_detok detok;
    ops_strbuf text; /* not shown yet */
    ops_strbuf stop_bytes;
    ops_slice stop[OPS_STOPS_MAX];
    size_t n_stop;
    ops_sample_choice top[OPS_GENERATOR_TOP_MAX];
    uint32_t n_top;
    uint64_t seed;
    int64_t deadline_ns; /* INT64_MAX: none */
    bool cancelled;      /* under the generator's lock */
    void (*tell)(void *ctx, const ops_generator_piece *piece);
    void (*done)(void *ctx, const ops_generator_result *result);
    void *ctx;
};

typedef struct generation_list {
    ops_generation *first, *last;
    size_t n;
} generation_list;

struct ops_generator {
    ops_generator_parts parts;
    ops_generator_info info;
    ops_clock *clock;
    uint32_t step_tokens, open_max;
    int guesses_max;
    ops_grammar_vocab *vocab;
    int32_t byte_ids[256]; /* the token that is just this byte; -1: none */
    ops_forms *forms;
    uint64_t salt_key[2];

    /* the engine's thread */
    ops_grammar_cache *masks;
    ops_kv_pool *pool;
    ops_kv_window *window; /* NULL: all layers lie in the pool's blocks */
    ops_schedule *schedule;
    generation_list under_way;
    ops_turn *turns;
    int32_t *ids, *rows, *table, *window_table, *out;
    ops_greatest *greatest; /* of the step's outputs, rows of `top` and one */
    int top;
    float *logits; /* where somebody needs all of them */
    uint32_t *mask;
    size_t mask_words; /* of a row of the decoder's head */
    int outputs_max;
    ops_tokens jump;
    ops_generator_counts now;

    pthread_mutex_t lock;
    generation_list inbox;
    size_t open; /* in the inbox and under way */
    bool stopping;
    ops_generator_counts told;
    void (*wake)(void *ctx);
    void *wake_ctx;
};

static inline void generation_put(generation_list *l, ops_generation *r)
{
    r->next = NULL;
    r->prev = l->last;
    *(l->last != NULL ? &l->last->next : &l->first) = r;
    l->last = r;
    l->n++;
}

static inline void generation_cut(generation_list *l, ops_generation *r)
{
    *(r->prev != NULL ? &r->prev->next : &l->first) = r->next;
    *(r->next != NULL ? &r->next->prev : &l->last) = r->prev;
    r->prev = r->next = NULL;
    l->n--;
}

/* A request as the engine needs it; everything that can be refused is refused here. @thread any */
ops_status generation_read(ops_generator *g, const ops_generator_request *q, ops_generation **ret,
                           ops_err *reterr);
void generation_free(ops_generation *r); /* calls nobody */

/* One more token of an answer (generator_write.c). True: it goes on. False: it is over, *ret says how. */
typedef struct generation_over {
    ops_status status;
    const char *message;
    ops_generator_end end;
} generation_over;
/* What must come first, if the answer has a form; before any logits. */
bool generation_begin(ops_generator *g, ops_generation *r, generation_over *ret);
/* By what the step says of output `row`. */
bool generation_write(ops_generator *g, ops_generation *r, size_t row, int32_t *ret_id, generation_over *ret);
/* Guesses for the next step of those who write, while they are few (generator_guess.c); and what became of a turn's. */
void generator_guess(ops_generator *g);
void generation_guessed(ops_generator *g, ops_generation *r, int guessed, int right);
/* Everything that is open ends, called off. */
void generator_drop_all(ops_generator *g);
/* Tells what is left of its text. */
void generation_finish(ops_generation *r);

#endif
