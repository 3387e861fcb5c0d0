/* tests/support/golden.h: reads a fixture below tests/golden; tests run with the repository root as working folder. */
#ifndef OPS_TESTS_GOLDEN_H
#define OPS_TESTS_GOLDEN_H

#include <stdio.h>
#include <stdlib.h>

#include "base/text/slice.h"

/* The whole file, to be freed with golden_free(); an empty slice with p == NULL when it cannot be read. */
static inline ops_slice golden_read(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return ops_slice_of(NULL, 0);
    char *p = malloc(1 << 20);
    const size_t n = p != NULL ? fread(p, 1, 1 << 20, f) : 0;
    fclose(f);
    return ops_slice_of(p, n);
}

static inline void golden_free(ops_slice s)
{
    free((void *)(uintptr_t)s.p);
}

#endif
