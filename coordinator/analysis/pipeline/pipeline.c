#include "coordinator/analysis/pipeline/pipeline.h"

#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/pipeline/state.h"

static const int64_t second_ns = 1000000000, idle_lateness_ns = 10 * (int64_t)1000000000,
                     ahead_max_ns = 60 * (int64_t)1000000000;

ops_status ops_pipeline_new(const ops_pipeline_limits *limits, ops_pipeline **ret, ops_err *reterr)
{
    OPS_AUTO(ops_pipeline_free) ops_pipeline *p = ops_calloc(1, sizeof *p);
    if (p == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "analysis pipeline");
    if (limits != NULL)
        p->lim = *limits;
    ops_pipeline_limits *l = &p->lim;
    l->tenants_max = l->tenants_max != 0 ? l->tenants_max : 64;
    l->streams_max = l->streams_max != 0 ? l->streams_max : 4096;
    if (l->streams_max < 2 * l->tenants_max)
        l->streams_max = 2 * l->tenants_max;
    l->series_per_stream_max = l->series_per_stream_max != 0 ? l->series_per_stream_max : 2048;
    l->watches_max = l->watches_max != 0 ? l->watches_max : 32;
    l->lateness_ns = l->lateness_ns > 0 ? l->lateness_ns : 3 * second_ns;
    l->lateness_ns = l->lateness_ns < WINDOW_NS ? l->lateness_ns : WINDOW_NS - 1;
    p->event_ns = p->alive_ns = INT64_MIN;
    ops_strbuf_init(&p->text, 16 << 20);
    ops_strbuf_init(&p->words, 4096);
    p->tenant_of = ops_map_new();
    p->stream_of = ops_map_new();
    if (p->tenant_of == NULL || p->stream_of == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "analysis pipeline");
    *ret = OPS_STEAL(p);
    return OPS_OK;
}

void ops_pipeline_free(ops_pipeline *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->streams.n; i++)
        ops_stream_free(p->streams.v[i]);
    for (size_t i = 0; i < p->tenants.n; i++) {
        ops_miner_free(p->tenants.v[i]->miner);
        ops_free(p->tenants.v[i]->name);
        ops_free(p->tenants.v[i]);
    }
    ops_vec_done(&p->streams);
    ops_vec_done(&p->tenants);
    ops_pipeline_sessions_free(p);
    ops_map_free(p->tenant_of);
    ops_map_free(p->stream_of);
    ops_strbuf_done(&p->text);
    ops_strbuf_done(&p->words);
    ops_free(p);
}

/* How far the window of a stream may be closed: by its own records, or, later, by everything else moving on. */
static void close_due(ops_pipeline *p, stream *s)
{
    int64_t own = window_of(s->last_ns - p->lim.lateness_ns) - 1;
    ops_stream_close(p, s, own, true);
    int64_t quiet = p->alive_ns - s->mark_ns + p->idle_ns, moved = quiet - idle_lateness_ns;
    if (p->idle_ns <= idle_lateness_ns) /* others still speak */
        ops_stream_judge_hush(p, s, quiet);
    if (moved > 0)
        ops_stream_close(p, s, window_of(s->last_ns + moved) - 1, p->idle_ns <= idle_lateness_ns);
}

static void move_on(ops_pipeline *p, int64_t event_ns)
{
    if (event_ns <= p->alive_ns)
        return;
    bool step = p->alive_ns == INT64_MIN || window_of(event_ns) != window_of(p->alive_ns) ||
                event_ns / second_ns != p->alive_ns / second_ns;
    p->alive_ns = event_ns;
    p->idle_ns = 0;
    p->meta_dirty = true;
    for (size_t i = 0; step && i < p->streams.n; i++)
        close_due(p, p->streams.v[i]);
}

static bool counts_as_error(const ops_event *e, ops_failure words)
{
    if (e->severity >= 17 || words == OPS_FAILURE_CRITICAL)
        return true;
    return (e->severity == 0 || e->severity >= 13) && words != OPS_FAILURE_NONE;
}

static void count_row(stream *s, row *r, size_t k, int64_t w)
{
    slot *sl = &s->slots[k];
    r->total++;
    if (r->slot_w[k] == w) {
        r->count[k]++;
        return;
    }
    r->slot_w[k] = w;
    r->count[k] = 1;
    if (!ops_vec_push(&sl->rows, r))
        r->slot_w[k] = INT64_MIN; /* not judged in this window; counted in the stream all the same */
}

static void count(ops_pipeline *p, stream *s, const ops_event *e, uint64_t id)
{
    int64_t w = window_of(e->time_ns);
    if (w <= s->closed_w) {
        s->late++;
        p->stats.late++;
        w = s->closed_w + 1;
    }
    size_t k = ops_stream_slot(s, w);
    slot *sl = &s->slots[k];
    if (sl->w != w) {
        sl->w = w;
        sl->total = sl->errors = 0;
        sl->error_seconds = 0;
        sl->rows.n = 0;
    }
    ops_failure words = ops_stream_failure(s, id, e->message);
    bool error = counts_as_error(e, words);
    row *r = ops_stream_row(p, s, id, w, (uint8_t)words, error);
    s->records++;
    s->errors += error && !e->echo;
    bool another_second = false;
    sl->total++;
    if (error) {
        sl->first_error_ns =
            sl->error_seconds == 0 || e->time_ns < sl->first_error_ns ? e->time_ns : sl->first_error_ns;
        sl->last_error_ns =
            sl->error_seconds == 0 || e->time_ns > sl->last_error_ns ? e->time_ns : sl->last_error_ns;
        sl->errors += !e->echo;
        int64_t s_of_w =
            (e->time_ns - w * WINDOW_NS) / second_ns; /* below 0: late, counted in the window's first */
        uint16_t bit = (uint16_t)(1u << (s_of_w < 0 ? 0 : s_of_w > 9 ? 9 : s_of_w));
        another_second = (sl->error_seconds & bit) == 0;
        sl->error_seconds |= bit;
    }
    if (r != NULL)
        count_row(s, r, k, w);
    bool young = r != NULL && r->born_late && r->total <= 3;
    if (young || (error && (r == NULL || r->count[k] <= 2)))
        ops_stream_keep(s, e, id, error);
    s->dirty = true;
    if (s->watch != NULL && !e->echo)
        ops_stream_sessions_add(s, e, id, w, words != OPS_FAILURE_NONE);
    if (another_second && s->ep.on && !s->ep.told)
        ops_stream_judge_open(p, s, w, e->time_ns);
}

ops_status ops_pipeline_add(ops_pipeline *p, const ops_event *given, ops_template_hit *ret_hit,
                            ops_err *reterr)
{
    ops_event e = *given;
    ops_template_hit hit;
    uint32_t ti = 0;
    if (e.recv_ns > 0 && e.time_ns > e.recv_ns + ahead_max_ns) {
        e.time_ns = e.recv_ns + ahead_max_ns;
        p->stats.clamped++;
    }
    if (e.time_ns < 0)
        e.time_ns = 0;
    if (e.time_ns > VALUE_MAX) {
        e.time_ns = VALUE_MAX;
        p->stats.clamped++;
    }
    tenant *t = ops_pipeline_tenant(p, e.tenant, e.time_ns, &ti);
    stream *s = t == NULL ? NULL : ops_pipeline_stream(p, ti, e.service, e.time_ns);
    if (s == NULL || ops_miner_add(t->miner, e.message, e.time_ns, &hit) != OPS_OK)
        return ops_fail(reterr, OPS_ENOMEM, "analysing a record of service '" OPS_SLICE_FMT "'",
                        OPS_SLICE_ARG(e.service));
    p->stats.records++;
    t->records++;
    t->dirty = true;
    p->event_ns = e.time_ns > p->event_ns ? e.time_ns : p->event_ns;
    move_on(p, e.time_ns);
    p->idle_ns = 0;
    if (e.time_ns > s->last_ns) {
        s->last_ns = e.time_ns;
        ops_stream_close(p, s, window_of(e.time_ns - p->lim.lateness_ns) - 1, true);
    }
    if (!s->silent && p->alive_ns - s->mark_ns > s->wait_ns)
        s->wait_ns = p->alive_ns - s->mark_ns;
    s->hushed = false;
    s->mark_ns = p->alive_ns;
    uint64_t errors = s->errors;
    count(p, s, &e, hit.id);
    t->errors += s->errors - errors;
    if (ret_hit != NULL)
        *ret_hit = hit;
    return OPS_OK;
}

ops_status ops_pipeline_tick(ops_pipeline *p, int64_t now_ns, ops_err *reterr)
{
    (void)reterr;
    if (p->ticked && now_ns > p->tick_ns && p->alive_ns != INT64_MIN)
        p->idle_ns += now_ns - p->tick_ns;
    p->tick_ns = now_ns;
    p->ticked = true;
    for (size_t i = 0; i < p->streams.n; i++)
        close_due(p, p->streams.v[i]);
    return OPS_OK;
}

ops_status ops_pipeline_advance(ops_pipeline *p, int64_t event_ns, ops_err *reterr)
{
    (void)reterr;
    if (p->alive_ns != INT64_MIN)
        move_on(p, event_ns);
    return OPS_OK;
}

void ops_pipeline_finish(ops_pipeline *p)
{
    for (size_t i = 0; i < p->streams.n; i++)
        ops_stream_close(p, p->streams.v[i], window_of(p->streams.v[i]->last_ns), true);
}

int64_t ops_pipeline_event_ns(const ops_pipeline *p)
{
    return p->event_ns;
}

bool ops_pipeline_next_stream(const ops_pipeline *p, size_t *iter, ops_stream_info *ret)
{
    if (*iter >= p->streams.n)
        return false;
    const stream *s = p->streams.v[(*iter)++];
    const tenant *t = p->tenants.v[s->tenant];
    size_t at = 0, twins = 0;
    uint64_t key;
    void *v;
    while (ops_map64_next(s->rows, &at, &key, &v)) {
        const row *r = v;
        twins += r->error && ops_stream_row_get(s, r->id, false) != NULL;
    }
    *ret = (ops_stream_info){.tenant = {t->name, t->name_n},
                             .service = {s->service, s->service_n},
                             .records = s->records,
                             .errors = s->errors,
                             .late = s->late,
                             .first_ns = s->first_ns,
                             .last_ns = s->last_ns,
                             .templates = ops_map64_count(s->rows) - twins,
                             .learning = !s->learned};
    return true;
}

bool ops_pipeline_next_template(const ops_pipeline *p, ops_pipeline_template_iter *iter,
                                ops_slice *ret_tenant, ops_template_info *ret)
{
    for (; iter->tenant < p->tenants.n; iter->tenant++, iter->at = 0) {
        const tenant *t = p->tenants.v[iter->tenant];
        if (ops_miner_next(t->miner, &iter->at, ret)) {
            *ret_tenant = ops_slice_of(t->name, t->name_n);
            return true;
        }
    }
    return false;
}

static const tenant *tenant_named(const ops_pipeline *p, ops_slice name)
{
    uintptr_t at = (uintptr_t)ops_map_get(p->tenant_of, ops_slice_sub(name, 0, NAME_BYTES_MAX));
    return at == 0 ? NULL : p->tenants.v[at - 1];
}

bool ops_pipeline_template(const ops_pipeline *p, ops_slice name, uint64_t id, ops_template_info *ret)
{
    const tenant *t = tenant_named(p, name);
    return t != NULL && ops_miner_info(t->miner, id, ret);
}

uint64_t ops_pipeline_resolve(const ops_pipeline *p, ops_slice name, uint64_t id)
{
    const tenant *t = tenant_named(p, name);
    return t == NULL ? id : ops_miner_resolve(t->miner, id);
}

void ops_pipeline_stats_get(const ops_pipeline *p, ops_pipeline_stats *ret)
{
    *ret = p->stats;
    ret->streams = p->streams.n;
    ret->tenants = p->tenants.n;
    ret->watches = p->watches;
    ops_pipeline_sessions_count(p, ret);
    ret->templates = 0;
    for (size_t i = 0; i < p->tenants.n; i++) {
        ops_miner_stats st;
        ops_miner_stats_get(p->tenants.v[i]->miner, &st);
        ret->templates += st.templates;
    }
}
