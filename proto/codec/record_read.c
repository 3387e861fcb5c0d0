/* Batch decoding: zero-copy, every length checked before use. */
#include "proto/codec/record.h"

#include "base/coll/vec.h"
#include "base/text/codec.h"

enum { VERSION = 1 };

struct reader {
    const uint8_t *begin, *p, *end;
    OPS_VEC(ops_slice) services;
    ops_attr attrs[OPS_RECORD_ATTRS_MAX];
};

static bool get_bytes(struct reader *rd, ops_slice *ret)
{
    uint64_t n;
    if (!ops_varint_get(&rd->p, rd->end, &n) || n > (uint64_t)(rd->end - rd->p))
        return false;
    *ret = ops_slice_of(rd->p, (size_t)n);
    rd->p += n;
    return true;
}

static bool get_byte(struct reader *rd, uint8_t *ret)
{
    if (rd->p == rd->end)
        return false;
    *ret = *rd->p++;
    return true;
}

static bool get_service(struct reader *rd, ops_slice *ret)
{
    uint64_t ref;
    if (!ops_varint_get(&rd->p, rd->end, &ref) || ref > rd->services.n)
        return false;
    if (ref > 0) {
        *ret = rd->services.v[ref - 1];
        return true;
    }
    return get_bytes(rd, ret) && ops_vec_push(&rd->services, *ret);
}

static bool get_record(struct reader *rd, ops_record *r)
{
    uint64_t delta, flags, attr_count;
    if (!ops_varint_get(&rd->p, rd->end, &delta) || !get_byte(rd, &r->severity) ||
        !ops_varint_get(&rd->p, rd->end, &flags) || flags > UINT32_MAX || !get_service(rd, &r->service) ||
        !get_bytes(rd, &r->message) || !get_bytes(rd, &r->trace_id) || !get_bytes(rd, &r->span_id) ||
        !ops_varint_get(&rd->p, rd->end, &attr_count) || attr_count > OPS_RECORD_ATTRS_MAX)
        return false;
    r->time_ns = (int64_t)((uint64_t)r->time_ns + (uint64_t)ops_unzigzag(delta));
    r->flags = (uint32_t)flags;
    r->attr_count = (uint32_t)attr_count;
    for (uint32_t i = 0; i < r->attr_count; i++)
        if (!get_bytes(rd, &rd->attrs[i].key) || !get_bytes(rd, &rd->attrs[i].val))
            return false;
    return true;
}

static ops_status walk(struct reader *rd, ops_record_fn fn, void *u, ops_err *reterr)
{
    uint8_t version;
    ops_slice tenant;
    if (!get_byte(rd, &version) || version != VERSION)
        return ops_fail(reterr, OPS_ECORRUPT, "record batch: unknown version at byte 0");
    if (!get_bytes(rd, &tenant) || rd->end - rd->p < 8)
        return ops_fail(reterr, OPS_ECORRUPT, "record batch: head cut short at byte %td", rd->p - rd->begin);
    ops_record r = {.attrs = rd->attrs, .recv_ns = (int64_t)ops_get_be64(rd->p)};
    r.time_ns = r.recv_ns;
    rd->p += 8;
    for (uint32_t index = 0; rd->p < rd->end; index++) {
        const uint8_t *at = rd->p;
        if (!get_record(rd, &r))
            return ops_fail(reterr, OPS_ECORRUPT, "record batch: record %u at byte %td is damaged", index,
                            at - rd->begin);
        ops_status st = fn(u, tenant, index, &r);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

ops_status ops_record_batch_walk(ops_slice batch, ops_record_fn fn, void *u, ops_err *reterr)
{
    const uint8_t *p = (const uint8_t *)batch.p;
    struct reader rd = {.begin = p, .p = p, .end = p + batch.n};
    if (batch.n == 0)
        return ops_fail(reterr, OPS_ECORRUPT, "record batch: empty");
    ops_status st = walk(&rd, fn, u, reterr);
    ops_vec_done(&rd.services);
    return st;
}
