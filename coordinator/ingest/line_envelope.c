/* Shapes that carry a line inside: CRI, RFC 5424 and RFC 3164 syslog. */
#include "coordinator/ingest/line_internal.h"

bool line_cri(line_out *o, ops_slice line)
{
    ops_slice s = line;
    int64_t ns;

    if (s.n < 30 || s.p[10] != 'T' || o->outer_time_ns != 0 || !line_stamp_iso(o->ctx, &s, &ns) || s.n < 10 ||
        s.p[0] != ' ')
        return false;
    line_skip(&s, 1);
    const ops_slice stream = line_word(&s);
    if (!ops_slice_eq(stream, OPS_SLICE("stdout")) && !ops_slice_eq(stream, OPS_SLICE("stderr")))
        return false;
    if (s.n < 2)
        return false;
    line_skip(&s, 1);
    const ops_slice tags = line_word(&s);
    if (tags.n == 0 || (tags.p[0] != 'F' && tags.p[0] != 'P') || (tags.n > 1 && tags.p[1] != ':'))
        return false;
    if (s.n > 0)
        line_skip(&s, 1);
    o->outer_time_ns = ns;
    o->partial = tags.p[0] == 'P';
    o->message = s;
    line_attr(o, OPS_SLICE("log.iostream"), stream);
    return true;
}

/* <0>..<191>: RFC 5424 section 6.2.1. */
static bool pri(ops_slice *s, unsigned *ret)
{
    unsigned v = 0;
    size_t i = 1;

    for (; i < s->n && i <= 3 && line_digit(s->p[i]); i++)
        v = v * 10 + (unsigned)(s->p[i] - '0');
    if (i == 1 || i >= s->n || s->p[i] != '>' || v > 191 || (s->p[1] == '0' && i > 2))
        return false;
    line_skip(s, i + 1);
    *ret = v;
    return true;
}

static const ops_slice facilities[24] = {
#define F(text)                                                                                              \
    {                                                                                                        \
        text, sizeof(text) - 1                                                                               \
    }
    F("kern"),   F("user"),   F("mail"),     F("daemon"), F("auth"),   F("syslog"), F("lpr"),    F("news"),
    F("uucp"),   F("cron"),   F("authpriv"), F("ftp"),    F("ntp"),    F("audit"),  F("alert"),  F("clock"),
    F("local0"), F("local1"), F("local2"),   F("local3"), F("local4"), F("local5"), F("local6"), F("local7"),
#undef F
};

/* One header field; "-" is empty. */
static ops_slice field(ops_slice *s)
{
    const ops_slice w = line_word(s);

    if (s->n > 0)
        line_skip(s, 1);
    return w.n == 1 && w.p[0] == '-' ? ops_slice_of(NULL, 0) : w;
}

/* A param-value with its escapes \" \\ \] undone. */
static ops_slice unescape(line_out *o, ops_slice raw)
{
    if (ops_slice_find_char(raw, '\\') < 0)
        return raw;
    char *p = ops_arena_alloc(o->arena, raw.n);
    size_t n = 0;
    if (p == NULL) {
        o->flags |= OPS_RECORD_TRUNCATED;
        return raw;
    }
    for (size_t i = 0; i < raw.n; i++) {
        if (raw.p[i] == '\\' && i + 1 < raw.n && strchr("\"\\]", raw.p[i + 1]) != NULL &&
            raw.p[i + 1] != '\0')
            i++;
        p[n++] = raw.p[i];
    }
    return ops_slice_of(p, n);
}

/* [id name="value" ...]...: params become attributes named name. False when malformed: then it is message text. */
static bool structured(line_out *o, ops_slice *s)
{
    ops_slice at = *s;
    const uint32_t before = o->n;

    while (at.n > 0 && at.p[0] == '[') {
        line_skip(&at, 1);
        while (at.n > 0 && at.p[0] != ' ' && at.p[0] != ']')
            line_skip(&at, 1);
        while (at.n > 0 && at.p[0] == ' ') {
            line_skip(&at, 1);
            const ptrdiff_t eq = ops_slice_find_char(at, '=');
            if (eq <= 0 || (size_t)eq + 1 >= at.n || at.p[eq + 1] != '"')
                goto bad;
            const ops_slice name = {at.p, (size_t)eq};
            line_skip(&at, (size_t)eq + 2);
            size_t n = 0;
            while (n < at.n && at.p[n] != '"')
                n += at.p[n] == '\\' ? 2 : 1;
            if (n >= at.n)
                goto bad;
            line_attr(o, name, unescape(o, ops_slice_of(at.p, n)));
            line_skip(&at, n + 1);
        }
        if (at.n == 0 || at.p[0] != ']')
            goto bad;
        line_skip(&at, 1);
    }
    *s = at;
    return true;
bad:
    o->n = before;
    return false;
}

/* The text after the header may itself be JSON. */
static void inside(line_out *o, ops_slice text)
{
    ops_line_shape shape;

    if (text.n > 1 && text.p[0] == '{') {
        const line_out before = *o;
        o->outer_time_ns = o->time_ns;
        o->time_ns = 0;
        o->service = ops_slice_of(NULL, 0);
        o->severity = 0;
        if (line_json(o, text, &shape)) {
            o->severity = o->severity != 0 ? o->severity : before.severity;
            o->service = o->service.n > 0 ? o->service : before.service;
            return;
        }
        *o = before;
    }
    o->message = text;
}

bool line_rfc5424(line_out *o, ops_slice line)
{
    ops_slice s = line;
    int64_t ns = 0;
    unsigned v;

    if (!pri(&s, &v) || s.n < 3 || s.p[0] != '1' || s.p[1] != ' ')
        return false;
    line_skip(&s, 2);
    ops_slice stamp = field(&s);
    if (stamp.n > 0 && (!line_stamp_iso(o->ctx, &stamp, &ns) || stamp.n > 0))
        return false;
    const ops_slice host = field(&s), app = field(&s), proc = field(&s), msgid = field(&s);
    line_attr(o, OPS_SLICE("host.name"), host);
    line_attr(o, OPS_SLICE("process.pid"), proc);
    line_attr(o, OPS_SLICE("syslog.msgid"), msgid);
    line_attr(o, OPS_SLICE("syslog.facility"), facilities[v / 8]);
    if (s.n > 0 && s.p[0] == '-')
        line_skip(&s, 1);
    else
        (void)structured(o, &s);
    if (s.n > 0 && s.p[0] == ' ')
        line_skip(&s, 1);
    if (ops_slice_starts(s, OPS_SLICE("\xef\xbb\xbf"))) /* the BOM that marks UTF-8 */
        line_skip(&s, 3);
    o->time_ns = ns;
    o->severity = ops_ingest_severity_syslog(v % 8);
    o->service = app;
    inside(o, s);
    return true;
}

/* `tag[pid]: ` or `tag: `, at most 48 bytes; without it everything is message. */
static ops_slice tag(line_out *o, ops_slice s)
{
    size_t n = 0, close;

    while (n < s.n && n < 48 && s.p[n] != ':' && s.p[n] != '[' && s.p[n] != ' ')
        n++;
    if (n == 0 || n >= s.n)
        return s;
    close = n;
    if (s.p[n] == '[') {
        while (close < s.n && s.p[close] != ']')
            close++;
        if (close >= s.n)
            return s;
        close++;
    }
    if (close >= s.n || s.p[close] != ':')
        return s;
    o->service = ops_slice_of(s.p, n);
    if (close > n)
        line_attr(o, OPS_SLICE("process.pid"), ops_slice_of(s.p + n + 1, close - n - 2));
    line_skip(&s, close + 1);
    if (s.n > 0 && s.p[0] == ' ')
        line_skip(&s, 1);
    return s;
}

bool line_rfc3164(line_out *o, ops_slice line)
{
    ops_slice s = line;
    int64_t ns;
    unsigned v = 0;
    const bool has_pri = s.p[0] == '<';

    if (has_pri && !pri(&s, &v))
        return false;
    if (!line_stamp_bsd(o->ctx, &s, &ns) && !(has_pri && line_stamp_iso(o->ctx, &s, &ns)))
        return false;
    if (s.n < 2 || s.p[0] != ' ')
        return false;
    line_skip(&s, 1);
    o->time_ns = ns;
    if (has_pri) {
        o->severity = ops_ingest_severity_syslog(v % 8);
        line_attr(o, OPS_SLICE("syslog.facility"), facilities[v / 8]);
    }
    /* A host unless the first word is already the tag. */
    ops_slice rest = s;
    const ops_slice host = line_word(&rest);
    if (host.n > 0 && host.p[host.n - 1] != ':' && rest.n > 0) {
        line_attr(o, OPS_SLICE("host.name"), host);
        s = rest;
        line_blanks(&s);
    }
    inside(o, tag(o, s));
    return true;
}
