/* Batch encoding: deltas of time and numbered service names keep a batch near the size of its messages. */
#include "proto/codec/record.h"

#include "base/coll/map.h"
#include "base/mem/alloc.h"
#include "base/text/codec.h"

enum { VERSION = 1, SERVICES_MAX = 4096 };

struct ops_record_writer {
    ops_strbuf buf;
    ops_map *services; /* name -> number (1-based) as pointer-sized integer */
    size_t head_bytes, bytes_max;
    uint32_t count;
    int64_t last_time_ns, min_time_ns, max_time_ns;
};

ops_record_writer *ops_record_writer_new(size_t bytes_max)
{
    ops_record_writer *w = ops_calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->bytes_max = bytes_max < OPS_RECORD_BATCH_BYTES_MAX ? bytes_max : OPS_RECORD_BATCH_BYTES_MAX;
    ops_strbuf_init(&w->buf, w->bytes_max);
    return w;
}

void ops_record_writer_free(ops_record_writer *w)
{
    if (w == NULL)
        return;
    ops_strbuf_done(&w->buf);
    ops_map_free(w->services);
    ops_free(w);
}

static void put_varint(ops_strbuf *b, uint64_t v)
{
    uint8_t tmp[OPS_VARINT_BYTES_MAX];
    ops_strbuf_put(b, tmp, ops_varint_put(tmp, v));
}

static void put_bytes(ops_strbuf *b, ops_slice s)
{
    put_varint(b, s.n);
    ops_strbuf_put(b, s.p != NULL ? s.p : "", s.n);
}

ops_status ops_record_writer_begin(ops_record_writer *w, ops_slice tenant, int64_t recv_ns)
{
    ops_map_free(w->services);
    w->services = ops_map_new();
    ops_strbuf_clear(&w->buf);
    w->count = 0;
    w->last_time_ns = recv_ns;
    w->min_time_ns = INT64_MAX;
    w->max_time_ns = INT64_MIN;
    uint8_t recv[8];
    ops_put_be64(recv, (uint64_t)recv_ns);
    ops_strbuf_char(&w->buf, VERSION);
    put_bytes(&w->buf, tenant);
    ops_strbuf_put(&w->buf, recv, sizeof recv);
    w->head_bytes = w->buf.n;
    return w->services == NULL || w->buf.failed ? OPS_ENOMEM : OPS_OK;
}

static void put_service(ops_record_writer *w, ops_slice service)
{
    uintptr_t known = (uintptr_t)ops_map_get(w->services, service);
    if (known != 0) {
        put_varint(&w->buf, known);
        return;
    }
    put_varint(&w->buf, 0);
    put_bytes(&w->buf, service);
}

static size_t size_bound(const ops_record *r)
{
    size_t n = 64 + r->service.n + r->message.n + r->trace_id.n + r->span_id.n;
    for (uint32_t i = 0; i < r->attr_count; i++)
        n += 2 * OPS_VARINT_BYTES_MAX + r->attrs[i].key.n + r->attrs[i].val.n;
    return n;
}

/* Names get a number only once their record is in, so that a record rolled back leaves no trace. */
static ops_status number_service(ops_record_writer *w, ops_slice service)
{
    size_t next = ops_map_count(w->services) + 1;
    if (ops_map_has(w->services, service))
        return OPS_OK;
    return ops_map_put(w->services, service, (void *)(uintptr_t)next, NULL);
}

ops_status ops_record_writer_add(ops_record_writer *w, const ops_record *r)
{
    size_t bound = size_bound(r);
    if (r->attr_count > OPS_RECORD_ATTRS_MAX || bound > w->bytes_max - w->head_bytes)
        return OPS_ETOOBIG;
    if (bound > w->bytes_max - w->buf.n ||
        (ops_map_count(w->services) >= SERVICES_MAX && !ops_map_has(w->services, r->service)))
        return OPS_EAGAIN;
    size_t mark = w->buf.n;
    put_varint(&w->buf, ops_zigzag((int64_t)((uint64_t)r->time_ns - (uint64_t)w->last_time_ns)));
    ops_strbuf_char(&w->buf, (char)r->severity);
    put_varint(&w->buf, r->flags);
    put_service(w, r->service);
    put_bytes(&w->buf, r->message);
    put_bytes(&w->buf, r->trace_id);
    put_bytes(&w->buf, r->span_id);
    put_varint(&w->buf, r->attr_count);
    for (uint32_t i = 0; i < r->attr_count; i++) {
        put_bytes(&w->buf, r->attrs[i].key);
        put_bytes(&w->buf, r->attrs[i].val);
    }
    if (w->buf.failed || number_service(w, r->service) != OPS_OK) {
        w->buf.n = mark;
        w->buf.failed = false;
        return OPS_ENOMEM;
    }
    w->count++;
    w->last_time_ns = r->time_ns;
    w->min_time_ns = r->time_ns < w->min_time_ns ? r->time_ns : w->min_time_ns;
    w->max_time_ns = r->time_ns > w->max_time_ns ? r->time_ns : w->max_time_ns;
    return OPS_OK;
}

ops_slice ops_record_writer_bytes(const ops_record_writer *w)
{
    return ops_strbuf_get(&w->buf);
}

uint32_t ops_record_writer_count(const ops_record_writer *w)
{
    return w->count;
}

int64_t ops_record_writer_min_time_ns(const ops_record_writer *w)
{
    return w->min_time_ns;
}

int64_t ops_record_writer_max_time_ns(const ops_record_writer *w)
{
    return w->max_time_ns;
}
