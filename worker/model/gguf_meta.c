/* Metadata: one cursor over the bytes, and values in their thirteen kinds. Array elements stay in the file; walking them
 * once here is what lets ops_gguf_next() read without checks. */
#include <inttypes.h>
#include <string.h>

#include "base/text/utf8.h"
#include "worker/model/gguf_internal.h"

static const struct {
    const char *name;
    size_t bytes; /* of one value; 0: it varies */
} kinds[OPS_GGUF_KIND_COUNT] = {
    [OPS_GGUF_U8] = {"u8", 1},       [OPS_GGUF_I8] = {"i8", 1},     [OPS_GGUF_U16] = {"u16", 2},
    [OPS_GGUF_I16] = {"i16", 2},     [OPS_GGUF_U32] = {"u32", 4},   [OPS_GGUF_I32] = {"i32", 4},
    [OPS_GGUF_F32] = {"f32", 4},     [OPS_GGUF_BOOL] = {"bool", 1}, [OPS_GGUF_TEXT] = {"text", 0},
    [OPS_GGUF_ARRAY] = {"array", 0}, [OPS_GGUF_U64] = {"u64", 8},   [OPS_GGUF_I64] = {"i64", 8},
    [OPS_GGUF_F64] = {"f64", 8},
};

const char *ops_gguf_kind_name(ops_gguf_kind kind)
{
    return (unsigned)kind < OPS_GGUF_KIND_COUNT ? kinds[kind].name : "unknown";
}

static uint64_t little(const char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = n; i-- > 0;)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

static ops_status get(ops_gguf_cursor *c, size_t bytes, const char *what, uint64_t *ret, ops_err *reterr)
{
    if (ops_gguf_left(c) < bytes)
        return ops_fail(reterr, OPS_ECORRUPT, "gguf: byte %zu: %s needs %zu bytes, the file ends at byte %zu",
                        c->at, what, bytes, c->all.n);
    *ret = little(c->all.p + c->at, bytes);
    c->at += bytes;
    return OPS_OK;
}

ops_status ops_gguf_get_u32(ops_gguf_cursor *c, const char *what, uint32_t *ret, ops_err *reterr)
{
    uint64_t v = 0;
    const ops_status st = get(c, 4, what, &v, reterr);
    if (st == OPS_OK)
        *ret = (uint32_t)v;
    return st;
}

ops_status ops_gguf_get_u64(ops_gguf_cursor *c, const char *what, uint64_t *ret, ops_err *reterr)
{
    return get(c, 8, what, ret, reterr);
}

ops_status ops_gguf_get_text(ops_gguf_cursor *c, const char *what, ops_slice *ret, ops_err *reterr)
{
    const size_t start = c->at;
    uint64_t n = 0;
    const ops_status st = get(c, 8, what, &n, reterr);
    if (st != OPS_OK)
        return st;
    if (n > ops_gguf_left(c))
        return ops_fail(reterr, OPS_ECORRUPT,
                        "gguf: byte %zu: %s of %" PRIu64 " bytes, the file has %zu left", start, what, n,
                        ops_gguf_left(c));
    *ret = ops_slice_of(c->all.p + c->at, (size_t)n);
    c->at += (size_t)n;
    return OPS_OK;
}

ops_status ops_gguf_get_name(ops_gguf_cursor *c, const char *what, ops_slice *ret, ops_err *reterr)
{
    const size_t start = c->at;
    ops_slice s = {0};
    const ops_status st = ops_gguf_get_text(c, what, &s, reterr);
    if (st != OPS_OK)
        return st;
    bool good = s.n > 0 && s.n <= OPS_GGUF_NAME_MAX && ops_utf8_valid(s);
    for (size_t i = 0; good && i < s.n; i++)
        good = (unsigned char)s.p[i] >= 32 && s.p[i] != 127;
    if (!good)
        return ops_fail(
            reterr, OPS_ECORRUPT,
            "gguf: byte %zu: %s of %zu bytes is no name (1 to %d bytes of UTF-8, no control characters)",
            start, what, s.n, OPS_GGUF_NAME_MAX);
    *ret = s;
    return OPS_OK;
}

static void take(ops_gguf_kind kind, uint64_t raw, ops_gguf_value *v)
{
    const size_t bytes = kinds[kind].bytes;
    const unsigned unused = bytes > 0 && bytes < 8 ? 64 - 8 * (unsigned)bytes : 0;
    switch (kind) {
    case OPS_GGUF_I8:
    case OPS_GGUF_I16:
    case OPS_GGUF_I32:
    case OPS_GGUF_I64:
        v->i = (int64_t)(raw << unused) >> unused; /* the sign of the short integer spreads */
        break;
    case OPS_GGUF_F32: {
        const uint32_t bits = (uint32_t)raw;
        float f;
        memcpy(&f, &bits, sizeof f);
        v->f = (double)f;
        break;
    }
    case OPS_GGUF_F64:
        memcpy(&v->f, &raw, sizeof v->f);
        break;
    case OPS_GGUF_BOOL:
        v->u = raw != 0; /* inside arrays any byte may stand */
        break;
    default:
        v->u = raw;
    }
}

static ops_status get_kind(ops_gguf_cursor *c, ops_slice name, ops_gguf_kind *ret, ops_err *reterr)
{
    const size_t start = c->at;
    uint32_t kind = 0;
    const ops_status st = ops_gguf_get_u32(c, "the kind of a value", &kind, reterr);
    if (st != OPS_OK)
        return st;
    if (kind >= OPS_GGUF_KIND_COUNT)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "gguf: byte %zu: key '" OPS_SLICE_FMT "': no kind of value has the number %u", start,
                        OPS_SLICE_ARG(name), kind);
    *ret = (ops_gguf_kind)kind;
    return OPS_OK;
}

static ops_status get_array(ops_gguf_cursor *c, ops_slice name, int depth, ops_gguf_array *ret,
                            ops_err *reterr);

/* Walks over one element of an array whose elements vary in size. */
static ops_status skip(ops_gguf_cursor *c, ops_slice name, ops_gguf_kind kind, int depth, ops_err *reterr)
{
    ops_slice text;
    ops_gguf_array inner;
    return kind == OPS_GGUF_TEXT ? ops_gguf_get_text(c, "a text in an array", &text, reterr)
                                 : get_array(c, name, depth + 1, &inner, reterr);
}

// NOLINTNEXTLINE(misc-no-recursion): OPS_GGUF_DEPTH_MAX levels
static ops_status get_array(ops_gguf_cursor *c, ops_slice name, int depth, ops_gguf_array *ret,
                            ops_err *reterr)
{
    const size_t start = c->at;
    ops_gguf_array a = {.n = 0};
    if (depth >= OPS_GGUF_DEPTH_MAX)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "gguf: byte %zu: key '" OPS_SLICE_FMT "': arrays nest deeper than %d", start,
                        OPS_SLICE_ARG(name), OPS_GGUF_DEPTH_MAX);
    ops_status st = get_kind(c, name, &a.of, reterr);
    if (st == OPS_OK)
        st = ops_gguf_get_u64(c, "the length of an array", &a.n, reterr);
    if (st != OPS_OK)
        return st;
    const size_t fixed = kinds[a.of].bytes, least = fixed > 0 ? fixed : a.of == OPS_GGUF_TEXT ? 8 : 12;
    if (a.n > ops_gguf_left(c) / least)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "gguf: byte %zu: key '" OPS_SLICE_FMT "': an array of %" PRIu64
                        " %s, the file has %zu bytes left",
                        start, OPS_SLICE_ARG(name), a.n, kinds[a.of].name, ops_gguf_left(c));
    const size_t from = c->at;
    if (fixed > 0)
        c->at += (size_t)a.n * fixed;
    else
        for (uint64_t i = 0; i < a.n && st == OPS_OK; i++)
            st = skip(c, name, a.of, depth, reterr);
    if (st != OPS_OK)
        return st;
    a.rest = ops_slice_sub(c->all, from, c->at - from);
    *ret = a;
    return OPS_OK;
}

ops_status ops_gguf_get_value(ops_gguf_cursor *c, ops_slice name, ops_gguf_value *ret, ops_err *reterr)
{
    ops_gguf_value v = {.u = 0};
    ops_status st = get_kind(c, name, &v.kind, reterr);
    const size_t start = c->at;
    if (st == OPS_OK && v.kind == OPS_GGUF_TEXT)
        st = ops_gguf_get_text(c, "a text", &v.text, reterr);
    else if (st == OPS_OK && v.kind == OPS_GGUF_ARRAY)
        st = get_array(c, name, 0, &v.array, reterr);
    else if (st == OPS_OK) {
        uint64_t raw = 0;
        st = get(c, kinds[v.kind].bytes, "a value", &raw, reterr);
        if (st == OPS_OK && v.kind == OPS_GGUF_BOOL && raw > 1)
            return ops_fail(reterr, OPS_ECORRUPT,
                            "gguf: byte %zu: key '" OPS_SLICE_FMT "': a bool of value %u", start,
                            OPS_SLICE_ARG(name), (unsigned)raw);
        if (st == OPS_OK)
            take(v.kind, raw, &v);
    }
    if (st != OPS_OK)
        return st;
    *ret = v;
    return OPS_OK;
}

bool ops_gguf_next(ops_gguf_array *a, ops_gguf_value *ret)
{
    if (a->n == 0)
        return false;
    ops_gguf_value v = {.kind = a->of};
    ops_gguf_cursor c = {a->rest, 0};
    ops_status st = OPS_OK;
    uint64_t raw = 0;
    if (a->of == OPS_GGUF_TEXT)
        st = ops_gguf_get_text(&c, "a text", &v.text, NULL);
    else if (a->of == OPS_GGUF_ARRAY)
        st = get_array(&c, ops_slice_of(NULL, 0), 1, &v.array, NULL);
    else if ((st = get(&c, kinds[a->of].bytes, "a value", &raw, NULL)) == OPS_OK)
        take(a->of, raw, &v);
    if (st != OPS_OK)
        return false; /* not after ops_gguf_parse() */
    a->n--;
    a->rest = ops_slice_sub(a->rest, c.at, a->rest.n);
    *ret = v;
    return true;
}
