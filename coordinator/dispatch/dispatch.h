/* Which task goes to which attached worker, and what becomes of it when the worker vanishes.
 *
 * One owner thread holds all state (the rules are in desk.h, which has no thread and no clock); the functions here post to
 * it. A task has an id, a deadline and at most two attempts. Its `done` is called exactly once, from the owner thread.
 * Workers are reached through a port of callbacks, called from the owner thread only, never under a lock. */
#ifndef OPS_COORDINATOR_DISPATCH_H
#define OPS_COORDINATOR_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/time/clock.h"

enum {
    OPS_DISPATCH_TEXTS_MAX = 256, /* of one task */
    OPS_DISPATCH_TEXT_BYTES_MAX = 64 * 1024,
    OPS_DISPATCH_PAYLOAD_MAX = 4 << 20,
    OPS_DISPATCH_DELTA_MAX = 1 << 20,
    OPS_DISPATCH_END_MAX = 4096,         /* of a GENERATE */
    OPS_DISPATCH_SCORED_MAX = 8 << 20,   /* of a RERANK or CLASSIFY */
    OPS_DISPATCH_SEQUENCE_MAX = 2 << 20, /* of an answer to a SEQUENCE */
    OPS_DISPATCH_KEY_MAX = 256,
    OPS_DISPATCH_WORKERS_MAX = 256,
    OPS_DISPATCH_MODELS_MAX = 8,
    OPS_DISPATCH_ERRANDS_MAX = 64, /* under way */
    OPS_DISPATCH_PATH_MAX = 4096,
    OPS_DISPATCH_NAME_MAX = 128,
    OPS_DISPATCH_ATTEMPTS_MAX = 2,
    OPS_DISPATCH_REFUSALS_MAX = 8, /* "not now" answers to one task before it fails */
};

typedef enum ops_dispatch_class { /* as WorkClass of ops/v1/worker.proto */
                                  OPS_DISPATCH_ANY =
                                      0, /* a worker only: serves every class, the interactive first */
                                  OPS_DISPATCH_INTERACTIVE,
                                  OPS_DISPATCH_TRIAGE,
                                  OPS_DISPATCH_BULK,
                                  OPS_DISPATCH_CLASS_COUNT
} ops_dispatch_class;

/* SEQUENCE: sessions to be learnt or scored; of class BULK only, and after everything else in it (the last job is). */
typedef enum ops_dispatch_job {
    OPS_DISPATCH_EMBED,
    OPS_DISPATCH_GENERATE,
    OPS_DISPATCH_RERANK,
    OPS_DISPATCH_CLASSIFY,
    OPS_DISPATCH_SEQUENCE,
    OPS_DISPATCH_JOB_COUNT
} ops_dispatch_job;

/* What became of a task. Vectors: `rows` (as many as the task had texts) times `dim` floats, borrowed for the call. */
typedef struct ops_dispatch_result {
    uint64_t task_id;
    ops_status
        status; /* OPS_OK; OPS_ETIMEOUT: deadline; OPS_EINVAL: the worker says this input cannot be done, OPS_ECONTEXT:
                          for it has more tokens than the model's context holds;
                          OPS_EINTERNAL: poison, it was lost with two workers; OPS_EUNAVAILABLE: refused too often, or lost
                          with its worker after a delta; OPS_ECANCELLED: nobody waits, or the dispatch stops */
    const char *message; /* why not, "" when OK */
    const float *vectors;
    size_t rows, dim;
    uint32_t tokens;                  /* that the worker computed for it, as it says */
    uint32_t attempts;                /* sent to a worker so often */
    const char *model, *content_hash; /* what made the vectors */
    ops_slice
        end; /* of a generation: a packed ops.v1.GenerateEnd; of RERANK and CLASSIFY a packed ops.v1.ScoreEnd */
    ops_slice sequence; /* of a SEQUENCE: a packed ops.v1.SequenceAnswer, whose numbers nobody checked */
} ops_dispatch_result;

typedef struct ops_dispatch_task {
    ops_dispatch_class work_class; /* not ANY */
    ops_slice key;                 /* of the stream: tasks of one key tend to one worker */
    ops_slice model;               /* empty: any that does the job */
    const ops_slice *texts;        /* copied; of an EMBED */
    size_t text_count;
    ops_dispatch_job job;
    ops_slice
        payload; /* copied; of a GENERATE: a packed ops.v1.GenerateTask, of RERANK and CLASSIFY a packed ops.v1.ScoreTask, of a
                    SEQUENCE a SequenceTask; at most OPS_DISPATCH_PAYLOAD_MAX */
    /* GENERATE, may be NULL: a packed ops.v1.GenerateDelta, borrowed for the call. In order, before `done`. A task of which a
     * delta was told is not tried again: lost with its worker, it is done with OPS_EUNAVAILABLE. @thread owner */
    void (*delta)(void *ctx, ops_slice delta);
    uint32_t
        tokens; /* what it costs, an estimate; 0: a quarter of its bytes and two a text, or 256 for an answer; 64 for a SEQUENCE */
    uint32_t deadline_ms; /* 0: the default of the conf */
    void (*done)(void *ctx, const ops_dispatch_result *result);
    void *ctx;
} ops_dispatch_task;

/* How a model that generates is doing, as its worker said last. */
typedef struct ops_dispatch_use {
    uint32_t running, waiting, blocks, blocks_used, blocks_cached;    /* now */
    uint32_t window_blocks, window_blocks_used, window_blocks_cached; /* of layers with a window, beside */
    uint64_t done, cancelled, prompt_tokens, cached_tokens, completion_tokens,
        preempted; /* since it was loaded */
} ops_dispatch_use;

typedef struct ops_dispatch_model {
    char name[OPS_DISPATCH_NAME_MAX];
    char content_hash[65];
    char job[16];             /* "embed", "generate", "rerank", "classify" */
    uint32_t dim, tokens_max; /* dim 0: makes no vectors */
    ops_dispatch_use use;
} ops_dispatch_model;

/* What goes to a worker; everything borrowed for the call. */
typedef struct ops_dispatch_order {
    uint64_t task_id;
    uint32_t attempt, deadline_ms, tokens;
    ops_slice model;
    const ops_slice *texts;
    size_t text_count;
    ops_dispatch_job job;
    ops_slice payload;
} ops_dispatch_order;

/* A model to be loaded or unloaded. Strings are copied. */
typedef struct ops_dispatch_errand {
    const char *worker_id;
    bool unload;
    const char *path;     /* load: as LoadModel of ops/v1/worker.proto has it */
    const char *name;     /* unload: which; load: "" for one from the path */
    uint32_t deadline_ms; /* 0: ten minutes */
    /* Once. OPS_OK; OPS_ENOTFOUND: no such worker, or as the worker says; OPS_EUNAVAILABLE: it went; OPS_ETIMEOUT; OPS_ECANCELLED:
     * the dispatch stops; others as the worker says. @thread owner */
    void (*done)(void *ctx, ops_status st, const char *message);
    void *ctx;
} ops_dispatch_errand;

/* How one attached worker is reached. Owner thread, never under a lock, and none of them may block.
 * `end` comes last and exactly once per accepted attach, also when ops_dispatch_detach() asked for it: after it the
 * dispatch never uses the port again. */
typedef struct ops_dispatch_port {
    /* OPS_OK: on its way. OPS_EAGAIN: its way is full, later perhaps. Anything else: the worker is gone. */
    ops_status (*send)(void *ctx, const ops_dispatch_order *order);
    void (*cancel)(void *ctx, uint64_t task_id);
    void (*drain)(void *ctx, const char *reason); /* an operator wants it to stop taking tasks */
    void (*end)(void *ctx, ops_status why, const char *message);
    void *ctx;
    /* As `send`. NULL: this worker's models stay as they are. */
    ops_status (*errand)(void *ctx, uint64_t id, const ops_dispatch_errand *errand);
} ops_dispatch_port;

typedef struct ops_dispatch_hello {
    char worker_id[OPS_DISPATCH_NAME_MAX];
    char address[OPS_DISPATCH_NAME_MAX]; /* where it came from; "local" in the same process */
    ops_dispatch_class work_class;
    ops_dispatch_model models[OPS_DISPATCH_MODELS_MAX];
    size_t model_count;
    uint32_t credits; /* tokens it takes at first */
    bool sequences;   /* it takes SEQUENCE tasks */
} ops_dispatch_hello;

typedef enum ops_dispatch_outcome { /* as TaskOutcome of ops/v1/worker.proto */
                                    OPS_DISPATCH_DONE = 1,
                                    OPS_DISPATCH_FAILED,
                                    OPS_DISPATCH_REFUSED
} ops_dispatch_outcome;

typedef struct ops_dispatch_answer {
    uint64_t task_id;
    ops_dispatch_outcome outcome;
    const char *message;
    const float *vectors; /* copied */
    size_t rows, dim;
    uint32_t tokens;
    uint32_t tokens_in, tokens_cached, tokens_out; /* for the counts */
    ops_slice end;                                 /* copied; of GENERATE, RERANK and CLASSIFY */
    bool scored;                                   /* `end` is a ScoreEnd */
    bool context_exceeded;                         /* FAILED: and why */
    ops_slice sequence;                            /* copied; of a SEQUENCE */
} ops_dispatch_answer;

/* A task given up for good, for the dead-letter queue; borrowed for the call. Comes just before its `done`. */
typedef struct ops_dispatch_dead {
    uint64_t task_id;
    ops_slice key;
    const ops_slice *texts;
    size_t text_count;
    const char *reason; /* "poison", "failed" or "refused" */
    const char *detail;
} ops_dispatch_dead;

typedef struct ops_dispatch_conf {
    size_t queue_max;             /* tasks accepted and not done; 0: 4096 */
    size_t queue_bytes_max;       /* of their texts; 0: 64 MiB */
    uint32_t deadline_default_ms; /* 0: 60,000 */
    uint32_t heartbeat_ms;        /* how often a worker shall send one; 0: 2,000 */
    uint32_t lost_after_ms;       /* silence after which it is lost; 0: three heartbeats and a half */
    void (*dead)(void *ctx, const ops_dispatch_dead *dead); /* may be NULL. @thread owner */
    void *dead_ctx;
    ops_clock *clock; /* NULL: the system's */
} ops_dispatch_conf;

typedef struct ops_dispatch ops_dispatch;

/* Starts the owner thread "dispatch". OPS_ENOMEM, OPS_EAGAIN. */
OPS_MUST_USE ops_status ops_dispatch_new(const ops_dispatch_conf *conf, ops_dispatch **ret, ops_err *reterr);
/* Takes no more tasks; every open one is done with OPS_ECANCELLED, every attachment ended. Joins; then nothing is called
 * any more. Nobody may call in afterwards. NULL is fine. @thread any but the owner's */
void ops_dispatch_free(ops_dispatch *d);
OPS_AUTO_DEFINE(ops_dispatch, ops_dispatch_free)

/* Takes a task. OPS_EAGAIN: full (tasks or bytes), with the numbers; OPS_ETOOBIG, OPS_EINVAL: no such task can be taken;
 * OPS_ECANCELLED: stopping; OPS_ENOMEM. Only after OPS_OK will `done` be called, perhaps before this returns.
 * With no worker attached a task waits for its deadline. @thread any */
OPS_MUST_USE ops_status ops_dispatch_submit(ops_dispatch *d, const ops_dispatch_task *task, uint64_t *ret_id,
                                            ops_err *reterr);

/* Nobody waits for it any more: its worker stops, `done` comes soon with OPS_ECANCELLED (or with what was already on its way).
 * An unknown or finished task is ignored. Never lost, as long as only tasks that were submitted are named. @thread any */
void ops_dispatch_cancel(ops_dispatch *d, uint64_t task_id);

/* A worker said hello. One worker id has at most one attachment per class: a second takes the place of the first, which
 * counts as lost unless it was draining. OPS_EAGAIN: OPS_DISPATCH_WORKERS_MAX are there; OPS_EINVAL names the
 * field; OPS_ECANCELLED: stopping. @thread any */
OPS_MUST_USE ops_status ops_dispatch_attach(ops_dispatch *d, const ops_dispatch_hello *hello,
                                            const ops_dispatch_port *port, uint64_t *ret_attachment,
                                            ops_err *reterr);
/* The way to the worker ended. Its tasks are retried, without blame when it was draining. `end` follows. An unknown
 * attachment is ignored, here and below. @thread any */
void ops_dispatch_detach(ops_dispatch *d, uint64_t attachment, const char *reason);
/* Any sign of life. @thread any */
void ops_dispatch_heartbeat(ops_dispatch *d, uint64_t attachment, uint32_t tasks_running);
void ops_dispatch_credits(ops_dispatch *d, uint64_t attachment, uint32_t tokens);
void ops_dispatch_draining(ops_dispatch *d, uint64_t attachment, const char *reason);
/* OPS_EAGAIN: the owner is behind by its whole mailbox; OPS_ENOMEM: the answer could not be copied. Either way the
 * caller ends the stream and the task is retried. @thread any */
OPS_MUST_USE ops_status ops_dispatch_answered(ops_dispatch *d, uint64_t attachment,
                                              const ops_dispatch_answer *answer, ops_err *reterr);

/* A piece of a generation; copied. Errors as ops_dispatch_answered(). @thread any */
OPS_MUST_USE ops_status ops_dispatch_delta(ops_dispatch *d, uint64_t attachment, uint64_t task_id,
                                           ops_slice delta, ops_err *reterr);

/* What the worker has now takes the place of what its hello said. OPS_EINVAL names the model; else as ops_dispatch_answered().
 * @thread any */
OPS_MUST_USE ops_status ops_dispatch_models(ops_dispatch *d, uint64_t attachment,
                                            const ops_dispatch_model *models, size_t n, ops_err *reterr);
/* What became of an errand; an unknown one is ignored. As ops_dispatch_answered(). @thread any */
OPS_MUST_USE ops_status ops_dispatch_errand_answered(ops_dispatch *d, uint64_t attachment, uint64_t id,
                                                     ops_status st, const char *message, ops_err *reterr);
/* OPS_EINVAL, OPS_EAGAIN: too many under way; OPS_ECANCELLED: stopping; OPS_ENOMEM. Only after OPS_OK will `done` be
 * called, perhaps before this returns. @thread any */
OPS_MUST_USE ops_status ops_dispatch_run_errand(ops_dispatch *d, const ops_dispatch_errand *errand,
                                                ops_err *reterr);

/* Asks every attachment of this worker to drain. OPS_ENOTFOUND. @thread any */
OPS_MUST_USE ops_status ops_dispatch_drain(ops_dispatch *d, const char *worker_id, const char *reason,
                                           ops_err *reterr);

typedef struct ops_dispatch_worker {
    char worker_id[OPS_DISPATCH_NAME_MAX], address[OPS_DISPATCH_NAME_MAX];
    ops_dispatch_model models[OPS_DISPATCH_MODELS_MAX];
    size_t model_count;
    ops_dispatch_class work_class;
    bool draining;
    uint32_t tasks_running;
    uint64_t tasks_done, tasks_failed;
    uint32_t credits; /* tokens it would take now */
    int64_t attached_unix_ns, heartbeat_unix_ns;
} ops_dispatch_worker;

typedef struct ops_dispatch_counts {
    size_t workers, with_models, queued, running; /* with_models: of the workers, those that have any */
    size_t with_sequences;                        /* those that take SEQUENCE tasks now */
    uint64_t submitted, done, failed, expired, poisoned, cancelled, retried, refused, workers_lost,
        late_answers;
    uint64_t tokens_in, tokens_cached,
        tokens_out; /* of tasks that were done: read (those found in a cache with them), found
                                                      in a cache, written */
} ops_dispatch_counts;

/* Copies up to `cap` attachments in order of attaching and returns how many there are. A snapshot of the owner's last
 * step. @thread any */
size_t ops_dispatch_workers(ops_dispatch *d, ops_dispatch_worker *ret, size_t cap);
ops_dispatch_counts
ops_dispatch_counts_get(ops_dispatch *d); /* none with models: "statistics only". @thread any */
uint32_t ops_dispatch_heartbeat_ms(const ops_dispatch *d);

#endif
