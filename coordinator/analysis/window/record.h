/* Reading and writing the analysis rooms' snapshot records: varints, zigzag, doubles as bits. */
#ifndef OPS_ANALYSIS_RECORD_H
#define OPS_ANALYSIS_RECORD_H

#include "base/text/codec.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"

static inline void ops_record_u(ops_strbuf *b, uint64_t v)
{
    uint8_t buf[OPS_VARINT_BYTES_MAX];
    ops_strbuf_put(b, buf, ops_varint_put(buf, v));
}
static inline void ops_record_i(ops_strbuf *b, int64_t v)
{
    ops_record_u(b, ops_zigzag(v));
}
static inline void ops_record_f(ops_strbuf *b, double v)
{
    uint8_t buf[8];
    uint64_t bits;
    memcpy(&bits, &v, 8);
    ops_put_be64(buf, bits);
    ops_strbuf_put(b, buf, 8);
}
static inline void ops_record_s(ops_strbuf *b, ops_slice s)
{
    ops_record_u(b, s.n);
    ops_strbuf_slice(b, s);
}

typedef struct ops_record_reader {
    const uint8_t *p, *end;
    bool bad; /* sticky: check once, at the end */
} ops_record_reader;

static inline ops_record_reader ops_record_read(ops_slice val)
{
    return (ops_record_reader){(const uint8_t *)val.p, (const uint8_t *)val.p + val.n, false};
}
static inline uint64_t ops_record_get_u(ops_record_reader *r)
{
    uint64_t v = 0;
    if (!ops_varint_get(&r->p, r->end, &v))
        r->bad = true;
    return v;
}
static inline int64_t ops_record_get_i(ops_record_reader *r)
{
    return ops_unzigzag(ops_record_get_u(r));
}
static inline double ops_record_get_f(ops_record_reader *r)
{
    double v = 0;
    if (r->end - r->p < 8) {
        r->bad = true;
        return v;
    }
    uint64_t bits = ops_get_be64(r->p);
    memcpy(&v, &bits, 8);
    r->p += 8;
    if (!(v - v == 0)) { /* infinite or not a number */
        r->bad = true;
        return 0;
    }
    return v;
}
static inline ops_slice ops_record_get_s(ops_record_reader *r, size_t max)
{
    uint64_t n = ops_record_get_u(r);
    if (r->bad || n > max || n > (size_t)(r->end - r->p)) {
        r->bad = true;
        return (ops_slice){"", 0};
    }
    r->p += n;
    return ops_slice_of(r->p - n, n);
}
/* Nothing was cut short and nothing is left over. */
static inline bool ops_record_whole(const ops_record_reader *r)
{
    return !r->bad && r->p == r->end;
}

#endif
