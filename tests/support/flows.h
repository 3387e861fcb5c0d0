/* Random workflows and the sessions they log, for tests and benches of sequence detection: steps in order, branches,
 * loops, threads that interleave; and what may go wrong with a session. Everything follows from the seed. */
#ifndef OPS_TEST_FLOWS_H
#define OPS_TEST_FLOWS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    FLOW_NODES_MAX = 1024,
    FLOW_ARMS_MAX = 4,
    FLOW_SESSION_MAX = 2048,
    FLOW_DEPTH = 3,
    FLOW_STRANGER = 1000000
};

typedef enum flow_kind { FLOW_EVENT, FLOW_STEPS, FLOW_BRANCH, FLOW_LOOP, FLOW_THREADS } flow_kind;

typedef struct flow_node {
    flow_kind kind;
    uint32_t event;
    size_t arms;
    size_t arm[FLOW_ARMS_MAX];
    double weight[FLOW_ARMS_MAX];
} flow_node;

typedef struct flow {
    uint64_t rng;
    flow_node node[FLOW_NODES_MAX];
    size_t nodes, root;
    uint32_t events; /* numbered from 1 */
} flow;

typedef struct flow_session {
    uint64_t ev[FLOW_SESSION_MAX];
    size_t n;
} flow_session;

typedef enum flow_fault {
    FLOW_MISSING, /* one step left out */
    FLOW_CUT,     /* ends within its first three quarters */
    FLOW_EXTRA,   /* one known event where it does not belong */
    FLOW_MOVED,   /* one step up to four places late */
    FLOW_NEW,     /* an event nobody ever saw */
    FLOW_RETRIES, /* one step four to eight times more */
    FLOW_FAULTS
} flow_fault;

static const char *const flow_fault_name[FLOW_FAULTS] = {"missing step", "cut short", "extra step",
                                                         "wrong order",  "new event", "retries"};

static inline uint32_t flow_random(flow *f, uint32_t below)
{
    f->rng += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    uint64_t z = f->rng;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (uint32_t)(((z ^ z >> 31) >> 32) * below >> 32);
}

static inline double flow_share(flow *f)
{
    return flow_random(f, 1u << 30) / (double)(1u << 30);
}

static inline size_t flow_grow(flow *f, int depth)
{
    if (f->nodes == FLOW_NODES_MAX)
        return 0;
    size_t self = f->nodes++;
    flow_node *n = &f->node[self];
    double r = flow_share(f);
    n->kind = depth == 0 || r < 0.25 ? FLOW_EVENT
              : r < 0.60             ? FLOW_STEPS
              : r < 0.75             ? FLOW_BRANCH
              : r < 0.87             ? FLOW_LOOP
                                     : FLOW_THREADS;
    if (n->kind == FLOW_EVENT) /* now and then the same message at two places */
        n->event = f->events > 3 && flow_random(f, 5) == 0 ? 1 + flow_random(f, f->events) : ++f->events;
    else if (n->kind == FLOW_LOOP)
        n->arms = 1;
    else
        n->arms = 2 + flow_random(f, n->kind == FLOW_STEPS ? 3 : 2);
    for (size_t i = 0; i < n->arms; i++) {
        n->weight[i] = n->kind == FLOW_LOOP ? flow_share(f) / 2 : flow_share(f) * flow_share(f) + 0.02;
        n->arm[i] = flow_grow(f, depth - 1);
    }
    return self;
}

static inline void flow_init(flow *f, uint64_t seed)
{
    memset(f, 0, sizeof *f);
    f->rng = seed;
    f->nodes = 1; /* node 0 stays an empty event: what overflowed */
    f->root = f->nodes++;
    f->node[f->root] = (flow_node){.kind = FLOW_STEPS, .arms = FLOW_ARMS_MAX};
    for (size_t i = 0; i < FLOW_ARMS_MAX; i++)
        f->node[f->root].arm[i] = flow_grow(f, FLOW_DEPTH);
}

static inline void flow_walk(flow *f, size_t at, flow_session *out);

static inline size_t flow_pick(flow *f, const flow_node *n)
{
    double sum = 0, r;
    for (size_t i = 0; i < n->arms; i++)
        sum += n->weight[i];
    r = flow_share(f) * sum;
    for (size_t i = 0; i + 1 < n->arms; i++)
        if ((r -= n->weight[i]) < 0)
            return i;
    return n->arms - 1;
}

/* What the arms log, shuffled without changing the order within an arm. */
static inline void flow_interleave(flow *f, const flow_node *n, flow_session *out)
{
    size_t from = out->n, at[FLOW_ARMS_MAX] = {0}, end[FLOW_ARMS_MAX] = {0}, left = 0;
    for (size_t i = 0; i < n->arms; i++) {
        at[i] = out->n;
        flow_walk(f, n->arm[i], out);
        end[i] = out->n;
        left += end[i] - at[i];
    }
    uint64_t mixed[FLOW_SESSION_MAX];
    for (size_t k = 0; k < out->n - from; k++, left--) {
        size_t pick = flow_random(f, (uint32_t)left), arm = 0;
        while (arm + 1 < n->arms && pick >= end[arm] - at[arm])
            pick -= end[arm] - at[arm], arm++;
        mixed[k] = out->ev[at[arm]++];
    }
    memcpy(out->ev + from, mixed, (out->n - from) * sizeof mixed[0]);
}

static inline void flow_walk(flow *f, size_t at, flow_session *out)
{
    const flow_node *n = &f->node[at];
    if (out->n > FLOW_SESSION_MAX / 4)
        return;
    switch (n->kind) {
    case FLOW_EVENT:
        out->ev[out->n++] = n->event;
        break;
    case FLOW_STEPS:
        for (size_t i = 0; i < n->arms; i++)
            flow_walk(f, n->arm[i], out);
        break;
    case FLOW_BRANCH:
        flow_walk(f, n->arm[flow_pick(f, n)], out);
        break;
    case FLOW_LOOP:
        do
            flow_walk(f, n->arm[0], out);
        while (flow_share(f) < n->weight[0]);
        break;
    default:
        flow_interleave(f, n, out);
        break;
    }
}

static inline void flow_play(flow *f, flow_session *out)
{
    out->n = 0;
    flow_walk(f, f->root, out);
}

static inline void flow_insert(flow_session *s, size_t at, uint64_t event, size_t times)
{
    memmove(s->ev + at + times, s->ev + at, (s->n - at) * sizeof s->ev[0]);
    for (size_t i = 0; i < times; i++)
        s->ev[at + i] = event;
    s->n += times;
}

static inline void flow_remove(flow_session *s, size_t at)
{
    memmove(s->ev + at, s->ev + at + 1, (s->n - at - 1) * sizeof s->ev[0]);
    s->n--;
}

static inline void flow_break(flow *f, flow_session *s, flow_fault fault)
{
    uint32_t n = (uint32_t)s->n, at = flow_random(f, n);
    uint64_t event = s->ev[at];
    switch (fault) {
    case FLOW_MISSING:
        flow_remove(s, at);
        break;
    case FLOW_CUT:
        s->n = 1 + flow_random(f, n * 3 / 4);
        break;
    case FLOW_EXTRA:
        flow_insert(s, flow_random(f, n + 1), 1 + flow_random(f, f->events), 1);
        break;
    case FLOW_MOVED:
        flow_remove(s, at);
        at += 1 + flow_random(f, 4);
        flow_insert(s, at < s->n ? at : s->n, event, 1);
        break;
    case FLOW_NEW:
        flow_insert(s, flow_random(f, n + 1), FLOW_STRANGER + flow_random(f, 3), 1);
        break;
    default:
        flow_insert(s, at, event, 4 + flow_random(f, 5));
        break;
    }
}

#endif
