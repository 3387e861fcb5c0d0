/* Lists of blocks by their numbers, oldest first; the links lie beside the blocks. */
#ifndef OPS_WORKER_KV_LIST_INTERNAL_H
#define OPS_WORKER_KV_LIST_INTERNAL_H

#include <stdint.h>

enum { KV_NONE = -1 };

typedef struct kv_link {
    int32_t prev, next;
} kv_link;

typedef struct kv_list {
    int32_t first, last;
    int n;
} kv_list;

static inline void kv_list_put_last(kv_list *l, kv_link *links, int32_t at)
{
    links[at] = (kv_link){l->last, KV_NONE};
    *(l->last == KV_NONE ? &l->first : &links[l->last].next) = at;
    l->last = at;
    l->n++;
}

static inline void kv_list_cut(kv_list *l, kv_link *links, int32_t at)
{
    const kv_link b = links[at];
    *(b.prev == KV_NONE ? &l->first : &links[b.prev].next) = b.next;
    *(b.next == KV_NONE ? &l->last : &links[b.next].prev) = b.prev;
    l->n--;
}

#endif
