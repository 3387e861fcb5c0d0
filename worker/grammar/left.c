/* A rule that begins with itself would be entered for ever: it is refused. */
#include "base/mem/alloc.h"
#include "worker/grammar/build_internal.h"

typedef struct left {
    ops_gb *b;
    uint8_t *nullable; /* by rule */
    uint8_t *colour;   /* by rule: 0 not seen, 1 on the way, 2 done */
    uint32_t *stamp;   /* by state */
    uint32_t now;
    OPS_VEC(uint32_t) states; /* still to look at */
    OPS_VEC(uint32_t) calls;  /* rules that the one at hand may begin with */
} left;

static void reach(left *l, uint32_t state)
{
    if (l->stamp[state] == l->now)
        return;
    l->stamp[state] = l->now;
    if (!ops_vec_push(&l->states, state))
        l->b->st = OPS_ENOMEM;
}

/* Walks what the rule can reach without a byte; its calls go to l->calls. True when it may end there. */
static bool begin(left *l, uint32_t rule)
{
    const ops_grammar *g = l->b->g;
    bool ends = false;
    l->now++;
    reach(l, g->starts.v[rule]);
    while (l->states.n > 0 && ops_gb_ok(l->b)) {
        const ops_gr_state *s = &g->states.v[l->states.v[--l->states.n]];
        ends = ends || s->accept;
        for (uint32_t i = 0; i < s->calls && ops_gb_ok(l->b); i++) {
            const ops_gr_call c = g->calls.v[s->call_at + i];
            if (!ops_vec_push(&l->calls, c.rule))
                l->b->st = OPS_ENOMEM;
            if (l->nullable[c.rule])
                reach(l, c.to);
        }
    }
    return ends;
}

static void find_nullable(left *l)
{
    for (bool changed = true; changed && ops_gb_ok(l->b);) {
        changed = false;
        for (uint32_t r = 0; r < l->b->g->starts.n && ops_gb_ok(l->b); r++) {
            l->calls.n = 0;
            if (!l->nullable[r] && begin(l, r))
                l->nullable[r] = changed = true;
        }
    }
}

typedef struct place { /* a rule on the way: its calls are calls[from..to), the next is `at` */
    uint32_t rule;
    size_t from, at;
} place;

static ops_status refuse(const left *l, uint32_t rule, ops_err *reterr)
{
    const ops_slice name = ops_gb_name(l->b, rule);
    return ops_fail(reterr, OPS_EINVAL,
                    "'" OPS_SLICE_FMT "' begins with itself: it could be entered for ever",
                    OPS_SLICE_ARG(name));
}

/* A search in depth without recursion. The calls of the places lie one after another. */
static ops_status search(left *l, uint32_t root, ops_err *reterr)
{
    OPS_VEC(place) way = {0};
    ops_status st = OPS_OK;
    l->calls.n = 0;
    uint32_t rule = root;
    bool enter = true;
    while (st == OPS_OK && ops_gb_ok(l->b)) {
        if (enter) {
            const size_t from = l->calls.n;
            l->colour[rule] = 1;
            (void)begin(l, rule);
            if (!ops_vec_push(&way, ((place){rule, from, from})))
                l->b->st = OPS_ENOMEM;
            enter = false;
            continue;
        }
        place *p = &way.v[way.n - 1];
        if (p->at == l->calls.n) {
            l->colour[p->rule] = 2;
            l->calls.n = p->from;
            if (--way.n == 0)
                break;
            way.v[way.n - 1].at++;
            continue;
        }
        rule =
            l->calls.v[p->at]; // NOLINT(clang-analyzer-core.NullDereference): at < calls.n, so there are some
        if (l->colour[rule] == 1)
            st = refuse(l, rule, reterr);
        else if (l->colour[rule] == 0)
            enter = true;
        else
            p->at++;
    }
    ops_vec_done(&way);
    return st;
}

ops_status ops_gb_check_left(ops_gb *b, ops_err *reterr)
{
    const size_t rules = b->g->starts.n;
    left l = {.b = b};
    l.nullable = ops_calloc(rules, 1);
    l.colour = ops_calloc(rules, 1);
    l.stamp = ops_calloc(b->g->states.n, sizeof *l.stamp);
    ops_status st = OPS_OK;
    if (l.nullable == NULL || l.colour == NULL || l.stamp == NULL) {
        b->st = OPS_ENOMEM;
    } else {
        find_nullable(&l);
        for (uint32_t r = 0; r < rules && st == OPS_OK && ops_gb_ok(b); r++)
            if (l.colour[r] == 0)
                st = search(&l, r, reterr);
    }
    ops_free(l.nullable);
    ops_free(l.colour);
    ops_free(l.stamp);
    ops_vec_done(&l.states);
    ops_vec_done(&l.calls);
    return st == OPS_OK ? ops_gb_told(b, reterr) : st;
}
