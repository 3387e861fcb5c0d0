/* Which block of the cache of keys and values is whose, of the layers that look at everything. Blocks are counted, not looked into: a sequence takes them one by one,
 * several may hold one that none of them writes any more, and a full block that nobody holds is kept for whoever begins
 * the same way, until the room is needed (least recently held first).
 *
 * A full block is known by its tokens and by the block before it, all the way to the start and its salt: equal keys mean
 * equal contents, since keys and values of a position depend on nothing but the tokens up to it. Tokens are compared, not
 * only hashed; salts are 128 bits of a keyed hash. Idea: Kwon et al. 2023 (arXiv:2309.06180), section 4.
 * All memory is taken when it is made. @thread one at a time */
#ifndef OPS_WORKER_KV_POOL_H
#define OPS_WORKER_KV_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "worker/engine/kv_window.h"

enum { OPS_KV_BLOCKS_MAX = 1 << 24 };

typedef struct ops_kv_pool ops_kv_pool;

/* What stands before a block: a salt, or a block that is full and known. */
typedef struct ops_kv_before {
    uint64_t a, b;
} ops_kv_before;

/* `window`: borrowed, told of every block that is given up; NULL: all layers lie in the pool's. OPS_EINVAL, OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_kv_pool_new(int blocks, int block_tokens, ops_kv_window *window,
                                        ops_kv_pool **ret, ops_err *reterr);
void ops_kv_pool_free(ops_kv_pool *p);
OPS_AUTO_DEFINE(ops_kv_pool, ops_kv_pool_free)

/* `key`: secret of the process, so that nobody outside can find two salts that look the same. */
ops_kv_before ops_kv_start(ops_slice salt, const uint64_t key[2]);

/* The block that holds these tokens after `before`, held once more; *before is then what the next one comes after. -1: none
 * is known. ids: [block_tokens]. */
int32_t ops_kv_pool_find(ops_kv_pool *p, ops_kv_before *before, const int32_t *ids);
/* An empty block, held once; -1: every block is held. */
int32_t ops_kv_pool_take(ops_kv_pool *p);
/* The block is full of these tokens and will not be written again: from now on it can be found. Where an equal one is known
 * already that one is returned, held, and `block` is let go; else `block`. *before moves on. */
int32_t ops_kv_pool_seal(ops_kv_pool *p, int32_t block, ops_kv_before *before, const int32_t *ids);
/* One holder less. To keep the starts of sequences longest, let go of a sequence's blocks last one first. */
void ops_kv_pool_release(ops_kv_pool *p, int32_t block);

/* What comes after a block that is held and known. */
ops_kv_before ops_kv_pool_after(const ops_kv_pool *p, int32_t block);

int ops_kv_pool_available(const ops_kv_pool *p); /* that ops_kv_pool_take() could give */
int ops_kv_pool_known(const ops_kv_pool *p);     /* of them, full ones that can still be found */
int ops_kv_pool_blocks(const ops_kv_pool *p);
int ops_kv_pool_block_tokens(const ops_kv_pool *p);

#endif
