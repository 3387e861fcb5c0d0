/* Is there a worker for a request? Private to coordinator/api. */
#ifndef OPS_MODEL_LIST_H
#define OPS_MODEL_LIST_H

#include "coordinator/api/model_internal.h"

/* `name` empty: any that does the job ("embed", "generate"). OPS_ENOTFOUND: others are there, this is not; OPS_EUNAVAILABLE: none
 * does the job. */
OPS_MUST_USE ops_status model_served(ops_dispatch *d, const char *job, const char *name, ops_err *reterr);

#endif
