#include "worker/engine/kv_share.h"

#include "worker/engine/kv_pool.h"

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t within(uint64_t v, uint64_t low, uint64_t high)
{
    return v < low ? low : least(v, high);
}

/* Blocks that so many bytes make. */
static uint64_t blocks_of(uint64_t bytes, uint64_t each)
{
    return each > 0 ? bytes / each : OPS_KV_BLOCKS_MAX;
}

static uint64_t left(uint64_t bytes, uint64_t blocks, uint64_t each)
{
    return bytes > blocks * each ? bytes - blocks * each : 0;
}

/* Of the window; `needs` of it go with the `one` blocks of a context, `step` with the tokens of a step. */
static uint64_t for_window(const ops_kv_ask *a, uint64_t one, uint64_t needs, uint64_t step)
{
    const uint64_t half = blocks_of(a->bytes / 2, a->window_bytes);
    const uint64_t context = one * a->block_bytes + needs * a->window_bytes;
    const uint64_t bytes = left(a->bytes, step, a->window_bytes);
    const uint64_t even = bytes / context * needs + bytes % context * needs / context + step;
    return least(half > even ? half : even, blocks_of(a->bytes, a->block_bytes + a->window_bytes));
}

ops_kv_counts ops_kv_share(const ops_kv_ask *a)
{
    const uint64_t block = (uint64_t)a->block, seqs = (uint64_t)a->seqs, max = OPS_KV_BLOCKS_MAX;
    const uint64_t one = ((uint64_t)a->positions + block - 1) / block, most = least(one * seqs, max);
    const uint64_t needs = (uint64_t)ops_kv_window_needs(a->window, a->block);
    const uint64_t step = ((uint64_t)a->step_tokens + block - 1) / block;
    if (a->window == 0 || needs >= one || a->window_bytes == 0) {
        const uint64_t all = a->block_bytes + (a->window > 0 ? a->window_bytes : 0);
        return (ops_kv_counts){(int)within(blocks_of(a->bytes, all), least(one, max), most), 0};
    }
    const uint64_t window_least = least(least(needs + step, one), max);
    const uint64_t window_most = least(least(needs * seqs + step, one * seqs), max);
    uint64_t window = within(for_window(a, one, needs, step), window_least, window_most);
    const uint64_t blocks =
        within(blocks_of(left(a->bytes, window, a->window_bytes), a->block_bytes), least(one, max), most);
    const uint64_t rest = blocks_of(left(a->bytes, blocks, a->block_bytes), a->window_bytes);
    window = within(least(rest, blocks), window_least, window_most);
    return (ops_kv_counts){(int)blocks, (int)window};
}
