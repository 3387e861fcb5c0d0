/* Which series of a service are seen together.
 *
 * The first of each metric's name, then the second of each, the eldest first, so that neither a name with thousands of series
 * nor what came last decides. Only those that have been known for a while, move, and come at about the view's pace. The choice
 * stands until more than half of it is gone for an hour, or until, a day later, there are twice as many to choose from: what
 * comes and goes does not set back what was learnt. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/monitor/together.h"

enum { KNOWN_SAMPLES = 150, THINK_FIRST = 64, THINK_EACH = 32, FRESH_INTERVALS = 5, DROP_IDLE_S = 7200 };
static const int64_t second_ns = INT64_C(1000000000), gone_ns = 3600 * INT64_C(1000000000),
                     more_ns = 86400 * INT64_C(1000000000);
/* Steps of time. */
static const int64_t steps_s[] = {15, 30, 60, 120, 300, 600};

typedef struct choice {
    series *s;
    int64_t interval_ns;
    size_t nth; /* of its metric's name */
} choice;

static ops_slice metric_of(const series *s)
{
    const ops_slice text = series_text(s);
    const ptrdiff_t brace = ops_slice_find_char(text, '{');
    return ops_slice_sub(text, 0, brace >= 0 ? (size_t)brace : text.n);
}

static bool may(const series *s, int64_t now_ns, int64_t *ret_interval_ns)
{
    ops_baseline_stats b;
    if (s->baseline == NULL || s->stale)
        return false;
    ops_baseline_stats_get(s->baseline, &b);
    *ret_interval_ns = b.interval_ns;
    return b.samples >= KNOWN_SAMPLES && b.scale > 0 && b.interval_ns > 0 &&
           b.interval_ns <= steps_s[sizeof steps_s / sizeof *steps_s - 1] * second_ns &&
           now_ns - s->last_ns <= FRESH_INTERVALS * b.interval_ns;
}

static int by_interval(const void *a, const void *b)
{
    const choice *x = a, *y = b;
    return (x->interval_ns > y->interval_ns) - (x->interval_ns < y->interval_ns);
}

static int by_name(const void *a, const void *b)
{
    const choice *x = a, *y = b;
    const int c = ops_slice_cmp(metric_of(x->s), metric_of(y->s));
    return c != 0 ? c : (x->s->id > y->s->id) - (x->s->id < y->s->id);
}

/* What is in the view stays. */
static int by_turn(const void *a, const void *b)
{
    const choice *x = a, *y = b;
    const bool in_x = x->s->column > 0, in_y = y->s->column > 0;
    return in_x != in_y       ? (in_x ? -1 : 1)
           : x->nth != y->nth ? (x->nth > y->nth ? 1 : -1)
                              : (x->s->id > y->s->id) - (x->s->id < y->s->id);
}

/* The view's pace: the median of the intervals, as a step of the ladder. Leaves those that come at it. */
static int64_t keep_pace(choice *all, size_t *n)
{
    size_t kept = 0;
    int64_t step_ns = 0;
    qsort(all, *n, sizeof *all, by_interval);
    for (size_t i = 0; i < sizeof steps_s / sizeof *steps_s && step_ns == 0; i++)
        if (all[*n / 2].interval_ns <= steps_s[i] * second_ns + steps_s[i] * second_ns / 10)
            step_ns = steps_s[i] * second_ns;
    for (size_t i = 0; step_ns > 0 && i < *n; i++)
        if (all[i].interval_ns <= step_ns + step_ns / 4)
            all[kept++] = all[i];
    *n = kept;
    return step_ns;
}

static void in_turn(choice *all, size_t n)
{
    qsort(all, n, sizeof *all, by_name);
    for (size_t i = 0; i < n; i++)
        all[i].nth =
            i > 0 && ops_slice_eq(metric_of(all[i].s), metric_of(all[i - 1].s)) ? all[i - 1].nth + 1 : 0;
    qsort(all, n, sizeof *all, by_turn);
}

/* How many of the columns still come. */
static size_t alive(const view *v, int64_t now_ns)
{
    size_t n = 0;
    for (size_t j = 0; j < v->n; j++)
        n += v->columns[j].of != NULL && now_ns - v->columns[j].of->last_ns <= gone_ns;
    return n;
}

/* The view is as good as another would be. */
static bool stands(const view *v, size_t n, int64_t now_ns)
{
    const size_t live = alive(v, now_ns);
    if (2 * live < v->n)
        return false;
    return live >= VIEW_COLUMNS_MAX || n < 2 * live || now_ns - v->made_ns < more_ns;
}

/* Room for one more view of the tenant: a view none of whose columns come any more makes it. Looked for once a minute. */
static bool room(ops_monitor *m, const group *g, tenant_count *t, int64_t now_ns)
{
    const bool wait = t->views_swept_ns != INT64_MIN && now_ns - t->views_swept_ns < 60 * second_ns;
    if (t->views < m->lim.views_max || wait)
        return t->views < m->lim.views_max;
    t->views_swept_ns = now_ns;
    for (size_t i = 0; t->views >= m->lim.views_max && i < m->groups.n; i++) {
        group *o = m->groups.v[i];
        bool idle = o->view != NULL && o != g && ops_slice_eq(group_tenant(o), group_tenant(g));
        for (size_t j = 0; idle && j < o->view->n; j++)
            idle = o->view->columns[j].of == NULL ||
                   now_ns - o->view->columns[j].of->last_ns > DROP_IDLE_S * second_ns;
        if (idle)
            ops_monitor_view_drop(m, o);
    }
    return t->views < m->lim.views_max;
}

static void build(ops_monitor *m, group *g, const choice *all, size_t n, int64_t step_ns, int64_t now_ns)
{
    tenant_count *t = ops_monitor_tenant(m, group_tenant(g));
    if (t == NULL)
        return;
    ops_monitor_view_drop(m, g);
    if (!room(m, g, t, now_ns)) {
        m->stats.views_full++;
        return;
    }
    view *v = ops_monitor_view_new(n, step_ns, false);
    if (v == NULL)
        return;
    v->made_ns = now_ns;
    for (size_t j = 0; j < n; j++) {
        ops_baseline_stats b;
        ops_baseline_stats_get(all[j].s->baseline, &b);
        v->columns[j].unit = b.scale;
        v->columns[j].of = all[j].s;
        v->columns[j].id = all[j].s->id;
        all[j].s->column = (uint8_t)(j + 1);
    }
    g->view = v;
    ops_monitor_view_counts(m, g, t);
}

static void think(ops_monitor *m, group *g, int64_t now_ns)
{
    size_t n = 0;
    choice *all = ops_calloc(g->series_n, sizeof *all);
    for (series *s = g->first; all != NULL && s != NULL; s = s->next)
        if (may(s, now_ns, &all[n].interval_ns))
            all[n++].s = s;
    const int64_t step_ns = n > 0 ? keep_pace(all, &n) : 0;
    if (g->view != NULL && stands(g->view, n, now_ns))
        n = 0;
    if (n >= VIEW_COLUMNS_MIN) {
        in_turn(all, n);
        build(m, g, all, n < VIEW_COLUMNS_MAX ? n : VIEW_COLUMNS_MAX, step_ns, now_ns);
    }
    ops_free(all);
}

void ops_monitor_choose(ops_monitor *m, group *g, int64_t now_ns)
{
    /* So rarely that it costs a sample no more for how many series there are. */
    if (g->judged < THINK_FIRST + THINK_EACH * (uint64_t)g->series_n)
        return;
    g->judged = 0;
    think(m, g, now_ns);
}
