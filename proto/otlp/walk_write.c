/* Prometheus' remote write, both versions: labels as pairs of texts, or as numbers into the request's symbols. Labels may
 * follow the samples they name, so each series is stepped over twice. */
#include "proto/otlp/walk_internal.h"

#include "base/mem/alloc.h"

enum { SCHEMA_CUSTOM = -53, SCHEMA_MIN = -4, SCHEMA_MAX = 8 };

/* Field numbers of a TimeSeries and its Sample. */
static const struct layout {
    const char *path;
    uint64_t series, labels, samples, exemplars, histograms, metadata;
} layouts[] = {{"prometheus.WriteRequest", 1, 1, 2, 3, 4, 0},
               {"io.prometheus.write.v2.Request", 5, 1, 2, 4, 3, 5}};

struct write_ctx {
    const struct layout *at;
    bool symbols;
    const ops_walk_write_visitor *visitor;
    void *u;
};

static bool keep_symbol(ops_walk *w, const walk_field *f, void *arg)
{
    (void)arg;
    if (!walk_count(w, "symbols"))
        return false;
    if (ops_vec_push(&w->points->symbols, walk_slice(f)))
        return true;
    w->stop = ops_fail(w->reterr, OPS_ENOMEM, "%zu symbols", w->points->symbols.n);
    return false;
}

static void label(ops_walk *w, ops_slice key, ops_slice val)
{
    walk_attrs *a = &w->record;
    if (a->n == a->max)
        a->flaw = OPS_WALK_FLAW_ATTRS;
    else
        a->v[a->n++] = (ops_attr){key, val};
}

static bool label_pair(ops_walk *w, const walk_field *msg)
{
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    ops_slice text[2] = {{0}};
    walk_field f = {0};

    while (walk_next(w, &c, &f)) {
        if (f.num != 1 && f.num != 2)
            continue;
        if (!walk_want(w, &c, &f, WIRE_LEN))
            return false;
        text[f.num - 1] = walk_slice(&f);
    }
    label(w, text[0], text[1]);
    return w->fault == NULL;
}

struct refs {
    ops_walk *w;
    ops_slice key;
    bool half;
};

static void take_ref(void *u, uint64_t ref)
{
    struct refs *x = u;
    if (ref >= x->w->points->symbols.n) {
        x->w->record.flaw = OPS_WALK_FLAW_SHAPE;
        return;
    }
    const ops_slice text = x->w->points->symbols.v[ref];
    if (x->half)
        label(x->w, x->key, text);
    else
        x->key = text;
    x->half = !x->half;
}

static bool metadata(ops_walk *w, const walk_field *msg, ops_walk_series *s)
{
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    walk_field f = {0};

    while (walk_next(w, &c, &f)) {
        if (f.num != 1)
            continue;
        if (!walk_want(w, &c, &f, WIRE_VARINT))
            return false;
        s->type = f.val <= OPS_WALK_METRIC_STATESET ? (ops_walk_metric_type)f.val : OPS_WALK_METRIC_UNKNOWN;
    }
    return w->fault == NULL;
}

static bool head(ops_walk *w, const walk_field *msg, const struct write_ctx *ctx, ops_walk_series *s)
{
    const struct layout *at = ctx->at;
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    struct refs refs = {.w = w};
    walk_field f = {0};

    walk_attrs_clear(&w->record);
    while (walk_next(w, &c, &f)) {
        if (f.num == at->labels && ctx->symbols) {
            if (!walk_numbers(w, &f, WIRE_VARINT, take_ref, &refs))
                return false;
        } else if (f.num == at->labels) {
            if (!walk_want(w, &c, &f, WIRE_LEN) || !label_pair(w, &f))
                return false;
        } else if (f.num == at->exemplars) {
            s->exemplars++;
        } else if (at->metadata != 0 && f.num == at->metadata) {
            if (!walk_want(w, &c, &f, WIRE_LEN) || !metadata(w, &f, s))
                return false;
        }
    }
    s->labels = w->record.v;
    s->label_count = w->record.n;
    s->flaw = refs.half ? OPS_WALK_FLAW_SHAPE : w->record.flaw;
    return w->fault == NULL;
}

static bool sample(ops_walk *w, const walk_field *msg, const struct write_ctx *ctx)
{
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    double value = 0;
    int64_t time_ms = 0;
    walk_field f = {0};

    if (!walk_count(w, "samples"))
        return false;
    while (walk_next(w, &c, &f)) {
        if ((f.num == 1 && !walk_want(w, &c, &f, WIRE_FIX64)) ||
            (f.num == 2 && !walk_want(w, &c, &f, WIRE_VARINT)))
            return false;
        if (f.num == 1)
            value = walk_double(f.val);
        else if (f.num == 2)
            time_ms = (int64_t)f.val;
    }
    return w->fault == NULL && walk_told(w, ctx->visitor->sample(ctx->u, value, time_ms, w->reterr));
}

/* The spans of one sign, and its counts in their order. */
struct native {
    walk_points *at;
    unsigned side;
    uint32_t spans, counts;
    double last; /* deltas are told against the bucket before */
    bool full;
};

static bool span(ops_walk *w, const walk_field *msg, struct native *x)
{
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    int32_t offset = 0;
    uint32_t length = 0;
    walk_field f = {0};

    while (walk_next(w, &c, &f)) {
        if ((f.num == 1 || f.num == 2) && !walk_want(w, &c, &f, WIRE_VARINT))
            return false;
        if (f.num == 1)
            offset = (int32_t)ops_unzigzag(f.val);
        else if (f.num == 2)
            length = (uint32_t)f.val;
    }
    /* Both signs share the table: each has half of it. */
    const uint32_t half = OPS_WALK_BUCKETS_MAX / 2;
    if (x->spans == half) {
        x->full = true;
        return w->fault == NULL;
    }
    x->at->span_offset[x->side * half + x->spans] = offset;
    x->at->span_length[x->side * half + x->spans++] = length;
    return w->fault == NULL;
}

static void take_count(struct native *x, double v)
{
    if (x->counts == OPS_WALK_BUCKETS_MAX)
        x->full = true;
    else
        x->at->exp[x->side][x->counts++] = v;
}

static void take_delta(void *u, uint64_t v)
{
    struct native *x = u;
    x->last += (double)ops_unzigzag(v);
    take_count(x, x->last);
}

static void take_absolute(void *u, uint64_t v)
{
    take_count(u, walk_double(v));
}

struct native_ctx {
    struct native side[2]; /* positive, negative */
    double custom[OPS_WALK_BUCKETS_MAX];
    uint32_t customs;
    bool full;
};

static void take_custom(void *u, uint64_t v)
{
    struct native_ctx *x = u;
    if (x->customs == OPS_WALK_BUCKETS_MAX)
        x->full = true;
    else
        x->custom[x->customs++] = walk_double(v);
}

/* Counts to bucket numbers; a native bucket i ends at base^i, ours begins there. */
static bool place(struct native *x, ops_walk_exp *ret, int64_t shift)
{
    const uint32_t half = OPS_WALK_BUCKETS_MAX / 2;
    int64_t at = shift;
    uint32_t n = 0;

    for (uint32_t i = 0; i < x->spans; i++) {
        at += x->at->span_offset[x->side * half + i];
        for (uint32_t k = 0; k < x->at->span_length[x->side * half + i]; k++, at++) {
            if (n == x->counts || at < INT32_MIN || at > INT32_MAX)
                return false;
            x->at->index[x->side][n++] = (int32_t)at;
        }
    }
    *ret = (ops_walk_exp){x->at->index[x->side], x->at->exp[x->side], n};
    return n == x->counts;
}

/* Custom buckets are classic ones written sparsely. */
static bool customs(ops_walk *w, struct native_ctx *x, ops_walk_point *p)
{
    ops_walk_exp sparse;
    if (x->customs >= OPS_WALK_BUCKETS_MAX || !place(&x->side[0], &sparse, 0))
        return false;
    p->kind = OPS_WALK_POINT_HISTOGRAM;
    memcpy(w->points->bounds, x->custom, x->customs * sizeof *x->custom);
    memset(w->points->counts, 0, (x->customs + 1) * sizeof *w->points->counts);
    for (uint32_t i = 0; i < sparse.n; i++) {
        if (sparse.index[i] < 0 || (uint32_t)sparse.index[i] > x->customs)
            return false;
        w->points->counts[sparse.index[i]] += sparse.count[i];
    }
    p->bounds = w->points->bounds;
    p->counts = w->points->counts;
    p->bound_count = x->customs;
    p->count_count = x->customs + 1;
    return true;
}

static bool native_field(ops_walk *w, const walk_field *f, struct native_ctx *x, ops_walk_point *p)
{
    struct native *side = &x->side[f->num >= 11 ? 0 : 1];
    switch (f->num) {
    case 1:
        p->count = (double)f->val;
        return true;
    case 2:
        p->count = walk_double(f->val);
        return true;
    case 3:
        p->sum = walk_double(f->val);
        p->has_sum = true;
        return true;
    case 4:
        p->scale = (int32_t)ops_unzigzag(f->val);
        return true;
    case 5:
        p->zero_threshold = walk_double(f->val);
        return true;
    case 6:
        p->zero_count = (double)f->val;
        return true;
    case 7:
        p->zero_count = walk_double(f->val);
        return true;
    case 8:
    case 11:
        return span(w, f, side);
    case 9:
    case 12:
        return walk_numbers(w, f, WIRE_VARINT, take_delta, side);
    case 10:
    case 13:
        return walk_numbers(w, f, WIRE_FIX64, take_absolute, side);
    case 15:
        p->time_ns = f->val; /* milliseconds */
        return true;
    case 16:
        return walk_numbers(w, f, WIRE_FIX64, take_custom, x);
    default:
        return true;
    }
}

/* Wire types of prometheus.Histogram's fields 1..16; 8 and 11 are messages, 9, 10, 12, 13 and 16 numbers in either form. */
static bool native_wire(ops_walk *w, const walk_cursor *c, const walk_field *f)
{
    static const uint8_t wires[17] = {
        [1] = WIRE_VARINT, [2] = WIRE_FIX64,   [3] = WIRE_FIX64,  [4] = WIRE_VARINT,
        [5] = WIRE_FIX64,  [6] = WIRE_VARINT,  [7] = WIRE_FIX64,  [8] = WIRE_LEN,
        [11] = WIRE_LEN,   [14] = WIRE_VARINT, [15] = WIRE_VARINT};
    if (f->num > 16 || f->num == 9 || f->num == 10 || f->num == 12 || f->num == 13 || f->num == 16)
        return true;
    return walk_want(w, c, f, wires[f->num]);
}

static bool histogram(ops_walk *w, const walk_field *msg, const struct write_ctx *ctx)
{
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    ops_walk_point p = {.kind = OPS_WALK_POINT_EXP_HISTOGRAM,
                        .temporality = OPS_WALK_TEMPORALITY_CUMULATIVE,
                        .offset = (size_t)(msg->p - w->base)};
    struct native_ctx x = {.side = {{w->points, 0, 0, 0, 0, false}, {w->points, 1, 0, 0, 0, false}}};
    walk_field f = {0};

    if (!walk_count(w, "samples"))
        return false;
    while (walk_next(w, &c, &f)) {
        if (!native_wire(w, &c, &f) || !native_field(w, &f, &x, &p))
            return false;
    }
    if (w->fault != NULL)
        return false;
    bool shaped = p.scale == SCHEMA_CUSTOM
                      ? customs(w, &x, &p)
                      : p.scale >= SCHEMA_MIN && p.scale <= SCHEMA_MAX &&
                            place(&x.side[0], &p.positive, -1) && place(&x.side[1], &p.negative, -1);
    if (x.full || x.side[0].full || x.side[1].full)
        p.flaw = OPS_WALK_FLAW_BUCKETS;
    else if (!shaped)
        p.flaw = OPS_WALK_FLAW_SHAPE;
    return walk_told(w, ctx->visitor->histogram(ctx->u, &p, w->reterr));
}

static bool one_series(ops_walk *w, const walk_field *msg, void *arg)
{
    const struct write_ctx *ctx = arg;
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    ops_walk_series s = {.offset = (size_t)(msg->p - w->base)};
    walk_field f = {0};

    w->path = "timeseries";
    if (!head(w, msg, ctx, &s) || !walk_told(w, ctx->visitor->series(ctx->u, &s, w->reterr)))
        return false;
    while (walk_next(w, &c, &f)) {
        if (f.num != ctx->at->samples && f.num != ctx->at->histograms)
            continue;
        if (!walk_want(w, &c, &f, WIRE_LEN))
            return false;
        if (!(f.num == ctx->at->samples ? sample(w, &f, ctx) : histogram(w, &f, ctx)))
            return false;
    }
    w->path = ctx->at->path;
    return w->fault == NULL && walk_told(w, ctx->visitor->end(ctx->u, w->reterr));
}

ops_status ops_walk_write(ops_walk *w, ops_slice msg, unsigned version, const ops_walk_write_visitor *visitor,
                          void *u, ops_err *reterr)
{
    if (version < 1 || version > 2)
        return ops_fail(reterr, OPS_EINVAL, "remote write version %u", version);
    struct write_ctx ctx = {&layouts[version - 1], version == 2, visitor, u};
    ops_status st = walk_points_ready(w, reterr);
    if (st != OPS_OK)
        return st;
    w->points->symbols.n = 0;
    if (ctx.symbols)
        st = walk_fields(w, msg, ctx.at->path, 4, reterr, keep_symbol, NULL);
    return st == OPS_OK ? walk_fields(w, msg, ctx.at->path, ctx.at->series, reterr, one_series, &ctx) : st;
}
