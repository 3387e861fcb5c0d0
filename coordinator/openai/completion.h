/* Requests for text: https://platform.openai.com/docs/api-reference/chat/create and .../completions/create. What this server
 * can not do is refused by its name, never passed over in silence; unknown fields are ignored. @thread any */
#ifndef OPS_COORDINATOR_OPENAI_COMPLETION_H
#define OPS_COORDINATOR_OPENAI_COMPLETION_H

#include "coordinator/generate/ask.h"

typedef struct ops_completion {
    ops_ask ask;
    bool chat; /* else a text to go on with */
    bool stream, stream_usage;
    bool one_call; /* no parallel_tool_calls */
} ops_completion;

/* `ret_param`: where it is wrong, "messages[2].content"; "" when the request as a whole is. OPS_EINVAL, OPS_ETOOBIG,
 * OPS_ENOMEM; OPS_EUNIMPL: a field that is not served. */
OPS_MUST_USE ops_status ops_completion_read(ops_slice body, bool chat, ops_completion **ret,
                                            char ret_param[OPS_FIELD_PLACE_MAX], ops_err *reterr);
void ops_completion_free(ops_completion *c);
OPS_AUTO_DEFINE(ops_completion, ops_completion_free)

#endif
