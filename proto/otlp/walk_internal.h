/* proto/otlp/walk_internal.h: the wire cursor, the walker's insides and what its files share. */
#ifndef OPS_PROTO_OTLP_WALK_INTERNAL_H
#define OPS_PROTO_OTLP_WALK_INTERNAL_H

#include "base/coll/vec.h"
#include "base/text/codec.h"
#include "proto/otlp/walk.h"

#include <stdbool.h>
#include <string.h>

enum walk_wire { WIRE_VARINT = 0, WIRE_FIX64 = 1, WIRE_LEN = 2, WIRE_GROUP = 3, WIRE_FIX32 = 5 };

typedef struct walk_field {
    uint64_t num, val; /* val: varint and fixed types; the length of bytes */
    const uint8_t *p;  /* WIRE_LEN: the bytes */
    uint32_t wire;
} walk_field;

typedef struct walk_cursor {
    const uint8_t *p, *end;
} walk_cursor;

/* Rendered text. Appending past the cap sets `full` and is otherwise ignored. */
typedef struct walk_text {
    char *p;
    size_t n, cap;
    bool full;
} walk_text;

/* One resource's, scope's or record's attributes and their rendered values. */
typedef struct walk_attrs {
    ops_attr *v;
    uint32_t n, max;
    walk_text text;
    ops_walk_flaw flaw;
} walk_attrs;

/* Buckets of the point at hand, and the symbols of a remote write request. Made when the first of them comes. */
typedef struct walk_points {
    double bounds[OPS_WALK_BUCKETS_MAX], counts[OPS_WALK_BUCKETS_MAX];
    int32_t index[2][OPS_WALK_BUCKETS_MAX];
    double exp[2][OPS_WALK_BUCKETS_MAX];
    int32_t span_offset[OPS_WALK_BUCKETS_MAX];
    uint32_t span_length[OPS_WALK_BUCKETS_MAX];
    OPS_VEC(ops_slice) symbols;
} walk_points;

struct ops_walk {
    ops_walk_limits limits;
    const uint8_t *base; /* start of the request, for offsets */
    const char *path;    /* of the message being read */
    const char *fault;   /* NULL: none */
    const uint8_t *fault_at;
    uint64_t fault_field;
    uint64_t items;
    ops_status stop; /* from a callback or a whole-request limit */
    ops_err *reterr;
    walk_attrs resource, scope, record;
    walk_points *points; /* NULL before the first use */
};

/* Both return false so that callers can `return walk_fault(...)`. */
bool walk_fault(ops_walk *w, const char *what, const uint8_t *at, uint64_t field);
bool walk_field_slow(ops_walk *w, walk_cursor *c, walk_field *f);

static inline walk_cursor walk_cursor_of(const uint8_t *p, size_t n)
{
    return (walk_cursor){p, p == NULL ? NULL : p + n};
}

/* Next field of a message; false at its end and on a fault (look at w->fault). */
static inline bool walk_next(ops_walk *w, walk_cursor *c, walk_field *f)
{
    const uint8_t *p = c->p;

    if (p == c->end)
        return false;
    /* The common case: a one-byte tag, then a one-byte length or a fixed64. */
    if (c->end - p >= 10 && p[0] >= 8 && p[0] < 0x80) {
        f->num = p[0] >> 3;
        f->wire = p[0] & 7u;
        if (f->wire == WIRE_LEN && p[1] < 0x80 && p[1] <= c->end - p - 2) {
            f->val = p[1];
            f->p = p + 2;
            c->p = p + 2 + p[1];
            return true;
        }
        if (f->wire == WIRE_FIX64) {
            memcpy(&f->val, p + 1, 8);
            c->p = p + 9;
            return true;
        }
        if (f->wire == WIRE_VARINT && p[1] < 0x80) {
            f->val = p[1];
            c->p = p + 2;
            return true;
        }
    }
    return walk_field_slow(w, c, f);
}

static inline bool walk_want(ops_walk *w, const walk_cursor *c, const walk_field *f, uint32_t wire)
{
    return f->wire == wire || walk_fault(w, "has the wrong wire type", c->p, f->num);
}

static inline ops_slice walk_slice(const walk_field *f)
{
    return ops_slice_of((const char *)f->p, (size_t)f->val);
}

void walk_attrs_clear(walk_attrs *a);

/* Reads one KeyValue into `a`. A flaw is noted in `a`; false only on a broken wire. */
bool walk_attr(ops_walk *w, walk_attrs *a, const walk_field *kv);

/* Reads an AnyValue: strings zero-copy, everything else rendered into a->text. */
bool walk_value(ops_walk *w, walk_attrs *a, const uint8_t *p, size_t n, ops_slice *ret,
                ops_walk_kind *ret_kind);

/* Reads Resource into w->resource or InstrumentationScope into w->scope, and fills *ret. */
bool walk_resource(ops_walk *w, const walk_field *f, ops_walk_group *ret);
bool walk_scope(ops_walk *w, const walk_field *f, ops_walk_group *ret);

/* Reads the export request's only known field (1) and hands each occurrence to `each`. */
ops_status walk_request(ops_walk *w, ops_slice msg, const char *path, ops_err *reterr,
                        bool (*each)(ops_walk *w, const walk_field *f, void *ctx), void *ctx);

/* The same for another field number. */
ops_status walk_fields(ops_walk *w, ops_slice msg, const char *path, uint64_t num, ops_err *reterr,
                       bool (*each)(ops_walk *w, const walk_field *f, void *ctx), void *ctx);

/* Makes w->points. */
ops_status walk_points_ready(ops_walk *w, ops_err *reterr);

static inline double walk_double(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

/* A repeated number, packed or one at a time: hands each to `take`; false on a broken wire. */
bool walk_numbers(ops_walk *w, const walk_field *f, uint32_t wire, void (*take)(void *u, uint64_t v),
                  void *u);

/* Counts an item against items_max. */
bool walk_count(ops_walk *w, const char *what);
/* Keeps a callback's answer; false when it wants to stop. */
static inline bool walk_told(ops_walk *w, ops_status st)
{
    w->stop = st;
    return st == OPS_OK;
}

#endif
