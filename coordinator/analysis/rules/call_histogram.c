/* Quantiles and shares: over classic buckets, and over native histograms. */
#include <math.h>
#include <stdlib.h>

#include "coordinator/analysis/rules/eval.h"
#include "coordinator/analysis/rules/hist_internal.h"

typedef struct bucket {
    double upper, count;
    size_t group;
} bucket;

static int by_group_and_upper(const void *a, const void *b)
{
    const bucket *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return (x->upper > y->upper) - (x->upper < y->upper);
}

/* Counts that fall from one bucket to the next are taken as the one before; so are differences that rounding explains. */
static void make_monotonic(bucket *b, size_t n)
{
    double before = b[0].count;
    for (size_t i = 1; i < n; i++) {
        double sum = fabs(before) + fabs(b[i].count), d = fabs(before - b[i].count);
        bool same = before == b[i].count ||
                    (sum > 0 && d / (sum < 1.7976931348623157e308 ? sum : 1.7976931348623157e308) < 1e-12);
        if (same || b[i].count < before)
            b[i].count = before;
        else
            before = b[i].count;
    }
}

static size_t coalesce(bucket *b, size_t n)
{
    size_t k = 0;
    for (size_t i = 1; i < n; i++)
        if (b[i].upper == b[k].upper)
            b[k].count += b[i].count;
        else
            b[++k] = b[i];
    return k + 1;
}

static double quantile_of(double q, bucket *b, size_t n)
{
    if (isnan(q))
        return (double)NAN;
    if (q < 0 || q > 1)
        return q < 0 ? (double)-INFINITY : (double)INFINITY;
    if (!(isinf(b[n - 1].upper) && b[n - 1].upper > 0))
        return (double)NAN;
    n = coalesce(b, n);
    make_monotonic(b, n);
    if (n < 2 || b[n - 1].count == 0 || isnan(b[n - 1].count))
        return (double)NAN;
    double rank = q * b[n - 1].count, start = 0;
    size_t i = 0;
    while (i < n - 1 && !(b[i].count >= rank))
        i++;
    if (i == n - 1)
        return b[n - 2].upper;
    if (i == 0 && b[0].upper <= 0)
        return b[0].upper;
    double count = b[i].count;
    if (i > 0) {
        start = b[i - 1].upper;
        count -= b[i - 1].count;
        rank -= b[i - 1].count;
    }
    return start + (b[i].upper - start) * (rank / count);
}

static bool upper_of(ops_slice le, double *ret)
{
    bool minus = le.n > 0 && le.p[0] == '-', sign = minus || (le.n > 0 && le.p[0] == '+');
    if (!rules_number(ops_slice_sub(le, sign, le.n), ret) &&
        !ops_slice_to_f64(ops_slice_sub(le, sign, le.n), ret))
        return false;
    if (minus)
        *ret = -*ret;
    return !isnan(*ret);
}

/* How many of all are at most x; false: x is above all buckets. Within a bucket by equal steps; the first one begins at nothing. */
static bool below(const bucket *b, size_t n, double x, double *ret)
{
    for (size_t i = 0; i < n; i++) {
        const double lower = i > 0 ? b[i - 1].upper : (double)-INFINITY, before = i > 0 ? b[i - 1].count : 0;
        *ret = before;
        if (lower >= x)
            return true;
        if (b[i].upper > x) {
            *ret = before + (b[i].count - before) * (x - lower) / (b[i].upper - lower);
            return true;
        }
    }
    return false;
}

static double fraction_of(double lower, double upper, bucket *b, size_t n)
{
    if (!(isinf(b[n - 1].upper) && b[n - 1].upper > 0))
        return (double)NAN;
    n = coalesce(b, n);
    const double all = b[n - 1].count;
    double low = 0, high = 0;
    if (all == 0 || isnan(lower) || isnan(upper))
        return (double)NAN;
    if (lower >= upper)
        return 0;
    low = !below(b, n, lower, &low) || low > all ? all : low;
    high = !below(b, n, upper, &high) || high > all ? all : high;
    return (high - low) / all;
}

/* What is asked: a quantile, or the share between two values. */
typedef struct question {
    bool fraction;
    double a, b;
} question;

static double classic(const question *q, bucket *b, size_t n)
{
    return q->fraction ? fraction_of(q->a, q->b, b, n) : quantile_of(q->a, b, n);
}

static ops_status native(rules_eval *e, const rules_node *n, const question *q, const ops_rules_hist *h,
                         double *ret)
{
    size_t count;
    const rules_span *v = rules_hist_spans(e->a, h, &count);
    if (v == NULL)
        return rules_no_memory(e, n);
    *ret =
        q->fraction ? rules_hist_fraction(h, v, count, q->a, q->b) : rules_hist_quantile(h, v, count, q->a);
    return OPS_OK;
}

static const ops_slice le[] = {{"le", 2}};

/* Native ones first; of buckets under the same labels, both are in doubt and neither is answered. */
typedef struct gathering {
    rules_table groups;
    bucket *b;
    size_t count;
    const ops_rules_hist **native; /* of each group; NULL: it has buckets */
    bool *mixed;
} gathering;

static ops_status gather(rules_eval *e, const rules_node *n, const rules_value *v, gathering *g,
                         rules_value *ret)
{
    for (size_t i = 0; i < v->n; i++) {
        bool fresh = true;
        double upper = 0;
        const rules_elem *x = &v->v[i];
        if (x->h == NULL && !upper_of(ops_rules_labels_get(x->labels, le[0]), &upper))
            continue; /* no bucket */
        const ops_rules_labels *l =
            ops_rules_labels_drop(e->a, x->labels, le, x->h == NULL ? 1 : 0,
                                  e->lim.late_names ? OPS_RULES_META_NONE : rules_meta(e));
        if (l == NULL)
            return rules_no_memory(e, n);
        const size_t at = rules_table_put(&g->groups, l, ret->n, &fresh);
        if (fresh) {
            g->native[ret->n] = x->h;
            g->mixed[ret->n] = false;
            ret->v[ret->n++] = (rules_elem){.labels = l, .drop = true};
        } else if ((g->native[at] != NULL) != (x->h != NULL)) {
            g->mixed[at] = true;
        }
        if (x->h == NULL)
            g->b[g->count++] = (bucket){upper, x->v, at};
    }
    return OPS_OK;
}

static ops_status answer(rules_eval *e, const rules_node *n, const question *q, const rules_value *v,
                         rules_value *ret)
{
    gathering g = {.b = ops_arena_alloc(e->a, (v->n + 1) * sizeof *g.b),
                   .native = ops_arena_alloc(e->a, (v->n + 1) * sizeof(*g.native)),
                   .mixed = ops_arena_alloc(e->a, (v->n + 1) * sizeof *g.mixed)};
    ops_status st = rules_vector(e, n, v->n, ret);
    size_t kept = 0;
    if (g.b == NULL || g.native == NULL || g.mixed == NULL || !rules_table_init(&g.groups, e->a, v->n))
        return rules_no_memory(e, n);
    if (st == OPS_OK)
        st = gather(e, n, v, &g, ret);
    for (size_t i = 0; st == OPS_OK && i < ret->n; i++)
        if (g.native[i] != NULL)
            st = native(e, n, q, g.native[i], &ret->v[i].v);
    if (st != OPS_OK)
        return st;
    qsort(g.b, g.count, sizeof *g.b, by_group_and_upper);
    for (size_t i = 0, k; i < g.count; i = k) {
        for (k = i + 1; k < g.count && g.b[k].group == g.b[i].group; k++)
            ;
        ret->v[g.b[i].group].v = classic(q, g.b + i, k - i);
    }
    for (size_t i = 0; i < ret->n; i++)
        if (!g.mixed[i])
            ret->v[kept++] = ret->v[i];
    ret->n = kept;
    return OPS_OK;
}

ops_status rules_fn_histogram_quantile(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    rules_value v;
    question q = {0};
    ops_status st = rules_scalar_arg(e, n, 0, t, &q.a);
    if (st == OPS_OK)
        st = rules_eval_node(e, n->args[1], t, &v);
    return st == OPS_OK ? answer(e, n, &q, &v, ret) : st;
}

ops_status rules_fn_histogram_fraction(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    rules_value v;
    question q = {.fraction = true};
    ops_status st = rules_scalar_arg(e, n, 0, t, &q.a);
    if (st == OPS_OK)
        st = rules_scalar_arg(e, n, 1, t, &q.b);
    if (st == OPS_OK)
        st = rules_eval_node(e, n->args[2], t, &v);
    return st == OPS_OK ? answer(e, n, &q, &v, ret) : st;
}

/* histogram_count, _sum, _avg, _stddev and _stdvar, of native ones only. */
ops_status rules_fn_histogram_stat(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    const char *what = n->func->name + sizeof "histogram";
    ops_status st = rules_eval_node(e, n->args[0], t, ret);
    size_t kept = 0;
    for (size_t i = 0; st == OPS_OK && i < ret->n; i++) {
        const ops_rules_hist *h = ret->v[i].h;
        size_t count;
        if (h == NULL)
            continue;
        rules_elem x = ret->v[i];
        x.h = NULL;
        if (what[0] == 'c' || what[0] == 'a') {
            x.v = what[0] == 'c' ? h->count : h->sum / h->count;
        } else if (what[1] == 'u') {
            x.v = h->sum;
        } else {
            const rules_span *v = rules_hist_spans(e->a, h, &count);
            if (v == NULL)
                return rules_no_memory(e, n);
            const double variance = rules_hist_variance(h, v, count);
            x.v = what[3] == 'd' ? sqrt(variance) : variance;
        }
        st = rules_drop_name(e, n, &x);
        ret->v[kept++] = x;
    }
    ret->n = kept;
    return st;
}
