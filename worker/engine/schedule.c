#include <string.h>

#include "base/mem/alloc.h"
#include "worker/engine/schedule_internal.h"

ops_status ops_schedule_new(ops_kv_pool *pool, ops_kv_window *window, const ops_schedule_conf *conf,
                            ops_schedule **ret, ops_err *reterr)
{
    if (conf->seqs_max < 1 || conf->seqs_max > OPS_SCHEDULE_SEQS_MAX || conf->reading_tokens < 0)
        return ops_fail(reterr, OPS_EINVAL, "%d sequences at once, at most %d", conf->seqs_max,
                        OPS_SCHEDULE_SEQS_MAX);
    if ((window != NULL) != (conf->window > 0))
        return ops_fail(reterr, OPS_EINVAL, "a window of %d tokens", conf->window);
    const int needs = window != NULL ? ops_kv_window_needs(conf->window, ops_kv_pool_block_tokens(pool)) : 0;
    if (window != NULL && ops_kv_window_blocks(window) < needs)
        return ops_fail(reterr, OPS_EINVAL, "a window of %d tokens needs %d blocks, there are %d",
                        conf->window, needs, ops_kv_window_blocks(window));
    ops_schedule *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a schedule");
    s->pool = pool;
    s->window = window;
    s->window_needs = needs;
    s->conf = *conf;
    *ret = s;
    return OPS_OK;
}

void ops_schedule_free(ops_schedule *s)
{
    ops_free(s);
}

static void put_in(schedule_queue *l, ops_seq *q)
{
    ops_seq *after = l->last;
    while (after != NULL && schedule_before(q, after))
        after = after->prev;
    q->prev = after;
    q->next = after != NULL ? after->next : l->first;
    *(after != NULL ? &after->next : &l->first) = q;
    *(q->next != NULL ? &q->next->prev : &l->last) = q;
    l->n++;
}

static void cut(schedule_queue *l, ops_seq *q)
{
    *(q->prev != NULL ? &q->prev->next : &l->first) = q->next;
    *(q->next != NULL ? &q->next->prev : &l->last) = q->prev;
    q->prev = q->next = NULL;
    l->n--;
}

void ops_schedule_add(ops_schedule *s, ops_seq *q)
{
    q->due = s->steps + (uint64_t)q->line * OPS_SCHEDULE_LINE_STEPS;
    q->order = s->orders++;
    q->done = q->cached = q->n_blocks = q->n_sealed = q->window_from = 0;
    q->running = q->counted = false;
    q->turn_step = 0;
    q->tail = q->start;
    put_in(&s->waiting, q);
}

void ops_schedule_remove(ops_schedule *s, ops_seq *q)
{
    schedule_let_go(s, q);
    cut(q->running ? &s->running : &s->waiting, q);
    q->running = false;
}

void schedule_preempt(ops_schedule *s, ops_seq *q)
{
    schedule_let_go(s, q);
    cut(&s->running, q);
    q->running = false;
    put_in(&s->waiting, q);
    s->preempted++;
}

static void give_turn(ops_schedule *s, ops_seq *q, int n, int outputs)
{
    s->turns[s->n_turns++] = (ops_turn){q, q->done, n, outputs};
    q->turn_step = s->steps;
    s->left -= n;
}

static void write_on(ops_schedule *s, ops_seq *q)
{
    int n = 1 + q->drafts < s->left ? 1 + q->drafts : s->left;
    int room = schedule_room(s, q, q->done + 1) - q->done;
    if (room < 1) { /* it is the last that could give way itself */
        schedule_preempt(s, q);
        return;
    }
    if (n > room && schedule_spare(s) > 0) /* guesses are worth an empty block, nobody's place */
        room = schedule_room(s, q, q->done + room + 1) - q->done;
    n = n < room ? n : room;
    give_turn(s, q, n, n);
}

/* Is somebody before it at the very block that it needs next? */
static bool in_the_making(const ops_schedule *s, const ops_seq *q)
{
    const int each = ops_kv_pool_block_tokens(s->pool);
    const int32_t *ids = schedule_next_block(s, q);
    if (ids == NULL || q->done != q->n_sealed * each)
        return false;
    for (const ops_seq *o = s->running.first; o != NULL && o != q; o = o->next) {
        const int32_t *theirs = schedule_next_block(s, o);
        if (theirs != NULL && o->tail.a == q->tail.a && o->tail.b == q->tail.b &&
            memcmp(ids, theirs, (size_t)each * sizeof *ids) == 0)
            return schedule_before(o, q) || o->turn_step == s->steps;
    }
    return false;
}

/* A piece of what it lacks. */
static void read_on(ops_schedule *s, ops_seq *q)
{
    const int each = ops_kv_pool_block_tokens(s->pool);
    const int may = s->left < s->reading_left ? s->left : s->reading_left;
    int n = q->n - q->done < may ? q->n - q->done : may;
    const int room = schedule_room(s, q, q->done + n) - q->done;
    n = n < room ? n : room;
    const int whole = (q->done + n) / each * each - q->done;
    if (q->done + n < q->n && whole > 0)
        n = whole;
    if (n <= 0)
        return;
    s->reading_left -= n;
    give_turn(s, q, n, q->done + n == q->n);
}

/* Whoever waits in front, as far as it may go. False: nobody behind it is let past. */
static bool let_in(ops_schedule *s, ops_seq *q)
{
    schedule_find_known(s, q);
    if (in_the_making(s, q)) {
        schedule_let_go(s, q);
        return true;
    }
    if (s->running.n > 0 && !schedule_has_room(s, q, s->running.n)) {
        schedule_let_go(s, q);
        return false;
    }
    if (!q->counted)
        q->cached = q->done;
    q->counted = true;
    cut(&s->waiting, q);
    q->running = true;
    put_in(&s->running, q);
    read_on(s, q);
    return true;
}

static void write_all(ops_schedule *s)
{
    for (ops_seq *q = s->running.first, *next; q != NULL && s->left > 0; q = next) {
        next = q->next; /* of the order before anybody lost its place */
        if (q->n - q->done == 1)
            write_on(s, q);
        if (next != NULL && !next->running)
            break; /* it and all behind it lost theirs */
    }
}

static void read_all(ops_schedule *s)
{
    for (ops_seq *q = s->running.first, *next; q != NULL && s->left > 0 && s->reading_left > 0; q = next) {
        next = q->next;
        if (q->turn_step == s->steps || q->n - q->done <= 1)
            continue;
        schedule_find_known(s, q);
        if (in_the_making(s, q))
            continue;
        read_on(s, q);
        if (next != NULL && !next->running)
            break;
    }
    for (ops_seq *q = s->waiting.first, *next;
         q != NULL && s->left > 0 && s->reading_left > 0 && s->running.n < s->conf.seqs_max; q = next) {
        next = q->next;
        if (!let_in(s, q))
            break;
        if (next != NULL && next->running)
            break;
    }
}

int ops_schedule_step(ops_schedule *s, int budget, ops_turn *ret)
{
    s->steps++;
    s->turns = ret;
    s->n_turns = 0;
    s->left = budget;
    write_all(s);
    s->reading_left = s->n_turns > 0 && s->conf.reading_tokens > 0 ? s->conf.reading_tokens : s->left;
    read_all(s);
    return s->n_turns;
}

int ops_schedule_running(const ops_schedule *s)
{
    return s->running.n;
}

int ops_schedule_waiting(const ops_schedule *s)
{
    return s->waiting.n;
}

uint64_t ops_schedule_preempted(const ops_schedule *s)
{
    return s->preempted;
}
