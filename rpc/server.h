/* A gRPC server behind plain C: methods as table rows, calls that any thread may answer.
 *
 * A handler runs on one of the server's threads and must not block: it answers at once or hands the call to another
 * thread. Each call it was given must be ended once, by ops_rpc_reply() or ops_rpc_finish(), whatever became of the client;
 * the call may not be touched after that by who does not hold a reference. Everything has a bound: calls under way, bytes
 * of a message, messages and bytes waiting to be sent in a stream.
 *
 * The only room that includes a grpc header. Two transports under one conformance suite: gRPC core, and the in-memory twin
 * of twin.h. */
#ifndef OPS_RPC_SERVER_H
#define OPS_RPC_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"
#include "rpc/status_details.h"

typedef struct ops_rpc_server ops_rpc_server;
typedef struct ops_rpc_call ops_rpc_call;

enum { OPS_RPC_NAME_MAX = 64 };

typedef struct ops_rpc_identity {
    char name[OPS_RPC_NAME_MAX], tenant[OPS_RPC_NAME_MAX];
    int role; /* in the numbers of who authenticates */
} ops_rpc_identity;

/* Who the bearer token (empty: none) names, and whether that one may call a method that needs `role`. OPS_EAUTH, OPS_EPERM with
 * the words for the client in reterr. @thread the server's */
typedef ops_status (*ops_rpc_authenticate)(void *u, ops_slice token, int role, ops_rpc_identity *ret,
                                           ops_err *reterr);

typedef enum ops_rpc_kind { OPS_RPC_UNARY, OPS_RPC_SERVER_STREAM, OPS_RPC_BIDI } ops_rpc_kind;

typedef struct ops_rpc_method {
    const char *path; /* "/ops.v1.FindingService/GetFinding" */
    ops_rpc_kind kind;
    bool open; /* without a token */
    int role;  /* handed to authenticate */
    /* The request, or each message of a bidi stream. Unary and server stream: `msg` lives until the call is ended; bidi:
     * until the callback returns. Bidi: false stops reading until ops_rpc_read(). @thread the server's */
    bool (*message)(ops_rpc_call *c, ops_slice msg, void *svc);
    void (*half_close)(ops_rpc_call *c,
                       void *svc); /* bidi: the client sends no more. May be NULL: ends the call OK */
    void (*writable)(ops_rpc_call *c, void *svc); /* after OPS_EAGAIN: there is room again. May be NULL */
    /* The client went away or gave up; the call must still be ended. NULL: a stream is ended by itself, a unary call goes on */
    void (*cancelled)(ops_rpc_call *c, void *svc);
    void (*done)(void *user,
                 void *svc); /* last of all, once per call that has a user pointer set. @thread any */
    void *svc;
} ops_rpc_method;

/* PEM texts. Both or none of cert and key; client_ca: clients must show a certificate it signed. */
typedef struct ops_rpc_tls {
    const char *cert, *key, *client_ca;
} ops_rpc_tls;

typedef struct ops_rpc_server_conf {
    const char *address;         /* "127.0.0.1:4317", "[::1]:0" */
    unsigned threads;            /* default 2 */
    size_t message_bytes_max;    /* default 4 MiB, after decompression */
    size_t send_queue_max;       /* messages waiting in one stream, default 64 */
    size_t send_queue_bytes_max; /* and bytes, default 8 MiB */
    unsigned calls_max;          /* under way; one more is RESOURCE_EXHAUSTED; default 1024 */
    unsigned keepalive_s;        /* default 30 */
    const ops_rpc_tls *tls;      /* copied; NULL: plain */
    ops_rpc_authenticate
        authenticate; /* NULL: everybody, as "anonymous" of tenant "default" with role_open */
    void *authenticate_u;
    int role_open;
    ops_slice protoset; /* FileDescriptorSet for reflection; static. Empty: no reflection */
} ops_rpc_server_conf;

/* Binds. OPS_EEXIST: the address can not be bound (in use?); OPS_EPERM: beyond loopback with a gRPC core too old for it. */
OPS_MUST_USE ops_status ops_rpc_server_new(const ops_rpc_server_conf *conf, ops_rpc_server **ret,
                                           ops_err *reterr);
/* Before start only. Paths are borrowed. OPS_EEXIST: the path is there. */
OPS_MUST_USE ops_status ops_rpc_server_add(ops_rpc_server *s, const ops_rpc_method *methods, size_t count,
                                           ops_err *reterr);
OPS_MUST_USE ops_status ops_rpc_server_start(ops_rpc_server *s, ops_err *reterr);
uint16_t ops_rpc_server_port(const ops_rpc_server *s);
/* No new calls; waits up to grace_ms for those under way, cancels the rest, waits until all are ended. Idempotent. */
void ops_rpc_server_stop(ops_rpc_server *s, unsigned grace_ms);
void ops_rpc_server_free(ops_rpc_server *s);
OPS_AUTO_DEFINE(ops_rpc_server, ops_rpc_server_free)

/* New connections use the new certificate and authority. PEM that does not read, a key that is not the certificate's, and a
 * client_ca where there was none (or none where there was one) are OPS_EINVAL and change nothing. @thread any */
OPS_MUST_USE ops_status ops_rpc_server_reload_tls(ops_rpc_server *s, const ops_rpc_tls *tls, ops_err *reterr);
/* grpc.health.v1 of one service ("" is the server); all start as not serving. @thread any */
void ops_rpc_server_set_serving(ops_rpc_server *s, const char *service, bool serving);
unsigned ops_rpc_server_calls(ops_rpc_server *s); /* under way */

/* --- a call --- @thread any, unless said otherwise */
ops_rpc_call *ops_rpc_call_ref(ops_rpc_call *c);
void ops_rpc_call_unref(ops_rpc_call *c);
void ops_rpc_call_set_user(ops_rpc_call *c, void *user); /* from a callback of the call */
void *ops_rpc_call_user(const ops_rpc_call *c);
const ops_rpc_identity *ops_rpc_call_identity(const ops_rpc_call *c);
/* "ipv4:127.0.0.1:50211"; the call's. */
const char *ops_rpc_call_peer(const ops_rpc_call *c);
/* A request header; .p NULL when absent. Lives as long as the call. */
ops_slice ops_rpc_call_metadata(const ops_rpc_call *c, const char *key);
/* Milliseconds until the client gives up; INT64_MAX for never. */
int64_t ops_rpc_call_left_ms(const ops_rpc_call *c);
bool ops_rpc_call_is_cancelled(ops_rpc_call *c);

/* Queues a message of a stream; copied. OPS_EAGAIN: the queue is full, writable() comes; OPS_ECANCELLED: nobody listens. */
OPS_MUST_USE ops_status ops_rpc_send(ops_rpc_call *c, ops_slice msg);
/* Goes on reading after message() returned false. */
void ops_rpc_read(ops_rpc_call *c);
/* Ends a unary call with its answer (copied). */
void ops_rpc_reply(ops_rpc_call *c, ops_slice msg);
/* Ends the call after what is queued; details may be NULL. message is for people and copied. */
void ops_rpc_finish(ops_rpc_call *c, ops_status st, const char *message, const ops_rpc_details *details);

#endif
