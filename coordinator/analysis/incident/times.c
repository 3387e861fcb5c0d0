/* Where time is added: inside an operation, or between the two ends of a call. */
#include <math.h>
#include <stdlib.h>

#include "coordinator/analysis/incident/edges.h"
#include "coordinator/analysis/incident/stats.h"
#include "coordinator/analysis/incident/traces.h"

/* With fewer spans a mean says nothing; with this many more it counts half. */
enum { SPANS_MIN = 5 };
static const double spans_half = 5;
/* Without a baseline of their own, calls are compared with other calls; that is worth half. */
static const double across_weight = 0.5;

typedef struct seen {
    uint32_t op;
    uint8_t part, after;
    double value;
} seen;

/* What of a span is looked at. */
enum {
    PART_OWN,
    PART_GAP /* of a call, between its two ends */,
    PART_WHOLE /* of what came in from outside */
};

typedef struct group {
    uint32_t op;
    uint8_t part;
    size_t n[2];
    double mean[2], bits;
} group;

typedef struct work {
    ops_board *d;
    const ops_traces *t;
    OPS_VEC(seen) seen;
    OPS_VEC(group) groups;
    ops_edges edges;
    double *values;
    double *own_s, *whole_s,
        *bits; /* by component: seconds added by itself and at all, and the bits of the latter */
} work;

static ops_status gather(work *w)
{
    const ops_traces *t = w->t;
    for (uint32_t i = 0; i < t->n; i++) {
        const ops_trace_op *o = &t->ops.v[t->op[i]];
        seen s = {.op = t->op[i], .after = (uint8_t)ops_traces_after(t, i), .part = PART_WHOLE};
        s.value = t->spans[i].duration_s;
        if (ops_traces_is_entry(t, i) && !ops_vec_push(&w->seen, s))
            return OPS_ENOMEM;
        s.part = o->callee != OPS_TRACES_NONE ? PART_GAP : PART_OWN;
        s.value = ops_traces_self_s(t, i);
        if (s.part == PART_GAP && !o->silent && ops_traces_far_end(t, i) == OPS_TRACES_NONE)
            continue; /* not answered: judged elsewhere */
        if (!ops_vec_push(&w->seen, s))
            return OPS_ENOMEM;
    }
    return OPS_OK;
}

static int by_group(const void *pa, const void *pb)
{
    const seen *a = pa, *b = pb;
    if (a->op != b->op)
        return a->op < b->op ? -1 : 1;
    if (a->part != b->part)
        return a->part < b->part ? -1 : 1;
    if (a->after != b->after)
        return a->after < b->after ? -1 : 1;
    return (a->value > b->value) - (a->value < b->value);
}

/* Bits of a change of mean, quieter where there were few spans. */
static double change(const work *w, double from, double to, size_t n)
{
    double floor = w->t->scale_s, bits = log2((to + floor) / (from + floor));
    return bits > 0 ? bits * (double)n / ((double)n + spans_half) : 0;
}

static ops_status form_groups(work *w)
{
    if (w->seen.n > 0)
        qsort(w->seen.v, w->seen.n, sizeof *w->seen.v, by_group);
    w->values = ops_calloc(w->seen.n + 1, sizeof *w->values);
    if (w->values == NULL)
        return OPS_ENOMEM;
    for (size_t i = 0; i < w->seen.n;) {
        group g = {.op = w->seen.v[i].op, .part = w->seen.v[i].part};
        for (int after = 0; after < 2; after++) {
            size_t n = 0;
            for (; i < w->seen.n && w->seen.v[i].op == g.op && w->seen.v[i].part == g.part &&
                   w->seen.v[i].after == after;
                 i++)
                w->values[n++] = w->seen.v[i].value;
            g.n[after] = n;
            g.mean[after] = ops_stats_trimmed_mean(w->values, n);
        }
        if (g.n[0] >= SPANS_MIN && g.n[1] >= SPANS_MIN)
            g.bits = change(w, g.mean[0], g.mean[1], g.n[0] < g.n[1] ? g.n[0] : g.n[1]);
        if (!ops_vec_push(&w->groups, g))
            return OPS_ENOMEM;
    }
    return OPS_OK;
}

/* The middle gap of all calls after the fault: what a call costs here. */
static double usual_gap(work *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->groups.n; i++)
        if (w->groups.v[i].part == PART_GAP && w->groups.v[i].n[1] >= SPANS_MIN)
            w->values[n++] = w->groups.v[i].mean[1];
    ops_stats_sort(w->values, n);
    return ops_stats_quantile(w->values, n, 0.5);
}

static ops_status form_edges(work *w)
{
    double usual = usual_gap(w);
    for (size_t i = 0; i < w->groups.n; i++) {
        group *g = &w->groups.v[i];
        const ops_trace_op *o = &w->t->ops.v[g->op];
        if (g->part != PART_GAP)
            continue;
        ops_edge *e = ops_edges_of(&w->edges, o->component, o->callee);
        if (e == NULL)
            return OPS_ENOMEM;
        double from = g->mean[0];
        if (g->n[0] < SPANS_MIN && g->n[1] >= SPANS_MIN) {
            from = usual;
            g->bits = across_weight * change(w, usual, g->mean[1], g->n[1]);
        }
        e->bad += g->mean[1] > from ? (g->mean[1] - from) * (double)g->n[1] : 0;
        if (g->bits > e->bits) {
            e->bits = g->bits;
            e->op = g->op;
            e->from = from;
            e->to = g->mean[1];
        }
    }
    return OPS_OK;
}

static ops_status blame_edges(work *w)
{
    for (size_t i = 0; i < w->edges.n; i++) {
        const ops_edge *e = &w->edges.v[i];
        w->own_s[e->caller] += (1 - ops_edges_callee_share(&w->edges, e)) * e->bad;
    }
    return ops_edges_blame(w->d, &w->edges, OPS_RANK_WIRE, w->t->op_names, "wait", " ms", 1e3);
}

static ops_status blame_own(work *w)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < w->groups.n; i++) {
        const group *g = &w->groups.v[i];
        const ops_trace_op *o = &w->t->ops.v[g->op];
        bool slower = g->n[0] >= SPANS_MIN && g->mean[1] > g->mean[0];
        double added_s = slower ? (g->mean[1] - g->mean[0]) * (double)g->n[1] : 0;
        if (g->part == PART_WHOLE) {
            w->whole_s[o->component] += added_s;
            w->bits[o->component] = fmax(w->bits[o->component], g->bits);
        }
        if (g->part != PART_OWN)
            continue;
        w->own_s[o->component] += added_s;
        double have = w->d->causes[o->component].terms[OPS_RANK_OWN_TIME].bits;
        if (g->bits <= have)
            continue;
        ops_slice op = ops_bundle_name(w->d->b, o->operation);
        w->d->causes[o->component].terms[OPS_RANK_OWN_TIME].bits =
            0; /* the slowest operation stands for it */
        st = ops_board_say(w->d, o->component, OPS_RANK_OWN_TIME, g->bits, 0,
                           "its own part of " OPS_SLICE_FMT " takes %.3g ms, before %.3g ms",
                           OPS_SLICE_ARG(op), g->mean[1] * 1e3, g->mean[0] * 1e3);
    }
    return st;
}

/* A component is explained by its callees as far as its requests got slower and it did not add that time itself. */
ops_status ops_judge_times(ops_board *d, const ops_traces *t)
{
    work w = {.d = d, .t = t};
    w.own_s = ops_calloc(3 * d->n + 1, sizeof *w.own_s);
    ops_status st = w.own_s != NULL ? gather(&w) : OPS_ENOMEM;
    if (st == OPS_OK) {
        w.whole_s = w.own_s + d->n;
        w.bits = w.whole_s + d->n;
        st = form_groups(&w);
    }
    if (st == OPS_OK)
        st = form_edges(&w);
    if (st == OPS_OK)
        st = blame_own(&w);
    if (st == OPS_OK)
        st = blame_edges(&w);
    for (size_t i = 0; st == OPS_OK && i < d->n; i++)
        if (w.whole_s[i] > w.own_s[i])
            d->explained[i] = (1 - w.own_s[i] / w.whole_s[i]) * (1 - exp2(-w.bits[i]));
    ops_free(w.own_s);
    ops_free(w.values);
    ops_vec_done(&w.seen);
    ops_vec_done(&w.groups);
    ops_vec_done(&w.edges);
    return st;
}
