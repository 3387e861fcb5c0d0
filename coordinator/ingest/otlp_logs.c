/* OTLP log records to ops_record, and the protobuf decoder on top of the wire walker. */
#include "coordinator/ingest/otlp_logs.h"

#include "base/mem/alloc.h"
#include "base/text/utf8.h"
#include "coordinator/ingest/otlp_logs_internal.h"

#include <stdio.h>

ops_status otlp_decode_new(const ops_ingest_limits *limits, int64_t recv_ns, ops_ingest_sink sink,
                           ops_ingest_reject reject, void *u, otlp_decode **ret, ops_err *reterr)
{
    otlp_decode *d = ops_malloc(sizeof *d);

    if (d == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "decoding OTLP logs");
    d->limits = limits;
    d->recv_ns = recv_ns;
    d->sink = sink;
    d->reject = reject;
    d->u = u;
    d->counters = (ops_ingest_counters){0};
    d->mark = 0;
    d->service = OPS_SLICE("unknown_service");
    d->resource_attrs = NULL;
    d->resource_count = 0;
    d->resource_cut = false;
    ops_arena_init(&d->arena, 8 * (limits->line_bytes_max + limits->render_bytes_max) + 65536);
    *ret = d;
    return OPS_OK;
}

void otlp_decode_free(otlp_decode *d)
{
    if (d == NULL)
        return;
    ops_arena_done(&d->arena);
    ops_free(d);
}

void otlp_resource(otlp_decode *d, const ops_walk_group *resource)
{
    d->resource_attrs = resource->attrs;
    d->resource_count = resource->attr_count;
    d->resource_cut = resource->flaw != OPS_WALK_FLAW_NONE;
    d->service = ops_ingest_service(resource->attrs, resource->attr_count);
}

void otlp_reject(otlp_decode *d, ops_ingest_reason reason, const char *detail)
{
    d->counters.rejected++;
    d->counters.rejected_by[reason]++;
    if (d->reject != NULL)
        d->reject(d->u, reason, detail);
}

static bool is_ascii(ops_slice s)
{
    uint64_t any = 0, word;
    size_t i = 0;

    for (; i + 8 <= s.n; i += 8) {
        memcpy(&word, s.p + i, 8);
        any |= word;
    }
    for (; i < s.n; i++)
        any |= (uint8_t)s.p[i];
    return (any & UINT64_C(0x8080808080808080)) == 0;
}

/* Makes *s valid UTF-8 without NUL, which clients that take texts for C strings would lose the rest at, copying into the arena only when it is not. */
static ops_status clean(otlp_decode *d, ops_slice *s, uint32_t *flags, ops_err *reterr)
{
    if ((is_ascii(*s) || ops_utf8_valid(*s)) && (s->n == 0 || memchr(s->p, 0, s->n) == NULL))
        return OPS_OK;

    ops_strbuf b;
    ops_strbuf_init(&b, 3 * s->n + 1);
    ops_utf8_clean(&b, *s);
    const ops_slice copy = b.failed ? ops_slice_of(NULL, 0) : ops_arena_dup(&d->arena, ops_strbuf_get(&b));
    ops_strbuf_done(&b);
    if (copy.p == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "cleaning %zu bytes that are no UTF-8", s->n);
    *s = copy;
    *flags |= OPS_RECORD_BAD_UTF8;
    return OPS_OK;
}

static bool all_zero(ops_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != 0)
            return false;
    }
    return true;
}

static ops_slice id_of(ops_slice s, size_t want)
{
    return s.n == want && !all_zero(s) ? s : ops_slice_of(NULL, 0);
}

/* Cuts at the limit, never inside a code point. */
static void cut(ops_slice *s, size_t max, uint32_t *flags)
{
    if (s->n <= max)
        return;
    size_t n = max;
    while (n > 0 && max - n < 4 && ((uint8_t)s->p[n] & 0xc0) == 0x80)
        n--;
    s->n = n;
    *flags |= OPS_RECORD_TRUNCATED;
}

/* Own attributes first, then the event name, then the resource's; what does not fit is left out and flagged. */
static ops_status gather(otlp_decode *d, const ops_walk_log *log, ops_record *r, ops_err *reterr)
{
    const uint32_t max =
        d->limits->attrs_max < OPS_RECORD_ATTRS_MAX ? d->limits->attrs_max : OPS_RECORD_ATTRS_MAX;
    uint32_t n = 0;

    for (uint32_t i = 0; i < log->attr_count && n < max; i++)
        d->attrs[n++] = log->attrs[i];
    if (log->event_name.n > 0 && n < max)
        d->attrs[n++] = (ops_attr){OPS_SLICE("event.name"), log->event_name};
    for (uint32_t i = 0; i < d->resource_count && n < max; i++)
        d->attrs[n++] = d->resource_attrs[i];
    if (d->resource_cut || log->attr_count + (log->event_name.n > 0) + d->resource_count > n)
        r->flags |= OPS_RECORD_TRUNCATED;
    for (uint32_t i = 0; i < n; i++) {
        if (clean(d, &d->attrs[i].key, &r->flags, reterr) != OPS_OK ||
            clean(d, &d->attrs[i].val, &r->flags, reterr) != OPS_OK)
            return OPS_ENOMEM;
    }
    r->attrs = d->attrs;
    r->attr_count = n;
    return OPS_OK;
}

static bool flawed(otlp_decode *d, const ops_walk_log *log, const char *place)
{
    static const ops_ingest_reason reasons[] = {[OPS_WALK_FLAW_DEPTH] = OPS_INGEST_REASON_DEPTH,
                                                [OPS_WALK_FLAW_ATTRS] = OPS_INGEST_REASON_ATTRS,
                                                [OPS_WALK_FLAW_RENDER] = OPS_INGEST_REASON_RENDER};
    char detail[160];

    if (log->flaw == OPS_WALK_FLAW_NONE && (log->body.n > 0 || log->attr_count > 0 || log->event_name.n > 0))
        return false;
    const ops_ingest_reason reason =
        log->flaw == OPS_WALK_FLAW_NONE ? OPS_INGEST_REASON_EMPTY : reasons[log->flaw];
    snprintf(detail, sizeof detail, "%s: %s", place, ops_ingest_reason_text(reason));
    otlp_reject(d, reason, detail);
    return true;
}

ops_status otlp_emit(otlp_decode *d, const ops_walk_log *log, const char *place, ops_err *reterr)
{
    char at[48];

    d->counters.received++;
    if (place == NULL && (log->flaw != OPS_WALK_FLAW_NONE || log->body.n == 0)) {
        snprintf(at, sizeof at, "log record at byte %zu", log->offset);
        place = at;
    }
    if (flawed(d, log, place))
        return OPS_OK;

    ops_record r = {.recv_ns = d->recv_ns, .service = d->service, .flags = d->mark};
    r.time_ns = ops_ingest_time(d->limits, log->time_ns, log->observed_ns, d->recv_ns, &r.flags);
    r.severity = log->severity_number >= 1 && log->severity_number <= 24
                     ? (uint8_t)log->severity_number
                     : ops_ingest_severity(log->severity_text);
    r.message = log->body.n > 0 ? log->body : log->event_name;
    cut(&r.message, d->limits->line_bytes_max, &r.flags);
    r.trace_id = id_of(log->trace_id, 16);
    r.span_id = id_of(log->span_id, 8);
    if (d->arena.bytes > 0)
        ops_arena_clear(&d->arena);
    if (clean(d, &r.message, &r.flags, reterr) != OPS_OK ||
        clean(d, &r.service, &r.flags, reterr) != OPS_OK || gather(d, log, &r, reterr) != OPS_OK)
        return OPS_ENOMEM;

    d->counters.accepted++;
    d->counters.clamped += (r.flags & OPS_RECORD_TIME_CLAMPED) != 0;
    d->counters.no_time += (r.flags & OPS_RECORD_NO_TIME) != 0;
    d->counters.bad_utf8 += (r.flags & OPS_RECORD_BAD_UTF8) != 0;
    d->counters.truncated += (r.flags & OPS_RECORD_TRUNCATED) != 0;
    return d->sink(d->u, &r, reterr);
}

void otlp_count(const otlp_decode *d, ops_ingest_counters *c)
{
    c->received += d->counters.received;
    c->accepted += d->counters.accepted;
    c->rejected += d->counters.rejected;
    for (int i = 0; i < OPS_INGEST_REASON_COUNT; i++)
        c->rejected_by[i] += d->counters.rejected_by[i];
    c->clamped += d->counters.clamped;
    c->no_time += d->counters.no_time;
    c->bad_utf8 += d->counters.bad_utf8;
    c->truncated += d->counters.truncated;
}

static ops_status on_resource(void *u, const ops_walk_group *resource, ops_err *reterr)
{
    (void)reterr;
    otlp_resource(u, resource);
    return OPS_OK;
}

static ops_status on_log(void *u, const ops_walk_log *log, ops_err *reterr)
{
    return otlp_emit(u, log, NULL, reterr);
}

ops_status ops_otlp_logs_decode(const uint8_t *p, size_t n, const ops_ingest_limits *limits, int64_t recv_ns,
                                ops_ingest_sink sink, ops_ingest_reject reject, void *u,
                                ops_ingest_counters *counters, ops_err *reterr)
{
    static const ops_walk_log_visitor visitor = {.resource = on_resource, .log = on_log};
    const ops_walk_limits walk_limits = {
        .depth_max = limits->depth_max,
        .attrs_max = limits->attrs_max,
        .message_bytes_max = limits->request_bytes_max,
        .render_bytes_max = limits->render_bytes_max,
        .items_max = limits->records_max,
    };
    OPS_AUTO(otlp_decode_free) otlp_decode *d = NULL;
    ops_walk *w;

    ops_status st = otlp_decode_new(limits, recv_ns, sink, reject, u, &d, reterr);
    if (st == OPS_OK)
        st = ops_walk_new(&walk_limits, &w, reterr);
    if (st != OPS_OK)
        return st;
    st = ops_walk_logs(w, ops_slice_of(p, n), &visitor, d, reterr);
    ops_walk_free(w);
    if (st == OPS_OK)
        otlp_count(d, counters);
    return st;
}
