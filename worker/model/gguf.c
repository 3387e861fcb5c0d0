/* Header, keys and tensor infos. What a newcomer would get wrong: offsets of tensors count from the first aligned byte
 * after the infos, extents come innermost first, and a big-endian file shows only in its version number. */
#include "worker/model/gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/coll/map.h"
#include "base/mem/alloc.h"
#include "worker/model/gguf_internal.h"

enum { KEY_BYTES_MIN = 8 + 1 + 4 + 1, TENSOR_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8, TYPES = 43 };

/* Element types by number. Without a block: known by name and not built; without a name: never given out. */
static const struct {
    const char *name;
    size_t elements, bytes;
} types[TYPES] = {
    [0] = {"F32", 1, 4},       [1] = {"F16", 1, 2},       [2] = {"Q4_0", 32, 18},    [3] = {"Q4_1", 32, 20},
    [4] = {"Q4_2", 0, 0},      [5] = {"Q4_3", 0, 0},      [6] = {"Q5_0", 32, 22},    [7] = {"Q5_1", 32, 24},
    [8] = {"Q8_0", 32, 34},    [9] = {"Q8_1", 0, 0},      [10] = {"Q2_K", 0, 0},     [11] = {"Q3_K", 0, 0},
    [12] = {"Q4_K", 256, 144}, [13] = {"Q5_K", 256, 176}, [14] = {"Q6_K", 256, 210}, [15] = {"Q8_K", 0, 0},
    [16] = {"IQ2_XXS", 0, 0},  [17] = {"IQ2_XS", 0, 0},   [18] = {"IQ3_XXS", 0, 0},  [19] = {"IQ1_S", 0, 0},
    [20] = {"IQ4_NL", 0, 0},   [21] = {"IQ3_S", 0, 0},    [22] = {"IQ2_S", 0, 0},    [23] = {"IQ4_XS", 0, 0},
    [24] = {"I8", 0, 0},       [25] = {"I16", 0, 0},      [26] = {"I32", 0, 0},      [27] = {"I64", 0, 0},
    [28] = {"F64", 0, 0},      [29] = {"IQ1_M", 0, 0},    [30] = {"BF16", 1, 2},     [34] = {"TQ1_0", 0, 0},
    [35] = {"TQ2_0", 0, 0},    [39] = {"MXFP4", 0, 0},    [40] = {"NVFP4", 0, 0},    [41] = {"Q1_0", 0, 0},
    [42] = {"Q2_0", 0, 0},
};

const char *ops_gguf_type_name(uint32_t type)
{
    return type < TYPES && types[type].name != NULL ? types[type].name : "unknown";
}

size_t ops_gguf_type_block(ops_gguf_type type, size_t *ret_elements)
{
    *ret_elements = types[type].elements;
    return types[type].bytes;
}

static ops_status read_header(ops_gguf *g, ops_gguf_cursor *c, ops_err *reterr)
{
    uint64_t tensors = 0, keys = 0;
    if (c->all.n < 24 || memcmp(c->all.p, "GGUF", 4) != 0)
        return ops_fail(reterr, OPS_ECORRUPT, "gguf: %zu bytes that do not start with a GGUF header",
                        c->all.n);
    c->at = 4;
    ops_status st = ops_gguf_get_u32(c, "the version", &g->version, reterr);
    if (st == OPS_OK && (g->version & 0xffffu) == 0)
        return ops_fail(reterr, OPS_EUNIMPL, "gguf: byte 4: version %u: a big-endian file is not built",
                        g->version);
    if (st == OPS_OK && (g->version < 2 || g->version > 3))
        return ops_fail(reterr, OPS_EUNIMPL, "gguf: byte 4: version %u, only 2 and 3 are built", g->version);
    if (st == OPS_OK)
        st = ops_gguf_get_u64(c, "the count of tensors", &tensors, reterr);
    if (st == OPS_OK)
        st = ops_gguf_get_u64(c, "the count of keys", &keys, reterr);
    if (st != OPS_OK)
        return st;
    if (keys > ops_gguf_left(c) / KEY_BYTES_MIN || tensors > ops_gguf_left(c) / TENSOR_BYTES_MIN)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "gguf: byte 8: %" PRIu64 " tensors and %" PRIu64
                        " keys do not fit a file of %zu bytes",
                        tensors, keys, c->all.n);
    if (keys > OPS_GGUF_KEYS_MAX || tensors > OPS_GGUF_TENSORS_MAX)
        return ops_fail(reterr, OPS_ETOOBIG,
                        "gguf: byte 8: %" PRIu64 " tensors and %" PRIu64 " keys, at most %d and %d are read",
                        tensors, keys, OPS_GGUF_TENSORS_MAX, OPS_GGUF_KEYS_MAX);
    g->keys = (size_t)keys;
    g->tensors = (size_t)tensors;
    return OPS_OK;
}

static ops_status make_room(ops_gguf *g, ops_err *reterr)
{
    g->key = ops_calloc(g->keys > 0 ? g->keys : 1, sizeof *g->key);
    g->tensor = ops_calloc(g->tensors > 0 ? g->tensors : 1, sizeof *g->tensor);
    g->key_by_name = ops_map_new();
    g->tensor_by_name = ops_map_new();
    if (g->key == NULL || g->tensor == NULL || g->key_by_name == NULL || g->tensor_by_name == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "gguf: %zu tensors and %zu keys", g->tensors, g->keys);
    return OPS_OK;
}

static ops_status put_name(ops_map *map, ops_slice name, void *value, size_t offset, const char *what,
                           ops_err *reterr)
{
    if (ops_map_has(map, name))
        return ops_fail(reterr, OPS_ECORRUPT, "gguf: byte %zu: %s '" OPS_SLICE_FMT "' comes twice", offset,
                        what, OPS_SLICE_ARG(name));
    if (ops_map_put(map, name, value, NULL) != OPS_OK)
        return ops_fail(reterr, OPS_ENOMEM, "gguf: %s '" OPS_SLICE_FMT "'", what, OPS_SLICE_ARG(name));
    return OPS_OK;
}

static ops_status read_keys(ops_gguf *g, ops_gguf_cursor *c, ops_err *reterr)
{
    for (size_t i = 0; i < g->keys; i++) {
        ops_gguf_key *k = &g->key[i];
        k->offset = c->at;
        ops_status st = ops_gguf_get_name(c, "a key", &k->name, reterr);
        if (st == OPS_OK)
            st = ops_gguf_get_value(c, k->name, &k->value, reterr);
        if (st == OPS_OK)
            st = put_name(g->key_by_name, k->name, k, k->offset, "the key", reterr);
        if (st != OPS_OK)
            return st;
    }
    uint64_t parts = 1;
    if (ops_gguf_u64(g, "split.count", &parts) && parts > 1)
        return ops_fail(reterr, OPS_EUNIMPL,
                        "gguf: split.count is %" PRIu64 ": models in several files are not built", parts);
    return OPS_OK;
}

static ops_status read_extents(ops_gguf_tensor *t, ops_gguf_cursor *c, ops_err *reterr)
{
    const size_t start = c->at;
    uint32_t rank = 0;
    ops_status st = ops_gguf_get_u32(c, "the rank of a tensor", &rank, reterr);
    if (st != OPS_OK)
        return st;
    if (rank < 1 || rank > OPS_GGUF_RANK_MAX)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "gguf: byte %zu: tensor '" OPS_SLICE_FMT "' has rank %u, not 1 to %d", start,
                        OPS_SLICE_ARG(t->name), rank, OPS_GGUF_RANK_MAX);
    t->rank = (int)rank;
    t->count = 1;
    for (int i = 0; i < OPS_GGUF_RANK_MAX; i++) {
        t->dim[i] = 1;
        if (i < t->rank && (st = ops_gguf_get_u64(c, "an extent", &t->dim[i], reterr)) != OPS_OK)
            return st;
        if (t->dim[i] == 0 || __builtin_mul_overflow(t->count, t->dim[i], &t->count) || t->count > INT64_MAX)
            return ops_fail(reterr, OPS_ECORRUPT,
                            "gguf: byte %zu: tensor '" OPS_SLICE_FMT "': extent %d of %" PRIu64
                            " is zero or overflows the shape",
                            start, OPS_SLICE_ARG(t->name), i, t->dim[i]);
    }
    return OPS_OK;
}

/* The element type, and with it the bytes; where they lie is known once the infos have ended. */
static ops_status read_type(ops_gguf_tensor *t, ops_gguf_cursor *c, ops_err *reterr)
{
    const size_t start = c->at;
    uint32_t type = 0;
    const ops_status st = ops_gguf_get_u32(c, "the type of a tensor", &type, reterr);
    if (st != OPS_OK)
        return st;
    if (type >= TYPES || types[type].elements == 0)
        return ops_fail(reterr, OPS_EUNIMPL,
                        "gguf: byte %zu: tensor '" OPS_SLICE_FMT "': element type %u (%s) is not built",
                        start, OPS_SLICE_ARG(t->name), type, ops_gguf_type_name(type));
    t->type = (ops_gguf_type)type;
    if (t->dim[0] % types[type].elements != 0)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "gguf: byte %zu: tensor '" OPS_SLICE_FMT "': rows of %" PRIu64
                        " are no whole blocks of %zu (%s)",
                        start, OPS_SLICE_ARG(t->name), t->dim[0], types[type].elements, types[type].name);
    uint64_t bytes;
    if (__builtin_mul_overflow(t->count / types[type].elements, (uint64_t)types[type].bytes, &bytes) ||
        bytes > c->all.n)
        return ops_fail(reterr, OPS_ECORRUPT,
                        "gguf: byte %zu: tensor '" OPS_SLICE_FMT "': %" PRIu64
                        " elements of %s are more than the file holds",
                        start, OPS_SLICE_ARG(t->name), t->count, types[type].name);
    t->bytes = ops_slice_of(NULL, (size_t)bytes);
    return OPS_OK;
}

static ops_status read_infos(ops_gguf *g, ops_gguf_cursor *c, uint64_t *ret_offsets, ops_err *reterr)
{
    for (size_t i = 0; i < g->tensors; i++) {
        ops_gguf_tensor *t = &g->tensor[i];
        t->offset = c->at;
        ops_status st = ops_gguf_get_name(c, "the name of a tensor", &t->name, reterr);
        if (st == OPS_OK)
            st = read_extents(t, c, reterr);
        if (st == OPS_OK)
            st = read_type(t, c, reterr);
        if (st == OPS_OK)
            st = ops_gguf_get_u64(c, "the offset of a tensor", &ret_offsets[i], reterr);
        if (st == OPS_OK)
            st = put_name(g->tensor_by_name, t->name, t, t->offset, "the tensor", reterr);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

static ops_status read_alignment(const ops_gguf *g, uint64_t *ret, ops_err *reterr)
{
    const ops_gguf_value *v = ops_gguf_find(g, "general.alignment");
    *ret = OPS_GGUF_ALIGN_DEFAULT;
    if (v == NULL)
        return OPS_OK;
    if (!ops_gguf_u64(g, "general.alignment", ret) || *ret == 0 || (*ret & (*ret - 1)) != 0 ||
        *ret > OPS_GGUF_ALIGN_MAX)
        return ops_fail(reterr, OPS_ECORRUPT, "gguf: general.alignment is no power of two up to %d",
                        OPS_GGUF_ALIGN_MAX);
    return OPS_OK;
}

static int by_place(const void *a, const void *b)
{
    const ops_gguf_tensor *x = *(ops_gguf_tensor *const *)a, *y = *(ops_gguf_tensor *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static ops_status check_overlap(ops_gguf *g, ops_err *reterr)
{
    OPS_AUTO(ops_free) void *block = ops_calloc(g->tensors + 1, sizeof(ops_gguf_tensor *));
    ops_gguf_tensor **order = block;
    if (order == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "gguf: %zu tensors", g->tensors);
    for (size_t i = 0; i < g->tensors; i++)
        order[i] = &g->tensor[i];
    qsort(order, g->tensors, sizeof *order, by_place);
    for (size_t i = 1; i < g->tensors; i++)
        if (order[i]->offset - order[i - 1]->offset < order[i - 1]->bytes.n)
            return ops_fail(reterr, OPS_ECORRUPT,
                            "gguf: byte %zu: tensor '" OPS_SLICE_FMT "' overlaps tensor '" OPS_SLICE_FMT
                            "' of %zu bytes at byte %zu",
                            order[i]->offset, OPS_SLICE_ARG(order[i]->name),
                            OPS_SLICE_ARG(order[i - 1]->name), order[i - 1]->bytes.n, order[i - 1]->offset);
    return OPS_OK;
}

static ops_status place(ops_gguf *g, const ops_gguf_cursor *c, const uint64_t *offsets, ops_err *reterr)
{
    uint64_t align = 0;
    const ops_status st = read_alignment(g, &align, reterr);
    if (st != OPS_OK)
        return st;
    const size_t start = (c->at + (size_t)align - 1) / (size_t)align * (size_t)align;
    for (size_t i = 0; i < g->tensors; i++) {
        ops_gguf_tensor *t = &g->tensor[i];
        if (offsets[i] % align != 0)
            return ops_fail(reterr, OPS_ECORRUPT,
                            "gguf: byte %zu: tensor '" OPS_SLICE_FMT "': offset %" PRIu64
                            " is not aligned to %" PRIu64,
                            t->offset, OPS_SLICE_ARG(t->name), offsets[i], align);
        if (start > c->all.n || offsets[i] > c->all.n - start || t->bytes.n > c->all.n - start - offsets[i])
            return ops_fail(reterr, OPS_ECORRUPT,
                            "gguf: byte %zu: tensor '" OPS_SLICE_FMT "': %zu bytes at %zu + %" PRIu64
                            " end past the file's %zu",
                            t->offset, OPS_SLICE_ARG(t->name), t->bytes.n, start, offsets[i], c->all.n);
        t->offset = start + (size_t)offsets[i];
        t->bytes.p = c->all.p + t->offset;
    }
    return check_overlap(g, reterr);
}

ops_status ops_gguf_parse(ops_slice bytes, ops_gguf **ret, ops_err *reterr)
{
    OPS_AUTO(ops_gguf_free) ops_gguf *g = ops_calloc(1, sizeof *g);
    if (g == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "gguf");
    ops_gguf_cursor c = {bytes, 0};
    ops_status st = read_header(g, &c, reterr);
    if (st == OPS_OK)
        st = make_room(g, reterr);
    if (st == OPS_OK)
        st = read_keys(g, &c, reterr);
    if (st != OPS_OK)
        return st;
    OPS_AUTO(ops_free) void *offsets = ops_calloc(g->tensors + 1, sizeof(uint64_t));
    if (offsets == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "gguf: %zu tensors", g->tensors);
    st = read_infos(g, &c, offsets, reterr);
    if (st == OPS_OK)
        st = place(g, &c, offsets, reterr);
    if (st != OPS_OK)
        return st;
    *ret = OPS_STEAL(g);
    return OPS_OK;
}

void ops_gguf_free(ops_gguf *g)
{
    if (g == NULL)
        return;
    ops_map_free(g->key_by_name);
    ops_map_free(g->tensor_by_name);
    ops_free(g->key);
    ops_free(g->tensor);
    ops_free(g);
}
