/* What the JSON and the protobuf form of a Loki push share. The label text is read here too: only protobuf has it. */
#include "base/mem/alloc.h"
#include "base/text/utf8.h"
#include "coordinator/ingest/loki_internal.h"

#include <inttypes.h>
#include <stdio.h>

ops_status loki_new(const ops_ingest_limits *limits, int64_t recv_ns, ops_ingest_sink sink,
                    ops_ingest_reject reject, void *u, loki_ctx **ret, ops_err *reterr)
{
    OPS_AUTO(loki_free) loki_ctx *c = ops_calloc(1, sizeof *c);

    if (c == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "decoding a Loki push");
    ops_arena_init(&c->arena, limits->render_bytes_max + 64 * OPS_RECORD_ATTRS_MAX);
    const ops_status st = otlp_decode_new(limits, recv_ns, sink, reject, u, &c->d, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(c);
    return st;
}

void loki_free(loki_ctx *c)
{
    if (c == NULL)
        return;
    otlp_decode_free(c->d);
    ops_arena_done(&c->arena);
    ops_free(c);
}

void loki_labels_clear(loki_labels *l)
{
    l->n = 0;
    l->cut = false;
    l->level = (ops_slice){0};
}

void loki_label(const loki_ctx *c, loki_labels *l, ops_slice name, ops_slice value)
{
    if (ops_slice_eq(name, OPS_SLICE("level")) || ops_slice_eq(name, OPS_SLICE("severity")) ||
        (l->level.n == 0 && ops_slice_eq(name, OPS_SLICE("detected_level"))))
        l->level = value;
    if (l->n == c->d->limits->attrs_max || l->n == OPS_RECORD_ATTRS_MAX)
        l->cut = true;
    else
        l->v[l->n++] = (ops_attr){name, value};
}

void loki_stream(loki_ctx *c)
{
    static const ops_slice names[LOKI_SERVICE_NAMES] = {
        {"service_name", 12}, {"service", 7}, {"app", 3}, {"job", 3}};
    loki_labels *l = &c->stream;
    uint32_t best = UINT32_MAX, rank = LOKI_SERVICE_NAMES;

    for (uint32_t i = 0; i < l->n; i++) {
        for (uint32_t r = 0; r < rank; r++) {
            if (l->v[i].val.n > 0 && ops_slice_eq(l->v[i].key, names[r])) {
                best = i;
                rank = r;
            }
        }
    }
    c->d->service = OPS_SLICE("unknown_service");
    if (best != UINT32_MAX) {
        c->d->service = l->v[best].val;
        memmove(&l->v[best], &l->v[best + 1], (l->n - best - 1) * sizeof *l->v);
        l->n--;
    }
    c->d->resource_attrs = l->v;
    c->d->resource_count = l->n;
    c->d->resource_cut = l->cut;
}

static ops_status room(const loki_ctx *c, ops_err *reterr)
{
    const uint64_t max = c->d->limits->records_max;

    return c->d->counters.received < max
               ? OPS_OK
               : ops_fail(reterr, OPS_ETOOBIG, "more than %" PRIu64 " entries in one request", max);
}

ops_status loki_entry(loki_ctx *c, uint64_t time_ns, ops_slice line, const char *place, ops_err *reterr)
{
    const ops_slice level = c->entry.level.n > 0 ? c->entry.level : c->stream.level;
    const ops_walk_log log = {.time_ns = time_ns,
                              .severity_text = level,
                              .body = line,
                              .attrs = c->entry.v,
                              .attr_count = c->entry.n,
                              .flaw = c->entry.cut ? OPS_WALK_FLAW_ATTRS : OPS_WALK_FLAW_NONE};

    const ops_status st = room(c, reterr);
    return st == OPS_OK ? otlp_emit(c->d, &log, place, reterr) : st;
}

ops_status loki_refuse(loki_ctx *c, const char *place, const char *why, ops_err *reterr)
{
    char detail[320];

    const ops_status st = room(c, reterr);
    if (st != OPS_OK)
        return st;
    c->d->counters.received++;
    (void)snprintf(detail, sizeof detail, "%s.%s: %s", place, why,
                   ops_ingest_reason_text(OPS_INGEST_REASON_FIELD));
    otlp_reject(c->d, OPS_INGEST_REASON_FIELD, detail);
    return OPS_OK;
}

static void blanks(const ops_slice *s, size_t *at)
{
    while (*at < s->n && (s->p[*at] == ' ' || s->p[*at] == '\t' || s->p[*at] == '\n' || s->p[*at] == '\r'))
        ++*at;
}

static bool take(const ops_slice *s, size_t *at, char ch)
{
    blanks(s, at);
    if (*at == s->n || s->p[*at] != ch)
        return false;
    ++*at;
    return true;
}

static bool is_name(char ch, bool first)
{
    return ch == '_' || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
           (!first && ch >= '0' && ch <= '9');
}

static ops_slice name_of(const ops_slice *s, size_t *at)
{
    blanks(s, at);
    const size_t from = *at;
    while (*at < s->n && is_name(s->p[*at], *at == from))
        ++*at;
    return ops_slice_sub(*s, from, *at - from);
}

static int digit_of(char ch)
{
    return ch >= '0' && ch <= '9'                 ? ch - '0'
           : (ch | 32) >= 'a' && (ch | 32) <= 'f' ? (ch | 32) - 'a' + 10
                                                  : 16;
}

/* `n` digits of a base. */
static bool digits(const ops_slice *s, size_t *at, unsigned n, int base, uint32_t *ret)
{
    *ret = 0;
    for (; n > 0; n--, ++*at) {
        const int v = *at < s->n ? digit_of(s->p[*at]) : 16;
        if (v >= base)
            return false;
        *ret = *ret * (uint32_t)base + (uint32_t)v;
    }
    return true;
}

static bool put_rune(char *out, size_t *n, uint32_t r)
{
    if (r > 0x10ffff || (r >= 0xd800 && r <= 0xdfff))
        return false;
    if (r < 0x80) {
        out[(*n)++] = (char)r;
    } else if (r < 0x800) {
        out[(*n)++] = (char)(0xc0 | r >> 6);
        out[(*n)++] = (char)(0x80 | (r & 0x3f));
    } else {
        if (r < 0x10000) {
            out[(*n)++] = (char)(0xe0 | r >> 12);
        } else {
            out[(*n)++] = (char)(0xf0 | r >> 18);
            out[(*n)++] = (char)(0x80 | (r >> 12 & 0x3f));
        }
        out[(*n)++] = (char)(0x80 | (r >> 6 & 0x3f));
        out[(*n)++] = (char)(0x80 | (r & 0x3f));
    }
    return true;
}

/* What follows a backslash, as Go's strconv.Unquote knows it. No escape is longer decoded than written. */
static bool escape(const ops_slice *s, size_t *at, char *out, size_t *n)
{
    static const char from[] = "abfnrtv\\\"'", to[] = "\a\b\f\n\r\t\v\\\"'";
    uint32_t r;

    if (*at == s->n)
        return false;
    const char ch = s->p[(*at)++];
    const char *simple = ch != '\0' ? strchr(from, ch) : NULL;
    if (simple != NULL) {
        out[(*n)++] = to[simple - from];
        return true;
    }
    switch (ch) {
    case 'x':
        if (!digits(s, at, 2, 16, &r))
            return false;
        out[(*n)++] = (char)r;
        return true;
    case 'u':
        return digits(s, at, 4, 16, &r) && put_rune(out, n, r);
    case 'U':
        return digits(s, at, 8, 16, &r) && put_rune(out, n, r);
    default:
        --*at;
        if (!digits(s, at, 3, 8, &r) || r > 0xff)
            return false;
        out[(*n)++] = (char)r;
        return true;
    }
}

static bool quoted(loki_ctx *c, const ops_slice *s, size_t *at, ops_slice *ret)
{
    blanks(s, at);
    const char q = *at < s->n ? s->p[*at] : '\0';
    if (q != '"' && q != '\'' && q != '`')
        return false;
    size_t end = ++*at, n = 0;
    bool plain = true;
    while (end < s->n && s->p[end] != q) {
        const bool esc = q != '`' && s->p[end] == '\\';
        plain = plain && !esc;
        end += esc ? 2 : 1;
    }
    if (end >= s->n) {
        *at = s->n;
        return false;
    }
    const ops_slice inside = ops_slice_sub(*s, *at, end - *at), upto = ops_slice_sub(*s, 0, end);
    if (plain) {
        *ret = inside;
        *at = end + 1;
        return true;
    }
    char *out = ops_arena_alloc(&c->arena, inside.n);
    if (out == NULL)
        return false;
    while (*at < end) {
        if (s->p[*at] != '\\') {
            out[n++] = s->p[(*at)++];
            continue;
        }
        ++*at;
        if (!escape(&upto, at, out, &n))
            return false;
    }
    *at = end + 1;
    *ret = ops_slice_of(out, n);
    return true;
}

bool loki_label_text(loki_ctx *c, ops_slice text, size_t *ret_at)
{
    size_t at = 0;
    bool ok = take(&text, &at, '{');

    ops_arena_clear(&c->arena);
    loki_labels_clear(&c->stream);
    while (ok && !take(&text, &at, '}')) {
        ops_slice value = {0};
        const ops_slice name = name_of(&text, &at);
        ok = name.n > 0 && take(&text, &at, '=') && quoted(c, &text, &at, &value);
        if (!ok)
            break;
        loki_label(c, &c->stream, name, value);
        blanks(&text, &at);
        ok = take(&text, &at, ',') || (at < text.n && text.p[at] == '}');
    }
    blanks(&text, &at);
    *ret_at = at;
    return ok && at == text.n;
}
