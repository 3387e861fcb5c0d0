/* Inside of a grammar: rules, each a deterministic automaton over bytes whose states may also call rules. Whoever reads
 * follows every way at once (matcher_internal.h); determinism inside a rule keeps these few. */
#ifndef OPS_WORKER_GRAMMAR_INTERNAL_H
#define OPS_WORKER_GRAMMAR_INTERNAL_H

#include "base/coll/vec.h"
#include "worker/grammar/grammar.h"
#include "worker/grammar/vocab_internal.h"

typedef struct ops_gr_edge {
    uint8_t lo, hi; /* bytes, both inside */
    uint32_t to;
} ops_gr_edge;

typedef struct ops_gr_call { /* read the rule, then go on at `to` */
    uint32_t rule, to;
} ops_gr_call;

enum { OPS_GR_ROOM_ALL = 65535, OPS_GR_NEED_NEVER = 255 };

typedef struct ops_gr_state {
    uint32_t edge_at, call_at;
    uint16_t calls;
    uint16_t edges; /* sorted by byte, none overlap */
    uint16_t
        room; /* so many plain code points of a string may follow (vocab_internal.h), all the same; 0: not inside one */
    uint8_t
        need; /* the fewest frames above this one with which its rule can be ended; OPS_GR_NEED_NEVER: it can not */
    bool accept;    /* the rule may end here */
    uint32_t bytes; /* the fewest with which its rule can be ended; OPS_GR_BYTES_NEVER: it can not */
} ops_gr_state;
#define OPS_GR_BYTES_NEVER UINT32_MAX

struct ops_grammar {
    const ops_grammar_vocab *v;
    OPS_VEC(ops_gr_state) states;
    OPS_VEC(ops_gr_edge) edges;
    OPS_VEC(ops_gr_call) calls;
    OPS_VEC(uint32_t) starts; /* by rule */
    uint32_t root;            /* rule */
    uint32_t common; /* states below are the same in every grammar of this kind, so masks may be shared */
    uint64_t kind, serial; /* for the cache: of the common states, of the others */
};

static inline bool ops_gr_is_tail(const ops_gr_state *s) /* nothing can follow: no need to come back here */
{
    return s->accept && s->edges == 0 && s->calls == 0;
}

#endif
