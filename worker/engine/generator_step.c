/* The engine's thread: requests come in and go out, and a step is put together, computed and taken apart. */
#include <string.h>

#include "worker/engine/generator_internal.h"

static void tell_counts(ops_generator *g)
{
    g->now.running = (uint32_t)ops_schedule_running(g->schedule);
    g->now.preempted = ops_schedule_preempted(g->schedule);
    g->now.blocks_used = (uint32_t)(ops_kv_pool_blocks(g->pool) - ops_kv_pool_available(g->pool));
    g->now.blocks_cached = (uint32_t)ops_kv_pool_known(g->pool);
    if (g->window != NULL) {
        g->now.window_used = (uint32_t)(ops_kv_window_blocks(g->window) - ops_kv_window_available(g->window));
        g->now.window_cached = (uint32_t)ops_kv_window_known(g->window);
    }
    pthread_mutex_lock(&g->lock);
    g->now.waiting = (uint32_t)(g->inbox.n + (size_t)ops_schedule_waiting(g->schedule));
    const uint64_t submitted = g->told.submitted, refused = g->told.refused;
    g->told = g->now;
    g->told.submitted = submitted;
    g->told.refused = refused;
    pthread_mutex_unlock(&g->lock);
}

/* It is over; whoever asked is told, and it is gone. */
static void end(ops_generator *g, ops_generation *r, const generation_over *how)
{
    const ops_generator_result result = {.status = how->status,
                                         .message = how->message,
                                         .end = how->end,
                                         .prompt_tokens = (uint32_t)r->prompt,
                                         .cached_tokens = (uint32_t)r->seq.cached,
                                         .tokens = (uint32_t)(r->seq.n - r->prompt),
                                         .seed = r->seed};
    g->now.cached_tokens += (uint64_t)r->seq.cached;
    ops_schedule_remove(g->schedule, &r->seq);
    generation_cut(&g->under_way, r);
    *(how->status == OPS_OK           ? &g->now.done
      : how->status == OPS_ECANCELLED ? &g->now.cancelled
      : how->status == OPS_ETIMEOUT   ? &g->now.expired
                                      : &g->now.failed) += 1;
    pthread_mutex_lock(&g->lock);
    g->open--;
    pthread_mutex_unlock(&g->lock);
    r->done(r->ctx, &result);
    ops_form *form = r->form;
    generation_free(r);
    ops_forms_let_go(g->forms, form);
}

static void begin(ops_generator *g, ops_generation *r)
{
    generation_over over;
    generation_put(&g->under_way, r);
    ops_schedule_add(g->schedule, &r->seq);
    if (!generation_begin(g, r, &over))
        end(g, r, &over);
}

static void take_inbox(ops_generator *g)
{
    pthread_mutex_lock(&g->lock);
    generation_list in = g->inbox;
    g->inbox = (generation_list){NULL, NULL, 0};
    pthread_mutex_unlock(&g->lock);
    while (in.first != NULL) {
        ops_generation *r = in.first;
        generation_cut(&in, r);
        begin(g, r);
    }
}

static bool is_cancelled(ops_generator *g, const ops_generation *r)
{
    pthread_mutex_lock(&g->lock);
    const bool yes = r->cancelled || g->stopping;
    pthread_mutex_unlock(&g->lock);
    return yes;
}

static void drop_over(ops_generator *g)
{
    const int64_t now = ops_clock_mono_ns(g->clock);
    for (ops_generation *r = g->under_way.first, *next; r != NULL; r = next) {
        next = r->next;
        const bool cancelled = is_cancelled(g, r);
        const generation_over over = {cancelled ? OPS_ECANCELLED : OPS_ETIMEOUT,
                                      cancelled ? "called off" : "its time is over", OPS_GENERATOR_STOP};
        if (cancelled || now >= r->deadline_ns)
            end(g, r, &over);
    }
}

static void put_masks(ops_generator *g, int n_turns)
{
    size_t row = 0;
    for (int i = 0; i < n_turns; i++) {
        const ops_generation *r = g->turns[i].seq->owner;
        for (int k = 0; k < g->turns[i].outputs; k++, row++) {
            uint32_t *to = g->mask + row * g->mask_words;
            if (r->mask != NULL)
                memcpy(to, r->mask, g->mask_words * sizeof *to);
            else
                memset(to, 0xff, g->mask_words * sizeof *to);
        }
    }
}

/* How many of the greatest logits the outputs need, and whether one needs all of them. */
static int greatest_needed(const ops_generator *g, int n_turns, bool *ret_all)
{
    int most = 0;
    *ret_all = false;
    for (int i = 0; i < n_turns; i++) {
        const ops_generation *r = g->turns[i].seq->owner;
        const int one = g->turns[i].outputs > 0 ? ops_sampler_needs(r->sampler, (int)r->n_top) : 0;
        most = one > most ? one : most;
        *ret_all = *ret_all || (one > 0 && ops_sampler_needs_all(r->sampler));
    }
    return most;
}

static void put_table(int32_t *row, size_t entries, const int32_t *blocks, int n)
{
    for (size_t k = 0; k < entries; k++)
        row[k] = (int)k < n ? blocks[k] : -1;
}

static ops_status compute(ops_generator *g, int n_turns, uint32_t *ret_tokens, ops_err *reterr)
{
    ops_lm_batch b = {.seqs = n_turns,
                      .ids = g->ids,
                      .rows = g->rows,
                      .table = g->table,
                      .window_table = g->window_table,
                      .out = g->out};
    const size_t entries = (size_t)ops_lm_table(g->parts.lm);
    bool masked = false, all = false;
    for (int i = 0; i < n_turns; i++) {
        const ops_turn *t = &g->turns[i];
        const ops_seq *q = t->seq;
        for (int k = 0; k < t->n; k++) {
            g->ids[b.tokens] = q->ids[t->from + k];
            g->rows[2 * b.tokens] = i;
            g->rows[2 * b.tokens + 1] = t->from + k;
            if (k >= t->n - t->outputs)
                g->out[b.outputs++] = b.tokens;
            b.tokens++;
        }
        put_table(g->table + (size_t)i * entries, entries, q->blocks, q->n_blocks);
        if (g->window_table != NULL)
            put_table(g->window_table + (size_t)i * entries, entries, q->windows, q->n_blocks);
        masked = masked || (t->outputs > 0 && ((const ops_generation *)q->owner)->mask != NULL);
    }
    if (masked) {
        put_masks(g, n_turns);
        b.mask = g->mask;
    }
    *ret_tokens = (uint32_t)b.tokens;
    g->top = greatest_needed(g, n_turns, &all);
    return g->top > 0
               ? ops_lm_step_greatest(g->parts.lm, &b, g->top, g->greatest, all ? g->logits : NULL, reterr)
               : ops_lm_step(g->parts.lm, &b, NULL, reterr);
}

/* Takes the outputs of a turn, from `row` on: a token, and as many guesses behind it as it confirms. */
static void go_on(ops_generator *g, const ops_turn *t, size_t row)
{
    ops_generation *r = t->seq->owner;
    const int known = t->n - (t->outputs > 0 ? t->outputs - 1 : 0); /* tokens that are no guesses */
    generation_over how = {OPS_OK, "", OPS_GENERATOR_STOP};
    bool goes_on = true;
    int right = 0;
    for (int i = 0; i < t->outputs && goes_on; i++) {
        const int32_t guess = i + 1 < t->outputs ? r->ids[r->seq.n] : -1;
        int32_t id = -1;
        goes_on = generation_write(g, r, row + (size_t)i, &id, &how);
        if (id != guess || !goes_on)
            break;
        right++;
    }
    generation_guessed(g, r, t->outputs - 1, right);
    ops_schedule_advance(g->schedule, &r->seq, known + right);
    if (!goes_on)
        end(g, r, &how);
}

static void count(ops_generator *g, int n_turns)
{
    g->now.steps++;
    for (int i = 0; i < n_turns; i++) {
        const ops_turn *t = &g->turns[i];
        const ops_generation *r = t->seq->owner;
        if (t->from < r->prompt)
            g->now.prompt_tokens += (uint64_t)(t->from + t->n < r->prompt ? t->n : r->prompt - t->from);
    }
}

static void take_apart(ops_generator *g, int n_turns, ops_status st)
{
    const generation_over failed = {st, "the device failed", OPS_GENERATOR_STOP};
    size_t row = 0;
    count(g, n_turns);
    for (int i = 0; i < n_turns; i++) {
        const ops_turn t = g->turns[i];
        if (st == OPS_OK)
            go_on(g, &t, row);
        else
            end(g, t.seq->owner, &failed);
        row += (size_t)t.outputs;
    }
}

uint32_t ops_generator_step(ops_generator *g, uint32_t budget)
{
    uint32_t tokens = 0;
    ops_err err;
    const uint32_t most = budget > 0 && budget < g->step_tokens ? budget : g->step_tokens;
    take_inbox(g);
    drop_over(g);
    if (g->guesses_max > 0)
        generator_guess(g);
    const int n = ops_schedule_step(g->schedule, (int)most, g->turns);
    if (n > 0)
        take_apart(g, n, compute(g, n, &tokens, &err));
    tell_counts(g);
    return tokens;
}

void generator_drop_all(ops_generator *g)
{
    take_inbox(g);
    drop_over(g);
}
