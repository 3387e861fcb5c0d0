/* Inside of the http room: what server.c (life, routes, the microhttpd callbacks) and request.c (one request and its
 * answer) share. Lock order: ops_http.lock, then ops_http_req.lock. */
#ifndef OPS_COORDINATOR_HTTP_INTERNAL_H
#define OPS_COORDINATOR_HTTP_INTERNAL_H

#include "coordinator/http/server.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#define REPLY_HEADERS_MAX 8

struct ops_http_req {
    atomic_int refs;                  /* the connection's, and the handler's from hand-over to reply */
    ops_http *h;                      /* valid while conn is */
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

    pthread_mutex_t lock;        /* guards what follows */
    struct MHD_Connection *conn; /* NULL once the connection has let go */
    struct MHD_Response *response;
    unsigned code;
    bool suspended, queued;
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
    size_t route_count;
    atomic_bool draining, stopping;
    atomic_size_t inflight_bytes;
    atomic_uint_fast64_t requests, refused_auth, refused_size, refused_busy, refused_decode, unknown_route;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t gone;
    ops_http_req *live;
    size_t live_count;
};

/* request.c */
ops_http_req *ops_http_req_new(ops_http *h, struct MHD_Connection *conn, const char *method,
                               const char *path);
void ops_http_req_unref(ops_http_req *req);
/* Sets the answer unless there is one; resumes a suspended connection. Does not give up the handler's share. */
void ops_http_req_answer(ops_http_req *req, unsigned code, const char *content_type, ops_slice body);
void ops_http_req_answer_error(ops_http_req *req, unsigned code, ops_status st, const char *message);

/* Did the client show a certificate of the authority? */
bool ops_http_peer_is_known(struct MHD_Connection *conn);
#endif
