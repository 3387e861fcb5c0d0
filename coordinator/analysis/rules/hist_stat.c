/* What is asked of a histogram: its buckets in order, quantiles, shares, its variance. */
#include <math.h>

#include "coordinator/analysis/rules/eval.h"
#include "coordinator/analysis/rules/hist_internal.h"

rules_span *rules_hist_spans(ops_arena *a, const ops_rules_hist *h, size_t *ret_n)
{
    rules_span *v = ops_arena_alloc(a, (h->neg_n + h->pos_n + 1) * sizeof *v);
    const double zero = h->zero_threshold;
    *ret_n = 0;
    if (v == NULL)
        return NULL;
    for (size_t i = h->neg_n; i > 0; i--) {
        const ops_rules_bucket *b = &h->neg[i - 1];
        double near = rules_hist_bound(h, b->index - 1);
        if (near > 0 && near < zero) /* it overlaps the zero bucket */
            near = zero;
        v[(*ret_n)++] = (rules_span){-rules_hist_bound(h, b->index), -near, b->count};
    }
    if (!ops_rules_hist_custom(h) && h->zero_count > 0)
        v[(*ret_n)++] = (rules_span){-zero, zero, h->zero_count};
    for (size_t i = 0; i < h->pos_n; i++) {
        double near = rules_hist_bound(h, h->pos[i].index - 1);
        if (!ops_rules_hist_custom(h) && near > 0 && near < zero)
            near = zero;
        v[(*ret_n)++] = (rules_span){near, rules_hist_bound(h, h->pos[i].index), h->pos[i].count};
    }
    return v;
}

/* The zero bucket of a histogram of one side only is half of it. */
static rules_span one_sided(const ops_rules_hist *h, rules_span b)
{
    if (h->neg_n == 0 && h->pos_n > 0)
        b.lower = 0;
    else if (h->pos_n == 0 && h->neg_n > 0)
        b.upper = 0;
    return b;
}

/* Where in a bucket `share` of its observations lie: by equal steps around zero and between custom bounds, else by equal factors. */
static double place(const ops_rules_hist *h, rules_span b, double share)
{
    if (ops_rules_hist_custom(h) || (b.lower <= 0 && b.upper >= 0))
        return b.lower + (b.upper - b.lower) * share;
    const double low = log2(fabs(b.lower)), high = log2(fabs(b.upper));
    return b.lower > 0 ? exp2(low + (high - low) * share) : -exp2(high + (low - high) * (1 - share));
}

double rules_hist_quantile(const ops_rules_hist *h, const rules_span *v, size_t n, double q)
{
    if (q < 0 || q > 1)
        return q < 0 ? (double)-INFINITY : (double)INFINITY;
    if (h->count == 0 || isnan(q))
        return (double)NAN;
    /* From the nearer end; from below when there are observations of no bucket (NaN), which come last. */
    const bool up = isnan(h->sum) || q < 0.5;
    double rank = (up ? q : 1 - q) * h->count, seen = 0;
    rules_span b = {0};
    for (size_t i = 0; i < n; i++) {
        const rules_span *x = &v[up ? i : n - 1 - i];
        if (x->count == 0)
            continue;
        b = *x;
        seen += b.count;
        if (seen >= rank)
            break;
    }
    if (!ops_rules_hist_custom(h) && b.lower < 0 && b.upper > 0) {
        b = one_sided(h, b);
    } else if (ops_rules_hist_custom(h)) {
        if (isinf(b.lower) && b.lower < 0) {
            if (b.upper <= 0)
                return b.upper;
            b.lower = 0;
        } else if (isinf(b.upper)) {
            return b.lower;
        }
    }
    seen = seen > h->count ? h->count : seen;
    if (seen < rank)
        return isnan(h->sum) ? (double)NAN : b.upper;
    rank = up ? rank - (seen - b.count) : seen - rank;
    return place(h, b, rank / b.count);
}

/* How many of the bucket are at most x. */
static double below(const ops_rules_hist *h, rules_span b, bool linear, double x)
{
    if (ops_rules_hist_custom(h) || linear)
        return b.count * (x - b.lower) / (b.upper - b.lower);
    const double low = log2(fabs(b.lower)), high = log2(fabs(b.upper)), at = log2(fabs(x));
    return b.count * (x > 0 ? (at - low) / (high - low) : 1 - (at - high) / (low - high));
}

/* How many observations are at most x; false: x is above all buckets. *ret_all is what they hold together. */
static bool rank_of(const ops_rules_hist *h, const rules_span *v, size_t n, double x, double *ret,
                    double *ret_all)
{
    bool set = false;
    *ret = *ret_all = 0;
    for (size_t i = 0; i < n; i++) {
        rules_span b = v[i];
        const bool zero = b.lower <= 0 && b.upper >= 0;
        *ret_all += b.count;
        if (zero)
            b = one_sided(h, b);
        if (set || b.lower >= x) {
            set = true;
            continue;
        }
        set = b.upper > x;
        *ret += set ? below(h, b, zero, x) : b.count;
    }
    return set;
}

double rules_hist_fraction(const ops_rules_hist *h, const rules_span *v, size_t n, double lower, double upper)
{
    double all = 0, low = 0, high = 0;
    if (h->count == 0 || isnan(lower) || isnan(upper))
        return (double)NAN;
    if (lower >= upper)
        return 0;
    const bool low_in = rank_of(h, v, n, lower, &low, &all), high_in = rank_of(h, v, n, upper, &high, &all);
    const double most = isnan(h->sum) ? all : h->count; /* NaN was observed, and is in no bucket */
    low = !low_in || low > most ? most : low;
    high = !high_in || high > most ? most : high;
    return (high - low) / h->count;
}

double rules_hist_variance(const ops_rules_hist *h, const rules_span *v, size_t n)
{
    const double mean = h->sum / h->count;
    rules_sum s = {0};
    for (size_t i = 0; i < n; i++) {
        const rules_span b = v[i];
        double at = 0; /* the middle of the bucket, as far as it has one */
        if (b.count == 0)
            continue;
        if (ops_rules_hist_custom(h))
            at = (b.upper + b.lower) / 2;
        else if (!(b.lower <= 0 && b.upper >= 0))
            at = copysign(sqrt(b.upper * b.lower), b.upper);
        rules_sum_add(&s, b.count * (at - mean) * (at - mean));
    }
    return (s.s + s.c) / h->count;
}
