#include "coordinator/notify/format.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/time/rfc3339.h"

enum { SUMMARY_MAX = 1024, WORDS_MAX = 2048, EVIDENCE_MAX = 3, EVIDENCE_TEXT_MAX = 512, SHORT_MAX = 256 };

/* At most n bytes, never through a character. */
static ops_slice cut(const char *text, size_t n)
{
    ops_slice s = ops_slice_str(text);
    if (s.n <= n)
        return s;
    while (n > 0 && ((unsigned char)s.p[n] & 0xC0) == 0x80)
        n--;
    return ops_slice_of(s.p, n);
}

static void text_of(ops_strbuf *out, const char *key, const char *text, size_t max)
{
    ops_strbuf_printf(out, "\"%s\":", key);
    ops_strbuf_json(out, cut(text, max));
}

static void time_of(ops_strbuf *out, const char *key, int64_t ns)
{
    char buf[OPS_RFC3339_BYTES];
    ops_strbuf_printf(out, "\"%s\":\"%s\"", key, ops_rfc3339_format(ns, 3, buf));
}

/* JSON has no infinities. */
static void number_of(ops_strbuf *out, const char *key, double v)
{
    if (isfinite(v))
        ops_strbuf_printf(out, "\"%s\":%.17g", key, v);
    else
        ops_strbuf_printf(out, "\"%s\":null", key);
}

/* "rate_up" of FINDING_KIND_RATE_UP, in lower case. */
static const char *word(const ProtobufCEnumDescriptor *d, int value, const char *prefix, char buf[64])
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(d, value);
    const char *name = v != NULL ? v->name : "";
    size_t n = strlen(prefix), i = 0;
    if (strncmp(name, prefix, n) == 0)
        name += n;
    for (; name[i] != '\0' && i < 63; i++)
        buf[i] = (name[i] >= 'A' && name[i] <= 'Z') ? (char)(name[i] - 'A' + 'a') : name[i];
    buf[i] = '\0';
    return buf;
}

static const char *kind_of(const Ops__V1__Finding *f, char buf[64])
{
    return word(&ops__v1__finding_kind__descriptor, (int)f->kind, "FINDING_KIND_", buf);
}

static const char *severity_of(const Ops__V1__Finding *f, char buf[64])
{
    return word(&ops__v1__level__descriptor, (int)f->severity, "LEVEL_", buf);
}

bool ops_notify_ended(const Ops__V1__Finding *f)
{
    return f->state == OPS__V1__FINDING_STATE__FINDING_STATE_CLOSED;
}

const char *ops_notify_label(const Ops__V1__Finding *f, const char *name)
{
    for (size_t i = 0; i < f->n_labels; i++)
        if (strcmp(f->labels[i]->name, name) == 0)
            return f->labels[i]->value;
    return "";
}

static bool is_incident(const Ops__V1__Finding *f)
{
    return f->kind == OPS__V1__FINDING_KIND__FINDING_KIND_INCIDENT;
}

static const char *noun_of(const Ops__V1__Finding *f)
{
    return is_incident(f) ? "incident" : "finding";
}

static void cause_of(ops_strbuf *out, const Ops__V1__Finding *f)
{
    if (!is_incident(f))
        return;
    ops_strbuf_char(out, ',');
    text_of(out, "cause", ops_notify_label(f, "cause"), SHORT_MAX);
}

static void link_of(ops_strbuf *out, const char *key, const Ops__V1__Finding *f, const char *link)
{
    char url[2304];
    (void)snprintf(url, sizeof url, "%s/%ss/%s", link, noun_of(f), f->id);
    text_of(out, key, url, sizeof url);
}

static void services_of(ops_strbuf *out, const Ops__V1__Finding *f)
{
    for (size_t i = 0; i < f->n_services; i++) {
        if (i > 0)
            ops_strbuf_str(out, ", ");
        ops_strbuf_slice(out, cut(f->services[i], SHORT_MAX));
    }
}

static void evidence_lines(ops_strbuf *out, const Ops__V1__Finding *f)
{
    for (size_t i = 0; i < f->n_evidence && i < EVIDENCE_MAX; i++) {
        if (i > 0)
            ops_strbuf_char(out, '\n');
        ops_strbuf_slice(out, cut(f->evidence[i]->text, EVIDENCE_TEXT_MAX));
    }
}

static void pairs(ops_strbuf *out, Ops__V1__Label *const *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            ops_strbuf_char(out, ',');
        ops_strbuf_json(out, cut(v[i]->name, SHORT_MAX));
        ops_strbuf_char(out, ':');
        ops_strbuf_json(out, cut(v[i]->value, WORDS_MAX));
    }
}

static bool has(Ops__V1__Label *const *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i]->name, name) == 0)
            return true;
    return false;
}

/* As Prometheus would have sent it, with the tenant, and the finding where it names nothing. */
static void rule_alert(const Ops__V1__Finding *f, ops_strbuf *out)
{
    ops_strbuf_str(out, "{\"labels\":{");
    pairs(out, f->labels, f->n_labels);
    if (!has(f->labels, f->n_labels, "tenant")) {
        ops_strbuf_str(out, f->n_labels > 0 ? "," : "");
        text_of(out, "tenant", f->tenant, SHORT_MAX);
    }
    ops_strbuf_str(out, "},\"annotations\":{");
    pairs(out, f->annotations, f->n_annotations);
    if (!has(f->annotations, f->n_annotations, "finding")) {
        ops_strbuf_str(out, f->n_annotations > 0 ? "," : "");
        text_of(out, "finding", f->id, SHORT_MAX);
    }
    ops_strbuf_str(out, "},");
}

static void found_alert(const Ops__V1__Finding *f, ops_strbuf *out)
{
    char buf[64];
    ops_strbuf text;
    ops_strbuf_init(&text, 1 << 16);
    ops_strbuf_str(out, "{\"labels\":{\"alertname\":\"opsd\",");
    text_of(out, noun_of(f), f->id, SHORT_MAX);
    if (f->n_services > 0) {
        ops_strbuf_char(out, ',');
        text_of(out, "service", f->services[0], SHORT_MAX);
    }
    ops_strbuf_char(out, ',');
    text_of(out, "severity", severity_of(f, buf), SHORT_MAX);
    ops_strbuf_char(out, ',');
    text_of(out, "tenant", f->tenant, SHORT_MAX);
    ops_strbuf_str(out, "},\"annotations\":{");
    text_of(out, "summary", f->summary, SUMMARY_MAX);
    ops_strbuf_char(out, ',');
    text_of(out, "description", f->words, WORDS_MAX);
    ops_strbuf_char(out, ',');
    text_of(out, "kind", kind_of(f, buf), SHORT_MAX);
    cause_of(out, f);
    services_of(&text, f);
    ops_strbuf_str(out, ",\"services\":");
    ops_strbuf_json(out, ops_strbuf_get(&text));
    ops_strbuf_clear(&text);
    evidence_lines(&text, f);
    ops_strbuf_str(out, ",\"evidence\":");
    ops_strbuf_json(out, ops_strbuf_get(&text));
    out->failed |= text.failed;
    ops_strbuf_done(&text);
    ops_strbuf_str(out, "},");
}

static void one_alert(const ops_notify_item *x, const char *link, ops_strbuf *out)
{
    const Ops__V1__Finding *f = x->f;
    /* Alertmanager refuses an alert that ends before it starts; event time may run ahead of the clock. */
    int64_t start = f->start_time_unix_nano < x->end_ns ? f->start_time_unix_nano : x->end_ns;
    if (f->kind == OPS__V1__FINDING_KIND__FINDING_KIND_RULE)
        rule_alert(f, out);
    else
        found_alert(f, out);
    time_of(out, "startsAt", start);
    ops_strbuf_char(out, ',');
    time_of(out, "endsAt", x->end_ns);
    if (link[0] != '\0') {
        ops_strbuf_char(out, ',');
        link_of(out, "generatorURL", f, link);
    }
    ops_strbuf_char(out, '}');
}

void ops_notify_format_alertmanager(const ops_notify_item *items, size_t count, const char *link,
                                    ops_strbuf *out)
{
    ops_strbuf_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            ops_strbuf_char(out, ',');
        one_alert(&items[i], link, out);
    }
    ops_strbuf_char(out, ']');
}

static void statistic(const Ops__V1__Statistic *s, ops_strbuf *out)
{
    ops_strbuf_str(out, ",\"statistic\":{");
    text_of(out, "name", s->name, SHORT_MAX);
    const struct {
        const char *key;
        double v;
    } rows[] = {{"value", s->value},
                {"expected_low", s->expected_low},
                {"expected_high", s->expected_high},
                {"p_value", s->p_value},
                {"score", s->score}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_strbuf_char(out, ',');
        number_of(out, rows[i].key, rows[i].v);
    }
    ops_strbuf_char(out, '}');
}

static void evidence_rows(const Ops__V1__Finding *f, ops_strbuf *out)
{
    ops_strbuf_str(out, ",\"evidence\":[");
    for (size_t i = 0; i < f->n_evidence && i < EVIDENCE_MAX; i++) {
        const Ops__V1__Evidence *e = f->evidence[i];
        ops_strbuf_str(out, i > 0 ? ",{" : "{");
        text_of(out, "service", e->service, SHORT_MAX);
        ops_strbuf_char(out, ',');
        time_of(out, "time", e->time_unix_nano);
        ops_strbuf_char(out, ',');
        text_of(out, "text", e->text, EVIDENCE_TEXT_MAX);
        ops_strbuf_char(out, ',');
        text_of(out, "template", e->template_id, SHORT_MAX);
        ops_strbuf_char(out, '}');
    }
    ops_strbuf_char(out, ']');
}

static void finding(const Ops__V1__Finding *f, ops_strbuf *out)
{
    char buf[64];
    ops_strbuf_str(out, "{");
    text_of(out, "id", f->id, SHORT_MAX);
    ops_strbuf_char(out, ',');
    text_of(out, "tenant", f->tenant, SHORT_MAX);
    ops_strbuf_char(out, ',');
    text_of(out, "kind", kind_of(f, buf), SHORT_MAX);
    ops_strbuf_char(out, ',');
    text_of(out, "severity", severity_of(f, buf), SHORT_MAX);
    ops_strbuf_char(out, ',');
    text_of(out, "state", ops_notify_ended(f) ? "closed" : "open", SHORT_MAX);
    ops_strbuf_printf(out, ",\"version\":%" PRIu32 ",\"services\":[", f->version);
    for (size_t i = 0; i < f->n_services; i++) {
        if (i > 0)
            ops_strbuf_char(out, ',');
        ops_strbuf_json(out, cut(f->services[i], SHORT_MAX));
    }
    ops_strbuf_str(out, "],");
    text_of(out, "summary", f->summary, SUMMARY_MAX);
    ops_strbuf_char(out, ',');
    text_of(out, "words", f->words, WORDS_MAX);
    cause_of(out, f);
    ops_strbuf_char(out, ',');
    time_of(out, "start_time", f->start_time_unix_nano);
    ops_strbuf_char(out, ',');
    time_of(out, "last_time", f->last_time_unix_nano);
    if (f->statistic != NULL)
        statistic(f->statistic, out);
    evidence_rows(f, out);
    ops_strbuf_str(out, ",\"labels\":{");
    pairs(out, f->labels, f->n_labels);
    ops_strbuf_str(out, "},\"annotations\":{");
    pairs(out, f->annotations, f->n_annotations);
    ops_strbuf_str(out, "}}");
}

void ops_notify_format_webhook(const ops_notify_item *x, const char *receiver, const char *link,
                               ops_strbuf *out)
{
    ops_strbuf_str(out, "{\"version\":\"1\",");
    text_of(out, "receiver", receiver, SHORT_MAX);
    char key[SHORT_MAX * 2 + 2];
    (void)snprintf(key, sizeof key, OPS_SLICE_FMT "/" OPS_SLICE_FMT,
                   OPS_SLICE_ARG(cut(x->f->tenant, SHORT_MAX)), OPS_SLICE_ARG(cut(x->f->id, SHORT_MAX)));
    ops_strbuf_printf(out, ",\"number\":%" PRIu64 ",", x->number);
    text_of(out, "dedupe_key", key, sizeof key);
    ops_strbuf_printf(out, ",\"status\":\"%s\",", ops_notify_ended(x->f) ? "resolved" : "firing");
    time_of(out, "time", x->time_ns);
    if (link[0] != '\0') {
        ops_strbuf_char(out, ',');
        link_of(out, "link", x->f, link);
    }
    ops_strbuf_printf(out, ",\"%s\":", noun_of(x->f));
    finding(x->f, out);
    ops_strbuf_str(out, "}");
}

/* https://api.slack.com/reference/surfaces/formatting#escaping */
static void slack_text(ops_strbuf *out, ops_slice s)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '&')
            ops_strbuf_str(&b, "&amp;");
        else if (s.p[i] == '<')
            ops_strbuf_str(&b, "&lt;");
        else if (s.p[i] == '>')
            ops_strbuf_str(&b, "&gt;");
        else
            ops_strbuf_char(&b, s.p[i]);
    ops_strbuf_json(out, ops_strbuf_get(&b));
    out->failed |= b.failed;
    ops_strbuf_done(&b);
}

static void slack_field(ops_strbuf *out, const char *title, ops_slice value)
{
    ops_strbuf_printf(out, "{\"title\":\"%s\",\"short\":true,\"value\":", title);
    slack_text(out, value);
    ops_strbuf_char(out, '}');
}

static const char *colour(const Ops__V1__Finding *f)
{
    if (ops_notify_ended(f))
        return "good";
    if (f->severity >= OPS__V1__LEVEL__LEVEL_ERROR)
        return "danger";
    return f->severity == OPS__V1__LEVEL__LEVEL_WARNING ? "warning" : "#439FE0";
}

void ops_notify_format_slack(const ops_notify_item *x, const char *link, ops_strbuf *out)
{
    char buf[64], head[SUMMARY_MAX + 32];
    const Ops__V1__Finding *f = x->f;
    const ops_slice summary = cut(f->summary, SUMMARY_MAX);
    ops_strbuf text;
    ops_strbuf_init(&text, 1 << 16);
    (void)snprintf(head, sizeof head, "[%s] " OPS_SLICE_FMT,
                   ops_notify_ended(f) ? "resolved" : severity_of(f, buf), OPS_SLICE_ARG(summary));
    ops_strbuf_str(out, "{\"text\":");
    slack_text(out, ops_slice_str(head));
    ops_strbuf_printf(out, ",\"attachments\":[{\"color\":\"%s\",\"fallback\":", colour(f));
    slack_text(out, ops_slice_str(head));
    ops_strbuf_str(out, ",\"title\":");
    slack_text(out, cut(f->id, SHORT_MAX));
    if (link[0] != '\0') {
        ops_strbuf_char(out, ',');
        link_of(out, "title_link", f, link);
    }
    ops_strbuf_slice(&text, cut(f->words, WORDS_MAX));
    ops_strbuf_char(&text, '\n');
    evidence_lines(&text, f);
    ops_strbuf_str(out, ",\"text\":");
    slack_text(out, ops_strbuf_get(&text));
    ops_strbuf_str(out, ",\"fields\":[");
    slack_field(out, "tenant", cut(f->tenant, SHORT_MAX));
    ops_strbuf_clear(&text);
    services_of(&text, f);
    ops_strbuf_char(out, ',');
    slack_field(out, "services", ops_strbuf_get(&text));
    ops_strbuf_char(out, ',');
    if (is_incident(f))
        slack_field(out, "cause", cut(ops_notify_label(f, "cause"), SHORT_MAX));
    else
        slack_field(out, "kind", ops_slice_str(kind_of(f, buf)));
    ops_strbuf_str(out, "]}]}");
    out->failed |= text.failed;
    ops_strbuf_done(&text);
}
