/* Histograms and summaries as series. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "coordinator/ingest/samples.h"

enum { NUMBER_BYTES = 32, NAME_BYTES = 512, SUM_SLACK = 1 };

typedef struct shaping {
    ops_samples *s;
    ops_slice service, name;
    ops_attr labels[OPS_SERIES_LABELS_MAX + 2]; /* the metric's own, and le or quantile */
    size_t label_count;
    const ops_walk_point *p;
    bool delta;
    ops_err *reterr;
} shaping;

/* The shortest text that reads back as the same number; "+Inf" as Prometheus writes it. */
static ops_slice number(double v, char buf[static NUMBER_BYTES])
{
    if (isinf(v))
        return v > 0 ? OPS_SLICE("+Inf") : OPS_SLICE("-Inf");
    int n = 0;
    for (int digits = 6; digits <= 17; digits++) {
        n = snprintf(buf, NUMBER_BYTES, "%.*g", digits, v);
        if (strtod(buf, NULL) == v)
            break;
    }
    return ops_slice_of(buf, (size_t)n);
}

static ops_status put(shaping *x, ops_series_kind kind, const char *suffix, ops_slice key, double at,
                      double value)
{
    char name[NAME_BYTES], digits[NUMBER_BYTES];
    size_t n = x->name.n, labels = x->label_count;
    /* A name too long is left to the rules, which refuse it by its length. */
    const size_t tail = strlen(suffix);
    ops_slice full = x->name;
    if (n + tail < sizeof name) {
        if (n > 0)
            memcpy(name, x->name.p, n);
        memcpy(name + n, suffix, tail + 1);
        full = ops_slice_of(name, n + tail);
    }
    if (key.n > 0)
        x->labels[labels++] = (ops_attr){key, number(at, digits)};
    ops_status st = ops_samples_begin(x->s, kind, x->service, full, x->labels, labels, x->reterr);
    if (st == OPS_OK)
        st = ops_samples_add(x->s, (int64_t)x->p->time_ns, value, x->p->no_value, x->reterr);
    return st == OPS_OK ? ops_samples_end(x->s, x->reterr) : st;
}

static ops_status put_bucket(shaping *x, double le, double cumulative)
{
    return put(x, x->delta ? OPS_SERIES_BUCKET_DELTA : OPS_SERIES_BUCKET, "_bucket", OPS_SLICE("le"), le,
               cumulative);
}

static ops_status put_totals(shaping *x)
{
    const ops_series_kind kind = x->delta ? OPS_SERIES_DELTA : OPS_SERIES_COUNTER;
    ops_status st = put(x, kind, "_count", (ops_slice){0}, 0, x->p->count);
    return st == OPS_OK && x->p->has_sum ? put(x, kind, "_sum", (ops_slice){0}, 0, x->p->sum) : st;
}

static ops_status classic(shaping *x)
{
    const ops_walk_point *p = x->p;
    double sum = 0;
    ops_status st = OPS_OK;
    for (uint32_t i = 0; st == OPS_OK && i < p->count_count; i++) {
        sum += p->counts[i];
        st = put_bucket(x, i < p->bound_count ? p->bounds[i] : INFINITY, sum);
    }
    return st;
}

/* Upper bound of bucket `index` at `scale` <= 0: 2^((index + 1) * 2^-scale). */
static double upper(int64_t index, int32_t scale)
{
    const int shift = scale < -16 ? 16 : -scale; /* beyond 2^±1024 all is infinite or 0 */
    const double e = ldexp((double)(index + 1), shift);
    return e > 1024 ? INFINITY : e < -1100 ? 0 : ldexp(1, (int)e);
}

/* At scale 0 or coarser. Rounds down, for negative numbers too. */
static int64_t coarse(int32_t index, int32_t scale)
{
    if (scale <= 0)
        return index;
    const int64_t step = scale < 31 ? (int64_t)1 << scale : (int64_t)1 << 31;
    const int64_t q = index / step;
    return q - (index % step < 0);
}

/* Negative values from the lowest up: the outermost bucket first, and its upper bound is the inner one. */
static ops_status negatives(shaping *x, double *sum)
{
    const ops_walk_exp *e = &x->p->negative;
    const int32_t scale = x->p->scale > 0 ? 0 : x->p->scale;
    ops_status st = OPS_OK;
    for (uint32_t i = e->n; st == OPS_OK && i > 0;) {
        const int64_t at = coarse(e->index[i - 1], x->p->scale);
        double in = 0;
        for (; i > 0 && coarse(e->index[i - 1], x->p->scale) == at; i--)
            in += e->count[i - 1];
        *sum += in;
        if (in != 0)
            st = put_bucket(x, -upper(at - 1, scale), *sum);
    }
    return st;
}

static ops_status positives(shaping *x, double *sum)
{
    const ops_walk_exp *e = &x->p->positive;
    const int32_t scale = x->p->scale > 0 ? 0 : x->p->scale;
    ops_status st = OPS_OK;
    for (uint32_t i = 0; st == OPS_OK && i < e->n;) {
        const int64_t at = coarse(e->index[i], x->p->scale);
        double in = 0;
        for (; i < e->n && coarse(e->index[i], x->p->scale) == at; i++)
            in += e->count[i];
        *sum += in;
        if (in != 0 && !isinf(upper(at, scale)))
            st = put_bucket(x, upper(at, scale), *sum);
    }
    return st;
}

static ops_status exponential(shaping *x)
{
    double sum = 0;
    ops_status st = negatives(x, &sum);
    sum += x->p->zero_count;
    if (st == OPS_OK && x->p->zero_count > 0)
        st = put_bucket(x, x->p->zero_threshold, sum);
    if (st == OPS_OK)
        st = positives(x, &sum);
    return st == OPS_OK ? put_bucket(x, INFINITY, x->p->count) : st;
}

static ops_status summary(shaping *x)
{
    ops_status st = OPS_OK;
    for (uint32_t i = 0; st == OPS_OK && i < x->p->count_count; i++)
        if (!isnan(x->p->counts[i])) /* a quantile of nothing */
            st = put(x, OPS_SERIES_GAUGE, "", OPS_SLICE("quantile"), x->p->bounds[i], x->p->counts[i]);
    return st;
}

static double total(const double *v, uint32_t n, bool *negative)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        *negative |= v[i] < 0;
        sum += v[i];
    }
    return sum;
}

/* The reason against the histogram as a whole, or OPS_SAMPLE_REASON_COUNT. */
static ops_sample_reason reason_against(const ops_walk_point *p)
{
    bool negative = p->count < 0 || p->zero_count < 0;
    double sum;
    if (p->flaw == OPS_WALK_FLAW_BUCKETS)
        return OPS_SAMPLE_HISTOGRAM_SIZE;
    if (p->flaw == OPS_WALK_FLAW_ATTRS)
        return OPS_SAMPLE_LABEL_COUNT;
    if (p->flaw == OPS_WALK_FLAW_DEPTH || p->flaw == OPS_WALK_FLAW_RENDER)
        return OPS_SAMPLE_LABEL_LENGTH;
    if (p->flaw != OPS_WALK_FLAW_NONE)
        return OPS_SAMPLE_HISTOGRAM_FORM;
    if (p->kind == OPS_WALK_POINT_SUMMARY || p->no_value)
        return OPS_SAMPLE_REASON_COUNT;
    if (p->temporality != OPS_WALK_TEMPORALITY_DELTA && p->temporality != OPS_WALK_TEMPORALITY_CUMULATIVE)
        return OPS_SAMPLE_TEMPORALITY;
    if (p->kind == OPS_WALK_POINT_HISTOGRAM) {
        sum = total(p->counts, p->count_count, &negative);
        for (uint32_t i = 1; i < p->bound_count; i++)
            if (!(p->bounds[i] > p->bounds[i - 1]))
                return OPS_SAMPLE_HISTOGRAM_FORM;
        if (p->count_count != 0 && p->count_count != p->bound_count + 1)
            return OPS_SAMPLE_HISTOGRAM_FORM;
        if (p->count_count == 0)
            sum = p->count;
    } else {
        sum = total(p->positive.count, p->positive.n, &negative) +
              total(p->negative.count, p->negative.n, &negative) + p->zero_count;
    }
    if (negative)
        return OPS_SAMPLE_HISTOGRAM_NEGATIVE;
    /* What is written by a concurrent counter may be off by what was under way; a NaN in the sum counts in no bucket. */
    return sum > p->count * (1 + 1e-9) + SUM_SLACK ? OPS_SAMPLE_HISTOGRAM_FORM : OPS_SAMPLE_REASON_COUNT;
}

ops_status ops_samples_histogram(ops_samples *s, ops_slice service, ops_slice name, const ops_attr *labels,
                                 size_t label_count, const ops_walk_point *p, ops_err *reterr)
{
    shaping x = {.s = s,
                 .service = service,
                 .name = name,
                 .p = p,
                 .delta = p->temporality == OPS_WALK_TEMPORALITY_DELTA,
                 .reterr = reterr};
    const ops_sample_reason reason = reason_against(p);
    ops_samples_point(s, true);
    if (reason != OPS_SAMPLE_REASON_COUNT || label_count > OPS_SERIES_LABELS_MAX) {
        ops_samples_refuse(s, reason != OPS_SAMPLE_REASON_COUNT ? reason : OPS_SAMPLE_LABEL_COUNT, name,
                           NULL);
        return OPS_OK;
    }
    for (size_t i = 0; i < label_count; i++)
        if (!ops_slice_eq(labels[i].key, OPS_SLICE("le")) &&
            !ops_slice_eq(labels[i].key, OPS_SLICE("quantile")))
            x.labels[x.label_count++] = labels[i];
    ops_status st = put_totals(&x);
    if (st != OPS_OK || p->no_value)
        return st;
    return p->kind == OPS_WALK_POINT_HISTOGRAM       ? classic(&x)
           : p->kind == OPS_WALK_POINT_EXP_HISTOGRAM ? exponential(&x)
                                                     : summary(&x);
}
