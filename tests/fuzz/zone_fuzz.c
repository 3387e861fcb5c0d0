/* Zone files from any bytes; what is taken for one answers for any time. */
#include <stdlib.h>

#include "coordinator/silence/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t times[] = {INT64_MIN / 2, -1, 0, 1, 1764000000, INT64_MAX / 2};
    ops_zone *z = NULL;
    ops_err err = {0};
    if (ops_zone_parse(ops_slice_of(data, size), 1764000000, &z, &err) != OPS_OK) {
        if (err.msg[0] == '\0')
            abort();
        return 0;
    }
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        const int32_t offset = ops_zone_offset(z, times[i]);
        if (offset <= -25 * 3600 || offset >= 26 * 3600)
            abort();
        (void)ops_zone_unix(z, times[i] / 86400 / 4, 3600);
    }
    ops_zone_free(z);
    return 0;
}
