/* Encoding of entries: a fixed head, then the payload, LZ4 when that helps. */
#include <lz4.h>

#include "base/text/codec.h"
#include "base/text/hash.h"
#include "storage/streamlog/entry_internal.h"

enum { VERSION = 1, PLAIN = 0, LZ4 = 1 };

void ops_entry_key(uint8_t key[ENTRY_KEY_BYTES], uint32_t part, uint64_t offset)
{
    ops_put_be32(key, part);
    ops_put_be64(key + 4, offset);
}

ops_status ops_entry_encode(const ops_streamlog_entry *e, ops_strbuf *out)
{
    int bound = LZ4_compressBound((int)e->payload.n);
    char *at = ops_strbuf_room(out, ENTRY_HEAD_BYTES + (size_t)bound);
    if (at == NULL)
        return OPS_ENOMEM;
    char *body = at + ENTRY_HEAD_BYTES;
    int packed = LZ4_compress_default(e->payload.p, body, (int)e->payload.n, bound);
    bool smaller = packed > 0 && (size_t)packed < e->payload.n;
    if (!smaller && e->payload.n > 0)
        memcpy(body, e->payload.p, e->payload.n);
    at[0] = VERSION;
    at[1] = smaller ? LZ4 : PLAIN;
    ops_put_be32(at + 2, ops_crc32c(e->payload.p, e->payload.n, 0));
    ops_put_be32(at + 6, (uint32_t)e->payload.n);
    ops_put_be32(at + 10, e->record_count);
    ops_put_be64(at + 14, (uint64_t)e->recv_ns);
    ops_put_be64(at + 22, (uint64_t)e->min_time_ns);
    ops_put_be64(at + 30, (uint64_t)e->max_time_ns);
    out->n += ENTRY_HEAD_BYTES + (smaller ? (size_t)packed : e->payload.n);
    return OPS_OK;
}

static ops_status unpack(ops_slice body, uint32_t plain_bytes, ops_strbuf *plain, ops_err *reterr)
{
    char *at = ops_strbuf_room(plain, plain_bytes);
    if (at == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "entry of %u bytes", plain_bytes);
    int n = LZ4_decompress_safe(body.p, at, (int)body.n, (int)plain_bytes);
    if (n < 0 || (uint32_t)n != plain_bytes)
        return ops_fail(reterr, OPS_ECORRUPT, "payload does not decompress");
    plain->n = plain_bytes;
    return OPS_OK;
}

ops_status ops_entry_decode(ops_slice value, ops_strbuf *plain, ops_streamlog_entry *ret, ops_err *reterr)
{
    const char *p = value.p;
    if (value.n < ENTRY_HEAD_BYTES || p[0] != VERSION || (p[1] != PLAIN && p[1] != LZ4))
        return ops_fail(reterr, OPS_ECORRUPT, "head of %zu bytes is not one of ours", value.n);
    uint32_t plain_bytes = ops_get_be32(p + 6);
    ops_slice body = ops_slice_sub(value, ENTRY_HEAD_BYTES, value.n);
    if (plain_bytes > OPS_STREAMLOG_ENTRY_BYTES_MAX || (p[1] == PLAIN && body.n != plain_bytes))
        return ops_fail(reterr, OPS_ECORRUPT, "head says %u bytes, %zu are there", plain_bytes, body.n);
    ops_strbuf_clear(plain);
    if (p[1] == LZ4) {
        ops_status st = unpack(body, plain_bytes, plain, reterr);
        if (st != OPS_OK)
            return st;
        body = ops_strbuf_get(plain);
    }
    if (ops_crc32c(body.p, body.n, 0) != ops_get_be32(p + 2))
        return ops_fail(reterr, OPS_ECORRUPT, "checksum of the payload is wrong");
    *ret = (ops_streamlog_entry){
        .payload = body,
        .record_count = ops_get_be32(p + 10),
        .recv_ns = (int64_t)ops_get_be64(p + 14),
        .min_time_ns = (int64_t)ops_get_be64(p + 22),
        .max_time_ns = (int64_t)ops_get_be64(p + 30),
    };
    return OPS_OK;
}
