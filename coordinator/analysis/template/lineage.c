/* The lineage: which id was folded into which, retiring and eviction. */
#include <stdlib.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/template/miner_state.h"

/* Remembers that a saved record is to be erased. */
static void bury(ops_map64 *dead, uint64_t id)
{
    if (ops_map64_put(dead, id, dead, NULL) != OPS_OK)
        return; /* a stale record stays in the store; loading skips what the lineage says is folded */
}

/* True: there are rows, and when all are taken they are as many as may be. */
static bool grow(ops_miner *m)
{
    if (m->folds_n < m->folds_cap || (m->folds_cap > 0 && m->folds_cap == m->lim.lineage_max))
        return true;
    size_t cap = m->folds_cap == 0 ? 64 : 2 * m->folds_cap;
    cap = cap > m->lim.lineage_max ? m->lim.lineage_max : cap;
    fold_row *v = cap > 0 ? ops_malloc(cap * sizeof *v) : NULL;
    if (v == NULL)
        return false;
    for (size_t i = 0; m->folds_cap > 0 && i < m->folds_n; i++)
        v[i] = m->folds[(m->folds_at + i) % m->folds_cap];
    ops_free(m->folds);
    m->folds = v;
    m->folds_at = 0;
    m->folds_cap = cap;
    return true;
}

/* Forgets the eldest row. */
static void forget_one(ops_miner *m)
{
    fold_row *gone = &m->folds[m->folds_at];
    (void)ops_map64_del(m->lineage, gone->old_id);
    if (gone->seq < m->folds_saved_seq)
        bury(m->dead_folds, gone->old_id);
    ops_free(gone->text);
    m->folds_at = (m->folds_at + 1) % m->folds_cap;
    m->folds_n--;
}

ops_status ops_miner_fold_row(ops_miner *m, fold_row *take_row)
{
    if (!grow(m) ||
        ops_map64_put(m->lineage, take_row->old_id, (void *)(uintptr_t)take_row->new_id, NULL) != OPS_OK) {
        ops_free(take_row->text);
        return OPS_ENOMEM;
    }
    if (m->folds_n == m->folds_cap)
        forget_one(m);
    m->folds[(m->folds_at + m->folds_n++) % m->folds_cap] = *take_row;
    (void)ops_map64_del(m->dead_folds, take_row->old_id);
    m->fold_count++;
    m->meta_dirty = true;
    return OPS_OK;
}

void ops_miner_unfold(ops_miner *m, uint64_t old_id)
{
    if (ops_map64_del(m->lineage, old_id) == NULL)
        return;
    size_t i = 0;
    while (i < m->folds_n && m->folds[(m->folds_at + i) % m->folds_cap].old_id != old_id)
        i++;
    if (i == m->folds_n)
        return;
    fold_row *gone = &m->folds[(m->folds_at + i) % m->folds_cap];
    if (gone->seq < m->folds_saved_seq)
        bury(m->dead_folds, old_id);
    ops_free(gone->text);
    for (; i + 1 < m->folds_n; i++)
        m->folds[(m->folds_at + i) % m->folds_cap] = m->folds[(m->folds_at + i + 1) % m->folds_cap];
    m->folds_n--;
    m->meta_dirty = true;
}

/* The longest start of a text that ends between two characters. */
static uint8_t cut(const tmpl *t)
{
    size_t n = t->text_n < OPS_MINER_FOLD_TEXT_MAX ? t->text_n : OPS_MINER_FOLD_TEXT_MAX;
    while (n > 0 && n < t->text_n && ((uint8_t)t->text[n] & 0xc0) == 0x80)
        n--;
    return (uint8_t)n;
}

ops_status ops_miner_fold_one(ops_miner *m, tmpl *t, tmpl *into, ops_miner_fold_why why)
{
    fold_row row = {.old_id = t->id,
                    .new_id = into->id,
                    .seq = m->fold_seq,
                    .old_count = t->count,
                    .at_ns = m->now_ns,
                    .text_n = cut(t),
                    .why = (uint8_t)why};
    row.text = ops_strndup(t->text, row.text_n);
    if (row.text == NULL || ops_miner_fold_row(m, &row) != OPS_OK)
        return OPS_ENOMEM;
    m->fold_seq++;
    ops_miner_absorb(m, into, t);
    ops_miner_fold_unregister(m, t);
    (void)ops_map64_del(m->by_id, t->id);
    if (t->saved)
        bury(m->dead, t->id);
    ops_miner_drop(m, t);
    return OPS_OK;
}

bool ops_miner_next_fold_info(const ops_miner *m, size_t *iter, ops_miner_fold_info *ret)
{
    if (*iter >= m->folds_n)
        return false;
    const fold_row *r = &m->folds[(m->folds_at + *iter) % m->folds_cap];
    *ret = (ops_miner_fold_info){.old_id = r->old_id,
                                 .new_id = r->new_id,
                                 .at_ns = r->at_ns,
                                 .old_count = r->old_count,
                                 .old_text = ops_slice_of(r->text, r->text_n),
                                 .why = (ops_miner_fold_why)r->why};
    (*iter)++;
    return true;
}

bool ops_miner_next_fold(const ops_miner *m, size_t *iter, uint64_t *ret_old, uint64_t *ret_new)
{
    ops_miner_fold_info info;
    if (!ops_miner_next_fold_info(m, iter, &info))
        return false;
    *ret_old = info.old_id;
    *ret_new = info.new_id;
    return true;
}

typedef struct rank {
    uint64_t count, last_line;
    tmpl *t;
} rank;

static int rank_cmp(const void *pa, const void *pb)
{
    const rank *a = pa, *b = pb;
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    return a->last_line < b->last_line ? -1 : a->last_line > b->last_line;
}

/* Makes room: a sixteenth of the templates, rarest and longest unseen first, folds into the catch-all. */
void ops_miner_evict(ops_miner *m)
{
    tmpl *all = ops_miner_catch_all(m);
    rank *v = all == NULL ? NULL : ops_malloc(m->live * sizeof *v);
    if (v == NULL)
        return;
    size_t n = 0;
    for (tmpl *t = m->first; t != NULL; t = t->next)
        if (!t->catch_all)
            v[n++] = (rank){t->count, t->last_line, t};
    qsort(v, n, sizeof *v, rank_cmp);
    for (size_t i = 0; i < n / 16 + 1 && i < n; i++) {
        if (ops_miner_fold_one(m, v[i].t, all, OPS_MINER_FOLD_EVICTED) != OPS_OK)
            break;
        m->evicted++;
    }
    ops_free(v);
}
