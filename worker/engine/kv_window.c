/* Every block is in exactly one place: held (refs > 0), in the list of kept ones (companions, refs 0) or in the list of empty
 * ones. Companions and blocks of the pool know each other both ways. */
#include "worker/engine/kv_window.h"

#include <string.h>

#include "base/mem/alloc.h"
#include "worker/engine/kv_list_internal.h"
#include "worker/engine/kv_pool.h"

struct ops_kv_window {
    kv_link *links;
    int32_t *refs;
    int32_t *of;        /* [blocks]: the block of the pool whose companion it is */
    int32_t *companion; /* [pool's blocks] */
    int blocks;
    kv_list kept, empty;
};

ops_status ops_kv_window_new(int blocks, int pool_blocks, ops_kv_window **ret, ops_err *reterr)
{
    if (blocks < 1 || blocks > OPS_KV_BLOCKS_MAX || pool_blocks < 1 || pool_blocks > OPS_KV_BLOCKS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "a window's cache of %d blocks beside %d", blocks, pool_blocks);
    OPS_AUTO(ops_kv_window_free) ops_kv_window *w = ops_calloc(1, sizeof *w);
    if (w == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a window's cache of %d blocks", blocks);
    w->blocks = blocks;
    w->kept = w->empty = (kv_list){KV_NONE, KV_NONE, 0};
    w->links = ops_calloc((size_t)blocks, sizeof *w->links);
    w->refs = ops_calloc((size_t)blocks, sizeof *w->refs);
    w->of = ops_malloc((size_t)blocks * sizeof *w->of);
    w->companion = ops_malloc((size_t)pool_blocks * sizeof *w->companion);
    if (w->links == NULL || w->refs == NULL || w->of == NULL || w->companion == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a window's cache of %d blocks", blocks);
    memset(w->of, 0xff, (size_t)blocks * sizeof *w->of);
    memset(w->companion, 0xff, (size_t)pool_blocks * sizeof *w->companion);
    for (int32_t i = 0; i < blocks; i++)
        kv_list_put_last(&w->empty, w->links, i);
    *ret = OPS_STEAL(w);
    return OPS_OK;
}

void ops_kv_window_free(ops_kv_window *w)
{
    if (w == NULL)
        return;
    ops_free(w->links);
    ops_free(w->refs);
    ops_free(w->of);
    ops_free(w->companion);
    ops_free(w);
}

static void unlink_both(ops_kv_window *w, int32_t mine)
{
    w->companion[w->of[mine]] = KV_NONE;
    w->of[mine] = KV_NONE;
}

int32_t ops_kv_window_take(ops_kv_window *w)
{
    int32_t mine = w->empty.first;
    if (mine != KV_NONE)
        kv_list_cut(&w->empty, w->links, mine);
    else if ((mine = w->kept.first) != KV_NONE) {
        kv_list_cut(&w->kept, w->links, mine);
        unlink_both(w, mine);
    } else
        return KV_NONE;
    w->refs[mine] = 1;
    return mine;
}

int32_t ops_kv_window_find(ops_kv_window *w, int32_t block)
{
    const int32_t mine = w->companion[block];
    if (mine != KV_NONE && w->refs[mine]++ == 0)
        kv_list_cut(&w->kept, w->links, mine);
    return mine;
}

int32_t ops_kv_window_join(ops_kv_window *w, int32_t block, int32_t mine)
{
    const int32_t known = ops_kv_window_find(w, block);
    if (known != KV_NONE) {
        ops_kv_window_release(w, mine);
        return known;
    }
    w->companion[block] = mine;
    w->of[mine] = block;
    return mine;
}

bool ops_kv_window_has(const ops_kv_window *w, int32_t block)
{
    return w->companion[block] != KV_NONE;
}

void ops_kv_window_release(ops_kv_window *w, int32_t mine)
{
    if (--w->refs[mine] == 0)
        kv_list_put_last(w->of[mine] != KV_NONE ? &w->kept : &w->empty, w->links, mine);
}

void ops_kv_window_part(ops_kv_window *w, int32_t block)
{
    const int32_t mine = w->companion[block];
    if (mine == KV_NONE)
        return;
    unlink_both(w, mine);
    if (w->refs[mine] > 0) /* whoever holds it goes on with it */
        return;
    kv_list_cut(&w->kept, w->links, mine);
    kv_list_put_last(&w->empty, w->links, mine);
}

int ops_kv_window_available(const ops_kv_window *w)
{
    return w->empty.n + w->kept.n;
}

int ops_kv_window_known(const ops_kv_window *w)
{
    return w->kept.n;
}

int ops_kv_window_blocks(const ops_kv_window *w)
{
    return w->blocks;
}
