/* Many generations at once over one decoder (worker/model/lm.h): conversations or prompts in, answers out token by token.
 *
 * Every step is one packed batch: the sequences that write get their next token, and what is left of the budget goes to
 * prompts, in pieces. Keys and values lie in blocks; blocks that begin the same way (same tokens from the start, same salt)
 * are computed once and shared (kv_pool.h); of layers that look back over a window only, those behind it are given back
 * (kv_window.h). Which sequence gets what is schedule.h's say, how a step is put together
 * generator_step.c's. An answer depends on its request and its seed alone, bit for bit, not on what shares its steps.
 *
 * @thread ops_generator_step() and _free() belong to one thread, the engine's, which also calls `tell` and `done`;
 * submit and cancel may be called from any */
#ifndef OPS_WORKER_GENERATOR_H
#define OPS_WORKER_GENERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/time/clock.h"
#include "worker/model/chat.h"
#include "worker/model/lm.h"
#include "worker/model/sample.h"
#include "worker/model/stops.h"

enum {
    OPS_GENERATOR_STEP_TOKENS_DEFAULT = 512,
    OPS_GENERATOR_READING_TOKENS_DEFAULT = 128,
    OPS_GENERATOR_SEQS_DEFAULT = 64,
    OPS_GENERATOR_WAITING_DEFAULT = 256,
    OPS_GENERATOR_CONTEXT_DEFAULT = 8192,
    OPS_GENERATOR_CACHE_MIB_DEFAULT = 256,
    OPS_GENERATOR_LINES = 3, /* 0 interactive, 1 triage, 2 bulk */
    OPS_GENERATOR_TOP_MAX = 20,
    OPS_GENERATOR_GUESSES_MAX = 8, /* tokens behind the one that a sequence writes */
    OPS_GENERATOR_NAME_MAX = 128,
    OPS_GENERATOR_SALT_MAX = 256,
    OPS_GENERATOR_CHOICES_MAX = 4096
};

typedef struct ops_generator ops_generator;
typedef struct ops_generation ops_generation; /* one request under way */

typedef struct ops_generator_conf {
    const char *path;        /* a GGUF file, a folder that holds exactly one, or one of Hugging Face's */
    const char *name;        /* NULL: the folder's or the file's name without its ending */
    uint32_t threads;        /* 0: one per processor */
    uint32_t step_tokens;    /* of one step; 0: 512 */
    uint32_t reading_tokens; /* of prompts, in a step in which somebody writes; 0: 128 */
    uint32_t seqs_max;       /* that write at once; 0: 64 */
    uint32_t waiting_max;    /* requests that wait for room; 0: 256 */
    uint32_t context_max;    /* tokens of a prompt and its answer; 0: what the model has, at most 8,192 */
    uint64_t
        cache_bytes; /* of keys and values; 0: 256 MiB, less where seqs_max whole contexts need less, more where one
                             needs more. Layers with a window have a part of it (kv_share.h) */
    bool no_guesses;                /* answers are the same; for comparison */
    bool exact, cache_f32, delayed; /* tests */
    ops_clock *clock;               /* NULL: the system's */
} ops_generator_conf;

typedef struct ops_generator_info {
    char model[OPS_GENERATOR_NAME_MAX];
    char content_hash[65];
    char chat[16];    /* of the template: "chatml"; empty: prompts only */
    uint32_t context; /* tokens of a prompt and its answer */
    uint32_t vocab, block_tokens;
    uint32_t blocks;        /* of the layers that look at everything: what a context takes, token by token */
    uint32_t window_blocks; /* of those with a window, beside; 0: they lie in the same */
    uint64_t weight_bytes, cache_bytes;
} ops_generator_info;

typedef enum ops_generator_form {
    OPS_GENERATOR_TEXT,
    OPS_GENERATOR_JSON_OBJECT,
    OPS_GENERATOR_SCHEMA, /* `form_text`: JSON Schema */
    OPS_GENERATOR_EBNF,   /* `form_text` */
    OPS_GENERATOR_CHOICES /* `choices` */
} ops_generator_form;

typedef struct ops_generator_token {
    ops_sample_choice choice;
    const ops_sample_choice *top; /* [n_top]; id -1: no more */
} ops_generator_token;

/* A piece of an answer, borrowed for the call. `text` is whole UTF-8 and may lag behind the token. `token` NULL: only text
 * that was held back. With a control token comes all text before it. */
typedef struct ops_generator_piece {
    ops_slice text;
    const ops_generator_token *token;
} ops_generator_piece;

typedef enum ops_generator_end { OPS_GENERATOR_STOP, OPS_GENERATOR_LENGTH } ops_generator_end;

typedef struct ops_generator_result {
    ops_status status; /* OPS_OK; OPS_ECANCELLED; OPS_ETIMEOUT; OPS_EINTERNAL: the device; OPS_ENOMEM */
    const char *message;
    ops_generator_end end;
    uint32_t prompt_tokens, cached_tokens, tokens;
    uint64_t seed;
} ops_generator_result;

/* Everything is copied. */
typedef struct ops_generator_request {
    const ops_chat_message *messages; /* a conversation to answer; n_messages 0: */
    size_t n_messages;
    const ops_chat_tool *tools; /* with messages: as worker/engine/tools.h plans them */
    size_t n_tools;
    bool call;
    ops_slice call_name;
    ops_slice prompt; /* text to go on with */
    ops_sample_params sample;
    uint32_t tokens_max;   /* 0: what the context leaves */
    const ops_slice *stop; /* as worker/model/stops.h has them */
    size_t n_stop;
    uint32_t n_top; /* likeliest tokens told with each */
    ops_generator_form form;
    ops_slice form_text;
    const ops_slice *choices;
    size_t n_choices;
    ops_slice salt; /* prompts share blocks only where it is equal */
    unsigned line;
    uint32_t deadline_ms;                                        /* from now; 0: none */
    void (*tell)(void *ctx, const ops_generator_piece *piece);   /* may be NULL */
    void (*done)(void *ctx, const ops_generator_result *result); /* exactly once; *ret is gone afterwards */
    void *ctx;
} ops_generator_request;

/* Reads, checks and loads the model. OPS_ENOTFOUND, OPS_EIO: a file; OPS_ECORRUPT, OPS_EUNIMPL: its content, named;
 * OPS_ETOOBIG: the cache has not even one context; OPS_EINVAL; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_generator_open(const ops_generator_conf *conf, ops_generator **ret,
                                           ops_err *reterr);
/* Parts that make a model, taken on OPS_OK. The decoder's limits: seqs >= conf->seqs_max, outputs >= seqs, tokens >= conf->step_tokens,
 * blocks for its positions, window_blocks 0 or enough for a sequence to go on (ops_kv_window_needs()). */
typedef struct ops_generator_parts {
    ops_kern_dev *dev; /* freed last; may be NULL: the caller's */
    ops_lm *lm;
    ops_tokenizer *tokenizer;
    ops_chat *chat; /* NULL: none, and why: */
    char chat_why[200];
    char name[OPS_GENERATOR_NAME_MAX], content_hash[65];
} ops_generator_parts;
void ops_generator_parts_done(ops_generator_parts *p); /* those that nobody took */
/* conf->path is not read, nor what concerns the decoder's memory. OPS_EINVAL, OPS_ECORRUPT (tokenizer and decoder do not fit each other),
 * OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_generator_new(const ops_generator_conf *conf, ops_generator_parts *take_parts,
                                          ops_generator **ret, ops_err *reterr);
/* Every open request is done with OPS_ECANCELLED. NULL is fine. */
void ops_generator_free(ops_generator *g);
OPS_AUTO_DEFINE(ops_generator, ops_generator_free)
const ops_generator_info *ops_generator_info_get(const ops_generator *g); /* @thread any */
const ops_chat *ops_generator_chat(const ops_generator *g);           /* NULL: prompts only. @thread any */
const ops_tokenizer *ops_generator_tokenizer(const ops_generator *g); /* @thread any */
/* Bytes that a token stands for, often no whole UTF-8; empty: none. @thread any */
ops_slice ops_generator_token_text(const ops_generator *g, int32_t id);

/* `wake` is called, under no lock, whenever there is something to do again. Before the first submit. */
void ops_generator_on_work(ops_generator *g, void (*wake)(void *ctx), void *ctx);

/* Reads the request in the caller's thread (template, token ids, grammar), then queues it. OPS_EINVAL: a parameter, a
 * schema, roles, named; OPS_EUNIMPL: the model has no template for conversations, a schema's keyword; OPS_ETOOBIG: prompt
 * and answer pass the context, with the numbers; OPS_EAGAIN: waiting_max wait; OPS_ECANCELLED: being freed; OPS_ENOMEM. *ret is set
 * before `done` can be called; `done` is not called unless OPS_OK is returned. @thread any */
OPS_MUST_USE ops_status ops_generator_submit(ops_generator *g, const ops_generator_request *request,
                                             ops_generation **ret, ops_err *reterr);
/* Its blocks are free within a step; `done` says OPS_ECANCELLED. Only before its `done` was called. @thread any */
void ops_generator_cancel(ops_generator *g, ops_generation *r);

/* One step of at most `budget` tokens (0: the configured ones). Returns the tokens it computed: 0 when there is nothing to
 * do. */
uint32_t ops_generator_step(ops_generator *g, uint32_t budget);

typedef struct ops_generator_counts {
    uint64_t submitted, done, cancelled, expired, failed, refused, preempted;
    uint64_t steps, prompt_tokens, cached_tokens; /* of prompts: computed; found in the cache */
    uint64_t tokens, jumped;     /* of answers; of them, those that their form left no choice about */
    uint64_t guessed, confirmed; /* tokens from lookup.h; of them, those that the model would have chosen */
    uint32_t waiting, running, blocks_used, blocks_cached; /* now */
    uint32_t window_used, window_cached;                   /* of info.window_blocks */
} ops_generator_counts;
ops_generator_counts ops_generator_counts_get(ops_generator *g); /* as of the last step. @thread any */

#endif
