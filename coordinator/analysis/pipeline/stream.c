/* Tenants, streams and series: find, make, refuse. */
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "base/text/utf8.h"
#include "coordinator/analysis/pipeline/state.h"

enum { FAILURE_BYTES_MAX = 4096 };

static ops_slice cut_name(ops_slice name)
{
    return ops_slice_sub(name, 0, NAME_BYTES_MAX);
}

tenant *ops_pipeline_tenant_put(ops_pipeline *p, ops_slice name)
{
    tenant *t = ops_calloc(1, sizeof *t);
    ops_miner_limits lim = {.templates_max = p->lim.templates_per_tenant_max, .slots = true};
    if (t == NULL)
        return NULL;
    t->name = ops_strndup(name.n > 0 ? name.p : "", name.n);
    t->name_n = (uint32_t)name.n;
    t->dirty = true;
    if (t->name == NULL || ops_miner_new(&lim, &t->miner, NULL) != OPS_OK ||
        (p->pinned && ops_miner_pins_set(t->miner, &p->pins, NULL) != OPS_OK) ||
        !ops_vec_push(&p->tenants, t)) {
        ops_miner_free(t->miner);
        ops_free(t->name);
        ops_free(t);
        return NULL;
    }
    if (ops_map_put(p->tenant_of, name, (void *)(uintptr_t)p->tenants.n, NULL) != OPS_OK) {
        p->tenants.n--;
        ops_miner_free(t->miner);
        ops_free(t->name);
        ops_free(t);
        return NULL;
    }
    return t;
}

tenant *ops_pipeline_tenant(ops_pipeline *p, ops_slice name, int64_t time_ns, uint32_t *ret_index)
{
    name = cut_name(name);
    uintptr_t at = (uintptr_t)ops_map_get(p->tenant_of, name);
    if (at == 0 && p->tenants.n + 1 >= p->lim.tenants_max) {
        name = OPS_SLICE("(other)");
        at = (uintptr_t)ops_map_get(p->tenant_of, name);
    }
    if (at == 0) {
        tenant *t = ops_pipeline_tenant_put(p, name);
        if (t == NULL)
            return NULL;
        t->first_ns = time_ns;
        at = p->tenants.n;
    }
    *ret_index = (uint32_t)at - 1;
    return p->tenants.v[at - 1];
}

void ops_stream_free(stream *s)
{
    if (s == NULL)
        return;
    size_t iter = 0;
    uint64_t id;
    void *v;
    while (s->rows != NULL && ops_map64_next(s->rows, &iter, &id, &v))
        ops_free(v);
    ops_map64_free(s->rows);
    for (size_t i = 0; i < SLOTS; i++)
        ops_vec_done(&s->slots[i].rows);
    for (size_t i = 0; i < EVIDENCE_RING; i++)
        ops_free(s->ring[i].text);
    ops_session_watch_free(s->watch);
    ops_free(s->service);
    ops_free(s);
}

static ops_slice stream_key(char buf[static 2 * NAME_BYTES_MAX + 1], const tenant *t, ops_slice service)
{
    memcpy(buf, t->name, t->name_n);
    buf[t->name_n] = '\0';
    if (service.n > 0)
        memcpy(buf + t->name_n + 1, service.p, service.n);
    return ops_slice_of(buf, t->name_n + 1 + service.n);
}

stream *ops_pipeline_stream_put(ops_pipeline *p, uint32_t tenant_index, ops_slice service)
{
    char buf[2 * NAME_BYTES_MAX + 1];
    ops_slice key = stream_key(buf, p->tenants.v[tenant_index], service);
    stream *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->tenant = tenant_index;
    s->key = ops_hash64(key.p, key.n, 3);
    s->service = ops_strndup(service.n > 0 ? service.p : "", service.n);
    s->service_n = (uint32_t)service.n;
    s->rows = ops_map64_new();
    s->change_w = s->up_w = s->down_w = s->silent_w = NEVER_W;
    s->slots[0].w = s->slots[1].w = INT64_MIN;
    if (s->service == NULL || s->rows == NULL || !ops_vec_push(&p->streams, s)) {
        ops_stream_free(s);
        return NULL;
    }
    if (ops_map_put(p->stream_of, key, s, NULL) != OPS_OK) {
        p->streams.n--;
        ops_stream_free(s);
        return NULL;
    }
    return s;
}

stream *ops_pipeline_stream(ops_pipeline *p, uint32_t tenant_index, ops_slice service, int64_t time_ns)
{
    char buf[2 * NAME_BYTES_MAX + 1];
    service = cut_name(service);
    stream *s = ops_map_get(p->stream_of, stream_key(buf, p->tenants.v[tenant_index], service));
    if (s != NULL)
        return s;
    if (p->streams.n + p->lim.tenants_max >= p->lim.streams_max) {
        p->stats.streams_full++;
        service = OPS_SLICE("(other)");
        s = ops_map_get(p->stream_of, stream_key(buf, p->tenants.v[tenant_index], service));
        if (s != NULL)
            return s;
    }
    s = ops_pipeline_stream_put(p, tenant_index, service);
    if (s != NULL) {
        s->first_ns = s->last_ns = time_ns;
        s->mark_ns = p->alive_ns > time_ns ? p->alive_ns : time_ns;
        s->closed_w = window_of(time_ns) - 1;
    }
    return s;
}

static uint64_t row_key(uint64_t id, bool error)
{
    return error ? ops_hash_mix(id ^ 0x6572726f72ull) : id;
}

row *ops_stream_row_get(const stream *s, uint64_t id, bool error)
{
    return ops_map64_get(s->rows, row_key(id, error));
}

ops_failure ops_stream_failure(const stream *s, uint64_t id, ops_slice message)
{
    const row *r = ops_stream_row_get(s, id, false);
    if (r == NULL)
        r = ops_stream_row_get(s, id, true);
    return r != NULL ? (ops_failure)r->failure : ops_failure_of(ops_slice_sub(message, 0, FAILURE_BYTES_MAX));
}

row *ops_stream_row_put(stream *s, uint64_t id, bool error)
{
    row *r = ops_calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->id = id;
    r->error = error;
    r->slot_w[0] = r->slot_w[1] = INT64_MIN;
    if (ops_map64_put(s->rows, row_key(id, error), r, NULL) != OPS_OK) {
        ops_free(r);
        return NULL;
    }
    return r;
}

/* Takes over what rows of folded templates had learned; false when there was none: then the row is truly new. */
static bool inherit(ops_pipeline *p, stream *s, row *r)
{
    const ops_miner *m = p->tenants.v[s->tenant]->miner;
    bool any = false;
    for (bool again = true; again;) {
        size_t iter = 0;
        uint64_t key;
        void *v;
        again = false;
        while (ops_map64_next(s->rows, &iter, &key, &v)) {
            row *old = v;
            if (old == r || old->error != r->error || ops_miner_resolve(m, old->id) != r->id)
                continue;
            if (!any || old->first_w < r->first_w)
                r->first_w = old->first_w;
            if (!any || old->last_w > r->last_w)
                r->last_w = old->last_w;
            r->s.mean += old->s.mean;
            r->s.var += old->s.var;
            r->s.peak = old->s.peak > r->s.peak ? old->s.peak : r->s.peak;
            r->s.windows = old->s.windows > r->s.windows ? old->s.windows : r->s.windows;
            r->total += old->total;
            r->kept |= old->kept;
            r->born_late = any ? r->born_late && old->born_late : old->born_late;
            for (size_t i = 0; i < SLOTS; i++) {
                slot *sl = &s->slots[i];
                for (size_t k = 0; k < sl->rows.n; k++)
                    if (sl->rows.v[k] == old) {
                        if (r->slot_w[i] == old->slot_w[i])
                            r->count[i] += old->count[i];
                        else
                            r->count[i] = old->count[i];
                        r->slot_w[i] = old->slot_w[i];
                        sl->rows.v[k] =
                            r; /* r is pushed once more at most: the judge skips a row it has seen */
                    }
            }
            any = true;
            (void)ops_map64_del(s->rows, key);
            ops_free(old);
            again = true;
            break;
        }
    }
    return any;
}

row *ops_stream_row(ops_pipeline *p, stream *s, uint64_t id, int64_t w, uint8_t failure, bool error)
{
    row *r = ops_stream_row_get(s, id, error);
    if (r != NULL)
        return r;
    if (ops_map64_count(s->rows) >= p->lim.series_per_stream_max) {
        p->stats.series_full++;
        return NULL;
    }
    r = ops_stream_row_put(s, id, error);
    if (r == NULL)
        return NULL;
    r->first_w = w;
    r->last_w = w - 1;
    r->failure = failure;
    if (!inherit(p, s, r)) {
        r->born_late = ops_stream_judged(s, w);
        s->new_in_w += ops_stream_row_get(s, id, !error) == NULL;
    }
    return r;
}

void ops_stream_keep(stream *s, const ops_event *e, uint64_t id, bool error)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 3 * OPS_EVIDENCE_BYTES_MAX);
    ops_slice text = ops_slice_sub(e->message, 0, OPS_EVIDENCE_BYTES_MAX - 3);
    while (text.n > 0 && text.n < e->message.n && text.n > OPS_EVIDENCE_BYTES_MAX - 8 &&
           ((uint8_t)e->message.p[text.n] & 0xc0) == 0x80)
        text.n--; /* do not cut inside a code point */
    if (ops_utf8_valid(text))
        ops_strbuf_slice(&b, text);
    else
        ops_utf8_clean(&b, ops_slice_sub(text, 0, OPS_EVIDENCE_BYTES_MAX / 3));
    size_t n = b.n;
    char *copy = b.failed ? NULL : ops_strbuf_take(&b);
    ops_strbuf_done(&b);
    if (copy == NULL)
        return; /* one line of evidence less */
    piece *at = &s->ring[s->ring_at++ % EVIDENCE_RING];
    ops_free(at->text);
    *at = (piece){.time_ns = e->time_ns,
                  .template_id = id,
                  .log_offset = e->log_offset,
                  .index = e->index,
                  .error = error,
                  .text_n = (uint32_t)n,
                  .text = copy};
}

size_t ops_stream_slot(const stream *s, int64_t w)
{
    (void)s;
    return (size_t)(w & (SLOTS - 1));
}
