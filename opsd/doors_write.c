/* Prometheus' remote write, on the OTLP/HTTP server and on the operators' one: POST /api/v1/write.
 *
 * 204 when all was kept. 200 with the reason as text when what was left out is no fault of the sender (a quantile of nothing
 * is no number). 400 when a sample could not be kept for its own sake: the others are, and must not be sent again. Version 2
 * is told in headers what was written. Not now is 503, not 429: Prometheus drops what gets a 429 unless it is told otherwise.
 * https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/ */
#include <inttypes.h>
#include <stdio.h>

#include "base/log/log.h"
#include "coordinator/ingest/remote_write.h"
#include "opsd/daemon.h"

static void written(ops_http_req *req, const char *name, uint64_t n)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRIu64, n);
    if (ops_http_reply_header(req, name, text) != OPS_OK)
        OPS_LOG(OPS_LOG_WARN, "header_left_out", OPS_KV_STR("name", name));
}

static void tell_written(ops_http_req *req, const ops_sample_counters *c)
{
    const uint64_t refused = c->refused_by[OPS_SAMPLE_HISTOGRAM_FORM] +
                             c->refused_by[OPS_SAMPLE_HISTOGRAM_NEGATIVE] +
                             c->refused_by[OPS_SAMPLE_HISTOGRAM_SIZE];
    const uint64_t histograms = c->histograms > refused ? c->histograms - refused : 0;
    const uint64_t points = c->points - c->histograms, lost = c->refused > refused ? c->refused - refused : 0;
    written(req, "X-Prometheus-Remote-Write-Samples-Written", points > lost ? points - lost : 0);
    written(req, "X-Prometheus-Remote-Write-Histograms-Written", histograms);
    written(req, "X-Prometheus-Remote-Write-Exemplars-Written", 0);
}

static void on_written(void *u, const ops_intake_answer *a)
{
    ops_http_req *req = u;
    char text[600];
    if (a->st != OPS_OK) {
        if (a->retry_ms > 0)
            ops_http_retry_after(req, a->retry_ms);
        ops_http_reply_error(req, a->retry_ms > 0 ? OPS_EUNAVAILABLE : a->st, a->message);
        return;
    }
    const ops_sample_counters *c = a->samples;
    tell_written(req, c);
    const uint64_t harmless = c->refused_by[OPS_SAMPLE_NOT_A_NUMBER] + c->refused_by[OPS_SAMPLE_INFINITE];
    (void)snprintf(text, sizeof text, "%s\n", a->message);
    if (c->refused == 0)
        ops_http_reply(req, 204, "text/plain", (ops_slice){0});
    else
        ops_http_reply(req, c->refused == harmless ? 200 : 400, "text/plain", ops_slice_str(text));
}

static void on_write(ops_http_req *req, void *user)
{
    opsd_daemon *d = user;
    const ops_slice coding = ops_slice_trim(ops_http_header(req, "Content-Encoding"));
    const unsigned version = ops_remote_write_version(ops_http_header(req, "Content-Type"));
    ops_err err = {.code = OPS_ENOMEM, .msg = "out of memory"};
    if (version == 0 || !ops_slice_eq_nocase(coding, OPS_SLICE("snappy"))) {
        ops_http_reply(req, 415, "text/plain",
                       OPS_SLICE("Content-Encoding: snappy, and Content-Type: application/x-protobuf, with "
                                 "proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request\n"));
        return;
    }
    const ops_status st =
        ops_intake_request(d->intake, ops_slice_str(ops_http_identity(req)->tenant),
                           version == 1 ? "remote-write-1" : "remote-write-2",
                           version == 1 ? OPS_INTAKE_REMOTE_WRITE_1 : OPS_INTAKE_REMOTE_WRITE_2,
                           ops_http_body(req), on_written, req, &err);
    if (st == OPS_OK)
        return;
    if (ops_status_retriable(st))
        ops_http_retry_after(req, 1000);
    ops_http_reply_error(req, ops_status_retriable(st) ? OPS_EUNAVAILABLE : st, err.msg);
}

ops_status opsd_door_write(opsd_daemon *d, ops_http *server, ops_err *reterr)
{
    const ops_http_route route = {.method = "POST",
                                  .path = "/api/v1/write",
                                  .body_max = ops_conf_uint(d->conf, KEY_INGEST_REQUEST_MAX),
                                  .role = OPS_ROLE_INGEST,
                                  .handler = on_write,
                                  .user = d};
    return ops_http_route_add(server, &route, reterr);
}
