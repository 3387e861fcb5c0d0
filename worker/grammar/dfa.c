/* One rule made deterministic by the construction of subsets; calls of rules are letters beside the bytes. */
#include <stdlib.h>

#include "base/coll/map.h"
#include "base/mem/alloc.h"
#include "worker/grammar/build_internal.h"

typedef struct dfa {
    ops_gb *b;
    OPS_VEC(uint32_t) members; /* of all sets, one after another: only states with something to tell */
    OPS_VEC(size_t) ends;      /* of each set's members */
    OPS_VEC(uint32_t) stack;
    OPS_VEC(ops_gb_nfa_edge) out; /* of the set at hand */
    ops_map *known;               /* members -> set + 1 */
    uint32_t *seen;               /* by NFA state: stamp */
    uint32_t *alone;              /* by NFA state: the set that it leads to by itself + 1 */
    uint32_t stamp, first, goal;  /* first: the grammar's state of set 0 */
} dfa;

static void add(dfa *d, uint32_t state)
{
    if (d->seen[state] == d->stamp)
        return;
    d->seen[state] = d->stamp;
    if (!ops_vec_push(&d->stack, state))
        d->b->st = OPS_ENOMEM;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Everything that the states on the stack lead to without a letter, at the end of members. */
static void close_over(dfa *d)
{
    ops_gb *b = d->b;
    while (d->stack.n > 0 && ops_gb_ok(b)) {
        const uint32_t s = d->stack.v[--d->stack.n];
        bool tells = s == d->goal;
        for (uint32_t e = b->nfa.v[s]; e != 0; e = b->nfa_edges.v[e - 1].next) {
            if (b->nfa_edges.v[e - 1].empty)
                add(d, b->nfa_edges.v[e - 1].to);
            else
                tells = true;
        }
        if (++b->work > OPS_GB_WORK_MAX)
            ops_gb_full(b, "steps to be made deterministic", OPS_GB_WORK_MAX);
        else if (tells && !ops_vec_push(&d->members, s))
            b->st = OPS_ENOMEM;
    }
}

/* The set of what lies on the stack, known or new; UINT32_MAX: empty, or a failure. */
static uint32_t intern(dfa *d)
{
    ops_gb *b = d->b;
    const size_t from = d->members.n;
    close_over(d);
    if (!ops_gb_ok(b) || d->members.n == from)
        return UINT32_MAX;
    const size_t n = d->members.n - from;
    qsort(d->members.v + from, n, sizeof *d->members.v, by_number);
    const ops_slice key = ops_slice_of(d->members.v + from, n * sizeof *d->members.v);
    const uintptr_t old = (uintptr_t)ops_map_get(d->known, key);
    if (old != 0) {
        d->members.n = from;
        return (uint32_t)(old - 1);
    }
    const uint32_t set = (uint32_t)d->ends.n;
    if (!ops_vec_push(&d->ends, d->members.n) ||
        ops_map_put(d->known, key, (void *)(uintptr_t)(set + 1), NULL) != OPS_OK)
        b->st = OPS_ENOMEM;
    (void)ops_gb_state(b);
    return ops_gb_ok(b) ? set : UINT32_MAX;
}

static uint32_t intern_one(dfa *d, uint32_t state)
{
    if (d->alone[state] == 0) {
        d->stamp++;
        add(d, state);
        const uint32_t set = intern(d);
        d->alone[state] = set + 1; /* UINT32_MAX becomes 0: asked again, with the same answer */
        return set;
    }
    return d->alone[state] - 1;
}

static bool is_call(const ops_gb_nfa_edge *e)
{
    return e->rule != OPS_GB_NO_RULE;
}

static void put_byte_edge(dfa *d, uint32_t state, uint8_t lo, uint8_t hi, uint32_t set)
{
    ops_grammar *g = d->b->g;
    if (set == UINT32_MAX || !ops_gb_ok(d->b))
        return;
    const uint32_t to = d->first + set;
    ops_gr_edge *last = g->states.v[state].edges > 0 ? &g->edges.v[g->edges.n - 1] : NULL;
    if (last != NULL && last->to == to && last->hi + 1 == lo)
        last->hi = hi;
    else
        ops_gb_edge(d->b, state, lo, hi, to);
}

/* Bytes between two places where some edge begins or ends lead to one set. */
static void bytes_of(dfa *d, uint32_t state)
{
    bool cut[257] = {false};
    size_t n = 0, only = 0;
    for (size_t i = 0; i < d->out.n; i++)
        if (!is_call(&d->out.v[i])) {
            cut[d->out.v[i].lo] = cut[d->out.v[i].hi + 1] = true;
            n++;
            only = i;
        }
    if (n == 1) {
        const ops_gb_nfa_edge e = d->out.v[only];
        put_byte_edge(d, state, e.lo, e.hi, intern_one(d, e.to));
        return;
    }
    for (unsigned lo = 0; n > 0 && lo < 256 && ops_gb_ok(d->b);) {
        unsigned hi = lo;
        while (hi < 255 && !cut[hi + 1])
            hi++;
        uint32_t one = 0;
        size_t to = 0;
        d->stamp++;
        for (size_t i = 0; i < d->out.n; i++)
            if (!is_call(&d->out.v[i]) && d->out.v[i].lo <= lo && d->out.v[i].hi >= hi) {
                one = d->out.v[i].to;
                add(d, one);
                to++;
            }
        d->b->work += d->out.n;
        const bool single = d->stack.n == 1;
        if (single)
            d->stack.n = 0;
        if (to > 0)
            put_byte_edge(d, state, (uint8_t)lo, (uint8_t)hi, single ? intern_one(d, one) : intern(d));
        lo = hi + 1;
    }
}

static void calls_of(dfa *d, uint32_t state)
{
    for (size_t i = 0; i < d->out.n && ops_gb_ok(d->b); i++) {
        if (!is_call(&d->out.v[i]))
            continue;
        const uint32_t rule = d->out.v[i].rule;
        d->stamp++;
        for (size_t k = i; k < d->out.n; k++)
            if (d->out.v[k].rule == rule) {
                add(d, d->out.v[k].to);
                d->out.v[k].rule = k == i ? rule : OPS_GB_NO_RULE;
                d->out.v[k].lo = 1; /* one that was taken along matches nothing */
                d->out.v[k].hi = 0;
            }
        const uint32_t set = intern(d);
        if (set != UINT32_MAX)
            ops_gb_call_edge(d->b, state, rule, d->first + set);
    }
}

/* The edges of set i go to the grammar; sets that it leads to are found on the way. */
static void expand(dfa *d, size_t i)
{
    ops_gb *b = d->b;
    const uint32_t state = d->first + (uint32_t)i;
    d->out.n = 0;
    for (size_t k = i > 0 ? d->ends.v[i - 1] : 0; k < d->ends.v[i] && ops_gb_ok(b); k++) {
        const uint32_t s = d->members.v[k];
        if (s == d->goal)
            b->g->states.v[state].accept = true;
        for (uint32_t e = b->nfa.v[s]; e != 0 && ops_gb_ok(b); e = b->nfa_edges.v[e - 1].next)
            if (!b->nfa_edges.v[e - 1].empty && !ops_vec_push(&d->out, b->nfa_edges.v[e - 1]))
                b->st = OPS_ENOMEM;
    }
    bytes_of(d, state);
    calls_of(d, state);
}

void ops_gb_make(ops_gb *b, uint32_t rule, ops_gb_ref expression)
{
    b->nfa.n = b->nfa_edges.n = 0;
    const uint32_t start = ops_gb_nfa_state(b);
    dfa d = {.b = b, .goal = ops_gb_nfa_state(b), .first = (uint32_t)b->g->states.n};
    ops_gb_emit(b, expression, start, d.goal);
    if (!ops_gb_ok(b))
        return;
    d.known = ops_map_new();
    d.seen = ops_calloc(b->nfa.n, sizeof *d.seen);
    d.alone = ops_calloc(b->nfa.n, sizeof *d.alone);
    if (d.known == NULL || d.seen == NULL || d.alone == NULL) {
        b->st = OPS_ENOMEM;
    } else {
        if (intern_one(&d, start) == UINT32_MAX && ops_gb_ok(b))
            (void)ops_gb_state(b); /* no text at all: a state without a way out */
        for (size_t i = 0; i < d.ends.n && ops_gb_ok(b); i++)
            expand(&d, i);
        if (ops_gb_ok(b))
            b->g->starts.v[rule] = d.first;
    }
    ops_map_free(d.known);
    ops_free(d.seen);
    ops_free(d.alone);
    ops_vec_done(&d.members);
    ops_vec_done(&d.ends);
    ops_vec_done(&d.stack);
    ops_vec_done(&d.out);
}
