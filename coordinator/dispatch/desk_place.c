/* Which worker a task goes to. */
#include <string.h>

#include "base/text/hash.h"
#include "coordinator/dispatch/desk_internal.h"

enum {
    SCAN_MAX = 256, /* tasks of one line that are looked at in one go; those behind wait for the next */
    CHOKED_MS = 100
};

const ops_dispatch_model *desk_model_for(const desk_worker *w, const ops_desk_task *t)
{
    static const char *const jobs[OPS_DISPATCH_JOB_COUNT] = {[OPS_DISPATCH_EMBED] = "embed",
                                                             [OPS_DISPATCH_GENERATE] = "generate",
                                                             [OPS_DISPATCH_RERANK] = "rerank",
                                                             [OPS_DISPATCH_CLASSIFY] = "classify"};
    if (t->job == OPS_DISPATCH_SEQUENCE)
        return NULL; /* it brings its own */
    for (size_t i = 0; i < w->hello.model_count; i++) {
        const ops_dispatch_model *m = &w->hello.models[i];
        if (strcmp(m->job, jobs[t->job]) == 0 &&
            (t->model.n == 0 || ops_slice_eq(ops_slice_str(m->name), t->model)))
            return m;
    }
    return NULL;
}

static bool serves(const desk_worker *w, const ops_desk_task *t, int64_t now)
{
    return !w->draining && w->choked_until <= now &&
           (w->hello.work_class == OPS_DISPATCH_ANY || w->hello.work_class == t->work_class) &&
           (t->job == OPS_DISPATCH_SEQUENCE ? w->hello.sequences : desk_model_for(w, t) != NULL);
}

/* Room for one more beside what it runs. */
static bool has_room(const desk_worker *w, uint32_t tokens)
{
    if (w->reserved != NULL || (w->running.n > 0 && w->running.head->losses > 0))
        return false;
    return w->running.n == 0 || w->used + tokens <= w->window;
}

static uint64_t weight(const desk_worker *w, const ops_desk_task *t)
{
    const ops_slice id = ops_slice_str(w->hello.worker_id);
    return ops_hash64(t->key.p, t->key.n, ops_hash64(id.p, id.n, 0));
}

/* a is less loaded than b: used / window without a division. */
static bool lighter(const desk_worker *a, const desk_worker *b)
{
    return a->used * (b->window > 0 ? b->window : 1) < b->used * (a->window > 0 ? a->window : 1);
}

static desk_worker *choose(const ops_desk *k, const ops_desk_task *t, int64_t now)
{
    uint64_t sum = t->tokens, count = 0;
    for (const desk_worker *w = k->first; w != NULL; w = w->next)
        if (serves(w, t, now)) {
            sum += w->used;
            count++;
        }
    if (count == 0)
        return NULL;
    const uint64_t bound = (sum * 5 / 4 + count - 1) / count; /* 1.25 of the mean with this task in it */
    desk_worker *best = NULL, *least = NULL;
    uint64_t best_weight = 0;
    for (desk_worker *w = k->first; w != NULL; w = w->next) {
        if (!serves(w, t, now) || !has_room(w, t->tokens))
            continue;
        if (least == NULL || lighter(w, least))
            least = w;
        const uint64_t here = weight(w, t);
        if ((w->used + t->tokens <= bound || w->used == 0) && (best == NULL || here > best_weight)) {
            best = w;
            best_weight = here;
        }
    }
    return best != NULL ? best : least;
}

/* An idle worker for a task that was lost once; when all are busy, one is kept free for it. */
static desk_worker *choose_alone(ops_desk *k, ops_desk_task *t, int64_t now)
{
    desk_worker *best = NULL, *spare = NULL, *kept = NULL;
    uint64_t best_weight = 0;
    for (desk_worker *w = k->first; w != NULL; w = w->next) {
        if (w->reserved == t && !serves(w, t, now))
            w->reserved = NULL;
        if (!serves(w, t, now) || (w->reserved != NULL && w->reserved != t))
            continue;
        const uint64_t here = weight(w, t);
        if (w->running.n == 0 && (best == NULL || here > best_weight)) {
            best = w;
            best_weight = here;
        }
        if (w->reserved == t)
            kept = w;
        else if (spare == NULL || lighter(w, spare))
            spare = w;
    }
    if (best != NULL)
        desk_free_reservation(k, t);
    else if (kept == NULL && spare != NULL)
        spare->reserved = t;
    return best;
}

/* False: the worker was lost by it, so lists have changed. */
static bool send_task(ops_desk *k, desk_list *line, ops_desk_task *t, desk_worker *w, int64_t now)
{
    const int64_t left = t->deadline_at - now;
    const ops_dispatch_model *m = desk_model_for(w, t);
    t->given = m != NULL ? *m : (ops_dispatch_model){0};
    const ops_dispatch_order order = {.task_id = t->id,
                                      .attempt = t->losses + 1,
                                      .deadline_ms = left > 1 ? (uint32_t)left : 1,
                                      .tokens = t->tokens,
                                      .model = ops_slice_str(t->given.name),
                                      .texts = t->texts,
                                      .text_count = t->text_count,
                                      .job = t->job,
                                      .payload = t->payload};
    const ops_status st = w->port.send(w->port.ctx, &order);
    if (st == OPS_EAGAIN) {
        w->choked_until = now + CHOKED_MS;
        return true;
    }
    if (st != OPS_OK) {
        desk_lose(k, w, st, "its way out is broken", true);
        return false;
    }
    desk_list_remove(line, t);
    desk_list_append(&w->running, t);
    w->used += t->tokens;
    t->sent++;
    return true;
}

static bool any_room(const ops_desk *k, int work_class, int64_t now)
{
    for (const desk_worker *w = k->first; w != NULL; w = w->next)
        if (!w->draining && w->choked_until <= now && has_room(w, 1) &&
            (w->hello.work_class == OPS_DISPATCH_ANY || (int)w->hello.work_class == work_class))
            return true;
    return false;
}

static bool pump_line(ops_desk *k, desk_list *line, int work_class, bool alone, int64_t now)
{
    size_t seen = 0;
    for (ops_desk_task *t = line->head, *next; t != NULL && seen < SCAN_MAX; t = next, seen++) {
        next = t->next;
        if (t->not_before > now)
            continue;
        if (!alone && !any_room(k, work_class, now))
            break;
        desk_worker *w = alone ? choose_alone(k, t, now) : choose(k, t, now);
        if (w != NULL && !send_task(k, line, t, w, now))
            return false;
    }
    return true;
}

/* False: a worker was lost by it. */
static bool pump_class(ops_desk *k, int c, int64_t now)
{
    enum { TURNS = DESK_JOBS - 1 };
    const size_t first = (size_t)c * DESK_JOBS;
    for (int i = 0; i < 2 * TURNS; i++) { /* those that were lost once, then the others */
        const size_t line = first + (k->turn + (unsigned)i) % TURNS;
        const bool alone = i < TURNS;
        if (!pump_line(k, alone ? &k->suspects[line] : &k->fresh[line], c, alone, now))
            return false;
    }
    return pump_line(k, &k->fresh[first + TURNS], c, false, now); /* these are never tried again */
}

void desk_pump(ops_desk *k, int64_t now)
{
    k->turn++;
    for (int c = OPS_DISPATCH_INTERACTIVE; c < OPS_DISPATCH_CLASS_COUNT;) {
        /* A class starts over when a worker was lost by sending: at most once per worker. */
        if (pump_class(k, c, now))
            c++;
    }
}
