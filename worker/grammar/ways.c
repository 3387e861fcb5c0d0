/* The ways of reading a text, a byte at a time. A way is a state and the frames below it; two ways with the same are one. */
#include "base/mem/alloc.h"
#include "worker/grammar/matcher_internal.h"

static uint32_t bucket_of(uint32_t state, uint32_t parent)
{
    return ((state * 0x9e3779b1U) ^ (parent * 0x85ebca6bU)) >> 24; /* OPS_GM_BUCKETS of them */
}

void ops_gm_file(ops_matcher *m, uint32_t frame)
{
    ops_gm_frame *f = &m->frames.v[frame];
    uint32_t *bucket = &m->bucket[bucket_of(f->state, f->parent)];
    f->below = *bucket;
    *bucket = frame;
}

/* The frame with these, old or new. 0: no room (frame 0 is the bottom, which nobody asks for). */
static uint32_t frame_for(ops_matcher *m, uint32_t state, uint32_t parent)
{
    for (uint32_t f = m->bucket[bucket_of(state, parent)]; f != 0; f = m->frames.v[f].below)
        if (m->frames.v[f].state == state && m->frames.v[f].parent == parent)
            return f;
    if (m->frames.n >= OPS_MATCHER_FRAMES_MAX) {
        m->full = true;
        return 0;
    }
    const ops_gm_frame f = {state, parent, 0, m->frames.v[parent].depth + 1};
    if (!ops_vec_push(&m->frames, f)) {
        m->out_of_memory = true;
        return 0;
    }
    ops_gm_file(m, (uint32_t)m->frames.n - 1);
    return (uint32_t)m->frames.n - 1;
}

void ops_gm_shrink(ops_matcher *m, size_t ways, size_t frames)
{
    m->ways.n = ways;
    while (m->frames.n > frames) { /* the newest of all is the newest of its bucket */
        const ops_gm_frame *f = &m->frames.v[--m->frames.n];
        m->bucket[bucket_of(f->state, f->parent)] = f->below;
    }
}

/* May a way stand so deep? Else it could not be ended. */
static bool ask(ops_matcher *m, unsigned depth_and_need)
{
    m->reach = depth_and_need > m->reach ? depth_and_need : m->reach;
    return depth_and_need <= OPS_GRAMMAR_DEPTH_MAX;
}

static void pend(ops_matcher *m, uint32_t state, uint32_t frame)
{
    if (!ask(m, m->frames.v[frame].depth + m->g->states.v[state].need))
        return;
    for (size_t i = 0; i < m->pending.n; i++)
        if (m->pending.v[i].state == state && m->pending.v[i].frame == frame)
            return;
    if (m->pending.n >= OPS_MATCHER_WAYS_MAX)
        m->full = true;
    else if (!ops_vec_push(&m->pending, ((ops_gm_way){state, frame})))
        m->out_of_memory = true;
}

/* Everything that the pending ways lead to without a byte; those that can read one go to m->ways. */
static void settle(ops_matcher *m, ops_gm_set *ret)
{
    const ops_grammar *g = m->g;
    ops_gm_set set = {.from = (uint32_t)m->ways.n};
    for (size_t i = 0; i < m->pending.n; i++) {
        const ops_gm_way w = m->pending.v[i];
        const ops_gr_state *s = &g->states.v[w.state];
        for (uint32_t k = 0; k < s->calls; k++) {
            const ops_gr_call c = g->calls.v[s->call_at + k];
            if (ops_gr_is_tail(&g->states.v[c.to]))
                pend(m, g->starts.v[c.rule], w.frame);
            else if (ask(m, m->frames.v[w.frame].depth + g->states.v[c.to].need)) {
                const uint32_t frame = frame_for(m, c.to, w.frame);
                if (frame != 0)
                    pend(m, g->starts.v[c.rule], frame);
            }
        }
        if (s->accept && w.frame == 0)
            set.complete = true;
        else if (s->accept)
            pend(m, m->frames.v[w.frame].state, m->frames.v[w.frame].parent);
        if (s->edges > 0 && !ops_vec_push(&m->ways, w))
            m->out_of_memory = true;
    }
    m->pending.n = 0;
    set.to = (uint32_t)m->ways.n;
    *ret = set;
}

void ops_gm_enter(ops_matcher *m, uint32_t state, uint32_t frame, ops_gm_set *ret)
{
    m->pending.n = 0;
    pend(m, state, frame);
    settle(m, ret);
}

static uint32_t edge_to(const ops_grammar *g, uint32_t state, uint8_t byte)
{
    const ops_gr_state *s = &g->states.v[state];
    const ops_gr_edge *e = &g->edges.v[s->edge_at];
    for (uint32_t n = s->edges; n > 0; n--, e++)
        if (byte <= e->hi)
            return byte >= e->lo ? e->to : UINT32_MAX;
    return UINT32_MAX;
}

/* Most steps lead from one way to one that needs no settling: these go straight. */
static bool simple(ops_matcher *m, uint32_t state, uint32_t frame, ops_gm_set *ret)
{
    const ops_gr_state *s = &m->g->states.v[state];
    if (s->calls > 0 || s->accept)
        return false;
    const uint32_t at = (uint32_t)m->ways.n;
    if (ask(m, m->frames.v[frame].depth + s->need) && !ops_vec_push(&m->ways, ((ops_gm_way){state, frame})))
        m->out_of_memory = true;
    *ret = (ops_gm_set){at, (uint32_t)m->ways.n, false};
    return true;
}

void ops_gm_step_byte(ops_matcher *m, ops_gm_set from, uint8_t byte, ops_gm_set *ret)
{
    if (from.to - from.from == 1) {
        const ops_gm_way w = m->ways.v[from.from];
        const uint32_t to = edge_to(m->g, w.state, byte);
        if (to == UINT32_MAX) {
            *ret = (ops_gm_set){(uint32_t)m->ways.n, (uint32_t)m->ways.n, false};
            return;
        }
        if (simple(m, to, w.frame, ret))
            return;
    }
    m->pending.n = 0;
    for (uint32_t i = from.from; i < from.to; i++) {
        const ops_gm_way w = m->ways.v[i];
        const uint32_t to = edge_to(m->g, w.state, byte);
        if (to != UINT32_MAX)
            pend(m, to, w.frame);
    }
    settle(m, ret);
}

ops_gm_set ops_gm_now(const ops_matcher *m)
{
    const ops_gm_step *now = &m->steps.v[m->steps.n - 1];
    return (ops_gm_set){m->steps.n > 1 ? now[-1].ways_end : 0, now->ways_end, now->complete};
}
