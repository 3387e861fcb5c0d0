/* Conversations as prompts, the way a model was trained to see them. The chat template that comes with a model is a Jinja
 * program; it is not run but recognised by what it writes, and rendered natively: ChatML (Qwen, SmolLM and kin), Llama 3,
 * Gemma, Mistral. A template of another family, or with features that are not built, is refused by name.
 *
 * A prompt is text and control tokens in turn. Only the template makes control tokens: "<|im_end|>" inside a message, a
 * tool's description, arguments or answer stays ordinary text. Messages are cleaned as ops_tokenizer_encode() cleans texts.
 *
 * Tools: definitions, calls and answers are rendered as the model's own template renders them (ops_chat_native_tools()); where
 * it has no tools, a preface in the system message (or the first of the user, where there is none) describes them in the
 * form of Qwen, calls stand in what the assistant said and answers in a turn of the user. JSON is written as the templates'
 * own tojson does; numbers stay as they were given. @thread a chat never changes once made */
#ifndef OPS_WORKER_CHAT_H
#define OPS_WORKER_CHAT_H

#include "worker/model/tokenizer.h"

enum {
    OPS_CHAT_TEMPLATE_MAX = 256 << 10,
    OPS_CHAT_MESSAGES_MAX = 4096,
    OPS_CHAT_TOOLS_MAX = 128,      /* definitions, and calls of one message */
    OPS_CHAT_TOOL_NAME_MAX = 128,  /* bytes: letters, digits, and _ - . : / */
    OPS_CHAT_PROMPT_MAX = 32 << 20 /* bytes of a prompt */
};

typedef enum ops_chat_role {
    OPS_CHAT_SYSTEM,
    OPS_CHAT_USER,
    OPS_CHAT_ASSISTANT,
    OPS_CHAT_TOOL
} ops_chat_role;

typedef struct ops_chat_call {
    ops_slice id;
    ops_slice name;
    ops_slice arguments; /* a JSON object; empty: {} */
} ops_chat_call;

typedef struct ops_chat_message {
    ops_chat_role role;
    ops_slice text;
    const ops_chat_call *calls; /* of an assistant, after its text */
    size_t n_calls;
    ops_slice
        call_id; /* of a tool: the call it answers. Mistral's are 9 letters and digits; others are mapped to such */
} ops_chat_message;

typedef struct ops_chat_tool {
    ops_slice name;
    ops_slice description; /* empty: none */
    ops_slice parameters;  /* JSON Schema, an object; empty: none */
} ops_chat_tool;

typedef struct ops_chat_options {
    bool answer;      /* end with the start of an assistant's turn (add_generation_prompt) */
    bool no_thinking; /* Qwen 3: with an empty block of thoughts (enable_thinking=False) */
    ops_slice date;   /* Llama 3.1 and later: "26 Jul 2024" where p is NULL */
    const ops_chat_tool *tools;
    size_t n_tools;
    bool
        call; /* with `answer`: ... and with what a call begins with, so that the answer can only be one. Llama has nothing */
    ops_slice call_name; /* with `call`: of this tool. Written, and needed, by OPS_CHAT_CALLS_ARGS alone */
} ops_chat_options;

typedef struct ops_chat_span {
    size_t at, n; /* bytes of ops_chat_prompt.text */
    bool control; /* the name of a control token */
} ops_chat_span;

typedef struct ops_chat_prompt {
    ops_strbuf text; /* what the template writes */
    ops_chat_span *span;
    size_t n, cap;
} ops_chat_prompt;

typedef struct ops_chat ops_chat;

/* Recognises a template. bos and eos: names of those tokens, which templates write. OPS_EUNIMPL says what is not built;
 * OPS_ETOOBIG; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_chat_new(ops_slice jinja, ops_slice bos, ops_slice eos, ops_chat **ret,
                                     ops_err *reterr);
/* The template of a GGUF file (tokenizer.chat_template): OPS_ENOTFOUND when it brings none. */
OPS_MUST_USE ops_status ops_chat_from_gguf(const ops_gguf *g, const ops_tokenizer *t, ops_chat **ret,
                                           ops_err *reterr);
void ops_chat_free(ops_chat *c);
OPS_AUTO_DEFINE(ops_chat, ops_chat_free)
const char *ops_chat_name(const ops_chat *c); /* "chatml", "llama3", "gemma", "mistral" */

/* How a call looks in an answer. A is the arguments' JSON object. */
typedef enum ops_chat_calls {
    OPS_CHAT_CALLS_TAGGED, /* <tool_call>\n{"name": "N", "arguments": A}\n</tool_call>, each */
    OPS_CHAT_CALLS_OBJECT, /* {"name": "N", "parameters": A}, the whole answer */
    OPS_CHAT_CALLS_LIST,   /* [TOOL_CALLS][{"name": "N", "arguments": A}, ...], the mark a control token */
    OPS_CHAT_CALLS_ARGS /* [TOOL_CALLS]N[ARGS]A, the marks control tokens; [CALL_ID] and an id may stand before [ARGS] */
} ops_chat_calls;
ops_chat_calls ops_chat_calls_form(const ops_chat *c);
/* OPS_EINVAL, OPS_ETOOBIG: the name or the parameters, with the reason. */
OPS_MUST_USE ops_status ops_chat_tool_check(const ops_chat_tool *t, ops_err *reterr);
bool ops_chat_native_tools(const ops_chat *c); /* the template itself describes tools */

void ops_chat_prompt_init(ops_chat_prompt *p);
void ops_chat_prompt_done(ops_chat_prompt *p);
/* OPS_EINVAL: the template refuses this order of roles, with its reason, or a tool's or call's name or JSON is none, named;
 * OPS_ETOOBIG; OPS_ENOMEM. *out is empty after a failure. */
OPS_MUST_USE ops_status ops_chat_render(const ops_chat *c, const ops_chat_message *m, size_t n,
                                        ops_chat_options options, ops_chat_prompt *out, ops_err *reterr);
/* Appends the ids. OPS_ECORRUPT: the vocabulary lacks a control token of the template; others as ops_tokenizer_encode(). */
OPS_MUST_USE ops_status ops_chat_encode(const ops_chat_prompt *p, const ops_tokenizer *t, ops_tokens *out,
                                        ops_err *reterr);

#endif
