/* Each row has an append-only array of series; readers and writers of values never lock, makers of series do. */
#include "base/metric/metric.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/utf8.h"

const double ops_metric_seconds[OPS_METRIC_SECONDS_COUNT] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                             0.25,  0.5,    1.0,   2.5,  5.0,   10.0};

typedef struct bucket {
    _Atomic uint64_t n;
} bucket;

struct ops_metric {
    const ops_metric_desc *desc;
    _Atomic uint64_t count; /* counter's value, histogram's observations */
    _Atomic double value;   /* gauge's value, histogram's sum */
    bucket *buckets;        /* histogram: bound_count + 1, not cumulative */
    char *values[OPS_METRIC_LABELS_MAX];
};

typedef struct row {
    const ops_metric_desc *desc;
    size_t labels, max, count;
    ops_metric **series; /* max + 1 places; [0] is "other", or the only one of a row without labels */
    bool other_used;
} row;

struct ops_metrics {
    pthread_mutex_t lock; /* guards every row's count and series */
    row *rows;
    size_t count;
};

static void series_free(ops_metric *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < OPS_METRIC_LABELS_MAX; i++)
        ops_free(s->values[i]);
    ops_free(s->buckets);
    ops_free(s);
}

static ops_metric *series_new(const row *r, const ops_slice *values)
{
    ops_metric *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->desc = r->desc;
    bool ok = true;
    if (r->desc->kind == OPS_METRIC_HISTOGRAM) {
        s->buckets = ops_calloc(r->desc->bound_count + 1, sizeof *s->buckets);
        ok = s->buckets != NULL;
    }
    for (size_t i = 0; ok && i < r->labels; i++) {
        s->values[i] = ops_strndup(values[i].p != NULL ? values[i].p : "", values[i].n);
        ok = s->values[i] != NULL;
    }
    if (!ok) {
        series_free(s);
        return NULL;
    }
    return s;
}

static bool name_ok(const char *s, bool colon)
{
    if (s == NULL || *s == '\0' || (*s >= '0' && *s <= '9'))
        return false;
    for (; *s != '\0'; s++) {
        bool letter = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9');
        if (!letter && *s != '_' && !(colon && *s == ':'))
            return false;
    }
    return true;
}

static ops_status check_row(const ops_metric_desc *d, size_t labels, ops_err *reterr)
{
    if (!name_ok(d->name, true))
        return ops_fail(reterr, OPS_EINVAL, "metric '%s': no valid name", d->name != NULL ? d->name : "");
    size_t n = strlen(d->name);
    if (d->kind == OPS_METRIC_COUNTER && (n < 7 || strcmp(d->name + n - 6, "_total") != 0))
        return ops_fail(reterr, OPS_EINVAL, "metric %s: a counter's name ends in _total", d->name);
    for (size_t i = 0; i < labels; i++)
        if (!name_ok(d->labels[i], false))
            return ops_fail(reterr, OPS_EINVAL, "metric %s: label '%s' is no valid name", d->name,
                            d->labels[i]);
    if ((d->kind == OPS_METRIC_HISTOGRAM) != (d->bound_count > 0) || d->bound_count > OPS_METRIC_BOUNDS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "metric %s: %zu bounds", d->name, d->bound_count);
    for (size_t i = 1; i < d->bound_count; i++)
        if (!(d->bounds[i] > d->bounds[i - 1]))
            return ops_fail(reterr, OPS_EINVAL, "metric %s: bound %zu does not ascend", d->name, i);
    return OPS_OK;
}

static ops_status row_init(row *r, const ops_metric_desc *d, ops_err *reterr)
{
    r->desc = d;
    while (r->labels < OPS_METRIC_LABELS_MAX && d->labels[r->labels] != NULL)
        r->labels++;
    ops_status st = check_row(d, r->labels, reterr);
    if (st != OPS_OK)
        return st;
    r->max = r->labels == 0 ? 0 : d->series_max > 0 ? d->series_max : OPS_METRIC_SERIES_DEFAULT;
    const ops_slice other[OPS_METRIC_LABELS_MAX] = {OPS_SLICE("other"), OPS_SLICE("other"),
                                                    OPS_SLICE("other"), OPS_SLICE("other")};
    r->series = ops_calloc(r->max + 1, sizeof *r->series);
    if (r->series == NULL || (r->series[0] = series_new(r, other)) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "metric %s: out of memory", d->name);
    r->count = 1;
    r->other_used = r->labels == 0;
    return OPS_OK;
}

ops_status ops_metrics_new(const ops_metric_desc *rows, size_t count, ops_metrics **ret, ops_err *reterr)
{
    ops_metrics *m = ops_calloc(1, sizeof *m);
    if (m == NULL || (m->rows = ops_calloc(count > 0 ? count : 1, sizeof *m->rows)) == NULL) {
        ops_free(m);
        return ops_fail(reterr, OPS_ENOMEM, "metrics: out of memory");
    }
    (void)pthread_mutex_init(&m->lock, NULL);
    m->count = count;
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < count; i++)
        st = row_init(&m->rows[i], &rows[i], reterr);
    if (st != OPS_OK) {
        ops_metrics_free(m);
        return st;
    }
    *ret = m;
    return OPS_OK;
}

void ops_metrics_free(ops_metrics *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->count; i++) {
        for (size_t j = 0; j < m->rows[i].count; j++)
            series_free(m->rows[i].series[j]);
        ops_free(m->rows[i].series);
    }
    (void)pthread_mutex_destroy(&m->lock);
    ops_free(m->rows);
    ops_free(m);
}

static bool is_series(const ops_metric *s, const ops_slice *values, size_t labels)
{
    for (size_t i = 0; i < labels; i++)
        if (!ops_slice_eq(ops_slice_str(s->values[i]), values[i]))
            return false;
    return true;
}

ops_metric *ops_metric_at_n(ops_metrics *m, size_t index, const ops_slice *values, size_t count)
{
    row *r = &m->rows[index];
    if (r->labels == 0)
        return r->series[0];
    ops_metric *found = NULL;
    (void)pthread_mutex_lock(&m->lock);
    for (size_t i = 1; count == r->labels && found == NULL && i < r->count; i++)
        if (is_series(r->series[i], values, count))
            found = r->series[i];
    if (found == NULL && count == r->labels && r->count <= r->max && (found = series_new(r, values)) != NULL)
        r->series[r->count++] = found;
    if (found == NULL) {
        found = r->series[0];
        r->other_used = true;
    }
    (void)pthread_mutex_unlock(&m->lock);
    return found;
}

ops_metric *ops_metric_at(ops_metrics *m, size_t index, const char *value)
{
    ops_slice s = ops_slice_str(value);
    return ops_metric_at_n(m, index, &s, 1);
}

static void add_f64(_Atomic double *at, double by)
{
    double old = atomic_load_explicit(at, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(at, &old, old + by))
        ;
}

void ops_metric_add(ops_metric *s, uint64_t n)
{
    (void)atomic_fetch_add_explicit(&s->count, n, memory_order_relaxed);
}

void ops_metric_set(ops_metric *s, double value)
{
    atomic_store_explicit(&s->value, value, memory_order_relaxed);
}

void ops_metric_shift(ops_metric *s, double by)
{
    add_f64(&s->value, by);
}

void ops_metric_observe(ops_metric *s, double value)
{
    if (isnan(value) || s->buckets == NULL)
        return;
    size_t i = 0;
    while (i < s->desc->bound_count && value > s->desc->bounds[i])
        i++;
    (void)atomic_fetch_add_explicit(&s->buckets[i].n, 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&s->count, 1, memory_order_relaxed);
    add_f64(&s->value, value);
}

uint64_t ops_metric_count(const ops_metric *s)
{
    return atomic_load_explicit(&s->count, memory_order_relaxed);
}

double ops_metric_value(const ops_metric *s)
{
    return atomic_load_explicit(&s->value, memory_order_relaxed);
}

static void put_escaped(ops_strbuf *out, const char *s, bool quotes)
{
    ops_strbuf clean;
    ops_strbuf_init(&clean, SIZE_MAX / 2);
    ops_utf8_clean(&clean, ops_slice_str(s));
    for (size_t i = 0; i < clean.n; i++) {
        char c = clean.p[i];
        if (c == '\n')
            ops_strbuf_str(out, "\\n");
        else if (c == '\\' || (quotes && c == '"'))
            ops_strbuf_printf(out, "\\%c", c);
        else
            ops_strbuf_char(out, c);
    }
    out->failed |= clean.failed;
    ops_strbuf_done(&clean);
}

/* {a="x",le="0.5"}; nothing when there is neither a label nor `le`. */
static void put_labels(ops_strbuf *out, const row *r, const ops_metric *s, const char *le)
{
    if (r->labels == 0 && le == NULL)
        return;
    for (size_t i = 0; i < r->labels; i++) {
        ops_strbuf_printf(out, "%c%s=\"", i == 0 ? '{' : ',', r->desc->labels[i]);
        put_escaped(out, s->values[i], true);
        ops_strbuf_char(out, '"');
    }
    if (le != NULL)
        ops_strbuf_printf(out, "%cle=\"%s\"", r->labels == 0 ? '{' : ',', le);
    ops_strbuf_char(out, '}');
}

static void put_f64(ops_strbuf *out, double v)
{
    if (isnan(v))
        ops_strbuf_str(out, "NaN\n");
    else if (isinf(v))
        ops_strbuf_str(out, v > 0 ? "+Inf\n" : "-Inf\n");
    else
        ops_strbuf_printf(out, "%.17g\n", v);
}

static void put_histogram(ops_strbuf *out, const row *r, const ops_metric *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= r->desc->bound_count; i++) {
        char le[32] = "+Inf";
        if (i < r->desc->bound_count)
            (void)snprintf(le, sizeof le, "%g", r->desc->bounds[i]);
        sum += atomic_load_explicit(&s->buckets[i].n, memory_order_relaxed);
        ops_strbuf_printf(out, "%s_bucket", r->desc->name);
        put_labels(out, r, s, le);
        ops_strbuf_printf(out, " %llu\n", (unsigned long long)sum);
    }
    ops_strbuf_printf(out, "%s_sum", r->desc->name);
    put_labels(out, r, s, NULL);
    ops_strbuf_char(out, ' ');
    put_f64(out, ops_metric_value(s));
    ops_strbuf_printf(out, "%s_count", r->desc->name);
    put_labels(out, r, s, NULL);
    /* Equal to the last bucket even while others observe. */
    ops_strbuf_printf(out, " %llu\n", (unsigned long long)sum);
}

static void put_series(ops_strbuf *out, const row *r, const ops_metric *s)
{
    if (r->desc->kind == OPS_METRIC_HISTOGRAM) {
        put_histogram(out, r, s);
        return;
    }
    ops_strbuf_str(out, r->desc->name);
    put_labels(out, r, s, NULL);
    ops_strbuf_char(out, ' ');
    if (r->desc->kind == OPS_METRIC_COUNTER)
        ops_strbuf_printf(out, "%llu\n", (unsigned long long)ops_metric_count(s));
    else
        put_f64(out, ops_metric_value(s));
}

void ops_metrics_text(ops_metrics *m, ops_strbuf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    (void)pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->count; i++) {
        const row *r = &m->rows[i];
        if (r->count == 1 && !r->other_used)
            continue;
        ops_strbuf_printf(out, "# HELP %s ", r->desc->name);
        put_escaped(out, r->desc->help, false);
        ops_strbuf_printf(out, "\n# TYPE %s %s\n", r->desc->name, kinds[r->desc->kind]);
        for (size_t j = r->other_used ? 0 : 1; j < r->count; j++)
            put_series(out, r, r->series[j]);
    }
    (void)pthread_mutex_unlock(&m->lock);
}
