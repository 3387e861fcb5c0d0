/* The worker's side of one WorkerService.Attach stream, whatever carries it: says hello, takes tasks to the runner, answers,
 * sends heartbeats, loads models, drains. Messages are those of ops/v1/worker.proto. */
#ifndef OPS_WORKER_SESSION_H
#define OPS_WORKER_SESSION_H

#include <stdint.h>

#include "base/status/status.h"
#include "proto/ops/v1/worker.pb-c.h"
#include "worker/serve/runner.h"

enum { OPS_SESSION_CREDITS_DEFAULT = 4096, OPS_SESSION_TASKS_MAX = 256, OPS_SESSION_ERRANDS_MAX = 16 };

typedef struct ops_session ops_session;

/* How messages leave. `send` may be called from any thread, also while another call of it runs, and must not block;
 * what it is given is borrowed. Not OPS_OK: the stream is of no use, the session closes it. `close` comes once, after
 * ops_session_ended() and when no `send` runs or will: then ctx may go. */
typedef struct ops_session_wire {
    ops_status (*send)(void *ctx, const Ops__V1__WorkerMessage *message);
    void (*hang_up)(void *ctx, ops_status why,
                    const char *message); /* please end the stream; ops_session_ended() follows */
    void (*close)(void *ctx);
    void *ctx;
    bool (*behind)(
        void *
            ctx); /* many messages wait to leave: pieces of answers are gathered. NULL: never; called as `send` */
} ops_session_wire;

typedef struct ops_session_conf {
    const char *worker_id;         /* 1 to 127 bytes of UTF-8 */
    Ops__V1__WorkClass work_class; /* UNSPECIFIED: every class on one stream, in the same process only */
    uint32_t credits; /* beside what the caches of its models hold; 0: OPS_SESSION_CREDITS_DEFAULT */
} ops_session_conf;

/* Sends the hello, and again what models there are when they change. `runner` must outlive the close. OPS_EINVAL, OPS_ENOMEM, or what `send` said; then nothing of the wire
 * will be called any more. */
OPS_MUST_USE ops_status ops_session_new(ops_runner *runner, const ops_session_conf *conf,
                                        const ops_session_wire *wire, ops_session **ret, ops_err *reterr);
/* A message from the coordinator; does not block. OPS_EINVAL: the stream shall end with it. @thread one at a time */
OPS_MUST_USE ops_status ops_session_received(ops_session *s, const Ops__V1__CoordinatorMessage *m,
                                             ops_err *reterr);
/* Sends a heartbeat when one is due; returns in how many ms to call again. @thread any */
int64_t ops_session_tick(ops_session *s, int64_t now_ms);
/* No new tasks, please; what runs is still answered. True when nothing runs any more. @thread any */
bool ops_session_drain(ops_session *s, const char *reason);
/* The stream is over: jobs are cancelled, nothing is sent. The session frees itself when the last job is back; do not
 * touch it afterwards, and let none of the calls above run meanwhile. @thread any */
void ops_session_ended(ops_session *s);

#endif
