/* tests/unit/worker/grammar: a vocabulary of our own, and texts written by choosing among the tokens that a mask allows. */
#ifndef OPS_TESTS_GRAMMAR_WALK_H
#define OPS_TESTS_GRAMMAR_WALK_H

#include <stdlib.h>
#include <string.h>

#include "base/text/strbuf.h"
#include "worker/grammar/matcher.h"

enum { WALK_END = 256, WALK_WORDS = 64 };

/* Every byte, the end, and pieces that cross what a grammar keeps apart: closing quotes, brackets, broken UTF-8. */
static const char *const walk_pieces[] = {"\"}",
                                          "\",\"",
                                          "\":",
                                          "\":\"",
                                          "{\"",
                                          "[{\"",
                                          "}]",
                                          "]}",
                                          "]]",
                                          "}}",
                                          ",\"",
                                          "\", \"",
                                          "\": ",
                                          "\": \"",
                                          "{}",
                                          "[]",
                                          "true",
                                          "false",
                                          "null",
                                          "tru",
                                          "nul",
                                          "12",
                                          "123",
                                          "00",
                                          "-1",
                                          "1.5",
                                          "e1",
                                          "0.0",
                                          "\\n",
                                          "\\u00",
                                          "\\\"",
                                          "\\\\",
                                          " ",
                                          "  ",
                                          "\n  ",
                                          "the",
                                          "the ",
                                          " and",
                                          "name",
                                          "\"name\"",
                                          "id",
                                          "a\"",
                                          "ab",
                                          "abc",
                                          "abcdefgh",
                                          "\xc3\xa9",
                                          "\xc3",
                                          "\xa9\"",
                                          "\xf0\x9f\x98",
                                          "\xf0\x9f\x98\x80",
                                          "\x80x",
                                          "x\xe2\x82",
                                          "\xe2\x82\xac",
                                          "\"a\":",
                                          "\"b\":1,",
                                          "aaaa",
                                          "aa",
                                          "bb",
                                          "2024-",
                                          "01-",
                                          "T12:",
                                          "::1",
                                          "127.0.",
                                          "0-9",
                                          "A1",
                                          "d",
                                          "\"]",
                                          "\",",
                                          "]\"",
                                          "],",
                                          "},{",
                                          "1,",
                                          "1]",
                                          "1}",
                                          "\n\t",
                                          "word one",
                                          "x86",
                                          "GET /",
                                          "=>",
                                          "::="};
enum { WALK_PIECES = sizeof walk_pieces / sizeof *walk_pieces, WALK_TOKENS = WALK_END + 1 + WALK_PIECES };

static inline ops_grammar_vocab *walk_vocab(void)
{
    static char bytes[256];
    ops_slice pieces[WALK_TOKENS];
    const int32_t end = WALK_END;
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        pieces[i] = ops_slice_of(&bytes[i], 1);
    }
    pieces[WALK_END] = ops_slice_of(NULL, 0);
    for (int i = 0; i < WALK_PIECES; i++)
        pieces[WALK_END + 1 + i] = ops_slice_str(walk_pieces[i]);
    ops_grammar_vocab *v = NULL;
    return ops_grammar_vocab_from_pieces(pieces, WALK_TOKENS, &end, 1, &v, NULL) == OPS_OK ? v : NULL;
}

static inline uint64_t walk_random(uint64_t *state) /* xorshift64, Marsaglia 2003 */
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline bool walk_bit(const uint32_t *words, size_t id)
{
    return (words[id / 32] >> (id % 32) & 1) != 0;
}

#endif
