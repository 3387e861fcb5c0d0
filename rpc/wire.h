/* The few protobuf messages that rpc/ itself speaks (health, reflection, status), by hand. Private to rpc.
 * A field is a tag and a varint or a length-delimited value; other wire types are passed over. */
#ifndef OPS_RPC_WIRE_H
#define OPS_RPC_WIRE_H

#include "base/text/codec.h"
#include "base/text/strbuf.h"

typedef struct wire_field {
    uint32_t number;
    uint32_t type; /* 0 varint, 2 bytes, 1 and 5 fixed */
    uint64_t varint;
    ops_slice bytes;
} wire_field;

/* Takes the next field off *rest; false at the end or, with *bad set, on broken bytes. */
static inline bool wire_next(ops_slice *rest, wire_field *ret, bool *bad)
{
    const uint8_t *p = (const uint8_t *)rest->p, *end = p + rest->n;
    uint64_t tag, n;
    if (rest->n == 0)
        return false;
    *bad = true;
    if (!ops_varint_get(&p, end, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF)
        return false;
    *ret = (wire_field){.number = (uint32_t)(tag >> 3), .type = (uint32_t)(tag & 7)};
    if (ret->type == 0) {
        if (!ops_varint_get(&p, end, &ret->varint))
            return false;
    } else if (ret->type == 2) {
        if (!ops_varint_get(&p, end, &n) || n > (uint64_t)(end - p))
            return false;
        ret->bytes = ops_slice_of(p, (size_t)n);
        p += n;
    } else if (ret->type == 1 || ret->type == 5) {
        n = ret->type == 1 ? 8 : 4;
        if ((uint64_t)(end - p) < n)
            return false;
        p += n;
    } else
        return false;
    *bad = false;
    *rest = ops_slice_of(p, (size_t)(end - p));
    return true;
}

static inline void wire_varint(ops_strbuf *b, uint64_t v)
{
    uint8_t tmp[OPS_VARINT_BYTES_MAX];
    ops_strbuf_put(b, tmp, ops_varint_put(tmp, v));
}

static inline void wire_uint(ops_strbuf *b, uint32_t number, uint64_t v)
{
    wire_varint(b, (uint64_t)number << 3);
    wire_varint(b, v);
}

static inline void wire_bytes(ops_strbuf *b, uint32_t number, ops_slice s)
{
    wire_varint(b, (uint64_t)number << 3 | 2);
    wire_varint(b, s.n);
    ops_strbuf_slice(b, s);
}

#endif
