/* Masks by state, the least recently used one goes first. */
#include "base/mem/alloc.h"
#include "worker/grammar/matcher_internal.h"

enum { CHEAP = 4096 }; /* places that remember a state whose walk is quick */

struct ops_grammar_cache {
    const ops_grammar_vocab *v;
    size_t words;
    int32_t n, buckets;
    int32_t newest, oldest;
    ops_gm_entry *entry;
    int32_t *bucket;
    uint32_t *memory;
    struct {
        uint64_t kind;
        uint32_t state;
    } cheap[CHEAP];
    ops_grammar_cache_counts counts;
};

static uint64_t mix(uint64_t kind, uint32_t state)
{
    uint64_t x = (kind << 32 ^ state) * 0x9e3779b97f4a7c15U;
    return x ^ x >> 29;
}

void ops_grammar_cache_free(ops_grammar_cache *c)
{
    if (c == NULL)
        return;
    ops_free(c->entry);
    ops_free(c->bucket);
    ops_free(c->memory);
    ops_free(c);
}

ops_status ops_grammar_cache_new(const ops_grammar_vocab *v, size_t bytes_max, ops_grammar_cache **ret,
                                 ops_err *reterr)
{
    const size_t words = ops_grammar_mask_words(v->n), each = words + OPS_GM_EXITS_MAX;
    size_t n = bytes_max / (each * sizeof(uint32_t));
    n = n < 1 << 16 ? n : 1 << 16;
    if (n < 1)
        return ops_fail(reterr, OPS_EINVAL, "a cache of %zu bytes holds no mask; one takes %zu", bytes_max,
                        each * sizeof(uint32_t));
    OPS_AUTO(ops_grammar_cache_free) ops_grammar_cache *c = ops_calloc(1, sizeof *c);
    if (c != NULL) {
        c->entry = ops_calloc(n, sizeof *c->entry);
        c->bucket = ops_calloc(2 * n, sizeof *c->bucket);
        c->memory = ops_calloc(n * each, sizeof *c->memory);
    }
    if (c == NULL || c->entry == NULL || c->bucket == NULL || c->memory == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "cache of %zu masks: out of memory", n);
    c->v = v;
    c->words = words;
    c->n = (int32_t)n;
    c->buckets = (int32_t)(2 * n);
    for (int32_t i = 0; i < c->buckets; i++)
        c->bucket[i] = -1;
    for (int32_t i = 0; i < c->n; i++)
        c->entry[i] = (ops_gm_entry){.chain = -1,
                                     .newer = i - 1,
                                     .older = i + 1 < c->n ? i + 1 : -1,
                                     .words = c->memory + (size_t)i * each,
                                     .exits = c->memory + (size_t)i * each + words};
    c->oldest = c->n - 1;
    *ret = OPS_STEAL(c);
    return OPS_OK;
}

ops_grammar_cache_counts ops_grammar_cache_counts_get(const ops_grammar_cache *c)
{
    return c->counts;
}
void ops_gm_cache_count_cheap(ops_grammar_cache *c)
{
    c->counts.cheap++;
}
bool ops_gm_cache_is_of(const ops_grammar_cache *c, const ops_grammar_vocab *v)
{
    return c->v == v;
}
size_t ops_gm_cache_words(const ops_grammar_cache *c)
{
    return c->words;
}

static void unlink_entry(ops_grammar_cache *c, int32_t i)
{
    const ops_gm_entry *e = &c->entry[i];
    *(e->newer >= 0 ? &c->entry[e->newer].older : &c->newest) = e->older;
    *(e->older >= 0 ? &c->entry[e->older].newer : &c->oldest) = e->newer;
}

static void make_newest(ops_grammar_cache *c, int32_t i)
{
    if (c->newest == i)
        return;
    unlink_entry(c, i);
    c->entry[i].newer = -1;
    c->entry[i].older = c->newest;
    c->entry[c->newest].newer = i;
    c->newest = i;
}

static int32_t *bucket_of(ops_grammar_cache *c, uint64_t kind, uint32_t state)
{
    return &c->bucket[mix(kind, state) % (uint64_t)c->buckets];
}

ops_gm_entry *ops_gm_cache_find(ops_grammar_cache *c, uint64_t kind, uint32_t state)
{
    for (int32_t i = *bucket_of(c, kind, state); i >= 0; i = c->entry[i].chain)
        if (c->entry[i].kind == kind && c->entry[i].state == state) {
            make_newest(c, i);
            c->counts.hits++;
            return &c->entry[i];
        }
    return NULL;
}

ops_gm_entry *ops_gm_cache_take(ops_grammar_cache *c)
{
    const int32_t i = c->oldest;
    ops_gm_entry *e = &c->entry[i];
    if (e->kind != 0) {
        int32_t *at = bucket_of(c, e->kind, e->state);
        while (*at != i)
            at = &c->entry[*at].chain;
        *at = e->chain;
        e->kind = 0;
    }
    memset(e->words, 0, c->words * sizeof *e->words);
    return e;
}

void ops_gm_cache_keep(ops_grammar_cache *c, ops_gm_entry *e, uint64_t kind, uint32_t state)
{
    int32_t *bucket = bucket_of(c, kind, state);
    e->kind = kind;
    e->state = state;
    e->chain = *bucket;
    *bucket = (int32_t)(e - c->entry);
    make_newest(c, *bucket);
    c->counts.misses++;
}

bool ops_gm_cache_is_cheap(const ops_grammar_cache *c, uint64_t kind, uint32_t state)
{
    const size_t at = mix(kind, state) % CHEAP;
    return c->cheap[at].kind == kind && c->cheap[at].state == state;
}

void ops_gm_cache_set_cheap(ops_grammar_cache *c, uint64_t kind, uint32_t state)
{
    const size_t at = mix(kind, state) % CHEAP;
    c->cheap[at].kind = kind;
    c->cheap[at].state = state;
}
