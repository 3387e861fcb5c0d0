/* A monitor as records. Keys: "mB" + id: a baseline; "mS" + id: a series with what was judged since; "mX": the clock.
 * Those of groups are in store_group.c. */
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/monitor/together.h"
#include "coordinator/analysis/window/record.h"

/* Of a series, version 1 had no forecast, and 2 did not tell since when a bucket grew. */
enum { VERSION = 1, SERIES_VERSION = 3, FROM_VERSION = 3 };

ops_slice ops_monitor_key(char buf[static ID_KEY_BYTES], char what, uint64_t id)
{
    buf[0] = 'm';
    buf[1] = what;
    ops_put_be64(buf + 2, id);
    return ops_slice_of(buf, ID_KEY_BYTES);
}

static void put_line(ops_strbuf *b, const ops_runout *l)
{
    const double v[] = {l->n,  l->t,   l->x,    l->tt,        l->tx,      l->n2,
                        l->t2, l->tt2, l->base, l->last_left, l->left_sq, l->left_next};
    ops_record_u(b, l->samples);
    ops_record_i(b, l->last_ns);
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        ops_record_f(b, v[i]);
}

static void get_line(ops_runout *l, ops_record_reader *r)
{
    double *const v[] = {&l->n,  &l->t,   &l->x,    &l->tt,        &l->tx,      &l->n2,
                         &l->t2, &l->tt2, &l->base, &l->last_left, &l->left_sq, &l->left_next};
    l->samples = ops_record_get_u(r);
    l->last_ns = ops_record_get_i(r);
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        *v[i] = ops_record_get_f(r);
}

static void put_fill(ops_strbuf *b, const filling *f)
{
    put_line(b, &f->line);
    put_line(b, &f->late);
    ops_record_u(b, f->block_n);
    ops_record_u(b, f->sure_n);
    ops_record_u(b, f->quiet_n);
    ops_record_f(b, f->far);
    ops_record_f(b, f->block_far);
    ops_record_f(b, f->told_s);
}

static bool get_fill(filling *f, ops_record_reader *r)
{
    get_line(&f->line, r);
    get_line(&f->late, r);
    const uint64_t block_n = ops_record_get_u(r), sure_n = ops_record_get_u(r), quiet_n = ops_record_get_u(r);
    f->block_n = (uint32_t)block_n;
    f->sure_n = (uint32_t)sure_n;
    f->quiet_n = (uint32_t)quiet_n;
    f->far = ops_record_get_f(r);
    f->block_far = ops_record_get_f(r);
    f->told_s = ops_record_get_f(r);
    return !r->bad && block_n < UINT16_MAX && sure_n < UINT16_MAX && quiet_n < UINT16_MAX;
}

static void put_series(ops_strbuf *b, const series *s)
{
    ops_record_u(b, SERIES_VERSION);
    ops_record_s(b, series_tenant(s));
    ops_record_s(b, series_service(s));
    ops_record_s(b, series_text(s));
    ops_record_u(b, s->kind);
    ops_record_u(b, (s->fill != NULL) * 8u + s->stale * 4u + s->has_last * 2u + (s->baseline != NULL));
    const uint64_t n[] = {s->samples, s->late, s->repeated, s->resets};
    for (size_t i = 0; i < sizeof n / sizeof *n; i++)
        ops_record_u(b, n[i]);
    const int64_t t[] = {s->first_ns, s->last_ns, s->recv_ns, s->judged_ns};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        ops_record_i(b, t[i]);
    const double f[] = {s->last, s->judged, s->low, s->high, s->score};
    for (size_t i = 0; i < sizeof f / sizeof *f; i++)
        ops_record_f(b, f[i]);
    ops_record_u(b, s->tail_n);
    for (uint32_t i = 0; i < s->tail_n; i++) {
        ops_record_i(b, s->tail[i].time_ns);
        ops_record_f(b, s->tail[i].value);
    }
    if (s->fill != NULL)
        put_fill(b, s->fill);
    const int64_t bucket[] = {s->from_ns, s->kept_ns, s->told_ns};
    for (size_t i = 0; ops_monitor_is_bucket(s->kind) && i < sizeof bucket / sizeof *bucket; i++)
        ops_record_i(b, bucket[i]);
}

static ops_status save_series(ops_monitor *m, series *s, ops_monitor_emit emit, void *u)
{
    char key[ID_KEY_BYTES];
    ops_strbuf *b = &m->text;
    ops_status st = OPS_OK;
    if (s->whole) {
        ops_strbuf_clear(b);
        ops_baseline_save(s->baseline, b);
        st = b->failed ? OPS_ENOMEM : emit(u, ops_monitor_key(key, 'B', s->id), ops_strbuf_get(b));
        if (st != OPS_OK)
            return st;
    }
    /* The tail starts anew only when both records are out. */
    const uint32_t tail_n = s->tail_n;
    if (s->whole)
        s->tail_n = 0;
    ops_strbuf_clear(b);
    put_series(b, s);
    st = b->failed ? OPS_ENOMEM : emit(u, ops_monitor_key(key, 'S', s->id), ops_strbuf_get(b));
    if (st != OPS_OK) {
        s->tail_n = tail_n;
        return st;
    }
    s->whole = s->dirty = false;
    return OPS_OK;
}

static ops_status save_clock(ops_monitor *m, ops_monitor_emit emit, void *u)
{
    ops_strbuf *b = &m->text;
    ops_strbuf_clear(b);
    ops_record_u(b, VERSION);
    ops_record_i(b, m->event_ns);
    ops_record_u(b, m->next_id);
    return b->failed ? OPS_ENOMEM : emit(u, OPS_SLICE("mX"), ops_strbuf_get(b));
}

ops_status ops_monitor_save_dirty(ops_monitor *m, ops_monitor_emit emit, void *u, ops_err *reterr)
{
    ops_status st = OPS_OK;
    char key[ID_KEY_BYTES];
    if (m->dirty_bytes == 0 && m->gone.n == 0 && m->gone_groups.n == 0)
        return OPS_OK;
    for (; st == OPS_OK && m->gone.n > 0; m->gone.n -= st == OPS_OK) {
        const uint64_t id = m->gone.v[m->gone.n - 1];
        st = emit(u, ops_monitor_key(key, 'B', id), (ops_slice){0});
        if (st == OPS_OK)
            st = emit(u, ops_monitor_key(key, 'S', id), (ops_slice){0});
    }
    for (size_t i = 0; st == OPS_OK && i < m->all.n; i++)
        if (m->all.v[i]->dirty)
            st = save_series(m, m->all.v[i], emit, u);
    if (st == OPS_OK)
        st = ops_monitor_groups_save(m, emit, u);
    if (st == OPS_OK)
        st = save_clock(m, emit, u);
    if (st != OPS_OK)
        return ops_fail(reterr, st, "saving %zu series", m->all.n);
    m->dirty_bytes = 0;
    return OPS_OK;
}

static bool get_numbers(series *s, uint64_t version, ops_record_reader *r)
{
    uint64_t *const n[] = {&s->samples, &s->late, &s->repeated, &s->resets};
    int64_t *const t[] = {&s->first_ns, &s->last_ns, &s->recv_ns, &s->judged_ns};
    double *const f[] = {&s->last, &s->judged, &s->low, &s->high, &s->score};
    for (size_t i = 0; i < sizeof n / sizeof *n; i++)
        *n[i] = ops_record_get_u(r);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        *t[i] = ops_record_get_i(r);
    for (size_t i = 0; i < sizeof f / sizeof *f; i++)
        *f[i] = ops_record_get_f(r);
    const uint64_t tail = ops_record_get_u(r);
    if (r->bad || tail > OPS_MONITOR_TAIL || (tail > 0 && s->tail == NULL))
        return false;
    for (uint32_t i = 0; i < tail; i++) {
        s->tail[i].time_ns = ops_record_get_i(r);
        s->tail[i].value = ops_record_get_f(r);
    }
    s->tail_n = (uint32_t)tail;
    int64_t *const bucket[] = {&s->from_ns, &s->kept_ns, &s->told_ns};
    const bool has = version >= FROM_VERSION && ops_monitor_is_bucket(s->kind);
    if (s->fill != NULL && !get_fill(s->fill, r))
        return false;
    for (size_t i = 0; i < sizeof bucket / sizeof *bucket; i++)
        *bucket[i] = has ? ops_record_get_i(r) : INT64_MIN;
    return ops_record_whole(r);
}

ops_status ops_monitor_corrupt(ops_slice key, ops_err *reterr)
{
    char hex[2 * ID_KEY_BYTES + 1];
    ops_hex_put(hex, key.p, key.n < ID_KEY_BYTES ? key.n : ID_KEY_BYTES);
    return ops_fail(reterr, OPS_ECORRUPT, "metrics: record %s is damaged", hex);
}

static ops_status load_series(ops_monitor *m, uint64_t id, ops_slice key, ops_slice val, ops_err *reterr)
{
    ops_record_reader r = ops_record_read(val);
    const uint64_t version = ops_record_get_u(&r);
    const ops_slice tenant = ops_record_get_s(&r, NAME_BYTES_MAX),
                    service = ops_record_get_s(&r, NAME_BYTES_MAX),
                    text = ops_record_get_s(&r, SERIES_BYTES_MAX);
    const uint64_t kind = ops_record_get_u(&r), flags = ops_record_get_u(&r);
    if (r.bad || version < VERSION || version > SERIES_VERSION || kind < OPS_MONITOR_GAUGE ||
        kind >= OPS_MONITOR_KIND_COUNT || flags > (version == VERSION ? 7 : 15) ||
        ops_map64_has(m->by_id, id))
        return ops_monitor_corrupt(key, reterr);
    const size_t before = m->all.n;
    series *s = ops_monitor_series_put(m, tenant, service, text);
    if (s == NULL || ops_map64_put(m->by_id, id, s, NULL) != OPS_OK)
        return ops_fail(reterr, OPS_ENOMEM, "series %zu", before);
    s->id = id;
    s->kind = (uint8_t)kind;
    s->stale = (flags & 4) != 0;
    s->has_last = (flags & 2) != 0;
    s->known = (flags & 1) != 0; /* has a baseline */
    s->tail = s->known ? ops_calloc(OPS_MONITOR_TAIL, sizeof *s->tail) : NULL;
    if (s->known && s->tail == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a series' samples");
    s->fill = (flags & 8) != 0 ? ops_calloc(1, sizeof *s->fill) : NULL;
    if ((flags & 8) != 0 && s->fill == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a series' forecast");
    if (s->fill != NULL)
        ops_monitor_fill_init(s->fill);
    return get_numbers(s, version, &r) ? OPS_OK : ops_monitor_corrupt(key, reterr);
}

/* A baseline may come before its series. */
static ops_status load_baseline(ops_monitor *m, uint64_t id, ops_slice key, ops_slice val, ops_err *reterr)
{
    ops_baseline *b = NULL;
    if (!ops_vec_push(&m->waiting, ((waiting){id, NULL})))
        return ops_fail(reterr, OPS_ENOMEM, "a baseline");
    ops_status st = ops_baseline_load(val, &b, reterr);
    if (st == OPS_ECORRUPT)
        return ops_monitor_corrupt(key, reterr);
    m->waiting.v[m->waiting.n - 1].baseline = b;
    return st;
}

ops_status ops_monitor_load(ops_monitor *m, ops_slice key, ops_slice val, ops_err *reterr)
{
    if (ops_slice_eq(key, OPS_SLICE("mX"))) {
        ops_record_reader r = ops_record_read(val);
        const uint64_t version = ops_record_get_u(&r);
        const int64_t event_ns = ops_record_get_i(&r);
        const uint64_t next_id = ops_record_get_u(&r);
        if (!ops_record_whole(&r) || version != VERSION || next_id == 0)
            return ops_monitor_corrupt(key, reterr);
        m->event_ns = event_ns;
        m->next_id = next_id;
        return OPS_OK;
    }
    if (key.n != ID_KEY_BYTES || key.p[0] != 'm')
        return ops_monitor_corrupt(key, reterr);
    const uint64_t id = ops_get_be64(key.p + 2);
    switch (key.p[1]) {
    case 'B':
        return load_baseline(m, id, key, val, reterr);
    case 'S':
        return load_series(m, id, key, val, reterr);
    case 'G':
        return ops_monitor_group_load(m, id, key, val, reterr);
    case 'C':
        return ops_monitor_view_load(m, id, key, val, reterr);
    default:
        return ops_monitor_corrupt(key, reterr);
    }
}

/* The tail is judged again; what it had to tell was told. */
static ops_status again(series *s, ops_err *reterr)
{
    ops_baseline_verdict v;
    ops_status st = s->known ? ops_monitor_baseline(s, reterr) : OPS_OK;
    for (uint32_t i = 0; st == OPS_OK && s->baseline != NULL && i < s->tail_n; i++)
        if (ops_baseline_add(s->baseline, s->tail[i].time_ns, s->tail[i].value, &v) != OPS_OK)
            st = ops_fail(reterr, OPS_ENOMEM, "a series' baseline");
    return st;
}

ops_status ops_monitor_load_done(ops_monitor *m, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; i < m->waiting.n; i++) {
        series *s = ops_map64_get(m->by_id, m->waiting.v[i].id);
        if (s == NULL || !s->known || s->baseline != NULL)
            return ops_fail(reterr, OPS_ECORRUPT, "metrics: a baseline without its series");
        s->baseline = OPS_STEAL(m->waiting.v[i].baseline);
    }
    ops_vec_done(&m->waiting);
    for (size_t i = 0; st == OPS_OK && i < m->all.n; i++) {
        if (m->all.v[i]->id >= m->next_id)
            return ops_fail(reterr, OPS_ECORRUPT, "metrics: a series of a time to come");
        st = again(m->all.v[i], reterr);
        ops_monitor_weigh(m, m->all.v[i]);
        m->all.v[i]->known = false;
    }
    if (st == OPS_OK)
        st = ops_monitor_groups_done(m, reterr);
    if (st == OPS_OK)
        st = ops_monitor_histograms_done(m, reterr);
    ops_map64_free(m->by_id);
    m->by_id = NULL;
    return st;
}
