/* One JSON header, checked field by field. What a newcomer would get wrong: "data_offsets" count from the end of the
 * header, and a tensor without elements has an empty range that may stand anywhere. */
#include "worker/model/safetensors.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/coll/map.h"
#include "base/mem/alloc.h"

struct ops_safetensors {
    size_t n;
    ops_safetensor *v;
    ops_map *by_name;
};

static const struct {
    const char *name;
    size_t bytes;
} types[OPS_SAFETENSORS_TYPE_COUNT] = {
    [OPS_SAFETENSORS_F64] = {"F64", 8}, [OPS_SAFETENSORS_F32] = {"F32", 4},
    [OPS_SAFETENSORS_F16] = {"F16", 2}, [OPS_SAFETENSORS_BF16] = {"BF16", 2},
    [OPS_SAFETENSORS_I64] = {"I64", 8}, [OPS_SAFETENSORS_I32] = {"I32", 4},
    [OPS_SAFETENSORS_I16] = {"I16", 2}, [OPS_SAFETENSORS_I8] = {"I8", 1},
    [OPS_SAFETENSORS_U8] = {"U8", 1},   [OPS_SAFETENSORS_BOOL] = {"BOOL", 1},
};

const char *ops_safetensors_type_name(ops_safetensors_type type)
{
    return types[type].name;
}

static ops_status read_type(const char *name, const json_t *j, ops_safetensor *t, ops_err *reterr)
{
    const char *word = json_string_value(json_object_get(j, "dtype"));
    if (word == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "tensor '%.100s': no dtype", name);
    for (int i = 0; i < OPS_SAFETENSORS_TYPE_COUNT; i++)
        if (strcmp(word, types[i].name) == 0) {
            t->type = (ops_safetensors_type)i;
            return OPS_OK;
        }
    return ops_fail(reterr, OPS_EUNIMPL, "tensor '%.100s': element type '%.30s' is not built", name, word);
}

static ops_status read_shape(const char *name, const json_t *j, ops_safetensor *t, ops_err *reterr)
{
    const json_t *shape = json_object_get(j, "shape");
    if (!json_is_array(shape) || json_array_size(shape) > OPS_SAFETENSORS_RANK_MAX)
        return ops_fail(reterr, OPS_ECORRUPT, "tensor '%.100s': shape is no list of at most %d extents", name,
                        OPS_SAFETENSORS_RANK_MAX);
    t->rank = (int)json_array_size(shape);
    t->count = 1;
    for (int i = 0; i < t->rank; i++) {
        const json_t *extent = json_array_get(shape, (size_t)i);
        if (!json_is_integer(extent) || json_integer_value(extent) < 0)
            return ops_fail(reterr, OPS_ECORRUPT, "tensor '%.100s': extent %d is no natural number", name, i);
        t->dim[i] = (uint64_t)json_integer_value(extent);
        if (__builtin_mul_overflow(t->count, t->dim[i], &t->count))
            return ops_fail(reterr, OPS_ECORRUPT, "tensor '%.100s': the shape overflows", name);
    }
    return OPS_OK;
}

static ops_status read_range(const char *name, const json_t *j, ops_slice data, ops_safetensor *t,
                             ops_err *reterr)
{
    const json_t *range = json_object_get(j, "data_offsets");
    const json_t *from = json_array_get(range, 0), *to = json_array_get(range, 1);
    if (json_array_size(range) != 2 || !json_is_integer(from) || !json_is_integer(to))
        return ops_fail(reterr, OPS_ECORRUPT, "tensor '%.100s': data_offsets are not two integers", name);
    const json_int_t a = json_integer_value(from), b = json_integer_value(to);
    if (a < 0 || b < a || (uint64_t)b > data.n)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "tensor '%.100s': bytes %lld to %lld lie outside the %zu of data", name, (long long)a,
                        (long long)b, data.n);
    uint64_t want;
    if (__builtin_mul_overflow(t->count, (uint64_t)types[t->type].bytes, &want) || want != (uint64_t)(b - a))
        return ops_fail(reterr, OPS_ECORRUPT, "tensor '%.100s': %lld bytes for %llu elements of %s", name,
                        (long long)(b - a), (unsigned long long)t->count, types[t->type].name);
    t->bytes = ops_slice_of(data.p + a, (size_t)(b - a));
    return OPS_OK;
}

static int by_place(const void *a, const void *b)
{
    const ops_safetensor *x = *(ops_safetensor *const *)a, *y = *(ops_safetensor *const *)b;
    if (x->bytes.p != y->bytes.p)
        return x->bytes.p < y->bytes.p ? -1 : 1;
    return (x->bytes.n > y->bytes.n) - (x->bytes.n < y->bytes.n);
}

/* The data must be covered from its first to its last byte by tensors that do not overlap. */
static ops_status check_cover(const ops_safetensors *s, ops_slice data, ops_err *reterr)
{
    OPS_AUTO(ops_free) void *block = ops_calloc(s->n > 0 ? s->n : 1, sizeof(ops_safetensor *));
    const ops_safetensor **order = block;
    if (order == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "safetensors: %zu tensors", s->n);
    for (size_t i = 0; i < s->n; i++)
        order[i] = &s->v[i];
    qsort(order, s->n, sizeof *order, by_place);
    const char *at = data.p;
    for (size_t i = 0; i < s->n; i++) {
        if (order[i]->bytes.n == 0)
            continue;
        if (order[i]->bytes.p != at)
            return ops_fail(reterr, OPS_ECORRUPT,
                            "tensor '%.100s' starts at byte %zu of the data, not at %zu: %s", order[i]->name,
                            (size_t)(order[i]->bytes.p - data.p), (size_t)(at - data.p),
                            order[i]->bytes.p < at ? "it overlaps another" : "there is a gap");
        at += order[i]->bytes.n;
    }
    if (at != data.p + data.n)
        return ops_fail(reterr, OPS_ECORRUPT, "%zu bytes after the last tensor belong to none",
                        (size_t)(data.p + data.n - at));
    return OPS_OK;
}

static ops_status read_tensor(ops_safetensors *s, const char *name, const json_t *j, ops_slice data,
                              ops_err *reterr)
{
    ops_safetensor *t = &s->v[s->n];
    if (!json_is_object(j))
        return ops_fail(reterr, OPS_ECORRUPT, "tensor '%.100s' is no object", name);
    ops_status st = read_type(name, j, t, reterr);
    if (st == OPS_OK)
        st = read_shape(name, j, t, reterr);
    if (st == OPS_OK)
        st = read_range(name, j, data, t, reterr);
    if (st != OPS_OK)
        return st;
    t->name = ops_strdup(name);
    if (t->name == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "tensor '%.100s'", name);
    s->n++; /* from here on the name is freed with the rest */
    if (ops_map_put(s->by_name, ops_slice_str(name), t, NULL) != OPS_OK)
        return ops_fail(reterr, OPS_ENOMEM, "tensor '%.100s'", name);
    return OPS_OK;
}

static ops_status read_header(ops_safetensors *s, json_t *root, ops_slice data, ops_err *reterr)
{
    const size_t n = json_object_size(root);
    if (n > OPS_SAFETENSORS_TENSORS_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "safetensors: %zu tensors, at most %d are read", n,
                        OPS_SAFETENSORS_TENSORS_MAX);
    s->v = ops_calloc(n > 0 ? n : 1, sizeof *s->v);
    s->by_name = ops_map_new();
    if (s->v == NULL || s->by_name == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "safetensors: %zu tensors", n);
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        const ops_status st = read_tensor(s, name, value, data, reterr);
        if (st != OPS_OK)
            return st;
    }
    return check_cover(s, data, reterr);
}

ops_status ops_safetensors_parse(ops_slice bytes, ops_safetensors **ret, ops_err *reterr)
{
    if (bytes.n < 8)
        return ops_fail(reterr, OPS_ECORRUPT, "safetensors: %zu bytes are no file", bytes.n);
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | (unsigned char)bytes.p[i];
    if (length > OPS_SAFETENSORS_HEADER_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "safetensors: a header of %llu bytes, at most %d are read",
                        (unsigned long long)length, OPS_SAFETENSORS_HEADER_MAX);
    if (length > bytes.n - 8)
        return ops_fail(reterr, OPS_ECORRUPT, "safetensors: the header ends at byte %llu, the file at %zu",
                        (unsigned long long)length + 8, bytes.n);
    json_error_t e;
    json_t *root = json_loadb(bytes.p + 8, (size_t)length, JSON_REJECT_DUPLICATES, &e);
    if (root == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "safetensors: header byte %d: %.160s", e.position, e.text);
    ops_status st;
    OPS_AUTO(ops_safetensors_free) ops_safetensors *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "safetensors");
    else if (!json_is_object(root))
        st = ops_fail(reterr, OPS_ECORRUPT, "safetensors: the header is no object");
    else
        st = read_header(s, root, ops_slice_sub(bytes, 8 + (size_t)length, bytes.n), reterr);
    json_decref(root);
    if (st != OPS_OK)
        return st;
    *ret = OPS_STEAL(s);
    return OPS_OK;
}

void ops_safetensors_free(ops_safetensors *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++) {
        char *name;
        memcpy(&name, &s->v[i].name, sizeof name); /* ours, const only for readers */
        ops_free(name);
    }
    ops_free(s->v);
    ops_map_free(s->by_name);
    ops_free(s);
}

size_t ops_safetensors_count(const ops_safetensors *s)
{
    return s->n;
}

const ops_safetensor *ops_safetensors_at(const ops_safetensors *s, size_t i)
{
    return i < s->n ? &s->v[i] : NULL;
}

const ops_safetensor *ops_safetensors_find(const ops_safetensors *s, const char *name)
{
    return ops_map_get(s->by_name, ops_slice_str(name));
}

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
static float from_half(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, fraction = h & 1023u;
    if (exponent == 0) {
        const float small = ldexpf((float)fraction, -24);
        return sign != 0 ? -small : small;
    }
    return from_bits(sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13);
}

ops_status ops_safetensors_f32(const ops_safetensor *t, float *ret, ops_err *reterr)
{
    const unsigned char *p = (const unsigned char *)t->bytes.p;
    const size_t n = (size_t)t->count;
    switch ((int)t->type) {
    case OPS_SAFETENSORS_F32:
        for (size_t i = 0; i < n; i++, p += 4)
            ret[i] =
                from_bits((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        return OPS_OK;
    case OPS_SAFETENSORS_F16:
        for (size_t i = 0; i < n; i++, p += 2)
            ret[i] = from_half((uint16_t)(p[0] | p[1] << 8));
        return OPS_OK;
    case OPS_SAFETENSORS_BF16:
        for (size_t i = 0; i < n; i++, p += 2)
            ret[i] = from_bits((uint32_t)p[0] << 16 | (uint32_t)p[1] << 24);
        return OPS_OK;
    default:
        return ops_fail(reterr, OPS_EUNIMPL, "tensor '%.100s': weights of type %s are not built", t->name,
                        types[t->type].name);
    }
}
