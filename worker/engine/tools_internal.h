#ifndef OPS_WORKER_TOOLS_INTERNAL_H
#define OPS_WORKER_TOOLS_INTERNAL_H

#include "base/coll/vec.h"
#include "base/mem/arena.h"
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

/* --- calls that were found (tools_call.c) --- */
enum { OPS_TOOLS_NO_TOOL = -1 };
typedef struct ops_tools_calls {
    ops_slice *names; /* [n_names], in `texts` */
    size_t n_names;
    ops_strbuf texts;
    bool whole;                   /* OBJECT: without arguments it is none */
    OPS_VEC(ops_tool_call) found; /* since the last forget */
    size_t before;                /* and before it */
    ops_arena arguments;          /* of those in `found` */
    bool failed;                  /* the heap was out; sticks */
} ops_tools_calls;

bool ops_tools_calls_init(ops_tools_calls *c, ops_chat_calls form, const ops_tools_plan *p);
void ops_tools_calls_done(ops_tools_calls *c); /* after an init that failed, too */
void ops_tools_calls_forget(ops_tools_calls *c);
bool ops_tools_calls_any(const ops_tools_calls *c);
int ops_tools_tool_of(const ops_tools_calls *c, ops_slice name);
/* An object or array that ended well: all of it calls, or none is found and false. `named`: the tool whose arguments it is, or
 * OPS_TOOLS_NO_TOOL. */
bool ops_tools_calls_read(ops_tools_calls *c, int named, ops_slice json);

#endif
