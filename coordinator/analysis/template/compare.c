#include "coordinator/analysis/template/compare.h"

#include <math.h>

static const double level = 0.01, factor = 1.5;

/* ln of the binomial probability of k in n. */
static double log_pmf(double k, double n, double q)
{
    int sign;
    return lgamma_r(n + 1, &sign) - lgamma_r(k + 1, &sign) - lgamma_r(n - k + 1, &sign) + k * log(q) +
           (n - k) * log1p(-q);
}

/* P(X >= k), X binomial(n, q), for k above the mean: terms shrink from the first on. */
static double upper(double k, double n, double q)
{
    double term = exp(log_pmf(k, n, q)), sum = 0, odds = q / (1 - q);
    for (; k <= n && term > sum * 1e-17; k++) {
        sum += term;
        term *= (n - k) / (k + 1) * odds;
    }
    return sum;
}

static double two_sided(double b, double n, double q)
{
    double mean = n * q;
    double tail = b >= mean ? upper(b, n, q) : upper(n - b, n, 1 - q);
    return tail >= 0.5 ? 1 : 2 * tail;
}

ops_share_change ops_share_compare(const ops_share *s, size_t compared, double *ret_ratio, double *ret_p)
{
    double a = (double)s->old_count, b = (double)s->new_count;
    *ret_p = 1;
    *ret_ratio = a == 0 && b == 0 ? 1 : a == 0 ? INFINITY : 0;
    if (s->old_lines == 0 || s->new_lines == 0 || (a == 0 && b == 0))
        return b > 0 && a == 0 ? OPS_SHARE_NEW : OPS_SHARE_SAME;
    double q = (double)s->new_lines / ((double)s->old_lines + (double)s->new_lines);
    *ret_p = two_sided(b, a + b, q);
    if (a == 0)
        return OPS_SHARE_NEW;
    if (b == 0)
        return exp((a + b) * log1p(-q)) < level ? OPS_SHARE_GONE : OPS_SHARE_SAME;
    double ratio = b / (double)s->new_lines / (a / (double)s->old_lines);
    *ret_ratio = ratio;
    if (*ret_p * (double)(compared > 0 ? compared : 1) >= level)
        return OPS_SHARE_SAME;
    return ratio >= factor ? OPS_SHARE_UP : ratio <= 1 / factor ? OPS_SHARE_DOWN : OPS_SHARE_SAME;
}

static bool has_word(ops_slice pattern)
{
    for (size_t i = 0; i < pattern.n; i++) {
        if (ops_slice_starts(ops_slice_sub(pattern, i, pattern.n - i), OPS_SLICE("<*>"))) {
            i += 2;
            continue;
        }
        char c = pattern.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (uint8_t)c >= 0x80)
            return true;
    }
    return false;
}

bool ops_template_covers(ops_slice p, ops_slice s)
{
    size_t i = 0, k = 0, star_i = SIZE_MAX, star_k = 0;
    if (!has_word(p))
        return false;
    while (k < s.n) {
        if (ops_slice_starts(ops_slice_sub(p, i, p.n - i), OPS_SLICE("<*>"))) {
            star_i = i += 3;
            star_k = ++k; /* at least one byte */
        } else if (i < p.n && p.p[i] == s.p[k]) {
            i++;
            k++;
        } else if (star_i != SIZE_MAX) {
            i = star_i;
            k = ++star_k;
        } else {
            return false;
        }
    }
    return i == p.n;
}
