/* Heap with a live count and a failure that tests can place. */
#include "base/mem/alloc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static atomic_long live_blocks;
static atomic_long fail_countdown; /* 0: off */

static bool must_fail(void)
{
    if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) == 0)
        return false;
    return atomic_fetch_sub(&fail_countdown, 1) == 1;
}

static void *counted(void *p)
{
    if (p != NULL)
        atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
    return p;
}

void *ops_malloc(size_t bytes)
{
    return must_fail() ? NULL : counted(malloc(bytes > 0 ? bytes : 1));
}

void *ops_calloc(size_t count, size_t size)
{
    if (must_fail() || (size > 0 && count > SIZE_MAX / size))
        return NULL;
    return counted(count > 0 && size > 0 ? calloc(count, size) : calloc(1, 1));
}

void *ops_realloc(void *p, size_t bytes)
{
    if (p == NULL)
        return ops_malloc(bytes);
    return must_fail() ? NULL : realloc(p, bytes > 0 ? bytes : 1);
}

void ops_free(void *p)
{
    if (p == NULL)
        return;
    atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
    free(p);
}

void *ops_memdup(const void *p, size_t n)
{
    void *copy = ops_malloc(n);
    if (copy != NULL && n > 0)
        memcpy(copy, p, n);
    return copy;
}

char *ops_strndup(const char *s, size_t n)
{
    char *copy = n < SIZE_MAX ? ops_malloc(n + 1) : NULL;
    if (copy == NULL)
        return NULL;
    if (n > 0)
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *ops_strdup(const char *s)
{
    return ops_strndup(s, strlen(s));
}

void ops_alloc_fail_at(long nth)
{
    atomic_store(&fail_countdown, nth);
}

long ops_alloc_live(void)
{
    return atomic_load(&live_blocks);
}
