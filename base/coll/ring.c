/* Bounded ring. */
#include "base/coll/ring.h"

#include <stdint.h>

#include "base/mem/alloc.h"

struct ops_ring {
    size_t cap, head, count;
    void *items[];
};

ops_ring *ops_ring_new(size_t depth_max)
{
    if (depth_max == 0 || depth_max > (SIZE_MAX - sizeof(ops_ring)) / sizeof(void *))
        return NULL;
    ops_ring *r = ops_malloc(sizeof *r + depth_max * sizeof(void *));
    if (r != NULL)
        *r = (ops_ring){.cap = depth_max};
    return r;
}

void ops_ring_free(ops_ring *r)
{
    ops_free(r);
}

ops_status ops_ring_push(ops_ring *r, void *item)
{
    if (r->count == r->cap)
        return OPS_EAGAIN;
    r->items[(r->head + r->count++) % r->cap] = item;
    return OPS_OK;
}

void *ops_ring_pop(ops_ring *r)
{
    if (r->count == 0)
        return NULL;
    void *item = r->items[r->head];
    r->head = (r->head + 1) % r->cap;
    r->count--;
    return item;
}

size_t ops_ring_count(const ops_ring *r)
{
    return r->count;
}
