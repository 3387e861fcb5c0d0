/* Several models, one thread for all of them, three lines of work: the interactive first, then triage, then bulk. Shared by
 * all sessions.
 *
 * The engine's thread works in rounds of a bounded number of tokens. In a round every model that writes makes a step, and
 * jobs of texts to embed are computed in pieces: interactive ones before that step, others in what it leaves, which is never
 * nothing. A line that was passed over OPS_RUNNER_PASSED_MAX times goes before the others once. So a chat waits for one
 * round at most, and bulk goes on beside chats. */
#ifndef OPS_WORKER_RUNNER_H
#define OPS_WORKER_RUNNER_H

#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/time/clock.h"
#include "proto/ops/v1/generate.pb-c.h"
#include "proto/ops/v1/worker.pb-c.h"
#include "worker/engine/engine.h"
#include "worker/serve/writer.h"

enum {
    OPS_RUNNER_CLASSES = 3,
    OPS_RUNNER_MODELS_MAX = 8,
    OPS_RUNNER_JOBS_DEFAULT = 256,
    OPS_RUNNER_TEXTS_MAX = 256,
    OPS_RUNNER_REQUEST_BYTES_MAX = 4 << 20,
    OPS_RUNNER_REQUESTS_BYTES_MAX = 64 << 20, /* of those that were not read yet */
    OPS_RUNNER_ROUND_TOKENS = 512,
    OPS_RUNNER_PASSED_MAX = 8,
    OPS_RUNNER_WATCHERS_MAX = 64,
    OPS_RUNNER_LOADS_MAX = 16,
    OPS_RUNNER_PATH_MAX = 4096,
    OPS_RUNNER_SEQUENCES_MAX = 16, /* tasks of sessions that wait */
    OPS_RUNNER_SEQUENCE_GROUPS = 32,
    OPS_RUNNER_SEQUENCE_MODELS = 32 /* trained models that are kept */
};

typedef struct ops_runner ops_runner;
typedef struct ops_runner_job ops_runner_job;
typedef struct ops_runner_writing ops_runner_writing;
typedef struct ops_runner_sequence ops_runner_sequence;

typedef enum ops_runner_does {
    OPS_RUNNER_WRITES,
    OPS_RUNNER_EMBEDS,
    OPS_RUNNER_RERANKS,
    OPS_RUNNER_CLASSIFIES /* texts, or words of them */
} ops_runner_does;

/* What became of a job; borrowed for the call. OPS_OK: rows * dim floats, of a head rows * label_count probabilities, or spans. OPS_ECANCELLED, OPS_ETIMEOUT: not computed, or
 * not to the end. Anything else: what the engine said. */
typedef struct ops_runner_result {
    ops_status status;
    const char *message;
    const float *vectors; /* or probabilities; NULL from a model that labels words */
    size_t rows, dim;
    uint64_t tokens;
    const char *labels; /* of a head: names, each ended by a NUL */
    uint32_t label_count;
    const ops_engine_span *spans;
    size_t span_count;
} ops_runner_result;

typedef struct ops_runner_model {
    char name[OPS_ENGINE_NAME_MAX];
    char content_hash[65];
    ops_runner_does does;
    uint32_t dim, tokens_max;  /* dim 0: it does not embed */
    uint64_t cache_tokens;     /* of context that its cache has room for */
    ops_generator_counts made; /* when it writes */
    uint32_t blocks;           /* of its cache: they hold cache_tokens */
    uint32_t window_blocks;    /* beside, of its layers with a window */
} ops_runner_model;

/* Takes the engine (NULL: no model yet) on OPS_OK and starts the threads "engine", "requests" and "sequences". jobs_max waiting of either
 * kind; 0: OPS_RUNNER_JOBS_DEFAULT. `clock` NULL: the system's. OPS_ENOMEM, OPS_EAGAIN. */
OPS_MUST_USE ops_status ops_runner_new(ops_engine *take_engine, size_t jobs_max, ops_clock *clock,
                                       ops_runner **ret, ops_err *reterr);
/* Cancels everything (each `done` is called), joins, frees the models. NULL is fine. @thread none of its own */
void ops_runner_free(ops_runner *r);
OPS_AUTO_DEFINE(ops_runner, ops_runner_free)

/* One of the two is taken on OPS_OK. OPS_EEXIST: there is a model of that name; OPS_EAGAIN: OPS_RUNNER_MODELS_MAX are
 * there. @thread any */
OPS_MUST_USE ops_status ops_runner_add(ops_runner *r, ops_engine *take_engine, ops_writer *take_writer,
                                       ops_err *reterr);
/* Ends what the model has to do with OPS_ECANCELLED, waits for that and frees it. OPS_ENOTFOUND. @thread none of its own,
 * and under no lock that a `done` or `tell` takes */
OPS_MUST_USE ops_status ops_runner_remove(ops_runner *r, const char *name, ops_err *reterr);
/* In the order in which they were added. @thread any */
size_t ops_runner_models(ops_runner *r, ops_runner_model ret[OPS_RUNNER_MODELS_MAX]);

/* `changed` is called after each add and remove, one at a time, by the thread that made it. OPS_EAGAIN: too many watch. */
OPS_MUST_USE ops_status ops_runner_watch(ops_runner *r, void (*changed)(void *ctx), void *ctx,
                                         ops_err *reterr);
void ops_runner_unwatch(ops_runner *r, void *ctx); /* afterwards it is not called any more */

/* How a model is read when somebody asks for one at run time: sets one of the two. @thread "models", one at a time */
typedef struct ops_runner_opener {
    ops_status (*open)(void *ctx, const char *path, const char *name, ops_engine **ret_engine,
                       ops_writer **ret_writer, ops_err *reterr);
    void *ctx; /* outlives the runner */
} ops_runner_opener;
/* Starts the thread "models". Once, before anybody loads. OPS_EAGAIN, OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_runner_open_with(ops_runner *r, const ops_runner_opener *opener, ops_err *reterr);

typedef void (*ops_runner_loaded)(void *ctx, ops_status st, const char *message);
/* Queue and return; `done` comes once, from "models", unless they fail: OPS_EAGAIN: OPS_RUNNER_LOADS_MAX wait; OPS_EUNIMPL:
 * there is no opener; OPS_ETOOBIG; OPS_ECANCELLED: stopping; OPS_ENOMEM. `name` may be empty when loading. `done` says what
 * the opener, ops_runner_add() or ops_runner_remove() said. @thread any */
OPS_MUST_USE ops_status ops_runner_load(ops_runner *r, const char *path, const char *name,
                                        ops_runner_loaded done, void *ctx, ops_err *reterr);
OPS_MUST_USE ops_status ops_runner_unload(ops_runner *r, const char *name, ops_runner_loaded done, void *ctx,
                                          ops_err *reterr);

/* Queues the texts (copied) in line `line` (0 interactive .. 2 bulk) for the model of that name (empty: the first that
 * embeds). `done` is called exactly once, from the engine's thread, under no lock; afterwards *ret_job is gone. OPS_EAGAIN:
 * full; OPS_ETOOBIG, OPS_EINVAL; OPS_ENOTFOUND: no such model; OPS_ECANCELLED: stopping; OPS_ENOMEM. *ret_job is set before
 * `done` can be called. @thread any */
OPS_MUST_USE ops_status ops_runner_submit(ops_runner *r, unsigned line, ops_slice model,
                                          const ops_slice *texts, size_t n, uint32_t deadline_ms,
                                          void (*done)(void *ctx, const ops_runner_result *result), void *ctx,
                                          ops_runner_job **ret_job, ops_err *reterr);
/* The same for a head: `does` is OPS_RUNNER_RERANKS, where each text is read after `query` (copied), or OPS_RUNNER_CLASSIFIES. */
OPS_MUST_USE ops_status ops_runner_score(ops_runner *r, unsigned line, ops_runner_does does, ops_slice model,
                                         ops_slice query, const ops_slice *texts, size_t n,
                                         uint32_t deadline_ms,
                                         void (*done)(void *ctx, const ops_runner_result *result), void *ctx,
                                         ops_runner_job **ret_job, ops_err *reterr);
/* The job ends soon with OPS_ECANCELLED. Only while its `done` was not called: the caller sees to that. @thread any */
void ops_runner_cancel(ops_runner *r, ops_runner_job *job);

/* What became of a generation; `end` is set when OPS_OK. OPS_EINVAL, OPS_ETOOBIG, OPS_EUNIMPL: it can never be done here, and
 * why. */
typedef struct ops_runner_generated {
    ops_status status;
    const char *message;
    const Ops__V1__GenerateEnd *end;
} ops_runner_generated;

typedef struct ops_runner_listener {
    void (*tell)(void *ctx, const Ops__V1__GenerateDelta *delta); /* in order, before `done` */
    void (*done)(void *ctx, const ops_runner_generated *result);  /* exactly once; the writing is gone then */
    bool (*behind)(void *ctx); /* much of what was told is not read yet: pieces are gathered. NULL: never */
    void *ctx;
} ops_runner_listener;

/* Queues a request (copied). It is read (template, token ids, grammar) by the thread "requests" and written by the
 * engine's; both call back, one after the other, under no lock. Without `stream` pieces are told together. Errors as
 * ops_runner_submit(). @thread any */
OPS_MUST_USE ops_status ops_runner_generate(ops_runner *r, unsigned line, const Ops__V1__GenerateTask *task,
                                            uint32_t deadline_ms, const ops_runner_listener *listener,
                                            ops_runner_writing **ret, ops_err *reterr);
/* As ops_runner_cancel(). @thread any */
void ops_runner_stop_writing(ops_runner_writing *w);

/* What became of sessions; `answer` is set when OPS_OK, borrowed for the call. OPS_EINVAL, OPS_ETOOBIG: such a task can never
 * be done, and why. */
typedef struct ops_runner_sequenced {
    ops_status status;
    const char *message;
    const Ops__V1__SequenceAnswer *answer;
    uint64_t tokens;
} ops_runner_sequenced;

/* Queues sessions to be learnt or scored (copied). The thread "sequences" has the lowest priority, and before each step it
 * waits up to 100 ms while the engine has something to do. `done` is called exactly once, from it, under no lock; then *ret
 * is gone. Errors as ops_runner_submit(). @thread any */
OPS_MUST_USE ops_status ops_runner_sequence_submit(ops_runner *r, const Ops__V1__SequenceTask *task,
                                                   uint32_t deadline_ms,
                                                   void (*done)(void *ctx,
                                                                const ops_runner_sequenced *result),
                                                   void *ctx, ops_runner_sequence **ret, ops_err *reterr);
/* It ends with OPS_ECANCELLED within a step. As ops_runner_cancel(). @thread any */
void ops_runner_sequence_cancel(ops_runner *r, ops_runner_sequence *t);

#endif
