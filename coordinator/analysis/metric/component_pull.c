/* What each column shows against what the others let expect of it. */
#include <math.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/metric/component_state.h"

/* People are told what goes with the others, so the ridge is as small as rounding lets it be. */
#define RIDGE_TOLD 0.01

/* Solves L * x = z, then L^T * x = that, in place. */
static void solve_both(const double *factor, size_t m, double *z)
{
    for (size_t j = 0; j < m; j++) {
        const double *row = factor + j * m;
        for (size_t k = 0; k < j; k++)
            z[j] -= row[k] * z[k];
        z[j] /= row[j];
    }
    for (size_t j = m; j-- > 0;) {
        z[j] /= factor[j * m + j];
        for (size_t k = 0; k < j; k++)
            z[k] -= factor[j * m + k] * z[j];
    }
}

/* The j-th of the diagonal of the inverse. */
static double precision(const double *factor, size_t m, size_t j, double *scratch)
{
    memset(scratch, 0, m * sizeof *scratch);
    scratch[j] = 1;
    solve_both(factor, m, scratch);
    return fmax(scratch[j], 1e-9);
}

static void keep(ops_component_pull *list, size_t *n, size_t max, const ops_component_pull *p)
{
    size_t at = *n;
    while (at > 0 && list[at - 1].share < p->share)
        at--;
    if (at >= max)
        return;
    *n += *n < max;
    memmove(list + at + 1, list + at, (*n - at - 1) * sizeof *list);
    list[at] = *p;
}

size_t ops_component_pulls(ops_component *c, ops_component_pull *ret, size_t max)
{
    size_t n = 0, m = c->columns;
    double sum = 0;
    double *work = c->fitted && max > 0 ? ops_calloc(m * m + 2 * m, sizeof *work) : NULL;
    if (work == NULL)
        return 0;
    double *factor = work, *y = work + m * m, *scratch = y + m;
    const double *expected = c->profile + (size_t)ops_component_bin(c, c->last_ns) * m;
    ops_component_factor(c, RIDGE_TOLD, factor);
    for (size_t j = 0; j < m; j++)
        y[j] = (c->row[j] - expected[j]) / c->sd[j];
    solve_both(factor, m, y);
    for (size_t j = 0; j < m; j++) {
        const double p = precision(factor, m, j, scratch), off = y[j] / p * c->sd[j];
        const ops_component_pull pull = {.column = j,
                                         .seen = c->origin[j] + c->row[j],
                                         .expected = c->origin[j] + c->row[j] - off,
                                         .sd = c->sd[j] / sqrt(p),
                                         .share = y[j] * y[j] / p};
        sum += pull.share;
        keep(ret, &n, max, &pull);
    }
    for (size_t i = 0; i < n; i++)
        ret[i].share = sum > 0 ? ret[i].share / sum : 0;
    ops_free(work);
    return n;
}
