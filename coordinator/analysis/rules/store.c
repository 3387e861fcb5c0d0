#include "coordinator/analysis/rules/store.h"

#include <math.h>
#include <stdlib.h>

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "coordinator/analysis/rules/chunk_internal.h"

enum { KEY_BYTES_MAX = 256 * 1024 };

typedef struct held {
    int64_t t_ms;
    const ops_rules_hist *h; /* one heap block */
} held;

typedef struct series {
    ops_arena arena; /* its labels */
    const ops_rules_labels *labels;
    OPS_VEC(rules_chunk) chunks;
    OPS_VEC(held) hists; /* of the samples that are marked as such */
    char *key;
    size_t key_n, bytes;
} series;

typedef OPS_VEC(series *) series_list;

struct ops_rules_store {
    ops_rules_store_limits lim;
    ops_rules_store_stats stats;
    ops_map *by_key;  /* series */
    ops_map *by_name; /* series_list */
    const ops_rules_regex *regex;
};

ops_status ops_rules_store_new(const ops_rules_store_limits *limits, ops_rules_store **ret)
{
    OPS_AUTO(ops_rules_store_free) ops_rules_store *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return OPS_ENOMEM;
    s->lim = limits != NULL ? *limits : (ops_rules_store_limits){0};
    s->lim.series_max = s->lim.series_max > 0 ? s->lim.series_max : 1000000;
    s->lim.bytes_max = s->lim.bytes_max > 0 ? s->lim.bytes_max : (size_t)1 << 30;
    s->by_key = ops_map_new();
    s->by_name = ops_map_new();
    if (s->by_key == NULL || s->by_name == NULL)
        return OPS_ENOMEM;
    *ret = OPS_STEAL(s);
    return OPS_OK;
}

static void series_free(series *x)
{
    if (x == NULL)
        return;
    for (size_t i = 0; i < x->chunks.n; i++)
        rules_chunk_done(&x->chunks.v[i]);
    for (size_t i = 0; i < x->hists.n; i++)
        ops_free((void *)(uintptr_t)x->hists.v[i].h);
    ops_vec_done(&x->chunks);
    ops_vec_done(&x->hists);
    ops_arena_done(&x->arena);
    ops_free(x->key);
    ops_free(x);
}

void ops_rules_store_free(ops_rules_store *s)
{
    size_t it = 0;
    ops_slice key;
    void *v;
    if (s == NULL)
        return;
    while (s->by_key != NULL && ops_map_next(s->by_key, &it, &key, &v))
        series_free(v);
    it = 0;
    while (s->by_name != NULL && ops_map_next(s->by_name, &it, &key, &v)) {
        ops_vec_done((series_list *)v);
        ops_free(v);
    }
    ops_map_free(s->by_key);
    ops_map_free(s->by_name);
    ops_free(s);
}

/* Lengths before texts, so that no two sets have one key. */
static void key_of(const ops_rules_labels *l, ops_strbuf *out)
{
    for (size_t i = 0; i < l->n; i++) {
        uint32_t n[2] = {(uint32_t)l->v[i].name.n, (uint32_t)l->v[i].value.n};
        ops_strbuf_put(out, n, sizeof n);
        ops_strbuf_slice(out, l->v[i].name);
        ops_strbuf_slice(out, l->v[i].value);
    }
}

static series *series_new(const ops_rules_labels *l, ops_slice key)
{
    series *x = ops_calloc(1, sizeof *x);
    if (x == NULL)
        return NULL;
    ops_arena_init(&x->arena, KEY_BYTES_MAX * 2);
    x->labels = ops_rules_labels_copy(&x->arena, l->v, l->n);
    x->key = ops_strndup(key.p != NULL ? key.p : "", key.n);
    x->key_n = key.n;
    x->bytes = sizeof *x + key.n * 3 + l->n * sizeof l->v[0];
    if (x->labels == NULL || x->key == NULL) {
        series_free(x);
        return NULL;
    }
    return x;
}

static bool list_put(ops_rules_store *s, series *x)
{
    ops_slice name = ops_rules_labels_get(x->labels, OPS_RULES_NAME);
    series_list *list = ops_map_get(s->by_name, name);
    if (list == NULL) {
        list = ops_calloc(1, sizeof *list);
        if (list == NULL || ops_map_put(s->by_name, name, list, NULL) != OPS_OK) {
            ops_free(list);
            return false;
        }
    }
    return ops_vec_push(list, x);
}

static void list_del(ops_rules_store *s, const series *x)
{
    ops_slice name = ops_rules_labels_get(x->labels, OPS_RULES_NAME);
    series_list *list = ops_map_get(s->by_name, name);
    for (size_t i = 0; list != NULL && list->v != NULL && i < list->n; i++)
        if (list->v[i] == x) {
            list->v[i] = list->v[--list->n];
            break;
        }
    if (list == NULL || list->n > 0)
        return;
    (void)ops_map_del(s->by_name, name);
    ops_vec_done(list);
    ops_free(list);
}

static ops_status find_or_add(ops_rules_store *s, const ops_rules_labels *l, series **ret)
{
    ops_strbuf b;
    ops_strbuf_init(&b, KEY_BYTES_MAX);
    key_of(l, &b);
    ops_status st = b.failed ? OPS_ENOSPC : OPS_OK;
    ops_slice key = ops_slice_of(b.p != NULL ? b.p : "", b.n);
    *ret = st == OPS_OK ? ops_map_get(s->by_key, key) : NULL;
    if (st == OPS_OK && *ret == NULL) {
        if (s->stats.series >= s->lim.series_max)
            st = OPS_ENOSPC;
        else if ((*ret = series_new(l, key)) == NULL)
            st = OPS_ENOMEM;
        else if (s->stats.bytes + (*ret)->bytes > s->lim.bytes_max)
            st = OPS_ENOSPC;
        else
            st = ops_map_put(s->by_key, key, *ret, NULL);
        if (st == OPS_OK && !list_put(s, *ret)) {
            (void)ops_map_del(s->by_key, key);
            st = OPS_ENOMEM;
        }
        if (st != OPS_OK) {
            series_free(*ret);
            *ret = NULL;
        } else {
            s->stats.series++;
            s->stats.bytes += (*ret)->bytes;
        }
    }
    ops_strbuf_done(&b);
    return st;
}

static ops_status put(ops_rules_store *s, series *x, int64_t t_ms, double v)
{
    rules_chunk *c = x->chunks.n > 0 && x->chunks.v != NULL ? &x->chunks.v[x->chunks.n - 1] : NULL;
    if (c != NULL && t_ms < c->last_ms)
        return OPS_ERANGE;
    if (c != NULL && t_ms == c->last_ms)
        return c->last == ops_rules_bits(v) ? OPS_EEXIST : OPS_ECONFLICT;
    if (s->stats.bytes + RULES_CHUNK_BYTES_MAX > s->lim.bytes_max)
        return OPS_ENOSPC;
    size_t before = c != NULL && c->n < RULES_CHUNK_SAMPLES ? c->cap : 0;
    rules_chunk fresh = {0};
    bool new = c == NULL || c->n >= RULES_CHUNK_SAMPLES;
    rules_chunk *to = new ? &fresh : c;
    if (!rules_chunk_put(to, t_ms, v))
        return OPS_ENOMEM;
    size_t after = to->cap;
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): where there is room there is an array
    if (new && !ops_vec_push(&x->chunks, fresh)) {
        rules_chunk_done(&fresh);
        return OPS_ENOMEM;
    }
    size_t more = after - before + (new ? sizeof fresh : 0);
    s->stats.bytes += more;
    x->bytes += more;
    s->stats.samples++;
    return OPS_OK;
}

/* The histogram before its mark, so that a mark always has one. */
static ops_status put_hist(ops_rules_store *s, series *x, int64_t t_ms, const ops_rules_hist *h)
{
    const size_t bytes = ops_rules_hist_bytes(h);
    if (s->stats.bytes + bytes + RULES_CHUNK_BYTES_MAX > s->lim.bytes_max)
        return OPS_ENOSPC;
    void *room = ops_malloc(bytes);
    const held one = {t_ms, room != NULL ? ops_rules_hist_put(room, h) : NULL};
    if (room == NULL || !ops_vec_push(&x->hists, one)) {
        ops_free(room);
        return OPS_ENOMEM;
    }
    ops_status st = put(s, x, t_ms, ops_rules_of_bits(RULES_HISTOGRAM_BITS));
    if (st != OPS_OK) {
        x->hists.n--;
        ops_free(room);
        return st;
    }
    s->stats.bytes += bytes + sizeof one;
    x->bytes += bytes + sizeof one;
    return OPS_OK;
}

static void forget(ops_rules_store *s, series *x)
{
    list_del(s, x);
    (void)ops_map_del(s->by_key, ops_slice_of(x->key, x->key_n));
    s->stats.series--;
    s->stats.bytes -= x->bytes;
    series_free(x);
}

static ops_status append(ops_rules_store *s, const ops_rules_label *labels, size_t n, int64_t t_ms, double v,
                         const ops_rules_hist *h)
{
    ops_rules_label own[OPS_RULES_LABELS_MAX];
    ops_arena a;
    series *x = NULL;
    if (n > OPS_RULES_LABELS_MAX) {
        s->stats.wrong++;
        return OPS_EINVAL;
    }
    memcpy(own, labels, n * sizeof *own);
    ops_arena_init(&a, 64 * 1024);
    const ops_rules_labels *l = ops_rules_labels_make(&a, own, n);
    ops_status st = l != NULL ? find_or_add(s, l, &x) : OPS_ENOMEM;
    ops_arena_done(&a);
    if (st == OPS_OK)
        st = h != NULL ? put_hist(s, x, t_ms, h) : put(s, x, t_ms, v);
    if (st != OPS_OK && x != NULL && x->chunks.n == 0)
        forget(s, x); /* a series without a sample is none */
    s->stats.late += st == OPS_ERANGE;
    s->stats.duplicate += st == OPS_ECONFLICT;
    s->stats.full += st == OPS_ENOSPC;
    return st == OPS_EEXIST ? OPS_OK : st;
}

ops_status ops_rules_store_append(ops_rules_store *s, const ops_rules_label *labels, size_t n, int64_t t_ms,
                                  double v)
{
    const bool mark = ops_rules_bits(v) == RULES_HISTOGRAM_BITS; /* from outside a NaN as any other */
    return append(s, labels, n, t_ms, mark ? (double)NAN : v, NULL);
}

ops_status ops_rules_store_append_hist(ops_rules_store *s, const ops_rules_label *labels, size_t n,
                                       int64_t t_ms, const ops_rules_hist *h)
{
    return append(s, labels, n, t_ms, 0, h);
}

static void trim_hists(ops_rules_store *s, series *x)
{
    const int64_t first_ms = x->chunks.n > 0 ? x->chunks.v[0].first_ms : INT64_MAX;
    size_t k = 0;
    while (k < x->hists.n && x->hists.v[k].t_ms < first_ms) {
        const size_t less = ops_rules_hist_bytes(x->hists.v[k].h) + sizeof x->hists.v[k];
        s->stats.bytes -= less;
        x->bytes -= less;
        ops_free((void *)(uintptr_t)x->hists.v[k++].h);
    }
    if (k > 0)
        memmove(x->hists.v, x->hists.v + k, (x->hists.n - k) * sizeof *x->hists.v);
    x->hists.n -= k;
}

static void trim_series(ops_rules_store *s, series *x, int64_t before_ms)
{
    size_t k = 0;
    while (k < x->chunks.n && x->chunks.v[k].last_ms < before_ms) {
        size_t less = x->chunks.v[k].cap + sizeof x->chunks.v[k];
        s->stats.samples -= x->chunks.v[k].n;
        s->stats.bytes -= less;
        x->bytes -= less;
        rules_chunk_done(&x->chunks.v[k++]);
    }
    if (k > 0)
        memmove(x->chunks.v, x->chunks.v + k, (x->chunks.n - k) * sizeof *x->chunks.v);
    x->chunks.n -= k;
    trim_hists(s, x);
}

void ops_rules_store_trim(ops_rules_store *s, int64_t before_ms)
{
    size_t it = 0;
    ops_slice key;
    void *v;
    series_list empty = {0};
    while (ops_map_next(s->by_key, &it, &key, &v)) {
        trim_series(s, v, before_ms);
        if (((series *)v)->chunks.n == 0 && !ops_vec_push(&empty, (series *)v))
            break; /* the rest goes next time */
    }
    for (size_t i = 0; i < empty.n; i++)
        forget(s, empty.v[i]);
    ops_vec_done(&empty);
}

void ops_rules_store_stats_get(const ops_rules_store *s, ops_rules_store_stats *ret)
{
    *ret = s->stats;
}

/* What one select gathers. */
typedef struct found {
    ops_rules_series *v;
    size_t n, cap;
    uint64_t samples, samples_max;
    int64_t from_ms, to_ms;
    ops_arena *a;
} found;

static ops_status read_hist(const series *x, ops_arena *a, ops_rules_sample *s)
{
    size_t lo = 0, hi = x->hists.n;
    if (ops_rules_bits(s->v) != RULES_HISTOGRAM_BITS)
        return OPS_OK;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (x->hists.v[mid].t_ms < s->t_ms)
            lo = mid + 1;
        else
            hi = mid;
    }
    s->v = 0;
    s->h = ops_rules_hist_copy(a, x->hists.v[lo].h);
    return s->h != NULL ? OPS_OK : OPS_ENOMEM;
}

static ops_status read_series(const series *x, found *f)
{
    size_t n = 0, kept = 0, first = 0;
    for (size_t i = 0; i < x->chunks.n; i++)
        if (x->chunks.v[i].last_ms >= f->from_ms && x->chunks.v[i].first_ms <= f->to_ms)
            n += x->chunks.v[i].n;
    if (n == 0)
        return OPS_OK;
    ops_rules_sample *v = ops_arena_alloc(f->a, n * sizeof *v);
    if (v == NULL)
        return OPS_ENOMEM;
    n = 0;
    for (size_t i = 0; i < x->chunks.n; i++)
        if (x->chunks.v[i].last_ms >= f->from_ms && x->chunks.v[i].first_ms <= f->to_ms) {
            rules_chunk_get(&x->chunks.v[i], v + n);
            n += x->chunks.v[i].n;
        }
    while (first < n && v[first].t_ms < f->from_ms)
        first++;
    while (first + kept < n && v[first + kept].t_ms <= f->to_ms)
        kept++;
    f->samples += kept;
    if (f->samples > f->samples_max)
        return OPS_ETOOBIG;
    for (size_t i = 0; x->hists.n > 0 && i < kept; i++)
        if (read_hist(x, f->a, &v[first + i]) != OPS_OK)
            return OPS_ENOMEM;
    if (kept > 0)
        f->v[f->n++] = (ops_rules_series){x->labels, v + first, kept};
    return OPS_OK;
}

static ops_status try_series(const ops_rules_store *s, const ops_rules_matcher *m, size_t n, const series *x,
                             found *f, ops_err *reterr)
{
    bool yes = false;
    ops_status st = ops_rules_match(s->regex, m, n, x->labels, &yes, reterr);
    if (st != OPS_OK || !yes)
        return st;
    if (f->n == f->cap) {
        size_t cap = f->cap > 0 ? f->cap * 2 : 16;
        ops_rules_series *v = ops_arena_alloc(f->a, cap * sizeof *v);
        if (v == NULL)
            return ops_fail(reterr, OPS_ETOOBIG, "the query needs more than its bytes of working memory");
        if (f->n > 0)
            memcpy(v, f->v, f->n * sizeof *v);
        f->v = v;
        f->cap = cap;
    }
    st = read_series(x, f);
    return st == OPS_ENOMEM
               ? ops_fail(reterr, OPS_ETOOBIG, "the query needs more than its bytes of working memory")
               : st;
}

static int by_labels(const void *a, const void *b)
{
    return ops_rules_labels_cmp(((const ops_rules_series *)a)->labels, ((const ops_rules_series *)b)->labels);
}

static ops_status store_select(void *u, const ops_rules_matcher *m, size_t n, int64_t from_ms, int64_t to_ms,
                               uint64_t samples_max, ops_arena *a, ops_rules_series **ret, size_t *ret_n,
                               ops_err *reterr)
{
    const ops_rules_store *s = u;
    found f = {.samples_max = samples_max, .from_ms = from_ms, .to_ms = to_ms, .a = a};
    ops_status st = OPS_OK;
    const series_list *list = NULL;
    bool named = false;
    for (size_t i = 0; i < n && !named; i++)
        if (m[i].op == OPS_RULES_EQ && ops_slice_eq(m[i].name, OPS_RULES_NAME)) {
            named = true;
            list = ops_map_get(s->by_name, m[i].value);
        }
    for (size_t i = 0; st == OPS_OK && list != NULL && i < list->n; i++)
        st = try_series(s, m, n, list->v[i], &f, reterr);
    size_t it = 0;
    ops_slice key;
    void *x;
    while (!named && st == OPS_OK && ops_map_next(s->by_key, &it, &key, &x))
        st = try_series(s, m, n, x, &f, reterr);
    if (st != OPS_OK)
        return st;
    if (f.n > 1)
        qsort(f.v, f.n, sizeof *f.v, by_labels);
    *ret = f.v;
    *ret_n = f.n;
    return OPS_OK;
}

void ops_rules_store_source(ops_rules_store *s, const ops_rules_regex *regex, ops_rules_source *ret)
{
    s->regex = regex;
    *ret = (ops_rules_source){store_select, s};
}
