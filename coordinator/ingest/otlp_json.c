/* The JSON encoding of OTLP logs. Structure above the record decides over the whole request; inside a record a wrong
 * type rejects that record alone. Names in errors are the path of the value. */
#include "base/mem/alloc.h"
#include "coordinator/ingest/json_in.h"
#include "coordinator/ingest/otlp_logs_internal.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct json_attrs {
    ops_attr v[OPS_RECORD_ATTRS_MAX];
    uint32_t n;
    ops_walk_flaw flaw;
    ops_arena arena;
} json_attrs;

typedef struct json_ctx {
    otlp_decode *d;
    json_attrs resource, record;
    const char *bad; /* name of the field that is wrong */
} json_ctx;

/* 64-bit integers come as strings or numbers; absent and null are 0. */
static bool get_int(json_ctx *c, const json_t *obj, const char *name, bool is_unsigned, uint64_t *ret)
{
    const json_t *v = json_object_get(obj, name);
    int64_t i = 0;
    bool ok = true;

    *ret = 0;
    if (v == NULL || json_is_null(v))
        return true;
    if (is_unsigned) {
        ok = json_in_u64(v, ret);
    } else {
        ok = json_in_i64(v, &i);
        *ret = (uint64_t)i;
    }
    if (!ok)
        c->bad = name;
    return ok;
}

static bool get_string(json_ctx *c, const json_t *obj, const char *name, ops_slice *ret)
{
    const json_t *v = json_object_get(obj, name);

    *ret = ops_slice_of(NULL, 0);
    if (v == NULL || json_is_null(v))
        return true;
    if (!json_is_string(v)) {
        c->bad = name;
        return false;
    }
    *ret = json_in_str(v);
    return true;
}

static void render(json_ctx *c, json_attrs *a, const json_t *any, ops_strbuf *b, uint32_t depth);

static void render_values(json_ctx *c, json_attrs *a, const json_t *list, bool is_map, ops_strbuf *b,
                          uint32_t depth)
{
    const json_t *values = json_object_get(list, "values");

    ops_strbuf_char(b, is_map ? '{' : '[');
    for (size_t i = 0; i < json_array_size(values) && !b->failed; i++) {
        const json_t *v = json_array_get(values, i);
        if (i > 0)
            ops_strbuf_char(b, ',');
        if (is_map) {
            ops_strbuf_json(b, json_in_str(json_object_get(v, "key")));
            ops_strbuf_char(b, ':');
            v = json_object_get(v, "value");
        }
        render(c, a, v, b, depth);
    }
    ops_strbuf_char(b, is_map ? '}' : ']');
}

static void put_double(ops_strbuf *b, double v)
{
    char buf[32];
    int n = 0;

    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(buf, sizeof buf, "%.*g", digits, v);
        double back;
        if (ops_slice_to_f64(ops_slice_of(buf, (size_t)n), &back) && back == v)
            break;
    }
    ops_strbuf_put(b, buf, (size_t)n);
}

/* A scalar member of AnyValue; false when there is none (the value may still be a list). */
static bool render_scalar(json_ctx *c, const json_t *any, ops_strbuf *b, bool quote)
{
    const json_t *v;
    uint64_t i;

    if ((v = json_object_get(any, "boolValue")) != NULL) {
        if (!json_is_boolean(v))
            c->bad = "boolValue";
        ops_strbuf_str(b, json_is_true(v) ? "true" : "false");
    } else if (json_object_get(any, "intValue") != NULL) {
        if (get_int(c, any, "intValue", false, &i))
            ops_strbuf_printf(b, "%" PRId64, (int64_t)i);
    } else if ((v = json_object_get(any, "doubleValue")) != NULL) {
        if (json_is_number(v))
            put_double(b, json_number_value(v));
        else if (json_is_string(v) && quote) /* "NaN", "Infinity" */
            ops_strbuf_json(b, json_in_str(v));
        else if (json_is_string(v))
            ops_strbuf_slice(b, json_in_str(v));
        else
            c->bad = "doubleValue";
    } else if ((v = json_object_get(any, "bytesValue")) != NULL) {
        if (!json_is_string(v))
            c->bad = "bytesValue";
        else if (quote)
            ops_strbuf_json(b, json_in_str(v));
        else
            ops_strbuf_slice(b, json_in_str(v));
    } else {
        return false;
    }
    return true;
}

static void render(json_ctx *c, json_attrs *a, const json_t *any, ops_strbuf *b, uint32_t depth)
{
    const json_t *v;

    if (depth >= c->d->limits->depth_max) {
        a->flaw = OPS_WALK_FLAW_DEPTH;
    } else if ((v = json_object_get(any, "stringValue")) != NULL) {
        if (!json_is_string(v))
            c->bad = "stringValue";
        ops_strbuf_json(b, json_in_str(v));
    } else if ((v = json_object_get(any, "arrayValue")) != NULL) {
        render_values(c, a, v, false, b, depth + 1);
    } else if ((v = json_object_get(any, "kvlistValue")) != NULL) {
        render_values(c, a, v, true, b, depth + 1);
    } else if (!render_scalar(c, any, b, true)) {
        ops_strbuf_str(b, "null");
    }
}

static bool value_of(json_ctx *c, json_attrs *a, const json_t *any, ops_slice *ret)
{
    const json_t *v = json_object_get(any, "stringValue");

    *ret = ops_slice_of(NULL, 0);
    if (any == NULL || json_is_null(any))
        return true;
    if (!json_is_object(any)) {
        c->bad = "value";
        return false;
    }
    if (v != NULL)
        return get_string(c, any, "stringValue", ret);

    ops_strbuf b;
    ops_strbuf_init(&b, c->d->limits->render_bytes_max + 1);
    if ((v = json_object_get(any, "arrayValue")) != NULL)
        render_values(c, a, v, false, &b, 1);
    else if ((v = json_object_get(any, "kvlistValue")) != NULL)
        render_values(c, a, v, true, &b, 1);
    else
        (void)render_scalar(c, any, &b, false);
    if (b.failed) {
        a->flaw = a->flaw == OPS_WALK_FLAW_NONE ? OPS_WALK_FLAW_RENDER : a->flaw;
    } else if (b.n > 0) {
        *ret = ops_arena_dup(&a->arena, ops_strbuf_get(&b));
        if (ret->p == NULL)
            a->flaw = OPS_WALK_FLAW_RENDER;
    }
    ops_strbuf_done(&b);
    return c->bad == NULL;
}

static bool attrs_of(json_ctx *c, json_attrs *a, const json_t *obj)
{
    const json_t *list = json_object_get(obj, "attributes");

    a->n = 0;
    a->flaw = OPS_WALK_FLAW_NONE;
    ops_arena_clear(&a->arena);
    if (list == NULL || json_is_null(list))
        return true;
    if (!json_is_array(list)) {
        c->bad = "attributes";
        return false;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *kv = json_array_get(list, i);
        if (a->n == c->d->limits->attrs_max || a->n == OPS_RECORD_ATTRS_MAX) {
            a->flaw = OPS_WALK_FLAW_ATTRS;
            return true;
        }
        ops_attr *attr = &a->v[a->n];
        if (!get_string(c, kv, "key", &attr->key) ||
            !value_of(c, a, json_object_get(kv, "value"), &attr->val))
            return false;
        a->n++;
    }
    return true;
}

static int hex_digit(char ch)
{
    return ch >= '0' && ch <= '9'                 ? ch - '0'
           : (ch | 32) >= 'a' && (ch | 32) <= 'f' ? (ch | 32) - 'a' + 10
                                                  : -1;
}

/* Hex of exactly `n` bytes; anything else reads as no id. */
static ops_slice id_of(ops_slice hex, uint8_t *buf, size_t n)
{
    if (hex.n != 2 * n)
        return ops_slice_of(NULL, 0);
    for (size_t i = 0; i < n; i++) {
        const int hi = hex_digit(hex.p[2 * i]), lo = hex_digit(hex.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return ops_slice_of(NULL, 0);
        buf[i] = (uint8_t)(hi << 4 | lo);
    }
    return ops_slice_of(buf, n);
}

/* severityNumber: a number, or the enum's name such as SEVERITY_NUMBER_INFO2. */
static bool severity_of(json_ctx *c, const json_t *rec, int32_t *ret)
{
    const json_t *v = json_object_get(rec, "severityNumber");
    const ops_slice prefix = OPS_SLICE("SEVERITY_NUMBER_");
    uint64_t n;

    if (json_is_string(v) && ops_slice_starts(json_in_str(v), prefix)) {
        *ret = ops_ingest_severity(ops_slice_sub(json_in_str(v), prefix.n, SIZE_MAX));
        return true;
    }
    if (!get_int(c, rec, "severityNumber", false, &n))
        return false;
    *ret = n <= 24 ? (int32_t)n : 0;
    return true;
}

static ops_status log_record(json_ctx *c, const json_t *rec, const char *place, ops_err *reterr)
{
    ops_walk_log log = {0};
    ops_slice trace, span;
    uint8_t trace_id[16], span_id[8];
    char detail[320];

    c->bad = json_is_object(rec) ? NULL : "(record)";
    if (c->bad == NULL && attrs_of(c, &c->record, rec) &&
        get_int(c, rec, "timeUnixNano", true, &log.time_ns) &&
        get_int(c, rec, "observedTimeUnixNano", true, &log.observed_ns) &&
        severity_of(c, rec, &log.severity_number) && get_string(c, rec, "severityText", &log.severity_text) &&
        get_string(c, rec, "eventName", &log.event_name) && get_string(c, rec, "traceId", &trace) &&
        get_string(c, rec, "spanId", &span) &&
        value_of(c, &c->record, json_object_get(rec, "body"), &log.body) && c->bad == NULL) {
        log.trace_id = id_of(trace, trace_id, sizeof trace_id);
        log.span_id = id_of(span, span_id, sizeof span_id);
        log.attrs = c->record.v;
        log.attr_count = c->record.n;
        log.flaw = c->record.flaw;
        return otlp_emit(c->d, &log, place, reterr);
    }
    c->d->counters.received++;
    snprintf(detail, sizeof detail, "%s.%s: %s", place, c->bad,
             ops_ingest_reason_text(OPS_INGEST_REASON_FIELD));
    otlp_reject(c->d, OPS_INGEST_REASON_FIELD, detail);
    return OPS_OK;
}

/* A member that must be an array when it is there. */
static ops_status list_of(const json_t *obj, const char *path, const char *name, const json_t **ret,
                          ops_err *reterr)
{
    const json_t *v = json_object_get(obj, name);

    if (!json_is_object(obj))
        return ops_fail(reterr, OPS_EINVAL, "%s: not a JSON object", path);
    if (v != NULL && !json_is_null(v) && !json_is_array(v))
        return ops_fail(reterr, OPS_EINVAL, "%s.%s: not an array", path, name);
    *ret = v;
    return OPS_OK;
}

static ops_status scope_logs(json_ctx *c, const json_t *sl, const char *path, ops_err *reterr)
{
    const json_t *list = NULL;
    char place[200];

    ops_status st = list_of(sl, path, "logRecords", &list, reterr);
    for (size_t i = 0; st == OPS_OK && i < json_array_size(list); i++) {
        if (c->d->counters.received >= c->d->limits->records_max)
            return ops_fail(reterr, OPS_ETOOBIG, "more than %" PRIu64 " log records in one request",
                            c->d->limits->records_max);
        snprintf(place, sizeof place, "%s.logRecords[%zu]", path, i);
        st = log_record(c, json_array_get(list, i), place, reterr);
    }
    return st;
}

static ops_status resource_logs(json_ctx *c, const json_t *rl, size_t index, ops_err *reterr)
{
    const json_t *list, *resource = json_object_get(rl, "resource");
    char path[128];

    snprintf(path, sizeof path, "resourceLogs[%zu]", index);
    ops_status st = list_of(rl, path, "scopeLogs", &list, reterr);
    if (st != OPS_OK)
        return st;
    c->bad = NULL;
    if ((resource != NULL && !json_is_null(resource) && !json_is_object(resource)) ||
        !attrs_of(c, &c->resource, resource))
        return ops_fail(reterr, OPS_EINVAL, "%s.resource%s%s: wrong type", path, c->bad != NULL ? "." : "",
                        c->bad != NULL ? c->bad : "");
    const ops_walk_group group = {
        .attrs = c->resource.v, .attr_count = c->resource.n, .flaw = c->resource.flaw};
    otlp_resource(c->d, &group);
    for (size_t i = 0; st == OPS_OK && i < json_array_size(list); i++) {
        snprintf(path, sizeof path, "resourceLogs[%zu].scopeLogs[%zu]", index, i);
        st = scope_logs(c, json_array_get(list, i), path, reterr);
    }
    return st;
}

static ops_status decode(json_ctx *c, const json_t *root, ops_err *reterr)
{
    const json_t *list = NULL;

    ops_status st = list_of(root, "request", "resourceLogs", &list, reterr);
    for (size_t i = 0; st == OPS_OK && i < json_array_size(list); i++)
        st = resource_logs(c, json_array_get(list, i), i, reterr);
    return st;
}

ops_status ops_otlp_logs_decode_json(const uint8_t *p, size_t n, const ops_ingest_limits *limits,
                                     int64_t recv_ns, ops_ingest_sink sink, ops_ingest_reject reject, void *u,
                                     ops_ingest_counters *counters, ops_err *reterr)
{
    OPS_AUTO(otlp_decode_free) otlp_decode *d = NULL;
    ops_status st = otlp_decode_new(limits, recv_ns, sink, reject, u, &d, reterr);
    if (st != OPS_OK)
        return st;
    OPS_AUTO(ops_free) void *mem = ops_malloc(sizeof(json_ctx));
    json_ctx *c = mem;
    if (c == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "decoding OTLP JSON");
    c->d = d;
    c->bad = NULL;
    ops_arena_init(&c->resource.arena, limits->render_bytes_max + 64 * OPS_RECORD_ATTRS_MAX);
    ops_arena_init(&c->record.arena, limits->render_bytes_max + 64 * OPS_RECORD_ATTRS_MAX);

    json_t *root = NULL;
    st = json_in_load(p, n, limits, &root, reterr);
    if (st == OPS_OK)
        st = decode(c, root, reterr);
    json_decref(root);
    ops_arena_done(&c->resource.arena);
    ops_arena_done(&c->record.arena);
    if (st == OPS_OK)
        otlp_count(d, counters);
    return st;
}
