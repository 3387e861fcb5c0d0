/* OTLP over HTTP: https://opentelemetry.io/docs/specs/otlp/#otlphttp */
#include "base/mem/alloc.h"
#include "coordinator/ingest/inflate.h"
#include "coordinator/ingest/otlp_reply.h"
#include "opsd/daemon.h"

#define PROTOBUF "application/x-protobuf"
#define JSON     "application/json"

typedef struct route {
    const char *path;
    ops_otlp_signal signal;
    ops_intake_kind kind, json_kind;
} route;

static const route routes[] = {
    {"/v1/logs", OPS_OTLP_LOGS, OPS_INTAKE_LOGS_PROTOBUF, OPS_INTAKE_LOGS_JSON},
    {"/v1/metrics", OPS_OTLP_METRICS, OPS_INTAKE_METRICS_PROTOBUF, OPS_INTAKE_METRICS_JSON},
    {"/v1/traces", OPS_OTLP_TRACES, OPS_INTAKE_TRACES_PROTOBUF, OPS_INTAKE_TRACES_JSON},
};
enum { ROUTES = sizeof routes / sizeof *routes };

/* What the answer needs of its request. */
typedef struct asked {
    ops_http_req *req;
    ops_otlp_signal signal;
    bool json;
} asked;

static void reply_status(ops_http_req *req, bool json, ops_status st, uint32_t retry_ms, const char *message)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 8192);
    if (json)
        ops_otlp_reply_status_json(ops_status_grpc_code(st), ops_slice_str(message), &b);
    else
        ops_otlp_reply_status(ops_status_grpc_code(st), ops_slice_str(message), &b);
    if (ops_status_retriable(st))
        ops_http_retry_after(req, retry_ms > 0 ? retry_ms : 1000);
    ops_http_reply(req, ops_http_code(st), json ? JSON : PROTOBUF, ops_strbuf_get(&b));
    ops_strbuf_done(&b);
}

static void on_done(void *u, const ops_intake_answer *a)
{
    asked *q = u;
    if (a->st != OPS_OK) {
        reply_status(q->req, q->json, a->st, a->retry_ms, a->message);
        ops_free(q);
        return;
    }
    ops_strbuf b;
    ops_strbuf_init(&b, 8192);
    if (q->json)
        ops_otlp_reply_json(q->signal, a->rejected, ops_slice_str(a->message), &b);
    else
        ops_otlp_reply(a->rejected, ops_slice_str(a->message), &b);
    ops_http_reply(q->req, 200, q->json ? JSON : PROTOBUF, ops_strbuf_get(&b));
    ops_strbuf_done(&b);
    ops_free(q);
}

static void on_export(ops_http_req *req, void *user)
{
    opsd_daemon *d = user;
    ops_slice path = ops_http_path(req), type = opsd_media_type(req);
    const route *r = routes;
    while (r < routes + ROUTES - 1 && !ops_slice_eq(path, ops_slice_str(r->path)))
        r++;
    bool json = ops_slice_eq_nocase(type, OPS_SLICE(JSON));
    if (!json && !ops_slice_eq_nocase(type, OPS_SLICE(PROTOBUF))) {
        ops_http_reply(req, 415, "text/plain",
                       OPS_SLICE("Content-Type: application/x-protobuf or application/json\n"));
        return;
    }
    asked *q = ops_malloc(sizeof *q);
    ops_err err = {.code = OPS_ENOMEM, .msg = "out of memory"};
    if (q == NULL) {
        reply_status(req, json, OPS_ENOMEM, 0, err.msg);
        return;
    }
    *q = (asked){req, r->signal, json};
    ops_status st = ops_intake_request(d->intake, ops_slice_str(ops_http_identity(req)->tenant), "otlp-http",
                                       json ? r->json_kind : r->kind, ops_http_body(req), on_done, q, &err);
    if (st != OPS_OK) {
        reply_status(req, json, st, 0, err.msg);
        ops_free(q);
    }
}

ops_status opsd_inflate(void *user, ops_slice encoding, ops_slice body, ops_strbuf *ret_body, ops_err *reterr)
{
    ops_inflate_coding coding;
    char *out = NULL;
    size_t n = 0;
    (void)user;
    ops_status st = ops_inflate_coding_of(encoding, &coding, reterr);
    if (st == OPS_OK)
        st = ops_inflate(coding, body.p, body.n, ret_body->max, &out, &n, reterr);
    if (st != OPS_OK)
        return st;
    ops_strbuf_put(ret_body, out, n);
    ops_free(out);
    return ret_body->failed ? ops_fail(reterr, OPS_ENOMEM, "a body of %zu bytes", n) : OPS_OK;
}

ops_status opsd_door_otlp(opsd_daemon *d, ops_err *reterr)
{
    ops_http_conf hc;
    if (opsd_is_off(ops_conf_str(d->conf, KEY_OTLP_HTTP)))
        return OPS_OK;
    opsd_http_conf(d, KEY_OTLP_HTTP, &hc);
    hc.inflate = opsd_inflate;
    ops_status st = ops_http_new(&hc, &d->otlp, reterr);
    for (size_t i = 0; st == OPS_OK && i < ROUTES; i++) {
        const ops_http_route route_conf = {.method = "POST",
                                           .path = routes[i].path,
                                           .body_max = ops_conf_uint(d->conf, KEY_INGEST_REQUEST_MAX),
                                           .role = OPS_ROLE_INGEST,
                                           .handler = on_export,
                                           .user = d};
        st = ops_http_route_add(d->otlp, &route_conf, reterr);
    }
    if (st == OPS_OK)
        st = opsd_door_write(d, d->otlp, reterr);
    return st == OPS_OK ? opsd_door_push(d, reterr) : st;
}
