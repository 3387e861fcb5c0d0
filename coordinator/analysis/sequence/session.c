#include "coordinator/analysis/sequence/session.h"

#include <stdlib.h>

#include "coordinator/analysis/sequence/sequence.h"

static bool vocab_add(seq_vocab *v, uint64_t event, uint32_t *ret)
{
    size_t id = v->events.n;
    if (!ops_vec_push(&v->events, event))
        return false;
    if (!ops_vec_push(&v->sessions, 0u) || !ops_vec_push(&v->slot, 0u))
        goto undo;
    if (id >= SEQ_FIRST && ops_map64_put(v->ids, event, (void *)(uintptr_t)id, NULL) != OPS_OK)
        goto undo;
    *ret = (uint32_t)id;
    return true;
undo:
    v->events.n = id;
    v->sessions.n = v->sessions.n > id ? id : v->sessions.n;
    v->slot.n = v->slot.n > id ? id : v->slot.n;
    return false;
}

ops_status seq_vocab_init(seq_vocab *v)
{
    uint32_t id;
    v->ids = ops_map64_new();
    if (v->ids == NULL)
        return OPS_ENOMEM;
    for (uint64_t reserved = 0; reserved < SEQ_FIRST; reserved++)
        if (!vocab_add(v, 0, &id))
            return OPS_ENOMEM;
    return OPS_OK;
}

void seq_vocab_done(seq_vocab *v)
{
    ops_map64_free(v->ids);
    ops_vec_done(&v->events);
    ops_vec_done(&v->sessions);
    ops_vec_done(&v->slot);
}

void seq_session_done(seq_session *s)
{
    ops_vec_done(&s->ev);
    ops_vec_done(&s->items);
}

static void note_new(seq_session *s, uint64_t event)
{
    for (size_t i = 0; i < s->new_kinds; i++)
        if (s->new_events[i] == event)
            return;
    if (s->new_kinds < SEQ_NEW_NAMED)
        s->new_events[s->new_kinds++] = event;
}

bool seq_session_map(seq_session *s, seq_vocab *v, const uint64_t *events, size_t n, bool add)
{
    s->ev.n = 0;
    s->new_kinds = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t id = (uint32_t)(uintptr_t)ops_map64_get(v->ids, events[i]);
        if (id == 0) {
            id = SEQ_NONE;
            if (add && v->events.n - SEQ_FIRST < OPS_SEQUENCE_KINDS_MAX) {
                if (!vocab_add(v, events[i], &id))
                    return false;
            } else if (add) {
                v->over++;
            } else if (v->over == 0) { /* with the vocabulary full, unknown says nothing */
                note_new(s, events[i]);
            }
        }
        if (!ops_vec_push(&s->ev, id))
            return false;
    }
    return true;
}

static int by_id(const void *a, const void *b)
{
    const seq_item *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

bool seq_session_items(seq_session *s, seq_vocab *v, const uint32_t *ev, size_t n)
{
    bool ok = true;
    s->items.n = 0;
    for (size_t i = 0; i < n && ok; i++) {
        uint32_t id = ev[i];
        if (id < SEQ_FIRST)
            continue;
        if (v->slot.v[id] == 0) {
            ok = ops_vec_push(&s->items, ((seq_item){id, 0, (uint32_t)i, (uint32_t)i}));
            if (!ok)
                break;
            v->slot.v[id] = (uint32_t)s->items.n;
        }
        seq_item *it = &s->items.v[v->slot.v[id] - 1];
        it->count++;
        it->last = (uint32_t)i;
    }
    for (size_t i = 0; i < s->items.n; i++)
        v->slot.v[s->items.v[i].id] = 0;
    if (ok && s->items.n > 1)
        qsort(s->items.v, s->items.n, sizeof *s->items.v, by_id);
    return ok;
}

size_t seq_session_new(const seq_session *s, const seq_vocab *v)
{
    size_t kinds = s->new_kinds;
    for (size_t i = 0; i < s->items.n; i++)
        kinds += v->sessions.v[s->items.v[i].id] == 0;
    return kinds;
}
