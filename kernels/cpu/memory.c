/* A region goes back to the system with the last piece cut from it; nothing is cut twice. */
#include "kernels/cpu/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LINE = 64, LARGE = 64 * 1024, HUGE_PAGE = 2 * 1024 * 1024, REGION = 16 * HUGE_PAGE };

struct ops_cpu_region {
    void *mapped; /* as the system gave it */
    size_t mapped_bytes;
    char *p; /* on a huge page */
    size_t bytes, used;
    size_t pieces; /* not given back */
};

static ops_cpu_region *region_new(size_t bytes)
{
    ops_cpu_region *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->bytes = bytes;
    r->mapped_bytes = bytes + HUGE_PAGE;
    r->mapped = mmap(NULL, r->mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r->mapped == MAP_FAILED) {
        free(r);
        return NULL;
    }
    r->p = (char *)r->mapped + (HUGE_PAGE - (uintptr_t)r->mapped % HUGE_PAGE) % HUGE_PAGE;
#ifdef MADV_HUGEPAGE
    (void)madvise(r->p, bytes, MADV_HUGEPAGE); /* a kernel without them: small pages do, slower */
#endif
    return r;
}

static void region_free(ops_cpu_region *r)
{
    (void)munmap(r->mapped, r->mapped_bytes);
    free(r);
}

void *ops_cpu_memory_take(ops_cpu_memory *m, size_t bytes, ops_cpu_region **ret_region)
{
    *ret_region = NULL;
    if (bytes > SIZE_MAX / 2)
        return NULL;
    const size_t whole = (bytes + LINE - 1) / LINE * LINE;
    if (whole < LARGE) {
        void *p = aligned_alloc(LINE, whole);
        return p != NULL ? memset(p, 0, whole) : NULL;
    }
    ops_cpu_region *r = m->open;
    if (r == NULL || r->bytes - r->used < whole) {
        const size_t pages = (whole + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        r = region_new(pages > REGION ? pages : REGION);
        if (r == NULL)
            return NULL;
        m->open = r;
    }
    void *p = memset(r->p + r->used, 0, whole); /* the pages are taken now, not in the middle of a step */
    r->used += whole;
    r->pieces++;
    *ret_region = r;
    return p;
}

void ops_cpu_memory_give(ops_cpu_memory *m, void *p, ops_cpu_region *r)
{
    if (r == NULL) {
        free(p);
        return;
    }
    if (--r->pieces > 0)
        return;
    if (m->open == r)
        m->open = NULL;
    region_free(r);
}
