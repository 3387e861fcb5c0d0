/* Sessions of a stream: its lines to the watch over them, and what that tells to a candidate. */
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "base/text/hash.h"
#include "base/text/utf8.h"
#include "coordinator/analysis/pipeline/state.h"
#include "coordinator/analysis/session/key.h"

enum { STREAM_KEY_BYTES = 8, KEY_HEAD = 1 + STREAM_KEY_BYTES };

void ops_stream_sessions_add(stream *s, const ops_event *e, uint64_t id, int64_t w, bool failure)
{
    const ops_slice key = e->session.n > 0 ? e->session : ops_session_key(e->message);
    const uint64_t hash = key.n > 0 ? ops_hash64(key.p, key.n, 5) : 0;
    const ops_session_line line = {.key = key.n > 0 && hash == 0 ? 1 : hash,
                                   .event = id,
                                   .failure = failure,
                                   .window = w,
                                   .time_ns = e->time_ns,
                                   .log_offset = e->log_offset,
                                   .index = e->index,
                                   .text = e->message};
    ops_session_watch_add(s->watch, &line);
}

static uint64_t resolve(void *u, uint64_t event)
{
    return ops_miner_resolve(u, event);
}

static ops_slice name(void *u, uint64_t event)
{
    ops_template_info t;
    return ops_miner_info(u, event, &t) && t.text.n > 0 ? t.text : OPS_SLICE("a line without words");
}

/* A kept line as text: a character that was cut goes, and what else is none is cleaned into `b`, which has room for it. */
static ops_slice as_text(ops_strbuf *b, ops_slice s)
{
    for (size_t less = 0; less < 4 && less <= s.n; less++)
        if (ops_utf8_valid(ops_slice_sub(s, 0, s.n - less)))
            return ops_slice_sub(s, 0, s.n - less);
    const size_t from = b->n;
    ops_utf8_clean(b, s);
    return ops_slice_of(b->p + from, b->n - from);
}

static void tell_odd(ops_pipeline *p, stream *s, const ops_session_odd *odd)
{
    ops_candidate c = {.kind = OPS_CANDIDATE_SEQUENCE,
                       .severity = OPS_LEVEL_WARNING,
                       .statistic = "share of odd sessions",
                       .value = (double)odd->odd / (double)odd->judged,
                       .expected_high = odd->share,
                       .p_value = odd->p_value,
                       .start_ns = odd->start_ns,
                       .end_ns = odd->last_ns,
                       .template_count = odd->event_n};
    ops_strbuf clean;
    ops_strbuf_init(&clean, 1 << 16);
    (void)ops_strbuf_room(&clean, 3 * OPS_EVIDENCE_BYTES_MAX *
                                      OPS_CANDIDATE_EVIDENCE_MAX); /* does not move from here */
    for (size_t i = 0; i < odd->event_n; i++)
        c.template_ids[i] = odd->events[i];
    for (size_t i = 0; !clean.failed && i < odd->evidence_n && c.evidence_count < OPS_CANDIDATE_EVIDENCE_MAX;
         i++) {
        const ops_session_evidence *e = &odd->evidence[i];
        c.evidence[c.evidence_count++] = (ops_evidence){.service = {s->service, s->service_n},
                                                        .text = as_text(&clean, e->text),
                                                        .time_ns = e->time_ns,
                                                        .template_id = e->event,
                                                        .log_offset = e->log_offset,
                                                        .index = e->index};
    }
    ops_strbuf_clear(&p->words);
    ops_strbuf_printf(
        &p->words,
        OPS_SLICE_FMT
        ": %llu of %llu %s are unlike those of normal traffic, where about 1 in %.0f is usual: ",
        (int)s->service_n, s->service, (unsigned long long)odd->odd, (unsigned long long)odd->judged,
        odd->keyed ? "sessions" : "windows of 10 s", 1 / odd->share);
    ops_strbuf_slice(&p->words, odd->words);
    ops_stream_tell(p, s, &c);
    ops_strbuf_done(&clean);
}

static ops_session_view view_of(const ops_pipeline *p, const stream *s)
{
    ops_miner *m = p->tenants.v[s->tenant]->miner;
    ops_miner_stats stats;
    ops_miner_stats_get(m, &stats);
    return (ops_session_view){.resolve = resolve,
                              .name = name,
                              .u = m,
                              .folds = stats.folds + stats.evicted,
                              .ill = s->ep.on && s->ep.told};
}

void ops_stream_sessions_close(ops_pipeline *p, stream *s, int64_t w)
{
    if (s->watch == NULL) {
        if (s->learned && !p->lim.sessions_ignored && p->watches < p->lim.watches_max)
            p->watches += ops_session_watch_new(w + 1, &s->watch, NULL) == OPS_OK;
        return; /* without memory it is tried again at the next window */
    }
    ops_session_odd odd;
    const ops_session_view view = view_of(p, s);
    if (ops_session_watch_close(s->watch, w, &view, &odd))
        tell_odd(p, s, &odd);
}

bool ops_pipeline_next_work(ops_pipeline *p, size_t *iter, ops_pipeline_work *ret)
{
    for (size_t i = 0; i < p->streams.n; i++) {
        const size_t at = (*iter + i) % p->streams.n;
        stream *s = p->streams.v[at];
        if (s->watch == NULL)
            continue;
        const tenant *t = p->tenants.v[s->tenant];
        const ops_session_view view = view_of(p, s);
        if (!ops_session_watch_work(s->watch, &view, &ret->work))
            continue;
        ret->stream = s->key;
        ret->tenant = ops_slice_of(t->name, t->name_n);
        ret->service = ops_slice_of(s->service, s->service_n);
        *iter = at + 1;
        return true;
    }
    return false;
}

ops_status ops_pipeline_answer(ops_pipeline *p, uint64_t key, uint64_t ticket, const ops_session_answer *a)
{
    for (size_t i = 0; i < p->streams.n; i++) {
        stream *s = p->streams.v[i];
        if (s->key != key || s->watch == NULL)
            continue;
        const ops_session_view view = view_of(p, s);
        return ops_session_watch_answer(s->watch, ticket, a, &view);
    }
    return OPS_ENOTFOUND;
}

void ops_pipeline_sessions_count(const ops_pipeline *p, ops_pipeline_stats *ret)
{
    ret->trained = ret->joined = 0;
    for (size_t i = 0; i < p->streams.n; i++) {
        ops_session_info info;
        if (p->streams.v[i]->watch == NULL)
            continue;
        ops_session_watch_info(p->streams.v[i]->watch, &info);
        ret->trained += info.trained;
        ret->joined += info.joined;
    }
}

typedef struct forward {
    ops_miner_emit emit;
    void *u;
    uint64_t key;
} forward;

static ops_status emit_watch(void *u, ops_slice key, ops_slice val)
{
    const forward *f = u;
    char buf[KEY_HEAD + OPS_SESSION_RECORD_KEY_MAX] = {'q'};
    if (key.n > OPS_SESSION_RECORD_KEY_MAX)
        return OPS_EINTERNAL;
    ops_put_be64(buf + 1, f->key);
    memcpy(buf + KEY_HEAD, key.p, key.n);
    return f->emit(f->u, ops_slice_of(buf, KEY_HEAD + key.n), val);
}

ops_status ops_stream_sessions_save(stream *s, ops_miner_emit emit, void *u)
{
    forward f = {emit, u, s->key};
    return s->watch != NULL ? ops_session_watch_save(s->watch, emit_watch, &f) : OPS_OK;
}

ops_status ops_pipeline_sessions_load(ops_pipeline *p, ops_slice key, ops_slice val)
{
    const uint64_t of = ops_get_be64(key.p + 1);
    if (p->lim.sessions_ignored)
        return OPS_OK;
    if (p->loading == NULL && (p->loading = ops_map64_new()) == NULL)
        return OPS_ENOMEM;
    ops_session_watch *w = ops_map64_get(p->loading, of);
    if (w == NULL) {
        if (ops_map64_count(p->loading) >= p->lim.streams_max)
            return OPS_ECORRUPT;
        if (ops_session_watch_new(0, &w, NULL) != OPS_OK)
            return OPS_ENOMEM;
        if (ops_map64_put(p->loading, of, w, NULL) != OPS_OK) {
            ops_session_watch_free(w);
            return OPS_ENOMEM;
        }
    }
    return ops_session_watch_load(w, ops_slice_sub(key, KEY_HEAD, key.n), val);
}

ops_status ops_pipeline_sessions_load_done(ops_pipeline *p)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; p->loading != NULL && i < p->streams.n && st == OPS_OK; i++) {
        stream *s = p->streams.v[i];
        s->watch = ops_map64_del(p->loading, s->key);
        p->watches += s->watch != NULL;
        st = s->watch != NULL ? ops_session_watch_load_done(s->watch) : OPS_OK;
    }
    if (st == OPS_OK && p->loading != NULL && ops_map64_count(p->loading) > 0)
        st = OPS_ECORRUPT; /* of a stream that is not there */
    ops_pipeline_sessions_free(p);
    return st;
}

void ops_pipeline_sessions_free(ops_pipeline *p)
{
    size_t iter = 0;
    uint64_t key;
    void *w;
    while (p->loading != NULL && ops_map64_next(p->loading, &iter, &key, &w))
        ops_session_watch_free(w);
    ops_map64_free(p->loading);
    p->loading = NULL;
}
