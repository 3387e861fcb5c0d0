/* AnyValue to text: a string is handed out as it lies in the message, scalars are printed, arrays and key-value lists
 * become JSON. Recursion is bounded by depth_max; what lies deeper is a flaw of the record, not of the request. */
#include "proto/otlp/walk_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void put(walk_text *t, const char *p, size_t n)
{
    if (n > t->cap - t->n) {
        t->full = true;
        return;
    }
    if (n > 0)
        memcpy(t->p + t->n, p, n);
    t->n += n;
}

static void put_char(walk_text *t, char ch)
{
    put(t, &ch, 1);
}

static void put_int(walk_text *t, int64_t v)
{
    char buf[20];
    size_t at = sizeof buf;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    do
        buf[--at] = (char)('0' + u % 10);
    while ((u /= 10) != 0);
    if (v < 0)
        put_char(t, '-');
    put(t, buf + at, sizeof buf - at);
}

/* The shortest of %.15g, %.16g and %.17g that reads back as the same number. */
static void put_double(walk_text *t, double v, bool json)
{
    char buf[32];

    if (!isfinite(v)) {
        const char *s = isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity";
        if (json)
            put_char(t, '"');
        put(t, s, strlen(s));
        if (json)
            put_char(t, '"');
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        const int n = snprintf(buf, sizeof buf, "%.*g", digits, v);
        if (digits == 17 || strtod(buf, NULL) == v) {
            put(t, buf, (size_t)n);
            return;
        }
    }
}

static void put_base64(walk_text *t, const uint8_t *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n && !t->full; i += 3) {
        const uint32_t v =
            (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        const char quad[4] = {digits[v >> 18], digits[v >> 12 & 63], i + 1 < n ? digits[v >> 6 & 63] : '=',
                              i + 2 < n ? digits[v & 63] : '='};
        put(t, quad, 4);
    }
}

static void put_json_string(walk_text *t, const uint8_t *p, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    size_t from = 0;

    put_char(t, '"');
    for (size_t i = 0; i < n; i++) {
        const uint8_t ch = p[i];
        if (ch >= 0x20 && ch != '"' && ch != '\\')
            continue;
        put(t, (const char *)p + from, i - from);
        from = i + 1;
        const char *pair = strchr("\"\"\\\\\nn\rr\tt\bb\ff", ch);
        if (ch != 0 && pair != NULL) {
            put_char(t, '\\');
            put_char(t, ch < 0x20 ? pair[1] : (char)ch);
        } else {
            const char esc[6] = {'\\', 'u', '0', '0', hex[ch >> 4], hex[ch & 15]};
            put(t, esc, 6);
        }
    }
    if (n > from)
        put(t, (const char *)p + from, n - from);
    put_char(t, '"');
}

/* Finds the value of an AnyValue: the last member of the oneof wins. */
static bool any_value(ops_walk *w, const uint8_t *p, size_t n, walk_field *ret)
{
    static const uint8_t wires[8] = {0,          WIRE_LEN, WIRE_VARINT, WIRE_VARINT,
                                     WIRE_FIX64, WIRE_LEN, WIRE_LEN,    WIRE_LEN};
    walk_cursor c = walk_cursor_of(p, n);
    walk_field f = {0};

    ret->num = 0;
    while (walk_next(w, &c, &f)) {
        if (f.num > 7)
            continue;
        if (!walk_want(w, &c, &f, wires[f.num]))
            return false;
        *ret = f;
    }
    return w->fault == NULL;
}

static bool key_value(ops_walk *w, const walk_field *kv, walk_field *ret_key, walk_field *ret_value)
{
    walk_cursor c = walk_cursor_of(kv->p, kv->val);
    walk_field f = {0};

    *ret_key = (walk_field){0};
    *ret_value = (walk_field){0};
    while (walk_next(w, &c, &f)) {
        if (f.num != 1 && f.num != 2)
            continue;
        if (!walk_want(w, &c, &f, WIRE_LEN))
            return false;
        *(f.num == 1 ? ret_key : ret_value) = f;
    }
    return w->fault == NULL;
}

static bool render_json(ops_walk *w, walk_attrs *a, const uint8_t *p, size_t n, uint32_t depth);

static bool render_list(ops_walk *w, walk_attrs *a, const walk_field *list, uint32_t depth)
{
    walk_cursor c = walk_cursor_of(list->p, list->val);
    const bool is_map = list->num == 6;
    bool first = true;
    walk_field f = {0};

    put_char(&a->text, is_map ? '{' : '[');
    while (walk_next(w, &c, &f)) {
        if (f.num != 1)
            continue;
        if (!walk_want(w, &c, &f, WIRE_LEN))
            return false;
        if (!first)
            put_char(&a->text, ',');
        first = false;
        if (is_map) {
            walk_field key = {0}, value = {0};
            if (!key_value(w, &f, &key, &value))
                return false;
            put_json_string(&a->text, key.p, (size_t)key.val);
            put_char(&a->text, ':');
            f = value;
        }
        if (!render_json(w, a, f.p, (size_t)f.val, depth))
            return false;
    }
    put_char(&a->text, is_map ? '}' : ']');
    return w->fault == NULL;
}

static void render_scalar(walk_text *t, const walk_field *v, bool json)
{
    double d;

    switch (v->num) {
    case 2:
        put(t, v->val ? "true" : "false", v->val ? 4 : 5);
        break;
    case 3:
        put_int(t, (int64_t)v->val);
        break;
    case 4:
        memcpy(&d, &v->val, sizeof d);
        put_double(t, d, json);
        break;
    default:
        break;
    }
}

static bool render_json(ops_walk *w, walk_attrs *a, const uint8_t *p, size_t n, uint32_t depth)
{
    walk_field v;

    if (depth >= w->limits.depth_max) {
        a->flaw = OPS_WALK_FLAW_DEPTH;
        return true;
    }
    if (!any_value(w, p, n, &v))
        return false;
    switch (v.num) {
    case 0:
        put(&a->text, "null", 4);
        return true;
    case 1:
        put_json_string(&a->text, v.p, (size_t)v.val);
        return true;
    case 5:
    case 6:
        return render_list(w, a, &v, depth + 1);
    case 7:
        put_char(&a->text, '"');
        put_base64(&a->text, v.p, (size_t)v.val);
        put_char(&a->text, '"');
        return true;
    default:
        render_scalar(&a->text, &v, true);
        return true;
    }
}

bool walk_value(ops_walk *w, walk_attrs *a, const uint8_t *p, size_t n, ops_slice *ret,
                ops_walk_kind *ret_kind)
{
    static const ops_walk_kind kinds[8] = {
        OPS_WALK_KIND_NONE,   OPS_WALK_KIND_STRING, OPS_WALK_KIND_BOOL,   OPS_WALK_KIND_INT,
        OPS_WALK_KIND_DOUBLE, OPS_WALK_KIND_ARRAY,  OPS_WALK_KIND_KVLIST, OPS_WALK_KIND_BYTES,
    };
    const size_t from = a->text.n;
    walk_field v;

    if (!any_value(w, p, n, &v))
        return false;
    *ret_kind = kinds[v.num];
    if (v.num == 1) {
        *ret = walk_slice(&v);
        return true;
    }
    if (v.num == 5 || v.num == 6) {
        if (!render_list(w, a, &v, 1))
            return false;
    } else if (v.num == 7) {
        put_base64(&a->text, v.p, (size_t)v.val);
    } else {
        render_scalar(&a->text, &v, false);
    }
    if (a->text.full && a->flaw == OPS_WALK_FLAW_NONE)
        a->flaw = OPS_WALK_FLAW_RENDER;
    *ret = ops_slice_of(a->text.p + from, a->text.n - from);
    return true;
}

bool walk_attr(ops_walk *w, walk_attrs *a, const walk_field *kv)
{
    walk_field key = {0}, value = {0};
    ops_walk_kind kind;
    ops_attr attr;

    if (!key_value(w, kv, &key, &value))
        return false;
    if (a->n == a->max) {
        a->flaw = OPS_WALK_FLAW_ATTRS;
        return true;
    }
    attr.key = walk_slice(&key);
    if (!walk_value(w, a, value.p, (size_t)value.val, &attr.val, &kind))
        return false;
    a->v[a->n++] = attr;
    return true;
}
