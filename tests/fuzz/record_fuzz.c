/* The stored record batch, from any bytes. */
#include "proto/codec/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ops_status touch(void *u, ops_slice tenant, uint32_t index, const ops_record *r)
{
    volatile uint64_t *sum = u;
    (void)index;
    *sum += tenant.n + r->message.n + r->severity;
    for (size_t i = 0; i < r->message.n; i++)
        *sum += (unsigned char)r->message.p[i];
    for (uint32_t i = 0; i < r->attr_count; i++)
        *sum += r->attrs[i].key.n + r->attrs[i].val.n;
    return OPS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    volatile uint64_t sum = 0;
    ops_err err;
    (void)ops_record_batch_walk(ops_slice_of(data, size), touch, (void *)(uintptr_t)&sum, &err);
    return 0;
}
