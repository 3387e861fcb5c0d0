/* The protobuf form of a Loki push, read from the wire without a schema compiler:
 *   PushRequest { streams = 1 }   StreamAdapter { labels = 1, entries = 2 }
 *   EntryAdapter { timestamp = 1 { seconds = 1, nanos = 2 }, line = 2, structuredMetadata = 3 { name = 1, value = 2 } }
 * Unknown fields are skipped; a known field of another wire type, a group and a length that leaves its message are
 * refused with the byte. */
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "coordinator/ingest/inflate.h"
#include "coordinator/ingest/loki_internal.h"

#include <stdio.h>

enum { VARINT = 0, FIX64 = 1, LEN = 2, FIX32 = 5, NANOS = 1000000000 };

typedef struct wire {
    const uint8_t *p, *end, *base;
    bool broken;
} wire;

typedef struct field {
    uint64_t num, val;
    unsigned type;
    ops_slice bytes; /* of LEN */
} field;

static wire wire_of(const wire *outer, ops_slice s)
{
    const uint8_t *p = (const uint8_t *)s.p;

    return (wire){.p = p, .end = p + s.n, .base = outer->base};
}

/* False at the end, and when broken. */
static bool next(wire *w, field *f)
{
    uint64_t tag = 0;

    if (w->broken || w->p == w->end)
        return false;
    if (!ops_varint_get(&w->p, w->end, &tag) || tag >> 3 == 0 || tag >> 32 != 0) {
        w->broken = true;
        return false;
    }
    *f = (field){.num = tag >> 3, .type = (unsigned)(tag & 7)};
    const size_t left = (size_t)(w->end - w->p), fixed = f->type == FIX64 ? 8 : 4;
    switch (f->type) {
    case VARINT:
        w->broken = !ops_varint_get(&w->p, w->end, &f->val);
        break;
    case LEN:
        w->broken = !ops_varint_get(&w->p, w->end, &f->val) || f->val > (size_t)(w->end - w->p);
        if (!w->broken) {
            f->bytes = ops_slice_of(w->p, (size_t)f->val);
            w->p += f->val;
        }
        break;
    case FIX64:
    case FIX32:
        w->broken = left < fixed;
        if (!w->broken)
            w->p += fixed;
        break;
    default:
        w->broken = true;
    }
    return !w->broken;
}

/* A known field has its wire type, or the message is broken there. */
static bool is(wire *w, const field *f, uint64_t num, unsigned type)
{
    if (f->num != num)
        return false;
    if (f->type != type)
        w->broken = true;
    return f->type == type;
}

static ops_status check(const wire *w, const char *path, ops_err *reterr)
{
    return !w->broken ? OPS_OK
                      : ops_fail(reterr, OPS_EINVAL, "logproto.PushRequest: %s is broken near byte %zu", path,
                                 (size_t)(w->p - w->base));
}

/* False: out of range. */
static bool time_of(uint64_t seconds, uint64_t nanos, uint64_t *ret)
{
    if (seconds > (uint64_t)INT64_MAX / NANOS - 1 || nanos >= NANOS)
        return false;
    *ret = seconds * NANOS + nanos;
    return true;
}

static ops_status metadata(loki_ctx *c, const wire *outer, ops_slice bytes, ops_err *reterr)
{
    wire w = wire_of(outer, bytes);
    field f;
    ops_slice name = {0}, value = {0};

    while (next(&w, &f)) {
        if (is(&w, &f, 1, LEN))
            name = f.bytes;
        else if (is(&w, &f, 2, LEN))
            value = f.bytes;
    }
    loki_label(c, &c->entry, name, value);
    return check(&w, "structuredMetadata", reterr);
}

static ops_status entry(loki_ctx *c, const wire *outer, ops_slice bytes, const char *place,
                        const char *stream_flaw, ops_err *reterr)
{
    wire w = wire_of(outer, bytes), t;
    field f, part;
    uint64_t seconds = 0, nanos = 0, time_ns = 0;
    ops_slice line = {0};
    ops_status st = OPS_OK;

    loki_labels_clear(&c->entry);
    while (st == OPS_OK && next(&w, &f)) {
        if (is(&w, &f, 1, LEN)) {
            t = wire_of(&w, f.bytes);
            while (next(&t, &part)) {
                if (is(&t, &part, 1, VARINT))
                    seconds = part.val;
                else if (is(&t, &part, 2, VARINT))
                    nanos = part.val;
            }
            st = check(&t, "timestamp", reterr);
        } else if (is(&w, &f, 2, LEN)) {
            line = f.bytes;
        } else if (is(&w, &f, 3, LEN)) {
            st = metadata(c, &w, f.bytes, reterr);
        }
    }
    if (st == OPS_OK)
        st = check(&w, place, reterr);
    if (st != OPS_OK)
        return st;
    if (stream_flaw != NULL)
        return loki_refuse(c, place, stream_flaw, reterr);
    if (!time_of(seconds, nanos, &time_ns))
        return loki_refuse(c, place, "timestamp", reterr);
    return loki_entry(c, time_ns, line, place, reterr);
}

/* Labels may stand after the entries: they are looked for first. */
static ops_status stream(loki_ctx *c, const wire *outer, ops_slice bytes, size_t index, ops_err *reterr)
{
    wire w = wire_of(outer, bytes);
    field f;
    char place[LOKI_PLACE_BYTES], flaw[64];
    ops_slice labels = {0};
    size_t at, i = 0;

    while (next(&w, &f)) {
        if (is(&w, &f, 1, LEN))
            labels = f.bytes;
    }
    (void)snprintf(place, sizeof place, "streams[%zu]", index);
    ops_status st = check(&w, place, reterr);
    if (st != OPS_OK)
        return st;
    const bool ok = loki_label_text(c, labels, &at);
    (void)snprintf(flaw, sizeof flaw, "labels at its byte %zu", at);
    loki_stream(c);
    w = wire_of(outer, bytes);
    while (st == OPS_OK && next(&w, &f)) {
        if (!is(&w, &f, 2, LEN))
            continue;
        (void)snprintf(place, sizeof place, "streams[%zu].entries[%zu]", index, i++);
        st = entry(c, &w, f.bytes, place, ok ? NULL : flaw, reterr);
    }
    return st == OPS_OK ? check(&w, place, reterr) : st;
}

ops_status ops_loki_decode(const uint8_t *p, size_t n, const ops_ingest_limits *limits, int64_t recv_ns,
                           ops_ingest_sink sink, ops_ingest_reject reject, void *u,
                           ops_ingest_counters *counters, ops_err *reterr)
{
    OPS_AUTO(loki_free) loki_ctx *c = NULL;
    wire w = {.p = p, .end = p + n, .base = p};
    field f;
    size_t i = 0;

    if (n > limits->request_bytes_max)
        return ops_fail(reterr, OPS_ETOOBIG, "request of %zu bytes is above the limit of %zu", n,
                        limits->request_bytes_max);
    ops_status st = loki_new(limits, recv_ns, sink, reject, u, &c, reterr);
    while (st == OPS_OK && next(&w, &f)) {
        if (is(&w, &f, 1, LEN))
            st = stream(c, &w, f.bytes, i++, reterr);
    }
    if (st == OPS_OK)
        st = check(&w, "request", reterr);
    if (st == OPS_OK)
        otlp_count(c->d, counters);
    return st;
}

ops_status ops_loki_decode_snappy(const uint8_t *p, size_t n, const ops_ingest_limits *limits,
                                  int64_t recv_ns, ops_ingest_sink sink, ops_ingest_reject reject, void *u,
                                  ops_ingest_counters *counters, ops_err *reterr)
{
    char *plain = NULL;
    size_t plain_n = 0;

    ops_status st =
        ops_inflate(OPS_INFLATE_SNAPPY, p, n, limits->request_bytes_max, &plain, &plain_n, reterr);
    if (st == OPS_OK)
        st = ops_loki_decode((const uint8_t *)plain, plain_n, limits, recv_ns, sink, reject, u, counters,
                             reterr);
    ops_free(plain);
    return st;
}
