#include "coordinator/dispatch/served.h"

#include <string.h>

#include "base/mem/alloc.h"

typedef struct room {
    ops_dispatch_worker worker[OPS_DISPATCH_WORKERS_MAX];
    size_t n;
    const char *ids[OPS_DISPATCH_WORKERS_MAX];
    const ops_dispatch_model *at[OPS_DISPATCH_WORKERS_MAX];
} room;

static bool same(const ops_dispatch_model *a, const ops_dispatch_model *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->job, b->job) == 0;
}

static const ops_dispatch_model *model_of(const ops_dispatch_worker *w, const ops_dispatch_model *like)
{
    for (size_t k = 0; k < w->model_count; k++)
        if (same(&w->models[k], like))
            return &w->models[k];
    return NULL;
}

static bool earlier_stream(const room *r, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(r->worker[k].worker_id, r->worker[i].worker_id) == 0)
            return true;
    return false;
}

static bool told_before(const room *r, size_t i, const ops_dispatch_model *m)
{
    for (size_t k = 0; k < i; k++)
        if (model_of(&r->worker[k], m) != NULL)
            return true;
    return false;
}

static void add_use(ops_dispatch_use *sum, const ops_dispatch_use *u)
{
    sum->running += u->running;
    sum->waiting += u->waiting;
    sum->blocks += u->blocks;
    sum->blocks_used += u->blocks_used;
    sum->blocks_cached += u->blocks_cached;
    sum->window_blocks += u->window_blocks;
    sum->window_blocks_used += u->window_blocks_used;
    sum->window_blocks_cached += u->window_blocks_cached;
    sum->done += u->done;
    sum->cancelled += u->cancelled;
    sum->prompt_tokens += u->prompt_tokens;
    sum->cached_tokens += u->cached_tokens;
    sum->completion_tokens += u->completion_tokens;
    sum->preempted += u->preempted;
}

static bool tell(room *r, const ops_dispatch_model *m, bool (*fn)(void *u, const ops_served *s), void *u)
{
    ops_served s = {.model = *m, .workers = r->ids, .at = r->at};
    s.model.use = (ops_dispatch_use){0};
    for (size_t i = 0; i < r->n; i++) {
        const ops_dispatch_model *here = model_of(&r->worker[i], m);
        const int64_t since = r->worker[i].attached_unix_ns;
        if (here == NULL)
            continue;
        s.since_unix_ns = s.since_unix_ns == 0 || since < s.since_unix_ns ? since : s.since_unix_ns;
        if (earlier_stream(r, i))
            continue;
        r->ids[s.n] = r->worker[i].worker_id;
        r->at[s.n++] = here;
        add_use(&s.model.use, &here->use);
    }
    return fn(u, &s);
}

ops_status ops_served_walk(ops_dispatch *d, bool (*fn)(void *u, const ops_served *s), void *u,
                           ops_err *reterr)
{
    OPS_AUTO(ops_free) void *block = ops_calloc(1, sizeof(room));
    room *r = block;
    if (r == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "the list of models");
    r->n = ops_dispatch_workers(d, r->worker, OPS_DISPATCH_WORKERS_MAX);
    r->n = r->n < OPS_DISPATCH_WORKERS_MAX ? r->n : OPS_DISPATCH_WORKERS_MAX;
    bool more = true;
    for (size_t i = 0; i < r->n; i++)
        for (size_t k = 0; more && k < r->worker[i].model_count; k++)
            if (!told_before(r, i, &r->worker[i].models[k]))
                more = tell(r, &r->worker[i].models[k], fn, u);
    return OPS_OK;
}
