/* One answer between two threads: one asks and waits, another gives, whoever lets go last frees it. So a caller that stops
 * waiting leaves nothing behind. */
#ifndef OPS_BASE_REPLY_H
#define OPS_BASE_REPLY_H

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/strbuf.h"

typedef struct ops_reply ops_reply;

/* One reference. bytes_max bounds what `ops_reply_out` takes. */
OPS_MUST_USE ops_status ops_reply_new(size_t bytes_max, ops_reply **ret, ops_err *reterr);
ops_reply *ops_reply_ref(ops_reply *r);
void ops_reply_unref(ops_reply *r); /* NULL is fine */
OPS_AUTO_DEFINE(ops_reply, ops_reply_unref)

/* What comes with the answer: the giver's until it is given, then the asker's. */
ops_strbuf *ops_reply_out(ops_reply *r);
/* Once. `err` (may be NULL) is copied. @thread the giver's */
void ops_reply_give(ops_reply *r, ops_status st, const ops_err *err);
/* What was given, or OPS_ETIMEOUT. @thread the asker's */
OPS_MUST_USE ops_status ops_reply_wait(ops_reply *r, int64_t timeout_ms, ops_err *reterr);

#endif
