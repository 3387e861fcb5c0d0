/* ExportLogsServiceRequest: two looks at each ResourceLogs and ScopeLogs, because the resource may follow the scopes
 * it describes; the second look only steps over lengths. */
#include "proto/otlp/walk_internal.h"

struct logs_ctx {
    const ops_walk_log_visitor *visitor;
    void *u;
};

static bool log_field(ops_walk *w, const walk_cursor *c, const walk_field *f, ops_walk_log *log)
{
    switch (f->num) {
    case 1:
        log->time_ns = f->val;
        return walk_want(w, c, f, WIRE_FIX64);
    case 2:
        log->severity_number = (int32_t)f->val;
        return walk_want(w, c, f, WIRE_VARINT);
    case 3:
        log->severity_text = walk_slice(f);
        return walk_want(w, c, f, WIRE_LEN);
    case 5:
        return walk_want(w, c, f, WIRE_LEN) &&
               walk_value(w, &w->record, f->p, (size_t)f->val, &log->body, &log->body_kind);
    case 6:
        return walk_want(w, c, f, WIRE_LEN) && walk_attr(w, &w->record, f);
    case 7:
        log->dropped_attrs = (uint32_t)f->val;
        return walk_want(w, c, f, WIRE_VARINT);
    case 8:
        log->flags = (uint32_t)f->val;
        return walk_want(w, c, f, WIRE_FIX32);
    case 9:
        log->trace_id = walk_slice(f);
        return walk_want(w, c, f, WIRE_LEN);
    case 10:
        log->span_id = walk_slice(f);
        return walk_want(w, c, f, WIRE_LEN);
    case 11:
        log->observed_ns = f->val;
        return walk_want(w, c, f, WIRE_FIX64);
    case 12:
        log->event_name = walk_slice(f);
        return walk_want(w, c, f, WIRE_LEN);
    default:
        return true;
    }
}

static bool log_record(ops_walk *w, const walk_field *rec, const struct logs_ctx *ctx)
{
    walk_cursor c = walk_cursor_of(rec->p, rec->val);
    ops_walk_log log = {.offset = (size_t)(rec->p - w->base)};
    walk_field f = {0};

    if (!walk_count(w, "log records"))
        return false;
    w->path = "resource_logs.scope_logs.log_records";
    walk_attrs_clear(&w->record);
    while (walk_next(w, &c, &f)) {
        if (!log_field(w, &c, &f, &log))
            return false;
    }
    if (w->fault != NULL)
        return false;
    w->path = "resource_logs.scope_logs";
    log.attrs = w->record.v;
    log.attr_count = w->record.n;
    log.flaw = w->record.flaw;
    return ctx->visitor->log == NULL || walk_told(w, ctx->visitor->log(ctx->u, &log, w->reterr));
}

static bool scope_logs(ops_walk *w, const walk_field *sl, const struct logs_ctx *ctx)
{
    walk_cursor c = walk_cursor_of(sl->p, sl->val);
    ops_walk_group scope = {.offset = (size_t)(sl->p - w->base)};
    walk_field f;

    w->path = "resource_logs.scope_logs";
    walk_attrs_clear(&w->scope);
    while (walk_next(w, &c, &f)) {
        if ((f.num == 1 || f.num == 2 || f.num == 3) && !walk_want(w, &c, &f, WIRE_LEN))
            return false;
        if (f.num == 1 && !walk_scope(w, &f, &scope))
            return false;
    }
    if (w->fault != NULL)
        return false;
    if (ctx->visitor->scope != NULL && !walk_told(w, ctx->visitor->scope(ctx->u, &scope, w->reterr)))
        return false;

    c = walk_cursor_of(sl->p, sl->val);
    while (walk_next(w, &c, &f)) {
        if (f.num == 2 && !log_record(w, &f, ctx))
            return false;
    }
    w->path = "resource_logs";
    return true;
}

static bool resource_logs(ops_walk *w, const walk_field *rl, void *arg)
{
    const struct logs_ctx *ctx = arg;
    walk_cursor c = walk_cursor_of(rl->p, rl->val);
    ops_walk_group resource = {.offset = (size_t)(rl->p - w->base)};
    walk_field f;

    w->path = "resource_logs";
    walk_attrs_clear(&w->resource);
    while (walk_next(w, &c, &f)) {
        if ((f.num == 1 || f.num == 2 || f.num == 3) && !walk_want(w, &c, &f, WIRE_LEN))
            return false;
        if (f.num == 1 && !walk_resource(w, &f, &resource))
            return false;
    }
    if (w->fault != NULL)
        return false;
    if (ctx->visitor->resource != NULL && !walk_told(w, ctx->visitor->resource(ctx->u, &resource, w->reterr)))
        return false;

    c = walk_cursor_of(rl->p, rl->val);
    while (walk_next(w, &c, &f)) {
        if (f.num == 2 && !scope_logs(w, &f, ctx))
            return false;
    }
    w->path = "ExportLogsServiceRequest";
    return true;
}

ops_status ops_walk_logs(ops_walk *w, ops_slice msg, const ops_walk_log_visitor *visitor, void *u,
                         ops_err *reterr)
{
    struct logs_ctx ctx = {visitor, u};

    return walk_request(w, msg, "ExportLogsServiceRequest", reterr, resource_logs, &ctx);
}
