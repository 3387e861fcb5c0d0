/* histogram_quantile over classic buckets. */
#include <math.h>
#include <stdlib.h>

#include "coordinator/analysis/rules/eval.h"

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

ops_status rules_fn_histogram_quantile(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret)
{
    static const ops_slice le[] = {{"le", 2}};
    rules_value v;
    rules_table groups;
    double q = 0;
    size_t count = 0;
    ops_status st = rules_scalar_arg(e, n, 0, t, &q);
    if (st == OPS_OK)
        st = rules_eval_node(e, n->args[1], t, &v);
    if (st == OPS_OK)
        st = rules_vector(e, n, v.n, ret);
    if (st != OPS_OK)
        return st;
    bucket *b = ops_arena_alloc(e->a, (v.n + 1) * sizeof *b);
    if (b == NULL || !rules_table_init(&groups, e->a, v.n))
        return rules_no_memory(e, n);
    for (size_t i = 0; i < v.n; i++) {
        bool fresh = true;
        double upper = 0;
        if (!upper_of(ops_rules_labels_get(v.v[i].labels, le[0]), &upper))
            continue; /* no bucket */
        const ops_rules_labels *l = ops_rules_labels_drop(
            e->a, v.v[i].labels, le, 1, e->lim.late_names ? OPS_RULES_META_NONE : rules_meta(e));
        if (l == NULL)
            return rules_no_memory(e, n);
        b[count] = (bucket){upper, v.v[i].v, rules_table_put(&groups, l, ret->n, &fresh)};
        count++;
        if (fresh)
            ret->v[ret->n++] = (rules_elem){.labels = l, .drop = true};
    }
    qsort(b, count, sizeof *b, by_group_and_upper);
    for (size_t i = 0, k; i < count; i = k) {
        for (k = i + 1; k < count && b[k].group == b[i].group; k++)
            ;
        ret->v[b[i].group].v = quantile_of(q, b + i, k - i);
    }
    return OPS_OK;
}
