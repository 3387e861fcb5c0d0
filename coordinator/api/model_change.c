/* LoadModel and UnloadModel: an errand for each worker that is meant; the answer when the last of them said what became of it. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/api/model_internal.h"

enum { MESSAGE_BYTES = sizeof((ops_err *)0)->msg };

typedef struct change {
    struct changing *all;
    char worker_id[OPS_DISPATCH_NAME_MAX], message[MESSAGE_BYTES];
    ops_status status;
} change;

typedef struct changing {
    ops_rpc_call *call;
    bool unload;
    pthread_mutex_t lock; /* never destroyed: a plain mutex holds nothing */
    size_t open;          /* errands under way, and one while they are sent */
    size_t n;
    change of[OPS_DISPATCH_WORKERS_MAX];
} changing;

/* Nothing worked: the first that is not "not there", for a worker that never had it says least. */
static const change *worst(const changing *all)
{
    const change *c = &all->of[0];
    for (size_t i = 0; i < all->n; i++) {
        if (all->of[i].status == OPS_OK)
            return NULL;
        if (c->status == OPS_ENOTFOUND)
            c = &all->of[i];
    }
    return c;
}

static void reply(const changing *all)
{
    Ops__V1__ModelChange m[OPS_DISPATCH_WORKERS_MAX], *at[OPS_DISPATCH_WORKERS_MAX];
    for (size_t i = 0; i < all->n; i++) {
        const change *c = &all->of[i];
        ops__v1__model_change__init(at[i] = &m[i]);
        m[i].worker_id = (char *)(uintptr_t)c->worker_id; /* only packed from */
        m[i].message = (char *)(uintptr_t)c->message;
        m[i].done = c->status == OPS_OK;
        m[i].status = (uint32_t)ops_status_grpc_code(c->status);
    }
    Ops__V1__LoadModelResponse loaded = OPS__V1__LOAD_MODEL_RESPONSE__INIT;
    Ops__V1__UnloadModelResponse unloaded = OPS__V1__UNLOAD_MODEL_RESPONSE__INIT;
    loaded.n_changes = unloaded.n_changes = all->n;
    loaded.changes = unloaded.changes = at;
    api_reply(all->call, all->unload ? &unloaded.base : &loaded.base);
}

static void one_less(changing *all)
{
    pthread_mutex_lock(&all->lock);
    const bool last = --all->open == 0;
    pthread_mutex_unlock(&all->lock);
    if (!last)
        return;
    const change *bad = worst(all);
    char message[OPS_DISPATCH_NAME_MAX + MESSAGE_BYTES + 8];
    if (bad == NULL) {
        reply(all); /* and `all` is gone, as below */
        return;
    }
    (void)snprintf(message, sizeof message, "%s: %s", bad->worker_id, bad->message);
    model_fail(all->call, bad->status, message);
}

static void on_outcome(void *ctx, ops_status st, const char *message)
{
    change *c = ctx;
    c->status = st;
    (void)snprintf(c->message, sizeof c->message, "%.*s", (int)sizeof c->message - 1, message);
    one_less(c->all);
}

static bool has_model(const ops_dispatch_worker *w, const char *name)
{
    for (size_t k = 0; k < w->model_count; k++)
        if (strcmp(w->models[k].name, name) == 0)
            return true;
    return false;
}

static bool named(const changing *all, const char *worker_id)
{
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->of[i].worker_id, worker_id) == 0)
            return true;
    return false;
}

/* The workers that are meant: the one that is named, all, or all that have the model. */
static ops_status choose(ops_dispatch *d, changing *all, const char *worker_id, const char *having,
                         ops_err *reterr)
{
    OPS_AUTO(ops_free) void *block = ops_calloc(OPS_DISPATCH_WORKERS_MAX, sizeof(ops_dispatch_worker));
    const ops_dispatch_worker *w = block;
    if (w == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "the list of workers");
    size_t n = ops_dispatch_workers(d, block, OPS_DISPATCH_WORKERS_MAX);
    n = n < OPS_DISPATCH_WORKERS_MAX ? n : OPS_DISPATCH_WORKERS_MAX;
    for (size_t i = 0; i < n; i++) {
        if ((worker_id[0] != '\0' ? strcmp(worker_id, w[i].worker_id) != 0
                                  : having[0] != '\0' && !has_model(&w[i], having)) ||
            named(all, w[i].worker_id))
            continue;
        change *c = &all->of[all->n++];
        c->all = all;
        (void)snprintf(c->worker_id, sizeof c->worker_id, "%s", w[i].worker_id);
    }
    if (all->n > 0)
        return OPS_OK;
    return worker_id[0] != '\0'
               ? ops_fail(reterr, OPS_ENOTFOUND, "worker_id: no worker '%.100s' is attached", worker_id)
           : having[0] != '\0'
               ? ops_fail(reterr, OPS_ENOTFOUND, "name: no worker has a model '%.100s'", having)
               : ops_fail(reterr, OPS_EUNAVAILABLE, "no worker is attached");
}

static ops_status start(ops_model_service *m, ops_rpc_call *c, bool unload, const char *worker_id,
                        const char *path, const char *name, ops_err *reterr)
{
    OPS_AUTO(ops_free) void *block = ops_calloc(1, sizeof(changing));
    changing *all = block;
    if (all == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request");
    all->call = c;
    all->unload = unload;
    all->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    const ops_status st = choose(m->d, all, worker_id, unload ? name : "", reterr);
    if (st != OPS_OK)
        return st;
    ops_rpc_call_set_user(c, OPS_STEAL(block));
    all->open = all->n + 1;
    for (size_t i = 0; i < all->n; i++) {
        const ops_dispatch_errand e = {.worker_id = all->of[i].worker_id,
                                       .unload = unload,
                                       .path = path,
                                       .name = name,
                                       .deadline_ms = model_deadline_ms(c),
                                       .done = on_outcome,
                                       .ctx = &all->of[i]};
        ops_err err = {.msg = ""};
        const ops_status sent = ops_dispatch_run_errand(m->d, &e, &err);
        if (sent != OPS_OK)
            on_outcome(&all->of[i], sent, err.msg);
    }
    one_less(all);
    return OPS_OK;
}

bool model_on_load(ops_rpc_call *c, ops_slice req, void *svc)
{
    ops_err err = {.msg = ""};
    Ops__V1__LoadModelRequest *q = ops__v1__load_model_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    const ops_status st = q == NULL            ? ops_fail(&err, OPS_EINVAL, "LoadModelRequest does not read")
                          : q->path[0] == '\0' ? ops_fail(&err, OPS_EINVAL, "path: is wanted")
                                               : start(svc, c, false, q->worker_id, q->path, q->name, &err);
    if (st != OPS_OK)
        model_fail(c, st, err.msg);
    if (q != NULL)
        ops__v1__load_model_request__free_unpacked(q, NULL);
    return false;
}

bool model_on_unload(ops_rpc_call *c, ops_slice req, void *svc)
{
    ops_err err = {.msg = ""};
    Ops__V1__UnloadModelRequest *q =
        ops__v1__unload_model_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    const ops_status st = q == NULL ? ops_fail(&err, OPS_EINVAL, "UnloadModelRequest does not read")
                          : q->name[0] == '\0' ? ops_fail(&err, OPS_EINVAL, "name: is wanted")
                                               : start(svc, c, true, q->worker_id, "", q->name, &err);
    if (st != OPS_OK)
        model_fail(c, st, err.msg);
    if (q != NULL)
        ops__v1__unload_model_request__free_unpacked(q, NULL);
    return false;
}
