/* ExportMetricsServiceRequest once more, point by point, after walk_batch.c found it sound. What a metric is (its name,
 * its temporality) may follow its points, and a resource its scopes: each is stepped over twice. */
#include "proto/otlp/walk_internal.h"

#include "base/mem/alloc.h"

enum { FLAG_NO_RECORDED_VALUE = 1 };
enum { METRIC_GAUGE = 5, METRIC_SUM = 7, METRIC_HISTOGRAM = 9, METRIC_EXP = 10, METRIC_SUMMARY = 11 };

struct points_ctx {
    const ops_walk_point_visitor *visitor;
    void *u;
    ops_walk_point metric; /* what all points of the metric at hand share */
};

ops_status walk_points_ready(ops_walk *w, ops_err *reterr)
{
    if (w->points == NULL)
        w->points = ops_calloc(1, sizeof *w->points);
    return w->points != NULL ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "the walker's buckets");
}

bool walk_numbers(ops_walk *w, const walk_field *f, uint32_t wire, void (*take)(void *u, uint64_t v), void *u)
{
    if (f->wire == wire) {
        take(u, f->val);
        return true;
    }
    if (f->wire != WIRE_LEN)
        return walk_fault(w, "has the wrong wire type", f->p != NULL ? f->p : w->base, f->num);
    const uint8_t *p = f->p, *end = f->p + f->val;
    while (p < end) {
        uint64_t v = 0;
        if (wire == WIRE_VARINT) {
            if (!ops_varint_get(&p, end, &v))
                return walk_fault(w, "has a bad varint", p, f->num);
        } else {
            if (end - p < 8)
                return walk_fault(w, "is not a whole number of fixed64", p, f->num);
            memcpy(&v, p, 8);
            p += 8;
        }
        take(u, v);
    }
    return true;
}

/* Where numbers of one kind go; one too many sets `full`. */
struct filling {
    double *at;
    uint32_t n;
    bool integers, full;
};

static void take_number(void *u, uint64_t v)
{
    struct filling *x = u;
    if (x->n == OPS_WALK_BUCKETS_MAX)
        x->full = true;
    else
        x->at[x->n++] = x->integers ? (double)v : walk_double(v);
}

static bool histogram_field(ops_walk *w, const walk_field *f, ops_walk_point *p)
{
    struct filling counts = {w->points->counts, p->count_count, true, false},
                   bounds = {w->points->bounds, p->bound_count, false, false};
    switch (f->num) {
    case 4:
        p->count = (double)f->val;
        return true;
    case 5:
        p->sum = walk_double(f->val);
        p->has_sum = true;
        return true;
    case 6:
        if (!walk_numbers(w, f, WIRE_FIX64, take_number, &counts))
            return false;
        p->count_count = counts.n;
        break;
    case 7:
        if (!walk_numbers(w, f, WIRE_FIX64, take_number, &bounds))
            return false;
        p->bound_count = bounds.n;
        break;
    case 9:
        return walk_attr(w, &w->record, f);
    case 10:
        p->no_value = (f->val & FLAG_NO_RECORDED_VALUE) != 0;
        return true;
    default:
        return true;
    }
    if (counts.full || bounds.full)
        p->flaw = OPS_WALK_FLAW_BUCKETS;
    return true;
}

/* ExponentialHistogramDataPoint.Buckets */
static bool exp_buckets(ops_walk *w, const walk_field *msg, unsigned side, ops_walk_point *p,
                        ops_walk_exp *ret)
{
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    struct filling counts = {w->points->exp[side], 0, true, false};
    int64_t offset = 0;
    walk_field f = {0};

    while (walk_next(w, &c, &f)) {
        if (f.num == 1)
            offset = (int32_t)ops_unzigzag(f.val);
        else if (f.num == 2 && !walk_numbers(w, &f, WIRE_VARINT, take_number, &counts))
            return false;
    }
    if (counts.full)
        p->flaw = OPS_WALK_FLAW_BUCKETS;
    if (offset > INT32_MAX - (int64_t)OPS_WALK_BUCKETS_MAX)
        p->flaw = OPS_WALK_FLAW_SHAPE;
    for (uint32_t i = 0; p->flaw == OPS_WALK_FLAW_NONE && i < counts.n; i++)
        w->points->index[side][i] = (int32_t)(offset + i);
    *ret = (ops_walk_exp){w->points->index[side], w->points->exp[side], counts.n};
    return w->fault == NULL;
}

static bool exp_field(ops_walk *w, const walk_field *f, ops_walk_point *p)
{
    switch (f->num) {
    case 1:
        return walk_attr(w, &w->record, f);
    case 4:
        p->count = (double)f->val;
        return true;
    case 5:
        p->sum = walk_double(f->val);
        p->has_sum = true;
        return true;
    case 6:
        p->scale = (int32_t)ops_unzigzag(f->val);
        return true;
    case 7:
        p->zero_count = (double)f->val;
        return true;
    case 8:
        return exp_buckets(w, f, 0, p, &p->positive);
    case 9:
        return exp_buckets(w, f, 1, p, &p->negative);
    case 10:
        p->no_value = (f->val & FLAG_NO_RECORDED_VALUE) != 0;
        return true;
    case 14:
        p->zero_threshold = walk_double(f->val);
        return true;
    default:
        return true;
    }
}

static bool quantile(ops_walk *w, const walk_field *msg, ops_walk_point *p)
{
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    double q = 0, v = 0;
    walk_field f = {0};

    while (walk_next(w, &c, &f)) {
        if (f.num == 1)
            q = walk_double(f.val);
        else if (f.num == 2)
            v = walk_double(f.val);
    }
    if (p->bound_count == OPS_WALK_BUCKETS_MAX) {
        p->flaw = OPS_WALK_FLAW_BUCKETS;
        return true;
    }
    w->points->bounds[p->bound_count++] = q;
    w->points->counts[p->count_count++] = v;
    return w->fault == NULL;
}

static bool summary_field(ops_walk *w, const walk_field *f, ops_walk_point *p)
{
    switch (f->num) {
    case 4:
        p->count = (double)f->val;
        return true;
    case 5:
        p->sum = walk_double(f->val);
        p->has_sum = true;
        return true;
    case 6:
        return quantile(w, f, p);
    case 7:
        return walk_attr(w, &w->record, f);
    case 8:
        p->no_value = (f->val & FLAG_NO_RECORDED_VALUE) != 0;
        return true;
    default:
        return true;
    }
}

static bool number_field(ops_walk *w, const walk_field *f, ops_walk_point *p)
{
    switch (f->num) {
    case 4:
        p->value = walk_double(f->val);
        return true;
    case 6:
        p->value = (double)(int64_t)f->val;
        return true;
    case 7:
        return walk_attr(w, &w->record, f);
    case 8:
        p->no_value = (f->val & FLAG_NO_RECORDED_VALUE) != 0;
        return true;
    default:
        return true;
    }
}

static bool point_field(ops_walk *w, const walk_field *f, ops_walk_point *p)
{
    if (f->num == 2 || f->num == 3) { /* the same in every kind of point */
        *(f->num == 2 ? &p->start_ns : &p->time_ns) = f->val;
        return true;
    }
    switch (p->kind) {
    case OPS_WALK_POINT_HISTOGRAM:
        return histogram_field(w, f, p);
    case OPS_WALK_POINT_EXP_HISTOGRAM:
        return exp_field(w, f, p);
    case OPS_WALK_POINT_SUMMARY:
        return summary_field(w, f, p);
    case OPS_WALK_POINT_GAUGE:
    case OPS_WALK_POINT_SUM:
        break;
    }
    return number_field(w, f, p);
}

static bool one_point(ops_walk *w, const walk_field *msg, struct points_ctx *ctx)
{
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    ops_walk_point p = ctx->metric;
    walk_field f = {0};

    w->path = "resource_metrics.scope_metrics.metrics.data_points";
    walk_attrs_clear(&w->record);
    p.offset = (size_t)(msg->p - w->base);
    p.bounds = w->points->bounds;
    p.counts = w->points->counts;
    while (walk_next(w, &c, &f)) {
        if (!point_field(w, &f, &p))
            return false;
    }
    if (w->fault != NULL)
        return false;
    p.attrs = w->record.v;
    p.attr_count = w->record.n;
    if (p.flaw == OPS_WALK_FLAW_NONE)
        p.flaw = w->record.flaw;
    return walk_told(w, ctx->visitor->point(ctx->u, &p, w->reterr));
}

static bool points_of(ops_walk *w, const walk_field *data, struct points_ctx *ctx)
{
    walk_cursor c = walk_cursor_of(data->p, data->val);
    walk_field f = {0};

    while (walk_next(w, &c, &f)) {
        if (f.num == 2)
            ctx->metric.temporality = (uint32_t)f.val;
        else if (f.num == 3)
            ctx->metric.monotonic = f.val != 0;
    }
    c = walk_cursor_of(data->p, data->val);
    while (walk_next(w, &c, &f)) {
        if (f.num == 1 && !one_point(w, &f, ctx))
            return false;
    }
    return w->fault == NULL;
}

static ops_walk_point_kind kind_of(uint64_t field)
{
    switch (field) {
    case METRIC_GAUGE:
        return OPS_WALK_POINT_GAUGE;
    case METRIC_SUM:
        return OPS_WALK_POINT_SUM;
    case METRIC_HISTOGRAM:
        return OPS_WALK_POINT_HISTOGRAM;
    case METRIC_EXP:
        return OPS_WALK_POINT_EXP_HISTOGRAM;
    case METRIC_SUMMARY:
        return OPS_WALK_POINT_SUMMARY;
    default:
        return 0;
    }
}

static bool one_metric(ops_walk *w, const walk_field *msg, struct points_ctx *ctx)
{
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    ops_slice name = {0};
    walk_field f = {0};

    while (walk_next(w, &c, &f)) {
        if (f.num == 1)
            name = walk_slice(&f);
    }
    c = walk_cursor_of(msg->p, msg->val);
    while (walk_next(w, &c, &f)) {
        ctx->metric = (ops_walk_point){.kind = kind_of(f.num), .metric = name};
        if (ctx->metric.kind != 0 && !points_of(w, &f, ctx))
            return false;
    }
    return w->fault == NULL;
}

static bool scope_metrics(ops_walk *w, const walk_field *msg, struct points_ctx *ctx)
{
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    walk_field f = {0};

    while (walk_next(w, &c, &f)) {
        if (f.num == 2 && !one_metric(w, &f, ctx))
            return false;
    }
    return w->fault == NULL;
}

static bool resource_metrics(ops_walk *w, const walk_field *msg, void *arg)
{
    struct points_ctx *ctx = arg;
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    ops_walk_group resource = {.offset = (size_t)(msg->p - w->base)};
    walk_field f = {0};

    walk_attrs_clear(&w->resource);
    while (walk_next(w, &c, &f)) {
        if (f.num == 1 && !walk_resource(w, &f, &resource))
            return false;
    }
    if (w->fault != NULL || (ctx->visitor->resource != NULL &&
                             !walk_told(w, ctx->visitor->resource(ctx->u, &resource, w->reterr))))
        return false;
    c = walk_cursor_of(msg->p, msg->val);
    while (walk_next(w, &c, &f)) {
        if (f.num == 2 && !scope_metrics(w, &f, ctx))
            return false;
    }
    return w->fault == NULL;
}

ops_status ops_walk_points(ops_walk *w, ops_slice msg, const ops_walk_point_visitor *visitor, void *u,
                           ops_err *reterr)
{
    struct points_ctx ctx = {.visitor = visitor, .u = u};

    ops_status st = walk_points_ready(w, reterr);
    if (st == OPS_OK)
        st = ops_walk_metrics(w, msg, NULL, NULL, reterr);
    return st == OPS_OK ? walk_request(w, msg, "ExportMetricsServiceRequest", reterr, resource_metrics, &ctx)
                        : st;
}
