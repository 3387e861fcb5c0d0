/* Embed: texts in, vectors out. */
#include <pthread.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/api/model_internal.h"
#include "coordinator/api/model_list.h"

typedef struct embedding {
    ops_rpc_call *call;
    ops_dispatch *d;
    pthread_mutex_t lock; /* never destroyed: a plain mutex holds nothing */
    uint64_t id;          /* 0: not submitted yet */
    bool gone;
} embedding;

#define UNCONST(s) ((char *)(uintptr_t)(s)) /* messages that are only packed from */

static ops_status reply(ops_rpc_call *c, const ops_dispatch_result *r)
{
    Ops__V1__Vector rows[OPS_DISPATCH_TEXTS_MAX], *at[OPS_DISPATCH_TEXTS_MAX];
    OPS_AUTO(ops_free) void *copy = ops_memdup(r->vectors, r->rows * r->dim * sizeof(float));
    if (copy == NULL || r->rows > OPS_DISPATCH_TEXTS_MAX)
        return OPS_ENOMEM;
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
    api_reply(c, &m.base);
    return OPS_OK;
}

static void on_done(void *ctx, const ops_dispatch_result *r)
{
    embedding *e = ctx;
    pthread_mutex_lock(&e->lock); /* until the submit is back */
    ops_rpc_call *c = e->call;
    pthread_mutex_unlock(&e->lock);
    if (r->status != OPS_OK)
        model_fail(c, r->status, r->message);
    else if (reply(c, r) != OPS_OK)
        model_fail(c, OPS_ENOMEM, "out of memory for the vectors");
}

void model_embed_gone(ops_rpc_call *c, void *svc)
{
    (void)svc;
    embedding *e = ops_rpc_call_user(c);
    if (e == NULL)
        return;
    pthread_mutex_lock(&e->lock);
    e->gone = true;
    const uint64_t id = e->id;
    pthread_mutex_unlock(&e->lock);
    if (id != 0)
        ops_dispatch_cancel(e->d, id);
}

static ops_status submit(ops_model_service *m, ops_rpc_call *c, const Ops__V1__EmbedRequest *q,
                         ops_err *reterr)
{
    ops_slice texts[OPS_DISPATCH_TEXTS_MAX];
    if (q->n_texts < 1 || q->n_texts > OPS_DISPATCH_TEXTS_MAX)
        return ops_fail(reterr, q->n_texts < 1 ? OPS_EINVAL : OPS_ETOOBIG, "texts: %zu, 1 to %d are taken",
                        q->n_texts, OPS_DISPATCH_TEXTS_MAX);
    for (size_t i = 0; i < q->n_texts; i++)
        texts[i] = ops_slice_str(q->texts[i]);
    ops_status st = model_served(m->d, "embed", q->model, reterr);
    if (st != OPS_OK)
        return st;
    embedding *e = ops_calloc(1, sizeof *e);
    if (e == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request");
    *e = (embedding){.call = c, .d = m->d, .lock = PTHREAD_MUTEX_INITIALIZER};
    const ops_dispatch_task task = {.work_class = model_class(q->work_class),
                                    .key = api_tenant(c),
                                    .model = ops_slice_str(q->model),
                                    .texts = texts,
                                    .text_count = q->n_texts,
                                    .deadline_ms = model_deadline_ms(c),
                                    .done = on_done,
                                    .ctx = e};
    ops_rpc_call *keep = ops_rpc_call_ref(c); /* the answer may end the call before the submit is back */
    ops_rpc_call_set_user(c, e);
    pthread_mutex_lock(&e->lock);
    uint64_t id = 0;
    st = ops_dispatch_submit(m->d, &task, &id, reterr);
    e->id = st == OPS_OK ? id : 0;
    const bool gone = e->gone;
    pthread_mutex_unlock(&e->lock);
    if (st == OPS_OK && gone)
        ops_dispatch_cancel(m->d, id);
    if (st != OPS_OK)
        model_fail(c, st, reterr->msg);
    ops_rpc_call_unref(keep);
    return OPS_OK;
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
