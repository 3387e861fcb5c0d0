/* What transports share: the method table, admission, and the part of a call that does not know how bytes travel.
 * Private to rpc. */
#ifndef OPS_RPC_INTERNAL_H
#define OPS_RPC_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "rpc/client.h"
#include "rpc/server.h"

enum { RPC_DETAILS_BYTES_MAX = 4096, RPC_MESSAGE_TEXT_MAX = 512 };

/* How a call's bytes travel. */
typedef struct rpc_transport {
    ops_status (*send)(ops_rpc_call *c, ops_slice msg);
    void (*read)(ops_rpc_call *c);
    /* Exactly once: `reply` (.p NULL: none) goes out first, then the status. The handler's reference is gone after it. */
    void (*finish)(ops_rpc_call *c, int code, const char *message, ops_slice details, ops_slice reply);
    ops_slice (*metadata)(const ops_rpc_call *c, const char *key);
    int64_t (*left_ms)(const ops_rpc_call *c);
    bool (*is_cancelled)(ops_rpc_call *c);
    void (*destroy)(ops_rpc_call *c); /* last reference gone */
} rpc_transport;

/* Methods, admission and health of one server. */
typedef struct rpc_table {
    ops_rpc_server_conf conf;
    ops_map *methods; /* path -> const ops_rpc_method */
    ops_map *serving; /* service -> rpc_health_entry */
    pthread_mutex_t health_lock;
    atomic_uint calls; /* under way */
    struct rpc_reflection *reflection;
    OPS_VEC(ops_rpc_call *) watchers; /* of health, each with a reference */
} rpc_table;

struct ops_rpc_call {
    const rpc_transport *transport;
    rpc_table *table;
    const ops_rpc_method *method;
    atomic_int refs;
    atomic_bool ended; /* finish was asked for */
    ops_rpc_identity identity;
    void *user;
    char *peer;
};

/* What a transport does for a server. */
typedef struct rpc_server_ops {
    ops_status (*start)(ops_rpc_server *s, ops_err *reterr);
    void (*stop)(ops_rpc_server *s, unsigned grace_ms); /* of a started one, once */
    void (*free)(ops_rpc_server *s);                    /* stopped, or never started; ends the table too */
    ops_status (*reload_tls)(ops_rpc_server *s, const ops_rpc_tls *tls, ops_err *reterr);
} rpc_server_ops;

/* First member of each transport's own. */
struct ops_rpc_server {
    const rpc_server_ops *ops;
    rpc_table table;
    uint16_t port;
    bool started, stopped;
    atomic_bool stopping;
};

typedef struct rpc_channel_ops {
    ops_status (*unary_async)(ops_rpc_channel *ch, const char *path, ops_slice req, int64_t timeout_ms,
                              ops_rpc_told told, void *u, ops_err *reterr);
    ops_status (*stream_open)(ops_rpc_channel *ch, const char *path, int64_t timeout_ms, ops_rpc_stream **ret,
                              ops_err *reterr);
    void (*free)(ops_rpc_channel *ch);
} rpc_channel_ops;
struct ops_rpc_channel {
    const rpc_channel_ops *ops;
};

typedef struct rpc_stream_ops {
    ops_status (*send)(ops_rpc_stream *st, ops_slice msg, ops_err *reterr);
    ops_status (*close_send)(ops_rpc_stream *st, ops_err *reterr);
    ops_status (*recv)(ops_rpc_stream *st, int64_t wait_ms, ops_strbuf *ret, bool *ret_end, ops_err *reterr);
    void (*cancel)(ops_rpc_stream *st);
    void (*free)(ops_rpc_stream *st);
} rpc_stream_ops;
struct ops_rpc_stream {
    const rpc_stream_ops *ops;
};

/* pem.c: do certificate, key and authority read, and belong together? OPS_EINVAL says which does not. `whole`: a
 * certificate and its key must be there (servers); else both or none (clients). */
ops_status rpc_pem_check(const ops_rpc_tls *tls, bool whole, ops_err *reterr);

ops_status rpc_table_init(rpc_table *t, const ops_rpc_server_conf *conf, ops_err *reterr);
void rpc_table_done(rpc_table *t);
ops_status rpc_table_add(rpc_table *t, const ops_rpc_method *m, ops_err *reterr);
/* Which method, and may it be called? On OPS_OK the call counts as under way and c->method and identity are set. */
ops_status rpc_table_admit(rpc_table *t, ops_rpc_call *c, ops_slice path, ops_slice authorization,
                           ops_rpc_details *ret_details, ops_err *reterr);
/* The call's last words: frees what the handler left, counts it out. From the transport's destroy. */
void rpc_call_over(ops_rpc_call *c);
/* Ends a call that was not admitted. */
void rpc_call_refuse(ops_rpc_call *c, ops_status st, const char *message, const ops_rpc_details *details);

/* health.c: grpc.health.v1.Health */
ops_status rpc_health_add(rpc_table *t, ops_err *reterr);
void rpc_health_set(rpc_table *t, const char *service, bool serving);
void rpc_health_done(rpc_table *t);

/* reflection.c: grpc.reflection.v1 and v1alpha */
ops_status rpc_reflection_add(rpc_table *t, ops_err *reterr);
void rpc_reflection_free(struct rpc_reflection *r);

#endif
