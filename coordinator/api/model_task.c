/* A task of the dispatch behind a unary call. */
#include "base/mem/alloc.h"
#include "coordinator/api/model_internal.h"

static void on_done(void *ctx, const ops_dispatch_result *r)
{
    model_task *t = ctx;
    ops_err err = {.msg = ""};
    pthread_mutex_lock(&t->lock); /* until the submit is back */
    ops_rpc_call *c = t->call;
    pthread_mutex_unlock(&t->lock);
    if (r->status != OPS_OK) {
        model_fail(c, r->status, r->message);
        return;
    }
    const ops_status st = t->reply(t, r, &err); /* ends the call, with which `t` may go, when it answers */
    if (st != OPS_OK)
        model_fail(c, st, err.msg);
}

void model_task_gone(ops_rpc_call *c, void *svc)
{
    (void)svc;
    model_task *t = ops_rpc_call_user(c);
    if (t == NULL)
        return;
    pthread_mutex_lock(&t->lock);
    t->gone = true;
    const uint64_t id = t->id;
    pthread_mutex_unlock(&t->lock);
    if (id != 0)
        ops_dispatch_cancel(t->d, id);
}

ops_status model_task_texts(const char *what, size_t n, ops_err *reterr)
{
    return n >= 1 && n <= OPS_DISPATCH_TEXTS_MAX
               ? OPS_OK
               : ops_fail(reterr, n < 1 ? OPS_EINVAL : OPS_ETOOBIG, "%s: %zu, 1 to %d are taken", what, n,
                          OPS_DISPATCH_TEXTS_MAX);
}

ops_status model_task_submit(ops_model_service *m, ops_rpc_call *c, const model_task *like,
                             ops_dispatch_task *task, ops_err *reterr)
{
    model_task *t = ops_calloc(1, sizeof *t);
    if (t == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request");
    *t = *like;
    t->call = c;
    t->d = m->d;
    t->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    task->key = api_tenant(c);
    task->deadline_ms = model_deadline_ms(c);
    task->done = on_done;
    task->ctx = t;
    ops_rpc_call *keep = ops_rpc_call_ref(c); /* the answer may end the call before the submit is back */
    ops_rpc_call_set_user(c, t);
    pthread_mutex_lock(&t->lock);
    uint64_t id = 0;
    const ops_status st = ops_dispatch_submit(m->d, task, &id, reterr);
    t->id = st == OPS_OK ? id : 0;
    const bool gone = t->gone;
    pthread_mutex_unlock(&t->lock);
    if (st == OPS_OK && gone)
        ops_dispatch_cancel(m->d, id);
    if (st != OPS_OK)
        model_fail(c, st, reterr->msg);
    ops_rpc_call_unref(keep);
    return OPS_OK;
}
