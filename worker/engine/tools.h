/* Calls of tools: what makes a decoder write one, and finding them in what it writes. Pure: no device, no clock.
 *
 * A request with tools goes like this:
 *   ops_tools_plan_make()   what the choice asks for: of the prompt, and where calls are forced, of the answer's form
 *   ops_tool_finder_new()   one for each answer
 *   ops_generator_submit()  with tools, call and call_name of the plan, and its ebnf, where it has one, as OPS_GENERATOR_EBNF
 *   ops_tool_finder_put()   in `tell`: each piece's text and its token's id. What comes back can be shown at once
 *   ops_tool_finder_end()   in `done`. Where ops_tool_finder_calls() is not 0, the answer ended with calls
 * The calls of former answers and what came of them go back as ops_chat_message.calls and role OPS_CHAT_TOOL.
 *
 * Marks that are control tokens ([TOOL_CALLS] of Mistral, in some files <tool_call>) have no text: they are known by their
 * ids, and the generator gives all text that came before with them. */
#ifndef OPS_WORKER_TOOLS_H
#define OPS_WORKER_TOOLS_H

#include "worker/model/chat.h"

enum {
    OPS_TOOLS_CALL_BYTES_MAX = 256 << 10,     /* of one call (of a list of them); what is longer is text */
    OPS_TOOLS_CALLS_MAX = OPS_CHAT_TOOLS_MAX, /* of an answer; what comes after is text */
    OPS_TOOLS_EBNF_MAX = 8 << 20
};

typedef enum ops_tools_choice {
    OPS_TOOLS_AUTO,    /* text, calls, or both */
    OPS_TOOLS_NONE,    /* the prompt does not speak of tools */
    OPS_TOOLS_REQUIRED /* calls alone */
} ops_tools_choice;

typedef struct ops_tools_request {
    const ops_chat_tool *tools; /* [n] */
    size_t n;
    ops_tools_choice choice;
    ops_slice named; /* with REQUIRED: a call of this tool; empty: of any */
    bool parallel;   /* more than one call may come */
    bool strict;     /* with AUTO: a call that comes fits its tool's schema. REQUIRED is always so */
} ops_tools_request;

typedef struct ops_tools_plan {
    const ops_chat_tool *tools; /* for ops_chat_options: the request's, or none */
    size_t n_tools;
    bool call;
    ops_slice call_name; /* borrowed from the request */
    ops_strbuf ebnf;     /* as worker/grammar/grammar.h reads it; empty: any text */
} ops_tools_plan;

/* OPS_EINVAL: no such tool, two of one name, a name or parameters that are none, no tools where one is required; OPS_EUNIMPL:
 * the family's marks are control tokens, which no grammar can write, and stand where one would have to (AUTO and strict;
 * OPS_CHAT_CALLS_ARGS with several tools); OPS_ETOOBIG; OPS_ENOMEM. What a schema asks for and is not built is told when the
 * grammar is compiled, with the tool's name and the JSON pointer. *ret is empty after a failure. */
OPS_MUST_USE ops_status ops_tools_plan_make(const ops_chat *c, const ops_tokenizer *t,
                                            const ops_tools_request *q, ops_tools_plan *ret, ops_err *reterr);
void ops_tools_plan_done(ops_tools_plan *p);

typedef struct ops_tool_finder ops_tool_finder;

typedef struct ops_tool_call {
    ops_slice name; /* of a tool of the request */
    ops_slice
        arguments; /* a JSON object as the model wrote it; whether it fits the schema only a form ensures */
} ops_tool_call;

/* Borrowed until the next call of the finder. Text comes before the calls it was found with. */
typedef struct ops_tool_found {
    ops_slice text;
    const ops_tool_call *calls;
    size_t n_calls;
} ops_tool_found;

/* For the answer to a prompt of this plan. Copies what it needs. A plan without tools finds none. OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_tool_finder_new(const ops_chat *c, const ops_tokenizer *t,
                                            const ops_tools_plan *p, ops_tool_finder **ret, ops_err *reterr);
void ops_tool_finder_free(ops_tool_finder *f);
OPS_AUTO_DEFINE(ops_tool_finder, ops_tool_finder_free)
/* Whole UTF-8 as it comes, then the token it came with (-1: none). Held back: what may yet be a call, with the blanks before
 * it, OPS_TOOLS_CALL_BYTES_MAX at most. What turns out to be no call of a known tool, or broken JSON, is text, marks and all;
 * blanks around calls are part of them. OPS_ENOMEM: the finder is good for nothing more. */
OPS_MUST_USE ops_status ops_tool_finder_put(ops_tool_finder *f, int32_t id, ops_slice text,
                                            ops_tool_found *ret, ops_err *reterr);
/* The answer is over: what was held back. */
OPS_MUST_USE ops_status ops_tool_finder_end(ops_tool_finder *f, ops_tool_found *ret, ops_err *reterr);
size_t ops_tool_finder_calls(const ops_tool_finder *f); /* found so far */

#endif
