/* Batch encoding: deltas of time and numbered service names keep a batch near the size of its messages. */
#include "proto/codec/record.h"

#include "base/mem/alloc.h"
#include "proto/codec/batch_internal.h"

static const char lead[] = {1}; /* version */

struct ops_record_writer {
    batch_writer b;
};

ops_record_writer *ops_record_writer_new(size_t bytes_max)
{
    ops_record_writer *w = ops_calloc(1, sizeof *w);
    if (w != NULL)
        batch_init(&w->b, bytes_max);
    return w;
}

void ops_record_writer_free(ops_record_writer *w)
{
    if (w == NULL)
        return;
    batch_done(&w->b);
    ops_free(w);
}

ops_status ops_record_writer_begin(ops_record_writer *w, ops_slice tenant, int64_t recv_ns)
{
    return batch_begin(&w->b, ops_slice_of(lead, sizeof lead), tenant, recv_ns);
}

static size_t size_bound(const ops_record *r)
{
    size_t n = 64 + r->service.n + r->message.n + r->trace_id.n + r->span_id.n;
    for (uint32_t i = 0; i < r->attr_count; i++)
        n += 2 * OPS_VARINT_BYTES_MAX + r->attrs[i].key.n + r->attrs[i].val.n;
    return n;
}

ops_status ops_record_writer_add(ops_record_writer *w, const ops_record *r)
{
    batch_writer *b = &w->b;
    if (r->attr_count > OPS_RECORD_ATTRS_MAX)
        return OPS_ETOOBIG;
    ops_status st = batch_room(b, size_bound(r), r->service);
    if (st != OPS_OK)
        return st;
    size_t mark = b->buf.n;
    batch_put_varint(b, ops_zigzag((int64_t)((uint64_t)r->time_ns - (uint64_t)b->last_time_ns)));
    ops_strbuf_char(&b->buf, (char)r->severity);
    batch_put_varint(b, r->flags);
    batch_put_service(b, r->service);
    batch_put_bytes(b, r->message);
    batch_put_bytes(b, r->trace_id);
    batch_put_bytes(b, r->span_id);
    batch_put_attrs(b, r->attrs, r->attr_count);
    st = batch_keep(b, mark, r->service);
    if (st != OPS_OK)
        return st;
    b->count++;
    b->last_time_ns = r->time_ns;
    batch_saw(b, r->time_ns);
    return OPS_OK;
}

ops_slice ops_record_writer_bytes(const ops_record_writer *w)
{
    return ops_strbuf_get(&w->b.buf);
}

uint32_t ops_record_writer_count(const ops_record_writer *w)
{
    return w->b.count;
}

int64_t ops_record_writer_min_time_ns(const ops_record_writer *w)
{
    return w->b.min_time_ns;
}

int64_t ops_record_writer_max_time_ns(const ops_record_writer *w)
{
    return w->b.max_time_ns;
}
