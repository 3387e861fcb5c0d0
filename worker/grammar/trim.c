/* Cuts off what leads nowhere, so that from every place a text can be ended: bytes without a token of their own, states
 * from which their rule can not end, calls of rules without a text. On the way every state learns how many frames an
 * ending needs: the shortest ways by Dijkstra's order (1959), where a call costs the greater of its two parts. */
#include "base/mem/alloc.h"
#include "worker/grammar/trim_internal.h"

/* --- bytes --- */

static size_t split_edge(const ops_grammar_vocab *v, ops_gr_edge e, ops_gr_edge *to)
{
    size_t n = 0;
    for (unsigned c = e.lo; c <= e.hi; c++) {
        if (!v->single[c])
            continue;
        if (n > 0 && to[n - 1].hi + 1U == c)
            to[n - 1].hi = (uint8_t)c;
        else
            to[n++] = (ops_gr_edge){(uint8_t)c, (uint8_t)c, e.to};
    }
    return n;
}

static bool whole(const ops_grammar_vocab *v, ops_gr_edge e)
{
    bool all = true;
    for (unsigned c = e.lo; c <= e.hi && all; c++)
        all = v->single[c];
    return all;
}

/* A state whose edges hold bytes that no token stands for gets others, at the end. */
static bool keep_bytes(ops_grammar *g)
{
    for (size_t i = 0; i < g->states.n; i++) {
        ops_gr_state *s = &g->states.v[i];
        bool good = true;
        for (uint32_t e = 0; e < s->edges && good; e++)
            good = whole(g->v, g->edges.v[s->edge_at + e]);
        if (good)
            continue;
        const uint32_t at = (uint32_t)g->edges.n;
        for (uint32_t e = 0; e < s->edges; e++) {
            ops_gr_edge parts[256];
            const size_t n = split_edge(g->v, g->edges.v[s->edge_at + e], parts);
            for (size_t k = 0; k < n; k++)
                if (!ops_vec_push(&g->edges, parts[k]))
                    return false;
        }
        s->edge_at = at;
        s->edges = (uint16_t)(g->edges.n - at);
    }
    return true;
}

/* --- what is needed --- */

static bool arrays(ops_gb_trimmer *t)
{
    ops_grammar *g = t->g;
    const size_t states = g->states.n, edges = g->edges.n + 1, calls = g->calls.n + 1;
    t->edge_from = ops_calloc(edges, sizeof(uint32_t));
    t->edge_next = ops_calloc(edges, sizeof(uint32_t));
    t->edges_in = ops_calloc(states, sizeof(uint32_t));
    t->call_from = ops_calloc(calls, sizeof(uint32_t));
    t->to_next = ops_calloc(calls, sizeof(uint32_t));
    t->to_in = ops_calloc(states, sizeof(uint32_t));
    t->rule_next = ops_calloc(calls, sizeof(uint32_t));
    t->rule_in = ops_calloc(g->starts.n, sizeof(uint32_t));
    t->starts_at = ops_calloc(states, sizeof(uint32_t));
    return t->edge_from != NULL && t->edge_next != NULL && t->edges_in != NULL && t->call_from != NULL &&
           t->to_next != NULL && t->to_in != NULL && t->rule_next != NULL && t->rule_in != NULL &&
           t->starts_at != NULL;
}

static void done(ops_gb_trimmer *t)
{
    uint32_t *all[] = {t->edge_from, t->edge_next, t->edges_in, t->call_from, t->to_next,
                       t->to_in,     t->rule_next, t->rule_in,  t->starts_at};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ops_free(all[i]);
    for (size_t i = 0; i < sizeof t->found / sizeof *t->found; i++)
        ops_vec_done(&t->found[i]);
}

static void turn_round(ops_gb_trimmer *t)
{
    ops_grammar *g = t->g;
    for (uint32_t r = 0; r < g->starts.n; r++)
        t->starts_at[g->starts.v[r]] = r + 1;
    for (uint32_t i = 0; i < g->states.n; i++) {
        const ops_gr_state *s = &g->states.v[i];
        for (uint32_t k = s->edge_at; k < s->edge_at + s->edges; k++) {
            const uint32_t to = g->edges.v[k].to;
            t->edge_from[k] = i;
            t->edge_next[k] = t->edges_in[to];
            t->edges_in[to] = k + 1;
        }
        for (uint32_t k = s->call_at; k < s->call_at + s->calls; k++) {
            const ops_gr_call c = g->calls.v[k];
            t->call_from[k] = i;
            t->to_next[k] = t->to_in[c.to];
            t->to_in[c.to] = k + 1;
            t->rule_next[k] = t->rule_in[c.rule];
            t->rule_in[c.rule] = k + 1;
        }
    }
}

static void offer(ops_gb_trimmer *t, uint32_t state, unsigned need)
{
    ops_gr_state *s = &t->g->states.v[state];
    if (need > OPS_GRAMMAR_DEPTH_MAX || need >= s->need)
        return;
    s->need = (uint8_t)need;
    if (!ops_vec_push(&t->found[need], state))
        t->out_of_memory = true;
}

static void offer_call(ops_gb_trimmer *t, uint32_t call)
{
    const ops_grammar *g = t->g;
    const ops_gr_call c = g->calls.v[call];
    const ops_gr_state *rule = &g->states.v[g->starts.v[c.rule]], *to = &g->states.v[c.to];
    if (rule->need == OPS_GR_NEED_NEVER || to->need == OPS_GR_NEED_NEVER)
        return;
    const unsigned inside = rule->need + (ops_gr_is_tail(to) ? 0U : 1U);
    offer(t, t->call_from[call], inside > to->need ? inside : to->need);
}

static void find_needs(ops_gb_trimmer *t)
{
    ops_grammar *g = t->g;
    for (uint32_t i = 0; i < g->states.n; i++) {
        g->states.v[i].need = OPS_GR_NEED_NEVER;
        if (g->states.v[i].accept)
            offer(t, i, 0);
    }
    for (unsigned need = 0; need <= OPS_GRAMMAR_DEPTH_MAX; need++)
        while (t->found[need].n > 0 && !t->out_of_memory) {
            const uint32_t s = t->found[need].v[--t->found[need].n];
            if (g->states.v[s].need != need)
                continue; /* found a shorter way meanwhile */
            for (uint32_t e = t->edges_in[s]; e != 0; e = t->edge_next[e - 1])
                offer(t, t->edge_from[e - 1], need);
            for (uint32_t c = t->to_in[s]; c != 0; c = t->to_next[c - 1])
                offer_call(t, c - 1);
            if (t->starts_at[s] != 0)
                for (uint32_t c = t->rule_in[t->starts_at[s] - 1]; c != 0; c = t->rule_next[c - 1])
                    offer_call(t, c - 1);
        }
}

static void cut(ops_grammar *g)
{
    for (size_t i = 0; i < g->states.n; i++) {
        ops_gr_state *s = &g->states.v[i];
        uint16_t n = 0;
        for (uint32_t k = 0; k < s->edges; k++)
            if (g->states.v[g->edges.v[s->edge_at + k].to].need != OPS_GR_NEED_NEVER)
                g->edges.v[s->edge_at + n++] = g->edges.v[s->edge_at + k];
        if (n != s->edges)
            s->room = 0; /* what is plain is no longer known */
        s->edges = n;
        n = 0;
        for (uint32_t k = 0; k < s->calls; k++) {
            const ops_gr_call c = g->calls.v[s->call_at + k];
            if (g->states.v[c.to].need != OPS_GR_NEED_NEVER &&
                g->states.v[g->starts.v[c.rule]].need != OPS_GR_NEED_NEVER)
                g->calls.v[s->call_at + n++] = c;
        }
        s->calls = n;
    }
}

static ops_status unsatisfiable(const ops_gb *b, ops_err *reterr)
{
    int missing = 0;
    for (int c = 0; c < 0x80; c++)
        missing += !b->g->v->single[c];
    if (missing > 0)
        return ops_fail(
            reterr, OPS_EINVAL,
            "no text satisfies it that these tokens can write (%d ASCII bytes have no token of their own)",
            missing);
    return ops_fail(reterr, OPS_EINVAL, "no text satisfies it within %d rules inside each other",
                    OPS_GRAMMAR_DEPTH_MAX);
}

ops_status ops_gb_trim(ops_gb *b, ops_err *reterr)
{
    ops_gb_trimmer t = {.g = b->g};
    if (!keep_bytes(t.g) || !arrays(&t))
        t.out_of_memory = true;
    else {
        turn_round(&t);
        find_needs(&t);
        ops_gb_find_bytes(&t);
    }
    done(&t);
    if (t.out_of_memory)
        return ops_fail(reterr, OPS_ENOMEM, "grammar: out of memory");
    if (t.g->states.v[t.g->starts.v[t.g->root]].need == OPS_GR_NEED_NEVER)
        return unsatisfiable(b, reterr);
    cut(t.g);
    return OPS_OK;
}
