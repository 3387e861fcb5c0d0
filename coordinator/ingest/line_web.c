/* Access logs (common and combined), klog, redis and logfmt. */
#include "coordinator/ingest/line_internal.h"

/* A quoted string at the head of *s, escapes left as they are. */
static bool quoted(ops_slice *s, ops_slice *ret)
{
    size_t n = 1;

    if (s->n < 2 || s->p[0] != '"')
        return false;
    while (n < s->n && s->p[n] != '"')
        n += s->p[n] == '\\' ? 2 : 1;
    if (n >= s->n)
        return false;
    *ret = ops_slice_of(s->p + 1, n - 1);
    line_skip(s, n + 1);
    return true;
}

static ops_slice no_dash(ops_slice s)
{
    return s.n == 1 && s.p[0] == '-' ? ops_slice_of(NULL, 0) : s;
}

static bool all_digits(ops_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!line_digit(s.p[i]))
            return false;
    }
    return s.n > 0;
}

/* host ident user [stamp] "request" status bytes ["referer" "agent"]; of a collector that took the stamp away, without it. */
bool line_access(line_out *o, ops_slice line)
{
    ops_slice s = line, request, referer = {0}, agent = {0};
    int64_t ns = 0;

    const ops_slice host = line_word(&s);
    line_blanks(&s);
    (void)line_word(&s);
    line_blanks(&s);
    const ops_slice user = line_word(&s);
    line_blanks(&s);
    if (host.n == 0 || s.n < 12 || (s.p[0] != '[' && s.p[0] != '"'))
        return false;
    const ops_slice before = {line.p, (size_t)(s.p - line.p)};
    const bool stamped = s.p[0] == '[';
    if (stamped) {
        line_skip(&s, 1);
        if (!line_stamp_clf(o->ctx, &s, &ns) || s.n < 3 || s.p[0] != ']' || s.p[1] != ' ')
            return false;
        line_skip(&s, 2);
    }
    const ops_slice after = s;
    if (!quoted(&s, &request) || (!stamped && ops_slice_find(request, OPS_SLICE(" HTTP/")) < 0))
        return false;
    line_blanks(&s);
    const ops_slice status = line_word(&s);
    line_blanks(&s);
    const ops_slice bytes = line_word(&s);
    line_blanks(&s);
    if (status.n != 3 || !all_digits(status) || status.p[0] < '1' || status.p[0] > '5')
        return false;
    if (quoted(&s, &referer)) {
        line_blanks(&s);
        (void)quoted(&s, &agent);
    }

    char *text = stamped ? ops_arena_alloc(o->arena, before.n + after.n) : NULL;
    if (text != NULL) {
        memcpy(text, before.p, before.n);
        memcpy(text + before.n, after.p, after.n);
    }
    o->message = text != NULL ? ops_slice_of(text, before.n + after.n) : line;
    o->time_ns = ns;
    o->severity = status.p[0] == '5' ? 17 : 9;
    const ops_slice method = line_word(&request);
    line_blanks(&request);
    line_attr(o, OPS_SLICE("client.address"), host);
    line_attr(o, OPS_SLICE("user.name"), no_dash(user));
    line_attr(o, OPS_SLICE("http.request.method"), no_dash(method));
    line_attr(o, OPS_SLICE("url.path"), line_word(&request));
    line_attr(o, OPS_SLICE("http.response.status_code"), status);
    line_attr(o, OPS_SLICE("http.response.body.size"), no_dash(bytes));
    line_attr(o, OPS_SLICE("http.request.header.referer"), no_dash(referer));
    line_attr(o, OPS_SLICE("user_agent.original"), no_dash(agent));
    return true;
}

/* I0102 15:04:05.678901   12345 file.go:123] text */
bool line_klog(line_out *o, ops_slice line)
{
    static const char letters[] = "IWEF";
    static const uint8_t numbers[] = {9, 13, 17, 21};
    ops_slice s = line;
    int64_t ns;

    const char *letter = strchr(letters, line.p[0]);
    if (letter == NULL || line.p[0] == '\0')
        return false;
    line_skip(&s, 1);
    if (!line_stamp_klog(o->ctx, &s, &ns))
        return false;
    line_blanks(&s);
    const ops_slice thread = line_word(&s);
    line_blanks(&s);
    const ops_slice place = line_word(&s);
    if (!all_digits(thread) || place.n < 4 || place.p[place.n - 1] != ']')
        return false;
    if (s.n > 0)
        line_skip(&s, 1);
    o->time_ns = ns;
    o->severity = numbers[letter - letters];
    o->message = s;
    line_attr(o, OPS_SLICE("thread.id"), thread);
    line_attr(o, OPS_SLICE("code.location"), ops_slice_of(place.p, place.n - 1));
    return true;
}

/* 34:M 02 Jan 2026 15:04:05.678 * text: process, role, stamp, level; also without the stamp. */
bool line_redis(line_out *o, ops_slice line)
{
    static const char levels[] = ".-*#";
    static const uint8_t numbers[] = {5, 6, 9, 13};
    size_t n = 0;
    int64_t ns = 0;

    while (n < line.n && n < 10 && line_digit(line.p[n]))
        n++;
    ops_slice s = ops_slice_sub(line, n, SIZE_MAX);
    if (n == 0 || s.n < 6 || s.p[0] != ':' || s.p[1] == '\0' || strchr("XCSM", s.p[1]) == NULL ||
        s.p[2] != ' ')
        return false;
    const ops_slice role = {s.p + 1, 1};
    line_skip(&s, 3);
    if (line_stamp_redis(o->ctx, &s, &ns)) {
        if (s.n < 4 || s.p[0] != ' ')
            return false;
        line_skip(&s, 1);
    }
    const char *level = s.n > 2 && s.p[0] != '\0' && s.p[1] == ' ' ? strchr(levels, s.p[0]) : NULL;
    if (level == NULL)
        return false;
    o->time_ns = ns;
    o->severity = numbers[level - levels];
    o->message = ops_slice_sub(s, 2, SIZE_MAX);
    line_attr(o, OPS_SLICE("process.pid"), ops_slice_sub(line, 0, n));
    line_attr(o, OPS_SLICE("redis.role"), role);
    return true;
}

typedef struct pair {
    ops_slice key, val;
    bool escaped;
} pair;

static bool key_char(char ch)
{
    return ((ch | 32) >= 'a' && (ch | 32) <= 'z') || line_digit(ch) || ch == '_' || ch == '.' || ch == '-' ||
           ch == '@' || ch == '/';
}

static bool next_pair(ops_slice *s, pair *ret)
{
    size_t n = 0;

    while (n < s->n && key_char(s->p[n]))
        n++;
    if (n == 0 || n >= s->n || s->p[n] != '=')
        return false;
    ret->key = ops_slice_of(s->p, n);
    line_skip(s, n + 1);
    ret->escaped = false;
    if (s->n > 0 && s->p[0] == '"') {
        if (!quoted(s, &ret->val))
            return false;
        ret->escaped = ops_slice_find_char(ret->val, '\\') >= 0;
    } else {
        ret->val = line_word(s);
        if (ops_slice_find_char(ret->val, '"') >= 0)
            return false;
    }
    if (s->n > 0 && s->p[0] != ' ' && s->p[0] != '\t')
        return false;
    line_blanks(s);
    return true;
}

static ops_slice unescaped(line_out *o, const pair *kv)
{
    if (!kv->escaped)
        return kv->val;
    char *p = ops_arena_alloc(o->arena, kv->val.n);
    size_t n = 0;
    if (p == NULL) {
        o->flags |= OPS_RECORD_TRUNCATED;
        return kv->val;
    }
    for (size_t i = 0; i < kv->val.n; i++) {
        char ch = kv->val.p[i];
        if (ch == '\\' && i + 1 < kv->val.n) {
            ch = kv->val.p[++i];
            ch = ch == 'n' ? '\n' : ch == 't' ? '\t' : ch == 'r' ? '\r' : ch;
        }
        p[n++] = ch;
    }
    return ops_slice_of(p, n);
}

static bool one_of(ops_slice s, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (ops_slice_eq(s, ops_slice_str(*names)))
            return true;
    }
    return false;
}

static bool logfmt_time(line_out *o, ops_slice val)
{
    double number;
    int64_t ns;
    ops_slice s = val;

    if (line_stamp_iso(o->ctx, &s, &ns) ? s.n != 0
                                        : !(ops_slice_to_f64(val, &number) && line_epoch(number, &ns)))
        return false;
    o->time_ns = ns;
    return true;
}

/* key=value pairs and nothing else, two at least, and one of them a time, a level or a message. */
bool line_logfmt(line_out *o, ops_slice line)
{
    static const char *const times[] = {"time", "ts", "t", "timestamp", NULL};
    static const char *const levels[] = {"level", "lvl", "severity", NULL};
    static const char *const messages[] = {"msg", "message", NULL};
    static const char *const services[] = {"service", "service.name", "app", NULL};
    ops_slice s = line;
    uint32_t pairs = 0, known = 0;
    pair kv;

    while (s.n > 0) {
        if (!next_pair(&s, &kv))
            return false;
        pairs++;
        known += one_of(kv.key, times) || one_of(kv.key, levels) || one_of(kv.key, messages);
    }
    if (pairs < 2 || known == 0)
        return false;

    o->message = ops_slice_of(NULL, 0);
    ops_slice trace = {0}, span = {0};
    for (s = line; s.n > 0 && next_pair(&s, &kv);) {
        const ops_slice val = unescaped(o, &kv);
        if (o->time_ns == 0 && one_of(kv.key, times) && logfmt_time(o, val))
            continue;
        if (o->severity == 0 && one_of(kv.key, levels) && (o->severity = ops_ingest_severity(val)) != 0)
            continue;
        if (o->message.p == NULL && one_of(kv.key, messages)) {
            o->message = val;
            continue;
        }
        if (o->service.n == 0 && one_of(kv.key, services)) {
            o->service = val;
            continue;
        }
        if (ops_slice_eq(kv.key, OPS_SLICE("trace_id")))
            trace = val;
        else if (ops_slice_eq(kv.key, OPS_SLICE("span_id")))
            span = val;
        line_attr(o, kv.key, val);
    }
    line_ids(o, trace, span);
    if (o->message.p == NULL)
        o->message = line;
    return true;
}
