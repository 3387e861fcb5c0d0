/* Models of workers: what they have, and what they are asked to load and unload. */
#include <string.h>

#include "coordinator/dispatch/desk_internal.h"

enum { DEADLINE_MS = 10 * 60 * 1000 };

ops_status ops_desk_check_models(const ops_dispatch_model *models, size_t n, ops_err *reterr)
{
    if (n > OPS_DISPATCH_MODELS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%zu models: at most %d", n, OPS_DISPATCH_MODELS_MAX);
    for (size_t i = 0; i < n; i++)
        if (models[i].name[0] == '\0' || models[i].dim > 65536 ||
            (models[i].dim < 1 && strcmp(models[i].job, "embed") == 0))
            return ops_fail(reterr, OPS_EINVAL, "model %zu has no name, or vectors of %u floats", i,
                            models[i].dim);
    return OPS_OK;
}

static bool same_models(const ops_dispatch_hello *h, const ops_dispatch_model *models, size_t n)
{
    if (h->model_count != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(h->models[i].name, models[i].name) != 0 || strcmp(h->models[i].job, models[i].job) != 0)
            return false;
    return true;
}

bool ops_desk_models(ops_desk *k, uint64_t attachment, const ops_dispatch_model *models, size_t n,
                     int64_t now)
{
    desk_worker *w = desk_find(k, attachment);
    if (w == NULL)
        return false;
    const bool changed = !same_models(&w->hello, models, n);
    w->seen_at = now;
    if (n > 0) /* none may come without an array */
        memcpy(w->hello.models, models, n * sizeof *models);
    w->hello.model_count = n;
    desk_pump(k, now);
    return changed;
}

/* Takes it off the list before its `done`. */
static void end_errand(ops_desk *k, size_t i, ops_status st, const char *message)
{
    const desk_errand e = k->errands[i];
    k->errands[i] = k->errands[--k->errand_count];
    e.done(e.ctx, st, message);
}

void ops_desk_errand(ops_desk *k, const ops_dispatch_errand *e, uint64_t id, int64_t now)
{
    const desk_worker *to = NULL;
    for (const desk_worker *w = k->first; w != NULL; w = w->next)
        if (strcmp(w->hello.worker_id, e->worker_id) == 0 &&
            (to == NULL || w->hello.work_class > to->hello.work_class))
            to = w; /* the stream on which nobody waits */
    ops_status st = to == NULL                                    ? OPS_ENOTFOUND
                    : to->port.errand == NULL                     ? OPS_EUNIMPL
                    : k->errand_count >= OPS_DISPATCH_ERRANDS_MAX ? OPS_EAGAIN
                                                                  : to->port.errand(to->port.ctx, id, e);
    if (st != OPS_OK) {
        e->done(e->ctx, st,
                to == NULL          ? "no such worker is attached"
                : st == OPS_EUNIMPL ? "the models of this worker stay as they are"
                                    : "the worker cannot be asked now");
        return;
    }
    k->errands[k->errand_count++] =
        (desk_errand){.id = id,
                      .attachment = to->attachment,
                      .deadline_at = now + (e->deadline_ms != 0 ? e->deadline_ms : DEADLINE_MS),
                      .done = e->done,
                      .ctx = e->ctx};
}

void ops_desk_errand_answered(ops_desk *k, uint64_t attachment, uint64_t id, ops_status st,
                              const char *message, int64_t now)
{
    desk_worker *w = desk_find(k, attachment);
    if (w != NULL)
        w->seen_at = now;
    for (size_t i = 0; i < k->errand_count; i++)
        if (k->errands[i].id == id && k->errands[i].attachment == attachment) {
            end_errand(k, i, st, message);
            return;
        }
}

void desk_errands_expire(ops_desk *k, int64_t now)
{
    for (size_t i = k->errand_count; i-- > 0;)
        if (k->errands[i].deadline_at <= now)
            end_errand(k, i, OPS_ETIMEOUT, "the worker did not say in time what became of it");
}

void desk_errands_end(ops_desk *k, uint64_t attachment, ops_status why, const char *message)
{
    for (size_t i = k->errand_count; i-- > 0;)
        if (attachment == 0 || k->errands[i].attachment == attachment)
            end_errand(k, i, why, message);
}
