/* The sessions that a stream's model is made of: kept, so that it can be made again. */
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/session/state.h"

bool session_learnt_init(learnt *l)
{
    l->stride = 1;
    l->at = ops_map64_new();
    return l->at != NULL;
}

void session_learnt_done(learnt *l)
{
    ops_map64_free(l->at);
    ops_vec_done(&l->kinds);
    ops_vec_done(&l->pool);
    ops_vec_done(&l->ends);
}

void session_learnt_clear(learnt *l)
{
    for (size_t i = 0; i < l->kinds.n; i++)
        (void)ops_map64_del(l->at, l->kinds.v[i]);
    l->kinds.n = l->pool.n = l->ends.n = 0;
    l->stride = 1;
    l->seen = l->low = l->high = 0;
    l->kinds_dirty = true;
    l->chunk_dirty = UINT8_MAX;
}

size_t session_learnt_n(const learnt *l)
{
    return l->ends.n;
}

static uint32_t start_of(const learnt *l, size_t i)
{
    return i == 0 ? 0 : l->ends.v[i - 1];
}

size_t session_kind(learnt *l, uint64_t kind, bool add)
{
    size_t at = (uintptr_t)ops_map64_get(l->at, kind);
    if (at > 0)
        return at - 1;
    if (!add || l->kinds.n >= KINDS_MAX || !ops_vec_push(&l->kinds, kind))
        return SIZE_MAX;
    if (ops_map64_put(l->at, kind, (void *)(uintptr_t)l->kinds.n, NULL) != OPS_OK) {
        l->kinds.n--;
        return SIZE_MAX;
    }
    l->kinds_dirty = true;
    return l->kinds.n - 1;
}

/* Every second session stays. */
static void thin(learnt *l)
{
    size_t kept = 0, end = 0;
    for (size_t i = 0; i < l->ends.n; i += 2) {
        const size_t from = start_of(l, i), n = l->ends.v[i] - from;
        memmove(l->pool.v + end, l->pool.v + from, n * sizeof *l->pool.v);
        end += n;
        l->ends.v[kept++] = (uint32_t)end;
    }
    l->pool.n = end;
    l->ends.n = kept;
    l->stride *= 2;
    l->chunk_dirty = UINT8_MAX;
}

bool session_learn(learnt *l, const uint64_t *kinds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)session_kind(l, kinds[i], true); /* also of a session that is not taken: it is normal */
    if (l->seen++ % l->stride != 0)
        return true;
    if (l->ends.n == SESSIONS_MAX || l->pool.n + n > POOL_MAX)
        thin(l);
    const size_t before = l->pool.n;
    for (size_t i = 0; i < n; i++) {
        const size_t at = session_kind(l, kinds[i], false);
        if (at != SIZE_MAX && !ops_vec_push(&l->pool, (uint16_t)at))
            goto undo;
    }
    if (!ops_vec_push(&l->ends, (uint32_t)l->pool.n))
        goto undo;
    l->chunk_dirty |= (uint8_t)(1u << (l->ends.n - 1) / CHUNK);
    return true;
undo:
    l->pool.n = before;
    return false;
}

/* A new place for each kind, those that became one sharing it. */
static bool places(learnt *l, const ops_session_view *view, uint16_t place[KINDS_MAX], bool *ret_changed)
{
    ops_map64 *fresh = ops_map64_new();
    size_t n = 0;
    bool ok = fresh != NULL;
    for (size_t i = 0; ok && i < l->kinds.n; i++) {
        const uint64_t now = view->resolve(view->u, l->kinds.v[i]);
        *ret_changed |= now != l->kinds.v[i];
        size_t at = (uintptr_t)ops_map64_get(fresh, now);
        if (at == 0) {
            ok = ops_map64_put(fresh, now, (void *)(uintptr_t)(at = ++n), NULL) == OPS_OK;
        }
        place[i] = (uint16_t)(at - 1);
    }
    if (!ok || !*ret_changed) {
        ops_map64_free(fresh);
        return ok;
    }
    for (size_t i = 0; i < l->kinds.n; i++) /* places never rise, so none is overwritten unread */
        l->kinds.v[place[i]] = view->resolve(view->u, l->kinds.v[i]);
    l->kinds.n = n;
    ops_map64_free(l->at);
    l->at = fresh;
    return true;
}

bool session_learnt_refold(learnt *l, const ops_session_view *view)
{
    uint16_t place[KINDS_MAX];
    bool changed = false;
    if (!places(l, view, place, &changed) || !changed)
        return false;
    for (size_t i = 0; i < l->pool.n; i++)
        l->pool.v[i] = place[l->pool.v[i]];
    l->kinds_dirty = true;
    l->chunk_dirty = UINT8_MAX;
    return true;
}

/* Marks the kinds that the model is made of. */
static void mark_used(learnt *l)
{
    memset(l->used, 0, sizeof l->used);
    for (size_t i = 0; i < l->pool.n; i++)
        l->used[l->pool.v[i] / 64] |= UINT64_C(1) << l->pool.v[i] % 64;
}

bool session_kind_used(const learnt *l, size_t place)
{
    return (l->used[place / 64] >> place % 64 & 1) != 0;
}

ops_sequence *session_learnt_fit(learnt *l)
{
    OPS_AUTO(ops_sequence_free) ops_sequence *m = NULL;
    uint64_t ids[EVENTS_MAX];
    ops_status st = ops_sequence_new(0, &m, NULL);
    for (size_t i = 0; st == OPS_OK && i < l->ends.n; i++) {
        const uint32_t from = start_of(l, i), n = l->ends.v[i] - from;
        for (uint32_t k = 0; k < n; k++)
            ids[k] = l->kinds.v[l->pool.v[from + k]];
        st = ops_sequence_learn(m, ids, n, NULL);
    }
    if (st == OPS_OK)
        st = ops_sequence_fit(m, NULL);
    mark_used(l);
    return st == OPS_OK ? OPS_STEAL(m) : NULL;
}
