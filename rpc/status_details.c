#include "rpc/status_details.h"

#include <stdio.h>

#include "rpc/wire.h"

#define TYPE(name) "type.googleapis.com/google.rpc." name

enum { PART_BYTES_MAX = 4096 };

static void put_any(ops_strbuf *out, const char *type, ops_strbuf *value)
{
    ops_strbuf any;
    ops_strbuf_init(&any, PART_BYTES_MAX);
    wire_bytes(&any, 1, ops_slice_str(type));
    wire_bytes(&any, 2, ops_strbuf_get(value));
    if (any.failed || value->failed)
        out->failed = true;
    wire_bytes(out, 3, ops_strbuf_get(&any));
    ops_strbuf_done(&any);
}

/* RetryInfo { Duration retry_delay = 1 { seconds = 1, nanos = 2 } } */
static void put_retry(ops_strbuf *out, uint32_t ms)
{
    ops_strbuf duration, info;
    ops_strbuf_init(&duration, PART_BYTES_MAX);
    ops_strbuf_init(&info, PART_BYTES_MAX);
    if (ms / 1000 > 0)
        wire_uint(&duration, 1, ms / 1000);
    if (ms % 1000 > 0)
        wire_uint(&duration, 2, (uint64_t)(ms % 1000) * 1000000);
    wire_bytes(&info, 1, ops_strbuf_get(&duration));
    put_any(out, TYPE("RetryInfo"), &info);
    ops_strbuf_done(&duration);
    ops_strbuf_done(&info);
}

static void put_pair(ops_strbuf *out, const char *type, bool nested, const char *one, const char *two)
{
    ops_strbuf inner, outer;
    ops_strbuf_init(&inner, PART_BYTES_MAX);
    ops_strbuf_init(&outer, PART_BYTES_MAX);
    wire_bytes(&inner, 1, ops_slice_str(one));
    wire_bytes(&inner, 2, ops_slice_str(two));
    wire_bytes(&outer, 1, ops_strbuf_get(&inner));
    put_any(out, type, nested ? &outer : &inner);
    ops_strbuf_done(&inner);
    ops_strbuf_done(&outer);
}

void ops_rpc_status_put(int code, ops_slice message, const ops_rpc_details *d, ops_strbuf *out)
{
    wire_uint(out, 1, (uint64_t)code);
    wire_bytes(out, 2, message);
    if (d == NULL)
        return;
    if (d->retry_ms > 0)
        put_retry(out, d->retry_ms);
    if (d->reason[0] != '\0')
        put_pair(out, TYPE("ErrorInfo"), false, d->reason, d->domain);
    if (d->field[0] != '\0')
        put_pair(out, TYPE("BadRequest"), true, d->field, d->problem);
}

static void copy(char *to, size_t max, ops_slice from)
{
    (void)snprintf(to, max, OPS_SLICE_FMT, OPS_SLICE_ARG(from));
}

static bool get_retry(ops_slice info, uint32_t *ret_ms)
{
    wire_field f, g;
    bool bad = false;
    uint64_t ms = 0;
    while (wire_next(&info, &f, &bad)) {
        ops_slice duration = f.bytes;
        while (f.number == 1 && f.type == 2 && wire_next(&duration, &g, &bad)) {
            if (g.number == 1 && g.type == 0)
                ms += g.varint > UINT32_MAX / 1000 ? UINT32_MAX : g.varint * 1000;
            if (g.number == 2 && g.type == 0)
                ms += g.varint / 1000000 % 1000;
        }
    }
    *ret_ms = ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
    return !bad;
}

static bool get_pair(ops_slice bytes, char *one, size_t one_max, char *two, size_t two_max)
{
    wire_field f;
    bool bad = false;
    while (wire_next(&bytes, &f, &bad)) {
        if (f.number == 1 && f.type == 2)
            copy(one, one_max, f.bytes);
        if (f.number == 2 && f.type == 2)
            copy(two, two_max, f.bytes);
    }
    return !bad;
}

static bool get_detail(ops_slice any, ops_rpc_details *ret)
{
    wire_field f;
    bool bad = false;
    ops_slice type = {0}, value = {0};
    while (wire_next(&any, &f, &bad)) {
        if (f.number == 1)
            type = f.bytes;
        if (f.number == 2)
            value = f.bytes;
    }
    if (bad)
        return false;
    if (ops_slice_ends(type, OPS_SLICE("google.rpc.RetryInfo")))
        return get_retry(value, &ret->retry_ms);
    if (ops_slice_ends(type, OPS_SLICE("google.rpc.ErrorInfo")))
        return get_pair(value, ret->reason, sizeof ret->reason, ret->domain, sizeof ret->domain);
    if (ops_slice_ends(type, OPS_SLICE("google.rpc.BadRequest"))) {
        if (!wire_next(&value, &f, &bad) || f.number != 1 || f.type != 2)
            return !bad;
        return get_pair(f.bytes, ret->field, sizeof ret->field, ret->problem, sizeof ret->problem);
    }
    return true;
}

bool ops_rpc_status_get(ops_slice bytes, ops_rpc_details *ret)
{
    wire_field f;
    bool bad = false, ok = true;
    *ret = (ops_rpc_details){0};
    while (wire_next(&bytes, &f, &bad))
        if (f.number == 3 && f.type == 2)
            ok = get_detail(f.bytes, ret) && ok;
    return ok && !bad;
}
