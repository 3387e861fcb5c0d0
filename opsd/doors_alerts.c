/* Alerts of another system: Alertmanager's webhook receiver, POST /api/v1/alertmanager/webhook on the operators' port.
 *
 * The tenant is the token's. Answers: 200 when all is durable; 400 names the place of what is not of the form; 413; 429 with
 * Retry-After when the tenant's open alerts are at their bound or too many requests wait (Alertmanager tries 5xx and 429
 * again). An alert that is one of our own findings or incidents come back is counted and not kept. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "base/coll/vec.h"
#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "coordinator/alert/alert.h"
#include "opsd/daemon.h"

enum { ROW_ALERTS, ROW_REFUSED, ROW_TRUNCATED, ROW_COUNT };
enum { ARENA_BYTES = 4 << 20, BODIES_BYTES_MAX = 16 << 20 };

static const ops_metric_desc rows[ROW_COUNT] = {
    [ROW_ALERTS] = {"opsd_alerts_in_total", "Alerts from elsewhere by fate.", OPS_METRIC_COUNTER,
                    .labels = {"fate"}},
    [ROW_REFUSED] = {"opsd_alerts_refused_total", "Requests of alerts that were refused, by reason.",
                     OPS_METRIC_COUNTER, .labels = {"reason"}},
    [ROW_TRUNCATED] = {"opsd_alerts_truncated_total", "Alerts that senders said they left out.",
                       OPS_METRIC_COUNTER},
};

struct opsd_alerts {
    ops_metrics *metrics;
    pthread_mutex_t lock;
    ops_redactor *redactor; /* a reference; under the lock */
};

void opsd_alerts_set_redactor(opsd_alerts *a, ops_redactor *r)
{
    if (a == NULL)
        return;
    (void)pthread_mutex_lock(&a->lock);
    ops_redactor *old = a->redactor;
    a->redactor = r != NULL ? ops_redactor_ref(r) : NULL;
    (void)pthread_mutex_unlock(&a->lock);
    ops_redactor_unref(old);
}

static ops_redactor *take_redactor(opsd_alerts *a)
{
    (void)pthread_mutex_lock(&a->lock);
    ops_redactor *r = a->redactor != NULL ? ops_redactor_ref(a->redactor) : NULL;
    (void)pthread_mutex_unlock(&a->lock);
    return r;
}

void opsd_alerts_text(opsd_alerts *a, ops_strbuf *out)
{
    if (a != NULL)
        ops_metrics_text(a->metrics, out);
}

void opsd_alerts_free(opsd_alerts *a)
{
    if (a == NULL)
        return;
    ops_redactor_unref(a->redactor);
    ops_metrics_free(a->metrics);
    (void)pthread_mutex_destroy(&a->lock);
    ops_free(a);
}

/* A request's alerts on their way from the decoder to the finder. */
typedef struct gathering {
    ops_slice tenant;
    int64_t now_ns;
    ops_redactor *redactor;
    ops_redact_scratch *scratch;
    ops_arena arena;
    OPS_VEC(ops_finder_alert) alerts;
    OPS_VEC(size_t) starts;
    ops_strbuf bodies, own;
    OPS_VEC(size_t) own_starts;
} gathering;

static ops_status gather_one(void *u, const ops_alert *a, ops_err *reterr)
{
    gathering *g = u;
    ops_finder_alert x = {.firing = a->firing};
    ops_alert_id(g->tenant, a, x.id);
    const ops_slice named = ops_alert_label(a, OPS_SLICE("alertname")),
                    incident = ops_alert_label(a, OPS_SLICE("incident"));
    /* What a rule of ours fired goes out under the rule's own labels; its finding stands in an annotation. */
    const ops_slice finding = !ops_slice_eq(named, OPS_SLICE("opsd"))
                                  ? ops_alert_annotation(a, OPS_SLICE("finding"))
                              : incident.n > 0 ? incident
                                               : ops_alert_label(a, OPS_SLICE("finding"));
    const size_t start = g->bodies.n, own_start = g->own.n;
    if (finding.n <= OPS_FINDING_ID_LEN)
        ops_strbuf_slice(&g->own, finding);
    ops_status st =
        ops_alert_encode(a, g->tenant, g->now_ns, g->redactor, g->scratch, &g->arena, &g->bodies, reterr);
    if (st != OPS_OK)
        return st;
    x.body.n = g->bodies.n - start;
    x.own_id.n = g->own.n - own_start;
    return !g->own.failed && ops_vec_push(&g->alerts, x) && ops_vec_push(&g->starts, start) &&
                   ops_vec_push(&g->own_starts, own_start)
               ? OPS_OK
               : ops_fail(reterr, OPS_ENOMEM, "%zu alerts", g->alerts.n);
}

/* The buffers do not move any more. */
static void point(gathering *g)
{
    for (size_t i = 0; i < g->alerts.n; i++) {
        g->alerts.v[i].body.p = g->bodies.p + g->starts.v[i];
        g->alerts.v[i].own_id.p = g->own.p != NULL ? g->own.p + g->own_starts.v[i] : NULL;
    }
}

static void gathering_done(gathering *g)
{
    ops_vec_done(&g->alerts);
    ops_vec_done(&g->starts);
    ops_vec_done(&g->own_starts);
    ops_strbuf_done(&g->bodies);
    ops_strbuf_done(&g->own);
    ops_arena_done(&g->arena);
    ops_redact_scratch_free(g->scratch);
    ops_redactor_unref(g->redactor);
}

static void count(opsd_alerts *a, const char *fate, uint64_t n)
{
    if (n > 0)
        ops_metric_add(ops_metric_at(a->metrics, ROW_ALERTS, fate), n);
}

static void refuse(opsd_alerts *a, ops_http_req *req, ops_status st, const char *why)
{
    const char *reason = st == OPS_EINVAL    ? "malformed"
                         : st == OPS_ETOOBIG ? "too_large"
                         : st == OPS_EAGAIN  ? "full"
                                             : "failed";
    ops_metric_add(ops_metric_at(a->metrics, ROW_REFUSED, reason), 1);
    OPS_LOG(OPS_LOG_WARN, "alerts_refused", OPS_KV_STR("tenant", ops_http_identity(req)->tenant),
            OPS_KV_STR("why", why));
    ops_http_reply_error(req, st, why);
}

typedef struct asked {
    opsd_alerts *alerts;
    ops_http_req *req;
} asked;

static void on_written(void *u, const ops_finder_alerts_answer *w)
{
    asked *q = u;
    char text[200];
    count(q->alerts, "opened", w->opened);
    count(q->alerts, "repeated", w->repeated);
    count(q->alerts, "resolved", w->resolved);
    count(q->alerts, "unknown", w->unknown);
    count(q->alerts, "own", w->own);
    count(q->alerts, "full", w->full);
    if (w->st != OPS_OK) {
        refuse(q->alerts, q->req, w->st, w->message);
    } else {
        (void)snprintf(text, sizeof text,
                       "{\"opened\":%" PRIu32 ",\"repeated\":%" PRIu32 ",\"resolved\":%" PRIu32
                       ",\"unknown\":%" PRIu32 ",\"own\":%" PRIu32 "}\n",
                       w->opened, w->repeated, w->resolved, w->unknown, w->own);
        ops_http_reply(q->req, 200, "application/json", ops_slice_str(text));
    }
    ops_free(q);
}

static ops_status hand_over(opsd_daemon *d, ops_http_req *req, gathering *g, asked *q, ops_err *reterr)
{
    uint64_t truncated = 0;
    ops_status st = ops_redact_scratch_new(&g->scratch, reterr);
    if (st == OPS_OK)
        st = ops_alert_decode(ops_http_body(req), gather_one, g, &truncated, reterr);
    if (st != OPS_OK)
        return st;
    if (truncated > 0)
        ops_metric_add(ops_metric_at(d->alerts->metrics, ROW_TRUNCATED, NULL), truncated);
    point(g);
    return ops_finder_alerts(d->finder, g->tenant, g->alerts.v, g->alerts.n, on_written, q, reterr);
}

static void on_webhook(ops_http_req *req, void *user)
{
    opsd_daemon *d = user;
    ops_err err = {.code = OPS_ENOMEM, .msg = "out of memory"};
    asked *q = ops_malloc(sizeof *q);
    gathering g = {.tenant = ops_slice_str(ops_http_identity(req)->tenant),
                   .now_ns = ops_clock_wall_ns(ops_clock_system()),
                   .redactor = take_redactor(d->alerts)};
    ops_arena_init(&g.arena, ARENA_BYTES);
    ops_strbuf_init(&g.bodies, BODIES_BYTES_MAX);
    ops_strbuf_init(&g.own, OPS_ALERT_COUNT_MAX * (OPS_FINDING_ID_LEN + 1));
    ops_status st = OPS_ENOMEM;
    if (q != NULL) {
        *q = (asked){d->alerts, req};
        st = hand_over(d, req, &g, q, &err);
    }
    gathering_done(&g);
    if (st != OPS_OK) { /* else the finder answers */
        refuse(d->alerts, req, st, err.msg);
        ops_free(q);
    }
}

ops_status opsd_door_alerts(opsd_daemon *d, ops_err *reterr)
{
    const ops_http_route route = {.method = "POST",
                                  .path = "/api/v1/alertmanager/webhook",
                                  .body_max = OPS_ALERT_BODY_MAX,
                                  .role = OPS_ROLE_INGEST,
                                  .handler = on_webhook,
                                  .user = d};
    d->alerts = ops_calloc(1, sizeof *d->alerts);
    if (d->alerts == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "alerts");
    (void)pthread_mutex_init(&d->alerts->lock, NULL);
    opsd_alerts_set_redactor(d->alerts, d->redactor);
    ops_status st = ops_metrics_new(rows, ROW_COUNT, &d->alerts->metrics, reterr);
    return st == OPS_OK ? ops_http_route_add(d->web, &route, reterr) : st;
}
