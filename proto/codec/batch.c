/* Batches that are being written; the layouts are in record.h and sample.h. */
#include "proto/codec/batch_internal.h"

enum { SERVICES_MAX = 4096 };

void batch_init(batch_writer *b, size_t bytes_max)
{
    *b = (batch_writer){.bytes_max =
                            bytes_max < OPS_RECORD_BATCH_BYTES_MAX ? bytes_max : OPS_RECORD_BATCH_BYTES_MAX};
    ops_strbuf_init(&b->buf, b->bytes_max);
}

void batch_done(batch_writer *b)
{
    ops_strbuf_done(&b->buf);
    ops_map_free(b->services);
}

ops_status batch_begin(batch_writer *b, ops_slice lead, ops_slice tenant, int64_t recv_ns)
{
    uint8_t recv[8];
    ops_map_free(b->services);
    b->services = ops_map_new();
    ops_strbuf_clear(&b->buf);
    b->count = 0;
    b->last_time_ns = recv_ns;
    b->min_time_ns = INT64_MAX;
    b->max_time_ns = INT64_MIN;
    ops_put_be64(recv, (uint64_t)recv_ns);
    ops_strbuf_slice(&b->buf, lead);
    batch_put_bytes(b, tenant);
    ops_strbuf_put(&b->buf, recv, sizeof recv);
    b->head_bytes = b->buf.n;
    return b->services == NULL || b->buf.failed ? OPS_ENOMEM : OPS_OK;
}

ops_status batch_room(const batch_writer *b, size_t bound, ops_slice service)
{
    if (bound > b->bytes_max - b->head_bytes)
        return OPS_ETOOBIG;
    if (bound > b->bytes_max - b->buf.n ||
        (ops_map_count(b->services) >= SERVICES_MAX && !ops_map_has(b->services, service)))
        return OPS_EAGAIN;
    return OPS_OK;
}

void batch_put_varint(batch_writer *b, uint64_t v)
{
    uint8_t tmp[OPS_VARINT_BYTES_MAX];
    ops_strbuf_put(&b->buf, tmp, ops_varint_put(tmp, v));
}

void batch_put_bytes(batch_writer *b, ops_slice s)
{
    batch_put_varint(b, s.n);
    ops_strbuf_put(&b->buf, s.p != NULL ? s.p : "", s.n);
}

void batch_put_attrs(batch_writer *b, const ops_attr *attrs, uint32_t n)
{
    batch_put_varint(b, n);
    for (uint32_t i = 0; i < n; i++) {
        batch_put_bytes(b, attrs[i].key);
        batch_put_bytes(b, attrs[i].val);
    }
}

void batch_put_service(batch_writer *b, ops_slice service)
{
    uintptr_t known = (uintptr_t)ops_map_get(b->services, service);
    batch_put_varint(b, known);
    if (known == 0)
        batch_put_bytes(b, service);
}

/* Names get a number only once their entry is in, so that one rolled back leaves no trace. */
static ops_status number_service(batch_writer *b, ops_slice service)
{
    size_t next = ops_map_count(b->services) + 1;
    if (ops_map_has(b->services, service))
        return OPS_OK;
    return ops_map_put(b->services, service, (void *)(uintptr_t)next, NULL);
}

ops_status batch_keep(batch_writer *b, size_t mark, ops_slice service)
{
    if (!b->buf.failed && number_service(b, service) == OPS_OK)
        return OPS_OK;
    b->buf.n = mark;
    b->buf.failed = false;
    return OPS_ENOMEM;
}

void batch_saw(batch_writer *b, int64_t time_ns)
{
    b->min_time_ns = time_ns < b->min_time_ns ? time_ns : b->min_time_ns;
    b->max_time_ns = time_ns > b->max_time_ns ? time_ns : b->max_time_ns;
}
