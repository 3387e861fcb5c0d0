/* rpc/twin.h: a server and its clients in one process, without sockets: for tests of what speaks through rpc/server.h and
 * rpc/client.h. It passes the conformance suite that gRPC core passes (tests/unit/rpc/rpc_test.c).
 *
 * One thread runs the handlers of all calls and tells asynchronous answers. `address`, `threads`, `keepalive_s` are not
 * looked at; a message is never compressed; the only header is the bearer token. TLS: OPS_EUNIMPL. */
#ifndef OPS_RPC_TWIN_H
#define OPS_RPC_TWIN_H

#include "rpc/client.h"
#include "rpc/server.h"

OPS_MUST_USE ops_status ops_rpc_twin_new(const ops_rpc_server_conf *conf, ops_rpc_server **ret,
                                         ops_err *reterr);
/* `server` is a twin's, and outlives the channel and its streams. Of conf: bearer and message_bytes_max. */
OPS_MUST_USE ops_status ops_rpc_twin_channel_new(ops_rpc_server *server, const ops_rpc_channel_conf *conf,
                                                 ops_rpc_channel **ret, ops_err *reterr);

#endif
