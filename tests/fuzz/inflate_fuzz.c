/* Compressed bodies, from any bytes: never more output than allowed. The first byte picks the coding. */
#include <stdlib.h>

#include "base/mem/alloc.h"
#include "coordinator/ingest/inflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t max = 100000;
    char *out = NULL;
    size_t n = 0;
    ops_err err;

    if (size == 0)
        return 0;
    const ops_inflate_coding coding = data[0] & 1 ? OPS_INFLATE_GZIP : OPS_INFLATE_ZSTD;
    if (ops_inflate(coding, data + 1, size - 1, max, &out, &n, &err) == OPS_OK && (n > max || out == NULL))
        abort();
    ops_free(out);
    return 0;
}
