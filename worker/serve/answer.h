/* Pieces of an answer as messages: gathered until they shall be told, with the bytes of their tokens; calls of tools are
 * found among them. @thread one at a time */
#ifndef OPS_WORKER_ANSWER_H
#define OPS_WORKER_ANSWER_H

#include "base/text/strbuf.h"
#include "proto/ops/v1/generate.pb-c.h"
#include "worker/engine/tools.h"
#include "worker/serve/writer.h"

enum {
    OPS_ANSWER_TEXT_MAX = 16 << 10, /* bytes and tokens that are gathered at most, beside one piece */
    OPS_ANSWER_TOKENS_MAX = 256
};

typedef struct ops_answer {
    const ops_writer *writer; /* knows the bytes of tokens; may be gone when nothing is gathered */
    bool logprobs, together;  /* together: told when it is much or at the end, else piece by piece */
    uint32_t n_top;
    ops_strbuf text;
    ops_sample_choice *choices; /* (1 + n_top) a token */
    size_t tokens;
    ops_tool_finder *finder; /* NULL: no tools */
    ops_strbuf calls;        /* id, name and arguments of each, each with a NUL behind it */
    size_t n_calls;
    bool failed; /* a piece was lost: the heap is out */
} ops_answer;

void ops_answer_init(ops_answer *a, const Ops__V1__GenerateTask *task);
void ops_answer_done(ops_answer *a);

/* Takes a piece in; true: now it should be told. `behind`: whoever is told has enough to read, so gather as if together. */
bool ops_answer_add(ops_answer *a, const ops_generator_piece *piece, bool behind);
/* Looks for calls of the plan's tools from here on. OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_answer_find_calls(ops_answer *a, const ops_tools_plan *plan, ops_err *reterr);
/* The answer is whole: what might have been a call comes out. True: it called tools. */
bool ops_answer_end(ops_answer *a);
/* Tells what is gathered, when there is something, and forgets it. */
void ops_answer_tell(ops_answer *a, void (*tell)(void *ctx, const Ops__V1__GenerateDelta *delta), void *ctx);

#endif
