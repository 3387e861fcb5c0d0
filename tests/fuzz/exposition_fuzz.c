/* Metric pages from any bytes: read once to check and once to tell, both must agree. The first byte chooses the format. */
#include <stdlib.h>

#include "coordinator/ingest/exposition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ops_status look(void *u, const ops_exposition_sample *s, ops_err *reterr)
{
    size_t sum = s->name.n;
    (void)reterr;
    if (s->name.n == 0 && s->label_count == 0)
        abort();
    for (size_t i = 0; i < s->label_count; i++)
        for (size_t k = 0; k < s->labels[i].key.n + s->labels[i].val.n; k++)
            sum += (uint8_t)(k < s->labels[i].key.n ? s->labels[i].key.p[k]
                                                    : s->labels[i].val.p[k - s->labels[i].key.n]);
    *(uint64_t *)u += 1 + (sum == SIZE_MAX); /* never: bytes are read, and few */
    return OPS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t seen = 0, told = 0, checked = 0;
    ops_err err;
    if (size == 0)
        return 0;
    const ops_slice page = ops_slice_of(data + 1, size - 1);
    const bool openmetrics = (data[0] & 1) != 0;
    const ops_status st = ops_exposition_read(page, openmetrics, 1000, NULL, NULL, &checked, &err);
    if (ops_exposition_read(page, openmetrics, 1000, look, &seen, &told, &err) != st ||
        (st == OPS_OK && (seen != told || told != checked)))
        abort();
    return 0;
}
