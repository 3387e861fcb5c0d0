#include "coordinator/analysis/sequence/tail.h"

#include <math.h>
#include <stdlib.h>

enum { TAIL_ONE_IN = 20, TAIL_LEAST = 5 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

void seq_tail_fit(seq_tail *t, double *x, size_t n)
{
    qsort(x, n, sizeof *x, ascending);
    size_t top = n / TAIL_ONE_IN > TAIL_LEAST ? n / TAIL_ONE_IN : TAIL_LEAST;
    *t = (seq_tail){.x = x, .n = n, .from = x[n > top ? n - top : 0]};
    for (size_t i = n > top ? n - top : 0; i < n; i++)
        if (x[i] > t->from) {
            t->sum += x[i] - t->from;
            t->above++;
        }
}

static double beyond(double n, double above, double sum, double excess)
{
    double mean = (sum + 1) / (above + 1);
    return -log10((above + 0.5) / (n + 1)) + excess / (mean * log(10));
}

/* Values that reach v. */
static double reach(const seq_tail *t, double v)
{
    size_t lo = 0, hi = t->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (t->x[mid] < v)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (double)(t->n - lo);
}

double seq_tail_level(const seq_tail *t, double v)
{
    double n = (double)t->n;
    if (v > t->from)
        return beyond(n, t->above, t->sum, v - t->from);
    double k = reach(t, v);
    return k >= n ? 0 : -log10((k + 0.5) / (n + 1));
}

double seq_tail_level_held_out(const seq_tail *t, double v)
{
    double n = (double)t->n - 1;
    if (v > t->from)
        return beyond(n, t->above - 1, t->sum - (v - t->from), v - t->from);
    double k = reach(t, v) - 1;
    return k >= n ? 0 : -log10((k + 0.5) / (n + 1));
}

double seq_tail_threshold(double *x, size_t n, double share)
{
    qsort(x, n, sizeof *x, ascending);
    size_t rank = (size_t)floor(share * ((double)n + 1));
    if (rank < 1)
        rank = 1;
    return x[n - (rank < n ? rank : n)];
}
