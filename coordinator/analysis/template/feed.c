/* Values of lines into the statistics of slots, and the bound on what these take. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/template/miner_state.h"

enum { COUNT_EVERY = 64 }; /* lines of a template after which the bytes of its statistics are counted again */

static ops_slice text_of(const ops_shape *sh, tmpl_span s, const char *text)
{
    const ops_atom *a = &sh->atoms[s.from], *z = &sh->atoms[s.to - 1];
    return ops_slice_of(text + a->off, z->off + z->len - a->off);
}

void ops_miner_feed_drop(ops_miner *m, tmpl *t)
{
    ops_slots_free(t->slots);
    m->slots_bytes -= t->slots_bytes;
    t->slots = NULL;
    t->slots_bytes = 0;
}

static int longer_unseen(const void *pa, const void *pb)
{
    const tmpl *const *a = pa, *const *b = pb;
    return (*a)->last_line < (*b)->last_line ? -1 : (*a)->last_line > (*b)->last_line;
}

/* Drops the statistics of the quarter of templates that were not seen for longest. */
static void make_room(ops_miner *m)
{
    tmpl **v = ops_malloc((m->live + 2) * sizeof *v);
    if (v == NULL)
        return; /* over the bound until the next try */
    size_t n = 0;
    for (tmpl *t = m->first; t != NULL; t = t->next)
        if (t->slots != NULL)
            v[n++] = t;
    qsort(v, n, sizeof(tmpl *), longer_unseen);
    for (size_t i = 0; i < n / 4 + 1 && i < n; i++)
        ops_miner_feed_drop(m, v[i]);
    ops_free(v);
}

static void count_bytes(ops_miner *m, tmpl *t)
{
    m->slots_bytes -= t->slots_bytes;
    t->slots_bytes = (uint32_t)ops_slots_bytes(t->slots);
    m->slots_bytes += t->slots_bytes;
    if (m->slots_bytes > m->lim.slots_bytes_max)
        make_room(m);
}

static bool have_slots(tmpl *t)
{
    if (t->slots == NULL)
        t->slots = ops_slots_new();
    return t->slots != NULL;
}

void ops_tmpl_values(const tmpl *t, const ops_shape *sh, line_spans *ret)
{
    tmpl_span spans[OPS_SHAPE_ATOMS_MAX];
    ret->n = 0;
    if (t->catch_all || (t->gaps && !ops_tmpl_spans(t, sh, true, spans)))
        return;
    for (size_t i = 0; i < t->n; i++) {
        if (t->atoms[i].kind != OPS_ATOM_VAR && t->atoms[i].kind != OPS_ATOM_GAP)
            continue;
        tmpl_span s = t->gaps ? spans[ret->n] : (tmpl_span){(uint8_t)i, (uint8_t)(i + 1)};
        const ops_atom *a = &sh->atoms[s.from], *z = &sh->atoms[s.to - 1];
        ret->v[ret->n++] = (ops_shape_span){a->off, z->off + z->len - a->off};
    }
}

void ops_miner_feed(ops_miner *m, tmpl *t, ops_slice line, const line_spans *spans)
{
    if (t->catch_all || !have_slots(t))
        return;
    for (size_t i = 0; i < spans->n; i++)
        ops_slots_note(t->slots, i, ops_slice_of(line.p + spans->v[i].off, spans->v[i].len), 1);
    if (t->count % COUNT_EVERY == 0 || t->slots_bytes == 0)
        count_bytes(m, t);
}

static bool variable(uint8_t kind)
{
    return kind == OPS_ATOM_VAR || kind == OPS_ATOM_GAP;
}

void ops_miner_feed_fold(ops_miner *m, tmpl *into, const tmpl *from)
{
    tmpl_span spans[OPS_SHAPE_ATOMS_MAX];
    size_t map[OPS_SHAPE_ATOMS_MAX], slot_of[OPS_SHAPE_ATOMS_MAX] = {0}, slots = 0, n = 0;
    if (!m->lim.slots || into->catch_all || from->count == 0 || !have_slots(into))
        return;
    ops_tmpl_shape(from, &m->other);
    if (into->gaps && !ops_tmpl_spans(into, &m->other, true, spans))
        return;
    for (size_t i = 0; i < from->n; i++)
        if (variable(from->atoms[i].kind)) {
            map[slots] = OPS_SLOTS_NONE;
            slot_of[i] = slots++;
        }
    for (size_t i = 0; i < into->n; i++) {
        if (!variable(into->atoms[i].kind))
            continue;
        tmpl_span s = into->gaps ? spans[n] : (tmpl_span){(uint8_t)i, (uint8_t)(i + 1)};
        if (s.to - s.from == 1 && variable(from->atoms[s.from].kind))
            map[slot_of[s.from]] = n;
        else
            ops_slots_note(into->slots, n, text_of(&m->other, s, from->text), from->count);
        n++;
    }
    if (from->slots != NULL)
        (void)!ops_slots_merge(into->slots, from->slots, map); /* without memory a part is missing */
    count_bytes(m, into);
}

const ops_slots *ops_miner_slots(const ops_miner *m, uint64_t id)
{
    const tmpl *t = ops_miner_find(m, id);
    return t == NULL ? NULL : t->slots;
}

void ops_miner_slots_due(ops_miner *m, size_t bytes)
{
    m->slots_due = bytes;
    for (tmpl *t = m->first; t != NULL; t = t->next)
        if (t->slots != NULL && t->slots_saved != t->count)
            ops_miner_touch(m, t);
}
