/* What `opsctl get workers` shows: the dispatch's snapshot as messages of ops/v1/cluster.proto. */
#ifndef OPS_OPSD_WORKERS_H
#define OPS_OPSD_WORKERS_H

#include "base/status/status.h"
#include "coordinator/dispatch/dispatch.h"
#include "proto/ops/v1/cluster.pb-c.h"

/* One message per attachment, in order of attaching; fields are borrowed until fn returns, false ends the walk. The id is
 * the worker's, with "/interactive", "/triage" or "/bulk" behind it when the attachment serves one class only.
 * OPS_ENOMEM. @thread any */
OPS_MUST_USE ops_status ops_workers_tell(ops_dispatch *d, bool (*fn)(void *u, const Ops__V1__Worker *m),
                                         void *u, ops_err *reterr);

#endif
