/* Bump allocator with a cap: everything of one request, freed in one call. Not thread-safe: one owner. */
#ifndef OPS_BASE_ARENA_H
#define OPS_BASE_ARENA_H

#include <stddef.h>

#include "base/text/slice.h"

typedef struct ops_arena {
    struct ops_arena_block *head;
    size_t bytes_max; /* sum of payload bytes handed out */
    size_t bytes;
} ops_arena;

/* Allocates nothing yet. `bytes_max` bounds what may be handed out until the next clear. */
void ops_arena_init(ops_arena *a, size_t bytes_max);
/* 16-byte aligned, uninitialised; NULL at the cap or when the heap is out. Valid until clear or done. */
void *ops_arena_alloc(ops_arena *a, size_t n);
/* Copies `s` and adds a NUL; an empty slice with p == NULL on failure. */
ops_slice ops_arena_dup(ops_arena *a, ops_slice s);
/* Forgets everything; keeps one block for reuse. */
void ops_arena_clear(ops_arena *a);
void ops_arena_done(ops_arena *a);
static inline size_t ops_arena_bytes(const ops_arena *a)
{
    return a->bytes;
}

#endif
