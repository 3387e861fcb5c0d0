/* A verb's options and its connection to a daemon.
 *
 * Options come from flags, OPSCTL_* variables and ~/.config/opsctl/config.yaml, in this order of strength. */
#ifndef OPS_OPSCTL_REMOTE_H
#define OPS_OPSCTL_REMOTE_H

#include <protobuf-c/protobuf-c.h>

#include "base/conf/conf.h"
#include "opsctl/print/print.h"
#include "opsctl/verb.h"
#include "rpc/client.h"

/* Options that every remote verb has; a verb's own follow from REMOTE_OPTIONS on. */
enum {
    REMOTE_SERVER,
    REMOTE_TOKEN,
    REMOTE_TOKEN_FILE,
    REMOTE_CA,
    REMOTE_CERT,
    REMOTE_KEY,
    REMOTE_TLS_NAME,
    REMOTE_TIMEOUT,
    REMOTE_OUTPUT,
    REMOTE_LANG,
    REMOTE_OPTIONS
};
enum { REMOTE_OWN_MAX = 16 };

typedef struct ops_remote {
    ops_verb_ctx *ctx;
    ops_conf_row rows[REMOTE_OPTIONS + REMOTE_OWN_MAX];
    ops_conf *conf;
    ops_rpc_channel *channel;
    ops_print_mode mode;
    bool zh, colour;
} ops_remote;

/* Reads the options and dials; words that are no flags stay in ctx->argv. `own` may be NULL. */
OPS_MUST_USE ops_status ops_remote_open(ops_verb_ctx *ctx, const ops_conf_row *own, size_t own_count,
                                        ops_remote *ret, ops_err *reterr);
/* Options only. */
OPS_MUST_USE ops_status ops_remote_options(ops_verb_ctx *ctx, const ops_conf_row *own, size_t own_count,
                                           ops_remote *ret, ops_err *reterr);
/* A channel to another port of the daemon, with the same token and TLS; the caller's. */
OPS_MUST_USE ops_status ops_remote_dial(const ops_remote *r, const char *target, ops_rpc_channel **ret,
                                        ops_err *reterr);
void ops_remote_close(ops_remote *r);

/* One unary call; *ret is freed with protobuf_c_message_free_unpacked. */
OPS_MUST_USE ops_status ops_remote_call(ops_remote *r, const char *path, const ProtobufCMessage *req,
                                        const ProtobufCMessageDescriptor *type, ProtobufCMessage **ret,
                                        ops_err *reterr);
/* Sends `req` on a new server stream. */
OPS_MUST_USE ops_status ops_remote_stream(ops_remote *r, const char *path, const ProtobufCMessage *req,
                                          ops_rpc_stream **ret, ops_err *reterr);
/* The next message; *ret NULL at the end. */
OPS_MUST_USE ops_status ops_remote_next(ops_rpc_stream *st, const ProtobufCMessageDescriptor *type,
                                        ProtobufCMessage **ret, ops_err *reterr);
/* What the user's own configuration file is called; "" when there is no home. */
void ops_remote_config_path(char *buf, size_t max);

#endif
