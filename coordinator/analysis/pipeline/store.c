/* A pipeline as records. Keys: "x" meta; "n" + tenant index; "s" + stream key (8 bytes); "k" + tenant index + a key of its miner; "q" + stream key +
 * a key of the watch over its sessions. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/pipeline/state.h"

/* Version 2 had no watches. */
enum { RECORD_VERSION = 3, READ_FROM = 2, TEXT_MAX = 4096 };

typedef struct forward {
    ops_miner_emit emit;
    void *u;
    uint32_t tenant;
} forward;

static ops_status emit_miner(void *u, ops_slice key, ops_slice val)
{
    forward *f = u;
    char buf[32];
    if (key.n + 5 > sizeof buf)
        return OPS_EINTERNAL;
    buf[0] = 'k';
    ops_put_be32(buf + 1, f->tenant);
    memcpy(buf + 5, key.p, key.n);
    return f->emit(f->u, ops_slice_of(buf, key.n + 5), val);
}

static ops_status save_tenant(ops_pipeline *p, uint32_t i, ops_miner_emit emit, void *u, ops_err *reterr)
{
    tenant *t = p->tenants.v[i];
    if (!t->dirty)
        return OPS_OK;
    char key[5] = {'n'};
    ops_put_be32(key + 1, i);
    ops_strbuf *b = &p->text;
    ops_strbuf_clear(b);
    ops_record_s(b, ops_slice_of(t->name, t->name_n));
    ops_record_i(b, t->first_ns);
    ops_record_u(b, t->records);
    ops_record_u(b, t->errors);
    ops_status st = b->failed ? OPS_ENOMEM : emit(u, ops_slice_of(key, sizeof key), ops_strbuf_get(b));
    forward f = {emit, u, i};
    if (st == OPS_OK)
        st = ops_miner_save_dirty(t->miner, emit_miner, &f, reterr);
    if (st == OPS_OK)
        t->dirty = false;
    return st;
}

static void put_row(ops_strbuf *b, const row *r)
{
    ops_record_u(b, r->id);
    ops_record_u(b, r->error);
    ops_series_put(b, &r->s);
    ops_record_u(b, r->total);
    ops_record_i(b, r->first_w);
    ops_record_i(b, r->last_w);
    ops_record_u(b, (uint64_t)r->failure * 4 + r->kept * 2u + r->born_late);
    for (size_t i = 0; i < SLOTS; i++) {
        ops_record_i(b, r->slot_w[i]);
        ops_record_u(b, r->count[i]);
    }
}

/* What a reader says that returned false: it was the record, or it was the heap. */
static ops_status why(const ops_record_reader *r)
{
    return r->bad ? OPS_ECORRUPT : OPS_ENOMEM;
}

/* False, and the record is bad: for what a sound record never holds. */
static bool bad(ops_record_reader *r)
{
    r->bad = true;
    return false;
}

static bool sane(int64_t v)
{
    return v >= -VALUE_MAX && v <= VALUE_MAX;
}

static bool sane_or_none(int64_t v)
{
    return sane(v) || v == INT64_MIN;
}

static bool get_row(stream *s, ops_record_reader *r)
{
    uint64_t id = ops_record_get_u(r), error = ops_record_get_u(r);
    if (r->bad || error > 1 || ops_stream_row_get(s, id, error != 0) != NULL)
        return bad(r);
    row *w = ops_stream_row_put(s, id, error != 0);
    if (w == NULL)
        return false;
    w->s = ops_series_get(r);
    w->total = ops_record_get_u(r);
    w->first_w = ops_record_get_i(r);
    w->last_w = ops_record_get_i(r);
    uint64_t flags = ops_record_get_u(r);
    w->failure = (uint8_t)(flags / 4 % 4);
    w->kept = (flags & 2) != 0;
    w->born_late = (flags & 1) != 0;
    bool good = sane(w->first_w) && sane(w->last_w) && flags < 16;
    for (size_t i = 0; i < SLOTS; i++) {
        w->slot_w[i] = ops_record_get_i(r);
        w->count[i] = (uint32_t)ops_record_get_u(r);
        good &= sane_or_none(w->slot_w[i]);
    }
    return good && !r->bad ? true : bad(r);
}

/* Every integer of a stream, in the order of the record. */
static size_t ints_of(stream *s, int64_t *v[32])
{
    int64_t *all[] = {&s->first_ns,       &s->last_ns,      &s->mark_ns,        &s->closed_w,
                      &s->change_w,       &s->silent_w,     &s->up_w,           &s->down_w,
                      &s->learned_w,      &s->wait_ns,      &s->ep.start_ns,    &s->ep.last_ns,
                      &s->ep.last_hot_w,  &s->ep.start_w,   &s->ep.told_w,      &s->ep.last_s,
                      &s->ep.all.first_s, &s->ep.all.gap_s, &s->ep.run.first_s, &s->ep.run.gap_s};
    memcpy(v, all, sizeof all);
    return sizeof all / sizeof all[0];
}

static void put_slots(ops_strbuf *b, const stream *s)
{
    for (size_t i = 0; i < SLOTS; i++) {
        const slot *sl = &s->slots[i];
        ops_record_i(b, sl->w);
        ops_record_u(b, sl->total);
        ops_record_u(b, sl->errors);
        ops_record_i(b, sl->first_error_ns);
        ops_record_i(b, sl->last_error_ns);
        ops_record_u(b, sl->error_seconds);
        ops_record_u(b, sl->rows.n);
        for (size_t k = 0; k < sl->rows.n; k++) {
            ops_record_u(b, sl->rows.v[k]->id);
            ops_record_u(b, sl->rows.v[k]->error);
        }
    }
}

static bool get_slots(stream *s, ops_record_reader *r)
{
    for (size_t i = 0; i < SLOTS; i++) {
        slot *sl = &s->slots[i];
        sl->w = ops_record_get_i(r);
        sl->total = (uint32_t)ops_record_get_u(r);
        sl->errors = (uint32_t)ops_record_get_u(r);
        sl->first_error_ns = ops_record_get_i(r);
        sl->last_error_ns = ops_record_get_i(r);
        sl->error_seconds = (uint16_t)ops_record_get_u(r);
        uint64_t n = ops_record_get_u(r);
        bool open = sl->w > s->closed_w && sl->w <= s->closed_w + SLOTS && ops_stream_slot(s, sl->w) == i;
        if (r->bad || (!open && sl->w != INT64_MIN) || !sane(sl->first_error_ns) || !sane(sl->last_error_ns))
            return bad(r);
        for (uint64_t k = 0; k < n; k++) {
            uint64_t id = ops_record_get_u(r), error = ops_record_get_u(r);
            row *w = r->bad || error > 1 ? NULL : ops_stream_row_get(s, id, error != 0);
            if (w == NULL)
                return bad(r);
            if (!ops_vec_push(&sl->rows, w))
                return false;
        }
    }
    return true;
}

static void put_episode(ops_strbuf *b, const stream *s)
{
    const episode *e = &s->ep;
    ops_record_u(b, e->on * 4u + e->told * 2u + e->critical);
    const double f[] = {e->score, e->best_p, e->best_value, e->best_low, e->best_high, s->new_rate};
    for (size_t i = 0; i < sizeof f / sizeof f[0]; i++)
        ops_record_f(b, f[i]);
    ops_record_u(b, e->best_kind);
    ops_record_u(b, e->best_id);
    ops_record_u(b, e->errors);
    ops_record_u(b, e->windows);
    ops_record_u(b, e->all.seconds);
    ops_record_u(b, e->run.seconds);
    ops_record_u(b, e->template_count);
    for (size_t i = 0; i < OPS_CANDIDATE_TEMPLATES_MAX; i++)
        ops_record_u(b, e->templates[i]);
    ops_record_u(b, s->fresh_n);
    for (size_t i = 0; i < OPS_CANDIDATE_TEMPLATES_MAX; i++)
        ops_record_u(b, s->fresh[i]);
}

static bool get_episode(stream *s, ops_record_reader *r)
{
    episode *e = &s->ep;
    uint64_t flags = ops_record_get_u(r);
    e->on = (flags & 4) != 0;
    e->told = (flags & 2) != 0;
    e->critical = (flags & 1) != 0;
    double *f[] = {&e->score, &e->best_p, &e->best_value, &e->best_low, &e->best_high, &s->new_rate};
    for (size_t i = 0; i < sizeof f / sizeof f[0]; i++)
        *f[i] = ops_record_get_f(r);
    uint64_t kind = ops_record_get_u(r);
    e->best_id = ops_record_get_u(r);
    e->errors = ops_record_get_u(r);
    e->windows = (uint32_t)ops_record_get_u(r);
    e->all.seconds = (uint32_t)ops_record_get_u(r);
    e->run.seconds = (uint32_t)ops_record_get_u(r);
    uint64_t n = ops_record_get_u(r);
    for (size_t i = 0; i < OPS_CANDIDATE_TEMPLATES_MAX; i++)
        e->templates[i] = ops_record_get_u(r);
    uint64_t fresh = ops_record_get_u(r);
    for (size_t i = 0; i < OPS_CANDIDATE_TEMPLATES_MAX; i++)
        s->fresh[i] = ops_record_get_u(r);
    if (r->bad || n > OPS_CANDIDATE_TEMPLATES_MAX || fresh > OPS_CANDIDATE_TEMPLATES_MAX ||
        kind >= OPS_CANDIDATE_KIND_COUNT)
        return bad(r);
    e->best_kind = (uint8_t)kind;
    e->template_count = (uint32_t)n;
    s->fresh_n = (uint32_t)fresh;
    return true;
}

static void put_ring(ops_strbuf *b, const stream *s)
{
    ops_record_u(b, s->ring_at);
    for (size_t i = 0; i < EVIDENCE_RING; i++) {
        const piece *e = &s->ring[i];
        ops_record_u(b, e->text != NULL);
        if (e->text == NULL)
            continue;
        ops_record_s(b, ops_slice_of(e->text, e->text_n));
        ops_record_i(b, e->time_ns);
        ops_record_u(b, e->template_id);
        ops_record_u(b, e->log_offset);
        ops_record_u(b, e->index);
        ops_record_u(b, e->error);
    }
}

static bool get_ring(stream *s, ops_record_reader *r)
{
    s->ring_at = (uint32_t)ops_record_get_u(r);
    for (size_t i = 0; i < EVIDENCE_RING; i++) {
        piece *e = &s->ring[i];
        if (ops_record_get_u(r) == 0)
            continue;
        ops_slice text = ops_record_get_s(r, TEXT_MAX);
        if (r->bad || (e->text = ops_strndup(text.p, text.n)) == NULL)
            return false; /* bad already, or the heap */
        e->text_n = (uint32_t)text.n;
        e->time_ns = ops_record_get_i(r);
        e->template_id = ops_record_get_u(r);
        e->log_offset = ops_record_get_u(r);
        e->index = (uint32_t)ops_record_get_u(r);
        e->error = ops_record_get_u(r) != 0;
    }
    return !r->bad;
}

static ops_status save_stream(ops_pipeline *p, stream *s, ops_miner_emit emit, void *u)
{
    ops_strbuf *b = &p->text;
    int64_t *ints[32];
    ops_strbuf_clear(b);
    ops_record_u(b, s->tenant);
    ops_record_s(b, ops_slice_of(s->service, s->service_n));
    ops_record_u(b, s->records);
    ops_record_u(b, s->errors);
    ops_record_u(b, s->late);
    for (size_t i = 0, n = ints_of(s, ints); i < n; i++)
        ops_record_i(b, *ints[i]);
    ops_series_put(b, &s->total);
    ops_series_put(b, &s->error);
    const uint32_t small[] = {s->new_recent, s->new_in_w,
                              s->kept_in_w,  s->up_run,
                              s->down_run,   s->hushed * 8u + s->learned * 4u + s->silent * 2u + s->born_ill};
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
        ops_record_u(b, small[i]);
    ops_record_u(b, ops_map64_count(s->rows));
    size_t iter = 0;
    uint64_t id;
    void *v;
    while (ops_map64_next(s->rows, &iter, &id, &v))
        put_row(b, v);
    put_slots(b, s);
    put_episode(b, s);
    put_ring(b, s);
    char key[9] = {'s'};
    ops_put_be64(key + 1, s->key);
    ops_status st = b->failed ? OPS_ENOMEM : emit(u, ops_slice_of(key, sizeof key), ops_strbuf_get(b));
    if (st == OPS_OK)
        s->dirty = false;
    return st;
}

ops_status ops_pipeline_save_dirty(ops_pipeline *p, ops_miner_emit emit, void *u, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (uint32_t i = 0; i < p->tenants.n && st == OPS_OK; i++)
        st = save_tenant(p, i, emit, u, reterr);
    for (size_t i = 0; i < p->streams.n && st == OPS_OK; i++) {
        if (p->streams.v[i]->dirty)
            st = save_stream(p, p->streams.v[i], emit, u);
        if (st == OPS_OK)
            st = ops_stream_sessions_save(p->streams.v[i], emit, u);
    }
    if (st == OPS_OK) {
        ops_strbuf_clear(&p->text);
        ops_record_u(&p->text, RECORD_VERSION);
        ops_record_i(&p->text, p->event_ns);
        ops_record_i(&p->text, p->alive_ns);
        const uint64_t n[] = {p->stats.records,       p->stats.late,         p->stats.clamped,
                              p->stats.series_full,   p->stats.streams_full, p->stats.candidates,
                              p->stats.windows_closed};
        for (size_t i = 0; i < sizeof n / sizeof n[0]; i++)
            ops_record_u(&p->text, n[i]);
        st = p->text.failed ? OPS_ENOMEM : emit(u, OPS_SLICE("x"), ops_strbuf_get(&p->text));
    }
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "saving the analysis state");
}

/* Records come in any order: a tenant may be named by its index before its own record. */
static tenant *tenant_at(ops_pipeline *p, uint64_t i)
{
    if (i >= p->lim.tenants_max)
        return NULL;
    while (p->tenants.n <= i) {
        char name[8] = "\1?";
        ops_put_be32(name + 2, (uint32_t)p->tenants.n);
        if (ops_pipeline_tenant_put(p, ops_slice_of(name, 6)) == NULL)
            return NULL;
    }
    return p->tenants.v[i];
}

static ops_status load_tenant(ops_pipeline *p, ops_slice key, ops_record_reader *r)
{
    uint32_t i = ops_get_be32(key.p + 1);
    ops_slice name = ops_record_get_s(r, NAME_BYTES_MAX);
    if (i >= p->lim.tenants_max || r->bad || (uintptr_t)ops_map_get(p->tenant_of, name) != 0)
        return OPS_ECORRUPT;
    tenant *t = tenant_at(p, i);
    if (t == NULL)
        return OPS_ENOMEM;
    t->first_ns = ops_record_get_i(r);
    t->records = ops_record_get_u(r);
    t->errors = ops_record_get_u(r);
    char *copy = ops_strndup(name.n > 0 ? name.p : "", name.n);
    if (copy == NULL || ops_map_put(p->tenant_of, name, (void *)(uintptr_t)(i + 1), NULL) != OPS_OK) {
        ops_free(copy);
        return OPS_ENOMEM;
    }
    (void)ops_map_del(p->tenant_of, ops_slice_of(t->name, t->name_n));
    ops_free(t->name);
    t->name = copy;
    t->name_n = (uint32_t)name.n;
    t->dirty = false;
    return ops_record_whole(r) ? OPS_OK : OPS_ECORRUPT;
}

/* Windows are closed one by one: the last closed one must stand next to the records' times. */
static bool sound_times(stream *s)
{
    int64_t *ints[32];
    for (size_t i = 0, n = ints_of(s, ints); i < n; i++)
        if (!sane(*ints[i]))
            return false;
    return s->first_ns >= 0 && s->last_ns >= s->first_ns && s->mark_ns >= 0 &&
           s->closed_w >= window_of(s->first_ns) - 1;
}

static ops_status load_stream(ops_pipeline *p, uint64_t key, ops_record_reader *r)
{
    uint64_t ti = ops_record_get_u(r);
    ops_slice service = ops_record_get_s(r, NAME_BYTES_MAX);
    if (r->bad || ti >= p->lim.tenants_max)
        return OPS_ECORRUPT;
    if (tenant_at(p, ti) == NULL)
        return OPS_ENOMEM;
    stream *s = ops_pipeline_stream_put(p, (uint32_t)ti, service);
    if (s == NULL)
        return OPS_ENOMEM;
    s->key = key;
    s->records = ops_record_get_u(r);
    s->errors = ops_record_get_u(r);
    s->late = ops_record_get_u(r);
    int64_t *ints[32];
    for (size_t i = 0, n = ints_of(s, ints); i < n; i++)
        *ints[i] = ops_record_get_i(r);
    s->total = ops_series_get(r);
    s->error = ops_series_get(r);
    uint32_t *small[] = {&s->new_recent, &s->new_in_w, &s->kept_in_w, &s->up_run, &s->down_run};
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
        *small[i] = (uint32_t)ops_record_get_u(r);
    uint64_t flags = ops_record_get_u(r), rows = ops_record_get_u(r);
    s->hushed = (flags & 8) != 0;
    s->learned = (flags & 4) != 0;
    s->silent = (flags & 2) != 0;
    s->born_ill = (flags & 1) != 0;
    if (r->bad || !sound_times(s))
        return OPS_ECORRUPT;
    for (uint64_t i = 0; i < rows; i++)
        if (!get_row(s, r))
            return why(r);
    if (!get_slots(s, r) || !get_episode(s, r) || !get_ring(s, r))
        return why(r);
    return ops_record_whole(r) ? OPS_OK : OPS_ECORRUPT;
}

static ops_status load_meta(ops_pipeline *p, ops_record_reader *r)
{
    const uint64_t version = ops_record_get_u(r);
    const bool known = version >= READ_FROM && version <= RECORD_VERSION;
    p->event_ns = ops_record_get_i(r);
    p->alive_ns = ops_record_get_i(r);
    uint64_t *n[] = {&p->stats.records,       &p->stats.late,         &p->stats.clamped,
                     &p->stats.series_full,   &p->stats.streams_full, &p->stats.candidates,
                     &p->stats.windows_closed};
    for (size_t i = 0; i < sizeof n / sizeof n[0]; i++)
        *n[i] = ops_record_get_u(r);
    bool good = known && sane_or_none(p->event_ns) && sane_or_none(p->alive_ns);
    return good && ops_record_whole(r) ? OPS_OK : OPS_ECORRUPT;
}

ops_status ops_pipeline_load(ops_pipeline *p, ops_slice key, ops_slice val, ops_err *reterr)
{
    ops_record_reader r = ops_record_read(val);
    ops_status st = OPS_ECORRUPT;
    if (key.n == 5 && key.p[0] == 'n')
        st = load_tenant(p, key, &r);
    else if (key.n == 9 && key.p[0] == 's')
        st = load_stream(p, ops_get_be64(key.p + 1), &r);
    else if (key.n == 1 && key.p[0] == 'x')
        st = load_meta(p, &r);
    else if (key.n > 9 && key.p[0] == 'q')
        st = ops_pipeline_sessions_load(p, key, val);
    else if (key.n > 5 && key.p[0] == 'k') {
        uint32_t i = ops_get_be32(key.p + 1);
        tenant *t = tenant_at(p, i);
        st = i < p->lim.tenants_max ? OPS_ENOMEM : OPS_ECORRUPT;
        if (t != NULL)
            return ops_miner_load(t->miner, ops_slice_sub(key, 5, key.n), val, reterr);
    }
    if (st != OPS_OK)
        return ops_fail(reterr, st, "analysis record '%c' of %zu bytes",
                        key.n > 0 && key.p[0] > ' ' && key.p[0] < 127 ? key.p[0] : '?', val.n);
    return OPS_OK;
}

static int by_first(const void *pa, const void *pb)
{
    const stream *a = *(stream *const *)pa, *b = *(stream *const *)pb;
    if (a->first_ns != b->first_ns)
        return a->first_ns < b->first_ns ? -1 : 1;
    return a->key < b->key ? -1 : a->key > b->key;
}

ops_status ops_pipeline_load_done(ops_pipeline *p, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; i < p->tenants.n && st == OPS_OK; i++)
        st = ops_miner_load_done(p->tenants.v[i]->miner, reterr);
    if (st != OPS_OK)
        return st;
    st = ops_pipeline_sessions_load_done(p);
    if (st != OPS_OK)
        return ops_fail(reterr, st, "the sessions of a stream");
    if (p->streams.n > 0)
        qsort(p->streams.v, p->streams.n, sizeof p->streams.v[0], by_first);
    /* keys in stream_of were made with the tenants' names of that moment */
    ops_map *fresh = ops_map_new();
    for (size_t i = 0; fresh != NULL && i < p->streams.n; i++) {
        const stream *s = p->streams.v[i];
        const tenant *t = p->tenants.v[s->tenant];
        char buf[2 * NAME_BYTES_MAX + 1];
        memcpy(buf, t->name, t->name_n);
        buf[t->name_n] = '\0';
        memcpy(buf + t->name_n + 1, s->service, s->service_n);
        if (ops_map_put(fresh, ops_slice_of(buf, t->name_n + 1 + s->service_n), p->streams.v[i], NULL) !=
            OPS_OK) {
            ops_map_free(fresh);
            fresh = NULL;
        }
    }
    if (fresh == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "loading the analysis state");
    ops_map_free(p->stream_of);
    p->stream_of = fresh;
    return OPS_OK;
}
