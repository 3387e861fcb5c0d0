/* Integer map: same probing as map.c, no key storage. */
#include "base/coll/map.h"

#include "base/mem/alloc.h"
#include "base/text/hash.h"

struct slot {
    uint64_t key;
    void *value;
    bool used;
};

struct ops_map64 {
    struct slot *slots;
    size_t cap, count;
};

ops_map64 *ops_map64_new(void)
{
    return ops_calloc(1, sizeof(ops_map64));
}

void ops_map64_free(ops_map64 *m)
{
    if (m == NULL)
        return;
    ops_free(m->slots);
    ops_free(m);
}

static size_t find(const struct slot *slots, size_t cap, uint64_t key)
{
    size_t i = ops_hash_mix(key) & (cap - 1);
    while (slots[i].used && slots[i].key != key)
        i = (i + 1) & (cap - 1);
    return i;
}

static const struct slot *lookup(const ops_map64 *m, uint64_t key)
{
    if (m == NULL || m->cap == 0)
        return NULL;
    const struct slot *s = &m->slots[find(m->slots, m->cap, key)];
    return s->used ? s : NULL;
}

bool ops_map64_has(const ops_map64 *m, uint64_t key)
{
    return lookup(m, key) != NULL;
}

void *ops_map64_get(const ops_map64 *m, uint64_t key)
{
    const struct slot *s = lookup(m, key);
    return s != NULL ? s->value : NULL;
}

static bool grow(ops_map64 *m)
{
    size_t cap = m->cap > 0 ? m->cap * 2 : 16;
    struct slot *slots = ops_calloc(cap, sizeof *slots);
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].used)
            slots[find(slots, cap, m->slots[i].key)] = m->slots[i];
    ops_free(m->slots);
    m->slots = slots;
    m->cap = cap;
    return true;
}

ops_status ops_map64_put(ops_map64 *m, uint64_t key, void *value, void **ret_old)
{
    if ((m->count + 1) * 4 > m->cap * 3 && !grow(m))
        return OPS_ENOMEM;
    struct slot *s = &m->slots[find(m->slots, m->cap, key)];
    void *old = s->used ? s->value : NULL;
    m->count += s->used ? 0 : 1;
    *s = (struct slot){.key = key, .value = value, .used = true};
    if (ret_old != NULL)
        *ret_old = old;
    return OPS_OK;
}

void *ops_map64_del(ops_map64 *m, uint64_t key)
{
    if (m == NULL || m->cap == 0)
        return NULL;
    size_t mask = m->cap - 1, hole = find(m->slots, m->cap, key);
    if (!m->slots[hole].used)
        return NULL;
    void *value = m->slots[hole].value;
    m->count--;
    for (size_t j = (hole + 1) & mask; m->slots[j].used; j = (j + 1) & mask) {
        size_t home = ops_hash_mix(m->slots[j].key) & mask;
        if (((j - home) & mask) >= ((j - hole) & mask)) {
            m->slots[hole] = m->slots[j];
            hole = j;
        }
    }
    m->slots[hole] = (struct slot){.used = false};
    return value;
}

bool ops_map64_next(const ops_map64 *m, size_t *iter, uint64_t *ret_key, void **ret_value)
{
    for (; m != NULL && *iter < m->cap; (*iter)++) {
        if (!m->slots[*iter].used)
            continue;
        *ret_key = m->slots[*iter].key;
        *ret_value = m->slots[*iter].value;
        (*iter)++;
        return true;
    }
    return false;
}

size_t ops_map64_count(const ops_map64 *m)
{
    return m != NULL ? m->count : 0;
}
