/* A table of places by the tokens before them, the newest of the same tokens. Colliding hashes overwrite each other: what is found
 * is compared before it is believed. */
#include "worker/engine/lookup.h"

#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"

struct ops_lookup {
    int32_t *place; /* of the token that followed; 0: none */
    uint64_t mask;
    int known, most; /* tokens whose followers are in the table */
};

ops_status ops_lookup_new(int tokens_max, ops_lookup **ret, ops_err *reterr)
{
    if (tokens_max < 1 || tokens_max > 1 << 28)
        return ops_fail(reterr, OPS_EINVAL, "guesses in a text of %d tokens", tokens_max);
    ops_lookup *l = ops_calloc(1, sizeof *l);
    uint64_t slots = 16;
    while (slots < (uint64_t)tokens_max * 2)
        slots *= 2;
    int32_t *place = ops_calloc(slots, sizeof *place);
    if (l == NULL || place == NULL) {
        ops_free(l);
        ops_free(place);
        return ops_fail(reterr, OPS_ENOMEM, "guesses in a text of %d tokens", tokens_max);
    }
    *l = (ops_lookup){place, slots - 1, 0, tokens_max};
    *ret = l;
    return OPS_OK;
}

void ops_lookup_free(ops_lookup *l)
{
    if (l == NULL)
        return;
    ops_free(l->place);
    ops_free(l);
}

/* Of the tokens before place i. */
static int32_t *slot(const ops_lookup *l, const int32_t *ids, int i)
{
    return &l->place[ops_hash64(ids + i - OPS_LOOKUP_GRAM, OPS_LOOKUP_GRAM * sizeof *ids, 1) & l->mask];
}

int ops_lookup_guess(ops_lookup *l, const int32_t *ids, int n, int32_t *to, int most)
{
    if (n < OPS_LOOKUP_GRAM || n > l->most)
        return 0;
    for (int i = l->known > OPS_LOOKUP_GRAM ? l->known : OPS_LOOKUP_GRAM; i < n; i++)
        *slot(l, ids, i) = i;
    l->known = n;
    const int32_t at = *slot(l, ids, n);
    if (at < OPS_LOOKUP_GRAM || at >= n ||
        memcmp(ids + at - OPS_LOOKUP_GRAM, ids + n - OPS_LOOKUP_GRAM, OPS_LOOKUP_GRAM * sizeof *ids) != 0)
        return 0;
    const int count = n - at < most ? n - at : most;
    memmove(to, ids + at, (size_t)count * sizeof *ids);
    return count;
}
