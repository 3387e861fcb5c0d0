/* The blocks of a sequence, of the layers that look at everything and of those with a window. */
#include "worker/engine/schedule_internal.h"

static bool held(const ops_seq *q, int k)
{
    return k >= q->window_from && k < q->n_blocks;
}

static void drop_last(ops_schedule *s, ops_seq *q)
{
    const int k = q->n_blocks - 1;
    if (s->window != NULL && held(q, k))
        ops_kv_window_release(s->window, q->windows[k]);
    ops_kv_pool_release(s->pool, q->blocks[k]);
    q->n_blocks = k;
}

void schedule_let_go(ops_schedule *s, ops_seq *q)
{
    while (q->n_blocks > 0)
        drop_last(s, q);
    q->done = q->n_sealed = q->window_from = 0;
    q->tail = q->start;
}

/* The first block of the window that a token at `place` looks at. */
static int looks_from(const ops_schedule *s, int place)
{
    const int first = place - s->conf.window + 1;
    return first > 0 ? first / ops_kv_pool_block_tokens(s->pool) : 0;
}

/* Blocks of the window before the `from`th are let go. */
static void slide(ops_schedule *s, ops_seq *q, int from)
{
    for (; q->window_from < from && q->window_from < q->n_blocks; q->window_from++) {
        ops_kv_window_release(s->window, q->windows[q->window_from]);
        q->windows[q->window_from] = -1;
    }
}

int schedule_spare(const ops_schedule *s)
{
    const int all = ops_kv_pool_available(s->pool);
    const int window = s->window != NULL ? ops_kv_window_available(s->window) : all;
    return all < window ? all : window;
}

bool schedule_has_room(const ops_schedule *s, const ops_seq *q, int spare)
{
    const int each = ops_kv_pool_block_tokens(s->pool), blocks = (q->n + each) / each;
    if (ops_kv_pool_available(s->pool) < blocks - q->n_blocks + spare)
        return false;
    if (s->window == NULL)
        return true;
    const int rest = blocks - q->window_from, has = q->n_blocks - q->window_from;
    const int needs = (rest < s->window_needs ? rest : s->window_needs) - has;
    return ops_kv_window_available(s->window) >= (needs > 0 ? needs : 0) + spare;
}

/* The last in order that has no turn in this step and comes after q; NULL: none. */
static ops_seq *victim(const ops_schedule *s, const ops_seq *q)
{
    for (ops_seq *v = s->running.last; v != NULL && v != q && schedule_before(q, v); v = v->prev)
        if (v->turn_step != s->steps && v->n_blocks > 0)
            return v;
    return NULL;
}

/* May somebody lose its place for its next block? For the window no more is taken so than it needs to go on. */
static bool may_displace(const ops_schedule *s, const ops_seq *q)
{
    return ops_kv_pool_available(s->pool) == 0 || q->n_blocks - q->window_from < s->window_needs;
}

int schedule_room(ops_schedule *s, ops_seq *q, int tokens)
{
    const int each = ops_kv_pool_block_tokens(s->pool);
    while (q->n_blocks * each < tokens) {
        ops_seq *v = NULL;
        if (schedule_spare(s) > 0) {
            if (s->window != NULL)
                q->windows[q->n_blocks] = ops_kv_window_take(s->window);
            q->blocks[q->n_blocks++] = ops_kv_pool_take(s->pool);
        } else if (may_displace(s, q) && (v = victim(s, q)) != NULL)
            schedule_preempt(s, v);
        else
            break;
    }
    return q->n_blocks * each;
}

const int32_t *schedule_next_block(const ops_schedule *s, const ops_seq *q)
{
    const int each = ops_kv_pool_block_tokens(s->pool);
    return (q->n_sealed + 1) * each < q->n ? q->ids + (ptrdiff_t)q->n_sealed * each : NULL;
}

/* How many of its blocks, of which those from `had` on were found and have no block of the window yet, leave a next token that
 * finds all it looks at. */
static int usable(const ops_schedule *s, const ops_seq *q, int had)
{
    const int each = ops_kv_pool_block_tokens(s->pool);
    int ret = had, run = had - q->window_from; /* blocks of the window in a row up to here */
    for (int k = had; k < q->n_blocks; k++) {
        run = ops_kv_window_has(s->window, q->blocks[k]) ? run + 1 : 0;
        if (run >= k + 1 - looks_from(s, (k + 1) * each))
            ret = k + 1;
    }
    return ret;
}

/* The found blocks with those of the window beside them; what is of no use without goes back. */
static void find_window(ops_schedule *s, ops_seq *q, int had)
{
    const int each = ops_kv_pool_block_tokens(s->pool), n = usable(s, q, had);
    const int from = looks_from(s, n * each);
    while (q->n_blocks > n)
        ops_kv_pool_release(s->pool, q->blocks[--q->n_blocks]);
    slide(s, q, from < had ? from : had);
    for (int k = had; k < n; k++)
        q->windows[k] = k < from ? -1 : ops_kv_window_find(s->window, q->blocks[k]);
    q->window_from = from > q->window_from ? from : q->window_from;
    q->n_sealed = n;
    q->done = n * each;
    q->tail = n > 0 ? ops_kv_pool_after(s->pool, q->blocks[n - 1]) : q->start;
}

void schedule_find_known(ops_schedule *s, ops_seq *q)
{
    const int each = ops_kv_pool_block_tokens(s->pool), had = q->n_blocks;
    const int32_t *ids = NULL;
    while (q->done == q->n_sealed * each && q->n_blocks == q->n_sealed &&
           (ids = schedule_next_block(s, q)) != NULL) {
        const int32_t block = ops_kv_pool_find(s->pool, &q->tail, ids);
        if (block < 0)
            break;
        q->blocks[q->n_blocks++] = block;
        q->n_sealed++;
        q->done += each;
    }
    if (s->window != NULL && q->n_blocks > had)
        find_window(s, q, had);
}

void ops_schedule_advance(ops_schedule *s, ops_seq *q, int n)
{
    const int each = ops_kv_pool_block_tokens(s->pool);
    q->done += n;
    for (int k; ((k = q->n_sealed) + 1) * each <= q->done; q->n_sealed++) {
        q->blocks[k] = ops_kv_pool_seal(s->pool, q->blocks[k], &q->tail, q->ids + (ptrdiff_t)k * each);
        if (s->window != NULL)
            q->windows[k] = ops_kv_window_join(s->window, q->blocks[k], q->windows[k]);
    }
    if (s->window != NULL)
        slide(s, q, looks_from(s, q->done));
}
