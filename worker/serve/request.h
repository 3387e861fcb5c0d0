/* From ops.v1.GenerateTask to what worker/engine/generator.h wants. A request that a client may write is checked here as
 * far as the generator does not; both name the field. */
#ifndef OPS_WORKER_REQUEST_H
#define OPS_WORKER_REQUEST_H

#include "proto/ops/v1/generate.pb-c.h"
#include "worker/engine/tools.h"
#include "worker/serve/writer.h"

/* Borrows from the task, beside its own arrays. */
typedef struct ops_request {
    ops_generator_request to;
    ops_tools_plan plan; /* of no tools where the task has none */
    void *block;
} ops_request;

/* Sets what the task says of the request; line, deadline and callbacks are the caller's to set. OPS_EINVAL names the field;
 * OPS_EUNIMPL: tools, of a model that takes prompts only, or as worker/engine/tools.h says; OPS_ETOOBIG; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_request_read(const Ops__V1__GenerateTask *task, const ops_writer *writer,
                                         ops_request *ret, ops_err *reterr);
/* Random bits, for seeds and ids. */
uint64_t ops_request_draw(void);
void ops_request_done(ops_request *r);

#endif
