/* Inside of the http room: what server.c (life, routes, what microhttpd calls), daemon.c (microhttpd's daemons), request.c (one request and its answer),
 * stream.c (an answer in pieces) and watch.c (clients that hang up) share. Lock order: ops_http.lock, then
 * ops_http_req.lock; the latter is held while `gone` is called. */
#ifndef OPS_COORDINATOR_HTTP_INTERNAL_H
#define OPS_COORDINATOR_HTTP_INTERNAL_H

#include "base/sched/thread.h"
#include "coordinator/http/server.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#define REPLY_HEADERS_MAX 8

struct ops_http_req {
    atomic_int refs; /* the connection's, the handler's from hand-over to reply, and a streamed response's */
    ops_http *h;     /* valid while conn is */
    struct ops_http_req *next, *prev; /* h's list of live requests; guarded by h->lock */
    const ops_http_route *route;
    const char *method, *path; /* microhttpd's, path copied */
    char *path_copy;
    ops_strbuf body;
    size_t dropped_bytes;
    size_t body_counted; /* bytes added to h->inflight_bytes */
    ops_identity who;
    char peer[64];
    struct {
        char name[64], value[256];
    } headers[REPLY_HEADERS_MAX];
    size_t header_count;
    unsigned early_code; /* refused before the handler; the body is read and dropped */
    ops_status early_status;
    char early_text[512];
    bool handed;
    uint64_t watch_id; /* 0: not watched */
    int watched_fd;

    pthread_mutex_t lock;        /* guards what follows */
    struct MHD_Connection *conn; /* NULL once the connection has let go */
    struct MHD_Response *response;
    unsigned code;
    bool suspended, queued;
    void (*gone)(void *ctx); /* NULL once called, and once the handler gave the request up */
    void *gone_ctx;
    bool cut, ended;   /* of a stream: broken off; whole */
    bool left, failed; /* its client hung up while the handler was at it; the answer tells of a failure */
    ops_strbuf out;    /* what of a stream has not been written to the socket yet, from out_at on */
    size_t out_at, out_max;
};

struct ops_http {
    struct MHD_Daemon *daemon;
    ops_http_conf conf;
    int fd;
    uint16_t port;
    atomic_bool asks_clients;
    char *cert, *key, *client_ca;
    struct MHD_Daemon
        *retired[OPS_HTTP_RETIRED_MAX]; /* of earlier certificates, until their connections end */
    ops_http_route *routes;
    struct ops_http_tally {
        atomic_uint_fast64_t n[OPS_HTTP_OUTCOME_COUNT];
    } * tallies; /* of each route */
    size_t route_count;
    atomic_bool draining, stopping;
    atomic_size_t inflight_bytes;
    atomic_uint_fast64_t requests, refused_auth, refused_size, refused_busy, refused_decode, unknown_route;
    atomic_uint_fast64_t clients_gone, streams_cut, watch_ids;
    int watch_fd, watch_stop_fd; /* an epoll set of sockets, and what ends its thread */
    ops_thread *watcher;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t gone;
    ops_http_req *live;
    size_t live_count;
};

/* server.c, called by microhttpd */
enum MHD_Result ops_http_on_request(void *user, struct MHD_Connection *conn, const char *url,
                                    const char *method, const char *version, const char *upload,
                                    size_t *upload_bytes, void **slot);
void ops_http_on_completed(void *user, struct MHD_Connection *conn, void **slot,
                           enum MHD_RequestTerminationCode why);

/* daemon.c: one on the listening socket with these certificates; NULL: it does not start. */
struct MHD_Daemon *ops_http_daemon_start(ops_http *h, char *cert, char *key, char *client_ca);
void ops_http_daemons_stop(ops_http *h); /* h->daemon and those retired */

/* request.c */
ops_http_req *ops_http_req_new(ops_http *h, struct MHD_Connection *conn, const char *method,
                               const char *path);
void ops_http_req_unref(ops_http_req *req);
/* Sets the answer unless there is one; resumes a suspended connection. Does not give up the handler's share. */
void ops_http_req_answer(ops_http_req *req, unsigned code, const char *content_type, ops_slice body);
void ops_http_req_answer_error(ops_http_req *req, unsigned code, ops_status st, const char *message);
/* The handler's headers and the type. False: no memory. */
bool ops_http_req_headers(const ops_http_req *req, const char *content_type, struct MHD_Response *res);
/* Makes `take_res` the answer, unless there is one or nobody to send it to: then it is destroyed and this is false. */
bool ops_http_req_set(ops_http_req *req, unsigned code, struct MHD_Response *take_res);
/* The rest is called with req->lock held. */
void ops_http_req_resume(ops_http_req *req);
void ops_http_req_tell_gone(ops_http_req *req);
/* stream.c: what is not written yet is thrown away, and the connection ends without an end of the answer. */
void ops_http_stream_cut(ops_http_req *req);

/* watch.c */
OPS_MUST_USE ops_status ops_http_watch_start(ops_http *h, ops_err *reterr);
void ops_http_watch_stop(ops_http *h);
void ops_http_unwatch(ops_http_req *req);

/* Did the client show a certificate of the authority? */
bool ops_http_peer_is_known(struct MHD_Connection *conn);
#endif
