/* Calls that get no answer, and spans that end otherwise than they used to. What a status means is not known: odd is
 * one that was rare before and is not now. Of a chain of odd spans the deepest counts: failures travel up. */
#include <math.h>

#include "coordinator/analysis/incident/edges.h"
#include "coordinator/analysis/incident/traces.h"

/* A status seen on more than this share of an operation's spans before the fault is none of its making. */
static const double rare_share = 0.05;
/* One hundredth of the calls going wrong is one bit. */
static const double felt_share = 0.01;
static const double calls_half = 5; /* with so few calls the answer counts half */

typedef struct tally {
    uint32_t n[2];
} tally;

typedef struct work {
    ops_board *d;
    const ops_traces *t;
    ops_map64 *ids; /* (operation of a component, status) to place in tallies + 1 */
    OPS_VEC(tally) tallies;
    uint8_t *odd; /* by span: 1 its status is odd, 2 it got no answer */
    ops_edges edges;
    uint32_t *edge_of_op; /* place in edges + 1 */
    /* By component: spans that came in after the fault; failed ones beyond the share of before; those that failed in it. */
    double *entries, *seen, *failed;
    uint32_t *worst_op;
} work;

static uint64_t key_of(const ops_traces *t, uint32_t i)
{
    return (uint64_t)t->op[i] << 32 | t->spans[i].status;
}

static ops_status count(work *w)
{
    for (uint32_t i = 0; i < w->t->n; i++) {
        uint64_t key = key_of(w->t, i);
        uintptr_t id = (uintptr_t)ops_map64_get(w->ids, key);
        if (id == 0) {
            if (!ops_vec_push(&w->tallies, (tally){{0}}))
                return OPS_ENOMEM;
            id = w->tallies.n;
            ops_status st = ops_map64_put(w->ids, key, (void *)id, NULL);
            if (st != OPS_OK)
                return st;
        }
        w->tallies.v[id - 1].n[ops_traces_after(w->t, i)]++;
    }
    return OPS_OK;
}

static bool is_odd(const work *w, uint32_t i)
{
    const ops_trace_op *o = &w->t->ops.v[w->t->op[i]];
    const tally *y = &w->tallies.v[(uintptr_t)ops_map64_get(w->ids, key_of(w->t, i)) - 1];
    if (o->spans[0] == 0 || o->spans[1] == 0)
        return false;
    double before = (double)y->n[0] / o->spans[0], after = (double)y->n[1] / o->spans[1];
    return before < rare_share && after > before;
}

static void mark(work *w)
{
    for (uint32_t i = 0; i < w->t->n; i++) {
        const ops_trace_op *o = &w->t->ops.v[w->t->op[i]];
        if (o->callee != OPS_TRACES_NONE && !o->silent && w->t->first[i] == w->t->first[i + 1])
            w->odd[i] = 2;
        else if (is_odd(w, i))
            w->odd[i] = 1;
    }
}

static bool below_is_odd(const work *w, uint32_t i)
{
    for (uint32_t k = w->t->first[i]; k < w->t->first[i + 1]; k++)
        if (w->odd[w->t->kids[k]] != 0)
            return true;
    return false;
}

/* An operation has one callee: its edge is looked for once. */
static ops_edge *edge_of(work *w, uint32_t op, uint32_t callee)
{
    if (w->edge_of_op[op] == 0) {
        const ops_edge *e = ops_edges_of(&w->edges, w->t->ops.v[op].component, callee);
        if (e == NULL)
            return NULL;
        w->edge_of_op[op] = (uint32_t)(e - w->edges.v) + 1;
    }
    return &w->edges.v[w->edge_of_op[op] - 1];
}

/* Shares before are taken off those after: edges count bad calls with their sign. */
static ops_status attribute(work *w)
{
    const ops_traces *t = w->t;
    for (uint32_t i = 0; i < t->n; i++) {
        const ops_trace_op *o = &t->ops.v[t->op[i]];
        bool after = ops_traces_after(t, i), bad = w->odd[i] != 0 && !below_is_odd(w, i);
        double weight = after ? 1 : -(double)o->spans[1] / (o->spans[0] > 0 ? o->spans[0] : 1);
        bool entry = ops_traces_is_entry(t, i);
        w->entries[o->component] += after && entry;
        w->seen[o->component] += entry && w->odd[i] != 0 ? weight : 0;
        uint32_t callee = o->callee;
        if (callee == OPS_TRACES_NONE && (!bad || t->first[i] == t->first[i + 1]))
            callee =
                o->usual; /* an entry that only passes on: failed without an answer, it is the other's failure */
        if (callee != OPS_TRACES_NONE) {
            ops_edge *e = edge_of(w, t->op[i], callee);
            if (e == NULL)
                return OPS_ENOMEM;
            e->calls += after;
            e->bad += bad ? weight : 0;
            e->op = bad && after ? t->op[i] : e->op;
            e->since_s = bad && after && e->since_s == 0 ? t->spans[i].start_s : e->since_s;
            continue;
        }
        w->failed[o->component] += bad ? weight : 0;
        if (bad && after)
            w->worst_op[o->component] = t->op[i];
    }
    return OPS_OK;
}

static double share_bits(double bad, double all)
{
    if (!(bad > 0) || !(all > 0))
        return 0;
    return ops_bits(fmin(bad / all, 1) / felt_share) * all / (all + calls_half);
}

/* Of the failed requests of a component, those that came up from below. */
static void explain(work *w)
{
    for (uint32_t c = 0; c < w->d->n; c++) {
        double own = fmax(w->failed[c], 0), all = w->seen[c];
        for (size_t i = 0; i < w->edges.n; i++)
            if (w->edges.v[i].caller == c && w->edges.v[i].bad > 0)
                own += (1 - ops_edges_callee_share(&w->edges, &w->edges.v[i])) * w->edges.v[i].bad;
        if (all > own)
            w->d->explained[c] =
                fmax(w->d->explained[c], (1 - own / all) * (1 - exp2(-share_bits(all, w->entries[c]))));
    }
}

static ops_status blame(work *w)
{
    for (size_t i = 0; i < w->edges.n; i++) {
        ops_edge *e = &w->edges.v[i];
        e->bits = share_bits(e->bad, e->calls);
        e->to = e->calls > 0 ? fmin(e->bad / e->calls, 1) : 0;
    }
    explain(w);
    ops_status st =
        ops_edges_blame(w->d, &w->edges, OPS_RANK_ERRORS, w->t->op_names, "fail at a rate of", " %", 100);
    for (uint32_t c = 0; st == OPS_OK && c < w->d->n; c++)
        st = ops_board_say(w->d, c, OPS_RANK_ERRORS, share_bits(w->failed[c], w->entries[c]), 0,
                           "%.3g %% more of its requests fail in it (" OPS_SLICE_FMT ")",
                           100 * fmin(w->failed[c] / fmax(w->entries[c], 1), 1),
                           OPS_SLICE_ARG(w->t->op_names[w->worst_op[c]]));
    return st;
}

ops_status ops_judge_answers(ops_board *d, const ops_traces *t)
{
    work w = {.d = d, .t = t};
    w.ids = ops_map64_new();
    w.odd = ops_calloc(t->n + 1, 1);
    w.entries = ops_calloc(3 * d->n + 1, sizeof *w.entries);
    w.worst_op = ops_calloc(d->n + 1, sizeof *w.worst_op);
    w.edge_of_op = ops_calloc(t->ops.n + 1, sizeof *w.edge_of_op);
    ops_status st =
        w.ids != NULL && w.odd != NULL && w.entries != NULL && w.worst_op != NULL && w.edge_of_op != NULL
            ? OPS_OK
            : OPS_ENOMEM;
    if (st == OPS_OK) {
        w.seen = w.entries + d->n;
        w.failed = w.seen + d->n;
        st = count(&w);
    }
    if (st == OPS_OK) {
        mark(&w);
        st = attribute(&w);
    }
    if (st == OPS_OK)
        st = blame(&w);
    ops_map64_free(w.ids);
    ops_vec_done(&w.tallies);
    ops_free(w.odd);
    ops_vec_done(&w.edges);
    ops_free(w.entries);
    ops_free(w.worst_op);
    ops_free(w.edge_of_op);
    return st;
}
