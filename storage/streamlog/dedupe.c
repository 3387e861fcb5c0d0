/* A map for look-up and a ring for age; entries sit in one array, reused in order. */
#include "base/coll/map.h"
#include "base/mem/alloc.h"
#include "storage/streamlog/dedupe_internal.h"

struct item {
    uint8_t key[4 + OPS_STREAMLOG_DEDUPE_BYTES];
    int64_t recv_ns;
    uint64_t offset;
    bool used;
};

struct ops_dedupe {
    ops_map *map; /* key -> index + 1 */
    struct item *items;
    size_t cap, grown, next;
};

ops_dedupe *ops_dedupe_new(size_t keys_max)
{
    ops_dedupe *d = ops_calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    d->cap = keys_max > 0 ? keys_max : 1;
    d->map = ops_map_new();
    if (d->map == NULL) {
        ops_free(d);
        return NULL;
    }
    return d;
}

void ops_dedupe_free(ops_dedupe *d)
{
    if (d == NULL)
        return;
    ops_map_free(d->map);
    ops_free(d->items);
    ops_free(d);
}

static void make_key(uint8_t out[4 + OPS_STREAMLOG_DEDUPE_BYTES], uint32_t part, const uint8_t *key)
{
    memcpy(out, &part, 4);
    memcpy(out + 4, key, OPS_STREAMLOG_DEDUPE_BYTES);
}

bool ops_dedupe_find(const ops_dedupe *d, uint32_t part, const uint8_t *key, int64_t not_before_ns,
                     uint64_t *ret_offset)
{
    uint8_t k[4 + OPS_STREAMLOG_DEDUPE_BYTES];
    make_key(k, part, key);
    size_t at = (size_t)(uintptr_t)ops_map_get(d->map, ops_slice_of(k, sizeof k));
    if (at == 0 || d->items[at - 1].recv_ns < not_before_ns)
        return false;
    *ret_offset = d->items[at - 1].offset;
    return true;
}

/* The array grows with use up to the cap, so that an idle log does not pay for a busy one's memory. */
static bool make_room(ops_dedupe *d)
{
    if (d->next < d->grown || d->grown == d->cap)
        return d->grown > 0;
    size_t grown = d->grown > 0 ? d->grown * 2 : 64;
    if (grown > d->cap)
        grown = d->cap;
    struct item *items = ops_realloc(d->items, grown * sizeof *items);
    if (items == NULL)
        return false;
    memset(items + d->grown, 0, (grown - d->grown) * sizeof *items);
    d->items = items;
    d->grown = grown;
    return true;
}

ops_status ops_dedupe_add(ops_dedupe *d, uint32_t part, const uint8_t *key, int64_t recv_ns, uint64_t offset)
{
    if (d->next == d->cap)
        d->next = 0;
    if (!make_room(d))
        return OPS_ENOMEM;
    struct item *it = &d->items[d->next];
    if (it->used &&
        (size_t)(uintptr_t)ops_map_get(d->map, ops_slice_of(it->key, sizeof it->key)) == d->next + 1)
        (void)ops_map_del(d->map, ops_slice_of(it->key, sizeof it->key));
    it->used = false;
    make_key(it->key, part, key);
    if (ops_map_put(d->map, ops_slice_of(it->key, sizeof it->key), (void *)(uintptr_t)(d->next + 1), NULL) !=
        OPS_OK)
        return OPS_ENOMEM;
    it->recv_ns = recv_ns;
    it->offset = offset;
    it->used = true;
    d->next++;
    return OPS_OK;
}
