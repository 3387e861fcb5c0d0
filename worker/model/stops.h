/* Stop texts: what ends an answer and is no part of it. Pure. @thread any */
#ifndef OPS_WORKER_STOPS_H
#define OPS_WORKER_STOPS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status/status.h"
#include "base/text/slice.h"

enum { OPS_STOPS_MAX = 16, OPS_STOP_BYTES_MAX = 256 };

/* OPS_EINVAL: too many, an empty one, one that is too long. */
OPS_MUST_USE ops_status ops_stops_check(const ops_slice *stop, size_t n, ops_err *reterr);
/* How many bytes of a text that is still growing can be shown: up to the first stop text (*ret_stopped), or else up to where
 * something begins that may become one. */
size_t ops_stops_shown(ops_slice text, const ops_slice *stop, size_t n, bool *ret_stopped);

#endif
