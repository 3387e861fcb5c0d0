/* Which sequences get how many tokens of the next step, and which blocks. Pure: no clock, no device, no threads.
 *
 * A sequence is a row of known tokens of which the first `done` have their keys and values computed. All the same whether
 * they are a prompt's or an answer's: who lacks one token writes, who lacks more is reading. In a step
 *   1. everyone who writes gets that one token, and guesses behind it where there are any;
 *   2. what is left of the budget goes to those who read, in pieces that end where blocks end; at most `reading_tokens`
 *      while somebody writes, so that a long prompt does not stop answers under way;
 *   3. who waits comes in while there are places, and blocks for all it knows beside one for each who runs.
 * The order is by arrival in steps, a line further down counting as OPS_SCHEDULE_LINE_STEPS later: bulk yields, and does not
 * starve. Where blocks run out the last in this order lose theirs and begin again later (recompute); the first always can
 * go on, since no sequence is taken that could not run alone.
 *
 * Blocks that are known (kv_pool.h) are not computed again; the last token always is. A sequence whose next block another
 * one before it is just computing waits for that, so that what many begin with is computed once.
 *
 * Where layers look back over a window only, a sequence has blocks of theirs beside (kv_window.h), one for each of the
 * others, but holds no more of them than its next token, or the tokens of its turn, look at: those wholly before are let go as
 * what is known grows (guesses do not count), and their entry is -1. Known blocks are then found as far as the window before
 * their end is there too. A piece of a prompt is cut to the blocks that can be had, and takes nobody's place once it can
 * go on by a token. @thread one at a time */
#ifndef OPS_WORKER_SCHEDULE_H
#define OPS_WORKER_SCHEDULE_H

#include "worker/engine/kv_pool.h"

enum { OPS_SCHEDULE_SEQS_MAX = 4096, OPS_SCHEDULE_LINE_STEPS = 256 };

typedef struct ops_seq {
    /* The owner's: set before it is added; `n` and `drafts` may change between steps. */
    const int32_t *ids;  /* [n + drafts] */
    int n, drafts;       /* known tokens; guesses behind them */
    int32_t *blocks;     /* room for all it may ever need */
    int32_t *windows;    /* as many; NULL where there is no window */
    ops_kv_before start; /* of its salt */
    unsigned line;
    void *owner;
    /* The schedule's, for the owner to read. */
    int done, cached; /* computed; of them, found rather than computed when it came in first */
    int n_blocks, n_sealed;
    int window_from; /* entries [window_from, n_blocks) of `windows` are blocks, those before are -1 */
    bool running, counted;
    uint64_t due, order;
    ops_kv_before tail; /* what block n_sealed comes after */
    struct ops_seq *prev, *next;
    uint64_t turn_step; /* the last step it had a turn in */
} ops_seq;

typedef struct ops_schedule_conf {
    int seqs_max;       /* that run at once */
    int reading_tokens; /* see above; 0: no bound but the budget */
    int window;         /* tokens that layers with a window see, their own included; 0: there are none */
} ops_schedule_conf;

/* Tokens [from, from + n) of a sequence, all but the guesses known; `outputs` logits are wanted, of the last ones. */
typedef struct ops_turn {
    ops_seq *seq;
    int from, n, outputs;
} ops_turn;

typedef struct ops_schedule ops_schedule;

/* Both are borrowed; `window` (NULL: conf->window is 0) is beside the pool and has ops_kv_window_needs() blocks at least, else
 * OPS_EINVAL. OPS_ENOMEM. Nothing is allocated afterwards. */
OPS_MUST_USE ops_status ops_schedule_new(ops_kv_pool *pool, ops_kv_window *window,
                                         const ops_schedule_conf *conf, ops_schedule **ret, ops_err *reterr);
void ops_schedule_free(ops_schedule *s); /* sequences are the owner's */
OPS_AUTO_DEFINE(ops_schedule, ops_schedule_free)

/* At least one token; all that it may ever have fit into the pool's blocks. */
void ops_schedule_add(ops_schedule *s, ops_seq *q);
/* Lets its blocks go. */
void ops_schedule_remove(ops_schedule *s, ops_seq *q);

/* At most `budget` tokens; ret: [seqs_max]. Returns how many turns; 0: nothing can be done, which only is when nobody runs or
 * waits, or budget is 0. */
int ops_schedule_step(ops_schedule *s, int budget, ops_turn *ret);
/* `n` tokens of the sequence's turn were computed and are known (guesses that turned out wrong are not): before the next
 * step, once for each turn. */
void ops_schedule_advance(ops_schedule *s, ops_seq *q, int n);

int ops_schedule_running(const ops_schedule *s);
int ops_schedule_waiting(const ops_schedule *s);
uint64_t ops_schedule_preempted(const ops_schedule *s); /* so often */

#endif
