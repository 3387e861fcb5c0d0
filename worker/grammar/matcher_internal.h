/* Inside of a matcher: the ways of reading what came, and the frames of rules that were called on them. Both only ever grow
 * at the end and shrink to an earlier length, so that taking back is forgetting. */
#ifndef OPS_WORKER_GRAMMAR_MATCHER_INTERNAL_H
#define OPS_WORKER_GRAMMAR_MATCHER_INTERNAL_H

#include "worker/grammar/grammar_internal.h"
#include "worker/grammar/matcher.h"

enum {
    OPS_GM_BUCKETS = 256,      /* of the table of frames */
    OPS_GM_FRAMES_MANY = 1024, /* from here on those that nobody needs are looked for */
    OPS_GM_EXITS_MAX = 2048,
    OPS_GM_WORTH = 192 /* nodes of a walk from which on its mask is kept */
};

typedef struct ops_gm_frame {      /* where to go on when a rule ends; number 0 is the bottom */
    uint32_t state, parent, below; /* below: the next in its bucket */
    uint32_t depth;
} ops_gm_frame;

typedef struct ops_gm_way {
    uint32_t state, frame;
} ops_gm_way;

typedef struct ops_gm_step { /* after a token */
    uint32_t ways_end;       /* its ways end here and begin where those before it end */
    uint32_t frames_end;
    bool complete;
} ops_gm_step;

struct ops_matcher {
    const ops_grammar *g;
    OPS_VEC(ops_gm_frame) frames;
    uint32_t bucket[OPS_GM_BUCKETS]; /* the newest frame of it; 0: none */
    OPS_VEC(ops_gm_way) ways;
    OPS_VEC(ops_gm_step) steps; /* the last is now; never empty */
    OPS_VEC(ops_gm_way) pending;
    unsigned reach; /* the most depth + need that was asked since it was set to 0 */
    bool finished;
    bool out_of_memory, full;
};

typedef struct ops_gm_set { /* ways.v[from .. to) */
    uint32_t from, to;
    bool complete; /* the bottom was passed: the text may end, or (over a rule alone) control left it */
} ops_gm_set;

/* ways.c. All put new ways at the end of m->ways; `ret` is what was put. */
void ops_gm_enter(ops_matcher *m, uint32_t state, uint32_t frame, ops_gm_set *ret);
void ops_gm_step_byte(ops_matcher *m, ops_gm_set from, uint8_t byte, ops_gm_set *ret);
void ops_gm_shrink(ops_matcher *m, size_t ways, size_t frames);
ops_gm_set ops_gm_now(const ops_matcher *m);

void ops_gm_file(ops_matcher *m, uint32_t frame); /* the newest frame into its bucket */

/* mask.c */
typedef struct ops_gm_walk {
    uint32_t *words;
    uint32_t *exits; /* nodes at which the bottom was passed and something follows; NULL: not wanted */
    size_t n_exits;
    bool exits_full;
    size_t visited;
} ops_gm_walk;
void ops_gm_walk_from(ops_matcher *m, ops_gm_set set, uint32_t node, ops_gm_walk *w);

/* cache.c */
typedef struct ops_gm_entry {
    uint64_t kind; /* 0: free */
    uint32_t state;
    uint32_t n_exits, reach;
    int32_t chain, newer, older; /* places; -1: none */
    uint32_t *words, *exits;
} ops_gm_entry;
ops_gm_entry *ops_gm_cache_find(ops_grammar_cache *c, uint64_t kind, uint32_t state);
/* A place to be filled, the oldest one if none is free; its words are 0. It can not be found before it is kept. */
ops_gm_entry *ops_gm_cache_take(ops_grammar_cache *c);
void ops_gm_cache_keep(ops_grammar_cache *c, ops_gm_entry *e, uint64_t kind, uint32_t state);
void ops_gm_cache_count_cheap(ops_grammar_cache *c);
bool ops_gm_cache_is_of(const ops_grammar_cache *c, const ops_grammar_vocab *v);
bool ops_gm_cache_is_cheap(const ops_grammar_cache *c, uint64_t kind, uint32_t state);
void ops_gm_cache_set_cheap(ops_grammar_cache *c, uint64_t kind, uint32_t state);
size_t ops_gm_cache_words(const ops_grammar_cache *c);

#endif
