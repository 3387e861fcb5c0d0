/* A miner as records: "t" + id a template, "s" + id the statistics of its slots, "f" + old id a row of the lineage, "m" the
 * counters. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "coordinator/analysis/template/miner_state.h"

enum { RECORD_VERSION = 2 };

static void put_u(ops_strbuf *b, uint64_t v)
{
    uint8_t buf[OPS_VARINT_BYTES_MAX];
    ops_strbuf_put(b, buf, ops_varint_put(buf, v));
}

static void put_64(ops_strbuf *b, uint64_t v)
{
    uint8_t buf[8];
    ops_put_be64(buf, v);
    ops_strbuf_put(b, buf, sizeof buf);
}

typedef struct reader {
    const uint8_t *p, *end;
    bool bad;
} reader;

static uint64_t get_u(reader *r)
{
    uint64_t v = 0;
    if (!ops_varint_get(&r->p, r->end, &v))
        r->bad = true;
    return v;
}

static uint64_t get_64(reader *r)
{
    if (r->end - r->p < 8) {
        r->bad = true;
        return 0;
    }
    r->p += 8;
    return ops_get_be64(r->p - 8);
}

static ops_slice get_bytes(reader *r, size_t max)
{
    uint64_t n = get_u(r);
    if (r->bad || n > max || n > (size_t)(r->end - r->p)) {
        r->bad = true;
        return (ops_slice){"", 0};
    }
    r->p += n;
    return ops_slice_of(r->p - n, n);
}

static ops_slice key_of(char buf[static 9], char kind, uint64_t id)
{
    buf[0] = kind;
    ops_put_be64(buf + 1, id);
    return ops_slice_of(buf, 9);
}

static ops_status save_template(ops_miner *m, tmpl *t, ops_miner_emit emit, void *u)
{
    ops_strbuf *b = &m->text;
    char key[9];
    ops_strbuf_clear(b);
    put_u(b, RECORD_VERSION);
    put_64(b, t->hash);
    put_u(b, t->catch_all + 2u * t->apart);
    put_u(b, t->seq);
    put_u(b, t->count);
    put_u(b, t->last_line);
    put_u(b, ops_zigzag(t->first_ns));
    put_u(b, ops_zigzag(t->last_ns));
    put_u(b, t->text_n);
    ops_strbuf_put(b, t->text, t->text_n);
    put_u(b, t->n);
    for (size_t i = 0; i < t->n; i++) {
        put_u(b, t->atoms[i].off);
        put_u(b, t->atoms[i].len);
        put_u(b, (uint64_t)t->atoms[i].kind * 2 + t->atoms[i].folded);
    }
    put_u(b, t->plain_n);
    ops_strbuf_put(b, t->plain, t->plain_n);
    put_u(b, t->example_count);
    for (size_t i = 0; i < t->example_count; i++) {
        put_u(b, t->example_n[i]);
        ops_strbuf_put(b, t->examples[i], t->example_n[i]);
    }
    return b->failed ? OPS_ENOMEM : emit(u, key_of(key, 't', t->id), ops_strbuf_get(b));
}

/* Their own record, for they are large and change with every line. */
static ops_status save_slots(ops_miner *m, tmpl *t, size_t *left, ops_miner_emit emit, void *u)
{
    char key[9];
    if (t->slots == NULL || *left == 0 ||
        (m->slots_due == 0 && t->count < t->slots_saved + t->slots_saved / 8 + 16))
        return OPS_OK;
    ops_strbuf_clear(&m->text);
    ops_slots_save(t->slots, &m->text);
    if (m->text.failed)
        return OPS_ENOMEM;
    *left -= m->text.n < *left ? m->text.n : *left;
    ops_status st = emit(u, key_of(key, 's', t->id), ops_strbuf_get(&m->text));
    if (st == OPS_OK)
        t->slots_saved = t->count;
    return st;
}

static ops_status save_dead(ops_map64 *dead, char kind, ops_miner_emit emit, void *u)
{
    size_t iter = 0;
    uint64_t id;
    void *v;
    char key[9];
    ops_status st = OPS_OK;
    while (st == OPS_OK && ops_map64_next(dead, &iter, &id, &v)) {
        st = emit(u, key_of(key, kind, id), (ops_slice){"", 0});
        if (st == OPS_OK && kind == 't')
            st = emit(u, key_of(key, 's', id), (ops_slice){"", 0});
        if (st == OPS_OK)
            (void)ops_map64_del(dead, id);
        iter = 0;
    }
    return st;
}

static ops_status save_folds(ops_miner *m, ops_miner_emit emit, void *u)
{
    size_t i = m->folds_n;
    while (i > 0 && m->folds[(m->folds_at + i - 1) % m->folds_cap].seq >= m->folds_saved_seq)
        i--;
    for (; i < m->folds_n; i++) {
        const fold_row *r = &m->folds[(m->folds_at + i) % m->folds_cap];
        char key[9];
        ops_strbuf_clear(&m->text);
        put_64(&m->text, r->new_id);
        put_u(&m->text, r->seq);
        put_u(&m->text, ops_zigzag(r->at_ns));
        put_u(&m->text, r->old_count);
        put_u(&m->text, r->why);
        put_u(&m->text, r->text_n);
        ops_strbuf_put(&m->text, r->text, r->text_n);
        ops_status st =
            m->text.failed ? OPS_ENOMEM : emit(u, key_of(key, 'f', r->old_id), ops_strbuf_get(&m->text));
        if (st != OPS_OK)
            return st;
        m->folds_saved_seq = r->seq + 1;
    }
    return OPS_OK;
}

static ops_status save_meta(ops_miner *m, ops_miner_emit emit, void *u)
{
    const uint64_t all[] = {RECORD_VERSION, m->seq,     m->lines,    m->truncated,
                            m->fold_count,  m->evicted, m->fold_seq, m->effort};
    ops_strbuf_clear(&m->text);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        put_u(&m->text, all[i]);
    ops_status st = m->text.failed ? OPS_ENOMEM : emit(u, OPS_SLICE("m"), ops_strbuf_get(&m->text));
    if (st == OPS_OK)
        m->meta_dirty = false;
    return st;
}

ops_status ops_miner_save_dirty(ops_miner *m, ops_miner_emit emit, void *u, ops_err *reterr)
{
    ops_status st = save_dead(m->dead, 't', emit, u);
    if (st == OPS_OK)
        st = save_dead(m->dead_folds, 'f', emit, u);
    size_t left = m->slots_due > 0 ? m->slots_due : OPS_MINER_SLOTS_SAVE_BYTES;
    while (st == OPS_OK && m->dirty != NULL) {
        tmpl *t = m->dirty;
        st = save_template(m, t, emit, u);
        if (st == OPS_OK)
            st = save_slots(m, t, &left, emit, u);
        if (st == OPS_OK) {
            t->saved = true;
            ops_miner_clean(m, t);
        }
    }
    if (st == OPS_OK)
        st = save_folds(m, emit, u);
    if (st == OPS_OK && m->meta_dirty)
        st = save_meta(m, emit, u);
    if (st == OPS_OK)
        m->slots_due = 0;
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "saving templates");
}

/* The glue before an atom follows from the text. */
static uint32_t glue_of(const tmpl *t, size_t from, size_t to, bool first, bool last)
{
    return ops_shape_glue_hash(ops_slice_of(t->text + from, to - from), first, last);
}

static bool load_atoms(reader *r, tmpl *t)
{
    uint32_t at = 0;
    for (size_t i = 0; i < t->n; i++) {
        uint64_t off = get_u(r), len = get_u(r), kind = get_u(r);
        if (r->bad || off < at || off > t->text_n || len > t->text_n - off || kind > 2 * OPS_ATOM_GAP + 1)
            return false;
        tmpl_atom *a = &t->atoms[i];
        *a = (tmpl_atom){.off = (uint32_t)off,
                         .len = (uint32_t)len,
                         .glue = glue_of(t, at, off, i == 0, false),
                         .kind = (uint8_t)(kind / 2),
                         .folded = kind & 1};
        a->hash = a->kind == OPS_ATOM_VAR   ? OPS_SHAPE_VAR_HASH
                  : a->kind == OPS_ATOM_GAP ? OPS_SHAPE_GAP_HASH
                                            : ops_hash64(t->text + off, len, 1);
        t->gaps |= a->kind == OPS_ATOM_GAP;
        at = (uint32_t)(off + len);
    }
    t->tail_glue = glue_of(t, at, t->text_n, t->n == 0, true);
    return true;
}

static ops_status load_plain(reader *r, tmpl *t)
{
    ops_slice plain = get_bytes(r, UINT16_MAX);
    return r->bad ? OPS_ECORRUPT : ops_tmpl_plain_load(t, plain);
}

static ops_status load_examples(reader *r, tmpl *t)
{
    uint64_t n = get_u(r);
    if (r->bad || n > OPS_MINER_EXAMPLES_MAX)
        return OPS_ECORRUPT;
    for (size_t i = 0; i < n; i++) {
        ops_slice e = get_bytes(r, 16384);
        if (r->bad)
            return OPS_ECORRUPT;
        t->examples[i] = ops_strndup(e.p, e.n);
        if (t->examples[i] == NULL)
            return OPS_ENOMEM;
        t->example_n[i] = (uint32_t)e.n;
        t->example_count++;
    }
    return r->p == r->end ? OPS_OK : OPS_ECORRUPT;
}

static ops_status load_template(ops_miner *m, reader *r, uint64_t id)
{
    bool known = get_u(r) == RECORD_VERSION;
    uint64_t hash = get_64(r), flags = get_u(r), nums[5];
    for (size_t i = 0; i < 5; i++)
        nums[i] = get_u(r);
    ops_slice text = get_bytes(r, 1 << 20);
    uint64_t n = get_u(r);
    if (r->bad || !known || n > OPS_SHAPE_ATOMS_MAX || ops_miner_id_of(hash) != id ||
        ops_map64_has(m->by_id, id))
        return OPS_ECORRUPT;
    tmpl *t = ops_tmpl_new(n, text.p, text.n);
    if (t == NULL)
        return OPS_ENOMEM;
    t->id = id;
    t->hash = hash;
    t->catch_all = (flags & 1) != 0;
    t->apart = (flags & 2) != 0;
    t->seq = nums[0];
    t->count = nums[1];
    t->last_line = nums[2];
    t->first_ns = ops_unzigzag(nums[3]);
    t->last_ns = ops_unzigzag(nums[4]);
    t->saved = true;
    ops_status st = load_atoms(r, t) ? OPS_OK : OPS_ECORRUPT;
    if (st == OPS_OK)
        st = load_plain(r, t);
    if (st == OPS_OK)
        st = load_examples(r, t);
    if (st == OPS_OK)
        st = ops_map64_put(m->by_id, id, t, NULL);
    if (st != OPS_OK) {
        ops_tmpl_free(t);
        return st;
    }
    ops_miner_link(m, t); /* its keys follow when all are here: chains are in order of birth */
    if (t->catch_all)
        m->catch_all = t;
    return OPS_OK;
}

static ops_status load_fold(ops_miner *m, reader *r, uint64_t old_id)
{
    fold_row row = {.old_id = old_id, .new_id = get_64(r), .seq = get_u(r), .at_ns = ops_unzigzag(get_u(r))};
    row.old_count = get_u(r);
    uint64_t why = get_u(r);
    ops_slice text = get_bytes(r, OPS_MINER_FOLD_TEXT_MAX);
    if (r->bad || r->p != r->end || row.old_id == row.new_id || why > OPS_MINER_FOLD_PINNED ||
        m->folds_n >= m->lim.lineage_max)
        return OPS_ECORRUPT;
    row.why = (uint8_t)why;
    row.text_n = (uint8_t)text.n;
    row.text = ops_strndup(text.p, text.n);
    return row.text == NULL ? OPS_ENOMEM : ops_miner_fold_row(m, &row);
}

static ops_status load_slots(ops_miner *m, ops_slice val, uint64_t id, ops_err *reterr)
{
    ops_slots *slots = NULL;
    ops_status st = ops_slots_load(val, &slots, reterr);
    if (st != OPS_OK)
        return st;
    void *old = NULL;
    st = ops_map64_put(m->loaded_slots, id, slots, &old);
    ops_slots_free(st == OPS_OK ? old : slots);
    return st;
}

/* Gives what was loaded to its templates. */
static void hand_out_slots(ops_miner *m)
{
    for (tmpl *t = m->first; t != NULL; t = t->next) {
        ops_slots *slots = ops_map64_del(m->loaded_slots, t->id);
        if (slots == NULL)
            continue;
        t->slots = slots;
        t->slots_saved = t->count;
        t->slots_bytes = (uint32_t)ops_slots_bytes(slots);
        m->slots_bytes += t->slots_bytes;
    }
}

static ops_status load_meta(ops_miner *m, reader *r)
{
    uint64_t v[8];
    for (size_t i = 0; i < 8; i++)
        v[i] = get_u(r);
    if (r->bad || r->p != r->end || v[0] != RECORD_VERSION)
        return OPS_ECORRUPT;
    m->seq = v[1];
    m->lines = v[2];
    m->truncated = v[3];
    m->folds_saved_seq = v[6]; /* fold_count and evicted follow in load_done: loading rows counts them */
    m->evicted = v[5];
    m->effort = v[7] < MINER_EFFORT_MAX ? v[7] : MINER_EFFORT_MAX;
    return OPS_OK;
}

ops_status ops_miner_load(ops_miner *m, ops_slice key, ops_slice val, ops_err *reterr)
{
    reader r = {(const uint8_t *)val.p, (const uint8_t *)val.p + val.n, false};
    ops_status st = OPS_ECORRUPT;
    if (key.n == 9 && key.p[0] == 't')
        st = load_template(m, &r, ops_get_be64(key.p + 1));
    else if (key.n == 9 && key.p[0] == 's')
        st = load_slots(m, val, ops_get_be64(key.p + 1), NULL);
    else if (key.n == 9 && key.p[0] == 'f')
        st = load_fold(m, &r, ops_get_be64(key.p + 1));
    else if (key.n == 1 && key.p[0] == 'm')
        st = load_meta(m, &r);
    if (st != OPS_OK)
        return ops_fail(reterr, st, "template record '%c' of %zu bytes",
                        key.n > 0 && key.p[0] > ' ' && key.p[0] < 127 ? key.p[0] : '?', val.n);
    return OPS_OK;
}

static int by_seq(const void *pa, const void *pb)
{
    const tmpl *const *a = pa, *const *b = pb;
    return (*a)->seq < (*b)->seq ? -1 : (*a)->seq > (*b)->seq;
}

static int row_by_seq(const void *pa, const void *pb)
{
    const fold_row *a = pa, *b = pb;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/* Puts what was loaded in any order back into the order of birth, and proves the lineage free of circles. */
ops_status ops_miner_load_done(ops_miner *m, ops_err *reterr)
{
    size_t n = 0, total = ops_map64_count(m->by_id);
    tmpl **v = ops_malloc((total + 1) * sizeof *v);
    if (v == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "loading templates");
    for (tmpl *t = m->first; t != NULL; t = t->next)
        v[n++] = t;
    qsort(v, n, sizeof *v, by_seq);
    m->first = n > 0 ? v[0] : NULL;
    m->last = n > 0 ? v[n - 1] : NULL;
    uint64_t lines = 0;
    for (size_t i = 0; i < n; i++) {
        v[i]->prev = i > 0 ? v[i - 1] : NULL;
        v[i]->next = i + 1 < n ? v[i + 1] : NULL;
        lines += v[i]->count;
    }
    for (size_t i = 0; i < n; i++) {
        if (v[i]->catch_all || ops_miner_fold_register(m, v[i]) == OPS_OK)
            continue;
        ops_free(v);
        return ops_fail(reterr, OPS_ENOMEM, "loading templates");
    }
    ops_free(v);
    if (lines != m->lines)
        return ops_fail(reterr, OPS_ECORRUPT, "templates: counts sum to %llu, lines are %llu",
                        (unsigned long long)lines, (unsigned long long)m->lines);
    if (m->folds_n > 0)
        qsort(m->folds, m->folds_n, sizeof *m->folds, row_by_seq); /* loading never wraps the ring */
    for (size_t i = 0; i < m->folds_n; i++) {
        uint64_t id = m->folds[i].new_id;
        size_t steps = 0;
        for (void *next; (next = ops_map64_get(m->lineage, id)) != NULL && steps <= m->folds_n; steps++)
            id = (uint64_t)(uintptr_t)next;
        if (steps > m->folds_n)
            return ops_fail(reterr, OPS_ECORRUPT, "template lineage: it goes in a circle");
        if (ops_map64_has(m->by_id, m->folds[i].old_id))
            return ops_fail(reterr, OPS_ECORRUPT, "template lineage: a folded id is alive");
    }
    hand_out_slots(m);
    m->fold_seq = m->folds_saved_seq;
    m->fold_count = m->fold_seq;
    m->meta_dirty = false;
    return OPS_OK;
}
