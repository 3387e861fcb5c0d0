/* One thing to be learnt or scored, and what a worker says of it. Inside the room only. */
#ifndef OPS_COORDINATOR_LEARN_THING_H
#define OPS_COORDINATOR_LEARN_THING_H

#include "coordinator/learn/learner.h"
#include "proto/ops/v1/worker.pb-c.h"

typedef struct thing {
    struct thing *next;
    uint32_t part;
    uint64_t stream, ticket, seed;
    bool train, with_model; /* with_model: a worker asked for it */
    uint32_t kinds;
    uint32_t *ids, *lengths;
    size_t id_n, n;
    double allowance;
    char hash[OPS_SESSION_HASH_MAX];
    ops_slice model;
    size_t bytes;
} thing;

/* In one block, for ops_free(). NULL without memory, or when it is larger than a session watch makes any. */
thing *learn_thing_new(uint32_t part, const ops_pipeline_work *w);
/* The task of one training, or of n scorings, packed; empty without memory. The caller frees .p. */
ops_slice learn_pack(thing *const *all, size_t n);

/* A worker's word on one thing: *ret points into `m` and, for scores, into `scores`, which has room for t->n. False: it is
 * no answer to it. */
bool learn_trained(const Ops__V1__SequenceTrained *m, ops_session_answer *ret);
bool learn_scored(const thing *t, const Ops__V1__SequenceScored *m, ops_session_surprise *scores,
                  ops_session_answer *ret);

#endif
