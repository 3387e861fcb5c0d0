#include "opsd/local/workers.h"

#include <stdio.h>

#include "base/mem/alloc.h"

static bool tell_one(ops_dispatch_worker *w, bool (*fn)(void *u, const Ops__V1__Worker *m), void *u)
{
    static const char *const suffix[OPS_DISPATCH_CLASS_COUNT] = {"", "/interactive", "/triage", "/bulk"};
    char id[OPS_DISPATCH_NAME_MAX + 16], ready[] = "ready", draining[] = "draining";
    char *models[OPS_DISPATCH_MODELS_MAX];
    (void)snprintf(id, sizeof id, "%s%s", w->worker_id, suffix[w->work_class]);
    for (size_t i = 0; i < w->model_count; i++)
        models[i] = w->models[i].name;
    Ops__V1__Worker m = OPS__V1__WORKER__INIT;
    m.id = id;
    m.address = w->address;
    m.state = w->draining ? draining : ready;
    m.n_models = w->model_count;
    m.models = models;
    m.tasks_running = w->tasks_running;
    m.tasks_done = w->tasks_done;
    m.tasks_failed = w->tasks_failed;
    m.credits = w->credits;
    m.attached_time_unix_nano = w->attached_unix_ns;
    m.heartbeat_time_unix_nano = w->heartbeat_unix_ns;
    return fn(u, &m);
}

ops_status ops_workers_tell(ops_dispatch *d, bool (*fn)(void *u, const Ops__V1__Worker *m), void *u,
                            ops_err *reterr)
{
    OPS_AUTO(ops_free) void *block = ops_calloc(OPS_DISPATCH_WORKERS_MAX, sizeof(ops_dispatch_worker));
    ops_dispatch_worker *all = block;
    if (all == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "the list of workers");
    const size_t n = ops_dispatch_workers(d, all, OPS_DISPATCH_WORKERS_MAX);
    for (size_t i = 0; i < n && i < OPS_DISPATCH_WORKERS_MAX; i++)
        if (!tell_one(&all[i], fn, u))
            break;
    return OPS_OK;
}
