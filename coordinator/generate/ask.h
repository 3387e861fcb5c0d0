/* What a program asks a model to write, as an ops.v1.GenerateTask that is put together field by field. Pure. One ask may be
 * several tasks: each of its prompts, `n` times. @thread one at a time */
#ifndef OPS_COORDINATOR_ASK_H
#define OPS_COORDINATOR_ASK_H

#include <jansson.h>

#include "base/mem/arena.h"
#include "base/mem/auto.h"
#include "base/text/strbuf.h"
#include "coordinator/generate/fields.h"
#include "proto/ops/v1/generate.pb-c.h"

enum {
    OPS_ASK_BYTES_MAX = 16 << 20, /* of what is copied out of a body */
    OPS_ASK_TASKS_MAX = 64,
    OPS_ASK_N_MAX = 8,
    OPS_ASK_MODEL_MAX = 127,
    OPS_ASK_MESSAGES_MAX = 4096,
    OPS_ASK_PARTS_MAX = 1024,
    OPS_ASK_TOOLS_MAX = 128,
    OPS_ASK_NAME_MAX = 64, /* of a tool */
    OPS_ASK_STOPS_MAX = 16,
    OPS_ASK_STOP_BYTES_MAX = 256,
    OPS_ASK_TOP_MAX = 20,
    OPS_ASK_CHOICES_MAX = 4096,
    OPS_ASK_TOKENS_MAX = 1 << 24
};

typedef struct ops_ask {
    json_t *root; /* of the request: texts point into it, or into the arena */
    ops_arena arena;
    Ops__V1__GenerateTask task; /* prompt and seed are those of the first task */
    Ops__V1__Sampling sampling;
    Ops__V1__AnswerForm form;
    Ops__V1__AnswerForm__Choices choices;
    char **prompts; /* prompt_count of them; NULL: messages */
    size_t prompt_count;
    unsigned n;
} ops_ask;

void ops_ask_init(ops_ask *a); /* temperature 1, one answer, nothing else said */
void ops_ask_done(ops_ask *a);
OPS_AUTO_DEFINE(ops_ask, ops_ask_done)

/* "messages" of `object` in the form of the OpenAI API: roles system, developer, user, assistant and tool; content a text
 * or parts of type text, which are joined by line feeds; tool_calls, tool_call_id, name. Anything else by its name. */
OPS_MUST_USE ops_status ops_ask_messages(ops_ask *a, ops_reading *r, const json_t *object);
/* "tools", "tool_choice". */
OPS_MUST_USE ops_status ops_ask_tools(ops_ask *a, ops_reading *r, const json_t *object);
/* What a door calls the fields that say how tokens are chosen; NULL: it has none for it. */
typedef struct ops_sampling_names {
    const char *temperature, *top_p, *min_p, *presence_penalty, *frequency_penalty, *repeat_penalty, *top_k,
        *seed;
} ops_sampling_names;
OPS_MUST_USE ops_status ops_ask_sampling(ops_ask *a, ops_reading *r, const json_t *object,
                                         const ops_sampling_names *names);
/* One prompt, or several: an array. */
OPS_MUST_USE ops_status ops_ask_prompt(ops_ask *a, ops_reading *r, const json_t *object, const char *name);
/* Texts that end an answer: one, or an array. */
OPS_MUST_USE ops_status ops_ask_stop(ops_ask *a, ops_reading *r, const json_t *object, const char *name);
/* A value as text, of the arena. OPS_ETOOBIG: it is long, or memory is out. */
OPS_MUST_USE ops_status ops_ask_json(ops_ask *a, ops_reading *r, const json_t *v, const char *name,
                                     char **ret);
/* The answer must be a value of `schema`. As ops_ask_json(). */
OPS_MUST_USE ops_status ops_ask_schema(ops_ask *a, ops_reading *r, const json_t *schema, const char *name);
OPS_MUST_USE ops_status ops_ask_choices(ops_ask *a, ops_reading *r, const json_t *object, const char *name);

/* An array of pointers of the arena. NULL: no memory. */
void *ops_ask_room(ops_ask *a, size_t count, size_t size);

size_t ops_ask_tasks(const ops_ask *a); /* prompt by prompt, n of each */
/* Task i as bytes, appended; a failure is b's. Seeds of the further answers to a prompt come from the first one's. */
void ops_ask_pack(const ops_ask *a, size_t i, ops_strbuf *b);
/* What tasks with the same beginning have in common, for the dispatch: one worker shall have them. */
uint64_t ops_ask_affinity(const ops_ask *a);

#endif
