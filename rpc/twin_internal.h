/* The twin's insides. Private to rpc/twin*.c.
 *
 * A call is one object that both sides look at under the host's lock. `holders` keeps its memory: the list of live calls
 * counts as one until the server's side is over, the client as one until it lets go. base.refs are the server's side alone:
 * the handler's, ended by finish, and the twin's own, given up by the host's thread once the call is finished. */
#ifndef OPS_RPC_TWIN_INTERNAL_H
#define OPS_RPC_TWIN_INTERNAL_H

#include "base/sched/thread.h"
#include "rpc/internal.h"
#include "rpc/twin.h"

enum { TWIN_WINDOW = 16 }; /* messages of a client that may wait for the handler */

typedef struct twin_message {
    struct twin_message *next;
    size_t n;
    char bytes[];
} twin_message;

typedef struct twin_queue {
    twin_message *head, **tail;
    size_t count, bytes;
} twin_queue;

typedef struct twin_host {
    ops_rpc_server base;
    ops_thread *thread;
    pthread_mutex_t lock; /* everything below, and every call */
    pthread_cond_t changed;
    struct twin_call *first, **last;
    size_t live; /* server sides that are not over */
    bool ending;
} twin_host;

typedef struct twin_call {
    ops_rpc_call base;
    twin_host *host;
    struct twin_call *next;
    unsigned holders;
    char *path, *authorization;
    int64_t deadline_ns; /* monotonic; INT64_MAX: none */
    size_t reply_bytes_max;
    twin_queue in, out;
    twin_message *held; /* the request of a unary call or server stream, until the call is over */
    /* the server's side */
    bool admitted, reading, half_told, cancel_told, want_writable, finishing, let_go, over;
    int code;
    char *message;
    twin_message *details;
    /* the client's side */
    bool send_closed, closed; /* closed: it gave up, or was given up: closed_code says why */
    int closed_code;
    ops_rpc_told told; /* of a unary call */
    void *told_u;
} twin_call;

twin_message *twin_message_of(ops_slice s);
void twin_queue_init(twin_queue *q);
bool twin_put(twin_queue *q, ops_slice s);
twin_message *twin_take(twin_queue *q);
void twin_drop(twin_queue *q);

int64_t twin_now_ns(void);
/* Joins the host; takes c->holders = 2. Under the lock. A host that stops gives it up at once. */
void twin_call_begin(twin_host *h, twin_call *c);
/* The client, or time, or the host gives it up. Under the lock. */
void twin_call_close(twin_call *c, int code);
/* One holder less. Under the lock. */
void twin_call_release(twin_call *c);
/* How it ended for the client; OPS_OK too. Under the lock. */
ops_status twin_call_ending(const twin_call *c, ops_rpc_details *ret_details, ops_err *reterr);
/* Ended for the client once it has read what is queued. */
static inline bool twin_call_ended(const twin_call *c)
{
    return c->closed || c->finishing;
}
/* Waits for a change, until a monotonic time. Under the lock. */
void twin_wait(twin_host *h, int64_t until_ns);
extern const rpc_transport twin_transport;

#endif
