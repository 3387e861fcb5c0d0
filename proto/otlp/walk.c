/* The walker object, the wire's slow path, resources, scopes and the request level. */
#include "proto/otlp/walk.h"

#include "base/mem/alloc.h"
#include "proto/otlp/walk_internal.h"

#include <inttypes.h>

void ops_walk_limits_default(ops_walk_limits *ret)
{
    *ret = (ops_walk_limits){
        .depth_max = 32,
        .attrs_max = 128,
        .message_bytes_max = (size_t)64 << 20,
        .render_bytes_max = (size_t)64 << 10,
        .items_max = 1000000,
    };
}

const char *ops_walk_flaw_text(ops_walk_flaw flaw)
{
    switch (flaw) {
    case OPS_WALK_FLAW_NONE:
        return "none";
    case OPS_WALK_FLAW_DEPTH:
        return "a value nests too deep";
    case OPS_WALK_FLAW_ATTRS:
        return "too many attributes";
    case OPS_WALK_FLAW_RENDER:
        return "structured values are too large";
    case OPS_WALK_FLAW_BUCKETS:
        return "too many buckets or quantiles";
    case OPS_WALK_FLAW_SHAPE:
        return "parts that do not belong together";
    }
    return "unknown";
}

static bool attrs_init(walk_attrs *a, const ops_walk_limits *limits)
{
    a->v = ops_calloc(limits->attrs_max > 0 ? limits->attrs_max : 1, sizeof *a->v);
    a->max = limits->attrs_max;
    a->text.p = ops_malloc(limits->render_bytes_max > 0 ? limits->render_bytes_max : 1);
    a->text.cap = limits->render_bytes_max;
    return a->v != NULL && a->text.p != NULL;
}

static void attrs_done(walk_attrs *a)
{
    ops_free(a->v);
    ops_free(a->text.p);
}

ops_status ops_walk_new(const ops_walk_limits *limits, ops_walk **ret, ops_err *reterr)
{
    if (limits->depth_max > 256)
        return ops_fail(reterr, OPS_ERANGE, "depth_max %" PRIu32 " is above 256", limits->depth_max);

    ops_walk *w = ops_calloc(1, sizeof *w);
    if (w == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "OTLP walker");
    w->limits = *limits;
    if (!attrs_init(&w->resource, limits) || !attrs_init(&w->scope, limits) ||
        !attrs_init(&w->record, limits)) {
        ops_walk_free(w);
        return ops_fail(reterr, OPS_ENOMEM, "OTLP walker tables");
    }
    *ret = w;
    return OPS_OK;
}

void ops_walk_free(ops_walk *w)
{
    if (w == NULL)
        return;
    attrs_done(&w->resource);
    attrs_done(&w->scope);
    attrs_done(&w->record);
    if (w->points != NULL)
        ops_vec_done(&w->points->symbols);
    ops_free(w->points);
    ops_free(w);
}

void walk_attrs_clear(walk_attrs *a)
{
    a->n = 0;
    a->text.n = 0;
    a->text.full = false;
    a->flaw = OPS_WALK_FLAW_NONE;
}

bool walk_fault(ops_walk *w, const char *what, const uint8_t *at, uint64_t field)
{
    if (w->fault == NULL) {
        w->fault = what;
        w->fault_at = at;
        w->fault_field = field;
    }
    return false;
}

static bool varint(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (*p == end)
            return false;
        const uint8_t b = *(*p)++;
        if (shift == 63 && b > 1)
            return false;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *ret = v;
            return true;
        }
    }
    return false;
}

bool walk_field_slow(ops_walk *w, walk_cursor *c, walk_field *f)
{
    const uint8_t *const start = c->p;
    uint64_t tag;

    if (!varint(&c->p, c->end, &tag))
        return walk_fault(w, "has a bad tag", start, 0);
    f->num = tag >> 3;
    f->wire = (uint32_t)(tag & 7);
    f->p = NULL;
    if (f->num == 0 || f->num > 0x1fffffff)
        return walk_fault(w, "has a bad field number", start, f->num);

    const size_t left = (size_t)(c->end - c->p);
    switch (f->wire) {
    case WIRE_VARINT:
        return varint(&c->p, c->end, &f->val) || walk_fault(w, "has a bad varint", start, f->num);
    case WIRE_FIX64:
        if (left < 8)
            return walk_fault(w, "is cut short", start, f->num);
        memcpy(&f->val, c->p, 8);
        c->p += 8;
        return true;
    case WIRE_FIX32: {
        uint32_t v;
        if (left < 4)
            return walk_fault(w, "is cut short", start, f->num);
        memcpy(&v, c->p, 4);
        f->val = v;
        c->p += 4;
        return true;
    }
    case WIRE_LEN:
        if (!varint(&c->p, c->end, &f->val))
            return walk_fault(w, "has a bad length", start, f->num);
        if (f->val > (uint64_t)(c->end - c->p))
            return walk_fault(w, "is longer than its message", start, f->num);
        f->p = c->p;
        c->p += f->val;
        return true;
    default:
        return walk_fault(w, f->wire <= 4 ? "is a group" : "has an unknown wire type", start, f->num);
    }
}

static bool walk_group(ops_walk *w, walk_attrs *a, const walk_field *f, bool is_scope, ops_walk_group *ret)
{
    walk_cursor c = walk_cursor_of(f->p, f->val);
    const uint64_t attr_field = is_scope ? 3 : 1;
    walk_field g;

    ret->offset = (size_t)(f->p - w->base);
    while (walk_next(w, &c, &g)) {
        if (g.num == attr_field) {
            if (!walk_want(w, &c, &g, WIRE_LEN) || !walk_attr(w, a, &g))
                return false;
        } else if (is_scope && (g.num == 1 || g.num == 2)) {
            if (!walk_want(w, &c, &g, WIRE_LEN))
                return false;
            *(g.num == 1 ? &ret->name : &ret->version) = walk_slice(&g);
        } else if (g.num == (is_scope ? 4 : 2) && !walk_want(w, &c, &g, WIRE_VARINT)) { /* dropped count */
            return false;
        }
    }
    ret->attrs = a->v;
    ret->attr_count = a->n;
    ret->flaw = a->flaw;
    return w->fault == NULL;
}

bool walk_resource(ops_walk *w, const walk_field *f, ops_walk_group *ret)
{
    const char *outer = w->path;

    w->path = "resource";
    if (!walk_group(w, &w->resource, f, false, ret))
        return false;
    w->path = outer;
    return true;
}

bool walk_scope(ops_walk *w, const walk_field *f, ops_walk_group *ret)
{
    const char *outer = w->path;

    w->path = "scope";
    if (!walk_group(w, &w->scope, f, true, ret))
        return false;
    w->path = outer;
    return true;
}

bool walk_count(ops_walk *w, const char *what)
{
    if (++w->items <= w->limits.items_max)
        return true;
    w->stop = ops_fail(w->reterr, OPS_ETOOBIG, "more than %" PRIu64 " %s in one request", w->limits.items_max,
                       what);
    return false;
}

ops_status walk_request(ops_walk *w, ops_slice msg, const char *path, ops_err *reterr,
                        bool (*each)(ops_walk *w, const walk_field *f, void *ctx), void *ctx)
{
    return walk_fields(w, msg, path, 1, reterr, each, ctx);
}

ops_status walk_fields(ops_walk *w, ops_slice msg, const char *path, uint64_t num, ops_err *reterr,
                       bool (*each)(ops_walk *w, const walk_field *f, void *ctx), void *ctx)
{
    if (msg.n > w->limits.message_bytes_max)
        return ops_fail(reterr, OPS_ETOOBIG, "request of %zu bytes is above the limit of %zu", msg.n,
                        w->limits.message_bytes_max);

    walk_cursor c = walk_cursor_of((const uint8_t *)msg.p, msg.n);
    walk_field f;
    w->base = (const uint8_t *)msg.p;
    w->path = path;
    w->fault = NULL;
    w->items = 0;
    w->stop = OPS_OK;
    w->reterr = reterr;
    while (walk_next(w, &c, &f)) {
        if (f.num == num && (!walk_want(w, &c, &f, WIRE_LEN) || !each(w, &f, ctx)))
            break;
    }
    w->reterr = NULL;
    if (w->stop != OPS_OK)
        return w->stop;
    if (w->fault != NULL)
        return ops_fail(reterr, OPS_EINVAL, "%s: field %" PRIu64 " %s at byte %zu", w->path, w->fault_field,
                        w->fault, (size_t)(w->fault_at - w->base));
    return OPS_OK;
}
