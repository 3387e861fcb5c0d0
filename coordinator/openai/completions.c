/* Text is asked for. Handlers submit and return; everything else happens on the dispatch's thread, piece by piece. Until the
 * first piece of a stream has come, a failure is answered with its code; after that with an event. */
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "base/mem/alloc.h"
#include "coordinator/generate/run.h"
#include "coordinator/openai/completion.h"
#include "coordinator/openai/internal.h"
#include "coordinator/openai/routes.h"
#include "coordinator/openai/written.h"

enum {
    TEXT_BYTES_MAX = 16 << 20,  /* of one choice */
    STREAM_BYTES_MAX = 1 << 20, /* that wait for a client */
    EVENT_BYTES_MAX = 32 << 20
};

typedef struct choice {
    ops_written written;
    bool begun; /* its role was told */
    uint32_t prompt_tokens, cached_tokens, tokens;
} choice;

typedef struct call {
    ops_http_req *req;
    ops_completion *asked;
    ops_run *run;
    ops_written_head head;
    bool begun; /* the stream */
    size_t n;
    choice choices[];
} call;

static void call_free(call *c)
{
    for (size_t i = 0; i < c->n; i++)
        ops_written_done(&c->choices[i].written);
    ops_completion_free(c->asked);
    ops_free(c);
}

static void head_init(ops_written_head *h, const ops_completion *asked)
{
    uint64_t id[2] = {0};
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (getrandom(id, sizeof id, 0) != (ssize_t)sizeof id)
        id[0] = (uint64_t)now.tv_nsec;
    *h = (ops_written_head){.chat = asked->chat,
                            .usage_comes = asked->stream_usage,
                            .created_s = now.tv_sec,
                            .model = ops_slice_str(asked->ask.task.model)};
    (void)snprintf(h->id, sizeof h->id, "%s-%016llx%016llx", asked->chat ? "chatcmpl" : "cmpl",
                   (unsigned long long)id[0], (unsigned long long)id[1]);
}

/* NULL: no memory; `asked` is the caller's still. */
static call *call_new(ops_http_req *req, ops_completion *asked)
{
    const size_t n = ops_ask_tasks(&asked->ask);
    call *c = ops_calloc(1, sizeof *c + n * sizeof *c->choices);
    if (c == NULL)
        return NULL;
    c->req = req;
    c->asked = asked;
    c->n = n;
    head_init(&c->head, asked);
    for (size_t i = 0; i < n; i++) {
        ops_written *w = &c->choices[i].written;
        ops_written_init(w, TEXT_BYTES_MAX);
        w->chat = asked->chat;
        w->stream = asked->stream;
        w->logprobs = asked->ask.task.logprobs;
        w->one_call = asked->one_call;
    }
    return c;
}

/* A prompt counts once however many answers it has; what of it was computed for one of them counts as computed. */
static ops_written_usage usage_of(const call *c)
{
    ops_written_usage u = {0};
    const size_t each = c->asked->ask.n;
    for (size_t i = 0; i < c->n; i++) {
        uint32_t cached = c->choices[i].cached_tokens;
        u.completion += c->choices[i].tokens;
        if (i % each != 0)
            continue;
        for (size_t k = i; k < i + each; k++)
            cached = c->choices[k].cached_tokens < cached ? c->choices[k].cached_tokens : cached;
        u.prompt += c->choices[i].prompt_tokens;
        u.cached += cached;
    }
    return u;
}

/* --- streams --- */

static ops_status begin(call *c)
{
    if (c->begun)
        return OPS_OK;
    (void)!ops_http_reply_header(c->req, "Cache-Control", "no-cache");
    (void)!ops_http_reply_header(c->req, "X-Accel-Buffering", "no"); /* proxies shall not collect events */
    const ops_status st =
        ops_http_stream_begin(c->req, 200, "text/event-stream; charset=utf-8", STREAM_BYTES_MAX);
    c->begun = st == OPS_OK;
    return st;
}

/* Sends what `b` holds, which is done with afterwards. False: there is no use in going on. */
static bool send(call *c, ops_strbuf *done_b)
{
    ops_status st = done_b->failed ? OPS_ENOMEM : begin(c);
    if (st == OPS_OK)
        st = ops_http_stream_write(c->req, ops_strbuf_get(done_b));
    ops_strbuf_done(done_b);
    return st == OPS_OK;
}

static void send_piece(call *c, size_t i)
{
    ops_strbuf b;
    choice *ch = &c->choices[i];
    ops_strbuf_init(&b, EVENT_BYTES_MAX);
    if (c->head.chat && !ch->begun)
        ops_written_role(&c->head, i, &b);
    ch->begun = true;
    ops_written_event(&c->head, i, &ch->written, &b);
    if (!send(c, &b))
        ops_run_cancel(c->run);
}

static void send_finish(call *c, size_t i)
{
    ops_strbuf b;
    choice *ch = &c->choices[i];
    ops_strbuf_init(&b, EVENT_BYTES_MAX);
    if (c->head.chat && !ch->begun)
        ops_written_role(&c->head, i, &b);
    ch->begun = true;
    ops_written_finish(&c->head, i, ch->written.finish, &b);
    if (!send(c, &b))
        ops_run_cancel(c->run);
}

static void end_stream(call *c, ops_status st, const char *message)
{
    ops_strbuf b;
    ops_strbuf_init(&b, EVENT_BYTES_MAX);
    const ops_written_usage u = usage_of(c);
    if (st != OPS_OK) {
        ops_http_mark_failed(c->req);
        ops_written_error(st, message, &b);
    } else if (c->head.usage_comes)
        ops_written_usage_event(&c->head, &u, &b);
    if (st == OPS_OK)
        ops_written_last(&b);
    (void)send(c, &b);
    ops_http_stream_end(c->req);
}

/* --- of the run --- */

static void on_delta(void *ctx, size_t i, const Ops__V1__GenerateDelta *delta)
{
    call *c = ctx;
    ops_written_add(&c->choices[i].written, delta);
    if (c->asked->stream)
        send_piece(c, i);
    else if (ops_written_failed(&c->choices[i].written)) /* the answer will say so */
        ops_run_cancel(c->run);
}

static void on_end(void *ctx, size_t i, const Ops__V1__GenerateEnd *end)
{
    call *c = ctx;
    choice *ch = &c->choices[i];
    ch->written.finish = end->finish_reason;
    ch->prompt_tokens = end->prompt_tokens;
    ch->cached_tokens = end->cached_tokens;
    ch->tokens = end->completion_tokens;
    if (c->asked->stream)
        send_finish(c, i);
}

static void answer_whole(call *c)
{
    ops_strbuf b;
    const size_t n = c->n;
    const ops_written_usage u = usage_of(c);
    ops_strbuf_init(&b, OPENAI_ANSWER_BYTES_MAX);
    ops_written *v = ops_calloc(n, sizeof *v); /* borrowed: the choices lie apart */
    if (v == NULL) {
        openai_refuse(c->req, OPS_ENOMEM, "out of memory", NULL, NULL);
        return;
    }
    for (size_t i = 0; i < n; i++)
        v[i] = c->choices[i].written;
    ops_written_whole(&c->head, v, n, &u, &b);
    ops_free(v);
    ops_http_reply_buf(c->req, 200, OPENAI_JSON, &b);
}

static bool too_long(const call *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (ops_written_failed(&c->choices[i].written))
            return true;
    return false;
}

static void on_done(void *ctx, ops_status st, const char *message)
{
    call *c = ctx;
    if (c->begun)
        end_stream(c, st, message);
    else if (!c->asked->stream && too_long(c))
        openai_refuse(c->req, OPS_ENOMEM, "the answer does not fit", NULL, NULL);
    else if (st != OPS_OK)
        openai_refuse(c->req, st, message,
                      st != OPS_ECONTEXT ? NULL
                      : c->asked->chat   ? "messages"
                                         : "prompt",
                      NULL);
    else
        answer_whole(c);
    call_free(c);
}

static void on_gone(void *ctx)
{
    ops_run_cancel(((call *)ctx)->run);
}

static void ask(ops_http_req *req, ops_dispatch *d, bool chat)
{
    char param[OPS_FIELD_PLACE_MAX];
    ops_err err = {0};
    OPS_AUTO(ops_completion_free) ops_completion *asked = NULL;
    const ops_status st = ops_completion_read(ops_http_body(req), chat, &asked, param, &err);
    if (st != OPS_OK) {
        openai_refuse(req, st, err.msg, param, NULL);
        return;
    }
    if (!openai_model_is_there(d, req, ops_slice_str(asked->ask.task.model), "generate"))
        return;
    asked->ask.task.salt = (char *)(uintptr_t)ops_http_identity(req)->tenant;
    call *c = call_new(req, asked);
    const ops_run_hooks hooks = {on_delta, on_end, on_done, c};
    if (c == NULL || ops_run_new(d, c->n, &hooks, &c->run, &err) != OPS_OK) {
        if (c != NULL)
            c->asked = NULL; /* freed here */
        if (c != NULL)
            call_free(c);
        openai_refuse(req, OPS_ENOMEM, "out of memory", NULL, NULL);
        return;
    }
    const ops_ask *tasks = &OPS_STEAL(asked)->ask;
    ops_http_on_gone(req, on_gone, c);
    ops_run_start(c->run, tasks, 1, OPS_OPENAI_WRITE_DEADLINE_MS);
}

void openai_on_chat(ops_http_req *req, void *user)
{
    ask(req, user, true);
}

void openai_on_completion(ops_http_req *req, void *user)
{
    ask(req, user, false);
}
