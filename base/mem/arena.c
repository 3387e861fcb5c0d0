/* Chained blocks; a block is at least 16 KiB so that small requests share one. */
#include "base/mem/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "base/mem/alloc.h"

enum { BLOCK_BYTES_MIN = 16 * 1024, ALIGNMENT = 16 };

struct ops_arena_block {
    struct ops_arena_block *next;
    size_t cap, used;
    alignas(ALIGNMENT) unsigned char data[];
};

void ops_arena_init(ops_arena *a, size_t bytes_max)
{
    *a = (ops_arena){.bytes_max = bytes_max};
}

static struct ops_arena_block *grow(ops_arena *a, size_t n)
{
    size_t cap = n > BLOCK_BYTES_MIN ? n : BLOCK_BYTES_MIN;
    if (a->head != NULL && a->head->cap * 2 > cap && a->head->cap < (1u << 20))
        cap = a->head->cap * 2;
    struct ops_arena_block *b = ops_malloc(sizeof *b + cap);
    if (b == NULL)
        return NULL;
    b->next = a->head;
    b->cap = cap;
    b->used = 0;
    a->head = b;
    return b;
}

void *ops_arena_alloc(ops_arena *a, size_t n)
{
    if (n > SIZE_MAX - ALIGNMENT)
        return NULL;
    size_t need = (n + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (need > a->bytes_max - a->bytes)
        return NULL;
    struct ops_arena_block *b = a->head;
    if (b == NULL || need > b->cap - b->used)
        b = grow(a, need);
    if (b == NULL)
        return NULL;
    void *p = b->data + b->used;
    b->used += need;
    a->bytes += need;
    return p;
}

ops_slice ops_arena_dup(ops_arena *a, ops_slice s)
{
    char *p = s.n < SIZE_MAX ? ops_arena_alloc(a, s.n + 1) : NULL;
    if (p == NULL)
        return (ops_slice){NULL, 0};
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (ops_slice){p, s.n};
}

void ops_arena_clear(ops_arena *a)
{
    struct ops_arena_block *keep = a->head;
    if (keep != NULL) {
        for (struct ops_arena_block *b = keep->next, *next; b != NULL; b = next) {
            next = b->next;
            ops_free(b);
        }
        keep->next = NULL;
        keep->used = 0;
    }
    a->bytes = 0;
}

void ops_arena_done(ops_arena *a)
{
    ops_arena_clear(a);
    ops_free(a->head);
    a->head = NULL;
}
