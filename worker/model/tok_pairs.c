/* Two ids to rank and id of what they merge into: open addressing, at most half full, one cache line a look-up as a rule. */
#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "worker/model/tok_internal.h"

typedef struct slot {
    uint64_t key; /* left, right; FREE where there is none */
    uint32_t rank;
    int32_t id;
} slot;

static const uint64_t FREE = UINT64_MAX; /* ids are not negative */
enum { PROBES_MAX = 4096 }; /* half full, a good hash needs some dozens; more are made on purpose */

struct ops_pairs {
    size_t mask;
    slot *v;
};

ops_pairs *ops_pairs_new(size_t n_max)
{
    size_t cap = 16;
    while (cap < 2 * n_max)
        cap *= 2;
    OPS_AUTO(ops_pairs_free) ops_pairs *p = ops_calloc(1, sizeof *p);
    if (p == NULL || (p->v = ops_calloc(cap, sizeof *p->v)) == NULL)
        return NULL;
    p->mask = cap - 1;
    for (size_t i = 0; i < cap; i++)
        p->v[i].key = FREE;
    return OPS_STEAL(p);
}

void ops_pairs_free(ops_pairs *p)
{
    if (p == NULL)
        return;
    ops_free(p->v);
    ops_free(p);
}

static slot *find(const ops_pairs *p, int32_t left, int32_t right)
{
    const uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t i = ops_hash_mix(key) & p->mask;
    while (p->v[i].key != key && p->v[i].key != FREE)
        i = (i + 1) & p->mask;
    return &p->v[i];
}

bool ops_pairs_put(ops_pairs *p, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
    const uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    slot *s = find(p, left, right);
    const size_t home = ops_hash_mix(key) & p->mask, at = (size_t)(s - p->v);
    if (((at - home) & p->mask) > PROBES_MAX)
        return false;
    *s = (slot){key, rank, id};
    return true;
}

bool ops_pairs_get(const ops_pairs *p, int32_t left, int32_t right, uint32_t *ret_rank, int32_t *ret_id)
{
    const slot *s = find(p, left, right);
    if (s->key == FREE)
        return false;
    *ret_rank = s->rank;
    *ret_id = s->id;
    return true;
}
