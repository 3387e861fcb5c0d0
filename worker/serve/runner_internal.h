#ifndef OPS_WORKER_RUNNER_INTERNAL_H
#define OPS_WORKER_RUNNER_INTERNAL_H

#include <pthread.h>

#include "base/sched/mailbox.h"
#include "base/sched/thread.h"
#include "worker/serve/runner.h"

/* A model. Engine or writer, never both. */
typedef struct runner_slot {
    ops_runner *r;
    char name[OPS_ENGINE_NAME_MAX];
    ops_engine *engine;
    ops_writer *writer;
    uint64_t order;     /* in which it was added */
    bool used, leaving; /* leaving: takes nothing new; the engine's thread frees it when nobody holds it */
    bool busy;          /* the writer has something to do */
    size_t holds;       /* requests that were not handed to the writer yet */
} runner_slot;

typedef struct runner_line {
    ops_runner_job *head, **tail;
    unsigned passed; /* so often another line was taken while this one had work */
} runner_line;

typedef struct runner_requests {
    ops_runner_writing *head, **tail;
} runner_requests;

struct ops_runner {
    ops_clock *clock;
    ops_thread *engine_thread, *request_thread, *sequence_thread;
    size_t jobs_max;
    unsigned turn; /* the engine's: which writer begins */
    pthread_mutex_t lock;
    pthread_cond_t work, requested, sequenced, left; /* left: a slot was freed */
    runner_slot slots[OPS_RUNNER_MODELS_MAX];
    uint64_t added;
    runner_line lines[OPS_RUNNER_CLASSES];
    size_t jobs;
    runner_requests requests[OPS_RUNNER_CLASSES];
    size_t request_count, request_bytes;
    ops_runner_sequence *sequences; /* that wait */
    size_t sequence_count;
    bool engine_works; /* it is in a round */
    bool stopping, loads_end;
    ops_runner_opener opener; /* no function: none */
    ops_mailbox *loads;
    ops_thread *load_thread;
    pthread_mutex_t watch_lock; /* held while watchers are called; taken before `lock` */
    struct runner_watcher {
        void (*changed)(void *ctx);
        void *ctx;
    } watchers[OPS_RUNNER_WATCHERS_MAX];
    size_t watcher_count;
};

/* runner.c. With the lock held: the model of that name (empty: the first) that does this and takes work, else NULL. */
runner_slot *runner_find(ops_runner *r, ops_slice name, ops_runner_does does);

/* With the lock held: the engine's thread has something to do. */
bool runner_engine_waits(const ops_runner *r);

/* runner_embed.c, all on the engine's thread. */
bool runner_embed_waits(const ops_runner *r); /* with the lock held */
/* Computes pieces of the first `lines` lines, about `tokens` of them or one text; what it computed. */
uint64_t runner_embed(ops_runner *r, unsigned lines, uint64_t tokens);
/* Ends every job of the slot (NULL: of all). */
void runner_embed_drop(ops_runner *r, const runner_slot *slot);

/* runner_load.c: ends what waits, after what is under way. */
void runner_end_loads(ops_runner *r);

/* runner_sequence.c */
void runner_sequences(void *runner); /* the thread "sequences" */

/* runner_write.c */
void runner_read_requests(void *runner); /* the thread "requests" */

#endif
