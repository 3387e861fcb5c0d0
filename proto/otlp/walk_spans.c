/* ExportTraceServiceRequest once more, for the spans that failed: a cheap look at each span's status, and all of it only
 * when that says ERROR. The resource may follow the scopes it describes, so each ResourceSpans is stepped over twice. */
#include "proto/otlp/walk_internal.h"

enum { STATUS_ERROR = 2 }; /* opentelemetry.proto.trace.v1.Status.StatusCode */

struct spans_ctx {
    const ops_walk_span_visitor *visitor;
    void *u;
    bool all;
};

static bool status_field(ops_walk *w, const walk_field *status, ops_walk_span *s, uint64_t *code)
{
    walk_cursor c = walk_cursor_of(status->p, status->val);
    walk_field f = {0};

    while (walk_next(w, &c, &f)) {
        if (f.num == 2) {
            if (!walk_want(w, &c, &f, WIRE_LEN))
                return false;
            s->status_message = walk_slice(&f);
        } else if (f.num == 3) {
            if (!walk_want(w, &c, &f, WIRE_VARINT))
                return false;
            *code = f.val;
        }
    }
    return w->fault == NULL;
}

static bool failed(ops_walk *w, const walk_field *span, ops_walk_span *s, bool *ret)
{
    walk_cursor c = walk_cursor_of(span->p, span->val);
    walk_field f = {0};
    uint64_t code = 0;

    while (walk_next(w, &c, &f)) {
        if (f.num == 15 && (!walk_want(w, &c, &f, WIRE_LEN) || !status_field(w, &f, s, &code)))
            return false;
    }
    *ret = code == STATUS_ERROR;
    return w->fault == NULL;
}

/* The last event that is an exception says what went wrong (semantic conventions, "Exceptions on spans"). */
static bool event(ops_walk *w, const walk_field *msg, ops_walk_span *s)
{
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    walk_field f = {0};
    ops_slice name = {0};

    while (walk_next(w, &c, &f)) {
        if (f.num == 2) {
            if (!walk_want(w, &c, &f, WIRE_LEN))
                return false;
            name = walk_slice(&f);
        }
    }
    if (w->fault != NULL || !ops_slice_eq(name, OPS_SLICE("exception")))
        return w->fault == NULL;
    walk_attrs_clear(&w->scope);
    c = walk_cursor_of(msg->p, msg->val);
    while (walk_next(w, &c, &f)) {
        if (f.num == 3 && (!walk_want(w, &c, &f, WIRE_LEN) || !walk_attr(w, &w->scope, &f)))
            return false;
    }
    s->exception_type = s->exception_message = (ops_slice){0};
    for (uint32_t i = 0; i < w->scope.n; i++) {
        if (ops_slice_eq(w->scope.v[i].key, OPS_SLICE("exception.type")))
            s->exception_type = w->scope.v[i].val;
        else if (ops_slice_eq(w->scope.v[i].key, OPS_SLICE("exception.message")))
            s->exception_message = w->scope.v[i].val;
    }
    return w->fault == NULL;
}

static bool span_field(ops_walk *w, const walk_cursor *c, const walk_field *f, ops_walk_span *s)
{
    switch (f->num) {
    case 1:
        s->trace_id = walk_slice(f);
        return walk_want(w, c, f, WIRE_LEN);
    case 2:
        s->span_id = walk_slice(f);
        return walk_want(w, c, f, WIRE_LEN);
    case 4:
        s->parent_id = walk_slice(f);
        return walk_want(w, c, f, WIRE_LEN);
    case 5:
        s->name = walk_slice(f);
        return walk_want(w, c, f, WIRE_LEN);
    case 6:
        s->kind = (uint32_t)f->val;
        return walk_want(w, c, f, WIRE_VARINT);
    case 7:
        s->start_ns = f->val;
        return walk_want(w, c, f, WIRE_FIX64);
    case 8:
        s->end_ns = f->val;
        return walk_want(w, c, f, WIRE_FIX64);
    case 9:
        return walk_want(w, c, f, WIRE_LEN) && walk_attr(w, &w->record, f);
    case 11:
        return walk_want(w, c, f, WIRE_LEN) && event(w, f, s);
    default:
        return true;
    }
}

static bool one_span(ops_walk *w, const walk_field *msg, const struct spans_ctx *ctx)
{
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    ops_walk_span s = {.offset = (size_t)(msg->p - w->base)};
    walk_field f = {0};
    bool wanted = false;

    w->path = "resource_spans.scope_spans.spans";
    if (!walk_count(w, "spans") || !failed(w, msg, &s, &wanted))
        return false;
    if (!wanted && !ctx->all)
        return true;
    walk_attrs_clear(&w->record);
    while (walk_next(w, &c, &f)) {
        if (!span_field(w, &c, &f, &s))
            return false;
    }
    if (w->fault != NULL)
        return false;
    s.attrs = w->record.v;
    s.attr_count = w->record.n;
    s.flaw = w->record.flaw;
    return ctx->visitor->span == NULL || walk_told(w, ctx->visitor->span(ctx->u, &s, w->reterr));
}

static bool scope_spans(ops_walk *w, const walk_field *msg, const struct spans_ctx *ctx)
{
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    walk_field f = {0};

    while (walk_next(w, &c, &f)) {
        if (f.num != 2)
            continue;
        w->path = "resource_spans.scope_spans";
        if (!walk_want(w, &c, &f, WIRE_LEN) || !one_span(w, &f, ctx))
            return false;
    }
    return w->fault == NULL;
}

static bool resource_spans(ops_walk *w, const walk_field *msg, void *arg)
{
    const struct spans_ctx *ctx = arg;
    walk_cursor c = walk_cursor_of(msg->p, msg->val);
    ops_walk_group resource = {.offset = (size_t)(msg->p - w->base)};
    walk_field f = {0};

    w->path = "resource_spans";
    walk_attrs_clear(&w->resource);
    while (walk_next(w, &c, &f)) {
        if ((f.num == 1 || f.num == 2) && !walk_want(w, &c, &f, WIRE_LEN))
            return false;
        if (f.num == 1 && !walk_resource(w, &f, &resource))
            return false;
    }
    if (w->fault != NULL)
        return false;
    if (ctx->visitor->resource != NULL && !walk_told(w, ctx->visitor->resource(ctx->u, &resource, w->reterr)))
        return false;
    c = walk_cursor_of(msg->p, msg->val);
    while (walk_next(w, &c, &f)) {
        if (f.num == 2 && !scope_spans(w, &f, ctx))
            return false;
    }
    w->path = "ExportTraceServiceRequest";
    return w->fault == NULL;
}

ops_status ops_walk_failed_spans(ops_walk *w, ops_slice msg, const ops_walk_span_visitor *visitor, void *u,
                                 ops_err *reterr)
{
    struct spans_ctx ctx = {visitor, u, false};

    return walk_request(w, msg, "ExportTraceServiceRequest", reterr, resource_spans, &ctx);
}

ops_status ops_walk_spans(ops_walk *w, ops_slice msg, const ops_walk_span_visitor *visitor, void *u,
                          ops_err *reterr)
{
    struct spans_ctx ctx = {visitor, u, true};

    return walk_request(w, msg, "ExportTraceServiceRequest", reterr, resource_spans, &ctx);
}
