/* A dispatch with one worker, inside the worker's own process: so requests have the same queues, bounds and answers here as at
 * a coordinator, and share the engine's lines with the tasks that coordinators send. */
#include "opsd/worker_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/openai/routes.h"
#include "coordinator/vertex/routes.h"
#include "opsd/keys.h"
#include "opsd/local/local_worker.h"
#include "opsd/pem.h"

struct opsd_worker_http {
    ops_access *access;
    ops_dispatch *d;
    ops_local_worker *local;
    ops_http *http;
};

bool opsd_worker_http_aip(void)
{
    const char *port = getenv("AIP_HTTP_PORT");
    return port != NULL && port[0] != '\0';
}

bool opsd_worker_http_wanted(const ops_conf *c)
{
    return opsd_worker_http_aip() || strcmp(ops_conf_str(c, KEY_WORKER_HTTP), "off") != 0;
}

static ops_status aip_route(const char *name, const char *usual, const char **ret, ops_err *reterr)
{
    const char *route = getenv(name);
    *ret = route != NULL && route[0] != '\0' ? route : usual;
    return (*ret)[0] == '/' ? OPS_OK
                            : ops_fail(reterr, OPS_EINVAL, "%s: '%s' does not begin with /", name, *ret);
}

static ops_status aip_routes(opsd_worker_http *w, ops_err *reterr)
{
    const char *health = NULL, *predict = NULL;
    ops_status st = aip_route("AIP_HEALTH_ROUTE", "/health", &health, reterr);
    if (st == OPS_OK)
        st = aip_route("AIP_PREDICT_ROUTE", "/predict", &predict, reterr);
    return st == OPS_OK ? ops_vertex_routes(w->http, w->d, health, predict, reterr) : st;
}

static bool on_ready(void *user, ops_strbuf *why_not)
{
    const opsd_worker_http *w = user;
    const bool there = ops_dispatch_counts_get(w->d).with_models > 0;
    if (!there)
        ops_strbuf_str(why_not, "no model yet");
    return there;
}

static ops_status aip_address(char ret[32], ops_err *reterr)
{
    char *end;
    const long port = strtol(getenv("AIP_HTTP_PORT"), &end, 10);
    if (*end != '\0' || port < 0 || port > 65535)
        return ops_fail(reterr, OPS_EINVAL, "AIP_HTTP_PORT: '%s' is no port", getenv("AIP_HTTP_PORT"));
    (void)snprintf(ret, 32, "0.0.0.0:%ld", port);
    return OPS_OK;
}

static ops_status open_server(opsd_worker_http *w, const ops_conf *c, ops_err *reterr)
{
    char at[32];
    opsd_pem pem = {0};
    const bool aip = opsd_worker_http_aip();
    const char *tokens = aip ? "" : ops_conf_str(c, KEY_ACCESS_TOKENS);
    ops_status st = aip ? aip_address(at, reterr) : OPS_OK;
    if (st == OPS_OK)
        st = ops_access_new(tokens[0] != '\0' ? tokens : NULL, &w->access, reterr);
    if (st == OPS_OK && !aip)
        st = opsd_pem_read(c, KEY_TLS_CERT, KEY_TLS_KEY, KEY_TLS_CLIENT_CA, &pem, reterr);
    const ops_http_conf hc = {.address = aip ? at : ops_conf_str(c, KEY_WORKER_HTTP),
                              .threads = (unsigned)ops_conf_uint(c, KEY_HTTP_THREADS),
                              .connections_max = (unsigned)ops_conf_uint(c, KEY_HTTP_CONNECTIONS),
                              .inflight_bytes_max = ops_conf_uint(c, KEY_INGEST_INFLIGHT),
                              .idle_timeout_s = (unsigned)(ops_conf_uint(c, KEY_HTTP_IDLE) / 1000),
                              .access = w->access,
                              .cert_pem = pem.cert,
                              .key_pem = pem.key,
                              .client_ca_pem = pem.ca,
                              .ready = on_ready,
                              .probe_user = w};
    if (st == OPS_OK)
        st = ops_http_new(&hc, &w->http, reterr);
    opsd_pem_done(&pem);
    return st;
}

ops_status opsd_worker_http_open(const ops_conf *c, ops_runner *runner, opsd_worker_http **ret,
                                 ops_err *reterr)
{
    const ops_dispatch_conf dc = {0};
    opsd_worker_http *w = ops_calloc(1, sizeof *w);
    if (w == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "worker.http");
    ops_status st = ops_dispatch_new(&dc, &w->d, reterr);
    if (st == OPS_OK)
        st = open_server(w, c, reterr);
    if (st == OPS_OK)
        st = ops_openai_routes(w->http, w->d, reterr);
    if (st == OPS_OK && opsd_worker_http_aip())
        st = aip_routes(w, reterr);
    if (st == OPS_OK)
        st = ops_local_worker_over(w->d, "http", 0, runner, &w->local, reterr);
    if (st == OPS_OK)
        st = ops_http_start(w->http, reterr);
    if (st != OPS_OK) {
        ops_err_prefix(reterr, "worker.http");
        opsd_worker_http_close(w, 0);
        return st;
    }
    *ret = w;
    return OPS_OK;
}

unsigned opsd_worker_http_port(const opsd_worker_http *w)
{
    return w != NULL ? ops_http_port(w->http) : 0;
}

void opsd_worker_http_close(opsd_worker_http *w, unsigned grace_ms)
{
    if (w == NULL)
        return;
    if (w->http != NULL)
        ops_http_drain(w->http, grace_ms);
    ops_http_free(w->http);
    ops_local_worker_free(w->local, 0);
    ops_dispatch_free(w->d);
    ops_access_free(w->access);
    ops_free(w);
}
