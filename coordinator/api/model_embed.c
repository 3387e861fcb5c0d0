/* Embed: texts in, vectors out. */
#include "base/mem/alloc.h"
#include "coordinator/api/model_internal.h"
#include "coordinator/api/model_list.h"

#define UNCONST(s) ((char *)(uintptr_t)(s)) /* messages that are only packed from */

static ops_status reply(const model_task *t, const ops_dispatch_result *r, ops_err *reterr)
{
    Ops__V1__Vector rows[OPS_DISPATCH_TEXTS_MAX], *at[OPS_DISPATCH_TEXTS_MAX];
    OPS_AUTO(ops_free) void *copy = ops_memdup(r->vectors, r->rows * r->dim * sizeof(float));
    if (copy == NULL || r->rows > OPS_DISPATCH_TEXTS_MAX)
        return ops_fail(reterr, OPS_ENOMEM, "out of memory for the vectors");
    for (size_t i = 0; i < r->rows; i++) {
        ops__v1__vector__init(&rows[i]);
        rows[i].n_values = r->dim;
        rows[i].values = (float *)copy + i * r->dim;
        at[i] = &rows[i];
    }
    Ops__V1__EmbedResponse m = OPS__V1__EMBED_RESPONSE__INIT;
    m.n_vectors = r->rows;
    m.vectors = at;
    m.model = UNCONST(r->model);
    m.content_hash = UNCONST(r->content_hash);
    m.tokens = r->tokens;
    api_reply(t->call, &m.base);
    return OPS_OK;
}

static ops_status submit(ops_model_service *m, ops_rpc_call *c, const Ops__V1__EmbedRequest *q,
                         ops_err *reterr)
{
    ops_slice texts[OPS_DISPATCH_TEXTS_MAX];
    ops_status st = model_task_texts("texts", q->n_texts, reterr);
    if (st != OPS_OK)
        return st;
    for (size_t i = 0; i < q->n_texts; i++)
        texts[i] = ops_slice_str(q->texts[i]);
    st = model_served(m->d, "embed", q->model, reterr);
    if (st != OPS_OK)
        return st;
    const model_task like = {.reply = reply};
    ops_dispatch_task task = {.work_class = model_class(q->work_class),
                              .model = ops_slice_str(q->model),
                              .texts = texts,
                              .text_count = q->n_texts};
    return model_task_submit(m, c, &like, &task, reterr);
}

bool model_on_embed(ops_rpc_call *c, ops_slice req, void *svc)
{
    ops_err err = {.msg = ""};
    Ops__V1__EmbedRequest *q = ops__v1__embed_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    const ops_status st =
        q != NULL ? submit(svc, c, q, &err) : ops_fail(&err, OPS_EINVAL, "EmbedRequest does not read");
    if (st != OPS_OK)
        model_fail(c, st, err.msg);
    if (q != NULL)
        ops__v1__embed_request__free_unpacked(q, NULL);
    return false;
}
