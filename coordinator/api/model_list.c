/* ListModels and GetModel: what workers said last. */
#include "coordinator/api/model_list.h"

#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/api/rows.h"
#include "coordinator/dispatch/served.h"

static void read_use(const ops_dispatch_use *from, Ops__V1__ModelUse *to)
{
    ops__v1__model_use__init(to);
    to->running = from->running;
    to->waiting = from->waiting;
    to->blocks = from->blocks;
    to->blocks_used = from->blocks_used;
    to->blocks_cached = from->blocks_cached;
    to->done = from->done;
    to->cancelled = from->cancelled;
    to->prompt_tokens = from->prompt_tokens;
    to->cached_tokens = from->cached_tokens;
    to->completion_tokens = from->completion_tokens;
    to->preempted = from->preempted;
    to->window_blocks = from->window_blocks;
    to->window_blocks_used = from->window_blocks_used;
    to->window_blocks_cached = from->window_blocks_cached;
}

typedef struct places {
    Ops__V1__ModelPlace m[OPS_DISPATCH_WORKERS_MAX], *at[OPS_DISPATCH_WORKERS_MAX];
    Ops__V1__ModelUse use[OPS_DISPATCH_WORKERS_MAX], sum;
} places;

typedef struct listing {
    const char *job, *name; /* empty: any */
    places room;
    size_t seen;
    bool failed;
    void (*tell)(void *u, const Ops__V1__ServedModel *m);
    void *u;
} listing;

#define UNCONST(s) ((char *)(uintptr_t)(s)) /* messages that are only packed from */

static bool on_served(void *u, const ops_served *s)
{
    listing *l = u;
    if ((l->job[0] != '\0' && strcmp(l->job, s->model.job) != 0) ||
        (l->name[0] != '\0' && strcmp(l->name, s->model.name) != 0))
        return true;
    const bool writes = strcmp(s->model.job, "generate") == 0;
    Ops__V1__ServedModel m = OPS__V1__SERVED_MODEL__INIT;
    m.name = UNCONST(s->model.name);
    m.job = UNCONST(s->model.job);
    m.content_hash = UNCONST(s->model.content_hash);
    m.dim = s->model.dim;
    m.tokens_max = s->model.tokens_max;
    read_use(&s->model.use, &l->room.sum);
    m.use = writes ? &l->room.sum : NULL;
    for (size_t i = 0; i < s->n; i++) {
        Ops__V1__ModelPlace *p = l->room.at[i] = &l->room.m[i];
        ops__v1__model_place__init(p);
        p->worker_id = UNCONST(s->workers[i]);
        p->content_hash = UNCONST(s->at[i]->content_hash);
        read_use(&s->at[i]->use, &l->room.use[i]);
        p->use = writes ? &l->room.use[i] : NULL;
    }
    m.n_places = s->n;
    m.places = l->room.at;
    l->seen++;
    l->tell(l->u, &m);
    return l->name[0] == '\0';
}

static ops_status walk(ops_dispatch *d, const char *job, const char *name,
                       void (*tell)(void *u, const Ops__V1__ServedModel *m), void *u, size_t *ret_seen,
                       ops_err *reterr)
{
    OPS_AUTO(ops_free) void *block = ops_calloc(1, sizeof(listing));
    listing *l = block;
    if (l == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "the list of models");
    l->job = job;
    l->name = name;
    l->tell = tell;
    l->u = u;
    const ops_status st = ops_served_walk(d, on_served, l, reterr);
    *ret_seen = l->seen;
    return st;
}

static void add_row(void *u, const Ops__V1__ServedModel *m)
{
    (void)api_rows_add(u, &m->base);
}

bool model_on_list(ops_rpc_call *c, ops_slice req, void *svc)
{
    ops_model_service *m = svc;
    Ops__V1__ListModelsRequest *q = ops__v1__list_models_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "ListModelsRequest does not read", NULL);
        return false;
    }
    Ops__V1__ListModelsResponse tail = OPS__V1__LIST_MODELS_RESPONSE__INIT;
    ops_err err = {.msg = ""};
    api_rows r;
    size_t seen = 0;
    api_rows_init(&r, 0, (size_t)OPS_DISPATCH_WORKERS_MAX * OPS_DISPATCH_MODELS_MAX);
    const ops_status st = walk(m->d, q->job, "", add_row, &r, &seen, &err);
    api_rows_reply(&r, c, st, &err, &tail.base);
    api_rows_done(&r);
    ops__v1__list_models_request__free_unpacked(q, NULL);
    return false;
}

static void reply_one(void *u, const Ops__V1__ServedModel *m)
{
    api_reply(u, &m->base);
}

bool model_on_get(ops_rpc_call *c, ops_slice req, void *svc)
{
    ops_model_service *m = svc;
    Ops__V1__GetModelRequest *q = ops__v1__get_model_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    if (q == NULL || q->name[0] == '\0') {
        api_bad_field(c, "name", "is wanted");
    } else {
        char message[OPS_DISPATCH_NAME_MAX + 64];
        ops_err err = {.msg = ""};
        size_t seen = 0;
        const ops_status st = walk(m->d, "", q->name, reply_one, c, &seen, &err);
        (void)snprintf(message, sizeof message, "no worker has a model '%.100s'", q->name);
        if (seen == 0)
            model_fail(c, st == OPS_OK ? OPS_ENOTFOUND : st, st == OPS_OK ? message : err.msg);
    }
    if (q != NULL)
        ops__v1__get_model_request__free_unpacked(q, NULL);
    return false;
}

typedef struct sought {
    const char *job, *name;
    bool job_there, there;
} sought;

static bool look(void *u, const ops_served *s)
{
    sought *k = u;
    const bool does = strcmp(k->job, s->model.job) == 0;
    k->job_there |= does;
    k->there |= does && (k->name[0] == '\0' || strcmp(k->name, s->model.name) == 0);
    return !k->there;
}

ops_status model_served(ops_dispatch *d, const char *job, const char *name, ops_err *reterr)
{
    sought k = {.job = job, .name = name};
    const ops_status st = ops_served_walk(d, look, &k, reterr);
    if (st != OPS_OK || k.there)
        return st;
    return k.job_there
               ? ops_fail(reterr, OPS_ENOTFOUND, "model: no worker has '%.100s' to %s with", name, job)
               : ops_fail(reterr, OPS_EUNAVAILABLE, "no worker is attached that has a model to %s with", job);
}
