/* The 99th percentile of what a histogram saw between two samples, out of its cumulative buckets, as a gauge beside them.
 *
 * X_bucket{le="U"} of equal labels are one histogram. When all of its buckets were sampled at one time, or the next time comes,
 * what each grew by since the time before is a distribution; within a bucket the values are taken as spread evenly, and beyond
 * the last finite bound as at it. Buckets that are new, began anew or missed a time say nothing of that time. */
#include <math.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/monitor/together.h"

#define BUCKET_MAX 1e300
static const double quantile_at = 0.99;

struct histogram {
    char *name; /* tenant, service, X_p99 and its labels, a NUL after each but the last */
    uint32_t name_n, head_n;
    int64_t at_ns;             /* of the newest buckets; INT64_MIN: none */
    size_t sampled;            /* buckets of that time */
    size_t stale_n;            /* buckets that ended */
    bool done;                 /* told of that time */
    OPS_VEC(series *) buckets; /* by their bound, the greatest last */
};

/* A label's end: behind its closing quote, or NULL. */
static const char *label_end(const char *p, const char *end)
{
    while (p < end && *p != '"')
        p++;
    for (p++; p < end && *p != '"'; p++)
        p += *p == '\\';
    return p < end ? p + 1 : NULL;
}

static bool bound(ops_slice text, double *ret)
{
    if (!ops_slice_eq(text, OPS_SLICE("+Inf")))
        return ops_slice_to_f64(text, ret) && isfinite(*ret);
    *ret = INFINITY;
    return true;
}

/* X_bucket{..,le="U",..} as X_p99{..} and U. */
static bool take_apart(ops_slice text, ops_strbuf *ret_text, double *ret_le)
{
    static const char le[] = "le=\"";
    const ptrdiff_t brace = ops_slice_find_char(text, '{');
    const ops_slice name = ops_slice_sub(text, 0, brace > 0 ? (size_t)brace : 0), tail = OPS_SLICE("_bucket");
    bool found = false;
    if (name.n <= tail.n || !ops_slice_ends(name, tail))
        return false;
    ops_strbuf_slice(ret_text, ops_slice_sub(name, 0, name.n - tail.n));
    ops_strbuf_str(ret_text, "_p99");
    size_t labels = 0;
    const char *const end = text.p + text.n;
    for (const char *p = text.p + brace + 1, *next; p < end && *p != '}';
         p = next + (next < end && *next == ',')) {
        next = label_end(p, end);
        if (next == NULL)
            return false;
        const ops_slice label = ops_slice_of(p, (size_t)(next - p));
        if (ops_slice_starts(label, OPS_SLICE(le))) {
            found = bound(ops_slice_sub(label, sizeof le - 1, label.n - sizeof le), ret_le);
            continue;
        }
        ops_strbuf_char(ret_text, labels++ == 0 ? '{' : ',');
        ops_strbuf_slice(ret_text, label);
    }
    if (labels > 0)
        ops_strbuf_char(ret_text, '}');
    return found && !ret_text->failed;
}

void ops_monitor_histogram_free(histogram *h)
{
    if (h == NULL)
        return;
    ops_vec_done(&h->buckets);
    ops_free(h->name);
    ops_free(h);
}

void ops_monitor_histograms_free(ops_monitor *m)
{
    size_t iter = 0;
    ops_slice name;
    void *h;
    while (m->histograms != NULL && ops_map_next(m->histograms, &iter, &name, &h))
        ops_monitor_histogram_free(h);
    ops_map_free(m->histograms);
}

static histogram *find_or_make(ops_monitor *m, const series *s, ops_slice text)
{
    char key[KEY_BYTES_MAX];
    const size_t head_n = (size_t)s->tenant_n + s->service_n + 2;
    memcpy(key, s->name, head_n);
    memcpy(key + head_n, text.p, text.n); /* shorter than the series' own */
    const ops_slice name = ops_slice_of(key, head_n + text.n);
    histogram *h = ops_map_get(m->histograms, name);
    if (h != NULL)
        return h;
    h = ops_calloc(1, sizeof *h);
    if (h == NULL)
        return NULL;
    h->at_ns = INT64_MIN;
    h->name_n = (uint32_t)name.n;
    h->head_n = (uint32_t)head_n;
    h->name = ops_strndup(name.p, name.n);
    if (h->name != NULL && ops_map_put(m->histograms, name, h, NULL) == OPS_OK)
        return h;
    ops_monitor_histogram_free(h);
    return NULL;
}

static void drop_empty(ops_monitor *m, histogram *h)
{
    if (h->buckets.n > 0)
        return;
    (void)ops_map_del(m->histograms, ops_slice_of(h->name, h->name_n));
    ops_monitor_histogram_free(h);
}

/* False: the heap is out. */
static bool join(ops_monitor *m, series *s)
{
    double le;
    ops_strbuf *text = &m->text;
    ops_strbuf_clear(text);
    if (!take_apart(series_text(s), text, &le))
        return !text->failed;
    histogram *h = find_or_make(m, s, ops_strbuf_get(text));
    if (h == NULL)
        return false;
    if (h->buckets.n >= OPS_MONITOR_BUCKETS_MAX) {
        m->stats.buckets_full++;
        return true;
    }
    if (!ops_vec_push(&h->buckets, s)) {
        drop_empty(m, h);
        return false;
    }
    size_t at = h->buckets.n - 1;
    for (; at > 0 && h->buckets.v[at - 1]->le > le; at--)
        h->buckets.v[at] = h->buckets.v[at - 1];
    h->buckets.v[at] = s;
    s->le = le;
    s->histogram = h;
    return true;
}

void ops_monitor_bucket_leave(ops_monitor *m, series *s)
{
    histogram *h = s->histogram;
    size_t kept = 0;
    if (h == NULL)
        return;
    for (size_t i = 0; i < h->buckets.n; i++)
        if (h->buckets.v[i] != s)
            h->buckets.v[kept++] = h->buckets.v[i];
    h->buckets.n = kept;
    h->stale_n -= s->stale;
    s->histogram = NULL;
    drop_empty(m, h);
}

static bool counts(const series *s, const histogram *h, int64_t from_ns)
{
    return s->judged_ns == h->at_ns && s->from_ns == from_ns;
}

/* False: nothing was seen, or not all of it is known. */
static bool quantile(const histogram *h, double *ret)
{
    const series *all = h->buckets.n > 0 ? h->buckets.v[h->buckets.n - 1] : NULL;
    double below = 0, from = 0;
    if (all == NULL || !isinf(all->le) || !counts(all, h, all->from_ns) || !(all->judged > 0))
        return false;
    const double rank = quantile_at * all->judged;
    bool first = true;
    for (size_t i = 0; i + 1 < h->buckets.n; i++) {
        const series *s = h->buckets.v[i];
        if (!counts(s, h, all->from_ns))
            continue;
        const double start = first ? (s->le > 0 ? 0 : s->le) : from;
        if (s->judged >= rank) {
            const double in = s->judged - below;
            *ret = in > 0 ? start + (s->le - start) * ((rank - below) / in) : s->le;
            return isfinite(*ret);
        }
        below = fmax(below, s->judged); /* buckets are not always read at one moment */
        from = s->le;
        first = false;
    }
    *ret = from;
    return !first && isfinite(from);
}

static void tell(ops_monitor *m, const histogram *h, const series *s, const ops_monitor_sample *x, bool ends)
{
    ops_monitor_sample p = *x;
    ops_monitor_fate fate;
    series *of;
    p.kind = OPS_MONITOR_GAUGE;
    p.series = ops_slice_of(h->name + h->head_n, h->name_n - h->head_n);
    p.stale = ends;
    if (ends) {
        of = ops_monitor_series_find(m, series_tenant(s), series_service(s), p.series);
        if (of == NULL || of->stale)
            return;
    } else {
        p.time_ns = h->at_ns;
        if (!quantile(h, &p.value))
            return;
    }
    m->stats.quantiles +=
        ops_monitor_add_one(m, &p, &fate, &of, NULL) == OPS_OK && fate == OPS_MONITOR_JUDGED;
}

static void keep(ops_monitor *m, series *s, const ops_monitor_sample *x)
{
    histogram *h = s->histogram;
    if (x->time_ns > h->at_ns) {
        if (h->at_ns != INT64_MIN && !h->done)
            tell(m, h, s, x, false);
        h->at_ns = x->time_ns;
        h->sampled = 0;
        h->done = false;
    }
    h->stale_n -= s->stale;
    const bool delta = s->kind == OPS_MONITOR_BUCKET_DELTA;
    s->from_ns = s->has_last ? s->last_ns : INT64_MIN;
    s->judged_ns = s->has_last && (delta || x->value >= s->last) ? x->time_ns : INT64_MIN;
    s->judged = s->judged_ns == INT64_MIN ? 0 : delta ? x->value : fmin(x->value - s->last, BUCKET_MAX);
    s->kept_ns = x->time_ns;
    if (x->time_ns < h->at_ns)
        return;
    h->sampled++;
    if (h->done || h->sampled < h->buckets.n - h->stale_n)
        return;
    h->done = true;
    s->told_ns = h->at_ns;
    tell(m, h, s, x, false);
}

void ops_monitor_bucket(ops_monitor *m, series *s, const ops_monitor_sample *x, ops_monitor_fate fate)
{
    s->recv_ns = x->recv_ns; /* what is told may have to make room, and not of this one */
    if (!s->asked)
        s->asked = join(m, s); /* without memory: the next time */
    if (s->histogram == NULL)
        return;
    if (fate == OPS_MONITOR_KEPT) {
        keep(m, s, x);
    } else if (!s->stale && ++s->histogram->stale_n == s->histogram->buckets.n) {
        tell(m, s->histogram, s, x, true);
    }
}

/* After a load: where each histogram stands. */
ops_status ops_monitor_histograms_done(ops_monitor *m, ops_err *reterr)
{
    size_t iter = 0;
    ops_slice name;
    void *v;
    for (size_t i = 0; i < m->all.n; i++)
        if (ops_monitor_is_bucket(m->all.v[i]->kind)) {
            m->all.v[i]->asked = join(m, m->all.v[i]);
            if (!m->all.v[i]->asked)
                return ops_fail(reterr, OPS_ENOMEM, "a histogram");
        }
    while (ops_map_next(m->histograms, &iter, &name, &v)) {
        histogram *h = v;
        int64_t told_ns = INT64_MIN;
        for (size_t i = 0; i < h->buckets.n; i++) {
            const series *s = h->buckets.v[i];
            h->stale_n += s->stale;
            h->at_ns = s->kept_ns > h->at_ns ? s->kept_ns : h->at_ns;
            told_ns = s->told_ns > told_ns ? s->told_ns : told_ns;
        }
        for (size_t i = 0; i < h->buckets.n; i++)
            h->sampled += h->buckets.v[i]->kept_ns == h->at_ns;
        h->done = h->at_ns != INT64_MIN && told_ns == h->at_ns;
    }
    return OPS_OK;
}
