/* Growth of typed arrays: doubling, overflow-checked. */
#include "base/coll/vec.h"

bool ops_vec_grow(void **pv, size_t *cap, size_t n_min, size_t size)
{
    size_t want = *cap > 0 ? *cap : 8;
    while (want < n_min) {
        if (want > SIZE_MAX / 2)
            return false;
        want *= 2;
    }
    if (want == *cap)
        want = *cap * 2;
    if (want > SIZE_MAX / size)
        return false;
    void *p = ops_realloc(*pv, want * size);
    if (p == NULL)
        return false;
    *pv = p;
    *cap = want;
    return true;
}
