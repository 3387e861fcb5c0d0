/* Rerank and Classify: texts in, what a model with a head says of them out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/api/model_internal.h"
#include "coordinator/api/model_list.h"

enum { TEXT_BYTES_MAX = OPS_DISPATCH_TEXT_BYTES_MAX };
#define UNCONST(s) ((char *)(uintptr_t)(s)) /* messages that are only packed from */

static Ops__V1__ScoreEnd *read_end(const ops_dispatch_result *r)
{
    return ops__v1__score_end__unpack(NULL, r->end.n, (const uint8_t *)r->end.p);
}

static ops_status misfit(ops_err *reterr)
{
    return ops_fail(reterr, OPS_EINTERNAL, "the worker's answer does not fit the request, or memory is out");
}

static int best_first(const void *a, const void *b)
{
    const Ops__V1__RerankResult *x = a, *y = b;
    if (x->relevance_score > y->relevance_score || x->relevance_score < y->relevance_score)
        return x->relevance_score > y->relevance_score ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static bool rank(const Ops__V1__ScoreEnd *end, size_t n, Ops__V1__RerankResult *ret)
{
    if (end == NULL || end->n_scores != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (end->scores[i]->n_probabilities != 1 || !isfinite(end->scores[i]->probabilities[0]))
            return false;
        ops__v1__rerank_result__init(&ret[i]);
        ret[i].index = (uint32_t)i;
        ret[i].relevance_score = end->scores[i]->probabilities[0];
    }
    qsort(ret, n, sizeof *ret, best_first);
    return true;
}

static ops_status reply_rerank(const model_task *t, const ops_dispatch_result *r, ops_err *reterr)
{
    Ops__V1__RerankResult rows[OPS_DISPATCH_TEXTS_MAX], *at[OPS_DISPATCH_TEXTS_MAX];
    Ops__V1__RerankResponse m = OPS__V1__RERANK_RESPONSE__INIT;
    Ops__V1__ScoreEnd *end = read_end(r);
    const bool ok = rank(end, t->texts, rows);
    if (ok) {
        for (size_t i = 0; i < t->texts; i++)
            at[i] = &rows[i];
        m.n_results = t->top_n > 0 && t->top_n < t->texts ? t->top_n : t->texts;
        m.results = at;
        m.model = UNCONST(r->model);
        m.content_hash = UNCONST(r->content_hash);
        m.tokens = r->tokens;
        api_reply(t->call, &m.base);
    }
    if (end != NULL)
        ops__v1__score_end__free_unpacked(end, NULL);
    return ok ? OPS_OK : misfit(reterr);
}

static bool score_fits(const Ops__V1__TextScore *s, size_t labels)
{
    for (size_t k = 0; k < s->n_probabilities; k++)
        if (!isfinite(s->probabilities[k]))
            return false;
    return s->n_probabilities == labels;
}

static bool classify_fits(const Ops__V1__ScoreEnd *end, size_t n)
{
    if (end == NULL || end->n_labels < 1 || (end->n_scores != 0 && end->n_scores != n))
        return false;
    for (size_t i = 0; i < end->n_scores; i++)
        if (!score_fits(end->scores[i], end->n_labels))
            return false;
    for (size_t i = 0; i < end->n_spans; i++) {
        const Ops__V1__LabelSpan *s = end->spans[i];
        if (s->text >= n || s->begin >= s->end || !isfinite(s->probability))
            return false;
    }
    return true;
}

static ops_status reply_classify(const model_task *t, const ops_dispatch_result *r, ops_err *reterr)
{
    Ops__V1__ClassifyResponse m = OPS__V1__CLASSIFY_RESPONSE__INIT;
    Ops__V1__ScoreEnd *end = read_end(r);
    const bool ok = classify_fits(end, t->texts);
    if (ok) {
        m.scored = end;
        m.model = UNCONST(r->model);
        m.content_hash = UNCONST(r->content_hash);
        api_reply(t->call, &m.base);
    }
    if (end != NULL)
        ops__v1__score_end__free_unpacked(end, NULL);
    return ok ? OPS_OK : misfit(reterr);
}

static ops_status check_texts(const char *what, char *const *texts, size_t n, ops_err *reterr)
{
    const ops_status st = model_task_texts(what, n, reterr);
    if (st != OPS_OK)
        return st;
    for (size_t i = 0; i < n; i++)
        if (strlen(texts[i]) > TEXT_BYTES_MAX)
            return ops_fail(reterr, OPS_ETOOBIG, "%s: text %zu has %zu bytes, at most %d", what, i,
                            strlen(texts[i]), TEXT_BYTES_MAX);
    return OPS_OK;
}

/* `like` and `task` say what it is about; the messages go into the task's payload. */
static ops_status submit(ops_model_service *m, ops_rpc_call *c, const char *job,
                         const Ops__V1__ScoreTask *score, const model_task *like, ops_dispatch_task *task,
                         ops_err *reterr)
{
    ops_status st = model_served(m->d, job, score->model, reterr);
    if (st != OPS_OK)
        return st;
    const size_t n = ops__v1__score_task__get_packed_size(score);
    OPS_AUTO(ops_free) void *payload = ops_malloc(n + 1);
    if (payload == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request of %zu bytes", n);
    task->payload = ops_slice_of(payload, ops__v1__score_task__pack(score, payload));
    task->model = ops_slice_str(score->model);
    return model_task_submit(m, c, like, task, reterr);
}

static ops_status rerank(ops_model_service *m, ops_rpc_call *c, const Ops__V1__RerankRequest *q,
                         ops_err *reterr)
{
    ops_status st = check_texts("documents", q->documents, q->n_documents, reterr);
    if (st == OPS_OK && q->query[0] == '\0')
        st = ops_fail(reterr, OPS_EINVAL, "query: none");
    if (st == OPS_OK)
        st = check_texts("query", (char *const[]){q->query}, 1, reterr);
    if (st != OPS_OK)
        return st;
    Ops__V1__ScoreTask score = OPS__V1__SCORE_TASK__INIT;
    score.model = q->model;
    score.query = q->query;
    score.n_texts = q->n_documents;
    score.texts = q->documents;
    const model_task like = {.reply = reply_rerank, .texts = q->n_documents, .top_n = q->top_n};
    ops_dispatch_task task = {.work_class = model_class(q->work_class), .job = OPS_DISPATCH_RERANK};
    return submit(m, c, "rerank", &score, &like, &task, reterr);
}

bool model_on_rerank(ops_rpc_call *c, ops_slice req, void *svc)
{
    ops_err err = {.msg = ""};
    Ops__V1__RerankRequest *q = ops__v1__rerank_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    const ops_status st =
        q != NULL ? rerank(svc, c, q, &err) : ops_fail(&err, OPS_EINVAL, "RerankRequest does not read");
    if (st != OPS_OK)
        model_fail(c, st, err.msg);
    if (q != NULL)
        ops__v1__rerank_request__free_unpacked(q, NULL);
    return false;
}

static ops_status classify(ops_model_service *m, ops_rpc_call *c, const Ops__V1__ClassifyRequest *q,
                           ops_err *reterr)
{
    const ops_status st = check_texts("texts", q->texts, q->n_texts, reterr);
    if (st != OPS_OK)
        return st;
    Ops__V1__ScoreTask score = OPS__V1__SCORE_TASK__INIT;
    score.model = q->model;
    score.n_texts = q->n_texts;
    score.texts = q->texts;
    const model_task like = {.reply = reply_classify, .texts = q->n_texts};
    ops_dispatch_task task = {.work_class = model_class(q->work_class), .job = OPS_DISPATCH_CLASSIFY};
    return submit(m, c, "classify", &score, &like, &task, reterr);
}

bool model_on_classify(ops_rpc_call *c, ops_slice req, void *svc)
{
    ops_err err = {.msg = ""};
    Ops__V1__ClassifyRequest *q = ops__v1__classify_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    const ops_status st =
        q != NULL ? classify(svc, c, q, &err) : ops_fail(&err, OPS_EINVAL, "ClassifyRequest does not read");
    if (st != OPS_OK)
        model_fail(c, st, err.msg);
    if (q != NULL)
        ops__v1__classify_request__free_unpacked(q, NULL);
    return false;
}
