#include "coordinator/analysis/incident/edges.h"

#include <stdlib.h>

static const double prior_callee = 1, prior_caller = 0.5;

ops_edge *ops_edges_of(ops_edges *l, uint32_t caller, uint32_t callee)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].caller == caller && l->v[i].callee == callee)
            return &l->v[i];
    ops_edge e = {.caller = caller, .callee = callee};
    return ops_vec_push(l, e) ? &l->v[l->n - 1] : NULL;
}

/* How bad the other edges of one end are on the whole. A fine one clears it only where it plays the same part: who can
 * not be reached may still have reached others. */
static double elsewhere(const ops_edges *l, const ops_edge *e, bool of_callee, double prior)
{
    uint32_t end = of_callee ? e->callee : e->caller;
    double sum = prior, n = 1;
    for (size_t i = 0; i < l->n; i++) {
        const ops_edge *o = &l->v[i];
        bool same = (of_callee ? o->callee : o->caller) == end,
             other = (of_callee ? o->caller : o->callee) == end;
        if (o == e || (!same && !(other && o->bits > 0)))
            continue;
        sum += o->bits;
        n++;
    }
    return sum / n;
}

double ops_edges_callee_share(const ops_edges *l, const ops_edge *e)
{
    double callee = elsewhere(l, e, true, prior_callee), caller = elsewhere(l, e, false, prior_caller);
    return callee / (callee + caller);
}

typedef struct blame {
    uint32_t component;
    const ops_edge *edge;
    double bits;
} blame;

static int by_blame(const void *pa, const void *pb)
{
    const blame *a = pa, *b = pb;
    if (a->component != b->component)
        return a->component < b->component ? -1 : 1;
    if (a->bits != b->bits)
        return a->bits > b->bits ? -1 : 1;
    return a->edge < b->edge ? -1 : a->edge > b->edge;
}

static ops_status say(ops_board *d, const blame *m, double bits, ops_rank_kind kind,
                      const ops_slice *op_names, const char *what, const char *unit, double scale)
{
    const ops_edge *e = m->edge;
    bool callee = m->component == e->callee;
    ops_slice other = ops_bundle_component(d->b, callee ? e->caller : e->callee);
    return ops_board_say(d, m->component, kind, bits, e->since_s,
                         "%s" OPS_SLICE_FMT " (" OPS_SLICE_FMT ") %s %.3g%s, before %.3g%s",
                         callee ? "calls to it from " : "its calls to ", OPS_SLICE_ARG(other),
                         OPS_SLICE_ARG(op_names[e->op]), what, e->to * scale, unit, e->from * scale, unit);
}

ops_status ops_edges_blame(ops_board *d, ops_edges *l, ops_rank_kind kind, const ops_slice *op_names,
                           const char *what, const char *unit, double scale)
{
    blame *v = ops_calloc(2 * l->n + 1, sizeof *v);
    if (v == NULL)
        return OPS_ENOMEM;
    for (size_t i = 0; i < l->n; i++) {
        const ops_edge *e = &l->v[i];
        double share = ops_edges_callee_share(l, e);
        v[2 * i] = (blame){e->callee, e, share * e->bits};
        v[2 * i + 1] = (blame){e->caller, e, (1 - share) * e->bits};
    }
    qsort(v, 2 * l->n, sizeof *v, by_blame);
    ops_status st = OPS_OK;
    double weight = 1;
    for (size_t i = 0; st == OPS_OK && i < 2 * l->n; i++) {
        weight = i > 0 && v[i].component == v[i - 1].component ? weight / 2 : 1;
        st = say(d, &v[i], weight * v[i].bits, kind, op_names, what, unit, scale);
    }
    ops_free(v);
    return st;
}
