#include "worker/serve/catalogue.h"

static void read_use(const ops_runner_model *m, Ops__V1__ModelUse *u)
{
    ops__v1__model_use__init(u);
    u->running = m->made.running;
    u->waiting = m->made.waiting;
    u->blocks = m->blocks;
    u->blocks_used = m->made.blocks_used;
    u->blocks_cached = m->made.blocks_cached;
    u->done = m->made.done;
    u->cancelled = m->made.cancelled;
    u->prompt_tokens = m->made.prompt_tokens;
    u->cached_tokens = m->made.cached_tokens;
    u->completion_tokens = m->made.tokens;
    u->preempted = m->made.preempted;
    u->window_blocks = m->window_blocks;
    u->window_blocks_used = m->made.window_used;
    u->window_blocks_cached = m->made.window_cached;
}

void ops_catalogue_read(ops_runner *r, ops_catalogue *c)
{
    static char generate[] = "generate", embed[] = "embed", rerank[] = "rerank", classify[] = "classify";
    static char *const jobs[] = {[OPS_RUNNER_WRITES] = generate,
                                 [OPS_RUNNER_EMBEDS] = embed,
                                 [OPS_RUNNER_RERANKS] = rerank,
                                 [OPS_RUNNER_CLASSIFIES] = classify};
    c->n = ops_runner_models(r, c->model);
    c->cache_tokens = 0;
    c->writes = false;
    for (size_t i = 0; i < c->n; i++) {
        ops_runner_model *from = &c->model[i];
        Ops__V1__Model *to = c->messages[i] = &c->message[i];
        ops__v1__model__init(to);
        to->name = from->name;
        to->content_hash = from->content_hash;
        to->job = jobs[from->does];
        to->dim = from->dim;
        to->tokens_max = from->tokens_max;
        c->cache_tokens += from->cache_tokens;
        c->writes |= from->does == OPS_RUNNER_WRITES;
        if (from->does != OPS_RUNNER_WRITES)
            continue;
        read_use(from, &c->use[i]);
        to->use = &c->use[i];
    }
}
