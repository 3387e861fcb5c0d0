/* A worker that writes: attached to a dispatch by its port, it says back what it was told, word by word, and counts a word as
 * a token. Of a task whose text begins with
 *   "fail "   it says that it can not be done, with the rest as the reason;
 *   "wait"    it writes the first word and then nothing until it is cancelled;
 *   "silent"  it writes nothing until it is cancelled;
 *   "call "   it answers with two calls of the function that the rest names.
 * What it was given last stands in `task`. */
#ifndef OPS_TESTS_WRITING_WORKER_H
#define OPS_TESTS_WRITING_WORKER_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coordinator/dispatch/dispatch.h"
#include "proto/ops/v1/generate.pb-c.h"

struct writing_worker {
    ops_dispatch *d;
    uint64_t attachment;
    uint32_t cached_tokens; /* told of every task */
    pthread_mutex_t lock;
    pthread_cond_t more;
    unsigned tasks, cancels;
    Ops__V1__GenerateTask *task; /* a copy; guarded like the counts */
};

static inline ops_status writing_delta(struct writing_worker *w, uint64_t id, Ops__V1__GenerateDelta *delta)
{
    uint8_t bytes[4096];
    if (ops__v1__generate_delta__get_packed_size(delta) > sizeof bytes)
        return OPS_ETOOBIG;
    const size_t n = ops__v1__generate_delta__pack(delta, bytes);
    return ops_dispatch_delta(w->d, w->attachment, id, ops_slice_of(bytes, n), NULL);
}

/* A word with logprob -1, and "other" with -2 as what else it might have been. */
static inline ops_status writing_word(struct writing_worker *w, uint64_t id, const Ops__V1__GenerateTask *t,
                                      const char *word)
{
    Ops__V1__GenerateDelta delta = OPS__V1__GENERATE_DELTA__INIT;
    Ops__V1__GeneratedToken token = OPS__V1__GENERATED_TOKEN__INIT, *tokens[] = {&token};
    Ops__V1__TokenChoice chosen = OPS__V1__TOKEN_CHOICE__INIT, other = chosen, *top[] = {&chosen, &other};
    chosen.id = 1;
    chosen.logprob = -1;
    chosen.text = (ProtobufCBinaryData){strlen(word), (uint8_t *)(uintptr_t)word};
    other.id = 2;
    other.logprob = -2;
    other.text = (ProtobufCBinaryData){5, (uint8_t *)(uintptr_t) "other"};
    token.chosen = &chosen;
    token.top = top;
    token.n_top = t->top_logprobs < 2 ? t->top_logprobs : 2;
    delta.text = (char *)(uintptr_t)word;
    if (t->logprobs) {
        delta.tokens = tokens;
        delta.n_tokens = 1;
    }
    return writing_delta(w, id, &delta);
}

static inline ops_status writing_finish(struct writing_worker *w, uint64_t id, const Ops__V1__GenerateTask *t,
                                        Ops__V1__FinishReason why, uint32_t tokens)
{
    uint8_t bytes[64];
    Ops__V1__GenerateEnd end = OPS__V1__GENERATE_END__INIT;
    end.finish_reason = why;
    end.prompt_tokens = 10;
    end.cached_tokens = w->cached_tokens;
    end.completion_tokens = tokens;
    end.seed = t->sampling->seed;
    const ops_dispatch_answer a = {.task_id = id,
                                   .outcome = OPS_DISPATCH_DONE,
                                   .message = "",
                                   .end = {(const char *)bytes, ops__v1__generate_end__pack(&end, bytes)}};
    return ops_dispatch_answered(w->d, w->attachment, &a, NULL);
}

static inline ops_status writing_fail(struct writing_worker *w, uint64_t id, const char *why)
{
    const ops_dispatch_answer a = {.task_id = id, .outcome = OPS_DISPATCH_FAILED, .message = why};
    return ops_dispatch_answered(w->d, w->attachment, &a, NULL);
}

static inline ops_status writing_calls(struct writing_worker *w, uint64_t id, const Ops__V1__GenerateTask *t,
                                       const char *name)
{
    Ops__V1__GenerateDelta delta = OPS__V1__GENERATE_DELTA__INIT;
    Ops__V1__ToolCall one = OPS__V1__TOOL_CALL__INIT, two = one, *calls[] = {&one, &two};
    one.id = (char *)(uintptr_t) "call_1";
    two.id = (char *)(uintptr_t) "call_2";
    one.name = two.name = (char *)(uintptr_t)name;
    one.arguments = two.arguments = (char *)(uintptr_t) "{\"x\":1}";
    delta.tool_calls = calls;
    delta.n_tool_calls = 2;
    const ops_status st = writing_delta(w, id, &delta);
    return st == OPS_OK ? writing_finish(w, id, t, OPS__V1__FINISH_REASON__FINISH_REASON_TOOL_CALLS, 2) : st;
}

static inline ops_status writing_write(struct writing_worker *w, uint64_t id, const Ops__V1__GenerateTask *t)
{
    const char *text = t->n_messages > 0 ? t->messages[t->n_messages - 1]->content : t->prompt;
    ops_status st = OPS_OK;
    uint32_t tokens = 0;
    if (strncmp(text, "fail ", 5) == 0)
        return writing_fail(w, id, text + 5);
    if (strncmp(text, "call ", 5) == 0)
        return writing_calls(w, id, t, text + 5);
    if (strncmp(text, "silent", 6) == 0)
        return OPS_OK;
    if (t->echo)
        st = writing_word(w, id, t, text);
    while (st == OPS_OK && *text != '\0') {
        char word[64];
        size_t n = strcspn(text, " ");
        n += text[n] == ' ';
        n = n < sizeof word ? n : sizeof word - 1;
        memcpy(word, text, n);
        word[n] = '\0';
        if (t->tokens_max > 0 && tokens == t->tokens_max)
            return writing_finish(w, id, t, OPS__V1__FINISH_REASON__FINISH_REASON_LENGTH, tokens);
        st = writing_word(w, id, t, word);
        tokens++;
        if (strncmp(text, "wait", 4) == 0)
            return st;
        text += n;
    }
    return st == OPS_OK ? writing_finish(w, id, t, OPS__V1__FINISH_REASON__FINISH_REASON_STOP, tokens) : st;
}

static inline ops_status writing_on_send(void *ctx, const ops_dispatch_order *o)
{
    struct writing_worker *w = ctx;
    Ops__V1__GenerateTask *t =
        o->job == OPS_DISPATCH_GENERATE
            ? ops__v1__generate_task__unpack(NULL, o->payload.n, (const uint8_t *)o->payload.p)
            : NULL;
    if (t == NULL)
        return writing_fail(w, o->task_id, "no task that can be written");
    const ops_status st = writing_write(w, o->task_id, t);
    pthread_mutex_lock(&w->lock);
    if (w->task != NULL)
        ops__v1__generate_task__free_unpacked(w->task, NULL);
    w->task = t;
    w->tasks++;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
    return st;
}

static inline void writing_on_cancel(void *ctx, uint64_t task_id)
{
    struct writing_worker *w = ctx;
    (void)(writing_fail(w, task_id, "cancelled") == OPS_OK);
    pthread_mutex_lock(&w->lock);
    w->cancels++;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
}

static inline void writing_on_drain(void *ctx, const char *reason)
{
    (void)ctx;
    (void)reason;
}

static inline void writing_on_end(void *ctx, ops_status why, const char *message)
{
    (void)ctx;
    (void)why;
    (void)message;
}

/* Attaches it with the model "own/writer"; it is there when this returns. OPS_OK, or what went wrong. */
static inline ops_status writing_worker_attach(struct writing_worker *w, ops_dispatch *d)
{
    const ops_dispatch_port port = {.send = writing_on_send,
                                    .cancel = writing_on_cancel,
                                    .drain = writing_on_drain,
                                    .end = writing_on_end,
                                    .ctx = w};
    ops_dispatch_hello hello = {
        .worker_id = "writer", .address = "test", .model_count = 1, .credits = 1000000};
    hello.models[0] = (ops_dispatch_model){.name = "own/writer", .job = "generate", .tokens_max = 4096};
    *w = (struct writing_worker){.d = d};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    const size_t before = ops_dispatch_workers(d, NULL, 0);
    const ops_status st = ops_dispatch_attach(d, &hello, &port, &w->attachment, NULL);
    for (int i = 0; st == OPS_OK && i < 5000 && ops_dispatch_workers(d, NULL, 0) == before; i++)
        usleep(1000);
    return st;
}

/* Once the dispatch is gone. */
static inline void writing_worker_done(struct writing_worker *w)
{
    if (w->task != NULL)
        ops__v1__generate_task__free_unpacked(w->task, NULL);
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->lock);
}

static inline void writing_worker_wait(struct writing_worker *w, unsigned tasks, unsigned cancels)
{
    pthread_mutex_lock(&w->lock);
    while (w->tasks < tasks || w->cancels < cancels)
        pthread_cond_wait(&w->more, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

#endif
