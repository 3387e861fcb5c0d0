/* ExportMetricsServiceRequest and ExportTraceServiceRequest: structure checked against tables of the published field
 * numbers, entries and points counted, one callback per resource. The schema's own nesting is fixed; only AnyValue
 * recurses, and that is bounded by depth_max and refused for the whole request, which is stored raw. */
#include "proto/otlp/walk_internal.h"

enum { V = 1 << WIRE_VARINT, F8 = 1 << WIRE_FIX64, L = 1 << WIRE_LEN, F4 = 1 << WIRE_FIX32 };
enum role {
    ROLE_NONE,
    ROLE_RESOURCE,
    ROLE_ENTRY,
    ROLE_POINT,
    ROLE_TIME,
    ROLE_PACKED_FIX64,
    ROLE_PACKED_VARINT
};

/* One known field: its number, the wire types it may have, its message (NULL: a leaf) and what it means to us. */
struct walk_row {
    uint8_t num, wires, role;
    const struct walk_row *child;
};
#define ROW_END                                                                                              \
    {                                                                                                        \
        0, 0, 0, NULL                                                                                        \
    }

static const struct walk_row array_rows[], kvlist_rows[];
static const struct walk_row any_rows[] = {
    {1, L, 0, NULL},       {2, V, 0, NULL},        {3, V, 0, NULL}, {4, F8, 0, NULL},
    {5, L, 0, array_rows}, {6, L, 0, kvlist_rows}, {7, L, 0, NULL}, ROW_END};
static const struct walk_row kv_rows[] = {{1, L, 0, NULL}, {2, L, 0, any_rows}, ROW_END};
static const struct walk_row array_rows[] = {{1, L, 0, any_rows}, ROW_END};
static const struct walk_row kvlist_rows[] = {{1, L, 0, kv_rows}, ROW_END};
static const struct walk_row scope_rows[] = {
    {1, L, 0, NULL}, {2, L, 0, NULL}, {3, L, 0, kv_rows}, {4, V, 0, NULL}, ROW_END};

static const struct walk_row exemplar_rows[] = {{2, F8, 0, NULL}, {3, F8, 0, NULL}, {4, L, 0, NULL},
                                                {5, L, 0, NULL},  {6, F8, 0, NULL}, {7, L, 0, kv_rows},
                                                ROW_END};
static const struct walk_row number_rows[] = {
    {2, F8, 0, NULL}, {3, F8, ROLE_TIME, NULL}, {4, F8, 0, NULL}, {5, L, 0, exemplar_rows},
    {6, F8, 0, NULL}, {7, L, 0, kv_rows},       {8, V, 0, NULL},  ROW_END};
static const struct walk_row histogram_rows[] = {{2, F8, 0, NULL},
                                                 {3, F8, ROLE_TIME, NULL},
                                                 {4, F8, 0, NULL},
                                                 {5, F8, 0, NULL},
                                                 {6, L | F8, ROLE_PACKED_FIX64, NULL},
                                                 {7, L | F8, ROLE_PACKED_FIX64, NULL},
                                                 {8, L, 0, exemplar_rows},
                                                 {9, L, 0, kv_rows},
                                                 {10, V, 0, NULL},
                                                 {11, F8, 0, NULL},
                                                 {12, F8, 0, NULL},
                                                 ROW_END};
static const struct walk_row bucket_rows[] = {{1, V, 0, NULL}, {2, L | V, ROLE_PACKED_VARINT, NULL}, ROW_END};
static const struct walk_row exp_histogram_rows[] = {
    {1, L, 0, kv_rows}, {2, F8, 0, NULL},          {3, F8, ROLE_TIME, NULL},
    {4, F8, 0, NULL},   {5, F8, 0, NULL},          {6, V, 0, NULL},
    {7, F8, 0, NULL},   {8, L, 0, bucket_rows},    {9, L, 0, bucket_rows},
    {10, V, 0, NULL},   {11, L, 0, exemplar_rows}, {12, F8, 0, NULL},
    {13, F8, 0, NULL},  {14, F8, 0, NULL},         ROW_END};
static const struct walk_row quantile_rows[] = {{1, F8, 0, NULL}, {2, F8, 0, NULL}, ROW_END};
static const struct walk_row summary_rows[] = {
    {2, F8, 0, NULL},         {3, F8, ROLE_TIME, NULL}, {4, F8, 0, NULL}, {5, F8, 0, NULL},
    {6, L, 0, quantile_rows}, {7, L, 0, kv_rows},       {8, V, 0, NULL},  ROW_END};

static const struct walk_row gauge_rows[] = {{1, L, ROLE_POINT, number_rows}, ROW_END};
static const struct walk_row sum_rows[] = {
    {1, L, ROLE_POINT, number_rows}, {2, V, 0, NULL}, {3, V, 0, NULL}, ROW_END};
static const struct walk_row hist_rows[] = {{1, L, ROLE_POINT, histogram_rows}, {2, V, 0, NULL}, ROW_END};
static const struct walk_row exp_hist_rows[] = {
    {1, L, ROLE_POINT, exp_histogram_rows}, {2, V, 0, NULL}, ROW_END};
static const struct walk_row summ_rows[] = {{1, L, ROLE_POINT, summary_rows}, ROW_END};
static const struct walk_row metric_rows[] = {{1, L, 0, NULL},           {2, L, 0, NULL},
                                              {3, L, 0, NULL},           {5, L, 0, gauge_rows},
                                              {7, L, 0, sum_rows},       {9, L, 0, hist_rows},
                                              {10, L, 0, exp_hist_rows}, {11, L, 0, summ_rows},
                                              {12, L, 0, kv_rows},       ROW_END};
static const struct walk_row scope_metrics_rows[] = {
    {1, L, 0, scope_rows}, {2, L, ROLE_ENTRY, metric_rows}, {3, L, 0, NULL}, ROW_END};
static const struct walk_row resource_metrics_rows[] = {
    {1, L, ROLE_RESOURCE, NULL}, {2, L, 0, scope_metrics_rows}, {3, L, 0, NULL}, ROW_END};

static const struct walk_row event_rows[] = {
    {1, F8, 0, NULL}, {2, L, 0, NULL}, {3, L, 0, kv_rows}, {4, V, 0, NULL}, ROW_END};
static const struct walk_row link_rows[] = {
    {1, L, 0, NULL}, {2, L, 0, NULL},  {3, L, 0, NULL}, {4, L, 0, kv_rows},
    {5, V, 0, NULL}, {6, F4, 0, NULL}, ROW_END};
static const struct walk_row status_rows[] = {{2, L, 0, NULL}, {3, V, 0, NULL}, ROW_END};
static const struct walk_row span_rows[] = {{1, L, 0, NULL},
                                            {2, L, 0, NULL},
                                            {3, L, 0, NULL},
                                            {4, L, 0, NULL},
                                            {5, L, 0, NULL},
                                            {6, V, 0, NULL},
                                            {7, F8, ROLE_TIME, NULL},
                                            {8, F8, 0, NULL},
                                            {9, L, 0, kv_rows},
                                            {10, V, 0, NULL},
                                            {11, L, 0, event_rows},
                                            {12, V, 0, NULL},
                                            {13, L, 0, link_rows},
                                            {14, V, 0, NULL},
                                            {15, L, 0, status_rows},
                                            {16, F4, 0, NULL},
                                            ROW_END};
static const struct walk_row scope_spans_rows[] = {
    {1, L, 0, scope_rows}, {2, L, ROLE_ENTRY, span_rows}, {3, L, 0, NULL}, ROW_END};
static const struct walk_row resource_spans_rows[] = {
    {1, L, ROLE_RESOURCE, NULL}, {2, L, 0, scope_spans_rows}, {3, L, 0, NULL}, ROW_END};

struct batch_ctx {
    ops_walk_batch_fn fn;
    void *u;
    const struct walk_row *rows;
    const char *path;
    bool entry_is_point;
    ops_walk_batch batch;
    ops_walk_group resource;
};

static bool packed(ops_walk *w, const walk_field *f, enum role role)
{
    if (f->wire != WIRE_LEN)
        return true;
    if (role == ROLE_PACKED_FIX64)
        return f->val % 8 == 0 || walk_fault(w, "is not a whole number of fixed64", f->p, f->num);
    size_t run = 0;
    for (size_t i = 0; i < f->val; i++) {
        run = f->p[i] < 0x80 ? 0 : run + 1;
        if (run >= 10)
            return walk_fault(w, "has a bad varint", f->p + i, f->num);
    }
    return run == 0 || walk_fault(w, "has a bad varint", f->p + f->val, f->num);
}

static bool play_role(ops_walk *w, const walk_field *f, enum role role, struct batch_ctx *ctx)
{
    ops_walk_batch *b = &ctx->batch;

    switch (role) {
    case ROLE_NONE:
        return true;
    case ROLE_RESOURCE:
        return walk_resource(w, f, &ctx->resource);
    case ROLE_ENTRY:
        b->entries++;
        if (!ctx->entry_is_point)
            return true;
        b->points++;
        return walk_count(w, "spans");
    case ROLE_POINT:
        b->points++;
        return walk_count(w, "data points");
    case ROLE_TIME:
        if (f->val != 0 && (b->time_min_ns == 0 || f->val < b->time_min_ns))
            b->time_min_ns = f->val;
        if (f->val > b->time_max_ns)
            b->time_max_ns = f->val;
        return true;
    case ROLE_PACKED_FIX64:
    case ROLE_PACKED_VARINT:
        return packed(w, f, role);
    }
    return true;
}

static bool check(ops_walk *w, const walk_field *msg, const struct walk_row *rows, uint32_t values,
                  struct batch_ctx *ctx)
{
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    walk_field f;

    if (rows == any_rows && values++ >= w->limits.depth_max)
        return walk_fault(w, "nests too deep", msg->p, msg->num);
    while (walk_next(w, &c, &f)) {
        const struct walk_row *row = rows;
        while (row->num != 0 && row->num != f.num)
            row++;
        if (row->num == 0)
            continue;
        if ((row->wires & 1u << f.wire) == 0)
            return walk_fault(w, "has the wrong wire type", f.wire == WIRE_LEN ? f.p : c.p, f.num);
        if (!play_role(w, &f, row->role, ctx))
            return false;
        if (row->child != NULL && !check(w, &f, row->child, values, ctx))
            return false;
    }
    return w->fault == NULL;
}

static bool one_resource(ops_walk *w, const walk_field *f, void *arg)
{
    struct batch_ctx *ctx = arg;
    const char *outer = w->path;

    w->path = ctx->path;
    walk_attrs_clear(&w->resource);
    ctx->resource = (ops_walk_group){.attrs = w->resource.v, .offset = (size_t)(f->p - w->base)};
    ctx->batch = (ops_walk_batch){.resource = &ctx->resource, .raw = walk_slice(f)};
    if (!check(w, f, ctx->rows, 0, ctx))
        return false;
    w->path = outer;
    return ctx->fn == NULL || walk_told(w, ctx->fn(ctx->u, &ctx->batch, w->reterr));
}

ops_status ops_walk_metrics(ops_walk *w, ops_slice msg, ops_walk_batch_fn fn, void *u, ops_err *reterr)
{
    struct batch_ctx ctx = {.fn = fn, .u = u, .rows = resource_metrics_rows, .path = "resource_metrics"};

    return walk_request(w, msg, "ExportMetricsServiceRequest", reterr, one_resource, &ctx);
}

ops_status ops_walk_traces(ops_walk *w, ops_slice msg, ops_walk_batch_fn fn, void *u, ops_err *reterr)
{
    struct batch_ctx ctx = {
        .fn = fn, .u = u, .rows = resource_spans_rows, .path = "resource_spans", .entry_is_point = true};

    return walk_request(w, msg, "ExportTraceServiceRequest", reterr, one_resource, &ctx);
}

/* A Resource, as the text walk reads it; the checking walk has a reader of its own. */
static const struct walk_row resource_rows[] = {{1, L, 0, kv_rows}, {2, V, 0, NULL}, ROW_END};

struct text_ctx {
    ops_walk *w;
    ops_walk_text_fn fn;
    void *u;
};

static ops_slice key_of(ops_walk *w, const walk_field *kv)
{
    walk_cursor c = walk_cursor_of(kv->p, kv->val);
    walk_field f;
    ops_slice key = {0};
    while (walk_next(w, &c, &f))
        if (f.num == 1 && f.wire == WIRE_LEN)
            key = walk_slice(&f);
    return key;
}

static void texts(struct text_ctx *x, const walk_field *msg, const struct walk_row *rows, ops_slice key,
                  uint32_t values)
{
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    walk_field f;
    if (rows == any_rows && values++ >= x->w->limits.depth_max)
        return;
    while (walk_next(x->w, &c, &f)) {
        const struct walk_row *row = rows;
        while (row->num != 0 && row->num != f.num)
            row++;
        if (f.wire != WIRE_LEN || row->role == ROLE_PACKED_FIX64 || row->role == ROLE_PACKED_VARINT)
            continue;
        const struct walk_row *child = row->role == ROLE_RESOURCE ? resource_rows : row->child;
        if (child == NULL) /* a leaf, or a field that is not known: its bytes may be text too */
            x->fn(x->u, rows == any_rows ? key : (ops_slice){0}, walk_slice(&f));
        else
            texts(x, &f, child, child == kv_rows ? key_of(x->w, &f) : key, values);
    }
}

ops_status ops_walk_texts(ops_walk *w, ops_slice raw, bool traces, ops_walk_text_fn fn, void *u,
                          ops_err *reterr)
{
    struct text_ctx x = {w, fn, u};
    const walk_field whole = {.p = (const uint8_t *)raw.p, .val = raw.n};
    w->fault = NULL;
    w->base = (const uint8_t *)raw.p;
    texts(&x, &whole, traces ? resource_spans_rows : resource_metrics_rows, (ops_slice){0}, 0);
    return w->fault == NULL ? OPS_OK
                            : ops_fail(reterr, OPS_EINVAL, "a resource that does not read: %s", w->fault);
}
