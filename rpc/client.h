/* A gRPC client: calls that wait, calls that tell, streams. @thread any; a stream: one sender and one receiver */
#ifndef OPS_RPC_CLIENT_H
#define OPS_RPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/strbuf.h"
#include "rpc/server.h"

typedef struct ops_rpc_channel ops_rpc_channel;
typedef struct ops_rpc_stream ops_rpc_stream;

typedef struct ops_rpc_channel_conf {
    const char *target; /* "127.0.0.1:7443" */
    const char *bearer; /* token; NULL: none */
    const ops_rpc_tls
        *tls; /* cert and key: ours, may be NULL; client_ca: what signs the server's. NULL: plain */
    const char *server_name;  /* expected in the server's certificate; NULL: from the target */
    size_t message_bytes_max; /* default 64 MiB */
} ops_rpc_channel_conf;

/* Connects at the first call, and again when the connection breaks. */
OPS_MUST_USE ops_status ops_rpc_channel_new(const ops_rpc_channel_conf *conf, ops_rpc_channel **ret,
                                            ops_err *reterr);
/* Every call and stream must be over. */
void ops_rpc_channel_free(ops_rpc_channel *ch);
OPS_AUTO_DEFINE(ops_rpc_channel, ops_rpc_channel_free)

/* Waits for the answer, appended to *ret. Failures carry the server's message in reterr and its details in *ret_details (may
 * be NULL). OPS_ETIMEOUT after timeout_ms, OPS_EUNAVAILABLE when nobody answers. */
OPS_MUST_USE ops_status ops_rpc_unary(ops_rpc_channel *ch, const char *path, ops_slice req,
                                      int64_t timeout_ms, ops_strbuf *ret, ops_rpc_details *ret_details,
                                      ops_err *reterr);

/* Tells on the channel's thread, once; must not block. Slices live until it returns. */
typedef struct ops_rpc_answer {
    ops_status st;
    ops_slice reply;
    const char *message;
    ops_rpc_details details;
} ops_rpc_answer;
typedef void (*ops_rpc_told)(void *u, const ops_rpc_answer *a);
OPS_MUST_USE ops_status ops_rpc_unary_async(ops_rpc_channel *ch, const char *path, ops_slice req,
                                            int64_t timeout_ms, ops_rpc_told told, void *u, ops_err *reterr);

/* timeout_ms of the whole stream; negative: none. */
OPS_MUST_USE ops_status ops_rpc_stream_open(ops_rpc_channel *ch, const char *path, int64_t timeout_ms,
                                            ops_rpc_stream **ret, ops_err *reterr);
/* Waits until the transport took it. OPS_ECANCELLED: the stream is over; ask ops_rpc_stream_recv why. */
OPS_MUST_USE ops_status ops_rpc_stream_send(ops_rpc_stream *st, ops_slice msg, ops_err *reterr);
OPS_MUST_USE ops_status ops_rpc_stream_close_send(ops_rpc_stream *st, ops_err *reterr);
/* The next message, appended to *ret; *ret_end: the server ended the stream well. OPS_ETIMEOUT: none came within wait_ms
 * (negative: wait for ever), nothing is lost. Anything else is how the stream ended. */
OPS_MUST_USE ops_status ops_rpc_stream_recv(ops_rpc_stream *st, int64_t wait_ms, ops_strbuf *ret,
                                            bool *ret_end, ops_err *reterr);
void ops_rpc_stream_cancel(ops_rpc_stream *st); /* @thread any */
/* Cancels what is still open. */
void ops_rpc_stream_free(ops_rpc_stream *st);
OPS_AUTO_DEFINE(ops_rpc_stream, ops_rpc_stream_free)

#endif
