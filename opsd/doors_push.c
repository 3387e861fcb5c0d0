/* Doors of other people's log shippers, on the OTLP/HTTP server: Loki's push.
 *
 * Loki answers 204 without a body when entries were kept, and 400 only when none was; its clients drop on 4xx and
 * send again on 429 and 5xx. The tenant is the token's: X-Scope-OrgID is what anybody may write, and is not looked at. */
#include "opsd/daemon.h"

ops_slice opsd_media_type(const ops_http_req *req)
{
    ops_slice header = ops_http_header(req, "Content-Type"), rest = header, type = header;

    if (header.p != NULL)
        (void)ops_slice_split(&rest, ';', &type);
    return ops_slice_trim(type);
}

static void on_pushed(void *u, const ops_intake_answer *a)
{
    ops_http_req *req = u;

    if (a->st == OPS_OK && (a->accepted > 0 || a->rejected == 0)) {
        ops_http_reply(req, 204, "text/plain", (ops_slice){0});
        return;
    }
    if (a->retry_ms > 0)
        ops_http_retry_after(req, a->retry_ms);
    ops_http_reply_error(req, a->st == OPS_OK ? OPS_EINVAL : a->st, a->message);
}

static void hand_over(opsd_daemon *d, ops_http_req *req, const char *door, ops_intake_kind kind)
{
    ops_err err = {.code = OPS_ENOMEM, .msg = "out of memory"};
    const ops_status st = ops_intake_request(d->intake, ops_slice_str(ops_http_identity(req)->tenant), door,
                                             kind, ops_http_body(req), on_pushed, req, &err);

    if (st != OPS_OK)
        ops_http_reply_error(req, st, err.msg);
}

/* Protobuf comes in a snappy block by Loki's rule; with a content encoding it is what that encoding held. */
static void on_loki(ops_http_req *req, void *user)
{
    const ops_slice type = opsd_media_type(req),
                    coding = ops_slice_trim(ops_http_header(req, "Content-Encoding"));
    const bool coded = coding.n > 0 && !ops_slice_eq_nocase(coding, OPS_SLICE("identity"));

    if (ops_slice_eq_nocase(type, OPS_SLICE("application/json")))
        hand_over(user, req, "loki", OPS_INTAKE_LOKI_JSON);
    else if (type.n == 0 || ops_slice_eq_nocase(type, OPS_SLICE("application/x-protobuf")))
        hand_over(user, req, "loki", coded ? OPS_INTAKE_LOKI_PROTOBUF : OPS_INTAKE_LOKI_SNAPPY);
    else
        ops_http_reply(req, 415, "text/plain",
                       OPS_SLICE("Content-Type: application/x-protobuf (snappy) or application/json\n"));
}

ops_status opsd_door_push(opsd_daemon *d, ops_err *reterr)
{
    const ops_http_route route = {.method = "POST",
                                  .path = "/loki/api/v1/push",
                                  .body_max = ops_conf_uint(d->conf, KEY_INGEST_REQUEST_MAX),
                                  .role = OPS_ROLE_INGEST,
                                  .handler = on_loki,
                                  .user = d};

    return ops_http_route_add(d->otlp, &route, reterr);
}
