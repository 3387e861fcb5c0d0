/* Sessions on their way to workers and back: what owners say is wanted becomes tasks of the dispatch, and what workers say
 * becomes answers to owners.
 *
 * One training and one scoring are under way at a time. What is to be scored meanwhile gathers, and goes as one task of
 * several groups. A group names its trained model by hash; a worker that has it not says so, and the group goes once more with
 * the model. Whatever happens, each thing that was taken is answered once: with what a worker said, or that nobody could.
 * Never blocks; has no thread of its own. */
#ifndef OPS_COORDINATOR_LEARNER_H
#define OPS_COORDINATOR_LEARNER_H

#include "coordinator/analysis/pipeline/pipeline.h"
#include "coordinator/dispatch/dispatch.h"

enum {
    OPS_LEARNER_WAITING_MAX = 64, /* things to be learnt or scored that no worker has yet */
    OPS_LEARNER_WAITING_BYTES_MAX = 32 << 20,
    OPS_LEARNER_GROUPS_MAX = 32, /* of one task */
    OPS_LEARNER_TASK_BYTES_MAX = 3 << 20,
};

typedef struct ops_learner ops_learner;

typedef struct ops_learner_conf {
    ops_dispatch *dispatch; /* borrowed */
    /* NULL: nobody could. Borrowed for the call. @thread the dispatch's, or whoever called ops_learner_want() */
    void (*answer)(void *u, uint32_t part, uint64_t stream, uint64_t ticket, const ops_session_answer *a);
    void *u;
} ops_learner_conf;

typedef struct ops_learner_stats {
    uint64_t trainings, trained,
        failed;           /* trainings asked for; of those, models that came; anything that nobody could */
    uint64_t scored;      /* sessions */
    uint64_t refused;     /* groups and answers that did not fit what was asked */
    uint64_t models_sent; /* to workers that had them not */
    size_t waiting;
} ops_learner_stats;

OPS_MUST_USE ops_status ops_learner_new(const ops_learner_conf *conf, ops_learner **ret, ops_err *reterr);
/* Answers nobody any more; what waits is dropped. Before ops_dispatch_free(). @thread any */
void ops_learner_stop(ops_learner *l);
void ops_learner_free(ops_learner *l); /* after it */
OPS_AUTO_DEFINE(ops_learner, ops_learner_free)

/* A worker takes sessions, and there is room for more of them. @thread any */
bool ops_learner_can(ops_learner *l);
/* Copies. False: not taken, and not answered: full, stopping, or out of memory. @thread any */
bool ops_learner_want(ops_learner *l, uint32_t part, const ops_pipeline_work *w);
void ops_learner_stats_get(ops_learner *l, ops_learner_stats *ret);

#endif
