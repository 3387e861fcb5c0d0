/* Doors of other people's log shippers, on the OTLP/HTTP server: Loki's push, systemd-journal-upload.
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

static void answer(ops_http_req *req, const ops_intake_answer *a, unsigned code, ops_slice words)
{
    if (a->st == OPS_OK && (a->accepted > 0 || a->rejected == 0)) {
        ops_http_reply(req, code, "text/plain", words);
        return;
    }
    if (a->retry_ms > 0)
        ops_http_retry_after(req, a->retry_ms);
    ops_http_reply_error(req, a->st == OPS_OK ? OPS_EINVAL : a->st, a->message);
}

static void on_pushed(void *u, const ops_intake_answer *a)
{
    answer(u, a, 204, (ops_slice){0});
}

/* What systemd-journal-remote answers. */
static void on_uploaded(void *u, const ops_intake_answer *a)
{
    answer(u, a, 202, OPS_SLICE("OK.\n"));
}

static void hand_over(opsd_daemon *d, ops_http_req *req, const char *door, ops_intake_kind kind,
                      ops_intake_done done)
{
    ops_err err = {.code = OPS_ENOMEM, .msg = "out of memory"};
    const ops_status st = ops_intake_request(d->intake, ops_slice_str(ops_http_identity(req)->tenant), door,
                                             kind, ops_http_body(req), done, req, &err);

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
        hand_over(user, req, "loki", OPS_INTAKE_LOKI_JSON, on_pushed);
    else if (type.n == 0 || ops_slice_eq_nocase(type, OPS_SLICE("application/x-protobuf")))
        hand_over(user, req, "loki", coded ? OPS_INTAKE_LOKI_PROTOBUF : OPS_INTAKE_LOKI_SNAPPY, on_pushed);
    else
        ops_http_reply(req, 415, "text/plain",
                       OPS_SLICE("Content-Type: application/x-protobuf (snappy) or application/json\n"));
}

/* systemd-journal-upload sends all that it has as one body; what is above ingest.request_max is refused, and it stops. */
static void on_journal(ops_http_req *req, void *user)
{
    if (ops_slice_eq_nocase(opsd_media_type(req), OPS_SLICE("application/vnd.fdo.journal")))
        hand_over(user, req, "journal", OPS_INTAKE_JOURNAL, on_uploaded);
    else
        ops_http_reply(req, 415, "text/plain", OPS_SLICE("Content-Type: application/vnd.fdo.journal\n"));
}

ops_status opsd_door_push(opsd_daemon *d, ops_err *reterr)
{
    static const struct {
        const char *path;
        ops_http_handler handler;
    } rows[] = {{"/loki/api/v1/push", on_loki}, {"/upload", on_journal}};
    ops_status st = OPS_OK;

    for (size_t i = 0; st == OPS_OK && i < sizeof rows / sizeof *rows; i++) {
        const ops_http_route route = {.method = "POST",
                                      .path = rows[i].path,
                                      .body_max = ops_conf_uint(d->conf, KEY_INGEST_REQUEST_MAX),
                                      .role = OPS_ROLE_INGEST,
                                      .handler = rows[i].handler,
                                      .user = d};
        st = ops_http_route_add(d->otlp, &route, reterr);
    }
    return st;
}
