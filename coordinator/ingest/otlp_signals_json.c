/* A table of the published messages and one recursive writer. */
#include "coordinator/ingest/otlp_signals_json.h"

#include "base/text/codec.h"
#include "coordinator/ingest/json_in.h"

#include <stdio.h>

enum type { STR, HEX, B64, BOOL, INT, UINT, SINT, FIX64, SFIX64, DOUBLE, FIX32, MSG };
enum wire { VARINT = 0, WIRE64 = 1, LEN = 2, WIRE32 = 5 };
enum { ONE = 0, MANY = 1, HEX_ID_BYTES_MAX = 16, BASE64_BITS = 6 };

/* One known name: its field number, what its values are, and its message. */
typedef struct field {
    const char *name;
    uint8_t num, type, many;
    const struct field *msg;
} field;
/* clang-format off */
#define END {NULL, 0, 0, 0, NULL}
#define START_AND_TIME {"startTimeUnixNano", 2, FIX64, ONE, NULL}, {"timeUnixNano", 3, FIX64, ONE, NULL}

static const field array[], kvlist[];
static const field any[] = {
    {"stringValue", 1, STR, ONE, NULL}, {"boolValue", 2, BOOL, ONE, NULL}, {"intValue", 3, INT, ONE, NULL},
    {"doubleValue", 4, DOUBLE, ONE, NULL}, {"arrayValue", 5, MSG, ONE, array}, {"kvlistValue", 6, MSG, ONE, kvlist},
    {"bytesValue", 7, B64, ONE, NULL}, END};
static const field kv[] = {{"key", 1, STR, ONE, NULL}, {"value", 2, MSG, ONE, any}, END};
static const field array[] = {{"values", 1, MSG, MANY, any}, END};
static const field kvlist[] = {{"values", 1, MSG, MANY, kv}, END};
static const field resource[] = {
    {"attributes", 1, MSG, MANY, kv}, {"droppedAttributesCount", 2, UINT, ONE, NULL}, END};
static const field scope[] = {
    {"name", 1, STR, ONE, NULL}, {"version", 2, STR, ONE, NULL}, {"attributes", 3, MSG, MANY, kv},
    {"droppedAttributesCount", 4, UINT, ONE, NULL}, END};

static const field exemplar[] = {
    {"filteredAttributes", 7, MSG, MANY, kv}, {"timeUnixNano", 2, FIX64, ONE, NULL}, {"asDouble", 3, DOUBLE, ONE, NULL},
    {"asInt", 6, SFIX64, ONE, NULL}, {"spanId", 4, HEX, ONE, NULL}, {"traceId", 5, HEX, ONE, NULL}, END};
static const field number[] = {
    {"attributes", 7, MSG, MANY, kv}, START_AND_TIME, {"asDouble", 4, DOUBLE, ONE, NULL}, {"asInt", 6, SFIX64, ONE, NULL},
    {"exemplars", 5, MSG, MANY, exemplar}, {"flags", 8, UINT, ONE, NULL}, END};
static const field histogram_point[] = {
    {"attributes", 9, MSG, MANY, kv}, START_AND_TIME, {"count", 4, FIX64, ONE, NULL}, {"sum", 5, DOUBLE, ONE, NULL},
    {"bucketCounts", 6, FIX64, MANY, NULL}, {"explicitBounds", 7, DOUBLE, MANY, NULL},
    {"exemplars", 8, MSG, MANY, exemplar}, {"flags", 10, UINT, ONE, NULL}, {"min", 11, DOUBLE, ONE, NULL},
    {"max", 12, DOUBLE, ONE, NULL}, END};
static const field buckets[] = {{"offset", 1, SINT, ONE, NULL}, {"bucketCounts", 2, UINT, MANY, NULL}, END};
static const field exponential_point[] = {
    {"attributes", 1, MSG, MANY, kv}, START_AND_TIME, {"count", 4, FIX64, ONE, NULL}, {"sum", 5, DOUBLE, ONE, NULL},
    {"scale", 6, SINT, ONE, NULL}, {"zeroCount", 7, FIX64, ONE, NULL}, {"positive", 8, MSG, ONE, buckets},
    {"negative", 9, MSG, ONE, buckets}, {"flags", 10, UINT, ONE, NULL}, {"exemplars", 11, MSG, MANY, exemplar},
    {"min", 12, DOUBLE, ONE, NULL}, {"max", 13, DOUBLE, ONE, NULL}, {"zeroThreshold", 14, DOUBLE, ONE, NULL}, END};
static const field quantile[] = {{"quantile", 1, DOUBLE, ONE, NULL}, {"value", 2, DOUBLE, ONE, NULL}, END};
static const field summary_point[] = {
    {"attributes", 7, MSG, MANY, kv}, START_AND_TIME, {"count", 4, FIX64, ONE, NULL}, {"sum", 5, DOUBLE, ONE, NULL},
    {"quantileValues", 6, MSG, MANY, quantile}, {"flags", 8, UINT, ONE, NULL}, END};
static const field gauge[] = {{"dataPoints", 1, MSG, MANY, number}, END};
static const field sum[] = {
    {"dataPoints", 1, MSG, MANY, number}, {"aggregationTemporality", 2, UINT, ONE, NULL},
    {"isMonotonic", 3, BOOL, ONE, NULL}, END};
static const field histogram[] = {
    {"dataPoints", 1, MSG, MANY, histogram_point}, {"aggregationTemporality", 2, UINT, ONE, NULL}, END};
static const field exponential[] = {
    {"dataPoints", 1, MSG, MANY, exponential_point}, {"aggregationTemporality", 2, UINT, ONE, NULL}, END};
static const field summary[] = {{"dataPoints", 1, MSG, MANY, summary_point}, END};
static const field metric[] = {
    {"name", 1, STR, ONE, NULL}, {"description", 2, STR, ONE, NULL}, {"unit", 3, STR, ONE, NULL},
    {"gauge", 5, MSG, ONE, gauge}, {"sum", 7, MSG, ONE, sum}, {"histogram", 9, MSG, ONE, histogram},
    {"exponentialHistogram", 10, MSG, ONE, exponential}, {"summary", 11, MSG, ONE, summary},
    {"metadata", 12, MSG, MANY, kv}, END};
static const field scope_metrics[] = {
    {"scope", 1, MSG, ONE, scope}, {"metrics", 2, MSG, MANY, metric}, {"schemaUrl", 3, STR, ONE, NULL}, END};
static const field resource_metrics[] = {
    {"resource", 1, MSG, ONE, resource}, {"scopeMetrics", 2, MSG, MANY, scope_metrics}, {"schemaUrl", 3, STR, ONE, NULL},
    END};
static const field metrics_request[] = {{"resourceMetrics", 1, MSG, MANY, resource_metrics}, END};

static const field event[] = {
    {"timeUnixNano", 1, FIX64, ONE, NULL}, {"name", 2, STR, ONE, NULL}, {"attributes", 3, MSG, MANY, kv},
    {"droppedAttributesCount", 4, UINT, ONE, NULL}, END};
static const field span_link[] = {
    {"traceId", 1, HEX, ONE, NULL}, {"spanId", 2, HEX, ONE, NULL}, {"traceState", 3, STR, ONE, NULL},
    {"attributes", 4, MSG, MANY, kv}, {"droppedAttributesCount", 5, UINT, ONE, NULL}, {"flags", 6, FIX32, ONE, NULL}, END};
static const field span_status[] = {{"message", 2, STR, ONE, NULL}, {"code", 3, UINT, ONE, NULL}, END};
static const field span[] = {
    {"traceId", 1, HEX, ONE, NULL}, {"spanId", 2, HEX, ONE, NULL}, {"traceState", 3, STR, ONE, NULL},
    {"parentSpanId", 4, HEX, ONE, NULL}, {"name", 5, STR, ONE, NULL}, {"kind", 6, UINT, ONE, NULL},
    {"startTimeUnixNano", 7, FIX64, ONE, NULL}, {"endTimeUnixNano", 8, FIX64, ONE, NULL},
    {"attributes", 9, MSG, MANY, kv}, {"droppedAttributesCount", 10, UINT, ONE, NULL}, {"events", 11, MSG, MANY, event},
    {"droppedEventsCount", 12, UINT, ONE, NULL}, {"links", 13, MSG, MANY, span_link},
    {"droppedLinksCount", 14, UINT, ONE, NULL}, {"status", 15, MSG, ONE, span_status}, {"flags", 16, FIX32, ONE, NULL},
    END};
static const field scope_spans[] = {
    {"scope", 1, MSG, ONE, scope}, {"spans", 2, MSG, MANY, span}, {"schemaUrl", 3, STR, ONE, NULL}, END};
static const field resource_spans[] = {
    {"resource", 1, MSG, ONE, resource}, {"scopeSpans", 2, MSG, MANY, scope_spans}, {"schemaUrl", 3, STR, ONE, NULL}, END};
static const field traces_request[] = {{"resourceSpans", 1, MSG, MANY, resource_spans}, END};
/* clang-format on */

typedef struct writer {
    ops_strbuf *out;
    uint32_t depth_max;
    char path[200]; /* of the value being written, cut when longer */
    size_t path_n;
    const char *wrong; /* what is, at `path` */
} writer;

static void put_varint(ops_strbuf *b, uint64_t v)
{
    uint8_t bytes[OPS_VARINT_BYTES_MAX];
    ops_strbuf_put(b, bytes, ops_varint_put(bytes, v));
}

static void put_tag(ops_strbuf *b, unsigned num, enum wire wire)
{
    put_varint(b, num << 3 | (unsigned)wire);
}

/* The bytes from `from` on get their length before them. */
static void close_length(ops_strbuf *b, size_t from)
{
    uint8_t bytes[OPS_VARINT_BYTES_MAX];
    const size_t n = ops_varint_put(bytes, b->n - from), size = b->n - from;

    if (b->failed || ops_strbuf_room(b, n) == NULL)
        return;
    memmove(b->p + from + n, b->p + from, size);
    memcpy(b->p + from, bytes, n);
    b->n += n;
    b->p[b->n] = '\0';
}

static bool wrong(writer *w, const char *what)
{
    w->wrong = what;
    return false;
}

static bool put_hex(writer *w, ops_slice s)
{
    uint8_t id[HEX_ID_BYTES_MAX];

    if (s.n > 2 * sizeof id || s.n % 2 != 0 || !ops_hex_get(s.p, s.n, id, s.n / 2))
        return wrong(w, "is not an id in hex");
    put_varint(w->out, s.n / 2);
    ops_strbuf_put(w->out, id, s.n / 2);
    return true;
}

static int base64_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : -1;
}

/* Both alphabets of RFC 4648, with or without padding, as protobuf's JSON mapping asks. */
static bool put_base64(writer *w, ops_slice s)
{
    const size_t from = w->out->n;
    uint32_t bits = 0, have = 0;

    while (s.n > 0 && s.p[s.n - 1] == '=')
        s.n--;
    for (size_t i = 0; i < s.n; i++) {
        const int v = base64_of(s.p[i]);
        if (v < 0)
            return wrong(w, "is not base64");
        bits = (bits << BASE64_BITS | (uint32_t)v) & 0xffff;
        have += BASE64_BITS;
        if (have >= 8) {
            have -= 8;
            ops_strbuf_char(w->out, (char)(bits >> have & 0xff));
        }
    }
    close_length(w->out, from);
    return true;
}

static bool put_text(writer *w, const json_t *v, enum type type)
{
    if (!json_is_string(v))
        return wrong(w, "is not a string");
    const ops_slice s = json_in_str(v);
    if (type == HEX)
        return put_hex(w, s);
    if (type == B64)
        return put_base64(w, s);
    put_varint(w->out, s.n);
    ops_strbuf_slice(w->out, s);
    return true;
}

static bool put_unsigned(writer *w, const json_t *v, enum type type)
{
    uint64_t u = 0;

    if (!json_in_u64(v, &u) || (type == FIX32 && u > UINT32_MAX))
        return wrong(w, "is not a whole number from 0 in range");
    if (type == UINT)
        put_varint(w->out, u);
    else
        ops_strbuf_put(w->out, &u, type == FIX32 ? 4 : 8); /* little-endian, as the wire */
    return true;
}

static bool put_signed(writer *w, const json_t *v, enum type type)
{
    int64_t i = 0;

    if (!json_in_i64(v, &i))
        return wrong(w, "is not a whole number in range");
    if (type == SINT && (i < INT32_MIN || i > INT32_MAX))
        return wrong(w, "is out of range");
    if (type == SFIX64)
        ops_strbuf_put(w->out, &i, sizeof i);
    else
        put_varint(w->out, type == SINT ? ops_zigzag(i) : (uint64_t)i);
    return true;
}

static bool put_scalar(writer *w, const json_t *v, enum type type)
{
    double x = 0;

    switch (type) {
    case STR:
    case HEX:
    case B64:
        return put_text(w, v, type);
    case BOOL:
        if (!json_is_boolean(v))
            return wrong(w, "is not true or false");
        put_varint(w->out, json_is_true(v));
        return true;
    case UINT:
    case FIX32:
    case FIX64:
        return put_unsigned(w, v, type);
    case INT:
    case SINT:
    case SFIX64:
        return put_signed(w, v, type);
    case DOUBLE:
        if (!json_in_f64(v, &x))
            return wrong(w, "is not a number");
        ops_strbuf_put(w->out, &x, sizeof x);
        return true;
    case MSG:
        break;
    }
    return false;
}

static enum wire wire_of(enum type type)
{
    switch (type) {
    case STR:
    case HEX:
    case B64:
    case MSG:
        return LEN;
    case FIX64:
    case SFIX64:
    case DOUBLE:
        return WIRE64;
    case FIX32:
        return WIRE32;
    case BOOL:
    case INT:
    case UINT:
    case SINT:
        return VARINT;
    }
    return VARINT;
}

static size_t enter(writer *w, const char *name, size_t index)
{
    const size_t was = w->path_n, left = sizeof w->path - was;
    int n = 0;

    if (name == NULL)
        n = snprintf(w->path + was, left, "[%zu]", index);
    else
        n = snprintf(w->path + was, left, "%s%s", was > 0 ? "." : "", name);
    w->path_n = n > 0 && (size_t)n < left ? was + (size_t)n : sizeof w->path - 1;
    return was;
}

static void leave(writer *w, size_t was)
{
    if (w->wrong == NULL) { /* else the path stays for the error */
        w->path_n = was;
        w->path[was] = '\0';
    }
}

static bool put_message(writer *w, const json_t *obj, const field *fields, uint32_t values);

static bool put_value(writer *w, const json_t *v, const field *f, uint32_t values)
{
    put_tag(w->out, f->num, wire_of(f->type));
    if (f->type != MSG)
        return put_scalar(w, v, f->type);
    const size_t from = w->out->n;
    if (!put_message(w, v, f->msg, values))
        return false;
    close_length(w->out, from);
    return true;
}

static bool put_list(writer *w, const json_t *list, const field *f, uint32_t values)
{
    const bool packed = f->type != MSG;
    bool ok = true;

    if (!json_is_array(list))
        return wrong(w, "is not an array");
    if (packed)
        put_tag(w->out, f->num, LEN);
    const size_t from = w->out->n, count = json_array_size(list);
    for (size_t i = 0; ok && i < count; i++) {
        const json_t *v = json_array_get(list, i);
        const size_t was = enter(w, NULL, i);
        ok = packed ? put_scalar(w, v, f->type) : put_value(w, v, f, values);
        leave(w, was);
    }
    if (ok && packed)
        close_length(w->out, from);
    return ok;
}

static bool put_message(writer *w, const json_t *obj, const field *fields, uint32_t values)
{
    if (!json_is_object(obj))
        return wrong(w, "is not an object");
    if (fields == any && values++ >= w->depth_max)
        return wrong(w, "nests too deep");
    for (const field *f = fields; f->name != NULL; f++) {
        const json_t *v = json_object_get(obj, f->name);
        if (v == NULL || json_is_null(v))
            continue;
        const size_t was = enter(w, f->name, 0);
        const bool ok = f->many ? put_list(w, v, f, values) : put_value(w, v, f, values);
        leave(w, was);
        if (!ok)
            return false;
        if (fields == any)
            break; /* one of */
    }
    return true;
}

ops_status ops_otlp_signals_from_json(ops_otlp_json_request request, const uint8_t *p, size_t n,
                                      const ops_ingest_limits *limits, ops_strbuf *ret, ops_err *reterr)
{
    writer w = {.out = ret, .depth_max = limits->depth_max};
    json_t *root = NULL;
    ops_status st = json_in_load(p, n, limits, &root, reterr);

    if (st != OPS_OK)
        return st;
    if (!put_message(&w, root, request == OPS_OTLP_JSON_METRICS ? metrics_request : traces_request, 0))
        st = ops_fail(reterr, OPS_EINVAL, "%s %s", w.path_n > 0 ? w.path : "the request", w.wrong);
    else if (ret->failed)
        st = ret->n + (ret->n >> 1) >= ret->max
                 ? ops_fail(reterr, OPS_ETOOBIG, "as protobuf the request exceeds %zu bytes", ret->max)
                 : ops_fail(reterr, OPS_ENOMEM, "a request of %zu bytes as protobuf", n);
    json_decref(root);
    return st;
}
