/* Rules and alerts as programs ask a Prometheus for them: GET /api/v1/rules and /api/v1/alerts, of the token's tenant. Form:
 * documentation of Prometheus, "HTTP API", Rules and Alerts. */
#include <stdio.h>

#include "base/time/rfc3339.h"
#include "opsd/daemon.h"

enum { ANSWER_BYTES_MAX = 64 << 20, NS_PER_MS = 1000000 };

typedef struct answering {
    ops_strbuf b;
    bool alerts_only;
    size_t written;
} answering;

static void text_of(ops_strbuf *b, const char *key, ops_slice text)
{
    ops_strbuf_printf(b, "\"%s\":", key);
    ops_strbuf_json(b, text);
    ops_strbuf_char(b, ',');
}

static void time_of(ops_strbuf *b, const char *key, int64_t ms)
{
    char buf[OPS_RFC3339_BYTES];
    text_of(
        b, key,
        ops_slice_str(ms == INT64_MIN ? "0001-01-01T00:00:00Z" : ops_rfc3339_format(ms * NS_PER_MS, 3, buf)));
}

static void pairs_of(ops_strbuf *b, const char *key, const ops_rules_label *v, size_t n)
{
    ops_strbuf_printf(b, "\"%s\":{", key);
    for (size_t i = 0; i < n; i++) {
        ops_strbuf_str(b, i > 0 ? "," : "");
        ops_strbuf_json(b, v[i].name);
        ops_strbuf_char(b, ':');
        ops_strbuf_json(b, v[i].value);
    }
    ops_strbuf_str(b, "}");
}

static void alert_of(ops_strbuf *b, const ops_ruler_alert_view *a)
{
    char value[40];
    (void)snprintf(value, sizeof value, "%.17g", a->value);
    ops_strbuf_char(b, '{');
    pairs_of(b, "labels", a->labels->v, a->labels->n);
    ops_strbuf_char(b, ',');
    pairs_of(b, "annotations", a->annotations->v, a->annotations->n);
    ops_strbuf_char(b, ',');
    time_of(b, "activeAt", a->active_ms);
    text_of(b, "state", a->firing ? OPS_SLICE("firing") : OPS_SLICE("pending"));
    ops_strbuf_printf(b, "\"value\":\"%s\"}", value);
}

static void alerts_of(answering *x, const ops_ruler_rule_view *v)
{
    for (size_t i = 0; i < v->alert_n; i++) {
        ops_strbuf_str(&x->b, x->written++ > 0 ? "," : "");
        alert_of(&x->b, &v->alerts[i]);
    }
}

static void alerting(answering *x, const ops_ruler_rule_view *v)
{
    ops_strbuf *b = &x->b;
    text_of(b, "state", ops_slice_str(v->firing > 0 ? "firing" : v->pending > 0 ? "pending" : "inactive"));
    ops_strbuf_printf(b, "\"duration\":%.3f,\"keepFiringFor\":%.3f,", (double)v->rule.for_ms / 1000,
                      (double)v->rule.keep_ms / 1000);
    pairs_of(b, "annotations", v->rule.annotations, v->rule.annotation_n);
    ops_strbuf_str(b, ",\"alerts\":[");
    x->written = 0;
    alerts_of(x, v);
    ops_strbuf_str(b, "],");
}

static void rule_of(answering *x, const ops_ruler_group_view *g, const ops_ruler_rule_view *v)
{
    ops_strbuf *b = &x->b;
    ops_strbuf_char(b, '{');
    text_of(b, "name", v->rule.name);
    text_of(b, "query", v->rule.expr);
    pairs_of(b, "labels", v->rule.labels, v->rule.label_n);
    ops_strbuf_char(b, ',');
    if (v->rule.alerts)
        alerting(x, v);
    text_of(b, "health", ops_slice_str(!v->evaluated ? "unknown" : v->error[0] != '\0' ? "err" : "ok"));
    if (v->error[0] != '\0')
        text_of(b, "lastError", ops_slice_str(v->error));
    time_of(b, "lastEvaluation", g->last_ms);
    ops_strbuf_printf(b, "\"type\":\"%s\"}", v->rule.alerts ? "alerting" : "recording");
}

static bool on_group(void *u, const ops_ruler_group_view *g)
{
    answering *x = u;
    ops_strbuf *b = &x->b;
    for (size_t i = 0; x->alerts_only && i < g->n; i++)
        alerts_of(x, &g->rules[i]);
    if (x->alerts_only)
        return !b->failed;
    ops_strbuf_str(b, b->p[b->n - 1] == '[' ? "{" : ",{");
    text_of(b, "name", g->name);
    text_of(b, "file", g->file);
    ops_strbuf_printf(b, "\"interval\":%.3f,\"evaluationTime\":%.9f,", (double)g->interval_ms / 1000,
                      (double)g->duration_ns / 1e9);
    time_of(b, "lastEvaluation", g->last_ms);
    ops_strbuf_str(b, "\"rules\":[");
    for (size_t i = 0; i < g->n; i++) {
        ops_strbuf_str(b, i > 0 ? "," : "");
        rule_of(x, g, &g->rules[i]);
    }
    ops_strbuf_str(b, "]}");
    return !b->failed;
}

static void answer(opsd_daemon *d, ops_http_req *req, bool alerts_only)
{
    answering x = {.alerts_only = alerts_only};
    ops_strbuf_init(&x.b, ANSWER_BYTES_MAX);
    ops_strbuf_printf(&x.b, "{\"status\":\"success\",\"data\":{\"%s\":[", alerts_only ? "alerts" : "groups");
    if (!x.b.failed)
        ops_ruler_groups(opsd_rules_ruler(d->rules), ops_slice_str(ops_http_identity(req)->tenant), on_group,
                         &x);
    ops_strbuf_str(&x.b, "]}}");
    ops_http_reply_buf(req, 200, "application/json", &x.b);
}

static void on_rules(ops_http_req *req, void *user)
{
    answer(user, req, false);
}

static void on_alerts(ops_http_req *req, void *user)
{
    answer(user, req, true);
}

ops_status opsd_door_rules(opsd_daemon *d, ops_err *reterr)
{
    const ops_http_route routes[] = {
        {.method = "GET", .path = "/api/v1/rules", .role = OPS_ROLE_VIEWER, .handler = on_rules, .user = d},
        {.method = "GET",
         .path = "/api/v1/alerts",
         .role = OPS_ROLE_VIEWER,
         .handler = on_alerts,
         .user = d}};
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < sizeof routes / sizeof *routes; i++)
        st = ops_http_route_add(d->web, &routes[i], reterr);
    return st;
}
