/* The order of sequences (schedule.c) and the blocks that they hold (schedule_blocks.c). */
#ifndef OPS_WORKER_SCHEDULE_INTERNAL_H
#define OPS_WORKER_SCHEDULE_INTERNAL_H

#include "worker/engine/schedule.h"

typedef struct schedule_queue {
    ops_seq *first, *last;
    int n;
} schedule_queue;

struct ops_schedule {
    ops_kv_pool *pool;
    ops_kv_window *window; /* NULL: all layers look at everything */
    int window_needs;      /* blocks of it, for a sequence to go on by a token */
    ops_schedule_conf conf;
    schedule_queue running, waiting; /* each in order */
    uint64_t steps, orders, preempted;
    /* of the step that is being made */
    ops_turn *turns;
    int n_turns, left, reading_left;
};

static inline bool schedule_before(const ops_seq *a, const ops_seq *b)
{
    return a->due < b->due || (a->due == b->due && a->order < b->order);
}

/* It loses its blocks and its place. */
void schedule_preempt(ops_schedule *s, ops_seq *q);

/* All its blocks, of which nothing is computed then. */
void schedule_let_go(ops_schedule *s, ops_seq *q);
/* Blocks for its first `tokens` tokens, as far as they can be had, others giving way; tokens that those it has hold. */
int schedule_room(ops_schedule *s, ops_seq *q, int tokens);
/* Blocks that can be had with nobody giving way. */
int schedule_spare(const ops_schedule *s);
/* Are there blocks for all that it knows and the token that comes next, and `spare` more? */
bool schedule_has_room(const ops_schedule *s, const ops_seq *q, int spare);
/* The tokens of its next block, if that lies wholly in what it knows with a token to compute behind it; else NULL. */
const int32_t *schedule_next_block(const ops_schedule *s, const ops_seq *q);
/* Takes what is known of its next blocks. */
void schedule_find_known(ops_schedule *s, ops_seq *q);

#endif
