/* How many blocks the caches of keys and values have: of the layers that look at everything, and of those with a window. Pure. */
#ifndef OPS_WORKER_KV_SHARE_H
#define OPS_WORKER_KV_SHARE_H

#include <stdint.h>

typedef struct ops_kv_ask {
    int positions, block;  /* tokens of a context and of a block, >= 1 */
    int seqs, step_tokens; /* that run at once; of all of them, in a step; >= 1 */
    int window;            /* tokens; 0: no layer has one */
    uint64_t bytes;        /* of both caches */
    uint64_t block_bytes;  /* of the layers that look at everything; 0: there are none */
    uint64_t window_bytes; /* of the layers with a window, of a block */
} ops_kv_ask;

typedef struct ops_kv_counts {
    int blocks,
        window; /* window 0: layers with one lie in the others' blocks (it would save nothing), or there are none */
} ops_kv_counts;

/* A context has ceil(positions / block) blocks of the one and, of the window, what it holds between two steps
 * (ops_kv_window_needs()); what a step adds to that is needed once for all sequences. The least is one context with a step of its
 * own, whatever `bytes` says; the most is that for each of `seqs`. Between those the window has
 *   what all of `seqs` may need, but at most half of the bytes, and at most as many blocks as the other (a block of the window
 *   without one of the other is of no use);
 *   where that is more, what as many contexts need as both together have room for;
 *   what the other has no use for.
 * Half, since which of the two a text uses up depends on its length: whatever lengths come, they have at least half the room that
 * caches made for just those would give. At most OPS_KV_BLOCKS_MAX each. */
ops_kv_counts ops_kv_share(const ops_kv_ask *ask);

#endif
