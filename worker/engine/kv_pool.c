/* Every block is in exactly one place: held (refs > 0), in the list of kept ones (known, refs 0) or in the list of empty
 * ones. Known blocks, held or kept, hang in chains of a table by the hash of their key. */
#include "worker/engine/kv_pool.h"

#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "worker/engine/kv_list_internal.h"

typedef struct kv_block {
    ops_kv_before before; /* its key, with its tokens; while known */
    uint64_t uid;         /* of its contents; 0: not known */
    int32_t refs;
    int32_t chain; /* the next of the same hash */
} kv_block;

struct ops_kv_pool {
    kv_block *v;
    kv_link *links; /* in the list of kept or of empty blocks */
    int32_t *ids;   /* [blocks][tokens] */
    int32_t *table;
    uint64_t mask; /* slots of the table, less one */
    int blocks, tokens;
    kv_list kept, empty;
    uint64_t uid;
    ops_kv_window *window; /* NULL: there is none */
};

ops_status ops_kv_pool_new(int blocks, int block_tokens, ops_kv_window *window, ops_kv_pool **ret,
                           ops_err *reterr)
{
    if (blocks < 1 || blocks > OPS_KV_BLOCKS_MAX || block_tokens < 1 || block_tokens > 1 << 16)
        return ops_fail(reterr, OPS_EINVAL, "a cache of %d blocks of %d tokens", blocks, block_tokens);
    OPS_AUTO(ops_kv_pool_free) ops_kv_pool *p = ops_calloc(1, sizeof *p);
    if (p == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a cache of %d blocks", blocks);
    p->blocks = blocks;
    p->tokens = block_tokens;
    p->window = window;
    p->kept = p->empty = (kv_list){KV_NONE, KV_NONE, 0};
    uint64_t slots = 16;
    while (slots < (uint64_t)blocks * 2)
        slots *= 2;
    p->mask = slots - 1;
    p->v = ops_calloc((size_t)blocks, sizeof *p->v);
    p->links = ops_calloc((size_t)blocks, sizeof *p->links);
    p->ids = ops_calloc((size_t)blocks, (size_t)block_tokens * sizeof *p->ids);
    p->table = ops_malloc(slots * sizeof *p->table);
    if (p->v == NULL || p->links == NULL || p->ids == NULL || p->table == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a cache of %d blocks", blocks);
    memset(p->table, 0xff, slots * sizeof *p->table);
    for (int32_t i = 0; i < blocks; i++)
        kv_list_put_last(&p->empty, p->links, i);
    *ret = OPS_STEAL(p);
    return OPS_OK;
}

void ops_kv_pool_free(ops_kv_pool *p)
{
    if (p == NULL)
        return;
    ops_free(p->v);
    ops_free(p->links);
    ops_free(p->ids);
    ops_free(p->table);
    ops_free(p);
}

ops_kv_before ops_kv_start(ops_slice salt, const uint64_t key[2])
{
    return (ops_kv_before){ops_hash64(salt.p, salt.n, key[0]), ops_hash64(salt.p, salt.n, key[1])};
}

static int32_t *slot_of(const ops_kv_pool *p, ops_kv_before before, const int32_t *ids)
{
    return &p->table[ops_hash64(ids, (size_t)p->tokens * sizeof *ids, before.a ^ ops_hash_mix(before.b)) &
                     p->mask];
}

static int32_t look_up(const ops_kv_pool *p, ops_kv_before before, const int32_t *ids)
{
    int32_t at = *slot_of(p, before, ids);
    while (at != KV_NONE &&
           (p->v[at].before.a != before.a || p->v[at].before.b != before.b ||
            memcmp(p->ids + (size_t)at * (size_t)p->tokens, ids, (size_t)p->tokens * sizeof *ids) != 0))
        at = p->v[at].chain;
    return at;
}

/* It can no longer be found. */
static void forget(ops_kv_pool *p, int32_t at)
{
    int32_t *from = slot_of(p, p->v[at].before, p->ids + (size_t)at * (size_t)p->tokens);
    while (*from != at)
        from = &p->v[*from].chain;
    *from = p->v[at].chain;
    p->v[at].uid = 0;
    if (p->window != NULL)
        ops_kv_window_part(p->window, at);
}

static void hold(ops_kv_pool *p, int32_t at)
{
    if (p->v[at].refs++ == 0)
        kv_list_cut(&p->kept, p->links, at);
}

int32_t ops_kv_pool_find(ops_kv_pool *p, ops_kv_before *before, const int32_t *ids)
{
    const int32_t at = look_up(p, *before, ids);
    if (at == KV_NONE)
        return KV_NONE;
    hold(p, at);
    *before = (ops_kv_before){p->v[at].uid, 0};
    return at;
}

int32_t ops_kv_pool_take(ops_kv_pool *p)
{
    int32_t at = p->empty.first;
    if (at != KV_NONE)
        kv_list_cut(&p->empty, p->links, at);
    else if ((at = p->kept.first) != KV_NONE) {
        kv_list_cut(&p->kept, p->links, at);
        forget(p, at);
    } else
        return KV_NONE;
    p->v[at].refs = 1;
    return at;
}

int32_t ops_kv_pool_seal(ops_kv_pool *p, int32_t block, ops_kv_before *before, const int32_t *ids)
{
    const int32_t known = look_up(p, *before, ids);
    if (known != KV_NONE) {
        hold(p, known);
        ops_kv_pool_release(p, block);
        *before = (ops_kv_before){p->v[known].uid, 0};
        return known;
    }
    int32_t *slot = slot_of(p, *before, ids);
    memcpy(p->ids + (size_t)block * (size_t)p->tokens, ids, (size_t)p->tokens * sizeof *ids);
    p->v[block].before = *before;
    p->v[block].uid = ++p->uid;
    p->v[block].chain = *slot;
    *slot = block;
    *before = (ops_kv_before){p->uid, 0};
    return block;
}

void ops_kv_pool_release(ops_kv_pool *p, int32_t block)
{
    if (--p->v[block].refs == 0)
        kv_list_put_last(p->v[block].uid != 0 ? &p->kept : &p->empty, p->links, block);
}

ops_kv_before ops_kv_pool_after(const ops_kv_pool *p, int32_t block)
{
    return (ops_kv_before){p->v[block].uid, 0};
}

int ops_kv_pool_available(const ops_kv_pool *p)
{
    return p->empty.n + p->kept.n;
}

int ops_kv_pool_known(const ops_kv_pool *p)
{
    return p->kept.n;
}

int ops_kv_pool_blocks(const ops_kv_pool *p)
{
    return p->blocks;
}

int ops_kv_pool_block_tokens(const ops_kv_pool *p)
{
    return p->tokens;
}
