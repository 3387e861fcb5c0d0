/* An EBNF; where it compiles, texts are begun under it. */
#include "tests/support/grammar_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_grammar_cache *c = NULL;
    const ops_grammar_vocab *v = grammar_fuzz_vocab(&c);
    ops_grammar *g = NULL;
    ops_err err = {.code = OPS_OK};
    const ops_slice text = ops_slice_of(data, size);
    const ops_status st = ops_grammar_from_ebnf(v, text, &g, &err);
    if (st != OPS_OK && (err.code != st || err.msg[0] == '\0' || g != NULL))
        __builtin_trap();
    for (uint64_t i = 1; st == OPS_OK && i <= 3; i++)
        grammar_fuzz_walk(g, c, ops_hash64(text.p, text.n, i) | 1);
    ops_grammar_free(g);
    return 0;
}
