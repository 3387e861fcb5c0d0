#ifndef OPS_WORKER_TOOLS_INTERNAL_H
#define OPS_WORKER_TOOLS_INTERNAL_H

#include "worker/engine/tools.h"

typedef enum ops_tools_mark {
    OPS_TOOLS_OPEN,
    OPS_TOOLS_CLOSE, /* TAGGED */
    OPS_TOOLS_ID,    /* ARGS */
    OPS_TOOLS_ARGS,
    OPS_TOOLS_MARKS
} ops_tools_mark;

ops_slice ops_tools_mark_text(ops_chat_calls form, ops_tools_mark m); /* empty: the form has none */
/* The id of a mark that is a control token, -1 where it is text. */
int32_t ops_tools_mark_id(ops_chat_calls form, ops_tools_mark m, const ops_tokenizer *t);

#endif
