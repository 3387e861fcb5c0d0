/* The daemon's side of workers: the dispatch, the door they attach at, the worker inside, and what they are asked. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log/log.h"
#include "opsd/daemon.h"

enum { DRAIN_MS = 2000, NICE_MAX = 19 };

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

static void on_session_answer(void *u, uint32_t part, uint64_t stream, uint64_t ticket,
                              const ops_session_answer *a)
{
    ops_err err;
    if (ops_owners_answer(((opsd_daemon *)u)->owners, part, stream, ticket, a, &err) != OPS_OK)
        OPS_LOG(OPS_LOG_WARN, "session_answer_dropped", OPS_KV_INT("partition", part),
                OPS_KV_STR("why", err.msg));
}

/* Templates that the last process mined and had not embedded when it ended are asked for again. */
ops_status opsd_models_open(opsd_daemon *d, ops_err *reterr)
{
    const ops_dispatch_conf dc = {.dead = on_dead, .dead_ctx = d};
    ops_status st = ops_dispatch_new(&dc, &d->dispatch, reterr);
    if (st == OPS_OK)
        st = opsd_meaning_new(d->dispatch, d->finder, &d->meaning, reterr);
    const ops_learner_conf lc = {.dispatch = d->dispatch, .answer = on_session_answer, .u = d};
    if (st == OPS_OK && ops_conf_bool(d->conf, KEY_ANALYSIS_TRAINED))
        st = ops_learner_new(&lc, &d->learner, reterr);
    const uint64_t partitions = ops_conf_uint(d->conf, KEY_STORAGE_PARTITIONS);
    for (uint32_t i = 0; st == OPS_OK && i < partitions; i++)
        ops_owners_templates(d->owners, i, want_unless_known, d);
    return st;
}

static void load_one(opsd_daemon *d, const opsd_named_model *m)
{
    ops_err err = {.msg = ""};
    if (m->path[0] == '\0')
        return;
    if (opsd_named_model_add(m, &d->model_conf, d->runner, &err) == OPS_OK)
        OPS_LOG(OPS_LOG_INFO, "model_loaded", OPS_KV_STR("model", m->path));
    else
        OPS_LOG(OPS_LOG_ERROR, "model_not_loaded", OPS_KV_STR("model", m->path), OPS_KV_STR("why", err.msg));
}

/* Threads inherit it: on a small machine the models yield to ingest, but not all of it. At 5 a thread of theirs beside one of ingest
 * on the same processor has a quarter of it (the kernel's weights are 335 and 1024), so a chat goes on at that; at 15 it was one part in
 * thirty. Bulk can not be told from chat here: one thread computes both, and without privileges nice only goes up. */
static void yield_to_ingest(const ops_conf *c)
{
    const id_t self = (id_t)gettid(); /* a thread has a nice value of its own here */
    const int wish = getpriority(PRIO_PROCESS, self) + (int)ops_conf_uint(c, KEY_WORKER_NICE);
    (void)setpriority(PRIO_PROCESS, self, wish < NICE_MAX ? wish : NICE_MAX);
}

/* Reading a model takes a second or more, which ingest does not wait for: a thread makes the worker and loads them. */
static void load_models(void *u)
{
    opsd_daemon *d = u;
    ops_err err = {.msg = ""};
    yield_to_ingest(d->conf);
    opsd_model_conf(d->conf, &d->model_conf);
    const ops_runner_opener opener = ops_model_opener(&d->model_conf);
    ops_status st = ops_runner_new(NULL, 0, NULL, &d->runner, &err);
    if (st == OPS_OK)
        st = ops_runner_open_with(d->runner, &opener, &err);
    if (st == OPS_OK)
        st = ops_local_worker_over(d->dispatch, "local", 0, d->runner, &d->local_worker, &err);
    if (st != OPS_OK) {
        OPS_LOG(OPS_LOG_ERROR, "no_worker_inside", OPS_KV_STR("why", err.msg),
                OPS_KV_STR("mode", "statistics only"));
        return;
    }
    load_one(d, &d->named.embeds);
    load_one(d, &d->named.writes);
}

/* A default model that is not there is no failure: the analysis works without, and says so. One that was named is. */
ops_status opsd_models_start(opsd_daemon *d, ops_err *reterr)
{
    if (ops_conf_uint(d->conf, KEY_ROLE) != ROLE_ALL)
        return OPS_OK;
    const ops_status st = opsd_named_models_find(d->conf, &d->named, reterr);
    if (st != OPS_OK || d->named.off)
        return st;
    if (d->named.embeds.path[0] == '\0')
        OPS_LOG(OPS_LOG_INFO, "no_model", OPS_KV_STR("mode", "statistics only"));
    return ops_thread_start(load_models, d, "model", &d->model_thread, reterr);
}

void opsd_models_stop(opsd_daemon *d)
{
    opsd_meaning_stop(d->meaning);
    ops_learner_stop(d->learner);
    ops_thread_join(OPS_STEAL(d->model_thread));
    ops_local_worker_free(OPS_STEAL(d->local_worker), DRAIN_MS);
    ops_runner_free(OPS_STEAL(d->runner));
}

void opsd_models_close(opsd_daemon *d)
{
    ops_dispatch_free(d->dispatch);
    ops_attach_rpc_free(d->attach);
    ops_model_service_free(d->model_service);
    opsd_meaning_free(d->meaning);
    ops_learner_free(d->learner);
}
