/* From ops.v1.GenerateTask to what worker/engine/generator.h wants. A request that a client may write is checked here as
 * far as the generator does not; both name the field. */
#ifndef OPS_WORKER_REQUEST_H
#define OPS_WORKER_REQUEST_H

#include "proto/ops/v1/generate.pb-c.h"
#include "worker/engine/generator.h"

/* Borrows from the task, beside its own arrays. */
typedef struct ops_request {
    ops_generator_request to;
    void *block;
} ops_request;

/* Sets what the task says of the request; line, deadline and callbacks are the caller's to set. OPS_EINVAL names the field;
 * OPS_EUNIMPL: tools; OPS_ETOOBIG; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_request_read(const Ops__V1__GenerateTask *task, ops_request *ret,
                                         ops_err *reterr);
void ops_request_done(ops_request *r);

#endif
