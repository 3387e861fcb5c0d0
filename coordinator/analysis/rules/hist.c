/* Histograms copied, scaled, added, and brought to one resolution. */
#include "coordinator/analysis/rules/hist.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "coordinator/analysis/rules/hist_internal.h"

double rules_hist_bound(const ops_rules_hist *h, int32_t index)
{
    if (ops_rules_hist_custom(h)) {
        if (index < 0)
            return (double)-INFINITY;
        return (size_t)index < h->bound_n ? h->bounds[index] : (double)INFINITY;
    }
    const int64_t i = index;
    const int64_t whole = h->schema < 0 ? i * (1 << -h->schema) : i >> h->schema;
    const int64_t part = h->schema < 0 ? 0 : i & ((1 << h->schema) - 1);
    /* The last bucket of numbers ends at the greatest of them; the infinities have the next one. */
    if (whole == 1024 && part == 0)
        return DBL_MAX;
    if (whole >= 1024)
        return (double)INFINITY;
    if (whole < -1100)
        return 0;
    return ldexp(part == 0 ? 1 : exp2((double)part / (double)(1 << h->schema)), (int)whole);
}

size_t ops_rules_hist_bytes(const ops_rules_hist *h)
{
    return sizeof *h + (h->pos_n + h->neg_n) * sizeof *h->pos + h->bound_n * sizeof *h->bounds;
}

const ops_rules_hist *ops_rules_hist_put(void *room, const ops_rules_hist *h)
{
    ops_rules_hist *to = room;
    ops_rules_bucket *pos = (ops_rules_bucket *)(to + 1), *neg = pos + h->pos_n;
    double *bounds = (double *)(neg + h->neg_n);
    *to = *h;
    if (h->pos_n > 0)
        memcpy(pos, h->pos, h->pos_n * sizeof *pos);
    if (h->neg_n > 0)
        memcpy(neg, h->neg, h->neg_n * sizeof *neg);
    if (h->bound_n > 0)
        memcpy(bounds, h->bounds, h->bound_n * sizeof *bounds);
    to->pos = pos;
    to->neg = neg;
    to->bounds = bounds;
    return to;
}

const ops_rules_hist *ops_rules_hist_copy(ops_arena *a, const ops_rules_hist *h)
{
    void *room = ops_arena_alloc(a, ops_rules_hist_bytes(h));
    return room != NULL ? ops_rules_hist_put(room, h) : NULL;
}

static size_t filled(const ops_rules_bucket *v, size_t n, ops_rules_bucket *out)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (v[i].count != 0)
            out[kept++] = v[i];
    return kept;
}

const ops_rules_hist *ops_rules_hist_compact(ops_arena *a, const ops_rules_hist *h)
{
    ops_rules_hist *r = ops_arena_alloc(a, sizeof *r);
    ops_rules_bucket *v = ops_arena_alloc(a, (h->pos_n + h->neg_n + 1) * sizeof *v);
    if (r == NULL || v == NULL)
        return NULL;
    *r = *h;
    r->pos = v;
    r->pos_n = filled(h->pos, h->pos_n, v);
    r->neg = v + r->pos_n;
    r->neg_n = filled(h->neg, h->neg_n, v + r->pos_n);
    return r;
}

static bool same_bits(double a, double b)
{
    uint64_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return x == y;
}

static bool same_bounds(const ops_rules_hist *a, const ops_rules_hist *b)
{
    bool same = a->bound_n == b->bound_n;
    for (size_t i = 0; same && i < a->bound_n; i++)
        same = same_bits(a->bounds[i], b->bounds[i]);
    return same;
}

static bool same_side(const ops_rules_bucket *a, size_t an, const ops_rules_bucket *b, size_t bn)
{
    bool same = an == bn;
    for (size_t i = 0; same && i < an; i++)
        same = a[i].index == b[i].index && same_bits(a[i].count, b[i].count);
    return same;
}

bool ops_rules_hist_eq(const ops_rules_hist *a, const ops_rules_hist *b)
{
    return a->schema == b->schema && same_bits(a->count, b->count) && same_bits(a->sum, b->sum) &&
           (!ops_rules_hist_custom(a) || same_bounds(a, b)) && a->zero_threshold == b->zero_threshold &&
           same_bits(a->zero_count, b->zero_count) && same_side(a->pos, a->pos_n, b->pos, b->pos_n) &&
           same_side(a->neg, a->neg_n, b->neg, b->neg_n);
}

/* A copy with room to change what is in it. */
static ops_rules_hist *own(ops_arena *a, const ops_rules_hist *h)
{
    return (ops_rules_hist *)(uintptr_t)ops_rules_hist_copy(a, h);
}

const ops_rules_hist *rules_hist_times(ops_arena *a, const ops_rules_hist *h, double factor)
{
    ops_rules_hist *r = own(a, h);
    if (r == NULL)
        return NULL;
    r->count *= factor;
    r->sum *= factor;
    r->zero_count *= factor;
    ops_rules_bucket *v = (ops_rules_bucket *)(r + 1); /* both sides, as ops_rules_hist_put lays them */
    for (size_t i = 0; i < r->pos_n + r->neg_n; i++)
        v[i].count *= factor;
    return ops_rules_hist_compact(a, r);
}

const ops_rules_hist *rules_hist_divide(ops_arena *a, const ops_rules_hist *h, double by)
{
    ops_rules_hist *r = own(a, h);
    if (r == NULL)
        return NULL;
    r->count /= by;
    r->sum /= by;
    r->zero_count /= by;
    ops_rules_bucket *v = (ops_rules_bucket *)(r + 1);
    for (size_t i = 0; i < r->pos_n + r->neg_n; i++)
        v[i].count /= by;
    if (by == 0)
        r->pos_n = r->neg_n = 0;
    return ops_rules_hist_compact(a, r);
}

static int32_t index_at(int32_t index, int shift)
{
    return ((index - 1) >> shift) + 1;
}

ops_rules_bucket *rules_hist_side(ops_arena *a, const ops_rules_hist *h, bool pos, double from,
                                  int32_t schema, size_t *ret_n)
{
    const ops_rules_bucket *v = pos ? h->pos : h->neg;
    const size_t n = pos ? h->pos_n : h->neg_n;
    const int shift = ops_rules_hist_custom(h) ? 0 : h->schema - schema;
    ops_rules_bucket *out = ops_arena_alloc(a, (n + 1) * sizeof *out);
    *ret_n = 0;
    for (size_t i = 0; out != NULL && i < n; i++) {
        const int32_t index = shift > 0 ? index_at(v[i].index, shift) : v[i].index;
        if (!ops_rules_hist_custom(h) && rules_hist_bound(h, v[i].index) <= from)
            continue;
        if (*ret_n > 0 && out[*ret_n - 1].index == index)
            out[*ret_n - 1].count += v[i].count;
        else
            out[(*ret_n)++] = (ops_rules_bucket){index, v[i].count};
    }
    return out;
}

const ops_rules_hist *rules_hist_lower(ops_arena *a, const ops_rules_hist *h, int32_t schema)
{
    ops_rules_hist *r = ops_arena_alloc(a, sizeof *r);
    if (r == NULL)
        return NULL;
    *r = *h;
    if (ops_rules_hist_custom(h) || schema >= h->schema)
        return r;
    r->schema = schema;
    r->pos = rules_hist_side(a, h, true, -1, schema, &r->pos_n);
    r->neg = rules_hist_side(a, h, false, -1, schema, &r->neg_n);
    return r->pos != NULL && r->neg != NULL ? r : NULL;
}

/* One side's part of what a zero bucket up to *threshold holds. True: the threshold lies in a bucket that is not empty, and was moved to
 * that bucket's end. */
static bool into_zero(const ops_rules_hist *h, bool pos, double *threshold, double *count)
{
    const ops_rules_bucket *v = pos ? h->pos : h->neg;
    const size_t n = pos ? h->pos_n : h->neg_n;
    for (size_t i = 0; i < n && rules_hist_bound(h, v[i].index - 1) < *threshold; i++) {
        const double upper = rules_hist_bound(h, v[i].index);
        *count += v[i].count;
        if (upper > *threshold && v[i].count != 0) {
            *threshold = upper;
            return true;
        }
    }
    return false;
}

/* What the zero bucket would hold were its threshold raised to *threshold or, where that is within a bucket, above. */
static double zero_count_at(const ops_rules_hist *h, double *threshold)
{
    double count = h->zero_count;
    if (*threshold == h->zero_threshold)
        return count;
    (void)into_zero(h, true, threshold, &count);
    while (into_zero(h, false, threshold, &count)) { /* the other side again, with the greater threshold */
        count = h->zero_count;
        (void)into_zero(h, true, threshold, &count);
    }
    return count;
}

/* One zero threshold for both; x is changed to it, y's count there is returned. */
static double one_zero(ops_rules_hist *x, const ops_rules_hist *y)
{
    double threshold = y->zero_threshold, count = y->zero_count;
    while (threshold != x->zero_threshold) {
        if (x->zero_threshold > threshold) {
            threshold = x->zero_threshold;
            count = zero_count_at(y, &threshold);
        }
        if (threshold > x->zero_threshold) {
            double at = threshold;
            x->zero_count = zero_count_at(x, &at);
            x->zero_threshold = at;
        }
    }
    return count;
}

static ops_rules_bucket *merge(ops_arena *a, const ops_rules_bucket *x, size_t xn, const ops_rules_bucket *y,
                               size_t yn, double sign, size_t *ret_n)
{
    ops_rules_bucket *out = ops_arena_alloc(a, (xn + yn + 1) * sizeof *out);
    size_t i = 0, k = 0;
    *ret_n = 0;
    while (out != NULL && (i < xn || k < yn)) {
        ops_rules_bucket b;
        if (k == yn || (i < xn && x[i].index < y[k].index))
            b = x[i++];
        else if (i == xn || y[k].index < x[i].index) {
            b = (ops_rules_bucket){y[k].index, sign * y[k].count};
            k++;
        } else {
            b = (ops_rules_bucket){x[i].index, x[i].count + sign * y[k].count};
            i++;
            k++;
        }
        if (b.count != 0)
            out[(*ret_n)++] = b;
    }
    return out;
}

static ops_rules_hint hint_of(const ops_rules_hist *x, const ops_rules_hist *y)
{
    if (x->hint == y->hint)
        return x->hint;
    return x->hint == OPS_RULES_HINT_GAUGE || y->hint == OPS_RULES_HINT_GAUGE ? OPS_RULES_HINT_GAUGE
                                                                              : OPS_RULES_HINT_UNKNOWN;
}

ops_status ops_rules_hist_add(ops_arena *a, const ops_rules_hist *x, const ops_rules_hist *y, double sign,
                              const ops_rules_hist **ret)
{
    if (ops_rules_hist_custom(x) != ops_rules_hist_custom(y) ||
        (ops_rules_hist_custom(x) && !same_bounds(x, y)))
        return OPS_EINVAL;
    ops_rules_hist *r = own(a, x);
    if (r == NULL)
        return OPS_ENOMEM;
    const double before = r->zero_threshold;
    if (!ops_rules_hist_custom(x))
        r->zero_count += sign * one_zero(r, y);
    const bool raised = r->zero_threshold != before;
    const int32_t schema = x->schema < y->schema ? x->schema : y->schema;
    r->count += sign * y->count;
    r->sum += sign * y->sum;
    if (sign > 0)
        r->hint = hint_of(x, y);
    for (int side = 0; side < 2; side++) {
        size_t xn, yn, n;
        const bool pos = side == 0;
        /* What went into the zero bucket is no bucket any more. */
        const ops_rules_bucket *xs = rules_hist_side(a, x, pos, raised ? r->zero_threshold : -1, schema, &xn),
                               *ys = rules_hist_side(a, y, pos, r->zero_threshold, schema, &yn);
        const ops_rules_bucket *v = xs != NULL && ys != NULL ? merge(a, xs, xn, ys, yn, sign, &n) : NULL;
        if (v == NULL)
            return OPS_ENOMEM;
        *(pos ? &r->pos : &r->neg) = v;
        *(pos ? &r->pos_n : &r->neg_n) = n;
    }
    r->schema = schema;
    *ret = r;
    return OPS_OK;
}

/* A bucket that is less than it was, or is gone. */
static bool fell(const ops_rules_bucket *now, size_t n, const ops_rules_bucket *was, size_t was_n)
{
    size_t i = 0;
    for (size_t k = 0; k < was_n; k++) {
        while (i < n && now[i].index < was[k].index)
            i++;
        const bool there = i < n && now[i].index == was[k].index;
        if (there ? now[i].count < was[k].count : was[k].count != 0)
            return true;
    }
    return false;
}

bool rules_hist_reset(ops_arena *a, const ops_rules_hist *now, const ops_rules_hist *before, bool *ret_full)
{
    if (now->hint == OPS_RULES_HINT_RESET || now->hint == OPS_RULES_HINT_NO_RESET)
        return now->hint == OPS_RULES_HINT_RESET;
    if (now->count < before->count || ops_rules_hist_custom(now) != ops_rules_hist_custom(before) ||
        (ops_rules_hist_custom(now) && !same_bounds(now, before)) || now->schema > before->schema ||
        now->zero_threshold < before->zero_threshold)
        return true;
    double threshold = now->zero_threshold;
    const double zero = zero_count_at(before, &threshold);
    if (threshold != now->zero_threshold || now->zero_count < zero)
        return true;
    for (int side = 0; side < 2; side++) {
        size_t n, was_n;
        const double from = ops_rules_hist_custom(now) ? -1 : now->zero_threshold;
        const ops_rules_bucket *v = rules_hist_side(a, now, side == 0, from, now->schema, &n),
                               *was = rules_hist_side(a, before, side == 0, from, now->schema, &was_n);
        if (v == NULL || was == NULL) {
            *ret_full = true;
            return false;
        }
        if (fell(v, n, was, was_n))
            return true;
    }
    return false;
}
