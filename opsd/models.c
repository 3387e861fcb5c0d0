/* The daemon's side of workers: the dispatch, the door they attach at, the worker inside, and what they are asked. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log/log.h"
#include "opsd/daemon.h"
#include "worker/engine/engine_bert.h"

enum { DRAIN_MS = 2000, MODEL_NICE = 15 };

static void on_dead(void *ctx, const ops_dispatch_dead *dead)
{
    opsd_daemon *d = ctx;
    const ops_deadletter letter = {.time_ns = ops_clock_wall_ns(ops_clock_system()),
                                   .tenant = OPS_SLICE("default"),
                                   .door = "worker",
                                   .reason = dead->reason,
                                   .detail = ops_slice_str(dead->detail),
                                   .head = dead->text_count > 0 ? dead->texts[0] : (ops_slice){0}};
    ops_deadletters_add(d->dead, &letter);
    ops_ledger_count(d->ledger, OPS_LEDGER_DEAD, dead->reason, 1);
}

static bool want_unless_known(void *u, ops_slice tenant, const ops_template_info *t)
{
    opsd_daemon *d = u;
    if (!ops_finder_has_vector(d->finder, tenant, t->id))
        opsd_meaning_want(d->meaning, tenant, (ops_slice){0}, t->id, t->text);
    return true;
}

/* Templates that the last process mined and had not embedded when it ended are asked for again. */
ops_status opsd_models_open(opsd_daemon *d, ops_err *reterr)
{
    const ops_dispatch_conf dc = {.dead = on_dead, .dead_ctx = d};
    ops_status st = ops_dispatch_new(&dc, &d->dispatch, reterr);
    if (st == OPS_OK)
        st = opsd_meaning_new(d->dispatch, d->finder, &d->meaning, reterr);
    const uint64_t partitions = ops_conf_uint(d->conf, KEY_STORAGE_PARTITIONS);
    for (uint32_t i = 0; st == OPS_OK && i < partitions; i++)
        ops_owners_templates(d->owners, i, want_unless_known, d);
    return st;
}

/* Reading a model takes a second or more, which ingest does not wait for: a thread does it, and attaches the worker. */
static void load_model(void *u)
{
    opsd_daemon *d = u;
    ops_err err = {0};
    ops_engine *engine = NULL;
    const ops_engine_bert_conf ec = {.folder = d->model_folder,
                                     .weights = (ops_kern_type)ops_conf_uint(d->conf, KEY_WORKER_PRECISION),
                                     .threads = (uint32_t)ops_conf_uint(d->conf, KEY_WORKER_THREADS)};
    /* Threads inherit it: on a small machine the model yields to ingest. A thread has a nice value of its own here. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), MODEL_NICE);
    ops_status st = ops_engine_bert_open(&ec, &engine, &err);
    if (st == OPS_OK)
        st = ops_local_worker_new(d->dispatch, "local", 0, engine, &d->local_worker, &err);
    if (st == OPS_OK)
        OPS_LOG(OPS_LOG_INFO, "worker_inside", OPS_KV_STR("model", d->model_folder));
    else
        OPS_LOG(OPS_LOG_ERROR, "no_worker_inside", OPS_KV_STR("why", err.msg),
                OPS_KV_STR("mode", "statistics only"));
}

/* A default model that is not there is no failure: the analysis works without, and says so. One that was named is. */
ops_status opsd_models_start(opsd_daemon *d, ops_err *reterr)
{
    char probe[1100];
    const char *given = ops_conf_str(d->conf, KEY_WORKER_MODEL);
    if (ops_conf_uint(d->conf, KEY_ROLE) != ROLE_ALL || strcmp(given, "off") == 0)
        return OPS_OK;
    ops_err err = {0};
    ops_status st = OPS_OK;
    if (given[0] != '\0')
        (void)snprintf(d->model_folder, sizeof d->model_folder, "%s", given);
    else
        st = ops_engine_bert_folder("all-MiniLM-L6-v2", d->model_folder, sizeof d->model_folder, &err);
    (void)snprintf(probe, sizeof probe, "%s/config.json", d->model_folder);
    if (st == OPS_OK && access(probe, R_OK) == 0)
        return ops_thread_start(load_model, d, "model", &d->model_thread, reterr);
    if (given[0] != '\0')
        return ops_fail(reterr, OPS_EINVAL, "worker.model: %s cannot be read", probe);
    OPS_LOG(OPS_LOG_INFO, "no_model", OPS_KV_STR("folder", d->model_folder),
            OPS_KV_STR("mode", "statistics only"));
    return OPS_OK;
}

void opsd_models_stop(opsd_daemon *d)
{
    opsd_meaning_stop(d->meaning);
    ops_thread_join(OPS_STEAL(d->model_thread));
    ops_local_worker_free(d->local_worker, DRAIN_MS);
    d->local_worker = NULL;
}

void opsd_models_close(opsd_daemon *d)
{
    ops_dispatch_free(d->dispatch);
    ops_attach_rpc_free(d->attach);
    opsd_meaning_free(d->meaning);
}
