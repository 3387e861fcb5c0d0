#include "coordinator/analysis/incident/incidents.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "coordinator/analysis/incident/alarms.h"

/* Seven units of noise for half a minute are an alarm; a minute without one ends a candidate. */
static const double alarm_bits = 3, calm_s = 60;
/* What is seen in the first two minutes names the cause: later, repairs are seen as well. */
static const double look_s = 120;
/* A cause below this many bits is what quiet systems show too. */
static const double clear_bits = 4;
static const double critical_share = 0.2, error_share = 0.01;
enum { INCIDENTS_MAX = 256, RUNS_MAX = 4, SUMMARY_BYTES_MAX = 1024 };

typedef struct found {
    ops_incident said;
    ops_rank *rank;
    ops_bundle *view;
    uint32_t *affected;
    size_t from, to; /* stretches */
} found;

struct ops_incidents {
    const ops_bundle *b;
    ops_arena text;
    OPS_VEC(found) all;
};

static double worst_at(const ops_alarms *a, size_t i)
{
    double worst = 0;
    for (size_t c = 0; c < a->b->components.list.n; c++)
        worst = fmax(worst, a->bits[c * a->n + i]);
    return worst;
}

static ops_status find_candidates(ops_incidents *l, const ops_alarms *a)
{
    size_t calm = (size_t)ceil(calm_s / a->width_s);
    for (size_t i = 0; i < a->n; i++) {
        if (worst_at(a, i) < alarm_bits)
            continue;
        if (l->all.n > 0 && i - l->all.v[l->all.n - 1].to <= calm) {
            l->all.v[l->all.n - 1].to = i;
            continue;
        }
        if (l->all.n == INCIDENTS_MAX)
            return OPS_OK; /* what never ends is not many incidents */
        if (!ops_vec_push(&l->all, ((found){.from = i, .to = i})))
            return OPS_ENOMEM;
    }
    return OPS_OK;
}

static bool in_other(const ops_incidents *l, const ops_alarms *a, size_t but, double time_s)
{
    size_t at = ops_alarms_place(a, time_s);
    for (size_t i = 0; i < but; i++)
        if (at >= l->all.v[i].from && at <= l->all.v[i].to)
            return true;
    return false;
}

/* The rows up to `to_s` that belong to no earlier candidate, under the names of the whole. */
static ops_status view_of(ops_incidents *l, const ops_alarms *a, size_t which, double to_s, ops_bundle **ret)
{
    const ops_bundle *b = l->b;
    OPS_AUTO(ops_bundle_free) ops_bundle *v = ops_calloc(1, sizeof *v);
    if (v == NULL)
        return OPS_ENOMEM;
    v->lim = b->lim;
    ops_arena_init(&v->text, 0);
    v->sealed = true;
    for (size_t i = 0; i < b->components.list.n; i++)
        if (!ops_vec_push(&v->components.list, b->components.list.v[i]))
            return OPS_ENOMEM;
    for (size_t i = 0; i < b->names.list.n; i++)
        if (!ops_vec_push(&v->names.list, b->names.list.v[i]))
            return OPS_ENOMEM;
    v->stats.first_s = HUGE_VAL;
    for (size_t i = 0; i < b->samples.n; i++) {
        ops_sample s = b->samples.v[i];
        if (s.time_s >= to_s || in_other(l, a, which, s.time_s))
            continue;
        if (!ops_vec_push(&v->samples, s))
            return OPS_ENOMEM;
        v->stats.first_s = fmin(v->stats.first_s, s.time_s);
        v->stats.last_s = fmax(v->stats.last_s, s.time_s);
    }
    for (size_t i = 0; i < b->lines.n; i++)
        if (b->lines.v[i].time_s < to_s && !in_other(l, a, which, b->lines.v[i].time_s) &&
            !ops_vec_push(&v->lines, b->lines.v[i]))
            return OPS_ENOMEM;
    for (size_t i = 0; i < b->spans.n; i++)
        if (b->spans.v[i].start_s < to_s && !in_other(l, a, which, b->spans.v[i].start_s) &&
            !ops_vec_push(&v->spans, b->spans.v[i]))
            return OPS_ENOMEM;
    *ret = OPS_STEAL(v);
    return OPS_OK;
}

static const char *severity_of(const ops_alarms *a, const found *f)
{
    double share = 0;
    for (size_t c = 0; c < a->b->components.list.n; c++)
        for (size_t i = f->from; i <= f->to; i++)
            share = fmax(share, a->failed[c * a->n + i]);
    return share >= critical_share ? "critical" : share >= error_share ? "error" : "warning";
}

static ops_status list_affected(found *f, const ops_alarms *a)
{
    size_t n = a->b->components.list.n;
    f->affected = ops_calloc(n + 1, sizeof *f->affected);
    if (f->affected == NULL)
        return OPS_ENOMEM;
    for (uint32_t c = 0; c < n; c++) {
        double worst = 0;
        for (size_t i = f->from; i <= f->to; i++)
            worst = fmax(worst, a->bits[c * a->n + i]);
        if (worst >= alarm_bits)
            f->affected[f->said.affected_count++] = c;
    }
    f->said.affected = f->affected;
    return OPS_OK;
}

static ops_status describe(ops_incidents *l, found *f, const ops_alarms *a)
{
    char text[SUMMARY_BYTES_MAX];
    const ops_rank_cause *first = ops_rank_at(f->rank, 0);
    f->said.end_s = f->to + 1 < a->n ? a->first_s + (double)(f->to + 1) * a->width_s : 0;
    f->said.severity = severity_of(a, f);
    f->said.causes = f->rank;
    ops_status st = list_affected(f, a);
    if (st != OPS_OK)
        return st;
    (void)snprintf(text, sizeof text,
                   "%zu of %zu components are off, most likely because of " OPS_SLICE_FMT ": " OPS_SLICE_FMT,
                   f->said.affected_count, l->b->components.list.n, OPS_SLICE_ARG(first->component),
                   OPS_SLICE_ARG(first->reason));
    f->said.summary = ops_arena_dup(&l->text, ops_slice_str(text));
    return f->said.summary.p != NULL ? OPS_OK : OPS_ENOMEM;
}

static void forget(found *f)
{
    ops_rank_free(f->rank);
    ops_bundle_free(f->view);
    ops_free(f->affected);
    *f = (found){.from = f->from, .to = f->to};
}

/* Ranks from the start of stretch `at` on, and keeps what is clearer than what was kept. */
static ops_status try_start(ops_incidents *l, const ops_alarms *a, size_t which, size_t at)
{
    found *f = &l->all.v[which];
    double start_s = a->first_s + (double)at * a->width_s;
    OPS_AUTO(ops_bundle_free) ops_bundle *view = NULL;
    OPS_AUTO(ops_rank_free) ops_rank *rank = NULL;
    ops_status st = view_of(l, a, which, start_s + look_s, &view);
    if (st == OPS_OK)
        st = ops_rank_new(view, start_s, &rank, NULL);
    if (st != OPS_OK || ops_rank_at(rank, 0)->score < clear_bits ||
        (f->rank != NULL && ops_rank_at(rank, 0)->score <= ops_rank_at(f->rank, 0)->score))
        return st;
    ops_rank_free(f->rank);
    ops_bundle_free(f->view);
    f->rank = OPS_STEAL(rank);
    f->view = OPS_STEAL(view);
    f->said.start_s = start_s;
    return OPS_OK;
}

/* Ranks each candidate. A weak sign may come before the rest and be chance: each run of alarms may be its start, the one
 * whose cause is clearest is. Those of no clear cause keep their place, without a rank, until all are done. */
static ops_status confirm(ops_incidents *l, const ops_alarms *a)
{
    for (size_t i = 0; i < l->all.n; i++) {
        found *f = &l->all.v[i];
        ops_status st = OPS_OK;
        size_t runs = 0;
        for (size_t k = f->from; st == OPS_OK && k <= f->to && runs < RUNS_MAX; k++)
            if (worst_at(a, k) >= alarm_bits && (k == f->from || worst_at(a, k - 1) < alarm_bits)) {
                runs++;
                st = try_start(l, a, i, k);
            }
        if (st == OPS_OK && f->rank != NULL)
            st = describe(l, f, a);
        if (st != OPS_OK)
            return st;
    }
    size_t kept = 0;
    for (size_t i = 0; i < l->all.n; i++)
        if (l->all.v[i].rank != NULL)
            l->all.v[kept++] = l->all.v[i];
    l->all.n = kept;
    return OPS_OK;
}

ops_status ops_incidents_new(const ops_bundle *b, ops_incidents **ret, ops_err *reterr)
{
    if (!b->sealed)
        return ops_fail(reterr, OPS_EINVAL, "finding incidents: the bundle is not sealed");
    OPS_AUTO(ops_incidents_free) ops_incidents *l = ops_calloc(1, sizeof *l);
    if (l == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "finding incidents");
    l->b = b;
    ops_arena_init(&l->text, (size_t)1 << 20);
    ops_alarms a;
    ops_status st = ops_alarms_init(&a, b);
    if (st == OPS_OK && b->components.list.n > 0)
        st = find_candidates(l, &a);
    if (st == OPS_OK)
        st = confirm(l, &a);
    ops_alarms_done(&a);
    if (st != OPS_OK)
        return ops_fail(reterr, st, "finding incidents");
    *ret = OPS_STEAL(l);
    return OPS_OK;
}

void ops_incidents_free(ops_incidents *l)
{
    if (l == NULL)
        return;
    for (size_t i = 0; i < l->all.n; i++)
        forget(&l->all.v[i]);
    ops_vec_done(&l->all);
    ops_arena_done(&l->text);
    ops_free(l);
}

size_t ops_incidents_count(const ops_incidents *l)
{
    return l->all.n;
}

const ops_incident *ops_incidents_at(const ops_incidents *l, size_t i)
{
    return &l->all.v[i].said;
}

ops_slice ops_incidents_component(const ops_incidents *l, uint32_t id)
{
    return ops_bundle_component(l->b, id);
}
