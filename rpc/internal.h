/* What transports share: the method table, admission, and the part of a call that does not know how bytes travel.
 * Private to rpc. */
#ifndef OPS_RPC_INTERNAL_H
#define OPS_RPC_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/coll/map.h"
#include "base/coll/vec.h"
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
