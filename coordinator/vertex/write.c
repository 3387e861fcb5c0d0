/* Instances that ask for text: a task each, answered together. */
#include "base/mem/alloc.h"
#include "coordinator/generate/run.h"
#include "coordinator/vertex/internal.h"

enum { TEXT_BYTES_MAX = 4 << 20 /* of one instance */ };

typedef struct call {
    ops_http_req *req;
    ops_predict *asked;
    ops_run *run;
    size_t n;
    ops_predict_written written[];
} call;

static void call_free(call *c)
{
    for (size_t i = 0; i < c->n; i++)
        ops_strbuf_done(&c->written[i].text);
    ops_predict_free(c->asked);
    ops_free(c);
}

static void on_delta(void *ctx, size_t i, const Ops__V1__GenerateDelta *delta)
{
    call *c = ctx;
    ops_strbuf_str(&c->written[i].text, delta->text);
    if (c->written[i].text.failed) /* there is no use in going on: no answer will be put together */
        ops_run_cancel(c->run);
}

static void on_end(void *ctx, size_t i, const Ops__V1__GenerateEnd *end)
{
    ops_predict_written *w = &((call *)ctx)->written[i];
    w->finish = end->finish_reason;
    w->prompt_tokens = end->prompt_tokens;
    w->tokens = end->completion_tokens;
}

static void on_done(void *ctx, ops_status st, const char *message)
{
    call *c = ctx;
    bool fits = true;
    for (size_t i = 0; i < c->n; i++)
        fits &= !c->written[i].text.failed;
    if (!fits)
        vertex_refuse(c->req, OPS_ENOMEM, "the answer does not fit");
    else if (st != OPS_OK)
        vertex_refuse(c->req, st, message);
    else {
        ops_strbuf b;
        ops_strbuf_init(&b, VERTEX_ANSWER_BYTES_MAX);
        ops_predict_answer_text(c->written, c->n, &b);
        ops_http_reply_buf(c->req, 200, VERTEX_JSON, &b);
    }
    call_free(c);
}

static void on_gone(void *ctx)
{
    ops_run_cancel(((call *)ctx)->run);
}

void vertex_write(ops_http_req *req, ops_dispatch *d, ops_predict *take_asked)
{
    size_t n = 0;
    ops_err err = {0};
    ops_ask *asks = ops_predict_asks(take_asked, &n);
    call *c = ops_calloc(1, sizeof *c + n * sizeof *c->written);
    const ops_run_hooks hooks = {on_delta, on_end, on_done, c};
    if (c == NULL || ops_run_new(d, n, &hooks, &c->run, &err) != OPS_OK) {
        ops_free(c);
        ops_predict_free(take_asked);
        vertex_refuse(req, OPS_ENOMEM, "out of memory");
        return;
    }
    c->req = req;
    c->asked = take_asked;
    c->n = n;
    for (size_t i = 0; i < n; i++) {
        ops_strbuf_init(&c->written[i].text, TEXT_BYTES_MAX);
        asks[i].task.salt = (char *)(uintptr_t)ops_http_identity(req)->tenant;
    }
    ops_http_on_gone(req, on_gone, c);
    ops_run_start(c->run, asks, n, OPS_VERTEX_WRITE_DEADLINE_MS);
}
