/* What an operation calls, and how often, is its program's way. When the way changes the program does something else.
 * A changed way flows down (who is called otherwise calls otherwise), failures flow up (who gets no answer stops):
 * so what a caller's change or a callee's failure explains is taken off. */
#include <math.h>

#include "coordinator/analysis/incident/board.h"
#include "coordinator/analysis/incident/traces.h"

enum { SPANS_MIN = 5 };
/* Many pairs are looked at: two standard deviations are chance. */
static const double chance_z = 2;

typedef struct pair {
    uint32_t parent, kid;    /* places in ops */
    uint32_t n[2], spans[2]; /* calls, and spans with at least one */
    uint32_t last;           /* the span counted last */
} pair;

typedef struct work {
    ops_board *d;
    const ops_traces *t;
    ops_map64 *ids;
    OPS_VEC(pair) pairs;
    double *bits, *explained; /* by component */
    size_t *worst;
} work;

static ops_status count(work *w)
{
    const ops_traces *t = w->t;
    for (uint32_t k = 0; k < t->first[t->n]; k++) { /* family by family */
        uint32_t i = t->kids[k];
        uint32_t parent = t->op[t->parent[i]];
        uint64_t key = (uint64_t)parent << 32 | t->op[i];
        uintptr_t id = (uintptr_t)ops_map64_get(w->ids, key);
        if (id == 0) {
            if (!ops_vec_push(&w->pairs,
                              ((pair){.parent = parent, .kid = t->op[i], .last = OPS_TRACES_NONE})))
                return OPS_ENOMEM;
            id = w->pairs.n;
            ops_status st = ops_map64_put(w->ids, key, (void *)id, NULL);
            if (st != OPS_OK)
                return st;
        }
        pair *p = &w->pairs.v[id - 1];
        int after = ops_traces_after(t, t->parent[i]);
        p->n[after]++;
        p->spans[after] += p->last != t->parent[i];
        p->last = t->parent[i];
    }
    return OPS_OK;
}

/* Two shares of spans that make the call at all, in standard deviations of their difference. */
static double presence_z(const pair *p, double n0, double n1)
{
    double all = (p->spans[0] + p->spans[1]) / (n0 + n1);
    double noise = sqrt(fmax(all * (1 - all), 1 / (n0 + n1)) * (1 / n0 + 1 / n1));
    return fabs(p->spans[1] / n1 - p->spans[0] / n0) / noise;
}

/* Calls per span are counts, their noise is that of counts at least; whether there is a call is a share, and where there
 * always was one its noise is small. The clearer of the two speaks. */
static double changed(const pair *p, const ops_trace_op *o)
{
    double n0 = o->spans[0], n1 = o->spans[1];
    if (n0 < SPANS_MIN || n1 < SPANS_MIN)
        return 0;
    double before = p->n[0] / n0, after = p->n[1] / n1, all = (p->n[0] + p->n[1]) / (n0 + n1);
    double z = fabs(after - before) / sqrt(fmax(all, 1 / (n0 + n1)) * (1 / n0 + 1 / n1));
    z = fmax(z, presence_z(p, n0, n1));
    return z > chance_z ? ops_bits(z - chance_z) * fabs(after - before) / fmax(after, before) : 0;
}

static void find_worst(work *w)
{
    for (size_t i = 0; i < w->pairs.n; i++) {
        const pair *p = &w->pairs.v[i];
        const ops_trace_op *o = &w->t->ops.v[p->parent];
        double bits = o->callee == OPS_TRACES_NONE ? changed(p, o) : 0;
        if (bits > w->bits[o->component]) {
            w->bits[o->component] = bits;
            w->worst[o->component] = i;
        }
    }
}

static void explain(work *w)
{
    for (size_t i = 0; i < w->pairs.n; i++) {
        uint32_t up = w->t->ops.v[w->pairs.v[i].parent].component,
                 down = w->t->ops.v[w->pairs.v[i].kid].component;
        if (up == down) {
            uint32_t callee = w->t->ops.v[w->pairs.v[i].kid].callee;
            if (callee == OPS_TRACES_NONE)
                continue;
            down = callee;
        }
        w->explained[down] = fmax(w->explained[down], w->bits[up]);
        w->explained[up] = fmax(w->explained[up], w->d->causes[down].terms[OPS_RANK_ERRORS].bits);
    }
}

static ops_status blame(work *w)
{
    ops_status st = OPS_OK;
    for (uint32_t c = 0; st == OPS_OK && c < w->d->n; c++) {
        double bits = (w->bits[c] - w->explained[c]) * (1 - w->d->explained[c]);
        if (!(bits > 0) || w->pairs.v == NULL)
            continue;
        const pair *p = &w->pairs.v[w->worst[c]];
        const ops_trace_op *o = &w->t->ops.v[p->parent];
        st = ops_board_say(w->d, c, OPS_RANK_CALLS, bits, 0,
                           OPS_SLICE_FMT " calls " OPS_SLICE_FMT " %.3g times, before %.3g",
                           OPS_SLICE_ARG(w->t->op_names[p->parent]), OPS_SLICE_ARG(w->t->op_names[p->kid]),
                           (double)p->n[1] / o->spans[1], (double)p->n[0] / o->spans[0]);
    }
    return st;
}

ops_status ops_judge_calls(ops_board *d, const ops_traces *t)
{
    work w = {.d = d, .t = t};
    w.ids = ops_map64_new();
    w.bits = ops_calloc(2 * d->n + 1, sizeof *w.bits);
    w.worst = ops_calloc(d->n + 1, sizeof *w.worst);
    ops_status st = w.ids != NULL && w.bits != NULL && w.worst != NULL ? count(&w) : OPS_ENOMEM;
    if (st == OPS_OK) {
        w.explained = w.bits + d->n;
        find_worst(&w);
        explain(&w);
        st = blame(&w);
    }
    ops_map64_free(w.ids);
    ops_vec_done(&w.pairs);
    ops_free(w.bits);
    ops_free(w.worst);
    return st;
}
