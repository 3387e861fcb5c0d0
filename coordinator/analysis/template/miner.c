#include "coordinator/analysis/template/miner.h"

#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/utf8.h"
#include "coordinator/analysis/template/miner_state.h"

#define CATCH_ALL_HASH 0x6f7073642d616c6cull

uint64_t ops_miner_id_of(uint64_t hash)
{
    uint64_t id = ops_hash_mix(hash + OPS_MINER_VERSION * 0x9e3779b97f4a7c15ull);
    return id != 0 ? id : 1;
}

void ops_tmpl_free(tmpl *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < OPS_MINER_EXAMPLES_MAX; i++)
        ops_free(t->examples[i]);
    ops_free(t->text);
    ops_free(t->links);
    ops_free(t->plain);
    ops_slots_free(t->slots);
    ops_free(t);
}

tmpl *ops_tmpl_new(size_t atoms, const char *text, size_t text_n)
{
    tmpl *t = ops_calloc(1, sizeof *t + atoms * sizeof t->atoms[0]);
    if (t == NULL)
        return NULL;
    t->text = ops_strndup(text_n > 0 ? text : "", text_n);
    if (t->text == NULL) {
        ops_free(t);
        return NULL;
    }
    t->text_n = (uint32_t)text_n;
    t->n = (uint16_t)atoms;
    return t;
}

static size_t clamp(size_t v, size_t low, size_t high, size_t preset)
{
    if (v == 0)
        v = preset;
    return v < low ? low : v > high ? high : v;
}

ops_status ops_miner_new(const ops_miner_limits *limits, ops_miner **ret, ops_err *reterr)
{
    OPS_AUTO(ops_miner_free) ops_miner *m = ops_calloc(1, sizeof *m);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "template miner");
    ops_miner_limits l = limits != NULL ? *limits : (ops_miner_limits){0};
    m->lim.templates_max = clamp(l.templates_max, 256, 1 << 20, 16384);
    m->lim.line_bytes_max = clamp(l.line_bytes_max, 64, 1 << 24, 65536);
    m->lim.example_bytes_max = clamp(l.example_bytes_max, 16, 4096, 256);
    m->lim.lineage_max = clamp(l.lineage_max, m->lim.templates_max, 8 << 20, 4 * m->lim.templates_max);
    m->lim.slots = l.slots;
    m->lim.slots_bytes_max = clamp(l.slots_bytes_max, 1 << 16, (size_t)1 << 34, 8 << 20);
    m->epoch = 1;
    m->effort = MINER_EFFORT_MAX;
    m->meta_dirty = true;
    ops_strbuf_init(&m->clean, 3 * m->lim.line_bytes_max + 16);
    ops_strbuf_init(&m->text, 1 << 20);
    m->by_id = ops_map64_new();
    m->chains = ops_map64_new();
    m->lineage = ops_map64_new();
    m->dead = ops_map64_new();
    m->dead_folds = ops_map64_new();
    m->loaded_slots = ops_map64_new();
    if (m->by_id == NULL || m->chains == NULL || m->lineage == NULL || m->dead == NULL ||
        m->dead_folds == NULL || m->loaded_slots == NULL ||
        ops_miner_memo_size(m, MINER_SLOTS_LEAST) != OPS_OK)
        return ops_fail(reterr, OPS_ENOMEM, "template miner");
    *ret = OPS_STEAL(m);
    return OPS_OK;
}

void ops_miner_free(ops_miner *m)
{
    if (m == NULL)
        return;
    for (tmpl *t = m->first, *next; t != NULL; t = next) {
        next = t->next;
        ops_tmpl_free(t);
    }
    for (size_t i = 0; i < m->folds_n; i++)
        ops_free(m->folds[(m->folds_at + i) % m->folds_cap].text);
    for (size_t i = 0; i <= OPS_SHAPE_ATOMS_MAX; i++)
        ops_free(m->sets[i].v);
    size_t iter = 0;
    uint64_t id;
    void *slots;
    while (ops_map64_next(m->loaded_slots, &iter, &id, &slots))
        ops_slots_free(slots);
    ops_map64_free(m->loaded_slots);
    ops_map64_free(m->by_id);
    ops_map64_free(m->chains);
    ops_map64_free(m->lineage);
    ops_map64_free(m->dead);
    ops_map64_free(m->dead_folds);
    ops_free(m->folds);
    ops_miner_memo_free(m);
    ops_miner_pins_free(m->pins, m->pins_n);
    ops_strbuf_done(&m->clean);
    ops_strbuf_done(&m->text);
    ops_free(m);
}

tmpl *ops_miner_find(const ops_miner *m, uint64_t id)
{
    return ops_map64_get(m->by_id, ops_miner_resolve(m, id));
}

uint64_t ops_miner_resolve(const ops_miner *m, uint64_t id)
{
    /* A row is only written for a template that then dies and stays dead while the row lives: no circles. */
    for (void *next; (next = ops_map64_get(m->lineage, id)) != NULL;)
        id = (uint64_t)(uintptr_t)next;
    return id;
}

void ops_miner_touch(ops_miner *m, tmpl *t)
{
    m->meta_dirty = true;
    if (t->dirty)
        return;
    t->dirty = true;
    t->dirty_next = m->dirty;
    t->dirty_prev = NULL;
    if (m->dirty != NULL)
        m->dirty->dirty_prev = t;
    m->dirty = t;
}

void ops_miner_clean(ops_miner *m, tmpl *t)
{
    if (!t->dirty)
        return;
    if (t->dirty_prev != NULL)
        t->dirty_prev->dirty_next = t->dirty_next;
    else
        m->dirty = t->dirty_next;
    if (t->dirty_next != NULL)
        t->dirty_next->dirty_prev = t->dirty_prev;
    t->dirty = false;
}

void ops_miner_link(ops_miner *m, tmpl *t)
{
    t->prev = m->last;
    t->next = NULL;
    if (m->last != NULL)
        m->last->next = t;
    else
        m->first = t;
    m->last = t;
    if (!t->catch_all)
        m->live++;
    m->gap_templates += t->gaps;
}

/* Takes t, which is in no map any more, out of the lists and frees it. */
void ops_miner_drop(ops_miner *m, tmpl *t)
{
    if (t->prev != NULL)
        t->prev->next = t->next;
    else
        m->first = t->next;
    if (t->next != NULL)
        t->next->prev = t->prev;
    else
        m->last = t->prev;
    ops_miner_clean(m, t);
    ops_miner_feed_drop(m, t);
    m->live--;
    m->gap_templates -= t->gaps;
    m->epoch++;
    ops_tmpl_free(t);
}

/* Moves what `from` has counted and shown to `into`. */
void ops_miner_absorb(ops_miner *m, tmpl *into, tmpl *from)
{
    ops_miner_touch(m, into);
    if (into->gaps || into->n != from->n)
        ops_tmpl_plain_forget(into);
    else
        ops_tmpl_plain_meet(into, from);
    ops_miner_feed_fold(m, into, from);
    if (from->count == 0)
        return;
    if (into->count == 0 || from->first_ns < into->first_ns)
        into->first_ns = from->first_ns;
    if (into->count == 0 || from->last_ns > into->last_ns)
        into->last_ns = from->last_ns;
    if (from->last_line > into->last_line)
        into->last_line = from->last_line;
    into->count += from->count;
    from->count = 0;
    for (size_t i = 0; i < from->example_count && into->example_count < OPS_MINER_EXAMPLES_MAX; i++) {
        into->examples[into->example_count] = from->examples[i];
        into->example_n[into->example_count++] = from->example_n[i];
        from->examples[i] = NULL;
    }
}

tmpl *ops_miner_catch_all(ops_miner *m)
{
    if (m->catch_all != NULL)
        return m->catch_all;
    tmpl *t = ops_tmpl_new(1, "<*>", 3);
    if (t == NULL)
        return NULL;
    t->catch_all = true;
    t->hash = CATCH_ALL_HASH;
    t->id = ops_miner_id_of(t->hash);
    t->atoms[0] = (tmpl_atom){.hash = OPS_SHAPE_VAR_HASH, .len = 3, .kind = OPS_ATOM_VAR};
    if (ops_map64_put(m->by_id, t->id, t, NULL) != OPS_OK) {
        ops_tmpl_free(t);
        return NULL;
    }
    t->seq = m->seq++;
    ops_miner_link(m, t);
    m->catch_all = t;
    return t;
}

tmpl *ops_tmpl_of(ops_miner *m, ops_slice line, const ops_shape *sh)
{
    ops_strbuf *b = &m->text;
    uint32_t off[OPS_SHAPE_ATOMS_MAX];
    ops_strbuf_clear(b);
    for (size_t i = 0; i < sh->n; i++) {
        const ops_atom *a = &sh->atoms[i];
        ops_shape_glue(b, ops_slice_of(line.p + a->glue_off, a->glue_len), i == 0, false);
        off[i] = (uint32_t)b->n;
        if (a->kind == OPS_ATOM_VAR)
            ops_strbuf_str(b, "<*>");
        else
            ops_strbuf_put(b, line.p + a->off, a->len);
    }
    ops_shape_glue(b, ops_slice_of(line.p + sh->tail_off, sh->tail_len), sh->n == 0, true);
    if (b->failed)
        return NULL;
    tmpl *t = ops_tmpl_new(sh->n, b->p, b->n);
    if (t == NULL)
        return NULL;
    t->hash = sh->hash;
    t->id = ops_miner_id_of(sh->hash);
    t->tail_glue = sh->tail_glue;
    for (size_t i = 0; i < sh->n; i++)
        t->atoms[i] = (tmpl_atom){.hash = sh->atoms[i].hash,
                                  .off = off[i],
                                  .len = sh->atoms[i].kind == OPS_ATOM_VAR ? 3 : sh->atoms[i].len,
                                  .glue = sh->atoms[i].glue,
                                  .kind = sh->atoms[i].kind};
    if (ops_tmpl_plain_take(t, line, sh) != OPS_OK) {
        ops_tmpl_free(t);
        return NULL;
    }
    return t;
}

ops_status ops_miner_enter(ops_miner *m, tmpl *take_t)
{
    tmpl *t = take_t;
    t->id = ops_miner_id_of(t->hash);
    if (ops_map64_put(m->by_id, t->id, t, NULL) != OPS_OK || ops_miner_fold_register(m, t) != OPS_OK) {
        (void)ops_map64_del(m->by_id, t->id);
        ops_tmpl_free(t);
        return OPS_ENOMEM;
    }
    t->seq = m->seq++;
    (void)ops_map64_del(m->dead, t->id);
    ops_miner_link(m, t);
    ops_miner_touch(m, t);
    return OPS_OK;
}

static tmpl *known(ops_miner *m, const ops_shape *sh, bool apart)
{
    uint64_t id = ops_miner_id_of(sh->hash);
    if (apart) { /* only itself, also when it was part of another before */
        ops_miner_unfold(m, id);
        return ops_map64_get(m->by_id, id);
    }
    tmpl *t = ops_miner_find(m, id);
    if (t == NULL)
        t = ops_miner_fold_match(m, sh);
    return t != NULL ? t : ops_miner_gap_match(m, sh);
}

static tmpl *miss(ops_miner *m, ops_slice line, ops_shape *sh, bool *ret_new)
{
    ops_shape_hold(line, sh);
    bool apart = m->pins_n > 0 && ops_miner_hold_apart(m, sh);
    tmpl *t = m->pins_n > 0 ? ops_miner_pinned(m, sh) : NULL;
    if (t == NULL)
        t = known(m, sh, apart);
    if (t != NULL)
        return t;
    if (m->live >= m->lim.templates_max)
        ops_miner_evict(m);
    if (m->live >= m->lim.templates_max)
        return NULL;
    t = ops_tmpl_of(m, line, sh);
    if (t == NULL)
        return NULL;
    t->apart = apart;
    if (ops_miner_enter(m, t) != OPS_OK)
        return NULL;
    tmpl *now = apart ? t : ops_miner_fold_try(m, t);
    *ret_new = now == t;
    return now;
}

static void keep_example(ops_miner *m, tmpl *t, ops_slice line)
{
    if (line.n > m->lim.example_bytes_max)
        line.n = m->lim.example_bytes_max;
    ops_strbuf_clear(&m->text);
    ops_utf8_clean(&m->text, line);
    if (m->text.failed || m->text.n == 0)
        return;
    for (size_t i = 0; i < t->example_count; i++)
        if (ops_slice_eq(ops_slice_of(t->examples[i], t->example_n[i]), ops_strbuf_get(&m->text)))
            return;
    char *copy = ops_strndup(m->text.p, m->text.n);
    if (copy == NULL)
        return; /* an example less: no reason to lose the line */
    t->example_n[t->example_count] = (uint32_t)m->text.n;
    t->examples[t->example_count++] = copy;
}

/* The template of a line whose shape is m->shape. */
static tmpl *by_shape(ops_miner *m, ops_slice line, bool *ret_new)
{
    uint64_t h = m->shape.hash;
    cache_slot *slot = &m->cache[h & (m->slots / 2 - 1)];
    tmpl *t = slot->hash == h && slot->epoch == m->epoch ? slot->t : NULL;
    if (t == NULL) {
        t = miss(m, line, &m->shape, ret_new);
        if (t == NULL)
            return NULL;
        if (t->plain_n > 0)
            (void)ops_tmpl_plain_check(t, line, &m->shape);
        *slot = (cache_slot){.hash = h, .exact = m->shape.exact, .epoch = m->epoch, .t = t};
    } else if (slot->exact != m->shape.exact && t->plain_n > 0) {
        (void)ops_tmpl_plain_check(t, line, &m->shape);
        slot->exact = m->shape.exact;
    }
    return t;
}

/* Cuts the line, made UTF-8 if it is not; false without memory. */
static bool cut(ops_miner *m, ops_slice *line, memo_look *look)
{
    ops_miner_cut(m, *line);
    if (!m->shape.high || ops_utf8_valid(*line))
        return true;
    look->slot = NULL; /* its variables lie elsewhere than in the line as it came */
    ops_strbuf_clear(&m->clean);
    ops_utf8_clean(&m->clean, *line);
    if (m->clean.failed)
        return false;
    *line = ops_strbuf_get(&m->clean);
    ops_miner_cut(m, *line);
    return true;
}

static tmpl *find_or_make(ops_miner *m, ops_slice *line, line_spans *spans, bool *ret_new)
{
    memo_look look;
    spans->n = 0;
    if (ops_miner_memo_get(m, *line, &look)) {
        for (size_t i = 0; look.spans != NULL && i < look.spans->n; i++)
            spans->v[spans->n++] = (ops_shape_span){look.spans->off[i], look.spans->len[i]};
        return look.slot->t;
    }
    if (!cut(m, line, &look))
        return NULL;
    tmpl *t = by_shape(m, *line, ret_new);
    if (t == NULL)
        return NULL;
    if (m->lim.slots)
        ops_tmpl_values(t, &m->shape, spans);
    ops_miner_memo_put(m, &look, t, spans);
    return t;
}

ops_status ops_miner_add(ops_miner *m, ops_slice line, int64_t time_ns, ops_template_hit *ret)
{
    bool truncated = line.n > m->lim.line_bytes_max, is_new = false;
    line_spans spans;
    if (truncated)
        line.n = m->lim.line_bytes_max;
    m->now_ns = time_ns;
    m->effort =
        m->effort < MINER_EFFORT_MAX - MINER_EFFORT_LINE ? m->effort + MINER_EFFORT_LINE : MINER_EFFORT_MAX;
    tmpl *t = find_or_make(m, &line, &spans, &is_new);
    if (t == NULL)
        return OPS_ENOMEM;
    if (t->example_count < OPS_MINER_EXAMPLES_MAX && t->count < 64)
        keep_example(m, t, line);
    if (t->count == 0 || time_ns < t->first_ns)
        t->first_ns = time_ns;
    if (t->count == 0 || time_ns > t->last_ns)
        t->last_ns = time_ns;
    t->count++;
    t->last_line = ++m->lines;
    if (m->lim.slots)
        ops_miner_feed(m, t, line, &spans);
    m->truncated += truncated;
    ops_miner_touch(m, t);
    *ret = (ops_template_hit){.id = t->id, .is_new = is_new, .truncated = truncated, .count = t->count};
    return OPS_OK;
}

static void tell(const tmpl *t, ops_template_info *ret)
{
    *ret = (ops_template_info){.id = t->id,
                               .text = {t->text, t->text_n},
                               .count = t->count,
                               .first_ns = t->first_ns,
                               .last_ns = t->last_ns,
                               .example_count = t->example_count};
    for (size_t i = 0; i < t->example_count; i++)
        ret->examples[i] = ops_slice_of(t->examples[i], t->example_n[i]);
}

bool ops_miner_info(const ops_miner *m, uint64_t id, ops_template_info *ret)
{
    const tmpl *t = ops_miner_find(m, id);
    if (t == NULL)
        return false;
    tell(t, ret);
    return true;
}

bool ops_miner_shown(const ops_miner *m, uint64_t id, bool typed, ops_strbuf *b)
{
    const tmpl *t = ops_miner_find(m, id);
    if (t != NULL)
        ops_tmpl_shown(t, typed ? t->slots : NULL, b);
    return t != NULL;
}

bool ops_miner_next(const ops_miner *m, size_t *iter, ops_template_info *ret)
{
    const tmpl *t = *iter == 0 ? m->first : *iter == 1 ? NULL : (const tmpl *)(uintptr_t)*iter;
    if (t == NULL)
        return false;
    tell(t, ret);
    *iter = t->next != NULL ? (size_t)(uintptr_t)t->next : 1;
    return true;
}

void ops_miner_stats_get(const ops_miner *m, ops_miner_stats *ret)
{
    *ret = (ops_miner_stats){.lines = m->lines,
                             .truncated = m->truncated,
                             .folds = m->fold_count,
                             .evicted = m->evicted,
                             .templates = m->live + (m->catch_all != NULL),
                             .lineage = m->folds_n};
}
