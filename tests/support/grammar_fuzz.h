/* tests/support/grammar_fuzz.h: a walk through a grammar that an outsider wrote. Masks must have a way out at every step, accept
 * must take what they allow, and taking back must lead to the same mask. */
#ifndef OPS_TESTS_GRAMMAR_FUZZ_H
#define OPS_TESTS_GRAMMAR_FUZZ_H

#include "base/text/hash.h"
#include "tests/unit/worker/grammar/walk.h"

enum { GRAMMAR_FUZZ_STEPS = 64, GRAMMAR_FUZZ_WORDS = (WALK_TOKENS + 31) / 32 };

static inline size_t grammar_fuzz_pick(const uint32_t *words, uint64_t *seed)
{
    size_t id = walk_random(seed) % WALK_TOKENS;
    for (size_t i = 0; i < WALK_TOKENS; i++, id = (id + 1) % WALK_TOKENS)
        if (walk_bit(words, id))
            return id;
    __builtin_trap(); /* a dead end */
}

static inline void grammar_fuzz_walk(const ops_grammar *g, ops_grammar_cache *c, uint64_t seed)
{
    uint32_t words[GRAMMAR_FUZZ_WORDS], again[GRAMMAR_FUZZ_WORDS];
    ops_matcher *m = NULL;
    if (ops_matcher_new(g, &m, NULL) != OPS_OK)
        return;
    for (int i = 0; i < GRAMMAR_FUZZ_STEPS && !ops_matcher_finished(m); i++) {
        char forced[16];
        if (ops_matcher_mask(m, c, words, GRAMMAR_FUZZ_WORDS, NULL) != OPS_OK)
            __builtin_trap();
        if (ops_matcher_forced(m, forced, sizeof forced) > 0 && !walk_bit(words, (uint8_t)forced[0]))
            __builtin_trap();
        const ops_status st = ops_matcher_accept(m, (int32_t)grammar_fuzz_pick(words, &seed), NULL);
        if (st == OPS_ETOOBIG)
            break; /* too many ways of reading it */
        if (st != OPS_OK)
            __builtin_trap();
        if (i % 4 == 3) {
            if (ops_matcher_rollback(m, 1, NULL) != OPS_OK ||
                ops_matcher_mask(m, NULL, again, GRAMMAR_FUZZ_WORDS, NULL) != OPS_OK ||
                memcmp(words, again, sizeof words) != 0)
                __builtin_trap();
        }
    }
    ops_matcher_free(m);
}

/* Made once for all inputs. */
static inline const ops_grammar_vocab *grammar_fuzz_vocab(ops_grammar_cache **ret_cache)
{
    static ops_grammar_vocab *v;
    static ops_grammar_cache *c;
    if (v == NULL && ((v = walk_vocab()) == NULL || ops_grammar_cache_new(v, 1 << 20, &c, NULL) != OPS_OK))
        __builtin_trap();
    *ret_cache = c;
    return v;
}

#endif
