/* Conversations as prompts, the way a model was trained to see them. The chat template that comes with a model is a Jinja
 * program; it is not run but recognised by what it writes, and rendered natively: ChatML (Qwen, SmolLM and kin), Llama 3,
 * Gemma, Mistral. A template of another family, or with features that are not built, is refused by name.
 *
 * A prompt is text and control tokens in turn. Only the template makes control tokens: "<|im_end|>" inside a message stays
 * ordinary text. Messages are cleaned as ops_tokenizer_encode() cleans texts. @thread a chat never changes once made */
#ifndef OPS_WORKER_CHAT_H
#define OPS_WORKER_CHAT_H

#include "worker/model/tokenizer.h"

enum {
    OPS_CHAT_TEMPLATE_MAX = 256 << 10,
    OPS_CHAT_MESSAGES_MAX = 4096,
    OPS_CHAT_PROMPT_MAX = 32 << 20 /* bytes of a prompt */
};

typedef enum ops_chat_role {
    OPS_CHAT_SYSTEM,
    OPS_CHAT_USER,
    OPS_CHAT_ASSISTANT,
    OPS_CHAT_TOOL
} ops_chat_role;

typedef struct ops_chat_message {
    ops_chat_role role;
    ops_slice text;
} ops_chat_message;

typedef struct ops_chat_options {
    bool answer;      /* end with the start of an assistant's turn (add_generation_prompt) */
    bool no_thinking; /* Qwen 3: with an empty block of thoughts (enable_thinking=False) */
    ops_slice date;   /* Llama 3.1 and later: "26 Jul 2024" where p is NULL */
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

void ops_chat_prompt_init(ops_chat_prompt *p);
void ops_chat_prompt_done(ops_chat_prompt *p);
/* OPS_EINVAL: the template refuses this order of roles, with its reason; OPS_EUNIMPL a role that is not built for the family;
 * OPS_ETOOBIG; OPS_ENOMEM. *out is empty after a failure. */
OPS_MUST_USE ops_status ops_chat_render(const ops_chat *c, const ops_chat_message *m, size_t n,
                                        ops_chat_options options, ops_chat_prompt *out, ops_err *reterr);
/* Appends the ids. OPS_ECORRUPT: the vocabulary lacks a control token of the template; others as ops_tokenizer_encode(). */
OPS_MUST_USE ops_status ops_chat_encode(const ops_chat_prompt *p, const ops_tokenizer *t, ops_tokens *out,
                                        ops_err *reterr);

#endif
