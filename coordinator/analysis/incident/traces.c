#include "coordinator/analysis/incident/traces.h"

#include <string.h>

#include "coordinator/analysis/incident/names.h"
#include "coordinator/analysis/incident/stats.h"

static const double felt_share = 0.02;

void ops_traces_done(ops_traces *t)
{
    ops_free(t->parent);
    ops_free(t->op);
    ops_free(t->first);
    ops_free(t->kids);
    ops_free(t->op_names);
    ops_vec_done(&t->ops);
}

static ops_status find_parents(ops_traces *t)
{
    OPS_AUTO(ops_map64_free) ops_map64 *by_id = ops_map64_new();
    ops_status st = by_id != NULL ? OPS_OK : OPS_ENOMEM;
    for (size_t i = 0; st == OPS_OK && i < t->n; i++)
        if (!ops_map64_has(by_id, t->spans[i].id))
            st = ops_map64_put(by_id, t->spans[i].id, (void *)(uintptr_t)(i + 1), NULL);
    for (size_t i = 0; st == OPS_OK && i < t->n; i++) {
        const ops_span *s = &t->spans[i];
        uintptr_t p = s->parent != OPS_SPAN_ROOT ? (uintptr_t)ops_map64_get(by_id, s->parent) : 0;
        t->parent[i] = p != 0 && p - 1 != i ? (uint32_t)(p - 1) : OPS_TRACES_NONE;
    }
    return st;
}

/* Children side by side, each family in order of start (the spans are). */
static void group_kids(ops_traces *t)
{
    uint32_t all = 0;
    for (size_t i = 0; i < t->n; i++)
        if (t->parent[i] != OPS_TRACES_NONE) {
            t->first[t->parent[i] + 1]++;
            all++;
        }
    for (size_t i = 0; i < t->n; i++)
        t->first[i + 1] += t->first[i];
    for (size_t i = t->n; i-- > 0;)
        if (t->parent[i] != OPS_TRACES_NONE)
            t->kids[--t->first[t->parent[i] + 1]] = (uint32_t)i;
    /* Filled from behind, each start has moved one place to the left. */
    for (size_t i = 0; i < t->n; i++)
        t->first[i] = t->first[i + 1];
    t->first[t->n] = all;
}

static ops_status name_ops(ops_traces *t)
{
    OPS_AUTO(ops_map64_free) ops_map64 *ids = ops_map64_new();
    if (ids == NULL)
        return OPS_ENOMEM;
    for (uint32_t i = 0; i < t->n; i++) {
        const ops_span *s = &t->spans[i];
        uint64_t key = (uint64_t)s->component << 32 | s->operation;
        uintptr_t have = (uintptr_t)ops_map64_get(ids, key);
        if (have == 0) {
            ops_trace_op o = {.component = s->component,
                              .operation = s->operation,
                              .callee = OPS_TRACES_NONE,
                              .usual = OPS_TRACES_NONE};
            if (!ops_vec_push(&t->ops, o))
                return OPS_ENOMEM;
            have = t->ops.n;
            ops_status st = ops_map64_put(ids, key, (void *)have, NULL);
            if (st != OPS_OK)
                return st;
        }
        t->op[i] = (uint32_t)(have - 1);
        ops_trace_op *o = &t->ops.v[have - 1];
        o->spans[ops_traces_after(t, i)]++;
        o->alone[ops_traces_after(t, i)] += t->first[i] == t->first[i + 1];
    }
    return OPS_OK;
}

uint32_t ops_traces_far_end(const ops_traces *t, uint32_t i)
{
    uint32_t n = t->first[i + 1] - t->first[i];
    uint32_t kid = n == 1 ? t->kids[t->first[i]] : OPS_TRACES_NONE;
    return kid != OPS_TRACES_NONE && t->spans[kid].component != t->spans[i].component ? kid : OPS_TRACES_NONE;
}

bool ops_traces_is_entry(const ops_traces *t, uint32_t i)
{
    return t->parent[i] == OPS_TRACES_NONE || t->spans[t->parent[i]].component != t->spans[i].component;
}

/* Whom an operation calls: the majority of its far ends (Boyer and Moore's vote, then counted). What is entered from
 * outside is work and no call, even where it does nothing but ask another. */
static ops_status learn_callees(ops_traces *t, const ops_bundle *b)
{
    t->op_names = ops_calloc(t->ops.n + 1, sizeof *t->op_names);
    if (t->op_names == NULL)
        return OPS_ENOMEM;
    uint32_t *votes = ops_calloc(2 * t->ops.n + 1, sizeof *votes);
    if (votes == NULL)
        return OPS_ENOMEM;
    uint32_t *count = votes + t->ops.n;
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t far = ops_traces_far_end(t, i), k = t->op[i];
        if (far == OPS_TRACES_NONE)
            continue;
        ops_trace_op *o = &t->ops.v[k];
        if (votes[k] == 0)
            o->callee = t->spans[far].component;
        votes[k] += o->callee == t->spans[far].component ? 1 : -1;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t far = ops_traces_far_end(t, i);
        count[t->op[i]] += far != OPS_TRACES_NONE && t->ops.v[t->op[i]].callee == t->spans[far].component;
        t->ops.v[t->op[i]].entries += ops_traces_is_entry(t, i);
    }
    for (size_t k = 0; k < t->ops.n; k++) {
        ops_trace_op *o = &t->ops.v[k];
        t->op_names[k] = ops_bundle_name(b, o->operation);
        uint32_t all = o->spans[0] + o->spans[1], alone = o->alone[0] + o->alone[1];
        if (2 * count[k] > all - alone)
            o->usual = o->callee;
        if (2 * o->entries > all) {
            o->callee = OPS_TRACES_NONE;
        } else if (alone == all) {
            o->callee = b->components.list.n <= OPS_NAMED_COMPONENTS_MAX
                            ? ops_name_find(b, ops_bundle_name(b, o->operation), o->component)
                            : OPS_NAMED_NONE;
            o->silent = o->callee != OPS_TRACES_NONE;
        } else if (2 * (count[k] + alone) <= all || 10 * count[k] < all) {
            o->callee = OPS_TRACES_NONE;
        }
    }
    ops_free(votes);
    return OPS_OK;
}

static ops_status find_scale(ops_traces *t)
{
    double *v = ops_calloc(t->n + 1, sizeof *v);
    size_t n = 0;
    if (v == NULL)
        return OPS_ENOMEM;
    for (size_t i = 0; i < t->n; i++)
        if (t->parent[i] == OPS_TRACES_NONE)
            v[n++] = t->spans[i].duration_s;
    ops_stats_sort(v, n);
    t->scale_s = felt_share * ops_stats_quantile(v, n, 0.5);
    t->scale_s = t->scale_s > 1e-6 ? t->scale_s : 1e-6;
    ops_free(v);
    return OPS_OK;
}

ops_status ops_traces_init(ops_traces *t, const ops_bundle *b, double at_s)
{
    memset(t, 0, sizeof *t);
    t->spans = b->spans.v;
    t->n = b->spans.n;
    t->at_s = at_s;
    t->parent = ops_calloc(t->n + 1, sizeof *t->parent);
    t->op = ops_calloc(t->n + 1, sizeof *t->op);
    t->first = ops_calloc(t->n + 2, sizeof *t->first);
    t->kids = ops_calloc(t->n + 1, sizeof *t->kids);
    ops_status st =
        t->parent != NULL && t->op != NULL && t->first != NULL && t->kids != NULL ? OPS_OK : OPS_ENOMEM;
    if (st == OPS_OK)
        st = find_parents(t);
    if (st == OPS_OK) {
        group_kids(t);
        st = name_ops(t);
    }
    if (st == OPS_OK)
        st = learn_callees(t, b);
    return st == OPS_OK ? find_scale(t) : st;
}

double ops_traces_self_s(const ops_traces *t, uint32_t i)
{
    double end = t->spans[i].start_s, fin = end + t->spans[i].duration_s, covered = 0;
    for (uint32_t k = t->first[i]; k < t->first[i + 1]; k++) {
        const ops_span *kid = &t->spans[t->kids[k]];
        double from = kid->start_s > end ? kid->start_s : end, to = kid->start_s + kid->duration_s;
        to = to < fin ? to : fin;
        if (to > from) {
            covered += to - from;
            end = to;
        }
    }
    return t->spans[i].duration_s - covered > 0 ? t->spans[i].duration_s - covered : 0;
}
