#include "worker/grammar/grammar.h"

#include <stdlib.h>

#include "base/mem/alloc.h"
#include "worker/grammar/build_internal.h"

void ops_grammar_free(ops_grammar *g)
{
    if (g == NULL)
        return;
    ops_vec_done(&g->states);
    ops_vec_done(&g->edges);
    ops_vec_done(&g->calls);
    ops_vec_done(&g->starts);
    ops_free(g);
}

size_t ops_grammar_states(const ops_grammar *g)
{
    return g->states.n;
}

size_t ops_grammar_bytes(const ops_grammar *g)
{
    return sizeof *g + g->states.cap * sizeof *g->states.v + g->edges.cap * sizeof *g->edges.v +
           g->calls.cap * sizeof *g->calls.v + g->starts.cap * sizeof *g->starts.v;
}

/* --- rules written state by state --- */

uint32_t ops_gb_rule(ops_gb *b)
{
    if (b->g->starts.n >= OPS_GRAMMAR_RULES_MAX)
        ops_gb_full(b, "rules", OPS_GRAMMAR_RULES_MAX);
    else if (ops_gb_ok(b) && !ops_vec_push(&b->g->starts, UINT32_MAX))
        b->st = OPS_ENOMEM;
    return ops_gb_ok(b) ? (uint32_t)b->g->starts.n - 1 : 0;
}

uint32_t ops_gb_state(ops_gb *b)
{
    ops_grammar *g = b->g;
    const ops_gr_state s = {.edge_at = (uint32_t)g->edges.n, .call_at = (uint32_t)g->calls.n};
    if (g->states.n >= OPS_GRAMMAR_STATES_MAX)
        ops_gb_full(b, "states", OPS_GRAMMAR_STATES_MAX);
    else if (ops_gb_ok(b) && !ops_vec_push(&g->states, s))
        b->st = OPS_ENOMEM;
    return ops_gb_ok(b) ? (uint32_t)g->states.n - 1 : 0;
}

/* The first edge of a state says where its edges are: so a state's edges are put one after another. */
void ops_gb_edge(ops_gb *b, uint32_t state, uint8_t lo, uint8_t hi, uint32_t to)
{
    ops_grammar *g = b->g;
    if (g->edges.n >= 2 * (size_t)OPS_GRAMMAR_STATES_MAX)
        ops_gb_full(b, "edges", 2 * (size_t)OPS_GRAMMAR_STATES_MAX);
    else if (ops_gb_ok(b) && !ops_vec_push(&g->edges, ((ops_gr_edge){lo, hi, to})))
        b->st = OPS_ENOMEM;
    if (!ops_gb_ok(b))
        return;
    ops_gr_state *s = &g->states.v[state];
    if (s->edges++ == 0)
        s->edge_at = (uint32_t)g->edges.n - 1;
}

void ops_gb_call_edge(ops_gb *b, uint32_t state, uint32_t rule, uint32_t to)
{
    ops_grammar *g = b->g;
    if (g->calls.n >= OPS_GRAMMAR_STATES_MAX || g->states.v[state].calls == UINT16_MAX)
        ops_gb_full(b, "calls of rules", UINT16_MAX);
    else if (ops_gb_ok(b) && !ops_vec_push(&g->calls, ((ops_gr_call){rule, to})))
        b->st = OPS_ENOMEM;
    if (!ops_gb_ok(b))
        return;
    ops_gr_state *s = &g->states.v[state];
    if (s->calls++ == 0)
        s->call_at = (uint32_t)g->calls.n - 1;
}

/* --- grammars that need no language --- */

ops_status ops_grammar_from_json_object(const ops_grammar_vocab *v, unsigned flags, ops_grammar **ret,
                                        ops_err *reterr)
{
    ops_gb b;
    ops_status st = ops_gb_init(&b, v, flags, reterr);
    if (st == OPS_OK)
        st = ops_gb_finish(&b, OPS_GB_OBJECT, ret, reterr);
    ops_gb_done(&b);
    return st;
}

ops_status ops_grammar_from_texts(const ops_grammar_vocab *v, const ops_slice *texts, size_t n,
                                  ops_grammar **ret, ops_err *reterr)
{
    if (n == 0)
        return ops_fail(reterr, OPS_EINVAL, "a choice between no texts");
    ops_gb b;
    OPS_AUTO(ops_free) void *copy = ops_calloc(n, sizeof *texts);
    ops_status st = ops_gb_init(&b, v, 0, reterr);
    if (st == OPS_OK && copy == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "choice between %zu texts: out of memory", n);
    if (st == OPS_OK) {
        ops_slice *sorted = copy;
        memcpy(sorted, texts, n * sizeof *texts);
        qsort(sorted, n, sizeof *sorted, ops_gb_by_bytes);
        const uint32_t rule = ops_gb_rule(&b);
        ops_gb_make_texts(&b, rule, sorted, n);
        st = ops_gb_finish(&b, rule, ret, reterr);
    }
    ops_gb_done(&b);
    return st;
}
