/* Folding: siblings, the sets of folded places, the lineage and eviction. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/template/miner_state.h"

/* How many siblings make the word at place p a variable; 0: never. The fewer words hold the shape together, the more
 * evidence it takes: "<x> started" may well be a list of different things that start. */
static size_t need(const tmpl *t, size_t p)
{
    size_t words = 0, folded = 0;
    for (size_t i = 0; i < t->n; i++) {
        words += i != p && (t->atoms[i].kind == OPS_ATOM_WORD || t->atoms[i].kind == OPS_ATOM_HELD);
        folded += t->atoms[i].folded;
    }
    if (t->atoms[p].kind != OPS_ATOM_WORD || words == 0 || folded >= MINER_FOLDS_MAX)
        return 0;
    return words >= 4 ? 3 : words == 3 ? 4 : words == 2 ? 6 : 12;
}

static int set_cmp(const fold_set *a, const fold_set *b)
{
    return a->n != b->n ? (a->n < b->n ? -1 : 1) : memcmp(a->at, b->at, a->n);
}

static fold_set set_of(const tmpl *t)
{
    fold_set s = {0};
    for (size_t i = 0; i < t->n && s.n < MINER_FOLDS_MAX; i++)
        if (t->atoms[i].folded)
            s.at[s.n++] = (uint8_t)i;
    return s;
}

static size_t set_place(const fold_sets *f, const fold_set *s)
{
    size_t i = 0;
    while (i < f->n && set_cmp(&f->v[i], s) < 0)
        i++;
    return i;
}

static bool sets_room(ops_miner *m, size_t atoms, const fold_set *s)
{
    const fold_sets *f = &m->sets[atoms];
    size_t i = set_place(f, s);
    return f->n < MINER_SETS_PER_LENGTH_MAX || (i < f->n && set_cmp(&f->v[i], s) == 0);
}

static ops_status set_ref(ops_miner *m, const tmpl *t)
{
    fold_set s = set_of(t);
    if (s.n == 0)
        return OPS_OK;
    fold_sets *f = &m->sets[t->n];
    size_t i = set_place(f, &s);
    if (i < f->n && set_cmp(&f->v[i], &s) == 0) {
        f->v[i].refs++;
        return OPS_OK;
    }
    if (f->n == f->cap) {
        uint32_t cap = f->cap == 0 ? 4 : 2 * f->cap;
        fold_set *v = ops_realloc(f->v, cap * sizeof *v);
        if (v == NULL)
            return OPS_ENOMEM;
        f->v = v;
        f->cap = cap;
    }
    memmove(f->v + i + 1, f->v + i, (f->n - i) * sizeof *f->v);
    s.refs = 1;
    f->v[i] = s;
    f->n++;
    return OPS_OK;
}

static void set_unref(ops_miner *m, const tmpl *t)
{
    fold_set s = set_of(t);
    fold_sets *f = &m->sets[t->n];
    size_t i = set_place(f, &s);
    if (s.n == 0 || i >= f->n || set_cmp(&f->v[i], &s) != 0 || --f->v[i].refs > 0)
        return;
    memmove(f->v + i, f->v + i + 1, (f->n - i - 1) * sizeof *f->v);
    f->n--;
}

static size_t sibling_count(const ops_miner *m, uint64_t key)
{
    return (size_t)(uintptr_t)ops_map64_get(m->siblings, key);
}

static ops_status sibling_add(ops_miner *m, uint64_t key, int by)
{
    size_t n = sibling_count(m, key);
    if (by < 0) {
        if (n <= 1)
            (void)ops_map64_del(m->siblings, key);
        else
            return ops_map64_put(m->siblings, key, (void *)(uintptr_t)(n - 1),
                                 NULL); /* replaces: needs no memory */
        return OPS_OK;
    }
    return ops_map64_put(m->siblings, key, (void *)(uintptr_t)(n + 1), NULL);
}

ops_status ops_miner_fold_register(ops_miner *m, tmpl *t)
{
    if (set_ref(m, t) != OPS_OK)
        return OPS_ENOMEM;
    for (size_t i = 0; i < t->n; i++) {
        if (t->atoms[i].kind != OPS_ATOM_WORD ||
            sibling_add(m, t->hash + ops_shape_delta(t->atoms[i].hash, i), 1) == OPS_OK)
            continue;
        while (i-- > 0)
            if (t->atoms[i].kind == OPS_ATOM_WORD)
                (void)sibling_add(m, t->hash + ops_shape_delta(t->atoms[i].hash, i), -1);
        set_unref(m, t);
        return OPS_ENOMEM;
    }
    return OPS_OK;
}

void ops_miner_fold_unregister(ops_miner *m, tmpl *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->atoms[i].kind == OPS_ATOM_WORD)
            (void)sibling_add(m, t->hash + ops_shape_delta(t->atoms[i].hash, i), -1);
    set_unref(m, t);
}

tmpl *ops_miner_fold_match(ops_miner *m, const ops_shape *sh)
{
    const fold_sets *f = &m->sets[sh->n];
    for (size_t i = 0; i < f->n; i++) {
        const fold_set *s = &f->v[i];
        uint64_t h = sh->hash;
        bool held = false;
        for (size_t k = 0; k < s->n; k++) {
            h += ops_shape_delta(sh->atoms[s->at[k]].hash, s->at[k]);
            held |= sh->atoms[s->at[k]].kind == OPS_ATOM_HELD;
        }
        tmpl *t = h == sh->hash || held ? NULL : ops_miner_find(m, ops_miner_id_of(h));
        if (t != NULL && !t->catch_all)
            return t;
    }
    return NULL;
}

/* Remembers that a saved record is to be erased. */
static void bury(ops_map64 *dead, uint64_t id)
{
    if (ops_map64_put(dead, id, dead, NULL) != OPS_OK)
        return; /* a stale record stays in the store; loading skips what the lineage says is folded */
}

ops_status ops_miner_fold_row(ops_miner *m, uint64_t old_id, uint64_t new_id)
{
    if (m->folds_n == m->folds_cap && m->folds_cap < m->lim.lineage_max) {
        size_t cap = m->folds_cap == 0 ? 64 : 2 * m->folds_cap;
        cap = cap > m->lim.lineage_max ? m->lim.lineage_max : cap;
        fold_row *v = ops_malloc(cap * sizeof *v);
        if (v == NULL)
            return OPS_ENOMEM;
        for (size_t i = 0; i < m->folds_n; i++)
            v[i] = m->folds[(m->folds_at + i) % m->folds_cap];
        ops_free(m->folds);
        m->folds = v;
        m->folds_at = 0;
        m->folds_cap = cap;
    }
    if (ops_map64_put(m->lineage, old_id, (void *)(uintptr_t)new_id, NULL) != OPS_OK)
        return OPS_ENOMEM;
    if (m->folds_n == m->folds_cap) { /* full: the eldest row is forgotten */
        const fold_row *gone = &m->folds[m->folds_at];
        (void)ops_map64_del(m->lineage, gone->old_id);
        if (gone->seq < m->folds_saved_seq)
            bury(m->dead_folds, gone->old_id);
        m->folds_at = (m->folds_at + 1) % m->folds_cap;
        m->folds_n--;
    }
    m->folds[(m->folds_at + m->folds_n++) % m->folds_cap] = (fold_row){old_id, new_id, m->fold_seq++};
    (void)ops_map64_del(m->dead_folds, old_id);
    m->fold_count++;
    m->meta_dirty = true;
    return OPS_OK;
}

/* Retires `t`, whose counts have moved to `into` and whose lineage row is written. */
static void retire(ops_miner *m, tmpl *t)
{
    ops_miner_fold_unregister(m, t);
    (void)ops_map64_del(m->by_id, t->id);
    if (t->saved)
        bury(m->dead, t->id);
    ops_miner_drop(m, t);
}

/* The template of t's shape with a variable at p, registered and linked; NULL without memory or room. */
static tmpl *folded_from(ops_miner *m, const tmpl *t, size_t p)
{
    const tmpl_atom *a = &t->atoms[p];
    ops_strbuf_clear(&m->text);
    ops_strbuf_put(&m->text, t->text, a->off);
    ops_strbuf_str(&m->text, "<*>");
    ops_strbuf_put(&m->text, t->text + a->off + a->len, t->text_n - a->off - a->len);
    if (m->text.failed)
        return NULL;
    tmpl *f = ops_tmpl_new(t->n, m->text.p, m->text.n);
    if (f == NULL)
        return NULL;
    memcpy(f->atoms, t->atoms, t->n * sizeof t->atoms[0]);
    for (size_t i = p + 1; i < f->n; i++)
        f->atoms[i].off = f->atoms[i].off + 3 - a->len;
    f->atoms[p] = (tmpl_atom){
        .hash = OPS_SHAPE_VAR_HASH, .off = a->off, .len = 3, .kind = OPS_ATOM_VAR, .folded = true};
    f->hash = t->hash + ops_shape_delta(a->hash, p);
    f->id = ops_miner_id_of(f->hash);
    f->seq = m->seq;
    if (ops_map64_put(m->by_id, f->id, f, NULL) != OPS_OK || ops_miner_fold_register(m, f) != OPS_OK) {
        (void)ops_map64_del(m->by_id, f->id);
        ops_tmpl_free(f);
        return NULL;
    }
    m->seq++;
    (void)ops_map64_del(m->dead, f->id);
    ops_miner_link(m, f);
    ops_miner_touch(m, f);
    return f;
}

/* Place p of a template that was a variable by its form is one by folding too from here on. */
static bool mark_folded(ops_miner *m, tmpl *f, size_t p)
{
    if (f->atoms[p].folded)
        return true;
    fold_set s = set_of(f);
    if (s.n >= MINER_FOLDS_MAX)
        return false;
    set_unref(m, f);
    f->atoms[p].folded = true;
    s = set_of(f);
    if (!sets_room(m, f->n, &s) || set_ref(m, f) != OPS_OK) {
        f->atoms[p].folded = false;
        (void)set_ref(m, f); /* its room was just freed */
        return false;
    }
    ops_miner_touch(m, f);
    return true;
}

/* Folds every live template that differs from shape `hash` by a word at place p. */
static tmpl *fold_at(ops_miner *m, const tmpl *like, size_t p, uint64_t hash)
{
    uint64_t id = ops_miner_id_of(hash);
    if (ops_map64_get(m->lineage, id) != NULL)
        return NULL; /* that shape was folded or evicted itself */
    fold_set s = set_of(like);
    tmpl *f = ops_map64_get(m->by_id, id);
    if (f == NULL) {
        size_t k = s.n;
        while (k > 0 && s.at[k - 1] > p) {
            s.at[k] = s.at[k - 1];
            k--;
        }
        s.at[k] = (uint8_t)p;
        s.n++;
        if (!sets_room(m, like->n, &s) || (f = folded_from(m, like, p)) == NULL)
            return NULL;
    } else if (f->n != like->n || !mark_folded(m, f, p)) {
        return NULL;
    }
    for (tmpl *t = m->first, *next; t != NULL; t = next) {
        next = t->next;
        if (t->n != f->n || t == f || t->catch_all || t->atoms[p].kind != OPS_ATOM_WORD ||
            t->hash + ops_shape_delta(t->atoms[p].hash, p) != hash)
            continue;
        if (ops_miner_fold_row(m, t->id, f->id) != OPS_OK)
            break; /* the rest folds when the next sibling is born */
        ops_miner_absorb(m, f, t);
        retire(m, t);
    }
    m->epoch++;
    return f;
}

tmpl *ops_miner_fold_try(ops_miner *m, tmpl *t)
{
    for (bool again = true; again;) {
        again = false;
        for (size_t p = 0; p < t->n && !again; p++) {
            uint64_t key = t->hash;
            size_t k = need(t, p);
            if (t->atoms[p].kind == OPS_ATOM_VAR) {
                if (sibling_count(m, key) > 0 && !t->atoms[p].folded)
                    (void)fold_at(m, t, p, key); /* words that stood where a variable now shows itself */
                continue;
            }
            if (k == 0)
                continue;
            key += ops_shape_delta(t->atoms[p].hash, p);
            tmpl *f = ops_map64_get(m->by_id, ops_miner_id_of(key));
            if (sibling_count(m, key) + (f != NULL && !f->catch_all ? 2 : 0) < k)
                continue;
            uint64_t id = t->id; /* t may be gone after this */
            f = fold_at(m, t, p, key);
            if (f != NULL && ops_map64_get(m->by_id, id) != t) {
                t = f;
                again = true;
            }
        }
    }
    return t;
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
        if (ops_miner_fold_row(m, v[i].t->id, all->id) != OPS_OK)
            break;
        ops_miner_absorb(m, all, v[i].t);
        retire(m, v[i].t);
        m->evicted++;
    }
    ops_free(v);
}
