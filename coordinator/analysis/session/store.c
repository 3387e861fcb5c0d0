/* A watch as records. Keys: "s" state, open sessions, episode; "k" kinds; "c" + number: CHUNK learnt sessions; "j" and "m" the
 * trained model (store_joined.c). The detectors' model is made of the sessions again when first wanted. */
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/session/state.h"
#include "coordinator/analysis/window/record.h"

enum { RECORD_VERSION = 1 };
#define TIME_MAX (((int64_t)1 << 61) - 1) /* sums and differences stay in range */

static void put_line(ops_strbuf *b, const kept_line *l)
{
    ops_record_i(b, l->time_ns);
    ops_record_u(b, l->log_offset);
    ops_record_u(b, l->index);
    ops_record_s(b, ops_slice_of(l->text, l->n));
}

static void put_open(ops_strbuf *b, const open_session *s)
{
    ops_record_u(b, s->key);
    ops_record_i(b, s->first_ns);
    ops_record_i(b, s->last_ns);
    ops_record_i(b, s->last_w);
    ops_record_u(b, s->failures);
    ops_record_u(b, s->partial * 2u + s->ended);
    ops_record_u(b, s->lines_n);
    ops_record_u(b, s->n);
    for (uint32_t i = 0; i < s->n; i++)
        ops_record_u(b, s->ev[i]);
}

/* Every time and window, in the order of the record. */
static size_t times_of(ops_session_watch *w, int64_t *v[8])
{
    int64_t *all[] = {&w->phase_w,  &w->mask_w,    &w->ep.start_ns, &w->ep.last_ns,
                      &w->ep.odd_w, &w->ep.told_w, &w->ep.start_w};
    memcpy(v, all, sizeof all);
    return sizeof all / sizeof all[0];
}

static void put_episode(ops_strbuf *b, const episode *ep)
{
    ops_record_u(b, ep->by_model * 8u + ep->on * 4u + ep->told * 2u + ep->witnessed);
    ops_record_u(b, ep->judged);
    ops_record_u(b, ep->odd);
    ops_record_u(b, ep->windows);
    ops_record_f(b, ep->oddest);
    ops_record_u(b, ep->event_n);
    for (size_t i = 0; i < ep->event_n; i++)
        ops_record_u(b, ep->events[i]);
    ops_record_s(b, ops_slice_of(ep->words, ep->words_n));
    ops_record_u(b, ep->line_n);
    for (size_t i = 0; i < ep->line_n; i++) {
        ops_record_u(b, ep->line_event[i]);
        put_line(b, &ep->line[i]);
    }
}

static void put_state(ops_session_watch *w)
{
    ops_strbuf *b = &w->text;
    int64_t *times[8];
    ops_strbuf_clear(b);
    ops_record_u(b, RECORD_VERSION);
    ops_record_u(b, (uint64_t)w->phase * 2 + w->keyed);
    const uint64_t n[] = {w->longer, w->lines,         w->keyed_lines, w->mask,       w->wider,
                          w->peak,   w->learnt.stride, w->learnt.seen, w->learnt.low, w->learnt.high};
    for (size_t i = 0; i < sizeof n / sizeof n[0]; i++)
        ops_record_u(b, n[i]);
    const double f[] = {w->judged, w->odd, w->recent, w->recent_fresh};
    for (size_t i = 0; i < sizeof f / sizeof f[0]; i++)
        ops_record_f(b, f[i]);
    for (size_t i = 0, k = times_of(w, times); i < k; i++)
        ops_record_i(b, *times[i]);
    put_episode(b, &w->ep);
    ops_record_u(b, w->open_n);
    for (size_t i = 0; i < w->open_n; i++)
        put_open(b, w->open[i]);
}

static void put_chunk(ops_session_watch *w, size_t chunk)
{
    const learnt *l = &w->learnt;
    ops_strbuf *b = &w->text;
    const size_t first = chunk * CHUNK, end = l->ends.n < first + CHUNK ? l->ends.n : first + CHUNK;
    ops_strbuf_clear(b);
    if (first < end)
        ops_record_u(b, end - first);
    for (size_t i = first; i < end; i++) {
        const uint32_t from = i == 0 ? 0 : l->ends.v[i - 1];
        ops_record_u(b, l->ends.v[i] - from);
        for (uint32_t k = from; k < l->ends.v[i]; k++)
            ops_record_u(b, l->pool.v[k]);
    }
}

static ops_status save_learnt(ops_session_watch *w, ops_session_emit emit, void *u)
{
    learnt *l = &w->learnt;
    ops_status st = OPS_OK;
    for (size_t i = 0; i < CHUNKS && st == OPS_OK; i++) {
        const uint8_t bit = (uint8_t)(1u << i);
        if ((l->chunk_dirty & bit) == 0)
            continue;
        const char key[2] = {'c', (char)i};
        const bool any = l->ends.n > i * CHUNK;
        put_chunk(w, i);
        if (any || (l->chunk_saved & bit) != 0)
            st = w->text.failed ? OPS_ENOMEM : emit(u, ops_slice_of(key, 2), ops_strbuf_get(&w->text));
        if (st != OPS_OK)
            return st;
        l->chunk_dirty &= (uint8_t)~bit;
        l->chunk_saved = (uint8_t)(any ? l->chunk_saved | bit : l->chunk_saved & ~bit);
    }
    if (!l->kinds_dirty)
        return st;
    ops_strbuf_clear(&w->text);
    ops_record_u(&w->text, l->kinds.n);
    for (size_t i = 0; i < l->kinds.n; i++)
        ops_record_u(&w->text, l->kinds.v[i]);
    st = w->text.failed ? OPS_ENOMEM : emit(u, OPS_SLICE("k"), ops_strbuf_get(&w->text));
    l->kinds_dirty = l->kinds_dirty && st != OPS_OK;
    return st;
}

ops_status ops_session_watch_save(ops_session_watch *w, ops_session_emit emit, void *u)
{
    ops_status st = save_learnt(w, emit, u);
    if (st == OPS_OK)
        st = session_joined_save(w, emit, u);
    if (st != OPS_OK || !w->dirty)
        return st;
    put_state(w);
    st = w->text.failed ? OPS_ENOMEM : emit(u, OPS_SLICE("s"), ops_strbuf_get(&w->text));
    w->dirty = st != OPS_OK;
    return st;
}

static bool sane(int64_t v)
{
    return v >= -TIME_MAX && v <= TIME_MAX;
}

static ops_status get_line(ops_record_reader *r, kept_line *ret)
{
    kept_line l = {.time_ns = ops_record_get_i(r), .log_offset = ops_record_get_u(r)};
    l.index = (uint32_t)ops_record_get_u(r);
    const ops_slice text = ops_record_get_s(r, LINE_MAX);
    if (r->bad || !sane(l.time_ns))
        return OPS_ECORRUPT;
    l.n = (uint32_t)text.n;
    l.text = ops_strndup(text.p, text.n);
    *ret = l;
    return l.text != NULL ? OPS_OK : OPS_ENOMEM;
}

static ops_status get_episode(episode *ep, ops_record_reader *r)
{
    const uint64_t flags = ops_record_get_u(r);
    ep->by_model = (flags & 8) != 0;
    ep->on = (flags & 4) != 0;
    ep->told = (flags & 2) != 0;
    ep->witnessed = (flags & 1) != 0;
    ep->judged = ops_record_get_u(r);
    ep->odd = ops_record_get_u(r);
    ep->windows = (uint32_t)ops_record_get_u(r);
    ep->oddest = ops_record_get_f(r);
    const uint64_t events = ops_record_get_u(r);
    if (r->bad || flags > 15 || events > sizeof ep->events / sizeof ep->events[0] ||
        ep->odd > ep->judged + EVENTS_MAX * OPEN_MAX)
        return OPS_ECORRUPT;
    for (; ep->event_n < events; ep->event_n++)
        ep->events[ep->event_n] = ops_record_get_u(r);
    const ops_slice words = ops_record_get_s(r, WORDS_MAX);
    const uint64_t lines = ops_record_get_u(r);
    if (r->bad || lines > OPS_SESSION_EVIDENCE_MAX)
        return OPS_ECORRUPT;
    ep->words = ops_strndup(words.p, words.n);
    ep->words_n = (uint32_t)words.n;
    ops_status st = ep->words != NULL ? OPS_OK : OPS_ENOMEM;
    for (; st == OPS_OK && ep->line_n < lines; ep->line_n += st == OPS_OK) {
        ep->line_event[ep->line_n] = ops_record_get_u(r);
        st = get_line(r, &ep->line[ep->line_n]);
    }
    return st;
}

static ops_status get_open(ops_session_watch *w, ops_record_reader *r)
{
    open_session *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return OPS_ENOMEM;
    s->key = ops_record_get_u(r);
    s->first_ns = ops_record_get_i(r);
    s->last_ns = ops_record_get_i(r);
    s->last_w = ops_record_get_i(r);
    s->failures = ops_record_get_u(r);
    const uint64_t flags = ops_record_get_u(r);
    s->lines_n = (uint32_t)ops_record_get_u(r);
    const uint64_t n = ops_record_get_u(r);
    s->partial = (flags & 2) != 0;
    s->ended = (flags & 1) != 0;
    for (; !r->bad && s->n < n && s->n < EVENTS_MAX; s->n++)
        s->ev[s->n] = ops_record_get_u(r);
    bool good = !r->bad && s->n == n && flags < 4 && s->ended == (s->key == 0) && sane(s->first_ns) &&
                sane(s->last_ns) && sane(s->last_w);
    for (size_t i = 0; i < w->open_n; i++)
        good &= s->key == 0 || w->open[i]->key != s->key;
    w->open[w->open_n++] = s;
    return good ? OPS_OK : OPS_ECORRUPT;
}

static ops_status load_state(ops_session_watch *w, ops_record_reader *r)
{
    int64_t *times[8];
    const uint64_t version = ops_record_get_u(r), phase = ops_record_get_u(r);
    uint64_t n[10];
    for (size_t i = 0; i < sizeof n / sizeof n[0]; i++)
        n[i] = ops_record_get_u(r);
    double *f[] = {&w->judged, &w->odd, &w->recent, &w->recent_fresh};
    bool good = true;
    for (size_t i = 0; i < sizeof f / sizeof f[0]; i++) {
        *f[i] = ops_record_get_f(r);
        good &= *f[i] >= 0;
    }
    for (size_t i = 0, k = times_of(w, times); i < k; i++) {
        *times[i] = ops_record_get_i(r);
        good &= sane(*times[i]);
    }
    if (r->bad || !good || version != RECORD_VERSION || phase / 2 > OPS_SESSION_WATCHING || n[0] == 0 ||
        n[0] > 1024 || n[3] >= 2 * SPARSE_MASK_MAX || n[4] >= 2 * SPARSE_MASK_MAX || n[6] == 0 ||
        n[6] > UINT32_MAX / 2 || n[7] > UINT32_MAX || n[5] > UINT32_MAX || n[8] > n[9] || n[9] > UINT32_MAX)
        return OPS_ECORRUPT;
    w->phase = (ops_session_phase)(phase / 2);
    w->keyed = (phase & 1) != 0;
    w->longer = (uint32_t)n[0];
    w->lines = n[1];
    w->keyed_lines = n[2];
    w->mask = n[3];
    w->wider = n[4];
    w->peak = (uint32_t)n[5];
    w->learnt.stride = (uint32_t)n[6];
    w->learnt.seen = (uint32_t)n[7];
    w->learnt.low = (uint32_t)n[8];
    w->learnt.high = (uint32_t)n[9];
    ops_status st = get_episode(&w->ep, r);
    const uint64_t open = ops_record_get_u(r);
    if (st != OPS_OK || r->bad || open > OPEN_MAX)
        return st != OPS_OK ? st : OPS_ECORRUPT;
    while (st == OPS_OK && w->open_n < open)
        st = get_open(w, r);
    return st != OPS_OK || ops_record_whole(r) ? st : OPS_ECORRUPT;
}

static ops_status load_kinds(ops_session_watch *w, ops_record_reader *r)
{
    const uint64_t n = ops_record_get_u(r);
    if (n > KINDS_MAX || w->learnt.kinds.n > 0)
        return OPS_ECORRUPT;
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t kind = ops_record_get_u(r);
        if (r->bad || session_kind(&w->learnt, kind, false) != SIZE_MAX)
            return OPS_ECORRUPT;
        if (session_kind(&w->learnt, kind, true) == SIZE_MAX)
            return OPS_ENOMEM;
    }
    return ops_record_whole(r) ? OPS_OK : OPS_ECORRUPT;
}

ops_status ops_session_watch_load(ops_session_watch *w, ops_slice key, ops_slice val)
{
    ops_record_reader r = ops_record_read(val);
    if (key.n == 1 && key.p[0] == 's')
        return w->open_n > 0 || w->ep.words != NULL ? OPS_ECORRUPT : load_state(w, &r);
    if (key.n == 1 && key.p[0] == 'k')
        return load_kinds(w, &r);
    if (key.n == 1 && (key.p[0] == 'j' || key.p[0] == 'm'))
        return session_joined_load(&w->joined, key.p[0], val);
    const size_t i = key.n == 2 && key.p[0] == 'c' ? (uint8_t)key.p[1] : CHUNKS;
    if (i >= CHUNKS || w->chunk[i] != NULL)
        return OPS_ECORRUPT;
    w->chunk[i] = ops_strndup(val.p, val.n);
    w->chunk_n[i] = val.n;
    return w->chunk[i] != NULL ? OPS_OK : OPS_ENOMEM;
}

static ops_status load_chunk(learnt *l, ops_slice val)
{
    ops_record_reader r = ops_record_read(val);
    const uint64_t sessions = ops_record_get_u(&r);
    if (r.bad || sessions > CHUNK)
        return OPS_ECORRUPT;
    for (uint64_t s = 0; s < sessions; s++) {
        const uint64_t n = ops_record_get_u(&r);
        if (r.bad || n > EVENTS_MAX || l->pool.n + n > POOL_MAX)
            return OPS_ECORRUPT;
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t kind = ops_record_get_u(&r);
            if (r.bad || kind >= l->kinds.n)
                return OPS_ECORRUPT;
            if (!ops_vec_push(&l->pool, (uint16_t)kind))
                return OPS_ENOMEM;
        }
        if (!ops_vec_push(&l->ends, (uint32_t)l->pool.n))
            return OPS_ENOMEM;
    }
    return ops_record_whole(&r) ? OPS_OK : OPS_ECORRUPT;
}

ops_status ops_session_watch_load_done(ops_session_watch *w)
{
    learnt *l = &w->learnt;
    ops_status st = OPS_OK;
    for (size_t i = 0; i < CHUNKS; i++) {
        if (w->chunk[i] == NULL)
            continue;
        if (st == OPS_OK)
            st = l->ends.n == i * CHUNK ? load_chunk(l, ops_slice_of(w->chunk[i], w->chunk_n[i]))
                                        : OPS_ECORRUPT;
        l->chunk_saved |= (uint8_t)(1u << i);
        ops_free(w->chunk[i]);
        w->chunk[i] = NULL;
    }
    l->chunk_dirty = 0;
    l->kinds_dirty = w->dirty = false;
    w->now_w = w->phase_w;
    if (st == OPS_OK)
        st = session_joined_loaded(w);
    const bool judges = w->phase == OPS_SESSION_PROVING || w->phase == OPS_SESSION_WATCHING;
    return st == OPS_OK && judges && l->ends.n == 0 ? OPS_ECORRUPT : st;
}
