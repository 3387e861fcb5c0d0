/* The key that a line's message names its session by: the value after a request's, trace's, correlation's, transaction's,
 * job's, task's or session's id, as `request_id=9f2c`, `"traceId": "9f2c"` or `X-Request-ID: 9f2c`. The first one counts. */
#ifndef OPS_ANALYSIS_SESSION_KEY_H
#define OPS_ANALYSIS_SESSION_KEY_H

#include <stdbool.h>

#include "base/text/slice.h"

enum {
    OPS_SESSION_KEY_LOOK_MAX = 1024,
    OPS_SESSION_KEY_MAX = 128
}; /* bytes of the message looked at; of a key */

/* `name` is, or ends in, the name of such an id. */
bool ops_session_key_name(ops_slice name);
/* Points into the message; empty when it names none. */
ops_slice ops_session_key(ops_slice message);

#endif
