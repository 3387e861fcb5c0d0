/* The shortest way from here to the end of a text. */
#include "base/mem/alloc.h"
#include "worker/grammar/matcher_internal.h"

/* Of the frames below a way. */
static uint64_t rest(const ops_matcher *m, uint32_t frame)
{
    uint64_t bytes = 0;
    for (; frame != 0; frame = m->frames.v[frame].parent)
        bytes += m->g->states.v[m->frames.v[frame].state].bytes;
    return bytes;
}

/* The fewest bytes to the end over all ways, and the first of them. */
static uint64_t shortest(const ops_matcher *m, ops_gm_set set, uint8_t *ret_byte)
{
    uint64_t best = UINT64_MAX;
    if (set.complete)
        return 0;
    for (uint32_t i = set.from; i < set.to; i++) {
        const ops_gm_way w = m->ways.v[i];
        const ops_gr_state *s = &m->g->states.v[w.state];
        const uint64_t below = rest(m, w.frame);
        for (uint32_t k = 0; k < s->edges; k++) {
            const ops_gr_edge *e = &m->g->edges.v[s->edge_at + k];
            const uint32_t after = m->g->states.v[e->to].bytes;
            if (after != OPS_GR_BYTES_NEVER && below + after + 1 < best) {
                best = below + after + 1;
                *ret_byte = e->lo;
            }
        }
    }
    return best;
}

size_t ops_matcher_ending(const ops_matcher *m)
{
    uint8_t byte = 0;
    const uint64_t n = m->finished ? 0 : shortest(m, ops_gm_now(m), &byte);
    return n < SIZE_MAX ? (size_t)n : SIZE_MAX;
}

size_t ops_matcher_end_bytes(ops_matcher *m, char *to, size_t max)
{
    const size_t ways = m->ways.n, frames = m->frames.n;
    ops_gm_set set = ops_gm_now(m);
    size_t n = 0;
    bool good = !m->finished;
    m->out_of_memory = m->full = false;
    while (good && !set.complete) {
        uint8_t byte = 0;
        good = n < max && shortest(m, set, &byte) != UINT64_MAX;
        if (!good)
            break;
        to[n++] = (char)byte;
        ops_gm_step_byte(m, set, byte, &set);
        good = !m->out_of_memory && !m->full;
    }
    ops_gm_shrink(m, ways, frames);
    return good ? n : 0;
}
