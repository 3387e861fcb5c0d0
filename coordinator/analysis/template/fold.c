/* Folding of siblings: shapes that differ in one word. The sets of folded places, by which a line finds what was folded. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/template/miner_state.h"

/* How many siblings make the word at place p a variable; 0: never. The fewer words hold the shape together, the more
 * evidence it takes: "<x> started" may well be a list of different things that start. */
static size_t need(const tmpl *t, size_t p, size_t constant, size_t folded)
{
    size_t words = constant - (t->atoms[p].kind == OPS_ATOM_WORD);
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
    fold_set s = {0}; /* a template with gaps has none: it is found by its anchors */
    for (size_t i = 0; i < t->n && !t->gaps && s.n < MINER_FOLDS_MAX; i++)
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

static size_t sibling_count(const ops_miner *m, uint64_t key, size_t enough)
{
    size_t n = 0;
    for (const tmpl_link *l = ops_miner_chain(m, key); l != NULL && n < enough; l = l->next)
        n++;
    return n;
}

ops_status ops_miner_fold_register(ops_miner *m, tmpl *t)
{
    if (set_ref(m, t) != OPS_OK)
        return OPS_ENOMEM;
    if (ops_miner_index(m, t) == OPS_OK)
        return OPS_OK;
    set_unref(m, t);
    return OPS_ENOMEM;
}

void ops_miner_fold_unregister(ops_miner *m, tmpl *t)
{
    ops_miner_unindex(m, t);
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
    f->atoms[p].hash = OPS_SHAPE_VAR_HASH;
    f->atoms[p].len = 3;
    f->atoms[p].kind = OPS_ATOM_VAR;
    f->atoms[p].folded = true;
    f->gaps = t->gaps;
    f->tail_glue = t->tail_glue;
    f->hash = t->hash + ops_shape_delta(a->hash, p);
    if (ops_tmpl_plain_copy(f, t) != OPS_OK) {
        ops_tmpl_free(f);
        return NULL;
    }
    return ops_miner_enter(m, f) == OPS_OK ? f : NULL;
}

bool ops_miner_fold_room(ops_miner *m, const tmpl *t)
{
    fold_set s = set_of(t);
    return s.n == 0 || sets_room(m, t->n, &s);
}

tmpl *ops_miner_fold_into(ops_miner *m, tmpl *take_f, tmpl *const *v, size_t n)
{
    uint64_t id = ops_miner_id_of(take_f->hash);
    tmpl *f = ops_map64_get(m->by_id, id);
    if (ops_map64_get(m->lineage, id) != NULL) { /* folded or evicted before */
        ops_tmpl_free(take_f);
        return NULL;
    }
    if (f != NULL)
        ops_tmpl_free(take_f);
    else if (ops_miner_enter(m, f = take_f) != OPS_OK)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (v[i] != f && ops_miner_fold_one(m, v[i], f, OPS_MINER_FOLD_ALIKE) != OPS_OK)
            break; /* the rest folds when the next of them is born */
    m->epoch++;
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
    uint64_t key = ops_tmpl_key(KEY_SIBLING, hash);
    for (tmpl_link *l = ops_miner_chain(m, key), *next; l != NULL; l = next) {
        next = l->next;
        if (l->t != f && ops_miner_fold_one(m, l->t, f, OPS_MINER_FOLD_ALIKE) != OPS_OK)
            break; /* the rest folds when the next sibling is born */
    }
    m->epoch++;
    return f;
}

/* Makes the first place of t that its siblings allow a variable; t when there is none. */
static tmpl *fold_once(ops_miner *m, tmpl *t)
{
    size_t constant = 0, folded = 0;
    for (size_t p = 0; p < t->n; p++) {
        constant += ops_atom_constant(t->atoms[p].kind);
        folded += t->atoms[p].folded;
    }
    for (size_t p = 0; p < t->n; p++) {
        uint64_t hash = t->hash, id = t->id;
        if (t->atoms[p].kind == OPS_ATOM_VAR) {
            if (!t->atoms[p].folded && ops_miner_chain(m, ops_tmpl_key(KEY_SIBLING, hash)) != NULL)
                (void)fold_at(m, t, p, hash); /* words that stood where a variable now shows itself */
            continue;
        }
        size_t k = need(t, p, constant, folded);
        if (k == 0)
            continue;
        hash += ops_shape_delta(t->atoms[p].hash, p);
        tmpl *f = ops_map64_get(m->by_id, ops_miner_id_of(hash));
        if (sibling_count(m, ops_tmpl_key(KEY_SIBLING, hash), k) + (f != NULL && !f->catch_all ? 2 : 0) < k)
            continue;
        f = fold_at(m, t, p, hash); /* t may be gone after this */
        if (f != NULL && ops_map64_get(m->by_id, id) != t)
            return f;
    }
    return t;
}

tmpl *ops_miner_fold_try(ops_miner *m, tmpl *t)
{
    for (;;) {
        tmpl *f = fold_once(m, t);
        if (f == t)
            f = ops_miner_gap_try(m, t);
        if (f == t)
            return t;
        t = f;
    }
}
