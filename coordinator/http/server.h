/* A bounded HTTP/1.1 server. The only room that includes microhttpd.h.
 *
 * A route's handler runs on a server thread once the whole body is there and decoded; it must not block. It answers
 * with ops_http_reply(), at once or later from any thread (the connection is suspended meanwhile): exactly once per
 * request; or in pieces with ops_http_stream_begin(). Everything has a bound: connections, body bytes per route, body bytes in flight, idle time. */
#pragma once
#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/text/strbuf.h"
#include "coordinator/access/access.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ops_http ops_http;
typedef struct ops_http_req ops_http_req;

/* The request stays valid until the handler's reply call. @thread one of the server's */
typedef void (*ops_http_handler)(ops_http_req *req, void *user);

typedef struct ops_http_route {
    const char *method; /* "GET" also serves HEAD */
    const char *path;   /* exact, or a prefix ending in "/" followed by '*' */
    size_t body_max;    /* decoded bytes; 0: a request with a body is refused with 413 */
    ops_role role;      /* needed; OPS_ROLE_NONE: no token looked at */
    ops_http_handler handler;
    void *user;
    /* How refusals of the server itself look (a token, a size, too much at once) as JSON, where the clients of the route know
     * another form than that of ops_http_reply_error(); NULL: that one. Pure. @thread any */
    void (*error)(ops_status st, const char *message, ops_strbuf *out);
} ops_http_route;

/* Decodes a body of Content-Encoding `encoding` ("gzip", "zstd", ...) into ret_body, whose max is the route's.
 * OPS_EUNIMPL: unknown encoding (415); OPS_ETOOBIG: 413; anything else: 400 with reterr's text. @thread any */
typedef ops_status (*ops_http_inflate)(void *user, ops_slice encoding, ops_slice body, ops_strbuf *ret_body,
                                       ops_err *reterr);

typedef struct ops_http_conf {
    const char *address; /* "127.0.0.1:4318", "[::1]:4318", "localhost:0"; port 0: chosen by the kernel */
    unsigned threads;    /* 1..64; default 1 */
    unsigned connections_max;  /* default 1024; one more is closed at accept */
    size_t inflight_bytes_max; /* sum of bodies being received or handled, default 64 MiB; beyond: 429 */
    unsigned idle_timeout_s;   /* default 30 */
    size_t routes_max;         /* default 64 */
    ops_access *access;        /* not owned; NULL: open */
    ops_http_inflate inflate;  /* NULL: encoded bodies get 415 */
    void *inflate_user;
    const char *cert_pem, *key_pem; /* both or none: TLS */
    const char
        *client_ca_pem; /* clients must show a certificate it signed, or get 401; NULL: are not asked */
    /* Built-in routes, all open. NULL: /readyz is 200 while running, /metrics is 404. ready() fills why_not. */
    bool (*ready)(void *user, ops_strbuf *why_not);
    void (*metrics)(void *user, ops_strbuf *ret_text); /* Prometheus text format 0.0.4 */
    void *probe_user;
} ops_http_conf;

typedef struct ops_http_stats {
    uint64_t requests, refused_auth, refused_size, refused_busy, refused_decode, unknown_route;
    uint64_t clients_gone, streams_cut; /* of watched requests; of streams, for whatever reason */
    uint64_t inflight_requests, inflight_bytes;
} ops_http_stats;

/* What became of a request that found its route. */
typedef enum ops_http_outcome {
    OPS_HTTP_DONE,
    OPS_HTTP_REFUSED, /* 4xx */
    OPS_HTTP_FAILED,  /* 5xx, or as ops_http_mark_failed() says */
    OPS_HTTP_GONE,    /* its client went before the answer's end */
    OPS_HTTP_CUT,     /* a stream that was broken off here */
    OPS_HTTP_OUTCOME_COUNT
} ops_http_outcome;
const char *ops_http_outcome_name(ops_http_outcome o); /* "done" */

typedef struct ops_http_route_stats {
    const char *method, *path; /* live as long as the server */
    uint64_t requests[OPS_HTTP_OUTCOME_COUNT];
} ops_http_route_stats;

/* Binds (so that errors are known at once: OPS_EEXIST names the holder of the port) but serves nobody yet. */
OPS_MUST_USE ops_status ops_http_new(const ops_http_conf *conf, ops_http **ret, ops_err *reterr);

/* Strings are copied. Only before ops_http_start(). OPS_EEXIST: same method and path; OPS_EAGAIN: table full. */
OPS_MUST_USE ops_status ops_http_route_add(ops_http *h, const ops_http_route *route, ops_err *reterr);
OPS_MUST_USE ops_status ops_http_start(ops_http *h, ops_err *reterr);

/* New connections use the new certificate; those that stand go on with theirs. As it was before: nothing is done.
 * OPS_EINVAL: not good PEM, or TLS itself would begin or end; OPS_EAGAIN: connections of OPS_HTTP_RETIRED_MAX earlier
 * certificates are still open. On failure all goes on as before. @thread one at a time, not a handler */
enum { OPS_HTTP_RETIRED_MAX = 4 };
OPS_MUST_USE ops_status ops_http_reload_tls(ops_http *h, const char *cert_pem, const char *key_pem,
                                            const char *client_ca_pem, ops_err *reterr);

uint16_t ops_http_port(const ops_http *h);
void ops_http_stats_get(ops_http *h, ops_http_stats *ret); /* @thread any */

/* Of route i, in the order of adding, the built-in ones first; false: there are no more. Once started. @thread any */
bool ops_http_route_stats_get(const ops_http *h, size_t i, ops_http_route_stats *ret);

/* No new connections; /readyz turns 503; waits up to grace_ms for requests under way. @thread not a handler */
void ops_http_drain(ops_http *h, unsigned grace_ms);

/* Drains for at most a second, answers what is left with 503, stops. A handler's later reply to such a request is
 * harmless, but every request handed out must be replied to for its memory to go. @thread not a handler */
void ops_http_free(ops_http *h);
OPS_AUTO_DEFINE(ops_http, ops_http_free)

/* What was asked. Slices live until the reply. */
ops_slice ops_http_method(const ops_http_req *req);
ops_slice ops_http_path(const ops_http_req *req); /* without the query */
ops_slice ops_http_body(const ops_http_req *req); /* decoded */
const ops_identity *ops_http_identity(const ops_http_req *req);
ops_slice ops_http_peer(const ops_http_req *req); /* "192.0.2.1" */
/* .p NULL when absent. Only inside the handler, not after it returned. @thread the handler's */
ops_slice ops_http_header(const ops_http_req *req, const char *name);
ops_slice ops_http_query(const ops_http_req *req, const char *name);

/* Adds a header to the reply to come; the last one of a name wins. At most 8; more or bad bytes: OPS_EINVAL. */
OPS_MUST_USE ops_status ops_http_reply_header(ops_http_req *req, const char *name, const char *value);

/* Retry-After in whole seconds, rounded up (RFC 9110, 10.2.3). */
void ops_http_retry_after(ops_http_req *req, uint64_t wait_ms);

/* Answers and gives the request up; body and content_type are copied. @thread any, once per request */
void ops_http_reply(ops_http_req *req, unsigned code, const char *content_type, ops_slice body);

/* The same with what `b` holds, which is done with afterwards; one that failed answers OPS_ENOMEM. @thread any, once per request */
void ops_http_reply_buf(ops_http_req *req, unsigned code, const char *content_type, ops_strbuf *done_b);

/* {"code": <google.rpc.Code>, "message": "..."} with the HTTP code OTLP/HTTP prescribes for the status;
 * retriable ones carry Retry-After: 1 unless set before. @thread any, once per request */
void ops_http_reply_error(ops_http_req *req, ops_status st, const char *message);

/* Wants to know when nobody waits for the answer any more: the client hung up (also one that only closed its sending
 * side), or the server stops. `gone` is called at most once and never after the reply call, or the end of the stream,
 * returned; under a lock of the request, so it must not call the server, and may post. The request must still be
 * replied to. @thread the handler's */
void ops_http_on_gone(ops_http_req *req, void (*gone)(void *ctx), void *ctx);

/* An answer in pieces. Begins it; headers as for a reply. At most `bytes_max` bytes wait for a client that reads slowly.
 * On OPS_OK ops_http_stream_end() must come, instead of a reply call; OPS_ENOMEM: nothing has begun. @thread any */
OPS_MUST_USE ops_status ops_http_stream_begin(ops_http_req *req, unsigned code, const char *content_type,
                                              size_t bytes_max);
/* Copies; never blocks. OPS_EAGAIN: bytes_max are waiting; OPS_ENOMEM; OPS_ECANCELLED: it was cut before, or the client is
 * gone, or the server stops. After any of them the answer is cut: the client sees the connection end before the
 * answer does, and nothing more is sent. @thread any, one at a time */
OPS_MUST_USE ops_status ops_http_stream_write(ops_http_req *req, ops_slice piece);
/* The answer tells of a failure, whatever its code says: it is counted as one. Before it is given up. @thread any */
void ops_http_mark_failed(ops_http_req *req);
/* What was written will still be sent; gives the request up. @thread any, once per begun stream */
void ops_http_stream_end(ops_http_req *req);

/* OPS_EAGAIN 429, OPS_EUNAVAILABLE 503, OPS_EINVAL 400, OPS_EAUTH 401, OPS_EPERM 403, ... */
unsigned ops_http_code(ops_status st);
