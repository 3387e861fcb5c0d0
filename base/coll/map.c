/* Byte-string map: slots hold hash, key pointer and value. At most 3/4 full. */
#include "base/coll/map.h"

#include "base/mem/alloc.h"
#include "base/text/hash.h"

struct slot {
    uint64_t hash;
    char *key; /* NULL: free slot */
    size_t key_bytes;
    void *value;
};

struct ops_map {
    struct slot *slots;
    size_t cap, count;
};

ops_map *ops_map_new(void)
{
    return ops_calloc(1, sizeof(ops_map));
}

void ops_map_free(ops_map *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->cap; i++)
        ops_free(m->slots[i].key);
    ops_free(m->slots);
    ops_free(m);
}

/* The slot of `key`, or the free slot where it would go. Needs cap > count. */
static size_t find(const ops_map *m, ops_slice key, uint64_t hash)
{
    size_t i = hash & (m->cap - 1);
    while (m->slots[i].key != NULL) {
        const struct slot *s = &m->slots[i];
        if (s->hash == hash && s->key_bytes == key.n && (key.n == 0 || memcmp(s->key, key.p, key.n) == 0))
            break;
        i = (i + 1) & (m->cap - 1);
    }
    return i;
}

static const struct slot *lookup(const ops_map *m, ops_slice key)
{
    if (m == NULL || m->cap == 0)
        return NULL;
    const struct slot *s = &m->slots[find(m, key, ops_hash64(key.p, key.n, 0))];
    return s->key != NULL ? s : NULL;
}

bool ops_map_has(const ops_map *m, ops_slice key)
{
    return lookup(m, key) != NULL;
}

void *ops_map_get(const ops_map *m, ops_slice key)
{
    const struct slot *s = lookup(m, key);
    return s != NULL ? s->value : NULL;
}

static bool grow(ops_map *m)
{
    size_t cap = m->cap > 0 ? m->cap * 2 : 16;
    struct slot *slots = ops_calloc(cap, sizeof *slots);
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < m->cap; i++) {
        if (m->slots[i].key == NULL)
            continue;
        size_t j = m->slots[i].hash & (cap - 1);
        while (slots[j].key != NULL)
            j = (j + 1) & (cap - 1);
        slots[j] = m->slots[i];
    }
    ops_free(m->slots);
    m->slots = slots;
    m->cap = cap;
    return true;
}

ops_status ops_map_put(ops_map *m, ops_slice key, void *value, void **ret_old)
{
    if ((m->count + 1) * 4 > m->cap * 3 && !grow(m))
        return OPS_ENOMEM;
    uint64_t hash = ops_hash64(key.p, key.n, 0);
    struct slot *s = &m->slots[find(m, key, hash)];
    void *old = NULL;
    if (s->key != NULL) {
        old = s->value;
    } else {
        char *copy = ops_strndup(key.p, key.n);
        if (copy == NULL)
            return OPS_ENOMEM;
        *s = (struct slot){.hash = hash, .key = copy, .key_bytes = key.n};
        m->count++;
    }
    s->value = value;
    if (ret_old != NULL)
        *ret_old = old;
    return OPS_OK;
}

void *ops_map_del(ops_map *m, ops_slice key)
{
    if (m == NULL || m->cap == 0)
        return NULL;
    size_t i = find(m, key, ops_hash64(key.p, key.n, 0));
    if (m->slots[i].key == NULL)
        return NULL;
    void *value = m->slots[i].value;
    ops_free(m->slots[i].key);
    m->count--;
    size_t hole = i, mask = m->cap - 1;
    for (size_t j = (i + 1) & mask; m->slots[j].key != NULL; j = (j + 1) & mask) {
        size_t home = m->slots[j].hash & mask;
        if (((j - home) & mask) >= ((j - hole) & mask)) {
            m->slots[hole] = m->slots[j];
            hole = j;
        }
    }
    m->slots[hole] = (struct slot){.key = NULL};
    return value;
}

bool ops_map_next(const ops_map *m, size_t *iter, ops_slice *ret_key, void **ret_value)
{
    for (; m != NULL && *iter < m->cap; (*iter)++) {
        const struct slot *s = &m->slots[*iter];
        if (s->key == NULL)
            continue;
        *ret_key = (ops_slice){s->key, s->key_bytes};
        *ret_value = s->value;
        (*iter)++;
        return true;
    }
    return false;
}

size_t ops_map_count(const ops_map *m)
{
    return m != NULL ? m->count : 0;
}
