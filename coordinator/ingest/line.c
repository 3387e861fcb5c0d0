/* Dispatch on the first bytes of a line, and the record at the end. */
#include "coordinator/ingest/line.h"

#include "base/text/strbuf.h"
#include "base/text/utf8.h"
#include "coordinator/ingest/line_internal.h"

const char *ops_line_shape_name(ops_line_shape shape)
{
    static const char *const names[OPS_LINE_SHAPE_COUNT] = {
        [OPS_LINE_PLAIN] = "plain",       [OPS_LINE_JSON] = "json",
        [OPS_LINE_LOGFMT] = "logfmt",     [OPS_LINE_RFC5424] = "rfc5424",
        [OPS_LINE_RFC3164] = "rfc3164",   [OPS_LINE_CRI] = "cri",
        [OPS_LINE_DOCKER] = "docker",     [OPS_LINE_ACCESS] = "access",
        [OPS_LINE_POSTGRES] = "postgres", [OPS_LINE_NGINX_ERROR] = "nginx_error",
        [OPS_LINE_KLOG] = "klog",         [OPS_LINE_TIMED] = "timed",
        [OPS_LINE_REDIS] = "redis",
    };
    return shape < OPS_LINE_SHAPE_COUNT ? names[shape] : "unknown";
}

void line_attr(line_out *o, ops_slice key, ops_slice val)
{
    if (val.n == 0)
        return;
    if (o->n == LINE_ATTRS_MAX)
        o->flags |= OPS_RECORD_TRUNCATED;
    else
        o->attrs[o->n++] = (ops_attr){key, val};
}

bool line_dup(line_out *o, ops_slice s, ops_slice *ret)
{
    if (s.n == 0) {
        *ret = OPS_SLICE("");
        return true;
    }
    const ops_slice copy = ops_arena_dup(o->arena, s);
    if (copy.p == NULL) {
        o->flags |= OPS_RECORD_TRUNCATED;
        return false;
    }
    *ret = copy;
    return true;
}

static int hex_digit(char ch)
{
    return line_digit(ch) ? ch - '0' : (ch | 32) >= 'a' && (ch | 32) <= 'f' ? (ch | 32) - 'a' + 10 : -1;
}

static void id_of(line_out *o, ops_slice hex, size_t n, ops_slice *ret)
{
    uint8_t any = 0;

    if (hex.n != 2 * n)
        return;
    for (size_t i = 0; i < hex.n; i++) {
        if (hex_digit(hex.p[i]) < 0)
            return;
        any |= (uint8_t)hex_digit(hex.p[i]);
    }
    char *p = any != 0 ? ops_arena_alloc(o->arena, n) : NULL;
    if (p == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(hex_digit(hex.p[2 * i]) << 4 | hex_digit(hex.p[2 * i + 1]));
    *ret = ops_slice_of(p, n);
}

void line_ids(line_out *o, ops_slice trace, ops_slice span)
{
    id_of(o, trace, 16, &o->trace_id);
    id_of(o, span, 8, &o->span_id);
}

ops_line_shape line_any(line_out *o, ops_slice line)
{
    ops_line_shape shape = OPS_LINE_PLAIN;

    if (o->depth++ < LINE_DEPTH_MAX && line.n > 0) {
        const char ch = line.p[0];
        if (ch == '{' && line_json(o, line, &shape))
            return shape;
        if (ch == '<' && line_rfc5424(o, line))
            return OPS_LINE_RFC5424;
        if ((ch == '<' || (ch >= 'A' && ch <= 'S')) && line_rfc3164(o, line))
            return OPS_LINE_RFC3164;
        if (line.n > 20 && line_digit(line.p[1]) && line_klog(o, line))
            return OPS_LINE_KLOG;
        if (line_digit(ch) && line_redis(o, line))
            return OPS_LINE_REDIS;
        if (line_digit(ch) && line_cri(o, line))
            return OPS_LINE_CRI;
        if ((line_digit(ch) || ch == '[' || (ch >= 'A' && ch <= 'Z')) && line_dated(o, line, &shape))
            return shape;
        if (ch > ' ' && line_access(o, line))
            return OPS_LINE_ACCESS;
        if (((ch | 32) >= 'a' && (ch | 32) <= 'z') || ch == '_' || ch == '@') {
            if (line_logfmt(o, line))
                return OPS_LINE_LOGFMT;
        }
        if ((ch == '[' || (ch >= 'A' && ch <= 'Z')) && line_levelled(o, line))
            return OPS_LINE_PLAIN;
    }
    o->message = line;
    return OPS_LINE_PLAIN;
}

/* A line of valid UTF-8 no longer than the limit; what was done to it is flagged. */
static ops_slice sound(line_out *o, ops_slice line)
{
    const size_t max = o->ctx->limits->line_bytes_max;

    while (line.n > 0 && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
        line.n--;
    if (line.n > max) {
        line.n = max;
        while (line.n > 0 && max - line.n < 4 && ((uint8_t)line.p[line.n] & 0xc0) == 0x80)
            line.n--;
        o->flags |= OPS_RECORD_TRUNCATED;
    }
    if (ops_utf8_valid(line) && (line.n == 0 || memchr(line.p, 0, line.n) == NULL))
        return line;

    ops_strbuf b;
    ops_strbuf_init(&b, 3 * line.n + 1);
    ops_utf8_clean(&b, line);
    const ops_slice copy = b.failed ? ops_slice_of(NULL, 0) : ops_arena_dup(o->arena, ops_strbuf_get(&b));
    ops_strbuf_done(&b);
    o->flags |= OPS_RECORD_BAD_UTF8;
    if (copy.p != NULL)
        return copy;
    size_t good = 0;
    for (size_t step; (step = ops_utf8_len(ops_slice_sub(line, good, SIZE_MAX))) > 0;)
        good += step;
    o->flags |= OPS_RECORD_TRUNCATED;
    return ops_slice_sub(line, 0, good);
}

ops_line_shape ops_line_parse(const ops_line_ctx *ctx, ops_slice line, ops_arena *arena, ops_record *ret,
                              ops_line_shape *ret_inner, bool *ret_partial)
{
    line_out o; /* attrs stay uninitialised on purpose: 2 KiB a line */
    ops_line_shape inner;

    memset(&o, 0, offsetof(line_out, attrs));
    o.n = 0;
    o.depth = 0;
    o.partial = false;
    o.ctx = ctx;
    o.arena = arena;
    line = sound(&o, line);
    ops_line_shape shape = line_any(&o, line);
    inner = shape;
    if (shape == OPS_LINE_CRI || shape == OPS_LINE_DOCKER) {
        o.depth = 1;
        inner = line_any(&o, o.message);
    }

    *ret = (ops_record){.recv_ns = ctx->recv_ns, .severity = o.severity, .flags = o.flags};
    const int64_t t = o.time_ns != 0 ? o.time_ns : o.outer_time_ns;
    ret->time_ns = ops_ingest_time(ctx->limits, t > 0 ? (uint64_t)t : 0, 0, ctx->recv_ns, &ret->flags);
    ret->service = o.service.n > 0      ? o.service
                   : ctx->service.n > 0 ? ctx->service
                                        : OPS_SLICE("unknown_service");
    ret->message = o.message;
    ret->trace_id = o.trace_id;
    ret->span_id = o.span_id;
    if (o.n > 0) {
        ops_attr *attrs = ops_arena_alloc(arena, o.n * sizeof *attrs);
        if (attrs != NULL) {
            memcpy(attrs, o.attrs, o.n * sizeof *attrs);
            ret->attrs = attrs;
            ret->attr_count = o.n;
        } else {
            ret->flags |= OPS_RECORD_TRUNCATED;
        }
    }
    if (ret_inner != NULL)
        *ret_inner = inner;
    if (ret_partial != NULL)
        *ret_partial = o.partial;
    return shape;
}
