#ifndef OPS_WORKER_CHAT_INTERNAL_H
#define OPS_WORKER_CHAT_INTERNAL_H

#include "base/mem/arena.h"
#include "worker/model/chat.h"

typedef enum ops_chat_family {
    OPS_CHAT_CHATML,
    OPS_CHAT_LLAMA3,
    OPS_CHAT_GEMMA,
    OPS_CHAT_MISTRAL
} ops_chat_family;

typedef enum ops_chat_system { /* where a system message goes */
                               OPS_CHAT_OWN_TURN,
                               OPS_CHAT_REFUSED,
                               OPS_CHAT_FIRST_USER, /* before the first message of the user */
                               OPS_CHAT_LAST_USER   /* before the message that ends the conversation */
} ops_chat_system;

struct ops_chat {
    ops_chat_family family;
    ops_chat_system system;
    bool writes_bos;
    bool default_needed; /* without a system message the template writes one that depends on the day */
    bool tools;          /* calls and answers of tools as the template has them */
    bool describes;      /* ... and their definitions */
    bool calls_args;     /* Mistral: OPS_CHAT_CALLS_ARGS, not a list */
    bool call_ids;       /* ... with [CALL_ID], and the id before an answer */
    bool tools_first;    /* ... definitions after the system message, not before the last one of the user */
    bool says_and_calls; /* ... the text beside calls is written too */
    bool space_tools, space_calls, space_results; /* "[AVAILABLE_TOOLS] [" and so on */
    bool thinking;                                /* Qwen 3 */
    bool thinking_off;                            /* ... which can be told not to */
    bool dated;        /* Llama 3.1: the system turn has dates and is always there */
    bool alternates;   /* roles must alternate */
    bool space_before; /* Mistral: " [INST]" for "[INST]" */
    bool space_inside; /* "[INST] " */
    bool space_end;    /* " [/INST]" */
    bool space_answer; /* " " before what the assistant said */
    bool trim_answer;
    bool space_system;                /* "[SYSTEM_PROMPT] " */
    char *bos, *eos, *default_system; /* NULL: none */
    char *date;                       /* Llama 3.1: the date in the template */
};

/* --- writing (chat_out.c). A failure sticks --- */
typedef struct ops_chat_out {
    const ops_chat *c;
    ops_chat_prompt *p;
    ops_strbuf json; /* what is being put */
    bool failed;
} ops_chat_out;
void ops_chat_put(ops_chat_out *o, ops_slice s, bool control);
void ops_chat_mark(ops_chat_out *o, const char *name);
void ops_chat_text(ops_chat_out *o, const char *s);
/* The template's own words, in which the marks of tools are tokens where the model has them. */
void ops_chat_words(ops_chat_out *o, const char *s);
void ops_chat_object(ops_chat_out *o, ops_slice json); /* an object on one line; empty: {} */
void ops_chat_quoted(ops_chat_out *o, ops_slice s);    /* as a JSON string */
/* {"type": "function", "function": {...}} */
void ops_chat_tool_object(ops_chat_out *o, const ops_chat_tool *t, unsigned indent);
void ops_chat_tool_json(ops_strbuf *out, const ops_chat_tool *t, unsigned indent);

/* --- tools of the families (chat_tools.c) --- */
/* What the templates say in words; by these a template is known to say them. */
#define OPS_CHAT_QWEN_USE  "You may call one or more functions to assist with the user query."
#define OPS_CHAT_QWEN_LIST "You are provided with function signatures within <tools></tools> XML tags:"
#define OPS_CHAT_QWEN_CALL                                                                                   \
    "For each function call, return a json object with function name and arguments within "                  \
    "<tool_call></tool_call> XML tags:"
#define OPS_CHAT_LLAMA_LIST "Given the following functions, please respond with a JSON for a function call "
#define OPS_CHAT_LLAMA_BEST "with its proper arguments that best answers the given prompt."
#define OPS_CHAT_LLAMA_FORM                                                                                  \
    "Respond in the format {\"name\": function name, \"parameters\": dictionary of argument name and its "   \
    "value}."
#define OPS_CHAT_LLAMA_VARS "Do not use variables."
void ops_chat_tools_chatml(ops_chat_out *o,
                           const ops_chat_options *options); /* the end of the system turn's text */
void ops_chat_calls_chatml(ops_chat_out *o, const ops_chat_message *m, bool said);
void ops_chat_tools_llama3(ops_chat_out *o, const ops_chat_options *options);
void ops_chat_call_llama3(ops_chat_out *o, const ops_chat_call *call);
void ops_chat_tools_mistral(ops_chat_out *o, const ops_chat_options *options);
void ops_chat_calls_mistral(ops_chat_out *o, const ops_chat_message *m);
void ops_chat_result_mistral(ops_chat_out *o, const ops_chat_message *m);
/* What a call begins with (ops_chat_options.call). */
OPS_MUST_USE ops_status ops_chat_begin_call(ops_chat_out *o, const ops_chat_options *options,
                                            ops_err *reterr);

/* --- templates without tools (chat_plain.c) --- */
/* Makes of the conversation one that the template can write: m has room for n + 1. */
OPS_MUST_USE ops_status ops_chat_plain(const ops_chat *c, ops_chat_message *m, size_t *n,
                                       ops_chat_options *options, ops_arena *texts, ops_err *reterr);

/* Writes the prompt of messages that are UTF-8, one at least. A prompt that failed may hold a part. */
ops_status ops_chat_write(const ops_chat *c, const ops_chat_message *m, size_t n,
                          const ops_chat_options *options, ops_chat_prompt *p, ops_err *reterr);

#endif
