/* How few bytes end a rule from each of its states: shortest ways again, where a call costs the sum of its two parts. States are
 * settled in the order of their cost (Knuth 1977, doi:10.1016/0020-0190(77)90002-3), from a heap. */
#include "base/mem/alloc.h"
#include "worker/grammar/trim_internal.h"

typedef struct offer_of {
    uint32_t bytes, state;
} offer_of;

typedef struct offers {
    ops_gb_trimmer *t;
    OPS_VEC(offer_of) heap; /* the least first */
} offers;

static void offer(offers *o, uint32_t state, uint64_t bytes)
{
    ops_gr_state *s = &o->t->g->states.v[state];
    if (bytes >= s->bytes)
        return;
    s->bytes = (uint32_t)bytes;
    if (!ops_vec_push(&o->heap, ((offer_of){(uint32_t)bytes, state}))) {
        o->t->out_of_memory = true;
        return;
    }
    offer_of *h = o->heap.v;
    for (size_t i = o->heap.n - 1; i > 0 && h[i].bytes < h[(i - 1) / 2].bytes; i = (i - 1) / 2) {
        const offer_of up = h[i];
        h[i] = h[(i - 1) / 2];
        h[(i - 1) / 2] = up;
    }
}

static offer_of take_least(offers *o)
{
    offer_of *h = o->heap.v;
    const offer_of least = h[0];
    const size_t n = --o->heap.n;
    h[0] = h[n];
    for (size_t i = 0;;) {
        size_t next = i;
        for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < n; k++)
            next = h[k].bytes < h[next].bytes ? k : next;
        if (next == i)
            return least;
        const offer_of down = h[i];
        h[i] = h[next];
        h[next] = down;
        i = next;
    }
}

static void offer_call(offers *o, uint32_t call)
{
    const ops_grammar *g = o->t->g;
    const ops_gr_call c = g->calls.v[call];
    const uint32_t inside = g->states.v[g->starts.v[c.rule]].bytes, after = g->states.v[c.to].bytes;
    if (inside != OPS_GR_BYTES_NEVER && after != OPS_GR_BYTES_NEVER)
        offer(o, o->t->call_from[call], (uint64_t)inside + after);
}

static void spread(offers *o, uint32_t state, uint32_t bytes)
{
    const ops_gb_trimmer *t = o->t;
    for (uint32_t e = t->edges_in[state]; e != 0; e = t->edge_next[e - 1])
        offer(o, t->edge_from[e - 1], (uint64_t)bytes + 1);
    for (uint32_t c = t->to_in[state]; c != 0; c = t->to_next[c - 1])
        offer_call(o, c - 1);
    if (t->starts_at[state] != 0)
        for (uint32_t c = t->rule_in[t->starts_at[state] - 1]; c != 0; c = t->rule_next[c - 1])
            offer_call(o, c - 1);
}

void ops_gb_find_bytes(ops_gb_trimmer *t)
{
    offers o = {.t = t};
    for (uint32_t i = 0; i < t->g->states.n; i++)
        t->g->states.v[i].bytes = OPS_GR_BYTES_NEVER;
    for (uint32_t i = 0; i < t->g->states.n; i++)
        if (t->g->states.v[i].accept)
            offer(&o, i, 0);
    while (o.heap.n > 0 && !t->out_of_memory) {
        const offer_of least = take_least(&o);
        if (t->g->states.v[least.state].bytes == least.bytes) /* else a shorter way was found meanwhile */
            spread(&o, least.state, least.bytes);
    }
    ops_vec_done(&o.heap);
}
