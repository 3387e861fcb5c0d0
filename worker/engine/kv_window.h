/* Blocks of the layers that look back over a window only, beside those of the layers that look at everything (kv_pool.h). Both
 * cover the same stretch of positions, each in its own layers' caches, and are numbered each on its own.
 *
 * What a block of the window holds is known by a block of the pool: a full one may stay as the companion of the pool's block of
 * the same tokens, found by that and by nothing else. A companion that nobody holds is kept until the room is needed (least
 * recently held first) or the pool gives up its own block.
 * All memory is taken when it is made. @thread one at a time */
#ifndef OPS_WORKER_KV_WINDOW_H
#define OPS_WORKER_KV_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"

typedef struct ops_kv_window ops_kv_window;

/* `pool_blocks`: of the pool beside it. OPS_EINVAL, OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_kv_window_new(int blocks, int pool_blocks, ops_kv_window **ret, ops_err *reterr);
void ops_kv_window_free(ops_kv_window *w);
OPS_AUTO_DEFINE(ops_kv_window, ops_kv_window_free)

/* An empty block, held once; -1: every block is held. */
int32_t ops_kv_window_take(ops_kv_window *w);
/* `mine`, held by the caller and no companion yet, is full of the tokens that the pool's `block`, held and known, is of, and will
 * not be written again. Where that has a companion already, it is returned, held, and `mine` is let go; else `mine` is. */
int32_t ops_kv_window_join(ops_kv_window *w, int32_t block, int32_t mine);
/* The companion of the pool's block, held once more; -1: it has none. */
int32_t ops_kv_window_find(ops_kv_window *w, int32_t block);
bool ops_kv_window_has(const ops_kv_window *w, int32_t block);
/* One holder less. */
void ops_kv_window_release(ops_kv_window *w, int32_t mine);
/* The pool's block is what it was no more (the pool says so itself). */
void ops_kv_window_part(ops_kv_window *w, int32_t block);

int ops_kv_window_available(const ops_kv_window *w); /* that ops_kv_window_take() could give */
int ops_kv_window_known(const ops_kv_window *w);     /* of them, companions */
int ops_kv_window_blocks(const ops_kv_window *w);

/* Blocks that a sequence holds whose next token looks back over `window` positions, its own included, wherever in a block that
 * one lies: with less it could not go on. */
static inline int ops_kv_window_needs(int window, int block_tokens)
{
    return window < 2 ? 1 : (window - 2) / block_tokens + 2;
}

#endif
