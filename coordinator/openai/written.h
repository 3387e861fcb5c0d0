/* Answers as the OpenAI API writes them: whole, or as server-sent events. Pure. @thread one at a time */
#ifndef OPS_COORDINATOR_OPENAI_WRITTEN_H
#define OPS_COORDINATOR_OPENAI_WRITTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status/status.h"
#include "base/text/strbuf.h"
#include "proto/ops/v1/generate.pb-c.h"

enum { OPS_WRITTEN_ID_BYTES = 48 };

/* What all pieces of an answer say of it. */
typedef struct ops_written_head {
    bool chat;        /* chat.completion, else text_completion */
    bool usage_comes; /* of a stream: an event with it comes last, the others have null */
    char id[OPS_WRITTEN_ID_BYTES];
    int64_t created_s; /* Unix time */
    ops_slice model;
} ops_written_head;

typedef struct ops_written_usage {
    uint64_t prompt, cached, completion; /* tokens; cached ones are part of the prompt's */
} ops_written_usage;

/* One of the choices, as far as it came, or since its last event. */
typedef struct ops_written {
    bool chat, stream, logprobs;
    bool one_call;             /* calls after the first are left out */
    ops_strbuf text, calls;    /* calls: objects with commas between */
    ops_strbuf tokens;         /* chat: objects; else texts, with commas between, as the next three */
    ops_strbuf probs, top, at; /* not of a chat */
    size_t call_count, points; /* calls, and code points of tokens, so far */
    Ops__V1__FinishReason finish;
} ops_written;

void ops_written_init(ops_written *w,
                      size_t bytes_max); /* of each of its texts; what it is is set afterwards */
void ops_written_done(ops_written *w);
void ops_written_add(ops_written *w, const Ops__V1__GenerateDelta *delta);
bool ops_written_failed(const ops_written *w); /* something did not fit */

/* The whole answer; a failure is `out`'s. */
void ops_written_whole(const ops_written_head *h, const ops_written *v, size_t n,
                       const ops_written_usage *usage, ops_strbuf *out);

/* Events, each "data: ...\n\n", appended. */
void ops_written_role(const ops_written_head *h, size_t index, ops_strbuf *out); /* a chat's first */
void ops_written_event(const ops_written_head *h, size_t index, ops_written *w,
                       ops_strbuf *out); /* empties w */
void ops_written_finish(const ops_written_head *h, size_t index, Ops__V1__FinishReason why, ops_strbuf *out);
void ops_written_usage_event(const ops_written_head *h, const ops_written_usage *usage, ops_strbuf *out);
void ops_written_error(ops_status st, const char *message, ops_strbuf *out); /* then the stream ends */
void ops_written_last(ops_strbuf *out);                                      /* [DONE] */

#endif
