/* Templates with gaps: variable parts whose number of words varies. A gap stands for one or more atoms and whatever glue is
 * between them. A line finds such a template by a pair of words that all of its lines have next to each other. */
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/template/miner_state.h"

static bool fits_atom(const tmpl_atom *a, const ops_atom *s)
{
    if (a->glue != s->glue)
        return false;
    if (a->folded)
        return s->kind == OPS_ATOM_WORD || s->kind == OPS_ATOM_VAR;
    return a->hash == s->hash;
}

static bool fits_run(const tmpl_atom *a, size_t n, const ops_atom *s)
{
    for (size_t i = 0; i < n; i++)
        if (!fits_atom(&a[i], &s[i]))
            return false;
    return true;
}

static bool holds(const ops_atom *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i].kind == OPS_ATOM_HELD)
            return true;
    return false;
}

static size_t run_length(const tmpl *t, size_t from)
{
    size_t to = from;
    while (to < t->n && t->atoms[to].kind != OPS_ATOM_GAP)
        to++;
    return to - from;
}

typedef struct fitting {
    const tmpl *t;
    const ops_shape *sh;
    bool free_gaps;
    tmpl_span *spans; /* NULL: not wanted */
    size_t n;         /* spans so far */
} fitting;

/* Takes `len` atoms of the template from i on as the line's from j on. */
static void take_run(fitting *f, size_t i, size_t len, size_t j)
{
    for (size_t k = 0; k < len && f->spans != NULL; k++)
        if (f->t->atoms[i + k].kind == OPS_ATOM_VAR)
            f->spans[f->n++] = (tmpl_span){(uint8_t)(j + k), (uint8_t)(j + k + 1)};
}

static bool take_gap(fitting *f, size_t from, size_t to, bool last)
{
    if (to <= from || (!last && !f->free_gaps && holds(f->sh->atoms + from, to - from)))
        return false;
    if (f->spans != NULL)
        f->spans[f->n++] = (tmpl_span){(uint8_t)from, (uint8_t)to};
    return true;
}

/* Every run between gaps is taken at its first place, the last one at the end. */
static bool fit(fitting *f)
{
    const tmpl *t = f->t;
    const ops_shape *sh = f->sh;
    size_t len = run_length(t, 0), j = len;
    if (sh->n < t->n || !fits_run(t->atoms, len, sh->atoms))
        return false;
    take_run(f, 0, len, 0);
    for (size_t i = len; i < t->n; i += 1 + len) { /* at a gap */
        len = run_length(t, i + 1);
        bool last = i + 1 + len == t->n;
        if (last && len == 0)
            return take_gap(f, j, sh->n, true);
        size_t at = last ? sh->n - len : j + 1;
        while (!last && at + len <= sh->n && !fits_run(t->atoms + i + 1, len, sh->atoms + at))
            at++;
        if (at + len > sh->n ||
            (last && (sh->tail_glue != t->tail_glue || !fits_run(t->atoms + i + 1, len, sh->atoms + at))))
            return false;
        if (!take_gap(f, j, at, false))
            return false;
        take_run(f, i + 1, len, at);
        if (last)
            return true;
        j = at + len;
    }
    return sh->n == t->n && sh->tail_glue == t->tail_glue;
}

bool ops_tmpl_spans(const tmpl *t, const ops_shape *sh, bool free_gaps, tmpl_span *ret)
{
    fitting f = {.t = t, .sh = sh, .free_gaps = free_gaps, .spans = ret};
    return fit(&f);
}

void ops_tmpl_shape(const tmpl *t, ops_shape *ret)
{
    ret->n = t->n;
    ret->tail_glue = t->tail_glue;
    ret->hash = t->hash;
    for (size_t i = 0; i < t->n; i++) {
        const tmpl_atom *a = &t->atoms[i];
        ret->atoms[i] =
            (ops_atom){.off = a->off, .len = a->len, .glue = a->glue, .kind = a->kind, .hash = a->hash};
    }
}

static size_t constants(const tmpl *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        n += ops_atom_constant(t->atoms[i].kind);
    return n;
}

/* The better of two that fit: more constant words, then the older. */
static tmpl *better(tmpl *a, tmpl *b)
{
    if (a == NULL || b == NULL)
        return a == NULL ? b : a;
    size_t x = constants(a), y = constants(b);
    return x != y ? (x > y ? a : b) : a->seq < b->seq ? a : b;
}

static tmpl *best_of(const ops_miner *m, uint64_t key, const ops_shape *sh)
{
    tmpl *best = NULL;
    size_t seen = 0;
    for (const tmpl_link *l = ops_miner_chain(m, ops_tmpl_key(KEY_ANCHOR, key));
         l != NULL && seen < MINER_WALK_MAX; l = l->next, seen++)
        if (ops_tmpl_spans(l->t, sh, false, NULL))
            best = better(best, l->t);
    return best;
}

tmpl *ops_miner_gap_match(const ops_miner *m, const ops_shape *sh)
{
    tmpl *best = NULL;
    const ops_atom *last = NULL;
    if (m->gap_templates == 0)
        return NULL;
    for (size_t i = 0; i < sh->n; i++) {
        const ops_atom *a = &sh->atoms[i];
        if (!ops_atom_constant(a->kind))
            continue;
        best = better(best, best_of(m, a->hash, sh));
        if (last != NULL)
            best = better(best, best_of(m, ops_miner_bigram(last->hash, a->hash), sh));
        last = a;
    }
    return best;
}

uint64_t ops_tmpl_hash(const tmpl *t)
{
    uint64_t h = ops_shape_start(t->n) + ops_shape_glue_at(t->tail_glue, (size_t)t->n + 0x1000);
    for (size_t i = 0; i < t->n; i++)
        h += ops_shape_place(t->atoms[i].hash, i) + ops_shape_glue_at(t->atoms[i].glue, i);
    return h;
}

/* "t up to its atom `at`" + a gap to the end. The glue before the gap ends with the colon. */
static tmpl *tail_template(ops_miner *m, const tmpl *t, size_t at)
{
    uint32_t end = t->atoms[at - 1].off + t->atoms[at - 1].len;
    const char *colon = memchr(t->text + end, ':', t->atoms[at].off - end);
    ops_strbuf_clear(&m->text);
    ops_strbuf_put(&m->text, t->text, (size_t)(colon + 1 - t->text));
    ops_strbuf_str(&m->text, " ");
    size_t off = m->text.n;
    ops_strbuf_str(&m->text, "<*>");
    tmpl *f = m->text.failed ? NULL : ops_tmpl_new(at + 1, m->text.p, m->text.n);
    if (f == NULL)
        return NULL;
    memcpy(f->atoms, t->atoms, at * sizeof t->atoms[0]);
    f->atoms[at] = (tmpl_atom){
        .hash = OPS_SHAPE_GAP_HASH,
        .off = (uint32_t)off,
        .len = 3,
        .glue = ops_shape_glue_hash(ops_slice_of(f->text + end, off - end), false, false),
        .kind = OPS_ATOM_GAP,
    };
    f->gaps = true;
    f->hash = ops_tmpl_hash(f);
    return f;
}

static tmpl *tail_try(ops_miner *m, tmpl *t)
{
    uint8_t at[MINER_TAILS_MAX];
    uint64_t keys[MINER_TAILS_MAX];
    for (size_t i = ops_tmpl_tails(t, at, keys); i-- > 0;) {
        tmpl *v[MINER_WALK_MAX];
        size_t n = 0;
        if (t->atoms[at[i]].kind == OPS_ATOM_GAP && at[i] + 1u == t->n)
            continue; /* it is one */
        for (tmpl_link *l = ops_miner_chain(m, keys[i]); l != NULL && n < MINER_WALK_MAX; l = l->next)
            v[n++] = l->t;
        if (n < MINER_TAILS_NEEDED)
            continue;
        tmpl *f = tail_template(m, t, at[i]);
        f = f == NULL ? NULL : ops_miner_fold_into(m, f, v, n);
        if (f != NULL)
            return f;
    }
    return t;
}

tmpl *ops_miner_gap_try(ops_miner *m, tmpl *t)
{
    tmpl *f = tail_try(m, t);
    return f != t ? f : ops_miner_skeleton_try(m, t);
}
