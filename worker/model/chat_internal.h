#ifndef OPS_WORKER_CHAT_INTERNAL_H
#define OPS_WORKER_CHAT_INTERNAL_H

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
    bool tools;          /* ChatML: answers of tools as Qwen has them */
    bool thinking;       /* Qwen 3 */
    bool thinking_off;   /* ... which can be told not to */
    bool dated;          /* Llama 3.1: the system turn has dates and is always there */
    bool alternates;     /* roles must alternate */
    bool space_before;   /* Mistral: " [INST]" for "[INST]" */
    bool space_inside;   /* "[INST] " */
    bool space_end;      /* " [/INST]" */
    bool space_answer;   /* " " before what the assistant said */
    bool trim_answer;
    bool space_system;                /* "[SYSTEM_PROMPT] " */
    char *bos, *eos, *default_system; /* NULL: none */
    char *date;                       /* Llama 3.1: the date in the template */
};

/* Writes the prompt of messages that are UTF-8, one at least. A prompt that failed may hold a part. */
ops_status ops_chat_write(const ops_chat *c, const ops_chat_message *m, size_t n,
                          const ops_chat_options *options, ops_chat_prompt *p, ops_err *reterr);

#endif
