/* Messages by their descriptors: one walk for JSON, one for YAML. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "opsctl/print/print.h"

enum { DEPTH_MAX = 32 };

static const void *member(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    return (const char *)m + f->offset;
}

static size_t count_of(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    size_t n;
    if (f->label != PROTOBUF_C_LABEL_REPEATED)
        return 1;
    memcpy(&n, (const char *)m + f->quantifier_offset, sizeof n);
    return n;
}

/* A oneof's members share their place: only the chosen one may be read. */
static bool is_chosen(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    uint32_t which;
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0)
        return true;
    memcpy(&which, (const char *)m + f->quantifier_offset, sizeof which);
    return which == f->id;
}

static void camel(ops_strbuf *out, const char *name)
{
    bool up = false;
    for (; *name != '\0'; name++) {
        if (*name == '_') {
            up = true;
            continue;
        }
        ops_strbuf_char(out, up && *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name);
        up = false;
    }
}

static void base64(ops_strbuf *out, const ProtobufCBinaryData *b)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    ops_strbuf_char(out, '"');
    for (size_t i = 0; i < b->len; i += 3) {
        uint32_t v = (uint32_t)b->data[i] << 16;
        v |= i + 1 < b->len ? (uint32_t)b->data[i + 1] << 8 : 0;
        v |= i + 2 < b->len ? b->data[i + 2] : 0;
        ops_strbuf_char(out, set[v >> 18]);
        ops_strbuf_char(out, set[v >> 12 & 63]);
        ops_strbuf_char(out, i + 1 < b->len ? set[v >> 6 & 63] : '=');
        ops_strbuf_char(out, i + 2 < b->len ? set[v & 63] : '=');
    }
    ops_strbuf_char(out, '"');
}

static void number(ops_strbuf *out, double v)
{
    if (isfinite(v))
        ops_strbuf_printf(out, "%.17g", v);
    else
        ops_strbuf_str(out, isnan(v) ? "\"NaN\"" : v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
}

static void enum_name(ops_strbuf *out, const ProtobufCFieldDescriptor *f, int value)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(f->descriptor, value);
    if (v != NULL)
        ops_strbuf_printf(out, "\"%s\"", v->name);
    else
        ops_strbuf_printf(out, "%d", value);
}

/* A scalar, the i-th of a repeated one. */
static void scalar(ops_strbuf *out, const ProtobufCFieldDescriptor *f, const void *p)
{
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        memcpy(&i32, p, 4);
        ops_strbuf_printf(out, "%" PRId32, i32);
        return;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        memcpy(&i32, p, 4);
        ops_strbuf_printf(out, "%" PRIu32, (uint32_t)i32);
        return;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        memcpy(&i64, p, 8);
        ops_strbuf_printf(out, "\"%" PRId64 "\"", i64);
        return;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        memcpy(&i64, p, 8);
        ops_strbuf_printf(out, "\"%" PRIu64 "\"", (uint64_t)i64);
        return;
    case PROTOBUF_C_TYPE_FLOAT:
        memcpy(&f32, p, 4);
        number(out, (double)f32);
        return;
    case PROTOBUF_C_TYPE_DOUBLE:
        memcpy(&f64, p, 8);
        number(out, f64);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        memcpy(&i32, p, sizeof(protobuf_c_boolean));
        ops_strbuf_str(out, i32 != 0 ? "true" : "false");
        return;
    case PROTOBUF_C_TYPE_ENUM:
        memcpy(&i32, p, 4);
        enum_name(out, f, i32);
        return;
    case PROTOBUF_C_TYPE_STRING:
        ops_strbuf_json(out, ops_slice_str(*(char *const *)p));
        return;
    case PROTOBUF_C_TYPE_BYTES:
        base64(out, p);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        return; /* the walks do these */
    }
}

static size_t size_of(ProtobufCType t)
{
    switch (t) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

/* Where the i-th value of the field stands. */
static const void *value_at(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t i)
{
    const void *p = member(m, f);
    if (f->label != PROTOBUF_C_LABEL_REPEATED)
        return p;
    return *(const char *const *)p + i * size_of(f->type);
}

static const ProtobufCMessage *message_at(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                                          size_t i)
{
    return *(const ProtobufCMessage *const *)value_at(m, f, i);
}

static void json_message(const ProtobufCMessage *m, int depth, ops_strbuf *out);

static void json_value(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t i, int depth,
                       ops_strbuf *out)
{
    if (f->type != PROTOBUF_C_TYPE_MESSAGE)
        scalar(out, f, value_at(m, f, i));
    else if (message_at(m, f, i) == NULL)
        ops_strbuf_str(out, "null");
    else
        json_message(message_at(m, f, i), depth + 1, out);
}

static void json_message(const ProtobufCMessage *m, int depth, ops_strbuf *out)
{
    const char *comma = "";
    if (depth > DEPTH_MAX) {
        ops_strbuf_str(out, "{}");
        return;
    }
    ops_strbuf_char(out, '{');
    for (unsigned k = 0; k < m->descriptor->n_fields; k++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[k];
        if (!is_chosen(m, f))
            continue;
        ops_strbuf_printf(out, "%s\"", comma);
        camel(out, f->name);
        ops_strbuf_str(out, "\":");
        comma = ",";
        bool list = f->label == PROTOBUF_C_LABEL_REPEATED;
        size_t n = count_of(m, f);
        if (list)
            ops_strbuf_char(out, '[');
        for (size_t i = 0; i < n; i++) {
            if (i > 0)
                ops_strbuf_char(out, ',');
            json_value(m, f, i, depth, out);
        }
        if (list)
            ops_strbuf_char(out, ']');
    }
    ops_strbuf_char(out, '}');
}

void ops_print_json(const ProtobufCMessage *m, ops_strbuf *out)
{
    json_message(m, 0, out);
    ops_strbuf_char(out, '\n');
}

/* `first`: the first field stands on the line of a list's dash. */
static void yaml_message(const ProtobufCMessage *m, int indent, bool first, int depth, ops_strbuf *out)
{
    for (unsigned k = 0; depth <= DEPTH_MAX && k < m->descriptor->n_fields; k++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[k];
        if (!is_chosen(m, f))
            continue;
        ops_strbuf_printf(out, "%*s", first ? 0 : indent, "");
        first = false;
        camel(out, f->name);
        bool list = f->label == PROTOBUF_C_LABEL_REPEATED, nested = f->type == PROTOBUF_C_TYPE_MESSAGE;
        size_t n = count_of(m, f);
        if (list && n == 0) {
            ops_strbuf_str(out, ": []\n");
            continue;
        }
        ops_strbuf_str(out, list || nested ? ":" : ": ");
        if (list || nested)
            ops_strbuf_char(out, '\n');
        for (size_t i = 0; i < n; i++) {
            if (list)
                ops_strbuf_printf(out, "%*s- ", indent, "");
            if (!nested) {
                scalar(out, f, value_at(m, f, i));
                ops_strbuf_char(out, '\n');
            } else if (message_at(m, f, i) != NULL)
                yaml_message(message_at(m, f, i), indent + 2, list, depth + 1, out);
        }
    }
}

void ops_print_yaml(const ProtobufCMessage *m, ops_strbuf *out)
{
    ops_strbuf_str(out, "---\n");
    yaml_message(m, 0, false, 0, out);
}
