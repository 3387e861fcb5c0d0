/* tests/support/corpus.h: the corpus of the tokenizer tests, twin of tests/golden/corpus.py (splitmix64: Steele, Lea and
 * Flood 2014; FNV-1a). */
#ifndef OPS_TESTS_CORPUS_H
#define OPS_TESTS_CORPUS_H

#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "base/text/codec.h"
#include "base/text/strbuf.h"

enum { CORPUS_COUNT = 10240, CORPUS_BLOCK = 128, CORPUS_FRAGMENTS_MAX = 512, CORPUS_TEXT_MAX = 1 << 20 };

typedef struct corpus {
    json_t *json;
    size_t n;
    struct {
        char bytes[64];
        size_t n;
    } fragment[CORPUS_FRAGMENTS_MAX];
} corpus;

static inline bool corpus_load(corpus *c)
{
    c->json = json_load_file("tests/golden/tokenizers/fragments.json", 0, NULL);
    c->n = json_array_size(c->json);
    for (size_t i = 0; i < c->n && i < CORPUS_FRAGMENTS_MAX; i++) {
        const json_t *hex = json_array_get(c->json, i);
        c->fragment[i].n = json_string_length(hex) / 2;
        if (c->fragment[i].n > sizeof c->fragment[i].bytes ||
            !ops_hex_get(json_string_value(hex), json_string_length(hex), c->fragment[i].bytes,
                         c->fragment[i].n))
            return false;
    }
    return c->n > 0 && c->n <= CORPUS_FRAGMENTS_MAX;
}

static inline uint64_t corpus_below(uint64_t *state, uint64_t n)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) % n;
}

static inline void corpus_code(uint32_t c, ops_strbuf *out)
{
    if (c < 0x80)
        ops_strbuf_char(out, (char)c);
    else if (c < 0x800)
        ops_strbuf_put(out, (char[]){(char)(0xc0 | c >> 6), (char)(0x80 | (c & 63))}, 2);
    else if (c < 0x10000)
        ops_strbuf_put(
            out, (char[]){(char)(0xe0 | c >> 12), (char)(0x80 | (c >> 6 & 63)), (char)(0x80 | (c & 63))}, 3);
    else
        ops_strbuf_put(out,
                       (char[]){(char)(0xf0 | c >> 18), (char)(0x80 | (c >> 12 & 63)),
                                (char)(0x80 | (c >> 6 & 63)), (char)(0x80 | (c & 63))},
                       4);
}

static inline void corpus_some(uint64_t *r, uint64_t n, uint64_t first, uint64_t of, ops_strbuf *out)
{
    for (uint64_t i = 0; i < n; i++)
        ops_strbuf_char(out, (char)(first + corpus_below(r, of)));
}

static inline void corpus_part(const corpus *c, uint64_t *r, ops_strbuf *out)
{
    const uint64_t kind = corpus_below(r, 16), at = corpus_below(r, c->n), n = 1 + corpus_below(r, 8);
    uint64_t times = kind < 9 ? 1 : kind == 9 ? 2 + corpus_below(r, 32) : 0;
    for (; times > 0; times--)
        ops_strbuf_put(out, c->fragment[at].bytes, c->fragment[at].n);
    if (kind == 10)
        corpus_some(r, n, 33, 94, out);
    else if (kind == 11)
        corpus_some(r, n, '0', 10, out);
    else if (kind == 12) {
        const uint32_t code = (uint32_t)corpus_below(r, 0x30000);
        corpus_code(code >= 0xd800 && code < 0xe000 ? 0xe000 : code, out);
    } else if (kind == 13)
        for (uint64_t i = 0; i < n; i++)
            ops_strbuf_char(out, " \t\n\r"[corpus_below(r, 4)]);
    else if (kind == 14)
        corpus_some(r, 1, 128, 128, out);
    else if (kind == 15)
        corpus_some(r, 3 * n, 'a', 26, out);
}

/* The i-th text. */
static inline void corpus_text(const corpus *c, uint64_t i, ops_strbuf *out)
{
    uint64_t r = i;
    ops_strbuf_clear(out);
    if (i % 1024 == 1000) {
        const uint64_t at = corpus_below(&r, c->n);
        for (int k = 0; k < 3000; k++)
            ops_strbuf_put(out, c->fragment[at].bytes, c->fragment[at].n);
        return;
    }
    for (uint64_t parts = 1 + corpus_below(&r, 10); parts > 0; parts--)
        corpus_part(c, &r, out);
}

/* The next CORPUS_BLOCK code points from *next on, each between letters, digits and blanks; false after the last. */
static inline bool corpus_codes(uint32_t *next, ops_strbuf *out)
{
    ops_strbuf_clear(out);
    for (int i = 0; i < CORPUS_BLOCK && *next < 0x110000; i++) {
        ops_strbuf_char(out, 'x');
        corpus_code(*next, out);
        ops_strbuf_str(out, "y ");
        corpus_code(*next, out);
        ops_strbuf_str(out, "1\n");
        *next = *next == 0xd7ff ? 0xe000 : *next + 1;
    }
    return out->n > 0;
}

#define CORPUS_HASH 0xCBF29CE484222325u
static inline uint64_t corpus_hash(uint64_t h, uint32_t v)
{
    for (int k = 0; k < 4; k++)
        h = (h ^ (v >> (8 * k) & 255)) * 0x100000001B3u;
    return h;
}

#endif
