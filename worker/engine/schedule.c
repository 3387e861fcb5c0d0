#include "worker/engine/schedule.h"

#include <string.h>

#include "base/mem/alloc.h"

typedef struct queue {
    ops_seq *first, *last;
    int n;
} queue;

struct ops_schedule {
    ops_kv_pool *pool;
    ops_schedule_conf conf;
    queue running, waiting; /* each in order */
    uint64_t steps, orders, preempted;
    /* of the step that is being made */
    ops_turn *turns;
    int n_turns, left, reading_left;
};

ops_status ops_schedule_new(ops_kv_pool *pool, const ops_schedule_conf *conf, ops_schedule **ret,
                            ops_err *reterr)
{
    if (conf->seqs_max < 1 || conf->seqs_max > OPS_SCHEDULE_SEQS_MAX || conf->reading_tokens < 0)
        return ops_fail(reterr, OPS_EINVAL, "%d sequences at once, at most %d", conf->seqs_max,
                        OPS_SCHEDULE_SEQS_MAX);
    ops_schedule *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a schedule");
    s->pool = pool;
    s->conf = *conf;
    *ret = s;
    return OPS_OK;
}

void ops_schedule_free(ops_schedule *s)
{
    ops_free(s);
}

static bool before(const ops_seq *a, const ops_seq *b)
{
    return a->due < b->due || (a->due == b->due && a->order < b->order);
}

static void put_in(queue *l, ops_seq *q)
{
    ops_seq *after = l->last;
    while (after != NULL && before(q, after))
        after = after->prev;
    q->prev = after;
    q->next = after != NULL ? after->next : l->first;
    *(after != NULL ? &after->next : &l->first) = q;
    *(q->next != NULL ? &q->next->prev : &l->last) = q;
    l->n++;
}

static void cut(queue *l, ops_seq *q)
{
    *(q->prev != NULL ? &q->prev->next : &l->first) = q->next;
    *(q->next != NULL ? &q->next->prev : &l->last) = q->prev;
    q->prev = q->next = NULL;
    l->n--;
}

static void let_go(ops_schedule *s, ops_seq *q)
{
    while (q->n_blocks > 0)
        ops_kv_pool_release(s->pool, q->blocks[--q->n_blocks]);
    q->done = q->n_sealed = 0;
    q->tail = q->start;
}

void ops_schedule_add(ops_schedule *s, ops_seq *q)
{
    q->due = s->steps + (uint64_t)q->line * OPS_SCHEDULE_LINE_STEPS;
    q->order = s->orders++;
    q->done = q->cached = q->n_blocks = q->n_sealed = 0;
    q->running = q->counted = false;
    q->turn_step = 0;
    q->tail = q->start;
    put_in(&s->waiting, q);
}

void ops_schedule_remove(ops_schedule *s, ops_seq *q)
{
    let_go(s, q);
    cut(q->running ? &s->running : &s->waiting, q);
    q->running = false;
}

static void preempt(ops_schedule *s, ops_seq *q)
{
    let_go(s, q);
    cut(&s->running, q);
    q->running = false;
    put_in(&s->waiting, q);
    s->preempted++;
}

/* The last in order that has no turn in this step and comes after q; NULL: none. */
static ops_seq *victim(const ops_schedule *s, const ops_seq *q)
{
    for (ops_seq *v = s->running.last; v != NULL && v != q && before(q, v); v = v->prev)
        if (v->turn_step != s->steps && v->n_blocks > 0)
            return v;
    return NULL;
}

/* Blocks for its first `tokens` tokens, as far as they can be had; tokens that they hold. */
static int room_for(ops_schedule *s, ops_seq *q, int tokens)
{
    const int each = ops_kv_pool_block_tokens(s->pool);
    while (q->n_blocks * each < tokens) {
        const int32_t block = ops_kv_pool_take(s->pool);
        ops_seq *v = NULL;
        if (block >= 0)
            q->blocks[q->n_blocks++] = block;
        else if ((v = victim(s, q)) != NULL)
            preempt(s, v);
        else
            break;
    }
    return q->n_blocks * each;
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
    int room = room_for(s, q, q->done + 1) - q->done;
    if (room < 1) { /* it is the last that could give way itself */
        preempt(s, q);
        return;
    }
    if (n > room && ops_kv_pool_available(s->pool) > 0) /* guesses are worth an empty block, nobody's place */
        room = room_for(s, q, q->done + room + 1) - q->done;
    n = n < room ? n : room;
    give_turn(s, q, n, n);
}

/* Does its next block lie wholly in what it knows, with a token to compute behind it? */
static const int32_t *next_block(const ops_schedule *s, const ops_seq *q)
{
    const int each = ops_kv_pool_block_tokens(s->pool);
    return (q->n_sealed + 1) * each < q->n ? q->ids + (ptrdiff_t)q->n_sealed * each : NULL;
}

/* Takes what is known of its next blocks. */
static void find_known(ops_schedule *s, ops_seq *q)
{
    const int each = ops_kv_pool_block_tokens(s->pool);
    const int32_t *ids = NULL;
    while (q->done == q->n_sealed * each && q->n_blocks == q->n_sealed && (ids = next_block(s, q)) != NULL) {
        const int32_t block = ops_kv_pool_find(s->pool, &q->tail, ids);
        if (block < 0)
            break;
        q->blocks[q->n_blocks++] = block;
        q->n_sealed++;
        q->done += each;
    }
}

/* Is somebody before it at the very block that it needs next? */
static bool in_the_making(const ops_schedule *s, const ops_seq *q)
{
    const int each = ops_kv_pool_block_tokens(s->pool);
    const int32_t *ids = next_block(s, q);
    if (ids == NULL || q->done != q->n_sealed * each)
        return false;
    for (const ops_seq *o = s->running.first; o != NULL && o != q; o = o->next) {
        const int32_t *theirs = next_block(s, o);
        if (theirs != NULL && o->tail.a == q->tail.a && o->tail.b == q->tail.b &&
            memcmp(ids, theirs, (size_t)each * sizeof *ids) == 0)
            return before(o, q) || o->turn_step == s->steps;
    }
    return false;
}

/* A piece of what it lacks. */
static void read_on(ops_schedule *s, ops_seq *q)
{
    const int each = ops_kv_pool_block_tokens(s->pool);
    const int may = s->left < s->reading_left ? s->left : s->reading_left;
    int n = q->n - q->done < may ? q->n - q->done : may;
    const int room = room_for(s, q, q->done + n) - q->done;
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
    const int each = ops_kv_pool_block_tokens(s->pool);
    find_known(s, q);
    if (in_the_making(s, q)) {
        let_go(s, q);
        return true;
    }
    const int need = (q->n + each) / each - q->n_blocks; /* with the token that comes next */
    const int spare = s->running.n > 0 ? s->running.n : 0;
    if (ops_kv_pool_available(s->pool) < need + spare && s->running.n > 0) {
        let_go(s, q);
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
        find_known(s, q);
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

void ops_schedule_advance(ops_schedule *s, ops_seq *q, int n)
{
    const int each = ops_kv_pool_block_tokens(s->pool);
    q->done += n;
    for (; (q->n_sealed + 1) * each <= q->done; q->n_sealed++)
        q->blocks[q->n_sealed] = ops_kv_pool_seal(s->pool, q->blocks[q->n_sealed], &q->tail,
                                                  q->ids + (ptrdiff_t)q->n_sealed * each);
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
