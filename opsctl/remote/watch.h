/* A watch from a revision: findings and incidents alike (their services' messages have the same fields). */
#ifndef OPS_OPSCTL_WATCH_H
#define OPS_OPSCTL_WATCH_H

#include "opsctl/remote/remote.h"

typedef struct ops_watch {
    const char *path;
    const ProtobufCMessageDescriptor *response; /* its first field is what changed, absent in a heartbeat */
    uint64_t from_revision, for_ms;             /* 0: all; for ever */
    const char *filter;
    bool until_first; /* end with the first */
    void (*show)(ops_remote *r, const ProtobufCMessage *m);
} ops_watch;

/* Until it is told to end, or the daemon ends it. */
OPS_MUST_USE ops_status ops_remote_watch(ops_remote *r, const ops_watch *w, ops_err *reterr);

#endif
