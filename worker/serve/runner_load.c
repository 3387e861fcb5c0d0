/* Models asked for at run time, one after the other on a thread of their own: reading one takes seconds. */
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/serve/runner_internal.h"

typedef struct load {
    bool unload;
    const char *path, *name; /* behind it */
    ops_runner_loaded done;
    void *ctx;
} load_;

static ops_status add_model(ops_runner *r, const load_ *l, ops_err *reterr)
{
    ops_engine *engine = NULL;
    ops_writer *writer = NULL;
    ops_status st = r->opener.open(r->opener.ctx, l->path, l->name, &engine, &writer, reterr);
    if (st == OPS_OK)
        st = ops_runner_add(r, engine, writer, reterr);
    if (st != OPS_OK) {
        ops_engine_free(engine);
        ops_writer_free(writer);
    }
    return st;
}

static void load_all(void *arg)
{
    ops_runner *r = arg;
    void *m = NULL;
    while (ops_mailbox_take(r->loads, -1, &m) == OPS_OK) {
        load_ *l = m;
        ops_err err = {.msg = ""};
        pthread_mutex_lock(&r->lock);
        const bool stopping = r->loads_end;
        pthread_mutex_unlock(&r->lock);
        const ops_status st = stopping    ? ops_fail(&err, OPS_ECANCELLED, "the worker stops")
                              : l->unload ? ops_runner_remove(r, l->name, &err)
                                          : add_model(r, l, &err);
        l->done(l->ctx, st, st == OPS_OK ? "" : err.msg);
        ops_free(l);
    }
}

ops_status ops_runner_open_with(ops_runner *r, const ops_runner_opener *opener, ops_err *reterr)
{
    ops_status st = ops_mailbox_new(OPS_RUNNER_LOADS_MAX, 0, &r->loads, reterr);
    if (st != OPS_OK)
        return st;
    r->opener = *opener;
    return ops_thread_start(load_all, r, "models", &r->load_thread, reterr);
}

void runner_end_loads(ops_runner *r)
{
    pthread_mutex_lock(&r->lock);
    r->loads_end = true;
    pthread_mutex_unlock(&r->lock);
    if (r->loads != NULL)
        ops_mailbox_close(r->loads);
    ops_thread_join(r->load_thread);
    ops_mailbox_free(r->loads);
}

static ops_status put(ops_runner *r, bool unload, const char *path, const char *name, ops_runner_loaded done,
                      void *ctx, ops_err *reterr)
{
    const size_t path_n = strlen(path) + 1, name_n = strlen(name) + 1;
    if (r->load_thread == NULL)
        return ops_fail(reterr, OPS_EUNIMPL, "the models of this worker stay as they are");
    if (path_n > OPS_RUNNER_PATH_MAX || name_n > OPS_ENGINE_NAME_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "a path of %zu bytes, a name of %zu: at most %d and %d",
                        path_n - 1, name_n - 1, OPS_RUNNER_PATH_MAX - 1, OPS_ENGINE_NAME_MAX - 1);
    load_ *l = ops_malloc(sizeof *l + path_n + name_n);
    if (l == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a model to load");
    char *at = (char *)(l + 1);
    *l = (load_){.unload = unload,
                 .path = memcpy(at, path, path_n),
                 .name = memcpy(at + path_n, name, name_n),
                 .done = done,
                 .ctx = ctx};
    const ops_status st = ops_mailbox_post(r->loads, l, 0);
    if (st == OPS_OK)
        return OPS_OK;
    ops_free(l);
    return st == OPS_EAGAIN ? ops_fail(reterr, st, "%d models wait to be loaded or unloaded, the most",
                                       OPS_RUNNER_LOADS_MAX)
                            : ops_fail(reterr, st, "the worker stops");
}

ops_status ops_runner_load(ops_runner *r, const char *path, const char *name, ops_runner_loaded done,
                           void *ctx, ops_err *reterr)
{
    return put(r, false, path, name, done, ctx, reterr);
}

ops_status ops_runner_unload(ops_runner *r, const char *name, ops_runner_loaded done, void *ctx,
                             ops_err *reterr)
{
    return put(r, true, "", name, done, ctx, reterr);
}
