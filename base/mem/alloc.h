/* The one door to the heap. Every call may fail (NULL); a test can make the nth one fail.
 * @thread any */
#ifndef OPS_BASE_ALLOC_H
#define OPS_BASE_ALLOC_H

#include <stddef.h>

#include "base/mem/auto.h"

void *ops_malloc(size_t bytes);
void *ops_calloc(size_t count, size_t size); /* zeroed; NULL when count * size overflows */
void *ops_realloc(void *p, size_t bytes);    /* on NULL the old block is still the caller's */
void ops_free(void *p);                      /* NULL is fine */
char *ops_strdup(const char *s);
char *ops_strndup(const char *s, size_t n); /* copies n bytes and adds a NUL */
void *ops_memdup(const void *p, size_t n);

OPS_AUTO_DEFINE(void, ops_free)
static inline void ops_free_str_p(char **p)
{
    ops_free(*p);
}
/* For `char *`: OPS_AUTO(ops_free_str) char *s = ... */
#define ops_free_str ops_free

/* Tests only: the nth allocation from now (1 = the next) fails once; 0 switches this off. Per process. */
void ops_alloc_fail_at(long nth);
/* Blocks allocated and not freed, process-wide. */
long ops_alloc_live(void);

#endif
