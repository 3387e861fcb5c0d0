/* tests/support/counted_heap.h: counts what a program takes from the heap or the system. Its CMakeLists links it with
 * counted_heap(TARGET), which sends every call of these functions here. */
#ifndef OPS_TESTS_COUNTED_HEAP_H
#define OPS_TESTS_COUNTED_HEAP_H

#include <stdlib.h>
#include <sys/types.h>

static long counted; /* by the thread that calls */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t line, size_t n);
void *__real_mmap(void *at, size_t n, int protection, int flags, int fd, off_t from);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t line, size_t n);
void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t from);

void *__wrap_malloc(size_t n)
{
    counted++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    counted++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    counted++;
    return __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t line, size_t n)
{
    counted++;
    return __real_aligned_alloc(line, n);
}

void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t from)
{
    counted++;
    return __real_mmap(at, n, protection, flags, fd, from);
}

#endif
