/* Masks: the trie of the vocabulary is walked in depth with the ways that are open, and what they all refuse is not entered.
 * The walk from a state alone, below which nothing is known, is the same wherever the state is met: it is kept, together
 * with the nodes at which it left its rule; from these the walk goes on with the frames that are really there. */
#include "base/mem/alloc.h"
#include "worker/grammar/matcher_internal.h"

static void set_ids(const ops_grammar_vocab *v, uint32_t from, uint32_t to, uint32_t *words)
{
    for (uint32_t i = from; i < to; i++)
        words[(uint32_t)v->ids[i] / 32] |= 1U << ((uint32_t)v->ids[i] % 32);
}

/* Is everything that is plain below the node open to one of the ways? */
static bool takes_plain(const ops_matcher *m, ops_gm_set s, const ops_gv_node *n)
{
    if (!n->plain)
        return false;
    for (uint32_t i = s.from; i < s.to; i++)
        if (m->g->states.v[m->ways.v[i].state].room >= n->chars &&
            m->g->states.v[m->ways.v[i].state].room > 0)
            return true;
    return false;
}

static void note_exit(ops_gm_walk *w, uint32_t node)
{
    if (w->n_exits == OPS_GM_EXITS_MAX)
        w->exits_full = true;
    else
        w->exits[w->n_exits++] = node;
}

typedef struct level {
    ops_gm_set set;
    uint32_t frames;
} level;

void ops_gm_walk_from(ops_matcher *m, ops_gm_set set, uint32_t node, ops_gm_walk *w)
{
    const ops_grammar_vocab *v = m->g->v;
    level levels[OPS_TOKENIZER_PIECE_MAX + 1];
    const uint32_t base = v->node[node].depth, end = v->node[node].next;
    const uint32_t ways = (uint32_t)m->ways.n;
    const size_t frames = m->frames.n;
    levels[0] = (level){set, (uint32_t)frames};
    bool whole = false; /* the plain ones are in already */
    if (node == 0 && takes_plain(m, set, &(const ops_gv_node){.plain = true, .chars = v->plain_chars})) {
        whole = true;
        for (size_t i = 0; i < ops_grammar_mask_words(v->n); i++)
            w->words[i] |= v->plain[i];
    }
    for (uint32_t i = node + 1; i < end;) {
        const ops_gv_node *n = &v->node[i];
        const uint32_t d = n->depth - base;
        level *up = &levels[d - 1], *here = &levels[d];
        ops_gm_shrink(m, d == 1 ? ways : up->set.to, up->frames);
        w->visited++;
        ops_gm_step_byte(m, up->set, n->byte, &here->set);
        here->frames = (uint32_t)m->frames.n;
        const bool none = here->set.from == here->set.to;
        if (none && !here->set.complete) {
            i = n->next;
            continue;
        }
        if (takes_plain(m, here->set, n)) {
            if (!whole || !n->from_root) {
                set_ids(v, n->token_at, v->node[n->next].token_at, w->words);
                w->visited += (v->node[n->next].token_at - n->token_at) / 16;
            }
            i = n->next;
            continue;
        }
        set_ids(v, n->token_at, n[1].token_at, w->words);
        if (here->set.complete && w->exits != NULL && n->next > i + 1)
            note_exit(w, i);
        i = none ? n->next : i + 1;
    }
    ops_gm_shrink(m, ways, frames);
}

/* The walk from the way's state alone into *e. False: it can not be kept. */
static bool walk_alone(ops_matcher *m, uint32_t state, ops_gm_entry *e, size_t *ret_visited)
{
    const size_t ways = m->ways.n, frames = m->frames.n;
    ops_gm_walk w = {.words = e->words, .exits = e->exits};
    ops_gm_set set;
    m->reach = 0;
    ops_gm_enter(m, state, 0, &set);
    ops_gm_walk_from(m, set, 0, &w);
    ops_gm_shrink(m, ways, frames);
    e->n_exits = (uint32_t)w.n_exits;
    e->reach = m->reach;
    *ret_visited = w.visited;
    const bool cut = m->full || m->out_of_memory || w.exits_full || m->reach > OPS_GRAMMAR_DEPTH_MAX;
    m->full = false;
    return !cut;
}

static void walk_here(ops_matcher *m, ops_gm_way way, uint32_t *words)
{
    const size_t ways = m->ways.n;
    ops_gm_walk w = {.words = words};
    if (!ops_vec_push(&m->ways, way)) {
        m->out_of_memory = true;
        return;
    }
    ops_gm_walk_from(m, (ops_gm_set){(uint32_t)ways, (uint32_t)ways + 1, false}, 0, &w);
    m->ways.n = ways;
    m->full = false;
}

/* What was kept, and on from where it left the rule. */
static void use(ops_matcher *m, ops_gm_way way, const ops_gm_entry *e, uint32_t *words, size_t n_words)
{
    for (size_t i = 0; i < n_words; i++)
        words[i] |= e->words[i];
    if (way.frame == 0 || e->n_exits == 0)
        return;
    const ops_gm_frame f = m->frames.v[way.frame];
    const size_t ways = m->ways.n, frames = m->frames.n;
    ops_gm_set set;
    ops_gm_walk w = {.words = words};
    ops_gm_enter(m, f.state, f.parent, &set);
    for (uint32_t i = 0; i < e->n_exits; i++)
        ops_gm_walk_from(m, set, e->exits[i], &w);
    ops_gm_shrink(m, ways, frames);
    m->full = false;
}

static void mask_way(ops_matcher *m, ops_grammar_cache *c, ops_gm_way way, uint32_t *words)
{
    const uint64_t kind = way.state < m->g->common ? m->g->kind + 1 : m->g->serial;
    const uint32_t depth = m->frames.v[way.frame].depth;
    if (c == NULL || ops_gm_cache_is_cheap(c, kind, way.state)) {
        walk_here(m, way, words);
        if (c != NULL)
            ops_gm_cache_count_cheap(c);
        return;
    }
    ops_gm_entry *e = ops_gm_cache_find(c, kind, way.state);
    if (e == NULL) {
        size_t visited = 0;
        e = ops_gm_cache_take(c);
        if (!walk_alone(m, way.state, e, &visited) || visited < OPS_GM_WORTH) {
            if (visited < OPS_GM_WORTH && !m->out_of_memory)
                ops_gm_cache_set_cheap(c, kind, way.state);
            walk_here(m, way, words);
            return;
        }
        ops_gm_cache_keep(c, e, kind, way.state);
    }
    if (depth + e->reach > OPS_GRAMMAR_DEPTH_MAX)
        walk_here(m, way, words);
    else
        use(m, way, e, words, ops_gm_cache_words(c));
}

ops_status ops_matcher_mask(ops_matcher *m, ops_grammar_cache *c, uint32_t *words, size_t n_words,
                            ops_err *reterr)
{
    const ops_grammar_vocab *v = m->g->v;
    if (m->finished)
        return ops_fail(reterr, OPS_EINVAL, "grammar: a mask after the end of the text");
    if (n_words < ops_grammar_mask_words(v->n) || (c != NULL && !ops_gm_cache_is_of(c, v)))
        return ops_fail(reterr, OPS_EINVAL,
                        "grammar: a mask of %zu words for %zu tokens, or the cache of another vocabulary",
                        n_words, v->n);
    memset(words, 0, n_words * sizeof *words);
    const ops_gm_set now = ops_gm_now(m);
    m->out_of_memory = m->full = false;
    for (uint32_t i = now.from; i < now.to && !m->out_of_memory; i++)
        mask_way(m, c, m->ways.v[i], words);
    for (size_t i = 0; now.complete && i < v->n_ends; i++)
        words[(uint32_t)v->ends[i] / 32] |= 1U << ((uint32_t)v->ends[i] % 32);
    return m->out_of_memory ? ops_fail(reterr, OPS_ENOMEM, "grammar: out of memory in a mask") : OPS_OK;
}

int32_t ops_matcher_only(const uint32_t *words, size_t n_words)
{
    int32_t id = -1;
    for (size_t i = 0; i < n_words; i++) {
        if (words[i] == 0)
            continue;
        if (id >= 0 || (words[i] & (words[i] - 1)) != 0)
            return -1;
        id = (int32_t)(i * 32) + __builtin_ctz(words[i]);
    }
    return id;
}
