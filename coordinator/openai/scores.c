/* Handlers of rerank and classify. A request waits in the dispatch, not on a thread. */
#include "base/mem/alloc.h"
#include "coordinator/openai/internal.h"
#include "coordinator/openai/routes.h"
#include "coordinator/openai/score_answer.h"

typedef struct call {
    ops_http_req *req;
    ops_score_ask *asked;
    ops_dispatch_job job;
} call;

static void answer(const call *c, const ops_dispatch_result *r)
{
    Ops__V1__ScoreEnd *end = ops__v1__score_end__unpack(NULL, r->end.n, (const uint8_t *)r->end.p);
    ops_strbuf b;
    ops_strbuf_init(&b, OPENAI_ANSWER_BYTES_MAX);
    const ops_slice model = ops_slice_str(r->model);
    const bool ok =
        end != NULL && (c->job == OPS_DISPATCH_RERANK ? ops_score_answer_rerank(c->asked, end, model, &b)
                                                      : ops_score_answer_classify(c->asked, end, model, &b));
    if (ok)
        ops_http_reply_buf(c->req, 200, OPENAI_JSON, &b);
    else {
        ops_strbuf_done(&b);
        openai_refuse(c->req, OPS_EINTERNAL, "the worker's answer does not fit the request", NULL, NULL);
    }
    if (end != NULL)
        ops__v1__score_end__free_unpacked(end, NULL);
}

static void on_done(void *ctx, const ops_dispatch_result *r)
{
    call *c = ctx;
    if (r->status == OPS_OK)
        answer(c, r);
    else
        openai_refuse(c->req, r->status, r->message, NULL, NULL);
    ops_score_ask_free(c->asked);
    ops_free(c);
}

static ops_status submit(ops_dispatch *d, ops_http_req *req, ops_dispatch_job job, ops_score_ask *asked,
                         ops_err *reterr)
{
    uint64_t id;
    void *payload = NULL;
    size_t n = 0;
    ops_status st = ops_score_ask_pack(asked, &payload, &n, reterr);
    if (st != OPS_OK)
        return st;
    call *c = ops_calloc(1, sizeof *c);
    if (c == NULL) {
        ops_free(payload);
        return ops_fail(reterr, OPS_ENOMEM, "out of memory");
    }
    *c = (call){req, asked, job};
    const ops_dispatch_task task = {.work_class = OPS_DISPATCH_INTERACTIVE,
                                    .key = ops_slice_str(ops_http_identity(req)->tenant),
                                    .model = asked->model,
                                    .job = job,
                                    .payload = ops_slice_of(payload, n),
                                    .deadline_ms = OPS_OPENAI_DEADLINE_MS,
                                    .done = on_done,
                                    .ctx = c};
    st = ops_dispatch_submit(d, &task, &id, reterr);
    ops_free(payload);
    if (st != OPS_OK)
        ops_free(c);
    return st;
}

static void ask(ops_http_req *req, ops_dispatch *d, ops_dispatch_job job)
{
    ops_score_ask *asked = NULL;
    const char *param = "";
    ops_err err = {.msg = ""};
    const bool rerank = job == OPS_DISPATCH_RERANK;
    ops_status st = rerank ? ops_score_ask_rerank(ops_http_body(req), &asked, &param, &err)
                           : ops_score_ask_classify(ops_http_body(req), &asked, &param, &err);
    if (st != OPS_OK) {
        openai_refuse(req, st, err.msg, param, NULL);
        return;
    }
    if (!openai_model_is_there(d, req, asked->model, rerank ? "rerank" : "classify")) {
        ops_score_ask_free(asked);
        return;
    }
    st = submit(d, req, job, asked, &err);
    if (st == OPS_OK)
        return; /* it is the call's */
    ops_score_ask_free(asked);
    openai_refuse(req, st, err.msg, NULL, NULL);
}

void openai_on_rerank(ops_http_req *req, void *user)
{
    ask(req, user, OPS_DISPATCH_RERANK);
}

void openai_on_classify(ops_http_req *req, void *user)
{
    ask(req, user, OPS_DISPATCH_CLASSIFY);
}
